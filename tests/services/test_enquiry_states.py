"""Whatever happens to enquiries, in whatever order: the records stay as a small model says.

The model is a few dictionaries and knows nothing of the code. Hypothesis draws the steps: filing, answers of
every kind (several at one moment), corrections, newer deliveries, sending again, packages whose making is cut
off, reminders, expiry. ``GEOINFRA_STATES_EXAMPLES`` and ``GEOINFRA_STATES_STEPS`` make it long (tests/soak).
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from answer_world import AREA, DIGGER, OWNERS, SINCE, expire, move_filing, owner, register, sequences, svar
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from test_flow_answers_at_once import at_once
from test_flow_enquiry import access_with, document

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, GeoinfraError, NotFound
from geoinfra.flows.answers import acknowledge, correct_answer, hand_over, refresh_answers, store_answer
from geoinfra.flows.deliveries import deliver
from geoinfra.flows.enquiries import enquiry, file_enquiry, list_enquiries, resend_enquiry
from geoinfra.flows.handlers import HANDLERS
from geoinfra.flows.reminders import REMIND
from geoinfra.storage import Store, jobs, open_store, organisations, schema
from geoinfra.storage.jobs import MAX_ATTEMPTS, JobContext, Worker
from geoinfra.utilities.model import ResponseType

pytestmark = pytest.mark.services

HOSTED, BY_HAND, SECOND, DIRECT = OWNERS
STRANGER = "10000041"
BUILD = "build-package"
SAID = {
    "delivered": ResponseType.DELIVERED,
    "pointing-out-delivered": ResponseType.POINTING_OUT_DELIVERED,
    "no-lines": ResponseType.NO_LINES,
    "withheld": ResponseType.WITHHELD,
    "manual": ResponseType.MANUAL,
    "pointing-out": ResponseType.POINTING_OUT,
}
WITH_LINES = ("delivered", "pointing-out-delivered")
OPEN = ("waiting", "manual", "direct")  # these may be answered, all others corrected
FINAL = {*SAID, "direct", "not-asked"} - {"manual"}
EXAMPLES = int(os.environ.get("GEOINFRA_STATES_EXAMPLES", "4"))
STEPS = int(os.environ.get("GEOINFRA_STATES_STEPS", "20"))


# --- The model


@dataclass
class Version:
    """One answer: its state, what the filer may read by it, and from which publication it came."""

    status: str
    lines: frozenset[str] = frozenset()
    hosted: int | None = None


@dataclass
class Asked:
    """An enquiry."""

    kind: str
    first: dict[str, str]  # owner -> state when it was filed
    versions: dict[str, list[Version]] = field(default_factory=lambda: defaultdict(list))
    again: bool = False  # whether it sends another one again
    expired: bool = False
    changed: bool = True  # since the newest package
    corrections: int = 0
    fetched: set[str] = field(default_factory=set)

    def status(self, cvr: str) -> str:
        said = self.versions[cvr]
        return said[-1].status if said else self.first[cvr]

    def hosted(self, cvr: str) -> int | None:
        said = self.versions[cvr]
        return said[-1].hosted if said else None

    def is_asked(self, cvr: str) -> bool:
        return self.first[cvr] != "not-asked"

    def opens_again(self, cvr: str, status: str) -> bool:
        """Whether this would take out a case for manual handling that is answered."""
        return status == "manual" and bool(self.versions[cvr]) and self.status(cvr) != "manual"

    def say(self, cvr: str, version: Version, *, changes: bool = True) -> None:
        if self.versions[cvr] and self.status(cvr) not in OPEN:
            self.corrections += 1
        self.versions[cvr].append(version)
        self.changed = self.changed or changes

    @property
    def final(self) -> bool:
        return all(self.status(cvr) in FINAL for cvr in self.first)

    @property
    def settled(self) -> bool:
        """Whether nothing more is expected: who sends his information himself has said that he has."""
        said = (self.status(cvr) != "direct" or self.versions[cvr] for cvr in self.first)
        return self.final and all(said)

    @property
    def lines(self) -> frozenset[str]:
        """What the filer may read by it."""
        newest = (said[-1].lines for said in self.versions.values() if said and not self.expired)
        return frozenset().union(*newest)

    def state(self, packages: int) -> str:
        if self.expired:
            return "expired"
        if self.settled:
            return "complete" if packages and not self.changed else "answered"
        return "partial" if packages else "filed"


class PowerCut(BaseException):
    """The process ends here."""


# --- The steps


class EnquiryLife(RuleBasedStateMachine):
    """What excavators, owners, workers and time do."""

    template: Path

    enquiries = Bundle("enquiries")
    of_owner = st.sampled_from(OWNERS)
    rarely = st.sampled_from([False] * 5 + [True])
    of_state = st.sampled_from(sorted(SAID))
    of_kind = st.sampled_from(["planned"] * 4 + ["emergency", "planning"])

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="states-"))
        shutil.copytree(self.template, self.folder, dirs_exist_ok=True)
        self.store = open_store(self.folder)
        self.asked: dict[str, Asked] = {}
        self.keys: dict[str, tuple[str, str]] = {}  # idempotency key -> kind, number
        self.published: dict[str, tuple[int, str, frozenset[str]]] = {}
        self.made: Counter[str] = Counter()  # packages by enquiry
        self.dead: list[str] = []  # jobs whose worker died
        self.names = itertools.count(1)
        self.sees = {cvr: owner(cvr) for cvr in OWNERS}

    @initialize(target=enquiries)
    def begin(self) -> Any:
        self.digger = access_with(self.store, DIGGER, Role.EXCAVATOR)
        self.stranger = access_with(self.store, STRANGER, Role.EXCAVATOR)
        self.publish(HOSTED, "delivered")
        return self.file("planned", None)

    def teardown(self) -> None:
        try:
            if self.asked:
                self.leases_end()
                self.make_packages()
                self.packages_are_whole()
        finally:
            self.store.close()
            shutil.rmtree(self.folder)

    # Owners

    def _document(self, cvr: str, status: str) -> tuple[Any, frozenset[str]]:
        turn = next(self.names)
        names = [f"el.{turn}.{n}" for n in range(1 + turn % 2)] if status in WITH_LINES else []
        why = {"supplementary_info": "Sikkerhed"} if status == "withheld" else {}
        lines = frozenset(f"{cvr}.{name}" for name in names)
        return svar(cvr, names, kind=SAID[status], **why), lines

    @rule(cvr=st.sampled_from([HOSTED, SECOND]), status=st.sampled_from(["delivered", "no-lines", "manual"]))
    def publish(self, cvr: str, status: str) -> None:
        """An owner publishes a new version of all he has; enquiries keep what they have."""
        file, lines = self._document(cvr, status)
        deliver(self.store, self.sees[cvr], file, cvr)
        self.published[cvr] = (next(self.names), status, lines)

    def _hosted(self, cvr: str) -> Version | None:
        if cvr not in self.published:
            return None
        turn, status, lines = self.published[cvr]
        return Version(status, lines, turn)

    @rule(number=enquiries, said=st.lists(st.tuples(of_owner, of_state, rarely), min_size=2, max_size=5))
    def say(self, number: str, said: list[tuple[str, str, bool]]) -> None:
        """Owners answer, or correct their answers; wrongly: the one where the other is due."""
        for cvr, status, wrongly in said:
            self._say(number, cvr, status, wrongly)

    def _say(self, number: str, cvr: str, status: str, wrongly: bool) -> None:
        asked, (file, lines) = self.asked[number], self._document(cvr, status)
        corrects = (asked.status(cvr) not in OPEN) is not wrongly

        def act() -> object:
            if corrects:
                return correct_answer(self.store, self.sees[cvr], number, file, "Det var forkert")
            return store_answer(self.store, self.sees[cvr], number, file)

        if not asked.is_asked(cvr):
            refused(NotFound, act)
        elif asked.expired or wrongly or asked.opens_again(cvr, status):
            refused(Conflict, act)
        else:
            act()
            asked.say(cvr, Version(status, lines))

    @rule(number=enquiries, status=of_state, twice=of_owner)
    def answer_at_one_moment(self, number: str, status: str, twice: str) -> None:
        """All who may answer do, and one of them from two places; of these one is taken."""
        asked = self.asked[number]
        able = [] if asked.expired else [cvr for cvr in asked.first if asked.status(cvr) in OPEN]
        if twice not in able or status == "manual":
            return
        documents = [(cvr, self._document(cvr, status)) for cvr in able]
        documents.append((twice, documents[able.index(twice)][1]))
        copies = [(cvr, type(file)(file.getvalue())) for cvr, (file, _) in documents]
        raised = at_once(
            *(
                lambda cvr=cvr, file=file: store_answer(self.store, self.sees[cvr], number, file)
                for cvr, file in copies
            )
        )
        failed = [(cvr, error) for (cvr, _), error in zip(copies, raised, strict=True) if error]
        assert [(cvr, type(error)) for cvr, error in failed] == [(twice, Conflict)], failed
        for cvr, (_, lines) in documents[:-1]:
            asked.say(cvr, Version(status, lines))

    @rule(number=enquiries, cvr=of_owner)
    def fetch(self, number: str, cvr: str) -> None:
        act = lambda: acknowledge(self.store, self.sees[cvr], number)  # noqa: E731  # called later
        if self.asked[number].is_asked(cvr):
            act()
            self.asked[number].fetched.add(cvr)
        else:
            refused(NotFound, act)

    @rule(number=enquiries, cvr=st.sampled_from([DIRECT, DIRECT, BY_HAND]))
    def hand_over(self, number: str, cvr: str) -> None:
        asked = self.asked[number]
        act = lambda: hand_over(self.store, self.sees[cvr], number)  # noqa: E731  # called later
        if not asked.is_asked(cvr):
            refused(NotFound, act)
        elif asked.first[cvr] == "direct" and not asked.versions[cvr]:
            act()
            asked.say(cvr, Version("direct"), changes=False)
        else:
            refused(Conflict, act)

    @rule(number=enquiries, by=st.sampled_from([DIGGER, *OWNERS]))
    def refresh(self, number: str, by: str) -> None:
        """The filer takes what was published since where owners host; an owner takes his own."""
        asked = self.asked[number]
        # called later
        act = lambda: refresh_answers(self.store, self.sees.get(by, self.digger), number)  # noqa: E731  # called later
        if by != DIGGER and not asked.is_asked(by):
            refused(NotFound, act)
            return
        taken: dict[str, Version] = {}
        for cvr in asked.first:
            newer = self._hosted(cvr)
            theirs = asked.hosted(cvr) is not None or asked.status(cvr) in OPEN
            mine = theirs if by == DIGGER else by == cvr
            if newer and mine and newer.hosted != asked.hosted(cvr) and asked.is_asked(cvr):
                taken[cvr] = newer
        again = {cvr for cvr, newer in taken.items() if asked.opens_again(cvr, newer.status)}
        if asked.expired or by in again:
            refused(Conflict, act)
            return
        act()
        for cvr in taken.keys() - again:
            asked.say(cvr, taken[cvr])

    # Excavators

    @rule(target=enquiries, kind=of_kind, key=st.sampled_from([None, None, "a", "b"]))
    def file(self, kind: str, key: str | None) -> Any:
        why = {"grounds": ["waste"], "reason": "Brud"} if kind == "emergency" else {}
        asks = document(AREA, formats=["gml"], kind=kind, **why)
        act = lambda: file_enquiry(self.store, self.digger, asks, key=key)  # noqa: E731  # called later
        if key in self.keys and self.keys[key][0] != kind:
            refused(Conflict, act)
            return self.keys[key][1]
        number = act().number
        if key in self.keys:
            assert number == self.keys[key][1]
            return number
        if key:
            self.keys[key] = kind, number
        self._filed(number, kind)
        return number

    def _filed(self, number: str, kind: str, *, again: bool = False) -> None:
        assert number == f"{datetime.now(UTC).year}-{len(self.asked) + 1:06d}"
        first = {cvr: "direct" if cvr == DIRECT else "waiting" for cvr in OWNERS}
        if kind == "planning":
            first = dict.fromkeys(OWNERS, "not-asked")
        self.asked[number] = made = Asked(kind, first, again=again)
        for cvr in OWNERS:
            version = self._hosted(cvr)
            if version and kind != "planning":
                made.say(cvr, version)

    @rule(target=enquiries, number=enquiries, by=st.sampled_from([True, True, True, False]))
    def send_again(self, number: str, by: bool) -> Any:
        asked = self.asked[number]
        if not by:
            refused(NotFound, lambda: resend_enquiry(self.store, self.stranger, number))
        elif asked.again or asked.kind == "planning":
            refused(Conflict, lambda: resend_enquiry(self.store, self.digger, number))
        else:
            found = resend_enquiry(self.store, self.digger, number).number
            self._filed(found, asked.kind, again=True)
            return found
        return number

    @rule(number=enquiries, really=st.sampled_from([True, False, False]))
    def expires(self, number: str, really: bool) -> None:
        if not really:
            return
        expire(self.store, number)
        self.asked[number].expired = True

    # Workers and time

    def _worker(self, kind: str = BUILD) -> Worker:
        return Worker(self.store, {kind: HANDLERS[kind]}, poll_s=0)

    def _count_packages(self) -> None:
        """Learn which packages a worker has made."""
        for number, found in self._sequences().items():
            if len(found) > self.made[number]:
                newest = max(found) not in self.known.get(number, ()) and not self._waits(number)
                self.asked[number].changed = self.asked[number].changed and not newest
                self.made[number] = len(found)
        self.known = self._sequences()

    def _waits(self, number: str) -> bool:
        """Whether one more package of an enquiry is asked for, which only then holds everything."""
        rows = [row for row in self._rows(schema.jobs) if row.kind == BUILD]
        left = [json.loads(row.payload) for row in rows if row.state in ("queued", "running")]
        return any(one["number"] == number for one in left)

    known: dict[str, set[int]] = {}  # noqa: RUF012  # shared on purpose

    @rule()
    def make_one_package(self) -> None:
        before = self._sequences()
        self.known = before
        self._worker().run_one()
        self._count_packages()

    @rule()
    def make_packages(self) -> None:
        self.known = self._sequences()
        worker, idle = self._worker(), 0
        while worker.run_one() and idle < 4:  # a package whose forerunner has a dead worker only waits
            before = self.made.total()
            self._count_packages()
            idle = 0 if self.made.total() > before else idle + 1

    @rule(late=st.booleans())
    def power_cut(self, late: bool) -> None:
        """A worker dies while it makes a package: before anything is written, or just before the commit."""

        def dies(store: Store, context: JobContext) -> Any:
            if not late:
                raise PowerCut
            finish = context.finish

            def finish_and_die(*given: Any) -> None:
                finish(*given)
                raise PowerCut

            context.finish = finish_and_die  # type: ignore[method-assign]  # the power cut
            return HANDLERS[BUILD](store, context)

        running = {row.job_id for row in self._rows(schema.jobs) if row.state == "running"}
        with suppress(PowerCut):
            Worker(self.store, {BUILD: dies}, poll_s=0).run_one()
        now_running = {row.job_id for row in self._rows(schema.jobs) if row.state == "running"}
        self.dead += now_running - running

    @rule()
    def leases_end(self) -> None:
        """The leases of dead workers run out, so that their jobs are taken over."""
        table = schema.jobs
        with self.store.begin() as tx:
            tx.execute(
                sa.update(table)
                .where(table.c.state == "running")
                .values(lease_until="2000-01-01T00:00:00.000Z", attempts=1)
            )
            tx.commit()
        self.dead.clear()

    @rule(number=enquiries)
    def weeks_pass(self, number: str) -> None:
        """Everybody who owes an answer hears of it once, and nobody else."""
        asked = self.asked[number]
        move_filing(
            self.store, number, datetime.now(UTC) - timedelta(days=60) - timedelta(seconds=next(self.names))
        )
        self._run_reminders(number)
        told = self._reminded(number)
        self._run_reminders(number)
        assert self._reminded(number) == told
        owing = (
            set()
            if asked.expired or asked.kind == "planning"
            else {
                cvr
                for cvr in asked.first
                if asked.status(cvr) in ("waiting", "manual")
                or (asked.status(cvr) == "direct" and not asked.versions[cvr])
            }
        )
        assert owing <= set(told)

    def _run_reminders(self, number: str) -> None:
        with self.store.begin() as tx:
            jobs.enqueue(tx, REMIND, {"number": number}, Access("system:clock"))
            tx.commit()
        while self._worker(REMIND).run_one():
            pass

    def _reminded(self, number: str) -> Counter[str]:
        found = [row for row in self._rows(schema.outbox) if row.subject == number]
        payloads = [
            json.loads(row.payload) for row in found if row.event in ("answer.overdue", "answer.due-soon")
        ]
        return Counter(one["owner_cvr"] for one in payloads)

    # --- What always holds

    def _rows(self, table: sa.Table) -> list[Any]:
        with self.store.read() as connection:
            return list(connection.execute(sa.select(table)))

    def _sequences(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        for row in self._rows(schema.packages):
            found[row.enquiry].add(row.sequence)
        return found

    @invariant()
    def answers_and_their_versions_are_those_given(self) -> None:
        stored: dict[tuple[str, str], list[Any]] = defaultdict(list)
        rows = sorted(self._rows(schema.answer_versions), key=lambda row: row.version)
        for row in rows:
            stored[row.enquiry, row.owner_cvr].append(row)
        said = {
            (number, cvr): [one.status for one in versions]
            for number, asked in self.asked.items()
            for cvr, versions in asked.versions.items()
            if versions
        }
        assert {whose: [row.status for row in given] for whose, given in stored.items()} == said
        for given in stored.values():
            assert [row.version for row in given] == list(range(1, len(given) + 1))
        answers = {(row.enquiry, row.owner_cvr): row for row in self._rows(schema.answers)}
        assert set(answers) == {(number, cvr) for number, asked in self.asked.items() for cvr in asked.first}
        for (number, cvr), row in answers.items():
            asked = self.asked[number]
            assert row.status == asked.status(cvr)
            assert (row.answered_at is not None) == bool(asked.versions[cvr])
            assert (row.acknowledged_at is not None) == (cvr in asked.fetched)
            if asked.versions[cvr]:
                last = stored[number, cvr][-1]
                assert (row.version, row.delivery_id) == (last.version, last.delivery_id)
            assert (row.delivery_id is not None) == (row.status in WITH_LINES)

    @invariant()
    def grants_are_those_of_answers_with_lines(self) -> None:
        granted = sorted((row.enquiry, row.source) for row in self._rows(schema.grants))
        assert granted == sorted(
            (number, cvr)
            for number, asked in self.asked.items()
            for cvr in asked.first
            if asked.status(cvr) in WITH_LINES
        )

    @invariant()
    def every_change_is_one_event(self) -> None:
        told = Counter((row.event, row.subject) for row in self._rows(schema.outbox))
        for number, asked in self.asked.items():
            given = sum(map(len, asked.versions.values()))
            assert told["enquiry.filed", number] == 1
            assert told["answer.corrected", number] == asked.corrections
            assert told["answer.stored", number] == given - asked.corrections
            assert told["package.ready", number] == self.made[number]

    @invariant()
    def package_numbers_have_no_gap(self) -> None:
        for number, found in self._sequences().items():
            assert found == set(range(1, len(found) + 1)), number

    @invariant()
    def the_filer_sees_what_he_was_given_and_strangers_nothing(self) -> None:
        if not self.asked:
            return
        given = frozenset().union(*(asked.lines for asked in self.asked.values()))
        assert self._lines(self.digger) <= given  # where two enquiries meet, the newest answer speaks
        for number, asked in self.asked.items():
            assert self._lines(self.digger, enquiry=number) == asked.lines, number
            assert self._lines(self.stranger, enquiry=number) == set()
        for nobody in (self.stranger, Access("test:admin", STRANGER, frozenset({Role.ADMIN}))):
            assert self._lines(nobody) == set()
        for cvr, access in self.sees.items():
            assert self._lines(access) == (self.published[cvr][2] if cvr in self.published else set())

    def _lines(self, access: Access, enquiry: str | None = None) -> set[str]:
        view = self.store.view(access, "utility-features", enquiry=enquiry)
        return {name for batch in view.read() for name in batch.feature_ids}

    @invariant()
    def each_reader_sees_his_enquiries_in_their_state(self) -> None:
        found = (
            {one.number: one for one in list_enquiries(self.store, self.digger, limit=500)}
            if self.asked
            else {}
        )
        assert set(found) == set(self.asked)
        for number, asked in self.asked.items():
            assert str(found[number].state) == asked.state(self.made[number]), number
        assert list_enquiries(self.store, self.stranger) == []
        if self.asked:
            refused(NotFound, lambda: enquiry(self.store, self.stranger, max(self.asked)))
        for cvr, access in self.sees.items():
            concerning = {number for number, asked in self.asked.items() if asked.is_asked(cvr)}
            listed = {one.number: one for one in list_enquiries(self.store, access, limit=500)}
            assert set(listed) == concerning
            for one in listed.values():
                assert [answer.owner_cvr for answer in one.answers] == [cvr]
                assert one.package is None

    def packages_are_whole(self) -> None:
        """Once all work is done, the newest package of each enquiry tells of every answer."""
        newest = {
            row.enquiry: row for row in sorted(self._rows(schema.packages), key=lambda row: row.sequence)
        }
        assert set(newest) == set(self.asked)
        for number, row in newest.items():
            asked, manifest = self.asked[number], json.loads(row.manifest)
            assert (bool(row.complete), manifest["complete"]) == (asked.final, asked.final)
            assert {one["cvr"]: one["status"] for one in manifest["owners"]} == {
                cvr: asked.status(cvr) for cvr in asked.first
            }
            assert not asked.changed
            if not asked.expired:
                assert row.features == len(asked.lines)
        assert {row.state for row in self._rows(schema.jobs) if row.kind == BUILD} == {"done"}


def refused(error: type[GeoinfraError], act: Callable[[], object]) -> None:
    """Expect a refusal of exactly this kind."""
    with pytest.raises(GeoinfraError) as raised:
        act()
    assert raised.type is error, raised.value


def test_a_package_waits_for_the_one_before_whose_worker_died(store: Store) -> None:
    register(store, *OWNERS)
    digger = access_with(store, DIGGER, Role.EXCAVATOR)
    number = file_enquiry(store, digger, document(AREA, formats=["gml"])).number

    def dies(_store: Store, _context: JobContext) -> None:
        raise PowerCut

    with suppress(PowerCut):
        Worker(store, {BUILD: dies}).run_one()
    store_answer(store, owner(BY_HAND), number, svar(BY_HAND))
    worker, table = Worker(store, {BUILD: HANDLERS[BUILD]}, poll_s=0), schema.jobs
    assert [worker.run_one() for _ in range(MAX_ATTEMPTS + 1)] == [True] * (MAX_ATTEMPTS + 1)
    assert sequences(store, number) == []
    with store.begin() as tx:
        ended = {"lease_until": "2000-01-01T00:00:00.000Z"}
        tx.execute(sa.update(table).where(table.c.state == "running").values(ended))
        tx.commit()
    while worker.run_one():
        pass
    assert sequences(store, number) == [1, 2]
    assert enquiry(store, digger, number).package_behind is False


def test_a_package_does_not_wait_for_one_that_failed(store: Store) -> None:
    register(store, *OWNERS)
    digger = access_with(store, DIGGER, Role.EXCAVATOR)
    number = file_enquiry(store, digger, document(AREA, formats=["gml"])).number

    def fails(_store: Store, _context: JobContext) -> None:
        store_answer(store, owner(BY_HAND), number, svar(BY_HAND))
        raise Conflict("It cannot be made.")

    Worker(store, {BUILD: fails}).run_one()
    assert Worker(store, {BUILD: HANDLERS[BUILD]}).run_one()
    assert sequences(store, number) == [2]


def test_enquiries_live_as_the_model_says(tmp_path: Path) -> None:
    EnquiryLife.template = tmp_path / "template"
    store = open_store(EnquiryLife.template)
    register(store, *OWNERS)
    with store.begin() as tx:
        organisations.set_dispensation(tx, DIRECT, SINCE)
        tx.commit()
    store.close()
    run_state_machine_as_test(
        EnquiryLife,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=[Phase.generate] if EXAMPLES < 100 else [Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            derandomize=EXAMPLES < 100,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
