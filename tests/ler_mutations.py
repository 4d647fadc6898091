"""What can be done to a feature of LER: seeded or every change, judged by a schema and by strict reading."""

from __future__ import annotations

import copy
import io
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ler_documents import (
    CURVE,
    GML,
    LINE,
    MULTI_CURVE,
    MULTI_POINT,
    MULTI_SURFACE,
    POINT,
    POLYGON,
    SRS,
    SRS_FORMS,
    SURFACE,
    XLINK,
    XSI,
    Documents,
    geometry,
    written,
)
from lxml import etree

from geoinfra.errors import DataRefused, Finding, Severity, UnreadableFile
from geoinfra.utilities.catalogue import MODELS, Attribute, FeatureClass
from geoinfra.utilities.formats import ler

CVR = "12345678"

LIBXML2_DIFFERS = {
    "= ' 2024-01-01T10:00:00 '": "blanks around a date or dateTime are collapsed; libxml2 refuses them",
    "(measure) = '1e'": "a double needs digits in its exponent; libxml2 takes it without",
    "xlink}type='locator'": "the attribute is fixed to 'simple'; libxml2 does not look",
}
"""Where libxml2 judges against XML Schema; the reader keeps to XML Schema."""

THOROUGH = ("Elledning", "Vandkomponent", "Informationsressource", "TextAnnotation")
"""Classes on which every XML attribute is tried; on the others a seeded choice."""

XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
Edit = Callable[[str], str]


@dataclass(frozen=True)
class Case:
    """One feature with one thing done to it; `edit` changes its text after it was written."""

    name: str
    feature: etree._Element
    edit: Edit | None = None
    member: str = ""


def strict_findings(document: bytes) -> list[Finding]:
    """Read strictly; a document that is refused as a whole gives one finding without a line."""
    try:
        answer = ler.read_answer(io.BytesIO(document), owner_cvr=CVR, strict=True)
        answer.report.limit = 10**6
        answer.scan()
    except DataRefused as refused:
        return refused.report.findings
    except UnreadableFile as error:
        return [Finding("LER-UNREADABLE", Severity.ERROR, error.message)]
    return answer.report.findings


def errors_of(document: bytes) -> list[Finding]:
    return [finding for finding in strict_findings(document) if finding.severity is Severity.ERROR]


def schema_faults(schema: etree.XMLSchema, document: bytes) -> dict[int, str]:
    """Return the first message of the schema for each line."""
    faults: dict[int, str] = {}
    try:
        schema.validate(etree.fromstring(document))
    except etree.XMLSyntaxError as error:
        return {0: str(error)}
    for entry in schema.error_log:
        faults.setdefault(entry.line, entry.message)
    return faults


TEXTS: dict[str, tuple[str, ...]] = {
    "text": ("", "x" * 51, "x" * 36, "x" * 501, "æ" * 50, "\u00a0"),
    "uri": ("", "../x.pdf", "/x.pdf", "a b.pdf", "http://x.dk/a.pdf", "c:\\x.pdf", "æ.pdf", "%zz", "x.pdf "),
    "boolean": ("", "True", "ja", "2", " true ", "1 1", "\u00a0true", "tru\u00a0e", "TRUE"),
    "integer": ("", "1.0", "1e3", "\u0663", "x", "1 0", "9" * 15, "9" * 30, "--1", "+", "1_0", "\u00a01"),
    "decimal": ("", "1.01", "0.123", "-0", ".5", "2", "0,5", " 0.5 ", "00.5", "0.", "NaN", "1.00 ", "\u0661"),
    "measure": (
        "",
        "abc",
        "1,5",
        "1e",
        "NaN",
        "INF",
        "-INF",
        "+INF",
        "inf",
        "Infinity",
        "1_0",
        "\u0663",
        "+1",
        "1.",
        ".5",
        ".",
        "0x10",
        "1 2",
        " 1 ",
        "\u00a01",
        "1e400",
        "1" * 60,
        "1d",
        "1e+5",
        "1e5.0",
        "-0",
    ),
    "date": (
        "",
        "2024-02-30",
        "2024-2-3",
        "24-02-03",
        "2024-02-29Z",
        "2024-02-29+01:00",
        "2024-02-29+15:00",
        "2024-01-01T00:00:00",
        "29-02-2024",
        "0000-01-01",
        " 2024-01-01 ",
        "2024-13-01",
        "20240101",
        "\u00a02024-01-01",
    ),
    "datetime": (
        "",
        "2024-01-01",
        "2024-01-01 10:00:00",
        "2024-01-01T25:00:00",
        "2024-01-01T24:00:00",
        "2024-01-01T24:00:01",
        "2024-01-01T10:00",
        "2024-01-01T10",
        "2024-01-01T10:00:00.123456789",
        "2024-01-01T10:00:00+0100",
        "2024-01-01T10:00:00+15:00",
        "2024-01-01T10:00:00z",
        "2024-01-01t10:00:00",
        "2024-02-30T10:00:00",
        "2024-01-01T10:00:60",
        "2024-01-01T10:00:00.",
        "2024-01-01T10:00:00,5",
        " 2024-01-01T10:00:00 ",
        "2024-W01-1T10:00:00",
        "2024-01-01T10:00:00-14:00",
    ),
    "instant": (
        "",
        "15-03-2004",
        "2024-02-30",
        "2024-13",
        "24",
        "2024-1",
        "2024-01-01Z",
        "2024Z",
        "før 2023",
        "12:00:00",
        "2024-01-01T10:00:00",
        "1.5",
        " 2024 ",
        "20240101",
        "0000",
        "\u0662\u0660\u0662\u0664",
    ),
    "height": (
        "",
        "abc",
        "1,5",
        "1 2",
        "700000 6200000 12.5",
        " 3 ",
        "NaN",
        "INF",
        "-99",
        "-99.0",
        "1_0",
        "\u00a03",
        "1 2 3 4",
        "\u0663",
        "1e3",
    ),
    "media": ("", "pdf", "PNG", "PDFPDFPD", " PDF", "PDF ", "IFC-SPF", "Pdf"),
    "reference": ("tekst", " "),
    "contact": ("tekst", " \t "),
    "geometry": ("tekst", " "),
}

