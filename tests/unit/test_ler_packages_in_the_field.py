"""Packages as they come: other spellings of the same content, and content that is missing."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pytest
import shapely
from lxml import etree

from geoinfra.errors import NotFound, Report, UnreadableFile
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.formats import ler, package
from geoinfra.utilities.formats.intake import Limits
from geoinfra.utilities.formats.package import UNKNOWN_OWNER
from geoinfra.utilities.model import Contact, FeatureRows, ResponseType

FIRST, SECOND, THIRD = "11111111", "22222222", "33333333"
AREA = shapely.box(722000, 6178800, 722300, 6179100)
ENQUIRY = package.EnquiryInfo(
    "2026-000017",
    shapely.to_wkb(AREA, byte_order=1),
    date(2026, 12, 1),
    date(2030, 12, 20),
    ("6",),
    "Ny stikledning",
    datetime(2026, 11, 24, 9, 12, tzinfo=UTC),
)
DELIVERED = package.status_text(ResponseType.DELIVERED)
OWNERS = (
    package.PackageOwner(
        FIRST, "Net", ("10",), DELIVERED, folder_name="Net", response_type=ResponseType.DELIVERED
    ),
    package.PackageOwner(SECOND, "Vand", ("20",), DELIVERED, response_type=ResponseType.DELIVERED),
)
CABLE = {
    "driftsstatus": "i drift",
    "etableringstidspunkt": "2004-03-15",
    "fareklasse": "farlig",
    "type": "stikkabel",
}


def cables(cvr: str, count: int = 3, *, north: float = 6178900.0) -> FeatureBatch:
    made = FeatureRows(cvr)
    for row in range(count):
        line = shapely.LineString([(722010 + row, north), (722020 + row, north + 5)])
        made.add("Elledning", f"el.{row}", CABLE, line)
    return made.batch()


def attachment(cvr: str, path: str = "skitse.pdf") -> FeatureBatch:
    made = FeatureRows(cvr)
    made.add(
        "Informationsressource",
        "bilag.1",
        {"title": "Skitse", "format": {"value": "PDF", "type": "application/pdf"}, "sti": path},
    )
    return made.batch()


def consolidated(
    *batches: FeatureBatch, owners: tuple[package.PackageOwner, ...] = OWNERS, enquiry: bool = True
) -> str:
    file = io.BytesIO()
    package.write_consolidated(file, ENQUIRY if enquiry else None, owners, batches)
    return file.getvalue().decode()


def status_list(owners: tuple[package.PackageOwner, ...] = OWNERS) -> bytes:
    file = io.BytesIO()
    package.write_status_list(file, owners)
    return file.getvalue()


def zipped(members: dict[str, bytes | str]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    file.seek(0)
    return file


def whole(document: str, **more: bytes | str) -> io.BytesIO:
    """A complete package of this document; `more` replaces members (their points written as two dashes)."""
    members: dict[str, bytes | str] = {
        "consolidated.gml": document,
        "LedningsejerStatusListe.xml": status_list(),
        "Graveforespoergsel_17.gml": "<a/>",
    }
    return zipped({name: content for name, content in {**members, **more}.items() if content})


def read(document: str | io.BytesIO, **options: object) -> tuple[package.Package, list[FeatureBatch]]:
    source = io.BytesIO(document.encode()) if isinstance(document, str) else document
    opened = package.read_package(source, **options)  # type: ignore[arg-type]  # options vary
    return opened, list(opened.batches())


def codes(report: Report) -> list[str]:
    return sorted(finding.code for finding in report.findings)


def ids(batches: list[FeatureBatch]) -> list[str]:
    return sorted(one for batch in batches for one in batch.feature_ids)


EXPECTED = sorted([f"{FIRST}.el.{row}" for row in range(3)] + [f"{SECOND}.el.{row}" for row in range(3)])
BOTH = (cables(FIRST), cables(SECOND))
LER_2, LER_1 = "http://data.gov.dk/schemas/LER/2/gml", "http://data.gov.dk/schemas/LER/1/gml"


def members_with(old: str, new: str) -> str:
    return consolidated(*BOTH).replace(f"<{old}>", f"<{new}>").replace(f"</{old}>", f"</{new}>")


def plural(name: str) -> str:
    """All features in one member."""
    text = consolidated(*BOTH)
    text = text.replace("</gml:featureMember>\n<gml:featureMember>", "\n")
    return text.replace("gml:featureMember>", f"{name}>")


SPELLINGS = {
    "as written": consolidated(*BOTH),
    "GML 2 members": members_with("gml:featureMember", "old:featureMember").replace(
        "<wfs:FeatureCollection", '<wfs:FeatureCollection xmlns:old="http://www.opengis.net/gml"'
    ),
    "wfs:member": members_with("gml:featureMember", "wfs:member"),
    "members without namespace": members_with("gml:featureMember", "featureMember"),
    "WFS 2": members_with("gml:featureMember", "wfs:member").replace(
        "http://www.opengis.net/wfs", "http://www.opengis.net/wfs/2.0"
    ),
    "one gml:featureMembers": plural("gml:featureMembers"),
    "one gml:members": plural("gml:members"),
    "no members at all": consolidated(*BOTH)
    .replace("<gml:featureMember>", "")
    .replace("</gml:featureMember>", ""),
    "LER/1": consolidated(*BOTH).replace(LER_2, LER_1),
    "with boundedBy": consolidated(*BOTH).replace(
        "<gml:featureMember>",
        "<gml:boundedBy><gml:Envelope><gml:lowerCorner>1 2</gml:lowerCorner></gml:Envelope></gml:boundedBy>"
        "<gml:featureMember>",
        1,
    ),
}


class TestSpellings:
    @pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS.keys())
    def test_of_members_and_namespaces_give_the_same_rows(self, text: str) -> None:
        opened, batches = read(text)
        assert ids(batches) == EXPECTED
        assert Counter(batch.source or batch.columns["owner_cvr"][0] for batch in batches) == {
            FIRST: 1,
            SECOND: 1,
        }
        assert opened.report.features == 6
        assert [owner.name for owner in opened.owners] == ["Net", "Vand"]
        assert opened.enquiry is not None
        assert opened.enquiry.number == "2026-000017"

    def test_owners_mixed_in_any_order_are_kept_apart(self) -> None:
        root = etree.fromstring(SPELLINGS["as written"].encode())
        members = list(root)
        for member in members:
            root.remove(member)
        for member in members[::2] + members[1::2]:
            root.append(member)
        _, batches = read(etree.tostring(root).decode())
        assert ids(batches) == EXPECTED

    @pytest.mark.parametrize(
        "polygon",
        [
            "<gml2:Polygon srsName='EPSG:25832'><gml2:outerBoundaryIs><gml2:LinearRing><gml2:coordinates>"
            "722000,6178800 722300,6178800 722300,6179100 722000,6179100 722000,6178800"
            "</gml2:coordinates></gml2:LinearRing></gml2:outerBoundaryIs></gml2:Polygon>",
            "<gml2:Polygon><gml2:outerBoundaryIs><gml2:LinearRing>"
            + "".join(
                f"<gml2:coord><gml2:X>{x}</gml2:X><gml2:Y>{y}</gml2:Y></gml2:coord>"
                for x, y in shapely.get_coordinates(AREA)
            )
            + "</gml2:LinearRing></gml2:outerBoundaryIs></gml2:Polygon>",
            "<gml:Surface srsName='http://www.opengis.net/def/crs/EPSG/0/25832'><gml:patches><gml:PolygonPatch>"
            "<gml:exterior><gml:LinearRing><gml:posList>722000 6178800 722300 6178800 722300 6179100 "
            "722000 6179100 722000 6178800</gml:posList></gml:LinearRing></gml:exterior>"
            "</gml:PolygonPatch></gml:patches></gml:Surface>",
        ],
        ids=["coordinates", "coord", "Surface"],
    )
    def test_of_the_dig_area_are_read(self, polygon: str) -> None:
        text = consolidated(*BOTH)
        start, end = text.index("<gml:Polygon"), text.index("</gml:Polygon>") + len("</gml:Polygon>")
        text = text[:start] + polygon + text[end:]
        text = text.replace(
            "<wfs:Feat", '<wfs:FeatureCollection xmlns:gml2="http://www.opengis.net/gml" a="', 1
        )
        text = text.replace('a="ureCollection', "", 1)
        opened, _ = read(text)
        assert opened.enquiry is not None
        assert shapely.equals(shapely.from_wkb(opened.enquiry.polygon), AREA)

    def test_a_dig_area_that_crosses_itself_is_read_as_its_parts(self, reference: Path) -> None:
        sample = (reference / "ler" / "samples" / "graveforesp_request_example.gml").read_text()
        polygon = sample[sample.index("<gml:Polygon") : sample.index("</gml:Polygon>") + 14]
        text = consolidated(*BOTH)
        start, end = text.index("<gml:Polygon"), text.index("</gml:Polygon>") + 14
        opened, batches = read(text[:start] + polygon + text[end:])
        assert opened.enquiry is not None
        assert shapely.from_wkb(opened.enquiry.polygon).geom_type == "MultiPolygon"
        assert "PACKAGE-AREA-MENDED" in codes(opened.report)
        again = io.BytesIO()
        package.write_consolidated(again, opened.enquiry, opened.owners, batches)
        read_again, _ = read(again.getvalue().decode())
        assert read_again.enquiry == opened.enquiry

    def test_answers_may_be_joined_by_the_interest_area_alone(self) -> None:
        text = consolidated(*BOTH)
        info = (
            "<gml:featureMember><ler:UtilityPackageInfo><gyldigTil>2031-01-02</gyldigTil>"
            "<typeSupplerendeInfo>Ring</typeSupplerendeInfo>"
            "<forventetAfleveringtidspunkt>2026-11-25T10:00:00</forventetAfleveringtidspunkt>"
            "<indberetningsNr>10</indberetningsNr></ler:UtilityPackageInfo></gml:featureMember>"
            "<gml:featureMember><ler:Kontaktprofil gml:id='k'><ler:navn>Vagten</ler:navn>"
            "<ler:telefonnummer>1234</ler:telefonnummer><indberetningsNr>10</indberetningsNr>"
            "</ler:Kontaktprofil></gml:featureMember>"
        )
        start = text.index("<gml:featureMember><ler:UtilityPackageInfo")
        end = text.index("</ler:UtilityPackageInfo></gml:featureMember>") + 45
        opened, _ = read(text[:start] + info + text[end:])
        owner = opened.owners[0]
        assert (owner.valid_to, owner.supplementary_info) == (date(2031, 1, 2), "Ring")
        assert owner.expected_at == datetime(2026, 11, 25, 10)  # noqa: DTZ001 - written without zone
        assert owner.contact == Contact("Vagten", "1234", "", "k")

    @pytest.mark.parametrize(
        "contact",
        [
            "<ler:Kontaktprofil gml:id='k'/>",
            "<ler:Kontaktprofil><ler:navn xsi:nil='true'/></ler:Kontaktprofil>",
        ],
    )
    def test_a_contact_that_says_nothing_is_none(self, contact: str) -> None:
        mark = f"<ledningsejer>{FIRST}</ledningsejer>"
        contact = (
            contact.replace("/>", f">{mark}</ler:Kontaktprofil>", 1) if "navn" not in contact else contact
        )
        text = consolidated(*BOTH).replace(
            "</wfs:Feat", f"<gml:featureMember>{contact}</gml:featureMember></wfs:Feat"
        )
        opened, _ = read(text)
        assert [owner.contact for owner in opened.owners] == [None, None]

    def test_an_empty_ledningspakke_element_says_nothing(self) -> None:
        text = consolidated(*BOTH)
        start, end = text.index("<lergml:oprettet"), text.index("</lergml:Ledningspakke>")
        opened, _ = read(text[:start] + "<lergml:oprettet_dato/><lergml:aendret_dato/>" + text[end:])
        assert opened.enquiry is not None
        assert opened.enquiry.created_at is None
        assert codes(opened.report) == []

    def test_further_fields_of_the_enquiry_are_kept(self) -> None:
        text = consolidated(*BOTH).replace(
            "<orderNo>",
            "<lergml:formaal_id>4</lergml:formaal_id>"
            "<lergml:eget_ordrenummer>A 1</lergml:eget_ordrenummer><orderNo>",
        )
        opened, batches = read(text)
        assert opened.enquiry is not None
        assert opened.enquiry.more == (("formaal_id", "4"), ("eget_ordrenummer", "A 1"))
        again = io.BytesIO()
        package.write_consolidated(again, opened.enquiry, opened.owners, batches)
        assert read(again.getvalue().decode())[0].enquiry == opened.enquiry


class TestOwners:
    @pytest.mark.parametrize(
        "mark", ["", "<ledningsejer/>", "<ledningsejer>DK</ledningsejer>", "<ledningsejer>123</ledningsejer>"]
    )
    def test_features_that_name_none_are_kept_and_remarked_on(self, mark: str) -> None:
        text = consolidated(*BOTH)
        head, tail = text.split("<ler:Elledning", 1)
        tail = tail.replace(f"<ledningsejer>{FIRST}</ledningsejer>", mark, 2)
        opened, batches = read(head + "<ler:Elledning" + tail)
        assert ids(batches) == sorted(
            [f"{UNKNOWN_OWNER}.c{FIRST}.el.{row}" for row in range(2)]
            + [f"{FIRST}.el.2"]
            + [f"{SECOND}.el.{row}" for row in range(3)]
        )
        assert "LER-PACKAGE-OWNER" in codes(opened.report)
        assert UNKNOWN_OWNER in [owner.cvr for owner in opened.owners]
        again = io.BytesIO()
        package.write_consolidated(again, opened.enquiry, opened.owners, batches)
        assert ids(read(again.getvalue().decode())[1]) == ids(batches)

    def test_an_empty_package_is_valid(self) -> None:
        owners = tuple(
            replace(o, status="Ingen ledninger i graveområde", response_type=ResponseType.NO_LINES)
            for o in OWNERS
        )
        source = whole(consolidated(owners=owners), **{"LedningsejerStatusListe.xml": status_list(owners)})
        opened, batches = read(source)
        assert batches == []
        assert codes(opened.report) == []

    def test_one_is_read_alone(self) -> None:
        opened, batches = read(consolidated(*BOTH), owner_cvr=SECOND)
        assert ids(batches) == [f"{SECOND}.el.{row}" for row in range(3)]
        assert opened.report.features == 3
        with pytest.raises(NotFound):
            read(consolidated(*BOTH), owner_cvr=THIRD)

    def test_each_interest_area_keeps_its_own_answer(self) -> None:
        areas = (
            package.PackageArea("10", DELIVERED, date(2030, 1, 1), response_type=ResponseType.DELIVERED),
            package.PackageArea("11", "Udtaget til manuel behandling", response_type=ResponseType.MANUAL),
        )
        owner = replace(
            OWNERS[0],
            indberetnings_no=("10", "11"),
            status=areas[1].status,
            response_type=ResponseType.MANUAL,
            valid_to=date(2030, 1, 1),
            areas=areas,
        )
        opened, _ = read(consolidated(cables(FIRST), owners=(owner,)))
        assert opened.owners == (owner,)
        listed = whole(
            consolidated(cables(FIRST), owners=(owner,)),
            **{"LedningsejerStatusListe.xml": status_list((owner,))},
        )
        opened, _ = read(listed)
        assert opened.owners == (owner,)
        assert codes(opened.report) == ["PACKAGE-NOT-DELIVERED"]

    def test_the_interest_area_of_each_feature_comes_with_its_rows_and_is_written_again(self) -> None:
        owner = replace(OWNERS[0], indberetnings_no=("10", "11"))
        file = io.BytesIO()
        package.write_consolidated(file, ENQUIRY, (owner,), [cables(FIRST)], [["11", "10", "11"]])
        opened = package.read_package(file)
        (batch, numbers), *rest = opened.numbered_batches()
        assert (numbers, rest) == (["11", "10", "11"], [])
        again = io.BytesIO()
        package.write_consolidated(again, opened.enquiry, opened.owners, [batch], [numbers])
        assert again.getvalue() == file.getvalue()

    def test_more_than_the_bound_are_refused(self) -> None:
        with pytest.raises(UnreadableFile, match="more than 1 owners"):
            read(consolidated(*BOTH), limits=Limits(max_owners=1))

    def test_many_with_few_rows_each_are_not_all_held(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(package, "_MOST_HELD_ROWS", 100)
        batches = [cables(f"{10_000_000 + n}", 2) for n in range(300)]
        owners = tuple(package.PackageOwner(f"{10_000_000 + n}", "") for n in range(300))
        opened = package.read_package(io.BytesIO(consolidated(*batches, owners=owners).encode()))
        first = next(iter(opened.batches()))
        assert (len(first), opened.report.features) == (2, 100)
        assert sum(map(len, opened.batches())) == 600


class TestCompleteness:
    def test_a_whole_package_has_no_findings(self) -> None:
        opened, _ = read(whole(consolidated(*BOTH, attachment(FIRST)), **{"Net/skitse.pdf": b"%PDF"}))
        assert codes(opened.report) == []
        assert opened.attachments == ("Net/skitse.pdf",)
        assert opened.attachment_of(FIRST, "skitse.pdf") == "Net/skitse.pdf"
        assert opened.attachment("Net/skitse.pdf") == b"%PDF"

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            (whole(consolidated(*BOTH), **{"LedningsejerStatusListe.xml": b""}), ["PACKAGE-STATUS-LIST"]),
            (whole(consolidated(*BOTH), **{"LedningsejerStatusListe.xml": b"<x"}), ["PACKAGE-STATUS-LIST"]),
            (
                whole(consolidated(*BOTH), **{"LedningsejerStatusListe.xml": status_list(OWNERS[:1])}),
                ["PACKAGE-OWNER-NOT-LISTED"],
            ),
            (whole(consolidated(BOTH[0])), ["PACKAGE-OWNER-WITHOUT-DATA"]),
            (
                whole(
                    consolidated(*BOTH),
                    **{
                        "LedningsejerStatusListe.xml": status_list(
                            (OWNERS[0], replace(OWNERS[1], status="Ingen ledninger i graveområde"))
                        )
                    },
                ),
                ["PACKAGE-OWNER-WITHOUT-DATA"],
            ),
            (
                whole(
                    consolidated(*BOTH),
                    **{
                        "LedningsejerStatusListe.xml": status_list(
                            (*OWNERS, package.PackageOwner(THIRD, "Sen", ("30",)))
                        )
                    },
                ),
                ["PACKAGE-NOT-DELIVERED"],
            ),
            (whole(consolidated(*BOTH, attachment(FIRST))), ["PACKAGE-ATTACHMENT-MISSING"]),
            (whole(consolidated(*BOTH), **{"Graveforespoergsel_17.gml": b""}), ["PACKAGE-REQUEST-MISSING"]),
            (whole(consolidated(BOTH[0], cables(SECOND, north=6179200))), ["PACKAGE-OUTSIDE-AREA"] * 3),
            (
                whole(consolidated(*BOTH, owners=(replace(OWNERS[0], valid_to=date(2020, 1, 1)), OWNERS[1]))),
                ["PACKAGE-EXPIRED"],
            ),
            (
                whole(
                    consolidated(*BOTH, enquiry=False),
                ),
                ["PACKAGE-ENQUIRY"],
            ),
        ],
        ids=[
            "no status list",
            "broken status list",
            "not listed",
            "no data",
            "data without delivery",
            "not delivered",
            "attachment",
            "request",
            "outside",
            "expired",
            "no enquiry",
        ],
    )
    def test_what_is_missing_is_a_finding_in_both_languages_with_what_to_do(
        self, source: io.BytesIO, expected: list[str]
    ) -> None:
        opened, _ = read(source)
        assert codes(opened.report) == expected
        for finding in opened.report.findings:
            assert finding.message
            assert finding.message_da
            assert finding.hint
            assert finding.hint_da
        by_rows = opened.report.to_json()
        assert opened.scan().to_json() == by_rows

    def test_outside_findings_say_where_and_by_which_rule(self) -> None:
        opened, _ = read(consolidated(cables(FIRST, 1, north=6179200.0), owners=OWNERS[:1]))
        (finding,) = opened.report.findings
        assert finding.rule == "UtilityGeometryWithinDiggingAreaRule"
        assert finding.position == (722010.0, 6179200.0)
        assert finding.feature_id == "el.0"

    def test_owners_without_cvr_number_stand_in_the_list_by_name(self) -> None:
        listed = (*OWNERS, package.PackageOwner(UNKNOWN_OWNER, "Foreign Cable Ltd", ("77",)))
        text = whole(consolidated(*BOTH), **{"LedningsejerStatusListe.xml": status_list(listed)})
        opened, _ = read(text)
        assert [owner.name for owner in opened.owners] == ["Net", "Vand", "Foreign Cable Ltd"]
        assert "Foreign Cable Ltd" in opened.report.findings[0].message
        again = io.BytesIO()
        package.write_consolidated(again, opened.enquiry, opened.owners, BOTH)
        members = {
            "consolidated.gml": again.getvalue(),
            "LedningsejerStatusListe.xml": status_list(opened.owners),
        }
        assert read(zipped({**members, "Graveforespoergsel.gml": "<a/>"}))[0].owners == opened.owners

    def test_a_mended_area_does_not_hide_features_outside(self) -> None:
        text = consolidated(cables(FIRST, 1, north=6179099.995), owners=OWNERS[:1])
        assert codes(read(text)[0].report) == []


class TestFiles:
    @pytest.mark.parametrize("folder", ["", "Ledningspakke_17/", "a/b/"])
    def test_folders_in_the_zip_make_no_difference(self, folder: str) -> None:
        members = {
            "consolidated.gml": consolidated(*BOTH, attachment(FIRST)).encode(),
            "LedningsejerStatusListe.xml": status_list(),
            "Graveforespoergsel_17.pdf": b"%PDF",
            "Net/skitse.pdf": b"%PDF-1",
        }
        opened, batches = read(zipped({folder + name: content for name, content in members.items()}))
        assert len(ids(batches)) == 7
        assert codes(opened.report) == []
        name = opened.attachment_of(FIRST, "skitse.pdf")
        assert name is not None
        assert opened.attachment(name) == b"%PDF-1"

    def test_a_zip_within_a_zip_is_opened(self) -> None:
        inner = whole(consolidated(*BOTH)).getvalue()
        opened, batches = read(zipped({"Ledningspakke_17.zip": inner, "laesmig.txt": b"x"}))
        assert ids(batches) == EXPECTED
        assert codes(opened.report) == []

    def test_two_levels_of_zips_are_not_opened(self) -> None:
        inner = zipped({"a.zip": whole(consolidated(*BOTH)).getvalue()}).getvalue()
        with pytest.raises(UnreadableFile, match=r"no consolidated\.gml"):
            read(zipped({"b.zip": inner}))

    @pytest.mark.parametrize(
        "limits", [Limits(max_zip_members=4), Limits(max_zip_bytes=12_000)], ids=["members", "bytes"]
    )
    def test_the_bounds_count_both_zips(self, limits: Limits) -> None:
        inner = whole(consolidated(*BOTH)).getvalue()
        alone = zipped({"Ledningspakke_17.zip": inner})
        read(alone)
        padded = {"Ledningspakke_17.zip": inner, "b.bin": bytes(8_000), "c.bin": b""}
        with pytest.raises(UnreadableFile, match="more than"):
            read(zipped(padded), limits=limits)

    def test_a_folder_is_read_like_a_zip_and_links_are_not_followed(self, tmp_path: Path) -> None:
        folder = tmp_path / "Ledningspakke_17"
        (folder / "Net").mkdir(parents=True)
        (folder / "consolidated.gml").write_text(consolidated(*BOTH, attachment(FIRST)))
        (folder / "LedningsejerStatusListe.xml").write_bytes(status_list())
        (folder / "Graveforespoergsel.pdf").write_bytes(b"%PDF")
        secret = tmp_path / "secret.pdf"
        secret.write_bytes(b"secret")
        (folder / "Net" / "skitse.pdf").symlink_to(secret)
        opened = package.read_package(folder)
        assert ids(list(opened.batches()))[-1] == f"{SECOND}.el.2"
        assert opened.attachments == ()
        assert codes(opened.report) == ["PACKAGE-ATTACHMENT-MISSING"]

    def test_a_folder_name_that_points_outside_is_not_used(self) -> None:
        owners = (replace(OWNERS[0], folder_name="../.."), OWNERS[1])
        opened, _ = read(whole(consolidated(*BOTH, owners=owners)))
        assert codes(opened.report) == ["PACKAGE-FOLDER"]
        assert opened.owners[0].folder_name == ""

    def test_a_request_in_the_zip_stands_in_for_the_enquiry(self) -> None:
        asked = package.DigRequest(ENQUIRY.polygon, date(2030, 1, 2), date(2030, 1, 3), ("7",), "hul")
        file = io.BytesIO()
        package.write_request(file, asked)
        members = {
            "Ledningspakke_4711/consolidated.gml": consolidated(*BOTH, enquiry=False).encode(),
            "Ledningspakke_4711/LedningsejerStatusListe.xml": status_list(),
            "Ledningspakke_4711/Graveforespoergsel.gml": file.getvalue(),
        }
        opened, _ = read(zipped(members))
        assert opened.enquiry is not None
        assert (opened.enquiry.number, opened.enquiry.methods) == ("4711", ("7",))
        assert codes(opened.report) == []


def test_an_owner_delivers_by_package_and_the_area_does_not_matter() -> None:
    source = io.BytesIO(consolidated(cables(FIRST, north=6179200), owners=OWNERS[:1]).encode())
    answer = ler.read_answer(source, owner_cvr=FIRST)
    assert sum(map(len, answer.batches())) == 3
    assert answer.report.findings == []
    assert orjson.loads(orjson.dumps(answer.report.to_json()))["features"] == 3
