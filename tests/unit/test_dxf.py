"""DXF: read back by ezdxf and GDAL, every attribute, coordinate and height of LER is there."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import shapely
from ezdxf.document import Drawing
from ezdxf.filemanagement import read, readfile
from ezdxf.tools.text import plain_text
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from parts import program

from geoinfra.errors import InvalidGeometry, InvalidInput, MissingResource
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import Attribute, FeatureClass, catalogue
from geoinfra.utilities.formats import dxf, dxf_sheet, ler
from geoinfra.utilities.formats.dxf import write_dxf
from geoinfra.utilities.formats.dxf_attributes import (
    FACTS,
    DxfFeature,
    attribute_strings,
    decode_attributes,
    pieces,
)
from geoinfra.utilities.formats.dxf_sheet import drawing_rules, subject_of
from geoinfra.utilities.model import FeatureRows

OWNER = "10000009"
E0, N0 = 720_000.0, 6_170_000.0
BASE = {"driftsstatus": "i drift", "etableringstidspunkt": "2001", "fareklasse": "ikke farlig"}
NAN = np.nan


def mm(value: float) -> dict[str, Any]:
    return {"value": value, "uom": "mm"}


def line(*places: tuple[float, float, float]) -> shapely.LineString:
    return shapely.LineString([(E0 + x, N0 + y, h) for x, y, h in places])


def one(feature_class: str, geometry: Any, **properties: Any) -> FeatureBatch:
    rows = FeatureRows(OWNER)
    rows.add(feature_class, "f.1", properties, geometry)
    return rows.batch()


def drawn(*batches: FeatureBatch, **options: Any) -> Drawing:
    """Write batches, and read them back; the audit must find nothing."""
    written = io.BytesIO()
    write_dxf(written, batches, **options)
    document = read(io.StringIO(written.getvalue().decode()))
    auditor = document.audit()
    assert [e.message for e in auditor.errors + auditor.fixes] == []
    return document


def strings(entity: Any) -> list[str]:
    """Return the strings of an entity: those of its extension record where it has one."""
    if entity.has_extension_dict:
        record = entity.get_extension_dict()["GEOINFRA"]
        return [tag.value for tag in record.tags if tag.code == 1]
    return [tag.value for tag in entity.get_xdata("GEOINFRA") if tag.code == 1000]


def said(entity: Any) -> DxfFeature:
    return decode_attributes(strings(entity))


def features(document: Drawing) -> Iterator[DxfFeature]:
    """Give what the document says of each feature: its first full entity, or its record."""
    seen = set()
    for entity in document.modelspace():
        found = said(entity)
        if found.facts["gml_id"] not in seen and not {"role", "attributes"} & found.facts.keys():
            seen.add(found.facts["gml_id"])
            yield found
    records: Any = document.rootdict.get("GEOINFRA", {})
    for _, record in records.items():
        yield decode_attributes([tag.value for tag in record.tags if tag.code == 1])


def vertices(entity: Any) -> list[tuple[float, ...]]:
    kind = entity.dxftype()
    if kind == "LWPOLYLINE":
        return [tuple(p) for p in entity.get_points("xy")]
    if kind == "POLYLINE":
        return [tuple(v.dxf.location) for v in entity.vertices]
    return [tuple(entity.dxf.location)]


def value_of(attribute: Attribute) -> Any:
    """Return a valid value for an attribute."""
    values: dict[str, Any] = {
        "text": "Hej, æøå = 50",
        "uri": "bilag/plan.pdf",
        "boolean": True,
        "integer": 3,
        "decimal": 0.5,
        "date": "2020-02-29",
        "datetime": "2020-02-29T12:00:00+01:00",
        "instant": {"value": "2001-05", "indeterminate": "before"},
        "measure": {"value": 110.5, "uom": attribute.uom or "m"},
        "height": {"height_m": 12.25},
        "media": {"value": "PDF", "type": "application/pdf"},
        "reference": {"href": "#el.1"},
        "contact": {"navn": "Ida", "telefonnummer": "+45 12345678", "mailadresse": "i@x.dk", "gml_id": "k.1"},
    }
    if attribute.type == "code" and attribute.enumeration:
        return sorted(attribute.enumeration.values)[0]
    return values[attribute.type]


def geometry_of(entry: FeatureClass) -> Any:
    kind = entry.geometry.geometry if entry.geometry else ""
    if kind == "Curve":
        return line((0, 0, 1), (5, 0, 2), (5, 5, 3))
    if kind == "MultiCurve":
        return shapely.MultiLineString([line((0, 0, 1), (5, 0, 2)), line((9, 0, 1), (9, 5, 2))])
    return shapely.Point(E0, N0, 1.5) if kind else None


def every_class(owner: str = OWNER) -> FeatureBatch:
    """Each class three times: with every attribute, with a void wherever one is allowed, without geometry."""
    rows = FeatureRows(owner)
    for entry in catalogue().feature_classes:
        full = {a.name: value_of(a) for a in entry.attributes.values() if a.type != "geometry"}
        full.update({a.name: [value_of(a)] * 2 for a in entry.attributes.values() if a.repeated})
        void = {"nil": True, "reason": "unknown"}
        nil = {a.name: void for a in entry.attributes.values() if a.nillable and a.type != "geometry"}
        rows.add(entry.name, f"{entry.name}.full", full, geometry_of(entry))
        rows.add(entry.name, f"{entry.name}.void", {**full, **nil}, geometry_of(entry))
        rows.add(entry.name, f"{entry.name}.nowhere", full)
    return rows.batch()


@pytest.fixture(scope="module")
def sample(reference: Path) -> list[FeatureBatch]:
    answer = ler.read_answer(reference / "ler" / "samples" / "svarudtagettil.gml", owner_cvr=OWNER)
    return list(answer.batches())


@pytest.fixture(scope="module")
def sample_drawing(sample: list[FeatureBatch]) -> Drawing:
    return drawn(*sample)


# the official answer


def test_the_sample_comes_back_with_every_attribute(sample: list[FeatureBatch], tmp_path: Path) -> None:
    path = tmp_path / "sample.dxf"
    assert write_dxf(path, sample, owners={OWNER: "Ejer A/S"}) == 636
    document = readfile(path)
    auditor = document.audit()
    assert (auditor.errors, auditor.fixes) == ([], [])
    found = {f.facts["gml_id"]: f for f in features(document)}
    expected = {
        own: orjson.loads(text)
        for batch in sample
        for own, text in zip(batch.columns["gml_id"], batch.columns["properties"], strict=True)
    }
    assert {own: f.properties for own, f in found.items()} == expected
    assert {f.facts["owner_name"] for f in found.values()} == {"Ejer A/S"}
    assert {f.facts["height_source"] for f in found.values()} == {"none"}
    classes = Counter(f.facts["feature_class"] for f in found.values())
    assert classes["Elledning"] == 112
    assert classes["Elkomponent"] == 126


def test_the_sample_has_the_counts_and_coordinates_of_its_geometry(
    sample: list[FeatureBatch], sample_drawing: Drawing
) -> None:
    document = sample_drawing
    roles = Counter((e.dxftype(), said(e).facts.get("role", "")) for e in document.modelspace())
    widths = sum(
        bool(re.search(r'"(udvendigDiameter|udvendigBredde|bredde)":\{"value"', text))
        for batch in sample
        for text in batch.columns["properties"]
    )
    assert roles == {("LWPOLYLINE", ""): 406 + 2 + 46, ("POINT", ""): 182, ("LWPOLYLINE", "width"): widths}
    drawn_at = {
        said(e).facts["gml_id"]: vertices(e) for e in document.modelspace() if "role" not in said(e).facts
    }
    for batch in sample:
        for own, wkb in zip(batch.columns["gml_id"], batch.geometry, strict=True):
            wanted = shapely.get_coordinates(shapely.from_wkb(wkb))
            found = np.array(drawn_at[own])[:, :2]
            closed = len(wanted) - len(found)  # a ring's last vertex is its first
            assert closed in (0, 1)
            np.testing.assert_allclose(found, wanted[: len(found)], rtol=0, atol=1e-4)


def test_the_layers_of_the_sample_are_named_and_styled_by_the_scheme(sample_drawing: Drawing) -> None:
    document = sample_drawing
    used = {e.dxf.layer for e in document.modelspace()}
    names = "|".join(drawing_rules()["supplies"].values())
    scheme = re.compile(rf"{OWNER}_({names})-[A-Za-z0-9.-]+(_UE|_UAD|_SUK)?_(2D|BREDDE)")
    assert all(scheme.fullmatch(name) for name in used)
    assert {f"{OWNER}_EL-forsyningskabel_UAD_2D", f"{OWNER}_TELE-fiberkabel_BREDDE"} <= used
    layer = document.layers.get(f"{OWNER}_EL-forsyningskabel_UAD_2D")
    assert layer.dxf.linetype == "GEOINFRA_UAD"
    assert layer.dxf.true_color == 0xD3121F
    assert "permanent ude af drift" in layer.description
    assert layer.dxf.linetype in document.linetypes


@pytest.mark.parametrize(("hazard", "weight"), [("meget farlig", 70), ("farlig", 50), ("ikke farlig", -1)])
@pytest.mark.parametrize("height", [1.0, NAN])
def test_a_dangerous_line_has_a_heavy_weight(hazard: str, weight: int, height: float) -> None:
    batch = one("Gasledning", line((0, 0, height), (9, 0, height)), **{**BASE, "fareklasse": hazard})
    (entity,) = drawn(batch).modelspace()
    assert entity.dxf.lineweight == weight


# every class


def test_every_class_comes_back_with_every_attribute_and_every_void() -> None:
    batch = every_class()
    found = {f.facts["gml_id"]: f.properties for f in features(drawn(batch))}
    expected = zip(batch.columns["gml_id"], map(orjson.loads, batch.columns["properties"]), strict=True)
    assert found == dict(expected)


def test_names_of_facts_are_no_ler_attributes() -> None:
    names = {name for entry in catalogue().feature_classes for name in entry.attributes}
    assert not names & set(FACTS)


def test_a_feature_without_geometry_is_a_record_that_says_so() -> None:
    document = drawn(one("Vandledning", None, **BASE))
    assert len(document.modelspace()) == 0
    (found,) = features(document)
    assert found.facts["geometry_source"] == "none"


def test_the_rules_of_the_drawing_cover_every_supply_and_status() -> None:
    rules = drawing_rules()
    supplies = {c.supply for c in catalogue().feature_classes if c.supply} | {*catalogue().supplies.values()}
    assert supplies <= rules["supplies"].keys()
    assert rules["supplies"].keys() == rules["colours"].keys()
    assert rules["statuses"].keys() == catalogue().enumerations["Driftsstatus"].values | {""}
    assert rules["weights_mm"].keys() < catalogue().enumerations["Fareklasse"].values


# heights


def forms(document: Drawing) -> list[tuple[str, str, list[float]]]:
    """Return type, form and z of each entity that stands for a feature itself."""
    return [
        (e.dxftype(), e.dxf.layer.rpartition("_")[2], [round(v[2], 4) if v[2:] else 0.0 for v in vertices(e)])
        for e in document.modelspace()
        if "role" not in said(e).facts
    ]  # fmt: skip


def slope(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    return 10 + (xy[:, 0] - E0) / 100


def test_a_line_with_heights_is_a_3d_polyline_and_one_without_is_flat() -> None:
    known, unknown = line((0, 0, 1.5), (9, 0, 2.1234)), line((0, 0, NAN), (9, 0, NAN))
    assert forms(drawn(one("Vandledning", known, **BASE))) == [("POLYLINE", "3D", [1.5, 2.1234])]
    assert forms(drawn(one("Vandledning", unknown, **BASE))) == [("LWPOLYLINE", "2D", [0, 0])]


def test_a_mixed_line_is_cut_where_its_heights_end_and_lists_them_all() -> None:
    mixed = line((0, 0, 1.0), (1, 0, 2.0), (2, 0, NAN), (3, 0, NAN), (4, 0, 5.0), (5, 0, 6.0), (6, 0, 7.0))
    document = drawn(one("Vandledning", mixed, **BASE))
    assert forms(document) == [
        ("POLYLINE", "3D", [1.0, 2.0]),
        ("LWPOLYLINE", "2D", [0, 0, 0, 0]),
        ("POLYLINE", "3D", [5.0, 6.0, 7.0]),
    ]
    pieces_at = [[v[0] - E0 for v in vertices(e)] for e in document.modelspace()]
    assert pieces_at == [[0, 1], [1, 2, 3, 4], [4, 5, 6]]
    for entity in document.modelspace():
        assert said(entity).facts["height_source"] == "registered,none"
        assert said(entity).facts["heights_m"] == "1.0r 2.0r - - 5.0r 6.0r 7.0r"


def test_heights_that_are_not_registered_lie_on_layers_that_say_so() -> None:
    deep = one("Vandledning", line((0, 0, NAN), (100, 0, NAN)), **BASE, vejledendeDybde=mm(1500))
    assert forms(drawn(deep)) == [("LWPOLYLINE", "2D", [0, 0])]
    assert forms(drawn(deep, terrain=slope)) == [("POLYLINE", "3D-BEREGNET", [8.5, 9.5])]
    bare = one("Vandledning", line((0, 0, NAN), (100, 0, NAN)), **BASE)
    assert forms(drawn(bare, terrain=slope)) == [("LWPOLYLINE", "2D", [0, 0])]
    assert forms(drawn(bare, terrain=slope, defaults=True)) == [("POLYLINE", "3D-STANDARD", [8.8, 9.8])]
    gap = one("Vandledning", line((0, 0, 1), (1, 0, NAN), (2, 0, 2)), **BASE)
    assert forms(drawn(gap, interpolate_gap_m=5)) == [("POLYLINE", "3D-BEREGNET", [1, 1.5, 2])]


def test_components_are_points_and_closed_polylines() -> None:
    rows = FeatureRows(OWNER)
    hole = shapely.box(0, 0, 9, 9) - shapely.box(1, 1, 2, 2)
    flat = shapely.transform(hole, lambda xy: np.add(xy, [E0, N0]))
    rows.add("Elkomponent", "p", {"type": "muffe"}, shapely.Point(E0, N0, 3.25))
    rows.add("Elkomponent", "a", {"type": "muffe"}, flat)
    rows.add("Elkomponent", "z", {"type": "muffe"}, shapely.force_3d(flat, 2.0))
    rows.add("Elkomponent", "m", {"type": "muffe"}, shapely.MultiPoint([(E0, N0, 1), (E0 + 1, N0, NAN)]))
    document = drawn(rows.batch())
    found: dict[str, list[Any]] = {}
    for entity in document.modelspace():
        closed = getattr(entity, "closed", None) or getattr(entity, "is_closed", False)
        own = said(entity).facts["gml_id"]
        found.setdefault(own, []).append((entity.dxftype(), bool(closed), len(vertices(entity))))
    assert found == {
        "p": [("POINT", False, 1)],
        "a": [("LWPOLYLINE", True, 4)] * 2,
        "z": [("POLYLINE", True, 4)] * 2,
        "m": [("POINT", False, 1)] * 2,
    }
    assert [e.dxf.layer.rpartition("_")[2] for e in document.modelspace()][-2:] == ["3D", "2D"]


@pytest.mark.parametrize(
    ("feature_class", "properties", "width_m"),
    [
        ("Vandledning", {"udvendigDiameter": mm(110)}, 0.11),
        ("Afloebsledning", {"udvendigBredde": mm(1200), "udvendigHoejde": mm(900)}, 1.2),
        ("Ledningstrace", {"bredde": mm(500), "forsyningsart": ["el"]}, 0.5),
        ("Vandledning", {"udvendigDiameter": {"nil": True}}, None),
        ("Vandledning", {"udvendigDiameter": mm(0)}, None),
        ("Vandledning", {"udvendigDiameter": mm(9e9)}, None),
    ],
)
def test_a_line_is_drawn_in_its_true_width_on_a_layer_of_its_own(
    feature_class: str, properties: dict[str, Any], width_m: float | None
) -> None:
    batch = one(feature_class, line((0, 0, 1), (9, 0, NAN), (9, 9, 2)), **BASE, **properties)
    bands = [e for e in drawn(batch).modelspace() if said(e).facts.get("role") == "width"]
    assert [(e.dxf.const_width, len(vertices(e))) for e in bands] == ([(width_m, 3)] if width_m else [])
    assert all(e.dxf.layer.endswith("_BREDDE") for e in bands)


# annotations and dimensions


def test_a_text_annotation_is_a_text_at_its_place() -> None:
    (entity,) = drawn(one("TextAnnotation", shapely.Point(E0, N0), text="Kældernedgang ø")).modelspace()
    assert (entity.dxftype(), entity.dxf.text) == ("TEXT", "Kældernedgang ø")
    assert tuple(entity.dxf.insert)[:2] == (E0, N0)
    assert entity.dxf.layer == f"{OWNER}_ANNOTATION"


@pytest.mark.parametrize(
    ("kind", "tips"),
    [("line", []), ("one directional arrow", [4.0]), ("two directional arrow", [4.0, 0.0])],
)
def test_a_line_annotation_has_its_arrow_heads(kind: str, tips: list[float]) -> None:
    document = drawn(one("LinearAnnotation", line((0, 0, NAN), (2, 0, NAN), (4, 0, NAN)), type=kind))
    arrows: list[Any] = [e for e in document.modelspace() if said(e).facts.get("role") == "arrow"]
    assert [vertices(a)[1][0] - E0 for a in arrows] == tips
    assert [a.get_points("se")[0] for a in arrows] == [(0.3, 0)] * len(tips)


def test_a_dimension_shows_its_value_along_its_line() -> None:
    batch = one(
        "LinearDimension", line((4, 0, NAN), (0, 0, NAN)), dimensionalValue={"value": 4.0, "uom": "m"}
    )
    document = drawn(batch)
    (text,) = document.modelspace().query("TEXT")
    assert (text.dxf.text, text.dxf.rotation % 360) == ("4 m", 0)
    assert tuple(text.dxf.align_point)[:2] == (E0 + 2, N0)
    assert len(document.modelspace().query("LWPOLYLINE")) == 3


# the file


def test_the_file_states_its_units_and_reference_systems_and_shows_its_content() -> None:
    document = drawn(one("Vandledning", line((0, 0, 1), (100, 50, 2)), **BASE))
    assert document.dxfversion == "AC1024"
    assert (document.header["$INSUNITS"], document.header["$MEASUREMENT"]) == (6, 1)
    properties = dict(document.header.custom_vars.properties)
    assert "EPSG:25832" in properties["CRS"]
    assert "DVR90" in properties["HEIGHTS"]
    assert tuple(document.header["$EXTMIN"]) == (E0, N0, 0)
    assert tuple(document.header["$EXTMAX"]) == (E0 + 100, N0 + 50, 0)
    # ezdxf's types are narrower than what it takes
    (view,) = list(document.viewports.get("*Active"))  # type: ignore[call-overload]  # gives a list here
    assert tuple(view.dxf.center)[:2] == (E0 + 50, N0 + 25)


def test_no_handle_is_given_twice_and_the_seed_is_free() -> None:
    written = io.BytesIO()
    write_dxf(written, [every_class(), every_class("20000010")])
    lines = written.getvalue().decode().split("\n")
    tags = list(zip(map(str.strip, lines[::2]), lines[1::2], strict=False))
    in_tables = tags.index(("2", "TABLES"))
    handles = [value for code, value in tags[in_tables:] if code == "5"]
    assert len(handles) == len(set(handles))
    seed = tags[tags.index(("9", "$HANDSEED")) + 1][1]
    assert int(seed, 16) > max(int(handle, 16) for handle in handles)


def test_an_empty_drawing_is_a_drawing() -> None:
    assert len(drawn().modelspace()) == len(drawn(FeatureRows(OWNER).batch()).modelspace()) == 0


def test_a_failed_drawing_leaves_no_file(tmp_path: Path) -> None:
    batch = one("Vandledning", line((0, 0, 1), (1, 0, 2)), **BASE)
    wkb = batch.geometry[0]
    assert wkb is not None
    batch.geometry = [wkb[:-16] + np.array([NAN, N0]).tobytes()]
    with pytest.raises(InvalidGeometry):
        write_dxf(tmp_path / "a.dxf", [batch])
    with pytest.raises(InvalidInput):
        write_dxf(tmp_path / "a.dxf", [batch], defaults=True)
    assert list(tmp_path.iterdir()) == []


def test_without_ezdxf_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ezdxf.filemanagement", None)
    with pytest.raises(MissingResource, match="ezdxf") as missing:
        write_dxf(io.BytesIO(), [])
    assert "geoinfra[exchange]" in missing.value.hint


def test_memory_does_not_grow_with_the_number_of_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dxf, "_SPOOL_BYTES", 4096)
    rows = FeatureRows(OWNER)
    for i in range(50):
        rows.add("Vandledning", f"v.{i}", BASE, line(*[(j, 0, 1.0) for j in range(9)]))
    batch = rows.batch()

    def peak_bytes(copies: int, path: Path) -> int:
        tracemalloc.start()
        with path.open("wb") as file:
            write_dxf(file, (batch for _ in range(copies)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    path = Path("/dev/null")
    peak_bytes(1, path)
    assert peak_bytes(48, path) < 1.2 * peak_bytes(16, path)


# hostile content

TEXTS = {
    "line feed": "a\n  0\nEOF\n",
    "carriage return": "a\r\n0\r\nSECTION\r\n",
    "nothing": "",
    "control characters": "".join(map(chr, range(32))) + "\x7f\x85\x9f",
    "line separators": "a\u2028b\u2029c\x0bd\x0ce\x1cf\x1dg\x1eh",
    "percent codes": "%%c %%d %%u %%% %%010 100% %41",
    "backslash codes": "\\U+0041 \\M+18A91 \\P {\\fArial|b1;x} \\\\",
    "caret codes": "^J ^M ^ ^^ ^I",
    "braces": "{ } 1002 {",
    "blanks": "   a   ",
    "plus and equals": "+a=b=c",
    "other scripts": "水道 водопровод مياه 🚰 é\u0301",
    "direction marks": "\u202eabc\u202c\u200f",
    "byte order mark": "\ufeffa\ufffe\uffff",
    "long": "Æ" * 25_000,
    "long with blanks": " x" * 25_000,
    "blanks only": " " * 3_000,
    "long percent": "%" * 2_000,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_text_can_break_the_file_or_gets_lost(text: str) -> None:
    """Texts are put into the rows as they are; LER itself could not carry all of them."""
    batch = every_class()
    if len(text) > 1000:
        batch = batch.take([i for i, name in enumerate(batch.columns["kind"]) if name != "component"][:12])
    changed = []
    for row, name in enumerate(batch.columns["feature_class"]):
        properties = orjson.loads(batch.columns["properties"][row])
        for attribute in catalogue().feature_class(name).attributes.values():
            if attribute.type in ("text", "uri", "code") and attribute.name in properties:
                properties[attribute.name] = [text] * 3 if attribute.repeated else text
        changed.append(properties)
    batch.columns["properties"] = [orjson.dumps(properties).decode() for properties in changed]
    batch.columns["type"] = batch.columns["status"] = batch.columns["hazard"] = [text] * len(batch)
    document = drawn(batch, owners={OWNER: text})
    found = {f.facts["gml_id"]: f for f in features(document)}
    assert [found[own].properties for own in batch.columns["gml_id"]] == changed
    if text:
        assert {f.facts["owner_name"] for f in found.values()} == {text}
    for layer in document.layers:
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,255}", layer.dxf.name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\\U+0041b", "a\\ U+0041b"),
        ("\\m+18A91", "\\ m+18A91"),
        ("C:\\tegning\\1", "C:\\tegning\\1"),
        ("a^Jb", "a^Jb"),
        ("a\r\nb\x00c", "a  b c"),
        ("%%c12", "% %c12"),
        ("%%%%u", "% % % %u"),
        ("\\P{x}", "\\P{x}"),
    ],
)
def test_an_annotation_shows_its_text_and_obeys_no_code_in_it(text: str, expected: str) -> None:
    batch = one("TextAnnotation", shapely.Point(E0, N0), text="x")
    batch.columns["properties"] = [orjson.dumps({"text": text}).decode()]
    (entity,) = drawn(batch).modelspace()
    assert plain_text(entity.dxf.text) == expected
    assert said(entity).properties == {"text": text}


def test_extended_data_stays_within_its_bounds() -> None:
    batch = one("Elledning", line((0, 0, 1), (1, 0, 2)), **BASE, sikkerhedshensyn="Æ" * 500)
    batch.columns["properties"] = [
        orjson.dumps({"udvendigFarve": ["ø" * 90] * n, "sikkerhedshensyn": "Æ" * 500}).decode() for n in (1,)
    ]
    for count, in_record in ((20, False), (200, True)):
        batch.columns["properties"] = [orjson.dumps({"udvendigFarve": ["ø" * 90] * count}).decode()]
        (entity,) = drawn(batch).modelspace()
        held = [tag.value.encode() for tag in entity.get_xdata("GEOINFRA")]
        assert max(map(len, held)) <= 255
        assert sum(len(text) + 6 for text in held) < 16_000
        assert entity.has_extension_dict == in_record
        assert len(said(entity).properties["udvendigFarve"]) == count


def test_a_feature_of_very_many_parts_says_everything_once() -> None:
    parts = shapely.MultiLineString([line((i, 0, 1), (i, 1, 1)) for i in range(100)])
    batch = one("Ledningstrace", parts, **BASE, forsyningsart=["el"], sikkerhedshensyn="x" * 400)
    entities = list(drawn(batch).modelspace())
    full = ["attributes" not in said(e).facts for e in entities]
    assert (len(full), sum(full), full[0]) == (100, 16, True)
    assert {said(e).facts["gml_id"] for e in entities} == {"f.1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("T-muffe", "T-muffe"),
        ("other: Vådområde", "Vaadomraade"),
        ("industri/procesvand", "industri-procesvand"),
        ("anodebed - transmission", "anodebed-transmission"),
        ("<>/\\\":;?*|=`,", ""),
        ("水道", ""),
        ("a" * 300, "a" * 40),
    ],
)  # fmt: skip
def test_a_type_becomes_a_safe_part_of_a_layer_name(text: str, expected: str) -> None:
    assert subject_of(text) == expected


def test_types_that_differ_in_case_share_a_layer() -> None:
    rows = FeatureRows(OWNER)
    for kind in ("other: ABC", "other: abc"):
        rows.add("Elledning", kind[-3:], {**BASE, "type": kind}, line((0, 0, 1), (1, 0, 1)))
    assert {e.dxf.layer for e in drawn(rows.batch()).modelspace()} == {f"{OWNER}_EL-ABC_3D"}


def test_layers_beyond_the_limit_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dxf_sheet, "MAX_LAYERS", 5)
    rows = FeatureRows(OWNER)
    for i in range(9):
        rows.add("Elledning", f"e.{i}", {**BASE, "type": f"other: t{i}"}, line((0, 0, 1), (1, 0, 1)))
    layers = [e.dxf.layer for e in drawn(rows.batch()).modelspace()]
    assert layers[:5] == [f"{OWNER}_EL-t{i}_3D" for i in range(5)]
    assert set(layers[5:]) == {"GEOINFRA-ANDRE"}


@pytest.mark.parametrize("far", [1e12, -1e20, 1e300])
def test_a_coordinate_far_away_is_kept(far: float) -> None:
    batch = one("Elledning", line((0, 0, 1), (1, 0, 1)), **BASE)
    batch.geometry = [shapely.to_wkb(shapely.LineString([(far, N0), (E0, far)]), byte_order=1)]
    (entity,) = drawn(batch).modelspace()
    assert [v[:2] for v in vertices(entity)] == [(far, N0), (E0, far)]


def test_cut_strings_are_short_and_whole() -> None:
    for text in ("aé水🚰" * 500, "x" * 250, "x" * 251, " " * 600 + "x"):
        cut = list(pieces(text))
        assert max(len(piece.encode()) for piece in cut) <= 250
        assert "".join([cut[0], *(piece[1:] for piece in cut[1:])]) == text


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(st.fixed_dictionaries({"sikkerhedshensyn": ANY_TEXT, "udvendigFarve": st.lists(ANY_TEXT, min_size=1)}))
def test_any_text_comes_back_through_its_strings(properties: dict[str, Any]) -> None:
    entry = catalogue().feature_class("Elledning")
    made = attribute_strings(entry, orjson.dumps(properties).decode(), properties)
    cut = [piece for text in made for piece in pieces(text)]
    for text in cut:
        assert len(text.encode()) <= 250
        assert text.isprintable() or not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", text)
        assert not re.search(r"[\^\\]", text)
    assert decode_attributes(["feature_class=Elledning", *cut]).properties == properties


@pytest.mark.parametrize(
    "wrong",
    [
        ["gml_id=a", "x=1"],
        ["feature_class=Elledning", "no equals"],
        ["feature_class=Elledning", "bundkote_m=1"],
        ["feature_class=Elledning", "antalKabler=many"],
    ],
)
def test_strings_that_are_not_ours_are_refused(wrong: list[str]) -> None:
    with pytest.raises(InvalidInput):
        decode_attributes(wrong)


# GDAL


@pytest.mark.gdal
def test_gdal_opens_the_drawing_with_layers_heights_and_attributes(
    sample: list[FeatureBatch], tmp_path: Path
) -> None:
    program("ogr2ogr")
    path = tmp_path / "sample.dxf"
    high = one("Gasledning", line((0, 0, 1.25), (3, 4, 2.5)), **BASE, udvendigDiameter=mm(110))
    write_dxf(path, [*sample, high, every_class("20000010")])
    out = tmp_path / "out.geojson"
    options = ("--config", "DXF_INCLUDE_RAW_CODE_VALUES", "TRUE", "--config", "DXF_ENCODING", "UTF-8")
    subprocess.run(["ogr2ogr", *options, "-f", "GeoJSON", out, path], check=True, capture_output=True)
    found = json.loads(out.read_text())["features"]
    document = readfile(path)
    assert len(found) == len(document.modelspace())
    by_id: dict[str, list[Any]] = {}
    for feature in found:
        values = [text.removeprefix("1000 ") for text in feature["properties"]["RawCodeValues"]]
        feature["strings"] = values[values.index("1001 GEOINFRA") + 1 :]
        by_id.setdefault(feature["strings"][0], []).append(feature)
    centre, band = by_id["gml_id=f.1"]
    assert centre["properties"]["Layer"] == f"{OWNER}_GAS-ledning_3D"
    assert centre["geometry"]["coordinates"] == [[E0, N0, 1.25], [E0 + 3, N0 + 4, 2.5]]
    assert decode_attributes(centre["strings"]).properties == orjson.loads(high.columns["properties"][0])
    assert band["properties"]["Layer"] == f"{OWNER}_GAS-ledning_BREDDE"
    for batch in sample:
        for own, text in zip(batch.columns["gml_id"], batch.columns["properties"], strict=True):
            strings = by_id[f"gml_id={own}"][0]["strings"]
            assert decode_attributes(strings).properties == orjson.loads(text)
