"""Everything that a package says beside its features: enquiry, owners, contacts, statuses and files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import lru_cache
from io import BytesIO
from pathlib import PurePosixPath

import shapely
from lxml import etree

from geoinfra.errors import Finding, InvalidInput, UnreadableFile
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.formats import package_check as check
from geoinfra.utilities.formats.intake import Intake, Limits, is_safe_name, local_name
from geoinfra.utilities.formats.package_write import (
    UNKNOWN_OWNER,
    EnquiryInfo,
    PackageArea,
    PackageOwner,
    response_type_of,
    rolled_up,
    status_text,
)
from geoinfra.utilities.formats.request import DigRequest, dig_area, read_request, texts_of
from geoinfra.utilities.formats.status_list import STATUS_LIST, StatusEntry, read_status_list
from geoinfra.utilities.model import Contact, ResponseType, is_gml_id

__all__ = ["Survey", "enquiry_of", "enquiry_of_request", "is_special", "owner_mark"]

_CVR = re.compile(r"[0-9]{8}")
_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_NOT_IN_NUMBER = re.compile(r"[^A-Za-z0-9_.-]")
_GML_ID = "{http://www.opengis.net/gml/3.2}id"
_SPECIAL = frozenset(("Graveforesp", "Ledningspakke", "UtilityOwner", "UtilityPackageInfo", "Kontaktprofil"))
_SINCE_2_2 = tuple(
    f"{{{catalogue().namespaces['ler']}}}{name}"
    for name in ("noejagtighedsklasseVertikal", "udnyttelsesgrad")
)
_LER_1 = "{http://data.gov.dk/schemas/LER/1/gml}"
_DIG_FIELDS = frozenset(
    (
        "fid",
        "graveart_id",
        "graveart_andet",
        "graveperiode_fra",
        "graveperiode_til",
        "bemaerkning",
        "polygonProperty",
        "orderNo",
        "objectType",
        "ledningsejer",
        "indberetningsNr",
    )
)
_REQUEST = "graveforespoergsel"
_PACKAGE_NAME = re.compile(r"Ledningspakke[_ -]?([A-Za-z0-9-]{1,40})", re.IGNORECASE)


def is_special(element: etree._Element) -> bool:
    """Whether an element of a package is no utility feature."""
    return local_name(element) in _SPECIAL


def owner_mark(element: etree._Element) -> tuple[str, str]:
    """Return the CVR number, empty where there is none, and the interest area that an element carries."""
    cvr = number = ""
    for child in element.iterchildren("ledningsejer", "indberetningsNr", reversed=True):
        if child.tag == "ledningsejer":
            cvr = (child.text or "").strip()
        else:
            number = (child.text or "").strip()
    return _cvr(cvr), (usable_number(number) if number else "")


@lru_cache(maxsize=4096)
def _cvr(text: str) -> str:
    return text if _CVR.fullmatch(text) else ""


@lru_cache(maxsize=4096)
def usable_number(number: str) -> str:
    """Return the number of an interest area in letters that identifiers can hold."""
    return number if _NUMBER.fullmatch(number) else ("x" + _NOT_IN_NUMBER.sub("_", number))[:40]


@dataclass(slots=True)
class _Draft:
    """An owner while the package goes by."""

    name: str = ""
    folders: list[str] = field(default_factory=list)
    numbers: dict[str, None] = field(default_factory=dict)
    infos: dict[str, PackageArea] = field(default_factory=dict)
    contacts: dict[str, Contact] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    features: int = 0
    is_old: bool = False
    is_new: bool = False
    has_info: bool = False


class Survey:
    """Collects enquiry and owners while a package goes by, and says what is missing.

    Attributes
    ----------
    enquiry, owners, findings
        The outcome; complete after :meth:`finish`.
    own_members
        Files of the package that are no attachments.
    """

    def __init__(self, intake: Intake) -> None:
        self.enquiry: EnquiryInfo | None = None
        self.owners: tuple[PackageOwner, ...] = ()
        self.findings: list[Finding] = []
        self.own_members: frozenset[str] = frozenset(intake.documents[:1])
        self._intake = intake
        self._drafts: dict[str, _Draft] = {}
        self._nameless: list[PackageOwner] = []
        self._pending: list[tuple[str, etree._Element]] = []
        self._times: dict[str, datetime | None] = {}
        self._cvr_of_number: dict[str, str] = {}
        self._limits: Limits = intake.limits
        self._members = {name.casefold(): name for name in intake.members}

    # -- while elements go by

    def take(self, element: etree._Element) -> None:
        """Note what an element says."""
        cvr, number = owner_mark(element)
        name = local_name(element)
        if name not in _SPECIAL:
            self._take_feature(cvr or UNKNOWN_OWNER, number, element)
        elif name == "Graveforesp":
            self._take_dig(element)
        elif name == "Ledningspakke":
            fields = texts_of(element)
            for key in ("oprettet_dato", "aendret_dato"):
                self._times[key] = self._moment(fields.get(key, ""), key)
        elif name == "UtilityOwner":
            self._take_owner(cvr, number, element)
        elif cvr:
            self._take_answer(name, cvr, number, element)
        else:  # an interest area is enough; whose it is may be told later
            self._pending.append((number, element))
            if len(self._pending) > self._limits.max_zip_members:
                raise UnreadableFile("The package holds too many answers that name no owner.")

    def _draft(self, cvr: str) -> _Draft:
        draft = self._drafts.get(cvr)
        if draft is None:
            if len(self._drafts) >= self._limits.max_owners:
                raise UnreadableFile(f"The package names more than {self._limits.max_owners} owners.")
            draft = self._drafts[cvr] = _Draft()
        return draft

    def _take_feature(self, cvr: str, number: str, element: etree._Element) -> None:
        draft = self._draft(cvr)
        draft.features += 1
        if number:
            self._number(draft, cvr, number)
        if str(element.tag).startswith(_LER_1):
            draft.is_old = True
        elif not draft.is_new:
            draft.is_new = next(element.iterchildren(*_SINCE_2_2), None) is not None

    def _number(self, draft: _Draft, cvr: str, number: str) -> None:
        if number not in draft.numbers:
            if len(draft.numbers) >= self._limits.max_zip_members:
                raise UnreadableFile("An owner of the package has too many interest areas.")
            draft.numbers[number] = None
            if cvr != UNKNOWN_OWNER:
                self._cvr_of_number.setdefault(number, cvr)

    def _take_owner(self, cvr: str, number: str, element: etree._Element) -> None:
        fields = texts_of(element)
        own = fields.get("cvr", "")
        cvr = cvr or (own if _CVR.fullmatch(own) else "") or UNKNOWN_OWNER
        name, folder = fields.get("companyName", ""), fields.get("folderName", "")
        if folder and not is_safe_name(folder):
            self.findings.append(check.unsafe_folder(cvr, folder))
            folder = ""
        if cvr == UNKNOWN_OWNER and name:
            self._nameless.append(PackageOwner(cvr, name, (number or "1",), folder_name=folder))
        draft = self._draft(cvr)
        draft.name = draft.name or name
        if folder and folder not in draft.folders:
            draft.folders.append(folder)
        if number:
            self._number(draft, cvr, number)

    def _take_answer(self, name: str, cvr: str, number: str, element: etree._Element) -> None:
        """Note an answer for an interest area, or whom to ask about it."""
        draft = self._draft(cvr)
        if number:
            self._number(draft, cvr, number)
        if name == "UtilityPackageInfo":
            draft.infos[number] = self._info(number, element)
        else:
            contact = _contact(cvr, element)
            if contact is not None:
                draft.contacts.setdefault(number, contact)

    def _info(self, number: str, element: etree._Element) -> PackageArea:
        fields = texts_of(element)
        until = self._moment(fields.get("gyldigTil", ""), "gyldigTil")
        expected = fields.get("forventetAfleveringstidspunkt") or fields.get("forventetAfleveringtidspunkt")
        kind = response_type_of(fields.get("type", ""))
        info = next((c for c in element if local_name(c) == "typeSupplerendeInfo"), None)
        return PackageArea(
            number,
            status_text(kind),
            until.date() if until else None,
            None if info is None else info.text or "",
            self._moment(expected or "", "forventetAfleveringstidspunkt"),
            response_type=kind,
        )

    def _moment(self, text: str, name: str) -> datetime | None:
        if not text:
            return None
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            self.findings.append(check.bad_time(name, text))
            return None

    def _take_dig(self, element: etree._Element) -> None:
        try:
            self.enquiry, mended = enquiry_of(element)
        except InvalidInput as error:
            self.findings.append(check.unusable_enquiry(error.message))
        else:
            if mended:
                self.findings.append(check.mended_area(mended))

    # -- when all went by

    def finish(self) -> None:
        """Bring together what belongs together, and check whether anything is missing."""
        entries = self._status_entries()
        self._note_numbers(entries)
        for number, element in self._pending:
            cvr = self.owner_of(number)
            if cvr:
                self._take_answer(local_name(element), cvr, number, element)
            else:
                self.findings.append(check.area_without_owner(number))
        self._pending = []
        listed = self._take_statuses(entries)
        self._finish_enquiry()
        self.owners = (*(self._owner(cvr) for cvr in self._order()), *self._others())
        self.findings += check.completeness(
            self.owners,
            {cvr: draft.features for cvr, draft in self._drafts.items()},
            None if entries is None else listed,
        )

    def _order(self) -> list[str]:
        nameless = UNKNOWN_OWNER in self._drafts and not self._drafts[UNKNOWN_OWNER].features
        return [cvr for cvr in self._drafts if not (nameless and cvr == UNKNOWN_OWNER)]

    def _others(self) -> list[PackageOwner]:
        """Return the owners without CVR number who have no features: each stands for himself."""
        first = self._drafts.get(UNKNOWN_OWNER)
        shown = first.name if first is not None and first.features else None
        unique = {owner.name: owner for owner in reversed(self._nameless) if owner.name != shown}
        return list(reversed(unique.values()))

    def owner_of(self, number: str) -> str:
        """Return the owner of an interest area, empty where nothing tells."""
        return self._cvr_of_number.get(number, "")

    def model_of(self, cvr: str) -> str:
        """Return the data model that the features of an owner need; the document does not say it."""
        draft = self._drafts.get(cvr)
        if draft is None or draft.is_new:
            return catalogue().model
        return "1.0.0" if draft.is_old else "2.1.0"

    def _status_entries(self) -> tuple[StatusEntry, ...] | None:
        """Read the status list, ``None`` where there is none."""
        name = self._member_called(STATUS_LIST.casefold())
        if name is None:
            if self._intake.is_zip:
                self.findings.append(check.no_status_list())
            return None
        self.own_members |= {name}
        try:
            return read_status_list(self._intake.attachment(name))
        except UnreadableFile as error:
            self.findings.append(check.bad_status_list(error.message))
            return None

    def _member_called(self, base: str) -> str | None:
        return next(
            (name for lower, name in self._members.items() if PurePosixPath(lower).name == base), None
        )

    def _note_numbers(self, entries: Iterable[StatusEntry] | None) -> None:
        for entry in entries or ():
            for number, _ in entry.areas:
                if entry.cvr and number:
                    self._cvr_of_number.setdefault(usable_number(number), entry.cvr)

    def _take_statuses(self, entries: Iterable[StatusEntry] | None) -> set[str]:
        """Give each owner the statuses of the list; return who is in it."""
        by_name = {draft.name.casefold(): cvr for cvr, draft in self._drafts.items() if draft.name}
        listed: set[str] = set()
        for entry in entries or ():
            areas = [(usable_number(number) if number else "", text) for number, text in entry.areas]
            cvr = entry.cvr or next((c for n, _ in areas if (c := self.owner_of(n))), "")
            cvr = cvr or by_name.get(entry.name.casefold(), UNKNOWN_OWNER)
            listed.add(cvr)
            if cvr == UNKNOWN_OWNER:
                kept = [PackageArea(n or "1", t, response_type=response_type_of(t)) for n, t in areas]
                self._nameless.append(rolled_up(PackageOwner(cvr, entry.name), kept))
                continue
            draft = self._draft(cvr)
            draft.name = draft.name or entry.name
            for number, text in areas:
                if number:
                    self._number(draft, cvr, number)
                draft.statuses.setdefault(number, text)
        return listed

    def _owner(self, cvr: str) -> PackageOwner:
        draft = self._drafts[cvr]
        numbers = list(draft.numbers) or ["1"]
        areas = [self._area(draft, number) for number in numbers]
        folder = draft.folders[0] if draft.folders else ""
        return rolled_up(PackageOwner(cvr, draft.name, folder_name=folder), _contacts_made_one(areas))

    def _area(self, draft: _Draft, number: str) -> PackageArea:
        """Put together what is known of one interest area; what stands without number counts for each."""
        info = draft.infos.get(number) or draft.infos.get("") or PackageArea(number, "")
        contact = draft.contacts.get(number) or draft.contacts.get("")
        status = draft.statuses.get(number) or draft.statuses.get("") or ""
        kind = info.response_type or response_type_of(status)
        if not status:
            if kind is None and draft.features and not draft.statuses and number not in draft.infos:
                kind = ResponseType.DELIVERED
            status = status_text(kind)
        return replace(info, number=number, status=status, contact=contact, response_type=kind)

    def _finish_enquiry(self) -> None:
        """Complete the enquiry from the request in the package, where it does not stand in the document."""
        name = next((n for lower, n in self._members.items() if _is_request(lower)), None)
        if name is None and self._intake.is_zip:
            self.findings.append(check.no_request())
        if name is not None:
            self.own_members |= {name}
        if self.enquiry is None:
            self.enquiry = self._requested(name)
            if self.enquiry is None:
                self.findings.append(check.no_enquiry())
        if self.enquiry is not None:
            self.enquiry = replace(
                self.enquiry,
                created_at=self._times.get("oprettet_dato"),
                changed_at=self._times.get("aendret_dato"),
            )

    def _requested(self, name: str | None) -> EnquiryInfo | None:
        if name is None or not name.lower().endswith((".gml", ".xml")):
            return None
        try:
            with self._intake.open(name) as file:
                asked = read_request(BytesIO(file.read(self._limits.max_feature_bytes)))
        except InvalidInput:
            return None
        return enquiry_of_request(asked, self._number_in_names())

    def _number_in_names(self) -> str:
        """Return the number of the package out of the name of its file or folder."""
        for name in (*self._intake.members, self._intake.name):
            found = _PACKAGE_NAME.search(name)
            if found:
                return found[1]
        return ""

    # -- attachments

    def attachments_of(self, cvr: str) -> tuple[str, ...]:
        """Return the files in an owner's folder."""
        draft = self._drafts.get(cvr)
        folders = [f"/{folder.casefold()}/" for folder in draft.folders] if draft else []
        return tuple(
            name
            for lower, name in self._members.items()
            if any(folder in f"/{lower}" for folder in folders) and name not in self.own_members
        )

    def attachment_of(self, cvr: str, path: str) -> str | None:
        """Return the member that an owner's feature calls `path`; letters may differ in case."""
        draft = self._drafts.get(cvr)
        wanted = path.casefold().removeprefix("./")
        places = [f"/{folder.casefold()}/{wanted}" for folder in draft.folders] if draft else []
        for place in places:
            for lower, name in self._members.items():
                if f"/{lower}".endswith(place):
                    return name
        return self._members.get(wanted)


