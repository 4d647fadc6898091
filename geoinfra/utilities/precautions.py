"""Precautions near utility lines, each with the features that made it fire, how far they are, and what to do.

Rules are data (``standards/utilities/precautions.json``): dig method, depth, distance, hazard class and more.
A rule fires for the features that keep all of its conditions. Rules only add: none silences another, and each
line, trace and component of the data is in at least one precaution. An unknown depth counts as reached by the
dig, the method "other" as machine work and as unseen work.

Distances are plane distances in metres from the dig area to the outside of the line: the registered geometry
less half the outer diameter, or half the width of a trace or pipe. Inside or touching is 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from typing import Any, Final, overload

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from geoinfra.errors import InvalidGeometry, InvalidInput
from geoinfra.standards import standards_path
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.enquiry import DIG_METHODS

__all__ = [
    "Level",
    "NearFeature",
    "NearFeatures",
    "Precaution",
    "PrecautionRule",
    "evaluate",
    "half_widths_m",
    "precaution_rules",
]

_OVERHEAD_LEVEL: Final = "over terræn"
_OVERHEAD_TYPE: Final = "luftledning"
_PAPER: Final = frozenset({"information", "dimension", "annotation"})
_CONDITIONS: Final = (
    frozenset({"hazards", "supplies", "not_supplies", "statuses", "methods", "min_voltage_kv", "overhead"})
    | frozenset({"within_m", "beyond_m", "depth", "clear_m", "geometry", "note", "uncertain"})
)  # fmt: skip

type _Mask = NDArray[np.bool_]
type _Numbers = NDArray[np.float64]


class Level(StrEnum):
    """How much a precaution weighs, the heaviest first."""

    STOP = "stop"
    ACT = "act"
    CARE = "care"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class PrecautionRule:
    """One rule of the data; texts are filled with its numbers.

    Attributes
    ----------
    action, avoid
        What to do, and what would make the precaution needless.
    source
        Key of ``sources`` in the data.
    when
        Conditions, all of which a feature must keep.
    """

    code: str
    level: Level
    title: str
    title_da: str
    action: str
    action_da: str
    avoid: str
    avoid_da: str
    source: str
    when: Mapping[str, Any]
    accuracy_classes: tuple[str | None, ...]
    drawing_methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NearFeature:
    """A feature that made a rule fire.

    Attributes
    ----------
    distance_m
        From the dig area to its outside, 0 when it reaches in; ``None`` when the data do not say where it is.
    depth_m
        The owner's guiding depth to its top, ``None`` where he gives none.
    note
        The owner's own safety concern (``sikkerhedshensyn``), as he wrote it.
    """

    feature_id: str
    feature_class: str
    supply: str
    hazard: str
    owner_cvr: str
    distance_m: float | None
    depth_m: float | None
    note: str


@dataclass(frozen=True, slots=True)
class Precaution:
    """A rule that fired, and the features that made it, nearest first and those without place before them."""

    rule: PrecautionRule
    features: Sequence[NearFeature]

    @property
    def code(self) -> str:
        """Code of the rule."""
        return self.rule.code

    @property
    def level(self) -> Level:
        """Weight of the rule."""
        return self.rule.level

    @property
    def nearest_m(self) -> float | None:
        """Distance of the nearest feature; ``None`` when the data place none of them."""
        return next((f.distance_m for f in self.features if f.distance_m is not None), None)

    def to_json(self, *, most_features: int | None = None) -> dict[str, Any]:
        """Return a JSON-ready dict; at most so many features are written out, the count is of all."""
        rule = self.rule
        return {
            "code": rule.code,
            "level": str(rule.level),
            "title": {"en": rule.title, "da": rule.title_da},
            "action": {"en": rule.action, "da": rule.action_da},
            "avoid": {"en": rule.avoid, "da": rule.avoid_da},
            "source": rule.source,
            "nearest_m": self.nearest_m,
            "count": len(self.features),
            "features": [
                {
                    "feature_id": f.feature_id,
                    "feature_class": f.feature_class,
                    "supply": f.supply,
                    "hazard": f.hazard,
                    "owner_cvr": f.owner_cvr,
                    "distance_m": f.distance_m,
                    "depth_m": f.depth_m,
                    "note": f.note,
                }
                for f in self.features[:most_features]
            ],
        }


@lru_cache(maxsize=1)
def _data() -> Mapping[str, Any]:
    document: Mapping[str, Any] = orjson.loads(standards_path("utilities", "precautions.json").read_bytes())
    return document


@lru_cache(maxsize=1)
def precaution_rules() -> tuple[PrecautionRule, ...]:
    """Return the rules of the data in order."""
    return tuple(_rule(entry) for entry in _data()["rules"])


def _rule(entry: Mapping[str, Any]) -> PrecautionRule:
    unknown = set(entry["when"]) - _CONDITIONS
    if unknown:
        raise InvalidInput(f"Rule {entry['code']} has unknown conditions: {', '.join(sorted(unknown))}.")
    numbers = {name: entry["when"][name] for name in ("within_m", "clear_m") if name in entry["when"]}
    danish = {name: str(number).replace(".", ",") for name, number in numbers.items()}
    texts = {
        f"{part}{suffix}": entry[part][language].format(**values)
        for part in ("title", "action", "avoid")
        for suffix, language, values in (("", "en", numbers), ("_da", "da", danish))
    }
    return PrecautionRule(
        code=entry["code"],
        level=Level(entry["level"]),
        source=entry["source"],
        when=entry["when"],
        accuracy_classes=tuple(entry.get("accuracy_classes", ())),
        drawing_methods=tuple(entry.get("drawing_methods", ())),
        **texts,
    )


def evaluate(
    methods: Sequence[str],
    depth_m: float | None,
    polygon: shapely.Polygon | shapely.MultiPolygon,
    batches: Iterable[FeatureBatch],
) -> list[Precaution]:
    """Return the precautions of a dig, the heaviest and then the nearest first.

    Parameters
    ----------
    methods
        LER *graveart* numbers, keys of :data:`~geoinfra.utilities.enquiry.DIG_METHODS`.
    depth_m
        How deep will be dug, metres below terrain; ``None`` when nobody has said: then every line is reached.
    polygon
        Dig area, EPSG:25832.
    batches
        Rows of ``utility-features``, of all owners.

    Raises
    ------
    InvalidInput
        A method is unknown, or the depth is no depth.
    InvalidGeometry
        The dig area is empty or broken.
    """
    _require_dig(methods, depth_m, polygon)
    held = [batch for batch in batches if len(batch)]
    if not held:
        return []
    table = _Table.of(held, _Area(polygon))
    active = [rule for rule in precaution_rules() if _method_meets(rule, methods)]
    fired = [(rule, _fires(rule, table, depth_m)) for rule in active]
    made = [Precaution(rule, NearFeatures(table, mask)) for rule, mask in fired if mask.any()]
    levels = list(Level)
    return sorted(made, key=lambda p: (levels.index(p.level), _near(p.features[0])))


def _near(feature: NearFeature) -> float:
    return -1.0 if feature.distance_m is None else feature.distance_m


def _require_dig(
    methods: Sequence[str], depth_m: float | None, polygon: shapely.Polygon | shapely.MultiPolygon
) -> None:
    if not methods or any(method not in DIG_METHODS for method in methods):
        known = ", ".join(f"{number} {name}" for number, name in DIG_METHODS.items())
        raise InvalidInput("A dig method is missing or unknown.", hint=f"Methods are: {known}.")
    if depth_m is not None and not (math.isfinite(depth_m) and 0 <= depth_m <= 1000):
        raise InvalidInput("The depth must be a number of metres from 0 to 1000.")
    if polygon.is_empty or not polygon.is_valid:
        raise InvalidGeometry("The dig area is empty or not valid.")


def _method_meets(rule: PrecautionRule, methods: Sequence[str]) -> bool:
    group = rule.when.get("methods")
    return group is None or not set(_data()["method_groups"][group]).isdisjoint(methods)


class _Area:
    """The dig area, indexed for distances from many features."""

    def __init__(self, polygon: shapely.Polygon | shapely.MultiPolygon) -> None:
        self._polygon = polygon
        shapely.prepare(polygon)
        rings = shapely.get_rings(polygon)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        sides = np.stack([points[:-1], points[1:]], axis=1)[ring[:-1] == ring[1:]]
        self._sides = shapely.STRtree(shapely.linestrings(sides))

    def distances_m(self, geometries: NDArray[np.object_]) -> _Numbers:
        """Return plane distances, 0 where a geometry touches the area, NaN where there is none."""
        bounds = shapely.bounds(geometries)
        placed = np.isfinite(bounds).all(axis=1)
        distances = np.full(len(geometries), np.nan)
        touches = np.zeros(len(geometries), dtype=bool)
        touches[placed] = shapely.intersects(self._polygon, geometries[placed])
        distances[touches] = 0.0
        outside = np.flatnonzero(placed & ~touches)
        (rows, _), away = self._sides.query_nearest(
            geometries[outside], all_matches=False, return_distance=True
        )
        distances[outside[rows]] = away
        return distances


class _Texts:
    """A column of texts of which few are different."""

    def __init__(self, values: Sequence[str | None]) -> None:
        self._different = list(dict.fromkeys(values))
        codes = {text: code for code, text in enumerate(self._different)}
        self._codes = np.fromiter(map(codes.__getitem__, values), np.intp, len(values))

    def among(self, allowed: Iterable[str | None]) -> _Mask:
        """Return which values are among some; ``None`` may be one of them."""
        wanted = frozenset(allowed)
        return np.array([text in wanted for text in self._different], dtype=bool)[self._codes]


_TOLD: Final = ("feature_class", "supply", "hazard", "owner_cvr")
_JUDGED: Final = ("hazard", "supply", "status", "accuracy_class", "drawing_method", "level", "type", "kind")


@dataclass(frozen=True, slots=True)
class _Table:
    """What the rules look at of all rows, as columns.

    Attributes
    ----------
    order
        Positions of the rows: those without place first, then the nearest first.
    told
        The columns of which values are made, by name.
    """

    ids: list[str]
    physical: _Mask
    distance_m: _Numbers
    depth_m: _Numbers
    voltage_kv: _Numbers
    overhead: _Mask
    notes: list[str]
    noted: _Mask
    texts: Mapping[str, _Texts]
    told: Mapping[str, list[str | None]]
    order: NDArray[np.intp]

    @classmethod
    def of(cls, batches: Sequence[FeatureBatch], area: _Area) -> _Table:
        def column(name: str) -> list[Any]:
            return list(chain.from_iterable(batch.columns[name] for batch in batches))

        texts = {name: _Texts(column(name)) for name in _JUDGED}
        wkb = list(chain.from_iterable(batch.geometry for batch in batches))
        with np.errstate(invalid="ignore"):  # a place that is not finite is no place, and said to be so
            geometries = shapely.from_wkb(np.array(wkb, dtype=object))
        properties = column("properties")
        half_m = half_widths_m(column("diameter_mm"), properties)
        distance = np.maximum(area.distances_m(geometries) - half_m, 0.0)
        ids = list(chain.from_iterable(batch.feature_ids for batch in batches))
        notes = [_note(text) for text in properties]
        return cls(
            ids,
            ~(texts["kind"].among(_PAPER) & texts["hazard"].among([None])),
            distance,
            _numbers(column("depth_mm")) / 1000.0,
            _numbers(column("voltage_kv")),
            texts["level"].among([_OVERHEAD_LEVEL]) | texts["type"].among([_OVERHEAD_TYPE]),
            notes,
            np.array([bool(note) for note in notes], dtype=bool),
            texts,
            {name: column(name) for name in _TOLD},
            _nearest_first(distance, ids),
        )

    def feature(self, row: int) -> NearFeature:
        """Return a row as a value."""
        distance, depth = float(self.distance_m[row]), float(self.depth_m[row])
        feature_class, supply, hazard, owner = (self.told[name][row] or "" for name in _TOLD)
        return NearFeature(
            self.ids[row],
            feature_class,
            supply,
            hazard,
            owner,
            None if math.isnan(distance) else round(distance, 3),
            None if math.isnan(depth) else round(depth, 3),
            self.notes[row],
        )


def _nearest_first(distance_m: _Numbers, ids: Sequence[str]) -> NDArray[np.intp]:
    """Return the positions of rows by their distance as it is told, then by identifier."""
    by_id = np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.intp)
    told = np.array([-1.0 if math.isnan(d) else round(d, 3) for d in distance_m.tolist()])
    return by_id[np.argsort(told[by_id], kind="stable")]


class NearFeatures(Sequence[NearFeature]):
    """The features that made a rule fire; each is made into a value when it is asked for."""

    def __init__(self, table: _Table, mask: _Mask) -> None:
        self._table = table
        self._rows = table.order[mask[table.order]]

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> NearFeature: ...

    @overload
    def __getitem__(self, index: slice) -> list[NearFeature]: ...

    def __getitem__(self, index: int | slice) -> NearFeature | list[NearFeature]:
        if isinstance(index, slice):
            return [self._table.feature(row) for row in self._rows[index].tolist()]
        return self._table.feature(int(self._rows[index]))


def _numbers(values: Sequence[Any]) -> _Numbers:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def half_widths_m(diameters_mm: Sequence[Any], properties: Sequence[str | None]) -> _Numbers:
    """Return half the outer diameter of each row, or half the width of a trace or pipe; 0 where unknown."""
    widths = _numbers(diameters_mm)
    for row, text in enumerate(properties):
        if text and ('"bredde"' in text or '"udvendigBredde"' in text):
            members = orjson.loads(text)
            measure = members.get("bredde") or members.get("udvendigBredde")
            if isinstance(measure, dict) and isinstance(measure.get("value"), int | float):
                widths[row] = np.fmax(widths[row], float(measure["value"]))
    widths[~(np.isfinite(widths) & (widths > 0))] = 0.0
    return widths / 2000.0


def _note(properties: str | None) -> str:
    """Return the owner's safety concern out of the JSON of a feature."""
    if not properties or '"sikkerhedshensyn"' not in properties:
        return ""
    value = orjson.loads(properties).get("sikkerhedshensyn")
    return value.strip() if isinstance(value, str) else ""


