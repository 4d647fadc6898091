"""The command that draws a plan on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import orjson
import typer

from geoinfra.cli.commands import out, presentation, progress_fraction, show_report
from geoinfra.errors import InvalidInput

__all__ = ["plan_command"]


@presentation.command("plan")
def plan_command(
    source: Annotated[Path, typer.Argument(exists=True, help="Package or LER answer: GML, zip or folder.")],
    target: Annotated[Path, typer.Argument(dir_okay=False, help="PDF to write.")],
    scale: Annotated[
        int | None, typer.Option("--scale", min=100, max=1000, help="500 for 1:500; chosen without it.")
    ] = None,
    paper: Annotated[Literal["A4", "A3", "auto"], typer.Option("--paper", help="Size of the sheets.")] = "A4",
    owner: Annotated[str | None, typer.Option("--owner", help="CVR number: only this owner's lines.")] = None,
    margin: Annotated[
        float, typer.Option("--margin", min=0, max=1000, help="Metres around the dig area to show.")
    ] = 5.0,
    background: Annotated[
        list[Path] | None,
        typer.Option(
            "--background",
            exists=True,
            dir_okay=False,
            help="Layer under the lines, named streets, buildings, parcels, addresses or stream.",
        ),
    ] = None,
    style: Annotated[str, typer.Option("--style", help="Style set.")] = "geoinfra",
    theme: Annotated[str | None, typer.Option("--theme", help="Palette of the style set.")] = None,
    language: Annotated[Literal["da", "en"], typer.Option(help="Language of the plan.")] = "da",
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Draw a plan of true scale: an index sheet and map sheets, as vectors in one PDF."""
    from geoinfra.flows.plans import plan_of_file
    from geoinfra.presentation.plan import PlanOptions

    if owner is not None:
        _require_cvr(owner)
    options = PlanOptions(scale, None if paper == "auto" else paper, language, owner, margin, style, theme)
    with progress_fraction("Drawing") as progress:
        done, report = plan_of_file(source, target, options, background=background or (), progress=progress)
    if as_json:
        typer.echo(orjson.dumps({**done.to_json(), "report": report.to_json()}, option=orjson.OPT_INDENT_2))
    else:
        show_report(report)
        text = f"Wrote {done.features:,} features on {done.sheets} sheets at 1:{done.scale} to {target}"
        out.print(text, markup=False, highlight=False)


def _require_cvr(owner: str) -> None:
    from geoinfra.utilities.model import require_cvr

    try:
        require_cvr(owner)
    except InvalidInput as error:
        raise typer.BadParameter(f"{error.message} {error.hint}", param_hint="--owner") from error
