"""GeoDCAT-AP of the catalogue's resources, as JSON-LD and as RDF/XML made of one and the same graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import shapely
from lxml import etree

from geoinfra.storage.metadata import INSPIRE_THEMES, Contact
from services.ogc.records import CATALOGUE, INSPIRE_SCHEME, TOPIC_SCHEME, Resource, title_of

__all__ = ["jsonld", "rdfxml"]

_PREFIXES: Final = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "locn": "http://www.w3.org/ns/locn#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "prov": "http://www.w3.org/ns/prov#",
    "dqv": "http://www.w3.org/ns/dqv#",
    "geo": "http://www.opengis.net/ont/geosparql#",
}
_LANGUAGE: Final = "http://publications.europa.eu/resource/authority/language"
_FREQUENCY: Final = "http://publications.europa.eu/resource/authority/frequency"
_ACCESS: Final = "http://publications.europa.eu/resource/authority/access-right"
_THEME: Final = "http://publications.europa.eu/resource/authority/data-theme"
_MEDIA: Final = "https://www.iana.org/assignments/media-types"
_FREQUENCIES: Final = {
    "continual": "CONT", "daily": "DAILY", "weekly": "WEEKLY", "fortnightly": "BIWEEKLY",
    "monthly": "MONTHLY", "quarterly": "QUARTERLY", "biannually": "ANNUAL_2", "annually": "ANNUAL",
    "asNeeded": "AS_NEEDED", "irregular": "IRREG", "notPlanned": "NOT_PLANNED", "unknown": "UNKNOWN",
    "periodic": "OTHER", "semimonthly": "MONTHLY_2", "biennially": "BIENNIAL",
}  # fmt: skip
_THEMES: Final = {"tn": "TRAN", "us": "ENER", "hy": "ENVI", "ps": "ENVI", "lu": "REGI", "lc": "ENVI"}


@dataclass(frozen=True, slots=True)
class _Literal:
    text: str
    language: str = ""
    datatype: str = ""


@dataclass(frozen=True, slots=True)
class _Ref:
    """A resource that is named, not described."""

    uri: str


@dataclass(frozen=True, slots=True)
class _Node:
    """A described resource; without `uri` a blank one."""

    kind: str
    uri: str = ""
    properties: list[tuple[str, Any]] = field(default_factory=list)

    def add(self, name: str, *values: Any) -> None:
        self.properties.extend((name, value) for value in values if value)


def jsonld(
    some: Sequence[Resource], url: str, operator: Contact, *, whole: bool, granted: frozenset[str]
) -> dict[str, Any]:
    """Return GeoDCAT-AP as JSON-LD.

    Parameters
    ----------
    whole
        The catalogue with all of `some`, else the one resource alone.
    granted
        Ids of the records whose data are handed out by grant only.
    """
    graph = [_as_json(node) for node in _graph(some, url, operator, whole=whole, granted=granted)]
    return {"@context": dict(_PREFIXES), "@graph": graph}


def rdfxml(
    some: Sequence[Resource], url: str, operator: Contact, *, whole: bool, granted: frozenset[str]
) -> bytes:
    """Return the same as :func:`jsonld` as RDF/XML."""
    root = etree.Element(_name("rdf:RDF"), nsmap=_PREFIXES)
    for node in _graph(some, url, operator, whole=whole, granted=granted):
        root.append(_as_xml(node))
    content: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return content


# --- The graph


def _graph(
    some: Sequence[Resource], url: str, operator: Contact, *, whole: bool, granted: frozenset[str]
) -> Iterator[_Node]:
    if whole:
        yield _catalogue(some, url, operator)
    for one in some:
        yield _described(one, url, operator, is_open=one.id not in granted)


def _uri(url: str, identifier: str) -> str:
    return f"{url}/collections/{CATALOGUE}/items/{identifier}"


def _texts(texts: Mapping[str, str]) -> list[_Literal]:
    return [_Literal(text, language) for language, text in sorted(texts.items()) if text]


def _moment(text: str) -> _Literal | None:
    return _Literal(text, datatype="xsd:dateTime") if text else None


def _concept(uri: str, labels: Mapping[str, str]) -> _Node:
    node = _Node("skos:Concept", uri)
    node.add("skos:prefLabel", *_texts(labels))
    return node


def _catalogue(some: Sequence[Resource], url: str, operator: Contact) -> _Node:
    node = _Node("dcat:Catalog", f"{url}/collections/{CATALOGUE}")
    titles = {language: title_of(language) for language in ("da", "en")}
    node.add("dct:title", *_texts(titles))
    node.add(
        "dct:description",
        *_texts(
            {
                "da": f"{titles['da']}: {operator.name}",
                "en": f"{titles['en']}: {operator.name}",
            }
        ),
    )
    node.add("dct:publisher", _agent(operator))
    node.add("dct:language", _Ref(f"{_LANGUAGE}/DAN"), _Ref(f"{_LANGUAGE}/ENG"))
    node.add("foaf:homepage", _Node("foaf:Document", f"{url}/"))
    node.add("dcat:themeTaxonomy", _Ref(INSPIRE_SCHEME), _Ref(_THEME))
    node.add("dct:modified", _moment(max((one.updated for one in some), default="")))
    for one in some:
        node.add("dcat:service" if one.kind == "service" else "dcat:dataset", _Ref(_uri(url, one.id)))
    return node


def _agent(contact: Contact) -> _Node:
    node = _Node("foaf:Agent")
    node.add("foaf:name", _Literal(contact.name))
    node.add("foaf:mbox", contact.email and _Ref(f"mailto:{contact.email}"))
    node.add("foaf:homepage", contact.url and _Node("foaf:Document", contact.url))
    return node


def _point(contact: Contact) -> _Node:
    node = _Node("vcard:Organization")
    node.add("vcard:fn", _Literal(contact.name))
    node.add("vcard:hasEmail", contact.email and _Ref(f"mailto:{contact.email}"))
    node.add("vcard:hasURL", contact.url and _Ref(contact.url))
    return node


def _described(one: Resource, url: str, operator: Contact, *, is_open: bool) -> _Node:
    node = _Node("dcat:DataService" if one.kind == "service" else "dcat:Dataset", _uri(url, one.id))
    node.add("dct:title", *_texts(one.title))
    node.add("dct:description", *_texts(one.description))
    node.add("dct:identifier", _Literal(one.id))
    node.add("dcat:keyword", *(_Literal(word) for word in one.keywords))
    contacts = one.contacts(operator)
    publisher = next((c for c in contacts if c.role in ("publisher", "owner")), operator)
    node.add("dct:publisher", _agent(publisher))
    node.add("dcat:contactPoint", *(_point(contact) for contact in contacts))
    access = "PUBLIC" if is_open else "RESTRICTED"
    node.add("dct:accessRights", _Node("dct:RightsStatement", f"{_ACCESS}/{access}"))
    if one.kind == "service":
        _tell_service(node, one, url)
    else:
        _tell_dataset(node, one)
    return node


def _tell_service(node: _Node, one: Resource, url: str) -> None:
    address = next(link["href"] for link in one.links if link["rel"] == "about").partition("?")[0]
    node.add("dcat:endpointURL", _Ref(address))
    node.add("dcat:endpointDescription", _Ref(f"{url}/openapi"))
    node.add("dcat:servesDataset", *(_Ref(_uri(url, served)) for served in one.serves))
    node.add("dct:conformsTo", one.conforms_to and _Node("dct:Standard", one.conforms_to))
    node.add("dct:modified", _moment(one.updated))


def _tell_dataset(node: _Node, one: Resource) -> None:
    metadata = one.metadata
    node.add("dct:issued", _moment(one.created))
    node.add("dct:modified", _moment(one.updated))
    node.add("dct:language", _Ref(f"{_LANGUAGE}/DAN"))
    if one.kind == "dataset":
        node.add("dct:spatial", _location(one))
    if metadata.update:
        frequency = f"{_FREQUENCY}/{_FREQUENCIES[metadata.update]}"
        node.add("dct:accrualPeriodicity", _Node("dct:Frequency", frequency))
    if metadata.inspire_theme:
        danish, english = INSPIRE_THEMES[metadata.inspire_theme]
        concept = f"{INSPIRE_SCHEME}/{metadata.inspire_theme}"
        node.add("dcat:theme", _concept(concept, {"da": danish, "en": english}))
        node.add("dcat:theme", _Ref(f"{_THEME}/{_THEMES.get(metadata.inspire_theme, 'REGI')}"))
    node.add("dct:subject", *(_Ref(f"{TOPIC_SCHEME}/{topic}") for topic in metadata.topics))
    if metadata.resolution_m is not None:
        resolution = _Literal(repr(metadata.resolution_m), datatype="xsd:decimal")
        node.add("dcat:spatialResolutionInMeters", resolution)
    if metadata.lineage:
        statement = _Node("dct:ProvenanceStatement")
        statement.add("rdfs:label", *_texts(metadata.lineage))
        node.add("dct:provenance", statement)
    for conformity in metadata.conformance:
        standard = _Node("dct:Standard", conformity.url)
        standard.add("dct:title", _Literal(conformity.title))
        if conformity.degree == "conformant":
            node.add("dct:conformsTo", standard)
    node.add("dcat:distribution", *_distributions(one))


def _location(one: Resource) -> _Node:
    west, south, east, north = one.extent
    wkt = shapely.to_wkt(shapely.box(west, south, east, north), rounding_precision=6)
    node = _Node("dct:Location")
    node.add("dcat:bbox", _Literal(wkt, datatype="geo:wktLiteral"))
    node.add("locn:geometry", _Literal(wkt, datatype="geo:wktLiteral"))
    return node


def _distributions(one: Resource) -> Iterator[_Node]:
    for link in one.links:
        if link["rel"] != "item":
            continue
        node = _Node("dcat:Distribution", link["href"])
        node.add("dct:title", _Literal(f"{one.title['en']}: {link['title']}", "en"))
        node.add("dct:title", _Literal(f"{one.title['da']}: {link['title']}", "da"))
        node.add("dcat:accessURL", _Ref(link["href"]))
        node.add("dcat:mediaType", _Ref(f"{_MEDIA}/{link['type'].partition(';')[0]}"))
        licence = one.licence
        if licence.address:
            document = _Node("dct:LicenseDocument", licence.address)
            document.add("dct:title", licence.spdx and _Literal(licence.spdx))
            node.add("dct:license", document)
        terms = one.metadata.terms or dict.fromkeys(("da", "en"), one.licence_text)
        if any(terms.values()):
            rights = _Node("dct:RightsStatement")
            rights.add("rdfs:label", *_texts(terms))
            node.add("dct:rights", rights)
        yield node


# --- Its two forms


def _as_json(node: _Node) -> dict[str, Any]:
    document: dict[str, Any] = {"@type": node.kind}
    if node.uri:
        document["@id"] = node.uri
    for name, value in node.properties:
        document.setdefault(name, []).append(_json_value(value))
    return document


def _json_value(value: Any) -> dict[str, Any]:
    if isinstance(value, _Node):
        return _as_json(value)
    if isinstance(value, _Ref):
        return {"@id": value.uri}
    told = {"@value": value.text}
    if value.language:
        told["@language"] = value.language
    if value.datatype:
        told["@type"] = value.datatype
    return told


def _name(short: str) -> str:
    prefix, _, local = short.partition(":")
    return f"{{{_PREFIXES[prefix]}}}{local}"


def _as_xml(node: _Node) -> etree._Element:
    element = etree.Element(_name(node.kind), nsmap=_PREFIXES)
    if node.uri:
        element.set(_name("rdf:about"), node.uri)
    for name, value in node.properties:
        child = etree.SubElement(element, _name(name))
        if isinstance(value, _Node):
            child.append(_as_xml(value))
        elif isinstance(value, _Ref):
            child.set(_name("rdf:resource"), value.uri)
        else:
            _write_literal(child, value)
    return element


def _write_literal(element: etree._Element, literal: _Literal) -> None:
    element.text = literal.text
    if literal.language:
        element.set("{http://www.w3.org/XML/1998/namespace}lang", literal.language)
    if literal.datatype:
        prefix, _, local = literal.datatype.partition(":")
        element.set(_name("rdf:datatype"), f"{_PREFIXES[prefix]}{local}")
