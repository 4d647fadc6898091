"""Papers, scales and the division of a dig area into sheets of true scale, north up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Final, Literal

import numpy as np
import shapely

from geoinfra.errors import InvalidInput

__all__ = [
    "MOST_SHEETS",
    "PAPERS",
    "SCALES",
    "Division",
    "Frame",
    "Layout",
    "Sheet",
    "divide",
    "grid_step_m",
    "overview_scale",
    "scale_bar_m",
]

SCALES: Final = (100, 200, 250, 500, 1000)
"""Scales among which one is chosen where none is asked for."""

LEAST_SCALE, MOST_SCALE = 100, 1000
MOST_SHEETS: Final = 200
"""More sheets than these are refused."""

PAPERS: Final = {"A4": (210.0, 297.0), "A3": (297.0, 420.0)}
"""Paper -> width and height in millimetres, upright."""

OVERLAP_MM: Final = 10.0
"""What two neighbouring sheets show both, at least."""

_FEW_SHEETS: Final = 8
_MANY_SHEETS: Final = 30
_GRID_STEPS_M = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0, 50_000.0)
_GRID_LEAST_MM = 40.0
_BAR_MOST_MM = 50.0
_OVERVIEW_STEPS = (1.0, 2.0, 2.5, 4.0, 5.0, 8.0)
_OVERVIEW_SCALES: Final = tuple(step * 10.0**power for power in range(2, 8) for step in _OVERVIEW_STEPS)
_EMPTY = 1e-6

type Orientation = Literal["portrait", "landscape"]
_ORIENTATIONS: Final[tuple[Orientation, ...]] = ("landscape", "portrait")


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle on the page, in millimetres from its lower left corner."""

    left: float
    bottom: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Right edge."""
        return self.left + self.width

    @property
    def top(self) -> float:
        """Upper edge."""
        return self.bottom + self.height


@dataclass(frozen=True, slots=True)
class Layout:
    """Where on the page map and texts stand.

    Attributes
    ----------
    width_mm, height_mm
        Of the page.
    map
        Frame of the map.
    columns
        Frames of the texts beside or under the map, in reading order; the last one ends with the title.
    """

    width_mm: float
    height_mm: float
    map: Frame
    columns: tuple[Frame, ...]

    @classmethod
    def of_sheet(cls, paper: str, orientation: Orientation) -> Layout:
        """Return the layout of a map sheet."""
        width, height = _page(paper, orientation)
        large = paper == "A3"
        if orientation == "landscape":
            panel = 80.0 if large else 67.0
            column = Frame(width - MARGIN_MM - panel, MARGIN_MM, panel, height - 2 * MARGIN_MM)
            left, bottom = MARGIN_MM + GRID_TEXT_MM, MARGIN_MM + GRID_TEXT_MM
            frame = Frame(
                left,
                bottom,
                column.left - GAP_MM - GRID_TEXT_MM - left,
                height - MARGIN_MM - GRID_TEXT_MM - bottom,
            )
            return cls(width, height, frame, (column,))
        panel = 82.0 if large else 72.0
        columns = _columns(Frame(MARGIN_MM, MARGIN_MM, width - 2 * MARGIN_MM, panel), 3)
        left, bottom = MARGIN_MM + GRID_TEXT_MM, MARGIN_MM + panel + GAP_MM + GRID_TEXT_MM
        frame = Frame(
            left, bottom, width - MARGIN_MM - GRID_TEXT_MM - left, height - MARGIN_MM - GRID_TEXT_MM - bottom
        )
        return cls(width, height, frame, columns)

    @classmethod
    def of_overview(cls, paper: str, orientation: Orientation) -> Layout:
        """Return the layout of the index sheet: a smaller map, more room for lists."""
        width, height = _page(paper, orientation)
        inner = Frame(MARGIN_MM, MARGIN_MM, width - 2 * MARGIN_MM, height - 2 * MARGIN_MM)
        if orientation == "landscape":
            map_width = round(inner.width * 0.5)
            frame = Frame(inner.left, inner.bottom, map_width, inner.height)
            left = frame.right + GAP_MM
            lists = Frame(left, inner.bottom, inner.right - left, inner.height)
        else:
            map_height = round(inner.height * 0.5)
            frame = Frame(inner.left, inner.top - map_height, inner.width, map_height)
            lists = Frame(inner.left, inner.bottom, inner.width, inner.height - map_height - GAP_MM)
        return cls(width, height, frame, _columns(lists, 3 if paper == "A3" else 2))

    @classmethod
    def of_lists(cls, paper: str, orientation: Orientation) -> Layout:
        """Return the layout of a page that goes on with the lists of the index sheet."""
        width, height = _page(paper, orientation)
        inner = Frame(MARGIN_MM, MARGIN_MM, width - 2 * MARGIN_MM, height - 2 * MARGIN_MM)
        return cls(
            width,
            height,
            Frame(inner.left, inner.bottom, 0.0, 0.0),
            _columns(inner, max(2, int(width // 90))),
        )


MARGIN_MM: Final = 8.0
"""White edge of the page, which most printers cannot reach."""

GRID_TEXT_MM: Final = 3.6
"""Room for the coordinates around the map."""

GAP_MM: Final = 2.5


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet of the plan.

    Attributes
    ----------
    number
        From 1.
    min_e, min_n, max_e, max_n
        Ground that the frame of its map shows, EPSG:25832 metres.
    """

    number: int
    min_e: float
    min_n: float
    max_e: float
    max_n: float

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """``(min_e, min_n, max_e, max_n)``."""
        return self.min_e, self.min_n, self.max_e, self.max_n

    @property
    def box(self) -> shapely.Polygon:
        """The ground as a polygon."""
        return shapely.box(*self.bounds)


