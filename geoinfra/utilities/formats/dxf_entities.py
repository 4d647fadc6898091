"""DXF entities written as text into spools: points, polylines, texts, arrows, and extension records.

Vertices are taken a batch at a time and named by their position in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import IO, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from geoinfra.utilities.formats.dxf_attributes import pieces

__all__ = ["APPLICATION", "EntityWriter", "Look", "extended_data", "shown"]

APPLICATION: Final = "GEOINFRA"
"""Registered application name of the extended data."""
FIRST_HANDLE: Final = 0x100000
"""Entities are numbered from here; the tables and other objects of the document stay below."""
COORDINATE_DECIMALS: Final = 4
TEXT_STYLE: Final = "GEOINFRA"

_SHORT = 60
_SHOWN_LENGTH = 250
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_CODE = re.compile(r"(%(?=%)|\\(?=[UuMm]\+))")
"""What begins a code in a TEXT: it is parted from what follows."""


class Look(NamedTuple):
    """What an entity carries beside its vertices: layer, extended data, link to a record, line weight."""

    layer: str
    data: str
    link: str = ""
    weight: str = ""


def extended_data(strings: Sequence[str]) -> str:
    """Return the extended data of an entity; the strings are encoded, and are cut where they are too long."""
    return f"1001\n{APPLICATION}\n" + _tagged("1000", strings)


def _tagged(code: str, strings: Sequence[str]) -> str:
    if max(map(len, strings)) > _SHORT:
        strings = [piece for text in strings for piece in ((text,) if len(text) <= _SHORT else pieces(text))]
    return f"{code}\n" + f"\n{code}\n".join(strings) + "\n"


def shown(text: str) -> str:
    """Return a text as a TEXT entity draws it: one line, codes made harmless."""
    line = _UNSHOWN.sub(" ", text[:_SHOWN_LENGTH])
    return _CODE.sub(r"\1 ", line.replace("^", "^ ")) or " "


def _spelled(numbers: NDArray[np.float64]) -> list[str]:
    """Write numbers in their shortest form, to a tenth of a millimetre."""
    if not numbers.size:
        return []
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.round(numbers, COORDINATE_DECIMALS)
    kept = np.where(np.isfinite(rounded), rounded, numbers).ravel() + 0.0
    return orjson.dumps(kept, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")


class EntityWriter:
    """Writes entities and extension records, and gives each its handle.

    Parameters
    ----------
    space
        Handle of the model space.
    entities, objects
        Where the text of entities and of other objects goes.

    Attributes
    ----------
    next_handle
        First handle that is free.
    extent
        West, south, east and north of all vertices taken.
    """

    def __init__(self, space: str, entities: IO[bytes], objects: IO[bytes]) -> None:
        self.next_handle = FIRST_HANDLE
        self.extent: tuple[float, float, float, float] | None = None
        self._owner = f"330\n{space}\n100\nAcDbEntity\n8\n"
        self._spools = entities, objects
        self._out: list[str] = []
        self._records: list[str] = []
        self._xy: NDArray[np.float64] = np.empty((0, 2))
        self._places: list[str] = []
        self.z: list[str] = []

    def take(self, xy: NDArray[np.float64], heights_m: NDArray[np.float64]) -> None:
        """Take the vertices of a batch; unknown heights are spelled 0."""
        self._xy = xy
        spelled = _spelled(xy)
        self._places = [f"10\n{x}\n20\n{y}\n" for x, y in zip(spelled[::2], spelled[1::2], strict=True)]
        self.z = _spelled(np.where(np.isnan(heights_m), 0.0, heights_m))
        if len(xy):
            west, south = xy.min(axis=0).tolist()
            east, north = xy.max(axis=0).tolist()
            w, s, e, n = self.extent or (west, south, east, north)
            self.extent = (min(west, w), min(south, s), max(east, e), max(north, n))

    def flush(self) -> None:
        """Write what was drawn since the last time."""
        for spool, held in zip(self._spools, (self._out, self._records), strict=True):
            spool.write("".join(held).encode())
            held.clear()

    def handle(self) -> int:
        """Return a new handle."""
        handle = self.next_handle
        self.next_handle += 1
        return handle

    def point(self, at: int, look: Look) -> None:
        """Draw a vertex as a POINT."""
        self._out.append(
            f"0\nPOINT\n5\n{self.handle():X}\n{look.link}{self._owner}{look.layer}\n"
            f"100\nAcDbPoint\n{self._places[at]}30\n{self.z[at]}\n{look.data}"
        )

    def flat(self, start: int, end: int, look: Look, *, closed: bool = False, width_m: float = 0.0) -> None:
        """Draw vertices as an LWPOLYLINE; dashes run on over its vertices."""
        width = f"43\n{width_m!r}\n" if width_m else ""
        self._out.append(
            f"0\nLWPOLYLINE\n5\n{self.handle():X}\n{look.link}{self._owner}{look.layer}\n{look.weight}"
            f"100\nAcDbPolyline\n90\n{end - start}\n70\n{129 if closed else 128}\n{width}"
            f"{''.join(self._places[start:end])}{look.data}"
        )

    def spatial(self, start: int, end: int, look: Look, *, closed: bool = False) -> None:
        """Draw vertices as a 3D POLYLINE."""
        number = self.handle()
        first = self.next_handle - start
        self.next_handle += end - start + 1
        head = f"330\n{number:X}\n100\nAcDbEntity\n8\n{look.layer}\n"
        middle = f"{head}100\nAcDbVertex\n100\nAcDb3dPolylineVertex\n"
        places, z = self._places, self.z
        self._out.append(
            f"0\nPOLYLINE\n5\n{number:X}\n{look.link}{self._owner}{look.layer}\n{look.weight}"
            f"100\nAcDb3dPolyline\n66\n1\n10\n0\n20\n0\n30\n0\n70\n{9 if closed else 8}\n{look.data}"
        )
        self._out += [
            f"0\nVERTEX\n5\n{first + i:X}\n{middle}{places[i]}30\n{z[i]}\n70\n32\n" for i in range(start, end)
        ]
        self._out.append(f"0\nSEQEND\n5\n{first + end:X}\n{head}")

    def arrow(self, start: int, tip: int, length_m: float, look: Look) -> None:
        """Draw an arrow head at a vertex, away from another: an LWPOLYLINE that narrows to nothing."""
        a, b = self._xy[start], self._xy[tip]
        way = float(np.hypot(*(b - a))) if np.abs(b - a).max() < 1e9 else 0.0
        if not way:
            return
        size = min(length_m, way)
        x, y = (b - (b - a) / way * size).tolist()
        self._out.append(
            f"0\nLWPOLYLINE\n5\n{self.handle():X}\n{look.link}{self._owner}{look.layer}\n"
            f"100\nAcDbPolyline\n90\n2\n70\n0\n10\n{x:.4f}\n20\n{y:.4f}\n40\n{size / 2:.4f}\n41\n0\n"
            f"{self._places[tip]}{look.data}"
        )

    def text(self, at: int, text: str, height_m: float, look: Look) -> None:
        """Write a text that begins at a vertex."""
        place = self._places[at]
        self._out.append(self._text(place, text, height_m, look, "") + f"100\nAcDbText\n{look.data}")

    def text_beside(self, start: int, end: int, text: str, height_m: float, look: Look) -> None:
        """Write a text along the middle segment of a line, readable from below or the right."""
        middle = start + (end - start - 1) // 2
        a, b = self._xy[middle], self._xy[min(middle + 1, end - 1)]
        x, y = (a / 2 + b / 2).tolist()
        angle = float(np.degrees(np.arctan2(b[1] / 2 - a[1] / 2, b[0] / 2 - a[0] / 2)))
        angle = (angle + 90) % 180 - 90
        place = f"10\n{x:.4f}\n20\n{y:.4f}\n"
        placed = f"50\n{angle:.4f}\n"
        centred = f"72\n1\n11\n{x:.4f}\n21\n{y:.4f}\n31\n0\n100\nAcDbText\n73\n1\n{look.data}"
        self._out.append(self._text(place, text, height_m, look, placed) + centred)

    def _text(self, place: str, text: str, height_m: float, look: Look, placed: str) -> str:
        return (
            f"0\nTEXT\n5\n{self.handle():X}\n{look.link}{self._owner}{look.layer}\n"
            f"100\nAcDbText\n{place}30\n0\n40\n{height_m}\n1\n{shown(text)}\n{placed}7\n{TEXT_STYLE}\n"
        )

    def record(self, handle: int, owner: str, strings: Sequence[str]) -> None:
        """Write an extension record, of any length."""
        self._records.append(
            f"0\nXRECORD\n5\n{handle:X}\n330\n{owner}\n100\nAcDbXrecord\n280\n1\n{_tagged('1', strings)}"
        )

    def extension(self, strings: Sequence[str]) -> str:
        """Write an extension record for the next entity, and return the link that it carries."""
        dictionary, record = self.handle(), self.handle()
        self._records.append(
            f"0\nDICTIONARY\n5\n{dictionary:X}\n330\n{self.next_handle:X}\n100\nAcDbDictionary\n280\n1\n281\n1\n"
            f"3\n{APPLICATION}\n360\n{record:X}\n"
        )
        self.record(record, f"{dictionary:X}", strings)
        return f"102\n{{ACAD_XDICTIONARY\n360\n{dictionary:X}\n102\n}}\n"
