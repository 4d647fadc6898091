"""The OGC service against stock pygeoapi, tipg and titiler, on the same data and machine in one run.

One process each, one connection, requests that differ, the servers in turn; measured is the CPU that an
answer costs, for that holds on a busy machine. Ours runs twice, on the embedded store and on PostGIS; the
peers read PostGIS, GeoTIFF and Zarr. Needs the extra ``bench`` and PostgreSQL with PostGIS.

``GEOINFRA_BENCH_LINES`` gives the numbers of lines (1000000; several with commas show how cost grows),
``GEOINFRA_BENCH_ROUNDS`` how often all take turns (5), ``GEOINFRA_BENCH_WRITE=1`` writes the tables and the
plot to ``docs/reference``.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import psycopg
import pyproj
import shapely
import yaml

from geoinfra.access import Access, Visibility
from geoinfra.sample.grids import write_dtm, write_weather
from geoinfra.sample.loading import load_grids
from geoinfra.storage import open_store
from geoinfra.storage.deliveries import publish
from geoinfra.tables import BATCH_ROWS, Column, ColumnType, DatasetSchema, FeatureBatch

SIZES = [int(n) for n in os.environ.get("GEOINFRA_BENCH_LINES", "1000000").split(",")]
ROUNDS = int(os.environ.get("GEOINFRA_BENCH_ROUNDS", "5"))
BURST_S = float(os.environ.get("GEOINFRA_BENCH_BURST_S", "1.0"))
DOCS = Path(__file__).parents[2] / "docs" / "reference"
SPACING_M = 25.0
WEST, SOUTH = 500_000.0, 6_100_000.0
GROUND = (650_000.0, 6_084_000.0, 651_000.0, 6_085_000.0)
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
UTM = "http://www.opengis.net/def/crs/EPSG/0/25832"
LINES = DatasetSchema(
    "streets",
    "LineString",
    (
        Column("name"),
        Column("kind", indexed=True),
        Column("lanes", ColumnType.INTEGER),
        Column("width_m", ColumnType.REAL),
        Column("oneway", ColumnType.BOOLEAN),
        Column("built", ColumnType.DATE),
        Column("code"),
    ),
    visibility=Visibility.OPEN,
)


# --- Data


def lines(count: int) -> Iterator[FeatureBatch]:
    """Make lines of 2 to 8 vertices, as dense at every count."""
    rng = np.random.default_rng(1)
    side = np.sqrt(count) * SPACING_M
    for start in range(0, count, BATCH_ROWS):
        rows = range(start, min(count, start + BATCH_ROWS))
        at = rng.random((len(rows), 2)) * side + (WEST, SOUTH)
        steps = at[:, None, :] + np.cumsum(rng.normal(0, 15, (len(rows), 8, 2)), axis=1)
        shapes = [shapely.LineString(one[: 2 + row % 7]) for row, one in zip(rows, steps, strict=True)]
        yield FeatureBatch(
            LINES,
            [f"s.{row}" for row in rows],
            shapely.to_wkb(np.array(shapes)).tolist(),
            {
                "name": [f"Vej {row}" for row in rows],
                "kind": [("road", "path", "lane")[row % 3] for row in rows],
                "lanes": [row % 4 for row in rows],
                "width_m": [row / 8 for row in rows],
                "oneway": [row % 2 == 0 for row in rows],
                "built": [f"{1950 + row % 70}-05-01" for row in rows],
                "code": [f"{row:07d}" for row in rows],
            },
        )


def make_ours(folder: Path, count: int, url: str | None) -> None:
    """Publish the lines, and the grids, into a store."""
    store = open_store(folder, url)
    staged = store.stage(LINES, "bench", lines(count))
    with store.begin() as tx:
        publish(tx, staged, Access("benchmark"))
        tx.commit()
    load_grids(store, GROUND)
    store.close()


def make_table(url: str, count: int) -> None:
    """Copy the lines into a table of PostGIS, indexed as its manuals say."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")
        connection.execute(
            "CREATE TABLE lines (id text PRIMARY KEY, name text, kind text, lanes integer, width_m float8, "
            "oneway boolean, built date, code text, geom geometry(LineString, 25832))"
        )
        with connection.cursor().copy("COPY lines FROM STDIN") as copy:
            for batch in lines(count):
                shapes = shapely.set_srid(shapely.from_wkb(np.array(batch.geometry)), 25832)
                ewkb = shapely.to_wkb(shapes, hex=True, include_srid=True)
                columns = batch.columns.values()
                for row in zip(batch.feature_ids, *columns, ewkb, strict=True):
                    copy.write_row(row)
        connection.execute("CREATE INDEX ON lines USING gist (geom)")
        connection.execute("CREATE INDEX ON lines (kind)")
        connection.execute("ANALYZE lines")


