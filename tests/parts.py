"""Programs and files that some tests need: absent, they are a failure in CI and a visible skip elsewhere."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["absent", "chromium", "node", "program", "qgis_python"]

ROOT = Path(__file__).parents[1]
STYLE_SPEC = ROOT / "services/web/node_modules/@maplibre/maplibre-gl-style-spec"


def absent(what: str) -> NoReturn:
    """End the test: what it needs is not there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")  # the message is the reason


def program(*names: str) -> str:
    """Return the path of the first of these programs that is there."""
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    absent(f"the program {names[0]}")


def chromium(*files: Path) -> str:
    """Return the path of Chromium, for pages that also need these files of `make setup`."""
    for path in files:
        if not path.exists():
            absent(f"{path} (make setup)")
    return program("chromium", "chromium-browser", "google-chrome")


def node() -> str:
    """Return the path of Node.js, with MapLibre's style specification installed."""
    if not STYLE_SPEC.is_dir():
        absent(f"{STYLE_SPEC} (make setup)")
    return program("node")


@functools.cache
def _python_of_qgis() -> str | None:
    python = shutil.which("python3", path="/usr/bin") or sys.executable  # PyQGIS belongs to the system's
    probe = subprocess.run([python, "-c", "import qgis.core"], capture_output=True, check=False, timeout=60)
    return None if probe.returncode else python


def qgis_python() -> str:
    """Return the interpreter that has PyQGIS."""
    return _python_of_qgis() or absent("PyQGIS (Debian: python3-qgis)")
