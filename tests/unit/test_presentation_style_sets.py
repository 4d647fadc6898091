"""Style sets: their files, coverage, immutability, colours, and the resolver on features and batches."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import shutil
import time
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import shapely
from colours import delta_e_2000, lab_difference, seen

from geoinfra.errors import InvalidInput, NotFound
from geoinfra.presentation.attributes import column_of, feature_attributes, told_apart
from geoinfra.presentation.coverage import coverage, scale_samples
from geoinfra.presentation.labels import label_text
from geoinfra.presentation.resolve import (
    Corridor,
    Label,
    Marker,
    PointSymbol,
    Stroke,
    Symbol,
    resolve,
    resolve_batch,
)
from geoinfra.presentation.style_set import StyleSet, load_style_set, style_sets
from geoinfra.presentation.symbols import load_symbols
from geoinfra.standards import standards_path
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.model import FeatureRows

ROOT = standards_path("presentation")
SETS = [(name, version) for name, versions in style_sets().items() for version in versions]
IDS = [f"{name}-{version}" for name, version in SETS]
HASHES = json.loads((Path(__file__).parent / "presentation_hashes.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def geoinfra() -> StyleSet:
    return load_style_set("geoinfra")


def files_of(name: str, version: str) -> list[Path]:
    return sorted((ROOT / name / version).glob("*.json"))


def line(**more: Any) -> dict[str, Any]:
    return {"kind": "line", "geometry": "line", "supply": "gas", "status": "i drift", **more}


def corridor(symbol: Symbol) -> float:
    return symbol.of(Corridor)[0].half_width_m


# ------------------------------------------------------------------ files


@pytest.mark.parametrize(("name", "version"), SETS, ids=IDS)
def test_every_file_follows_the_schema(name: str, version: str) -> None:
    schema = json.loads((ROOT / "rules.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for path in files_of(name, version):
        validator = jsonschema.Draft202012Validator({**schema, "$ref": f"#/$defs/{path.stem}"})
        assert [e.message for e in validator.iter_errors(json.loads(path.read_text("utf-8")))] == [], path


@pytest.mark.parametrize(("name", "version"), SETS, ids=IDS)
def test_a_published_version_never_changes(name: str, version: str) -> None:
    digest = hashlib.sha256()
    for path in files_of(name, version):
        digest.update(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n"))
    assert digest.hexdigest() == HASHES[f"{name} {version}"], "make a new version, or publish this one"


@pytest.mark.parametrize("name", style_sets())
def test_every_combination_at_every_scale_resolves_to_one_rule_set(name: str) -> None:
    found = coverage(load_style_set(name))
    assert found.problems == ()
    assert (found.gaps, found.overlaps) == (0, 0)
    assert found.combinations >= 10 * 4 * 4 * 6 * len(scale_samples(load_style_set(name)))


def copy_of(tmp_path: Path, name: str = "geoinfra") -> Path:
    for folder in (name, "symbols"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path / name / "1.0.0"


def edit(path: Path, change: Any) -> None:
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")


def test_a_missing_row_is_counted_as_gaps_and_a_double_row_as_overlaps(tmp_path: Path) -> None:
    folder = copy_of(tmp_path)
    rows = ["tables", "line-width-mm", "rows"]

    def spoil(document: Any) -> None:
        table = document[rows[0]][rows[1]][rows[2]]
        table[0] = {"scale": "plan", "is": 0.7}

    edit(folder / "tables.json", spoil)
    found = coverage(load_style_set("geoinfra", root=tmp_path))
    whole = coverage(load_style_set("geoinfra"))
    samples = scale_samples(load_style_set("geoinfra"))
    share = found.combinations // len(samples)
    assert found.combinations == whole.combinations
    assert found.gaps == share * sum(scale < 350 for scale in samples)
    assert found.overlaps == share * sum(350 <= scale < 1100 for scale in samples)


@pytest.mark.parametrize(
    ("bands", "gaps"),
    [([1, 500, 501, 600000], True), ([1, 501, 500, 600000], False)],
    ids=["open between bands", "bands overlap"],
)
def test_scales_in_no_band_or_two_are_found(tmp_path: Path, bands: list[float], gaps: bool) -> None:
    folder = copy_of(tmp_path, "dlf")

    def spoil(document: Any) -> None:
        scales = document["scales"]
        scales[0]["from"], scales[0]["below"] = bands[0], bands[1]
        scales[1]["from"] = bands[2]

    edit(folder / "style_set.json", spoil)
    found = coverage(load_style_set("dlf", root=tmp_path))
    assert (found.gaps > 0, found.overlaps > 0) == (gaps, not gaps)


def test_a_class_too_few_or_too_many_is_found(tmp_path: Path) -> None:
    folder = copy_of(tmp_path)
    edit(folder / "dimensions.json", lambda d: d["dimensions"]["status"]["classes"].pop())
    # the tables that name the class go with it
    edit(
        folder / "types.json", lambda d: d["types"][0].__setitem__("when", {"supply": ["electricity", "gas"]})
    )
    with pytest.raises(InvalidInput):
        load_style_set("geoinfra", root=tmp_path)
    shutil.copy(ROOT / "geoinfra" / "1.0.0" / "dimensions.json", folder)
    found = coverage(load_style_set("geoinfra", version="1.0.0", root=tmp_path / "."))
    assert found.overlaps > 0
    assert "falls into ['electricity', 'gas']" in " ".join(found.problems)


@pytest.mark.parametrize(
    ("name", "version"), [("../geoinfra", None), ("nothing", None), ("geoinfra", "9.9.9"), ("geoinfra", "..")]
)
def test_what_is_no_style_set_is_not_found(name: str, version: str | None) -> None:
    with pytest.raises(NotFound):
        load_style_set(name, version)


# ------------------------------------------------------------------ meaning


def test_absent_accuracy_has_the_widest_corridor_and_width_and_method_add_to_it(geoinfra: StyleSet) -> None:
    classes = ["<= 0.25 m", "<= 0.50 m", "<= 1.00 m", "<= 2.00 m", "> 2.00 m", None]
    widths = [corridor(resolve(geoinfra, line(accuracy_class=one), 250)) for one in classes]
    assert widths == sorted(widths)
    assert len(set(widths)) == 6
    exact = corridor(resolve(geoinfra, line(accuracy_class=classes[0], drawing_method="nøjagtigt"), 250))
    shifted = corridor(resolve(geoinfra, line(accuracy_class=classes[0], drawing_method="forskudt"), 250))
    schematic = corridor(resolve(geoinfra, line(accuracy_class=classes[0], drawing_method="skematisk"), 250))
    assert exact < shifted < schematic
    thick = resolve(geoinfra, line(accuracy_class=classes[0], diameter_mm=800.0), 250)
    assert corridor(thick) == pytest.approx(0.25 + 0.4)


@pytest.mark.parametrize("method", ["forskudt", "skematisk"])
@pytest.mark.parametrize("scale", [50, 500, 2000, 10_000, 50_000, 400_000])
def test_what_is_not_drawn_exactly_is_never_crisp(geoinfra: StyleSet, method: str, scale: float) -> None:
    exact = resolve(geoinfra, line(drawing_method="nøjagtigt"), scale).of(Stroke)
    symbol = resolve(geoinfra, line(drawing_method=method), scale)
    assert "line" in [stroke.part for stroke in exact]
    strokes = [stroke for stroke in symbol.of(Stroke) if stroke.part != "container-edge"]
    assert strokes
    assert all(stroke.opacity < 0.5 for stroke in strokes)


def test_each_state_is_drawn_differently(geoinfra: StyleSet) -> None:
    plain = line(depth_source="registered", accuracy_class="<= 0.25 m", hazard="ikke farlig")
    states = {
        "plain": {},
        "establishing": {"status": "under etablering"},
        "out of use": {"status": "permanent ude af drift"},
        "dangerous": {"hazard": "farlig"},
        "very dangerous": {"hazard": "meget farlig"},
        "depth stated": {"depth_source": "stated"},
        "depth assumed": {"depth_source": "assumed"},
        "depth unknown": {"depth_source": None},
        "ownerless": {"ownership": "uden ejer"},
        "container": {"containment": "container"},
        "contained": {"containment": "contained"},
        "10 kV": {"voltage_kv": 10.0},
        "60 kV": {"voltage_kv": 60.0},
        "400 kV": {"voltage_kv": 400.0},
        "flow": {"flow": "forward"},
        "flow back": {"flow": "backward"},
        "shifted": {"drawing_method": "forskudt"},
        "schematic": {"drawing_method": "skematisk"},
    }
    drawn = {name: resolve(geoinfra, {**plain, **more}, 500).layers for name, more in states.items()}
    assert len(set(drawn.values())) == len(states)


@pytest.mark.parametrize(
    ("kilovolts", "bars"),
    [
        (0.4, []),
        (0.999, []),
        (1, ["bar-1"]),
        (29.9, ["bar-1"]),
        (30, ["bar-2"]),
        (130.5, ["bar-2"]),
        (131, ["bar-3"]),
    ],
)
@pytest.mark.parametrize("name", ["geoinfra", "ler-viewer"])
def test_ticks_tell_the_voltage(name: str, kilovolts: float, bars: list[str]) -> None:
    symbol = resolve(load_style_set(name), line(supply="electricity", voltage_kv=kilovolts), 500)
    assert [m.marker for m in symbol.of(Marker) if m.marker.startswith("bar")] == bars


def test_layers_lie_in_order_and_danger_above_lines(geoinfra: StyleSet) -> None:
    symbol = resolve(geoinfra, line(hazard="meget farlig"), 250)
    orders = [layer.order for layer in symbol.layers]
    assert orders == sorted(orders)
    assert isinstance(symbol.layers[0], Corridor)
    assert max(s.order for s in symbol.of(Stroke)) < min(m.order for m in symbol.of(Marker))


def test_component_symbols_are_those_of_the_symbol_table(geoinfra: StyleSet) -> None:
    symbols = load_symbols()
    tried = 0
    for entry in catalogue().feature_classes:
        if entry.kind != "component":
            continue
        attribute = entry.attributes["type"]
        values = attribute.enumeration.values if attribute.enumeration else ("brønd", "noget")
        for type_ in [None, *sorted(values), "other: pumpe", "other: noget"]:
            attributes = {
                "kind": "component",
                "geometry": "point",
                "supply": entry.supply,
                "feature_class": entry.name,
                "type": type_,
            }
            drawn = resolve(geoinfra, attributes, 250)
            (point,) = [p for p in drawn.of(PointSymbol) if p.part == "component"]
            assert point.symbol == symbols.symbol_for(entry.name, type_)
            tried += 1
    assert tried > 140


def test_labels_leave_out_what_is_absent_and_follow_the_language(geoinfra: StyleSet) -> None:
    attributes = {"type": "other: noget", "diameter_mm": 110.0, "voltage_kv": 10.5, "depth_mm": 1200.0}
    assert label_text(geoinfra, "line", attributes) == "noget Ø110 10,5 kV dybde 1,2 m"
    assert label_text(geoinfra, "line", attributes, "en") == "noget Ø110 10.5 kV depth 1.2 m"
    assert label_text(geoinfra, "line", {}) == ""
    assert resolve(geoinfra, line(hazard="meget farlig"), 250).of(Label)[0].priority == 3


@pytest.mark.parametrize("scale", [0, 700_000, float("nan"), -1])
def test_a_scale_without_band_is_refused(geoinfra: StyleSet, scale: float) -> None:
    with pytest.raises(InvalidInput):
        resolve(geoinfra, line(), scale)


# ------------------------------------------------------------------ batches


def features(count: int) -> FeatureBatch:
    choices = itertools.product(
        ("Elledning", "Gasledning", "Afloebsledning", "Vandledning"),
        ("i drift", "under etablering", "permanent ude af drift"),
        ("ikke farlig", "farlig", "meget farlig"),
        ("<= 0.25 m", "<= 1.00 m", "> 2.00 m"),
        ("nøjagtigt", "forskudt"),
        ("ejet af udleverende ledningsejer", "uden ejer"),
        (True, False),
    )
    rows = FeatureRows("12345678", elements=False)
    for number, (name, status, hazard, accuracy, method, owner, inside) in enumerate(choices):
        properties: dict[str, Any] = {
            "driftsstatus": status,
            "fareklasse": hazard,
            "noejagtighedsklasse": accuracy,
            "indtegningsmetode": method,
            "ejerskabsforhold": owner,
            "liggerILedning": inside,
            "indeholderLedninger": number % 3 == 0,
        }
        if number % 2:
            properties["vejledendeDybde"] = {"value": 800 + number, "uom": "mm"}
        if name == "Elledning":
            properties["spaendingsniveau"] = {"value": number % 200, "uom": "kV"}
        if name == "Afloebsledning":
            properties["ledningstransporttype"] = ("gravitation", "tryk")[number % 2]
            properties["udvendigBredde"] = {"value": 600, "uom": "mm"}
        heights = (None, np.array([1.0, 0.5]), np.array([np.nan, 2.0]))[number % 3]
        rows.add(name, f"a{number}", properties, shapely.LineString([(number, 0), (number, 9)]), heights)
    batch = rows.batch()
    return batch.take([row % len(batch) for row in range(count)])


def test_a_batch_resolves_as_its_features_do(geoinfra: StyleSet) -> None:
    batch = features(864)
    names = (*geoinfra.attributes, "width_mm")
    for scale in (250, 5000):
        drawn = resolve_batch(geoinfra, batch, scale)
        for row in range(0, len(batch), 7):
            alone = resolve(geoinfra, feature_attributes(batch, row, names), scale)
            assert drawn.symbol(row).layers == alone.layers


def test_derived_attributes_follow_from_the_row() -> None:
    batch = features(864)
    assert {*column_of(batch, "depth_source")} == {"registered", "stated", None}
    assert {*column_of(batch, "containment")} == {"both", "container", "contained", None}
    assert {*column_of(batch, "flow")} == {"forward", "pressure", None}
    assert {*column_of(batch, "ownership")} == {"uden ejer", "ejet af udleverende ledningsejer"}
    assert {*column_of(batch, "width_mm")} == {600.0, None}


def plainly(batch: FeatureBatch, row: int) -> tuple[Any, ...]:
    """Read owner, containment and flow out of the parsed properties."""
    columns, properties = batch.columns, json.loads(batch.columns["properties"][row])
    holds = columns["kind"][row] == "trace" or properties.get("indeholderLedninger") is True
    holds = holds or bool(properties.get("indeholdtLedning"))
    inside = columns["geometry_source"][row] == "container" or properties.get("liggerILedning") is True
    containment = ("both" if inside else "container") if holds else "contained" if inside else None
    transport, flow = properties.get("ledningstransporttype"), None
    heights = batch.heights_m[row] if batch.heights_m else None
    if columns["supply"][row] == "sewer" and transport in ("tryk", "vakuum"):
        flow = {"tryk": "pressure", "vakuum": "vacuum"}[transport]
    elif columns["supply"][row] == "sewer" and transport == "gravitation" and heights:
        first, last = np.frombuffer(heights)[[0, -1]]
        flow = None if not abs(first - last) >= 0.02 else "forward" if first > last else "backward"
    owner = properties.get("ejerskabsforhold")
    return owner if owner == "uden ejer" else None, containment, flow


def test_what_is_read_in_one_pass_is_what_the_properties_say() -> None:
    chance = np.random.default_rng(11)
    rows = FeatureRows("12345678", elements=False)

    def one_of(*values: Any) -> Any:
        return values[chance.integers(len(values))]

    for number in range(3000):
        name = one_of("Afloebsledning", "Vandledning", "Elledning", "Ledningstrace")
        given = {
            "driftsstatus": "i drift",
            "ejerskabsforhold": one_of(None, "uden ejer", 'x"ejerskabsforhold":"uden ejer"', "uden ejerlav"),
            "sikkerhedshensyn": one_of(
                None, 'se "liggerILedning":true, "indeholderLedninger":true', "æ\n€}{"
            ),
            "liggerILedning": one_of(None, True, False, False),
            "indeholderLedninger": one_of(None, True, False, False, False),
            "indeholdtLedning": one_of(None, None, None, [{"href": "#a"}]),
            "ledningstransporttype": one_of(None, "gravitation", "tryk", "vakuum"),
        }
        if name == "Ledningstrace":
            given = {"driftsstatus": "i drift", "ejerskabsforhold": given["ejerskabsforhold"]}
        elif name != "Afloebsledning":
            del given["ledningstransporttype"]
        known = {key: value for key, value in given.items() if value is not None}
        heights = one_of(None, np.array([1.0, 0.5]), np.array([0.0, 2.0]), np.array([np.nan, 2.0]))
        shape = shapely.LineString([(number, 0), (number, 9)])
        rows.add(name, f"a{number}", known, shape, heights)
    batch = rows.batch()
    asked = {"ownership": {"uden ejer"}, "containment": {"both"}, "flow": {"forward"}}
    found = list(zip(*told_apart(batch, asked), strict=True))
    assert found == [plainly(batch, row) for row in range(len(batch))]
    assert len(set(found)) >= 20
    for name, column in zip(asked, zip(*found, strict=True), strict=True):
        whole = column_of(batch, name)
        assert [value if name != "ownership" or value == "uden ejer" else None for value in whole] == [
            *column
        ]


def test_a_hundred_thousand_features_resolve_at_once(geoinfra: StyleSet) -> None:
    batch = features(100_000)
    resolve_batch(geoinfra, batch, 500)
    times = []
    for _ in range(3):
        start = time.process_time()
        drawn = resolve_batch(geoinfra, batch, 500)
        times.append(time.process_time() - start)
    assert len(drawn.index) == 100_000
    assert min(times) < 1.0  # 0.2 s on an idle core


# ------------------------------------------------------------------ data only


@pytest.mark.parametrize(("name", "targets"), [("geoinfra", {"maplibre", "qml"}), ("ler-viewer", None)])
def test_a_type_added_as_data_passes_coverage_and_every_emitter(
    tmp_path: Path, name: str, targets: set[str] | None
) -> None:
    from geoinfra.presentation.emit import TARGETS, emit, legend_document

    folder = copy_of(tmp_path, name)
    row = {
        "key": "hydrogen",
        "da": "Brint",
        "en": "Hydrogen",
        "colour": "#0b7285",
        "letter": "H",
        "layer": "BRINT",
        "when": {"supply": "hydrogen"},
    }
    edit(folder / "types.json", lambda d: d["types"].insert(0, row))
    style_set = load_style_set(name, root=tmp_path)
    assert coverage(style_set).problems == ()
    symbol = resolve(style_set, line(supply="hydrogen"), 500)
    assert [s.colour for s in symbol.of(Stroke) if s.part == "line"] == ["#0b7285"]
    for target in targets or TARGETS:
        text = emit(style_set, target).decode().casefold()
        assert "0b7285" in text or "11,114,133" in text, target
    assert "Brint" in legend_document(style_set, "svg").decode()


# ------------------------------------------------------------------ colours


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255


def linear(colour: np.ndarray) -> np.ndarray:
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    lights = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def test_every_type_reads_on_paper_and_on_the_map(geoinfra: StyleSet) -> None:
    for row in geoinfra.dimensions["type"].classes:
        for theme in (row.fields, row.fields["themes"]["black-and-white"]):
            for ground in geoinfra.backgrounds.values():
                assert contrast(rgb(theme["colour"]), rgb(ground)) >= 3, (row.key, ground)


def test_the_difference_of_colours_is_that_of_the_published_pairs() -> None:
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ]
    for one, other, wanted in pairs:
        assert lab_difference(np.array(one), np.array(other)) == pytest.approx(wanted, abs=1e-4)


def test_any_two_types_differ_by_colour_for_normal_sight_and_by_letter_for_all(geoinfra: StyleSet) -> None:
    rows = geoinfra.dimensions["type"].classes
    letters = {}
    for scale in (50, 300, 500, 1000, 2500, 10_000, 24_999):
        for row in rows:
            supply = row.key if row.when else "?"
            for theme in geoinfra.themes:
                marks = resolve(geoinfra, line(supply=supply), scale, theme).of(Marker)
                (text,) = [mark.text for mark in marks if mark.marker == "text"]
                assert letters.setdefault(row.key, text) == text
    assert len(set(letters.values())) == len(rows)
    for one, other in itertools.combinations(rows, 2):
        pair = [rgb(row.fields["colour"]) for row in (one, other)]
        assert delta_e_2000(*pair) >= 12, (one.key, other.key)
        for sight in ("protanopia", "deuteranopia", "tritanopia", "greyscale"):
            apart = delta_e_2000(*(seen(colour, sight) for colour in pair))
            assert apart >= 12 or letters[one.key] != letters[other.key]


# ------------------------------------------------------------------ a foreign standard


def test_the_dutch_set_draws_lines_as_the_published_rules_do(reference: Path) -> None:
    style_set = load_style_set("pmkl")
    path = reference / "klic" / "derived" / "pmkl_3.0.0_rules.csv"
    statuses = {"projected": "under etablering", "functional": "i drift", "disused": "permanent ude af drift"}
    tried = 0
    with path.open(encoding="utf-8") as file:
        for rule in csv.DictReader(file):
            if rule["sld"] != "sld-kabelleiding.xml" or rule["symbolizer"] != "Line" or not rule["width"]:
                continue
            asked = dict(part.split("=") for part in rule["filter"].strip("()").split(" & "))
            attributes = line(status=statuses[asked["currentStatus"]], **THEMES[asked["thema"]])
            for scale in (max(float(rule["min_scale"]), 50), float(rule["max_scale"]) - 0.5):
                (stroke,) = resolve(style_set, attributes, scale).of(Stroke)
                dash = " ".join(f"{length:g}" for length in stroke.dash_px)
                assert (stroke.colour, f"{stroke.width_px:g}", dash) == (
                    rule["stroke"],
                    rule["width"],
                    rule["dash"],
                ), rule["rule"]
                tried += 1
    assert tried == 270


THEMES: dict[str, dict[str, Any]] = {
    "datatransport": {"supply": "telecom"},
    "gasLageDruk": {"supply": "gas", "pressure_bar": 0.1},
    "gasHogeDruk": {"supply": "gas", "pressure_bar": 8.0},
    "buisleidingGevaarlijkeInhoud": {"supply": "oil", "hazard": "meget farlig"},
    "petrochemie": {"supply": "oil"},
    "landelijkHoogspanningsnet": {"supply": "electricity", "voltage_kv": 380.0},
    "hoogspanning": {"supply": "electricity", "voltage_kv": 50.0},
    "middenspanning": {"supply": "electricity", "voltage_kv": 10.0},
    "laagspanning": {"supply": "electricity", "voltage_kv": 0.4},
    "rioolVrijverval": {"supply": "sewer", "flow": "forward"},
    "rioolOnderOverOfOnderdruk": {"supply": "sewer", "flow": "pressure"},
    "warmte": {"supply": "district-heating"},
    "water": {"supply": "water"},
    "wees": {"supply": "water", "ownership": "uden ejer"},
    "overig": {"supply": "unknown"},
}


# ------------------------------------------------------------------ commands


def test_the_commands_list_cover_emit_and_draw_legends(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from geoinfra.cli import app

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["presentation", *arguments])

    covered = run("coverage", "--json")
    assert covered.exit_code == 0
    told = json.loads(covered.stdout)["style_sets"]
    assert set(told) == set(style_sets())
    assert all((one["gaps"], one["overlaps"]) == (0, 0) and one["combinations"] > 0 for one in told.values())
    assert json.loads(run("list", "--json").stdout)["style_sets"]["geoinfra"] == ["1.0.0"]
    for target in ("maplibre", "sld"):
        assert run("emit", "dlf@1.0.0", target, str(tmp_path / target)).exit_code == 0
        assert (tmp_path / target).stat().st_size > 1000
    assert run("legend", "dlf", str(tmp_path / "legend.html"), "--language", "en").exit_code == 0
    assert "Telecommunication" in (tmp_path / "legend.html").read_text("utf-8")
    assert isinstance(run("emit", "nothing", "sld", str(tmp_path / "x")).exception, NotFound)
    assert isinstance(run("legend", "dlf", str(tmp_path / "x.docx")).exception, InvalidInput)
