"""The legend of a style set: what each class looks like, as SVG, PNG or HTML, in Danish or English.

A sample is drawn from the same symbol as the map. A class has a row where it is drawn otherwise than the
features that ``legend`` in ``style_set.json`` takes as plain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from html import escape
from importlib.resources import files
from typing import Final

from geoinfra.errors import InvalidInput, MissingResource
from geoinfra.presentation.markers import marker_svg
from geoinfra.presentation.resolve import (
    Corridor,
    Fill,
    Marker,
    PointSymbol,
    Stroke,
    Symbol,
    symbol_of_classes,
)
from geoinfra.presentation.style_set import StyleSet
from geoinfra.presentation.symbols import load_symbols

__all__ = ["LegendRow", "legend_html", "legend_png", "legend_rows", "legend_svg", "sample_svg"]

SAMPLE_MM: Final = (30.0, 7.0)
"""Width and height of a sample."""

_ROW_MM: Final = 7.5
_COLUMN_MM: Final = 92.0
_HEAD_MM: Final = 12.0
_MOST_ROWS: Final = 36
_FONT_MM: Final = 2.8
_HIDDEN: Final = ("component",)


@dataclass(frozen=True, slots=True)
class LegendRow:
    """One row: the dimension, the class, and what is drawn."""

    dimension: str
    key: str
    da: str
    en: str
    symbol: Symbol


def legend_rows(
    style_set: StyleSet, scale_denominator: float = 500, theme: str | None = None
) -> list[LegendRow]:
    """Return the rows, by dimension."""
    base = _base(style_set)
    plain = symbol_of_classes(style_set, base, scale_denominator, theme)
    rows = []
    for name, dimension in style_set.dimensions.items():
        if name in _HIDDEN:
            continue
        for row in dimension.classes:
            symbol = symbol_of_classes(style_set, {**base, name: row.key}, scale_denominator, theme)
            if symbol.layers and (name == "type" or symbol.layers != plain.layers):
                rows.append(LegendRow(name, row.key, row.da, row.en, symbol))
    return [*rows, *_components(style_set, base, scale_denominator, theme)]


def _base(style_set: StyleSet) -> dict[str, str]:
    """Return the classes of a plain feature: those of the set, else the first of each dimension."""
    given = style_set.legend
    return {
        name: given.get(name, dimension.classes[0].key) for name, dimension in style_set.dimensions.items()
    }


def _components(
    style_set: StyleSet, base: Mapping[str, str], scale_denominator: float, theme: str | None
) -> Iterator[LegendRow]:
    if "component" not in style_set.dimensions:
        return
    for row in style_set.dimensions["component"].classes:
        classes = {**base, "form": "component-point", "component": row.key}
        symbol = symbol_of_classes(style_set, classes, scale_denominator, theme)
        if symbol.of(PointSymbol):
            plain = tuple(layer for layer in symbol.layers if not isinstance(layer, Corridor))
            yield LegendRow("component", row.key, row.da, row.en, replace(symbol, layers=plain))


# ------------------------------------------------------------------ a sample


def sample_svg(style_set: StyleSet, symbol: Symbol, scale_denominator: float = 500) -> str:
    """Return the elements of an SVG of what is drawn, in millimetres from the upper left corner."""
    width, height = SAMPLE_MM
    middle = height / 2
    is_point = bool(symbol.of(PointSymbol))
    is_area = bool(symbol.of(Fill)) or "area" in symbol.classes.get("form", "")
    parts = []
    for layer in symbol.layers:
        match layer:
            case Corridor():
                half = layer.half_width_m * 1000 / scale_denominator
                if is_point:
                    parts.append(_circle(width / 2, middle, half, layer.colour, layer.opacity))
                else:
                    parts.append(_path(width, middle, layer.colour, layer.opacity, 2 * half, (), "butt"))
            case Fill():
                parts.append(
                    f'<rect x="5" y="1" width="{width - 10:g}" height="{height - 2:g}" '
                    f'fill="{layer.colour}" fill-opacity="{layer.opacity:g}"/>'
                )
            case Stroke() if is_area:
                dash = f' stroke-dasharray="{_dash(layer.dash_mm)}"' if layer.dash_mm else ""
                parts.append(
                    f'<rect x="5" y="1" width="{width - 10:g}" height="{height - 2:g}" fill="none" '
                    f'stroke="{layer.colour}" stroke-opacity="{layer.opacity:g}" '
                    f'stroke-width="{layer.width_mm:g}"{dash}/>'
                )
            case Stroke():
                parts.append(
                    _path(
                        width, middle, layer.colour, layer.opacity, layer.width_mm, layer.dash_mm, layer.cap
                    )
                )
            case Marker():
                parts.extend(_marks(layer, width, middle))
            case PointSymbol():
                parts.append(_point(style_set, layer, width / 2, middle))
    return "".join(parts)


def _path(
    width: float, y: float, colour: str, opacity: float, stroke: float, dash: tuple[float, ...], cap: str
) -> str:
    dashed = f' stroke-dasharray="{_dash(dash)}"' if dash else ""
    return (
        f'<path d="M0 {y:g}H{width:g}" fill="none" stroke="{colour}" stroke-opacity="{opacity:g}" '
        f'stroke-width="{stroke:g}" stroke-linecap="{cap}"{dashed}/>'
    )


def _dash(lengths: tuple[float, ...]) -> str:
    return " ".join(f"{length:g}" for length in lengths)


def _circle(x: float, y: float, radius: float, colour: str, opacity: float) -> str:
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{colour}" fill-opacity="{opacity:g}"/>'


def _marks(layer: Marker, width: float, y: float) -> Iterator[str]:
    at = min(layer.first_mm, width / 2)
    while at < width:
        yield (
            f'<g transform="translate({at:g} {y:g}) scale({layer.size_mm:g})" opacity="{layer.opacity:g}">'
            f"{marker_svg(layer.marker, layer.colour, layer.text)}</g>"
        )
        at += max(layer.spacing_mm, 1.0)


def _point(style_set: StyleSet, layer: PointSymbol, x: float, y: float) -> str:
    if layer.symbol == "circle":
        return _circle(x, y, layer.size_mm / 2, layer.colour, layer.opacity)
    drawing = load_symbols(style_set.symbols).drawing(layer.symbol)
    scale = layer.size_mm / 24
    return (
        f'<g transform="translate({x - layer.size_mm / 2:g} {y - layer.size_mm / 2:g}) scale({scale:g})" '
        f'opacity="{layer.opacity:g}">{drawing.elements(layer.colour)}</g>'
    )


# ------------------------------------------------------------------ the whole


def _headings(style_set: StyleSet, language: str) -> dict[str, str]:
    names = {"type": ("Forsyningsart", "Supply"), "component": ("Komponenter", "Components")}
    names |= style_set.dimension_names
    return {name: texts[0 if language == "da" else 1] for name, texts in names.items()}


def legend_svg(
    style_set: StyleSet, *, language: str = "da", theme: str | None = None, scale_denominator: float = 500
) -> str:
    """Return the legend as an SVG document, in columns."""
    headings = _headings(style_set, _checked(language))
    lines: list[LegendRow | str] = []
    for row in legend_rows(style_set, scale_denominator, theme):
        if not any(isinstance(line, LegendRow) and line.dimension == row.dimension for line in lines):
            lines.append(headings[row.dimension])
        lines.append(row)
    columns = -(-len(lines) // _MOST_ROWS)
    width, height = columns * _COLUMN_MM + 4, _HEAD_MM + min(len(lines), _MOST_ROWS) * _ROW_MM + 4
    title = (
        f"{style_set.da if language == 'da' else style_set.en} {style_set.version}, 1:{scale_denominator:g}"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}mm" height="{height:g}mm" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="sans-serif">',
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
        f'<defs><clipPath id="sample"><rect width="{SAMPLE_MM[0]:g}" height="{SAMPLE_MM[1]:g}"/>',
        "</clipPath></defs>",
        f'<text x="4" y="8" font-size="4.5" font-weight="bold">{escape(title)}</text>',
    ]
    for place, line in enumerate(lines):
        x, y = 4 + place // _MOST_ROWS * _COLUMN_MM, _HEAD_MM + place % _MOST_ROWS * _ROW_MM
        if isinstance(line, str):
            parts.append(
                f'<text x="{x:g}" y="{y + 5.2:g}" font-size="3.2" font-weight="bold">{escape(line)}</text>'
            )
            continue
        text = line.da if language == "da" else line.en
        parts.append(
            f'<g transform="translate({x:g} {y:g})"><g clip-path="url(#sample)">'
            f"{sample_svg(style_set, line.symbol, scale_denominator)}</g>"
            f'<text x="{SAMPLE_MM[0] + 3:g}" y="{SAMPLE_MM[1] / 2 + 1:g}" font-size="{_FONT_MM:g}">'
            f"{escape(text)}</text></g>"
        )
    return "".join([*parts, "</svg>"])


def legend_html(
    style_set: StyleSet, *, language: str = "da", theme: str | None = None, scale_denominator: float = 500
) -> str:
    """Return the legend as one HTML page without script."""
    headings = _headings(style_set, _checked(language))
    title = f"{style_set.da if language == 'da' else style_set.en} {style_set.version}"
    width, height = SAMPLE_MM
    parts = [
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><title>{escape(title)}</title><style>',
        "body{font:15px/1.4 sans-serif;margin:1.5rem;color:#1d1d1d;background:#fff}",
        "ul{list-style:none;padding:0;columns:3 18rem}li{break-inside:avoid;display:flex;gap:.8rem;",
        f"align-items:center}}svg{{width:{width * 4:g}px;height:{height * 4:g}px;flex:none}}</style>",
        f"<h1>{escape(title)}</h1>",
    ]
    last = ""
    for row in legend_rows(style_set, scale_denominator, theme):
        if row.dimension != last:
            parts.append(f"{'</ul>' if last else ''}<h2>{escape(headings[row.dimension])}</h2><ul>")
            last = row.dimension
        text = row.da if language == "da" else row.en
        parts.append(
            f'<li><svg viewBox="0 0 {width:g} {height:g}" aria-hidden="true">'
            f"{sample_svg(style_set, row.symbol, scale_denominator)}</svg>{escape(text)}</li>"
        )
    return "".join([*parts, "</ul></html>\n"])


def legend_png(
    style_set: StyleSet,
    *,
    language: str = "da",
    theme: str | None = None,
    scale_denominator: float = 500,
    pixels_a_mm: float = 6.0,
) -> bytes:
    """Return the legend as a picture.

    Raises
    ------
    MissingResource
        resvg or the font is not installed.
    """
    try:
        import resvg_py

        folder = files("font_source_sans_pro") / "files"
    except ImportError as error:
        raise MissingResource(
            "Pictures of legends need resvg and the font Source Sans Pro.",
            hint="Install the extra: pip install 'geoinfra[exchange]'.",
        ) from error
    svg = legend_svg(style_set, language=language, theme=theme, scale_denominator=scale_denominator)
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg,
            dpi=96,
            zoom=pixels_a_mm * 25.4 / 96,
            skip_system_fonts=True,
            font_files=[str(folder / f"SourceSansPro-{cut}.ttf") for cut in ("Regular", "Semibold")],
            sans_serif_family="Source Sans Pro",
        )
    )


def _checked(language: str) -> str:
    if language not in ("da", "en"):
        raise InvalidInput(f"There is no legend in '{language[:20]}'.", hint="Use da or en.")
    return language
