"""Signed packages from the store: keys, what is missing, what changed; over HTTP and on the command line."""

from __future__ import annotations

import base64
import io
import json
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import sqlalchemy as sa
import uvicorn
from test_flow_enquiry import EXCAVATOR, OFFICIAL_OWNER, STRANGER, access_with, document, package_of, work_off
from test_flow_package_contents import AREA, FILES, NAMED, OWNER, SINCE, delivery
from typer.testing import CliRunner

from geoinfra.access import Access, Role
from geoinfra.cli import app as command_line
from geoinfra.errors import Conflict, NotFound
from geoinfra.flows import package_files, signing
from geoinfra.flows.answers import store_answer
from geoinfra.flows.deliveries import deliver
from geoinfra.flows.differences import file_differences, package_differences
from geoinfra.flows.enquiries import Enquiry, enquiry, file_enquiry
from geoinfra.storage import Store, open_store, organisations, schema
from geoinfra.storage.organisations import InterestArea
from geoinfra.utilities.formats import ler
from geoinfra.utilities.formats.package_seal import verify_package
from geoinfra.utilities.model import AnswerHeader, ResponseType
from geoinfra.utilities.signatures import SigningKey, read_keys
from services.app import create_app
from services.cli import app as whole_command_line
from services.settings import Settings

pytestmark = pytest.mark.services

SILENT = "10000041"


def two_owners(store: Store) -> None:
    """One who delivers, and one who is silent and can be called."""
    with store.begin() as tx:
        organisations.add_organisation(tx, OFFICIAL_OWNER, "Official sample")
        contact = {"name": "Vagten", "phone": "+45 70 10 20 30", "email": "vagt@example.dk"}
        organisations.add_organisation(tx, SILENT, "Det Tavse Net", contact)
        organisations.set_interest_areas(tx, OFFICIAL_OWNER, [InterestArea(1, ("el",), AREA, SINCE)])
        organisations.set_interest_areas(tx, SILENT, [InterestArea(2, ("water",), AREA, SINCE)])
        tx.commit()


def packaged(store: Store, **changes: Any) -> tuple[Access, Enquiry]:
    two_owners(store)
    deliver(store, OWNER, delivery(FILES, NAMED), OFFICIAL_OWNER)
    access = access_with(store, EXCAVATOR, Role.EXCAVATOR)
    filed = file_enquiry(store, access, document(AREA, **changes))
    work_off(store)
    return access, filed


def path_of(store: Store, number: str, sequence: int = 1) -> Path:
    made = schema.packages.c
    with store.read() as connection:
        query = sa.select(made.blob).where(made.enquiry == number, made.sequence == sequence)
        return store.blobs.path(str(connection.scalar(query)))


def manifest_of(store: Store, access: Access, number: str) -> dict[str, Any]:
    with package_of(store, access, number) as archive:
        manifest: dict[str, Any] = json.loads(archive.read("manifest.json"))
        return manifest


