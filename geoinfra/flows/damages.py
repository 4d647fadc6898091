"""Owners report dig damages; each reads his own, the authority all, and everybody protected counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import batched
from typing import Any, Final

import sqlalchemy as sa

from geoinfra.access import Access, Role
from geoinfra.errors import InvalidInput
from geoinfra.flows.enquiry_records import DIG
from geoinfra.flows.sandbox import number_prefix
from geoinfra.storage import Store, schema
from geoinfra.storage.organisations import lock_organisation
from geoinfra.storage.records import Transaction, new_id, now
from geoinfra.utilities.damage_statistics import DamageStatistics, damage_statistics
from geoinfra.utilities.damages import Damage, last_day, read_damages
from geoinfra.utilities.enquiry import AnswerStatus
from geoinfra.utilities.legal_clock import DENMARK
from geoinfra.utilities.ler_api import number_of

__all__ = [
    "ImportedRow",
    "Reported",
    "import_damages",
    "list_damages",
    "report_damage",
    "statistics",
    "store_damage",
    "today_in_denmark",
]

MOST_LISTED: Final = 50_000
_AT_ONCE: Final = 400  # numbers in one question to the database


@dataclass(frozen=True, slots=True)
class Reported:
    """A damage in the records.

    Attributes
    ----------
    organisation
        Who reported it.
    known
        Whether the same report had been there before; it is not counted twice.
    """

    damage_id: str
    organisation: str
    reported_at: str
    damage: Damage
    known: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the report with LER's member names."""
        return {
            "damage_id": self.damage_id,
            "organisation": self.organisation,
            "reported_at": self.reported_at,
            **self.damage.to_document(),
        }


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """What came of one row of a table.

    Attributes
    ----------
    line
        The line of the file it begins on.
    state
        ``stored``, ``known`` (reported before) or ``refused``.
    """

    line: int
    state: str
    damage_id: str = ""
    member: str = ""
    message: str = ""
    message_da: str = ""
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the outcome without empty members."""
        names = ("line", "state", "damage_id", "member", "message", "message_da", "hint")
        return {name: value for name in names if (value := getattr(self, name)) != ""}


def today_in_denmark() -> date:
    """Return the present Danish day."""
    return datetime.now(DENMARK).date()


# --- Reporting


def report_damage(store: Store, access: Access, document: Mapping[str, Any]) -> Reported:
    """Store an owner's report of a damage; the same report again changes nothing.

    Raises
    ------
    NotAllowed
        `access` is no owner.
    InvalidInput
        A rule is broken, or the enquiry it names does not exist or does not concern the owner.
    """
    _reporter(access)
    return store_damage(store, access, Damage.from_document(document, today_in_denmark()))


def store_damage(store: Store, access: Access, damage: Damage) -> Reported:
    """Store an owner's damage; see :func:`report_damage`."""
    reporter = _reporter(access)
    with store.begin() as tx:
        lock_organisation(tx, reporter)  # none is counted twice
        damage = _numbered(damage, number_prefix(tx.connection))
        if damage.enquiry not in {"", *_concerning(tx.connection, reporter, [damage.enquiry])}:
            raise _no_such_enquiry(damage.enquiry)
        known = _documents(tx.connection, reporter, [damage.year])
        reported = _insert(tx, access, reporter, damage, known)
        tx.commit()
    return reported


def import_damages(store: Store, access: Access, content: bytes) -> list[ImportedRow]:
    """Store the damages of a CSV table (:func:`~geoinfra.utilities.damages.read_damages`).

    Rows without a fault are stored, together; the others are refused with the reason. Sending the mended
    table again is safe: what is known is not counted twice.

    Raises
    ------
    NotAllowed
        `access` is no owner.
    UnreadableFile, InvalidInput, TooLarge
        The table as a whole cannot be used.
    """
    reporter = _reporter(access)
    with store.read() as connection:
        prefix = number_prefix(connection)
    rows = [
        (line, _numbered(found, prefix) if isinstance(found, Damage) else found)
        for line, found in read_damages(content, today_in_denmark())
    ]
    good = [damage for _, damage in rows if isinstance(damage, Damage)]
    numbers = sorted({damage.enquiry for damage in good if damage.enquiry})
    with store.begin() as tx:
        lock_organisation(tx, reporter)
        concerning = {"", *_concerning(tx.connection, reporter, numbers)}
        known = _documents(tx.connection, reporter, sorted({damage.year for damage in good}))
        outcome = []
        for line, found in rows:
            if isinstance(found, InvalidInput):
                outcome.append(_refused(line, found))
            elif found.enquiry not in concerning:
                outcome.append(_refused(line, _no_such_enquiry(found.enquiry)))
            else:
                reported = _insert(tx, access, reporter, found, known)
                state = "known" if reported.known else "stored"
                outcome.append(ImportedRow(line, state, reported.damage_id))
        tx.commit()
    return outcome


def _reporter(access: Access) -> str:
    access.require(Role.OWNER)
    return access.require_organisation()


def _numbered(damage: Damage, prefix: str) -> Damage:
    """Write the number of the enquiry as the records do; LER's clients leave out its signs."""
    return replace(damage, enquiry=number_of(damage.enquiry, prefix) or damage.enquiry)


def _refused(line: int, error: InvalidInput) -> ImportedRow:
    told = error.details
    return ImportedRow(
        line, "refused", "", told.get("member", ""), error.message, told.get("message_da", ""), error.hint
    )