def _is_request(lower: str) -> bool:
    return _REQUEST in PurePosixPath(lower).name


def enquiry_of(element: etree._Element) -> tuple[EnquiryInfo, str]:
    """Return the enquiry of a ``Graveforesp`` and what was mended in its area.

    Raises
    ------
    InvalidInput
        The area or the period cannot be read.
    """
    fields = texts_of(element)
    area, mended = dig_area(element)
    enquiry = EnquiryInfo(
        number=fields.get("orderNo", ""),
        polygon=shapely.to_wkb(area, byte_order=1),
        period_from=_day(fields, "graveperiode_fra"),
        period_to=_day(fields, "graveperiode_til"),
        methods=tuple(one.strip() for one in fields.get("graveart_id", "").split(",") if one.strip()),
        description=fields.get("bemaerkning", ""),
        methods_other=fields.get("graveart_andet", ""),
        more=tuple((name, text) for name, text in fields.items() if name not in _DIG_FIELDS and text),
    )
    return enquiry, mended


def enquiry_of_request(asked: DigRequest, number: str) -> EnquiryInfo:
    """Return what a request says as the enquiry of a package."""
    return EnquiryInfo(
        number,
        asked.polygon,
        asked.period_from,
        asked.period_to,
        asked.methods,
        asked.description,
        methods_other=asked.methods_other,
    )


