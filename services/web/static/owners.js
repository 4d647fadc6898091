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
export const isLate = (owner) => owner.open && owner.overdue_since !== null;

/**
 * The owners, those whose answer is late or missing first.
 * @param {OwnerAnswer[]} owners
 * @param {string} number of the enquiry
 * @param {"call" | "all" | "needed"} contacts whose telephone and mail are shown: `call` puts the telephone first,
 *   `needed` shows only whom one must talk to
 */
export function ownerList(owners, number, contacts) {
  /** @param {OwnerAnswer} owner */
  const rank = (owner) => (isLate(owner) ? 0 : owner.open ? 1 : TALK.has(owner.status) ? 2 : 3);
  const ordered = owners.toSorted((one, other) => rank(one) - rank(other));
  const row = contacts === "call" ? callRow : ownerRow;
  return make("ul", { class: "owners" }, ...ordered.map((owner) => row(owner, number, contacts === "all")));
}

/** @param {OwnerAnswer} owner */
function chipOf(owner) {
  const status = tOr(`owner.${owner.status}`, language() === "da" ? owner.status_da : owner.status);
  return make("span", { class: `chip ${isLate(owner) ? "bad" : TONES[owner.status] ?? "calm"}`, title: owner.status_da ?? "" }, status);
}

/** @param {OwnerAnswer} owner @param {Node | string} facts @param {Node} aside @param {...Node} more */
function rowOf(owner, facts, aside, ...more) {
  return make("li", { "data-status": owner.status, "data-cvr": owner.cvr, class: isLate(owner) ? "late" : "" },
    make("div", { class: "owner-line" }, make("span", { class: "owner-name" }, owner.name, make("small", {}, facts)), aside), ...more);
}

/** Whom to call, and beneath it what he has answered. @param {OwnerAnswer} owner @param {string} number */
function callRow(owner, number) {
  const supplies = suppliesOf(owner);
  const clock = clockText(owner);
  const mail = mailOf(owner, number);
  return rowOf(owner, supplies, phoneOf(owner) ?? make("span", { class: "none" }, t("status.noPhone")),
    make("p", { class: "contact" }, chipOf(owner), ...(clock ? [make("span", { class: isLate(owner) ? "danger" : "" }, clock)] : []), ...expectedOf(owner), ...(mail ? [mail] : [])));
}

/** @param {OwnerAnswer} owner @param {string} number @param {boolean} contacts */
function ownerRow(owner, number, contacts) {
  const late = isLate(owner);
  const row = rowOf(owner, factsOf(owner).join(" · "), chipOf(owner));
  const clock = clockText(owner);
  if (clock) row.append(make("p", { class: late ? "clock danger" : "clock" }, clock));
  for (const expected of expectedOf(owner)) row.append(make("p", { class: "clock" }, expected));
  if (owner.supplementary_info) row.append(make("p", { class: "said" }, owner.supplementary_info));
  const [phone, mail] = [phoneOf(owner), mailOf(owner, number)];
  if ((contacts || late || TALK.has(owner.status)) && (phone || mail)) {
    row.append(make("p", { class: "contact" }, ...(owner.contact?.name ? [make("span", {}, owner.contact.name)] : []), ...[phone, mail].filter((link) => link !== null)));
  }
  return row;
}

/** A day, or a moment where the text tells one. @param {string} text */
const whenOf = (text) => (text.length > 10 ? formatMoment(text) : formatDate(text));

/** @param {OwnerAnswer} owner */
const expectedOf = ({ open, expected_at: when }) => (open && when ? [make("span", {}, t("owner.expected", { when: whenOf(when) }))] : []);

/** @param {OwnerAnswer} owner */
const suppliesOf = ({ supplies }) => supplies.map((supply) => tOr(`supply.${SUPPLY_OF_LER[supply] ?? supply}`, supply)).join(", ");

/** @param {OwnerAnswer} owner */
function factsOf(owner) {
  const facts = [suppliesOf(owner)];
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

/** A link that calls; null where what is registered is no telephone number. @param {OwnerAnswer} owner */
function phoneOf({ contact }) {
  const phone = contact?.phone ?? "";
  const digits = phone.replace(/[^\d+]/g, "");
  const shown = /^\d{8}$/.test(phone) ? phone.replace(/(..)(?=.)/g, "$1 ") : phone;
  return digits.length < 3 ? null : make("a", { class: "phone", href: `tel:${digits}` }, t("status.phone", { phone: shown }));
}

/** A link that writes a mail about the enquiry. @param {OwnerAnswer} owner @param {string} number */
function mailOf({ contact }, number) {
  const mail = contact?.email ?? "";
  if (!/^[^\s@?&]+@[^\s@?&]+$/.test(mail)) return null;
  return make("a", { href: `mailto:${encodeURI(mail)}?subject=${encodeURIComponent(number)}` }, mail);
}
