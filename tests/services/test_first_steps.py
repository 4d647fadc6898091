"""A bad day: a port in use, a full disk, a wrong setting; each met with a sentence that helps."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployment import Deployment, free_port
from parts import absent

pytestmark = pytest.mark.services


def geoinfra(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from services.cli import main; main()", *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=170, check=False
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of six megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        absent("the right to mount a small file system (root)")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_port_in_use_is_named_with_another_to_take(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = geoinfra("--data-dir", str(tmp_path / "d"), "demo", GEOINFRA_PORT=str(port))
    assert told.returncode == 3
    assert f"Port {port}" in told.stderr
    assert "GEOINFRA_PORT=" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    told = geoinfra("--data-dir", str(tmp_path), "token", "list", GEOINFRA_PORT="70000")
    assert told.returncode == 3
    assert "GEOINFRA_PORT" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    small_disk: Path, tiny_town: Path, tmp_path: Path
) -> None:
    data = str(small_disk / "data")
    filler = small_disk / "filler"
    delivery = max((tiny_town / "deliveries").glob("*.gml"), key=lambda path: path.stat().st_size)
    assert geoinfra("--data-dir", data, "owner", "add", delivery.stem, "Ejer").returncode == 0
    with filler.open("wb") as full:
        full.write(b"\0" * (shutil.disk_usage(small_disk).free - 200_000))
    told = geoinfra("--data-dir", data, "utilities", "deliver", str(delivery), "--owner", delivery.stem)
    assert told.returncode == 3
    assert "full" in told.stderr
    assert "Traceback" not in told.stderr
    assert list((small_disk / "data" / "deliveries").iterdir()) == []
    filler.unlink()
    again = geoinfra("--data-dir", data, "utilities", "deliver", str(delivery), "--owner", delivery.stem)
    assert again.returncode == 0, again.stderr


def test_the_demo_starts_again_with_its_data_and_ends_cleanly(demo_data: Path, tmp_path: Path) -> None:
    """Ctrl-C ends both processes; the second start finds what the first one left."""
    from geoinfra.storage import open_store, schema

    folder = tmp_path / "data"
    shutil.copytree(demo_data, folder)
    store = open_store(folder)
    with store.begin() as tx:
        tx.execute(schema.counters.insert().values(name="demo-town", value=1))
        tx.commit()
    store.close()
    tokens = (folder / "demo-tokens.json").read_text()
    environment = {**os.environ, "GEOINFRA_PORT": str(free_port()), "GEOINFRA_DATA_DIR": str(folder)}
    for _ in range(2):
        demo = subprocess.Popen(
            [sys.executable, "-c", "from services.cli import main; main()", "demo"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running = Deployment(folder, int(environment["GEOINFRA_PORT"]), {"serve": demo})  # type: ignore[dict-item]  # text mode
        running.wait_ready()
        children = _children(demo.pid)
        assert len(children) == 2
        demo.send_signal(signal.SIGINT)
        _, said = demo.communicate(timeout=60)
        assert demo.returncode == 0, said
        assert "Traceback" not in said
        assert "The data stays" in said
        assert not any(_lives(child) for child in children)
    assert (folder / "demo-tokens.json").read_text() == tokens


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def _lives(pid: int) -> bool:
    for _ in range(50):
        if not Path(f"/proc/{pid}").exists():
            return False
        time.sleep(0.1)
    return True
