"""The main job on both engines: deliveries in, an enquiry filed, a package out, and the package in again."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyogrio
import pytest
import shapely

from geoinfra import sample
from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, DataRefused, NotAllowed, NotFound
from geoinfra.flows.deliveries import deliver
from geoinfra.flows.enquiries import enquiry, file_enquiry, list_enquiries
from geoinfra.flows.handlers import HANDLERS
from geoinfra.sample.loading import load_town
from geoinfra.storage import Store, organisations, schema
from geoinfra.storage.jobs import Worker
from geoinfra.storage.organisations import InterestArea
from geoinfra.tables import FeatureQuery
from geoinfra.utilities.enquiry import AnswerStatus, EnquiryState

pytestmark = pytest.mark.services

EXCAVATOR, STRANGER = "10000009", "10000041"
OFFICIAL_OWNER = "10000068"


def document(area: shapely.Polygon, **changes: Any) -> dict[str, Any]:
    today = datetime.now(UTC).date()
    return {
        "area": json.loads(shapely.to_geojson(area)),
        "crs": "EPSG:25832",
        "period": {"from": today.isoformat(), "to": (today + timedelta(days=10)).isoformat()},
        "methods": ["6"],
        "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
        **changes,
    }


def access_with(store: Store, cvr: str, *roles: Role) -> Access:
    with store.begin() as tx:
        if organisations.get_organisation(tx.connection, cvr) is None:
            organisations.add_organisation(tx, cvr, f"Firma {cvr}")
        _, secret = organisations.create_token(tx, cvr, roles, "test", timedelta(hours=1))
        tx.commit()
    with store.read() as connection:
        return organisations.authenticate(connection, secret)


def work_off(store: Store) -> None:
    worker = Worker(store, HANDLERS)
    while worker.run_one():
        pass


def package_of(store: Store, access: Access, number: str) -> zipfile.ZipFile:
    package = enquiry(store, access, number).package
    assert package is not None
    with store.blobs.open(package.blob) as source:
        content = source.read()
    assert hashlib.sha256(content).hexdigest() == package.sha256
    return zipfile.ZipFile(io.BytesIO(content))


@pytest.fixture
def town(store: Store, tiny_town: Path) -> Store:
    load_town(store, tiny_town)
    return store


def lines_touching(folder: Path, area: shapely.Polygon) -> dict[str, set[str]]:
    """Oracle: read each delivery's GML with lxml and shapely alone; what lies in a duct comes with it."""
    found = {path.stem: _touching(path, area) for path in sorted((folder / "deliveries").glob("*.gml"))}
    return {cvr: ids for cvr, ids in found.items() if ids}


def _touching(path: Path, area: shapely.Polygon) -> set[str]:
    from lxml import etree

    gml, href = "{http://www.opengis.net/gml/3.2}", "{http://www.w3.org/1999/xlink}href"
    touching, bare, content = set(), set(), {}
    for member in etree.parse(path).getroot():
        if not member.tag.endswith("Member"):
            continue
        own = member[0].get(f"{gml}id")
        shapes = [_line(e) for e in member[0].iter(f"{gml}posList", f"{gml}pos") if e.text]
        kept = [shape for shape in shapes if shape is not None]
        if any(shape.intersects(area) for shape in kept):
            touching.add(own)
        if not kept:
            bare.add(own)
        content[own] = [e.get(href, "")[1:] for e in member[0] if e.tag.endswith("indeholdtLedning")]
    waiting = list(touching)
    for own in waiting:
        waiting += [target for target in content.get(own, ()) if target in bare]
    return set(waiting)


def _line(element: Any) -> shapely.Geometry | None:
    numbers = [float(n) for n in element.text.split()]
    points = list(zip(numbers[::3], numbers[1::3], strict=True))
    inside = element.getparent().tag
    if any(a.tag.endswith(("topkote", "bundkote", "stutskote")) for a in element.iterancestors()):
        return None
    if inside.endswith("LinearRing"):
        return shapely.Polygon(points)
    return shapely.Point(points[0]) if len(points) == 1 else shapely.LineString(points)


