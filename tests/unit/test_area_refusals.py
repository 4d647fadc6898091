"""Whoever draws a dig area that is refused is told why in Danish, too."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely

from geoinfra import crs, errors
from geoinfra.errors import GeoinfraError
from geoinfra.utilities import areas, dig_area
from geoinfra.utilities.areas import joined, merge, split, surroundings
from geoinfra.utilities.dig_area import MAX_POLYGONS, MAX_VERTICES
from geoinfra.utilities.enquiry import area_of

E, N = 600_000.0, 6_100_000.0
_KINDS = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
_WITH_DANISH = "area_error"


def polygon(*ring: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [list(ring)]}


def box(x: float, y: float, side: float = 50) -> dict[str, Any]:
    west, south, east, north = E + x, N + y, E + x + side, N + y + side
    return polygon([west, south], [east, south], [east, north], [west, north], [west, south])


def comb(teeth: int) -> shapely.Polygon:
    """An outline that goes forth and back."""
    there = [(E + i, N + (100 if i % 2 else 0)) for i in range(teeth)]
    return shapely.Polygon([*there, (E + teeth, N + 200), (E - 1, N + 200)])


def asked(area: Any, source: str = "EPSG:25832") -> Callable[[], object]:
    return lambda: area_of({"area": area, "crs": source})


BOW = polygon([E, N], [E + 50, N + 50], [E + 50, N], [E, N + 50], [E, N])
CIRCLE = shapely.Point(E, N).buffer(100, quad_segs=MAX_VERTICES // 4 + 1)
REFUSED: dict[str, Callable[[], object]] = {
    "no area": asked(None),
    "a line": asked({"type": "LineString", "coordinates": [[E, N], [E + 1, N]]}),
    "lists in lists": asked([[[[[[]]]]]]),
    "none in a list": asked([]),
    "no ring": asked({"type": "Polygon", "coordinates": []}),
    "no positions": asked(polygon("x")),
    "a number as ring": asked({"type": "Polygon", "coordinates": [1]}),
    "too few positions": asked(polygon([E, N], [E + 1, N], [E, N])),
    "not closed": asked(polygon([E, N], [E + 50, N], [E + 50, N + 50], [E, N + 50])),
    "NaN": asked(polygon([E, N], [math.nan, N], [E + 50, N + 50], [E, N])),
    "many vertices": asked(polygon(*[[E, N]] * (MAX_VERTICES + 1))),
    "many vertices in several": asked([polygon(*[[E, N]] * 6_000)] * 2),
    "many polygons": asked([box(0, 0)] * (MAX_POLYGONS + 1)),
    "self-crossing": asked(BOW),
    "self-crossing among several": asked([box(0, 0), BOW]),
    "apart": asked([box(0, 0), box(90, 0)]),
    "a point in common": asked([box(0, 0), box(50, 50)]),
    "outside Denmark": asked(polygon([0, 0], [9, 0], [9, 9], [0, 0])),
    "outside the CRS": asked(polygon([1e9, 1e9], [2e9, 1e9], [2e9, 2e9], [1e9, 1e9]), "CRS84"),
    "latitude first": asked(polygon([55, 12], [55.1, 12], [55.1, 12.1], [55, 12]), "CRS84"),
    "northing first": asked(polygon([N, E], [N + 50, E], [N + 50, E + 50], [N, E])),
    "no extent": asked(polygon([E, N], [E + 1e-3, N], [E + 1e-3, N + 1e-3], [E, N])),
    "too large": asked(box(-40_000, -40_000, 80_000)),
    "an unknown CRS": asked(box(0, 0), "EPSG:1"),
    "no polygons to merge": lambda: merge([]),
    "an empty polygon": lambda: merge([shapely.Polygon()]),
    "NaN to merge": lambda: merge([shapely.Polygon([(E, N), (E, math.inf), (E + 1, N)])]),
    "many vertices to merge": lambda: merge([CIRCLE]),
    "a broken polygon": lambda: merge([shapely.Polygon([(E, N), (E + 9, N + 9), (E + 9, N), (E, N + 9)])]),
    "many vertices together": lambda: merge(
        [shapely.Point(E + 300 * i, N).buffer(100, quad_segs=MAX_VERTICES // 4 - 1) for i in range(3)]
    ),
    "many crossings": lambda: merge([comb(600), shapely.affinity.rotate(comb(600), 90, (E + 300, N + 100))]),
    "parts that are none": lambda: joined([shapely.box(0, 0, 1, 1), shapely.box(5, 5, 6, 6)]),
    "surroundings too wide": lambda: surroundings(shapely.box(0, 0, 9, 9), 1e6),
    "too small parts": lambda: split(shapely.box(0, 0, 9, 9), 0.1),
    "too many parts": lambda: split(shapely.box(0, 0, 99, 99), 1.0),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refused_area_is_told_in_danish(what: str) -> None:
    with pytest.raises(GeoinfraError) as refused:
        REFUSED[what]()
    danish = refused.value.details["message_da"]
    assert danish.strip().endswith(".")
    assert danish != refused.value.message
    assert not {"the", "is", "polygons", "area", "of"} & set(danish.lower().replace(".", "").split())
    assert "{" not in danish


def refusals(module: Any) -> Iterator[tuple[int, ast.Call]]:
    """Give every error that a module makes."""
    for node in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id in _KINDS or node.func.id == _WITH_DANISH:
            yield node.lineno, node


@pytest.mark.parametrize("module", [dig_area, areas], ids=lambda module: module.__name__)
def test_no_refusal_of_an_area_lacks_its_danish_text(module: Any) -> None:
    found = list(refusals(module))
    assert len(found) > 10
    for line, call in found:
        names = {keyword.arg: keyword.value for keyword in call.keywords}
        given = names.get("details")
        keys = [ast.unparse(key) for key in given.keys if key] if isinstance(given, ast.Dict) else []
        danish = getattr(call.func, "id", "") == _WITH_DANISH and len(call.args) >= 2
        assert danish or "'message_da'" in keys, f"{module.__name__}, line {line}"


def test_the_checks_of_coordinates_have_danish_texts() -> None:
    made = [call for _, call in refusals(crs)]
    names = [[keyword.arg for keyword in call.keywords] for call in made]
    assert all("details" in one for one in names), names