CODES: tuple[Callable[[str], str], ...] = (
    lambda code: "",
    lambda code: f" {code}",
    lambda code: f"{code} ",
    lambda code: code.upper(),
    lambda code: code.capitalize(),
    lambda code: f"{code}.",
    lambda code: code.replace(" ", "  "),
    lambda code: code.replace(".", ","),
    lambda code: "other: to ord",
    lambda code: "other:ord",
    lambda code: "other: x",
    lambda code: "other:  ord",
    lambda code: "Other: ord",
    lambda code: "other: a-b",
    lambda code: "other: ord2",
    lambda code: "other: ord ",
    lambda code: f"other: {code}",
    lambda code: "ukendt",
    lambda code: "farlig",
)

ATTRIBUTES: tuple[tuple[str, str], ...] = (
    ("foo", "1"),
    (XML_LANG, "da"),
    (f"{GML}id", "an.id"),
    ("nilReason", "unknown"),
    ("nilReason", "withheld"),
    ("nilReason", "other:ferie"),
    ("nilReason", "https://example.dk/x"),
    (f"{XSI}nil", "false"),
    (f"{XSI}nil", "0"),
    (f"{XSI}nil", "ja"),
    (f"{XSI}nil", " true "),
    (f"{XSI}type", "ler:Ukendt"),
    (f"{XSI}schemaLocation", "http://a.dk b.xsd"),
    (f"{XSI}noNamespaceSchemaLocation", "b.xsd"),
    (f"{XSI}andet", "1"),
    ("uom", "mm"),
    ("uom", "cm"),
    ("uom", ""),
    ("uom", "m m"),
    ("uom", "a:b"),
    ("type", "application/pdf"),
    ("type", "text/plain"),
    ("srsName", "http://www.opengis.net/def/crs/EPSG/0/5799"),
    ("srsName", "EPSG:25832"),
    ("srsDimension", "1"),
    ("srsDimension", "0"),
    ("srsDimension", "en"),
    ("axisLabels", "h"),
    ("axisLabels", "1 2"),
    ("uomLabels", "m"),
    ("frame", "#ISO-8601"),
    ("calendarEraName", "e.Kr."),
    ("indeterminatePosition", "before"),
    ("indeterminatePosition", "after"),
    ("indeterminatePosition", "Before"),
    ("indeterminatePosition", " before"),
    ("owns", "true"),
    ("owns", "ja"),
    (f"{GML}remoteSchema", "http://a.dk"),
    (f"{XLINK}href", "#x.Elledning"),
    (f"{XLINK}href", "#findes.ikke"),
    (f"{XLINK}href", "x.Elledning"),
    (f"{XLINK}href", ""),
    (f"{XLINK}href", "#"),
    (f"{XLINK}title", "titel"),
    (f"{XLINK}type", "simple"),
    (f"{XLINK}type", "locator"),
    (f"{XLINK}show", "new"),
    (f"{XLINK}show", "forkert"),
    (f"{XLINK}actuate", "onLoad"),
    (f"{XLINK}andet", "1"),
)

