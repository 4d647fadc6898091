"""Styled Layer Descriptor with Symbology Encoding 1.1 of a style set.

One named layer for each collection and kind of geometry, one feature type style for each part, bottom to top,
one rule for each way in which the part is drawn. Lengths are pixels of 0.28 mm, those of corridors metres on
the ground; a corridor is without the half width of the feature, which not every program can add.
Marks and symbols are ``markers/<name>.svg`` and ``symbols/<id>.svg`` beside the file, with their colour as
the parameter ``fill``. Components whose type is free text have the symbol of their class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from lxml import etree

from geoinfra.presentation.conditions import FALSE, TRUE, All, Condition, all_of, bound, class_condition
from geoinfra.presentation.resolve import Corridor, Fill, Label, Marker, PointSymbol, Stroke
from geoinfra.presentation.rules import Rule, listed_types, part_rules
from geoinfra.presentation.style_set import Part, StyleSet, Test
from geoinfra.utilities.catalogue import catalogue

__all__ = ["LAYERS", "emit"]

_SLD: Final = "http://www.opengis.net/sld"
_SE: Final = "http://www.opengis.net/se"
_OGC: Final = "http://www.opengis.net/ogc"
_XLINK: Final = "http://www.w3.org/1999/xlink"
_METRE: Final = "http://www.opengeospatial.org/se/units/metre"
_PIXEL_MM: Final = 0.28
_FONT: Final = "Liberation Sans"

LAYERS: Final[Mapping[str, Mapping[str, frozenset[Any]]]] = {
    "utility-lines": {"kind": frozenset(("line", "trace")), "geometry": frozenset(("line",))},
    "utility-components-point": {"kind": frozenset(("component",)), "geometry": frozenset(("point",))},
    "utility-components-line": {"kind": frozenset(("component",)), "geometry": frozenset(("line",))},
    "utility-components-area": {"kind": frozenset(("component",)), "geometry": frozenset(("area",))},
}
"""Named layer -> what is known of its features."""

_GEOMETRIES: Final = {
    "corridor": ("line", "point"),
    "fill": ("area",),
    "stroke": ("line", "area"),
    "marker": ("line",),
    "point": ("point",),
    "label": ("line", "point"),
}


def emit(style_set: StyleSet, *, language: str = "da", theme: str | None = None) -> bytes:
    """Return the document."""
    rules = [(part, part_rules(style_set, part, theme)) for part in style_set.parts]
    prefixes: Any = {None: _SLD, "se": _SE, "ogc": _OGC, "xlink": _XLINK}
    root = etree.Element(
        f"{{{_SLD}}}StyledLayerDescriptor",
        attrib={"version": "1.1.0"},
        nsmap=prefixes,
    )
    for name, known in LAYERS.items():
        layer = etree.SubElement(root, f"{{{_SLD}}}NamedLayer")
        _se(layer, "Name", name)
        style = etree.SubElement(layer, f"{{{_SLD}}}UserStyle")
        _se(style, "Name", f"{style_set.name}-{style_set.version}")
        etree.SubElement(style, f"{{{_SLD}}}IsDefault").text = "1"
        (geometry,) = known["geometry"]
        writer = _Writer(style_set, geometry, language)
        told = _told(known)
        for part, own in rules:
            if geometry in _GEOMETRIES[part.draw]:
                writer.part(style, part, own, told)
    document: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return document


def _told(known: Mapping[str, frozenset[Any]]) -> Mapping[str, frozenset[Any]]:
    """Return what is known of the features of a layer, with the LER classes that they may be of."""
    entries = [entry for entry in catalogue().feature_classes if entry.kind in known["kind"]]
    types = frozenset[Any]().union(*map(listed_types, entries))
    told = {**known, "feature_class": frozenset(entry.name for entry in entries), "type": types}
    if all(entry.supply for entry in entries):
        told["supply"] = frozenset(entry.supply for entry in entries)
    return told


class _Writer:
    """Writes the parts of one named layer."""

    def __init__(self, style_set: StyleSet, geometry: str, language: str) -> None:
        self._set = style_set
        self._geometry = geometry
        self._language = language
        self._conditions: dict[Any, Condition] = {}

    def part(
        self, style: Any, part: Part, rules: Iterable[Rule], known: Mapping[str, frozenset[Any]]
    ) -> None:
        """Write a feature type style, unless no feature of the layer has the part."""
        met = [(rule, self._bound(rule, known)) for rule in rules]
        met = [(rule, condition) for rule, condition in met if condition != FALSE]
        if not met:
            return
        parent = _se(style, "FeatureTypeStyle")
        _se(parent, "Name", part.key)
        for number, (rule, condition) in enumerate(met):
            self._rule(parent, f"{part.key}-{number}", rule, condition)

    def _bound(self, rule: Rule, known: Mapping[str, frozenset[Any]]) -> Condition:
        """Return when the rule holds, said as shortly as what is known of its features admits."""
        own = rule.known(self._set)
        told = {**known, **{name: values & known.get(name, values) for name, values in own.items()}}
        return all_of(
            [
                self._class(name, keys, known if name == "type" else told)
                for name, keys in rule.classes.items()
            ]
        )

    def _class(self, name: str, keys: tuple[str, ...], known: Mapping[str, frozenset[Any]]) -> Condition:
        key = (name, keys, frozenset(known.items()))
        if key not in self._conditions:
            self._conditions[key] = bound(class_condition(self._set.dimensions[name], keys), known)
        return self._conditions[key]

    def _rule(self, parent: Any, name: str, rule: Rule, condition: Condition) -> None:
        element = _se(parent, "Rule")
        _se(element, "Name", name)
        title = rule.part.da if self._language == "da" else rule.part.en
        _se(_se(element, "Description"), "Title", title)
        if condition != TRUE:
            etree.SubElement(element, f"{{{_OGC}}}Filter").append(_condition(condition))
        if rule.start > min(band.start for band in self._set.scales):
            _se(element, "MinScaleDenominator", f"{rule.start:g}")
        _se(element, "MaxScaleDenominator", f"{rule.below:g}")
        self._symbolizer(element, rule.layer)

    def _symbolizer(self, rule: Any, layer: Any) -> None:
        match layer:
            case Corridor() if self._geometry == "line":
                width = layer.half_width_m * 2
                line = _se(rule, "LineSymbolizer", uom=_METRE)
                _stroke(line, layer.colour, layer.opacity, width, (), "round")
            case Corridor():
                point = _se(rule, "PointSymbolizer", uom=_METRE)
                _circle(point, layer.colour, layer.opacity, layer.half_width_m * 2)
            case Stroke():
                kind = "PolygonSymbolizer" if self._geometry == "area" else "LineSymbolizer"
                scale = self._scale
                dash = [length * scale for length in layer.dash_px]
                width = layer.width_px * scale
                _stroke(_se(rule, kind), layer.colour, layer.opacity, width, dash, layer.cap)
            case Fill():
                fill = _se(_se(rule, "PolygonSymbolizer"), "Fill")
                _parameters(fill, {"fill": layer.colour, "fill-opacity": f"{layer.opacity:g}"})
            case Marker() if layer.marker == "text":
                self._letters(_se(rule, "TextSymbolizer"), layer)
            case Marker():
                self._marks(_se(rule, "LineSymbolizer"), layer)
            case PointSymbol():
                self._point(_se(rule, "PointSymbolizer"), layer)
            case Label():
                self._label(_se(rule, "TextSymbolizer"), layer)

    @property
    def _scale(self) -> float:
        """SE pixels for a pixel of the set."""
        return self._set.pixel_mm / _PIXEL_MM

    def _letters(self, parent: Any, layer: Marker) -> None:
        _se(parent, "Label", layer.text)
        self._font(parent, layer.size_px)
        line = _se(_se(parent, "LabelPlacement"), "LinePlacement")
        _se(line, "IsRepeated", "true")
        _se(line, "InitialGap", _number(layer.first_mm / _PIXEL_MM))
        _se(line, "Gap", _number(layer.spacing_px * self._scale))
        _halo(parent, "#ffffff", 1.5)
        _parameters(_se(parent, "Fill"), {"fill": layer.colour})

    def _marks(self, parent: Any, layer: Marker) -> None:
        graphics = _se(_se(parent, "Stroke"), "GraphicStroke")
        graphic = _se(graphics, "Graphic")
        _external(graphic, f"markers/{layer.marker}.svg", layer.colour)
        _se(graphic, "Opacity", f"{layer.opacity:g}")
        _se(graphic, "Size", _number(layer.size_px * self._scale))
        _se(graphics, "InitialGap", _number(layer.first_mm / _PIXEL_MM))
        _se(graphics, "Gap", _number(max(layer.spacing_px - layer.size_px, 0) * self._scale))

    def _point(self, parent: Any, layer: PointSymbol) -> None:
        size_px = layer.size_px * self._scale
        if layer.symbol == "circle":
            _circle(parent, layer.colour, layer.opacity, size_px)
            return
        graphic = _se(parent, "Graphic")
        _external(graphic, f"symbols/{layer.symbol}.svg", layer.colour)
        _se(graphic, "Opacity", f"{layer.opacity:g}")
        _se(graphic, "Size", _number(size_px))

    def _label(self, parent: Any, layer: Label) -> None:
        joined = _se(_se(parent, "Label"), "Concatenate", fallbackValue="")
        entry = self._set.labels[layer.template]
        for place, segment in enumerate(entry["segments"]):
            self._segment(_se(joined, "StringValue"), segment, entry["separator"] if place else "")
        self._font(parent, layer.size_px)
        if self._geometry == "line":
            line = _se(_se(parent, "LabelPlacement"), "LinePlacement")
            _se(line, "PerpendicularOffset", _number(layer.size_px * self._scale))
        _halo(parent, layer.halo_colour, layer.halo_px * self._scale)
        _parameters(_se(parent, "Fill"), {"fill": layer.colour})

    def _segment(self, parent: Any, segment: Mapping[str, Any], separator: str) -> None:
        """Write a segment; its fall-back value stands for it where the attribute is absent."""
        before = separator + self._said(segment, "before")
        after = self._said(segment, "after")
        if "decimals" not in segment:
            joined = _se(parent, "Concatenate", fallbackValue="")
            self._literal(joined, before)
            name = etree.SubElement(_se(joined, "StringValue"), f"{{{_OGC}}}PropertyName")
            name.text = segment["attribute"]
            self._literal(joined, after)
            return
        point = "," if self._language == "da" else "."
        shown = _se(parent, "FormatNumber", fallbackValue="", decimalPoint=point)
        value = _se(shown, "NumericValue")
        if segment.get("times", 1) != 1:
            value = etree.SubElement(value, f"{{{_OGC}}}Mul")
            etree.SubElement(value, f"{{{_OGC}}}Literal").text = f"{segment['times']:g}"
        etree.SubElement(value, f"{{{_OGC}}}PropertyName").text = segment["attribute"]
        digits = f"0.{'#' * segment['decimals']}".removesuffix(".")
        _se(shown, "Pattern", f"{_in_pattern(before)}{digits}{_in_pattern(after)}")

    def _said(self, segment: Mapping[str, Any], side: str) -> str:
        given = segment.get(side, "")
        return str(given.get(self._language, "")) if isinstance(given, Mapping) else str(given)

    @staticmethod
    def _literal(parent: Any, text: str) -> None:
        if text:
            etree.SubElement(_se(parent, "StringValue"), f"{{{_OGC}}}Literal").text = text

    def _font(self, parent: Any, size_px: float) -> None:
        size = _number(size_px * self._scale * 1.4)
        _parameters(_se(parent, "Font"), {"font-family": _FONT, "font-size": size})


# ------------------------------------------------------------------ elements


def _se(parent: Any, tag: str, text: str | None = None, **attributes: str) -> Any:
    element = etree.SubElement(parent, f"{{{_SE}}}{tag}", attrib=attributes)
    if text is not None:
        element.text = text
    return element


def _number(value: float) -> str:
    return f"{round(value, 3):g}"


def _in_pattern(text: str) -> str:
    """Quote what stands before or after the digits of a number's pattern."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'" if text else ""


