"""OGC API Maps 1.0 (20-058): the abstract tests of the classes that are claimed."""

from __future__ import annotations

import io
from typing import Any

import httpx
import numpy as np
import pyproj
import pytest
from PIL import Image
from small_store import EAST, NORTH, as_who, building_shape

from geoinfra.presentation.map_ground import PAPER
from geoinfra.storage import Store

pytestmark = pytest.mark.services

MAPS = "http://www.opengis.net/spec/ogcapi-maps-1/1.0/conf"
RELATIONS = "http://www.opengis.net/def/rel/ogc/1.0"
UTM = "http://www.opengis.net/def/crs/EPSG/0/25832"
CRS = [
    *(f"http://www.opengis.net/def/crs/EPSG/0/{code}" for code in (25832, 3857, 4326, 25833)),
    "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
]
GROUND = (650_200.0, 6_084_000.0, 650_800.0, 6_084_600.0)  # of the fixture `grids`
WINDOW = (EAST - 10.0, NORTH - 10.0, EAST + 190.0, NORTH + 90.0)


def picture(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")).astype(int)


def colour(name: str) -> list[int]:
    return [int(PAPER[name][at : at + 2], 16) for at in (1, 3, 5)]


def in_utm(**more: Any) -> dict[str, Any]:
    box = ",".join(str(number) for number in WINDOW)
    return {"bbox": box, "bbox-crs": UTM, "crs": UTM, "width": 800, "height": 400, **more}


def linked(document: Any, relation: str, media_type: str) -> str:
    (found,) = (k["href"] for k in document["links"] if k["rel"] == relation and k["type"] == media_type)
    return str(found)


# --- Core


@pytest.mark.conformance(f"{MAPS}/core", f"{MAPS}/collection-map", f"{MAPS}/dataset-map", f"{MAPS}/png")
@pytest.mark.parametrize("path", ["/", "/collections/buildings", "/collections/streets"])
def test_a_map_is_linked_and_drawn_without_any_parameter(api: httpx.Client, path: str) -> None:
    answer = api.get(linked(api.get(path).json(), f"{RELATIONS}/map", "image/png"))
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-crs"] == f"<{UTM}>"
    west, south, east, north = map(float, answer.headers["content-bbox"].split(","))
    assert west < EAST < east
    assert south < NORTH < north
    drawn = picture(answer)
    assert max(drawn.shape[:2]) == 1024
    assert len(np.unique(drawn.reshape(-1, 4), axis=0)) > 3


@pytest.mark.conformance(f"{MAPS}/core")
def test_each_building_is_drawn_where_it_lies(api: httpx.Client) -> None:
    """The oracle: the middle of a building's solid part has its colour, the street between has none."""
    drawn = picture(api.get("/collections/buildings/map", params=in_utm()))
    assert drawn.shape == (400, 800, 4)
    for row in (0, 1, 8, 27, 51, 53):
        shape = building_shape(row)
        east, north = shape.bounds[2] - 1.5, shape.bounds[1] + 1.5
        across, down = int((east - WINDOW[0]) * 4), int((WINDOW[3] - north) * 4)
        assert drawn[down, across].tolist() == [*colour("building"), 255]
        inside_hole = int((shape.bounds[0] + 5.5 - WINDOW[0]) * 4), int((WINDOW[3] - shape.bounds[1] - 4) * 4)
        assert (drawn[inside_hole[1], inside_hole[0], 3] == 0) == bool(row % 2)
        beside = int((shape.bounds[2] + 5 - WINDOW[0]) * 4)
        assert drawn[down, beside, 3] == 0


@pytest.mark.conformance(f"{MAPS}/jpeg", f"{MAPS}/png")
def test_the_formats_are_chosen_by_parameter_and_by_header(api: httpx.Client) -> None:
    path = "/collections/buildings/map"
    for form, media in (("png", "image/png"), ("jpeg", "image/jpeg")):
        for asked in (
            api.get(path, params=in_utm(f=form)),
            api.get(path, params=in_utm(), headers={"Accept": media}),
        ):
            assert asked.headers["content-type"] == media
            assert Image.open(io.BytesIO(asked.content)).format == form.upper()
    assert picture(api.get(path, params=in_utm(f="jpeg")))[0, 0].tolist() == [255, 255, 255, 255]


@pytest.mark.conformance(f"{MAPS}/core")
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("bbox=1,2,3", 400), ("bbox=10,56,9,57", 400), ("bbox=nan,0,1,1", 400), ("bbox=1e400,0,1,1", 400),
        ("bbox=a,b,c,d", 400), ("width=0", 400), ("width=-5", 400), ("width=1.5", 400), ("height=x", 400),
        ("width=100000", 413), ("width=4096&height=4096", 413), ("width=99999999999999999999", 400),
        ("crs=EPSG:9999", 400), ("bbox-crs=EPSG:25832", 400), ("f=gif", 400), ("f=png&f=jpeg", 400),
        ("bgcolor=notacolour", 400), ("bgcolor=0x12345", 400), ("bgcolor=%22%3E%3Cscript%3E", 400),
        ("transparent=perhaps", 400), ("unknown=1", 400), ("bbox=0,0,1e-320,1", 400),
        ("bbox=-1e12,-1e12,1e12,1e12", 400),
    ],
)  # fmt: skip
def test_parameters_without_meaning_are_refused(api: httpx.Client, query: str, status: int) -> None:
    answer = api.get(f"/collections/buildings/map?{query}")
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.conformance(f"{MAPS}/core")
def test_a_map_is_kept_and_not_sent_twice(api: httpx.Client) -> None:
    answer = api.get("/map", params=in_utm())
    assert answer.headers["cache-control"].startswith("public")
    again = api.get("/map", params=in_utm(), headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


# --- CRSs


@pytest.mark.conformance(f"{MAPS}/crs")
@pytest.mark.parametrize("uri", CRS)
def test_a_map_in_each_crs_shows_the_same_ground(api: httpx.Client, uri: str) -> None:
    name = pyproj.CRS(uri)
    mover = pyproj.Transformer.from_crs(25832, name, always_xy=True)
    west, south, east, north = mover.transform_bounds(*WINDOW)
    north_first = name.axis_info[0].direction == "north"
    box = (south, west, north, east) if north_first else (west, south, east, north)
    asked = {"bbox": ",".join(map(repr, box)), "bbox-crs": uri, "crs": uri, "width": 600, "height": 500}
    answer = api.get("/collections/buildings/map", params=asked)
    assert answer.headers["content-crs"] == f"<{uri}>"
    assert [float(n) for n in answer.headers["content-bbox"].split(",")] == pytest.approx(box, rel=1e-8)
    drawn = picture(answer)
    for row in (1, 27, 53):
        shape = building_shape(row)
        x, y = mover.transform(shape.bounds[2] - 1.5, shape.bounds[1] + 1.5)
        across, down = int((x - west) / (east - west) * 600), int((north - y) / (north - south) * 500)
        assert drawn[down, across].tolist() == [*colour("building"), 255]


@pytest.mark.conformance(f"{MAPS}/crs")
def test_a_box_without_crs_is_in_degrees_and_one_side_gives_the_other(api: httpx.Client) -> None:
    degrees = pyproj.Transformer.from_crs(25832, "OGC:CRS84", always_xy=True).transform_bounds(*WINDOW)
    for size in ({"width": 400}, {"height": 200}):
        answer = api.get("/map", params={"bbox": ",".join(map(str, degrees)), **size})
        height, width, _ = picture(answer).shape
        assert 1.6 < width / height < 2.0
        west, south, east, north = map(float, answer.headers["content-bbox"].split(","))
        assert west <= WINDOW[0] + 0.01
        assert east >= WINDOW[2] - 0.01
        assert (east - west) / width == pytest.approx((north - south) / height, rel=0.02)


# --- Background, selection, styles


@pytest.mark.conformance(f"{MAPS}/background")
def test_the_background_is_transparent_unless_a_colour_is_given(api: httpx.Client) -> None:
    corner = {
        "": [0],
        "bgcolor=0x12AB34": [0x12, 0xAB, 0x34, 255],
        "bgcolor=Tomato": [255, 99, 71, 255],
        "bgcolor=Tomato&transparent=true": [0],
        "transparent=false": [255, 255, 255, 255],
        "transparent=true": [0],
    }
    for query, expected in corner.items():
        extra = dict(part.split("=") for part in query.split("&") if part)
        pixel = picture(api.get("/collections/buildings/map", params=in_utm(**extra)))[0, 0].tolist()
        assert pixel[-len(expected) :] == expected, query


@pytest.mark.conformance(f"{MAPS}/collections-selection")
def test_collections_choose_what_a_map_shows(api: httpx.Client) -> None:
    both = picture(api.get("/map", params=in_utm(collections="buildings,streets")))
    for name in ("buildings", "streets"):
        one = picture(api.get("/map", params=in_utm(collections=name)))
        assert np.array_equal(one, picture(api.get(f"/collections/{name}/map", params=in_utm())))
        assert not np.array_equal(one, both)
    assert np.array_equal(both, picture(api.get("/map", params=in_utm(collections="streets,buildings"))))
    for refused in ("nothing", "utility-lines", ""):
        assert api.get("/map", params=in_utm(collections=refused)).status_code == 400
    assert api.get("/collections/buildings/map", params=in_utm(collections="streets")).status_code == 400


@pytest.mark.conformance(f"{MAPS}/styled-map")
def test_each_style_draws_a_map(api: httpx.Client) -> None:
    for entry in api.get("/styles").json()["styles"]:
        answer = api.get(f"/styles/{entry['id']}/map", params=in_utm())
        assert picture(answer).shape == (400, 800, 4)
    assert api.get("/styles/nothing/map").status_code == 404
    assert api.get("/collections/buildings/styles/geoinfra/map").status_code == 404
    styled = api.get("/collections/utility-lines/styles/geoinfra/map", headers=as_who("digger"))
    assert picture(styled).shape[2] == 4


# --- Tiles


@pytest.mark.conformance(f"{MAPS}/tilesets")
@pytest.mark.parametrize("base", ["", "/collections/buildings", "/styles/geoinfra"])
def test_map_tiles_are_the_pieces_of_the_map(api: httpx.Client, base: str) -> None:
    listed = api.get(f"{base}/map/tiles").json()
    assert [entry["dataType"] for entry in listed["tilesets"]] == ["map"] * 3
    told = api.get(f"{base}/map/tiles/DanishUTM32Quad").json()
    templates = {k["type"]: k["href"] for k in told["links"] if k["rel"] == "item"}
    assert set(templates) == {"image/png", "image/jpeg"}
    limits = next(one for one in told["tileMatrixSetLimits"] if one["tileMatrix"] == "12")
    row, column = limits["maxTileRow"] - 1, limits["minTileCol"] + 1
    address = templates["image/png"].format(tileMatrix=12, tileRow=row, tileCol=column)
    answer = api.get(address)
    assert answer.headers["content-type"] == "image/png"
    west, north, side = 120_000 + column * 102.4, 6_500_000 - row * 102.4, 102.4
    box = f"{west},{north - side},{west + side},{north}"
    whole = api.get(
        f"{base}/map", params={"bbox": box, "bbox-crs": UTM, "crs": UTM, "width": 256, "height": 256}
    )
    assert np.array_equal(picture(answer), picture(whole))
    assert picture(answer)[:, :, 3].any()
    again = api.get(address, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert api.get(f"{base}/map/tiles/DanishUTM32Quad/12/0/0").status_code == 404
    assert api.get(f"{base}/map/tiles/DanishUTM32Quad?f=html").headers["content-type"].startswith("text/html")


def test_paths_of_the_maps_are_described(api: httpx.Client) -> None:
    paths = api.get("/openapi").json()["paths"]
    for base in ("/map", "/collections/{collectionId}/map", "/styles/{styleId}/map"):
        assert set(paths[base]["get"]["responses"]["200"]["content"]) == {"image/png", "image/jpeg"}
        assert f"{base}/tiles/{{tileMatrixSetId}}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}" in paths


# --- Who may see what


def test_granted_maps_exist_for_those_who_may_know_them_only(
    api: httpx.Client, small: tuple[Store, str]
) -> None:
    path = "/collections/utility-lines/map"
    for who in ("anonymous", "planner", "admin"):
        assert api.get(path, headers=as_who(who)).status_code == 404
    drawn = {}
    for who in ("digger", "other-digger", "owner-a"):
        answer = api.get(path, params=in_utm(), headers=as_who(who))
        assert answer.headers["cache-control"] == "private, no-store"
        assert "etag" not in answer.headers
        drawn[who] = int((picture(answer)[:, :, 3] > 0).sum())
    assert drawn["other-digger"] == 0
    assert 0 < drawn["digger"] < drawn["owner-a"]
    noted = " ".join(str(entry) for entry in small[0].audit.tail())
    assert "map.read" in noted
    open_map = api.get("/map", params=in_utm(), headers=as_who("digger"))
    assert open_map.headers["cache-control"] == "private, no-store"


# --- Grids


def test_terrain_is_tinted_and_shaded_in_its_own_bounds(api: httpx.Client, grids: Store) -> None:
    west, south = GROUND[:2]
    asked = {"bbox-crs": UTM, "crs": UTM, "width": 300, "height": 300}
    inside = f"{west + 50},{south + 50},{west + 250},{south + 250}"
    drawn = picture(api.get("/collections/terrain-dtm/map", params={**asked, "bbox": inside}))
    assert (drawn[:, :, 3] == 255).all()
    assert drawn[:, :, :3].std() > 0.5
    outside = f"{west - 1000},{south},{west - 700},{south + 300}"
    assert not picture(api.get("/collections/terrain-dtm/map", params={**asked, "bbox": outside})).any()
    told = api.get("/collections/terrain-dtm/map/tiles/DanishUTM32Quad").json()
    assert [layer["id"] for layer in told["layers"]] == ["terrain-dtm"]
    assert api.get("/collections/weather/map").status_code == 404
