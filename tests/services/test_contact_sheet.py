"""One sheet of two hundred features as four programs draw it, side by side in one picture.

``GEOINFRA_CONTACT_SHEET`` names a folder that gets a copy of the picture, for people to look at.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from drawing_sheet import HEIGHT, OWNER, ROW_M, TOP_M, WIDTH, E, N, two_hundred
from parts import chromium, qgis_python
from playwright.sync_api import sync_playwright

from geoinfra.presentation.offline_html import write_offline_html
from geoinfra.presentation.plan import PlanOptions, write_plan
from geoinfra.presentation.qml import default_layer_style
from geoinfra.presentation.style_set import load_style_set
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.formats.dxf import write_dxf
from geoinfra.utilities.formats.geopackage import write_geopackage
from geoinfra.utilities.formats.package import EnquiryInfo, PackageOwner

Image = pytest.importorskip("PIL.Image")
pytestmark = [pytest.mark.services, pytest.mark.browser, pytest.mark.qgis]

SCALE = 200
PANE = (1500, 900)


@pytest.fixture(scope="module")
def sheet() -> FeatureBatch:
    """The two hundred features that every drawing is compared on."""
    return two_hundred()


def enquiry() -> EnquiryInfo:
    area = shapely.box(E, N, E + WIDTH, N + HEIGHT)
    return EnquiryInfo("2026-000017", shapely.to_wkb(area), date(2026, 12, 1), date(2099, 12, 20))


def owners() -> list[PackageOwner]:
    return [PackageOwner(cvr=OWNER, name="Byens Ledninger", status="Ledningsoplysninger udleveret")]


def by_plan(sheet: FeatureBatch, folder: Path) -> Any:
    pdfium = pytest.importorskip("pypdfium2")
    target = io.BytesIO()
    write_plan(target, enquiry(), owners(), [sheet], None, PlanOptions(scale=SCALE, paper="A3", margin_m=1))
    document = pdfium.PdfDocument(target.getvalue())
    picture = document[len(document) - 1].render(scale=150 / 72).to_pil()
    document.close()
    return picture


def by_browser(sheet: FeatureBatch, folder: Path) -> Any:
    program = chromium()
    path = folder / "index.html"
    with path.open("wb") as target:
        write_offline_html(target, enquiry(), owners(), [sheet])
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = running.new_context(viewport={"width": 1700, "height": 1000}).new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("#stage:not([hidden])")
        page.wait_for_selector("#canvas[aria-busy='false']")
        data = page.locator("#canvas").screenshot()
        running.close()
    return Image.open(io.BytesIO(data))


QGIS = r"""
import sys
from qgis.core import *
from qgis.PyQt.QtCore import QSize
app = QgsApplication([], False); app.initQgis()
path, target, west, south, east, north = sys.argv[1:7]
whole = QgsVectorLayer(path, "all", "ogr")
names = sorted({layer.split("!!::!!")[1] for layer in whole.dataProvider().subLayers()} - {"layer_styles"})
layers = [QgsVectorLayer(f"{path}|layername={name}", name, "ogr") for name in names]
layers = [layer for layer in layers if layer.isSpatial()]
assert layers and all(layer.isValid() for layer in layers)
settings = QgsMapSettings()
settings.setLayers(sorted(layers, key=lambda layer: "komponent" not in layer.name()))
settings.setDestinationCrs(layers[0].crs())
settings.setOutputSize(QSize(1772, 1063)); settings.setOutputDpi(150)
settings.setExtent(QgsRectangle(float(west), float(south), float(east), float(north)))
job = QgsMapRendererParallelJob(settings); job.start(); job.waitForFinished()
assert job.renderedImage().save(target)
print("scale", settings.scale())
"""


def by_qgis(sheet: FeatureBatch, folder: Path) -> Any:
    python = qgis_python()
    path, target = folder / "sheet.gpkg", folder / "qgis.png"
    write_geopackage(path, [sheet], styles=default_layer_style)
    environment = {"QT_QPA_PLATFORM": "offscreen", "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    place = map(str, (E, N, E + WIDTH, N + HEIGHT))
    run = subprocess.run(
        [python, "-c", QGIS, path, target, *place],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
        env=environment,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return Image.open(target)


def by_cad(sheet: FeatureBatch, folder: Path) -> Any:
    resvg = pytest.importorskip("resvg_py")
    from ezdxf.addons.drawing import Frontend, RenderContext, layout
    from ezdxf.addons.drawing.config import BackgroundPolicy, Configuration
    from ezdxf.addons.drawing.svg import SVGBackend
    from ezdxf.filemanagement import readfile

    path = folder / "sheet.dxf"
    write_dxf(path, [sheet])
    document = readfile(path)
    backend = SVGBackend()
    context = RenderContext(document)
    settings = Configuration(background_policy=BackgroundPolicy.WHITE)
    Frontend(context, backend, settings).draw_layout(document.modelspace())
    svg = backend.get_string(layout.Page(300, 180, layout.Units.mm)).replace(
        'width="300mm" height="180mm"', f'width="{PANE[0]}" height="{PANE[1]}"'
    )
    return Image.open(io.BytesIO(bytes(resvg.svg_to_bytes(svg_string=svg))))


def seen(picture: Any) -> dict[str, int]:
    """Count the pixels whose colour is nearly that of a type."""
    pixels = np.asarray(picture.convert("RGB"), dtype=np.int16).reshape(-1, 3)
    found = {}
    for row in load_style_set("geoinfra").dimensions["type"].classes:
        colour = np.array([int(row.fields["colour"][at : at + 2], 16) for at in (1, 3, 5)])
        found[row.key] = int((np.abs(pixels - colour).max(axis=1) <= 6).sum())
    return found


def test_four_programs_show_every_type_in_its_colour(sheet: FeatureBatch, tmp_path: Path) -> None:
    assert len(sheet) == 200
    drawn = [make(sheet, tmp_path) for make in (by_plan, by_browser, by_qgis, by_cad)]
    whole = Image.new("RGB", (PANE[0] * 2, PANE[1] * 2), "white")
    for number, picture in enumerate(drawn):
        pane = picture.convert("RGB")
        pane.thumbnail(PANE)
        whole.paste(pane, (PANE[0] * (number % 2), PANE[1] * (number // 2)))
    whole.save(tmp_path / "contact-sheet.png")
    folder = os.environ.get("GEOINFRA_CONTACT_SHEET")
    if folder:
        for name, picture in zip(("plan", "browser", "qgis", "cad"), drawn, strict=True):
            picture.save(Path(folder) / f"{name}.png")
        shutil.copy(tmp_path / "contact-sheet.png", folder)
    scale = drawn[2].width / WIDTH
    first, below = (ROW_M + TOP_M - 0.8) * scale, (ROW_M + TOP_M + 0.8) * scale  # the line of 10 kV
    cut = np.asarray(drawn[2].convert("RGB").crop((0, first, 3.5 * scale, below)))
    assert (cut.max(axis=2) < 0x90).sum() >= 12, "QGIS draws the bar of the voltage"
    for picture in drawn:
        assert {key: count for key, count in seen(picture).items() if count < 40} == {}
