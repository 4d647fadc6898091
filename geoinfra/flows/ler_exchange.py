"""LER's system-to-system interface as use cases: what an owner's and an excavator's machine may do.

LER asks an owner once for each of his interest areas that a dig area touches, and his machine acknowledges
and answers each by itself. Here one owner gives one answer to an enquiry: the parts of an owner with several
areas are kept until all have come, and are then joined to one answer.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, BinaryIO, Final
from zoneinfo import ZoneInfo

import shapely
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, DataRefused, GeoinfraError, InvalidInput, NotFound, TooLarge
from geoinfra.flows import answers, owners
from geoinfra.flows.damages import store_damage
from geoinfra.flows.enquiries import Answer, Enquiry, enquiry, file_enquiry
from geoinfra.flows.enquiry_records import AREA_ANSWERS, ler_request, load_enquiries
from geoinfra.flows.package_jobs import lock_enquiry
from geoinfra.flows.projects import together, whole
from geoinfra.storage import Store, interest_areas, outbox, schema
from geoinfra.storage.organisations import AreaState, InterestArea, area_polygons, get_organisation
from geoinfra.storage.records import Transaction, now, timestamp
from geoinfra.utilities.check import check_file
from geoinfra.utilities.enquiry import AnswerStatus, EnquiryState
from geoinfra.utilities.formats import request
from geoinfra.utilities.formats.intake import Limits
from geoinfra.utilities.formats.ler_join import answer_type, join_answers
from geoinfra.utilities.ler_api import PackageStatus, Refusal, package_status
from geoinfra.utilities.ler_api.damage import damage_report, refusal
from geoinfra.utilities.ler_api.requests import dig_request, interest_area

__all__ = [
    "AreaRequest",
    "Exchange",
    "PackageRow",
    "acknowledge_package",
    "acknowledge_request",
    "begin_exchange",
    "end_exchange",
    "file_request",
    "forget_exchange",
    "open_requests",
    "package_blob",
    "package_row",
    "package_rows",
    "register_interest_area",
    "report_damage",
    "request_for",
    "take_area_answer",
]

DENMARK: Final = ZoneInfo("Europe/Copenhagen")
MOST_LISTED: Final = 200
_MOST_LOOKED_AT = 10_000
"""Enquiries in one list; the others come when these are acknowledged."""
_KEPT: Final = timedelta(days=30)
_LOST: Final = timedelta(minutes=10)
_PARTS: Final = Limits(max_bytes=64 * 1024**2, max_zip_bytes=256 * 1024**2)


# --- Exchanges: a call is done once


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call of one account; repeated, it is answered the same.

    Attributes
    ----------
    call
        Method, path and parameters other than the ids.
    digest
        SHA-256 of the call and its body.
    """

    organisation: str
    request_id: str
    call: str
    digest: str


def begin_exchange(store: Store, exchange: Exchange) -> Mapping[str, Any] | None:
    """Note that a call is at work; return the stored response when it was made before.

    Raises
    ------
    Refusal
        ``00-300``: the id was used for another call; ``00-530``: the first call is still at work.
    """
    try:
        return _begun(store, exchange)
    except IntegrityError as error:  # another process noted it at the same moment
        raise Refusal("00-530") from error


def _begun(store: Store, exchange: Exchange) -> Mapping[str, Any] | None:
    table, moment = schema.exchanges, datetime.now(UTC)
    with store.begin() as tx:
        own = table.c.organisation == exchange.organisation
        tx.execute(sa.delete(table).where(own, table.c.created_at < timestamp(moment - _KEPT)))
        row = tx.connection.execute(
            sa.select(table).where(own, table.c.request_id == exchange.request_id)
        ).one_or_none()
        if row is None:
            tx.execute(_noting(exchange, moment))
            tx.commit()
            return None
        if row.request_hash != exchange.digest:
            raise Refusal(
                "00-300",
                (
                    "requestId er brugt til et andet kald eller andet indhold. Brug en ny.",
                    "The requestId was used for another call or another body. Use a new one.",
                ),
            )
        if row.response is not None:
            response: Mapping[str, Any] = json.loads(row.response)
            return response
        if row.created_at > timestamp(moment - _LOST):
            raise Refusal("00-530")
        ours = own, table.c.request_id == exchange.request_id, table.c.created_at == row.created_at
        taken_over = sa.update(table).where(*ours).values(created_at=timestamp(moment))
        if tx.execute(taken_over).rowcount != 1:
            raise Refusal("00-530")
        tx.commit()
        return None


