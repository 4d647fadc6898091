"""Tile matrix sets against morecantile's register, the Danish grid against the elevation model's files."""

from __future__ import annotations

import json
from typing import Any

import morecantile
import pyproj
import pytest

from geoinfra.crs import DENMARK_UTM32
from services.ogc.tile_matrix import DANISH, MATRIX_SETS, TILE_PX, WEB_MERCATOR, WORLD_CRS84, TileMatrixSet

pytestmark = pytest.mark.services

CENTRES = [(8.1, 55.6), (10.2, 56.16), (12.57, 55.68), (14.9, 55.1)]


def as_morecantile(ours: TileMatrixSet) -> morecantile.TileMatrixSet:
    return morecantile.TileMatrixSet.model_validate(json.loads(json.dumps(ours.document)))


@pytest.mark.parametrize("ours", [WEB_MERCATOR, WORLD_CRS84])
def test_registered_sets_are_those_of_the_register(ours: TileMatrixSet) -> None:
    theirs: Any = json.loads(morecantile.tms.get(ours.id).model_dump_json(exclude_none=True))
    own = json.loads(json.dumps(ours.document))
    assert len(own["tileMatrices"]) == len(theirs["tileMatrices"])
    for one, other in zip(own.pop("tileMatrices"), theirs.pop("tileMatrices"), strict=True):
        assert one.keys() == other.keys()
        for name in ("id", "cornerOfOrigin", "tileWidth", "tileHeight", "matrixWidth", "matrixHeight"):
            assert one[name] == other[name]
        for name in ("scaleDenominator", "cellSize", "pointOfOrigin"):
            assert one[name] == pytest.approx(other[name], rel=1e-12)
    assert own == theirs


@pytest.mark.parametrize("ours", list(MATRIX_SETS.values()), ids=list(MATRIX_SETS))
@pytest.mark.parametrize("level", [0, 5, 11, 14])
def test_a_tile_lies_where_morecantile_puts_it(ours: TileMatrixSet, level: int) -> None:
    theirs = as_morecantile(ours)
    for longitude, latitude in CENTRES:
        tile = theirs.tile(longitude, latitude, level)
        assert ours.has(level, tile.y, tile.x)
        bounds = theirs.xy_bounds(tile)
        assert ours.bounds(level, tile.y, tile.x) == pytest.approx(tuple(bounds), rel=1e-12)


def test_the_danish_grid_has_the_published_levels_and_bounds() -> None:
    cells = [matrix["cellSize"] for matrix in DANISH.document["tileMatrices"]]
    assert cells[0] == 1638.4
    assert cells[12:] == pytest.approx([0.4, 0.2, 0.1])
    west, south, _, north = DANISH.bounds(0, DANISH.rows_at_0 - 1, 0)
    _, _, east, _ = DANISH.bounds(0, 0, DANISH.columns_at_0 - 1)
    assert (west, south, east) == pytest.approx((120_000, 5_661_139.2, 1_378_291.2))
    assert (west, DANISH.north) < (DENMARK_UTM32[0], DANISH.north)
    assert south < DENMARK_UTM32[1]
    assert north - south == pytest.approx(419_430.4)
    assert east > DENMARK_UTM32[2]


@pytest.mark.parametrize(("name_northing", "name_easting"), [(6171, 727), (6076, 548), (6050, 660)])
def test_cells_of_level_12_are_those_of_the_elevation_model(name_northing: int, name_easting: int) -> None:
    """Files are named by their south-west corner in kilometres and hold 2500 x 2500 cells of 0.4 m."""
    cell = DANISH.cell_at_0 / 2**12
    for corner in (name_easting * 1000.0, name_easting * 1000.0 + 1000):
        assert (corner - DANISH.west) / cell == pytest.approx(round((corner - DANISH.west) / cell), abs=1e-6)
    for corner in (name_northing * 1000.0, name_northing * 1000.0 + 1000):
        assert (DANISH.north - corner) / cell == pytest.approx(
            round((DANISH.north - corner) / cell), abs=1e-6
        )


@pytest.mark.parametrize("ours", list(MATRIX_SETS.values()), ids=list(MATRIX_SETS))
def test_limits_hold_the_tiles_of_every_place_inside_and_hardly_more(ours: TileMatrixSet) -> None:
    theirs = as_morecantile(ours)
    limits = ours.limits(10, (600_000, 6_080_000, 600_500, 6_080_500))
    degrees = pyproj.Transformer.from_crs(25832, 4326, always_xy=True)
    tiles = [
        theirs.tile(*degrees.transform(600_000 + 10 * east, 6_080_000 + 10 * north), 10)
        for east in range(51)
        for north in range(51)
    ]
    rows, columns = {tile.y for tile in tiles}, {tile.x for tile in tiles}
    assert (limits.first_row, limits.last_row) == (min(rows), max(rows))
    assert (limits.first_column, limits.last_column) == (min(columns), max(columns))
    everything = ours.limits(2, (-1e7, -1e7, 1e8, 1e8))
    assert (everything.first_row, everything.first_column) == (0, 0)


def test_sets_of_other_crs_know_the_zoom_of_like_size() -> None:
    assert [WEB_MERCATOR.web_zoom(level) for level in (0, 14, 22)] == [0, 14, 22]
    for ours in (DANISH, WORLD_CRS84):
        for level in range(3, ours.deepest):
            side_m = ours.scale_at_0 * 0.00028 * TILE_PX / 2**level
            zoom = ours.web_zoom(level)
            web_m = 156543.03392804097 * 0.55919 * TILE_PX / 2**zoom
            assert 2**-0.51 < side_m / web_m < 2**0.51
