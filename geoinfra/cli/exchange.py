"""Commands on utility files, without a store: check, convert, repack."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import orjson
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from geoinfra.cli.commands import err, out, progress_fraction, show_report, utilities
from geoinfra.errors import GeoinfraError, InvalidInput, NotFound, Report
from geoinfra.utilities.formats import format_for, format_named, formats

__all__ = ["check_command", "convert_command", "repack_command"]

_WRITTEN = tuple(one.name for one in formats() if one.writes and one.name != "gml")
_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}


@utilities.command("check")
def check_command(
    file: Annotated[Path, typer.Argument(exists=True, help="LER document: GML, zip or a package's folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", dir_okay=False, help="Write the report as a page here.")
    ] = None,
    language: Annotated[Literal["da", "en"], typer.Option(help="Language of the report.")] = "en",
    tolerant: Annotated[
        bool, typer.Option("--tolerant", help="Take what the reader can mend as a warning.")
    ] = False,
    owner: Annotated[str | None, typer.Option("--owner", help="CVR number: check his part only.")] = None,
) -> None:
    """Check an answer or a package and tell what is wrong; exit 1 when there is an error or a warning."""
    from geoinfra.presentation.check_report import report_html, report_text

    report = _checked(file, owner, strict=not tolerant)
    if html is not None:
        _write_page(html, report_html(report, language, file.name))
    if as_json:
        typer.echo(orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2))
    else:
        typer.echo(report_text(report, language), nl=False)
    if report.errors or report.warnings:
        raise typer.Exit(1)


def _checked(file: Path, owner: str | None, *, strict: bool) -> Report:
    """Check the file, with a bar on standard error while it is read."""
    from geoinfra.utilities.check import check_file

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        if file.is_dir():
            return check_file(file, owner_cvr=owner, strict=strict)
        with (
            Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar,
            bar.open(file, "rb", description="Checking") as source,
        ):
            return check_file(source, owner_cvr=owner, strict=strict)
    except (InvalidInput, NotFound) as error:
        raise typer.BadParameter(error.message, param_hint="--owner") from error


def _write_page(target: Path, page: str) -> None:
    try:
        target.write_text(page, "utf-8")
    except OSError as error:
        raise GeoinfraError(
            f"The report cannot be written to {target}: {error.strerror}.",
            hint="Name a file in a folder that exists and that you may write to.",
        ) from error


@utilities.command("convert")
def convert_command(
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="LER GML, zip or a table.")],
    target: Annotated[
        Path, typer.Argument(dir_okay=False, help="File to write; its ending chooses the format.")
    ],
    to: Annotated[
        str | None, typer.Option("--to", help=f"{', '.join(_WRITTEN)}; where the ending does not tell.")
    ] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="CVR number: only this owner.")] = None,
    model: Annotated[
        str, typer.Option("--model", help="Data model of a LER answer: 2.0.1 to 2.2.0.")
    ] = "2.2.0",
    valid_to: Annotated[
        datetime | None,
        typer.Option("--valid-to", formats=["%Y-%m-%d"], help="Last day of a LER answer's validity."),
    ] = None,
    terrain: Annotated[
        Path | None,
        typer.Option("--terrain", exists=True, dir_okay=False, help="GeoTIFF of the terrain, for DXF."),
    ] = None,
    separator: Annotated[
        Literal["comma", "semicolon", "tab"], typer.Option("--separator", help="Between the cells of CSV.")
    ] = "comma",
    strict: Annotated[bool, typer.Option("--strict", help="Write nothing when there is an error.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Write utility lines in another format, and say what does not survive; exit 1 when there is an error."""
    from geoinfra.flows.convert import convert

    chosen = _target_format(target, to, owner)
    options = {"separator": _SEPARATORS[separator]} if chosen == "csv" else {}
    with progress_fraction("Converting") as progress:
        done = convert(
            source,
            target,
            to=to,
            owner_cvr=owner,
            model=model,
            terrain=terrain,
            strict=strict,
            progress=progress,
            valid_to=valid_to.date() if valid_to else None,
            options=options,
        )
    if as_json:
        typer.echo(orjson.dumps(done.to_json(), option=orjson.OPT_INDENT_2))
    else:
        show_report(done.report)
        out.print(f"Wrote {done.features:,} features to {target}", markup=False, highlight=False)
    if not done.report.ok:
        err.print("The report holds errors; what they concern is missing from the file or not whole.")
        raise typer.Exit(1)


def _target_format(target: Path, to: str | None, owner: str | None) -> str:
    """Return the name of the format to write; what cannot be is wrong usage."""
    from geoinfra.utilities.model import require_cvr

    try:
        chosen = format_named(to) if to else format_for(target)
        if owner is not None:
            require_cvr(owner)
    except InvalidInput as error:
        raise typer.BadParameter(f"{error.message} {error.hint}") from error
    return chosen.name


@utilities.command("repack")
def repack_command(
    source: Annotated[Path, typer.Argument(exists=True, help="Package: zip, folder or consolidated.gml.")],
    target: Annotated[Path, typer.Argument(dir_okay=False, help="Zip to write.")],
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="geojson, gpkg, html, dxf, pdf, pdf-owners; all but the last."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Make a package from LER anew with every format, a report and a manifest; nothing is lost."""
    from geoinfra.flows.package_files import DRAWINGS, OPTIONAL
    from geoinfra.flows.repack import repack

    unknown = sorted(set(formats or ()) - set(DRAWINGS))
    if unknown:
        raise typer.BadParameter(f"choose among {', '.join(DRAWINGS)}", param_hint="--format")
    chosen = formats or [name for name in DRAWINGS if name not in OPTIONAL]
    with progress_fraction("Repacking") as progress:
        done = repack(source, target, formats=chosen, progress=progress)
    if as_json:
        typer.echo(orjson.dumps(done.to_json(), option=orjson.OPT_INDENT_2))
    else:
        show_report(done.report)
        out.print(f"Wrote {done.features:,} features to {target}", markup=False)
    if not done.report.ok:
        err.print("The report holds errors; what could not be read is in the folder original.")
        raise typer.Exit(1)
