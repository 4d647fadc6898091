"""The legal clock at work: when answers are due, who is reminded, and who is late.

Each open answer has its deadline: two working hours, two working days once it was taken out for manual
handling, five for an owner who hands over directly. One job an enquiry waits for the next moment at which one
of its owners must hear of it, tells him, and waits for the one after that, until nothing is open any more.
``answers.nudges`` counts the moments of an owner's present deadline that have passed, so that each is told
once; of several that passed while nobody worked, only the last is told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from geoinfra.access import Access, Role
from geoinfra.errors import NotFound
from geoinfra.flows.package_jobs import lock_enquiry
from geoinfra.storage import Store, jobs, outbox, schema
from geoinfra.storage.jobs import JobContext
from geoinfra.storage.records import Transaction, timestamp
from geoinfra.utilities import legal_clock
from geoinfra.utilities.contacts import reached_by
from geoinfra.utilities.enquiry import AnswerStatus, EnquiryKind
from geoinfra.utilities.legal_clock import ClockStatus, Deadline, Reminder

__all__ = [
    "REMIND",
    "LateAnswer",
    "deadline_of",
    "due_of",
    "is_open",
    "late_owners",
    "overdue_answers",
    "remind",
    "standing_of",
    "start_clock",
    "wait_for_next",
]

REMIND = "remind-owners"
_CLOCK = Access("system:clock")
_IN_DIG_AREA = "dig"


def deadline_of(status: AnswerStatus) -> Deadline:
    """Return which of the law's deadlines an answer in this state is under."""
    if status is AnswerStatus.MANUAL:
        return Deadline.MANUAL
    return Deadline.DISPENSATION if status is AnswerStatus.DIRECT else Deadline.ANSWER


def due_of(status: AnswerStatus, filed_at: datetime) -> str:
    """Return when an answer in this state is due, UTC text."""
    return timestamp(legal_clock.due(filed_at, deadline_of(status)))


def is_open(status: AnswerStatus, answered_at: str | None) -> bool:
    """Whether something is expected from an owner, in a package or by his own hand."""
    return not status.final or (status is AnswerStatus.DIRECT and answered_at is None)


def standing_of(
    status: AnswerStatus, filed_at: str, taken_at: str | None, answered_at: str | None, moment: datetime
) -> ClockStatus:
    """Return where an answer stands at `moment` against its deadline; times are UTC text.

    Parameters
    ----------
    taken_at
        When it was taken out for manual handling: that deadline counts from then on.
    """
    deadline = Deadline.MANUAL if taken_at else deadline_of(status)
    answered = None if answered_at is None or is_open(status, answered_at) else answered_at
    return legal_clock.status(
        datetime.fromisoformat(filed_at),
        moment,
        deadline,
        answered_at=datetime.fromisoformat(answered) if answered else None,
    )


def _is_open() -> sa.ColumnElement[bool]:
    """Select the answers that somebody waits for by law."""
    table = schema.answers.c
    waiting = table.status.in_([str(AnswerStatus.WAITING), str(AnswerStatus.MANUAL)])
    not_handed_over = sa.and_(table.status == str(AnswerStatus.DIRECT), table.answered_at.is_(None))
    return sa.and_(table.scope == _IN_DIG_AREA, sa.or_(waiting, not_handed_over))


def start_clock(tx: Transaction, number: str) -> None:
    """Set when the answers of an enquiry just filed are due, and wait for the first moment to remind.

    An enquiry for planning has no clock, nor has an owner whom only the surroundings concern.
    """
    table = schema.answers
    filed = _filed(tx.connection, number)
    if filed is None or not EnquiryKind(filed.kind).asks_owners:
        return
    filed_at = datetime.fromisoformat(filed.filed_at)
    for status in tx.connection.scalars(
        sa.select(table.c.status).where(table.c.enquiry == number).distinct()
    ).all():
        known = AnswerStatus(status)
        values = {"due_at": due_of(known, filed_at)}
        if known is AnswerStatus.MANUAL:
            values["taken_at"] = filed.filed_at
        so = table.c.enquiry == number, table.c.status == status, table.c.scope == _IN_DIG_AREA
        tx.execute(sa.update(table).where(*so).values(values))
    wait_for_next(tx, number)


