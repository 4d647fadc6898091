"""The command tree of the library. Commands read arguments, call one flow, and say what came of it.

The store and the flows take long to import: each command imports its own when it is called.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from geoinfra.access import Access, Role
from geoinfra.errors import DataRefused, GeoinfraError, InvalidInput, Report, UnreadableFile

if TYPE_CHECKING:
    from geoinfra.flows.enquiries import Enquiry
    from geoinfra.flows.grids import GridFacts
    from geoinfra.storage import Store

__all__ = ["StoreAddress", "acting", "app", "geojson_file", "run"]

_OPERATOR = Access("system:cli", None, frozenset({Role.ADMIN}))
out = Console()
err = Console(stderr=True)


class StoreAddress:
    """Where the store is; found out when a command first asks.

    Parameters
    ----------
    find
        Gives the data directory, and the URL of a database or ``None``.
    """

    def __init__(self, find: Callable[[], tuple[Path, str | None]]) -> None:
        self._find = find

    @cached_property
    def _place(self) -> tuple[Path, str | None]:
        return self._find()

    @property
    def data_dir(self) -> Path:
        """Folder of the store."""
        return self._place[0]

    @property
    def database_url(self) -> str | None:
        """URL of the database, ``None`` for the embedded store."""
        return self._place[1]

    @contextmanager
    def open(self) -> Iterator[Store]:
        """Open the store for one command."""
        from geoinfra.storage import open_store

        store = open_store(*self._place)
        try:
            yield store
        finally:
            store.close()


app = typer.Typer(no_args_is_help=True, help="Self-hosted infrastructure for public geodata.")
utilities = typer.Typer(no_args_is_help=True, help="Utility lines: deliveries and dig enquiries.")
owner = typer.Typer(no_args_is_help=True, help="Utility owners and their interest areas.")
token = typer.Typer(no_args_is_help=True, help="Access tokens.")
audit = typer.Typer(no_args_is_help=True, help="The audit log.")
sample_app = typer.Typer(no_args_is_help=True, help="Sample data.")
presentation = typer.Typer(no_args_is_help=True, help="The presentation standard: rules, legends, plans.")
for name, group in (
    ("utilities", utilities),
    ("owner", owner),
    ("token", token),
    ("audit", audit),
    ("sample", sample_app),
    ("presentation", presentation),
):
    app.add_typer(group, name=name)


def run(root: typer.Typer = app) -> None:
    """Run the command line; every failure is a sentence and an exit code (1 refused, 2 usage, 3 failure)."""
    try:
        root()
    except DataRefused as refused:
        show_report(refused.report)
        _fail(refused, 1)
    except InvalidInput as error:
        _fail(error, 1)
    except GeoinfraError as error:
        _fail(error, 3)


def _fail(error: GeoinfraError, status: int) -> None:
    err.print(f"[bold red]{error.title}:[/] ", end="")
    err.print(error.message, markup=False, highlight=False)
    if error.hint:
        err.print(error.hint, markup=False, highlight=False)
    sys.exit(status)


def show_report(report: Report) -> None:
    """Print the findings of a check by kind, worst first."""
    from geoinfra.presentation.check_report import report_text

    err.print(report_text(report), markup=False, highlight=False, soft_wrap=True, end="")


@contextmanager
def progress_rows(label: str) -> Iterator[Any]:
    """Show a count of rows while work goes on; yields the callback."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(label)
        yield lambda rows: bar.update(task, description=f"{label}: {rows:,} rows")


