"""What the offline map draws, as data for its script: what the resolver says of each feature at every scale.

A *look* is what features have in common that are drawn alike at all scales: one symbol a scale band. A symbol
is a list of layers, and layers lie in the order in which they are drawn, so the script needs no rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geoinfra.presentation.attributes import column_of
from geoinfra.presentation.labels import label_attributes, label_text
from geoinfra.presentation.markers import marker_shapes
from geoinfra.presentation.plan_legend import legend_entries
from geoinfra.presentation.resolve import (
    Corridor,
    DrawnLayer,
    Fill,
    Label,
    Marker,
    PointSymbol,
    Stroke,
    Symbol,
    symbol_of_classes,
)
from geoinfra.presentation.style_set import StyleSet
from geoinfra.presentation.symbols import load_symbols
from geoinfra.tables import FeatureBatch

__all__ = ["SORTED_BY", "drawing_of"]

SORTED_BY: Final = ("type", "status", "hazard")
"""Dimensions by which the map can be filtered."""

_WHITE: Final = "#ffffff"
_LEGEND_SCALE: Final = 500.0
_MAX_WIDTH_MM: Final = 50_000.0
_BOX: Final = 24.0
_KINDS: Final[Mapping[type[DrawnLayer], str]] = {
    Corridor: "corridor",
    Fill: "fill",
    Stroke: "stroke",
    Marker: "marker",
    PointSymbol: "point",
    Label: "label",
}
_PAPER_ONLY: Final = ("width_mm", "dash_mm", "size_mm", "spacing_mm", "halo_mm")


def drawing_of(style_set: StyleSet, batches: Sequence[FeatureBatch]) -> dict[str, Any]:
    """Return the drawing of all rows of the batches in order, ready to be JSON.

    Parameters
    ----------
    style_set
        The rules of the drawing; its first theme is drawn.
    batches
        Rows of ``utility-features``.
    """
    rows = _resolved(style_set, batches)
    tables = _Tables.of(style_set, rows)
    legend = _legend(style_set, rows.symbols(style_set, _LEGEND_SCALE), tables)
    layers, renumbered = tables.ordered_layers()
    return {
        "pixel_mm": style_set.pixel_mm,
        "bands": [[band.start, band.below] for band in style_set.scales],
        "layers": [_plain_layer(layer, style_set) for layer in layers],
        "symbols": [[renumbered[number] for number in symbol] for symbol in tables.symbols],
        "looks": tables.looks,
        "classes": tables.classes,
        "dimensions": {name: _classes(style_set, name) for name in SORTED_BY},
        "marks": {name: _mark(name) for name in _marks(layers)},
        "drawings": {name: _drawing(name, style_set) for name in _drawn_symbols(layers)},
        "legend": legend,
        "look": tables.look_of_code[rows.code],
        "half_width_mm": _own_half_widths_mm(batches),
        "labels": _labels(style_set, batches, rows),
    }


# ------------------------------------------------------------------ symbols of all rows


@dataclass(slots=True)
class _Resolved:
    """Rows with the same attributes have the same code; `by_code` has their symbols, one a scale band."""

    code: NDArray[np.int64]
    by_code: list[tuple[Symbol, ...]]

    def symbols(self, style_set: StyleSet, scale_denominator: float) -> list[Symbol]:
        """Return the symbols of all codes at a scale."""
        place = style_set.scales.index(style_set.band(scale_denominator))
        return [symbols[place] for symbols in self.by_code]


def _resolved(style_set: StyleSet, batches: Iterable[FeatureBatch]) -> _Resolved:
    names = style_set.attributes
    classify = style_set.classifier(names)
    keys = [key for batch in batches for key in zip(*(column_of(batch, name) for name in names), strict=True)]
    codes = {key: code for code, key in enumerate(dict.fromkeys(keys))}
    code = list(map(codes.__getitem__, keys))
    sorted_rows = map(classify, codes)
    by_code = [
        tuple(symbol_of_classes(style_set, classes, band.start) for band in style_set.scales)
        for classes in sorted_rows
    ]
    return _Resolved(np.array(code, dtype=np.int64), by_code)


@dataclass(slots=True)
class _Tables:
    """Layers, symbols and looks, each once, in the order in which they come."""

    layers: dict[DrawnLayer, int] = field(default_factory=dict)
    symbols: dict[tuple[int, ...], int] = field(default_factory=dict)
    looks: list[tuple[int, ...]] = field(default_factory=list)
    classes: list[tuple[int, ...]] = field(default_factory=list)
    look_of_code: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, style_set: StyleSet, rows: _Resolved) -> _Tables:
        tables = cls()
        places = {
            name: {key: place for place, key in enumerate(style_set.dimensions[name].keys)}
            for name in SORTED_BY
        }
        known: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
        look_of_code = []
        for symbols in rows.by_code:
            look = tuple(tables.symbol(symbol) for symbol in symbols)
            classes = tuple(places[name][symbols[0].classes[name]] for name in SORTED_BY)
            number = known.setdefault((look, classes), len(known))
            if number == len(tables.looks):
                tables.looks.append(look)
                tables.classes.append(classes)
            look_of_code.append(number)
        tables.look_of_code = np.array(look_of_code, dtype=np.int64)
        return tables

    def symbol(self, symbol: Symbol) -> int:
        layers = tuple(self.layers.setdefault(layer, len(self.layers)) for layer in symbol.layers)
        return self.symbols.setdefault(layers, len(self.symbols))

    def ordered_layers(self) -> tuple[list[DrawnLayer], dict[int, int]]:
        """Return the layers bottom to top, and where each now stands."""
        ordered = sorted(self.layers, key=lambda one: (one.order, one.part, one.colour, one.opacity))
        return ordered, {self.layers[layer]: place for place, layer in enumerate(ordered)}


def _plain_layer(layer: DrawnLayer, style_set: StyleSet) -> dict[str, Any]:
    values = {name: value for name, value in asdict(layer).items() if name not in _PAPER_ONLY}
    if isinstance(layer, Marker):
        values["first_px"] = round(values.pop("first_mm") / style_set.pixel_mm, 4)
    return {"draw": _KINDS[type(layer)], **values}


def _classes(style_set: StyleSet, dimension: str) -> list[list[Any]]:
    return [
        [row.key, row.da, row.en, row.fields.get("colour")] for row in style_set.dimensions[dimension].classes
    ]


def _own_half_widths_mm(batches: Iterable[FeatureBatch]) -> NDArray[np.float64]:
    """Return by how much each feature widens its corridor."""
    widths = [np.array(column_of(batch, "width_mm"), np.float64) for batch in batches]
    width_mm = np.concatenate([np.zeros(0), *widths])
    return np.where((width_mm > 0) & (width_mm <= _MAX_WIDTH_MM), width_mm, 0.0) / 2


# ------------------------------------------------------------------ marks and drawings


def _marks(layers: Iterable[DrawnLayer]) -> Iterator[str]:
    names = {layer.marker for layer in layers if isinstance(layer, Marker)}
    yield from sorted(names - {"text"})


def _mark(name: str) -> list[dict[str, Any]]:
    return [asdict(shape) for shape in marker_shapes(name)]


def _drawn_symbols(layers: Iterable[DrawnLayer]) -> Iterator[str]:
    names = {layer.symbol for layer in layers if isinstance(layer, PointSymbol)}
    yield from sorted(names - {"circle"})


def _drawing(name: str, style_set: StyleSet) -> list[dict[str, Any]]:
    """Return the paths of a drawing in a box of the size 1, y downwards, the feature at the origin."""
    paths = []
    for outline in load_symbols(style_set.symbols).drawing(name).outlines(_BOX):
        spots = [f"{x / _BOX:.4g} {-y / _BOX:.4g}" for x, y in outline.points_mm.tolist()]
        path = f"M{'L'.join(spots)}{'Z' if outline.closed else ''}"
        paths.append({"path": path, "width": round(outline.width_mm / _BOX, 4), "ink": outline.ink})
    return paths


# ------------------------------------------------------------------ legend and labels


def _legend(style_set: StyleSet, seen: Sequence[Symbol], tables: _Tables) -> list[dict[str, Any]]:
    """Return the rows of the legend; ``of`` names the class for which a row stands alone."""
    danish = legend_entries(style_set, _LEGEND_SCALE, None, seen, "da")
    english = legend_entries(style_set, _LEGEND_SCALE, None, seen, "en")
    classes = {
        row.en.lower(): [name, row.key] for name in SORTED_BY for row in style_set.dimensions[name].classes
    }
    rows = []
    for one, other in zip(danish, english, strict=True):
        of = classes.get(other.title.rpartition(": ")[2].lower())
        symbol = one.symbol if of is None or of[0] == "type" else _plainest(seen, *of)
        number, form = tables.symbol(symbol), _form(symbol)
        rows.append({"da": one.title, "en": other.title, "symbol": number, "form": form, "of": of})
    return rows


def _plainest(seen: Iterable[Symbol], dimension: str, key: str) -> Symbol:
    """Return the symbol of a class that shows least else, with all its signs."""
    found = [symbol for symbol in seen if symbol.classes[dimension] == key]

    def plainness(symbol: Symbol) -> tuple[bool, int, float, bool, int, str]:
        markers = len(symbol.of(Marker))
        inked = max((one.opacity for one in symbol.of(Stroke) if one.colour != _WHITE), default=0.0)
        dashed = any(one.dash_mm for one in symbol.of(Stroke))
        return not markers, markers, -inked, dashed, len(symbol.layers), symbol.rule_set

    best = min(found, key=plainness)
    return replace(best, layers=tuple(one for one in best.layers if not isinstance(one, Corridor | Label)))


def _form(symbol: Symbol) -> str:
    """Return what a sample is drawn of: a line, an area or a point."""
    if symbol.of(PointSymbol) and not symbol.of(Stroke):
        return "point"
    return "area" if symbol.of(Fill) or symbol.classes.get("form", "").endswith("-area") else "line"


def _labels(style_set: StyleSet, batches: Sequence[FeatureBatch], rows: _Resolved) -> dict[str, Any]:
    """Return for each template the texts in Danish and English, and which text each row has."""
    templates = {layer.template for symbols in rows.by_code for one in symbols for layer in one.of(Label)}
    return {template: _texts(style_set, batches, rows, template) for template in sorted(templates)}


def _texts(
    style_set: StyleSet, batches: Sequence[FeatureBatch], rows: _Resolved, template: str
) -> dict[str, Any]:
    wanted = [
        any(layer.template == template for one in symbols for layer in one.of(Label))
        for symbols in rows.by_code
    ]
    names = label_attributes(style_set, template)
    texts: dict[tuple[str, str], int] = {("", ""): 0}
    known: dict[tuple[Any, ...], int] = {}
    index = []
    codes = iter(rows.code.tolist())
    for batch in batches:
        for values in zip(*(column_of(batch, name) for name in names), strict=True):
            if not wanted[next(codes)]:
                index.append(0)
                continue
            if values not in known:
                attributes = dict(zip(names, values, strict=True))
                danish, english = (label_text(style_set, template, attributes, one) for one in ("da", "en"))
                known[values] = texts.setdefault((danish, english), len(texts))
            index.append(known[values])
    return {"texts": list(texts), "index": index}
