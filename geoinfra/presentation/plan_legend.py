"""The legend of a sheet: a sample of each sign that is on it, and of no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from geoinfra.presentation.plan_ink import Ink
from geoinfra.presentation.plan_map import Shapes, View, draw_symbol
from geoinfra.presentation.plan_sheets import Frame
from geoinfra.presentation.plan_words import Language
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
from geoinfra.presentation.style_set import ClassRow, StyleSet

__all__ = ["Entry", "draw_sample", "legend_entries"]

_FIRST: Final = ("type", "form")
_NOT_MODIFIERS: Final = (*_FIRST, "component")
_WHITE: Final = "#ffffff"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a legend.

    Attributes
    ----------
    symbol
        What the sample shows.
    """

    title: str
    symbol: Symbol


def legend_entries(
    style_set: StyleSet, scale: float, theme: str | None, seen: Iterable[Symbol], language: Language
) -> list[Entry]:
    """Return what the legend explains: utility types, then what else the drawing says, then components."""
    symbols = sorted({id(s): s for s in seen if s.layers}.values(), key=_plainness)
    return [
        *_types(style_set, symbols, language),
        *_modifiers(style_set, scale, theme, symbols, language),
        *_components(style_set, symbols, language),
    ]


def _plainness(symbol: Symbol) -> tuple[bool, bool, int, str]:
    """Order symbols so that the sample of a sign shows little else."""
    crisp = any(one.opacity > 0.9 and not one.dash_mm and one.colour != _WHITE for one in symbol.of(Stroke))
    return symbol.classes.get("form") != "line", not crisp, len(symbol.layers), symbol.rule_set


def _name(row: ClassRow, language: Language) -> str:
    return row.da if language == "da" else row.en


def _types(style_set: StyleSet, symbols: Sequence[Symbol], language: Language) -> list[Entry]:
    types, forms = (style_set.dimensions[name] for name in _FIRST)
    found: dict[tuple[int, int], Symbol] = {}
    for symbol in symbols:
        if any(isinstance(one, Stroke | Fill) for one in symbol.layers):
            kind, form = (symbol.classes[name] for name in _FIRST)
            found.setdefault((types.keys.index(kind), forms.keys.index(form)), symbol)
    entries = []
    for (kind_rank, form_rank), symbol in sorted(found.items()):
        title = _name(types.classes[kind_rank], language)
        if form_rank:
            title += f", {_name(forms.classes[form_rank], language).lower()}"
        entries.append(Entry(title, _plain(symbol)))
    return entries


def _plain(symbol: Symbol) -> Symbol:
    """Return a symbol with its strokes, fills and letters only."""
    return _with(symbol, lambda one: not isinstance(one, Corridor) and _is_letter(one) is not False)


def _with(symbol: Symbol, keep: Callable[[DrawnLayer], bool]) -> Symbol:
    return replace(symbol, layers=tuple(one for one in symbol.layers if keep(one)))


def _is_letter(layer: DrawnLayer) -> bool | None:
    """Whether a marker is a letter; ``None`` for what is no marker."""
    return layer.marker == "text" if isinstance(layer, Marker) else None


def _modifiers(
    style_set: StyleSet, scale: float, theme: str | None, symbols: Sequence[Symbol], language: Language
) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for name, dimension in style_set.dimensions.items():
        if name in _NOT_MODIFIERS:
            continue
        for row in dimension.classes:
            sample = next((symbol for symbol in symbols if symbol.classes[name] == row.key), None)
            if sample is None:
                continue
            others = [
                _visible(_other(style_set, scale, theme, sample, name, key))
                for key in dimension.keys
                if key != row.key
            ]
            parts = _what_differs(_visible(sample), others)
            if parts:
                entry = _modifier(style_set, parts, row, sample, language)
                entries.setdefault(entry.title, entry)
    return list(entries.values())


