// How the map looks: colours, and the MapLibre layers drawn for each collection.

/**
 * @typedef {import("maplibre-gl").LayerSpecification} Layer
 * @typedef {import("maplibre-gl").ExpressionSpecification} Expression
 * @typedef {import("maplibre-gl").FilterSpecification} Filter
 * @typedef {import("./api.js").Collection} Collection
 */

/** Colours of LER's viewer, darkened where they would vanish on a light ground. */
export const SUPPLY_COLOURS = {
  electricity: "#d3121f",
  telecom: "#2b8a34",
  water: "#1d6cd0",
  sewer: "#5c4614",
  gas: "#c29b00",
  "district-heating": "#a52fa5",
  oil: "#454545",
  duct: "#db7a60",
  other: "#8b8b8b",
  unknown: "#dd650c",
};

export const HAZARD_COLOUR = "#c00414";

const PAPER = {
  land: "#efebe2",
  sea: "#c9dee6",
  shore: "#a9c6d1",
  park: "#dbe6cc",
  forest: "#cbdcbb",
  field: "#eeebdb",
  industry: "#ebe6df",
  settled: "#f4f1ea",
  building: "#dfd7ca",
  buildingEdge: "#c6bbaa",
  publicBuilding: "#d3cbc6",
  parcel: "#c9bda8",
  street: "#ffffff",
  mainStreet: "#fff4d8",
  casing: "#d8cfc1",
  path: "#b9ad9a",
  streetInk: "#625c53",
  accent: "#0b5d66",
};

const REGULAR = ["Inter Regular", "sans-serif"];
const MEDIUM = ["Inter Medium", "sans-serif"];

/** @param {unknown[]} value an expression whose shape the type checker cannot follow @returns {Expression} */
const expression = (value) => /** @type {Expression} */ (value);

const SUPPLY_COLOUR = expression(
  ["match", ["get", "supply"], ...Object.entries(SUPPLY_COLOURS).flat(), SUPPLY_COLOURS.unknown],
);

const LANDUSE_COLOUR = /** @type {Expression} */ ([
  "match", ["get", "kind"],
  ["sea", "water"], PAPER.sea,
  ["park", "churchyard", "recreation", "grass"], PAPER.park,
  ["forest"], PAPER.forest,
  ["fields", "meadow"], PAPER.field,
  ["industry", "harbour"], PAPER.industry,
  ["built-up"], PAPER.settled,
  PAPER.land,
]);

const MAIN_STREETS = ["primary", "secondary"];
const PATHS = ["path"];

/** Pixels for one metre at 55° north, at zoom 14 and 20 (true scale in between). */
const PX_PER_M = { 14: 0.363, 20: 23.3 };

/** True-scale street width with a floor, widened by `casing` pixels. @param {number} casing */
const streetWidth = (casing) => {
  const width = ["coalesce", ["get", "width_m"], 6];
  return expression([
    "interpolate", ["exponential", 2], ["zoom"],
    11, 0.6 + casing * 0.3,
    14, ["+", ["max", 1.6, ["*", width, PX_PER_M[14]]], casing * 0.7],
    20, ["+", ["*", width, PX_PER_M[20]], casing * 2],
  ]);
};

/** Line width growing with zoom. @param {number} factor @param {number} [extra] pixels added */
const lineWidth = (factor, extra = 0) => /** @type {Expression} */ (
  ["interpolate", ["linear"], ["zoom"], 12, 0.35 * factor, 14, 0.6 * factor, 16, 1.4 * factor + extra, 18, 2.5 * factor + extra, 20, 4 * factor + extra]
);

const IS_TRACE = /** @type {Expression} */ (["==", ["get", "kind"], "trace"]);
const IS_PLANNED = /** @type {Expression} */ (["==", ["get", "status"], "under etablering"]);
const IS_OUT = /** @type {Expression} */ (["==", ["get", "status"], "permanent ude af drift"]);
const IS_HAZARD = /** @type {Expression} */ (["==", ["get", "hazard"], "meget farlig"]);

/** @param {string} type @returns {Expression} */
const geometryIs = (type) => /** @type {Expression} */ (["==", ["geometry-type"], type]);

