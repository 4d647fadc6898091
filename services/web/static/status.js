// An enquiry after it was filed: whom to call, the owners' answers as they come, the package; and the list of enquiries.

import { ApiError, getEnquiry, listEnquiries, packageLink, randomKey, resendEnquiry } from "./api.js";
import { DifferencesPanel } from "./differences.js";
import { byId, make, showError } from "./dom.js";
import { formatBytes, formatDate, formatKroner, formatNumber, language, onLanguage, t, tOr } from "./i18n.js";
import { isLate, ownerList } from "./owners.js";

/**
 * @typedef {import("./api.js").Enquiry} Enquiry
 * @typedef {import("./api.js").OwnerAnswer} OwnerAnswer
 * @typedef {import("./api.js").Part} Part
 */

const QUICK_POLLS = 8;
const QUICK_WAIT_S = 1;
const LONG_WAIT_S = 25;
const RETRY_MS = 4000;
const STILL_WAITING_MS = 15_000;

/** @param {number} ms @param {AbortSignal} signal */
const pause = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    resolve(undefined);
  });
});

/** The view of one enquiry. */
export class EnquiryStatus {
  /** @type {Enquiry | null} */ #enquiry = null;
  /** @type {number | null} */ #dangerous = null;
  /** What holds up the package, a key of the catalogue. @type {"waiting" | "slow" | "lost"} */
  #delay = "waiting";
  #watch = new AbortController();
  /** The key of sending again, kept so that a repeat after a lost answer is not a second enquiry. */
  #resendKey = { number: "", key: "" };
  /** Whether the next click sends again. */
  #sure = false;
  #actions;
  #differences;

