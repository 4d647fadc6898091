"""The plan on paper, read back from its PDF: scale, lines, labels, words, size."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pdfplumber
import pypdfium2
import pytest
import shapely
from typer.testing import CliRunner

from geoinfra.cli import app
from geoinfra.errors import InvalidInput
from geoinfra.flows.layers import read_layer
from geoinfra.presentation.attributes import feature_attributes
from geoinfra.presentation.offline_sections import PageFacts
from geoinfra.presentation.plan import PlanOptions, PlanWritten, write_plan
from geoinfra.presentation.plan_background import Background
from geoinfra.presentation.plan_ink import POINTS_PER_MM, REPLACEMENT, Ink
from geoinfra.presentation.plan_map import Shapes, View, paint
from geoinfra.presentation.plan_sheets import Frame, divide
from geoinfra.presentation.resolve import Fill, Marker, Stroke, Symbol, resolve
from geoinfra.presentation.style_set import load_style_set
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.formats.package import EnquiryInfo, PackageOwner
from geoinfra.utilities.model import Contact, FeatureRows

E, N = 650_000.0, 6_070_000.0
OWNERS = ("10000001", "10000002", "10000003")
DELIVERED = "Ledningsoplysninger udleveret"
MARK = "TEST - må ikke bruges til gravning"
CLASSES = (
    "Elledning",
    "Gasledning",
    "Vandledning",
    "Afloebsledning",
    "Telekommunikationsledning",
    "TermiskLedning",
    "Foeringsroer",
)


def enquiry(area: shapely.Geometry, number: str = "2026-000017") -> EnquiryInfo:
    return EnquiryInfo(
        number=number,
        polygon=shapely.to_wkb(area),
        period_from=date(2026, 12, 1),
        period_to=date(2026, 12, 20),
        methods=("6",),
        created_at=datetime(2026, 11, 24, 10, 0, tzinfo=UTC),
    )


def owner(cvr: str, name: str = "", status: str = DELIVERED) -> PackageOwner:
    return PackageOwner(
        cvr, name or f"Ejer {cvr}", status=status, contact=Contact("Vagten", f"70 {cvr[-4:]}", "v@x.dk")
    )


def features(count: int, *, per_row: int = 20) -> list[FeatureBatch]:
    """Lines of every kind, apart from each other, all within 140 x 92 m."""
    rows = {cvr: FeatureRows(cvr, elements=False) for cvr in OWNERS}
    hazards = ("ikke farlig", "farlig", "meget farlig", None)
    statuses = ("i drift", "under etablering", "permanent ude af drift")
    accuracies = ("<= 0.25 m", "<= 1.00 m", "> 2.00 m", None)
    methods = ("nøjagtigt", "forskudt", "skematisk", None)
    for number in range(count):
        properties: dict[str, Any] = {
            "driftsstatus": statuses[number % 3],
            "fareklasse": hazards[number % 4],
            "noejagtighedsklasse": accuracies[number // 4 % 4],
            "indtegningsmetode": methods[number // 16 % 4],
            "vejledendeDybde": {"value": 800 + number, "uom": "mm"} if number % 2 else None,
        }
        feature_class = CLASSES[number % len(CLASSES)]
        if feature_class == "Elledning":
            properties["spaendingsniveau"] = {"value": (0.4, 10, 60, 150)[number // 7 % 4], "uom": "kV"}
        else:
            properties["udvendigDiameter"] = {"value": 40 + number, "uom": "mm"}
        x, y = E + 7.0 * (number % per_row), N + 9.0 * (number // per_row)
        course = shapely.LineString([(x, y), (x + 3.0, y + 0.5 + number % 5), (x + 6.0, y + 1.25)])
        kept = {name: value for name, value in properties.items() if value is not None}
        rows[OWNERS[number % 3]].add(feature_class, f"l.{number}", kept, course)
    return [one.batch() for one in rows.values()]


AREA = shapely.box(E - 1, N - 1, E + 140, N + 92)


def written(
    batches: Sequence[FeatureBatch],
    *,
    area: shapely.Geometry = AREA,
    owners: Sequence[PackageOwner] = tuple(map(owner, OWNERS)),
    facts: PageFacts | None = None,
    background: Background | None = None,
    asked: EnquiryInfo | None = None,
    **options: Any,
) -> tuple[bytes, PlanWritten]:
    target = io.BytesIO()
    done = write_plan(
        target, asked or enquiry(area), owners, batches, facts, PlanOptions(**options), background
    )
    return target.getvalue(), done


def texts(pdf: bytes) -> list[str]:
    """The words of each page as a reader selects them, without line breaks."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        return [_selected(page) for page in document]
    finally:
        document.close()