def _no_such_enquiry(number: str) -> InvalidInput:
    return InvalidInput(
        "lerNummer is no enquiry that concerns you.",
        hint="Leave it out where the dig was not asked for here.",
        details={
            "member": "lerNummer",
            "found": number,
            "message_da": "lerNummer er ikke en forespørgsel, der vedrører jer.",
        },
    )


def _concerning(connection: sa.Connection, owner_cvr: str, numbers: Sequence[str]) -> Iterator[str]:
    """Yield those of the enquiries that exist and that the owner was asked about."""
    table = schema.answers
    for some in batched(numbers, _AT_ONCE):
        ours = table.c.owner_cvr == owner_cvr, table.c.enquiry.in_(some)
        asked = table.c.scope == DIG, table.c.status != str(AnswerStatus.NOT_ASKED)
        yield from connection.scalars(sa.select(table.c.enquiry).where(*ours, *asked))


def _documents(connection: sa.Connection, reporter: str, years: Sequence[int]) -> dict[str, tuple[str, str]]:
    """Return what the owner has reported for some years: document to id and time."""
    table = schema.damages
    wanted = sa.select(table.c.document, table.c.damage_id, table.c.created_at).where(
        table.c.organisation == reporter, table.c.year.in_(years)
    )
    return {row.document: (row.damage_id, row.created_at) for row in connection.execute(wanted)}


def _insert(
    tx: Transaction, access: Access, reporter: str, damage: Damage, known: dict[str, tuple[str, str]]
) -> Reported:
    document = json.dumps(damage.to_document(), ensure_ascii=False, allow_nan=False)
    if document in known:
        return Reported(known[document][0], reporter, known[document][1], damage, known=True)
    damage_id, moment = new_id(), now()
    tx.execute(
        sa.insert(schema.damages).values(
            damage_id=damage_id,
            organisation=reporter,
            year=damage.year,
            document=document,
            created_at=moment,
            principal=access.principal,
        )
    )
    known[document] = (damage_id, moment)
    return Reported(damage_id, reporter, moment, damage)


# --- Reading


def list_damages(
    store: Store, access: Access, *, year: int | None = None, limit: int = MOST_LISTED
) -> list[Reported]:
    """Return reports of damages, the newest report first: an owner's own, or to the authority all.

    Raises
    ------
    NotAllowed
        `access` is neither.
    """
    access.require(Role.OWNER, Role.AUTHORITY)
    organisation = None if access.has(Role.AUTHORITY) else access.require_organisation()
    with store.read() as connection:
        return list(_reports(connection, organisation, year, limit))


def _reports(
    connection: sa.Connection, organisation: str | None, year: int | None, limit: int
) -> Iterator[Reported]:
    table = schema.damages
    wanted = sa.select(table).order_by(table.c.created_at.desc(), table.c.damage_id.desc()).limit(limit)
    if organisation is not None:
        wanted = wanted.where(table.c.organisation == organisation)
    if year is not None:
        wanted = wanted.where(table.c.year == year)
    for row in connection.execute(wanted):
        yield Reported(row.damage_id, row.organisation, row.created_at, _damage(row.document))


def _damage(document: str) -> Damage:
    """Return a stored damage; it was checked when it was stored."""
    return Damage.from_document(json.loads(document), date.max)


# --- Counting


def statistics(
    store: Store, access: Access, *, year: int | None = None, own: bool = False
) -> list[DamageStatistics]:
    """Count damages by year, and in each year by supply, cause and digging method; the newest year first.

    The authority gets exact counts of all, an owner with `own` exact counts of his own. Everybody else gets
    the protected counts of all: no group below five, and only years whose time of reporting is over.

    Parameters
    ----------
    year
        Only this year, also when there is nothing to tell; without it every year that may be told of.
    """
    if year is not None and not 2000 <= year <= 2100:
        raise InvalidInput("Damages are counted for the years 2000 to 2100.")
    organisation = None
    if own:
        access.require(Role.OWNER)
        organisation = access.require_organisation()
    scope = "own" if own else "all" if access.has(Role.AUTHORITY) else "public"
    today = today_in_denmark()
    with store.read() as connection:
        years = [year] if year is not None else _years(connection, organisation)
        counted = [_statistics(connection, one, scope, organisation, today) for one in years]
    return counted if year is not None else [one for one in counted if not one.withheld]


def _years(connection: sa.Connection, organisation: str | None) -> Sequence[int]:
    table = schema.damages
    wanted = sa.select(table.c.year).distinct().order_by(table.c.year.desc())
    if organisation is not None:
        wanted = wanted.where(table.c.organisation == organisation)
    return connection.scalars(wanted).all()


def _statistics(
    connection: sa.Connection, year: int, scope: str, organisation: str | None, today: date
) -> DamageStatistics:
    table = schema.damages
    wanted = sa.select(table.c.document).where(table.c.year == year)
    if organisation is not None:
        wanted = wanted.where(table.c.organisation == organisation)
    damages = [_damage(document) for document in connection.scalars(wanted)]
    methods = _methods(connection, {damage.enquiry for damage in damages if damage.enquiry})
    return damage_statistics(year, scope, damages, methods, due=today > last_day(year))


def _methods(connection: sa.Connection, numbers: Iterable[str]) -> dict[str, list[str]]:
    """Return the digging methods of enquiries by number."""
    table = schema.enquiries
    found: dict[str, list[str]] = {}
    for some in batched(sorted(numbers), _AT_ONCE):
        wanted = sa.select(table.c.number, table.c.methods).where(table.c.number.in_(some))
        found |= {row.number: json.loads(row.methods) for row in connection.execute(wanted)}
    return found
