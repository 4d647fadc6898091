"""Where rows should lie: small work while a delivery is loaded, and reads from small and large ones.

Compares each delivery in its own file beside the records (what geoinfra does) with all in one shared SQLite
file with the records, loaded in one transaction or in many; then staging rates, and some 10,000 features by
polygon from that delivery and from one a tenth as large. `GEOINFRA_BENCH_LINES` sets the rows (200,000);
`GEOINFRA_BENCH_DATABASE` adds the scale-out engine (an empty database with PostGIS).
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import shapely
import sqlalchemy as sa

from geoinfra.access import Access, Visibility
from geoinfra.errors import StorageUnavailable
from geoinfra.storage import Store, deliveries, open_store, schema
from geoinfra.tables import BATCH_ROWS, Column, ColumnType, DatasetSchema, FeatureBatch, FeatureQuery

LINES = DatasetSchema(
    "lines",
    "LineString",
    (
        Column("kind", indexed=True),
        Column("supply", indexed=True),
        *(Column(f"attribute_{number}") for number in range(10)),
        Column("diameter_mm", ColumnType.REAL),
        Column("properties", ColumnType.JSON),
        Column("gml", ColumnType.BLOB, internal=True),
    ),
    visibility=Visibility.OPEN,
    has_heights=True,
)
DENSITY_PER_M2 = 0.01
WANTED_ROWS = 10_000
READS = 7
SOMEBODY = Access("benchmark")


def batches(rows: int) -> Iterator[FeatureBatch]:
    """Lines of some 30 m, street by street: rows that lie near each other come near each other."""
    rng = np.random.default_rng(1)
    side = math.sqrt(rows / DENSITY_PER_M2)
    across = max(1, math.ceil(math.sqrt(rows / BATCH_ROWS)))
    cell = side / across
    for number, first in enumerate(range(0, rows, BATCH_ROWS)):
        size = min(BATCH_ROWS, rows - first)
        corner = np.array([500_000 + number % across * cell, 6_200_000 + number // across * cell])
        start = corner + rng.random((size, 2)) * cell
        ends = np.stack([start, start + rng.normal(0, 20, (size, 2))], axis=1)
        columns: dict[str, list[object]] = {f"attribute_{n}": ["some value"] * size for n in range(10)}
        columns["kind"] = [["line", "trace"][row % 2] for row in range(size)]
        columns["supply"] = [["water", "gas", "telecom"][row % 3] for row in range(size)]
        columns["diameter_mm"] = [110.0] * size
        columns["properties"] = ['{"type": "stikledning", "note": "none"}'] * size
        columns["gml"] = [rng.bytes(1300) for _ in range(size)]
        geometry = shapely.to_wkb(shapely.linestrings(ends), byte_order=1).tolist()
        names = [f"12345678.el.{first + row}" for row in range(size)]
        yield FeatureBatch(LINES, names, geometry, columns, [bytes(16)] * size)


def publish(store: Store, rows: int, source: str) -> float:
    """Load and publish; return the seconds that staging took, without the making of the rows."""
    made = 0.0

    def timed() -> Iterator[FeatureBatch]:
        nonlocal made
        making = batches(rows)
        while True:
            begun = time.perf_counter()
            batch = next(making, None)
            made += time.perf_counter() - begun
            if batch is None:
                return
            yield batch

    start = time.perf_counter()
    staged = store.stage(LINES, source, timed())
    elapsed = time.perf_counter() - start - made
    with store.begin() as tx:
        deliveries.publish(tx, staged, SOMEBODY)
        tx.commit()
    return elapsed


# --- The peer: everything in one file


def make_shared(path: Path) -> None:
    """Put the features of all deliveries, with one R*Tree, into the file of the records."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        names = ", ".join(f'"{column.name}"' for column in LINES.columns)
        connection.execute(
            "CREATE TABLE features (fid INTEGER PRIMARY KEY, delivery TEXT, geom BLOB, "
            f"feature_id TEXT, {names})"
        )
        connection.execute("CREATE UNIQUE INDEX features_id ON features (delivery, feature_id)")
        connection.execute("CREATE VIRTUAL TABLE tree USING rtree(id, minx, maxx, miny, maxy)")


def load_shared(path: Path, rows: int, *, whole: bool, delivery: str = "new") -> None:
    """Load into the shared file: in one transaction (nobody sees half), or one a batch."""
    marks = ", ".join("?" * (len(LINES.columns) + 4))
    with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
        (at,) = connection.execute("SELECT coalesce(max(fid), 0) FROM features").fetchone()
        if whole:
            connection.execute("BEGIN IMMEDIATE")
        for batch in batches(rows):
            if not whole:
                connection.execute("BEGIN IMMEDIATE")
            fids = range(at + 1, at + 1 + len(batch))
            at += len(batch)
            attributes = [batch.columns[column.name] for column in LINES.columns]
            table = zip(
                fids, [delivery] * len(batch), batch.geometry, batch.feature_ids, *attributes, strict=True
            )
            connection.executemany(f"INSERT INTO features VALUES ({marks})", table)
            bounds = shapely.bounds(shapely.from_wkb(batch.geometry))[:, [0, 2, 1, 3]].tolist()
            boxes = [(fid, *box) for fid, box in zip(fids, bounds, strict=True)]
            connection.executemany("INSERT INTO tree VALUES (?, ?, ?, ?, ?)", boxes)
            if not whole:
                connection.execute("COMMIT")
        if whole:
            connection.execute("COMMIT")


# --- Small work beside a load