def _selected(page: Any) -> str:
    words = page.get_textpage()
    try:
        return str(words.get_text_bounded()).replace("\r\n", " ")
    finally:
        words.close()
        page.close()


def strokes(page: Any) -> Iterator[tuple[list[tuple[float, float]], tuple[float, ...], float, list[float]]]:
    """Vertices in mm from the lower left, colour, width in mm, dash in mm, of each line in order."""
    for item in page.layout:
        if hasattr(item, "pts") and item.stroke and not item.fill:
            points = [(x / POINTS_PER_MM, y / POINTS_PER_MM) for x, y in item.pts]
            dash = list(item.dashing_style[0]) if item.dashing_style else []
            yield points, tuple(item.stroking_color), item.linewidth / POINTS_PER_MM, dash


@pytest.fixture(scope="module")
def sheet_of_200() -> tuple[bytes, list[FeatureBatch]]:
    batches = features(200)
    pdf, done = written(batches, scale=500, paper="A3")
    assert done.sheets == 1
    return pdf, batches


class TestScale:
    @pytest.mark.parametrize(("scale", "paper"), [(100, "A3"), (200, "A4"), (500, "A4"), (1000, "A3")])
    def test_a_known_distance_is_as_long_on_paper_as_the_scale_says(self, scale: int, paper: str) -> None:
        rows = FeatureRows(OWNERS[0], elements=False)
        length = scale / 10  # 100 mm on paper
        rows.add(
            "Vandledning", "v.1", {"driftsstatus": "i drift"}, shapely.LineString([(E, N), (E + length, N)])
        )
        pdf, _ = written(
            [rows.batch()],
            area=shapely.box(E, N - 1, E + length, N + 1),
            scale=scale,
            paper=paper,
            margin_m=1,
        )
        with pdfplumber.open(io.BytesIO(pdf)) as document:
            spans = [
                max(x for x, _ in points) - min(x for x, _ in points)
                for points, colour, _, _ in strokes(document.pages[1])
                if colour == pytest.approx(_rgb("#1d6cd0"), abs=0.003) or len(points) == 2
            ]
        assert any(abs(span - 100.0) < 0.02 for span in spans)

    def test_the_scale_bar_is_as_long_as_it_says(self, sheet_of_200: tuple[bytes, Any]) -> None:
        with pdfplumber.open(io.BytesIO(sheet_of_200[0])) as document:
            page = document.pages[-1]
            said = page.crop((page.width * 0.75, page.height * 0.5, page.width, page.height)).extract_words()
            metres = next(int(before["text"]) for before, after in pairwise(said) if after["text"] == "m")
            widths = [rect["width"] / POINTS_PER_MM for rect in page.rects]
        assert any(abs(width - metres * 1000 / 500) < 0.01 for width in widths)

    def test_the_crosses_stand_at_the_coordinates_beside_them(self, sheet_of_200: tuple[bytes, Any]) -> None:
        with pdfplumber.open(io.BytesIO(sheet_of_200[0])) as document:
            page = document.pages[-1]
            upright = [word for word in page.extract_words() if word["top"] < 40]
            labels = {
                int(value["text"]): (name["x0"] + value["x1"]) / 2
                for name, value in pairwise(upright)
                if name["text"] == "E" and value["text"].isdigit()
            }
            crosses = {
                round((line["x0"] + line["x1"]) / 2, 1) for line in page.lines if abs(line["width"]) < 0.01
            }
        first, last = min(labels), max(labels)
        assert (labels[last] - labels[first]) / POINTS_PER_MM == pytest.approx((last - first) * 2, abs=0.05)
        assert all(min(abs(x - place) for x in crosses) < 0.2 for place in labels.values())


