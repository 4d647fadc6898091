"""Notices: who is told, once; signed; tried again; given up; told again after a crash with the same id."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from notice_world import (
    DIGGER,
    DUE,
    NUMBER,
    OPERATOR,
    OWNER_A,
    OWNER_B,
    Receiver,
    add_channel,
    dispatch,
    fill,
    happen,
    notices,
    receiving,
    run_jobs,
)
from small_store import StoreMaker
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict
from geoinfra.flows.channels import ChannelRules
from geoinfra.flows.concerns import CHOOSABLE
from geoinfra.flows.notices import MOST_FAILURES, PAUSES_S, Message, NoticeSender, Undelivered, make_notices
from geoinfra.flows.subscribers import SUBSCRIBERS
from geoinfra.storage import Store, channels, open_store, schema
from geoinfra.storage.outbox import EVENTS, Dispatcher, get_event
from services.notices.webhook import Webhooks

LOCAL = ChannelRules(local_webhooks=True)
ADDRESS = "https://geodata.example.dk"
ALL = tuple(sorted(CHOOSABLE))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def world(store: Store) -> Store:
    fill(store)
    return store


def sender(**transports: Any) -> NoticeSender:
    """Make a sender whose channels never rest."""
    return NoticeSender({"webhook": Webhooks(LOCAL), **transports}, ADDRESS, first_rest_s=0.0)


def told(store: Store) -> dict[str, list[int]]:
    """Organisation -> events that its channels are told of."""
    query = sa.select(schema.channels.c.organisation, schema.notices.c.event_id).join(
        schema.notices, schema.notices.c.channel_id == schema.channels.c.channel_id
    )
    found: dict[str, list[int]] = {}
    with store.read() as connection:
        for row in connection.execute(query.order_by(schema.notices.c.event_id)):
            found.setdefault(row.organisation, []).append(row.event_id)
    return found


# ------------------------------------------------------------------------------------- who is told


CONCERNED: list[tuple[str, str, dict[str, Any], set[str]]] = [
    ("enquiry.filed", NUMBER, {"owners": [OWNER_A, OWNER_B]}, {OWNER_A, OWNER_B}),
    ("answer.stored", NUMBER, {"owner_cvr": OWNER_A}, {DIGGER}),
    ("answer.corrected", NUMBER, {"owner_cvr": OWNER_A}, {DIGGER}),
    ("answer.due-soon", NUMBER, {"owner_cvr": OWNER_B}, {OWNER_B}),
    ("answer.overdue", NUMBER, {"owner_cvr": OWNER_B}, {OWNER_B, DIGGER}),
    ("answer.overdue", NUMBER, {"owner_cvr": OPERATOR}, {DIGGER}),  # not an owner of this enquiry
    ("package.ready", NUMBER, {"sequence": 1}, {DIGGER}),
    ("package.acknowledged", NUMBER, {"sequence": 1}, {DIGGER}),
    ("delivery.published", f"utility-features/{OWNER_A}", {"rows": 3}, {OWNER_A}),
    ("delivery.published", f"streets/{OWNER_A}", {"rows": 3}, set()),
    ("area.changed", OWNER_A, {"area": 7, "state": "review"}, {OWNER_A, OPERATOR}),
    ("area.changed", OWNER_A, {"area": 7, "state": "live"}, {OWNER_A}),
    ("package.ready", "2026-999999", {"sequence": 1}, set()),
    ("work.changed", "w", {}, set()),
    ("channel.disabled", "c", {"organisation": OWNER_A}, {OWNER_A, OPERATOR}),
]


def test_those_whom_an_event_concerns_are_told_and_no_other(world: Store) -> None:
    for organisation in (DIGGER, OWNER_A, OWNER_B, OPERATOR):
        add_channel(world, organisation, "https://example.dk/", *ALL)
    ids = [happen(world, event, subject, **payload) for event, subject, payload, _ in CONCERNED]
    dispatch(world)
    expected = [expected for _, _, _, expected in CONCERNED]
    heard = told(world)
    assert [{cvr for cvr in heard if event_id in heard[cvr]} for event_id in ids] == expected
    assert len(notices(world)) == sum(map(len, expected))


def test_every_event_to_choose_exists_and_has_its_subscriber() -> None:
    assert CHOOSABLE < EVENTS
    assert all(make_notices in SUBSCRIBERS[event] for event in CHOOSABLE | {"channel.tested"})


def test_each_channel_of_an_organisation_is_told_what_it_chose_of_what_came_after_it(world: Store) -> None:
    happen(world, "package.ready", sequence=1)
    time.sleep(0.002)
    chosen, _ = add_channel(world, DIGGER, "https://a.example.dk/", "package.ready")
    add_channel(world, DIGGER, "https://b.example.dk/", "answer.stored")
    disabled, _ = add_channel(world, DIGGER, "https://c.example.dk/", "package.ready")
    with world.begin() as tx:
        channels.disable_channel(tx, disabled.channel_id)
        tx.commit()
    second = happen(world, "package.ready", sequence=2)
    dispatch(world)
    assert [(n.channel_id, n.event_id) for n in notices(world)] == [(chosen.channel_id, second)]


# ------------------------------------------------------------------------------- what arrives, and once


def test_an_event_that_is_told_twice_arrives_once(world: Store, receiver: Receiver) -> None:
    add_channel(world, DIGGER, receiver.url, "package.ready")
    event_id = happen(world, "package.ready", number=NUMBER, sequence=2, blob="secret-name")
    dispatch(world)
    with world.read() as connection:
        event = get_event(connection, event_id)
    for _ in range(3):
        make_notices(world, event)
    run_jobs(world, sender())
    assert [(n.event_id, n.state, n.attempts) for n in notices(world)] == [(event_id, "sent", 1)]
    (one,) = receiver.received
    assert one.document == {
        "id": event_id,
        "type": "package.ready",
        "subject": NUMBER,
        "timestamp": event.created_at,
        "data": {"number": NUMBER, "sequence": 2},
        "link": f"{ADDRESS}/api/enquiries/{NUMBER}",
    }
    assert (one.path, one.headers["content-type"]) == ("/hook", "application/json")


def test_an_owner_does_not_learn_who_else_was_asked(world: Store, receiver: Receiver) -> None:
    add_channel(world, OWNER_A, receiver.url, "enquiry.filed")
    happen(world, "enquiry.filed", number=NUMBER, owners=[OWNER_A, OWNER_B])
    dispatch(world)
    run_jobs(world, sender())
    (one,) = receiver.received
    assert OWNER_B not in one.body.decode()


def documented_verify(root: Path) -> Callable[[str, dict[str, str], bytes], None]:
    """Return the function of the how-to page."""
    page = (root / "docs" / "howto" / "get-notified.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    verify: Callable[[str, dict[str, str], bytes], None] = names["verify"]
    return verify


def test_the_signature_holds_for_the_standards_library_and_the_code_of_the_page(
    world: Store, receiver: Receiver, root: Path
) -> None:
    channel, first = add_channel(world, DIGGER, receiver.url, "package.ready")
    happen(world, "package.ready", sequence=1)
    dispatch(world)
    run_jobs(world, sender())
    with world.begin() as tx:
        second = channels.rotate_secret(tx, channel.channel_id)
        tx.commit()
    happen(world, "package.ready", sequence=2)
    dispatch(world)
    run_jobs(world, sender())
    before, after = receiver.received
    verify = documented_verify(root)
    for secret, one in ((first, before), (first, after), (second, after)):
        headers = {name.title(): text for name, text in one.headers.items()}
        assert Webhook(secret).verify(one.body, one.headers) == one.document
        verify(secret, headers, one.body)
        stale = {**headers, "Webhook-Timestamp": str(int(headers["Webhook-Timestamp"]) - 301)}
        forged = {**headers, "Webhook-Id": "1000000"}
        for wrong_headers, body in ((stale, one.body), (forged, one.body), (headers, one.body + b" ")):
            with pytest.raises(ValueError, match=r"wrong|old"):
                verify(secret, wrong_headers, body)
            with pytest.raises(WebhookVerificationError):
                Webhook(secret).verify(body, wrong_headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(second).verify(before.body, before.headers)


# ------------------------------------------------------------------------------------ trying again


def test_a_receiver_that_is_away_gets_the_same_message_later(world: Store, receiver: Receiver) -> None:
    receiver.statuses = [500, 503, 429, 408, 425]
    _, secret = add_channel(world, DIGGER, receiver.url, "package.ready")
    event_id = happen(world, "package.ready", sequence=1)
    dispatch(world)
    run_jobs(world, sender())
    assert [(n.state, n.attempts, n.error) for n in notices(world)] == [("sent", 6, "")]
    assert {one.body for one in receiver.received} == {receiver.received[0].body}
    assert {one.headers["webhook-id"] for one in receiver.received} == {str(event_id)}
    for one in receiver.received:
        Webhook(secret).verify(one.body, one.headers)


def test_the_pauses_grow_over_hours_and_end(world: Store, receiver: Receiver) -> None:
    receiver.statuses = [500] * 50
    add_channel(world, DIGGER, receiver.url, "package.ready")
    happen(world, "package.ready", sequence=1)
    dispatch(world)
    table = schema.jobs
    pauses: list[float] = []
    for _ in range(len(PAUSES_S)):
        run_jobs_once(world)
        with world.read() as connection:
            waiting = connection.execute(sa.select(table).where(table.c.state == "queued")).one()
        pauses.append(seconds_until(waiting.run_after))
    run_jobs_once(world)
    assert pauses == pytest.approx(PAUSES_S, abs=20)
    assert 20 * 3600 < sum(PAUSES_S) < 30 * 3600
    (notice,) = notices(world)
    assert (notice.state, notice.attempts) == ("failed", len(PAUSES_S) + 1)
    assert len(receiver.received) == len(PAUSES_S) + 1
    with world.read() as connection:
        assert connection.scalars(sa.select(table.c.state)).all() == ["done"] * (len(PAUSES_S) + 1)


def run_jobs_once(store: Store) -> None:
    with pytest.raises(AssertionError, match="without end"):
        run_jobs(store, sender(), rounds=1)


def seconds_until(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()


def test_some_answers_are_final_and_no_redirect_is_followed(world: Store, receiver: Receiver) -> None:
    final = [301, 302, 307, 400, 401, 404, 410, 422]
    with receiving() as elsewhere:
        receiver.statuses, receiver.location = list(final), elsewhere.url
        add_channel(world, DIGGER, receiver.url, "package.ready")
        for sequence in range(len(final)):
            happen(world, "package.ready", sequence=sequence)
        dispatch(world)
        run_jobs(world, sender())
        assert elsewhere.received == []
    found = notices(world)
    assert [(notice.state, notice.attempts) for notice in found] == [("failed", 1)] * len(final)
    assert sorted(int(re.findall("[0-9]+", notice.error)[0]) for notice in found) == final
    assert len(receiver.received) == len(final)


def test_a_channel_that_takes_nothing_is_disabled_and_others_hear_of_it(
    world: Store, receiver: Receiver
) -> None:
    with receiving([404] * 100) as dead:
        channel, _ = add_channel(world, DIGGER, dead.url, "package.ready")
        add_channel(world, DIGGER, receiver.url, "channel.disabled")
        add_channel(world, OPERATOR, receiver.url, "channel.disabled")
        add_channel(world, OWNER_A, receiver.url, "channel.disabled")
        for sequence in range(MOST_FAILURES + 3):
            happen(world, "package.ready", sequence=sequence)
        dispatch(world)
        run_jobs(world, sender())
        assert len(dead.received) == MOST_FAILURES
    dispatch(world)
    run_jobs(world, sender())
    assert [one.document["type"] for one in receiver.received] == ["channel.disabled"] * 2
    assert all("127.0.0.1" not in one.document["subject"] for one in receiver.received)
    with world.read() as connection:
        assert channels.get_channel(connection, channel.channel_id).disabled_at
    assert [entry.subject for entry in world.audit.tail(50) if entry.action == "event.channel.disabled"] == [
        channel.channel_id
    ]


def test_one_success_begins_the_count_anew(world: Store, receiver: Receiver) -> None:
    receiver.statuses = [404] * (MOST_FAILURES - 1) + [200] + [404] * (MOST_FAILURES - 1)
    channel, _ = add_channel(world, DIGGER, receiver.url, "package.ready")
    for sequence in range(2 * MOST_FAILURES - 1):
        happen(world, "package.ready", sequence=sequence)
        dispatch(world)
        run_jobs(world, sender())
    with world.read() as connection:
        assert channels.get_channel(connection, channel.channel_id).disabled_at is None


def test_a_dead_receiver_rests_and_the_others_are_served(world: Store, receiver: Receiver) -> None:
    calls: list[str] = []

    def transport(message: Message) -> None:
        calls.append(message.channel.target)
        if message.channel.target == "dead":
            raise Undelivered("No answer.")

    add_channel(world, DIGGER, "dead", "package.ready")
    add_channel(world, DIGGER, "alive", "package.ready")
    for sequence in range(20):
        happen(world, "package.ready", sequence=sequence)
    dispatch(world)
    resting = NoticeSender({"webhook": transport}, ADDRESS, first_rest_s=60.0)
    with pytest.raises(AssertionError, match="without end"):
        run_jobs(world, resting, rounds=60)
    assert calls.count("dead") == 1
    assert calls.count("alive") == 20


# --------------------------------------------------------------------------- what changes in between


@pytest.mark.parametrize("change", ["removed", "disabled", "no longer concerned"])
@pytest.mark.parametrize("engine_name", ["embedded"], indirect=True)
def test_what_was_taken_back_is_not_sent(world: Store, receiver: Receiver, change: str) -> None:
    channel, _ = add_channel(world, OWNER_A, receiver.url, "enquiry.filed")
    happen(world, "enquiry.filed", owners=[OWNER_A])
    dispatch(world)
    with world.begin() as tx:
        if change == "removed":
            channels.remove_channel(tx, channel.channel_id)
        elif change == "disabled":
            channels.disable_channel(tx, channel.channel_id)
        else:
            tx.execute(sa.delete(schema.answers).where(schema.answers.c.owner_cvr == OWNER_A))
        tx.commit()
    run_jobs(world, sender())
    assert receiver.received == []
    assert [notice.state for notice in notices(world)] == ([] if change == "removed" else ["failed"])


def test_an_unexpected_fault_of_a_transport_is_tried_again_and_tells_no_text(world: Store) -> None:
    def transport(_: Message) -> None:
        raise RuntimeError("password=hunter2")

    add_channel(world, DIGGER, "https://example.dk/", "package.ready")
    happen(world, "package.ready", sequence=1)
    dispatch(world)
    run_jobs(world, sender(webhook=transport))
    (notice,) = notices(world)
    assert (notice.state, notice.attempts) == ("failed", len(PAUSES_S) + 1)
    assert "hunter2" not in notice.error


# --------------------------------------------------------------------------------- crashes

_WORKER = """
import sys, threading
from pathlib import Path
from geoinfra.flows.channels import ChannelRules
from geoinfra.flows.notices import SEND_NOTICE, NoticeSender
from geoinfra.storage import open_store
from geoinfra.storage.jobs import Worker
from services.notices.webhook import Webhooks
store = open_store(Path(sys.argv[1]))
sender = NoticeSender({"webhook": Webhooks(ChannelRules(local_webhooks=True))}, "https://example.dk")
Worker(store, {SEND_NOTICE: sender}, lease_s=1.0, poll_s=0.1).run(threading.Event())
"""


def start_worker(data: Path, root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _WORKER, str(data)], cwd=root)


def test_a_worker_killed_after_sending_sends_again_with_the_same_id(tmp_path: Path, root: Path) -> None:
    store = open_store(tmp_path / "data")
    fill(store)
    killed = threading.Event()
    with receiving() as receiver:
        add_channel(store, DIGGER, receiver.url, "package.ready")
        event_id = happen(store, "package.ready", sequence=1)
        dispatch(store)
        victim = start_worker(tmp_path / "data", root)

        def kill_once(_: Any) -> None:
            if not killed.is_set():
                killed.set()
                os.kill(victim.pid, signal.SIGKILL)

        receiver.on_request = kill_once
        assert victim.wait(60) == -signal.SIGKILL
        assert [notice.state for notice in notices(store)] == ["waiting"]
        dispatch(store)
        heir = start_worker(tmp_path / "data", root)
        try:
            deadline = time.monotonic() + 60
            while notices(store)[0].state != "sent" and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            heir.kill()
            heir.wait()
        assert [one.headers["webhook-id"] for one in receiver.received] == [str(event_id)] * 2
        assert receiver.received[0].body == receiver.received[1].body
    assert [(notice.state, notice.event_id) for notice in notices(store)] == [("sent", event_id)]
    store.close()


def test_a_dispatcher_killed_before_its_mark_makes_no_second_notice(world: Store, receiver: Receiver) -> None:
    add_channel(world, DIGGER, receiver.url, "package.ready")
    happen(world, "package.ready", sequence=1)

    def die(_store: Store, _event: Any) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        Dispatcher(world, {"package.ready": (make_notices, die)}).run_once()
    run_jobs(world, sender())
    dispatch(world)
    run_jobs(world, sender())
    assert [notice.state for notice in notices(world)] == ["sent"]
    assert len(receiver.received) == 1


def test_the_letter_of_a_late_answer_names_who_is_missing_and_until_when(world: Store) -> None:
    letters: list[Message] = []
    add_channel(world, DIGGER, "vagt@example.dk", "answer.overdue", kind="mail")
    add_channel(world, OWNER_B, "beta@example.dk", "answer.overdue", kind="mail")
    happen(world, "answer.overdue", owner_cvr=OWNER_B, due_at=DUE.isoformat())
    dispatch(world)
    run_jobs(world, sender(mail=letters.append))
    texts = {one.channel.organisation: one.letter for one in letters}
    filer, owner = texts[DIGGER], texts[OWNER_B]
    assert f"Graveforespørgsel {NUMBER}: fristen er overskredet" in filer.subject
    for words in ("24.11.2026 kl. 10.30", "2026-11-24 10:30", "1 af 2", "1 of 2", "+4512345678", "Sag 7"):
        assert words in filer.text
    assert f"{ADDRESS}/?enquiry={NUMBER}" in filer.text
    assert "Svar mangler fra:\n- Beta Bcc: x@y.dk Vand, Ikke leveret" in filer.text
    assert "\nX-Evil" not in filer.text
    assert "Alfa" not in owner.text
    assert "Sag 7" not in owner.text
    assert "24.11.2026 kl. 10.30" in owner.text


def test_a_channel_asked_for_twice_at_one_moment_is_added_once(world: Store, make_store: StoreMaker) -> None:
    from geoinfra.flows.channels import add_channel as add

    stores = [make_store() for _ in range(4)]
    start = threading.Barrier(len(stores))
    document = {"kind": "mail", "target": "vagt@example.dk"}

    def ask(mine: Store) -> str:
        start.wait()
        try:
            add(mine, Access("test:vagt", DIGGER, frozenset({Role.EXCAVATOR})), document, ChannelRules())
        except Conflict:
            return "refused"
        return "added"

    with ThreadPoolExecutor(len(stores)) as pool:
        outcomes = list(pool.map(ask, stores))
    assert sorted(outcomes) == ["added", *["refused"] * 3]
