"""What is stored of dig enquiries: the enquiry, its answers, its newest package, and how they are read.

An area above the limit of one enquiry is filed as several, the parts of a project; its number is that of the
first part, and its packages hold what all parts brought.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import batched
from typing import Any, Final

import shapely
import sqlalchemy as sa

from geoinfra import crs
from geoinfra.errors import Conflict
from geoinfra.flows.package_jobs import PackageJob, newest_jobs
from geoinfra.flows.reminders import is_open, standing_of
from geoinfra.storage import schema
from geoinfra.storage.records import timestamp
from geoinfra.utilities.contacts import reached_by
from geoinfra.utilities.enquiry import (
    AnswerStatus,
    EmergencyGround,
    EnquiryContact,
    EnquiryKind,
    EnquiryRequest,
    EnquiryState,
    Filer,
    state_of,
)
from geoinfra.utilities.filing import filing_of, may_resend, told, validity
from geoinfra.utilities.formats.request import DigRequest
from geoinfra.utilities.legal_clock import DENMARK, ClockStatus

__all__ = [
    "AREA_ANSWERS",
    "DIG",
    "PACKAGES",
    "SURROUNDINGS",
    "UTILITY_DATASET",
    "Answer",
    "Enquiry",
    "Package",
    "PackageState",
    "Project",
    "answer_row",
    "area_json",
    "grant_row",
    "ler_request",
    "load_enquiries",
    "load_enquiry",
    "newest_packages",
    "request_row",
    "require_in_force",
]

UTILITY_DATASET = "utility-features"
DIG, SURROUNDINGS = "dig", "surroundings"
PACKAGES = "packages"
"""Folder of the packages; then the enquiry."""
AREA_ANSWERS = "area-answers"
"""Folder of the answers that came for one interest area each; then the enquiry, the owner, the area."""
_AT_ONCE: Final = 500
"""Enquiries of one question to the records."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One owner's answer to one enquiry.

    Attributes
    ----------
    interest_areas
        LER's *indberetningsNr* of the areas that touch the dig area.
    features
        Features of the owner that touch the area; ``None`` while he has not answered.
    valid_to
        LER's *gyldigTil*; a past date is shown, never refused.
    header
        Contact, supplementary information and expected time of the delivery behind the answer; of a hosted
        owner also that delivery (``hosted``).
    due_at
        When it is due by law, UTC text; ``None`` for an enquiry without a clock.
    taken_at
        When the owner took it out for manual handling.
    acknowledged_at
        When the owner's system fetched the enquiry.
    version
        How many answers he has given, with corrections.
    filed_at
        When the enquiry was filed, UTC text; empty for an answer that is not stored.
    supplies
        What the owner has in those interest areas, as they are registered now.
    reached_by
        Whom to call, as the owner has registered; ``None`` where he has not.
    """

    owner_cvr: str
    owner_name: str
    interest_areas: tuple[int, ...]
    status: AnswerStatus
    delivery_id: str | None
    features: int | None
    valid_to: date | None
    answered_at: str | None
    header: Mapping[str, Any]
    due_at: str | None = None
    taken_at: str | None = None
    acknowledged_at: str | None = None
    version: int = 1
    filed_at: str = ""
    supplies: tuple[str, ...] = ()
    reached_by: Mapping[str, str] | None = None

    @property
    def contact(self) -> Mapping[str, str] | None:
        """Whom to ask: as his answer says, else as the register does."""
        told: Mapping[str, str] | None = self.header.get("contact")
        return told or self.reached_by

    @property
    def is_open(self) -> bool:
        """Whether something is expected from the owner, in a package or by his own hand."""
        return is_open(self.status, self.answered_at)

    @property
    def is_answered(self) -> bool:
        """Whether the owner has answered, and not only taken the case out for manual handling."""
        return self.answered_at is not None and self.status is not AnswerStatus.MANUAL

    def clock(self, now: datetime) -> ClockStatus | None:
        """Return where the answer stands against its deadline, ``None`` where it has none."""
        if self.due_at is None or not self.filed_at:
            return None
        return standing_of(self.status, self.filed_at, self.taken_at, self.answered_at, now)

    def to_json(self) -> dict[str, Any]:
        """Return the answer as the HTTP interface shows it."""
        now = datetime.now(UTC)
        expired = self.valid_to is not None and self.valid_to < now.astimezone(DENMARK).date()
        return {
            "cvr": self.owner_cvr,
            "name": self.owner_name,
            "interest_areas": list(self.interest_areas),
            "supplies": list(self.supplies),
            "status": str(self.status),
            "status_da": self.status.danish,
            "open": self.is_open,
            "features": self.features,
            "valid_to": self.valid_to.isoformat() if self.valid_to else None,
            "expired": expired,
            "answered_at": self.answered_at,
            "due_at": self.due_at,
            **_clock_json(self.clock(now)),
            "taken_at": self.taken_at,
            "acknowledged_at": self.acknowledged_at,
            "version": self.version,
            "expected_at": self.header.get("expected_at"),
            "supplementary_info": self.header.get("supplementary_info"),
            "contact": self.contact and {n: t for n, t in self.contact.items() if n != "gml_id"},
        }


def _clock_json(clock: ClockStatus | None) -> dict[str, Any]:
    if clock is None:
        return {"overdue_since": None, "time_left_min": None, "clock": None}
    return {
        "overdue_since": timestamp(clock.overdue_since) if clock.overdue_since else None,
        "time_left_min": int(clock.time_left.total_seconds() // 60),
        "clock": {"state": str(clock.state), "da": clock.words("da"), "en": clock.words("en")},
    }


@dataclass(frozen=True, slots=True)
class Package:
    """A package that was made: a blob, its hash (SHA-256 of the zip) and size."""

    sequence: int
    blob: str
    sha256: str
    size_bytes: int
    features: int

    def to_json(self) -> dict[str, Any]:
        """Return what clients may know; the blob's name is not among it."""
        return {
            "ready": True,
            "sequence": self.sequence,
            "sha256": self.sha256,
            "size_bytes": self.size_bytes,
            "features": self.features,
        }


