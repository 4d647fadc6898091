// What lies over the map: the cuts of a large area, and what changed between two packages.

/**
 * @typedef {import("maplibre-gl").Map} Map
 * @typedef {import("maplibre-gl").GeoJSONSource} GeoJSONSource
 * @typedef {import("geojson").Feature} Feature
 * @typedef {import("./geometry.js").Polygon} Polygon
 * @typedef {"added" | "removed" | "changed"} Difference
 */

const PARTS = "enquiry-parts";
const CHANGES = "differences";
const INK = "#084850";

/** How each kind of difference looks: a colour, a pattern and a sign, so that none stands alone. */
export const DIFFERENCES = /** @type {const} */ ({
  added: { colour: "#0a58ca", sign: "+", dash: null },
  removed: { colour: "#a80b18", sign: "×", dash: [2.2, 1.4] },
  changed: { colour: "#7a4b00", sign: "Δ", dash: [0.1, 1.7] },
});

/** @type {any[]} */
const LAYERS = [
  { id: `${PARTS}/fill`, type: "fill", source: PARTS, filter: ["==", ["geometry-type"], "Polygon"],
    paint: { "fill-color": INK, "fill-opacity": ["case", ["get", "odd"], 0.14, 0.03] } },
  { id: `${PARTS}/casing`, type: "line", source: PARTS, filter: ["==", ["geometry-type"], "Polygon"],
    paint: { "line-color": "#ffffff", "line-width": 5 } },
  { id: `${PARTS}/edge`, type: "line", source: PARTS, filter: ["==", ["geometry-type"], "Polygon"],
    paint: { "line-color": INK, "line-width": 2, "line-dasharray": [3, 2] } },
  { id: `${PARTS}/number`, type: "symbol", source: PARTS, filter: ["==", ["geometry-type"], "Point"],
    layout: { "text-field": ["get", "text"], "text-font": ["Inter Medium", "sans-serif"], "text-size": 15, "text-allow-overlap": true, "text-ignore-placement": true },
    paint: { "text-color": INK, "text-halo-color": "#ffffff", "text-halo-width": 2.5 } },
  { id: `${CHANGES}/before`, type: "line", source: CHANGES, filter: ["get", "before"], layout: { "line-join": "round" },
    paint: { "line-color": DIFFERENCES.changed.colour, "line-width": 2, "line-dasharray": [1.5, 2], "line-opacity": 0.8 } },
  ...Object.entries(DIFFERENCES).flatMap(([name, { colour, dash }]) => {
    const ours = ["all", ["==", ["get", "change"], name], ["!", ["get", "before"]], ["!", ["get", "place"]]];
    const layout = { "line-join": "round", "line-cap": dash?.[0] === 0.1 ? "round" : "butt" };
    return [
      { id: `${CHANGES}/${name}-surface`, type: "fill", source: CHANGES, filter: ["all", ours, ["==", ["geometry-type"], "Polygon"]],
        paint: { "fill-color": colour, "fill-opacity": 0.18 } },
      { id: `${CHANGES}/${name}-halo`, type: "line", source: CHANGES, filter: ours, layout: { "line-join": "round", "line-cap": "round" },
        paint: { "line-color": "#ffffff", "line-width": 11, "line-opacity": 0.9 } },
      { id: `${CHANGES}/${name}`, type: "line", source: CHANGES, filter: ours, layout,
        paint: { "line-color": colour, "line-width": 5, ...(dash ? { "line-dasharray": [...dash] } : {}) } },
    ];
  }),
  { id: `${CHANGES}/chosen`, type: "circle", source: CHANGES, filter: ["all", ["get", "place"], ["get", "chosen"]],
    paint: { "circle-radius": 18, "circle-color": "#ffffff", "circle-opacity": 0.5, "circle-stroke-color": INK, "circle-stroke-width": 3 } },
  { id: `${CHANGES}/sign`, type: "symbol", source: CHANGES, filter: ["get", "place"],
    layout: { "icon-image": ["concat", "change-", ["get", "change"]], "icon-allow-overlap": true, "icon-ignore-placement": true,
      "icon-size": ["interpolate", ["linear"], ["zoom"], 14, 0.5, 18, 1] } },
];