/** @param {...Expression} tests @returns {Filter} */
const all = (...tests) => /** @type {Filter} */ (["all", ...tests]);

/** @param {Expression} test @returns {Expression} */
const not = (test) => /** @type {Expression} */ (["!", test]);

/**
 * The drawings of the collections this client knows, in drawing order from below to above.
 * `level` orders layers of different collections; each layer gets its source and source-layer afterwards.
 * @type {Record<string, {level: number, layer: any}[]>}
 */
const DRAWINGS = {
  landuse: [
    { level: 0, layer: { id: "fill", type: "fill", layout: { "fill-sort-key": ["match", ["get", "kind"], ["fields", "built-up"], 0, ["sea", "water"], 2, 1] }, paint: { "fill-color": LANDUSE_COLOUR } } },
    {
      level: 1,
      layer: {
        id: "shore", type: "line",
        filter: ["in", ["get", "kind"], ["literal", ["sea", "water"]]],
        paint: { "line-color": PAPER.shore, "line-width": ["interpolate", ["linear"], ["zoom"], 12, 0.6, 18, 1.6] },
      },
    },
  ],
  stream: [
    {
      level: 2,
      layer: {
        id: "line", type: "line", layout: { "line-cap": "round", "line-join": "round" },
        paint: { "line-color": PAPER.shore, "line-width": ["interpolate", ["exponential", 1.6], ["zoom"], 11, 0.8, 15, 2.4, 19, 12] },
      },
    },
  ],
  parcels: [
    {
      level: 3,
      layer: {
        id: "edge", type: "line", minzoom: 17,
        paint: { "line-color": PAPER.parcel, "line-width": 0.8, "line-opacity": ["interpolate", ["linear"], ["zoom"], 17, 0.35, 19, 0.8] },
      },
    },
  ],
  streets: [
    {
      level: 4,
      layer: {
        id: "path", type: "line", minzoom: 14, filter: ["in", ["get", "road_class"], ["literal", PATHS]],
        layout: { "line-cap": "round", "line-join": "round" },
        paint: { "line-color": PAPER.path, "line-width": ["interpolate", ["linear"], ["zoom"], 14, 0.8, 19, 2.4], "line-dasharray": [2, 1.6] },
      },
    },
    {
      level: 5,
      layer: {
        id: "casing", type: "line", filter: ["!", ["in", ["get", "road_class"], ["literal", PATHS]]],
        layout: { "line-cap": "round", "line-join": "round" },
        paint: { "line-color": PAPER.casing, "line-width": streetWidth(1.6) },
      },
    },
    {
      level: 6,
      layer: {
        id: "fill", type: "line", filter: ["!", ["in", ["get", "road_class"], ["literal", PATHS]]],
        layout: { "line-cap": "round", "line-join": "round", "line-sort-key": ["case", ["in", ["get", "road_class"], ["literal", MAIN_STREETS]], 2, 1] },
        paint: {
          "line-color": ["case", ["in", ["get", "road_class"], ["literal", MAIN_STREETS]], PAPER.mainStreet, PAPER.street],
          "line-width": streetWidth(0),
        },
      },
    },
    {
      level: 20,
      layer: {
        id: "name", type: "symbol", minzoom: 13.5,
        layout: {
          "symbol-placement": "line", "symbol-spacing": 320,
          "text-field": ["get", "name"], "text-font": MEDIUM,
          "text-size": ["interpolate", ["linear"], ["zoom"], 14, 10.5, 18, 13.5],
          "text-max-angle": 35, "text-padding": 6, "text-letter-spacing": 0.02,
        },
        paint: { "text-color": PAPER.streetInk, "text-halo-color": "#ffffff", "text-halo-width": 1.6 },
      },
    },
  ],
  buildings: [
    {
      level: 7,
      layer: {
        id: "fill", type: "fill", minzoom: 13,
        paint: {
          "fill-color": ["match", ["get", "kind"], ["church", "school", "townhall", "public"], PAPER.publicBuilding, PAPER.building],
          "fill-opacity": ["interpolate", ["linear"], ["zoom"], 13, 0.4, 15, 1],
          "fill-outline-color": PAPER.buildingEdge,
        },
      },
    },
  ],
  addresses: [
    {
      level: 21,
      layer: {
        id: "number", type: "symbol", minzoom: 18,
        layout: {
          "text-field": ["to-string", ["coalesce", ["get", "number"], ""]],
          "text-font": REGULAR, "text-size": 11, "text-padding": 1,
        },
        paint: { "text-color": PAPER.streetInk, "text-halo-color": "rgba(255,255,255,0.85)", "text-halo-width": 1.2 },
      },
    },
  ],
  "road-sections": [
    {
      level: 6.5,
      layer: {
        id: "line", type: "line", layout: { "line-cap": "round" },
        paint: { "line-color": PAPER.accent, "line-width": 1.4, "line-dasharray": [1, 2.5] },
      },
    },
  ],
  "utility-lines": utilityLineDrawings(),
  "utility-components": utilityComponentDrawings(),
};

