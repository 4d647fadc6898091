// The HTTP interface of the server, and its errors as sentences.

import { language, t } from "./i18n.js";

/**
 * @typedef {{id: string, title: {da: string, en: string}, visibility: string, geometry: string, style: unknown, attribution?: string, tiles: string}} Collection
 * @typedef {import("./geometry.js").Polygon} Polygon
 * @typedef {import("./geometry.js").Area} Area
 * @typedef {"planned" | "emergency" | "planning"} Kind
 * @typedef {{demo: boolean, sandbox: boolean, roles: string[], centre: [number, number], bounds: [number, number, number, number],
 *   role: string | null, organisation: {cvr: string, name: string} | null, collections: Collection[], max_area_m2: number}} Config
 * @typedef {{cvr: string, name: string, supplies: string[], status: string, status_da: string, open: boolean, features: number | null,
 *   valid_to: string | null, expired: boolean, answered_at: string | null, due_at: string | null, time_left_min: number | null,
 *   overdue_since: string | null, clock: {state: "running" | "paused" | "overdue" | "in-time" | "late"} | null, version: number,
 *   expected_at: string | null, supplementary_info: string | null,
 *   contact: {name?: string, phone?: string, email?: string} | null}} OwnerAnswer
 * @typedef {{number: string, state: string, area: Polygon, area_m2: number, fee_dkk: string}} Part
 * @typedef {{number: string, state: string, kind: Kind, permits_digging: boolean, owners_first: boolean, filed_at: string,
 *   area: Polygon | null, area_m2: number, period: {from: string, to: string}, methods: string[], description: string,
 *   original: string | null, owners: OwnerAnswer[], surroundings?: {distance_m: number, owners: OwnerAnswer[]}, fee_dkk?: string,
 *   parts?: Part[], resend?: {allowed: boolean, last_day: string, da: string, en: string},
 *   validity?: {state: "not-begun" | "in-force" | "information-expired" | "expired" | "never", last_day: string, expired_owners: string[]},
 *   package: {state: "building" | "ready" | "failed" | null, ready: boolean, sequence?: number, size_bytes?: number, features?: number,
 *     sha256?: string} | null}} Enquiry `fee_dkk` and what stands beside it are for its filer only
 * @typedef {{area_m2: number, parts: {part: number, area: Polygon, area_m2: number}[], fee_dkk: string, fee_year_dkk: string,
 *   fee_cap_dkk: string, clock: {due_at: string, manual_due_at: string} | null}} Preview
 * @typedef {{feature_id: string, feature_class?: string, supply?: string, hazard?: string, owner_cvr: string, moved_m?: number,
 *   raised_m?: number, reshaped?: boolean, position?: [number, number], geometry?: import("geojson").Geometry, geometry_before?: import("geojson").Geometry,
 *   attributes?: Record<string, {before: unknown, after: unknown}>}} Change
 * @typedef {{owner_cvr: string, name: string, before: string | null, after: string | null}} Standing
 * @typedef {{counts: {added: number, removed: number, changed: number, unchanged: number}, owners: Standing[],
 *   added: Change[], removed: Change[], changed: Change[]}} Differences
 * @typedef {{text: string, lon: number, lat: number}} Address
 * @typedef {{code: string, severity: "error" | "warning" | "info", message: string, message_da?: string, feature_id?: string,
 *   line?: number, path?: string, expected?: string, found?: string, rule?: string, hint?: string, hint_da?: string,
 *   position?: [number, number], index: number}} Finding `index` is its place in the report
 * @typedef {{features: number, errors: number, warnings: number, findings: Finding[],
 *   kinds: Record<string, {title: string, title_da: string, count: number}>}} CheckReport
 * @typedef {import("maplibre-gl").LayerSpecification & {source: string, metadata: {"geoinfra:part": string, "geoinfra:order": number}}} RuleLayer
 * @typedef {{sprite: string, layers: RuleLayer[]}} StyleSheet
 */

/** An answer of the server that is not what was asked for, or no answer at all. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 when there was no answer
   * @param {string} message
   * @param {string} [hint]
   * @param {string} [path] the member of the request that is wrong
   */
  constructor(status, message, hint = "", path = "") {
    super(message);
    this.status = status;
    this.hint = hint;
    this.path = path;
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
  const path = typeof problem.path === "string" ? problem.path : "";
  if (language() === "da" && problem.message_da) return new ApiError(response.status, problem.message_da, "", path);
  if (response.status === 401 && !detail) return new ApiError(401, t("error.authentication"));
  return new ApiError(response.status, detail ?? t("error.unexpected", { status: response.status }), problem.hint ?? "", path);
}

/** @returns {Promise<Config>} */
export const getConfig = () => call("/api/config");

const STYLE = "/ogc/styles/geoinfra";

/** The rules by which utility lines are drawn, with texts in one language. @param {import("./i18n.js").Language} texts @returns {Promise<StyleSheet>} */
export async function getStyleSheet(texts) {
  const { layers } = await call(`${STYLE}?f=mapbox&lang=${texts}`);
  return { sprite: `${location.origin}${STYLE}/sprite`, layers };
}

/** The legend of these rules. @param {import("./i18n.js").Language} texts @returns {Promise<Document>} */
export async function getLegend(texts) {
  const response = await fetch(`${STYLE}/legend?f=html&lang=${texts}`, { headers: authorisation() })
    .catch(() => { throw new ApiError(0, t("error.network")); });
  if (!response.ok) throw await problemOf(response);
  const page = await response.text();
  return new DOMParser().parseFromString(page.replace(/<style>.*?<\/style>/s, ""), "text/html"); // the policy of the page admits none
}

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

/** What filing would mean; only the area must be there. @param {object} request @param {AbortSignal} signal @returns {Promise<Preview>} */
export const previewEnquiry = (request, signal) => call("/api/enquiries/preview", { method: "POST", body: request, signal });

/** File the same dig again, free. @param {string} number @param {string} key as of {@link fileEnquiry} @returns {Promise<Enquiry>} */
export const resendEnquiry = (number, key) =>
  call(`/api/enquiries/${encodeURIComponent(number)}/resend`, { method: "POST", headers: { "Idempotency-Key": key } });

/** What package `to` has otherwise than package `from`. @param {string} number @param {number} from @param {number} to @returns {Promise<Differences>} */
export const packageDifferences = (number, from, to) =>
  call(`/api/enquiries/${encodeURIComponent(number)}/differences?from=${from}&to=${to}&geometry=true`);

/** 128 random bits for an idempotency key; `crypto.randomUUID` is absent on plain HTTP. */
export const randomKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * A page of the list of enquiries, newest first.
 * @param {string | null} cursor `next` of the page before @returns {Promise<{items: Enquiry[], next: string | null}>}
 */
export const listEnquiries = (cursor = null) =>
  call(`/api/enquiries${cursor ? `?cursor=${encodeURIComponent(cursor)}` : ""}`);

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
