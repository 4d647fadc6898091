"""What each call does: parameters and body in, a flow called, LER's ``Data`` out."""

from __future__ import annotations

import base64
import io
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Final

import shapely

from geoinfra.access import Access, Role
from geoinfra.errors import NotFound
from geoinfra.flows import ler_exchange
from geoinfra.flows.enquiries import Enquiry, enquiry
from geoinfra.flows.ler_exchange import AreaRequest, PackageRow
from geoinfra.flows.sandbox import number_prefix
from geoinfra.presentation.receipt import OwnerLine, Receipt, receipt_pdf
from geoinfra.storage import Store
from geoinfra.storage.organisations import get_organisation
from geoinfra.utilities.ler_api import Refusal, error_codes, ler_id, number_of
from services.ler.body import Body, temporary_file
from services.ler.envelope import Call, FileData

__all__ = ["CALLS", "Task", "Wanted"]

_ZIP = "application/zip"
_VIEWED = ("consolidated.gml", "LedningsejerStatusListe.xml")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that is allowed to be made.

    Attributes
    ----------
    body
        What was sent with it.
    """

    store: Store
    access: Access
    call: Call
    body: Body

    def audit(self, action: str, subject: str, **details: Any) -> None:
        """Note a use of protected data before it is answered."""
        self.store.audit.append(f"ler.{action}", self.access, subject, details)

    def number(self, refusal: str = "00-200") -> str:
        """Return the enquiry's number in the path."""
        with self.store.read() as connection:
            prefix = number_prefix(connection)
        number = number_of(self.call.resource, prefix)
        if number is None:
            raise Refusal(refusal)
        return number

    def area(self) -> int:
        """Return the mandatory *indberetningsNr*."""
        number = self.optional_area()
        if number is None:
            raise _parameter("indberetningsNr")
        return number

    def optional_area(self) -> int | None:
        """Return the *indberetningsNr*, where it is given."""
        text = self.call.parameters.get("indberetningsnr")
        return None if text is None else _area_number(text, "indberetningsNr")

    def flag(self, name: str) -> bool | None:
        """Return a parameter that is true or false, where it is given."""
        text = self.call.parameters.get(name.lower())
        if text is None:
            return None
        if text.lower() not in ("true", "false"):
            raise _parameter(name)
        return text.lower() == "true"


def _parameter(name: str) -> Refusal:
    return Refusal(
        "00-300",
        (f"Parameteren {name} mangler eller er forkert.", f"The parameter {name} is missing or wrong."),
    )


def _area_number(text: str, name: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text) or not text.isascii() or not 0 < int(text) < 2**31:
        raise _parameter(name)
    return int(text)


# --- Owners


def _requests(wanted: Wanted) -> Any:
    text = wanted.call.parameters.get("interesseomraadenumre")
    parts = None if text is None else [one.strip() for one in re.split(r"[,;]", text)]
    numbers = None if parts is None else [_area_number(one, "interesseomraadenumre") for one in parts]
    fresh, late = ler_exchange.open_requests(wanted.store, wanted.access, numbers)
    if fresh or late:
        wanted.audit("requests", ",".join(sorted({one.enquiry.number for one in [*fresh, *late]}))[:500])
    return {
        "AnmodningList": [_request(one) for one in fresh],
        "RykkerList": [_request(one) for one in late],
    }


def _one_request(wanted: Wanted) -> Any:
    number, area = wanted.number(), wanted.area()
    found = ler_exchange.request_for(wanted.store, wanted.access, number, area)
    wanted.audit("request", number, area=area)
    return _request(found)