function utilityLineDrawings() {
  const round = { "line-cap": "round", "line-join": "round" };
  const flat = { "line-cap": "butt", "line-join": "round" };
  return [
    {
      level: 9,
      layer: {
        id: "trace", type: "line", filter: all(IS_TRACE), layout: round,
        paint: { "line-color": SUPPLY_COLOUR, "line-width": lineWidth(3.4), "line-opacity": 0.3 },
      },
    },
    {
      level: 10,
      layer: {
        id: "halo", type: "line", filter: all(not(IS_TRACE), not(IS_OUT)), layout: round,
        paint: { "line-color": "#ffffff", "line-width": lineWidth(1, 2.2), "line-opacity": 0.85 },
      },
    },
    {
      level: 11,
      layer: {
        id: "out-of-use", type: "line", filter: all(not(IS_TRACE), IS_OUT), layout: round,
        paint: { "line-color": SUPPLY_COLOUR, "line-width": lineWidth(0.7), "line-opacity": 0.38 },
      },
    },
    {
      level: 12,
      layer: {
        id: "in-use", type: "line", filter: all(not(IS_TRACE), not(IS_PLANNED), not(IS_OUT)), layout: round,
        paint: { "line-color": SUPPLY_COLOUR, "line-width": lineWidth(1) },
      },
    },
    {
      level: 13,
      layer: {
        id: "planned", type: "line", filter: all(not(IS_TRACE), IS_PLANNED), layout: flat,
        paint: { "line-color": SUPPLY_COLOUR, "line-width": lineWidth(1), "line-dasharray": [3, 2] },
      },
    },
    {
      level: 16,
      layer: {
        id: "voltage", type: "symbol", minzoom: 17,
        filter: all(/** @type {Expression} */ ([">=", ["coalesce", ["get", "voltage_kv"], 0], 1])),
        layout: {
          "symbol-placement": "line", "symbol-spacing": 90, "icon-allow-overlap": true, "icon-ignore-placement": true,
          "icon-image": ["step", ["get", "voltage_kv"], "volt-1", 30, "volt-2", 131, "volt-3"],
          "icon-size": ["interpolate", ["linear"], ["zoom"], 17, 0.7, 20, 1.2],
        },
      },
    },
    {
      level: 17,
      layer: {
        id: "hazard", type: "symbol", minzoom: 15, filter: all(IS_HAZARD),
        layout: {
          "symbol-placement": "line", "symbol-spacing": 70, "icon-image": "hazard",
          "icon-allow-overlap": true, "icon-ignore-placement": true,
          "icon-size": ["interpolate", ["linear"], ["zoom"], 15, 0.5, 17, 0.75, 20, 1.2],
        },
      },
    },
    {
      level: 18,
      layer: {
        id: "label", type: "symbol", minzoom: 18.5, filter: all(not(IS_TRACE), not(IS_OUT)),
        layout: {
          "symbol-placement": "line", "symbol-spacing": 260, "text-font": MEDIUM, "text-size": 10.5, "text-padding": 8,
          "text-offset": [0, -0.85], "text-max-angle": 25,
          "text-field": [
            "concat", ["coalesce", ["get", "type"], ""],
            ["case", ["has", "diameter_mm"], ["concat", "  Ø", ["to-string", ["get", "diameter_mm"]]], ""],
            ["case", ["has", "voltage_kv"], ["concat", "  ", ["to-string", ["get", "voltage_kv"]], " kV"], ""],
          ],
        },
        paint: { "text-color": SUPPLY_COLOUR, "text-halo-color": "#ffffff", "text-halo-width": 1.6 },
      },
    },
  ];
}

