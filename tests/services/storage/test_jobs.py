"""Jobs happen once, whoever dies; and only with what their principal may do when they run."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from forked import PROCESSES

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, InvalidInput, NotFound, StorageUnavailable
from geoinfra.storage import Store, open_store
from geoinfra.storage.bells import Bell
from geoinfra.storage.jobs import (
    MAX_ATTEMPTS,
    Job,
    JobContext,
    LeaseLost,
    Worker,
    cancel,
    enqueue,
    get,
    list_jobs,
    wake,
)
from geoinfra.storage.organisations import add_organisation, create_token, revoke_token
from geoinfra.storage.schema import counters, jobs

SYSTEM = Access("system:test")
ADMIN = Access("token:admin", None, frozenset({Role.ADMIN}))
CVR, OTHER_CVR = "25313763", "61056416"


def queue(store: Store, kind: str = "work", access: Access = SYSTEM, **options: Any) -> str:
    payload = options.pop("payload", {})
    with store.begin() as tx:
        job_id = enqueue(tx, kind, payload, access, **options)
        tx.commit()
    return job_id


def token_of(store: Store, cvr: str, *roles: Role) -> Access:
    with store.begin() as tx:
        if (
            tx.connection.scalar(sa.text("SELECT 1 FROM organisations WHERE cvr = :cvr"), {"cvr": cvr})
            is None
        ):
            add_organisation(tx, cvr, f"Organisation {cvr}")
        token_id, _ = create_token(tx, cvr, roles, "test", timedelta(hours=1))
        tx.commit()
    return Access(f"token:{token_id}", cvr, frozenset(roles))


def run_all(worker: Worker) -> int:
    done = 0
    while worker.run_one():
        done += 1
    return done


def steal_lease(store: Store, job_id: str) -> None:
    with store.begin() as tx:
        tx.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(lease_owner="somebody else"))
        tx.commit()


def wait_for(store: Store, job_id: str, *states: str) -> Job:
    deadline = time.monotonic() + 60
    while (job := get(store, ADMIN, job_id)).state not in states:
        assert time.monotonic() < deadline, f"the job stays {job.state}"
        time.sleep(0.01)
    return job


def count_effect(store: Store, job: JobContext) -> None:
    """The exactly-once pattern: the effect and the job's end in one transaction."""
    with store.begin() as tx:
        name = f"effect {job.job_id}"
        changed = tx.execute(
            sa.update(counters).where(counters.c.name == name).values(value=counters.c.value + 1)
        )
        if changed.rowcount == 0:
            tx.execute(sa.insert(counters).values(name=name, value=1))
        job.finish(tx, {"counted": True})
        tx.commit()


def effects(store: Store) -> list[int]:
    with store.read() as connection:
        return list(connection.scalars(sa.select(counters.c.value).where(counters.c.name.like("effect %"))))


def test_a_job_exists_only_once_its_transaction_is_committed(store: Store) -> None:
    with store.begin() as tx:
        job_id = enqueue(tx, "work", {}, SYSTEM)
    with pytest.raises(NotFound):
        get(store, ADMIN, job_id)


def test_a_job_runs_with_its_payload_and_keeps_its_result(store: Store) -> None:
    job_id = queue(store, payload={"enquiry": "2026-000001", "n": 3})
    seen: list[JobContext] = []

    def handler(_: Store, job: JobContext) -> dict[str, int]:
        seen.append(job)
        return {"rows": 7}

    assert run_all(Worker(store, {"work": handler})) == 1
    job = get(store, ADMIN, job_id)
    assert seen[0].payload == {"enquiry": "2026-000001", "n": 3}
    assert (job.state, job.progress, job.result, job.attempts) == ("done", 1.0, {"rows": 7}, 1)
    assert job.created_at <= str(job.started_at) <= str(job.finished_at)


def test_a_key_makes_one_job_of_many_requests(store: Store) -> None:
    first = queue(store, key="package:1")
    assert queue(store, key="package:1") == first
    assert queue(store, key="package:2") != first
    assert len(list_jobs(store, ADMIN)) == 2


