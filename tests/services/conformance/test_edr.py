"""OGC API EDR 1.1 (19-086r6): its abstract tests; oracles are the surface, xarray and pydantic models."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import shapely
import xarray
from covjson_pydantic.coverage import Coverage, CoverageCollection
from edr_pydantic.collections import Collection, Instance
from numpy.typing import NDArray
from pyproj import Transformer
from small_store import ADMIN

from geoinfra.flows.grids import GridFacts, publish_grid_file
from geoinfra.sample.grids import write_sea_level, write_weather
from geoinfra.sample.terrain import height_m
from geoinfra.storage import Store

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("grids")]

CLASSES = "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf"
COVJSON = "application/prs.coverage+json"
UTM = "EPSG:25832"
TO_DEGREES = Transformer.from_crs(UTM, "OGC:CRS84", always_xy=True)
TO_METRES = Transformer.from_crs("OGC:CRS84", UTM, always_xy=True)
CENTIMETRE = 0.0101
E0, N0 = 650_410.0, 6_084_420.0
LON, LAT = TO_DEGREES.transform(E0, N0)
MOMENT = "2026-01-02T03:00:00Z"


def conf(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.conformance(*(f"{CLASSES}/{name}" for name in names))


def get(api: httpx.Client, path: str, status: int = 200, **query: Any) -> httpx.Response:
    asked = {name.replace("_", "-"): value for name, value in query.items()}
    answer = api.get(f"/collections/{path}", params=asked)
    assert answer.status_code == status, answer.text
    return answer


def coverage(api: httpx.Client, path: str, **query: Any) -> Any:
    answer = get(api, path, **query)
    assert answer.headers["content-type"] == COVJSON
    document = answer.json()
    model = Coverage if document["type"] == "Coverage" else CoverageCollection
    model.model_validate_json(answer.content)
    return document


def values_of(document: Any, name: str) -> NDArray[np.float64]:
    made = document["ranges"][name]
    return np.array(made["values"], dtype=float).reshape(made["shape"])


def axis_of(document: Any, name: str) -> NDArray[np.float64]:
    axis = document["domain"]["axes"][name]
    if "values" in axis:
        return np.array(axis["values"])
    return np.linspace(axis["start"], axis["stop"], axis["num"])


def path_of(document: Any) -> NDArray[Any]:
    return np.array([place[-2:] for place in document["domain"]["axes"]["composite"]["values"]], dtype=float)


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> xarray.Dataset:
    source = write_weather(tmp_path_factory.mktemp("weather") / "w.zarr")
    return xarray.open_zarr(source, chunks=None, consolidated=False)


@pytest.fixture(scope="module")
def layers(grids: Store, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A cube of two hours, three layers and 4 x 5 cells, in two versions."""
    folder = tmp_path_factory.mktemp("layers")
    values = np.arange(120, dtype=np.float64).reshape(2, 3, 4, 5)
    for number, version in enumerate(("run-2026-01-01T00", "run-2026-01-01T06")):
        source = xarray.Dataset(
            {"wind-speed": (("time", "height", "y", "x"), values + 1000 * number, {"units": "m s-1"})},
            coords={
                "time": ("time", [0, 1], {"units": "hours since 2026-01-01T00:00:00Z"}),
                "height": ("height", [10.0, 50.0, 100.0], {"axis": "Z", "units": "m"}),
                "x": ("x", 650_000.0 + 100 * np.arange(5), {"standard_name": "projection_x_coordinate"}),
                "y": ("y", 6_084_000.0 - 100 * np.arange(4), {"standard_name": "projection_y_coordinate"}),
                "crs": ((), 0, {"crs_wkt": UTM}),
            },
        )
        source.to_zarr(folder / f"{number}.zarr", zarr_format=2, consolidated=False)
        facts = GridFacts(instance=version)
        publish_grid_file(grids, ADMIN, folder / f"{number}.zarr", {"id": "wind"}, facts)
    return "wind"


# --- Documents


