"""What emitters write is read back by other programs, and says the same as the resolver for every feature."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import subprocess
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import shapely
from drawing_sheet import COMPONENTS, LINES, Said, about, attributes_of, said, two_hundred
from lxml import etree
from parts import node, qgis_python

from geoinfra.errors import InvalidInput, NotFound
from geoinfra.presentation import maplibre
from geoinfra.presentation.attributes import column_of, feature_attributes
from geoinfra.presentation.emit import TARGETS, emit, legend_document
from geoinfra.presentation.legend import legend_rows, sample_svg
from geoinfra.presentation.markers import MARKERS, marker_svg
from geoinfra.presentation.qml import default_layer_style
from geoinfra.presentation.resolve import Corridor, Fill, Marker, PointSymbol, Stroke, resolve
from geoinfra.presentation.style_set import StyleSet, load_style_set, style_sets
from geoinfra.presentation.symbols import load_symbols
from geoinfra.standards import standards_path
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.formats.dxf import write_dxf
from geoinfra.utilities.formats.geopackage import write_geopackage
from geoinfra.utilities.model import FeatureRows

WEB = Path(__file__).resolve().parents[2] / "services" / "web"
VALIDATOR = WEB / "node_modules/@maplibre/maplibre-gl-style-spec"
SCALES = (250, 500, 2000, 10_000, 50_000)
type Drawn = list[tuple[str, str, float, tuple[float, ...]]]
"""Part, colour, width in pixels and dash in pixels of each stroke, bottom to top."""


@pytest.fixture(scope="module")
def geoinfra() -> StyleSet:
    return load_style_set("geoinfra")


@pytest.fixture(scope="module")
def sheet() -> FeatureBatch:
    """The two hundred features that every drawing is compared on."""
    made = two_hundred()
    assert len(made) == 200
    return made


def wanted(style_set: StyleSet, features: list[dict[str, Any]], scale: float) -> list[Drawn]:
    return [
        [
            (s.part, s.colour, round(s.width_px, 2), tuple(round(d, 1) for d in s.dash_px))
            for s in (resolve(style_set, values, scale).of(Stroke) if values["geometry"] != "point" else ())
        ]
        for values in features
    ]


@pytest.fixture(scope="module")
def things(sheet: FeatureBatch) -> FeatureBatch:
    """The two hundred features, and components of every class at points, along lines and on areas."""
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
    components = rows.batch()
    assert len(components) >= 30
    columns = {name: values + sheet.columns[name] for name, values in components.columns.items()}
    return FeatureBatch(
        components.schema,
        components.feature_ids + sheet.feature_ids,
        components.geometry + sheet.geometry,
        columns,
        (components.heights_m or [None] * len(components)) + (sheet.heights_m or []),
    )


def flat(features: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the attributes of each feature as a tile carries them: without those that are absent."""
    return [
        {name: value for name, value in values.items() if value is not None and name != "geometry"}
        for values in features
    ]


# ------------------------------------------------------------------ MapLibre

EVALUATE = """
import { readFileSync } from "node:fs";
const spec = await import(process.argv[2] + "/dist/index.mjs");
const { latest, normalizePropertyExpression, featureFilter } = spec;
const { style, features, zooms } = JSON.parse(readFileSync(0, "utf8"));
const NAMES = {
  line: ["line-color", "line-width", "line-dasharray"],
  fill: ["fill-color"],
  circle: ["circle-color", "circle-radius"],
  symbol: [
    "icon-image", "icon-size", "text-field", "text-size", "text-color", "symbol-spacing", "symbol-placement",
  ],
};
const hex = (c) => "#" + [c.r, c.g, c.b].map((v) => (
  Math.round(v / (c.a || 1) * 255).toString(16).padStart(2, "0")
)).join("");
const evaluators = style.layers.map((layer) => {
  const filter = featureFilter(layer.filter, layer.id);
  const values = NAMES[layer.type].flatMap((name) => {
    const kind = layer.paint?.[name] === undefined ? "layout" : "paint";
    const raw = layer[kind]?.[name];
    if (raw === undefined) return [];
    return [[name, normalizePropertyExpression(raw, layer.id, latest[`${kind}_${layer.type}`][name])]];
  });
  return { layer, filter, values };
});
const TYPES = { point: 1, line: 2, area: 3 };
const out = zooms.map((zoom) => features.map(({ form, source, properties }) => {
  const feature = { type: TYPES[form], properties, geometry: [] };
  return evaluators.filter(({ layer, filter }) => (
    layer.source === source && zoom >= (layer.minzoom ?? 0) && zoom < (layer.maxzoom ?? 99)
    && filter.filter({ zoom }, feature)
  )).map(({ layer, values }) => {
    const found = { part: layer.metadata["geoinfra:part"], type: layer.type };
    for (const [name, expression] of values) {
      const value = expression.evaluate({ zoom }, feature, {}, undefined, []);
      found[name] = value?.r !== undefined ? hex(value) : Array.isArray(value) ? value : value?.toString();
    }
    return found;
  });
}));
process.stdout.write(JSON.stringify(out));
"""


