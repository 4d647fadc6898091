// Plane geometry of the dig area: ETRS89 / UTM zone 32N (EPSG:25832), area, rectangles, GeoJSON input.

/** @typedef {[number, number]} Position longitude, latitude in degrees, or easting, northing in metres */
/** @typedef {{type: "Polygon", coordinates: number[][][]}} Polygon */
/** @typedef {Polygon | {type: "MultiPolygon", coordinates: number[][][][]}} Area */

// GRS80 and the Krüger series to the fourth order of the third flattening; below 1 mm within the zone.
const SEMI_MAJOR_M = 6378137;
const FLATTENING = 1 / 298.257222101;
const SCALE = 0.9996;
const FALSE_EASTING_M = 500000;
const CENTRAL_MERIDIAN = (9 * Math.PI) / 180;

const n = FLATTENING / (2 - FLATTENING);
const ECCENTRICITY = Math.sqrt(FLATTENING * (2 - FLATTENING));
const RADIUS_M = (SEMI_MAJOR_M / (1 + n)) * (1 + n ** 2 / 4 + n ** 4 / 64);
const ALPHA = [
  n / 2 - (2 * n ** 2) / 3 + (5 * n ** 3) / 16 + (41 * n ** 4) / 180,
  (13 * n ** 2) / 48 - (3 * n ** 3) / 5 + (557 * n ** 4) / 1440,
  (61 * n ** 3) / 240 - (103 * n ** 4) / 140,
  (49561 * n ** 4) / 161280,
];
const BETA = [
  n / 2 - (2 * n ** 2) / 3 + (37 * n ** 3) / 96 - n ** 4 / 360,
  n ** 2 / 48 + n ** 3 / 15 - (437 * n ** 4) / 1440,
  (17 * n ** 3) / 480 - (37 * n ** 4) / 840,
  (4397 * n ** 4) / 161280,
];

/** Conformal tangent of latitude. @param {number} tau tangent of the geographic latitude */
const conformal = (tau) => {
  const sigma = Math.sinh(ECCENTRICITY * Math.atanh((ECCENTRICITY * tau) / Math.hypot(1, tau)));
  return tau * Math.hypot(1, sigma) - sigma * Math.hypot(1, tau);
};

/**
 * Project longitude and latitude (degrees) to EPSG:25832 (metres).
 * @param {number[]} lonLat
 * @returns {Position}
 */
export function toUtm32([longitude, latitude]) {
  const tau = conformal(Math.tan((latitude * Math.PI) / 180));
  const lambda = (longitude * Math.PI) / 180 - CENTRAL_MERIDIAN;
  const xi0 = Math.atan2(tau, Math.cos(lambda));
  const eta0 = Math.asinh(Math.sin(lambda) / Math.hypot(tau, Math.cos(lambda)));
  let xi = xi0;
  let eta = eta0;
  ALPHA.forEach((alpha, index) => {
    const j = 2 * (index + 1);
    xi += alpha * Math.sin(j * xi0) * Math.cosh(j * eta0);
    eta += alpha * Math.cos(j * xi0) * Math.sinh(j * eta0);
  });
  return [FALSE_EASTING_M + SCALE * RADIUS_M * eta, SCALE * RADIUS_M * xi];
}

/**
 * Return the longitude and latitude (degrees) of a point in EPSG:25832 (metres).
 * @param {number[]} eastNorth
 * @returns {Position}
 */
