"""What a table format writes: columns, geometry and CRS; of utility features, or of any dataset.

:class:`UtilityTable` is the flat layout of LER (:mod:`.flat`). :class:`DatasetTable` is any dataset as it is:
``feature_id``, then its public columns under their own names; JSON columns hold JSON text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.crs import STORAGE_EPSG, transform_xy
from geoinfra.tables import Column, ColumnType, DatasetSchema, FeatureBatch
from geoinfra.utilities.formats.flat import FlatColumn, composed, known_heights, union_layout
from geoinfra.utilities.model import COORDINATE_DECIMALS

__all__ = ["DatasetTable", "Table", "UtilityTable", "srid_of"]

_STORAGE = f"EPSG:{STORAGE_EPSG}"
_METRES_DECIMALS = 3
_DEGREES_DECIMALS = 8
_DEGREES = ("OGC:CRS84", "EPSG:4326", "EPSG:4258")


class Table(Protocol):
    """Features as rows of cells."""

    @property
    def layer(self) -> str:
        """Name of the layer."""
        ...

    @property
    def columns(self) -> Sequence[FlatColumn]:
        """Columns of the cells, without the geometry."""
        ...

    @property
    def geometry_type(self) -> str:
        """Type of every geometry, ``Geometry`` for a mixture."""
        ...

    @property
    def crs(self) -> str:
        """Name of the CRS; x stands before y."""
        ...

    @property
    def decimals(self) -> int:
        """Decimals of coordinates that are written as text."""
        ...

    @property
    def typed_times(self) -> bool:
        """Whether dates and times have types of their own; else they are text."""
        ...

    def parts(
        self, batch: FeatureBatch, *, solid: bool
    ) -> tuple[list[bytes | None], Iterator[Sequence[Any]]]:
        """Return the geometries as WKB, and the rows of cells.

        Parameters
        ----------
        solid
            Whether the format takes Z in some features only.
        """
        ...


class UtilityTable:
    """Utility features of all classes in EPSG:25832, with Z (DVR90) where every height is known."""

    layer = "ledninger"
    geometry_type = "Geometry"
    crs = _STORAGE
    decimals = COORDINATE_DECIMALS
    typed_times = False

    @property
    def columns(self) -> Sequence[FlatColumn]:
        """The columns of every class."""
        return union_layout().columns

    def parts(
        self, batch: FeatureBatch, *, solid: bool
    ) -> tuple[list[bytes | None], Iterator[Sequence[Any]]]:
        """Return the geometries and the rows; see the protocol."""
        if solid:
            shapes, heights = composed(batch)
        else:
            shapes, heights = list(batch.geometry), known_heights(batch, solid=False)[2]
        return shapes, union_layout().rows(batch, heights)


class DatasetTable:
    """Any dataset: ``feature_id``, its public columns, 2D geometry in a CRS of choice.

    Parameters
    ----------
    names
        Columns to write, in this order; all public ones when not given.
    crs
        Name of the CRS of the geometry.
    north_first
        Northing or latitude stands before easting or longitude, for texts that follow the CRS's own axes.
    """

    typed_times = True

    def __init__(
        self,
        schema: DatasetSchema,
        *,
        layer: str = "",
        names: Iterable[str] | None = None,
        crs: str = _STORAGE,
        north_first: bool = False,
    ) -> None:
        self.layer = layer or schema.name
        self.geometry_type = schema.geometry
        self.crs = crs
        self.decimals = _DEGREES_DECIMALS if crs in _DEGREES else _METRES_DECIMALS
        self._north_first = north_first
        kept = _chosen(schema, names)
        self.columns = (FlatColumn("feature_id"), *(FlatColumn(c.name, c.type) for c in kept))
        self._names = [column.name for column in kept]

    def parts(
        self,
        batch: FeatureBatch,
        *,
        solid: bool,  # noqa: ARG002  # the protocol's
    ) -> tuple[list[bytes | None], Iterator[Sequence[Any]]]:
        """Return the geometries and the rows; see the protocol."""
        rows = zip(batch.feature_ids, *(batch.columns[name] for name in self._names), strict=True)
        return self._moved(batch.geometry), rows

    def _moved(self, wkbs: list[bytes | None]) -> list[bytes | None]:
        if self.crs == _STORAGE and not self._north_first:
            return wkbs

        def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            x, y = transform_xy(xy[:, 0], xy[:, 1], _STORAGE, self.crs)
            return np.column_stack([y, x] if self._north_first else [x, y])

        shapes = shapely.transform(shapely.from_wkb(np.array(wkbs, dtype=object)), move)
        moved: list[bytes | None] = list(np.atleast_1d(shapely.to_wkb(shapes, byte_order=1)))
        return moved


def srid_of(crs: str) -> int:
    """Return the EPSG code of a CRS whose coordinates stand x before y; CRS84 is 4326 then."""
    return 4326 if crs == "OGC:CRS84" else int(crs.removeprefix("EPSG:"))


def _chosen(schema: DatasetSchema, names: Iterable[str] | None) -> list[Column]:
    public = [column for column in schema.public_columns if column.type is not ColumnType.BLOB]
    if names is None:
        return public
    by_name = {column.name: column for column in public}
    return [by_name[name] for name in names if name in by_name]
