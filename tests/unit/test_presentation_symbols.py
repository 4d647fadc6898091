"""Point symbols: complete over the catalogue, drawable by every renderer, and each unlike every other."""

from __future__ import annotations

import io
import json
import re
import shutil
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from PIL import Image

from geoinfra.errors import GeoinfraError, InvalidInput, NotFound
from geoinfra.presentation.style_set import load_style_set
from geoinfra.presentation.symbols import (
    INK,
    PAPER,
    Drawing,
    load_symbols,
    make_sprite,
    rasterise,
    symbol_for,
)
from geoinfra.standards import standards_path
from geoinfra.utilities.catalogue import MODELS, catalogue

FOLDER = standards_path("presentation", "symbols", "1.0.0")
SYMBOLS = load_symbols()
DRAWINGS = list(SYMBOLS.drawings.values())
COMPONENT_CLASSES = [c.name for c in catalogue().feature_classes if c.kind == "component"]
TYPES = sorted(
    {
        (feature_class.name, value)
        for model in MODELS
        for feature_class in catalogue(model).feature_classes
        if feature_class.kind == "component" and feature_class.attributes["type"].enumeration
        for value in feature_class.attributes["type"].enumeration.values
    }
)
TAPS = sorted(catalogue().enumerations["Tapstedstype"].values)

each_drawing = pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda drawing: drawing.id)


# ------------------------------------------------------------------ which symbol


def test_every_type_of_every_data_model_has_a_symbol_of_its_own():
    assert len(TYPES) > 130
    fallbacks = set(SYMBOLS.by_class.values()) | {SYMBOLS.unknown}
    assert [pair for pair in TYPES if symbol_for(*pair) in fallbacks] == []


def test_types_of_one_class_never_share_a_symbol():
    renamed = {"vejbelysningsarmatur"}  # called belysningsarmatur since 2.0.0
    for name in COMPONENT_CLASSES:
        own = [
            symbol_for(name, value)
            for feature_class, value in TYPES
            if feature_class == name and value not in renamed
        ]
        assert len(set(own)) == len(own), name


def test_every_kind_of_tap_has_a_symbol_of_its_own():
    assert SYMBOLS.attributes == {("Vandkomponent", "tapsted"): "tapstedstype"}
    found = [symbol_for("Vandkomponent", "tapsted", value) for value in (*TAPS, None, "andet")]
    assert len(set(found)) == len(TAPS) + 1
    assert found[-2:] == ["tap", "tap"]


def test_what_has_no_type_gets_the_symbol_of_its_class():
    found = [symbol_for(name, None) for name in COMPONENT_CLASSES]
    assert len(set(found) - {SYMBOLS.unknown}) == len(COMPONENT_CLASSES)
    assert [symbol_for(name, "noget helt andet") for name in COMPONENT_CLASSES] == found


@pytest.mark.parametrize(
    ("feature_class", "type_", "symbol"),
    [
        ("Oliekomponent", "Ventil", "valve"),
        ("AndenKomponent", "antenne", "antenna"),
        ("Afloebskomponent", "other: rensebrønd", "cleanout"),
        ("Elkomponent", "other: PUMPE ", "pump"),
        ("Gaskomponent", "other: kvidder", "component-gas"),
        ("Informationsressource", None, "attachment"),
        ("Rumskib", "ventil", "component-unknown"),
    ],
)
def test_free_text_is_understood_by_whole_words(feature_class: str, type_: str | None, symbol: str):
    assert symbol_for(feature_class, type_) == symbol


def test_symbols_name_only_classes_types_and_values_that_exist():
    known = set(TYPES)
    classes = {c.name for c in catalogue().feature_classes}
    for drawing in DRAWINGS:
        for entry in drawing.stands_for:
            assert entry.feature_class in classes, drawing.id
            assert {(entry.feature_class, value) for value in entry.types} <= known, drawing.id
            assert set(entry.values) <= set(TAPS), drawing.id


def test_titles_are_there_in_both_languages_and_differ():
    for language in ("da", "en"):
        titles = [getattr(drawing, language) for drawing in DRAWINGS]
        assert len(set(titles) - {""}) == len(titles), language


# ------------------------------------------------------------------ what a file may hold


def test_the_folder_holds_the_listed_drawings_and_nothing_else():
    listed = {f"{entry['id']}.svg" for entry in json.loads((FOLDER / "symbols.json").read_bytes())["symbols"]}
    assert {path.name for path in FOLDER.iterdir()} == listed | {"symbols.json"}