function utilityComponentDrawings() {
  return [
    {
      level: 8,
      layer: {
        id: "surface", type: "fill", minzoom: 15, filter: geometryIs("Polygon"),
        paint: { "fill-color": SUPPLY_COLOUR, "fill-opacity": 0.22, "fill-outline-color": SUPPLY_COLOUR },
      },
    },
    {
      level: 14,
      layer: {
        id: "line", type: "line", minzoom: 15, filter: geometryIs("LineString"),
        paint: { "line-color": SUPPLY_COLOUR, "line-width": lineWidth(2) },
      },
    },
    {
      level: 15,
      layer: {
        id: "point", type: "circle", minzoom: 15, filter: geometryIs("Point"),
        paint: {
          "circle-radius": ["interpolate", ["linear"], ["zoom"], 15, 1.8, 18, 4, 20, 6.5],
          "circle-color": "#ffffff", "circle-stroke-color": SUPPLY_COLOUR,
          "circle-stroke-width": ["interpolate", ["linear"], ["zoom"], 15, 1, 18, 2, 20, 2.6],
          "circle-opacity": ["case", IS_OUT, 0.5, 1], "circle-stroke-opacity": ["case", IS_OUT, 0.45, 1],
        },
      },
    },
  ];
}

/** Drawing of a collection this client does not know, for instance one added by `geoinfra publish`. */
const OTHER_DRAWING = [
  { level: 8, layer: { id: "surface", type: "fill", filter: geometryIs("Polygon"), paint: { "fill-color": PAPER.accent, "fill-opacity": 0.16, "fill-outline-color": PAPER.accent } } },
  { level: 14, layer: { id: "line", type: "line", filter: geometryIs("LineString"), paint: { "line-color": PAPER.accent, "line-width": lineWidth(1) } } },
  { level: 15, layer: { id: "point", type: "circle", filter: geometryIs("Point"), paint: { "circle-radius": 4, "circle-color": PAPER.accent, "circle-stroke-color": "#ffffff", "circle-stroke-width": 1.5 } } },
];

/** Layers whose features a click explains. */
const EXPLAINED = new Set(["utility-lines", "utility-components"]);

/** @param {string} collectionId */
export const isUtility = (collectionId) => EXPLAINED.has(collectionId);

/**
 * The style of the whole map: background, one vector source and its layers for each collection, the filed area.
 * @param {Collection[]} collections
 * @returns {import("maplibre-gl").StyleSpecification}
 */
export function styleFor(collections) {
  /** @type {Record<string, any>} */
  const sources = Object.fromEntries([ENQUIRY_SOURCE, CHECK_SOURCE].map((id) => (
    [id, { type: "geojson", data: { type: "FeatureCollection", features: [] } }])));
  for (const collection of collections) sources[collection.id] = sourceFor(collection);
  return { version: 8, sources, layers: layersFor(collections) };
}

/** All layers from below to above. @param {Collection[]} collections @returns {Layer[]} */
function layersFor(collections) {
  const drawn = collections.flatMap(({ id }) => (DRAWINGS[id] ?? OTHER_DRAWING).map(({ level, layer }) => (
    { level, layer: { ...layer, id: `${id}/${layer.id}`, source: id, "source-layer": id } }
  )));
  drawn.push(...ENQUIRY_AREA, ...CHECK_MARKS);
  drawn.sort((one, other) => one.level - other.level);
  return [{ id: "land", type: "background", paint: { "background-color": PAPER.land } }, ...drawn.map(({ layer }) => layer)];
}

/**
 * Make a drawn map show exactly these collections, with fresh tiles of those whose address changed.
 * Layers that others added, such as those of the drawing, stay.
 * @param {import("maplibre-gl").Map} map
 * @param {Collection[]} collections
 */
