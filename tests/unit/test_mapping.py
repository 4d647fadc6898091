"""Foreign tables become LER features by a mapping file; what does not fit is named, never guessed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import orjson
import pyproj
import pytest
import shapely
from ler_schema import faults, ler_schema
from waterworks import AREA, EAST, GEOMETRY, NORTH, OWNER, PIPES, line, pipes, valves, write_geopackage

from geoinfra.errors import DataRefused, GeoinfraError, InvalidInput, Report, UnreadableFile
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.mapping import Selection, rows_from_layer
from geoinfra.utilities.mapping_draft import draft_of_files
from geoinfra.utilities.mapping_file import read_mapping
from geoinfra.utilities.values import Unfit, converted, scale_of
from services.robot.answering import make_answer

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "sample_data" / "owner-robot" / "vandvaerk.toml"


@pytest.fixture(scope="module")
def geopackage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The waterworks' GeoPackage; copied before it is changed."""
    return write_geopackage(tmp_path_factory.mktemp("waterworks"))


@pytest.fixture
def folder(tmp_path: Path, geopackage: Path) -> Path:
    """A folder with the waterworks' GeoPackage and the sample mapping."""
    shutil.copy(geopackage, tmp_path)
    (tmp_path / "m.toml").write_text(sample(), "utf-8")
    return tmp_path


def sample() -> str:
    return SAMPLE.read_text("utf-8").replace("12345674", OWNER)


def write_mapping(folder: Path, *changes: tuple[str, str]) -> Path:
    text = sample()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "m.toml"
    path.write_text(text, "utf-8")
    return path


def selected(path: Path, area: shapely.Geometry | None) -> tuple[dict[str, dict[str, Any]], Report]:
    """Return gml_id -> row of what a mapping selects, and the report."""
    selection = Selection(read_mapping(path), area)
    found: dict[str, dict[str, Any]] = {}
    for batch in selection.batches():
        for row, gml_id in enumerate(batch.columns["gml_id"]):
            found[gml_id] = {name: values[row] for name, values in batch.columns.items()}
            found[gml_id]["properties"] = orjson.loads(batch.columns["properties"][row])
            found[gml_id]["geometry"] = shapely.from_wkb(batch.geometry[row])
            heights = None if batch.heights_m is None else batch.heights_m[row]
            found[gml_id]["heights"] = None if heights is None else np.frombuffer(heights).tolist()
    return found, selection.report


def test_rows_that_touch_the_area_and_pass_the_filter_become_features(folder: Path) -> None:
    found, report = selected(folder / "m.toml", AREA)
    assert report.findings == []
    assert set(found) == {"ledning.1", "ledning.2", "ventil.7"}
    assert found["ledning.1"]["properties"] == {
        "driftsstatus": "i drift",
        "etableringstidspunkt": "1974",
        "fareklasse": "ikke farlig",
        "indtegningsmetode": "skematisk",
        "noejagtighedsklasse": "<= 1.00 m",
        "noejagtighedsklasseVertikal": "<= 1.00 m",
        "vejledendeDybde": {"value": 1200, "uom": "mm"},
        "niveau": "under terræn",
        "udvendigDiameter": {"value": 110, "uom": "mm"},
        "udvendigMateriale": "PVC",
        "tvaersnitsform": "cirkulær",
    }
    assert found["ledning.1"]["heights"] is None  # its zeros mean "not measured"
    assert found["ledning.2"]["heights"] == [3.25, 3.5]
    assert found["ledning.2"]["geometry"].equals(shapely.force_2d(GEOMETRY[1]))


def test_without_an_area_every_row_is_read(folder: Path) -> None:
    found, report = selected(folder / "m.toml", None)
    assert (set(found), report.errors) == (
        {"ledning.1", "ledning.2", "ledning.4", "ventil.7", "ventil.8"},
        0,
    )
    four = found["ledning.4"]["properties"]
    assert four["etableringstidspunkt"] == {"value": "2023", "indeterminate": "before"}
    assert four["udvendigDiameter"] == four["noejagtighedsklasse"] == {"nil": True}


