"""The map page in a real browser against the real demo."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import shapely
from deployment import Deployment
from parts import chromium
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from geoinfra import sample
from geoinfra.presentation.legend import legend_rows
from geoinfra.presentation.resolve import Stroke, resolve
from geoinfra.presentation.style_set import load_style_set
from services.web import STATIC_DIR, content_security_policy

pytestmark = [pytest.mark.services, pytest.mark.browser]

WEB_DIR = STATIC_DIR.parent
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
SETTLED = """() => {
    const map = window.geoinfraMap;
    return map?.loaded() && map.areTilesLoaded() && !map.isMoving();
}"""
DRAWN = """() => {
    const map = window.geoinfraMap, layers = ["utility-lines/line/detail-0"];
    return map.getLayer(layers[0]) && map.queryRenderedFeatures({layers}).length > 0;
}"""
DANGEROUS_HTML = '<img src=x onerror="window.broken=1">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the system; absent, a visible skip, and a failure in CI."""
    program = chromium(STATIC_DIR / "vendor" / "VENDOR.json")
    with sync_playwright() as playwright:
        started = _launch(playwright, program)
        yield started
        started.close()


def _launch(playwright: Playwright, program: str) -> Browser:
    return playwright.chromium.launch(executable_path=program, args=ARGUMENTS)


@pytest.fixture
def page(browser: Browser, demo_server: str) -> Iterator[Page]:
    """The page on a desktop, in English, as a visitor; no script fails, no request goes elsewhere."""
    yield from _page(browser, demo_server, viewport=DESKTOP, locale="en-GB")


@pytest.fixture(scope="module")
def visitor_page(browser: Browser, demo_server: str) -> Iterator[Page]:
    """One page for all tests that neither sign in nor file."""
    yield from _page(browser, demo_server, viewport=DESKTOP, locale="en-GB")


@pytest.fixture
def visitor(visitor_page: Page) -> Page:
    """The visitor's page as it was opened: English, the form, no area."""
    visitor_page.click("[data-language=en]")
    visitor_page.click("#tab-enquiry")
    if visitor_page.locator("#draw-clear").is_visible():
        visitor_page.click("#draw-clear")
    return visitor_page


@pytest.fixture(scope="module")
def owner_page(browser: Browser, demo_server: str) -> Iterator[Page]:
    """One page for all tests that check a delivery."""
    for opened in _page(browser, demo_server, viewport=DESKTOP, locale="en-GB"):
        _become(opened, "owner")
        yield opened


@pytest.fixture
def owner(owner_page: Page) -> Page:
    """The owner's page in English, before a file was chosen."""
    owner_page.click("[data-language=en]")
    owner_page.click("#tab-check")
    if owner_page.locator("#check-new").is_visible():
        owner_page.click("#check-new")
    return owner_page


@pytest.fixture(scope="module")
def phone_page(browser: Browser, demo_server: str) -> Iterator[Page]:
    """One page on a phone, in Danish, for all tests that look at one."""
    yield from _page(browser, demo_server, viewport=PHONE, locale="da-DK", has_touch=True, is_mobile=True)


@pytest.fixture
def phone(phone_page: Page) -> Page:
    """The phone's page with the form open and no area."""
    phone_page.tap("[data-language=da]")
    if phone_page.locator("#check-new").is_visible():
        phone_page.tap("#check-new")
    phone_page.tap("#tab-enquiry")
    if phone_page.locator("#draw-clear").is_visible():
        phone_page.tap("#draw-clear")
    return phone_page


def _page(browser: Browser, demo_server: str, **options: Any) -> Iterator[Page]:
    context = browser.new_context(accept_downloads=True, reduced_motion="reduce", **options)
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda r: r.url.startswith((demo_server, "blob:", "data:")) or faults.append(r.url))
    opened.goto(f"{demo_server}/")
    opened.wait_for_function(SETTLED, timeout=60_000)
    yield opened
    context.close()
    assert faults == []


@dataclass(frozen=True)
class Faulty:
    """A delivery with faults, and the last of them: its feature, line and place."""

    path: Path
    feature_id: str
    line: int
    position: tuple[float, float]


FAULT = "i fart"