def _noting(exchange: Exchange, moment: datetime) -> sa.Insert:
    return sa.insert(schema.exchanges).values(
        organisation=exchange.organisation,
        request_id=exchange.request_id,
        call=exchange.call[:500],
        request_hash=exchange.digest,
        response=None,
        created_at=timestamp(moment),
    )


def end_exchange(store: Store, exchange: Exchange, response: Mapping[str, Any]) -> None:
    """Keep the response of a call."""
    with store.begin() as tx:
        tx.execute(
            sa.update(schema.exchanges)
            .where(*_is(exchange))
            .values(response=json.dumps(response, ensure_ascii=False))
        )
        tx.commit()


def forget_exchange(store: Store, exchange: Exchange) -> None:
    """Let a call be made again, as if it never was."""
    with store.begin() as tx:
        tx.execute(sa.delete(schema.exchanges).where(*_is(exchange)))
        tx.commit()


def forget_old_exchanges(tx: Transaction, most: int) -> int:
    """Remove exchanges whose response need not be repeated any more; return how many, at most `most`."""
    table = schema.exchanges
    name = sa.tuple_(table.c.organisation, table.c.request_id)
    old = table.c.created_at < timestamp(datetime.now(UTC) - _KEPT)
    rows = tx.connection.execute(
        sa.select(table.c.organisation, table.c.request_id)
        .where(old)
        .order_by(*table.primary_key)
        .limit(most)
    ).all()
    if rows:
        tx.execute(sa.delete(table).where(name.in_([tuple(row) for row in rows]), old))
    return len(rows)


def _is(exchange: Exchange) -> tuple[sa.ColumnElement[bool], ...]:
    table = schema.exchanges.c
    return table.organisation == exchange.organisation, table.request_id == exchange.request_id


# --- Owners: what is asked of them


@dataclass(frozen=True, slots=True)
class AreaRequest:
    """What an owner is asked about one of his interest areas.

    Attributes
    ----------
    area
        LER's *indberetningsNr*.
    overdue
        Whether the answer is late.
    common
        Polygons where the dig area and the interest area overlap, EPSG:25832.
    gml
        The dig request as LER writes it.
    details
        What an enquiry holds beside what :class:`~geoinfra.flows.enquiries.Enquiry` carries: ``original``,
        ``own_number``.
    """

    enquiry: Enquiry
    answer: Answer
    area: int
    overdue: bool
    common: tuple[shapely.Polygon, ...]
    gml: bytes
    filer: Mapping[str, str]
    area_contacts: Mapping[str, Any]
    details: Mapping[str, str]


def open_requests(
    store: Store, access: Access, numbers: Iterable[int] | None = None
) -> tuple[list[AreaRequest], list[AreaRequest]]:
    """Return what an owner has not acknowledged, and what is overdue; the oldest first.

    Parameters
    ----------
    numbers
        Only these interest areas.

    Raises
    ------
    NotAllowed
        `access` is no owner.
    """
    access.require(Role.OWNER)
    owner, wanted = access.require_organisation(), None if numbers is None else set(numbers)
    table = schema.answers.c
    unseen = table.acknowledged_at.is_(None), table.status == str(AnswerStatus.WAITING)
    fresh = _open_areas(store, owner, wanted, *unseen)
    late = _open_areas(store, owner, wanted, table.due_at < now(), also_noted=True)
    new, overdue = (
        [_area_request(store, access, number, area) for number, area in islice(found, MOST_LISTED)]
        for found in (fresh, late)
    )
    return new, overdue


def _open_areas(
    store: Store,
    owner: str,
    wanted: set[int] | None,
    *conditions: sa.ColumnElement[bool],
    also_noted: bool = False,
) -> Iterator[tuple[str, int]]:
    """Give the interest areas that an owner has not answered for, with their enquiries, oldest first."""
    with store.read() as connection:
        rows = connection.execute(_still_open(owner).where(*conditions)).all()
    for row in rows:
        own = set(json.loads(row.interest_areas))
        open_ones = (own if wanted is None else own & wanted) - (set() if also_noted else _noted(row))
        if open_ones:
            open_ones -= _answered_areas(store, row.enquiry, owner, own)
        for area in sorted(open_ones):
            yield row.enquiry, area


