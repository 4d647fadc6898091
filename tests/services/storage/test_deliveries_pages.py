"""Pages by cursor and by offset: joined they are the whole, in order, without doubles, on both engines."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cmp_to_key
from typing import Any

import pytest
import shapely
from delivery_samples import ANYBODY, PIPES, batch_of, publish

from geoinfra.storage import Store, deliveries
from geoinfra.tables import FeatureQuery

ROWS = 60
SOURCES = ("north", "south")


def _values(seed: int) -> dict[str, list[Any]]:
    rng = random.Random(seed)
    some: dict[str, list[Any]] = {
        "name": ["a", "b", "Ø", "", None],
        "number": [1, 2, None],
        "diameter_mm": [0.5, 1.0, None],
        "active": [True, False, None],
        "laid": ["2020-01-01", "2021-01-01", None],
    }
    return {name: [rng.choice(choices) for _ in range(ROWS)] for name, choices in some.items()}


VALUES = {source: _values(seed) for seed, source in enumerate(SOURCES)}
IDS = {source: [f"{source}.{row}" for row in range(ROWS)] for source in SOURCES}


@pytest.fixture(scope="module")
def view(module_store: Store) -> deliveries.DatasetView:
    for source in SOURCES:
        shapes = [
            shapely.to_wkb(shapely.Point(500_000 + row, 6_200_000), byte_order=1) for row in range(ROWS)
        ]
        publish(module_store, [batch_of(PIPES, IDS[source], shapes, **VALUES[source])], source)
    return module_store.view(ANYBODY, PIPES.name)


def _ordered(sort: tuple[tuple[str, bool], ...], kept: range) -> list[str]:
    """Rows in the order wanted: nulls last ascending, first descending; ties by delivery, then row."""
    rows = [(source, row) for source in SOURCES for row in kept]

    def compare(one: tuple[str, int], other: tuple[str, int]) -> int:
        for name, descending in sort:
            a, b = VALUES[one[0]][name][one[1]], VALUES[other[0]][name][other[1]]
            if a != b:
                later = a is None or (b is not None and a > b)
                return 1 if later is not descending else -1
        places = (SOURCES.index(one[0]), one[1]), (SOURCES.index(other[0]), other[1])
        return (places[0] > places[1]) - (places[0] < places[1])

    return [IDS[source][row] for source, row in sorted(rows, key=cmp_to_key(compare))]


@pytest.mark.parametrize("seed", range(12))
def test_pages_joined_are_the_whole_in_order(view: deliveries.DatasetView, seed: int) -> None:
    rng = random.Random(seed)
    sort = tuple((name, rng.random() < 0.5) for name in rng.sample(list(VALUES["north"]), rng.randrange(4)))
    kept = rng.choice([range(ROWS), range(10, 37)])
    box = (500_000.0 + kept.start, 6_199_000.0, 499_999.5 + kept.stop, 6_201_000.0)
    polygon = shapely.to_wkb(shapely.box(*box)) if len(kept) < ROWS else None
    whole = FeatureQuery(sort=sort, polygon=polygon, columns=("name",))
    wanted = _ordered(sort, kept)
    limit = (
        rng.choice([1, 3, 7, 50, len(wanted), len(wanted) + 1]) if len(kept) < ROWS else rng.choice([7, 33])
    )
    by_cursor: list[str] = []
    by_offset: list[str] = []
    after: str | None = None
    while len(by_cursor) <= len(wanted):
        query = replace(whole, limit=limit, after=after)
        batches, counted = view.page(query, 10_000)
        assert counted == len(wanted)
        found = [name for batch in batches for name in batch.feature_ids]
        by_cursor += found
        if len(found) < limit:
            break
        after = view.cursor(batches[-1])
    assert by_cursor == wanted
    for offset in range(0, len(wanted) + limit, limit):
        query = FeatureQuery(sort=sort, polygon=polygon, columns=("name",), limit=limit, offset=offset)
        batches, counted = view.page(query, 10_000)
        assert counted == len(wanted)
        assert all(set(batch.columns) == {"name"} for batch in batches)
        by_offset += [name for batch in batches for name in batch.feature_ids]
    assert by_offset == wanted


def test_a_page_counts_no_further_than_it_is_told(
    view: deliveries.DatasetView, monkeypatch: pytest.MonkeyPatch
) -> None:
    polygon = shapely.to_wkb(shapely.box(500_000, 6_199_000, 500_030, 6_201_000))
    query = FeatureQuery(polygon=polygon, limit=5)
    assert view.page(query, 1000)[1] == 62
    assert view.page(query, 10)[1] == 10
    monkeypatch.setattr(deliveries, "_FEW_ROWS", 8)
    batches, counted = view.page(query, 1000)
    assert counted == 62
    assert [name for batch in batches for name in batch.feature_ids] == IDS["north"][:5]
