"""The drawing of the offline page against the resolver, feature by feature at every scale."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from itertools import product
from typing import Any

import orjson
import pytest
import shapely
from drawing_sheet import two_hundred

from geoinfra.presentation.attributes import column_of
from geoinfra.presentation.labels import label_attributes, label_text
from geoinfra.presentation.offline_drawing import drawing_of
from geoinfra.presentation.resolve import Label, resolve
from geoinfra.presentation.style_set import StyleSet, load_style_set
from geoinfra.presentation.symbols import load_symbols
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.model import FeatureRows

E, N = 650_000.0, 6_070_000.0
PAPER = {"width_mm", "dash_mm", "size_mm", "spacing_mm", "halo_mm", "first_mm"}


@lru_cache
def sheet() -> list[FeatureBatch]:
    """The two hundred features of all drawings; lines of every status, hazard, accuracy and drawing method,
    components of every geometry, a trace.
    """
    first, second = FeatureRows("10000001"), FeatureRows("10000002")
    classes = ("Elledning", "Gasledning", "Vandledning")
    ways = product(
        classes,
        ("i drift", "under etablering", "permanent ude af drift", None),
        ("ikke farlig", "farlig", "meget farlig"),
        ("<= 0.25 m", "> 2.00 m", None),
        ("nøjagtigt", "skematisk"),
    )
    for number, (name, status, hazard, accuracy, method) in enumerate(ways):
        stated: dict[str, Any] = {
            "driftsstatus": status,
            "fareklasse": hazard,
            "noejagtighedsklasse": accuracy,
            "indtegningsmetode": method,
            "udvendigDiameter": {"value": 63 + number % 3 * 100, "uom": "mm"} if number % 5 else None,
            "vejledendeDybde": {"value": 700, "uom": "mm"} if number % 7 else None,
            "spaendingsniveau": {"value": 10, "uom": "kV"} if name == "Elledning" else None,
            "liggerILedning": True if number % 11 == 0 else None,
        }
        told = {key: value for key, value in stated.items() if value is not None}
        course = shapely.LineString([(E, N - number), (E + 40, N - number)])
        (first if number % 2 else second).add(name, f"l.{number}", told, course)
    for number, kind in enumerate(("ventil", "brandhane", "bassin", "other: noget nyt")):
        first.add("Vandkomponent", f"k.{number}", {"type": kind}, shapely.Point(E + number, N))
    first.add("Vandkomponent", "k.a", {"type": "bassin"}, shapely.box(E, N, E + 5, N + 5))
    wide = {"forsyningsart": ["el"], "bredde": {"value": 700, "uom": "mm"}}
    first.add("Ledningstrace", "t.1", wide, shapely.LineString([(E, N), (E, N + 9)]))
    return [first.batch(), second.batch(), two_hundred()]


@pytest.fixture(scope="module")
def style_set() -> StyleSet:
    return load_style_set()


@pytest.fixture(scope="module")
def drawing(style_set: StyleSet) -> dict[str, Any]:
    plain = orjson.dumps(drawing_of(style_set, sheet()), option=orjson.OPT_SERIALIZE_NUMPY)
    return dict(orjson.loads(plain))


def attributes_of(batches: list[FeatureBatch], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The named attributes of each feature."""
    return [
        dict(zip(names, values, strict=True))
        for batch in batches
        for values in zip(*(column_of(batch, name) for name in names), strict=True)
    ]


