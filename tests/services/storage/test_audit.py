"""The audit log: every edit shows, and many may write at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from forked import PROCESSES

from geoinfra.access import Access, Role
from geoinfra.storage import Store, open_store
from geoinfra.storage.audit import AuditEntry
from geoinfra.storage.records import Transaction
from geoinfra.storage.schema import audit, counters, secrets

OWNER = Access("token:1", "25313763", frozenset({Role.OWNER}))


def fill(store: Store, entries: int = 9) -> None:
    for number in range(entries):
        store.audit.append("package.downloaded", OWNER, f"2026-{number:06d}", {"bytes": number})


def change(store: Store, act: Callable[[Transaction], object]) -> None:
    with store.begin() as tx:
        act(tx)
        tx.commit()


def broken(store: Store) -> str | None:
    report = store.audit.verify()
    assert len(report.findings) == report.errors <= 1
    return report.findings[0].feature_id if report.findings else None


def test_an_untouched_log_is_whole(store: Store) -> None:
    assert store.audit.verify().features == 0
    fill(store)
    report = store.audit.verify()
    assert report.ok
    assert report.features == 9


def test_an_entry_keeps_who_what_and_when(store: Store) -> None:
    fill(store, 3)
    store.audit.append("view", Access.anonymous(), "bygning 'æøå'", {"z": 1, "a": "<b>"})
    newest, *older = store.audit.tail(2)
    assert len(older) == 1
    assert (newest.entry, newest.principal, newest.organisation, newest.action) == (
        4,
        "anonymous",
        None,
        "view",
    )
    assert newest.subject == "bygning 'æøå'"
    assert newest.details == '{"a":"<b>","z":1}'
    assert newest.previous_hash == older[0].hash
    assert store.audit.verify().ok


@pytest.mark.parametrize("subject", ["a\0b", "\ud800", "x\ud83d", "😀", ""])
def test_a_hostile_subject_neither_stops_nor_breaks_the_log(store: Store, subject: str) -> None:
    store.audit.append("view", OWNER, subject, {"q": subject})
    assert store.audit.verify().ok
    assert len(store.audit.tail()) == 1


def test_details_that_are_not_json_are_refused_before_anything_is_written(store: Store) -> None:
    with pytest.raises(ValueError, match="JSON"):
        store.audit.append("view", OWNER, "1", {"area_m2": float("inf")})
    assert store.audit.tail() == []


@pytest.mark.parametrize("entry", [1, 5, 9])
@pytest.mark.parametrize(
    "column", ["at", "principal", "organisation", "action", "subject", "details", "hash"]
)
def test_an_edit_is_found(store: Store, entry: int, column: str) -> None:
    fill(store)
    change(
        store,
        lambda tx: tx.execute(sa.update(audit).where(audit.c.entry == entry).values({column: "f" * 64})),
    )
    assert broken(store) == str(entry)


def test_an_edit_that_corrects_its_own_hash_is_found_at_the_next_link(store: Store) -> None:
    fill(store)

    def forge(tx: Transaction) -> None:
        row = tx.execute(sa.select(audit).where(audit.c.entry == 4)).one()
        entry = AuditEntry(**{**row._mapping, "subject": "nothing"})
        forged = {"subject": "nothing", "hash": entry.expected_hash()}
        tx.execute(sa.update(audit).where(audit.c.entry == 4).values(forged))

    change(store, forge)
    assert broken(store) == "5"


def test_a_log_rewritten_to_its_end_is_found_by_its_head(store: Store) -> None:
    fill(store)

    def forge(tx: Transaction) -> None:
        row = tx.execute(sa.select(audit).where(audit.c.entry == 9)).one()
        entry = AuditEntry(**{**row._mapping, "subject": "nothing"})
        forged = {"subject": "nothing", "hash": entry.expected_hash()}
        tx.execute(sa.update(audit).where(audit.c.entry == 9).values(forged))

    change(store, forge)
    assert broken(store) == "9"


@pytest.mark.parametrize("entry", [1, 5, 9])
def test_a_deletion_is_found(store: Store, entry: int) -> None:
    fill(store)
    change(store, lambda tx: tx.execute(sa.delete(audit).where(audit.c.entry == entry)))
    assert broken(store) == str(entry)


def test_a_cut_tail_is_found_also_after_new_entries(store: Store) -> None:
    fill(store)
    change(store, lambda tx: tx.execute(sa.delete(audit).where(audit.c.entry > 6)))
    assert broken(store) == "7"
    fill(store, 2)
    assert broken(store) == "7"


def test_a_log_emptied_is_found(store: Store) -> None:
    fill(store)
    change(store, lambda tx: tx.execute(sa.delete(audit)))
    assert broken(store) == "1"


@pytest.mark.parametrize("table", [counters, secrets])
def test_a_lost_end_mark_is_found(store: Store, table: sa.Table) -> None:
    fill(store)
    change(store, lambda tx: tx.execute(sa.delete(table).where(table.c.name.like("audit.%"))))
    assert broken(store) is not None


def test_a_removed_entry_whose_followers_were_renumbered_is_found(store: Store) -> None:
    fill(store)

    def renumber(tx: Transaction) -> None:
        tx.execute(sa.delete(audit).where(audit.c.entry == 4))
        for entry in range(5, 10):
            tx.execute(sa.update(audit).where(audit.c.entry == entry).values(entry=entry - 1))

    change(store, renumber)
    assert broken(store) == "4"


def test_an_insertion_is_found(store: Store) -> None:
    fill(store)

    def insert(tx: Transaction) -> None:
        for entry in range(9, 4, -1):
            tx.execute(sa.update(audit).where(audit.c.entry == entry).values(entry=entry + 1))
        row = tx.execute(sa.select(audit).where(audit.c.entry == 4)).one()
        tx.execute(sa.insert(audit).values(**{**row._mapping, "entry": 5}))

    change(store, insert)
    assert broken(store) == "5"


def test_an_entry_added_at_the_end_with_a_right_hash_is_found(store: Store) -> None:
    fill(store)

    def append(tx: Transaction) -> None:
        row = tx.execute(sa.select(audit).where(audit.c.entry == 9)).one()
        entry = AuditEntry(**{**row._mapping, "entry": 10, "previous_hash": row.hash})
        values = {**row._mapping, "entry": 10, "previous_hash": row.hash, "hash": entry.expected_hash()}
        tx.execute(sa.insert(audit).values(**values))

    change(store, append)
    assert broken(store) == "10"


def test_two_entries_that_changed_places_are_found(store: Store) -> None:
    fill(store)

    def swap(tx: Transaction) -> None:
        for entry, new in ((3, 99), (7, 3), (99, 7)):
            tx.execute(sa.update(audit).where(audit.c.entry == entry).values(entry=new))

    change(store, swap)
    assert broken(store) == "3"


def write_many(data_dir: Path, url: str | None, entries: int) -> None:
    store = open_store(data_dir, url)
    threads = [threading.Thread(target=fill, args=(store, entries)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()


def test_threads_of_several_processes_write_one_chain(store: Store) -> None:
    url = None if store.records.is_sqlite else store.records.url.render_as_string(hide_password=False)
    others = [PROCESSES.Process(target=write_many, args=(store.data_dir, url, 15)) for _ in range(2)]
    for other in others:
        other.start()
    threads = [threading.Thread(target=fill, args=(store, 15)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for worker in [*threads, *others]:
        worker.join()
    assert [other.exitcode for other in others] == [0, 0]
    report = store.audit.verify()
    assert report.ok
    assert report.features == (16 + 2 * 4) * 15
