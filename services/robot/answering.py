"""From a mapping file and a dig area to a checked answer, or to the findings that forbid it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Final

import shapely

from geoinfra.crs import DENMARK_UTM32
from geoinfra.errors import DataRefused, Finding, Report, Severity
from geoinfra.utilities.check import check_file
from geoinfra.utilities.formats import ler
from geoinfra.utilities.legal_clock import DENMARK, manual_due
from geoinfra.utilities.mapping import DsnOf, Layer, MappingFile, Selection, open_sources
from geoinfra.utilities.model import AnswerHeader, ResponseType
from geoinfra.utilities.sources import Source

__all__ = ["MadeAnswer", "answer_id", "make_answer", "manual_answer"]

NEAR_M: Final = 10_000.0
"""An enquiry concerns who has an interest area there; data that all lie farther off are the wrong data."""

EDGE_M: Final = 0.01
"""How much the dig area is widened, because its coordinates reach the owner rounded to a millimetre."""


@dataclass(slots=True)
class MadeAnswer:
    """What came of making an answer.

    Attributes
    ----------
    path
        The LER document; to be sent only when the report is ``ok``.
    response_type
        What it says.
    features
        How many features it holds.
    report
        Findings of reading the source, then those of the document's check.
    rows
        Layer name -> rows in its sources, whatever the area.
    """

    path: Path
    response_type: ResponseType = ResponseType.NO_LINES
    features: int = 0
    report: Report = field(default_factory=Report)
    rows: dict[str, int] = field(default_factory=dict)


def answer_id(owner_cvr: str, number: str) -> str:
    """Return the id of an owner's answer to an enquiry: the same each time it is made."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:geoinfra:answer:{owner_cvr}:{number}"))


def make_answer(
    mapping: MappingFile,
    area: shapely.Geometry | None,
    target: Path,
    *,
    number: str,
    now: datetime,
    dsn_of: DsnOf | None = None,
) -> MadeAnswer:
    """Select the lines in a dig area, write them as LER 2.2.0, and check what was written.

    Parameters
    ----------
    area
        In EPSG:25832; ``None`` takes everything, to test a whole source.
    target
        File to write; it is absent afterwards when rows could not be used.
    number
        Number of the enquiry.
    now
        Aware moment of the answer.
    dsn_of
        Gives the addresses of databases.

    Raises
    ------
    DataRefused
        The sources as a whole cannot be right: empty, outside Denmark, or nowhere near the area.
    UnreadableFile, InvalidInput, MissingResource
        A source cannot be read.
    """
    made = MadeAnswer(target, rows=_counted(mapping, area, dsn_of))
    wider = None if area is None else shapely.buffer(area, EDGE_M, join_style="mitre")
    selection = Selection(mapping, wider, dsn_of, made.report)
    batches = selection.batches()
    first = next(batches, None)
    made.response_type = ResponseType.NO_LINES if first is None else mapping.answer.delivered
    header = _header(mapping, number, made.response_type, now)
    made.features = ler.write_answer(target, header, chain([first] if first else [], batches))
    if not made.report.ok:
        target.unlink()
        return made
    _check(made, mapping.owner_cvr, selection.origins)
    return made


def manual_answer(
    mapping: MappingFile, target: Path, *, number: str, now: datetime, filed_at: datetime
) -> MadeAnswer:
    """Write the answer that an enquiry is taken out for manual handling, due within two weekdays."""
    header = replace(
        _header(mapping, number, ResponseType.MANUAL, now), valid_to=None, expected_at=manual_due(filed_at)
    )
    ler.write_answer(target, header, ())
    made = MadeAnswer(target, ResponseType.MANUAL)
    _check(made, mapping.owner_cvr, {})
    return made


def _header(mapping: MappingFile, number: str, kind: ResponseType, now: datetime) -> AnswerHeader:
    settings = mapping.answer
    days = settings.valid_days
    return AnswerHeader(
        answer_id(mapping.owner_cvr, number),
        kind,
        valid_to=None if days is None else now.astimezone(DENMARK).date() + timedelta(days=days),
        supplementary_info=settings.supplementary_info,
        contact=settings.contact,
    )


