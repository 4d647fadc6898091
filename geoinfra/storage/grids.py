"""Rasters and cubes: what they share, and how the store keeps them.

A *grid* is the whole content of one dataset of one source at one time, in a folder of its own. As with
deliveries it is staged unseen and published by one row; what a newer one took the place of, and what crashes
left, is swept a day later. :mod:`~geoinfra.storage.rasters` and :mod:`~geoinfra.storage.cubes` write and read
the folders. Grids are open data.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.dialects import postgresql, sqlite

from geoinfra import crs
from geoinfra.access import Access, Role
from geoinfra.errors import InvalidInput, StorageFull, TooLarge
from geoinfra.storage import schema as tables
from geoinfra.storage.records import Transaction, new_id, now

__all__ = [
    "Frame",
    "Grid",
    "GridKind",
    "GridStore",
    "Gridded",
    "Parameter",
    "current_grids",
    "publish_grid",
    "require_cells",
]

MOST_CELLS = 64_000_000
"""Cells that one read may hold, whatever the caller's own bounds are."""

_KEPT_S = 86_400.0
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_FINEST_PIECES = 256
_OPEN_GRIDS = 64


class GridKind(StrEnum):
    """How a grid is kept: as GeoTIFFs, or as a Zarr group."""

    RASTER = "raster"
    CUBE = "cube"


