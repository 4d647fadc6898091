"""Precautions: distances that can be worked out by hand, and nothing dangerous without one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geoinfra.errors import InvalidGeometry, InvalidInput
from geoinfra.standards import standards_path
from geoinfra.tables import FeatureBatch
from geoinfra.utilities import precautions
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.enquiry import DIG_METHODS
from geoinfra.utilities.model import FeatureRows
from geoinfra.utilities.precautions import Level, NearFeature, Precaution, evaluate, precaution_rules

E, N = 550_000.0, 6_200_000.0
OWNER = "10000009"
DIG = shapely.box(E, N, E + 100, N + 50)
MACHINE, BORING = ["6"], ["7"]
SURE = {"noejagtighedsklasse": "<= 0.25 m", "indtegningsmetode": "nøjagtigt", "niveau": "under terræn"}
BASE = {"driftsstatus": "i drift", "etableringstidspunkt": "2001", "fareklasse": "ikke farlig", **SURE}


def mm(value: float) -> dict[str, Any]:
    return {"value": value, "uom": "mm"}


def beside(distance: float) -> shapely.LineString:
    """A line along the north side of the dig, so far from it."""
    return shapely.LineString([(E + 10, N + 50 + distance), (E + 90, N + 50 + distance)])


def batch(*features: tuple[str, shapely.Geometry | None, dict[str, Any]]) -> FeatureBatch:
    rows = FeatureRows(OWNER)
    for number, (feature_class, geometry, properties) in enumerate(features):
        taken = catalogue().feature_class(feature_class).attributes
        base = {name: value for name, value in BASE.items() if name in taken}
        rows.add(feature_class, f"f.{number}", {**base, **properties}, geometry)
    return rows.batch()


def one(feature_class: str, geometry: shapely.Geometry | None, **properties: Any) -> FeatureBatch:
    return batch((feature_class, geometry, properties))


def fired(
    features: FeatureBatch,
    methods: list[str] = MACHINE,
    depth: float | None = 1.0,
    dig: shapely.Polygon = DIG,
) -> dict[str, Precaution]:
    return {found.code: found for found in evaluate(methods, depth, dig, [features])}


# ----------------------------------------------------------------------------------------------- distances


@pytest.mark.parametrize(
    ("feature_class", "geometry", "properties", "distance"),
    [
        ("Vandledning", beside(3.0), {}, 3.0),
        ("Vandledning", beside(0.0), {}, 0.0),
        ("Vandledning", beside(-10.0), {}, 0.0),
        ("Vandledning", beside(3.0), {"udvendigDiameter": mm(400)}, 2.8),
        ("Vandledning", beside(0.15), {"udvendigDiameter": mm(400)}, 0.0),
        ("Ledningstrace", beside(3.0), {"bredde": mm(1000)}, 2.5),
        ("Foeringsroer", beside(3.0), {"udvendigBredde": mm(600), "udvendigHoejde": mm(300)}, 2.7),
        ("Vandledning", shapely.LineString([(E + 103, N + 54), (E + 200, N + 54)]), {}, 5.0),  # 3-4-5
        ("Vandledning", shapely.LineString([(E + 100, N + 52), (E + 102, N + 50)]), {}, math.sqrt(2)),
        ("Vandledning", shapely.LineString([(E - 50, N + 25), (E + 150, N + 25)]), {}, 0.0),
        ("Vandkomponent", shapely.Point(E - 6, N - 8), {"type": "ventil"}, 10.0),
        ("Vandkomponent", shapely.Point(E + 50, N + 25), {"type": "ventil"}, 0.0),
        ("Vandkomponent", shapely.box(E - 20, N, E - 7, N + 9), {"type": "bassin"}, 7.0),
        ("Vandkomponent", shapely.box(E - 20, N - 20, E + 200, N + 90), {"type": "bassin"}, 0.0),
    ],
)
def test_the_distance_is_that_to_the_outside_of_the_line(
    feature_class: str, geometry: shapely.Geometry, properties: dict[str, Any], distance: float
) -> None:
    trace = {"forsyningsart": ["vand"]} if feature_class == "Ledningstrace" else {}
    found = fired(one(feature_class, geometry, **properties, **trace))
    place = found["IN-AREA" if distance <= 1 else "ELSEWHERE"]
    assert place.nearest_m == pytest.approx(distance, abs=5e-4)


def test_a_line_in_a_hole_of_the_dig_area_is_as_far_as_the_rim() -> None:
    dig = DIG.difference(shapely.box(E + 20, N + 10, E + 80, N + 40))
    found = fired(one("Vandledning", shapely.LineString([(E + 30, N + 25), (E + 70, N + 25)])), dig=dig)
    assert found["ELSEWHERE"].nearest_m == pytest.approx(10.0)


def test_distances_agree_with_geos_for_many_lines_and_a_wild_area() -> None:
    rng = np.random.default_rng(7)
    angles = np.linspace(0, 2 * math.pi, 500, endpoint=False)
    radii = 50 + 30 * np.sin(9 * angles) + rng.uniform(0, 3, 500)
    dig = shapely.Polygon(np.column_stack([E + radii * np.cos(angles), N + radii * np.sin(angles)]))
    starts = rng.uniform(-200, 200, (400, 2)) + np.array([E, N])
    lines = [shapely.LineString([p, p + rng.uniform(-20, 20, 2)]) for p in starts]
    found = evaluate(MACHINE, None, dig, [batch(*[("Vandledning", line, {}) for line in lines])])
    mine = {f.feature_id: f.distance_m for p in found for f in p.features}
    theirs = {f"{OWNER}.f.{i}": round(line.distance(dig), 3) for i, line in enumerate(lines)}
    assert mine == pytest.approx(theirs, abs=1.1e-3)


# ----------------------------------------------------------------------------------------- the rules fire


@pytest.mark.parametrize(
    ("distance", "code"),
    [
        (-5.0, "VERY-DANGEROUS-IN-AREA"),
        (0.0, "VERY-DANGEROUS-IN-AREA"),
        (0.1, "VERY-DANGEROUS-NEAR"),
        (10.0, "VERY-DANGEROUS-NEAR"),
        (10.1, "VERY-DANGEROUS"),
        (5000.0, "VERY-DANGEROUS"),
    ],
)
@pytest.mark.parametrize("depth", [None, 0.2, 5.0])
def test_a_very_dangerous_line_always_has_a_precaution_of_its_own(
    distance: float, code: str, depth: float | None
) -> None:
    line = one("Gasledning", beside(distance), fareklasse="meget farlig", vejledendeDybde=mm(4000))
    found = fired(line, ["4"], depth)
    assert {c for c in found if c.startswith("VERY-DANGEROUS")} == {code}


def test_a_very_dangerous_line_without_geometry_is_said_so() -> None:
    found = fired(one("Gasledning", None, fareklasse="meget farlig"))
    assert {"VERY-DANGEROUS", "NO-GEOMETRY"} <= set(found)
    assert found["VERY-DANGEROUS"].features[0].distance_m is None
    assert found["VERY-DANGEROUS"].nearest_m is None


@pytest.mark.parametrize(
    ("code", "feature_class", "properties", "inside", "outside", "methods"),
    [
        ("HIGH-VOLTAGE", "Elledning", {"spaendingsniveau": {"value": 10, "uom": "kV"}}, 1.0, 1.01, ["6"]),
        ("OVERHEAD-LINE", "Elledning", {"type": "luftledning"}, 15.0, 15.01, ["6"]),
        ("OVERHEAD-LINE", "Elledning", {"niveau": "over terræn"}, 15.0, 15.01, ["6"]),
        ("MACHINE-NEAR-CABLE", "Elledning", {}, 1.0, 1.01, ["1"]),
        ("MACHINE-NEAR-CABLE", "Elledning", {}, 1.0, 1.01, ["99"]),
        ("MACHINE-NEAR-TELECOM", "Telekommunikationsledning", {}, 0.5, 0.51, ["6"]),
        ("MACHINE-NEAR-DANGER", "Gasledning", {"fareklasse": "farlig"}, 1.0, 1.01, ["8"]),
        ("BLIND-METHOD", "Vandledning", {}, 1.5, 1.51, ["7"]),
        ("CRACKING", "Vandledning", {}, 1.0, 1.01, ["5"]),
        ("RAMMING", "Afloebsledning", {}, 5.0, 5.01, ["9"]),
        ("BLASTING", "Telekommunikationsledning", {}, 50.0, 50.01, ["10"]),
        ("UNCERTAIN-POSITION", "Vandledning", {"noejagtighedsklasse": "> 2.00 m"}, 2.0, 2.01, ["6"]),
        ("UNCERTAIN-POSITION", "Vandledning", {"indtegningsmetode": "skematisk"}, 2.0, 2.01, ["6"]),
        ("OUT-OF-USE", "Vandledning", {"driftsstatus": "permanent ude af drift"}, 1.0, 1.01, ["6"]),
    ],
)
def test_a_rule_fires_up_to_its_distance(
    code: str,
    feature_class: str,
    properties: dict[str, Any],
    inside: float,
    outside: float,
    methods: list[str],
) -> None:
    near = fired(one(feature_class, beside(inside - 1e-6), **properties), methods)
    far = fired(one(feature_class, beside(outside), **properties), methods)
    assert code in near
    assert code not in far
    assert near[code].features[0].feature_id == f"{OWNER}.f.0"


@pytest.mark.parametrize(
    ("code", "feature_class", "properties", "methods"),
    [
        ("HIGH-VOLTAGE", "Elledning", {"spaendingsniveau": {"value": 0.4, "uom": "kV"}}, ["6"]),
        (
            "HIGH-VOLTAGE",
            "Elledning",
            {"type": "luftledning", "spaendingsniveau": {"value": 60, "uom": "kV"}},
            ["6"],
        ),
        ("MACHINE-NEAR-CABLE", "Elledning", {}, ["4"]),
        ("MACHINE-NEAR-TELECOM", "Vandledning", {}, ["6"]),
        ("MACHINE-NEAR-DANGER", "Vandledning", {}, ["6"]),
        ("BLIND-METHOD", "Vandledning", {}, ["6"]),
        ("RAMMING", "Telekommunikationsledning", {}, ["9"]),
        ("UNCERTAIN-POSITION", "Vandledning", {}, ["6"]),
        ("OUT-OF-USE", "Vandledning", {}, ["6"]),
        ("OWNER-SAYS", "Vandledning", {}, ["6"]),
    ],
)
def test_a_rule_stays_silent_when_a_condition_fails(
    code: str, feature_class: str, properties: dict[str, Any], methods: list[str]
) -> None:
    assert code not in fired(one(feature_class, beside(0.0), **properties), methods)


@pytest.mark.parametrize(
    ("line_mm", "dig_m", "code"),
    [
        (None, 1.0, "MACHINE-NEAR-CABLE"),
        (600, 1.0, "MACHINE-NEAR-CABLE"),
        (1499, 1.0, "MACHINE-NEAR-CABLE"),
        (1500, 1.0, "BELOW-DIG"),
        (3000, 1.0, "BELOW-DIG"),
        (3000, None, "MACHINE-NEAR-CABLE"),
    ],
)
def test_a_line_known_to_be_below_the_dig_is_named_as_that(
    line_mm: float | None, dig_m: float | None, code: str
) -> None:
    depth = {} if line_mm is None else {"vejledendeDybde": mm(line_mm)}
    found = set(fired(one("Elledning", beside(0.0), **depth), depth=dig_m))
    assert found & {"MACHINE-NEAR-CABLE", "BELOW-DIG"} == {code}


def test_unseen_methods_do_not_trust_a_depth() -> None:
    assert "BLIND-METHOD" in fired(one("Elledning", beside(0.0), vejledendeDybde=mm(9000)), BORING, 1.0)


def test_the_owners_own_words_are_carried_however_far_away() -> None:
    text = "Ring før <b>gravning</b>"
    found = fired(one("Gasledning", beside(80.0), sikkerhedshensyn=f" {text} "))
    assert [f.note for f in found["OWNER-SAYS"].features] == [text]


def test_an_unknown_hazard_counts_as_dangerous() -> None:
    features = one("Vandledning", beside(0.0))
    features.columns["hazard"] = [None]
    assert "MACHINE-NEAR-DANGER" in fired(features)


def test_the_heaviest_and_nearest_come_first() -> None:
    features = batch(
        ("Vandledning", beside(0.4), {}),
        ("Gasledning", beside(0.9), {"fareklasse": "farlig"}),
        ("Gasledning", beside(-5.0), {"fareklasse": "meget farlig"}),
        ("Telekommunikationsledning", beside(0.2), {}),
    )
    found = evaluate(MACHINE, None, DIG, [features])
    levels = [list(Level).index(p.level) for p in found]
    assert levels == sorted(levels)
    assert found[0].code == "VERY-DANGEROUS-IN-AREA"
    for precaution in found:
        distances = [f.distance_m for f in precaution.features]
        assert distances == sorted(distances, key=lambda d: -1 if d is None else d)


def test_batches_of_many_owners_are_one_picture() -> None:
    other = FeatureRows("10000017")
    other.add("Elledning", "f.0", BASE, beside(0.3))
    found = evaluate(MACHINE, None, DIG, iter([one("Elledning", beside(0.6)), other.batch()]))
    cable = next(p for p in found if p.code == "MACHINE-NEAR-CABLE")
    assert [(f.owner_cvr, f.distance_m) for f in cable.features] == [("10000017", 0.3), (OWNER, 0.6)]


def test_no_features_make_no_precautions() -> None:
    assert evaluate(MACHINE, None, DIG, []) == []
    assert evaluate(MACHINE, None, DIG, [FeatureRows(OWNER).batch()]) == []


def test_a_feature_whose_place_is_not_finite_is_one_without_place() -> None:
    features = batch(("Vandledning", beside(0.0), {}), ("Vandledning", beside(0.0), {}))
    broken = shapely.set_coordinates(beside(0.0), np.array([[np.inf, N], [E, N]]))
    features.geometry[1] = shapely.to_wkb(broken)
    found = fired(features)
    assert [f.feature_id for f in found["NO-GEOMETRY"].features] == [f"{OWNER}.f.1"]


# --------------------------------------------------------------------------------------- nothing is hidden


CLASSES = [
    "Elledning",
    "Gasledning",
    "Vandledning",
    "Telekommunikationsledning",
    "Afloebsledning",
    "Foeringsroer",
]
FEATURES = st.lists(
    st.tuples(
        st.sampled_from(CLASSES),
        st.sampled_from(["ikke farlig", "farlig", "meget farlig"]),
        st.one_of(st.none(), st.floats(-20, 200)),
        st.one_of(st.none(), st.integers(100, 5000)),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(FEATURES, st.sampled_from(sorted(DIG_METHODS)), st.one_of(st.none(), st.floats(0, 10)))
def test_every_feature_is_in_a_precaution_and_every_very_dangerous_one_in_a_heavy_one(
    features: list[tuple[str, str, float | None, int | None]], method: str, depth: float | None
) -> None:
    rows = batch(
        *[
            (
                name,
                None if distance is None else beside(distance),
                {"fareklasse": hazard} | ({} if deep is None else {"vejledendeDybde": mm(deep)}),
            )
            for name, hazard, distance, deep in features
        ]
    )
    found = evaluate([method], depth, DIG, [rows])
    everywhere = {f.feature_id for p in found for f in p.features}
    heavy = {f.feature_id for p in found if p.level is not Level.NOTE for f in p.features}
    assert everywhere == set(rows.feature_ids)
    dangerous = {
        i for i, h in zip(rows.feature_ids, rows.columns["hazard"], strict=True) if h == "meget farlig"
    }
    assert dangerous <= heavy


@settings(max_examples=30, deadline=None)
@given(FEATURES, st.sampled_from(sorted(DIG_METHODS)))
def test_more_methods_and_more_depth_never_take_a_precaution_away(
    features: list[tuple[str, str, float | None, int | None]], method: str
) -> None:
    rows = batch(
        *[(name, None if d is None else beside(d), {"fareklasse": hazard}) for name, hazard, d, _ in features]
    )
    less = {(p.code, f.feature_id) for p in evaluate(["4"], None, DIG, [rows]) for f in p.features}
    more = {(p.code, f.feature_id) for p in evaluate(["4", method], None, DIG, [rows]) for f in p.features}
    assert less <= more


# ------------------------------------------------------------------------------------------ data and input


def test_every_rule_has_words_a_known_source_and_a_known_condition() -> None:
    data = precautions._data()
    assert len({rule.code for rule in precaution_rules()}) == len(data["rules"])
    for rule in precaution_rules():
        texts = [rule.title, rule.title_da, rule.action, rule.action_da, rule.avoid, rule.avoid_da]
        assert all(texts)
        assert not any("{" in text for text in texts)
        assert rule.source in data["sources"]
        assert rule.when.get("methods", "machine") in data["method_groups"]
    assert {m for group in data["method_groups"].values() for m in group} <= set(DIG_METHODS)
    assert standards_path("utilities", "precautions.json").is_file()


def test_numbers_in_the_words_are_those_of_the_rule() -> None:
    rules = {rule.code: rule for rule in precaution_rules()}
    assert "0,5 m" in rules["MACHINE-NEAR-TELECOM"].action_da
    assert "0.5 m" in rules["MACHINE-NEAR-TELECOM"].action


def test_a_rule_with_an_unknown_condition_is_refused() -> None:
    entry = {**precautions._data()["rules"][0], "when": {"colour": "red"}}
    with pytest.raises(InvalidInput, match="unknown conditions: colour"):
        precautions._rule(entry)


def test_a_precaution_as_json_counts_all_and_writes_as_many_as_asked() -> None:
    features = batch(*[("Vandledning", beside(0.1 * k), {}) for k in range(5)])
    document = fired(features)["IN-AREA"].to_json(most_features=2)
    assert (document["count"], len(document["features"])) == (5, 2)
    assert document["features"][0]["distance_m"] == 0.0
    assert set(document["features"][0]) == set(NearFeature.__dataclass_fields__)


@pytest.mark.parametrize(
    ("methods", "depth", "dig", "error"),
    [
        ([], 1.0, DIG, InvalidInput),
        (["12"], 1.0, DIG, InvalidInput),
        (["6"], math.nan, DIG, InvalidInput),
        (["6"], -0.1, DIG, InvalidInput),
        (["6"], 1001.0, DIG, InvalidInput),
        (["6"], 1.0, shapely.Polygon(), InvalidGeometry),
        (["6"], 1.0, shapely.Polygon([(E, N), (E + 9, N + 9), (E + 9, N), (E, N + 9)]), InvalidGeometry),
    ],
)
def test_a_dig_that_is_none_is_refused(
    methods: list[str], depth: float, dig: shapely.Polygon, error: type[Exception]
) -> None:
    with pytest.raises(error):
        evaluate(methods, depth, dig, [])
