"""Commands on utility files, without a store: check, convert."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from geoinfra.cli.commands import err, out, progress_fraction, show_report, utilities
from geoinfra.flows.convert import convert
from geoinfra.presentation.check_report import report_html, report_text
from geoinfra.utilities.check import check_file

__all__ = ["check_command", "convert_command"]


@utilities.command("check")
def check_command(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="LER answer or package.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report as a page.")] = None,
    language: Annotated[Literal["da", "en"], typer.Option(help="Language of the report.")] = "en",
    tolerant: Annotated[bool, typer.Option("--tolerant", help="What can be mended is a warning.")] = False,
    owner: Annotated[str | None, typer.Option("--owner", help="CVR number of the owner, 8 digits.")] = None,
) -> None:
    """Tell everything that is wrong with an answer or a package; nothing is stored."""
    with progress_fraction("Checking"):
        report = check_file(file, owner_cvr=owner, strict=not tolerant)
    if html is not None:
        html.write_text(report_html(report, language, file.name), "utf-8")
    if as_json:
        out.print_json(json.dumps(report.to_json(), ensure_ascii=False))
    else:
        out.print(report_text(report, language), markup=False, highlight=False, end="", soft_wrap=True)
    if report.errors or report.warnings:
        raise typer.Exit(1)


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