@pytest.fixture(scope="module")
def faulty(tiny_town: Path, tmp_path_factory: pytest.TempPathFactory) -> Faulty:
    """An owner's delivery in which every twentieth line has a status that LER does not know."""
    source = (tiny_town / "deliveries" / "99500018.gml").read_text("utf-8")
    lines = source.splitlines(keepends=True)
    broken = [number for number, line in enumerate(lines) if ">i drift<" in line][::20]
    for number in broken:
        lines[number] = lines[number].replace(">i drift<", f">{FAULT}<")
    path = tmp_path_factory.mktemp("faulty") / "Havnsby Fjernvarme.gml"
    path.write_text("".join(lines), "utf-8")
    last = lines[broken[-1]]
    feature_id = re.search(r'gml:id="([^"]+)"', last)
    place = re.search(r"<gml:pos(?:List)?[^>]*>(\S+) (\S+)", last)
    assert feature_id
    assert place
    return Faulty(path, feature_id[1], broken[-1] + 1, (float(place[1]), float(place[2])))


def _become(page: Page, role: str) -> None:
    with page.expect_response("**/api/config"):
        page.select_option("#role", role)
    expect(page.locator("#organisation")).not_to_be_empty()
    page.wait_for_function(SETTLED)


def _look_at(page: Page, street: str) -> None:
    """Put the middle of a street into the middle of the map, close enough to draw."""
    page.evaluate(
        """(name) => {
            const map = window.geoinfraMap;
            const street = map.querySourceFeatures("streets", {sourceLayer: "streets"})
                .find(({properties}) => properties.name === name);
            const line = street.geometry.type === "LineString"
                ? street.geometry.coordinates : street.geometry.coordinates[0];
            map.jumpTo({center: line[Math.floor(line.length / 2)], zoom: 18.5});
        }""",
        street,
    )
    page.wait_for_function(SETTLED)


def _middle(page: Page) -> tuple[float, float]:
    """Where on the screen the map's centre lies, beside the panel."""
    x, y = page.evaluate(
        "() => { const p = window.geoinfraMap.project(window.geoinfraMap.getCenter()); return [p.x, p.y]; }"
    )
    return float(x), float(y)


def _draw_square(page: Page, half_px: int) -> None:
    x, y = _middle(page)
    page.click("#draw-polygon")
    corners = [(x - half_px, y - half_px), (x + half_px, y - half_px), (x + half_px, y + half_px)]
    for across, down in [*corners, (x - half_px, y + half_px)]:
        page.mouse.move(across, down)
        page.mouse.click(across, down)
        page.wait_for_timeout(350)  # two clicks closer in time are a double click
    page.click("#draw-finish")
    expect(page.locator("#draw-bar")).to_be_hidden()


def _open_other_ways(page: Page) -> None:
    if not page.locator("#area-make").is_visible():
        page.focus("#enquiry-form summary")
        page.keyboard.press("Enter")


def _rectangle(page: Page, width_m: int, height_m: int) -> None:
    """Give an area without a pointer."""
    _open_other_ways(page)
    page.fill("#area-width", str(width_m))
    page.fill("#area-height", str(height_m))
    page.click("#area-make")


def _rendered(page: Page, layer: str) -> int:
    count = page.evaluate("(id) => window.geoinfraMap.queryRenderedFeatures({layers: [id]}).length", layer)
    return int(count)


@pytest.mark.parametrize("layer", ["landuse/fill", "streets/fill", "streets/name", "buildings/fill"])
def test_map_draws_the_open_layers_for_everybody(visitor: Page, layer: str) -> None:
    assert _rendered(visitor, layer) > 0


def test_visitor_gets_no_utility_layers(visitor: Page) -> None:
    layers = visitor.evaluate("() => window.geoinfraMap.getStyle().layers.map(({id}) => id)")
    assert not [name for name in layers if name.startswith("utility-")]


