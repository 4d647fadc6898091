"""Who takes part: organisations, their access tokens, and the areas where they own utilities."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import shapely
import sqlalchemy as sa
from shapely import MultiPolygon, Polygon
from sqlalchemy.exc import IntegrityError

from geoinfra.access import Access, Role
from geoinfra.crs import require_denmark
from geoinfra.errors import Conflict, InvalidGeometry, InvalidInput, NotAllowed, NotAuthenticated, NotFound
from geoinfra.storage.records import Transaction, now, timestamp
from geoinfra.storage.schema import interest_areas, organisations, tokens

__all__ = [
    "AreaState",
    "InterestArea",
    "InterestHit",
    "Organisation",
    "Token",
    "access_of",
    "add_organisation",
    "area_polygons",
    "area_row",
    "authenticate",
    "certificate_access",
    "check_cvr",
    "create_token",
    "get_organisation",
    "list_organisations",
    "list_tokens",
    "lock_organisation",
    "owners_in",
    "revoke_token",
    "set_dispensation",
    "set_interest_areas",
    "set_shows_for_planning",
    "usable_principal",
]

_CVR_WEIGHTS = (2, 7, 6, 5, 4, 3, 2, 1)
_SECRET = re.compile(r"gi_[A-Za-z0-9_-]{32,128}")
_TOKEN_PREFIX = "token:"  # noqa: S105  (the start of a principal's name)
_SYSTEM_PREFIX = "system:"
_CERTIFICATE_PREFIX = "certificate:"
_LONGEST_VALIDITY = timedelta(days=3660)
_MOST_VERTICES = 200_000


@dataclass(frozen=True, slots=True)
class Organisation:
    """A company or authority.

    Attributes
    ----------
    cvr
        Danish business number, 8 digits.
    name
        Its name.
    contact
        ``name``, ``email`` and ``phone`` where known.
    dispensation
        First and last moment at which the law lets an owner hand over what he has to the excavator directly,
        within five working days; ``None`` for one who has none, and for an end that is not set.
    shows_for_planning
        An owner whose hosted lines are shown to enquiries for planning, too.
    """

    cvr: str
    name: str
    contact: Mapping[str, str] = field(default_factory=dict)
    dispensation: tuple[datetime, datetime | None] | None = None
    shows_for_planning: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of an access token; its secret is not.

    Attributes
    ----------
    token_id
        The principal is ``token:<token_id>``.
    organisation
        CVR number.
    roles
        What it may be used for.
    label
        For people.
    created_at, expires_at, revoked_at
        UTC text; ``revoked_at`` is ``None`` while it may be used.
    """

    token_id: str
    organisation: str
    roles: frozenset[Role]
    label: str
    created_at: str
    expires_at: str
    revoked_at: str | None


class AreaState(StrEnum):
    """The life of an interest area; owners are asked by live ones only."""

    DRAFT = "draft"
    REVIEW = "review"
    LIVE = "live"
    RETIRED = "retired"


class InterestArea(NamedTuple):
    """One area where an owner has utilities of the given types.

    Attributes
    ----------
    number
        LER's *indberetningsNr*, unique among all owners.
    supply_types
        For instance ``("electricity",)``.
    polygon
        EPSG:25832.
    valid_from, valid_to
        Aware moments; ``None`` for an area without an end.
    """

    number: int
    supply_types: Sequence[str]
    polygon: Polygon | MultiPolygon
    valid_from: datetime
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class InterestHit:
    """An owner whose interest areas touch a polygon.

    Attributes
    ----------
    owner_cvr, name
        The owner.
    numbers
        The interest areas that touch, ascending.
    dispensation
        Whether he hands over directly at that moment.
    shows_for_planning
        See :class:`Organisation`.
    """

    owner_cvr: str
    name: str
    numbers: tuple[int, ...]
    dispensation: bool = False
    shows_for_planning: bool = False