def test_an_enquiry_becomes_a_package_of_every_line_that_touches(town: Store, tiny_town: Path) -> None:
    access, area = access_with(town, EXCAVATOR, Role.EXCAVATOR), sample.enquiry_area("tiny")
    filed = file_enquiry(town, access, document(area))
    assert filed.state is EnquiryState.ANSWERED
    work_off(town)
    done = enquiry(town, access, filed.number)
    assert done.state is EnquiryState.COMPLETE
    expected = lines_touching(tiny_town, area)
    with package_of(town, access, filed.number) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        features = json.loads(archive.read("ledninger.geojson"))["features"]
        names = set(archive.namelist())
        for file in manifest["files"]:
            assert hashlib.sha256(archive.read(file["name"])).hexdigest() == file["sha256"]
    assert names == {
        "consolidated.gml",
        "LedningsejerStatusListe.xml",
        f"Graveforespoergsel_{filed.number}.gml",
        "ledninger.geojson",
        "ledninger.gpkg",
        "index.html",
        "manifest.json",
        "manifest.sig",
    }
    found: dict[str, set[str]] = {}
    for feature in features:
        properties = feature["properties"]
        found.setdefault(properties["owner_cvr"], set()).add(properties["gml_id"])
    assert found == expected
    by_owner = {answer.owner_cvr: answer.features for answer in done.answers if answer.features}
    assert by_owner == {cvr: len(ids) for cvr, ids in expected.items()}


def test_the_geopackage_of_a_package_opens_with_the_same_features(town: Store, tmp_path: Path) -> None:
    access = access_with(town, EXCAVATOR, Role.EXCAVATOR)
    filed = file_enquiry(town, access, document(sample.enquiry_area("tiny")))
    work_off(town)
    with package_of(town, access, filed.number) as archive:
        archive.extract("ledninger.gpkg", tmp_path)
        count = json.loads(archive.read("manifest.json"))["features"]
    layers = {*pyogrio.list_layers(tmp_path / "ledninger.gpkg")[:, 0]} - {"layer_styles"}
    styled = pyogrio.read_dataframe(tmp_path / "ledninger.gpkg", layer="layer_styles")
    assert layers <= {*styled["f_table_name"]}
    assert (
        sum(pyogrio.read_info(tmp_path / "ledninger.gpkg", layer=layer)["features"] for layer in layers)
        == count
    )


def _content(archive: zipfile.ZipFile) -> tuple[list[bytes], bytes]:
    """The package without what depends on the moment: features of consolidated.gml, status list."""
    lines = archive.read("consolidated.gml").split(b"<gml:featureMember>")
    timeless = [line for line in lines[1:] if b"Ledningspakke" not in line and b"Graveforesp" not in line]
    return timeless, archive.read("LedningsejerStatusListe.xml")


def test_a_packages_gml_in_an_empty_store_gives_the_same_package(
    town: Store, empty_store: Store, tiny_town: Path, tmp_path: Path
) -> None:
    area = sample.enquiry_area("tiny")
    access = access_with(town, EXCAVATOR, Role.EXCAVATOR)
    filed = file_enquiry(town, access, document(area))
    work_off(town)
    with package_of(town, access, filed.number) as archive:
        first = _content(archive)
        archive.extract("consolidated.gml", tmp_path)
    _register(empty_store, town, [answer.owner_cvr for answer in filed.answers], area)
    for answer in filed.answers:
        if answer.features:
            owner = Access("test", answer.owner_cvr, frozenset({Role.OWNER}))
            deliver(empty_store, owner, tmp_path / "consolidated.gml", answer.owner_cvr)
    access = access_with(empty_store, EXCAVATOR, Role.EXCAVATOR)
    again = file_enquiry(empty_store, access, document(area))
    work_off(empty_store)
    with package_of(empty_store, access, again.number) as archive:
        second = _content(archive)
    assert len(first[0]) > 100
    assert second[0] == first[0]


