"""A store with one enquiry of two owners, and real receivers: an HTTP server and a mail server."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import shapely
import sqlalchemy as sa

from geoinfra.access import Role
from geoinfra.flows.notices import SEND_NOTICE, NoticeSender
from geoinfra.flows.subscribers import SUBSCRIBERS
from geoinfra.storage import Store, channels, schema
from geoinfra.storage.channels import Channel, Notice
from geoinfra.storage.jobs import Worker
from geoinfra.storage.organisations import add_organisation, create_token
from geoinfra.storage.outbox import Dispatcher, emit
from geoinfra.storage.records import now, timestamp

DIGGER, OWNER_A, OWNER_B, OPERATOR = "10000009", "10000017", "10000025", "10000033"
NUMBER = "2026-000017"
DUE = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
NAMES = {DIGGER: "Gravko", OWNER_A: "Alfa El", OWNER_B: "Beta\nBcc: x@y.dk Vand", OPERATOR: "Drift"}


def fill(store: Store) -> None:
    """Record four organisations and an enquiry; Alfa has answered, Beta has not."""
    with store.begin() as tx:
        for cvr, name in NAMES.items():
            add_organisation(tx, cvr, name.replace("\n", " "), {"phone": "+4512345678"})
        table = schema.organisations
        tx.execute(sa.update(table).where(table.c.cvr == OWNER_B).values(name=NAMES[OWNER_B]))
        create_token(tx, OPERATOR, [Role.ADMIN], "operator", timedelta(days=1))
        tx.execute(
            sa.insert(schema.enquiries).values(
                number=NUMBER, organisation=DIGGER, principal="token:d", filed_at=now(),
                polygon=shapely.to_wkb(shapely.box(600_000, 6_080_000, 600_010, 6_080_010)), area_m2=100.0,
                period_from="2026-11-24", period_to="2026-12-20", methods="[]", contact="{}", formats="[]",
                valid_to="2026-12-20T23:00:00.000Z", own_number="Sag 7\r\nX-Evil: 1",
            )
        )  # fmt: skip
        for owner, status in ((OWNER_A, "delivered"), (OWNER_B, "waiting")):
            tx.execute(
                sa.insert(schema.answers).values(
                    enquiry=NUMBER,
                    owner_cvr=owner,
                    interest_areas="[1]",
                    status=status,
                    header="{}",
                    due_at=timestamp(DUE),
                )
            )
        tx.commit()


def add_channel(
    store: Store, organisation: str, target: str, *events: str, kind: str = "webhook"
) -> tuple[Channel, str]:
    """Add a channel without the rules of a target."""
    with store.begin() as tx:
        added = channels.add_channel(tx, organisation, kind, target, events)
        tx.commit()
    return added


def happen(store: Store, event: str, subject: str = NUMBER, **payload: Any) -> int:
    """Let an event happen; return its number."""
    with store.begin() as tx:
        emit(tx, event, subject, payload)
        event_id = tx.connection.scalar(sa.select(sa.func.max(schema.outbox.c.event_id)))
        tx.commit()
    return int(event_id)


def dispatch(store: Store) -> None:
    """Tell all subscribers."""
    Dispatcher(store, SUBSCRIBERS).run_once()


def notices(store: Store) -> list[Notice]:
    """Return all notices, oldest first."""
    with store.read() as connection:
        ids = connection.scalars(
            sa.select(schema.notices.c.notice_id).order_by(schema.notices.c.notice_id)
        ).all()
        found = [channels.get_notice(connection, notice_id) for notice_id in ids]
    return [one for one in found if one is not None]


def run_jobs(store: Store, sender: NoticeSender, *, rounds: int = 200) -> None:
    """Do the jobs that send, also those put off into the future, until none is left."""
    worker = Worker(store, {SEND_NOTICE: sender}, backoff_s=0.0)
    for _ in range(rounds):
        with store.begin() as tx:
            tx.execute(
                sa.update(schema.jobs)
                .where(schema.jobs.c.kind == SEND_NOTICE, schema.jobs.c.state == "queued")
                .values(run_after=now())
            )
            tx.commit()
        if not worker.run_one():
            return
    raise AssertionError("jobs without end")


@dataclass
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass
class Receiver:
    """What a server has received, and what it answers: the statuses in order, then 204."""

    url: str = ""
    port: int = 0
    received: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    on_request: Callable[[Received], None] | None = None
    location: str = ""


@contextmanager
def receiving(statuses: Sequence[int] = ()) -> Iterator[Receiver]:
    """Run an HTTP server on loopback."""
    receiver = Receiver(statuses=list(statuses))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            one = Received(self.path, {name.lower(): text for name, text in self.headers.items()}, body)
            receiver.received.append(one)
            if receiver.on_request is not None:
                receiver.on_request(one)
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            receiver.received.append(Received(self.path, {}, b""))  # somebody followed a redirect
            self.send_error(405)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    receiver.url = f"http://127.0.0.1:{receiver.port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Inbox:
    """What the mail server took, and what it says to recipients and data."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipient_answer = "250 OK"
        self.data_answer = "250 OK"
        self.secured: list[bool] = []

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if self.recipient_answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipient_answer

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append(parsed)
        self.secured.append(server.transport.get_extra_info("ssl_object") is not None)
        return self.data_answer
