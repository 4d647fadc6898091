"""Mapbox Vector Tile 2.1 encoder: whole arrays of geometries at a time, NumPy and shapely only.

One call makes one layer of one tile. Coordinates are integers in a square of ``EXTENT`` units with y
downwards; ``BUFFER`` units around it are kept so that strokes and labels join at tile borders.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

__all__ = ["BUFFER", "EXTENT", "encode_layer", "numeric_id", "tile_bounds", "to_tile_units"]

EXTENT = 4096
BUFFER = 64

WEB_MERCATOR_HALF_M = 20037508.342789244
"""Half the side of the WebMercatorQuad square, EPSG:3857 metres."""

_MOVE_TO, _LINE_TO, _CLOSE_PATH = 1, 2, 7
_TYPE_THEN_GEOMETRY = (
    b"\x18\x01\x22",
    b"\x18\x02\x22",
    b"\x18\x03\x22",
)  # by dimension: POINT, LINE, POLYGON

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]
type Geometries = NDArray[np.object_]


def tile_bounds(z: int, x: int, y: int) -> tuple[float, float, float, float]:
    """Return min x, min y, max x, max y of a WebMercatorQuad tile (y from the north), EPSG:3857 metres."""
    side = 2 * WEB_MERCATOR_HALF_M / 2**z
    west = -WEB_MERCATOR_HALF_M + x * side
    north = WEB_MERCATOR_HALF_M - y * side
    return west, north - side, west + side, north


def to_tile_units(easting: Floats, northing: Floats, z: int, x: int, y: int) -> Floats:
    """Return EPSG:3857 coordinates as an (n, 2) array in units of the tile, y downwards."""
    west, _, east, north = tile_bounds(z, x, y)
    scale = EXTENT / (east - west)
    return np.column_stack([(easting - west) * scale, (north - northing) * scale])


def numeric_id(feature_id: str) -> int:
    """Return a stable 52-bit number for a text identifier (tiles have numeric ids, exact in JavaScript)."""
    return int.from_bytes(hashlib.blake2b(feature_id.encode(), digest_size=7).digest()) >> 4


@dataclass(frozen=True, slots=True)
class _Paths:
    """Vertices of points, lines or rings, in order of the feature they belong to.

    ``xy`` are the rounded vertices; ``path`` numbers the path of each vertex from 0 without gaps;
    ``feature`` is the feature of each path.
    """

    xy: Integers
    path: Integers
    feature: Integers

    @property
    def sizes(self) -> Integers:
        """Number of vertices in each path."""
        return np.bincount(self.path, minlength=len(self.feature)).astype(np.int64)

    def keep(self, wanted: NDArray[np.bool_]) -> _Paths:
        """Return the paths for which `wanted` holds."""
        number = np.cumsum(wanted) - 1
        vertices = wanted[self.path]
        return _Paths(self.xy[vertices], number[self.path[vertices]], self.feature[wanted])


def encode_layer(
    name: str,
    geometries: Geometries,
    feature_ids: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
    *,
    tolerance: float = 0.0,
    buffer: int = BUFFER,
) -> bytes:
    """Return the bytes of a tile with one layer; empty when nothing is left inside the tile.

    Parameters
    ----------
    name
        Name of the layer.
    geometries
        Shapely geometries in tile units (see :func:`to_tile_units`), not yet clipped.
    feature_ids
        One identifier a geometry; travels hashed, see :func:`numeric_id`.
    columns
        Column name -> one value a geometry: text, number, boolean or ``None``, which is left out.
    tolerance
        Douglas-Peucker tolerance in tile units; 0 keeps every vertex.
    buffer
        Units kept around the tile.
    """
    clipped = _clipped(geometries, buffer)
    if tolerance > 0:
        clipped = shapely.simplify(clipped, tolerance, preserve_topology=False)
    dimension, encoded = _encode_geometries(clipped, len(geometries))
    rows = [row for row, commands in enumerate(encoded) if commands]
    if not rows:
        return b""
    tags, keys, values = _encode_columns(columns, rows)
    numbers, starts = _varints(np.array([numeric_id(feature_ids[row]) for row in rows], np.int64))
    packed, cuts = numbers.tobytes(), [*starts.tolist(), len(numbers)]
    features: list[bytes] = []
    for place, (row, tag) in enumerate(zip(rows, tags, strict=True)):
        commands = encoded[row]
        body = b"".join(
            (
                b"\x08",
                packed[cuts[place] : cuts[place + 1]],
                b"\x12",
                _varint(len(tag)),
                tag,
                _TYPE_THEN_GEOMETRY[dimension[row]],
                _varint(len(commands)),
                commands,
            )
        )
        features += (b"\x12", _varint(len(body)), body)
    layer = b"".join(
        [
            _message(1, name.encode()),
            *features,
            *(_message(3, key.encode()) for key in keys),
            *(_message(4, value) for value in values),
            b"\x28" + _varint(EXTENT),
            b"\x78\x02",
        ]
    )
    return _message(3, layer)


def _clipped(geometries: NDArray[Any], buffer: int) -> NDArray[Any]:
    """Cut geometries to the tile and its buffer.

    ``clip_by_rect`` is fast, and may fill the whole rectangle where rings of a polygon cross, as they do by a
    hair when long shared edges are reprojected vertex by vertex. Such polygons are mended and truly cut.
    """
    low, high = -buffer, EXTENT + buffer
    clipped: NDArray[Any] = np.atleast_1d(shapely.clip_by_rect(geometries, low, low, high, high))
    crossed = (shapely.get_dimensions(geometries) == 2) & ~shapely.is_valid(geometries)
    if np.any(crossed):
        mended = shapely.make_valid(np.asarray(geometries)[crossed], method="structure", keep_collapsed=False)
        clipped[crossed] = shapely.intersection(mended, shapely.box(low, low, high, high))
    return clipped


def _encode_geometries(geometries: Geometries, count: int) -> tuple[Integers, list[bytes]]:
    """Return the dimension (0, 1, 2) and the packed commands of each geometry; empty bytes where none."""
    parts, owner = shapely.get_parts(geometries, return_index=True)
    parts, inner = shapely.get_parts(parts, return_index=True)  # a collection of multi-geometries
    owner = owner[inner]
    dimensions = shapely.get_dimensions(parts)
    dimension = np.full(count, -1, np.int64)
    np.maximum.at(dimension, owner, dimensions)
    encoded = [b""] * count
    for wanted in (0, 1, 2):
        chosen = (dimensions == wanted) & (dimension[owner] == wanted) & ~shapely.is_empty(parts)
        if not chosen.any():
            continue
        paths = _PATHS_OF[wanted](parts[chosen], owner[chosen].astype(np.int64))
        if len(paths.feature) == 0:
            continue
        for row, commands in _pack(paths, wanted):
            encoded[row] = commands
    return dimension, encoded


def _rounded(geometries: Geometries) -> tuple[Integers, Integers]:
    xy, index = shapely.get_coordinates(geometries, return_index=True)
    return np.rint(xy).astype(np.int64), index.astype(np.int64)


def _point_paths(points: Geometries, owner: Integers) -> _Paths:
    """All points of a feature are one path."""
    xy, index = _rounded(points)
    features, path = np.unique(owner[index], return_inverse=True)
    return _Paths(xy, path.astype(np.int64), features)


def _line_paths(lines: Geometries, owner: Integers) -> _Paths:
    xy, path = _rounded(lines)
    paths = _without_repeats(_Paths(xy, path, owner))
    return paths.keep(paths.sizes >= 2)


def _ring_paths(polygons: Geometries, owner: Integers) -> _Paths:
    """Rings without their closing vertex, exterior ones clockwise on screen, holes the other way."""
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    xy, path = _rounded(rings)
    paths = _without_repeats(_Paths(xy, path, polygon.astype(np.int64)))
    last = np.append(np.diff(paths.path) != 0, True)
    paths = _Paths(paths.xy[~last], paths.path[~last], paths.feature)  # the closing vertex
    exterior = np.append(True, np.diff(paths.feature) != 0)
    area = _doubled_area(paths)
    solid = area != 0
    lost = np.unique(paths.feature[exterior & ~solid])  # a polygon without exterior has no holes either
    wanted = solid & ~np.isin(paths.feature, lost)
    turn = (area > 0) != exterior
    paths = _reversed(paths, turn & wanted).keep(wanted)
    return _Paths(paths.xy, paths.path, owner[paths.feature])


_PATHS_OF = {0: _point_paths, 1: _line_paths, 2: _ring_paths}


def _without_repeats(paths: _Paths) -> _Paths:
    """Drop each vertex that equals the one before it in the same path."""
    if len(paths.xy) == 0:
        return paths
    moved = np.any(np.diff(paths.xy, axis=0) != 0, axis=1) | (np.diff(paths.path) != 0)
    kept = np.append(True, moved)
    return _Paths(paths.xy[kept], paths.path[kept], paths.feature)


def _neighbours(paths: _Paths) -> Integers:
    """Return, for each vertex of closed rings, the row of the next vertex of the same ring."""
    sizes = paths.sizes
    starts = np.cumsum(sizes) - sizes
    following = np.arange(1, len(paths.xy) + 1)
    ends = (starts + sizes - 1)[sizes > 0]
    following[ends] = starts[sizes > 0]
    return following


def _doubled_area(paths: _Paths) -> Integers:
    """Return twice the signed area of each ring; positive is clockwise on screen (y downwards)."""
    following = _neighbours(paths)
    x, y = paths.xy[:, 0], paths.xy[:, 1]
    cross = x * y[following] - x[following] * y
    area = np.zeros(len(paths.feature), np.int64)
    np.add.at(area, paths.path, cross)
    return area


def _reversed(paths: _Paths, turn: NDArray[np.bool_]) -> _Paths:
    """Return the paths with those marked by `turn` written backwards."""
    sizes = paths.sizes
    starts = np.cumsum(sizes) - sizes
    rows = np.arange(len(paths.xy))
    mirrored = (2 * starts + sizes - 1)[paths.path] - rows
    return _Paths(paths.xy[np.where(turn[paths.path], mirrored, rows)], paths.path, paths.feature)


def _pack(paths: _Paths, dimension: int) -> list[tuple[int, bytes]]:
    """Return ``(feature, packed commands)`` for each feature of the paths."""
    sizes = paths.sizes
    starts = np.cumsum(sizes) - sizes
    feature_starts = np.append(True, np.diff(paths.feature) != 0)
    steps = np.diff(paths.xy, axis=0, prepend=np.zeros((1, 2), np.int64))
    fresh = starts[feature_starts]
    steps[fresh] = paths.xy[fresh]  # the pen starts each feature at 0, 0
    zigzag = (steps << 1) ^ (steps >> 63)

    extra = {0: 1, 1: 2, 2: 3}[dimension]  # command words of a path beside its vertices
    lengths = 2 * sizes + extra
    offsets = np.cumsum(lengths) - lengths
    words = np.zeros(int(lengths.sum()), np.int64)
    within = np.arange(len(paths.xy)) - starts[paths.path]
    shift = np.where(within > 0, 2, 1) if dimension else 1
    places = offsets[paths.path] + 2 * within + shift
    words[places] = zigzag[:, 0]
    words[places + 1] = zigzag[:, 1]
    words[offsets] = _MOVE_TO | ((sizes if dimension == 0 else np.ones_like(sizes)) << 3)
    if dimension:
        words[offsets + 3] = _LINE_TO | ((sizes - 1) << 3)
    if dimension == 2:
        words[offsets + lengths - 1] = _CLOSE_PATH | (1 << 3)
    packed, bounds = _varints(words)
    cuts = np.append(bounds[offsets[feature_starts]], len(packed))
    data = packed.tobytes()
    return [
        (int(row), data[begin:end])
        for row, begin, end in zip(paths.feature[feature_starts], cuts[:-1], cuts[1:], strict=True)
    ]


def _varints(words: Integers) -> tuple[NDArray[np.uint8], Integers]:
    """Return the words as protobuf varints, and where each begins."""
    width = np.ones(len(words), np.int64)
    for bits in range(7, int(words.max()).bit_length(), 7):
        width += words >= 1 << bits
    starts = np.cumsum(width) - width
    packed = np.empty(int(width.sum()), np.uint8)
    for place in range(int(width.max())):
        here = width > place
        byte = (words[here] >> (7 * place)) & 0x7F
        packed[starts[here] + place] = byte | np.where(width[here] > place + 1, 0x80, 0)
    return packed, starts


def _encode_columns(
    columns: Mapping[str, Sequence[Any]], rows: Sequence[int]
) -> tuple[list[bytes], list[str], list[bytes]]:
    """Return the packed tags of each row, the keys and the encoded distinct values."""
    keys = list(columns)
    numbers: dict[bytes, int] = {}
    pairs_of_rows: list[list[bytes]] = [[] for _ in rows]
    for number, key in enumerate(keys):
        prefix = _varint(number)
        known: dict[Any, bytes] = {None: b""}
        values = columns[key]
        for pairs, row in zip(pairs_of_rows, rows, strict=True):
            value = values[row]
            pair = known.get(value)
            if pair is None:
                pair = b""
                if value == value:  # NaN has no tag, like null
                    encoded = _encode_value(value)
                    pair = prefix + _varint(numbers.setdefault(encoded, len(numbers)))
                known[value] = pair
            pairs.append(pair)
    return [b"".join(pairs) for pairs in pairs_of_rows], keys, list(numbers)


def _encode_value(value: str | float | bool) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        return b"\x0a" + _varint(len(text)) + text
    if isinstance(value, bool):
        return b"\x38\x01" if value else b"\x38\x00"
    if isinstance(value, int):
        return b"\x28" + _varint(value) if value >= 0 else b"\x30" + _varint(-2 * value - 1)
    return b"\x19" + struct.pack("<d", value)


def _long_varint(number: int) -> bytes:
    octets = bytearray()
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


_SHORT_VARINTS = [_long_varint(number) for number in range(1 << 14)]


def _varint(number: int) -> bytes:
    return _SHORT_VARINTS[number] if number < 1 << 14 else _long_varint(number)


def _message(field: int, content: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return bytes((field << 3 | 2,)) + _varint(len(content)) + content
