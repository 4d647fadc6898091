"""OGC API Coverages 1.0 (draft 19-087): its abstract tests; oracles are rasterio, pyproj and the surface."""

from __future__ import annotations

import subprocess
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from covjson_pydantic.coverage import Coverage
from numpy.typing import NDArray
from parts import program
from pyproj import Transformer
from rasterio.io import MemoryFile

from geoinfra.sample.terrain import height_m
from geoinfra.storage import Store

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("grids")]

CLASSES = "http://www.opengis.net/spec/ogcapi-coverages-1/1.0/conf"
RELATIONS = "http://www.opengis.net/def/rel/ogc/1.0"
WEST, SOUTH, EAST, NORTH = 650_200.0, 6_084_000.0, 650_800.0, 6_084_600.0
CELL = 0.8
HERE = "/collections/terrain-dtm/coverage"
GEOTIFF = "image/tiff; application=geotiff"
COVJSON = "application/prs.coverage+json"
STORAGE = "http://www.opengis.net/def/crs/EPSG/0/25832"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
CENTIMETRE = 0.0051


def conf(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.conformance(*(f"{CLASSES}/{name}" for name in names))


def get(api: httpx.Client, path: str = HERE, status: int = 200, **query: Any) -> httpx.Response:
    answer = api.get(path, params={name.replace("_", "-"): value for name, value in query.items()})
    assert answer.status_code == status, answer.text
    return answer


def covjson(api: httpx.Client, path: str = HERE, **query: Any) -> Any:
    answer = get(api, path, f="json", **query)
    assert answer.headers["content-type"] == COVJSON
    Coverage.model_validate_json(answer.content)
    return answer.json()


def values_of(document: Any, name: str = "height") -> NDArray[np.float64]:
    made = document["ranges"][name]
    return np.array(made["values"], dtype=float).reshape(made["shape"])


def axis_of(document: Any, name: str) -> NDArray[np.float64]:
    axis = document["domain"]["axes"][name]
    if "values" in axis:
        return np.array(axis["values"])
    return np.linspace(axis["start"], axis["stop"], axis["num"])


class Tiff:
    """A GeoTIFF answer, read by rasterio."""

    def __init__(self, content: bytes) -> None:
        with MemoryFile(content) as memory, memory.open() as dataset:
            self.values = dataset.read()
            self.bounds = tuple(dataset.bounds)
            self.epsg = dataset.crs.to_epsg()
            self.transform = dataset.transform
            self.nodata = dataset.nodata
            self.titles = dataset.descriptions
            self.units = dataset.units
            rows, columns = np.mgrid[0 : dataset.height, 0 : dataset.width]
            self.x, self.y = dataset.transform @ (columns + 0.5, rows + 0.5)


def tiff(api: httpx.Client, path: str = HERE, **query: Any) -> Tiff:
    answer = get(api, path, f="geotiff", **query)
    assert answer.headers["content-type"] == GEOTIFF
    return Tiff(answer.content)


# --- Core


@conf("core", "geodata-coverage")
def test_the_collection_links_its_coverage_and_what_describes_it(api: httpx.Client) -> None:
    for document in (
        get(api, "/collections/terrain-dtm").json(),
        next(c for c in get(api, "/collections").json()["collections"] if c["id"] == "terrain-dtm"),
    ):
        links = [link for link in document["links"] if link["rel"].startswith(RELATIONS)]
        found = {link["rel"].removeprefix(f"{RELATIONS}/") for link in links}
        assert {"coverage", "coverage-domainset", "coverage-rangetype", "schema"} <= found
        for link in links:
            small = "&scale-factor=50" if link["rel"].endswith("/coverage") else ""
            answer = api.get(link["href"] + small)
            assert answer.status_code == 200, link
            assert answer.headers["content-type"].split(";")[0] == link["type"].split(";")[0]
        assert document["storageCrs"] == STORAGE
        assert document["storageCrs"] in document["crs"]
        west, south, east, north = document["extent"]["spatial"]["bbox"][0]
        inverse = Transformer.from_crs("OGC:CRS84", "EPSG:25832", always_xy=True)
        assert inverse.transform_bounds(west, south, east, north, densify_pts=50) == pytest.approx(
            (WEST, SOUTH, EAST, NORTH), abs=21
        )


@conf("core")
def test_the_record_of_a_grid_tells_where_it_lies_and_leads_to_it(api: httpx.Client) -> None:
    collection = api.get("/collections/terrain-dtm").raise_for_status().json()
    record = api.get("/collections/catalogue/items/dataset.terrain-dtm").raise_for_status().json()
    corners = record["geometry"]["coordinates"][0]
    box = [f(corner[axis] for corner in corners) for f in (min, max) for axis in (0, 1)]
    assert box == pytest.approx(collection["extent"]["spatial"]["bbox"][0], abs=2e-6)
    (item,) = [link for link in record["links"] if link["rel"] == "item"]
    assert api.get(item["href"]).headers["content-type"].startswith(item["type"])
    served = api.get("/collections/catalogue/items/service.coverages").json()["properties"]["serves"]
    assert "dataset.terrain-dtm" in served
    assert "dataset.sea-level" not in served  # stations


def test_the_whole_coverage_is_that_of_the_surface(api: httpx.Client) -> None:
    whole = tiff(api)
    assert whole.values.shape == (1, 750, 750)
    assert whole.bounds == (WEST, SOUTH, EAST, NORTH)
    assert whole.epsg == 25832
    assert np.abs(whole.values[0] - height_m(whole.x, whole.y)).max() < CENTIMETRE
    assert (whole.titles, whole.units) == (("height",), ("m",))


@conf("core")
def test_covjson_and_geotiff_hold_the_same_cells(api: httpx.Client) -> None:
    area = {"bbox": "650300,6084300,650320,6084312", "bbox_crs": STORAGE}
    document, image = covjson(api, **area), tiff(api, **area)
    np.testing.assert_allclose(values_of(document), image.values[0], atol=1e-5)
    np.testing.assert_allclose(axis_of(document, "x"), image.x[0], atol=1e-3)
    np.testing.assert_allclose(axis_of(document, "y"), image.y[:, 0], atol=1e-3)
    parameter = document["parameters"]["height"]
    assert parameter["unit"]["symbol"]["value"] == "m"
    assert "DVR90" in parameter["description"]["en"]


@conf("core", "geotiff")
@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("image/tiff;application=geotiff", GEOTIFF),
        ("image/tiff", GEOTIFF),
        (COVJSON, COVJSON),
        ("application/json", COVJSON),
        ("*/*", COVJSON),
    ],
)
def test_the_form_follows_what_is_accepted(api: httpx.Client, accept: str, media_type: str) -> None:
    query = {"scale-factor": "50"}
    answer = api.get(HERE, params=query, headers={"Accept": accept})
    assert answer.headers["content-type"] == media_type
    refused = api.get(HERE, params=query, headers={"Accept": "image/x-unknown"})
    assert refused.status_code == 406


