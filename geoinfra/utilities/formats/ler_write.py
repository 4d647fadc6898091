"""Writing an answer of one owner as LER 2.0.0 to 2.2.0."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import IO, BinaryIO, overload

import numpy as np
import orjson
import shapely

from geoinfra.errors import Conflict, Finding, InvalidInput, Report, Severity
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import MODELS, NEWEST_MODEL, FeatureClass, catalogue
from geoinfra.utilities.model import (
    AnswerHeader,
    Contact,
    FeatureRows,
    escape,
    is_gml_id,
    namespace_declarations,
)

__all__ = ["contact_element", "fragments", "iso_time", "opened_for_writing", "write_answer"]

_SPOOL_BYTES = 8 * 1024 * 1024


def write_answer(
    target: Path | BinaryIO,
    header: AnswerHeader,
    batches: Iterable[FeatureBatch],
    model: str = NEWEST_MODEL,
    report: Report | None = None,
) -> int:
    """Write an answer as a ``Graveforespoergselssvar`` with the owner's own ids.

    Features are grouped by their member element as the schema orders it, and keep their order inside a group.
    Memory stays constant; the file appears whole or not at all.

    Parameters
    ----------
    target
        Path, or a binary file open for writing.
    header
        What the answer says.
    batches
        Features of one owner (:data:`~geoinfra.utilities.model.UTILITY_FEATURES`), with or without ``gml``.
    model
        Data model to write: 2.0.0, 2.0.1, 2.1.0 or 2.2.0. What it cannot carry is left out.
    report
        Takes a finding ``LER-WRITE-...`` for all that was left out, and for all that the model wants and a
        feature does not have.

    Returns
    -------
    int
        Number of features written.

    Raises
    ------
    InvalidInput
        The batches come from several owners, a value cannot be written as LER, or the model is none of these.
    Conflict
        The response type says that no features are given, and there are some.
    """
    if model not in MODELS[1:]:
        raise InvalidInput(
            f"LER cannot be written in the data model '{model[:20]}'.",
            hint="Use one of " + ", ".join(MODELS[1:]) + ".",
        )
    lowering = _Lowering(model, report)
    classes = catalogue().classes
    members = list(dict.fromkeys(a.name for a in classes["Graveforespoergselssvar"].attributes.values()))
    count = 0
    owner = ""
    with ExitStack() as stack:
        groups: dict[str, IO[bytes]] = {}
        for batch in batches:
            for (cvr, feature_class, element), own_id in zip(
                fragments(batch), batch.feature_ids, strict=True
            ):
                owner = owner or cvr
                if cvr != owner:
                    raise InvalidInput("An answer holds the features of one owner only.")
                member = classes[feature_class].member
                if member not in groups:
                    groups[member] = stack.enter_context(tempfile.SpooledTemporaryFile(_SPOOL_BYTES))
                fitted = lowering.fit(classes[feature_class], own_id.removeprefix(f"{cvr}."), element)
                groups[member].write(_member(member, fitted, owner))
                count += 1
        if count and not header.response_type.carries_features:
            raise Conflict(f"An answer of the type '{header.response_type}' carries no features.")
        with opened_for_writing(target) as file:
            file.write(_head(header, model))
            for member in members:
                if member in groups:
                    groups[member].seek(0)
                    shutil.copyfileobj(groups[member], file)
            file.write(b"</ler:Graveforespoergselssvar>\n")
    return count


class _Lowering:
    """Fits canonical elements to a data model, and reports what that costs."""

    def __init__(self, model: str, report: Report | None) -> None:
        self._model = model
        self._report = report

    def fit(self, entry: FeatureClass, gml_id: str, element: bytes) -> bytes:
        """Return the element without what the model does not have."""
        absent, nil = _not_carried(entry.name, self._model)
        for pattern, code, what, what_da in (
            (absent, "LER-WRITE-ATTRIBUTE", "has no", "har ikke"),
            (nil, "LER-WRITE-NIL", "takes no nil of", "tager ikke nil for"),
        ):
            if pattern is None:
                continue
            for found in pattern.finditer(element):
                name = found.group(1).decode()
                self._note(
                    code,
                    entry,
                    gml_id,
                    name,
                    f"LER {self._model} {what} '{name}'; it was left out.",
                    f"LER {self._model} {what_da} '{name}'; den er udeladt.",
                    found=found.group(0).decode(),
                )
            element = pattern.sub(b"", element)
        if self._report is not None:
            self._missing(entry, gml_id, element)
        return element

    def _missing(self, entry: FeatureClass, gml_id: str, element: bytes) -> None:
        """Report what the model wants and the feature does not have."""
        for name, pattern in _wanted(entry.name, self._model):
            if not pattern.search(element):
                self._note(
                    "LER-WRITE-MISSING",
                    entry,
                    gml_id,
                    name,
                    f"LER {self._model} wants '{name}'; the feature has none.",
                    f"LER {self._model} kræver '{name}'; objektet har ingen.",
                    severity=Severity.ERROR,
                    expected=name,
                )
        vertical = catalogue(self._model).classes[entry.name].attributes.get(_VERTICAL_CLASS)
        if vertical is None or entry.kind not in ("line", "trace"):
            return
        if b"<ler:geometri>" in element and b"<ler:noejagtighedsklasseVertikal" not in element:
            self._note(
                "LER-WRITE-VERTICAL-CLASS",
                entry,
                gml_id,
                _VERTICAL_CLASS,
                f"LER {self._model} wants the vertical accuracy class of a line with geometry; "
                "the feature has none.",
                f"LER {self._model} kræver vertikal nøjagtighedsklasse, når ledningen har geometri; "
                "objektet har ingen.",
                expected=_VERTICAL_CLASS,
                rule="LedningNoejagtighedsklasseVertikalBetingelseRule",
                hint="Give noejagtighedsklasseVertikal, or nil where it is not known.",
                hint_da="Angiv noejagtighedsklasseVertikal, eller nil hvis den ikke kendes.",
            )

    def _note(
        self,
        code: str,
        entry: FeatureClass,
        gml_id: str,
        name: str,
        message: str,
        message_da: str,
        *,
        severity: Severity = Severity.WARNING,
        expected: str = "",
        found: str = "",
        rule: str = "",
        hint: str = "",
        hint_da: str = "",
    ) -> None:
        if self._report is None:
            return
        self._report.add(
            Finding(
                code,
                severity,
                message,
                message_da,
                gml_id,
                None,
                f"{entry.name}/{name}",
                expected,
                found[:200],
                rule,
                hint,
                hint_da,
            )
        )


_VERTICAL_CLASS = "noejagtighedsklasseVertikal"


@lru_cache(maxsize=256)
def _not_carried(class_name: str, model: str) -> tuple[re.Pattern[bytes] | None, re.Pattern[bytes] | None]:
    """Return what finds the attributes that a model does not have, and the nils that it does not take."""
    newest = catalogue().classes[class_name].attributes
    target = catalogue(model).classes[class_name].attributes
    absent = [a.qname for a in newest.values() if a.name not in target]
    nil = [a.qname for a in newest.values() if a.name in target and a.nillable > target[a.name].nillable]
    return (
        _elements_named(absent, rb"(?: [^>]*)?(?:/>|>.*?</ler:\1>)"),
        _elements_named(nil, rb' xsi:nil="true"[^>]*/>'),
    )


def _elements_named(qnames: list[str], rest: bytes) -> re.Pattern[bytes] | None:
    """Return what finds these elements in a canonical one, in which ``>`` stands at the end of tags only."""
    if not qnames:
        return None
    names = "|".join(name.removeprefix("ler:") for name in qnames).encode()
    return re.compile(b"<ler:(" + names + b")" + rest, re.DOTALL)


@lru_cache(maxsize=256)
def _wanted(class_name: str, model: str) -> tuple[tuple[str, re.Pattern[bytes]], ...]:
    """Return the attributes that a model wants of a class, and what finds them in a canonical element."""
    entry = catalogue(model).classes[class_name]
    return tuple(
        (name, re.compile(f"<{entry.attributes[name].qname}[ />]".encode())) for name in entry.required
    )


def fragments(batch: FeatureBatch) -> Iterator[tuple[str, str, bytes]]:
    """Yield owner, class and canonical element of each row; elements are made where the batch has none."""
    elements = batch.columns.get("gml")
    if elements is None:
        elements = _elements(batch)
    yield from zip(batch.columns["owner_cvr"], batch.columns["feature_class"], elements, strict=True)


def _elements(batch: FeatureBatch) -> list[bytes]:
    """Build canonical elements of a batch that was read without the internal column."""
    columns = batch.columns
    heights = batch.heights_m or [None] * len(batch)
    elements: list[bytes] = []
    for row, geometry in enumerate(batch.geometry):
        rows = FeatureRows(columns["owner_cvr"][row])
        heights_m = heights[row]
        rows.add(
            columns["feature_class"][row],
            columns["gml_id"][row],
            orjson.loads(columns["properties"][row]),
            None if geometry is None else shapely.from_wkb(geometry),
            None if heights_m is None else np.frombuffer(heights_m, dtype="<f8"),
        )
        elements += rows.batch().columns["gml"]
    return elements


def _member(member: str, element: bytes, owner_cvr: str) -> bytes:
    """Wrap an element into its member, with the owner's own ids.

    Quotation marks in texts are escaped, so that the prefix after one stands in ids and references only.
    """
    prefix = f"c{owner_cvr}.".encode()
    own = element.replace(b'"' + prefix, b'"').replace(b'"#' + prefix, b'"#')
    tag = b"ler:" + member.encode()
    return b"<" + tag + b">" + own + b"</" + tag + b">\n"


def _head(header: AnswerHeader, model: str) -> bytes:
    root_id = f"svar.{header.answer_id}"
    if not is_gml_id(root_id) or len(header.answer_id) > 36:
        raise InvalidInput(f"'{header.answer_id[:80]}' cannot identify an answer.", hint="Use a UUID.")
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<ler:Graveforespoergselssvar {namespace_declarations()}"
        f' gml:id="{root_id}" schemaVersion="{model}">',
        f"<ler:id>{escape(header.answer_id)}</ler:id>",
        f"<ler:type>{escape(header.response_type)}</ler:type>",
    ]
    if header.expected_at is not None:
        expected = iso_time(header.expected_at)
        lines.append(f"<ler:forventetAfleveringstidspunkt>{expected}</ler:forventetAfleveringstidspunkt>")
    if header.valid_to is not None:
        lines.append(f"<ler:gyldigTil>{header.valid_to.isoformat()}</ler:gyldigTil>")
    if header.supplementary_info is not None:
        lines.append(
            f"<ler:typeSupplerendeInfo>{escape(header.supplementary_info)}</ler:typeSupplerendeInfo>"
        )
    if header.contact is not None:
        _check_contact(header.contact)
        contact = contact_element(header.contact, header.contact.gml_id or f"{root_id}.kontakt")
        name = "ler:kontaktprofilTilTekniskeSpoergsmaal"
        lines.append(f"<{name}>{contact}</{name}>")
    return ("\n".join(lines) + "\n").encode()


def _check_contact(contact: Contact) -> None:
    """Refuse a contact that the schema does not take."""
    fields = catalogue().classes["Kontaktprofil"].attributes
    for name, text in (
        ("navn", contact.name),
        ("telefonnummer", contact.phone),
        ("mailadresse", contact.email),
    ):
        if len(text) > (fields[name].max_length or 0) or (not text and fields[name].min):
            raise InvalidInput(
                f"The contact's {name} is empty or longer than {fields[name].max_length} characters.",
                details={"where": name, "found": text[:200]},
            )
    if contact.gml_id and not is_gml_id(contact.gml_id):
        raise InvalidInput("The contact's id is no XML name.", details={"found": contact.gml_id[:200]})


def contact_element(contact: Contact, gml_id: str, extra: str = "") -> str:
    """Write a contact as ``ler:Kontaktprofil``; `extra` is XML put at its end."""
    fields = [("navn", contact.name), ("telefonnummer", contact.phone), ("mailadresse", contact.email)]
    inner = "".join(f"<ler:{name}>{escape(text)}</ler:{name}>" for name, text in fields if text)
    return f'<ler:Kontaktprofil gml:id="{escape(gml_id)}">{inner}{extra}</ler:Kontaktprofil>'


@overload
def iso_time(moment: date) -> str: ...
@overload
def iso_time(moment: date | None) -> str | None: ...
def iso_time(moment: date | None) -> str | None:
    """Write a date or date-time as XML Schema wants it; UTC ends in ``Z``."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


@contextmanager
def opened_for_writing(target: Path | BinaryIO) -> Iterator[BinaryIO]:
    """Give a binary file; a path gets its content only when everything was written."""
    if not isinstance(target, Path):
        yield target
        return
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    with part.open("x+b") as file:  # a new file, with the mode that the umask leaves
        try:
            yield file
            file.flush()
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
