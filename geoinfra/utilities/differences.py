"""What differs between two sets of utility features: added, removed, and changed with what and by how much.

Features are matched by their id (``<cvr>.<gml:id>``). An attribute is one of LER's own names; a geometry is
moved by its Hausdorff distance: no point of either lies farther from the other. Heights count beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
import shapely

from geoinfra import crs
from geoinfra.tables import FeatureBatch

__all__ = ["Change", "Differences", "Standing", "differences"]

_MOVED_M: Final = 0.0005  # less is the rounding of a document
_RANK: Final = {"meget farlig": 0, "farlig": 1}


@dataclass(frozen=True, slots=True)
class Change:
    """One feature that is not as it was.

    Attributes
    ----------
    attributes
        LER's name -> the value before and after; ``None`` where there is none.
    moved_m, raised_m
        How far the geometry moved, and the largest change of a height. ``None`` where it is the same, or
        cannot be told because one of the two has no geometry (``reshaped`` says so) or other vertices.
    reshaped
        Whether the geometry differs at all.
    position
        Easting and northing of a point of it, EPSG:25832.
    shape, shape_before
        Its geometry, and of a changed one that is reshaped the geometry it had, EPSG:25832.
    """

    feature_id: str
    feature_class: str
    supply: str
    hazard: str
    owner_cvr: str
    attributes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    moved_m: float | None = None
    raised_m: float | None = None
    reshaped: bool = False
    position: tuple[float, float] | None = None
    shape: shapely.Geometry | None = field(default=None, repr=False, compare=False)
    shape_before: shapely.Geometry | None = field(default=None, repr=False, compare=False)

    def to_json(self, *, geometry: bool = False) -> dict[str, Any]:
        """Return the change; members that say nothing are left out.

        Parameters
        ----------
        geometry
            Whether to tell the shapes too, as GeoJSON in longitude and latitude.
        """
        shapes = (self.shape, self.shape_before) if geometry else (None, None)
        told: dict[str, Any] = {
            "feature_id": self.feature_id,
            "feature_class": self.feature_class,
            "supply": self.supply,
            "hazard": self.hazard,
            "owner_cvr": self.owner_cvr,
            "attributes": {n: {"before": a, "after": b} for n, (a, b) in self.attributes.items()},
            "moved_m": self.moved_m,
            "raised_m": self.raised_m,
            "reshaped": self.reshaped,
            "position": self.position and [round(c, 2) for c in self.position],
            "geometry": _geojson(shapes[0]),
            "geometry_before": _geojson(shapes[1]),
        }
        return {name: value for name, value in told.items() if value not in (None, "", {}, False)}


@dataclass(frozen=True, slots=True)
class Standing:
    """How one owner's answer changed: his status, and which answer it was (a correction counts up)."""

    owner_cvr: str
    name: str
    before: str | None
    after: str | None
    version_before: int | None = None
    version_after: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the members, JSON-ready."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Differences:
    """What is new, gone and changed; dangerous features first."""

    added: tuple[Change, ...] = ()
    removed: tuple[Change, ...] = ()
    changed: tuple[Change, ...] = ()
    unchanged: int = 0
    owners: tuple[Standing, ...] = ()

    @property
    def none(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.removed or self.changed or self.owners)

    def to_json(self, *, geometry: bool = False) -> dict[str, Any]:
        """Return counts and every difference, JSON-ready; see :meth:`Change.to_json`."""
        lists = {"added": self.added, "removed": self.removed, "changed": self.changed}
        return {
            "counts": {**{name: len(found) for name, found in lists.items()}, "unchanged": self.unchanged},
            "owners": [one.to_json() for one in self.owners],
            **{name: [one.to_json(geometry=geometry) for one in found] for name, found in lists.items()},
        }


def differences(
    before: Iterable[FeatureBatch],
    after: Iterable[FeatureBatch],
    *,
    unchanged: int = 0,
    owners: Sequence[Standing] = (),
) -> Differences:
    """Compare two sets of rows of ``utility-features``; both are held in memory.

    Parameters
    ----------
    unchanged
        Features that are known to be the same and are not among the rows.
    owners
        What changed about owners' answers.
    """
    old, new = _Rows(before), _Rows(after)
    changed = []
    for feature_id, place in new.places.items():
        earlier = old.places.get(feature_id)
        if earlier is None:
            continue
        change = _changed(feature_id, earlier, place)
        if change is None:
            unchanged += 1
        else:
            changed.append(change)
    return Differences(
        _ordered(_told(i, place) for i, place in new.places.items() if i not in old.places),
        _ordered(_told(i, place) for i, place in old.places.items() if i not in new.places),
        _ordered(changed),
        unchanged,
        tuple(owners),
    )


type _Place = tuple[FeatureBatch, int]


