"""Rows of a table in the flat layout (:mod:`.flat`) read into features; a finding for every cell at fault.

A value that is not what its attribute takes is left out and reported with row and column; a row that cannot
be a feature (no class, id or owner) is left out whole. The derived columns of the dataset (``status``,
``diameter_mm`` …) are not read: LER's own columns say the same.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from math import isfinite, isinf, isnan, nan
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from geoinfra.crs import DENMARK_UTM32, STORAGE_EPSG, require_denmark, transform_xy
from geoinfra.errors import Finding, InvalidGeometry, InvalidInput, Report, Severity
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import Attribute, FeatureClass, catalogue
from geoinfra.utilities.formats.flat import (
    CONTACT_FIELDS,
    EMPTY_CONTACT,
    HEIGHTS_COLUMN,
    NIL_COLUMN,
    SCALARS,
    UNKNOWN_KOTE,
    column_names,
    union_layout,
)
from geoinfra.utilities.model import FeatureRows, escape, is_gml_id, require_cvr
from geoinfra.utilities.shapes import Shape

__all__ = ["TableReader", "require_columns", "wanted_columns"]

_STORAGE = f"EPSG:{STORAGE_EPSG}"
_VOID = re.compile(r"(\w{1,60})(?:\[(\d{1,4})\])?(?:=([\w-]{1,20}))?")
_SPLIT = re.compile(r"(?:[^\\;]|\\.)*", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_INSTANT = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,15}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TRUTH = {"true": True, "1": True, "sand": True, "false": False, "0": False, "falsk": False}
_WANTED = ("feature_class", "gml_id", "owner_cvr")


class _Unfit(Exception):
    """A cell does not hold what its column takes."""

    def __init__(self, expected: str, expected_da: str) -> None:
        super().__init__(expected)
        self.expected, self.expected_da = expected, expected_da


@dataclass(frozen=True, slots=True)
class _Field:
    """A column of one class: its place in the row and how its cells are read."""

    index: int
    column: str
    attribute: Attribute
    codes: frozenset[str]
    read: Callable[[Attribute, Any], Any]
    free_unit: str = ""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to read in the rows of one class."""

    entry: FeatureClass
    fields: tuple[_Field, ...]
    contact: tuple[int, ...]
    contact_name: str
    strange: tuple[int, ...]


def wanted_columns(owner_cvr: str | None, feature_class: str | None = None) -> list[str]:
    """Return the columns that a table must have when the owner or the class of its rows is told."""
    told = {"feature_class": feature_class, "owner_cvr": owner_cvr}
    return [name for name in _WANTED if not told.get(name)]