def test_excavator_draws_files_sees_the_owners_and_downloads_the_package(page: Page, tmp_path: Path) -> None:
    _become(page, "excavator")
    _look_at(page, "Algade")
    _draw_square(page, 90)
    expect(page.locator("#area-text")).to_contain_text("m²")
    page.fill("#description", "Ny stikledning")
    page.click("#file-enquiry")

    expect(page.locator("#status-view h2")).to_contain_text("20", timeout=15_000)
    expect(page.locator("#download-package")).to_be_visible(timeout=60_000)
    assert page.locator(".owners li[data-status=delivered]").count() >= 1
    page.wait_for_function(SETTLED)
    page.wait_for_function(DRAWN, timeout=60_000)
    expect(page.locator(".hazard")).to_be_visible()
    expect(page.locator("#sandbox")).to_be_hidden()
    page.evaluate(
        """async () => {
            const {showFeatures} = await import("/static/features.js");
            const map = window.geoinfraMap;
            const lines = map.queryRenderedFeatures({layers: ["utility-lines/line/detail-0"]});
            showFeatures(map, map.getCenter(), lines.slice(0, 3));
        }"""
    )
    expect(page.locator(".maplibregl-popup dl").first).to_be_visible()
    for language in ("da", "en"):
        page.click(f"[data-language={language}]")
        _require_accessible(page)

    with page.expect_download() as pending:
        page.click("#download-package")
    target = tmp_path / pending.value.suggested_filename
    pending.value.save_as(target)
    assert target.name.startswith("Ledningspakke_")
    with zipfile.ZipFile(target) as package:
        assert any(name.endswith("consolidated.gml") for name in package.namelist())
        assert any(name.endswith("plan.pdf") for name in package.namelist())

    page.click("#tab-mine")
    expect(page.locator("#view-mine li").first).to_contain_text("Ny stikledning")
    _require_accessible(page)


def test_the_link_of_a_notice_opens_its_enquiry_once_one_has_signed_in(
    page: Page, deployment: Deployment
) -> None:
    today = datetime.now(UTC).date().isoformat()
    document = {
        "area": json.loads(shapely.to_geojson(sample.enquiry_area("tiny"))),
        "crs": "EPSG:25832",
        "period": {"from": today, "to": today},
        "methods": ["6"],
        "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
    }
    authorised = {"Authorization": f"Bearer {deployment.tokens['excavator']}"}
    answer = httpx.post(f"{deployment.url}/api/enquiries", json=document, headers=authorised, timeout=60)
    number = answer.raise_for_status().json()["number"]
    page.goto(f"{deployment.url}/?enquiry={number}")
    page.wait_for_function(SETTLED)
    expect(page.locator("#status-view")).to_be_hidden()
    _become(page, "excavator")
    expect(page.locator("#status-view h2")).to_contain_text(number)
    page.reload()
    expect(page.locator("#status-view h2")).to_contain_text(number, timeout=60_000)


def test_older_enquiries_are_one_click_away(page: Page, deployment: Deployment) -> None:
    today = datetime.now(UTC).date().isoformat()
    document = {
        "kind": "planning",
        "period": {"from": today, "to": today},
        "methods": ["6"],
        "area": json.loads(shapely.to_geojson(sample.enquiry_area("tiny"))),
        "crs": "EPSG:25832",
        "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
    }
    authorised = {"Authorization": f"Bearer {deployment.tokens['excavator']}"}
    with httpx.Client(base_url=deployment.url, headers=authorised, timeout=60) as client:
        for _ in range(51):
            client.post("/api/enquiries", json=document).raise_for_status()
    _become(page, "excavator")
    page.click("#tab-mine")
    rows = page.locator("#view-mine li")
    expect(rows).to_have_count(50)
    page.click("#mine-more")
    expect(page.locator("#view-mine li:nth-child(51) button")).to_be_focused()
    shown = rows.locator(".owner-name").evaluate_all("all => all.map((one) => one.firstChild.textContent)")
    assert len(set(shown)) == len(shown) >= 51


def test_hostile_attributes_never_become_elements(visitor: Page) -> None:
    shown = visitor.evaluate(
        """async (html) => {
            const {showFeatures} = await import("/static/features.js");
            const map = window.geoinfraMap;
            showFeatures(map, map.getCenter(), [{properties: {type: html, supply: html, gml_id: html}}]);
            const popup = document.querySelector(".maplibregl-popup");
            return [popup.querySelectorAll("img").length, popup.textContent.includes(html), window.broken];
        }""",
        DANGEROUS_HTML,
    )
    assert shown == [0, True, None]


