"""Parts that run: a PostgreSQL with PostGIS of our own, and the store on both engines."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from parts import absent
from small_store import StoreMaker

from geoinfra.storage import Store, open_store

# --- PostgreSQL

_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "shared_buffers": "64MB",
    "max_connections": "120",
    "autovacuum": "off",
}


@dataclass
class PostgresServer:
    """A server of this test session, reached by a socket in its own folder."""

    folder: Path
    databases: int = field(default=0)

    def url(self, database: str) -> str:
        """Address of a database."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement outside transactions."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def new_database(self) -> str:
        """Clone the template with PostGIS; return its address."""
        self.databases += 1
        name = f"test_{self.databases}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template_postgis STRATEGY FILE_COPY")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, and whoever is still connected."""
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """PostgreSQL with PostGIS; a visible skip where it is not installed, a failure in CI."""
    programs = _postgres_programs()
    folder = Path(tempfile.mkdtemp(prefix="geoinfra-pg-"))
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    data = folder / "data"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "cwd": folder, **as_user}
    initdb = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run([*initdb, "--locale=C.UTF-8", "--no-instructions"], check=True, **quiet)
    options = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", folder, *options], stderr=log, **quiet
        )
    try:
        postgres = PostgresServer(folder)
        _await_answer(postgres, server)
        postgres.execute("CREATE DATABASE template_postgis")
        postgres.execute("CREATE EXTENSION postgis", "template_postgis")
        yield postgres
    finally:
        server.send_signal(3)  # SIGQUIT: at once, nothing here is worth a checkpoint
        server.wait(timeout=20)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Address of an empty database with PostGIS, one a module."""
    url = postgres_server.new_database()
    yield url
    postgres_server.drop(url)


def _postgres_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    with_postgis = [p.parent for p in found if _has_postgis(p.parts[-3])]
    if with_postgis:
        return with_postgis[-1]
    absent("PostgreSQL with PostGIS (Debian: postgresql, postgresql-postgis)")


def _has_postgis(version: str) -> bool:
    return Path(f"/usr/share/postgresql/{version}/extension/postgis.control").exists()


def _await_answer(postgres: PostgresServer, server: subprocess.Popen[bytes]) -> None:
    socket = postgres.folder / ".s.PGSQL.5432"
    for _attempt in range(600):
        if server.poll() is not None:
            break
        try:
            if socket.exists():
                postgres.execute("SELECT 1")
                return
        except psycopg.OperationalError:
            pass  # it still starts
        try:
            server.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    pytest.fail(f"PostgreSQL did not start: {(postgres.folder / 'log').read_text()[-2000:]}")


# --- The store on both engines


_ENGINES = ["embedded", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=_ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engine that the test runs on."""
    return str(request.param)


@pytest.fixture
def make_store(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StoreMaker]:
    """Open the same data once more, as another process would; all are closed at the end."""
    url, server = None, None
    if engine_name == "postgres":
        server = request.getfixturevalue("postgres_server")
        url = server.new_database()
    opened: list[Store] = []

    def make() -> Store:
        opened.append(open_store(tmp_path / "data", url))
        return opened[-1]

    yield make
    for store in opened:
        store.close()
    if server is not None:
        server.drop(url)


@pytest.fixture
def store(make_store: StoreMaker) -> Store:
    """An empty store."""
    return make_store()


@pytest.fixture(scope="module", params=_ENGINES)
def module_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that a module fills once and then only reads."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    store = open_store(tmp_path_factory.mktemp("data"), url)
    yield store
    store.close()