def _day(fields: Mapping[str, str], name: str) -> date:
    text = fields.get(name, "")[:10]
    for form in ("%Y-%m-%d", "%d-%m-%Y"):
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    raise InvalidInput(f"'{name}' is not a date (yyyy-mm-dd).", details={"found": text[:80]})


def _contact(cvr: str, element: etree._Element) -> Contact | None:
    """Return a contact, ``None`` for one that says nothing."""
    fields = texts_of(element)
    name, phone, email = (fields.get(key, "") for key in ("navn", "telefonnummer", "mailadresse"))
    if not (name or phone or email):
        return None
    own_id = (element.get(_GML_ID) or "").removeprefix(f"c{cvr}.")
    return Contact(name, phone, email, own_id if own_id != "kontakt" and is_gml_id(own_id) else "")


def _contacts_made_one(areas: list[PackageArea]) -> list[PackageArea]:
    """Give contacts that differ by nothing but the number at the end of their id the first one's id."""
    first = next((area.contact for area in areas if area.contact), None)
    if first is None:
        return areas
    same = []
    for area in areas:
        contact = area.contact
        if contact is not None and contact.gml_id == f"{first.gml_id or 'kontakt'}.{area.number}":
            contact = replace(contact, gml_id=first.gml_id)
        same.append(replace(area, contact=contact))
    return same