class TestLines:
    def test_every_line_of_200_is_drawn_as_the_resolver_says(
        self, sheet_of_200: tuple[bytes, list[FeatureBatch]]
    ) -> None:
        pdf, batches = sheet_of_200
        division = divide(AREA, scale=500, paper="A3")
        sheet, frame = division.sheets[0], division.layout.map
        style_set = load_style_set()
        with pdfplumber.open(io.BytesIO(pdf)) as document:
            drawn = [(np.array(points), found) for points, *found in strokes(document.pages[-1])]
        seen: list[tuple[int, int]] = []
        for batch in batches:
            for row in range(len(batch)):
                line = shapely.get_coordinates(shapely.from_wkb(batch.geometry[row]))
                place = (line - [sheet.min_e, sheet.min_n]) * 2.0 + [frame.left, frame.bottom]
                found = [
                    (number, how)
                    for number, (path, how) in enumerate(drawn)
                    if abs(path[0, 0] - place[0, 0]) < 0.03
                    and path.shape == place.shape
                    and np.allclose(path, place, atol=0.03)
                ]
                symbol = resolve(style_set, feature_attributes(batch, row, style_set.attributes), 500)
                at = 0
                for layer in symbol.of(Stroke):  # in the resolver's order, bands of uncertainty between
                    wanted = _rgb(layer.colour), layer.width_mm, list(layer.dash_mm)
                    while at < len(found) and not _alike(found[at][1], wanted):
                        at += 1
                    assert at < len(found), f"{batch.feature_ids[row]}: {layer} is not drawn"
                    seen.append((found[at][0], layer.order))
                    at += 1
        assert len(seen) > 400
        orders = [order for _, order in sorted(seen)]
        assert orders == sorted(orders)  # over all features: no casing lies over a neighbour

    def test_uncertainty_is_as_wide_on_paper_as_on_the_ground(self) -> None:
        rows = FeatureRows(OWNERS[0], elements=False)
        rows.add(
            "Vandledning",
            "v.1",
            {"driftsstatus": "i drift", "noejagtighedsklasse": "<= 1.00 m", "indtegningsmetode": "nøjagtigt"},
            shapely.LineString([(E, N), (E + 20, N)]),
        )
        pdf, _ = written([rows.batch()], area=shapely.box(E, N, E + 20, N + 5), scale=200)
        with pdfplumber.open(io.BytesIO(pdf)) as document:
            widths = [width for _, _, width, _ in strokes(document.pages[1])]
        assert any(abs(width - 10.0) < 0.01 for width in widths)  # 2 x 1 m at 1:200

    def test_lines_end_at_the_frame(self) -> None:
        rows = FeatureRows(OWNERS[0], elements=False)
        rows.add("Vandledning", "v.1", {}, shapely.LineString([(E - 9000, N), (E + 9000, N + 3)]))
        pdf, _ = written([rows.batch()], area=shapely.box(E, N, E + 20, N + 5), scale=200)
        with pdfplumber.open(io.BytesIO(pdf)) as document:
            page = document.pages[1]
            assert all(
                -15 < x < page.width / POINTS_PER_MM for points, *_ in strokes(page) for x, _ in points
            )