def _fires(rule: PrecautionRule, table: _Table, depth_m: float | None) -> _Mask:
    """Return for which rows of a table all conditions of a rule hold."""
    when, mask = rule.when, table.physical.copy()
    if "hazards" in when:
        mask &= table.texts["hazard"].among(when["hazards"])
    if "supplies" in when:
        mask &= table.texts["supply"].among(when["supplies"])
    if "not_supplies" in when:
        mask &= ~table.texts["supply"].among(when["not_supplies"])
    if "statuses" in when:
        mask &= table.texts["status"].among(when["statuses"])
    if "within_m" in when:
        mask &= table.distance_m <= when["within_m"]
    if "beyond_m" in when:
        mask &= ~(table.distance_m <= when["beyond_m"])
    if "geometry" in when:
        mask &= np.isnan(table.distance_m) != when["geometry"]
    if "min_voltage_kv" in when:
        mask &= table.voltage_kv >= when["min_voltage_kv"]
    if "overhead" in when:
        mask &= table.overhead == when["overhead"]
    if "note" in when:
        mask &= table.noted == when["note"]
    if "uncertain" in when:
        mask &= _uncertain(rule, table) == when["uncertain"]
    if "depth" in when:
        mask &= _clear(table, depth_m, when["clear_m"]) == (when["depth"] == "clear")
    return mask


def _uncertain(rule: PrecautionRule, table: _Table) -> _Mask:
    accuracy = table.texts["accuracy_class"].among(rule.accuracy_classes)
    return accuracy | table.texts["drawing_method"].among(rule.drawing_methods)


def _clear(table: _Table, depth_m: float | None, clear_m: float) -> _Mask:
    """Return which rows are known to lie so far below the dig; what is not known is not clear."""
    if depth_m is None:
        return np.zeros(len(table.depth_m), dtype=bool)
    return (table.depth_m >= depth_m + clear_m) & ~table.overhead
