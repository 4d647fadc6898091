// The list of map layers with its toggles, and the legend of utility lines.

import { HAZARD_COLOUR, isUtility, SUPPLY_COLOURS } from "./cartography.js";
import { byId, make } from "./dom.js";
import { language, t } from "./i18n.js";

/**
 * @typedef {import("./api.js").Collection} Collection
 * @typedef {import("maplibre-gl").Map} Map
 */

const SVG = "http://www.w3.org/2000/svg";

/** Collections that are switched off; road sections repeat the streets. @type {Set<string>} */
const hidden = new Set(["road-sections"]);

/** Apply the user's toggles to a map whose style was made anew. @param {Map} map */
export function applyVisibility(map) {
  for (const layer of map.getStyle().layers) {
    const source = "source" in layer ? String(layer.source) : "";
    if (hidden.has(source)) map.setLayoutProperty(layer.id, "visibility", "none");
  }
}

/**
 * Fill the layer list.
 * @param {Map | null} map
 * @param {Collection[]} collections
 */
export function showLayers(map, collections) {
  const utilities = collections.filter(({ id }) => isUtility(id));
  const others = collections.filter(({ id }) => !isUtility(id));
  byId("view-layers").replaceChildren(
    make("ul", { class: "layers" }, ...[...utilities, ...others].map((collection) => toggle(map, collection))),
    make("h2", {}, t("layers.lines")),
    make("ul", { class: "legend two" }, ...Object.entries(SUPPLY_COLOURS).map(([supply, colour]) =>
      make("li", {}, sample(colour), t(`supply.${supply}`)))),
    make("h2", {}, t("layers.signs")),
    make("ul", { class: "legend" },
      make("li", {}, sample("#454545"), t("layers.inUse")),
      make("li", {}, sample("#454545", { "stroke-dasharray": "7 4" }), t("layers.planned")),
      make("li", {}, sample("#454545", { opacity: "0.4", "stroke-width": "1.6" }), t("layers.outOfUse")),
      make("li", {}, sample("#454545", { opacity: "0.3", "stroke-width": "9" }), t("layers.trace")),
      make("li", {}, hazardSample(), t("layers.hazard"))),
    ...sources(collections),
  );
}

/** @param {Collection[]} collections */
function sources(collections) {
  const names = new Set(collections.map(({ attribution }) => attribution).filter(Boolean));
  if (names.size === 0) return [];
  return [make("h2", {}, t("layers.sources")), make("p", { class: "empty" }, [...names].join(" · "))];
}

/** @param {Map | null} map @param {Collection} collection */
function toggle(map, collection) {
  const box = make("input", { type: "checkbox", checked: !hidden.has(collection.id) });
  box.addEventListener("change", () => {
    if (box.checked) hidden.delete(collection.id);
    else hidden.add(collection.id);
    for (const layer of map?.getStyle().layers ?? []) {
      if ("source" in layer && layer.source === collection.id) {
        map?.setLayoutProperty(layer.id, "visibility", box.checked ? "visible" : "none");
      }
    }
  });
  const name = make("span", {}, collection.title[language()]);
  if (collection.visibility !== "open") name.append(make("small", {}, t("layers.protected")));
  return make("li", {}, make("label", {}, box, name));
}

/** @param {string} tag @param {Record<string, string>} attributes */
function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** @param {string} colour @param {Record<string, string>} [attributes] */
function sample(colour, attributes = {}) {
  const svg = shape("svg", { viewBox: "0 0 36 12", width: "36", height: "12", "aria-hidden": "true" });
  svg.append(shape("line", { x1: "2", y1: "6", x2: "34", y2: "6", stroke: colour, "stroke-width": "3", ...attributes }));
  return svg;
}

function hazardSample() {
  const svg = sample("#454545");
  for (const x of [8, 20]) svg.append(shape("path", { d: `M${x} 1l9 5-9 5z`, fill: HAZARD_COLOUR, stroke: "#ffffff", "stroke-width": "1" }));
  return svg;
}
