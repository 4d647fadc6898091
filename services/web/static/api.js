// The HTTP interface of the server, and its errors as sentences.

import { language, t } from "./i18n.js";

/**
 * @typedef {{id: string, title: {da: string, en: string}, visibility: string, geometry: string, style: unknown, attribution?: string, tiles: string}} Collection
 * @typedef {{demo: boolean, roles: string[], centre: [number, number], bounds: [number, number, number, number],
 *   role: string | null, organisation: {cvr: string, name: string} | null, collections: Collection[], max_area_m2: number}} Config
 * @typedef {{cvr: string, name: string, status: string, status_da: string, features: number | null,
 *   valid_to: string | null, expired: boolean, answered_at: string | null}} OwnerAnswer
 * @typedef {{number: string, state: string, filed_at: string, area: import("./geometry.js").Polygon | null, area_m2: number,
 *   period: {from: string, to: string}, methods: string[], description: string, owners: OwnerAnswer[],
 *   package: {state: "building" | "ready" | "failed" | null, ready: boolean, size_bytes?: number, features?: number, sha256?: string} | null}} Enquiry
 * @typedef {{text: string, lon: number, lat: number}} Address
 * @typedef {{code: string, severity: "error" | "warning" | "info", message: string, message_da?: string, feature_id?: string,
 *   line?: number, path?: string, expected?: string, found?: string, rule?: string, hint?: string, hint_da?: string,
 *   position?: [number, number], index: number}} Finding `index` is its place in the report
 * @typedef {{features: number, errors: number, warnings: number, findings: Finding[],
 *   kinds: Record<string, {title: string, title_da: string, count: number}>}} CheckReport
 */

/** An answer of the server that is not what was asked for, or no answer at all. */
export class ApiError extends Error {
  /** @param {number} status 0 when there was no answer @param {string} message @param {string} [hint] */
  constructor(status, message, hint = "") {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

let token = "";

/** Use a bearer token (kept in memory only) for every later request. @param {string} value */
export function useToken(value) {
  token = value;
}

/** @returns {Record<string, string>} */
export function authorisation() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** The header with which a demo session may write. @returns {Record<string, string>} */
export function csrf() {
  const cookie = document.cookie.split("; ").find((part) => part.startsWith("geoinfra_csrf="));
  return cookie ? { "X-CSRF-Token": decodeURIComponent(cookie.slice("geoinfra_csrf=".length)) } : {};
}

/**
 * @param {string} path
 * @param {{method?: string, body?: unknown, signal?: AbortSignal, headers?: Record<string, string>}} [options]
 * @returns {Promise<any>} the JSON answer, or null when it has no body
 */
async function call(path, { method = "GET", body, signal, headers = {} } = {}) {
  const writes = method !== "GET";
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      headers: {
        Accept: "application/json",
        ...headers,
        ...authorisation(),
        ...(writes ? csrf() : {}),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, t("error.network"));
  }
  if (!response.ok) throw await problemOf(response);
  return response.status === 204 ? null : response.json();
}

/** @param {Response} response @returns {Promise<ApiError>} */
async function problemOf(response) {
  const type = response.headers.get("content-type") ?? "";
  if (!type.includes("json")) return new ApiError(response.status, t("error.unexpected", { status: response.status }));
  const problem = await response.json();
  const detail = typeof problem.detail === "string" ? problem.detail : problem.title;
  if (response.status === 401 && !detail) return new ApiError(401, t("error.authentication"));
  return new ApiError(response.status, detail ?? t("error.unexpected", { status: response.status }), problem.hint ?? "");
}

/** @returns {Promise<Config>} */
export const getConfig = () => call("/api/config");

/** @param {string | null} role */
export const actAs = (role) => call("/demo/act-as", { method: "POST", body: { role } });

/** @param {string} text @param {AbortSignal} signal @returns {Promise<Address[]>} */
export const findAddresses = async (text, signal) =>
  (await call(`/api/addresses?limit=8&q=${encodeURIComponent(text)}`, { signal })).items;

/**
 * File an enquiry; repeating the call with the same key after a lost answer files it once.
 * @param {object} request @param {string} key @returns {Promise<Enquiry>}
 */
export const fileEnquiry = (request, key) =>
  call("/api/enquiries", { method: "POST", body: request, headers: { "Idempotency-Key": key } });

/** @returns {Promise<Enquiry[]>} */
export const listEnquiries = async () => (await call("/api/enquiries")).items;

/** @param {string} number @param {number} waitS @param {AbortSignal} signal @returns {Promise<Enquiry>} */
export const getEnquiry = (number, waitS, signal) =>
  call(`/api/enquiries/${encodeURIComponent(number)}?wait_s=${waitS}`, { signal });

/** @param {string} number @returns {Promise<{href: string, name: string}>} */
export const packageLink = (number) =>
  call(`/api/enquiries/${encodeURIComponent(number)}/package-link`, { method: "POST" });

/** @returns {Promise<{cvr: string, name: string}[]>} */
export const listOwners = async () => (await call("/api/owners")).items;

/** @param {File} file @param {boolean} strict */
const checkAddress = (file, strict) => `/api/utilities/check?${new URLSearchParams({
  language: language(), strict: String(strict), name: file.name.slice(0, 200),
})}`;

/**
 * Check a delivery.
 * @param {File} file
 * @param {boolean} strict
 * @param {(fraction: number) => void} onProgress how much of the file was sent; `fetch` does not tell
 * @param {AbortSignal} signal
 * @returns {Promise<CheckReport>}
 */
export function checkFile(file, strict, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", checkAddress(file, strict));
    const headers = { Accept: "application/json", ...authorisation(), ...csrf() };
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", ({ loaded, total }) => onProgress(total ? loaded / total : 1));
    request.upload.addEventListener("load", () => onProgress(1));
    request.addEventListener("error", () => reject(new ApiError(0, t("error.network"))));
    request.addEventListener("abort", () => reject(signal.reason));
    request.addEventListener("load", () => {
      if (request.status === 200) {
        /** @type {CheckReport} */
        const report = JSON.parse(request.responseText);
        report.findings.forEach((finding, index) => { finding.index = index; });
        resolve(report);
        return;
      }
      const headers = { "Content-Type": request.getResponseHeader("content-type") ?? "" };
      problemOf(new Response(request.responseText, { status: request.status, headers })).then(reject, reject);
    });
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/** The report of a delivery as a page to keep. @param {File} file @param {boolean} strict @returns {Promise<Blob>} */
export async function checkPage(file, strict) {
  const headers = { Accept: "text/html", ...authorisation(), ...csrf() };
  const response = await fetch(checkAddress(file, strict), { method: "POST", headers, body: file })
    .catch(() => { throw new ApiError(0, t("error.network")); });
  if (!response.ok) throw await problemOf(response);
  return response.blob();
}
