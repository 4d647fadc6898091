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

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from struct import Struct
from typing import Any, Final

import orjson

from geoinfra.tables import FeatureBatch

__all__ = ["DERIVED", "column_of", "feature_attributes", "told_apart"]

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


def told_apart(batch: FeatureBatch, asked: Mapping[str, Collection[Any]]) -> list[Sequence[Any]]:
    """Return attributes of every row as far as they tell the asked values apart.

    Any other value may be given as absent. The properties are read in one pass, so this is faster than
    :func:`column_of` for each.

    Parameters
    ----------
    asked
        Attribute -> values, ``None`` among them where absence or a range is asked.
    """
    asked_owners = asked.get("ownership", (None,))
    owners = (
        {}
        if None in asked_owners or "ownership" in batch.columns
        else {value: _OWNERSHIP + orjson.dumps(value).decode() for value in asked_owners}
    )
    rows = _rows_with(batch.columns["properties"], (*_CONTAINMENT_MARKS, *owners.values()))
    made: dict[str, Sequence[Any]] = {}
    if owners:
        made["ownership"] = ownership = [None] * len(batch)
        for value, mark in owners.items():
            for row in rows[mark]:
                ownership[row] = value
    if "containment" not in batch.columns:
        made["containment"] = _containment_by(batch, rows)
    return [made[name] if name in made else column_of(batch, name) for name in asked]


def _rows_with(texts: Sequence[str], marks: Iterable[str]) -> dict[str, list[int]]:
    """Return the rows whose text holds each mark.

    Many texts in one are searched several times faster than each by itself, and most marks are rare.
    """
    found: dict[str, list[int]] = {mark: [] for mark in marks}
    for start in range(0, len(texts), _CHUNK_ROWS):
        part = texts[start : start + _CHUNK_ROWS]
        joined = "".join(part)  # objects in braces: no mark reaches from one to the next
        ends = list(accumulate(map(len, part)))
        for mark, rows in found.items():
            at = joined.find(mark)
            while at >= 0:
                place = bisect_right(ends, at)
                rows.append(start + place)
                at = joined.find(mark, ends[place])
    return found


_CHUNK_ROWS: Final = 500


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
        if heights and source != "container" and (heights[7] not in _HIGHEST or _has_number(heights))
        else "stated"
        if depth_mm is not None or (kind == "component" and _has_kote(text))
        else "assumed"
        if heights and _has_number(heights)
        else None
        for heights, source, depth_mm, kind, text in rows
    ]


def _has_number(heights: bytes) -> bool:
    """Whether any of the heights is known; nearly always the first one is."""
    return heights[6:8] not in _NAN_ENDS or any(
        heights[at + 6 : at + 8] not in _NAN_ENDS for at in range(8, len(heights), 8)
    )


_NAN_ENDS: Final = (b"", b"\xf8\x7f", b"\xf8\xff")
_HIGHEST: Final = (0x7F, 0xFF)
"""Last bytes of numbers that may be NaN."""


def _has_kote(text: str) -> bool:
    if "kote" not in text:
        return False
    koter = (orjson.loads(text).get(name) for name in _KOTER)
    return any(isinstance(kote, dict) and kote.get("height_m") is not None for kote in koter)


def _parsed(batch: FeatureBatch, mark: str, read: Callable[[Mapping[str, Any]], Any]) -> list[Any]:
    """Read the properties of those rows whose text holds the mark."""
    return [read(orjson.loads(text)) if mark in text else None for text in batch.columns["properties"]]


def _ownership(batch: FeatureBatch) -> list[str | None]:
    return [_coded(text, _OWNERSHIP) for text in batch.columns["properties"]]


def _outlet(batch: FeatureBatch) -> list[str | None]:
    columns = batch.columns
    found: list[str | None] = [None] * len(batch)
    for row in (row for row, kind in enumerate(columns["kind"]) if kind == "component"):
        found[row] = _coded(columns["properties"][row], _OUTLET)
    return found


def _coded(text: str, mark: str) -> str | None:
    """Return the code after a mark; codes hold no quotation marks."""
    at = text.find(mark + '"')
    if at < 0:
        return None
    at += len(mark) + 1
    return text[at : text.find('"', at)]


_OWNERSHIP: Final = '"ejerskabsforhold":'
_OUTLET: Final = '"tapstedstype":'
_TRANSPORT: Final = '"ledningstransporttype":'


def _containment(batch: FeatureBatch) -> list[str | None]:
    return _containment_by(batch, _rows_with(batch.columns["properties"], _CONTAINMENT_MARKS))


def _containment_by(batch: FeatureBatch, rows: Mapping[str, Sequence[int]]) -> list[str | None]:
    columns = batch.columns
    inside, holding, named = (rows[mark] for mark in _CONTAINMENT_MARKS)
    contained = {*inside, *(row for row, one in enumerate(columns["geometry_source"]) if one == "container")}
    texts = columns["properties"]
    contains = {*holding, *(row for row in named if orjson.loads(texts[row]).get("indeholdtLedning"))}
    contains.update(row for row, kind in enumerate(columns["kind"]) if kind == "trace")
    found: list[str | None] = [None] * len(batch)
    for row in contained:
        found[row] = "contained"
    for row in contains:
        found[row] = "both" if row in contained else "container"
    return found


_CONTAINMENT_MARKS: Final = (
    '"liggerILedning":true',
    '"indeholderLedninger":true',
    '"indeholdtLedning":',
)


def _flow(batch: FeatureBatch) -> list[str | None]:
    columns = batch.columns
    heights: Sequence[bytes | None] = batch.heights_m or [None] * len(batch)
    found: list[str | None] = [None] * len(batch)
    for row in (row for row, supply in enumerate(columns["supply"]) if supply == "sewer"):
        found[row] = _flow_of(columns["properties"][row], heights[row])
    return found


def _flow_of(text: str, heights: bytes | None) -> str | None:
    if _GRAVITY in text:
        return _fall(heights) if heights else None
    return "pressure" if _PRESSURE in text else "vacuum" if _VACUUM in text else None


def _fall(heights: bytes) -> str | None:
    (first,), (last,) = _NUMBER.unpack_from(heights), _NUMBER.unpack_from(heights, len(heights) - 8)
    if not abs(first - last) >= _FALL_M:  # NaN too
        return None
    return "forward" if first > last else "backward"


_GRAVITY: Final = _TRANSPORT + '"gravitation"'
_PRESSURE: Final = _TRANSPORT + '"tryk"'
_VACUUM: Final = _TRANSPORT + '"vakuum"'
_NUMBER: Final = Struct("<d")


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
