"""Every style sheet in SLD is valid by the official schemas of SLD and SE 1.1, which Maven brings."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest
from lxml import etree
from parts import program

from geoinfra.presentation.emit import emit
from geoinfra.presentation.style_set import load_style_set, style_sets

pytestmark = pytest.mark.soak

_ROOT = Path(__file__).parents[2]
_SHEETS = [(name, theme, language) for name in style_sets() for theme in load_style_set(name).themes
           for language in ("da", "en")]  # fmt: skip


class _Archives(etree.Resolver):
    """Gives each schema from the archives, whatever address names it."""

    def __init__(self, schemas: dict[str, bytes]) -> None:
        super().__init__()
        self._schemas = schemas

    def resolve(self, system_url: str, public_id: str, context: object) -> object:
        for name, content in self._schemas.items():
            if system_url.endswith(name):
                return self.resolve_string(content, context, base_url=f"http://schemas.opengis.net/{name}")
        raise AssertionError(f"no archive holds {system_url}")


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    """The schema of StyledLayerDescriptor 1.1."""
    program("mvn")  # it brings the schemas
    subprocess.run([_ROOT / "tools/ogc_schemas.sh"], check=True)
    schemas: dict[str, bytes] = {}
    for archive in sorted((_ROOT / ".tools/schemas").glob("*.jar")):
        with zipfile.ZipFile(archive) as opened:
            schemas |= {n: opened.read(n) for n in opened.namelist() if n.endswith(".xsd")}
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Archives(schemas))
    name = "sld/1.1.0/StyledLayerDescriptor.xsd"
    address = f"http://schemas.opengis.net/{name}"
    return etree.XMLSchema(etree=etree.fromstring(schemas[name], parser, base_url=address))


@pytest.mark.parametrize(("name", "theme", "language"), _SHEETS)
def test_a_style_sheet_is_valid(schema: etree.XMLSchema, name: str, theme: str, language: str) -> None:
    document = emit(load_style_set(name), "sld", language=language, theme=theme)
    sheet = etree.fromstring(document, etree.XMLParser(huge_tree=True))
    schema.validate(sheet)
    assert [(fault.line, fault.message) for fault in schema.error_log][:5] == []


def test_the_schema_refuses_what_is_out_of_order(schema: etree.XMLSchema) -> None:
    sheet = etree.fromstring(emit(load_style_set("dlf"), "sld"), etree.XMLParser(huge_tree=True))
    stroke = next(sheet.iter("{http://www.opengis.net/se}LineSymbolizer"))
    stroke.insert(0, stroke[-1])
    stroke.append(etree.SubElement(stroke, "{http://www.opengis.net/se}Geometry"))
    assert not schema.validate(sheet)
