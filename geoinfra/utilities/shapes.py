"""Geometry between its three spellings: GML text with heights, 2D WKB with a height array, and shapely.

A :class:`Shape` is a run of E, N, h numbers (EPSG:25832 metres, DVR90 metres, NaN for an unknown height) and
the lengths that cut it into parts and rings.
"""

from __future__ import annotations

import struct
from array import array
from typing import Final, NamedTuple

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from geoinfra.errors import InvalidGeometry

__all__ = ["SRS_NAME", "UNKNOWN_HEIGHT", "Shape", "gml_geometry", "shape_of", "wkb"]

UNKNOWN_HEIGHT: Final = -99
"""How LER writes a height that nobody knows."""

SRS_NAME: Final = "http://www.opengis.net/def/crs/EPSG/0/7416"
"""ETRS89 / UTM zone 32N with DVR90 heights."""

_SRS_ATTRIBUTES: Final = f' srsName="{SRS_NAME}" srsDimension="3"'

_WKB_CODE = {
    "Point": 1,
    "LineString": 2,
    "Polygon": 3,
    "MultiPoint": 4,
    "MultiLineString": 5,
    "MultiPolygon": 6,
}
_SINGLE = {"MultiPoint": "Point", "MultiLineString": "LineString", "MultiPolygon": "Polygon"}
_HEAD = struct.Struct("<BI")
_HEAD_COUNT = struct.Struct("<BII")
_COUNT = struct.Struct("<I")


class Shape(NamedTuple):
    """A geometry as numbers.

    Attributes
    ----------
    kind
        WKB name: ``Point``, ``LineString``, ``Polygon`` or a ``Multi`` form.
    parts
        For each part the numbers of vertices of its rings (one entry for a point or line).
    vertices
        E, N, h, E, N, h … of all parts in order.
    """

    kind: str
    parts: tuple[tuple[int, ...], ...]
    vertices: array[float]


def shape_of(geometry: shapely.Geometry, heights_m: NDArray[np.float64] | None = None) -> Shape:
    """Make a shape of a shapely geometry (its Z is taken when `heights_m` is not given).

    Raises
    ------
    InvalidGeometry
        The kind is not one that LER exchanges, it is empty, or the number of heights differs.
    """
    kind = type(geometry).__name__
    if kind not in _WKB_CODE or shapely.is_empty(geometry):
        raise InvalidGeometry(f"LER does not exchange an empty geometry or a {kind}.")
    xyz = shapely.get_coordinates(geometry, include_z=True)
    if heights_m is not None:
        if len(heights_m) != len(xyz):
            raise InvalidGeometry(f"{len(heights_m)} heights were given for {len(xyz)} vertices.")
        xyz[:, 2] = heights_m
    singles = shapely.get_parts(geometry) if kind in _SINGLE else [geometry]
    return Shape(kind, tuple(_ring_lengths(single) for single in singles), array("d", xyz.tobytes()))


def _ring_lengths(single: shapely.Geometry) -> tuple[int, ...]:
    if isinstance(single, shapely.Polygon):
        return tuple(len(ring.coords) for ring in (single.exterior, *single.interiors))
    return (int(shapely.get_num_coordinates(single)),)


def wkb(kind: str, parts: tuple[tuple[int, ...], ...], xy: bytes) -> bytes:
    """Return little-endian 2D WKB of vertices given as float64 pairs."""
    single = _SINGLE.get(kind, kind)
    code = _WKB_CODE[single]
    pieces: list[bytes] = []
    if kind != single:
        pieces.append(_HEAD_COUNT.pack(1, _WKB_CODE[kind], len(parts)))
    start = 0
    for rings in parts:
        if code == 1:
            pieces.append(_HEAD.pack(1, 1))
        elif code == 2:
            pieces.append(_HEAD_COUNT.pack(1, 2, rings[0]))
        else:
            pieces.append(_HEAD_COUNT.pack(1, 3, len(rings)))
        for length in rings:
            if code == 3:
                pieces.append(_COUNT.pack(length))
            pieces.append(xy[16 * start : 16 * (start + length)])
            start += length
    return b"".join(pieces)


def _numbers(vertices: NDArray[np.float64]) -> str:
    """Write numbers in their shortest form, separated by blanks."""
    text = orjson.dumps(vertices.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1] + b" "
    return text.replace(b",", b" ").replace(b".0 ", b" ")[:-1].decode("ascii")


def gml_geometry(kind: str, parts: tuple[tuple[int, ...], ...], vertices: NDArray[np.float64]) -> str:
    """Return the GML element of a shape; `vertices` is a C-contiguous (n, 3) array without NaN."""
    if kind == "Point":
        return _single(kind, [_numbers(vertices)], _SRS_ATTRIBUTES)
    single = _SINGLE.get(kind, kind)
    attributes = _SRS_ATTRIBUTES
    inner_attributes = attributes if single == kind else ""
    singles: list[str] = []
    start = 0
    for rings in parts:
        texts = []
        for length in rings:
            texts.append(_numbers(vertices[start : start + length]))
            start += length
        singles.append(_single(single, texts, inner_attributes))
    if single == kind:
        return singles[0]
    name, member = _COLLECTION[kind]
    wrapped = "".join(f"<gml:{member}>{text}</gml:{member}>" for text in singles)
    return f"<gml:{name}{attributes}>{wrapped}</gml:{name}>"


_COLLECTION = {
    "MultiPoint": ("MultiPoint", "pointMember"),
    "MultiLineString": ("MultiCurve", "curveMember"),
    "MultiPolygon": ("MultiSurface", "surfaceMember"),
}


def _single(kind: str, texts: list[str], attributes: str) -> str:
    if kind == "Point":
        return f"<gml:Point{attributes}><gml:pos>{texts[0]}</gml:pos></gml:Point>"
    if kind == "LineString":
        return f"<gml:LineString{attributes}><gml:posList>{texts[0]}</gml:posList></gml:LineString>"
    rings = [f"<gml:LinearRing><gml:posList>{text}</gml:posList></gml:LinearRing>" for text in texts]
    interiors = "".join(f"<gml:interior>{ring}</gml:interior>" for ring in rings[1:])
    return f"<gml:Polygon{attributes}><gml:exterior>{rings[0]}</gml:exterior>{interiors}</gml:Polygon>"