BOX = (
    f'<Envelope srsName="{SRS}" srsDimension="3"><lowerCorner>700000 6200000 0</lowerCorner>'
    "<upperCorner>700001 6200001 1</upperCorner></Envelope>"
)
GML_PROPERTIES: tuple[str, ...] = (
    "<description>tekst</description>",
    "<description><b/></description>",
    '<description foo="1">tekst</description>',
    '<descriptionReference xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="#x"/>',
    '<identifier codeSpace="x">1</identifier>',
    "<identifier>1</identifier>",
    "<name>et navn</name>",
    '<name codeSpace="http://x.dk">et navn</name>',
    "<name><name>x</name></name>",
    f"<boundedBy>{BOX}</boundedBy>",
    "<boundedBy/>",
    "<boundedBy><Null>unknown</Null></boundedBy>",
    "<boundedBy><Null>forkert svar</Null></boundedBy>",
    "<boundedBy><Envelope><lowerCorner>1 2</lowerCorner></Envelope></boundedBy>",
    "<boundedBy><Envelope><lowerCorner>a</lowerCorner><upperCorner>b</upperCorner></Envelope></boundedBy>",
    f"<boundedBy><Envelope foo='1'>{BOX[BOX.index('<lower') :]}</boundedBy>",
    f"<location>{POINT.format(srs='')}</location>",
    "<location/>",
    "<ukendt/>",
    "<pos>1 2 3</pos>",
)

_PIECES = {
    "$patch": "<Surface$srs><patches><PolygonPatch",
    "$last": "</PolygonPatch></patches></Surface>",
    "$begin": "<segments><$segment",
    "$stop": "</$segment></segments></Curve>",
    "$shell": "<exterior>$ring</exterior>",
    "$open": "<exterior><LinearRing>",
    "$close": "</LinearRing></exterior>",
    "$east": "700010 6200000 1",
    "$corner": "700010 6200010 1",
    "$e": "<pos>700010 6200000 1</pos>",
    "$c": "<pos>700010 6200010 1</pos>",
    "$line": LINE.format(srs=""),
    "$polygon": POLYGON.format(srs=""),
    "$point": POINT.format(srs=""),
    "$ring": "<LinearRing><posList>$three</posList></LinearRing>",
    "$square": "<posList>$xy 1 700010 6200000 1 700010 6200010 1 700000 6200010 1 $xy 1</posList>",
    "$list": "<posList>$two</posList>",
    "$two": "$xy 1 700001 6200000 1",
    "$three": "$xy 1 700010 6200000 1 700010 6200010 1 $xy 1",
    "$pos": "<pos>$xy 1</pos>",
    "$xy": "700000 6200000",
    "$segment": "LineStringSegment",
    "$srs": " {srs}",
}
"""Pieces of the geometries below, each put in after those before it."""


def _whole(text: str) -> str:
    for name, piece in _PIECES.items():
        text = text.replace(name, piece)
    return text


