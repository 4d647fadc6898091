"""Packages, dig requests and the formats that lose something."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from lxml import etree
from parts import program

from geoinfra.crs import transform_xy
from geoinfra.errors import InvalidGeometry, InvalidInput, NotFound, UnreadableFile
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.formats import format_named, formats, ler, package
from geoinfra.utilities.formats.geojson import write_geojson
from geoinfra.utilities.formats.geopackage import write_geopackage
from geoinfra.utilities.model import Contact, FeatureRows, ResponseType

FIRST, SECOND, THIRD = "11111111", "22222222", "33333333"
AREA = shapely.to_wkb(shapely.box(722000, 6178800, 722300, 6179100), byte_order=1)
ENQUIRY = package.EnquiryInfo(
    "2026-000017",
    AREA,
    date(2026, 12, 1),
    date(2026, 12, 20),
    ("6", "99"),
    "Ny stikledning <b> & mere",
    datetime(2026, 11, 24, 9, 12, tzinfo=UTC),
    "spade",
)
DELIVERED = package.status_text(ResponseType.DELIVERED)
OWNERS = (
    package.PackageOwner(
        FIRST,
        "Net & Søn <A/S>",
        ("10", "11"),
        DELIVERED,
        date(2027, 1, 1),
        contact=Contact("Vagten", "12345678", "vagt@example.dk", "kontakt.1"),
        folder_name="Net",
        response_type=ResponseType.DELIVERED,
    ),
    package.PackageOwner(SECOND, "Vand", ("20",), DELIVERED, response_type=ResponseType.DELIVERED),
    package.PackageOwner(THIRD, "Sen", ("30",)),
)


def rows(batches: list[FeatureBatch]) -> list[Any]:
    return [
        (
            feature_id,
            batch.geometry[row],
            batch.heights_m[row] if batch.heights_m else None,
            {name: values[row] for name, values in batch.columns.items()},
        )
        for batch in batches
        for row, feature_id in enumerate(batch.feature_ids)
    ]


@pytest.fixture(scope="module")
def features(reference: Path) -> list[FeatureBatch]:
    sample = reference / "ler" / "samples" / "svarudtagettil.gml"
    return [batch for cvr in (FIRST, SECOND) for batch in ler.read_answer(sample, owner_cvr=cvr).batches()]


@pytest.fixture(scope="module")
def consolidated(features: list[FeatureBatch]) -> bytes:
    file = io.BytesIO()
    assert package.write_consolidated(file, ENQUIRY, OWNERS, features) == 1272
    return file.getvalue()


class TestPackage:
    def test_is_a_feature_collection_whose_features_carry_the_three_marks(self, consolidated: bytes) -> None:
        root = etree.fromstring(consolidated)
        assert root.tag == "{http://www.opengis.net/wfs}FeatureCollection"
        cables = root.findall(".//{http://data.gov.dk/schemas/LER/2/gml}Elledning")
        assert len(cables) == 2 * 112
        assert [child.tag for child in cables[0]][-3:] == ["objectType", "ledningsejer", "indberetningsNr"]
        assert [child.text for child in cables[-1]][-3:] == ["ler:Elledning", SECOND, "20"]
        ids = [e.get("{http://www.opengis.net/gml/3.2}id") for e in root.iter() if e.attrib]
        named = [one for one in ids if one]
        assert len(named) == len(set(named))

    def test_reads_back_equal_and_gives_the_same_bytes_again(
        self, consolidated: bytes, features: list[FeatureBatch]
    ) -> None:
        read = package.read_package(io.BytesIO(consolidated))
        assert read.enquiry == ENQUIRY
        assert read.owners == OWNERS
        answers = [read.answer_for(cvr) for cvr in (FIRST, SECOND)]
        batches = [list(answer.batches()) for answer in answers]
        assert [answer.report.findings for answer in answers] == [[], []]
        assert rows(batches[0] + batches[1]) == rows(features)
        again = io.BytesIO()
        package.write_consolidated(again, read.enquiry, read.owners, batches[0] + batches[1])
        assert again.getvalue() == consolidated

    def test_is_read_as_an_answer_of_the_owner_asked_for(self, consolidated: bytes) -> None:
        answer = ler.read_answer(io.BytesIO(consolidated), owner_cvr=SECOND)
        assert sum(map(len, answer.batches())) == 636
        assert answer.report.features == 636
        with pytest.raises(NotFound):
            ler.read_answer(io.BytesIO(consolidated), owner_cvr="99999999")

    def test_in_a_zip_takes_statuses_from_the_status_list(self, consolidated: bytes) -> None:
        statuses = io.BytesIO()
        package.write_status_list(
            statuses, [replace(OWNERS[0], status="Sendes via mail udenom LER"), *OWNERS[1:]]
        )
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("Ledningspakke_17/consolidated.gml", consolidated)
            archive.writestr("Ledningspakke_17/LedningsejerStatusListe.xml", statuses.getvalue())
        read = package.read_package(file, owner_cvr=FIRST)
        assert [owner.status for owner in read.owners] == ["Sendes via mail udenom LER"]

    def test_an_unlisted_owner_is_refused(self, features: list[FeatureBatch]) -> None:
        with pytest.raises(InvalidInput):
            package.write_consolidated(io.BytesIO(), ENQUIRY, OWNERS[1:], features)

    def test_layers_are_read_by_gdal(self, consolidated: bytes, tmp_path: Path) -> None:
        path = tmp_path / "consolidated.gml"
        path.write_bytes(consolidated)
        frame = pyogrio.read_dataframe(path, layer="Elledning")
        assert len(frame) == 224
        assert set(frame["ledningsejer"].astype(str)) == {FIRST, SECOND}


class TestRequest:
    def test_the_official_example_crosses_itself_and_is_refused(self, reference: Path) -> None:
        with pytest.raises(InvalidGeometry, match="crosses itself"):
            package.read_request(reference / "ler" / "samples" / "graveforesp_request_example.gml")

    def test_the_official_example_untied_gives_its_fields(self, reference: Path) -> None:
        text = (reference / "ler" / "samples" / "graveforesp_request_example.gml").read_text()
        untied = text.replace(
            "721978.62,6178998.5025 722047.42,6178986.5025", "722047.42,6178986.5025 721978.62,6178998.5025"
        )
        request = package.read_request(io.BytesIO(untied.encode()))
        assert request.methods == ("1", "2", "3", "4", "99")
        assert (request.period_from, request.period_to) == (date(2020, 11, 24), date(2020, 12, 11))
        assert request.contact_email == "privat@privat.dk"
        assert request.supplies_other == "en spændende forsyningsart"

    def test_what_is_written_is_read(self) -> None:
        request = package.DigRequest(
            AREA,
            date(2026, 12, 1),
            date(2026, 12, 2),
            ("6",),
            "<hul>",
            own_number="A-1",
            contact_email="a@b.dk",
        )
        file = io.BytesIO()
        package.write_request(file, request)
        assert package.read_request(file) == request

    @pytest.mark.parametrize("content", [b"", b"<a/>", b"<!DOCTYPE a><a/>"])
    def test_nonsense_is_unreadable(self, content: bytes) -> None:
        with pytest.raises(UnreadableFile):
            package.read_request(io.BytesIO(content))

    def test_an_area_outside_denmark_is_refused(self) -> None:
        request = package.DigRequest(
            shapely.to_wkb(shapely.box(0, 0, 1, 1)), date(2026, 1, 1), date(2026, 1, 2), ("6",), "x"
        )
        with pytest.raises(InvalidGeometry, match="outside Denmark"):
            package.write_request(io.BytesIO(), request)


def three_lines() -> FeatureBatch:
    made = FeatureRows(FIRST)
    line = shapely.LineString([(7e5, 6.2e6), (7e5 + 1, 6.2e6)])
    attributes = {
        "fareklasse": {"nil": True},
        "liggerILedning": True,
        "antalKabler": 3,
        "udvendigFarve": ["rød", "blå"],
    }
    made.add("Elledning", "a", attributes, line, np.array([1.0, 2.0]))
    made.add(
        "Elledning", "b", {"udvendigDiameter": {"value": 20, "uom": "mm"}}, line, np.array([1.0, np.nan])
    )
    made.add("Elledning", "c", {}, line)
    made.add("Elledning", "d", {})
    return made.batch()


class TestGeoPackage:
    def test_every_class_of_the_official_answer_is_a_layer(
        self, features: list[FeatureBatch], tmp_path: Path
    ) -> None:
        path = tmp_path / "a.gpkg"
        assert write_geopackage(path, features) == 1272
        layers = {name for name, _ in pyogrio.list_layers(path)}
        assert layers == {name for batch in features for name in batch.columns["feature_class"]}
        frame = pyogrio.read_dataframe(path, layer="Elkomponent")
        assert len(frame) == 252
        assert frame.crs.to_epsg() == 25832
        west, south, _, north = frame.total_bounds
        inside = pyogrio.read_dataframe(path, layer="Elkomponent", bbox=(west, south, west + 50, north))
        assert 0 < len(inside) < 252

    def test_heights_are_in_z_only_where_all_are_known(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gpkg"
        write_geopackage(path, [three_lines()])
        frame = pyogrio.read_dataframe(path)
        assert frame.geometry.to_wkt().tolist()[:3] == [
            "LINESTRING Z (700000 6200000 1, 700001 6200000 2)",
            "LINESTRING (700000 6200000, 700001 6200000)",
            "LINESTRING (700000 6200000, 700001 6200000)",
        ]
        assert frame.geometry[3] is None
        assert frame["heights_json"][1] == "[1.0,null]"
        assert frame["udvendigFarve"][0] == "rød; blå"
        assert frame["udvendigDiameter_mm"][1] == 20
        assert frame["nil_attributes"][0] == "fareklasse"

    def test_the_same_rows_give_the_same_bytes(self) -> None:
        moment = datetime(2026, 11, 24, tzinfo=UTC)
        files = [io.BytesIO(), io.BytesIO()]
        for file in files:
            write_geopackage(file, [three_lines()], changed_at=moment)
        assert files[0].getvalue() == files[1].getvalue()

    def test_without_rows_it_is_still_a_geopackage(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gpkg"
        assert write_geopackage(path, []) == 0
        assert len(pyogrio.list_layers(path)) == 1

    @pytest.mark.gdal
    @pytest.mark.gdal
    def test_ogrinfo_reads_it(self, tmp_path: Path) -> None:
        program("ogrinfo")
        path = tmp_path / "a.gpkg"
        write_geopackage(path, [three_lines()])
        run = subprocess.run(["ogrinfo", "-ro", "-al", str(path)], capture_output=True, text=True, check=True)
        assert "Feature Count: 4" in run.stdout
        assert "ERROR" not in run.stderr


class TestGeoJSON:
    def test_coordinates_are_crs84_to_seven_decimals(self, features: list[FeatureBatch]) -> None:
        file = io.BytesIO()
        assert write_geojson(file, features) == 1272
        document = json.loads(file.getvalue())
        assert len(document["features"]) == 1272
        first = document["features"][0]
        line = shapely.get_coordinates(shapely.from_wkb(features[0].geometry[0]))
        east, north = transform_xy(line[:, 0], line[:, 1], "EPSG:25832", "OGC:CRS84")
        assert first["geometry"]["coordinates"][0][0] == [round(east[0], 7), round(north[0], 7)]
        assert first["id"] == features[0].feature_ids[0]
        assert first["properties"]["vejledendeDybde_mm"] == 2500
        assert "gml" not in first["properties"]

    def test_without_rows_and_without_geometry_it_is_valid(self) -> None:
        empty, bare = io.BytesIO(), io.BytesIO()
        write_geojson(empty, [])
        write_geojson(bare, [three_lines()])
        assert json.loads(empty.getvalue())["features"] == []
        assert json.loads(bare.getvalue())["features"][3]["geometry"] is None


class TestRegistry:
    def test_every_format_is_found_by_name(self) -> None:
        assert [format_named(one.name) for one in formats()] == list(formats())

    def test_an_unknown_name_tells_what_there_is(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            format_named("shp")
        assert "gpkg" in caught.value.hint
