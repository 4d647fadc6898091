"""The commands ``geoinfra owner areas`` and ``geoinfra owner dispensation``."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from geoinfra.access import Access, Role
from geoinfra.cli.commands import out, owner
from geoinfra.errors import UnreadableFile

if TYPE_CHECKING:
    from geoinfra.storage.interest_areas import AreaRecord

__all__ = ["areas_app", "dispensation_app"]

areas_app = typer.Typer(no_args_is_help=True, help="Interest areas: propose, review, retire, check.")
dispensation_app = typer.Typer(no_args_is_help=True, help="Owners who may hand over directly.")
owner.add_typer(areas_app, name="areas")
owner.add_typer(dispensation_app, name="dispensation")

_OPERATOR: Final = Access("system:cli", None, frozenset({Role.ADMIN}))
_Cvr = Annotated[str, typer.Argument(help="CVR number of the owner.")]
_Number = Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="Number of the area.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
_Revision = Annotated[str | None, typer.Option(help="Only if this is what is proposed (from the list).")]


@areas_app.command("list")
def areas_list_command(
    context: typer.Context,
    cvr: _Cvr,
    crs: Annotated[str, typer.Option(help="CRS of the JSON.")] = "EPSG:25832",
    as_json: _Json = False,
) -> None:
    """List the areas in which an owner is asked, and what waits for review."""
    from geoinfra.crs import parse_crs
    from geoinfra.flows.owners import area_collection, list_areas

    name = parse_crs(crs)
    with context.obj.open() as store:
        records = list_areas(store, _OPERATOR, cvr)
    if as_json:
        typer.echo(json.dumps(area_collection(records, name), ensure_ascii=False))
        return
    for record in records:
        _print_area(record)


def _print_area(record: AreaRecord) -> None:
    from geoinfra.utilities.legal_clock import DENMARK

    area = record.area
    begin, last = (
        at and f"{at.astimezone(DENMARK):%Y-%m-%d %H:%M}" for at in (area.valid_from, area.valid_to)
    )
    end = f" to {last}" if last else ""
    supplies = ", ".join(area.supply_types)
    line = f"{area.number:>8}  {record.state:<8}  {begin}{end}  {supplies}"
    out.print(line, markup=False, highlight=False)
    proposal = record.proposal
    if proposal is not None:
        what = "waits for review" if proposal.submitted else "is a draft"
        told = f"a proposal by {proposal.proposed_by} {what}, revision {proposal.revision}"
        out.print(f"{'':>8}  {told}", markup=False, highlight=False)


@areas_app.command("propose")
def areas_propose_command(
    context: typer.Context,
    cvr: _Cvr,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="GeoJSON, or LER's Indberetning (GML).")
    ],
    number: Annotated[int | None, typer.Option(min=1, help="With GML: the area to change.")] = None,
    draft: Annotated[bool, typer.Option("--draft", help="Do not send it to review yet.")] = False,
) -> None:
    """Propose new areas or changes of areas; they count once they are accepted."""
    from geoinfra.flows.owners import propose_areas, submit_notice

    gml = file.suffix.lower() in (".gml", ".xml")
    if gml and draft:
        raise typer.BadParameter("A GML document goes to review at once.", param_hint="--draft")
    if number is not None and not gml:
        raise typer.BadParameter("In GeoJSON each feature has its number.", param_hint="--number")
    with context.obj.open() as store:
        if gml:
            records = [submit_notice(store, _OPERATOR, cvr, file, number)]
        else:
            records = propose_areas(store, _OPERATOR, cvr, _document(file), submit=not draft)
    for record in records:
        _print_area(record)


def _document(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"{file.name} is not JSON.", hint="Give GeoJSON, or GML as .gml.") from error


def _step(context: typer.Context, cvr: str, number: int, step: str, revision: str | None = None) -> None:
    from geoinfra.flows.owners import AreaStep, step_area

    with context.obj.open() as store:
        left = step_area(store, _OPERATOR, cvr, number, AreaStep(step), revision=revision)
    if left is None:
        out.print(f"Area {number} is no more.")
    else:
        _print_area(left)


@areas_app.command("accept")
def areas_accept_command(
    context: typer.Context, cvr: _Cvr, number: _Number, revision: _Revision = None
) -> None:
    """Make live what is proposed of an area."""
    _step(context, cvr, number, "accept", revision)


@areas_app.command("reject")
def areas_reject_command(
    context: typer.Context, cvr: _Cvr, number: _Number, revision: _Revision = None
) -> None:
    """Forget what is proposed of an area; what is live stays."""
    _step(context, cvr, number, "reject", revision)


@areas_app.command("retire")
def areas_retire_command(context: typer.Context, cvr: _Cvr, number: _Number) -> None:
    """Ask the owner by this area no more."""
    _step(context, cvr, number, "retire")


@areas_app.command("coverage")
def areas_coverage_command(
    context: typer.Context,
    cvr: _Cvr,
    live: Annotated[bool, typer.Option("--live", help="Judge what is live, not what is proposed.")] = False,
    as_json: _Json = False,
) -> None:
    """Tell which published lines lie outside the owner's areas. Exit 1 when one does."""
    from geoinfra.flows.owners import coverage

    with context.obj.open() as store:
        found = coverage(store, _OPERATOR, cvr, proposed=not live)
    told = found.to_json()
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        for warning in told["warnings"] or [f"All {found.features:,} features lie inside."]:
            out.print(warning, markup=False, highlight=False)
        for feature_id in found.examples:
            out.print(f"  {feature_id}", markup=False, highlight=False)
    if found.outside:
        raise typer.Exit(1)


@dispensation_app.command("set")
def dispensation_set_command(
    context: typer.Context,
    cvr: _Cvr,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day; default today.")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day; without it no end.")
    ] = None,
) -> None:
    """Let an owner hand over what he has to the excavator himself, within five working days."""
    from geoinfra.flows.owners import set_dispensation

    with context.obj.open() as store:
        begin, end = set_dispensation(
            store, _OPERATOR, cvr, first.date() if first else None, last.date() if last else None
        )
    until = f" to {end:%Y-%m-%d}" if end else ""
    out.print(f"{cvr} has a dispensation from {begin:%Y-%m-%d}{until}.", highlight=False)


@dispensation_app.command("clear")
def dispensation_clear_command(context: typer.Context, cvr: _Cvr) -> None:
    """Take an owner's dispensation away; enquiries filed before are not changed."""
    from geoinfra.flows.owners import clear_dispensation

    with context.obj.open() as store:
        clear_dispensation(store, _OPERATOR, cvr)
    out.print(f"{cvr} has no dispensation.", highlight=False)
