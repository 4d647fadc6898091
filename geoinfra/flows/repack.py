"""Make a package that a contractor holds anew: read as it came, written as ours, with nothing lost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

import orjson
import shapely

from geoinfra.errors import Finding, GeoinfraError, Report, Severity
from geoinfra.flows.package_files import DRAWINGS, MANIFEST, OPTIONAL, Attachment, Contents, write_package
from geoinfra.presentation.check_report import report_text
from geoinfra.presentation.offline_html import PageFacts
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.containment import with_container_geometry
from geoinfra.utilities.enquiry import DIG_METHODS
from geoinfra.utilities.formats.intake import Limits
from geoinfra.utilities.formats.ler_write import opened_for_writing
from geoinfra.utilities.formats.package import EnquiryInfo, Package, PackageArea, PackageOwner, read_package
from geoinfra.utilities.formats.package_seal import SIGNATURE
from geoinfra.utilities.formats.package_write import status_of
from geoinfra.utilities.formats.request import DigRequest
from geoinfra.utilities.precautions import evaluate
from geoinfra.utilities.sandbox import bare_number

__all__ = ["Repacked", "repack"]

_FORMAT = "geoinfra utility-line package 1"
_ORIGINAL = "original"
_ALL = tuple(name for name in DRAWINGS if name not in OPTIONAL)
_MADE = frozenset(
    (
        "consolidated.gml",
        "ledningsejerstatusliste.xml",
        "ledninger.geojson",
        "ledninger.gpkg",
        "ledninger.dxf",
        "plan.pdf",
        "index.html",
        "report.json",
        "report.txt",
        "rapport.txt",
        MANIFEST,
        SIGNATURE,
    )
)
_OWNER_PLAN = re.compile(r"plan-[0-9]{8}\.pdf")
_NUMBER = "interest_area_no"  # beside the columns of the schema while containers are looked for


@dataclass(frozen=True, slots=True)
class Repacked:
    """A package that was made anew.

    Attributes
    ----------
    features
        Features in it.
    report
        What was found in the source and what was changed or left out; also in the package.
    manifest
        The list of its files.
    """

    features: int
    report: Report
    manifest: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the outcome, JSON-ready."""
        return {
            "features": self.features,
            "report": self.report.to_json(),
            "manifest": dict(self.manifest),
        }


def repack(
    source: Path | BinaryIO,
    target: Path | BinaryIO,
    *,
    formats: Iterable[str] = _ALL,
    limits: Limits | None = None,
    progress: Callable[[float, str], None] = lambda _fraction, _text: None,
) -> Repacked:
    """Read a package tolerantly and write it with every format, a report of the changes and a manifest.

    The documents as they came are under ``original/``: what could not be read is still there. All features
    are held in memory, about 3 KB each.

    Parameters
    ----------
    source
        Zip, folder or ``consolidated.gml``; see :func:`~geoinfra.utilities.formats.package.read_package`.
    target
        Zip to write; a path appears whole or not at all.
    formats
        Drawings beside the documents: ``gpkg``, ``geojson``, ``dxf``, ``html``, ``pdf``, ``pdf-owners``.

    Raises
    ------
    UnreadableFile
        The source is no package, or not safe to read.
    """
    opened = read_package(source, limits=limits)
    progress(0.0, "reading")
    batches, numbers = _rows(opened)
    report, features = opened.report, sum(map(len, batches))
    progress(0.4, f"{features:,} features")
    contents = Contents(
        opened.enquiry,
        opened.owners,
        batches,
        numbers,
        None if _has_request(opened) else _dig_request(opened.enquiry),
        list(_attachments(opened)),
        _page_facts(opened.enquiry, batches),
    )
    if opened.enquiry is None:
        report.add(_no_page())
    with opened_for_writing(target) as file:
        manifest = write_package(
            file,
            contents,
            formats,
            lambda members: _manifest(opened, batches, members),
            lambda fraction, text: progress(0.4 + 0.6 * fraction, text),
            left_out=lambda name, error: report.add(_left_out(name, error)),
            texts=lambda: _reports(report),
        )
    return Repacked(features, report, manifest)


# -- rows


def _rows(opened: Package) -> tuple[list[FeatureBatch], list[Sequence[str] | None]]:
    """Return all rows by owner with their interest areas; contained lines get their container's place."""
    by_owner: dict[str, list[FeatureBatch]] = {owner.cvr: [] for owner in opened.owners}
    for batch, numbers in opened.numbered_batches():
        batch.columns[_NUMBER] = numbers
        by_owner.setdefault(batch.columns["owner_cvr"][0], []).append(batch)
    batches: list[FeatureBatch] = []
    chosen: list[Sequence[str] | None] = []
    for owned in by_owner.values():
        for batch in with_container_geometry(owned):
            chosen.append(batch.columns.pop(_NUMBER))
            batches.append(batch)
    return batches, chosen


# -- files


def _base(opened: Package) -> str:
    """Return the folder in the source where the package lies, with a stroke at its end."""
    folder = PurePosixPath(opened.document_name).parent.as_posix()
    return "" if folder == "." else f"{folder}/"


