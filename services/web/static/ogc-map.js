// @ts-check
// Draws the features of a page of the OGC APIs; the page works without it.

/** @typedef {typeof import("maplibre-gl")} MapLibre */

const ACCENT = "#0b5d66";
const LIBRARY = new URL("vendor/maplibre-gl/maplibre-gl.mjs", import.meta.url).href;

/** @param {any} coordinates @param {(position: [number, number]) => void} visit */
function eachPosition(coordinates, visit) {
  if (typeof coordinates?.[0] === "number") visit([coordinates[0], coordinates[1]]);
  else for (const part of coordinates ?? []) eachPosition(part, visit);
}

/** @param {MapLibre} library @param {HTMLElement} box @param {any[]} features */
function show({ LngLatBounds, Map: MapLibreMap, NavigationControl, Popup }, box, features) {
  const bounds = new LngLatBounds();
  for (const feature of features) eachPosition(feature.geometry?.coordinates, (position) => bounds.extend(position));
  if (bounds.isEmpty()) return;
  box.hidden = false;
  const drawn = features.map((one) => ({ ...one, properties: { id: String(one.id) } }));
  const map = new MapLibreMap({
    container: box,
    attributionControl: false,
    bounds,
    fitBoundsOptions: { padding: 36, maxZoom: 18 },
    cooperativeGestures: true,
    style: {
      version: 8,
      sources: { features: { type: "geojson", data: { type: "FeatureCollection", features: drawn } } },
      layers: [
        { id: "ground", type: "background", paint: { "background-color": "#f7f5ef" } },
        { id: "area", type: "fill", source: "features", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": ACCENT, "fill-opacity": 0.16 } },
        { id: "line", type: "line", source: "features", filter: ["!=", ["geometry-type"], "Point"], paint: { "line-color": ACCENT, "line-width": 1.8 } },
        { id: "point", type: "circle", source: "features", filter: ["==", ["geometry-type"], "Point"], paint: { "circle-color": ACCENT, "circle-radius": 4.5, "circle-stroke-color": "#fff", "circle-stroke-width": 1.5 } },
      ],
    },
  });
  map.addControl(new NavigationControl({ showCompass: false }), "top-right");
  map.on("click", (event) => {
    const [hit] = map.queryRenderedFeatures(event.point, { layers: ["point", "line", "area"] });
    if (hit) new Popup().setLngLat(event.lngLat).setText(String(hit.properties.id)).addTo(map);
  });
  map.once("idle", () => (box.dataset.drawn = String(features.length)));
}

/** @param {HTMLElement} box */
async function draw(box) {
  const answer = await fetch(box.dataset.geojson ?? "", { headers: { accept: "application/geo+json" } });
  if (!answer.ok) return;
  const [found, library] = await Promise.all([answer.json(), import(LIBRARY)]);
  show(library, box, found.type === "Feature" ? [found] : found.features);
}

for (const box of document.querySelectorAll("[data-geojson]")) void draw(/** @type {HTMLElement} */ (box));
