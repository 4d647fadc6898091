"""File a dig enquiry, answer it from the owners' published versions, send it again, and read it.

One records transaction holds everything that filing means: the enquiry or, of a large area, all its parts,
one answer for each owner with an interest there, the grants of those whose data touch the area, the fee, the
events, the clock and the job that makes the package.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import shapely
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, InvalidInput, NotFound
from geoinfra.flows.answer_versions import write_first_versions
from geoinfra.flows.enquiry_records import (
    DIG,
    SURROUNDINGS,
    UTILITY_DATASET,
    Answer,
    Enquiry,
    Package,
    PackageState,
    Project,
    answer_row,
    grant_row,
    load_enquiries,
    load_enquiry,
    request_row,
)
from geoinfra.flows.package_jobs import enqueue_package
from geoinfra.flows.reminders import start_clock
from geoinfra.flows.sandbox import number_prefix
from geoinfra.storage import Store, outbox, schema
from geoinfra.storage.organisations import InterestHit, owners_in
from geoinfra.storage.records import Transaction, timestamp
from geoinfra.tables import FeatureQuery
from geoinfra.utilities import areas, fees
from geoinfra.utilities.areas import joined
from geoinfra.utilities.enquiry import AnswerStatus, EnquiryKind, EnquiryRequest
from geoinfra.utilities.filing import filing_of, may_resend
from geoinfra.utilities.legal_clock import DENMARK

__all__ = [
    "Answer",
    "Enquiry",
    "Package",
    "PackageState",
    "Project",
    "answer_row",
    "enqueue_package",
    "enquiry",
    "fees_of_year",
    "file_enquiry",
    "grant_row",
    "hosted_answer",
    "list_cursor",
    "list_enquiries",
    "published_versions",
    "resend_enquiry",
]


@dataclass(frozen=True, slots=True)
class _Draft:
    """One enquiry before it has a number.

    Attributes
    ----------
    original
        Number of the enquiry that it sends again, or nothing.
    """

    request: EnquiryRequest
    answers: Sequence[Answer]
    beside: Sequence[Answer] = ()
    original: str = ""


def file_enquiry(
    store: Store, access: Access, document: Mapping[str, Any], *, key: str | None = None
) -> Enquiry:
    """File a dig enquiry; hosted owners answer at once, and a job makes the package.

    An area above the limit of one enquiry is split, and filed as several that share a package: the parts of a
    project. The first part is returned; ``flows.projects.whole`` gives them together.

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
    Conflict
        The key was used for another enquiry.
    """
    access.require(Role.EXCAVATOR)
    organisation, moment = access.require_organisation(), datetime.now(UTC)
    request = EnquiryRequest.from_document(document, today=moment.astimezone(DENMARK).date())
    full_key = f"{organisation}:{key}" if key else None
    if earlier := _filed_with(store, full_key, request):
        return earlier
    filing_of(request, "", moment).require_rules()
    drafts = _drafts(store, request, areas.split(request.polygon), moment)
    return _file(store, access, request, drafts, moment, full_key)


def resend_enquiry(store: Store, access: Access, number: str, *, key: str | None = None) -> Enquiry:
    """Send an enquiry again under a new number, free: the same dig, with what owners have to tell now.

    Of a project all parts are sent again; the first is returned.

    Parameters
    ----------
    number
        Of the enquiry, or of any part.
    key
        As for :func:`file_enquiry`.

    Raises
    ------
    NotAllowed
        `access` is not an excavator of an organisation.
    NotFound
        There is no such enquiry of his.
    Conflict
        It may not be sent again; the hint says why.
    """
    access.require(Role.EXCAVATOR)
    organisation, moment = access.require_organisation(), datetime.now(UTC)
    first = enquiry(store, access, number)
    if first.organisation != organisation:
        raise NotFound("There is no such enquiry.", hint="Check the number, and whose token you use.")
    numbers = first.project.numbers if first.project else (number,)
    parts = [enquiry(store, access, one) for one in numbers]
    request = replace(first.request, polygon=joined([part.request.polygon for part in parts]))
    full_key = f"{organisation}:{key}" if key else None
    if earlier := _filed_with(store, full_key, request):
        return earlier
    for part in parts:
        _require_resend(part, moment)
    drafts = _drafts(store, request, [part.request.polygon for part in parts], moment, numbers)
    return _file(store, access, request, drafts, moment, full_key)


def _require_resend(filed: Enquiry, moment: datetime) -> None:
    filing = filing_of(
        filed.request, filed.number, datetime.fromisoformat(filed.filed_at), original=filed.original
    )
    terms = may_resend(filing, moment)
    if not terms.allowed:
        raise Conflict(
            f"The enquiry {filed.number} cannot be sent again.",
            hint=terms.text,
            details={"message_da": f"Forespørgslen {filed.number} kan ikke gensendes. {terms.text_da}"},
        )


def _filed_with(store: Store, key: str | None, request: EnquiryRequest) -> Enquiry | None:
    """Return what was filed with an idempotency key before."""
    if key is None:
        return None
    with store.read() as connection:
        return _filed_in(connection, key, request)


def _filed_in(connection: sa.Connection, key: str, request: EnquiryRequest) -> Enquiry | None:
    table = schema.enquiries.c
    number = connection.scalar(sa.select(table.number).where(table.request_key == key))
    return _same_request(connection, load_enquiry(connection, number), request) if number else None


def _same_request(connection: sa.Connection, earlier: Enquiry, request: EnquiryRequest) -> Enquiry:
    """Return the enquiry filed earlier when it asks for the same, in parts or not."""
    polygon = earlier.request.polygon
    if earlier.project:
        table = schema.enquiries.c
        parts = connection.scalars(sa.select(table.polygon).where(table.project == earlier.project.number))
        polygon = joined([shapely.from_wkb(part) for part in parts])
    same = areas.same_outline(request.polygon, polygon)
    if not same or replace(earlier.request, polygon=request.polygon) != request:
        raise Conflict(
            "This idempotency key was used for another enquiry.",
            hint="Use a new key for a new enquiry.",
            details={"message_da": "Nøglen er brugt til en anden forespørgsel. Brug en ny."},
        )
    return earlier


# --- What owners answer


def _drafts(
    store: Store,
    request: EnquiryRequest,
    polygons: Sequence[shapely.Polygon],
    at: datetime,
    originals: Sequence[str] = (),
) -> list[_Draft]:
    """Decide every owner's answer to every part; owners beside the whole area are named with the first."""
    drafts = [
        _Draft(replace(request, polygon=polygon), _answers(store, request.kind, polygon, at))
        for polygon in polygons
    ]
    asked = {answer.owner_cvr for draft in drafts for answer in draft.answers}
    drafts[0] = replace(drafts[0], beside=_beside(store, request, asked, at))
    if originals:
        drafts = [replace(draft, original=number) for draft, number in zip(drafts, originals, strict=True)]
    return drafts


