"""Reading GML 3.2 geometries into shapes: the kinds that LER's profile admits, linear interpolation only."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Sequence

import orjson
from lxml import etree

from geoinfra.crs import DENMARK_UTM32
from geoinfra.utilities.model import is_gml_id
from geoinfra.utilities.shapes import SRS_NAME, Shape

__all__ = ["GML", "GML_ID", "GeometryFault", "GeometryReader"]

GML = "{http://www.opengis.net/gml/3.2}"
GML_ID = GML + "id"


class GeometryFault(Exception):
    """Why a geometry cannot be taken; becomes a finding."""

    def __init__(
        self, code: str, message: str, message_da: str, found: str, expected: str, line: int | None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.message_da = message_da
        self.found = found
        self.expected = expected
        self.line = line


Note = Callable[[str, str, str, str, etree._Element], None]


class GeometryReader:
    """Reads geometry elements.

    Parameters
    ----------
    note
        Called with code, English text, Danish text, what stood there and the element for what is tolerated.
    register
        Called with each ``gml:id`` and its element.
    strict
        Note every other way of writing the reference system than the one that LER names.
    """

    def __init__(
        self, note: Note, register: Callable[[str, etree._Element], None], *, strict: bool = False
    ) -> None:
        self._note = note
        self._register = register
        self._strict = strict
        self._dimension: int | None = None
        self._flat = False

    def read(self, element: etree._Element) -> Shape:
        """Return the shape of a geometry element.

        Raises
        ------
        GeometryFault
            The kind is not taken, or the numbers are no valid geometry inside Denmark.
        """
        self._dimension, self._flat = None, False
        self._srs(element)
        if self._strict and not element.get("srsName"):
            self._note_srs("", element)
        kind = _local(element)
        single = _MEMBERS.get(kind)
        vertices = array("d")
        if single is None:
            parts = self._single(kind, element, vertices)
        else:
            parts = self._collection(single, element, vertices)
        if not parts:
            raise _fault("LER-GEOMETRY-EMPTY", "The geometry is empty.", "Geometrien er tom.", element)
        _check_position(vertices, element)
        if self._flat:
            self._note(
                "LER-GEOMETRY-2D",
                "The geometry has no heights; -99 (unknown) was put in.",
                "Geometrien mangler koter; -99 (ukendt) er indsat.",
                "",
                element,
            )
        return Shape(_kind(kind, parts), tuple(parts), vertices)

    def plain(self, holder: etree._Element, wanted: str) -> Shape | None:
        """Return the geometry in a property where it is a point or line written as nearly all are.

        `wanted` is the kind that the property takes. ``None`` says nothing against the geometry: it goes the
        long way by :meth:`read`.
        """
        if len(holder) != 1 or holder.items():
            return None
        element = holder[0]
        kind = _PLAIN_KINDS.get(element.tag)
        if kind is None or len(element) != 1 or wanted not in kind[4]:
            return None
        items = element.items()
        own_id = None
        if items and items[0][0] == GML_ID:
            own_id, items = str(items[0][1]), items[1:]
        if items not in _PLAIN_ATTRIBUTES or (own_id is not None and not is_gml_id(own_id)):
            return None
        child = element[0]
        text = child.text
        if child.tag != kind[1] or child.items() not in _PLAIN_DIMENSION or len(child) or not text:
            return None
        blanks = (holder.text or "") + (element.text or "") + (child.tail or "") + (element.tail or "")
        if blanks.strip(" \t\r\n") or not _PLAIN_NUMBERS.fullmatch(text):
            return None
        try:  # a JSON list of numbers is read several times as fast as each by itself
            numbers = orjson.loads(f"[{text.replace(' ', ',')}]")
        except ValueError:
            return None
        count, rest = divmod(len(numbers), 3)
        if rest or not kind[2] <= count <= kind[3] or not _in_denmark(numbers):
            return None
        if own_id is not None:
            self._register(own_id, element)
        return Shape(kind[0], ((count,),), array("d", numbers))

    def _srs(self, element: etree._Element) -> None:
        """Look at identifier, reference system and dimension of a geometry element."""
        if not element.keys():
            return
        own_id = element.get(GML_ID)
        if own_id is not None:
            self._register(own_id, element)
        dimension = element.get("srsDimension")
        if dimension is not None:
            dimension = dimension.strip(" \t\r\n")
            if dimension not in ("2", "3"):
                raise _fault(
                    "LER-SRS-DIMENSION",
                    "srsDimension is wrong.",
                    "srsDimension er forkert.",
                    element,
                    dimension,
                    "3",
                )
            self._dimension = int(dimension)
        srs = element.get("srsName")
        if srs is None or srs == SRS_NAME:
            return
        if srs.endswith(("/7416", ":7416")):
            if self._strict:
                self._note_srs(srs, element)
            return
        if not srs.endswith(("/25832", ":25832")):
            raise _fault(
                "LER-SRS-NAME",
                "The reference system is not ETRS89/UTM zone 32N with DVR90 (EPSG:7416).",
                "Referencesystemet er ikke ETRS89/UTM zone 32N med DVR90 (EPSG:7416).",
                element,
                srs,
                SRS_NAME,
            )
        if self._dimension is None and element.find(".//*[@srsDimension]") is None:
            self._dimension = 2
        self._note_srs(srs, element)

    def _note_srs(self, srs: str, element: etree._Element) -> None:
        self._note(
            "LER-SRS-NAME",
            f"The reference system should be written as {SRS_NAME}; it was read as that.",
            f"Referencesystemet skal skrives som {SRS_NAME}; det er læst sådan.",
            srs,
            element,
        )

    def _collection(
        self, single: tuple[str, ...], element: etree._Element, vertices: array[float]
    ) -> list[tuple[int, ...]]:
        parts: list[tuple[int, ...]] = []
        for member in element:
            if _local(member) not in _MEMBER_NAMES:
                raise _unsupported(member)
            for child in member:
                kind = _local(child)
                if kind not in single:
                    raise _unsupported(child)
                self._srs(child)
                parts += self._single(kind, child, vertices)
        return parts

    def _single(self, kind: str, element: etree._Element, vertices: array[float]) -> list[tuple[int, ...]]:
        """Read a point, line or surface; several patches of a surface are several parts."""
        if kind == "Point":
            count = self._positions(element, vertices)
            if count != 1:
                raise _points(element, count, "1")
            return [(1,)]
        if kind == "LineString":
            return [(self._line(element, vertices),)]
        if kind == "Curve":
            return [(self._curve(element, vertices),)]
        if kind == "Polygon":
            return [self._polygon(element, vertices)]
        if kind == "Surface":
            patches = [patch for holder in element for patch in holder]
            wrong = [patch for patch in patches if _local(patch) != "PolygonPatch"]
            if wrong:
                raise _unsupported(wrong[0])
            return [self._polygon(patch, vertices) for patch in patches]
        raise _unsupported(element)

    def _line(self, element: etree._Element, vertices: array[float]) -> int:
        count = self._positions(element, vertices)
        if count < 2:
            raise _points(element, count, "2 or more")
        return count

    def _curve(self, element: etree._Element, vertices: array[float]) -> int:
        """Join the segments of a curve; the vertex that two segments share is kept once."""
        total = 0
        for holder in element:
            for segment in holder:
                if (
                    _local(segment) != "LineStringSegment"
                    or segment.get("interpolation", "linear") != "linear"
                ):
                    raise _unsupported(segment)
                piece = array("d")
                count = self._line(segment, piece)
                if total and vertices[-3:-1] == piece[:2]:
                    piece, count = piece[3:], count - 1
                vertices.extend(piece)
                total += count
        if total < 2:
            raise _points(element, total, "2 or more")
        return total

    def _polygon(self, element: etree._Element, vertices: array[float]) -> tuple[int, ...]:
        lengths: list[int] = []
        for boundary in element:
            side = _local(boundary)
            ring = boundary[0] if len(boundary) == 1 else None
            if (
                ring is None
                or _local(ring) != "LinearRing"
                or side != ("interior" if lengths else "exterior")
            ):
                raise _unsupported(boundary)
            start = len(vertices)
            count = self._positions(ring, vertices)
            if count < 4 or vertices[start : start + 2] != vertices[-3:-1]:
                raise _points(ring, count, "4 or more, the last equal to the first")
            lengths.append(count)
        if not lengths:
            raise _fault("LER-GEOMETRY-EMPTY", "The geometry is empty.", "Geometrien er tom.", element)
        return tuple(lengths)

    def _positions(self, element: etree._Element, vertices: array[float]) -> int:
        """Append the positions of ``pos`` and ``posList`` children, and return their number."""
        count = 0
        for child in element:
            if child.tag != GML + "posList" and child.tag != GML + "pos":
                raise _unsupported(child)
            text = child.text or ""
            try:
                numbers = array("d", map(float, text.split()))
            except ValueError:
                numbers = array("d")
            if not numbers or "_" in text or not text.isascii():
                raise _fault(
                    "LER-COORDINATES",
                    "The coordinates are not numbers.",
                    "Koordinaterne er ikke tal.",
                    child,
                    text[:200],
                )
            if not math.isfinite(sum(numbers)):
                raise _fault(
                    "LER-COORDINATES",
                    "A coordinate is not a finite number.",
                    "En koordinat er ikke et endeligt tal.",
                    child,
                    text[:200],
                )
            count += self._append(numbers, child, vertices)
        return count

    def _append(self, numbers: array[float], element: etree._Element, vertices: array[float]) -> int:
        written = element.get("srsDimension")
        dimension = int(written) if written in ("2", "3") else self._dimension
        if dimension is None:
            dimension = 2 if len(numbers) % 3 and len(numbers) % 2 == 0 else 3
        count, rest = divmod(len(numbers), dimension)
        if rest or written not in (None, "2", "3"):
            raise _fault(
                "LER-SRS-DIMENSION",
                f"{len(numbers)} numbers are no whole number of positions.",
                f"{len(numbers)} tal er ikke et helt antal positioner.",
                element,
                written or "",
                "3",
            )
        if dimension == 3:
            vertices.extend(numbers)
            return count
        self._flat = True
        padded = array("d", [math.nan]) * (3 * count)
        padded[0::3], padded[1::3] = numbers[0::2], numbers[1::2]
        vertices.extend(padded)
        return count


_MEMBERS = {
    "MultiPoint": ("Point",),
    "MultiCurve": ("LineString", "Curve"),
    "MultiSurface": ("Polygon", "Surface"),
}
_MEMBER_NAMES = frozenset(
    ("pointMember", "pointMembers", "curveMember", "curveMembers", "surfaceMember", "surfaceMembers")
)
_KINDS = {
    "Point": "Point",
    "LineString": "LineString",
    "Curve": "LineString",
    "Polygon": "Polygon",
    "MultiPoint": "MultiPoint",
    "MultiCurve": "MultiLineString",
    "MultiSurface": "MultiPolygon",
}


def _kind(kind: str, parts: list[tuple[int, ...]]) -> str:
    """Return the WKB name; a surface of several patches is a multi-polygon."""
    if kind == "Surface":
        return "Polygon" if len(parts) == 1 else "MultiPolygon"
    return _KINDS[kind]


def _local(element: etree._Element) -> str:
    """Return the name of a GML element, empty for any other."""
    tag = element.tag
    return tag[len(GML) :] if isinstance(tag, str) and tag.startswith(GML) else ""


_WEST, _SOUTH, _EAST, _NORTH = DENMARK_UTM32
_PLAIN_NUMBERS = re.compile("[-0-9. ]+")
_PLAIN_KINDS = {
    GML + "Point": ("Point", GML + "pos", 1, 1, ("Point", "Geometry")),
    GML + "LineString": ("LineString", GML + "posList", 2, math.inf, ("Curve", "Geometry")),
}
_PLAIN_ATTRIBUTES = (
    [("srsName", SRS_NAME), ("srsDimension", "3")],
    [("srsDimension", "3"), ("srsName", SRS_NAME)],
    [("srsName", SRS_NAME)],
)
_PLAIN_DIMENSION: tuple[list[tuple[str, str]], ...] = ([], [("srsDimension", "3")])


def _in_denmark(vertices: Sequence[float]) -> bool:
    """Whether every number is finite and every place in Denmark."""
    east, north = vertices[0::3], vertices[1::3]
    return (
        min(east) >= _WEST
        and max(east) <= _EAST
        and min(north) >= _SOUTH
        and max(north) <= _NORTH
        and math.isfinite(sum(vertices))
    )


def _check_position(vertices: array[float], element: etree._Element) -> None:
    """Refuse places outside Denmark."""
    if _in_denmark(vertices):
        return
    east, north = vertices[0::3], vertices[1::3]
    min_e, max_e, min_n, max_n = min(east), max(east), min(north), max(north)
    if min_e >= _WEST and max_e <= _EAST and min_n >= _SOUTH and max_n <= _NORTH:
        return
    found = f"{min_e:.0f} {min_n:.0f} .. {max_e:.0f} {max_n:.0f}"
    if min_e >= _SOUTH and max_e <= _NORTH and min_n >= _WEST and max_n <= _EAST:
        raise _fault(
            "LER-AXIS-ORDER",
            "The axes are swapped: northing stands before easting.",
            "Akserne er byttet om: nordlig koordinat står før østlig.",
            element,
            found,
            "easting northing height",
        )
    raise _fault(
        "LER-OUTSIDE-DENMARK",
        "The geometry lies outside Denmark.",
        "Geometrien ligger uden for Danmark.",
        element,
        found,
    )


def _fault(
    code: str, message: str, message_da: str, element: etree._Element, found: str = "", expected: str = ""
) -> GeometryFault:
    line = element.sourceline
    return GeometryFault(code, message, message_da, found, expected, line if isinstance(line, int) else None)


def _points(element: etree._Element, count: int, expected: str) -> GeometryFault:
    return _fault(
        "LER-GEOMETRY-POINTS",
        "The number of points does not make the geometry.",
        "Antallet af punkter giver ikke geometrien.",
        element,
        str(count),
        expected,
    )


def _unsupported(element: etree._Element) -> GeometryFault:
    name = str(element.tag).rpartition("}")[2][:80]
    return _fault(
        "LER-GEOMETRY-KIND",
        f"LER does not take '{name}' here.",
        f"LER tager ikke '{name}' her.",
        element,
        name,
        "Point, MultiPoint, LineString, Curve, MultiCurve, Polygon, Surface or MultiSurface, linear",
    )
