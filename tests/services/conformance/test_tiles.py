"""OGC API Tiles 1.0 (20-057) and Two Dimensional Tile Matrix Sets 2.0 (17-083r4): their abstract tests."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import httpx
import jsonschema
import mapbox_vector_tile
import morecantile
import pyproj
import pytest
import shapely
from shapely.geometry import shape
from small_store import EAST, GRANTED_LINES, NORTH, as_who, building_shape

from geoinfra.storage import Store

pytestmark = pytest.mark.services

TILES = "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf"
TMS = "http://www.opengis.net/spec/tms/2.0/conf"
RELATIONS = "http://www.opengis.net/def/rel/ogc/1.0"
SETS = ["WebMercatorQuad", "WorldCRS84Quad", "DanishUTM32Quad"]
LEVELS = {"WebMercatorQuad": 16, "WorldCRS84Quad": 16, "DanishUTM32Quad": 10}
MVT = "application/vnd.mapbox-vector-tile"
CENTRE = pyproj.Transformer.from_crs(25832, 4326, always_xy=True).transform(EAST + 100, NORTH + 100)


def get(api: httpx.Client, path: str, who: str = "anonymous", **query: Any) -> Any:
    answer = api.get(path, params=query, headers=as_who(who))
    assert answer.status_code == 200, answer.text
    return answer.json()


def linked(document: Any, relation: str, media_type: str | None = None) -> list[str]:
    return [
        link["href"]
        for link in document["links"]
        if link["rel"] == relation and (media_type is None or link["type"] == media_type)
    ]


def matrices(api: httpx.Client, name: str) -> morecantile.TileMatrixSet:
    return morecantile.TileMatrixSet.model_validate(get(api, f"/tileMatrixSets/{name}"))


def tile_at(api: httpx.Client, name: str, level: int) -> str:
    tile = matrices(api, name).tile(*CENTRE, level)
    return f"{level}/{tile.y}/{tile.x}"


def features(content: bytes, layer: str) -> dict[str, Any]:
    decoded = mapbox_vector_tile.decode(content, default_options={"y_coord_down": True})
    return {f["properties"]["feature_id"]: f for f in decoded[layer]["features"]}


# --- Tile matrix sets


@pytest.mark.conformance(f"{TMS}/tilematrixset", f"{TMS}/json-tilematrixset")
def test_the_tile_matrix_sets_are_listed_and_defined(api: httpx.Client) -> None:
    landing = get(api, "/")
    (address,) = linked(landing, f"{RELATIONS}/tiling-schemes")
    listed = api.get(address).json()
    assert [entry["id"] for entry in listed["tileMatrixSets"]] == SETS
    for entry in listed["tileMatrixSets"]:
        (own,) = linked(entry, "self")
        definition = api.get(own).json()
        assert definition["id"] == entry["id"]
        assert definition["crs"].startswith("http://www.opengis.net/def/crs/")
        levels = definition["tileMatrices"]
        assert len({level["id"] for level in levels}) == len(levels)
        for level in levels:
            assert level["cornerOfOrigin"] == "topLeft"
            assert level["scaleDenominator"] > 0
            assert (
                min(level["matrixWidth"], level["matrixHeight"], level["tileWidth"], level["tileHeight"]) > 0
            )
        for coarse, fine in pairwise(levels):
            assert coarse["cellSize"] == pytest.approx(2 * fine["cellSize"])
        morecantile.TileMatrixSet.model_validate(definition)
    assert api.get("/tileMatrixSets/Nothing").status_code == 404


# --- Lists of tilesets


@pytest.mark.conformance(f"{TILES}/tilesets-list")
@pytest.mark.conformance(f"{TILES}/geodata-tilesets")
def test_a_collection_links_to_the_list_of_its_tilesets(api: httpx.Client) -> None:
    collection = get(api, "/collections/buildings")
    (address,) = linked(collection, f"{RELATIONS}/tilesets-vector")
    listed = api.get(address).json()
    assert linked(listed, "self")
    assert len(listed["tilesets"]) == len(SETS)
    for entry, name in zip(listed["tilesets"], SETS, strict=True):
        assert entry["dataType"] == "vector"
        assert entry["crs"] == get(api, f"/tileMatrixSets/{name}")["crs"]
        (scheme,) = linked(entry, f"{RELATIONS}/tiling-scheme")
        assert api.get(scheme).json()["id"] == name
        (own,) = linked(entry, "self")
        assert api.get(own).json()["dataType"] == "vector"


@pytest.mark.conformance(f"{TILES}/dataset-tilesets")
def test_the_landing_page_links_to_the_tilesets_of_all_collections(api: httpx.Client) -> None:
    (address,) = linked(get(api, "/"), f"{RELATIONS}/tilesets-vector")
    listed = api.get(address).json()
    for entry in listed["tilesets"]:
        told = api.get(linked(entry, "self")[0]).json()
        assert [layer["id"] for layer in told["layers"]] == ["buildings", "streets"]
        (template,) = linked(told, "item")
        name = linked(entry, f"{RELATIONS}/tiling-scheme")[0].rpartition("/")[2]
        z, row, column = tile_at(api, name, LEVELS[name]).split("/")
        address = template.format(tileMatrix=z, tileRow=row, tileCol=column)
        tile = api.get(address)
        assert tile.headers["content-type"] == MVT
        assert set(mapbox_vector_tile.decode(tile.content)) == {"buildings", "streets"}


# --- Metadata of a tileset

TILESET_SCHEMA = {
    "type": "object",
    "required": ["dataType", "crs", "links", "tileMatrixSetLimits", "boundingBox", "layers"],
    "properties": {
        "dataType": {"enum": ["map", "vector", "coverage"]},
        "crs": {"type": "string", "format": "uri"},
        "tileMatrixSetURI": {
            "type": "string",
            "pattern": "^http://www.opengis.net/def/tilematrixset/OGC/1.0/",
        },
        "links": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["href", "rel"],
                "properties": {"templated": {"type": "boolean"}, "href": {"type": "string"}},
            },
        },
        "tileMatrixSetLimits": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tileMatrix", "minTileRow", "maxTileRow", "minTileCol", "maxTileCol"],
                "properties": {
                    "tileMatrix": {"type": "string"},
                    **{
                        name: {"type": "integer", "minimum": 0}
                        for name in ("minTileRow", "maxTileRow", "minTileCol", "maxTileCol")
                    },
                },
            },
        },
        "boundingBox": {
            "type": "object",
            "required": ["lowerLeft", "upperRight"],
            "properties": {
                name: {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
                for name in ("lowerLeft", "upperRight")
            },
        },
        "layers": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "dataType"],
                "properties": {
                    "dataType": {"enum": ["map", "vector", "coverage"]},
                    "geometryDimension": {"enum": [0, 1, 2, 3]},
                    "propertiesSchema": {"type": "object", "required": ["type", "properties"]},
                },
            },
        },
    },
}


@pytest.mark.conformance(f"{TILES}/tileset")
@pytest.mark.conformance(f"{TMS}/tilesetmetadata", f"{TMS}/json-tilesetmetadata")
@pytest.mark.parametrize("name", SETS)
def test_metadata_of_a_tileset_tell_links_limits_bounds_and_layers(api: httpx.Client, name: str) -> None:
    told = get(api, f"/collections/buildings/tiles/{name}")
    jsonschema.validate(told, TILESET_SCHEMA)
    assert linked(told, "self")
    (scheme,) = linked(told, f"{RELATIONS}/tiling-scheme")
    assert scheme.endswith(f"/tileMatrixSets/{name}")
    (template,) = linked(told, "item")
    assert all(part in template for part in ("{tileMatrix}", "{tileRow}", "{tileCol}"))
    (layer,) = told["layers"]
    assert (layer["id"], layer["dataType"], layer["geometryDimension"]) == ("buildings", "vector", 2)
    kinds = {name: schema["type"] for name, schema in layer["propertiesSchema"]["properties"].items()}
    assert kinds == {
        "name": "string", "floors": "integer", "height_m": "number", "listed": "boolean", "built": "string",
        "feature_id": "string",
    }  # fmt: skip
    grid = matrices(api, name)
    west, south = told["boundingBox"]["lowerLeft"]
    east, north = told["boundingBox"]["upperRight"]
    assert west < CENTRE[0] < east
    assert south < CENTRE[1] < north
    for limits in told["tileMatrixSetLimits"]:
        tile = grid.tile(*CENTRE, int(limits["tileMatrix"]))
        assert limits["minTileRow"] <= tile.y <= limits["maxTileRow"]
        assert limits["minTileCol"] <= tile.x <= limits["maxTileCol"]


@pytest.mark.conformance(f"{TILES}/tileset")
def test_metadata_come_as_a_page_too_and_escaped(api: httpx.Client) -> None:
    for path in ("/tileMatrixSets", "/tileMatrixSets/DanishUTM32Quad", "/tiles", "/tiles/WebMercatorQuad",
                 "/collections/buildings/tiles", "/collections/buildings/tiles/WebMercatorQuad"):  # fmt: skip
        for language in ("da", "en"):
            page = api.get(path, params={"f": "html", "lang": language})
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert f'<html lang="{language}">' in page.text


def test_a_tilejson_tells_what_maplibre_reads(api: httpx.Client) -> None:
    told = get(api, "/tiles/WebMercatorQuad", f="tilejson")
    assert told["tilejson"] == "3.0.0"
    z, row, column = tile_at(api, "WebMercatorQuad", 16).split("/")
    (template,) = told["tiles"]
    address = template.format(z=z, x=column, y=row)
    tile = mapbox_vector_tile.decode(api.get(address).content)
    assert set(tile) == {layer["id"] for layer in told["vector_layers"]}
    for layer in told["vector_layers"]:
        seen = {name for f in tile[layer["id"]]["features"] for name in f["properties"]}
        assert seen <= set(layer["fields"])
    assert told["bounds"][0] < CENTRE[0] < told["bounds"][2]
    assert api.get("/tiles/DanishUTM32Quad?f=tilejson").status_code == 400


# --- Tiles


@pytest.mark.conformance(f"{TILES}/core")
@pytest.mark.conformance(f"{TILES}/mvt")
@pytest.mark.parametrize("name", SETS)
def test_a_tile_holds_the_features_of_its_square(api: httpx.Client, name: str) -> None:
    level = LEVELS[name]
    answer = api.get(f"/collections/buildings/tiles/{name}/{tile_at(api, name, level)}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, MVT)
    grid = matrices(api, name)
    bounds = grid.xy_bounds(grid.tile(*CENTRE, level))
    mover = pyproj.Transformer.from_crs(25832, grid.crs.to_epsg() or "OGC:CRS84", always_xy=True)

    def placed(row: int) -> shapely.Geometry:
        def move(xy: Any) -> Any:
            x, y = mover.transform(xy[:, 0], xy[:, 1])
            along = (x - bounds.left) / (bounds.right - bounds.left) * 4096
            down = (bounds.top - y) / (bounds.top - bounds.bottom) * 4096
            return shapely.get_coordinates(shapely.points(along, down))

        return shapely.transform(building_shape(row), move)

    found = features(answer.content, "buildings")
    inner = shapely.box(0, 0, 4096, 4096)
    expected = {f"b.{row}" for row in range(249) if placed(row).intersects(inner)}
    assert expected <= set(found)
    assert len(expected) > 10
    for name_, feature in found.items():
        whole = placed(int(name_[2:]))
        assert shape(feature["geometry"]).hausdorff_distance(whole & shapely.box(-64, -64, 4160, 4160)) < 2


@pytest.mark.conformance(f"{TILES}/core")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("WebMercatorQuad/16/0/0", 404), ("WebMercatorQuad/16/65536/0", 404), ("WebMercatorQuad/99/0/0", 404),
        ("WebMercatorQuad/16/-1/0", 404), ("Nothing/1/0/0", 404), ("WebMercatorQuad/x/0/0", 404),
        ("DanishUTM32Quad/15/0/0", 404), ("WebMercatorQuad/99999999999999999999/0/0", 404),
    ],
)  # fmt: skip
def test_a_tile_outside_the_limits_does_not_exist(api: httpx.Client, path: str, status: int) -> None:
    answer = api.get(f"/collections/buildings/tiles/{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.conformance(f"{TILES}/core")
def test_an_empty_tile_within_the_limits_is_answered_without_content(api: httpx.Client) -> None:
    told = get(api, "/collections/streets/tiles/WebMercatorQuad")
    deepest = told["tileMatrixSetLimits"][-1]
    statuses = {
        api.get(
            f"/collections/streets/tiles/WebMercatorQuad/{deepest['tileMatrix']}/"
            f"{deepest['minTileRow'] + step}/{deepest['maxTileCol']}"
        ).status_code
        for step in range(3)
    }
    assert 204 in statuses
    assert statuses <= {200, 204}


@pytest.mark.conformance(f"{TILES}/core")
def test_unknown_and_bad_parameters_are_refused(api: httpx.Client) -> None:
    path = f"/collections/buildings/tiles/WebMercatorQuad/{tile_at(api, 'WebMercatorQuad', 16)}"
    for query in ("f=png", "f=json", "f=mvt&f=mvt", "z=1", "collections=streets"):
        assert api.get(f"{path}?{query}").status_code == 400, query
    assert api.get(f"{path}?f=mvt").content == api.get(path).content
    assert api.get("/collections/nothing/tiles").status_code == 404
    assert api.get("/collections/buildings/tiles?z=1").status_code == 400


@pytest.mark.conformance(f"{TILES}/core")
def test_an_open_tile_is_kept_and_not_sent_twice(api: httpx.Client) -> None:
    path = f"/collections/buildings/tiles/DanishUTM32Quad/{tile_at(api, 'DanishUTM32Quad', 10)}"
    answer = api.get(path)
    assert answer.headers["cache-control"].startswith("public")
    again = api.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.conformance(f"{TILES}/collections-selection")
def test_collections_choose_the_layers(api: httpx.Client) -> None:
    path = f"/tiles/WebMercatorQuad/{tile_at(api, 'WebMercatorQuad', 16)}"
    for chosen in (["streets"], ["buildings"], ["streets", "buildings"]):
        tile = api.get(path, params={"collections": ",".join(chosen)})
        assert set(mapbox_vector_tile.decode(tile.content)) == set(chosen)
    for refused in ("nothing", "streets,nothing", "", "utility-lines"):
        assert api.get(path, params={"collections": refused}).status_code == 400


@pytest.mark.conformance(f"{TILES}/oas30")
def test_every_path_of_the_tiles_is_described(api: httpx.Client) -> None:
    paths = get(api, "/openapi")["paths"]
    for base in ("/tiles", "/collections/{collectionId}/tiles"):
        for path in (base, f"{base}/{{tileMatrixSetId}}"):
            assert "200" in paths[path]["get"]["responses"]
        tile = paths[f"{base}/{{tileMatrixSetId}}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"]["get"]
        assert set(tile["responses"]["200"]["content"]) == {MVT}
        assert {p["name"] for p in tile["parameters"] if p["in"] == "path"} >= {
            "tileMatrixSetId", "tileMatrix", "tileRow", "tileCol",
        }  # fmt: skip
    assert {"/tileMatrixSets", "/tileMatrixSets/{tileMatrixSetId}"} <= set(paths)


# --- Who may see what


def test_granted_tiles_exist_for_those_who_may_know_them_only(
    api: httpx.Client, small: tuple[Store, str]
) -> None:
    base = "/collections/utility-lines/tiles"
    path = f"{base}/DanishUTM32Quad/{tile_at(api, 'DanishUTM32Quad', 7)}"
    for where in (base, f"{base}/WebMercatorQuad", path):
        for who in ("anonymous", "planner", "admin"):
            assert api.get(where, headers=as_who(who)).status_code == 404
        answer = api.get(where, headers=as_who("digger"))
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "private, no-store"
        assert "etag" not in answer.headers
    assert len(features(api.get(path, headers=as_who("digger")).content, "utility-lines")) == GRANTED_LINES
    assert api.get(path, headers=as_who("other-digger")).status_code == 204
    noted = json.dumps([str(entry) for entry in small[0].audit.tail()])
    assert path in noted
    layers = [layer["id"] for layer in get(api, "/tiles/WebMercatorQuad", "digger")["layers"]]
    assert "utility-lines" in layers
