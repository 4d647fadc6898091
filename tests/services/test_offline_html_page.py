"""The offline page in Chromium: opened from disk, without network, used as a person would."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyproj
import pytest
import shapely
from parts import chromium
from playwright.sync_api import Browser, Page, sync_playwright

from geoinfra.presentation.attributes import feature_attributes
from geoinfra.presentation.offline_html import write_offline_html
from geoinfra.presentation.resolve import Corridor, Stroke, resolve
from geoinfra.presentation.style_set import load_style_set
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.formats.package import EnquiryInfo, PackageOwner
from geoinfra.utilities.model import Contact, FeatureRows

pytestmark = [pytest.mark.services, pytest.mark.browser]

GAS, WATER = "10000001", "10000002"
HOSTILE = (
    "</script><script>document.title='owned'</script>\u2028<img src=x onerror=\"document.title='owned'\">"
)
E, N = 650_000.0, 6_070_000.0
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1400, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    gas, water = FeatureRows(GAS), FeatureRows(WATER)
    common: dict[str, Any] = {"driftsstatus": "i drift", "tvaersnitsform": "cirkulær"}
    danger = {**common, "fareklasse": "meget farlig", "type": "distributionsledning"}
    danger |= {
        "etableringstidspunkt": {"value": "2004", "indeterminate": "before"},
        "sikkerhedshensyn": HOSTILE,
    }
    gas.add("Gasledning", "gas.1", danger, shapely.LineString([(E - 500, N + 20), (E + 560, N + 20)]))
    plain = {
        **common,
        "fareklasse": "ikke farlig",
        "etableringstidspunkt": "2004",
        "startkomponent": {"href": "#k.1"},
    }
    water.add("Vandledning", "v.1", plain, shapely.LineString([(E + 10, N), (E + 10, N + 40)]))
    water.add("Vandkomponent", "k.1", {"type": "ventil"}, shapely.Point(E + 10, N + 40))
    owners = [
        PackageOwner(
            cvr=GAS, name="Byens Gas", status="Ledningsoplysninger udleveret", valid_to=date(2020, 1, 1)
        ),
        PackageOwner(
            cvr=WATER, name="Byens Vand", status="Ikke leveret", contact=Contact("Vagt", "12345678")
        ),
    ]
    info = EnquiryInfo(
        number="2026-000017",
        polygon=shapely.to_wkb(shapely.box(E, N, E + 60, N + 40)),
        period_from=date(2026, 12, 1),
        period_to=date(2099, 12, 20),
        methods=("6",),
        created_at=datetime(2026, 11, 24, 9, 12, tzinfo=UTC),
    )
    path = tmp_path_factory.mktemp("offline") / "index.html"
    with path.open("wb") as target:
        write_offline_html(target, info, owners, [gas.batch(), water.batch()])
    return path


@pytest.fixture
def opened(browser: Browser, page_file: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page on a phone or a desk; errors and requests of the test fail it."""
    size = getattr(request, "param", DESK)
    context = browser.new_context(
        viewport=size, device_scale_factor=2, has_touch=size is PHONE, is_mobile=size is PHONE
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda sent: complaints.append(sent.url) if sent.url != page_file.as_uri() else None)
    page.goto(page_file.as_uri())
    page.wait_for_selector("#stage:not([hidden])")
    drawn(page)
    yield page
    assert page.title() == "Graveforespørgsel 2026-000017"
    context.close()
    assert [text for text in complaints if not text.startswith("data:")] == []


def drawn(page: Page) -> None:
    """Wait until what was asked for is on the canvas."""
    page.wait_for_selector("#canvas[aria-busy='false']")


def colours(page: Page) -> set[str]:
    """The colours of the map, without what is selected."""
    return set(
        page.evaluate(
            """() => {
                const sheets = [...document.querySelectorAll('canvas.sheet')];
                const shown = sheets.find((sheet) => getComputedStyle(sheet).visibility === 'visible');
                const c = document.createElement('canvas');
                c.width = shown.width;
                c.height = shown.height;
                const pen = c.getContext('2d', {willReadFrequently: true});
                pen.drawImage(shown, 0, 0);
                const d = pen.getImageData(0, 0, c.width, c.height).data, s = new Set();
                for (let i = 0; i < d.length; i += 4) s.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);
                return [...s].map((one) => [one >> 16, one >> 8 & 255, one & 255].join());
            }"""
        )
    )


def centre(page: Page) -> tuple[float, float]:
    box = page.locator("#canvas").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


GAS_COLOUR, WATER_COLOUR, TRIANGLE = "138,106,0", "29,108,208", "192,4,20"