def check_cvr(cvr: str) -> str:
    """Return `cvr` when it is a valid CVR number: 8 digits, weighted sum divisible by 11.

    Raises
    ------
    InvalidInput
        It is not.
    """
    well_formed = len(cvr) == 8 and cvr.isascii() and cvr.isdigit() and cvr[0] != "0"
    if not well_formed or sum(w * int(d) for w, d in zip(_CVR_WEIGHTS, cvr, strict=True)) % 11:
        raise InvalidInput(
            "That is not a CVR number.",
            hint="A CVR number has 8 digits; weighted by 2 7 6 5 4 3 2 1 their sum is divisible by 11.",
            details={"found": cvr[:20]},
        )
    return cvr


def add_organisation(
    tx: Transaction, cvr: str, name: str, contact: Mapping[str, str] | None = None
) -> Organisation:
    """Record an organisation.

    Raises
    ------
    InvalidInput
        The CVR number or the name cannot be used.
    Conflict
        It is recorded already.
    """
    check_cvr(cvr)
    name = name.strip()
    if not 0 < len(name) <= 200 or not name.isprintable():
        raise InvalidInput(
            "That cannot name an organisation.", hint="Give a name of 1 to 200 printable letters."
        )
    if get_organisation(tx.connection, cvr) is not None:
        raise Conflict(f"The organisation {cvr} is recorded already.")
    organisation = Organisation(cvr, name, dict(contact or {}))
    document = json.dumps(organisation.contact, ensure_ascii=False)
    tx.execute(sa.insert(organisations).values(cvr=cvr, name=name, contact=document, created_at=now()))
    return organisation


def lock_organisation(tx: Transaction, cvr: str) -> None:
    """Let changes of one organisation's things follow each other; held to the end of the transaction."""
    table = organisations.c
    tx.execute(sa.select(table.cvr).where(table.cvr == cvr).with_for_update(key_share=True))


def get_organisation(connection: sa.Connection, cvr: str) -> Organisation | None:
    """Return the organisation with this CVR number, if it is recorded."""
    if not (cvr.isascii() and cvr.isdigit()):  # PostgreSQL would refuse a NUL with an error of its own
        return None
    row = connection.execute(sa.select(organisations).where(organisations.c.cvr == cvr)).one_or_none()
    return None if row is None else _organisation(row)


def _organisation(row: sa.Row[Any]) -> Organisation:
    period = None
    if row.dispensation_from:
        end = datetime.fromisoformat(row.dispensation_to) if row.dispensation_to else None
        period = datetime.fromisoformat(row.dispensation_from), end
    return Organisation(row.cvr, row.name, json.loads(row.contact), period, bool(row.shows_for_planning))


def set_dispensation(
    tx: Transaction, cvr: str, valid_from: datetime | None, valid_to: datetime | None = None
) -> None:
    """Say from when and until when an owner hands over directly; enquiries filed before are not changed.

    Parameters
    ----------
    valid_from
        Aware; ``None`` takes the dispensation away.
    valid_to
        Aware; the moment from which it no longer counts, ``None`` for no end.

    Raises
    ------
    NotFound
        The organisation is not recorded.
    InvalidInput
        It ends before it begins, or a moment has no time zone.
    """
    begin = timestamp(_aware(valid_from)) if valid_from else None
    end = timestamp(_aware(valid_to)) if valid_from and valid_to else None
    if begin and end and end <= begin:
        raise InvalidInput("The dispensation ends before it begins.")
    _set_values(tx, cvr, dispensation_from=begin, dispensation_to=end)


def set_shows_for_planning(tx: Transaction, cvr: str, shows: bool) -> None:
    """Say whether an owner's hosted lines are shown to enquiries for planning, from the next one on.

    Raises
    ------
    NotFound
        The organisation is not recorded.
    """
    _set_values(tx, cvr, shows_for_planning=shows)


def _set_values(tx: Transaction, cvr: str, **values: Any) -> None:
    if get_organisation(tx.connection, cvr) is None:
        raise NotFound(f"There is no organisation {cvr[:20]}.", hint="Record the organisation first.")
    tx.execute(sa.update(organisations).where(organisations.c.cvr == cvr).values(**values))


