// The check of a delivery: choose a file, see what is wrong with it and where.

import { checkFile, checkPage } from "./api.js";
import { CHECK_SOURCE } from "./cartography.js";
import { byId, make, showError } from "./dom.js";
import { fromUtm32 } from "./geometry.js";
import { formatBytes, formatNumber, language, onLanguage, t } from "./i18n.js";

/**
 * @typedef {import("./api.js").CheckReport} CheckReport
 * @typedef {import("./api.js").Finding} Finding
 * @typedef {import("maplibre-gl").Map} Map
 */

const SEVERITIES = /** @type {const} */ (["error", "warning", "info"]);
const ROWS_AT_ONCE = 40;
const REACH_PX = 8;
const CLOSE_ZOOM = 19;

/** A place on the map, where there is one that makes sense. @param {Finding} finding @returns {[number, number] | null} */
function placeOf({ position }) {
  if (!position) return null;
  const place = fromUtm32(position);
  return place.every(Number.isFinite) && Math.abs(place[1]) < 85 ? place : null;
}

/** The text of the shown language. @param {string | undefined} danish @param {string | undefined} english */
const inLanguage = (danish, english) => (language() === "da" && danish) || english || "";

/** The panel, and the marks it makes on the map. */
export class CheckPanel {
  /** @type {File | null} */ #file = null;
  /** @type {CheckReport | null} */ #report = null;
  /** @type {Set<string>} */ #hidden = new Set();
  /** How many findings of a kind are listed, and whether it is open. @type {Record<string, {rows: number, open: boolean}>} */ #kinds = {};
  /** Index of the finding that is marked. @type {number | null} */ #chosen = null;
  /** @type {Map | null} */ #map = null;
  #running = new AbortController();
  #mayCheck = false;
  #strict = true;
  #shown = false;
  #onPlace;

