"""The plan of a dig on paper: an index sheet and map sheets of true scale, as vectors in one PDF.

Every sheet explains itself: title, scale, coordinate grid, the signs on it, the dangerous lines on it, the
owners of its lines and their telephone numbers. The bytes follow from the arguments alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.errors import InvalidInput
from geoinfra.presentation.attributes import feature_attributes
from geoinfra.presentation.labels import label_attributes, label_text
from geoinfra.presentation.offline_sections import ENGLISH_STATUS, PageFacts, metres
from geoinfra.presentation.plan_background import Background
from geoinfra.presentation.plan_ink import Ink, printable, width_mm
from geoinfra.presentation.plan_labels import Placed, Wish, crowd, place
from geoinfra.presentation.plan_legend import Entry, draw_sample, legend_entries
from geoinfra.presentation.plan_map import Features, Shapes, View, on_page, paint
from geoinfra.presentation.plan_page import (
    FURNITURE_MM,
    Reference,
    Row,
    cross_places,
    draw_banner,
    draw_furniture,
    draw_grid,
    draw_reference,
    draw_title,
    draw_watermark,
    flow,
    heading,
    paired,
    text_row,
    title_height_mm,
)
from geoinfra.presentation.plan_sheets import Division, Frame, Layout, Sheet, divide, overview_scale
from geoinfra.presentation.plan_words import WORDS, Language, Words, day, moment
from geoinfra.presentation.resolve import Label, Symbol
from geoinfra.presentation.style_set import StyleSet, load_style_set
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.dangers import DANGEROUS_CLASSES, VERY_DANGEROUS, Danger, dangers
from geoinfra.utilities.enquiry import DIG_METHODS, AnswerStatus
from geoinfra.utilities.formats.package_write import UNKNOWN_OWNER, status_of
from geoinfra.utilities.sandbox import SANDBOX_MARKS

if TYPE_CHECKING:
    from geoinfra.utilities.formats.package import EnquiryInfo, PackageOwner

__all__ = ["PlanOptions", "PlanWritten", "write_plan"]

_DIG, _DIG_GROUND = "#1a1a1a", "#ffee99"
_DANGER: Final = "#c00414"
_MOST_DANGERS: Final = 8
_EXTENT_LIMIT_M: Final = 200_000.0


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How a plan is drawn.

    Attributes
    ----------
    scale
        Denominator, 100 to 1000; ``None`` chooses.
    paper
        ``A4`` or ``A3``; ``None`` chooses.
    margin_m
        Ground around the dig area that is on the sheets too.
    owner_cvr
        Only this owner's lines; every page says so.
    theme
        Palette of the style set, for instance ``black-and-white``.
    """

    scale: int | None = None
    paper: str | None = "A4"
    language: Language = "da"
    owner_cvr: str | None = None
    margin_m: float = 5.0
    style: str = "geoinfra"
    theme: str | None = None


@dataclass(frozen=True, slots=True)
class PlanWritten:
    """What was written.

    Attributes
    ----------
    pages
        Pages in all: index sheet, pages that go on with its lists, sheets.
    labels
        Labels placed, and wished for, over all sheets.
    """

    scale: int
    paper: str
    sheets: int
    pages: int
    features: int
    labels: tuple[int, int] = (0, 0)

    def to_json(self) -> dict[str, Any]:
        """Return the members, JSON-ready."""
        placed, wished = self.labels
        return {
            "scale": self.scale,
            "paper": self.paper,
            "sheets": self.sheets,
            "pages": self.pages,
            "features": self.features,
            "labels": {"placed": placed, "wished": wished},
        }