_SHORT = (
    "<LineString$srs/>",
    "<Point$srs/>",
    "<Point$srs><pos/></Point>",
    "<Point$srs><pos>$xy</pos></Point>",
    "<Point$srs><pos>$xy 1 2</pos></Point>",
    "<Point$srs><pos>a b c</pos></Point>",
    "<Point$srs><pos>700000,6200000,1</pos></Point>",
    "<Point$srs><pos>$xy NaN</pos></Point>",
    "<Point$srs><pos>$xy INF</pos></Point>",
    "<Point$srs><pos>700_000 6200000 1</pos></Point>",
    "<Point$srs><pos>\xa0$xy 1</pos></Point>",
    "<Point$srs><pos>\u0667\u0660\u0660000 6200000 1</pos></Point>",
    "<Point$srs><pos>$xy 1e400</pos></Point>",
    "<Point$srs><pos>0 0 0</pos></Point>",
    "<Point$srs><pos>6200000 700000 0</pos></Point>",
    "<Point$srs>$pos$pos</Point>",
    "<Point$srs><posList>$xy 1</posList></Point>",
    "<Point$srs><coordinates>700000,6200000,1</coordinates></Point>",
    "<Point$srs><name>navn</name>$pos</Point>",
    "<Point$srs>$pos<name>navn</name></Point>",
    '<Point$srs foo="1">$pos</Point>',
    '<Point$srs><pos foo="1">$xy 1</pos></Point>',
    '<Point$srs><pos srsDimension="3">$xy 1</pos></Point>',
    '<Point$srs><pos srsDimension="2">$xy</pos></Point>',
    '<Point$srs><pos count="1">$xy 1</pos></Point>',
    "<Point$srs>tekst$pos</Point>",
    "<Point$srs>$postekst</Point>",
    "<Point$srs><pos>700000 <b/>6200000 1</pos></Point>",
    '<Point axisLabels="e n h"$srs>$pos</Point>',
    "<LineString$srs>$pos</LineString>",
    "<LineString$srs><posList>$xy 1</posList></LineString>",
    "<LineString$srs><posList>$xy 1 700001 6200000</posList></LineString>",
    "<LineString$srs><posList>$xy 700001 6200000</posList></LineString>",
    "<LineString$srs><posList></posList></LineString>",
    '<LineString$srs><posList count="2">$two</posList></LineString>',
    '<LineString$srs><posList count="0">$two</posList></LineString>',
    '<LineString$srs><posList srsDimension="3">$two</posList></LineString>',
    '<LineString$srs><posList srsDimension="2">$two</posList></LineString>',
    "<LineString$srs>$list$pos</LineString>",
    "<LineString$srs>$list$list</LineString>",
    "<LineString$srs><coordinates>700000,6200000,1 700001,6200000,1</coordinates></LineString>",
    "<LineString$srs><ukendt/></LineString>",
    "<Curve$srs/>",
    "<Curve$srs><segments/></Curve>",
    "<Curve$srs><andet><$segment>$list</$segment></andet></Curve>",
    "<Curve$srs><segments><Arc><posList>$three</posList></Arc></segments></Curve>",
    '<Curve$srs>$begin interpolation="linear" numDerivativesAtStart="0">$list$stop',
    '<Curve$srs>$begin interpolation="geodesic">$list$stop',
    '<Curve$srs>$begin numDerivativesAtStart="x">$list$stop',
    '<Curve$srs>$begin srsDimension="3">$list$stop',
    "<Curve$srs><segments>tekst</segments></Curve>",
    "<OrientableCurve$srs><baseCurve>$line</baseCurve></OrientableCurve>",
    "<CompositeCurve$srs><curveMember>$line</curveMember></CompositeCurve>",
    "<MultiCurve$srs/>",
    "<MultiCurve$srs><curveMember/></MultiCurve>",
    "<MultiCurve$srs><curveMember>$line$line</curveMember></MultiCurve>",
    "<MultiCurve$srs><lineStringMember>$line</lineStringMember></MultiCurve>",
    "<MultiCurve$srs><pointMember>$line</pointMember></MultiCurve>",
    "<MultiCurve$srs><pointMember>$point</pointMember></MultiCurve>",
    "<MultiCurve$srs><curveMember>$point</curveMember></MultiCurve>",
    "<MultiCurve$srs><curveMembers>$line</curveMembers><curveMember>$line</curveMember></MultiCurve>",
    "<MultiCurve$srs><curveMember>$line</curveMember><curveMembers>$line</curveMembers></MultiCurve>",
    '<MultiCurve$srs aggregationType="set"><curveMember>$line</curveMember></MultiCurve>',
    '<MultiCurve$srs aggregationType="x"><curveMember>$line</curveMember></MultiCurve>',
    '<MultiCurve$srs><curveMember owns="true">$line</curveMember></MultiCurve>',
    '<MultiCurve$srs><curveMember foo="1">$line</curveMember></MultiCurve>',
    "<MultiCurve$srs>tekst<curveMember>$line</curveMember></MultiCurve>",
    "<MultiLineString$srs><lineStringMember>$line</lineStringMember></MultiLineString>",
    "<Polygon$srs/>",
    "<Polygon$srs><exterior/></Polygon>",
    "<Polygon$srs>$shell$shell</Polygon>",
    "<Polygon$srs><interior>$ring</interior></Polygon>",
    "<Polygon$srs>$open<posList>$xy 1 $east $corner 700000 6200005 1</posList>$close</Polygon>",
    "<Polygon$srs>$open<posList>$xy 1 $east $xy 1</posList>$close</Polygon>",
    "<Polygon$srs>$open$pos$e$pos$close</Polygon>",
    "<Polygon$srs>$open$pos$e$c$pos$close</Polygon>",
    '<Polygon$srs><exterior><LinearRing srsDimension="3"><posList>$three</posList>$close</Polygon>',
    '<Polygon$srs><exterior foo="1">$ring</exterior></Polygon>',
    "<Polygon$srs><exterior><Ring><curveMember>$line</curveMember></Ring></exterior></Polygon>",
    "<Polygon$srs><outerBoundaryIs>$ring</outerBoundaryIs></Polygon>",
    "<Surface$srs/>",
    "<Surface$srs><patches/></Surface>",
    "<Surface$srs><patches><Rectangle>$open$square$close</Rectangle></patches></Surface>",
    '$patch interpolation="planar">$shell$last',
    '$patch interpolation="none">$shell$last',
    "<Surface$srs><trianglePatches/></Surface>",
    "<Solid$srs/>",
    "<Ukendt$srs/>",
    "<MultiGeometry$srs><geometryMember>$line</geometryMember></MultiGeometry>",
    "<MultiPoint$srs/>",
    "<MultiSurface$srs><surfaceMember/></MultiSurface>",
    "<MultiSurface$srs><polygonMember>$polygon</polygonMember></MultiSurface>",
)
GEOMETRY_TEXTS = (
    *(POINT, LINE, CURVE, POLYGON, SURFACE, MULTI_CURVE, MULTI_POINT, MULTI_SURFACE),
    *map(_whole, _SHORT),
)