# --- Servers


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres() -> Iterator[tuple[int, int]]:
    """Run PostgreSQL with PostGIS on a port of the loopback address; gives the port and the process."""
    controls = sorted(Path("/usr/share/postgresql").glob("*/extension/postgis.control"))
    if not controls:
        raise SystemExit("PostgreSQL with PostGIS is not installed (Debian: postgresql, postgresql-postgis)")
    programs = Path("/usr/lib/postgresql") / controls[-1].parts[-3] / "bin"
    folder, port = Path(tempfile.mkdtemp(prefix="geoinfra-bench-pg-")), free_port()
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "cwd": folder, **as_user}
    make = [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run([*make, "--locale=C.UTF-8", "--no-instructions"], check=True, **quiet)
    options = [f"-clisten_addresses=127.0.0.1 -cport={port} -cshared_buffers=512MB -cwork_mem=32MB -cjit=off"]
    command = [programs / "postgres", "-D", folder / "data", "-k", folder, *options[0].split()]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, **quiet)
    try:
        for _ in range(600):
            try:
                psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres").close()
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        yield port, server.pid
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)
        shutil.rmtree(folder)


OURS = """
import sys
from pathlib import Path
import uvicorn
from services.app import create_app
from services.settings import Settings
url = sys.argv[3] if len(sys.argv) > 3 else None
settings = Settings(data_dir=Path(sys.argv[1]), port=int(sys.argv[2]), requests_per_s=0, database_url=url)
uvicorn.run(create_app(settings), host="127.0.0.1", port=settings.port, log_level="error", access_log=False)
"""
TITILER = """
import sys
import uvicorn
from fastapi import FastAPI
from titiler.core.factory import TilerFactory
app = FastAPI()
app.include_router(TilerFactory().router)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
"""


def stock_pygeoapi(folder: Path, port: int, postgres_port: int, dtm: Path, weather: Path) -> dict[str, str]:
    """Write pygeoapi's configuration; return its environment."""
    text, extents = "bench", {"spatial": {"bbox": [8, 54, 15, 58], "crs": CRS84}}
    about = {"type": "collection", "title": text, "description": text, "keywords": [text], "extents": extents}
    data = {
        "host": "127.0.0.1",
        "port": postgres_port,
        "dbname": "bench",
        "user": "postgres",
        "password": "x",
    }
    feature = {
        "type": "feature", "name": "PostgreSQL", "data": {**data, "search_path": ["public"]},
        "id_field": "id",
        "table": "lines", "geom_field": "geom", "storage_crs": UTM, "crs": [CRS84, UTM],
    }  # fmt: skip
    coverage = {
        "type": "coverage", "name": "rasterio", "data": str(dtm),
        "format": {"name": "GTiff", "mimetype": "application/image+tiff"},
    }  # fmt: skip
    edr = {
        "type": "edr", "name": "xarray-edr", "data": str(weather), "x_field": "x", "y_field": "y",
        "time_field": "time", "format": {"name": "zarr", "mimetype": "application/zip"},
        "options": {"zarr": {"consolidated": False}},
    }  # fmt: skip
    config = {
        "server": {
            "bind": {"host": "127.0.0.1", "port": port}, "url": f"http://127.0.0.1:{port}", "gzip": False,
            "mimetype": "application/json", "encoding": "utf-8", "language": "en-US", "pretty_print": False,
            "limits": {"default_items": 10, "max_items": 10_000}, "map": {"url": "x", "attribution": "x"},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {"title": text, "description": text, "keywords": [text],
                               "terms_of_service": text, "url": "http://localhost"},
            "license": {"name": text, "url": "http://localhost"},
            "provider": {"name": text, "url": "http://localhost"}, "contact": {"name": text},
        },
        "resources": {
            name: {**about, "providers": [provider]}
            for name, provider in (("lines", feature), ("dtm", coverage), ("weather", edr))
        },
    }  # fmt: skip
    (folder / "config.yml").write_text(yaml.safe_dump(config), "utf-8")
    (folder / "openapi.json").write_text("{}", "utf-8")
    return {"PYGEOAPI_CONFIG": str(folder / "config.yml"), "PYGEOAPI_OPENAPI": str(folder / "openapi.json")}


