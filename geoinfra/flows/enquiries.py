"""File a dig enquiry, answer it from the owners' published versions, and read it again.

One records transaction holds everything that filing means: the enquiry, one answer for each owner with an
interest there, the grants of those whose data touch the area, the events and the job that makes the package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import shapely
import sqlalchemy as sa

from geoinfra import crs
from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, NotFound
from geoinfra.flows.answer_versions import write_first_versions
from geoinfra.flows.package_jobs import PackageJob, enqueue_package, newest_job
from geoinfra.flows.reminders import start_clock
from geoinfra.storage import Store, outbox, schema
from geoinfra.storage.organisations import InterestHit, owners_in
from geoinfra.storage.records import Transaction, timestamp
from geoinfra.tables import FeatureQuery
from geoinfra.utilities.enquiry import (
    AnswerStatus,
    EnquiryContact,
    EnquiryRequest,
    EnquiryState,
    state_of,
)

__all__ = [
    "Answer",
    "Enquiry",
    "Package",
    "PackageState",
    "answer_row",
    "enqueue_package",
    "enquiry",
    "file_enquiry",
    "grant_row",
    "hosted_answer",
    "list_enquiries",
    "newest_package",
    "package_state",
    "published_versions",
]

UTILITY_DATASET = "utility-features"
DENMARK = ZoneInfo("Europe/Copenhagen")


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

    def to_json(self) -> dict[str, Any]:
        """Return the answer as the HTTP interface shows it."""
        expired = self.valid_to is not None and self.valid_to < datetime.now(DENMARK).date()
        return {
            "cvr": self.owner_cvr,
            "name": self.owner_name,
            "interest_areas": list(self.interest_areas),
            "status": str(self.status),
            "status_da": self.status.danish,
            "features": self.features,
            "valid_to": self.valid_to.isoformat() if self.valid_to else None,
            "expired": expired,
            "answered_at": self.answered_at,
            "due_at": self.due_at,
            "taken_at": self.taken_at,
            "acknowledged_at": self.acknowledged_at,
            "version": self.version,
            "expected_at": self.header.get("expected_at"),
            "supplementary_info": self.header.get("supplementary_info"),
            "contact": self.header.get("contact"),
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
class Enquiry:
    """A filed dig enquiry with its answers and its newest package.

    Attributes
    ----------
    package_state
        ``None`` for a reader whom the package does not concern.
    package_behind
        Whether answers came or changed since the newest package was begun, and a newer one follows.
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

    @property
    def state(self) -> EnquiryState:
        """Derived from the answers, the package and the clock."""
        statuses = [answer.status for answer in self.answers]
        whole = not (self.package_behind and all(status.final for status in statuses))
        packaged = self.package is not None and whole
        return state_of(statuses, packaged=packaged, valid_to=self.valid_to)

    def to_json(self) -> dict[str, Any]:
        """Return the enquiry as ``docs/reference/http.md`` describes it."""
        area = crs.transform_geometry(self.request.polygon, "EPSG:25832", "OGC:CRS84")
        return {
            "number": self.number,
            "state": str(self.state),
            "filed_at": self.filed_at,
            "valid_to": timestamp(self.valid_to),
            "area": json.loads(shapely.to_geojson(shapely.set_precision(area, 1e-8))),
            "area_m2": round(self.request.area_m2, 1),
            "period": {
                "from": self.request.period_from.isoformat(),
                "to": self.request.period_to.isoformat(),
            },
            "methods": list(self.request.methods),
            "methods_other": self.request.methods_other,
            "description": self.request.description,
            "contact": self.request.contact.to_json(),
            "formats": list(self.request.formats),
            "owners": [answer.to_json() for answer in self.answers],
            "package": {
                "state": self.package_state and str(self.package_state),
                **(self.package.to_json() if self.package else {"ready": False}),
            },
            "links": [{"rel": "self", "type": "application/json", "href": f"/api/enquiries/{self.number}"}],
        }