def _still_open(owner: str) -> sa.Select[Any]:
    table, enquiries = schema.answers.c, schema.enquiries.c
    waiting = (str(AnswerStatus.WAITING), str(AnswerStatus.MANUAL))
    return (
        sa.select(table.enquiry, table.interest_areas, table.acknowledged_at, table.header)
        .join(schema.enquiries, enquiries.number == table.enquiry)
        .where(table.owner_cvr == owner, table.status.in_(waiting), enquiries.valid_to > now())
        .order_by(enquiries.filed_at, table.enquiry)
        .limit(_MOST_LOOKED_AT)
    )


def _noted(row: sa.Row[Any]) -> set[int]:
    """Return the interest areas that are acknowledged."""
    if row.acknowledged_at:
        return set(json.loads(row.interest_areas))
    return set(json.loads(row.header).get("areas_acknowledged", ()))


def request_for(store: Store, access: Access, number: str, area: int) -> AreaRequest:
    """Return what an owner is asked about one interest area, whatever its state.

    Raises
    ------
    NotAllowed
        `access` is no owner.
    NotFound
        The enquiry does not exist, or does not concern this interest area of the owner.
    """
    access.require(Role.OWNER)
    return _area_request(store, access, number, area)


def _area_request(store: Store, access: Access, number: str, area: int) -> AreaRequest:
    asked, own = _own(store, access, number, area)
    with store.read() as connection:
        polygon = area_polygons(connection, [area]).get(area)
        row = connection.execute(sa.select(schema.enquiries).where(schema.enquiries.c.number == number)).one()
        filer = get_organisation(connection, asked.organisation)
        table = schema.interest_areas.c
        contacts = connection.scalar(sa.select(table.contacts).where(table.number == area))
    overdue = own.due_at is not None and own.due_at < now() and not own.status.final
    return AreaRequest(
        asked,
        own,
        area,
        overdue,
        _common(asked.request.polygon, polygon),
        _request_gml(asked),
        {"cvr": asked.organisation, "name": filer.name if filer else "", **(filer.contact if filer else {})},
        json.loads(contacts or "{}"),
        {"original": row.original or "", "own_number": row.own_number},
    )


def _own(store: Store, access: Access, number: str, area: int) -> tuple[Enquiry, Answer]:
    owner = access.require_organisation()
    asked = enquiry(store, access, number)
    own = next((answer for answer in asked.answers if answer.owner_cvr == owner), None)
    if own is None or area not in own.interest_areas:
        raise NotFound("The enquiry does not concern this interest area.", hint="Check indberetningsNr.")
    return asked, own


def _common(dig: shapely.Polygon, area: shapely.Geometry | None) -> tuple[shapely.Polygon, ...]:
    """Return where a dig area and an interest area overlap; all of the dig area when the area is gone."""
    common = dig if area is None else shapely.intersection(dig, area)
    return tuple(
        one for one in shapely.get_parts(common) if isinstance(one, shapely.Polygon) and not one.is_empty
    )


def _request_gml(asked: Enquiry) -> bytes:
    """Return the enquiry as a request of LER."""
    wanted, target = asked.request, io.BytesIO()
    request.write_request(target, ler_request(wanted, wanted.description[:100], wanted.own_number[:12]))
    return target.getvalue()


def acknowledge_request(store: Store, access: Access, number: str, area: int) -> None:
    """Note that an owner's machine has what is asked about one interest area; it is no longer listed.

    Raises
    ------
    NotAllowed, NotFound
        As in :func:`request_for`.
    """
    access.require(Role.OWNER)
    _, own = _own(store, access, number, area)
    table = schema.answers
    ours = table.c.enquiry == number, table.c.owner_cvr == own.owner_cvr
    with store.begin() as tx:
        lock_enquiry(tx, number)
        row = tx.connection.execute(sa.select(table).where(*ours)).one()
        noted = _noted(row) | {area}
        if row.status == str(AnswerStatus.WAITING) and noted < set(json.loads(row.interest_areas)):
            header = {**json.loads(row.header), "areas_acknowledged": sorted(noted)}
            tx.execute(sa.update(table).where(*ours).values(header=json.dumps(header)))
            tx.commit()
            return
    answers.acknowledge(store, access, number)


# --- Owners: their answers


