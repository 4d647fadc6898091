"""The tutorial's commands are run as they stand, against a running demo."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from parts import program

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "first-dig-enquiry.md"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    """The console blocks, without the first, which clones the repository and starts the demo."""
    first, *others = BLOCK.findall(PAGE.read_text("utf-8"))
    assert "make demo" in first
    return others


@pytest.fixture(scope="module")
def workplace(deployment: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the repository to the tutorial: ``.venv`` and ``.geoinfra``."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "geoinfra"):
        (folder / ".venv" / "bin" / name).symlink_to(Path(sys.executable).parent / name)
    (folder / ".geoinfra").symlink_to(deployment.data_dir)
    return folder


@pytest.fixture(scope="module")
def done(deployment: Any, workplace: Path) -> subprocess.CompletedProcess[str]:
    """Run every block in one shell, since later ones use what earlier ones found."""
    program("ogr2ogr")
    script = "\n".join(["set -euo pipefail", *blocks()]).replace("http://127.0.0.1:8000", deployment.url)
    return subprocess.run(
        ["bash", "-c", script],
        cwd=workplace,
        env={**os.environ, "GEOINFRA_DATA_DIR": str(deployment.data_dir)},
        capture_output=True,
        text=True,
        timeout=150,
    )


@pytest.mark.gdal
def test_every_command_of_the_tutorial_runs(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.gdal
def test_the_fetched_package_is_the_one_announced(
    done: subprocess.CompletedProcess[str], workplace: Path
) -> None:
    announced = json.loads((workplace / "enquiry-ready.json").read_text("utf-8"))["package"]
    assert announced["ready"] is True
    assert announced["features"] > 0
    assert (workplace / "package.zip").stat().st_size > 0


@pytest.mark.gdal
def test_the_package_holds_what_the_tutorial_says(
    done: subprocess.CompletedProcess[str], workplace: Path
) -> None:
    promised = set(re.findall(r"^\| `([^`]+\.[a-z]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE))
    assert len(promised) == 6
    with zipfile.ZipFile(workplace / "package.zip") as package:
        assert promised <= {Path(name).name for name in package.namelist()}
