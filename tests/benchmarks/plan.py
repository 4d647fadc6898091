"""The plan on paper: 10,000 lines on a sheet against reportlab's bare write of the same entities."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import numpy as np
import shapely

from geoinfra.presentation import plan as plan_module
from geoinfra.presentation.plan import PlanOptions, write_plan
from geoinfra.presentation.plan_ink import Ink
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.formats.package import EnquiryInfo
from geoinfra.utilities.model import FeatureRows

E, N = 650_000.0, 6_070_000.0
ROUNDS = 3
CLASSES = ("Elledning", "Gasledning", "Vandledning", "Afloebsledning", "Telekommunikationsledning")
HAZARDS = ("ikke farlig", "farlig", "meget farlig")


def town(count: int, width: float, height: float) -> list[FeatureBatch]:
    """Lines of 2 to 11 vertices, anywhere."""
    chance = np.random.default_rng(3)
    rows = [FeatureRows(f"1000000{owner}", elements=False) for owner in range(5)]
    for number in range(count):
        start = chance.uniform([E, N], [E + width, N + height])
        course = start + np.cumsum(chance.normal(0, 4, (2 + number % 10, 2)), axis=0)
        properties = {"driftsstatus": "i drift", "fareklasse": HAZARDS[number % 3]}
        rows[number % 5].add(CLASSES[number % 5], f"l.{number}", properties, shapely.LineString(course))
    return [one.batch() for one in rows]


def enquiry(width: float, height: float) -> EnquiryInfo:
    """An enquiry whose sheet is full."""
    area = shapely.box(E + 5, N + 5, E + width - 5, N + height - 5)
    return EnquiryInfo("2026-000017", shapely.to_wkb(area), date(2026, 12, 1), date(2026, 12, 20))


def plan(asked: EnquiryInfo, batches: Sequence[FeatureBatch], **options: Any) -> bytes:
    """Draw a plan."""
    target = io.BytesIO()
    write_plan(target, asked, (), batches, None, PlanOptions(**options))
    return target.getvalue()


class Recording(Ink):
    """Notes what is drawn beside drawing it."""

    entities: list[tuple[str, Any, Any]]

    def begin(self, width_mm: float, height_mm: float, bookmark: str) -> None:
        self.entities.append(("page", (width_mm, height_mm), None))
        super().begin(width_mm, height_mm, bookmark)

    def stroke(self, paths: Any, colour: str, width_mm: float, **more: Any) -> None:
        vertices = [path.tolist() for path in paths]
        self.entities.append(
            ("stroke", vertices, (colour, width_mm, more.get("dash_mm", ()), more.get("closed")))
        )
        super().stroke(paths, colour, width_mm, **more)

    def fill(self, paths: Any, colour: str, **more: Any) -> None:
        self.entities.append(("fill", [path.tolist() for path in paths], colour))
        super().fill(paths, colour, **more)

    def text(self, x: float, y: float, text: str, size_mm: float, **more: Any) -> None:
        self.entities.append(("text", (x, y, text, size_mm), more.get("turn_deg", 0.0)))
        super().text(x, y, text, size_mm, **more)


def bare(entities: Sequence[tuple[str, Any, Any]]) -> bytes:
    """Write the same entities with reportlab and nothing else: no rule, no clipping, no placing of labels."""
    from reportlab.lib.colors import HexColor
    from reportlab.pdfgen.canvas import Canvas

    target = io.BytesIO()
    canvas = Canvas(target, pageCompression=1, invariant=1)
    for number, (kind, what, how) in enumerate(entities):
        if kind == "page":
            if number:
                canvas.showPage()
            canvas.setPageSize(what)
        elif kind == "text":
            x, y, words, size = what
            canvas.saveState()
            canvas.translate(x, y)
            canvas.rotate(how)
            canvas.setFont("SourceSansPro", size)
            canvas.drawString(0, 0, words)
            canvas.restoreState()
        elif kind == "stroke":
            colour, width, dash, closed = how
            canvas.setStrokeColor(HexColor(colour))
            canvas.setLineWidth(width)
            canvas.setDash(list(dash))
            for vertices in what:
                canvas.drawPath(_path(canvas, [vertices], closed))
        elif what:
            canvas.setFillColor(HexColor(how))
            canvas.drawPath(_path(canvas, what, True), stroke=0, fill=1)
    canvas.save()
    return target.getvalue()


def _path(canvas: Any, lines: Sequence[Any], closed: Any) -> Any:
    path = canvas.beginPath()
    for vertices in lines:
        path.moveTo(*vertices[0])
        for vertex in vertices[1:]:
            path.lineTo(*vertex)
        if closed:
            path.close()
    return path


def seconds(work: Callable[[], Any]) -> float:
    """Processor time of one run."""
    start = time.process_time()
    work()
    return time.process_time() - start


def recorded(
    asked: EnquiryInfo, batches: Sequence[FeatureBatch], **options: Any
) -> list[tuple[str, Any, Any]]:
    """Return what a plan draws."""
    Recording.entities = []
    plan_module.Ink = Recording  # type: ignore[misc]  # put in place of the class
    try:
        plan(asked, batches, **options)
    finally:
        plan_module.Ink = Ink  # type: ignore[misc]  # put in place of the class
    return Recording.entities


def main() -> None:
    """Print times, sizes and ratios."""
    full, usual = enquiry(300, 180), enquiry(60, 36)
    many, few = town(10_000, 300, 180), town(200, 60, 36)
    entities = recorded(full, many, scale=1000, paper="A3")
    ours, theirs, sheet = [], [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: plan(full, many, scale=1000, paper="A3")))
        theirs.append(seconds(lambda: bare(entities)))
        sheet.append(seconds(lambda: plan(usual, few, scale=200, paper="A3")))
    size = len(plan(full, many, scale=1000, paper="A3")) / 1e6
    drawn = sum(1 if kind == "text" else len(what) for kind, what, _ in entities if kind != "page")
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"10,000 lines on a sheet: {statistics.median(ours):.2f} s, {size:.2f} MB, {drawn:,} entities")
    print(f"reportlab, the same entities: {statistics.median(theirs):.2f} s; ratio {ratio:.2f}")
    print(f"200 lines, index sheet and one sheet: {statistics.median(sheet):.2f} s")


if __name__ == "__main__":
    main()
