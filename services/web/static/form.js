// The enquiry form: kind, dig area, period, method, contact; tells what filing would mean, and files the enquiry.

import { ApiError, fileEnquiry, previewEnquiry, randomKey } from "./api.js";
import { byId, make, showError } from "./dom.js";
import { areaM2, boundsOf, polygonsFromText, rectangleAround } from "./geometry.js";
import { formatKroner, formatMoment, formatNumber, onLanguage, t } from "./i18n.js";
import { drawParts } from "./overlays.js";

/**
 * @typedef {import("./geometry.js").Polygon} Polygon
 * @typedef {import("./drawing.js").Drawing} Drawing
 * @typedef {import("./drawing.js").Shape} Shape
 * @typedef {import("./api.js").Config} Config
 * @typedef {import("./api.js").Enquiry} Enquiry
 * @typedef {import("./api.js").Kind} Kind
 * @typedef {import("./api.js").Preview} Preview
 */

/** LER's numbers of dig methods; the excavator machine first, as it is the usual one. */
const METHODS = ["6", "7", "1", "2", "3", "4", "5", "8", "9", "10", "99"];
/** LER's numbers of what is laid. */
const SUPPLIES = ["5", "1", "3", "8", "4", "7", "2", "6", "99"];
const SURROUNDINGS_M = ["0", "10", "25", "50", "100"];
const DEFAULT_PERIOD_DAYS = 14;
const DAY_MS = 86_400_000;
const PREVIEW_PAUSE_MS = 300;
/** How often the deadline is told anew while the form is looked at. */
const PREVIEW_AGAIN_MS = 60_000;
const DEMO_CONTACT = { name: "Karla Graver", email: "karla@graver.example", phone: "12345678" };
const REMEMBERED = "geoinfra.filer";

/** The field of a member of the request, as a refusal names it. @type {Record<string, string>} */
const FIELDS = {
  period: "period-from", "period.from": "period-from", "period.to": "period-to", methods: "method",
  methods_other: "method-other", description: "description", contact: "contact-name", "contact.name": "contact-name",
  "contact.email": "contact-email", "contact.phone": "contact-phone", grounds: "ground-first", reason: "reason", begun: "begun",
  depth_m: "depth", own_number: "own-number", purpose: "purpose", surroundings_m: "surroundings",
};

/** @param {string} id */
const input = (id) => /** @type {HTMLInputElement} */ (byId(id));

/** The chosen ones of the radio buttons or boxes of this name. @param {string} name */
const chosen = (name) => /** @type {HTMLInputElement[]} */ ([...document.querySelectorAll(`#enquiry-form input[name="${name}"]:checked`)])
  .map(({ value }) => value);

/** @param {string} name @param {string} value */
const choose = (name, value) => {
  const radio = /** @type {HTMLInputElement | null} */ (document.querySelector(`#enquiry-form input[name="${name}"][value="${value}"]`));
  if (radio) radio.checked = true;
};