def file_enquiry(
    store: Store, access: Access, document: Mapping[str, Any], *, key: str | None = None
) -> Enquiry:
    """File a dig enquiry; hosted owners answer at once, and a job makes the package.

    Parameters
    ----------
    document
        The request as in ``docs/reference/http.md``.
    key
        Idempotency key of the caller: the same key gives the same enquiry, filed once.

    Raises
    ------
    NotAllowed
        `access` is not an excavator of an organisation.
    InvalidInput, InvalidGeometry, TooLarge
        The document breaks a rule; nothing was stored.
    """
    access.require(Role.EXCAVATOR)
    organisation = access.require_organisation()
    request = EnquiryRequest.from_document(document)
    full_key = f"{organisation}:{key}" if key else None
    if full_key and (number := _number_of_key(store, full_key)):
        return _same_request(enquiry(store, access, number), request)
    filed_at = datetime.now(UTC)
    drafts = _answers(store, request.polygon, filed_at)
    with store.begin() as tx:
        if full_key and (number := _number_in(tx.connection, full_key)):
            return _same_request(_load(tx.connection, number), request)
        filed = _insert(tx, access, organisation, request, filed_at, drafts, full_key)
        tx.commit()
    return filed


def _number_of_key(store: Store, key: str) -> str | None:
    with store.read() as connection:
        return _number_in(connection, key)


def _number_in(connection: sa.Connection, key: str) -> str | None:
    table = schema.enquiries
    return connection.scalar(sa.select(table.c.number).where(table.c.request_key == key))


def _same_request(earlier: Enquiry, request: EnquiryRequest) -> Enquiry:
    same = shapely.equals_exact(earlier.request.polygon, request.polygon, tolerance=1e-6)
    if not same or earlier.request.period_from != request.period_from:
        raise Conflict(
            "This idempotency key was used for another enquiry.", hint="Use a new key for a new enquiry."
        )
    return earlier


def _answers(store: Store, polygon: shapely.Polygon, at: datetime) -> list[Answer]:
    """Decide every owner's answer from his published version; no owner is left out."""
    with store.read() as connection:
        hits = owners_in(connection, polygon, at)
        current = published_versions(connection)
    return [hosted_answer(store, hit, current.get(hit.owner_cvr), polygon, at) for hit in hits]


def published_versions(connection: sa.Connection) -> dict[str, Any]:
    """Return the present deliveries of utility lines by owner: ``delivery_id``, ``valid_to``, ``details``."""
    pointer, delivery = schema.current_deliveries, schema.deliveries
    rows = connection.execute(
        sa.select(
            pointer.c.source,
            delivery.c.delivery_id,
            delivery.c.valid_to,
            delivery.c.details,
        )
        .join(delivery, delivery.c.delivery_id == pointer.c.delivery_id)
        .where(pointer.c.dataset == UTILITY_DATASET)
    )
    return {row.source: row for row in rows}


def hosted_answer(
    store: Store, hit: InterestHit, published: Any, polygon: shapely.Polygon, at: datetime
) -> Answer:
    """Return what an owner's published version (see :func:`published_versions`) answers to a dig area."""
    if published is None:
        status = AnswerStatus.DIRECT if hit.dispensation else AnswerStatus.WAITING
        return Answer(hit.owner_cvr, hit.name, hit.numbers, status, None, None, None, None, {})
    header = {**json.loads(published.details)["header"], "hosted": published.delivery_id}
    features = store.delivery(published.delivery_id).count(FeatureQuery(polygon=shapely.to_wkb(polygon)))
    status = AnswerStatus.of_response(header["response_type"], features)
    valid_to = date.fromisoformat(published.valid_to) if published.valid_to else None
    carried = published.delivery_id if status.carries_data else None
    return Answer(
        hit.owner_cvr, hit.name, hit.numbers, status, carried, features, valid_to, timestamp(at), header
    )


