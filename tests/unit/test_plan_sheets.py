"""The division of a dig area into sheets: all of it on paper, true to scale, on few sheets."""

from __future__ import annotations

from math import ceil

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geoinfra.errors import InvalidInput
from geoinfra.presentation.plan_sheets import (
    MOST_SHEETS,
    OVERLAP_MM,
    PAPERS,
    SCALES,
    Layout,
    divide,
    grid_step_m,
    overview_scale,
    scale_bar_m,
)

E, N = 650_000.0, 6_070_000.0
PLACES = st.tuples(st.floats(E, E + 400), st.floats(N, N + 400))


def trench(*places: tuple[float, float], width: float = 1.0) -> shapely.Geometry:
    return shapely.buffer(shapely.LineString(places), width / 2, cap_style="flat")


class TestCover:
    @given(places=st.lists(PLACES, min_size=2, max_size=6, unique=True), scale=st.sampled_from(SCALES))
    @settings(max_examples=40, deadline=None)
    def test_every_spot_of_the_ground_is_on_a_sheet_of_the_right_size(
        self, places: list[tuple[float, float]], scale: int
    ) -> None:
        area = shapely.buffer(shapely.LineString(places), 2.0)
        division = divide(area, paper="A3", scale=scale)
        frame = division.layout.map
        sheets = [sheet.box for sheet in division.sheets]
        assert shapely.difference(shapely.buffer(area, 5.0), shapely.union_all(sheets)).area < 1e-3
        for number, sheet in enumerate(division.sheets, 1):
            assert sheet.number == number
            assert sheet.max_e - sheet.min_e == pytest.approx(frame.width * scale / 1000)
            assert sheet.max_n - sheet.min_n == pytest.approx(frame.height * scale / 1000)
            assert sheet.box.intersects(division.ground)

    @pytest.mark.parametrize("turned", [False, True])
    @pytest.mark.parametrize("length", [30.0, 300.0, 1500.0])
    def test_a_straight_trench_needs_no_sheet_more_than_its_length_tells(
        self, length: float, turned: bool
    ) -> None:
        ends = ((E, N), (E, N + length)) if turned else ((E, N), (E + length, N))
        division = divide(trench(*ends), scale=200)
        layouts = (Layout.of_sheet("A4", "landscape"), Layout.of_sheet("A4", "portrait"))
        longest = max(layout.map.height if turned else layout.map.width for layout in layouts)
        step_m = (longest - OVERLAP_MM) * 0.2
        assert len(division.sheets) <= max(1, ceil((length + 10.0) / step_m))

    def test_a_bent_trench_takes_fewer_sheets_than_its_rectangle(self) -> None:
        division = divide(trench((E, N), (E + 300, N), (E + 300, N + 300)), scale=200)
        frame = division.layout.map
        whole = ceil(310 / (frame.width * 0.2)) * ceil(310 / (frame.height * 0.2))
        assert len(division.sheets) <= 20 < whole

    def test_no_sheet_is_spent_on_the_way_between_two_digs(self) -> None:
        two = shapely.MultiPolygon(
            [shapely.box(E, N, E + 10, N + 10), shapely.box(E + 9000, N, E + 9010, N + 9)]
        )
        assert len(divide(two, scale=200).sheets) == 2

    def test_the_sheets_of_a_trench_are_numbered_along_it(self) -> None:
        division = divide(trench((E, N), (E + 600, N + 200)), scale=200)
        eastings = [sheet.min_e for sheet in division.sheets]
        assert len(eastings) > 5
        assert eastings == sorted(eastings)

    def test_neighbours_show_the_overlap_both(self) -> None:
        first, second = divide(trench((E, N), (E + 60, N)), scale=200).sheets
        assert first.max_e - second.min_e >= OVERLAP_MM * 0.2 - 1e-6

    def test_without_a_scale_the_largest_with_few_sheets_is_taken(self) -> None:
        assert divide(shapely.box(E, N, E + 8, N + 8)).scale == 100
        long = divide(trench((E, N), (E + 3000, N)))
        assert long.scale == 1000
        assert len(divide(trench((E, N), (E + 12_000, N)), paper=None).sheets) <= 40


class TestRefusals:
    @pytest.mark.parametrize("scale", [0, 99, 1001, -200])
    def test_a_scale_out_of_range(self, scale: int) -> None:
        with pytest.raises(InvalidInput):
            divide(shapely.box(E, N, E + 8, N + 8), scale=scale)

    def test_more_sheets_than_anybody_prints(self) -> None:
        with pytest.raises(InvalidInput, match=str(MOST_SHEETS)):
            divide(shapely.box(E, N, E + 5000, N + 5000), scale=100)

    @pytest.mark.parametrize(
        "area",
        [shapely.Polygon(), shapely.box(E, N, float("inf"), N + 1)],
    )
    def test_an_area_that_is_nowhere(self, area: shapely.Geometry) -> None:
        with pytest.raises(InvalidInput):
            divide(area)

    def test_a_paper_that_is_none(self) -> None:
        with pytest.raises(InvalidInput) as refused:
            divide(shapely.box(E, N, E + 8, N + 8), paper="Letter")
        assert "A4, A3" in refused.value.hint


class TestMeasures:
    @pytest.mark.parametrize("scale", range(100, 1001, 50))
    def test_grid_and_bar_are_round_and_fit_the_paper(self, scale: int) -> None:
        assert 40.0 <= grid_step_m(scale) * 1000 / scale <= 125.0
        assert 19.0 <= scale_bar_m(scale) * 1000 / scale <= 50.0

    @pytest.mark.parametrize("paper", PAPERS)
    def test_nothing_on_the_page_lies_over_another_thing(self, paper: str) -> None:
        for orientation in ("landscape", "portrait"):
            # texts of a Literal
            for layout in (Layout.of_sheet(paper, orientation), Layout.of_overview(paper, orientation)):  # type: ignore[arg-type]  # of the lists above
                frames = [layout.map, *layout.columns]
                boxes = [shapely.box(f.left, f.bottom, f.right, f.top) for f in frames]
                assert sum(box.area for box in boxes) == pytest.approx(shapely.union_all(boxes).area)
                assert all(
                    shapely.box(0, 0, layout.width_mm, layout.height_mm).contains(box) for box in boxes
                )

    def test_the_index_shows_all(self) -> None:
        frame = Layout.of_overview("A4", "landscape").map
        scale = overview_scale((0.0, 0.0, 1000.0, 300.0), frame)
        assert frame.width * scale / 1000 >= 1000.0
        assert scale < 2 * 1000 * 1000 / frame.width
