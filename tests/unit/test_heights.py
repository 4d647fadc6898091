"""Heights: every vertex tells what its height is and where it is from; nothing is made up unasked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.transform import from_origin

from geoinfra.errors import InvalidGeometry, InvalidInput, UnreadableFile
from geoinfra.flows.terrain_file import GeoTiffTerrain
from geoinfra.standards import standards_path
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.containment import with_container_geometry
from geoinfra.utilities.heights import HeightSource, axis_heights_m, outer_heights_mm, vertex_heights
from geoinfra.utilities.model import FeatureRows

E0, N0 = 720_000.0, 6_170_000.0
BASE = {"driftsstatus": "i drift", "etableringstidspunkt": "2001", "fareklasse": "ikke farlig"}
NAN = np.nan


def slope(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """A terrain that rises one centimetre a metre to the east."""
    return 10 + (xy[:, 0] - E0) / 100


def line(*easting_and_height: tuple[float, float]) -> shapely.LineString:
    return shapely.LineString([(E0 + e, N0, h) for e, h in easting_and_height])


def one(geometry: Any, feature_class: str = "Vandledning", **properties: Any) -> FeatureBatch:
    rows = FeatureRows("10000009")
    rows.add(feature_class, "f.1", {**BASE, **properties}, geometry)
    return rows.batch()


def labels(batch: FeatureBatch, **options: Any) -> list[tuple[float | None, str]]:
    found = vertex_heights(batch, **options)
    heights = [None if np.isnan(h) else round(float(h), 6) for h in found.heights_m]
    return list(zip(heights, [HeightSource(s).label for s in found.sources], strict=True))


def mm(value: float) -> dict[str, Any]:
    return {"value": value, "uom": "mm"}


def test_a_registered_height_stands_and_an_unknown_one_stays_unknown() -> None:
    batch = one(line((0, 3.5), (10, NAN), (20, -99)), vejledendeDybde=mm(1000))
    assert labels(batch) == [(3.5, "registered"), (None, "none"), (None, "none")]


def test_the_guiding_depth_counts_down_from_the_terrain_to_the_top() -> None:
    batch = one(line((0, NAN), (100, NAN)), vejledendeDybde=mm(800))
    assert labels(batch, terrain=slope) == [(9.2, "guiding"), (10.2, "guiding")]


def test_a_mixed_line_keeps_its_vertices_apart() -> None:
    batch = one(line((0, 7.0), (100, NAN)), vejledendeDybde=mm(800))
    assert labels(batch, terrain=slope) == [(7.0, "registered"), (10.2, "guiding")]


@pytest.mark.parametrize(
    ("feature_class", "properties", "expected"),
    [
        ("Vandledning", {}, [(8.8, "default")] * 1),
        ("Vandledning", {"niveau": "under terræn"}, [(8.8, "default")]),
        ("Vandledning", {"niveau": "over terræn"}, [(None, "none")]),
        ("Vandledning", {"niveau": "delvis under terræn"}, [(None, "none")]),
        ("Elledning", {"type": "luftledning"}, [(None, "none")]),
        ("Elledning", {"type": "forsyningskabel"}, [(9.5, "default")]),
        ("LedningUkendtForsyningsart", {}, [(None, "none")]),
        ("Vandledning", {"vejledendeDybde": mm(2000)}, [(8.0, "guiding")]),
        ("Vandledning", {"vejledendeDybde": mm(2000), "niveau": "over terræn"}, [(None, "none")]),
    ],
)
def test_the_default_cover_comes_last_and_only_for_what_lies_under_terrain(
    feature_class: str, properties: dict[str, Any], expected: list[tuple[float | None, str]]
) -> None:
    batch = one(line((0, NAN), (100, 5.0)), feature_class, **properties)
    assert labels(batch, terrain=slope, defaults=True)[:1] == expected
    assert labels(batch, terrain=slope, defaults=True)[1] == (5.0, "registered")


def test_defaults_are_used_only_when_asked_for() -> None:
    batch = one(line((0, NAN), (100, NAN)))
    assert labels(batch, terrain=slope) == [(None, "none")] * 2


def test_default_covers_are_of_lines_that_exist_and_say_that_they_are_defaults() -> None:
    document = orjson.loads(standards_path("utilities", "heights.json").read_bytes())
    lines = {c.name for c in catalogue().feature_classes if c.kind == "line"}
    assert document["cover_m"].keys() < lines
    assert all(0.2 <= cover <= 3 for cover in document["cover_m"].values())
    assert document["only_level"] in catalogue().enumerations["Niveautype"].values
    assert set(document["except_types"]) < catalogue().enumerations["Elledningstype"].values
    assert "assumed" in document["about"]
    assert document["source"]


def test_defaults_without_terrain_are_refused() -> None:
    with pytest.raises(InvalidInput, match="terrain"):
        vertex_heights(one(line((0, NAN), (1, NAN))), defaults=True)


def test_interpolation_is_linear_along_the_line_between_registered_neighbours_only() -> None:
    geometry = shapely.LineString(
        [(E0 + x, N0 + y, h) for x, y, h in [(0, 0, NAN), (1, 0, 4.0), (4, 4, NAN), (4, 9, 5.0), (9, 9, NAN)]]
    )
    assert labels(one(geometry), interpolate_gap_m=np.inf) == [
        (None, "none"),
        (4.0, "registered"),
        (4.5, "interpolated"),
        (5.0, "registered"),
        (None, "none"),
    ]
    assert labels(one(geometry), interpolate_gap_m=9.99)[2] == (None, "none")
    assert labels(one(geometry), interpolate_gap_m=10.0)[2] == (4.5, "interpolated")
    assert labels(one(geometry))[2] == (None, "none")


def test_interpolation_does_not_reach_from_one_part_or_feature_to_the_next() -> None:
    parts = shapely.MultiLineString(
        [[(E0, N0, 1.0), (E0 + 1, N0, NAN)], [(E0 + 2, N0, NAN), (E0 + 3, N0, 3.0)]]
    )
    rows = FeatureRows("10000009")
    rows.add("Ledningstrace", "t", {**BASE, "forsyningsart": ["vand"]}, parts)
    rows.add("Vandledning", "v", BASE, line((4, NAN), (5, 2.0)))
    found = labels(rows.batch(), interpolate_gap_m=np.inf)
    assert [label for _, label in found] == ["registered", "none", "none", "registered", "none", "registered"]


def test_interpolation_takes_repeated_vertices() -> None:
    batch = one(line((0, 1.0), (0, NAN), (0, 3.0)))
    assert labels(batch, interpolate_gap_m=1.0)[1] == (1.0, "interpolated")


def test_a_line_of_absurd_length_is_not_interpolated() -> None:
    batch = one(line((0, 1.0), (1, NAN), (2, 2.0)))
    far = shapely.LineString([(E0, N0), (1e308, N0), (-1e308, 1e308)])
    batch.geometry = [shapely.to_wkb(far, byte_order=1)]
    assert labels(batch, interpolate_gap_m=1e9)[1] == (None, "none")
    assert labels(batch, interpolate_gap_m=np.inf)[1] == (None, "none")


def test_a_contained_line_says_that_its_heights_are_those_of_the_container() -> None:
    rows = FeatureRows("10000009")
    rows.add(
        "Ledningstrace",
        "t",
        {**BASE, "forsyningsart": ["el"], "indeholdtLedning": [{"href": "#c"}]},
        shapely.MultiLineString([line((0, 2.0), (1, 2.5))]),
    )
    rows.add("Elledning", "c", {**BASE, "type": "forsyningskabel"})
    found = {
        b.columns["gml_id"][i]: [HeightSource(s).label for s in vertex_heights(b).row(i)[1]]
        for b in with_container_geometry([rows.batch()])
        for i in range(len(b))
    }
    assert found == {"t": ["registered"] * 2, "c": ["container"] * 2}


def test_runs_are_points_lines_and_rings_in_the_order_of_the_rows() -> None:
    hole = shapely.box(E0, N0, E0 + 9, N0 + 9) - shapely.box(E0 + 1, N0 + 1, E0 + 2, N0 + 2)
    areas = shapely.MultiPolygon([hole, shapely.box(E0 + 20, N0, E0 + 21, N0 + 1)])
    rows = FeatureRows("10000009")
    rows.add("Vandledning", "none", BASE)
    rows.add("Elkomponent", "areas", {"type": "muffe"}, areas)
    rows.add("Elkomponent", "points", {"type": "muffe"}, shapely.MultiPoint([(E0, N0), (E0 + 1, N0)]))
    rows.add("Vandledning", "line", BASE, line((0, 1.0), (1, NAN), (2, 1.0)))
    found = vertex_heights(rows.batch())
    assert found.run_rows.tolist() == [1, 1, 1, 2, 2, 3]
    assert found.run_dimensions.tolist() == [2, 3, 2, 0, 0, 1]
    assert np.diff(found.run_starts).tolist() == [5, 5, 5, 1, 1, 3]
    assert found.xy[found.run_starts[4]].tolist() == [E0 + 1, N0]
    assert found.row(3)[1].tolist() == [5, 0, 5]
    assert len(found.row(0)[0]) == 0


def test_an_empty_batch_and_one_without_geometry_have_no_heights() -> None:
    for batch in (FeatureRows("10000009").batch(), one(None)):
        found = vertex_heights(batch, terrain=slope, defaults=True, interpolate_gap_m=5)
        assert len(found.xy) == len(found.run_rows) == 0
        assert found.run_starts.tolist() == [0]


@pytest.mark.parametrize("wrong", [b"\0" * 8, b"\0" * 24])
def test_another_number_of_heights_than_vertices_is_refused(wrong: bytes) -> None:
    batch = one(line((0, 1.0), (1, 2.0)))
    batch.heights_m = [wrong]
    with pytest.raises(InvalidGeometry) as refused:
        vertex_heights(batch)
    assert refused.value.details["where"] == "10000009.f.1"


def test_coordinates_that_are_not_finite_are_refused_with_the_feature() -> None:
    batch = one(line((0, 1.0), (1, 2.0)))
    wkb = batch.geometry[0]
    assert wkb is not None
    batch.geometry = [wkb[:-16] + np.array([NAN, N0]).tobytes()]
    with pytest.raises(InvalidGeometry) as refused:
        vertex_heights(batch)
    assert refused.value.details["where"] == "10000009.f.1"


def test_the_axis_lies_half_the_outer_height_below_the_top() -> None:
    rows = FeatureRows("10000009")
    rows.add("Vandledning", "round", {**BASE, "udvendigDiameter": mm(200)}, line((0, 1.0), (1, 2.0)))
    rows.add("Afloebsledning", "egg", {**BASE, "udvendigHoejde": mm(900)}, line((0, 1.0), (1, 2.0)))
    rows.add("Afloebsledning", "nil", {**BASE, "udvendigHoejde": {"nil": True}}, line((0, 1.0), (1, 2.0)))
    outer = outer_heights_mm(rows.batch())
    np.testing.assert_array_equal(outer, [200, 900, NAN])
    np.testing.assert_allclose(axis_heights_m(np.array([1.0, 1.0, 1.0, NAN]), np.append(outer, 200)),
                               [0.9, 0.55, NAN, NAN])  # fmt: skip


def raster(
    path: Path, values: Any, *, crs: Any = "EPSG:25832", dtype: str = "float32", **profile: Any
) -> Path:
    """Write a raster whose first pixel has its corner at (E0, N0 + number of rows)."""
    array = np.asarray(values, dtype=dtype)
    size = {"height": array.shape[0], "width": array.shape[1]}
    transform = profile.pop("transform", from_origin(E0, N0 + array.shape[0], 1, 1))
    scale = profile.pop("scale", None)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, dtype=dtype, crs=crs, transform=transform, **size, **profile
    ) as made:
        made.write(array, 1)
        if scale:
            made.scales, made.offsets = [scale[0]], [scale[1]]
    return path


def test_a_plane_is_sampled_exactly_over_many_windows(tmp_path: Path) -> None:
    columns, rows = np.meshgrid(np.arange(2500) + 0.5, 1100 - np.arange(1100) - 0.5)
    path = raster(tmp_path / "plane.tif", 5 + columns / 8 - rows / 4, tiled=True, dtype="float64")
    places = np.random.default_rng(3).uniform((0.5, 0.5), (2499.5, 1099.5), (5000, 2))
    with GeoTiffTerrain(path) as terrain:
        found = terrain(np.add(places, [E0, N0]))
    np.testing.assert_allclose(found, 5 + places[:, 0] / 8 - places[:, 1] / 4, atol=1e-6)


def test_places_outside_or_beside_nodata_have_no_height(tmp_path: Path) -> None:
    path = raster(tmp_path / "hole.tif", [[1, 1, 1], [1, -9999, 1], [1, 1, 3]], nodata=-9999)
    places = np.array([(0.5, 0.5), (0.0, 0.0), (3.0, 3.0), (2.5, 0.5), (2.5, 1.0), (1.5, 1.5), (2.2, 1.2),
                       (-0.01, 1.0), (1.0, 3.01), (NAN, 1.0)])  # fmt: skip
    with GeoTiffTerrain(path) as terrain:
        found = terrain(np.add(places, [E0, N0]))
        assert len(terrain(np.empty((0, 2)))) == 0
    np.testing.assert_allclose(found, [1, 1, 1, 3, 2, NAN, NAN, NAN, NAN, NAN])


def test_scale_and_offset_of_the_band_count(tmp_path: Path) -> None:
    path = raster(tmp_path / "cm.tif", [[150, 150], [150, 150]], dtype="int16", scale=(0.01, 10.0))
    with GeoTiffTerrain(path) as terrain:
        np.testing.assert_allclose(terrain(np.array([[E0 + 1, N0 + 1]])), [11.5])


def test_a_terrain_in_the_compound_system_is_taken(tmp_path: Path) -> None:
    path = raster(tmp_path / "compound.tif", np.ones((2, 2)), crs="EPSG:7416")
    with GeoTiffTerrain(path) as terrain:
        assert terrain(np.array([[E0 + 1, N0 + 1]])).tolist() == [1.0]


@pytest.mark.parametrize("crs", ["EPSG:25833", "EPSG:4326", "EPSG:25832+5773", None])
def test_a_terrain_in_another_reference_system_is_refused(tmp_path: Path, crs: str | None) -> None:
    path = raster(tmp_path / "other.tif", np.ones((2, 2)), crs=crs)
    with pytest.raises(InvalidInput, match="EPSG:25832, heights in DVR90"):
        GeoTiffTerrain(path)


def test_a_rotated_terrain_is_refused(tmp_path: Path) -> None:
    turned = rasterio.Affine(1, 0.5, E0, 0.5, -1, N0)
    with pytest.raises(InvalidInput, match="rotated"):
        GeoTiffTerrain(raster(tmp_path / "turned.tif", np.ones((2, 2)), transform=turned))


@pytest.mark.parametrize("content", [b"", b"not a raster", b"II*\0" + b"\xff" * 60])
def test_what_is_no_geotiff_is_an_error_with_the_name_of_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dtm.tif").write_bytes(content)
    with pytest.raises(UnreadableFile, match=r"dtm\.tif"):
        GeoTiffTerrain(tmp_path / "dtm.tif")


def test_a_cut_off_geotiff_is_an_error_when_it_is_sampled(tmp_path: Path) -> None:
    path = raster(tmp_path / "cut.tif", np.random.default_rng(1).random((600, 600)), tiled=True)
    path.write_bytes(path.read_bytes()[:300_000])
    with pytest.raises(UnreadableFile, match=r"cut\.tif"), GeoTiffTerrain(path) as terrain:
        terrain(np.array([[E0 + 590.0, N0 + 10.0]]))


def test_guiding_depth_below_a_raster(tmp_path: Path) -> None:
    path = raster(tmp_path / "dtm.tif", np.full((2, 20), 12.0))
    batch = one(line((1, NAN), (10, 4.0), (30, NAN)), vejledendeDybde=mm(500))
    with GeoTiffTerrain(path) as terrain:
        moved = shapely.transform(shapely.from_wkb(batch.geometry[0]), lambda xy: np.add(xy, [0, 1]))
        batch.geometry = [shapely.to_wkb(moved, byte_order=1)]
        assert labels(batch, terrain=terrain) == [(11.5, "guiding"), (4.0, "registered"), (None, "none")]
