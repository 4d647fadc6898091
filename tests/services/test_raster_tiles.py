"""Tiles of rasters hold the values that rio-tiler and the surface give; Pillow reads them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import morecantile
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pyproj import Transformer
from rio_tiler.io import Reader
from small_store import small_service

from geoinfra.sample.loading import load_grids
from geoinfra.sample.terrain import height_m
from geoinfra.storage.grids import current_grids
from services.ogc.raster_tiles import write_png

pytestmark = pytest.mark.services

BOUNDS = (650_200.0, 6_084_300.0, 650_600.0, 6_084_600.0)  # inside one file
TO_DEGREES = Transformer.from_crs("EPSG:25832", "OGC:CRS84", always_xy=True)
TO_METRES = Transformer.from_crs("EPSG:3857", "EPSG:25832", always_xy=True)
CENTRE = TO_DEGREES.transform(650_400, 6_084_450)
MERCATOR = morecantile.tms.get("WebMercatorQuad")
STEPS_M = {"terrain-rgb": 0.1, "terrarium": 1 / 256}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    """A client of the service, and the file of the terrain."""
    with small_service(tmp_path_factory.mktemp("tiles")) as (store, url):
        load_grids(store, BOUNDS)
        with store.read() as connection:
            folder = store.grids.path(current_grids(connection, "terrain-dtm")[0])
        (file,) = folder.glob("*.tif")
        with httpx.Client(base_url=f"{url}/ogc/collections", timeout=60) as client:
            yield client, file


@pytest.fixture(scope="module")
def api(served: tuple[httpx.Client, Path]) -> httpx.Client:
    return served[0]


def tile(api: httpx.Client, place: str, **query: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the heights of a tile and where it has some."""
    answer = api.get(f"/terrain-dtm/tiles/{place}", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
    pixels = np.asarray(Image.open(io.BytesIO(answer.content))).astype(np.float64)
    held = pixels[..., 3] > 0 if pixels.shape[2] == 4 else np.ones(pixels.shape[:2], dtype=bool)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    if query.get("f") == "terrarium":
        return red * 256 + green + blue / 256 - 32_768, held
    return -10_000 + 0.1 * (red * 65_536 + green * 256 + blue), held


@pytest.mark.parametrize("encoding", STEPS_M)
@pytest.mark.parametrize("zoom", [13, 15, 16, 17, 18, 19])
def test_tiles_equal_those_of_rio_tiler(served: tuple[httpx.Client, Path], encoding: str, zoom: int) -> None:
    api, file = served
    there = MERCATOR.tile(*CENTRE, zoom)
    ours, held = tile(api, f"WebMercatorQuad/{zoom}/{there.y}/{there.x}", f=encoding)
    with Reader(str(file)) as reader:
        image = reader.tile(
            there.x, there.y, zoom, tilesize=256, reproject_method="bilinear", resampling_method="bilinear"
        )
    theirs = image.array.astype(float).filled(np.nan)[0] * 0.01
    both = held & np.isfinite(theirs)
    assert both.sum() > 20
    # Half a step of the encoding, a centimetre of the file, and GDAL's approximate transformer (an eighth
    # of a cell) on slopes of 0.2; where several cells make one, the two choose overviews differently.
    cell_m = MERCATOR.matrix(zoom).cellSize
    assert np.abs(ours - theirs)[both].max() < STEPS_M[encoding] / 2 + 0.01 + 0.03 * max(cell_m, 0.8)
    assert np.median(np.abs(ours - theirs)[both]) < STEPS_M[encoding] / 2 + 0.01


@pytest.mark.parametrize("zoom", [16, 18, 19])
def test_tiles_have_the_heights_of_the_surface(api: httpx.Client, zoom: int) -> None:
    there = MERCATOR.tile(*CENTRE, zoom)
    heights, held = tile(api, f"WebMercatorQuad/{zoom}/{there.y}/{there.x}", f="terrarium")
    box = MERCATOR.xy_bounds(there)
    step = (box.right - box.left) / 256
    x, y = np.meshgrid(box.left + (np.arange(256) + 0.5) * step, box.top - (np.arange(256) + 0.5) * step)
    e, n = TO_METRES.transform(x, y)
    inside = (e > BOUNDS[0] + 2) & (e < BOUNDS[2] - 2) & (n > BOUNDS[1] + 2) & (n < BOUNDS[3] - 2)
    assert held[inside].all()
    assert np.abs(heights - height_m(e, n))[inside].max() < 0.005 + 0.002 + 0.001 + 0.02 * (zoom < 17)


def test_tiles_of_the_danish_grid_are_the_cells_of_the_file(api: httpx.Client) -> None:
    level, side = 11, 256 * 0.8
    column, row = int((650_400 - 120_000) // side), int((6_500_000 - 6_084_450) // side)
    heights, held = tile(api, f"DanishUTM32Quad/{level}/{row}/{column}", f="terrarium")
    x, y = np.meshgrid(
        120_000 + (column * 256 + np.arange(256) + 0.5) * 0.8,
        6_500_000 - (row * 256 + np.arange(256) + 0.5) * 0.8,
    )
    centimetres = np.round(height_m(x, y) * 100) / 100
    assert held.mean() > 0.5
    assert np.abs(heights - centimetres)[held].max() <= 1 / 512 + 1e-9  # the rounding of the encoding only


def test_a_tile_beside_the_raster_is_transparent_there(api: httpx.Client) -> None:
    there = MERCATOR.tile(*CENTRE, 14)
    _, held = tile(api, f"WebMercatorQuad/14/{there.y}/{there.x}")
    assert 0 < held.sum() < held.size


def test_grey_tiles_spread_a_range(api: httpx.Client) -> None:
    there = MERCATOR.tile(*CENTRE, 18)
    place = f"/terrain-dtm/tiles/WebMercatorQuad/18/{there.y}/{there.x}"
    heights, _ = tile(api, place.removeprefix("/terrain-dtm/tiles/"), f="terrarium")
    grey = np.asarray(Image.open(io.BytesIO(api.get(place, params={"f": "grey", "range": "0,20"}).content)))
    assert np.abs(grey - np.clip(heights / 20 * 255, 0, 255)).max() <= 1
    for query in ({"f": "grey"}, {"range": "0,20"}, {"f": "grey", "range": "20,0"}, {"f": "webp"}):
        assert api.get(place, params=query).status_code == 400


def test_tilesets_lead_to_tiles(api: httpx.Client) -> None:
    collection = api.get("/terrain-dtm").json()
    (href,) = [link["href"] for link in collection["links"] if link["rel"].endswith("tilesets-coverage")]
    tilesets = api.get(href).json()["tilesets"]
    assert len(tilesets) == 3
    for one in tilesets:
        (own,) = [link["href"] for link in one["links"] if link["rel"] == "self"]
        assert api.get(own).json() == one
        last = one["tileMatrixSetLimits"][-3]
        item = next(link["href"] for link in one["links"] if link["rel"] == "item")
        places = {"tileMatrix": "tileMatrix", "tileRow": "minTileRow", "tileCol": "minTileCol"}
        for name, member in places.items():
            item = item.replace(f"{{{name}}}", str(last[member]))
        assert api.get(item).status_code == 200, item
    told = api.get("/terrain-dtm/tiles/WebMercatorQuad", params={"f": "tilejson"}).json()
    assert (told["encoding"], told["maxzoom"]) == ("mapbox", 17)


@pytest.mark.parametrize(
    ("place", "status"),
    [
        ("terrain-dtm/tiles/WebMercatorQuad/18/0/0", 404),
        ("terrain-dtm/tiles/WebMercatorQuad/25/0/0", 404),
        ("terrain-dtm/tiles/Other/1/0/0", 404),
        ("weather/tiles", 404),
        ("weather/tiles/WebMercatorQuad/1/0/1", 404),
    ],
)
def test_what_is_not_there_is_told(api: httpx.Client, place: str, status: int) -> None:
    assert api.get(f"/{place}").status_code == status


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_is_read_as_it_was_written(channels: int) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (7, 9, channels), dtype=np.uint8)
    read = np.asarray(Image.open(io.BytesIO(write_png(pixels)))).reshape(7, 9, channels)
    np.testing.assert_array_equal(read, pixels)