def _request(one: AreaRequest) -> dict[str, Any]:
    asked = one.enquiry.request
    contact = {"Navn": asked.contact.name, "Email": asked.contact.email, "Telefon": asked.contact.phone}
    original = number_of(one.details["original"]) if one.details["original"] else None
    area_contact: Mapping[str, Any] = one.area_contacts.get("answers") or {}
    return {
        "LedningsejerCvr": one.answer.owner_cvr,
        "SvarFrist": one.answer.due_at,
        "Overskredet": one.overdue,
        "Graveforespoergsel": {
            "GraveforespoergselsNr": ler_id(one.enquiry.number),
            "OprindeligGraveforespoergselsNr": ler_id(original) if original else None,
            "EgetOrdrenummer": one.details["own_number"] or None,
            "Oprettet": one.enquiry.filed_at,
            "GraveperiodeFra": asked.period_from.isoformat(),
            "GraveperiodeTil": asked.period_to.isoformat(),
            "Graveart": list(asked.methods),
            "GraveartAndet": asked.methods_other or None,
            "Bemaerkning": asked.description,
            "Areal": round(asked.area_m2, 1),
            "PapirFormat": 1,
            "Bestiller": {
                "Cvr": one.filer["cvr"],
                "Navn": one.filer["name"],
                "Email": one.filer.get("email", ""),
                "Telefon": one.filer.get("phone", ""),
            },
            "Kontaktperson": contact,
            "Kontaktadresse": contact,
            "KonverteringsStatus": "Ikke konverteret",
            "GeografiskData": base64.b64encode(one.gml).decode(),
        },
        "Interesseomraade": {
            "IndberetningsNr": one.area,
            "Ler20Signed": True,
            "Kontakt": {
                "Navn": area_contact.get("name", ""),
                "Email": area_contact.get("email", ""),
                "Telefon": area_contact.get("phone", ""),
            },
        },
        "FaellesGeometri": [shapely.to_wkt(part, rounding_precision=3) for part in one.common],
    }


def _request_received(wanted: Wanted) -> Any:
    number, area = wanted.number(), wanted.area()
    ler_exchange.acknowledge_request(wanted.store, wanted.access, number, area)
    wanted.audit("request-received", number, area=area)
    return None


def _answer(wanted: Wanted) -> Any:
    number, area = wanted.number(), wanted.area()
    content, document = wanted.body.data("base64data")
    update = wanted.flag("isOpdatering")
    if update is None:
        update = str(document.get("isopdatering", "false")).lower() == "true"
    answered = ler_exchange.take_area_answer(
        wanted.store, wanted.access, number, area, content, is_update=update
    )
    wanted.audit("answer", number, area=area, update=update)
    own = next(one for one in answered.answers if one.owner_cvr == wanted.access.organisation)
    return {
        "GraveforespoergselsNr": ler_id(number),
        "IndberetningsNr": area,
        "Status": own.status.danish,
        "AntalObjekter": own.features,
    }


def _damage(wanted: Wanted) -> Any:
    damage_id = ler_exchange.report_damage(wanted.store, wanted.access, wanted.body.document())
    wanted.audit("damage", damage_id)
    return {"GraveskadeId": damage_id}


def _interest_area(wanted: Wanted) -> Any:
    content, _ = wanted.body.data("Gmlbase64data")
    number = ler_exchange.register_interest_area(
        wanted.store, wanted.access, content.read(), wanted.optional_area()
    )
    wanted.audit("interest-area", str(number))
    return {"IndberetningsNr": number, "Status": "Afventer godkendelse"}


# --- Excavators


def _file(wanted: Wanted) -> Any:
    content, _ = wanted.body.data("Gmlbase64data")
    filed = ler_exchange.file_request(wanted.store, wanted.access, content.read(), wanted.call.request_id)
    wanted.audit("filed", filed.number, area_m2=round(filed.request.area_m2, 1))
    return {"Id": ler_id(filed.number), "GraveforespoergselsNr": ler_id(filed.number)}


def _receipt(wanted: Wanted) -> Any:
    number = wanted.number("24-400")
    wanted.access.require(Role.EXCAVATOR)
    try:
        filed = enquiry(wanted.store, wanted.access, number)
    except NotFound as error:
        raise Refusal("24-400") from error
    if filed.organisation != wanted.access.organisation:
        raise Refusal("24-400")
    with wanted.store.read() as connection:
        filer = get_organisation(connection, filed.organisation)
    pdf = receipt_pdf(_receipt_of(filed, filer.name if filer else ""))
    return FileData(io.BytesIO(pdf), "application/pdf", f"Kvittering_{ler_id(number)}.pdf")


def _receipt_of(filed: Enquiry, filer: str) -> Receipt:
    asked = filed.request
    return Receipt(
        number=filed.number,
        ler_number=ler_id(filed.number),
        filed_at=datetime.fromisoformat(filed.filed_at),
        filer=f"{filer}, CVR {filed.organisation}",
        contact=", ".join(filter(None, (asked.contact.name, asked.contact.email, asked.contact.phone))),
        period=(asked.period_from, asked.period_to),
        methods=asked.methods,
        methods_other=asked.methods_other,
        description=asked.description,
        polygon=asked.polygon,
        owners=tuple(
            OwnerLine(one.owner_name, one.owner_cvr, one.status.danish, one.due_at, one.answered_at)
            for one in filed.answers
        ),
    )