def press_middle(page: Page) -> None:
    """The middle of the dig area lies on the gas line."""
    if page.viewport_size == PHONE:
        page.click("nav a[href='#map']")
        page.wait_for_timeout(900)
        page.touchscreen.tap(*centre(page))
    else:
        page.mouse.click(*centre(page))
    drawn(page)


@pytest.mark.parametrize("opened", [PHONE, DESK], indirect=True, ids=["phone", "desk"])
def test_map_shows_lines_in_their_colour_and_triangles_on_danger(opened: Page) -> None:
    assert {GAS_COLOUR, WATER_COLOUR, TRIANGLE} <= colours(opened)


@pytest.mark.parametrize("opened", [PHONE, DESK], indirect=True, ids=["phone", "desk"])
def test_a_tap_shows_the_attributes_and_hostile_text_stays_text(opened: Page) -> None:
    press_middle(opened)
    card = opened.locator("#card")
    text = card.inner_text()
    assert "Gasledning" in text
    assert "Meget farlig" in text
    assert "før 2004" in text
    assert HOSTILE in (card.text_content() or "")
    assert opened.locator("#card img, #card script").count() == 0


@pytest.mark.parametrize("opened", [PHONE, DESK], indirect=True, ids=["phone", "desk"])
def test_nothing_is_wider_than_the_screen(opened: Page) -> None:
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_validity_that_ran_out_is_marked_on_reading(opened: Page) -> None:
    assert opened.locator("td.expired").inner_text() == "2020-01-01 udløbet"
    assert "Oplysninger fra 1 ledningsejer er udløbet" in opened.locator(".verdict.stop").inner_text()


def test_the_language_changes_everywhere(opened: Page) -> None:
    assert "Grav ikke endnu" in opened.locator(".verdict").inner_text()
    opened.click("#language")
    assert "Do not dig yet" in opened.locator(".verdict").inner_text()
    assert opened.get_attribute("#query", "placeholder") == "Search id, type, owner, text"
    assert opened.get_attribute("#fit", "aria-label") == "Show the dig area"


def test_a_filter_hides_lines_and_says_when_danger_is_hidden(opened: Page) -> None:
    opened.click("#filter")
    opened.click("#filters label:has-text('Byens Gas')")
    drawn(opened)
    assert GAS_COLOUR not in colours(opened)
    assert "skjuler 1 meget farlige" in opened.locator("#hidden-danger").inner_text()
    opened.click("#hidden-danger button")
    drawn(opened)
    assert GAS_COLOUR in colours(opened)
    assert opened.locator("#hidden-danger").is_hidden()


def test_search_finds_an_id_and_references_lead_on(opened: Page) -> None:
    opened.fill("#query", "V.1")
    opened.press("#query", "Enter")
    assert "Vandledning" in opened.locator("#card").inner_text()
    opened.click("#card summary")
    opened.click("#card .ler button.link")
    assert "Vandkomponent" in opened.locator("#card").inner_text()


def test_measure_gives_metres_on_the_ground(opened: Page) -> None:
    """From scale bar to measured line: the bar's own length is measured."""
    bar = opened.locator("#scale i").bounding_box()
    assert bar
    metres = float(opened.locator("#scale span").inner_text().split()[0])
    opened.click("#measure")
    x, y = centre(opened)
    opened.mouse.click(x, y)
    opened.mouse.click(x + 2 * bar["width"], y)
    told = opened.locator("#status").inner_text()
    measured = float(told.split("I alt ")[1].split(" m")[0].replace(",", "."))
    assert measured == pytest.approx(2 * metres, rel=0.02)


def test_keys_move_zoom_and_select(opened: Page) -> None:
    opened.focus("#canvas")
    before = opened.locator("#scale span").inner_text()
    for key in ("+", "+", "+", "+", "ArrowLeft", "ArrowRight"):
        opened.keyboard.press(key)
    drawn(opened)
    assert opened.locator("#scale span").inner_text() != before
    opened.keyboard.press("Enter")
    assert "Gasledning" in opened.locator("#card").inner_text()
    opened.keyboard.press("Escape")
    assert opened.locator("#card").is_hidden()


def test_drag_and_wheel_keep_the_place_under_the_pointer(opened: Page) -> None:
    x, y = centre(opened)
    opened.mouse.move(x, y)
    opened.mouse.down()
    opened.mouse.move(x + 60, y + 110, steps=4)
    opened.mouse.up()
    opened.mouse.wheel(0, -400)
    drawn(opened)
    opened.mouse.click(x + 60, y + 110)
    assert "Gasledning" in opened.locator("#card").inner_text()