def test_area_by_keyboard_has_the_stated_size(visitor: Page) -> None:
    _open_other_ways(visitor)
    visitor.fill("#area-width", "40")
    visitor.fill("#area-height", "25")
    visitor.focus("#area-make")
    visitor.keyboard.press("Enter")
    expect(visitor.locator("#area-text strong")).to_have_text("1,000 m²")


@pytest.mark.parametrize("text", ["", "{", '{"type": "Point", "coordinates": [11, 55]}', "[]", "null"])
def test_text_that_is_no_geojson_polygon_is_explained(visitor: Page, text: str) -> None:
    _open_other_ways(visitor)
    visitor.fill("#area-geojson", text)
    visitor.click("#area-paste")
    expect(visitor.locator("#area-error")).to_contain_text("not a GeoJSON polygon")


def test_address_is_found_by_keyboard(visitor: Page) -> None:
    visitor.wait_for_function(SETTLED, timeout=60_000)
    visitor.evaluate("() => window.geoinfraMap.jumpTo({zoom: 13})")
    visitor.focus("#search")
    visitor.keyboard.insert_text("Algade 1")  # one search
    expect(visitor.locator("#search-list li").first).to_contain_text("Algade 1")
    visitor.keyboard.press("ArrowDown")
    expect(visitor.locator("#search-list li[aria-selected=true]")).to_have_text("Algade 1, 4999 Havnsby")
    visitor.keyboard.press("Enter")
    visitor.wait_for_function("() => window.geoinfraMap.getZoom() === 18")
    expect(visitor.locator("#search-list")).to_be_hidden()
    expect(visitor.locator("#search")).to_have_value("Algade 1, 4999 Havnsby")


def test_language_is_switched_and_remembered(visitor: Page) -> None:
    expect(visitor.locator("h1")).to_have_text("Before you dig")
    visitor.click("[data-language=da]")
    expect(visitor.locator("h1")).to_have_text("Før du graver")
    expect(visitor.locator("html")).to_have_attribute("lang", "da")
    visitor.reload()
    expect(visitor.locator("h1")).to_have_text("Før du graver")
    expect(visitor.locator("#method option[value='6']")).to_have_text("Gravemaskine")
    visitor.wait_for_function(SETTLED)


def test_layer_toggle_hides_and_shows_the_layer(visitor: Page) -> None:
    visitor.click("#tab-layers")
    box = visitor.locator("#view-layers label", has_text="Buildings").locator("input")
    box.uncheck()
    visitor.wait_for_function(SETTLED)
    assert _rendered(visitor, "buildings/fill") == 0
    box.check()
    visitor.wait_for_function(
        "() => window.geoinfraMap.queryRenderedFeatures({layers: ['buildings/fill']}).length > 0"
    )


@pytest.mark.parametrize("language", ["da", "en"])
def test_the_legend_is_that_of_the_rules(visitor: Page, language: str) -> None:
    rows = legend_rows(load_style_set("geoinfra"))
    visitor.click(f"[data-language={language}]")
    visitor.click("#tab-layers")
    expect(visitor.locator("#legend li > span")).to_have_text(
        [row.da if language == "da" else row.en for row in rows], timeout=30_000
    )
    assert visitor.locator("#legend li > svg").count() == len(rows)


def test_coordinates_equal_proj(visitor: Page) -> None:
    from pyproj import Transformer

    places = [[8.1, 57.7], [9.0, 56.0], [11.35, 54.89], [15.1, 55.1]]
    ours = visitor.evaluate(
        """async (places) => {
            const {toUtm32, fromUtm32} = await import("/static/geometry.js");
            return places.map((place) => [toUtm32(place), fromUtm32(toUtm32(place))]);
        }""",
        places,
    )
    transform = Transformer.from_crs("EPSG:4258", "EPSG:25832", always_xy=True).transform
    for place, (forward, back) in zip(places, ours, strict=True):
        assert forward == pytest.approx(transform(*place), abs=1e-4)
        assert back == pytest.approx(place, abs=1e-9)


def _choose_file(page: Page, path: Path) -> None:
    page.click("#tab-check")
    page.set_input_files("#check-file", path)
    expect(page.locator("#check-result")).to_be_visible(timeout=30_000)


