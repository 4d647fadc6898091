"""LER answers: one owner's utility features with their header, in and out.

In: ``Graveforespoergselssvar`` of the models 1.0.0 to 2.2.0, as GML or in the flat zip that owners send, and
one owner's part of a package (``consolidated.gml``). Everything is lifted to 2.2.0, each change is a finding.
Out: 2.2.0.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

from lxml import etree

from geoinfra.errors import DataRefused, Finding, Report, Severity
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.formats.gml_geometry import GML
from geoinfra.utilities.formats.intake import Intake, Limits, local_name, root_and_children
from geoinfra.utilities.formats.ler_read import Answer, ElementReader, Keep, RuleFactory, parse_datetime
from geoinfra.utilities.formats.ler_write import write_answer
from geoinfra.utilities.formats.package import PACKAGE_ROOT, answer_of
from geoinfra.utilities.legal_clock import DENMARK
from geoinfra.utilities.model import AnswerHeader, Contact, ResponseType, require_cvr

__all__ = ["Answer", "Limits", "RuleFactory", "read_answer", "write_answer"]

_SVAR = "Graveforespoergselssvar"
_LER_1 = "http://data.gov.dk/schemas/LER/1/gml"
_VERSIONS = {
    "1": "1.0.0",
    "1.0": "1.0.0",
    "2": "2.0.1",
    "2.0": "2.0.1",
    "2.1": "2.1.0",
    "2.2": "2.2.0",
}
_LOOK_EVERY = 64
"""After how many members it is looked whether a batch is full."""
_MOST_NAMES = 64
_VERSION = re.compile(r"\d+(\.\d+){0,2}")


def read_answer(
    source: Path | BinaryIO | Intake,
    *,
    owner_cvr: str,
    limits: Limits | None = None,
    strict: bool = False,
    rules: RuleFactory | None = None,
) -> Answer:
    """Open an owner's answer; its features stream from :meth:`Answer.batches`.

    Parameters
    ----------
    source
        Path or binary file: GML, or a zip that holds one ``.gml`` and its attachments; or one opened already.
    owner_cvr
        CVR number of the owner whose answer it is; of a package his part is taken.
    limits
        Bounds on what is read.
    strict
        Change nothing and take what the official schema refuses as an error.
    rules
        Makes the rules beyond the schema, for instance
        :class:`~geoinfra.utilities.check.rules.BusinessRules`; none are tried without.

    Raises
    ------
    UnreadableFile
        It is not such a document, is malformed or unsafe, or passes a bound.
    DataRefused
        The header does not say which answer it is, or of which type.
    InvalidInput
        `owner_cvr` is no CVR number.
    NotFound
        A package holds nothing of this owner.
    """
    require_cvr(owner_cvr)
    intake = source if isinstance(source, Intake) else Intake(source, limits or Limits())
    with intake.open() as file:
        children = _document(file, intake.limits)
        root = next(children)
        if root.tag == PACKAGE_ROOT:
            return answer_of(intake, owner_cvr, strict=strict, rules=rules)
        report = Report()
        model = _model(root, report)
        reader = ElementReader(owner_cvr, report, model, strict=strict)
        fields = _header_fields(reader, children)
        header = _header(fields, model, report)
    weight = Severity.ERROR if rules and model != "1.0.0" else Severity.WARNING
    _check_header(header, report, weight)
    _check_documents(intake, report)

    def stream(fresh: Report, keep: Keep) -> Iterator[FeatureBatch]:
        made = rules(model) if rules else None
        reader = ElementReader(owner_cvr, fresh, model, strict=strict, rules=made, keep=keep)
        return _batches(intake, reader, header, weight)

    return Answer(
        owner_cvr,
        header,
        report,
        tuple(name for name in intake.members if name not in intake.documents),
        stream,
        intake.attachment,
        tuple(report.findings),
    )


def _document(file: Any, limits: Limits) -> Iterator[etree._Element]:
    return root_and_children(file, limits, (f"{{*}}{_SVAR}", PACKAGE_ROOT))


def _batches(
    intake: Intake, reader: ElementReader, header: AnswerHeader, weight: Severity
) -> Iterator[FeatureBatch]:
    """Read the features of an answer."""
    with intake.open() as file:
        watched = _Watched(file)
        names: dict[Any, str] = {}
        children = _document(watched if reader.strict else file, intake.limits)
        root = next(children)
        reader.root(root)
        if header.contact is not None and header.contact.gml_id:
            reader.reserve(header.contact.gml_id)
        for number, member in enumerate(children):
            if number == 0 and reader.schema is not None:
                reader.schema.root_text(root)
            if reader.strict or len(member) != 1:
                reader.child(member)
            name = names.get(member.tag) or _remembered(names, member)
            if not name.endswith("Member"):
                _check_stray(reader, member)
                continue
            for element in member:
                reader.feature(element, name)
            if not number % _LOOK_EVERY:
                yield from reader.full_batches()
    yield from reader.full_batches(1)
    reader.finish()
    if reader.strict and watched.comments:
        _refuse_comments(reader.report)
    _check_attachments(intake, reader)
    _check_content(header, reader.report, weight)


def _remembered(names: dict[Any, str], member: etree._Element) -> str:
    """Return the name of an element, and keep it under its tag while there are few of them."""
    name = str(member.tag).rpartition("}")[2]
    if len(names) < _MOST_NAMES:
        names[member.tag] = name
    return name


class _Watched:
    """A file that notes whether a comment went by; the parser leaves comments out."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._end = b""
        self.comments = False

    def read(self, size: int) -> bytes:
        chunk: bytes = self._file.read(size)
        seen = self._end + chunk
        self.comments = self.comments or b"<!--" in seen
        self._end = seen[-3:]
        return chunk


