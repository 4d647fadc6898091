"""Enquiries of every kind, in parts and sent again, from filing until they are forgotten; on both engines."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import shapely
import sqlalchemy as sa
from answer_world import (
    AREA,
    CABLE,
    DIGGER,
    OWNERS,
    E,
    N,
    digger,
    empty,
    expire,
    filed_by,
    owner,
    register,
    sequences,
    svar,
)
from lxml import etree
from test_flow_enquiry import document, package_of, work_off

from geoinfra.errors import Conflict, InvalidInput, NotFound
from geoinfra.flows.answers import correct_answer, hand_over, store_answer
from geoinfra.flows.deliveries import deliver
from geoinfra.flows.enquiries import Enquiry, enquiry, file_enquiry, list_enquiries, resend_enquiry
from geoinfra.flows.enquiry_records import AREA_ANSWERS
from geoinfra.flows.enquiry_retention import forget_old_enquiries
from geoinfra.flows.ler_exchange import open_requests, package_rows
from geoinfra.flows.projects import list_projects, project, whole
from geoinfra.storage import Store, organisations, schema
from geoinfra.storage.organisations import InterestArea
from geoinfra.tables import FeatureQuery
from geoinfra.utilities.areas import joined
from geoinfra.utilities.enquiry import AnswerStatus, EnquiryState
from geoinfra.utilities.filing import ANONYMOUS
from geoinfra.utilities.formats import ler
from geoinfra.utilities.model import AnswerHeader, Contact, FeatureRows, ResponseType

pytestmark = pytest.mark.services

WAITED, HOSTED, DIRECT, BESIDE = OWNERS
SINCE = datetime(2000, 1, 1, tzinfo=UTC)
TRENCH = shapely.box(E, N, E + 3_000, N + 100)  # 300,000 m2: two parts


def network(names: int = 31, first_east: float = E) -> io.BytesIO:
    """Cables of 200 m, one each 100 m along the trench: some cross the cut; one lies outside."""
    rows = FeatureRows(HOSTED)
    for i in range(names):
        east = first_east + 100 * i
        rows.add("Elledning", f"el.{i}", CABLE, shapely.LineString([(east, N + 10), (east + 200, N + 60)]))
    rows.add("Elledning", "far", CABLE, shapely.LineString([(E, N + 900), (E + 10, N + 900)]))
    head = AnswerHeader(
        "3f2b8c1e-5a40-4d7e-9c55-0b1d2e3f4a5b",
        ResponseType.DELIVERED,
        valid_to=date(2099, 1, 1),
        contact=Contact("Vagten", "70101010", "vagt@example.dk"),
    )
    file = io.BytesIO()
    ler.write_answer(file, head, [rows.batch()])
    file.seek(0)
    return file


@pytest.fixture
def world(store: Store) -> Store:
    """One owner who is waited for, one hosted, one who hands over directly; all along the trench."""
    register(store, WAITED, HOSTED, DIRECT, area=TRENCH)
    with store.begin() as tx:
        organisations.set_dispensation(tx, DIRECT, SINCE)
        organisations.add_organisation(tx, BESIDE, "Nabo", {"phone": "71717171"})
        beside = InterestArea(9, ("water",), shapely.box(E, N + 160, E + 100, N + 300), SINCE)
        organisations.set_interest_areas(tx, BESIDE, [beside])
        tx.commit()
    deliver(store, owner(HOSTED), network(), HOSTED)
    return store


def states(filed: Enquiry) -> dict[str, AnswerStatus]:
    return {answer.owner_cvr: answer.status for answer in filed.answers}


def period(start: int, end: int) -> dict[str, str]:
    today = datetime.now(UTC).date()
    return {
        "from": (today + timedelta(days=start)).isoformat(),
        "to": (today + timedelta(days=end)).isoformat(),
    }


def test_an_emergency_may_have_begun_and_a_planned_dig_may_not(world: Store) -> None:
    access, urgent = digger(world), {"kind": "emergency", "grounds": ["waste"], "reason": "Sprunget rør"}
    filed = filed_by(world, access, **urgent, begun=True, period=period(-2, 3))
    assert (filed.request.begun, filed.request.reason) == (True, "Sprunget rør")
    assert states(filed)[WAITED] is AnswerStatus.WAITING
    assert {answer.contact["phone"] for answer in filed.answers if answer.contact} == {"70101010"}
    for refused in (
        {**urgent, "period": period(-2, 3)},
        {**urgent, "begun": True, "period": period(-40, 3)},
        {**urgent, "grounds": [], "begun": True, "period": period(0, 3)},
        {"period": period(-2, 3)},
    ):
        with pytest.raises(InvalidInput):
            filed_by(world, access, **refused)
    assert len(list_enquiries(world, access)) == 1


def test_planning_asks_nobody_gives_no_lines_and_is_free(world: Store) -> None:
    access = digger(world)
    filed = filed_by(world, access, kind="planning", filer="private")
    assert set(states(filed).values()) == {AnswerStatus.NOT_ASKED}
    assert filed.fee_dkk == 0
    work_off(world)
    with package_of(world, access, filed.number) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["kind"], manifest["features"]) == ("planning", 0)
    assert "ikke spurgt" in manifest["completeness"]["statement"]["da"]
    for cvr in (WAITED, HOSTED):
        with pytest.raises(NotFound):
            enquiry(world, owner(cvr), filed.number)
    with pytest.raises(NotFound):
        store_answer(world, owner(WAITED), filed.number, svar(WAITED))
    with pytest.raises(Conflict, match="cannot be sent again"):
        resend_enquiry(world, access, filed.number)


def test_owners_beside_the_dig_area_are_named_and_not_asked(world: Store) -> None:
    access = digger(world)
    filed = filed_by(world, access, surroundings_m=80)
    assert BESIDE not in states(filed)
    assert [(one.owner_cvr, one.status) for one in filed.beside] == [(BESIDE, AnswerStatus.NOT_ASKED)]
    with pytest.raises(NotFound):
        enquiry(world, owner(BESIDE), filed.number)
    assert filed_by(world, access, surroundings_m=10).beside == ()


def test_a_trench_in_parts_is_one_package_without_a_line_twice(world: Store) -> None:
    access = digger(world)
    asked = document(TRENCH, formats=["gml", "geojson"])
    first = file_enquiry(world, access, asked, key="trench")
    assert file_enquiry(world, access, asked, key="trench").number == first.number
    with pytest.raises(Conflict):
        file_enquiry(world, access, document(AREA, formats=["gml"]), key="trench")
    assert first.project is not None
    numbers = first.project.numbers
    assert len(numbers) == 2
    parts = [enquiry(world, access, number) for number in numbers]
    assert joined([part.request.polygon for part in parts]).equals(shapely.normalize(TRENCH))
    work_off(world)
    done = whole(world, access, numbers[1])
    delivered = next(a for a in done.answers if a.owner_cvr == HOSTED)
    assert delivered.delivery_id is not None
    view = world.delivery(delivered.delivery_id)
    touching = FeatureQuery(polygon=shapely.to_wkb(TRENCH))
    expected = {name for batch in view.read(touching) for name in batch.feature_ids}
    assert len(expected) == 31
    assert sum(a.features or 0 for part in parts for a in part.answers) > 31  # some are in both parts
    assert delivered.features == 31
    with package_of(world, access, numbers[1]) as archive:
        ids = etree.fromstring(archive.read("consolidated.gml")).xpath("//@*[local-name()='id']")
        features = json.loads(archive.read("ledninger.geojson"))["features"]
        manifest = json.loads(archive.read("manifest.json"))
    assert len(ids) == len(set(ids))
    assert sorted(feature["id"] for feature in features) == sorted(expected)
    assert manifest["features"] == 31
    assert [part["number"] for part in manifest["parts"]] == list(numbers)
    assert sequences(world, numbers[0]) == [1]
    assert sequences(world, numbers[1]) == []


def test_an_answer_to_one_part_changes_the_one_package(world: Store) -> None:
    access = digger(world)
    filed = file_enquiry(world, access, document(TRENCH, formats=["gml"]))
    assert filed.project is not None
    west, east = sorted(
        filed.project.numbers, key=lambda one: enquiry(world, access, one).request.polygon.centroid.x
    )
    work_off(world)
    store_answer(world, owner(WAITED), west, svar(WAITED))
    work_off(world)
    half = whole(world, access, east)
    assert states(half)[WAITED] is AnswerStatus.WAITING  # the other part is still open
    assert half.package is not None
    assert (half.package.sequence, half.package.features) == (2, 33)
    store_answer(world, owner(WAITED), east, empty(WAITED, ResponseType.NO_LINES))
    work_off(world)
    done = whole(world, access, west)
    assert states(done)[WAITED] is AnswerStatus.DELIVERED
    assert done.state is EnquiryState.PARTIAL  # one owner sends his information himself, and has not yet
    hand_over(world, owner(DIRECT), west)
    hand_over(world, owner(DIRECT), east)
    done = whole(world, access, west)
    assert done.state is EnquiryState.COMPLETE
    correct_answer(world, owner(WAITED), west, svar(WAITED, ("el.1",)), "En ledning for meget")
    work_off(world)
    assert sequences(world, filed.project.number) == [1, 2, 3, 4]
    corrected = whole(world, access, west)
    assert corrected.package is not None
    assert corrected.package.features == 32


def test_in_lers_interface_each_part_is_a_request_of_its_own_and_the_package_is_one(world: Store) -> None:
    access = digger(world)
    filed = file_enquiry(world, access, document(TRENCH, formats=["gml"]))
    assert filed.project is not None
    work_off(world)
    fresh, late = open_requests(world, owner(WAITED))
    assert [one.enquiry.number for one in fresh] == list(filed.project.numbers)
    assert late == []
    assert sum(shape.area for one in fresh for shape in one.common) == pytest.approx(TRENCH.area)
    (row,) = package_rows(world, access)
    assert (row.enquiry.number, [cvr for cvr, _ in row.missing]) == (filed.number, [WAITED])
    store_answer(world, owner(WAITED), filed.project.numbers[0], svar(WAITED))
    fresh, _ = open_requests(world, owner(WAITED))
    assert [one.enquiry.number for one in fresh] == [filed.project.numbers[1]]


def test_a_package_of_a_project_has_the_same_bytes_for_the_same_answers(world: Store) -> None:
    access = digger(world)
    filed = file_enquiry(world, access, document(TRENCH, formats=["gml", "gpkg"]))
    work_off(world)
    with package_of(world, access, filed.number) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with world.begin() as tx:
        tx.execute(sa.delete(schema.packages))
        again = {"state": "queued", "attempts": 0, "finished_at": None, "result": None}
        tx.execute(sa.update(schema.jobs).where(schema.jobs.c.kind == "build-package").values(**again))
        tx.commit()
    work_off(world)
    with package_of(world, access, filed.number) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == content


def test_the_yearly_cap_counts_all_parts_and_enquiries(world: Store) -> None:
    access = digger(world)
    first = file_enquiry(world, access, document(TRENCH, formats=["gml"]))
    with world.begin() as tx:  # as if much had been filed this year
        ours = schema.enquiries.c.number == first.number
        tx.execute(sa.update(schema.enquiries).where(ours).values(fee_dkk="163500.00"))
        tx.commit()
    second = whole(world, access, file_enquiry(world, access, document(TRENCH, formats=["gml"])).number)
    assert second.fee_dkk == Decimal("166000") - Decimal("163500.00") - Decimal("1050.00")
    assert [part.fee_dkk for part in second.parts] == [Decimal("1050.00"), Decimal("400.00")]
    assert filed_by(world, access).fee_dkk == 0


def test_a_project_is_sent_again_whole_free_and_once_for_a_key(world: Store) -> None:
    access = digger(world)
    first = file_enquiry(world, access, document(TRENCH, formats=["gml"]))
    assert first.project is not None
    deliver(world, owner(HOSTED), network(20), HOSTED)
    again = resend_enquiry(world, access, first.project.numbers[1], key="again")
    assert resend_enquiry(world, access, first.number, key="again").number == again.number
    sent = whole(world, access, again.number)
    assert [part.original for part in sent.parts] == list(first.project.numbers)
    assert sent.fee_dkk == 0
    newest = next(answer for answer in sent.answers if answer.owner_cvr == HOSTED)
    assert newest.features == 20
    with pytest.raises(Conflict) as refused:
        resend_enquiry(world, access, again.number)
    assert first.number in refused.value.hint
    assert "kan ikke gensendes" in refused.value.details["message_da"]
    listed = list_projects(world, access)
    assert [one.number for one in listed] == [again.number, first.number]
    assert project(world, owner(WAITED), first.project.numbers[1]).number == first.project.numbers[1]


def test_an_owner_who_sends_himself_is_named_where_the_package_says_it_is_complete(world: Store) -> None:
    access = digger(world)
    filed = filed_by(world, access)
    store_answer(world, owner(WAITED), filed.number, svar(WAITED))
    work_off(world)
    with package_of(world, access, filed.number) as archive:
        told = json.loads(archive.read("manifest.json"))["completeness"]
    assert (told["asked"], told["answered"]) == (3, 2)
    assert [one["cvr"] for one in told["sent_directly"]] == [DIRECT]
    for language, words in (("da", "sender selv"), ("en", "send their information themselves")):
        assert words in told["statement"][language]
        assert f"Ejer {DIRECT}" in told["statement"][language]
        assert not told["statement"][language].endswith(("har svaret.", "have answered."))


# --- Forgetting


def move_period(store: Store, number: str, last_day: date) -> None:
    table = schema.enquiries
    with store.begin() as tx:
        values: dict[str, Any] = {
            "period_from": (last_day - timedelta(days=3)).isoformat(),
            "period_to": last_day.isoformat(),
        }
        tx.execute(sa.update(table).where(table.c.number == number).values(**values))
        tx.commit()
    expire(store, number)


def kept(store: Store, number: str) -> dict[str, Any]:
    tables = (schema.answers, schema.answer_versions, schema.grants)
    with store.read() as connection:
        row = connection.execute(sa.select(schema.enquiries).where(schema.enquiries.c.number == number)).one()
        counts = [
            connection.scalar(sa.select(sa.func.count()).where(table.c.enquiry == number)) for table in tables
        ]
        once = connection.scalar(
            sa.select(sa.func.count()).where(schema.deliveries.c.published.is_(sa.false()))
        )
        manifests = connection.scalars(
            sa.select(schema.packages.c.manifest).where(schema.packages.c.enquiry == number)
        ).all()
    return {"row": row, "counts": counts, "once": once, "manifests": manifests}


def test_an_old_enquiry_loses_persons_and_packages_then_all(world: Store) -> None:
    access = digger(world)
    old, young = (filed_by(world, access, description="Hos Hansen", own_number="7") for _ in range(2))
    store_answer(world, owner(WAITED), old.number, svar(WAITED))
    work_off(world)
    package = enquiry(world, access, old.number).package
    assert package is not None
    part = world.blobs.put(f"{AREA_ANSWERS}/{old.number}/{WAITED}/1", b"one area's part of an answer").name
    last_day = date(2020, 2, 29)
    move_period(world, old.number, last_day)
    assert forget_old_enquiries(world, today=date(2023, 2, 28)).to_json() == {"anonymised": [], "erased": []}
    dry = forget_old_enquiries(world, today=date(2023, 3, 1), dry_run=True)
    assert (dry.anonymised, world.blobs.exists(package.blob)) == ((old.number,), True)
    assert forget_old_enquiries(world, today=date(2023, 3, 1)) == dry
    assert forget_old_enquiries(world, today=date(2023, 3, 1)).anonymised == ()  # once
    assert enquiry(world, access, young.number).request.description == "Hos Hansen"
    after = enquiry(world, access, old.number)
    assert (after.request.contact.name, after.request.contact.email) == (ANONYMOUS, "")
    assert (after.request.description, after.request.own_number) == ("", "")
    assert after.request.polygon.equals(old.request.polygon)
    assert {answer.header.get("contact") for answer in after.answers} == {None}
    assert not world.blobs.exists(package.blob)
    assert not world.blobs.exists(part)
    left = kept(world, old.number)
    assert (left["counts"], left["once"], set(left["manifests"])) == ([3, 2, 0], 0, {"{}"})
    assert forget_old_enquiries(world, today=date(2030, 3, 1)).erased == (old.number,)
    assert forget_old_enquiries(world, today=date(2030, 3, 1)).erased == ()
    gone = kept(world, old.number)
    assert gone["counts"] == [0, 0, 0]
    assert shapely.from_wkb(gone["row"].polygon).is_empty
    assert (gone["row"].erased_at is not None, gone["row"].fee_dkk) == (True, str(old.fee_dkk))
    with pytest.raises(NotFound):
        enquiry(world, access, old.number)
    assert world.audit.verify().ok


def test_planning_is_never_shown_and_erased_after_three_years(world: Store) -> None:
    filed = filed_by(world, digger(world), kind="planning")
    move_period(world, filed.number, date(2020, 1, 1))
    assert forget_old_enquiries(world, today=date(2023, 1, 1)).erased == ()
    assert forget_old_enquiries(world, today=date(2023, 1, 2)).erased == (filed.number,)


def test_forgetting_that_was_cut_off_is_finished_the_next_time(
    world: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import geoinfra.flows.enquiry_retention as flow

    access = digger(world)
    filed = filed_by(world, access)
    work_off(world)
    move_period(world, filed.number, date(2020, 1, 1))

    def power_cut(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(flow, "_forget_answers", power_cut)
        with pytest.raises(KeyboardInterrupt):
            forget_old_enquiries(world, today=date(2024, 1, 1))
    assert enquiry(world, access, filed.number).request.contact.name == "Karen Graver"
    assert forget_old_enquiries(world, today=date(2024, 1, 1)).anonymised == (filed.number,)


def test_the_nightly_job_runs_once_a_night_and_asks_for_the_next(world: Store) -> None:
    from geoinfra.flows.nightly import FORGET_ENQUIRIES, wait_for_night

    for _ in range(3):
        wait_for_night(world, FORGET_ENQUIRIES)
    table = schema.jobs.c
    with world.begin() as tx:
        mine = table.kind == FORGET_ENQUIRIES
        assert tx.connection.scalar(sa.select(sa.func.count()).where(mine)) == 1
        values = {"run_after": "2020-01-01T00:00:00.000Z", "key": "yesterday"}
        tx.execute(sa.update(schema.jobs).where(mine).values(**values))
        tx.commit()
    work_off(world)
    with world.read() as connection:
        found = connection.execute(
            sa.select(table.state, table.result).where(mine).order_by(table.state)
        ).all()
    assert [row.state for row in found] == ["done", "queued"]
    assert json.loads(found[0].result) == {"anonymised": 0, "erased": 0}


def test_the_command_line_tells_the_fee_sends_again_and_forgets(world: Store, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from geoinfra.cli import StoreAddress, app

    first = file_enquiry(world, digger(world), document(TRENCH, formats=["gml"]))
    area = tmp_path / "area.geojson"
    area.write_text(shapely.to_geojson(TRENCH))

    class Here(StoreAddress):
        @contextmanager
        def open(self) -> Iterator[Store]:
            yield world

    def run(*words: str) -> Any:
        place = Here(lambda: (world.data_dir, None))
        done = CliRunner().invoke(app, ["utilities", *words, "--json"], obj=place)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    fee = run("fee", str(area), "--as", DIGGER, "--crs", "EPSG:25832")
    assert (fee["fee_dkk"], len(fee["parts"])) == ("2100.00", 2)
    assert run("resend", first.number, "--as", DIGGER)["original"] == first.number
    assert run("forget-old", "--dry-run") == {"anonymised": [], "erased": []}
