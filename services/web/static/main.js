// Puts the page together: map, panel, role, language.

import { AttributionControl, GeolocateControl, Map as MapLibreMap, Marker, NavigationControl, ScaleControl } from "maplibre-gl";

import { actAs, authorisation, getConfig, getEnquiry, getStyleSheet, listOwners, useToken } from "./api.js";
import { ENQUIRY_SOURCE, isUtility, showCollections, styleFor } from "./cartography.js";
import { CheckPanel } from "./check.js";
import { byId, make, showError } from "./dom.js";
import { Drawing } from "./drawing.js";
import { dangerousLinesInView, ownerNames, showFeatures, utilityFeaturesAt } from "./features.js";
import { EnquiryForm } from "./form.js";
import { boundsOf, toUtm32 } from "./geometry.js";
import { formatNumber, language, onLanguage, setLanguage, showLanguage, t, tOr } from "./i18n.js";
import { applyVisibility, showLayers } from "./layers.js";
import { addOverlays, drawParts } from "./overlays.js";
import { startSearch } from "./search.js";
import { EnquiryStatus, showEnquiries } from "./status.js";

/**
 * @typedef {import("./api.js").Config} Config
 * @typedef {import("./api.js").Enquiry} Enquiry
 * @typedef {import("./api.js").StyleSheet} StyleSheet
 */

const ADDRESS_ZOOM = 18;
const CLOSED_SHEET_PX = 92;
const WIDE = window.matchMedia("(min-width: 760px)");

/** @type {Config | null} */
let config = null;
/** @type {MapLibreMap | null} */
let map = null;
/** @type {Drawing | null} */
let drawing = null;
/** The place that was searched for. @type {Marker | null} */
let found = null;
/** The rules by which utility lines are drawn, once asked for. @type {{language: string, sheet: Promise<StyleSheet>} | null} */
let rules = null;
/** Number of the enquiry that the page's address names, until it is opened. @type {string | null} */
let linked = new URLSearchParams(location.search).get("enquiry");

const form = new EnquiryForm((enquiry) => status.open(enquiry), () => void changeRole("excavator"));
const status = new EnquiryStatus({
  show: showEnquiryArea,
  ready: () => void loadConfig().catch((error) => showError(byId("page-error"), error)),
  mayDownload: () => config?.role === "excavator" || config?.role === null,
  leave: () => {
    setEnquiryArea(null);
    drawParts(map, []);
    form.takeUp();
  },
  zoomTo: ({ area }) => map?.fitBounds(boundsOf([area]), { padding: 50, maxZoom: 19 }),
  map: () => map,
});

const check = new CheckPanel({
  becomeOwner: () => void changeRole("owner"),
  onPlace: () => map?.setPadding(padding()),
});

/** Room that the panel takes from the map, so that what is shown lies beside it. */
function padding() {
  const panel = byId("panel");
  if (WIDE.matches) return { left: panel.getBoundingClientRect().right, top: 0, right: 0, bottom: 0 };
  return { left: 0, top: 0, right: 0, bottom: panel.classList.contains("closed") ? CLOSED_SHEET_PX : panel.offsetHeight };
}

// Role and sign-in

/** @param {string | null} role */
async function changeRole(role) {
  try {
    await actAs(role);
    await loadConfig();
    status.close();
    showError(byId("page-error"), null);
    await openLinked();
  } catch (error) {
    showError(byId("page-error"), /** @type {Error} */ (error));
  }
}

async function loadConfig() {
  const next = await getConfig();
  config = next;
  byId("sandbox").hidden = !next.sandbox;
  document.body.classList.toggle("in-sandbox", next.sandbox);
  form.configure(next);
  check.configure(next);
  showRole(next);
  if (map) void drawCollections();
  refreshLists();
  if (seesEnquiries(next)) {
    for (const owner of await listOwners()) ownerNames.set(owner.cvr, owner.name);
  }
}

/** Draw what the user may see, as soon as the rules for utility lines are here. */
async function drawCollections() {
  const sheet = await styleSheet().catch((error) => {
    showError(byId("page-error"), error);
    return null;
  });
  if (!map || !config) return;
  if (sheet && !map.getSprite().length) map.setSprite(sheet.sprite);
  showCollections(map, config.collections, sheet);
  applyVisibility(map);
}

/** The rules in the language of the page. */
function styleSheet() {
  const wanted = language();
  if (rules?.language !== wanted) {
    const asked = { language: wanted, sheet: getStyleSheet(wanted) };
    asked.sheet.catch(() => { if (rules === asked) rules = null; });
    rules = asked;
  }
  return rules.sheet;
}