@conf("core", "collections", "json")
@pytest.mark.parametrize("name", ["terrain-dtm", "weather", "sea-level"])
def test_the_collection_says_what_can_be_asked(api: httpx.Client, name: str) -> None:
    document = get(api, name).json()
    known = {member: document[member] for member in Collection.model_fields if member in document}
    Collection.model_validate_json(httpx.Response(200, json=known).content)
    for query, entry in document["data_queries"].items():
        answer = api.get(entry["link"]["href"])
        assert answer.status_code == (200 if query in ("locations", "items", "instances") else 400), query
    assert set(document["parameter_names"])
    listed = next(c for c in api.get("/collections").json()["collections"] if c["id"] == name)
    assert listed["data_queries"].keys() == document["data_queries"].keys()
    assert "Access" in get(api, name, f="html").text


@conf("queries", "core")
def test_queries_that_a_collection_does_not_offer_do_not_exist(api: httpx.Client) -> None:
    assert set(get(api, "terrain-dtm").json()["data_queries"]) == {
        "position", "area", "radius", "trajectory", "corridor", "cube", "instances",
    }  # fmt: skip
    get(api, "terrain-dtm/locations", status=404)
    get(api, "sea-level/position", status=404, coords=f"POINT({LON} {LAT})")
    get(api, "buildings/position", status=404, coords=f"POINT({LON} {LAT})")
    get(api, "nothing/position", status=404, coords=f"POINT({LON} {LAT})")


@conf("oas30")
def test_the_openapi_document_describes_the_queries(api: httpx.Client) -> None:
    paths = api.get("/openapi").json()["paths"]
    for name in ("position", "area", "radius", "trajectory", "corridor", "cube", "locations"):
        for prefix in ("", "/instances/{instanceId}"):
            assert f"/collections/{{collectionId}}{prefix}/{name}" in paths
    needed = paths["/collections/{collectionId}/radius"]["get"]["parameters"]
    assert {p["name"] for p in needed if p["required"]} == {
        "collectionId",
        "coords",
        "within",
        "within-units",
    }


# --- Position


@conf("queries", "covjson")
@pytest.mark.parametrize(
    ("name", "place"),
    [
        (None, (LON, LAT)),
        ("CRS84", (LON, LAT)),
        ("EPSG:4326", (LAT, LON)),
        ("http://www.opengis.net/def/crs/EPSG/0/25832", (E0, N0)),
    ],
)
def test_the_height_at_a_place_is_that_of_the_surface(
    api: httpx.Client, name: str | None, place: tuple[float, float]
) -> None:
    query = {"coords": f"POINT({place[0]!r} {place[1]!r})"} | ({"crs": name} if name else {})
    document = coverage(api, "terrain-dtm/position", **query)
    assert document["domain"]["domainType"] == "Point"
    assert values_of(document, "height") == pytest.approx(float(height_m(E0, N0)), abs=CENTIMETRE)
    order = document["domain"]["referencing"][0]["coordinates"]
    told = [document["domain"]["axes"][axis]["values"][0] for axis in order]
    assert told == pytest.approx(place, abs=1e-3 if name and name.endswith("25832") else 1e-7)


@conf("queries", "covjson")
def test_a_series_is_that_of_the_cell_in_which_the_place_lies(
    api: httpx.Client, weather: xarray.Dataset
) -> None:
    document = coverage(api, "weather/position", coords=f"POINT({LON} {LAT})", parameter_name="mean_temp")
    assert document["domain"]["domainType"] == "PointSeries"
    assert list(document["ranges"]) == ["mean_temp"]
    expected = weather["mean_temp"].sel(x=650_500, y=6_084_500).values
    np.testing.assert_allclose(values_of(document, "mean_temp"), expected, atol=1e-6)
    assert axis_of(document, "t")[[0, -1]].tolist() == ["2026-01-01T00:00:00Z", "2026-01-31T23:00:00Z"]
    middle = TO_METRES.transform(axis_of(document, "x")[0], axis_of(document, "y")[0])
    assert middle == pytest.approx((650_500, 6_084_500), abs=0.01)


