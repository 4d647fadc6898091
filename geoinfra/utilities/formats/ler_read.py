"""Reading LER elements of the models 1.0.0 to 2.2.0 into rows of 2.2.0; a finding for every fault and change.

The checks here are structural: what the schema says of names, order, types, code lists, units and references.
The legal rules about what must be known of which line are another matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import Enum
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Protocol

import numpy as np
import shapely
from lxml import etree

from geoinfra.errors import Finding, InvalidGeometry, Report, Severity
from geoinfra.tables import BATCH_ROWS, FeatureBatch
from geoinfra.utilities.catalogue import NEWEST_MODEL, Attribute, FeatureClass, catalogue
from geoinfra.utilities.formats.gml_geometry import GML_ID, GeometryFault, GeometryReader
from geoinfra.utilities.formats.intake import local_name
from geoinfra.utilities.formats.ler_strict import XML_BLANKS, SchemaCheck, is_uri
from geoinfra.utilities.model import (
    HEIGHT_SRS_NAME,
    AnswerHeader,
    FeatureRows,
    contact_id,
    fitted,
    is_gml_id,
)
from geoinfra.utilities.quirks import Applied, FeatureQuirks, mended_code
from geoinfra.utilities.shapes import Shape, wkb

__all__ = ["Answer", "ElementReader", "FeatureRules", "Keep", "RuleFactory", "own_classes", "parse_datetime"]

_XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
_GML = "{http://www.opengis.net/gml/3.2}"
PACKAGE_CHILDREN = frozenset(("objectType", "ledningsejer", "indberetningsNr"))
"""Children without namespace that LER puts into every feature of a package."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_ZONED_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))?", re.ASCII)
_TIME = re.compile(r"T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))?", re.ASCII)
_MIDNIGHT = re.compile(r"T24:00:00(?:\.0+)?(?![\d.])")
_INSTANT = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,15}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_UNTAKEN_NUMBER = re.compile(r"[+-]?\d{16,}|-?INF|NaN", re.ASCII)
"""Numbers that the schema takes, and nobody can mean."""

_ANSWER = "Graveforespoergselssvar"
_INVALID_GML = "13-300"
"""LER's code for a document that its validator refuses without naming a rule."""

_RULE_OF = {
    "LER-GEOMETRY-KIND": "SupportedGeometryRule",
    "LER-GEOMETRY-EMPTY": "SimpleFeatureRule",
    "LER-GEOMETRY-POINTS": "SimpleFeatureRule",
    "LER-GEOMETRY-2D": "Check3DGeometryRule",
    "LER-SRS-DIMENSION": "Check3DGeometryRule",
    "LER-SRS-NAME": "IndholdGM_ObjectSRIdRestriktionRule",
    "LER-AXIS-ORDER": "UtilityGeometryWithinDiggingAreaRule",
    "LER-OUTSIDE-DENMARK": "UtilityGeometryWithinDiggingAreaRule",
    "LER-COORDINATES": _INVALID_GML,
    "LER-HEIGHT": "IndholdKoteSRIDrestriktion",
    "LER-MEDIA-TYPE": "IRFormatRestriktionRule",
}
"""LER's own rule behind what is refused beside the schema."""


class FeatureRules(Protocol):
    """Rules beyond the schema that one owner's features of one document must keep."""

    def feature(
        self,
        entry: FeatureClass,
        gml_id: str,
        properties: Mapping[str, Any],
        shape: Shape | None,
        line: int | None,
    ) -> Iterable[Finding]:
        """Return the findings about one feature as it was read; what could not be read is ``None``."""
        ...

    def finish(self) -> Iterable[Finding]:
        """Return the findings that need the whole document."""
        ...


class Keep(Enum):
    """What is made of features that are read."""

    NOTHING = "checked only"
    ROWS = "rows without their LER elements"
    ELEMENTS = "rows with their LER elements"


RuleFactory = Callable[[str], FeatureRules]
"""Makes the rules for a document of the given data model."""


@dataclass(slots=True)
class Answer:
    """An answer of one owner.

    Attributes
    ----------
    header
        What it says beside its features.
    report
        Findings; complete when :meth:`batches` was drained.
    attachments
        Names of the files that came with it in the zip.
    attachment
        Gives the bytes of one of them; ``NotFound`` when there is none of that name.
    stream, opening
        How features are read, and the findings made before.
    """

    owner_cvr: str
    header: AnswerHeader
    report: Report
    attachments: tuple[str, ...]
    stream: Callable[[Report, Keep], Iterator[FeatureBatch]]
    attachment: Callable[[str], bytes]
    opening: tuple[Finding, ...] = ()

    def batches(self, *, elements: bool = True) -> Iterator[FeatureBatch]:
        """Yield the features in the order of the document, as LER 2.2.0; may be called again.

        Without `elements` the rows lack the column ``gml`` and come sooner.
        """
        yield from self.stream(self._fresh(), Keep.ELEMENTS if elements else Keep.ROWS)

    def scan(self) -> Report:
        """Read and check every feature without making rows, and return the report."""
        for _ in self.stream(self._fresh(), Keep.NOTHING):
            pass
        return self.report

    def _fresh(self) -> Report:
        report = self.report
        report.features = report.errors = report.warnings = 0
        report.findings.clear()
        report.extend(self.opening)
        return report


