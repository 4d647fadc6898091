"""Attachments of owners who mean harm or use the same names: nothing collides and nothing gets out."""

from __future__ import annotations

import io
import json
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pytest
from test_flow_enquiry import EXCAVATOR, OFFICIAL_OWNER, access_with, document, package_of, work_off
from test_flow_package_contents import AREA, OWNER, SINCE, delivery

from geoinfra.access import Access, Role
from geoinfra.errors import DataRefused, UnreadableFile
from geoinfra.flows import signing
from geoinfra.flows.deliveries import deliver
from geoinfra.flows.enquiries import enquiry, file_enquiry
from geoinfra.flows.package_files import Attachment, Contents, write_package
from geoinfra.storage import Store, organisations
from geoinfra.storage.organisations import InterestArea
from geoinfra.utilities.formats.package_seal import verify_package
from geoinfra.utilities.signatures import SigningKey

pytestmark = pytest.mark.services

OTHER = "10000041"
OTHER_OWNER = Access("test", OTHER, frozenset({Role.OWNER}))


@pytest.fixture
def asked(store: Store) -> Store:
    with store.begin() as tx:
        for number, cvr in enumerate((OFFICIAL_OWNER, OTHER), 1):
            organisations.add_organisation(tx, cvr, f"Ejer {cvr}")
            organisations.set_interest_areas(tx, cvr, [InterestArea(number, ("el",), AREA, SINCE)])
        tx.commit()
    return store


def package(store: Store) -> tuple[dict[str, bytes], dict[str, Any]]:
    """File an enquiry; return the files of its package and its manifest. It is valid, and unpacks inside."""
    access = access_with(store, EXCAVATOR, Role.EXCAVATOR)
    filed = file_enquiry(store, access, document(AREA))
    work_off(store)
    with package_of(store, access, filed.number) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
        assert len(held) == len(archive.namelist())
    made = enquiry(store, access, filed.number).package
    assert made is not None
    done = verify_package(store.blobs.path(made.blob), signing.public_keys(store))
    assert done.to_json()["findings"] == []
    assert [name for name in held if name.startswith(("/", ".")) or ".." in name or "\\" in name] == []
    return held, json.loads(held["manifest.json"])


def attached(manifest: dict[str, Any]) -> dict[str, list[str]]:
    return {owner["cvr"]: [file["name"] for file in owner["attachments"]] for owner in manifest["owners"]}


def test_two_owners_may_call_their_files_the_same(asked: Store) -> None:
    deliver(asked, OWNER, delivery({"plan.pdf": b"one"}, {"el.0": "plan.pdf"}), OFFICIAL_OWNER)
    deliver(asked, OTHER_OWNER, delivery({"plan.pdf": b"other"}, {"el.0": "plan.pdf"}), OTHER)
    held, manifest = package(asked)
    assert held[f"{OFFICIAL_OWNER}/plan.pdf"] == b"one"
    assert held[f"{OTHER}/plan.pdf"] == b"other"
    assert attached(manifest) == {
        OFFICIAL_OWNER: [f"{OFFICIAL_OWNER}/plan.pdf"],
        OTHER: [f"{OTHER}/plan.pdf"],
    }
    listed = {file["name"] for file in manifest["files"]}
    assert {name for names in attached(manifest).values() for name in names} <= listed


@pytest.mark.parametrize(
    "path",
    [
        f"../{OTHER}/plan.pdf",
        "../../etc/cron.d/x",
        "/etc/passwd",
        "a/../../b",
        "..\\..\\x.txt",
        "C:\\x.txt",
        "C:x.txt",
        "..",
    ],
)
def test_a_path_that_leads_out_is_in_no_package(asked: Store, path: str) -> None:
    """Named by a feature, and present in the owner's zip under that very name or not."""
    for files in ({path: b"evil"}, {}):
        try:
            deliver(asked, OWNER, delivery(files, {"el.0": path}), OFFICIAL_OWNER)
        except (DataRefused, UnreadableFile):
            continue
        held, manifest = package(asked)
        assert b"evil" not in held.values()
        assert attached(manifest)[OFFICIAL_OWNER] == []


@pytest.mark.parametrize(("first", "second"), [("Plan.pdf", "plan.pdf"), ("blå.pdf", "bla\u030a.pdf")])
def test_names_that_some_systems_take_for_one_do_not_overwrite_each_other(
    asked: Store, first: str, second: str
) -> None:
    """On Windows and macOS the two would be one file; the second gets another name, and both are listed."""
    files = {first: b"one", second: b"other"}
    deliver(asked, OWNER, delivery(files, {"el.0": first, "el.1": second}), OFFICIAL_OWNER)
    held, manifest = package(asked)
    listed = next(owner for owner in manifest["owners"] if owner["cvr"] == OFFICIAL_OWNER)["attachments"]
    assert {file["path"]: held[file["name"]] for file in listed} == files
    assert len({unicodedata.normalize("NFKC", file["name"]).casefold() for file in listed}) == 2


def test_markup_in_a_name_stays_text_in_the_page(asked: Store) -> None:
    path = "<img src=x onerror=alert(1)>.pdf"
    deliver(asked, OWNER, delivery({path: b"x"}, {"el.0": path}), OFFICIAL_OWNER)
    held, _ = package(asked)
    assert b"<img src=x" not in held["index.html"]


def test_a_large_attachment_is_refused_with_the_delivery(asked: Store) -> None:
    source = delivery({}, {"el.0": "stor.bin"})
    with zipfile.ZipFile(source, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("stor.bin", bytes(101 * 1024**2))
    source.seek(0)
    with pytest.raises(UnreadableFile):
        deliver(asked, OWNER, source, OFFICIAL_OWNER)


def test_an_attachment_under_an_unsafe_name_stops_the_writing(tmp_path: Path) -> None:
    bad = Contents(None, [], [], attachments=[Attachment("../x", lambda: io.BytesIO(b""))])
    with pytest.raises(Exception, match="points out of the package"):
        write_package(tmp_path / "a.zip", bad, [], lambda members: {"files": members})


@pytest.mark.parametrize(
    "name", ["manifest.json", "MANIFEST.sig", "consolidated.gml", "ledningsejerstatusliste.XML"]
)
def test_an_attachment_called_like_one_of_ours_takes_no_place_of_ours(tmp_path: Path, name: str) -> None:
    files = [Attachment(one, lambda: io.BytesIO(b"false")) for one in (name, f"10000068/{name}")]
    key, _ = SigningKey.generate()
    path = tmp_path / "a.zip"
    contents = Contents(None, [], [], attachments=files)
    write_package(path, contents, [], lambda members: {"files": members}, key=key)
    with zipfile.ZipFile(path) as archive:
        held = {one: archive.read(one) for one in archive.namelist()}
    assert [one for one, content in held.items() if content == b"false"] == [f"10000068/{name}"]
    assert verify_package(path, [key.public]).valid
