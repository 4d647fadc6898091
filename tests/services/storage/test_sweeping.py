"""What a crash left is removed at the next start; what may still be written to is not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from geoinfra.storage import open_store
from geoinfra.storage.blobs import BlobStore
from services.app import create_app
from services.settings import Settings

pytestmark = pytest.mark.services


def cut_off(folder: Path, age_s: float) -> Path:
    """Leave what a process leaves that is killed while it receives a file, or writes one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"tmp{age_s:.0f}"
    if folder.name == "uploads":
        path.mkdir()
        (path / "delivery").write_bytes(b"<half")
    else:
        path.write_bytes(b"PK")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


@pytest.mark.parametrize("place", ["uploads", "blobs/.unfinished"])
def test_files_that_were_cut_off_are_gone_a_day_later(tmp_path: Path, place: str) -> None:
    data = tmp_path / "data"
    open_store(data).close()
    assert (data / place).name in ("uploads", BlobStore(data / "blobs").unfinished.name)
    old, young = cut_off(data / place, 86_500), cut_off(data / place, 86_000)
    app = create_app(Settings(data_dir=data))
    app.state.store.close()
    assert not old.exists()
    assert young.exists()