@dataclass(frozen=True, slots=True)
class Division:
    """How the ground is divided into sheets.

    Attributes
    ----------
    scale
        Denominator, the same on all sheets.
    ground
        What the sheets cover: the dig area and its margin.
    """

    paper: str
    orientation: Orientation
    scale: int
    sheets: tuple[Sheet, ...]
    ground: shapely.Geometry

    @property
    def layout(self) -> Layout:
        """Layout of its sheets."""
        return Layout.of_sheet(self.paper, self.orientation)


def divide(
    area: shapely.Geometry,
    *,
    paper: str | None = "A4",
    scale: int | None = None,
    margin_m: float = 5.0,
    overlap_mm: float = OVERLAP_MM,
) -> Division:
    """Cover an area and a margin around it with as few sheets as a sweep finds.

    The sheets stand in rows or columns, each row as near to the next as it may, each sheet where there is
    ground to show; rows and columns, portrait and landscape, all four directions are tried.

    Parameters
    ----------
    area
        What must be on the sheets, EPSG:25832.
    paper
        ``A4`` or ``A3``; ``None`` is A4, and A3 where that would be many sheets.
    scale
        Denominator, 100 to 1000; ``None`` chooses the largest scale that needs few sheets.
    margin_m
        Width around the area that must be on the sheets too.
    overlap_mm
        What neighbouring sheets show both, at least.

    Raises
    ------
    InvalidInput
        The area is empty, the scale is out of range, or more than :data:`MOST_SHEETS` sheets are needed.
    """
    _check(area, paper or "A4", scale, margin_m)
    ground = shapely.buffer(area, margin_m, quad_segs=4)
    best = _best(ground, paper or "A4", scale, overlap_mm)
    if paper is None and len(best.sheets) > _MANY_SHEETS:
        best = _best(ground, "A3", scale, overlap_mm)
    if len(best.sheets) > MOST_SHEETS:
        raise InvalidInput(
            f"At 1:{best.scale} on {best.paper} the area needs more than {MOST_SHEETS} sheets.",
            hint="Choose a smaller scale, larger paper, or divide the dig.",
        )
    return best