@contextmanager
def serving(store: Store) -> Iterator[httpx.Client]:
    """Run the application over a store on a free port of the loopback address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        app = create_app(Settings(data_dir=store.data_dir), store)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


# ---------------------------------------------------------------------------------------------------- signing


@pytest.mark.parametrize("formats", [["gml"], ["gml", "geojson", "gpkg", "html", "dxf"]])
def test_each_package_is_signed_with_the_key_of_the_store(store: Store, formats: list[str]) -> None:
    access, filed = packaged(store, formats=formats)
    done = verify_package(path_of(store, filed.number), signing.public_keys(store))
    assert done.to_json()["findings"] == []
    assert (done.valid, done.key_state) == (True, "current")
    with store.read() as connection:
        row = connection.execute(sa.select(schema.packages)).one()
    assert (row.key_id, row.complete) == (done.key_id, False)
    assert json.loads(row.manifest) == manifest_of(store, access, filed.number) == done.manifest


def test_a_package_made_again_has_the_same_bytes(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, filed = packaged(store, formats=["gml", "geojson", "gpkg", "html"])
    path = path_of(store, filed.number)
    first = path.read_bytes()
    with store.begin() as tx:  # as if the worker had been killed before its commit, and tries on another day
        tx.execute(sa.delete(schema.packages))
        tx.execute(sa.update(schema.jobs).values(state="queued"))
        tx.commit()
    work_off(store)
    assert not path.exists()
    assert path_of(store, filed.number).read_bytes() == first


def test_a_rotated_key_signs_what_follows_and_the_old_one_still_verifies(store: Store) -> None:
    _, filed = packaged(store)
    before = signing.ensure_key(store)
    after = signing.rotate_key(store)
    store_answer(store, Access("test", SILENT, frozenset({Role.OWNER})), filed.number, no_lines())
    work_off(store)
    keys = signing.public_keys(store)
    assert [key.key_id for key in keys] == [after.key_id, before.key_id]
    old, new = (verify_package(path_of(store, filed.number, n), keys) for n in (1, 2))
    assert [(one.valid, one.key_state, one.key_id) for one in (old, new)] == [
        (True, "retired", before.key_id),
        (True, "current", after.key_id),
    ]


def no_lines() -> Any:
    file = io.BytesIO()
    header = AnswerHeader("3f2b8c1e-5a40-4d7e-9c55-0b1d2e3f4a5c", ResponseType.NO_LINES)
    ler.write_answer(file, header, [])
    file.seek(0)
    return file


def test_processes_that_start_at_once_agree_on_one_key(make_store: Callable[[], Store]) -> None:
    stores = [make_store() for _ in range(4)]
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda s=s: found.append(signing.ensure_key(s).key_id)) for s in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(signing.public_keys(stores[0])) == 1


def test_the_records_are_readable_by_their_owner_alone(store: Store) -> None:
    signing.ensure_key(store)
    files = [path for path in store.data_dir.glob("records.sqlite*") if path.suffix != ".lock"]
    assert bool(files) is store.records.is_sqlite
    assert [path.name for path in files if stat.S_IMODE(path.stat().st_mode) != 0o600] == []


def test_the_private_key_is_in_nothing_that_leaves(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    access, filed = packaged(store)
    with store.read() as connection:
        secret = bytes(connection.scalar(sa.select(schema.signing_keys.c.private_key)) or b"")
    assert len(secret) == 32
    whole = [path_of(store, filed.number).read_bytes(), caplog.text.encode()]
    whole.append(json.dumps(filed.to_json()).encode())
    with package_of(store, access, filed.number) as archive:
        whole += [archive.read(name) for name in archive.namelist()]
    with serving(store) as client:
        whole.append(client.get("/.well-known/geoinfra-keys.json").content)
    forms = (
        secret,
        secret.hex().encode(),
        base64.b64encode(secret)[:42],
        base64.urlsafe_b64encode(secret)[:42],
    )
    assert not any(form in content for form in forms for content in whole)


def test_the_public_keys_are_for_everybody(store: Store) -> None:
    _, filed = packaged(store)
    signing.rotate_key(store)
    with serving(store) as client:
        answer = client.get("/.well-known/geoinfra-keys.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/jwk-set+json"
    keys = read_keys(answer.content)
    assert keys == signing.public_keys(store)
    assert verify_package(path_of(store, filed.number), keys).valid


def test_verify_asks_a_service_for_its_keys(embedded: Store) -> None:
    _, filed = packaged(embedded)
    package = str(path_of(embedded, filed.number))
    with serving(embedded) as client:
        address = str(client.base_url)
        assert run("verify", package, "--server", address)[0] == 0
        assert run("verify", package, "--server", f"{address}/api")[0] != 0  # nothing is told there
    assert run("verify", package, "--server", address)[0] != 0  # nobody answers
    signing.rotate_key(embedded)
    with embedded.begin() as tx:  # as if the service were another one
        tx.execute(sa.delete(schema.signing_keys).where(schema.signing_keys.c.retired_at.isnot(None)))
        tx.commit()
    with serving(embedded) as client:
        assert run("verify", package, "--server", str(client.base_url))[0] == 1


def test_a_package_made_anew_with_another_key_is_not_valid(store: Store, tmp_path: Path) -> None:
    packaged(store)
    forger, _ = SigningKey.generate()
    path = tmp_path / "forged.zip"
    contents = package_files.Contents(None, [], [])
    package_files.write_package(path, contents, [], lambda members: {"files": members}, key=forger)
    done = verify_package(path, signing.public_keys(store))
    assert (done.valid, done.key_state) == (False, "unknown")


# ------------------------------------------------------------------------------------------ what is missing


def test_a_partial_package_tells_who_is_missing_until_when_and_whom_to_call(store: Store) -> None:
    access, filed = packaged(store)
    manifest = manifest_of(store, access, filed.number)
    (missing,) = manifest["completeness"]["missing"]
    due = {answer.owner_cvr: answer.due_at for answer in enquiry(store, access, filed.number).answers}
    assert due[SILENT] is not None
    assert missing == {
        "cvr": SILENT,
        "name": "Det Tavse Net",
        "status": "waiting",
        "due_at": due[SILENT],
        "expected_at": None,
        "contact": {"name": "Vagten", "phone": "+45 70 10 20 30", "email": "vagt@example.dk"},
    }
    assert manifest["completeness"]["statement"]["da"].startswith("Pakken er ikke komplet: 1 af 2")
    assert (manifest["sequence"], manifest["complete"], manifest["missing"]) == (1, False, [SILENT])
    with package_of(store, access, filed.number) as archive:
        page, statuses = (archive.read(n).decode() for n in ("index.html", "LedningsejerStatusListe.xml"))
    local = datetime.fromisoformat(due[SILENT]).astimezone()
    assert "Ikke leveret" in statuses
    assert "Pakke 1 er ikke komplet: 1 af 2 har svaret." in page
    assert f'data-due="{local.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"' in page
    assert 'href="tel:+4570102030"' in page


def test_the_next_package_is_complete_and_tells_what_changed(store: Store) -> None:
    access, filed = packaged(store)
    silent = Access("test", SILENT, frozenset({Role.OWNER}))
    store_answer(store, silent, filed.number, no_lines())
    work_off(store)
    manifest = manifest_of(store, access, filed.number)
    assert (manifest["sequence"], manifest["complete"], manifest["missing"]) == (2, True, [])
    with package_of(store, access, filed.number) as archive:
        changes = json.loads(archive.read("changes.json"))
        page = archive.read("index.html").decode()
    assert changes["counts"] == {"added": 0, "removed": 0, "changed": 0, "unchanged": 6}
    assert [(o["owner_cvr"], o["before"], o["after"]) for o in changes["owners"]] == [
        (SILENT, "waiting", "no-lines")
    ]
    assert "Ændret siden pakke 1" in page


@pytest.mark.parametrize("formats", [["gml"], ["gml", "html"]])
def test_no_dangerous_line_comes_without_a_precaution(store: Store, formats: list[str]) -> None:
    access, filed = packaged(store, formats=formats)
    manifest = manifest_of(store, access, filed.number)
    warned = {f["feature_id"] for one in manifest["precautions"] for f in one["features"]}
    assert warned >= {f"{OFFICIAL_OWNER}.el.{n}" for n in (0, 1, 2, 30) if n < 10}
    assert all(one["title"]["da"] and one["action"]["en"] and one["count"] for one in manifest["precautions"])
    assert manifest["dangers"] == [
        {
            "owner_cvr": OFFICIAL_OWNER,
            "supply": "electricity",
            "hazard": "farlig",
            "count": 4,
            "inside": 4,
            "nearest_m": 0.0,
            "centre_m": manifest["dangers"][0]["centre_m"],
        }
    ]


@pytest.mark.parametrize(("kind", "banned"), [("planned", False), ("planning", True)])
def test_a_package_for_planning_says_that_it_is_not_for_digging(
    store: Store, kind: str, banned: bool
) -> None:
    two_owners(store)
    access = access_with(store, EXCAVATOR, Role.EXCAVATOR)
    filed = file_enquiry(store, access, document(AREA))
    with store.begin() as tx:
        tx.execute(sa.update(schema.enquiries).values(kind=kind))
        tx.commit()
    work_off(store)
    assert manifest_of(store, access, filed.number)["kind"] == kind
    with package_of(store, access, filed.number) as archive:
        page = archive.read("index.html").decode()
    assert ("Må ikke bruges til at grave" in page) is banned
    assert ('class="notdig"' in page) is banned


# ----------------------------------------------------------------------------------------------- differences


def corrected(store: Store) -> tuple[Access, Enquiry]:
    """A first package, and a second after one owner answered with two lines of his own."""
    access, filed = packaged(store)
    other = delivery({}, {"el.0": None, "el.7": None})
    answering = Access("test", SILENT, frozenset({Role.OWNER}))
    store_answer(store, answering, filed.number, other)
    work_off(store)
    return access, filed


def test_differences_of_two_packages_are_those_of_their_files(store: Store) -> None:
    access, filed = corrected(store)
    found = package_differences(store, access, filed.number, 1, 2)
    assert [one.feature_id for one in found.added] == [f"{SILENT}.el.0", f"{SILENT}.el.7"]
    assert (found.removed, found.changed, found.unchanged) == ((), (), 6)
    files = file_differences(*(path_of(store, filed.number, n) for n in (1, 2)))
    assert [one.feature_id for one in files.added] == [one.feature_id for one in found.added]
    back = package_differences(store, access, filed.number, 2, 1)
    assert [one.feature_id for one in back.removed] == [one.feature_id for one in found.added]


def test_differences_are_for_the_filer_alone_while_the_enquiry_is_in_force(store: Store) -> None:
    access, filed = corrected(store)
    stranger = access_with(store, "10000084", Role.EXCAVATOR)
    owner = Access("test", OFFICIAL_OWNER, frozenset({Role.OWNER, Role.EXCAVATOR}))
    admin = Access("test", STRANGER, frozenset({Role.ADMIN, Role.EXCAVATOR}))
    for other in (stranger, owner, admin):
        with pytest.raises(NotFound):
            package_differences(store, other, filed.number, 1, 2)
    with pytest.raises(NotFound):
        package_differences(store, access, filed.number, 1, 3)
    with store.begin() as tx:
        tx.execute(sa.update(schema.enquiries).values(valid_to="2026-01-01T00:00:00.000Z"))
        tx.commit()
    with pytest.raises(Conflict):
        package_differences(store, access, filed.number, 1, 2)


def test_differences_over_http(store: Store) -> None:
    _, filed = corrected(store)
    with store.begin() as tx:
        tokens = [
            organisations.create_token(tx, cvr, [Role.EXCAVATOR], "t", timedelta(hours=1))
            for cvr in (EXCAVATOR, SILENT)
        ]
        tx.commit()
    address = f"/api/enquiries/{filed.number}/differences"
    with serving(store) as client:
        mine, other = ({"Authorization": f"Bearer {secret}"} for _, secret in tokens)
        answer = client.get(address, params={"from": 1, "to": 2}, headers=mine)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "private, no-store"
        body = answer.json()
        assert (body["from"], body["to"], body["counts"]["added"]) == (1, 2, 2)
        assert client.get(address, params={"from": 1, "to": 2}, headers=other).status_code == 404
        assert client.get(address, params={"from": 1, "to": 2}).status_code in (401, 403)
        for wrong in ({"from": 0, "to": 2}, {"from": "x", "to": 2}, {"from": 1}, {"from": 1, "to": 10**9}):
            assert client.get(address, params=wrong, headers=mine).status_code in (400, 404, 422)


# ------------------------------------------------------------------------------------------ the command line


def run(*words: str, data_dir: Path | None = None) -> tuple[int, str, str]:
    given = [] if data_dir is None else ["--data-dir", str(data_dir)]
    done = CliRunner().invoke(whole_command_line, [*given, *words])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


def test_keys_and_packages_on_the_command_line(embedded: Store, tmp_path: Path) -> None:
    assert command_line is whole_command_line
    _, filed = packaged(embedded)
    package, keys, here = str(path_of(embedded, filed.number)), tmp_path / "keys.json", embedded.data_dir
    assert run("key", "export", str(keys), data_dir=here)[0] == 0
    assert read_keys(keys.read_bytes()) == signing.public_keys(embedded)
    status, out, _ = run("verify", package, "--key", str(keys), "--json", data_dir=tmp_path / "none")
    assert (status, json.loads(out)["valid"], json.loads(out)["key_state"]) == (0, True, "current")
    assert json.loads(out)["package"]["missing"] == [SILENT]
    assert not (tmp_path / "none").exists()
    assert run("verify", package, data_dir=here)[0] == 0  # the store's own keys
    assert run("verify", package, data_dir=tmp_path / "none")[0] == 1  # nobody's
    status, out, _ = run("key", "rotate", data_dir=here)
    assert status == 0
    listed = run("key", "list", data_dir=here)[1].splitlines()
    assert [line.split()[-2:][0] == "retired" for line in listed] == [False, True]
    assert len(json.loads(run("key", "list", "--json", data_dir=here)[1])["keys"]) == 2
    status, out, err = run("verify", package, data_dir=here)
    assert (status, "retired" in err) == (0, True)
    assert embedded.audit.verify().ok


def test_verify_names_the_changed_file_and_exits_with_1(embedded: Store, tmp_path: Path) -> None:
    _, filed = packaged(embedded)
    folder = tmp_path / "unpacked"
    with package_of(embedded, access_with(embedded, EXCAVATOR, Role.EXCAVATOR), filed.number) as archive:
        archive.extractall(folder)
    path = folder / "consolidated.gml"
    path.write_bytes(path.read_bytes().replace(b"farlig", b"Farlig", 1))
    (folder / "\x1b[31mrød.txt").write_bytes(b"x")
    status, out, err = run("verify", str(folder), data_dir=embedded.data_dir)
    assert status == 1
    assert "error consolidated.gml:" in err
    assert "NOT valid" in err
    assert "\x1b" not in out + err
    assert run("verify", str(tmp_path / "none.zip"), data_dir=embedded.data_dir)[0] == 2
    assert run("verify", str(folder), "--server", "http://example.dk")[0] == 2
    assert run("verify", str(folder), "--server", "https://a@example.dk")[0] == 2
    assert run("verify", str(folder), "--key", str(path), "--server", "https://example.dk")[0] == 2


def test_diff_on_the_command_line(embedded: Store) -> None:
    _, filed = corrected(embedded)
    paths = [str(path_of(embedded, filed.number, n)) for n in (1, 2)]
    assert run("utilities", "diff", paths[0], paths[0]) == (
        0,
        "0 added, 0 removed, 0 changed, 6 as before.\n",
        "",
    )
    status, out, _ = run("utilities", "diff", *paths)
    assert status == 1
    assert f"+ Elledning {SILENT}.el.7" in out.splitlines()
    status, out, _ = run("utilities", "diff", *paths, "--json", "--owner", SILENT)
    assert (status, orjson.loads(out)["counts"]) == (
        1,
        {"added": 2, "removed": 0, "changed": 0, "unchanged": 0},
    )
