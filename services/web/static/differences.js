// What changed since an earlier package of an enquiry: as a list, and on the map.

import { ApiError, packageDifferences } from "./api.js";
import { make, showError } from "./dom.js";
import { fromUtm32 } from "./geometry.js";
import { formatNumber, onLanguage, t, tOr } from "./i18n.js";
import { DIFFERENCES, drawDifferences } from "./overlays.js";

/**
 * @typedef {import("./api.js").Change} Change
 * @typedef {import("./overlays.js").Difference} Difference
 * @typedef {[number, number]} Place
 */

const KINDS = /** @type {Difference[]} */ (Object.keys(DIFFERENCES));
const SHOWN_AT_FIRST = 30;
const CLOSE_ZOOM = 19;

/** Where the sign of a change stands: in the middle of its line. @param {Change} change @returns {Place | null} */
function placeOf({ geometry, position }) {
  if (geometry?.type === "LineString" && geometry.coordinates.length > 1) {
    const { coordinates } = geometry;
    const half = (coordinates.length - 1) / 2;
    const [[x, y], [nextX, nextY]] = [coordinates[Math.floor(half)], coordinates[Math.floor(half) + 1] ?? coordinates[Math.floor(half)]];
    const rest = half % 1;
    return [x + (nextX - x) * rest, y + (nextY - y) * rest];
  }
  return position ? fromUtm32(position) : null;
}