@each_drawing
def test_a_file_keeps_to_the_family(drawing: Drawing):
    text = (FOLDER / f"{drawing.id}.svg").read_text()
    root = ElementTree.fromstring(text)
    assert root.attrib == {"width": "24", "height": "24", "viewBox": "0 0 24 24"}
    assert not re.search(r"<!|<\?|&|style|class|transform|href|url\(|\bid=", text)
    for element in root:
        kind = element.tag.rpartition("}")[2]
        assert kind in {"path", "circle", "rect", "line", "polygon"}
        assert {element.attrib["fill"], element.attrib["stroke"]} <= {INK, PAPER, "none"}
        if element.attrib["stroke"] == INK:
            # 2 for lines; 1 where it only rounds the corners of something filled.
            assert element.attrib["stroke-width"] == ("1" if element.attrib["fill"] == INK else "2")
        if kind == "path":
            assert re.fullmatch(r"[MLAZ0-9. ]+", element.attrib["d"])


def _altered(tmp_path: Path, old: str, new: str) -> Path:
    folder = tmp_path / "1.0.0"
    shutil.copytree(FOLDER, folder)
    path = folder / "manhole.svg"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("</svg>", "<script>alert(1)</script></svg>"),
        ("</svg>", "<text>H</text></svg>"),
        ("</svg>", '<image href="http://example.org/x.png"/></svg>'),
        ("</svg>", '<g><circle cx="1" cy="1" r="1" fill="none" stroke="none"/></g></svg>'),
        (
            "</svg>",
            '<path d="M 0 0 C 1 1 2 2 3 3" fill="currentColor" stroke="none"/></svg>',
        ),
        ("</svg>", '<path d="M 0 0 A 3 4 0 0 0 3 3" fill="currentColor" stroke="none"/></svg>'),
        ("</svg>", '<path d="M 0 0 l 3 3 Z" fill="currentColor" stroke="none"/></svg>'),
        ("</svg>", ""),
        ('viewBox="0 0 24 24"', 'viewBox="0 0 48 48"'),
        ("<svg ", '<!DOCTYPE svg [<!ENTITY a "b">]><svg '),
        ('cx="12"', 'cx="12" transform="rotate(9)"'),
        ('cx="12"', 'cx="12" onclick="x()"'),
        ('cx="12"', 'cx="12" class="x"'),
        ('cx="12"', 'cx="20"'),
        ('cx="12"', 'cx="nan"'),
        ('cx="12"', 'cx="1e9"'),
        ('cx="12"', ""),
        ('stroke="currentColor"', 'stroke="url(#g)"'),
        ('stroke="currentColor"', 'stroke="red"'),
        ('stroke-linecap="round"', 'stroke-linecap="butt"'),
        ('fill="#ffffff" stroke="#ffffff"', 'fill="none" stroke="currentColor"'),
    ],
)
def test_a_drawing_that_breaks_the_rules_is_refused(tmp_path: Path, old: str, new: str):
    with pytest.raises(InvalidInput, match=r"manhole"):
        load_symbols("1.0.0", _altered(tmp_path, old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"id": "manhole"', '"id": "../manhole"'),
        ('"id": "manhole"', '"id": "valve"'),
        ('"anchor": [12, 12]', '"anchor": [12, 99]'),
        ('"types": ["brønd"]', '"types": ["etagebrønd"]'),
        ('"unknown": "component-unknown"', '"unknown": "nothing"'),
        ('"symbols": [', '"symbols": [7,'),
    ],
)
def test_an_index_that_breaks_the_rules_is_refused(tmp_path: Path, old: str, new: str):
    folder = tmp_path / "1.0.0"
    shutil.copytree(FOLDER, folder)
    text = (folder / "symbols.json").read_text()
    assert old in text
    (folder / "symbols.json").write_text(text.replace(old, new, 1))
    with pytest.raises(GeoinfraError):
        load_symbols("1.0.0", tmp_path)


def test_what_does_not_exist_is_said():
    for version in ("9.9.9", "../1.0.0", ""):
        with pytest.raises(NotFound):
            load_symbols(version)
    with pytest.raises(NotFound):
        SYMBOLS.drawing("../manhole")


# ------------------------------------------------------------------ how it looks


def _grey(svg: str, size_px: int, background: str = "#ffffff") -> NDArray[np.float64]:
    """Return the darkness of a picture: 0 white, 1 black."""
    picture = Image.open(io.BytesIO(rasterise(svg, size_px, size_px)))
    ground = Image.new("RGBA", picture.size, background)
    ground.alpha_composite(picture.convert("RGBA"))
    return 1 - np.asarray(ground.convert("L"), np.float64) / 255


