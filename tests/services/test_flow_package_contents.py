"""What a package holds beyond the lines: attachments, and the interest area of each feature."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
import shapely
from lxml import etree
from test_flow_enquiry import EXCAVATOR, OFFICIAL_OWNER, access_with, document, package_of, work_off

from geoinfra.access import Access, Role
from geoinfra.flows.answers import store_answer
from geoinfra.flows.deliveries import deliver
from geoinfra.flows.enquiries import Enquiry, file_enquiry
from geoinfra.storage import Store, organisations
from geoinfra.storage.organisations import InterestArea
from geoinfra.utilities.formats import ler, package
from geoinfra.utilities.model import UTILITY_FEATURES, AnswerHeader, FeatureRows, ResponseType

pytestmark = pytest.mark.services

OWNER = Access("test", OFFICIAL_OWNER, frozenset({Role.OWNER}))
SINCE = datetime(2000, 1, 1, tzinfo=UTC)
E, N = 600_000.0, 6_080_000.0
AREA = shapely.box(E, N, E + 100, N + 100)
CABLE = {
    "driftsstatus": "i drift",
    "etableringstidspunkt": "2004-03-15",
    "fareklasse": "farlig",
    "type": "stikkabel",
    "noejagtighedsklasse": "<= 1.00 m",
    "noejagtighedsklasseVertikal": "<= 1.00 m",
}


def resource(path: str) -> dict[str, Any]:
    return {"title": path, "format": {"value": "PDF", "type": "application/pdf"}, "sti": path}


def delivery(paths: dict[str, bytes], named: dict[str, str | None]) -> io.BytesIO:
    """An owner's zip; `named` gives each cable the attachment it refers to, at 10 m steps to the north."""
    rows = FeatureRows(OFFICIAL_OWNER)
    resources = sorted({path for path in named.values() if path} | set(paths))
    for position, (cable, path) in enumerate(named.items()):
        refers = {} if path is None else {"bilag": [{"href": f"#bilag.{resources.index(path)}"}]}
        line = shapely.LineString([(E + 1, N + 10 * position + 1), (E + 20, N + 10 * position + 2)])
        rows.add("Elledning", cable, {**CABLE, **refers}, line)
    for position, path in enumerate(resources):
        rows.add("Informationsressource", f"bilag.{position}", resource(path))
    header = AnswerHeader("3f2b8c1e-5a40-4d7e-9c55-0b1d2e3f4a5b", ResponseType.DELIVERED, date(2099, 1, 1))
    gml, file = io.BytesIO(), io.BytesIO()
    ler.write_answer(gml, header, [rows.batch()])
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("svar.gml", gml.getvalue())
        for path, content in paths.items():
            archive.writestr(path, content)
    file.seek(0)
    return file


FILES = {"plan æ & b.pdf": b"%PDF plan", "tegninger/snit.pdf": b"%PDF snit", "fjern.pdf": b"%PDF fjern"}
NAMED: dict[str, str | None] = {
    "el.0": "plan æ & b.pdf",
    "el.1": "tegninger/snit.pdf",
    "el.2": None,
    "el.30": None,
}


def registered(store: Store, *areas: InterestArea) -> None:
    with store.begin() as tx:
        organisations.add_organisation(tx, OFFICIAL_OWNER, "Official sample")
        organisations.set_interest_areas(tx, OFFICIAL_OWNER, areas)
        tx.commit()


def filed_by(store: Store, **changes: Any) -> tuple[Access, Enquiry]:
    access = access_with(store, EXCAVATOR, Role.EXCAVATOR)
    return access, file_enquiry(store, access, document(AREA, **changes))


@pytest.mark.parametrize("formats", [["gml"], ["gml", "geojson", "gpkg", "html"]])
def test_attachments_of_a_delivery_come_with_the_features_that_name_them(
    store: Store, formats: list[str]
) -> None:
    registered(store, InterestArea(1, ("el",), AREA, SINCE))
    named = {**NAMED, **{f"fjern.{n}": None for n in range(10)}, "el.99": "fjern.pdf"}  # lies outside
    deliver(store, OWNER, delivery(FILES, named), OFFICIAL_OWNER)
    access, filed = filed_by(store, formats=formats)
    work_off(store)
    with package_of(store, access, filed.number) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
        manifest = json.loads(content["manifest.json"])
        archive.fp.seek(0)  # type: ignore[union-attr]  # the archive is open
        read = package.read_package(archive.fp)  # type: ignore[arg-type]  # a file of bytes
        batches = list(read.batches())
    assert content[f"{OFFICIAL_OWNER}/plan æ & b.pdf"] == b"%PDF plan"
    assert content[f"{OFFICIAL_OWNER}/tegninger/snit.pdf"] == b"%PDF snit"
    assert f"{OFFICIAL_OWNER}/fjern.pdf" not in content
    assert {file["name"] for file in manifest["files"]} == set(content) - {"manifest.json", "manifest.sig"}
    assert read.owners[0].folder_name == OFFICIAL_OWNER
    assert read.attachment_of(OFFICIAL_OWNER, "tegninger/snit.pdf") is not None
    assert [finding.code for finding in read.report.findings] == []
    classes = [name for batch in batches for name in batch.columns["feature_class"]]
    assert classes.count("Informationsressource") == 2


