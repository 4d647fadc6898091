"""The legal clock at work: each moment is told once, in time, the late are listed with their telephone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from answer_world import (
    DIGGER,
    OWNERS,
    SINCE,
    digger,
    empty,
    events,
    expire,
    filed_by,
    move_filing,
    owner,
    register,
    svar,
)
from small_store import StoreMaker
from test_flow_answers_at_once import at_once
from test_flow_enquiry import access_with, work_off

from geoinfra.access import Access, Role
from geoinfra.errors import NotAllowed, NotFound
from geoinfra.flows import reminders
from geoinfra.flows.answers import hand_over, store_answer
from geoinfra.flows.enquiries import Enquiry, enquiry
from geoinfra.flows.handlers import HANDLERS
from geoinfra.flows.reminders import REMIND, late_owners, overdue_answers
from geoinfra.storage import Store, organisations, schema
from geoinfra.storage.jobs import Worker
from geoinfra.storage.records import now, timestamp
from geoinfra.utilities import legal_clock
from geoinfra.utilities.legal_clock import Deadline
from geoinfra.utilities.model import ResponseType

pytestmark = pytest.mark.services
A, B = OWNERS[:2]
ADMIN = Access("test:admin", "10000076", frozenset({Role.ADMIN}))
FILED = datetime(2026, 9, 1, 7, 0, tzinfo=UTC)  # a Tuesday, 9 o'clock in Denmark


@pytest.fixture
def asked(store: Store) -> tuple[Store, Access, Enquiry]:
    """An enquiry to two owners who are waited for."""
    register(store, A, B)
    access = digger(store)
    filed = filed_by(store, access)
    work_off(store)
    return store, access, filed


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Let it be `moment` for the clock of the reminders."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return moment.astimezone(tz)

    monkeypatch.setattr(reminders, "datetime", Clock)


def waiting_jobs(store: Store) -> list[str]:
    """Return when the queued jobs that remind are due."""
    table = schema.jobs
    with store.read() as connection:
        query = sa.select(table.c.run_after).where(table.c.kind == REMIND, table.c.state == "queued")
        return list(connection.scalars(query.order_by(table.c.run_after)))


def run_job(store: Store) -> bool:
    """Do the next job that reminds, whatever the computer's own clock says."""
    table = schema.jobs
    with store.begin() as tx:
        queued = table.c.kind == REMIND, table.c.state == "queued"
        tx.execute(sa.update(table).where(*queued).values(run_after=now()))
        tx.commit()
    return Worker(store, {REMIND: HANDLERS[REMIND]}).run_one()