def take_area_answer(
    store: Store, access: Access, number: str, area: int, source: BinaryIO, *, is_update: bool
) -> Enquiry:
    """Check and store an owner's answer about one interest area.

    Parameters
    ----------
    is_update
        LER's *isOpdatering*: it takes the place of what was answered before.

    Raises
    ------
    NotAllowed, NotFound
        As in :func:`request_for`.
    Refusal
        ``13-310``: `is_update` does not fit; ``13-300``: the answer breaks rules, or its enquiry has expired.
    """
    access.require(Role.OWNER)
    asked, own = _own(store, access, number, area)
    parts = _answered_areas(store, number, own.owner_cvr, own.interest_areas)
    answered = own.is_answered
    alone = len(own.interest_areas) == 1 or (answered and not parts)
    if own.status is not AnswerStatus.MANUAL:
        _require_fitting(is_update, before=answered if alone else area in parts)
    try:
        if not alone:
            whole = _with_part(store, asked, own, area, source)
            if whole is None:
                return enquiry(store, access, number)
            source = whole
        return _store_whole(store, access, number, source, own)
    except DataRefused as refused:
        raise Refusal("13-300", *_rules_broken(refused)) from refused
    except (Conflict, TooLarge, InvalidInput) as error:
        raise Refusal("13-300", _told(error)) from error


def _told(error: GeoinfraError) -> tuple[str, str]:
    """Return an error in Danish, where there is such a text, and in English."""
    return str(error.details.get("message_da", "")), f"{error.message} {error.hint}".strip()


def _store_whole(store: Store, access: Access, number: str, source: BinaryIO, own: Answer) -> Enquiry:
    if own.is_answered:
        return answers.take_correction(store, access, number, source, "Opdateret svar (LER)").enquiry
    return answers.take_answer(store, access, number, source).enquiry


def _require_fitting(is_update: bool, *, before: bool) -> None:
    if before and not is_update:
        raise Refusal(
            "13-310",
            (
                "UtilityPackageAlreadyDelivered: der er svaret; send et nyt svar med isOpdatering=true.",
                "UtilityPackageAlreadyDelivered: it is answered; send a new answer with isOpdatering=true.",
            ),
        )
    if is_update and not before:
        raise Refusal(
            "13-310",
            (
                "UtilityPackageErroneouslyMarkedAsUpdate: der er ikke svaret endnu.",
                "UtilityPackageErroneouslyMarkedAsUpdate: it is not answered yet.",
            ),
        )


def _rules_broken(refused: DataRefused) -> list[tuple[str, str]]:
    """Return each finding as LER tells it: the name of the rule, the words, and where."""
    told = []
    for one in refused.report.findings[:50]:
        rule = one.rule or one.code
        place = ", ".join(
            part for part in (f"gml:id {one.feature_id}" if one.feature_id else "", one.path) if part
        )
        line = one.line or "-"
        da = f"{rule}: {one.message_da or one.message} [linje {line}{', ' + place if place else ''}]"
        en = f"{rule}: {one.message} [line {line}{', ' + place if place else ''}]"
        told.append((f"{da} {one.hint_da}".strip(), f"{en} {one.hint}".strip()))
    return told


def _part_name(number: str, owner: str, area: int) -> str:
    return f"{AREA_ANSWERS}/{number.lower()}/{owner}/{area}"


def _answered_areas(store: Store, number: str, owner: str, areas: Iterable[int]) -> set[int]:
    """Return the interest areas of an owner for which a part of his answer is kept."""
    return {area for area in areas if store.blobs.exists(_part_name(number, owner, area))}


def _with_part(store: Store, asked: Enquiry, own: Answer, area: int, source: BinaryIO) -> BinaryIO | None:
    """Keep one part of an answer; return all of it once every interest area has its part."""
    report = check_file(source, strict=False, limits=_PARTS)
    if not report.ok:
        raise DataRefused("The answer holds errors.", report)
    if asked.state is EnquiryState.EXPIRED:
        raise Refusal(
            "13-300",
            ("Forespørgslen er udløbet; den skal oprettes igen.", "The enquiry has expired; file it again."),
        )
    source.seek(0)
    content = source.read()
    number, owner, areas = asked.number, own.owner_cvr, own.interest_areas
    contents = _parts(store, number, owner, set(areas) - {area}) | {area: content}
    whole = join_answers(contents, _PARTS)  # refuses a part that does not fit the others
    answers.require_kept(own, asked.number, answer_type(content, _PARTS))
    store.blobs.put(_part_name(number, owner, area), content)
    kept = _parts(store, number, owner, areas)  # among them what came meanwhile
    if set(kept) < set(areas):
        return None
    return io.BytesIO(whole if set(kept) == set(contents) else join_answers(kept, _PARTS))