  /** @param {{becomeOwner: () => void, onPlace: () => void}} actions `onPlace` is called before the map moves to a finding */
  constructor({ becomeOwner, onPlace }) {
    this.#onPlace = onPlace;
    const input = /** @type {HTMLInputElement} */ (byId("check-file"));
    byId("check-choose").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      if (input.files?.length) void this.#check(input.files[0]);
      input.value = "";
    });
    byId("check-become").addEventListener("click", becomeOwner);
    byId("check-cancel").addEventListener("click", () => this.#running.abort());
    this.#takeDrops(byId("view-check"));
    onLanguage(() => this.#render());
  }

  /** @param {import("./api.js").Config} config */
  configure(config) {
    this.#mayCheck = config.organisation !== null;
    byId("check-become").hidden = !config.demo;
    this.#render();
  }

  /** @param {Map} map with its style loaded */
  connect(map) {
    this.#map = map;
    this.#mark();
  }

  /** Show or hide the marks on the map. @param {boolean} shown */
  show(shown) {
    this.#shown = shown;
    this.#mark();
  }

  /**
   * Choose the finding that is drawn at a point of the screen.
   * @param {{x: number, y: number}} point
   * @returns {boolean} whether there was one
   */
  chooseAt({ x, y }) {
    if (!this.#shown || !this.#map) return false;
    const [found] = this.#map.queryRenderedFeatures(
      [[x - REACH_PX, y - REACH_PX], [x + REACH_PX, y + REACH_PX]], { layers: ["check/point"] });
    if (!found) return false;
    this.#choose(Number(found.properties.index), false);
    return true;
  }

  /** @param {HTMLElement} box */
  #takeDrops(box) {
    /** @param {DragEvent} event */
    const isFile = (event) => event.dataTransfer?.types.includes("Files") ?? false;
    for (const name of /** @type {const} */ (["dragenter", "dragover"])) {
      box.addEventListener(name, (event) => {
        if (!isFile(event)) return;
        event.preventDefault();
        box.classList.add("dropping");
      });
    }
    box.addEventListener("dragleave", (event) => {
      if (!box.contains(/** @type {Node | null} */ (event.relatedTarget))) box.classList.remove("dropping");
    });
    box.addEventListener("drop", (event) => {
      if (!isFile(event)) return;
      event.preventDefault();
      box.classList.remove("dropping");
      const file = event.dataTransfer?.files[0];
      if (file && this.#mayCheck) void this.#check(file);
    });
  }

  /** @param {File} file */
  async #check(file) {
    this.#running.abort();
    const running = this.#running = new AbortController();
    this.#file = file;
    this.#strict = /** @type {HTMLInputElement} */ (byId("check-strict")).checked;
    this.#report = null;
    this.#chosen = null;
    this.#hidden.clear();
    this.#kinds = {};
    this.#mark();
    this.#progress(0);
    this.#render();
    try {
      const report = await checkFile(file, this.#strict, (fraction) => this.#progress(fraction), running.signal);
      if (this.#running !== running) return;
      this.#take(report);
    } catch (error) {
      if (this.#running !== running) return;
      this.#file = null;
      if (!running.signal.aborted) showError(byId("check-error"), /** @type {Error} */ (error));
      this.#render(false);
    }
  }

  /** @param {CheckReport} report */
  #take(report) {
    this.#report = report;
    report.findings.forEach((finding, index) => {
      this.#kinds[kindOf(finding)] ??= { rows: ROWS_AT_ONCE, open: index === 0 };
    });
    this.#render();
    this.#mark();
    byId("check-result").querySelector("h2")?.focus();
    this.#showAll();
  }

  /** Let the map show every place that has a finding. */
  #showAll() {
    const places = (this.#report?.findings ?? []).map(placeOf).filter((place) => place !== null);
    if (!this.#map || places.length === 0) return;
    const longitudes = places.map(([lon]) => lon);
    const latitudes = places.map(([, lat]) => lat);
    this.#map.fitBounds(
      [Math.min(...longitudes), Math.min(...latitudes), Math.max(...longitudes), Math.max(...latitudes)],
      { padding: 70, maxZoom: CLOSE_ZOOM });
  }

  /** Show how much of the file was sent; all of it: the server reads. @param {number} fraction */
  #progress(fraction) {
    const bar = /** @type {HTMLProgressElement} */ (byId("check-bar"));
    if (fraction < 1) bar.value = fraction;
    else bar.removeAttribute("value");
    byId("check-step").textContent = fraction < 1
      ? t("check.sending", { percent: formatNumber(100 * fraction) }) : t("check.reading");
  }

  /** @param {boolean} [clearError] */
  #render(clearError = true) {
    const busy = this.#file !== null && this.#report === null;
    if (clearError) showError(byId("check-error"), null);
    byId("check-start").hidden = busy || this.#report !== null;
    byId("check-need-role").hidden = this.#mayCheck;
    /** @type {HTMLButtonElement} */ (byId("check-choose")).disabled = !this.#mayCheck;
    byId("check-busy").hidden = !busy;
    byId("check-name").textContent = this.#file ? `${this.#file.name} · ${formatBytes(this.#file.size)}` : "";
    const result = byId("check-result");
    result.hidden = this.#report === null;
    if (this.#report && this.#file) result.replaceChildren(...this.#result(this.#report, this.#file));
  }

  /** @param {CheckReport} report @param {File} file */
  #result(report, file) {
    const verdict = report.errors ? "refused" : report.warnings ? "remarked" : "accepted";
    const tone = report.errors ? "bad" : report.warnings ? "busy" : "good";
    const error = make("div", { class: "error", role: "alert", hidden: true });
    const download = make("button", { type: "button", id: "check-download", class: "secondary" }, t("check.download"));
    download.addEventListener("click", () => void savePage(file, this.#strict, download, error));
    return [
      make("div", { class: "status-head" },
        make("h2", { tabindex: "-1" }, file.name),
        make("span", { class: `chip ${tone}`, id: "check-verdict" }, t(`check.${verdict}`))),
      make("p", { class: "facts" }, [
        t("status.features", { n: report.features }), t(`check.strict.${this.#strict ? "on" : "off"}`)].join(" · ")),
      make("p", { class: `verdict ${tone}` }, t(`check.${verdict}.text`)),
      this.#filters(report),
      ...this.#list(report),
      make("div", { class: "buttons check-actions" },
        download,
        make("button", { type: "button", id: "check-new", class: "secondary", click: () => this.#leave() }, t("check.new"))),
      error,
    ];
  }

  #leave() {
    this.#file = this.#report = this.#chosen = null;
    this.#mark();
    this.#render();
    byId("check-choose").focus();
  }

  /** @param {CheckReport} report */
  #filters(report) {
    const notes = report.findings.filter(({ severity }) => severity === "info").length;
    const counts = { error: report.errors, warning: report.warnings, info: notes };
    return make("div", { class: "filters", role: "group", "aria-label": t("check.filter") }, ...SEVERITIES.map((severity) => {
      const n = counts[severity];
      const button = make("button", {
        type: "button", class: `is-${severity}`, "data-severity": severity, disabled: n === 0,
        "aria-pressed": String(n > 0 && !this.#hidden.has(severity)),
      }, make("strong", {}, formatNumber(n)), " ", t(`check.${severity}`, { n }));
      button.addEventListener("click", () => {
        if (this.#hidden.has(severity)) this.#hidden.delete(severity);
        else this.#hidden.add(severity);
        this.#redraw(`[data-severity=${severity}]`);
      });
      return button;
    }));
  }

  /** Draw the result anew and give the focus back. @param {string} selector */
  #redraw(selector) {
    const view = byId("view-check");
    const top = view.scrollTop;
    this.#render();
    this.#mark();
    /** @type {HTMLElement | null} */ (byId("check-result").querySelector(selector))?.focus({ preventScroll: true });
    view.scrollTop = top;
  }

  /** @param {CheckReport} report */
  #list(report) {
    const shown = report.findings.filter(({ severity }) => !this.#hidden.has(severity));
    const kinds = grouped(shown, kindOf);
    /** @type {HTMLElement[]} */
    const boxes = kinds.map(([kind, findings]) => this.#kind(report, kind, findings));
    const counted = report.errors + report.warnings;
    const kept = report.findings.filter(({ severity }) => severity !== "info").length;
    if (counted > kept) boxes.push(make("p", { class: "cut" }, t("check.cut", { kept: formatNumber(report.findings.length) })));
    return boxes;
  }

  /** @param {CheckReport} report @param {string} kind @param {Finding[]} findings */
  #kind(report, kind, findings) {
    const [first] = findings;
    const state = this.#kinds[kind];
    const name = report.kinds[first.code];
    const title = inLanguage(name?.title_da, name?.title) || inLanguage(first.message_da, first.message);
    const hint = inLanguage(first.hint_da, first.hint);
    const all = report.findings.every((one) => one.code !== first.code || kindOf(one) === kind);
    const count = all && name ? name.count : findings.length;
    const rules = [...new Set(findings.map(({ rule }) => rule).filter(Boolean)), first.code];
    const messages = new Set(findings.map((finding) => inLanguage(finding.message_da, finding.message)));
    const message = messages.size === 1 ? [...messages][0] : "";
    const said = [title, message];
    const rows = findings.slice(0, state.rows).map((finding) => this.#row(finding, said));
    const box = make("details", { class: `kind is-${first.severity}`, open: state.open },
      make("summary", {},
        make("span", { class: "kind-title" }, title),
        make("span", { class: "kind-count" }, formatNumber(count))),
      make("p", { class: "kind-rule" }, ...rules.map((rule) => make("code", {}, String(rule)))),
      message && message !== title ? make("p", {}, message) : "",
      hint ? make("p", { class: "kind-hint" }, make("strong", {}, `${t("check.hint")}: `), hint) : "",
      make("ul", {}, ...rows));
    const rest = findings.length - state.rows;
    if (rest > 0) {
      const more = make("button", { type: "button", class: "quiet", "data-more": "" }, t("check.more", { n: formatNumber(rest) }));
      more.addEventListener("click", () => {
        const next = findings[state.rows].index;
        state.rows += ROWS_AT_ONCE;
        this.#redraw(`[data-index="${next}"]`);
      });
      box.append(more);
    }
    box.addEventListener("toggle", () => { state.open = box.open; });
    return box;
  }

  /** @param {Finding} finding @param {string[]} said what stands above all rows already */
  #row(finding, said) {
    const message = inLanguage(finding.message_da, finding.message);
    const where = [finding.line ? t("check.line", { line: formatNumber(finding.line) }) : "", finding.feature_id ?? ""].filter(Boolean).join(" · ");
    const values = this.#values(finding, message);
    if (!where && !finding.path && said.includes(message) && values.length === 0) return "";
    const content = [
      make("span", { class: "where" }, where || t("check.document")),
      finding.path ? make("span", { class: "path" }, finding.path) : "",
      said.includes(message) ? "" : make("span", { class: "message" }, message),
      ...values,
    ];
    if (!placeOf(finding)) return make("li", { "data-index": String(finding.index), tabindex: "-1" }, ...content);
    const chosen = finding.index === this.#chosen;
    const button = make("button", {
      type: "button", "data-index": String(finding.index), "aria-pressed": String(chosen), title: t("check.show"),
    }, ...content);
    button.addEventListener("click", () => this.#choose(/** @type {number} */ (finding.index), true));
    return make("li", {}, button);
  }

  /** What was wanted and what stood there, where the message does not say it. @param {Finding} finding @param {string} message */
  #values(finding, message) {
    const pairs = /** @type {const} */ ([["expected", finding.expected], ["found", finding.found]]);
    return pairs.filter(([, value]) => value && !message.includes(value))
      .map(([name, value]) => make("span", { class: "value" }, make("em", {}, `${t(`check.${name}`)}: `), String(value)));
  }

  /** Mark a finding in the list and on the map. @param {number} index @param {boolean} fly whether the map goes there */
  #choose(index, fly) {
    const finding = this.#report?.findings[index];
    const place = finding && placeOf(finding);
    if (!finding || !place) return;
    this.#chosen = index;
    const state = this.#kinds[kindOf(finding)];
    const rank = (this.#report?.findings ?? []).filter((one) => kindOf(one) === kindOf(finding)).indexOf(finding);
    state.open = true;
    state.rows = Math.max(state.rows, rank + 1);
    this.#hidden.delete(finding.severity);
    this.#redraw(`[data-index="${index}"]`);
    if (!fly) byId("check-result").querySelector(`[data-index="${index}"]`)?.scrollIntoView({ block: "center" });
    if (!fly || !this.#map) return;
    this.#onPlace();
    this.#map.flyTo({ center: place, zoom: Math.max(this.#map.getZoom(), CLOSE_ZOOM), speed: 2.4 });
  }

  /** Draw the places of the findings that are listed. */
  #mark() {
    const source = /** @type {import("maplibre-gl").GeoJSONSource | undefined} */ (this.#map?.getSource(CHECK_SOURCE));
    const listed = this.#shown ? (this.#report?.findings ?? []).filter(({ severity }) => !this.#hidden.has(severity)) : [];
    const features = listed.flatMap((finding) => {
      const coordinates = placeOf(finding);
      const properties = { index: finding.index, severity: finding.severity, chosen: finding.index === this.#chosen };
      return coordinates ? [{ type: /** @type {const} */ ("Feature"), geometry: { type: /** @type {const} */ ("Point"), coordinates }, properties }] : [];
    });
    source?.setData({ type: "FeatureCollection", features: features.reverse() });
  }
}

/** Findings of one kind stand together. @param {Finding} finding */
const kindOf = ({ severity, code, hint }) => `${severity} ${code} ${hint}`;

/** @template T @param {T[]} items @param {(item: T) => string} key @returns {[string, T[]][]} */
function grouped(items, key) {
  /** @type {Record<string, T[]>} */
  const groups = {};
  for (const item of items) (groups[key(item)] ??= []).push(item);
  return Object.entries(groups);
}

/**
 * Fetch the report as a page and save it.
 * @param {File} file
 * @param {boolean} strict
 * @param {HTMLButtonElement} button
 * @param {HTMLElement} errorBox
 */
async function savePage(file, strict, button, errorBox) {
  button.disabled = true;
  button.textContent = t("status.downloading");
  showError(errorBox, null);
  try {
    const address = URL.createObjectURL(await checkPage(file, strict));
    make("a", { href: address, download: `${file.name.replace(/\.[^.]*$/, "")}-${t("check.report")}.html` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  } catch (error) {
    showError(errorBox, /** @type {Error} */ (error));
  } finally {
    button.disabled = false;
    button.textContent = t("check.download");
  }
}
