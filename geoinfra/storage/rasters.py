"""Rasters: one or more Cloud Optimized GeoTIFFs on one grid of cells, read by window.

Files are opened once and kept, in a bounded pool that all threads share. Values come as float64 in the unit
of their parameter; gaps are NaN. A window of whole cells is read as it lies; all else is interpolated
bilinearly between the middles of the cells of the overview that is just finer than what is asked for, where
the nearest cell has a value, by those neighbours that have one.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio._err import CPLE_BaseError
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.windows import Window

from geoinfra.crs import STORAGE_EPSG
from geoinfra.errors import InvalidInput, NotAllowed, UnreadableFile
from geoinfra.storage.grids import MOST_CELLS, Frame, Parameter, require_cells

__all__ = ["DVR90", "Raster", "remote_address", "write_raster"]

DVR90: Final = "DVR90"

_STORAGE: Final = f"EPSG:{STORAGE_EPSG}"
_DVR90_EPSG = 5799
_BLOCK_CELLS = 256
_SAMPLED_AT_ONCE = 1024
_POOL_SIZE = 128
_CACHE_MB = 256
_MOST_FILES = 100_000
_ALIGNED = 1e-6
"""Share of a cell by which grids may differ and still count as the same."""
_EDGE = 1e-9

_OPENING = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_CACHEMAX": _CACHE_MB}
_VIRTUAL = {"s3://": "/vsis3/", "gs://": "/vsigs/", "az://": "/vsiaz/", "https://": "/vsicurl/https://"}
_ALL = slice(None)


# --- Reading


class _Pool:
    """Open datasets, each lent to one thread at a time; the longest unused is closed first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._idle: OrderedDict[tuple[str, int], list[Any]] = OrderedDict()
        self._count = 0
        self._lock = threading.Lock()

    @contextmanager
    def lease(self, name: str, level: int) -> Iterator[Any]:
        """Lend the dataset of a file, or of its overview `level` (counted from 0; -1 is the file itself)."""
        key = (name, level)
        dataset = self._take(key)
        if dataset is None:
            more = {} if level < 0 else {"OVERVIEW_LEVEL": level}
            with rasterio.Env(**_OPENING):
                dataset = rasterio.open(name, driver="GTiff", **more)
        try:
            yield dataset
        except BaseException:
            dataset.close()
            raise
        self._give_back(key, dataset)

    def _take(self, key: tuple[str, int]) -> Any:
        with self._lock:
            waiting = self._idle.get(key)
            if not waiting:
                return None
            self._count -= 1
            dataset = waiting.pop()
            if not waiting:
                del self._idle[key]
            return dataset

    def _give_back(self, key: tuple[str, int], dataset: Any) -> None:
        doomed = []
        with self._lock:
            self._idle.setdefault(key, []).append(dataset)
            self._idle.move_to_end(key)
            self._count += 1
            while self._count > self._size:
                oldest, waiting = next(iter(self._idle.items()))
                doomed.append(waiting.pop())
                self._count -= 1
                if not waiting:
                    del self._idle[oldest]
        for closing in doomed:
            closing.close()

    def close(self) -> None:
        """Close what is not lent."""
        with self._lock:
            waiting = [dataset for datasets in self._idle.values() for dataset in datasets]
            self._idle.clear()
            self._count = 0
        for dataset in waiting:
            dataset.close()


_POOL = _Pool(_POOL_SIZE)
atexit.register(_POOL.close)


@dataclass(frozen=True, slots=True)
class _Tile:
    """A file of a raster: which cells of the common grid it holds, and at what scales."""

    name: str
    column: int
    row: int
    width: int
    height: int
    overviews: tuple[int, ...]
    """Factors, ascending."""


