"""The sprite of a MapLibre style: every mark and point symbol that it draws with, on one sheet."""

from __future__ import annotations

from geoinfra.presentation.maplibre import IMAGE_PX, used_images
from geoinfra.presentation.markers import marker_svg
from geoinfra.presentation.resolve import DrawnLayer, Marker, PointSymbol
from geoinfra.presentation.style_set import StyleSet
from geoinfra.presentation.symbols import Picture, Sprite, load_symbols, sprite_sheet

__all__ = ["style_sprite"]


def style_sprite(style_set: StyleSet, *, theme: str | None = None, pixel_ratio: int = 1) -> Sprite:
    """Draw the images of a style set in one palette; equal arguments give equal bytes.

    Parameters
    ----------
    pixel_ratio
        Picture pixels for each pixel of the map.

    Raises
    ------
    MissingResource
        resvg or Pillow is not installed.
    """
    pictures = {name: _picture(layer) for name, layer in used_images(style_set, theme).items()}
    return sprite_sheet(pictures, pixel_ratio=pixel_ratio, size_px=IMAGE_PX)


def _picture(layer: DrawnLayer) -> Picture:
    """Return an image that is drawn once for all its colours."""
    if isinstance(layer, Marker):
        return Picture("-0.5 -0.5 1 1", marker_svg(layer.marker, _BLACK), layer.colour)
    if isinstance(layer, PointSymbol):
        return Picture("0 0 24 24", load_symbols().drawing(layer.symbol).elements(_BLACK), layer.colour)
    raise TypeError(f"{type(layer).__name__} has no image")


_BLACK = "#000000"
