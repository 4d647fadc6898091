"""Point symbols in other programs: QGIS and Chromium draw what the sprite shows."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from parts import chromium, qgis_python
from PIL import Image

from geoinfra.presentation.symbols import load_symbols, rasterise

DRAWINGS = list(load_symbols().drawings.values())
COLOUR = "#d3121f"
SIDE = 96

_QGIS = f"""
import os, sys
from pathlib import Path
from qgis.core import QgsApplication
from qgis.PyQt.QtGui import QColor
application = QgsApplication([], False)
application.initQgis()
for path in Path(sys.argv[1]).glob("*.svg"):
    image, _ = QgsApplication.svgCache().svgAsImage(
        str(path), {SIDE}, QColor("{COLOUR}"), QColor("#00ff00"), 3.0, 1.0)
    image.save(str(path.with_suffix(".png")))
sys.stdout.flush()
os._exit(0)
"""


def _pixels(picture: bytes) -> NDArray[np.float64]:
    """Return what a picture shows on white."""
    drawn = Image.open(io.BytesIO(picture)).convert("RGBA")
    ground = Image.new("RGBA", drawn.size, "#ffffff")
    ground.alpha_composite(drawn)
    return np.asarray(ground.convert("RGB"), np.float64)


def _assert_alike(found: NDArray[np.float64], symbol: str, at_most: int) -> None:
    expected = _pixels(rasterise(load_symbols().drawing(symbol).svg(COLOUR), SIDE, SIDE))
    wrong = int((np.abs(found - expected).max(axis=2) > 128).sum())
    assert wrong <= at_most, (symbol, wrong)


@pytest.mark.qgis
def test_qgis_draws_the_symbols_in_the_colour_it_is_given(tmp_path: Path) -> None:
    python = qgis_python()
    for drawing in DRAWINGS:
        (tmp_path / f"{drawing.id}.svg").write_text(drawing.parametric_svg())
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    command = [python, "-c", _QGIS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    for drawing in DRAWINGS:
        # Qt and resvg share out the pixels along an edge differently: less than one in a hundred.
        _assert_alike(_pixels((tmp_path / f"{drawing.id}.png").read_bytes()), drawing.id, SIDE * SIDE // 100)


@pytest.mark.browser
def test_a_browser_draws_the_elements_inside_a_page(browser_page_shot: bytes) -> None:
    shot = _pixels(browser_page_shot)
    for place, drawing in enumerate(DRAWINGS):
        x, y = place % 12 * SIDE, place // 12 * SIDE
        _assert_alike(shot[y : y + SIDE, x : x + SIDE], drawing.id, 0)


@pytest.fixture
def browser_page_shot() -> bytes:
    """All symbols in one page, twelve in a row, the ink inherited from the page."""
    from playwright.sync_api import sync_playwright

    program = chromium()
    symbols = "".join(
        f'<svg width="{SIDE}" height="{SIDE}" viewBox="0 0 24 24">{drawing.elements()}</svg>'
        for drawing in DRAWINGS
    )
    page_html = f'<body style="margin:0;line-height:0;background:#fff;color:{COLOUR}">{symbols}</body>'
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 12 * SIDE, "height": 12 * SIDE})
        page.set_content(page_html)
        shot = page.screenshot(full_page=True)
        browser.close()
    return shot