@conf("queries")
@pytest.mark.parametrize(
    ("text", "first", "count"),
    [
        (MOMENT, MOMENT, 1),
        ("2026-01-02T03:00Z", MOMENT, 1),
        ("2026-01-02T04:00:00+01:00", MOMENT, 1),
        ("2026-01-02", "2026-01-02T00:00:00Z", 24),
        (f"{MOMENT}/2026-01-02T05:59:59Z", MOMENT, 3),
        ("2026-01-31T22:00:00Z/..", "2026-01-31T22:00:00Z", 2),
        ("/2026-01-01T00:30:00Z", "2026-01-01T00:00:00Z", 1),
    ],
)
def test_times_are_chosen_to_the_second(api: httpx.Client, text: str, first: str, count: int) -> None:
    document = coverage(api, "weather/position", coords=f"POINT({LON} {LAT})", datetime=text)
    told = document["domain"]["axes"]["t"]["values"]
    assert (told[0], len(told)) == (first, count)


@conf("queries")
@pytest.mark.parametrize("collection", ["terrain-dtm", "weather"])
@pytest.mark.parametrize("place", ["9 55", "11.2 54.8", "-170 10"])
def test_outside_there_is_nothing(api: httpx.Client, collection: str, place: str) -> None:
    problem = get(api, f"{collection}/position", status=404, coords=f"POINT({place})").json()
    assert "The data lies in" in problem["hint"]


@conf("queries")
@pytest.mark.parametrize("text", ["2025-12-31", "2026-01-02T03:30:00Z", "2026-02-01/.."])
def test_at_other_times_there_is_nothing(api: httpx.Client, text: str) -> None:
    get(api, "weather/position", status=404, coords=f"POINT({LON} {LAT})", datetime=text)


@conf("queries", "covjson")
def test_several_places_make_several_coverages(api: httpx.Client) -> None:
    coords = f"MULTIPOINT(({E0} {N0}),({E0 + 50} {N0 + 20}),(600000 6000000))"
    document = coverage(api, "terrain-dtm/position", coords=coords, crs=UTM)
    assert (document["type"], document["domainType"]) == ("CoverageCollection", "Point")
    found = [values_of(one, "height").item() for one in document["coverages"]]
    expected = [height_m(E0, N0), height_m(E0 + 50, N0 + 20)]
    assert found == pytest.approx([float(h) for h in expected], abs=CENTIMETRE)


# --- Layers and versions


@conf("queries", "covjson")
@pytest.mark.parametrize(
    ("query", "kind", "expected"),
    [
        ({"datetime": "2026-01-01T01:00:00Z"}, "VerticalProfile", [1067, 1087, 1107]),
        ({"z": "50"}, "PointSeries", [1027, 1087]),
        ({"z": "40/200", "datetime": "2026-01-01T01:00:00Z"}, "VerticalProfile", [1087, 1107]),
        ({"z": "10,50", "datetime": "2026-01-01T01:00:00Z"}, "VerticalProfile", [1067, 1087]),
        ({"z": "100", "datetime": "2026-01-01T00:00:00Z"}, "Point", [1047]),
        ({}, "Grid", [1007, 1027, 1047, 1067, 1087, 1107]),
    ],
)
def test_layers_are_profiles(
    api: httpx.Client, layers: str, query: dict[str, str], kind: str, expected: list[float]
) -> None:
    document = coverage(api, f"{layers}/position", coords="POINT(650210 6083910)", crs=UTM, **query)
    assert document["domain"]["domainType"] == kind
    assert values_of(document, "wind-speed").ravel().tolist() == expected


@conf("queries", "covjson")
def test_a_line_through_layers_is_a_section(api: httpx.Client, layers: str) -> None:
    line = "LINESTRING(650000 6084000,650100 6084000)"
    query = {"coords": line, "crs": UTM, "datetime": "2026-01-01T00:00:00Z"}
    document = get(api, f"{layers}/trajectory", **query).json()  # the models lack this domain type
    assert document["domain"]["domainType"] == "Section"
    assert values_of(document, "wind-speed").tolist() == [[1000, 1001], [1020, 1021], [1040, 1041]]


