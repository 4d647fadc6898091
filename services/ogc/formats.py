"""The formats of features: which one a request wants, and answers in those that pygeoapi does not write.

GeoJSON and HTML come from the engine. The others take the engine's reading of the request (a
:class:`~services.ogc.call.Page`), read batches of the store and write them by the table formats of
``geoinfra.utilities.formats``: text formats as a stream in constant memory, files through a temporary file.
"""

from __future__ import annotations

import re
import tempfile
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Final

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import QueryParams
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from geoinfra import crs
from geoinfra.errors import FormatNotOffered, InvalidInput, NotFound
from geoinfra.storage.collections import Collection
from geoinfra.storage.deliveries import DatasetView
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.formats.csv_table import csv_pieces
from geoinfra.utilities.formats.flat_arrow import arrow_pieces
from geoinfra.utilities.formats.flatgeobuf import write_flatgeobuf
from geoinfra.utilities.formats.geopackage import write_geopackage_layer
from geoinfra.utilities.formats.geoparquet import write_geoparquet
from geoinfra.utilities.formats.table import DatasetTable
from services.http import weighted
from services.ogc.jsonfg import jsonfg_feature, jsonfg_pieces, read_columns

if TYPE_CHECKING:
    from services.ogc.asked import Asked
    from services.ogc.call import Page

__all__ = ["FEATURE_FORMATS", "NAMES", "Format", "answer", "chosen", "links"]

_HELD_ROWS = 10_000
_MOST_STREAMED, _MOST_IN_FILE = 1_000_000, 250_000
_OWN_HEADERS = frozenset({"content-type", "content-length"})
_CHUNK_BYTES = 1 << 18
_WRITING: Final = CapacityLimiter(2)


@dataclass(frozen=True, slots=True)
class Format:
    """A format of features.

    Attributes
    ----------
    name
        Value of the parameter ``f``.
    media_types
        Of the answer, and others that an ``Accept`` header may ask it by.
    suffix
        Of the file that a browser saves; empty where the answer is to be looked at.
    most_rows
        Largest ``limit``; larger ones count as this.
    """

    name: str
    title: str
    title_da: str
    media_types: tuple[str, ...]
    suffix: str = ""
    most_rows: int = _HELD_ROWS

    @property
    def media_type(self) -> str:
        """Of the answer."""
        return self.media_types[0]

    @property
    def of_engine(self) -> bool:
        """Whether pygeoapi writes it."""
        return self.name in ("json", "html")


_FGB = Format("fgb", "FlatGeobuf", "FlatGeobuf", ("application/flatgeobuf",), "fgb", _MOST_IN_FILE)
_GPKG = Format("gpkg", "GeoPackage", "GeoPackage", ("application/geopackage+sqlite3",), "gpkg", _MOST_IN_FILE)
_CSV = Format("csv", "CSV", "CSV", ("text/csv",), "csv", _MOST_STREAMED)
_ARROW = Format(
    "arrow", "Arrow stream", "Arrow-strøm", ("application/vnd.apache.arrow.stream",), "arrows", _MOST_STREAMED
)
_PARQUET = Format(
    "parquet",
    "GeoParquet",
    "GeoParquet",
    ("application/vnd.apache.parquet",),
    "parquet",
    _MOST_IN_FILE,
)
FEATURE_FORMATS = (
    Format("json", "GeoJSON", "GeoJSON", ("application/geo+json", "application/json")),
    Format("html", "HTML", "HTML", ("text/html", "application/xhtml+xml")),
    Format("jsonfg", "JSON-FG", "JSON-FG", ("application/vnd.ogc.fg+json",)),
    _FGB,
    _GPKG,
    _CSV,
    _ARROW,
    _PARQUET,
)
"""Every format; the first is the one of those who do not mind."""

NAMES = frozenset(form.name for form in FEATURE_FORMATS)


def chosen(query: QueryParams, accept: str) -> Format:
    """Return the format that ``f`` names, or else the one that ``Accept`` likes best.

    Raises
    ------
    InvalidInput
        ``f`` names none, or one that cannot tell the number of hits alone.
    FormatNotOffered
        ``Accept`` takes none.
    """
    form = _chosen(query, accept)
    if query.get("resulttype") == "hits" and not form.of_engine:
        raise InvalidInput(f"{form.title} tells no number of hits.", hint="Use f=json.")
    return form


