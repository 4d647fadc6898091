"""QGIS layer styles (QML) of a style set, for the layers of the GeoPackage: one a LER class.

Rules with symbol levels, in the order of the parts; lengths are millimetres, those of corridors map units.
Marks and symbols are held inside the file. Nothing of it depends on the network or on other files. Components
whose type is free text have the symbol of their class.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from threading import Event
from typing import Any, Final

from lxml import etree

from geoinfra.presentation.conditions import FALSE, TRUE, All, Condition, all_of, bound, class_condition
from geoinfra.presentation.maplibre import COLLECTIONS
from geoinfra.presentation.markers import marker_svg
from geoinfra.presentation.resolve import Corridor, Fill, Label, Marker, PointSymbol, Stroke
from geoinfra.presentation.rules import Rule, listed_types, part_rules
from geoinfra.presentation.style_set import StyleSet, Test, load_style_set
from geoinfra.presentation.symbols import load_symbols
from geoinfra.utilities.catalogue import FeatureClass, catalogue
from geoinfra.utilities.formats.flat import class_layout
from geoinfra.utilities.model import UTILITY_FEATURES

__all__ = ["collection_style", "default_layer_style", "emit", "layer_style", "prepare_default_styles"]

_VERSION: Final = "3.22.16"
_ROOT: Final = "{00000000-0000-0000-0000-000000000001}"
_LETTER: Final = 1.4  # size of a font whose capitals are as high as asked
_GEOMETRIES: Final = {"point": "Point", "line": "Line", "area": "Polygon"}
_KINDS: Final = {"Point": ("point",), "Curve": ("line",), "MultiCurve": ("line",)}


def emit(style_set: StyleSet, *, language: str = "da", theme: str | None = None) -> bytes:
    """Return the styles of all classes in one document: an element ``qgis`` each, named by its class."""
    root = etree.Element("styles", attrib={"set": style_set.name, "version": style_set.version})
    for entry in catalogue().feature_classes:
        root.append(_style(style_set, entry, language, theme))
    document: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return document


def layer_style(
    style_set: StyleSet, feature_class: str, *, language: str = "da", theme: str | None = None
) -> str:
    """Return the QML of the layer of a LER class; it styles points, lines and areas alike."""
    root = _style(style_set, catalogue().feature_class(feature_class), language, theme)
    text: str = etree.tostring(root, encoding="unicode")
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{text}"


@lru_cache(maxsize=64)
def default_layer_style(feature_class: str) -> str:
    """Return the QML of the layer of a LER class in the default style set; made once a process."""
    return layer_style(load_style_set(), feature_class)


def collection_style(
    style_set: StyleSet, collection: str, *, language: str = "da", theme: str | None = None
) -> str:
    """Return the QML of a collection as OGC API Features gives it: features of many classes in one layer.

    What no property of the collection tells, such as containment, counts as absent.

    Parameters
    ----------
    collection
        A key of :data:`geoinfra.presentation.maplibre.COLLECTIONS`.
    """
    known: dict[str, frozenset[Any]] = {"kind": frozenset(COLLECTIONS[collection])}
    fields = {column.name: f'"{column.name}"' for column in UTILITY_FEATURES.public_columns}
    fields["depth_source"] = "(CASE WHEN \"depth_mm\" IS NOT NULL THEN 'stated' END)"
    fields["width_mm"] = 'coalesce("diameter_mm",0)'
    for name in style_set.attributes:
        if name not in fields:
            known.setdefault(name, frozenset((None,)))
    kinds = ("line",) if collection == "utility-lines" else tuple(_GEOMETRIES)
    rules = [rule for part in style_set.parts for rule in part_rules(style_set, part, theme)]
    root = _Writer(style_set, collection, known, fields, language).style(rules, kinds)
    text: str = etree.tostring(root, encoding="unicode")
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{text}"


def prepare_default_styles(stop: Event | None = None) -> None:
    """Make the QML of every LER class ahead of its use, so that no package of this process waits for it."""
    for entry in catalogue().feature_classes:
        if stop is not None and stop.is_set():
            return
        default_layer_style(entry.name)


def _style(style_set: StyleSet, entry: FeatureClass, language: str, theme: str | None) -> Any:
    known: dict[str, frozenset[Any]] = {
        "feature_class": frozenset((entry.name,)),
        "kind": frozenset((entry.kind,)),
    }
    known["type"] = listed_types(entry)
    if entry.supply:
        known["supply"] = frozenset((entry.supply,))
    fields = _fields(entry)
    for name in style_set.attributes:
        if name not in fields:
            known.setdefault(name, frozenset((None,)))
    kinds = _KINDS.get(entry.geometry.geometry if entry.geometry else "", tuple(_GEOMETRIES))
    rules = [rule for part in style_set.parts for rule in part_rules(style_set, part, theme)]
    return _Writer(style_set, entry.name, known, fields, language).style(rules, kinds)


class _Conditions:
    """Conditions of the classes of one style set, worked out once for all layers."""

    def __init__(self, style_set: StyleSet) -> None:
        self.style_set = style_set
        self._made: dict[tuple[str, tuple[str, ...]], Condition] = {}

    def of(self, name: str, keys: tuple[str, ...]) -> Condition:
        """Return what holds for the features of these classes of a dimension."""
        key = (name, keys)
        if key not in self._made:
            self._made[key] = class_condition(self.style_set.dimensions[name], keys)
        return self._made[key]


_conditions: list[_Conditions] = []


def _conditions_of(style_set: StyleSet) -> _Conditions:
    """Return the conditions of a style set; those of the last one asked about are kept."""
    if not _conditions or _conditions[0].style_set is not style_set:
        _conditions[:] = [_Conditions(style_set)]
    return _conditions[0]


# ------------------------------------------------------------------ attributes as expressions


def _fields(entry: FeatureClass) -> dict[str, str]:
    """Return the expression of each attribute over the columns of the layer."""
    columns = {column.name for column in class_layout(entry.name).columns}
    fields = {name: f'"{name}"' for name in columns}
    has_z = "z(start_point($geometry))"
    depth = [f"WHEN \"geometry_source\" IS NOT 'container' AND {_HEIGHTS.format(z=has_z)} THEN 'registered'"]
    koter = [
        f'"{name}" IS NOT NULL' for name in ("topkote_m", "bundkote_m", "stutskote_m") if name in columns
    ]
    stated = " OR ".join(['"depth_mm" IS NOT NULL', *(koter if entry.kind == "component" else [])])
    depth += [f"WHEN {stated} THEN 'stated'", f"WHEN {_HEIGHTS.format(z=has_z)} THEN 'assumed'"]
    fields["depth_source"] = f"(CASE {' '.join(depth)} END)"
    simple = {
        "ownership": "ejerskabsforhold",
        "outlet": "tapstedstype",
        "pressure_bar": "tryk_bar",
        "temperature_c": "temperatur_Cel",
        "text": "text",
    }
    fields |= {name: f'"{column}"' for name, column in simple.items() if column in columns}
    widths = [f'"{name}"' for name in ("diameter_mm", "udvendigBredde_mm", "bredde_mm") if name in columns]
    fields["width_mm"] = f"coalesce({','.join([*widths, '0'])})"
    if entry.kind in ("line", "trace"):
        fields["containment"] = _containment(entry, columns)
    if "ledningstransporttype" in columns:
        fields["flow"] = _FLOW
    return fields


_HEIGHTS: Final = "({z} IS NOT NULL OR \"heights_json\" ~ '[0-9]')"
_FLOW: Final = (
    "(CASE WHEN \"ledningstransporttype\" = 'tryk' THEN 'pressure'"
    " WHEN \"ledningstransporttype\" = 'vakuum' THEN 'vacuum'"
    " WHEN \"ledningstransporttype\" = 'gravitation' AND"
    " z(start_point($geometry)) - z(end_point($geometry)) >= 0.02 THEN 'forward'"
    " WHEN \"ledningstransporttype\" = 'gravitation' AND"
    " z(end_point($geometry)) - z(start_point($geometry)) >= 0.02 THEN 'backward' END)"
)


def _containment(entry: FeatureClass, columns: set[str]) -> str:
    contains = '("indeholdtLedning" IS NOT NULL AND "indeholdtLedning" <> \'\')'
    if "indeholderLedninger" in columns:
        contains = f'(coalesce("indeholderLedninger",false) OR {contains})'
    if entry.kind == "trace":
        contains = "true"
    contained = "\"geometry_source\" IS 'container'"
    if "liggerILedning" in columns:
        contained = f'({contained} OR coalesce("liggerILedning",false))'
    return (
        f"(CASE WHEN {contains} AND {contained} THEN 'both' WHEN {contains} THEN 'container'"
        f" WHEN {contained} THEN 'contained' END)"
    )


def _quoted(text: Any) -> str:
    return "'" + str(text).replace("\\", "\\\\").replace("'", "''") + "'"


def _expression(condition: Condition, fields: Mapping[str, str]) -> str:
    match condition:
        case Test():
            return _test(condition, fields)
        case All():
            return "(" + " AND ".join(_expression(part, fields) for part in condition.parts) + ")"
        case _:
            return "(" + " OR ".join(_expression(part, fields) for part in condition.parts) + ")"


def _test(test: Test, fields: Mapping[str, str]) -> str:
    """Write a test that is true or false, never NULL."""
    if test.attribute == "geometry":
        names = [name for kind, name in _GEOMETRIES.items() if test.admits(kind)]
        return f"geometry_type($geometry) IN ({','.join(map(_quoted, names))})"
    value = fields[test.attribute]
    if test.values is None:
        limits = ((">=", test.start), ("<", test.below))
        asked = " AND ".join(f"{value} {sign} {limit:.10g}" for sign, limit in limits if abs(limit) < 1e300)
    else:
        named = sorted((one for one in test.values if one is not None), key=str)
        found = [f"{value} IN ({','.join(map(_quoted, named))})"] if named else []
        asked = " OR ".join([*found, *([f"{value} IS NULL"] if None in test.values else [])])
    sure = f"coalesce({asked}, false)"
    return f"NOT {sure}" if test.excluded else sure


# ------------------------------------------------------------------ the document


class _Writer:
    """Writes the style of one layer."""

    def __init__(
        self,
        style_set: StyleSet,
        name: str,
        known: Mapping[str, frozenset[Any]],
        fields: Mapping[str, str],
        language: str,
    ) -> None:
        self._set = style_set
        self._name = name
        self._known = known
        self._fields = fields
        self._language = language
        self._symbols = etree.Element("symbols")
        self._whole = _conditions_of(style_set)
        self._conditions: dict[Any, Condition] = {}

    def style(self, rules: Sequence[Rule], kinds: Sequence[str]) -> Any:
        """Return the element ``qgis``."""
        categories = "Symbology|Labeling"
        root = etree.Element("qgis", version=_VERSION, styleCategories=categories, labelsEnabled="1")
        root.set("name", self._name)
        renderer = etree.SubElement(
            root, "renderer-v2", type="RuleRenderer", symbollevels="1", forceraster="0", enableorderby="0"
        )
        drawn = etree.SubElement(renderer, "rules", key=_ROOT)
        labelling = etree.Element("labeling", type="rule-based")
        labelled = etree.SubElement(labelling, "rules", key=_ROOT)
        for rule in rules:
            for kind in (kind for kind in kinds if kind in _DRAWN_ON[rule.part.draw]):
                condition = self._condition(rule, kind)
                if condition != FALSE:
                    parent = labelled if isinstance(rule.layer, Label) else drawn
                    self._rule(parent, rule, kind, condition, guarded=len(kinds) > 1)
        renderer.append(self._symbols)
        root.append(labelling)
        etree.SubElement(root, "blendMode").text = "0"
        etree.SubElement(root, "featureBlendMode").text = "0"
        return root

    def _condition(self, rule: Rule, kind: str) -> Condition:
        parts = []
        for name, keys in rule.classes.items():
            part = self._class(name, keys, kind)
            if part == FALSE:
                return FALSE
            parts.append(part)
        return all_of(parts)

    def _class(self, name: str, keys: tuple[str, ...], kind: str) -> Condition:
        key = (name, keys, kind)
        if key not in self._conditions:
            known = {**self._known, "geometry": frozenset((kind,))}
            self._conditions[key] = bound(self._whole.of(name, keys), known)
        return self._conditions[key]

    def _rule(self, parent: Any, rule: Rule, kind: str, condition: Condition, *, guarded: bool) -> None:
        tests = [] if condition == TRUE else [_expression(condition, self._fields)]
        if guarded:
            tests.insert(0, f"geometry_type($geometry) = {_quoted(_GEOMETRIES[kind])}")
        element = etree.SubElement(parent, "rule", key=f"{{{len(parent):08x}-{rule.part.order:04x}}}")
        if tests:
            element.set("filter", " AND ".join(tests))
        element.set("scalemindenom", f"{rule.start:g}" if rule.start > 1 else "0")
        element.set("scalemaxdenom", f"{rule.below:g}")
        if isinstance(rule.layer, Label):
            element.set("description", rule.part.key)
            element.append(self._label(rule.layer, kind))
            return
        element.set("label", f"{rule.part.key}: {rule.part.da if self._language == 'da' else rule.part.en}")
        element.set("symbol", str(len(self._symbols)))
        self._symbol(rule, kind)

    def _symbol(self, rule: Rule, kind: str) -> None:
        types = {"point": "marker", "line": "line", "area": "fill"}
        symbol = _symbol(self._symbols, str(len(self._symbols)), types[kind])
        layer = rule.layer
        order = rule.part.order
        match layer:
            case Corridor() if kind == "line":
                element = _layer(symbol, "SimpleLine", order, self._corridor(layer))
                width = f"{2 * layer.half_width_m:g} + {self._fields['width_mm']} / 1000"
                _data_defined(element, "outlineWidth", width)
            case Corridor():
                _layer(symbol, "SimpleMarker", order, _disc(layer, 2 * layer.half_width_m, "MapUnit"))
            case Stroke():
                _layer(symbol, "SimpleLine", order, _line(layer))
            case Fill():
                values = {"color": _colour(layer.colour, layer.opacity), "style": "solid"}
                _layer(symbol, "SimpleFill", order, {**values, "outline_style": "no"})
            case Marker():
                self._marks(symbol, layer, order)
            case PointSymbol() if layer.symbol == "circle":
                _layer(symbol, "SimpleMarker", order, _disc(layer, layer.size_mm, "MM"))
            case PointSymbol():
                drawing = load_symbols(self._set.symbols).drawing(layer.symbol)
                svg = drawing.parametric_svg(layer.colour)
                _layer(symbol, "SvgMarker", order, _svg(svg, layer.colour, layer.opacity, layer.size_mm))

    @staticmethod
    def _corridor(layer: Corridor) -> dict[str, str]:
        return {
            "line_color": _colour(layer.colour, layer.opacity),
            "line_style": "solid",
            "line_width": f"{2 * layer.half_width_m:g}",
            "line_width_unit": "MapUnit",
            "capstyle": "round",
            "joinstyle": "round",
        }

    @staticmethod
    def _marks(symbol: Any, layer: Marker, order: int) -> None:
        values = {
            "interval": f"{layer.spacing_mm:g}",
            "interval_unit": "MM",
            "offset_along_line": f"{layer.first_mm:g}",
            "offset_along_line_unit": "MM",
            "placement": "interval",
            "rotate": "1",
        }
        element = _layer(symbol, "MarkerLine", order, values)
        inner = _symbol(element, f"@{symbol.get('name')}@0", "marker")
        if layer.marker == "text":
            letter = {
                "chr": layer.text,
                "color": _colour(layer.colour, layer.opacity),
                "font": "Sans Serif",
                "font_style": "Bold",
                "size": f"{layer.size_mm * _LETTER:g}",
                "size_unit": "MM",
                "outline_color": _colour("#ffffff", 1),
                "outline_width": "0.25",
                "outline_width_unit": "MM",
            }
            _layer(inner, "FontMarker", 0, letter)
            return
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="-0.5 -0.5 1 1">'
            f"{marker_svg(layer.marker, f'param(fill) {layer.colour}')}</svg>"
        )
        _layer(inner, "SvgMarker", 0, _svg(svg, layer.colour, layer.opacity, layer.size_mm))

    def _label(self, layer: Label, kind: str) -> Any:
        settings = etree.Element("settings", calloutType="simple")
        style = etree.SubElement(
            settings,
            "text-style",
            fieldName=self._text(layer.template),
            isExpression="1",
            fontFamily="Sans Serif",
            fontWeight="50",
            fontSize=f"{layer.size_mm * _LETTER:g}",
            fontSizeUnit="MM",
            textColor=_colour(layer.colour, layer.opacity),
            textOpacity="1",
        )
        etree.SubElement(
            style,
            "text-buffer",
            bufferDraw="1" if layer.halo_mm else "0",
            bufferSize=f"{layer.halo_mm:g}",
            bufferSizeUnits="MM",
            bufferColor=_colour(layer.halo_colour, 1),
            bufferOpacity="1",
        )
        placing = {"placement": "2", "placementFlags": "10"} if kind == "line" else {"placement": "6"}
        placing |= {
            "repeatDistance": f"{layer.spacing_mm:g}",
            "repeatDistanceUnits": "MM",
            "priority": str(min(10, 4 + 2 * layer.priority)),
            "dist": "0.6" if kind == "line" else "3.2",  # beside the symbol of a component
            "distUnits": "MM",
        }
        etree.SubElement(settings, "placement", attrib=placing)
        etree.SubElement(settings, "rendering", drawLabels="1", obstacle="1", scaleVisibility="0")
        return settings

    def _text(self, template: str) -> str:
        entry = self._set.labels[template]
        texts = list(self._segments(entry["segments"]))
        filled = f"array_filter(array({','.join(texts)}), @element <> '')"
        return f"array_to_string({filled}, {_quoted(entry['separator'])})"

    def _segments(self, segments: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        for segment in segments:
            value = self._fields.get(segment["attribute"])
            if value is None:
                continue
            if "decimals" in segment:
                shown = f"to_string(round({value} * {segment.get('times', 1):g}, {segment['decimals']}))"
                shown = f"replace({shown}, '.', ',')" if self._language == "da" else shown
            else:
                shown = f"regexp_replace(to_string({value}), '^other: ', '')"
            before, after = (_quoted(self._said(segment, side)) for side in ("before", "after"))
            yield f"coalesce({before} || {shown} || {after}, '')"

    def _said(self, segment: Mapping[str, Any], side: str) -> str:
        given = segment.get(side, "")
        return str(given.get(self._language, "")) if isinstance(given, Mapping) else str(given)


_DRAWN_ON: Final = {
    "corridor": ("line", "point"),
    "fill": ("area",),
    "stroke": ("line", "area"),
    "marker": ("line",),
    "point": ("point",),
    "label": ("line", "point"),
}


def _symbol(parent: Any, name: str, kind: str) -> Any:
    return etree.SubElement(
        parent, "symbol", name=name, type=kind, alpha="1", clip_to_extent="1", force_rhr="0"
    )


def _layer(symbol: Any, kind: str, order: int, values: Mapping[str, str]) -> Any:
    element = etree.SubElement(
        symbol, "layer", {"class": kind, "pass": str(order), "enabled": "1", "locked": "0"}
    )
    options = etree.SubElement(element, "Option", type="Map")
    for name, value in values.items():
        etree.SubElement(options, "Option", name=name, value=value, type="QString")
    return element


def _data_defined(layer: Any, name: str, expression: str) -> None:
    holder = etree.SubElement(layer, "data_defined_properties")
    root = etree.SubElement(holder, "Option", type="Map")
    etree.SubElement(root, "Option", name="name", value="", type="QString")
    properties = etree.SubElement(root, "Option", name="properties", type="Map")
    entry = etree.SubElement(properties, "Option", name=name, type="Map")
    etree.SubElement(entry, "Option", name="active", value="true", type="bool")
    etree.SubElement(entry, "Option", name="expression", value=expression, type="QString")
    etree.SubElement(entry, "Option", name="type", value="3", type="int")
    etree.SubElement(root, "Option", name="type", value="collection", type="QString")


def _line(layer: Stroke) -> dict[str, str]:
    values = {
        "line_color": _colour(layer.colour, layer.opacity),
        "line_style": "solid",
        "line_width": f"{layer.width_mm:g}",
        "line_width_unit": "MM",
        "capstyle": "flat" if layer.cap == "butt" else layer.cap,
        "joinstyle": "round",
        "use_custom_dash": "1" if layer.dash_mm else "0",
    }
    if layer.dash_mm:
        values |= {"customdash": ";".join(f"{one:g}" for one in layer.dash_mm), "customdash_unit": "MM"}
    return values


def _disc(layer: Corridor | PointSymbol, size: float, unit: str) -> dict[str, str]:
    return {
        "name": "circle",
        "color": _colour(layer.colour, layer.opacity),
        "outline_style": "no",
        "size": f"{size:g}",
        "size_unit": unit,
    }


def _svg(svg: str, colour: str, opacity: float, size_mm: float) -> dict[str, str]:
    return {
        "name": "base64:" + base64.b64encode(svg.encode()).decode(),
        "color": _colour(colour, opacity),
        "outline_width": "0",
        "size": f"{size_mm:g}",
        "size_unit": "MM",
    }


def _colour(colour: str, opacity: float) -> str:
    parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return ",".join(map(str, [*parts, round(opacity * 255)]))