def wait_for_next(tx: Transaction, number: str) -> None:
    """Enqueue the job of the next moment at which an owner of this enquiry is reminded, if there is one."""
    filed, moment = _filed(tx.connection, number), datetime.now(UTC)
    if filed is None or not EnquiryKind(filed.kind).asks_owners:
        return
    ahead = [
        reminder.at
        for row in _open_rows(tx.connection, number)
        for reminder in _moments(row, filed)
        if reminder.at > moment
    ]
    if ahead and min(ahead) < datetime.fromisoformat(filed.valid_to):
        at = min(ahead)
        key = f"{REMIND}:{number}:{timestamp(at)}"
        jobs.enqueue(tx, REMIND, {"number": number}, _CLOCK, key=key, run_after=at)


def remind(store: Store, context: JobContext) -> None:
    """Tell each owner of ``payload["number"]`` whose moment has come, once, and wait for the next moment."""
    number, told = str(context.payload["number"]), 0
    with store.begin() as tx:
        lock_enquiry(tx, number)
        filed, moment = _filed(tx.connection, number), datetime.now(UTC)
        if filed is not None and datetime.fromisoformat(filed.valid_to) > moment:
            for row in _open_rows(tx.connection, number):
                told += _nudge(tx, row, _moments(row, filed), moment)
            wait_for_next(tx, number)
        context.finish(tx, {"number": number, "told": told})
        tx.commit()


def _nudge(tx: Transaction, row: sa.Row[Any], moments: Sequence[Reminder], moment: datetime) -> int:
    """Tell one owner of the newest moment that has passed and that he has not heard of."""
    passed = sum(reminder.at <= moment for reminder in moments)
    if passed <= row.nudges:
        return 0
    table = schema.answers
    ours = table.c.enquiry == row.enquiry, table.c.owner_cvr == row.owner_cvr
    tx.execute(sa.update(table).where(*ours).values(nudges=passed))
    newest = moments[passed - 1]
    event = "answer.overdue" if newest.level == "alarm" else "answer.due-soon"
    payload = {"owner_cvr": row.owner_cvr, "status": row.status, "due_at": row.due_at, "code": newest.code}
    outbox.emit(tx, event, row.enquiry, payload)
    return 1


def _filed(connection: sa.Connection, number: str) -> sa.Row[*tuple[Any, ...]] | None:
    table = schema.enquiries.c
    query = sa.select(table.filed_at, table.valid_to, table.kind).where(table.number == number)
    return connection.execute(query).one_or_none()


def _open_rows(connection: sa.Connection, number: str) -> Sequence[sa.Row[Any]]:
    table = schema.answers
    query = sa.select(table).where(table.c.enquiry == number, table.c.due_at.is_not(None), _is_open())
    return connection.execute(query.order_by(table.c.owner_cvr)).all()


def _moments(row: sa.Row[Any], filed: sa.Row[Any]) -> tuple[Reminder, ...]:
    status = AnswerStatus(row.status)
    return legal_clock.reminders(datetime.fromisoformat(filed.filed_at), deadline_of(status))