def _chosen(query: QueryParams, accept: str) -> Format:
    name = query.get("f")
    if name is not None:
        for form in FEATURE_FORMATS:
            if form.name == name:
                return form
        raise InvalidInput(
            f"The format '{name[:40]}' is not offered.", hint=f"f is {', '.join(sorted(NAMES))}."
        )
    if not accept.strip():
        return FEATURE_FORMATS[0]
    ranges = list(weighted(accept))
    ranked = [(_liking(form, ranges), form) for form in FEATURE_FORMATS]
    best = max(weight for (weight, _), _ in ranked)
    if best <= 0:
        offered = ", ".join(form.media_type for form in FEATURE_FORMATS)
        raise FormatNotOffered("None of the formats in Accept is offered.", hint=f"Offered are {offered}.")
    return min(
        ((place, number, form) for number, ((weight, place), form) in enumerate(ranked) if weight == best),
        key=lambda entry: entry[:2],
    )[2]


def _liking(form: Format, ranges: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """Return the weight of a format, and where in the header it stands; the most exact range counts."""
    best = (0.0, len(ranges))
    for media_type in form.media_types:
        kind = media_type.partition("/")[0]
        for wanted in (media_type, f"{kind}/*", "*/*"):
            found = [(weight, place) for place, (value, weight) in enumerate(ranges) if value == wanted]
            if found:
                best = min(best, (found[0][0], found[0][1]), key=lambda one: (-one[0], one[1]))
                break
    return best


def links(address: str, rel: str, *, query: str = "", language: str = "en") -> list[dict[str, str]]:
    """Return links to the formats that pygeoapi does not write.

    Parameters
    ----------
    address
        Of the features, without a query.
    query
        Further parameters, encoded.
    """
    return [
        {
            "rel": rel,
            "type": form.media_type,
            "title": form.title_da if language == "da" else form.title,
            "href": f"{address}?f={form.name}{'&' if query else ''}{query}",
        }
        for form in FEATURE_FORMATS
        if not form.of_engine
    ]


# --- Answers


def answer(
    asked: Asked,
    form: Format,
    collection: Collection,
    view: DatasetView,
    page: Page,
    headers: Mapping[str, str],
) -> Response:
    """Answer features in a format that pygeoapi does not write.

    Parameters
    ----------
    page
        What the engine read from the request.
    headers
        Of the answer so far.
    """
    limit = page.query.limit or 1
    if page.item is None and asked.query.get("limit", "").isdigit():
        limit = int(asked.query["limit"])
    most = _HELD_ROWS if page.query.after is not None else form.most_rows
    wanted = replace(page, query=replace(page.query, limit=max(1, min(limit, most))))
    made = _Features(asked, form, collection, view, wanted)
    told = {name: value for name, value in headers.items() if name.lower() not in _OWN_HEADERS}
    told |= {"content-type": made.content_type, "x-content-type-options": "nosniff"}
    if form.suffix:
        told["content-disposition"] = f'attachment; filename="{made.file_name}"'
    return _Made(made.prepare, told)


class _Features:
    """One answer: reads the page and writes it."""

    def __init__(
        self, asked: Asked, form: Format, collection: Collection, view: DatasetView, page: Page
    ) -> None:
        self._asked, self._form, self._collection = asked, form, collection
        self._view, self._page = view, page
        self._items = f"{asked.url}/collections/{collection.id}/items"

    @property
    def content_type(self) -> str:
        """Of the answer, with its charset."""
        return "text/csv; charset=utf-8; header=present" if self._form is _CSV else self._form.media_type

    @property
    def file_name(self) -> str:
        """What a browser calls the file; of the identifier only plain characters are left."""
        stem = self._collection.id
        if self._page.item is not None:
            stem += "-" + re.sub(r"[^A-Za-z0-9._-]+", "_", self._page.item)[:80]
        return f"{stem}.{self._form.suffix}"

    def prepare(self) -> _Body:
        """Read what must be known before the first byte, and begin to write.

        Raises
        ------
        NotFound
            There is no such feature.
        """
        query = self._page.query
        columns = read_columns(self._view.schema, query) if self._form.name == "jsonfg" else query.columns
        batches = self._view.read(replace(query, columns=columns))
        if (query.limit or 0) <= _HELD_ROWS:
            held = list(batches)
            following = self._next_by_cursor(held)
            batches = iter(held)
            if self._page.item is not None and not held:
                raise NotFound("There is no such feature.", hint="Ask for the collection's items.")
        else:
            following = self._next_by_offset()
            first = next(batches, None)  # what cannot be read is told now
            batches = iter(()) if first is None else chain([first], batches)
        return self._written(batches, following)

    def _next_by_cursor(self, held: Sequence[FeatureBatch]) -> str:
        query = self._page.query
        if self._page.item is not None or not held or sum(map(len, held)) < (query.limit or 0):
            return ""
        if query.after is None and self._view.count(self._page.question, self._beyond) < self._beyond:
            return ""
        return self._address(cursor=self._view.cursor(held[-1]))

    def _next_by_offset(self) -> str:
        query = self._page.query
        if self._view.count(self._page.question, self._beyond) < self._beyond:
            return ""
        return self._address(offset=str(query.offset + (query.limit or 0)))

    @property
    def _beyond(self) -> int:
        """One row more than this page and those before it hold."""
        return self._page.query.offset + (self._page.query.limit or 0) + 1

    def _address(self, **changes: str) -> str:
        kept = {n: v for n, v in self._asked.query.items() if n not in ("cursor", "offset", "f")}
        names = {"f": self._form.name, **kept, **changes}
        return f"{self._items}?{urllib.parse.urlencode(names, safe=',:/')}"

    def _written(self, batches: Iterator[FeatureBatch], following: str) -> _Body:
        told = {"link": f'<{following}>; rel="next"; type="{self._form.media_type}"'} if following else {}
        if self._form.name == "jsonfg":
            return _Body(told, pieces=self._jsonfg(batches, following))
        table = DatasetTable(
            self._view.schema,
            layer=self._collection.id,
            names=self._page.query.columns,
            crs=self._page.crs,
            north_first=self._form is _CSV and crs.north_first(self._page.crs),
        )
        if self._form is _CSV:
            return _Body(told, pieces=csv_pieces(batches, table))
        if self._form is _ARROW:
            return _Body(told, pieces=arrow_pieces(batches, table))
        file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  # closed when it was sent
        try:
            self._write_file(file, batches, table)
        except BaseException:
            file.close()
            raise
        return _Body({**told, "content-length": str(file.tell())}, file=file)

    def _write_file(self, file: BinaryIO, batches: Iterable[FeatureBatch], table: DatasetTable) -> None:
        if self._form is _FGB:
            write_flatgeobuf(file, batches, table=table, indexed=not self._page.query.sort)
        elif self._form is _GPKG:
            write_geopackage_layer(file, batches, table)
        else:
            write_geoparquet(file, batches, table=table)

    def _jsonfg(self, batches: Iterator[FeatureBatch], following: str) -> Iterator[bytes]:
        page, language = self._page, self._asked.language
        collection_url = self._items.rpartition("/")[0]
        if page.item is None:
            address, query = self._items, self._address().partition("?")[2]
        else:
            address, query = (
                f"{self._items}/{urllib.parse.quote(page.item, safe='')}",
                self._asked.request.url.query,
            )
        kept = urllib.parse.urlencode(
            [pair for pair in urllib.parse.parse_qsl(query, keep_blank_values=True) if pair[0] != "f"],
            safe=",:/",
        )
        more = f"&{kept}" if kept else ""
        found = [
            {**link, "rel": "self"} if link["type"] == self._form.media_type else link
            for link in links(address, "alternate", query=kept, language=language)
        ]
        found += [
            {
                "rel": "alternate",
                "type": form.media_type,
                "title": form.title,
                "href": f"{address}?f={form.name}{more}",
            }
            for form in FEATURE_FORMATS
            if form.of_engine
        ]
        found.append({"rel": "collection", "type": "application/json", "href": collection_url})
        if following:
            found.append({"rel": "next", "type": self._form.media_type, "href": following})
        make = jsonfg_pieces if page.item is None else jsonfg_feature
        return make(
            batches,
            page,
            feature_type=self._collection.id,
            schema_url=f"{collection_url}/schema",
            links=found,
        )


# --- Sending


@dataclass(frozen=True, slots=True)
class _Body:
    """What is sent: headers that are known now, and pieces or a whole file at its end."""

    headers: Mapping[str, str]
    pieces: Iterator[bytes] | None = None
    file: BinaryIO | None = None


class _Made(Response):
    """An answer that is made in a thread of its own when it is sent; few are made at a time."""

    def __init__(self, prepare: Callable[[], _Body], headers: Mapping[str, str]) -> None:
        super().__init__(headers=dict(headers))
        del self.headers["content-length"]  # known when it is made
        self._prepare = prepare

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make it and send it."""
        body = await to_thread.run_sync(self._prepare, limiter=_WRITING)
        headers = {**self.headers, **body.headers}
        try:
            await StreamingResponse(_sent(body), headers=headers)(scope, receive, send)
        finally:
            if body.file is not None:
                body.file.close()


async def _sent(body: _Body) -> AsyncIterator[bytes]:
    """Give the pieces, each taken in a thread."""
    if body.file is not None:
        file = body.file
        await to_thread.run_sync(file.seek, 0)
        while piece := await to_thread.run_sync(file.read, _CHUNK_BYTES):
            yield piece
        return
    pieces = body.pieces or iter(())
    while piece := await to_thread.run_sync(_following, pieces, limiter=_WRITING):
        yield piece


def _following(pieces: Iterator[bytes]) -> bytes:
    """Return the next piece, and nothing at the end; no writer gives empty pieces."""
    return next(filter(None, pieces), b"")