def _check(made: MadeAnswer, owner_cvr: str, origins: dict[str, str]) -> None:
    """Check the document as the receiver will, and say of each finding which row it is about."""
    checked = check_file(made.path, owner_cvr=owner_cvr)
    for finding in checked.findings:
        made.report.add(_with_origin(finding, origins))
    made.report.features = checked.features
    made.report.errors = max(made.report.errors, checked.errors)


def _with_origin(finding: Finding, origins: dict[str, str]) -> Finding:
    origin = origins.get(finding.feature_id or "")
    if not origin:
        return finding
    danish = f"{finding.message_da or finding.message} ({origin})"
    return replace(finding, message=f"{finding.message} ({origin})", message_da=danish)


# --- can the sources as a whole be right?


def _counted(mapping: MappingFile, area: shapely.Geometry | None, dsn_of: DsnOf | None) -> dict[str, int]:
    """Return the number of rows of each layer; raise when the sources cannot be right."""
    report, rows, nearest_m = Report(), {}, None
    for layer in mapping.layers:
        rows[layer.name] = 0
        for source in open_sources(layer, dsn_of):
            count, bounds = source.extent()
            rows[layer.name] += count
            if bounds is None:
                continue
            report.extend(_outside(layer, source, bounds))
            away_m = 0.0 if area is None else float(shapely.distance(area, shapely.box(*bounds)))
            nearest_m = away_m if nearest_m is None else min(away_m, nearest_m)
        report.extend(_too_few(layer, rows[layer.name]))
    if nearest_m is not None and nearest_m > NEAR_M:
        report.add(_far(nearest_m))
    if not report.ok:
        raise DataRefused(
            "The sources cannot be right, so no answer was made.",
            report,
            hint="Mend source or mapping; an empty or misplaced source must not say that nothing lies here.",
        )
    return rows


def _too_few(layer: Layer, rows: int) -> Iterator[Finding]:
    if rows < layer.rows_at_least:
        yield Finding(
            "MAP-TOO-FEW-ROWS",
            Severity.ERROR,
            f"Layer {layer.name}: the source has {rows} rows; the mapping wants {layer.rows_at_least}.",
            f"Lag {layer.name}: kilden har {rows} rækker; afbildningen kræver {layer.rows_at_least}.",
            path=layer.name,
            expected=f"{layer.rows_at_least} rows or more",
            found=str(rows),
            hint="Was the export cut short? Else set rows_at_least.",
            hint_da="Blev udtrækket afbrudt? Ellers sæt rows_at_least.",
        )


def _outside(layer: Layer, source: Source, bounds: tuple[float, float, float, float]) -> Iterator[Finding]:
    west, south, east, north = DENMARK_UTM32
    if west <= bounds[0] and bounds[2] <= east and south <= bounds[1] and bounds[3] <= north:
        return
    found = ", ".join(f"{number:.0f}" for number in bounds)
    yield Finding(
        "MAP-OUTSIDE-DENMARK",
        Severity.ERROR,
        f"{source.name}: the rows do not all lie in Denmark; the coordinates were read as {source.crs.name}.",
        f"{source.name}: rækkerne ligger ikke alle i Danmark; koordinaterne er læst som {source.crs.name}.",
        path=layer.name,
        expected="within " + ", ".join(f"{number:.0f}" for number in DENMARK_UTM32),
        found=found,
        hint="Is the coordinate reference system the right one, and easting before northing?",
        hint_da="Er koordinatsystemet det rigtige, og står øst før nord?",
    )


def _far(nearest_m: float) -> Finding:
    return Finding(
        "MAP-FAR-AWAY",
        Severity.ERROR,
        f"All rows lie {nearest_m / 1000:.0f} km or more from the dig area: these are not the lines meant.",
        f"Alle rækker ligger mindst {nearest_m / 1000:.0f} km fra graveområdet: det er de forkerte data.",
        expected=f"rows within {NEAR_M / 1000:.0f} km",
        found=f"{nearest_m / 1000:.1f} km",
        hint="Check the coordinate reference system, or the interest areas of the owner.",
        hint_da="Se koordinatsystemet efter, eller ejerens interesseområder.",
    )