class TestLabels:
    def test_no_label_stands_on_another(self, tiny_town: Path) -> None:
        background = Background.of(
            {
                name: list(read_layer(tiny_town / f"{name}.gpkg", dataset=name)[1])
                for name in ("streets", "addresses", "parcels")
            }
        )
        middle = shapely.centroid(
            shapely.multipoints(shapely.get_coordinates(background.layers["streets"].geometry))
        )
        moved = _moved(features(200, per_row=14), middle.x - 65, middle.y - 70)
        area = shapely.box(middle.x - 60, middle.y - 60, middle.x + 60, middle.y + 60)
        pdf, done = written(moved, area=area, scale=500, paper="A3", background=background)
        with pdfplumber.open(io.BytesIO(pdf)) as document:
            frame = divide(area, scale=500, paper="A3").layout.map
            boxes = [box for page in document.pages[-done.sheets :] for box in _label_boxes(page, frame)]
        assert len(boxes) == done.labels[0] > 40
        overlaps = shapely.STRtree(boxes).query(boxes, predicate="overlaps")
        assert not len(overlaps[0])

    def test_texts_can_be_selected_and_searched(self, sheet_of_200: tuple[bytes, Any]) -> None:
        page = texts(sheet_of_200[0])[-1]
        for word in (
            "Ledningsplan 2026-000017",
            "Blad 1 af 1",
            "Mål 1:500",
            "EPSG:25832",
            "Ejer 10000002",
            "tlf. 70 0002",
            "Afløb",
        ):
            assert word in page


class TestPages:
    def test_an_index_sheet_and_the_sheets(self) -> None:
        pdf, done = written(features(20), scale=250)
        pages = texts(pdf)
        assert done.sheets > 4
        assert len(pages) == done.pages == 1 + done.sheets
        assert "Oversigt" in pages[0]
        for number in range(1, done.sheets + 1):
            assert f"Blad {number} af {done.sheets}" in pages[number]

    def test_many_owners_go_on_over_pages_of_their_own(self) -> None:
        owners = [owner(f"2{number:07}") for number in range(120)]
        pdf, done = written(features(5), owners=owners)
        pages = texts(pdf)
        assert done.pages > 1 + done.sheets
        lists = "".join(pages[: done.pages - done.sheets])
        assert all(one.name in lists and one.contact and one.contact.phone in lists for one in owners)

    def test_the_same_contents_give_the_same_bytes(self) -> None:
        assert written(features(30))[0] == written(features(30))[0]

    def test_only_what_is_on_the_sheet_is_in_its_legend(self) -> None:
        rows = FeatureRows(OWNERS[0], elements=False)
        rows.add(
            "Vandledning",
            "v.1",
            {"driftsstatus": "i drift", "fareklasse": "ikke farlig"},
            shapely.LineString([(E, N), (E + 9, N)]),
        )
        pages = texts(written([rows.batch()], area=shapely.box(E, N, E + 9, N + 9), scale=200)[0])
        assert "Vand" in pages[1]
        for absent in ("Gas", "Afløb", "Meget farlig", "Permanent ude af drift"):
            assert absent not in pages[1]

    def test_dangerous_lines_are_listed_with_whom_to_call(self, sheet_of_200: tuple[bytes, Any]) -> None:
        for page in texts(sheet_of_200[0])[:: len(texts(sheet_of_200[0])) - 1]:
            assert "meget farlig:" in page
            assert "Ejer 10000003 · tlf. 70 0003" in page

    @pytest.mark.parametrize("language", ["da", "en"])
    def test_a_test_environment_is_marked_on_every_page(self, language: str) -> None:
        owners = [owner(f"2{number:07}") for number in range(120)]
        facts = PageFacts(sandbox=True)
        pdf, done = written(features(20), owners=owners, facts=facts, scale=1000, language=language)
        mark = MARK if language == "da" else "TEST - not for digging"
        found = texts(pdf)
        assert len(found) == done.pages > done.sheets + 1
        assert all(mark in page for page in found)

    def test_a_plan_for_planning_and_an_owner_who_is_missing_are_told_on_every_sheet(self) -> None:
        silent = [owner(OWNERS[0]), owner(OWNERS[1], status="Ikke leveret")]
        for page in texts(written(features(5), owners=silent)[0]):
            assert "GRAV IKKE ENDNU: 1" in page
        for page in texts(written(features(5), facts=PageFacts(planning=True))[0]):
            assert "KUN TIL PLANLÆGNING" in page

    def test_the_plan_of_one_owner_shows_his_lines_and_says_so(self) -> None:
        pdf, done = written(features(60), scale=500, owner_cvr=OWNERS[1])
        assert done.features == 20
        for page in texts(pdf):
            assert f"KUN LEDNINGER FRA Ejer {OWNERS[1]}" in page
            assert OWNERS[0] not in page

    def test_the_clock_is_not_in_the_file(self) -> None:
        pdf, _ = written(features(3))
        assert b"D:2000" in pdf or b"CreationDate" not in pdf
        assert str(datetime.now(UTC).year).encode() + b"1" not in pdf.split(b"CreationDate")[-1][:20]


