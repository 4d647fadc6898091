// What lies at a place: the attributes of utility features, as text.

import { Popup } from "maplibre-gl";

import { bodyLayers } from "./cartography.js";
import { make } from "./dom.js";
import { formatNumber, t, tOr } from "./i18n.js";

/**
 * @typedef {import("maplibre-gl").Map} Map
 * @typedef {import("maplibre-gl").MapGeoJSONFeature} Feature
 */

const REACH_PX = 6;
const MOST_SHOWN = 8;
const ROWS = [
  "feature_class", "type", "supply", "status", "hazard", "diameter_mm", "depth_mm", "voltage_kv", "accuracy_class",
  "vertical_accuracy_class", "drawing_method", "level", "established", "owner_cvr", "gml_id",
];

/** Names of the owners by CVR number, filled when they are known. @type {globalThis.Map<string, string>} */
export const ownerNames = new globalThis.Map();

/**
 * The utility features within reach of a point of the screen, each once, nearest drawn first.
 * @param {Map} map
 * @param {{x: number, y: number}} point
 * @returns {Feature[]}
 */
export function utilityFeaturesAt(map, { x, y }) {
  const found = map.queryRenderedFeatures(
    [[x - REACH_PX, y - REACH_PX], [x + REACH_PX, y + REACH_PX]],
    { layers: bodyLayers(map) },
  );
  const once = new globalThis.Map(found.map((feature) => [keyOf(feature), feature]));
  return [...once.values()];
}

/** @param {Feature} feature */
const keyOf = (feature) => `${feature.source}/${feature.id ?? JSON.stringify(feature.properties)}`;

/**
 * Number of very dangerous lines drawn in the view, each counted once.
 * @param {Map} map
 */
export function dangerousLinesInView(map) {
  const found = map.queryRenderedFeatures(undefined, {
    layers: bodyLayers(map, "utility-lines"),
    filter: ["==", ["get", "hazard"], "meget farlig"],
  });
  return new Set(found.map(keyOf)).size;
}

/**
 * Show the features in a popup at `place`.
 * @param {Map} map
 * @param {import("maplibre-gl").LngLat} place
 * @param {Feature[]} features
 */
export function showFeatures(map, place, features) {
  const content = make("div", { class: "features" });
  if (features.length === 0) content.append(make("p", {}, t("feature.none")));
  features.slice(0, MOST_SHOWN).forEach((feature, index) => content.append(describe(feature, index === 0)));
  const popup = new Popup({ maxWidth: "320px" }).setLngLat(place).setDOMContent(content).addTo(map);
  popup.getElement().querySelector(".maplibregl-popup-close-button")?.setAttribute("aria-label", t("map.close"));
}

/** @param {Feature} feature @param {boolean} open */
function describe(feature, open) {
  const { properties } = feature;
  const supply = String(properties.supply ?? "unknown");
  const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.background = colourOf(feature);
  const title = [tOr(`supply.${supply}`, supply), properties.type].filter(Boolean).join(", ");
  const rows = make("dl");
  for (const name of ROWS) {
    const value = properties[name];
    if (value === undefined || value === null || value === "") continue;
    rows.append(make("dt", {}, t(`feature.${name}`)), make("dd", {}, textOf(name, value)));
  }
  const box = make("details", open ? { open: true } : {}, make("summary", {}, swatch, title), rows);
  if (properties.hazard === "meget farlig") box.classList.add("dangerous");
  return box;
}

/** The colour in which the map draws a feature. @param {Feature} feature */
function colourOf({ layer }) {
  const { paint, layout } = /** @type {any} */ (layer ?? {});
  const colour = paint?.["line-color"] ?? paint?.["circle-color"] ?? paint?.["fill-color"];
  const image = layout?.["icon-image"]; // its name ends in its colour
  return colour ? String(colour) : image ? `#${String(image).split("/").pop()}` : "";
}

/** @param {string} name @param {unknown} value */
function textOf(name, value) {
  if (name === "supply") return tOr(`supply.${value}`, String(value));
  if (name === "owner_cvr") return ownerNames.get(String(value)) ?? String(value);
  return typeof value === "number" ? formatNumber(value, 2) : String(value);
}
