"""OGC API Styles (draft 20-009): list, sheets, metadata. What the sheets draw is tried in test_ogc_styles."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from lxml import etree

pytestmark = pytest.mark.services

STYLES = "http://www.opengis.net/spec/ogcapi-styles-1/0.0/conf"
MAPBOX = "application/vnd.mapbox.style+json"
SLD = "application/vnd.ogc.sld+xml;version=1.1"
SLD_SPACE = "{http://www.opengis.net/sld}"


@pytest.fixture(scope="module")
def listed(api: httpx.Client) -> Any:
    return api.get("/styles").raise_for_status().json()


def sheet(style: dict[str, Any], media_type: str) -> str:
    (href,) = (k["href"] for k in style["links"] if k["rel"] == "stylesheet" and k["type"] == media_type)
    return str(href)


@pytest.mark.conformance(f"{STYLES}/core")
def test_the_list_names_each_style_with_its_sheets_and_metadata(api: httpx.Client, listed: Any) -> None:
    names = [style["id"] for style in listed["styles"]]
    assert len(names) == len(set(names)) > 1
    assert listed["default"] in names
    for style in listed["styles"]:
        assert {"stylesheet", "describedby"} <= {link["rel"] for link in style["links"]}
        (about,) = (link["href"] for link in style["links"] if link["rel"] == "describedby")
        assert api.get(about).raise_for_status().json()["id"] == style["id"]


@pytest.mark.conformance(f"{STYLES}/core")
def test_the_metadata_names_the_same_sheets(api: httpx.Client, listed: Any) -> None:
    style = listed["styles"][0]
    about = api.get(f"/styles/{style['id']}/metadata").raise_for_status().json()
    own = {k["link"]["href"] for k in about["stylesheets"]}
    assert {k["href"] for k in style["links"] if k["rel"] == "stylesheet"} == own


@pytest.mark.conformance(f"{STYLES}/core")
def test_a_style_comes_in_the_form_that_is_accepted(api: httpx.Client) -> None:
    for media_type in (MAPBOX, SLD):
        answer = api.get("/styles/dlf", headers={"Accept": media_type})
        assert answer.headers["content-type"].replace(" ", "") == media_type
    assert api.get("/styles/nothing-here").status_code == 404
    assert api.get("/styles/nothing-here/metadata").status_code == 404


@pytest.mark.conformance(f"{STYLES}/mapbox-styles")
def test_a_mapbox_style_has_version_8_sources_and_layers(api: httpx.Client, listed: Any) -> None:
    document = api.get(sheet(listed["styles"][0], MAPBOX)).raise_for_status().json()
    assert document["version"] == 8
    assert {layer["source"] for layer in document["layers"] if "source" in layer} <= set(document["sources"])


@pytest.mark.conformance(f"{STYLES}/sld-11")
def test_an_sld_is_a_styled_layer_descriptor_1_1(api: httpx.Client, listed: Any) -> None:
    root = etree.fromstring(api.get(sheet(listed["styles"][0], SLD)).raise_for_status().content)
    assert (root.tag, root.get("version")) == (f"{SLD_SPACE}StyledLayerDescriptor", "1.1.0")
    assert root.findall(f"{SLD_SPACE}NamedLayer")


@pytest.mark.conformance(f"{STYLES}/html")
@pytest.mark.parametrize("path", ["/styles", "/styles/geoinfra/metadata"])
def test_list_and_metadata_are_pages_too(api: httpx.Client, path: str) -> None:
    for language in ("en", "da"):
        answer = api.get(path, params={"f": "html", "lang": language})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "geoinfra" in answer.text