def _insert(
    tx: Transaction,
    access: Access,
    organisation: str,
    request: EnquiryRequest,
    filed_at: datetime,
    answers: list[Answer],
    key: str | None,
) -> Enquiry:
    number = _next_number(tx, filed_at)
    valid_to = _end_of_day(request.period_to)
    tx.execute(
        sa.insert(schema.enquiries).values(
            number=number,
            organisation=organisation,
            principal=access.principal,
            request_key=key,
            state=str(EnquiryState.FILED),
            filed_at=timestamp(filed_at),
            polygon=shapely.to_wkb(request.polygon),
            area_m2=request.area_m2,
            period_from=request.period_from.isoformat(),
            period_to=request.period_to.isoformat(),
            methods=json.dumps(request.methods),
            methods_other=request.methods_other,
            description=request.description,
            contact=json.dumps(request.contact.to_json()),
            formats=json.dumps(request.formats),
            valid_to=timestamp(valid_to),
        )
    )
    if answers:
        tx.execute(sa.insert(schema.answers), [answer_row(number, answer) for answer in answers])
    granted = [a for a in answers if a.delivery_id]
    if granted:
        polygon = shapely.to_wkb(request.polygon)
        rows = [grant_row(number, organisation, a, polygon, filed_at, valid_to) for a in granted]
        tx.execute(sa.insert(schema.grants), rows)
    outbox.emit(tx, "enquiry.filed", number, {"number": number, "owners": [a.owner_cvr for a in answers]})
    for answer in answers:
        if answer.answered_at:
            outbox.emit(
                tx, "answer.stored", number, {"owner_cvr": answer.owner_cvr, "status": str(answer.status)}
            )
    write_first_versions(tx, number, access.principal)
    start_clock(tx, number)
    enqueue_package(tx, number, access)
    return _load(tx.connection, number)


def _next_number(tx: Transaction, at: datetime) -> str:
    """Return the next number of the year; gapless, because it is part of the transaction."""
    name = f"enquiry:{at.astimezone(DENMARK).year}"
    table = schema.counters
    value = tx.connection.scalar(
        sa.update(table).where(table.c.name == name).values(value=table.c.value + 1).returning(table.c.value)
    )
    if value is None:
        tx.execute(sa.insert(table).values(name=name, value=1))
        value = 1
    return f"{name.split(':')[1]}-{value:06d}"


def _end_of_day(day: date) -> datetime:
    """Return the end of a Danish day, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(0), DENMARK).astimezone(UTC)


def answer_row(number: str, answer: Answer) -> dict[str, Any]:
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


def enquiry(store: Store, access: Access, number: str) -> Enquiry:
    """Return one enquiry as `access` may see it.

    An excavator sees his organisation's, an owner those that concern him with his own answer only, the
    administrator all.

    Raises
    ------
    NotFound
        It does not exist, or `access` may not see it; the two cannot be told apart.
    """
    with store.read() as connection:
        seen = _visible(access).where(schema.enquiries.c.number == number)
        if connection.scalar(seen) is None:
            raise NotFound("There is no such enquiry.", hint="Check the number, and whose token you use.")
        return _for_reader(access, _load(connection, number))


def list_enquiries(
    store: Store, access: Access, *, limit: int = 100, status: AnswerStatus | None = None
) -> list[Enquiry]:
    """Return the enquiries that `access` may see, newest first.

    Parameters
    ----------
    status
        Only those with an answer in this state; for an owner his own answer counts. Of the states in which an
        answer is still expected, only enquiries that have not expired, and the one filed first stands first.
    """
    table = schema.enquiries
    wanted, order = _visible(access), (table.c.filed_at.desc(), table.c.number.desc())
    if status is not None:
        wanted = wanted.where(table.c.number.in_(_answered_so(access, status)))
        if not status.final:
            wanted = wanted.where(table.c.valid_to > timestamp(datetime.now(UTC)))
            order = (table.c.filed_at.asc(), table.c.number.asc())
    with store.read() as connection:
        numbers = connection.scalars(wanted.order_by(*order).limit(limit)).all()
        return [_for_reader(access, _load(connection, number)) for number in numbers]


def _answered_so(access: Access, status: AnswerStatus) -> sa.Select[Any]:
    """Select the enquiries that have an answer in a state; an owner's own one, unless he sees all."""
    table = schema.answers
    found = sa.select(table.c.enquiry).where(table.c.status == str(status))
    if access.has(Role.OWNER) and not access.has(Role.ADMIN):
        return found.where(table.c.owner_cvr == access.organisation)
    return found


