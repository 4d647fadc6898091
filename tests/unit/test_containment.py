"""A line without geometry is stored where its trace or duct lies, so that no package leaves it out."""

from __future__ import annotations

import shapely

from geoinfra.utilities.containment import with_container_geometry
from geoinfra.utilities.model import FeatureRows

TRACE = shapely.MultiLineString([[(650000, 6080000), (650050, 6080000)]])
BASE = {"driftsstatus": "i drift", "etableringstidspunkt": "2001", "fareklasse": "ikke farlig"}


def rows() -> FeatureRows:
    made = FeatureRows("10000009")
    made.add("Elledning", "cable.early", {**BASE, "type": "forsyningskabel"})
    made.add(
        "Ledningstrace",
        "trace.1",
        {
            **BASE,
            "forsyningsart": ["el"],
            "indeholdtLedning": [{"href": "#duct.1"}, {"href": "#cable.early"}],
        },
        geometry=TRACE,
    )
    made.add(
        "Foeringsroer",
        "duct.1",
        {**BASE, "tvaersnitsform": "cirkulær", "indeholdtLedning": [{"href": "#cable.deep"}]},
    )
    made.add("Elledning", "cable.deep", {**BASE, "type": "forsyningskabel"})
    made.add("Elledning", "cable.lost", {**BASE, "type": "forsyningskabel"})
    made.add("Elledning", "cable.own", {**BASE, "type": "forsyningskabel"}, geometry=TRACE.geoms[0])
    return made


def test_contained_lines_lie_where_their_container_lies_through_every_level() -> None:
    found = {}
    for batch in with_container_geometry([rows().batch()]):
        for i, own in enumerate(batch.columns["gml_id"]):
            found[own] = (batch.geometry[i], batch.columns["geometry_source"][i])
    trace = shapely.to_wkb(TRACE, byte_order=1)
    assert {own: source for own, (_, source) in found.items()} == {
        "cable.early": "container",
        "trace.1": "own",
        "duct.1": "container",
        "cable.deep": "container",
        "cable.lost": None,
        "cable.own": "own",
    }
    assert found["cable.deep"][0] == found["duct.1"][0] == found["cable.early"][0] == trace
    assert found["cable.lost"][0] is None


def test_the_delivered_element_is_not_changed() -> None:
    before = dict(zip(rows().batch().feature_ids, rows().batch().columns["gml"], strict=True))
    after = {}
    for batch in with_container_geometry([rows().batch()]):
        after.update(zip(batch.feature_ids, batch.columns["gml"], strict=True))
    assert after == before
