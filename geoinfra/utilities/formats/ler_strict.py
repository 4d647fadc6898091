"""What the official schema says of a document beside the values that the reader itself takes.

XML attributes and their values, text where only elements may stand, the order of GML's own properties and the
content of geometries. Tolerant reading looks past most of it; strict reading asks here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from lxml import etree

from geoinfra.utilities.catalogue import Attribute, Catalogue, FeatureClass, catalogue
from geoinfra.utilities.model import is_gml_id

__all__ = ["XML_BLANKS", "SchemaCheck", "is_uri"]

XML_BLANKS: Final = " \t\r\n"
"""What XML takes as blank; Python's own idea of it is wider."""

_GML = "{http://www.opengis.net/gml/3.2}"
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
_XLINK = "{http://www.w3.org/1999/xlink}"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_ANSWER = "Graveforespoergselssvar"
_INVALID_GML = "13-300"
"""LER's code for a document that its validator refuses without naming a rule."""

Add = Callable[[str, str, str, etree._Element, str, str, str], None]
"""Takes code, English and Danish text, the element, what stood there, what was expected, and LER's rule."""


# -- lexical forms of XML attributes

_BLANK = re.compile("[ \t\r\n]+")
_HEX = "%[0-9A-Fa-f]{2}"
_PCHAR = rf"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|{_HEX})"
_URI = re.compile(
    rf"(?:[A-Za-z][A-Za-z0-9+.\-]*:(?://{_PCHAR}*(?:\[[0-9A-Fa-f:.]+\])?(?::\d*)?(?:/{_PCHAR}*)*"
    rf"|/?(?:{_PCHAR}+(?:/{_PCHAR}*)*)?)"
    rf"|//{_PCHAR}*(?:/{_PCHAR}*)*|/(?:{_PCHAR}+(?:/{_PCHAR}*)*)?"
    rf"|(?:(?!:){_PCHAR})+(?:/{_PCHAR}*)*|)"
    rf"(?:\?(?:{_PCHAR}|[/?])*)?(?:#(?:{_PCHAR}|[/?])*)?"
)
_NOT_URI = re.compile("[^\x21-\x7e]|[<>\"{}|\\\\^`']")
_NAMES = re.compile(r"[^\W\d][\w.\-]*(?: [^\W\d][\w.\-]*)*|")
_POSITIVE = re.compile(r"\+?0*[1-9][0-9]*")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_UOM = re.compile(r"[^: \n\r\t]+|(?:[a-zA-Z][a-zA-Z0-9\-+.]*:|\.\./|\./|#).*")
_LANGUAGE = re.compile(r"(?:[a-zA-Z]{1,8}(?:-[a-zA-Z0-9]{1,8})*)?")
_DOUBLE = r"(?:[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|-?INF|NaN)"
_DOUBLES = re.compile(rf"[ \t\r\n]*(?:{_DOUBLE}(?:[ \t\r\n]+{_DOUBLE})*)?[ \t\r\n]*")


@lru_cache(maxsize=512)
def is_uri(text: str) -> bool:
    """Whether `text` is an ``anyURI`` of XML Schema: a reference by RFC 3986, other letters escaped."""
    return _URI.fullmatch(_NOT_URI.sub("_", text.strip(XML_BLANKS))) is not None


def _one_of(*words: str) -> Callable[[str], bool]:
    known = frozenset(words)
    return lambda text: text.strip(XML_BLANKS) in known


