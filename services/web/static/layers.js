// The list of map layers with its toggles, and the legend of utility lines.

import { getLegend } from "./api.js";
import { isUtility } from "./cartography.js";
import { byId, make, showError } from "./dom.js";
import { language, t } from "./i18n.js";

/**
 * @typedef {import("./api.js").Collection} Collection
 * @typedef {import("maplibre-gl").Map} Map
 */

const MOST_OPEN = 20;

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
    legend,
    ...sources(collections),
  );
  if (!byId("view-layers").hidden) void showLegend();
}

const legend = make("div", { id: "legend" });
/** The language in which the legend is shown. @type {string | null} */
let legendLanguage = null;

/** Fill the legend from the presentation rules, in the language of the page. */
async function showLegend() {
  const wanted = language();
  if (legendLanguage === wanted) return;
  legendLanguage = wanted;
  try {
    const page = await getLegend(wanted);
    if (legendLanguage === wanted) legend.replaceChildren(...[...page.querySelectorAll("h2")].map(section));
  } catch (error) {
    legendLanguage = null;
    showError(byId("page-error"), /** @type {Error} */ (error));
  }
}

/** A heading of the legend with its rows; many rows are folded away. @param {HTMLElement} heading */
function section(heading) {
  const rows = [.../** @type {Element} */ (heading.nextElementSibling).children].map((row) => (
    make("li", {}, ...[...row.children].map((sample) => document.importNode(sample, true)), make("span", {}, row.lastChild?.textContent ?? ""))
  ));
  const list = make("ul", { class: "legend" }, ...rows);
  const title = make("h2", {}, heading.textContent ?? "");
  return rows.length > MOST_OPEN ? make("details", {}, make("summary", {}, title), list) : make("section", {}, title, list);
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