class Latencies:
    """Milliseconds of one kind of work, and how often it failed."""

    def __init__(self) -> None:
        self.milliseconds: list[float] = []
        self.failures = 0

    def take(self, work: Callable[[], object]) -> None:
        start = time.perf_counter()
        try:
            work()
        except StorageUnavailable:  # waited 30 s for the lock
            self.failures += 1
        self.milliseconds.append((time.perf_counter() - start) * 1000)

    def __str__(self) -> str:
        values = sorted(self.milliseconds)
        worst = values[-1]
        late = values[min(len(values) - 1, int(len(values) * 0.99))]
        return (
            f"{statistics.median(values):9.2f} {late:9.1f} {worst:9.1f} {len(values):7d} {self.failures:5d}"
        )


def beside(
    load: list[str], write: Callable[[], object], read: Callable[[], object]
) -> tuple[float, str, str]:
    """Write and read some fifty times a second while another process loads."""
    writes, reads = Latencies(), Latencies()
    start = time.perf_counter()
    loader = subprocess.Popen([sys.executable, __file__, *load])
    while loader.poll() is None:
        writes.take(write)
        reads.take(read)
        time.sleep(0.01)
    if loader.returncode:
        raise SystemExit("the load failed")
    return time.perf_counter() - start, str(writes), str(reads)


def small_write(store: Store) -> Callable[[], None]:
    """A durable transaction of the records that changes one row."""
    with store.begin() as tx:
        tx.execute(sa.insert(schema.counters).values(name="small", value=0))
        tx.commit()

    def write() -> None:
        with store.begin() as tx:
            tx.execute(sa.update(schema.counters).values(value=schema.counters.c.value + 1))
            tx.commit()

    return write


def own_files(folder: Path, rows: int) -> tuple[float, str, str]:
    """What geoinfra does."""
    with closing(open_store(folder)) as store:
        publish(store, 20_000, "there")

        def read() -> int:
            query = FeatureQuery(bbox=(500_100, 6_200_100, 500_120, 6_200_120), columns=("kind",))
            return sum(len(batch) for batch in store.view(SOMEBODY, LINES.name).read(query))

        return beside(["own", str(folder), str(rows)], small_write(store), read)


def shared_file(folder: Path, rows: int, *, whole: bool) -> tuple[float, str, str]:
    """The peer; its reads are bare SQL, so that only their waiting compares."""
    with closing(open_store(folder)) as store:
        path = folder / "records.sqlite"
        make_shared(path)
        load_shared(path, 20_000, whole=True, delivery="there")
        found = sa.text(
            "SELECT f.feature_id, f.geom, f.kind FROM tree r JOIN features f ON f.fid = r.id "
            "WHERE r.maxx >= 500100 AND r.minx <= 500120 AND r.maxy >= 6200100 AND r.miny <= 6200120"
        )

        def read() -> int:
            with store.read() as connection:
                return len(connection.execute(found).all())

        return beside(["shared", str(path), str(rows), json.dumps(whole)], small_write(store), read)


# --- Reading


def polygon_of(rows: int, wanted: int) -> bytes:
    """A circle in the middle of the lines that touches some `wanted` of them."""
    side = math.sqrt(rows / DENSITY_PER_M2)
    radius = math.sqrt(wanted / DENSITY_PER_M2 / math.pi) - 10
    return shapely.to_wkb(shapely.Point(500_000 + side / 2, 6_200_000 + side / 2).buffer(radius))


def reads(label: str, url: str | None, rows: int) -> None:
    """Print staging rates, and reads from a delivery and from one of ten times as many rows."""
    for size in (max(rows // 10, 20_000), rows):
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(Path(folder), url)
            seconds = publish(store, size, f"{label}-{size}")
            view = store.delivery(store.view(SOMEBODY, LINES.name).deliveries[-1])
            query = FeatureQuery(polygon=polygon_of(size, WANTED_ROWS), columns=("gml",))
            times = []
            for _ in range(READS):
                start = time.perf_counter()
                found = sum(len(batch) for batch in view.read(query))
                times.append((time.perf_counter() - start) * 1000)
            print(
                f"{label:10s} {size:9,d} rows   staged {size / seconds:8,.0f} rows/s   "
                f"{found:6,d} features by polygon: median {statistics.median(times):6.1f} ms, "
                f"first {times[0]:6.1f} ms, best {min(times):6.1f} ms",
                flush=True,
            )
            store.close()


def main() -> None:
    """Print both tables."""
    rows = int(os.environ.get("GEOINFRA_BENCH_LINES", "200000"))
    print(f"small work beside a load of {rows:,d} rows; milliseconds")
    print(f"{'':34s} {'median':>9s} {'99 %':>9s} {'worst':>9s} {'tries':>7s} {'fail':>5s}")
    layouts: dict[str, Callable[[Path], tuple[float, str, str]]] = {
        "own file": lambda folder: own_files(folder, rows),
        "shared, many transactions": lambda folder: shared_file(folder, rows, whole=False),
        "shared, one transaction": lambda folder: shared_file(folder, rows, whole=True),
    }
    for name, measure in layouts.items():
        with tempfile.TemporaryDirectory() as folder:
            seconds, writes, found = measure(Path(folder))
        print(f"{name:28s} write {writes}\n{'':28s} read  {found}   (load {seconds:.1f} s)", flush=True)
    reads("embedded", None, rows)
    url = os.environ.get("GEOINFRA_BENCH_DATABASE")
    if url is None:
        print("scale-out: not measured, GEOINFRA_BENCH_DATABASE is not set")
    else:
        reads("scale-out", url, rows)


if __name__ == "__main__":
    if sys.argv[1] == "own":
        opened = open_store(Path(sys.argv[2]))
        publish(opened, int(sys.argv[3]), "new")
        opened.close()
    else:
        load_shared(Path(sys.argv[2]), int(sys.argv[3]), whole=json.loads(sys.argv[4]))