def _matching(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(" ".join(_BLANK.split(text.strip(XML_BLANKS)))) is not None


def _nil_reason(text: str) -> bool:
    return is_uri(text) or text.startswith("other:")


def _any(_: str) -> bool:
    return True


Tests = Mapping[str, Callable[[str], bool]]

_LOCATIONS: Tests = {f"{_XSI}schemaLocation": _any, f"{_XSI}noNamespaceSchemaLocation": is_uri}
_ID: Tests = {f"{_GML}id": lambda text: is_gml_id(text.strip(XML_BLANKS)) and not text.lstrip()[0].isdigit()}
_FEATURE_ID: Tests = {
    f"{_GML}id": lambda text: not text.lstrip()[:1].isdigit() or "0" <= text.lstrip()[0] <= "9"
}
"""The reader looks at all else of the id of a feature."""
_OWNS: Tests = {"owns": _one_of("true", "false", "1", "0")}
_SRS: Tests = {
    "srsName": is_uri,
    "srsDimension": _matching(_POSITIVE),
    "axisLabels": _matching(_NAMES),
    "uomLabels": _matching(_NAMES),
}
_LINK: Tests = {
    f"{_XLINK}type": _one_of("simple"),
    f"{_XLINK}href": is_uri,
    f"{_XLINK}role": lambda text: is_uri(text) and bool(text.strip(XML_BLANKS)),
    f"{_XLINK}arcrole": lambda text: is_uri(text) and bool(text.strip(XML_BLANKS)),
    f"{_XLINK}title": _any,
    f"{_XLINK}show": _one_of("new", "replace", "embed", "other", "none"),
    f"{_XLINK}actuate": _one_of("onLoad", "onRequest", "other", "none"),
    "nilReason": _nil_reason,
    f"{_GML}remoteSchema": is_uri,
}
_OF_TYPE: Mapping[str, Tests] = {
    "measure": {"uom": lambda text: _UOM.fullmatch(text) is not None},
    "instant": {
        "frame": is_uri,
        "calendarEraName": _any,
        "indeterminatePosition": lambda text: text in ("after", "before", "now", "unknown"),
    },
    "height": _SRS,
    "media": {"type": _any},
    "reference": {**_OWNS, **_LINK},
    "geometry": {**_OWNS, **_LINK},
    "contact": _OWNS,
}


# -- GML elements


@dataclass(frozen=True, slots=True)
class _Model:
    """What a GML element takes: XML attributes, and children (by name, in order) or text of a form."""

    attributes: Tests
    children: re.Pattern[str] | None = None
    text: Callable[[str], bool] | None = None
    required: str = ""


def _children(pattern: str) -> re.Pattern[str]:
    """Compile a content model; a name stands for a child, ``;`` ends it."""
    return re.compile(re.sub(r"\w+", lambda name: f"(?:{name.group(0)};)", pattern).replace(" ", ""))


def _doubles(text: str) -> bool:
    return _DOUBLES.fullmatch(text) is not None


_STANDARD = "description? descriptionReference? identifier? name*"
_GEOMETRY_ATTRIBUTES: Tests = {**_ID, **_SRS}
_AGGREGATE: Tests = {
    **_GEOMETRY_ATTRIBUTES,
    "aggregationType": _one_of("set", "bag", "sequence", "array", "record", "table"),
}
_SEGMENT: Tests = {
    "interpolation": _one_of("linear"),
    **dict.fromkeys(
        ("numDerivativesAtStart", "numDerivativesAtEnd", "numDerivativeInterior"), _matching(_WHOLE)
    ),
}
_SIDES = "exterior? interior*"

_GML_MODELS: Mapping[str, _Model] = {
    "Point": _Model(_GEOMETRY_ATTRIBUTES, _children(f"{_STANDARD} pos")),
    "LineString": _Model(_GEOMETRY_ATTRIBUTES, _children(f"{_STANDARD} (pos pos+|posList)")),
    "Curve": _Model(_GEOMETRY_ATTRIBUTES, _children(f"{_STANDARD} segments")),
    "segments": _Model({}, _children("LineStringSegment*")),
    "LineStringSegment": _Model(_SEGMENT, _children("pos pos+|posList")),
    "Polygon": _Model(_GEOMETRY_ATTRIBUTES, _children(f"{_STANDARD} {_SIDES}")),
    "Surface": _Model(_GEOMETRY_ATTRIBUTES, _children(f"{_STANDARD} patches")),
    "patches": _Model({}, _children("PolygonPatch*")),
    "PolygonPatch": _Model({"interpolation": _one_of("planar")}, _children(_SIDES)),
    "exterior": _Model({}, _children("LinearRing")),
    "interior": _Model({}, _children("LinearRing")),
    "LinearRing": _Model(_GEOMETRY_ATTRIBUTES, _children(f"{_STANDARD} (pos pos pos pos+|posList)")),
    "MultiPoint": _Model(_AGGREGATE, _children(f"{_STANDARD} pointMember* pointMembers?")),
    "pointMember": _Model({**_OWNS, **_LINK}, _children("Point?")),
    "pointMembers": _Model(_OWNS, _children("Point*")),
    "MultiCurve": _Model(_AGGREGATE, _children(f"{_STANDARD} curveMember* curveMembers?")),
    "curveMember": _Model({**_OWNS, **_LINK}, _children("(LineString|Curve)?")),
    "curveMembers": _Model(_OWNS, _children("(LineString|Curve)*")),
    "MultiSurface": _Model(_AGGREGATE, _children(f"{_STANDARD} surfaceMember* surfaceMembers?")),
    "surfaceMember": _Model({**_OWNS, **_LINK}, _children("(Polygon|Surface)?")),
    "surfaceMembers": _Model(_OWNS, _children("(Polygon|Surface)*")),
    "pos": _Model(_SRS, text=_doubles),
    "posList": _Model({**_SRS, "count": _matching(_POSITIVE)}, text=_doubles),
    "description": _Model(_LINK, text=_any),
    "descriptionReference": _Model({**_OWNS, **_LINK}, _children("")),
    "identifier": _Model({"codeSpace": is_uri}, text=_any, required="codeSpace"),
    "name": _Model({"codeSpace": is_uri}, text=_any),
    "boundedBy": _Model({"nilReason": _nil_reason}, _children("Envelope|Null")),
    "Envelope": _Model(_SRS, _children("lowerCorner upperCorner|pos pos")),
    "lowerCorner": _Model(_SRS, text=_doubles),
    "upperCorner": _Model(_SRS, text=_doubles),
    "Null": _Model({}, text=_nil_reason),
    "location": _Model(
        {**_OWNS, **_LINK},
        _children("Point|LineString|Polygon|Curve|Surface|MultiPoint|MultiCurve|MultiSurface|Null"),
    ),
}
_GEOMETRIES = frozenset(
    ("Point", "LineString", "Curve", "Polygon", "Surface", "MultiPoint", "MultiCurve", "MultiSurface")
)
_TAKEN: Mapping[str, frozenset[str]] = {
    "Point": frozenset(("Point",)),
    "Curve": frozenset(("LineString", "Curve")),
    "MultiCurve": frozenset(("MultiCurve",)),
}
_CURVES = frozenset(("CompositeCurve", "OrientableCurve"))
_BEYOND: Mapping[str, frozenset[str]] = {
    "Curve": _CURVES,
    "Geometry": _CURVES
    | {"MultiGeometry", "MultiSolid", "Solid", "CompositeSurface", "CompositeSolid", "OrientableSurface"}
    | {
        "GeometricComplex",
        "Grid",
        "RectifiedGrid",
        "PolyhedralSurface",
        "TriangulatedSurface",
        "Tin",
        "Shell",
    },
}
"""Kinds that the schema takes and LER's profile does not."""

_FEATURE_PROPERTIES = ("description", "descriptionReference", "identifier", "name", "boundedBy", "location")
_REPEATED_PROPERTIES = frozenset(("name",))
_NAMED_BY_OTHERS = frozenset(("metaDataProperty", "coordinates", "pointProperty", "pointRep"))


class SchemaCheck:
    """Checks elements of one document against the schema of its data model.

    Parameters
    ----------
    model
        Data model of the document.
    add
        Called with each fault.
    """

    def __init__(self, model: str, add: Add) -> None:
        self._known: Catalogue = catalogue(model)
        self._add = add
        self._spaces = {prefix: f"{{{uri}}}" for prefix, uri in self._known.namespaces.items()}
        self._told = 0
        answer = self._known.classes[_ANSWER].attributes
        names = [f"{_GML}{name}" for name in _FEATURE_PROPERTIES]
        names += [f"{self._spaces['ler']}{name}" for name in answer]
        self._top = {name: place for place, name in enumerate(names)}
        self._repeated = {f"{self._spaces['ler']}{a.name}" for a in answer.values() if a.repeated}
        self._repeated |= {f"{_GML}{name}" for name in _REPEATED_PROPERTIES}
        self._last = -1

    # -- the document

    def root(self, root: etree._Element) -> None:
        """Check the XML attributes of the root, and that it declares what LER wants declared."""
        if root.tag != f"{self._spaces['ler']}{_ANSWER}":
            self._fault(
                "LER-NAMESPACE",
                "The root is not of the namespace of its data model.",
                "Roden er ikke i sin datamodels navnerum.",
                root,
                str(root.tag),
                f"{self._spaces['ler']}{_ANSWER}",
            )
        self._attributes(root, {**_ID, "schemaVersion": _any}, f"{_ANSWER}Type")
        self._required(root, "schemaVersion")
        if self._spaces["xlink"][1:-1] not in root.nsmap.values():
            self._fault(
                "LER-XLINK-NAMESPACE",
                "The root does not declare the namespace of xlink.",
                "Roden erklærer ikke navnerummet for xlink.",
                root,
                expected=f'xmlns:xlink="{self._spaces["xlink"][1:-1]}"',
                rule=_INVALID_GML,
            )

    def child(self, child: etree._Element) -> None:
        """Check a child of the root: its place, and what a member holds beside its feature."""
        tag = str(child.tag)
        name = tag.rpartition("}")[2]
        place = self._top.get(tag)
        if place is None:
            self._fault(
                "LER-UNKNOWN-ATTRIBUTE",
                f"'{name[:80]}' cannot stand in an answer.",
                f"'{name[:80]}' kan ikke stå i et svar.",
                child,
                tag,
                rule=_INVALID_GML if tag.startswith(_GML) and name in _NAMED_BY_OTHERS else "",
            )
            return
        if place < self._last or (place == self._last and tag not in self._repeated):
            self._fault(
                "LER-ORDER",
                f"'{name}' stands in the wrong place or twice.",
                f"'{name}' står det forkerte sted eller to gange.",
                child,
            )
        self._last = max(self._last, place)
        if child.tail and child.tail.strip(XML_BLANKS):
            self._stray_text(child, child.tail)
        if tag.startswith(_GML):
            self._gml(child)
        elif name.endswith("Member"):
            self._attributes(child, _OWNS)
            self._no_text(child)

    def root_text(self, root: etree._Element) -> None:
        """Check that no text stands before the first child of the root."""
        if root.text and root.text.strip(XML_BLANKS):
            self._stray_text(root, root.text)

    # -- features

    def feature(self, element: etree._Element, entry: FeatureClass) -> None:
        """Check a feature or contact: its XML attributes, its text, GML's own properties and their order."""
        own_type = f"{entry.name}Type"
        self._attributes(element, _FEATURE_ID, own_type)
        self._no_text(element)
        if next(element.iterchildren(f"{_GML}*"), None) is not None:
            self._gml_properties(element)

    def _gml_properties(self, element: etree._Element) -> None:
        """Check GML's own properties of a feature: they come first, in their order."""
        last, own_seen = -1, False
        for child in element:
            tag = str(child.tag)
            if not tag.startswith(_GML):
                own_seen = True
                continue
            name = tag[len(_GML) :]
            place = _FEATURE_PROPERTIES.index(name) if name in _FEATURE_PROPERTIES else -1
            if place < 0:
                self._fault(
                    "LER-GML-PROPERTY",
                    f"gml:{name[:80]} cannot stand in a feature.",
                    f"gml:{name[:80]} kan ikke stå i et objekt.",
                    child,
                    rule=_INVALID_GML if name in _NAMED_BY_OTHERS else "",
                )
                continue
            if own_seen or place < last or (place == last and name not in _REPEATED_PROPERTIES):
                self._fault(
                    "LER-ORDER",
                    f"gml:{name} stands in the wrong place or twice.",
                    f"gml:{name} står det forkerte sted eller to gange.",
                    child,
                )
            last = max(last, place)
            self._gml(child)

    def value(self, attribute: Attribute, child: etree._Element) -> bool:
        """Check the XML attributes and the shape of an attribute's element; False when there is a fault."""
        told = self._told
        if child.keys():
            nil = child.get(f"{_XSI}nil")
            is_nil = nil is not None and nil.strip(XML_BLANKS) in ("true", "1")
            # a nil of what takes none is the reader's to refuse
            self._attributes(child, _tests(attribute.type, attribute.prefix, attribute.nillable or is_nil))
            if is_nil and (len(child) or child.text):
                self._fault(
                    "LER-NIL-CONTENT",
                    "A nil attribute must be empty.",
                    "En attribut, der er nil, skal være tom.",
                    child,
                    (child.text or "")[:200],
                )
            elif nil is not None and attribute.type == "measure":
                self._required(child, "uom")
        if attribute.type in ("contact", "geometry"):
            self._no_text(child)
        elif attribute.type == "reference" and (child.text or len(child)):
            self._fault(
                "LER-CONTENT",
                "A reference must be empty.",
                "En henvisning skal være tom.",
                child,
                (child.text or "")[:200],
            )
        if attribute.type == "geometry":
            self._geometry(attribute, child)
        return self._told == told

    def _geometry(self, attribute: Attribute, child: etree._Element) -> None:
        """Check the geometry in a property."""
        taken = _TAKEN.get(attribute.geometry, _GEOMETRIES)
        beyond = _BEYOND.get(attribute.geometry, frozenset())
        for number, geometry in enumerate(child):
            tag = str(geometry.tag)
            name = tag[len(_GML) :] if tag.startswith(_GML) else ""
            if number or name not in taken:
                self._fault(
                    "LER-GEOMETRY-KIND",
                    f"LER does not take '{tag.rpartition('}')[2][:80]}' here.",
                    f"LER tager ikke '{tag.rpartition('}')[2][:80]}' her.",
                    geometry,
                    tag.rpartition("}")[2],
                    ", ".join(sorted(taken)),
                    "SimpleFeatureRule" if not number and name in beyond else "",
                )
            else:
                self._gml(geometry)

    # -- parts

    def _gml(self, element: etree._Element) -> None:
        """Check a GML element and all in it."""
        tag = str(element.tag)
        model = _GML_MODELS.get(tag[len(_GML) :]) if tag.startswith(_GML) else None
        if model is None:
            self._unknown_gml(element)
            return
        self._attributes(element, model.attributes)
        if model.required:
            self._required(element, model.required)
        if model.children is None:
            if len(element):
                self._content(element, "")
            elif model.text is not None and not model.text(element.text or ""):
                self._fault(
                    "LER-COORDINATES" if model.text is _doubles else "LER-VALUE",
                    "The content is not what the schema wants.",
                    "Indholdet er ikke, hvad skemaet kræver.",
                    element,
                    (element.text or "")[:200],
                )
            return
        self._no_text(element)
        names = [str(child.tag) for child in element]
        foreign = [name for name in names if not name.startswith(_GML)]
        written = "".join(f"{name[len(_GML) :]};" for name in names)
        if foreign or not model.children.fullmatch(written):
            inner = [name[len(_GML) :] for name in names if name.startswith(_GML)]
            beyond = not foreign and any(name not in _GML_MODELS for name in inner)
            self._content(element, "SimpleFeatureRule" if beyond else "", written[:200])
            return
        for child in element:
            self._gml(child)

    def _unknown_gml(self, element: etree._Element) -> None:
        name = str(element.tag).rpartition("}")[2][:80]
        self._fault(
            "LER-GEOMETRY-KIND",
            f"LER does not take '{name}' here.",
            f"LER tager ikke '{name}' her.",
            element,
            name,
            rule="SimpleFeatureRule",
        )

    def _content(self, element: etree._Element, rule: str, found: str = "") -> None:
        self._fault(
            "LER-GEOMETRY-CONTENT",
            "What stands in the element is not what the schema wants, or not in its order.",
            "Det, der står i elementet, er ikke hvad skemaet kræver, eller ikke i dets rækkefølge.",
            element,
            found,
            rule=rule,
        )

    def _attributes(self, element: etree._Element, tests: Tests, own_type: str = "") -> None:
        for name, value in element.items():
            test = tests.get(str(name)) or _LOCATIONS.get(str(name))
            if test is not None and test(str(value)):
                continue
            rule = ""
            if name == f"{_XSI}type":
                if own_type and str(value).strip(XML_BLANKS).rpartition(":")[2] == own_type:
                    continue
                rule = _INVALID_GML
            self._fault(
                "LER-XML-ATTRIBUTE",
                f"The XML attribute '{str(name)[:80]}' cannot stand here, or not with this value.",
                f"XML-attributten '{str(name)[:80]}' kan ikke stå her, eller ikke med denne værdi.",
                element,
                f'{name!s}="{value!s}"'[:200],
                rule=rule,
            )

    def _required(self, element: etree._Element, name: str) -> None:
        if element.get(name) is None:
            self._fault(
                "LER-XML-ATTRIBUTE",
                f"The XML attribute '{name}' is missing.",
                f"XML-attributten '{name}' mangler.",
                element,
                expected=name,
            )

    def _no_text(self, element: etree._Element) -> None:
        """Refuse text among the children of an element."""
        for text in (element.text, *[child.tail for child in element]):
            if text and text.strip(XML_BLANKS):
                self._stray_text(element, text)
                return

    def _stray_text(self, element: etree._Element, text: str) -> None:
        self._fault(
            "LER-TEXT",
            "Text stands where only elements may stand.",
            "Der står tekst, hvor der kun må stå elementer.",
            element,
            text.strip()[:200],
        )

    def _fault(
        self,
        code: str,
        message: str,
        message_da: str,
        element: etree._Element,
        found: str = "",
        expected: str = "",
        rule: str = "",
    ) -> None:
        self._told += 1
        self._add(code, message, message_da, element, found, expected, rule)


@lru_cache(maxsize=1024)
def _tests(kind: str, prefix: str, nillable: bool) -> Tests:
    """Return the XML attributes that the element of an attribute may have, each with a test of its value."""
    tests = dict(_OF_TYPE.get(kind, {}))
    if nillable:
        tests["nilReason"] = _nil_reason
        tests[f"{_XSI}nil"] = _one_of("true", "false", "1", "0")
    if prefix == "dcterms":
        tests[_LANG] = lambda text: _LANGUAGE.fullmatch(text.strip(XML_BLANKS)) is not None
    return tests