def require_columns(names: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise when a table lacks columns without which its rows are no features.

    Raises
    ------
    InvalidInput
        It names the columns wanted.
    """
    held = {name.casefold() for name in names}
    missing = [name for name in wanted if name not in held]
    if missing:
        raise InvalidInput(
            f"The table has no column {', '.join(missing)}.",
            hint=(
                f"Wanted are {', '.join(_WANTED)}, and a column for each LER attribute, such as"
                " driftsstatus or udvendigDiameter_mm. `geoinfra utilities convert` writes such tables;"
                " docs/reference/formats.md lists the columns."
            ),
            details={"expected": list(wanted), "found": [name[:80] for name in names[:100]]},
        )


class TableReader:
    """Makes features of the rows of one table.

    Parameters
    ----------
    columns
        Names of its columns, without the geometry; case does not matter.
    report
        Where findings go. ``line`` is the row, counted from 1, ``path`` the column.
    owner_cvr
        Owner of rows that name none; rows of other owners are passed over.
    feature_class
        Class of every row; the column ``feature_class`` when not given.
    crs
        Name of the geometry's CRS as :func:`geoinfra.crs.parse_crs` gives it.

    Raises
    ------
    InvalidInput
        A column without which there are no features is missing.
    """

    def __init__(
        self,
        columns: Sequence[str],
        report: Report,
        *,
        owner_cvr: str | None = None,
        feature_class: str | None = None,
        crs: str = _STORAGE,
    ) -> None:
        if owner_cvr is not None:
            require_cvr(owner_cvr)
        require_columns(columns, wanted_columns(owner_cvr, feature_class))
        self.report = report
        self._columns = tuple(columns)
        self._places = {name.casefold(): index for index, name in enumerate(columns)}
        self._owner, self._class, self._crs = owner_cvr, feature_class, crs
        self._plans: dict[str, _Plan] = {}
        self._ids: dict[str, set[str]] = {}
        self._row = 0
        self._layer = feature_class or ""
        self._known = {column.name.casefold() for column in union_layout().columns}
        self.remark(columns)

    # -- findings

    def _find(
        self,
        code: str,
        severity: Severity,
        message: str,
        message_da: str,
        *,
        column: str = "",
        expected: str = "",
        found: Any = "",
        feature_id: str | None = None,
    ) -> None:
        text = found if isinstance(found, str) else repr(found)
        path = "/".join(filter(None, (self._layer, column)))
        self.report.add(
            Finding(
                code,
                severity,
                message,
                message_da,
                feature_id,
                self._row or None,
                path,
                expected[:200],
                text[:200],
            )
        )

    def _fault(self, code: str, what: str, what_da: str, **where: Any) -> None:
        row = self._row
        self._find(code, Severity.ERROR, f"Row {row}: {what}", f"Række {row}: {what_da}", **where)

    def remark(self, names: Iterable[str]) -> None:
        """Warn once of each column that is none of the layout."""
        for name in names:
            if name.casefold() not in self._known:
                self._known.add(name.casefold())
                self._find(
                    "TABLE-COLUMN",
                    Severity.WARNING,
                    f"The column '{name[:80]}' is no LER attribute; it was left out.",
                    f"Kolonnen '{name[:80]}' er ingen LER-attribut; den er udeladt.",
                    column=name[:80],
                )

    # -- rows

    def read(
        self, rows: Sequence[Sequence[Any]], geometries: NDArray[np.object_], present: Sequence[bool]
    ) -> Iterator[FeatureBatch]:
        """Yield the features of the next rows, those of each owner together.

        Parameters
        ----------
        rows
            Cells in the order of the columns, ``None`` for null.
        geometries
            shapely geometries in the table's CRS; ``None`` where there is none, or none that can be read.
        present
            Whether the table holds a geometry in each row.
        """
        owners: dict[str, FeatureRows] = {}
        faults = [
            None if (g is not None) or not p else _UNREADABLE
            for g, p in zip(geometries, present, strict=True)
        ]
        moved = self._moved(geometries, faults)
        shapes = _shapes(moved)
        for cells, geometry, shape, fault in zip(rows, moved, shapes, faults, strict=True):
            self._row += 1
            self._add(owners, cells, geometry, shape, fault)
        for held in owners.values():
            if len(held):
                yield held.batch()

    def _moved(
        self, geometries: NDArray[np.object_], faults: list[InvalidGeometry | None]
    ) -> NDArray[np.object_]:
        """Return the geometries in EPSG:25832; what is not finite or not in Denmark is noted and left out."""
        held = np.array(geometries, dtype=object)
        xyz, row_of = shapely.get_coordinates(held, include_z=True, return_index=True)
        wrong = ~np.isfinite(xyz[:, :2]).all(axis=1) | np.isinf(xyz[:, 2])
        for row in np.unique(row_of[wrong]).tolist():
            faults[row], held[row] = InvalidGeometry("A coordinate is not a finite number."), None
        if self._crs != _STORAGE:
            _reproject(held, self._crs)
        west, south, east, north = DENMARK_UTM32
        bounds = shapely.bounds(held)
        there = np.isfinite(bounds).all(axis=1)
        low, high = bounds[:, :2] >= (west, south), bounds[:, 2:] <= (east, north)
        for row in np.flatnonzero(there & ~(low.all(axis=1) & high.all(axis=1))).tolist():
            try:
                require_denmark(held[row])
            except InvalidGeometry as error:
                faults[row], held[row] = error, None
        return held

    def _add(
        self,
        owners: dict[str, FeatureRows],
        cells: Sequence[Any],
        geometry: shapely.Geometry | None,
        shape: Shape | None,
        fault: InvalidGeometry | None,
    ) -> None:
        """Make one row a feature."""
        owner_cvr = self._owner_of(cells)
        if owner_cvr is None:
            return
        self.report.features += 1
        plan = self._plan_of(cells)
        gml_id = self._id_of(cells, owner_cvr)
        if plan is None or gml_id is None:
            return
        if self._cell(cells, "geometry_source") == "container":
            geometry = shape = fault = None
        if geometry is not None and shape is None:
            fault = InvalidGeometry(
                f"LER does not exchange an empty geometry or a {type(geometry).__name__}."
            )
        properties = self._properties(plan, cells, gml_id)
        if shape is not None:
            shape = self._with_heights(cells, shape, gml_id)
        rows = owners.get(owner_cvr)
        if rows is None:
            rows = owners[owner_cvr] = FeatureRows(owner_cvr)
        try:
            rows.add_shape(plan.entry, gml_id, properties, shape)
        except InvalidGeometry as error:
            fault = error
            rows.add_shape(plan.entry, gml_id, properties, None)
        if fault is not None:
            found = "" if geometry is None else type(geometry).__name__
            da = "Geometrien kan ikke bruges."
            self._fault(
                "TABLE-GEOMETRY", fault.message, da, column="geometry", found=found, feature_id=gml_id
            )
        self._require(plan.entry, properties, shape is not None or fault is not None, gml_id)

    def _cell(self, cells: Sequence[Any], column: str) -> Any:
        index = self._places.get(column)
        return None if index is None else cells[index]

    def _owner_of(self, cells: Sequence[Any]) -> str | None:
        """Return the owner of a row; ``None`` when it is another's or cannot be told."""
        found = self._cell(cells, "owner_cvr")
        text = f"{found:08d}" if type(found) is int and 0 <= found < 10**8 else found
        if self._owner is not None and text in (None, "", NOBODY, self._owner):
            return self._owner
        try:
            cvr = require_cvr(text if isinstance(text, str) else "")
        except InvalidInput as error:
            self.report.features += 1
            da = "CVR-nummeret er ikke 8 cifre."
            self._fault(
                "TABLE-OWNER", error.message, da, column="owner_cvr", expected="8 digits", found=found
            )
            return None
        return cvr if self._owner is None else None

    def _plan_of(self, cells: Sequence[Any]) -> _Plan | None:
        name = self._class or self._cell(cells, "feature_class")
        plan = self._plans.get(name) if isinstance(name, str) else None
        if plan is not None:
            return plan
        try:
            entry = catalogue().feature_class(name if isinstance(name, str) else "")
        except InvalidInput as error:
            da = "LER har ingen objekttype af det navn."
            self._fault("TABLE-CLASS", error.message, da, column="feature_class", found=name)
            return None
        return self._plans.setdefault(entry.name, self._plan(entry))

    def _id_of(self, cells: Sequence[Any], owner_cvr: str) -> str | None:
        found = self._cell(cells, "gml_id")
        own = found.removeprefix(f"c{owner_cvr}.") if isinstance(found, str) else ""
        taken = self._ids.setdefault(owner_cvr, set())
        if not is_gml_id(own):
            self._fault(
                "TABLE-ID",
                "gml_id is no XML name; the row was left out.",
                "gml_id er ikke et XML-navn; rækken er udeladt.",
                column="gml_id",
                found=found,
            )
            return None
        if own in taken:
            self._fault(
                "TABLE-DUPLICATE-ID",
                "The gml_id stands in an earlier row; this one was left out.",
                "gml_id står i en tidligere række; denne er udeladt.",
                column="gml_id",
                found=own,
                feature_id=own,
            )
            return None
        taken.add(own)
        return own

    def _require(
        self, entry: FeatureClass, properties: Mapping[str, Any], has_geometry: bool, gml_id: str
    ) -> None:
        for name in entry.required:
            attribute = entry.attributes[name]
            if name in properties or (attribute.type == "geometry" and has_geometry):
                continue
            column = "geometry" if attribute.type == "geometry" else column_names(attribute)[0]
            self._fault(
                "TABLE-MISSING",
                f"{entry.name} needs '{name}'.",
                f"{entry.name} skal have '{name}'.",
                column=column,
                expected=name,
                feature_id=gml_id,
            )

    # -- attributes

    def _plan(self, entry: FeatureClass) -> _Plan:
        """Find the columns of a class in this table, and those that only other classes have."""
        fields: list[_Field] = []
        contact: tuple[int, ...] = ()
        contact_name = ""
        own = {NIL_COLUMN, HEIGHTS_COLUMN, "feature_id", *(c.name for c in SCALARS if c.name != "type")}
        for attribute in entry.attributes.values():
            if attribute.type == "geometry":
                continue
            names = column_names(attribute)
            own.update(names)
            places = tuple(self._places.get(name.casefold(), -1) for name in names)
            if attribute.type == "contact":
                contact, contact_name = places, attribute.name
            elif places[0] >= 0:
                codes = attribute.enumeration.values if attribute.enumeration else frozenset()
                read = _several if attribute.repeated else _READERS[attribute.type]
                unit = names[1].casefold() if len(names) > 1 else ""
                fields.append(_Field(places[0], names[0], attribute, codes, read, unit))
        ours = {column.name for column in union_layout().columns} - own
        strange = tuple(self._places[name.casefold()] for name in ours if name.casefold() in self._places)
        return _Plan(entry, tuple(fields), contact, contact_name, tuple(sorted(strange)))

    def _properties(self, plan: _Plan, cells: Sequence[Any], gml_id: str) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        for field in plan.fields:
            cell = cells[field.index]
            if cell is None:
                continue
            if type(cell) is str and cell in field.codes and not field.attribute.repeated:
                properties[field.attribute.name] = cell
                continue
            try:
                value = field.read(field.attribute, cell)
                if field.free_unit:
                    value["uom"] = _text(field.attribute, self._cell(cells, field.free_unit))
                properties[field.attribute.name] = value
            except _Unfit as unfit:
                self._unfit(unfit, field.column, cell, gml_id)
        if plan.contact:
            self._contact(plan, cells, properties, gml_id)
        void = self._cell(cells, NIL_COLUMN)
        if void is not None and void != "":
            self._void(plan.entry, str(void), properties, gml_id)
        for index in plan.strange:
            if cells[index] is not None:
                column, name = self._columns[index], plan.entry.name
                da = f"{name} har ingen attribut i denne kolonne."
                what = f"{name} has no attribute in this column."
                self._fault("TABLE-VALUE", what, da, column=column, found=cells[index], feature_id=gml_id)
        return properties

    def _unfit(self, unfit: _Unfit, column: str, cell: Any, gml_id: str) -> None:
        self._fault(
            "TABLE-VALUE",
            f"Expected {unfit.expected}.",
            f"Forventede {unfit.expected_da}.",
            column=column,
            expected=unfit.expected,
            found=cell,
            feature_id=gml_id,
        )

    def _contact(self, plan: _Plan, cells: Sequence[Any], properties: dict[str, Any], gml_id: str) -> None:
        found = {
            name: cells[index]
            for name, index in zip(CONTACT_FIELDS, plan.contact, strict=True)
            if index >= 0 and cells[index] is not None
        }
        if not found:
            return
        own_id = found.get("gml_id", "")
        if isinstance(own_id, str) and own_id.startswith("#"):
            fields: dict[str, Any] = {"href": own_id}
            found = {"gml_id": own_id[1:]}
        else:
            fields = {}
        known = catalogue().classes["Kontaktprofil"].attributes
        for name, cell in found.items():
            try:
                text = _text(known[name], cell) if name in known else _contact_id(cell)
                if "href" not in fields:
                    fields[name] = text
            except _Unfit as unfit:
                column = self._columns[plan.contact[CONTACT_FIELDS.index(name)]]
                self._unfit(unfit, column, cell, gml_id)
                return
        properties[plan.contact_name] = fields

    def _void(self, entry: FeatureClass, text: str, properties: dict[str, Any], gml_id: str) -> None:
        """Put the void values named by ``nil_attributes`` among the properties."""
        for part in text.split(","):
            item = _VOID.fullmatch(part.strip())
            attribute = entry.attributes.get(item[1]) if item else None
            try:
                if item is None or attribute is None or attribute.type == "geometry":
                    raise _Unfit("names of attributes of the class", "navne på objekttypens attributter")
                _make_void(attribute, item[2], item[3], properties)
            except _Unfit as unfit:
                self._unfit(unfit, NIL_COLUMN, part.strip(), gml_id)

    def _with_heights(self, cells: Sequence[Any], shape: Shape, gml_id: str) -> Shape:
        """Give a shape without heights those that stand in ``heights_json``."""
        text = self._cell(cells, HEIGHTS_COLUMN)
        count = len(shape.vertices) // 3
        if text is None or text == "" or not all(map(isnan, shape.vertices[2::3])):
            return shape
        try:
            numbers = text if isinstance(text, list) else orjson.loads(text)
            heights = array("d", (nan if h is None else float(h) for h in numbers))
            if len(heights) != count or any(map(isinf, heights)):
                raise ValueError(len(heights))
        except (ValueError, TypeError):
            self._fault(
                "TABLE-HEIGHTS",
                f"Expected {count} heights as a JSON array.",
                f"Forventede {count} koter som JSON.",
                column=HEIGHTS_COLUMN,
                expected=f"{count} numbers or null",
                found=text,
                feature_id=gml_id,
            )
            return shape
        vertices = shape.vertices[:]
        vertices[2::3] = heights
        return Shape(shape.kind, shape.parts, vertices)


NOBODY = "00000000"
"""Owner of rows of a document that nobody named."""

_UNREADABLE = InvalidGeometry("The geometry cannot be read.")


def _reproject(held: NDArray[np.object_], crs: str) -> None:
    """Move geometries to EPSG:25832 in place; heights stay as they are."""

    def moved(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = transform_xy(coordinates[:, 0], coordinates[:, 1], crs, _STORAGE)
        return np.column_stack([x, y, coordinates[:, 2:]])

    solid = shapely.has_z(held)
    for rows, include_z in ((~solid, False), (solid, True)):
        if rows.any():
            held[rows] = shapely.transform(held[rows], moved, include_z=include_z)


_KINDS = {
    0: "Point",
    1: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
}


def _shapes(geometries: NDArray[np.object_]) -> list[Shape | None]:
    """Return shapes; ``None`` where there is no geometry, an empty one, or of a kind that LER has not."""
    run = shapely.get_coordinates(geometries, include_z=True).tobytes()
    counts = shapely.get_num_coordinates(geometries).tolist()
    shapes: list[Shape | None] = []
    start = 0
    for geometry, kind, count in zip(
        geometries, shapely.get_type_id(geometries).tolist(), counts, strict=True
    ):
        end = start + 24 * count
        if not count or kind not in _KINDS:
            shapes.append(None)
        elif kind < 2:
            shapes.append(Shape(_KINDS[kind], ((count,),), array("d", run[start:end])))
        else:
            parts = tuple(_ring_lengths(part) for part in shapely.get_parts(geometry))
            shapes.append(Shape(_KINDS[kind], parts, array("d", run[start:end])))
        start = end
    return shapes


def _ring_lengths(part: shapely.Geometry) -> tuple[int, ...]:
    rings = shapely.get_rings(part) if isinstance(part, shapely.Polygon) else [part]
    return tuple(shapely.get_num_coordinates(rings).tolist())


def _make_void(
    attribute: Attribute, position: str | None, reason: str | None, properties: dict[str, Any]
) -> None:
    name = attribute.name
    if attribute.type == "height" and reason == UNKNOWN_KOTE:
        properties.setdefault(name, {"height_m": None})
        return
    if attribute.type == "contact" and reason == EMPTY_CONTACT:
        properties.setdefault(name, {})
        return
    if not attribute.nillable:
        raise _Unfit("an attribute that may be void", "en attribut, der må være tom (nil)")
    if reason not in (None, "unknown"):
        raise _Unfit("the reason 'unknown' or none", "grunden 'unknown' eller ingen")
    nil = {"nil": True} if reason is None else {"nil": True, "reason": reason}
    if not attribute.repeated:
        properties.setdefault(name, nil)  # a value that somebody filled in counts
        return
    values = properties.setdefault(name, [])
    at = int(position) - 1 if position else len(values)
    if position is None and values:
        return
    if not 0 <= at <= len(values):
        raise _Unfit("a position among the values", "en plads blandt værdierne")
    values.insert(at, nil)


# -- cells


def _text(attribute: Attribute, cell: Any) -> str:
    if type(cell) is int:
        cell = str(cell)
    if not isinstance(cell, str):
        raise _Unfit("a text", "en tekst")
    if attribute.max_length is not None and len(cell) > attribute.max_length:
        raise _Unfit(f"at most {attribute.max_length} characters", f"højst {attribute.max_length} tegn")
    try:
        escape(cell)
    except InvalidInput:
        raise _Unfit("a text without control characters", "en tekst uden styretegn") from None
    return cell


def _code(attribute: Attribute, cell: Any) -> str:
    text = _text(attribute, cell)
    enumeration = attribute.enumeration
    if enumeration is None or not enumeration.admits(text):
        allowed = ", ".join(sorted(enumeration.values)) if enumeration else ""
        other = ", other: word" if enumeration and enumeration.open else ""
        raise _Unfit(f"one of {allowed}{other}", f"en af {allowed}{other}")
    return text


def _boolean(_: Attribute, cell: Any) -> bool:
    truth = _TRUTH.get(str(cell).strip().casefold())
    if truth is None or isinstance(cell, float):
        raise _Unfit("true or false", "true eller false")
    return truth


def _number(_: Attribute, cell: Any) -> float | int:
    if isinstance(cell, str) and len(cell) <= 40:
        text = cell.strip().replace(",", ".")
        if not _NUMBER.fullmatch(text):
            raise _Unfit("a number", "et tal")
        cell = float(text)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise _Unfit("a number", "et tal")
    if abs(cell) > 10**15 if isinstance(cell, int) else not isfinite(cell):
        raise _Unfit("a finite number of at most 15 digits", "et endeligt tal på højst 15 cifre")
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15 else cell


def _integer(attribute: Attribute, cell: Any) -> int:
    number = _number(attribute, cell)
    if not isinstance(number, int) or not _INTEGER.fullmatch(str(number)):
        raise _Unfit("a whole number", "et helt tal")
    return number


def _decimal(attribute: Attribute, cell: Any) -> float | int:
    number = _number(attribute, cell)
    if attribute.pattern and not re.fullmatch(attribute.pattern, repr(number), re.ASCII):
        raise _Unfit("a number between 0 and 1 with at most two decimals", "et tal mellem 0 og 1")
    return number


def _measure(attribute: Attribute, cell: Any) -> dict[str, Any]:
    return {"value": _number(attribute, cell), "uom": attribute.uom}


def _height(attribute: Attribute, cell: Any) -> dict[str, Any]:
    return {"height_m": _number(attribute, cell)}


def _date(attribute: Attribute, cell: Any) -> str:
    text = _text(attribute, cell)
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        date.fromisoformat(text)
    except ValueError:
        raise _Unfit("a date (yyyy-mm-dd)", "en dato (åååå-mm-dd)") from None
    return text


def _datetime(attribute: Attribute, cell: Any) -> str:
    text = _text(attribute, cell)
    try:
        if not _DATE.match(text) or text[10:11] != "T":
            raise ValueError(text)
        datetime.fromisoformat(text)
    except ValueError:
        raise _Unfit("a date and time (yyyy-mm-ddThh:mm:ss)", "dato og tid (åååå-mm-ddTtt:mm:ss)") from None
    return text


def _instant(attribute: Attribute, cell: Any) -> Any:
    written = _text(attribute, cell)
    text = written.removeprefix("<")
    try:
        if not _INSTANT.fullmatch(text):
            raise ValueError(text)
        date.fromisoformat((text + "-01-01")[:10])
    except ValueError:
        expected = "a year, month or day, after '<' for before"
        raise _Unfit(expected, "et år, en måned eller en dag, med '<' foran for før") from None
    return text if text == written else {"value": text, "indeterminate": "before"}


def _media(attribute: Attribute, cell: Any) -> dict[str, Any]:
    text, known = _text(attribute, cell), catalogue().media_types
    if text not in known:
        raise _Unfit("one of " + ", ".join(known), "en af " + ", ".join(known))
    return {"value": text, "type": known[text]}


def _uri(attribute: Attribute, cell: Any) -> str:
    text = _text(attribute, cell)
    if not text or ":" in text or "\\" in text or text.startswith("/") or ".." in PurePosixPath(text).parts:
        raise _Unfit("a relative path that stays inside the zip file", "en relativ sti i zip-filen")
    return text


def _reference(attribute: Attribute, cell: Any) -> dict[str, Any]:
    text = _text(attribute, cell)
    if not text.startswith("#") or not is_gml_id(text[1:]):
        raise _Unfit("a reference such as #el.2", "en reference som #el.2")
    return {"href": text}


def _contact_id(cell: Any) -> str:
    if not isinstance(cell, str) or not is_gml_id(cell):
        raise _Unfit("an XML name", "et XML-navn")
    return cell


def _several(attribute: Attribute, cell: Any) -> list[Any]:
    """Return the values of a repeated attribute."""
    if not isinstance(cell, str):
        raise _Unfit("a text", "en tekst")
    read = _READERS[attribute.type]
    texts, start = [], 0
    while True:
        found = _SPLIT.match(cell, start)
        end = found.end() if found else start
        texts.append(cell[start:end])
        if end >= len(cell):
            break
        if cell[end] != ";":
            raise _Unfit("values joined with '; '", "værdier adskilt af '; '")
        start = end + 1 + cell.startswith("; ", end)
    return [read(attribute, _ESCAPED.sub(r"\1", text)) for text in texts]


_READERS: dict[str, Callable[[Attribute, Any], Any]] = {
    "text": _text,
    "uri": _uri,
    "code": _code,
    "boolean": _boolean,
    "integer": _integer,
    "decimal": _decimal,
    "measure": _measure,
    "date": _date,
    "datetime": _datetime,
    "instant": _instant,
    "height": _height,
    "media": _media,
    "reference": _reference,
}