def _register(target: Store, origin: Store, owners: Sequence[str], area: shapely.Polygon) -> None:
    since = datetime(2000, 1, 1, tzinfo=UTC)
    with origin.read() as connection:
        hits = organisations.owners_in(connection, area, datetime.now(UTC))
    with target.begin() as tx:
        for hit in hits:
            organisations.add_organisation(tx, hit.owner_cvr, hit.name)
            areas = [InterestArea(number, ("water",), area.buffer(10), since) for number in hit.numbers]
            organisations.set_interest_areas(tx, hit.owner_cvr, areas)
        tx.commit()


def test_the_official_answer_goes_the_whole_way(store: Store, reference: Path) -> None:
    area = shapely.box(721840, 6178740, 722330, 6179120)
    area_m2 = shapely.box(721850, 6178750, 722300, 6179100)
    since = datetime(2000, 1, 1, tzinfo=UTC)
    with store.begin() as tx:
        organisations.add_organisation(tx, OFFICIAL_OWNER, "Official sample")
        organisations.set_interest_areas(tx, OFFICIAL_OWNER, [InterestArea(1, ("other",), area, since)])
        tx.commit()
    owner = Access("test", OFFICIAL_OWNER, frozenset({Role.OWNER}))
    done = deliver(store, owner, reference / "ler/samples/svarudtagettil.gml", OFFICIAL_OWNER)
    assert done.features == 636
    assert done.report.ok
    kinds = [
        (name, store.view(owner, "utility-features").count(FeatureQuery(equal={"feature_class": [name]})))
        for name in ("Elledning", "Telekommunikationsledning", "TermiskLedning", "Vandledning", "Gasledning")
    ]
    assert [count for _, count in kinds] == [112, 94, 84, 65, 22]
    access = access_with(store, EXCAVATOR, Role.EXCAVATOR)
    filed = file_enquiry(store, access, document(area_m2))
    answer = filed.answers[0]
    assert answer.status is AnswerStatus.POINTING_OUT_DELIVERED
    assert answer.to_json()["expired"] is True
    work_off(store)
    with package_of(store, access, filed.number) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["features"] == answer.features
    assert answer.features is not None
    assert answer.features > 600


def test_an_owner_without_delivery_is_waited_for_and_invisible(town: Store) -> None:
    area = sample.enquiry_area("tiny")
    since = datetime(2000, 1, 1, tzinfo=UTC)
    with town.begin() as tx:
        organisations.add_organisation(tx, OFFICIAL_OWNER, "Langsom A/S")
        organisations.set_interest_areas(tx, OFFICIAL_OWNER, [InterestArea(77, ("water",), area, since)])
        tx.commit()
    access = access_with(town, EXCAVATOR, Role.EXCAVATOR)
    filed = file_enquiry(town, access, document(area))
    waiting = next(a for a in filed.answers if a.owner_cvr == OFFICIAL_OWNER)
    assert waiting.status is AnswerStatus.WAITING
    work_off(town)
    assert enquiry(town, access, filed.number).state is EnquiryState.PARTIAL
    assert OFFICIAL_OWNER not in town.view(access, "utility-features").sources
    with package_of(town, access, filed.number) as archive:
        assert json.loads(archive.read("manifest.json"))["missing"] == [OFFICIAL_OWNER]


def test_a_fresh_installation_without_any_delivery_makes_an_empty_package(store: Store) -> None:
    area = sample.enquiry_area("tiny")
    with store.begin() as tx:
        organisations.add_organisation(tx, OFFICIAL_OWNER, "Langsom A/S")
        since = datetime(2000, 1, 1, tzinfo=UTC)
        organisations.set_interest_areas(tx, OFFICIAL_OWNER, [InterestArea(77, ("water",), area, since)])
        tx.commit()
    access = access_with(store, EXCAVATOR, Role.EXCAVATOR)
    filed = file_enquiry(store, access, document(area))
    work_off(store)
    done = enquiry(store, access, filed.number)
    assert done.state is EnquiryState.PARTIAL
    assert done.package is not None
    assert done.package.features == 0