def test_search_knows_type_owner_reference_and_any_text(opened: Page) -> None:
    gas = "Gasledning · distributionsledning gas.1 · Byens Gas"
    line, valve = "Vandledning v.1 · Byens Vand", "Vandkomponent · ventil k.1 · Byens Vand"
    for wanted, found in (
        ("ventil", [valve]),
        ("byens gas", [gas]),
        ("vand #K.1", [line]),
        ("title='owned'", [gas]),
        ("10000002", [line, valve]),
        ("byens gas ventil", []),
    ):
        opened.fill("#query", wanted)
        assert sorted(opened.locator("#found button").all_inner_texts()) == sorted(found)
        assert opened.locator("#found li").count() == max(1, len(found))


def test_types_can_be_filtered_and_the_legend_has_what_is_on_the_map(opened: Page) -> None:
    opened.click("#filter")
    panel = opened.locator("#filters")
    panel.locator("details.signs summary").click()
    signs = {text.strip() for text in panel.locator(".sign").all_inner_texts()}
    assert {"Ventil", "Usikkerhed: nøjagtighed ikke oplyst"} <= signs
    assert not any(text.startswith(("Kabelskab", "Uden ejer", "Spændingsniveau")) for text in signs)
    panel.locator("details:not(.signs) summary").click()
    panel.locator("details:not(.signs) label:has-text('Gasledning')").click()
    drawn(opened)
    assert GAS_COLOUR not in colours(opened)
    opened.fill("#query", "gas.1")
    opened.press("#query", "Enter")  # what a filter hides is shown again when it was searched for
    assert panel.locator("input:not(:checked)").count() == 0


def test_in_sunlight_lines_are_thicker(browser: Browser, page_file: Path) -> None:
    page = recorded(browser, page_file)
    plain = {stroke["width"] for stroke in strokes(page) if stroke["colour"] == "#8a6a00"}
    page.click("#sun")
    thick = {stroke["width"] for stroke in strokes(page) if stroke["colour"] == "#8a6a00"}
    assert max(plain) > 8  # the corridor, which is as wide as before
    assert sorted(thick)[0] == pytest.approx(sorted(plain)[0] * 1.5)
    assert max(thick) == pytest.approx(max(plain))
    page.context.close()


# ------------------------------------------------------------------ what is drawn, against the resolver


RECORDER = """
(() => {
    const starts = new WeakMap(), on = CanvasRenderingContext2D.prototype, log = window.drawnLog = [];
    const move = Path2D.prototype.moveTo, stroke = on.stroke, image = on.drawImage;
    Path2D.prototype.moveTo = function (x, y) {
        if (!starts.has(this)) starts.set(this, []);
        starts.get(this).push([x, y]);
        move.call(this, x, y);
    };
    on.stroke = function (path) {
        if (path instanceof Path2D) log.push({
            starts: starts.get(path) ?? [], colour: this.strokeStyle, width: this.lineWidth,
            dash: this.getLineDash(), cap: this.lineCap, opacity: this.globalAlpha, canvas: this.canvas });
        return path ? stroke.call(this, path) : stroke.call(this);
    };
    on.drawImage = function (source, ...more) {
        for (const one of log) if (one.canvas === source) one.laid ??= this.globalAlpha;
        return image.call(this, source, ...more);
    };
})()
"""


def recorded(browser: Browser, path: Path) -> Page:
    """Open a page whose canvas writes down what is stroked."""
    page = browser.new_context(viewport=DESK).new_page()
    page.add_init_script(RECORDER)
    page.goto(path.as_uri())
    page.wait_for_selector("#stage:not([hidden])")
    drawn(page)
    return page


def strokes(page: Page) -> list[dict[str, Any]]:
    """What a new drawing strokes: where lines start, and how; a veil counts as it is laid over."""
    drawn(page)
    page.evaluate("drawnLog.length = 0")
    page.click("#fit")
    drawn(page)
    told: list[dict[str, Any]] = page.evaluate(
        "drawnLog.filter(({starts}) => starts.some(([, y]) => y > 5)).map(({canvas, laid, ...one}) =>"
        " ({...one, opacity: one.opacity * (laid ?? 1)}))"
    )
    return told


