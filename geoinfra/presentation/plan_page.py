"""What stands around the map of a sheet: title, north arrow, scale bar, grid, lists in columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Final

import numpy as np

from geoinfra.presentation.plan_ink import Ink, printable, width_mm, wrapped
from geoinfra.presentation.plan_map import View
from geoinfra.presentation.plan_sheets import Frame, grid_step_m, scale_bar_m
from geoinfra.presentation.plan_words import Language, Words, thousands

__all__ = [
    "FURNITURE_MM",
    "Reference",
    "Row",
    "cross_places",
    "draw_banner",
    "draw_furniture",
    "draw_grid",
    "draw_reference",
    "draw_title",
    "draw_watermark",
    "flow",
    "heading",
    "paired",
    "text_row",
    "title_height_mm",
]

type Draw = Callable[[Ink, float, float, float], None]
type Sample = Callable[[Ink, Frame], None]

_BLACK, _GREY, _FAINT = "#1a1a1a", "#5c5c5c", "#b9b9b9"
_RED: Final = "#c00414"
_TEXT_MM: Final = 2.1
_SMALL_MM: Final = 1.8
_LEADING: Final = 1.22
_LEGEND_MM: Final = 1.9
_SAMPLE_MM: Final = 13.0
_SAMPLE_HALF_MM: Final = 9.0
_CROSS_MM: Final = 2.0
FURNITURE_MM: Final = 17.0
"""Height of north arrow and scale bar."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a list.

    Attributes
    ----------
    draw
        Draws it, given the ink, its left edge, its upper edge and its width.
    with_next
        A heading, which is not left alone at the foot of a column.
    items
        How many things of a list it shows.
    """

    height_mm: float
    draw: Draw
    with_next: bool = False
    items: int = 0


def flow(ink: Ink, columns: Sequence[Frame], rows: Sequence[Row]) -> list[Row]:
    """Draw rows from column to column, and return those for which there was no room."""
    left = list(rows)
    for column in columns:
        top = column.top
        while left:
            needed = left[0].height_mm
            if left[0].with_next and len(left) > 1:
                needed += left[1].height_mm
            if top - needed < column.bottom - 1e-6:
                break
            row = left.pop(0)
            row.draw(ink, column.left, top, column.width)
            top -= row.height_mm
    return left


def heading(text: str) -> Row:
    """Return the heading of a list."""

    def draw(ink: Ink, x: float, top: float, width: float) -> None:
        ink.text(x, top - 3.9, text, 2.5, bold=True)
        ink.stroke([np.array([[x, top - 4.6], [x + width, top - 4.6]])], _BLACK, 0.2)

    return Row(5.4, draw, with_next=True)


def text_row(
    text: str,
    width: float,
    *,
    bold: bool = False,
    colour: str = _BLACK,
    size_mm: float = _TEXT_MM,
    lines: int = 3,
    items: int = 0,
) -> Row:
    """Return a row of a text in as many lines as it needs."""
    parts = wrapped(text, width, size_mm, bold=bold, lines=lines)
    step = size_mm * _LEADING

    def draw(ink: Ink, x: float, top: float, _width: float) -> None:
        for number, part in enumerate(parts, 1):
            ink.text(x, top - number * step + 0.3, part, size_mm, bold=bold, colour=colour)

    return Row(len(parts) * step + 0.5, draw, items=items)


def paired(pieces: Sequence[tuple[str, Sample]], width: float) -> list[Row]:
    """Return rows of a sample and its text, two on a row where the texts are short."""
    half = (width - 1.5) / 2
    room = half - _SAMPLE_HALF_MM - 1.2
    rows: list[Row] = []
    waiting: tuple[str, Sample] | None = None
    for title, sample in pieces:
        if width_mm(printable(title), _LEGEND_MM) > room:
            rows.append(_sampled([(title, sample)], width, _SAMPLE_MM))
        elif waiting is None:
            waiting = title, sample
            continue
        else:
            rows.append(_sampled([waiting, (title, sample)], half, _SAMPLE_HALF_MM))
            waiting = None
    return rows if waiting is None else [*rows, _sampled([waiting], half, _SAMPLE_HALF_MM)]


def _sampled(pieces: Sequence[tuple[str, Sample]], width: float, sample_mm: float) -> Row:
    texts = [wrapped(title, width - sample_mm - 1.2, _LEGEND_MM, lines=2) for title, _ in pieces]
    step = _LEGEND_MM * 1.15
    height = max(4.1, max(map(len, texts)) * step + 0.5)

    def draw(ink: Ink, x: float, top: float, _width: float) -> None:
        for number, ((_, sample), lines) in enumerate(zip(pieces, texts, strict=True)):
            left = x + number * (width + 1.5)
            sample(ink, Frame(left, top - height / 2 - 1.9, sample_mm, 3.8))
            first = top - height / 2 + (len(lines) * step) / 2
            for place, line in enumerate(lines, 1):
                ink.text(left + sample_mm + 1.2, first - place * step + 0.45, line, _LEGEND_MM)

    return Row(height, draw, items=len(pieces))


# ------------------------------------------------------------------ the title


def _title_lines(lines: Sequence[str], width: float) -> list[str]:
    return [part for line in lines for part in wrapped(line, width, _SMALL_MM, lines=2)]


def title_height_mm(lines: Sequence[str], width: float) -> float:
    """Return the height of the title of a sheet."""
    return 9.6 + len(_title_lines(lines, width - 3.0)) * _SMALL_MM * _LEADING


def draw_title(ink: Ink, frame: Frame, head: str, sheet: str, lines: Sequence[str]) -> None:
    """Draw the title: what the plan is, which sheet, and its facts line by line."""
    ink.box(frame, stroke=_BLACK, width_mm=0.3)
    top = frame.top
    sheet_width = width_mm(sheet, 2.9, bold=True)
    room = frame.width - 5.0 - sheet_width
    ink.text(frame.left + 1.5, top - 4.4, wrapped(head, room, 3.2, bold=True, lines=1)[0], 3.2, bold=True)
    ink.text(frame.right - 1.5, top - 4.4, sheet, 2.9, bold=True, anchor="right")
    ink.stroke([np.array([[frame.left, top - 6.2], [frame.right, top - 6.2]])], _BLACK, 0.2)
    step = _SMALL_MM * _LEADING
    for number, line in enumerate(_title_lines(lines, frame.width - 3.0), 1):
        ink.text(frame.left + 1.5, top - 6.6 - number * step, line, _SMALL_MM)


# ------------------------------------------------------------------ north and scale


def draw_furniture(ink: Ink, frame: Frame, scale: float, words: Words, language: Language) -> None:
    """Draw the north arrow and the scale bar; the bar is as long as it says."""
    x, low = frame.right - 4.5, frame.bottom + 1.0
    ink.fill([np.array([[x, low + 12.0], [x - 2.6, low], [x, low + 2.6]])], _BLACK)
    arrow = np.array([[x, low + 12.0], [x - 2.6, low], [x, low + 2.6], [x + 2.6, low]])
    ink.stroke([arrow], _BLACK, 0.2, closed=True)
    ink.text(x, low + 12.8, words.north, 3.2, bold=True, anchor="middle")
    length_m = scale_bar_m(scale)
    length_mm = round(length_m * 1000.0 / scale, 4)
    left, bottom = frame.left + 1.5, frame.bottom + 5.0
    for number in range(4):
        part = Frame(left + number * length_mm / 4, bottom, length_mm / 4, 1.3)
        ink.box(part, fill=_BLACK if number % 2 == 0 else "#ffffff")
    ink.box(Frame(left, bottom, length_mm, 1.3), stroke=_BLACK, width_mm=0.15)
    for share in (0.0, 0.5, 1.0):
        text = _length(length_m * share, language) + (" m" if share == 1.0 else "")
        ink.text(left + share * length_mm, bottom + 2.0, text, _SMALL_MM, anchor="middle")
    ink.text(left, bottom - 2.6, words.check_bar.format(mm=_length(length_mm, language)), _SMALL_MM)
    ink.text(left, bottom + 5.4, f"1:{thousands(scale, language)}", 3.4, bold=True)


def _length(length: float, language: Language) -> str:
    text = f"{length:.2f}".rstrip("0").rstrip(".")
    return text.replace(".", ",") if language == "da" else text


# ------------------------------------------------------------------ the grid


def draw_grid(ink: Ink, view: View) -> None:
    """Draw the frame of the map, its coordinate crosses, and their values around it."""
    frame, step = view.frame, grid_step_m(view.scale)
    min_e, min_n, max_e, max_n = view.bounds
    easting = np.arange(ceil(min_e / step), floor(max_e / step) + 1) * step
    northing = np.arange(ceil(min_n / step), floor(max_n / step) + 1) * step
    with ink.clipped(frame):
        ink.stroke(list(_crosses(view)), _BLACK, 0.13)
    ink.box(frame, stroke=_BLACK, width_mm=0.3)
    ticks = []
    for e in easting.tolist():
        x = float(view.on_page(np.array([e, min_n]))[0])
        ticks += [
            np.array([[x, frame.top], [x, frame.top + 1.0]]),
            np.array([[x, frame.bottom], [x, frame.bottom - 1.0]]),
        ]
        for y in (frame.top + 1.3, frame.bottom - 2.6):
            ink.text(x, y, f"E {e:.0f}", _SMALL_MM, colour=_GREY, anchor="middle")
    for n in northing.tolist():
        y = float(view.on_page(np.array([min_e, n]))[1])
        ticks += [
            np.array([[frame.left, y], [frame.left - 1.0, y]]),
            np.array([[frame.right, y], [frame.right + 1.0, y]]),
        ]
        for x in (frame.left - 1.3, frame.right + 2.6):
            ink.text(x, y, f"N {n:.0f}", _SMALL_MM, colour=_GREY, anchor="middle", turn_deg=90.0)
    ink.stroke(ticks, _BLACK, 0.15)


def cross_places(view: View) -> np.ndarray:
    """Return where the crosses of the grid stand on the page."""
    step = grid_step_m(view.scale)
    min_e, min_n, max_e, max_n = view.bounds
    easting = np.arange(ceil(min_e / step), floor(max_e / step) + 1) * step
    northing = np.arange(ceil(min_n / step), floor(max_n / step) + 1) * step
    return view.on_page(np.stack(np.meshgrid(easting, northing), axis=-1).reshape(-1, 2))


def _crosses(view: View) -> Iterator[np.ndarray]:
    half = _CROSS_MM / 2
    for x, y in cross_places(view).tolist():
        yield np.array([[x - half, y], [x + half, y]])
        yield np.array([[x, y - half], [x, y + half]])


@dataclass(frozen=True, slots=True)
class Reference:
    """Which sheet goes on at an edge of the map; `x`, `y` is the middle of its box."""

    x: float
    y: float
    text: str
    towards: str

    @property
    def frame(self) -> Frame:
        """The box in which it stands."""
        width = width_mm(self.text, 2.2, bold=True) + 6.0
        return Frame(self.x - width / 2, self.y - 1.9, width, 3.8)


def draw_reference(ink: Ink, reference: Reference) -> None:
    """Write which sheet goes on, with an arrow."""
    box, y, towards = reference.frame, reference.y, reference.towards
    ink.box(box, fill="#ffffff", stroke=_BLACK, width_mm=0.15)
    ink.text(box.left + 4.6, y - 0.8, reference.text, 2.2, bold=True)
    turn = {"east": 0.0, "north": 90.0, "west": 180.0, "south": 270.0}[towards]
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    arrow = np.array([[-1.2, -1.1], [1.4, 0.0], [-1.2, 1.1]]) @ np.array([[cosine, sine], [-sine, cosine]])
    ink.fill([np.round(arrow + np.array([box.left + 2.3, y]), 2)], _BLACK)


# ------------------------------------------------------------------ what must not be overlooked


def draw_banner(ink: Ink, frame: Frame, texts: Sequence[str]) -> Frame:
    """Write warnings over the whole width of a frame, and return what is left under them."""
    top = frame.top
    for text in texts:
        lines = wrapped(text, frame.width - 3.0, 2.6, bold=True, lines=4)
        height = len(lines) * 2.6 * _LEADING + 1.6
        ink.box(Frame(frame.left, top - height, frame.width, height), fill=_RED)
        for number, line in enumerate(lines, 1):
            ink.text(frame.left + 1.5, top - number * 2.6 * _LEADING, line, 2.6, bold=True, colour="#ffffff")
        top -= height + 1.0
    return Frame(frame.left, frame.bottom, frame.width, top - frame.bottom)


def draw_watermark(ink: Ink, frame: Frame, text: str) -> None:
    """Write a text large across the map, so that no copy of a part of it is without."""
    size = min(14.0, frame.width * 0.92 / max(width_mm(text, 1.0, bold=True), 1e-6))
    with ink.clipped(frame):
        for share in (1 / 6, 0.5, 5 / 6):
            ink.text(
                frame.left + frame.width / 2,
                frame.bottom + frame.height * share - size * 0.35,
                printable(text),
                size,
                bold=True,
                colour=_RED,
                opacity=0.22,
                anchor="middle",
            )
