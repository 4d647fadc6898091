"""Interest areas through their life, and deliveries that wait for their owner, on both engines."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import shapely
import sqlalchemy as sa
from answer_world import AREA, OWNERS, E, N, digger, filed_by, move_filing, register, svar
from small_store import StoreMaker
from test_flow_enquiry import package_of, work_off

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, InvalidGeometry, InvalidInput, NotAllowed, NotFound, UnreadableFile
from geoinfra.flows import owners
from geoinfra.flows.deliveries import (
    DeliveryState,
    deliver,
    discard_reviewed,
    list_deliveries,
    publish_reviewed,
)
from geoinfra.flows.enquiries import enquiry
from geoinfra.flows.owners import (
    AreaStep,
    area_collection,
    coverage,
    propose_areas,
    read_interest_areas,
    step_area,
)
from geoinfra.flows.reminders import overdue_answers
from geoinfra.storage import Store, schema
from geoinfra.storage.organisations import AreaState, owners_in
from geoinfra.storage.outbox import events_after
from geoinfra.utilities.enquiry import AnswerStatus
from geoinfra.utilities.legal_clock import DENMARK

pytestmark = pytest.mark.services

A, B, OPERATOR = OWNERS[0], OWNERS[1], OWNERS[3]
ANNA = Access("test:anna", A, frozenset({Role.OWNER}))
BENT = Access("test:bent", A, frozenset({Role.OWNER}))
STRANGER = Access("test:stranger", B, frozenset({Role.OWNER}))
ADMIN = Access("test:admin", OPERATOR, frozenset({Role.ADMIN}))
BEYOND = shapely.box(E + 1000, N, E + 1100, N + 100)
CONTACT = {"name": "Vagten", "email": "vagt@example.dk", "phone": "70101010"}


@pytest.fixture
def world(store: Store) -> Store:
    """An owner with the live area 1 around the dig area, and a stranger elsewhere."""
    register(store, A)
    register(store, B, area=BEYOND.buffer(300), first=2)
    return store


def feature(area: shapely.Geometry, number: int | None = None, **changes: Any) -> dict[str, Any]:
    known = {"number": number} if number else {}
    properties = {"supply_types": ["electricity"], **known, **changes}
    geometry = json.loads(shapely.to_geojson(area))
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def areas(*features: dict[str, Any], crs: str = "EPSG:25832") -> dict[str, Any]:
    return {"type": "FeatureCollection", "crs": crs, "features": list(features)}


def asked_at(
    store: Store, place: shapely.Polygon, moment: datetime | None = None
) -> dict[str, tuple[int, ...]]:
    """Return whom an enquiry would ask: CVR number -> numbers of areas."""
    with store.read() as connection:
        hits = owners_in(connection, place, moment or datetime.now(UTC))
    return {hit.owner_cvr: hit.numbers for hit in hits}


def told(store: Store) -> list[tuple[str, int, str]]:
    """Return what was told of areas, oldest first."""
    with store.read() as connection:
        found = events_after(connection, 0, 2**31 - 1, 10_000)
    return [(e.subject, e.payload["area"], e.payload["state"]) for e in found if e.event == "area.changed"]


def proposed(
    store: Store, *features: dict[str, Any], access: Access = ANNA, submit: bool = True
) -> list[int]:
    made = propose_areas(store, access, A, areas(*features), submit=submit)
    return [one.area.number for one in made]


# --- The life of an area


def test_a_new_area_asks_nobody_before_another_person_accepts_it(world: Store) -> None:
    (number,) = proposed(world, feature(BEYOND), submit=False)
    for step, state in ((None, AreaState.DRAFT), (AreaStep.SUBMIT, AreaState.REVIEW)):
        if step:
            step_area(world, ANNA, A, number, step)
        (shown,) = [one for one in owners.list_areas(world, ANNA, A) if one.area.number == number]
        assert shown.state is state
        assert asked_at(world, BEYOND) == {B: (2,)}
    with pytest.raises(NotAllowed):
        step_area(world, ANNA, A, number, AreaStep.ACCEPT)
    assert asked_at(world, BEYOND) == {B: (2,)}
    accepted = step_area(world, BENT, A, number, AreaStep.ACCEPT)
    assert accepted is not None
    assert (accepted.state, accepted.reviewed_by, accepted.proposal) == (AreaState.LIVE, "test:bent", None)
    assert asked_at(world, BEYOND) == {A: (number,), B: (2,)}
    step_area(world, ANNA, A, number, AreaStep.RETIRE)
    assert asked_at(world, BEYOND) == {B: (2,)}
    assert told(world) == [(A, number, state) for state in ("review", "live", "retired")]
    with pytest.raises(Conflict):
        proposed(world, feature(BEYOND, number))
    entries = [e.action for e in world.audit.tail(20) if e.action.startswith("area.")]
    assert sorted(entries) == ["area.accept", "area.proposed", "area.retire", "area.submit"]


def test_a_live_area_counts_until_its_change_is_accepted_and_no_gap_opens(world: Store) -> None:
    before = owners.list_areas(world, ANNA, A)[0]
    assert proposed(world, feature(BEYOND, 1, supply_types=["gas"])) == [1]
    (waiting,) = owners.list_areas(world, BENT, A)
    assert (waiting.state, waiting.area.number) == (AreaState.LIVE, 1)
    assert waiting.proposal is not None
    assert waiting.area.polygon.equals(before.area.polygon)
    assert (asked_at(world, AREA), asked_at(world, BEYOND)) == ({A: (1,)}, {B: (2,)})
    later = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(InvalidInput, match="cannot begin in the future"):
        proposed(world, feature(BEYOND, 1, valid_from=later.isoformat()))
    step_area(world, BENT, A, 1, AreaStep.ACCEPT)
    (live,) = owners.list_areas(world, ANNA, A)
    assert (list(live.area.supply_types), live.area.valid_from) == (["gas"], before.area.valid_from)
    assert (asked_at(world, AREA), asked_at(world, BEYOND)) == ({}, {A: (1,), B: (2,)})


def test_a_rejected_change_leaves_what_is_live_and_a_rejected_new_area_nothing(world: Store) -> None:
    proposed(world, feature(BEYOND, 1))
    (new,) = proposed(world, feature(BEYOND))
    left = step_area(world, BENT, A, 1, AreaStep.REJECT)
    assert left is not None
    assert left.proposal is None
    assert step_area(world, ANNA, A, new, AreaStep.REJECT) is None  # she takes it back
    assert [one.area.number for one in owners.list_areas(world, ANNA, A)] == [1]
    assert asked_at(world, AREA) == {A: (1,)}
    assert told(world)[2:] == [(A, 1, "rejected"), (A, new, "rejected")]
    assert proposed(world, feature(BEYOND)) == [new + 1]  # a number is given once


def test_a_reviewer_accepts_what_he_has_read(world: Store) -> None:
    proposed(world, feature(BEYOND, 1))
    (read,) = owners.list_areas(world, BENT, A)
    assert read.proposal is not None
    proposed(world, feature(BEYOND.buffer(500), 1))
    with pytest.raises(Conflict, match="meanwhile"):
        step_area(world, BENT, A, 1, AreaStep.ACCEPT, revision=read.proposal.revision)
    (now_read,) = owners.list_areas(world, BENT, A)
    assert now_read.proposal is not None
    assert now_read.proposal.revision != read.proposal.revision
    assert step_area(world, BENT, A, 1, AreaStep.ACCEPT, revision=now_read.proposal.revision) is not None


def test_whoever_changes_a_proposal_does_not_accept_it(world: Store) -> None:
    proposed(world, feature(BEYOND, 1))
    proposed(world, feature(BEYOND.buffer(500), 1), access=BENT)
    with pytest.raises(NotAllowed):
        step_area(world, BENT, A, 1, AreaStep.ACCEPT)
    step_area(world, ANNA, A, 1, AreaStep.ACCEPT)
    proposed(world, feature(AREA, 1), access=ADMIN)
    step_area(world, ADMIN, A, 1, AreaStep.ACCEPT)
    assert asked_at(world, AREA) == {A: (1,)}


def test_strangers_are_refused_and_touch_nothing(world: Store) -> None:
    proposed(world, feature(BEYOND, 1))
    before = area_collection(owners.list_areas(world, ANNA, A))
    excavator = Access("test:digger", A, frozenset({Role.EXCAVATOR}))
    for access in (
        STRANGER,
        excavator,
        Access.anonymous(),
        Access("test:none", None, frozenset({Role.OWNER})),
    ):
        with pytest.raises(NotAllowed):
            owners.list_areas(world, access, A)
        with pytest.raises(NotAllowed):
            propose_areas(world, access, A, areas(feature(AREA)))
        with pytest.raises(NotAllowed):
            coverage(world, access, A)
        for step in AreaStep:
            with pytest.raises(NotAllowed):
                step_area(world, access, A, 1, step)
    with pytest.raises(NotFound):  # another owner's number under his own name
        step_area(world, STRANGER, B, 1, AreaStep.ACCEPT)
    with pytest.raises(NotFound):
        propose_areas(world, STRANGER, B, areas(feature(AREA, 1)))
    assert area_collection(owners.list_areas(world, ANNA, A)) == before


def test_a_step_that_does_not_fit_is_refused(world: Store) -> None:
    (draft,) = proposed(world, feature(BEYOND), submit=False)
    for number, fitting in ((1, {AreaStep.RETIRE}), (draft, {AreaStep.SUBMIT, AreaStep.REJECT})):
        for step in set(AreaStep) - fitting:
            with pytest.raises(Conflict):
                step_area(world, ADMIN, A, number, step)


def test_of_two_who_review_at_once_one_is_told_so(make_store: StoreMaker) -> None:
    stores = [make_store(), make_store()]
    register(stores[0], A)
    for _ in range(4):
        proposed(stores[0], feature(BEYOND, 1))
        steps = [(stores[0], BENT, AreaStep.ACCEPT), (stores[1], ADMIN, AreaStep.ACCEPT)]

        def take(one: tuple[Store, Access, AreaStep]) -> bool:
            try:
                step_area(one[0], one[1], A, 1, one[2])
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(take, steps)) == [False, True]
        proposed(stores[0], feature(AREA, 1))
        step_area(stores[0], BENT, A, 1, AreaStep.ACCEPT)
    live = [state for _, _, state in told(stores[0]) if state == "live"]
    assert len(live) == 8


def test_new_areas_made_at_once_get_numbers_of_their_own(make_store: StoreMaker) -> None:
    stores = [make_store() for _ in range(4)]
    register(stores[0], A)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda store: proposed(store, feature(BEYOND), feature(AREA)), stores))
    assert sorted(number for numbers in made for number in numbers) == list(range(2, 10))


# --- Dates, supply types, contacts


def test_an_enquiry_finds_an_owner_within_the_dates_of_his_areas_alone(world: Store) -> None:
    day = datetime.now(DENMARK).date() + timedelta(days=3)
    numbers = proposed(
        world,
        feature(BEYOND, valid_from=day.isoformat(), valid_to=day.isoformat()),
        feature(BEYOND.buffer(10), valid_to=(day - timedelta(days=1)).isoformat()),
    )
    for number in numbers:
        step_area(world, BENT, A, number, AreaStep.ACCEPT)
    begin = datetime.combine(day, datetime.min.time(), DENMARK)
    end = datetime.combine(day + timedelta(days=1), datetime.min.time(), DENMARK)
    one, tick = numbers, timedelta(milliseconds=1)
    assert asked_at(world, BEYOND, begin - tick)[A] == (one[1],)
    assert asked_at(world, BEYOND, begin)[A] == (one[0],)
    assert asked_at(world, BEYOND, end - tick)[A] == (one[0],)
    assert A not in asked_at(world, BEYOND, end)


def test_an_owner_is_asked_once_by_all_areas_that_touch(world: Store) -> None:
    (number,) = proposed(world, feature(AREA, supply_types=["gas", "water"]))
    step_area(world, BENT, A, number, AreaStep.ACCEPT)
    (answer,) = filed_by(world, digger(world)).answers
    assert (answer.owner_cvr, answer.interest_areas) == (A, (1, number))
    assert answer.supplies == ("electricity", "gas", "water")


def test_who_is_waited_for_is_shown_with_his_contact_for_answers(world: Store) -> None:
    access = digger(world)
    for purposes, expected in (
        (("technical", "answers", "damage"), "answers"),
        (("pointing-out", "technical"), "technical"),
        (("damage",), "damage"),
        ((), A),
    ):
        contacts = {one: {**CONTACT, "email": f"{one}@example.dk"} for one in purposes}
        proposed(world, feature(AREA, 1, contacts=contacts))
        step_area(world, BENT, A, 1, AreaStep.ACCEPT)
        filed = filed_by(world, access)
        work_off(world)
        (answer,) = enquiry(world, access, filed.number).answers
        with package_of(world, access, filed.number) as archive:
            manifest = json.loads(archive.read("manifest.json"))
        (missing,), (told,) = manifest["completeness"]["missing"], manifest["owners"]
        move_filing(world, filed.number, datetime.now(UTC) - timedelta(days=8))
        late = next(one for one in overdue_answers(world, access) if one.number == filed.number)
        shown: list[Any] = [answer.contact, missing["contact"], told["contact"], late.to_json()]
        assert [one["email"] for one in shown] == [f"{expected}@example.dk"] * 4
        assert {name: one["email"] for name, one in told["contacts"].items()} == {
            purpose: f"{purpose}@example.dk" for purpose in purposes
        }


def test_a_document_read_and_sent_again_changes_nothing(world: Store) -> None:
    proposed(world, feature(AREA.buffer(40, quad_segs=8), 1, contacts={"answers": CONTACT}))
    step_area(world, BENT, A, 1, AreaStep.ACCEPT)
    document = area_collection(owners.list_areas(world, ANNA, A), "EPSG:25832")
    for crs in ("EPSG:25832", "OGC:CRS84"):
        sent = area_collection(owners.list_areas(world, ANNA, A), crs)
        (same,) = propose_areas(world, ANNA, A, json.loads(json.dumps(sent)), submit=True)
        assert same.proposal is None
    assert area_collection(owners.list_areas(world, ANNA, A), "EPSG:25832") == document
    document["features"][0]["properties"]["supply_types"] = ["gas"]
    (changed,) = propose_areas(world, ANNA, A, document, submit=True)
    assert changed.proposal is not None


def test_longitude_and_latitude_are_the_same_place(world: Store) -> None:
    made = propose_areas(world, ANNA, A, areas(feature(BEYOND)))
    degrees = area_collection(made)["features"][0]["geometry"]
    again = propose_areas(
        world, ANNA, A, {"type": "FeatureCollection", "features": [{**feature(BEYOND), "geometry": degrees}]}
    )
    polygons = [one[0].area.polygon.normalize() for one in (made, again)]
    assert polygons[0].equals_exact(polygons[1], 0.01)


# --- Hostile documents

RING = [[E, N], [E + 9, N], [E + 9, N + 9], [E, N]]


def shaped(**geometry: Any) -> dict[str, Any]:
    return areas({**feature(AREA), "geometry": geometry})


def told_of(**properties: Any) -> dict[str, Any]:
    return areas(feature(AREA), feature(AREA, **properties))


HOSTILE: dict[str, Any] = {
    "nothing": None,
    "a list": [],
    "no features": areas(),
    "features of another kind": {"type": "FeatureCollection", "features": {"a": 1}},
    "a feature alone": feature(AREA),
    "no feature": areas(7),  # type: ignore[arg-type]  # wrong on purpose
    "an unknown CRS": areas(feature(AREA), crs="EPSG:2000"),
    "a CRS that is no name": {**areas(feature(AREA)), "crs": 25832},
    "no geometry": areas({**feature(AREA), "geometry": None}),
    "a line": shaped(type="LineString", coordinates=RING),
    "an empty polygon": shaped(type="Polygon", coordinates=[]),
    "an open ring": shaped(type="Polygon", coordinates=[RING[:3]]),
    "a crossing ring": shaped(type="Polygon", coordinates=[[RING[0], RING[2], RING[1], [E, N + 9], RING[0]]]),
    "not a number": shaped(type="Polygon", coordinates=[[[float("nan"), N], *RING[1:3], [float("nan"), N]]]),
    "infinity": shaped(type="Polygon", coordinates=[[[float("inf"), N], *RING[1:3], [float("inf"), N]]]),
    "texts as numbers": shaped(
        type="Polygon", coordinates=[[["1", "2"], ["3", "4"], ["5", "6"], ["1", "2"]]]
    ),
    "a huge number": shaped(type="Polygon", coordinates=[[[10**400, N], *RING[1:3], [10**400, N]]]),
    "deep brackets": shaped(type="Polygon", coordinates=json.loads("[" * 500 + "]" * 500)),
    "a collection in itself": shaped(type="GeometryCollection", geometries=[{"type": "Point"}]),
    "the whole world": {**areas(feature(shapely.box(-180, -90, 180, 90)), crs="CRS84")},
    "swapped axes": areas(feature(shapely.transform(AREA, lambda c: c[:, ::-1]))),
    "outside Denmark": areas(feature(shapely.box(100, 100, 200, 200))),
    "too many vertices": areas(feature(shapely.segmentize(AREA, 0.0015))),
    "no supplies": told_of(supply_types=[]),
    "unknown supplies": told_of(supply_types=["uranium"]),
    "supplies as a text": told_of(supply_types="water"),
    "supplies that cannot be compared": told_of(supply_types=[["water"]]),
    "a number as a text": told_of(number="1"),
    "a truth as a number": told_of(number=True),
    "a number below one": told_of(number=-1),
    "a number too large": told_of(number=2**31),
    "a number twice": areas(feature(AREA, 1), feature(AREA, 1)),
    "a moment without time zone": told_of(valid_from="2026-01-01T00:00:00"),
    "a day of another calendar": told_of(valid_from="2026-02-30"),
    "a day long gone": told_of(valid_from="0001-01-01"),
    "a day without end": told_of(valid_to="9999-12-31"),
    "an end before the beginning": told_of(valid_from="2026-02-02", valid_to="2026-02-01"),
    "a date as a number": told_of(valid_from=2026),
    "contacts as a list": told_of(contacts=[CONTACT]),
    "an unknown purpose": told_of(contacts={"<script>": CONTACT}),
    "a contact nobody can reach": told_of(contacts={"answers": {"name": "Vagten"}}),
    "a mail of two lines": told_of(contacts={"answers": {"email": "a@b.dk\nBcc: c@d.dk"}}),
    "a formula as a telephone": told_of(contacts={"answers": {"phone": "=1+1"}}),
    "an unknown member": told_of(contacts={"answers": {**CONTACT, "cvr": "10000009"}}),
    "a name that is not a text": told_of(contacts={"answers": {**CONTACT, "name": {"a": 1}}}),
}


def test_a_hostile_document_is_refused_with_words_and_takes_nothing(world: Store) -> None:
    before = area_collection(owners.list_areas(world, ANNA, A))
    for name, document in HOSTILE.items():
        taken = False
        with suppress(InvalidInput, InvalidGeometry):
            taken = bool(propose_areas(world, ANNA, A, document, submit=True))
        assert not taken, name
        assert area_collection(owners.list_areas(world, ANNA, A)) == before, name


# --- Whether the areas reach


def test_coverage_tells_the_lines_that_no_area_covers_with_a_metre_to_spare(world: Store) -> None:
    deliver(world, ANNA, svar(A, [f"el.{number}" for number in range(6)]), A)  # 10 m apart, N + 1 to N + 52
    assert coverage(world, ANNA, A).to_json()["warnings"] == []
    whole = shapely.box(E - 10, N - 10, E + 60, N + 31.5)  # el.3 ends at N + 32, el.2 at N + 22
    proposed(world, feature(whole, 1))
    found = coverage(world, ANNA, A)
    assert (found.features, found.outside, found.close) == (6, 3, 0)
    assert set(found.examples) == {f"{A}.el.{number}" for number in (3, 4, 5)}
    assert coverage(world, ANNA, A, proposed=False).outside == 0  # the live area still covers all
    proposed(world, feature(shapely.box(E - 10, N - 10, E + 60, N + 32.5), 1))
    found = coverage(world, ADMIN, A)
    assert (found.outside, found.close, found.examples[-1]) == (2, 1, f"{A}.el.3")
    (beside,) = proposed(world, feature(shapely.box(E - 10, N + 30, E + 60, N + 90)))  # areas join
    assert coverage(world, ANNA, A).to_json()["warnings"] == []
    step_area(world, ANNA, A, beside, AreaStep.REJECT)
    step_area(world, BENT, A, 1, AreaStep.RETIRE)
    assert coverage(world, ANNA, A).outside == 6


# --- Deliveries that wait


def features_of(store: Store) -> int | None:
    """File an enquiry and return what the owner's published version answers."""
    access = digger(store)
    (answer,) = filed_by(store, access).answers
    return answer.features if answer.status is AnswerStatus.DELIVERED else None


