"""The demo: a town loaded once, demo tokens, and the two processes watched until Ctrl-C."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from geoinfra.access import Role
from geoinfra.cli.commands import err, progress_fraction
from geoinfra.errors import GeoinfraError
from geoinfra.storage import Store, open_store, organisations, schema
from services.security import DEMO_TOKENS
from services.settings import Settings

__all__ = ["ensure_tokens", "load_once", "prepare_demo", "run_demo"]

_DEMO_ORGANISATIONS = {
    Role.EXCAVATOR: ("10000009", "Gravko Entreprise ApS"),
    Role.PLANNER: ("10000017", "Havnsby Kommune, Vej og Park"),
    Role.AUTHORITY: ("10000025", "Havnsby Kommune, Myndighed"),
    Role.DEVICE: ("10000009", "Gravko Entreprise ApS"),
    Role.ADMIN: ("10000033", "geoinfra drift"),
}


def run_demo(settings: Settings, size: str) -> None:
    """Load the town if it is not there, then run web and worker until interrupted."""
    settings.require_free_port()
    prepare_demo(settings, size)
    address = f"http://127.0.0.1:{settings.port}"
    environment = {
        **os.environ,
        "GEOINFRA_DEMO": "1",
        "GEOINFRA_HOST": "127.0.0.1",
        "GEOINFRA_PORT": str(settings.port),
        "GEOINFRA_DATA_DIR": str(settings.data_dir),
    }
    supervise(environment, address)


def prepare_demo(settings: Settings, size: str = "demo") -> None:
    """Make sure that the store holds the town and ``demo-tokens.json`` a valid token for each role."""
    store = open_store(settings.data_dir, settings.database())
    try:
        load_once(store, size)
        ensure_tokens(store, settings.data_dir / DEMO_TOKENS)
    finally:
        store.close()


def load_once(store: Store, size: str) -> None:
    """Load the town of a size, unless a town was loaded."""
    if not _is_loaded(store):
        _load(store, size)


def _is_loaded(store: Store) -> bool:
    with store.read() as connection:
        found = connection.scalar(
            sa.select(schema.counters.c.value).where(schema.counters.c.name == "demo-town")
        )
    return found is not None


def _load(store: Store, size: str) -> None:
    from geoinfra import sample
    from geoinfra.sample.loading import load_grids, load_town

    with tempfile.TemporaryDirectory(prefix="geoinfra-town-") as folder:
        with progress_fraction("Building the town") as progress:
            town = sample.generate_town(Path(folder), size, progress=progress)
        with progress_fraction("Loading the town") as progress:
            load_town(store, Path(folder), progress=progress)
        load_grids(store, town.bounds)
    with store.begin() as tx:
        tx.execute(sa.insert(schema.counters).values(name="demo-town", value=1))
        tx.commit()


def ensure_tokens(store: Store, path: Path) -> None:
    """Write a valid token for each role to `path` (readable by its owner only), unless it has them."""
    tokens: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if set(tokens) == {str(r) for r in Role if r is not Role.ANONYMOUS} and _all_valid(store, tokens):
        return
    with store.read() as connection:
        first_owner = connection.scalar(
            sa.select(schema.current_deliveries.c.source)
            .where(schema.current_deliveries.c.dataset == "utility-features")
            .order_by(schema.current_deliveries.c.source)
        )
    with store.begin() as tx:
        for cvr, name in dict.fromkeys(_DEMO_ORGANISATIONS.values()):
            if organisations.get_organisation(tx.connection, cvr) is None:
                organisations.add_organisation(tx, cvr, name)
        holders = {role: cvr for role, (cvr, _) in _DEMO_ORGANISATIONS.items()}
        if first_owner:
            holders[Role.OWNER] = first_owner
        tokens = {
            str(role): organisations.create_token(tx, cvr, {role}, "demo", timedelta(days=365))[1]
            for role, cvr in holders.items()
        }
        tx.commit()
    partial = path.with_suffix(".partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(tokens, indent=1), "utf-8")
    partial.replace(path)


def _all_valid(store: Store, tokens: Mapping[str, str]) -> bool:
    with store.read() as connection:
        try:
            for secret in tokens.values():
                organisations.authenticate(connection, secret)
        except GeoinfraError:
            return False
    return True


def supervise(environment: Mapping[str, str], address: str) -> None:
    """Run web and worker; start again what dies alone; end both on Ctrl-C or SIGTERM.

    Signals set an event instead of raising: an exception could be lost inside a destructor.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _signal, _frame: stop.set())
    running = {name: _start(name, environment) for name in ("serve", "worker")}
    try:
        _announce(address, stop)
        while not stop.wait(0.5):
            _start_again(running, environment, stop)
    finally:
        _stop(running.values())
    err.print("\nStopped. The data stays; `make demo` opens it again.")


def _start_again(
    running: dict[str, subprocess.Popen[bytes]], environment: Mapping[str, str], stop: threading.Event
) -> None:
    for name, process in list(running.items()):
        if process.poll() is not None and not stop.wait(1):
            err.print(f"The {name} process ended ({process.returncode}); it is started again.")
            running[name] = _start(name, environment)


def _start(name: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a child in its own session, so that Ctrl-C reaches it only through us."""
    command = [sys.executable, "-c", "from services.cli import main; main()", name]
    return subprocess.Popen(  # noqa: S603  # our own interpreter and arguments
        command, env=dict(environment), start_new_session=True, preexec_fn=_die_with_parent
    )


def _die_with_parent() -> None:
    """Ask Linux to end this child when the supervisor is killed (PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _announce(address: str, stop: threading.Event) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not stop.is_set():
        try:
            with urllib.request.urlopen(f"{address}/health/ready", timeout=2):  # noqa: S310  # http, ours
                err.print(f"\n  The map is at [bold]{address}[/]   (Ctrl-C ends it)")
                err.print(f"  OGC APIs at {address}/ogc, the HTTP interface at {address}/api/openapi.json\n")
                return
        except (urllib.error.URLError, OSError):
            stop.wait(0.1)
    if not stop.is_set():
        raise GeoinfraError(
            "The web process did not become ready within two minutes.", hint="See its log above."
        )


def _stop(processes: Collection[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