export function fromUtm32([easting, northing]) {
  const xi0 = northing / (SCALE * RADIUS_M);
  const eta0 = (easting - FALSE_EASTING_M) / (SCALE * RADIUS_M);
  let xi = xi0;
  let eta = eta0;
  BETA.forEach((beta, index) => {
    const j = 2 * (index + 1);
    xi -= beta * Math.sin(j * xi0) * Math.cosh(j * eta0);
    eta -= beta * Math.cos(j * xi0) * Math.sinh(j * eta0);
  });
  const target = Math.sin(xi) / Math.hypot(Math.sinh(eta), Math.cos(xi));
  let tau = target;
  for (let step = 0; step < 4; step += 1) {
    const estimate = conformal(tau);
    const slope = (Math.hypot(1, estimate) * Math.hypot(1, tau) * (1 - ECCENTRICITY ** 2)) /
      (1 + (1 - ECCENTRICITY ** 2) * tau ** 2);
    tau += (target - estimate) / slope;
  }
  const longitude = CENTRAL_MERIDIAN + Math.atan2(Math.sinh(eta), Math.cos(xi));
  return [(longitude * 180) / Math.PI, (Math.atan(tau) * 180) / Math.PI];
}

/** @param {number[][]} ring longitude, latitude */
function ringAreaM2(ring) {
  const plane = ring.map(toUtm32);
  let twice = 0;
  plane.forEach(([e, north], index) => {
    const [nextE, nextN] = plane[(index + 1) % plane.length];
    twice += e * nextN - nextE * north;
  });
  return Math.abs(twice) / 2;
}

/**
 * Area in m² in EPSG:25832, holes taken off.
 * @param {Polygon} polygon longitude, latitude
 */
export function areaM2(polygon) {
  const [outer, ...holes] = polygon.coordinates.map(ringAreaM2);
  return outer - holes.reduce((sum, hole) => sum + hole, 0);
}

/**
 * Rectangle with sides along the EPSG:25832 axes.
 * @param {number[]} centre longitude, latitude
 * @param {number} widthM
 * @param {number} heightM
 * @returns {Polygon}
 */
export function rectangleAround(centre, widthM, heightM) {
  const [easting, northing] = toUtm32(centre);
  const [dx, dy] = [widthM / 2, heightM / 2];
  const corners = [[-dx, -dy], [dx, -dy], [dx, dy], [-dx, dy], [-dx, -dy]];
  return {
    type: "Polygon",
    coordinates: [corners.map(([x, y]) => fromUtm32([easting + x, northing + y]))],
  };
}

/** @param {unknown} ring @returns {ring is number[][]} */
const isRing = (ring) =>
  Array.isArray(ring) && ring.length >= 4 && ring.every((position) =>
    Array.isArray(position) && position.length >= 2 &&
    Number.isFinite(position[0]) && Math.abs(position[0]) <= 180 &&
    Number.isFinite(position[1]) && Math.abs(position[1]) <= 90);

/** @param {any} value @returns {number[][][][]} rings of the polygons of a GeoJSON value, unchecked */
function ringsOf(value) {
  if (value?.type === "FeatureCollection" && Array.isArray(value.features)) return value.features.flatMap(ringsOf);
  if (value?.type === "Feature") return ringsOf(value.geometry);
  if (value?.type === "MultiPolygon" && Array.isArray(value.coordinates)) return value.coordinates;
  return [value?.type === "Polygon" ? value.coordinates : null];
}

/**
 * Read polygons from GeoJSON text: a Polygon, a MultiPolygon, or features with them.
 * @param {string} text
 * @returns {Polygon[] | null} null when the text is anything else
 */
export function polygonsFromText(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  const polygons = ringsOf(value);
  const sound = polygons.length > 0 && polygons.every((rings) =>
    Array.isArray(rings) && rings.length > 0 && rings.every(isRing));
  if (!sound) return null;
  return polygons.map((rings) => (
    { type: "Polygon", coordinates: rings.map((ring) => ring.map(([lon, lat]) => [lon, lat])) }));
}

/**
 * West, south, east, north of polygons.
 * @param {Polygon[]} polygons at least one
 * @returns {[number, number, number, number]}
 */
export function boundsOf(polygons) {
  const positions = polygons.flatMap(({ coordinates }) => coordinates[0]);
  const longitudes = positions.map(([lon]) => lon);
  const latitudes = positions.map(([, lat]) => lat);
  return [Math.min(...longitudes), Math.min(...latitudes), Math.max(...longitudes), Math.max(...latitudes)];
}
