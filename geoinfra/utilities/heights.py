"""Heights of utility features with their provenance: DVR90 metres for each vertex, and where each is from.

A height is never made up silently. By default a vertex has the height that its owner registered, or none
(LER writes -99). The caller may ask for more, and every height tells what it is:

================  ==================================================================================
``registered``    the owner's own height of the vertex
``container``     registered, of the trace or duct in which a line without own geometry lies
``interpolated``  linear between the two registered neighbours on the same line
``guiding``       terrain minus the owner's guiding depth (``vejledendeDybde``)
``default``       terrain minus an assumed cover of the class (``standards/utilities/heights.json``)
``none``          nobody knows
================  ==================================================================================

All of them are the height of the **top** of the line: LER's vertical coordinates are the top, and its guiding
depth counts down to the top. The axis lies half the outer height lower: :func:`axis_heights_m`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from geoinfra.errors import InvalidGeometry, InvalidInput
from geoinfra.standards import standards_path
from geoinfra.tables import FeatureBatch

__all__ = [
    "HeightSource",
    "TerrainSampler",
    "VertexHeights",
    "axis_heights_m",
    "outer_heights_mm",
    "vertex_heights",
]

type TerrainSampler = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Takes (n, 2) eastings and northings in EPSG:25832 metres, gives n terrain heights in DVR90 metres, NaN
where there is no terrain."""

ABOVE_TERRAIN: Final = "over terræn"


class HeightSource(IntEnum):
    """Where the height of a vertex is from; a greater number is more to be trusted."""

    NONE = 0
    DEFAULT = 1
    GUIDING = 2
    INTERPOLATED = 3
    CONTAINER = 4
    REGISTERED = 5

    @property
    def label(self) -> str:
        """Name in lower case, as exports write it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class VertexHeights:
    """The vertices of a batch in the order of its rows, their heights, and the runs that they make up.

    A run is a line, a ring or a single point. Attributes of runs have one entry a run, those of vertices one
    a vertex.

    Attributes
    ----------
    xy
        (n, 2) eastings and northings, EPSG:25832 metres.
    heights_m
        DVR90 metres of the top, NaN where unknown.
    sources
        :class:`HeightSource` as uint8.
    vertex_rows
        Row of the batch that a vertex belongs to.
    run_starts
        First vertex of each run, and the number of vertices at the end.
    run_rows
        Row of the batch that a run belongs to.
    run_dimensions
        0 a point, 1 a line, 2 an outer ring, 3 the ring of a hole.
    """

    xy: NDArray[np.float64]
    heights_m: NDArray[np.float64]
    sources: NDArray[np.uint8]
    vertex_rows: NDArray[np.int64]
    run_starts: NDArray[np.int64]
    run_rows: NDArray[np.int64]
    run_dimensions: NDArray[np.uint8]

    def row(self, row: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Return heights and sources of the vertices of one row."""
        start, end = np.searchsorted(self.vertex_rows, [row, row + 1])
        return self.heights_m[start:end], self.sources[start:end]


def vertex_heights(
    batch: FeatureBatch,
    *,
    terrain: TerrainSampler | None = None,
    defaults: bool = False,
    interpolate_gap_m: float = 0.0,
) -> VertexHeights:
    """Return the height of every vertex of a batch, and where it is from.

    Parameters
    ----------
    batch
        Rows of ``utility-features``.
    terrain
        Gives terrain heights; with it the owner's guiding depth is used where no height is registered.
    defaults
        Use the assumed cover of the class where the owner gives no depth either; needs `terrain`.
    interpolate_gap_m
        Interpolate between registered neighbours at most this far apart along the line; 0 does not.

    Raises
    ------
    InvalidInput
        Defaults are asked for without a terrain, or the terrain gives another number of heights.
    InvalidGeometry
        A coordinate is not finite, or the number of heights is not that of the vertices.
    """
    if defaults and terrain is None:
        raise InvalidInput("Default cover depths count from the terrain.", hint="Give a terrain model too.")
    found = _registered(batch)
    if interpolate_gap_m > 0:
        _interpolate(found, interpolate_gap_m)
    if terrain is not None:
        _measure_down(found, terrain, _guiding_depths_m(batch), HeightSource.GUIDING)
        if defaults:
            _measure_down(found, terrain, _default_covers_m(batch), HeightSource.DEFAULT)
    return found