class Raster:
    """A raster of the store; see :class:`~geoinfra.storage.grids.Gridded`.

    Parameters
    ----------
    folder
        Where its files are.
    description
        What :func:`write_raster` returned.
    """

    times: NDArray[np.datetime64] | None = None
    levels: NDArray[np.float64] | None = None

    def __init__(self, folder: Path, description: Mapping[str, Any]) -> None:
        self.parameters = tuple(Parameter(**document) for document in description["parameters"])
        self.frame = Frame(_STORAGE, *description["bounds"], *description["size"])
        self.cell_m = float(description["cell_m"])
        self._bands = {parameter.id: band for band, parameter in enumerate(self.parameters)}
        self._scales = np.array(description["scales"])
        self._offsets = np.array(description["offsets"])
        self._nodata: list[float | None] = description["nodata"]
        self.data_type: str = description["data_type"]
        self._tiles = tuple(
            _Tile(
                file["address"] if "address" in file else str(folder / file["name"]),
                file["place"][0],
                file["place"][1],
                file["size"][0],
                file["size"][1],
                tuple(file["overviews"]),
            )
            for file in description["files"]
        )

    def read(
        self,
        frame: Frame,
        names: Sequence[str],
        times: slice = _ALL,  # noqa: ARG002  # the same call as for cubes
        levels: slice = _ALL,  # noqa: ARG002  # the same call as for cubes
    ) -> NDArray[np.float64]:
        """Return values in the cells of `frame`, ``(parameter, 1, 1, row, column)``; gaps are NaN.

        Raises
        ------
        TooLarge
            More cells would have to be read than one read may.
        """
        require_cells(frame.width * frame.height * len(names))
        bands = [self._bands[name] for name in names]
        window = self._whole_cells(frame)
        if window is not None:
            values = self._mosaic(*window, bands)
        else:
            x, y = frame.middles_in(_STORAGE, self.cell_m / 20)
            values = self._between(x, y, bands)
        return values[:, None, None]

    def sample(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        names: Sequence[str],
        times: slice = _ALL,  # noqa: ARG002  # the same call as for cubes
        levels: slice = _ALL,  # noqa: ARG002  # the same call as for cubes
    ) -> NDArray[np.float64]:
        """Return values at places in EPSG:25832 from the cells themselves, ``(parameter, 1, 1, place)``."""
        bands = [self._bands[name] for name in names]
        values = np.full((len(bands), len(x)), np.nan)
        places = np.floor(np.column_stack(self._cells(x, y, 1)) / _SAMPLED_AT_ONCE)
        order = np.lexsort(places.T)
        cuts = np.flatnonzero(np.any(np.diff(places[order], axis=0) != 0, axis=1)) + 1
        for members in np.split(order, cuts):
            values[:, members] = self._between(x[members][None], y[members][None], bands, factor=1)[:, 0]
        return values[:, None, None]

    def _cells(
        self, x: NDArray[np.float64], y: NDArray[np.float64], factor: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return column and row, counted from the outer edges, of places on the grid at a scale."""
        cell = self.cell_m * factor
        return (x - self.frame.west) / cell, (self.frame.north - y) / cell

    def _whole_cells(self, frame: Frame) -> tuple[int, int, int, int, int] | None:
        """Return scale and window where the cells of `frame` are cells of the grid at some scale."""
        if frame.crs != _STORAGE:
            return None
        factor = round(frame.dx / self.cell_m)
        if factor < 1 or factor & (factor - 1) or factor > self._coarsest:
            return None
        cell = self.cell_m * factor
        edges = (
            (frame.west - self.frame.west) / cell,
            (self.frame.north - frame.north) / cell,
            (frame.east - self.frame.west) / cell,
            (self.frame.north - frame.south) / cell,
        )
        left, top, right, bottom = whole = tuple(round(edge) for edge in edges)
        if max(abs(a - b) for a, b in zip(edges, whole, strict=True)) > _ALIGNED * max(frame.width, 1):
            return None
        if (right - left, bottom - top) != (frame.width, frame.height):
            return None
        return factor, left, top, right, bottom

    @property
    def is_plain(self) -> bool:
        """Whether values are stored as they are, without scale and offset."""
        return bool((self._scales == 1).all() and (self._offsets == 0).all())

    @functools.cached_property
    def _coarsest(self) -> int:
        """The factor beyond which the whole raster is a few cells."""
        factor = 1
        while max(self.frame.width, self.frame.height) > factor * _BLOCK_CELLS // 8:
            factor *= 2
        return factor

    def _between(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        bands: Sequence[int],
        *,
        factor: int | None = None,
    ) -> NDArray[np.float64]:
        """Return values at places, interpolated from the cells at the scale that fits their distance."""
        columns, rows = self._cells(x, y, 1)
        values = np.full((len(bands), *x.shape), np.nan)
        inside: Any = ...
        if not self._all_inside(columns, rows):
            with np.errstate(invalid="ignore"):
                inside = (columns >= 0) & (rows >= 0)
                inside &= (columns <= self.frame.width) & (rows <= self.frame.height)
            if not inside.any():
                return values
        factor = factor or self._factor(columns, rows)
        # The outer edges belong to their cells.
        columns = np.minimum(columns[inside], self.frame.width - _EDGE) / factor - 0.5
        rows = np.minimum(rows[inside], self.frame.height - _EDGE) / factor - 0.5
        window = _around(columns, rows)
        found = self._mosaic(factor, *window, bands)
        for number, band in enumerate(bands):
            smooth = self.parameters[band].interpolated
            place = _interpolated if smooth else _nearest
            values[number][inside] = place(found[number], columns - window[0], rows - window[1])
        return values

    def _all_inside(self, columns: NDArray[np.float64], rows: NDArray[np.float64]) -> bool:
        """Whether all places lie on the grid; none that is no number does."""
        return bool(
            columns.min() >= 0
            and columns.max() <= self.frame.width
            and rows.min() >= 0
            and rows.max() <= self.frame.height
        )

    def _factor(self, columns: NDArray[np.float64], rows: NDArray[np.float64]) -> int:
        """Return the power of two that is just finer than the distance of neighbouring places."""
        if columns.ndim != 2 or min(columns.shape) < 2:
            return 1
        across = np.hypot(columns[0, -1] - columns[0, 0], rows[0, -1] - rows[0, 0]) / (columns.shape[1] - 1)
        down = np.hypot(columns[-1, 0] - columns[0, 0], rows[-1, 0] - rows[0, 0]) / (columns.shape[0] - 1)
        step = min(across, down)
        if not np.isfinite(step) or step < 2:
            return 1
        return min(self._coarsest, 1 << int(np.log2(step * (1 + _ALIGNED))))

    def _mosaic(
        self, factor: int, left: int, top: int, right: int, bottom: int, bands: Sequence[int]
    ) -> NDArray[np.float64]:
        """Return cells of the common grid at a scale, joined over the files."""
        require_cells((right - left) * (bottom - top) * len(bands), MOST_CELLS)
        window = left, top, right, bottom
        touched = [(tile, *_overview(tile, factor)) for tile in self._tiles if _touches(tile, window, factor)]
        out = np.full((len(bands), bottom - top, right - left), np.nan)
        if all(scale == factor for _, scale, _ in touched):
            for tile, scale, level in touched:
                place, cells = self._piece(tile, scale, level, 1, window, bands)
                out[:, *place] = cells
            return out
        total, weight = np.zeros(out.shape), np.zeros(out.shape)
        for tile, scale, level in touched:
            place, cells = self._piece(tile, scale, level, factor // scale, window, bands)
            held, sums = _sums(cells, factor // scale)
            total[:, *place] += sums * scale**2
            weight[:, *place] += held * scale**2
        return np.asarray(np.divide(total, weight, out=out, where=weight > 0))

    def _piece(
        self,
        tile: _Tile,
        scale: int,
        level: int,
        times: int,
        window: tuple[int, int, int, int],
        bands: Sequence[int],
    ) -> tuple[tuple[slice, slice], NDArray[np.float64]]:
        """Return which cells of the window a file reaches, and its own cells of a finer scale in them."""
        factor = scale * times
        left, top, right, bottom = window
        first_column, first_row = max(left, tile.column // factor), max(top, tile.row // factor)
        end_column = min(right, -(-(tile.column + tile.width) // factor))
        end_row = min(bottom, -(-(tile.row + tile.height) // factor))
        cells = self._cells_of(
            tile,
            level,
            bands,
            (first_column * times - tile.column // scale, first_row * times - tile.row // scale),
            ((end_column - first_column) * times, (end_row - first_row) * times),
        )
        return (slice(first_row - top, end_row - top), slice(first_column - left, end_column - left)), cells

    def _cells_of(
        self,
        tile: _Tile,
        level: int,
        bands: Sequence[int],
        first: tuple[int, int],
        size: tuple[int, int],
    ) -> NDArray[np.float64]:
        """Read cells of one file; those beyond its edges are gaps."""
        require_cells(size[0] * size[1] * len(bands), MOST_CELLS)
        try:
            with _POOL.lease(tile.name, level) as dataset:
                low = max(first[0], 0), max(first[1], 0)
                high = min(first[0] + size[0], dataset.width), min(first[1] + size[1], dataset.height)
                window = Window(low[0], low[1], high[0] - low[0], high[1] - low[1])
                raw = dataset.read([band + 1 for band in bands], window=window)
                mask = self._mask(dataset, window)
        except RasterioError as error:
            raise UnreadableFile(
                f"The file '{Path(tile.name).name}' of the raster cannot be read.",
                hint="Publish the raster again.",
            ) from error
        values = self._decoded(raw, bands, mask)
        if (high[0] - low[0], high[1] - low[1]) == size:
            return values
        out = np.full((len(bands), size[1], size[0]), np.nan)
        column, row = low[0] - first[0], low[1] - first[1]
        out[:, row : row + values.shape[1], column : column + values.shape[2]] = values
        return out

    def _mask(self, dataset: Any, window: Window) -> NDArray[np.bool_] | None:
        """Return where a mask inside the file says that there is no value."""
        flags = dataset.mask_flag_enums[0]
        if MaskFlags.per_dataset not in flags:
            return None
        return np.asarray(dataset.dataset_mask(window=window) == 0)

    def _decoded(
        self, raw: NDArray[Any], bands: Sequence[int], mask: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        values = raw.astype(np.float64)
        for number, band in enumerate(bands):
            nodata = self._nodata[band]
            gaps = None if nodata is None or np.isnan(nodata) else raw[number] == nodata
            if self._scales[band] != 1:
                values[number] *= self._scales[band]
            if self._offsets[band]:
                values[number] += self._offsets[band]
            if gaps is not None:
                values[number][gaps] = np.nan
        if mask is not None:
            values[:, mask] = np.nan
        if raw.dtype.kind == "f":
            values[~np.isfinite(values)] = np.nan
        return values


def _touches(tile: _Tile, window: tuple[int, int, int, int], factor: int) -> bool:
    left, top, right, bottom = (edge * factor for edge in window)
    return (
        tile.column < right
        and tile.row < bottom
        and tile.column + tile.width > left
        and tile.row + tile.height > top
    )


def _overview(tile: _Tile, factor: int) -> tuple[int, int]:
    """Return factor and number of the overview to read for a scale.

    Its cells must lie on the common grid; GDAL stretches those of a file whose sides it does not divide.
    """
    found = 1, -1
    for level, own in enumerate(tile.overviews):
        if own <= factor and not any(edge % own for edge in (tile.column, tile.row, tile.width, tile.height)):
            found = own, level
    return found


def _sums(cells: NDArray[np.float64], times: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how many cells of each square have values, and their sums."""
    held = np.isfinite(cells)
    if held.all():
        return np.full((1, 1, 1), float(times * times)), _added(cells, times)
    return _added(held.astype(np.float64), times), _added(np.where(held, cells, 0.0), times)


def _added(cells: NDArray[np.float64], times: int) -> NDArray[np.float64]:
    """Return the sums of squares of cells."""
    rows = cells[:, ::times].copy()
    for shift in range(1, times):
        rows += cells[:, shift::times]
    squares = rows[:, :, ::times].copy()
    for shift in range(1, times):
        squares += rows[:, :, shift::times]
    return squares


def _around(columns: NDArray[np.float64], rows: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """Return the window of the cells between whose middles the places lie."""
    left, top = int(np.floor(columns.min())), int(np.floor(rows.min()))
    right, bottom = int(np.floor(columns.max())) + 2, int(np.floor(rows.max())) + 2
    return left, top, right, bottom


def _nearest(
    cells: NDArray[np.float64], columns: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    last_row, last_column = cells.shape[0] - 1, cells.shape[1] - 1
    row = np.clip(np.floor(rows + 0.5).astype(np.intp), 0, last_row)
    column = np.clip(np.floor(columns + 0.5).astype(np.intp), 0, last_column)
    return np.asarray(cells[row, column])


def _interpolated(
    cells: NDArray[np.float64], columns: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate bilinearly; a place has a value where the nearest cell has one."""
    column, row = columns.astype(np.intp), rows.astype(np.intp)  # nothing is negative here
    share_x, share_y = columns - column, rows - row
    width = cells.shape[1]
    flat, first = cells.ravel(), row * width + column
    corners = [flat[first], flat[first + 1], flat[first + width], flat[first + width + 1]]
    upper = corners[0] + (corners[1] - corners[0]) * share_x
    lower = corners[2] + (corners[3] - corners[2]) * share_x
    values = upper + (lower - upper) * share_y
    missing = np.isnan(values)
    if missing.any():
        values[missing] = _by_neighbours([c[missing] for c in corners], share_x[missing], share_y[missing])
    return np.asarray(values)


def _by_neighbours(
    corners: Sequence[NDArray[np.float64]], share_x: NDArray[np.float64], share_y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate beside gaps: by the neighbours that have values, where the nearest is one of them."""
    weights = np.stack(
        [(1 - share_x) * (1 - share_y), share_x * (1 - share_y), (1 - share_x) * share_y, share_x * share_y]
    )
    held = np.stack(corners)
    valid = np.isfinite(held)
    nearest = np.where(share_y >= 0.5, 2, 0) + np.where(share_x >= 0.5, 1, 0)
    total = np.where(valid, weights, 0.0).sum(axis=0)
    summed = np.where(valid, weights * np.where(valid, held, 0.0), 0.0).sum(axis=0)
    known = valid[nearest, np.arange(len(nearest))]
    return np.asarray(np.divide(summed, total, out=np.full(total.shape, np.nan), where=known))


# --- Writing


def write_raster(
    folder: Path,
    sources: Sequence[Path | str],
    parameters: Sequence[Parameter],
    *,
    origin: Mapping[str, Any] | None = None,
    allowed: Sequence[str] = (),
) -> dict[str, Any]:
    """Fill the folder of a grid with Cloud Optimized GeoTIFFs, and return its description.

    Cells are never resampled: files must be in EPSG:25832, on one grid, and not overlap.

    Parameters
    ----------
    sources
        GeoTIFF files, or addresses (``s3://``, ``gs://``, ``az://``, ``https://``) of Cloud Optimized ones,
        which stay where they are.
    parameters
        One a band. A datum that is empty is taken from the file's own vertical system.
    origin
        JSON-ready: ``source``, ``captured``.
    allowed
        Beginnings of the addresses that may be used.

    Raises
    ------
    UnreadableFile
        A file is damaged, or no GeoTIFF.
    InvalidInput
        A file has no CRS, another one than EPSG:25832, no datum, or does not fit the others.
    NotAllowed
        An address is not among those allowed.
    """
    if not sources or len(sources) > _MOST_FILES:
        raise InvalidInput(f"A raster consists of 1 to {_MOST_FILES:,} files.")
    files = [_kept(folder, source, number, allowed) for number, source in enumerate(sources)]
    heads = [_head(folder / file["name"] if "name" in file else file["address"], file) for file in files]
    _require_alike(heads)
    first = heads[0]
    if len(parameters) != first.count:
        raise InvalidInput(
            f"The raster has {first.count} bands, and {len(parameters)} parameters are described.",
            hint="Describe each band.",
        )
    cell = first.cell_m
    west, north = min(h.bounds[0] for h in heads), max(h.bounds[3] for h in heads)
    east, south = max(h.bounds[2] for h in heads), min(h.bounds[1] for h in heads)
    for file, head in zip(files, heads, strict=True):
        file["place"] = [round((head.bounds[0] - west) / cell), round((north - head.bounds[3]) / cell)]
        file["size"] = [head.width, head.height]
        file["overviews"] = list(head.overviews)
    _require_apart(files)
    return {
        "parameters": [_with_datum(parameter, first.datum).to_json() for parameter in parameters],
        "bounds": [west, south, east, north],
        "size": [round((east - west) / cell), round((north - south) / cell)],
        "cell_m": cell,
        "data_type": first.data_type,
        "scales": list(first.scales),
        "offsets": list(first.offsets),
        "nodata": list(first.nodata),
        "files": files,
        "origin": dict(origin or {}),
    }


def remote_address(address: str, allowed: Sequence[str]) -> str:
    """Return GDAL's name of a remote file.

    Raises
    ------
    NotAllowed
        The address does not begin with one of `allowed`, or is of a kind that is not read.
    """
    for scheme, prefix in _VIRTUAL.items():
        if address.startswith(scheme) and any(address.startswith(start) for start in allowed if start):
            if ".." in address or "?" in address or not address.isprintable():
                break
            return prefix + address.removeprefix(scheme)
    raise NotAllowed(
        f"The address '{address[:100]}' may not be read.", hint="Let the operator allow its beginning."
    )


@dataclass(frozen=True, slots=True)
class _Head:
    """What one file says of itself."""

    name: str
    width: int
    height: int
    count: int
    bounds: tuple[float, float, float, float]
    cell_m: float
    data_type: str
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    nodata: tuple[float | None, ...]
    overviews: tuple[int, ...]
    datum: str


def _kept(folder: Path, source: Path | str, number: int, allowed: Sequence[str]) -> dict[str, Any]:
    if isinstance(source, str):
        return {"address": remote_address(source, allowed), "title": source.rsplit("/", 1)[-1]}
    name = f"{number:05d}.tif"
    _convert(source, folder / name)
    return {"name": name, "title": source.name}


def _convert(source: Path, target: Path) -> None:
    """Write a Cloud Optimized GeoTIFF with the same cells; every cell is read, so damage is found."""
    try:
        with rasterio.Env(**_OPENING), rasterio.open(source, driver="GTiff") as dataset:
            _system(dataset, source.name)
            if _is_optimized(dataset):
                for _, window in dataset.block_windows(1):
                    dataset.read(window=window)
                shutil.copyfile(source, target)
                return
            is_code = dataset.count == 1 and _has_colours(dataset)
            rasterio.shutil.copy(
                dataset,
                target,
                driver="COG",
                compress="ZSTD",
                level=5,
                predictor="YES" if np.dtype(dataset.dtypes[0]).kind in "iu" else "NO",
                blocksize=_BLOCK_CELLS,
                overview_resampling="NEAREST" if is_code else "AVERAGE",
                bigtiff="IF_SAFER",
            )
    except (RasterioError, CPLE_BaseError) as error:
        raise UnreadableFile(
            f"'{source.name}' is no GeoTIFF, or is damaged.",
            hint="Check it with 'gdalinfo -checksum', and make it anew.",
        ) from error


def _has_colours(dataset: Any) -> bool:
    try:
        dataset.colormap(1)
    except ValueError:
        return False
    return True


def _is_optimized(dataset: Any) -> bool:
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    return structure.get("LAYOUT") == "COG" and (
        bool(dataset.overviews(1)) or max(dataset.width, dataset.height) <= _BLOCK_CELLS
    )


def _system(dataset: Any, name: str) -> str:
    """Return the vertical datum that the file names, or nothing; refuse what is not EPSG:25832, north up."""
    if dataset.crs is None:
        raise InvalidInput(
            f"'{name}' has no coordinate reference system.",
            hint=f"Give it one: gdal_edit.py -a_srs {_STORAGE} {name}",
        )
    try:
        system = CRS.from_wkt(dataset.crs.to_wkt())
    except CRSError:
        raise InvalidInput(f"The coordinate reference system of '{name}' cannot be understood.") from None
    parts = list(system.sub_crs_list) if system.is_compound else [system]
    codes = [part.to_epsg(min_confidence=25) for part in parts]
    if codes[0] != STORAGE_EPSG:
        kind = "geographic" if parts[0].is_geographic else f"'{parts[0].name[:80]}'"
        raise InvalidInput(
            f"The coordinate reference system of '{name}' is {kind}, and must be {_STORAGE}.",
            hint=f"Warp it, and choose how: gdalwarp -t_srs {_STORAGE} -r bilinear IN.tif OUT.tif",
            details={"expected": _STORAGE, "found": parts[0].name[:200]},
        )
    if codes[1:] not in ([], [_DVR90_EPSG]):
        raise InvalidInput(
            f"The heights of '{name}' are in '{parts[1].name[:80]}', and must be in {DVR90}.",
            hint="Transform the heights first.",
        )
    transform = dataset.transform
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise InvalidInput(f"'{name}' is rotated or mirrored.", hint="Warp it to a north-up raster.")
    if abs(transform.a + transform.e) > 1e-9 * transform.a:
        raise InvalidInput(
            f"The cells of '{name}' are not square.",
            details={"found": f"{transform.a} x {-transform.e} m"},
            hint="Warp it to square cells.",
        )
    return DVR90 if len(codes) == 2 else ""


def _head(path: Path | str, file: Mapping[str, Any]) -> _Head:
    name = file["title"]
    try:
        with rasterio.Env(**_OPENING), rasterio.open(path, driver="GTiff") as dataset:
            datum = _system(dataset, name)
            return _Head(
                name,
                dataset.width,
                dataset.height,
                dataset.count,
                tuple(dataset.bounds),
                dataset.transform.a,
                dataset.dtypes[0],
                dataset.scales,
                dataset.offsets,
                dataset.nodatavals,
                _powers_of_two(dataset),
                datum,
            )
    except RasterioError as error:
        raise UnreadableFile(f"'{name}' cannot be read as a GeoTIFF.") from error


def _powers_of_two(dataset: Any) -> tuple[int, ...]:
    """Return the factors of the overviews, up to the first that is not the next power of two."""
    kept: list[int] = []
    for factor in dataset.overviews(1):
        if factor != 2 ** (len(kept) + 1):
            break
        kept.append(factor)
    return tuple(kept)


def _require_alike(heads: Sequence[_Head]) -> None:
    first = heads[0]
    for head in heads[1:]:
        for what in ("count", "data_type", "scales", "offsets", "nodata", "datum"):
            if repr(getattr(head, what)) != repr(getattr(first, what)):
                raise InvalidInput(
                    f"'{head.name}' and '{first.name}' differ in {what.replace('_', ' ')}.",
                    details={"expected": str(getattr(first, what)), "found": str(getattr(head, what))},
                )
        shift = [
            ((head.bounds[0] - first.bounds[0]) / first.cell_m) % 1,
            ((head.bounds[3] - first.bounds[3]) / first.cell_m) % 1,
        ]
        off = max(min(part, 1 - part) for part in shift)
        if abs(head.cell_m - first.cell_m) > 1e-9 * first.cell_m or off > 1e-4:
            raise InvalidInput(
                f"The cells of '{head.name}' do not lie on the grid of '{first.name}'.",
                hint="Make all files with the same cell size and origin.",
            )


def _require_apart(files: Sequence[Mapping[str, Any]]) -> None:
    """Refuse files that hold the same cells: it would be chance which one is read."""
    rows = sorted(files, key=lambda file: file["place"][0])
    active: list[Mapping[str, Any]] = []
    for file in rows:
        column, row = file["place"]
        active = [other for other in active if other["place"][0] + other["size"][0] > column]
        for other in active:
            if row < other["place"][1] + other["size"][1] and other["place"][1] < row + file["size"][1]:
                raise InvalidInput(f"'{file['title']}' and '{other['title']}' overlap.")
        active.append(file)


def _with_datum(parameter: Parameter, found: str) -> Parameter:
    """Fill in the datum of heights from the file, and refuse heights without one."""
    if parameter.datum and found and parameter.datum != found:
        raise InvalidInput(f"The heights are said to be in {parameter.datum}, and the file says {found}.")
    datum = parameter.datum or found
    if not datum and parameter.unit in ("m", "cm", "mm"):
        raise InvalidInput(
            f"The vertical datum of '{parameter.id}' is not given.",
            hint=f"Say which one: {DVR90}, or 'none' for lengths that are no heights.",
        )
    return replace(parameter, datum="" if datum == "none" else datum)
