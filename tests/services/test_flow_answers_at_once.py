"""Many owners answer at one moment, and one owner twice: nothing is lost, nothing counts double."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from answer_world import OWNERS, digger, events, filed_by, owner, register, sequences, svar
from small_store import StoreMaker
from test_flow_enquiry import package_of, work_off

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, InvalidInput
from geoinfra.flows.answers import answer_versions, correct_answer, refresh_answers, store_answer
from geoinfra.flows.deliveries import deliver
from geoinfra.flows.enquiries import PackageState, enquiry
from geoinfra.flows.handlers import HANDLERS
from geoinfra.storage import Store, jobs, organisations
from geoinfra.storage.jobs import Worker
from geoinfra.utilities.enquiry import EnquiryState

pytestmark = pytest.mark.services


def at_once(*acts: Callable[[], object]) -> list[BaseException | None]:
    """Do all at one moment in threads of their own; return what each raised."""
    start = threading.Barrier(len(acts))
    raised: list[BaseException | None] = [None] * len(acts)

    def run(position: int) -> None:
        start.wait()
        try:
            acts[position]()
        except BaseException as error:
            raised[position] = error

    threads = [threading.Thread(target=run, args=(position,)) for position in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def held_back(act: Callable[[], Any], worker: Worker) -> Callable[[], Any]:
    """Let a worker look for jobs all the while that `act` runs."""

    def run() -> Any:
        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                worker.run_one()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            return act()
        finally:
            over.set()
            thread.join()

    return run


def test_owners_who_answer_at_one_moment_are_all_in_the_newest_package(make_store: StoreMaker) -> None:
    stores = [make_store() for _ in OWNERS]
    store = stores[0]
    register(store, *OWNERS)
    access = digger(store)
    filed = filed_by(store, access)
    acts = [
        lambda one=one, cvr=cvr: store_answer(one, owner(cvr), filed.number, svar(cvr))
        for one, cvr in zip(stores, OWNERS, strict=True)
    ]
    worker = Worker(make_store(), HANDLERS)
    assert held_back(lambda: at_once(*acts), worker)() == [None] * len(OWNERS)
    work_off(store)
    done = enquiry(store, access, filed.number)
    assert done.state is EnquiryState.COMPLETE
    assert done.package is not None
    assert done.package.features == 2 * len(OWNERS)
    made = sequences(store, filed.number)
    assert made == list(range(1, len(made) + 1))
    assert len(made) <= 1 + len(OWNERS)
    with package_of(store, access, filed.number) as archive:
        assert json.loads(archive.read("manifest.json"))["missing"] == []
    assert len(events(store, "answer.stored", filed.number)) == len(OWNERS)


def test_answers_that_come_while_no_worker_is_free_share_one_package(store: Store) -> None:
    register(store, *OWNERS)
    access = digger(store)
    filed = filed_by(store, access)
    work_off(store)
    for cvr in OWNERS:
        store_answer(store, owner(cvr), filed.number, svar(cvr))
    assert enquiry(store, access, filed.number).state is EnquiryState.ANSWERED
    work_off(store)
    assert sequences(store, filed.number) == [1, 2]
    assert enquiry(store, access, filed.number).state is EnquiryState.COMPLETE


def test_of_two_answers_of_one_owner_one_counts(make_store: StoreMaker) -> None:
    first, second = make_store(), make_store()
    register(first, OWNERS[0])
    access = digger(first)
    filed = filed_by(first, access)
    raised = at_once(
        lambda: store_answer(first, owner(OWNERS[0]), filed.number, svar(OWNERS[0], ["el.1"])),
        lambda: store_answer(second, owner(OWNERS[0]), filed.number, svar(OWNERS[0], ["el.1", "el.2"])),
    )
    assert sorted(type(one).__name__ for one in raised) == ["Conflict", "NoneType"]
    (kept,) = answer_versions(first, owner(OWNERS[0]), filed.number)
    assert kept.features == (2 if raised[0] else 1)
    assert len(events(first, "answer.stored", filed.number)) == 1
    work_off(first)
    found = enquiry(first, access, filed.number)
    assert found.package is not None
    assert found.package.features == kept.features


def test_of_two_corrections_one_counts_and_versions_have_no_gap(make_store: StoreMaker) -> None:
    first, second = make_store(), make_store()
    register(first, OWNERS[0])
    filed = filed_by(first, digger(first))
    store_answer(first, owner(OWNERS[0]), filed.number, svar(OWNERS[0]))
    raised = at_once(
        lambda: correct_answer(first, owner(OWNERS[0]), filed.number, svar(OWNERS[0], ["el.1"]), "en"),
        lambda: correct_answer(second, owner(OWNERS[0]), filed.number, svar(OWNERS[0], ["el.2"]), "to"),
    )
    won = sum(one is None for one in raised)
    assert won >= 1
    assert all(one is None or isinstance(one, Conflict) for one in raised)
    kept = answer_versions(first, owner(OWNERS[0]), filed.number)
    assert [one.version for one in kept] == list(range(1, won + 2))
    assert len(events(first, "answer.corrected", filed.number)) == won
    assert first.audit.verify().ok


def test_a_correction_and_a_refresh_at_one_moment_leave_one_of_them(make_store: StoreMaker) -> None:
    first, second = make_store(), make_store()
    cvr = OWNERS[0]
    register(first, cvr)
    deliver(first, owner(cvr), svar(cvr, ["el.1"]), cvr)
    access = digger(first)
    filed = filed_by(first, access)
    deliver(first, owner(cvr), svar(cvr, ["el.1", "el.2", "el.3"]), cvr)
    raised = at_once(
        lambda: correct_answer(first, owner(cvr), filed.number, svar(cvr, ["el.8", "el.9"]), "to kabler"),
        lambda: refresh_answers(second, access, filed.number),
    )
    assert all(one is None or isinstance(one, Conflict) for one in raised)
    work_off(first)
    answer = enquiry(first, access, filed.number).answers[0]
    view = first.view(access, "utility-features", enquiry=filed.number)
    assert view.deliveries == (answer.delivery_id,)
    assert view.count() == answer.features
    assert answer.version == len(answer_versions(first, access, filed.number))


def test_an_answer_that_comes_while_a_package_is_made_is_in_the_next(store: Store) -> None:
    register(store, *OWNERS[:2])
    access = digger(store)
    filed = filed_by(store, access)

    def answer_meanwhile(one: Store, context: jobs.JobContext) -> Any:
        store_answer(one, owner(OWNERS[0]), filed.number, svar(OWNERS[0]))
        return HANDLERS["build-package"](one, context)

    Worker(store, {"build-package": answer_meanwhile}).run_one()
    assert sequences(store, filed.number) == [1]
    work_off(store)
    assert sequences(store, filed.number) == [1, 2]


def test_a_package_that_failed_is_tried_again_under_its_number(store: Store) -> None:
    def refuse(_store: Store, _context: jobs.JobContext) -> Any:
        raise InvalidInput("The package cannot be made.")

    register(store, OWNERS[0])
    access = digger(store)
    filed = filed_by(store, access)
    assert Worker(store, {"build-package": refuse}).run_one()
    assert enquiry(store, access, filed.number).package_state is PackageState.FAILED
    store_answer(store, owner(OWNERS[0]), filed.number, svar(OWNERS[0]))
    assert enquiry(store, access, filed.number).package_state is PackageState.BUILDING
    work_off(store)
    assert sequences(store, filed.number) == [1]
    assert enquiry(store, access, filed.number).state is EnquiryState.COMPLETE


def test_a_late_answer_reaches_the_filer_whose_token_has_ended(store: Store) -> None:
    register(store, OWNERS[0])
    access, colleague = digger(store), digger(store)
    filed = filed_by(store, access)
    work_off(store)
    with store.begin() as tx:
        organisations.revoke_token(tx, access.principal.removeprefix("token:"))
        tx.commit()
    store_answer(store, owner(OWNERS[0]), filed.number, svar(OWNERS[0]))
    work_off(store)
    assert enquiry(store, colleague, filed.number).state is EnquiryState.COMPLETE


def test_no_token_of_another_organisation_makes_the_package(store: Store) -> None:
    register(store, OWNERS[0])
    access = digger(store)
    filed = filed_by(store, access)
    work_off(store)
    with store.begin() as tx:
        organisations.create_token(tx, OWNERS[0], [Role.OWNER], "x", timedelta(days=1))
        organisations.revoke_token(tx, access.principal.removeprefix("token:"))
        tx.commit()
    store_answer(store, owner(OWNERS[0]), filed.number, svar(OWNERS[0]))
    work_off(store)
    assert sequences(store, filed.number) == [1]
    admin = Access("x", "10000076", frozenset({Role.ADMIN}))
    assert enquiry(store, admin, filed.number).state is EnquiryState.ANSWERED
