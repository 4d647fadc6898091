"""Who sees which rows of a protected dataset: the access matrix, on both engines."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import sqlalchemy as sa
from delivery_samples import (
    ANYBODY,
    OPERATOR,
    PROTECTED,
    batch_of,
    grant,
    ids,
    line,
    publish,
    random_pipes,
    square,
)

from geoinfra.access import Access, Role, Visibility
from geoinfra.errors import Expired, GeoinfraError, InvalidFilter, NotFound
from geoinfra.storage import Store, deliveries, schema
from geoinfra.tables import DatasetSchema, FeatureBatch, FeatureQuery

OWNER_A, OWNER_B = "11111111", "22222222"
DIGGER, OTHER_DIGGER = "33333333", "44444444"


def access(organisation: str | None, *roles: Role) -> Access:
    return Access("token:t", organisation, frozenset(roles))


def pipes(prefix: str, **lines: bytes) -> FeatureBatch:
    return batch_of(PROTECTED, [f"{prefix}.{name}" for name in lines], list(lines.values()))


WEST, CROSSING, EAST = line((0, 5), (10, 5)), line((15, 5), (25, 5)), line((50, 5), (60, 5))
GRANTED = square(0, 0, 20)  # holds WEST, cuts CROSSING, leaves EAST


@pytest.fixture
def town(store: Store) -> Store:
    """Two owners with three lines each; a digger has a grant of A's, another one of B's, one that ended."""
    a = publish(store, [pipes("a", west=WEST, crossing=CROSSING, east=EAST)], OWNER_A)
    b = publish(store, [pipes("b", west=WEST, crossing=CROSSING, east=EAST)], OWNER_B)
    grant(store, a, GRANTED, to=DIGGER, enquiry="2026-000001")
    grant(store, b, GRANTED, to=DIGGER, enquiry="2026-000002", from_days=-30, to_days=-1)
    grant(store, b, GRANTED, to=DIGGER, enquiry="2026-000003", from_days=1)
    grant(store, b, square(50, 0, 10), to=OTHER_DIGGER, enquiry="2026-000004")
    return store


MATRIX = [
    (ANYBODY, set()),
    (access(None), set()),
    (access(None, *Role), set()),
    (access(OWNER_A), set()),
    (access(OWNER_A, Role.ADMIN), set()),
    (access(OWNER_A, Role.AUTHORITY, Role.PLANNER, Role.DEVICE, Role.ANONYMOUS), set()),
    (access(OWNER_A, Role.EXCAVATOR), set()),
    (access(OWNER_A, Role.OWNER), {"a.west", "a.crossing", "a.east"}),
    (access(OWNER_B, Role.OWNER), {"b.west", "b.crossing", "b.east"}),
    (access(DIGGER, Role.OWNER), set()),
    (access(DIGGER, Role.EXCAVATOR), {"a.west", "a.crossing"}),
    (access(DIGGER, Role.EXCAVATOR, Role.ADMIN, Role.PLANNER), {"a.west", "a.crossing"}),
    (access(OTHER_DIGGER, Role.EXCAVATOR), {"b.east"}),
    (access("55555555", *Role), set()),
]


def label(value: object) -> str:
    if isinstance(value, Access):
        return f"{value.organisation}-{'-'.join(sorted(value.roles)) or 'none'}"
    return f"{len(value)} rows" if isinstance(value, set) else ""


@pytest.mark.parametrize(("who", "visible"), MATRIX, ids=label)
def test_each_role_sees_exactly_what_it_may_by_every_way_of_asking(
    town: Store, who: Access, visible: set[str]
) -> None:
    view = town.view(who, PROTECTED.name)
    assert set(ids(view.read())) == visible
    assert view.count() == len(visible)
    assert view.count(cap=1) == min(1, len(visible))
    assert view.sources == tuple(sorted({OWNER_A if n[0] == "a" else OWNER_B for n in visible}))
    everywhere = FeatureQuery(bbox=(0, 0, 1e7, 1e7), polygon=square(-1e4, -1e4, 1e5))
    assert set(ids(view.read(everywhere))) == visible
    assert view.count(everywhere) == len(visible)
    for owner in "ab":
        for name in ("west", "crossing", "east"):
            feature_id = f"{owner}.{name}"
            if feature_id in visible:
                assert view.get(feature_id).feature_ids == [feature_id]
            else:
                with pytest.raises(NotFound):
                    view.get(feature_id)
    reach = {"west": 500_010.0, "crossing": 500_025.0, "east": 500_060.0}
    extent = view.extent()
    assert (extent is None) == (not visible)
    if extent is not None:
        assert extent[2] == max(reach[n.split(".")[1]] for n in visible)


def same_answer(view: deliveries.DatasetView, one: str, two: str) -> bool:
    told = []
    for name in (one, two):
        with pytest.raises(NotFound) as caught:
            view.get(name)
        told.append((caught.value.message.replace(name, "?"), caught.value.hint, caught.value.details))
    return told[0] == told[1]


def test_a_hidden_feature_and_one_that_does_not_exist_are_told_alike(town: Store) -> None:
    view = town.view(access(DIGGER, Role.EXCAVATOR), PROTECTED.name)
    assert same_answer(view, "a.east", "a.nowhere")
    assert same_answer(view, "b.west", "b.nowhere")


def test_a_cursor_at_a_hidden_feature_is_told_like_one_at_nothing(town: Store) -> None:
    everything = town.view(access(OWNER_A, Role.OWNER), PROTECTED.name)
    batch = next(everything.read())
    hidden = everything.cursor(batch.take([2]))
    nothing = everything.cursor(FeatureBatch(batch.schema, ["a.nowhere"], [None], {}, source=OWNER_A))
    view = town.view(access(DIGGER, Role.EXCAVATOR), PROTECTED.name)
    for cursor in (hidden, nothing):
        with pytest.raises(Expired):
            view.read(FeatureQuery(after=cursor))
    visible = everything.cursor(batch.take([0]))
    assert ids(view.read(FeatureQuery(after=visible))) == ["a.crossing"]


def test_an_enquiry_narrows_to_its_own_grants_whatever_else_the_caller_may_see(town: Store) -> None:
    a = publish(town, [pipes("d", own=WEST)], DIGGER)
    grant(town, a, square(0, 0, 10), to=DIGGER, enquiry="2026-000009")
    both = access(DIGGER, Role.EXCAVATOR, Role.OWNER)
    assert set(ids(town.view(both, PROTECTED.name).read())) == {"a.west", "a.crossing", "d.own"}
    for enquiry, visible in {
        "2026-000001": {"a.west", "a.crossing"},
        "2026-000002": set(),
        "2026-000004": set(),
        "2026-000009": {"d.own"},
        "no such enquiry": set(),
    }.items():
        assert set(ids(town.view(both, PROTECTED.name, enquiry=enquiry).read())) == visible


def test_a_grant_pins_its_delivery_and_the_owner_sees_the_new_one(town: Store) -> None:
    publish(town, [pipes("a", west=WEST, more=WEST)], OWNER_A)
    digger = town.view(access(DIGGER, Role.EXCAVATOR), PROTECTED.name)
    owner = town.view(access(OWNER_A, Role.OWNER), PROTECTED.name)
    assert ids(digger.read()) == ["a.west", "a.crossing"]
    assert ids(owner.read()) == ["a.west", "a.more"]


def test_the_newer_of_two_pinned_deliveries_speaks_for_its_polygon(town: Store) -> None:
    moved = pipes("a", west=line((0, 500), (10, 500)), crossing=CROSSING, new=WEST)
    newer = publish(town, [moved], OWNER_A)
    grant(town, newer, square(12, 0, 20), to=DIGGER, enquiry="2026-000005")
    view = town.view(access(DIGGER, Role.EXCAVATOR), PROTECTED.name)
    found = list(view.read())
    assert sorted(ids(found)) == [
        "a.crossing",
        "a.west",
    ]  # once each; the crossing one from the newer delivery
    assert len(view.deliveries) == 2
    assert found[-1].feature_ids == ["a.crossing"]


def test_a_feature_that_moved_between_two_pinned_deliveries_appears_once_where_it_is_now(town: Store) -> None:
    newer = publish(town, [pipes("a", west=EAST, crossing=CROSSING)], OWNER_A)
    grant(town, newer, square(50, 0, 20), to=DIGGER, enquiry="2026-000005")
    view = town.view(access(DIGGER, Role.EXCAVATOR), PROTECTED.name)
    assert sorted(ids(view.read())) == ["a.crossing", "a.west"]
    assert view.get("a.west").geometry == [EAST]
    assert view.count() == 2


def test_far_flung_grants_of_one_delivery_show_nothing_in_between(store: Store) -> None:
    rows = random_pipes(3000, seed=5, dataset=PROTECTED, side_m=20_000)
    delivery = publish(store, rows, OWNER_A)
    places = [(0.0, 0.0), (18_000.0, 18_000.0), (500.0, 200.0), (9_000.0, 100.0)]
    alone: set[str] = set()
    for number, (e, n) in enumerate(places):
        grant(store, delivery, square(e, n, 1500), to=DIGGER, enquiry=f"2026-00001{number}")
        alone |= set(ids(store.delivery(delivery.delivery_id).read(FeatureQuery(polygon=square(e, n, 1500)))))
    view = store.view(access(DIGGER, Role.EXCAVATOR), PROTECTED.name)
    shown = ids(view.read())
    assert set(shown) == alone
    assert len(shown) == len(alone) == view.count() < 600
    narrowed = FeatureQuery(bbox=(500_000, 6_200_000, 501_000, 6_201_000), sort=(("feature_id", False),))
    assert ids(view.read(narrowed)) == sorted(set(ids(view.read(narrowed))))


def test_an_owner_with_grants_of_his_own_older_delivery_sees_each_feature_once(town: Store) -> None:
    grant(town, publish(town, [pipes("a", west=WEST)], OWNER_A), GRANTED, to=OWNER_A, enquiry="2026-000006")
    publish(town, [pipes("a", west=EAST, last=EAST)], OWNER_A)
    view = town.view(access(OWNER_A, Role.OWNER, Role.EXCAVATOR), PROTECTED.name)
    assert ids(view.read()) == ["a.west", "a.last"]


def test_one_protected_delivery_protects_the_whole_dataset(store: Store) -> None:
    from dataclasses import replace

    open_rows = replace(PROTECTED, visibility=Visibility.OPEN)
    publish(store, random_pipes(5, seed=1, dataset=open_rows), "open")
    assert store.view(ANYBODY, PROTECTED.name).count() == 5
    publish(store, [pipes("a", west=WEST)], OWNER_A)
    assert store.view(ANYBODY, PROTECTED.name).count() == 0
    assert store.view(access(OWNER_A, Role.OWNER), PROTECTED.name).count() == 1


def test_a_dataset_that_nobody_knows_is_empty_for_all(store: Store) -> None:
    for who, _visible in MATRIX:
        view = store.view(who, "no-such-dataset")
        assert (view.count(), view.extent(), view.sources, list(view.read())) == (0, None, (), [])
        assert view.schema.visibility is Visibility.GRANTED


def test_a_grant_that_names_another_source_than_its_delivery_opens_nothing(town: Store) -> None:
    with town.begin() as tx:
        tx.execute(sa.update(schema.grants).values(source=OWNER_B))
        tx.commit()
    assert town.view(access(DIGGER, Role.EXCAVATOR), PROTECTED.name).count() == 0


def test_the_version_changes_with_grants_and_deliveries_and_with_nothing_else(town: Store) -> None:
    digger = access(DIGGER, Role.EXCAVATOR)

    def version(who: Access) -> str:
        return town.view(who, PROTECTED.name).version

    before, owners = version(digger), version(access(OWNER_B, Role.OWNER))
    assert before == version(digger)
    grant(town, publish(town, [pipes("c", west=WEST)], "66666666"), GRANTED, to=DIGGER, enquiry="2026-000007")
    assert version(digger) != before
    assert version(access(OWNER_B, Role.OWNER)) == owners


def hostile_queries() -> Iterable[FeatureQuery]:
    ways_out = ["1=1) OR (1=1", "'; SELECT 1; --", '" OR ""="', "east' OR '1'='1", "%", "*", "\\"]
    for text in ways_out:
        yield FeatureQuery(equal={"feature_id": [text]})
        yield FeatureQuery(equal={"name": [text]})
        yield FeatureQuery(filter={"op": "=", "args": [{"property": "name"}, text]})
        yield FeatureQuery(filter={"op": "like", "args": [{"property": "name"}, text]})
        yield FeatureQuery(filter={"op": "=", "args": [{"property": text}, 1]})
        yield FeatureQuery(filter={"op": text, "args": [{"property": "name"}, 1]})
        yield FeatureQuery(equal={text: [1]})
        yield FeatureQuery(sort=((text, False),))
        yield FeatureQuery(columns=(text,))
        yield FeatureQuery(after=text)
    always: dict[str, object] = {"op": "or", "args": [True, {"op": "isNull", "args": [{"property": "name"}]}]}
    yield FeatureQuery(filter=always)
    yield FeatureQuery(filter={"op": "not", "args": [{"op": "and", "args": [False]}]})
    yield FeatureQuery(
        filter={"op": "s_disjoint", "args": [{"property": "geometry"}, {"bbox": [0, 0, 1, 1]}]}
    )


def test_no_query_widens_what_may_be_seen(town: Store) -> None:
    visible = {"a.west", "a.crossing"}
    view = town.view(access(DIGGER, Role.EXCAVATOR), PROTECTED.name)
    for query in hostile_queries():
        try:
            seen = set(ids(view.read(query)))
            counted = view.count(query)
        except GeoinfraError:
            continue
        assert seen <= visible, query
        assert counted == len(seen), query
    assert town.view(access(OWNER_A, Role.OWNER), PROTECTED.name).count() == 3


@pytest.mark.parametrize("name", ["secret", "nowhere", "gml", "fid", "geom"])
def test_hidden_attributes_and_missing_ones_are_refused_alike(town: Store, name: str) -> None:
    view = town.view(OPERATOR, PROTECTED.name)
    for query in (
        FeatureQuery(equal={name: ["x"]}),
        FeatureQuery(sort=((name, True),)),
        FeatureQuery(filter={"op": "=", "args": [{"property": name}, "x"]}),
        FeatureQuery(filter={"op": "isNull", "args": [{"property": name}]}),
    ):
        with pytest.raises(InvalidFilter) as caught:
            view.read(query)
        assert caught.value.details == {"attribute": name}
        assert "secret" not in caught.value.hint
        with pytest.raises(InvalidFilter):
            view.count(query)


def test_a_schema_that_says_nothing_is_seen_by_grant_only() -> None:
    """Default deny: whoever forgets to say who may see a dataset has opened nothing."""
    assert DatasetSchema("new", "Point", ()).visibility is Visibility.GRANTED
