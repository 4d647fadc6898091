"""The ground under a plan: streets, buildings, parcels and their names, in greys that no utility has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.presentation.plan_ink import Ink, printable, width_mm
from geoinfra.presentation.plan_labels import Wish
from geoinfra.presentation.plan_map import Shapes, View, on_page
from geoinfra.tables import FeatureBatch

__all__ = ["BACKGROUND_LAYERS", "Background"]

BACKGROUND_LAYERS: Final = ("parcels", "streets", "buildings", "addresses", "stream")
"""Datasets that a plan draws, lowest first."""

_STREET, _KERB = "#f1f0ee", "#a9a7a3"
_BUILDING, _WALL = "#e2dfda", "#8d8a86"
_PARCEL = "#9c9a97"
_WATER = "#9dbcd0"
_NAME, _SMALL_NAME = "#57544f", "#7b7874"
_STREET_WIDTH_M: Final = 6.0
_DETAILED_SCALE: Final = 600  # to this scale house numbers and parcel numbers are written
_SURVEY_SCALE: Final = 3000  # to this scale parcels are drawn
_WIDTHS_M: Final = (0.5, 60.0)


@dataclass(slots=True)
class _Layer:
    """Rows of one dataset."""

    geometry: NDArray[np.object_]
    names: list[str]
    widths_m: NDArray[np.float64]
    tree: shapely.STRtree


@dataclass(slots=True)
class Background:
    """Open layers around a dig area.

    Build it with :meth:`of`; an empty one draws nothing.
    """

    layers: dict[str, _Layer] = field(default_factory=dict)

    @classmethod
    def of(cls, layers: Mapping[str, Iterable[FeatureBatch]]) -> Background:
        """Take the rows of datasets named as in :data:`BACKGROUND_LAYERS`; others are left alone."""
        made = {name: _layer(name, list(layers[name])) for name in BACKGROUND_LAYERS if name in layers}
        return cls({name: layer for name, layer in made.items() if layer is not None})

    def draw(self, ink: Ink, view: View) -> None:
        """Draw what lies in the view."""
        for name in BACKGROUND_LAYERS:
            if name in self.layers and not (name == "parcels" and view.scale > _SURVEY_SCALE):
                layer = self.layers[name]
                rows = layer.tree.query(shapely.box(*view.bounds))
                rows.sort()
                shapes = on_page(layer.geometry[rows], view)
                _DRAW[name](ink, view, shapes, layer.widths_m[rows])

    def wishes(self, view: View) -> Iterator[Wish]:
        """Yield the names that should stand on the map."""
        for name in ("streets", "stream", "addresses", "parcels"):
            if name not in self.layers or (name in ("addresses", "parcels") and view.scale > _DETAILED_SCALE):
                continue
            layer = self.layers[name]
            rows = layer.tree.query(shapely.box(*view.bounds))
            rows.sort()
            shapes = on_page(layer.geometry[rows], view)
            for row, one in zip(rows.tolist(), shapes, strict=True):
                text = printable(layer.names[row]) if layer.names[row] else ""
                if text:
                    yield from _WISHES[name](text, one)


_NAME_COLUMNS: Final = {
    "streets": ("name",),
    "stream": ("name",),
    "addresses": ("number", "text"),
    "parcels": ("parcel_number", "matrikelnr", "parcel_id"),
    "buildings": (),
}


def _layer(name: str, batches: Sequence[FeatureBatch]) -> _Layer | None:
    wkb = [one for batch in batches for one in batch.geometry]
    with np.errstate(invalid="ignore"):
        geometry = np.asarray(shapely.from_wkb(np.array(wkb, dtype=object)), dtype=object)
        placed = (np.abs(shapely.bounds(geometry)) < 1e7).all(axis=1)
    if not placed.any():
        return None
    names = [
        str(_first(batch, row, _NAME_COLUMNS[name]) or "") for batch in batches for row in range(len(batch))
    ]
    widths = [_width_m(_first(batch, row, ("width_m",))) for batch in batches for row in range(len(batch))]
    kept = np.flatnonzero(placed)
    geometry = geometry[kept]
    return _Layer(
        geometry, [names[row] for row in kept], np.array(widths, dtype=float)[kept], shapely.STRtree(geometry)
    )


def _first(batch: FeatureBatch, row: int, columns: Sequence[str]) -> Any:
    found = (batch.columns[column][row] for column in columns if column in batch.columns)
    return next((value for value in found if value not in (None, "")), None)


def _width_m(value: Any) -> float:
    usable = isinstance(value, int | float) and _WIDTHS_M[0] <= value <= _WIDTHS_M[1]
    return float(value) if usable else _STREET_WIDTH_M


# ------------------------------------------------------------------ drawing


def _draw_streets(ink: Ink, view: View, shapes: Sequence[Shapes], widths_m: NDArray[np.float64]) -> None:
    """Draw all kerbs first and all carriageways over them, so that crossings are open."""
    widths = np.round(np.maximum(widths_m * view.mm_per_m, 0.5), 1)
    for colour, more in ((_KERB, 0.3), (_STREET, 0.0)):
        for width in np.unique(widths).tolist():
            lines = [line for one, w in zip(shapes, widths, strict=True) if w == width for line in one.lines]
            ink.stroke(lines, colour, round(width + more, 2), cap="round")


def _draw_buildings(ink: Ink, view: View, shapes: Sequence[Shapes], _widths: NDArray[np.float64]) -> None:
    for one in shapes:
        ink.fill(one.rings, _BUILDING)
    ink.stroke(
        [ring for one in shapes for ring in one.rings],
        _WALL,
        0.13 if view.scale <= _SURVEY_SCALE else 0.05,
        closed=True,
    )


def _draw_parcels(ink: Ink, _view: View, shapes: Sequence[Shapes], _widths: NDArray[np.float64]) -> None:
    rings = [path for one in shapes for path in one.rings]
    lines = [path for one in shapes for path in one.lines]
    ink.stroke(rings, _PARCEL, 0.1, dash_mm=(2.4, 0.7, 0.4, 0.7), closed=True)
    ink.stroke(lines, _PARCEL, 0.1, dash_mm=(2.4, 0.7, 0.4, 0.7))


def _draw_stream(ink: Ink, view: View, shapes: Sequence[Shapes], widths_m: NDArray[np.float64]) -> None:
    for one, width in zip(shapes, widths_m.tolist(), strict=True):
        ink.stroke(one.lines, _WATER, round(max(0.3, width * view.mm_per_m), 1), opacity=0.5, cap="round")


def _draw_nothing(_ink: Ink, _view: View, _shapes: Sequence[Shapes], _widths: NDArray[np.float64]) -> None:
    """Addresses are written, not drawn."""


_DRAW: Final = {
    "parcels": _draw_parcels,
    "streets": _draw_streets,
    "buildings": _draw_buildings,
    "addresses": _draw_nothing,
    "stream": _draw_stream,
}


# ------------------------------------------------------------------ names


def _street_names(text: str, shapes: Shapes) -> Iterator[Wish]:
    for line in shapes.lines:
        yield Wish(
            text,
            2.6,
            width_mm(text, 2.6),
            line,
            2.5,
            _NAME,
            on_line=True,
            spacing_mm=90.0,
            same=f"street {text}",
        )


def _house_numbers(text: str, shapes: Shapes) -> Iterator[Wish]:
    for point in shapes.points:
        yield Wish(text, 1.8, width_mm(text, 1.8), point, -1.0, _SMALL_NAME, on_line=True)


def _parcel_numbers(text: str, shapes: Shapes) -> Iterator[Wish]:
    for ring in shapes.rings[:1]:
        area = shapely.make_valid(shapely.Polygon(ring)) if len(ring) > 3 else None
        if area is not None and area.area > 60.0:
            middle = shapely.get_coordinates(shapely.point_on_surface(area))
            yield Wish(text, 1.6, width_mm(text, 1.6), middle, -2.0, _SMALL_NAME, on_line=True)


_WISHES: Final = {
    "streets": _street_names,
    "stream": _street_names,
    "addresses": _house_numbers,
    "parcels": _parcel_numbers,
}