def axis_heights_m(
    top_heights_m: NDArray[np.float64], outer_height_mm: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Return the height of the axis: the top minus half the outer height; NaN where either is unknown."""
    outer = np.asarray(outer_height_mm, dtype=np.float64)
    return np.asarray(top_heights_m - outer / 2000.0, dtype=np.float64)


def outer_heights_mm(batch: FeatureBatch) -> NDArray[np.float64]:
    """Return the outer height of each row: its diameter, else ``udvendigHoejde``; NaN where unknown."""
    outer = _numbers(batch.columns["diameter_mm"])
    for row, text in enumerate(batch.columns["properties"]):
        if np.isnan(outer[row]) and text and '"udvendigHoejde"' in text:
            measure = orjson.loads(text).get("udvendigHoejde")
            if isinstance(measure, dict) and "value" in measure:
                outer[row] = float(measure["value"])
    outer[~(np.isfinite(outer) & (outer > 0))] = np.nan
    return outer


def _numbers(values: list[Any]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _registered(batch: FeatureBatch) -> VertexHeights:
    """Return the vertices with what the owner registered."""
    with np.errstate(invalid="ignore"):  # what is not finite is refused below
        geometries = shapely.from_wkb(np.array(batch.geometry, dtype=object))
    xy, rows = shapely.get_coordinates(geometries, return_index=True)
    if not np.isfinite(xy).all():
        raise _refused(batch, rows[~np.isfinite(xy).all(axis=1)][0], "A coordinate is not a finite number.")
    heights = _registered_heights(batch, shapely.get_num_coordinates(geometries))
    sources = np.zeros(len(xy), dtype=np.uint8)
    known = np.isfinite(heights)
    lent = np.array([s == "container" for s in batch.columns["geometry_source"]], dtype=bool)
    sources[known] = HeightSource.REGISTERED
    sources[known & lent[rows]] = HeightSource.CONTAINER
    return VertexHeights(xy, heights, sources, rows, *_runs(geometries))


def _registered_heights(batch: FeatureBatch, counts: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Join the height arrays of the rows, NaN for rows without."""
    held = batch.heights_m or [None] * len(batch)
    pieces = []
    for row, (count, heights) in enumerate(zip(counts.tolist(), held, strict=True)):
        if heights is not None and len(heights) != 8 * count:
            raise _refused(batch, row, f"{len(heights) // 8} heights are given for {count} vertices.")
        pieces.append(_UNKNOWN * count if heights is None else heights)
    joined = np.frombuffer(b"".join(pieces), dtype="<f8").copy()
    joined[~np.isfinite(joined)] = np.nan
    return joined


_UNKNOWN: Final = np.float64(np.nan).tobytes()


def _refused(batch: FeatureBatch, row: int, message: str) -> InvalidGeometry:
    return InvalidGeometry(message, details={"where": batch.feature_ids[row][:200]})


def _runs(
    geometries: NDArray[np.object_],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Return starts, rows and dimensions of the lines, rings and points that geometries consist of."""
    parts, part_rows = shapely.get_parts(geometries, return_index=True)
    is_area = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    area_numbers = np.flatnonzero(is_area)
    rings, ring_areas = shapely.get_rings(parts[is_area], return_index=True)
    outer = np.ones(len(rings), dtype=bool)
    outer[1:] = ring_areas[1:] != ring_areas[:-1]
    ring_parts = area_numbers[ring_areas]
    plain = np.flatnonzero(~is_area)
    order = np.argsort(np.concatenate([plain, ring_parts]), kind="stable")
    lengths = np.concatenate([parts[plain], rings])
    dimensions = np.concatenate([shapely.get_dimensions(parts[plain]), np.where(outer, 2, 3)])[order]
    counts = shapely.get_num_coordinates(lengths[order])
    rows = part_rows[np.concatenate([plain, ring_parts])[order]]
    kept = counts > 0
    starts = np.concatenate([[0], np.cumsum(counts[kept])]).astype(np.int64)
    return starts, rows[kept].astype(np.int64), dimensions[kept].astype(np.uint8)


def _interpolate(found: VertexHeights, gap_m: float) -> None:
    """Fill vertices that lie between two registered ones of the same run."""
    count = len(found.xy)
    if not count:
        return
    index = np.arange(count)
    starts = found.run_starts[:-1]
    runs = np.repeat(np.arange(len(starts)), np.diff(found.run_starts))
    known = found.sources >= HeightSource.CONTAINER
    before = np.maximum.accumulate(np.where(known, index, -1))
    after = np.minimum.accumulate(np.where(known, index, count)[::-1])[::-1]
    wanted = ~known & (before >= 0) & (after < count)
    wanted[wanted] = (runs[before[wanted]] == runs[wanted]) & (runs[after[wanted]] == runs[wanted])
    along = _along_m(found.xy, starts)
    at = index[wanted]
    a, b = before[at], after[at]
    with np.errstate(invalid="ignore"):
        length = along[b] - along[a]
        near = np.isfinite(length) & (length <= gap_m)
    at, a, b, length = at[near], a[near], b[near], length[near]
    share = np.divide(along[at] - along[a], length, out=np.zeros(len(at)), where=length > 0)
    found.heights_m[at] = found.heights_m[a] + share * (found.heights_m[b] - found.heights_m[a])
    found.sources[at] = HeightSource.INTERPOLATED


def _along_m(xy: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return distances along the vertices; the way from one run to the next counts nothing."""
    steps = np.zeros(len(xy))
    with np.errstate(over="ignore"):
        steps[1:] = np.hypot(*np.diff(xy, axis=0).T)
        steps[starts] = 0.0
        return np.cumsum(steps)


def _measure_down(
    found: VertexHeights, terrain: TerrainSampler, depths_m: NDArray[np.float64], source: HeightSource
) -> None:
    """Give vertices without height the terrain minus the depth of their row, where both are known."""
    depths = depths_m[found.vertex_rows]
    wanted = np.flatnonzero((found.sources == HeightSource.NONE) & np.isfinite(depths))
    if not len(wanted):
        return
    surface = np.asarray(terrain(found.xy[wanted]), dtype=np.float64)
    if surface.shape != wanted.shape:
        raise InvalidInput(f"The terrain gave {surface.size} heights for {len(wanted)} places.")
    known = np.isfinite(surface)
    at = wanted[known]
    found.heights_m[at] = surface[known] - depths[at]
    found.sources[at] = source


def _guiding_depths_m(batch: FeatureBatch) -> NDArray[np.float64]:
    """Return the owner's guiding depth of each row; what lies above the terrain has none."""
    depths = _numbers(batch.columns["depth_mm"]) / 1000.0
    depths[[level == ABOVE_TERRAIN for level in batch.columns["level"]]] = np.nan
    return depths


@lru_cache(maxsize=1)
def _defaults() -> Mapping[str, Any]:
    document: Mapping[str, Any] = orjson.loads(standards_path("utilities", "heights.json").read_bytes())
    return document


def _default_covers_m(batch: FeatureBatch) -> NDArray[np.float64]:
    """Return the assumed cover of each row; none for what is not wholly under terrain."""
    covers, levels = _defaults()["cover_m"], (None, _defaults()["only_level"])
    except_types = _defaults()["except_types"]
    columns = batch.columns
    rows = zip(columns["feature_class"], columns["type"], columns["level"], strict=True)
    found = [
        covers.get(name) if level in levels and kind not in except_types else None
        for name, kind, level in rows
    ]
    return _numbers(found)