def write_plan(
    target: BinaryIO,
    enquiry: EnquiryInfo | None,
    owners: Sequence[PackageOwner],
    batches: Sequence[FeatureBatch],
    facts: PageFacts | None = None,
    options: PlanOptions | None = None,
    background: Background | None = None,
) -> PlanWritten:
    """Write the plan of a package, or of an answer alone.

    Parameters
    ----------
    target
        Takes the PDF; is not closed.
    enquiry
        The dig enquiry; ``None`` where there is none: the sheets cover the features then.
    owners
        Every owner with an interest in the dig area.
    batches
        Rows of ``utility-features``, geometry as 2D WKB in EPSG:25832.
    facts
        What else is known of the package.

    Raises
    ------
    InvalidInput
        Nothing can be drawn at this scale, or there is no feature and no area.
    NotFound
        There is no such style set.
    MissingResource
        The extra ``exchange`` is not installed.
    """
    chosen = options or PlanOptions()
    kept = _only(batches, chosen.owner_cvr)
    area = _area(enquiry, kept)
    division = divide(area, paper=chosen.paper, scale=chosen.scale, margin_m=chosen.margin_m)
    style_set = load_style_set(chosen.style)
    features = Features(kept, style_set, division.scale, chosen.theme)
    plan = _Plan(
        enquiry,
        tuple(owners),
        features,
        facts or PageFacts(),
        chosen,
        background or Background(),
        division,
        area,
    )
    return _Writer(plan, target).write()


def _only(batches: Sequence[FeatureBatch], owner_cvr: str | None) -> list[FeatureBatch]:
    if owner_cvr is None:
        return list(batches)
    found = []
    for batch in batches:
        rows = [row for row, cvr in enumerate(batch.columns["owner_cvr"]) if cvr == owner_cvr]
        if rows:
            found.append(batch.take(rows))
    return found


