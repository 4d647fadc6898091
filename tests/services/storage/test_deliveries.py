"""Staging, publishing and reading of deliveries, on both engines."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
import shapely
import sqlalchemy as sa
from delivery_samples import (
    ANYBODY,
    OPERATOR,
    PIPES,
    PROTECTED,
    batch_of,
    ids,
    line,
    pieces,
    publish,
    random_pipes,
    square,
)

from geoinfra.errors import Conflict, Expired, InvalidGeometry, InvalidInput, NotFound
from geoinfra.storage import Store, deliveries, schema
from geoinfra.tables import BATCH_ROWS, Column, ColumnType, DatasetSchema, FeatureBatch, FeatureQuery


def view_of(store: Store, dataset: DatasetSchema = PIPES) -> deliveries.DatasetView:
    return store.view(ANYBODY, dataset.name)


def test_every_column_type_and_geometry_comes_back_as_it_was_delivered(store: Store) -> None:
    (sent,) = random_pipes(200, seed=1)
    publish(store, [sent], "x")
    names = tuple(column.name for column in PIPES.columns)
    (got,) = view_of(store).read(FeatureQuery(columns=names))
    assert got.feature_ids == sent.feature_ids
    assert got.geometry == sent.geometry
    assert got.heights_m == sent.heights_m
    assert got.source == "x"
    for name in set(names) - {"changed"}:
        assert got.columns[name] == sent.columns[name], name
        assert {type(v) for v in got.columns[name]} == {type(v) for v in sent.columns[name]}
    assert set(got.columns["changed"]) == {"2020-01-01T00:00:00.000Z", "2020-01-01T00:00:00.500Z", None}


def test_internal_columns_come_only_when_named(store: Store) -> None:
    publish(store, random_pipes(3, seed=1), "x")
    (got,) = view_of(store).read(FeatureQuery(geometry=False))
    assert list(got.columns) == [column.name for column in PIPES.public_columns]
    assert got.geometry == [None] * 3
    assert got.heights_m is None
    (got,) = view_of(store).read(FeatureQuery(columns=("secret",)))
    assert list(got.columns) == ["secret"]


def test_numbers_that_are_not_finite_become_null_and_numpy_numbers_are_plain(store: Store) -> None:
    numbers = [float("nan"), float("inf"), np.float64(2.5), 3]
    sent = batch_of(
        PIPES, list("abcd"), [None] * 4, diameter_mm=numbers, number=[np.int64(2**62), -1, None, 0]
    )
    publish(store, [sent], "x")
    (got,) = view_of(store).read()
    assert got.columns["diameter_mm"] == [None, None, 2.5, 3.0]
    assert got.columns["number"] == [2**62, -1, None, 0]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"feature_ids": ["a", "a"]}, InvalidInput),
        ({"feature_ids": ["a", ""]}, InvalidInput),
        ({"geometry": [b"rubbish", None]}, InvalidGeometry),
        ({"geometry": [shapely.to_wkb(shapely.Point(1, 2, 3)), None]}, InvalidGeometry),
        ({"geometry": [line((0, 0), (1, 1))[:-8] + struct.pack("<d", float("nan")), None]}, InvalidGeometry),
        (
            {"geometry": [shapely.to_wkb(shapely.GeometryCollection([shapely.Point(1, 2)])), None]},
            InvalidGeometry,
        ),
        ({"geometry": [None]}, InvalidInput),
        ({"number": [2**63, 0]}, InvalidInput),
        ({"number": [True, 0]}, InvalidInput),
        ({"name": [5, ""]}, InvalidInput),
        ({"name": ["a\x00b", ""]}, InvalidInput),
        ({"name": ["\ud800", ""]}, InvalidInput),
        ({"laid": ["2020", None]}, InvalidInput),
        ({"changed": ["2020-01-01", None]}, InvalidInput),
        ({"changed": ["2020-01-01T00:00:00.123456Z", None]}, InvalidInput),
        ({"diameter_mm": [10**400, None]}, InvalidInput),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_leave_nothing(
    store: Store, changes: dict[str, list[object]], error: type[Exception]
) -> None:
    batch = batch_of(PIPES, ["a", "b"], [None, None])
    for name, values in changes.items():
        if name in PIPES_COLUMNS:
            batch.columns[name] = values
        else:
            batch = replace(batch, **{name: values})
    with pytest.raises(error):
        store.stage(PIPES, "x", [batch])
    store.engine.close()
    assert store.engine.sweep([]) == [] if store.records.is_sqlite else True


PIPES_COLUMNS = {column.name for column in PIPES.columns}


def test_a_column_cannot_take_the_name_of_one_of_ours(store: Store) -> None:
    dataset = DatasetSchema("d", "Geometry", (Column("fid"),))
    with pytest.raises(InvalidInput, match="fid"):
        store.stage(dataset, "x", [])


def test_the_digest_is_that_of_the_content_whatever_the_batches(store: Store) -> None:
    (batch,) = random_pipes(500, seed=2)
    whole = store.stage(PIPES, "x", [batch])
    cut = store.stage(PIPES, "y", pieces(batch, 77))
    assert whole.sha256 == cut.sha256
    changed = replace(batch, columns={**batch.columns, "name": ["?", *batch.columns["name"][1:]]})
    assert store.stage(PIPES, "x", [changed]).sha256 != whole.sha256


def test_an_empty_delivery_is_a_delivery(store: Store) -> None:
    staged = store.stage(PIPES, "x", [])
    assert (staged.rows, staged.extent) == (0, None)
    with store.begin() as tx:
        deliveries.publish(tx, staged, OPERATOR)
        tx.commit()
    view = view_of(store)
    assert ids(view.read()) == []
    assert view.count(FeatureQuery(bbox=(0, 0, 1e7, 1e7))) == 0
    assert view.extent() is None


def test_progress_counts_rows(store: Store) -> None:
    told: list[int] = []
    (batch,) = random_pipes(250, seed=2)
    store.stage(PIPES, "x", pieces(batch, 100), progress=told.append)
    assert told == [100, 200, 250]


def test_publishing_moves_the_pointer_and_tells_the_outbox(store: Store) -> None:
    first = publish(store, random_pipes(5, seed=1), "x")
    second = publish(store, random_pipes(6, seed=2), "x")
    assert first.delivery_id < second.delivery_id
    assert view_of(store).count() == 6
    with store.read() as connection:
        rows = connection.execute(sa.select(schema.outbox.c.event, schema.outbox.c.subject)).all()
    assert [tuple(row) for row in rows] == [("delivery.published", "pipes/x")] * 2


def test_the_record_of_a_delivery_says_what_was_published(store: Store) -> None:
    staged = store.stage(PIPES, "x", random_pipes(50, seed=1))
    with store.begin() as tx:
        deliveries.publish(tx, staged, OPERATOR, date(2027, 1, 1), {"file": "a.gml"})
        tx.commit()
    with store.read() as connection:
        row = connection.execute(sa.select(schema.deliveries)).one()
    assert (row.valid_to, row.details, row.created_by) == (
        "2027-01-01",
        '{"file": "a.gml"}',
        "token:operator",
    )
    assert (row.min_e, row.min_n, row.max_e, row.max_n) == staged.extent


def test_attaching_registers_without_moving_the_pointer(store: Store) -> None:
    publish(store, random_pipes(5, seed=1), "x")
    staged = store.stage(PIPES, "x", random_pipes(6, seed=2))
    with store.begin() as tx:
        deliveries.attach(tx, staged, OPERATOR)
        tx.commit()
    assert view_of(store).count() == 5
    assert store.delivery(staged.delivery_id).count() == 6


def test_what_was_staged_and_not_committed_cannot_be_seen(store: Store) -> None:
    staged = store.stage(PIPES, "x", random_pipes(5, seed=1))
    with store.begin() as tx:
        deliveries.publish(tx, staged, OPERATOR)
    assert ids(view_of(store).read()) == []
    with pytest.raises(NotFound):
        store.delivery(staged.delivery_id)


def test_a_view_keeps_what_it_pinned_while_a_new_delivery_is_published(store: Store) -> None:
    publish(store, random_pipes(3 * BATCH_ROWS, seed=1), "x")
    view = view_of(store)
    reading = view.read()
    first = next(reading)
    publish(store, random_pipes(10, seed=2, prefix="new"), "x")
    rest = ids(reading)
    assert len(first) + len(rest) == view.count() == 3 * BATCH_ROWS
    assert view_of(store).count() == 10
    assert view.version != view_of(store).version == view_of(store).version


def test_a_protected_dataset_cannot_be_loosened_by_a_delivery(store: Store) -> None:
    publish(store, random_pipes(5, seed=1, dataset=PROTECTED), "x")
    loose = replace(PROTECTED, visibility=PIPES.visibility)
    staged = store.stage(loose, "y", random_pipes(5, seed=1, dataset=loose))
    for register in (deliveries.publish, deliveries.attach):
        with store.begin() as tx, pytest.raises(Conflict):
            register(tx, staged, OPERATOR)


def test_sweeping_removes_what_a_dead_process_left_and_nothing_else(
    make_store: Callable[[], Store],
) -> None:
    one, other = make_store(), make_store()
    published = publish(one, random_pipes(5, seed=1), "x")
    orphan = one.stage(PIPES, "x", random_pipes(6, seed=2))
    assert other.sweep() == []
    assert one.sweep() == []
    one.close()
    assert other.sweep() == [orphan.delivery_id]
    assert other.sweep() == []
    assert other.view(ANYBODY, "pipes").deliveries == (published.delivery_id,)
    assert other.view(ANYBODY, "pipes").count() == 5


def test_sweeping_spares_a_delivery_that_is_being_written(make_store: Callable[[], Store]) -> None:
    one, other = make_store(), make_store()
    started, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[FeatureBatch]:
        (batch,) = random_pipes(10, seed=1)
        yield batch
        started.set()
        go_on.wait(30)

    staged: list[deliveries.StagedDelivery] = []
    thread = threading.Thread(target=lambda: staged.append(one.stage(PIPES, "x", slowly())))
    thread.start()
    started.wait(30)
    assert other.sweep() == []
    go_on.set()
    thread.join()
    assert other.sweep() == []
    with one.begin() as tx:
        deliveries.publish(tx, staged[0], OPERATOR)
        tx.commit()
    assert other.view(ANYBODY, "pipes").count() == 10


def test_a_killed_writer_leaves_nothing_that_is_seen_and_sweeping_clears_it(
    make_store: Callable[[], Store],
) -> None:
    store = make_store()
    url = None if store.records.is_sqlite else store.records.url.render_as_string(hide_password=False)
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from delivery_samples import PIPES, random_pipes\n"
        "from geoinfra.storage import open_store\n"
        "store = open_store(Path(sys.argv[1]), sys.argv[2] or None)\n"
        "done = store.stage(PIPES, 'x', random_pipes(10, seed=1))\n"
        "def slowly():\n"
        "    yield from random_pipes(10, seed=1)\n"
        "    print(done.delivery_id, flush=True)\n"
        "    time.sleep(60)\n"
        "store.stage(PIPES, 'x', slowly())\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, str(store.data_dir), url or ""],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        text=True,
    )
    assert writer.stdout is not None
    staged = writer.stdout.readline().strip()
    assert store.sweep() == []
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    for _attempt in range(100):  # the database may need a moment to notice
        swept = store.sweep()
        if swept:
            break
        threading.Event().wait(0.05)
    assert staged in swept
    assert len(swept) == (2 if url is None else 1)  # PostgreSQL has rolled the unfinished one back itself
    assert ids(store.view(ANYBODY, "pipes").read()) == []


@pytest.fixture(scope="module")
def three_sources(module_store: Store) -> deliveries.DatasetView:
    for number, source in enumerate(["a", "b", "c"]):
        publish(module_store, random_pipes(2300 + number, seed=number, prefix=f"{source}."), source)
    return view_of(module_store)


SORTS = [(), (("number", False),), (("laid", True), ("name", False)), (("feature_id", True),)]


@pytest.mark.parametrize("sort", SORTS)
def test_pages_by_offset_and_by_cursor_show_every_row_once_in_the_same_order(
    three_sources: deliveries.DatasetView, sort: tuple[tuple[str, bool], ...]
) -> None:
    view = three_sources
    base = FeatureQuery(
        sort=sort, columns=("number",), filter={"op": "isNull", "args": [{"property": "active"}]}
    )
    whole = ids(view.read(base))
    assert len(whole) == len(set(whole)) == view.count(base)
    by_offset: list[str] = []
    while page := ids(view.read(replace(base, limit=701, offset=len(by_offset)))):
        by_offset += page
    assert by_offset == whole
    by_cursor: list[str] = []
    cursor = None
    while batches := list(view.read(replace(base, limit=701, after=cursor))):
        by_cursor += ids(iter(batches))
        cursor = view.cursor(batches[-1])
    assert by_cursor == whole


def test_the_default_order_is_that_of_the_deliveries_and_their_rows(
    three_sources: deliveries.DatasetView,
) -> None:
    batches = list(three_sources.read())
    assert ids(iter(batches)) == [f"{s}.{row}" for n, s in enumerate("abc") for row in range(2300 + n)]
    assert all(len(batch) <= BATCH_ROWS for batch in batches)
    assert three_sources.sources == ("a", "b", "c")


def test_nulls_sort_last_ascending_and_first_descending(three_sources: deliveries.DatasetView) -> None:
    for descending in (False, True):
        query = FeatureQuery(sort=(("diameter_mm", descending),))
        values = [v for batch in three_sources.read(query) for v in batch.columns["diameter_mm"]]
        numbers = [v for v in values if v is not None]
        nulls = [None] * (len(values) - len(numbers))
        assert nulls
        assert values == (nulls + numbers if descending else numbers + nulls)
        assert all((a >= b) if descending else (a <= b) for a, b in pairwise(numbers))


def test_a_cursor_of_a_feature_that_is_gone_has_expired_and_a_forged_one_is_refused(store: Store) -> None:
    publish(store, random_pipes(5, seed=1), "x")
    view = view_of(store)
    cursor = view.cursor(next(view.read()))
    publish(store, random_pipes(5, seed=1, prefix="other"), "x")
    with pytest.raises(Expired):
        view_of(store).read(FeatureQuery(after=cursor))
    for forged in ("", "x", "bnVsbA", "é"):
        with pytest.raises(InvalidInput):
            view.read(FeatureQuery(after=forged))


def test_get_finds_a_feature_in_any_delivery(three_sources: deliveries.DatasetView) -> None:
    got = three_sources.get("b.17")
    assert (got.feature_ids, got.source) == (["b.17"], "b")
    with pytest.raises(NotFound):
        three_sources.get("b.99999")


def test_counting_stops_at_the_cap(three_sources: deliveries.DatasetView) -> None:
    assert three_sources.count() == 2300 + 2301 + 2302
    assert three_sources.count(cap=2400) == 2400
    lines = FeatureQuery(equal={"kind": ["line"]})
    assert three_sources.count(lines, cap=10) == 10
    assert three_sources.count(replace(lines, limit=3, offset=2)) == three_sources.count(lines) > 1000


def test_the_extent_is_that_of_all_geometry(three_sources: deliveries.DatasetView) -> None:
    shapes = [g for batch in three_sources.read() for g in batch.geometry]
    assert three_sources.extent() == tuple(shapely.total_bounds(shapely.from_wkb(shapes)).tolist())


def test_many_threads_read_one_view(three_sources: deliveries.DatasetView) -> None:
    query = FeatureQuery(polygon=square(100, 100, 400))
    wanted = ids(three_sources.read(query))
    got: list[list[str]] = []
    threads = [threading.Thread(target=lambda: got.append(ids(three_sources.read(query)))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [wanted] * 12


def test_a_column_that_an_older_delivery_lacks_is_null(store: Store) -> None:
    old = replace(PIPES, columns=(Column("name"), Column("number", ColumnType.TEXT)), has_heights=False)
    publish(store, [batch_of(old, ["o"], [line((0, 0), (9, 9))], name=["old"], number=["5"])], "old")
    publish(store, [batch_of(PIPES, ["n"], [None], name=["new"], number=[5])], "new")
    view = view_of(store)
    assert view.schema == PIPES
    one, two = view.read()
    assert (one.columns["number"], two.columns["number"]) == ([None], [5])
    assert one.schema == PIPES
    assert one.heights_m == [None]
    assert ids(view.read(FeatureQuery(equal={"number": [5]}))) == ["n"]
    assert ids(view.read(FeatureQuery(sort=(("number", False),)))) == ["n", "o"]