@contextmanager
def progress_fraction(label: str) -> Iterator[Any]:
    """Show a bar while work goes on; yields the callback ``(fraction, text)``."""
    columns = (TextColumn("{task.description:<40}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(label, total=1.0)
        yield lambda fraction, text: bar.update(task, completed=fraction, description=f"{label}: {text}")


Cvr = Annotated[str, typer.Option("--owner", help="CVR number of the owner, 8 digits.")]


@utilities.command("deliver")
def deliver_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="LER answer: GML or zip.")],
    owner: Cvr,
    review: Annotated[
        bool, typer.Option("--review", help="Do not publish it: it waits for its owner.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Check an owner's delivery and make it the published version of his lines."""
    from geoinfra.flows.deliveries import deliver

    access = _as_owner(owner)
    with context.obj.open() as store, progress_rows("Reading") as progress:
        done = deliver(store, access, file, owner, review=review, progress=progress)
        action = "delivery.published" if done.published else "delivery.staged"
        store.audit.append(action, access, done.delivery_id, {"features": done.features})
    if as_json:
        out.print_json(data=done.to_json())
        return
    show_report(done.report)
    what = "Published" if done.published else "Not published yet:"
    out.print(f"{what} delivery {done.delivery_id} of {owner}: {done.features:,} features.")
    if not done.published:
        err.print("Publish it: ", end="")
        command = f"geoinfra utilities publish-delivery {done.delivery_id} --owner {owner}"
        err.print(command, markup=False, highlight=False, soft_wrap=True)


@utilities.command("deliveries")
def deliveries_command(
    context: typer.Context,
    owner: Cvr,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List an owner's deliveries, newest first: which waits, which enquiries are answered from."""
    from geoinfra.flows.deliveries import list_deliveries

    with context.obj.open() as store:
        found = list_deliveries(store, _as_owner(owner))
    if as_json:
        out.print_json(data=[one.to_json() for one in found])
        return
    for one in found:
        checked = ", ".join(f"{one.report[kind]} {kind}" for kind in ("errors", "warnings") if one.report)
        line = f"{one.delivery_id}  {one.state:<8} {one.created_at}  {one.features:>9,} features  {checked}"
        out.print(line.rstrip(), highlight=False, soft_wrap=True)


Delivery = Annotated[str, typer.Argument(help="Identifier of a delivery that waits.")]


@utilities.command("publish-delivery")
def publish_delivery_command(context: typer.Context, delivery: Delivery, owner: Cvr) -> None:
    """Publish a delivery that waited for its owner's review."""
    from geoinfra.flows.deliveries import publish_reviewed

    with context.obj.open() as store:
        done = publish_reviewed(store, _as_owner(owner), delivery)
    out.print(f"Published delivery {done.delivery_id} of {owner}: {done.features:,} features.")


@utilities.command("discard-delivery")
def discard_delivery_command(context: typer.Context, delivery: Delivery, owner: Cvr) -> None:
    """Forget a delivery that waited for its owner's review."""
    from geoinfra.flows.deliveries import discard_reviewed

    with context.obj.open() as store:
        discard_reviewed(store, _as_owner(owner), delivery)
    out.print("The delivery is discarded.")


def _as_owner(cvr: str) -> Access:
    return Access("system:cli", cvr, frozenset({Role.OWNER}))


@utilities.command("enquire")
def enquire_command(
    context: typer.Context,
    area: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="GeoJSON file with one Polygon.")],
    package: Annotated[Path, typer.Argument(help="Where the package (zip) is written.")],
    excavator: Annotated[str, typer.Option("--as", help="CVR number of the excavator.")],
    contact: Annotated[str, typer.Option(help="Mail address of the person who answers for the dig.")],
    name: Annotated[str, typer.Option(help="Name of that person.")] = "",
    crs: Annotated[str, typer.Option(help="CRS of the area.")] = "CRS84",
    method: Annotated[list[str] | None, typer.Option(help="LER graveart number; 6 is an excavator.")] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="Length of the dig period from today.")] = 14,
    description: Annotated[str, typer.Option(help="What will be done.")] = "",
    planning: Annotated[bool, typer.Option("--planning", help="For planning: never for digging.")] = False,
) -> None:
    """File a dig enquiry and write its package, all on this machine."""
    from geoinfra.flows.enquiries import file_enquiry
    from geoinfra.flows.projects import whole
    from geoinfra.utilities.legal_clock import DENMARK

    if not package.parent.is_dir():
        raise typer.BadParameter(f"There is no folder {package.parent}.", param_hint="PACKAGE")
    today = datetime.now(DENMARK).date()
    document = {
        "area": geojson_file(area),
        "crs": crs,
        "kind": "planning" if planning else "planned",
        "period": {"from": today.isoformat(), "to": (today + timedelta(days=days)).isoformat()},
        "methods": method or ["6"],
        "description": description,
        "contact": {"name": name or contact, "email": contact},
    }
    with context.obj.open() as store:
        access = acting(store, excavator, Role.EXCAVATOR)
        filed = file_enquiry(store, access, document)
        filed = whole(store, access, _packaged(store, access, filed).number)
        if filed.package is None:
            raise GeoinfraError("The package was not made.", hint="See the worker's log.")
        shutil.copyfile(store.blobs.path(filed.package.blob), package)
        store.audit.append("package.copied", access, filed.number, {})
    for answer in filed.answers:
        line = f"{answer.owner_name:<34} {answer.status.danish:<60} {answer.features or 0:>6,}"
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    out.print(f"Enquiry {filed.number}: {filed.package.features:,} features in {package}")