def _seen_at_16_px(drawing: Drawing) -> NDArray[np.float64]:
    """Return half-pixel samples of a black symbol: each the mean of a pixel of a 16 px picture around it."""
    fine = np.pad(_grey(drawing.svg("#000000"), 32), 3)
    return (fine[1:, 1:] + fine[:-1, 1:] + fine[1:, :-1] + fine[:-1, :-1]) / 4


def test_any_two_symbols_differ_at_16_px_in_one_colour():
    """Ink that must move to make one of the other, wherever they are laid within one pixel of each other.

    Of the 256 pixels of a 16 px symbol at least 14 change from white to black or back: more than a stroke
    through the whole symbol. The closest pair of those drawn is at 15.
    """
    seen = np.stack([_seen_at_16_px(drawing) for drawing in DRAWINGS]).astype(np.float32)
    pairs = np.array(list(combinations(range(len(seen)), 2)))
    apart = np.full(len(pairs), np.inf, np.float32)
    for shift in ((x, y) for x in range(-2, 3) for y in range(-2, 3)):
        moved = np.roll(seen, shift, (1, 2))
        for first in range(len(seen) - 1):
            rows = slice(*np.searchsorted(pairs[:, 0], (first, first + 1)))
            changed_px = np.abs(moved[first + 1 :] - seen[first]).sum((1, 2)) / 4
            apart[rows] = np.minimum(apart[rows], changed_px)
    closest = np.argsort(apart)[:5]
    told = [
        (DRAWINGS[a].id, DRAWINGS[b].id, float(apart[at]))
        for at, (a, b) in zip(closest, pairs[closest], strict=True)
    ]
    assert told[0][2] >= 14, told


def test_a_symbol_at_16_px_has_black_and_white_that_the_eye_can_hold():
    for drawing in DRAWINGS:
        darkness = _grey(drawing.svg("#000000"), 16)
        assert 0.06 <= darkness.mean() <= 0.70, (drawing.id, darkness.mean())
        assert (darkness > 0.65).sum() >= 12, (drawing.id, int((darkness > 0.65).sum()))


def test_a_white_edge_keeps_the_ink_from_a_dark_map():
    """Nothing of the ground is seen within 0.7 of the box's 24 units around the ink."""
    scale = 4
    for drawing in DRAWINGS:
        on_black, on_white = (_grey(drawing.svg("#0000ff"), 24 * scale, g) for g in ("#000000", "#ffffff"))
        covered = np.abs(on_black - on_white) < 0.02
        ink = np.pad((on_white > 0.5) & covered, 4)
        near = np.zeros_like(ink)
        reach = int(0.7 * scale)
        for x in range(-reach, reach + 1):
            for y in range(-reach, reach + 1):
                if x * x + y * y <= (0.7 * scale) ** 2:
                    near |= np.roll(ink, (x, y), (0, 1))
        assert not (near[4:-4, 4:-4] & ~covered).any(), drawing.id
        inside = near[4:-4, 4:-4].sum()
        assert near.sum() == inside, drawing.id


def test_flattened_outlines_are_the_drawing():
    """Painted by another program from the outlines, each symbol covers what its SVG covers."""
    side = 96
    centres = (np.arange(side) + 0.5) / side * 24 - 12
    x, y = (part.ravel() for part in np.meshgrid(centres, -centres))
    for drawing in DRAWINGS:
        dark = np.zeros(side * side, bool)
        for outline in drawing.outlines(24.0):
            ring = outline.points_mm
            if outline.filled:
                area = shapely.make_valid(shapely.Polygon(ring))
            else:
                line = np.vstack([ring, ring[:1]]) if outline.closed else ring
                area = shapely.LineString(line).buffer(outline.width_mm / 2, quad_segs=16)
            shapely.prepare(area)
            dark[shapely.contains_xy(area, x, y)] = outline.ink
        expected = _grey(drawing.svg("#000000"), side)
        wrong = np.abs(dark.reshape(side, side) - expected) > 0.75
        assert wrong.sum() <= 3, (drawing.id, int(wrong.sum()))