class _Faulty(Exception):
    """A value that cannot be taken; becomes a finding, and the attribute is left out."""

    def __init__(
        self,
        code: str,
        message: str,
        message_da: str,
        found: str = "",
        expected: str = "",
        rule: str = "",
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.message_da = code, message, message_da
        self.found, self.expected, self.rule = found, expected, rule


_REMEMBERED = frozenset(
    (
        "text",
        "code",
        "boolean",
        "integer",
        "decimal",
        "measure",
        "date",
        "datetime",
        "instant",
        "height",
        "media",
    )
)
"""Types whose values depend on nothing but text and attributes of the element."""

_MEMORY = 4096
_UNSEEN: Any = object()


@dataclass(frozen=True, slots=True)
class _Field:
    """An attribute as the reader meets it.

    Attributes
    ----------
    own
        The same attribute in the model of the document, ``None`` where that has none.
    memory
        Values that were read without a finding, by the text of the element and what XML attributes it had; it
        makes the common case one look. ``None`` where reading does more than return a value.
    """

    attribute: Attribute
    name: str
    position: int
    repeated: bool
    is_geometry: bool
    path: str
    own: Attribute | None
    memory: dict[Any, Any] | None


Known = tuple[FeatureClass, Mapping[str, _Field], frozenset[str]]
"""A class, its attributes by tag, and the names of those that it must have (beside its geometry)."""

Table = Mapping[str, Known]


@lru_cache(maxsize=16)
def own_classes(model: str = NEWEST_MODEL, strict: bool = False) -> Table:
    """Return tag -> class and its attributes by tag, for a document of `model`.

    The classes are those of the newest model. The namespaces of LER/1 and LER/2 are both known, strictly only
    that of the model. Values are remembered for each model and mode apart, because they are not judged alike.
    """
    known, own = catalogue(), catalogue(model)
    table: dict[str, Known] = {}
    for entry in known.classes.values():
        for generation in (f"/{model[0]}/",) if strict else ("/2/", "/1/"):
            spaces = {p: uri.replace("/2/gml", f"{generation}gml") for p, uri in known.namespaces.items()}
            own_entry = own.classes[entry.name]
            attributes = {
                f"{{{spaces[a.prefix]}}}{a.name}": _field(entry, a, own_entry)
                for a in entry.attributes.values()
            }
            demanded = frozenset(a for a in own_entry.required if own_entry.attributes[a].type != "geometry")
            table[f"{{{spaces[entry.prefix]}}}{entry.name}"] = (entry, attributes, demanded)
    return table


def _field(entry: FeatureClass, attribute: Attribute, own_entry: FeatureClass) -> _Field:
    own = own_entry.attributes.get(attribute.name)
    return _Field(
        attribute,
        attribute.name,
        entry.position[attribute.name],
        attribute.repeated,
        attribute.type == "geometry",
        f"{entry.name}/{attribute.name}",
        own,
        {} if own is not None and attribute.type in _REMEMBERED else None,
    )


class ElementReader:
    """Reads the feature elements of one document of one owner.

    Parameters
    ----------
    owner_cvr
        Owner whose rows are made.
    report
        Where findings go.
    model
        Data model of the document, for instance ``1.0.0``.
    strict
        Change nothing: what the schema refuses is an error.
    rules
        Rules beyond the schema.
    keep
        What is made of the features.
    """

    def __init__(
        self,
        owner_cvr: str,
        report: Report,
        model: str,
        *,
        strict: bool = False,
        rules: FeatureRules | None = None,
        keep: Keep = Keep.ELEMENTS,
    ) -> None:
        self.report = report
        self.strict = strict
        self._rules = rules
        self._keep_rows = keep is not Keep.NOTHING
        self.rows = FeatureRows(owner_cvr, elements=keep is Keep.ELEMENTS)
        self._prefix = f"c{owner_cvr}."
        self._classes = own_classes(model, strict)
        older = catalogue().older_models.get(model, {})
        self._model = model
        self._dropped_values = older.get("dropped_values", {})
        self._dropped_attributes = older.get("dropped_attributes", {})
        self._ids: dict[str, str] = {}
        self._references: list[tuple[str, Attribute, str, int | None, str]] = []
        self._geometry = GeometryReader(self._note_geometry, self._register_geometry, strict=strict)
        self.schema = SchemaCheck(model, self._schema_fault) if strict else None
        self._quirks = None if strict else FeatureQuirks()
        self._member = ""
        self._feature_id: str | None = None
        self._path = ""
        self._told = 0
        self._areas: list[tuple[str | None, str, int | None, Shape]] = []
        self.files: list[tuple[str, str, int | None]] = []

    # -- findings

    def add(
        self,
        severity: Severity,
        code: str,
        message: str,
        message_da: str,
        *,
        line: int | None = None,
        path: str = "",
        expected: str = "",
        found: str = "",
        rule: str = "",
    ) -> None:
        """Add a finding about the feature at hand."""
        self._told += 1
        self.report.add(
            Finding(
                code,
                severity,
                message,
                message_da,
                self._feature_id,
                line,
                path or self._path,
                expected[:200],
                found[:200],
                rule,
            )
        )

    def error(self, code: str, message: str, message_da: str, **where: Any) -> None:
        """Add an error about the feature at hand."""
        self.add(Severity.ERROR, code, message, message_da, **where)

    def _fault(self, fault: _Faulty | GeometryFault, child: etree._Element) -> None:
        self.error(
            fault.code,
            fault.message,
            fault.message_da,
            line=getattr(fault, "line", None) or _line(child),
            found=fault.found,
            expected=fault.expected,
            rule=getattr(fault, "rule", "") or _RULE_OF.get(fault.code, ""),
        )

    @property
    def _tolerated(self) -> Severity:
        """What something weighs that is mended in tolerant reading."""
        return Severity.ERROR if self.strict else Severity.WARNING

    def _note_geometry(self, code: str, message: str, da: str, found: str, element: etree._Element) -> None:
        self.add(
            self._tolerated, code, message, da, line=_line(element), found=found, rule=_RULE_OF.get(code, "")
        )

    def _schema_fault(
        self, code: str, message: str, da: str, element: etree._Element, found: str, expected: str, rule: str
    ) -> None:
        self.error(code, message, da, line=_line(element), found=found, expected=expected, rule=rule)

    # -- identifiers

    def register(self, gml_id: str, name: str, element: etree._Element) -> bool:
        """Note an id of the document; a second use is an error and gives False."""
        if gml_id in self._ids:
            self._twice_used(gml_id, _line(element))
            return False
        self._ids[gml_id] = name
        return True

    def _twice_used(self, gml_id: str, line: int | None) -> None:
        self.error(
            "LER-DUPLICATE-ID",
            f"The gml:id '{gml_id[:80]}' is used more than once.",
            f"gml:id '{gml_id[:80]}' er brugt mere end én gang.",
            line=line,
            found=gml_id,
        )

    def _register_geometry(self, gml_id: str, element: etree._Element) -> None:
        self.register(gml_id.removeprefix(self._prefix).strip(XML_BLANKS), "", element)

    def _own_id(self, element: etree._Element) -> str | None:
        """Return the owner's own id of a feature, or ``None`` with a finding."""
        gml_id = element.get(GML_ID)
        if gml_id is None:
            self.error(
                "LER-MISSING-ID",
                "The feature has no gml:id.",
                "Objektet har intet gml:id.",
                line=_line(element),
                expected="gml:id",
                rule=_INVALID_GML,
            )
            return None
        own = gml_id.removeprefix(self._prefix)
        if not is_gml_id(own) and not is_gml_id(own := own.strip(XML_BLANKS)):
            self.error(
                "LER-BAD-ID",
                "The gml:id is not an XML name.",
                "gml:id er ikke et XML-navn.",
                line=_line(element),
                found=gml_id,
            )
            return None
        return own

    def reserve(self, gml_id: str, name: str = "Kontaktprofil") -> None:
        """Note an id of the header, which features may refer to and may not use."""
        own = gml_id.removeprefix(self._prefix).strip(XML_BLANKS)
        if own in self._ids:
            self._twice_used(own, None)
        self._ids[own] = name

    def root(self, root: etree._Element) -> None:
        """Read the root of an answer."""
        self._feature_id, self._path = None, local_name(root)
        gml_id = root.get(GML_ID)
        if gml_id is not None:
            self.reserve(gml_id, "")
        if self.schema is not None:
            self.schema.root(root)

    def child(self, child: etree._Element) -> None:
        """Look at a child of the root: a member or a part of the header."""
        self._feature_id = None
        name = local_name(child)
        self._path = f"{_ANSWER}/{name[:80]}"
        if self.schema is not None:
            self.schema.child(child)
        if name.endswith("Member") and len(child) != 1:
            self.add(
                self._tolerated,
                "LER-MEMBER",
                "A member holds one feature.",
                "Et medlem har ét objekt.",
                line=_line(child),
                expected="1",
                found=str(len(child)),
            )

    def header_value(self, attribute: Attribute, child: etree._Element, owner: str) -> Any:
        """Return a value of the answer's header, or ``None`` with a finding."""
        entry = catalogue().classes[owner]
        return self._checked(entry, _field(entry, attribute, catalogue(self._model).classes[owner]), child)

    # -- features

    def feature(self, element: etree._Element, member: str = "") -> None:
        """Read one feature element into the rows; `member` is the element of the answer that holds it."""
        report = self.report
        report.features += 1
        self._feature_id = element.get(GML_ID)
        told = len(report.findings)
        shape = self._read_feature(element, member)
        if shape is None:
            return
        if len(report.findings) > told:
            self._place(told, shape)
        if shape.kind in _AREAS:
            self._areas.append((self._feature_id, f"{local_name(element)}/geometri", _line(element), shape))
            if len(self._areas) >= BATCH_ROWS:
                self._check_areas()

    def _place(self, told: int, shape: Shape) -> None:
        """Give the findings made since there were `told` the place of their feature."""
        findings = self.report.findings
        place = (shape.vertices[0], shape.vertices[1])
        findings[told:] = [replace(one, position=place) for one in findings[told:]]

    def _read_feature(self, element: etree._Element, member: str) -> Shape | None:
        found = self._classes.get(element.tag)
        name = local_name(element)
        self._path = name
        self._member = member
        if found is None or not found[0].kind:
            self.error(
                "LER-UNKNOWN-CLASS",
                f"LER has no feature class '{name[:80]}'.",
                f"LER har ingen objekttype '{name[:80]}'.",
                line=_line(element),
                found=str(element.tag),
            )
            return None
        entry = found[0]
        if member and member != entry.member:
            self.error(
                "LER-WRONG-MEMBER",
                f"{entry.name} cannot stand in {member[:80]}.",
                f"{entry.name} kan ikke stå i {member[:80]}.",
                line=_line(element),
                expected=entry.member,
                found=member,
            )
        if self.schema is not None:
            self.schema.feature(element, entry)
        gml_id = self._own_id(element)
        unique = gml_id is not None and self.register(gml_id, entry.name, element)
        read, shape = self._attributes(found, element)
        if not unique or gml_id is None:
            return shape
        properties: Mapping[str, Any] = read
        if self._quirks is not None and entry.name in self._quirks.classes:
            entry, properties, applied = self._quirks.feature(entry, properties, shape)
            self._tell_quirks(applied, name, _line(element))
        try:
            if self._rules is not None:
                self.report.extend(self._rules.feature(entry, gml_id, properties, shape, _line(element)))
            if self._keep_rows:
                self.rows.add_shape(entry, gml_id, _readable(properties), shape)
            elif shape is not None:
                fitted(entry, shape)
        except InvalidGeometry as fault:
            self.error(
                "LER-GEOMETRY-KIND",
                fault.message,
                "Objekttypen tager ikke denne geometri.",
                line=_line(element),
                found=shape.kind if shape else "",
            )
        return shape

    def _tell_quirks(self, applied: Iterable[Applied], class_name: str, line: int | None) -> None:
        for one in applied:
            self.add(
                one.severity,
                one.quirk.code,
                one.quirk.reason,
                one.quirk.reason_da,
                line=line,
                path=f"{class_name}/{one.attribute}",
                expected=one.expected,
                found=one.found,
            )

    def _attributes(self, known: Known, element: etree._Element) -> tuple[dict[str, Any], Shape | None]:
        """Read the children of a feature; the value of one that cannot be read is ``None``."""
        entry, by_tag, demanded = known
        properties: dict[str, Any] = {}
        shape: Shape | None = None
        seen_geometry = False
        last = -1
        find, schema = by_tag.get, self.schema
        for child in element:
            field = find(child.tag)
            if field is None:
                self._unknown_child(entry, child)
                continue
            position = field.position
            first = position > last
            if first:
                last = position
            elif position < last:
                self._out_of_order(entry, field, child)
            memory = field.memory
            if memory is not None:
                xml_attributes = child.items()
                key = (child.text, *xml_attributes) if xml_attributes else child.text
                value = memory.get(key, _UNSEEN)
                if value is _UNSEEN or len(child):
                    value = self._learned(entry, field, child, key)
            elif field.is_geometry:
                self._path = field.path
                if seen_geometry:
                    shape = self._twice(child, shape)
                else:
                    shape = self._geometry.plain(child, field.attribute.geometry)
                    if shape is None and (schema is None or schema.value(field.attribute, child)):
                        shape = self._shape(child)
                seen_geometry = True
                continue
            else:
                value = self._checked(entry, field, child)
            name = field.name
            if field.repeated:
                values = properties.setdefault(name, [])
                if value is not None:
                    values.append(value)
            elif not first and name in properties:
                self._path = f"{entry.name}/{name}"
                self._twice(child, None)
            else:
                properties[name] = value
        self._path = entry.name
        if not demanded <= properties.keys():
            for name in sorted(demanded - properties.keys(), key=entry.position.__getitem__):
                self._missing(entry, name, element)
        if not seen_geometry and entry.geometry is not None and entry.geometry.min:
            own = by_tag[_geometry_tag(element, entry)].own
            if own is not None and own.min:
                self._missing(entry, entry.geometry.name, element)
        if seen_geometry and shape is None and entry.geometry is not None:
            properties[entry.geometry.name] = None
        return properties, shape

    def _learned(self, entry: FeatureClass, field: _Field, child: etree._Element, key: Any) -> Any:
        """Return a value, and remember it when there was nothing to say about it."""
        told = self._told
        value = self._checked(entry, field, child)
        memory = field.memory
        if self._told == told and memory is not None and not len(child) and len(memory) < _MEMORY:
            memory[key] = value
        return value

    def _checked(self, entry: FeatureClass, field: _Field, child: etree._Element) -> Any:
        """Return a value, or ``None`` with a finding."""
        self._path = f"{entry.name}/{field.name}"
        if self.schema is not None:
            self.schema.value(field.own or field.attribute, child)
        try:
            value = self._value(field.attribute, child)
        except _Faulty as fault:
            own = field.own
            if fault.code == "LER-LENGTH" and own is not None and own.max_length is None:
                return self._shortened(field.attribute, child)
            self._fault(fault, child)
            return None
        if self._model != NEWEST_MODEL:
            self._check_model(field, child, value)
        return value

    def _check_model(self, field: _Field, child: etree._Element, value: Any) -> None:
        """Report what the newest model takes and that of the document does not."""
        own = field.own
        is_nil = isinstance(value, dict) and "nil" in value
        if own is None:
            what, da = f"has no '{field.name}'", f"har ikke '{field.name}'"
        elif is_nil and not own.nillable:
            what, da = f"takes no nil of '{field.name}'", f"tager ikke nil for '{field.name}'"
        elif own.enumeration is not None and not is_nil and not self._was_admitted(own, child):
            text = (child.text or "").strip()[:80]
            what, da = f"does not have the value '{text}'", f"har ikke værdien '{text}'"
        else:
            return
        self.add(
            self._tolerated,
            "LER-NEWER-MODEL",
            f"LER {self._model} {what}; a later model does.",
            f"LER {self._model} {da}; det har en senere model.",
            line=_line(child),
            expected=f"schemaVersion {field.attribute.since if own is None else NEWEST_MODEL}",
            found=self._model,
        )

    def _shortened(self, attribute: Attribute, child: etree._Element) -> str:
        """Cut a text that was valid in its model and is too long for the newest."""
        text = child.text or ""
        short = text[: attribute.max_length]
        self._changed("LER-LIFTED-TEXT", text, short, child, Severity.WARNING)
        return short

    def _was_admitted(self, own: Attribute, child: etree._Element) -> bool:
        text = (child.text or "").strip()
        return own.enumeration is None or own.enumeration.admits(text) or (not text and bool(own.default))

    def _unknown_child(self, entry: FeatureClass, child: etree._Element) -> None:
        name = local_name(child)
        if child.tag in PACKAGE_CHILDREN and not (self.strict and self._member):
            return
        path = f"{entry.name}/{name}"
        if name in self._dropped_attributes.get(entry.name, ()):
            self.add(
                Severity.WARNING,
                "LER-LIFTED-ATTRIBUTE",
                f"LER 2 no longer has '{name}'; it was left out.",
                f"LER 2 har ikke længere '{name}'; den er udeladt.",
                line=_line(child),
                path=path,
            )
        elif str(child.tag).startswith(_GML):
            severity = Severity.INFO if name == "boundedBy" else Severity.WARNING
            self.add(
                severity,
                "LER-GML-PROPERTY",
                f"gml:{name[:80]} is no part of LER; it was left out.",
                f"gml:{name[:80]} hører ikke til LER; den er udeladt.",
                line=_line(child),
                path=path,
            )
        else:
            self.error(
                "LER-UNKNOWN-ATTRIBUTE",
                f"{entry.name} has no attribute '{name[:80]}'.",
                f"{entry.name} har ingen attribut '{name[:80]}'.",
                line=_line(child),
                path=path,
                found=str(child.tag),
            )

    def _out_of_order(self, entry: FeatureClass, field: _Field, child: etree._Element) -> None:
        self._path = f"{entry.name}/{field.name}"
        self.add(
            self._tolerated,
            "LER-ORDER",
            "The attribute stands after one that follows it in the schema; the order was mended.",
            "Attributten står efter en, der følger den i skemaet; rækkefølgen er rettet.",
            line=_line(child),
        )

    def _twice(self, child: etree._Element, shape: Shape | None) -> Shape | None:
        self.error(
            "LER-CARDINALITY",
            "The attribute may stand once only.",
            "Attributten må kun stå én gang.",
            line=_line(child),
        )
        return shape

    def _missing(self, entry: FeatureClass, name: str, element: etree._Element) -> None:
        self.error(
            "LER-MISSING-ATTRIBUTE",
            f"{entry.name} needs '{name}'.",
            f"{entry.name} mangler '{name}'.",
            line=_line(element),
            path=f"{entry.name}/{name}",
            expected=name,
        )

    def _shape(self, child: etree._Element) -> Shape | None:
        """Read the geometry in a property; a faulty one becomes a finding."""
        try:
            if len(child) != 1:
                raise GeometryFault(
                    "LER-GEOMETRY-EMPTY",
                    "The geometry property holds no geometry, or several.",
                    "Geometrien mangler, eller der er flere.",
                    str(len(child)),
                    "1",
                    _line(child),
                )
            return self._geometry.read(child[0])
        except GeometryFault as fault:
            self._fault(fault, child)
            return None

    # -- values

    def _value(self, attribute: Attribute, child: etree._Element) -> Any:
        """Return the value of an attribute element in the shape of ``properties``."""
        if len(child) and attribute.type != "contact":
            raise _Faulty("LER-CONTENT", "A value was expected.", "Der skulle stå en værdi.")
        if child.keys() and (child.get(_XSI_NIL) or "").strip(XML_BLANKS) in ("true", "1"):
            if not attribute.nillable:
                raise _Faulty(
                    "LER-NOT-NILLABLE", "The attribute cannot be nil.", "Attributten kan ikke være nil."
                )
            return self._nil(child)
        return _READERS[attribute.type](self, attribute, child)

    def _nil(self, child: etree._Element) -> dict[str, Any]:
        reason = child.get("nilReason")
        if reason is None:
            return {"nil": True}
        if reason != "unknown":
            raise _Faulty(
                "LER-NIL-REASON",
                "LER takes only the nilReason 'unknown'.",
                "LER tager kun nilReason 'unknown'.",
                reason,
                "unknown",
                "IndholdNilReasonRestriktion",
            )
        return {"nil": True, "reason": reason}

    def text(self, attribute: Attribute, child: etree._Element) -> str:
        text = child.text or ""
        if attribute.max_length is not None and len(text) > attribute.max_length:
            raise _Faulty(
                "LER-LENGTH",
                f"The text is longer than {attribute.max_length} characters.",
                f"Teksten er længere end {attribute.max_length} tegn.",
                str(len(text)),
                str(attribute.max_length),
            )
        return text

    def code(self, attribute: Attribute, child: etree._Element) -> str:
        enumeration = attribute.enumeration
        if enumeration is None:
            raise TypeError(attribute.name)
        text = child.text or ""
        if enumeration.admits(text):
            return text
        if not text and attribute.default:
            return attribute.default
        stripped = text.strip()
        if enumeration.admits(stripped):
            self._changed("LER-WHITESPACE", text, stripped, child, self._tolerated)
            return stripped
        if stripped in self._dropped_values.get(enumeration.name, ()):
            lifted = enumeration.as_other(stripped)
            if lifted is not None:
                self._changed("LER-LIFTED-VALUE", stripped, lifted, child, Severity.WARNING)
                return lifted
        mended = None if self.strict else mended_code(enumeration, text)
        if mended is not None:
            value, quirk = mended
            entry_name = self._path.partition("/")[0]
            applied = Applied(quirk, attribute.name, text, value)
            self._tell_quirks((applied,), entry_name, _line(child))
            return value
        allowed = ", ".join(sorted(enumeration.values)) + (", other: word" if enumeration.open else "")
        raise _Faulty(
            "LER-CODE",
            f"'{stripped[:80]}' is not in the list {enumeration.name}.",
            f"'{stripped[:80]}' findes ikke i listen {enumeration.name}.",
            stripped,
            allowed,
        )

    def _changed(self, code: str, old: str, new: str, child: etree._Element, severity: Severity) -> None:
        mended = severity is not Severity.ERROR
        self.add(
            severity,
            code,
            f"'{old[:80]}' was read as '{new[:80]}'." if mended else f"It should be written '{new[:80]}'.",
            f"'{old[:80]}' er læst som '{new[:80]}'." if mended else f"Det skal skrives '{new[:80]}'.",
            line=_line(child),
            found=old,
            expected=new,
            rule=_RULE_OF.get(code, ""),
        )

    def boolean(self, _: Attribute, child: etree._Element) -> bool:
        text = (child.text or "").strip(XML_BLANKS)
        if text not in ("true", "false", "0", "1"):
            raise _bad("true or false", "true eller false", text)
        return text in ("true", "1")

    def integer(self, _: Attribute, child: etree._Element) -> int:
        text = (child.text or "").strip(XML_BLANKS)
        if not _INTEGER.fullmatch(text):
            raise _bad("a whole number", "et helt tal", text, _rule_of_number(text))
        return int(text)

    def decimal(self, attribute: Attribute, child: etree._Element) -> float | int:
        text = (child.text or "").strip(XML_BLANKS)
        if attribute.pattern and not _pattern(attribute.pattern).fullmatch(text):
            raise _bad("a number between 0 and 1 with at most two decimals", "et tal mellem 0 og 1", text)
        return _number(text)

    def measure(self, attribute: Attribute, child: etree._Element) -> dict[str, Any]:
        uom = child.get("uom")
        if uom is None or (attribute.uom and uom != attribute.uom):
            raise _Faulty(
                "LER-UOM",
                f"The unit must be '{attribute.uom}'." if attribute.uom else "The unit is missing.",
                f"Enheden skal være '{attribute.uom}'." if attribute.uom else "Enheden mangler.",
                uom or "",
                attribute.uom,
                attribute.uom_rule if uom is not None else "",
            )
        return {"value": _number((child.text or "").strip(XML_BLANKS)), "uom": uom}

    def date_text(self, _: Attribute, child: etree._Element) -> str:
        text = (child.text or "").strip(XML_BLANKS)
        zoned = _ZONED_DATE.fullmatch(text)
        return _date(zoned.group(1) if zoned else text).isoformat()

    def datetime_text(self, _: Attribute, child: etree._Element) -> str:
        text = (child.text or "").strip(XML_BLANKS)
        parse_datetime(text)
        time = _TIME.fullmatch(text, 10)
        if time is None:
            raise _bad(_A_DATETIME, "dato og tid", text)
        if time.group(1) is None:
            whole = f"{text[:16]}:00{text[16:]}"
            self._changed("LER-DATETIME", text, whole, child, self._tolerated)
            return whole
        return text

    def instant(self, _: Attribute, child: etree._Element) -> Any:
        text = (child.text or "").strip(XML_BLANKS)
        if not _INSTANT.fullmatch(text):
            raise _bad(
                "a year, month or day (yyyy, yyyy-mm, yyyy-mm-dd)",
                "et år, en måned eller en dag",
                text,
                f"EtableringsTidsPunktRule_{'DateValueIsNotValid' if text else 'ValueIsNullOrEmpty'}",
            )
        _date((text + "-01-01")[:10], "EtableringsTidsPunktRule_DateValueIsNotValid")
        if child.get("calendarEraName") is not None:
            raise _bad(
                "no calendarEraName",
                "ingen calendarEraName",
                child.get("calendarEraName") or "",
                "EtableringsTidsPunktRule_calendarEraNameAttributeNotNull",
            )
        indeterminate = child.get("indeterminatePosition")
        if indeterminate is None:
            return text
        if indeterminate != "before":
            raise _bad(
                "the indeterminatePosition 'before'",
                "indeterminatePosition 'before'",
                indeterminate,
                "EtableringsTidsPunktRule_NotValid_IndeterminatePositionValue",
            )
        return {"value": text, "indeterminate": indeterminate}

    def height(self, _: Attribute, child: etree._Element) -> dict[str, Any]:
        text = child.text or ""
        numbers = text.split() if text.isascii() else []
        srs = child.get("srsName")
        rule = _RULE_OF["LER-HEIGHT"]
        if srs is not None and not srs.endswith(("/5799", ":5799", "/7416", ":7416")):
            raise _bad("the reference EPSG:5799 (DVR90)", "referencen EPSG:5799 (DVR90)", srs, rule)
        if len(numbers) not in (1, 3):
            raise _bad("one height", "én kote", text, rule)
        if self.strict and srs != HEIGHT_SRS_NAME:
            self._changed("LER-HEIGHT", srs or "", HEIGHT_SRS_NAME, child, Severity.ERROR)
        if len(numbers) == 3:
            self._changed("LER-HEIGHT", " ".join(numbers), numbers[2], child, self._tolerated)
        height = _number(numbers[-1])
        return {"height_m": None if height == -99 else height}

    def media(self, _: Attribute, child: etree._Element) -> dict[str, Any]:
        text = (child.text or "").strip(XML_BLANKS)
        known = catalogue().media_types
        if text not in known:
            raise _bad("one of " + ", ".join(known), "et kendt filformat", text, _RULE_OF["LER-MEDIA-TYPE"])
        written = child.get("type", "")
        if written != known[text]:
            self._changed("LER-MEDIA-TYPE", written, known[text], child, self._tolerated)
        return {"value": text, "type": known[text]}

    def uri(self, _: Attribute, child: etree._Element) -> str:
        text = (child.text or "").strip(XML_BLANKS)
        parts = PurePosixPath(text).parts
        if not text or ":" in text or "\\" in text or text.startswith("/") or ".." in parts:
            raise _Faulty(
                "LER-ATTACHMENT-PATH",
                "The path of the attachment must be relative and stay inside the zip file.",
                "Bilagets sti skal være relativ og blive i zip-filen.",
                text,
                rule="IRFileExtensionRestriktionRuleNoFile",
            )
        if not is_uri(text):
            raise _bad("a relative URI", "en relativ URI", text)
        self.files.append((text, self._feature_id or "", _line(child)))
        return text

    def reference(self, attribute: Attribute, child: etree._Element) -> dict[str, Any]:
        href = child.get(_XLINK_HREF)
        if href is None or not href.startswith("#") or len(href) < 2:
            raise _Faulty(
                "LER-XLINK-FORM",
                'The reference must be written as xlink:href="#gml:id".',
                'Referencen skal skrives som xlink:href="#gml:id".',
                href or "",
                "#…",
                "HrefHashtagRule",
            )
        own = href[1:].removeprefix(self._prefix)
        self._references.append((own, attribute, self._feature_id or "", _line(child), self._path))
        return {"href": f"#{own}"}

    def contact(self, attribute: Attribute, child: etree._Element) -> dict[str, Any]:
        if child.get(_XLINK_HREF) is not None:
            return self.reference(attribute, child)
        profile = child[0] if len(child) == 1 else None
        found = self._classes.get(profile.tag) if profile is not None else None
        if profile is None or found is None or found[0].name != "Kontaktprofil":
            raise _bad("a Kontaktprofil", "en Kontaktprofil", "")
        return self.contact_profile(profile)

    def contact_profile(self, profile: etree._Element) -> dict[str, Any]:
        """Return the fields of a ``Kontaktprofil``, without its id when that was made from the feature's."""
        known = self._classes[profile.tag]
        path = self._path
        if self.schema is not None:
            self.schema.feature(profile, known[0])
        fields = dict(_readable(self._attributes(known, profile)[0]))
        self._path = path
        own_id = self._own_id(profile)
        if own_id is not None:
            self.register(own_id, known[0].name, profile)
            feature_id = (self._feature_id or "").removeprefix(self._prefix)
            if own_id != contact_id(feature_id):
                fields["gml_id"] = own_id
        return fields

    # -- the whole

    def full_batches(self, minimum: int = BATCH_ROWS) -> Iterator[FeatureBatch]:
        """Yield the rows collected when there are at least `minimum`."""
        if len(self.rows) >= max(minimum, 1):
            yield self.rows.batch()

    def _check_areas(self) -> None:
        """Warn of the areas held that cross themselves."""
        held, self._areas = self._areas, []
        geometries = shapely.from_wkb([_flat_wkb(shape) for *_, shape in held])
        for (feature_id, path, line, shape), valid in zip(held, shapely.is_valid(geometries), strict=True):
            if valid:
                continue
            self._feature_id = feature_id
            told = len(self.report.findings)
            self.add(
                Severity.WARNING,
                "LER-GEOMETRY-CROSSES",
                "The area crosses or touches itself.",
                "Fladen krydser eller rører sig selv.",
                line=line,
                path=path,
            )
            self._place(told, shape)

    def finish(self, *, extract: bool = False) -> None:
        """Check that every reference has its target; called when the document has been read.

        Parameters
        ----------
        extract
            The document is a package, cut out by a dig area: references may point beyond it. They are kept,
            counted and remarked on once.
        """
        classes = catalogue().classes
        self._check_areas()
        if self._rules is not None:
            self.report.extend(self._rules.finish())
        if self._quirks is not None:
            self._feature_id = None
            for one in self._quirks.finish():
                self._tell_quirks((one,), str(one.quirk.entry["class"]), None)
        if extract:
            self._remark_beyond([own for own, *_ in self._references if own not in self._ids])
            self._references = [held for held in self._references if held[0] in self._ids]
        for own, attribute, feature_id, line, path in self._references:
            self._feature_id = feature_id
            target = self._ids.get(own)
            if target is None:
                self.error(
                    "LER-XLINK-TARGET",
                    f"Nothing in the document has the gml:id '{own[:80]}'.",
                    f"Intet i dokumentet har gml:id '{own[:80]}'.",
                    line=line,
                    path=path,
                    found=f"#{own}",
                    rule="ManglendeGmlIdHenvisningRule",
                )
            elif attribute.target and target and attribute.target not in classes[target].lineage:
                self.error(
                    "LER-XLINK-CLASS",
                    f"The reference points at a {target}.",
                    f"Referencen peger på {target}.",
                    line=line,
                    path=path,
                    expected=attribute.target,
                    found=target,
                    rule=_INVALID_GML,
                )

    def _remark_beyond(self, targets: list[str]) -> None:
        if not targets:
            return
        self._feature_id = None
        self.add(
            Severity.INFO,
            "LER-XLINK-BEYOND",
            f"{len(targets)} references point at features outside the package.",
            f"{len(targets)} referencer peger på objekter uden for pakken.",
            found=f"#{targets[0]}",
        )


def _readable(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the attributes that could be read."""
    if None not in properties.values():
        return properties
    return {name: value for name, value in properties.items() if value is not None}


_AREAS = frozenset(("Polygon", "MultiPolygon"))


def _flat_wkb(shape: Shape) -> bytes:
    xy = np.frombuffer(shape.vertices, dtype=np.float64).reshape(-1, 3)[:, :2]
    return wkb(shape.kind, shape.parts, np.ascontiguousarray(xy).tobytes())


def _line(element: etree._Element) -> int | None:
    line = element.sourceline
    return line if isinstance(line, int) else None


_A_DATETIME = "a date and time (yyyy-mm-ddThh:mm:ss)"


def _geometry_tag(element: etree._Element, entry: FeatureClass) -> str:
    """Return the tag of the geometry property of a feature element, in that one's own namespace."""
    name = entry.geometry.name if entry.geometry is not None else ""
    return f"{str(element.tag).partition('}')[0]}}}{name}"


def _bad(expected: str, expected_da: str, found: str, rule: str = "") -> _Faulty:
    return _Faulty("LER-VALUE", f"Expected {expected}.", f"Forventede {expected_da}.", found, expected, rule)


def _rule_of_number(text: str) -> str:
    return _INVALID_GML if _UNTAKEN_NUMBER.fullmatch(text) else ""


@lru_cache(maxsize=64)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)


def _number(text: str) -> float | int:
    """Return a number, whole ones as ``int``."""
    if len(text) > 400 or not _NUMBER.fullmatch(text):
        raise _bad("a number", "et tal", text, _rule_of_number(text))
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _bad("a finite number", "et endeligt tal", text, _INVALID_GML)
    return int(number) if number.is_integer() and abs(number) < 1e15 else number


def _date(text: str, rule: str = "") -> date:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError:
        raise _bad("a date (yyyy-mm-dd)", "en dato (åååå-mm-dd)", text, rule) from None


def parse_datetime(text: str) -> datetime:
    """Return a date-time; naive where the text has no zone; 24:00:00 is the next midnight."""
    try:
        if not _DATE.match(text) or text[10:11] != "T" or not text.isascii():
            raise ValueError(text)
        whole = _MIDNIGHT.sub("T00:00:00", text)
        moment = datetime.fromisoformat(whole)
        return moment if whole == text else moment + timedelta(days=1)
    except (ValueError, OverflowError):
        raise _bad(_A_DATETIME, "dato og tid", text) from None


_READERS: dict[str, Callable[[ElementReader, Attribute, etree._Element], Any]] = {
    "text": ElementReader.text,
    "uri": ElementReader.uri,
    "code": ElementReader.code,
    "boolean": ElementReader.boolean,
    "integer": ElementReader.integer,
    "decimal": ElementReader.decimal,
    "measure": ElementReader.measure,
    "date": ElementReader.date_text,
    "datetime": ElementReader.datetime_text,
    "instant": ElementReader.instant,
    "height": ElementReader.height,
    "media": ElementReader.media,
    "reference": ElementReader.reference,
    "contact": ElementReader.contact,
}
