"""Blobs appear whole or not at all, under names that cannot leave their folder."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import resource
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from geoinfra.errors import InvalidInput, NotFound, StorageFull
from geoinfra.storage.blobs import Blob, BlobStore

CONTENT = bytes(range(256)) * 9000


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def files(blobs: BlobStore) -> list[str]:
    return sorted(str(p.relative_to(blobs.folder)) for p in blobs.folder.rglob("*") if p.is_file())


def write(file: BinaryIO) -> None:
    file.write(CONTENT)


@pytest.mark.parametrize("content", [CONTENT, io.BytesIO(CONTENT), write], ids=["bytes", "file", "writer"])
def test_what_is_put_is_what_is_read(blobs: BlobStore, content: object) -> None:
    blob = blobs.put("packages/2026-000017-1.zip", content)  # type: ignore[arg-type]  # three kinds of content
    assert blob == Blob("packages/2026-000017-1.zip", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    with blobs.open(blob.name) as file:
        assert file.read() == CONTENT
    assert blobs.path(blob.name).read_bytes() == CONTENT
    assert blobs.exists(blob.name)
    assert files(blobs) == [blob.name]


def test_a_name_can_be_written_anew_while_it_is_read(blobs: BlobStore) -> None:
    blobs.put("a", b"old")
    with blobs.open("a") as file:
        blobs.put("a", b"new")
        assert file.read() == b"old"
    assert blobs.path("a").read_bytes() == b"new"


def test_a_zip_is_written_in_place(blobs: BlobStore) -> None:
    with blobs.writing("p/a.zip") as path:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("consolidated.gml", "<a/>")
        assert not blobs.exists("p/a.zip")
    assert zipfile.ZipFile(blobs.path("p/a.zip")).read("consolidated.gml") == b"<a/>"


def test_an_error_while_writing_leaves_what_was_there(blobs: BlobStore) -> None:
    blobs.put("a", b"old")

    def fails(file: BinaryIO) -> None:
        file.write(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        blobs.put("a", fails)
    assert blobs.path("a").read_bytes() == b"old"
    assert files(blobs) == ["a"]


def test_a_deleted_blob_is_gone_and_may_be_deleted_again(blobs: BlobStore) -> None:
    blobs.put("a/b", b"1")
    blobs.delete("a/b")
    blobs.delete("a/b")
    blobs.delete("never/there")
    assert not blobs.exists("a/b")
    for read in (blobs.path, blobs.open, blobs.stat):
        with pytest.raises(NotFound):
            read("a/b")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../a",
        "a/../b",
        "/a",
        "a//b",
        "a/",
        "a/.b",
        ".a",
        "-a",
        "A",
        "a b",
        "a\0",
        "a\n",
        "æ",
        "a\\b",
        "x" * 201,
    ],
)
def test_a_name_that_could_do_harm_is_refused(blobs: BlobStore, name: str) -> None:
    for use in (blobs.path, blobs.exists, blobs.delete, lambda n: blobs.put(n, b"")):
        with pytest.raises(InvalidInput):
            use(name)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Files may not grow beyond 100 kB: the kernel itself refuses, as a full disk does (EFBIG for ENOSPC)."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_limit_of_the_disk_is_told_and_nothing_is_left(blobs: BlobStore, full_disk: None) -> None:
    with pytest.raises(StorageFull):
        blobs.put("a", CONTENT)
    assert files(blobs) == []


def test_a_full_disk_is_told_and_nothing_is_left(blobs: BlobStore) -> None:
    def write_to_a_full_disk(file: BinaryIO) -> None:
        file.write(b"half")
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"half")  # the kernel's own ENOSPC

    with pytest.raises(StorageFull):
        blobs.put("a", write_to_a_full_disk)
    assert files(blobs) == []


def test_other_errors_of_the_system_pass_unchanged(blobs: BlobStore) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EIO)), blobs.writing("a"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert files(blobs) == []
