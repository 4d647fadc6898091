"""A signed package against everything that can be done to it after it was signed."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import orjson
import pytest

from geoinfra.errors import UnreadableFile
from geoinfra.flows.package_files import Attachment, Contents, write_package
from geoinfra.utilities.formats import package_seal
from geoinfra.utilities.formats.intake import Limits
from geoinfra.utilities.formats.package_seal import verify_package
from geoinfra.utilities.signatures import PublicKey, SigningKey

KEY = SigningKey(bytes(range(32)))
OTHER = SigningKey(bytes(32))
FILES = {"10000068/plan æ.txt": b"plan " * 40, "10000068/foto.jpg": bytes(range(200)), "tom.txt": b""}


def opener(content: bytes) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    return lambda: io.BytesIO(content)


def written(path: Path, key: SigningKey | None = KEY, files: dict[str, bytes] = FILES) -> Path:
    contents = Contents(None, [], [], attachments=[Attachment(n, opener(c)) for n, c in files.items()])
    told = {"number": "2026-000017", "sequence": 1, "complete": True, "missing": []}
    write_package(path, contents, [], lambda members: {**told, "files": members}, key=key)
    return path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return written(tmp_path / "package.zip")


def codes(path: Path, keys: list[PublicKey] | None = None) -> dict[str, list[str]]:
    done = verify_package(path, [KEY.public] if keys is None else keys)
    assert done.valid is (not done.report.errors)
    found: dict[str, list[str]] = {}
    for finding in done.report.findings:
        found.setdefault(finding.code.removeprefix("PACKAGE-"), []).append(finding.path)
    return found


def members(path: Path) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(path) as archive:
        return [(info, archive.read(info)) for info in archive.infolist()]


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None], *more: tuple[str, bytes]) -> None:
    """Write the zip anew as a careful attacker would, with members changed, left out or added."""
    kept = [(info, change(info.filename, content)) for info, content in members(path)]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in more:
            archive.writestr(package_seal.member_info(name, zipfile.ZIP_DEFLATED), content)
        for info, changed in kept:
            if changed is not None:
                archive.writestr(package_seal.member_info(info.filename, info.compress_type), changed)


def same(_name: str, content: bytes) -> bytes:
    return content


# ------------------------------------------------------------------------------------------ as it should be


def test_a_package_is_valid_as_it_was_written(package: Path) -> None:
    done = verify_package(package, [OTHER.public, KEY.public])
    assert (done.valid, done.key_state, done.key_id) == (True, "current", KEY.key_id)
    assert done.report.features == len(members(package)) - 2
    assert done.to_json()["package"]["number"] == "2026-000017"


def test_the_same_contents_and_key_give_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path / "a.zip").read_bytes() == written(tmp_path / "b.zip").read_bytes()


def test_every_member_but_manifest_and_signature_is_in_the_manifest(package: Path) -> None:
    held = {info.filename: content for info, content in members(package)}
    listed = {file["name"] for file in orjson.loads(held["manifest.json"])["files"]}
    assert set(held) - listed == {"manifest.json", "manifest.sig"}
    assert list(held)[-1] == "manifest.sig"


def test_other_programs_open_a_signed_package(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        assert archive.testzip() is None
        assert archive.comment == b""


def test_a_retired_key_still_verifies_with_a_note(package: Path) -> None:
    retired = PublicKey(KEY.public.raw, retired_at="2026-12-01T00:00:00.000Z")
    done = verify_package(package, [retired])
    assert (done.valid, done.key_state) == (True, "retired")
    assert [finding.code for finding in done.report.findings] == ["PACKAGE-KEY-RETIRED"]


@pytest.mark.parametrize("limit", [200, 600, 10**9])
def test_the_directory_is_the_one_that_python_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Also with the fields for more than 4 GB, which a low limit brings about in a small file."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(4):
            with archive.open(
                package_seal.member_info(f"ø{number}", zipfile.ZIP_DEFLATED), "w", force_zip64=number % 2 == 0
            ) as member:
                member.write(os.urandom(150 + 150 * (number % 2 == 0)))
    with path.open("rb") as file:
        box = object.__new__(package_seal._Strict)
        box.file = file
        entries, offset, start = [], 0, zipfile.ZipFile(path).start_dir
        while offset < start:
            entries.append(box._local(offset, start))
            offset = entries[-1].end
    directory = b"".join(package_seal._directory(entries, start, limit))
    assert directory == path.read_bytes()[start:]


# ------------------------------------------------------------------------------------------- what is changed


def test_one_changed_bit_anywhere_in_the_file_is_found(package: Path, tmp_path: Path) -> None:
    """Every byte of the zip: names, sizes, clocks, packed data, directory and end."""
    content, other, missed = package.read_bytes(), tmp_path / "other.zip", []
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        other.write_bytes(changed)
        if verify_package(other, [KEY.public]).valid:
            missed.append(place)
    assert missed == []
    assert len(content) > 1500


def test_a_shorter_file_is_found(package: Path, tmp_path: Path) -> None:
    content, other = package.read_bytes(), tmp_path / "other.zip"
    for size in range(0, len(content), 37):
        other.write_bytes(content[:size])
        assert not verify_package(other, [KEY.public]).valid


@pytest.mark.parametrize("code", [name for name in FILES if FILES[name]])
def test_a_changed_file_is_named(package: Path, code: str) -> None:
    rewritten(package, lambda name, content: content[:-1] + b"!" if name == code else content)
    assert codes(package) == {"FILE-CHANGED": [code], "ZIP-CHANGED": [""]}


def test_a_missing_file_is_named(package: Path) -> None:
    rewritten(package, lambda name, content: None if name == "tom.txt" else content)
    assert codes(package) == {"FILE-MISSING": ["tom.txt"], "ZIP-CHANGED": [""]}


def test_an_added_file_is_named(package: Path) -> None:
    rewritten(package, same, ("ekstra.txt", b"x"))
    assert codes(package) == {"FILE-ADDED": ["ekstra.txt"], "ZIP-CHANGED": [""]}


def test_files_in_another_order_or_packed_otherwise_are_found(package: Path) -> None:
    kept = members(package)
    with zipfile.ZipFile(package, "w") as archive:
        for info, content in [*kept[:-2][::-1], *kept[-2:]]:
            archive.writestr(package_seal.member_info(info.filename, info.compress_type), content, None, 9)
    assert codes(package) == {"ZIP-CHANGED": [""]}


def test_a_swapped_manifest_is_found(package: Path, tmp_path: Path) -> None:
    """A manifest that fits the changed file does not fit the signature."""
    forged = written(tmp_path / "forged.zip", OTHER, {**FILES, "tom.txt": b"not empty"})
    foreign = {info.filename: content for info, content in members(forged)}
    wanted = ("manifest.json", "tom.txt")
    rewritten(package, lambda name, content: foreign[name] if name in wanted else content)
    assert codes(package) == {"SIGNATURE": ["manifest.json"], "ZIP-CHANGED": [""]}


def test_the_signature_of_another_package_does_not_fit(package: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "other.zip", KEY, {"tom.txt": b""})
    foreign = {info.filename: content for info, content in members(other)}["manifest.sig"]
    rewritten(package, lambda name, content: foreign if name == "manifest.sig" else content)
    assert codes(package) == {"SIGNATURE": ["manifest.json"], "ZIP-CHANGED": [""]}


def test_manifest_and_seal_of_two_packages_do_not_fit_together(package: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "other.zip", KEY, {"tom.txt": b""})
    signatures = [
        orjson.loads({info.filename: c for info, c in members(path)}["manifest.sig"])
        for path in (package, other)
    ]
    mixed = package_seal._signature_text(
        KEY.key_id, bytes.fromhex(signatures[0]["manifest"]), bytes.fromhex(signatures[1]["seal"])
    )
    rewritten(package, lambda name, content: mixed if name == "manifest.sig" else content)
    assert codes(package) == {"ZIP-CHANGED": [""]}


# ------------------------------------------------------------------------------------------------------- keys


def test_a_package_signed_by_somebody_else_is_not_valid(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zip", OTHER)
    done = verify_package(path, [KEY.public])
    assert (done.valid, done.key_state, done.manifest) == (False, "unknown", None)
    assert codes(path) == {"KEY-UNKNOWN": ["manifest.sig"]}


def test_without_any_key_nothing_is_valid(package: Path) -> None:
    assert codes(package, []) == {"KEY-UNKNOWN": ["manifest.sig"]}


def test_an_unsigned_package_is_not_valid_and_its_files_are_checked(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zip", None)
    assert codes(path) == {"NOT-SIGNED": ["manifest.sig"]}
    rewritten(path, lambda name, content: b"x" if name == "tom.txt" else content)
    assert codes(path)["FILE-CHANGED"] == ["tom.txt"]


def test_another_keys_id_does_not_help(tmp_path: Path) -> None:
    """Signed with one key, and said to be signed with another that is trusted."""
    path = written(tmp_path / "a.zip", OTHER)

    def renamed(name: str, content: bytes) -> bytes:
        return (
            content.replace(OTHER.key_id.encode(), KEY.key_id.encode()) if name == "manifest.sig" else content
        )

    rewritten(path, renamed)
    assert codes(path) == {"SIGNATURE": ["manifest.json"], "ZIP-CHANGED": [""]}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + b" ",
        lambda text: text.replace(b'"seal"', b'"Seal"'),
        lambda text: text.replace(b"Ed25519", b"none"),
        lambda text: text.replace(b"Ed25519", b"ed25519"),
        lambda text: text.upper(),
        lambda text: orjson.dumps({**orjson.loads(text), "more": 1}),
        lambda text: orjson.dumps({**orjson.loads(text), "manifest": ""}),
        lambda text: orjson.dumps({**orjson.loads(text), "manifest": None}),
        lambda _text: b"[]",
        lambda _text: b"",
        lambda _text: b"\xff\xfe",
        lambda text: text + b" " * 5000,
    ],
)
def test_a_signature_file_of_any_other_form_is_no_signature(
    package: Path, spoil: Callable[[bytes], bytes]
) -> None:
    rewritten(package, lambda name, content: spoil(content) if name == "manifest.sig" else content)
    assert "NOT-SIGNED" in codes(package)


# ------------------------------------------------------------------------------------------------- zip tricks


def test_bytes_after_the_end_are_found(package: Path) -> None:
    package.write_bytes(package.read_bytes() + b"\0")
    assert "ZIP-STRUCTURE" in codes(package)


def test_bytes_before_the_start_are_found(package: Path) -> None:
    """A script before the zip: most programs open such a file as if nothing were there."""
    package.write_bytes(b"#!/bin/sh\nexit\n" + package.read_bytes())
    with zipfile.ZipFile(package) as archive:
        assert archive.testzip() is None
    assert "ZIP-STRUCTURE" in codes(package)


def test_a_comment_on_the_zip_is_found(package: Path) -> None:
    with zipfile.ZipFile(package, "a") as archive:
        archive.comment = b"hello"
    assert "ZIP-STRUCTURE" in codes(package)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("first", [True, False])
def test_a_name_that_is_there_twice_is_found(package: Path, first: bool) -> None:
    """One program takes the first, another the last."""
    kept = members(package)
    false = (package_seal.member_info("10000068/foto.jpg", zipfile.ZIP_STORED), b"false")
    with zipfile.ZipFile(package, "w") as archive:
        for info, content in [false, *kept] if first else [*kept[:-2], false, *kept[-2:]]:
            archive.writestr(package_seal.member_info(info.filename, info.compress_type), content)
    assert codes(package)["FILE-TWICE"] == ["10000068/foto.jpg"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_second_manifest_is_found(package: Path) -> None:
    rewritten(package, same, ("manifest.json", b'{"files": []}'))
    assert codes(package)["FILE-TWICE"] == ["manifest.json"]


def test_a_name_that_differs_in_case_only_is_found(package: Path) -> None:
    rewritten(package, same, ("TOM.txt", b"other"))
    assert codes(package)["FILE-TWICE"] == ["tom.txt"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../up.txt", "a/../../up.txt", "C:/x.txt", "a\\b.txt"])
def test_a_name_that_points_out_of_the_package_is_found(package: Path, name: str) -> None:
    rewritten(package, same, (name, b"x"))
    found = codes(package)
    assert found["FILE-NAME"] == [name]
    assert found["FILE-ADDED"] == [name]


def test_a_link_in_place_of_a_file_is_found(package: Path) -> None:
    """The mode of a member stands in the directory alone."""
    content = bytearray(package.read_bytes())
    place = content.index(b"PK\x01\x02") + 38
    content[place : place + 4] = struct.pack("<I", 0o120777 << 16)
    package.write_bytes(content)
    assert "ZIP-STRUCTURE" in codes(package)


def test_a_directory_that_names_other_files_than_the_headers_is_found(package: Path) -> None:
    content = package.read_bytes()
    cut = content.index(b"PK\x01\x02")
    package.write_bytes(content[:cut] + content[cut:].replace(b"tom.txt", b"tam.txt"))
    found = codes(package)
    assert "ZIP-STRUCTURE" in found
    assert found["FILE-MISSING"] == ["tom.txt"]


def test_a_member_between_the_others_that_no_directory_names_is_found(package: Path) -> None:
    content = package.read_bytes()
    cut = content.index(b"PK\x01\x02")
    hidden = io.BytesIO()
    with zipfile.ZipFile(hidden, "w") as archive:
        archive.writestr(package_seal.member_info("hidden", zipfile.ZIP_STORED), b"hidden")
        end = archive.start_dir
    tail = bytearray(content[cut:])
    struct.pack_into("<L", tail, len(tail) - 6, cut + end)
    package.write_bytes(content[:cut] + hidden.getvalue()[:end] + tail)
    with zipfile.ZipFile(package) as archive:
        assert archive.testzip() is None
    assert "ZIP-STRUCTURE" in codes(package)


def test_a_file_that_unpacks_to_more_than_it_says_is_not_unpacked(package: Path) -> None:
    """A bomb under a known name: unpacking ends one piece after the size that was signed."""
    rewritten(package, lambda name, content: b"\0" * 60_000_000 if name == "tom.txt" else content)
    assert codes(package)["FILE-CHANGED"] == ["tom.txt"]


def test_an_unsigned_list_cannot_ask_for_endless_unpacking(package: Path) -> None:
    files = [{"name": "tom.txt", "size_bytes": 10**15, "sha256": "0" * 64}]
    forged = orjson.dumps({"files": files})
    rewritten(package, lambda name, content: forged if name == "manifest.json" else content)
    with pytest.raises(UnreadableFile):
        verify_package(package, [KEY.public])


def test_more_members_than_the_bound_are_refused(package: Path) -> None:
    done = verify_package(package, [KEY.public], Limits(max_zip_members=3))
    assert "PACKAGE-ZIP-STRUCTURE" in {finding.code for finding in done.report.findings}


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"{}",
        b'{"files": 1}',
        b'{"files": [{"name": "a"}]}',
        b'{"files": [{"name": "a", "size_bytes": "x", "sha256": ""}]}',
        b'{"files": [null]}',
        b'{"files": [{"name": null, "size_bytes": -5, "sha256": null}]}',
        b"\xff",
    ],
)
def test_any_manifest_at_all_is_told_and_never_believed(package: Path, manifest: bytes) -> None:
    rewritten(package, lambda name, content: manifest if name == "manifest.json" else content)
    assert "SIGNATURE" in codes(package)


@pytest.mark.parametrize("content", [b"", b"PK", b"hello world" * 9, b"PK\x03\x04" + bytes(100), bytes(22)])
def test_what_is_no_zip_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    assert "ZIP-STRUCTURE" in codes(path)


# ------------------------------------------------------------------------------------------------ as a folder


@pytest.fixture
def folder(package: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "folder")
    return tmp_path / "folder"


def test_an_unpacked_package_is_valid(folder: Path) -> None:
    assert codes(folder) == {}


def _append(folder: Path) -> None:
    (folder / "tom.txt").write_bytes(b"x")


def _add(folder: Path) -> None:
    (folder / "10000068" / "nyt.txt").write_bytes(b"x")


def _link(folder: Path) -> None:
    (folder / "tom.txt").unlink()
    (folder / "tom.txt").symlink_to("/dev/null")


def _folder_link(folder: Path) -> None:
    (folder / "link").symlink_to("/tmp")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_append, {"FILE-CHANGED": ["tom.txt"]}),
        (_add, {"FILE-ADDED": ["10000068/nyt.txt"]}),
        (_link, {"FILE-CHANGED": ["tom.txt"]}),
        (_folder_link, {"FILE-ADDED": ["link"]}),
        (lambda folder: (folder / "tom.txt").unlink(), {"FILE-MISSING": ["tom.txt"]}),
    ],
)
def test_a_change_in_an_unpacked_package_is_named(
    folder: Path, change: Callable[[Path], Any], found: dict[str, list[str]]
) -> None:
    change(folder)
    assert codes(folder) == found
