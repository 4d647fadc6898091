"""Turn a file of utility lines into another format: LER documents and tables in, both and drawings out."""

from __future__ import annotations

import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path, PurePosixPath
from typing import IO, Any

from geoinfra.errors import DataRefused, Finding, InvalidInput, Report, Severity
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.containment import with_container_geometry
from geoinfra.utilities.formats import Format, format_for, format_named, format_of
from geoinfra.utilities.formats.document import Document, open_document
from geoinfra.utilities.formats.ler import Answer, write_answer
from geoinfra.utilities.formats.ler_write import opened_for_writing
from geoinfra.utilities.formats.package import Package
from geoinfra.utilities.model import AnswerHeader, ResponseType, require_cvr

__all__ = ["Converted", "convert"]

Progress = Callable[[float, str], None]
_NEWEST_MODEL = "2.2.0"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip's members carry no clock: equal input gives equal bytes


@dataclass(frozen=True, slots=True)
class Converted:
    """A file that was written.

    Attributes
    ----------
    features
        Features in it.
    report
        What was found in the source, and as ``EXCHANGE-LOSS`` what did not survive.
    """

    features: int
    report: Report

    def to_json(self) -> dict[str, Any]:
        """Return the outcome, JSON-ready: the report with the number of features written."""
        return {**self.report.to_json(), "written": self.features}


def convert(
    source: Path,
    target: Path,
    *,
    to: str | None = None,
    owner_cvr: str | None = None,
    model: str = _NEWEST_MODEL,
    terrain: Path | None = None,
    strict: bool = False,
    progress: Progress | None = None,
    valid_to: date | None = None,
    options: Mapping[str, Any] | None = None,
) -> Converted:
    """Write the features of `source` to `target`; the file appears whole or not at all.

    Memory does not grow with the number of features.

    Parameters
    ----------
    source
        LER answer or package (GML or zip), or a table (:mod:`geoinfra.utilities.formats.flat`).
    target
        File to write; its ending chooses the format unless `to` does.
    to
        Name of a format (:func:`geoinfra.utilities.formats.formats`).
    owner_cvr
        Of several owners only this one; of a document or table that names none, this is the owner.
    model
        Data model of a LER answer that is written.
    terrain
        GeoTIFF with terrain heights, for the drawing of lines whose height only a guiding depth tells.
    strict
        Write nothing when the source holds an error.
    progress
        Called with the fraction that was read and a text.
    valid_to
        Last day on which a LER answer that is written may be used; that of the source when not given.
    options
        Further options of the writer (``separator`` of CSV).

    Raises
    ------
    InvalidInput
        The formats do not fit, a table lacks columns, or an answer would hold several owners.
    UnreadableFile
        The source cannot be read.
    DataRefused
        `strict`, and the source holds errors.
    MissingResource
        An optional package is not installed.
    """
    wanted = format_named(to) if to else format_for(target)
    if not wanted.writes or wanted.name == "gml":
        raise InvalidInput(
            f"{wanted.title} is not written by a conversion.",
            hint="`geoinfra utilities repack` writes packages.",
        )
    if terrain is not None and wanted.name != "dxf":
        raise InvalidInput("A terrain model belongs to a drawing.", hint="Write a file ending in .dxf.")
    if target.exists() and source.resolve() == target.resolve():
        raise InvalidInput("The target is the source.", hint="Write to another file.")
    if owner_cvr is not None:
        require_cvr(owner_cvr)
    with ExitStack() as stack:
        elements = wanted.name == "ler"
        opened = _opened(stack, source, owner_cvr, strict, elements, progress or _silent)
        rows = _refusing(opened) if strict else opened.rows
        if wanted.name == "ler":
            header = replace(opened.header(), valid_to=valid_to) if valid_to else opened.header()
            count = _write_ler(target, opened, rows, header, model)
        else:
            more = dict(options or {})
            if terrain is not None:
                from geoinfra.flows.terrain_file import GeoTiffTerrain  # rasterio takes long to import

                more["terrain"] = stack.enter_context(GeoTiffTerrain(terrain))
            if wanted.name == "dxf":
                more["owners"] = opened.owner_names
            if wanted.name == "gpkg":
                from geoinfra.presentation.qml import default_layer_style

                more["styles"] = default_layer_style
            count = wanted.write(target, with_container_geometry(rows), **more)
    _note_losses(opened, wanted, attached=wanted.name == "ler" and target.suffix.lower() == ".zip")
    return Converted(count, opened.report)


def _silent(_fraction: float, _text: str) -> None:
    """Take progress and show nothing."""


# -- in