def list_organisations(connection: sa.Connection, *, owners_only: bool = False) -> list[Organisation]:
    """Return the organisations by name; with `owners_only` those that have live interest areas."""
    query = sa.select(organisations).order_by(organisations.c.name, organisations.c.cvr)
    if owners_only:
        live = sa.select(interest_areas.c.owner_cvr).where(interest_areas.c.state == str(AreaState.LIVE))
        query = query.where(organisations.c.cvr.in_(live))
    return [_organisation(row) for row in connection.execute(query)]


def create_token(
    tx: Transaction, cvr: str, roles: Iterable[Role], label: str, expires_in: timedelta
) -> tuple[str, str]:
    """Make an access token of an organisation.

    Returns
    -------
    tuple of str
        Its id, and its secret: shown this once, only its SHA-256 is stored.

    Raises
    ------
    NotFound
        The organisation is not recorded.
    InvalidInput
        No role, the role ``anonymous``, or a validity of nothing or more than ten years.
    """
    wanted = sorted({Role(role) for role in roles})
    if not wanted or Role.ANONYMOUS in wanted:
        raise InvalidInput("A token needs at least one role other than anonymous.")
    if not timedelta(0) < expires_in <= _LONGEST_VALIDITY:
        raise InvalidInput("A token is valid for at least a moment and at most ten years.")
    if get_organisation(tx.connection, cvr) is None:
        raise NotFound(f"There is no organisation {cvr[:20]}.", hint="Record the organisation first.")
    token_id, secret = secrets.token_hex(8), f"gi_{secrets.token_urlsafe(32)}"
    moment = datetime.now(UTC)
    tx.execute(
        sa.insert(tokens).values(
            token_id=token_id,
            secret_hash=_digest(secret),
            organisation=cvr,
            roles=json.dumps([str(role) for role in wanted]),
            label=label[:200],
            created_at=timestamp(moment),
            expires_at=timestamp(moment + expires_in),
        )
    )
    return token_id, secret


def authenticate(connection: sa.Connection, secret: str) -> Access:
    """Return the access that a token's secret gives.

    The secret is looked up by its SHA-256, so the time taken says nothing about stored secrets.

    Raises
    ------
    NotAuthenticated
        Unknown, expired or revoked; the message does not tell which.
    """
    row = None
    if _SECRET.fullmatch(secret):
        query = _usable_tokens().where(tokens.c.secret_hash == _digest(secret))
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotAuthenticated(
            "The token is not valid.", hint="Ask the administrator of your installation for a new one."
        )
    return _access(row)


def access_of(connection: sa.Connection, principal: str) -> Access:
    """Return the present access of a principal, for work done later on its behalf.

    ``system:…`` is geoinfra itself and has no roles; ``anonymous`` is the visitor; ``certificate:…`` is an
    organisation, see :func:`certificate_access`.

    Raises
    ------
    NotAllowed
        The token has expired, was revoked, or never was.
    """
    if principal.startswith(_SYSTEM_PREFIX):
        return Access(principal)
    anonymous = Access.anonymous()
    if principal == anonymous.principal:
        return anonymous
    if principal.startswith(_CERTIFICATE_PREFIX):
        return certificate_access(connection, principal.removeprefix(_CERTIFICATE_PREFIX))
    row = None
    if principal.startswith(_TOKEN_PREFIX):
        query = _usable_tokens().where(tokens.c.token_id == principal.removeprefix(_TOKEN_PREFIX))
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotAllowed(
            "The token that asked for this is no longer valid.", hint="Ask again with a valid token."
        )
    return _access(row)


def certificate_access(connection: sa.Connection, cvr: str) -> Access:
    """Return the access of an organisation that was known by its certificate.

    It has the roles excavator and owner as far as a usable token of the organisation has them: whoever takes
    the tokens away ends the access by certificate too.

    Raises
    ------
    NotFound
        The organisation is not recorded.
    NotAllowed
        It has neither role.
    """
    if get_organisation(connection, cvr) is None:
        raise NotFound(f"There is no organisation {cvr[:20]}.", hint="Record the organisation first.")
    usable = connection.execute(_usable_tokens().where(tokens.c.organisation == cvr)).all()
    held = frozenset(role for row in usable for role in _roles(row.roles))
    roles = held & {Role.EXCAVATOR, Role.OWNER}
    if not roles:
        raise NotAllowed("The organisation has no role in which it may do this.")
    return Access(f"{_CERTIFICATE_PREFIX}{cvr}", cvr, roles)