def _visible(access: Access) -> sa.Select[Any]:
    table = schema.enquiries
    wanted: list[sa.ColumnElement[bool]] = [sa.false()]
    if access.has(Role.EXCAVATOR) and access.organisation:
        wanted.append(table.c.organisation == access.organisation)
    if access.has(Role.OWNER) and access.organisation:
        concerned = sa.select(schema.answers.c.enquiry).where(
            schema.answers.c.owner_cvr == access.organisation
        )
        wanted.append(table.c.number.in_(concerned))
    if access.has(Role.ADMIN):
        wanted.append(sa.true())
    return sa.select(table.c.number).where(sa.or_(*wanted))


def _for_reader(access: Access, whole: Enquiry) -> Enquiry:
    """Leave other owners' answers and the package out for an owner who did not file the enquiry."""
    if access.has(Role.ADMIN) or whole.organisation == access.organisation:
        return whole
    own = tuple(a for a in whole.answers if a.owner_cvr == access.organisation)
    return replace(whole, answers=own, package=None, package_state=None)


def _load(connection: sa.Connection, number: str) -> Enquiry:
    row = connection.execute(sa.select(schema.enquiries).where(schema.enquiries.c.number == number)).one()
    request = EnquiryRequest(
        polygon=shapely.from_wkb(row.polygon),
        period_from=date.fromisoformat(row.period_from),
        period_to=date.fromisoformat(row.period_to),
        methods=tuple(json.loads(row.methods)),
        contact=EnquiryContact(**json.loads(row.contact)),
        methods_other=row.methods_other,
        description=row.description,
        formats=tuple(json.loads(row.formats)),
    )
    package, job = newest_package(connection, number), newest_job(connection, number)
    return Enquiry(
        number,
        row.organisation,
        request,
        row.filed_at,
        datetime.fromisoformat(row.valid_to),
        _load_answers(connection, number),
        package,
        PackageState.READY if package else _state_without_package(job),
        package is not None and job is not None and job.sequence > package.sequence,
    )


def package_state(store: Store, number: str) -> PackageState:
    """Return how far a package is; cheap, for waiting. The caller has checked the right to know."""
    with store.read() as connection:
        table = schema.packages
        made = connection.scalar(sa.select(table.c.sequence).where(table.c.enquiry == number).limit(1))
        return PackageState.READY if made else _state_without_package(newest_job(connection, number))


def _state_without_package(job: PackageJob | None) -> PackageState:
    return PackageState.FAILED if job and job.failed else PackageState.BUILDING


def _load_answers(connection: sa.Connection, number: str) -> tuple[Answer, ...]:
    table, owner = schema.answers, schema.organisations
    rows = connection.execute(
        sa.select(table, owner.c.name)
        .join(owner, owner.c.cvr == table.c.owner_cvr)
        .where(table.c.enquiry == number)
        .order_by(table.c.owner_cvr)
    )
    return tuple(
        Answer(
            row.owner_cvr,
            row.name,
            tuple(json.loads(row.interest_areas)),
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
        )
        for row in rows
    )


def newest_package(connection: sa.Connection, number: str) -> Package | None:
    """Return the newest package of an enquiry, or ``None``. The caller has checked the right to know."""
    table = schema.packages
    row = connection.execute(
        sa.select(table).where(table.c.enquiry == number).order_by(table.c.sequence.desc()).limit(1)
    ).one_or_none()
    if row is None:
        return None
    return Package(row.sequence, row.blob, row.sha256, row.size_bytes, row.features)