def states(store: Store) -> dict[str, str]:
    return {one.delivery_id: str(one.state) for one in list_deliveries(store, ANNA)}


def test_a_waiting_delivery_is_answered_from_once_it_is_published(world: Store) -> None:
    waiting = deliver(world, ANNA, svar(A, ["el.1"]), A, review=True)
    assert not waiting.published
    assert features_of(world) is None
    assert world.view(ANNA, "utility-features").count() == 0
    (shown,) = list_deliveries(world, ANNA)
    assert (shown.state, shown.features, shown.report["errors"]) == (DeliveryState.REVIEW, 1, 0)
    assert list_deliveries(world, STRANGER) == []
    published = publish_reviewed(world, BENT, waiting.delivery_id)
    assert published.state is DeliveryState.CURRENT
    assert features_of(world) == 1
    second = deliver(world, ANNA, svar(A, ["el.1", "el.2"]), A, review=True)
    assert features_of(world) == 1
    publish_reviewed(world, ANNA, second.delivery_id)
    assert features_of(world) == 2
    assert states(world) == {second.delivery_id: "current", waiting.delivery_id: "earlier"}
    with pytest.raises(NotFound):
        publish_reviewed(world, ANNA, second.delivery_id)


def test_a_newer_delivery_is_not_replaced_by_an_older_one(world: Store) -> None:
    old = deliver(world, ANNA, svar(A, ["el.1"]), A, review=True).delivery_id
    new = deliver(world, ANNA, svar(A, ["el.1", "el.2", "el.3"]), A).delivery_id
    with pytest.raises(Conflict, match="newer"):
        publish_reviewed(world, ANNA, old)
    assert states(world) == {new: "current", old: "review"}
    assert features_of(world) == 3