def _has_request(opened: Package) -> bool:
    return any("graveforespoergsel" in name.casefold() for name in opened.members)


def _attachments(opened: Package) -> Iterator[Attachment]:
    """Yield every other file of the source under its own name, and the documents under ``original/``."""
    base = _base(opened)
    ours = _is_ours(opened, base)
    for name in opened.members:
        short = name.removeprefix(base)
        if not _is_made(short):
            yield Attachment(short, _opener(opened, name))
        elif not ours:
            yield Attachment(f"{_ORIGINAL}/{short}", _opener(opened, name))
    if not opened.members:  # a bare document
        yield Attachment(f"{_ORIGINAL}/consolidated.gml", _opener(opened, ""))


def _is_ours(opened: Package, base: str) -> bool:
    """Whether the source was made here: its drawings are made anew, and its originals are kept."""
    name = f"{base}{MANIFEST}"
    if name not in opened.members or f"{base}{_ORIGINAL}/consolidated.gml" not in opened.members:
        return False
    try:
        return bool(orjson.loads(opened.attachment(name)).get("format") == _FORMAT)
    except (ValueError, AttributeError):
        return False


def _is_made(name: str) -> bool:
    return name.casefold() in _MADE or _OWNER_PLAN.fullmatch(name.casefold()) is not None


def _opener(opened: Package, name: str) -> Callable[[], Any]:
    @contextmanager
    def open_it() -> Iterator[IO[bytes]]:
        with opened.open_member(name) as file:
            yield file

    return open_it


def _dig_request(enquiry: EnquiryInfo | None) -> DigRequest | None:
    """Return the request as it can be told from the package."""
    if enquiry is None or not isinstance(shapely.from_wkb(enquiry.polygon), shapely.Polygon):
        return None
    more = dict(enquiry.more)
    return DigRequest(
        polygon=enquiry.polygon,
        period_from=enquiry.period_from,
        period_to=max(enquiry.period_to, enquiry.period_from),
        methods=enquiry.methods,
        description=enquiry.description[:100] or "-",
        methods_other=enquiry.methods_other[:50],
        purpose=more.get("formaal_id", "99"),
        own_number=bare_number(enquiry.number)[:12],
    )


def _page_facts(enquiry: EnquiryInfo | None, batches: Sequence[FeatureBatch]) -> PageFacts:
    """Return the precautions of the dig; a method that is not known counts as any."""
    area = shapely.from_wkb(enquiry.polygon) if enquiry else None
    if enquiry is None or not isinstance(area, shapely.Polygon | shapely.MultiPolygon):
        return PageFacts()
    if area.is_empty or not area.is_valid:
        return PageFacts()
    methods = [method for method in enquiry.methods if method in DIG_METHODS]
    return PageFacts(precautions=tuple(evaluate(methods or ["99"], None, area, batches)))


# -- what is told


def _left_out(name: str, error: GeoinfraError) -> Finding:
    return Finding(
        "PACKAGE-FORMAT-LEFT-OUT",
        Severity.WARNING,
        f"{name} could not be made: {error.message}",
        f"{name} kunne ikke laves.",
        path=name,
        hint=error.hint or "Use one of the other files.",
        hint_da="Brug en af de andre filer.",
    )


def _no_page() -> Finding:
    return Finding(
        "PACKAGE-FORMAT-LEFT-OUT",
        Severity.WARNING,
        "index.html was left out: the package does not tell the dig area and the period.",
        "index.html er udeladt: pakken oplyser ikke graveområde og periode.",
        path="index.html",
        hint="Use one of the other files.",
        hint_da="Brug en af de andre filer.",
    )


def _reports(report: Report) -> dict[str, str]:
    return {
        "report.json": orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2).decode(),
        "report.txt": report_text(report, "en"),
        "rapport.txt": report_text(report, "da"),
    }


def _manifest(
    opened: Package, batches: Sequence[FeatureBatch], members: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for batch in batches:
        counts[batch.columns["owner_cvr"][0]] += len(batch)
    waiting = [owner for owner in opened.owners if not all(map(_is_final, owner.by_area()))]
    report = opened.report
    return {
        "format": _FORMAT,
        "number": opened.enquiry.number if opened.enquiry else "",
        "repacked_from": opened.source_name,
        "features": sum(counts.values()),
        "complete": not waiting,
        "missing": [owner.cvr for owner in waiting],
        "owners": [_owner(owner, counts[owner.cvr]) for owner in opened.owners],
        "errors": report.errors,
        "warnings": report.warnings,
        "files": list(members),
    }


def _is_final(area: PackageArea) -> bool:
    return status_of(area.status).final


def _owner(owner: PackageOwner, features: int) -> dict[str, Any]:
    return {
        "cvr": owner.cvr,
        "name": owner.name,
        "interest_areas": list(owner.indberetnings_no),
        "status": str(status_of(owner.status)),
        "status_da": owner.status,
        "features": features,
        "valid_to": owner.valid_to.isoformat() if owner.valid_to else None,
        "supplementary_info": owner.supplementary_info,
    }