def told_on_the_map(one: dict[str, Any]) -> Said:
    """Return what a layer of the map draws, as `said` says it."""
    part = one["part"]
    if one["type"] == "fill":
        return part, "fill", one["fill-color"]
    if one["type"] == "circle":
        return part, "point", one["circle-color"], "circle", about(2 * float(one["circle-radius"]))
    gap = about(float(one["symbol-spacing"])) if "symbol-spacing" in one else ""
    if "text-field" in one:
        text, size = one["text-field"].strip(), about(float(one["text-size"]))
        if part.endswith("label"):
            return part, "label", one["text-color"], text, size
        return part, "text", one["text-color"], text, size, gap
    shape, colour = one["icon-image"].split("/")
    size = about(float(one["icon-size"]) * maplibre.IMAGE_PX)
    if one.get("symbol-placement") == "line":
        return part, "mark", f"#{colour}", shape, size, gap
    return part, "point", f"#{colour}", shape, size


@pytest.mark.parametrize("name", style_sets())
def test_the_official_validator_passes_the_map_style(name: str, tmp_path: Path) -> None:
    path = tmp_path / "style.json"
    path.write_bytes(emit(load_style_set(name), "maplibre"))
    program = VALIDATOR / "dist" / "gl-style-validate.mjs"
    run = subprocess.run([node(), program, path], capture_output=True, text=True, check=False, timeout=100)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["geoinfra", "pmkl"])