def small_sheet() -> FeatureBatch:
    """One line below the other, 4 m apart: utilities, status, hazard, accuracy, method, containment."""
    rows = FeatureRows(GAS)
    plain = {"driftsstatus": "i drift", "fareklasse": "ikke farlig", "noejagtighedsklasse": "<= 0.50 m"}
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("Gasledning", {"fareklasse": "meget farlig"}),
        ("Gasledning", {"driftsstatus": "permanent ude af drift"}),
        (
            "Vandledning",
            {"driftsstatus": "under etablering", "udvendigDiameter": {"value": 400, "uom": "mm"}},
        ),
        ("Vandledning", {"indtegningsmetode": "skematisk"}),
        ("Vandledning", {"vejledendeDybde": {"value": 900, "uom": "mm"}}),
        ("Elledning", {"spaendingsniveau": {"value": 132, "uom": "kV"}, "fareklasse": "farlig"}),
        ("Elledning", {"noejagtighedsklasse": "> 2.00 m"}),
        ("Telekommunikationsledning", {"liggerILedning": True}),
        ("Telekommunikationsledning", {"indtegningsmetode": "forskudt"}),
        ("Foeringsroer", {"indeholderLedninger": True}),
        ("Afloebsledning", {"udvendigDiameter": {"value": 1200, "uom": "mm"}}),
        ("Olieledning", {"ejerskabsforhold": "uden ejer"}),
        ("LedningUkendtForsyningsart", {}),
    ]
    for number, (name, own) in enumerate(kinds):
        course = shapely.LineString([(E, N - 4 * number), (E + 50, N - 4 * number)])
        rows.add(name, f"l.{number}", {**plain, **own}, course)
    return rows.batch()


def test_each_feature_is_stroked_as_the_resolver_says(browser: Browser, tmp_path: Path) -> None:
    batch, style_set, spacing_m = small_sheet(), load_style_set(), 4
    area = shapely.box(E - 10, N - 75, E + 60, N + 25)
    info = EnquiryInfo("2026-000018", shapely.to_wkb(area), date(2026, 12, 1), date(2099, 1, 1), ("6",))
    with (tmp_path / "sheet.html").open("wb") as target:
        write_offline_html(target, info, [], [batch])
    page = recorded(browser, tmp_path / "sheet.html")
    told = defaultdict(list)
    for stroke in strokes(page):
        for _, y in stroke["starts"]:
            told[round(y, 1)].append(stroke)
    page.context.close()
    heights = sorted(told)
    assert len(heights) == len(batch)
    pixels_a_metre = (heights[-1] - heights[0]) / (spacing_m * (len(batch) - 1))
    denominator = 1000 / (pixels_a_metre * style_set.pixel_mm)
    assert style_set.band(denominator).key == "plan"
    seen = 0
    for row, height in enumerate(heights):
        attributes = feature_attributes(batch, row, (*style_set.attributes, "width_mm"))
        symbol = resolve(style_set, attributes, denominator)
        expected = [
            (layer.colour, 2 * layer.half_width_m * pixels_a_metre, [], "round", layer.opacity)
            if isinstance(layer, Corridor)
            else (layer.colour, layer.width_px, list(layer.dash_px), layer.cap, layer.opacity)
            for layer in symbol.layers
            if isinstance(layer, Corridor | Stroke)
        ]
        found = [
            (one["colour"], one["width"], one["dash"], one["cap"], one["opacity"]) for one in told[height]
        ]
        assert [one[0] for one in found] == [one[0] for one in expected]  # colours, bottom to top
        for one, other in zip(found, expected, strict=True):
            assert one[1] == pytest.approx(other[1], rel=1e-3)
            assert one[2] == pytest.approx(other[2], abs=1e-3)
            assert one[3] == other[3]
            assert one[4] == pytest.approx(other[4], abs=0.005)
            seen += 1
    assert seen == 50


@pytest.mark.parametrize("place", [(11.95, 54.83), (8.1, 57.0), (15.15, 55.1)])
def test_own_position_agrees_with_proj(browser: Browser, page_file: Path, place: tuple[float, float]) -> None:
    longitude, latitude = place
    context = browser.new_context(
        viewport=DESK,
        geolocation={"longitude": longitude, "latitude": latitude, "accuracy": 4},
        permissions=["geolocation"],
    )
    page = context.new_page()
    page.goto(page_file.as_uri())
    page.click("#locate")
    page.wait_for_selector("#status:has-text('E ')")
    east, north, accuracy = page.locator("#status").inner_text().replace(",", ".").split(" · ")
    expected = pyproj.Transformer.from_crs(4258, 25832, always_xy=True).transform(longitude, latitude)
    assert float(east[2:]) == pytest.approx(expected[0], abs=0.006)
    assert float(north[2:]) == pytest.approx(expected[1], abs=0.006)
    assert accuracy == "±4 m"
    context.close()


def test_a_denied_position_hides_its_button(browser: Browser, page_file: Path) -> None:
    context = browser.new_context(viewport=DESK, permissions=[])
    page = context.new_page()
    page.goto(page_file.as_uri())
    page.click("#locate")
    page.wait_for_selector("#locate", state="hidden")
    context.close()


def test_what_keeps_people_safe_reads_without_script(browser: Browser, page_file: Path) -> None:
    context = browser.new_context(viewport=PHONE, java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    text = page.locator("main").inner_text()
    assert "Grav ikke endnu: 1 ledningsejer mangler." in text
    assert "Meget farlig" in text
    assert "12345678" in text
    context.close()
