"""What emitters write is read back by other programs, and says the same as the resolver for every feature."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from lxml import etree

from geoinfra.errors import InvalidInput, NotFound
from geoinfra.presentation import maplibre
from geoinfra.presentation.attributes import column_of, feature_attributes
from geoinfra.presentation.emit import TARGETS, emit, legend_document
from geoinfra.presentation.labels import label_text
from geoinfra.presentation.markers import MARKERS, marker_svg
from geoinfra.presentation.qml import default_layer_style
from geoinfra.presentation.resolve import Fill, Label, Marker, PointSymbol, Stroke, resolve
from geoinfra.presentation.style_set import StyleSet, load_style_set, style_sets
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.formats.dxf import write_dxf
from geoinfra.utilities.formats.geopackage import write_geopackage
from geoinfra.utilities.model import FeatureRows

WEB = Path(__file__).resolve().parents[2] / "services" / "web"
VALIDATOR = WEB / "node_modules/@maplibre/maplibre-gl-style-spec"
SCALES = (250, 500, 2000, 10_000, 50_000)
CLASSES = (
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

type Drawn = list[tuple[str, str, float, tuple[float, ...]]]
"""Part, colour, width in pixels and dash in pixels of each stroke, bottom to top."""


@pytest.fixture(scope="module")
def geoinfra() -> StyleSet:
    return load_style_set("geoinfra")


@pytest.fixture(scope="module")
def sheet() -> FeatureBatch:
    """Two hundred lines of every supply, status, hazard, accuracy, method and depth."""
    statuses = ("i drift", "under etablering", "permanent ude af drift", None)
    hazards = ("ikke farlig", "farlig", "meget farlig", None)
    accuracies = ("<= 0.25 m", "<= 0.50 m", "<= 1.00 m", "<= 2.00 m", "> 2.00 m", None)
    methods = ("nøjagtigt", "forskudt", "skematisk", None)
    rows = FeatureRows("12345678", elements=False)
    for number in range(200):
        name = CLASSES[number % len(CLASSES)]
        turn = number // len(CLASSES)
        properties: dict[str, Any] = {
            "driftsstatus": statuses[turn % 4],
            "fareklasse": hazards[(turn // 2) % 4],
            "noejagtighedsklasse": accuracies[turn % 6],
            "indtegningsmetode": methods[(turn // 4) % 4],
            "indeholderLedninger": turn % 5 == 1,
            "liggerILedning": turn % 5 == 2,
            "ejerskabsforhold": "uden ejer" if turn % 7 == 0 else "ejet af udleverende ledningsejer",
        }
        if turn % 3 == 1:
            properties["vejledendeDybde"] = {"value": 900, "uom": "mm"}
        if name == "Elledning":
            properties["spaendingsniveau"] = {"value": (0.4, 10, 60, 400)[turn % 4], "uom": "kV"}
        known = {key: value for key, value in properties.items() if value is not None}
        heights = np.array([3.0, 2.0]) if turn % 3 == 0 else None
        place = shapely.LineString([(500_000 + number, 6_200_000), (500_000 + number, 6_200_050)])
        rows.add(name, f"a{number}", known, place, heights)
    return rows.batch()


def wanted(style_set: StyleSet, batch: FeatureBatch, scale: float) -> list[Drawn]:
    names = (*style_set.attributes, "width_mm")
    symbols = (resolve(style_set, feature_attributes(batch, row, names), scale) for row in range(len(batch)))
    return [
        [
            (s.part, s.colour, round(s.width_px, 2), tuple(round(d, 1) for d in s.dash_px))
            for s in one.of(Stroke)
        ]
        for one in symbols
    ]


type Said = tuple[str, ...]
"""What a layer that is no stroke draws: part, kind, colour, and what its kind has, rounded, as text."""


@pytest.fixture(scope="module")
def things(sheet: FeatureBatch) -> FeatureBatch:
    """Components of every class at points, along lines and on areas, with the first eighty lines."""
    rows = FeatureRows("12345678", elements=False)
    forms = (
        shapely.Point(500_000, 6_200_000),
        shapely.LineString([(500_000, 6_200_000), (500_010, 6_200_000)]),
        shapely.box(500_000, 6_200_000, 500_005, 6_200_005),
    )
    for entry in catalogue().feature_classes:
        if not entry.name.endswith("komponent"):
            continue
        types = entry.attributes["type"].enumeration
        for number, listed in enumerate(sorted(types.values)[:6] if types else ["andet"] * 3):
            properties = {
                "type": listed,
                "driftsstatus": ("i drift", "permanent ude af drift")[number % 2],
                "fareklasse": ("ikke farlig", "farlig", "meget farlig")[number % 3],
            }
            rows.add(entry.name, f"{entry.name}.{number}", properties, forms[number % 3])
    components, lines = rows.batch(), sheet.take(range(80))
    assert len(components) >= 30
    columns = {name: values + lines.columns[name] for name, values in components.columns.items()}
    return FeatureBatch(
        components.schema,
        components.feature_ids + lines.feature_ids,
        components.geometry + lines.geometry,
        columns,
        (components.heights_m or [None] * len(components)) + (lines.heights_m or []),
    )


def said(style_set: StyleSet, batch: FeatureBatch, row: int, scale: float) -> list[Said]:
    """Return what the resolver says of a feature beyond strokes and corridors, bottom to top."""
    texts = [
        name for entry in style_set.labels.values() for name in [s["attribute"] for s in entry["segments"]]
    ]
    values = feature_attributes(batch, row, {*style_set.attributes, *texts})
    on = values["geometry"]
    found: list[Said] = []
    for one in resolve(style_set, values, scale).layers:
        match one:
            case Fill() if on == "area":
                found.append((one.part, "fill", one.colour))
            case Marker(marker="text") if on == "line":
                found.append((one.part, "text", one.colour, one.text, about(one.size_px * LETTER)))
            case Marker() if on == "line":
                found.append((one.part, "mark", one.colour, one.marker, about(one.size_px)))
            case PointSymbol() if on == "point":
                found.append((one.part, "point", one.colour, one.symbol, about(one.size_px)))
            case Label() if on != "area":
                text = label_text(style_set, one.template, values, "da")
                if text:
                    found.append((one.part, "label", one.colour, text, about(one.size_px * LETTER)))
    return found


LETTER = 1.4
"""Size of a font whose capitals are as high as asked."""


def about(number: float) -> str:
    return f"{number:.1f}"


def flat(style_set: StyleSet, batch: FeatureBatch) -> list[dict[str, Any]]:
    """Give the attributes of each feature as a tile carries them: without those that are absent."""
    names = (*style_set.attributes, "width_mm")
    columns = {name: column_of(batch, name) for name in names if name != "geometry"}
    return [
        {name: values[row] for name, values in columns.items() if values[row] is not None}
        for row in range(len(batch))
    ]


# ------------------------------------------------------------------ MapLibre

EVALUATE = """
import { readFileSync } from "node:fs";
const spec = await import(process.argv[2] + "/dist/index.mjs");
const { latest, normalizePropertyExpression, featureFilter } = spec;
const { style, features, zooms, marks } = JSON.parse(readFileSync(0, "utf8"));
const isLine = (layer) => layer.type === "line" && layer.source === "utility-lines";
const evaluators = style.layers.filter(isLine).map((layer) => {
  const filter = featureFilter(layer.filter, layer.id);
  const value = (name, fallback) => {
    const raw = (layer.paint ?? {})[name];
    if (raw === undefined) return () => fallback;
    const made = normalizePropertyExpression(raw, layer.id, latest.paint_line[name]);
    return (zoom, feature) => made.evaluate({ zoom }, feature);
  };
  const [colour, width] = [value("line-color"), value("line-width")];
  return { layer, filter, colour, width, dash: value("line-dasharray", []) };
});
const isMark = (layer) => marks.includes(layer.metadata?.["geoinfra:part"]);
const marked = style.layers.filter((layer) => (
  layer.type === "symbol" && layer.source === "utility-lines" && isMark(layer)
)).map((layer) => {
  const filter = featureFilter(layer.filter, layer.id);
  const value = (name) => {
    const raw = layer.layout[name];
    if (raw === undefined) return () => "";
    const made = normalizePropertyExpression(raw, layer.id, latest.layout_symbol[name]);
    return (zoom, feature) => made.evaluate({ zoom }, feature, {}, undefined, []);
  };
  const [image, text, gap] = [value("icon-image"), value("text-field"), value("symbol-spacing")];
  return { layer, filter, image, text, gap };
});
const symbols = zooms.map((zoom) => features.map((properties) => {
  const feature = { type: 2, properties, geometry: [] };
  return marked.filter(({ layer, filter }) => (
    zoom >= (layer.minzoom ?? 0) && zoom < (layer.maxzoom ?? 99) && filter.filter({ zoom }, feature)
  )).map(({ layer, image, text, gap }) => [
    layer.metadata["geoinfra:part"], `${image(zoom, feature)}${text(zoom, feature)}`, gap(zoom, feature),
  ]);
}));
const out = zooms.map((zoom) => features.map((properties) => {
  const feature = { type: 2, properties, geometry: [] };
  return evaluators.filter(({ layer, filter }) => (
    zoom >= (layer.minzoom ?? 0) && zoom < (layer.maxzoom ?? 99) && filter.filter({ zoom }, feature)
  )).map(({ layer, colour, width, dash }) => {
    const c = colour(zoom, feature), w = width(zoom, feature);
    const parts = [c.r, c.g, c.b].map((v) => Math.round(v / (c.a || 1) * 255));
    const hex = "#" + parts.map((v) => v.toString(16).padStart(2, "0")).join("");
    return [layer.metadata["geoinfra:part"], hex, w, dash(zoom, feature).map((d) => d * w)];
  });
}));
process.stdout.write(JSON.stringify({ out, symbols }));
"""


def node() -> str:
    found = shutil.which("node")
    if found is None or not VALIDATOR.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("node and the modules of services/web are not installed")
        pytest.skip("node and the modules of services/web are not installed")
    return found


@pytest.mark.parametrize("name", style_sets())
def test_the_official_validator_passes_the_map_style(name: str, tmp_path: Path) -> None:
    path = tmp_path / "style.json"
    path.write_bytes(emit(load_style_set(name), "maplibre"))
    program = VALIDATOR / "dist" / "gl-style-validate.mjs"
    run = subprocess.run([node(), program, path], capture_output=True, text=True, check=False, timeout=100)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["geoinfra", "pmkl"])
def test_the_map_draws_every_feature_as_the_resolver_says(
    name: str, sheet: FeatureBatch, tmp_path: Path
) -> None:
    style_set = load_style_set(name)
    program = tmp_path / "evaluate.mjs"
    program.write_text(EVALUATE, "utf-8")
    given = {
        "style": maplibre.style_document(style_set),
        "features": flat(style_set, sheet),
        "zooms": [maplibre.zoom_of(style_set, scale) for scale in SCALES],
        "marks": [part.key for part in style_set.parts if part.draw == "marker"],
    }
    run = subprocess.run(
        [node(), program, VALIDATOR],
        input=json.dumps(given).encode(),
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr.decode()[:2000]
    told = json.loads(run.stdout)
    names = (*style_set.attributes, "width_mm")
    for scale, symbols in zip(SCALES, told["symbols"], strict=True):
        for row, found in enumerate(symbols):
            asked = [
                [m.part, m.text or f"{m.marker}/{m.colour[1:]}", pytest.approx(m.spacing_px)]
                for m in resolve(style_set, feature_attributes(sheet, row, names), scale).of(Marker)
            ]
            assert found == asked
    for scale, drawn in zip(SCALES, told["out"], strict=True):
        found = [
            [
                (part, colour, round(width, 2), tuple(round(d, 1) for d in dash))
                for part, colour, width, dash in one
                if part != "corridor"
            ]
            for one in drawn
        ]
        for one, other in zip(found, wanted(style_set, sheet, scale), strict=True):
            assert [o[:2] for o in one] == [o[:2] for o in other]
            assert [o[2] for o in one] == pytest.approx([o[2] for o in other], abs=0.02)
            for mine, theirs in zip(one, other, strict=True):
                assert mine[3] == pytest.approx(theirs[3], rel=0.02)


# ------------------------------------------------------------------ SLD

SE = "{http://www.opengis.net/se}"
OGC = "{http://www.opengis.net/ogc}"
_PARTS_OF_A_RULE = [
    "Name",
    "Description",
    "Filter",
    "MinScaleDenominator",
    "MaxScaleDenominator",
    "LineSymbolizer",
    "PolygonSymbolizer",
    "PointSymbolizer",
    "TextSymbolizer",
]


@lru_cache
def sld_of(name: str) -> bytes:
    """Return the SLD of a style set, which several tests read."""
    return emit(load_style_set(name), "sld")


def compiled(element: Any) -> Callable[[dict[str, Any]], bool]:
    """Return what evaluates a filter of Filter Encoding 1.1."""
    kind = etree.QName(element).localname
    if kind in ("Filter", "And", "Or", "Not"):
        parts = [compiled(part) for part in element]
        if kind == "Not":
            return lambda feature: not parts[0](feature)
        joined = any if kind == "Or" else all
        return lambda feature: joined(part(feature) for part in parts)
    name, literal = element.findtext(f"{OGC}PropertyName"), element.findtext(f"{OGC}Literal")
    if kind == "PropertyIsNull":
        return lambda feature: feature.get(name) is None
    if kind == "PropertyIsEqualTo":
        return lambda feature: feature.get(name) is not None and str(feature[name]) == literal
    least = kind == "PropertyIsGreaterThanOrEqualTo"
    return lambda feature: feature.get(name) is not None and (feature[name] >= float(literal)) is least


@pytest.mark.parametrize("name", style_sets())
def test_sld_says_the_same_as_the_resolver(name: str, sheet: FeatureBatch) -> None:
    style_set = load_style_set(name)
    root = etree.fromstring(sld_of(name))
    assert root.get("version") == "1.1.0"
    for rule in root.iter(f"{SE}Rule"):
        order = [_PARTS_OF_A_RULE.index(etree.QName(part).localname) for part in rule]
        assert order == sorted(order)
    layer = next(one for one in root if one.findtext(f"{SE}Name") == "utility-lines")
    styles = [
        [read_rule(style.findtext(f"{SE}Name"), rule) for rule in style.iter(f"{SE}Rule")]
        for style in layer.iter(f"{SE}FeatureTypeStyle")
    ]
    features = flat(style_set, sheet)
    for scale in SCALES:
        for feature, strokes in zip(features, wanted(style_set, sheet, scale), strict=True):
            found: Drawn = []
            for rules in styles:
                met = [own for low, high, holds, own in rules if low <= scale < high and holds(feature)]
                assert len(met) <= 1, "one rule of a part"
                found += [drawn for own in met for drawn in own]
            assert [one[:2] for one in found] == [one[:2] for one in strokes]
            for mine, theirs in zip(found, strokes, strict=True):
                assert mine[2] == pytest.approx(theirs[2], abs=0.02)
                assert mine[3] == pytest.approx(theirs[3], abs=0.1)


def read_rule(part: str, rule: Any) -> tuple[float, float, Callable[[dict[str, Any]], bool], Drawn]:
    """Return the scales of a rule, what evaluates its filter, and the strokes that it draws."""
    low = float(rule.findtext(f"{SE}MinScaleDenominator", "0"))
    high = float(rule.findtext(f"{SE}MaxScaleDenominator", "inf"))
    asked = rule.find(f"{OGC}Filter")
    return low, high, (lambda _: True) if asked is None else compiled(asked), strokes_of(part, rule)


def strokes_of(part: str, rule: Any) -> Drawn:
    line = rule.find(f"{SE}LineSymbolizer")
    if line is None or line.get("uom") or line.find(f"{SE}Stroke/{SE}GraphicStroke") is not None:
        return []
    values = {p.get("name"): p.text for p in line.iter(f"{SE}SvgParameter")}
    dash = tuple(float(length) for length in values.get("stroke-dasharray", "").split())
    return [(part, values["stroke"], float(values["stroke-width"]), dash)]


SVG = re.compile(r"(?:markers|symbols)/([a-z0-9-]+)\.svg\?fill=%23([0-9a-f]{6})")


def told_by(part: str, rule: Any, feature: dict[str, Any]) -> list[Said]:
    """Return what the symbolizer of a rule draws of a feature, if it is no stroke."""
    kind = etree.QName(rule[-1]).localname
    if kind == "PolygonSymbolizer" and rule[-1].find(f"{SE}Fill") is not None:
        return [(part, "fill", rule[-1].findtext(f"{SE}Fill/{SE}SvgParameter"))]
    if kind == "TextSymbolizer":
        size = next(p.text for p in rule[-1].iter(f"{SE}SvgParameter") if p.get("name") == "font-size")
        colour = rule[-1].find(f"{SE}Fill").findtext(f"{SE}SvgParameter")
        joined = rule[-1].find(f"{SE}Label/{SE}Concatenate")
        if joined is None:
            return [(part, "text", colour, rule[-1].findtext(f"{SE}Label"), about(float(size)))]
        return [(part, "label", colour, "", about(float(size)))]
    graphic = next(rule[-1].iter(f"{SE}Graphic"), None)
    if graphic is None or rule[-1].get("uom"):
        return []
    size, resource = about(float(graphic.findtext(f"{SE}Size"))), graphic.find(f".//{SE}OnlineResource")
    if resource is None:
        return [(part, "point", graphic.findtext(f".//{SE}SvgParameter"), "circle", size)]
    found = SVG.fullmatch(resource.get("{http://www.w3.org/1999/xlink}href"))
    assert found is not None
    return [(part, "point" if kind == "PointSymbolizer" else "mark", f"#{found[2]}", found[1], size)]


@pytest.mark.parametrize("name", style_sets())
def test_sld_draws_marks_symbols_areas_and_labels_as_the_resolver_says(
    name: str, things: FeatureBatch
) -> None:
    style_set = load_style_set(name)
    root = etree.fromstring(sld_of(name), etree.XMLParser(huge_tree=True))
    drawn = {
        layer.findtext(f"{SE}Name"): [
            (style.findtext(f"{SE}Name"), rule, *read_rule("", rule)[:3])
            for style in layer.iter(f"{SE}FeatureTypeStyle")
            for rule in style.iter(f"{SE}Rule")
        ]
        for layer in root
        if layer.find(f"{SE}Name") is not None
    }
    forms, features, kinds = column_of(things, "geometry"), flat(style_set, things), set()
    for scale in (250, 2000, 50_000):
        for row, feature in enumerate(features):
            component = things.columns["kind"][row] == "component"
            layer = f"utility-components-{forms[row]}" if component else "utility-lines"
            found = [
                one
                for part, rule, low, high, holds in drawn[layer]
                if low <= scale < high and holds(feature)
                for one in told_by(part, rule, feature)
            ]
            wished = [
                (*one[:3], "", *one[4:]) if one[1] == "label" else one
                for one in said(style_set, things, row, scale)
            ]
            kinds |= {one[1] for one in wished}
            labels = {one[0] for one in wished if one[1] == "label"}
            assert [one for one in found if one[1] != "label" or one[0] in labels] == wished
    assert kinds >= ({"fill", "mark", "point", "label"} if name == "geoinfra" else {"fill"})


# ------------------------------------------------------------------ QGIS

QGIS = r"""
import json, sys
from qgis.core import *
app = QgsApplication([], False); app.initQgis()
messages = []
log = QgsApplication.messageLog()
log.messageReceived.connect(lambda text, tag, level: messages.append(f"{tag}: {text}"))
path, sld, classes = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
scales = [float(scale) for scale in sys.argv[4].split(",")]
out = {"drawn": {}, "marks": {}, "rules": {}}
for name in classes:
    layer = QgsVectorLayer(f"{path}|layername={name}", name, "ogr")
    assert layer.isValid()
    renderer = layer.renderer()
    assert renderer.type() == "RuleRenderer", renderer.type()
    assert renderer.usingSymbolLevels()
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    rules = []
    for rule in renderer.rootRule().children():
        text = rule.filterExpression()
        expression = QgsExpression(text) if text else None
        if expression is not None:
            assert not expression.hasParserError(), (name, expression.parserErrorString(), text)
            expression.prepare(context)
        rules.append((rule, expression))
    for labelled in layer.labeling().rootRule().children():
        expression = QgsExpression(labelled.settings().fieldName)
        assert not expression.hasParserError(), expression.parserErrorString()
    out["rules"][name] = len(rules)
    for feature in layer.getFeatures():
        context.setFeature(feature)
        held = []
        for rule, expression in rules:
            value = True if expression is None else expression.evaluate(context)
            if expression is not None and expression.hasEvalError():
                raise SystemExit(f"{name}: {expression.evalErrorString()}")
            if value:
                held.append(rule)
        for scale in scales:
            strokes, marks = [], []
            for rule in held:
                # QGIS: minimumScale is the large denominator
                if not (rule.maximumScale() <= scale < rule.minimumScale()):
                    continue
                part = rule.symbol().symbolLayer(0)
                if part.layerType() == "SimpleLine" and part.widthUnit() == QgsUnitTypes.RenderMillimeters:
                    dash = list(part.customDashVector()) if part.useCustomDashPattern() else []
                    drawn = [rule.label().split(":")[0], part.color().name(), part.width(), dash]
                    strokes.append([*drawn, part.renderingPass()])
                if part.layerType() == "MarkerLine":
                    mark = part.subSymbol().symbolLayer(0)
                    what = mark.character() if mark.layerType() == "FontMarker" else mark.path()
                    drawn = [rule.label().split(":")[0], mark.color().name(), what, part.interval()]
                    marks.append([*drawn, part.renderingPass()])
            strokes.sort(key=lambda stroke: stroke[-1])
            marks.sort(key=lambda mark: mark[-1])
            out["marks"][f"{feature['gml_id']} {scale:g}"] = [mark[:4] for mark in marks]
            out["drawn"][f"{feature['gml_id']} {scale:g}"] = [stroke[:4] for stroke in strokes]