def test_attachments_of_an_answer_to_one_enquiry_come_with_it(store: Store) -> None:
    registered(store, InterestArea(1, ("el",), AREA, SINCE))
    access, filed = filed_by(store)
    work_off(store)
    with package_of(store, access, filed.number) as archive:
        assert not [name for name in archive.namelist() if "/" in name]
    store_answer(store, OWNER, filed.number, delivery(FILES, NAMED))
    work_off(store)
    with package_of(store, access, filed.number) as archive:
        kept = [name for name in archive.namelist() if "/" in name]
    assert sorted(kept) == [f"{OFFICIAL_OWNER}/plan æ & b.pdf", f"{OFFICIAL_OWNER}/tegninger/snit.pdf"]


def test_a_file_that_no_feature_names_is_not_kept(store: Store) -> None:
    registered(store, InterestArea(1, ("el",), AREA, SINCE))
    source = delivery({}, {"el.0": None})
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("laesmig.txt", b"x")
    source.seek(0)
    deliver(store, OWNER, source, OFFICIAL_OWNER)
    assert not (store.blobs.folder / "attachments").exists()


def test_sweeping_removes_the_attachments_of_a_delivery_that_nobody_published(
    make_store: Callable[[], Store],
) -> None:
    one, other = make_store(), make_store()
    staged = one.stage(UTILITY_FEATURES, OFFICIAL_OWNER, [])
    name = f"attachments/{staged.delivery_id.lower()}/0"
    one.blobs.put(name, b"x")
    assert other.sweep() == []
    assert other.blobs.exists(name)
    one.close()
    assert other.sweep() == [staged.delivery_id]
    assert not other.blobs.exists(name)


def test_a_published_delivery_keeps_its_attachments(make_store: Callable[[], Store]) -> None:
    one = make_store()
    registered(one, InterestArea(1, ("el",), AREA, SINCE))
    done = deliver(one, OWNER, delivery(FILES, NAMED), OFFICIAL_OWNER)
    one.close()
    other = make_store()
    assert other.sweep() == []
    assert other.blobs.exists(f"attachments/{done.delivery_id.lower()}/0")


@pytest.mark.parametrize("formats", [["gml"], ["gml", "geojson"]])
def test_each_feature_carries_the_first_interest_area_that_it_touches(
    store: Store, formats: list[str]
) -> None:
    south, north = shapely.box(E, N, E + 100, N + 5), shapely.box(E, N + 8, E + 100, N + 50)
    both, beyond = shapely.box(E, N + 18, E + 100, N + 60), shapely.box(E, N + 90, E + 100, N + 99)
    registered(
        store,
        InterestArea(40, ("el",), south, SINCE),
        InterestArea(7, ("el",), both, SINCE),
        InterestArea(30, ("el",), north, SINCE),
        InterestArea(3, ("el",), beyond, SINCE),
    )
    named: dict[str, str | None] = {f"el.{n}": None for n in range(8)}
    deliver(store, OWNER, delivery({}, named), OFFICIAL_OWNER)
    access, filed = filed_by(store, formats=formats)
    work_off(store)
    with package_of(store, access, filed.number) as archive:
        root = etree.fromstring(archive.read("consolidated.gml"))
    written = {
        cable.get("{http://www.opengis.net/gml/3.2}id", "").partition(".")[2]: cable.findtext(
            "indberetningsNr"
        )
        for cable in root.iter("{*}Elledning")
    }
    assert written == {
        "el.0": "40",
        "el.1": "30",
        "el.2": "7",
        "el.3": "7",
        "el.4": "7",
        "el.5": "7",
        "el.6": "3",  # touches none: the owner's first
        "el.7": "3",
    }