class Peer:
    """A running server, asked over one kept connection."""

    def __init__(self, name: str, port: int, command: Sequence[str | Path], **environment: str) -> None:
        self.name, self.port = name, port
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, "PYTHONWARNINGS": "ignore", **environment},
            stdout=subprocess.DEVNULL,
        )
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask once; a connection that was idle for long may have been ended meanwhile."""
        try:
            self.connection.request("GET", path, headers={"Accept": "*/*"})
            answer = self.connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.connection.close()
            self.connection.request("GET", path, headers={"Accept": "*/*"})
            answer = self.connection.getresponse()
        return answer.status, answer.read()

    def wait(self, path: str) -> None:
        """Return when it answers."""
        for _ in range(900):
            try:
                if self.get(path)[0] < 500:
                    return
            except (OSError, http.client.HTTPException):
                self.connection.close()
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        raise SystemExit(f"{self.name} does not answer {path}")

    def end(self) -> None:
        """End the server."""
        self.process.terminate()
        self.process.wait(30)


# --- What is asked


@dataclass(frozen=True)
class Task:
    """One kind of request.

    Attributes
    ----------
    paths
        Server -> the address of the request with a number.
    check
        Raises unless an answer is one.
    """

    title: str
    paths: Mapping[str, Callable[[int], str]]
    check: Callable[[bytes], object]


def tasks(count: int, dtm: Path) -> list[Task]:
    """Return what is measured."""
    to_degrees = pyproj.Transformer.from_crs(25832, "OGC:CRS84", always_xy=True)
    side = float(np.sqrt(count) * SPACING_M)

    def place(number: int, width: float) -> tuple[float, float, float, float]:
        x, y = np.random.default_rng(number).random(2) * (side - width) + (WEST, SOUTH)
        return float(x), float(y), float(x + width), float(y + width)

    def degrees(number: int, hits: int) -> str:
        box = to_degrees.transform_bounds(*place(number, float(np.sqrt(hits)) * SPACING_M))
        return ",".join(f"{ordinate:.6f}" for ordinate in box)

    def form(base: str) -> str:
        return "geojson" if base == TIPG else "json"

    def items(base: str, hits: int) -> Callable[[int], str]:
        return lambda number: f"{base}/items?f={form(base)}&limit={hits}&bbox={degrees(number, hits)}"

    def filtered(base: str, geometry: str) -> Callable[[int], str]:
        def path(number: int) -> str:
            west, south, east, north = degrees(number, 300).split(",")
            ring = f"{west} {south},{east} {south},{east} {north},{west} {north},{west} {south}"
            text = f"kind = 'road' AND lanes > 1 AND S_INTERSECTS({geometry}, POLYGON(({ring})))"
            quoted = urllib.parse.quote(text)
            return f"{base}/items?f={form(base)}&limit=100&filter-lang=cql2-text&filter={quoted}"

        return path

    grid = morecantile.tms.get("WebMercatorQuad")

    def tile(number: int, level: int, area: tuple[float, float, float, float]) -> morecantile.Tile:
        x, y = np.random.default_rng(number).random(2) * (area[2] - area[0], area[3] - area[1]) + area[:2]
        return grid.tile(*to_degrees.transform(x, y), level)

    def over(number: int) -> morecantile.Tile:
        return tile(number, 14, (WEST, SOUTH, WEST + side, SOUTH + side))

    def ground(number: int) -> morecantile.Tile:
        return tile(number, 17, GROUND)

    def window(number: int) -> tuple[float, float]:
        column, row = np.random.default_rng(number).integers(0, 700, 2)
        return GROUND[0] + 0.8 * float(column), GROUND[1] + 0.8 * float(row)

    def coverage_ours(number: int) -> str:
        west, south = window(number)
        box = f"{west:.1f},{south:.1f},{west + 409.6:.1f},{south + 409.6:.1f}"
        return f"{OUR}/terrain-dtm/coverage?f=geotiff&bbox={box}&bbox-crs=EPSG:25832"

    def coverage_stock(number: int) -> str:
        west, south = window(number)
        box = f"{west:.1f},{south:.1f},{west + 409.6:.1f},{south + 409.6:.1f}"
        return f"/collections/dtm/coverage?f=GTiff&bbox={box}&bbox-crs=25832"

    def series(number: int) -> tuple[float, float]:
        x, y = np.random.default_rng(number).random(2) * 9_000 - 4_500
        return 650_000.0 + float(x), 6_085_000.0 + float(y)

    def edr_ours(number: int) -> str:
        x, y = series(number)
        point = f"POINT({x:.1f}%20{y:.1f})"
        return f"{OUR}/weather/position?f=json&crs=EPSG:25832&parameter-name=mean_temp&coords={point}"

    def edr_stock(number: int) -> str:
        x, y = series(number)
        return (
            f"/collections/weather/position?f=json&parameter-name=mean_temp&coords=POINT({x:.1f}%20{y:.1f})"
        )

    def terrain_ours(number: int) -> str:
        at = ground(number)
        return f"{OUR}/terrain-dtm/tiles/WebMercatorQuad/{at.z}/{at.y}/{at.x}?f=terrain-rgb"

    def terrain_titiler(number: int) -> str:
        at = ground(number)
        url = urllib.parse.quote(str(dtm))
        return f"/tiles/WebMercatorQuad/{at.z}/{at.x}/{at.y}.png?url={url}&algorithm=terrainrgb&unscale=true"

    def mvt_ours(number: int) -> str:
        at = over(number)
        return f"{OUR}/streets/tiles/WebMercatorQuad/{at.z}/{at.y}/{at.x}?f=mvt"

    def mvt_tipg(number: int) -> str:
        at = over(number)
        return f"{TIPG}/tiles/WebMercatorQuad/{at.z}/{at.x}/{at.y}"

    def collection(least: int) -> Callable[[bytes], object]:
        def check(body: bytes) -> None:
            assert len(json.loads(body)["features"]) >= least

        return check

    both = ("ours", "ours PostGIS")
    streets = f"{OUR}/streets"
    return [
        Task(
            f"items {hits}",
            {
                **dict.fromkeys(both, items(streets, hits)),
                "pygeoapi": items("/collections/lines", hits),
                "tipg": items(TIPG, hits),
            },
            collection(hits // 4),
        )
        for hits in (10, 1000)
    ] + [
        Task(
            "item",
            {
                **dict.fromkeys(both, lambda n: f"{streets}/items/s.{n * 977 % count}?f=json"),
                "pygeoapi": lambda n: f"/collections/lines/items/s.{n * 977 % count}?f=json",
                "tipg": lambda n: f"{TIPG}/items/s.{n * 977 % count}?f=geojson",
            },
            lambda body: json.loads(body)["geometry"]["coordinates"],
        ),
        Task(
            "CQL2 filter",
            {**dict.fromkeys(both, filtered(streets, "geometry")), "tipg": filtered(TIPG, "geom")},
            collection(5),
        ),
        Task("vector tile z14", {**dict.fromkeys(both, mvt_ours), "tipg": mvt_tipg}, lambda b: b[1000]),
        Task("coverage 512 x 512", {"ours": coverage_ours, "pygeoapi": coverage_stock}, lambda b: b[100_000]),
        Task("EDR series", {"ours": edr_ours, "pygeoapi": edr_stock}, lambda b: json.loads(b)["ranges"]),
        Task("terrain tile z17", {"ours": terrain_ours, "titiler": terrain_titiler}, lambda b: b[1000]),
    ]


OUR, TIPG = "/ogc/collections", "/collections/public.lines"


# --- Measuring


def cpu_s(*pids: int) -> float:
    """Return the seconds of CPU that processes and all that they started have taken."""
    ticks: dict[int, int] = {}
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        pid = int(path.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    counted = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in counted} - counted:
        counted |= more
    return sum(ticks.get(pid, 0) for pid in counted) / os.sysconf("SC_CLK_TCK")


def burst(peer: Peer, path: Callable[[int], str], first: int, database_pid: int) -> float:
    """Ask for a while; return the CPU milliseconds that an answer costs the server and the database."""
    count = 0
    before = cpu_s(peer.process.pid, database_pid)
    while (taken := cpu_s(peer.process.pid, database_pid) - before) < BURST_S:
        for _ in range(8):
            address = path(first + count)
            status, body = peer.get(address)
            assert status == 200, (peer.name, address, status, body[:300])
            count += 1
    return 1000 * taken / count


def measure(count: int) -> dict[str, dict[str, float]]:
    """Return task -> server -> CPU milliseconds of an answer."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="geoinfra-bench-")))
        port, database_pid = stack.enter_context(postgres())
        for name in ("bench", "ours"):
            with psycopg.connect(
                f"postgresql://postgres@127.0.0.1:{port}/postgres", autocommit=True
            ) as connection:
                connection.execute(f"CREATE DATABASE {name}")
        url = f"postgresql://postgres:x@127.0.0.1:{port}"
        with psycopg.connect(f"{url}/ours", autocommit=True) as connection:
            connection.execute("CREATE EXTENSION postgis")
        make_table(f"{url}/bench", count)
        make_ours(folder / "embedded", count, None)
        make_ours(folder / "postgis", count, f"{url}/ours")
        (dtm,) = write_dtm(folder / "dtm", GROUND)
        weather = write_weather(folder / "weather.zarr")
        peers = {peer.name: peer for peer in start(folder, port, url, dtm, weather)}
        for peer in peers.values():
            stack.callback(peer.end)
        peers["ours"].wait("/health/ready")
        peers["ours PostGIS"].wait("/health/ready")
        peers["pygeoapi"].wait("/conformance?f=json")
        peers["tipg"].wait("/conformance?f=json")
        peers["titiler"].wait("/openapi.json")
        return take_turns(tasks(count, dtm), peers, database_pid)


