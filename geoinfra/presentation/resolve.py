"""The resolver: ``(style set, attributes, scale) -> symbol``, for one feature or a whole batch.

A :class:`Symbol` is what is drawn of a feature, bottom to top, with every value decided: a renderer needs no
further rule. Lengths on paper are millimetres, on the screen pixels, on the ground metres.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geoinfra.errors import InvalidInput
from geoinfra.presentation.attributes import column_of, told_apart
from geoinfra.presentation.style_set import SCALE, Part, StyleSet
from geoinfra.tables import FeatureBatch

__all__ = [
    "Corridor",
    "DrawnLayer",
    "Fill",
    "Label",
    "Marker",
    "PointSymbol",
    "ResolvedBatch",
    "Stroke",
    "Symbol",
    "part_layer",
    "resolve",
    "resolve_batch",
    "symbol_of_classes",
]


@dataclass(frozen=True, slots=True)
class Corridor:
    """A translucent band on the ground in which the feature may lie; around a point it is a disc.

    Attributes
    ----------
    half_width_m
        From the axis to the edge. In a symbol of a batch it is without the half width of the feature.
    """

    part: str
    order: int
    colour: str
    opacity: float
    half_width_m: float


@dataclass(frozen=True, slots=True)
class Fill:
    """The inside of an area; `pattern` is empty for a plain colour, else ``hatch``, ``cross`` or ``dots``."""

    part: str
    order: int
    colour: str
    opacity: float
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line along the feature, or along the edge of an area.

    Attributes
    ----------
    dash_mm, dash_px
        Lengths of dashes and gaps in turn; empty for a solid line.
    cap
        ``butt`` or ``round``; joins are round.
    """

    part: str
    order: int
    colour: str
    opacity: float
    width_mm: float
    width_px: float
    dash_mm: tuple[float, ...] = ()
    dash_px: tuple[float, ...] = ()
    cap: str = "butt"


@dataclass(frozen=True, slots=True)
class Marker:
    """A mark repeated along the feature, turned with it.

    Attributes
    ----------
    marker
        ``triangle`` (apex along the line), ``triangle-open``, ``bar-1`` to ``bar-3`` (across the line),
        ``cross``, ``arrow``, ``arrow-back``, ``circle``, ``circle-open`` or ``text``.
    first_mm
        Distance of the first mark from the start of the line.
    text
        What ``text`` writes.
    """

    part: str
    order: int
    colour: str
    opacity: float
    marker: str
    size_mm: float
    size_px: float
    spacing_mm: float
    spacing_px: float
    first_mm: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True)
class PointSymbol:
    """A symbol at a point, never turned: the SVG of `symbol`, or the plain shape ``circle``."""

    part: str
    order: int
    colour: str
    opacity: float
    symbol: str
    size_mm: float
    size_px: float


@dataclass(frozen=True, slots=True)
class Label:
    """A text; `template` is a key of ``labels.json``. A greater `priority` is placed first."""

    part: str
    order: int
    colour: str
    opacity: float
    template: str
    size_mm: float
    size_px: float
    halo_colour: str
    halo_mm: float
    halo_px: float
    spacing_mm: float
    spacing_px: float
    priority: int = 0


type DrawnLayer = Corridor | Fill | Stroke | Marker | PointSymbol | Label


@dataclass(frozen=True, slots=True)
class Symbol:
    """What is drawn of a feature at a scale.

    Attributes
    ----------
    rule_set
        Classes that decided, ``type=gas form=line ...``.
    classes
        Dimension -> class, the scale band among them.
    layers
        Bottom to top.
    """

    rule_set: str
    classes: Mapping[str, str]
    layers: tuple[DrawnLayer, ...]

    def of[L: DrawnLayer](self, kind: type[L]) -> tuple[L, ...]:
        """Return the layers of one kind, bottom to top."""
        return tuple(layer for layer in self.layers if isinstance(layer, kind))


@dataclass(frozen=True, slots=True)
class ResolvedBatch:
    """The symbols of a batch.

    Attributes
    ----------
    symbols
        Each differs from the others.
    index
        Row -> position in `symbols`.
    half_width_m
        Row -> half width of the corridor with that of the feature itself; 0 without a corridor.
    """

    symbols: tuple[Symbol, ...]
    index: NDArray[np.int32]
    half_width_m: NDArray[np.float64]

    def symbol(self, row: int) -> Symbol:
        """Return the symbol of a row, its corridor with the width of the feature."""
        return _widened(self.symbols[self.index[row]], float(self.half_width_m[row]))


