"""Who takes part in a town's life: an excavator who files, owners who answer at random, and power cuts."""

from __future__ import annotations

import base64
import heapq
import io
import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import shapely
from deployment import Deployment

from geoinfra import sample
from geoinfra.access import Role
from geoinfra.storage import open_store, organisations
from geoinfra.storage.organisations import InterestArea
from geoinfra.utilities.formats import ler
from geoinfra.utilities.model import AnswerHeader, FeatureRows, ResponseType

HOSTED_AREA = sample.enquiry_area("tiny")
HAND_AREA = shapely.box(650_740, 6_084_440, 650_800, 6_084_470)
HAND_OWNERS = {"10000068": 901, "10000076": 902, "10000084": 903, "10000092": 904}
"""CVR number -> interest area, which reaches the hand area only."""
PATIENCE_S = 900.0  # a loaded machine is slow; only what never comes is a fault
_SINCE = datetime(2000, 1, 1, tzinfo=UTC)
_CABLE = {
    "driftsstatus": "i drift",
    "etableringstidspunkt": "2004-03-15",
    "fareklasse": "farlig",
    "noejagtighedsklasse": "<= 1.00 m",
    "noejagtighedsklasseVertikal": "<= 1.00 m",
    "type": "stikkabel",
}
_RESPONSES = {
    "delivered": ResponseType.DELIVERED,
    "no-lines": ResponseType.NO_LINES,
    "withheld": ResponseType.WITHHELD,
    "manual": ResponseType.MANUAL,
    "pointing-out": ResponseType.POINTING_OUT,
}
PLANS: dict[tuple[str, ...], int] = {
    ("delivered",): 5,
    ("delivered", "delivered"): 3,
    ("delivered", "no-lines"): 1,
    ("delivered", "withheld", "delivered"): 1,
    ("manual", "delivered"): 2,
    ("manual", "withheld"): 1,
    ("manual",): 1,
    ("withheld",): 2,
    ("withheld", "delivered"): 1,
    ("no-lines",): 1,
    ("pointing-out",): 1,
    (): 1,
}
"""What an owner says to an enquiry one after another, and how often he does."""


# --- Documents


def request_document(area: shapely.Polygon, formats: list[str] | None = None) -> dict[str, Any]:
    """A dig enquiry of an area."""
    today = datetime.now(UTC).date()
    chosen = {"formats": formats} if formats else {}
    return {
        "area": json.loads(shapely.to_geojson(area)),
        "crs": "EPSG:25832",
        "period": {"from": today.isoformat(), "to": (today + timedelta(days=10)).isoformat()},
        "methods": ["6"],
        "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
        **chosen,
    }


def answer_document(cvr: str, status: str, cable: str) -> bytes:
    """An owner's answer; one with data holds this cable in the hand area."""
    kind = _RESPONSES[status]
    rows = FeatureRows(cvr)
    if kind.carries_features:
        east, north = HAND_AREA.bounds[:2]
        line = shapely.LineString([(east + 5, north + 5), (east + 25, north + 9)])
        rows.add("Elledning", cable, _CABLE, line)
    info = "Sikret anlæg" if kind is ResponseType.WITHHELD else None
    head = AnswerHeader(str(uuid.uuid4()), kind, date(2099, 1, 1), supplementary_info=info)
    file = io.BytesIO()
    ler.write_answer(file, head, [rows.batch()] if kind.carries_features else [])
    return file.getvalue()


def settle(folder: Path) -> dict[str, str]:
    """Record the owners who answer by hand; return their tokens by CVR number."""
    store = open_store(folder)
    tokens = {}
    with store.begin() as tx:
        for cvr, number in HAND_OWNERS.items():
            organisations.add_organisation(tx, cvr, f"Ejer {cvr}", {"phone": "70101010"})
            area = InterestArea(number, ("electricity",), HAND_AREA.buffer(2), _SINCE)
            organisations.set_interest_areas(tx, cvr, [area])
            tokens[cvr] = organisations.create_token(tx, cvr, {Role.OWNER}, "soak", timedelta(days=1))[1]
        tx.commit()
    store.close()
    return tokens


# --- Calls that survive power cuts


