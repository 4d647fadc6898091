"""OGC API Styles: what is linked is there, loads in its program, and draws with images that exist."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree
from parts import node, qgis_python
from PIL import Image
from small_store import as_who, small_service

from geoinfra.presentation.style_set import load_style_set, style_sets
from services.ogc import styles

pytestmark = pytest.mark.services

VALIDATOR = Path(__file__).parents[2] / "services/web/node_modules/@maplibre/maplibre-gl-style-spec"
STYLES_REL = "http://www.opengis.net/def/rel/ogc/1.0/styles"
OWNER = as_who("owner-a")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        small_service(tmp_path_factory.mktemp("store")) as (_, url),
        httpx.Client(base_url=url, timeout=120) as made,
    ):
        yield made


def document(client: httpx.Client, path: str, **headers: str) -> Any:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def links(entry: dict[str, Any], rel: str) -> dict[str, str]:
    return {one["type"]: one["href"] for one in entry["links"] if one["rel"] == rel}


def test_the_landing_page_leads_to_every_style_set_in_every_palette(client: httpx.Client) -> None:
    (href,) = links(document(client, "/ogc/"), STYLES_REL).values()
    found = document(client, href)
    assert found["default"] == found["styles"][0]["id"] == "geoinfra"
    assert {style["id"].partition(".")[0] for style in found["styles"]} == set(style_sets())
    assert len(found["styles"]) == sum(len(load_style_set(name).themes) for name in style_sets())
    classes = document(client, "/ogc/conformance")["conformsTo"]
    assert "http://www.opengis.net/spec/ogcapi-styles-1/0.0/conf/core" in classes
    assert "/styles/{style}" in document(client, "/ogc/openapi")["paths"]


def test_every_link_of_a_style_answers_in_the_form_that_it_names(client: httpx.Client) -> None:
    (style,) = (s for s in document(client, "/ogc/styles")["styles"] if s["id"] == "dlf")
    (about,) = links(style, "describedby").values()
    described = document(client, about)
    assert described["id"] == "dlf"
    assert described["license"]
    for link in [*style["links"], *described["links"]]:
        answer = client.get(link["href"])
        assert answer.status_code == 200, link
        assert answer.headers["content-type"].partition(";")[0] == link["type"].partition(";")[0]
        again = client.get(link["href"], headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_a_map_style_passes_the_official_validator_and_its_images_are_in_the_sprite(
    client: httpx.Client, tmp_path: Path
) -> None:
    style = document(client, "/ogc/styles/geoinfra?f=mapbox")
    node_js = node()
    path = tmp_path / "style.json"
    path.write_text(json.dumps(style), "utf-8")
    program = VALIDATOR / "dist" / "gl-style-validate.mjs"
    run = subprocess.run([node_js, program, path], capture_output=True, text=True, check=False, timeout=100)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    for ratio, suffix in ((1, ""), (2, "@2x")):
        index = document(client, f"{style['sprite']}{suffix}.json")
        sheet = Image.open(io.BytesIO(client.get(f"{style['sprite']}{suffix}.png").content))
        assert all(one["pixelRatio"] == ratio for one in index.values())
        assert sheet.width >= max(one["x"] + one["width"] for one in index.values())
        assert sheet.height == max(one["y"] + one["height"] for one in index.values())
        for name in ("triangle/c00414", "bar-1/000000"):
            if name in index:
                one = index[name]
                box = (one["x"], one["y"], one["x"] + one["width"], one["y"] + one["height"])
                assert sheet.crop(box).getextrema()[3][1] == 255
    for name, source in style["sources"].items():
        tile = source["tiles"][0].format(z=14, x=8735, y=5150)
        assert client.get(tile, headers=OWNER).status_code in (200, 204), name


def test_an_sld_names_the_parts_of_both_collections(client: httpx.Client) -> None:
    answer = client.get("/ogc/styles/ler-viewer", headers={"Accept": "application/vnd.ogc.sld+xml"})
    root = etree.fromstring(answer.content)
    assert root.get("version") == "1.1.0"
    names = root.xpath("//*[local-name()='NamedLayer']/*[local-name()='Name']/text()")
    assert {"utility-lines", "utility-components-point"} <= set(names)


QGIS = """
import json, sys
from qgis.core import *
app = QgsApplication([], False); app.initQgis()
fields = "&".join(f"field={name}:string" for name in sys.argv[2].split(","))
layer = QgsVectorLayer(f"LineString?crs=EPSG:25832&{fields}&field=depth_mm:double&field=diameter_mm:double"
                       "&field=voltage_kv:double", "lines", "memory")