/** Local calendar day as yyyy-mm-dd. @param {Date} date */
const dayText = (date) =>
  `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;

/** What was filed last in this browser. @returns {any} */
function remembered() {
  try {
    return JSON.parse(localStorage.getItem(REMEMBERED) ?? "null");
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** The form, and the area it is about. */
export class EnquiryForm {
  /** @type {import("maplibre-gl").Map | null} */ #map = null;
  /** @type {Drawing | null} */ #drawing = null;
  /** @type {(enquiry: Enquiry) => void} */ #onFiled;
  /** @type {Polygon[]} */ #areas = [];
  /** @type {{text: string, at: [number, number]} | null} */ #place = null;
  /** @type {Config | null} */ #config = null;
  /** @type {Polygon[]} */ #aside = [];
  #sending = false;
  /** What was sent last and under which key, so that a repeat after a lost answer is not a second enquiry. */
  #sent = { text: "", key: "" };
  /** @type {Preview | null} */ #preview = null;
  #previewing = new AbortController();
  #timer = 0;

  /**
   * @param {(enquiry: Enquiry) => void} onFiled
   * @param {() => void} becomeExcavator
   */
  constructor(onFiled, becomeExcavator) {
    this.#onFiled = onFiled;
    const now = new Date();
    input("period-from").value = dayText(now);
    input("period-to").value = dayText(new Date(now.getTime() + DEFAULT_PERIOD_DAYS * DAY_MS));
    const form = byId("enquiry-form");
    form.addEventListener("change", (event) => {
      const { name, id } = /** @type {HTMLInputElement} */ (event.target);
      if (name === "kind") this.#showKind();
      if (id === "method") this.#showOtherMethod();
      if (id === "period-from") this.#markBegun();
      if (["kind", "filer"].includes(name) || ["period-from", "period-to", "surroundings"].includes(id)) this.#askSoon();
    });
    form.addEventListener("input", (event) => {
      /** @type {HTMLElement} */ (event.target).removeAttribute("aria-invalid");
      showError(byId("form-error"), null);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#file();
    });
    byId("become-excavator").addEventListener("click", becomeExcavator);
    setInterval(() => { if (this.#preview && !form.hidden && !document.hidden) this.#askSoon(); }, PREVIEW_AGAIN_MS);
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
    byId("draw-cancel").addEventListener("click", () => drawing.cancel());
    byId("area-view").addEventListener("click", () => this.#useView());
    byId("area-make").addEventListener("click", () => this.#useRectangle());
    byId("area-paste").addEventListener("click", () => this.#usePasted());
  }

  /** @param {Config} config */
  configure(config) {
    this.#config = config;
    byId("need-role").hidden = this.#mayFile;
    byId("become-excavator").hidden = !config.demo;
    if (this.#mayFile && config.organisation && input("contact-name").value === "") this.#fillContact(config);
    this.#show();
    this.#askSoon();
  }

  get #mayFile() {
    return this.#config?.role === "excavator" || (this.#config?.demo === false && this.#config.role === null);
  }

  /** @returns {Kind} */
  get #kind() {
    return /** @type {Kind} */ (chosen("kind")[0]);
  }

  /** Put in who filed last for this organisation. @param {Config} config */
  #fillContact(config) {
    const last = remembered();
    const ours = last?.cvr === config.organisation?.cvr;
    const contact = ours ? last.contact : config.demo ? DEMO_CONTACT : null;
    for (const name of /** @type {const} */ (["name", "email", "phone"])) {
      if (contact) input(`contact-${name}`).value = String(contact[name] ?? "");
    }
    if (!ours) return;
    if (METHODS.includes(last.method)) input("method").value = last.method;
    if (last.filer === "private") choose("filer", "private");
    this.#showOtherMethod();
  }

  /** Remember an address as the middle of a rectangle. @param {string} text @param {[number, number]} at */
  setPlace(text, at) {
    this.#place = { text, at };
    this.#showPlace();
  }

  /** @param {Polygon[]} areas */
  setAreas(areas) {
    this.#areas = areas;
    this.#preview = null;
    showError(byId("area-warning"), null);
    this.#showArea();
    this.#showPreview();
    this.#askSoon();
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

  /** Take the drawn area off the map while an enquiry is looked at; it comes back with {@link takeUp}. */
  setAside() {
    if (this.#areas.length === 0) return;
    this.#aside = this.#areas;
    this.#drawing?.clear();
  }

  /** Put the area that was set aside back on the map. */
  takeUp() {
    if (this.#aside.length && this.#areas.length === 0) this.#drawing?.set(this.#aside);
    this.#aside = [];
  }

  /** Draw the cuts of the area, unless another enquiry is looked at. */
  #showCuts() {
    const parts = this.#preview?.parts ?? [];
    if (!byId("enquiry-form").hidden) drawParts(this.#map, parts.length > 1 ? parts : []);
  }

  #useView() {
    if (!this.#map) return;
    const panel = byId("panel").getBoundingClientRect();
    const { width, height } = this.#map.getCanvas().getBoundingClientRect();
    const beside = panel.width < width * 0.6;
    const [left, bottom] = beside ? [panel.right, height] : [0, panel.top];
    const corners = [[left, bottom], [width, bottom], [width, 0], [left, 0], [left, bottom]];
    const ring = corners.map(([x, y]) => /** @type {import("maplibre-gl").Map} */ (this.#map).unproject([x, y]).toArray());
    this.#set([{ type: "Polygon", coordinates: [ring] }]);
  }

  #useRectangle() {
    if (!this.#map) return;
    const centre = this.#place?.at ?? this.#map.getCenter().toArray();
    const [widthM, heightM] = [input("area-width").valueAsNumber, input("area-height").valueAsNumber];
    if (widthM > 0 && heightM > 0) this.#set([rectangleAround(centre, widthM, heightM)]);
  }

  #usePasted() {
    const areas = polygonsFromText(/** @type {HTMLTextAreaElement} */ (byId("area-geojson")).value);
    if (areas) this.#set(areas);
    else showError(byId("area-error"), new Error(t("area.badGeojson")));
  }

  /** @param {Polygon[]} areas */
  #set(areas) {
    const taken = this.#drawing?.set(areas) ?? false;
    showError(byId("area-error"), taken ? null : new Error(t("area.badGeojson")));
    if (taken) this.#map?.fitBounds(boundsOf(areas), { padding: 60, maxZoom: 19 });
  }

  // Filing

  async #file() {
    const box = byId("form-error");
    const fault = this.#fault();
    this.#showFault(fault);
    if (fault) return;
    this.#setSending(true);
    try {
      const request = this.#request();
      const text = JSON.stringify(request);
      if (text !== this.#sent.text) this.#sent = { text, key: randomKey() };
      const enquiry = await fileEnquiry(request, this.#sent.key);
      this.#sent = { text: "", key: "" };
      this.#remember();
      this.#drawing?.clear();
      this.#forgetEmergency();
      this.#onFiled(enquiry);
    } catch (error) {
      if (error instanceof ApiError) this.#showFault(error);
      else showError(box, /** @type {Error} */ (error));
    } finally {
      this.#setSending(false);
    }
  }

  /** The first thing that keeps the form from being filed. @returns {ApiError | null} */
  #fault() {
    /** @param {string} key @param {string} path */
    const fault = (key, path) => new ApiError(0, t(key), "", path);
    if (this.#areas.length === 0 || this.#drawing?.active) return fault("form.needArea", "area");
    if (this.#kind === "emergency" && chosen("ground").length === 0) return fault("form.needGround", "grounds");
    if (this.#kind === "emergency" && input("reason").value.trim() === "") return fault("form.needReason", "reason");
    if (input("period-to").value < input("period-from").value) return fault("form.needPeriod", "period.to");
    if (input("method").value === "99" && input("method-other").value.trim() === "") return fault("form.needMethod", "methods_other");
    if (input("contact-name").value.trim() === "") return fault("form.needContact", "contact.name");
    if (!input("contact-email").value.trim() && !input("contact-phone").value.trim()) return fault("form.needContact", "contact.email");
    return null;
  }

  /** Say what is wrong, and lead to its field. @param {ApiError | null} fault */
  #showFault(fault) {
    for (const field of document.querySelectorAll("#enquiry-form [aria-invalid]")) field.removeAttribute("aria-invalid");
    showError(byId("form-error"), fault);
    const id = fault && FIELDS[fault.path];
    if (!id) return;
    const field = byId(id);
    field.closest("details")?.setAttribute("open", "");
    field.setAttribute("aria-invalid", "true");
    field.focus();
    field.scrollIntoView({ block: "center" });
  }

  #remember() {
    const cvr = this.#config?.organisation?.cvr;
    const { contact } = this.#request();
    if (cvr) localStorage.setItem(REMEMBERED, JSON.stringify({ cvr, contact, method: input("method").value, filer: chosen("filer")[0] }));
  }

  /** An emergency is one of its kind: the next enquiry begins as a planned one. */
  #forgetEmergency() {
    choose("kind", "planned");
    for (const box of document.querySelectorAll("#emergency-box input")) {
      if (box instanceof HTMLInputElement) [box.checked, box.value] = [false, box.type === "text" ? "" : box.value];
    }
    input("description").value = "";
    this.#showKind();
  }

  #request() {
    const method = input("method").value;
    const [first, ...others] = this.#areas;
    const emergency = this.#kind === "emergency";
    const depthM = input("depth").valueAsNumber;
    return {
      area: others.length ? { type: "MultiPolygon", coordinates: this.#areas.map(({ coordinates }) => coordinates) } : first,
      crs: "CRS84",
      kind: this.#kind,
      filer: chosen("filer")[0],
      period: { from: input("period-from").value, to: input("period-to").value },
      methods: [method],
      methods_other: method === "99" ? input("method-other").value : "",
      description: input("description").value,
      contact: {
        name: input("contact-name").value,
        email: input("contact-email").value,
        phone: input("contact-phone").value,
      },
      grounds: emergency ? chosen("ground") : [],
      reason: emergency ? input("reason").value : "",
      begun: emergency && input("begun").checked,
      purpose: input("purpose").value,
      supplies: chosen("supply"),
      depth_m: Number.isFinite(depthM) ? depthM : null,
      own_number: input("own-number").value,
      surroundings_m: Number(input("surroundings").value),
      formats: ["gml", "gpkg", "geojson", "html", "pdf"],
    };
  }

  // What filing would mean

  #askSoon() {
    clearTimeout(this.#timer);
    this.#previewing.abort();
    if (this.#areas.length === 0 || !this.#mayFile || this.#drawing?.active) return;
    this.#timer = window.setTimeout(() => void this.#ask(), PREVIEW_PAUSE_MS);
  }

  async #ask() {
    if (this.#areas.length === 0 || this.#drawing?.active) return;
    this.#previewing = new AbortController();
    const { signal } = this.#previewing;
    try {
      const preview = await previewEnquiry(this.#request(), signal);
      if (signal.aborted) return;
      this.#preview = preview;
      showError(byId("area-warning"), null);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.#preview = null;
      showError(byId("area-warning"), error);
    }
    this.#showArea();
    this.#showPreview();
  }

  #showPreview() {
    const box = byId("preview");
    const preview = this.#preview;
    this.#showCuts();
    box.hidden = preview === null;
    if (!preview) return;
    const { clock } = preview;
    box.replaceChildren(
      clock
        ? make("p", {}, make("span", {}, t("preview.due")), make("strong", { id: "preview-due" }, formatMoment(clock.due_at)),
          make("small", {}, t("preview.manual", { when: formatMoment(clock.manual_due_at) })))
        : make("p", {}, make("strong", { id: "preview-due" }, t("preview.notAsked"))),
      make("p", {}, make("span", {}, t("preview.fee")),
        make("strong", { id: "preview-fee" }, Number(preview.fee_dkk) === 0 ? t("preview.free") : t("preview.kr", { kr: formatKroner(preview.fee_dkk) })),
        make("small", {}, t("preview.year", { year: formatKroner(preview.fee_year_dkk), cap: formatKroner(preview.fee_cap_dkk) }))),
    );
  }

  // Showing

  /** @param {boolean} sending */
  #setSending(sending) {
    this.#sending = sending;
    const button = /** @type {HTMLButtonElement} */ (byId("file-enquiry"));
    button.disabled = sending;
    button.classList.toggle("urgent", this.#kind === "emergency");
    button.textContent = t(sending ? "form.sending" : this.#kind === "planned" ? "form.submit" : `form.submit.${this.#kind}`);
  }

  #show() {
    this.#fillSelect("method", METHODS.map((number) => [number, t(`method.${number}`)]));
    this.#fillSelect("surroundings", SURROUNDINGS_M.map((n) => [n, t(n === "0" ? "more.surroundings.0" : "more.surroundings.n", { n })]));
    const supplies = new Set(chosen("supply"));
    byId("supplies").replaceChildren(...SUPPLIES.map((number) => make("label", { class: "choice" },
      make("input", { type: "checkbox", name: "supply", value: number, checked: supplies.has(number) }), make("span", {}, t(`laid.${number}`)))));
    this.#showOtherMethod();
    this.#showKind();
    this.#showArea();
    this.#showPlace();
    this.#showPreview();
    this.#setSending(this.#sending);
  }

  /** @param {string} id @param {string[][]} options value and text of each; the chosen one stays */
  #fillSelect(id, options) {
    const select = input(id);
    const value = select.value || options[0][0];
    select.replaceChildren(...options.map(([one, text]) => make("option", { value: one }, text)));
    select.value = value;
  }

  #showKind() {
    const kind = this.#kind;
    const today = dayText(new Date());
    byId("kind-text").textContent = t(`kind.${kind}.text`);
    byId("kind-text").dataset.kind = kind;
    byId("emergency-box").hidden = kind !== "emergency";
    input("period-from").min = kind === "emergency" ? "" : today;
    if (kind === "emergency" && input("period-from").value > today) input("period-from").value = today;
    if (kind !== "emergency" && input("period-from").value < today) input("period-from").value = today;
    this.#setSending(this.#sending);
  }

  /** Digging that starts before today has begun. */
  #markBegun() {
    if (this.#kind === "emergency" && input("period-from").value < dayText(new Date())) input("begun").checked = true;
  }

  #showOtherMethod() {
    byId("method-other-box").hidden = input("method").value !== "99";
  }

  #showPlace() {
    byId("area-around").textContent = t("area.around", { place: this.#place?.text ?? t("area.centre") });
  }

  #showArea() {
    const count = this.#areas.length;
    const sizeM2 = this.#preview?.area_m2 ?? this.#areas.reduce((sum, area) => sum + areaM2(area), 0);
    const output = byId("area-text");
    output.replaceChildren();
    if (count) output.append(make("strong", {}, t("area.size", { area: formatNumber(sizeM2) })), " ");
    if (count > 1) output.append(make("span", {}, t("area.several", { n: count })));
    if (count === 0) output.append(make("span", {}, t("area.none")));
    byId("draw-clear").hidden = count === 0;
    byId("draw-polygon-text").textContent = t(count ? "area.morePolygon" : "area.polygon");
    byId("draw-rectangle-text").textContent = t(count ? "area.moreRectangle" : "area.rectangle");
    const parts = this.#preview?.parts.length ?? 1;
    byId("area-parts").hidden = parts < 2;
    byId("area-parts").textContent = parts < 2 ? "" : t("area.parts", { n: parts, max: formatNumber(this.#config?.max_area_m2 ?? 0) });
  }
}