/** @param {unknown} value */
function textOf(value) {
  if (value === null || value === undefined || value === "") return t("differences.nothing");
  if (typeof value === "number") return formatNumber(value, 3);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The box of differences of the enquiry that is looked at. */
export class DifferencesPanel {
  element = make("section", { class: "differences", id: "differences" });
  #number = "";
  #newest = 0;
  #since = 0;
  /** @type {import("./api.js").Differences | null} */ #found = null;
  /** @type {Error | null} */ #error = null;
  #busy = false;
  #onMap = true;
  #chosen = "";
  /** Kinds of which all are listed. @type {Set<Difference>} */ #whole = new Set();
  #map;

  /** @param {() => import("maplibre-gl").Map | null} map */
  constructor(map) {
    this.#map = map;
    onLanguage(() => this.#render());
  }

  /** Be about the packages of an enquiry, up to the newest. @param {string} number @param {number} newest */
  about(number, newest) {
    if (number === this.#number && newest === this.#newest) return;
    if (number !== this.#number || newest > this.#newest) this.#forget();
    [this.#number, this.#newest, this.#since] = [number, newest, newest - 1];
    this.#render();
  }

  /** Take everything off the map. */
  close() {
    this.#forget();
    [this.#number, this.#newest] = ["", 0];
  }

  #forget() {
    [this.#found, this.#error, this.#chosen] = [null, null, ""];
    this.#whole.clear();
    this.#draw();
  }

  async #load() {
    const [number, newest, since] = [this.#number, this.#newest, this.#since];
    this.#busy = true;
    this.#render();
    try {
      const found = await packageDifferences(number, since, newest);
      if (number !== this.#number || newest !== this.#newest) return;
      [this.#found, this.#error, this.#onMap] = [found, null, true];
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#error = error;
    } finally {
      this.#busy = false;
      this.#draw();
      this.#render();
    }
  }

  #draw() {
    const found = this.#found;
    drawDifferences(this.#map(), found && this.#onMap ? KINDS.flatMap((change) => found[change].map((one) => (
      { change, id: `${change}/${one.feature_id}`, geometry: one.geometry, before: one.geometry_before, place: placeOf(one) }
    ))) : [], this.#chosen);
  }

  /** @param {string} id @param {Change} change */
  #choose(id, change) {
    this.#chosen = id === this.#chosen ? "" : id;
    const place = placeOf(change);
    const map = this.#map();
    if (this.#chosen && place && map) map.easeTo({ center: place, zoom: Math.max(map.getZoom(), CLOSE_ZOOM) });
    this.#onMap = true;
    this.#draw();
    this.#render();
  }

  #render() {
    const { element } = this;
    element.hidden = this.#newest < 2;
    if (element.hidden) return;
    const focused = element.contains(document.activeElement) ? document.activeElement?.id : "";
    const error = make("div", { class: "error", role: "alert" });
    showError(error, this.#error);
    element.replaceChildren(make("h3", {}, t("differences.heading")), this.#head(), error, ...(this.#found ? this.#results() : []));
    if (focused) document.getElementById(focused)?.focus();
  }

  #head() {
    const select = make("select", { id: "differences-since" }, ...Array.from({ length: this.#newest - 1 }, (_, index) =>
      make("option", { value: String(index + 1), selected: index + 1 === this.#since }, String(index + 1))));
    select.addEventListener("change", () => {
      this.#forget();
      this.#since = Number(select.value);
      this.#render();
    });
    return make("div", { class: "since" },
      make("label", {}, make("span", {}, t("differences.since")), select),
      make("button", { type: "button", class: "secondary", id: "differences-show", disabled: this.#busy, "aria-expanded": String(this.#found !== null),
        click: () => {
          if (!this.#found) return void this.#load();
          this.#forget();
          this.#render();
        } }, t(this.#found ? "differences.hide" : "differences.show")));
  }

  #results() {
    const found = /** @type {import("./api.js").Differences} */ (this.#found);
    const { counts, owners } = found;
    if (counts.added + counts.removed + counts.changed + owners.length === 0) {
      return [make("p", { role: "status" }, t("differences.none"))];
    }
    const box = make("input", { type: "checkbox", id: "differences-map", checked: this.#onMap });
    box.addEventListener("change", () => {
      this.#onMap = box.checked;
      this.#draw();
    });
    return [
      make("ul", { class: "signs", role: "list", "aria-label": t("differences.legend") }, ...KINDS.map((kind) =>
        make("li", {}, sign(kind), make("strong", {}, formatNumber(counts[kind])), ` ${t(`differences.${kind}`)}`))),
      make("label", { class: "choice" }, box, make("span", {}, t("differences.onMap"))),
      ...(owners.length ? [make("ul", { class: "standings" }, ...owners.map(standing))] : []),
      ...KINDS.filter((kind) => found[kind].length).map((kind) => this.#list(kind, found[kind])),
    ];
  }

  /** @param {Difference} kind @param {Change[]} changes */
  #list(kind, changes) {
    const shown = this.#whole.has(kind) ? changes : changes.slice(0, SHOWN_AT_FIRST);
    const left = changes.length - shown.length;
    return make("div", { class: "changes" },
      make("h4", {}, sign(kind), `${t(`differences.${kind}`)} (${formatNumber(changes.length)})`),
      make("ul", {}, ...shown.map((change) => this.#row(kind, change))),
      ...(left ? [make("button", { type: "button", class: "quiet", id: `differences-more-${kind}`, click: () => {
        this.#whole.add(kind);
        this.#render();
      } }, t("differences.more", { n: formatNumber(left) }))] : []));
  }

  /** @param {Difference} kind @param {Change} change */
  #row(kind, change) {
    const id = `${kind}/${change.feature_id}`;
    const facts = Object.entries(change.attributes ?? {}).map(([name, { before, after }]) => `${name}: ${textOf(before)} → ${textOf(after)}`);
    if (change.moved_m !== undefined) facts.push(t("differences.moved", { m: formatNumber(change.moved_m, 2) }));
    else if (change.reshaped) facts.push(t("differences.reshaped"));
    if (change.raised_m !== undefined) facts.push(t("differences.raised", { m: formatNumber(change.raised_m, 2) }));
    const lines = [
      make("span", { class: "where" }, [tOr(`supply.${change.supply}`, change.supply ?? ""), change.feature_class].filter(Boolean).join(" · ")),
      ...facts.map((fact) => make("span", {}, fact)),
      make("span", { class: "path" }, change.feature_id),
    ];
    if (change.hazard === "meget farlig") lines[0].append(" · ", make("strong", { class: "danger" }, t("layers.hazard")));
    if (!placeOf(change)) return make("li", {}, ...lines);
    return make("li", {}, make("button", { type: "button", id: `change-${id}`, "aria-pressed": String(id === this.#chosen),
      click: () => this.#choose(id, change) }, ...lines));
  }
}

/** @param {Difference} kind */
function sign(kind) {
  return make("span", { class: `sign ${kind}`, "aria-hidden": "true" }, DIFFERENCES[kind].sign);
}

/** @param {import("./api.js").Standing} owner */
function standing({ name, before, after }) {
  /** @param {string | null} status */
  const words = (status) => (status ? tOr(`owner.${status}`, status) : t("differences.nothing"));
  const text = before === after ? t("differences.corrected") : t("differences.answer", { before: words(before), after: words(after) });
  return make("li", {}, make("strong", {}, name), make("span", {}, text));
}