def _modifier(
    style_set: StyleSet, parts: Sequence[str], row: ClassRow, sample: Symbol, language: Language
) -> Entry:
    part = parts[0]
    layer = next(one for one in sample.layers if one.part == part)
    found = next(one for one in style_set.parts if one.key == part)
    name, own = found.da if language == "da" else found.en, _name(row, language)
    if isinstance(layer, Marker) and layer.marker.startswith("arrow"):
        title = name  # the arrow itself says which way
    elif name.casefold() == own.casefold() or isinstance(layer, Stroke):
        title = own
    else:
        title = f"{name}: {own[:1].lower()}{own[1:]}"
    return Entry(
        title, _with(sample, lambda one: one.part in parts or not isinstance(one, Corridor | Marker))
    )


def _other(
    style_set: StyleSet, scale: float, theme: str | None, sample: Symbol, name: str, key: str
) -> Symbol:
    """Return the sample as it would be if it were of another class of one dimension."""
    classes = {one: sample.classes[one] for one in style_set.dimensions}
    return symbol_of_classes(style_set, {**classes, name: key}, scale, theme)


def _visible(symbol: Symbol) -> dict[str, DrawnLayer]:
    """Return the layers by part, without labels and without white that lies under all colours."""
    lowest = min(
        (one.order for one in symbol.of(Stroke) if one.colour != _WHITE and one.opacity >= 0.4), default=0
    )
    return {
        one.part: one
        for one in symbol.layers
        if not isinstance(one, Label) and not (one.colour == _WHITE and one.order < lowest)
    }


def _what_differs(own: dict[str, DrawnLayer], others: Sequence[dict[str, DrawnLayer]]) -> list[str]:
    """Return the parts by which a class is told from all others of its dimension, the clearest first.

    A class that draws nothing more than another, or looks like another, needs no row.
    """
    if any(own == other for other in others):
        return []
    alone: list[str] = []
    signs: list[str] = []
    differing: list[str] = []
    for part, layer in own.items():
        values = [other.get(part) for other in others]
        if all(value is None for value in values):
            alone.append(part)
        elif all(value != layer for value in values):
            (signs if isinstance(layer, Marker) else differing).append(part)
        elif None in values and not isinstance(layer, Corridor):
            differing.append(part)
    return [*alone, *signs] or differing[:1]


def _components(style_set: StyleSet, symbols: Sequence[Symbol], language: Language) -> list[Entry]:
    if "component" not in style_set.dimensions:
        return []
    found: dict[tuple[str, str], Symbol] = {}
    for symbol in symbols:
        if symbol.of(PointSymbol):
            found.setdefault((symbol.classes["component"], symbol.classes["type"]), symbol)
    several = Counter(component for component, _ in found)
    entries = []
    for (component, kind), symbol in sorted(found.items()):
        title = _name(style_set.dimensions["component"].row(component), language)
        if several[component] > 1:
            title += f" ({_name(style_set.dimensions['type'].row(kind), language).lower()})"
        entries.append(Entry(title, _with(symbol, lambda one: not isinstance(one, Corridor))))
    return entries


# ------------------------------------------------------------------ samples


def draw_sample(ink: Ink, entry: Entry, frame: Frame, scale: float) -> None:
    """Draw the sample of an entry in a frame, as on the map at a scale; a tall symbol is made to fit."""
    symbol = _fitting(entry.symbol, frame.height)
    middle = frame.bottom + frame.height / 2
    view = View(frame, 0.0, 0.0, scale)
    shapes = Shapes()
    form = symbol.classes.get("form", "line")
    if symbol.of(PointSymbol) and not symbol.of(Stroke):
        shapes.points = [np.array([[frame.left + frame.width / 2, middle]])]
    elif symbol.of(Fill) or form.endswith("-area"):
        left, right = frame.left + 1.5, frame.right - 1.5
        low, high = frame.bottom + 0.5, frame.top - 0.5
        shapes.rings = [np.array([[left, low], [right, low], [right, high], [left, high], [left, low]])]
    else:
        shapes.lines = [np.array([[frame.left, middle], [frame.right, middle]])]
    half = sum(one.half_width_m for one in symbol.of(Corridor))
    draw_symbol(ink, view, symbol, half, shapes, frame)


def _fitting(symbol: Symbol, height_mm: float) -> Symbol:
    layers = tuple(
        replace(layer, size_mm=min(layer.size_mm, height_mm)) if isinstance(layer, PointSymbol) else layer
        for layer in symbol.layers
    )
    return replace(symbol, layers=layers)
