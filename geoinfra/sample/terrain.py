"""The ground of Havnsby: an analytic height model, its coast and stream, and raster tiles sampled from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
import shapely
from numpy.typing import ArrayLike, NDArray
from rasterio.transform import from_origin

__all__ = [
    "NODATA_M",
    "ORIGIN_E",
    "ORIGIN_N",
    "coast_n",
    "harbour",
    "height_m",
    "sea",
    "stream_line",
    "write_tiles",
]

ORIGIN_E = 650_000.0
ORIGIN_N = 6_084_000.0
NODATA_M = -9999.0

_QUAY = (560.0, 165.0, 850.0, 300.0)  # made ground of the harbour, metres from the origin
_BASIN = (620.0, 60.0, 790.0, 258.0)
_MOLES = (
    ((600.0, 240.0), (585.0, 120.0), (630.0, 40.0), (690.0, 15.0)),
    ((810.0, 240.0), (835.0, 110.0), (800.0, 30.0), (760.0, 12.0)),
)
_LAST_STREAM_N = 6000.0


def coast_n(e: ArrayLike) -> NDArray[np.float64]:
    """Return the northing of the natural shore at eastings `e` (EPSG:25832, metres)."""
    x = np.asarray(e, dtype=np.float64) - ORIGIN_E
    return ORIGIN_N + 230.0 + 30.0 * np.sin(x / 260.0 + 0.6) + 14.0 * np.sin(x / 91.0)


def _stream_e(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Easting from the origin of the stream's middle at northings `y` from the origin."""
    return 1120.0 + 42.0 * np.sin(y / 170.0) + 16.0 * np.sin(y / 61.0)


def _inside(x: NDArray[np.float64], y: NDArray[np.float64], box: tuple[float, ...]) -> NDArray[np.bool_]:
    return (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])


def height_m(e: ArrayLike, n: ArrayLike) -> NDArray[np.float64]:
    """Return the height of the ground or sea bed, DVR90 metres.

    Parameters
    ----------
    e, n
        Easting and northing in EPSG:25832, metres; broadcast against each other.
    """
    x = np.asarray(e, dtype=np.float64) - ORIGIN_E
    y = np.asarray(n, dtype=np.float64) - ORIGIN_N
    inland = y + ORIGIN_N - coast_n(x + ORIGIN_E)
    above = np.maximum(inland, 0.0)
    ground = 1.9 * (1.0 - np.exp(-above / 18.0)) + 22.0 * (1.0 - np.exp(-above / 1100.0))
    ground += 2.4 * np.sin(x / 310.0 + 1.0) * np.sin(y / 270.0) * (1.0 - np.exp(-above / 400.0))
    ground += 6.0 * np.sin(x / 2100.0) * np.cos(y / 1700.0) * (1.0 - np.exp(-above / 2000.0))
    ground += 11.0 * np.exp(-((x - 260.0) ** 2 + (y - 1180.0) ** 2) / 320.0**2)
    valley = np.exp(-(((x - _stream_e(y)) / 42.0) ** 2)) * (1.0 - np.exp(-above / 150.0))
    ground -= 4.2 * valley
    bed = -7.0 * (1.0 - np.exp(np.minimum(inland, 0.0) / 160.0))
    height = np.where(inland > 0.0, ground, bed)
    height = np.where(_inside(x, y, _QUAY), np.maximum(height, 2.0), height)
    return np.where(_inside(x, y, _BASIN), -4.5, height)


def stream_line(max_n: float) -> shapely.LineString:
    """Return the middle of the stream Havnsby Å from the shore to `max_n`, running towards the sea."""
    y = np.arange(150.0, min(max_n - ORIGIN_N, _LAST_STREAM_N), 6.0)
    x = _stream_e(y)
    dry = y + ORIGIN_N > coast_n(x + ORIGIN_E) - 8.0
    return shapely.LineString(np.column_stack([x + ORIGIN_E, y + ORIGIN_N])[dry][::-1])


def _box(box: tuple[float, ...]) -> shapely.Polygon:
    return shapely.box(box[0] + ORIGIN_E, box[1] + ORIGIN_N, box[2] + ORIGIN_E, box[3] + ORIGIN_N)


def sea(bounds: tuple[float, float, float, float]) -> shapely.Geometry:
    """Return the water south of the shore within `bounds`, harbour basin included, moles and quays not."""
    min_e, min_n, max_e, max_n = bounds
    e = np.arange(min_e - 20.0, max_e + 21.0, 10.0)
    shore = np.column_stack([e, coast_n(e)])
    water: shapely.Geometry = shapely.Polygon(
        [*shore, (max_e + 20.0, min_n - 400.0), (min_e - 20.0, min_n - 400.0)]
    )
    water = shapely.union(shapely.difference(water, _box(_QUAY)), _box(_BASIN))
    for mole in _MOLES:
        line = shapely.LineString([(x + ORIGIN_E, y + ORIGIN_N) for x, y in mole])
        water = shapely.difference(water, shapely.buffer(line, 7.0, join_style="mitre"))
    return shapely.intersection(water, shapely.box(min_e, min_n, max_e, max_n))


def harbour() -> shapely.Geometry:
    """Return the made ground of the harbour: quays and moles."""
    moles = [
        shapely.buffer(
            shapely.LineString([(x + ORIGIN_E, y + ORIGIN_N) for x, y in mole]), 7.0, join_style="mitre"
        )
        for mole in _MOLES
    ]
    return shapely.union_all([shapely.difference(_box(_QUAY), _box(_BASIN)), *moles])


def _tile_corners(bounds: tuple[float, float, float, float]) -> Iterator[tuple[int, int]]:
    for north_km in range(int(bounds[1] // 1000), int(np.ceil(bounds[3] / 1000))):
        for east_km in range(int(bounds[0] // 1000), int(np.ceil(bounds[2] / 1000))):
            yield east_km, north_km


def write_tiles(folder: Path, bounds: tuple[float, float, float, float], cell_m: float = 2.0) -> list[Path]:
    """Write 1 km GeoTIFF tiles that cover `bounds`, named as the Danish height model names them.

    Parameters
    ----------
    folder
        Made when it does not exist.
    bounds
        Area in EPSG:25832 metres.
    cell_m
        Cell size in metres; each value is the height at the cell's centre, DVR90 metres, float32.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cells = round(1000.0 / cell_m)
    step = (np.arange(cells) + 0.5) * cell_m
    written = []
    for east_km, north_km in _tile_corners(bounds):
        west, north = east_km * 1000.0, north_km * 1000.0 + 1000.0
        heights = height_m((west + step)[None, :], (north - step)[:, None]).astype(np.float32)
        path = folder / f"DTM_1km_{north_km}_{east_km}.tif"
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=cells,
            height=cells,
            count=1,
            dtype="float32",
            crs="EPSG:25832",
            transform=from_origin(west, north, cell_m, cell_m),
            nodata=NODATA_M,
            compress="deflate",
            predictor=3,
            tiled=True,
        ) as tile:
            tile.write(heights, 1)
        written.append(path)
    return written
