// The one dig area on the map: drawn, edited or set, always a single polygon.

import {
  TerraDraw,
  TerraDrawPolygonMode,
  TerraDrawRectangleMode,
  TerraDrawSelectMode,
} from "terra-draw";
import { TerraDrawMapLibreGLAdapter } from "terra-draw-maplibre-gl-adapter";

/**
 * @typedef {import("./geometry.js").Polygon} Polygon
 * @typedef {"polygon" | "rectangle"} Shape
 */

const ACCENT = "#0b5d66";
const AREA_STYLES = /** @type {const} */ ({
  fillColor: ACCENT, fillOpacity: 0.14, outlineColor: ACCENT, outlineWidth: 2.5,
});
const POINT_STYLES = /** @type {const} */ ({
  closingPointColor: "#ffffff", closingPointOutlineColor: ACCENT, closingPointWidth: 6, closingPointOutlineWidth: 2.5,
});
const EDIT_STYLES = /** @type {const} */ ({
  selectedPolygonColor: ACCENT, selectedPolygonFillOpacity: 0.14,
  selectedPolygonOutlineColor: ACCENT, selectedPolygonOutlineWidth: 2.5,
  selectionPointColor: "#ffffff", selectionPointOutlineColor: ACCENT, selectionPointWidth: 6, selectionPointOutlineWidth: 2.5,
  midPointColor: ACCENT, midPointOutlineColor: "#ffffff", midPointWidth: 4, midPointOutlineWidth: 1.5,
});

/** Degrees are kept to this many decimals (about a tenth of a millimetre), as Terra Draw asks. */
const DECIMALS = 9;

/** Drawing of the dig area. */
export class Drawing {
  /** @type {TerraDraw} */ #draw;
  /** @type {import("maplibre-gl").Map} */ #map;
  /** @type {(area: Polygon | null) => void} */ #onArea;
  /** @type {(shape: Shape | null) => void} */ #onShape;
  /** @type {Shape | null} */ #shape = null;

  /**
   * @param {import("maplibre-gl").Map} map with its style loaded
   * @param {(area: Polygon | null) => void} onArea called on every change of the area, also while drawing
   * @param {(shape: Shape | null) => void} onShape called when drawing begins (the shape) and ends (null)
   */
  constructor(map, onArea, onShape) {
    this.#map = map;
    this.#onArea = onArea;
    this.#onShape = onShape;
    this.#draw = new TerraDraw({
      adapter: new TerraDrawMapLibreGLAdapter({ map, coordinatePrecision: DECIMALS }),
      modes: [
        new TerraDrawPolygonMode({ styles: { ...AREA_STYLES, ...POINT_STYLES } }),
        new TerraDrawRectangleMode({ styles: AREA_STYLES }),
        new TerraDrawSelectMode({
          styles: EDIT_STYLES,
          flags: Object.fromEntries(["polygon", "rectangle"].map((mode) => [mode, {
            feature: { draggable: true, coordinates: { midpoints: true, draggable: true, deletable: true } },
          }])),
        }),
      ],
    });
    this.#draw.start();
    this.#draw.setMode("select");
    this.#draw.on("change", () => this.#onArea(this.area));
    this.#draw.on("finish", (id, context) => {
      if (context.action === "draw") this.#finished(id);
    });
  }

  /** The area as it is now, or null while it has fewer than three corners. @returns {Polygon | null} */
  get area() {
    const feature = this.#draw.getSnapshot().find(({ geometry }) => geometry.type === "Polygon");
    if (!feature) return null;
    const polygon = /** @type {Polygon} */ (feature.geometry);
    const corners = new Set(polygon.coordinates[0].map(String));
    return corners.size >= 3 ? { type: "Polygon", coordinates: polygon.coordinates } : null;
  }

  /** Start to draw a new area in place of the present one. @param {Shape} shape */
  begin(shape) {
    this.clear();
    this.#draw.setMode(shape);
    this.#setShape(shape);
    this.#map.getCanvas().focus();
  }

  /** Finish the shape being drawn, as the key Enter does. */
  finish() {
    this.#map.getCanvas().dispatchEvent(new KeyboardEvent("keyup", { key: "Enter", bubbles: true }));
  }

  /** Leave drawing and remove the area. */
  clear() {
    this.#draw.setMode("select");
    this.#draw.clear();
    this.#setShape(null);
    this.#onArea(null);
  }

  /**
   * Put `area` in place of the present one, ready to edit.
   * @param {Polygon} area
   * @returns {boolean} false when it is not a polygon that can be drawn
   */
  set(area) {
    this.clear();
    const coordinates = area.coordinates.map((ring) =>
      ring.map((position) => position.map((degrees) => Number(degrees.toFixed(DECIMALS)))));
    const [result] = this.#draw.addFeatures([
      { type: "Feature", geometry: { type: "Polygon", coordinates }, properties: { mode: "polygon" } },
    ]);
    if (!result.valid || result.id === undefined) return false;
    this.#draw.selectFeature(result.id);
    this.#onArea(this.area);
    return true;
  }

  /** @param {string | number} id */
  #finished(id) {
    this.#draw.setMode("select");
    this.#draw.selectFeature(id);
    this.#setShape(null);
    this.#onArea(this.area);
  }

  /** @param {Shape | null} shape */
  #setShape(shape) {
    this.#shape = shape;
    this.#onShape(this.#shape);
  }

  /** Whether a shape is being drawn now. */
  get active() {
    return this.#shape !== null;
  }
}