def test_a_key_makes_one_job_of_simultaneous_requests(store: Store) -> None:
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.append(queue(store, key="same"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1


def test_jobs_run_in_the_order_of_their_filing_and_not_before_their_time(store: Store) -> None:
    later = queue(store, run_after=datetime.now(UTC) + timedelta(hours=1))
    ids = [queue(store) for _ in range(5)]
    order: list[str] = []
    run_all(Worker(store, {"work": lambda _, job: order.append(job.job_id)}))
    assert order == ids
    assert get(store, ADMIN, later).state == "queued"


def test_a_worker_leaves_kinds_it_does_not_know(store: Store) -> None:
    job_id = queue(store, kind="other")
    assert run_all(Worker(store, {"work": lambda *_: None})) == 0
    assert get(store, ADMIN, job_id).state == "queued"


def test_the_access_of_a_job_is_that_of_its_token_now(store: Store) -> None:
    owner = token_of(store, CVR, Role.OWNER)
    queue(
        store, access=Access(owner.principal, "99999999", frozenset(Role))
    )  # what the filer claims is ignored
    queue(store, access=SYSTEM)
    seen: list[Access] = []
    run_all(Worker(store, {"work": lambda _, job: seen.append(job.access)}))
    assert seen == [owner, Access("system:test")]


def test_a_job_of_a_revoked_token_fails_without_running(store: Store) -> None:
    owner = token_of(store, CVR, Role.OWNER)
    job_id = queue(store, access=owner)
    with store.begin() as tx:
        revoke_token(tx, owner.principal.removeprefix("token:"))
        tx.commit()
    ran: list[str] = []
    run_all(Worker(store, {"work": lambda _, job: ran.append(job.job_id)}))
    job = get(store, ADMIN, job_id)
    assert not ran
    assert job.state == "failed"
    assert job.result is not None
    assert job.result["code"] == "not-allowed"


def test_progress_is_seen_by_others(store: Store) -> None:
    job_id = queue(store)
    seen: list[Job] = []

    def handler(_: Store, job: JobContext) -> None:
        job.progress(0.25, "reading")
        seen.append(get(store, ADMIN, job_id))

    run_all(Worker(store, {"work": handler}))
    assert (seen[0].state, seen[0].progress, seen[0].message) == ("running", 0.25, "reading")


def test_a_waiting_job_is_cancelled_at_once(store: Store) -> None:
    job_id = queue(store)
    for _ in range(2):
        with store.begin() as tx:
            assert cancel(tx, ADMIN, job_id).state == "cancelled"
            tx.commit()
    assert run_all(Worker(store, {"work": lambda *_: None})) == 0


def test_a_running_job_is_cancelled_at_its_next_report(store: Store) -> None:
    job_id = queue(store)

    def handler(_: Store, job: JobContext) -> None:
        job.progress(0.1)
        with store.begin() as tx:
            assert cancel(tx, ADMIN, job_id).cancel_requested
            tx.commit()
        while True:
            job.progress(0.5)
            time.sleep(0.01)

    run_all(Worker(store, {"work": handler}))
    assert get(store, ADMIN, job_id).state == "cancelled"


def test_an_ended_job_cannot_be_cancelled(store: Store) -> None:
    job_id = queue(store)
    run_all(Worker(store, {"work": lambda *_: None}))
    with store.begin() as tx, pytest.raises(Conflict):
        cancel(tx, ADMIN, job_id)


def test_a_refusal_fails_the_job_at_once_and_says_why(store: Store) -> None:
    job_id = queue(store)

    def handler(_: Store, job: JobContext) -> None:
        raise InvalidInput("The polygon has no area.", hint="Draw it again.")

    run_all(Worker(store, {"work": handler}))
    job = get(store, ADMIN, job_id)
    assert (job.state, job.attempts, job.message) == ("failed", 1, "The polygon has no area.")
    assert job.result == {
        "code": "invalid-input",
        "title": "The input cannot be used",
        "detail": "The polygon has no area.",
        "hint": "Draw it again.",
    }


@pytest.mark.parametrize(
    "error", [RuntimeError("secret in the text"), StorageUnavailable("The database is away.")]
)
def test_other_errors_are_tried_five_times(store: Store, error: Exception) -> None:
    job_id = queue(store)

    def handler(_: Store, job: JobContext) -> None:
        raise error

    worker = Worker(store, {"work": handler}, backoff_s=0.0)
    assert run_all(worker) == MAX_ATTEMPTS
    job = get(store, ADMIN, job_id)
    assert (job.state, job.attempts) == ("failed", MAX_ATTEMPTS)
    assert "secret" not in job.message
    assert "secret" not in str(job.result)


def test_a_retry_waits_and_then_succeeds(store: Store) -> None:
    job_id = queue(store)
    tries: list[int] = []

    def handler(_: Store, job: JobContext) -> None:
        tries.append(job.job.attempts)
        if len(tries) == 1:
            raise RuntimeError

    assert run_all(Worker(store, {"work": handler}, backoff_s=3600.0)) == 1
    assert get(store, ADMIN, job_id).state == "queued"
    with store.begin() as tx:
        tx.execute(sa.update(jobs).values(run_after=jobs.c.created_at))
        tx.commit()
    assert run_all(Worker(store, {"work": handler})) == 1
    assert (get(store, ADMIN, job_id).state, tries) == ("done", [1, 2])


def test_finish_commits_the_effect_and_the_end_together(store: Store) -> None:
    job_id = queue(store)

    def handler(store: Store, job: JobContext) -> dict[str, bool]:
        count_effect(store, job)
        return {"counted": False}  # too late: the job has ended

    run_all(Worker(store, {"work": handler}))
    assert get(store, ADMIN, job_id).result == {"counted": True}
    assert effects(store) == [1]


def test_an_error_after_finish_does_not_undo_the_end(store: Store) -> None:
    job_id = queue(store)

    def handler(store: Store, job: JobContext) -> None:
        count_effect(store, job)
        raise RuntimeError

    run_all(Worker(store, {"work": handler}))
    assert get(store, ADMIN, job_id).state == "done"
    assert effects(store) == [1]


def test_finish_that_is_rolled_back_leaves_the_job_unfinished(store: Store) -> None:
    job_id = queue(store)

    def handler(store: Store, job: JobContext) -> None:
        with store.begin() as tx:
            job.finish(tx, {})
        assert get(store, ADMIN, job_id).state == "running"

    run_all(Worker(store, {"work": handler}))
    assert get(store, ADMIN, job_id).state == "done"


def test_a_worker_that_lost_its_lease_changes_nothing(store: Store) -> None:
    job_id = queue(store)

    def handler(store: Store, job: JobContext) -> None:
        steal_lease(store, job_id)
        with pytest.raises(LeaseLost):
            job.progress(0.5)
        count_effect(store, job)

    run_all(Worker(store, {"work": handler}))
    job = get(store, ADMIN, job_id)
    assert (job.state, job.result) == ("running", None)
    assert effects(store) == []


def test_an_abandoned_lease_is_taken_over(store: Store) -> None:
    job_id = queue(store)

    class Killed(BaseException):
        pass

    def dies(_: Store, job: JobContext) -> None:
        raise Killed

    with pytest.raises(Killed):
        Worker(store, {"work": dies}, lease_s=0.2).run_one()
    again = Worker(store, {"work": lambda *_: None})
    assert not again.run_one()  # the lease is still in force
    time.sleep(0.3)
    assert again.run_one()
    job = get(store, ADMIN, job_id)
    assert (job.state, job.attempts) == ("done", 2)


def test_a_job_that_kills_every_worker_fails_in_the_end(store: Store) -> None:
    job_id = queue(store)
    with store.begin() as tx:
        past = {"state": "running", "attempts": MAX_ATTEMPTS, "lease_until": "2000-01-01T00:00:00.000Z"}
        tx.execute(sa.update(jobs).values(past))
        tx.commit()
    ran: list[str] = []
    run_all(Worker(store, {"work": lambda _, job: ran.append(job.job_id)}))
    assert not ran
    assert get(store, ADMIN, job_id).state == "failed"


def test_a_beating_worker_keeps_its_job_however_long_it_takes(store: Store) -> None:
    job_id = queue(store)
    started, release = threading.Event(), threading.Event()

    def slow(_: Store, job: JobContext) -> None:
        started.set()
        assert release.wait(30)

    worker = threading.Thread(target=Worker(store, {"work": slow}, lease_s=0.6).run_one)
    worker.start()
    assert started.wait(30)
    rival = Worker(store, {"work": slow})
    for _ in range(20):
        assert not rival.run_one()
        time.sleep(0.1)
    release.set()
    worker.join()
    assert get(store, ADMIN, job_id).attempts == 1


def test_many_workers_never_run_one_job_twice(store: Store) -> None:
    ids = [queue(store) for _ in range(40)]
    runs: Counter[str] = Counter()
    workers = [Worker(store, {"work": lambda _, job: runs.update([job.job_id])}) for _ in range(6)]
    threads = [threading.Thread(target=run_all, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs == Counter(ids)


def test_a_commit_rouses_a_sleeping_worker(store: Store) -> None:
    stop = threading.Event()
    worker = Worker(store, {"work": lambda *_: None}, poll_s=600.0)
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    for _ in range(3):
        wait_for(store, queue(store), "done")
    stop.set()
    wake(store)
    thread.join(30)
    assert not thread.is_alive()


def test_a_bell_rings_for_every_listener_and_not_without_commit(store: Store) -> None:
    with Bell(store.records, "worker") as one, Bell(store.records, "worker") as two:
        with store.begin() as tx:
            enqueue(tx, "work", {}, SYSTEM)
        assert not one.wait(0.05)
        queue(store)
        assert one.wait(30)
        assert two.wait(30)
        assert not two.wait(0.05)


def test_a_stopped_worker_gives_its_job_back(store: Store) -> None:
    job_id = queue(store)
    stop = threading.Event()

    def handler(_: Store, job: JobContext) -> None:
        stop.set()
        job.progress(0.5)

    Worker(store, {"work": handler}).run(stop)
    job = get(store, ADMIN, job_id)
    assert (job.state, job.attempts) == ("queued", 0)


def test_jobs_are_seen_by_their_principal_his_colleagues_and_the_administrator(store: Store) -> None:
    mine, colleague = token_of(store, CVR, Role.EXCAVATOR), token_of(store, CVR, Role.OWNER)
    stranger = token_of(store, OTHER_CVR, Role.EXCAVATOR)
    job_id = queue(store, access=mine)
    for access in (mine, colleague, ADMIN):
        assert get(store, access, job_id).job_id == job_id
        assert [job.job_id for job in list_jobs(store, access)] == [job_id]
    for access in (stranger, Access.anonymous(), Access("system:other")):
        assert list_jobs(store, access) == []
        with pytest.raises(NotFound):
            get(store, access, job_id)
        with store.begin() as tx, pytest.raises(NotFound):
            cancel(tx, access, job_id)


def test_anonymous_jobs_are_reached_by_their_identifier_only(store: Store) -> None:
    job_id = queue(store, access=Access.anonymous())
    assert get(store, Access.anonymous(), job_id).state == "queued"
    assert list_jobs(store, Access.anonymous()) == []


@pytest.mark.parametrize("job_id", ["", "x" * 26, "a\0b", "' OR 1=1 --"])
def test_an_unknown_identifier_is_not_found(store: Store, job_id: str) -> None:
    queue(store)
    with pytest.raises(NotFound):
        get(store, ADMIN, job_id)


def count_slowly(store: Store, job: JobContext) -> None:
    for step in range(5):
        job.progress(step / 5)
        time.sleep(0.004)
    count_effect(store, job)


def hang(store: Store, job: JobContext) -> None:
    """Take the job, and never end by itself."""
    job.progress(0.1, "hanging")
    time.sleep(600)


_DOES = {"count": count_slowly, "hang": hang}


def work(data_dir: Path, url: str | None, does: str, lease_s: float) -> None:
    """What a worker process does, until it is killed."""
    store = open_store(data_dir, url)
    worker = Worker(store, {"work": _DOES[does]}, lease_s=lease_s, poll_s=0.05, backoff_s=0.05)
    worker.run(threading.Event())


def start_worker(store: Store, does: str = "count", lease_s: float = 1.0) -> ForkServerProcess:
    url = None if store.records.is_sqlite else store.records.url.render_as_string(hide_password=False)
    worker = PROCESSES.Process(target=work, args=(store.data_dir, url, does, lease_s), daemon=True)
    worker.start()
    return worker


def kill(worker: ForkServerProcess) -> None:
    worker.kill()  # SIGKILL
    worker.join()
    worker.close()


def starts(store: Store) -> int:
    with store.read() as connection:
        return connection.scalar(sa.select(sa.func.sum(jobs.c.attempts))) or 0


def test_every_job_takes_effect_once_though_workers_are_killed_at_random(store: Store) -> None:
    chance = random.Random(20261124)
    ids = [queue(store) for _ in range(40)]
    for _ in range(MAX_ATTEMPTS):
        before = starts(store)
        pair = [start_worker(store) for _ in range(2)]
        while starts(store) == before:
            time.sleep(0.001)
        time.sleep(chance.uniform(0.0, 0.1))
        for worker in pair:
            kill(worker)
    with store.begin() as tx:  # jobs that several kills hit must not run out of attempts here
        tx.execute(sa.update(jobs).where(jobs.c.state != "done").values(attempts=0))
        tx.commit()
    survivor = start_worker(store)
    try:
        for job_id in ids:
            assert wait_for(store, job_id, "done", "failed").state == "done"
    finally:
        kill(survivor)
    assert effects(store) == [1] * len(ids)


def test_the_job_of_a_killed_worker_is_taken_over_at_once_and_that_of_a_living_one_is_not(
    store: Store,
) -> None:
    job_id = queue(store)
    hanging = start_worker(store, "hang", lease_s=3600)
    while get(store, ADMIN, job_id).message != "hanging":
        time.sleep(0.01)
    heir = start_worker(store, lease_s=3600)
    try:
        assert wait_for(store, queue(store), "done").result == {"counted": True}
        assert get(store, ADMIN, job_id).state == "running"
        kill(hanging)
        assert wait_for(store, job_id, "done").attempts == 2
    finally:
        kill(heir)
    assert len(list((store.data_dir / "workers").iterdir())) == 1  # the heir's, who was killed too


def test_a_commit_here_rouses_a_worker_in_another_process(store: Store) -> None:
    worker = start_worker(store)
    try:
        assert wait_for(store, queue(store), "done").result == {"counted": True}
    finally:
        kill(worker)