export function showCollections(map, collections) {
  const shown = new Set(collections.map(({ id }) => id));
  for (const layer of map.getStyle().layers) {
    if ("source-layer" in layer && !shown.has(String(layer.source))) map.removeLayer(layer.id);
  }
  for (const [id, source] of Object.entries(map.getStyle().sources)) {
    if (source.type === "vector" && !shown.has(id)) map.removeSource(id);
  }
  for (const collection of collections) {
    const source = /** @type {import("maplibre-gl").VectorTileSource | undefined} */ (map.getSource(collection.id));
    const tiles = [tileAddress(collection)];
    if (!source) map.addSource(collection.id, sourceFor(collection));
    else if (source.tiles[0] !== tiles[0]) source.setTiles(tiles);
  }
  let above = map.getStyle().layers.find(({ id }) => id.startsWith("td-"))?.id;
  for (const layer of layersFor(collections).reverse()) {
    if (!map.getLayer(layer.id)) map.addLayer(layer, above);
    above = layer.id;
  }
}

export const ENQUIRY_SOURCE = "enquiry-area";

const ENQUIRY_AREA = [
  { level: 7.5, layer: { id: "enquiry-area/fill", type: "fill", source: ENQUIRY_SOURCE, paint: { "fill-color": PAPER.accent, "fill-opacity": 0.1 } } },
  { level: 8.5, layer: { id: "enquiry-area/edge", type: "line", source: ENQUIRY_SOURCE, paint: { "line-color": PAPER.accent, "line-width": 2, "line-dasharray": [2, 1.5] } } },
];

/** Places of the findings of a check: `severity`, and `chosen` for the one that is looked at. */
export const CHECK_SOURCE = "check";

const SEVERITY_COLOUR = expression(["match", ["get", "severity"], "error", "#a80b18", "warning", "#c68a12", PAPER.accent]);

/** @type {{level: number, layer: any}[]} */
const CHECK_MARKS = [
  { level: 90, layer: { id: "check/ring", type: "circle", source: CHECK_SOURCE, filter: ["get", "chosen"],
    paint: { "circle-radius": 17, "circle-color": SEVERITY_COLOUR, "circle-opacity": 0.16, "circle-stroke-color": SEVERITY_COLOUR, "circle-stroke-width": 2.5 } } },
  { level: 91, layer: { id: "check/point", type: "circle", source: CHECK_SOURCE,
    paint: { "circle-radius": 5.5, "circle-color": SEVERITY_COLOUR, "circle-stroke-color": "#ffffff", "circle-stroke-width": 2 } } },
];

/** @param {Collection} collection */
function sourceFor(collection) {
  return { type: /** @type {const} */ ("vector"), tiles: [tileAddress(collection)], minzoom: 10, maxzoom: isUtility(collection.id) ? 18 : 16 };
}

/** Absolute tile address; MapLibre's worker knows no page to resolve against. @param {Collection} collection */
const tileAddress = (collection) => `${location.origin}${collection.tiles}`;

/**
 * Draw the small signs of the map and give them to it.
 * @param {import("maplibre-gl").Map} map
 */
export function addSigns(map) {
  map.addImage("hazard", sign((pen) => {
    pen.beginPath();
    pen.moveTo(36, 20);
    pen.lineTo(8, 34);
    pen.lineTo(8, 6);
    pen.closePath();
    pen.lineJoin = "round";
    pen.lineWidth = 6;
    pen.strokeStyle = "#ffffff";
    pen.stroke();
    pen.lineWidth = 2;
    pen.strokeStyle = pen.fillStyle = HAZARD_COLOUR;
    pen.fill();
    pen.stroke();
  }), { pixelRatio: 2 });
  for (const bars of [1, 2, 3]) {
    map.addImage(`volt-${bars}`, sign((pen) => {
      pen.fillStyle = "#1d1d1d";
      for (let bar = 0; bar < bars; bar += 1) pen.fillRect(20 - bars * 3.5 + bar * 7, 11, 3, 18);
    }), { pixelRatio: 2 });
  }
}

/** @param {(pen: CanvasRenderingContext2D) => void} draw on 40 × 40 pixels */
function sign(draw) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 40;
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("the browser offers no 2D canvas");
  draw(pen);
  return pen.getImageData(0, 0, 40, 40);
}
