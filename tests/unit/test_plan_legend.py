"""The samples of a plan's legend stay inside their rows."""

from __future__ import annotations

import pytest

from geoinfra.presentation.plan_legend import Entry, _fitting, legend_entries
from geoinfra.presentation.resolve import PointSymbol, resolve
from geoinfra.presentation.style_set import load_style_set


@pytest.mark.parametrize("height_mm", [1.0, 3.0, 30.0])
def test_a_symbol_is_no_taller_than_its_row_and_never_enlarged(height_mm: float) -> None:
    attributes = {"kind": "component", "geometry": "point", "supply": "water", "type": "ventil"}
    symbol = resolve(load_style_set(), attributes, 500)
    entry = Entry("Ventil", _fitting(symbol, height_mm))
    for drawn, own in zip(entry.symbol.of(PointSymbol), symbol.of(PointSymbol), strict=True):
        assert drawn.size_mm == min(own.size_mm, height_mm)
    assert entry.symbol.of(PointSymbol)


def test_a_modifier_shows_every_sign_that_only_its_class_has() -> None:
    style_set = load_style_set()
    plain = {"kind": "line", "geometry": "line", "supply": "gas", "accuracy_class": "<= 0.25 m"}
    symbols = [
        resolve(style_set, {**plain, "status": status, "hazard": hazard}, 500)
        for status in ("i drift", "permanent ude af drift")
        for hazard in ("meget farlig", "ikke farlig")
    ]
    found = {entry.title: entry.symbol for entry in legend_entries(style_set, 500, None, symbols, "da")}
    assert {"very-dangerous-band", "hazard"} <= {one.part for one in found["Meget farlig"].layers}
    assert "out-of-use" in {one.part for one in found["Permanent ude af drift"].layers}
