"""Exchange formats of utility features: what each is called, and what it loses.

The registry is data; the readers and writers are in the module of each format and take or give
:class:`~geoinfra.tables.FeatureBatch` iterables. ``docs/reference/formats.md`` shows it to people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from geoinfra.errors import InvalidInput
from geoinfra.tables import FeatureBatch

__all__ = ["Format", "format_for", "format_named", "format_of", "formats"]

type Reader = Callable[..., Iterator[FeatureBatch]]
type Writer = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Format:
    """An exchange format.

    Attributes
    ----------
    name
        Short name used by commands and requests.
    title
        What people call it.
    media_type, suffixes
        What the web and file systems call it.
    reads, writes
        Whether geoinfra takes it in, gives it out.
    crs, layers
        Reference of its coordinates, and how its layers are called.
    loses, loses_da
        What does not survive it, for people; empty when nothing is lost.
    functions
        Module and the end of its function's names (``read_…``, ``write_…``) for formats that hold rows;
        empty for the documents of LER, which :mod:`.document` opens.
    magic
        First bytes of a file.
    """

    name: str
    title: str
    media_type: str
    suffixes: tuple[str, ...]
    reads: bool
    writes: bool
    crs: str
    layers: str
    loses: str
    loses_da: str
    functions: tuple[str, str] | None = None
    magic: bytes = b""

    @property
    def read(self) -> Reader:
        """The function that reads it, ``(path, *, owner_cvr, report, progress)``."""
        function: Reader = self._function("read")
        return function

    @property
    def write(self) -> Writer:
        """The function that writes it, ``(path, batches, **options)``."""
        function: Writer = self._function("write")
        return function

    def _function(self, verb: str) -> Any:
        if self.functions is None:
            raise InvalidInput(f"{self.title} is a document, not a table.")
        module, end = self.functions
        return getattr(import_module(f"{__name__}.{module}"), f"{verb}_{end}")


_BESIDE = "What the document says beside its features (header, enquiry, statuses) and attached files"
_BESIDE_DA = (
    "Det, dokumentet siger ud over objekterne (svarets hoved, forespørgsel, statusser), og bilagsfiler"
)
_STORAGE = "EPSG:25832, heights DVR90"

_FORMATS = (
    Format(
        "ler",
        "LER answer",
        "application/gml+xml; version=3.2",
        (".gml", ".zip"),
        True,
        True,
        "EPSG:7416",
        "members of Graveforespoergselssvar",
        "",
        "",
    ),
    Format(
        "gml",
        "LER package",
        "application/gml+xml; version=3.2",
        (".gml", ".zip"),
        True,
        True,
        "EPSG:7416",
        "members of consolidated.gml",
        "The identifier of each answer.",
        "Hvert svars id.",
    ),
    Format(
        "gpkg",
        "GeoPackage",
        "application/geopackage+sqlite3",
        (".gpkg",),
        True,
        True,
        _STORAGE,
        "one a LER class: Elledning",
        f"{_BESIDE}.",
        f"{_BESIDE_DA}.",
        ("geopackage", "geopackage"),
        b"SQLite format 3\x00",
    ),
    Format(
        "geojson",
        "GeoJSON",
        "application/geo+json",
        (".geojson", ".json"),
        True,
        True,
        "EPSG:4326, longitude first; heights DVR90",
        "one for all classes",
        f"{_BESIDE}. Coordinates are rounded to seven decimals of a degree, about a centimetre.",
        f"{_BESIDE_DA}. Koordinater afrundes til syv decimaler af en grad, omkring en centimeter.",
        ("geojson", "geojson"),
        b"{",
    ),
    Format(
        "fgb",
        "FlatGeobuf",
        "application/flatgeobuf",
        (".fgb",),
        True,
        True,
        _STORAGE,
        "ledninger",
        f"{_BESIDE}. Heights are in a column, not in the geometry; features come in another order.",
        f"{_BESIDE_DA}. Koter står i en kolonne, ikke i geometrien; objekterne kommer i en anden rækkefølge.",
        ("flatgeobuf", "flatgeobuf"),
        b"fgb\x03",
    ),
    Format(
        "parquet",
        "GeoParquet",
        "application/vnd.apache.parquet",
        (".parquet", ".geoparquet"),
        True,
        True,
        _STORAGE,
        "one for all classes",
        f"{_BESIDE}.",
        f"{_BESIDE_DA}.",
        ("geoparquet", "geoparquet"),
        b"PAR1",
    ),
    Format(
        "csv",
        "CSV",
        "text/csv; charset=utf-8",
        (".csv",),
        True,
        True,
        "EPSG:25832, heights DVR90; the file does not say so",
        "one for all classes, geometry in the column WKT",
        f"{_BESIDE}. The file does not name its CRS.",
        f"{_BESIDE_DA}. Filen nævner ikke sit koordinatsystem.",
        ("csv_table", "csv"),
    ),
    Format(
        "dxf",
        "DXF",
        "image/vnd.dxf",
        (".dxf",),
        False,
        True,
        _STORAGE,
        "one for owner, supply, status and trust in height",
        f"{_BESIDE}. It is a drawing, and is not read back.",
        f"{_BESIDE_DA}. Det er en tegning og læses ikke igen.",
        ("dxf", "dxf"),
    ),
)


def formats() -> tuple[Format, ...]:
    """Return every format."""
    return _FORMATS


def format_named(name: str) -> Format:
    """Return the format called `name`, or raise ``InvalidInput`` that lists what exists."""
    for one in _FORMATS:
        if one.name == name:
            return one
    raise InvalidInput(f"There is no format '{name[:40]}'.", hint=f"Formats are: {_listed()}.")


def format_for(path: Path) -> Format:
    """Return the format that a file of this name gets, or raise ``InvalidInput`` that lists what exists."""
    suffix = path.suffix.lower()
    for one in _FORMATS:
        if one.writes and suffix in one.suffixes:
            return one
    endings = ", ".join(dict.fromkeys(suffix for one in _FORMATS for suffix in one.suffixes))
    raise InvalidInput(
        f"The ending of '{path.name[:80]}' names no format.",
        hint=f"Endings are {endings}; or name the format: {_listed()}.",
    )


def format_of(path: Path) -> Format | None:
    """Return the table format of a file that is there, told by its first bytes; ``None`` for all others."""
    with path.open("rb") as file:
        start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    for one in _FORMATS:
        if one.reads and one.magic and start.startswith(one.magic):
            return one
    is_markup = start.startswith((b"<", b"PK"))
    named = (one for one in _FORMATS if one.reads and one.functions and path.suffix.lower() in one.suffixes)
    return None if is_markup else next(named, None)


def _listed() -> str:
    return ", ".join(one.name for one in _FORMATS)