class Caller:
    """Calls the deployment as one organisation, and comes back when the connection broke."""

    def __init__(self, url: str, token: str) -> None:
        limits = httpx.Limits(max_connections=64)
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=90, limits=limits)

    def once(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Return the answer; ``None`` when the connection broke, and the call may have been done or not."""
        try:
            return self._client.request(method, path, **options)
        except httpx.TransportError:
            return None

    def insist(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Repeat a call that may be repeated until it is answered."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            answer = self.once(method, path, **options)
            if answer is not None:
                return answer
            time.sleep(0.1)
        raise AssertionError(f"{method} {path}: no answer within {PATIENCE_S:.0f} s")

    def close(self) -> None:
        """End the connections."""
        self._client.close()


@dataclass(frozen=True)
class Said:
    """One answer that was accepted: its state, and the cable that it gives."""

    status: str
    cable: str


@dataclass
class Book:
    """What the service has promised, and what went wrong; filled by many threads."""

    filed: dict[str, str] = field(default_factory=dict)  # idempotency key -> number
    said: dict[tuple[str, str], list[Said]] = field(default_factory=dict)  # number, owner -> answers
    hosted_s: dict[str, tuple[float, float]] = field(default_factory=dict)  # number -> begun, ready
    failures: list[str] = field(default_factory=list)
    broken: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, what: str) -> None:
        """Note what must not happen."""
        with self.lock:
            self.failures.append(what)


class Excavator:
    """Files enquiries of both areas and waits for the packages of the hosted ones."""

    def __init__(self, caller: Caller, book: Book) -> None:
        self._caller, self.book = caller, book

    def file(self, key: str, area: shapely.Polygon, formats: list[str] | None = None) -> str | None:
        """File once, however often it takes."""
        answer = self._caller.insist(
            "POST",
            "/api/enquiries",
            json=request_document(area, formats),
            headers={"Idempotency-Key": key},
        )
        if answer.status_code != 201:
            self.book.fail(f"filing {key}: {answer.status_code} {answer.text[:300]}")
            return None
        number = str(answer.json()["number"])
        with self.book.lock:
            self.book.filed[key] = number
        return number

    def file_hosted(self, key: str) -> None:
        """File an enquiry whose owners all answer at once, and wait for its package."""
        began = time.monotonic()
        number = self.file(key, HOSTED_AREA)
        if number is None:
            return
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = self._caller.insist("GET", f"/api/enquiries/{number}", params={"wait_s": 30})
            if found.status_code != 200 or found.json()["package"]["state"] == "failed":
                self.book.fail(f"waiting for {number}: {found.status_code} {found.text[-300:]}")
                return
            if found.json()["package"]["ready"]:
                with self.book.lock:
                    self.book.hosted_s[number] = began, time.monotonic()
                return
        self.book.fail(f"no package of {number} after {PATIENCE_S:.0f} s")


class Owner:
    """Answers by hand or by LER's interface, and looks what came of it when the connection broke."""

    def __init__(self, cvr: str, caller: Caller, book: Book, chance: random.Random) -> None:
        self.cvr, self._caller, self._book, self._chance = cvr, caller, book, chance

    def say(self, number: str, status: str) -> bool:
        """Give the next answer to an enquiry; say whether it was accepted."""
        before = self._book.said.setdefault((number, self.cvr), [])
        cable = f"kabel.{number}.{self.cvr}.{len(before) + 1}"
        content = answer_document(self.cvr, status, cable)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            outcome = self._send(number, content, before)
            if outcome == "":
                before.append(Said(status, cable if status == "delivered" else ""))
                return True
            if outcome != "again":
                self._book.fail(f"{self.cvr} says {status} to {number}: {outcome}")
                return False
            time.sleep(0.2)
        self._book.fail(f"{self.cvr} could not say {status} to {number}")
        return False

    def _send(self, number: str, content: bytes, before: list[Said]) -> str:
        """Send it once; return nothing when it is in force, ``again`` when it is not, else what is wrong."""
        corrects = bool(before) and before[-1].status != "manual"
        by_hand = not corrects and self._chance.random() < 0.6
        answer = self._by_hand(number, content) if by_hand else self._by_ler(number, content, corrects)
        if answer is None:
            self._book.broken += 1
            return "" if self._versions(number) == len(before) + 1 else "again"
        if by_hand:
            return "" if answer.status_code == 201 else f"{answer.status_code} {answer.text[:300]}"
        error = answer.json()["Error"]
        if error is None:
            return ""
        return "again" if error["ErrorCode"] == "00-540" else str(error)[:300]

    def _by_hand(self, number: str, content: bytes) -> httpx.Response | None:
        return self._caller.once("POST", f"/api/enquiries/{number}/answers", content=content)

    def _by_ler(self, number: str, content: bytes, corrects: bool) -> httpx.Response | None:
        parameters = {
            "requestId": str(uuid.uuid4()),
            "transactionId": str(uuid.uuid4()),
            "indberetningsNr": str(HAND_OWNERS[self.cvr]),
            "isOpdatering": str(corrects).lower(),
        }
        path = f"/api/v3/graveforespoergselSvar/{number.replace('-', '')}"
        body = {"base64data": base64.b64encode(content).decode()}
        return self._caller.once("POST", path, params=parameters, json=body)

    def _versions(self, number: str) -> int:
        """Return how many answers the service has of this owner."""
        found = self._caller.insist("GET", f"/api/enquiries/{number}").json()["owners"]
        own = next(one for one in found if one["cvr"] == self.cvr)
        return int(own["version"]) if own["answered_at"] else 0


# --- Things that happen later


class Diary:
    """Does things at their time, a few at once."""

    def __init__(self, threads: int, fail: Callable[[str], None]) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._turn = threading.Condition()
        self._count = self._busy = 0
        self._ending = False
        self._fail = fail
        self._threads = [threading.Thread(target=self._work) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def later(self, after_s: float, what: Callable[[], None]) -> None:
        """Do something after a while."""
        with self._turn:
            self._count += 1
            heapq.heappush(self._due, (time.monotonic() + after_s, self._count, what))
            self._turn.notify()

    def finish(self) -> None:
        """Return when all is done."""
        with self._turn:
            self._ending = True
            self._turn.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (what := self._next()) is not None:
            try:
                what()
            except Exception as error:  # a thread's end would hide it
                self._fail(f"{type(error).__name__}: {error}")
            with self._turn:
                self._busy -= 1
                self._turn.notify_all()

    def _next(self) -> Callable[[], None] | None:
        with self._turn:
            while True:
                wait_s = self._due[0][0] - time.monotonic() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    self._busy += 1
                    return heapq.heappop(self._due)[2]
                if self._ending and not self._due and not self._busy:
                    return None
                self._turn.wait(wait_s)


# --- Power cuts and memory


def resident_mb(pid: int) -> float | None:
    """Return the resident memory of a process; ``None`` when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    line = next((one for one in text.splitlines() if one.startswith("VmRSS")), None)
    return float(line.split()[1]) / 1024 if line else None


@dataclass
class PowerCuts:
    """Kills web or worker without warning at random moments, and starts it again."""

    running: Deployment
    kills: int
    within_s: float
    chance: random.Random
    fail: Callable[[str], None]
    done: list[tuple[str, float, float]] = field(default_factory=list)  # victim, from, until

    def start(self) -> threading.Thread:
        """Begin in a thread of its own."""
        thread = threading.Thread(target=self._cut)
        thread.start()
        return thread

    def _cut(self) -> None:
        began = time.monotonic()
        try:
            for moment_s in sorted(self.chance.uniform(2, self.within_s) for _ in range(self.kills)):
                time.sleep(max(0.0, began + moment_s - time.monotonic()))
                victim = self.chance.choice(["serve", "worker"])
                cut = time.monotonic()
                self.running.kill(victim)
                self.running.start(victim)
                self.running.wait_ready()
                self.done.append((victim, cut, time.monotonic()))
        except Exception as error:  # told at the end
            self.fail(f"power cut: {type(error).__name__}: {error}")

    def touched(self, begun: float, ended: float, shadow_s: float) -> bool:
        """Whether a cut, or the time after it, fell into a stretch of time."""
        return any(begun < until + shadow_s and ended > since for _, since, until in self.done)


@contextmanager
def listening() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run a receiver of webhooks; gives its address and what it has received."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
