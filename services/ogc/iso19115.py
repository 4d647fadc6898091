"""ISO 19115-3 of the catalogue's resources: one ``mdb:MD_Metadata``, or several in a CSW-like list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from lxml import etree

from geoinfra.storage.metadata import INSPIRE_THEMES, Contact
from services.ogc.records import Resource

__all__ = ["metadata_list_xml", "metadata_xml"]

_BASE: Final = "http://standards.iso.org/iso/19115/-3"
_NS: Final = {
    "mdb": f"{_BASE}/mdb/2.0",
    "mcc": f"{_BASE}/mcc/1.0",
    "cit": f"{_BASE}/cit/2.0",
    "lan": f"{_BASE}/lan/1.0",
    "mri": f"{_BASE}/mri/1.0",
    "mrl": f"{_BASE}/mrl/2.0",
    "mrd": f"{_BASE}/mrd/1.0",
    "mrs": f"{_BASE}/mrs/1.0",
    "mmi": f"{_BASE}/mmi/1.0",
    "mco": f"{_BASE}/mco/1.0",
    "gex": f"{_BASE}/gex/1.0",
    "gcx": f"{_BASE}/gcx/1.0",
    "srv": f"{_BASE}/srv/2.0",
    "mdq": "http://standards.iso.org/iso/19157/-2/mdq/1.0",
    "gco": f"{_BASE}/gco/1.0",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_CODES: Final = "http://standards.iso.org/iso/19115/resources/Codelists/cat/codelists.xml"
_LANGUAGES: Final = {"da": ("dan", "da"), "en": ("eng", "en")}

type _Element = etree._Element


def metadata_xml(one: Resource, url: str, language: str, operator: Contact) -> bytes:
    """Return the metadata of one resource, its texts in one language and, beside it, in the other."""
    return _written(_metadata(one, url, language, operator))


def metadata_list_xml(some: Sequence[Resource], url: str, language: str, operator: Contact) -> bytes:
    """Return the metadata of several resources under an element that counts them."""
    root = etree.Element("records", numberReturned=str(len(some)), nsmap=_NS)
    root.extend(_metadata(one, url, language, operator) for one in some)
    return _written(root)


def _written(root: _Element) -> bytes:
    content: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return content


def _add(parent: _Element, path: str) -> _Element:
    """Append the elements of a path, each within the one before; return the last."""
    for short in path.split("/"):
        prefix, _, local = short.partition(":")
        parent = etree.SubElement(parent, f"{{{_NS[prefix]}}}{local}")
    return parent


def _text(parent: _Element, path: str, text: str, kind: str = "gco:CharacterString") -> None:
    _add(parent, f"{path}/{kind}").text = text


def _texts(parent: _Element, path: str, texts: Mapping[str, str], language: str) -> None:
    """Append a text with its translation."""
    element = _add(parent, path)
    element.set(f"{{{_NS['xsi']}}}type", "lan:PT_FreeText_PropertyType")
    _add(element, "gco:CharacterString").text = texts.get(language, "")
    other = "en" if language == "da" else "da"
    if texts.get(other):
        local = _add(element, "lan:PT_FreeText/lan:textGroup/lan:LocalisedCharacterString")
        local.set("locale", f"#{other}")
        local.text = texts[other]


def _code(parent: _Element, path: str, listing: str, code: str) -> None:
    element = _add(parent, path)
    element.set("codeList", f"{_CODES}#{listing}")
    element.set("codeListValue", code)
    element.text = code


def _metadata(one: Resource, url: str, language: str, operator: Contact) -> _Element:
    root = etree.Element(f"{{{_NS['mdb']}}}MD_Metadata", nsmap=_NS)
    identifier = _add(root, "mdb:metadataIdentifier/mcc:MD_Identifier")
    _text(identifier, "mcc:code", one.id)
    _text(identifier, "mcc:codeSpace", url)
    _locale(root, "mdb:defaultLocale", language)
    scope = _add(root, "mdb:metadataScope/mdb:MD_MetadataScope")
    kind = "service" if one.kind == "service" else "dataset" if one.kind == "dataset" else "document"
    _code(scope, "mdb:resourceScope/mcc:MD_ScopeCode", "MD_ScopeCode", kind)
    _party(_add(root, "mdb:contact"), operator)
    moment = one.updated or one.created
    if moment:
        _date(_add(root, "mdb:dateInfo"), moment, "revision")
    else:
        _add(root, "mdb:dateInfo").set(f"{{{_NS['gco']}}}nilReason", "unknown")
    standard = _add(root, "mdb:metadataStandard/cit:CI_Citation")
    _text(standard, "cit:title", "ISO 19115-3")
    _locale(root, "mdb:otherLocale", "en" if language == "da" else "da")
    for code in one.crs:
        system = _add(root, "mdb:referenceSystemInfo/mrs:MD_ReferenceSystem")
        _text(_add(system, "mrs:referenceSystemIdentifier/mcc:MD_Identifier"), "mcc:code", code)
    _identification(root, one, language, operator)
    _distribution(root, one)
    _quality(root, one, language)
    _lineage(root, one, language, kind)
    return root


def _locale(parent: _Element, path: str, language: str) -> None:
    three, two = _LANGUAGES[language]
    locale = _add(parent, f"{path}/lan:PT_Locale")
    locale.set("id", two)
    _code(locale, "lan:language/lan:LanguageCode", "LanguageCode", three)
    _code(locale, "lan:characterEncoding/lan:MD_CharacterSetCode", "MD_CharacterSetCode", "utf8")


def _party(parent: _Element, contact: Contact) -> None:
    party = _add(parent, "cit:CI_Responsibility")
    _code(party, "cit:role/cit:CI_RoleCode", "CI_RoleCode", contact.role)
    organisation = _add(party, "cit:party/cit:CI_Organisation")
    _text(organisation, "cit:name", contact.name)
    if not (contact.email or contact.url):
        return
    reach = _add(organisation, "cit:contactInfo/cit:CI_Contact")
    if contact.email:
        _text(reach, "cit:address/cit:CI_Address/cit:electronicMailAddress", contact.email)
    if contact.url:
        _text(reach, "cit:onlineResource/cit:CI_OnlineResource/cit:linkage", contact.url)


def _date(parent: _Element, moment: str, kind: str) -> None:
    date = _add(parent, "cit:CI_Date")
    _text(date, "cit:date", moment, "gco:DateTime")
    _code(date, "cit:dateType/cit:CI_DateTypeCode", "CI_DateTypeCode", kind)


def _identification(root: _Element, one: Resource, language: str, operator: Contact) -> None:
    is_service = one.kind == "service"
    name = "srv:SV_ServiceIdentification" if is_service else "mri:MD_DataIdentification"
    told = _add(root, f"mdb:identificationInfo/{name}")
    citation = _add(told, "mri:citation/cit:CI_Citation")
    _texts(citation, "cit:title", one.title, language)
    for moment, kind in ((one.created, "creation"), (one.updated, "revision")):
        if moment:
            _date(_add(citation, "cit:date"), moment, kind)
    _text(_add(citation, "cit:identifier/mcc:MD_Identifier"), "mcc:code", one.id)
    _texts(told, "mri:abstract", one.description, language)
    for contact in one.contacts(operator):
        _party(_add(told, "mri:pointOfContact"), contact)
    if one.metadata.resolution_m is not None:
        distance = _add(told, "mri:spatialResolution/mri:MD_Resolution/mri:distance/gco:Distance")
        distance.set("uom", "m")
        distance.text = repr(one.metadata.resolution_m)
    for topic in one.metadata.topics:
        _add(told, "mri:topicCategory/mri:MD_TopicCategoryCode").text = topic
    _extent(told, one)
    if one.metadata.update:
        maintenance = _add(told, "mri:resourceMaintenance/mmi:MD_MaintenanceInformation")
        _code(
            maintenance,
            "mmi:maintenanceAndUpdateFrequency/mmi:MD_MaintenanceFrequencyCode",
            "MD_MaintenanceFrequencyCode",
            one.metadata.update,
        )
    _keywords(told, one, language)
    _constraints(told, one, language)
    if is_service:
        _add(told, "srv:serviceType/gco:ScopedName").text = one.id.partition(".")[2]
    else:
        _locale(told, "mri:defaultLocale", language)


def _extent(told: _Element, one: Resource) -> None:
    if one.kind != "dataset":
        return
    box = _add(told, "mri:extent/gex:EX_Extent/gex:geographicElement/gex:EX_GeographicBoundingBox")
    west, south, east, north = one.extent
    for side, degrees in (
        ("westBoundLongitude", west),
        ("eastBoundLongitude", east),
        ("southBoundLatitude", south),
        ("northBoundLatitude", north),
    ):
        _text(box, f"gex:{side}", repr(float(degrees)), "gco:Decimal")


def _keywords(told: _Element, one: Resource, language: str) -> None:
    if one.keywords:
        keywords = _add(told, "mri:descriptiveKeywords/mri:MD_Keywords")
        for word in one.keywords:
            _text(keywords, "mri:keyword", word)
    theme = one.metadata.inspire_theme
    if theme:
        keywords = _add(told, "mri:descriptiveKeywords/mri:MD_Keywords")
        danish, english = INSPIRE_THEMES[theme]
        _texts(keywords, "mri:keyword", {"da": danish, "en": english}, language)
        thesaurus = _add(keywords, "mri:thesaurusName/cit:CI_Citation")
        _text(thesaurus, "cit:title", "GEMET - INSPIRE themes, version 1.0")


def _constraints(told: _Element, one: Resource, language: str) -> None:
    licence = one.licence
    if not (licence.address or one.licence_text or one.metadata.terms):
        return
    legal = _add(told, "mri:resourceConstraints/mco:MD_LegalConstraints")
    if licence.address:
        reference = _add(legal, "mco:reference/cit:CI_Citation")
        _text(reference, "cit:title", licence.spdx or licence.text.get(language, "") or "Licence")
        _text(reference, "cit:onlineResource/cit:CI_OnlineResource/cit:linkage", licence.address)
    restriction = "mco:useConstraints/mco:MD_RestrictionCode"
    _code(legal, restriction, "MD_RestrictionCode", "licence" if licence.address else "otherRestrictions")
    for texts in (licence.text, one.metadata.terms):
        if texts:
            _texts(legal, "mco:otherConstraints", texts, language)
    if one.licence_text:
        _text(legal, "mco:otherConstraints", one.licence_text)


def _distribution(root: _Element, one: Resource) -> None:
    distribution = _add(root, "mdb:distributionInfo/mrd:MD_Distribution")
    for name, _media_type in one.formats:
        citation = _add(
            distribution,
            "mrd:distributionFormat/mrd:MD_Format/mrd:formatSpecificationCitation/cit:CI_Citation",
        )
        _text(citation, "cit:title", name)
    options = _add(distribution, "mrd:transferOptions/mrd:MD_DigitalTransferOptions")
    for link in one.links:
        online = _add(options, "mrd:onLine/cit:CI_OnlineResource")
        _text(online, "cit:linkage", link["href"])
        _text(online, "cit:protocol", link["type"])
        _text(online, "cit:name", link["title"])


def _quality(root: _Element, one: Resource, language: str) -> None:
    if not (one.metadata.quality or one.metadata.conformance):
        return
    told = _add(root, "mdb:dataQualityInfo/mdq:DQ_DataQuality")
    _code(_add(told, "mdq:scope/mcc:MD_Scope"), "mcc:level/mcc:MD_ScopeCode", "MD_ScopeCode", "dataset")
    for statement in one.metadata.quality:
        is_position = "position" in statement.measure.lower()
        kind = "DQ_AbsoluteExternalPositionalAccuracy" if is_position else "DQ_UsabilityElement"
        element = _add(told, f"mdq:report/mdq:{kind}")
        _text(_add(element, "mdq:measure/mdq:DQ_MeasureReference"), "mdq:nameOfMeasure", statement.measure)
        if statement.value is not None:
            result = _add(element, "mdq:result/mdq:DQ_QuantitativeResult")
            _text(result, "mdq:value", repr(statement.value), "gco:Record")
            _text(result, "mdq:valueUnit", statement.unit)
        else:
            result = _add(element, "mdq:result/mdq:DQ_DescriptiveResult")
            _texts(result, "mdq:statement", statement.text, language)
    for conformity in one.metadata.conformance:
        result = _add(told, "mdq:report/mdq:DQ_DomainConsistency/mdq:result/mdq:DQ_ConformanceResult")
        citation = _add(result, "mdq:specification/cit:CI_Citation")
        _text(citation, "cit:title", conformity.title)
        if conformity.date:
            _date(_add(citation, "cit:date"), f"{conformity.date}T00:00:00Z", "publication")
        passed = {"conformant": "true", "notConformant": "false"}.get(conformity.degree)
        if passed is None:
            _add(result, "mdq:pass").set(f"{{{_NS['gco']}}}nilReason", "unknown")
        else:
            _text(result, "mdq:pass", passed, "gco:Boolean")


def _lineage(root: _Element, one: Resource, language: str, kind: str) -> None:
    if not one.metadata.lineage:
        return
    lineage = _add(root, "mdb:resourceLineage/mrl:LI_Lineage")
    _texts(lineage, "mrl:statement", one.metadata.lineage, language)
    _code(_add(lineage, "mrl:scope/mcc:MD_Scope"), "mcc:level/mcc:MD_ScopeCode", "MD_ScopeCode", kind)
