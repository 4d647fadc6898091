"""Commands on utility files, without a store: convert."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geoinfra.cli.commands import err, out, progress_fraction, show_report, utilities
from geoinfra.flows.convert import convert

__all__ = ["convert_command"]


@utilities.command("convert")
def convert_command(
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="LER GML, zip or package.")],
    target: Annotated[Path, typer.Argument(help="File to write; its ending chooses the format.")],
    to: Annotated[str | None, typer.Option("--to", help="Format, where the ending does not tell.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="CVR number of the owner, 8 digits.")] = None,
) -> None:
    """Write utility lines in another format, and say what does not survive."""
    with progress_fraction("Converting") as progress:
        done = convert(source, target, to=to, owner_cvr=owner, progress=progress)
    show_report(done.report)
    out.print(f"Wrote {done.features:,} features to {target}", markup=False)
    if not done.report.ok:
        err.print(
            "The report holds errors: what they concern is missing from the file or not as it should be."
        )
        raise typer.Exit(1)
