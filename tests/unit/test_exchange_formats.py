"""Tables and drawings: what other programs see in them, and that nothing is lost on the way back."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import struct
import zipfile
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import orjson
import pyogrio
import pytest
import shapely
from pyarrow import parquet
from typer.testing import CliRunner

from geoinfra.cli import app
from geoinfra.errors import DataRefused, GeoinfraError, InvalidInput, Report, UnreadableFile
from geoinfra.flows.convert import convert
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import Attribute, FeatureClass, catalogue
from geoinfra.utilities.formats import flat, format_for, format_named, formats, ler
from geoinfra.utilities.model import AnswerHeader, FeatureRows, ResponseType

CVR, OTHER = "12345678", "87654321"
TABLES = [one for one in formats() if one.functions and one.reads]
EXACT = [one for one in TABLES if one.name != "geojson"]
HOSTILE = (
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@x",
    "'apostrof",
    '"citat"; og; semikolon',
    "\\bagud\\; skråt",
    "to\nlinjer\r\n\ttab",
    "<script>alert(1)</script> &amp;",
    "Æblegrød, 100 % – ∅ 🚧",
    " blank ",
    ",",
    ";",
    "'; DROP TABLE x; --",
    "＝1+1",
    "0012",
    "1e5",
    "NULL",
)
LINE = shapely.LineString([(700000.1234, 6200000.4321), (700010.5, 6200005.25), (700020, 6200000)])
SHAPES: dict[str, list[shapely.Geometry]] = {
    "Point": [shapely.Point(700000.1234, 6200000.5)],
    "Curve": [LINE],
    "MultiCurve": [shapely.MultiLineString([LINE, shapely.transform(LINE, lambda xy: xy + 5)])],
    "Geometry": [
        shapely.Point(700000.1234, 6200000.5),
        shapely.MultiPoint([(700000, 6200000), (700001, 6200001)]),
        LINE,
        shapely.MultiLineString([LINE, shapely.transform(LINE, lambda xy: xy + 5)]),
        shapely.difference(
            shapely.box(7e5, 6.2e6, 700010, 6200010), shapely.box(700002, 6200002, 700004, 6200004)
        ),
        shapely.MultiPolygon(
            [shapely.box(7e5, 6.2e6, 700001, 6200001), shapely.box(700005, 6.2e6, 700006, 6200001)]
        ),
    ],
}


def value_of(attribute: Attribute, text: str) -> Any:
    """A value that the attribute takes; `text` where it is free."""
    codes = sorted(attribute.enumeration.values) if attribute.enumeration else []
    return {
        "text": text[: attribute.max_length],
        "code": codes[len(text) % len(codes)] if codes else None,
        "uri": "bilag/skitse 1.pdf",
        "boolean": len(text) % 2 == 0,
        "integer": 3,
        "decimal": 0.25,
        "measure": {"value": 110.5, "uom": attribute.uom or "m"},
        "date": "2024-02-29",
        "datetime": "2024-02-29T12:30:00Z",
        "instant": {"value": "2004-03", "indeterminate": "before"},
        "height": {"height_m": None if len(text) % 2 else -2.125},
        "media": {"value": "PDF", "type": "application/pdf"},
        "reference": {"href": "#x.1"},
        "contact": {"navn": text, "telefonnummer": "+45 12 34", "mailadresse": "a@b.dk", "gml_id": "k.1"},
    }[attribute.type]


def maximal(entry: FeatureClass, text: str) -> dict[str, Any]:
    properties = {}
    for attribute in entry.attributes.values():
        if attribute.type == "geometry":
            continue
        value = value_of(attribute, text)
        if attribute.repeated:
            value = (
                [value, {"nil": True, "reason": "unknown"}, value] if attribute.nillable else [value, value]
            )
        properties[attribute.name] = value
    return properties


def void(entry: FeatureClass) -> dict[str, Any]:
    """What must be there, void where it may be; two voids of a repeated one; empty texts."""
    properties = {}
    for attribute in entry.attributes.values():
        if attribute.type == "geometry":
            continue
        if attribute.nillable:
            nil = {"nil": True, "reason": "unknown"} if len(attribute.name) % 2 else {"nil": True}
            properties[attribute.name] = [nil, nil] if attribute.repeated else nil
        elif attribute.min or attribute.type == "text":
            value = value_of(attribute, "")
            properties[attribute.name] = [value] if attribute.repeated else value
        elif attribute.type == "contact":
            properties[attribute.name] = {"href": "#k.1"}
    return properties


def every_class(cvr: str = CVR) -> FeatureBatch:
    """Features of all classes: every attribute and hostile texts, void ones, all kinds of heights."""
    rows = FeatureRows(cvr)
    number = 0
    for entry in catalogue().feature_classes:
        shapes: list[shapely.Geometry | None] = (
            list(SHAPES[entry.geometry.geometry]) if entry.geometry else []
        )
        if entry.geometry is None or not entry.geometry.min:
            shapes.append(None)
        for properties in (*(maximal(entry, text) for text in HOSTILE), void(entry)):
            number += 1
            shape = shapes[number % len(shapes)]
            rows.add(entry.name, f"f.{number}", properties, shape, heights_of(shape, number % 4))
    return rows.batch()


def heights_of(shape: shapely.Geometry | None, kind: int) -> Any:
    """Heights: none, all, or some."""
    if shape is None or kind == 0:
        return None
    xy = shapely.get_coordinates(shape)
    heights = np.round(np.sin(xy[:, 0]) * 10, 4)  # the ends of a ring agree
    if kind == 1:
        heights[xy[:, 0] == xy[0, 0]] = np.nan
    return heights


def content(batches: Iterable[FeatureBatch]) -> dict[str, Any]:
    """Everything of the features by their id."""
    found: dict[str, Any] = {}
    for batch in batches:
        for row, feature_id in enumerate(batch.feature_ids):
            assert feature_id not in found
            heights = batch.heights_m[row] if batch.heights_m else None
            columns = {name: values[row] for name, values in batch.columns.items()}
            found[feature_id] = (batch.geometry[row], heights, columns)
    return found


def written(folder: Path, name: str, batches: Iterable[FeatureBatch], **options: Any) -> Path:
    chosen = format_named(name)
    path = folder / f"a{chosen.suffixes[0]}"
    chosen.write(path, batches, **options)
    return path


def read(path: Path, name: str, **options: Any) -> tuple[list[FeatureBatch], Report]:
    report = Report()
    return list(format_named(name).read(path, report=report, **options)), report


@pytest.fixture(scope="module")
def features() -> FeatureBatch:
    return every_class()


@pytest.fixture(scope="module")
def official(reference: Path) -> Path:
    return reference / "ler" / "samples" / "svarudtagettil.gml"


# -- nothing is lost


@pytest.mark.parametrize("chosen", EXACT, ids=lambda one: one.name)
def test_every_attribute_of_every_class_survives(chosen: Any, features: FeatureBatch, tmp_path: Path) -> None:
    batches, report = read(written(tmp_path, chosen.name, [features]), chosen.name)
    assert report.findings == []
    assert report.features == len(features)
    assert content(batches) == content([features])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_survives_with_every_separator(separator: str, features: FeatureBatch, tmp_path: Path) -> None:
    batches, report = read(written(tmp_path, "csv", [features], separator=separator), "csv")
    assert report.findings == []
    assert content(batches) == content([features])


def test_geojson_loses_nothing_but_a_centimetre(features: FeatureBatch, tmp_path: Path) -> None:
    batches, report = read(written(tmp_path, "geojson", [features]), "geojson")
    assert report.findings == []
    before, after = content([features]), content(batches)
    assert before.keys() == after.keys()
    for feature_id, (wkb, heights, columns) in before.items():
        moved, same_heights, same_columns = after[feature_id]
        assert {**columns, "gml": None} == {**same_columns, "gml": None}
        assert heights == same_heights
        if wkb is None:
            assert moved is None
        else:
            one, two = shapely.from_wkb([wkb, moved])
            assert type(one) is type(two)
            assert shapely.equals_exact(one, two, tolerance=0.01)


@pytest.mark.parametrize("chosen", TABLES, ids=lambda one: one.name)
def test_ler_to_a_table_and_back_is_the_same_answer(chosen: Any, official: Path, tmp_path: Path) -> None:
    table = tmp_path / f"a{chosen.suffixes[0]}"
    there = convert(official, table, owner_cvr=CVR)
    assert there.features == 636
    assert [f.code for f in there.report.findings].count("EXCHANGE-LOSS") == 1
    back = convert(table, tmp_path / "back.gml")
    assert back.features == 636
    assert back.report.ok
    straight = convert(official, tmp_path / "straight.gml", owner_cvr=CVR)
    assert straight.features == 636
    same = [
        content(ler.read_answer(tmp_path / name, owner_cvr=CVR).batches())
        for name in ("back.gml", "straight.gml")
    ]
    if chosen.name == "geojson":
        same = [{key: value[2]["properties"] for key, value in one.items()} for one in same]
    assert same[0] == same[1]


@pytest.mark.parametrize("chosen", EXACT, ids=lambda one: one.name)
def test_the_tiny_town_survives(chosen: Any, tiny_town: Path, tmp_path: Path) -> None:
    delivery = max((tiny_town / "deliveries").glob("*.gml"), key=lambda path: path.stat().st_size)
    table, back = tmp_path / f"a{chosen.suffixes[0]}", tmp_path / "back.gml"
    convert(delivery, table, owner_cvr=delivery.stem)
    assert convert(table, back).report.findings == []
    before, after = (
        content(ler.read_answer(path, owner_cvr=delivery.stem).batches()) for path in (delivery, back)
    )
    assert before == after


def test_a_contained_line_is_drawn_where_its_duct_lies_and_goes_back_without(tmp_path: Path) -> None:
    rows = FeatureRows(CVR)
    laid = {"driftsstatus": "i drift", "etableringstidspunkt": "2020", "fareklasse": "farlig"}
    rows.add("Elledning", "kabel", {**laid, "type": "stikkabel"})
    rows.add(
        "Foeringsroer",
        "roer",
        {**laid, "tvaersnitsform": "cirkulær", "indeholdtLedning": [{"href": "#kabel"}]},
        LINE,
        np.array([1.0, np.nan, 2.0]),
    )
    header = AnswerHeader("cd459a03-8629-4682-85b3-293cd6fefd75", ResponseType.DELIVERED)
    ler.write_answer(tmp_path / "svar.gml", header, [rows.batch()])
    convert(tmp_path / "svar.gml", tmp_path / "a.gpkg", owner_cvr=CVR)
    drawn = pyogrio.read_dataframe(tmp_path / "a.gpkg", layer="Elledning")
    assert drawn.geometry[0].equals(LINE)
    assert drawn["geometry_source"][0] == "container"
    convert(tmp_path / "a.gpkg", tmp_path / "back.gml")
    (batch,) = ler.read_answer(tmp_path / "back.gml", owner_cvr=CVR).batches()
    assert dict(zip(batch.columns["gml_id"], batch.geometry, strict=True))["kabel"] is None


# -- other programs


def frame_of(path: Path, name: str) -> geopandas.GeoDataFrame:
    if name == "parquet":
        return geopandas.read_parquet(path)
    if name == "gpkg":
        return pyogrio.read_dataframe(path, layer="Elledning")
    return pyogrio.read_dataframe(path)


@pytest.mark.parametrize("chosen", TABLES, ids=lambda one: one.name)
def test_gdal_and_geopandas_read_counts_crs_and_values(chosen: Any, official: Path, tmp_path: Path) -> None:
    path = tmp_path / f"a{chosen.suffixes[0]}"
    convert(official, path, owner_cvr=CVR)
    frame = frame_of(path, chosen.name)
    if chosen.name != "gpkg":
        assert len(frame) == 636
    cables = frame[frame["feature_class"] == "Elledning"].set_index("gml_id").sort_index()
    assert len(cables) == 112
    expected = {"geojson": 4326, "csv": None}.get(chosen.name, 25832)
    assert (frame.crs.to_epsg() if frame.crs else None) == expected
    (batch,) = (b for b in ler.read_answer(official, owner_cvr=CVR).batches())
    rows = [i for i, name in enumerate(batch.columns["feature_class"]) if name == "Elledning"]
    for row in rows[:40]:
        cable = cables.loc[batch.columns["gml_id"][row]]
        properties = orjson.loads(batch.columns["properties"][row])
        assert cable["fareklasse"] == properties["fareklasse"]
        depth = properties.get("vejledendeDybde", {}).get("value")
        if depth is not None:
            assert float(cable["vejledendeDybde_mm"]) == depth
        if chosen.name != "geojson":
            assert cable.geometry.equals(shapely.from_wkb(batch.geometry[row]))


def test_layers_are_named_as_the_registry_says(features: FeatureBatch, tmp_path: Path) -> None:
    layers = {name for name, _ in pyogrio.list_layers(written(tmp_path, "gpkg", [features]))}
    assert layers == {entry.name for entry in catalogue().feature_classes}
    assert [name for name, _ in pyogrio.list_layers(written(tmp_path, "fgb", [features]))] == ["ledninger"]
    assert format_named("fgb").layers == "ledninger"


def test_geoparquet_says_what_its_geometry_is(features: FeatureBatch, tmp_path: Path) -> None:
    path = written(tmp_path, "parquet", [features] * 1)
    geo = json.loads(parquet.read_metadata(path).metadata[b"geo"])
    column = geo["columns"]["geometry"]
    assert (geo["version"], geo["primary_column"], column["encoding"]) == ("1.1.0", "geometry", "WKB")
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 25832}
    held = [shapely.from_wkb(wkb) for wkb in features.geometry if wkb is not None]
    assert column["bbox"] == list(shapely.total_bounds(held))
    assert {"Point", "LineString Z", "Polygon"} <= set(column["geometry_types"])
    frame = geopandas.read_parquet(path)
    assert list(frame.geometry.has_z) == [b is not None and b.has_z for b in frame.geometry]
    near = geopandas.read_parquet(path, bbox=(700004.9, 6.2e6, 700005.1, 6200001))
    assert 0 < len(near) < len(frame)


def test_geoparquet_is_written_in_row_groups(tmp_path: Path) -> None:
    rows = FeatureRows(CVR)
    for number in range(2000):
        rows.add("Elkomponent", f"k.{number}", {"type": "muffe"}, shapely.Point(7e5, 6.2e6))
    batch = rows.batch()
    path = tmp_path / "a.parquet"
    assert format_named("parquet").write(path, iter([batch] * 13)) == 26_000
    assert parquet.read_metadata(path).num_row_groups == 2


def test_flatgeobuf_has_an_index_unless_a_feature_has_no_geometry(tmp_path: Path) -> None:
    rows = FeatureRows(CVR)
    for number in range(50):
        rows.add("Elkomponent", f"k.{number}", {"type": "muffe"}, shapely.Point(7e5 + number, 6.2e6))
    path = written(tmp_path, "fgb", [rows.batch()])
    assert index_node_size(path) > 0
    assert len(pyogrio.read_dataframe(path, bbox=(7e5, 6.1e6, 7e5 + 9.5, 6.3e6))) == 10
    rows.add("Elkomponent", "a", {"type": "muffe"}, shapely.Point(7e5, 6.2e6))
    rows.add("Elledning", "b", {})
    path = written(tmp_path, "fgb", [rows.batch()])
    assert index_node_size(path) == 0
    assert len(pyogrio.read_dataframe(path)) == 2


def index_node_size(path: Path) -> int:
    """Read the field of the header by the schema of FlatGeobuf 3: the tenth of table ``Header``."""
    raw = path.read_bytes()
    start = 12
    table = start + struct.unpack_from("<I", raw, start)[0]
    vtable = table - struct.unpack_from("<i", raw, table)[0]
    offset = (
        struct.unpack_from("<H", raw, vtable + 4 + 2 * 9)[0]
        if struct.unpack_from("<H", raw, vtable)[0] > 4 + 2 * 9
        else 0
    )
    return struct.unpack_from("<H", raw, table + offset)[0] if offset else 16


def test_geojson_has_heights_as_third_coordinate_where_all_are_known(
    features: FeatureBatch, tmp_path: Path
) -> None:
    document = json.loads(written(tmp_path, "geojson", [features]).read_bytes())
    texts = [json.dumps(f["geometry"]) for f in document["features"] if f["geometry"]]
    assert len(shapely.from_geojson(texts)) == sum(wkb is not None for wkb in features.geometry)
    for feature, heights in zip(document["features"], features.heights_m or [], strict=True):
        solid = heights is not None and bool(np.isfinite(np.frombuffer(heights)).all())
        if feature["geometry"] and feature["geometry"]["type"] == "LineString":
            assert {len(vertex) for vertex in feature["geometry"]["coordinates"]} == {3 if solid else 2}
        assert ("heights_json" in feature["properties"]) == (heights is not None and not solid)


def test_excel_finds_no_formula_and_its_byte_order_mark(features: FeatureBatch, tmp_path: Path) -> None:
    raw = written(tmp_path, "csv", [features], separator=";").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""), delimiter=";"))
    assert len(rows) == len(features)
    begin = {
        cell[0] for row in rows for name, cell in row.items() if cell and not name.endswith(("_m", "_mm"))
    }
    assert begin & set("=+-@\t\r\n＝＋－＠") == set()
    assert {row["udvendigDiameter_mm"] for row in rows} == {"", "110,5"}


# -- tables of others


def foreign(folder: Path, name: str, columns: dict[str, list[Any]], geometry: list[Any]) -> Path:
    """A table as GeoPandas writes it."""
    frame = geopandas.GeoDataFrame(columns, geometry=geometry, crs=25832)
    path = folder / f"foreign{format_named(name).suffixes[0]}"
    if name == "parquet":
        frame.to_parquet(path)
    elif name == "csv":
        plain = frame.drop(columns="geometry").assign(WKT=frame.geometry.to_wkt())
        plain.to_csv(path, index=False)
    elif name == "geojson":
        frame.to_crs(4326).to_file(path, driver="GeoJSON")
    else:
        frame.to_file(path, layer="Elledning" if name == "gpkg" else None)
    return path


GOOD = {
    "feature_class": ["Elledning"] * 2,
    "gml_id": ["el.1", "el.2"],
    "owner_cvr": [CVR] * 2,
    "type": ["stikkabel"] * 2,
    "driftsstatus": ["i drift"] * 2,
    "etableringstidspunkt": ["2024", "<2001-05"],
    "fareklasse": ["farlig", "ikke farlig"],
    "noejagtighedsklasse": ["<= 1.00 m"] * 2,
    "noejagtighedsklasseVertikal": ["> 2.00 m"] * 2,
    "spaendingsniveau_kV": [0.4, 10.0],
}


@pytest.mark.parametrize("chosen", TABLES, ids=lambda one: one.name)
def test_a_table_that_geopandas_wrote_becomes_ler(chosen: Any, tmp_path: Path) -> None:
    path = foreign(tmp_path, chosen.name, GOOD, [LINE, LINE])
    done = convert(path, tmp_path / "svar.gml", valid_to=date(2031, 1, 2))
    assert done.report.findings == []
    answer = ler.read_answer(tmp_path / "svar.gml", owner_cvr=CVR)
    (batch,) = answer.batches()
    assert answer.header.valid_to == date(2031, 1, 2)
    assert answer.header.response_type is ResponseType.DELIVERED
    assert batch.columns["voltage_kv"] == [0.4, 10.0]
    assert batch.columns["established"] == ["2024", "<2001-05"]


@pytest.mark.parametrize("chosen", TABLES, ids=lambda one: one.name)
def test_a_table_without_our_columns_is_told_which_are_wanted(chosen: Any, tmp_path: Path) -> None:
    path = foreign(tmp_path, chosen.name, {"navn": ["a"], "dybde": [1.5]}, [LINE])
    with pytest.raises(InvalidInput, match="gml_id") as caught:
        convert(path, tmp_path / "svar.gml")
    assert "driftsstatus" in caught.value.hint
    assert not (tmp_path / "svar.gml").exists()


BAD_CELLS = [
    ("driftsstatus", "i Drift", "i drift"),
    ("spaendingsniveau_kV", "ti", "number"),
    ("etableringstidspunkt", "15-03-2004", "year"),
    ("etableringstidspunkt", "2023-02-30", "year"),
    ("antalKabler", "1.5", "whole"),
    ("liggerILedning", "måske", "true"),
    ("startkomponent", "el.2", "reference"),
    ("udvendigMateriale", "x" * 51, "50"),
    ("udvendigMateriale", "a\x01b", "control"),
    ("nil_attributes", "type, findes_ikke", "attributes"),
    ("nil_attributes", "antalKabler", "void"),
    ("nil_attributes", "fareklasse=withheld", "unknown"),
    ("harFod", "true", ""),
    ("bilag", "#a\\", "joined"),
    ("kontakt_telefonnummer", "1" * 16, "15"),
    ("heights_json", "[1.0, 2.0]", "3"),
]


@pytest.mark.parametrize(("column", "cell", "expected"), BAD_CELLS)
def test_a_bad_cell_is_a_finding_with_row_and_column(
    column: str, cell: str, expected: str, tmp_path: Path
) -> None:
    values = {**GOOD, column: [GOOD.get(column, [None])[0], cell]}
    if column == "nil_attributes":
        values.pop("type")
        values["type"] = [None, None]
        values["nil_attributes"][0] = "type"
    path = foreign(tmp_path, "csv", values, [LINE, LINE])
    batches, report = read(path, "csv")
    assert [len(batch) for batch in batches] == [2]
    fault = next(f for f in report.findings if f.code in ("TABLE-VALUE", "TABLE-HEIGHTS"))
    assert (fault.line, fault.path, fault.feature_id) == (2, column, "el.2")
    assert fault.found[:20] in repr(cell) + cell
    assert expected in fault.expected
    assert fault.message_da
    assert report.errors >= 1


BAD_ROWS = [
    ("gml_id", "1 2", "TABLE-ID"),
    ("gml_id", None, "TABLE-ID"),
    ("gml_id", "el.1", "TABLE-DUPLICATE-ID"),
    ("feature_class", "Kabel", "TABLE-CLASS"),
    ("feature_class", "Kontaktprofil", "TABLE-CLASS"),
    ("owner_cvr", "123", "TABLE-OWNER"),
]


@pytest.mark.parametrize(("column", "cell", "code"), BAD_ROWS)
def test_a_row_that_is_no_feature_is_left_out(column: str, cell: str, code: str, tmp_path: Path) -> None:
    path = foreign(tmp_path, "csv", {**GOOD, column: [GOOD[column][0], cell]}, [LINE, LINE])
    batches, report = read(path, "csv")
    assert [batch.columns["gml_id"] for batch in batches] == [["el.1"]]
    assert [(f.code, f.line, f.path) for f in report.findings] == [(code, 2, column)]
    assert report.features == 2


WKTS = [
    ("POINT (700000 6200000)", "LineString"),
    ("LINESTRING (nan 6200000, 700001 6200000)", "finite"),
    ("LINESTRING (inf 6200000, 700001 6200000)", "finite"),
    ("LINESTRING (6200000 700000, 6200001 700000)", "swapped"),
    ("LINESTRING (0 0, 1 1)", "outside Denmark"),
    ("LINESTRING EMPTY", "empty"),
    ("GEOMETRYCOLLECTION (POINT (700000 6200000))", "GeometryCollection"),
    ("LINESTRING (700000 6200000", "cannot be read"),
    ("=cmd", "cannot be read"),
]


@pytest.mark.parametrize(("wkt", "expected"), WKTS)
def test_a_bad_geometry_is_a_finding_and_left_out(wkt: str, expected: str, tmp_path: Path) -> None:
    path = foreign(tmp_path, "csv", GOOD, [LINE, LINE])
    lines = path.read_text("utf-8").splitlines()
    lines[2] = lines[2].rpartition(',"')[0] + f',"{wkt}"'
    path.write_text("\n".join(lines), "utf-8")
    batches, report = read(path, "csv")
    assert [[wkb is not None for wkb in batch.geometry] for batch in batches] == [[True, False]]
    assert [(f.code, f.line) for f in report.findings] == [("TABLE-GEOMETRY", 2)]
    assert expected in report.findings[0].message


@pytest.mark.parametrize("name", ["gpkg", "fgb", "parquet"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_coordinates_that_are_not_finite_are_findings(name: str, value: float, tmp_path: Path) -> None:
    with np.errstate(invalid="ignore"):
        bad = shapely.LineString([(700000, 6200000), (value, 6200000)])
    rows = FeatureRows(CVR)
    rows.add("Elledning", "el.1", {}, LINE)
    batch = rows.batch()
    batch.geometry[0] = shapely.to_wkb(bad, byte_order=1)
    path = tmp_path / f"a{name}"
    if name == "gpkg":
        with np.errstate(invalid="ignore"):
            path = written(tmp_path, "gpkg", [batch])
    elif name == "parquet":
        foreign(tmp_path, name, GOOD, [LINE, bad]).rename(path)
    elif name == "fgb":
        good = written(tmp_path, name, [three_cables()]).read_bytes()
        number = struct.pack("<d", 700222.25)
        assert good.count(number) >= 1
        path.write_bytes(good.replace(number, struct.pack("<d", value)))
    _, report = read(path, name)
    faults = [f for f in report.findings if f.code == "TABLE-GEOMETRY"]
    assert ["finite" in fault.message for fault in faults] == [True]


def test_numbers_that_json_has_not_are_findings(tmp_path: Path) -> None:
    path = written(tmp_path, "geojson", [three_cables()])
    text = path.read_text("utf-8")
    for number in ("NaN", "Infinity", "1e999", "null", '"1"', "9" * 100):
        path.write_text(text.replace("[[", f"[[{number},", 1), "utf-8")
        batches, report = read(path, "geojson")
        assert [(f.code, f.line) for f in report.findings if f.code == "TABLE-GEOMETRY"] == [
            ("TABLE-GEOMETRY", 1)
        ]
        assert sum(map(len, batches)) == 3


def three_cables() -> FeatureBatch:
    rows = FeatureRows(CVR)
    for number in (1, 2, 3):
        line = shapely.LineString([(700000 + 111.125 * number, 6200000), (700500, 6200000.5)])
        rows.add("Elledning", f"el.{number}", {}, line)
    return rows.batch()


def test_columns_that_are_not_ours_are_named_once(tmp_path: Path) -> None:
    for chosen in TABLES:
        path = foreign(tmp_path, chosen.name, {**GOOD, "bemaerkning": ["a", "b"]}, [LINE, LINE])
        _, report = read(path, chosen.name)
        assert [(f.code, f.severity) for f in report.findings] == [("TABLE-COLUMN", "warning")]


def test_a_missing_attribute_of_the_schema_is_a_finding(tmp_path: Path) -> None:
    values = {name: column for name, column in GOOD.items() if name != "fareklasse"}
    _, report = read(foreign(tmp_path, "fgb", values, [LINE, LINE]), "fgb")
    assert [(f.code, f.line, f.expected) for f in report.findings] == [
        ("TABLE-MISSING", 1, "fareklasse"),
        ("TABLE-MISSING", 2, "fareklasse"),
    ]


def test_another_crs_is_moved_and_an_unknown_one_refused(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame(GOOD, geometry=[LINE, LINE], crs=25832)
    for number, crs in enumerate((25833, 4326, 3857, 7416)):
        path = tmp_path / f"{number}.gpkg"
        (frame.set_crs(7416, allow_override=True) if crs == 7416 else frame.to_crs(crs)).to_file(
            path, layer="Elledning"
        )
        (batch,) = format_named("gpkg").read(path)
        assert shapely.equals_exact(shapely.from_wkb(batch.geometry[0]), LINE, tolerance=0.001)
    frame.to_crs(2198).to_file(tmp_path / "x.gpkg", layer="Elledning")
    with pytest.raises(InvalidInput, match="CRS"):
        list(format_named("gpkg").read(tmp_path / "x.gpkg"))


@pytest.mark.parametrize("chosen", TABLES, ids=lambda one: one.name)
@pytest.mark.parametrize("damage", ["empty", "cut", "noise"])
def test_a_damaged_file_gives_an_error_of_ours(chosen: Any, damage: str, tmp_path: Path) -> None:
    path = written(tmp_path, chosen.name, [three_cables()])
    raw = bytearray(path.read_bytes())
    if damage == "empty":
        raw.clear()
    elif damage == "cut":
        del raw[len(raw) * 2 // 3 :]
    else:
        raw[len(raw) // 3 : len(raw) // 3 + 400] = bytes(range(1, 101)) * 4
    path.write_bytes(bytes(raw))
    try:
        _, report = read(path, chosen.name)
    except GeoinfraError:
        return
    assert damage != "empty"
    assert report.errors or report.warnings or chosen.name == "csv" or damage == "noise"


def test_a_view_in_a_geopackage_is_not_run(tmp_path: Path) -> None:
    path = written(tmp_path, "gpkg", [three_cables()])
    with sqlite3.connect(path) as connection:
        connection.execute('ALTER TABLE "Elledning" RENAME TO "held"')
        connection.execute(
            'CREATE VIEW "Elledning" AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) '
            'SELECT i AS fid, NULL AS geom, "gml_id", "owner_cvr" FROM n JOIN "held"'
        )
        connection.execute("UPDATE gpkg_geometry_columns SET table_name = 'Elledning'")
    connection.close()
    with pytest.raises(InvalidInput):
        list(format_named("gpkg").read(path))


def test_a_geojson_is_read_however_it_is_laid_out(tmp_path: Path) -> None:
    path = written(tmp_path, "geojson", [three_cables()])
    document = json.loads(path.read_text("utf-8"))
    expected = content(format_named("geojson").read(path))
    for text in (
        json.dumps(document, indent=2),
        json.dumps({"features": document["features"], "type": "FeatureCollection", "bbox": [1, 2, 3, 4]}),
        "\ufeff" + json.dumps(document),
    ):
        path.write_text(text, "utf-8")
        assert content(format_named("geojson").read(path)) == expected
    for text in (
        '{"type":"Feature"}',
        "[1]",
        '{"features":[1]}',
        "[" * 200_000,
        '{"features":[' + "9" * 5000,
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(UnreadableFile):
            list(format_named("geojson").read(path))


# -- the conversion


def test_several_owners_are_no_answer_until_one_is_chosen(tmp_path: Path) -> None:
    path = written(tmp_path, "gpkg", [every_class(CVR), every_class(OTHER)])
    with pytest.raises(InvalidInput, match=f"{CVR}, {OTHER}") as caught:
        convert(path, tmp_path / "svar.gml")
    assert "--owner" in caught.value.hint
    assert not (tmp_path / "svar.gml").exists()
    one = convert(path, tmp_path / "svar.gml", owner_cvr=OTHER)
    assert one.features == len(every_class())
    (batch,) = ler.read_answer(tmp_path / "svar.gml", owner_cvr=OTHER).batches()
    assert set(batch.columns["gml_id"]) == set(every_class().columns["gml_id"])


def test_an_answer_keeps_header_and_attachments_in_a_zip(tmp_path: Path) -> None:
    header = AnswerHeader(
        "cd459a03-8629-4682-85b3-293cd6fefd75", ResponseType.POINTING_OUT_DELIVERED, date(2031, 1, 2)
    )
    document = io.BytesIO()
    ler.write_answer(document, header, [three_cables()])
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("svar.gml", document.getvalue())
        archive.writestr("skitse.pdf", b"%PDF-")
    convert(tmp_path / "in.zip", tmp_path / "out.zip", owner_cvr=CVR)
    answer = ler.read_answer(tmp_path / "out.zip", owner_cvr=CVR)
    assert (answer.header, answer.attachment("skitse.pdf")) == (header, b"%PDF-")
    bare = convert(tmp_path / "in.zip", tmp_path / "out.gml", owner_cvr=CVR)
    assert [f.found for f in bare.report.findings if f.code == "EXCHANGE-LOSS"] == ["skitse.pdf"]


@pytest.mark.parametrize(
    "chosen", [one for one in formats() if one.writes and one.name != "gml"], ids=lambda o: o.name
)
def test_strict_conversion_writes_nothing_of_a_faulty_file(chosen: Any, tmp_path: Path) -> None:
    source = foreign(tmp_path, "csv", {**GOOD, "fareklasse": ["farlig", "x"]}, [LINE, LINE])
    target = tmp_path / "target" / f"a{chosen.suffixes[0]}"
    target.parent.mkdir()
    target.write_text("as it was")
    with pytest.raises(DataRefused) as caught:
        convert(source, target, strict=True)
    assert caught.value.report.errors >= 2
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.read_text() == "as it was"
    loose = convert(source, target)
    assert loose.features == 2
    assert loose.report.errors >= 2


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["utilities", "convert", *map(str, arguments)])


def test_the_command_tells_counts_losses_and_its_exit_code(official: Path, tmp_path: Path) -> None:
    done = run(official, tmp_path / "a.gpkg", "--json")
    outcome = json.loads(done.stdout)
    assert (done.exit_code, outcome["written"], outcome["features"], outcome["errors"]) == (0, 636, 636, 0)
    assert [f["code"] for f in outcome["findings"]].count("EXCHANGE-LOSS") == 1
    faulty = foreign(tmp_path, "csv", {**GOOD, "fareklasse": ["farlig", "x"]}, [LINE, LINE])
    assert run(faulty, tmp_path / "b.gml").exit_code == 1
    assert (tmp_path / "b.gml").exists()
    assert run(official, tmp_path / "a.shp").exit_code == 2
    assert run(official, tmp_path / "a.gpkg", "--owner", "12").exit_code == 2
    assert run(tmp_path / "none.gml", tmp_path / "a.gpkg").exit_code == 2
    assert run(official, tmp_path / "a.csv", "--separator", "semicolon").exit_code == 0
    assert (tmp_path / "a.csv").read_text("utf-8-sig").startswith("feature_id;gml_id;")


def test_progress_ends_at_the_whole(official: Path, tmp_path: Path) -> None:
    told: list[float] = []
    convert(official, tmp_path / "a.gpkg", progress=lambda fraction, _: told.append(fraction))
    convert(tmp_path / "a.gpkg", tmp_path / "a.csv", progress=lambda fraction, _: told.append(fraction))
    assert told == [1.0, *sorted(told[1:])]
    assert told[-1] == 1.0


# -- the registry


def test_formats_are_found_by_ending_and_by_name() -> None:
    assert {one.name: format_for(Path(f"a{one.suffixes[0].upper()}")).name for one in formats()} == {
        **{one.name: one.name for one in formats()},
        "gml": "ler",
    }
    with pytest.raises(InvalidInput) as caught:
        format_for(Path("a.shp"))
    assert ".gpkg" in caught.value.hint


def test_the_page_of_formats_says_what_the_registry_says(root: Path) -> None:
    page = (root / "docs" / "reference" / "formats.md").read_text("utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    shown = [row for row in table if len(row) == 7]
    yes = {True: "yes", False: "no"}
    assert shown == [
        [
            f"`{one.name}`",
            f"{one.title}: {', '.join(f'`{suffix}`' for suffix in one.suffixes)}",
            yes[one.reads],
            yes[one.writes],
            one.crs,
            one.layers,
            one.loses or "Nothing.",
        ]
        for one in formats()
    ]


def test_the_page_of_formats_names_every_column(root: Path) -> None:
    page = (root / "docs" / "reference" / "formats.md").read_text("utf-8")
    names = {column.name for column in flat.union_layout().columns}
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


def test_no_two_columns_differ_in_case_only() -> None:
    names = [column.name.casefold() for column in flat.union_layout().columns]
    assert len(names) == len(set(names))
