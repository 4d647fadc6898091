"""Clients that wait for a package: many ask no more often than one, and each is told at once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from small_store import WHO, make_store

import services.enquiries.waiting as waiting
from geoinfra.flows.package_jobs import enqueue_package, waiting_for_package
from geoinfra.storage import Store, schema
from geoinfra.storage.records import now

pytestmark = pytest.mark.services

WAITED_FOR = "2000-000001"  # the enquiry of the small store, which has no package


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = make_store(tmp_path)
    yield made
    made.close()


def _execute(store: Store, *statements: Any) -> None:
    with store.begin() as tx:
        for statement in statements:
            tx.execute(statement)
        tx.commit()


def _a_package(sequence: int = 1) -> Any:
    return sa.insert(schema.packages).values(
        enquiry=WAITED_FOR,
        sequence=sequence,
        blob="b",
        sha256="0" * 64,
        size_bytes=1,
        features=0,
        manifest="{}",
        created_at=now(),
    )


def test_a_package_a_failure_and_an_unknown_number_end_the_waiting(store: Store) -> None:
    assert waiting_for_package(store, {WAITED_FOR, "1999-000009"}) == {WAITED_FOR}
    with store.begin() as tx:
        enqueue_package(tx, WAITED_FOR, WHO["digger"])
        tx.commit()
    assert waiting_for_package(store, {WAITED_FOR}) == {WAITED_FOR}
    _execute(store, sa.update(schema.jobs).values(state="failed"))
    assert waiting_for_package(store, {WAITED_FOR}) == set()
    _execute(store, sa.update(schema.jobs).values(state="queued"), _a_package())
    assert waiting_for_package(store, {WAITED_FOR}) == set()


def test_two_hundred_clients_ask_once_and_all_are_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[int] = []

    def counted(store: Store, numbers: set[str]) -> set[str]:
        questions.append(len(numbers))
        return waiting_for_package(store, numbers)

    monkeypatch.setattr(waiting, "waiting_for_package", counted)

    async def wait_together() -> float:
        waits = waiting.PackageWaits(store)
        clients = [asyncio.create_task(waits.ended(WAITED_FOR, 30)) for _ in range(200)]
        await asyncio.sleep(1.0)
        assert not any(client.done() for client in clients)
        began = time.monotonic()
        await asyncio.to_thread(_execute, store, _a_package())
        await asyncio.gather(*clients)
        return time.monotonic() - began

    assert asyncio.run(wait_together()) < 5.0
    assert len(questions) < 40
    assert set(questions) == {1}


def test_waiting_ends_with_its_time(store: Store) -> None:
    async def wait_shortly() -> None:
        waits = waiting.PackageWaits(store)
        await asyncio.wait_for(waits.ended(WAITED_FOR, 0.1), 20)
        assert not waits._waiting

    asyncio.run(wait_shortly())