def _answers(store: Store, kind: EnquiryKind, polygon: shapely.Polygon, at: datetime) -> list[Answer]:
    """Decide every owner's answer from his published version; no owner is left out."""
    with store.read() as connection:
        hits = owners_in(connection, polygon, at)
        current = published_versions(connection)
    if kind.asks_owners:
        return [hosted_answer(store, hit, current.get(hit.owner_cvr), polygon, at) for hit in hits]
    return [_planning_answer(store, hit, current.get(hit.owner_cvr), polygon, at) for hit in hits]


def _planning_answer(
    store: Store, hit: InterestHit, published: Any, polygon: shapely.Polygon, at: datetime
) -> Answer:
    """Return what an owner gives to planning: his hosted lines when he allows it, else his name."""
    if hit.shows_for_planning and published is not None:
        answer = hosted_answer(store, hit, published, polygon, at)
        if answer.status.final:
            return answer
    return _named(hit)


def _named(hit: InterestHit) -> Answer:
    return Answer(hit.owner_cvr, hit.name, hit.numbers, AnswerStatus.NOT_ASKED, None, None, None, None, {})


def _beside(store: Store, request: EnquiryRequest, asked: set[str], at: datetime) -> list[Answer]:
    """Return the owners who have an interest in the surroundings and none in the dig area."""
    if not request.surroundings_m:
        return []
    around = areas.surroundings(request.polygon, request.surroundings_m)
    with store.read() as connection:
        hits = owners_in(connection, around, at)
    return [_named(hit) for hit in hits if hit.owner_cvr not in asked]


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


# --- Storing