def usable_principal(connection: sa.Connection, principal: str, cvr: str, role: Role) -> str:
    """Return `principal` while its token may be used, else a colleague with `role`, if there is one."""
    token_id = principal.removeprefix(_TOKEN_PREFIX)
    usable = connection.execute(_usable_tokens().where(tokens.c.organisation == cvr)).all()
    if not principal.startswith(_TOKEN_PREFIX) or any(row.token_id == token_id for row in usable):
        return principal
    colleagues = sorted(row.token_id for row in usable if role in _roles(row.roles))
    return f"{_TOKEN_PREFIX}{colleagues[0]}" if colleagues else principal


def revoke_token(tx: Transaction, token_id: str) -> None:
    """End a token's validity now; a token that is revoked already stays as it is.

    Raises
    ------
    NotFound
        There is no such token.
    """
    ours = tokens.c.token_id == token_id
    if not token_id.isalnum() or tx.connection.scalar(sa.select(tokens.c.token_id).where(ours)) is None:
        raise NotFound("There is no such token.")
    tx.execute(sa.update(tokens).where(ours, tokens.c.revoked_at.is_(None)).values(revoked_at=now()))


def list_tokens(connection: sa.Connection, cvr: str | None = None) -> list[Token]:
    """Return all tokens, or those of one organisation, newest first."""
    query = sa.select(tokens).order_by(tokens.c.created_at.desc(), tokens.c.token_id)
    if cvr is not None:
        query = query.where(tokens.c.organisation == cvr)
    return [
        Token(
            row.token_id,
            row.organisation,
            _roles(row.roles),
            row.label,
            row.created_at,
            row.expires_at,
            row.revoked_at,
        )
        for row in connection.execute(query)
    ]


def set_interest_areas(
    tx: Transaction,
    owner_cvr: str,
    areas: Iterable[
        InterestArea | tuple[int, Sequence[str], Polygon | MultiPolygon, datetime, datetime | None]
    ],
) -> None:
    """Replace all interest areas of one owner.

    Raises
    ------
    NotFound
        The owner is not recorded.
    InvalidGeometry
        A polygon is empty, invalid, outside Denmark or too large; the message names its number.
    InvalidInput
        A number or a period cannot be used.
    Conflict
        A number belongs to another owner, or comes twice.
    """
    if get_organisation(tx.connection, owner_cvr) is None:
        raise NotFound(f"There is no organisation {owner_cvr[:20]}.", hint="Record the owner first.")
    rows = [area_row(owner_cvr, InterestArea(*area)) for area in areas]
    tx.execute(sa.delete(interest_areas).where(interest_areas.c.owner_cvr == owner_cvr))
    if not rows:
        return
    try:
        tx.execute(sa.insert(interest_areas), rows)
    except IntegrityError as error:
        raise Conflict(
            "An interest area's number is used already.", hint="Numbers are unique among all owners."
        ) from error


