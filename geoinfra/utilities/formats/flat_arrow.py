"""The flat layout (:mod:`.flat`) as Arrow record batches, for the formats that are written in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.errors import MissingResource
from geoinfra.tables import ColumnType, FeatureBatch
from geoinfra.utilities.formats.flat import composed, known_heights, union_layout

__all__ = ["GEOMETRY", "arrow", "arrow_batches", "arrow_schema", "decoded", "table_rows"]

GEOMETRY = "geometry"
"""Name of the geometry column."""


def arrow() -> Any:
    """Return pyarrow.

    Raises
    ------
    MissingResource
        It is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise MissingResource(
            "FlatGeobuf and GeoParquet need the package pyarrow.",
            hint="Install the extra: pip install 'geoinfra[exchange]'",
        ) from error
    return pyarrow


def arrow_schema() -> Any:
    """Return the schema: the geometry, then the columns of every class."""
    pa = arrow()
    types = {
        ColumnType.BOOLEAN: pa.bool_(),
        ColumnType.INTEGER: pa.int64(),
        ColumnType.REAL: pa.float64(),
    }
    fields = [(GEOMETRY, pa.binary())]
    fields += [(column.name, types.get(column.type, pa.string())) for column in union_layout().columns]
    return pa.schema(fields)


def arrow_batches(batches: Iterable[FeatureBatch], *, solid: bool) -> Iterator[Any]:
    """Yield record batches of :func:`arrow_schema`.

    Parameters
    ----------
    batches
        Rows of ``utility-features``.
    solid
        Whether the geometry has Z where every height is known; else all heights are in ``heights_json``.
    """
    pa, schema, layout = arrow(), arrow_schema(), union_layout()
    types = [field.type for field in schema]
    for batch in batches:
        if not len(batch):
            continue
        if solid:
            geometry, heights = composed(batch)
        else:
            geometry, heights = list(batch.geometry), known_heights(batch, solid=False)[2]
        columns = zip(*layout.rows(batch, heights), strict=True)
        arrays = [pa.array(values, kind) for kind, values in zip(types, (geometry, *columns), strict=True)]
        yield pa.record_batch(arrays, schema=schema)


def table_rows(batch: Any, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the rows of a record batch, the named columns only."""
    columns = [batch.column(name).to_pylist() for name in names]
    return list(zip(*columns, strict=True)) if columns else [()] * batch.num_rows


def decoded(wkbs: Sequence[Any]) -> tuple[NDArray[np.object_], list[bool]]:
    """Return geometries of WKB, ``None`` for what cannot be read, and where there is one."""
    held = [one if one is None or isinstance(one, bytes) else b"" for one in wkbs]
    with np.errstate(invalid="ignore"):  # coordinates that are no numbers are found out later
        geometries = shapely.from_wkb(np.array(held, dtype=object), on_invalid="ignore")
    return geometries, [one is not None for one in held]