def _file(
    store: Store,
    access: Access,
    request: EnquiryRequest,
    drafts: Sequence[_Draft],
    filed_at: datetime,
    key: str | None,
) -> Enquiry:
    """Store an enquiry, or all parts of one, and what follows from it; return the first."""
    with store.begin() as tx:
        numbers = _next_numbers(tx, filed_at, len(drafts))  # from here on nobody else files
        if key and (earlier := _filed_in(tx.connection, key, request)):
            return earlier
        amounts = _fees(tx.connection, access, drafts, filed_at)
        for part, (number, draft, amount) in enumerate(zip(numbers, drafts, amounts, strict=True), 1):
            place = {"part": part, "parts": len(drafts), "project": numbers[0] if len(drafts) > 1 else None}
            filing = {"number": number, "request_key": key if part == 1 else None, "fee_dkk": str(amount)}
            _insert(tx, access, draft, filed_at, {**filing, **place})
        enqueue_package(tx, numbers[0], access)
        filed = load_enquiry(tx.connection, numbers[0])
        facts = {
            "area_m2": round(sum(draft.request.area_m2 for draft in drafts), 1),
            "kind": str(request.kind),
            "parts": len(drafts),
        }
        action = "enquiry.resent" if filed.original else "enquiry.filed"
        store.audit.record(tx, action, access, filed.number, {**facts, "original": filed.original})
        tx.commit()
    return filed


def _fees(
    connection: sa.Connection, access: Access, drafts: Sequence[_Draft], filed_at: datetime
) -> Sequence[Decimal]:
    """Return the fee of each part, as far as the year's cap leaves room."""
    day = filed_at.astimezone(DENMARK).date()
    before = fees_of_year(connection, access.require_organisation(), day.year)
    _, amounts = fees.preview_parts(
        [draft.request.area_m2 for draft in drafts],
        day,
        before,
        resend=bool(drafts[0].original),
        planning=not drafts[0].request.kind.asks_owners,
    )
    return amounts


def fees_of_year(connection: sa.Connection, organisation: str, year: int) -> Decimal:
    """Return what an organisation's enquiries of a Danish calendar year cost until now, DKK."""
    table = schema.enquiries.c
    start, end = (datetime(y, 1, 1, tzinfo=DENMARK) for y in (year, year + 1))
    amounts = connection.scalars(
        sa.select(table.fee_dkk).where(
            table.organisation == organisation,
            table.filed_at >= timestamp(start),
            table.filed_at < timestamp(end),
            table.fee_dkk != "0.00",
        )
    )
    return sum(map(Decimal, amounts), Decimal(0))


def _insert(
    tx: Transaction, access: Access, draft: _Draft, filed_at: datetime, filing: Mapping[str, Any]
) -> None:
    """Store one enquiry with its answers, grants, versions, events and clock."""
    number, organisation = filing["number"], access.require_organisation()
    request, valid_to = draft.request, _end_of_day(draft.request.period_to)
    tx.execute(
        sa.insert(schema.enquiries).values(
            organisation=organisation,
            principal=access.principal,
            filed_at=timestamp(filed_at),
            valid_to=timestamp(valid_to),
            original=draft.original or None,
            **request_row(request),
            **filing,
        )
    )
    rows = [answer_row(number, answer, DIG) for answer in draft.answers]
    rows += [answer_row(number, answer, SURROUNDINGS) for answer in draft.beside]
    if rows:
        tx.execute(sa.insert(schema.answers), rows)
    granted = [a for a in draft.answers if a.delivery_id]
    if granted:
        polygon = shapely.to_wkb(request.polygon)
        grants = [grant_row(number, organisation, a, polygon, filed_at, valid_to) for a in granted]
        tx.execute(sa.insert(schema.grants), grants)
    asked = [answer.owner_cvr for answer in draft.answers if answer.status is not AnswerStatus.NOT_ASKED]
    outbox.emit(tx, "enquiry.filed", number, {"number": number, "owners": asked})
    for answer in draft.answers:
        if answer.answered_at:
            told = {"owner_cvr": answer.owner_cvr, "status": str(answer.status), "version": answer.version}
            outbox.emit(tx, "answer.stored", number, told)
    write_first_versions(tx, number, access.principal)
    start_clock(tx, number)


def _next_numbers(tx: Transaction, at: datetime, count: int) -> list[str]:
    """Return the next numbers of the year; gapless, because they are part of the transaction."""
    year = at.astimezone(DENMARK).year
    dialect = sqlite if tx.connection.dialect.name == "sqlite" else postgresql
    counted = dialect.insert(schema.counters).values(name=f"enquiry:{year}", value=count)
    value = schema.counters.c.value
    following = counted.on_conflict_do_update(index_elements=["name"], set_={"value": value + count})
    last = tx.connection.scalar(following.returning(value)) or count
    prefix = number_prefix(tx.connection)
    return [f"{prefix}{year}-{one:06d}" for one in range(last - count + 1, last + 1)]