@conf("queries")
def test_a_corridor_and_a_box_have_heights_too(api: httpx.Client, layers: str) -> None:
    line = "LINESTRING Z(650000 6084000 50,650400 6084000 50)"
    width = {"corridor_width": "150", "width_units": "m", "crs": UTM, "datetime": "2026-01-01T00:00:00Z"}
    tall = coverage(api, f"{layers}/corridor", coords=line, corridor_height="60", height_units="m", **width)
    assert axis_of(tall, "z").tolist() == [50.0]
    box = coverage(api, f"{layers}/cube", bbox="650000,6083800,40,650300,6084000,60", crs=UTM)
    assert axis_of(box, "z").tolist() == [50.0]
    get(api, "terrain-dtm/position", status=400, coords=f"POINT({LON} {LAT})", z="10")
    get(api, f"{layers}/position", status=404, coords="POINT(650210 6083910)", crs=UTM, z="11")


@conf("queries", "collections")
def test_versions_stand_beside_each_other(api: httpx.Client, layers: str) -> None:
    document = get(api, f"{layers}/instances").json()
    assert [one["id"] for one in document["instances"]] == ["run-2026-01-01T00", "run-2026-01-01T06"]
    for one in document["instances"]:
        known = {member: one[member] for member in Instance.model_fields if member in one}
        Instance.model_validate_json(httpx.Response(200, json=known).content)
        assert get(api, f"{layers}/instances/{one['id']}").json()["id"] == one["id"]
        href = one["data_queries"]["position"]["link"]["href"]
        assert f"/instances/{one['id']}/position" in href
    query = {"coords": "POINT(650210 6083910)", "crs": UTM, "z": "10", "datetime": "2026-01-01T00:00:00Z"}
    old = coverage(api, f"{layers}/instances/run-2026-01-01T00/position", **query)
    assert values_of(old, "wind-speed").item() == 7
    get(api, f"{layers}/instances/nothing", status=404)
    get(api, f"{layers}/instances/nothing/position", status=404, **query)


# --- Areas


@conf("queries", "covjson")
def test_an_area_has_the_cells_whose_middle_lies_in_it(api: httpx.Client) -> None:
    polygon = shapely.Polygon([(650300, 6084400), (650330, 6084405), (650310, 6084440)])
    document = coverage(api, "terrain-dtm/area", coords=polygon.wkt, crs=UTM)
    assert document["domain"]["domainType"] == "Grid"
    x, y = np.meshgrid(axis_of(document, "x"), axis_of(document, "y"))
    found, inside = values_of(document, "height"), shapely.contains_xy(polygon, x, y)
    clear = shapely.distance(polygon.boundary, shapely.points(x, y)) > 1e-3
    np.testing.assert_array_equal(np.isfinite(found)[clear], inside[clear])
    inside &= clear
    assert np.abs(found - height_m(x, y))[inside].max() < CENTIMETRE
    assert inside.sum() * 0.8**2 == pytest.approx(polygon.area, rel=0.03)


@conf("queries")
@pytest.mark.parametrize(("within", "unit"), [("20", "m"), ("0.02", "km")])
def test_a_radius_is_a_circle_on_the_ground(api: httpx.Client, within: str, unit: str) -> None:
    document = coverage(
        api, "terrain-dtm/radius", coords=f"POINT({E0} {N0})", crs=UTM, within=within, within_units=unit
    )
    x, y = np.meshgrid(axis_of(document, "x"), axis_of(document, "y"))
    distance = np.hypot(x - E0, y - N0)
    found = np.isfinite(values_of(document, "height"))
    assert not found[distance > 20.01].any()
    assert found[distance < 19.95].all()
    assert found.sum() * 0.8**2 == pytest.approx(math.pi * 20**2, rel=0.02)