def owners_in(connection: sa.Connection, polygon: Polygon | MultiPolygon, at: datetime) -> list[InterestHit]:
    """Return the owners who have an interest area in force that touches `polygon`.

    Parameters
    ----------
    polygon
        EPSG:25832.
    at
        Aware moment at which the areas must be in force.

    Returns
    -------
    list of InterestHit
        By name. Decided exactly: a shared boundary point counts, overlapping bounds do not.
    """
    min_e, min_n, max_e, max_n = polygon.bounds
    areas, moment = interest_areas.c, timestamp(_aware(at))
    query = sa.select(areas.number, areas.owner_cvr, areas.polygon).where(
        areas.min_e <= max_e,
        areas.max_e >= min_e,
        areas.min_n <= max_n,
        areas.max_n >= min_n,
        areas.state == AreaState.LIVE,
        areas.valid_from <= moment,
        sa.or_(areas.valid_to.is_(None), areas.valid_to > moment),
    )
    rows = connection.execute(query).all()
    if not rows:
        return []
    shapely.prepare(polygon)
    touches = shapely.intersects(polygon, shapely.from_wkb(np.array([row.polygon for row in rows], object)))
    numbers: dict[str, list[int]] = {}
    for row, touch in zip(rows, touches, strict=True):
        if touch:
            numbers.setdefault(row.owner_cvr, []).append(row.number)
    table = organisations.c
    exempt = sa.and_(
        table.dispensation_from <= moment,
        sa.or_(table.dispensation_to.is_(None), table.dispensation_to > moment),
    )
    columns = table.cvr, table.name, exempt.label("exempt"), table.shows_for_planning
    hits = [
        InterestHit(
            row.cvr,
            row.name,
            tuple(sorted(numbers[row.cvr])),
            bool(row.exempt),
            bool(row.shows_for_planning),
        )
        for row in connection.execute(sa.select(*columns).where(table.cvr.in_(numbers)))
    ]
    return sorted(hits, key=lambda hit: (hit.name, hit.owner_cvr))


def area_polygons(connection: sa.Connection, numbers: Iterable[int]) -> dict[int, Polygon | MultiPolygon]:
    """Return the polygons of interest areas by number, prepared for many questions; without those gone."""
    areas = interest_areas.c
    rows = connection.execute(sa.select(areas.number, areas.polygon).where(areas.number.in_(list(numbers))))
    found = {row.number: shapely.from_wkb(row.polygon) for row in rows}
    for polygon in found.values():
        shapely.prepare(polygon)
    return found


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _usable_tokens() -> sa.Select[Any]:
    return sa.select(tokens.c.token_id, tokens.c.organisation, tokens.c.roles).where(
        tokens.c.revoked_at.is_(None), tokens.c.expires_at > now()
    )


def _roles(document: str) -> frozenset[Role]:
    return frozenset(Role(role) for role in json.loads(document))


def _access(row: sa.Row[Any]) -> Access:
    return Access(f"{_TOKEN_PREFIX}{row.token_id}", row.organisation, _roles(row.roles))


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise InvalidInput("A moment needs its time zone.", details={"found": moment.isoformat()})
    return moment


def area_row(owner_cvr: str, area: InterestArea) -> dict[str, Any]:
    """Return an interest area as its record, live.

    Raises
    ------
    InvalidInput, InvalidGeometry
        As in :func:`set_interest_areas`.
    """
    if not 0 < area.number < 2**31:
        raise InvalidInput("An interest area's number is a positive whole number.")
    valid_from = timestamp(_aware(area.valid_from))
    valid_to = None if area.valid_to is None else timestamp(_aware(area.valid_to))
    if valid_to is not None and valid_to <= valid_from:
        raise InvalidInput(f"Interest area {area.number} ends before it begins.")
    _check_polygon(area)
    min_e, min_n, max_e, max_n = area.polygon.bounds
    return {
        "number": area.number,
        "owner_cvr": owner_cvr,
        "supply_types": json.dumps(list(area.supply_types)),
        "min_e": min_e,
        "min_n": min_n,
        "max_e": max_e,
        "max_n": max_n,
        "polygon": shapely.to_wkb(area.polygon, output_dimension=2, byte_order=1),
        "valid_from": valid_from,
        "valid_to": valid_to,
        "state": str(AreaState.LIVE),
    }


def _check_polygon(area: InterestArea) -> None:
    polygon, fault = area.polygon, ""
    if not isinstance(polygon, Polygon | MultiPolygon) or polygon.is_empty:
        fault = "is no polygon"
    elif shapely.get_num_coordinates(polygon) > _MOST_VERTICES:
        fault = f"has more than {_MOST_VERTICES} vertices"
    elif not polygon.is_valid:  # neither is one with NaN or infinity
        fault = f"is not valid: {shapely.is_valid_reason(polygon)}"
    if fault:
        raise InvalidGeometry(f"The polygon of interest area {area.number} {fault}.")
    require_denmark(polygon)