/** Whether this user may list enquiries and owners. @param {Config} settings */
const seesEnquiries = ({ role, organisation }) =>
  (role === null ? organisation !== null : ["excavator", "owner", "admin"].includes(role));

/** @param {Config} next */
function showRole(next) {
  byId("role-box").hidden = !next.demo;
  byId("token-box").hidden = next.demo || next.organisation !== null;
  const select = /** @type {HTMLSelectElement} */ (byId("role"));
  select.replaceChildren(
    make("option", { value: "" }, t("role.none")),
    ...next.roles.map((role) => make("option", { value: role }, tOr(`role.${role}`, role))),
  );
  select.value = next.role ?? "";
  byId("organisation").textContent = next.organisation ? t("role.for", { name: next.organisation.name }) : "";
}

function refreshLists() {
  if (!config) return;
  showLayers(map, config.collections);
  void showEnquiries(seesEnquiries(config), (enquiry) => {
    selectTab("enquiry");
    status.open(enquiry);
  });
}

/** Open the enquiry that a notice led to, as soon as somebody who may see enquiries has signed in. */
async function openLinked() {
  if (linked === null || !config || !seesEnquiries(config)) return;
  const number = linked;
  linked = null;
  try {
    const enquiry = await getEnquiry(number, 0, new AbortController().signal);
    selectTab("enquiry");
    status.open(enquiry);
  } catch (error) {
    showError(byId("page-error"), /** @type {Error} */ (error));
  }
}

// Enquiries on the map

/** @param {import("./geometry.js").Polygon | null} area */
function setEnquiryArea(area) {
  const source = /** @type {import("maplibre-gl").GeoJSONSource | undefined} */ (map?.getSource(ENQUIRY_SOURCE));
  const features = area ? [{ type: /** @type {const} */ ("Feature"), geometry: area, properties: {} }] : [];
  source?.setData({ type: "FeatureCollection", features });
}

/** @param {Enquiry} enquiry */
function showEnquiryArea(enquiry) {
  form.setAside();
  setEnquiryArea(enquiry.area);
  drawParts(map, enquiry.parts && enquiry.parts.length > 1 ? enquiry.parts : []);
  if (enquiry.area) map?.fitBounds(boundsOf([enquiry.area]), { padding: 70, maxZoom: 19 });
}

// Panel

const TABS = ["enquiry", "mine", "check", "layers"];

/** @param {string} chosen @param {boolean} [focus] */
function selectTab(chosen, focus = false) {
  for (const name of TABS) {
    const tab = byId(`tab-${name}`);
    tab.setAttribute("aria-selected", String(name === chosen));
    tab.tabIndex = name === chosen ? 0 : -1;
    byId(`view-${name}`).hidden = name !== chosen;
  }
  check.show(chosen === "check");
  if (focus) byId(`tab-${chosen}`).focus();
}

function startTabs() {
  TABS.forEach((name, index) => {
    const tab = byId(`tab-${name}`);
    tab.addEventListener("click", () => {
      selectTab(name);
      if (name === "mine" || name === "layers") refreshLists();
    });
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: TABS.length - 1 }[event.key];
      if (step) selectTab(TABS[(index + step) % TABS.length], true);
    });
  });
}

/** Open or close the bottom sheet of narrow screens. @param {boolean} open */
function openSheet(open) {
  byId("panel").classList.toggle("closed", !open);
  byId("sheet-handle").setAttribute("aria-expanded", String(open));
  map?.easeTo({ padding: padding(), duration: 200 });
}

function startSheet() {
  byId("sheet-handle").addEventListener("click", () => openSheet(byId("panel").classList.contains("closed")));
}

function startLanguage() {
  const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-language]"));
  const show = () => buttons.forEach((button) =>
    button.setAttribute("aria-pressed", String(button.dataset.language === language())));
  for (const button of buttons) {
    button.addEventListener("click", () => setLanguage(/** @type {import("./i18n.js").Language} */ (button.dataset.language)));
  }
  onLanguage(() => {
    show();
    if (config) showRole(config);
    refreshLists();
    if (map) void drawCollections();
    labelControls();
  });
  show();
}

// Map

