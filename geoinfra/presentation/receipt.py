"""The receipt of a dig enquiry as a PDF: what was asked, where, and who must answer until when."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import shapely

from geoinfra.errors import MissingResource
from geoinfra.utilities.enquiry import DIG_METHODS

__all__ = ["OwnerLine", "Receipt", "receipt_pdf"]

_DENMARK: Final = ZoneInfo("Europe/Copenhagen")
_WIDTH: Final = 595.0
_TOP: Final = 790.0
_LEFT: Final = 50.0
_RIGHT: Final = 545.0
_BOTTOM: Final = 60.0
_MAP: Final = 220.0
_MOST_LINES: Final = 12


@dataclass(frozen=True, slots=True)
class OwnerLine:
    """One owner in the receipt; the times are UTC text."""

    name: str
    cvr: str
    status: str
    due_at: str | None
    answered_at: str | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the receipt says.

    Attributes
    ----------
    ler_number
        The number as LER's clients write it.
    polygon
        Dig area, EPSG:25832 metres.
    """

    number: str
    ler_number: int
    filed_at: datetime
    filer: str
    contact: str
    period: tuple[date, date]
    methods: Sequence[str]
    methods_other: str
    description: str
    polygon: shapely.Polygon
    owners: Sequence[OwnerLine]


def receipt_pdf(receipt: Receipt) -> bytes:
    """Return the receipt as a PDF; the same receipt gives the same bytes.

    Raises
    ------
    MissingResource
        The extra ``services`` is not installed.
    """
    try:
        from reportlab.pdfgen.canvas import Canvas
    except ImportError as error:
        raise MissingResource(
            "A receipt needs reportlab.", hint="Install the extra: pip install 'geoinfra[services]'."
        ) from error
    target = io.BytesIO()
    page = _Page(Canvas(target, pagesize=(_WIDTH, 842.0), invariant=1))
    page.canvas.setTitle(f"Kvittering for graveforespørgsel {receipt.number}")
    page.line("Kvittering for graveforespørgsel", size=18, bold=True)
    page.line(f"Nummer {receipt.number} ({receipt.ler_number})", size=12)
    page.space(8)
    for label, text in _facts(receipt):
        page.fact(label, text)
    page.space(6)
    page.map(receipt.polygon)
    page.line("Ledningsejere, der er spurgt", size=12, bold=True)
    if not receipt.owners:
        page.line("Ingen ledningsejer har interesseområder her.")
    for owner in receipt.owners:
        page.fact(f"{owner.name}"[:60], _owner(owner))
    page.space(6)
    page.line("Der må først graves, når alle ledningsoplysninger er modtaget, og kun i området ovenfor.")
    page.canvas.save()
    return target.getvalue()


def _facts(receipt: Receipt) -> Iterator[tuple[str, str]]:
    start, end = receipt.period
    methods = [DIG_METHODS.get(number, number) for number in receipt.methods]
    if receipt.methods_other:
        methods.append(receipt.methods_other)
    yield "Oprettet", _moment(receipt.filed_at)
    yield "Bestiller", receipt.filer
    yield "Kontakt", receipt.contact
    yield "Graveperiode", f"{start:%d.%m.%Y} til {end:%d.%m.%Y}"
    yield "Graveart", ", ".join(methods)
    yield "Areal", f"{receipt.polygon.area:,.0f} m²".replace(",", ".")
    yield "Bemærkning", receipt.description or "-"


def _owner(owner: OwnerLine) -> str:
    text = f"CVR {owner.cvr}: {owner.status}"
    if owner.answered_at:
        return f"{text}, {_moment(datetime.fromisoformat(owner.answered_at))}"
    return f"{text}, frist {_moment(datetime.fromisoformat(owner.due_at))}" if owner.due_at else text


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(_DENMARK):%d.%m.%Y kl. %H.%M}"


class _Page:
    """Writes from the top of a page down, and goes on to the next."""

    def __init__(self, canvas: Any) -> None:
        self.canvas = canvas
        self._y = _TOP

    def space(self, points: float) -> None:
        """Go down."""
        self._y -= points
        if self._y < _BOTTOM:
            self.canvas.showPage()
            self._y = _TOP

    def line(self, text: str, *, size: float = 10, bold: bool = False, left: float = _LEFT) -> None:
        """Write one line."""
        self.space(size * 1.5)
        self.canvas.setFont("Helvetica-Bold" if bold else "Helvetica", size)
        self.canvas.drawString(left, self._y, text)

    def fact(self, label: str, text: str) -> None:
        """Write a label and, beside it, a text over as many lines as it needs."""
        lines = self._wrapped(text, _RIGHT - 190)
        for number, part in enumerate(lines[:_MOST_LINES]):
            self.line(part, left=190)
            if number == 0:
                self.canvas.setFont("Helvetica-Bold", 9)
                self.canvas.drawString(_LEFT, self._y, self._wrapped(label, 135, "Helvetica-Bold", 9)[0])

    def _wrapped(self, text: str, width: float, font: str = "Helvetica", size: float = 10) -> list[str]:
        lines = [""]
        for word in text.split():
            for part in self._pieces(word, width, font, size):
                longer = f"{lines[-1]} {part}".strip()
                if self.canvas.stringWidth(longer, font, size) <= width:
                    lines[-1] = longer
                else:
                    lines.append(part)
        return lines if lines[0] or len(lines) == 1 else lines[1:]

    def _pieces(self, word: str, width: float, font: str, size: float) -> Iterator[str]:
        """Yield a word, in pieces when it is wider than the line."""
        while word:
            length = len(word)
            while length > 1 and self.canvas.stringWidth(word[:length], font, size) > width:
                length -= max(1, length // 10)
            yield word[:length]
            word = word[length:]

    def map(self, polygon: shapely.Polygon) -> None:
        """Draw the outline of the dig area, north up, with its extent."""
        min_e, min_n, max_e, max_n = polygon.bounds
        scale = _MAP / max(max_e - min_e, max_n - min_n, 1.0)
        if self._y - _MAP - 30 < _BOTTOM:
            self.canvas.showPage()
            self._y = _TOP
        base = self._y - _MAP
        path = self.canvas.beginPath()
        for ring in (polygon.exterior, *polygon.interiors):
            points = [(_LEFT + (x - min_e) * scale, base + (y - min_n) * scale) for x, y in ring.coords]
            path.moveTo(*points[0])
            for point in points[1:]:
                path.lineTo(*point)
            path.close()
        self.canvas.setFillColorRGB(0.85, 0.9, 1.0)
        self.canvas.drawPath(path, fill=1, stroke=1, fillMode=0)
        self.canvas.setFillColorRGB(0, 0, 0)
        self._y = base
        corners = f"Ø {min_e:.1f} til {max_e:.1f}, N {min_n:.1f} til {max_n:.1f} (EPSG:25832)"
        self.line(corners, size=8)
        self.space(8)