def _package_list(wanted: Wanted) -> Any:
    rows = ler_exchange.package_rows(wanted.store, wanted.access)
    return {"LedningspakkeStatusList": [_package_status(row) for row in rows]}


def _one_package(wanted: Wanted) -> Any:
    number = wanted.number("16-400")
    return _package_status(ler_exchange.package_row(wanted.store, wanted.access, number))


def _package_status(row: PackageRow) -> dict[str, Any]:
    package = row.enquiry.package
    return {
        "GraveforespoergselsNr": ler_id(row.enquiry.number),
        "Status": str(row.status),
        "Version": package.sequence if package else None,
        "Dannet": row.created_at,
        "Kvitteret": row.acknowledged_at,
        "GyldigTil": row.enquiry.request.period_to.isoformat(),
        "ManglendeLedningsejere": [{"Cvr": cvr, "Navn": name} for cvr, name in row.missing],
    }


def _package(wanted: Wanted) -> Any:
    number = wanted.number("16-400")
    return FileData(_package_file(wanted, number), _ZIP, f"Ledningspakke_{ler_id(number)}.zip")


def _package_file(wanted: Wanted, number: str) -> BinaryIO:
    blob = ler_exchange.package_blob(wanted.store, wanted.access, number)
    wanted.audit("package", number, blob=blob)
    return wanted.store.blobs.open(blob)


def _package_for_viewers(wanted: Wanted) -> Any:
    """Give what a map viewer reads, without the drawings, pages and signatures beside it."""
    number = wanted.number("16-400")
    with _package_file(wanted, number) as file, ExitStack() as unless_made:
        target = unless_made.enter_context(temporary_file(wanted.store.uploads))
        _copy_viewed(file, target)
        unless_made.pop_all()
    return FileData(target, _ZIP, f"Ledningspakke_{ler_id(number)}_kortviser.zip")


def _copy_viewed(file: BinaryIO, target: BinaryIO) -> None:
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as viewed:
        for member in whole.infolist():
            if member.filename in _VIEWED or member.filename.startswith("Graveforespoergsel"):
                with whole.open(member) as content, viewed.open(copy(member), "w") as kept:
                    shutil.copyfileobj(content, kept, 1 << 20)


def _package_received(wanted: Wanted) -> Any:
    number = wanted.number("16-400")
    sequence = ler_exchange.acknowledge_package(wanted.store, wanted.access, number)
    wanted.audit("package-received", number, sequence=sequence)
    return None


# --- Everybody


def _works(_wanted: Wanted) -> Any:
    return None


def _codes(wanted: Wanted) -> Any:
    codes = error_codes()
    if not wanted.call.resource:
        return [{"StatusCode": one.code, "ErrorMessage": one.da} for one in codes.values()]
    known = {code.lower(): one for code, one in codes.items()}.get(wanted.call.resource.lower())
    if known is None:
        raise Refusal("00-300", ("Der er ingen sådan fejlkode.", "There is no such error code."))
    return {"StatusCode": known.code, "ErrorMessage": known.da, "ErrorMessageEn": known.en}


@dataclass(frozen=True, slots=True)
class Task:
    """One call of the interface.

    Attributes
    ----------
    with_id
        What is done when an id stands in the path; `without_id` when none does.
    open_to_all
        Needs neither a caller nor ids.
    named
        Needs a caller, and no ids.
    large
        Takes a large body, which is kept on the disk.
    """

    method: str
    without_id: Callable[[Wanted], Any] | None = None
    with_id: Callable[[Wanted], Any] | None = None
    open_to_all: bool = False
    named: bool = False
    large: bool = False


CALLS: Final[Mapping[str, Task]] = {
    "basictest": Task("GET", _works, open_to_all=True),
    "securetest": Task("GET", _works, named=True),
    "errorcodes": Task("GET", _codes, _codes, open_to_all=True),
    "anmodning": Task("GET", _requests, _one_request),
    "anmodningmodtaget": Task("POST", None, _request_received),
    "graveforespoergselsvar": Task("POST", None, _answer, large=True),
    "graveforespoergsel": Task("POST", _file, None),
    "graveforespoergselkvittering": Task("GET", None, _receipt),
    "ledningspakkestatus": Task("GET", _package_list, _one_package),
    "ledningspakke": Task("GET", None, _package),
    "ledningspakkekortviser": Task("GET", None, _package_for_viewers),
    "ledningspakkemodtaget": Task("POST", None, _package_received),
    "graveskade": Task("POST", _damage, None),
    "interesseomraade": Task("POST", _interest_area, None),
}
"""The calls by their names in small letters."""
