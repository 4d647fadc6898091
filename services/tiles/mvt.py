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

__all__ = ["BUFFER", "EXTENT", "cut", "encode_layer", "numeric_id", "tile_bounds", "to_tile_units"]

EXTENT = 4096
BUFFER = 64

WEB_MERCATOR_HALF_M = 20037508.342789244
"""Half the side of the WebMercatorQuad square, EPSG:3857 metres."""

_MOVE_TO, _LINE_TO, _CLOSE_PATH = 1, 2, 7

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
    """Return a stable 52-bit number for a text identifier (tiles have numeric ids, exact in JavaScript).

    It is the beginning of the SHA-256, so that a database can make it too.
    """
    return int.from_bytes(hashlib.sha256(feature_id.encode()).digest()[:7]) >> 4


def _numeric_ids(feature_ids: Sequence[str]) -> Integers:
    digests = b"".join([hashlib.sha256(text.encode()).digest()[:8] for text in feature_ids])
    return (np.frombuffer(digests, ">u8") >> np.uint64(12)).astype(np.int64)


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
    shapes = _encode_geometries(clipped)
    rows = shapes.rows
    if not len(rows):
        return b""
    tags, keys, values = _encode_columns(columns, rows, len(geometries))
    told = feature_ids if len(rows) == len(geometries) else [feature_ids[row] for row in rows.tolist()]
    layer = b"".join(
        [
            _message(1, name.encode()),
            _encode_features(_numeric_ids(told), tags, shapes),
            *(_message(3, key.encode()) for key in keys),
            *values,
            b"\x28" + _varint(EXTENT),
            b"\x78\x02",
        ]
    )
    return _message(3, layer)


