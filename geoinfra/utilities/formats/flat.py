"""The one flat layout of utility features, which every table format shares; :mod:`.flat_read` reads it.

==========================  ====================================================================
``feature_id``, and the     the public columns of ``utility-features``, for styling and searching;
columns of the dataset      ``feature_class``, ``gml_id`` and ``owner_cvr`` say what the row is
text, code, date, number    a column under LER's own name
measure, kote               a column with its unit in the name: ``udvendigDiameter_mm``, ``topkote_m``
measure of a free unit      two columns: ``dimensionalValue`` and ``dimensionalValue_uom``
TimePosition                its text, after ``<`` where it says "before"
reference, file format      ``#el.2``; ``PDF``
repeated attribute          values joined with ``; ``; inside one ``\\`` and ``;`` stand after a ``\\``
contact                     ``kontakt_navn``, ``kontakt_telefonnummer``, ``kontakt_mailadresse`` and
                            ``kontakt_id``, its ``gml:id`` where that is its own; ``#id`` is a reference
``nil_attributes``          attributes that are void: ``fareklasse``, ``fareklasse=unknown`` with the
                            reason, ``forsyningsart[2]`` the second value of several, ``topkote=-99`` a
                            kote that stands there and is not known
``heights_json``            DVR90 metres a vertex, ``null`` unknown, where the geometry has no Z
==========================  ====================================================================

The geometry has Z where all its heights are known, and none where some are not: a NaN in Z makes whole lines
vanish in common programs. Nothing of a feature is lost.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
import shapely

from geoinfra.errors import InvalidInput
from geoinfra.tables import ColumnType, FeatureBatch
from geoinfra.utilities.catalogue import Attribute, FeatureClass, catalogue
from geoinfra.utilities.model import UTILITY_FEATURES

__all__ = [
    "CONTACT_FIELDS",
    "EMPTY_CONTACT",
    "HEIGHTS_COLUMN",
    "NIL_COLUMN",
    "SCALARS",
    "UNKNOWN_KOTE",
    "FlatColumn",
    "Layout",
    "class_layout",
    "column_names",
    "composed",
    "known_heights",
    "placed",
    "records",
    "union_layout",
]

SCALARS = tuple(column for column in UTILITY_FEATURES.public_columns if column.type is not ColumnType.JSON)
"""Columns of the dataset that stand in every table, after ``feature_id``."""

_SCALAR_NAMES = tuple(column.name for column in SCALARS)
NIL_COLUMN = "nil_attributes"
HEIGHTS_COLUMN = "heights_json"
CONTACT_FIELDS = ("navn", "telefonnummer", "mailadresse", "gml_id")
_CONTACT_COLUMNS = ("kontakt_navn", "kontakt_telefonnummer", "kontakt_mailadresse", "kontakt_id")
UNKNOWN_KOTE = "-99"
EMPTY_CONTACT = "empty"

_TYPES = {
    "boolean": ColumnType.BOOLEAN,
    "integer": ColumnType.INTEGER,
    "decimal": ColumnType.REAL,
    "measure": ColumnType.REAL,
    "height": ColumnType.REAL,
}


@dataclass(frozen=True, slots=True)
class FlatColumn:
    """A column of a table; `type` is text, integer, real or boolean."""

    name: str
    type: ColumnType = ColumnType.TEXT


def column_names(attribute: Attribute) -> tuple[str, ...]:
    """Return the names of the columns that hold an attribute."""
    if attribute.type == "contact":
        return _CONTACT_COLUMNS
    if attribute.type == "height":
        return (f"{attribute.name}_m",)
    if attribute.type == "measure":
        return (f"{attribute.name}_{attribute.uom}",) if attribute.uom else _free_measure(attribute)
    return (attribute.name,)


def _free_measure(attribute: Attribute) -> tuple[str, str]:
    return attribute.name, f"{attribute.name}_uom"


def _flat_columns(attribute: Attribute) -> Iterator[FlatColumn]:
    kind = ColumnType.TEXT if attribute.repeated else _TYPES.get(attribute.type, ColumnType.TEXT)
    for position, name in enumerate(column_names(attribute)):
        yield FlatColumn(name, ColumnType.TEXT if position else kind)


type _Cells = Any  # a list of cells, or a dict of those that have a value


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where an attribute goes in a row, and how a value with members is put there.

    `places` are positions in a list, or names in a dict; `place` is the first of them.
    """

    place: Any
    places: tuple[Any, ...]
    attribute: Attribute
    uom: str
    put: Callable[[_Cells, _Slot, Mapping[str, Any], list[str]], None]


