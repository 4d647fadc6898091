"""Whom an event concerns, in which part, and what he may be told of it.

Nobody hears of anything that he could not read himself: an owner not of the other owners' answers, a filer of
his own enquiries only. What is told are identifiers, numbers and states, never rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from geoinfra.access import Role
from geoinfra.storage import schema
from geoinfra.storage.outbox import Event
from geoinfra.storage.records import now

__all__ = ["CHOOSABLE", "DEFAULT_EVENTS", "Part", "announcement", "page_of", "to_notify", "to_show"]


class Part(StrEnum):
    """What an organisation has to do with an event."""

    FILER = "filer"  # of the enquiry
    OWNERS = "owners"  # each owner whom the enquiry concerns
    OWNER = "owner"  # the owner whose answer or delivery it is
    HOLDER = "holder"  # of the channel
    ADMIN = "admin"


type Concerned = Mapping[str, frozenset[Part]]
"""CVR number of an organisation -> its parts."""

_NOTIFIED: Mapping[str, tuple[Part, ...]] = {
    "enquiry.filed": (Part.OWNERS,),
    "answer.stored": (Part.FILER,),
    "answer.corrected": (Part.FILER,),
    "answer.due-soon": (Part.OWNER,),
    "answer.overdue": (Part.OWNER, Part.FILER),
    "package.ready": (Part.FILER,),
    "package.acknowledged": (Part.FILER,),
    "delivery.published": (Part.OWNER,),
    "area.changed": (Part.OWNER, Part.ADMIN),
    "channel.disabled": (Part.HOLDER, Part.ADMIN),
}
_SHOWN: Mapping[str, tuple[Part, ...]] = {
    **_NOTIFIED,
    "enquiry.filed": (Part.FILER, Part.OWNERS),
    "answer.stored": (Part.FILER, Part.OWNER),
    "answer.corrected": (Part.FILER, Part.OWNER),
}

CHOOSABLE = frozenset(_NOTIFIED)
"""Events that a channel may be told of."""

DEFAULT_EVENTS = CHOOSABLE - {"answer.stored", "package.acknowledged", "delivery.published"}
"""Events of a channel that chooses none: those after which somebody has to do something."""

_TOLD = frozenset(
    {
        *("number", "owner_cvr", "status", "sequence", "version", "complete", "due_at"),
        *("rows", "delivery_id", "area", "state"),
    }
)
_ENQUIRIES = ("enquiry.", "answer.", "package.")
_UTILITY_DELIVERIES = "utility-features/"


def to_notify(connection: sa.Connection, events: Sequence[Event]) -> list[Concerned]:
    """Return for each event the organisations whose channels are told of it."""
    return _concerned(connection, events, _NOTIFIED)


def to_show(connection: sa.Connection, events: Sequence[Event]) -> list[Concerned]:
    """Return for each event the organisations that may watch it happen."""
    return _concerned(connection, events, _SHOWN)


def announcement(event: Event, address: str) -> dict[str, Any]:
    """Return what programs are told of an event, JSON-ready; it is the same each time.

    Parameters
    ----------
    address
        Public address of the installation, without a slash at its end.
    """
    data = {name: value for name, value in event.payload.items() if name in _TOLD}
    return {
        "id": event.event_id,
        "type": event.event,
        "subject": event.subject,
        "timestamp": event.created_at,
        "data": data,
        "link": _link(event, address),
    }


def _link(event: Event, address: str) -> str:
    if event.event == "area.changed":
        return f"{address}/api/owners/{event.subject}/areas"
    return f"{address}/api/enquiries/{event.subject}" if _of_enquiry(event) else address


def page_of(event: Event, address: str) -> str:
    """Return the address of the page on which a person sees what the event is about."""
    return f"{address}/?enquiry={event.subject}" if _of_enquiry(event) else f"{address}/"


def _of_enquiry(event: Event) -> bool:
    return event.event.startswith(_ENQUIRIES)


def _concerned(
    connection: sa.Connection, events: Sequence[Event], rules: Mapping[str, tuple[Part, ...]]
) -> list[Concerned]:
    numbers = [event.subject for event in events if _of_enquiry(event)]
    filers, owners = _filers(connection, numbers), _owners(connection, numbers)
    wanted = {part for event in events for part in rules.get(event.event, ())}
    admins = _admins(connection) if Part.ADMIN in wanted else frozenset()

    def members(part: Part, event: Event) -> Iterable[str | None]:
        match part:
            case Part.FILER:
                return (filers.get(event.subject),)
            case Part.OWNERS:
                return owners.get(event.subject, ())
            case Part.OWNER:
                return (_owner(event, owners),)
            case Part.HOLDER:
                return (event.payload.get("organisation"),)
            case Part.ADMIN:
                return admins if event.payload.get("state") in (None, "review") else ()  # of areas: to review

    found: list[Concerned] = []
    for event in events:
        parts: dict[str, set[Part]] = defaultdict(set)
        for part in rules.get(event.event, ()):
            for cvr in members(part, event):
                if cvr:
                    parts[cvr].add(part)
        found.append({cvr: frozenset(own) for cvr, own in parts.items()})
    return found


def _owner(event: Event, owners: Mapping[str, frozenset[str]]) -> str | None:
    if event.event == "area.changed":
        return event.subject
    if event.event == "delivery.published":
        open_layer = not event.subject.startswith(_UTILITY_DELIVERIES)
        return None if open_layer else event.subject.removeprefix(_UTILITY_DELIVERIES)
    owner = event.payload.get("owner_cvr")
    return owner if owner in owners.get(event.subject, ()) else None


def _filers(connection: sa.Connection, numbers: Sequence[str]) -> dict[str, str]:
    if not numbers:
        return {}
    table = schema.enquiries
    query = sa.select(table.c.number, table.c.organisation).where(table.c.number.in_(numbers))
    return {row.number: row.organisation for row in connection.execute(query)}


def _owners(connection: sa.Connection, numbers: Sequence[str]) -> dict[str, frozenset[str]]:
    if not numbers:
        return {}
    table = schema.answers
    found: dict[str, set[str]] = defaultdict(set)
    query = sa.select(table.c.enquiry, table.c.owner_cvr).where(
        table.c.enquiry.in_(numbers), table.c.scope == "dig", table.c.status != "not-asked"
    )
    for row in connection.execute(query):
        found[row.enquiry].add(row.owner_cvr)
    return {number: frozenset(cvrs) for number, cvrs in found.items()}


def _admins(connection: sa.Connection) -> frozenset[str]:
    table = schema.tokens
    query = sa.select(table.c.organisation).where(
        table.c.roles.like(f'%"{Role.ADMIN}"%'), table.c.revoked_at.is_(None), table.c.expires_at > now()
    )
    return frozenset(connection.scalars(query))