def geojson_file(path: Path) -> Any:
    """Read a file that a command was given; raise :class:`UnreadableFile` where it is no JSON."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise UnreadableFile(f"{path.name} is no JSON.", hint="Give a GeoJSON file.") from None


def acting(store: Store, cvr: str, *roles: Role) -> Access:
    """Act for an organisation by a token of one hour, so that jobs can reload the access."""
    from geoinfra.storage import organisations

    with store.begin() as tx:
        _, secret = organisations.create_token(tx, cvr, roles, "command line", timedelta(hours=1))
        tx.commit()
    with store.read() as connection:
        return organisations.authenticate(connection, secret)


def _packaged(store: Store, access: Access, filed: Enquiry) -> Enquiry:
    """Run waiting jobs here until the package is there, beside a worker or without one."""
    from geoinfra.flows.enquiries import enquiry
    from geoinfra.flows.handlers import HANDLERS
    from geoinfra.storage.jobs import Worker

    worker = Worker(store, HANDLERS)
    deadline = datetime.now(UTC) + timedelta(seconds=120)
    while filed.package is None and datetime.now(UTC) < deadline:
        worker.run_one()
        filed = enquiry(store, access, filed.number)
    return filed


@app.command("publish")
def publish_command(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(exists=True, help="A vector file, a GeoTIFF or folder of them, or a Zarr folder."),
    ],
    collection: Annotated[str, typer.Option("--id", help="Id of the collection.")],
    title: Annotated[str, typer.Option(help="Title in English.")],
    title_da: Annotated[str, typer.Option(help="Title in Danish.")] = "",
    layer: Annotated[str | None, typer.Option(help="Layer, when the file has several.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the data.")] = "",
    attribution: Annotated[str, typer.Option(help="Whom to name.")] = "",
    unit: Annotated[str, typer.Option(help="Unit of a raster's values, UCUM: m, Cel, %.")] = "",
    datum: Annotated[
        str, typer.Option(help="Vertical datum of heights: DVR90; none for lengths that are no heights.")
    ] = "",
    source: Annotated[str, typer.Option(help="Whose measurement or model it is.")] = "",
    captured: Annotated[
        str, typer.Option(help="When a raster was captured: 2025-04-15, or FIRST/LAST.")
    ] = "",
    instance: Annotated[
        str, typer.Option(help="Name of the version, for instance of a model run.")
    ] = "operator",
) -> None:
    """Publish a file as an open collection at /ogc, on the map and as tiles; again to replace it."""
    from geoinfra.flows.deliveries import publish_file
    from geoinfra.flows.grids import kind_of, publish_grid_file
    from geoinfra.storage.collections import Kind

    entry = {
        "id": collection,
        "title": {"en": title, "da": title_da or title},
        "licence": licence,
        "attribution": attribution,
    }
    access = Access("system:cli", None, frozenset({Role.ADMIN}))
    if kind_of(file) is not Kind.FEATURES:
        facts = _grid_facts(collection, entry["title"], unit, datum, source, captured, instance)
        with context.obj.open() as store:
            grid = publish_grid_file(store, access, file, entry, facts)
            store.audit.append("collection.published", access, collection, {"grid": grid.grid_id})
        out.print(f"Published {collection}: {grid.kind}, {grid.size_bytes / 1e6:,.1f} MB.")
        return
    with context.obj.open() as store, progress_rows("Publishing") as progress:
        done = publish_file(store, access, file, entry, layer=layer, progress=progress)
        store.audit.append("collection.published", access, collection, {"features": done.features})
    out.print(f"Published {collection}: {done.features:,} features.")


def _grid_facts(
    name: str, title: Any, unit: str, datum: str, source: str, captured: str, instance: str
) -> GridFacts:
    """Return what the options say of a raster or cube."""
    from geoinfra.flows.grids import GridFacts
    from geoinfra.storage.grids import Parameter

    days: tuple[date, date] | None = None
    if captured:
        first, _, last = captured.partition("/")
        try:
            days = date.fromisoformat(first), date.fromisoformat(last or first)
        except ValueError:
            raise InvalidInput(
                f"'{captured[:40]}' is no date.", hint="--captured 2025-04-15, or 2025-04-01/2025-04-30"
            ) from None
    parameter = Parameter(name, title, unit=unit, datum=datum)
    return GridFacts((parameter,), datum=datum, source=source, captured=days, instance=instance)


@owner.command("add")
def owner_add_command(
    context: typer.Context,
    cvr: Annotated[str, typer.Argument(help="CVR number, 8 digits.")],
    name: Annotated[str, typer.Argument(help="Name of the owner.")],
    area: Annotated[
        Path | None, typer.Option(exists=True, help="GeoJSON of the interest areas, EPSG:25832.")
    ] = None,
    email: Annotated[str, typer.Option(help="Mail address that excavators are given.")] = "",
    phone: Annotated[str, typer.Option(help="Telephone that excavators are given.")] = "",
) -> None:
    """Register a utility owner, with the areas in which he must be asked."""
    from geoinfra.flows.owners import checked_contact, read_interest_areas
    from geoinfra.storage import organisations

    contact = checked_contact({"email": email, "phone": phone}, "contact") if email or phone else {}
    areas = read_interest_areas(area, cvr) if area else []
    if area and not areas:
        raise InvalidInput(
            f"{area.name} holds no interest area of {cvr}.", hint="Each area names its owner as 'cvr'."
        )
    with context.obj.open() as store, store.begin() as tx:
        organisations.add_organisation(tx, cvr, name, contact)
        if areas:
            organisations.set_interest_areas(tx, cvr, areas)
        numbers = [one.number for one in areas]
        store.audit.record(tx, "organisation.added", _OPERATOR, cvr, {"areas": numbers})
        tx.commit()
    out.print(f"Registered {name} ({cvr}).")


@token.command("create")
def token_create_command(
    context: typer.Context,
    cvr: Annotated[str, typer.Argument(help="CVR number of the organisation.")],
    role: Annotated[list[Role], typer.Option(help="excavator, owner, planner, authority, device or admin.")],
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days of validity.")] = 365,
) -> None:
    """Make a token. It is shown once; only its hash is kept."""
    from geoinfra.storage import organisations

    with context.obj.open() as store, store.begin() as tx:
        token_id, secret = organisations.create_token(tx, cvr, role, label, timedelta(days=days))
        facts = {"organisation": cvr, "roles": sorted(map(str, role)), "days": days}
        store.audit.record(tx, "token.created", _OPERATOR, token_id, facts)
        tx.commit()
    err.print(f"Token {token_id}, valid {days} days. Keep it now: it is not shown again.")
    out.print(secret, markup=False, highlight=False)


@token.command("list")
def token_list_command(
    context: typer.Context, cvr: Annotated[str | None, typer.Argument(help="Only this organisation.")] = None
) -> None:
    """List the tokens, without their secrets."""
    from geoinfra.storage import organisations

    with context.obj.open() as store, store.read() as connection:
        for item in organisations.list_tokens(connection, cvr):
            roles = ",".join(sorted(item.roles))
            state = f"revoked {item.revoked_at}" if item.revoked_at else f"until {item.expires_at}"
            line = f"{item.token_id}  {item.organisation}  {roles}  {state}  {item.label}"
            out.print(line, markup=False, soft_wrap=True)


@token.command("revoke")
def token_revoke_command(
    context: typer.Context, token_id: Annotated[str, typer.Argument(help="Id from the list.")]
) -> None:
    """Make a token invalid, at once."""
    from geoinfra.storage import organisations

    with context.obj.open() as store, store.begin() as tx:
        organisations.revoke_token(tx, token_id)
        store.audit.record(tx, "token.revoked", _OPERATOR, token_id)
        tx.commit()
    out.print(f"Token {token_id} is revoked.")


@audit.command("verify")
def audit_verify_command(context: typer.Context) -> None:
    """Check the hash chain of the audit log; exit 1 when an entry was changed, removed or added."""
    with context.obj.open() as store:
        report = store.audit.verify()
    show_report(report)
    if not report.ok:
        raise typer.Exit(1)


@audit.command("tail")
def audit_tail_command(
    context: typer.Context, limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20
) -> None:
    """Print the newest entries."""
    with context.obj.open() as store:
        for entry in store.audit.tail(limit):
            line = f"{entry.entry:>6} {entry.at} {entry.principal:<24} {entry.action:<20} {entry.subject}"
            out.print(line, markup=False, highlight=False, soft_wrap=True)


@sample_app.command("town")
def sample_town_command(
    folder: Annotated[Path, typer.Argument(help="Where the town is written.")],
    size: Annotated[str, typer.Option(help="tiny, demo or dense.")] = "demo",
    lines: Annotated[
        int | None, typer.Option(min=1000, max=10_000_000, help="About this many lines.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same town.")] = 20261124,
) -> None:
    """Make the fictitious town Havnsby: layers, owners, LER deliveries, terrain."""
    from geoinfra import sample

    with progress_fraction("Building the town") as progress:
        summary = sample.generate_town(folder, size, seed=seed, lines=lines, progress=progress)
    out.print(str(summary), markup=False)
