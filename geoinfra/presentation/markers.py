"""The marks along a line as shapes in a unit box: x along the line, y across it, the middle at the origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Final

from geoinfra.errors import NotFound

__all__ = ["MARKERS", "Shape", "marker_shapes", "marker_svg"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A polygon, a line or a circle.

    Attributes
    ----------
    points
        In units of the mark's size; the centre of a circle.
    width
        Of the stroke; 0 where the inside is filled.
    radius
        Of a circle, else 0.
    ink
        Painted in the colour of the mark, else white.
    """

    points: tuple[tuple[float, float], ...]
    width: float = 0.0
    closed: bool = True
    radius: float = 0.0
    ink: bool = True


_TRIANGLE: Final = ((-0.4, -0.42), (0.5, 0.0), (-0.4, 0.42))
_HEAD: Final = ((-0.05, -0.42), (0.5, 0.0), (-0.05, 0.42))
_TAIL: Final = Shape(((-0.5, 0.0), (0.1, 0.0)), 0.12, closed=False)


def _bars(count: int) -> tuple[Shape, ...]:
    gap = 0.28
    places = [(at - (count - 1) / 2) * gap for at in range(count)]
    half = 0.055  # filled: Qt draws no stroke without breadth in an SVG
    return tuple(
        Shape(((x - half, -0.5), (x + half, -0.5), (x + half, 0.5), (x - half, 0.5))) for x in places
    )


MARKERS: Final[Mapping[str, tuple[Shape, ...]]] = {
    "triangle": (Shape(_TRIANGLE),),
    "triangle-open": (Shape(_TRIANGLE, ink=False), Shape(_TRIANGLE, 0.12)),
    "bar-1": _bars(1),
    "bar-2": _bars(2),
    "bar-3": _bars(3),
    "cross": (
        Shape(((-0.4, -0.4), (0.4, 0.4)), 0.16, closed=False),
        Shape(((-0.4, 0.4), (0.4, -0.4)), 0.16, closed=False),
    ),
    "arrow": (_TAIL, Shape(_HEAD)),
    "arrow-back": (
        Shape(((0.5, 0.0), (-0.1, 0.0)), 0.12, closed=False),
        Shape(tuple((-x, y) for x, y in _HEAD)),
    ),
    "circle": (Shape(((0.0, 0.0),), radius=0.45),),
    "circle-open": (Shape(((0.0, 0.0),), radius=0.4, ink=False), Shape(((0.0, 0.0),), 0.14, radius=0.4)),
}
"""Name -> shapes, bottom to top."""


def marker_shapes(marker: str) -> tuple[Shape, ...]:
    """Return the shapes of a mark, or raise ``NotFound``."""
    found = MARKERS.get(marker)
    if found is None:
        raise NotFound(f"There is no mark '{marker[:40]}'.")
    return found


def marker_svg(marker: str, colour: str, text: str = "") -> str:
    """Return the elements of an SVG of a mark in the box from -0.5 to 0.5, y downwards."""
    if marker == "text":
        return (
            f'<text x="0" y="0.36" font-size="1" font-weight="bold" text-anchor="middle" '
            f'font-family="sans-serif" fill="{colour}" stroke="#ffffff" stroke-width="0.28" '
            f'paint-order="stroke">{escape(text)}</text>'
        )
    return "".join(_element(shape, colour if shape.ink else "#ffffff") for shape in marker_shapes(marker))


def _element(shape: Shape, colour: str) -> str:
    if shape.width:
        paint = f'fill="none" stroke="{colour}" stroke-width="{shape.width:g}" stroke-linejoin="round"'
    else:
        paint = f'fill="{colour}"'
    if shape.radius:
        x, y = shape.points[0]
        return f'<circle cx="{x:g}" cy="{y:g}" r="{shape.radius:g}" {paint}/>'
    points = " ".join(f"{x:g},{y:g}" for x, y in shape.points)
    return f'<{"polygon" if shape.closed else "polyline"} points="{points}" {paint}/>'