def test_a_faulty_delivery_is_refused_and_each_fault_found_on_the_map(owner: Page, faulty: Faulty) -> None:
    from pyproj import Transformer

    _choose_file(owner, faulty.path)
    expect(owner.locator("#check-verdict")).to_have_text("Refused")
    expect(owner.locator("#check-result h2")).to_have_text(faulty.path.name)
    row = owner.locator(".kind button", has_text=faulty.feature_id)
    expect(row.locator(".where")).to_have_text(f"Line {faulty.line:,} · {faulty.feature_id}")
    expect(owner.locator(".kind-hint").first).to_contain_text("What to do")
    owner.wait_for_function(SETTLED)
    row.click()
    expect(row).to_have_attribute("aria-pressed", "true")
    owner.wait_for_function(SETTLED)
    centre = owner.evaluate("() => window.geoinfraMap.getCenter().toArray()")
    transform = Transformer.from_crs("EPSG:25832", "EPSG:4258", always_xy=True).transform
    assert centre == pytest.approx(transform(*faulty.position), abs=1e-6)
    owner.wait_for_function(
        "() => window.geoinfraMap.queryRenderedFeatures({layers: ['check/ring']}).length === 1"
    )


def test_click_on_a_line_shows_its_attributes_as_text(owner: Page) -> None:
    _look_at(owner, "Algade")
    owner.wait_for_function(DRAWN, timeout=60_000)
    place = owner.evaluate(
        """() => {
            const map = window.geoinfraMap;
            const panel = document.getElementById("panel").getBoundingClientRect();
            for (const {geometry} of map.queryRenderedFeatures({layers: ["utility-lines/line/detail-0"]})) {
                const line = geometry.type === "LineString" ? geometry.coordinates : geometry.coordinates[0];
                for (const corner of line) {
                    const {x, y} = map.project(corner);
                    const beside = x > panel.right + 30 && x < innerWidth - 120;
                    if (beside && y > 80 && y < innerHeight - 120) return [x, y];
                }
            }
            return null;
        }"""
    )
    assert place is not None
    owner.mouse.click(*place)
    expect(owner.locator(".maplibregl-popup dt").first).to_have_text("Feature class")
    owner.click(".maplibregl-popup-close-button")


PIXELS = """() => new Promise((done) => {
    const map = window.geoinfraMap, canvas = map.getCanvas(), gl = canvas.getContext("webgl2");
    const ratio = canvas.width / canvas.clientWidth, pixel = new Uint8Array(4);
    const lines = map.queryRenderedFeatures({layers: ["utility-lines/line/detail-0"]}).slice(0, 40);
    const colourAt = (x, y) => {
        gl.readPixels(x * ratio, canvas.height - y * ratio, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
        return "#" + [...pixel.slice(0, 3)].map((part) => part.toString(16).padStart(2, "0")).join("");
    };
    const coloursOf = ({geometry}) => {
        const paths = geometry.type === "LineString" ? [geometry.coordinates] : geometry.coordinates;
        return paths.flatMap((path) => path.slice(1).flatMap((end, index) => {
            const [from, to] = [map.project(path[index]), map.project(end)];
            return [...Array(19).keys()].map((step) => (step + 1) / 20)
                .map((part) => [from.x + (to.x - from.x) * part, from.y + (to.y - from.y) * part])
                .filter(([x, y]) => x > 0 && y > 0 && x < canvas.clientWidth && y < canvas.clientHeight)
                .map(([x, y]) => colourAt(x, y));
        }));
    };
    map.once("render", () => done(lines.map((line) => [line.properties, coloursOf(line)])));
    map.triggerRepaint();
})"""


def test_lines_have_on_the_canvas_the_colour_that_the_rules_give_them(owner: Page) -> None:
    _look_at(owner, "Algade")
    owner.evaluate("() => window.geoinfraMap.setZoom(20)")
    owner.wait_for_function(DRAWN, timeout=60_000)
    owner.wait_for_function(SETTLED, timeout=60_000)
    rules = load_style_set("geoinfra")
    drawn, covered = 0, []
    for properties, colours in owner.evaluate(PIXELS):
        if len(colours) >= 15:
            symbol = resolve(rules, {**properties, "geometry": "line"}, 200)
            (stroke,) = (layer for layer in symbol.of(Stroke) if layer.part == "line")
            if stroke.colour in colours:
                drawn += 1
            else:  # another line may lie above it
                covered.append((properties, colours))
    assert drawn >= 2
    assert len(covered) <= drawn // 2, covered