def test_what_is_discarded_is_gone_and_its_rows_are_swept(make_store: StoreMaker) -> None:
    store = make_store()
    register(store, A)
    kept = deliver(store, ANNA, svar(A, ["el.1"]), A).delivery_id
    waiting = [deliver(store, ANNA, svar(A, ["el.2"]), A, review=True).delivery_id for _ in range(2)]
    for strange in (STRANGER, Access("test:x", A, frozenset({Role.EXCAVATOR})), ADMIN):
        for act in (publish_reviewed, discard_reviewed):
            with pytest.raises((NotFound, NotAllowed)):
                act(store, strange, waiting[0])
    discard_reviewed(store, ANNA, waiting[0])
    for act in (publish_reviewed, discard_reviewed):
        for gone in (waiting[0], kept, "0" * 26, "x' OR 1=1", ""):
            with pytest.raises(NotFound):
                act(store, ANNA, gone)
    store.close()
    again = make_store()
    assert again.sweep() == [waiting[0]]  # as at every start
    assert states(again) == {waiting[1]: "review", kept: "current"}
    assert again.delivery(waiting[1]).count() == 1
    with pytest.raises(NotFound):
        again.delivery(waiting[0])
    assert publish_reviewed(again, ANNA, waiting[1]).state is DeliveryState.CURRENT


