// Owners of one enquiry: what each has answered, until when he must, and how to reach him.

import { make } from "./dom.js";
import { formatDate, formatMoment, formatNumber, formatSpan, language, t, tOr } from "./i18n.js";

/** @typedef {import("./api.js").OwnerAnswer} OwnerAnswer */

/** How a status looks: `good`, `calm`, `busy` or `care`. @type {Record<string, string>} */
const TONES = {
  delivered: "good", "no-lines": "calm", waiting: "busy", withheld: "care", manual: "busy",
  "pointing-out": "care", "pointing-out-delivered": "care", direct: "care", "not-asked": "calm",
};
/** Kinds of supply by LER's names, in which owners register them. @type {Record<string, string>} */
const SUPPLY_OF_LER = {
  el: "electricity", vand: "water", "afløb": "sewer", gas: "gas", olie: "oil", telekommunikation: "telecom",
  "fjernvarme/fjernkøling": "district-heating",
};
/** Answers after which one must talk to the owner. */
const TALK = new Set(["withheld", "manual", "pointing-out", "pointing-out-delivered", "direct"]);

/** @param {OwnerAnswer} owner */
const isLate = (owner) => owner.open && owner.overdue_since !== null;

/**
 * The owners, those whose answer is late or missing first.
 * @param {OwnerAnswer[]} owners
 * @param {string} number of the enquiry
 * @param {{contacts: boolean}} options whether each is shown with telephone and mail, not only whom one must talk to
 */
export function ownerList(owners, number, { contacts }) {
  /** @param {OwnerAnswer} owner */
  const rank = (owner) => (isLate(owner) ? 0 : owner.open ? 1 : TALK.has(owner.status) ? 2 : 3);
  const ordered = owners.toSorted((one, other) => rank(one) - rank(other));
  return make("ul", { class: "owners" }, ...ordered.map((owner) => ownerRow(owner, number, contacts)));
}

/** @param {OwnerAnswer} owner @param {string} number @param {boolean} contacts */
function ownerRow(owner, number, contacts) {
  const status = tOr(`owner.${owner.status}`, language() === "da" ? owner.status_da : owner.status);
  const late = isLate(owner);
  const row = make("li", { "data-status": owner.status, "data-cvr": owner.cvr, class: late ? "late" : "" },
    make("div", { class: "owner-line" },
      make("span", { class: "owner-name" }, owner.name, make("small", {}, factsOf(owner).join(" · "))),
      make("span", { class: `chip ${late ? "bad" : TONES[owner.status] ?? "calm"}`, title: owner.status_da ?? "" }, status)));
  const clock = clockText(owner);
  if (clock) row.append(make("p", { class: late ? "clock danger" : "clock" }, clock));
  if (owner.open && owner.expected_at) row.append(make("p", { class: "clock" }, t("owner.expected", { when: whenOf(owner.expected_at) })));
  if (owner.supplementary_info) row.append(make("p", { class: "said" }, owner.supplementary_info));
  if (contacts || late || TALK.has(owner.status)) row.append(contactOf(owner, number, contacts));
  return row;
}

/** A day, or a moment where the text tells one. @param {string} text */
const whenOf = (text) => (text.length > 10 ? formatMoment(text) : formatDate(text));

/** @param {OwnerAnswer} owner */
function factsOf(owner) {
  const facts = [owner.supplies.map((supply) => tOr(`supply.${SUPPLY_OF_LER[supply] ?? supply}`, supply)).join(", ")];
  if (owner.features) facts.push(t("status.features", { n: owner.features === 1 ? 1 : formatNumber(owner.features) }));
  if (owner.expired) facts.push(t("owner.expired"));
  else if (owner.valid_to) facts.push(t("status.validTo", { date: formatDate(owner.valid_to) }));
  if (owner.version > 1) facts.push(t("owner.corrected", { n: owner.version - 1 }));
  return facts.filter(Boolean);
}

/** @param {OwnerAnswer} owner */
function clockText({ clock, due_at: due, overdue_since: since, time_left_min: left, open }) {
  if (!clock || !due || (!open && clock.state !== "late")) return "";
  return t(`clock.${clock.state}`, { when: formatMoment(since ?? due), span: formatSpan(left ?? 0) });
}

/** Telephone and mail as links; what does not look like one is text. @param {OwnerAnswer} owner @param {string} number @param {boolean} wanted */
function contactOf({ contact }, number, wanted) {
  const box = make("p", { class: "contact" });
  const { name = "", phone = "", email = "" } = contact ?? {};
  if (name) box.append(make("span", {}, name));
  const digits = phone.replace(/[^\d+]/g, "");
  if (digits.length >= 3) box.append(make("a", { class: "phone", href: `tel:${digits}` }, t("status.phone", { phone })));
  else if (wanted) box.append(make("span", { class: "none" }, t("status.noPhone")));
  if (/^[^\s@?&]+@[^\s@?&]+$/.test(email)) {
    box.append(make("a", { href: `mailto:${encodeURI(email)}?subject=${encodeURIComponent(number)}` }, t("status.mail", { mail: email })));
  }
  box.hidden = box.childElementCount === 0;
  return box;
}
