"""The utility-line package: ``consolidated.gml`` and ``LedningsejerStatusListe.xml``, out and in.

A package holds the features of all owners in one document. Each carries, without namespace, ``objectType``,
its owner (``ledningsejer``) and the number of the interest area (``indberetningsNr``). Reading takes what is
around in the field: GML 2 and 3.2 members, WFS 1 and 2 collections, LER/1 and LER/2, members with and without
namespace, owners who are named in the status list only, features that name no owner.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import shapely
from lxml import etree

from geoinfra.errors import Finding, NotFound, Report
from geoinfra.tables import BATCH_ROWS, FeatureBatch
from geoinfra.utilities.catalogue import FeatureClass
from geoinfra.utilities.formats.intake import Intake, Limits, local_name, root_and_children
from geoinfra.utilities.formats.ler_read import Answer, ElementReader, FeatureRules, Keep, RuleFactory
from geoinfra.utilities.formats.package_check import missing_attachment, outside_area, ownerless
from geoinfra.utilities.formats.package_survey import Survey, is_special, owner_mark
from geoinfra.utilities.formats.package_write import (
    NOT_DELIVERED,
    UNKNOWN_OWNER,
    EnquiryInfo,
    PackageArea,
    PackageOwner,
    status_text,
    write_consolidated,
    write_status_list,
)
from geoinfra.utilities.formats.request import DigRequest, read_request, write_request
from geoinfra.utilities.model import AnswerHeader, ResponseType
from geoinfra.utilities.shapes import Shape, wkb

__all__ = [
    "NOT_DELIVERED",
    "PACKAGE_ROOT",
    "PACKAGE_ROOTS",
    "UNKNOWN_OWNER",
    "DigRequest",
    "EnquiryInfo",
    "Package",
    "PackageArea",
    "PackageOwner",
    "answer_of",
    "read_package",
    "read_request",
    "status_text",
    "write_consolidated",
    "write_request",
    "write_status_list",
]

PACKAGE_ROOT = "{http://www.opengis.net/wfs}FeatureCollection"
"""Root of ``consolidated.gml`` as it is written."""

PACKAGE_ROOTS = (
    PACKAGE_ROOT,
    "{http://www.opengis.net/wfs/2.0}FeatureCollection",
    "{http://www.opengis.net/gml}FeatureCollection",
    "{http://www.opengis.net/gml/3.2}FeatureCollection",
)
"""Roots of ``consolidated.gml`` that are read."""

_DOCUMENT = "consolidated.gml"
_GML = (
    "{http://www.opengis.net/gml}",
    "{http://www.opengis.net/gml/3.2}",
    "{http://www.opengis.net/wfs/2.0}",
)
_PLURAL = frozenset(f"{space}{name}" for space in _GML for name in ("featureMembers", "members"))
_GML_ID = "{http://www.opengis.net/gml/3.2}id"
_PLACED = frozenset(("line", "trace", "component"))
_MOST_HELD_ROWS = 10 * BATCH_ROWS


@dataclass(slots=True)
class Package:
    """A package that was read.

    Attributes
    ----------
    enquiry
        The dig enquiry, ``None`` where the document does not tell.
    owners
        Owners in the order of the document, then those in the status list only. Features that name no owner
        belong to ``UNKNOWN_OWNER``.
    report
        What is missing or doubtful about the package as a whole; the findings about its features are there
        when :meth:`batches` was drained.
    attachments
        Names of the files that came with it.
    """

    enquiry: EnquiryInfo | None
    owners: tuple[PackageOwner, ...]
    report: Report
    attachments: tuple[str, ...]
    _intake: Intake
    _survey: Survey
    _strict: bool = False
    _rules: RuleFactory | None = None
    _only: str | None = None

    def batches(self, *, elements: bool = True) -> Iterator[FeatureBatch]:
        """Yield the features of all owners in one pass, each batch of one owner; may be called again.

        Without `elements` the rows lack the column ``gml`` and come sooner.
        """
        keep = Keep.ELEMENTS if elements else Keep.ROWS
        for batch, _ in self._read(self._readers(self._fresh(), keep), self._only):
            yield batch

    def numbered_batches(self) -> Iterator[tuple[FeatureBatch, list[str]]]:
        """Yield what :meth:`batches` does, with the number of the interest area of each row."""
        yield from self._read(self._readers(self._fresh(), Keep.ELEMENTS), self._only)

    def scan(self) -> Report:
        """Read and check every feature without making rows, and return the report."""
        for _ in self._read(self._readers(self._fresh(), Keep.NOTHING), self._only):
            pass
        return self.report

    def attachment(self, name: str) -> bytes:
        """Return the bytes of one of the attachments; ``NotFound`` when there is none of that name."""
        return self._intake.attachment(name)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of all files that the package came with, its documents among them."""
        return self._intake.members

    @property
    def document_name(self) -> str:
        """Name of the member that is ``consolidated.gml``, empty where it came bare."""
        return self._intake.documents[0] if self._intake.documents else ""

    @property
    def source_name(self) -> str:
        """File name of the source, empty where it is not known."""
        return self._intake.name

    def open_member(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open any of :attr:`members`, the document itself for an empty name."""
        return self._intake.open(name)

    def attachment_of(self, owner_cvr: str, path: str) -> str | None:
        """Return the name of the file that a feature of an owner calls `path` (``sti``), if it came."""
        return self._survey.attachment_of(owner_cvr, path)

    def answer_for(self, cvr: str) -> Answer:
        """Return one owner's answer; its rows equal those that were delivered.

        Raises
        ------
        NotFound
            The package holds nothing of this owner.
        """
        owner = next((one for one in self.owners if one.cvr == cvr), None)
        if owner is None:
            raise NotFound(f"The package holds nothing of the owner {cvr[:20]}.")
        number = self.enquiry.number if self.enquiry else ""
        header = AnswerHeader(
            answer_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{number}/{cvr}")),
            response_type=owner.response_type or ResponseType.DELIVERED,
            valid_to=owner.valid_to,
            expected_at=owner.expected_at,
            supplementary_info=owner.supplementary_info,
            contact=owner.contact,
            model_version=self._survey.model_of(cvr),
        )

        def stream(report: Report, keep: Keep) -> Iterator[FeatureBatch]:
            readers = _Readers(self._intake, self._survey, self._strict, self._rules, report, keep)
            for batch, _ in self._read(readers, cvr):
                yield batch

        return Answer(
            cvr, header, Report(), self._survey.attachments_of(cvr), stream, self._intake.attachment
        )

    def _fresh(self) -> Report:
        report = self.report
        report.features = report.errors = report.warnings = 0
        report.findings.clear()
        report.extend(self._survey.findings)
        return report

    def _readers(self, report: Report, keep: Keep) -> _Readers:
        area = None if self.enquiry is None else shapely.from_wkb(self.enquiry.polygon)
        return _Readers(self._intake, self._survey, self._strict, self._rules, report, keep, area)

    def _read(self, readers: _Readers, only: str | None) -> Iterator[tuple[FeatureBatch, list[str]]]:
        with self._intake.open() as file:
            for element in members_of(file, self._intake.limits):
                cvr, number = owner_mark(element)
                if is_special(element):
                    if local_name(element) == "Kontaktprofil":
                        readers.reserve(element, cvr or self._survey.owner_of(number), only)
                    continue
                if not cvr:
                    readers.ownerless += 1
                owner = cvr or UNKNOWN_OWNER
                if only in (None, owner):
                    yield from readers.feature(owner, number, element)
        yield from readers.finish(only)


def read_package(
    source: Path | BinaryIO,
    *,
    owner_cvr: str | None = None,
    limits: Limits | None = None,
    strict: bool = False,
    rules: RuleFactory | None = None,
) -> Package:
    """Read what a package says of its enquiry and owners; features stream from :meth:`Package.batches`.

    Parameters
    ----------
    source
        ``consolidated.gml``, the zip or the folder that holds it, or a zip that holds that zip.
    owner_cvr
        Only this owner.
    limits
        Bounds on what is read.
    strict
        Change nothing in features, and take what the official schema refuses as an error.
    rules
        Makes the rules beyond the schema, once for each owner; none are tried without.

    Raises
    ------
    UnreadableFile
        It is no package, or not safe to read.
    NotFound
        It holds nothing of `owner_cvr`.
    """
    intake = Intake(source, limits or Limits(), _DOCUMENT)
    return opened(intake, owner_cvr=owner_cvr, strict=strict, rules=rules)


def answer_of(
    intake: Intake, owner_cvr: str, *, strict: bool = False, rules: RuleFactory | None = None
) -> Answer:
    """Return one owner's answer out of a package; see :meth:`Package.answer_for`."""
    return opened(intake, strict=strict, rules=rules).answer_for(owner_cvr)


def opened(
    intake: Intake, *, owner_cvr: str | None = None, strict: bool = False, rules: RuleFactory | None = None
) -> Package:
    """Read everything of a package but its features; the document of `intake` is ``consolidated.gml``."""
    survey = Survey(intake)
    with intake.open() as file:
        for element in members_of(file, intake.limits):
            survey.take(element)
    survey.finish()
    owners = survey.owners
    if owner_cvr is not None:
        owners = tuple(owner for owner in owners if owner.cvr == owner_cvr)
        if not owners:
            raise NotFound(f"The package holds nothing of the owner {owner_cvr[:20]}.")
    report = Report()
    report.extend(survey.findings)
    names = tuple(name for name in intake.members if name not in survey.own_members)
    return Package(survey.enquiry, owners, report, names, intake, survey, strict, rules, owner_cvr)


def members_of(file: IO[bytes], limits: Limits) -> Iterator[etree._Element]:
    """Yield the feature elements of a package, whatever their members are called."""
    children = root_and_children(file, limits, PACKAGE_ROOTS, plural=_PLURAL)
    next(children)
    for member in children:
        name = local_name(member)
        if name in ("featureMember", "member", "featureMembers", "members"):
            yield from member
        elif name != "boundedBy":
            yield member


class _Readers:
    """Reads the features of all owners, each by a reader of his own that shares the report."""

    def __init__(
        self,
        intake: Intake,
        survey: Survey,
        strict: bool,
        rules: RuleFactory | None,
        report: Report,
        keep: Keep,
        area: shapely.Geometry | None = None,
    ) -> None:
        self.ownerless = 0
        self._survey = survey
        self._attached = intake.is_zip
        self._strict = strict
        self._rules = rules
        self._report = report
        self._keep = keep
        self._area = area
        self._readers: dict[str, ElementReader] = {}
        self._numbers: dict[str, list[str]] = {}
        self._held = 0
        shapely.prepare(area)

    def _reader(self, cvr: str) -> ElementReader:
        reader = self._readers.get(cvr)
        if reader is None:
            model = self._survey.model_of(cvr)
            rules = self._rules(model) if self._rules else None
            if self._area is not None:
                rules = _InArea(self._area, rules)
            reader = ElementReader(
                cvr, self._report, model, strict=self._strict, rules=rules, keep=self._keep
            )
            self._readers[cvr] = reader
            self._numbers[cvr] = []
        return reader

    def reserve(self, contact: etree._Element, cvr: str, only: str | None) -> None:
        """Note a contact that stands for itself, so that features may refer to it."""
        if cvr and only in (None, cvr):
            self._reader(cvr).reserve(contact.get(_GML_ID) or "")

    def feature(
        self, cvr: str, number: str, element: etree._Element
    ) -> Iterator[tuple[FeatureBatch, list[str]]]:
        reader = self._reader(cvr)
        before = len(reader.rows)
        reader.feature(element)
        after = len(reader.rows)
        if after == before:
            return
        self._numbers[cvr].append(number)
        self._held += 1
        if after >= BATCH_ROWS:
            yield from self._full(cvr)
        elif self._held >= _MOST_HELD_ROWS:  # many owners with few rows each
            for one in self._readers:
                yield from self._full(one)

    def _full(self, cvr: str) -> Iterator[tuple[FeatureBatch, list[str]]]:
        for batch in self._readers[cvr].full_batches(1):
            numbers, self._numbers[cvr] = self._numbers[cvr], []
            self._held -= len(batch)
            yield batch, numbers

    def finish(self, only: str | None) -> Iterator[tuple[FeatureBatch, list[str]]]:
        for cvr in self._readers:
            yield from self._full(cvr)
        for cvr, reader in self._readers.items():
            reader.finish(extract=True)
            self._check_attachments(cvr, reader)
        if self.ownerless:
            self._report.add(ownerless(self.ownerless, kept=only in (None, UNKNOWN_OWNER)))

    def _check_attachments(self, cvr: str, reader: ElementReader) -> None:
        if not self._attached:
            return
        for path, feature_id, line in reader.files:
            if self._survey.attachment_of(cvr, path) is None:
                self._report.add(missing_attachment(path, cvr, feature_id, line))


class _InArea:
    """Finds the features that do not touch the dig area (to a centimetre); passes each on to other rules."""

    _AT_ONCE = 1000
    _TOLERANCE_M = 0.01

    def __init__(self, area: shapely.Geometry, rules: FeatureRules | None) -> None:
        self._area = area
        self._rules = rules
        self._held: list[tuple[str, str, int | None, Shape]] = []
        self._found: list[Finding] = []

    def feature(
        self,
        entry: FeatureClass,
        gml_id: str,
        properties: Mapping[str, Any],
        shape: Shape | None,
        line: int | None,
    ) -> Iterable[Finding]:
        """Hold the geometry of a line, trace or component back to be tried together with others."""
        if shape is not None and entry.kind in _PLACED:
            self._held.append((entry.name, gml_id, line, shape))
            if len(self._held) >= self._AT_ONCE:
                self._try()
        return () if self._rules is None else self._rules.feature(entry, gml_id, properties, shape, line)

    def finish(self) -> Iterable[Finding]:
        """Return the findings about the whole, and those that lie outside."""
        self._try()
        yield from self._found
        if self._rules is not None:
            yield from self._rules.finish()

    def _try(self) -> None:
        held, self._held = self._held, []
        if not held:
            return
        shapes = shapely.from_wkb([_flat(shape) for *_, shape in held], on_invalid="ignore")
        outside = np.flatnonzero(~shapely.intersects(self._area, shapes) & ~shapely.is_missing(shapes))
        for row in outside:
            name, gml_id, line, shape = held[row]
            if shapely.distance(self._area, shapes[row]) > self._TOLERANCE_M:
                place = (shape.vertices[0], shape.vertices[1])
                self._found.append(outside_area(name, gml_id, line, place))


def _flat(shape: Shape) -> bytes:
    xyz = np.frombuffer(shape.vertices, dtype=np.float64).reshape(-1, 3)
    return wkb(shape.kind, shape.parts, np.ascontiguousarray(xyz[:, :2]).tobytes())