layer = QgsVectorLayer("LineString?crs=EPSG:25832&field=supply:string&field=status:string", "x", "memory")
out["sld"] = [layer.loadSldStyle(path) for path in sld.split(",")]
out["messages"] = messages
print("@@" + json.dumps(out))
"""


def pictured(mark: list[Any]) -> list[Any]:
    """Replace the path of a mark by the shapes of its picture; letters stay."""
    part, colour, what, spacing_mm = mark
    if what.startswith("base64:"):
        picture = base64.b64decode(what.removeprefix("base64:")).decode()
        what = picture.split(">", 1)[1].removesuffix("</svg>")
    return [part, colour, what, pytest.approx(spacing_mm)]


@pytest.mark.qgis
def test_qgis_draws_the_geopackage_as_the_resolver_says(
    geoinfra: StyleSet, sheet: FeatureBatch, tmp_path: Path
) -> None:
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    probe = subprocess.run([python, "-c", "import qgis.core"], capture_output=True, check=False, timeout=60)
    if probe.returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("PyQGIS is not installed")
        pytest.skip("PyQGIS is not installed")
    path = tmp_path / "sheet.gpkg"
    assert write_geopackage(path, [sheet], styles=default_layer_style) == 200
    for name in style_sets():
        (tmp_path / f"{name}.sld").write_bytes(sld_of(name))
    sld = ",".join(str(tmp_path / f"{name}.sld") for name in style_sets())
    scales = ",".join(map(str, SCALES))
    environment = {"QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    run = subprocess.run(
        [python, "-c", QGIS, path, sld, ",".join(CLASSES), scales],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
        env=environment,
    )
    assert "@@" in run.stdout, run.stderr[-3000:]
    told = json.loads(run.stdout.split("@@", 1)[1])
    assert told["messages"] == []
    assert [loaded for _, loaded in told["sld"]] == [True] * len(style_sets())
    names = (*geoinfra.attributes, "width_mm")
    for scale in SCALES:
        for row in range(len(sheet)):
            symbol = resolve(geoinfra, feature_attributes(sheet, row, names), scale)
            asked = [
                [m.part, m.colour, m.text or marker_svg(m.marker, f"param(fill) {m.colour}"), m.spacing_mm]
                for m in symbol.of(Marker)
            ]
            found = told["marks"][f"{sheet.columns['gml_id'][row]} {scale:g}"]
            assert [pictured(one) for one in found] == asked
    drawn = told["drawn"]
    assert len(drawn) == 200 * len(SCALES)
    for scale in SCALES:
        for row, strokes in enumerate(wanted(geoinfra, sheet, scale)):
            found = drawn[f"{sheet.columns['gml_id'][row]} {scale:g}"]
            assert [tuple(one[:2]) for one in found] == [one[:2] for one in strokes]
            for mine, theirs in zip(found, strokes, strict=True):
                assert mine[2] / 0.28 == pytest.approx(theirs[2], abs=0.02)
                assert [d / 0.28 for d in mine[3]] == pytest.approx(theirs[3], abs=0.1)


# ------------------------------------------------------------------ DXF


def test_dxf_layers_have_the_colours_line_types_and_order_of_the_style_set(
    geoinfra: StyleSet, sheet: FeatureBatch, tmp_path: Path
) -> None:
    import ezdxf

    path = tmp_path / "sheet.dxf"
    write_dxf(path, [sheet])
    document = ezdxf.readfile(path)
    assert not document.audit().has_errors
    layers = {}
    for entity in document.modelspace():
        data = [value for code, value in entity.get_xdata("GEOINFRA") if code == 1000]
        gml_id = next(value.split("=", 1)[1] for value in data if value.startswith("gml_id="))
        layers.setdefault(gml_id, document.layers.get(entity.dxf.layer))
    assert len(layers) == 200
    classes = geoinfra.dimensions
    for row in range(200):
        attributes = feature_attributes(sheet, row, geoinfra.attributes)
        layer = layers[sheet.columns["gml_id"][row]]
        kind = classes["type"].row(classes["type"].classify(attributes))
        status = classes["status"].classify(attributes)
        assert "#{:02x}{:02x}{:02x}".format(*layer.rgb) == kind.fields["colour"]
        assert f"_{kind.fields['layer']}-" in layer.dxf.name
        assert f"{geoinfra.dxf['suffixes'][status]}_" in layer.dxf.name
        named = geoinfra.dxf["linetypes"].get(status, {}).get("name", "Continuous")
        assert layer.dxf.linetype == named
    strokes = resolve(geoinfra, {"kind": "line", "status": "under etablering"}, 500).of(Stroke)
    dash = next(stroke.dash_mm for stroke in strokes if stroke.part == "line")
    pattern = geoinfra.dxf["linetypes"]["establishing"]["pattern_m"]
    assert pattern[1] / -pattern[2] == pytest.approx(dash[0] / dash[1])


# ------------------------------------------------------------------ the rest


def test_geopackage_names_a_default_style_for_every_layer(sheet: FeatureBatch, tmp_path: Path) -> None:
    path = tmp_path / "sheet.gpkg"
    write_geopackage(path, [sheet], styles=default_layer_style)
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT f_table_name, styleQML, useAsDefault FROM layer_styles").fetchall()
    connection.close()
    assert sorted(row[0] for row in rows) == sorted(CLASSES)
    for _, qml, default in rows:
        assert default == 1
        assert etree.fromstring(qml.encode()).tag == "qgis"


@pytest.mark.parametrize("target", TARGETS)
def test_equal_arguments_give_equal_bytes(target: str) -> None:
    style_set = load_style_set("ler-viewer")
    assert emit(style_set, target) == emit(style_set, target)


def test_every_image_of_the_map_can_be_drawn(geoinfra: StyleSet) -> None:
    from geoinfra.presentation.symbols import load_symbols

    for name in maplibre.used_images(geoinfra):
        shape = name.split("/")[0]
        assert shape in MARKERS or load_symbols(geoinfra.symbols).drawing(shape)


def test_texts_of_marks_and_labels_cannot_leave_their_element() -> None:
    assert "<script" not in marker_svg("text", "#000000", "<script>")
    with pytest.raises(NotFound):
        marker_svg("nothing", "#000000")


@pytest.mark.parametrize("language", ["da", "en"])
@pytest.mark.parametrize("name", style_sets())
def test_legends_are_sound_and_name_every_type(name: str, language: str) -> None:
    style_set = load_style_set(name)
    root = etree.fromstring(legend_document(style_set, "svg", language=language))
    texts = {text.strip() for text in root.itertext()}
    html = legend_document(style_set, "html", language=language).decode()
    for row in style_set.dimensions["type"].classes:
        said = row.da if language == "da" else row.en
        assert said in texts
        assert said in html
    assert "<script" not in html


def test_a_legend_is_a_picture(geoinfra: StyleSet) -> None:
    pytest.importorskip("resvg_py")
    assert legend_document(geoinfra, "png").startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("target", ["", "dwg", "../sld"])
def test_an_unknown_target_is_refused(geoinfra: StyleSet, target: str) -> None:
    with pytest.raises(InvalidInput):
        emit(geoinfra, target)
    with pytest.raises(InvalidInput):
        legend_document(geoinfra, target)