@conf("queries")
def test_a_corridor_is_a_strip_beside_a_line(api: httpx.Client) -> None:
    line = shapely.LineString([(650300, 6084400), (650340, 6084430), (650380, 6084430)])
    document = coverage(
        api, "terrain-dtm/corridor", coords=line.wkt, crs=UTM, corridor_width="12", width_units="m"
    )
    x, y = np.meshgrid(axis_of(document, "x"), axis_of(document, "y"))
    found = np.isfinite(values_of(document, "height"))
    distance = shapely.distance(line, shapely.points(x, y))
    assert not found[distance > 6.01].any()
    ends = (x > 650304) & (x < 650376)
    assert found[(distance < 5.99) & ends].all()


@conf("queries")
def test_a_box_of_a_cube_has_its_cells_and_times(api: httpx.Client, weather: xarray.Dataset) -> None:
    document = coverage(
        api, "weather/cube", bbox="650000,6084000,652000,6085000", crs=UTM, datetime="2026-01-02/2026-01-03",
        parameter_name="acc_precip",
    )  # fmt: skip
    expected = weather["acc_precip"].sel(
        x=slice(650_000, 652_000), y=slice(6_084_000, 6_085_000), time=slice("2026-01-02", "2026-01-03")
    )
    np.testing.assert_allclose(values_of(document, "acc_precip"), expected.values[:, ::-1], atol=1e-6)


@conf("queries")
@pytest.mark.parametrize("size", [(5, 4), (1, 1), (0, 0)])
def test_resolution_is_a_number_of_places(api: httpx.Client, size: tuple[int, int]) -> None:
    box = {"bbox": "650300,6084400,650340,6084440", "crs": UTM}
    document = coverage(api, "terrain-dtm/cube", resolution_x=size[0], resolution_y=size[1], **box)
    shape = document["ranges"]["height"]["shape"]
    assert shape == ([size[1], size[0]] if size[0] else [50, 50])


# --- Lines


@conf("queries", "covjson")
def test_a_profile_has_every_cell_of_the_line(api: httpx.Client) -> None:
    line = shapely.LineString([(650300, 6084400), (650340, 6084430), (650380, 6084430)])
    document = coverage(api, "terrain-dtm/trajectory", coords=line.wkt, crs=UTM)
    assert document["domain"]["domainType"] == "Trajectory"
    places = path_of(document)
    steps = np.hypot(*np.diff(places, axis=0).T)
    assert steps.max() < 0.8 + 1e-3
    assert steps.sum() == pytest.approx(line.length, abs=0.05)
    for corner in line.coords:
        assert np.hypot(*(places - corner).T).min() < 1e-3
    expected = height_m(places[:, 0], places[:, 1])
    assert np.abs(values_of(document, "height") - expected).max() < CENTIMETRE


@conf("queries")
def test_times_of_a_line_are_followed(api: httpx.Client, weather: xarray.Dataset) -> None:
    begin = int(np.datetime64("2026-01-02T03:00:00", "s").astype(int))
    corners = [
        (650_500, 6_084_500, begin),
        (653_500, 6_084_500, begin + 7200),
        (653_500, 6_089_500, begin + 18_000),
    ]
    line = "LINESTRING M(" + ",".join(f"{x} {y} {m}" for x, y, m in corners) + ")"
    document = coverage(api, "weather/trajectory", coords=line, crs=UTM, parameter_name="mean_temp")
    told = [place[0] for place in document["domain"]["axes"]["composite"]["values"]]
    assert told == ["2026-01-02T03:00:00Z", "2026-01-02T05:00:00Z", "2026-01-02T08:00:00Z"]
    expected = [weather["mean_temp"].sel(x=x, y=y, time=np.datetime64(m, "s")).item() for x, y, m in corners]
    assert values_of(document, "mean_temp").tolist() == pytest.approx(expected, abs=1e-5)
    late = line.replace(str(begin), str(begin - 10**9))
    get(api, "weather/trajectory", status=404, coords=late, crs=UTM)


