"""WMS, WMTS and tiles as the programs that people use read them: OWSLib, GDAL and QGIS."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyproj
import pytest
import rasterio
from lxml import etree
from owslib.ogcapi.maps import Maps
from owslib.wms import WebMapService
from owslib.wmts import WebMapTileService
from parts import program, qgis_python
from PIL import Image
from small_store import EAST, NORTH, as_who, building_shape, small_service

from geoinfra.presentation.map_ground import PAPER

pytestmark = pytest.mark.services

WINDOW = (EAST - 10.0, NORTH - 10.0, EAST + 190.0, NORTH + 90.0)
BUILDING = tuple(int(PAPER["building"][at : at + 2], 16) for at in (1, 3, 5))


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


def pixels(content: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA")).astype(int)


def solid_spot(row: int) -> tuple[float, float]:
    """A place in a building beside its hole."""
    bounds = building_shape(row).bounds
    return bounds[2] - 1.5, bounds[1] + 1.5


# --- WMS


@pytest.mark.parametrize(
    "code", ["EPSG:25832", "EPSG:3857", "EPSG:4326", "CRS:84", "EPSG:25833", "EPSG:4258"]
)
def test_owslib_draws_the_same_ground_in_each_crs(url: str, code: str) -> None:
    wms = WebMapService(f"{url}/wms", version="1.3.0")
    assert list(wms.contents) == ["streets", "buildings"]
    layer = wms.contents["buildings"]
    assert code in layer.crsOptions
    assert layer.queryable == 1
    west, south, east, north = layer.boundingBoxWGS84
    x, y = pyproj.Transformer.from_crs(25832, "OGC:CRS84", always_xy=True).transform(EAST + 50, NORTH + 50)
    assert west < x < east
    assert south < y < north
    name = "OGC:CRS84" if code == "CRS:84" else code
    mover = pyproj.Transformer.from_crs(25832, name, always_xy=True)
    west, south, east, north = mover.transform_bounds(*WINDOW)
    picture = pixels(
        wms.getmap(
            layers=["buildings"], styles=["default"], srs=code, bbox=(west, south, east, north),
            size=(600, 400), format="image/png", transparent=True,
        ).read()
    )  # fmt: skip
    for row in (0, 27, 53):
        x, y = mover.transform(*solid_spot(row))
        spot = picture[int((north - y) / (north - south) * 400), int((x - west) / (east - west) * 600)]
        assert tuple(spot) == (*BUILDING, 255)


def test_owslib_asks_what_lies_at_a_place(url: str) -> None:
    wms = WebMapService(f"{url}/wms", version="1.3.0")
    east, north = solid_spot(27)
    spot = int((east - WINDOW[0]) * 4), int((WINDOW[3] - north) * 4)
    asked: dict[str, Any] = {
        "layers": ["buildings"], "styles": [""], "srs": "EPSG:25832", "bbox": WINDOW, "size": (800, 400),
        "format": "image/png", "query_layers": ["buildings"], "xy": spot,
    }  # fmt: skip
    told = json.loads(wms.getfeatureinfo(**asked, info_format="application/json").read())
    (feature,) = told["features"]
    assert (feature["id"], feature["layer"]) == ("b.27", "buildings")
    assert feature["properties"]["name"] == "Hus <27> \"æøå\" & 'co'"
    assert "secret" not in feature["properties"]
    text = wms.getfeatureinfo(**asked, info_format="text/plain").read()
    assert "floors: 2" in (text if isinstance(text, str) else text.decode())


GOOD = {
    "service": "WMS", "version": "1.3.0", "request": "GetMap", "layers": "buildings", "styles": "",
    "crs": "EPSG:25832", "bbox": ",".join(map(str, WINDOW)), "width": "80", "height": "40",
    "format": "image/png",
}  # fmt: skip
INFO = {"request": "GetFeatureInfo"}


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ({"layers": "nothing"}, "LayerNotDefined", 400),
        ({"layers": "utility-lines"}, "LayerNotDefined", 400),
        ({"crs": "EPSG:9999"}, "InvalidCRS", 400), ({"format": "image/gif"}, "InvalidFormat", 400),
        ({"styles": "odd"}, "StyleNotDefined", 400), ({"bbox": "1,2,3"}, "", 400),
        ({"width": "0"}, "", 400), ({"width": "5000"}, "", 413),
        ({"request": "Odd"}, "OperationNotSupported", 400),
        ({"version": "1.1.1"}, "", 400), ({"bbox": None}, "MissingParameterValue", 400),
        ({"layers": "<x>&\u0001"}, "LayerNotDefined", 400), ({"service": "WFS"}, "", 400),
        ({**INFO, "query_layers": "buildings", "i": "99", "j": "1"}, "InvalidPoint", 400),
        ({**INFO, "query_layers": "streets", "i": "9", "j": "1"}, "LayerNotQueryable", 400),
    ],
)  # fmt: skip
def test_errors_of_the_wms_are_reports(url: str, change: dict[str, Any], code: str, status: int) -> None:
    asked = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    answer = httpx.get(f"{url}/wms", params=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/xml; charset=utf-8")
    (fault,) = etree.fromstring(answer.content)
    assert fault.tag == "{http://www.opengis.net/ogc}ServiceException"
    assert fault.get("code", "") == code
    assert fault.text


def test_parameter_names_have_no_case_and_jpeg_is_drawn(url: str) -> None:
    asked = {name.upper(): value for name, value in {**GOOD, "format": "image/jpeg"}.items()}
    answer = httpx.get(f"{url}/wms", params=asked)
    assert answer.headers["content-type"] == "image/jpeg"
    assert pixels(answer.content).shape == (40, 80, 4)
    again = httpx.get(f"{url}/wms", params=asked, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_granted_layers_stand_in_the_capabilities_of_those_who_may_know_them(url: str) -> None:
    for service, path in (("WMS", "wms"), ("WMTS", "wmts")):
        asked = {"service": service, "request": "GetCapabilities"}
        for who, seen in (("anonymous", False), ("planner", False), ("digger", True)):
            answer = httpx.get(f"{url}/{path}", params=asked, headers=as_who(who))
            assert (b"utility-lines" in answer.content) == seen
            assert answer.headers["cache-control"].startswith("private" if seen else "public")
    lines = {**GOOD, "layers": "utility-lines", "transparent": "TRUE", "styles": "geoinfra"}
    shown = {
        who: httpx.get(f"{url}/wms", params=lines, headers=as_who(who)) for who in ("digger", "other-digger")
    }
    assert all(answer.headers["cache-control"] == "private, no-store" for answer in shown.values())
    assert pixels(shown["digger"].content)[:, :, 3].any()
    assert not pixels(shown["other-digger"].content)[:, :, 3].any()
    info = {**lines, "request": "GetFeatureInfo", "query_layers": "utility-lines", "i": "9", "j": "9"}
    assert httpx.get(f"{url}/wms", params=info, headers=as_who("digger")).status_code == 400


# --- WMTS


@pytest.mark.parametrize("name", ["WebMercatorQuad", "WorldCRS84Quad", "DanishUTM32Quad"])
def test_owslib_gets_the_same_tile_from_the_wmts_as_from_the_maps(url: str, name: str) -> None:
    wmts = WebMapTileService(f"{url}/wmts")
    layer = wmts.contents["buildings"]
    assert list(layer.tilematrixsetlinks) == list(wmts.tilematrixsets)
    assert layer.formats == ["image/png", "image/jpeg"]
    level = "12" if name == "DanishUTM32Quad" else "17"
    limits = layer.tilematrixsetlinks[name].tilematrixlimits[level]
    row, column = limits.maxtilerow, limits.mintilecol
    tile = wmts.gettile(
        layer="buildings", tilematrixset=name, tilematrix=level, row=row, column=column, format="image/png"
    ).read()
    wanted = httpx.get(f"{url}/collections/buildings/map/tiles/{name}/{level}/{row}/{column}")
    assert tile == wanted.content
    rest = layer.resourceURLs[0]["template"].format(
        Style="default", TileMatrixSet=name, TileMatrix=level, TileRow=row, TileCol=column
    )
    assert httpx.get(rest).content == tile
    matrix = wmts.tilematrixsets[name].tilematrix[level]
    definition = httpx.get(f"{url}/tileMatrixSets/{name}").json()["tileMatrices"][int(level)]
    assert list(matrix.topleftcorner) == pytest.approx(definition["pointOfOrigin"])
    assert matrix.scaledenominator == pytest.approx(definition["scaleDenominator"])


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("wmts?service=WMTS&request=GetTile", "MissingParameterValue"),
        ("wmts?service=WMTS&request=Odd", "OperationNotSupported"),
        ("wmts/1.0.0/buildings/default/DanishUTM32Quad/12/0/0.png", "TileOutOfRange"),
        ("wmts/1.0.0/buildings/default/DanishUTM32Quad/x/0/0.png", "TileOutOfRange"),
        ("wmts/1.0.0/nothing/default/DanishUTM32Quad/12/0/0.png", "InvalidParameterValue"),
        ("wmts/1.0.0/buildings/odd/DanishUTM32Quad/12/0/0.png", "InvalidParameterValue"),
        ("wmts/1.0.0/buildings/default/DanishUTM32Quad/12/0/0.gif", "InvalidParameterValue"),
    ],
)
def test_errors_of_the_wmts_are_reports(url: str, path: str, code: str) -> None:
    answer = httpx.get(f"{url}/{path}")
    assert answer.status_code in (400, 404)
    (fault,) = etree.fromstring(answer.content)
    assert fault.get("exceptionCode") == code


# --- OGC API Maps


def test_owslib_reads_maps(url: str) -> None:
    maps = Maps(f"{url}/")
    assert maps.maps() == ["buildings", "streets"]
    picture = maps.map("buildings", bbox=[10.55, 54.85, 10.58, 54.87], width=300, height=200)
    assert pixels(picture.read()).shape == (200, 300, 4)


# --- GDAL


@pytest.mark.gdal
@pytest.mark.parametrize("service", ["wms", "wmts"])
def test_gdal_reads_the_ground_from_wms_and_wmts(url: str, service: str, tmp_path: Path) -> None:
    program("gdal_translate")
    source = f"WMTS:{url}/wmts/1.0.0/WMTSCapabilities.xml,layer=buildings,tilematrixset=DanishUTM32Quad"
    if service == "wms":
        source = (
            f"WMS:{url}/wms?SERVICE=WMS&VERSION=1.3.0&REQUEST=GetMap&LAYERS=buildings&STYLES=&CRS=EPSG:25832"
            "&FORMAT=image/png&TRANSPARENT=TRUE&BBOX=599000,6079000,601000,6081000&OVERVIEWCOUNT=1"
            "&MINRESOLUTION=0.25"
        )
    target = tmp_path / "read.tif"
    west, south, east, north = WINDOW
    run("gdal_translate", "-q", "-projwin", *map(str, (west, north, east, south)), "-outsize", "800", "400",
        source, str(target))  # fmt: skip
    with rasterio.open(target) as read:
        values = read.read()
        assert read.crs.to_epsg() == 25832
    for row in (0, 27, 53):
        x, y = solid_spot(row)
        spot = values[:3, int((north - y) * 4), int((x - west) * 4)]
        assert np.abs(spot.astype(int) - BUILDING).max() <= 3


# --- QGIS

_QGIS = """
import json, os, sys
from qgis.core import (QgsApplication, QgsCoordinateReferenceSystem, QgsMapRendererSequentialJob,
                       QgsMapSettings, QgsRasterLayer, QgsRectangle, QgsVectorTileLayer)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor
