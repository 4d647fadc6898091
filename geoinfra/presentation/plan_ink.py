"""Ink on the pages of a plan: reportlab in millimetres, with a font that is embedded.

The same drawing gives the same bytes: there is no clock and no random number in the file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from importlib.resources import files
from typing import Any, BinaryIO, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from geoinfra.errors import MissingResource
from geoinfra.presentation.plan_sheets import Frame

__all__ = ["POINTS_PER_MM", "REPLACEMENT", "Ink", "Path", "Surface", "printable", "width_mm", "wrapped"]

POINTS_PER_MM: Final = 72.0 / 25.4
"""A point of PDF is a 72nd of an inch."""

REPLACEMENT: Final = "◊"
"""Stands for a character that the font cannot draw, so that one sees that something is missing."""

type Path = NDArray[np.float64]
"""Vertices of a line in millimetres on the page, shape (n, 2)."""

_FONTS: Final = {False: ("SourceSansPro", "Regular"), True: ("SourceSansPro-Bold", "Semibold")}
_MOST_CHARACTERS: Final = 400
_SPACES = re.compile(r"\s+")


@lru_cache(maxsize=1)
def _library() -> tuple[Any, Any]:
    """Return reportlab's canvas and metrics, with the fonts registered."""
    try:
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.ttfonts import TTFont
        from reportlab.pdfgen.canvas import Canvas

        folder = files("font_source_sans_pro") / "files"
    except ImportError as error:
        raise MissingResource(
            "A plan needs reportlab and the font Source Sans Pro.",
            hint="Install the extra: pip install 'geoinfra[exchange]'.",
        ) from error
    for name, cut in _FONTS.values():
        pdfmetrics.registerFont(TTFont(name, str(folder / f"SourceSansPro-{cut}.ttf")))
    return Canvas, pdfmetrics


@lru_cache(maxsize=1)
def _drawable() -> frozenset[int]:
    _, metrics = _library()
    return frozenset(metrics.getFont(_FONTS[False][0]).face.charToGlyph)


def printable(text: str) -> str:
    """Return one line of text that the font can draw; what it cannot is replaced visibly."""
    drawable = _drawable()
    short = unicodedata.normalize("NFC", text[:_MOST_CHARACTERS])
    kept = [
        one if ord(one) in drawable and one.isprintable() else REPLACEMENT
        for one in _SPACES.sub(" ", short).strip()
        if unicodedata.category(one) not in ("Mn", "Me", "Cf") or ord(one) in drawable
    ]
    return "".join(kept) + ("…" if len(text) > _MOST_CHARACTERS else "")


def width_mm(text: str, size_mm: float, *, bold: bool = False) -> float:
    """Return the width of a printable text."""
    _, metrics = _library()
    return float(metrics.stringWidth(text, _FONTS[bold][0], size_mm))


def wrapped(text: str, most_mm: float, size_mm: float, *, bold: bool = False, lines: int = 3) -> list[str]:
    """Return a text in lines that fit; what does not fit into the last line is cut with a mark."""
    found = [""]
    for word in printable(text).split(" "):
        longer = f"{found[-1]} {word}".strip()
        if width_mm(longer, size_mm, bold=bold) <= most_mm:
            found[-1] = longer
            continue
        if found[-1]:
            found.append(word)
        else:
            found[-1] = word
        while len(found) <= lines and width_mm(found[-1], size_mm, bold=bold) > most_mm:
            head = _fitting(found[-1], most_mm, size_mm, bold)
            found[-1:] = [found[-1][:head], found[-1][head:]]
        if len(found) > lines:
            break
    if len(found) > lines or width_mm(found[-1], size_mm, bold=bold) > most_mm:
        last = found[lines - 1] if len(found) > lines else found[-1]
        head = _fitting(last, most_mm - width_mm("…", size_mm, bold=bold), size_mm, bold)
        found[min(len(found), lines) - 1 :] = [f"{last[:head]}…"]
    return found


