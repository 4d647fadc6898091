"""Channels and the stream of events over HTTP: a real web process and worker, real receivers."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import shapely
from aiosmtpd.controller import Controller
from deployment import Deployment
from notice_world import Inbox, Receiver, receiving
from standardwebhooks.webhooks import Webhook
from typer.testing import CliRunner

from geoinfra import sample
from geoinfra.storage import open_store
from services.cli import app


@dataclass
class World:
    running: Deployment
    inbox: Inbox
    receivers: dict[str, Receiver] = field(default_factory=dict)

    def client(self, role: str | None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.running.tokens[role]}"} if role else {}
        return httpx.Client(base_url=self.running.url, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def world(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("notices") / "data"
    shutil.copytree(demo_data, folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    inbox = Inbox()
    mail = Controller(inbox, hostname="127.0.0.1", port=port)
    mail.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("ALLOW_LOCAL_WEBHOOKS", "1"),
            ("SMTP_HOST", "127.0.0.1"),
            ("SMTP_PORT", str(port)),
            ("SMTP_TLS", "none"),
            ("SMTP_FROM", "geoinfra <no-reply@example.dk>"),
        ):
            patch.setenv(f"GEOINFRA_{name}", value)
        running = Deployment(folder)
        running.start("serve")
        running.start("worker")
        try:
            running.wait_ready()
            with receiving() as filer, receiving() as owner:
                yield World(running, inbox, {"filer": filer, "owner": owner})
        finally:
            running.stop()
            mail.stop()


@pytest.fixture
def excavator(world: World) -> Iterator[httpx.Client]:
    with world.client("excavator") as client:
        yield client


def file_enquiry(client: httpx.Client) -> str:
    today = datetime.now(UTC).date()
    document = {
        "area": json.loads(shapely.to_geojson(sample.enquiry_area("tiny"))),
        "crs": "EPSG:25832",
        "period": {"from": today.isoformat(), "to": (today + timedelta(days=10)).isoformat()},
        "methods": ["6"],
        "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
    }
    answer = client.post("/api/enquiries", json=document)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["number"])


def until(condition: Callable[[], Any], most_s: float = 60) -> Any:
    """Wait until something holds, and return it."""
    deadline = time.monotonic() + most_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.03)
    return found


@dataclass
class Listener:
    """A client of the stream in a thread of its own."""

    world: World
    headers: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, str]] = field(default_factory=list)
    place: str = ""
    opened: threading.Event = field(default_factory=threading.Event)

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._listen, daemon=True)
        thread.start()
        assert self.opened.wait(30)
        return thread

    def _listen(self) -> None:
        try:
            with (
                self.world.client("excavator") as client,
                client.stream("GET", "/api/events", headers=self.headers) as answer,
            ):
                assert answer.status_code == 200
                assert answer.headers["content-type"].startswith("text/event-stream")
                assert "no-store" in answer.headers["cache-control"]
                self._read(answer.iter_lines())
        except httpx.TransportError:
            return  # the server is gone

    def _read(self, lines: Iterator[str]) -> None:
        block: dict[str, str] = {}
        for line in lines:
            if line:
                name, _, value = line.partition(": ")
                block[name] = value
                continue
            self.place = block.get("id", self.place)
            if "data" in block:
                self.events.append(block)
            block = {}
            self.opened.set()


def test_an_enquiry_is_told_by_mail_webhook_and_stream(world: World, excavator: httpx.Client) -> None:
    filer, owner = world.receivers["filer"], world.receivers["owner"]
    hook = excavator.post(
        "/api/channels", json={"kind": "webhook", "target": filer.url, "events": ["package.ready"]}
    )
    assert hook.status_code == 201, hook.text
    mail = excavator.post(
        "/api/channels", json={"kind": "mail", "target": "vagt@example.dk", "events": ["package.ready"]}
    )
    assert "secret" not in mail.json()
    with world.client("owner") as client:
        asked = client.post("/api/channels", json={"kind": "webhook", "target": owner.url})
        assert asked.json()["events"] == [
            "answer.corrected", "answer.due-soon", "answer.overdue", "area.changed", "channel.disabled",
            "enquiry.filed", "package.ready",
        ]  # fmt: skip
    listener = Listener(world)
    listener.start()
    number = file_enquiry(excavator)
    ready = until(lambda: filer.received)[0]
    assert Webhook(hook.json()["secret"]).verify(ready.body, ready.headers) == ready.document
    assert (ready.document["type"], ready.document["subject"]) == ("package.ready", number)
    assert excavator.get(ready.document["link"]).json()["number"] == number
    filed = until(lambda: owner.received)[0]
    assert (filed.document["type"], filed.document["subject"]) == ("enquiry.filed", number)
    Webhook(asked.json()["secret"]).verify(filed.body, filed.headers)
    (letter,) = until(lambda: world.inbox.mails)
    assert number in letter["Subject"]
    assert letter["To"] == "vagt@example.dk"
    assert f"/?enquiry={number}" in letter.get_content()
    until(lambda: any(event["event"] == "package.ready" for event in listener.events))
    kinds = [event["event"] for event in listener.events]
    assert (kinds[0], kinds[-1]) == ("enquiry.filed", "package.ready")
    assert set(kinds[1:-1]) == {"answer.stored"}
    assert len(filer.received) == len(owner.received) == 1


def test_a_stream_resumes_without_loss_when_the_web_process_was_killed(
    world: World, excavator: httpx.Client
) -> None:
    first = Listener(world)
    thread = first.start()
    file_enquiry(excavator)
    until(lambda: any(event["event"] == "package.ready" for event in first.events))
    file_enquiry(excavator)  # its events are cut off somewhere
    world.running.kill("serve")
    thread.join(30)
    place = first.place
    world.running.start("serve")
    world.running.wait_ready()
    number = file_enquiry(excavator)
    second = Listener(world, {"Last-Event-ID": place})
    second.start()

    def all_there() -> bool:
        return any(
            event["event"] == "package.ready" and json.loads(event["data"])["subject"] == number
            for event in second.events
        )

    until(all_there)
    ids = [int(event["id"]) for event in first.events + second.events]
    store = open_store(world.running.data_dir)
    with store.read() as connection:
        stored = connection.exec_driver_sql("SELECT event_id FROM outbox ORDER BY event_id").scalars().all()
    store.close()
    assert ids == [event_id for event_id in stored if ids[0] <= event_id <= ids[-1]]


def test_the_secret_is_shown_once_and_is_in_no_log(world: World, excavator: httpx.Client) -> None:
    document = {"kind": "webhook", "target": "https://example.dk/once", "events": ["package.ready"]}
    added = excavator.post("/api/channels", json=document).json()
    renewed = excavator.post(f"/api/channels/{added['id']}/secret").json()["secret"]
    assert renewed != added["secret"]
    listed = excavator.get("/api/channels")
    assert "whsec" not in listed.text
    assert "no-store" in listed.headers["cache-control"]
    logs = "".join(path.read_text("utf-8") for path in world.running.data_dir.glob("*.log"))
    store = open_store(world.running.data_dir)
    entries = [entry for entry in store.audit.tail(200) if entry.subject == added["id"]]
    store.close()
    assert {entry.action for entry in entries} == {"channel.added", "channel.secret-renewed"}
    for secret in (added["secret"], renewed):
        assert secret.removeprefix("whsec_") not in logs + str(entries)
    assert excavator.delete(f"/api/channels/{added['id']}").status_code == 204
    assert excavator.delete(f"/api/channels/{added['id']}").status_code == 404


def test_a_test_arrives_and_the_list_says_so(world: World, excavator: httpx.Client) -> None:
    with receiving([500, 404]) as receiver:
        added = excavator.post("/api/channels", json={"kind": "webhook", "target": receiver.url}).json()
        assert excavator.post(f"/api/channels/{added['id']}/test").status_code == 202
        assert excavator.post(f"/api/channels/{added['id']}/test").status_code == 429
        (one,) = until(lambda: receiver.received)
        assert one.document["type"] == "channel.tested"
        Webhook(added["secret"]).verify(one.body, one.headers)

        def fared() -> Any:
            (state,) = [c for c in excavator.get("/api/channels").json()["items"] if c["id"] == added["id"]]
            return state["last_notice"] and state["last_notice"]["attempts"] and state["last_notice"]

        last = until(fared)
        assert (last["state"], last["error"], last["sent_at"]) == (
            "waiting",
            "The receiver answered 500.",
            None,
        )
        assert datetime.fromisoformat(last["next_at"]) > datetime.now(UTC)
        excavator.delete(f"/api/channels/{added['id']}")


def test_the_channels_of_others_are_not_there(world: World, excavator: httpx.Client) -> None:
    added = excavator.post(
        "/api/channels", json={"kind": "webhook", "target": "https://example.dk/mine"}
    ).json()
    with world.client("owner") as stranger:
        assert added["id"] not in stranger.get("/api/channels").text
        for method, path in (("DELETE", ""), ("POST", "/test"), ("POST", "/secret")):
            real = stranger.request(method, f"/api/channels/{added['id']}{path}")
            false = stranger.request(method, f"/api/channels/nothing{path}")
            assert real.status_code == false.status_code == 404
            assert real.text == false.text
    assert added["id"] in excavator.get("/api/channels").text
    excavator.delete(f"/api/channels/{added['id']}")


@pytest.mark.parametrize("role", [None, "planner", "authority", "device"])
def test_who_has_no_part_in_enquiries_has_no_channels(world: World, role: str | None) -> None:
    with world.client(role) as client:
        for method, path in (
            ("GET", "/api/channels"),
            ("POST", "/api/channels"),
            ("DELETE", "/api/channels/x"),
            ("POST", "/api/channels/x/test"),
            ("POST", "/api/channels/x/secret"),
            ("GET", "/api/events"),
        ):
            answer = client.request(method, path, json={} if method == "POST" else None)
            assert answer.status_code == 403, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "document",
    [
        {}, [], {"kind": "sms", "target": "+4512345678"}, {"kind": "mail"}, {"kind": "mail", "target": 5},
        {"kind": "mail", "target": "a@b.dk\r\nBcc: c@d.dk"}, {"kind": "webhook", "target": "javascript:x"},
        {"kind": "webhook", "target": "https://169.254.169.254/latest/meta-data"},
        {"kind": "webhook", "target": "http://example.dk@127.0.0.1/"},
        {"kind": "webhook", "target": "https://example.dk/", "events": []},
        {"kind": "webhook", "target": "https://example.dk/", "events": "package.ready"},
        {"kind": "webhook", "target": "https://example.dk/", "events": ["fix.alerted"]},
        {"kind": "webhook", "target": "https://example.dk/", "events": [{"a": 1}]},
        {"kind": "webhook", "target": "https://example.dk/", "secret": "mine"},
    ],
)  # fmt: skip
def test_what_is_no_channel_is_refused_with_words(excavator: httpx.Client, document: Any) -> None:
    answer = excavator.post("/api/channels", json=document)
    assert answer.status_code == 400, answer.text
    assert answer.json()["hint"] or answer.json()["detail"]


def test_the_same_channel_twice_and_too_many_are_refused(world: World) -> None:
    with world.client("admin") as client:
        for number in range(20):
            target = f"https://example.dk/{number}"
            assert client.post("/api/channels", json={"kind": "webhook", "target": target}).status_code == 201
        assert client.post("/api/channels", json={"kind": "webhook", "target": target}).status_code == 409
        answer = client.post("/api/channels", json={"kind": "webhook", "target": "https://example.dk/x"})
        assert answer.status_code == 413
        for item in client.get("/api/channels").json()["items"]:
            client.delete(f"/api/channels/{item['id']}")


@pytest.mark.parametrize("place", ["x", "-3", "1" * 19])
def test_a_wrong_place_in_the_stream_is_refused(excavator: httpx.Client, place: str) -> None:
    assert excavator.get("/api/events", headers={"Last-Event-ID": place}).status_code == 400


def test_the_operator_sees_to_channels_by_command(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ["--data-dir", str(world.running.data_dir)]
    runner = CliRunner()
    cvr = "10000009"
    added = runner.invoke(
        app, [*folder, "channel", "add", cvr, "mail", "a@example.dk", "--event", "package.ready"]
    )
    assert added.exit_code == 0, added.output
    hook = runner.invoke(app, [*folder, "channel", "add", cvr, "webhook", "https://example.dk/cli"])
    assert hook.stdout.startswith("whsec_")
    listed = runner.invoke(app, [*folder, "channel", "list", cvr]).stdout.splitlines()
    ours = [line for line in listed if "a@example.dk" in line or "example.dk/cli" in line]
    assert len(ours) == 2
    assert "whsec" not in str(listed)
    assert set(listed) < set(runner.invoke(app, [*folder, "channel", "list"]).stdout.splitlines())
    for line in ours:
        assert runner.invoke(app, [*folder, "channel", "remove", line.split()[0]]).exit_code == 0
    monkeypatch.delenv("GEOINFRA_SMTP_HOST")
    refused = runner.invoke(app, [*folder, "channel", "add", cvr, "mail", "a@example.dk"])
    assert type(refused.exception).__name__ == "MissingResource"
    refused = runner.invoke(app, [*folder, "channel", "add", "99999999", "webhook", "https://example.dk/"])
    assert type(refused.exception).__name__ == "NotFound"
