"""What a letter tells of an event, read from the records for the organisation that gets it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from geoinfra.flows.concerns import Part
from geoinfra.presentation.notice_letters import Missing, NoticeFacts
from geoinfra.storage import schema
from geoinfra.storage.channels import Channel
from geoinfra.storage.organisations import get_organisation
from geoinfra.storage.outbox import Event
from geoinfra.utilities.enquiry import AnswerStatus

__all__ = ["facts_of"]


def facts_of(
    connection: sa.Connection, event: Event, parts: frozenset[Part], channel: Channel, link: str
) -> NoticeFacts:
    """Return the facts of one letter; an owner reads of his own answer only, the filer of all of them."""
    if event.event.startswith("channel."):
        target = _target(connection, event, parts)
        return NoticeFacts(event.event, False, event.subject, link, target=target)
    if event.event == "delivery.published":
        return NoticeFacts(
            event.event, False, event.subject, link, owner=_name(connection, channel.organisation),
            features=event.payload.get("rows"),
        )  # fmt: skip
    if event.event == "area.changed":
        return NoticeFacts(
            event.event, False, str(event.payload["area"]), link, owner=_name(connection, event.subject),
            area_state=event.payload["state"],
        )  # fmt: skip
    answers = _answers(connection, event.subject)
    if Part.FILER in parts:
        return _for_filer(connection, event, answers, link)
    return _for_owner(event, _answer_of(channel.organisation, answers), link)


def _for_filer(
    connection: sa.Connection, event: Event, answers: Sequence[sa.Row[Any]], link: str
) -> NoticeFacts:
    table = schema.enquiries
    row = connection.execute(sa.select(table).where(table.c.number == event.subject)).one()
    about = _answer_of(event.payload.get("owner_cvr"), answers)
    open_answers = [answer for answer in answers if _is_open(answer)]
    return NoticeFacts(
        event.event,
        True,
        event.subject,
        link,
        owner=about.name if about else "",
        status=AnswerStatus(about.status) if about else None,
        due_at=_moment(about.due_at) if about and event.event == "answer.overdue" else None,
        own_number=row.own_number,
        answered=len(answers) - len(open_answers),
        owners=len(answers),
        missing=tuple(map(_missing, open_answers)),
        valid_to=_moment(row.valid_to),
        features=_package_features(connection, event),
    )


def _for_owner(event: Event, answer: sa.Row[Any] | None, link: str) -> NoticeFacts:
    if answer is None:
        return NoticeFacts(event.event, False, event.subject, link)
    status = AnswerStatus(answer.status)
    due_at = _moment(answer.due_at) if _is_open(answer) else None
    return NoticeFacts(
        event.event, False, event.subject, link, owner=answer.name, status=status, due_at=due_at
    )


def _package_features(connection: sa.Connection, event: Event) -> int | None:
    if event.event != "package.ready":
        return None
    table = schema.packages
    ours = table.c.enquiry == event.subject, table.c.sequence == event.payload.get("sequence")
    return connection.scalar(sa.select(table.c.features).where(*ours))


def _answers(connection: sa.Connection, number: str) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    table, owner, enquiries = schema.answers, schema.organisations, schema.enquiries.c
    parts = sa.select(enquiries.number).where(sa.or_(enquiries.number == number, enquiries.project == number))
    rows = connection.execute(
        sa.select(
            table.c.owner_cvr,
            table.c.status,
            table.c.due_at,
            table.c.answered_at,
            owner.c.name,
            owner.c.contact,
        )
        .join(owner, owner.c.cvr == table.c.owner_cvr)
        .where(table.c.enquiry.in_(parts), table.c.scope == "dig")
        .order_by(owner.c.name, table.c.owner_cvr)
    )
    return rows.all()


def _answer_of(cvr: str | None, answers: Sequence[sa.Row[Any]]) -> sa.Row[Any] | None:
    return next((answer for answer in answers if answer.owner_cvr == cvr), None)


def _is_open(answer: sa.Row[Any]) -> bool:
    """Whether something is expected from the owner; also what he sends to the excavator himself."""
    status = AnswerStatus(answer.status)
    return not status.final or (status is AnswerStatus.DIRECT and answer.answered_at is None)


def _missing(answer: sa.Row[Any]) -> Missing:
    contact = json.loads(answer.contact)
    return Missing(
        answer.name,
        AnswerStatus(answer.status),
        _moment(answer.due_at),
        str(contact.get("phone", "")),
        str(contact.get("email", "")),
    )


def _target(connection: sa.Connection, event: Event, parts: frozenset[Part]) -> str:
    """Name the channel: its holder reads where it leads, the operator only whose it is."""
    table = schema.channels
    row = connection.execute(sa.select(table).where(table.c.channel_id == event.subject)).one_or_none()
    if row is None or Part.HOLDER not in parts:
        return f"{event.subject} ({_name(connection, event.payload['organisation'])})"
    return f"{row.kind} {row.target}"


def _name(connection: sa.Connection, cvr: str) -> str:
    found = get_organisation(connection, cvr)
    return found.name if found else cvr


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