@conf("core")
def test_the_domain_set_gives_axes_and_cells(api: httpx.Client) -> None:
    grid = get(api, f"{HERE}/domainset").json()["generalGrid"]
    assert (grid["srsName"], grid["axisLabels"]) == (STORAGE, ["E", "N"])
    east, north = grid["axis"]
    assert (east["lowerBound"], east["upperBound"]) == (WEST, EAST)
    assert east["resolution"] == pytest.approx(CELL)
    assert (north["lowerBound"], north["upperBound"]) == (SOUTH, NORTH)
    assert [a["upperBound"] for a in grid["gridLimits"]["axis"]] == [749, 749]
    weather = get(api, "/collections/weather/coverage/domainset").json()["generalGrid"]
    assert weather["axisLabels"] == ["E", "N", "time"]
    assert len(weather["axis"][2]["coordinate"]) == 744


@conf("core", "coverage-rangesubset")
def test_range_type_and_schema_name_the_parameters(api: httpx.Client) -> None:
    fields = get(api, "/collections/weather/coverage/rangetype").json()["field"]
    schema = get(api, "/collections/weather/schema").json()
    assert [f["name"] for f in fields] == list(schema["properties"])
    assert {f["name"]: f["uom"]["code"] for f in fields}["mean_temp"] == "Cel"


@conf("core")
def test_features_and_stations_are_no_coverages(api: httpx.Client) -> None:
    for name in ("buildings", "sea-level", "nothing"):
        get(api, f"/collections/{name}/coverage", status=404)


@conf("core")
def test_a_coverage_has_no_items_and_features_go_on(api: httpx.Client) -> None:
    get(api, "/collections/terrain-dtm/items", status=404)
    get(api, "/collections/terrain-dtm/queryables", status=404)
    assert get(api, "/collections/buildings/items", limit=1).json()["numberReturned"] == 1


