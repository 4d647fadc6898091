"""Blobs: finished files (packages, uploads), each written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from geoinfra.errors import GeoinfraError, InvalidInput, NotFound, StorageFull, StorageUnavailable

__all__ = ["Blob", "BlobStore"]

_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]*(?:/[a-z0-9_][a-z0-9_.-]*)*")
_LONGEST_NAME = 200
_UNFINISHED = ".unfinished"  # no blob can be called so: names never start with a point
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """One stored file.

    Attributes
    ----------
    name
        Its name in the store, with ``/`` between folders.
    sha256
        Hexadecimal SHA-256 of its content.
    size_bytes
        Its size.
    """

    name: str
    sha256: str
    size_bytes: int


class BlobStore:
    """Files under one folder; safe between threads and processes.

    A blob appears under its name only when its last byte is on the disk. Names are lower-case letters,
    digits and ``-_.`` in folders parted by ``/``; no part starts with a point or a hyphen.

    Parameters
    ----------
    folder
        Created when absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def unfinished(self) -> Path:
        """Folder of files that are being written."""
        return self.folder / _UNFINISHED

    def put(self, name: str, content: bytes | BinaryIO | Callable[[BinaryIO], object]) -> Blob:
        """Store a blob, replacing one of the same name.

        Parameters
        ----------
        content
            The bytes, a binary file to copy to its end, or a function that writes into the file it is given.

        Raises
        ------
        StorageFull
            The disk takes no more; nothing is left behind.
        InvalidInput
            `name` cannot name a blob.
        """
        with self.writing(name) as temporary, temporary.open("wb") as file:
            if isinstance(content, bytes | bytearray | memoryview):
                file.write(content)
            elif callable(content):
                content(file)
            else:
                shutil.copyfileobj(content, file, _CHUNK_BYTES)
        return self.stat(name)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Give a temporary path to write to; it becomes the blob when the block ends without an error.

        ::

            with store.blobs.writing("packages/2026-000017-1.zip") as path:
                write_package(path)
            blob = store.blobs.stat("packages/2026-000017-1.zip")

        Raises
        ------
        StorageFull
            The disk takes no more; nothing is left behind.
        InvalidInput
            `name` cannot name a blob.
        """
        target = self._target(name)
        with _full_disk_told():
            target.parent.mkdir(parents=True, exist_ok=True)
            self.unfinished.mkdir(exist_ok=True)
            descriptor, temporary_name = tempfile.mkstemp(dir=self.unfinished)
            os.close(descriptor)
            temporary = Path(temporary_name)
            try:
                yield temporary
                _flush(temporary)
                temporary.replace(target)
                _flush(target.parent)
            finally:
                temporary.unlink(missing_ok=True)

    def stat(self, name: str) -> Blob:
        """Describe a blob by reading it once; ``NotFound`` where there is none."""
        with self.open(name) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return Blob(name, sha256, file.tell())

    def open(self, name: str) -> BufferedReader:
        """Open a blob for reading; ``NotFound`` where there is none."""
        return self.path(name).open("rb")

    def path(self, name: str) -> Path:
        """Return the file of a blob, for servers that send files; ``NotFound`` where there is none."""
        target = self._target(name)
        if not target.is_file():
            raise NotFound(f"There is no file '{name}'.")
        return target

    def exists(self, name: str) -> bool:
        """Whether a blob of this name is stored."""
        return self._target(name).is_file()

    def names(self, folder: str) -> list[str]:
        """Return the names of the blobs that lie in a folder itself, in order; none where there is none."""
        target = self._target(folder)
        if not target.is_dir():
            return []
        return sorted(f"{folder}/{path.name}" for path in target.iterdir() if path.is_file())

    def delete(self, name: str) -> None:
        """Remove a blob; nothing happens where there is none."""
        target = self._target(name)
        target.unlink(missing_ok=True)
        if target.parent.is_dir():
            _flush(target.parent)

    def delete_folder(self, name: str) -> None:
        """Remove all blobs whose names start with ``name/``."""
        target = self._target(name)
        if target.is_dir():
            shutil.rmtree(target)
            _flush(target.parent)

    def _target(self, name: str) -> Path:
        if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
            raise InvalidInput(
                "That cannot name a stored file.",
                hint="Use a-z, 0-9, '-', '_' and '.', with '/' between folders.",
            )
        return self.folder / name


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _full_disk_told() -> Iterator[None]:
    try:
        yield
    except GeoinfraError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageFull(
                "The disk that holds the files is full; nothing was stored.",
                hint="Free some space and send the request again.",
            ) from error
        if error.errno == errno.EROFS:
            raise StorageUnavailable(
                "The folder of the files cannot be written to.", hint="Mount it for writing."
            ) from error
        raise
