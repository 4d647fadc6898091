"""The official LER schemas made loadable by libxml2: every ``schemaLocation`` rewritten to a local file."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lxml import etree

_XSD = "{http://www.w3.org/2001/XMLSchema}"
_GML = "http://schemas.opengis.net/gml/3.2.1/gml.xsd"
_GMX = "https/schemas.isotc211.org/19139/-/gmx/1.0/gmx.xsd"
"""The one copy of ISO's ``gmx``; model 1.0.0 names another address of it."""


def ler_schema(reference: Path, folder: Path, version: str = "2.2.0") -> etree.XMLSchema:
    """Compile the schema of a LER version; `folder` receives the rewritten files."""
    root = reference / "ler" / "xsd"
    for source in root.rglob("*.xsd"):
        relative = source.relative_to(root)
        if re.match(r"\d", relative.parts[0]) and relative.parts[0] != version:
            continue
        tree = etree.parse(str(source))
        for element in tree.iter(f"{_XSD}import", f"{_XSD}include"):
            location = element.get("schemaLocation")
            if location is not None:
                element.set("schemaLocation", _local(root, relative, location or _GML))
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        tree.write(str(target))
    return etree.XMLSchema(etree.parse(str(folder / version / f"{version[:3]}_ler.xsd")))


def _local(root: Path, relative: Path, location: str) -> str:
    if location.endswith("20070417/gmx/gmx.xsd"):
        return os.path.relpath(_GMX, relative.parent)
    found = re.match(r"(https?):?/+(.*)", location)
    if found is None:
        return location
    for scheme in (found.group(1), "http", "https"):
        if (root / scheme / found.group(2)).exists():
            return os.path.relpath(Path(scheme) / found.group(2), relative.parent)
    return location


def faults(schema: etree.XMLSchema, document: bytes) -> list[str]:
    """Return what the schema says against a document."""
    schema.validate(etree.fromstring(document))
    return [f"{entry.line}: {entry.message}" for entry in schema.error_log]
