"""CSV for spreadsheets: one table of all classes with the columns of :mod:`.flat`, in and out.

The geometry stands as WKT in the column ``WKT`` (GDAL finds it there), in EPSG:25832, with Z where every
height is known. The file is UTF-8 with a byte order mark, as Excel wants it. A text that a spreadsheet could
take for a formula stands after an apostrophe, and so does one that begins with an apostrophe; an empty text
is an apostrophe alone, an empty cell is no value. With ``;`` between the cells numbers have a decimal comma,
as in a Danish Excel.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.errors import Report, UnreadableFile
from geoinfra.tables import BATCH_ROWS, FeatureBatch
from geoinfra.utilities.formats.flat_read import TableReader
from geoinfra.utilities.formats.ler_write import opened_for_writing
from geoinfra.utilities.formats.table import Table, UtilityTable

__all__ = ["csv_pieces", "read_csv", "write_csv"]

_GEOMETRY = "WKT"
_SEPARATORS = (";", ",", "\t")
_MAX_CELL_CHARACTERS = 16 * 1024 * 1024
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")
"""How a text begins that is written after an apostrophe."""


def write_csv(
    target: Path | BinaryIO,
    batches: Iterable[FeatureBatch],
    *,
    separator: Literal[";", ",", "\t"] = ",",
    table: Table | None = None,
) -> int:
    """Write features as a table; utility features unless `table` says otherwise.

    Parameters
    ----------
    target
        Path, or a binary file open for writing.
    separator
        Between the cells; with ``;`` numbers have a decimal comma.

    Returns
    -------
    int
        Number of features written.
    """
    count = 0

    def counted() -> Iterator[FeatureBatch]:
        nonlocal count
        for batch in batches:
            count += len(batch)
            yield batch

    with opened_for_writing(target) as file:
        for piece in csv_pieces(counted(), table or UtilityTable(), separator=separator):
            file.write(piece)
    return count


def csv_pieces(
    batches: Iterable[FeatureBatch], table: Table, *, separator: Literal[";", ",", "\t"] = ","
) -> Iterator[bytes]:
    """Yield the bytes of a table: its header, then each batch."""
    comma = separator == ";"
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\r\n")
    writer.writerow([*(column.name for column in table.columns), _GEOMETRY])
    yield b"\xef\xbb\xbf" + text.getvalue().encode()
    for batch in batches:
        text.seek(0)
        text.truncate()
        wkbs, rows = table.parts(batch, solid=True)
        for row, shape in zip(rows, _wkt(wkbs, table.decimals), strict=True):
            writer.writerow([*(_cell(cell, comma) for cell in row), shape])
        yield text.getvalue().encode()


def _wkt(wkbs: Sequence[bytes | None], decimals: int) -> list[str | None]:
    geometries = shapely.from_wkb(np.array(wkbs, dtype=object))
    written = shapely.to_wkt(geometries, rounding_precision=decimals, trim=True)
    return list(np.atleast_1d(written))


def _safe(text: str) -> str:
    return f"'{text}" if not text or text.startswith(_FORMULA) else text


def _cell(cell: Any, comma: bool) -> str | None:
    if cell is None:
        return None
    if isinstance(cell, str):
        return _safe(cell)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return repr(cell).replace(".", ",") if comma else repr(cell)


def read_csv(
    source: Path,
    *,
    owner_cvr: str | None = None,
    report: Report | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[FeatureBatch]:
    """Yield the features of a table with the columns of :mod:`.flat`; the separator is told by the header.

    Parameters
    ----------
    source
        UTF-8, cells separated by semicolon, comma or tab, numbers with a point or a comma.
    owner_cvr
        Owner of rows that name none; rows of other owners are passed over.
    report
        Where findings go; ``line`` is the number of the row below the header.
    progress
        Called with the fraction that has been read.

    Raises
    ------
    UnreadableFile
        It is no such table.
    InvalidInput
        It lacks a column.
    """
    report = Report() if report is None else report
    size = source.stat().st_size or 1
    if csv.field_size_limit() < _MAX_CELL_CHARACTERS:
        csv.field_size_limit(_MAX_CELL_CHARACTERS)  # of the process; a long line's WKT passes the usual bound
    with source.open("rb") as raw:
        text = io.TextIOWrapper(raw, "utf-8-sig", newline="")
        try:
            rows = csv.reader(text, delimiter=_separator(text), strict=True)
            names = [name.strip() for name in next(rows)]
            place = next((i for i, name in enumerate(names) if name.casefold() == _GEOMETRY.casefold()), None)
            columns = [name for index, name in enumerate(names) if index != place]
            reader = TableReader(columns, report, owner_cvr=owner_cvr)
            while chunk := list(islice(rows, BATCH_ROWS)):
                cells, shapes = _cut([row for row in chunk if row], len(names), place)
                geometries, present = _decoded(shapes)
                yield from reader.read(cells, geometries, present)
                if progress:
                    progress(min(raw.tell() / size, 1.0))
        except UnicodeDecodeError as error:
            raise UnreadableFile(
                "The table is not UTF-8.", hint="In Excel choose 'CSV UTF-8' when saving."
            ) from error
        except csv.Error as error:
            raise UnreadableFile("The file is no CSV table, or a cell is not closed.") from error


def _separator(text: io.TextIOWrapper) -> str:
    """Return the separator that stands most often in the header, and go back to the start."""
    header = text.readline(1 << 16)
    if not header:
        raise UnreadableFile("The file is empty.")
    text.seek(0)
    return max(_SEPARATORS, key=header.count)


def _cut(
    rows: Sequence[Sequence[str]], width: int, place: int | None
) -> tuple[list[list[str | None]], list[str | None]]:
    """Return cells and geometries apart, without the apostrophes; no row may be wider than the header."""
    cells: list[list[str | None]] = []
    shapes: list[str | None] = []
    for row in rows:
        if len(row) > width and any(row[width:]):
            raise UnreadableFile(f"A row has {len(row)} cells, the header {width}.")
        held = [(cell[1:] if cell[0] == "'" else cell) if cell else None for cell in row[:width]]
        held += [None] * (width - len(held))
        shapes.append(None if place is None else held.pop(place))
        cells.append(held)
    return cells, shapes


def _decoded(shapes: Sequence[str | None]) -> tuple[NDArray[np.object_], list[bool]]:
    with np.errstate(invalid="ignore"):  # coordinates that are no numbers are found out later
        geometries = shapely.from_wkt(np.array(shapes, dtype=object), on_invalid="ignore")
    return geometries, [shape is not None for shape in shapes]