# --- Who is late


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """An answer whose deadline has passed.

    Attributes
    ----------
    phone, email
        Where the owner is reached about answers; empty where he has told nothing.
    due_at
        When it was due.
    """

    number: str
    owner_cvr: str
    owner_name: str
    status: AnswerStatus
    filed_at: datetime
    due_at: datetime
    phone: str
    email: str

    def to_json(self) -> dict[str, Any]:
        """Return the late answer, JSON-ready, with how long it is late in words."""
        clock = legal_clock.status(self.filed_at, datetime.now(UTC), deadline_of(self.status))
        return {
            "number": self.number,
            "cvr": self.owner_cvr,
            "name": self.owner_name,
            "status": str(self.status),
            "status_da": self.status.danish,
            "filed_at": timestamp(self.filed_at),
            "due_at": timestamp(self.due_at),
            "overdue_by_min": int(clock.overdue_by.total_seconds() // 60),
            "words": {language: clock.words(language) for language in ("da", "en")},
            "phone": self.phone,
            "email": self.email,
        }


def overdue_answers(store: Store, access: Access, *, limit: int = 500) -> list[LateAnswer]:
    """Return the answers that are overdue, longest overdue first.

    An owner sees what he should have answered, an excavator who is late with his organisation's enquiries,
    the administrator all. Enquiries that have expired are left out.

    Raises
    ------
    NotAllowed
        `access` is none of these.
    """
    access.require(Role.OWNER, Role.EXCAVATOR, Role.ADMIN)
    query = _late()
    if not access.has(Role.ADMIN):
        ours = []
        if access.has(Role.OWNER):
            ours.append(schema.answers.c.owner_cvr == access.require_organisation())
        if access.has(Role.EXCAVATOR):
            ours.append(schema.enquiries.c.organisation == access.require_organisation())
        query = query.where(sa.or_(*ours))
    with store.read() as connection:
        return [_late_answer(connection, row) for row in connection.execute(query.limit(limit)).all()]


def late_owners(store: Store, access: Access, number: str) -> list[LateAnswer]:
    """Return the owners who are late with one enquiry, with telephone and mail, for its filer.

    Raises
    ------
    NotFound
        There is no such enquiry of the caller's; an owner sees himself only.
    """
    query = _late().where(schema.answers.c.enquiry == number)
    with store.read() as connection:
        if not _sees_all(connection, access, number):
            query = query.where(schema.answers.c.owner_cvr == access.organisation)
        return [_late_answer(connection, row) for row in connection.execute(query).all()]


def _sees_all(connection: sa.Connection, access: Access, number: str) -> bool:
    """Whether `access` sees every owner of an enquiry, or only himself; raise when not even that."""
    enquiries, answers = schema.enquiries.c, schema.answers.c
    filer = connection.scalar(sa.select(enquiries.organisation).where(enquiries.number == number))
    if access.has(Role.ADMIN) and filer is not None:
        return True
    if access.has(Role.EXCAVATOR) and filer is not None and filer == access.organisation:
        return True
    own = answers.enquiry == number, answers.owner_cvr == access.organisation
    if access.has(Role.OWNER) and connection.scalar(sa.select(answers.enquiry).where(*own)) is not None:
        return False
    raise NotFound("There is no such enquiry.", hint="Check the number, and whose token you use.")


def _late() -> sa.Select[Any]:
    answers, enquiries, owners = schema.answers, schema.enquiries, schema.organisations
    moment = timestamp(datetime.now(UTC))
    return (
        sa.select(answers, enquiries.c.filed_at, owners.c.name, owners.c.contact)
        .join(enquiries, enquiries.c.number == answers.c.enquiry)
        .join(owners, owners.c.cvr == answers.c.owner_cvr)
        .where(_is_open(), answers.c.due_at < moment, enquiries.c.valid_to > moment)
        .order_by(answers.c.due_at, answers.c.enquiry, answers.c.owner_cvr)
    )


def _late_answer(connection: sa.Connection, row: sa.Row[Any]) -> LateAnswer:
    contact = _contact(connection, json.loads(row.interest_areas), json.loads(row.contact))
    return LateAnswer(
        row.enquiry,
        row.owner_cvr,
        row.name,
        AnswerStatus(row.status),
        datetime.fromisoformat(row.filed_at),
        datetime.fromisoformat(row.due_at),
        str(contact.get("phone", "")),
        str(contact.get("email", "")),
    )


def _contact(
    connection: sa.Connection, areas: Sequence[int], organisation: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return whom to ask about an answer."""
    table = schema.interest_areas.c
    texts = connection.scalars(
        sa.select(table.contacts).where(table.number.in_(areas)).order_by(table.number)
    )
    return reached_by([json.loads(text) for text in texts], organisation) or {}
