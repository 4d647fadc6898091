"""Two hundred utility features that every drawing is compared on, and what the resolver says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import shapely

from geoinfra.presentation.attributes import column_of
from geoinfra.presentation.labels import label_text
from geoinfra.presentation.resolve import Fill, Label, Marker, PointSymbol, resolve
from geoinfra.presentation.style_set import StyleSet
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.model import FeatureRows

OWNER: Final = "12345678"
E, N, WIDTH, HEIGHT = 650_000.0, 6_070_000.0, 60.0, 36.0
"""Lower left corner of the sheet and its size in metres."""

ROW_M, TOP_M = 1.75, 1.2
"""Distance of the lines of a column, and of the first from the upper edge."""

LINES: Final = (
    "Elledning",
    "Gasledning",
    "TermiskLedning",
    "Vandledning",
    "Afloebsledning",
    "Telekommunikationsledning",
    "Olieledning",
    "Foeringsroer",
    "AndenLedning",
    "LedningUkendtForsyningsart",
)
COMPONENTS: Final = (
    "Elkomponent",
    "Vandkomponent",
    "Afloebskomponent",
    "Gaskomponent",
    "Telekommunikationskomponent",
)
STATUSES: Final = ("i drift", "under etablering", "permanent ude af drift", None)
HAZARDS: Final = ("ikke farlig", "farlig", "meget farlig", None)
ACCURACIES: Final = ("<= 0.25 m", "<= 0.50 m", "<= 1.00 m", "<= 2.00 m", "> 2.00 m", None)
METHODS: Final = ("nøjagtigt", None, "forskudt", "skematisk")
LETTER: Final = 1.4
"""Size of a font whose capitals are as high as asked."""


def two_hundred() -> FeatureBatch:
    """Ten columns of lines, one a supply, eighteen states down; twenty components of all forms below."""
    rows = FeatureRows(OWNER)
    for number in range(180):
        column, turn = number % 10, number // 10
        heights = np.array([3.0, 2.0]) if turn % 3 == 0 else None
        x, y = E + 0.7 + 6 * column, N + HEIGHT - TOP_M - ROW_M * turn
        course = shapely.LineString([(x, y), (x + 4.8, y - 0.2)])
        rows.add(LINES[column], f"l{number}", _line(LINES[column], turn), course, heights)
    for number in range(20):
        place = shapely.Point(E + 1.5 + 3 * number, N + 1.6)
        turn = number // 5
        along = shapely.LineString([(place.x - 1, place.y), (place.x + 1, place.y)])
        shape = {4: shapely.buffer(place, 0.8), 3: along if turn == 3 else place}.get(number % 5, place)
        name = COMPONENTS[number % 5]
        types = catalogue().feature_class(name).attributes["type"].enumeration
        listed = sorted(types.values)[turn] if types else "other: noget nyt"
        properties = {"type": listed, "driftsstatus": STATUSES[turn % 3], "fareklasse": HAZARDS[turn % 3]}
        rows.add(name, f"k{number}", properties, shape)
    return rows.batch()


def _line(name: str, turn: int) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "driftsstatus": STATUSES[turn % 4],
        "fareklasse": HAZARDS[(turn // 2) % 4],
        "noejagtighedsklasse": ACCURACIES[turn % 6],
        "indtegningsmetode": METHODS[(turn // 4) % 4],
        "indeholderLedninger": turn % 5 == 2,
        "liggerILedning": turn % 5 == 3,
        "ejerskabsforhold": "uden ejer" if turn % 7 == 0 else "ejet af udleverende ledningsejer",
        "udvendigDiameter": {"value": (110, 1200, 31.4)[turn % 3], "uom": "mm"},
    }
    if turn % 3 == 1:
        properties["vejledendeDybde"] = {"value": (900, 1250)[turn % 2], "uom": "mm"}
    if name == "Elledning":
        properties["spaendingsniveau"] = {"value": (0.4, 10, 60, 400)[turn % 4], "uom": "kV"}
    if name == "Afloebsledning":
        properties["ledningstransporttype"] = "gravitation"
    return {key: value for key, value in properties.items() if value is not None}


type Said = tuple[str, ...]
"""Part, kind, colour, and what the kind has, as text: what is drawn beyond strokes and corridors."""


def attributes_of(style_set: StyleSet, batch: FeatureBatch) -> list[dict[str, Any]]:
    """Return all that decides or labels the drawing of each feature."""
    texts = [s["attribute"] for entry in style_set.labels.values() for s in entry["segments"]]
    names = list(dict.fromkeys([*style_set.attributes, *texts, "width_mm", "geometry"]))
    columns = [column_of(batch, name) for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def said(style_set: StyleSet, values: Mapping[str, Any], scale: float, *, language: str = "da") -> list[Said]:
    """Return what the resolver says of a feature beyond strokes and corridors, bottom to top."""
    on = values["geometry"]
    found: list[Said] = []
    for one in resolve(style_set, values, scale).layers:
        match one:
            case Fill() if on == "area":
                found.append((one.part, "fill", one.colour))
            case Marker(marker="text") if on == "line":
                size, gap = about(one.size_px * LETTER), about(one.spacing_px)
                found.append((one.part, "text", one.colour, one.text, size, gap))
            case Marker() if on == "line":
                size, gap = about(one.size_px), about(one.spacing_px)
                found.append((one.part, "mark", one.colour, one.marker, size, gap))
            case PointSymbol() if on == "point":
                found.append((one.part, "point", one.colour, one.symbol, about(one.size_px)))
            case Label() if on != "area":
                text = label_text(style_set, one.template, values, language)
                if text:
                    found.append((one.part, "label", one.colour, text, about(one.size_px * LETTER)))
    return found


def about(number: float) -> str:
    """Return a number with one decimal."""
    return f"{number:.1f}"