url, spots = sys.argv[1], json.loads(sys.argv[2])
application = QgsApplication([], False)
application.initQgis()
tiles = "/tiles/WebMercatorQuad/{z}/{y}/{x}"
def quoted(address):
    for sign in "{}?&=":
        address = address.replace(sign, "%" + format(ord(sign), "02X"))
    return address
drawn = "crs=EPSG:25832&format=image/png&layers=buildings&styles=default"
layers = {
    "wms": QgsRasterLayer(drawn + "&url=" + url + "/wms", "a", "wms"),
    "wmts": QgsRasterLayer(drawn + "&tileMatrixSet=DanishUTM32Quad&url="
                           + quoted(url + "/wmts?SERVICE=WMTS&REQUEST=GetCapabilities"), "b", "wms"),
    "xyz": QgsRasterLayer("type=xyz&zmin=0&zmax=20&url=" + quoted(url + "/collections/buildings/map" + tiles),
                          "c", "wms"),
    "vector tiles": QgsVectorTileLayer("type=xyz&zmin=13&zmax=18&url="
                                       + quoted(url + "/collections/buildings" + tiles), "d"),
}
told = {}
for name, layer in layers.items():
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setOutputSize(QSize(800, 400))
    settings.setBackgroundColor(QColor(255, 255, 255))
    settings.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:25832"))
    settings.setExtent(QgsRectangle(*json.loads(sys.argv[3])))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    told[name] = {"valid": layer.isValid(),
                  "spots": [QColor(image.pixel(*spot)).getRgb()[:3] for spot in spots]}
