"""The programs that people use read our services: GDAL, OWSLib and QGIS against a running server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyogrio
import pyproj
import pytest
import shapely
from owslib.ogcapi.features import Features
from owslib.ogcapi.processes import Processes
from parts import program, qgis_python
from small_store import BUILDING_COUNT, EAST, GRANTED_LINES, NORTH, building_shape, small_service

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with small_service(tmp_path_factory.mktemp("store")) as made:
        yield f"{made[1]}/ogc"


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.gdal
def test_ogrinfo_lists_the_layers_and_counts_them(url: str) -> None:
    listed = run(program("ogrinfo"), f"OAPIF:{url}")
    assert "buildings" in listed
    assert "streets" in listed
    assert "utility" not in listed
    summary = run("ogrinfo", "-so", f"OAPIF:{url}", "buildings")
    assert f"Feature Count: {BUILDING_COUNT}" in summary
    for column in ("floors: Integer", "height_m: Real", "built: Date", "listed: Integer(Boolean)"):
        assert column in summary


@pytest.mark.gdal
def test_ogr2ogr_reads_a_window_and_every_page(url: str, tmp_path: Path) -> None:
    mover = pyproj.Transformer.from_crs(25832, "OGC:CRS84")
    west, south, east, north = mover.transform_bounds(EAST - 5, NORTH - 5, EAST + 95, NORTH + 75)
    window = tmp_path / "window.gpkg"
    box = [str(number) for number in (west, south, east, north)]
    run(program("ogr2ogr"), str(window), f"OAPIF:{url}", "buildings", "-spat", *box)
    _, _, geometry, _ = pyogrio.raw.read(window)
    area = shapely.box(west, south, east, north)
    back = pyproj.Transformer.from_crs("OGC:CRS84", 25832)
    expected = [
        row
        for row in range(249)
        if building_shape(row).intersects(
            shapely.transform(
                shapely.segmentize(area, 1e-4),
                lambda xy: shapely.get_coordinates(shapely.points(*back.transform(*xy.T))),
            )
        )
    ]
    assert len(geometry) == len(expected)
    whole = tmp_path / "whole.gpkg"
    run("ogr2ogr", str(whole), f"OAPIF:{url}", "buildings", "-oo", "PAGE_SIZE=17")
    meta, _, _, fields = pyogrio.raw.read(whole)
    names = fields[list(meta["fields"]).index("name")]
    assert sorted(names) == sorted(f"Hus <{row}> \"æøå\" & 'co'" for row in range(BUILDING_COUNT))


@pytest.mark.gdal
def test_gdal_sends_a_token_and_sees_the_granted_lines(url: str) -> None:
    headers = {"GDAL_HTTP_HEADERS": "Authorization: Bearer digger"}
    summary = run(program("ogrinfo"), "-so", f"OAPIF:{url}", "utility-lines", **headers)
    assert f"Feature Count: {GRANTED_LINES}" in summary


def test_owslib_reads_collections_items_and_queryables(url: str) -> None:
    features = Features(f"{url}/")
    assert features.feature_collections() == ["buildings", "streets"]
    assert "floors" in features.collection_queryables("buildings")["properties"]
    items = features.collection_items(
        "buildings", limit=5, filter="floors = 2", bbox=[10.0, 54.0, 11.0, 55.0]
    )
    assert [item["properties"]["floors"] for item in items["features"]] == [2] * 5
    assert features.collection_item("buildings", "b.3")["id"] == "b.3"
    assert features.conformance()["conformsTo"]
    assert features.api()["openapi"].startswith("3.0")


def test_owslib_sees_the_process_and_with_a_token_the_lines(url: str) -> None:
    processes = Processes(f"{url}/")
    assert "dig-enquiry" in [entry["id"] for entry in processes.processes()]
    assert "area" in processes.process("dig-enquiry")["inputs"]
    features = Features(f"{url}/", headers={"Authorization": "Bearer digger"})
    assert "utility-lines" in features.feature_collections()
    assert features.collection_items("utility-lines")["numberMatched"] == GRANTED_LINES


_QGIS = """
import json, os, sys
from qgis.core import (QgsApplication, QgsCoordinateReferenceSystem, QgsMapRendererSequentialJob,
                       QgsMapSettings, QgsVectorLayer)
from qgis.PyQt.QtCore import QSize
url, picture = sys.argv[1:]
application = QgsApplication([], False)
application.initQgis()
layer = QgsVectorLayer(f"url='{url}' typename='buildings' pagingEnabled='true' pageSize='60'", "b", "OAPIF")
features = list(layer.getFeatures()) if layer.isValid() else []
settings = QgsMapSettings()
settings.setLayers([layer])
settings.setOutputSize(QSize(400, 300))
settings.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:25832"))
settings.setExtent(settings.layerExtentToOutputExtent(layer, layer.extent()))
job = QgsMapRendererSequentialJob(settings)
job.start()
job.waitForFinished()
image = job.renderedImage()
image.save(picture)
colours = {image.pixel(x, y) for x in range(0, 400, 5) for y in range(0, 300, 5)}
print(json.dumps({"valid": layer.isValid(), "features": len(features), "colours": len(colours),
                  "fields": [field.name() for field in layer.fields()]}))
sys.stdout.flush()
os._exit(0)  # QGIS crashes when it closes a layer that is still referenced
"""


@pytest.mark.qgis
def test_qgis_opens_and_draws_a_collection(url: str, tmp_path: Path) -> None:
    python = qgis_python()
    script = tmp_path / "draw.py"
    script.write_text(_QGIS, "utf-8")
    told = run(
        python, str(script), url, str(tmp_path / "map.png"), QT_QPA_PLATFORM="offscreen", HOME=str(tmp_path)
    )
    facts = json.loads(told.strip().splitlines()[-1])
    assert facts["valid"]
    assert facts["features"] == BUILDING_COUNT
    assert {"name", "floors", "height_m", "listed", "built"} <= set(facts["fields"])
    assert facts["colours"] >= 2  # ground and buildings
    assert (tmp_path / "map.png").stat().st_size > 1000