def test_an_answer_to_one_enquiry_is_no_delivery_that_waits(world: Store) -> None:
    from geoinfra.flows.answers import store_answer

    filed = filed_by(world, digger(world))
    store_answer(world, ANNA, filed.number, svar(A, ["el.1"]))
    with world.read() as connection:
        (attached,) = connection.scalars(sa.select(schema.deliveries.c.delivery_id)).all()
    assert list_deliveries(world, ANNA) == []
    for act in (publish_reviewed, discard_reviewed):
        with pytest.raises(NotFound):
            act(world, ANNA, attached)


def test_of_two_who_publish_at_once_the_newer_delivery_wins(make_store: StoreMaker) -> None:
    stores = [make_store(), make_store()]
    register(stores[0], A)
    for _ in range(3):
        pair = [deliver(stores[0], ANNA, svar(A, ["el.1"]), A, review=True).delivery_id for _ in range(2)]

        def publish(position: int, pair: list[str] = pair) -> bool:
            try:
                publish_reviewed(stores[position], ANNA, pair[position])
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            old, new = pool.map(publish, range(2))
        assert new
        assert states(stores[0])[pair[1]] == "current"
        assert states(stores[0])[pair[0]] == ("earlier" if old else "review")


# --- Dispensations


def test_a_dispensation_counts_within_its_days(world: Store) -> None:
    today = datetime.now(DENMARK).date()
    with pytest.raises(NotAllowed):
        owners.set_dispensation(world, ANNA, A)
    with pytest.raises(NotFound):
        owners.set_dispensation(world, ADMIN, "10000076")
    with pytest.raises(InvalidInput):
        owners.set_dispensation(world, ADMIN, A, today, today - timedelta(days=1))
    with pytest.raises(InvalidInput):
        owners.set_dispensation(world, ADMIN, A, today, date.max)

    def status() -> AnswerStatus:
        (answer,) = filed_by(world, digger(world)).answers
        return answer.status

    periods: list[tuple[int, int | None, AnswerStatus]] = [
        (-9, -1, AnswerStatus.WAITING),
        (0, 0, AnswerStatus.DIRECT),
        (1, None, AnswerStatus.WAITING),
        (-9, None, AnswerStatus.DIRECT),
    ]
    for first, last, expected in periods:
        days = None if last is None else today + timedelta(days=last)
        owners.set_dispensation(world, ADMIN, A, today + timedelta(days=first), days)
        assert status() is expected, (first, last)
    owners.clear_dispensation(world, ADMIN, A)
    assert status() is AnswerStatus.WAITING


@pytest.mark.parametrize(
    ("told", "kept"),
    [(["el", "vand"], ("electricity", "water")), (["gas", "telecom", "gas"], ("gas", "telecom"))],
)
def test_a_file_of_live_areas_names_supplies_as_ler_or_as_we_do(
    told: list[str], kept: tuple[str, ...], tmp_path: Path
) -> None:
    (area,) = read_interest_areas(file_of(told, tmp_path), A)
    assert area.supply_types == kept


@pytest.mark.parametrize("told", [[], ["uranium"], [["el"]], "el", None])
def test_supplies_that_nobody_knows_are_refused(told: Any, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="supply_types of feature 0") as refused:
        read_interest_areas(file_of(told, tmp_path), A)
    assert "electricity" in refused.value.hint


def file_of(supplies: Any, folder: Path) -> Path:
    properties = {"cvr": A, "indberetningsNr": 7, "supply_types": supplies}
    ring = [[E, N], [E + 9, N], [E + 9, N + 9], [E, N]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    document = {"features": [{"type": "Feature", "properties": properties, "geometry": shape}]}
    path = folder / "areas.geojson"
    path.write_text(json.dumps(document), "utf-8")
    return path