told, loaded = layer.loadNamedStyle(sys.argv[1])
feature = QgsFeature(layer.fields())
for name, value in json.loads(sys.argv[3]).items():
    feature[name] = value
feature.setGeometry(QgsGeometry.fromWkt("LineString (0 0, 10 0)"))
context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
context.setFeature(feature)
drawn = {}
for rule in layer.renderer().rootRule().children():
    expression = QgsExpression(rule.filterExpression())
    assert not expression.hasParserError(), expression.parserErrorString()
    expression.prepare(context)
    if expression.evaluate(context) and rule.maximumScale() <= 500 < rule.minimumScale():
        assert not expression.hasEvalError(), expression.evalErrorString()
        part = rule.symbol().symbolLayer(0)
        if part.layerType() == "SimpleLine" and part.widthUnit() == QgsUnitTypes.RenderMillimeters:
            drawn[rule.label().split(":")[0]] = part.color().name()
print("@@" + json.dumps([loaded, drawn]))
"""


@pytest.mark.qgis
def test_qgis_draws_a_feature_of_the_collection_by_its_qml(client: httpx.Client, tmp_path: Path) -> None:
    (href,) = (
        one["href"]
        for one in document(client, "/ogc/collections/utility-lines/styles", **OWNER)["styles"][0]["links"]
        if one.get("title") == "QGIS"
    )
    assert "collection=utility-lines" in href
    path = tmp_path / "lines.qml"
    path.write_bytes(client.get(href).content)
    python = qgis_python()
    names = "feature_class,kind,supply,type,status,hazard,accuracy_class,drawing_method,level,geometry_source"
    gas = {"kind": "line", "supply": "gas", "status": "i drift", "hazard": "meget farlig"}
    run = subprocess.run(
        [python, "-c", QGIS, path, names, json.dumps(gas)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={"PATH": "/usr/bin:/bin", "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)},
    )
    assert "@@" in run.stdout, run.stderr[-2000:]
    loaded, drawn = json.loads(run.stdout.partition("@@")[2])
    gas_colour = next(
        row.fields["colour"] for row in load_style_set().dimensions["type"].classes if row.key == "gas"
    )
    assert loaded
    assert drawn["line"] == gas_colour
    assert "very-dangerous-band" in drawn


def test_whoever_may_not_know_the_lines_finds_no_styles_of_them_but_the_standard(
    client: httpx.Client,
) -> None:
    own = client.get("/ogc/collections/utility-lines", headers=OWNER)
    (href,) = links(own.json(), STYLES_REL).values()
    assert client.get(href, headers=OWNER).status_code == 200
    hidden, missing = client.get(href), client.get("/ogc/collections/nothing/styles")
    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert hidden.json()["detail"] == missing.json()["detail"]
    assert client.get("/ogc/styles/geoinfra/metadata").status_code == 200
    assert client.get("/ogc/collections/buildings/styles").status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ogc/styles/none", 404),
        ("/ogc/styles/..%2F..%2Fgeoinfra", 404),
        ("/ogc/styles/geoinfra?f=dxf", 400),
        ("/ogc/styles/geoinfra?f=qml&collection=buildings", 400),
        ("/ogc/styles/geoinfra?f=qml&f=sld11", 400),
        ("/ogc/styles/geoinfra?theme=x", 400),
        ("/ogc/styles/geoinfra/legend?f=tiff", 400),
        ("/ogc/styles/geoinfra/sprite@9x.png", 404),
        ("/ogc/styles/geoinfra/sprite.gif", 404),
        ("/ogc/styles/geoinfra/metadata?x=1", 400),
    ],
)
def test_what_is_not_offered_is_refused(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_pages_are_danish_and_english(client: httpx.Client) -> None:
    for path, danish, english in (
        ("/ogc/styles", "Signaturer", "Styles"),
        ("/ogc/styles/geoinfra/metadata", "Signaturforklaring", "Legend"),
    ):
        assert danish in client.get(path, params={"f": "html", "lang": "da"}).text
        assert english in client.get(path, params={"f": "html", "lang": "en"}).text


def test_what_the_map_page_asks_for_first_is_made_ahead(client: httpx.Client) -> None:
    styles.prepare_map_style(str(client.base_url).rstrip("/"))
    kept = (styles._maplibre, styles._sprite)
    made = [one.cache_info().misses for one in kept]
    for path in ("?f=mapbox", "?f=mapbox&lang=en", "/sprite.json", "/sprite.png", "/sprite@2x.png"):
        answer = client.get(f"/ogc/styles/geoinfra{path}")
        assert answer.status_code == 200, path
    assert [one.cache_info().misses for one in kept] == made
