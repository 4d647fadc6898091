"""Maps as images: open layers and utilities in any CRS that is served, drawn by the same rules as paper.

Utilities are drawn by :mod:`~geoinfra.presentation.plan_map`, open layers by
:mod:`~geoinfra.presentation.map_ground`; both on :class:`~geoinfra.presentation.svg_ink.SvgInk`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite, log2
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra import crs
from geoinfra.presentation.attributes import column_of, feature_attributes
from geoinfra.presentation.labels import label_attributes, label_text
from geoinfra.presentation.map_ground import NAME_LEVEL, UTILITY_LEVEL, GroundLayer
from geoinfra.presentation.plan_ink import printable, width_mm
from geoinfra.presentation.plan_labels import Placed, Wish, crowd, place
from geoinfra.presentation.plan_map import Features, Shapes, View, on_page, paint
from geoinfra.presentation.plan_sheets import Frame
from geoinfra.presentation.resolve import Label
from geoinfra.presentation.style_set import StyleSet
from geoinfra.presentation.svg_ink import SvgInk
from geoinfra.tables import FeatureBatch

__all__ = ["ImageFrame", "MapLayer", "Style", "draw_map", "is_drawn_at"]

type Bounds = tuple[float, float, float, float]

_STORAGE: Final = f"EPSG:{crs.STORAGE_EPSG}"
_WEB_CELL_M: Final = 156543.03392804097 * 0.5591929034707469  # of the map page at zoom 0, 56 degrees north
_BEYOND_PX: Final = 24
_HALO_MM: Final = 0.35
_LARGEST_M: Final = 1e7


@dataclass(frozen=True)
class ImageFrame:
    """What an image shows.

    Attributes
    ----------
    crs_name
        As :func:`geoinfra.crs.parse_crs` gives it.
    bounds
        West, south, east, north in that CRS, at the edges of the image.
    """

    crs_name: str
    bounds: Bounds
    width_px: int
    height_px: int

    @cached_property
    def storage_bounds(self) -> Bounds:
        """Bounds in EPSG:25832 of what can be seen, and a little more for what reaches in."""
        west, south, east, north = self.bounds
        more_x = (east - west) / self.width_px * _BEYOND_PX
        more_y = (north - south) / self.height_px * _BEYOND_PX
        box = (west - more_x, south - more_y, east + more_x, north + more_y)
        if self.crs_name == _STORAGE:
            return box
        moved = crs.transformer(self.crs_name, _STORAGE).transform_bounds(*box)
        if not all(map(isfinite, moved)):
            return -_LARGEST_M, -_LARGEST_M, _LARGEST_M, _LARGEST_M
        return moved[0], moved[1], moved[2], moved[3]

    @cached_property
    def pixel_m(self) -> float:
        """Side of a pixel on the ground, in the middle of the image; the mean of width and height."""
        west, south, east, north = self.bounds
        x, y = (west + east) / 2, (south + north) / 2
        step_x, step_y = (east - west) / self.width_px, (north - south) / self.height_px
        xs, ys = np.array([x, x + step_x, x]), np.array([y, y, y + step_y])
        ground_x, ground_y = crs.transform_xy(xs, ys, self.crs_name, _STORAGE)
        sides = np.hypot(ground_x[1:] - ground_x[0], ground_y[1:] - ground_y[0])
        mean = float(np.sqrt(sides.prod()))
        return mean if isfinite(mean) and mean > 0 else _LARGEST_M

    @property
    def zoom(self) -> float:
        """Zoom of the map page at this scale."""
        return log2(_WEB_CELL_M / self.pixel_m)

    def placed(self, geometries: NDArray[np.object_]) -> NDArray[np.object_]:
        """Return geometries in metres of the image from its lower left corner; what lies far off is cut."""
        near = np.asarray(shapely.clip_by_rect(geometries, *self.storage_bounds), dtype=object)
        west, south, east, north = self.bounds
        scale_x = self.width_px / (east - west) * self.pixel_m
        scale_y = self.height_px / (north - south) * self.pixel_m

        def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            x, y = crs.transform_xy(xy[:, 0], xy[:, 1], _STORAGE, self.crs_name)
            return np.column_stack([(x - west) * scale_x, (y - south) * scale_y])

        moved: NDArray[np.object_] = shapely.transform(near, move)
        return moved


@dataclass(frozen=True, slots=True)
class MapLayer:
    """What is drawn of one collection.

    Attributes
    ----------
    batches
        Its rows in the frame.
    utilities
        Whether they are drawn by the style set.
    picture
        PNG of the size of the image, for a raster.
    """

    collection: str
    batches: Sequence[FeatureBatch] = ()
    utilities: bool = False
    picture: bytes = b""


@dataclass(frozen=True, slots=True)
class Style:
    """By which rules utilities are drawn, and in which language things are named."""

    style_set: StyleSet
    theme: str | None = None
    language: str = "da"


@dataclass(frozen=True)
class _Page(View):
    """A view of geometries that are cut already: a second cut could fill what is open."""

    def clipped(
        self,
        shapes: NDArray[np.object_],
        beyond_mm: float = 0.0,  # noqa: ARG002  # the view's signature
    ) -> NDArray[np.object_]:
        """Return the geometries as they are."""
        return shapes


@dataclass(slots=True)
class _Drawing:
    """What has been gathered of all layers."""

    steps: list[tuple[float, Any]] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    lines: list[Any] = field(default_factory=list)


def draw_map(frame: ImageFrame, layers: Sequence[MapLayer], style: Style, background: str | None) -> str:
    """Return the SVG of a map; ``None`` as background leaves it transparent.

    Names stand where they are read best, none over another.
    """
    pixel_mm = style.style_set.pixel_mm
    ink = SvgInk(frame.width_px, frame.height_px, pixel_mm)
    page = _Page(
        Frame(0.0, 0.0, frame.width_px * pixel_mm, frame.height_px * pixel_mm),
        0.0,
        0.0,
        frame.pixel_m * 1000 / pixel_mm,
    )
    if background is not None:
        ink.background(background)
    drawing = _Drawing()
    for layer in layers:
        if layer.picture:
            ink.picture(layer.picture)
        elif layer.utilities:
            _gather_utilities(drawing, frame, page, layer.batches, style)
        elif layer.batches:
            _gather_ground(drawing, frame, page, layer, pixel_mm)
    for _level, draw in sorted(drawing.steps, key=lambda step: step[0]):
        draw(ink)
    for label in place(drawing.wishes, page.frame, lines=drawing.lines):
        _write(ink, label)
    return ink.svg()


def is_drawn_at(style_set: StyleSet, scale_denominator: float) -> bool:
    """Whether utilities are drawn at a scale."""
    return any(band.start <= scale_denominator < band.below for band in style_set.scales)


def _gather_ground(
    drawing: _Drawing, frame: ImageFrame, page: View, layer: MapLayer, pixel_mm: float
) -> None:
    wkb = np.array([one for batch in layer.batches for one in batch.geometry], dtype=object)
    shapes = on_page(frame.placed(np.asarray(shapely.from_wkb(wkb), dtype=object)), page)
    names = layer.batches[0].columns
    columns = {name: [v for batch in layer.batches for v in batch.columns[name]] for name in names}
    ground = GroundLayer(layer.collection, shapes, columns, frame.zoom, pixel_mm, page.mm_per_m)
    drawing.steps += ground.drawings()
    drawing.wishes += ground.wishes()


def _gather_utilities(
    drawing: _Drawing, frame: ImageFrame, page: View, batches: Sequence[FeatureBatch], style: Style
) -> None:
    if not batches or not is_drawn_at(style.style_set, page.scale):
        return
    features = Features(batches, style.style_set, page.scale, style.theme)
    shapes = on_page(frame.placed(features.geometry), page)
    rows = [row for row, one in enumerate(shapes) if not one.empty]
    drawn = [(features.symbol_of(row), float(features.half_width_m[row]), shapes[row]) for row in rows]
    drawing.steps.append((UTILITY_LEVEL, lambda ink: paint(ink, page, drawn)))
    drawing.wishes += _utility_wishes(features, rows, shapes, style)
    drawing.lines += [line for row in rows for line in shapes[row].lines]


def _utility_wishes(
    features: Features, rows: Sequence[int], shapes: Sequence[Shapes], style: Style
) -> Iterator[Wish]:
    """Yield the labels that the style set wants; where many stand close, those that matter most."""
    wanted = [
        (layer, row, path)
        for row in rows
        for layer in features.symbol_of(row).of(Label)
        if (path := _label_path(shapes[row])) is not None
    ]
    wanted.sort(key=lambda one: -one[0].priority)
    few = crowd()
    for layer, row, path in wanted:
        if not few(path):
            continue
        batch, position = features.place(row)
        values = feature_attributes(batch, position, label_attributes(style.style_set, layer.template))
        text = printable(label_text(style.style_set, layer.template, values, style.language))
        if text:
            yield Wish(
                text,
                layer.size_mm,
                width_mm(text, layer.size_mm),
                path,
                NAME_LEVEL + layer.priority,
                layer.colour,
                opacity=layer.opacity,
                away_mm=0.4 if len(path) > 1 else 2.4,
                spacing_mm=layer.spacing_mm,
                same=f"{column_of(batch, 'owner_cvr')[position]} {text}",
            )


def _label_path(shapes: Shapes) -> NDArray[np.float64] | None:
    if shapes.lines:
        return max(shapes.lines, key=len)
    found = shapes.points or shapes.rings
    return found[0] if found else None


def _write(ink: SvgInk, label: Placed) -> None:
    wish = label.wish
    ink.text(
        label.x,
        label.y,
        wish.text,
        wish.size_mm,
        bold=wish.bold,
        colour=wish.colour,
        opacity=wish.opacity,
        turn_deg=label.turn_deg,
        halo_mm=_HALO_MM,
    )