def _end_of_day(day: date) -> datetime:
    """Return the end of a Danish day, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(0), DENMARK).astimezone(UTC)


# --- Reading


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
        return _for_reader(access, load_enquiry(connection, number))


def list_enquiries(
    store: Store,
    access: Access,
    *,
    limit: int = 100,
    status: AnswerStatus | None = None,
    projects: bool = False,
    after: str | None = None,
) -> list[Enquiry]:
    """Return the enquiries that `access` may see, newest first.

    Parameters
    ----------
    status
        Only those with an answer in this state; for an owner his own answer counts. Of the states in which an
        answer is still expected, only enquiries that have not expired, and the one filed first stands first.
    projects
        Whether of the parts of a project that `access` may see as one only the first is listed.
    after
        Only what stands behind this place, see :func:`list_cursor`.

    Raises
    ------
    InvalidInput
        `after` is no place in a list.
    """
    table = schema.enquiries
    wanted, oldest_first = _visible(access), status is not None and not status.final
    if status is not None:
        wanted = wanted.where(table.c.number.in_(_answered_so(access, status)))
        if oldest_first:
            wanted = wanted.where(table.c.valid_to > timestamp(datetime.now(UTC)))
    if projects:
        wanted = _first_parts(access, wanted)
    place = (table.c.filed_at, table.c.number)
    if after is not None:
        here = sa.tuple_(*map(sa.literal, _place(after)))
        wanted = wanted.where(sa.tuple_(*place) > here if oldest_first else sa.tuple_(*place) < here)
    order = [column.asc() if oldest_first else column.desc() for column in place]
    with store.read() as connection:
        numbers = connection.scalars(wanted.order_by(*order).limit(limit)).all()
        return [_for_reader(access, one) for one in load_enquiries(connection, numbers)]


def list_cursor(last: Enquiry) -> str:
    """Return the place of an enquiry in a list, which goes on after it."""
    return f"{last.filed_at}_{last.number}"


def _place(cursor: str) -> tuple[str, str]:
    found = re.fullmatch(r"([0-9TZ:.-]{20,30})_([A-Z0-9-]{1,16})", cursor, re.ASCII)
    if found is None:
        raise InvalidInput(
            "There is no such place in the list.",
            hint="Take the cursor from 'next' of the page before.",
            details={"path": "cursor"},
        )
    return found[1], found[2]


def _first_parts(access: Access, wanted: sa.Select[Any]) -> sa.Select[Any]:
    """Select the first part instead of any part of a project that `access` sees as one."""
    table = schema.enquiries
    as_one = sa.true() if access.has(Role.ADMIN) else table.c.organisation == access.organisation
    matched = table.c.number.in_(wanted)
    first = sa.func.coalesce(table.c.project, table.c.number)
    numbers = sa.select(sa.case((as_one, first), else_=table.c.number)).where(matched)
    return sa.select(table.c.number).where(table.c.number.in_(numbers), table.c.erased_at.is_(None))


def _answered_so(access: Access, status: AnswerStatus) -> sa.Select[Any]:
    """Select the enquiries that have an answer in a state; an owner's own one, unless he sees all."""
    table = schema.answers
    found = sa.select(table.c.enquiry).where(table.c.status == str(status), table.c.scope == DIG)
    if access.has(Role.OWNER) and not access.has(Role.ADMIN):
        return found.where(table.c.owner_cvr == access.organisation)
    return found


def _visible(access: Access) -> sa.Select[Any]:
    table = schema.enquiries
    wanted: list[sa.ColumnElement[bool]] = [sa.false()]
    if access.has(Role.EXCAVATOR) and access.organisation:
        wanted.append(table.c.organisation == access.organisation)
    if access.has(Role.OWNER) and access.organisation:
        answers = schema.answers.c
        concerned = sa.select(answers.enquiry).where(
            answers.owner_cvr == access.organisation,
            answers.scope == DIG,
            answers.status != str(AnswerStatus.NOT_ASKED),
        )
        wanted.append(table.c.number.in_(concerned))
    if access.has(Role.ADMIN):
        wanted.append(sa.true())
    return sa.select(table.c.number).where(sa.or_(*wanted), table.c.erased_at.is_(None))


def _for_reader(access: Access, whole: Enquiry) -> Enquiry:
    """Leave other owners' answers and the package out for an owner who did not file the enquiry."""
    if access.has(Role.ADMIN) or whole.organisation == access.organisation:
        return whole
    own = tuple(a for a in whole.answers if a.owner_cvr == access.organisation)
    return replace(
        whole, answers=own, package=None, package_state=None, beside=(), fee_dkk=None, project=None
    )
