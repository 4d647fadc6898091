"""A real web process and a real worker, as tests start and kill them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Deployment:
    """A real web process and a real worker on one data folder, in demo mode."""

    data_dir: Path
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    database_url: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tokens(self) -> dict[str, str]:
        """Role -> token."""
        tokens: dict[str, str] = json.loads((self.data_dir / "demo-tokens.json").read_text("utf-8"))
        return tokens

    def start(self, name: str) -> None:
        """Start ``serve`` or ``worker``."""
        environment = {
            **os.environ,
            "GEOINFRA_DEMO": "1",
            "GEOINFRA_PORT": str(self.port),
            "GEOINFRA_DATA_DIR": str(self.data_dir),
            "GEOINFRA_LOG_LEVEL": "warning",
        }
        if self.database_url:
            environment["GEOINFRA_DATABASE_URL"] = self.database_url
        command = [sys.executable, "-c", "from services.cli import main; main()", name]
        log = (self.data_dir / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
        log.close()

    def wait_ready(self, most_s: float = 240) -> None:
        """Return when ``/health/ready`` answers 200."""
        deadline = time.monotonic() + most_s
        while time.monotonic() < deadline:
            if self.processes["serve"].poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/health/ready", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise AssertionError((self.data_dir / "serve.log").read_text("utf-8", "replace")[-3000:])

    def kill(self, name: str) -> None:
        """End a process without warning, as a power cut does."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def stop(self) -> None:
        """End both processes in good order."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
