"""The ``geoinfra`` command: the library's commands, and those that run the deployment."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from geoinfra.cli import StoreAddress, app, run
from geoinfra.errors import GeoinfraError
from services.notices.commands import app as channel
from services.robot.commands import app as owner_robot
from services.sandbox import app as sandbox_commands

if TYPE_CHECKING:
    from services.settings import Settings

__all__ = ["main"]

_NOTICE_THREADS = 2
_HEADERS_BYTES = 32_768

app.add_typer(owner_robot, name="owner-robot")
app.add_typer(channel, name="channel")
app.add_typer(sandbox_commands, name="sandbox")


@app.callback()
def root(
    context: typer.Context,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the store [GEOINFRA_DATA_DIR].")] = None,
) -> None:
    """Self-hosted infrastructure for public geodata."""

    def find() -> tuple[Path, str | None]:
        settings = _settings(data_dir)
        return settings.data_dir, settings.database()

    context.obj = context.obj or StoreAddress(find)  # who calls the commands from Python may name a store


def _settings(data_dir: Path | None = None) -> Settings:
    from pydantic import ValidationError

    from services.settings import Settings

    try:
        return Settings(data_dir=data_dir) if data_dir else Settings()
    except ValidationError as error:
        faults = [f"GEOINFRA_{'_'.join(map(str, f['loc'])).upper()}: {f['msg']}" for f in error.errors()]
        raise GeoinfraError(
            "A setting is wrong: " + "; ".join(faults), hint="See docs/reference/settings.md."
        ) from None


@app.command()
def serve(context: typer.Context) -> None:
    """Run the web process; run `geoinfra worker` beside it."""
    import uvicorn

    from services.app import create_app
    from services.connections import ConnectionRules, bounded_protocol
    from services.ogc.styles import prepare_map_style

    settings = _settings(context.obj.data_dir)
    settings.require_free_port()
    web = create_app(settings)

    class Server(uvicorn.Server):
        """Ends the streams of events too, which would wait for their clients."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            make = threading.Thread(
                target=prepare_map_style, args=(settings.base_url,), name="styles", daemon=True
            )
            make.start()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            web.state.feed.end()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        web,
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        access_log=settings.log_level == "debug",
        server_header=False,
        proxy_headers=False,  # services.http reads them
        http=bounded_protocol(ConnectionRules.of(settings)),
        ws="none",
        limit_concurrency=settings.connections,
        h11_max_incomplete_event_size=settings.max_address_bytes + _HEADERS_BYTES,
        timeout_graceful_shutdown=5,
    )
    server = Server(config)
    server.run()
    if not server.started:
        raise typer.Exit(3)


@app.command()
def worker(context: typer.Context) -> None:
    """Run the worker: makes packages, tells events, does all else that must not hold up an answer."""
    from geoinfra.flows.handlers import HANDLERS
    from geoinfra.flows.nightly import FORGET_TECHNICAL, NIGHTLY, wait_for_night
    from geoinfra.flows.notices import SEND_NOTICE
    from geoinfra.flows.sandbox import declare_sandbox
    from geoinfra.flows.subscribers import SUBSCRIBERS
    from geoinfra.flows.technical_retention import TechnicalRetention
    from geoinfra.presentation.qml import prepare_default_styles
    from geoinfra.storage import open_store
    from geoinfra.storage.jobs import Worker
    from geoinfra.storage.outbox import Dispatcher
    from services.notices.transports import make_sender

    settings = _settings(context.obj.data_dir)
    logging.basicConfig(level=settings.log_level.upper(), stream=sys.stderr)
    settings.use_grids()
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    store = open_store(settings.data_dir, settings.database())
    store.sweep()  # discarded deliveries, and what a crash left
    if settings.sandbox:
        declare_sandbox(store)
    retention = TechnicalRetention(settings.keep_technical_days)
    for kind in NIGHTLY:
        wait_for_night(store, kind)
    notices = Worker(store, {SEND_NOTICE: make_sender(settings)})  # slow receivers hold up no package
    beside = {"dispatcher": Dispatcher(store, SUBSCRIBERS).run}
    beside |= {f"notices-{number}": notices.run for number in range(_NOTICE_THREADS)}
    beside["styles"] = prepare_default_styles
    threads = [threading.Thread(target=run, args=(stop,), name=name) for name, run in beside.items()]
    for thread in threads:
        thread.start()
    try:
        Worker(store, {**HANDLERS, FORGET_TECHNICAL: retention}).run(stop)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        store.close()


@app.command()
def demo(
    context: typer.Context,
    size: Annotated[str, typer.Option(help="Size of the town: tiny, demo or dense.")] = "demo",
) -> None:
    """Open a town with utility owners on this machine; Ctrl-C ends it, the data stays."""
    from services.demo import run_demo

    run_demo(_settings(context.obj.data_dir), size)


def main() -> None:
    """Entry point of the ``geoinfra`` command."""
    run(app)