/** Give the map the layers of this module; nothing is in them yet. @param {Map} map with its style loaded */
export function addOverlays(map) {
  for (const [name, { colour, sign }] of Object.entries(DIFFERENCES)) {
    map.addImage(`change-${name}`, badge(colour, sign), { pixelRatio: 2 });
  }
  for (const source of [PARTS, CHANGES]) map.addSource(source, { type: "geojson", data: collection([]) });
  for (const layer of LAYERS) map.addLayer(layer);
}

/** A white sign on a disk of a colour. @param {string} colour @param {string} text */
function badge(colour, text) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 44;
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("the browser offers no 2D canvas");
  pen.beginPath();
  pen.arc(22, 22, 19, 0, 2 * Math.PI);
  pen.fillStyle = colour;
  pen.fill();
  pen.lineWidth = 4;
  pen.strokeStyle = "#ffffff";
  pen.stroke();
  pen.font = "700 26px Inter, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillStyle = "#ffffff";
  pen.fillText(text, 22, 24);
  return pen.getImageData(0, 0, 44, 44);
}

/** @param {Feature[]} features */
const collection = (features) => ({ type: /** @type {const} */ ("FeatureCollection"), features });

/** @param {Map} map @param {string} id @param {Feature[]} features */
const put = (map, id, features) => /** @type {GeoJSONSource | undefined} */ (map.getSource(id))?.setData(collection(features));

/**
 * Draw the parts of an area with their numbers; an empty list removes them.
 * @param {Map | null} map
 * @param {{area: Polygon}[]} parts
 */
export function drawParts(map, parts) {
  if (!map) return;
  put(map, PARTS, parts.flatMap(({ area }, index) => [
    { type: /** @type {const} */ ("Feature"), geometry: area, properties: { odd: index % 2 === 1 } },
    { type: /** @type {const} */ ("Feature"), geometry: { type: /** @type {const} */ ("Point"), coordinates: middleOf(area) }, properties: { text: String(index + 1) } },
  ]));
}

/** The centroid of a polygon's outline. @param {Polygon} polygon */
function middleOf({ coordinates: [ring] }) {
  const [x0, y0] = ring[0];
  let [twice, sumX, sumY] = [0, 0, 0];
  for (let index = 0; index + 1 < ring.length; index += 1) {
    const [x, y, nextX, nextY] = [ring[index][0] - x0, ring[index][1] - y0, ring[index + 1][0] - x0, ring[index + 1][1] - y0];
    const cross = x * nextY - nextX * y;
    twice += cross;
    sumX += (x + nextX) * cross;
    sumY += (y + nextY) * cross;
  }
  return twice ? [x0 + sumX / (3 * twice), y0 + sumY / (3 * twice)] : [x0, y0];
}

/**
 * Draw differences; an empty list removes them.
 * @param {Map | null} map
 * @param {{change: Difference, id: string, geometry?: import("geojson").Geometry, before?: import("geojson").Geometry, place: [number, number] | null}[]} differences
 * @param {string} [chosen] `id` of the one that is looked at
 */
export function drawDifferences(map, differences, chosen = "") {
  if (!map) return;
  put(map, CHANGES, differences.flatMap(({ change, id, geometry, before, place }) => {
    /** @param {import("geojson").Geometry} shape @param {object} more @returns {Feature} */
    const feature = (shape, more) => ({ type: "Feature", geometry: shape, properties: { change, chosen: id === chosen, before: false, place: false, ...more } });
    const drawn = geometry && !geometry.type.endsWith("Point") ? [feature(geometry, {})] : [];
    if (before && !before.type.endsWith("Point")) drawn.push(feature(before, { before: true }));
    if (place) drawn.push(feature({ type: "Point", coordinates: place }, { place: true }));
    return drawn;
  }));
}