print(json.dumps(told))
sys.stdout.flush()
os._exit(0)  # QGIS crashes when it closes a layer that is still referenced
"""


@pytest.mark.qgis
def test_qgis_draws_wms_wmts_map_tiles_and_vector_tiles(url: str, tmp_path: Path) -> None:
    python = qgis_python()
    script = tmp_path / "draw.py"
    script.write_text(_QGIS, "utf-8")
    places = [solid_spot(row) for row in (0, 27, 53)] + [(EAST + 15, NORTH + 15)]
    spots = [[int((x - WINDOW[0]) * 4), int((WINDOW[3] - y) * 4)] for x, y in places]
    told = json.loads(
        run(
            python, str(script), url, json.dumps(spots), json.dumps(WINDOW),
            QT_QPA_PLATFORM="offscreen", HOME=str(tmp_path),
        ).strip().splitlines()[-1]
    )  # fmt: skip
    assert set(told) == {"wms", "wmts", "xyz", "vector tiles"}
    for name, facts in told.items():
        assert facts["valid"], name
        *solid, street = facts["spots"]
        assert street == [255, 255, 255], name
        if name == "vector tiles":  # drawn in colours of QGIS
            assert all(spot != [255, 255, 255] for spot in solid)
        else:
            assert all(np.abs(np.array(spot) - BUILDING).max() <= 12 for spot in solid), name
