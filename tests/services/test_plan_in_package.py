"""The plan in a package of the store: over the store's own open layers, marked, one for each owner."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import pypdfium2
import pytest
import shapely
from answer_world import AREA, OWNERS, digger, owner, register, svar
from test_flow_enquiry import document, package_of, work_off

from geoinfra.access import Access, Role
from geoinfra.flows import sandbox
from geoinfra.flows.deliveries import deliver, publish_dataset
from geoinfra.flows.enquiries import file_enquiry
from geoinfra.storage import Store
from geoinfra.utilities.sandbox import SANDBOX_MARKS

pytestmark = pytest.mark.services

ADMIN = Access("test", None, frozenset({Role.ADMIN}))
STREET = "Åsvej på Øen"


def published_street(store: Store, folder: Path) -> None:
    min_e, min_n, max_e, max_n = AREA.bounds
    line = shapely.LineString([(min_e, (min_n + max_n) / 2), (max_e, (min_n + max_n) / 2)])
    path = folder / "streets.gpkg"
    columns = {"street_id": ["1"], "name": [STREET], "width_m": [7.0]}
    geopandas.GeoDataFrame(columns, geometry=[line], crs="EPSG:25832").to_file(path)
    publish_dataset(store, ADMIN, path, "streets")


def test_the_plan_of_an_enquiry_stands_on_the_streets_of_the_store(store: Store, tmp_path: Path) -> None:
    sandbox.declare_sandbox(store)
    register(store, OWNERS[0])
    published_street(store, tmp_path)
    deliver(store, owner(OWNERS[0]), svar(OWNERS[0]), OWNERS[0])
    access = digger(store)
    filed = file_enquiry(store, access, document(AREA, formats=["gml", "pdf", "pdf-owners"]))
    work_off(store)
    with package_of(store, access, filed.number) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        plans = {name: archive.read(name) for name in archive.namelist() if name.endswith(".pdf")}
    assert set(plans) == {"plan.pdf", f"plan-{OWNERS[0]}.pdf"}
    assert set(plans) <= {file["name"] for file in manifest["files"]}
    for plan in plans.values():
        pages = [page.get_textpage().get_text_bounded() for page in pypdfium2.PdfDocument(plan)]
        assert len(pages) > 1
        assert all(SANDBOX_MARKS["da"] in page for page in pages)
        assert any(STREET in page for page in pages[1:])
