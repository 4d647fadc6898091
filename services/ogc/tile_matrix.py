"""Tile matrix sets (OGC 17-083r4): the squares into which vector tiles and map tiles are cut.

Two are of the OGC's register. The third is the grid of the Danish map services in EPSG:25832: its cells are
1638.4 m at level 0 and half of that at each further one, so that at level 12 they are those of the national
elevation model (0.4 m).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor, isfinite, log2
from typing import Any, Final

from geoinfra import crs
from geoinfra.errors import NotFound

__all__ = ["DANISH", "MATRIX_SETS", "TILE_PX", "WEB_MERCATOR", "WORLD_CRS84", "Limits", "TileMatrixSet",
           "matrix_set"]  # fmt: skip

TILE_PX: Final = 256
"""Width and height of a map tile, in every matrix."""

_PIXEL_M: Final = 0.00028  # the standard's rendering pixel
_GROUND_M_AT_0: Final = 156543.03392804097 * 0.5591929034707469  # WebMercatorQuad at 56 degrees north

type Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Limits:
    """Rows and columns, first and last, of one matrix that may hold something."""

    level: int
    first_row: int
    last_row: int
    first_column: int
    last_column: int

    def document(self) -> dict[str, Any]:
        """Return the limits as the standard writes them."""
        return {
            "tileMatrix": str(self.level),
            "minTileRow": self.first_row,
            "maxTileRow": self.last_row,
            "minTileCol": self.first_column,
            "maxTileCol": self.last_column,
        }

    def hold(self, row: int, column: int) -> bool:
        """Whether a tile lies inside."""
        return self.first_row <= row <= self.last_row and self.first_column <= column <= self.last_column


@dataclass(frozen=True)
class TileMatrixSet:
    """A pyramid of tiles; each level halves the cells of the one above.

    Attributes
    ----------
    uri
        In the register of the OGC; empty for a set of our own.
    crs_name, crs_uri
        As :func:`geoinfra.crs.parse_crs` gives it, and its address. x is written first.
    west, north
        The corner at which rows and columns begin.
    cell_at_0
        Side of a cell (pixel) at level 0, in units of the CRS.
    scale_at_0
        Scale denominator at level 0.
    columns_at_0, rows_at_0
        Tiles of level 0.
    levels
        How many there are.
    deepest
        The last level at which vector tiles are made.
    """

    id: str
    title: str
    uri: str
    scale_set: str
    crs_name: str
    crs_uri: str
    axes: tuple[str, str]
    west: float
    north: float
    cell_at_0: float
    scale_at_0: float
    columns_at_0: int
    rows_at_0: int
    levels: int
    deepest: int

    def bounds(self, level: int, row: int, column: int) -> Bounds:
        """Return west, south, east, north of a tile in the set's CRS."""
        side = self.cell_at_0 * TILE_PX / 2**level
        west, north = self.west + column * side, self.north - row * side
        return west, north - side, west + side, north

    def has(self, level: int, row: int, column: int) -> bool:
        """Whether there is such a tile."""
        return (
            0 <= level < self.levels
            and 0 <= row < self.rows_at_0 * 2**level
            and 0 <= column < self.columns_at_0 * 2**level
        )

    def limits(self, level: int, storage_bounds: Bounds) -> Limits:
        """Return the tiles of a level that touch bounds given in EPSG:25832 metres."""
        moved = crs.transformer(f"EPSG:{crs.STORAGE_EPSG}", self.crs_name).transform_bounds(*storage_bounds)
        west, south, east, north = moved if all(map(isfinite, moved)) else self.bounds(0, 0, 0)
        side = self.cell_at_0 * TILE_PX / 2**level
        columns, rows = self.columns_at_0 * 2**level, self.rows_at_0 * 2**level

        def within(number: int, count: int) -> int:
            return min(max(number, 0), count - 1)

        return Limits(
            level,
            within(floor((self.north - north) / side), rows),
            within(ceil((self.north - south) / side) - 1, rows),
            within(floor((west - self.west) / side), columns),
            within(ceil((east - self.west) / side) - 1, columns),
        )

    def web_zoom(self, level: int) -> int:
        """Return the zoom of WebMercatorQuad whose tiles over Denmark are nearest in size."""
        if self.crs_name == "EPSG:3857":
            return level
        return max(0, round(log2(_GROUND_M_AT_0 / (self.scale_at_0 * _PIXEL_M)) + level))

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The definition as the standard writes it in JSON."""
        matrices = [
            {
                "id": str(level),
                "scaleDenominator": self.scale_at_0 / 2**level,
                "cellSize": self.cell_at_0 / 2**level,
                "cornerOfOrigin": "topLeft",
                "pointOfOrigin": [self.west, self.north],
                "tileWidth": TILE_PX,
                "tileHeight": TILE_PX,
                "matrixWidth": self.columns_at_0 * 2**level,
                "matrixHeight": self.rows_at_0 * 2**level,
            }
            for level in range(self.levels)
        ]
        registered = {"uri": self.uri, "wellKnownScaleSet": self.scale_set} if self.uri else {}
        return {
            "id": self.id,
            "title": self.title,
            **registered,
            "crs": self.crs_uri,
            "orderedAxes": list(self.axes),
            "tileMatrices": matrices,
        }


_REGISTER: Final = "http://www.opengis.net/def/tilematrixset/OGC/1.0"
_SCALE_SETS: Final = "http://www.opengis.net/def/wkss/OGC/1.0"

WEB_MERCATOR: Final = TileMatrixSet(
    id="WebMercatorQuad",
    title="Google Maps Compatible for the World",
    uri=f"{_REGISTER}/WebMercatorQuad",
    scale_set=f"{_SCALE_SETS}/GoogleMapsCompatible",
    crs_name="EPSG:3857",
    crs_uri="http://www.opengis.net/def/crs/EPSG/0/3857",
    axes=("X", "Y"),
    west=-20037508.342789244,
    north=20037508.342789244,
    cell_at_0=156543.03392804097,
    scale_at_0=559082264.0287178,
    columns_at_0=1,
    rows_at_0=1,
    levels=25,
    deepest=22,
)
WORLD_CRS84: Final = TileMatrixSet(
    id="WorldCRS84Quad",
    title="CRS84 for the World",
    uri=f"{_REGISTER}/WorldCRS84Quad",
    scale_set=f"{_SCALE_SETS}/GoogleCRS84Quad",
    crs_name="OGC:CRS84",
    crs_uri=crs.CRS84_URI,
    axes=("Lon", "Lat"),
    west=-180.0,
    north=90.0,
    cell_at_0=0.703125,
    scale_at_0=279541132.014358,
    columns_at_0=2,
    rows_at_0=1,
    levels=24,
    deepest=22,
)
DANISH: Final = TileMatrixSet(
    id="DanishUTM32Quad",
    title="Danish map services, ETRS89 / UTM zone 32N",
    uri="",
    scale_set="",
    crs_name="EPSG:25832",
    crs_uri=crs.STORAGE_URI,
    axes=("E", "N"),
    west=120_000.0,
    north=6_500_000.0,
    cell_at_0=1638.4,
    scale_at_0=1638.4 / _PIXEL_M,
    columns_at_0=3,
    rows_at_0=2,
    levels=15,
    deepest=14,
)
MATRIX_SETS: Final[Mapping[str, TileMatrixSet]] = {one.id: one for one in (WEB_MERCATOR, WORLD_CRS84, DANISH)}


def matrix_set(name: str) -> TileMatrixSet:
    """Return a tile matrix set, or raise :class:`~geoinfra.errors.NotFound`."""
    found = MATRIX_SETS.get(name)
    if found is None:
        raise NotFound("There is no such tile matrix set.", hint=f"Use one of {', '.join(MATRIX_SETS)}.")
    return found
