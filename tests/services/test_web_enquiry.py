"""The enquiry form and the view of an enquiry, in a real browser over a running test environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from test_web_page import PHONE, SETTLED, _become, _open_other_ways, _page, _rectangle
from test_web_page import _require_accessible as require_accessible
from test_web_page import browser as browser  # a fixture
from web_world import BESIDE, HOSTILE, SILENT, SILENT_MAIL, World, running

pytestmark = [pytest.mark.services, pytest.mark.browser]

SMALL = {"width": 960, "height": 640}  # a map is drawn without a graphics card
RATE_DKK_PER_M2 = 0.007


@pytest.fixture(scope="module")
def world(tiny_town: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A test environment with enquiries in every state."""
    with running(tmp_path_factory.mktemp("world") / "data", tiny_town) as made:
        yield made


@pytest.fixture(scope="module")
def digger_page(browser: Browser, world: World) -> Iterator[Page]:
    """One page for all tests, as the excavator who filed."""
    for opened in _page(browser, world.url, viewport=SMALL, locale="en-GB"):
        _become(opened, "excavator")
        yield opened


@pytest.fixture
def digger(digger_page: Page) -> Page:
    """The page in English, with an empty form of a planned dig."""
    digger_page.click("[data-language=en]")
    digger_page.click("#tab-enquiry")
    if digger_page.locator("#status-new").is_visible():
        digger_page.click("#status-new")
    if digger_page.locator("#draw-clear").is_visible():
        digger_page.click("#draw-clear")
    choose(digger_page, "planned")
    return digger_page


def choose(page: Page, kind: str) -> None:
    page.check(f"input[name=kind][value={kind}]")


def look_up(page: Page, number: str) -> None:
    """Open an enquiry from the list, and wait for its first word from the server."""
    page.click("#tab-mine")
    page.locator("#view-mine button", has_text=number).click()
    expect(page.locator("#status-title")).to_have_text(f"Enquiry {number}")


def paste(page: Page, *boxes: tuple[float, float, float, float]) -> None:
    """Give rectangles (west, south, east, north, in degrees) as one collection."""
    rings = [[[w, s], [e, s], [e, n], [w, n], [w, s]] for w, s, e, n in boxes]
    features = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        for ring in rings
    ]
    _open_other_ways(page)
    page.fill("#area-geojson", json.dumps({"type": "FeatureCollection", "features": features}))
    page.click("#area-paste")


def drawn(page: Page, *layers: str) -> list[dict[str, Any]]:
    """The properties of what these layers show, each once."""
    page.wait_for_function(SETTLED)
    found: list[dict[str, Any]] = page.evaluate(
        """(layers) => {
            const found = window.geoinfraMap.queryRenderedFeatures({layers});
            return [...new Set(found.map(({properties}) => JSON.stringify(properties)))].map(JSON.parse);
        }""",
        list(layers),
    )
    return found


def require_gone(page: Page, layer: str) -> None:
    """Wait until a layer shows nothing; signs leave the map with the next placement of all signs."""
    page.wait_for_function(
        "(layer) => window.geoinfraMap.queryRenderedFeatures({layers: [layer]}).length === 0", arg=layer
    )


def test_fee_deadline_and_parts_are_told_before_filing(digger: Page) -> None:
    expect(digger.locator("#sandbox")).to_contain_text("TEST ENVIRONMENT")
    _rectangle(digger, 60, 40)
    expect(digger.locator("#preview-fee")).to_have_text(f"DKK {2400 * RATE_DKK_PER_M2:.2f}", timeout=20_000)
    expect(digger.locator("#preview-due")).to_contain_text(":")
    expect(digger.locator("#area-parts")).to_be_hidden()
    choose(digger, "planning")
    expect(digger.locator("#preview-fee")).to_have_text("Free", timeout=20_000)
    expect(digger.locator("#preview-due")).to_contain_text("Never dig")
    choose(digger, "planned")
    _rectangle(digger, 1000, 600)
    expect(digger.locator("#area-parts")).to_contain_text("3 enquiries", timeout=20_000)
    expect(digger.locator("#preview-fee")).to_have_text(f"DKK {600_000 * RATE_DKK_PER_M2:,.0f}")
    assert {one["text"] for one in drawn(digger, "enquiry-parts/number")} == {"1", "2", "3"}
    digger.click("#draw-clear")
    expect(digger.locator("#preview")).to_be_hidden()
    assert drawn(digger, "enquiry-parts/edge") == []