def resolve(
    style_set: StyleSet,
    attributes: Mapping[str, Any],
    scale_denominator: float,
    theme: str | None = None,
) -> Symbol:
    """Return what is drawn of one feature.

    Parameters
    ----------
    attributes
        As :mod:`geoinfra.presentation.attributes` lists them; what is absent counts as ``None``.
    scale_denominator
        500 for 1:500.
    theme
        Palette, the default one when not given.

    Raises
    ------
    InvalidInput
        The scale lies in no band, the theme is unknown, or the tables have no single answer.
    """
    classes = style_set.classes(attributes)
    symbol = symbol_of_classes(style_set, classes, scale_denominator, theme)
    own_m = _half_m(attributes.get("width_mm", attributes.get("diameter_mm")))
    corridors = symbol.of(Corridor)
    return _widened(symbol, corridors[0].half_width_m + own_m) if corridors else symbol


def symbol_of_classes(
    style_set: StyleSet, classes: Mapping[str, str], scale_denominator: float, theme: str | None = None
) -> Symbol:
    """Return what is drawn of a combination of classes; what was asked before is given again."""
    band = style_set.band(scale_denominator).key
    chosen = style_set.theme(theme)
    key = (chosen, band, *classes.values())
    found = style_set.cache.get(key)
    if found is None:
        if len(style_set.cache) >= _CACHED_SYMBOLS:
            style_set.cache.clear()
        found = style_set.cache[key] = _make(style_set, {**classes, SCALE: band}, chosen)
    return found


def resolve_batch(
    style_set: StyleSet, batch: FeatureBatch, scale_denominator: float, theme: str | None = None
) -> ResolvedBatch:
    """Return what is drawn of each row of a batch of ``utility-features``."""
    codes = _Codes()
    rows = zip(*told_apart(batch, style_set.tested), strict=True)
    index = np.fromiter(map(codes.__getitem__, rows), np.int32, len(batch))
    symbols: dict[int, int] = {}
    distinct: list[Symbol] = []
    places = np.empty(len(codes), np.int32)
    symbol_of = _symbols_of_rows(style_set, scale_denominator, theme)
    for row, code in codes.items():
        symbol = symbol_of(row)
        if id(symbol) not in symbols:
            symbols[id(symbol)] = len(distinct)
            distinct.append(symbol)
        places[code] = symbols[id(symbol)]
    index = places[index] if len(codes) else index
    return ResolvedBatch(tuple(distinct), index, _half_widths(batch, distinct, index))


def _symbols_of_rows(
    style_set: StyleSet, scale_denominator: float, theme: str | None
) -> Callable[[tuple[Any, ...]], Symbol]:
    """Return what gives the symbol of a row of the tested attributes, remembered from batch to batch."""
    key = ("rows", style_set.theme(theme), style_set.band(scale_denominator).key)
    known: dict[tuple[Any, ...], Symbol] = style_set.cache.setdefault(key, {})
    classify = style_set.classifier(tuple(style_set.tested))

    def symbol_of(row: tuple[Any, ...]) -> Symbol:
        found = known.get(row)
        if found is None:
            if len(known) >= _CACHED_SYMBOLS:
                known.clear()
            classes = classify(row)
            found = known[row] = symbol_of_classes(style_set, classes, scale_denominator, theme)
        return found

    return symbol_of


_CACHED_SYMBOLS: Final = 50_000


class _Codes(dict[tuple[Any, ...], int]):
    """Numbers the rows that differ, in the order in which they come."""

    def __missing__(self, row: tuple[Any, ...]) -> int:
        self[row] = code = len(self)
        return code


def _half_widths(
    batch: FeatureBatch, symbols: Sequence[Symbol], index: NDArray[np.int32]
) -> NDArray[np.float64]:
    bases = np.array([sum(c.half_width_m for c in symbol.of(Corridor)) for symbol in symbols] or [0.0])
    half_m = bases[index] if len(index) else np.zeros(0)
    widths = np.array(column_of(batch, "width_mm"), np.float64)  # None becomes NaN
    own_m = np.where((widths > 0) & (widths <= _MAX_WIDTH_MM), widths, 0.0) / 2000
    return np.where(half_m > 0, half_m + own_m, 0.0)


_MAX_WIDTH_MM: Final = 50_000.0


def _half_m(width_mm: Any) -> float:
    plain = isinstance(width_mm, int | float) and 0 < width_mm <= _MAX_WIDTH_MM
    return width_mm / 2000 if plain else 0.0


def _widened(symbol: Symbol, half_width_m: float) -> Symbol:
    if not symbol.of(Corridor):
        return symbol
    layers = tuple(
        replace(layer, half_width_m=half_width_m) if isinstance(layer, Corridor) else layer
        for layer in symbol.layers
    )
    return replace(symbol, layers=layers)