def _parameters(parent: Any, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        _se(parent, "SvgParameter", value, name=name)


def _stroke(parent: Any, colour: str, opacity: float, width: float, dash: Sequence[float], cap: str) -> None:
    values = {
        "stroke": colour,
        "stroke-opacity": f"{opacity:g}",
        "stroke-width": _number(width),
        "stroke-linejoin": "round",
        "stroke-linecap": cap,
    }
    if dash:
        values["stroke-dasharray"] = " ".join(_number(length) for length in dash)
    _parameters(_se(parent, "Stroke"), values)


def _circle(parent: Any, colour: str, opacity: float, size: float) -> None:
    graphic = _se(parent, "Graphic")
    mark = _se(graphic, "Mark")
    _se(mark, "WellKnownName", "circle")
    _parameters(_se(mark, "Fill"), {"fill": colour})
    _se(graphic, "Opacity", f"{opacity:g}")
    _se(graphic, "Size", _number(size))


def _external(graphic: Any, path: str, colour: str) -> None:
    external = _se(graphic, "ExternalGraphic")
    resource = _se(external, "OnlineResource")
    resource.set(f"{{{_XLINK}}}type", "simple")
    resource.set(f"{{{_XLINK}}}href", f"{path}?fill=%23{colour[1:]}")
    _se(external, "Format", "image/svg+xml")


def _halo(parent: Any, colour: str, radius: float) -> None:
    halo = _se(parent, "Halo")
    _se(halo, "Radius", _number(radius))
    _parameters(_se(halo, "Fill"), {"fill": colour})


def _condition(condition: Condition) -> Any:
    """Return the filter element of a condition."""
    match condition:
        case Test():
            return _test(condition)
        case All():
            return _joined("And", [_condition(part) for part in condition.parts])
        case _:
            return _joined("Or", [_condition(part) for part in condition.parts])


def _test(test: Test) -> Any:
    """Return a test; one of what is not admitted says outright whether an absent value is."""
    if not test.excluded:
        return _inside(test)
    values = test.values
    if values is not None and None in values:
        present = _not(_null(test.attribute))
        named = values - {None}
        return _joined("And", [present, _not(_inside(replace(test, values=named)))]) if named else present
    return _joined("Or", [_null(test.attribute), _not(_inside(test))])


def _inside(test: Test) -> Any:
    if test.values is None:
        limits = (("PropertyIsGreaterThanOrEqualTo", test.start), ("PropertyIsLessThan", test.below))
        asked = [
            _compare(name, test.attribute, _number(limit)) for name, limit in limits if abs(limit) < 1e300
        ]
        return _joined("And", asked)
    named = sorted((value for value in test.values if value is not None), key=str)
    found = [_compare("PropertyIsEqualTo", test.attribute, str(value)) for value in named]
    if None in test.values:
        found.append(_null(test.attribute))
    return _joined("Or", found)


def _joined(name: str, parts: Sequence[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    element = etree.Element(f"{{{_OGC}}}{name}")
    element.extend(parts)
    return element


def _not(part: Any) -> Any:
    element = etree.Element(f"{{{_OGC}}}Not")
    element.append(part)
    return element


def _compare(name: str, attribute: str, value: str) -> Any:
    element = etree.Element(f"{{{_OGC}}}{name}")
    etree.SubElement(element, f"{{{_OGC}}}PropertyName").text = attribute
    etree.SubElement(element, f"{{{_OGC}}}Literal").text = value
    return element


def _null(attribute: str) -> Any:
    element = etree.Element(f"{{{_OGC}}}PropertyIsNull")
    etree.SubElement(element, f"{{{_OGC}}}PropertyName").text = attribute
    return element