def test_polygons_that_meet_are_one_area_and_a_gap_between_them_is_told(digger: Page, world: World) -> None:
    x, y = world.centre
    one, next_to_it, apart = ((x + w, y, x + w + 0.0002, y + 0.0002) for w in (0, 0.0002, 0.0006))
    paste(digger, one, apart)
    expect(digger.locator("#area-text")).to_contain_text("2 polygons")
    expect(digger.locator("#area-warning .error-text")).to_be_visible(timeout=20_000)
    paste(digger, one, next_to_it)
    expect(digger.locator("#preview-fee")).to_be_visible(timeout=20_000)
    expect(digger.locator("#area-warning")).to_be_hidden()
    choose(digger, "planning")
    digger.click("#file-enquiry")
    expect(digger.locator("#status-view .verdict").first).to_contain_text("Never to be used", timeout=20_000)
    expect(digger.locator(".owners li[data-status=waiting]")).to_have_count(0)
    expect(digger.locator("#completeness")).to_have_count(0)


def test_what_is_wrong_leads_to_its_field(digger: Page) -> None:
    _rectangle(digger, 20, 20)
    choose(digger, "emergency")
    digger.click("#file-enquiry")
    expect(digger.locator("#ground-first")).to_be_focused()
    expect(digger.locator("#form-error")).to_contain_text("cannot wait")
    digger.check("#ground-first")
    expect(digger.locator("#form-error")).to_be_hidden()
    digger.click("#file-enquiry")
    expect(digger.locator("#reason")).to_be_focused()
    choose(digger, "planned")
    email = digger.locator("#contact-email")
    mail = email.input_value()
    email.fill("not a mail address")
    digger.click("#file-enquiry")
    expect(digger.locator("#form-error .error-text")).to_contain_text("contact.email", timeout=20_000)
    expect(email).to_have_attribute("aria-invalid", "true")
    expect(email).to_be_focused()
    digger.click("[data-language=da]")
    digger.click("#file-enquiry")
    expect(digger.locator("#form-error .error-text")).to_contain_text("navn@firma.dk", timeout=20_000)
    email.fill(mail)


def test_an_emergency_leads_to_telephones_before_anything_else(digger: Page) -> None:
    choose(digger, "emergency")
    digger.check("#ground-first")
    digger.fill("#reason", "Sprunget vandledning")
    _rectangle(digger, 120, 80)
    require_accessible(digger)
    digger.click("#file-enquiry")
    expect(digger.locator("#status-title")).to_be_focused(timeout=30_000)
    call = digger.locator(".owner-box.call")
    expect(call.locator(f"li[data-cvr='{SILENT}'] a.phone")).to_have_attribute("href", "tel:+4570102030")
    expect(digger.locator("#status-view > *").nth(1)).to_have_class("owner-box call")
    assert call.locator("a.phone").count() == call.locator("li").count() > 1
    require_accessible(digger)
    digger.click("#status-new")
    expect(digger.locator("input[name=kind][value=planned]")).to_be_checked()
    expect(digger.locator("#area-text strong")).to_have_count(0)


def test_an_owner_who_is_late_can_be_reached_and_owners_beside_stand_apart(
    digger: Page, world: World
) -> None:
    _rectangle(digger, 30, 30)
    look_up(digger, world.late)
    late = digger.locator("#status-view .owners li.late")
    expect(late).to_have_count(1)
    expect(late).to_contain_text("Late since")
    links = [link.get_attribute("href") for link in late.locator("a").all()]
    assert links == ["tel:+4570102030", f"mailto:{SILENT_MAIL}?subject={world.late}"]
    expect(digger.locator("#completeness")).to_contain_text("1 owner has not answered")
    expect(digger.locator("#status-view > .owner-box h3").first).to_contain_text("Late: contact")
    expect(digger.locator("#beside li")).to_have_count(1)
    expect(digger.locator(f"#beside li[data-cvr='{BESIDE}']")).to_contain_text(HOSTILE)
    expect(digger.locator("#validity")).to_contain_text("Valid to")
    assert digger.evaluate("() => [document.querySelectorAll('#panel img').length, window.broken]") == [
        0,
        None,
    ]
    for language, words in (("da", "Forsinket siden"), ("en", "Late since")):
        digger.click(f"[data-language={language}]")
        expect(late).to_contain_text(words)
        require_accessible(digger)
    digger.click("#status-new")
    expect(digger.locator("#area-text strong")).to_have_text("900 m²")