def _best(ground: shapely.Geometry, paper: str, scale: int | None, overlap_mm: float) -> Division:
    if scale is None:
        hopeful = [one for one in SCALES[:-1] if _least(ground, paper, one) <= _FEW_SHEETS]
        for one in hopeful:
            best = _fewest(ground, paper, one, overlap_mm)
            if len(best.sheets) <= _FEW_SHEETS:
                return best
    return _fewest(ground, paper, scale or SCALES[-1], overlap_mm)


def _fewest(ground: shapely.Geometry, paper: str, scale: int, overlap_mm: float) -> Division:
    found = [_covered(ground, paper, turned, scale, overlap_mm) for turned in _ORIENTATIONS]
    return min(found, key=lambda division: len(division.sheets))


def _least(ground: shapely.Geometry, paper: str, scale: int) -> float:
    """Return how many sheets are needed at least, side by side along the longest part."""
    frames = [Layout.of_sheet(paper, turned).map for turned in _ORIENTATIONS]
    side_m = max(max(frame.width, frame.height) for frame in frames) * scale / 1000.0
    bounds = shapely.bounds(shapely.get_parts(ground))
    return float((bounds[:, 2:] - bounds[:, :2]).max() / side_m)


def _check(area: shapely.Geometry, paper: str, scale: int | None, margin_m: float) -> None:
    if paper not in PAPERS:
        raise InvalidInput(f"'{paper[:20]}' is no paper for a plan.", hint=f"Choose {', '.join(PAPERS)}.")
    if scale is not None and not LEAST_SCALE <= scale <= MOST_SCALE:
        raise InvalidInput(
            f"1:{scale} is no scale for a plan.", hint=f"Choose 1:{LEAST_SCALE} to 1:{MOST_SCALE}."
        )
    if not 0 <= margin_m <= 1000:
        raise InvalidInput("The margin around the dig area is 0 to 1000 m.")
    if shapely.is_empty(area) or not all(map(isfinite, shapely.bounds(area))):
        raise InvalidInput("The area of the plan is empty or has a coordinate that is no number.")


def _covered(
    ground: shapely.Geometry, paper: str, orientation: Orientation, scale: int, overlap_mm: float
) -> Division:
    frame = Layout.of_sheet(paper, orientation).map
    size = np.array([frame.width, frame.height]) * scale / 1000.0
    inner = size - overlap_mm * scale / 1000.0
    extent = np.ptp(shapely.bounds(ground).reshape(2, 2), axis=0)
    if (extent <= size).all():
        middles = [_middle(shapely.bounds(ground).tolist())]
    else:
        middles = min(_sweeps(ground, inner), key=len)
    half_e, half_n = (size / 2).tolist()
    sheets = tuple(
        Sheet(number, e - half_e, n - half_n, e + half_e, n + half_n)
        for number, (e, n) in enumerate(_in_order(middles, float(size[1])), 1)
    )
    return Division(paper, orientation, scale, sheets, ground)


def _sweeps(ground: shapely.Geometry, size: np.ndarray) -> Iterable[list[tuple[float, float]]]:
    """Yield covers by rows from the south and the north, and by columns from the west and the east."""
    width, height = size.tolist()
    for flip_e, flip_n, swap in (
        (False, False, False),
        (False, True, False),
        (False, False, True),
        (True, False, True),
    ):
        turn = np.array([-1.0 if flip_e else 1.0, -1.0 if flip_n else 1.0])

        def there(spots: np.ndarray, turn: np.ndarray = turn, swap: bool = swap) -> np.ndarray:
            turned: np.ndarray = spots * turn
            return turned[:, ::-1] if swap else turned

        turned = shapely.transform(ground, there)
        cover = _rows(turned, *((height, width) if swap else (width, height)))
        middles = np.array(cover)
        yield [tuple(spot) for spot in ((middles[:, ::-1] if swap else middles) * turn).tolist()]


