"""Commands of dig enquiries beside ``enquire``: what one costs, sending it again, and forgetting old ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geoinfra.access import Access, Role
from geoinfra.cli.commands import acting, geojson_file, out, utilities

__all__: list[str] = []

_Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
_As = Annotated[str, typer.Option("--as", help="CVR number of the excavator.")]


@utilities.command("fee")
def fee_command(
    context: typer.Context,
    area: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="GeoJSON file with the dig area.")
    ],
    excavator: _As,
    crs: Annotated[str, typer.Option(help="CRS of the area.")] = "CRS84",
    as_json: _Json = False,
) -> None:
    """Say what filing a dig area would cost, and as how many enquiries; nothing is stored."""
    from geoinfra.flows.enquiry_preview import preview_enquiry

    access = Access("system:cli", excavator, frozenset({Role.EXCAVATOR}))
    with context.obj.open() as store:
        preview = preview_enquiry(store, access, {"area": geojson_file(area), "crs": crs}).to_json()
    if as_json:
        out.print_json(data=preview)
        return
    for part in preview["parts"]:
        out.print(f"Part {part['part']}: {part['area_m2']:>12,.1f} m2 {part['fee_dkk']:>10} DKK")
    out.print(preview["fee_text"]["en"], markup=False, highlight=False)


@utilities.command("resend")
def resend_command(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="Number of the enquiry, or of a part of it.")],
    excavator: _As,
    as_json: _Json = False,
) -> None:
    """Send an enquiry again under a new number, free; the worker makes its package."""
    from geoinfra.flows.enquiries import resend_enquiry
    from geoinfra.flows.projects import whole

    with context.obj.open() as store:
        access = acting(store, excavator, Role.EXCAVATOR)
        again = whole(store, access, resend_enquiry(store, access, number).number)
    if as_json:
        out.print_json(data=again.to_json())
        return
    for answer in again.answers:
        out.print(f"{answer.owner_name:<34} {answer.status.danish}", markup=False, highlight=False)
    out.print(f"Enquiry {again.number} sends {again.original} again.")


@utilities.command("forget-old")
def forget_command(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is due and change nothing.")] = False,
    as_json: _Json = False,
) -> None:
    """Forget persons, packages and at last enquiries by the rules, as the worker does each night."""
    from geoinfra.flows.enquiry_retention import forget_old_enquiries

    with context.obj.open() as store:
        done = forget_old_enquiries(store, dry_run=dry_run)
    if as_json:
        out.print_json(data=done.to_json())
        return
    would = "would be " if dry_run else ""
    for words, numbers in (("anonymised", done.anonymised), ("erased", done.erased)):
        out.print(f"{len(numbers)} {would}{words}{': ' if numbers else ''}{', '.join(numbers)}")
