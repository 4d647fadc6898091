"""Whatever LER can say survives writing and reading, and is valid by the official schema."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import ler_documents
import numpy as np
import orjson
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ler_schema import faults, ler_schema
from lxml import etree

from geoinfra.errors import GeoinfraError, Report
from geoinfra.utilities.catalogue import MODELS, Attribute, FeatureClass, catalogue
from geoinfra.utilities.formats import ler
from geoinfra.utilities.model import AnswerHeader, FeatureRows, ResponseType, namespace_declarations

CVR = "12345678"
HEADER = AnswerHeader("cd459a03-8629-4682-85b3-293cd6fefd75", ResponseType.DELIVERED)

letters = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff") | st.sampled_from(
    "\n\t\r"
)
east = st.integers(4_500_000_000, 8_900_000_000).map(lambda n: n / 10_000)
north = st.integers(60_500_000_000, 64_000_000_000).map(lambda n: n / 10_000)
positions = st.tuples(east, north)
numbers = st.integers(-(10**6), 10**9) | st.floats(-1e6, 1e9, allow_nan=False).map(
    lambda x: round(x, 4) + 0.0
)
dates = st.dates().map(str)


@pytest.fixture(scope="module")
def schema(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> etree.XMLSchema:
    return ler_schema(reference, tmp_path_factory.mktemp("xsd"))


def texts(attribute: Attribute) -> st.SearchStrategy[Any]:
    return st.text(letters, min_size=1, max_size=min(attribute.max_length or 60, 60))


def codes(attribute: Attribute) -> st.SearchStrategy[Any]:
    assert attribute.enumeration is not None
    listed = st.sampled_from(sorted(attribute.enumeration.values))
    word = st.text("abcæøå019", min_size=2, max_size=20).map("other: {}".format)
    return listed | word if attribute.enumeration.open else listed


def values(attribute: Attribute) -> st.SearchStrategy[Any]:
    """Values that the attribute takes, nil among them where it is nillable."""
    uom = st.just(attribute.uom) if attribute.uom else st.sampled_from(["mm", "m"])
    media = st.sampled_from(sorted(catalogue().media_types.items()))
    instants = dates | dates.map(lambda d: d[:7]) | dates.map(lambda d: d[:4])
    made: st.SearchStrategy[Any] = {
        "text": lambda: texts(attribute),
        "code": lambda: codes(attribute),
        "uri": lambda: st.just("skitse.pdf"),
        "boolean": st.booleans,
        "integer": lambda: st.integers(-(10**12), 10**12),
        "decimal": lambda: st.integers(0, 100).map(lambda n: n // 100 if n % 100 == 0 else n / 100),
        "measure": lambda: st.fixed_dictionaries({"value": numbers, "uom": uom}),
        "date": lambda: dates,
        "datetime": lambda: st.datetimes().map(lambda d: d.replace(microsecond=0).isoformat()),
        "instant": lambda: instants | instants.map(lambda t: {"value": t, "indeterminate": "before"}),
        "height": lambda: st.fixed_dictionaries({"height_m": st.none() | numbers.filter(lambda n: n != -99)}),
        "media": lambda: media.map(lambda m: {"value": m[0], "type": m[1]}),
        "reference": lambda: st.just({"href": "#" + TARGETS.get(attribute.target, "x.Elledning")}),
        "contact": lambda: st.fixed_dictionaries(
            {"navn": st.text(letters, min_size=1, max_size=50)},
            optional={
                "telefonnummer": st.just("12345678"),
                "mailadresse": st.just("a@b.dk"),
                "gml_id": st.just(f"egen.{attribute.name}"),
            },
        ),
    }[attribute.type]()
    if attribute.nillable:
        made |= st.sampled_from([{"nil": True}, {"nil": True, "reason": "unknown"}])
    return st.lists(made, min_size=1, max_size=3) if attribute.repeated else made


TARGETS = {
    "Ledning": "x.Elledning",
    "Ledningskomponent": "x.Elkomponent",
    "Informationsressource": "x.Informationsressource",
    "LinearAnnotation": "x.LinearAnnotation",
}


@st.composite
def geometries(draw: st.DrawFn, kind: str) -> shapely.Geometry:
    line = st.lists(positions, min_size=2, max_size=6).map(shapely.LineString)
    box = st.tuples(east, north, st.integers(1, 500), st.integers(1, 500)).map(
        lambda t: shapely.box(t[0], t[1], t[0] + t[2], t[1] + t[3])
    )
    holed = box.map(lambda b: shapely.difference(b, shapely.buffer(shapely.centroid(b), 0.2)))
    kinds: dict[str, st.SearchStrategy[shapely.Geometry]] = {
        "Point": positions.map(shapely.Point),
        "Curve": line,
        "MultiCurve": st.lists(line, min_size=1, max_size=3).map(shapely.MultiLineString),
    }
    areas = box | holed
    every = st.one_of(
        *kinds.values(),
        areas,
        st.lists(positions, min_size=1, max_size=3).map(shapely.MultiPoint),
        st.lists(areas, min_size=1, max_size=2).map(shapely.MultiPolygon),
    )
    return draw(kinds.get(kind, every))


@st.composite
def feature(draw: st.DrawFn, entry: FeatureClass) -> tuple[dict[str, Any], Any, Any]:
    properties = {}
    for attribute in entry.attributes.values():
        if attribute.type != "geometry" and (attribute.min or draw(st.booleans())):
            properties[attribute.name] = draw(values(attribute))
    geometry = heights = None
    if entry.geometry and (entry.geometry.min or draw(st.booleans())):
        geometry = draw(geometries(entry.geometry.geometry))
        count = int(shapely.get_num_coordinates(geometry))
        height = st.just(np.nan) | st.integers(-500_000, 5_000_000).map(lambda n: n / 10_000)
        heights = np.array(draw(st.lists(height, min_size=count, max_size=count)))
        heights[heights == -99] = 0
        ring_ends = shapely.get_coordinates(geometry)
        same = {tuple(xy): h for xy, h in zip(ring_ends.tolist(), heights, strict=True)}
        heights = np.array([same[tuple(xy)] for xy in ring_ends.tolist()])
    return properties, geometry, heights


def target_features() -> FeatureRows:
    """The features that references point at."""
    rows = FeatureRows(CVR)
    line, point = shapely.LineString([(7e5, 6.2e6), (7e5 + 1, 6.2e6)]), shapely.Point(7e5, 6.2e6)
    laid = {"driftsstatus": "i drift", "etableringstidspunkt": "2024", "fareklasse": "farlig"}
    attachment = {
        "title": "Skitse",
        "format": {"value": "PDF", "type": "application/pdf"},
        "sti": "skitse.pdf",
    }
    rows.add("Elledning", "x.Elledning", {**laid, "type": "stikkabel"}, line)
    rows.add("Elkomponent", "x.Elkomponent", {"type": "station"}, point)
    rows.add("Informationsressource", "x.Informationsressource", attachment)
    rows.add("LinearAnnotation", "x.LinearAnnotation", {"type": "line"}, line)
    return rows


@pytest.mark.parametrize("entry", catalogue().feature_classes, ids=lambda entry: entry.name)
@given(data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_feature_with_any_attributes_survives_and_is_valid(
    schema: etree.XMLSchema, entry: FeatureClass, data: st.DataObject
) -> None:
    rows = target_features()
    rows.add(entry.name, "y", *data.draw(feature(entry)))
    batch = rows.batch()
    written = io.BytesIO()
    ler.write_answer(written, HEADER, [batch])
    assert faults(schema, written.getvalue()) == []
    answer = ler.read_answer(written, owner_cvr=CVR)
    (again,) = list(answer.batches())
    assert [f for f in answer.report.findings if f.severity == "error"] == []
    place = {feature_id: row for row, feature_id in enumerate(again.feature_ids)}
    assert again.take([place[one] for one in batch.feature_ids]) == batch


@pytest.mark.parametrize("entry", catalogue().feature_classes, ids=lambda entry: entry.name)
@given(data=st.data())
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_in_an_older_model_all_survives_but_what_is_reported(
    entry: FeatureClass, data: st.DataObject
) -> None:
    rows = FeatureRows(CVR)
    rows.add(entry.name, "y", *data.draw(feature(entry)))
    batch = rows.batch()
    written, report = io.BytesIO(), Report()
    ler.write_answer(written, HEADER, [batch], data.draw(st.sampled_from(MODELS[1:])), report)
    (again,) = ler.read_answer(written, owner_cvr=CVR).batches()
    lost = {finding.path.partition("/")[2] for finding in report.findings if finding.severity != "error"}
    kept = orjson.loads(again.columns["properties"][0])
    expected = orjson.loads(batch.columns["properties"][0])
    assert kept == {name: value for name, value in expected.items() if name in kept}
    assert expected.keys() - kept.keys() <= lost
    assert (again.geometry, again.heights_m) == (batch.geometry, batch.heights_m)


SAMPLES = (
    "Elledning22.xml",
    "Elledning24.xml",
    "Foeringsroer.xml",
    "Gsvar_trace.xml",
    "elledning_2022.xml",
    "elledning_2024.xml",
    "svarudtagettil.gml",
)


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_is_the_same_after_writing(reference: Path, schema: etree.XMLSchema, name: str) -> None:
    answer = ler.read_answer(answer_of(reference / "ler" / "samples" / name), owner_cvr=CVR)
    batches = list(answer.batches())
    assert sum(len(batch) for batch in batches) > 0
    written = io.BytesIO()
    ler.write_answer(written, answer.header, batches)
    assert faults(schema, written.getvalue()) == []
    again = ler.read_answer(written, owner_cvr=CVR)
    assert list(again.batches()) == batches
    assert again.header == replace(answer.header, model_version="2.2.0")
    changes = [f for f in again.report.findings if f.severity != "info" and f.code != "LER-ANSWER-ID"]
    assert changes == []
    twice = io.BytesIO()
    ler.write_answer(twice, again.header, batches)
    assert twice.getvalue() == written.getvalue()


def answer_of(path: Path) -> io.BytesIO:
    """Return an answer; a feature that stands alone is put into one."""
    root = etree.parse(str(path)).getroot()
    if etree.QName(root).localname != "Graveforespoergselssvar":
        return io.BytesIO(ler_documents.written(ler_documents.Documents().document([root], targets=False)))
    return io.BytesIO(path.read_bytes())


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused_with_an_error_of_ours(content: bytes) -> None:
    head = f'<ler:Graveforespoergselssvar {namespace_declarations()} schemaVersion="2.2.0">'.encode()
    for document in (content, head + content, b"PK\x03\x04" + content):
        try:
            list(ler.read_answer(io.BytesIO(document), owner_cvr=CVR).batches())
        except GeoinfraError:
            continue


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_answer_is_read_or_refused_with_an_error_of_ours(data: st.DataObject) -> None:
    rows = FeatureRows(CVR)
    rows.add(
        "Elledning", "el.1", {"driftsstatus": "i drift"}, shapely.LineString([(7e5, 6.2e6), (7e5 + 1, 6.2e6)])
    )
    written = io.BytesIO()
    ler.write_answer(written, HEADER, [rows.batch()])
    content = bytearray(written.getvalue())
    start = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(0, 30))
    content[start : start + length] = data.draw(
        st.binary(max_size=30) | st.sampled_from([b"<", b"&", b"-99", b'"'])
    )
    try:
        list(ler.read_answer(io.BytesIO(bytes(content)), owner_cvr=CVR).batches())
    except GeoinfraError:
        return
