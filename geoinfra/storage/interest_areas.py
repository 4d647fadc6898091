"""The life of an interest area: proposed, reviewed by another person, live, and one day retired.

What is proposed stands beside what is live, so that an owner is asked without a break while a change of his
area waits for its review. A new area has nothing live: its state is that of its proposal.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import shapely
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from geoinfra.storage import schema
from geoinfra.storage.organisations import AreaState, InterestArea, area_row
from geoinfra.storage.records import Transaction, now

__all__ = [
    "AreaProposal",
    "AreaRecord",
    "accept_proposal",
    "areas_of",
    "drop_proposal",
    "get_area",
    "next_area_number",
    "propose_area",
    "retire_area",
]

_COUNTER = "interest-area"
_AREA = schema.interest_areas


@dataclass(frozen=True, slots=True)
class AreaProposal:
    """What an interest area shall be like.

    Attributes
    ----------
    area
        Number, supply types, polygon and dates.
    contacts
        Purpose -> ``{"name", "email", "phone"}``.
    proposed_by
        Principal; another one must review it.
    submitted
        Whether it waits for its review; else it is a draft.
    """

    area: InterestArea
    contacts: Mapping[str, Any]
    proposed_by: str
    submitted: bool

    @property
    def revision(self) -> str:
        """A text that changes exactly when something else is proposed."""
        told = {name: value for name, value in _proposal_document(self).items() if name != "submitted"}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class AreaRecord:
    """An interest area as it stands.

    Attributes
    ----------
    area, contacts
        What counts; of a new area what is proposed.
    proposal
        What shall count once it is reviewed, ``None`` where nothing is proposed.
    reviewed_by, reviewed_at
        Of what is live.
    """

    owner_cvr: str
    state: AreaState
    area: InterestArea
    contacts: Mapping[str, Any]
    proposal: AreaProposal | None
    reviewed_by: str | None
    reviewed_at: str | None


def areas_of(connection: sa.Connection, owner_cvr: str) -> list[AreaRecord]:
    """Return all interest areas of an owner, by number."""
    query = sa.select(_AREA).where(_AREA.c.owner_cvr == owner_cvr).order_by(_AREA.c.number)
    return [_record(row) for row in connection.execute(query)]


def get_area(connection: sa.Connection, number: int, *, lock: bool = False) -> AreaRecord | None:
    """Return one interest area; with `lock` nobody else changes it before the transaction ends."""
    if not 0 < number < 2**31:
        return None
    query = sa.select(_AREA).where(_AREA.c.number == number)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _record(row)


def next_area_number(tx: Transaction) -> int:
    """Return the next free number of an interest area; callers follow each other."""
    table = schema.counters
    dialect = sqlite if tx.connection.dialect.name == "sqlite" else postgresql
    first = dialect.insert(table).values(name=_COUNTER, value=1)
    counting = first.on_conflict_do_update(index_elements=["name"], set_={"value": table.c.value + 1})
    counted = tx.connection.scalar(counting.returning(table.c.value)) or 1
    taken = tx.connection.scalar(sa.select(sa.func.max(_AREA.c.number))) or 0
    following = max(int(counted), int(taken) + 1)
    tx.execute(sa.update(table).where(table.c.name == _COUNTER).values(value=following))
    return following


def propose_area(tx: Transaction, owner_cvr: str, proposal: AreaProposal) -> None:
    """Record what an area shall be like; one of a new number is recorded with it.

    Raises
    ------
    InvalidInput, InvalidGeometry
        As in :func:`~geoinfra.storage.organisations.set_interest_areas`.
    """
    row = area_row(owner_cvr, proposal.area)
    number, text = proposal.area.number, json.dumps(_proposal_document(proposal))
    known = get_area(tx.connection, number, lock=True)
    state = AreaState.REVIEW if proposal.submitted else AreaState.DRAFT
    if known is not None and known.state is AreaState.LIVE:
        tx.execute(sa.update(_AREA).where(_AREA.c.number == number).values(proposal=text))
        return
    values = {**row, "state": str(state), "contacts": json.dumps(proposal.contacts), "proposal": text}
    if known is None:
        tx.execute(sa.insert(_AREA).values(values))
    else:
        tx.execute(sa.update(_AREA).where(_AREA.c.number == number).values(values))


def accept_proposal(tx: Transaction, record: AreaRecord, reviewer: str) -> None:
    """Make live what is proposed."""
    proposal = record.proposal
    if proposal is None:
        raise ValueError("nothing is proposed")
    values = {
        **area_row(record.owner_cvr, proposal.area),
        "contacts": json.dumps(proposal.contacts),
        "proposal": None,
        "reviewed_by": reviewer,
        "reviewed_at": now(),
    }
    tx.execute(sa.update(_AREA).where(_AREA.c.number == record.area.number).values(values))


def drop_proposal(tx: Transaction, record: AreaRecord) -> None:
    """Forget what is proposed; an area that never was live goes with it."""
    ours = _AREA.c.number == record.area.number
    if record.state is AreaState.LIVE:
        tx.execute(sa.update(_AREA).where(ours).values(proposal=None))
    else:
        tx.execute(sa.delete(_AREA).where(ours))


def retire_area(tx: Transaction, record: AreaRecord) -> None:
    """Ask nobody by this area any more; it stays on record."""
    ours = _AREA.c.number == record.area.number
    tx.execute(sa.update(_AREA).where(ours).values(state=str(AreaState.RETIRED), proposal=None))


def _record(row: sa.Row[Any]) -> AreaRecord:
    area = InterestArea(
        row.number,
        tuple(json.loads(row.supply_types)),
        shapely.from_wkb(row.polygon),
        datetime.fromisoformat(row.valid_from),
        datetime.fromisoformat(row.valid_to) if row.valid_to else None,
    )
    proposal = _proposal(row.number, json.loads(row.proposal)) if row.proposal else None
    return AreaRecord(
        row.owner_cvr,
        AreaState(row.state),
        area,
        json.loads(row.contacts),
        proposal,
        row.reviewed_by,
        row.reviewed_at,
    )


def _proposal_document(proposal: AreaProposal) -> dict[str, Any]:
    area = proposal.area
    return {
        "polygon": base64.b64encode(shapely.to_wkb(area.polygon, output_dimension=2, byte_order=1)).decode(),
        "supply_types": list(area.supply_types),
        "valid_from": area.valid_from.isoformat(),
        "valid_to": area.valid_to.isoformat() if area.valid_to else None,
        "contacts": dict(proposal.contacts),
        "by": proposal.proposed_by,
        "submitted": proposal.submitted,
    }


def _proposal(number: int, document: Mapping[str, Any]) -> AreaProposal:
    valid_to, wkb = document["valid_to"], base64.b64decode(document["polygon"])
    polygon: Any = shapely.from_wkb(wkb)
    area = InterestArea(
        number,
        tuple(document["supply_types"]),
        polygon,
        datetime.fromisoformat(document["valid_from"]),
        datetime.fromisoformat(valid_to) if valid_to else None,
    )
    return AreaProposal(area, document["contacts"], document["by"], bool(document["submitted"]))