def _refuse_comments(report: Report) -> None:
    report.add(
        Finding(
            "LER-COMMENT",
            Severity.ERROR,
            "The document holds comments, which LER refuses.",
            "Dokumentet har kommentarer, som LER afviser.",
            path=_SVAR,
            rule="13-300",
        )
    )


def _check_stray(reader: ElementReader, element: etree._Element) -> None:
    """Report what stands among the members and is none; the header was checked before."""
    name = local_name(element)
    if reader.report.features and not str(element.tag).startswith(GML) and not reader.strict:
        reader.error(
            "LER-UNKNOWN-ATTRIBUTE",
            f"'{name[:80]}' cannot stand among the members of the answer.",
            f"'{name[:80]}' kan ikke stå blandt svarets objekter.",
            line=element.sourceline if isinstance(element.sourceline, int) else None,
            path=f"{_SVAR}/{name[:80]}",
        )


def _model(root: etree._Element, report: Report) -> str:
    """Return the data model of a document in full; an unknown one is read as the newest."""
    newest = catalogue().model
    written = (root.get("schemaVersion") or "").strip()
    model = _VERSIONS.get(written, written)
    if str(root.tag).startswith(f"{{{_LER_1}}}"):
        model = "1.0.0"
    known = {*catalogue().older_models, newest}
    line = root.sourceline if isinstance(root.sourceline, int) else None
    if model not in known:
        report.add(
            Finding(
                "LER-VERSION",
                Severity.WARNING,
                f"The schemaVersion is missing or unknown; the document was read as {newest}.",
                f"schemaVersion mangler eller er ukendt; dokumentet er læst som {newest}.",
                line=line,
                path=_SVAR,
                expected=", ".join(sorted(known)),
                found=written[:200],
            )
        )
        return newest
    if model != newest:
        report.add(
            Finding(
                "LER-LIFTED-MODEL",
                Severity.INFO,
                f"The document of model {model} was lifted to {newest}.",
                f"Dokumentet i model {model} er løftet til {newest}.",
                line=line,
                path=_SVAR,
                expected=newest,
                found=model,
            )
        )
    return model


def _header_fields(reader: ElementReader, children: Iterator[etree._Element]) -> dict[str, Any]:
    """Read the header elements, which stand before the first member."""
    entry = catalogue().classes[_SVAR]
    fields: dict[str, Any] = {}
    for child in children:
        name = local_name(child)
        attribute = entry.attributes.get(name)
        if attribute is not None and attribute.type == "features":
            break
        if attribute is not None:
            value = reader.header_value(attribute, child, _SVAR)
            if value is not None:
                fields[name] = value
        elif str(child.tag).startswith(GML):
            continue
        else:
            reader.error(
                "LER-UNKNOWN-ATTRIBUTE",
                f"The answer has no attribute '{name[:80]}'.",
                f"Svaret har ingen attribut '{name[:80]}'.",
                path=f"{_SVAR}/{name[:80]}",
            )
    return fields


def _header(fields: dict[str, Any], model: str, report: Report) -> AnswerHeader:
    missing = [name for name in ("id", "type") if name not in fields]
    for name in missing:
        report.add(
            Finding(
                "LER-MISSING-ATTRIBUTE",
                Severity.ERROR,
                f"The answer needs '{name}'.",
                f"Svaret mangler '{name}'.",
                path=f"{_SVAR}/{name}",
                expected=name,
            )
        )
    if missing:
        raise DataRefused("The header of the answer is not complete.", report)
    expected = fields.get("forventetAfleveringstidspunkt")
    valid_to = fields.get("gyldigTil")
    return AnswerHeader(
        answer_id=fields["id"],
        response_type=ResponseType(fields["type"]),
        valid_to=date.fromisoformat(valid_to) if valid_to else None,
        expected_at=parse_datetime(expected) if expected else None,
        supplementary_info=fields.get("typeSupplerendeInfo"),
        contact=_contact(fields.get("kontaktprofilTilTekniskeSpoergsmaal")),
        model_version=model,
    )


