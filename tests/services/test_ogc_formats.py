"""Features in every format equal those of GeoJSON, read by other programs."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pyogrio
import pyproj
import pytest
import shapely
from parts import program
from shapely.geometry import shape
from small_store import ADMIN, BUILDING_COUNT, EAST, NORTH, as_who, building_shape, small_service

from geoinfra.access import Visibility
from geoinfra.storage import Store
from geoinfra.storage.collections import add_collection
from geoinfra.storage.deliveries import publish
from geoinfra.tables import Column, ColumnType, DatasetSchema, FeatureBatch
from services.ogc import formats

pytestmark = pytest.mark.services

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
ITEMS = "/ogc/collections/buildings/items"
ODD_ITEMS = "/ogc/collections/odd/items"
MEDIA_TYPES = {
    "json": "application/geo+json",
    "jsonfg": "application/vnd.ogc.fg+json",
    "fgb": "application/flatgeobuf",
    "gpkg": "application/geopackage+sqlite3",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
    "html": "text/html",
}
ATTACKS = [
    '=cmd|"/C calc"!A0',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "＝1",
    "'quoted",
    "<script>window.broken=1</script>",
    '"><img src=x onerror="window.broken=1">',
    "a;b,c\r\nd\"e'",
    "{{ 7*7 }}",
    "æøå <2004 & more",
    "",
]
ODD = DatasetSchema(
    "odd",
    "Geometry",
    (
        Column("text"),
        Column("seen_at", ColumnType.DATETIME),
        Column("wkt"),
        Column("bbox"),
        Column("share", ColumnType.REAL),
    ),
    visibility=Visibility.OPEN,
)


def publish_odd(store: Store) -> None:
    count = len(ATTACKS)
    shapes: list[Any] = [shapely.Point(EAST + n, NORTH + n / 3) for n in range(count)]
    shapes[1] = shapely.MultiPolygon([shapely.box(EAST, NORTH, EAST + 1, NORTH + 1)])
    shapes[2] = None
    batch = FeatureBatch(
        ODD,
        [f"odd/{n} #?" for n in range(count)],
        [None if one is None else shapely.to_wkb(one) for one in shapes],
        {
            "text": list(ATTACKS),
            "seen_at": [None if n % 3 == 0 else f"2026-01-{n + 1:02d}T12:00:00.250Z" for n in range(count)],
            "wkt": [f"wkt {n}" for n in range(count)],
            "bbox": [f"bbox {n}" for n in range(count)],
            "share": [None if n == 4 else n / 7 for n in range(count)],
        },
    )
    staged = store.stage(ODD, "town", [batch])
    with store.begin() as tx:
        publish(tx, staged, ADMIN)
        add_collection(tx, {"id": "odd", "dataset": "odd", "visibility": "open"})
        tx.commit()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    with small_service(tmp_path_factory.mktemp("store")) as made:
        publish_odd(made[0])
        yield made


@pytest.fixture(scope="module")
def client(service: tuple[Store, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service[1], timeout=60) as made:
        yield made


# --- Readers: rows by identifier, each a dict with a shapely geometry (x before y)

type Rows = dict[str, dict[str, Any]]


def _by_ogr(content: bytes, folder: Path, suffix: str) -> Rows:
    path = folder / f"read.{suffix}"
    path.write_bytes(content)
    meta, _, wkbs, columns = pyogrio.raw.read(path, datetime_as_string=True)
    rows = {}
    for number, identifier in enumerate(columns[list(meta["fields"]).index("feature_id")]):
        cells = {name: _plain(values[number]) for name, values in zip(meta["fields"], columns, strict=True)}
        rows[identifier] = {
            **cells,
            "shape": None if wkbs[number] is None else shapely.from_wkb(wkbs[number]),
        }
    return rows


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value


def _by_arrow(content: bytes, _folder: Path, _suffix: str) -> Rows:
    return _rows_of(pa.ipc.open_stream(io.BytesIO(content)).read_all())


def _by_parquet(content: bytes, _folder: Path, _suffix: str) -> Rows:
    return _rows_of(pa.parquet.read_table(io.BytesIO(content)))


def _rows_of(table: pa.Table) -> Rows:
    place = table.schema.names[0]
    rows = {}
    for row in table.to_pylist():
        wkb = row.pop(place)
        rows[row["feature_id"]] = {**row, "shape": None if wkb is None else shapely.from_wkb(wkb)}
    return rows


def _by_csv(content: bytes, _folder: Path, _suffix: str) -> Rows:
    rows = {}
    for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")):
        cells: dict[str, Any] = {
            name: (cell[1:] if cell.startswith("'") else cell) if cell else None for name, cell in row.items()
        }
        wkt = cells.pop("WKT")
        rows[row["feature_id"]] = {**cells, "shape": None if wkt is None else shapely.from_wkt(wkt)}
    return rows


def _by_json(content: bytes, _folder: Path, _suffix: str) -> Rows:
    document = json.loads(content)
    rows = {}
    for feature in document["features"]:
        geometry = feature.get("place") or feature["geometry"]
        rows[feature["id"]] = {
            **feature["properties"],
            "feature_id": feature["id"],
            "shape": None if geometry is None else shape(geometry),
        }
    return rows


READERS: dict[str, Callable[[bytes, Path, str], Rows]] = {
    "json": _by_json,
    "jsonfg": _by_json,
    "fgb": _by_ogr,
    "gpkg": _by_ogr,
    "csv": _by_csv,
    "arrow": _by_arrow,
    "parquet": _by_parquet,
}
TABLES = ("fgb", "gpkg", "csv", "arrow", "parquet")


def read(client: httpx.Client, form: str, folder: Path, items: str = ITEMS, **query: Any) -> Rows:
    answer = client.get(items, params={"f": form, **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == MEDIA_TYPES[form]
    return READERS[form](answer.content, folder, form)


def expected_shape(row: int, code: int | None) -> shapely.Polygon:
    mover = pyproj.Transformer.from_crs(25832, code or "OGC:CRS84", always_xy=True)
    return shapely.transform(building_shape(row), lambda xy: np.column_stack(mover.transform(*xy.T)))


@pytest.mark.parametrize("code", [None, 25832, 25833, 4326, 3857])
@pytest.mark.parametrize("form", [*TABLES, "jsonfg", "json"])
def test_every_format_gives_the_same_features_in_every_crs(
    client: httpx.Client, tmp_path: Path, form: str, code: int | None
) -> None:
    query = {"limit": 300, **({"crs": f"{EPSG}{code}"} if code else {})}
    rows = read(client, form, tmp_path, **query)
    assert len(rows) == BUILDING_COUNT
    for number in (0, 3, 37, 248):
        row = rows[f"b.{number}"]
        found = row["shape"]
        if code == 4326 and form in ("csv", "json", "jsonfg"):  # these follow the CRS's own axes
            found = shapely.transform(found, lambda xy: xy[:, ::-1])
        tolerance = 0.001 if code in (25832, 25833, 3857) else 2e-8
        assert shapely.equals_exact(found, expected_shape(number, code), tolerance)
        assert row["name"] == f"Hus <{number}> \"æøå\" & 'co'"
        details = row["details"] if isinstance(row["details"], dict) else json.loads(row["details"])
        assert details == {"row": number, "tags": ["a", "<b>"]}
        if form == "csv":
            assert (row["floors"], row["listed"], row["built"]) == (
                str(number % 5),
                "true" if number % 3 == 0 else "false",
                f"{1900 + number % 100}-06-01",
            )
        else:
            built = row["built"].isoformat() if isinstance(row["built"], date) else row["built"]
            assert (row["floors"], bool(row["listed"])) == (number % 5, number % 3 == 0)
            midnight = "T00:00:00" if form == "fgb" else ""  # it has no dates without a time
            assert built.replace("/", "-") == f"{1900 + number % 100}-06-01{midnight}"
            assert row["height_m"] == (number / 4 if number % 10 else None)
        assert "secret" not in row
    assert rows["b.249"]["shape"] is None


@pytest.mark.parametrize("form", [*TABLES, "jsonfg", "json"])
def test_hostile_texts_and_names_arrive_as_they_are(client: httpx.Client, tmp_path: Path, form: str) -> None:
    rows = read(client, form, tmp_path, ODD_ITEMS, crs=f"{EPSG}25832")
    assert len(rows) == len(ATTACKS)
    for number, attack in enumerate(ATTACKS):
        row = rows[f"odd/{number} #?"]
        assert row["text"] == attack or (form == "csv" and row["text"] is None and not attack)
        assert row["bbox"] == f"bbox {number}"
        texts = [str(value) for name, value in row.items() if name not in ("shape", "text")]
        assert f"wkt {number}" in texts
        if form not in ("csv", "json", "jsonfg") and number % 3:
            moment = datetime(2026, 1, number + 1, 12, 0, 0, 250_000, UTC)
            seen = row["seen_at"]
            told = (
                seen
                if isinstance(seen, datetime)
                else datetime.fromisoformat(str(seen).replace("Z", "+00:00"))
            )
            assert told.replace(tzinfo=UTC) == moment
    assert rows["odd/2 #?"]["shape"] is None
    assert rows["odd/1 #?"]["shape"].geom_type == "MultiPolygon"


def test_no_cell_of_csv_can_be_taken_for_a_formula(client: httpx.Client) -> None:
    text = client.get(ODD_ITEMS, params={"f": "csv", "limit": 100}).content.decode("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    dangerous = [
        cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r", "＝")) or cell.startswith("-2+")
    ]
    assert dangerous == []
    assert '\'=cmd|"/C calc"!A0' in cells


@pytest.mark.parametrize("form", sorted(MEDIA_TYPES))
def test_a_format_is_chosen_by_accept_too(client: httpx.Client, form: str) -> None:
    for path in (ITEMS, f"{ITEMS}/b.7"):
        answer = client.get(path, headers={"Accept": f"image/png, {MEDIA_TYPES[form]}, */*;q=0.1"})
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] == MEDIA_TYPES[form]
        assert "Accept" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("application/*", "json"),
        ("application/json", "json"),
        ("text/*", "html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        ("application/geo+json;q=0.5, text/csv;q=0.6", "csv"),
        ("application/json, text/html", "json"),
        ("text/html, application/json", "html"),
        ("application/geo+json;q=0, */*", "json"),  # as application/json it is welcome
        ("application/geo+json;q=0, application/json;q=0, */*;q=0.5", "html"),
        ("text/csv;header=present", "csv"),
        ("application/vnd.ogc.fg+json, application/geo+json;q=0.9", "jsonfg"),
    ],
)
def test_the_best_liked_format_wins(accept: str, form: str) -> None:
    from starlette.datastructures import QueryParams

    assert formats.chosen(QueryParams(""), accept).name == form


def test_what_is_not_offered_is_refused(client: httpx.Client) -> None:
    for accept in ("application/xml", "application/pdf, image/*", "text/html;q=0", "*/*;q=0"):
        answer = client.get(ITEMS, headers={"Accept": accept})
        assert (answer.status_code, answer.json()["code"]) == (406, "format-not-offered")
    wrong = client.get(ITEMS, params={"f": "xml"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid-input")
    hits = client.get(ITEMS, params={"f": "csv", "resulttype": "hits"})
    assert hits.status_code == 400


@pytest.mark.parametrize("form", TABLES)
def test_one_feature_in_every_format(client: httpx.Client, tmp_path: Path, form: str) -> None:
    answer = client.get(f"{ITEMS}/b.7", params={"f": form, "crs": f"{EPSG}25832"})
    rows = READERS[form](answer.content, tmp_path, form)
    assert list(rows) == ["b.7"]
    assert shapely.equals_exact(rows["b.7"]["shape"], building_shape(7), 0.001)
    assert answer.headers["content-crs"] == f"<{EPSG}25832>"
    suffix = {"arrow": "arrows"}.get(form, form)
    assert answer.headers["content-disposition"] == f'attachment; filename="buildings-b.7.{suffix}"'
    missing = client.get(f"{ITEMS}/nothing", params={"f": form})
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")


def test_names_of_files_hold_plain_characters_only(client: httpx.Client) -> None:
    answer = client.get("/ogc/collections/odd/items/odd%2F3%20%23%3F", params={"f": "csv"})
    assert answer.headers["content-disposition"] == 'attachment; filename="odd-odd_3_.csv"'


@pytest.mark.parametrize("form", [*TABLES, "jsonfg"])
@pytest.mark.parametrize("start", ["", "offset=0", "sortby=-name"])
def test_following_the_link_header_gives_every_feature_once(
    client: httpx.Client, tmp_path: Path, form: str, start: str
) -> None:
    url: str | None = f"{ITEMS}?f={form}&limit=100&properties=name&{start}"
    seen: list[str] = []
    pages = 0
    while url is not None and pages < 5:
        answer = client.get(url)
        rows = READERS[form](answer.content, tmp_path, form)
        seen += rows
        assert all(
            set(row) == {"feature_id", "name", "shape"} | ({"bbox"} & set(row)) for row in rows.values()
        )
        url = answer.links["next"]["url"] if "next" in answer.links else None
        pages += 1
    assert (sorted(seen), pages) == (sorted(f"b.{n}" for n in range(BUILDING_COUNT)), 3)
    if start == "sortby=-name" and form != "gpkg":
        assert seen == sorted(seen, key=lambda name: f"Hus <{name[2:]}>", reverse=True)


def test_large_limits_hold_for_files_and_not_for_pages(client: httpx.Client, tmp_path: Path) -> None:
    wanted = {"limit": 40_000, "skipGeometry": "true"}
    for form in TABLES:
        rows = read(client, form, tmp_path, **wanted)
        assert len(rows) == BUILDING_COUNT
        assert all(row["shape"] is None for row in rows.values())
    assert client.get(ITEMS, params={"f": "csv", "limit": "-1"}).status_code == 400
    assert client.get(ITEMS, params={"f": "csv", "limit": "many"}).status_code == 400
    assert client.get(ITEMS, params={"f": "csv", "offset": "99999"}).text.count("\r\n") == 1


def test_filters_and_boxes_count_in_every_format(client: httpx.Client, tmp_path: Path) -> None:
    query = {"filter": "floors = 2 AND listed = TRUE", "bbox": "9,50,13,58", "limit": 300}
    expected = set(read(client, "json", tmp_path, **query))
    assert 0 < len(expected) < BUILDING_COUNT
    for form in (*TABLES, "jsonfg"):
        assert set(read(client, form, tmp_path, **query)) == expected


def test_nothing_is_a_valid_file_too(client: httpx.Client, tmp_path: Path) -> None:
    for form in (*TABLES, "jsonfg"):
        assert read(client, form, tmp_path, filter="floors = 99") == {}


def test_json_fg_follows_its_rules(client: httpx.Client) -> None:
    document = client.get(ITEMS, params={"f": "jsonfg", "limit": 2, "properties": "name"}).json()
    assert document["conformsTo"][0] == "http://www.opengis.net/spec/json-fg-1/1.0/conf/core"
    assert (document["type"], document["featureType"]) == ("FeatureCollection", "buildings")
    assert "coordRefSys" not in document
    first = document["features"][0]
    assert first["time"] == {"date": "1900-06-01"}
    assert first["place"] is None
    assert first["geometry"]["type"] == "Polygon"
    assert first["properties"] == {"name": "Hus <0> \"æøå\" & 'co'"}
    assert "conformsTo" not in first
    schema = client.get(document["featureSchema"])
    assert schema.json()["properties"]["name"]["type"] == "string"
    metric = client.get(ITEMS, params={"f": "jsonfg", "limit": 1, "crs": f"{EPSG}25832"}).json()
    assert metric["coordRefSys"] == f"{EPSG}25832"
    assert metric["features"][0]["geometry"] is None
    assert metric["features"][0]["place"]["coordinates"][0][0] == [EAST, NORTH]
    one = client.get("/ogc/collections/odd/items/odd%2F4%20%23%3F", params={"f": "jsonfg"}).json()
    assert (one["type"], one["id"]) == ("Feature", "odd/4 #?")
    assert one["time"] == {"timestamp": "2026-01-05T12:00:00.250Z"}
    assert one["conformsTo"] == document["conformsTo"]


def test_every_format_is_linked_and_every_link_answers(client: httpx.Client) -> None:
    items = client.get(ITEMS, params={"limit": 3, "floors": 1}).json()
    item = client.get(f"{ITEMS}/b.7").json()
    collection = client.get("/ogc/collections/buildings").json()
    fg = client.get(ITEMS, params={"limit": 3, "floors": 1, "f": "jsonfg"}).json()
    for document, relation in (
        (items, "alternate"),
        (item, "alternate"),
        (collection, "items"),
        (fg, "alternate"),
    ):
        found = {entry["type"]: entry["href"] for entry in document["links"] if entry["rel"] == relation}
        own = {entry["type"] for entry in document["links"] if entry["rel"] == "self"}
        assert set(MEDIA_TYPES.values()) <= set(found) | own
        for media_type, href in found.items():
            answer = client.get(href)
            assert answer.status_code == 200, href
            assert answer.headers["content-type"].partition(";")[0] == media_type.partition(";")[0]
    csv_href = next(entry["href"] for entry in items["links"] if entry["type"] == "text/csv")
    assert client.get(csv_href).text.count("\r\n") == 4


def test_the_description_names_the_formats(client: httpx.Client) -> None:
    paths = client.get("/ogc/openapi").json()["paths"]
    for path in ("/collections/buildings/items", "/collections/buildings/items/{featureId}"):
        operation = paths[path]["get"]
        named = [p for p in operation["parameters"] if p.get("name") == "f"]
        assert [p["schema"]["enum"] for p in named] == [[form.name for form in formats.FEATURE_FORMATS]]


def test_granted_rows_stay_granted_in_every_format(
    service: tuple[Store, str], client: httpx.Client, tmp_path: Path
) -> None:
    items = "/ogc/collections/utility-lines/items"
    before = len(_audited(service[0]))
    for form in (*TABLES, "jsonfg"):
        assert client.get(items, params={"f": form}).status_code == 404
        answer = client.get(items, params={"f": form, "limit": 1000}, headers=as_who("digger"))
        assert answer.headers["cache-control"] == "private, no-store"
        assert "etag" not in answer.headers
        assert len(READERS[form](answer.content, tmp_path, form)) == 5
        none = client.get(items, params={"f": form}, headers=as_who("other-digger"))
        assert READERS[form](none.content, tmp_path, form) == {}
        hidden = client.get(f"{items}/10000001.el.20", params={"f": form}, headers=as_who("digger"))
        assert hidden.status_code == 404
    assert len(_audited(service[0])) - before >= 2 * (len(TABLES) + 1)


def _audited(store: Store) -> list[Any]:
    from sqlalchemy import select

    from geoinfra.storage import schema

    with store.read() as connection:
        return list(connection.execute(select(schema.audit).where(schema.audit.c.action == "features.read")))


@pytest.mark.gdal
@pytest.mark.parametrize("form", ["fgb", "gpkg", "csv", "jsonfg"])
def test_gdal_programs_read_the_files(client: httpx.Client, tmp_path: Path, form: str) -> None:
    ogrinfo = program("ogrinfo")
    drivers = subprocess.run([ogrinfo, "--formats"], capture_output=True, text=True, check=True).stdout
    path = tmp_path / f"buildings.{'json' if form == 'jsonfg' else form}"
    path.write_bytes(client.get(ITEMS, params={"f": form, "limit": 500, "crs": f"{EPSG}25832"}).content)
    told = subprocess.run([ogrinfo, "-ro", "-so", "-al", path], capture_output=True, text=True, check=True)
    assert f"Feature Count: {BUILDING_COUNT}" in told.stdout
    assert "floors: Integer" in told.stdout or form == "csv"
    if form != "csv" and (form != "jsonfg" or "JSONFG" in drivers):
        assert "25832" in told.stdout


def test_gdal_reads_json_fg_with_its_crs(client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "buildings.json"
    path.write_bytes(client.get(ITEMS, params={"f": "jsonfg", "limit": 500, "crs": f"{EPSG}25832"}).content)
    meta, _, wkbs, _ = pyogrio.raw.read(path)
    assert (meta["crs"], len(wkbs)) == ("EPSG:25832", BUILDING_COUNT)
    assert shapely.equals_exact(shapely.from_wkb(wkbs[3]), building_shape(3), 0.001)
