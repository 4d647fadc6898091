"""Reading ``LedningsejerStatusListe.xml``: what each owner answered for each of his interest areas."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lxml import etree

from geoinfra.errors import UnreadableFile
from geoinfra.utilities.formats.package_write import (
    UNKNOWN_OWNER,
    PackageArea,
    PackageOwner,
    response_type_of,
    rolled_up,
)

__all__ = ["STATUS_LIST", "STATUS_ROOT", "StatusEntry", "read_status_list", "status_owners"]

STATUS_LIST = "LedningsejerStatusListe.xml"
"""Name of the list in a package."""

STATUS_ROOT = "LedningsejerListe"
"""Its root element."""

_CVR = re.compile(r"[0-9]{8}")


@dataclass(frozen=True, slots=True)
class StatusEntry:
    """One owner of the list.

    Attributes
    ----------
    cvr
        CVR number, empty where the list has none.
    areas
        Number and Danish status text of each interest area.
    """

    cvr: str
    name: str
    areas: tuple[tuple[str, str], ...]


def read_status_list(content: bytes) -> tuple[StatusEntry, ...]:
    """Read a status list.

    Raises
    ------
    UnreadableFile
        It is no status list, or is malformed or unsafe.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True
    )
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UnreadableFile(f"{STATUS_LIST} is not well-formed XML.") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise UnreadableFile(f"{STATUS_LIST} declares a document type.")
    if _name(root) != STATUS_ROOT:
        raise UnreadableFile(f"{STATUS_LIST} is not a {STATUS_ROOT}.")
    return tuple(_entry(owner) for owner in root if _name(owner) == "Ledningsejer")


def _entry(owner: etree._Element) -> StatusEntry:
    cvr = name = ""
    areas: list[tuple[str, str]] = []
    for child in owner:
        match _name(child):
            case "CVR":
                cvr = _text(child)
            case "Navn":
                name = _text(child)
            case "Interesseområde" | "Interesseomraade":
                fields = {_name(one): _text(one) for one in child}
                areas.append((fields.get("IndberetningsNr", ""), fields.get("Status", "")))
    return StatusEntry(cvr if _CVR.fullmatch(cvr) else "", name, tuple(areas))


def _name(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _text(element: etree._Element) -> str:
    return (element.text or "").strip()


def status_owners(entries: Iterable[StatusEntry]) -> tuple[PackageOwner, ...]:
    """Return the owners of a list that stands alone; those without CVR number are ``UNKNOWN_OWNER``."""
    return tuple(
        rolled_up(
            PackageOwner(entry.cvr or UNKNOWN_OWNER, entry.name),
            [
                PackageArea(number or "1", status, response_type=response_type_of(status))
                for number, status in entry.areas
            ],
        )
        for entry in entries
    )
