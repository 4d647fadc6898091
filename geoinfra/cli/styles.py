"""The commands ``geoinfra presentation``: style sets, their coverage, and the drawings made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer

from geoinfra.cli.commands import err, out, presentation

__all__ = ["coverage_command", "emit_command", "legend_command", "list_command"]

_Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
_Set = Annotated[str, typer.Argument(metavar="STYLE_SET", help="Name of a style set, or NAME@VERSION.")]
_Out = Annotated[Path, typer.Argument(metavar="OUT", dir_okay=False, help="File to write.")]
_Language = Annotated[str, typer.Option("--language", help="da or en.")]
_Theme = Annotated[str | None, typer.Option("--theme", help="Palette of the style set.")]


@presentation.command("list")
def list_command(as_json: _Json = False) -> None:
    """List the style sets with their versions."""
    from geoinfra.presentation.style_set import load_style_set, style_sets

    found = style_sets()
    if as_json:
        typer.echo(orjson.dumps({"style_sets": {name: list(versions) for name, versions in found.items()}}))
        return
    for name, versions in found.items():
        out.print(f"{name} {versions[-1]}: {load_style_set(name).about}", markup=False, highlight=False)


@presentation.command("coverage")
def coverage_command(as_json: _Json = False) -> None:
    """Try every combination of classes at every scale. Exit 1 when one has no rule, or more than one."""
    from geoinfra.presentation.coverage import coverage
    from geoinfra.presentation.style_set import load_style_set, style_sets

    found = {name: coverage(load_style_set(name)) for name in style_sets()}
    if as_json:
        typer.echo(orjson.dumps({"style_sets": {name: one.to_json() for name, one in found.items()}}))
    else:
        for name, one in found.items():
            out.print(f"{name}: {one.combinations} combinations, {one.gaps} gaps, {one.overlaps} overlaps.")
            for problem in one.problems:
                err.print(f"  {problem}", markup=False, highlight=False)
    if any(one.problems for one in found.values()):
        raise typer.Exit(1)


@presentation.command("emit")
def emit_command(
    style_set: _Set,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="maplibre, sld or qml.")],
    output: _Out,
    language: _Language = "da",
    theme: _Theme = None,
) -> None:
    """Write the drawing rules of a style set for a program."""
    from geoinfra.presentation.emit import emit
    from geoinfra.presentation.style_set import load_style_set

    name, _, version = style_set.partition("@")
    made = emit(load_style_set(name, version or None), target, language=language, theme=theme)
    output.write_bytes(made)


@presentation.command("legend")
def legend_command(style_set: _Set, output: _Out, language: _Language = "da", theme: _Theme = None) -> None:
    """Write the legend of a style set; the ending of OUT says as what: .svg, .png or .html."""
    from geoinfra.presentation.emit import legend_document
    from geoinfra.presentation.style_set import load_style_set

    name, _, version = style_set.partition("@")
    form = output.suffix.lower().lstrip(".")
    made = legend_document(load_style_set(name, version or None), form, language=language, theme=theme)
    output.write_bytes(made)
