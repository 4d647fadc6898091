"""GeoParquet 1.1: one table of all classes with the columns of :mod:`.flat`, in and out.

The geometry is WKB in EPSG:25832, with Z (DVR90 metres) where every height of a feature is known. Column
``bbox`` holds the bounds of each feature, which programs use to skip row groups.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from geoinfra.crs import STORAGE_EPSG, parse_crs
from geoinfra.errors import InvalidInput, Report, UnreadableFile
from geoinfra.tables import BATCH_ROWS, FeatureBatch
from geoinfra.utilities.formats.flat import placed
from geoinfra.utilities.formats.flat_arrow import (
    GEOMETRY,
    arrow,
    arrow_batches,
    arrow_schema,
    decoded,
    projjson,
    table_rows,
)
from geoinfra.utilities.formats.flat_read import TableReader
from geoinfra.utilities.formats.table import Table, UtilityTable

__all__ = ["read_geoparquet", "write_geoparquet"]

_BBOX = "bbox"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_GROUP_BATCHES = 12
"""Batches in a row group: some 24,000 rows."""


def write_geoparquet(
    target: Path | BinaryIO, batches: Iterable[FeatureBatch], *, table: Table | None = None
) -> int:
    """Write features, row group by row group; utility features with heights unless `table` says otherwise.

    Returns
    -------
    int
        Number of features written.

    Raises
    ------
    MissingResource
        pyarrow is not installed.
    """
    pa = arrow()
    from pyarrow import parquet

    table = table or UtilityTable()
    corners = pa.struct([(corner, pa.float64()) for corner in _CORNERS])
    box_name = _BBOX if _BBOX not in {column.name for column in table.columns} else "geometry_bbox"
    schema = arrow_schema(table).append(pa.field(box_name, corners))
    seen = _Seen(table, box_name)
    count = 0
    with (
        placed(target, ".parquet") as path,
        parquet.ParquetWriter(path, schema, compression="zstd", write_page_index=True) as writer,
    ):
        held: list[Any] = []
        for batch in arrow_batches(batches, table, solid=True):
            boxes = seen.take(batch.column(GEOMETRY).to_pylist())
            held.append(pa.record_batch([*batch.columns, _boxes(pa, corners, boxes)], schema=schema))
            count += batch.num_rows
            if len(held) == _GROUP_BATCHES:
                _flush(pa, writer, held)
        _flush(pa, writer, held)
        writer.add_key_value_metadata({"geo": json.dumps(seen.metadata())})
    return count


def _flush(pa: Any, writer: Any, held: list[Any]) -> None:
    if held:
        table = pa.Table.from_batches(held).combine_chunks()
        writer.write_table(table, row_group_size=table.num_rows)
        held.clear()


def _boxes(pa: Any, kind: Any, boxes: NDArray[np.float64]) -> Any:
    """Return the bounds as a struct column, null where there is no geometry."""
    missing = ~np.isfinite(boxes).all(axis=1)
    sides = [pa.array(boxes[:, side], mask=missing) for side in range(4)]
    return pa.StructArray.from_arrays(sides, fields=list(kind), mask=pa.array(missing))


class _Seen:
    """What the metadata says of all geometries: their kinds and their extent."""

    def __init__(self, table: Table, box_name: str) -> None:
        self._table = table
        self._box_name = box_name
        self._kinds: set[str] = set()
        self._bounds: list[float] = []

    def take(self, wkbs: list[bytes | None]) -> NDArray[np.float64]:
        """Note geometries, and return the bounds of each."""
        geometries = shapely.from_wkb(np.array(wkbs, dtype=object))
        kinds, solid = shapely.get_type_id(geometries), shapely.has_z(geometries)
        for kind, z in {(int(k), bool(z)) for k, z in zip(kinds, solid, strict=True) if k >= 0}:
            self._kinds.add(_KINDS[kind] + " Z" * z)
        boxes = shapely.bounds(geometries)
        known = boxes[np.isfinite(boxes).all(axis=1)]
        if len(known):
            low, high = known[:, :2].min(axis=0).tolist(), known[:, 2:].max(axis=0).tolist()
            if self._bounds:
                low = [min(pair) for pair in zip(low, self._bounds[:2], strict=True)]
                high = [max(pair) for pair in zip(high, self._bounds[2:], strict=True)]
            self._bounds = [*low, *high]
        return np.asarray(boxes, dtype=np.float64)

    def metadata(self) -> dict[str, Any]:
        """Return the ``geo`` metadata of GeoParquet 1.1."""
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(self._kinds),
            "crs": projjson(self._table.crs),
            "edges": "planar",
            "covering": {_BBOX: {corner: [self._box_name, corner] for corner in _CORNERS}},
        }
        if self._bounds:
            column["bbox"] = self._bounds
        return {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}


_KINDS = {
    0: "Point",
    1: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
}


def read_geoparquet(
    source: Path,
    *,
    owner_cvr: str | None = None,
    report: Report | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[FeatureBatch]:
    """Yield the features of a table with the columns of :mod:`.flat`; the geometry must be WKB.

    Parameters
    ----------
    source
        The file.
    owner_cvr
        Owner of rows that name none; rows of other owners are passed over.
    report
        Where findings go.
    progress
        Called with the fraction that has been read.

    Raises
    ------
    UnreadableFile
        It is no GeoParquet.
    InvalidInput
        It lacks a column, or its CRS is not known.
    MissingResource
        pyarrow is not installed.
    """
    pa = arrow()
    from pyarrow import parquet

    report = Report() if report is None else report
    try:
        with parquet.ParquetFile(source) as file:
            yield from _features(pa, file, report, owner_cvr, progress)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile("The file is no Parquet, or damaged.") from error


def _features(
    pa: Any, file: Any, report: Report, owner_cvr: str | None, progress: Callable[[float], None] | None
) -> Iterator[FeatureBatch]:
    schema = file.schema_arrow
    geometry, crs = _geometry_of((file.metadata.metadata or {}).get(b"geo"))
    if geometry not in schema.names:
        raise UnreadableFile("The geometry column that the metadata names is not in the file.")
    nested = (pa.types.is_nested, pa.types.is_binary, pa.types.is_large_binary)
    columns = [
        field.name
        for field in schema
        if field.name != geometry and not any(is_(field.type) for is_ in nested)
    ]
    reader = TableReader(columns, report, owner_cvr=owner_cvr, crs=crs)
    total, done = file.metadata.num_rows or 1, 0
    for batch in file.iter_batches(BATCH_ROWS, columns=[geometry, *columns]):
        geometries, present = decoded(batch.column(geometry).to_pylist())
        yield from reader.read(table_rows(batch, columns), geometries, present)
        done += batch.num_rows
        if progress:
            progress(min(done / total, 1.0))


def _geometry_of(metadata: bytes | None) -> tuple[str, str]:
    """Return the geometry column and the name of its CRS."""
    try:
        document = orjson.loads(metadata or b"")
        name = document["primary_column"]
        column: Mapping[str, Any] = document["columns"][name]
        encoding = column["encoding"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise UnreadableFile("The Parquet file has no GeoParquet metadata.") from error
    if encoding != "WKB" or not isinstance(name, str):
        raise UnreadableFile(
            f"Geometry encoded as {str(encoding)[:40]} is not read.", hint="Write it as WKB."
        )
    return name, _crs_name(column.get("crs", "OGC:CRS84"))


def _crs_name(crs: Any) -> str:
    """Return the name of a CRS given as PROJJSON; EPSG:7416 is EPSG:25832 with heights."""
    if crs is None or isinstance(crs, str):
        return parse_crs(crs, default=f"EPSG:{STORAGE_EPSG}")
    try:
        authority, code = crs["id"]["authority"], crs["id"]["code"]
    except (KeyError, TypeError):
        raise InvalidInput("The CRS of the file has no code.", hint="Use EPSG:25832.") from None
    return f"EPSG:{STORAGE_EPSG}" if str(code) == "7416" else parse_crs(f"{authority}:{code}")