@pytest.mark.parametrize("suffix", ["shp", "geojson", "fgb"])
@pytest.mark.parametrize("epsg", [4326, 25833, 4258])
def test_another_format_in_another_crs_gives_the_same_place(tmp_path: Path, suffix: str, epsg: int) -> None:
    shapes = tmp_path / "pipes"
    shapes.mkdir()
    column = "usikkerhed" if suffix == "shp" else "usikkerhed_m"  # ten letters at most
    whole = pipes().rename(columns={"usikkerhed_m": column})
    for number, part in enumerate((whole.iloc[:2], whole.iloc[2:])):
        part.to_crs(epsg).to_file(shapes / f"p{number}.{suffix}", engine="pyogrio")
    text = sample().partition('[[layer]]\nname = "ventil"')[0]
    text = text.replace('source = "vandvaerk.gpkg"', 'source = "pipes"').replace('layer = "ledninger"\n', "")
    text = text.replace('"usikkerhed_m"', f'"{column}"')
    (tmp_path / "m.toml").write_text(text, "utf-8")
    found, report = selected(tmp_path / "m.toml", AREA)
    assert report.errors == 0
    assert set(found) == {"ledning.1", "ledning.2"}
    assert found["ledning.2"]["heights"] == [3.25, 3.5]
    moved = shapely.hausdorff_distance(found["ledning.2"]["geometry"], shapely.force_2d(GEOMETRY[1]))
    assert moved < 0.001


def test_the_transformation_agrees_with_proj_alone(tmp_path: Path) -> None:
    """Oracle: pyproj, without any of the code under test."""
    frame = pipes().to_crs(4326)
    frame.to_file(tmp_path / "p.geojson", engine="pyogrio")
    text = sample().partition('[[layer]]\nname = "ventil"')[0]
    text = text.replace("vandvaerk.gpkg", "p.geojson").replace('layer = "ledninger"\n', "")
    (tmp_path / "m.toml").write_text(text, "utf-8")
    found, _ = selected(tmp_path / "m.toml", None)
    forward = pyproj.Transformer.from_crs(4326, 25832, always_xy=True)
    x, y = np.array(frame.geometry.iloc[0].coords)[:, :2].T
    expected = np.column_stack(forward.transform(x, y))
    assert np.abs(shapely.get_coordinates(found["ledning.1"]["geometry"]) - expected).max() < 0.001


# --- what is wrong is named

WRONG: dict[str, tuple[Callable[[geopandas.GeoDataFrame], None], str, str, str]] = {
    "unlisted value": (lambda f: put(f, "status", "ukendt"), "status", "i brug", "ukendt"),
    "not a number": (lambda f: put(f, "dim_mm", "Ø110"), "dim_mm", "a number", "Ø110"),
    "not a date": (lambda f: put(f, "anlagt", "maj 74"), "anlagt", "yyyy-mm-dd", "maj 74"),
    "an impossible date": (lambda f: put(f, "anlagt", "1974-13"), "anlagt", "yyyy-mm-dd", "1974-13"),
    "no id": (lambda f: put(f, "ledning_id", None), "ledning_id", "an id", "no value"),
    "negative accuracy": (lambda f: put(f, "usikkerhed_m", -1.0), "usikkerhed_m", "0 or more", "-1"),
}


def put(frame: geopandas.GeoDataFrame, column: str, value: Any) -> None:
    frame[column] = frame[column].astype(object)
    frame.loc[0, column] = value
    if isinstance(value, str):
        frame[column] = frame[column].map(lambda v: None if v is None or v != v else str(v))
    else:
        frame[column] = frame[column].astype(float)