@conf("queries", "covjson")
def test_a_line_at_several_times_makes_several_coverages(api: httpx.Client) -> None:
    line = "LINESTRING(650500 6084500,653500 6084500)"
    times = f"{MOMENT}/2026-01-02T05:00:00Z"
    document = coverage(api, "weather/trajectory", coords=line, crs=UTM, datetime=times)
    assert [document["type"], len(document["coverages"])] == ["CoverageCollection", 3]
    firsts = [one["domain"]["axes"]["composite"]["values"][0][0] for one in document["coverages"]]
    assert firsts == [MOMENT, "2026-01-02T04:00:00Z", "2026-01-02T05:00:00Z"]


# --- Stations


@conf("queries", "geojson", "edr-geojson")
@pytest.mark.parametrize("path", ["sea-level/locations", "sea-level/items"])
def test_stations_are_features(api: httpx.Client, path: str) -> None:
    answer = get(api, path)
    assert answer.headers["content-type"] == "application/geo+json"
    document = answer.json()
    assert [f["id"] for f in document["features"]] == ["90001", "90002", "90003"]
    assert document["parameters"][0]["unit"]["symbol"]["value"] == "m"
    first = document["features"][0]
    assert TO_METRES.transform(*first["geometry"]["coordinates"]) == pytest.approx(
        (650_700, 6_084_150), abs=0.01
    )
    assert set(first["properties"]) == {"label", "datetime", "parameter-name", "edrqueryendpoint"}
    assert (
        api.get(first["properties"]["edrqueryendpoint"], params={"datetime": "2026-01-02"}).status_code == 200
    )
    near = get(api, path, bbox="11.3,54.8,11.36,54.9").json()
    assert [f["id"] for f in near["features"]] == ["90001"]
    assert get(api, path, limit=2).json()["numberReturned"] == 2


