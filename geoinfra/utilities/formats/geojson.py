"""GeoJSON (RFC 7946): one FeatureCollection in CRS84 for web maps and scripts, in and out.

``properties`` has the columns of :mod:`.flat`, of the LER attributes those that have a value. Where every
height of a feature is known it is the third coordinate: DVR90 metres, not above the ellipsoid as RFC 7946 has
it. Coordinates are rounded to a centimetre.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import batched
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from geoinfra.crs import STORAGE_EPSG, parse_crs, transform_xy
from geoinfra.errors import Report, UnreadableFile
from geoinfra.tables import BATCH_ROWS, FeatureBatch
from geoinfra.utilities.formats.flat import known_heights, records, union_layout
from geoinfra.utilities.formats.flat_read import TableReader, require_columns, wanted_columns
from geoinfra.utilities.formats.ler_write import opened_for_writing

__all__ = ["feature_fragments", "read_geojson", "write_geojson"]

_DECIMALS = 7
"""About a centimetre."""

_CHUNK_BYTES = 1 << 18
_MAX_FEATURE_CHARACTERS = 16 * 1024 * 1024


def write_geojson(target: Path | BinaryIO, batches: Iterable[FeatureBatch]) -> int:
    """Write features as one FeatureCollection, longitude before latitude, 7 decimals.

    Returns
    -------
    int
        Number of features written.
    """
    count = 0
    with opened_for_writing(target) as file:
        file.write(b'{"type":"FeatureCollection","features":[')
        for batch in batches:
            if not len(batch):
                continue
            file.write((b",\n" if count else b"\n") + b",\n".join(feature_fragments(batch)))
            count += len(batch)
        file.write(b"\n]}\n")
    return count


def feature_fragments(batch: FeatureBatch) -> list[bytes]:
    """Return each row as a GeoJSON feature."""
    full, run, texts = known_heights(batch)
    rows = zip(batch.feature_ids, _objects(batch, full, run), records(batch, texts), strict=True)
    return [
        orjson.dumps(
            {"type": "Feature", "id": feature_id, "geometry": geometry, "properties": properties},
            option=orjson.OPT_SERIALIZE_NUMPY,
        )
        for feature_id, geometry, properties in rows
    ]


def _objects(batch: FeatureBatch, full: Sequence[int], heights: bytes) -> Iterator[dict[str, Any] | None]:
    """Yield the geometry objects in CRS84; all vertices of the batch are transformed at once.

    Parameters
    ----------
    full, heights
        The rows that get a third coordinate, and their heights.
    """
    geometries = shapely.from_wkb(np.array(batch.geometry, dtype=object))
    counts = shapely.get_num_coordinates(geometries)
    xy = shapely.get_coordinates(geometries)
    longitude, latitude = transform_xy(xy[:, 0], xy[:, 1], f"EPSG:{STORAGE_EPSG}", "OGC:CRS84")
    flat = np.round(np.column_stack([longitude, latitude]), _DECIMALS)
    solid = np.zeros(len(batch), dtype=bool)
    solid[list(full)] = True
    lifted = np.repeat(solid, counts)
    runs = (flat[~lifted], np.column_stack([flat[lifted], np.frombuffer(heights, dtype="<f8")]))
    starts = [0, 0]
    kinds = shapely.get_type_id(geometries).tolist()
    for geometry, kind, count, z in zip(geometries, kinds, counts.tolist(), solid.tolist(), strict=True):
        start = starts[z]
        end = starts[z] = start + count
        if kind == 1:
            yield {"type": "LineString", "coordinates": runs[z][start:end]}
        elif kind == 0:
            yield {"type": "Point", "coordinates": runs[z][start]}
        else:
            yield None if kind < 0 else _parted(geometry, runs[z][start:end])


def _parted(geometry: shapely.Geometry, vertices: NDArray[np.float64]) -> dict[str, Any]:
    """Return the object of a polygon or of a geometry of many parts."""
    kind = type(geometry).__name__
    if kind == "MultiPoint":
        return {"type": kind, "coordinates": vertices}
    parts: list[Any] = []
    start = 0
    for part in shapely.get_parts(geometry):
        rings: list[Any] = []
        for ring in shapely.get_rings(part) if kind != "MultiLineString" else [part]:
            end = start + int(shapely.get_num_coordinates(ring))
            rings.append(vertices[start:end])
            start = end
        parts.append(rings if kind != "MultiLineString" else rings[0])
    return {"type": kind, "coordinates": parts if kind != "Polygon" else parts[0]}


def read_geojson(
    source: Path,
    *,
    owner_cvr: str | None = None,
    report: Report | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[FeatureBatch]:
    """Yield the features of a FeatureCollection with the properties of :mod:`.flat`.

    Parameters
    ----------
    source
        File in CRS84, or in the CRS that a member ``crs`` names as GeoJSON had it before RFC 7946.
    owner_cvr
        Owner of features that name none; features of other owners are passed over.
    report
        Where findings go; ``line`` is the number of the feature.
    progress
        Called with the fraction that has been read.

    Raises
    ------
    UnreadableFile
        It is no FeatureCollection.
    InvalidInput
        Its features lack a property, or its CRS is not known.
    """
    report = Report() if report is None else report
    columns = [column.name for column in union_layout().columns]
    size = source.stat().st_size or 1
    reader: TableReader | None = None
    with source.open("rb") as file:
        collection = _Collection(file)
        for features in batched(collection.features(), BATCH_ROWS):
            rows = [feature["properties"] for feature in features]
            names = dict.fromkeys(name for row in rows for name in row)
            if reader is None:
                require_columns(tuple(names), wanted_columns(owner_cvr))
                reader = TableReader(columns, report, owner_cvr=owner_cvr, crs=collection.crs)
            reader.remark(names)
            cells = [[row.get(name) for name in columns] for row in rows]
            geometries, present = _decoded([feature["geometry"] for feature in features])
            yield from reader.read(cells, geometries, present)
            if progress:
                progress(min(file.tell() / size, 1.0))


def _decoded(geometries: Sequence[Any]) -> tuple[NDArray[np.object_], list[bool]]:
    """Return geometries, ``None`` for what cannot be read, and where there is one."""
    texts = [None if one is None else _dumped(one) for one in geometries]
    decoded = shapely.from_geojson(np.array(texts, dtype=object), on_invalid="ignore")
    return decoded, [text is not None for text in texts]


def _dumped(geometry: Any) -> str:
    """Return a geometry as GEOS reads it; numbers that are not finite become ``null``, which it refuses."""
    try:
        return orjson.dumps(geometry).decode()
    except TypeError:  # an integer of more than 64 bits, or too deep
        return ""


class _Collection:
    """Reads the features of a FeatureCollection one by one, whatever its size.

    Attributes
    ----------
    crs
        Name of the CRS; known once the first feature was given.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.crs = "OGC:CRS84"
        self._file = file
        self._text = codecs.getincrementaldecoder("utf-8-sig")()
        self._decoder = json.JSONDecoder()
        self._held = ""
        self._at = 0
        self._ended = False

    def features(self) -> Iterator[dict[str, Any]]:
        """Yield each feature, with ``properties`` a dict and ``geometry`` there.

        Raises
        ------
        UnreadableFile
            It is no FeatureCollection, or a feature is too large.
        """
        try:
            yield from self._members()
        except UnicodeDecodeError as error:
            raise UnreadableFile("The file is not UTF-8.") from error
        except (ValueError, RecursionError) as error:
            raise UnreadableFile("The file is not GeoJSON.") from error

    def _members(self) -> Iterator[dict[str, Any]]:
        self._take("{")
        seen = False
        while self._next() != "}":
            name = self._value()
            self._take(":")
            if name == "features":
                seen = True
                yield from self._features()
            elif name == "crs":
                if seen:
                    raise UnreadableFile("The member 'crs' must stand before the features.")
                self.crs = _crs_of(self._value())
            else:
                self._value()
            if self._next() == ",":
                self._take(",")
        if not seen:
            raise UnreadableFile("The file is not a GeoJSON FeatureCollection.")

    def _features(self) -> Iterator[dict[str, Any]]:
        self._take("[")
        while self._next() != "]":
            feature = self._value()
            if not isinstance(feature, dict) or feature.get("type") != "Feature":
                raise UnreadableFile("A member of 'features' is no Feature.")
            properties = feature.get("properties") or {}
            if not isinstance(properties, dict):
                raise UnreadableFile("The properties of a feature are no object.")
            yield {"properties": properties, "geometry": feature.get("geometry")}
            if self._next() == ",":
                self._take(",")
        self._take("]")

    def _next(self) -> str:
        """Return the next character that is no blank."""
        while True:
            while self._at < len(self._held):
                if not self._held[self._at].isspace():
                    return self._held[self._at]
                self._at += 1
            if self._ended:
                raise ValueError(self._at)
            self._fill()

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise ValueError(character)
        self._at += 1

    def _value(self) -> Any:
        """Return the next JSON value; more is read while it is not complete."""
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held, self._at)
            except json.JSONDecodeError:
                if self._ended:
                    raise
            else:
                if end < len(self._held) or self._ended:
                    self._at = end
                    return value
            self._fill()

    def _fill(self) -> None:
        """Read as much again as is held, so that a large value is tried few times."""
        self._held = self._held[self._at :]
        self._at = 0
        if len(self._held) > _MAX_FEATURE_CHARACTERS:
            raise UnreadableFile(f"A feature is larger than {_MAX_FEATURE_CHARACTERS} characters.")
        chunk = self._file.read(max(_CHUNK_BYTES, len(self._held)))
        self._ended = not chunk
        self._held += self._text.decode(chunk, final=self._ended)


def _crs_of(member: Any) -> str:
    """Return the CRS of the member ``crs``, as GeoJSON had it before RFC 7946."""
    properties = member.get("properties") if isinstance(member, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if not isinstance(name, str):
        raise UnreadableFile("The member 'crs' names no CRS.")
    return parse_crs(name)