def _parts(store: Store, number: str, owner: str, areas: Iterable[int]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for area in sorted(_answered_areas(store, number, owner, areas)):
        with store.blobs.open(_part_name(number, owner, area)) as file:
            found[area] = file.read()
    return found


# --- Excavators


def file_request(store: Store, access: Access, gml: bytes, request_id: str) -> Enquiry:
    """File an enquiry from a request of LER; the same `request_id` files once.

    Raises
    ------
    NotAllowed
        `access` is no excavator.
    Refusal
        A code of LER's family 19.
    """
    access.require(Role.EXCAVATOR)
    organisation = access.require_organisation()
    asked = dig_request(gml, _today())
    with store.read() as connection:
        known = get_organisation(connection, organisation)
    document = {
        "area": json.loads(shapely.to_geojson(shapely.from_wkb(asked.polygon))),
        "crs": "EPSG:25832",
        "period": {"from": asked.period_from.isoformat(), "to": asked.period_to.isoformat()},
        "methods": list(asked.methods),
        "methods_other": asked.methods_other,
        "description": asked.description,
        "contact": {"name": (known.name if known else organisation)[:100], "email": asked.contact_email},
        "formats": ["gml"],
        "purpose": asked.purpose or "99",
        "supplies": list(asked.supplies),
        "own_number": asked.own_number,
    }
    try:
        return file_enquiry(store, access, document, key=f"ler:{request_id}")
    except InvalidInput as error:
        raise Refusal("19-300", _told(error)) from error


def _today() -> date:
    return datetime.now(DENMARK).date()


@dataclass(frozen=True, slots=True)
class PackageRow:
    """Where the package of one enquiry stands.

    Attributes
    ----------
    missing
        CVR number and name of the owners who have not answered.
    """

    enquiry: Enquiry
    status: PackageStatus
    created_at: str | None
    acknowledged_at: str | None
    missing: tuple[tuple[str, str], ...]


def package_rows(store: Store, access: Access) -> list[PackageRow]:
    """Return the packages that an excavator has not acknowledged, the oldest enquiry first.

    Raises
    ------
    NotAllowed
        `access` is no excavator.
    """
    access.require(Role.EXCAVATOR)
    enquiries, packages = schema.enquiries.c, schema.packages.c
    newest = (
        sa.select(packages.enquiry, sa.func.max(packages.sequence).label("sequence"))
        .group_by(packages.enquiry)
        .subquery()
    )
    joined = schema.enquiries.outerjoin(newest, newest.c.enquiry == enquiries.number).outerjoin(
        schema.packages,
        sa.and_(packages.enquiry == newest.c.enquiry, packages.sequence == newest.c.sequence),
    )
    query = (
        sa.select(enquiries.number)
        .select_from(joined)
        .where(enquiries.organisation == access.require_organisation(), packages.acknowledged_at.is_(None))
        .where(enquiries.valid_to > now(), enquiries.erased_at.is_(None))
        .where(sa.or_(enquiries.project.is_(None), enquiries.part == 1))
        .order_by(enquiries.filed_at, enquiries.number)
        .limit(MOST_LISTED)
    )
    with store.read() as connection:
        found = load_enquiries(connection, connection.scalars(query).all())
    return _package_rows(store, together(store, found))


def package_row(store: Store, access: Access, number: str) -> PackageRow:
    """Return where one package stands.

    Raises
    ------
    NotAllowed
        `access` is no excavator.
    Refusal
        ``16-400``: there is no such enquiry of his.
    """
    (row,) = _package_rows(store, [_filed(store, access, number)])
    return row


def _package_rows(store: Store, enquiries: Sequence[Enquiry]) -> list[PackageRow]:
    packages = schema.packages.c
    newest = [(filed.number, filed.package.sequence) for filed in enquiries if filed.package]
    query = sa.select(packages.enquiry, packages.created_at, packages.acknowledged_at).where(
        sa.tuple_(packages.enquiry, packages.sequence).in_(newest)
    )
    moments: dict[str, sa.Row[Any, Any, Any]] = {}
    if newest:
        with store.read() as connection:
            moments = {row.enquiry: row for row in connection.execute(query)}
    return [_package_row(store, filed, moments.get(filed.number)) for filed in enquiries]


def _package_row(store: Store, filed: Enquiry, moments: sa.Row[Any, Any, Any] | None) -> PackageRow:
    status = package_status(
        [answer.status for answer in filed.answers],
        packaged=filed.package is not None,
        building=filed.package_behind or str(filed.package_state) == "building",
        kept=filed.package is not None and store.blobs.exists(filed.package.blob),
        valid_to=filed.valid_to,
        now=datetime.now(UTC),
    )
    missing = tuple((one.owner_cvr, one.owner_name) for one in filed.answers if not one.status.final)
    created, acknowledged = (moments.created_at, moments.acknowledged_at) if moments else (None, None)
    return PackageRow(filed, status, created, acknowledged, missing)


def _filed(store: Store, access: Access, number: str) -> Enquiry:
    access.require(Role.EXCAVATOR)
    try:
        filed = whole(store, access, number)
    except NotFound as error:
        raise Refusal("16-400") from error
    if filed.organisation != access.organisation:
        raise Refusal("16-400")
    return filed


def package_blob(store: Store, access: Access, number: str) -> str:
    """Return the name of the newest package's file.

    Raises
    ------
    NotAllowed
        `access` is no excavator.
    Refusal
        ``16-400``: there is none yet, or no such enquiry of his; ``16-410``: it is archived.
    """
    row = package_row(store, access, number)
    if row.status is PackageStatus.ARCHIVED:
        raise Refusal("16-410")
    if row.enquiry.package is None or row.status is PackageStatus.DELETED:
        raise Refusal("16-400")
    return row.enquiry.package.blob


def acknowledge_package(store: Store, access: Access, number: str) -> int:
    """Note that the newest package was received, and return its sequence number; a newer one is told again.

    Raises
    ------
    NotAllowed
        `access` is no excavator.
    Refusal
        ``16-400``: there is none; ``26-500``: it is acknowledged already.
    """
    filed = _filed(store, access, number)
    if filed.package is None:
        raise Refusal("16-400")
    table, sequence = schema.packages, filed.package.sequence
    this = table.c.enquiry == filed.number, table.c.sequence == sequence, table.c.acknowledged_at.is_(None)
    with store.begin() as tx:
        if tx.execute(sa.update(table).where(*this).values(acknowledged_at=now())).rowcount != 1:
            raise Refusal("26-500")
        outbox.emit(tx, "package.acknowledged", number, {"number": number, "sequence": sequence})
        tx.commit()
    return sequence


# --- What owners register


def report_damage(store: Store, access: Access, document: Mapping[str, Any]) -> str:
    """Store an owner's report of a damage and return its id.

    Raises
    ------
    NotAllowed
        `access` is no owner.
    Refusal
        ``18-300``: the report cannot be used.
    """
    access.require(Role.OWNER)
    damage = damage_report(document, _today())
    try:
        return store_damage(store, access, damage).damage_id
    except InvalidInput as error:
        raise refusal(error) from error


def register_interest_area(store: Store, access: Access, gml: bytes, number: int | None) -> int:
    """Propose an interest area of an owner and send it to review, or the change of one; return its number.

    A live area stays as it is, and is asked about, until its change is accepted.

    Parameters
    ----------
    number
        Of the area to change; a new one without.

    Raises
    ------
    NotAllowed
        `access` is no owner.
    Refusal
        A code of LER's family 27.
    """
    access.require(Role.OWNER)
    owner = access.require_organisation()
    area, contacts = owners.area_from_notice(interest_area(gml))
    if number is not None:
        _require_other(store, owner, number, area, contacts)
    try:
        return owners.submit_area(store, access, owner, area, contacts, number).area.number
    except InvalidInput as error:
        raise Refusal("27-300", _told(error)) from error


def _require_other(
    store: Store, owner: str, number: int, area: InterestArea, contacts: Mapping[str, Any]
) -> None:
    """Raise unless the area is the owner's and is changed by what is told."""
    with store.read() as connection:
        record = interest_areas.get_area(connection, number)
    if record is None or record.state is AreaState.RETIRED:
        raise Refusal("27-400")
    if record.owner_cvr != owner:
        raise Refusal("27-410")
    known = record.proposal or record  # what is proposed already takes the place of what is live
    same = (set(known.area.supply_types), known.contacts) == (set(area.supply_types), contacts)
    if same and shapely.equals(known.area.polygon, area.polygon):
        raise Refusal("27-420")
