"""The commands ``geoinfra owner-robot``: draft a mapping, try it, run the robot."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import orjson
import typer

from geoinfra import crs as references
from geoinfra.cli.commands import err, out
from geoinfra.errors import DataRefused, InvalidInput
from geoinfra.presentation.check_report import Language, report_html, report_text
from geoinfra.utilities.dig_area import polygon_from_geojson
from geoinfra.utilities.mapping_draft import draft_of_files, draft_of_table
from geoinfra.utilities.mapping_file import read_mapping

__all__ = ["TOKEN_VARIABLE", "app"]

app = typer.Typer(no_args_is_help=True, help="Answer dig enquiries from an owner's own files or tables.")

TOKEN_VARIABLE = "GEOINFRA_ROBOT_TOKEN"  # noqa: S105  # the name of the variable, not its content
_ADDRESS_HINT = "Set it to postgresql://user:password@host/database."
_ALARM_S = 60
_ALARM_ENVIRONMENT = frozenset(("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LC_ALL"))

LanguageOption = Annotated[Language, typer.Option("--language", help="Language of texts: da or en.")]


@app.command("init")
def init_command(
    source: Annotated[
        Path | None, typer.Argument(help="File or folder with the lines; none for PostGIS.")
    ] = None,
    database: Annotated[
        str, typer.Option(help="Name of the environment variable with the database's address.")
    ] = "",
    table: Annotated[str, typer.Option(help="PostGIS table, schema.table.")] = "",
    output: Annotated[Path | None, typer.Option(help="File to write; standard output when absent.")] = None,
) -> None:
    """Draft a mapping file from what a source offers; UDFYLD marks what a person must fill in."""
    if source is not None and not database:
        text = draft_of_files(source)
    elif database and table and source is None:
        address = os.environ.get(database, "")
        if not address:
            raise InvalidInput(f"The environment variable {database} is not set.", hint=_ADDRESS_HINT)
        text = draft_of_table(address, table, database)
    else:
        raise InvalidInput("Give a file or folder, or --database and --table.")
    if output is None:
        sys.stdout.write(text)
        return
    if output.exists():
        raise InvalidInput(f"{output} exists already.", hint="Choose another name, or remove it.")
    output.write_text(text, "utf-8")
    err.print(f"{output}: {text.count('UDFYLD')} x UDFYLD", markup=False, highlight=False)


@app.command("test")
def try_command(
    mapping: Annotated[Path, typer.Argument(help="Mapping file.")],
    area: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="GeoJSON polygon; everything when absent."),
    ] = None,
    crs: Annotated[str, typer.Option(help="CRS of the area.")] = "CRS84",
    output: Annotated[Path, typer.Option(help="Folder for svar.gml, report.json and report.html.")] = Path(
        "robot-test"
    ),
    language: LanguageOption = "da",
) -> None:
    """Make the answer to an area and its report, and send nothing. Exit code 1 when it would not be sent."""
    from services.robot.answering import make_answer

    read = read_mapping(mapping)
    polygon = None
    if area is not None:
        polygon = polygon_from_geojson(_json_of(area), references.parse_crs(crs))
    output.mkdir(parents=True, exist_ok=True)
    target = output / "svar.gml"
    target.unlink(missing_ok=True)
    rows: dict[str, int] = {}
    try:
        made = make_answer(read, polygon, target, number="test", now=datetime.now(UTC), dsn_of=os.environ.get)
        report, rows = made.report, made.rows
    except DataRefused as refused:
        report = refused.report
    (output / "report.json").write_bytes(orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2))
    (output / "report.html").write_text(report_html(report, language, mapping.name), "utf-8")
    for name, count in rows.items():
        out.print(f"{name}: {count:,}", markup=False, highlight=False)
    out.print(report_text(report, language), markup=False, highlight=False)
    out.print(str(target if target.exists() else output / "report.html"), markup=False, highlight=False)
    if not report.ok:
        raise typer.Exit(1)


def _json_of(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{path.name} is not JSON: line {error.lineno}.") from error


@app.command("run")
def run_command(
    mapping: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Mapping file.")],
    server: Annotated[str, typer.Option(help="Address of the server, https://…")],
    token_env: Annotated[
        str, typer.Option(help="Name of the environment variable that holds the token.")
    ] = TOKEN_VARIABLE,
    token_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="File that holds the token instead.")
    ] = None,
    interval: Annotated[float, typer.Option(min=1, max=120, help="Seconds between polls.")] = 60,
    parallel: Annotated[int, typer.Option(min=1, max=16, help="Enquiries answered at a time.")] = 2,
    status_file: Annotated[
        Path | None, typer.Option(help="status.json to write; a page .html stands beside it.")
    ] = None,
    alarm_command: Annotated[
        str, typer.Option(help="Command run for each new alarm, with its text on standard input.")
    ] = "",
    language: LanguageOption = "da",
    once: Annotated[bool, typer.Option("--once", help="Poll once and end, for cron.")] = False,
) -> None:
    """Answer what waits until stopped. With --once: exit 0 all answered, 1 not all, 3 no server."""
    from services.robot.client import OwnerClient
    from services.robot.loop import Robot
    from services.robot.status import Status

    _log_to_stderr()
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    secret = _token(token_env, token_file)
    status = Status(status_file, server, _owner_of(mapping), language, interval)
    alarms = AlarmCommand(alarm_command)
    with OwnerClient(server, secret, stop) as client:
        robot = Robot(mapping, client, status, os.environ.get, alarms, stop, parallel)
        if not once:
            robot.run(interval)
            return
        code = robot.poll()
    alarms.wait()
    if code:
        raise typer.Exit(code)


def _owner_of(mapping: Path) -> str:
    """Return the owner of a mapping file; it is checked before the robot starts."""
    return read_mapping(mapping).owner_cvr


def _log_to_stderr() -> None:
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for name in ("httpx", "httpcore", "pyogrio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _token(variable: str, file: Path | None) -> str:
    """Return the secret from a file or the environment; it is never an argument."""
    if file is not None:
        if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            logging.getLogger("geoinfra.robot").warning("%s can be read by others: chmod 600 it", file)
        secret = file.read_text("utf-8").strip()
    else:
        secret = os.environ.get(variable, "").strip()
    if not secret:
        raise InvalidInput(
            "There is no token.",
            hint=f"Set {variable}, or give --token-file. It comes from: geoinfra token create.",
        )
    return secret


class AlarmCommand:
    """Runs a command for each alarm, without a shell and without the robot's environment (it holds secrets).

    Parameters
    ----------
    command
        Program and arguments, quoted as in a shell; empty for none.
    """

    def __init__(self, command: str) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise InvalidInput(f"--alarm-command cannot be split into words: {error}.") from error
        self._running: list[threading.Thread] = []

    def __call__(self, about: str, text: str) -> None:
        """Start the command; it may take a minute, and answering goes on meanwhile."""
        if self._words:
            self._running = [thread for thread in self._running if thread.is_alive()]
            thread = threading.Thread(target=self._run, args=(f"{about}\n{text}\n",), daemon=True)
            thread.start()
            self._running.append(thread)

    def wait(self) -> None:
        """Return when every command has ended."""
        for thread in self._running:
            thread.join()

    def _run(self, text: str) -> None:
        log = logging.getLogger("geoinfra.robot")
        kept = {name: value for name, value in os.environ.items() if name in _ALARM_ENVIRONMENT}
        try:
            done = subprocess.run(  # noqa: S603  # the operator's own command, no shell
                self._words, input=text.encode(), env=kept, timeout=_ALARM_S, check=False, capture_output=True
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.error("the alarm command failed (%s)", type(error).__name__)
            return
        if done.returncode:
            log.error("the alarm command ended with %d", done.returncode)