def test_what_changed_is_listed_and_drawn_for_its_filer_alone(digger: Page, world: World) -> None:
    look_up(digger, world.answered)
    expect(digger.locator("#differences-since")).to_have_value("2", timeout=20_000)
    digger.click("#differences-show")
    signs = digger.locator(".signs li strong")
    expect(signs.first).to_be_visible(timeout=20_000)
    counts = [int(text) for text in signs.all_text_contents()]
    assert counts == [world.differences[kind] for kind in ("added", "removed", "changed")]
    expect(digger.locator(".standings li")).to_contain_text("Corrected answer")
    expect(digger.locator(".changes")).to_have_count(3)
    expect(digger.locator(".changes").last).to_contain_text("type: stikkabel → forsyningskabel")
    expect(digger.locator(".changes").last).to_contain_text("moved 1.5 m")
    shown = drawn(digger, "differences/added", "differences/removed", "differences/changed")
    assert sorted(one["change"] for one in shown) == ["added", "changed", "removed"]
    assert len(drawn(digger, "differences/before")) == 1
    digger.locator(".changes li button").first.click()
    expect(digger.locator(".changes li button").first).to_have_attribute("aria-pressed", "true")
    assert len(drawn(digger, "differences/chosen")) == 1
    require_accessible(digger)
    digger.uncheck("#differences-map")
    require_gone(digger, "differences/sign")
    digger.select_option("#differences-since", "1")
    digger.click("#differences-show")
    expect(signs.first).to_have_text("4", timeout=20_000)  # the owner had not answered then
    digger.click("#status-new")
    require_gone(digger, "differences/sign")


def test_a_project_shows_its_parts_and_is_sent_again_after_a_second_click(digger: Page, world: World) -> None:
    look_up(digger, world.project)
    expect(digger.locator("#parts li")).to_have_count(2)
    assert {one["text"] for one in drawn(digger, "enquiry-parts/number")} == {"1", "2"}
    zoom = digger.evaluate("() => window.geoinfraMap.getZoom()")
    digger.locator("#parts button").last.click()
    digger.wait_for_function(f"() => window.geoinfraMap.getZoom() > {zoom}")
    expect(digger.locator(".resend")).to_contain_text("Can be sent again free until")
    digger.click("#resend")
    expect(digger.locator("#resend")).to_have_text("Yes, ask all owners again")
    digger.click("#resend")
    expect(digger.locator(".resend")).to_contain_text(f"The first was {world.project}", timeout=60_000)
    expect(digger.locator("#status-title")).not_to_contain_text(world.project)
    expect(digger.locator(".facts")).to_contain_text("Fee free")


def test_a_phone_files_an_emergency_and_sees_the_telephones(browser: Browser, world: World) -> None:
    options = {"viewport": PHONE, "locale": "da-DK", "has_touch": True, "is_mobile": True}
    for phone in _page(browser, world.url, **options):
        expect(phone.locator("#sandbox")).to_contain_text("TESTMILJØ")
        _become(phone, "excavator")
        choose(phone, "emergency")
        phone.check("#ground-first")
        phone.fill("#reason", "Sprunget vandledning")
        _rectangle(phone, 120, 80)
        expect(phone.locator("#preview-fee")).to_be_visible(timeout=20_000)
        require_accessible(phone)
        assert phone.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
        phone.tap("#file-enquiry")
        expect(phone.locator(".call a.phone").first).to_be_in_viewport(timeout=30_000)
        require_accessible(phone)
        assert phone.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
