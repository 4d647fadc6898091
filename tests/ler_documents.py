"""Documents of every class of LER, made from the catalogue: the least, the most, each value in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lxml import etree

from geoinfra.utilities.catalogue import NEWEST_MODEL, Attribute, FeatureClass, catalogue

XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
XLINK = "{http://www.w3.org/1999/xlink}"
GML = "{http://www.opengis.net/gml/3.2}"
SRS = "http://www.opengis.net/def/crs/EPSG/0/7416"
ANSWER_ID = "cd459a03-8629-4682-85b3-293cd6fefd75"
TARGETS = {
    "Ledning": "x.Elledning",
    "Ledningskomponent": "x.Elkomponent",
    "Informationsressource": "x.Informationsressource",
    "LinearAnnotation": "x.LinearAnnotation",
    "": "x.Elledning",
}

_LINE = "700000 6200000 1.5 700001 6200000 -99"
_FAR_LINE = "700010 6200000 1.5 700011 6200000 1.5"
_RING = "700000 6200000 1 700010 6200000 1 700010 6200010 1 700000 6200010 1 700000 6200000 1"
_HOLE = "700002 6200002 1 700002 6200004 1 700004 6200004 1 700004 6200002 1 700002 6200002 1"

POINT = "<Point {srs}><pos>700000 6200000 -99</pos></Point>"
LINE = f"<LineString {{srs}}><posList>{_LINE}</posList></LineString>"
LINE_OF_POSITIONS = "<LineString {srs}><pos>700000 6200000 1</pos><pos>700001 6200000 1</pos></LineString>"
CURVE = (
    f"<Curve {{srs}}><segments><LineStringSegment><posList>{_LINE}</posList></LineStringSegment>"
    '<LineStringSegment interpolation="linear"><posList>700001 6200000 -99 700002 6200005 2</posList>'
    "</LineStringSegment></segments></Curve>"
)
POLYGON = (
    f"<Polygon {{srs}}><exterior><LinearRing><posList>{_RING}</posList></LinearRing></exterior>"
    f"<interior><LinearRing><posList>{_HOLE}</posList></LinearRing></interior></Polygon>"
)
SURFACE = (
    "<Surface {srs}><patches><PolygonPatch><exterior><LinearRing>"
    f"<posList>{_RING}</posList></LinearRing></exterior></PolygonPatch></patches></Surface>"
)
_BARE_POINT = POINT.format(srs="")
MULTI_POINT = (
    f"<MultiPoint {{srs}}><pointMember>{_BARE_POINT}</pointMember>"
    f"<pointMember>{_BARE_POINT}</pointMember></MultiPoint>"
)
MULTI_POINTS = f"<MultiPoint {{srs}}><pointMembers>{_BARE_POINT}{_BARE_POINT}</pointMembers></MultiPoint>"
MULTI_CURVE = (
    f"<MultiCurve {{srs}}><curveMember>{LINE.format(srs='')}</curveMember>"
    f"<curveMember>{CURVE.format(srs='')}</curveMember></MultiCurve>"
)
MULTI_CURVES = (
    f"<MultiCurve {{srs}}><curveMembers>{LINE.format(srs='')}"
    f"<LineString><posList>{_FAR_LINE}</posList></LineString></curveMembers></MultiCurve>"
)
MULTI_SURFACE = (
    f"<MultiSurface {{srs}}><surfaceMember>{POLYGON.format(srs='')}</surfaceMember>"
    f"<surfaceMember>{SURFACE.format(srs='')}</surfaceMember></MultiSurface>"
)
MULTI_SURFACES = (
    f"<MultiSurface {{srs}}><surfaceMembers>{POLYGON.format(srs='')}</surfaceMembers></MultiSurface>"
)

GEOMETRIES = {
    "Point": [POINT],
    "Curve": [LINE, LINE_OF_POSITIONS, CURVE],
    "MultiCurve": [MULTI_CURVE, MULTI_CURVES],
    "Geometry": [
        POINT,
        MULTI_POINT,
        MULTI_POINTS,
        LINE,
        CURVE,
        MULTI_CURVE,
        POLYGON,
        SURFACE,
        MULTI_SURFACE,
        MULTI_SURFACES,
    ],
}
SRS_FORMS = (f'srsName="{SRS}" srsDimension="3"', f'srsName="{SRS}"')


def geometry(text: str, srs: str = SRS_FORMS[0], gml_id: str = "") -> etree._Element:
    """Make a geometry of one of the texts above."""
    own = f'gml:id="{gml_id}"' if gml_id else ""
    space = GML[1:-1]
    written = text.replace("{srs}", f"{srs} {own}").replace(" >", ">")
    root = etree.fromstring(f'<r xmlns="{space}" xmlns:gml="{space}">{written}</r>')
    return root[0]


class Documents:
    """Makes documents of one data model."""

    def __init__(self, model: str = NEWEST_MODEL) -> None:
        self.known = catalogue(model)
        self.model = model
        self.spaces = {prefix: f"{{{uri}}}" for prefix, uri in self.known.namespaces.items()}

    def element(
        self, attribute: Attribute, text: str | None = None, attributes: dict[str, str] | None = None
    ) -> etree._Element:
        """Make the element of an attribute."""
        made = etree.Element(self.spaces[attribute.prefix] + attribute.name, attributes, self.nsmap)
        made.text = text
        return made

    @property
    def nsmap(self) -> dict[str, str]:
        """Prefixes as written on the root."""
        return dict(self.known.namespaces)

    def values(self, attribute: Attribute, gml_id: str) -> Iterator[etree._Element]:
        """Yield every kind of valid element of an attribute: each code, each form, nil where allowed."""
        yield from self._values(attribute, gml_id)
        if attribute.nillable:
            unit = {"uom": attribute.uom} if attribute.type == "measure" else {}
            yield self.element(attribute, None, {f"{XSI}nil": "true", **unit})
            yield self.element(attribute, None, {f"{XSI}nil": "1", "nilReason": "unknown", **unit})

    def _values(self, attribute: Attribute, gml_id: str) -> Iterator[etree._Element]:
        enumeration = attribute.enumeration
        if enumeration is not None:
            codes = [*sorted(enumeration.values), *(["other: æble2"] if enumeration.open else [])]
            yield from (self.element(attribute, code) for code in codes)
        elif attribute.type == "measure":
            for number in ("110", "-0.5", " 1e2 ", "+.5"):
                yield self.element(attribute, number, {"uom": attribute.uom or "m"})
        elif attribute.type == "instant":
            for text in ("2024-02-29", "2024", "1999-12", " 2024 "):
                yield self.element(attribute, text)
                yield self.element(attribute, text, {"indeterminatePosition": "before"})
        elif attribute.type == "height":
            for text in ("12.5", "-99", " 3 "):
                yield self.element(attribute, text, {"srsName": "http://www.opengis.net/def/crs/EPSG/0/5799"})
        elif attribute.type == "media":
            for text, media_type in self.known.media_types.items():
                yield self.element(attribute, text, {"type": media_type})
        elif attribute.type == "reference":
            yield self.element(attribute, None, {f"{XLINK}href": "#" + TARGETS[attribute.target]})
        elif attribute.type == "contact":
            yield self.contact(attribute, f"{gml_id}.{attribute.name}")
        elif attribute.type == "geometry":
            for text in GEOMETRIES[attribute.geometry]:
                for srs in SRS_FORMS:
                    holder = self.element(attribute)
                    holder.append(geometry(text, srs))
                    yield holder
        else:
            longest = "æ" * (attribute.max_length or 60)
            texts = {
                "text": ("Tekst & <mere>", " ", longest, "to\nlinjer"),
                "uri": ("skitse.pdf", "mappe/skitse.pdf"),
                "boolean": ("true", "false", "0", " 1 "),
                "integer": ("3", "-2", "+04", " 5 "),
                "decimal": ("0.25", "0", "1", "1.00", "0.7"),
                "date": ("2024-02-29", " 1999-12-31 "),
                "datetime": ("2024-02-29T12:00:00", "2024-02-29T12:00:00.5+01:00", "2024-02-29T00:00:00Z"),
            }[attribute.type]
            yield from (self.element(attribute, text) for text in texts)

    def contact(self, attribute: Attribute, gml_id: str) -> etree._Element:
        """Make a contact property with every field."""
        holder = self.element(attribute)
        profile = etree.SubElement(holder, f"{self.spaces['ler']}Kontaktprofil", {f"{GML}id": gml_id})
        fields = {"navn": "Netdrift", "telefonnummer": "12345678", "mailadresse": "net@example.dk"}
        for name, text in fields.items():
            etree.SubElement(profile, self.spaces["ler"] + name).text = text
        return holder

    def feature(
        self, entry: FeatureClass, gml_id: str, *, full: bool = False, chosen: etree._Element | None = None
    ) -> etree._Element:
        """Make a feature with what the schema asks for, or with everything; `chosen` takes its place."""
        made = etree.Element(self.spaces[entry.prefix] + entry.name, {f"{GML}id": gml_id}, self.nsmap)
        for attribute in entry.attributes.values():
            if chosen is not None and chosen.tag == self.spaces[attribute.prefix] + attribute.name:
                made.append(chosen)
            elif full or attribute.min:
                for _ in range(2 if full and attribute.repeated else 1):
                    made.append(next(self.values(attribute, gml_id)))
        return made

    def each_value(self, entry: FeatureClass) -> Iterator[etree._Element]:
        """Yield a feature for every attribute of a class and every value that it can have."""
        number = 0
        for attribute in entry.attributes.values():
            for value in self.values(attribute, f"{entry.name}.{number}"):
                yield self.feature(entry, f"{entry.name}.{number}", chosen=value)
                number += 1

    def targets(self) -> list[etree._Element]:
        """Return the features that references point at."""
        return [
            self.feature(self.known.classes[name.partition(".")[2]], name)
            for name in dict.fromkeys(TARGETS.values())
        ]

    def member(self, name: str, *features: etree._Element) -> etree._Element:
        """Wrap features into a member."""
        holder = etree.Element(self.spaces["ler"] + name, None, self.nsmap)
        holder.extend(features)
        return holder

    def header(
        self, *, full: bool = False, response: str = "ledningsoplysninger udleveret"
    ) -> list[etree._Element]:
        """Make the elements before the members."""
        attributes = self.known.classes["Graveforespoergselssvar"].attributes
        held = [self.element(attributes["id"], ANSWER_ID), self.element(attributes["type"], response)]
        if full:
            held += [
                self.element(attributes["gyldigTil"], "2099-12-31"),
                self.element(attributes["typeSupplerendeInfo"], "Ring først"),
                self.contact(attributes["kontaktprofilTilTekniskeSpoergsmaal"], "svar.kontakt"),
            ]
        return held

    def document(
        self, features: Iterable[etree._Element], *, full_header: bool = False, targets: bool = True
    ) -> etree._Element:
        """Make an answer; features stand in the members that the schema orders, one a line."""
        places = {
            self.spaces[entry.prefix] + entry.name: entry.member for entry in self.known.classes.values()
        }
        held = [*(self.targets() if targets else []), *features]
        names = list(self.known.classes["Graveforespoergselssvar"].attributes)
        held.sort(key=lambda feature: names.index(places[str(feature.tag)]))
        members = [self.member(places[str(feature.tag)], feature) for feature in held]
        return self.answer([*self.header(full=full_header), *members])

    def answer(self, children: Iterable[etree._Element], **attributes: str) -> etree._Element:
        """Make the root with its children, one a line."""
        root = etree.Element(
            f"{self.spaces['ler']}Graveforespoergselssvar",
            {f"{GML}id": "svar", "schemaVersion": self.model, **attributes},
            self.nsmap,
        )
        root.text = "\n"
        for child in children:
            child.tail = "\n"
            root.append(child)
        return root


def written(document: etree._Element) -> bytes:
    """Return the bytes of a document."""
    return etree.tostring(document, encoding="UTF-8", xml_declaration=True)