SRS_ATTRIBUTES: tuple[str, ...] = (
    "",
    'srsName="EPSG:7416"',
    'srsName="urn:ogc:def:crs:EPSG::7416"',
    'srsName="http://www.opengis.net/def/crs/EPSG/0/25832"',
    'srsName="EPSG:4326"',
    'srsName=""',
    f'srsName="{SRS}" srsDimension="2"',
    f'srsName="{SRS}" srsDimension="4"',
    f'srsName="{SRS}" srsDimension="0"',
    f'srsName="{SRS}" srsDimension="x"',
    f'srsName="{SRS}" srsDimension=" 3 "',
    f'srsName="{SRS}" srsDimension="+3"',
    f'srsName="{SRS}" gml:id="x.Elledning"',
    f'srsName="{SRS}" gml:id="1 2"',
    f'srsName="{SRS}" gml:id=""',
    f'srsName="{SRS}" id="a"',
)


class Mutations:
    """Makes the cases of one class; a seeded choice of attributes, or all of them."""

    def __init__(self, made: Documents, entry: FeatureClass, every: bool = False) -> None:
        self.made, self.entry, self._every = made, entry, every
        self.random = random.Random(f"{made.model} {entry.name}")
        self._number = 0
        self.fields = list(entry.attributes.values())
        self._whole = made.feature(entry, "m", full=True)

    def base(self) -> etree._Element:
        """Make a feature with all that it can have, with ids of its own."""
        self._number += 1
        made = copy.deepcopy(self._whole)
        for element in made.iter(self._whole.tag, "{*}Kontaktprofil"):
            element.set(f"{GML}id", f"m.{self._number}{element.get(f'{GML}id', '')[1:]}")
        return made

    def child(self, feature: etree._Element, attribute: Attribute) -> etree._Element:
        found = feature.find(self.made.spaces[attribute.prefix] + attribute.name)
        assert found is not None
        return found

    def some(self, attributes: list[Attribute]) -> list[Attribute]:
        """All of them, or one by chance."""
        return attributes if self._every or not attributes else [self.random.choice(attributes)]

    def by_type(self) -> Iterator[Attribute]:
        """Attributes of every type and nillability."""
        groups = defaultdict(list)
        for attribute in self.fields:
            kind = "list" if attribute.enumeration and attribute.enumeration.open else attribute.type
            groups[kind, attribute.nillable].append(attribute)
        for group in groups.values():
            yield from self.some(group)

    def all(self) -> Iterator[Case]:
        yield from self.structure()
        yield from self.identifiers()
        yield from self.texts()
        yield from self.attributes()
        yield from self.nils()
        yield from self.contacts()
        yield from self.gml_properties()
        yield from self.geometries()
        yield from self.written_forms()

    def structure(self) -> Iterator[Case]:
        for attribute in self.fields:
            feature = self.base()
            feature.remove(self.child(feature, attribute))
            if attribute.min or self._every:
                for other in feature.findall(self.made.spaces[attribute.prefix] + attribute.name):
                    feature.remove(other)
                yield Case(f"without {attribute.name}", feature)
            feature = self.base()
            child = self.child(feature, attribute)
            again = copy.deepcopy(child)
            for element in again.iter("{*}Kontaktprofil"):
                element.set(f"{GML}id", f"m.{self._number}.again")
            child.addnext(again)
            yield Case(f"twice {attribute.name}", feature)
        for attribute in self.some(self.fields[1:]) + self.some(self.fields[1:]):
            feature = self.base()
            child = self.child(feature, attribute)
            before = child.getprevious()
            assert before is not None
            before.addprevious(child)
            yield Case(f"{attribute.name} too early", feature)
        for tag in (
            self.made.spaces["ler"] + "ukendt",
            "ukendt",
            "objectType",
            "ledningsejer",
            f"{GML}ukendt",
            self.made.spaces["dcterms"] + "title",
            self.made.spaces["ler"] + "Driftsstatus",
            "{http://data.gov.dk/schemas/LER/3/gml}driftsstatus",
        ):
            for place in (0, len(self.fields)):
                feature = self.base()
                feature.insert(place, etree.Element(tag, nsmap=self.made.nsmap))
                yield Case(f"with {tag}", feature)
        for attribute in self.some(self.fields):
            feature = self.base()
            child = self.child(feature, attribute)
            child.tag = etree.QName(child).localname
            yield Case(f"{attribute.name} without namespace", feature)
            feature = self.base()
            child = self.child(feature, attribute)
            space = self.made.spaces["ler"].replace(f"/{self.made.model[0]}/", "/9/")
            child.tag = space + attribute.name
            yield Case(f"{attribute.name} of another namespace", feature)
        for text in ("tekst", "\u00a0", " \t ", "0"):
            feature = self.base()
            feature.text = text
            yield Case(f"text {text!r} first", feature)
            feature = self.base()
            feature[-1].tail = text
            yield Case(f"text {text!r} last", feature)
            feature = self.base()
            self.random.choice(feature[:-1]).tail = text
            yield Case(f"text {text!r} between", feature)
        for name, value in (*ATTRIBUTES, ("schemaVersion", "2.2.0")):
            feature = self.base()
            if name != f"{GML}id":
                feature.set(name, value)
                yield Case(f"feature with {name}={value}", feature)
        feature = self.base()
        for child in feature[:]:
            feature.remove(child)
        yield Case("no content", feature)
        yield Case("wrong class in the member", self._renamed("Kontaktprofil"))
        yield Case("unknown class", self._renamed("Ukendt"))
        yield Case("abstract class", self._renamed("Ledning"))

    def _renamed(self, name: str) -> etree._Element:
        feature = self.base()
        feature.tag = self.made.spaces["ler"] + name
        return feature

    def identifiers(self) -> Iterator[Case]:
        for gml_id in (
            None,
            "",
            "1a",
            "a b",
            "a:b",
            "x.Elledning",
            "æø",
            "a-b.c",
            "-a",
            "a\u00a0b",
            "\u0661",
        ):
            feature = self.base()
            del feature.attrib[f"{GML}id"]
            if gml_id is not None:
                feature.set(f"{GML}id", gml_id if gml_id != "æø" else f"æø{self._number}")
                if gml_id == "a-b.c":
                    feature.set(f"{GML}id", f"a-b.c{self._number}")
            yield Case(f"gml:id {gml_id!r}", feature)
        feature = self.base()
        feature.set(f"{GML}id", f" pad{self._number} ")
        yield Case("gml:id with blanks around", feature)
        feature = self.base()
        feature.attrib.pop(f"{GML}id")
        feature.set("id", "m.x")
        yield Case("id without prefix", feature)

    def texts(self) -> Iterator[Case]:
        for attribute in self.by_type():
            texts = TEXTS.get(attribute.type, ())
            if attribute.enumeration is not None:
                code = self.random.choice(sorted(attribute.enumeration.values))
                texts = tuple(change(code) for change in CODES)
            for text in texts:
                feature = self.base()
                self.child(feature, attribute).text = text
                yield Case(f"{attribute.name} ({attribute.type}) = {text[:30]!r}", feature)
            feature = self.base()
            etree.SubElement(self.child(feature, attribute), self.made.spaces["ler"] + "b")
            yield Case(f"{attribute.name} with an element inside", feature)

    def attributes(self) -> Iterator[Case]:
        for attribute in self.by_type():
            every = self._every or (self.entry.name in THOROUGH and self.made.model == MODELS[-1])
            for name, value in ATTRIBUTES if every else self.random.sample(ATTRIBUTES, 10):
                feature = self.base()
                self.child(feature, attribute).set(name, value)
                yield Case(f"{attribute.name} ({attribute.type}) with {name}={value!r}", feature)
            present = self.child(self.base(), attribute).attrib
            for name in present:
                feature = self.base()
                del self.child(feature, attribute).attrib[name]
                yield Case(f"{attribute.name} without {name}", feature)

    def nils(self) -> Iterator[Case]:
        for attribute in self.fields:
            if attribute.type == "features":
                continue
            unit = {"uom": "mm"} if attribute.type == "measure" else {}
            forms: tuple[dict[str, str], ...] = (
                {f"{XSI}nil": "true", **unit},
                {f"{XSI}nil": "true"},
                {f"{XSI}nil": "true", "nilReason": "withheld", **unit},
                {f"{XSI}nil": "1", "nilReason": "", **unit},
            )
            for form in forms if attribute.nillable or self._every else forms[:1]:
                feature = self.base()
                child = self.child(feature, attribute)
                # a child has a parent
                child.getparent().replace(child, self.made.element(attribute, None, dict(form)))  # type: ignore[union-attr]  # it has one
                yield Case(f"nil {attribute.name} {form}", feature)
            if attribute.nillable or self._every:
                feature = self.base()
                self.child(feature, attribute).set(f"{XSI}nil", "true")
                yield Case(f"nil {attribute.name} with content", feature)
                feature = self.base()
                child = self.child(feature, attribute)
                # a child has a parent
                child.getparent().replace(child, self.made.element(attribute, " ", dict(forms[0])))  # type: ignore[union-attr]  # it has one
                yield Case(f"nil {attribute.name} with a blank", feature)

    def contacts(self) -> Iterator[Case]:
        for attribute in self.some([a for a in self.fields if a.type == "contact"]):
            changes: dict[str, Callable[[etree._Element, etree._Element], object]] = {
                "without profile": lambda holder, profile: holder.remove(profile),
                "profile twice": lambda holder, profile: holder.append(self._other_profile(profile)),
                "without gml:id": lambda holder, profile: profile.attrib.clear(),
                "with the feature's gml:id": lambda holder, profile: profile.set(
                    f"{GML}id", f"m.{self._number}"
                ),
                "without name": lambda holder, profile: profile.remove(profile[0]),
                "only a name": lambda holder, profile: [profile.remove(p) for p in profile[1:]],
                "fields swapped": lambda holder, profile: profile.insert(0, profile[1]),
                "telephone too long": lambda holder, profile: setattr(profile[1], "text", "1" * 16),
                "name empty": lambda holder, profile: setattr(profile[0], "text", ""),
                "unknown field": lambda holder, profile: etree.SubElement(
                    profile, self.made.spaces["ler"] + "fax"
                ),
                "text in the profile": lambda holder, profile: setattr(profile, "text", "tekst"),
                "text after the profile": lambda holder, profile: setattr(profile, "tail", "tekst"),
                "another class": lambda holder, profile: setattr(
                    profile, "tag", self.made.spaces["ler"] + "Elledning"
                ),
                "attribute on the profile": lambda holder, profile: profile.set("foo", "1"),
                "attribute on the name": lambda holder, profile: profile[0].set("foo", "1"),
                "nil name": lambda holder, profile: profile[0].set(f"{XSI}nil", "true"),
            }
            for name, change in changes.items():
                feature = self.base()
                holder = self.child(feature, attribute)
                change(holder, holder[0])
                yield Case(f"contact: {name}", feature)

    def _other_profile(self, profile: etree._Element) -> etree._Element:
        again = copy.deepcopy(profile)
        again.set(f"{GML}id", f"m.{self._number}.again")
        return again

    def gml_properties(self) -> Iterator[Case]:
        for text in GML_PROPERTIES:
            for place in (0, 1, 10**6):
                feature = self.base()
                feature.insert(place, geometry(text, ""))
                yield Case(f"{text[:40]} at {place}", feature)
        pairs = (
            "<name>a</name><name>b</name>",
            "<description>a</description><name>b</name>",
            "<name>a</name><description>b</description>",
            "<description>a</description><description>b</description>",
            f"<name>a</name><boundedBy>{BOX}</boundedBy>",
            f"<boundedBy>{BOX}</boundedBy><name>a</name>",
        )
        for pair in pairs:
            feature = self.base()
            feature[:0] = list(geometry(f"<r>{pair}</r>", ""))
            yield Case(f"{pair[:40]} first", feature)

    def geometries(self) -> Iterator[Case]:
        place = self.entry.geometry
        if place is None:
            return
        kinds = {"Point": POINT, "Curve": LINE, "MultiCurve": MULTI_CURVE, "Geometry": POLYGON}
        written_kinds = [(text, SRS_FORMS[0]) for text in GEOMETRY_TEXTS]
        written_kinds += [(kinds[place.geometry], srs) for srs in SRS_ATTRIBUTES]
        for text, srs in written_kinds:
            feature = self.base()
            holder = self.child(feature, place)
            holder[:] = [geometry(text, srs)]
            yield Case(f"geometry {text[:150]} {srs}", feature)
        for name, shapes in {
            "none": [],
            "two": [kinds[place.geometry]] * 2,
            "of no namespace": [],
        }.items():
            feature = self.base()
            holder = self.child(feature, place)
            holder[:] = [geometry(shape) for shape in shapes]
            if name == "of no namespace":
                etree.SubElement(holder, "Point")
            yield Case(f"geometry: {name}", feature)
        feature = self.base()
        holder = self.child(feature, place)
        holder[0].tail = "tekst"
        yield Case("geometry with text behind", feature)

    def written_forms(self) -> Iterator[Case]:
        code = next((a for a in self.fields if a.enumeration is not None), self.fields[0])
        name = code.qname
        for what, old, new in (
            ("comment in the feature", f"<{name}", f"<!-- nota --><{name}"),
            ("comment in a value", f"</{name}>", f"<!-- nota --></{name}>"),
            ("instruction in a value", f"</{name}>", f"<?pi x?></{name}>"),
            ("character data section", f"</{name}>", f"<![CDATA[]]></{name}>"),
            ("character reference", f"</{name}>", f"&#32;</{name}>"),
            ("lines between", f"<{name}", f" <{name}"),
        ):
            # bound to its own texts
            yield Case(what, self.base(), lambda text, old=old, new=new: text.replace(old, new, 1))  # type: ignore[misc]  # bound at once