class TestSize:
    def test_ten_thousand_lines_are_below_5_mb(self) -> None:
        chance = np.random.default_rng(7)
        rows = [FeatureRows(cvr, elements=False) for cvr in OWNERS]
        for number in range(10_000):
            start = chance.uniform([E, N], [E + 300, N + 180])
            course = start + np.cumsum(chance.normal(0, 4, (2 + number % 6, 2)), axis=0)
            properties = {"driftsstatus": "i drift", "fareklasse": ("ikke farlig", "farlig")[number % 2]}
            rows[number % 3].add(CLASSES[number % 7], f"l.{number}", properties, shapely.LineString(course))
        area = shapely.box(E + 10, N + 10, E + 290, N + 170)
        pdf, done = written([one.batch() for one in rows], area=area, scale=1000, paper="A3")
        assert done.features == 10_000
        assert done.sheets == 1
        assert len(pdf) < 5_000_000
        assert done.labels[0] < 500


HOSTILE = (
    "x" * 5000,
    "Ejer " * 400,
    "\u202egnivarg kkI\u202c مرحبا بالعالم",
    "👷🏽‍♀️🔥 gravning",
    "(\\) Tj ET Q 0 0 m \x00\x07\r\n\t",
    "<b>%%EOF</b> ${name}",
    "日本語の名前",
    "e\u0301\u0301\u0301 \ufeff\u200b\ud800",
    "",
)


class TestHostile:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_any_text_is_drawn_or_replaced_so_that_one_sees_it(self, text: str) -> None:
        rows = FeatureRows(OWNERS[0], elements=False)
        rows.add("Vandledning", "v.1", {}, shapely.LineString([(E, N), (E + 60, N)]))
        batch = rows.batch()
        batch.columns["type"][0] = text
        one = PackageOwner(OWNERS[0], text, status=DELIVERED, contact=Contact(text, text, text))
        pdf, _ = written(
            [batch], owners=[one], asked=enquiry(shapely.box(E, N, E + 60, N + 9), text), scale=500
        )
        pages = texts(pdf)
        assert len(pages) >= 2
        strange = any(ord(char) > 0x2FFF or "\u0600" <= char <= "\u06ff" or char == "\u202e" for char in text)
        assert (REPLACEMENT in pages[0]) == (strange or "\x00" in text)

    @pytest.mark.parametrize(
        "shape",
        [
            shapely.LineString([(E, N), (float("inf"), N)]),
            shapely.LineString([(E, N), (1e300, N)]),
            shapely.LineString([(E, N), (E, N)]),
            shapely.Polygon([(E, N), (E + 9, N + 9), (E + 9, N), (E, N + 9)]),
            shapely.GeometryCollection([shapely.Point(E, N), shapely.box(E, N, E + 1, N + 1)]),
            shapely.MultiPoint([(E, N), (E + 1, N + 1)]),
            shapely.LineString(),
            None,
        ],
        ids=lambda shape: shape.geom_type if shape is not None else "none",
    )
    def test_any_geometry_is_drawn_or_left_out(self, shape: shapely.Geometry | None) -> None:
        batches = features(3)
        batches[0].geometry[0] = None if shape is None else shapely.to_wkb(shape)
        pdf, done = written(batches, scale=500)
        assert done.features == 3
        assert len(texts(pdf)) >= 2

    def test_nothing_to_draw_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="nothing to draw"):
            write_plan(io.BytesIO(), None, [], [])


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from geoinfra.flows.package_files import Contents, write_package

    path = tmp_path_factory.mktemp("plan") / "pakke.zip"
    rows = FeatureRows(OWNERS[0])
    rows.add("Vandledning", "v.1", {"driftsstatus": "i drift"}, shapely.LineString([(E, N), (E + 60, N + 5)]))
    asked = enquiry(shapely.box(E, N, E + 60, N + 9), "TEST-2026-000017")
    contents = Contents(asked, [owner(OWNERS[0])], [rows.batch()])
    write_package(
        path,
        contents,
        ["pdf", "pdf-owners"],
        lambda files: {"files": files, "sandbox": True, "sequence": 3},
    )
    return path


