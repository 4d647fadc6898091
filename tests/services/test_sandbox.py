"""Test environments: marked for ever, every package and number marked, and begun anew."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from answer_world import AREA, OWNERS, SINCE, digger, filed_by, owner, register, svar
from test_flow_enquiry import document, package_of, work_off
from typer.testing import CliRunner

from geoinfra.errors import Conflict
from geoinfra.flows import damages, sandbox
from geoinfra.flows.answers import store_answer
from geoinfra.flows.enquiries import enquiry, file_enquiry
from geoinfra.flows.nightly import NIGHTLY, wait_for_night
from geoinfra.storage import Store, schema
from geoinfra.storage.organisations import InterestArea, set_interest_areas
from geoinfra.utilities.formats.document import open_document
from geoinfra.utilities.formats.package_seal import verify_package
from geoinfra.utilities.ler_api import ler_id, number_of
from geoinfra.utilities.sandbox import SANDBOX_MARKS, bare_number, marked_name, sandbox_mark
from services.app import create_app
from services.cli import app as command_line
from services.settings import Settings

pytestmark = pytest.mark.services

OWNER = OWNERS[0]


def marked(store: Store) -> bool:
    with store.read() as connection:
        return sandbox.is_sandbox(connection)


def counts(store: Store) -> dict[str, int]:
    with store.read() as connection:
        return {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in schema.metadata.sorted_tables
        }


@pytest.fixture
def environment(store: Store) -> Store:
    """A test environment with one owner, whose state is kept."""
    sandbox.declare_sandbox(store)
    register(store, OWNER)
    digger(store)
    sandbox.keep_state(store)
    return store


def test_an_empty_store_becomes_one_and_stays_one(store: Store, make_store: Callable[[], Store]) -> None:
    assert not marked(store)
    sandbox.declare_sandbox(store)
    sandbox.declare_sandbox(store)
    assert marked(store)
    assert marked(make_store())


@pytest.mark.parametrize("holds", ["organisations", "enquiries"])
def test_a_store_that_holds_something_never_becomes_one(store: Store, holds: str) -> None:
    register(store, OWNER)
    if holds == "enquiries":
        filed_by(store, digger(store))
    with pytest.raises(Conflict, match="cannot become"):
        sandbox.declare_sandbox(store)
    assert not marked(store)
    for act in (sandbox.keep_state, sandbox.reset):
        with pytest.raises(Conflict, match="not a test environment"):
            act(store)
    with pytest.raises(Conflict):
        create_app(Settings(data_dir=store.data_dir, sandbox=True), store)


def test_the_setting_marks_an_empty_store_and_its_absence_does_not_unmark(store: Store) -> None:
    create_app(Settings(data_dir=store.data_dir, sandbox=True), store)
    assert marked(store)
    create_app(Settings(data_dir=store.data_dir), store)
    assert marked(store)


def test_a_real_store_has_no_marks(store: Store) -> None:
    register(store, OWNER)
    filed = filed_by(store, digger(store))
    assert not filed.number.startswith("TEST-")
    work_off(store)
    archive = package_of(store, digger(store), filed.number)
    manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["sandbox"], "not_for_digging" in manifest) == (False, False)
    assert all(SANDBOX_MARKS["da"].encode() not in archive.read(name) for name in archive.namelist())


def test_every_part_of_a_package_is_marked(environment: Store, tmp_path: Path) -> None:
    access = digger(environment)
    wanted = document(AREA, formats=["gml", "html"], description="Ny stikledning")
    filed = file_enquiry(environment, access, wanted)
    assert filed.number.startswith("TEST-")
    store_answer(environment, owner(OWNER), filed.number, svar(OWNER))
    work_off(environment)
    archive = package_of(environment, access, filed.number)
    names = {Path(name).name: name for name in archive.namelist()}
    manifest = json.loads(archive.read("manifest.json"))
    assert manifest["sandbox"] is True
    assert manifest["not_for_digging"] == SANDBOX_MARKS
    for name in ("consolidated.gml", "LedningsejerStatusListe.xml"):
        assert SANDBOX_MARKS["da"] in archive.read(names[name]).decode(), name
    request = next(name for name in names if name.startswith("Graveforesp"))
    assert SANDBOX_MARKS["en"] in archive.read(names[request]).decode()
    assert "Not for digging" in archive.read(names["index.html"]).decode()
    path = tmp_path / "package.zip"
    package = enquiry(environment, access, filed.number).package
    assert package is not None
    path.write_bytes(environment.blobs.path(package.blob).read_bytes())
    from geoinfra.flows.signing import public_keys

    assert verify_package(path, public_keys(environment)).valid
    opened = open_document(path)
    assert opened.enquiry is not None
    assert opened.enquiry.number == filed.number
    assert sum(len(batch) for batch in opened.batches()) == 2
    assert opened.report.errors == 0


def test_a_reset_restores_the_kept_state(environment: Store) -> None:
    before = counts(environment)
    access = digger(environment)
    filed = filed_by(environment, access)
    store_answer(environment, owner(OWNER), filed.number, svar(OWNER))
    work_off(environment)
    damages.report_damage(
        environment,
        owner(OWNER),
        {
            "xKoordinat": 600_000,
            "yKoordinat": 6_080_000,
            "skadevolderType": 2,
            "skadesDatoUkendt": True,
            "forsyningsart": "5",
            "lerNummer": str(ler_id(filed.number)),
        },
    )
    package = enquiry(environment, access, filed.number).package
    assert package is not None
    with environment.begin() as tx:
        tx.execute(sa.update(schema.organisations).values(name="Omdøbt"))
        tx.commit()
    lost = sandbox.reset(environment)
    assert (lost["enquiries"], lost["packages"], lost["damages"]) == (1, 1, 1)
    after = counts(environment)
    lasting = ("audit", "outbox", "counters", "secrets", "signing_keys")
    assert {n: c for n, c in after.items() if n not in lasting} == {
        n: c for n, c in before.items() if n not in lasting
    }
    assert not environment.blobs.exists(package.blob)
    with environment.read() as connection:
        names = set(connection.scalars(sa.select(schema.organisations.c.name)))
    assert "Omdøbt" not in names
    assert marked(environment)
    assert environment.audit.verify().ok
    assert {entry.action for entry in environment.audit.tail(50)} >= {"sandbox.kept", "sandbox.reset"}
    again = filed_by(environment, digger(environment))
    assert again.number == filed.number
    work_off(environment)
    assert package_of(environment, digger(environment), again.number).testzip() is None


def test_a_reset_needs_a_kept_state(store: Store) -> None:
    sandbox.declare_sandbox(store)
    register(store, OWNER)
    with pytest.raises(Conflict, match="No initial state"):
        sandbox.reset(store)
    assert counts(store)["organisations"] == 1


def test_events_of_before_a_reset_are_not_seen_and_numbers_go_on(environment: Store) -> None:
    from geoinfra.storage.outbox import events_after, forgotten_event, settled_event

    filed_by(environment, digger(environment))
    newest = settled_event(environment.records)
    assert newest
    sandbox.reset(environment)
    filed_by(environment, digger(environment))
    with environment.read() as connection:
        later = events_after(connection, 0, 2**31 - 1, 1000)
    assert all(one.event_id > newest for one in later if one.event != "channel.tested")
    assert [one.event for one in later if one.event_id == newest] == ["channel.tested"]
    with environment.read() as connection:
        assert forgotten_event(connection) == newest  # a reader from before is told of the gap


def test_the_jobs_of_the_night_outlast_a_reset(environment: Store) -> None:
    for kind in NIGHTLY:
        wait_for_night(environment, kind)
    filed_by(environment, digger(environment))
    sandbox.reset(environment)
    with environment.read() as connection:
        left = connection.execute(sa.select(schema.jobs.c.kind, schema.jobs.c.state)).all()
    assert sorted(left) == sorted((kind, "queued") for kind in NIGHTLY)


def test_parts_of_an_answer_that_came_as_ler_sends_them_are_gone_after_a_reset(store: Store) -> None:
    from geoinfra.flows.ler_exchange import open_requests, take_area_answer

    sandbox.declare_sandbox(store)
    register(store, OWNER)
    areas = [InterestArea(number, ("gas",), AREA.buffer(9), SINCE) for number in (1, 2)]
    with store.begin() as tx:
        set_interest_areas(tx, OWNER, areas)
        tx.commit()
    digger(store)
    sandbox.keep_state(store)

    def asked() -> list[int]:
        fresh, _ = open_requests(store, owner(OWNER))
        return [one.area for one in fresh]

    first = filed_by(store, digger(store))
    assert asked() == [1, 2]
    take_area_answer(store, owner(OWNER), first.number, 1, svar(OWNER), is_update=False)
    assert asked() == [2]
    sandbox.reset(store)
    again = filed_by(store, digger(store))
    assert (again.number, asked()) == (first.number, [1, 2])


def test_numbers_of_ler_lead_to_marked_numbers() -> None:
    assert ler_id("TEST-2026-000017") == ler_id("2026-000017") == 2026000017
    assert number_of("2026000017", "TEST-") == "TEST-2026-000017"
    assert number_of("TEST-2026-000017") == "TEST-2026-000017"
    assert number_of("test-2026-000017") is None
    assert len(bare_number("TEST-2026-000017")) <= 12
    assert len("TEST-2026-000017") <= 16


@pytest.mark.parametrize("text", ["", "Ny stikledning", "x" * 500])
def test_a_mark_is_never_cut_away(text: str) -> None:
    for most in (1, 100):
        cut = sandbox_mark(text, most)
        assert SANDBOX_MARKS["da"] in cut
        assert SANDBOX_MARKS["en"] in cut
    assert len(sandbox_mark(text, 100)) <= 100
    assert SANDBOX_MARKS["da"] in marked_name("Ejer")


def test_the_command_line_makes_and_resets_an_environment(tmp_path: Path) -> None:
    folder, run = tmp_path / "sandbox", CliRunner().invoke
    made = run(command_line, ["sandbox", "create", str(folder), "--size", "tiny"])
    assert made.exit_code == 0, made.output
    tokens = folder / "sandbox-tokens.json"
    assert tokens.stat().st_mode & 0o077 == 0
    with pytest.raises(Conflict, match="already"):
        run(command_line, ["sandbox", "create", str(folder)], catch_exceptions=False)
    done = run(command_line, ["--data-dir", str(folder), "sandbox", "reset"])
    assert done.exit_code == 0, done.output
    assert "restored" in done.stdout
    assert run(command_line, ["--data-dir", str(folder), "sandbox", "keep"]).exit_code == 0


def test_the_command_line_leaves_a_real_store_alone(demo_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "real"
    subprocess.run(["cp", "-r", str(demo_data), folder], check=True)
    records = (folder / "records.sqlite").read_bytes()
    for words in (["sandbox", "create", str(folder)], ["--data-dir", str(folder), "sandbox", "reset"]):
        with pytest.raises(Conflict):
            CliRunner().invoke(command_line, words, catch_exceptions=False)
    assert (folder / "records.sqlite").read_bytes() == records