@dataclass(frozen=True, slots=True)
class _Opened:
    """A source: its rows, which fill the report as they are drawn, and what else it holds."""

    report: Report
    rows: Iterator[FeatureBatch]
    document: Document | None = None
    owner_cvr: str | None = None

    @property
    def owner_names(self) -> dict[str, str]:
        """CVR number -> name, as far as the source tells."""
        owners = self.document.owners if self.document else ()
        return {owner.cvr: owner.name for owner in owners if owner.name}

    def answer(self) -> Answer | None:
        """Return the one answer of a document."""
        content = self.document.content if self.document else None
        if isinstance(content, Package) and len(content.owners) == 1:
            return content.answer_for(content.owners[0].cvr)
        return content if isinstance(content, Answer) else None

    def header(self) -> AnswerHeader:
        """Return the header of the answer, a new one for a table."""
        answer = self.answer()
        return AnswerHeader(str(uuid.uuid4()), ResponseType.DELIVERED) if answer is None else answer.header


def _opened(
    stack: ExitStack, source: Path, owner_cvr: str | None, strict: bool, elements: bool, progress: Progress
) -> _Opened:
    table = format_of(source)
    if table is not None:
        report = Report()
        rows = table.read(
            source,
            owner_cvr=owner_cvr,
            report=report,
            progress=lambda fraction: progress(fraction, f"{report.features:,} features"),
        )
        return _Opened(report, rows, owner_cvr=owner_cvr)
    file = stack.enter_context(source.open("rb"))
    document = open_document(file, owner_cvr=owner_cvr, strict=strict)
    if document.kind not in ("answer", "package"):
        raise InvalidInput(f"The source is a {document.kind} and holds no utility lines.")
    rows = _told(document, document.batches(elements=elements), file, source, progress)
    return _Opened(document.report, rows, document, owner_cvr)


def _told(
    document: Document, rows: Iterator[FeatureBatch], file: IO[bytes], source: Path, progress: Progress
) -> Iterator[FeatureBatch]:
    """Pass the rows on, and tell how much of the file was read."""
    size, reached = source.stat().st_size or 1, 0.0
    for batch in rows:
        yield batch
        reached = max(reached, min(file.tell() / size, 1.0))
        progress(reached, f"{document.report.features:,} features")


def _refusing(opened: _Opened) -> Iterator[FeatureBatch]:
    """Pass the rows on; end with an error, which undoes the writing, when the report holds errors."""
    yield from opened.rows
    if not opened.report.ok:
        raise DataRefused(
            f"The report holds {opened.report.errors} error(s); nothing was written.",
            opened.report,
            hint="Mend what the report names, or convert without strict reading.",
        )


# -- losses


def _note_losses(opened: _Opened, wanted: Format, *, attached: bool = False) -> None:
    """Remark what did not survive; called when the rows were drawn, which starts the report anew.

    Parameters
    ----------
    attached
        Whether the attached files were written too.
    """
    if opened.document is not None or wanted.name != "ler":
        _note(opened, wanted.loses, wanted.loses_da)
    left = () if opened.document is None or attached else opened.document.attachments
    if left:
        _note(
            opened,
            f"{len(left)} attached files were left out.",
            f"{len(left)} bilagsfiler er udeladt.",
            found=", ".join(left),
        )


def _note(opened: _Opened, message: str, message_da: str, found: str = "") -> None:
    if message:
        opened.report.add(Finding("EXCHANGE-LOSS", Severity.INFO, message, message_da, found=found[:200]))


# -- LER out


def _write_ler(
    target: Path, opened: _Opened, rows: Iterator[FeatureBatch], header: AnswerHeader, model: str
) -> int:
    """Write an answer as GML, or as the zip with its attachments that owners send."""
    report = opened.report
    owned = _of_one_owner(rows)
    if target.suffix.lower() != ".zip":
        count = write_answer(target, header, owned, model, report)
    else:
        answer = opened.answer()
        with opened_for_writing(target) as file, tempfile.TemporaryFile() as gml:
            count = write_answer(gml, header, owned, model, report)
            gml.seek(0)
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                with archive.open(zipfile.ZipInfo("svar.gml", _EPOCH), "w", force_zip64=True) as member:
                    while chunk := gml.read(1 << 20):
                        member.write(chunk)
                for name in answer.attachments if answer else ():
                    archive.writestr(_flat(name, archive), answer.attachment(name) if answer else b"")
    if not count:
        report.add(
            Finding(
                "EXCHANGE-EMPTY",
                Severity.WARNING,
                "The source holds no features of this owner.",
                "Kilden har ingen objekter af denne ejer.",
            )
        )
    return count


def _flat(name: str, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the place of an attachment in the zip, which has no folders."""
    base = PurePosixPath(name).name
    if base in archive.namelist():
        raise InvalidInput(f"Two attached files are called '{base[:80]}'.", hint="Write to a .gml file.")
    return zipfile.ZipInfo(base, _EPOCH)


def _of_one_owner(rows: Iterator[FeatureBatch]) -> Iterator[FeatureBatch]:
    """Pass the rows on as long as they are of one owner."""
    first = ""
    for batch in rows:
        for cvr in dict.fromkeys(batch.columns["owner_cvr"]):
            first = first or cvr
            if cvr != first:
                raise InvalidInput(
                    f"The source holds features of several owners ({first}, {cvr} …); an answer holds one.",
                    hint="Choose one with --owner; `geoinfra utilities repack` keeps a package whole.",
                )
        yield batch