def _rows(ground: shapely.Geometry, width: float, height: float) -> list[tuple[float, float]]:
    """Cover the ground by rows of sheets from below; return the middle of each sheet."""
    left, low, right, high = shapely.bounds(ground).tolist()
    middles: list[tuple[float, float]] = []
    start = low
    while start < high - _EMPTY and len(middles) <= MOST_SHEETS:
        strip = shapely.intersection(ground, shapely.box(left - 1, start, right + 1, start + height))
        pieces = [piece for piece in shapely.get_parts(strip) if piece.area > _EMPTY]
        reach = start
        for first, last in _intervals(pieces):
            count = max(1, ceil((last - first) / width - _EMPTY))
            spare = count * width - (last - first)
            for one in range(min(count, MOST_SHEETS + 1 - len(middles))):
                shift = spare / (count - 1) if count > 1 else 0.0
                begin = first + one * (width - shift)
                part = shapely.intersection(strip, shapely.box(begin, start, begin + width, start + height))
                west, south, east, north = shapely.bounds(part).tolist()
                middle_e = (west + east) / 2 if count == 1 else begin + width / 2
                middles.append((middle_e, (south + north) / 2))
                reach = max(reach, north)
        rest = shapely.intersection(ground, shapely.box(left - 1, start + height, right + 1, high + 1))
        start = float(shapely.bounds(rest)[1]) if rest.area > _EMPTY else high
    return middles


def _intervals(pieces: Sequence[shapely.Geometry]) -> list[tuple[float, float]]:
    """Return the stretches from west to east in which there is ground."""
    stretches: list[tuple[float, float]] = []
    for first, last in sorted(tuple(shapely.bounds(piece)[[0, 2]].tolist()) for piece in pieces):
        if stretches and first <= stretches[-1][1]:
            stretches[-1] = (stretches[-1][0], max(stretches[-1][1], last))
        else:
            stretches.append((first, last))
    return stretches


def _in_order(middles: Sequence[tuple[float, float]], height: float) -> list[tuple[float, float]]:
    """Order the sheets along the ground's longer way where it has one, else by rows from north to south."""
    spots = np.array(middles)
    if len(spots) < 3:
        return sorted(middles)
    centred = spots - spots.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    if sizes[1] < 0.35 * sizes[0]:
        axis = axes[0] if axes[0][np.argmax(np.abs(axes[0]))] > 0 else -axes[0]
        return [middles[row] for row in np.lexsort((spots[:, 0], np.round(centred @ axis, 3)))]
    return [
        middles[row]
        for row in np.lexsort((spots[:, 0], np.round((spots[:, 1].max() - spots[:, 1]) / (0.7 * height))))
    ]


def _middle(bounds: Sequence[float]) -> tuple[float, float]:
    return (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2


def _page(paper: str, orientation: Orientation) -> tuple[float, float]:
    width, height = PAPERS[paper]
    return (width, height) if orientation == "portrait" else (height, width)


def _columns(whole: Frame, count: int) -> tuple[Frame, ...]:
    width = (whole.width - (count - 1) * GAP_MM) / count
    return tuple(
        Frame(whole.left + number * (width + GAP_MM), whole.bottom, width, whole.height)
        for number in range(count)
    )


# ------------------------------------------------------------------ measures on the sheet


def grid_step_m(scale: float) -> float:
    """Return the distance between the crosses of the coordinate grid: at least 4 cm on paper."""
    fitting = (step for step in _GRID_STEPS_M if step * 1000.0 / scale >= _GRID_LEAST_MM)
    return next(fitting, _GRID_STEPS_M[-1])


def scale_bar_m(scale: float) -> float:
    """Return the length of the scale bar on the ground: round, and at most 5 cm on paper."""
    most = _BAR_MOST_MM * scale / 1000.0
    power = 10.0 ** np.floor(np.log10(most))
    return float(next(step * power for step in (5.0, 2.0, 1.0) if step * power <= most + 1e-9))


def overview_scale(bounds: tuple[float, float, float, float], frame: Frame) -> float:
    """Return the largest round scale at which `bounds` fit into a frame."""
    wide, high = bounds[2] - bounds[0], bounds[3] - bounds[1]
    need = max(wide / frame.width, high / frame.height) * 1000.0
    return next((scale for scale in _OVERVIEW_SCALES if scale >= need), _OVERVIEW_SCALES[-1])
