"""The pages of the OGC APIs in a real browser: nothing strange runs, all can be read, also on a phone."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from parts import chromium
from playwright.sync_api import Browser, Page, sync_playwright
from small_store import make_app, make_store
from test_ogc_formats import ATTACKS, publish_odd

import services.web
from services.web import STATIC_DIR

pytestmark = [pytest.mark.services, pytest.mark.browser]

PAGES = (
    "/ogc",
    "/ogc/collections",
    "/ogc/collections/buildings",
    "/ogc/collections/buildings/items?limit=20",
    "/ogc/collections/buildings/items/b.7",
    "/ogc/collections/buildings/queryables",
    "/ogc/collections/buildings/schema",
    "/ogc/conformance",
    "/ogc/styles",
    "/ogc/styles/geoinfra/metadata",
    "/ogc/tileMatrixSets",
    "/ogc/tileMatrixSets/WebMercatorQuad",
    "/ogc/collections/buildings/tiles",
    "/ogc/processes",
    "/ogc/processes/dig-enquiry",
)
DARK_TOO = ("/ogc", "/ogc/collections/buildings", "/ogc/collections/buildings/items?limit=20")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = make_store(tmp_path_factory.mktemp("store"))
    publish_odd(store)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = make_app(store, address)
        services.web.mount_web(app)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield address
        server.should_exit = True
        thread.join()
    store.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the system; absent, a visible skip, and a failure in CI."""
    program = chromium(STATIC_DIR / "vendor" / "VENDOR.json")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def seen(browser: Browser, url: str) -> Iterator[tuple[Page, list[str]]]:
    """A phone's page, and what went wrong in it: errors, refused contents, requests to elsewhere."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="da-DK")
    page, faults = context.new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((url, "blob:", "data:")) else faults.append(asked.url),
    )
    page.on(
        "response",
        lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None,
    )
    yield page, faults
    context.close()


AXE = STATIC_DIR.parent / "node_modules/axe-core/axe.min.js"


def _require_readable(page: Page) -> None:
    """Let axe look at the page as it stands; nothing may stand beside the screen."""
    page.evaluate(AXE.read_text("utf-8"))
    faults = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert faults == [], json.dumps([(v["id"], [n["html"] for n in v["nodes"]]) for v in faults], indent=1)
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("path", PAGES)
def test_each_page_can_be_read_on_a_phone(seen: tuple[Page, list[str]], url: str, path: str) -> None:
    page, faults = seen
    faults.clear()
    page.emulate_media(color_scheme="light")
    page.goto(url + path)
    for scheme in ("light", "dark") if path in DARK_TOO else ("light",):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # of a tuple of texts
        _require_readable(page)
        if folder := os.environ.get("GEOINFRA_SCREENSHOTS"):
            name = re.sub(r"\W+", "-", path).strip("-")
            page.screenshot(path=Path(folder) / f"{name}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.lang") == "da"
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.fonts.check('16px Inter')")
    assert page.title().endswith("geoinfra")
    assert faults == []


def test_the_map_of_a_page_draws_its_features(seen: tuple[Page, list[str]], url: str) -> None:
    page, faults = seen
    faults.clear()
    page.goto(f"{url}/ogc/collections/buildings/items?limit=20&lang=en")
    page.wait_for_selector(".map[data-drawn='20']", timeout=60_000)
    assert faults == []
    if folder := os.environ.get("GEOINFRA_SCREENSHOTS"):
        page.set_viewport_size({"width": 1280, "height": 900})
        page.reload(wait_until="networkidle")
        page.wait_for_selector(".map[data-drawn='20']", timeout=60_000)
        page.screenshot(path=Path(folder) / "items-wide.png")
        page.set_viewport_size({"width": 390, "height": 844})


def test_hostile_attributes_are_text(seen: tuple[Page, list[str]], url: str) -> None:
    page, faults = seen
    faults.clear()
    items = f"{url}/ogc/collections/odd/items?f=html&lang=en"
    page.goto(items)
    cells = page.locator("tbody td:nth-child(2)").all_text_contents()
    assert [" ".join(cell.split()) for cell in cells] == [" ".join(text.split()) for text in ATTACKS]
    addresses = [link.get_attribute("href") for link in page.locator("tbody a").all()]
    for number in (7, 8, 10):
        page.goto(addresses[number] or "")
        text = page.locator("td").first.text_content() or ""
        assert " ".join(text.split()) == " ".join(ATTACKS[number].split())
    assert page.evaluate("window.broken") is None
    assert faults == []


def test_the_language_is_kept_from_page_to_page(seen: tuple[Page, list[str]], url: str) -> None:
    page, _ = seen
    page.goto(f"{url}/ogc")
    assert page.locator("h1").text_content() == "geoinfra OGC-tjenester"
    page.click("text=English")
    page.click("nav >> text=Collections")
    page.click("text=Buildings")
    page.click("text=Browse the features")
    assert page.locator(".facts").text_content() == "100 of 250 features"
    page.click("text=Next page")
    assert page.evaluate("document.documentElement.lang") == "en"
