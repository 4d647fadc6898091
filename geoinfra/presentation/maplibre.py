"""MapLibre style (JSON, version 8) of a style set, for the vector tiles of the utility collections.

A part becomes one layer for each dash and each run of scale bands in which the same features are drawn;
colours and widths are expressions over classes and zoom. Zoom levels stand for scales at the latitude of the
set.
Attributes that no tile column holds are columns of the tile under the same name
(:mod:`geoinfra.presentation.attributes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import cos, log2, radians
from typing import Any, Final

import orjson

from geoinfra.presentation.conditions import FALSE, All, Any_, Condition, bound, class_condition
from geoinfra.presentation.resolve import Corridor, DrawnLayer, Fill, Label, Marker, PointSymbol, Stroke
from geoinfra.presentation.rules import Rule, part_rules
from geoinfra.presentation.style_set import Dimension, Part, ScaleBand, StyleSet, Test

__all__ = ["attributes_read", "emit", "style_document", "style_layers", "used_images", "zoom_of"]

COLLECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "utility-components": ("component",),
    "utility-lines": ("line", "trace"),
}
"""Collection, which is source and source layer -> kinds of features in it."""

_TILE_DENOMINATOR: Final = (
    559_082_264.0287178 / 2
)  # of zoom 0 with tiles of 512 px of 0.28 mm, at the equator
_METRES_A_PIXEL: Final = 78_271.516964
_FONT: Final = ("Inter Medium", "sans-serif")
_GEOMETRIES: Final = {
    "point": ("Point", "MultiPoint"),
    "line": ("LineString", "MultiLineString"),
    "area": ("Polygon", "MultiPolygon"),
}
_FURTHEST_ZOOM: Final = 24
_OWN_WIDTH: Final = ("width_mm", "diameter_mm")

type Expression = Any


def emit(style_set: StyleSet, *, language: str = "da", theme: str | None = None) -> bytes:
    """Return the style as JSON with relative addresses of tiles, sprite and glyphs."""
    document = style_document(style_set, language=language, theme=theme)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def style_document(
    style_set: StyleSet, *, language: str = "da", theme: str | None = None, base: str = ""
) -> dict[str, Any]:
    """Return the style; `base` stands before the addresses of tiles, sprite and glyphs."""
    tiles = {
        name: f"{base}collections/{name}/tiles/WebMercatorQuad/{{z}}/{{y}}/{{x}}" for name in COLLECTIONS
    }
    return {
        "version": 8,
        "name": f"{style_set.name} {style_set.version}",
        "metadata": {"geoinfra:style-set": style_set.name, "geoinfra:version": style_set.version},
        "sprite": f"{base}sprite",
        "glyphs": f"{base}fonts/{{fontstack}}/{{range}}.pbf",
        "sources": {
            name: {"type": "vector", "tiles": [address], "minzoom": 10, "maxzoom": 18}
            for name, address in tiles.items()
        },
        "layers": style_layers(style_set, language=language, theme=theme),
    }


def zoom_of(style_set: StyleSet, scale_denominator: float) -> float:
    """Return the zoom level whose scale is `scale_denominator` at the latitude of the set."""
    reference = _TILE_DENOMINATOR * cos(radians(style_set.latitude_deg)) * 0.28 / style_set.pixel_mm
    return round(log2(reference / scale_denominator), 4)


def style_layers(
    style_set: StyleSet, *, language: str = "da", theme: str | None = None
) -> list[dict[str, Any]]:
    """Return the layers, bottom to top; what is no text is made once for all languages."""
    layers: list[dict[str, Any]] = []
    for part in style_set.parts:
        key = ("maplibre", part.key, style_set.theme(theme), language if part.draw == "label" else "")
        if key not in style_set.cache:
            style_set.cache[key] = tuple(_layers_of(style_set, part, language, theme))
        layers.extend(dict(layer) for layer in style_set.cache[key])
    return layers


def _layers_of(style_set: StyleSet, part: Part, language: str, theme: str | None) -> Iterator[dict[str, Any]]:
    writer = _Writer(style_set, language)
    rules = part_rules(style_set, part, theme, possible=False)
    for collection, kinds in COLLECTIONS.items():
        yield from writer.layers(part, rules, collection, kinds)


def attributes_read(style_set: StyleSet, theme: str | None = None) -> Mapping[str, float]:
    """Return the attributes of a feature that layers read, each with the lowest zoom at which one does."""
    furthest = max(band.below for band in style_set.scales)
    found: dict[str, float] = {}
    for part in style_set.parts:
        for rule in part_rules(style_set, part, theme, possible=False):
            zoom = zoom_of(style_set, rule.below) if rule.below < furthest else 0.0
            for name in _attributes_of(style_set, rule):
                found[name] = min(found.get(name, zoom), zoom)
    return found


def _attributes_of(style_set: StyleSet, rule: Rule) -> Iterator[str]:
    for dimension in rule.classes:
        yield from style_set.dimensions[dimension].attributes
    if isinstance(rule.layer, Corridor):
        yield from _OWN_WIDTH
    if isinstance(rule.layer, Label):
        yield from (segment["attribute"] for segment in style_set.labels[rule.layer.template]["segments"])


def used_images(style_set: StyleSet, theme: str | None = None) -> dict[str, DrawnLayer]:
    """Return the images of the sprite: name -> a layer that draws it."""
    found: dict[str, DrawnLayer] = {}
    for part in style_set.parts:
        if part.draw in ("marker", "point"):
            for rule in part_rules(style_set, part, theme):
                name = _image(rule.layer)
                if name:
                    found.setdefault(name, rule.layer)
    return found


def _image(layer: DrawnLayer) -> str:
    if isinstance(layer, Marker) and layer.marker != "text":
        return f"{layer.marker}/{layer.colour[1:]}"
    if isinstance(layer, PointSymbol) and layer.symbol != "circle":
        return f"{layer.symbol}/{layer.colour[1:]}"
    return ""


# ------------------------------------------------------------------ layers


class _Writer:
    """Writes the layers of a part for one collection."""

    def __init__(self, style_set: StyleSet, language: str) -> None:
        self._set = style_set
        self._language = language

    def layers(
        self, part: Part, rules: Sequence[Rule], collection: str, kinds: Sequence[str]
    ) -> Iterator[dict[str, Any]]:
        known = {"kind": frozenset(kinds)}
        occurs = {
            (name, keys): bound(class_condition(self._set.dimensions[name], keys), known) != FALSE
            for name, keys in {item for rule in rules for item in rule.classes.items()}
        }
        kept = [rule for rule in rules if all(occurs[item] for item in rule.classes.items())]
        for suffix, family, bands in self._families(kept):
            choice = _Choice(self._set, known, family, bands)
            for kind, draw in _DRAWINGS[part.draw](self, choice):
                layer = {
                    "id": "/".join(filter(None, (collection, part.key, suffix, kind))),
                    "type": draw.pop("type"),
                    "source": collection,
                    "source-layer": collection,
                    "metadata": {"geoinfra:part": part.key, "geoinfra:order": part.order},
                }
                if bands[-1].below < max(band.below for band in self._set.scales):
                    layer["minzoom"] = max(0, zoom_of(self._set, bands[-1].below))
                if bands[0].start > min(band.start for band in self._set.scales):
                    layer["maxzoom"] = zoom_of(self._set, bands[0].start)
                layer["filter"] = ["all", *draw.pop("filters"), choice.filter()]
                yield {**layer, **draw}

    def _families(self, rules: Sequence[Rule]) -> Iterator[tuple[str, list[Rule], list[ScaleBand]]]:
        """Sort rules into those that one layer can carry: one dash, bands in which the same is drawn."""
        families: dict[Any, list[Rule]] = {}
        for rule in rules:
            families.setdefault(_apart(rule.layer), []).append(rule)
        for number, family in enumerate(families.values()):
            ordered = sorted(self._set.scales, key=lambda band: band.start)
            run: list[ScaleBand] = []
            drawn: frozenset[Any] = frozenset()
            runs: list[list[ScaleBand]] = []
            for band in ordered:
                here = frozenset(_combination(rule) for rule in family if band in rule.bands)
                if run and (here != drawn or not here):
                    runs.append(run)
                    run = []
                if here:
                    run.append(band)
                drawn = here
            runs.append(run)
            for bands in filter(None, runs):
                suffix = f"{bands[0].key}{f'-{number}' if len(families) > 1 else ''}"
                yield suffix, [rule for rule in family if set(bands) & set(rule.bands)], bands

    # ways to draw

    def corridor(self, choice: _Choice) -> Iterator[tuple[str, dict[str, Any]]]:
        half = choice.value(lambda layer: layer.half_width_m, stepped=False)
        own = ["/", ["coalesce", *(["get", name] for name in _OWN_WIDTH), 0], 2000]
        colour = choice.value(lambda layer: layer.colour)
        opacity = choice.value(lambda layer: layer.opacity)
        yield (
            "line",
            {
                "type": "line",
                "filters": [_geometry_is(("line",))],
                "layout": {"line-cap": "round", "line-join": "round"},
                "paint": {
                    "line-color": colour,
                    "line-opacity": opacity,
                    "line-width": self._on_ground(["*", 2, ["+", half, own]]),
                },
            },
        )
        yield (
            "point",
            {
                "type": "circle",
                "filters": [_geometry_is(("point",))],
                "paint": {
                    "circle-color": colour,
                    "circle-opacity": opacity,
                    "circle-radius": self._on_ground(half),
                    "circle-pitch-alignment": "map",
                },
            },
        )

    def _on_ground(self, metres: Expression) -> Expression:
        metres_a_pixel = _METRES_A_PIXEL * cos(radians(self._set.latitude_deg))
        ends = [(zoom, 2**zoom / metres_a_pixel) for zoom in (0, _FURTHEST_ZOOM)]
        return [
            "interpolate",
            ["exponential", 2],
            ["zoom"],
            *(part for zoom, pixels in ends for part in (zoom, ["*", metres, pixels])),
        ]

    def fill(self, choice: _Choice) -> Iterator[tuple[str, dict[str, Any]]]:
        paint = {
            "fill-color": choice.value(lambda layer: layer.colour),
            "fill-opacity": choice.value(lambda layer: layer.opacity),
        }
        yield "", {"type": "fill", "filters": [_geometry_is(("area",))], "paint": paint}

    def stroke(self, choice: _Choice) -> Iterator[tuple[str, dict[str, Any]]]:
        paint = {
            "line-color": choice.value(lambda layer: layer.colour),
            "line-opacity": choice.value(lambda layer: layer.opacity),
            "line-width": choice.value(lambda layer: layer.width_px),
        }
        dash = choice.dash()
        if dash:
            paint["line-dasharray"] = dash
        layout = {"line-cap": choice.one(lambda layer: layer.cap), "line-join": "round"}
        yield (
            "",
            {"type": "line", "filters": [_geometry_is(("line", "area"))], "layout": layout, "paint": paint},
        )

    def marker(self, choice: _Choice) -> Iterator[tuple[str, dict[str, Any]]]:
        layout: dict[str, Any] = {
            "symbol-placement": "line",
            "symbol-spacing": choice.one(lambda layer: layer.spacing_px),
        }
        filters = [_geometry_is(("line", "area"))]
        if choice.one(lambda layer: layer.marker == "text"):
            layout |= {
                "text-field": choice.value(lambda layer: layer.text),
                "text-font": list(_FONT),
                "text-size": choice.value(lambda layer: layer.size_px * _LETTER),
                "text-keep-upright": True,
                "text-padding": 1,
            }
            paint = {
                "text-color": choice.value(lambda layer: layer.colour),
                "text-halo-color": "#ffffff",
                "text-halo-width": 1.5,
            }
            yield "", {"type": "symbol", "filters": filters, "layout": layout, "paint": paint}
            return
        layout |= {
            "icon-image": choice.value(_image),
            "icon-size": choice.value(lambda layer: layer.size_px / IMAGE_PX),
            "icon-allow-overlap": True,
            "icon-ignore-placement": True,
        }
        paint = {"icon-opacity": choice.value(lambda layer: layer.opacity)}
        yield "", {"type": "symbol", "filters": filters, "layout": layout, "paint": paint}

    def point(self, choice: _Choice) -> Iterator[tuple[str, dict[str, Any]]]:
        filters = [_geometry_is(("point",))]
        if choice.one(lambda layer: layer.symbol == "circle"):
            paint = {
                "circle-color": choice.value(lambda layer: layer.colour),
                "circle-opacity": choice.value(lambda layer: layer.opacity),
                "circle-radius": choice.value(lambda layer: layer.size_px / 2),
            }
            yield "", {"type": "circle", "filters": filters, "paint": paint}
            return
        layout = {
            "icon-image": [
                "concat",
                choice.value(lambda layer: layer.symbol, stepped=False),
                "/",
                choice.value(lambda layer: layer.colour[1:], stepped=False),
            ],
            "icon-size": choice.value(lambda layer: layer.size_px / IMAGE_PX),
            "icon-allow-overlap": True,
        }
        paint = {"icon-opacity": choice.value(lambda layer: layer.opacity)}
        yield "", {"type": "symbol", "filters": filters, "layout": layout, "paint": paint}

    def label(self, choice: _Choice) -> Iterator[tuple[str, dict[str, Any]]]:
        for kind, placement in (("line", "line"), ("point", "point")):
            layout: dict[str, Any] = {
                "symbol-placement": placement,
                "text-field": self._text(choice.one(lambda layer: layer.template)),
                "text-font": list(_FONT),
                "text-size": choice.value(lambda layer: layer.size_px * _LETTER),
                "text-padding": 8,
                "text-max-angle": 25,
                "symbol-sort-key": ["*", -1, choice.value(lambda layer: layer.priority, stepped=False)],
                "symbol-spacing": choice.one(lambda layer: layer.spacing_px),
                "text-offset": [0, -0.85] if kind == "line" else [0, 1.4],
            }
            paint = {
                "text-color": choice.value(lambda layer: layer.colour),
                "text-halo-color": choice.value(lambda layer: layer.halo_colour),
                "text-halo-width": choice.value(lambda layer: layer.halo_px),
            }
            yield (
                kind,
                {"type": "symbol", "filters": [_geometry_is((kind,))], "layout": layout, "paint": paint},
            )

    def _text(self, template: str) -> Expression:
        entry = self._set.labels[template]
        texts: list[Expression] = []
        for segment in entry["segments"]:
            name = segment["attribute"]
            number = ["*", ["to-number", ["get", name]], segment.get("times", 1)]
            decimals = segment.get("decimals", 2)
            limits = {"locale": self._language, "max-fraction-digits": decimals}
            # a whole number is not grouped: 1.200 mm may be read as one and a fifth
            written = ["number-format", number, limits] if decimals else ["to-string", ["round", number]]
            shown = ["case", ["==", ["typeof", ["get", name]], "number"], written]
            before, after = (self._said(segment, side) for side in ("before", "after"))
            text = ["to-string", ["get", name]]
            plain = ["case", ["==", ["index-of", _OTHER, text], 0], ["slice", text, len(_OTHER)], text]
            value = [*shown, plain]
            said = ["concat", before, value, after, entry["separator"]]
            texts.append(["case", ["==", ["coalesce", ["get", name], ""], ""], "", said])
        return ["concat", *texts]

    def _said(self, segment: Mapping[str, Any], side: str) -> str:
        given = segment.get(side, "")
        return str(given.get(self._language, "")) if isinstance(given, Mapping) else str(given)


IMAGE_PX: Final = 24
"""Size of the images of the sprite on the map, before ``icon-size``."""
_LETTER: Final = 1.4  # size of a font whose capitals are as high as asked
_OTHER: Final = "other: "  # stands before values of code lists that are free text

_DRAWINGS: Final[Mapping[str, Callable[[_Writer, _Choice], Iterator[tuple[str, dict[str, Any]]]]]] = {
    "corridor": _Writer.corridor,
    "fill": _Writer.fill,
    "stroke": _Writer.stroke,
    "marker": _Writer.marker,
    "point": _Writer.point,
    "label": _Writer.label,
}


def _apart(layer: DrawnLayer) -> tuple[Any, ...]:
    """Return what all features of one layer must have in common."""
    match layer:
        case Stroke():
            return ("dash" if layer.dash_px else "solid", layer.dash_px, layer.cap)
        case Marker():
            return (layer.marker == "text", layer.spacing_px)
        case PointSymbol():
            return (layer.symbol == "circle",)
        case Label():
            return (layer.template, layer.spacing_px)
        case Corridor() | Fill():
            return ()


def _combination(rule: Rule) -> frozenset[tuple[str, tuple[str, ...]]]:
    return frozenset(rule.classes.items())


# ------------------------------------------------------------------ expressions


class _Choice:
    """The rules of one layer as expressions."""

    def __init__(
        self,
        style_set: StyleSet,
        known: Mapping[str, frozenset[Any]],
        rules: Sequence[Rule],
        bands: Sequence[ScaleBand],
    ) -> None:
        self._set = style_set
        self._known = known
        self._rules = rules
        self._bands = bands

    def one(self, read: Callable[[Any], Any]) -> Any:
        """Return the value that all rules share."""
        (value,) = {read(rule.layer) for rule in self._rules}
        return value

    def value(self, read: Callable[[Any], Any], *, stepped: bool = True) -> Expression:
        """Return the expression of a value over classes and zoom."""
        by_band = [self._in_band(read, band) for band in self._bands]
        if not stepped or all(expression == by_band[0] for expression in by_band):
            return by_band[0]
        return self._steps(by_band)

    def dash(self) -> Expression:
        """Return the dash in widths of the line, as MapLibre counts it; empty for a solid line."""
        dash_px = self.one(lambda layer: layer.dash_px)
        if not dash_px:
            return []
        by_band = [
            self._in_band(
                lambda layer: ["literal", [round(length / layer.width_px, 3) for length in layer.dash_px]],
                band,
            )
            for band in self._bands
        ]
        if all(expression == by_band[0] for expression in by_band):
            return by_band[0]
        return self._steps(by_band)

    def _steps(self, by_band: Sequence[Expression]) -> Expression:
        """Switch at the edges of the bands; small scales, which are low zoom levels, come first."""
        steps: list[Any] = ["step", ["zoom"], by_band[-1]]
        for place in range(len(self._bands) - 2, -1, -1):
            steps += [zoom_of(self._set, self._bands[place].below), by_band[place]]
        return steps

    def _in_band(self, read: Callable[[Any], Any], band: ScaleBand) -> Expression:
        table = [(rule.classes, read(rule.layer)) for rule in self._rules if band in rule.bands]
        return self._tree(table)

    def filter(self) -> Expression:
        """Return which features the layer draws."""
        combinations: dict[Any, Mapping[str, tuple[str, ...]]] = {}
        for rule in self._rules:
            combinations.setdefault(_combination(rule), rule.classes)
        boxes = _merged([dict(classes) for classes in combinations.values()])
        found = [
            [
                "all",
                *(
                    self._condition(class_condition(self._set.dimensions[name], keys))
                    for name, keys in box.items()
                    if set(keys) != set(self._set.keys_of(name))
                ),
            ]
            for box in boxes
        ]
        return found[0] if len(found) == 1 else ["any", *found]

    def _tree(self, table: Sequence[tuple[Mapping[str, tuple[str, ...]], Any]]) -> Expression:
        """Return nested choices over those dimensions only that matter."""
        values = [value for _, value in table]
        if all(value == values[0] for value in values):
            return values[0]
        for dimension in self._set.dimensions:
            branches: dict[tuple[str, ...], list[tuple[Mapping[str, tuple[str, ...]], Any]]] = {}
            for classes, value in table:
                branches.setdefault(classes.get(dimension, ()), []).append((classes, value))
            if len(branches) > 1 and self._matters(dimension, table):
                return self._switch(dimension, branches)
        raise ValueError("rules with equal classes differ")

    def _matters(self, dimension: str, table: Sequence[tuple[Mapping[str, tuple[str, ...]], Any]]) -> bool:
        seen: dict[Any, Any] = {}
        for classes, value in table:
            others = frozenset((name, keys) for name, keys in classes.items() if name != dimension)
            if seen.setdefault(others, value) != value:
                return True
        return False

    def _switch(
        self,
        dimension: str,
        branches: Mapping[tuple[str, ...], Sequence[tuple[Mapping[str, tuple[str, ...]], Any]]],
    ) -> Expression:
        joined: list[tuple[list[str], Expression]] = []
        for keys, rows in branches.items():
            own = [({n: k for n, k in classes.items() if n != dimension}, value) for classes, value in rows]
            result = self._tree(own)
            for held, expression in joined:
                if expression == result:
                    held.extend(keys)
                    break
            else:
                joined.append((list(keys), result))
        if len(joined) == 1:
            return joined[0][1]
        rest = next((row.key for row in self._set.dimensions[dimension].classes if not row.when), None)
        last = next((i for i, (keys, _) in enumerate(joined) if rest in keys), len(joined) - 1)
        default = joined.pop(last)[1]
        tests = self._tests(self._set.dimensions[dimension], joined)
        return self._matched(tests, default) or [
            "case",
            *(part for test, expression in tests for part in (_condition(test), expression)),
            default,
        ]

    def _tests(
        self, dimension: Dimension, choices: Sequence[tuple[list[str], Expression]]
    ) -> list[tuple[Condition, Expression]]:
        """Return the conditions of choices that are tried in turn."""
        firm, some, _ = dimension.tiers
        tried = {key for keys, _ in choices for key in keys}
        if not some or not {row.key for row in firm} <= tried:
            return [
                (bound(class_condition(dimension, keys), self._known), expression)
                for keys, expression in choices
            ]
        found = []
        for tier in (firm, some):  # what the first has taken, the second need not exclude
            for keys, expression in choices:
                own = tuple(alternative for row in tier if row.key in keys for alternative in row.when)
                if own:
                    condition = Any_(tuple(All(tests) for tests in own))
                    found.append((bound(condition, self._known), expression))
        return found

    @staticmethod
    def _matched(tests: Sequence[tuple[Condition, Expression]], default: Expression) -> Expression:
        """Return a quick ``match`` where every choice asks the same attribute for texts."""
        plain = [
            test
            for test, _ in tests
            if isinstance(test, Test)
            and test.values is not None
            and not test.excluded
            and all(isinstance(value, str) for value in test.values)
            and test.attribute not in _NOT_PLAIN
        ]
        if len(plain) != len(tests) or len({test.attribute for test in plain}) != 1:
            return None
        choices = [
            part
            for test, (_, expression) in zip(plain, tests, strict=True)
            for part in (sorted(test.values or ()), expression)
        ]
        return ["match", ["get", plain[0].attribute], *choices, default]

    def _condition(self, condition: Condition) -> Expression:
        return _condition(bound(condition, self._known))


_NOT_PLAIN: Final = ("geometry",)


def _merged(boxes: list[dict[str, tuple[str, ...]]]) -> list[dict[str, tuple[str, ...]]]:
    """Join combinations that differ in one dimension only, until none do."""
    names = sorted({name for box in boxes for name in box})
    for name in names:
        joined: dict[Any, list[str]] = {}
        kept: dict[Any, dict[str, tuple[str, ...]]] = {}
        for box in boxes:
            rest = frozenset((n, frozenset(k)) for n, k in box.items() if n != name)
            key = (rest, name in box)
            joined.setdefault(key, []).extend(box.get(name, ()))
            kept.setdefault(key, box)
        boxes = [
            {**box, name: tuple(dict.fromkeys(joined[key]))} if name in box else box
            for key, box in kept.items()
        ]
    return boxes


def _geometry_is(kinds: Sequence[str]) -> Expression:
    names = [name for kind in kinds for name in _GEOMETRIES[kind]]
    return ["in", ["geometry-type"], ["literal", names]]


def _condition(condition: Condition) -> Expression:
    match condition:
        case Test():
            return _test(condition)
        case All():
            return ["all", *(_condition(part) for part in condition.parts)]
        case Any_():
            return ["any", *(_condition(part) for part in condition.parts)]


def _test(test: Test) -> Expression:
    if test.attribute == "geometry":
        kinds = [kind for kind in _GEOMETRIES if test.admits(kind)]
        return _geometry_is(kinds)
    value = ["get", test.attribute]
    if test.values is None:
        number = ["coalesce", ["get", test.attribute], -1e300]
        limits = [(">=", test.start), ("<", test.below)]
        ranges = [[sign, number, limit] for sign, limit in limits if abs(limit) < 1e300]
        inside = ["all", [">", number, -1e300], *ranges]
        return ["!", inside] if test.excluded else inside
    named = sorted((value for value in test.values if value is not None), key=str)
    found: list[Any] = []
    if named:
        found.append(["in", value, ["literal", named]] if len(named) > 1 else ["==", value, named[0]])
    if None in test.values:
        found.append(["==", value, None])
    asked = found[0] if len(found) == 1 else ["any", *found]
    return ["!", asked] if test.excluded else asked
