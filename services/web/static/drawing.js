// The dig area on the map: one or several polygons, drawn, edited or set.

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
  /** @type {(areas: Polygon[]) => void} */ #onAreas;
  /** @type {(shape: Shape | null) => void} */ #onShape;
  /** @type {Shape | null} */ #shape = null;

  /**
   * @param {import("maplibre-gl").Map} map with its style loaded
   * @param {(areas: Polygon[]) => void} onAreas called on every change of the area, also while drawing
   * @param {(shape: Shape | null) => void} onShape called when drawing begins (the shape) and ends (null)
   */
  constructor(map, onAreas, onShape) {
    this.#map = map;
    this.#onAreas = onAreas;
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
    this.#draw.on("change", () => this.#onAreas(this.areas));
    this.#draw.on("finish", (id, context) => {
      if (context.action === "draw") this.#finished(id);
    });
  }

  /** The polygons as they are now, without one that has fewer than three corners. @returns {Polygon[]} */
  get areas() {
    return this.#draw.getSnapshot().flatMap(({ geometry }) => {
      if (geometry.type !== "Polygon") return [];
      const coordinates = /** @type {number[][][]} */ (geometry.coordinates);
      const corners = new Set(coordinates[0].map(String));
      return corners.size >= 3 ? [{ type: /** @type {const} */ ("Polygon"), coordinates }] : [];
    });
  }

  /** Start to draw a polygon beside those that are there. @param {Shape} shape */
  begin(shape) {
    this.#deselect();
    this.#draw.setMode(shape);
    this.#setShape(shape);
    this.#map.getCanvas().focus();
  }

  /** Finish the shape being drawn, as the key Enter does. */
  finish() {
    this.#map.getCanvas().dispatchEvent(new KeyboardEvent("keyup", { key: "Enter", bubbles: true }));
  }

  /** Leave drawing; the polygon that was begun goes. */
  cancel() {
    this.#draw.setMode("select");
    this.#setShape(null);
    this.#onAreas(this.areas);
  }

  /** Leave drawing and remove all polygons. */
  clear() {
    this.#draw.setMode("select");
    this.#draw.clear();
    this.#setShape(null);
    this.#onAreas([]);
  }

  /**
   * Put `areas` in place of the present ones, ready to edit.
   * @param {Polygon[]} areas
   * @returns {boolean} false when one is not a polygon that can be drawn; then there are none
   */
  set(areas) {
    this.clear();
    const results = this.#draw.addFeatures(areas.map(({ coordinates }) => ({
      type: "Feature", properties: { mode: "polygon" },
      geometry: { type: "Polygon", coordinates: coordinates.map((ring) => ring.map((position) =>
        position.map((degrees) => Number(degrees.toFixed(DECIMALS))))) },
    })));
    if (!results.every(({ valid }) => valid)) {
      this.clear();
      return false;
    }
    if (results.length === 1 && results[0].id !== undefined) this.#draw.selectFeature(results[0].id);
    this.#onAreas(this.areas);
    return true;
  }

  #deselect() {
    if (this.#draw.getMode() !== "select") this.#draw.setMode("select");
    for (const { id, properties } of this.#draw.getSnapshot()) {
      if (properties.selected && id !== undefined) this.#draw.deselectFeature(id);
    }
  }

  /** @param {string | number} id */
  #finished(id) {
    this.#draw.setMode("select");
    this.#draw.selectFeature(id);
    this.#setShape(null);
    this.#onAreas(this.areas);
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
