"""The attributes by which a utility feature is drawn: columns of its row, and what follows from the row.

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
``outlet``             ``tapstedstype``
``pressure_bar``       ``tryk``; ``temperature_c`` ``temperatur``; ``text`` of an annotation or dimension
=====================  =================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from struct import unpack
from typing import Any, Final

import orjson

from geoinfra.tables import FeatureBatch

__all__ = ["DERIVED", "column_of", "feature_attributes"]

_FALL_M: Final = 0.02
"""Ends of a gravity line that differ less in height tell no direction."""

_GEOMETRIES: Final = {1: "point", 4: "point", 2: "line", 5: "line", 3: "area", 6: "area"}
_KOTER: Final = ("topkote", "bundkote", "stutskote")


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
    columns = batch.columns
    rows = zip(
        batch.heights_m or [None] * len(batch),
        columns["geometry_source"],
        columns["depth_mm"],
        columns["kind"],
        columns["properties"],
        strict=True,
    )
    return [
        "registered"
        if heights is not None and source != "container" and _has_number(heights)
        else "stated"
        if depth_mm is not None or (kind == "component" and _has_kote(text))
        else "assumed"
        if heights is not None and _has_number(heights)
        else None
        for heights, source, depth_mm, kind, text in rows
    ]


def _has_number(heights: bytes) -> bool:
    """Whether any of the heights is known; nearly always the first one is."""
    return heights[6:8] not in _NAN_ENDS or any(
        heights[at + 6 : at + 8] not in _NAN_ENDS for at in range(8, len(heights), 8)
    )


_NAN_ENDS: Final = (b"", b"\xf8\x7f", b"\xf8\xff")


def _has_kote(text: str) -> bool:
    if "kote" not in text:
        return False
    koter = (orjson.loads(text).get(name) for name in _KOTER)
    return any(isinstance(kote, dict) and kote.get("height_m") is not None for kote in koter)


def _parsed(batch: FeatureBatch, mark: str, read: Callable[[Mapping[str, Any]], Any]) -> list[Any]:
    """Read the properties of those rows whose text holds the mark."""
    return [read(orjson.loads(text)) if mark in text else None for text in batch.columns["properties"]]


def _ownership(batch: FeatureBatch) -> list[str | None]:
    mark, length, found = _OWNERSHIP, len(_OWNERSHIP), []
    for text in batch.columns["properties"]:  # in line, for it is asked of every feature
        at = text.find(mark)
        found.append(text[at + length : text.find('"', at + length)] if at >= 0 else None)
    return found


def _outlet(batch: FeatureBatch) -> list[str | None]:
    rows = zip(batch.columns["kind"], batch.columns["properties"], strict=True)
    return [_coded(text, _OUTLET) if kind == "component" else None for kind, text in rows]


def _coded(text: str, mark: str) -> str | None:
    """Return the code after a mark; codes hold no quotation marks."""
    at = text.find(mark)
    if at < 0:
        return None
    at += len(mark)
    return text[at : text.find('"', at)]


_OWNERSHIP: Final = '"ejerskabsforhold":"'
_OUTLET: Final = '"tapstedstype":"'
_TRANSPORT: Final = '"ledningstransporttype":"'


def _containment(batch: FeatureBatch) -> list[str | None]:
    columns = batch.columns
    rows = zip(columns["kind"], columns["geometry_source"], columns["properties"], strict=True)
    return [
        _containment_of(kind, source, text)
        if kind == "trace" or source == "container" or ":true" in text or '"indeholdtL' in text
        else None
        for kind, source, text in rows
    ]


def _containment_of(kind: str, source: str | None, text: str) -> str | None:
    properties = orjson.loads(text)
    contains = (
        kind == "trace"
        or properties.get("indeholderLedninger") is True
        or bool(properties.get("indeholdtLedning"))
    )
    contained = source == "container" or properties.get("liggerILedning") is True
    if contains:
        return "both" if contained else "container"
    return "contained" if contained else None


def _flow(batch: FeatureBatch) -> list[str | None]:
    columns = batch.columns
    heights: Sequence[bytes | None] = batch.heights_m or [None] * len(batch)
    rows = zip(columns["supply"], columns["properties"], heights, strict=True)
    return [
        _flow_of(_coded(text, _TRANSPORT), height) if supply == "sewer" else None
        for supply, text, height in rows
    ]


def _flow_of(transport: str | None, heights: bytes | None) -> str | None:
    if transport in ("tryk", "vakuum"):
        return "pressure" if transport == "tryk" else "vacuum"
    if transport != "gravitation" or heights is None:
        return None
    first, last = unpack("<d", heights[:8])[0], unpack("<d", heights[-8:])[0]
    if not abs(first - last) >= _FALL_M:  # NaN too
        return None
    return "forward" if first > last else "backward"


def _width_mm(batch: FeatureBatch) -> list[float | None]:
    columns = batch.columns
    return [
        diameter if diameter is not None or "redde" not in text else _width_of(orjson.loads(text))
        for diameter, text in zip(columns["diameter_mm"], columns["properties"], strict=True)
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


def _written_texts(batch: FeatureBatch) -> list[str | None]:
    rows = zip(batch.columns["kind"], batch.columns["properties"], strict=True)
    return [_written(orjson.loads(text)) if kind in _WRITTEN_KINDS else None for kind, text in rows]


_WRITTEN_KINDS: Final = ("annotation", "dimension")


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
    "outlet": _outlet,
    "pressure_bar": lambda b: _parsed(b, '"tryk":{', lambda p: _measure(p.get("tryk"))),
    "temperature_c": lambda b: _parsed(b, '"temperatur":{', lambda p: _measure(p.get("temperatur"))),
    "text": _written_texts,
}
"""Attributes that no column holds, and how a batch gives them."""