  /**
   * @param {{show: (enquiry: Enquiry) => void, ready: () => void, leave: () => void, mayDownload: () => boolean,
   *   zoomTo: (part: Part) => void, map: () => import("maplibre-gl").Map | null}} actions
   */
  constructor(actions) {
    this.#actions = actions;
    this.#differences = new DifferencesPanel(actions.map);
    onLanguage(() => this.#render());
  }

  /** Show `enquiry` and follow it until it is complete or its package has failed. @param {Enquiry} enquiry */
  open(enquiry) {
    this.#watch.abort();
    this.#watch = new AbortController();
    this.#enquiry = enquiry;
    this.#dangerous = null;
    this.#sure = false;
    this.#delay = "waiting";
    this.#differences.close();
    byId("enquiry-form").hidden = true;
    byId("status-view").hidden = false;
    this.#render();
    byId("view-enquiry").scrollTop = 0;
    byId("status-title").focus();
    this.#actions.show(enquiry);
    void this.#follow(enquiry.number, this.#watch.signal);
  }

  /** Leave the view and show the form. */
  close() {
    this.#watch.abort();
    this.#enquiry = null;
    this.#differences.close();
    byId("enquiry-form").hidden = false;
    byId("status-view").hidden = true;
    this.#actions.leave();
  }

  /** Tell how many very dangerous lines the map shows. @param {number} count */
  setDangerous(count) {
    if (this.#enquiry?.package?.ready && count !== this.#dangerous) {
      this.#dangerous = count;
      this.#render();
    }
  }

  /** @param {string} number @param {AbortSignal} signal */
  async #follow(number, signal) {
    let known = "";
    for (let poll = 0; !signal.aborted; poll += 1) {
      try {
        const enquiry = await getEnquiry(number, poll < QUICK_POLLS ? QUICK_WAIT_S : LONG_WAIT_S, signal);
        if (signal.aborted) return;
        this.#enquiry = enquiry;
        this.#delay = poll > QUICK_POLLS ? "slow" : "waiting";
        this.#render();
        if (enquiry.package?.ready && enquiry.package.sha256 !== known) {
          known = enquiry.package.sha256 ?? "";
          this.#actions.ready();
        }
        if (["complete", "expired"].includes(enquiry.state) || enquiry.package?.state === "failed") return;
        if (enquiry.package?.state !== "building") await pause(STILL_WAITING_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof ApiError) || (error.status > 0 && error.status < 500)) throw error;
        this.#delay = "lost";
        this.#render();
        await pause(RETRY_MS, signal);
      }
    }
  }

  /** Whether the viewer filed the enquiry; only he is told fee, validity and what changed. */
  get #isFiler() {
    return this.#enquiry?.fee_dkk !== undefined && this.#actions.mayDownload();
  }

  #render() {
    const enquiry = this.#enquiry;
    if (!enquiry) return;
    const view = byId("status-view");
    const hadFocus = view.contains(document.activeElement) ? document.activeElement?.id : "";
    const { scrollTop } = byId("view-enquiry");
    this.#differences.about(enquiry.number, this.#isFiler ? enquiry.package?.sequence ?? 0 : 0);
    const owners = this.#owners(enquiry);
    view.replaceChildren(
      make("div", { class: "status-head" },
        make("h2", { id: "status-title", tabindex: "-1" }, t("status.heading", { number: enquiry.number })),
        make("span", { class: `chip ${toneOf(enquiry)}`, id: "enquiry-state" }, tOr(`status.${enquiry.state}`, enquiry.state))),
      ...(enquiry.permits_digging ? [] : [make("p", { class: "verdict bad" }, t("status.never"))]),
      ...(enquiry.owners_first ? owners : []),
      this.#facts(enquiry),
      ...progress(enquiry),
      ...lateBox(enquiry),
      this.#packageBox(enquiry),
      this.#differences.element,
      ...this.#hazard(),
      ...validityBox(enquiry),
      ...(enquiry.owners_first ? [] : owners),
      ...beside(enquiry),
      ...this.#parts(enquiry),
      ...this.#resend(enquiry),
      make("div", { class: "buttons" },
        make("button", { type: "button", id: "status-show", click: () => this.#actions.show(enquiry) }, t("status.show")),
        make("button", { type: "button", id: "status-new", click: () => this.close() }, t("status.new"))),
    );
    byId("view-enquiry").scrollTop = scrollTop;
    if (hadFocus) document.getElementById(hadFocus)?.focus({ preventScroll: true });
  }

  /** @param {Enquiry} enquiry */
  #facts(enquiry) {
    const { area_m2: areaM2, period, kind, fee_dkk: fee, description } = enquiry;
    const lines = [
      [t(`kind.${kind}`), description].filter(Boolean).join(" · "),
      [`${formatNumber(areaM2)} m²`, t("status.period", { from: formatDate(period.from), to: formatDate(period.to) }),
        ...(fee === undefined ? [] : [t("status.feeLine", { fee: Number(fee) === 0 ? t("preview.free").toLowerCase() : t("preview.kr", { kr: formatKroner(fee) }) })])].join(" · "),
    ];
    return make("p", { class: "facts" }, ...lines.map((line) => make("span", {}, line)));
  }

  /** @param {Enquiry} enquiry */
  #owners(enquiry) {
    const { owners, owners_first: call, kind } = enquiry;
    const heading = call ? "status.call" : kind === "planning" ? "status.ownersNotAsked" : "status.owners";
    if (owners.length === 0) return [make("p", { class: "empty" }, t("status.noOwners"))];
    const shown = call ? owners : owners.filter((owner) => !isShownAsLate(owner, enquiry));
    if (shown.length === 0) return [];
    return [make("section", { class: call ? "owner-box call" : "owner-box" },
      make("h3", {}, t(heading)), ownerList(shown, enquiry.number, call ? "call" : kind === "planning" ? "all" : "needed"))];
  }

  /** @param {Enquiry} enquiry */
  #parts({ parts = [] }) {
    if (parts.length < 2) return [];
    return [make("section", {}, make("h3", {}, t("parts.heading")), make("ul", { class: "enquiries", id: "parts" }, ...parts.map((part, index) => make("li", {},
      make("button", { type: "button", id: `part-${part.number}`, click: () => this.#actions.zoomTo(part) },
        make("span", { class: "owner-name" }, t("parts.part", { part: index + 1 }), make("small", {}, `${part.number} · ${formatNumber(part.area_m2)} m²`)),
        make("span", { class: `chip ${part.state === "complete" ? "good" : "busy"}` }, tOr(`status.${part.state}`, part.state)))))))];
  }

  /** @param {Enquiry} enquiry */
  #resend({ number, resend, original, permits_digging: digs }) {
    if (!resend || !digs || !this.#isFiler) return [];
    const box = make("section", { class: "resend" });
    if (original) box.append(make("p", { class: "small" }, t("resend.of"), " ", make("strong", {}, original)));
    if (!resend.allowed) {
      if (!original) box.append(make("p", { class: "small" }, language() === "da" ? resend.da : resend.en));
      return box.childElementCount ? [box] : [];
    }
    const error = make("div", { class: "error", role: "alert", hidden: true });
    const button = make("button", { type: "button", class: "secondary", id: "resend" }, t(this.#sure ? "resend.sure" : "resend.button"));
    button.addEventListener("click", async () => {
      if (!this.#sure) {
        this.#sure = true;
        button.textContent = t("resend.sure");
        return;
      }
      button.disabled = true;
      try {
        if (this.#resendKey.number !== number) this.#resendKey = { number, key: randomKey() };
        const again = await resendEnquiry(number, this.#resendKey.key);
        this.#resendKey = { number: "", key: "" };
        this.open(again);
      } catch (reason) {
        button.disabled = false;
        showError(error, /** @type {Error} */ (reason));
      }
    });
    box.append(make("p", { class: "small" }, t("resend.text", { date: formatDate(resend.last_day) })), button, error);
    return [box];
  }

  #hazard() {
    if (this.#dangerous === null) return [];
    const none = this.#dangerous === 0;
    return [make("p", { class: none ? "hazard none" : "hazard" },
      none ? t("status.noHazard") : t("status.hazard", { n: this.#dangerous }))];
  }

  /** @param {Enquiry} enquiry */
  #packageBox(enquiry) {
    const box = make("div", { class: "package", hidden: enquiry.package?.state === null });
    const error = make("div", { class: "error", role: "alert", hidden: true });
    if (enquiry.package?.state === "failed") {
      error.append(make("p", { class: "error-text" }, t("status.packageFailed")));
      error.hidden = false;
      box.append(error);
      return box;
    }
    if (!enquiry.package?.ready) {
      box.append(make("p", { class: "building" }, t(`status.${this.#delay}`)));
      return box;
    }
    const button = make("button", { type: "button", class: "primary", id: "download-package" }, t("status.download"));
    button.addEventListener("click", () => void download(enquiry.number, button, error));
    const { features = 0, size_bytes: size = 0, sequence = 1 } = enquiry.package;
    box.append(
      make("p", {}, make("strong", {}, sequence > 1 ? t("status.readyAgain", { n: sequence }) : t("status.ready")), " ",
        make("span", {}, t("status.packageSize", { n: formatNumber(features), size: formatBytes(size) }))),
    );
    if (this.#actions.mayDownload()) box.append(button, error);
    return box;
  }
}

/** @param {number} done @param {number} total */
function meter(done, total) {
  const bar = make("span", { class: "meter", "aria-hidden": "true" }, make("span"));
  /** @type {HTMLElement} */ (bar.firstElementChild).style.width = `${total ? (100 * done) / total : 100}%`;
  return bar;
}

/** How the state of an enquiry looks. @param {Enquiry} enquiry */
function toneOf({ state, package: made, permits_digging: digs, owners }) {
  if (state === "expired" || !digs) return "calm";
  return state === "complete" || (made?.ready && !owners.some(({ open }) => open)) ? "good" : "busy";
}

/** How many owners have answered, and what that means. @param {Enquiry} enquiry */
function progress({ owners, permits_digging: digs, owners_first: called, state }) {
  if (owners.length === 0 || !digs) return [];
  const open = owners.filter((owner) => owner.open).length;
  const late = owners.filter(isLate).length;
  const missing = open ? t(called ? "status.openCalled" : "status.open", { n: open }) : t("status.all", { n: owners.length });
  const box = make("div", { class: "progress", role: "status" }, meter(owners.length - open, owners.length));
  if (open) box.append(make("p", {}, t("status.progress", { done: owners.length - open, total: owners.length })));
  if (state !== "expired") {
    box.append(make("p", { class: `verdict ${late ? "bad" : open ? "busy" : "good"}`, id: "completeness" }, missing));
  }
  return [box];
}

/** @param {OwnerAnswer} owner @param {Enquiry} enquiry */
const isShownAsLate = (owner, { owners_first: called, state }) => isLate(owner) && !called && state !== "expired";

/** Owners to contact now, before the others. @param {Enquiry} enquiry */
function lateBox(enquiry) {
  const late = enquiry.owners.filter((owner) => isShownAsLate(owner, enquiry));
  return late.length ? [make("section", { class: "owner-box call" }, make("h3", {}, t("status.lateHeading")), ownerList(late, enquiry.number, "call"))] : [];
}

/** Until when the information may be used. @param {Enquiry} enquiry */
function validityBox({ validity, owners }) {
  if (!validity || validity.state === "never") return [];
  const names = owners.filter(({ cvr }) => validity.expired_owners.includes(cvr)).map(({ name }) => name).join(", ");
  const tone = { expired: "bad", "information-expired": "bad" }[/** @type {string} */ (validity.state)];
  return [make("p", { class: tone ? `verdict ${tone}` : "small", id: "validity" },
    t(`validity.${validity.state}`, { date: formatDate(validity.last_day), owners: names }))];
}

/** Owners beside the area, who were not asked. @param {Enquiry} enquiry */
function beside({ number, surroundings }) {
  if (!surroundings || surroundings.owners.length === 0) return [];
  return [make("section", { class: "owner-box beside", id: "beside" },
    make("h3", {}, t("status.beside", { n: formatNumber(surroundings.distance_m) })),
    make("p", { class: "small" }, t("status.besideText")),
    ownerList(surroundings.owners, number, "all"))];
}

/**
 * Ask for a link to the package and follow it.
 * @param {string} number
 * @param {HTMLButtonElement} button
 * @param {HTMLElement} errorBox
 */
async function download(number, button, errorBox) {
  button.disabled = true;
  button.textContent = t("status.downloading");
  showError(errorBox, null);
  try {
    const link = await packageLink(number);
    make("a", { href: link.href, download: link.name }).click();
  } catch (error) {
    showError(errorBox, /** @type {Error} */ (error));
  } finally {
    button.disabled = false;
    button.textContent = t("status.download");
  }
}

/**
 * Fill the list of enquiries.
 * @param {boolean} known whether somebody is signed in
 * @param {(enquiry: Enquiry) => void} onOpen
 */
export async function showEnquiries(known, onOpen) {
  const view = byId("view-mine");
  if (!known) {
    view.replaceChildren(make("p", { class: "empty" }, t("mine.needRole")));
    return;
  }
  try {
    const { items, next } = await listEnquiries();
    if (items.length === 0) view.replaceChildren(make("p", { class: "empty" }, t("mine.empty")));
    else view.replaceChildren(make("ul", { class: "enquiries" }, ...items.map((one) => enquiryRow(one, onOpen))), ...moreButton(next, onOpen));
  } catch (error) {
    view.replaceChildren(alertOf(error));
  }
}

/**
 * The way to older enquiries; nothing where the list ends.
 * @param {string | null} next @param {(enquiry: Enquiry) => void} onOpen
 */
function moreButton(next, onOpen) {
  if (!next) return [];
  const button = make("button", { type: "button", class: "quiet", id: "mine-more", click: async () => {
    button.disabled = true;
    try {
      const page = await listEnquiries(next);
      const rows = page.items.map((one) => enquiryRow(one, onOpen));
      byId("view-mine").querySelector("ul")?.append(...rows);
      button.replaceWith(...moreButton(page.next, onOpen));
      rows[0]?.querySelector("button")?.focus();
    } catch (error) {
      button.replaceWith(alertOf(error), ...moreButton(next, onOpen));
    }
  } }, t("mine.more"));
  return [button];
}

/** @param {unknown} error */
function alertOf(error) {
  const box = make("div", { class: "error", role: "alert" });
  showError(box, /** @type {Error} */ (error));
  return box;
}

/** @param {Enquiry} enquiry @param {(enquiry: Enquiry) => void} onOpen */
function enquiryRow(enquiry, onOpen) {
  const { kind, parts = [], owners } = enquiry;
  const facts = [formatDate(enquiry.filed_at), ...(kind === "planned" ? [] : [t(`kind.${kind}`)]),
    ...(parts.length > 1 ? [t("mine.parts", { n: parts.length })] : []), enquiry.description];
  const late = owners.filter(isLate).length;
  return make("li", {},
    make("button", { type: "button", click: () => onOpen(enquiry) },
      make("span", { class: "owner-name" }, enquiry.number,
        make("small", {}, facts.filter(Boolean).join(" · ")),
        ...(late && enquiry.state !== "expired" ? [make("small", { class: "danger" }, t("mine.late", { n: late }))] : [])),
      make("span", { class: `chip ${toneOf(enquiry)}` }, tOr(`status.${enquiry.state}`, enquiry.state))));
}