class PackageState(StrEnum):
    """How far an enquiry's package is; ``failed`` is final."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Project:
    """Which part of a large area an enquiry is.

    Attributes
    ----------
    number
        Of the first part; packages are filed under it.
    part
        From 1 to ``len(numbers)``; 0 for all of them.
    numbers
        Of all parts, in order.
    """

    number: str
    part: int
    numbers: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "number": self.number,
            "part": self.part,
            "parts": len(self.numbers),
            "numbers": [*self.numbers],
        }


@dataclass(frozen=True, slots=True)
class Enquiry:
    """A filed dig enquiry with its answers and its newest package.

    Attributes
    ----------
    answers
        Of the owners whose interest areas touch the dig area.
    package_state
        ``None`` for a reader whom the package does not concern.
    package_behind
        Whether answers came or changed since the newest package was begun, and a newer one follows.
    beside
        Owners in the surroundings only, who were not asked.
    fee_dkk
        ``None`` for a reader whom it does not concern.
    original
        Of a re-send: the number of the enquiry that was sent first.
    project
        ``None`` for an enquiry that stands alone.
    parts
        Of a whole project: its enquiries.
    """

    number: str
    organisation: str
    request: EnquiryRequest
    filed_at: str
    valid_to: datetime
    answers: tuple[Answer, ...]
    package: Package | None
    package_state: PackageState | None
    package_behind: bool = False
    beside: tuple[Answer, ...] = ()
    fee_dkk: Decimal | None = None
    original: str = ""
    project: Project | None = None
    parts: tuple[Enquiry, ...] = ()

    @property
    def state(self) -> EnquiryState:
        """Derived from the answers, the package and the clock.

        It is not complete before an owner who sends his information himself has said that he has.
        """
        settled = not any(answer.is_open for answer in self.answers)
        packaged = self.package is not None and not (self.package_behind and settled)
        return state_of(settled=settled, packaged=packaged, valid_to=self.valid_to)

    @property
    def stored_answers(self) -> tuple[Answer, ...]:
        """The answers as they are stored: of a whole project those of every part."""
        return tuple(answer for part in self.parts for answer in part.answers) or self.answers

    @property
    def numbers(self) -> tuple[str, ...]:
        """The enquiries whose answers these are."""
        return tuple(part.number for part in self.parts) or (self.number,)

    def to_json(self) -> dict[str, Any]:
        """Return the enquiry as ``docs/reference/http.md`` describes it."""
        asked = self.request
        return {
            "number": self.number,
            "state": str(self.state),
            "kind": str(asked.kind),
            "kind_da": asked.kind.danish,
            "permits_digging": asked.kind.permits_digging,
            "owners_first": asked.kind.owners_first,
            "filer": str(asked.filer),
            "filed_at": self.filed_at,
            "valid_to": timestamp(self.valid_to),
            "area": area_json(asked.polygon),
            "area_m2": round(asked.area_m2, 1),
            "period": {"from": asked.period_from.isoformat(), "to": asked.period_to.isoformat()},
            "methods": list(asked.methods),
            "methods_other": asked.methods_other,
            "description": asked.description,
            "grounds": [str(ground) for ground in asked.grounds],
            "reason": asked.reason,
            "begun": asked.begun,
            "purpose": asked.purpose,
            "supplies": list(asked.supplies),
            "depth_m": asked.depth_m,
            "own_number": asked.own_number,
            "contact": asked.contact.to_json(),
            "formats": list(asked.formats),
            "original": self.original or None,
            "owners": [answer.to_json() for answer in self.answers],
            **self._for_filer(),
            "package": {
                "state": self.package_state and str(self.package_state),
                **(self.package.to_json() if self.package else {"ready": False}),
            },
            "links": [{"rel": "self", "type": "application/json", "href": f"/api/enquiries/{self.number}"}],
        }

    def _for_filer(self) -> dict[str, Any]:
        """Return what concerns him who filed, and not the owners."""
        if self.fee_dkk is None:
            return {}
        now = datetime.now(UTC)
        filing = filing_of(
            self.request, self.number, datetime.fromisoformat(self.filed_at), original=self.original
        )
        again = may_resend(filing, now)
        valid = validity(filing, {one.owner_cvr: one.valid_to for one in self.answers}, now)
        return {
            "surroundings": {
                "distance_m": self.request.surroundings_m,
                "owners": [answer.to_json() for answer in self.beside],
            },
            "fee_dkk": str(self.fee_dkk),
            "rules": [rule.to_json() for rule in told(self.request, len(self.parts) or 1)],
            "project": self.project and self.project.to_json(),
            "parts": [
                {
                    "number": part.number,
                    "state": str(part.state),
                    "area": area_json(part.request.polygon),
                    "area_m2": round(part.request.area_m2, 1),
                    "fee_dkk": str(part.fee_dkk),
                }
                for part in self.parts
            ],
            "resend": {
                "allowed": again.allowed,
                "last_day": again.last_day.isoformat(),
                "original": again.original_number,
                "da": again.text_da,
                "en": again.text,
            },
            "validity": {
                "state": str(valid.state),
                "last_day": valid.last_day.isoformat(),
                "expired_owners": list(valid.expired_owners),
            },
        }


def area_json(polygon: shapely.Polygon) -> Any:
    """Return a polygon as GeoJSON in longitude and latitude."""
    area = crs.transform_geometry(polygon, "EPSG:25832", "OGC:CRS84")
    return json.loads(shapely.to_geojson(shapely.set_precision(area, 1e-8)))


def ler_request(asked: EnquiryRequest, description: str, own_number: str) -> DigRequest:
    """Return a request as LER takes it; a supply that was not told is *anden*, with a text that says so."""
    supplies = asked.supplies or ("99",)
    return DigRequest(
        polygon=shapely.to_wkb(asked.polygon),
        period_from=asked.period_from,
        period_to=asked.period_to,
        methods=asked.methods,
        description=description or "-",
        methods_other=asked.methods_other[:50],
        purpose=asked.purpose,
        supplies=supplies,
        supplies_other="Ikke oplyst" if "99" in supplies else "",
        own_number=own_number,
        contact_email=asked.contact.email[:50],
    )


# --- Rows


def answer_row(number: str, answer: Answer, scope: str = DIG) -> dict[str, Any]:
    """Return an answer as its record."""
    return {
        "enquiry": number,
        "owner_cvr": answer.owner_cvr,
        "interest_areas": json.dumps(answer.interest_areas),
        "status": str(answer.status),
        "delivery_id": answer.delivery_id,
        "features": answer.features,
        "valid_to": answer.valid_to.isoformat() if answer.valid_to else None,
        "header": json.dumps(answer.header),
        "answered_at": answer.answered_at,
        "scope": scope,
    }


def request_row(request: EnquiryRequest) -> dict[str, Any]:
    """Return a request as columns."""
    return {
        "polygon": shapely.to_wkb(request.polygon),
        "area_m2": request.area_m2,
        "period_from": request.period_from.isoformat(),
        "period_to": request.period_to.isoformat(),
        "methods": json.dumps(request.methods),
        "methods_other": request.methods_other,
        "description": request.description,
        "contact": json.dumps(request.contact.to_json()),
        "formats": json.dumps(request.formats),
        "kind": str(request.kind),
        "filer": str(request.filer),
        "grounds": json.dumps(request.grounds),
        "reason": request.reason,
        "begun": request.begun,
        "purpose": request.purpose,
        "supplies": json.dumps(request.supplies),
        "depth_m": request.depth_m,
        "own_number": request.own_number,
        "surroundings_m": request.surroundings_m,
    }


def grant_row(
    number: str, organisation: str, answer: Answer, polygon: bytes, filed_at: datetime, valid_to: datetime
) -> dict[str, Any]:
    """Return the grant that lets `organisation` read what `answer` gives within `polygon` (WKB)."""
    return {
        "enquiry": number,
        "organisation": organisation,
        "dataset": UTILITY_DATASET,
        "source": answer.owner_cvr,
        "delivery_id": answer.delivery_id,
        "polygon": polygon,
        "valid_from": timestamp(filed_at),
        "valid_to": timestamp(valid_to),
    }


# --- Reading


def load_enquiry(connection: sa.Connection, number: str) -> Enquiry:
    """Return a stored enquiry. The caller has checked the right to see it."""
    (found,) = load_enquiries(connection, [number])
    return found


def load_enquiries(connection: sa.Connection, numbers: Sequence[str]) -> list[Enquiry]:
    """Return stored enquiries in the order of their numbers given, by the same few questions for any count.

    The caller has checked the right to see them.
    """
    return [one for some in batched(numbers, _AT_ONCE) for one in _load_some(connection, some)]


def _load_some(connection: sa.Connection, numbers: Sequence[str]) -> list[Enquiry]:
    table = schema.enquiries
    found = connection.execute(sa.select(table).where(table.c.number.in_(numbers)))
    rows = {row.number: row for row in found}
    projects = _projects(connection, {row.project for row in rows.values() if row.project})
    kept_as = {number: row.project or number for number, row in rows.items()}
    packages = newest_packages(connection, set(kept_as.values()))
    sequences = dict.fromkeys(kept_as.values(), 0)
    sequences |= {number: package.sequence for number, package in packages.items()}
    jobs = newest_jobs(connection, sequences)
    answers = _load_answers(connection, rows)
    made = []
    for number in numbers:
        row, package, job = rows[number], packages.get(kept_as[number]), jobs.get(kept_as[number])
        made.append(
            Enquiry(
                number,
                row.organisation,
                _request_of(row),
                row.filed_at,
                datetime.fromisoformat(row.valid_to),
                tuple(answers[number, DIG]),
                package,
                PackageState.READY if package else _state_without_package(job),
                package is not None and job is not None and job.sequence > package.sequence,
                tuple(answers[number, SURROUNDINGS]),
                Decimal(row.fee_dkk),
                row.original or "",
                Project(row.project, row.part, projects[row.project]) if row.project else None,
            )
        )
    return made


def _request_of(row: sa.Row[Any]) -> EnquiryRequest:
    return EnquiryRequest(
        polygon=shapely.from_wkb(row.polygon),
        period_from=date.fromisoformat(row.period_from),
        period_to=date.fromisoformat(row.period_to),
        methods=tuple(json.loads(row.methods)),
        contact=EnquiryContact(**json.loads(row.contact)),
        methods_other=row.methods_other,
        description=row.description,
        formats=tuple(json.loads(row.formats)),
        kind=EnquiryKind(row.kind),
        filer=Filer(row.filer),
        grounds=tuple(map(EmergencyGround, json.loads(row.grounds))),
        reason=row.reason,
        begun=bool(row.begun),
        purpose=row.purpose,
        supplies=tuple(json.loads(row.supplies)),
        depth_m=row.depth_m,
        own_number=row.own_number,
        surroundings_m=row.surroundings_m,
    )


def _projects(connection: sa.Connection, projects: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the numbers of the parts of each project, in order."""
    if not projects:
        return {}
    table = schema.enquiries.c
    query = sa.select(table.project, table.number).where(table.project.in_(projects)).order_by(table.part)
    found: dict[str, list[str]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.project].append(row.number)
    return {project: tuple(numbers) for project, numbers in found.items()}