@dataclass(frozen=True, slots=True)
class _Words:
    """Numbers of each feature in turn; `counts` says how many each has."""

    words: Integers
    counts: Integers

    def sizes(self) -> Integers:
        """Return how many bytes the numbers of each feature take."""
        total = np.append(0, np.cumsum(_widths(self.words)))
        ends = np.cumsum(self.counts)
        sizes: Integers = total[ends] - total[ends - self.counts]
        return sizes

    def places(self, begins: Integers) -> Integers:
        """Return where each number goes when those of a feature stand from `begins` on."""
        starts = np.cumsum(self.counts) - self.counts
        places: Integers = np.arange(len(self.words)) + np.repeat(begins - starts, self.counts)
        return places

    def take(self, order: Integers) -> _Words:
        """Return the features in another order."""
        starts = np.cumsum(self.counts) - self.counts
        counts = self.counts[order]
        source = np.arange(len(self.words)) + np.repeat(starts[order] - (np.cumsum(counts) - counts), counts)
        return _Words(self.words[source], counts)


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Commands of the features that have any: their row, dimension (0, 1, 2) and command words."""

    rows: Integers
    dimension: Integers
    commands: _Words


def _encode_features(numbers: Integers, tags: _Words, shapes: _Shapes) -> bytes:
    """Return the feature messages. All that stands in them is a varint, so they are made as one array."""
    commands = shapes.commands
    tag_bytes, command_bytes = tags.sizes(), commands.sizes()
    body = 5 + _widths(numbers) + _widths(tag_bytes) + tag_bytes + _widths(command_bytes) + command_bytes
    lengths = 10 + tags.counts + commands.counts
    begins = np.cumsum(lengths) - lengths
    words = np.empty(int(lengths.sum()), np.int64)
    after = begins + 6 + tags.counts
    for places, value in (
        (begins, 0x12),
        (begins + 1, body),
        (begins + 2, 0x08),
        (begins + 3, numbers),
        (begins + 4, 0x12),
        (begins + 5, tag_bytes),
        (tags.places(begins + 6), tags.words),
        (after, 0x18),
        (after + 1, shapes.dimension + 1),
        (after + 2, 0x22),
        (after + 3, command_bytes),
        (commands.places(after + 4), commands.words),
    ):
        words[places] = value
    return _varints(words)


def _clipped(geometries: NDArray[Any], buffer: int) -> NDArray[Any]:
    """Cut to the tile and its buffer what reaches beyond."""
    low, high = -buffer, EXTENT + buffer
    return cut(geometries, (low, low, high, high))


def cut(geometries: NDArray[Any], box: tuple[float, float, float, float]) -> NDArray[Any]:
    """Return geometries without what lies outside a rectangle; those inside are left as they are.

    ``clip_by_rect`` is fast, and may fill the whole rectangle where rings of a polygon cross, as they do by a
    hair when long shared edges are reprojected vertex by vertex. Such polygons are mended and truly cut.
    """
    bounds = np.atleast_2d(shapely.bounds(geometries))
    inside = (bounds[:, :2] >= box[:2]).all(axis=1) & (bounds[:, 2:] <= box[2:]).all(axis=1)
    if inside.all():
        return geometries
    made: NDArray[Any] = np.array(geometries, dtype=object)
    crossing = np.flatnonzero(~inside)
    reaching = made[crossing]
    found = np.atleast_1d(shapely.clip_by_rect(reaching, *box))
    crossed = (shapely.get_dimensions(reaching) == 2) & ~shapely.is_empty(found) & ~shapely.is_valid(reaching)
    if np.any(crossed):
        mended = shapely.make_valid(reaching[crossed], method="structure", keep_collapsed=False)
        found[crossed] = shapely.intersection(mended, shapely.box(*box))
    made[crossing] = found
    return made


def _encode_geometries(geometries: Geometries) -> _Shapes:
    """Return the commands of each geometry that has any; of mixtures the highest dimension stays."""
    parts, owner = _simple_parts(geometries)
    dimensions = shapely.get_dimensions(parts).astype(np.int64)
    dimension = np.full(len(geometries), -1, np.int64)
    np.maximum.at(dimension, owner, dimensions)
    rows, words, counts = [], [], []
    for wanted in (0, 1, 2):
        chosen = (dimensions == wanted) & (dimension[owner] == wanted) & ~shapely.is_empty(parts)
        if not chosen.any():
            continue
        paths = _PATHS_OF[wanted](parts[chosen], owner[chosen])
        if len(paths.feature) == 0:
            continue
        row, packed = _commands(paths, wanted)
        rows.append(row)
        words.append(packed.words)
        counts.append(packed.counts)
    if not rows:
        nothing = np.zeros(0, np.int64)
        return _Shapes(nothing, nothing, _Words(nothing, nothing))
    row = np.concatenate(rows)
    commands = _Words(np.concatenate(words), np.concatenate(counts))
    if len(rows) > 1:
        order = np.argsort(row, kind="stable")
        row, commands = row[order], commands.take(order)
    return _Shapes(row, dimension[row], commands)


def _simple_parts(geometries: Geometries) -> tuple[Geometries, Integers]:
    """Return points, lines and polygons, and the row of each."""
    parts, owner = geometries, np.arange(len(geometries))
    while (shapely.get_type_id(parts) > shapely.GeometryType.POLYGON).any():
        parts, index = shapely.get_parts(parts, return_index=True)
        owner = owner[index]
    return parts, owner


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


def _commands(paths: _Paths, dimension: int) -> tuple[Integers, _Words]:
    """Return the features of the paths and their command words."""
    sizes = paths.sizes
    starts = np.cumsum(sizes) - sizes
    is_first = np.append(True, np.diff(paths.feature) != 0)
    steps = np.diff(paths.xy, axis=0, prepend=np.zeros((1, 2), np.int64))
    fresh = starts[is_first]
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
    counts = np.diff(np.append(offsets[is_first], len(words)))
    return paths.feature[is_first], _Words(words, counts)


def _widths(words: Integers) -> Integers:
    """Return how many bytes each number takes as a varint."""
    widths = np.ones(len(words), np.int64)
    for bits in range(7, int(words.max(initial=0)).bit_length(), 7):
        widths += words >= 1 << bits
    return widths


def _varints(words: Integers) -> bytes:
    """Return the numbers as protobuf varints."""
    widths = _widths(words)
    ends = np.cumsum(widths)
    packed = np.empty(int(ends[-1]), np.uint8)
    left, places = words, ends - widths
    while True:
        more = left >= 0x80
        packed[places] = (left & 0x7F) | (more << 7)
        if not more.any():
            return packed.tobytes()
        left, places = left[more] >> 7, places[more] + 1


def _encode_columns(
    columns: Mapping[str, Sequence[Any]], rows: Integers, count: int
) -> tuple[_Words, list[str], list[bytes]]:
    """Return the tags of each row (pairs of key and value), the keys and the encoded distinct values."""
    keys = list(columns)
    numbers: dict[bytes, int] = {}
    codes = np.empty((len(rows), len(keys)), np.int64)
    chosen = None if len(rows) == count else rows.tolist()
    for place, key in enumerate(keys):
        values = columns[key] if chosen is None else [columns[key][row] for row in chosen]
        known: dict[Any, int] = dict.fromkeys(values, -1)  # null has no tag, and neither has NaN
        told = [value for value in known if value is not None and value == value]
        for value, message in zip(told, _value_messages(told), strict=True):
            known[value] = numbers.setdefault(message, len(numbers))
        codes[:, place] = np.fromiter(map(known.__getitem__, values), np.int64, len(rows))
    pairs = np.empty((len(rows), len(keys), 2), np.int64)
    pairs[:, :, 0] = np.arange(len(keys))
    pairs[:, :, 1] = codes
    tagged = codes >= 0
    return _Words(pairs[tagged].reshape(-1), 2 * tagged.sum(axis=1)), keys, list(numbers)


def _value_messages(values: Sequence[Any]) -> list[bytes]:
    """Return values as messages of a layer; those of one type, as in a column, at once."""
    kinds = set(map(type, values))
    if kinds == {str}:
        short = len(_TEXT_PREFIXES)
        texts = [value.encode() for value in values]
        return [(_TEXT_PREFIXES[n] if (n := len(t)) < short else _text_prefix(n)) + t for t in texts]
    if kinds == {float}:
        packed = np.array(values, "<f8").tobytes()
        return [b"\x22\x09\x19" + packed[at : at + 8] for at in range(0, len(packed), 8)]
    return [_message(4, _encode_value(value)) for value in values]


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


def _text_prefix(size: int) -> bytes:
    """Return what stands before a text of so many bytes in the list of values."""
    inner = b"\x0a" + _varint(size)
    return b"\x22" + _varint(len(inner) + size) + inner


_TEXT_PREFIXES = [_text_prefix(size) for size in range(256)]