class TestCommand:
    def test_a_package_holds_the_plan_and_that_of_each_owner(self, package: Path) -> None:
        import zipfile

        with zipfile.ZipFile(package) as archive:
            names = archive.namelist()
            assert names[-3:] == ["plan.pdf", f"plan-{OWNERS[0]}.pdf", "manifest.json"]
            assert "KUN LEDNINGER FRA" in texts(archive.read(f"plan-{OWNERS[0]}.pdf"))[1]

    def test_draws_a_plan_of_a_package(self, package: Path, tmp_path: Path, tiny_town: Path) -> None:
        target = tmp_path / "plan.pdf"
        background = str(tiny_town / "streets.gpkg")
        done = CliRunner().invoke(
            app,
            [
                "presentation",
                "plan",
                str(package),
                str(target),
                "--scale",
                "250",
                "--paper",
                "A3",
                "--background",
                background,
                "--json",
            ],
        )
        assert done.exit_code == 0, done.output
        assert '"scale": 250' in done.stdout
        pages = texts(target.read_bytes())
        assert all(MARK in page for page in pages)
        assert "Pakke 3" in pages[1]

    @pytest.mark.parametrize("arguments", [["--scale", "50"], ["--paper", "A0"], ["--owner", "12"]])
    def test_wrong_usage_exits_2_and_writes_nothing(
        self, package: Path, tmp_path: Path, arguments: list[str]
    ) -> None:
        target = tmp_path / "plan.pdf"
        done = CliRunner().invoke(app, ["presentation", "plan", str(package), str(target), *arguments])
        assert done.exit_code == 2
        assert not target.exists()


class TestInk:
    """What no published style set may use to-day is drawn all the same."""

    @pytest.mark.parametrize("pattern", ["", "hatch", "cross", "dots"])
    def test_a_pattern_fills_the_inside_and_nothing_else(self, pattern: str) -> None:
        square = np.array([[20.0, 20.0], [60.0, 20.0], [60.0, 60.0], [20.0, 60.0], [20.0, 20.0]])
        hole = np.array([[30.0, 30.0], [50.0, 30.0], [50.0, 50.0], [30.0, 50.0], [30.0, 30.0]])
        page = painted(Fill("p", 1, "#336699", 0.5, pattern), Shapes(rings=[square, hole]))
        found = [np.array(points) for points in page if len(points) > 1]
        assert found
        assert all(((points > 19.9) & (points < 60.1)).all() for points in found)
        if pattern:
            assert len(found) > 10
            assert not any(((path.mean(axis=0) > 31) & (path.mean(axis=0) < 49)).all() for path in found)

    @pytest.mark.parametrize(
        ("marker", "each"),
        [
            ("triangle", 1),
            ("triangle-open", 2),
            ("bar-1", 1),
            ("bar-3", 3),
            ("cross", 2),
            ("arrow", 1),
            ("circle-open", 2),
        ],
    )
    def test_a_mark_stands_every_spacing_from_the_first(self, marker: str, each: int) -> None:
        line = np.array([[10.0, 50.0], [60.0, 50.0], [60.0, 100.0]])
        layer = Marker("m", 1, "#000000", 1.0, marker, 2.0, 7.0, 20.0, 70.0, 5.0)
        found = [np.array(points) for points in painted(layer, Shapes(lines=[line]))]
        assert len(found) == 5 * each  # at 5, 25, 45, 65 and 85 mm
        middles = {
            tuple(np.round((path.min(axis=0) + path.max(axis=0)) / 2 / 5).astype(int) * 5) for path in found
        }
        assert middles == {(15, 50), (35, 50), (55, 50), (60, 65), (60, 85)}


