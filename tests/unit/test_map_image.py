"""Map images: utilities are drawn as the resolver says, open layers in the colours of the map page."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from drawing_sheet import two_hundred
from lxml import etree
from PIL import Image

from geoinfra.access import Visibility
from geoinfra.presentation.map_ground import PAPER
from geoinfra.presentation.map_image import ImageFrame, MapLayer, Style, draw_map
from geoinfra.presentation.resolve import Label, Stroke, resolve_batch
from geoinfra.presentation.style_set import load_style_set
from geoinfra.presentation.svg_ink import as_jpeg, as_png
from geoinfra.tables import Column, DatasetSchema, FeatureBatch

SCRIPT = Path(__file__).parents[2] / "services/web/static/cartography.js"


def pixels(svg: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(as_png(svg))).convert("RGBA")).astype(int)


def around(batch: FeatureBatch, pixel_m: float) -> ImageFrame:
    west, south, east, north = shapely.total_bounds(
        shapely.buffer(shapely.from_wkb(np.array(batch.geometry, dtype=object)), 8)
    ).tolist()
    width, height = round((east - west) / pixel_m), round((north - south) / pixel_m)
    box = (west, south, west + width * pixel_m, south + height * pixel_m)
    return ImageFrame("EPSG:25832", box, width, height)


def test_open_layers_have_the_colours_of_the_map_page() -> None:
    block = re.search(r"const PAPER = \{(.*?)\};", SCRIPT.read_text("utf-8"), re.DOTALL)
    assert block
    assert dict(re.findall(r'(\w+): "(#[0-9a-f]{6})"', block[1])) == PAPER


def test_lines_have_the_colour_and_labels_that_the_resolver_gives_them() -> None:
    batch, style_set = two_hundred(), load_style_set("geoinfra")
    frame = around(batch, 0.05)
    svg = draw_map(frame, [MapLayer("utility-lines", [batch], True)], Style(style_set), None)
    etree.fromstring(svg.encode())
    drawn = pixels(svg)
    scale = 0.05 * 1000 / style_set.pixel_mm
    resolved = resolve_batch(style_set, batch, scale)
    west, _, _, north = frame.bounds
    met = 0
    for row in range(180):
        strokes = [one for one in resolved.symbol(row).of(Stroke) if not one.dash_px and one.opacity >= 1]
        if not strokes:
            continue
        top = max(strokes, key=lambda one: one.order)
        colour = [int(top.colour[at : at + 2], 16) for at in (1, 3, 5)]
        spots = shapely.get_coordinates(
            shapely.line_interpolate_point(shapely.from_wkb(batch.geometry[row]), np.linspace(0.1, 4.7, 60))
        )
        down = ((north - spots[:, 1]) / 0.05).astype(int)
        across = ((spots[:, 0] - west) / 0.05).astype(int)
        near = [drawn[down + i, across + j, :3] for i in (-1, 0, 1) for j in (-1, 0, 1)]
        seen = np.min([np.abs(one - colour).max(axis=1) for one in near], axis=0) <= 8
        assert seen.sum() >= 5, (row, top)
        met += 1
    assert met > 60
    wanted = {one.template for symbol in resolved.symbols for one in symbol.of(Label)}
    assert wanted
    assert svg.count("<text") > 20


@pytest.mark.parametrize("crs_name", ["EPSG:25832", "EPSG:3857"])
def test_a_hole_in_an_area_larger_than_the_image_stays_open(crs_name: str) -> None:
    schema = DatasetSchema("landuse", "Polygon", (Column("kind"),), visibility=Visibility.OPEN)
    outer = shapely.box(550_000, 6_050_000, 650_000, 6_150_000)
    hole = shapely.box(590_000, 6_050_000, 602_000, 6_090_000)
    batch = FeatureBatch(schema, ["a"], [shapely.to_wkb(outer - hole)], {"kind": ["fields"]})
    box = (599_000.0, 6_079_000.0, 603_000.0, 6_081_000.0)
    if crs_name == "EPSG:3857":
        from geoinfra import crs

        box = crs.transformer("EPSG:25832", crs_name).transform_bounds(*box)
    frame = ImageFrame(crs_name, box, 400, 200)
    drawn = pixels(draw_map(frame, [MapLayer("landuse", [batch])], Style(load_style_set("geoinfra")), None))
    assert (drawn[:, :280, 3] == 0).all()
    assert drawn[100, 380].tolist() == [0xEE, 0xEB, 0xDB, 255]


def test_names_are_written_as_they_are_and_cannot_become_markup() -> None:
    schema = DatasetSchema("streets", "LineString", (Column("name"),), visibility=Visibility.OPEN)
    line = shapely.LineString([(600_000, 6_080_000), (600_200, 6_080_000)])
    name = '</text><image href="file:///etc/passwd"/>&'
    batch = FeatureBatch(schema, ["a"], [shapely.to_wkb(line)], {"name": [name]})
    frame = ImageFrame("EPSG:25832", (599_990.0, 6_079_900.0, 600_210.0, 6_080_100.0), 880, 800)
    svg = draw_map(frame, [MapLayer("streets", [batch])], Style(load_style_set("geoinfra")), "#ffffff")
    tree = etree.fromstring(svg.encode())
    assert [one.text for one in tree.iter("{*}text")] == [name]
    assert not list(tree.iter("{*}image"))


def test_equal_input_gives_equal_images_and_jpeg_has_a_ground() -> None:
    batch, style = two_hundred(), Style(load_style_set("geoinfra"))
    frame = around(batch, 0.2)
    first, again = (as_png(draw_map(frame, [MapLayer("u", [batch], True)], style, None)) for _ in range(2))
    assert first == again
    picture = Image.open(io.BytesIO(as_jpeg(first, "#102030")))
    assert picture.size == (frame.width_px, frame.height_px)
    assert np.abs(np.array(picture.getpixel((0, 0))) - (0x10, 0x20, 0x30)).max() <= 4