class _Rows:
    """Where each feature is; of two rows with one id the later counts as another feature of that id."""

    def __init__(self, batches: Iterable[FeatureBatch]) -> None:
        self.places: dict[str, _Place] = {}
        seen: Counter[str] = Counter()
        for batch in batches:
            for row, feature_id in enumerate(batch.feature_ids):
                seen[feature_id] += 1
                again = f" ({seen[feature_id]})" if seen[feature_id] > 1 else ""
                self.places[f"{feature_id}{again}"] = batch, row


def _ordered(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(sorted(changes, key=lambda c: (_RANK.get(c.hazard, 2), c.owner_cvr, c.feature_id)))


def _told(feature_id: str, place: _Place, **more: Any) -> Change:
    batch, row = place
    shape = _shape(place)
    spot = None
    if shape is not None and not shapely.is_empty(shape):
        x, y = shapely.get_coordinates(shape)[0]
        spot = (float(x), float(y)) if np.isfinite([x, y]).all() else None
    columns = batch.columns
    names = ("feature_class", "supply", "hazard", "owner_cvr")
    feature_class, supply, hazard, owner = (str(columns[name][row] or "") for name in names)
    more["shape"] = shape if spot else None
    return Change(feature_id, feature_class, supply, hazard, owner, position=spot, **more)


def _geojson(shape: shapely.Geometry | None) -> Any:
    if shape is None or not np.isfinite(shapely.get_coordinates(shape)).all():
        return None
    lon_lat = crs.transform_geometry(shapely.force_2d(shape), "EPSG:25832", "OGC:CRS84")
    return orjson.loads(shapely.to_geojson(shapely.transform(lon_lat, lambda c: np.round(c, 8))))


def _shape(place: _Place) -> shapely.Geometry | None:
    batch, row = place
    wkb = batch.geometry[row]
    with np.errstate(invalid="ignore"):
        return None if wkb is None else shapely.from_wkb(wkb)


def _changed(feature_id: str, before: _Place, after: _Place) -> Change | None:
    """Return how a feature differs, ``None`` when it does not."""
    attributes = _attributes(before, after)
    reshaped, moved, raised = _moved(before, after)
    if not attributes and not reshaped and raised is None:
        return None
    told = {"attributes": attributes, "reshaped": reshaped, "moved_m": moved, "raised_m": raised}
    return _told(feature_id, after, **told, shape_before=_shape(before) if reshaped else None)


def _attributes(before: _Place, after: _Place) -> dict[str, tuple[Any, Any]]:
    (old, i), (new, j) = before, after
    found: dict[str, tuple[Any, Any]] = {}
    classes = old.columns["feature_class"][i], new.columns["feature_class"][j]
    if classes[0] != classes[1]:
        found["feature_class"] = classes
    texts = old.columns["properties"][i], new.columns["properties"][j]
    if texts[0] != texts[1]:
        values = [orjson.loads(text) if text else {} for text in texts]
        for name in dict.fromkeys((*values[0], *values[1])):
            pair = values[0].get(name), values[1].get(name)
            if pair[0] != pair[1]:
                found[name] = pair
    return found


def _moved(before: _Place, after: _Place) -> tuple[bool, float | None, float | None]:
    """Return whether the shape differs, how far it moved and how much its heights changed."""
    (old, i), (new, j) = before, after
    raised = _raised(old, i, new, j)
    if old.geometry[i] == new.geometry[j]:
        return False, None, raised
    shapes = _shape(before), _shape(after)
    if shapes[0] is None or shapes[1] is None:
        return shapes[0] is not shapes[1], None, None
    empty = [bool(shapely.is_empty(shape)) for shape in shapes]
    if any(empty):
        return empty[0] != empty[1], None, None
    moved = float(shapely.hausdorff_distance(*shapes))
    if not np.isfinite(moved):
        return True, None, raised
    same = shapely.get_type_id(shapes[0]) == shapely.get_type_id(shapes[1])
    if moved < _MOVED_M and same:
        return False, None, raised
    return True, round(moved, 3), raised


def _raised(old: FeatureBatch, i: int, new: FeatureBatch, j: int) -> float | None:
    """Return the largest change of a height that both know; an unknown one that became known is one too."""
    pair = [b.heights_m[row] if b.heights_m is not None else None for b, row in ((old, i), (new, j))]
    if pair[0] is None or pair[1] is None or pair[0] == pair[1]:
        return None
    heights = [np.frombuffer(one, dtype=np.float64) for one in pair if one is not None]
    if len(heights[0]) != len(heights[1]):
        return None
    by = np.abs(heights[0] - heights[1])
    largest = float(np.nanmax(by)) if np.isfinite(by).any() else 0.0
    return round(largest, 3) if largest >= _MOVED_M else None