class Layout:
    """The columns of a table, and how features become its rows.

    Attributes
    ----------
    columns
        ``feature_id``, the dataset's columns, those of the attributes, ``nil_attributes``, ``heights_json``.
    """

    def __init__(self, classes: Iterable[FeatureClass]) -> None:
        entries = tuple(classes)
        columns = {"feature_id": FlatColumn("feature_id")}
        columns |= {c.name: FlatColumn(c.name, c.type) for c in SCALARS}
        for entry in entries:
            for attribute in entry.attributes.values():
                if attribute.type != "geometry":
                    for column in _flat_columns(attribute):
                        columns.setdefault(column.name, column)
        columns |= {name: FlatColumn(name) for name in (NIL_COLUMN, HEIGHTS_COLUMN)}
        self.columns = tuple(columns.values())
        places = {name: index for index, name in enumerate(columns)}
        self._slots = {entry.name: _slots(entry, places) for entry in entries}

    def rows(self, batch: FeatureBatch, heights: Sequence[str | None]) -> Iterator[list[Any]]:
        """Yield each feature as a row; `heights` are the texts of :func:`composed`.

        Raises
        ------
        InvalidInput
            A value is not what its column says (another unit, an attribute that the class has not).
        """
        blank: list[Any] = [None] * len(self.columns)
        columns = batch.columns
        scalars = zip(*(columns[column.name] for column in SCALARS), strict=True)
        texts, names = columns["properties"], columns["feature_class"]
        end = 1 + len(SCALARS)
        rows = zip(batch.feature_ids, names, scalars, texts, heights, strict=True)
        for feature_id, name, values, text, known in rows:
            cells = blank.copy()
            cells[0] = feature_id
            cells[1:end] = values
            cells[-2] = _fill(cells, name, self._slots, orjson.loads(text))
            cells[-1] = known
            yield cells


@lru_cache(maxsize=64)
def class_layout(feature_class: str) -> Layout:
    """Return the layout of a table that holds one class."""
    return Layout((catalogue().feature_class(feature_class),))


@lru_cache(maxsize=1)
def union_layout() -> Layout:
    """Return the layout of a table that holds all classes."""
    return Layout(catalogue().feature_classes)


@lru_cache(maxsize=1)
def _named_slots() -> Mapping[str, Mapping[str, _Slot]]:
    names = {column.name: column.name for column in union_layout().columns}
    return {entry.name: _slots(entry, names) for entry in catalogue().feature_classes}


def records(batch: FeatureBatch, heights: Sequence[str | None]) -> Iterator[dict[str, Any]]:
    """Yield each feature as column name -> value: the dataset's columns, and what else has a value.

    See :meth:`Layout.rows`; ``feature_id`` is left to the caller.
    """
    slots = _named_slots()
    columns = batch.columns
    scalars = zip(*(columns[name] for name in _SCALAR_NAMES), strict=True)
    documents = orjson.loads(f"[{','.join(columns['properties'])}]")
    rows = zip(columns["feature_class"], scalars, documents, heights, strict=True)
    for name, values, properties, known in rows:
        record = dict(zip(_SCALAR_NAMES, values))  # noqa: B905 - both are the dataset's columns
        void = _fill(record, name, slots, properties)
        if void is not None:
            record[NIL_COLUMN] = void
        if known is not None:
            record[HEIGHTS_COLUMN] = known
        yield record


def _slots(entry: FeatureClass, places: Mapping[str, Any]) -> dict[str, _Slot]:
    slots = {}
    for attribute in entry.attributes.values():
        if attribute.type != "geometry":
            held = tuple(places[name] for name in column_names(attribute))
            put = _PUTS.get(attribute.type, _put_odd)
            slots[attribute.name] = _Slot(held[0], held, attribute, attribute.uom, put)
    return slots


def _fill(
    cells: _Cells, name: str, classes: Mapping[str, Mapping[str, _Slot]], properties: Mapping[str, Any]
) -> str | None:
    """Put the attributes of a feature into their cells, and return what is void among them."""
    void: list[str] = []
    try:
        slots = classes[name]
        for attribute, value in properties.items():
            slot = slots[attribute]
            kind = type(value)
            if kind is str:
                cells[slot.place] = value
            elif kind is dict:
                if slot.uom and value.get("uom") == slot.uom:
                    cells[slot.place] = value["value"]
                elif "nil" in value:
                    void.append(_void(attribute, value))
                else:
                    slot.put(cells, slot, value, void)
            elif kind is list:
                _put_several(cells, slot, value, void)
            else:
                cells[slot.place] = value
    except KeyError as error:
        raise InvalidInput(f"LER has no {str(error)[:80]} at a {name[:80]}.") from error
    return ", ".join(void) or None


def _void(name: str, value: Mapping[str, Any]) -> str:
    reason = value.get("reason")
    return name if reason is None else f"{name}={reason}"


def _put_several(cells: _Cells, slot: _Slot, values: Sequence[Any], void: list[str]) -> None:
    """Put the values of a repeated attribute as one text; those that are void are noted by position."""
    name = slot.attribute.name
    texts: list[str] = []
    for position, value in enumerate(values, 1):
        if type(value) is dict and "nil" in value:
            void.append(_void(name if len(values) == 1 else f"{name}[{position}]", value))
            continue
        text = value if type(value) is str else value["href"]
        texts.append(text.replace("\\", "\\\\").replace(";", "\\;"))
    if texts:
        cells[slot.place] = "; ".join(texts)