def test_every_moment_of_every_owner_is_told_once(
    asked: tuple[Store, Access, Enquiry], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, access, filed = asked
    at(monkeypatch, FILED)
    move_filing(store, filed.number, FILED)
    expected = [one.at for one in legal_clock.reminders(FILED)]
    assert expected[2] == FILED + timedelta(hours=2)
    for moment in expected:
        assert waiting_jobs(store) == [timestamp(moment)]
        at(monkeypatch, moment)
        assert run_job(store)
    assert waiting_jobs(store) == []
    due = timestamp(expected[2])
    soon, late = (events(store, f"answer.{name}", filed.number) for name in ("due-soon", "overdue"))
    assert [(one.payload["owner_cvr"], one.payload["code"], one.payload["due_at"]) for one in soon] == [
        (cvr, code, due) for code in ("half-time", "last-quarter") for cvr in (A, B)
    ]
    assert [(one.payload["owner_cvr"], one.payload["code"]) for one in late] == [
        (cvr, code) for code in ("due", "overdue") for cvr in (A, B)
    ]
    assert [answer.due_at for answer in enquiry(store, access, filed.number).answers] == [due, due]


def test_who_has_answered_hears_nothing(
    asked: tuple[Store, Access, Enquiry], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _, filed = asked
    at(monkeypatch, FILED)
    move_filing(store, filed.number, FILED)
    store_answer(store, owner(A), filed.number, svar(A))
    at(monkeypatch, FILED + timedelta(hours=1))
    assert run_job(store)
    assert [one.payload["owner_cvr"] for one in events(store, "answer.due-soon", filed.number)] == [B]
    store_answer(store, owner(B), filed.number, svar(B))
    at(monkeypatch, FILED + timedelta(hours=3))
    assert run_job(store)
    assert waiting_jobs(store) == []
    assert events(store, "answer.overdue", filed.number) == []


def test_of_moments_that_passed_while_nobody_worked_the_last_is_told(
    asked: tuple[Store, Access, Enquiry], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _, filed = asked
    at(monkeypatch, FILED)
    move_filing(store, filed.number, FILED)
    at(monkeypatch, FILED + timedelta(hours=2, minutes=5))
    assert run_job(store)
    assert events(store, "answer.due-soon", filed.number) == []
    assert [one.payload["code"] for one in events(store, "answer.overdue", filed.number)] == ["due", "due"]


def test_a_reminder_that_runs_twice_tells_once(
    make_store: StoreMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_store(), make_store()
    register(first, A)
    filed = filed_by(first, digger(first))
    at(monkeypatch, FILED)
    move_filing(first, filed.number, FILED)
    at(monkeypatch, FILED + timedelta(hours=1))

    class Context:
        payload = {"number": filed.number}  # noqa: RUF012  # never changed

        def finish(self, *_: Any) -> None:
            """Two workers think that the job is theirs."""

    # each is bound to its own context
    raised = at_once(*(lambda one=one: HANDLERS[REMIND](one, Context()) for one in (first, second)))  # type: ignore[misc]  # bound at once
    assert raised == [None, None]
    assert len(events(first, "answer.due-soon", filed.number)) == 1


def test_manual_handling_has_a_clock_of_its_own(
    asked: tuple[Store, Access, Enquiry], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _, filed = asked
    at(monkeypatch, FILED)
    move_filing(store, filed.number, FILED)
    at(monkeypatch, FILED + timedelta(hours=1))
    run_job(store)
    expected_at = datetime(2026, 9, 3, 10, 0, tzinfo=UTC)
    taken = store_answer(
        store, owner(A), filed.number, empty(A, ResponseType.MANUAL, expected_at=expected_at)
    ).answers[0]
    manual_due = timestamp(legal_clock.manual_due(FILED))
    assert (taken.due_at, taken.taken_at) == (manual_due, taken.answered_at)
    assert taken.to_json()["expected_at"].startswith("2026-09-03T")
    store_answer(store, owner(B), filed.number, svar(B))
    told_before = len(events(store, "answer.due-soon", filed.number))
    codes = []
    for reminder in legal_clock.reminders(FILED, Deadline.MANUAL):
        at(monkeypatch, reminder.at)
        run_job(store)
        codes.append(reminder.code)
    told = events(store, "answer.due-soon", filed.number)[told_before:]
    told += events(store, "answer.overdue", filed.number)
    assert [one.payload["code"] for one in told] == codes
    assert {(one.payload["owner_cvr"], one.payload["due_at"]) for one in told} == {(A, manual_due)}
    again = store_answer(store, owner(A), filed.number, empty(A, ResponseType.MANUAL)).answers[0]
    assert (again.taken_at, again.version) == (taken.taken_at, 2)
    table = schema.answers
    with store.read() as connection:
        nudges = connection.scalar(sa.select(table.c.nudges).where(table.c.owner_cvr == A))
    assert nudges == len(codes)
    done = store_answer(store, owner(A), filed.number, svar(A)).answers[0]
    assert (done.version, done.due_at) == (3, manual_due)


def test_an_owner_who_hands_over_directly_has_five_working_days(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(store, A)
    with store.begin() as tx:
        organisations.set_dispensation(tx, A, SINCE)
        tx.commit()
    access = digger(store)
    filed = filed_by(store, access)
    at(monkeypatch, FILED)
    move_filing(store, filed.number, FILED)
    due = legal_clock.dispensation_due(FILED)
    assert enquiry(store, access, filed.number).answers[0].due_at == timestamp(due)
    at(monkeypatch, due)
    run_job(store)
    assert len(events(store, "answer.overdue", filed.number)) == 1
    at(monkeypatch, due + timedelta(minutes=1))
    assert [one.owner_cvr for one in late_owners(store, access, filed.number)] == [A]
    hand_over(store, owner(A), filed.number)
    assert late_owners(store, access, filed.number) == []


def test_an_expired_enquiry_reminds_nobody(
    asked: tuple[Store, Access, Enquiry], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _, filed = asked
    move_filing(store, filed.number, FILED)
    at(monkeypatch, FILED)
    with store.begin() as tx:
        reminders.wait_for_next(tx, filed.number)
        tx.commit()
    expire(store, filed.number)
    monkeypatch.undo()
    run_job(store)
    assert (
        events(store, "answer.due-soon", filed.number) == events(store, "answer.overdue", filed.number) == []
    )
    assert overdue_answers(store, ADMIN) == []


def test_the_late_are_listed_for_those_whom_it_concerns(
    asked: tuple[Store, Access, Enquiry], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, access, filed = asked
    other = filed_by(store, access)
    for one, days in ((filed, 0), (other, 1)):
        move_filing(store, one.number, FILED + timedelta(days=days))
    store_answer(store, owner(B), filed.number, svar(B))
    at(monkeypatch, FILED + timedelta(days=1, hours=5))
    assert [(one.owner_cvr, one.phone, one.email) for one in late_owners(store, access, filed.number)] == [
        (A, "70101010", f"{A}@example.dk")
    ]
    assert [(one.number, one.owner_cvr) for one in overdue_answers(store, ADMIN)] == [
        (filed.number, A),
        (other.number, A),
        (other.number, B),
    ]
    assert [one.number for one in overdue_answers(store, owner(A))] == [filed.number, other.number]
    assert [one.number for one in overdue_answers(store, owner(B))] == [other.number]
    shown = overdue_answers(store, owner(B))[0].to_json()
    assert shown["overdue_by_min"] == 180
    assert shown["words"]["en"] == "Overdue since 2026-09-02 11:00 (3 h 0 min of working time)."


def test_nobody_else_reads_who_is_late(asked: tuple[Store, Access, Enquiry]) -> None:
    store, access, filed = asked
    move_filing(store, filed.number, FILED)
    assert {one.owner_cvr for one in late_owners(store, access, filed.number)} == {A, B}
    assert {one.owner_cvr for one in late_owners(store, ADMIN, filed.number)} == {A, B}
    assert {one.owner_cvr for one in late_owners(store, owner(B), filed.number)} == {B}
    stranger = access_with(store, "10000041", Role.EXCAVATOR)
    for who in (stranger, owner("10000041"), Access.anonymous(), Access("x", DIGGER, frozenset())):
        with pytest.raises(NotFound):
            late_owners(store, who, filed.number)
    assert {one.owner_cvr for one in overdue_answers(store, access)} == {A, B}
    assert overdue_answers(store, stranger) == []
    for who in (Access.anonymous(), Access("x", DIGGER, frozenset())):
        with pytest.raises(NotAllowed):
            overdue_answers(store, who)
    with pytest.raises(NotFound):
        late_owners(store, ADMIN, "2026-999999")
