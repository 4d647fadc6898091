"""An owner who is waited for answers by himself; the answer counts once, for this enquiry only."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import shapely
from test_flow_enquiry import EXCAVATOR, OFFICIAL_OWNER, access_with, document, package_of, work_off

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, DataRefused, NotAllowed, NotFound
from geoinfra.flows.answers import store_answer
from geoinfra.flows.enquiries import Enquiry, enquiry, file_enquiry
from geoinfra.storage import Store, organisations
from geoinfra.storage.organisations import InterestArea
from geoinfra.utilities.enquiry import AnswerStatus, EnquiryState

pytestmark = pytest.mark.services

AREA = shapely.box(721850, 6178750, 722300, 6179100)
OWNER = Access("test", OFFICIAL_OWNER, frozenset({Role.OWNER}))


@pytest.fixture
def waiting(store: Store) -> tuple[Store, Access, Enquiry]:
    """An enquiry whose only owner has delivered nothing; its first, empty package is made."""
    since = datetime(2000, 1, 1, tzinfo=UTC)
    with store.begin() as tx:
        organisations.add_organisation(tx, OFFICIAL_OWNER, "Official sample")
        organisations.set_interest_areas(tx, OFFICIAL_OWNER, [InterestArea(1, ("other",), AREA, since)])
        tx.commit()
    access = access_with(store, EXCAVATOR, Role.EXCAVATOR)
    filed = file_enquiry(store, access, document(AREA))
    work_off(store)
    return store, access, filed


def test_an_answer_gives_rows_grant_and_the_next_package(
    waiting: tuple[Store, Access, Enquiry], reference: Path
) -> None:
    store, access, filed = waiting
    assert enquiry(store, access, filed.number).state is EnquiryState.PARTIAL
    answered = store_answer(store, OWNER, filed.number, reference / "ler/samples/svarudtagettil.gml")
    assert answered.answers[0].status is AnswerStatus.POINTING_OUT_DELIVERED
    work_off(store)
    done = enquiry(store, access, filed.number)
    assert done.state is EnquiryState.COMPLETE
    assert done.package is not None
    assert done.package.sequence == 2
    assert done.package.features == answered.answers[0].features
    with package_of(store, access, filed.number) as archive:
        assert json.loads(archive.read("manifest.json"))["missing"] == []
    assert store.view(OWNER, "utility-features").sources == ()


def test_a_second_answer_is_a_conflict_and_changes_nothing(
    waiting: tuple[Store, Access, Enquiry], reference: Path
) -> None:
    store, access, filed = waiting
    path = reference / "ler/samples/svarudtagettil.gml"
    first = store_answer(store, OWNER, filed.number, path)
    with pytest.raises(Conflict, match="answered already"):
        store_answer(store, OWNER, filed.number, path)
    work_off(store)
    done = enquiry(store, access, filed.number)
    assert done.answers[0].answered_at == first.answers[0].answered_at
    assert done.package is not None
    assert done.package.sequence == 2


def test_a_faulty_answer_leaves_the_owner_waited_for(
    waiting: tuple[Store, Access, Enquiry], reference: Path, tmp_path: Path
) -> None:
    store, access, filed = waiting
    text = (reference / "ler/samples/svarudtagettil.gml").read_bytes()
    bad = tmp_path / "bad.gml"
    bad.write_bytes(text.replace(b"<ler:driftsstatus>i drift<", b"<ler:driftsstatus>gone<"))
    with pytest.raises(DataRefused):
        store_answer(store, OWNER, filed.number, bad)
    assert enquiry(store, access, filed.number).answers[0].status is AnswerStatus.WAITING


def test_only_an_owner_who_is_concerned_answers(
    waiting: tuple[Store, Access, Enquiry], reference: Path
) -> None:
    store, access, filed = waiting
    path = reference / "ler/samples/svarudtagettil.gml"
    with pytest.raises(NotAllowed):
        store_answer(store, access, filed.number, path)
    with pytest.raises(NotFound):
        store_answer(store, Access("x", "10000041", frozenset({Role.OWNER})), filed.number, path)