def start(folder: Path, port: int, url: str, dtm: Path, weather: Path) -> list[Peer]:
    """Start all servers."""
    script = {"ours": OURS, "titiler": TITILER}
    for name, text in script.items():
        (folder / f"serve_{name}.py").write_text(text, "utf-8")
    ports = [free_port() for _ in range(5)]
    stock = stock_pygeoapi(folder, ports[2], port, dtm, weather)
    serve = ["-m", "gunicorn", "-w", "1", "-b", f"127.0.0.1:{ports[2]}", "--keep-alive", "60"]
    serve += ["--worker-class", "gthread", "--threads", "1", "--log-level", "error", "pygeoapi.flask_app:APP"]
    tipg = ["-m", "uvicorn", "tipg.main:app", "--port", str(ports[3]), "--log-level", "error"]
    return [
        Peer(
            "ours",
            ports[0],
            [folder / "serve_ours.py", folder / "embedded", str(ports[0])],
            PYTHONPATH=str(Path.cwd()),
        ),
        Peer(
            "ours PostGIS",
            ports[1],
            [folder / "serve_ours.py", folder / "postgis", str(ports[1]), f"{url}/ours"],
            PYTHONPATH=str(Path.cwd()),
        ),
        Peer("pygeoapi", ports[2], serve, **stock),
        Peer(
            "tipg",
            ports[3],
            tipg,
            DATABASE_URL=f"{url}/bench",
            TIPG_MAX_FEATURES_PER_QUERY="10000",
            TIPG_MAX_FEATURES_PER_TILE="50000",
        ),
        Peer("titiler", ports[4], [folder / "serve_titiler.py", str(ports[4])]),
    ]


