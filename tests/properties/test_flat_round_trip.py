"""Whatever a feature holds survives the flat layout: as rows, and as the records of GeoJSON."""

from __future__ import annotations

from typing import Any

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_ler_round_trip import CVR, feature

from geoinfra.errors import Report
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import FeatureClass, catalogue
from geoinfra.utilities.formats.flat import Layout, class_layout, composed, records, union_layout
from geoinfra.utilities.formats.flat_arrow import decoded
from geoinfra.utilities.formats.flat_read import TableReader
from geoinfra.utilities.model import FeatureRows


def read_back(layout: Layout, rows: list[list[Any]], wkbs: list[bytes | None]) -> tuple[Any, Report]:
    report = Report()
    reader = TableReader([column.name for column in layout.columns], report)
    (batch,) = reader.read(rows, *decoded(wkbs))
    return batch, report


@pytest.mark.parametrize("entry", catalogue().feature_classes, ids=lambda entry: entry.name)
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_feature_survives_every_layout(entry: FeatureClass, data: st.DataObject) -> None:
    made = FeatureRows(CVR)
    made.add(entry.name, "y", *data.draw(feature(entry)))
    before: FeatureBatch = made.batch()
    wkbs, heights = composed(before)
    for layout in (class_layout(entry.name), union_layout()):
        after, report = read_back(layout, list(layout.rows(before, heights)), wkbs)
        assert [f for f in report.findings if f.code not in ("TABLE-GEOMETRY", "TABLE-MISSING")] == []
        assert after.columns["properties"] == before.columns["properties"]
        if not report.findings:  # else the drawn place is outside Denmark
            assert after == before
    names = [column.name for column in union_layout().columns]
    (record,) = records(before, heights)
    after, _ = read_back(union_layout(), [[record.get(name) for name in names]], wkbs)
    assert after.columns["properties"] == before.columns["properties"]


@given(
    st.lists(
        st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=20), st.booleans()),
        min_size=len(union_layout().columns),
    )
)
@settings(max_examples=150, deadline=None)
def test_any_cells_are_read_or_found_out(cells: list[Any]) -> None:
    layout = union_layout()
    names = [column.name for column in layout.columns]
    row = dict(zip(names, cells, strict=False)) | {
        "feature_class": "Afloebskomponent",
        "gml_id": "a",
        "owner_cvr": CVR,
    }
    report = Report()
    reader = TableReader(names, report)
    place = shapely.to_wkb(shapely.Point(7e5, 6.2e6))
    (batch,) = reader.read([[row.get(name) for name in names]], *decoded([place]))
    assert len(batch) == 1
