"""Tiles of utility features hold what the style sheets read of them."""

from __future__ import annotations

from collections.abc import Iterator
from math import floor
from typing import Any

import httpx
import mapbox_vector_tile
import pytest
import shapely
from deployment import Deployment
from test_tiles_service import tile_at

from geoinfra import sample
from geoinfra.access import Access, Role
from geoinfra.presentation.attributes import column_of
from geoinfra.presentation.maplibre import attributes_read, style_layers
from geoinfra.presentation.style_set import load_style_set, style_sets
from geoinfra.storage import open_store

pytestmark = pytest.mark.services


def read_in(expression: Any) -> Iterator[str]:
    """Every attribute that an expression or a part of a layer reads."""
    if isinstance(expression, dict):
        expression = list(expression.values())
    if isinstance(expression, list):
        if len(expression) == 2 and expression[0] == "get":
            yield expression[1]
        for part in expression:
            yield from read_in(part)


@pytest.mark.parametrize("name", list(style_sets()))
def test_attributes_are_known_at_every_zoom_at_which_a_layer_reads_them(name: str) -> None:
    style_set = load_style_set(name)
    read: dict[str, float] = {}
    for theme in style_set.themes:
        for layer in style_layers(style_set, theme=theme):
            for attribute in read_in([layer.get(part) for part in ("filter", "layout", "paint")]):
                read[attribute] = min(read.get(attribute, 24), layer.get("minzoom", 0))
    told = attributes_read(style_set)
    assert read
    assert {attribute for attribute, zoom in read.items() if told.get(attribute, 24) > zoom} == set()


@pytest.mark.parametrize("z", [14, 16, 18])
def test_a_tile_gives_what_follows_from_the_rows_at_the_zooms_that_draw_it(
    deployment: Deployment, z: int
) -> None:
    lowest = attributes_read(load_style_set("geoinfra"))
    names = [
        name for name in ("containment", "ownership", "width_mm", "depth_source", "flow") if name in lowest
    ]
    headers = {"Authorization": f"Bearer {deployment.tokens['owner']}"}
    me = httpx.get(f"{deployment.url}/api/config", headers=headers).json()["organisation"]["cvr"]
    store = open_store(deployment.data_dir)
    expected: dict[str, dict[str, Any]] = {}
    for batch in store.view(Access("test", me, frozenset({Role.OWNER})), "utility-features").read():
        columns = {name: column_of(batch, name) for name in names}
        for row, feature in enumerate(batch.feature_ids):
            expected[feature] = {name: values[row] for name, values in columns.items()}
    store.close()
    centre = shapely.centroid(sample.enquiry_area("tiny"))
    path = "/tiles/utility-lines/{}/{}/{}.mvt".format(*tile_at(z, centre.x, centre.y))
    content = httpx.get(deployment.url + path, headers=headers, timeout=60).content
    features = mapbox_vector_tile.decode(content)["utility-lines"]["features"]
    assert features
    for feature in features:
        given = feature["properties"]
        wanted = expected[given["feature_id"]]
        shown = {
            name: wanted[name] for name in names if wanted[name] is not None and floor(lowest[name]) <= z
        }
        assert {name: given.get(name) for name in shown} == shown