def _area(enquiry: EnquiryInfo | None, batches: Sequence[FeatureBatch]) -> shapely.Geometry:
    """Return what the sheets must cover: the dig area, or where the features are."""
    if enquiry is not None:
        area = shapely.from_wkb(enquiry.polygon)
        if not area.is_empty and np.isfinite(shapely.bounds(area)).all():
            return area if area.is_valid else shapely.make_valid(area)
    wkb = np.array([one for batch in batches for one in batch.geometry], dtype=object)
    with np.errstate(invalid="ignore"):
        shapes = shapely.from_wkb(wkb)
    shapes = shapes[(np.abs(shapely.bounds(shapes)) < 1e7).all(axis=1)]
    if not len(shapes):
        raise InvalidInput(
            "There is nothing to draw: no feature has a place and the dig area is not known.",
            hint="Give a package or an answer with geometry.",
        )
    bounds = shapely.total_bounds(shapes)
    if max(bounds[2] - bounds[0], bounds[3] - bounds[1]) > _EXTENT_LIMIT_M:
        raise InvalidInput("The features lie too far apart for a plan.")
    ground: shapely.Geometry = shapely.union_all(shapely.buffer(shapely.envelope(shapes), 1.0, quad_segs=1))
    return ground


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that a plan is made of."""

    enquiry: EnquiryInfo | None
    owners: tuple[PackageOwner, ...]
    features: Features
    facts: PageFacts
    options: PlanOptions
    background: Background
    division: Division
    area: shapely.Geometry

    @property
    def words(self) -> Words:
        return WORDS[self.options.language]

    @property
    def style_set(self) -> StyleSet:
        return self.features.style_set

    @property
    def as_of(self) -> datetime | None:
        """The newest moment that the package knows of; not the clock."""
        moments = list(self.facts.answered.values())
        if self.enquiry is not None:
            moments += [one for one in (self.enquiry.created_at, self.enquiry.changed_at) if one]
        return max(moments, key=lambda one: one.timestamp(), default=None)

    @property
    def missing(self) -> list[PackageOwner]:
        return [owner for owner in self.owners if not status_of(owner.status).final]

    def owner_name(self, cvr: str) -> str:
        if cvr == UNKNOWN_OWNER:
            return self.words.unknown_owner
        return next((owner.name or cvr for owner in self.owners if owner.cvr == cvr), cvr)

    def owner_title(self, owner: PackageOwner) -> str:
        name = self.owner_name(owner.cvr)
        return name if owner.cvr == UNKNOWN_OWNER else f"{name} (CVR {owner.cvr})"

    def phone(self, cvr: str) -> str:
        contact = next((owner.contact for owner in self.owners if owner.cvr == cvr), None)
        return self.words.phone.format(phone=contact.phone) if contact and contact.phone else ""

    def type_name(self, symbol: Symbol) -> str:
        row = self.style_set.dimensions["type"].row(symbol.classes["type"])
        return row.da if self.options.language == "da" else row.en


class _Writer:
    """Writes the pages of one plan."""

    def __init__(self, plan: _Plan, target: BinaryIO) -> None:
        self._plan = plan
        self._words = plan.words
        number = plan.enquiry.number if plan.enquiry else ""
        self._head = f"{self._words.plan} {number}".strip()
        self._ink = Ink(target, self._head, f"1:{plan.division.scale} {plan.division.paper}")
        self._pages = 0
        self._placed = self._wished = 0

    def write(self) -> PlanWritten:
        division = self._plan.division
        self._overview()
        for sheet in division.sheets:
            self._sheet(sheet)
        self._ink.save()
        features = len(self._plan.features.geometry)
        return PlanWritten(
            division.scale,
            division.paper,
            len(division.sheets),
            self._pages,
            features,
            (self._placed, self._wished),
        )

    def _begin(self, layout: Layout, name: str) -> None:
        self._ink.begin(layout.width_mm, layout.height_mm, name)
        self._pages += 1

    # -- a sheet of the map

    def _sheet(self, sheet: Sheet) -> None:
        plan, ink, words = self._plan, self._ink, self._words
        layout = plan.division.layout
        name = words.sheet.format(number=sheet.number, count=len(plan.division.sheets))
        self._begin(layout, name)
        view = View(layout.map, sheet.min_e, sheet.min_n, plan.division.scale)
        rows = plan.features.inside(view.bounds)
        references = list(self._neighbours(view, sheet))
        with ink.clipped(layout.map):
            self._ground(view)
            self._utilities(view, rows, references)
            self._dig_edge(view)
        draw_grid(ink, view)
        for reference in references:
            draw_reference(ink, reference)
        self._marked(layout.map)
        self._panel(layout, name, plan.division.scale, rows)
        ink.end()

    def _ground(self, view: View) -> None:
        self._plan.background.draw(self._ink, view)
        if self._plan.enquiry is not None:
            dig = on_page(np.array([self._plan.area], dtype=object), view)[0]
            self._ink.fill(dig.rings, _DIG_GROUND, opacity=0.3)

    def _dig_edge(self, view: View) -> None:
        if self._plan.enquiry is not None:
            dig = on_page(np.array([self._plan.area], dtype=object), view)[0]
            self._ink.stroke(dig.rings, _DIG, 0.5, dash_mm=(6.0, 1.2, 1.0, 1.2), closed=True)

    def _utilities(self, view: View, rows: NDArray[np.int64], references: Sequence[Reference]) -> None:
        features = self._plan.features
        shapes = on_page(features.geometry[rows], view)
        drawn = [
            (features.symbol_of(row), float(features.half_width_m[row]), one)
            for row, one in zip(rows.tolist(), shapes, strict=True)
            if not one.empty
        ]
        wishes = [*self._plan.background.wishes(view), *self._wishes(rows, shapes)]
        lines = [line for _, _, one in drawn for line in one.lines]
        with self._ink.clipped(view.frame):
            taken = paint(self._ink, view, drawn)
        taken += [shapely.box(f.left, f.bottom, f.right, f.top) for f in (one.frame for one in references)]
        taken += [shapely.box(x - 1, y - 1, x + 1, y + 1) for x, y in cross_places(view).tolist()]
        placed = place(wishes, view.frame, lines=lines, taken=taken)
        self._placed += len(placed)
        self._wished += len(wishes)
        for label in placed:
            self._letter(label)

    def _letter(self, label: Placed) -> None:
        """Write a label over a pale band, which lets what lies under it be seen still."""
        wish, ink = label.wish, self._ink
        if label.leader is not None:
            ink.stroke([np.round(label.leader, 2)], wish.colour, 0.1)
            ink.stroke(
                [np.round(label.leader[0] + np.array([[0.0, 0.0], [0.01, 0.0]]), 2)],
                wish.colour,
                0.7,
                cap="round",
            )
        low, high = (
            label.corners[0] * 0.5 + label.corners[3] * 0.5,
            label.corners[1] * 0.5 + label.corners[2] * 0.5,
        )
        ink.stroke(
            [np.round(np.array([low, high]), 2)], "#ffffff", round(wish.size_mm * 0.95, 2), opacity=0.72
        )
        ink.text(
            label.x,
            label.y,
            wish.text,
            wish.size_mm,
            bold=wish.bold,
            colour=wish.colour,
            opacity=wish.opacity,
            turn_deg=label.turn_deg,
        )

    def _wishes(self, rows: NDArray[np.int64], shapes: Sequence[Shapes]) -> Iterator[Wish]:
        """Yield the labels that the style set wants; where many stand close, those that matter most."""
        features, style_set = self._plan.features, self._plan.style_set
        wanted = [
            (layer, row, path)
            for row, one in zip(rows.tolist(), shapes, strict=True)
            for layer in features.symbol_of(row).of(Label)
            if (path := _label_path(one)) is not None
        ]
        wanted.sort(key=lambda one: -one[0].priority)
        few = crowd()
        for layer, row, path in wanted:
            if not few(path):
                continue
            batch, position = features.place(row)
            values = feature_attributes(batch, position, label_attributes(style_set, layer.template))
            text = printable(label_text(style_set, layer.template, values, self._plan.options.language))
            if text:
                yield _feature_wish(layer, text, path, f"{features.value(row, 'owner_cvr')} {text}")

    def _neighbours(self, view: View, sheet: Sheet) -> Iterator[Reference]:
        """Yield what is said at each edge of the map: which sheet goes on there."""
        frame = view.frame
        for other in self._plan.division.sheets:
            if other.number == sheet.number or not other.box.intersects(sheet.box):
                continue
            away_e = (other.min_e - sheet.min_e) / (sheet.max_e - sheet.min_e)
            away_n = (other.min_n - sheet.min_n) / (sheet.max_n - sheet.min_n)
            common = other.box.intersection(sheet.box)
            x, y = view.on_page(shapely.get_coordinates(shapely.centroid(common)))[0].tolist()
            x = min(max(x, frame.left + 9), frame.right - 9)
            y = min(max(y, frame.bottom + 2.6), frame.top - 2.6)
            if abs(away_e) >= abs(away_n):
                x, towards = (frame.right - 9, "east") if away_e > 0 else (frame.left + 9, "west")
            else:
                y, towards = (frame.top - 2.6, "north") if away_n > 0 else (frame.bottom + 2.6, "south")
            yield Reference(x, y, self._words.see_sheet.format(number=other.number), towards)

    # -- what stands beside the map

    def _warnings(self) -> list[str]:
        plan, words = self._plan, self._words
        found = []
        if plan.facts.sandbox:
            found.append(SANDBOX_MARKS[plan.options.language])
        if plan.facts.planning:
            found.append(words.planning)
        elif plan.missing and not plan.options.owner_cvr:
            found.append(words.missing.format(count=len(plan.missing)))
        if plan.options.owner_cvr:
            found.append(words.one_owner.format(owner=plan.owner_name(plan.options.owner_cvr)))
        return found

    def _marked(self, frame: Frame) -> None:
        """Write across the map that it must not be dug by."""
        if self._plan.facts.sandbox:
            draw_watermark(self._ink, frame, SANDBOX_MARKS[self._plan.options.language])
        elif self._plan.facts.planning:
            draw_watermark(self._ink, frame, self._words.planning)

    def _facts(self, scale: float) -> list[str]:
        plan, words, language = self._plan, self._words, self._plan.options.language
        lines = [
            words.scale.format(scale=f"{scale:.0f}", paper=plan.division.paper) + f". {words.print_full}"
        ]
        lines.append(words.crs)
        enquiry = plan.enquiry
        if enquiry is not None:
            period = f"{day(enquiry.period_from, language)} - {day(enquiry.period_to, language)}"
            lines.append(f"{words.period}: {period}")
            lines += [f"{words.method}: {text}" for text in _methods(enquiry) if language == "da"]
        if plan.facts.sequence:
            lines.append(f"{words.package} {plan.facts.sequence}")
        if plan.as_of:
            lines.append(f"{words.as_of}: {moment(plan.as_of, language)}")
        if plan.facts.valid_to:
            lines.append(f"{words.valid_to}: {moment(plan.facts.valid_to, language)}")
        lines.append(words.care)
        return lines

    def _panel(self, layout: Layout, name: str, scale: float, rows: NDArray[np.int64]) -> None:
        """Draw title, scale and lists of a sheet; a list that does not fit says so."""
        plan, ink = self._plan, self._ink
        last = layout.columns[-1]
        facts = self._facts(scale)
        height = title_height_mm(facts, last.width)
        title = Frame(last.left, last.bottom, last.width, height)
        draw_title(ink, title, self._head, name, facts)
        furniture = Frame(last.left, title.top + 1.0, last.width, FURNITURE_MM)
        draw_furniture(ink, furniture, scale, self._words, plan.options.language)
        rest = Frame(last.left, furniture.top + 1.0, last.width, last.top - furniture.top - 1.0)
        columns = [*layout.columns[:-1], rest]
        columns[0] = draw_banner(ink, columns[0], self._warnings())
        width = columns[0].width
        parts = [
            [heading(self._words.hazards), *self._sheet_dangers(rows, width)],
            [heading(self._words.owners), *self._sheet_owners(rows, width)],
            [heading(self._words.legend), *self._legend(rows, scale, width)],
        ]
        self._fitted(columns, parts, width)

    def _fitted(self, columns: Sequence[Frame], parts: Sequence[Sequence[Row]], width: float) -> None:
        """Draw lists that fit, and of those that do not as much as there is room for."""
        left = flow(self._ink, columns, [row for part in parts for row in part])
        if left:
            count = sum(row.items for row in left)
            last = columns[-1]
            note = text_row(self._words.more.format(count=count), width, bold=True)
            note.draw(self._ink, last.left, last.bottom + 1.6, width)

    def _sheet_dangers(self, rows: NDArray[np.int64], width: float) -> list[Row]:
        features = self._plan.features
        found: Counter[tuple[bool, str, str]] = Counter()
        for row in rows.tolist():
            hazard = features.value(row, "hazard")
            if hazard in DANGEROUS_CLASSES:
                name = self._plan.type_name(features.symbol_of(row))
                found[hazard != VERY_DANGEROUS, name, features.value(row, "owner_cvr")] += 1
        if not found:
            return [text_row(self._words.no_hazards, width)]
        lines = []
        for (less, name, cvr), count in sorted(found.items())[:_MOST_DANGERS]:
            head = self._words.hazard_row.format(supply=name, hazard=self._hazard(less), count=count)
            lines.append(_danger_row(less, head, self._contact(cvr), width))
        more = len(found) - _MOST_DANGERS
        if more > 0:
            lines.append(text_row(self._words.more.format(count=more), width))
        return lines

    def _hazard(self, less: bool) -> str:
        return self._words.dangerous if less else self._words.very_dangerous

    def _contact(self, cvr: str) -> str:
        return " · ".join(text for text in (self._plan.owner_name(cvr), self._plan.phone(cvr)) if text)

    def _legend(self, rows: NDArray[np.int64], scale: float, width: float) -> list[Row]:
        plan = self._plan
        seen = [plan.features.symbols[number] for number in np.unique(plan.features.symbol[rows])]
        entries = legend_entries(plan.style_set, scale, plan.options.theme, seen, plan.options.language)
        pieces: list[tuple[str, Callable[[Ink, Frame], None]]] = []
        if plan.enquiry is not None:
            pieces.append((self._words.dig_area, _dig_sample))
        for name, title in (("buildings", self._words.building), ("parcels", self._words.parcel)):
            if name in plan.background.layers:
                pieces.append((title, _GROUND_SAMPLES[name]))
        for entry in entries:
            pieces.append((entry.title, partial(_sample, entry, scale)))
        return paired(pieces, width)

    def _sheet_owners(self, rows: NDArray[np.int64], width: float) -> list[Row]:
        features = self._plan.features
        cvrs = sorted({str(features.value(row, "owner_cvr")) for row in rows.tolist()})
        names = sorted(cvrs, key=lambda cvr: self._plan.owner_name(cvr).casefold())
        return [text_row(self._contact(cvr), width, lines=2, items=1) for cvr in names]

    # -- the index sheet

    def _overview(self) -> None:
        plan, ink, words = self._plan, self._ink, self._words
        bounds = shapely.total_bounds([sheet.box for sheet in plan.division.sheets])
        tall = bounds[3] - bounds[1] > bounds[2] - bounds[0]
        layout = Layout.of_overview(plan.division.paper, "landscape" if tall else "portrait")
        self._begin(layout, words.overview)
        view = self._overview_view(layout.map, bounds)
        with ink.clipped(layout.map):
            self._ground(view)
            self._dangerous_lines(view)
            self._dig_edge(view)
            self._sheet_frames(view)
        ink.box(layout.map, stroke="#1a1a1a", width_mm=0.3)
        self._marked(layout.map)
        last = layout.columns[-1]
        facts = [*self._facts(plan.division.scale), f"{words.overview} 1:{view.scale:.0f}"]
        title = Frame(last.left, last.bottom, last.width, title_height_mm(facts, last.width))
        draw_title(ink, title, self._head, words.overview, facts)
        furniture = Frame(last.left, title.top + 1.0, last.width, FURNITURE_MM)
        draw_furniture(ink, furniture, view.scale, words, plan.options.language)
        columns = [
            *layout.columns[:-1],
            Frame(last.left, furniture.top + 1.0, last.width, last.top - furniture.top - 1.0),
        ]
        columns[0] = draw_banner(ink, columns[0], self._warnings())
        left = flow(ink, columns, self._overview_rows(columns[0].width))
        ink.end()
        while left:
            left = self._lists(left)

    def _lists(self, rows: Sequence[Row]) -> list[Row]:
        """Go on with the lists of the index sheet on a page of their own."""
        plan, ink = self._plan, self._ink
        layout = Layout.of_lists(plan.division.paper, plan.division.orientation)
        name = f"{self._words.overview}, {self._words.continued}"
        self._begin(layout, name)
        whole = Frame(
            layout.columns[0].left,
            layout.columns[0].bottom,
            layout.columns[-1].right - layout.columns[0].left,
            layout.columns[0].height,
        )
        ink.text(whole.left, whole.top - 4.0, f"{self._head}: {name}", 3.2, bold=True)
        under = Frame(whole.left, whole.bottom, whole.width, whole.height - 6.0)
        under = draw_banner(ink, under, self._warnings())
        columns = [Frame(c.left, c.bottom, c.width, under.height) for c in layout.columns]
        left = flow(ink, columns, rows)
        ink.end()
        return left if len(left) < len(rows) else []

    def _overview_view(self, frame: Frame, bounds: NDArray[np.float64]) -> View:
        inner = Frame(frame.left, frame.bottom, frame.width - 6.0, frame.height - 6.0)
        scale = overview_scale(tuple(bounds.tolist()), inner)
        half_e, half_n = frame.width * scale / 2000.0, frame.height * scale / 2000.0
        return View(frame, (bounds[0] + bounds[2]) / 2 - half_e, (bounds[1] + bounds[3]) / 2 - half_n, scale)

    def _dangerous_lines(self, view: View) -> None:
        features = self._plan.features
        rows = [
            row
            for row in features.inside(view.bounds).tolist()
            if features.value(row, "hazard") == VERY_DANGEROUS
        ]
        shapes = on_page(features.geometry[np.array(rows, dtype=np.int64)], view)
        self._ink.stroke([line for one in shapes for line in one.lines], _DANGER, 0.35)

    def _sheet_frames(self, view: View) -> None:
        """Draw where each sheet lies; their numbers keep apart from each other."""
        for sheet in self._plan.division.sheets:
            ring = view.on_page(shapely.get_coordinates(sheet.box))
            self._ink.stroke([ring], "#1a1a1a", 0.25, closed=True)
        for sheet in self._plan.division.sheets:
            low, high = view.on_page(
                np.array([[sheet.min_e, sheet.min_n], [sheet.max_e, sheet.max_n]])
            ).tolist()
            size = min(4.0, max(1.6, (high[1] - low[1]) * 0.3))
            x, y = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2
            self._ink.stroke(
                [np.array([[x, y], [x + 0.01, y]])], "#ffffff", size * 1.5, opacity=0.85, cap="round"
            )
            self._ink.text(
                x,
                y - size * 0.35,
                str(sheet.number),
                size,
                bold=True,
                anchor="middle",
            )

    def _overview_rows(self, width: float) -> list[Row]:
        plan, words = self._plan, self._words
        rows: list[Row] = []
        if plan.enquiry is not None and plan.owners and not plan.missing and not plan.facts.planning:
            rows.append(text_row(words.complete, width, bold=True))
        rows.append(text_row(words.care, width))
        homeless = int(
            np.sum(shapely.is_missing(plan.features.geometry) | shapely.is_empty(plan.features.geometry))
        )
        if homeless:
            rows.append(text_row(words.without_place.format(count=homeless), width, bold=True))
        rows.append(heading(words.hazards))
        found = dangers(plan.area, plan.features.batches)
        rows += [self._danger(one, width) for one in found] or [text_row(words.no_hazards, width)]
        rows.append(heading(words.owners))
        for owner in plan.owners:
            if plan.options.owner_cvr in (None, owner.cvr):
                rows += self._owner(owner, width)
        rows.append(heading(words.all_signs))
        everything = np.arange(len(plan.features.geometry))
        rows += self._legend(everything, plan.division.scale, width)
        return rows

    def _danger(self, danger: Danger, width: float) -> Row:
        words = self._words
        dimension = self._plan.style_set.dimensions["type"]
        kind = dimension.row(dimension.classify({"supply": danger.supply}))
        name = kind.da if self._plan.options.language == "da" else kind.en
        less = danger.hazard != VERY_DANGEROUS
        head = words.hazard_row.format(supply=name, hazard=self._hazard(less), count=danger.count)
        if self._plan.enquiry is None:
            pass  # without a dig area nothing is inside of it
        elif danger.inside:
            head += f", {words.inside.format(count=danger.inside)}"
        elif danger.nearest_m is not None:
            distance = metres(danger.nearest_m)[self._plan.options.language == "en"]
            head += f", {words.nearest.format(distance=distance)}"
        return _danger_row(less, head, self._contact(danger.owner_cvr), width)

    def _owner(self, owner: PackageOwner, width: float) -> list[Row]:
        status = status_of(owner.status)
        said = owner.status if self._plan.options.language == "da" else ENGLISH_STATUS[status]
        waits = not status.final or status in (AnswerStatus.POINTING_OUT, AnswerStatus.POINTING_OUT_DELIVERED)
        contact = owner.contact
        reach = (
            self._plan.phone(owner.cvr),
            contact.name if contact else "",
            contact.email if contact else "",
        )
        return [
            Row(1.0, _nothing),
            text_row(self._plan.owner_title(owner), width, bold=True, lines=2, items=1),
            text_row(said, width, colour=_DANGER if waits else "#1a1a1a", bold=waits, lines=2),
            *(text_row(text, width, lines=2) for text in [" · ".join(one for one in reach if one)] if text),
        ]


def _methods(enquiry: EnquiryInfo) -> list[str]:
    names = [DIG_METHODS.get(method, method) for method in enquiry.methods if method != "99"]
    names += [enquiry.methods_other] if enquiry.methods_other else []
    return [", ".join(names)] if names else []


def _nothing(_ink: Ink, _x: float, _top: float, _width: float) -> None:
    """Leave a gap."""


def _label_path(shapes: Shapes) -> NDArray[np.float64] | None:
    """Return along what, or at which point, a feature is labelled."""
    if shapes.lines:
        return max(shapes.lines, key=len)
    found = shapes.points or shapes.rings
    return found[0] if found else None


def _feature_wish(layer: Label, text: str, path: NDArray[np.float64], same: str) -> Wish:
    return Wish(
        text,
        layer.size_mm,
        width_mm(text, layer.size_mm),
        path,
        float(layer.priority),
        layer.colour,
        opacity=layer.opacity,
        away_mm=0.4 if len(path) > 1 else 2.4,
        spacing_mm=layer.spacing_mm,
        same=same,
        leads=len(path) > 1,
    )


# ------------------------------------------------------------------ rows


def _danger_row(less: bool, head: str, contact: str, width: float) -> Row:
    inner = width - 5.0
    first = text_row(head, inner, bold=True, lines=2, items=1)
    second = text_row(contact, inner, lines=2)

    def draw(ink: Ink, x: float, top: float, _width: float) -> None:
        triangle = np.array([[x + 0.2, top - 3.2], [x + 3.6, top - 3.2], [x + 1.9, top - 0.6]])
        if less:
            ink.stroke([triangle], _DANGER, 0.3, closed=True)
        else:
            ink.fill([triangle], _DANGER)
        first.draw(ink, x + 5.0, top, inner)
        second.draw(ink, x + 5.0, top - first.height_mm, inner)

    return Row(first.height_mm + second.height_mm, draw, items=1)


def _sample(entry: Entry, scale: float, ink: Ink, frame: Frame) -> None:
    draw_sample(ink, entry, frame, scale)


def _dig_sample(ink: Ink, frame: Frame) -> None:
    inner = Frame(frame.left + 0.5, frame.bottom + 0.6, frame.width - 1.0, frame.height - 1.2)
    ink.box(inner, fill=_DIG_GROUND)
    corners = np.array(
        [
            [inner.left, inner.bottom],
            [inner.right, inner.bottom],
            [inner.right, inner.top],
            [inner.left, inner.top],
        ]
    )
    ink.stroke([corners], _DIG, 0.5, dash_mm=(6.0, 1.2, 1.0, 1.2), closed=True)


def _building_sample(ink: Ink, frame: Frame) -> None:
    ink.box(
        Frame(frame.left + 1.5, frame.bottom + 0.7, frame.width - 3.0, 2.4),
        fill="#e2dfda",
        stroke="#8d8a86",
        width_mm=0.13,
    )


def _parcel_sample(ink: Ink, frame: Frame) -> None:
    middle = frame.bottom + frame.height / 2
    ink.stroke(
        [np.array([[frame.left, middle], [frame.right, middle]])],
        "#9c9a97",
        0.1,
        dash_mm=(2.4, 0.7, 0.4, 0.7),
    )


_GROUND_SAMPLES: Final = {"buildings": _building_sample, "parcels": _parcel_sample}
