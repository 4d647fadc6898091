"""FlatGeobuf: one layer ``ledninger`` of all classes with the columns of :mod:`.flat`, in and out.

A layer of this format is flat or solid as a whole, and a height of 0 in place of an unknown one would be a
lie: the geometry has no Z, the heights stand in ``heights_json``. GDAL's driver writes and reads the file. It
has a spatial index unless a feature is without geometry, which the index cannot hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyogrio

from geoinfra.crs import STORAGE_EPSG, parse_crs
from geoinfra.errors import Report, UnreadableFile
from geoinfra.tables import BATCH_ROWS, FeatureBatch
from geoinfra.utilities.formats.flat import placed
from geoinfra.utilities.formats.flat_arrow import (
    GEOMETRY,
    arrow,
    arrow_batches,
    arrow_schema,
    decoded,
    table_rows,
)
from geoinfra.utilities.formats.flat_read import TableReader
from geoinfra.utilities.formats.table import Table, UtilityTable, srid_of

__all__ = ["LAYER", "read_flatgeobuf", "write_flatgeobuf"]

LAYER = UtilityTable.layer
_MAGIC = b"fgb\x03"
_PLAIN_READER = {"OGR_FLATGEOBUF_STREAM_BASE_IMPL": True}
"""GDAL's own Arrow reader of this format gives broken offsets where a geometry is null (seen in 3.12.4)."""


def write_flatgeobuf(
    target: Path | BinaryIO,
    batches: Iterable[FeatureBatch],
    *,
    table: Table | None = None,
    indexed: bool = True,
) -> int:
    """Write features; utility features in EPSG:25832 unless `table` says otherwise.

    Parameters
    ----------
    indexed
        Whether the file gets a spatial index, which changes the order of the features.

    Returns
    -------
    int
        Number of features written.

    Raises
    ------
    MissingResource
        pyarrow is not installed.
    """
    table = table or UtilityTable()
    with placed(target, ".fgb") as path:
        spool = path.with_suffix(".arrows")
        count, complete = _spooled(spool, batches, table)
        with arrow().OSFile(str(spool), "rb") as source:
            reader = arrow().ipc.open_stream(source)
            pyogrio.write_arrow(
                reader,
                path,
                layer=table.layer,
                driver="FlatGeobuf",
                geometry_name=GEOMETRY,
                geometry_type="Unknown" if table.geometry_type == "Geometry" else table.geometry_type,
                crs=f"EPSG:{srid_of(table.crs)}",
                SPATIAL_INDEX="YES" if indexed and complete and count else "NO",
            )
    return count


def _spooled(spool: Path, batches: Iterable[FeatureBatch], table: Table) -> tuple[int, bool]:
    """Put the rows aside; return their number, and whether each has a geometry."""
    pa = arrow()
    count, complete = 0, True
    with pa.OSFile(str(spool), "wb") as file, pa.ipc.new_stream(file, arrow_schema(table)) as writer:
        for batch in arrow_batches(batches, table, solid=False):
            writer.write_batch(batch)
            count += batch.num_rows
            complete = complete and batch.column(GEOMETRY).null_count == 0
    return count, complete


def read_flatgeobuf(
    source: Path,
    *,
    owner_cvr: str | None = None,
    report: Report | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[FeatureBatch]:
    """Yield the features of a file with the columns of :mod:`.flat`.

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
        It is no FlatGeobuf.
    InvalidInput
        It lacks a column, or its CRS is not known.
    MissingResource
        pyarrow is not installed.
    """
    report = Report() if report is None else report
    arrow()
    with source.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise UnreadableFile("The file is no FlatGeobuf of version 3.")
    pyogrio.set_gdal_config_options(_PLAIN_READER)
    try:
        total = _count(source)
        with pyogrio.open_arrow(source, batch_size=BATCH_ROWS, use_pyarrow=True) as (meta, stream):
            yield from _features(meta, stream, report, owner_cvr, progress, total)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, OSError) as error:
        raise UnreadableFile("The FlatGeobuf is damaged.") from error


def _count(source: Path) -> int:
    """Return the number of features that the header tells."""
    try:
        return int(pyogrio.read_info(source).get("features") or 0)
    except IndexError as error:  # of pyogrio, for a file that ends before its layer
        raise UnreadableFile("The FlatGeobuf ends too early.") from error


def _features(
    meta: Any,
    stream: Any,
    report: Report,
    owner_cvr: str | None,
    progress: Callable[[float], None] | None,
    total: int,
) -> Iterator[FeatureBatch]:
    columns = [str(name) for name in meta["fields"]]
    geometry = meta["geometry_name"] or "wkb_geometry"
    reader = TableReader(columns, report, owner_cvr=owner_cvr, crs=_crs_name(meta["crs"]))
    done = 0
    for batch in stream:
        geometries, present = decoded(batch.column(geometry).to_pylist())
        yield from reader.read(table_rows(batch, columns), geometries, present)
        done += batch.num_rows
        if progress and total > 0:
            progress(min(done / total, 1.0))


def _crs_name(crs: str | None) -> str:
    """Return the name of the file's CRS; EPSG:7416 is EPSG:25832 with heights."""
    storage = f"EPSG:{STORAGE_EPSG}"
    return storage if crs in (None, "EPSG:7416") else parse_crs(crs)