def _contact(fields: dict[str, Any] | None) -> Contact | None:
    if fields is None or "href" in fields:
        return None
    own_id = fields.get("gml_id", "")
    return Contact(
        fields.get("navn", ""), fields.get("telefonnummer", ""), fields.get("mailadresse", ""), own_id
    )


def _is_uuid(text: str) -> bool:
    """Whether `text` is a UUID as X.667 writes it, in letters of either case."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _check_header(header: AnswerHeader, report: Report, weight: Severity) -> None:
    """Note what the header says that people should know, and what LER's rules say of it.

    `weight` is that of a broken rule: an error when an answer is checked, which does not keep it from being
    read otherwise.
    """

    def note(
        code: str, severity: Severity, message: str, message_da: str, path: str, found: str = ""
    ) -> None:
        report.add(Finding(code, severity, message, message_da, path=f"{_SVAR}/{path}", found=found[:200]))

    if not _is_uuid(header.answer_id):
        note(
            "LER-ANSWER-ID",
            weight,
            "The id of the answer is not a UUID.",
            "Svarets id er ikke en UUID.",
            "id",
            header.answer_id,
        )
    if header.valid_to is not None and header.valid_to < datetime.now(DENMARK).date():
        note(
            "LER-EXPIRED",
            Severity.INFO,
            "The validity of the answer has run out.",
            "Svarets gyldighed er udløbet.",
            "gyldigTil",
            header.valid_to.isoformat(),
        )
    kind = header.response_type
    if kind in (ResponseType.POINTING_OUT, ResponseType.POINTING_OUT_DELIVERED):
        note(
            "LER-POINTING-OUT",
            Severity.INFO,
            "The owner wants to point the lines out on site before digging.",
            "Ledningsejeren vil påvise ledningerne før gravning.",
            "type",
            kind,
        )
    if kind is ResponseType.WITHHELD and not header.supplementary_info:
        note(
            "LER-SUPPLEMENTARY-INFO",
            Severity.ERROR,
            "A refusal to give information needs its reason (typeSupplerendeInfo).",
            "Når oplysninger ikke udleveres, skal typeSupplerendeInfo angives.",
            "typeSupplerendeInfo",
        )
    if header.expected_at is not None and kind is not ResponseType.MANUAL:
        note(
            "LER-EXPECTED-TIME",
            weight,
            "A time of delivery belongs to manual handling only.",
            "forventetAfleveringstidspunkt hører kun til manuel behandling.",
            "forventetAfleveringstidspunkt",
        )
    contact = header.contact
    if contact is not None and not contact.phone.strip() and not contact.email.strip():
        note(
            "LER-CONTACT-UNREACHABLE",
            weight,
            "The contact of the answer has neither a telephone number nor a mail address.",
            "Svarets kontaktprofil har hverken telefonnummer eller mailadresse.",
            "kontaktprofilTilTekniskeSpoergsmaal",
            contact.name,
        )


def _check_documents(intake: Intake, report: Report) -> None:
    if len(intake.documents) > 1:
        report.add(
            Finding(
                "LER-ZIP-DOCUMENTS",
                Severity.WARNING,
                "The zip file holds several GML files; the first was read.",
                "Zip-filen har flere GML-filer; den første er læst.",
                found=", ".join(intake.documents)[:200],
            )
        )


def _check_attachments(intake: Intake, reader: ElementReader) -> None:
    """Each attachment named must have come; in a bare GML document none can."""
    severity = Severity.ERROR if intake.is_zip else Severity.WARNING
    for path, feature_id, line in reader.files:
        if path not in intake.members:
            reader.report.add(
                Finding(
                    "LER-ATTACHMENT-MISSING",
                    severity,
                    "The attachment did not come with the document.",
                    "Bilaget fulgte ikke med dokumentet.",
                    feature_id=feature_id,
                    line=line,
                    path="Informationsressource/sti",
                    found=path[:200],
                )
            )


def _check_content(header: AnswerHeader, report: Report, weight: Severity) -> None:
    """Whether features are there must agree with the type of the answer."""
    carries = header.response_type.carries_features
    if carries == bool(report.features):
        return
    report.add(
        Finding(
            "LER-CONTENT-EMPTY" if carries else "LER-CONTENT-NOT-EMPTY",
            weight if carries else Severity.ERROR,
            f"The answer says '{header.response_type}' and holds {report.features} features.",
            f"Svaret siger '{header.response_type}' og har {report.features} objekter.",
            path=f"{_SVAR}/type",
            found=str(report.features),
        )
    )