def document_of(made: Documents, cases: list[Case]) -> tuple[bytes, dict[int, Case]]:
    """Write cases into one document, each on a line of its own."""
    placed = {id(case.feature): case for case in cases}
    entry_of = {made.spaces[e.prefix] + e.name: e for e in made.known.classes.values()}
    names = list(made.known.classes["Graveforespoergselssvar"].attributes)
    held = [(entry_of[str(target.tag)].member, target) for target in made.targets()]
    held += [(case.member, case.feature) for case in cases]
    held.sort(key=lambda pair: names.index(pair[0]))
    root = made.answer([*made.header(), *(made.member(name, feature) for name, feature in held)])
    lines = written(root).decode().split("\n")
    by_line: dict[int, Case] = {}
    first = next(number for number, line in enumerate(lines) if "Member>" in line)
    for offset, (_, feature) in enumerate(held):
        case = placed.get(id(feature))
        if case is not None:
            by_line[first + offset + 1] = case
            if case.edit is not None:
                lines[first + offset] = case.edit(lines[first + offset])
    return "\n".join(lines).encode(), by_line


@dataclass
class Verdicts:
    """What the schema and the reader say of each case, and where they differ."""

    cases: int
    invalid: int = 0
    missed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    rules: set[str] = field(default_factory=set)


