"""The attributes of a utility feature by which it is drawn: columns of its row, and what follows from the row.

=====================  =================================================================================
columns of the row     ``feature_class kind supply type status hazard accuracy_class drawing_method level
                       diameter_mm depth_mm voltage_kv geometry_source``
``geometry``           ``point``, ``line``, ``area``; absent without geometry
``depth_source``       ``registered`` (heights of the owner), ``stated`` (a guiding depth or a kote),
                       ``assumed`` (only the height of what contains it), absent when nobody knows
``ownership``          ``ejerskabsforhold``
``containment``        ``container``, ``contained``, ``both``; absent for a line by itself
``flow``               ``forward`` or ``backward`` along the vertices of a gravity line whose ends have
                       registered heights; ``pressure``, ``vacuum``; absent when unknown
``width_mm``           outer diameter, outer width, or width of a trace
``pressure_bar``       ``tryk``; ``temperature_c`` ``temperatur``; ``text`` of an annotation or dimension
=====================  =================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson

from geoinfra.tables import FeatureBatch

__all__ = ["DERIVED", "column_of", "feature_attributes"]

_FALL_M: Final = 0.02
"""Ends of a gravity line that differ less in height tell no direction."""

_GEOMETRIES: Final = {1: "point", 4: "point", 2: "line", 5: "line", 3: "area", 6: "area"}
_KOTER: Final = ('"topkote"', '"bundkote"', '"stutskote"')


def feature_attributes(batch: FeatureBatch, row: int, names: Iterable[str]) -> dict[str, Any]:
    """Return the named attributes of one feature."""
    one = batch.take([row])
    return {name: column_of(one, name)[0] for name in names}


def column_of(batch: FeatureBatch, name: str) -> Sequence[Any]:
    """Return an attribute of every row of a batch; a name that it does not know is absent everywhere."""
    given = batch.columns.get(name)
    if given is not None:
        return given
    derive = DERIVED.get(name)
    return derive(batch) if derive else [None] * len(batch)


def _geometry(batch: FeatureBatch) -> list[str | None]:
    return [None if wkb is None else _GEOMETRIES.get(wkb[1] if wkb[0] else wkb[4]) for wkb in batch.geometry]


def _depth_source(batch: FeatureBatch) -> list[str | None]:
    heights: Sequence[bytes | None] = batch.heights_m or [None] * len(batch)
    rows = zip(
        heights,
        batch.columns["depth_mm"],
        batch.columns["geometry_source"],
        batch.columns["properties"],
        strict=True,
    )
    return [_depth_of(*row) for row in rows]


def _depth_of(heights: bytes | None, depth_mm: float | None, source: str | None, text: str) -> str | None:
    if heights is not None and source != "container" and _has_number(heights):
        return "registered"
    if depth_mm is not None or any(f'{kote}:{{"height_m"' in text for kote in _KOTER):
        return "stated"
    return "assumed" if heights is not None and _has_number(heights) else None


def _has_number(heights: bytes) -> bool:
    return any(heights[at + 6 : at + 8] not in _NAN_ENDS for at in range(0, len(heights), 8))


_NAN_ENDS: Final = (b"\xf8\x7f", b"\xf8\xff")


def _parsed(batch: FeatureBatch, marks: Sequence[str], read: Callable[[Mapping[str, Any]], Any]) -> list[Any]:
    """Read the properties of those rows whose text holds one of the marks."""
    return [
        read(orjson.loads(text)) if any(mark in text for mark in marks) else None
        for text in batch.columns["properties"]
    ]


def _ownership(batch: FeatureBatch) -> list[str | None]:
    return _parsed(batch, ('"ejerskabsforhold"',), lambda p: _text(p.get("ejerskabsforhold")))


def _containment(batch: FeatureBatch) -> list[str | None]:
    rows = zip(
        batch.columns["kind"], batch.columns["geometry_source"], batch.columns["properties"], strict=True
    )
    return [_containment_of(*row) for row in rows]


def _containment_of(kind: str, source: str | None, text: str) -> str | None:
    contains = kind == "trace" or '"indeholderLedninger":true' in text or '"indeholdtLedning"' in text
    contained = source == "container" or '"liggerILedning":true' in text
    if contains:
        return "both" if contained else "container"
    return "contained" if contained else None


def _flow(batch: FeatureBatch) -> list[str | None]:
    heights: Sequence[bytes | None] = batch.heights_m or [None] * len(batch)
    return [
        _flow_of(text, height) if '"ledningstransporttype"' in text else None
        for text, height in zip(batch.columns["properties"], heights, strict=True)
    ]


def _flow_of(text: str, heights: bytes | None) -> str | None:
    transport = orjson.loads(text).get("ledningstransporttype")
    if transport in ("tryk", "vakuum"):
        return "pressure" if transport == "tryk" else "vacuum"
    if transport != "gravitation" or heights is None:
        return None
    first, last = np.frombuffer(heights, "<f8")[[0, -1]]
    if not abs(first - last) >= _FALL_M:
        return None
    return "forward" if first > last else "backward"


def _width_mm(batch: FeatureBatch) -> list[float | None]:
    wide = _parsed(batch, ('"udvendigBredde"', '"bredde"'), _width_of)
    return [
        diameter if diameter is not None else width
        for diameter, width in zip(batch.columns["diameter_mm"], wide, strict=True)
    ]


def _width_of(properties: Mapping[str, Any]) -> float | None:
    for name in ("udvendigBredde", "bredde"):
        width = _measure(properties.get(name))
        if width is not None:
            return width
    return None


def _measure(value: Any) -> float | None:
    return float(value["value"]) if isinstance(value, dict) and "value" in value else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _written(properties: Mapping[str, Any]) -> str | None:
    length = properties.get("dimensionalValue")
    if isinstance(length, dict) and "value" in length:
        return f"{length['value']:.10g} {length.get('uom', '')}".strip()
    return _text(properties.get("text"))


DERIVED: Final[Mapping[str, Callable[[FeatureBatch], list[Any]]]] = {
    "geometry": _geometry,
    "depth_source": _depth_source,
    "ownership": _ownership,
    "containment": _containment,
    "flow": _flow,
    "width_mm": _width_mm,
    "pressure_bar": lambda b: _parsed(b, ('"tryk":{"value"',), lambda p: _measure(p.get("tryk"))),
    "temperature_c": lambda b: _parsed(
        b, ('"temperatur":{"value"',), lambda p: _measure(p.get("temperatur"))
    ),
    "text": lambda b: _parsed(b, ('"text"', '"dimensionalValue"'), _written),
}
"""Attributes that no column holds, and how a batch gives them."""
