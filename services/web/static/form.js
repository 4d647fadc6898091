// The enquiry form: dig area, period, method, contact; files the enquiry.

import { fileEnquiry } from "./api.js";
import { byId, make, showError } from "./dom.js";
import { areaM2, boundsOf, polygonFromText, rectangleAround } from "./geometry.js";
import { formatNumber, onLanguage, t } from "./i18n.js";

/**
 * @typedef {import("./geometry.js").Polygon} Polygon
 * @typedef {import("./drawing.js").Drawing} Drawing
 * @typedef {import("./drawing.js").Shape} Shape
 * @typedef {import("./api.js").Config} Config
 * @typedef {import("./api.js").Enquiry} Enquiry
 */

/** LER's numbers of dig methods; the excavator machine first, as it is the usual one. */
const METHODS = ["6", "7", "1", "2", "3", "4", "5", "8", "9", "10", "99"];
const DEFAULT_PERIOD_DAYS = 14;
const DAY_MS = 86_400_000;
const DEMO_CONTACT = { name: "Karla Graver", email: "karla@graver.example", phone: "12345678" };

/** @param {string} id */
const input = (id) => /** @type {HTMLInputElement} */ (byId(id));

/** 128 random bits; `crypto.randomUUID` is absent on plain HTTP. */
const randomKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Local calendar day as yyyy-mm-dd. @param {Date} date */
const dayText = (date) =>
  `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;

/** The form, and the area it is about. */
export class EnquiryForm {
  /** @type {import("maplibre-gl").Map | null} */ #map = null;
  /** @type {Drawing | null} */ #drawing = null;
  /** @type {(enquiry: Enquiry) => void} */ #onFiled;
  /** @type {Polygon | null} */ #area = null;
  /** @type {{text: string, at: [number, number]} | null} */ #place = null;
  #maxAreaM2 = Infinity;
  #sending = false;
  /** What was sent last and under which key, so that a repeat after a lost answer is not a second enquiry. */
  #sent = { text: "", key: "" };

  /**
   * @param {(enquiry: Enquiry) => void} onFiled
   * @param {() => void} becomeExcavator
   */
  constructor(onFiled, becomeExcavator) {
    this.#onFiled = onFiled;
    const now = new Date();
    input("period-from").value = dayText(now);
    input("period-to").value = dayText(new Date(now.getTime() + DEFAULT_PERIOD_DAYS * DAY_MS));
    byId("method").addEventListener("change", () => this.#showOtherMethod());
    byId("enquiry-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#file();
    });
    byId("become-excavator").addEventListener("click", becomeExcavator);
    onLanguage(() => this.#show());
    this.#show();
  }

  /**
   * Connect the form to the map.
   * @param {import("maplibre-gl").Map} map
   * @param {Drawing} drawing
   */
  connect(map, drawing) {
    this.#map = map;
    this.#drawing = drawing;
    byId("draw-polygon").addEventListener("click", () => drawing.begin("polygon"));
    byId("draw-rectangle").addEventListener("click", () => drawing.begin("rectangle"));
    byId("draw-clear").addEventListener("click", () => drawing.clear());
    byId("draw-finish").addEventListener("click", () => drawing.finish());
    byId("draw-cancel").addEventListener("click", () => drawing.clear());
    byId("area-view").addEventListener("click", () => this.#useView());
    byId("area-make").addEventListener("click", () => this.#useRectangle());
    byId("area-paste").addEventListener("click", () => this.#usePasted());
  }

  /** @param {Config} config */
  configure(config) {
    this.#maxAreaM2 = config.max_area_m2;
    const mayFile = config.role === "excavator" || (!config.demo && config.role === null);
    byId("need-role").hidden = mayFile;
    byId("become-excavator").hidden = !config.demo;
    if (config.demo && config.role === "excavator" && input("contact-name").value === "") {
      input("contact-name").value = DEMO_CONTACT.name;
      input("contact-email").value = DEMO_CONTACT.email;
      input("contact-phone").value = DEMO_CONTACT.phone;
    }
    this.#showArea();
  }

  /** Remember an address as the middle of a rectangle. @param {string} text @param {[number, number]} at */
  setPlace(text, at) {
    this.#place = { text, at };
    this.#showPlace();
  }

  /** @param {Polygon | null} area */
  setArea(area) {
    this.#area = area;
    this.#showArea();
  }

  /** Show whether a shape is being drawn. @param {Shape | null} shape */
  setShape(shape) {
    byId("draw-polygon").setAttribute("aria-pressed", String(shape === "polygon"));
    byId("draw-rectangle").setAttribute("aria-pressed", String(shape === "rectangle"));
    byId("draw-bar").hidden = shape === null;
    byId("draw-finish").hidden = shape !== "polygon";
    if (shape) byId("draw-hint").textContent = t(`draw.${shape}`);
    document.body.classList.toggle("drawing", shape !== null);
  }

  #useView() {
    if (!this.#map) return;
    const panel = byId("panel").getBoundingClientRect();
    const { width, height } = this.#map.getCanvas().getBoundingClientRect();
    const beside = panel.width < width * 0.6;
    const [left, bottom] = beside ? [panel.right, height] : [0, panel.top];
    const corners = [[left, bottom], [width, bottom], [width, 0], [left, 0], [left, bottom]];
    const ring = corners.map(([x, y]) => /** @type {import("maplibre-gl").Map} */ (this.#map).unproject([x, y]).toArray());
    this.#set({ type: "Polygon", coordinates: [ring] });
  }

  #useRectangle() {
    if (!this.#map) return;
    const centre = this.#place?.at ?? this.#map.getCenter().toArray();
    const [widthM, heightM] = [input("area-width").valueAsNumber, input("area-height").valueAsNumber];
    if (widthM > 0 && heightM > 0) this.#set(rectangleAround(centre, widthM, heightM));
  }

  #usePasted() {
    const area = polygonFromText(/** @type {HTMLTextAreaElement} */ (byId("area-geojson")).value);
    if (area) this.#set(area);
    else showError(byId("area-error"), new Error(t("area.badGeojson")));
  }

  /** @param {Polygon} area */
  #set(area) {
    const taken = this.#drawing?.set(area) ?? false;
    showError(byId("area-error"), taken ? null : new Error(t("area.badGeojson")));
    if (taken) this.#map?.fitBounds(boundsOf(area), { padding: 60, maxZoom: 19 });
  }

  async #file() {
    const box = byId("form-error");
    const fault = this.#fault();
    showError(box, fault);
    if (fault) return;
    this.#setSending(true);
    try {
      const request = this.#request();
      const text = JSON.stringify(request);
      if (text !== this.#sent.text) this.#sent = { text, key: randomKey() };
      const enquiry = await fileEnquiry(request, this.#sent.key);
      this.#sent = { text: "", key: "" };
      this.#drawing?.clear();
      this.#onFiled(enquiry);
    } catch (error) {
      showError(box, /** @type {Error} */ (error));
    } finally {
      this.#setSending(false);
    }
  }

  /** The first thing that keeps the form from being filed. @returns {Error | null} */
  #fault() {
    if (!this.#area || this.#drawing?.active) return new Error(t("form.needArea"));
    if (areaM2(this.#area) > this.#maxAreaM2) return new Error(t("area.tooLarge", { max: formatNumber(this.#maxAreaM2) }));
    if (input("period-to").value < input("period-from").value) return new Error(t("form.needPeriod"));
    return null;
  }

  #request() {
    const method = input("method").value;
    return {
      area: this.#area,
      crs: "CRS84",
      period: { from: input("period-from").value, to: input("period-to").value },
      methods: [method],
      methods_other: method === "99" ? input("method-other").value : "",
      description: input("description").value,
      contact: {
        name: input("contact-name").value,
        email: input("contact-email").value,
        phone: input("contact-phone").value,
      },
    };
  }

  /** @param {boolean} sending */
  #setSending(sending) {
    this.#sending = sending;
    const button = /** @type {HTMLButtonElement} */ (byId("file-enquiry"));
    button.disabled = sending;
    button.textContent = t(sending ? "form.sending" : "form.submit");
  }

  #show() {
    const select = input("method");
    const chosen = select.value || METHODS[0];
    select.replaceChildren(...METHODS.map((number) => make("option", { value: number }, t(`method.${number}`))));
    select.value = chosen;
    this.#showOtherMethod();
    this.#showArea();
    this.#showPlace();
    this.#setSending(this.#sending);
  }

  #showOtherMethod() {
    byId("method-other-box").hidden = input("method").value !== "99";
  }

  #showPlace() {
    byId("area-around").textContent = t("area.around", { place: this.#place?.text ?? t("area.centre") });
  }

  #showArea() {
    const max = formatNumber(this.#maxAreaM2);
    const size = this.#area ? areaM2(this.#area) : 0;
    const output = byId("area-text");
    output.replaceChildren();
    if (this.#area) {
      output.append(
        make("strong", {}, t("area.size", { area: formatNumber(size) })), " ",
        make("span", {}, t("area.limit", { max })),
      );
    } else {
      output.append(make("span", {}, t("area.none", { max })));
    }
    byId("draw-clear").hidden = this.#area === null;
    byId("area-warning").hidden = size <= this.#maxAreaM2;
    byId("area-warning").textContent = t("area.tooLarge", { max });
  }
}
