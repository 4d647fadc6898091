"""Tables (:mod:`.table`) as Arrow record batches, for the formats that are written in columns."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from geoinfra.errors import MissingResource
from geoinfra.tables import ColumnType, FeatureBatch
from geoinfra.utilities.formats.table import Table

__all__ = [
    "GEOMETRY",
    "arrow",
    "arrow_batches",
    "arrow_pieces",
    "arrow_schema",
    "decoded",
    "projjson",
    "table_rows",
]

GEOMETRY = "geometry"
"""Name of the geometry column; the store lets no other column have it."""


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
            "FlatGeobuf, GeoParquet and Arrow need the package pyarrow.",
            hint="Install the extra: pip install 'geoinfra[exchange]'",
        ) from error
    return pyarrow


def arrow_schema(table: Table) -> Any:
    """Return the schema: the geometry, then the columns of the table."""
    pa = arrow()
    types = {
        ColumnType.BOOLEAN: pa.bool_(),
        ColumnType.INTEGER: pa.int64(),
        ColumnType.REAL: pa.float64(),
    }
    if table.typed_times:
        types |= {ColumnType.DATE: pa.date32(), ColumnType.DATETIME: pa.timestamp("ms", "UTC")}
    fields = [(GEOMETRY, pa.binary())]
    fields += [(column.name, types.get(column.type, pa.string())) for column in table.columns]
    return pa.schema(fields)


@lru_cache(maxsize=32)
def projjson(crs: str) -> Any:
    """Return a CRS as PROJJSON."""
    return json.loads(pyproj.CRS.from_user_input(crs).to_json())


def arrow_pieces(batches: Iterable[FeatureBatch], table: Table) -> Iterator[bytes]:
    """Yield an Arrow IPC stream piece by piece; the geometry is marked as ``geoarrow.wkb``.

    Raises
    ------
    MissingResource
        pyarrow is not installed.
    """
    pa, schema = arrow(), arrow_schema(table)
    mark = {
        "ARROW:extension:name": "geoarrow.wkb",
        "ARROW:extension:metadata": json.dumps({"crs": projjson(table.crs), "crs_type": "projjson"}),
    }
    marked = schema.set(0, schema.field(0).with_metadata(mark))
    held = io.BytesIO()
    with pa.ipc.new_stream(held, marked) as writer:
        for batch in arrow_batches(batches, table, solid=True):
            writer.write_batch(batch.replace_schema_metadata(None).cast(marked))
            yield _taken(held)
    yield _taken(held)


def _taken(held: io.BytesIO) -> bytes:
    """Return what was written, and begin anew."""
    piece = held.getvalue()
    held.seek(0)
    held.truncate()
    return piece


def arrow_batches(batches: Iterable[FeatureBatch], table: Table, *, solid: bool) -> Iterator[Any]:
    """Yield record batches of :func:`arrow_schema`.

    Parameters
    ----------
    solid
        Whether the geometry has Z where every height is known; else no geometry has.
    """
    pa, schema = arrow(), arrow_schema(table)
    for batch in batches:
        if not len(batch):
            continue
        geometry, rows = table.parts(batch, solid=solid)
        cells = (geometry, *zip(*rows, strict=True))
        arrays = [_array(pa, values, field.type) for values, field in zip(cells, schema, strict=True)]
        yield pa.record_batch(arrays, schema=schema)


def _array(pa: Any, values: Sequence[Any], kind: Any) -> Any:
    """Return an array; times are made of their texts."""
    return pa.array(values, pa.string()).cast(kind) if pa.types.is_temporal(kind) else pa.array(values, kind)


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
