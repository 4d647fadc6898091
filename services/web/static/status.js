// An enquiry after it was filed: the owners' answers as they come, hazards, the package; and the list of enquiries.

import { ApiError, getEnquiry, listEnquiries, packageLink } from "./api.js";
import { byId, make, showError } from "./dom.js";
import { formatBytes, formatDate, formatNumber, language, onLanguage, t, tOr } from "./i18n.js";

/**
 * @typedef {import("./api.js").Enquiry} Enquiry
 * @typedef {import("./api.js").OwnerAnswer} OwnerAnswer
 */

const QUICK_POLLS = 8;
const QUICK_WAIT_S = 1;
const LONG_WAIT_S = 25;
const RETRY_MS = 4000;
const STILL_WAITING_MS = 15_000;

/** How a status looks: `good`, `calm`, `busy` or `care`. @type {Record<string, string>} */
const TONES = {
  delivered: "good", "no-lines": "calm", waiting: "busy", withheld: "care", manual: "busy",
  "pointing-out": "care", "pointing-out-delivered": "care", direct: "care",
};

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
  #actions;

  /** @param {{show: (enquiry: Enquiry) => void, ready: () => void, leave: () => void, mayDownload: () => boolean}} actions */
  constructor(actions) {
    this.#actions = actions;
    onLanguage(() => this.#render());
  }

  /** Show `enquiry` and follow it until it is complete or its package has failed. @param {Enquiry} enquiry */
  open(enquiry) {
    this.#watch.abort();
    this.#watch = new AbortController();
    this.#enquiry = enquiry;
    this.#dangerous = null;
    this.#delay = "waiting";
    byId("enquiry-form").hidden = true;
    byId("status-view").hidden = false;
    this.#render();
    byId("view-enquiry").scrollTop = 0;
    this.#actions.show(enquiry);
    void this.#follow(enquiry.number, this.#watch.signal);
  }

  /** Leave the view and show the form. */
  close() {
    this.#watch.abort();
    this.#enquiry = null;
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

  #render() {
    const enquiry = this.#enquiry;
    if (!enquiry) return;
    const view = byId("status-view");
    const hadFocus = view.contains(document.activeElement) ? document.activeElement?.id : "";
    const answered = enquiry.owners.filter(({ status }) => status !== "waiting").length;
    const total = enquiry.owners.length;
    const ready = enquiry.package?.ready === true;
    view.replaceChildren(
      make("div", { class: "status-head" },
        make("h2", {}, t("status.heading", { number: enquiry.number })),
        make("span", { class: `chip ${ready ? "good" : "busy"}`, id: "enquiry-state" }, tOr(`status.${enquiry.state}`, enquiry.state))),
      make("p", { class: "facts" }, `${formatNumber(enquiry.area_m2)} m² · ${t("status.period", {
        from: formatDate(enquiry.period.from), to: formatDate(enquiry.period.to) })}`),
      make("div", { class: "progress", role: "status" },
        meter(answered, total),
        make("p", {}, total ? t("status.progress", { done: answered, total }) : t("status.noOwners"))),
      this.#packageBox(enquiry),
      ...this.#hazard(),
      make("ul", { class: "owners" }, ...enquiry.owners.map(ownerRow)),
      make("div", { class: "buttons" },
        make("button", { type: "button", id: "status-show", click: () => this.#actions.show(enquiry) }, t("status.show")),
        make("button", { type: "button", id: "status-new", click: () => this.close() }, t("status.new"))),
    );
    if (hadFocus) document.getElementById(hadFocus)?.focus();
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
    const { features = 0, size_bytes: size = 0 } = enquiry.package;
    box.append(
      make("p", {}, make("strong", {}, t("status.ready")), " ",
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

/** @param {OwnerAnswer} owner */
function ownerRow(owner) {
  const facts = [];
  if (owner.features) facts.push(t("status.features", { n: formatNumber(owner.features) }));
  if (owner.expired) facts.push(t("owner.expired"));
  else if (owner.valid_to) facts.push(t("status.validTo", { date: formatDate(owner.valid_to) }));
  const status = tOr(`owner.${owner.status}`, language() === "da" ? owner.status_da : owner.status);
  return make("li", { "data-status": owner.status },
    make("span", { class: "owner-name" }, owner.name, make("small", {}, facts.join(" · "))),
    make("span", { class: `chip ${TONES[owner.status] ?? "calm"}`, title: owner.status_da ?? "" }, status));
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
    const enquiries = await listEnquiries();
    view.replaceChildren(enquiries.length === 0
      ? make("p", { class: "empty" }, t("mine.empty"))
      : make("ul", { class: "enquiries" }, ...enquiries.map((enquiry) => enquiryRow(enquiry, onOpen))));
  } catch (error) {
    const box = make("div", { class: "error", role: "alert" });
    view.replaceChildren(box);
    showError(box, /** @type {Error} */ (error));
  }
}

/** @param {Enquiry} enquiry @param {(enquiry: Enquiry) => void} onOpen */
function enquiryRow(enquiry, onOpen) {
  const tone = enquiry.state === "expired" ? "calm" : enquiry.package?.ready ? "good" : "busy";
  return make("li", {},
    make("button", { type: "button", click: () => onOpen(enquiry) },
      make("span", { class: "owner-name" }, enquiry.number,
        make("small", {}, [formatDate(enquiry.filed_at), enquiry.description].filter(Boolean).join(" · "))),
      make("span", { class: `chip ${tone}` }, tOr(`status.${enquiry.state}`, enquiry.state))));
}
