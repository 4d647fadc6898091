"""What lies on the paper of a plan, read back from the PDF, against the resolver."""

from __future__ import annotations

import io
import math
from collections import Counter
from datetime import date
from typing import Any

import pytest
import shapely
from drawing_sheet import HEIGHT, OWNER, WIDTH, E, N, attributes_of, two_hundred

from geoinfra.presentation.labels import label_text
from geoinfra.presentation.plan import PlanOptions, write_plan
from geoinfra.presentation.resolve import Fill, Label, Marker, PointSymbol, Stroke, Symbol, resolve
from geoinfra.presentation.style_set import load_style_set
from geoinfra.utilities.formats.package import EnquiryInfo, PackageOwner

pdfplumber = pytest.importorskip("pdfplumber")
SCALE = 200
POINTS_PER_MM = 72 / 25.4


@pytest.fixture(scope="module")
def features() -> list[dict[str, Any]]:
    return attributes_of(load_style_set(), two_hundred())


@pytest.fixture(scope="module")
def symbols(features: list[dict[str, Any]]) -> list[Symbol]:
    return [resolve(load_style_set(), values, SCALE) for values in features]


@pytest.fixture(scope="module")
def page() -> Any:
    """The one map sheet of a plan of the two hundred features."""
    area = shapely.box(E, N, E + WIDTH, N + HEIGHT)
    enquiry = EnquiryInfo("2026-000017", shapely.to_wkb(area), date(2026, 12, 1), date(2099, 12, 20))
    owners = [PackageOwner(cvr=OWNER, name="Byens Ledninger", status="Ledningsoplysninger udleveret")]
    target, options = io.BytesIO(), PlanOptions(scale=SCALE, paper="A3", margin_m=1)
    write_plan(target, enquiry, owners, [two_hundred()], None, options)
    with pdfplumber.open(io.BytesIO(target.getvalue())) as document:
        yield document.pages[-1]


def hex_of(colour: Any) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in colour)


def lines_on(page: Any) -> Counter[tuple[str, float, tuple[float, ...]]]:
    """Count lines by colour, width in millimetres and dash in millimetres."""
    found: Counter[tuple[str, float, tuple[float, ...]]] = Counter()
    for one in (*page.curves, *page.lines, *page.rects):
        if one["stroke"] and one["stroking_color"] and len(one["stroking_color"]) == 3:
            width_mm = round(one["linewidth"] / POINTS_PER_MM, 2)
            dash = tuple(round(length, 2) for length in (one["dash"] or ([],))[0])
            found[hex_of(one["stroking_color"]), width_mm, dash] += 1
    return found


def test_every_stroke_is_on_the_paper_in_its_colour_width_and_dash(
    page: Any, features: list[dict[str, Any]], symbols: list[Symbol]
) -> None:
    asked: Counter[tuple[str, float, tuple[float, ...]]] = Counter()
    for values, symbol in zip(features, symbols, strict=True):
        for layer in symbol.of(Stroke) if values["geometry"] != "point" else ():
            dash = tuple(round(length, 2) for length in layer.dash_mm)
            asked[layer.colour, round(layer.width_mm, 2), dash] += 1
    assert len(asked) > 40
    found = lines_on(page)
    assert {key: (number, found[key]) for key, number in asked.items() if found[key] < number} == {}


def fills_on(page: Any) -> Counter[str]:
    """Count filled shapes by colour."""
    shapes = [one for one in (*page.curves, *page.lines, *page.rects) if one["fill"]]
    inks = [one["non_stroking_color"] for one in shapes]
    return Counter(hex_of(ink) for ink in inks if ink and len(ink) == 3)


LINE_MM = 4.8 * 1000 / SCALE
"""Length of every line of the sheet on the paper."""


def marks_along(layer: Marker, length_mm: float) -> int:
    """Return how many marks a line has: the first, and one each spacing from there."""
    if length_mm <= layer.first_mm:
        return 1
    return math.ceil((length_mm - layer.first_mm) / layer.spacing_mm)


def test_marks_stand_along_lines_as_often_as_the_resolver_says(
    page: Any, features: list[dict[str, Any]], symbols: list[Symbol]
) -> None:
    filled: Counter[str] = Counter()
    letters: Counter[str] = Counter()
    for values, symbol in zip(features, symbols, strict=True):
        for layer in symbol.of(Marker) if values["kind"] == "line" else ():
            number = marks_along(layer, LINE_MM)
            if layer.marker == "text":
                letters[layer.text] += number
            elif layer.marker == "triangle":
                filled[layer.colour] += number
    assert min(filled.values()) > 40
    assert len(letters) == 10
    fills = fills_on(page)
    assert all(number <= fills[colour] <= number + 20 for colour, number in filled.items()), (filled, fills)
    words = Counter(page.extract_text().split())
    words["E"] -= words["650000"] + sum(words[f"6500{tens}0"] for tens in range(1, 7))  # of the cross grid
    more = {letter: words[letter] - number for letter, number in letters.items()}
    assert all(0 <= number <= 3 for number in more.values()), more  # the legend has them too


def test_areas_are_filled_and_points_have_their_symbol_in_the_colour_of_the_resolver(
    page: Any, features: list[dict[str, Any]], symbols: list[Symbol]
) -> None:
    fills, lines = fills_on(page), lines_on(page)
    inks = set(fills) | {colour for colour, _, _ in lines}
    areas = [
        layer
        for v, s in zip(features, symbols, strict=True)
        if v["geometry"] == "area"
        for layer in s.of(Fill)
    ]
    points = [
        layer
        for v, s in zip(features, symbols, strict=True)
        if v["geometry"] == "point"
        for layer in s.of(PointSymbol)
    ]
    assert len(areas) == 4
    assert all(fills[colour] >= number for colour, number in Counter(a.colour for a in areas).items())
    assert len({layer.symbol for layer in points}) > 8
    assert {layer.colour for layer in points} <= inks


def test_labels_on_the_paper_are_those_of_the_label_table_and_no_others(
    page: Any, features: list[dict[str, Any]], symbols: list[Symbol]
) -> None:
    style_set = load_style_set()
    asked = {
        label_text(style_set, layer.template, values)
        for values, symbol in zip(features, symbols, strict=True)
        for layer in symbol.of(Label)
    } - {""}
    assert len(asked) > 15
    text = " ".join(page.extract_text().split())
    missing = {one for one in asked if one not in text}
    assert len(missing) <= len(asked) // 2, "some give way to others"
    words = {word for one in asked for word in one.split()}
    assert {word for word in text.split() if word.startswith("Ø")} - {"Øre"} <= words
    assert "Ø31.4" not in text