@conf("core")
def test_answers_are_kept_until_the_grid_changes(api: httpx.Client) -> None:
    first = get(api, bbox="650300,6084300,650310,6084310", bbox_crs="25832")
    assert first.headers["cache-control"].startswith("public")
    again = api.get(first.request.url, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@conf("oas30")
def test_the_openapi_document_describes_the_routes(api: httpx.Client) -> None:
    paths = get(api, "/openapi").json()["paths"]
    given = {p["name"] for p in paths["/collections/{collectionId}/coverage"]["get"]["parameters"]}
    assert {"subset", "bbox", "scale-factor", "properties", "datetime", "crs"} <= given
    assert "/collections/{collectionId}/coverage/domainset" in paths


# --- Subsets


@conf("subsetting", "coverage-subset", "coverage-bbox")
@pytest.mark.parametrize(
    "query",
    [
        {"subset": "E(650300:650320),N(6084300:6084312)"},
        {"subset": "N(6084300:6084312),E(650300:650320)", "subset_crs": "EPSG:25832"},
        {"bbox": "650300,6084300,650320,6084312", "bbox_crs": STORAGE},
        {"bbox": "650300,6084300,650320,6084312", "bbox_crs": "25832"},
    ],
)
def test_a_subset_has_the_cells_that_it_touches(api: httpx.Client, query: dict[str, str]) -> None:
    image = tiff(api, **query)
    assert image.bounds == (650300.0, 6084300.0, 650320.0, 6084312.0)
    assert image.values.shape == (1, 15, 25)
    assert np.abs(image.values[0] - height_m(image.x, image.y)).max() < CENTIMETRE


@conf("subsetting", "coverage-subset")
def test_cells_that_are_touched_in_part_are_there_whole(api: httpx.Client) -> None:
    image = tiff(api, subset="E(650300.1:650300.9),N(6084300.1:6084300.2)")
    assert image.bounds == pytest.approx((650300.0, 6084300.0, 650301.6, 6084300.8))


@conf("subsetting", "coverage-subset")
@pytest.mark.parametrize("ends", ["E(*:650220)", "E(650200:650220)"])
def test_an_end_may_be_open_and_the_other_axis_whole(api: httpx.Client, ends: str) -> None:
    assert tiff(api, subset=ends).bounds == (WEST, SOUTH, 650_220.0, NORTH)


@conf("coverage-bbox", "subsetting")
@pytest.mark.parametrize("name", ["CRS84", "EPSG:4326", "EPSG:3857", "EPSG:25833"])
def test_a_box_in_another_system_covers_all_of_it(api: httpx.Client, name: str) -> None:
    system = "OGC:CRS84" if name == "CRS84" else name
    there = Transformer.from_crs("EPSG:25832", system)  # axes in the order of the system
    a, b = there.transform(650_400, 6_084_200), there.transform(650_600, 6_084_350)
    low, high = np.minimum(a, b), np.maximum(a, b)
    box = ",".join(map(str, [*low, *high]))
    image = tiff(api, bbox=box, bbox_crs=name)
    back = Transformer.from_crs(system, "EPSG:25832")
    share = np.linspace(0, 1, 40)
    edges = [
        back.transform(x, y)
        for x, y in [
            *((low[0] + s * (high[0] - low[0]), v) for s in share for v in (low[1], high[1])),
            *((v, low[1] + s * (high[1] - low[1])) for s in share for v in (low[0], high[0])),
        ]
    ]
    west, south, east, north = image.bounds
    x, y = np.array(edges).T
    assert west - 1e-6 <= x.min() < west + CELL + 1e-6
    assert east - CELL - 1e-6 < x.max() <= east + 1e-6
    assert south - 1e-6 <= y.min() < south + CELL + 1e-6
    assert north - CELL - 1e-6 < y.max() <= north + 1e-6


@conf("core", "coverage-bbox", "coverage-subset", "coverage-datetime")
@pytest.mark.parametrize(
    "query",
    [
        {"bbox": "8,55,8.1,55.1"},
        {"subset": "E(500000:500100)"},
        {"datetime": "2020-01-01"},
        {"datetime": "../2025-04-14"},
    ],
)
def test_outside_there_is_no_content(api: httpx.Client, query: dict[str, str]) -> None:
    assert get(api, status=204, **query).content == b""


BAD = {
    "no numbers": {"bbox": "a,b,c,d"},
    "three numbers": {"bbox": "1,2,3"},
    "not finite": {"bbox": "nan,55,12,56"},
    "empty": {"bbox": "11,55,11,56"},
    "swapped": {"bbox": "12,55,11,56"},
    "no such degrees": {"bbox": "11,55,12,91"},
    "unknown crs": {"bbox": "11,54,12,55", "bbox_crs": "EPSG:2154"},
    "crs alone": {"bbox_crs": "EPSG:25832"},
    "heights": {"bbox": "11,54,0,12,55,10"},
    "unknown axis": {"subset": "depth(1:2)"},
    "twice an axis": {"subset": "E(650300:650400),E(650300:650400)"},
    "mixed axes": {"subset": "E(650300:650400),Lat(54:55)"},
    "no brackets": {"subset": "E650300"},
    "box and subset": {"bbox": "11,54,12,55", "subset": "E(650300:650400)"},
    "bad time": {"datetime": "yesterday"},
    "unknown parameter": {"properties": "salinity"},
    "zero scale": {"scale_factor": "0"},
    "two scales": {"scale_factor": "2", "scale_size": "E(4),N(4)"},
    "no size": {"scale_size": "E(-4)"},
    "huge size": {"scale_size": "E(9999999)"},
    "unknown form": {"f": "netcdf"},
    "unknown query": {"colour": "red"},
}


@conf("core")
@pytest.mark.parametrize("query", BAD.values(), ids=list(BAD))
def test_what_has_no_meaning_is_refused(api: httpx.Client, query: dict[str, str]) -> None:
    problem = get(api, status=400, **query)
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["code"] == "invalid-input"


# --- Parameters and times


@conf("fieldselection", "coverage-rangesubset")
@pytest.mark.parametrize("name", ["properties", "range-subset"])
def test_parameters_come_in_the_asked_order(api: httpx.Client, name: str) -> None:
    query = {name: "mean_wind_dir,mean_temp", "datetime": "2026-01-03T04:00:00Z"}
    document = covjson(api, "/collections/weather/coverage", **query)
    assert list(document["ranges"]) == list(document["parameters"]) == ["mean_wind_dir", "mean_temp"]
    assert tiff(api, "/collections/weather/coverage", **query).titles == ("mean_wind_dir", "mean_temp")


@conf("coverage-datetime", "subsetting")
@pytest.mark.parametrize(
    ("query", "first", "count"),
    [
        ({"datetime": "2026-01-02T03:00:00Z"}, "2026-01-02T03:00:00Z", 1),
        ({"datetime": "2026-01-02T04:00:00+01:00"}, "2026-01-02T03:00:00Z", 1),
        ({"datetime": "2026-01-02"}, "2026-01-02T00:00:00Z", 24),
        ({"datetime": "2026-01-02T03:00:00Z/2026-01-02T06:30:00Z"}, "2026-01-02T03:00:00Z", 4),
        ({"datetime": "2026-01-31T20:00:00Z/.."}, "2026-01-31T20:00:00Z", 4),
        ({"datetime": "../2026-01-01T01:00:00Z"}, "2026-01-01T00:00:00Z", 2),
        ({"subset": 'time("2026-01-02T03:00:00Z")'}, "2026-01-02T03:00:00Z", 1),
        ({"subset": 'time("2026-01-02T03:00:00Z":"2026-01-02T05:00:00Z")'}, "2026-01-02T03:00:00Z", 3),
        ({"subset": "time(2026-01-31T20:00:00Z:*)"}, "2026-01-31T20:00:00Z", 4),
    ],
)
def test_times_are_chosen_to_the_second(
    api: httpx.Client, query: dict[str, str], first: str, count: int
) -> None:
    document = covjson(api, "/collections/weather/coverage", properties="mean_temp", **query)
    times = document["domain"]["axes"]["t"]["values"]
    assert (times[0], len(times)) == (first, count)
    assert document["ranges"]["mean_temp"]["shape"] == [count, 12, 12]


@conf("coverage-datetime")
def test_a_geotiff_holds_the_times_of_one_parameter(api: httpx.Client) -> None:
    here = "/collections/weather/coverage"
    day = tiff(api, here, properties="mean_temp", datetime="2026-01-02")
    assert day.values.shape == (24, 12, 12)
    assert day.titles[3] == "mean_temp 2026-01-02T03:00:00Z"
    get(api, here, status=400, f="geotiff", datetime="2026-01-02")


# --- Scale and CRS


@conf("scaling", "coverage-scaling")
@pytest.mark.parametrize(
    ("query", "shape"),
    [
        ({"scale_factor": "2"}, (375, 375)),
        ({"scale_factor": "4"}, (188, 188)),
        ({"scale_axes": "E(2),N(5)"}, (150, 375)),
        ({"scale_size": "E(60),N(40)"}, (40, 60)),
        ({"scaleSize": "E(60),N(40)"}, (40, 60)),
        ({"scale_factor": "0.5", "subset": "E(650300:650320),N(6084300:6084312)"}, (30, 50)),
    ],
)
def test_scales_change_the_number_of_cells(
    api: httpx.Client, query: dict[str, str], shape: tuple[int, int]
) -> None:
    image = tiff(api, **query)
    assert image.values.shape[1:] == shape
    smooth = np.abs(image.values[0] - height_m(image.x, image.y))
    assert np.median(smooth) < 0.02


@conf("scaling", "coverage-scaling")
def test_a_coarser_cell_is_the_mean_of_its_cells(api: httpx.Client) -> None:
    area = {"subset": "E(650201.6:650252.8),N(6084500:6084551.2)"}
    fine, coarse = tiff(api, **area), tiff(api, **area, scale_factor="2")
    means = fine.values[0].reshape(32, 2, 32, 2).mean(axis=(1, 3))
    assert np.abs(coarse.values[0] - means).max() < 0.011  # the overview is rounded to centimetres


@conf("scaling")
def test_a_size_is_for_exactly_the_asked_area(api: httpx.Client) -> None:
    image = tiff(api, subset="E(650150:650250),N(6084300:6084400)", scale_size="E(100),N(100)")
    assert image.bounds == (650_150.0, 6_084_300.0, 650_250.0, 6_084_400.0)
    assert np.isnan(image.values[0, :, :50]).all()
    assert np.isfinite(image.values[0, :, 50:]).all()


@conf("crs", "core")
@pytest.mark.parametrize("name", ["CRS84", "EPSG:4326", "EPSG:3857", "EPSG:25833"])
def test_answers_in_another_system_lie_where_the_surface_is(api: httpx.Client, name: str) -> None:
    query = {"crs": name, "subset": "E(650400:650460),N(6084400:6084440)"}
    answer = get(api, f="geotiff", **query)
    image = Tiff(answer.content)
    system = "OGC:CRS84" if name in ("CRS84", "EPSG:4326") else name
    e, n = Transformer.from_crs(system, "EPSG:25832", always_xy=True).transform(image.x, image.y)
    assert np.nanmax(np.abs(image.values[0] - height_m(e, n))) < CENTIMETRE + 0.005
    assert image.epsg == (4326 if system == "OGC:CRS84" else int(name[5:]))
    uri = CRS84 if name == "CRS84" else f"http://www.opengis.net/def/crs/EPSG/0/{name[5:]}"
    assert answer.headers["content-crs"] == f"<{uri}>"
    document = covjson(api, **query)
    reference = document["domain"]["referencing"][0]
    assert reference["system"]["id"] == uri
    assert reference["coordinates"] == (["y", "x"] if name == "EPSG:4326" else ["x", "y"])


# --- Bounds


@conf("core")
@pytest.mark.parametrize("query", [{"scale_size": "E(9000),N(9000)"}, {"scale_factor": "0.001"}])
def test_too_much_is_refused_with_what_to_ask_instead(api: httpx.Client, query: dict[str, str]) -> None:
    problem = get(api, status=413, f="geotiff", **query).json()
    assert problem["code"] == "too-large"
    assert "scale-factor" in problem["hint"]


@conf("core")
def test_a_whole_cube_of_all_parameters_is_within_bounds(api: httpx.Client) -> None:
    document = covjson(api, "/collections/weather/coverage")
    assert document["ranges"]["acc_precip"]["shape"] == [744, 12, 12]


# --- Clients


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_PAM_ENABLED", "NO")


@pytest.mark.gdal
@conf("core", "coverage-subset", "scaling", "geotiff")
def test_gdal_reads_the_coverage_where_it_lies(small: tuple[Store, str], tmp_path: Any, quiet: None) -> None:
    program("gdal_translate")
    source = f"OGCAPI:{small[1]}/ogc/collections/terrain-dtm"
    target = tmp_path / "out.tif"
    command = ["gdal_translate", "-q", "-oo", "CACHE=NO", source, str(target)]
    subprocess.run(command, check=True, timeout=120, capture_output=True, cwd=tmp_path)
    with rasterio.open(target) as image:
        assert image.crs.to_epsg() == 4326
        values = image.read(1)
        rows, columns = np.mgrid[0 : image.height, 0 : image.width]
        x, y = image.transform @ (columns + 0.5, rows + 0.5)
    e, n = Transformer.from_crs("OGC:CRS84", "EPSG:25832", always_xy=True).transform(x, y)
    inside = (e > WEST + 2) & (e < EAST - 2) & (n > SOUTH + 320) & (n < NORTH - 2)  # without quays
    assert inside.mean() > 0.4
    assert np.abs(values - height_m(e, n))[inside].max() < 0.05
