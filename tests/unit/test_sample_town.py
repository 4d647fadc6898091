"""The sample town: valid by schema and by LER's rules, laid as practice wants, equal for equal seeds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from ler_schema import faults, ler_schema
from lxml import etree
from numpy.typing import NDArray

from geoinfra.errors import InvalidInput
from geoinfra.sample import OWNERS, TownSummary, enquiry_area, generate_town, owners_of
from geoinfra.sample.landscape import MARGIN_M, with_margin
from geoinfra.sample.networks import LAYERS
from geoinfra.sample.plan import CLASSES, district_plan, havnsby_plan
from geoinfra.sample.site import SLOTS
from geoinfra.sample.streets import build_network
from geoinfra.sample.terrain import coast_n, height_m, stream_line
from geoinfra.utilities.formats import ler

CUT_OFF = "2023-07-01"
CONTAINED_CLASSES = {"Elledning", "Telekommunikationsledning"}
NO_UNKNOWN_HEIGHT = {
    "Afloebsledning", "Vandledning", "Gasledning", "Olieledning", "TermiskLedning", "AndenLedning",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    cvr: str
    feature_class: str
    kind: str
    gml_id: str
    properties: dict[str, Any]
    geometry: shapely.Geometry | None
    heights_m: NDArray[np.float64] | None

    @property
    def recent(self) -> bool:
        established = self.properties.get("etableringstidspunkt")
        return isinstance(established, str) and established > CUT_OFF

    @property
    def own(self) -> bool:
        return self.properties.get("ejerskabsforhold") in (None, "ejet af udleverende ledningsejer")

    @property
    def complete(self) -> bool:
        """Recent, own and laid: the strictest rules hold."""
        return self.recent and self.own and self.properties["driftsstatus"] != "under etablering"

    @property
    def all_heights_unknown(self) -> bool:
        return self.heights_m is None or bool(np.isnan(self.heights_m).all())


def rows_of(folder: Path) -> Iterator[Row]:
    for path in sorted((folder / "deliveries").glob("*.gml")):
        answer = ler.read_answer(path, owner_cvr=path.stem)
        for batch in answer.batches():
            heights = batch.heights_m or [None] * len(batch)
            for k, wkb in enumerate(batch.geometry):
                raw = heights[k]
                yield Row(
                    path.stem,
                    batch.columns["feature_class"][k],
                    batch.columns["kind"][k],
                    batch.columns["gml_id"][k],
                    json.loads(batch.columns["properties"][k]),
                    None if wkb is None else shapely.from_wkb(wkb),
                    None if raw is None else np.frombuffer(raw, "<f8"),
                )
        assert answer.report.errors == 0, answer.report.findings[:3]


def is_nil(value: Any) -> bool:
    return isinstance(value, dict) and bool(value.get("nil"))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> TownSummary:
    return generate_town(tmp_path_factory.mktemp("town"), "demo")


@pytest.fixture(scope="module")
def rows(town: TownSummary) -> list[Row]:
    return list(rows_of(town.folder))


@pytest.fixture(scope="module")
def lines(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.kind == "line"]


def layer(town: TownSummary, name: str) -> Any:
    return pyogrio.read_dataframe(town.folder / f"{name}.gpkg")


def names(town: TownSummary) -> set[str]:
    return {path.name for path in town.folder.iterdir()}


def test_the_demo_town_has_eight_owners_and_ten_to_fifteen_thousand_features(town: TownSummary) -> None:
    assert len(town.features) == 8
    assert 10_000 <= town.total_features <= 15_000


def test_every_promised_file_is_written(town: TownSummary) -> None:
    layers = ("streets", "buildings", "addresses", "parcels", "road-sections", "landuse", "stream")
    wanted = {f"{name}.gpkg" for name in layers} | {
        "owners.json",
        "interest-areas.geojson",
        "deliveries",
        "terrain",
    }
    assert wanted <= names(town)


@pytest.mark.parametrize("name", ["streets", "buildings", "addresses", "landuse"])
def test_gdal_reads_the_layers_with_their_extent_and_reference_system(town: TownSummary, name: str) -> None:
    info = pyogrio.read_info(town.folder / f"{name}.gpkg")
    frame = layer(town, name)
    assert info["crs"] == "EPSG:25832"
    assert info["features"] == town.layers[name] == len(frame)
    assert info["total_bounds"] == pytest.approx(frame.total_bounds)
    assert set(frame.geometry.geom_type) == {info["geometry_type"]}


def test_deliveries_follow_the_official_schema(town: TownSummary, reference: Path, tmp_path: Path) -> None:
    schema = ler_schema(reference, tmp_path)
    for path in sorted((town.folder / "deliveries").glob("*.gml")):
        assert faults(schema, path.read_bytes()) == []


def test_every_cvr_number_passes_modulus_11() -> None:
    weights = (2, 7, 6, 5, 4, 3, 2, 1)
    for owner in OWNERS:
        assert sum(w * int(digit) for w, digit in zip(weights, owner.cvr, strict=True)) % 11 == 0


@pytest.mark.parametrize(("size", "count"), [("tiny", 8), ("demo", 8), ("dense", 10)])
def test_every_layer_of_the_town_has_one_owner(size: str, count: int) -> None:
    owners = owners_of(size)
    held = [name for owner in owners for name in owner.layers]
    assert len(owners) == count
    assert sorted(held) == sorted(LAYERS)


# ------------------------------------------------------------ LER's rules (after 1 July 2023)


def test_recent_lines_have_status_hazard_and_accuracy(rows: list[Row]) -> None:
    for row in rows:
        if row.kind in ("line", "trace") and row.recent:
            assert not is_nil(row.properties["driftsstatus"])
            assert not is_nil(row.properties["fareklasse"])
            if row.geometry is not None and row.own:
                assert not is_nil(row.properties["noejagtighedsklasse"])
                assert not is_nil(row.properties["noejagtighedsklasseVertikal"])


def test_accuracy_classes_stand_exactly_where_there_is_geometry(lines: list[Row]) -> None:
    for row in lines:
        for name in ("noejagtighedsklasse", "noejagtighedsklasseVertikal"):
            assert (name in row.properties) == (row.geometry is not None)


def test_lines_without_geometry_lie_in_a_trace_or_duct_of_the_same_answer(rows: list[Row]) -> None:
    held = {
        (row.cvr, reference["href"].removeprefix("#"))
        for row in rows
        for reference in row.properties.get("indeholdtLedning", ())
    }
    bare = {(row.cvr, row.gml_id) for row in rows if row.kind == "line" and row.geometry is None}
    assert bare
    assert bare == held


def test_recent_pipes_know_every_height(lines: list[Row]) -> None:
    checked = [row for row in lines if row.complete and row.feature_class in NO_UNKNOWN_HEIGHT]
    assert len(checked) > 100
    assert all(row.heights_m is not None and np.isfinite(row.heights_m).all() for row in checked)


def test_recent_cables_without_heights_tell_their_depth(rows: list[Row]) -> None:
    cables = {"Elledning", "Telekommunikationsledning", "Ledningstrace", "Foeringsroer"}
    checked = [r for r in rows if r.feature_class in cables and r.recent and r.all_heights_unknown]
    assert checked
    assert all(not is_nil(row.properties["vejledendeDybde"]) for row in checked)


def test_recent_lines_know_their_diameter_and_round_pipes_have_no_width(lines: list[Row]) -> None:
    for row in lines:
        if row.complete:
            assert not is_nil(row.properties["udvendigDiameter"])
        assert "udvendigBredde" not in row.properties


def test_dates_called_before_lie_before_the_cut_off(rows: list[Row]) -> None:
    before = [
        row.properties["etableringstidspunkt"]
        for row in rows
        if isinstance(row.properties.get("etableringstidspunkt"), dict)
    ]
    assert before
    assert all(date["indeterminate"] == "before" and date["value"] < CUT_OFF for date in before)


def test_water_and_telecom_are_never_very_dangerous_but_high_voltage_is(rows: list[Row]) -> None:
    for row in rows:
        hazard = row.properties.get("fareklasse")
        if row.feature_class in ("Vandledning", "Telekommunikationsledning"):
            assert hazard != "meget farlig"
        voltage = row.properties.get("spaendingsniveau", {}).get("value", 0)
        if row.feature_class == "Elledning" and voltage >= 10:
            assert hazard == "meget farlig"


def test_every_reference_has_its_target(rows: list[Row]) -> None:
    ids = {(row.cvr, row.gml_id) for row in rows}
    for row in rows:
        for name in ("startkomponent", "slutkomponent"):
            if name in row.properties:
                assert (row.cvr, row.properties[name]["href"].removeprefix("#")) in ids


def test_the_data_holds_what_makes_real_data_hard(rows: list[Row]) -> None:
    seen: Counter[str] = Counter()
    for row in rows:
        seen[str(row.properties.get("driftsstatus"))] += 1
        seen[str(row.properties.get("noejagtighedsklasse"))] += 1
        seen[str(row.properties.get("ejerskabsforhold"))] += 1
        if row.heights_m is not None and 0 < np.isnan(row.heights_m).sum() < len(row.heights_m):
            seen["partly known heights"] += 1
        if row.geometry is not None and row.all_heights_unknown:
            seen["unknown heights"] += 1
    wanted = (
        "under etablering", "permanent ude af drift", "{'nil': True}", "uden ejer", "partly known heights",
        "unknown heights", "<= 0.25 m", "<= 0.50 m", "<= 1.00 m", "<= 2.00 m", "> 2.00 m",
    )  # fmt: skip
    assert [name for name in wanted if not seen[name]] == []


# ------------------------------------------------------------ laid as practice wants


def test_no_line_goes_through_a_building(town: TownSummary, rows: list[Row]) -> None:
    buildings = shapely.STRtree(layer(town, "buildings").geometry.to_numpy())
    curves = np.array([r.geometry for r in rows if r.kind in ("line", "trace") and r.geometry is not None])
    assert len(buildings.query(curves, predicate="crosses")[0]) == 0
    assert len(buildings.query(curves, predicate="within")[0]) == 0


def test_services_end_at_a_facade(town: TownSummary, rows: list[Row]) -> None:
    buildings = shapely.STRtree(layer(town, "buildings").geometry.to_numpy())
    ends = np.array(
        [
            shapely.get_point(r.geometry, -1)
            for r in rows
            if r.properties.get("type") in ("stikkabel", "stikledning")
        ]
    )
    assert len(ends) > 1000
    _, distance = buildings.query_nearest(ends, return_distance=True, all_matches=False)
    assert float(distance.max()) < 0.15


def mains(lines: list[Row], feature_class: str) -> list[Row]:
    """Lines of a class with known heights, services and gully pipes left out."""
    return [
        row
        for row in lines
        if row.feature_class == feature_class
        and row.heights_m is not None
        and np.isfinite(row.heights_m).all()
        and row.properties.get("udvendigDiameter", {}).get("value", 0)
        > 160 - 60 * (feature_class == "Vandledning")
    ]


def test_sewer_mains_cross_below_water_mains(lines: list[Row]) -> None:
    water, sewers = mains(lines, "Vandledning"), mains(lines, "Afloebsledning")
    pairs = shapely.STRtree([row.geometry for row in water]).query(
        np.array([row.geometry for row in sewers]), predicate="intersects"
    )
    assert pairs.shape[1] > 30
    for s, w in pairs.T:
        crossing = shapely.centroid(shapely.intersection(sewers[s].geometry, water[w].geometry))
        assert height_on(sewers[s], crossing) < height_on(water[w], crossing)


def height_on(row: Row, point: shapely.Geometry) -> float:
    vertices = shapely.points(shapely.get_coordinates(row.geometry))
    along = shapely.line_locate_point(row.geometry, vertices)
    return float(np.interp(shapely.line_locate_point(row.geometry, point), along, row.heights_m))


def test_sewers_fall_towards_their_lower_manhole(lines: list[Row], rows: list[Row]) -> None:
    bottoms = {r.gml_id: r.properties["bundkote"]["height_m"] for r in rows if "bundkote" in r.properties}
    pipes = [row for row in lines if "startkomponent" in row.properties]
    assert len(pipes) > 300
    for pipe in pipes:
        start, end = (
            pipe.properties[n]["href"].removeprefix("#") for n in ("startkomponent", "slutkomponent")
        )
        assert bottoms[end] < bottoms[start]


def test_telecom_lies_shallow(lines: list[Row]) -> None:
    depths = [
        row.properties["vejledendeDybde"]["value"]
        for row in lines
        if row.feature_class in ("Telekommunikationsledning", "Foeringsroer")
        and "vejledendeDybde" in row.properties
    ]
    assert depths
    assert min(depths) >= 300
    assert max(depths) <= 500


def test_heights_are_the_ground_less_the_depth(lines: list[Row]) -> None:
    for row in lines:
        if (
            row.feature_class == "Vandledning"
            and row.heights_m is not None
            and "vejledendeDybde" in row.properties
        ):
            xy = shapely.get_coordinates(row.geometry)
            expected = height_m(xy[:, 0], xy[:, 1]) - row.properties["vejledendeDybde"]["value"] / 1000.0
            known = np.isfinite(row.heights_m)
            np.testing.assert_allclose(row.heights_m[known], expected[known], atol=0.002)


def test_every_main_lies_between_the_property_lines() -> None:
    for road in CLASSES.values():
        for name, slot in SLOTS.items():
            if road.name != "path" and name not in ("60kv", "gas-transmission", "oil"):
                assert abs(slot.offset_m(road)) < road.half_reserve_m
    assert all(
        abs(slot.offset_m(CLASSES["primary"])) < CLASSES["primary"].half_reserve_m for slot in SLOTS.values()
    )


# ------------------------------------------------------------ the open layers


def test_buildings_and_parcels_do_not_overlap(town: TownSummary) -> None:
    for name in ("buildings", "parcels"):
        polygons = layer(town, name).geometry.to_numpy()
        assert shapely.is_valid(polygons).all()
        left, right = shapely.STRtree(polygons).query(polygons, predicate="intersects")
        apart = left < right
        shared = shapely.area(shapely.intersection(polygons[left[apart]], polygons[right[apart]]))
        assert float(shared.max()) < 0.5


def test_every_building_stands_on_its_parcel(town: TownSummary) -> None:
    buildings, parcels = layer(town, "buildings"), layer(town, "parcels")
    outside = shapely.area(shapely.difference(buildings.geometry.to_numpy(), parcels.geometry.to_numpy()))
    assert float(outside.max()) < 0.5


def test_house_numbers_are_odd_on_the_left_and_even_on_the_right(town: TownSummary) -> None:
    streets = layer(town, "streets").set_index("name")
    addresses = layer(town, "addresses")
    for street, number, point in zip(addresses.street, addresses.number, addresses.geometry, strict=True):
        line = streets.geometry[street]
        at = line.project(point)
        start, end = line.interpolate(max(at - 1, 0)), line.interpolate(at + 1)
        left = (end.x - start.x) * (point.y - start.y) - (end.y - start.y) * (point.x - start.x) > 0
        assert (int(number) % 2 == 1) == left
    assert addresses.text.is_unique


def test_road_sections_cover_their_street_without_gap(town: TownSummary) -> None:
    streets, sections = layer(town, "streets"), layer(town, "road-sections")
    for street_id, length_m in zip(streets.street_id, streets.length_m, strict=True):
        mine = sections[sections.street_id == street_id].sort_values("from_m")
        assert mine.from_m.iloc[0] == pytest.approx(0.0, abs=3.0)
        assert mine.to_m.iloc[-1] == pytest.approx(length_m, abs=3.0)
        assert (mine.from_m.to_numpy()[1:] == mine.to_m.to_numpy()[:-1]).all()


def test_land_use_covers_the_town_and_the_country_around_it_once(town: TownSummary) -> None:
    polygons = layer(town, "landuse").geometry.to_numpy()
    frame = shapely.box(*with_margin(town.bounds))
    total = float(shapely.area(polygons).sum())
    assert shapely.is_valid(polygons).all()
    assert total == pytest.approx(frame.area, rel=1e-3)
    assert float(shapely.area(shapely.union_all(polygons))) == pytest.approx(total, rel=1e-3)


def test_sea_fields_woods_and_stream_go_on_beyond_the_town_and_streets_do_not(town: TownSummary) -> None:
    frame = shapely.box(*town.bounds)
    landuse = layer(town, "landuse")
    outside = landuse.assign(area=shapely.area(shapely.difference(landuse.geometry.to_numpy(), frame)))
    by_kind = outside.groupby("kind").area.sum()
    assert (by_kind[["sea", "fields", "forest"]] > 1e6).all()
    assert len(landuse) < 120
    assert layer(town, "stream").total_bounds[3] == pytest.approx(town.bounds[3] + MARGIN_M, abs=6.0)
    assert shapely.covers(frame.buffer(20.0), layer(town, "streets").geometry.to_numpy()).all()


def test_interest_areas_reach_a_metre_beyond_every_line(town: TownSummary, rows: list[Row]) -> None:
    document = json.loads((town.folder / "interest-areas.geojson").read_text("utf-8"))
    for cvr in town.features:
        own = [f for f in document["features"] if f["properties"]["cvr"] == cvr]
        area = shapely.union_all([shapely.from_geojson(json.dumps(f["geometry"])) for f in own])
        shapely.prepare(area)
        curves = np.array([r.geometry for r in rows if r.cvr == cvr and r.geometry is not None])
        assert shapely.covers(area, shapely.buffer(curves, 1.0, quad_segs=4)).all()
        assert shapely.is_valid(area)


def test_at_least_two_owners_serve_only_a_part_of_the_town(town: TownSummary) -> None:
    document = json.loads((town.folder / "interest-areas.geojson").read_text("utf-8"))
    areas: Counter[str] = Counter()
    for feature in document["features"]:
        areas[feature["properties"]["cvr"]] += shapely.from_geojson(json.dumps(feature["geometry"])).area
    largest = max(areas.values())
    assert sum(area < 0.7 * largest for area in areas.values()) >= 2


def test_terrain_tiles_agree_with_the_height_function(town: TownSummary) -> None:
    tiles = sorted((town.folder / "terrain").glob("DTM_1km_*_*.tif"))
    assert tiles[0].name == "DTM_1km_6084_650.tif"
    with rasterio.open(tiles[0]) as tile:
        assert tile.crs.to_epsg() == 25832
        e, n = tile.xy(40, 300)
        assert float(tile.read(1)[40, 300]) == pytest.approx(float(height_m(e, n)), abs=1e-4)


def test_the_stream_runs_downhill_into_the_sea() -> None:
    course = shapely.get_coordinates(stream_line(6_085_500.0))
    heights = height_m(course[:, 0], course[:, 1])
    assert (np.diff(heights) < 0.05).all()
    assert heights[0] > 5.0
    assert heights[-1] < 0.5


def test_the_sea_bed_lies_below_zero_and_land_above() -> None:
    e = np.linspace(650_000, 651_500, 400)
    assert (height_m(e, coast_n(e) - 40.0)[(e < 650_550) | (e > 650_860)] < 0).all()
    assert (height_m(e, coast_n(e) + 60.0) > 0).all()


def test_the_dig_area_lies_on_the_main_street_and_has_about_2000_m2(town: TownSummary) -> None:
    area = enquiry_area("demo")
    street = next(s for s in build_network(havnsby_plan()).streets if s.name == "Algade")
    assert area.is_valid
    assert area.area == pytest.approx(2000.0, rel=0.05)
    assert street.line.intersection(area).length > 90.0


# ------------------------------------------------------------ sizes and seeds


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a town."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_equal_seeds_give_equal_files_and_another_seed_does_not(tmp_path: Path) -> None:
    generate_town(tmp_path / "a", "tiny", seed=7)
    generate_town(tmp_path / "b", "tiny", seed=7)
    generate_town(tmp_path / "c", "tiny", seed=8)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_the_tiny_town_has_several_owners(tmp_path: Path) -> None:
    summary = generate_town(tmp_path, "tiny")
    assert len(summary.features) >= 4
    assert len(json.loads((tmp_path / "owners.json").read_text("utf-8"))) == len(summary.features)


def test_a_number_of_lines_is_met_by_whole_rows_of_streets(tmp_path: Path) -> None:
    told: list[float] = []
    summary = generate_town(tmp_path, lines=6000, progress=lambda fraction, text: told.append(fraction))
    assert 6000 <= summary.total_features <= 9000
    assert told == sorted(told)
    assert sum(1 for _ in rows_of(tmp_path)) == summary.total_features


def test_neighbouring_districts_continue_each_others_through_streets() -> None:
    west, east = district_plan(0, 0, 1), district_plan(1, 0, 1)
    for left, right in zip(west.streets[:16], east.streets[:16], strict=True):
        np.testing.assert_allclose(left.points[-1], right.points[0], atol=1e-6)


@pytest.mark.parametrize(("size", "lines"), [("huge", None), ("demo", 0), ("demo", 10_000_001)])
def test_unknown_sizes_and_counts_are_refused(tmp_path: Path, size: str, lines: int | None) -> None:
    with pytest.raises(InvalidInput):
        generate_town(tmp_path, size, lines=lines)
    with pytest.raises(InvalidInput):
        enquiry_area("huge")


def test_no_element_of_a_delivery_stands_in_two_answers(town: TownSummary) -> None:
    ids: Counter[str] = Counter()
    for path in (town.folder / "deliveries").glob("*.gml"):
        document = etree.parse(str(path))
        ids.update(
            document.xpath("//*[@gml:id]/@gml:id", namespaces={"gml": "http://www.opengis.net/gml/3.2"})
        )
    repeated = [name for name, count in ids.items() if count > 1 and name != "kontakt"]
    assert repeated == []