@dataclass(frozen=True, slots=True)
class Parameter:
    """What the values of a grid mean.

    Attributes
    ----------
    unit
        UCUM symbol, for instance ``m`` or ``Cel``; empty for numbers without unit.
    datum
        Vertical datum of heights and water levels, for instance ``DVR90``.
    standard_name
        Of the CF conventions.
    observed_property
        Address of its definition.
    cell_methods
        Of the CF conventions: how a value stands for its time and cell.
    decimals
        Places after the point that are meant.
    interpolated
        Whether values between cells may be interpolated; codes and directions may not.
    """

    id: str
    title: Mapping[str, str]
    unit: str = ""
    datum: str = ""
    standard_name: str = ""
    observed_property: str = ""
    cell_methods: str = ""
    decimals: int = 3
    interpolated: bool = True

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.id):
            raise InvalidInput(
                f"A parameter cannot be called '{self.id[:60]}'.", hint="Letters, digits, '_' and '-'."
            )

    def to_json(self) -> dict[str, Any]:
        """Return the parameter as a JSON-ready dict."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Frame:
    """Cells over a rectangle: where values are wanted, or where a grid has them.

    Attributes
    ----------
    crs
        As :func:`geoinfra.crs.parse_crs` gives it; x is easting or longitude.
    west, south, east, north
        Outer edges.
    width, height
        Number of columns and rows; the first row is the northernmost.
    """

    crs: str
    west: float
    south: float
    east: float
    north: float
    width: int
    height: int

    @property
    def dx(self) -> float:
        """Width of a cell."""
        return (self.east - self.west) / self.width

    @property
    def dy(self) -> float:
        """Height of a cell."""
        return (self.north - self.south) / self.height

    def xs(self) -> NDArray[np.float64]:
        """Return x of the middles of the columns, west to east."""
        return np.asarray(self.west + (np.arange(self.width) + 0.5) * self.dx)

    def ys(self) -> NDArray[np.float64]:
        """Return y of the middles of the rows, north to south."""
        return np.asarray(self.north - (np.arange(self.height) + 0.5) * self.dy)

    def middles_in(self, target: str, tolerance: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y of the middles of all cells in another CRS, each ``(height, width)``.

        Parameters
        ----------
        tolerance
            How far a middle may lie from its exact place, in units of `target`. Places between those that are
            transformed are interpolated, and the grid of those is made finer until this holds.
        """
        xs, ys = self.xs(), self.ys()
        if self.crs == target:
            return np.broadcast_arrays(xs[None, :], ys[:, None])  # type: ignore[return-value]  # two arrays in, two out
        pieces = 8
        while pieces < min(_FINEST_PIECES, max(self.width, self.height)):
            control = self._control(target, pieces)
            if _midpoint_error(*control) <= tolerance:
                return _between(control[0], xs, ys, self), _between(control[1], xs, ys, self)
            pieces *= 2
        x, y = np.meshgrid(xs, ys)
        return crs.transform_xy(x, y, self.crs, target)

    def _control(self, target: str, pieces: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x, y = np.meshgrid(
            np.linspace(self.west, self.east, pieces + 1), np.linspace(self.north, self.south, pieces + 1)
        )
        return crs.transform_xy(x, y, self.crs, target)

    def bounds_in(self, target: str) -> tuple[float, float, float, float]:
        """Return the bounds in another CRS; edges are followed, not corners only."""
        return bounds_in((self.west, self.south, self.east, self.north), self.crs, target)


def bounds_in(
    bounds: tuple[float, float, float, float], source: str, target: str
) -> tuple[float, float, float, float]:
    """Return the bounds of a rectangle in another CRS; edges are followed, not corners only.

    Raises
    ------
    InvalidInput
        The rectangle reaches places that the other CRS does not know.
    """
    if source == target:
        return bounds
    moved = crs.transformer(source, target).transform_bounds(*bounds, densify_pts=32)
    if not np.isfinite(moved).all():
        raise InvalidInput(f"The area lies outside the use of {target}.", hint="Ask for a smaller area.")
    west, south, east, north = (float(number) for number in moved)
    return west, south, east, north


def _midpoint_error(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return how far every second control place lies from where its neighbours put it."""
    worst = 0.0
    for values in (x, y):
        if not np.isfinite(values).all():
            return np.inf
        along = (values[:, :-2:2] + values[:, 2::2]) / 2 - values[:, 1:-1:2]
        down = (values[:-2:2] + values[2::2]) / 2 - values[1:-1:2]
        worst = max(worst, float(np.abs(along).max()), float(np.abs(down).max()))
    return worst / 4  # half the spacing makes a quarter of the error


def _between(
    control: NDArray[np.float64], xs: NDArray[np.float64], ys: NDArray[np.float64], frame: Frame
) -> NDArray[np.float64]:
    """Interpolate control values, which cover the frame evenly, at the middles of its cells."""
    pieces = len(control) - 1
    low, share = _pieces((xs - frame.west) / (frame.east - frame.west) * pieces, pieces)
    across = control[:, low] * (1 - share) + control[:, low + 1] * share
    low, share = _pieces((frame.north - ys) / (frame.north - frame.south) * pieces, pieces)
    return np.asarray(across[low] + (across[low + 1] - across[low]) * share[:, None])


def _pieces(places: NDArray[np.float64], pieces: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    low = np.minimum(places.astype(np.int64), pieces - 1)
    return low, places - low


def require_cells(count: float, most: int = MOST_CELLS) -> None:
    """Raise unless a read of so many values is within bounds.

    Raises
    ------
    TooLarge
        It is not; the message says how many are asked for, and the hint what to ask for instead.
    """
    if count > most:
        raise TooLarge(
            f"The request is for {count:,.0f} values, and at most {most:,} are given at once.",
            hint="Ask for less area or time, fewer parameters, or larger cells (scale-factor, scale-size).",
            details={"expected": most, "found": int(min(count, 2**53))},
        )


class Gridded(Protocol):
    """A grid that is open for reading; safe to share between threads."""

    @property
    def parameters(self) -> Sequence[Parameter]:
        """What its values mean."""
        ...

    @property
    def frame(self) -> Frame:
        """The cells that it has, in its own CRS."""
        ...

    @property
    def times(self) -> NDArray[np.datetime64] | None:
        """Moments in UTC, ascending; ``None`` for a grid of no particular time."""
        ...

    @property
    def levels(self) -> NDArray[np.float64] | None:
        """Heights of the layers; ``None`` for a grid of one."""
        ...

    def read(
        self, frame: Frame, names: Sequence[str], times: slice = ..., levels: slice = ...
    ) -> NDArray[np.float64]:
        """Return values in the cells of `frame`, ``(parameter, time, level, row, column)``; gaps are NaN."""
        ...

    def sample(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        names: Sequence[str],
        times: slice = ...,
        levels: slice = ...,
    ) -> NDArray[np.float64]:
        """Return values at places in the grid's CRS, ``(parameter, time, level, place)``; gaps are NaN."""
        ...


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid that lies in the store.

    Attributes
    ----------
    grid_id
        Sorts by time of staging.
    description
        JSON-ready: what is needed to open it, and where it comes from (``origin``).
    """

    grid_id: str
    dataset: str
    source: str
    kind: GridKind
    description: Mapping[str, Any] = field(hash=False)
    sha256: str
    size_bytes: int
    created_at: str = ""

    @property
    def origin(self) -> Mapping[str, Any]:
        """Where it comes from: ``source``, ``captured`` (first and last date), ``files``."""
        origin: Mapping[str, Any] = self.description.get("origin", {})
        return origin


class GridStore:
    """The folder of grids, and those that are open; safe to share between threads.

    Parameters
    ----------
    folder
        Made when the first grid is staged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def stage(
        self, dataset: str, source: str, kind: GridKind, write: Callable[[Path], Mapping[str, Any]]
    ) -> Grid:
        """Write one whole grid into a folder of its own; nobody sees it before it is published.

        Parameters
        ----------
        write
            Fills the folder and returns the description. What it raises leaves nothing behind.

        Raises
        ------
        StorageFull
            The disk takes no more.
        """
        grid_id = new_id()
        partial = self.folder / f".{grid_id}.partial"
        partial.mkdir(parents=True)
        try:
            description = write(partial)
            digest, size = _digest(partial)
            partial.rename(self.folder / grid_id)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("The disk is full; the grid was not kept.") from error
            raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return Grid(grid_id, dataset, source, kind, description, digest, size)

    def path(self, grid: Grid) -> Path:
        """Return the folder of a grid."""
        return self.folder / grid.grid_id

    def opened(self, grid: Grid) -> Any:
        """Return the reader of a grid; made once and kept while it is in use.

        Returns
        -------
        Raster, Cube or Stations
            By kind and content.
        """
        with self._lock:
            if grid.grid_id in self._open:
                self._open.move_to_end(grid.grid_id)
                return self._open[grid.grid_id]
        reader = _reader(grid, self.path(grid))
        with self._lock:
            reader = self._open.setdefault(grid.grid_id, reader)
            while len(self._open) > _OPEN_GRIDS:
                self._open.popitem(last=False)
        return reader

    def sweep(self, named: Iterable[str]) -> list[str]:
        """Remove the folders that no record names, and that nobody wrote to or read since a day."""
        oldest_s = time.time() - _KEPT_S
        found = [path for path in self.folder.iterdir() if path.is_dir()] if self.folder.is_dir() else []
        old = [path for path in found if path.stat().st_mtime < oldest_s]
        kept = set(named)
        doomed = [path for path in old if path.name not in kept]
        for path in doomed:
            shutil.rmtree(path, ignore_errors=True)
        return sorted(path.name for path in doomed)

    def close(self) -> None:
        """Forget the open readers."""
        with self._lock:
            self._open.clear()

    def retire(self, grid_id: str) -> None:
        """Let the day begin after which a grid that lost its place is removed."""
        folder = self.folder / grid_id
        if folder.is_dir():
            os.utime(folder)


def _reader(grid: Grid, folder: Path) -> Any:
    if grid.kind is GridKind.RASTER:
        from geoinfra.storage.rasters import Raster  # rasterio takes long to import

        return Raster(folder, grid.description)
    from geoinfra.storage.cubes import open_cube

    return open_cube(folder, grid.description)


def _digest(folder: Path) -> tuple[str, int]:
    """Return a digest of names and bytes of all files, and their size; all are on the disk afterwards."""
    total, size = hashlib.sha256(), 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        total.update(f"{path.relative_to(folder)} {digest}\n".encode())
        size += path.stat().st_size
    return total.hexdigest(), size


# --- Records

_COLUMNS = tables.grids.c


def publish_grid(tx: Transaction, store: GridStore, staged: Grid, access: Access) -> None:
    """Make a staged grid the present one of its source; seen by all from the commit on.

    Raises
    ------
    NotAllowed
        `access` is not an administrator.
    """
    access.require(Role.ADMIN)
    pointer = {"dataset": staged.dataset, "source": staged.source, "grid_id": staged.grid_id}
    place = (
        tables.current_grids.c.dataset == staged.dataset,
        tables.current_grids.c.source == staged.source,
    )
    before = tx.connection.scalar(sa.select(tables.current_grids.c.grid_id).where(*place))
    tx.execute(
        sa.insert(tables.grids).values(
            **pointer,
            kind=str(staged.kind),
            description=json.dumps(dict(staged.description), ensure_ascii=False, allow_nan=False),
            sha256=staged.sha256,
            size_bytes=staged.size_bytes,
            created_at=now(),
            created_by=access.principal,
        )
    )
    dialect = sqlite if tx.connection.dialect.name == "sqlite" else postgresql
    insert = dialect.insert(tables.current_grids).values(**pointer)
    tx.execute(
        insert.on_conflict_do_update(index_elements=["dataset", "source"], set_={"grid_id": staged.grid_id})
    )
    if before is not None:
        tx.execute(sa.delete(tables.grids).where(_COLUMNS.grid_id == before))
        tx.after_commit.append(lambda: store.retire(before))


def current_grids(connection: sa.Connection, dataset: str) -> tuple[Grid, ...]:
    """Return the present grids of a dataset, one a source, by source."""
    pointer = tables.current_grids
    statement = (
        sa.select(tables.grids)
        .join(pointer, pointer.c.grid_id == _COLUMNS.grid_id)
        .where(pointer.c.dataset == dataset)
        .order_by(_COLUMNS.source)
    )
    return tuple(
        Grid(
            row.grid_id,
            row.dataset,
            row.source,
            GridKind(row.kind),
            json.loads(row.description),
            row.sha256,
            row.size_bytes,
            row.created_at,
        )
        for row in connection.execute(statement)
    )