def painted(layer: Any, shapes: Shapes) -> list[list[tuple[float, float]]]:
    """The paths of one layer on a page, in millimetres."""
    target = io.BytesIO()
    ink = Ink(target, "t", "t")
    ink.begin(200.0, 200.0, "t")
    paint(
        ink, View(Frame(0.0, 0.0, 200.0, 200.0), 0.0, 0.0, 1000.0), [(Symbol("", {}, (layer,)), 0.0, shapes)]
    )
    ink.end()
    ink.save()
    with pdfplumber.open(io.BytesIO(target.getvalue())) as document:
        items = [item for item in document.pages[0].layout if hasattr(item, "pts")]
        return [[(x / POINTS_PER_MM, y / POINTS_PER_MM) for x, y in item.pts] for item in items]


# ------------------------------------------------------------------ reading back


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))


def _alike(found: Sequence[Any], wanted: tuple[Any, float, list[float]]) -> bool:
    return (
        found[0] == pytest.approx(wanted[0], abs=0.002)
        and found[1] == pytest.approx(wanted[1], abs=0.002)
        and found[2] == pytest.approx(wanted[2], abs=0.001)
    )


def _moved(batches: Sequence[FeatureBatch], east: float, north: float) -> list[FeatureBatch]:
    for batch in batches:
        shapes = shapely.transform(shapely.from_wkb(batch.geometry), lambda xy: xy - [E, N] + [east, north])
        batch.geometry = shapely.to_wkb(shapes).tolist()
    return list(batches)


def _label_boxes(page: Any, frame: Any) -> list[shapely.Geometry]:
    """The boxes of the texts in the map in the font of labels, from the matrices of their letters."""
    runs: list[list[dict[str, Any]]] = []
    for char in page.chars:
        x, y = char["matrix"][4] / POINTS_PER_MM, char["matrix"][5] / POINTS_PER_MM
        if not (frame.left <= x <= frame.right and frame.bottom <= y <= frame.top):
            continue
        if "Semibold" in char["fontname"]:
            continue
        last = runs[-1][-1] if runs else None
        if last is not None and last["matrix"][:4] == char["matrix"][:4] and _follows(last, char):
            runs[-1].append(char)
        else:
            runs.append([char])
    return [_box(run) for run in runs]


def _follows(last: dict[str, Any], char: dict[str, Any]) -> bool:
    a, b, _, _, x, y = last["matrix"]
    wide = last["adv"]
    return bool(np.hypot(char["matrix"][4] - x - a * wide, char["matrix"][5] - y - b * wide) < 0.05)


def _box(run: Sequence[dict[str, Any]]) -> shapely.Geometry:
    a, b, c, d, x, y = run[0]["matrix"]
    wide = sum(char["adv"] for char in run)
    corners = [(0.0, -0.2), (wide, -0.2), (wide, 0.7), (0.0, 0.7)]
    return shapely.Polygon([(x + a * u + c * v, y + b * u + d * v) for u, v in corners])