@each_drawing
def test_outlines_are_sound_and_have_no_sharp_turn(drawing: Drawing):
    """A DXF cannot round the joins of a wide polyline: a turn back on itself becomes a spike."""
    for outline in drawing.outlines(24.0):
        ring = np.vstack([outline.points_mm, outline.points_mm[: 2 if outline.closed else 0]])
        steps = np.diff(ring, axis=0)
        lengths = np.hypot(*steps.T)
        assert lengths[: len(outline.points_mm) - 1].min(initial=1.0) > 1e-3
        if outline.filled:
            assert shapely.Polygon(outline.points_mm).is_valid
            continue
        heading = steps[lengths > 0] / lengths[lengths > 0, None]
        assert (heading[1:] * heading[:-1]).sum(axis=1).min(initial=1.0) > -0.9


def test_outlines_are_millimetres_from_the_anchor():
    valve = SYMBOLS.drawing("valve")
    ink = [outline for outline in valve.outlines() if outline.ink]
    points = np.vstack([outline.points_mm for outline in ink])
    assert np.abs(points).max() == pytest.approx(9 / 24 * 3.0)
    assert [outline.halo for outline in valve.outlines()] == [True] * 4 + [False] * 4
    up = SYMBOLS.drawing("water-tower").outlines()[-1].points_mm
    assert np.ptp(up[up[:, 1] > 0][:, 0]) > np.ptp(up[up[:, 1] <= 0][:, 0])  # wide above, so y points up
    for size_mm in (0, -1, float("nan"), 1e9):
        with pytest.raises(InvalidInput):
            valve.outlines(size_mm)


# ------------------------------------------------------------------ colours and sprites


def test_a_colour_is_a_colour_and_nothing_else():
    valve = SYMBOLS.drawing("valve")
    assert valve.svg("#1d6cd0").count('"#1d6cd0"') == valve.svg().count(INK)
    assert valve.svg("#1d6cd0").count(INK) == 0
    assert valve.parametric_svg("#ffffff").count("param(fill) #ffffff") == valve.svg().count(INK)
    for hostile in ('"/><script>', "red", "#fff", "#1d6cd0 ", "#1D6CD0"):
        for paint in (valve.svg, valve.parametric_svg, valve.elements):
            with pytest.raises(InvalidInput):
                paint(hostile)


@pytest.mark.parametrize("pixel_ratio", [1, 2])
def test_a_sprite_holds_each_image_where_its_index_says(pixel_ratio: int):
    images = {
        f"{drawing.id}:{colour}": (drawing.id, colour)
        for drawing in DRAWINGS
        for colour in ("#d3121f", "#1d6cd0")
    }
    sprite = make_sprite(images, pixel_ratio=pixel_ratio)
    sheet = np.asarray(Image.open(io.BytesIO(sprite.png)).convert("RGBA"), np.int16)
    used = np.zeros(sheet.shape[:2], np.int8)
    assert set(sprite.index) == set(images)
    for name, place in sprite.index.items():
        assert place["width"] == place["height"] == 24 * pixel_ratio == 24 * place["pixelRatio"]
        window = np.s_[place["y"] : place["y"] + place["height"], place["x"] : place["x"] + place["width"]]
        used[window] += 1
        symbol, colour = images[name]
        alone = rasterise(SYMBOLS.drawing(symbol).svg(colour), place["width"], place["height"])
        cut = np.asarray(Image.open(io.BytesIO(alone)).convert("RGBA"), np.int16)
        assert np.abs(sheet[window] - cut).max() <= 24, name  # coverage of edges is rounded
    assert used.max() == 1
    assert make_sprite(dict(reversed(images.items())), pixel_ratio=pixel_ratio) == sprite


def test_a_sprite_without_images_or_too_large_is_refused():
    for images, options in (
        ({}, {}),
        ({"a": ("valve", "#000000")}, {"size_px": 4096}),
        ({"a": ("valve", "#000000")}, {"pixel_ratio": 9}),
    ):
        with pytest.raises(InvalidInput):
            make_sprite(images, **options)
    with pytest.raises(NotFound):
        make_sprite({"a": ("rumskib", "#000000")})


# ------------------------------------------------------------------ the style set


def test_the_style_set_gives_each_component_the_symbol_that_stands_for_it():
    style_set = load_style_set("geoinfra")
    component = style_set.dimensions["component"]
    assert set(component.keys) <= set(load_symbols(style_set.symbols).drawings)
    words = [f"other: {word}" for word in SYMBOLS.by_word] + list(SYMBOLS.by_word)
    free = [(name, word) for name in COMPONENT_CLASSES for word in (None, "other: kvidder", *words)]
    for feature_class, type_ in (*TYPES, *free):
        given = {"kind": "component", "feature_class": feature_class, "type": type_}
        assert component.classify(given) == symbol_for(feature_class, type_), given