def test_every_feature_at_every_scale_is_drawn_as_the_resolver_says(
    style_set: StyleSet, drawing: dict[str, Any]
) -> None:
    names = (*style_set.attributes, "width_mm")
    assert drawing["bands"] == [[band.start, band.below] for band in style_set.scales]
    drawn = 0
    for place, attributes in enumerate(attributes_of(sheet(), names)):
        for band, number in zip(style_set.scales, drawing["looks"][drawing["look"][place]], strict=True):
            told = [drawing["layers"][layer] for layer in drawing["symbols"][number]]
            expected = [asdict(layer) for layer in resolve(style_set, attributes, band.start).layers]
            for one, other in zip(told, expected, strict=True):
                own = dict(one)
                if own.pop("draw") == "corridor":
                    own["half_width_m"] += drawing["half_width_mm"][place] / 1000
                    assert own.pop("half_width_m") == pytest.approx(other.pop("half_width_m"))
                if "first_px" in own:
                    assert own.pop("first_px") == pytest.approx(
                        other["first_mm"] / style_set.pixel_mm, abs=1e-3
                    )
                assert own == {
                    name: list(value) if isinstance(value, tuple) else value
                    for name, value in other.items()
                    if name not in PAPER
                }
                drawn += 1
    assert drawn > 5_000


def test_layers_lie_in_the_order_of_the_style_set(drawing: dict[str, Any]) -> None:
    orders = [layer["order"] for layer in drawing["layers"]]
    assert orders == sorted(orders)
    assert all(symbol == sorted(symbol) for symbol in drawing["symbols"])


def test_labels_have_the_texts_of_the_label_table_in_both_languages(
    style_set: StyleSet, drawing: dict[str, Any]
) -> None:
    seen = set()
    shown = tuple(name for template in style_set.labels for name in label_attributes(style_set, template))
    names = tuple(dict.fromkeys((*style_set.attributes, *shown)))
    for place, attributes in enumerate(attributes_of(sheet(), names)):
        for label in resolve(style_set, attributes, 100).of(Label):
            held = drawing["labels"][label.template]
            expected = [
                label_text(style_set, label.template, attributes, language) for language in ("da", "en")
            ]
            assert held["texts"][held["index"][place]] == expected
            seen.add(tuple(expected))
    assert ("Ø163 10 kV dybde 0,7 m", "Ø163 10 kV depth 0.7 m") in seen


def test_classes_of_the_filters_are_those_of_the_style_set(
    style_set: StyleSet, drawing: dict[str, Any]
) -> None:
    for place, attributes in enumerate(attributes_of(sheet(), style_set.attributes)):
        classes = style_set.classes(attributes)
        for name, number in zip(
            ("type", "status", "hazard"), drawing["classes"][drawing["look"][place]], strict=True
        ):
            assert drawing["dimensions"][name][number][0] == classes[name]


def test_drawings_are_those_of_the_symbols_on_the_page(style_set: StyleSet, drawing: dict[str, Any]) -> None:
    named = {layer["symbol"] for layer in drawing["layers"] if layer["draw"] == "point"} - {"circle"}
    assert set(drawing["drawings"]) == named
    assert {"valve", "hydrant"} <= named
    for name, paths in drawing["drawings"].items():
        outlines = load_symbols(style_set.symbols).drawing(name).outlines(24)
        assert len(paths) == len(outlines)
        for path, outline in zip(paths, outlines, strict=True):
            x, y = map(float, path["path"][1:].partition("L")[0].rstrip("Z").split())
            assert (x * 24, -y * 24) == pytest.approx(outline.points_mm[0], abs=0.01)
            assert path["ink"] is outline.ink


def test_the_legend_has_what_is_on_the_page_and_nothing_else(style_set: StyleSet) -> None:
    legend = drawing_of(style_set, sheet()[:2])["legend"]
    titles = {entry["da"] for entry in legend}
    assert {"El", "Gas", "Vand", "Meget farlig", "Under etablering", "Brandhane"} <= titles
    assert not {"Afløb", "Olie", "Uden ejer"} & titles
    of = {tuple(entry["of"]) for entry in legend if entry["of"]}
    assert {
        ("type", "gas"),
        ("hazard", "very-dangerous"),
        ("hazard", "dangerous"),
        ("status", "establishing"),
    } <= of


def test_without_features_there_is_nothing_to_draw(style_set: StyleSet) -> None:
    drawing = drawing_of(style_set, [])
    assert not drawing["layers"]
    assert not drawing["legend"]
