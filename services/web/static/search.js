// Address search: a combobox that works with keyboard, mouse and screen reader.

import { findAddresses } from "./api.js";
import { byId, make } from "./dom.js";
import { t } from "./i18n.js";

const PAUSE_MS = 160;

/** @typedef {import("./api.js").Address} Address */

/**
 * Make the search field work.
 * @param {(address: Address) => void} onChoose
 * @param {(error: Error | null) => void} onError
 */
export function startSearch(onChoose, onError) {
  const field = /** @type {HTMLInputElement} */ (byId("search"));
  const list = byId("search-list");
  const status = byId("search-status");
  /** @type {Address[]} */
  let found = [];
  let marked = -1;
  let timer = 0;
  let request = new AbortController();

  const close = () => {
    list.hidden = true;
    marked = -1;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  };

  /** No answer that is still on its way opens the list again. */
  const stop = () => {
    clearTimeout(timer);
    request.abort();
  };

  /** @param {number} index */
  const mark = (index) => {
    marked = index;
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    field.setAttribute("aria-activedescendant", `search-option-${index}`);
    list.children[index]?.scrollIntoView({ block: "nearest" });
  };

  /** @param {Address} address */
  const choose = (address) => {
    stop();
    field.value = address.text;
    close();
    onChoose(address);
  };

  const show = () => {
    list.replaceChildren(...found.map((address, index) => make("li", {
      id: `search-option-${index}`, role: "option", "aria-selected": "false",
      mousedown: () => choose(address),
    }, address.text)));
    status.textContent = found.length ? t("search.count", { n: found.length }) : t("search.none");
    if (found.length === 0) list.append(make("li", { role: "option", "aria-disabled": "true", "aria-selected": "false", class: "none" }, t("search.none")));
    list.hidden = false;
    field.setAttribute("aria-expanded", "true");
    marked = -1;
  };

  const search = async () => {
    request = new AbortController();
    const { signal } = request;
    try {
      found = await findAddresses(field.value.trim(), signal);
      onError(null);
      show();
    } catch (error) {
      if (signal.aborted) return;
      close();
      onError(/** @type {Error} */ (error));
    }
  };

  field.addEventListener("input", () => {
    stop();
    if (field.value.trim().length < 2) {
      close();
      return;
    }
    timer = window.setTimeout(search, PAUSE_MS);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (list.hidden || found.length === 0) return;
    if (event.key === "ArrowDown") mark((marked + 1) % found.length);
    else if (event.key === "ArrowUp") mark((marked - 1 + found.length) % found.length);
    else if (event.key === "Enter") choose(found[Math.max(marked, 0)]);
    else return;
    event.preventDefault();
  });
  field.addEventListener("blur", close);
}