def test_a_mark_on_the_map_leads_to_its_finding(owner: Page, faulty: Faulty) -> None:
    _choose_file(owner, faulty.path)
    owner.wait_for_function(SETTLED)
    owner.wait_for_function(
        "() => window.geoinfraMap.queryRenderedFeatures({layers: ['check/point']}).length > 0"
    )
    spot = owner.evaluate(
        """() => {
            const map = window.geoinfraMap;
            const [{geometry}] = map.queryRenderedFeatures({layers: ["check/point"]});
            const {x, y} = map.project(geometry.coordinates);
            return [x, y];
        }"""
    )
    owner.mouse.click(*spot)
    expect(owner.locator(".kind [aria-pressed=true]")).to_be_in_viewport()
    expect(owner.locator(".maplibregl-popup")).to_have_count(0)


def test_findings_are_filtered_by_severity_and_leave_the_map_with_the_tab(
    owner: Page, faulty: Faulty
) -> None:
    marks = "() => window.geoinfraMap.queryRenderedFeatures({layers: ['check/point']}).length"
    _choose_file(owner, faulty.path)
    owner.wait_for_function(f"{marks} > 0")
    owner.click(".filters [data-severity=error]")
    expect(owner.locator(".filters [data-severity=error]")).to_be_focused()
    expect(owner.locator(".kind.is-error")).to_have_count(0)
    owner.wait_for_function(f"{marks} === 0")
    owner.click(".filters [data-severity=error]")
    owner.wait_for_function(f"{marks} > 0")
    owner.click("#tab-layers")
    owner.wait_for_function(f"{marks} === 0")


def test_a_dropped_file_is_checked_and_its_report_saved(owner: Page, faulty: Faulty, tmp_path: Path) -> None:
    owner.evaluate(
        """([name, text]) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([text], name));
            const drop = new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true});
            document.querySelector(".drop").dispatchEvent(drop);
        }""",
        [faulty.path.name, faulty.path.read_text("utf-8")],
    )
    expect(owner.locator("#check-verdict")).to_have_text("Refused", timeout=30_000)
    with owner.expect_download() as pending:
        owner.click("#check-download")
    saved = tmp_path / pending.value.suggested_filename
    pending.value.save_as(saved)
    assert saved.name == f"{faulty.path.stem}-check.html"
    assert faulty.feature_id in saved.read_text("utf-8")
    owner.click("#check-new")
    expect(owner.locator("#check-choose")).to_be_focused()


def test_a_file_that_is_no_delivery_is_explained(owner: Page, tmp_path: Path) -> None:
    path = tmp_path / "notes.gml"
    path.write_text("not a delivery")
    _choose_file(owner, path)
    expect(owner.locator("#check-verdict")).to_have_text("Refused")
    expect(owner.locator(".kind-title")).to_have_text("The file cannot be read")
    expect(owner.locator(".kind")).to_contain_text("This is no XML.")
    expect(owner.locator(".kind li")).to_have_count(0)


def test_a_delivery_cannot_put_elements_into_the_page(owner: Page, faulty: Faulty, tmp_path: Path) -> None:
    path = tmp_path / "svar.gml"
    escaped = DANGEROUS_HTML.replace("<", "&lt;").replace('"', "&quot;")
    path.write_text(faulty.path.read_text("utf-8").replace(FAULT, escaped), "utf-8")
    _choose_file(owner, path)
    expect(owner.locator(".kind").first).to_contain_text(DANGEROUS_HTML)
    assert owner.locator("#check-result img").count() == 0
    assert owner.evaluate("() => window.broken") is None


def test_a_visitor_is_told_to_choose_a_role_before_checking(visitor: Page) -> None:
    visitor.click("#tab-check")
    expect(visitor.locator("#check-choose")).to_be_disabled()
    expect(visitor.locator("#check-need-role")).to_be_visible()


