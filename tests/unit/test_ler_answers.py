"""LER answers, checked against the official schema, the official answer and its documented counts."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from ler_schema import faults, ler_schema
from lxml import etree

from geoinfra.errors import Conflict, DataRefused, InvalidGeometry, InvalidInput, Severity, UnreadableFile
from geoinfra.tables import FeatureBatch, concatenate
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.formats import ler
from geoinfra.utilities.model import (
    UTILITY_FEATURES,
    AnswerHeader,
    Contact,
    FeatureRows,
    ResponseType,
    namespace_declarations,
)

CVR = "12345678"
HEADER = AnswerHeader("cd459a03-8629-4682-85b3-293cd6fefd75", ResponseType.DELIVERED)
LINE = (
    '<gml:LineString srsName="http://www.opengis.net/def/crs/EPSG/0/7416" srsDimension="3">'
    "<gml:posList>700000 6200000 -99 700010 6200010 1.5</gml:posList></gml:LineString>"
)
CABLE = {
    "driftsstatus": "<ler:driftsstatus>i drift</ler:driftsstatus>",
    "etableringstidspunkt": "<ler:etableringstidspunkt>2024</ler:etableringstidspunkt>",
    "fareklasse": "<ler:fareklasse>farlig</ler:fareklasse>",
    "geometri": f"<ler:geometri>{LINE}</ler:geometri>",
    "type": "<ler:type>stikkabel</ler:type>",
}


def cable(gml_id: str = "el.1", **changes: str) -> str:
    inner = "".join({**CABLE, **changes}.values())
    return f'<ler:ledningMember><ler:Elledning gml:id="{gml_id}">{inner}</ler:Elledning></ler:ledningMember>'


def document(members: str, *, kind: str = "ledningsoplysninger udleveret", version: str = "2.2.0") -> bytes:
    return (
        f'<ler:Graveforespoergselssvar {namespace_declarations()} gml:id="s" schemaVersion="{version}">'
        f"<ler:id>{HEADER.answer_id}</ler:id><ler:type>{kind}</ler:type>{members}</ler:Graveforespoergselssvar>"
    ).encode()


def read(content: bytes) -> tuple[ler.Answer, list[FeatureBatch]]:
    answer = ler.read_answer(io.BytesIO(content), owner_cvr=CVR)
    return answer, list(answer.batches())


def codes(content: bytes, severity: Severity = Severity.ERROR) -> list[str]:
    answer, _ = read(content)
    return [finding.code for finding in answer.report.findings if finding.severity is severity]


def rows(batches: list[FeatureBatch]) -> dict[str, Any]:
    return {
        feature_id: (
            batch.geometry[row],
            batch.heights_m[row] if batch.heights_m else None,
            {name: values[row] for name, values in batch.columns.items()},
        )
        for batch in batches
        for row, feature_id in enumerate(batch.feature_ids)
    }


@pytest.fixture(scope="module")
def schema(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> etree.XMLSchema:
    return ler_schema(reference, tmp_path_factory.mktemp("xsd"))


@pytest.fixture(scope="module")
def sample(reference: Path) -> Path:
    return reference / "ler" / "samples" / "svarudtagettil.gml"


@pytest.fixture(scope="module")
def official(sample: Path) -> tuple[ler.Answer, list[FeatureBatch]]:
    answer = ler.read_answer(sample, owner_cvr=CVR)
    return answer, list(answer.batches())


class TestOfficialAnswer:
    def test_its_documented_counts_come_out(self, official: tuple[ler.Answer, list[FeatureBatch]]) -> None:
        answer, batches = official
        columns = next(concatenate(batches)).columns
        assert answer.report.features == 636
        assert Counter(columns["feature_class"]) == {
            "Elledning": 112,
            "Telekommunikationsledning": 94,
            "TermiskLedning": 84,
            "Vandledning": 65,
            "Gasledning": 22,
            "Afloebsledning": 19,
            "Foeringsroer": 4,
            "Olieledning": 2,
            "AndenLedning": 2,
            "LedningUkendtForsyningsart": 2,
            "Ledningstrace": 2,
            "Elkomponent": 126,
            "Gaskomponent": 52,
            "Afloebskomponent": 27,
            "Vandkomponent": 16,
            "AndenKomponent": 7,
        }
        assert sum((value or "").startswith("<") for value in columns["established"]) == 129
        assert columns["hazard"].count("meget farlig") == 66
        assert columns["status"].count("permanent ude af drift") == 19

    def test_its_geometry_is_where_it_should_be(
        self, official: tuple[ler.Answer, list[FeatureBatch]]
    ) -> None:
        batch = next(concatenate(official[1]))
        geometries = shapely.from_wkb(np.array(batch.geometry, dtype=object))
        kinds = Counter(geometry.geom_type for geometry in geometries)
        assert kinds == {"LineString": 406, "Point": 182, "Polygon": 46, "MultiLineString": 2}
        west, south, east, north = shapely.total_bounds(geometries)
        assert np.floor([west, south]).tolist() == [721848, 6178744]
        assert np.ceil([east, north]).tolist() == [722320, 6179112]
        assert shapely.get_num_coordinates(geometries).sum() == 3095
        assert batch.heights_m == [None] * 636

    def test_it_holds_no_error_and_the_model_is_lifted_with_each_change_told(
        self, official: tuple[ler.Answer, list[FeatureBatch]]
    ) -> None:
        report = official[0].report
        assert report.errors == 0
        assert Counter(finding.code for finding in report.findings) == {
            "LER-LIFTED-MODEL": 1,
            "LER-EXPIRED": 1,
            "LER-POINTING-OUT": 1,
            "LER-LIFTED-VALUE": 22,
        }
        lifted = next(f for f in report.findings if f.code == "LER-LIFTED-VALUE")
        assert (lifted.found, lifted.expected) == ("vejbelysningsarmatur", "other: vejbelysningsarmatur")
        assert all((lifted.line, lifted.feature_id, lifted.message_da))

    def test_its_header_is_read(self, official: tuple[ler.Answer, list[FeatureBatch]]) -> None:
        header = official[0].header
        assert header.response_type is ResponseType.POINTING_OUT_DELIVERED
        assert str(header.valid_to) == "2019-08-31"
        assert header.contact == Contact("Peter Jansen", "", "pj@ledningsejer.dk", "kontakt.1")
        assert header.model_version == "1.0.0"

    def test_written_as_2_2_0_it_is_valid_and_reads_back_equal(
        self, official: tuple[ler.Answer, list[FeatureBatch]], schema: etree.XMLSchema
    ) -> None:
        answer, batches = official
        written = io.BytesIO()
        assert ler.write_answer(written, answer.header, batches) == 636
        assert faults(schema, written.getvalue()) == []
        again, batches_again = read(written.getvalue())
        assert (again.report.errors, again.report.warnings) == (0, 0)
        assert rows(batches_again) == rows(batches)
        twice = io.BytesIO()
        ler.write_answer(twice, again.header, batches_again)
        assert twice.getvalue() == written.getvalue()

    def test_the_report_is_the_same_when_the_features_are_read_again(self, sample: Path) -> None:
        answer = ler.read_answer(sample, owner_cvr=CVR)
        first = (list(answer.batches()), answer.report.to_json())[1]
        assert (list(answer.batches()), answer.report.to_json())[1] == first

    def test_the_2_x_samples_read_without_error(self, reference: Path) -> None:
        answer = ler.read_answer(reference / "ler" / "samples" / "Gsvar_trace.xml", owner_cvr=CVR)
        assert sum(map(len, answer.batches())) == 3
        assert answer.report.errors == 0


class TestCatalogue:
    def test_every_class_attribute_and_code_is_that_of_the_official_schema(self, reference: Path) -> None:
        xs = "{http://www.w3.org/2001/XMLSchema}"
        known = catalogue()
        root = etree.parse(str(reference / "ler" / "xsd" / "2.2.0" / "2.2_ler.xsd")).getroot()
        concrete = {e.get("name") for e in root.iterfind(f"{xs}element") if e.get("abstract") != "true"}
        assert concrete <= set(known.classes)
        for kind in root.iterfind(f"{xs}complexType"):
            name = (kind.get("name") or "").removesuffix("Type")
            sequence = kind.find(f".//{xs}extension/{xs}sequence")
            if name in known.classes and sequence is not None and len(sequence):
                own = [
                    (e.get("name") or (e.get("ref") or "").partition(":")[2])
                    for e in sequence.iterfind(f"{xs}element")
                ]
                assert list(known.classes[name].attributes)[-len(own) :] == own
        for kind in root.iterfind(f"{xs}simpleType"):
            values = [e.get("value") for e in kind.iter(f"{xs}enumeration")]
            name = (kind.get("name") or "").removesuffix("Type").removesuffix("Enumeration")
            if values:
                assert known.enumerations[name].values == set(values)


class TestFaults:
    @pytest.mark.parametrize(
        ("members", "code"),
        [
            (cable() + cable(), "LER-DUPLICATE-ID"),
            (cable() + "<ler:hund>vov</ler:hund>", "LER-UNKNOWN-ATTRIBUTE"),
            (cable(gml_id="1 x"), "LER-BAD-ID"),
            (cable(start='<ler:startkomponent xlink:href="#nowhere"/>'), "LER-XLINK-TARGET"),
            (cable(start='<ler:startkomponent xlink:href="#el.1"/>'), "LER-XLINK-CLASS"),
            (cable(start='<ler:startkomponent xlink:href="http://x/#a"/>'), "LER-XLINK-FORM"),
            (cable(start='<ler:startkomponent xlink:href=""/>'), "LER-XLINK-FORM"),
            (cable(x="<ler:spredning>1</ler:spredning>"), "LER-UNKNOWN-ATTRIBUTE"),
            (cable(x="<ler:topkote>1</ler:topkote>"), "LER-UNKNOWN-ATTRIBUTE"),
            ('<ler:ledningMember><ler:Hund gml:id="h"/></ler:ledningMember>', "LER-UNKNOWN-CLASS"),
            (cable().replace("ledningMember", "bilagMember"), "LER-WRONG-MEMBER"),
            (cable(fareklasse="<ler:fareklasse>livsfarlig</ler:fareklasse>"), "LER-CODE"),
            (cable(type="<ler:type>other: x</ler:type>"), "LER-CODE"),
            (cable(fareklasse=""), "LER-MISSING-ATTRIBUTE"),
            (cable(x='<ler:spaendingsniveau uom="V">400</ler:spaendingsniveau>'), "LER-UOM"),
            (cable(x='<ler:spaendingsniveau uom="kV">NaN</ler:spaendingsniveau>'), "LER-VALUE"),
            (cable(x="<ler:antalKabler>to</ler:antalKabler>"), "LER-VALUE"),
            (cable(type="<ler:type>stikkabel</ler:type>" * 2), "LER-CARDINALITY"),
            (cable(x=f"<ler:kabeltype>{'x' * 51}</ler:kabeltype>"), "LER-LENGTH"),
            (cable(x='<ler:antalKabler xsi:nil="true"/>'), "LER-NOT-NILLABLE"),
            (cable(fareklasse='<ler:fareklasse xsi:nil="true" nilReason="withheld"/>'), "LER-NIL-REASON"),
            (
                cable(etableringstidspunkt="<ler:etableringstidspunkt>24</ler:etableringstidspunkt>"),
                "LER-VALUE",
            ),
            (
                cable(
                    etableringstidspunkt='<ler:etableringstidspunkt indeterminatePosition="after">2024'
                    "</ler:etableringstidspunkt>"
                ),
                "LER-VALUE",
            ),
            (cable().replace("-99", "NaN"), "LER-COORDINATES"),
            (cable().replace("-99", "1e999"), "LER-COORDINATES"),
            (cable().replace("700000", "700_000"), "LER-COORDINATES"),
            (cable().replace("700000", "æ"), "LER-COORDINATES"),
            (
                cable()
                .replace("700000 6200000", "6200000 700000")
                .replace("700010 6200010", "6200010 700010"),
                "LER-AXIS-ORDER",
            ),
            (cable().replace("700000", "12.5"), "LER-OUTSIDE-DENMARK"),
            (cable().replace("7416", "4326"), "LER-SRS-NAME"),
            (cable().replace('srsDimension="3"', 'srsDimension="4"'), "LER-SRS-DIMENSION"),
            (cable().replace(" 700010 6200010 1.5", ""), "LER-GEOMETRY-POINTS"),
            (cable(geometri="<ler:geometri/>"), "LER-GEOMETRY-EMPTY"),
            (cable().replace("LineString", "Arc"), "LER-GEOMETRY-KIND"),
            (
                cable(
                    geometri="<ler:geometri><gml:Point><gml:pos>700000 6200000 1</gml:pos></gml:Point>"
                    "</ler:geometri>"
                ),
                "LER-GEOMETRY-KIND",
            ),
        ],
    )
    def test_each_is_one_error_with_its_code_line_and_both_languages(self, members: str, code: str) -> None:
        answer, _ = read(document(members))
        errors = [f for f in answer.report.findings if f.severity is Severity.ERROR]
        assert [finding.code for finding in errors] == [code]
        assert errors[0].line == 1
        assert errors[0].message
        assert errors[0].message_da
        assert errors[0].path

    def test_a_class_that_must_have_a_geometry_says_so(self) -> None:
        pole = (
            '<ler:ledningskomponentMember><ler:Elkomponent gml:id="k"><ler:type>station</ler:type>'
            "</ler:Elkomponent></ler:ledningskomponentMember>"
        )
        answer, _ = read(document(pole))
        assert [(f.code, f.path) for f in answer.report.findings] == [
            ("LER-MISSING-ATTRIBUTE", "Elkomponent/geometri")
        ]

    def test_2d_geometry_is_taken_with_unknown_heights_and_a_warning(self) -> None:
        flat = cable().replace(' srsDimension="3"', "").replace(" -99", "").replace(" 1.5", "")
        answer, (batch,) = read(document(flat))
        assert [f.code for f in answer.report.findings] == ["LER-GEOMETRY-2D"]
        assert batch.heights_m == [None]

    def test_attributes_out_of_order_are_put_in_order_with_a_warning(self) -> None:
        members = dict(reversed(CABLE.items()))
        swapped = document(cable(**dict.fromkeys(CABLE, ""), **{f"x{n}": t for n, t in members.items()}))
        assert set(codes(swapped, Severity.WARNING)) == {"LER-ORDER"}
        assert rows(read(swapped)[1]) == rows(read(document(cable()))[1])

    def test_an_answer_that_may_carry_no_features_and_does_is_refused(self) -> None:
        assert codes(document(cable(), kind="ingen ledninger i graveområde")) == ["LER-CONTENT-NOT-EMPTY"]

    def test_an_empty_answer_is_an_answer(self) -> None:
        answer, batches = read(document("", kind="ingen ledninger i graveområde"))
        assert (answer.report.findings, batches) == ([], [])

    def test_withholding_needs_its_reason(self) -> None:
        assert codes(document("", kind="ledningsoplysninger udleveres ikke")) == ["LER-SUPPLEMENTARY-INFO"]

    def test_a_header_without_type_is_refused_with_the_report(self) -> None:
        with pytest.raises(DataRefused) as caught:
            read(document("", kind="måske"))
        assert [f.code for f in caught.value.report.findings] == ["LER-CODE", "LER-MISSING-ATTRIBUTE"]

    def test_an_area_that_crosses_itself_is_warned_of(self) -> None:
        area = (
            '<ler:ledningskomponentMember><ler:Elkomponent gml:id="k"><ler:geometri><gml:Polygon>'
            "<gml:exterior><gml:LinearRing><gml:posList>700000 6200000 1 700010 6200010 1 700010 6200000 1 "
            "700000 6200010 1 "
            "700000 6200000 1</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon></ler:geometri>"
            "<ler:type>station</ler:type></ler:Elkomponent></ler:ledningskomponentMember>"
        )
        assert codes(document(area), Severity.WARNING) == ["LER-GEOMETRY-CROSSES"]
        only_checked = ler.read_answer(io.BytesIO(document(area)), owner_cvr=CVR).scan()
        [told] = [f for f in only_checked.findings if f.code == "LER-GEOMETRY-CROSSES"]
        assert told.feature_id
        assert told.line
        assert told.position


class TestHostileInput:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\x00\xff nonsense",
            b"<a/>",
            b"<html><body/></html>",
            document(cable())[:-20],
            document(cable()).replace(b"<ler:id>", b"<ler:id>&undefined;"),
            b'<!DOCTYPE x [<!ENTITY a "b">]>' + document(cable()),
            b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + document(cable()),
            b'<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1/x">%p;]>' + document(cable()),
            b"<x>" + document(cable()) + b"</x>",
            b"PK\x03\x04 not a zip",
        ],
    )
    def test_is_refused_as_unreadable(self, content: bytes) -> None:
        with pytest.raises(UnreadableFile):
            read(content)

    def test_entities_are_never_expanded(self) -> None:
        bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
        with pytest.raises(UnreadableFile):
            read(bomb + document(cable(x="<ler:kabeltype>&b;</ler:kabeltype>")))

    def test_a_feature_beyond_the_bound_is_refused(self) -> None:
        limits = ler.Limits(max_feature_bytes=200_000)
        content = document(cable(x=f"<ler:kabeltype>{'x' * 400_000}</ler:kabeltype>"))
        answer = None
        with pytest.raises(UnreadableFile):
            answer = ler.read_answer(io.BytesIO(content), owner_cvr=CVR, limits=limits)
        assert answer is None

    @pytest.mark.parametrize("name", ["../a.gml", "/a.gml", "x/../../a.gml", "c:\\a.gml", "..\\a.gml"])
    def test_a_zip_that_points_outside_is_refused(self, name: str) -> None:
        with pytest.raises(UnreadableFile):
            read(zipped({name: document(cable())}))

    def test_a_zip_bomb_is_refused_before_it_is_unpacked(self) -> None:
        with pytest.raises(UnreadableFile, match="times"):
            read(zipped({"a.gml": b" " * 20_000_000}))

    def test_a_zip_without_document_is_refused(self) -> None:
        with pytest.raises(UnreadableFile, match=r"no \.gml"):
            read(zipped({"a.txt": b"x"}))

    def test_markup_in_attributes_stays_text(self, schema: etree.XMLSchema) -> None:
        text = "<script>alert('1')</script> & \"c12345678.\" ]]>"
        feature = FeatureRows(CVR)
        feature.add("Elledning", "a", {**PROPERTIES, "kabeltype": text})
        written = io.BytesIO()
        ler.write_answer(written, HEADER, [feature.batch()])
        assert faults(schema, written.getvalue()) == []
        (batch,) = read(written.getvalue())[1]
        assert text[:20] in batch.columns["properties"][0]
        assert b"<script>" not in written.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


ATTACHMENT = (
    '<ler:bilagMember><ler:Informationsressource gml:id="b"><dcterms:title>Skitse</dcterms:title>'
    '<ler:format type="application/pdf">PDF</ler:format><ler:sti>skitse.pdf</ler:sti>'
    "</ler:Informationsressource></ler:bilagMember>"
)


class TestZip:
    def test_document_and_attachments_are_found(self) -> None:
        answer, (batch,) = read(zipped({"svar.gml": document(ATTACHMENT), "skitse.pdf": b"%PDF"}))
        assert answer.attachments == ("skitse.pdf",)
        assert answer.attachment("skitse.pdf") == b"%PDF"
        assert answer.report.findings == []
        assert batch.columns["kind"] == ["information"]

    def test_a_missing_attachment_is_an_error_in_a_zip_and_a_warning_without(self) -> None:
        assert codes(zipped({"svar.gml": document(ATTACHMENT)})) == ["LER-ATTACHMENT-MISSING"]
        assert codes(document(ATTACHMENT), Severity.WARNING) == ["LER-ATTACHMENT-MISSING"]

    def test_a_path_out_of_the_zip_is_an_error(self) -> None:
        outside = ATTACHMENT.replace("skitse.pdf<", "../skitse.pdf<")
        assert "LER-ATTACHMENT-PATH" in codes(document(outside))


PROPERTIES = {
    "driftsstatus": "i drift",
    "etableringstidspunkt": "2024",
    "fareklasse": "farlig",
    "type": "stikkabel",
}


def one_row(*feature: Any) -> FeatureBatch:
    made = FeatureRows(CVR)
    made.add(*feature)
    return made.batch()


class TestRows:
    def test_columns_are_those_of_the_contract(self) -> None:
        made = FeatureRows(CVR)
        made.add(
            "Elledning",
            f"c{CVR}.el.1",
            {
                **PROPERTIES,
                "etableringstidspunkt": {"value": "2004-03-15", "indeterminate": "before"},
                "udvendigDiameter": {"value": 110.0, "uom": "mm"},
                "spaendingsniveau": {"value": 0.4, "uom": "kV"},
                "noejagtighedsklasse": {"nil": True},
            },
            shapely.LineString([(700000.00004, 6200000), (700010, 6200010)]),
            np.array([1.5, np.nan]),
        )
        batch = made.batch()
        row = {name: values[0] for name, values in batch.columns.items()}
        assert list(row) == [column.name for column in UTILITY_FEATURES.columns]
        assert batch.feature_ids == [f"{CVR}.el.1"]
        assert row["gml_id"] == "el.1"
        assert (row["kind"], row["supply"], row["type"]) == ("line", "electricity", "stikkabel")
        assert (row["diameter_mm"], row["voltage_kv"], row["depth_mm"]) == (110.0, 0.4, None)
        assert row["established"] == "<2004-03-15"
        assert row["accuracy_class"] is None
        assert np.frombuffer(batch.heights_m[0], "<f8")[0] == 1.5  # type: ignore[index]  # has heights
        assert row["gml"].startswith(b'<ler:Elledning gml:id="c12345678.el.1">')
        assert b"700000 6200000 1.5 700010 6200010 -99" in row["gml"]

    @pytest.mark.parametrize(
        ("first", "supply"),
        [("el", "electricity"), ("afløb", "sewer"), ("other: brint", "other"), ({"nil": True}, "unknown")],
    )
    def test_the_first_supply_of_a_trace_is_its_supply(self, first: Any, supply: str) -> None:
        made = FeatureRows(CVR)
        made.add(
            "Ledningstrace",
            "t",
            {"forsyningsart": [first, "gas"]},
            shapely.LineString([(7e5, 6.2e6), (7e5, 6.3e6)]),
        )
        batch = made.batch()
        assert batch.columns["supply"] == [supply]
        assert shapely.from_wkb(batch.geometry[0]).geom_type == "MultiLineString"

    @pytest.mark.parametrize(
        ("name", "gml_id", "properties"),
        [
            ("Ledning", "a", {}),
            ("Hund", "a", {}),
            ("Elledning", 'a"><x', {}),
            ("Elledning", "a", {"hund": 1}),
            ("Elledning", "a", {"geometri": "x"}),
            ("Elledning", "a", {"kabeltype": "\x00"}),
            ("Elledning", "a", {"antalKabler": "2"}),
            ("Elledning", "a", {"spaendingsniveau": 4}),
            ("Elledning", "a", {"spaendingsniveau": {"value": 4, "uom": "kV", "hund": 1}}),
            ("Elledning", "a", {"spaendingsniveau": {"value": float("nan"), "uom": "kV"}}),
        ],
    )
    def test_what_is_no_ler_is_refused(self, name: str, gml_id: str, properties: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput):
            one_row(name, gml_id, properties)

    @pytest.mark.parametrize(
        "geometry",
        [shapely.Point(7e5, 6.2e6), shapely.LineString(), shapely.LineString([(7e5, 6.2e6), (np.inf, 1)])],
    )
    def test_a_geometry_that_the_class_does_not_take_is_refused(self, geometry: shapely.Geometry) -> None:
        with pytest.raises(InvalidGeometry):
            one_row("Elledning", "a", PROPERTIES, geometry)

    def test_fragments_are_made_anew_when_the_internal_column_was_not_read(self) -> None:
        made = FeatureRows(CVR)
        made.add(
            "Elledning",
            "a",
            PROPERTIES,
            shapely.LineString([(7e5, 6.2e6), (7e5, 6.3e6)]),
            np.array([1.0, 2.0]),
        )
        batch = made.batch()
        whole, partial = io.BytesIO(), io.BytesIO()
        ler.write_answer(whole, HEADER, [batch])
        del batch.columns["gml"]
        ler.write_answer(partial, HEADER, [batch])
        assert partial.getvalue() == whole.getvalue()

    def test_an_answer_of_a_type_without_features_takes_none(self, tmp_path: Path) -> None:
        made = FeatureRows(CVR)
        made.add("Elledning", "a", PROPERTIES)
        target = tmp_path / "svar.gml"
        with pytest.raises(Conflict):
            ler.write_answer(target, AnswerHeader(HEADER.answer_id, ResponseType.NO_LINES), [made.batch()])
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_a_written_answer_has_the_mode_that_the_umask_leaves(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        ler.write_answer(tmp_path / "answer.gml", HEADER, [])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "answer.gml").stat().st_mode) == mode
    assert [path.name for path in tmp_path.iterdir()] == ["answer.gml"]