def test_only_the_filer_and_the_owners_concerned_see_an_enquiry(town: Store) -> None:
    filer = access_with(town, EXCAVATOR, Role.EXCAVATOR)
    filed = file_enquiry(town, filer, document(sample.enquiry_area("tiny")))
    owner_cvr = filed.answers[0].owner_cvr
    for cvr, roles in ((STRANGER, Role.EXCAVATOR), (STRANGER, Role.OWNER), (EXCAVATOR, Role.PLANNER)):
        access = access_with(town, cvr, roles)
        assert list_enquiries(town, access) == []
        with pytest.raises(NotFound) as unseen:
            enquiry(town, access, filed.number)
        with pytest.raises(NotFound) as absent:
            enquiry(town, access, "2000-000001")
        assert unseen.value.message == absent.value.message
    owner = Access("test", owner_cvr, frozenset({Role.OWNER}))
    assert [a.owner_cvr for a in enquiry(town, owner, filed.number).answers] == [owner_cvr]


def test_only_an_excavator_files(town: Store) -> None:
    wanted = document(sample.enquiry_area("tiny"))
    for role in (Role.OWNER, Role.PLANNER, Role.AUTHORITY, Role.DEVICE, Role.ADMIN):
        with pytest.raises(NotAllowed):
            file_enquiry(town, access_with(town, EXCAVATOR, role), wanted)
    with pytest.raises(NotAllowed):
        file_enquiry(town, Access.anonymous(), wanted)
    with town.read() as connection:
        assert connection.execute(schema.enquiries.select()).all() == []


def test_the_same_key_files_once_and_another_area_conflicts(town: Store) -> None:
    access = access_with(town, EXCAVATOR, Role.EXCAVATOR)
    area = sample.enquiry_area("tiny")
    first = file_enquiry(town, access, document(area), key="k1")
    assert file_enquiry(town, access, document(area), key="k1").number == first.number
    with pytest.raises(Conflict):
        file_enquiry(town, access, document(area.buffer(1)), key="k1")
    assert len(list_enquiries(town, access)) == 1


def test_a_refused_delivery_changes_nothing(town: Store, tiny_town: Path, tmp_path: Path) -> None:
    path = min((tiny_town / "deliveries").glob("*.gml"), key=lambda p: p.stat().st_size)
    owner = Access("test", path.stem, frozenset({Role.OWNER}))
    before = town.view(owner, "utility-features")
    broken = tmp_path / "broken.gml"
    broken.write_bytes(path.read_bytes().replace(b"<ler:driftsstatus>i drift<", b"<ler:driftsstatus>gone<"))
    with pytest.raises(DataRefused) as refused:
        deliver(town, owner, broken, path.stem)
    assert refused.value.report.errors > 0
    after = town.view(owner, "utility-features")
    assert after.version == before.version
    assert town.sweep() == []


def test_a_running_package_keeps_the_version_that_was_granted(town: Store, tiny_town: Path) -> None:
    """A new delivery between answer and package changes nothing of this enquiry."""
    access, area = access_with(town, EXCAVATOR, Role.EXCAVATOR), sample.enquiry_area("tiny")
    filed = file_enquiry(town, access, document(area))
    for answer in filed.answers:
        owner = Access("test", answer.owner_cvr, frozenset({Role.OWNER}))
        deliver(town, owner, tiny_town / "deliveries" / f"{answer.owner_cvr}.gml", answer.owner_cvr)
    work_off(town)
    done = enquiry(town, access, filed.number)
    assert done.package is not None
    assert done.package.features == sum(a.features or 0 for a in filed.answers)


@pytest.fixture
def empty_store(tmp_path: Path) -> Iterator[Store]:
    from geoinfra.storage import open_store

    second = open_store(tmp_path / "second")
    yield second
    second.close()
