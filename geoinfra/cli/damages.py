"""The commands ``geoinfra damage``: report dig damages for an owner, list and count them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer

from geoinfra.access import Access, Role
from geoinfra.cli.commands import app, err, out
from geoinfra.errors import InvalidInput

__all__ = ["damage_app"]

damage_app = typer.Typer(no_args_is_help=True, help="Dig damages: report, list, count.")
app.add_typer(damage_app, name="damage")

_OPERATOR: Final = Access("system:cli", None, frozenset({Role.AUTHORITY}))
_Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
_Year = Annotated[int | None, typer.Option(min=2000, max=2100, help="Only this year.")]


@damage_app.command("add")
def add_command(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="One damage (JSON), or a table (CSV).")
    ],
    owner: Annotated[str, typer.Option("--owner", help="CVR number of the owner who reports.")],
    as_json: _Json = False,
) -> None:
    """Report damages of an owner. Exit 1 when one was refused; rows without a fault are stored."""
    from geoinfra.flows import damages

    access = Access("system:cli", owner, frozenset({Role.OWNER}))
    table = file.suffix.lower() != ".json"
    document = None if table else _document(file)
    with context.obj.open() as store:
        if document is not None:
            done = damages.report_damage(store, access, document)
            rows = [damages.ImportedRow(1, "known" if done.known else "stored", done.damage_id)]
        else:
            rows = damages.import_damages(store, access, file.read_bytes())
        counts = {state: sum(row.state == state for row in rows) for state in ("stored", "known", "refused")}
        store.audit.append("damage.imported", access, "damages", counts)
    if as_json:
        typer.echo(orjson.dumps({**counts, "rows": [row.to_json() for row in rows]}))
    else:
        for row in rows:
            if row.state == "refused":
                err.print(f"Line {row.line}: {row.message} {row.hint}".strip(), markup=False, highlight=False)
        out.print(f"{counts['stored']} stored, {counts['known']} known before, {counts['refused']} refused.")
    if counts["refused"]:
        raise typer.Exit(1)


def _document(file: Path) -> dict[str, Any]:
    try:
        document = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{file.name} is not JSON: line {error.lineno}, column {error.colno}.") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"{file.name} must hold one JSON object.", hint="Send many damages as CSV.")
    return document


@damage_app.command("list")
def list_command(
    context: typer.Context,
    owner: Annotated[str | None, typer.Option("--owner", help="Only this owner's.")] = None,
    year: _Year = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print a CSV table.")] = False,
    as_json: _Json = False,
) -> None:
    """List the damages that were reported, the newest report first."""
    from geoinfra.flows import damages
    from geoinfra.utilities.damages import write_damages

    access = Access("system:cli", owner, frozenset({Role.OWNER})) if owner else _OPERATOR
    with context.obj.open() as store:
        found = damages.list_damages(store, access, year=year)
        store.audit.append("damage.listed", access, str(year or "all"), {"rows": len(found)})
    documents = [one.to_json() for one in found]
    if csv:
        typer.echo(write_damages(documents), nl=False)
    elif as_json:
        typer.echo(orjson.dumps({"items": documents}))
    else:
        for one in found:
            damage = one.damage
            when = damage.day.isoformat() if damage.day else f"{damage.year}, day unknown"
            place = f"{damage.easting_m:.1f} {damage.northing_m:.1f}"
            line = f"{one.damage_id}  {one.organisation}  {when}  {place}  supply {damage.supply}"
            out.print(f"{line}  {damage.enquiry}".rstrip(), markup=False, highlight=False, soft_wrap=True)


@damage_app.command("statistics")
def statistics_command(
    context: typer.Context,
    year: _Year = None,
    public: Annotated[bool, typer.Option("--public", help="As everybody sees them: protected.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print a CSV table.")] = False,
    as_json: _Json = False,
) -> None:
    """Count the damages of each year by supply, cause and digging method."""
    from geoinfra.flows import damages
    from geoinfra.utilities.damage_statistics import write_statistics

    access = Access.anonymous() if public else _OPERATOR
    with context.obj.open() as store:
        found = damages.statistics(store, access, year=year)
    if csv:
        typer.echo(write_statistics(found), nl=False)
    elif as_json:
        typer.echo(orjson.dumps({"items": [one.to_json() for one in found]}))
    else:
        for one in found:
            total = f"withheld ({one.withheld})" if one.reported is None else f"{one.reported:,}"
            out.print(f"{one.year}: {total}", markup=False, highlight=False)
            for name, cells in one.tables.items():
                for cell in cells:
                    out.print(
                        f"  {name:<7} {cell.english:<34} {cell.count:>7,}", markup=False, highlight=False
                    )
