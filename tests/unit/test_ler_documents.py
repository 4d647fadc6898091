"""Documents are told by their content; interest areas, requests and status lists in and out."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import date
from pathlib import Path

import pytest
import shapely

from geoinfra.errors import DataRefused, InvalidGeometry, InvalidInput, NotFound, UnreadableFile
from geoinfra.utilities.formats import package
from geoinfra.utilities.formats.document import UNKNOWN_OWNER, open_document
from geoinfra.utilities.formats.interest_area import (
    InterestAreaNotice,
    read_interest_area,
    write_interest_area,
)

AREA = shapely.box(722000, 6178800, 722300, 6179100)
WKB = shapely.to_wkb(AREA, byte_order=1)
OWNERS = (
    package.PackageOwner("11111111", "Net", ("10", "11"), "Ingen ledninger i graveområde"),
    package.PackageOwner("22222222", "Vand", ("20",), "Ikke leveret"),
)
ENQUIRY = package.EnquiryInfo("17", WKB, date(2026, 12, 1), date(2026, 12, 20), ("6",))
REQUEST = package.DigRequest(WKB, date(2026, 12, 1), date(2026, 12, 2), ("6",), "hul", contact_email="a@b.dk")
NOTICE = InterestAreaNotice(WKB, "Al kabel ligger i fortov", ("5", "99"), True, "lys", "net@example.dk")


def answer() -> bytes:
    return (
        b'<ler:Graveforespoergselssvar xmlns:ler="http://data.gov.dk/schemas/LER/2/gml" '
        b'schemaVersion="2.2.0"><ler:id>cd459a03-8629-4682-85b3-293cd6fefd75</ler:id>'
        b"<ler:type>ingen ledninger i graveomr\xc3\xa5de</ler:type></ler:Graveforespoergselssvar>"
    )


def written(kind: str) -> bytes:
    file = io.BytesIO()
    if kind == "answer":
        return answer()
    if kind == "package":
        package.write_consolidated(file, ENQUIRY, OWNERS, [])
    elif kind == "request":
        package.write_request(file, REQUEST)
    elif kind == "interest-area":
        write_interest_area(file, NOTICE)
    else:
        package.write_status_list(file, OWNERS)
    return file.getvalue()


def zipped(members: dict[str, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    file.seek(0)
    return file


KINDS = ["answer", "package", "request", "interest-area", "status-list"]


class TestKind:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("name", ["x.gml", "x.xml", "a/b/X.GML"])
    def test_is_told_bare_and_in_a_zip_whatever_the_name(self, kind: str, name: str) -> None:
        assert open_document(io.BytesIO(written(kind))).kind == kind
        assert open_document(zipped({"a.txt": b"x", name: written(kind)})).kind == kind

    @pytest.mark.parametrize("kind", KINDS)
    def test_is_told_of_a_source_that_cannot_be_rewound(self, kind: str, tmp_path: Path) -> None:
        path = tmp_path / "x"
        path.write_bytes(written(kind))

        class Pipe(io.FileIO):
            def seekable(self) -> bool:
                return False

        with Pipe(path) as pipe:
            assert open_document(pipe).kind == kind  # type: ignore[arg-type]  # a pipe

    def test_of_a_package_whose_zip_also_holds_the_request_is_package(self) -> None:
        members = {
            "Graveforespoergsel_17.gml": written("request"),
            "LedningsejerStatusListe.xml": written("status-list"),
            "consolidated.gml": written("package"),
        }
        document = open_document(zipped(members))
        assert document.kind == "package"
        assert document.enquiry is not None
        assert document.enquiry.number == "17"
        assert [owner.status for owner in document.owners] == [owner.status for owner in OWNERS]
        assert document.attachments == ()

    def test_of_an_answer_with_an_xml_attachment_keeps_the_attachment(self) -> None:
        document = open_document(zipped({"a.xml": b"<a/>", "svar.gml": answer()}), owner_cvr="11111111")
        assert document.kind == "answer"
        assert document.attachments == ("a.xml",)
        assert document.attachment("a.xml") == b"<a/>"
        assert document.owners[0].cvr == "11111111"
        assert "LER-ZIP-DOCUMENTS" not in [finding.code for finding in document.scan().findings]

    def test_the_official_samples_are_told(self, reference: Path) -> None:
        samples = reference / "ler" / "samples"
        document = open_document(samples / "svarudtagettil.gml")
        assert (document.kind, document.owners[0].cvr) == ("answer", UNKNOWN_OWNER)
        assert sum(map(len, document.batches())) == 636
        assert document.scan().features == 636
        asked = open_document(samples / "graveforesp_request_example.gml")
        assert asked.kind == "request"
        (finding,) = asked.report.findings
        assert (finding.rule, asked.enquiry) == ("19-370", None)

    @pytest.mark.parametrize(
        ("content", "found"),
        [
            (b"", "an empty file"),
            (b"  \n", "an empty file"),
            (b"%PDF-1.7", "a PDF"),
            (b'{"type": "FeatureCollection"}', "JSON"),
            (b"SQLite format 3\x00", "a SQLite database"),
            (b"\x89PNG\r\n", "a PNG image"),
            (b"AC1027", "a DWG drawing"),
            (b"  0\r\nSECTION\r\n", "a DXF drawing"),
            (b"<html><body/></html>", "the root 'html'"),
            (b"<a", "not well-formed"),
            (b"<a/>", "the root 'a'"),
            (b'<x:FeatureCollection xmlns:x="http://ogr.maptools.org/"/>', "the root 'FeatureCollection'"),
            (b'<l:featureCollection xmlns:l="http://www.ler.dk/ler"/>', "the root 'featureCollection'"),
            (b"hej", "no XML"),
            (b"\xff\xfe\x00\x00", "no XML"),
            (b"PK\x05\x06" + bytes(18), "nothing"),
        ],
    )
    def test_anything_else_is_named_beside_what_is_taken(self, content: bytes, found: str) -> None:
        with pytest.raises(UnreadableFile) as caught:
            open_document(io.BytesIO(content))
        assert found in caught.value.message + str(caught.value.details.get("found"))
        assert "consolidated.gml" in caught.value.hint
        json.dumps(caught.value.details)

    def test_a_zip_of_other_things_names_them(self) -> None:
        with pytest.raises(UnreadableFile) as caught:
            open_document(zipped({"a.gml": b"<html/>", "b.jpg": b"x"}))
        assert caught.value.details["found"] == "a.gml (XML with the root 'html')"

    @pytest.mark.parametrize("path", ["/dev/zero", "/nowhere/at/all.gml"])
    def test_what_is_no_file_is_refused(self, path: str) -> None:
        with pytest.raises(UnreadableFile):
            open_document(Path(path))

    def test_attachments_of_what_has_none_are_not_found(self) -> None:
        with pytest.raises(NotFound):
            open_document(io.BytesIO(written("request"))).attachment("a")


class TestStatusList:
    def test_alone_gives_the_owners_and_who_has_not_answered(self) -> None:
        document = open_document(io.BytesIO(written("status-list")))
        assert [(o.cvr, o.name, o.indberetnings_no, o.status) for o in document.owners] == [
            (o.cvr, o.name, o.indberetnings_no, o.status) for o in OWNERS
        ]
        assert [finding.code for finding in document.report.findings] == ["PACKAGE-NOT-DELIVERED"]
        assert list(document.batches()) == []
        assert document.scan() is document.report

    def test_with_a_document_type_is_refused(self) -> None:
        with pytest.raises(UnreadableFile):
            open_document(io.BytesIO(b'<!DOCTYPE x [<!ENTITY a "b">]><LedningsejerListe/>'))


class TestRequest:
    def test_gives_its_enquiry(self) -> None:
        document = open_document(io.BytesIO(written("request")))
        assert document.content == REQUEST
        assert document.report.findings == []
        assert document.enquiry is not None
        assert document.enquiry.polygon == WKB

    @pytest.mark.parametrize(
        ("old", "new", "rule"),
        [
            ("<lergml:bemaerkning>hul</lergml:bemaerkning>", "", "19-470"),
            ("hul", "x" * 101, "19-310"),
            ("2026-12-01", "01-12-2026", "19-320"),
            ("2026-12-02", "2026-02-30", "19-330"),
            ("2026-12-02", "2026-11-02", "19-360"),
            ("<lergml:formaal_id>99</lergml:formaal_id>", "", "19-420"),
            ("<lergml:forsyningsart_id>99<", "<lergml:forsyningsart_id>42<", "19-410"),
            (
                "<lergml:forsyningsart_id>99</lergml:forsyningsart_id>",
                "",
                "19-400",
            ),
            (">a@b.dk<", "><", "19-490"),
            ("angivet>true<", "angivet>false<", "19-550"),
            ("722300.0,6178800.0 ", "", "19-370"),
            ("EPSG:25832", "EPSG:4326", "19-370"),
            ("6178800.0", "NaN", "19-370"),
        ],
    )
    def test_each_fault_is_a_finding_with_the_register_s_own_code(
        self, old: str, new: str, rule: str
    ) -> None:
        text = written("request").decode()
        assert old in text
        document = open_document(io.BytesIO(text.replace(old, new).encode()))
        assert rule in [finding.rule for finding in document.report.findings]
        assert all(f.hint and f.hint_da and f.message_da for f in document.report.findings)
        assert document.enquiry is None


class TestInterestArea:
    @pytest.mark.parametrize(
        "notice",
        [
            NOTICE,
            InterestAreaNotice(
                WKB, "x & <y>", ("1",), False, contact_address="a@b.dk", signed_as="ler2signed"
            ),
            InterestAreaNotice(
                shapely.to_wkb(
                    shapely.normalize(
                        shapely.MultiPolygon([AREA, shapely.box(723000, 6178800, 723300, 6179100)])
                    ),
                    byte_order=1,
                ),
                "to",
                ("3", "8"),
                True,
            ),
        ],
        ids=["full", "older element", "two polygons"],
    )
    def test_what_is_written_is_read(self, notice: InterestAreaNotice) -> None:
        file = io.BytesIO()
        write_interest_area(file, notice)
        assert read_interest_area(file) == notice
        assert open_document(file).content == notice

    @pytest.mark.parametrize(
        ("old", "new", "rule"),
        [
            ("<lergml:ler20signed>true</lergml:ler20signed>", "", "27-430"),
            (
                "<lergml:ler20signed>",
                "<lergml:ler2signed>true</lergml:ler2signed><lergml:ler20signed>",
                "27-431",
            ),
            (">true<", ">ja<", "27-432"),
            ("<lergml:bemaerkning>Al kabel ligger i fortov</lergml:bemaerkning>", "", "27-340"),
            ("Al kabel", "x" * 4001, "27-350"),
            (">5,99<", ">5,98<", "27-380"),
            (">5,99<", ">5<", "27-381"),
            (">5,99<", "><", "27-382"),
            (">lys<", f">{'x' * 51}<", "27-384"),
            (
                "<lergml:kontaktperson>",
                "<lergml:kontaktadresse>a@b.dk</lergml:kontaktadresse><lergml:kontaktperson>",
                "27-390",
            ),
            ("polygonProperty", "andet", "27-440"),
            ("722300.0,6178800.0 ", "", "27-360"),
        ],
    )
    def test_each_fault_is_a_finding_with_the_register_s_own_code(
        self, old: str, new: str, rule: str
    ) -> None:
        file = io.BytesIO()
        write_interest_area(file, NOTICE)
        text = file.getvalue().decode()
        assert old in text
        if rule == "27-440":
            start = text.index("<lergml:polygonProperty>")
            text = text[:start] + text[text.index("</lergml:polygonProperty>") + 25 :]
        content = text.replace(old, new).encode()
        with pytest.raises(DataRefused) as caught:
            read_interest_area(io.BytesIO(content))
        assert rule in [finding.rule for finding in caught.value.report.findings]
        document = open_document(io.BytesIO(content))
        assert (document.kind, document.content) == ("interest-area", None)
        assert document.report.to_json() == caught.value.report.to_json()

    @pytest.mark.parametrize(
        "notice",
        [
            InterestAreaNotice(WKB, "", ("1",), True),
            InterestAreaNotice(WKB, "x" * 4001, ("1",), True),
            InterestAreaNotice(WKB, "x", (), True),
            InterestAreaNotice(WKB, "x", ("99",), True),
            InterestAreaNotice(WKB, "x", ("99",), True, "y" * 51),
            InterestAreaNotice(WKB, "x", ("1",), True, contact_person="a", contact_address="b"),
            InterestAreaNotice(WKB, "x", ("1",), True, signed_as="signed"),
        ],
    )
    def test_what_the_register_refuses_is_not_written(self, notice: InterestAreaNotice) -> None:
        with pytest.raises(InvalidInput):
            write_interest_area(io.BytesIO(), notice)

    def test_an_area_that_is_no_polygon_is_not_written(self) -> None:
        notice = InterestAreaNotice(shapely.to_wkb(shapely.Point(722000, 6178800)), "x", ("1",), True)
        with pytest.raises(InvalidGeometry):
            write_interest_area(io.BytesIO(), notice)