def _put_measure(cells: _Cells, slot: _Slot, value: Mapping[str, Any], _: list[str]) -> None:
    cells[slot.place] = value["value"]
    if not slot.attribute.uom:
        cells[slot.places[1]] = value["uom"]
    elif value["uom"] != slot.attribute.uom:
        raise InvalidInput(f"{slot.attribute.name} is in {value['uom'][:20]}, not in {slot.attribute.uom}.")


def _put_height(cells: _Cells, slot: _Slot, value: Mapping[str, Any], void: list[str]) -> None:
    if value["height_m"] is None:
        void.append(f"{slot.attribute.name}={UNKNOWN_KOTE}")
    else:
        cells[slot.place] = value["height_m"]


def _put_instant(cells: _Cells, slot: _Slot, value: Mapping[str, Any], void: list[str]) -> None:
    if value["indeterminate"] != "before":
        _put_odd(cells, slot, value, void)
    cells[slot.place] = f"<{value['value']}"


def _put_reference(cells: _Cells, slot: _Slot, value: Mapping[str, Any], _: list[str]) -> None:
    cells[slot.place] = value["href"]


def _put_media(cells: _Cells, slot: _Slot, value: Mapping[str, Any], void: list[str]) -> None:
    if catalogue().media_types.get(value["value"]) != value["type"]:
        _put_odd(cells, slot, value, void)
    cells[slot.place] = value["value"]


def _put_contact(cells: _Cells, slot: _Slot, value: Mapping[str, Any], void: list[str]) -> None:
    if "href" in value:
        cells[slot.places[-1]] = value["href"]
        return
    for place, field in zip(slot.places, CONTACT_FIELDS, strict=True):
        if field in value:
            cells[place] = value[field]
    if not value:
        void.append(f"{slot.attribute.name}={EMPTY_CONTACT}")


def _put_odd(_: _Cells, slot: _Slot, value: Mapping[str, Any], __: list[str]) -> None:
    raise InvalidInput(
        f"The value of '{slot.attribute.name}' cannot stand in a table.",
        details={"found": repr(dict(value))[:200]},
    )


_PUTS: dict[str, Callable[[_Cells, _Slot, Mapping[str, Any], list[str]], None]] = {
    "measure": _put_measure,
    "height": _put_height,
    "instant": _put_instant,
    "reference": _put_reference,
    "media": _put_media,
    "contact": _put_contact,
}


def known_heights(batch: FeatureBatch, *, solid: bool = True) -> tuple[list[int], bytes, list[str | None]]:
    """Return the rows whose heights are all known, their heights as float64, and other known ones as JSON.

    Parameters
    ----------
    batch
        Rows with their heights.
    solid
        Whether the format takes Z in some features only; when not, every known height becomes text.
    """
    texts: list[str | None] = [None] * len(batch)
    held = [
        (row, heights)
        for row, (heights, wkb) in enumerate(zip(batch.heights_m or (), batch.geometry, strict=False))
        if heights and wkb is not None
    ]
    if not held:
        return [], b"", texts
    run = np.frombuffer(b"".join(heights for _, heights in held), dtype="<f8")
    ends = np.cumsum([len(heights) // 8 for _, heights in held])
    unknown = np.add.reduceat(~np.isfinite(run), np.concatenate([[0], ends[:-1]]), dtype=np.int64)
    full: list[int] = []
    runs: list[bytes] = []
    for (row, heights), missing, end in zip(held, unknown.tolist(), ends.tolist(), strict=True):
        count = len(heights) // 8
        if solid and not missing:
            full.append(row)
            runs.append(heights)
        elif missing < count:
            texts[row] = orjson.dumps(run[end - count : end], option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return full, b"".join(runs), texts


def composed(batch: FeatureBatch) -> tuple[list[bytes | None], list[str | None]]:
    """Return ISO WKB with Z where every height is known, and the other known heights as JSON texts."""
    geometry = list(batch.geometry)
    full, run, texts = known_heights(batch)
    if full:
        lifted = shapely.force_3d(shapely.from_wkb([geometry[row] for row in full]))
        xyz = shapely.get_coordinates(lifted, include_z=True)
        xyz[:, 2] = np.frombuffer(run, dtype="<f8")
        wkbs = shapely.to_wkb(shapely.set_coordinates(lifted, xyz), flavor="iso", byte_order=1)
        for row, wkb in zip(full, wkbs, strict=True):
            geometry[row] = wkb
    return geometry, texts


@contextmanager
def placed(target: Path | BinaryIO, suffix: str) -> Iterator[Path]:
    """Give a path to write to; the target gets the file when it was written to its end, or not at all."""
    beside = target.parent if isinstance(target, Path) else None
    with tempfile.TemporaryDirectory(prefix=".geoinfra-", dir=beside) as folder:
        path = Path(folder) / f"features{suffix}"
        yield path
        if isinstance(target, Path):
            path.replace(target)
        else:
            with path.open("rb") as file:
                shutil.copyfileobj(file, target, 1 << 20)