def take_turns(
    wanted: Sequence[Task], peers: Mapping[str, Peer], database_pid: int
) -> dict[str, dict[str, float]]:
    """Measure all tasks, the servers in turn, and drop the first round."""
    medians: dict[str, dict[str, list[float]]] = {
        task.title: {name: [] for name in task.paths} for task in wanted
    }
    for task in wanted:
        for name, path in task.paths.items():
            status, body = peers[name].get(path(0))
            assert status == 200, (name, path(0), status, body[:400])
            task.check(body)
    for number in range(ROUNDS + 1):
        for task in wanted:
            for name, path in task.paths.items():
                taken = burst(peers[name], path, number * 10_000, database_pid)
                if number:
                    medians[task.title][name].append(taken)
    return {
        title: {name: statistics.median(runs) for name, runs in by_name.items()}
        for title, by_name in medians.items()
    }


# --- What is told


def table(result: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table of one size as Markdown."""
    out = [
        "| Request | ours, CPU ms | ours on PostGIS, CPU ms | pygeoapi | tipg | titiler |",
        "|---|---|---|---|---|---|",
    ]
    for title, times in result.items():
        cells = [f"{times['ours']:.2f}", f"{times['ours PostGIS']:.2f}" if "ours PostGIS" in times else ""]
        for name in ("pygeoapi", "tipg", "titiler"):
            ratio = f"{times[name]:.1f} ms ({times[name] / times['ours']:.1f} x" if name in times else ""
            known = name in times and "ours PostGIS" in times
            on_postgis = f"; {times[name] / times['ours PostGIS']:.1f} x" if known else ""
            cells.append(f"{ratio}{on_postgis})" if ratio else "")
        out.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(out)


def plot(results: Mapping[int, Mapping[str, Mapping[str, float]]]) -> str:
    """Draw how the cost of each request grows with the number of lines, both axes logarithmic."""
    titles = [title for title, times in next(iter(results.values())).items() if "ours PostGIS" in times]
    colours = ("#0b5d8a", "#b4420e", "#2f7d32", "#7a3e9d", "#555555")
    sizes = sorted(results)
    low, high = -0.5, 3.0

    def at(size: int, ms: float) -> tuple[float, float]:
        span = max(np.log10(sizes[-1]) - np.log10(sizes[0]), 1e-9)
        across = (np.log10(size) - np.log10(sizes[0])) / span
        return 70 + 420 * float(across), 290 - 260 * float((np.log10(ms) - low) / (high - low))

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 340" font-family="sans-serif" '
        'font-size="12">'
    ]
    for power in (0, 1, 2, 3):
        y = at(sizes[0], 10.0**power)[1]
        parts.append(f'<path d="M70 {y:.1f}H490" stroke="#ccc"/>')
        parts.append(f'<text x="62" y="{y + 4:.1f}" text-anchor="end">{10**power} ms</text>')
    for size in sizes:
        parts.append(f'<text x="{at(size, 1)[0]:.1f}" y="312" text-anchor="middle">{size:,} lines</text>')
    for number, title in enumerate(titles):
        colour = colours[number % len(colours)]
        for engine, dashes in (("ours", ""), ("ours PostGIS", ' stroke-dasharray="5 4"')):
            points = [at(size, results[size][title][engine]) for size in sizes]
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        parts.append(f'<text x="510" y="{60 + 22 * number}" fill="{colour}">{title}</text>')
    parts.append('<text x="510" y="190">embedded: whole, PostGIS: dashed</text></svg>')
    return "\n".join(parts)


def machine() -> str:
    """Describe where it was measured."""
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine(),
    )  # fmt: skip
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    return f"{os.cpu_count()} cores of {model}, Python {platform.python_version()}, load average {load}"


def page(results: Mapping[int, Mapping[str, Mapping[str, float]]], begun_load: str) -> str:
    """Return the page of the documentation."""
    tables = "\n\n".join(f"## {size:,} lines\n\n{table(result)}" for size, result in results.items())
    grown = "\n\n![Cost by the number of lines](ogc-performance.svg)" if len(results) > 1 else ""
    return f"""# Speed of the OGC services

Written by `GEOINFRA_BENCH_WRITE=1 make bench` (`tests/benchmarks/ogc.py`), measured
{datetime.now(UTC):%Y-%m-%d} on {machine()}; at the beginning {begun_load}.

Milliseconds of CPU that one answer costs the server and its database, median of {ROUNDS} rounds in which the
servers take turns; one process each, one connection. CPU rather than time, for that holds on a machine that
does other things too; a core gives 1000 divided by it answers a second. Lines of 2 to 8 vertices with 7
attributes in EPSG:25832, answered in CRS84; every request asks for another place. In brackets: how many times
as much as ours, embedded, then on PostGIS. Vector tiles repeat after some dozens. Peers: pygeoapi 0.24 with
gunicorn and Flask, tipg and titiler with uvicorn, from `pip install geoinfra[bench]`.

{tables}{grown}
"""


def main() -> None:
    """Measure each size, print the tables, and write the page where asked."""
    begun = f"the load average was {os.getloadavg()[0]:.1f}"
    results: dict[int, dict[str, dict[str, float]]] = {}
    for size in SIZES:
        results[size] = measure(size)
        print(f"\n{size:,} lines\n{table(results[size])}", flush=True)
    if os.environ.get("GEOINFRA_BENCH_WRITE") == "1":
        (DOCS / "ogc-performance.md").write_text(page(results, begun), "utf-8")
        if len(results) > 1:
            (DOCS / "ogc-performance.svg").write_text(plot(results), "utf-8")


if __name__ == "__main__":
    main()