@pytest.mark.parametrize("name", WRONG)
def test_a_value_that_does_not_fit_names_file_layer_row_and_column(folder: Path, name: str) -> None:
    spoil, column, expected, found = WRONG[name]
    frame = pipes()
    spoil(frame)
    frame.to_file(folder / "vandvaerk.gpkg", layer="ledninger", driver="GPKG", engine="pyogrio")
    rows, report = selected(folder / "m.toml", AREA)
    finding, *others = [f for f in report.findings if f.severity == "error"]
    assert [f.path for f in others] == [finding.path] * (report.errors - 1)
    assert finding.message.startswith(f"vandvaerk.gpkg, layer ledninger, row 1, column {column}: ")
    assert finding.message_da.startswith(f"vandvaerk.gpkg, lag ledninger, række 1, kolonne {column}: ")
    assert expected in finding.expected
    assert found in finding.found
    assert finding.position is not None or name == "no id"
    assert "ledning.1" not in rows


GEOMETRIES: dict[str, tuple[Any, str]] = {
    "point in a line layer": (shapely.Point(EAST + 50, NORTH + 60), "MAP-GEOMETRY"),
    "height of another country": (line((0, 60, 2000), (150, 60, 2000)), "MAP-HEIGHT"),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_geometry_that_cannot_be_used_is_an_error(folder: Path, name: str) -> None:
    shape, code = GEOMETRIES[name]
    frame = pipes()
    frame.loc[0, "geometry"] = shape
    frame.to_file(folder / "vandvaerk.gpkg", layer="ledninger", driver="GPKG", engine="pyogrio")
    _, report = selected(folder / "m.toml", AREA)
    assert [f.code for f in report.findings if f.severity == "error"] == [code]


def test_a_row_without_geometry_is_an_error_when_all_are_read(folder: Path) -> None:
    frame = pipes()
    frame.loc[0, "geometry"] = None
    frame.to_file(folder / "vandvaerk.gpkg", layer="ledninger", driver="GPKG", engine="pyogrio")
    _, report = selected(folder / "m.toml", None)
    assert [f.code for f in report.findings if f.severity == "error"] == ["MAP-NO-GEOMETRY"]


def test_an_id_used_twice_is_an_error(folder: Path) -> None:
    frame = pipes()
    frame.loc[1, "ledning_id"] = 1
    frame.to_file(folder / "vandvaerk.gpkg", layer="ledninger", driver="GPKG", engine="pyogrio")
    _, report = selected(folder / "m.toml", AREA)
    assert [f.code for f in report.findings] == ["MAP-DUPLICATE-ID"]


def test_a_line_of_several_parts_becomes_several_features(folder: Path) -> None:
    frame = pipes()
    frame.loc[0, "geometry"] = shapely.MultiLineString([line((0, 60), (40, 60)), line((50, 60), (99, 60))])
    frame.to_file(folder / "vandvaerk.gpkg", layer="ledninger", driver="GPKG", engine="pyogrio")
    found, report = selected(folder / "m.toml", AREA)
    assert {"ledning.1.1", "ledning.1.2"} < set(found)
    assert [f.code for f in report.findings] == ["MAP-SPLIT"]


def test_ids_by_content_are_stable_and_equal_rows_are_taken_once(folder: Path) -> None:
    frame = geopandas.pd.concat([pipes(), pipes().iloc[[0]]])
    frame.to_file(folder / "vandvaerk.gpkg", layer="ledninger", driver="GPKG", engine="pyogrio")
    path = write_mapping(folder, ('id = { column = "ledning_id" }', 'id = "hash"'))
    first, report = selected(path, AREA)
    again, _ = selected(path, AREA)
    assert list(first) == list(again)
    assert len(first) == 3
    assert [f.code for f in report.findings] == ["MAP-DUPLICATE-ROW"]


@pytest.mark.parametrize(("at", "added_m"), [("top", 0.0), ("centre", 0.0315), ("bottom", 0.063)])
def test_heights_are_those_of_the_top(folder: Path, at: str, added_m: float) -> None:
    path = write_mapping(folder, ('at = "top"', f'at = "{at}"'))
    found, _ = selected(path, AREA)
    assert found["ledning.2"]["heights"] == pytest.approx([3.25 + added_m, 3.5 + added_m])


def test_references_lead_to_features_in_the_answer_or_are_left_out(folder: Path) -> None:
    frame = pipes()
    frame["ventil"] = [7, 8, None, None]
    frame.to_file(folder / "vandvaerk.gpkg", layer="ledninger", driver="GPKG", engine="pyogrio")
    rule = 'startkomponent = { column = "ventil", layer = "ventil" }\nniveau = "under terræn"'
    found, report = selected(write_mapping(folder, ('niveau = "under terræn"', rule)), AREA)
    assert found["ledning.1"]["properties"]["startkomponent"] == {"href": "#ventil.7"}
    assert "startkomponent" not in found["ledning.2"]["properties"]
    assert [(f.code, f.severity) for f in report.findings] == [("MAP-REFERENCE", "info")]


# --- the file is checked before a row is read

BAD_FILES = {
    "not TOML": (("[owner]", "[owner"), "is not a TOML file"),
    "bad CVR": ((f'cvr = "{OWNER}"', 'cvr = "1234"'), "m.toml, owner.cvr: expected the 8 digits"),
    "unknown member": (("valid_days = 30", "valid_dayz = 30"), "answer: expected one of the members"),
    "no such class": (('"Vandledning"', '"Vandror"'), "layer ledning.class: expected a LER class"),
    "abstract class": (('"Vandledning"', '"Ledning"'), "layer ledning.class: expected a LER class"),
    "no such attribute": (("tvaersnitsform", "tvaersnit"), "attributes.tvaersnit: expected an attribute of"),
    "missing attribute": (('tvaersnitsform = "cirkulær"\n', ""), "also tvaersnitsform"),
    "code not in its list": (('fareklasse = "ikke farlig"', 'fareklasse = "ufarlig"'), "ikke farlig"),
    "listed code not in its list": (('"i brug" = "i drift"', '"i brug" = "drift"'), "driftsstatus.values"),
    "no unit": (('"dim_mm", unit = "mm"', '"dim_mm"'), "expected unit = one of mm"),
    "wrong unit": (('"dim_mm", unit = "mm"', '"dim_mm", unit = "bar"'), "expected unit = one of mm"),
    "heights without reference": (('reference = "DVR90"', 'reference = "DNN"'), "expected 'DVR90'"),
    "no id": (('id = { column = "ledning_id" }\n', ""), "layer ledning.id: expected { column"),
    "no source": (('source = "vandvaerk.gpkg" ', 'zource = "x"'), "expected one of the members"),
    "two of one name": (('name = "ventil"', 'name = "ledning"'), "a name of its own"),
    "void where none may be": (('niveau = "under terræn"', 'niveau = "nil"'), "cannot be void"),
    "left to fill in": (
        ('fareklasse = "ikke farlig"', 'fareklasse = "UDFYLD"'), "layer 1.attributes.fareklasse",
    ),
    "contact without a way": (
        (', phone = "+4512345678", email = "vagt@vandvaerk.example"', ""), "a phone number",
    ),
    "secret in the file": (
        ('source = "vandvaerk.gpkg" ', 'database = "postgresql://u:hemmelig@h/d"\ntable="t" #'),
        "environment variable",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_wrong_mapping_file_is_refused_with_the_place(folder: Path, name: str) -> None:
    change, told = BAD_FILES[name]
    path = write_mapping(folder, change)
    with pytest.raises(InvalidInput, match=re.escape(told)) as refused:
        read_mapping(path)
    assert "hemmelig" not in str(refused.value.message)


def test_the_mapping_of_the_how_to_is_valid(folder: Path) -> None:
    page = (ROOT / "docs" / "howto" / "answer-as-a-small-owner.md").read_text("utf-8")
    [block] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (folder / "m.toml").write_text(
        block.replace('"ude af brug"', '"projekt" = "under etablering", "ude af brug"')
    )
    found, report = selected(folder / "m.toml", AREA)
    assert (report.errors, set(found)) == (0, {"ledning.1", "ledning.2", "ledning.3"})


SOURCES: dict[str, tuple[tuple[str, str], str]] = {
    "no such file": (('"vandvaerk.gpkg" ', '"intet.gpkg" '), "does not exist"),
    "no such column": (('column = "dim_mm"', 'column = "dimension"'), "has no column 'dimension'"),
    "no such column in the filter": (("ejer = [", "ejeren = ["), "has no column 'ejeren'"),
    "no such layer": (('layer = "ledninger"', 'layer = "roer"'), "cannot be read as a vector layer"),
    "no layer named among several": (('layer = "ledninger"', ""), "holds 2 layers"),
    "another CRS stated": (
        ('layer = "ledninger"', 'layer = "ledninger"\ncrs = "EPSG:25833"'),
        "is in ETRS89",
    ),
    "a program": (('"vandvaerk.gpkg" ', '"m.toml" '), "of a kind that is not read"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_contradicts_the_mapping_is_refused(folder: Path, name: str) -> None:
    change, told = SOURCES[name]
    mapping = read_mapping(write_mapping(folder, change))
    with pytest.raises(InvalidInput, match=re.escape(told)):
        list(rows_from_layer(mapping.layers[0], OWNER, report=Report(), area=AREA))


def test_a_source_without_crs_needs_one_stated(folder: Path) -> None:
    frame = pipes().rename(columns={"usikkerhed_m": "usikkerhed"}).set_crs(None, allow_override=True)
    with pytest.warns(UserWarning, match="crs"):
        frame.to_file(folder / "p.shp", engine="pyogrio", layer="p")
    text = sample().partition('[[layer]]\nname = "ventil"')[0].replace("vandvaerk.gpkg", "p.shp")
    text = text.replace('layer = "ledninger"', "").replace('"usikkerhed_m"', '"usikkerhed"')
    (folder / "m.toml").write_text(text, "utf-8")
    with pytest.raises(InvalidInput, match="does not say its coordinate reference system"):
        selected(folder / "m.toml", AREA)
    (folder / "m.toml").write_text(text.replace("id = {", 'crs = "EPSG:25832"\nid = {'), "utf-8")
    found, _ = selected(folder / "m.toml", AREA)
    assert set(found) == {"ledning.1", "ledning.2"}


# --- single values


def attribute(feature_class: str, name: str) -> Any:
    return catalogue().classes[feature_class].attributes[name]


BEFORE_1970 = {"value": "1970", "indeterminate": "before"}
VALUES: list[tuple[str, str, Any, dict[str, Any], Any]] = [
    ("Vandledning", "vejledendeDybde", "1,25", {"unit": "m"}, {"value": 1250.0, "uom": "mm"}),
    ("Vandledning", "udvendigDiameter", 0.11, {"unit": "m"}, {"value": 110.0, "uom": "mm"}),
    ("Vandledning", "udvendigDiameter", 4, {"unit": "in"}, {"value": 101.6, "uom": "mm"}),
    ("Elledning", "spaendingsniveau", 400, {"unit": "V"}, {"value": 0.4, "uom": "kV"}),
    ("Gasledning", "tryk", 400, {"unit": "kPa"}, {"value": 4.0, "uom": "bar"}),
    ("TermiskLedning", "temperatur", 353.15, {"unit": "K"}, {"value": 80.0, "uom": "Cel"}),
    ("Vandkomponent", "topkote", 325, {"unit": "cm"}, {"height_m": 3.25}),
    ("Vandledning", "udnyttelsesgrad", 75, {"unit": "%"}, 0.75),
    ("Vandledning", "noejagtighedsklasse", 25, {"unit": "cm"}, "<= 0.25 m"),
    ("Vandledning", "noejagtighedsklasse", 0.251, {"unit": "m"}, "<= 0.50 m"),
    ("Vandledning", "noejagtighedsklasse", 2.01, {"unit": "m"}, "> 2.00 m"),
    ("Vandledning", "driftsstatus", "I DRIFT", {}, "i drift"),
    ("Vandledning", "tvaersnitsform", "other: hest", {}, "other: hest"),
    ("Vandledning", "etableringstidspunkt", 1987.0, {}, "1987"),
    ("Vandledning", "etableringstidspunkt", date(1987, 5, 1), {}, "1987-05-01"),
    ("Vandledning", "etableringstidspunkt", "01-05-1987", {"date_format": "%d-%m-%Y"}, "1987-05-01"),
    ("Vandledning", "etableringstidspunkt", "5/1987", {"date_format": "%m/%Y"}, "1987-05"),
    ("Vandledning", "etableringstidspunkt", "<1970", {}, BEFORE_1970),
    ("Vandledning", "etableringstidspunkt", 1970, {"before": True}, BEFORE_1970),
    ("Vandledning", "registreringFra", datetime(2024, 1, 2, 3, 4, tzinfo=UTC), {}, "2024-01-02T03:04:00Z"),
    ("Vandledning", "indeholderLedninger", 0, {}, False),
    ("Elledning", "antalKabler", "3", {}, 3),
    ("Vandledning", "udvendigMateriale", 110.0, {}, "110"),
    ("Vandledning", "vejledendeDybde", "nil", {"unit": "m"}, {"nil": True}),
    ("Vandledning", "vejledendeDybde", "  ", {"unit": "m"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("feature_class", "name", "value", "how", "expected"), VALUES)
def test_a_value_becomes_what_ler_takes(
    feature_class: str, name: str, value: Any, how: dict[str, Any], expected: Any
) -> None:
    how = dict(how)
    scale = scale_of(attribute(feature_class, name), how.pop("unit", ""))
    assert converted(attribute(feature_class, name), value, scale=scale, **how) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("udvendigDiameter", "1.234,5"),
        ("udvendigDiameter", float("inf")),
        ("udvendigDiameter", True),
        ("etableringstidspunkt", "0087"),
        ("etableringstidspunkt", "1987-02-30"),
        ("driftsstatus", "drift"),
        ("sikkerhedshensyn", "x" * 501),
        ("sikkerhedshensyn", "a\x00b"),
        ("indeholderLedninger", "måske"),
        ("niveau", "nil"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(name: str, value: Any) -> None:
    with pytest.raises(Unfit):
        converted(attribute("Vandledning", name), value)


# --- whole answers


def answer_to(path: Path, area: shapely.Geometry | None, target: Path) -> Any:
    return make_answer(read_mapping(path), area, target, number="2026-000001", now=datetime.now(UTC))


def test_the_answer_is_valid_by_the_official_schema(folder: Path, reference: Path, tmp_path: Path) -> None:
    made = answer_to(folder / "m.toml", AREA, tmp_path / "svar.gml")
    assert made.report.ok
    assert made.features == 3
    assert faults(ler_schema(reference, tmp_path / "xsd"), made.path.read_bytes()) == []


def test_an_area_without_lines_is_answered_so(folder: Path, tmp_path: Path) -> None:
    area = shapely.box(EAST + 20, NORTH + 150, EAST + 40, NORTH + 160)
    made = answer_to(folder / "m.toml", area, tmp_path / "svar.gml")
    assert (str(made.response_type), made.features, made.report.ok) == (
        "ingen ledninger i graveområde",
        0,
        True,
    )


WHOLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "an export that was cut short": (
        lambda folder: (
            pipes().iloc[:0].to_file(folder / "vandvaerk.gpkg", layer="ledninger", engine="pyogrio")
        ),
        "MAP-TOO-FEW-ROWS",
    ),
    "another zone's coordinates": (
        lambda folder: (
            pipes().translate(-400_000, 0).to_frame("geometry").join(pipes().drop(columns="geometry"))
            .to_file(folder / "vandvaerk.gpkg", layer="ledninger", engine="pyogrio")
        ),
        "MAP-OUTSIDE-DENMARK",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_sources_that_cannot_be_right_never_say_that_nothing_lies_here(
    folder: Path, tmp_path: Path, name: str
) -> None:
    spoil, code = WHOLE[name]
    spoil(folder)
    with pytest.raises(DataRefused) as refused:
        answer_to(folder / "m.toml", AREA, tmp_path / "svar.gml")
    assert code in [f.code for f in refused.value.report.findings]


def test_data_that_lie_far_from_the_area_are_not_an_answer(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="cannot be right") as refused:
        answer_to(
            folder / "m.toml", shapely.box(600_000, 6_200_000, 600_050, 6_200_050), tmp_path / "svar.gml"
        )
    assert [f.code for f in refused.value.report.findings] == ["MAP-FAR-AWAY"]


def test_a_row_error_leaves_no_document(folder: Path, tmp_path: Path) -> None:
    frame = pipes()
    put(frame, "status", "ukendt")
    frame.to_file(folder / "vandvaerk.gpkg", layer="ledninger", driver="GPKG", engine="pyogrio")
    made = answer_to(folder / "m.toml", AREA, tmp_path / "svar.gml")
    assert (made.report.ok, made.path.exists()) == (False, False)


# --- drafts


def test_a_draft_guesses_and_marks_what_is_left(folder: Path) -> None:
    draft = draft_of_files(folder / "vandvaerk.gpkg")
    path = folder / "draft.toml"
    path.write_text(draft, "utf-8")
    assert 'class = "Vandledning"' in draft
    assert 'etableringstidspunkt = { column = "anlagt"' in draft
    with pytest.raises(InvalidInput, match="a decision instead of UDFYLD"):
        read_mapping(path)


def test_a_draft_that_was_filled_in_is_a_mapping(folder: Path) -> None:
    draft = draft_of_files(folder / "vandvaerk.gpkg")
    for old, new in (
        ('cvr = "UDFYLD"', f'cvr = "{OWNER}"'),
        ('phone = "UDFYLD", email = "UDFYLD"', 'phone = "+4512345678"'),
        ('from = "z"\nunit = "UDFYLD" ', 'from = "z"\nunit = "m" '),
        ('reference = "UDFYLD"', 'reference = "DVR90"'),
        ('at = "UDFYLD"', 'at = "top"'),
        ('"i brug" = "UDFYLD"', '"i brug" = "i drift"'),
        ('"projekt" = "UDFYLD"', '"projekt" = "under etablering"'),
        ('"ude af brug" = "UDFYLD"', '"ude af brug" = "permanent ude af drift"'),
        ('"GPS" = "UDFYLD"', '"GPS" = "nøjagtigt"'),
        ('"skitse" = "UDFYLD"', '"skitse" = "skematisk"'),
        ('"anlagt", default = "UDFYLD"', '"anlagt", default = "<2023"'),
        ('type = "UDFYLD"', 'type = "ventil"'),
        ('fareklasse = "UDFYLD"', 'fareklasse = "ikke farlig"'),
        ('column = "dim_mm", unit = "UDFYLD"', 'column = "dim_mm", unit = "mm"'),
        ('unit = "UDFYLD"', 'unit = "m"'),
        ('noejagtighedsklasse = "UDFYLD"', 'noejagtighedsklasse = "<= 1.00 m"'),
        ('noejagtighedsklasseVertikal = "UDFYLD"', 'noejagtighedsklasseVertikal = "nil"'),
        ('"UDFYLD"', '"Vagten"'),
    ):
        assert old in draft, old
        draft = draft.replace(old, new)
    path = folder / "m.toml"
    path.write_text(draft, "utf-8")
    found, report = selected(path, None)
    assert (len(found), report.errors) == (len(PIPES) + len(valves()), 0)


@pytest.mark.parametrize("name", ["a\"b'\n]\\", "æøå <x>"])
def test_a_draft_is_toml_whatever_the_columns_are_called(tmp_path: Path, name: str) -> None:
    import tomllib

    frame = pipes().rename(columns={"status": f"status{name}"})
    frame.to_file(tmp_path / "p.gpkg", layer="x", driver="GPKG", engine="pyogrio")
    tomllib.loads(draft_of_files(tmp_path / "p.gpkg"))


def test_errors_of_unreadable_sources_are_ours(tmp_path: Path) -> None:
    (tmp_path / "vandvaerk.gpkg").write_bytes(b"SQLite format 3\x00 and no more")
    (tmp_path / "m.toml").write_text(sample(), "utf-8")
    with pytest.raises(UnreadableFile, match=r"vandvaerk.gpkg.* cannot be read"):
        selected(tmp_path / "m.toml", AREA)
    assert issubclass(UnreadableFile, GeoinfraError)