def _make(style_set: StyleSet, classes: Mapping[str, str], theme: str) -> Symbol:
    drawn = (_known_layer(style_set, part, classes, theme) for part in style_set.parts)
    layers = tuple(layer for layer in drawn if layer is not None)
    return Symbol(" ".join(f"{name}={key}" for name, key in classes.items()), classes, layers)


def _known_layer(
    style_set: StyleSet, part: Part, classes: Mapping[str, str], theme: str
) -> DrawnLayer | None:
    """Return what a part draws; the answer for the classes on which it depends is remembered."""
    key = (part.key, theme, *(classes[name] for name in part.dimensions))
    if key not in style_set.cache:
        style_set.cache[key] = part_layer(style_set, part, classes, theme)
    return style_set.cache[key]  # type: ignore[no-any-return]  # the cache holds several kinds


def part_layer(style_set: StyleSet, part: Part, classes: Mapping[str, str], theme: str) -> DrawnLayer | None:
    """Return what a part draws of a combination of classes, ``None`` where it draws nothing.

    `classes` holds the dimensions on which the part depends.
    """
    values = part.at(classes, theme)
    if values is None:
        return None
    try:
        return _LAYERS[part.draw](_Properties(part, values, style_set.pixel_mm))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"The part '{part.key}' of {style_set.name} does not say how it is drawn.",
            details={"classes": dict(classes), "found": f"{type(error).__name__}: {error}"[:200]},
        ) from error


class _Properties:
    """Values of a part with their units."""

    def __init__(self, part: Part, values: Mapping[str, Any], pixel_mm: float) -> None:
        self._values = values
        self._pixel_mm = pixel_mm
        self.common: tuple[str, int, str, float] = (
            part.key,
            part.order,
            str(values["colour"]),
            float(values.get("opacity", 1.0)),
        )

    def text(self, name: str, default: str = "") -> str:
        return str(self._values.get(name, default))

    def number(self, name: str) -> float:
        return float(self._values[name])

    def length(self, name: str, default: float | None = None) -> tuple[float, float]:
        """Return a length in millimetres and in pixels."""
        if f"{name}_mm" in self._values:
            length_mm = float(self._values[f"{name}_mm"])
            return round(length_mm, 4), round(length_mm / self._pixel_mm, 4)
        if f"{name}_px" in self._values:
            length_px = float(self._values[f"{name}_px"])
            return round(length_px * self._pixel_mm, 4), round(length_px, 4)
        if default is None:
            raise KeyError(f"{name}_mm")
        return default, round(default / self._pixel_mm, 4)

    def dash(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the dash in millimetres and in pixels."""
        for unit, size in (("mm", self._pixel_mm), ("px", 1.0)):
            if f"dash_{unit}" in self._values:
                own = tuple(float(length) for length in self._values[f"dash_{unit}"])
                if len(own) % 2 or any(length <= 0 for length in own):
                    raise ValueError("a dash is pairs of lengths above 0")
                in_mm = own if unit == "mm" else tuple(round(length * size, 4) for length in own)
                in_px = tuple(round(length / self._pixel_mm, 4) for length in own) if unit == "mm" else own
                return in_mm, in_px
        return (), ()


def _corridor(given: _Properties) -> DrawnLayer:
    return Corridor(*given.common, given.number("half_width_m"))


def _fill(given: _Properties) -> DrawnLayer:
    return Fill(*given.common, given.text("pattern"))


def _stroke(given: _Properties) -> DrawnLayer:
    return Stroke(*given.common, *given.length("width"), *given.dash(), given.text("cap", "butt"))


def _marker(given: _Properties) -> DrawnLayer:
    size, spacing = given.length("size"), given.length("spacing")
    first_mm = given.length("first", spacing[0] / 2)[0]
    return Marker(*given.common, given.text("marker"), *size, *spacing, first_mm, given.text("text"))


def _point(given: _Properties) -> DrawnLayer:
    return PointSymbol(*given.common, given.text("symbol"), *given.length("size"))


def _label(given: _Properties) -> DrawnLayer:
    return Label(
        *given.common,
        given.text("template"),
        *given.length("size"),
        given.text("halo_colour", "#ffffff"),
        *given.length("halo", 0.0),
        *given.length("spacing", 60.0),
        int(given.number("priority")),
    )


_LAYERS: Final[Mapping[str, Callable[[_Properties], DrawnLayer]]] = {
    "corridor": _corridor,
    "fill": _fill,
    "stroke": _stroke,
    "marker": _marker,
    "point": _point,
    "label": _label,
}
