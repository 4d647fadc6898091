"""What an enquiry says of its package: being made, ready or failed, and nothing to other readers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import shapely

from geoinfra.access import Access, Role
from geoinfra.errors import InvalidInput
from geoinfra.flows.deliveries import deliver
from geoinfra.flows.enquiries import Enquiry, PackageState, enquiry, file_enquiry, list_enquiries
from geoinfra.flows.handlers import HANDLERS
from geoinfra.storage import Store, jobs, organisations
from geoinfra.storage.jobs import JobContext, Worker
from geoinfra.storage.organisations import InterestArea

pytestmark = pytest.mark.services

EXCAVATOR, OWNER = "10000009", "10000041"
AREA = shapely.box(650_720, 6_084_455, 650_800, 6_084_482)


@pytest.fixture
def filer(store: Store) -> Access:
    """An excavator, and an owner with an interest in the area who has delivered nothing."""
    since = datetime.now(UTC) - timedelta(days=1)
    area = InterestArea(1, ("water",), AREA.buffer(100), since, None)
    with store.begin() as tx:
        organisations.add_organisation(tx, EXCAVATOR, "Graver")
        organisations.add_organisation(tx, OWNER, "Ejer")
        organisations.set_interest_areas(tx, OWNER, [area])
        _, secret = organisations.create_token(tx, EXCAVATOR, [Role.EXCAVATOR], "test", timedelta(hours=1))
        tx.commit()
    with store.read() as connection:
        return organisations.authenticate(connection, secret)


@pytest.fixture
def delivered(store: Store, tiny_town: Path) -> None:
    """An owner elsewhere has delivered, so that the store holds utility lines."""
    path = min((tiny_town / "deliveries").glob("*.gml"), key=lambda p: p.stat().st_size)
    with store.begin() as tx:
        organisations.add_organisation(tx, path.stem, "En anden ejer")
        tx.commit()
    deliver(store, Access("test", path.stem, frozenset({Role.OWNER})), path, path.stem)


@pytest.fixture
def filed(store: Store, filer: Access) -> Enquiry:
    today = datetime.now(UTC).date()
    document = {
        "area": json.loads(shapely.to_geojson(AREA)),
        "crs": "EPSG:25832",
        "period": {"from": today.isoformat(), "to": (today + timedelta(days=10)).isoformat()},
        "methods": ["6"],
        "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
    }
    return file_enquiry(store, filer, document)


def _shown(store: Store, access: Access, number: str) -> dict[str, Any]:
    found = enquiry(store, access, number)
    assert list_enquiries(store, access) == [found]
    package: dict[str, Any] = found.to_json()["package"]
    return package


def _refuse(_store: Store, _context: JobContext) -> Mapping[str, Any]:
    raise InvalidInput("The package cannot be made.")


@pytest.mark.usefixtures("delivered")
def test_a_package_is_being_made_until_the_worker_has_made_it(
    store: Store, filer: Access, filed: Enquiry
) -> None:
    assert filed.package_state is PackageState.BUILDING
    assert _shown(store, filer, filed.number) == {"state": "building", "ready": False}
    assert Worker(store, HANDLERS).run_one()
    shown = _shown(store, filer, filed.number)
    assert (shown["state"], shown["ready"]) == ("ready", True)


def test_a_package_whose_job_failed_has_failed(store: Store, filer: Access, filed: Enquiry) -> None:
    assert Worker(store, {"build-package": _refuse}).run_one()
    assert _shown(store, filer, filed.number) == {"state": "failed", "ready": False}


def test_a_package_whose_job_will_be_tried_again_is_still_being_made(
    store: Store, filer: Access, filed: Enquiry
) -> None:
    def stumble(_store: Store, _context: JobContext) -> Mapping[str, Any]:
        raise RuntimeError("for once")

    assert Worker(store, {"build-package": stumble}).run_one()
    assert _shown(store, filer, filed.number) == {"state": "building", "ready": False}


def test_a_package_whose_job_was_cancelled_has_failed(store: Store, filer: Access, filed: Enquiry) -> None:
    (job,) = jobs.list_jobs(store, filer)
    with store.begin() as tx:
        jobs.cancel(tx, filer, job.job_id)
        tx.commit()
    assert _shown(store, filer, filed.number) == {"state": "failed", "ready": False}


@pytest.mark.usefixtures("delivered")
def test_an_owner_is_told_nothing_of_a_package_that_is_not_for_him(
    store: Store, filer: Access, filed: Enquiry
) -> None:
    owner = Access("test", OWNER, frozenset({Role.OWNER}))
    before = _shown(store, owner, filed.number)
    assert Worker(store, HANDLERS).run_one()
    assert enquiry(store, filer, filed.number).package_state is PackageState.READY
    assert before == _shown(store, owner, filed.number) == {"state": None, "ready": False}