/** @param {Config} settings */
function startMap(settings) {
  const made = new MapLibreMap({
    container: "map",
    style: styleFor(settings.collections),
    bounds: settings.bounds,
    fitBoundsOptions: { padding: 24 },
    maxZoom: 21,
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    locale: { "GeolocateControl.FindMyLocation": t("map.locate"), "NavigationControl.ZoomIn": t("map.zoomIn"), "NavigationControl.ZoomOut": t("map.zoomOut") },
    transformRequest: (url) => (url.startsWith(location.origin) ? { url, headers: authorisation() } : { url }),
  });
  made.touchZoomRotate.disableRotation();
  made.keyboard.disableRotation();
  made.addControl(new NavigationControl({ showCompass: false }), "top-right");
  made.addControl(new GeolocateControl({ positionOptions: { enableHighAccuracy: true }, trackUserLocation: true }), "top-right");
  made.addControl(new AttributionControl({ compact: false, customAttribution: "geoinfra · MapLibre" }), "bottom-right");
  made.addControl(new ScaleControl({ maxWidth: 120 }), "bottom-right");
  made.setPadding(padding());
  made.fitBounds(settings.bounds, { padding: 24, animate: false });
  WIDE.addEventListener("change", () => made.setPadding(padding()));
  return made;
}

/** @param {MapLibreMap} made */
function startDrawing(made) {
  drawing = new Drawing(made, (areas) => form.setAreas(areas), (shape) => {
    form.setShape(shape);
    if (!WIDE.matches) openSheet(shape === null);
  });
  form.connect(made, drawing);
  check.connect(made);
  made.on("click", (event) => {
    if (drawing?.active) return;
    if (check.chooseAt(event.point) || drawing?.areas.length) return;
    const features = utilityFeaturesAt(made, event.point);
    if (features.length) showFeatures(made, event.lngLat, features);
  });
  made.getCanvas().addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || drawing?.active) return;
    const centre = made.getCenter();
    showFeatures(made, centre, utilityFeaturesAt(made, made.project(centre)));
  });
  made.on("idle", () => status.setDangerous(dangerousLinesInView(made)));
}

/** @param {MapLibreMap} made */
function startCoordinates(made) {
  const box = byId("coordinates");
  /** @param {import("maplibre-gl").LngLat} place */
  const show = (place) => {
    const [easting, northing] = toUtm32(place.toArray());
    box.hidden = false;
    box.textContent = `E ${formatNumber(easting)}  N ${formatNumber(northing)}  EPSG:25832`;
  };
  made.on("mousemove", (event) => show(event.lngLat));
  made.on("moveend", () => show(made.getCenter()));
}

/** Give the map's own buttons labels in the current language. */
function labelControls() {
  const labels = {
    ".maplibregl-ctrl-zoom-in": "map.zoomIn",
    ".maplibregl-ctrl-zoom-out": "map.zoomOut",
    ".maplibregl-ctrl-geolocate": "map.locate",
    ".maplibregl-canvas": "map.label",
  };
  for (const [selector, key] of Object.entries(labels)) {
    const element = document.querySelector(selector);
    element?.setAttribute("aria-label", t(key));
    if (element instanceof HTMLButtonElement) element.title = t(key);
  }
}

/** @param {import("./api.js").Address} address */
function goToAddress(address) {
  const place = /** @type {[number, number]} */ ([address.lon, address.lat]);
  form.setPlace(address.text, place);
  if (!map) return;
  found?.remove();
  found = new Marker({ color: "#0b5d66", scale: 0.8 }).setLngLat(place).addTo(map);
  map.flyTo({ center: place, zoom: ADDRESS_ZOOM });
}

async function start() {
  showLanguage();
  startLanguage();
  startTabs();
  startSheet();
  startSearch(goToAddress, (error) => showError(byId("page-error"), error));
  byId("role").addEventListener("change", (event) =>
    void changeRole(/** @type {HTMLSelectElement} */ (event.target).value || null));
  byId("token-box").addEventListener("submit", (event) => {
    event.preventDefault();
    useToken(/** @type {HTMLInputElement} */ (byId("token")).value.trim());
    loadConfig().then(() => {
      showError(byId("page-error"), null);
      return openLinked();
    }, (error) => showError(byId("page-error"), error));
  });
  try {
    await loadConfig();
  } catch (error) {
    showError(byId("page-error"), /** @type {Error} */ (error));
    return;
  }
  await Promise.all(["Regular", "Medium"].map((face) => document.fonts.load(`12px "Inter ${face}"`)));
  startWithMap(/** @type {Config} */ (/** @type {unknown} */ (config)));
}

/** @param {Config} settings */
function startWithMap(settings) {
  try {
    map = startMap(settings);
  } catch (error) {
    console.error(error);
    showError(byId("page-error"), new Error(t("map.failed")));
    return;
  }
  const made = map;
  /** @type {any} */ (window).geoinfraMap = made;
  labelControls();
  startCoordinates(made);
  made.once("style.load", () => {
    applyVisibility(made);
    addOverlays(made);
    if (settings.collections.some(({ id }) => isUtility(id))) void drawCollections();
  });
  made.once("load", () => {
    startDrawing(made);
    void drawCollections();
    refreshLists();
    void openLinked();
  });
}

void start();
