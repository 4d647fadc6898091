"""The migrated records are those that the code expects, however many processes start at once."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from forked import PROCESSES

from geoinfra.errors import StorageUnavailable
from geoinfra.storage import Store, open_store
from geoinfra.storage.migrate import HEAD, migrate
from geoinfra.storage.records import Records
from geoinfra.storage.schema import metadata


def url_of(store: Store) -> str:
    return store.records.url.render_as_string(hide_password=False)


def test_the_migrated_database_is_the_one_that_the_code_describes(store: Store) -> None:
    with store.records.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = [d for d in compare_metadata(context, metadata) if "spatial_ref_sys" not in str(d)]
    assert differences == []


def test_names_of_constraints_are_those_of_the_convention(store: Store) -> None:
    inspector = sa.inspect(store.records.engine)
    for table in metadata.sorted_tables:
        assert inspector.get_pk_constraint(table.name)["name"] == f"pk_{table.name}"
        expected = {key.constraint.name for key in table.foreign_keys if key.constraint is not None}
        assert {key["name"] for key in inspector.get_foreign_keys(table.name)} == expected


def test_the_code_names_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(inspect.getfile(migrate)).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrating_again_changes_nothing(store: Store) -> None:
    with store.begin() as tx:
        tx.execute(sa.text("INSERT INTO counters (name, value) VALUES ('kept', 7)"))
        tx.commit()
    migrate(store.records)
    with store.read() as connection:
        assert connection.scalar(sa.text("SELECT value FROM counters WHERE name = 'kept'")) == 7


def test_records_of_a_newer_version_are_left_alone(store: Store) -> None:
    with store.begin() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        tx.commit()
    with pytest.raises(StorageUnavailable, match="newer"):
        migrate(store.records)
    with store.read() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_migration_that_fails_leaves_nothing_behind(store: Store) -> None:
    drop_everything(store)
    with store.begin() as tx:
        tx.execute(sa.text("CREATE TABLE tokens (in_the_way INTEGER)"))
        tx.commit()
    with pytest.raises((StorageUnavailable, sa.exc.ProgrammingError)):
        migrate(store.records)
    assert sa.inspect(store.records.engine).get_table_names() in (["tokens"], ["spatial_ref_sys", "tokens"])


def drop_everything(store: Store) -> None:
    with store.begin() as tx:
        metadata.drop_all(tx.connection)
        tx.execute(sa.text("DROP TABLE alembic_version"))
        tx.commit()


def open_and_count(data_dir: Path, url: str | None) -> None:
    store = open_store(data_dir, url)
    with store.begin() as tx:
        tx.execute(
            sa.text("INSERT INTO collections VALUES (:name, '{}', '')"),
            {"name": str(os.getpid())},
        )
        tx.commit()
    store.close()


def test_processes_that_start_at_once_agree(store: Store, tmp_path: Path) -> None:
    url = None
    data_dir = tmp_path / "fresh"
    if not store.records.is_sqlite:
        url, data_dir = url_of(store), store.data_dir
        drop_everything(store)
    starters = [PROCESSES.Process(target=open_and_count, args=(data_dir, url)) for _ in range(6)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert [starter.exitcode for starter in starters] == [0] * 6
    opened = open_store(data_dir, url)
    with opened.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM collections")) == 6
    opened.close()


def test_opening_records_that_are_up_to_date_does_not_load_alembic(store: Store) -> None:
    program = (
        "import sys; from pathlib import Path; from geoinfra.storage import open_store\n"
        "open_store(Path(sys.argv[1]), sys.argv[2] or None).close()\n"
        "assert 'alembic' not in sys.modules\n"
    )
    url = "" if store.records.is_sqlite else url_of(store)
    subprocess.run([sys.executable, "-c", program, str(store.data_dir), url], check=True)


def test_a_database_that_cannot_be_reached_is_told() -> None:
    records = Records(sa.make_url("postgresql+psycopg://nobody@127.0.0.1:9/none"))
    with pytest.raises(StorageUnavailable):
        migrate(records)
    records.close()


@pytest.fixture
def superuser(postgres_server: Any) -> Iterator[Records]:
    """A new database with PostGIS and nothing else, and a role that may only connect."""
    address = postgres_server.new_database()
    records = Records(sa.make_url(address).set(drivername="postgresql+psycopg"))
    run(records, "CREATE ROLE plain LOGIN NOSUPERUSER")
    yield records
    run(records, "DROP OWNED BY plain", "DROP ROLE plain")
    records.close()
    postgres_server.drop(address)


@pytest.fixture
def plain(superuser: Records) -> Iterator[Records]:
    """The same database seen by the plain role."""
    records = Records(superuser.url.set(username="plain"))
    yield records
    records.close()


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("preparation", "lack", "remedy"),
    [
        ("DROP EXTENSION postgis CASCADE", "PostGIS", "CREATE EXTENSION postgis"),
        ("SELECT 1", "schema", "CREATE SCHEMA records"),
    ],
)
def test_what_a_plain_user_may_not_create_is_told(
    superuser: Records, plain: Records, preparation: str, lack: str, remedy: str
) -> None:
    run(superuser, preparation)
    with pytest.raises(StorageUnavailable, match=lack) as told:
        migrate(plain)
    assert remedy in told.value.hint


@pytest.mark.postgres
def test_a_plain_user_migrates_what_was_prepared_for_him(superuser: Records, plain: Records) -> None:
    run(superuser, "CREATE SCHEMA records AUTHORIZATION plain")
    migrate(plain)
    assert "jobs" in sa.inspect(plain.engine).get_table_names()


def run(records: Records, *statements: str) -> None:
    with records.begin() as tx:
        for statement in statements:
            tx.execute(sa.text(statement))
        tx.commit()
