"""The samples of a plan's legend stay inside their rows."""

from __future__ import annotations

import pytest

from geoinfra.presentation.plan_legend import Entry, _fitting
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
