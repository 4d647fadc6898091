"""A package has one file, whatever becomes of the workers that make it."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from answer_world import OWNERS, digger, filed_by, owner, register, sequences, svar
from test_flow_enquiry import work_off

from geoinfra.access import Access
from geoinfra.flows import packages
from geoinfra.flows.answers import store_answer
from geoinfra.flows.enquiries import Enquiry, Package, enquiry
from geoinfra.flows.handlers import HANDLERS
from geoinfra.flows.package_jobs import BUILD_PACKAGE
from geoinfra.storage import Store, schema
from geoinfra.storage.jobs import Worker

pytestmark = pytest.mark.services
A = OWNERS[0]


def asked(store: Store) -> tuple[Access, Enquiry]:
    register(store, A)
    access = digger(store)
    return access, filed_by(store, access)


def worker(store: Store) -> Worker:
    return Worker(store, {BUILD_PACKAGE: HANDLERS[BUILD_PACKAGE]}, lease_s=600)


def lease_ends(store: Store) -> None:
    with store.begin() as tx:
        running = schema.jobs.c.state == "running"
        ended = {"lease_until": "2000-01-01T00:00:00.000Z"}
        tx.execute(sa.update(schema.jobs).where(running).values(ended))
        tx.commit()


def files(store: Store, number: str) -> list[str]:
    return store.blobs.names(f"packages/{number}")


def package(store: Store, access: Access, number: str) -> Package:
    found = enquiry(store, access, number).package
    assert found is not None
    return found


@contextmanager
def held_before_its_file_appears(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let the first attempt stop when its zip is written, until the block ends; gives when it is."""
    write, turns = packages._write_zip, iter([True])
    written, go_on = threading.Event(), threading.Event()

    def write_and_wait(*given: Any) -> Any:
        is_first = next(turns, False)
        manifest = write(*given)
        if is_first:
            written.set()
            assert go_on.wait(60)
        return manifest

    monkeypatch.setattr(packages, "_write_zip", write_and_wait)
    try:
        yield written
    finally:
        go_on.set()


def test_a_worker_that_lost_its_lease_does_not_touch_the_package_of_the_other(
    make_store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = make_store(), make_store()
    access, filed = asked(slow)
    with held_before_its_file_appears(monkeypatch) as written:
        making = threading.Thread(target=worker(slow).run_one)
        making.start()
        assert written.wait(60)
        store_answer(quick, owner(A), filed.number, svar(A))  # so that the two write different bytes
        lease_ends(quick)
        assert worker(quick).run_one()
        recorded = package(quick, access, filed.number)
    making.join()
    blob = quick.blobs.stat(recorded.blob)
    assert (blob.sha256, blob.size_bytes) == (recorded.sha256, recorded.size_bytes)
    assert files(quick, filed.number) == [recorded.blob]
    with zipfile.ZipFile(quick.blobs.path(recorded.blob)) as archive:
        assert json.loads(archive.read("manifest.json"))["features"] == recorded.features == 2
    work_off(quick)
    assert sequences(quick, filed.number) == [1, 2]
    assert len(files(quick, filed.number)) == 2


@pytest.mark.parametrize("late", [False, True])
def test_the_file_of_an_attempt_that_was_cut_off_goes_with_the_next(
    store: Store, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    access, filed = asked(store)

    class PowerCut(BaseException):
        pass

    def cut(*_given: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(packages, "_sweep" if late else "_record", cut)
        with pytest.raises(PowerCut):
            worker(store).run_one()
    assert len(files(store, filed.number)) == 1
    assert sequences(store, filed.number) == []
    lease_ends(store)
    assert worker(store).run_one()
    assert files(store, filed.number) == [package(store, access, filed.number).blob]
