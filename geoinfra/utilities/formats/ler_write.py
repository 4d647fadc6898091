"""Writing an answer of one owner as LER 2.2.0."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import IO, BinaryIO, overload

import numpy as np
import orjson
import shapely

from geoinfra.errors import Conflict, InvalidInput
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import catalogue
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


def write_answer(target: Path | BinaryIO, header: AnswerHeader, batches: Iterable[FeatureBatch]) -> int:
    """Write an answer as a ``Graveforespoergselssvar`` of LER 2.2.0 with the owner's own ids.

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

    Returns
    -------
    int
        Number of features written.

    Raises
    ------
    InvalidInput
        The batches come from several owners, or a value cannot be written as LER.
    Conflict
        The response type says that no features are given, and there are some.
    """
    classes = catalogue().classes
    members = list(dict.fromkeys(a.name for a in classes["Graveforespoergselssvar"].attributes.values()))
    count = 0
    owner = ""
    with ExitStack() as stack:
        groups: dict[str, IO[bytes]] = {}
        for batch in batches:
            for cvr, feature_class, element in fragments(batch):
                owner = owner or cvr
                if cvr != owner:
                    raise InvalidInput("An answer holds the features of one owner only.")
                member = classes[feature_class].member
                if member not in groups:
                    groups[member] = stack.enter_context(tempfile.SpooledTemporaryFile(_SPOOL_BYTES))
                groups[member].write(_member(member, element, owner))
                count += 1
        if count and not header.response_type.carries_features:
            raise Conflict(f"An answer of the type '{header.response_type}' carries no features.")
        with opened_for_writing(target) as file:
            file.write(_head(header))
            for member in members:
                if member in groups:
                    groups[member].seek(0)
                    shutil.copyfileobj(groups[member], file)
            file.write(b"</ler:Graveforespoergselssvar>\n")
    return count


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


def _head(header: AnswerHeader) -> bytes:
    model = catalogue().model
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
        contact = contact_element(header.contact, header.contact.gml_id or "kontakt")
        name = "ler:kontaktprofilTilTekniskeSpoergsmaal"
        lines.append(f"<{name}>{contact}</{name}>")
    return ("\n".join(lines) + "\n").encode()


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
