// Building the page's elements. Text always becomes text nodes: attributes of features are hostile.

/**
 * The element with this id.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return /** @type {T} */ (element);
}

/**
 * Make an element with attributes and children; strings become text.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | boolean | (() => void)>} [attributes] functions become listeners of that event
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/**
 * Show an error as a sentence with its hint in `box`, or empty the box.
 * @param {HTMLElement} box
 * @param {(Error & {hint?: string}) | null} error
 */
export function showError(box, error) {
  box.replaceChildren();
  box.hidden = error === null;
  if (!error) return;
  box.append(make("p", { class: "error-text" }, error.message));
  if (error.hint) box.append(make("p", { class: "error-hint" }, error.hint));
}