@conf("queries", "covjson", "geojson")
def test_a_station_has_its_series_with_gaps(
    api: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = write_sea_level(tmp_path_factory.mktemp("sea") / "s.zarr")
    with xarray.open_zarr(source, chunks=None, consolidated=False) as dataset:
        expected = dataset["sealev_dvr"].isel(station=1).sel(time="2026-01-07").values
    document = coverage(api, "sea-level/locations/90002", datetime="2026-01-07")
    assert document["domain"]["domainType"] == "PointSeries"
    np.testing.assert_allclose(values_of(document, "sealev_dvr"), expected, atol=1e-6)
    assert None in document["ranges"]["sealev_dvr"]["values"]
    assert "DVR90" in document["parameters"]["sealev_dvr"]["description"]["en"]
    assert get(api, "sea-level/items/90002").json()["properties"]["label"] == "Sandvig Bro"
    for path in ("sea-level/locations/1", "sea-level/items/1"):
        get(api, path, status=404)


@conf("queries", "covjson")
def test_stations_in_an_area_come_together(api: httpx.Client) -> None:
    query = {"coords": f"POINT({LON} {LAT})", "within": "6.5", "within_units": "km", "datetime": MOMENT}
    document = coverage(api, "sea-level/radius", **query)
    assert [one["id"] for one in document["coverages"]] == ["90001", "90002", "90003"]
    one = coverage(api, "sea-level/radius", **(query | {"within": "1"}))
    assert one["id"] == "90001"
    get(api, "sea-level/radius", status=404, **(query | {"within": "0.1"}))


# --- Forms


@conf("queries", "geojson")
def test_the_same_values_come_as_csv_and_geojson(api: httpx.Client) -> None:
    query = {"bbox": "650300,6084400,650304,6084402", "crs": UTM}
    grid = values_of(coverage(api, "terrain-dtm/cube", **query), "height").ravel()
    table = get(api, "terrain-dtm/cube", f="CSV", **query)
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [float(row["height (m)"]) for row in rows] == grid.tolist()
    assert {"x", "y"} <= set(rows[0])
    features = get(api, "terrain-dtm/cube", f="GeoJSON", **query).json()["features"]
    assert [f["properties"]["height"] for f in features] == grid.tolist()
    assert [f["geometry"]["coordinates"] for f in features] == [[float(r["x"]), float(r["y"])] for r in rows]


@conf("queries", "geojson")
def test_a_series_as_features_has_a_step_for_each_time(api: httpx.Client) -> None:
    query = {"coords": f"POINT({LON} {LAT})", "datetime": "2026-01-02", "f": "GeoJSON"}
    document = get(api, "weather/position", parameter_name="mean_temp", **query).json()
    assert [f["properties"]["step"] for f in document["features"]][3] == MOMENT
    assert all(isinstance(f["properties"]["mean_temp"], float) for f in document["features"])


@conf("core")
@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (COVJSON, COVJSON),
        ("application/geo+json", "application/geo+json"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("*/*", COVJSON),
    ],
)
def test_the_form_follows_what_is_accepted(api: httpx.Client, accept: str, media_type: str) -> None:
    path = "/collections/terrain-dtm/position"
    answer = api.get(path, params={"coords": f"POINT({LON} {LAT})"}, headers={"Accept": accept})
    assert answer.headers["content-type"] == media_type
    again = api.get(answer.request.url, headers={"Accept": accept, "If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


POINT = f"POINT({LON} {LAT})"
BAD: dict[str, tuple[str, dict[str, str]]] = {
    "no coords": ("position", {}),
    "no wkt": ("position", {"coords": "here"}),
    "wrong kind": ("position", {"coords": "LINESTRING(0 0,1 1)"}),
    "empty": ("position", {"coords": "POINT EMPTY"}),
    "not finite": ("position", {"coords": "POINT(nan 55)"}),
    "swapped": ("position", {"coords": "POINT(54 190)"}),
    "unknown crs": ("position", {"coords": POINT, "crs": "EPSG:2154"}),
    "unknown parameter": ("position", {"coords": POINT, "parameter_name": "salinity"}),
    "bad time": ("position", {"coords": POINT, "datetime": "noon"}),
    "backward time": ("position", {"coords": POINT, "datetime": "2026-01-03/2026-01-02"}),
    "unknown query": ("position", {"coords": POINT, "colour": "red"}),
    "unknown form": ("position", {"coords": POINT, "f": "netcdf"}),
    "self-crossing": ("area", {"coords": "POLYGON((11 54,12 55,12 54,11 55,11 54))"}),
    "no radius": ("radius", {"coords": POINT, "within": "10"}),
    "unknown unit": ("radius", {"coords": POINT, "within": "10", "within_units": "mile"}),
    "negative radius": ("radius", {"coords": POINT, "within": "-1", "within_units": "m"}),
    "no width": ("corridor", {"coords": "LINESTRING(11.344 54.884,11.345 54.884)"}),
    "no box": ("cube", {}),
    "bad resolution": ("cube", {"bbox": "11.34,54.88,11.35,54.89", "resolution_x": "-3"}),
    "times without times": ("trajectory", {"coords": "LINESTRING M(11.344 54.884 1,11.345 54.884 2)"}),
}


@conf("core", "queries")
@pytest.mark.parametrize(("name", "query"), BAD.values(), ids=list(BAD))
def test_what_has_no_meaning_is_refused(api: httpx.Client, name: str, query: dict[str, str]) -> None:
    problem = get(api, f"terrain-dtm/{name}", status=400, **query)
    assert problem.headers["content-type"] == "application/problem+json"


WHOLE = "11.3413,54.8803,11.3509,54.8858"


@conf("core")
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("terrain-dtm/cube", {"bbox": WHOLE, "resolution_x": "2000", "resolution_y": "2000"}),
        ("terrain-dtm/cube", {"bbox": WHOLE, "f": "CSV"}),
        ("terrain-dtm/trajectory", {"coords": "LINESTRING(8 55,12 57)"}),
    ],
)
def test_too_much_is_refused(api: httpx.Client, path: str, query: dict[str, str]) -> None:
    assert get(api, path, status=413, **query).json()["code"] == "too-large"


def test_a_folder_is_not_reached_by_names(api: httpx.Client, tmp_path: Path) -> None:
    for name in ("..%2f..%2fetc", "%00", "operator%2f.."):
        assert api.get(f"/collections/weather/instances/{name}").status_code in (400, 404)