def _state_without_package(job: PackageJob | None) -> PackageState:
    return PackageState.FAILED if job and job.failed else PackageState.BUILDING


def require_in_force(filed: Enquiry) -> None:
    """Raise unless lines may still be given out for an enquiry.

    Raises
    ------
    Conflict
        It has expired.
    """
    if filed.state is EnquiryState.EXPIRED:
        raise Conflict(
            f"The enquiry {filed.number} has expired.",
            hint="File it again before you dig.",
            details={"message_da": "Forespørgslen er udløbet; opret den igen, før du graver."},
        )


def newest_packages(connection: sa.Connection, numbers: Collection[str]) -> dict[str, Package]:
    """Return the newest packages that are filed under some numbers. The right to know is checked."""
    table = schema.packages.c
    ours = table.enquiry.in_(numbers)
    newest = sa.select(table.enquiry, sa.func.max(table.sequence)).where(ours).group_by(table.enquiry)
    query = sa.select(
        table.enquiry, table.sequence, table.blob, table.sha256, table.size_bytes, table.features
    ).where(sa.tuple_(table.enquiry, table.sequence).in_(newest))
    return {row.enquiry: Package(*row[1:]) for row in connection.execute(query)}


def _load_answers(
    connection: sa.Connection, enquiries: Mapping[str, sa.Row[Any]]
) -> Mapping[tuple[str, str], list[Answer]]:
    """Return the answers to enquiries by number and scope: owners in the dig area, and those beside it."""
    table, owner = schema.answers, schema.organisations
    rows = connection.execute(
        sa.select(table, owner.c.name, owner.c.contact)
        .join(owner, owner.c.cvr == table.c.owner_cvr)
        .where(table.c.enquiry.in_(enquiries))
        .order_by(table.c.owner_cvr)
    ).all()
    areas = _registered(connection, {number for row in rows for number in json.loads(row.interest_areas)})
    found: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for row in rows:
        found[row.enquiry, row.scope].append(_answer_of(row, enquiries[row.enquiry].filed_at, areas))
    return found


def _registered(connection: sa.Connection, numbers: Collection[int]) -> dict[int, Any]:
    table = schema.interest_areas.c
    query = sa.select(table.number, table.supply_types, table.contacts).where(table.number.in_(numbers))
    return {row.number: row for row in connection.execute(query)}


def _answer_of(row: sa.Row[Any], filed_at: str, areas: Mapping[int, Any]) -> Answer:
    numbers = tuple(json.loads(row.interest_areas))
    registered = [areas[number] for number in sorted(numbers) if number in areas]
    supplies = {supply for area in registered for supply in json.loads(area.supply_types)}
    contacts = [json.loads(area.contacts) for area in registered]
    return Answer(
        row.owner_cvr,
        row.name,
        numbers,
        AnswerStatus(row.status),
        row.delivery_id,
        row.features,
        date.fromisoformat(row.valid_to) if row.valid_to else None,
        row.answered_at,
        json.loads(row.header),
        row.due_at,
        row.taken_at,
        row.acknowledged_at,
        row.version,
        filed_at,
        tuple(sorted(supplies)),
        reached_by(contacts, json.loads(row.contact)),
    )
