"""A town's life with power cuts: enquiries, answers of every kind, corrections; nothing is lost or doubled.

``GEOINFRA_SOAK_LIFE_S`` says how long enquiries are filed (1800 s), ``GEOINFRA_SOAK_LIFE_KILLS`` how often a
process is killed meanwhile (50 in half an hour), ``GEOINFRA_SOAK_LIFE_PER_S`` how many enquiries a second are
filed (1.5; fewer where the machine does other things too), ``GEOINFRA_SOAK_LIFE_SEED`` which random numbers
are drawn.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from deployment import ROOT, Deployment
from life_actors import (
    HAND_AREA,
    HAND_OWNERS,
    PLANS,
    Book,
    Caller,
    Diary,
    Excavator,
    Owner,
    PowerCuts,
    listening,
    resident_mb,
    settle,
)
from lxml import etree

from geoinfra.flows.signing import public_keys
from geoinfra.storage import Store, open_store, schema
from geoinfra.utilities.enquiry import AnswerStatus
from geoinfra.utilities.formats.package_seal import verify_package

SECONDS = int(os.environ.get("GEOINFRA_SOAK_LIFE_S", "1800"))
KILLS = int(os.environ.get("GEOINFRA_SOAK_LIFE_KILLS", str(max(4, SECONDS * 50 // 1800))))
SEED = int(os.environ.get("GEOINFRA_SOAK_LIFE_SEED", "20261124"))
PER_SECOND = float(os.environ.get("GEOINFRA_SOAK_LIFE_PER_S", "1.5"))
_AT_ONCE = 16  # files that one process may be receiving or writing
_BY_HAND = 0.3  # share of the enquiries that owners must answer themselves
_LATEST_S = 12.0  # between one thing that an owner says and the next
_SHADOW_S = 5.0  # how long after a restart a process is not yet as before
_DRAIN_S = 600.0
_FILER_IS_TOLD = ("package.ready", "answer.corrected")
_GML = "{http://www.opengis.net/gml/3.2}id"


@dataclass
class Life:
    """What happened while enquiries were filed."""

    book: Book
    cuts: PowerCuts
    memory: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    webhooks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def lived(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Life, Store]]:
    """The life, and the store that it leaves, opened when both processes have ended."""
    folder = tmp_path_factory.mktemp("life") / "data"
    shutil.copytree(demo_data, folder)
    tokens = settle(folder)
    with pytest.MonkeyPatch.context() as patch, listening() as to_filer, listening() as to_owner:
        patch.setenv("GEOINFRA_ALLOW_LOCAL_WEBHOOKS", "1")
        running = Deployment(folder)
        running.start("serve")
        running.start("worker")
        try:
            running.wait_ready()
            life = _live(running, tokens, to_filer[0], to_owner[0])
            life.webhooks = {"filer": to_filer[1], "owner": to_owner[1]}
            _drain(folder, life)
            _verify_by_command(running, folder)
        finally:
            running.stop()
    store = open_store(folder)
    print(_figures(life, store))
    yield life, store
    store.close()


def _live(running: Deployment, tokens: dict[str, str], filer_hook: str, owner_hook: str) -> Life:
    """File enquiries at an even pace, let owners answer, cut the power; return when all has been said."""
    chance, book = random.Random(SEED), Book()
    filer = Caller(running.url, running.tokens["excavator"])
    callers = {cvr: Caller(running.url, token) for cvr, token in tokens.items()}
    owners = [Owner(cvr, caller, book, random.Random(SEED + int(cvr))) for cvr, caller in callers.items()]
    _subscribe(filer, filer_hook, *_FILER_IS_TOLD)
    _subscribe(callers[min(callers)], owner_hook, "enquiry.filed")
    diary, excavator = Diary(12, book.fail), Excavator(filer, book)
    cuts = PowerCuts(running, KILLS, SECONDS, random.Random(SEED + 1), book.fail)
    life, cutting, filing = Life(book, cuts), cuts.start(), []
    began = time.monotonic()
    for turn in range(int(PER_SECOND * SECONDS)):
        time.sleep(max(0.0, began + turn / PER_SECOND - time.monotonic()))
        key = f"life-{turn}"
        if chance.random() < _BY_HAND:
            plans = [(owner, chance.choices(list(PLANS), PLANS.values())[0]) for owner in owners]
            delays = [chance.uniform(0, _LATEST_S) for _ in range(16)]
            ask = _asking(excavator, diary, key, plans, delays)
        else:
            ask = _guarded(book, lambda key=key: excavator.file_hosted(key))
        filing.append(threading.Thread(target=ask))
        filing[-1].start()
        if turn % 8 == 0:
            _look_at_memory(life, running)
    for thread in [*filing, cutting]:
        thread.join()
    diary.finish()
    for caller in (filer, *callers.values()):
        caller.close()
    return life


def _subscribe(caller: Caller, target: str, *events: str) -> None:
    document = {"kind": "webhook", "target": target, "events": list(events)}
    answer = caller.insist("POST", "/api/channels", json=document)
    assert answer.status_code == 201, answer.text


def _guarded(book: Book, what: Callable[[], None]) -> Callable[[], None]:
    def do() -> None:
        try:
            what()
        except Exception as error:  # a thread's end would hide it
            book.fail(f"{type(error).__name__}: {error}")

    return do


def _asking(
    excavator: Excavator,
    diary: Diary,
    key: str,
    plans: Sequence[tuple[Owner, tuple[str, ...]]],
    delays: Sequence[float],
) -> Callable[[], None]:
    """Return what files an enquiry and lets each owner begin his plan."""

    def ask() -> None:
        number = excavator.file(key, HAND_AREA, ["gml"])
        if number is None:
            return
        for (owner, plan), delay_s in zip(plans, delays, strict=False):
            if plan:
                diary.later(delay_s, _saying(diary, owner, number, plan, delay_s))

    return _guarded(excavator.book, ask)


def _saying(
    diary: Diary, owner: Owner, number: str, plan: tuple[str, ...], delay_s: float
) -> Callable[[], None]:
    def say() -> None:
        if owner.say(number, plan[0]) and plan[1:]:
            diary.later(_LATEST_S - delay_s, _saying(diary, owner, number, plan[1:], delay_s))

    return say


def _look_at_memory(life: Life, running: Deployment) -> None:
    for name, process in list(running.processes.items()):
        used = resident_mb(process.pid)
        if used is not None:
            life.memory[name].append((process.pid, used))


def _drain(folder: Path, life: Life) -> None:
    """Wait until no package is to be made, no event to be told and no notice to be sent."""
    store = open_store(folder)
    deadline = time.monotonic() + _DRAIN_S
    try:
        while (left := _left(store)) and time.monotonic() < deadline:
            time.sleep(0.5)
    finally:
        store.close()
    if left:
        life.book.fail(f"not finished {_DRAIN_S:.0f} s after the last answer: {left}")


def _left(store: Store) -> dict[str, int]:
    jobs, outbox, notices = schema.jobs.c, schema.outbox.c, schema.notices.c
    to_make = jobs.kind == "build-package", jobs.state.in_(("queued", "running"))
    wanted = {
        "packages": sa.select(sa.func.count()).where(*to_make),
        "events": sa.select(sa.func.count()).where(outbox.delivered_at.is_(None)),
        "notices": sa.select(sa.func.count()).where(notices.state == "waiting"),
    }
    with store.read() as connection:
        found = {name: int(connection.scalar(query) or 0) for name, query in wanted.items()}
    return {name: count for name, count in found.items() if count}


def _verify_by_command(running: Deployment, folder: Path) -> None:
    """``geoinfra verify`` finds the newest package good, by the keys that the service publishes."""
    newest = max(folder.glob("blobs/packages/*/*.zip"), key=lambda path: path.stat().st_mtime)
    command = [sys.executable, "-c", "from services.cli import main; main()", "verify", str(newest)]
    done = subprocess.run(
        [*command, "--server", running.url, "--json"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- Figures


def _figures(life: Life, store: Store) -> str:
    """Tell how long it took and how much memory; nothing of it is judged."""
    took = {number: ready - begun for number, (begun, ready) in life.book.hosted_s.items()}
    calm = [
        took[number]
        for number, (begun, ready) in life.book.hosted_s.items()
        if not life.cuts.touched(begun, ready, _SHADOW_S)
    ]
    victims = Counter(victim for victim, _, _ in life.cuts.done)
    answers = sum(len(said) for said in life.book.said.values())
    lines = [
        f"{len(life.book.filed)} enquiries in {SECONDS} s, {answers} answers by hand, "
        f"{_count(store, schema.packages)} packages, kills {dict(victims)}, "
        f"{life.book.broken} answers cut off or turned away, seed {SEED}",
        f"filing to package, hosted: {_spread(list(took.values()))}",
        f"of these without a power cut: {_spread(calm)}",
        f"back after a power cut: {_spread([until - since for _, since, until in life.cuts.done])}",
    ]
    for name, seen in life.memory.items():
        used = [mb for _, mb in seen]
        longest = Counter(pid for pid, _ in seen).most_common(1)[0][0]
        own = [mb for pid, mb in seen if pid == longest]
        lines.append(
            f"{name}: resident at most {max(used):.0f} MB; longest life {len(own)} looks, "
            f"{own[0]:.0f} to {own[-1]:.0f} MB"
        )
    return "\n" + "\n".join(lines)


def _spread(times: Sequence[float]) -> str:
    if not times:
        return "none"
    ordered = sorted(times)
    p50, p95 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]
    return f"{len(ordered)}, median {p50:.2f} s, p95 {p95:.2f} s, most {ordered[-1]:.2f} s"


def _count(store: Store, table: sa.Table) -> int:
    with store.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def _rows(store: Store, query: sa.Select[Any]) -> list[Any]:
    with store.read() as connection:
        return list(connection.execute(query).all())


# --- What must hold


pytestmark = [pytest.mark.soak, pytest.mark.timeout(SECONDS * 2 + 1800)]


def test_nothing_went_wrong_and_the_power_was_cut_as_often_as_meant(lived: tuple[Life, Store]) -> None:
    life, _ = lived
    assert life.book.failures == []
    assert len(life.cuts.done) == KILLS
    assert len(life.book.filed) == int(PER_SECOND * SECONDS)


def test_every_filed_enquiry_is_there_once_and_numbers_have_no_gap(lived: tuple[Life, Store]) -> None:
    life, store = lived
    table = schema.enquiries.c
    rows = _rows(store, sa.select(table.number, table.request_key).order_by(table.number))
    stored = {row.request_key.partition(":")[2]: row.number for row in rows}
    assert stored == life.book.filed
    year = datetime.now(UTC).year
    assert [row.number for row in rows] == [f"{year}-{i:06d}" for i in range(1, len(rows) + 1)]


def test_every_accepted_answer_is_one_version_in_its_order(lived: tuple[Life, Store]) -> None:
    life, store = lived
    table = schema.answer_versions.c
    stored: dict[tuple[str, str], list[Any]] = defaultdict(list)
    query = sa.select(schema.answer_versions).where(table.owner_cvr.in_(HAND_OWNERS))
    for row in _rows(store, query.order_by(table.enquiry, table.owner_cvr, table.version)):
        stored[row.enquiry, row.owner_cvr].append(row)
    said = {whose: answers for whose, answers in life.book.said.items() if answers}
    assert {w: [row.status for row in rows] for w, rows in stored.items()} == {
        whose: [answer.status for answer in answers] for whose, answers in said.items()
    }
    for rows in stored.values():
        assert [row.version for row in rows] == list(range(1, len(rows) + 1))
        assert all(row.reason for row in _corrections(rows))


def _corrections(rows: Sequence[Any]) -> list[Any]:
    return [row for before, row in pairwise(rows) if before.status != "manual"]


def test_an_answer_is_its_newest_version_and_grants_what_it_gives(lived: tuple[Life, Store]) -> None:
    _, store = lived
    answers, versions, grants = schema.answers.c, schema.answer_versions.c, schema.grants.c
    newest = {
        (row.enquiry, row.owner_cvr): row
        for row in _rows(store, sa.select(schema.answer_versions).order_by(versions.version))
    }
    for row in _rows(store, sa.select(schema.answers).where(answers.answered_at.is_not(None))):
        last = newest[row.enquiry, row.owner_cvr]
        assert (row.version, row.status, row.delivery_id) == (last.version, last.status, last.delivery_id)
    given = _rows(
        store,
        sa.select(answers.enquiry, answers.owner_cvr, answers.delivery_id).where(
            answers.delivery_id.is_not(None)
        ),
    )
    granted = _rows(store, sa.select(grants.enquiry, grants.source, grants.delivery_id))
    assert sorted(map(tuple, granted)) == sorted(map(tuple, given))


def test_every_event_happened_once_and_was_told(lived: tuple[Life, Store]) -> None:
    life, store = lived
    outbox = schema.outbox.c
    events = _rows(store, sa.select(schema.outbox).order_by(outbox.event_id))
    counted = Counter((one.event, one.subject) for one in events)
    assert all(counted["enquiry.filed", number] == 1 for number in life.book.filed.values())
    told = Counter(one.event for one in events)
    versions = _count(store, schema.answer_versions)
    assert told["answer.stored"] + told["answer.corrected"] == versions
    assert told["package.ready"] == _count(store, schema.packages)
    assert [one.event_id for one in events if one.delivered_at is None] == []
    hand = {one.enquiry for one in _rows(store, sa.select(schema.answers)) if one.owner_cvr in HAND_OWNERS}
    wanted = {
        "filer": {e.event_id for e in events if e.event in _FILER_IS_TOLD},
        "owner": {e.event_id for e in events if e.event == "enquiry.filed" and e.subject in hand},
    }
    for whose, received in life.webhooks.items():
        assert {one["id"] for one in received} == wanted[whose]


def test_no_job_is_left_and_package_numbers_have_no_gap(lived: tuple[Life, Store]) -> None:
    life, store = lived
    jobs, packages = schema.jobs.c, schema.packages.c
    query = sa.select(jobs.state, sa.func.count()).where(jobs.kind == "build-package").group_by(jobs.state)
    assert dict(map(tuple, _rows(store, query))) == {"done": _count(store, schema.packages)}
    sequences: dict[str, list[int]] = defaultdict(list)
    for row in _rows(store, sa.select(schema.packages).order_by(packages.enquiry, packages.sequence)):
        sequences[row.enquiry].append(row.sequence)
    assert set(sequences) == set(life.book.filed.values())
    assert all(found == list(range(1, len(found) + 1)) for found in sequences.values())


def test_the_newest_package_of_every_enquiry_holds_every_answer(lived: tuple[Life, Store]) -> None:
    life, store = lived
    answers: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in _rows(store, sa.select(schema.answers)):
        answers[row.enquiry][row.owner_cvr] = row
    complete = 0
    for row in _newest_packages(store):
        with zipfile.ZipFile(store.blobs.path(row.blob)) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            ids = _gml_ids(archive.read("consolidated.gml"))
        own = answers[row.enquiry]
        told = {one["cvr"]: (one["status"], one["version"], one["answered_at"]) for one in manifest["owners"]}
        assert told == {cvr: (a.status, a.version, a.answered_at) for cvr, a in own.items()}, row.enquiry
        all_final = all(AnswerStatus(a.status).final for a in own.values())
        assert (manifest["complete"], bool(row.complete)) == (all_final, all_final), row.enquiry
        cables = {one[one.index("kabel.") :] for one in ids if ".kabel." in one}
        assert cables == _cables(life.book, row.enquiry), row.enquiry
        complete += all_final
    assert complete >= len(life.book.hosted_s) > 0


def _newest_packages(store: Store) -> list[Any]:
    packages = schema.packages.c
    newest = {
        row.enquiry: row for row in _rows(store, sa.select(schema.packages).order_by(packages.sequence))
    }
    return list(newest.values())


def _gml_ids(content: bytes) -> set[str]:
    return {found for element in etree.fromstring(content).iter() if (found := element.get(_GML))}


def _cables(book: Book, number: str) -> set[str]:
    """Return the cables that owners give as their last word."""
    last = [said[-1].cable for (asked, _), said in book.said.items() if asked == number and said]
    return {cable for cable in last if cable}


def test_every_package_opens_and_verifies(lived: tuple[Life, Store]) -> None:
    _, store = lived
    keys = public_keys(store)
    for row in _rows(store, sa.select(schema.packages)):
        path = store.blobs.path(row.blob)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row.sha256
        done = verify_package(path, keys)
        assert done.valid, (row.enquiry, row.sequence, [str(f) for f in done.report.findings])
        assert done.manifest is not None
        assert (done.manifest["number"], done.manifest["sequence"]) == (row.enquiry, row.sequence)


def test_the_audit_log_is_whole_and_crashes_leave_no_files(lived: tuple[Life, Store]) -> None:
    _, store = lived
    assert store.audit.verify().ok
    store.sweep()
    folder = store.data_dir
    assert [path.name for path in folder.rglob("*.partial")] == []
    named = {row.delivery_id for row in _rows(store, sa.select(schema.deliveries.c.delivery_id))}
    assert {path.stem for path in (folder / "deliveries").glob("*.gpkg")} == named
    blobs = {path.relative_to(folder / "blobs").as_posix() for path in (folder / "blobs").rglob("*.zip")}
    assert blobs == {
        row.blob for row in _rows(store, sa.select(schema.packages.c.blob))
    }  # no cut off attempt
    cut_off = [*store.uploads.iterdir(), *store.blobs.unfinished.iterdir()]
    assert len(cut_off) <= _AT_ONCE * KILLS
    for path in cut_off:
        os.utime(path, (0, 0))
    store.sweep()
    assert [*store.uploads.iterdir(), *store.blobs.unfinished.iterdir()] == []
