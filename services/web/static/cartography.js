// How the map looks: the MapLibre layers of each collection. Those of utility lines come from the server's presentation rules.

/**
 * @typedef {import("maplibre-gl").LayerSpecification} Layer
 * @typedef {import("maplibre-gl").ExpressionSpecification} Expression
 * @typedef {import("maplibre-gl").FilterSpecification} Filter
 * @typedef {import("./api.js").Collection} Collection
 * @typedef {import("./api.js").StyleSheet} StyleSheet
 */

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

/** @param {string} type @returns {Expression} */
const geometryIs = (type) => /** @type {Expression} */ (["==", ["geometry-type"], type]);

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
};

/** Drawing of a collection this client does not know, for instance one added by `geoinfra publish`. */
const OTHER_DRAWING = [
  { level: 8, layer: { id: "surface", type: "fill", filter: geometryIs("Polygon"), paint: { "fill-color": PAPER.accent, "fill-opacity": 0.16, "fill-outline-color": PAPER.accent } } },
  { level: 14, layer: { id: "line", type: "line", filter: geometryIs("LineString"), paint: { "line-color": PAPER.accent, "line-width": lineWidth(1) } } },
  { level: 15, layer: { id: "point", type: "circle", filter: geometryIs("Point"), paint: { "circle-radius": 4, "circle-color": PAPER.accent, "circle-stroke-color": "#ffffff", "circle-stroke-width": 1.5 } } },
];

/** Collections that the presentation rules draw, and whose features a click explains. */
const UTILITIES = new Set(["utility-lines", "utility-components"]);

/** @param {string} collectionId */
export const isUtility = (collectionId) => UTILITIES.has(collectionId);

/** Utility lines lie above buildings and below the names of streets. */
const UTILITY_LEVEL = 9;

/** Parts of the presentation that show where a feature lies; the others surround it, mark it or name it. */
const BODIES = new Set(["line", "soft-line", "trace", "component", "component-dot", "component-line", "area", "area-edge"]);

/**
 * The drawn layers that show where the features of a utility collection lie.
 * @param {import("maplibre-gl").Map} map
 * @param {string} [collectionId] all utility collections when not given
 */
export const bodyLayers = (map, collectionId) => map.getStyle().layers.filter((layer) => (
  "source" in layer && isUtility(String(layer.source)) && (!collectionId || layer.source === collectionId)
  && BODIES.has(/** @type {any} */ (layer.metadata)?.["geoinfra:part"])
)).map(({ id }) => id);

/** @param {StyleSheet | null} rules @param {string} collectionId */
const utilityDrawings = (rules, collectionId) => (rules?.layers ?? [])
  .filter(({ source }) => source === collectionId)
  .map((layer) => ({ level: UTILITY_LEVEL + layer.metadata["geoinfra:order"] / 100, layer }));

/**
 * The style of the map at first: background, one vector source and its layers for each collection, the filed area.
 * Utility lines follow with their rules, see {@link showCollections}.
 * @param {Collection[]} collections
 * @returns {import("maplibre-gl").StyleSpecification}
 */
export function styleFor(collections) {
  /** @type {Record<string, any>} */
  const sources = Object.fromEntries([ENQUIRY_SOURCE, CHECK_SOURCE].map((id) => (
    [id, { type: "geojson", data: { type: "FeatureCollection", features: [] } }])));
  for (const collection of collections) sources[collection.id] = sourceFor(collection);
  return { version: 8, sources, layers: layersFor(collections, null) };
}

/** All layers from below to above. @param {Collection[]} collections @param {StyleSheet | null} rules @returns {Layer[]} */
function layersFor(collections, rules) {
  const drawn = collections.flatMap(({ id }) => (isUtility(id) ? utilityDrawings(rules, id) : (DRAWINGS[id] ?? OTHER_DRAWING).map(({ level, layer }) => (
    { level, layer: { ...layer, id: `${id}/${layer.id}`, source: id, "source-layer": id } }
  ))));
  drawn.push(...ENQUIRY_AREA, ...CHECK_MARKS);
  drawn.sort((one, other) => one.level - other.level);
  return [{ id: "land", type: "background", paint: { "background-color": PAPER.land } }, ...drawn.map(({ layer }) => layer)];
}

/**
 * Make a drawn map show exactly these collections, with fresh tiles of those whose address changed.
 * Layers that others added, such as those of the drawing, stay.
 * @param {import("maplibre-gl").Map} map
 * @param {Collection[]} collections
 * @param {StyleSheet | null} rules by which utility lines are drawn; without them none are
 */
export function showCollections(map, collections, rules) {
  const shown = new Set(collections.map(({ id }) => id));
  for (const layer of map.getStyle().layers) {
    if ("source-layer" in layer && !shown.has(String(layer.source))) map.removeLayer(layer.id);
  }
  const held = map.getStyle().sources;
  for (const [id, source] of Object.entries(held)) {
    if (source.type === "vector" && !shown.has(id)) map.removeSource(id);
  }
  for (const collection of collections) {
    const source = /** @type {import("maplibre-gl").VectorTileSource | undefined} */ (map.getSource(collection.id));
    const wanted = sourceFor(collection);
    if (!source) map.addSource(collection.id, wanted);
    else if (/** @type {typeof wanted} */ (held[collection.id]).tiles[0] !== wanted.tiles[0]) source.setTiles(wanted.tiles);
  }
  let above = map.getStyle().layers.find(({ id }) => id.startsWith("td-"))?.id;
  for (const layer of layersFor(collections, rules).reverse()) {
    if (!map.getLayer(layer.id)) map.addLayer(layer, above);
    else if (layer.type === "symbol") map.setLayoutProperty(layer.id, "text-field", layer.layout?.["text-field"]); // the language may be another
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