def compare(schema: etree.XMLSchema, document: bytes, by_line: dict[int, Case]) -> Verdicts:
    """Compare verdicts line by line."""
    faults = schema_faults(schema, document)
    errors = defaultdict(list)
    lines_of = {case.feature.get(f"{GML}id"): line for line, case in by_line.items()}
    for finding in errors_of(document):
        errors[finding.line or lines_of.get(finding.feature_id, -1)].append(finding)
    verdicts = Verdicts(len(by_line))
    for line, case in by_line.items():
        if any(form in case.name for form in LIBXML2_DIFFERS):
            continue
        verdicts.rules |= {finding.rule for finding in errors[line]} - {""}
        if line in faults:
            verdicts.invalid += 1
            if not errors[line]:
                verdicts.missed.append(f"{case.name}: {faults[line]}")
        else:
            unnamed = [finding for finding in errors[line] if not finding.rule]
            if unnamed:
                verdicts.refused.append(
                    f"{case.name}: {unnamed[0].code} {unnamed[0].path} {unnamed[0].message}"
                )
    strays = [found for line, found in errors.items() if line not in by_line and line not in faults]
    stray = [finding for found in strays for finding in found]
    verdicts.refused += [f"at no case: {finding}" for finding in stray]
    return verdicts


def judged(schema: etree.XMLSchema, made: Documents, entry: FeatureClass, *, every: bool = False) -> Verdicts:
    """Change features of a class in every way, or in a seeded choice of ways, and compare the verdicts."""
    cases = [
        Case(case.name, case.feature, case.edit, entry.member) for case in Mutations(made, entry, every).all()
    ]
    return compare(schema, *document_of(made, cases))
