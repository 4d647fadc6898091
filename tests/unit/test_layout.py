"""The house rules of the repository's shape, and what the wheel carries."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from parts import absent

import geoinfra
from geoinfra.standards import standards_path

ROOT = Path(__file__).resolve().parents[2]
DRAWERS = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}


def python_files(*folders: str) -> list[Path]:
    return [
        file
        for folder in folders
        for file in (ROOT / folder).rglob("*.py")
        if "node_modules" not in file.relative_to(ROOT).parts
    ]


def project() -> dict[str, str]:
    table: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def test_standards_hold_no_python() -> None:
    assert python_files("standards") == []


def test_no_module_is_a_drawer_for_everything() -> None:
    parts = {
        file: {file.stem, *file.relative_to(ROOT).parts}
        for file in python_files("geoinfra", "services", "tests")
    }
    assert [str(file) for file, names in parts.items() if names & DRAWERS] == []


def test_every_package_folder_says_what_it_is() -> None:
    packages = [file for file in python_files("geoinfra", "services") if file.name == "__init__.py"]
    assert [str(file) for file in packages if not file.read_text("utf-8").lstrip().startswith('"""')] == []


def test_the_library_does_not_read_the_environment() -> None:
    reads = re.compile(r"\bos\.(environ|getenv)\b|from os import .*\b(environ|getenv)\b")
    assert [str(file) for file in python_files("geoinfra") if reads.search(file.read_text("utf-8"))] == []


def test_package_and_project_have_the_same_version() -> None:
    assert geoinfra.__version__ == project()["version"]


def test_constraints_name_no_address() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text("utf-8")


def test_package_lock_names_no_address_of_a_registry() -> None:
    assert '"resolved"' not in (ROOT / "services" / "web" / "package-lock.json").read_text("utf-8")


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in a wheel that hatchling builds from the files that git knows."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        absent("a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    vendored = source / "services" / "web" / "static" / "vendor" / "VENDOR.json"
    vendored.parent.mkdir(parents=True, exist_ok=True)
    vendored.write_text("[]")
    build_wheel(source, folder)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


def build_wheel(source: Path, target: Path) -> None:
    """Build without isolation in a fresh process, so that nothing is downloaded."""
    code = f"import hatchling.build as b; b.build_wheel({str(target)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)


def test_wheel_carries_library_deployable_and_standards(wheel_files: set[str]) -> None:
    assert {"geoinfra/errors.py", "services/__init__.py", "geoinfra/_standards/README.md"} <= wheel_files


def test_wheel_carries_every_standard(wheel_files: set[str]) -> None:
    carried = {name.removeprefix("geoinfra/_standards/") for name in wheel_files if "/_standards/" in name}
    listed = subprocess.run(["git", "ls-files", "-z", "standards"], cwd=ROOT, capture_output=True, text=True)
    assert {name.removeprefix("standards/") for name in listed.stdout.split("\0") if name} - carried == set()
    assert standards_path("README.md").is_file()


def test_wheel_carries_the_browser_libraries_although_git_ignores_them(wheel_files: set[str]) -> None:
    assert "services/web/static/vendor/VENDOR.json" in wheel_files


def test_wheel_carries_nothing_else(wheel_files: set[str]) -> None:
    roots = {name.split("/")[0] for name in wheel_files}
    assert roots == {"geoinfra", "services", f"geoinfra-{project()['version']}.dist-info"}
    assert [name for name in wheel_files if "node_modules" in name or "reference" in name.split("/")] == []