def _fitting(text: str, most_mm: float, size_mm: float, bold: bool) -> int:
    """Return how many characters fit, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if width_mm(text[:middle], size_mm, bold=bold) <= most_mm:
            low = middle
        else:
            high = middle - 1
    return low


class Surface(Protocol):
    """What a drawing needs of its ink: a page of paper and an image have it both; see :class:`Ink`."""

    def stroke(
        self,
        paths: Sequence[Path],
        colour: str,
        width_mm: float,
        *,
        dash_mm: Sequence[float] = (),
        opacity: float = 1.0,
        cap: str = "butt",
        closed: bool = False,
        together: bool = False,
    ) -> None:
        """Draw lines of one kind."""

    def fill(
        self, paths: Sequence[Path], colour: str, *, opacity: float = 1.0, even_odd: bool = True
    ) -> None:
        """Fill rings as one figure."""

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size_mm: float,
        *,
        bold: bool = False,
        colour: str = "#1a1a1a",
        opacity: float = 1.0,
        anchor: str = "left",
        turn_deg: float = 0.0,
    ) -> None:
        """Write one line."""

    def stamp(self, key: Any, draw: Any, spots: Sequence[tuple[float, float]]) -> None:
        """Draw the same thing at many places."""

    def clipped(self, frame: Frame) -> AbstractContextManager[None]:
        """Draw inside a frame only."""


class Ink:
    """Draws pages.

    Parameters
    ----------
    target
        Takes the PDF; is not closed.
    title, subject
        For the document's properties.
    """

    def __init__(self, target: BinaryIO, title: str, subject: str) -> None:
        canvas, _ = _library()
        self._canvas = canvas(target, invariant=1, pageCompression=1, initialFontName=_FONTS[False][0])
        self._canvas.setTitle(printable(title))
        self._canvas.setSubject(printable(subject))
        self._canvas.setAuthor("geoinfra")
        self._canvas.setCreator("geoinfra")
        self._canvas.setViewerPreference("PrintScaling", "None")
        self._state: dict[str, Any] = {}
        self._stamps: dict[Any, str] = {}
        self._paths: dict[tuple[int, bool], tuple[Any, Path]] = {}

    def begin(self, width_mm: float, height_mm: float, bookmark: str) -> None:
        """Begin a page; `bookmark` is its name in the outline."""
        self._canvas.setPageSize((width_mm * POINTS_PER_MM, height_mm * POINTS_PER_MM))
        key = f"p{self._canvas.getPageNumber()}"
        self._canvas.bookmarkPage(key)
        self._canvas.addOutlineEntry(printable(bookmark), key, 0)
        self._canvas.scale(POINTS_PER_MM, POINTS_PER_MM)
        self._state.clear()

    def end(self) -> None:
        """End the page."""
        self._canvas.showPage()
        self._paths.clear()

    def save(self) -> None:
        """Write the document."""
        self._canvas.save()

    # -- state

    @contextmanager
    def clipped(self, frame: Frame) -> Iterator[None]:
        """Draw inside a frame only."""
        self._canvas.saveState()
        kept = dict(self._state)
        path = self._canvas.beginPath()
        path.rect(frame.left, frame.bottom, frame.width, frame.height)
        self._canvas.clipPath(path, stroke=0, fill=0)
        try:
            yield
        finally:
            self._canvas.restoreState()
            self._state = kept

    def _set(self, name: str, value: Any) -> bool:
        """Note a value of the graphics state; whether it is another than before."""
        if self._state.get(name) == value:
            return False
        self._state[name] = value
        return True

    def _pen(self, colour: str, width_mm: float, dash_mm: Sequence[float], opacity: float, cap: str) -> None:
        canvas = self._canvas
        if self._set("stroke", colour):
            canvas.setStrokeColorRGB(*_rgb(colour))
        if self._set("stroke opacity", opacity):
            canvas.setStrokeAlpha(opacity)
        if self._set("width", width_mm):
            canvas.setLineWidth(width_mm)
        if self._set("dash", tuple(dash_mm)):
            canvas.setDash(list(dash_mm))
        if self._set("cap", cap):
            canvas.setLineCap(1 if cap == "round" else 0)
        if self._set("join", "round"):
            canvas.setLineJoin(1)

    def _brush(self, colour: str, opacity: float) -> None:
        if self._set("fill", colour):
            self._canvas.setFillColorRGB(*_rgb(colour))
        if self._set("fill opacity", opacity):
            self._canvas.setFillAlpha(opacity)

    # -- shapes

    def stroke(
        self,
        paths: Sequence[Path],
        colour: str,
        width_mm: float,
        *,
        dash_mm: Sequence[float] = (),
        opacity: float = 1.0,
        cap: str = "butt",
        closed: bool = False,
        together: bool = False,
    ) -> None:
        """Draw lines of one kind; `together` as one figure, which is nowhere darker where they cross."""
        if not paths:
            return
        self._pen(colour, width_mm, dash_mm, opacity, cap)
        draw = self._canvas.drawPath
        if together:
            draw(self._joined(paths, closed), stroke=1, fill=0)
            return
        for vertices in paths:
            draw(self._path(vertices, closed), stroke=1, fill=0)

    def fill(
        self, paths: Sequence[Path], colour: str, *, opacity: float = 1.0, even_odd: bool = True
    ) -> None:
        """Fill rings as one figure: a ring in a ring is a hole, unless `even_odd` is false."""
        if paths:
            self._brush(colour, opacity)
            figure = self._joined(paths, closed=True)
            self._canvas.drawPath(figure, stroke=0, fill=1, fillMode=0 if even_odd else 1)

    def _path(self, vertices: Path, closed: bool) -> Any:
        """Return reportlab's path of a line; a line that is drawn again on a page is not made again."""
        key = id(vertices), closed
        known = self._paths.get(key)
        if known is None:
            known = self._paths[key] = (self._joined([vertices], closed), vertices)
        return known[0]

    def _joined(self, paths: Sequence[Path], closed: bool) -> Any:
        path = self._canvas.beginPath()
        move, line, close = path.moveTo, path.lineTo, path.close
        for vertices in paths:
            spots = vertices.tolist()
            move(*spots[0])
            for x, y in spots[1:]:
                line(x, y)
            if closed:
                close()
        return path

    def box(
        self,
        frame: Frame,
        *,
        fill: str | None = None,
        stroke: str | None = None,
        width_mm: float = 0.18,
        opacity: float = 1.0,
    ) -> None:
        """Draw a rectangle."""
        if fill:
            self._brush(fill, opacity)
        if stroke:
            self._pen(stroke, width_mm, (), opacity, "butt")
        self._canvas.rect(
            frame.left,
            frame.bottom,
            frame.width,
            frame.height,
            stroke=int(bool(stroke)),
            fill=int(bool(fill)),
        )

    # -- text

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size_mm: float,
        *,
        bold: bool = False,
        colour: str = "#1a1a1a",
        opacity: float = 1.0,
        anchor: str = "left",
        turn_deg: float = 0.0,
    ) -> None:
        """Write one line of printable text; `y` is its base line, `anchor` left, middle or right."""
        canvas = self._canvas
        self._brush(colour, opacity)
        name = _FONTS[bold][0]
        shift = {"left": 0.0, "middle": 0.5, "right": 1.0}[anchor] * width_mm(text, size_mm, bold=bold)
        line = canvas.beginText()
        line.setFont(name, size_mm)
        cosine, sine = float(np.cos(np.radians(turn_deg))), float(np.sin(np.radians(turn_deg)))
        line.setTextTransform(cosine, sine, -sine, cosine, x - shift * cosine, y - shift * sine)
        line.textOut(text)
        canvas.drawText(line)

    # -- stamps

    def stamp(self, key: Any, draw: Any, spots: Sequence[tuple[float, float]]) -> None:
        """Draw the same thing at many places; `draw` draws it once, around (0, 0)."""
        name = self._stamps.get(key)
        if name is None:
            name = self._stamps[key] = f"s{len(self._stamps)}"
            kept, self._state = self._state, {}
            self._canvas.beginForm(name, -20, -20, 20, 20)
            draw(self)
            self._canvas.endForm()
            self._state = kept
        self._brush("#000000", 1.0)
        self._pen("#000000", 0.2, (), 1.0, "butt")
        for x, y in spots:
            self._canvas.saveState()
            self._canvas.translate(x, y)
            self._canvas.doForm(name)
            self._canvas.restoreState()


@lru_cache(maxsize=1000)
def _rgb(colour: str) -> tuple[float, float, float]:
    """Return the parts of ``#rrggbb``, with the decimals that give the same byte back."""
    red, green, blue = (round(int(colour[at : at + 2], 16) / 255, 4) for at in (1, 3, 5))
    return red, green, blue
