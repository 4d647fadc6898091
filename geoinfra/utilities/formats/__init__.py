"""Exchange formats of utility features: what each is called, and what it loses.

The registry is data; the readers and writers are in the module of each format and take or give
:class:`~geoinfra.tables.FeatureBatch` iterables.
"""

from __future__ import annotations

from dataclasses import dataclass

from geoinfra.errors import InvalidInput

__all__ = ["Format", "format_named", "formats"]


@dataclass(frozen=True, slots=True)
class Format:
    """An exchange format.

    Attributes
    ----------
    name
        Short name used by commands and requests.
    media_type, suffixes
        What the web and file systems call it.
    reads, writes
        Whether geoinfra takes it in, gives it out.
    loses
        What does not survive it, for people; empty when nothing is lost.
    """

    name: str
    media_type: str
    suffixes: tuple[str, ...]
    reads: bool
    writes: bool
    loses: str


_FORMATS = (
    Format("ler", "application/gml+xml; version=3.2", (".gml", ".zip"), True, True, ""),
    Format(
        "gml",
        "application/gml+xml; version=3.2",
        (".gml",),
        True,
        True,
        "Consolidated package of all owners: the identifier of each answer.",
    ),
    Format(
        "gpkg",
        "application/geopackage+sqlite3",
        (".gpkg",),
        False,
        True,
        "Heights stand in a text column where only some are known; reasons of voids; ids of contacts.",
    ),
    Format(
        "geojson",
        "application/geo+json",
        (".geojson", ".json"),
        False,
        True,
        "Heights; coordinates are rounded to a centimetre.",
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
    known = ", ".join(one.name for one in _FORMATS)
    raise InvalidInput(f"There is no format '{name[:40]}'.", hint=f"Formats are: {known}.")
