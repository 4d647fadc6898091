"""Join the answers that one owner gave for several of his interest areas to one answer.

Elements are taken over as they are written; what is the same in two answers is taken once. Nothing is
renamed: an id that stands for different things in two answers is refused.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Final

from lxml import etree

from geoinfra.errors import DataRefused, Finding, Report, Severity, UnreadableFile
from geoinfra.utilities.formats.intake import Intake, Limits
from geoinfra.utilities.model import ResponseType

__all__ = ["answer_type", "join_answers"]

_GML_ID: Final = "{http://www.opengis.net/gml/3.2}id"
_CARRYING: Final = (ResponseType.POINTING_OUT_DELIVERED, ResponseType.DELIVERED)
_STRENGTH: Final = (
    ResponseType.MANUAL,
    *_CARRYING,
    ResponseType.POINTING_OUT,
    ResponseType.WITHHELD,
    ResponseType.NO_LINES,
)
"""Of several types the first counts: nothing may look more settled than it is."""


def join_answers(parts: Mapping[int, bytes], limits: Limits) -> bytes:
    """Return one answer as a zip, with all members and attachments.

    Parameters
    ----------
    parts
        Interest area -> its answer, GML or zip.

    Raises
    ------
    UnreadableFile
        A part is no answer, or passes a bound.
    DataRefused
        The parts do not fit together: other data models, or an id or file name for different things.
    """
    intakes = {area: Intake(io.BytesIO(content), limits) for area, content in sorted(parts.items())}
    roots = {area: _root(intake) for area, intake in intakes.items()}
    types = {area: _type(root) for area, root in roots.items()}
    chosen = min(types, key=lambda area: _STRENGTH.index(types[area]))
    whole = roots[chosen]
    for area, root in roots.items():
        if (root.tag, root.get("schemaVersion")) != (whole.tag, whole.get("schemaVersion")):
            raise _apart(area, chosen, "schemaVersion", root.get("schemaVersion", ""))
    joined = deepcopy(whole)
    for member in _members(joined):
        joined.remove(member)
    _add_remarks(joined, types, chosen)
    _shorten_validity(joined, roots)
    if types[chosen] in _CARRYING:
        for member in _distinct(roots, [area for area in roots if types[area] in _CARRYING]):
            joined.append(deepcopy(member))
    return _zipped(joined, intakes)


def answer_type(content: bytes, limits: Limits) -> ResponseType:
    """Return the type of one answer, GML or zip.

    Raises
    ------
    UnreadableFile
        It is no answer, or passes a bound.
    """
    return _type(_root(Intake(io.BytesIO(content), limits)))


def _root(intake: Intake) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    with intake.open() as file:
        content = file.read(intake.limits.max_bytes + 1)
    if len(content) > intake.limits.max_bytes:
        raise UnreadableFile("The answer is too large to be joined with that of another interest area.")
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableFile("The answer is not well-formed XML.") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise UnreadableFile("The answer declares a document type.")
    if etree.QName(root).localname != "Graveforespoergselssvar":
        raise UnreadableFile("An answer for one interest area is a Graveforespoergselssvar.")
    return root


def _type(root: etree._Element) -> ResponseType:
    return ResponseType((root.findtext("{*}type") or "").strip().lower())


def _members(root: etree._Element) -> list[etree._Element]:
    return [child for child in root if str(child.tag).endswith("Member")]


def _distinct(roots: Mapping[int, etree._Element], areas: list[int]) -> Iterator[etree._Element]:
    """Yield the members of all areas, each thing once."""
    seen: dict[str, tuple[bytes, int]] = {}
    for area in areas:
        for member in _members(roots[area]):
            feature = member[0] if len(member) else member
            name, digest = feature.get(_GML_ID, ""), _digest(feature)
            if name not in seen:
                seen[name] = digest, area
                yield member
            elif seen[name][0] != digest:
                raise _apart(area, seen[name][1], "gml:id", name)


def _digest(element: etree._Element) -> bytes:
    return hashlib.sha256(etree.tostring(element, method="c14n", exclusive=True, with_tail=False)).digest()


def _apart(area: int, other: int, what: str, found: str) -> DataRefused:
    report = Report()
    report.add(
        Finding(
            "LER-PARTS-APART",
            Severity.ERROR,
            f"The answers for interest areas {other} and {area} do not fit together: {what}.",
            f"Svarene for interesseområde {other} og {area} passer ikke sammen: {what}.",
            path=what,
            found=found[:200],
            hint="Write both in the same data model, with an id and file name for one thing only.",
            hint_da="Skriv begge i samme datamodel, med et id og filnavn til kun én ting.",
        )
    )
    return DataRefused("The answers for the interest areas do not fit together.", report)


def _add_remarks(joined: etree._Element, types: Mapping[int, ResponseType], chosen: int) -> None:
    """Say in the supplementary information which areas were answered in another way."""
    others = [f"interesseområde {area}: {kind}" for area, kind in types.items() if kind != types[chosen]]
    if not others:
        return
    field = joined.find("{*}typeSupplerendeInfo")
    if field is None:
        field = etree.Element(f"{{{etree.QName(joined).namespace}}}typeSupplerendeInfo")
        names = ("id", "type", "forventetAfleveringstidspunkt", "gyldigTil")
        before = [child for child in joined if etree.QName(child).localname in names]
        joined.insert(joined.index(before[-1]) + 1, field)
    field.text = "; ".join(filter(None, [(field.text or "").strip(), *others]))


def _shorten_validity(joined: etree._Element, roots: Mapping[int, etree._Element]) -> None:
    days = [day for root in roots.values() if (day := (root.findtext("{*}gyldigTil") or "").strip())]
    field = joined.find("{*}gyldigTil")
    if days and field is not None:
        field.text = min(days)


def _zipped(joined: etree._Element, intakes: Mapping[int, Intake]) -> bytes:
    target = io.BytesIO()
    taken: dict[str, tuple[bytes, int]] = {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("svar.gml", etree.tostring(joined, xml_declaration=True, encoding="UTF-8"))
        for area, intake in intakes.items():
            for name in intake.members:
                if name in intake.documents:
                    continue
                content = intake.attachment(name)
                digest = hashlib.sha256(content).digest()
                first = taken.setdefault(name, (digest, area))
                if first[0] != digest:
                    raise _apart(area, first[1], "bilag", name)
                if first[1] == area:
                    archive.writestr(name, content)
    return target.getvalue()
