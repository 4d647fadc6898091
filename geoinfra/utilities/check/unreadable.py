"""The finding of a file that cannot be read: the reader's English sentence, and its Danish."""

from __future__ import annotations

import re

from geoinfra.errors import Finding, InvalidInput, Severity

__all__ = ["danish", "unreadable"]

_LINE = re.compile(r"line (\d+)")
_ROOTS = r"(?:The document|\S+) is not an? (.+)\."
_THINGS = {
    "a PDF": "en PDF",
    "a SQLite database (GeoPackage?)": "en SQLite-database (GeoPackage?)",
    "a zip file": "en zip-fil",
    "a PNG image": "et PNG-billede",
    "a JPEG image": "et JPEG-billede",
    "a TIFF image": "et TIFF-billede",
    "a gzip file": "en gzip-fil",
    "a 7z archive": "et 7z-arkiv",
    "a RAR archive": "et RAR-arkiv",
    "a DWG drawing": "en DWG-tegning",
    "a DXF drawing": "en DXF-tegning",
    "an old Office document": "et ældre Office-dokument",
    "a shapefile": "en shapefil",
    "a FlatGeobuf": "en FlatGeobuf",
    "a Parquet file": "en Parquet-fil",
    "JSON": "JSON",
    "an empty file": "en tom fil",
    "XML that is not well-formed": "XML, der ikke er velformet",
    "no XML": "ikke XML",
}
_DANISH = (
    (r"This is XML with the root '(.*)'\.", "Dette er XML med roden '{}'."),
    (r"This is (.+)\.", "Dette er {}."),
    (r"The zip file holds no document of LER\.", "Zip-filen har intet LER-dokument."),
    (r"That is no file\.", "Det er ikke en fil."),
    (r"The file cannot be opened: (.+)\.", "Filen kan ikke åbnes: {}."),
    (r"A zip in the zip is larger than (\d+) bytes\.", "En zip i zip-filen er større end {} byte."),
    (r"The folder has more than (\d+) files\.", "Mappen har mere end {} filer."),
    (r"The folder holds more than (\d+) bytes\.", "Mappen fylder mere end {} byte."),
    (r"The attachment is larger than (\d+) bytes\.", "Bilaget er større end {} byte."),
    (r"The package names more than (\d+) owners\.", "Pakken nævner mere end {} ejere."),
    (
        r"The package holds too many answers that name no owner\.",
        "Pakken har for mange svar, der ikke nævner en ejer.",
    ),
    (
        r"An owner of the package has too many interest areas\.",
        "En ejer i pakken har for mange interesseområder.",
    ),
    (
        r"The document holds (\d+) Indberetning, not one\.",
        "Dokumentet har {} Indberetning; der skal være én.",
    ),
    (r"The polygon encloses nothing\.", "Polygonen omslutter intet."),
    (r"The coordinates of the polygon make no ring\.", "Polygonens koordinater giver ingen ring."),
    (r"The file is larger than (\d+) bytes\.", "Filen er større end {} byte."),
    (
        r"The zip file is damaged, encrypted or packed in a way not read here\.",
        "Zip-filen er beskadiget, krypteret eller pakket på en måde, der ikke kan læses her.",
    ),
    (r"The zip file has more than (\d+) members\.", "Zip-filen har mere end {} filer."),
    (r"The zip file unpacks to more than (\d+) bytes\.", "Zip-filen fylder mere end {} byte udpakket."),
    (r"The zip file holds the same name twice\.", "Zip-filen har det samme filnavn to gange."),
    (r"The zip file holds no \.gml file\.", "Zip-filen har ingen .gml-fil."),
    (r"The zip file holds no (.+)\.", "Zip-filen har ingen {}."),
    (r"A name in the zip file points outside of it\.", "Et navn i zip-filen peger ud af den."),
    (r"The zip file is encrypted\.", "Zip-filen er krypteret."),
    (
        r"A member of the zip file unpacks to more than (\d+) times\.",
        "En fil i zip-filen fylder mere end {} gange så meget udpakket.",
    ),
    (r"The document is larger than (\d+) bytes\.", "Dokumentet er større end {} byte."),
    (r"One element is larger than (\d+) bytes\.", "Et element er større end {} byte."),
    (r"The document is not well-formed XML\.", "Dokumentet er ikke velformet XML."),
    (_ROOTS, "Dokumentet er ikke et {}."),
    (r"The root of the document is not what it should be\.", "Dokumentets rod er ikke, som den skal være."),
    (r"The document declares a document type\.", "Dokumentet erklærer en dokumenttype (DOCTYPE)."),
    (r"(\S+) is not well-formed XML\.", "{} er ikke velformet XML."),
    (r"(\S+) declares a document type\.", "{} erklærer en dokumenttype (DOCTYPE)."),
    (r"(\S+) is larger than (\d+) bytes\.", "{} er større end {} byte."),
    (r"A time in the package cannot be read\.", "Et tidspunkt i pakken kan ikke læses."),
    (r"The document holds no Graveforesp\.", "Dokumentet har ingen Graveforesp."),
    (r"The polygons of the request do not make one area\.", "Forespørgslens polygoner giver ikke ét område."),
    (r"'(.+)' is not a date \(yyyy-mm-dd\)\.", "'{}' er ikke en dato (åååå-mm-dd)."),
    (r"The request has no polygon\.", "Forespørgslen har ingen polygon."),
    (r"The polygon is in '(.*)'\.", "Polygonen er i '{}'."),
    (
        r"A ring of the polygon has fewer than four points\.",
        "En ring i polygonen har færre end fire punkter.",
    ),
    (r"The polygon has more than (\d+) points\.", "Polygonen har mere end {} punkter."),
    (r"The polygon is not closed\.", "Polygonen er ikke lukket."),
    (r"The coordinates of the polygon cannot be read\.", "Polygonens koordinater kan ikke læses."),
    (r"The coordinates of the polygon are not numbers\.", "Polygonens koordinater er ikke tal."),
    (
        r"The coordinates of the polygon are not whole positions\.",
        "Polygonens koordinater er ikke hele punkter.",
    ),
    (r"The dig area must be one polygon\.", "Graveområdet skal være én polygon."),
    (r"A coordinate of the polygon is not a finite number\.", "En koordinat er ikke et endeligt tal."),
    (r"The polygon crosses itself\.", "Polygonen krydser sig selv."),
)
_DANISH_HINTS = {
    "Accepted are a LER answer (Graveforespoergselssvar), a utility-line package (consolidated.gml), "
    "a dig request (Graveforesp), an interest area (Indberetning) and a status list (LedningsejerListe): "
    "as GML, in a zip or in a folder.": (
        "Filen skal være et LER-svar (Graveforespoergselssvar), en ledningspakke (consolidated.gml), "
        "en graveforespørgsel (Graveforesp), et interesseområde (Indberetning) eller en statusliste "
        "(LedningsejerListe): som GML, i en zip-fil eller i en mappe."
    ),
    "End each ring where it starts.": "Slut hver ring, hvor den begynder.",
    "Leave out DOCTYPE and entity declarations.": "Udelad DOCTYPE og entitetserklæringer.",
    "Send them one by one.": "Send dem én ad gangen.",
    "Write it in EPSG:25832.": "Skriv den i EPSG:25832.",
    "Write 'x,y x,y …'.": "Skriv 'x,y x,y …'.",
    "Draw the area so that its edge does not cross or touch itself.": (
        "Tegn området, så dets kant ikke krydser eller rører sig selv."
    ),
}
_TABLE = tuple((re.compile(pattern, re.DOTALL), text) for pattern, text in _DANISH)


def danish(message: str) -> str | None:
    """Return a reader's sentence in Danish, ``None`` where it is not known."""
    for pattern, text in _TABLE:
        found = pattern.fullmatch(message)
        if found:
            told = [_THINGS.get(part, part.replace(" or ", " eller ")) for part in found.groups()]
            return text.format(*told)
    return None


def unreadable(error: InvalidInput) -> Finding:
    """Make the finding of a document that could not be read, or not to its end."""
    where = _LINE.search(str(error.details.get("where", "")))
    found = str(error.details.get("found", ""))
    return Finding(
        "LER-UNREADABLE",
        Severity.ERROR,
        error.message,
        danish(error.message) or "Dokumentet kan ikke læses.",
        line=int(where[1]) if where else None,
        found="" if found in error.message else found[:200],
        hint=error.hint if error.hint in _DANISH_HINTS else "",
        hint_da=_DANISH_HINTS.get(error.hint, ""),
    )