def test_the_map_draws_every_feature_as_the_resolver_says(
    name: str, things: FeatureBatch, tmp_path: Path
) -> None:
    style_set = load_style_set(name)
    told = attributes_of(style_set, things)
    program = tmp_path / "evaluate.mjs"
    program.write_text(EVALUATE, "utf-8")
    forms, kinds = column_of(things, "geometry"), things.columns["kind"]
    features = [
        {
            "form": form,
            "source": "utility-components" if kind == "component" else "utility-lines",
            "properties": properties,
        }
        for form, kind, properties in zip(forms, kinds, flat(told), strict=True)
    ]
    given = {
        "style": maplibre.style_document(style_set),
        "features": features,
        "zooms": [maplibre.zoom_of(style_set, scale) for scale in SCALES],
    }
    run = subprocess.run(
        [node(), program, VALIDATOR],
        input=json.dumps(given).encode(),
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr.decode()[:2000]
    seen = set()
    for scale, drawn in zip(SCALES, json.loads(run.stdout), strict=True):
        strokes = wanted(style_set, told, scale)
        for row, one in enumerate(drawn):
            lines = [o for o in one if o["type"] == "line" and o["part"] != "corridor"]
            assert [(o["part"], o["line-color"]) for o in lines] == [o[:2] for o in strokes[row]]
            for mine, theirs in zip(lines, strokes[row], strict=True):
                width = float(mine["line-width"])
                assert width == pytest.approx(theirs[2], abs=0.02)
                dash = [length * width for length in mine.get("line-dasharray", [])]
                assert dash == pytest.approx(theirs[3], rel=0.02)
            others = [told_on_the_map(o) for o in one if o["type"] != "line" and o["part"] != "corridor"]
            others = [o for o in others if o[1] != "label" or o[3]]
            asked = said(style_set, told[row], scale)
            seen |= {o[1] for o in asked}
            assert others == asked, (things.feature_ids[row], scale)
    assert seen >= ({"fill", "mark", "text", "point", "label"} if name == "geoinfra" else {"fill", "point"})


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


@lru_cache
def rules_of(name: str) -> dict[str, list[tuple[str, list[Any]]]]:
    """Return for each layer of the SLD its parts, bottom to top, with their rules."""
    root = etree.fromstring(sld_of(name), etree.XMLParser(huge_tree=True))
    assert root.get("version") == "1.1.0"
    for rule in root.iter(f"{SE}Rule"):
        order = [_PARTS_OF_A_RULE.index(etree.QName(part).localname) for part in rule]
        assert order == sorted(order)
    return {
        layer.findtext(f"{SE}Name"): [
            (style.findtext(f"{SE}Name"), [read_rule(rule) for rule in style.iter(f"{SE}Rule")])
            for style in layer.iter(f"{SE}FeatureTypeStyle")
        ]
        for layer in root
        if layer.find(f"{SE}Name") is not None
    }


@pytest.mark.parametrize("name", style_sets())
def test_sld_draws_every_feature_as_the_resolver_says(name: str, things: FeatureBatch) -> None:
    style_set = load_style_set(name)
    told, forms, seen = attributes_of(style_set, things), column_of(things, "geometry"), set()
    features = flat(told)
    for scale in (250, 2000, 50_000):
        strokes = wanted(style_set, told, scale)
        for row, feature in enumerate(features):
            component = things.columns["kind"][row] == "component"
            layer = f"utility-components-{forms[row]}" if component else "utility-lines"
            lines: Drawn = []
            others: list[Said] = []
            for part, rules in rules_of(name)[layer]:
                met = [rule for low, high, holds, rule in rules if low <= scale < high and holds(feature)]
                assert len(met) <= 1, "one rule of a part"
                for rule in met:
                    lines += strokes_of(part, rule)
                    others += told_by(part, rule, feature)
            assert [one[:2] for one in lines] == [one[:2] for one in strokes[row]]
            for mine, theirs in zip(lines, strokes[row], strict=True):
                assert mine[2] == pytest.approx(theirs[2], abs=0.02)
                assert mine[3] == pytest.approx(theirs[3], abs=0.1)
            asked = said(style_set, told[row], scale)
            seen |= {one[1] for one in asked}
            assert [one for one in others if one[1] != "label" or one[3]] == asked
    assert seen >= ({"fill", "mark", "text", "point", "label"} if name == "geoinfra" else {"fill"})


def read_rule(rule: Any) -> tuple[float, float, Callable[[dict[str, Any]], bool], Any]:
    """Return the scales of a rule, what evaluates its filter, and the rule."""
    low = float(rule.findtext(f"{SE}MinScaleDenominator", "0"))
    high = float(rule.findtext(f"{SE}MaxScaleDenominator", "inf"))
    asked = rule.find(f"{OGC}Filter")
    return low, high, (lambda _: True) if asked is None else compiled(asked), rule


def strokes_of(part: str, rule: Any) -> Drawn:
    line = rule[-1] if rule[-1].find(f"{SE}Stroke") is not None else None
    if line is None or line.get("uom") or line.find(f"{SE}Stroke/{SE}GraphicStroke") is not None:
        return []
    values = {p.get("name"): p.text for p in line.iter(f"{SE}SvgParameter")}
    dash = tuple(float(length) for length in values.get("stroke-dasharray", "").split())
    return [(part, values["stroke"], float(values["stroke-width"]), dash)]


SVG = re.compile(r"(?:markers|symbols)/([a-z0-9-]+)\.svg\?fill=%23([0-9a-f]{6})")


def written(element: Any, feature: dict[str, Any], language: str = "da") -> Any:
    """Evaluate an expression of SE 1.1; ``None`` is what cannot be evaluated."""
    kind = etree.QName(element).localname
    if kind in ("StringValue", "NumericValue", "Label"):
        parts = [written(part, feature) for part in element]
        return element.text if not parts else parts[0]
    if kind == "PropertyName":
        return feature.get(element.text)
    if kind == "Literal":
        return element.text
    if kind == "Mul":
        first, second = (written(part, feature) for part in element)
        return None if first is None or second is None else float(first) * float(second)
    if kind == "Concatenate":
        parts = [written(part, feature) for part in element]
        return element.get("fallbackValue") if None in parts else "".join(parts)
    assert kind == "FormatNumber"
    value, pattern = written(element[0], feature), element.findtext(f"{SE}Pattern")
    if value is None:
        return element.get("fallbackValue")
    before, digits, after = PATTERN.fullmatch(pattern).groups(default="")
    most = len(digits.partition(".")[2])
    text = f"{float(value):.{most}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return before.strip("'") + text.replace(".", element.get("decimalPoint")) + after.strip("'")


PATTERN = re.compile(r"('[^']*')?(0(?:\.#+)?)('[^']*')?")


def told_by(part: str, rule: Any, feature: dict[str, Any]) -> list[Said]:
    """Return what the symbolizer of a rule draws of a feature, if it is no stroke."""
    one = rule[-1]
    kind = etree.QName(one).localname
    if kind == "PolygonSymbolizer" and one.find(f"{SE}Fill") is not None:
        return [(part, "fill", one.findtext(f"{SE}Fill/{SE}SvgParameter"))]
    if kind == "TextSymbolizer":
        sizes = [p.text for p in one.iter(f"{SE}SvgParameter") if p.get("name") == "font-size"]
        size, colour = about(float(sizes[0])), one.find(f"{SE}Fill").findtext(f"{SE}SvgParameter")
        text, gap = written(one.find(f"{SE}Label"), feature), one.find(f".//{SE}Gap")
        if gap is None:
            return [(part, "label", colour, text.strip(), size)]
        return [(part, "text", colour, text, size, about(float(gap.text)))]
    graphic = next(one.iter(f"{SE}Graphic"), None)
    if graphic is None or one.get("uom"):
        return []
    size_px = float(graphic.findtext(f"{SE}Size"))
    resource = graphic.find(f".//{SE}OnlineResource")
    if resource is None:
        return [(part, "point", graphic.findtext(f".//{SE}SvgParameter"), "circle", about(size_px))]
    found = SVG.fullmatch(resource.get("{http://www.w3.org/1999/xlink}href"))
    assert found is not None
    drawn = (f"#{found[2]}", found[1], about(size_px))
    if kind == "PointSymbolizer":
        return [(part, "point", *drawn)]
    # the gap is between the ends of marks, the spacing between their middles
    return [(part, "mark", *drawn, about(float(one.findtext(f".//{SE}Gap")) + size_px))]


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
out = {"drawn": {}, "others": {}, "rules": {}}
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
    labels = []
    for labelled in layer.labeling().rootRule().children():
        text = QgsExpression(labelled.settings().fieldName)
        assert not text.hasParserError(), text.parserErrorString()
        holds = QgsExpression(labelled.filterExpression() or "true")
        assert not holds.hasParserError(), holds.parserErrorString()
        labels.append((labelled, holds, text))
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
            strokes, others = [], []
            for rule in held:
                # QGIS: minimumScale is the large denominator
                if not (rule.maximumScale() <= scale < rule.minimumScale()):
                    continue
                part, name = rule.symbol().symbolLayer(0), rule.label().split(":")[0]
                kind, order = part.layerType(), part.renderingPass()
                if kind == "SimpleLine" and part.widthUnit() == QgsUnitTypes.RenderMillimeters:
                    dash = list(part.customDashVector()) if part.useCustomDashPattern() else []
                    strokes.append([name, part.color().name(), part.width(), dash, order])
                elif kind == "SimpleFill":
                    others.append([order, name, "fill", part.color().name()])
                elif kind == "MarkerLine":
                    mark = part.subSymbol().symbolLayer(0)
                    letter = mark.layerType() == "FontMarker"
                    what = mark.character() if letter else mark.path()
                    drawn = [mark.color().name(), what, mark.size(), part.interval()]
                    others.append([order, name, "text" if letter else "mark", *drawn])
                elif kind == "SvgMarker":
                    others.append([order, name, "point", part.color().name(), part.path(), part.size()])
                elif kind == "SimpleMarker" and part.sizeUnit() == QgsUnitTypes.RenderMillimeters:
                    others.append([order, name, "point", part.color().name(), "circle", part.size()])
            for rule, holds, text in labels:
                if rule.maximumScale() <= scale < rule.minimumScale() and holds.evaluate(context):
                    written = rule.settings().format()
                    drawn = [written.color().name(), text.evaluate(context), written.size()]
                    others.append([10_000, rule.description(), "label", *drawn])
            strokes.sort(key=lambda stroke: stroke[-1])
            others.sort(key=lambda other: other[0])
            key = f"{feature['gml_id']} {scale:g}"
            out["others"][key] = [other[1:] for other in others]
            out["drawn"][key] = [stroke[:4] for stroke in strokes]
layer = QgsVectorLayer("LineString?crs=EPSG:25832&field=supply:string&field=status:string", "x", "memory")
out["sld"] = [layer.loadSldStyle(path) for path in sld.split(",")]
out["messages"] = messages
print("@@" + json.dumps(out))
"""


@lru_cache
def shape_of(svg: str, colour: str) -> str:
    """Return the name of a mark or symbol by its picture."""
    symbols = load_symbols()
    marks = {marker_svg(name, f"param(fill) {colour}"): name for name in MARKERS}
    points = {symbols.drawing(name).parametric_svg(colour): name for name in symbols.drawings}
    return points.get(svg) or marks[svg.split(">", 1)[1].removesuffix("</svg>")]


def told_by_qgis(part: str, kind: str, colour: str, what: str = "", *lengths_mm: float) -> Said:
    """Return what QGIS draws, as `said` says it."""
    if what.startswith("base64:"):
        what = shape_of(base64.b64decode(what.removeprefix("base64:")).decode(), colour)
    return (part, kind, colour, *filter(None, [what]), *(about(one / 0.28) for one in lengths_mm))


@pytest.mark.qgis
def test_qgis_draws_the_geopackage_as_the_resolver_says(
    geoinfra: StyleSet, sheet: FeatureBatch, tmp_path: Path
) -> None:
    python = qgis_python()
    path = tmp_path / "sheet.gpkg"
    assert write_geopackage(path, [sheet], styles=default_layer_style) == 200
    for name in style_sets():
        (tmp_path / f"{name}.sld").write_bytes(sld_of(name))
    sld = ",".join(str(tmp_path / f"{name}.sld") for name in style_sets())
    scales = ",".join(map(str, SCALES))
    environment = {"QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    run = subprocess.run(
        [python, "-c", QGIS, path, sld, ",".join((*LINES, *COMPONENTS)), scales],
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
    features, seen = attributes_of(geoinfra, sheet), set()
    for scale in SCALES:
        for row, values in enumerate(features):
            asked = said(geoinfra, values, scale)
            seen |= {one[1] for one in asked}
            found = told["others"][f"{sheet.columns['gml_id'][row]} {scale:g}"]
            shown = [told_by_qgis(*one) for one in found if one[1] != "label" or one[3]]
            assert shown == asked, (sheet.columns["gml_id"][row], scale)
    assert seen == {"fill", "mark", "text", "point", "label"}
    drawn = told["drawn"]
    assert len(drawn) == 200 * len(SCALES)
    for scale in SCALES:
        for row, strokes in enumerate(wanted(geoinfra, features, scale)):
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
    layers, kinds = {}, set()
    for entity in document.modelspace():
        data = [value for code, value in entity.get_xdata("GEOINFRA") if code == 1000]
        gml_id = next(value.split("=", 1)[1] for value in data if value.startswith("gml_id="))
        layers.setdefault(gml_id, document.layers.get(entity.dxf.layer))
        kinds.add(entity.dxftype())
    assert len(layers) == 200
    assert kinds == {
        "POINT",
        "LWPOLYLINE",
        "POLYLINE",
    }  # the inks that it has; the list says which it has not
    left_out = {entry["draw"] for entry in not_drawn("dxf")}
    assert left_out == {part.draw for part in geoinfra.parts} - {"stroke", "point"}
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


def not_drawn(target: str) -> list[dict[str, Any]]:
    """Return what a target cannot express, as the standard lists it."""
    listed = json.loads((standards_path("presentation") / "differences.json").read_text("utf-8"))
    return [entry for entry in listed["differences"] if entry["target"] == target]


def test_every_difference_between_drawings_has_a_reason_and_names_what_exists(geoinfra: StyleSet) -> None:
    listed = json.loads((standards_path("presentation") / "differences.json").read_text("utf-8"))
    draws = {part.draw for part in geoinfra.parts}
    for entry in listed["differences"]:
        assert entry["target"] in {*TARGETS, "dxf", "pdf", "offline-html", "legend"}
        assert entry["draw"] in draws
        assert len(entry["reason"]) > 20


@pytest.mark.parametrize("name", style_sets())
def test_samples_of_the_legend_have_the_inks_of_the_resolver_in_its_order(name: str) -> None:
    style_set = load_style_set(name)
    rows = legend_rows(style_set)
    assert rows
    for row in rows:
        root = etree.fromstring(f"<svg>{sample_svg(style_set, row.symbol)}</svg>")
        drawn = [ink_of(element) for element in root]
        asked: list[Any] = []
        for layer in row.symbol.layers:
            match layer:
                case Corridor():
                    asked.append(layer.colour)
                case Stroke():
                    dash = " ".join(f"{length:g}" for length in layer.dash_mm)
                    asked.append((layer.colour, f"{layer.width_mm:g}", dash))
                case Fill():
                    asked.append(layer.colour)
                case Marker():
                    shape = marker_svg(layer.marker, layer.colour, layer.text)
                    asked.append(shapes_of(etree.fromstring(f"<g>{shape}</g>")))
                case PointSymbol() if layer.symbol == "circle":
                    asked.append(layer.colour)
                case PointSymbol():
                    shape = load_symbols(style_set.symbols).drawing(layer.symbol).elements(layer.colour)
                    asked.append(shapes_of(etree.fromstring(f"<g>{shape}</g>")))
        once = [ink for place, ink in enumerate(drawn) if place == 0 or ink != drawn[place - 1]]
        bands = {layer.colour for layer in row.symbol.of(Corridor)}
        plain = [
            ink[0] if isinstance(ink, tuple) and place == 0 and bands else ink
            for place, ink in enumerate(once)
        ]
        assert plain == asked, (row.dimension, row.key)


def ink_of(element: Any) -> Any:
    """Return what an element of a sample is painted with; the shapes of a mark or symbol."""
    if element.tag == "g":
        return shapes_of(element)
    if element.get("stroke") is None:
        return element.get("fill")
    return element.get("stroke"), element.get("stroke-width"), element.get("stroke-dasharray", "")


def shapes_of(group: Any) -> list[Any]:
    return [(one.tag, sorted(one.attrib.items()), one.text) for one in group]


def test_geopackage_names_a_default_style_for_every_layer(sheet: FeatureBatch, tmp_path: Path) -> None:
    path = tmp_path / "sheet.gpkg"
    write_geopackage(path, [sheet], styles=default_layer_style)
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT f_table_name, styleQML, useAsDefault FROM layer_styles").fetchall()
    connection.close()
    assert sorted(row[0] for row in rows) == sorted((*LINES, *COMPONENTS))
    for _, qml, default in rows:
        assert default == 1
        assert etree.fromstring(qml.encode()).tag == "qgis"


@pytest.mark.parametrize("target", TARGETS)
def test_equal_arguments_give_equal_bytes(target: str) -> None:
    style_set = load_style_set("ler-viewer")
    assert emit(style_set, target) == emit(style_set, target)


def test_every_image_of_the_map_can_be_drawn(geoinfra: StyleSet) -> None:
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