def test_phone_checks_a_delivery_and_keeps_the_map_in_sight(phone: Page, faulty: Faulty) -> None:
    _become(phone, "owner")
    _choose_file(phone, faulty.path)
    expect(phone.locator("#check-verdict")).to_have_text("Afvist")
    phone.wait_for_function(SETTLED)
    phone.locator(".kind button").first.tap()
    phone.wait_for_function(SETTLED)
    spot = phone.evaluate(
        """() => {
            const map = window.geoinfraMap;
            const [{geometry}] = map.querySourceFeatures("check", {filter: ["get", "chosen"]});
            return map.project(geometry.coordinates).y;
        }"""
    )
    sheet = phone.locator("#panel").bounding_box()
    assert sheet is not None
    assert 0 < spot < sheet["y"]
    assert phone.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]


def _require_accessible(page: Page) -> None:
    """Let axe look at the page as it stands."""
    page.evaluate((WEB_DIR / "node_modules/axe-core/axe.min.js").read_text("utf-8"))
    result = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    faults = result["violations"]
    assert faults == [], json.dumps([(v["id"], [n["html"] for n in v["nodes"]]) for v in faults], indent=1)


@pytest.mark.parametrize("view", ["enquiry", "mine", "check", "layers"])
@pytest.mark.parametrize("language", ["da", "en"])
def test_axe_finds_nothing(visitor: Page, view: str, language: str) -> None:
    visitor.click(f"[data-language={language}]")
    visitor.click(f"#tab-{view}")
    _require_accessible(visitor)


def test_axe_finds_nothing_in_a_check(owner: Page, faulty: Faulty) -> None:
    _choose_file(owner, faulty.path)
    owner.locator(".kind button").first.click()
    for language in ("da", "en"):
        owner.click(f"[data-language={language}]")
        _require_accessible(owner)


def test_axe_finds_nothing_on_a_phone(phone: Page, faulty: Faulty) -> None:
    for language in ("en", "da"):
        phone.tap(f"[data-language={language}]")
        _require_accessible(phone)
    phone.tap("#sheet-handle")
    _require_accessible(phone)
    phone.tap("#sheet-handle")
    _become(phone, "owner")
    _choose_file(phone, faulty.path)
    _require_accessible(phone)


def test_phone_shows_map_and_sheet_without_sideways_scrolling(phone: Page) -> None:
    width = phone.evaluate("() => document.documentElement.scrollWidth")
    assert width == PHONE["width"]
    sheet = phone.locator("#panel").bounding_box()
    assert sheet is not None
    assert sheet["y"] > 200
    phone.tap("#sheet-handle")
    expect(phone.locator("#panel-body")).to_be_hidden()
    expect(phone.locator("#search")).to_be_visible()
    phone.tap("#sheet-handle")
    expect(phone.locator("#draw-polygon")).to_be_visible()


def test_phone_draws_an_area_by_taps(phone: Page) -> None:
    _look_at(phone, "Algade")
    phone.tap("#draw-polygon")
    expect(phone.locator("#panel-body")).to_be_hidden()
    phone.wait_for_function(SETTLED)
    for x, y in [(120, 300), (260, 300), (260, 440), (120, 440)]:
        phone.touchscreen.tap(x, y)
        phone.wait_for_timeout(350)
    phone.tap("#draw-finish")
    expect(phone.locator("#draw-polygon")).to_be_visible()
    expect(phone.locator("#area-text strong")).to_be_visible()


def test_page_allows_this_server_only(demo_server: str) -> None:
    answer = httpx.get(f"{demo_server}/")
    policy = answer.headers["content-security-policy"]
    assert policy == content_security_policy(answer.text)
    assert "unsafe" not in policy
    assert "default-src 'self'" in policy


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/static/main.js", "text/javascript; charset=utf-8"),
        ("/static/vendor/maplibre-gl/maplibre-gl-worker.mjs", "text/javascript; charset=utf-8"),
        ("/static/app.css", "text/css; charset=utf-8"),
        ("/static/vendor/inter/inter-latin.woff2", "font/woff2"),
    ],
)
def test_static_file_has_its_media_type_and_can_be_revalidated(
    demo_server: str, path: str, media_type: str
) -> None:
    first = httpx.get(f"{demo_server}{path}")
    assert first.headers["content-type"] == media_type
    again = httpx.get(f"{demo_server}{path}", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["/static/../__init__.py", "/static/%2e%2e/__init__.py", "/static/.npmrc"])
def test_nothing_outside_the_static_folder_is_served(demo_server: str, path: str) -> None:
    assert httpx.get(f"{demo_server}{path}").status_code == 404
