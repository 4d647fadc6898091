"""The dataset ``utility-features``: its columns, the header of an answer, and the builder of its rows.

``properties`` holds every LER attribute under LER's own name, in the order of the schema:

==========================  ====================================================================
a text, code, date          a string
a boolean, integer, number  the JSON value
a measure                   ``{"value": 110, "uom": "mm"}``
a repeated attribute        a list
a reference                 ``{"href": "#el.2"}`` (the owner's own ``gml:id``)
a nil                       ``{"nil": true}`` or ``{"nil": true, "reason": "unknown"}``
a TimePosition              ``"2004-03-15"`` or ``{"value": "2004-03-15", "indeterminate": "before"}``
a kote (DirectPosition)     ``{"height_m": 12.3}``, ``null`` where LER writes -99
a contact                   ``{"navn": …, "telefonnummer": …, "mailadresse": …, "gml_id": …}``
a file format               ``{"value": "PDF", "type": "application/pdf"}``
==========================  ====================================================================

The column ``gml`` is the same feature as its canonical LER 2.2.0 element. Ids and references in it carry the
prefix ``c<cvr>.`` so that the elements of many owners can stand in one document; namespaces are declared on
the root of whatever document they are put in (:func:`namespace_declarations`).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from geoinfra.access import Visibility
from geoinfra.errors import InvalidGeometry, InvalidInput
from geoinfra.tables import Column, ColumnType, DatasetSchema, FeatureBatch
from geoinfra.utilities.catalogue import Attribute, FeatureClass, catalogue
from geoinfra.utilities.shapes import UNKNOWN_HEIGHT, Shape, gml_geometry, shape_of, wkb

__all__ = [
    "UTILITY_FEATURES",
    "AnswerHeader",
    "Contact",
    "FeatureRows",
    "ResponseType",
    "escape",
    "fitted",
    "is_gml_id",
    "namespace_declarations",
    "require_cvr",
]

UTILITY_FEATURES = DatasetSchema(
    name="utility-features",
    geometry="Geometry",
    has_heights=True,
    visibility=Visibility.GRANTED,
    columns=(
        Column("gml_id", title="Identifier at the owner", title_da="Ejerens id"),
        Column("feature_class", indexed=True, title="LER class", title_da="LER-klasse"),
        Column("kind", indexed=True, title="Kind", title_da="Slags"),
        Column("supply", indexed=True, title="Supply", title_da="Forsyningsart"),
        Column("type", title="Type", title_da="Type"),
        Column("status", title="Operational status", title_da="Driftsstatus"),
        Column("hazard", title="Hazard class", title_da="Fareklasse"),
        Column("accuracy_class", title="Horizontal accuracy", title_da="Nøjagtighedsklasse"),
        Column("vertical_accuracy_class", title="Vertical accuracy", title_da="Nøjagtighedsklasse, vertikal"),
        Column("drawing_method", title="Drawing method", title_da="Indtegningsmetode"),
        Column("level", title="Level", title_da="Niveau"),
        Column("diameter_mm", ColumnType.REAL, title="Outer diameter, mm", title_da="Udvendig diameter, mm"),
        Column("depth_mm", ColumnType.REAL, title="Guiding depth, mm", title_da="Vejledende dybde, mm"),
        Column("voltage_kv", ColumnType.REAL, title="Voltage, kV", title_da="Spændingsniveau, kV"),
        Column("established", title="Established", title_da="Etableringstidspunkt"),
        Column("owner_cvr", title="Owner (CVR)", title_da="Ledningsejer (CVR)"),
        Column("geometry_source", title="Geometry: own or container", title_da="Geometri: egen eller ydre"),
        Column("properties", ColumnType.JSON, title="All LER attributes", title_da="Alle LER-attributter"),
        Column("gml", ColumnType.BLOB, internal=True),
    ),
)
"""Columns of the dataset; ``established`` keeps "before" as the prefix ``<``."""

COORDINATE_DECIMALS = 4
"""Decimals kept of coordinates and heights: a tenth of a millimetre, what LER's own samples carry."""

_NAME_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd"
)
_GML_ID = re.compile(f"[{_NAME_START}][{_NAME_START}0-9.\u00b7\u0300-\u036f\u203f\u2040-]{{0,199}}")
_CVR = re.compile(r"[0-9]{8}")
_SPECIAL = re.compile('[&<>"\x00-\x1f\ud800-\udfff\ufffe\uffff]')
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}
)


class ResponseType(StrEnum):
    """What an answer says (``Graveforespoergselssvar.type``)."""

    NO_LINES = "ingen ledninger i graveområde"
    WITHHELD = "ledningsoplysninger udleveres ikke"
    DELIVERED = "ledningsoplysninger udleveret"
    MANUAL = "udtaget til manuel behandling"
    POINTING_OUT = "udtaget til påvisning - ledningsoplysninger udleveres ikke"
    POINTING_OUT_DELIVERED = "udtaget til påvisning - ledningsoplysninger udleveret"

    @property
    def carries_features(self) -> bool:
        """Whether an answer of this type holds utility information."""
        return self in (ResponseType.DELIVERED, ResponseType.POINTING_OUT_DELIVERED)


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to ask about the lines (``Kontaktprofil``); LER wants a telephone number or a mail address."""

    name: str
    phone: str = ""
    email: str = ""
    gml_id: str = ""


@dataclass(frozen=True, slots=True)
class AnswerHeader:
    """What an owner's answer says beside its features.

    Attributes
    ----------
    answer_id
        UUID of the answer.
    valid_to
        Last day on which the information may be used (``gyldigTil``).
    expected_at
        When manual handling is expected to be done; aware, or naive local time as some owners write it.
    supplementary_info
        ``typeSupplerendeInfo``; mandatory when information is withheld.
    model_version
        Data model of the document that it came from.
    """

    answer_id: str
    response_type: ResponseType
    valid_to: date | None = None
    expected_at: datetime | None = None
    supplementary_info: str | None = None
    contact: Contact | None = None
    model_version: str = "2.2.0"


def require_cvr(text: str) -> str:
    """Return a CVR number of 8 digits, or raise ``InvalidInput``."""
    if not _CVR.fullmatch(text):
        raise InvalidInput(f"'{text[:40]}' is not a CVR number.", hint="Write the 8 digits without blanks.")
    return text


def is_gml_id(text: str) -> bool:
    """Whether `text` can be a ``gml:id`` here (an XML name without colon, at most 200 characters)."""
    return _GML_ID.fullmatch(text) is not None


def escape(text: str) -> str:
    """Escape a text for element content and attribute values alike; line ends and tabs are kept.

    Raises
    ------
    InvalidInput
        It holds a character that XML cannot carry.
    """
    if not _SPECIAL.search(text):
        return text
    if _NOT_XML.search(text):
        raise InvalidInput("A text holds control characters, which XML cannot carry.")
    return text.translate(_ESCAPES)


def namespace_declarations() -> str:
    """Return the ``xmlns:`` attributes that a document of LER elements declares on its root."""
    return " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in catalogue().namespaces.items())


class FeatureRows:
    """Collects features of one owner and gives them as a batch of :data:`UTILITY_FEATURES`.

    Parameters
    ----------
    owner_cvr
        CVR number of the owner.
    elements
        Whether batches have the column ``gml``; only storing and writing LER need it.
    """

    def __init__(self, owner_cvr: str, *, elements: bool = True) -> None:
        self.owner_cvr = require_cvr(owner_cvr)
        self._elements = elements
        self._prefix = f"c{owner_cvr}."
        self._rows: list[tuple[FeatureClass, str, Mapping[str, Any], Shape | None]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self,
        feature_class: str,
        gml_id: str,
        properties: Mapping[str, Any],
        geometry: shapely.Geometry | None = None,
        heights_m: NDArray[np.float64] | None = None,
    ) -> None:
        """Add one feature.

        Parameters
        ----------
        feature_class
            LER class, ``Elledning``.
        gml_id
            The owner's id; the prefix ``c<cvr>.`` of a package is taken off.
        properties
            LER attributes in the shape that this module's text gives.
        geometry
            In EPSG:25832 metres; its Z is used unless `heights_m` is given.
        heights_m
            DVR90 metres, one a vertex, NaN where unknown.

        Raises
        ------
        InvalidInput
            The class, an attribute or the id cannot be written as LER 2.2.0.
        InvalidGeometry
            The geometry is not of the kind that the class takes, or is not finite.
        """
        entry = catalogue().feature_class(feature_class)
        own_id = gml_id.removeprefix(self._prefix)
        if not is_gml_id(own_id):
            raise InvalidInput(f"'{gml_id[:80]}' cannot be a gml:id.", hint="Use an XML name without colon.")
        for name in properties:
            if name not in entry.attributes or entry.attributes[name].type == "geometry":
                raise InvalidInput(f"{feature_class} has no attribute '{name[:80]}' among its properties.")
        shape = None if geometry is None else shape_of(geometry, heights_m)
        self.add_shape(entry, own_id, {n: _plain(v) for n, v in properties.items()}, shape)

    def add_shape(
        self, entry: FeatureClass, gml_id: str, properties: Mapping[str, Any], shape: Shape | None
    ) -> None:
        """Add one feature that a decoder has checked already; `gml_id` is without prefix."""
        if shape is not None:
            shape = fitted(entry, shape)
        self._rows.append((entry, gml_id, properties, shape))

    def batch(self) -> FeatureBatch:
        """Return what was added as one batch, and start anew."""
        rows, self._rows = self._rows, []
        columns: dict[str, list[Any]] = {column.name: [] for column in UTILITY_FEATURES.columns}
        geometry, heights, elements = _encode_shapes((row[3] for row in rows), texts=self._elements)
        promoted: list[dict[str, Any]] = []
        for (entry, gml_id, properties, _), element in zip(rows, elements, strict=True):
            ordered = _ordered(entry, properties)
            values: dict[str, Any] = {
                "feature_class": entry.name,
                "kind": entry.kind,
                "supply": entry.supply or None,
            }
            if self._elements:
                columns["gml"].append(self._element(entry, gml_id, ordered, element).encode())
            _promote(entry, ordered, values)
            promoted.append(values)
            columns["gml_id"].append(gml_id)
            columns["properties"].append(orjson.dumps(ordered).decode())
        columns["owner_cvr"] = [self.owner_cvr] * len(rows)
        columns["geometry_source"] = [None if wkb is None else "own" for wkb in geometry]
        if not self._elements:
            del columns["gml"]
        for name, column in columns.items():
            if len(column) < len(rows):
                columns[name] = [values.get(name) for values in promoted]
        ids = [f"{self.owner_cvr}.{row[1]}" for row in rows]
        return FeatureBatch(UTILITY_FEATURES, ids, geometry, columns, heights, self.owner_cvr)

    def _element(
        self,
        entry: FeatureClass,
        gml_id: str,
        properties: Mapping[str, Any],
        geometry: str,
    ) -> str:
        """Write the canonical element of a feature."""
        writer = _ElementWriter(self._prefix, gml_id)
        slots = _slots(entry.name)
        pieces = [f'<{entry.qname} gml:id="{self._prefix}{gml_id}">']
        place = entry.position[entry.geometry.name] if entry.geometry and geometry else 1000
        for name, value in properties.items():
            slot = slots[name]
            if slot.position > place:
                pieces.append(_wrapped(entry.geometry, geometry))
                place = 1000
            if type(value) is str:
                piece = slot.written.get(value)
                pieces.append(slot.remember(value, writer, value) if piece is None else piece)
            elif slot.is_measure and (key := _measure_key(value)) is not None:
                piece = slot.written.get(key)
                pieces.append(slot.remember(key, writer, value) if piece is None else piece)
            elif slot.attribute.repeated:
                pieces += [writer.write(slot.attribute, one) for one in value]
            else:
                pieces.append(writer.write(slot.attribute, value))
        if place < 1000:
            pieces.append(_wrapped(entry.geometry, geometry))
        pieces.append(f"</{entry.qname}>")
        return "".join(pieces)


_MEMORY = 4096


def _measure_key(value: Any) -> tuple[Any, Any] | None:
    """Return what tells a plain measure from others, or ``None`` for anything else."""
    if type(value) is not dict or len(value) != 2:
        return None
    number, uom = value.get("value"), value.get("uom")
    return (number, uom) if type(number) in (int, float) and type(uom) is str else None


@dataclass(frozen=True, slots=True)
class _Slot:
    """An attribute of a class as it is written.

    Attributes
    ----------
    written
        XML of texts and measures written before.
    """

    attribute: Attribute
    position: int
    is_measure: bool
    written: dict[Any, str]

    def remember(self, key: Any, writer: _ElementWriter, value: Any) -> str:
        """Write a value, and keep its XML for the next one like it."""
        piece = writer.write(self.attribute, value)
        if len(self.written) < _MEMORY:
            self.written[key] = piece
        return piece


@lru_cache(maxsize=64)
def _slots(feature_class: str) -> Mapping[str, _Slot]:
    entry = catalogue().feature_class(feature_class)
    return {
        attribute.name: _Slot(
            attribute,
            entry.position[attribute.name],
            attribute.type == "measure" and not attribute.repeated,
            {},
        )
        for attribute in entry.attributes.values()
    }


_MEMBERS = (
    "value",
    "uom",
    "indeterminate",
    "type",
    "height_m",
    "nil",
    "reason",
    "href",
    "navn",
    "telefonnummer",
    "mailadresse",
    "gml_id",
)


def _plain(value: Any) -> Any:
    """Return a value as the decoder would read it: whole numbers without decimals, members in their order."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        for name in value:
            if name not in _MEMBERS:
                raise InvalidInput(f"'{str(name)[:80]}' is no member of an attribute's value.")
        return {name: _plain(value[name]) for name in _MEMBERS if name in value}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _wrapped(attribute: Attribute | None, geometry: str) -> str:
    return f"<{attribute.qname}>{geometry}</{attribute.qname}>" if attribute else ""


def _ordered(entry: FeatureClass, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Put attributes into schema order, repeated ones as lists."""
    ordered = {}
    for name in sorted(properties, key=entry.position.__getitem__):
        value = properties[name]
        if entry.attributes[name].repeated and not isinstance(value, list):
            value = [value]
        if value is not None and value != []:
            ordered[name] = value
    return ordered


_TAKEN = {"Curve": "LineString", "MultiCurve": "MultiLineString", "Point": "Point"}


def fitted(entry: FeatureClass, shape: Shape) -> Shape:
    """Give a shape the kind that the class takes: a trace's line becomes a multi-curve of one part.

    Raises
    ------
    InvalidGeometry
        The class takes no such kind.
    """
    if entry.geometry is None:
        raise InvalidGeometry(f"{entry.name} takes no geometry.")
    wanted, kind = entry.geometry.geometry, shape.kind
    if wanted == "MultiCurve" and kind == "LineString":
        return Shape("MultiLineString", shape.parts, shape.vertices)
    if wanted == "Curve" and kind == "MultiLineString" and len(shape.parts) == 1:
        return Shape("LineString", shape.parts, shape.vertices)
    taken = {"Curve": "LineString", "MultiCurve": "MultiLineString", "Point": "Point", "Geometry": kind}[
        wanted
    ]
    if kind != taken:
        raise InvalidGeometry(f"{entry.name} takes a {taken}, not a {kind}.")
    return shape


def _encode_shapes(
    shapes: Iterable[Shape | None], *, texts: bool
) -> tuple[list[bytes | None], list[bytes | None], list[str]]:
    """Return WKB, heights and, when wanted, GML text of shapes; one pass over all their vertices."""
    held = list(shapes)
    run = array("d")
    for shape in held:
        if shape is not None:
            run.extend(shape.vertices)
    xyz = np.round(np.frombuffer(run, dtype=np.float64).reshape(-1, 3), COORDINATE_DECIMALS) + 0.0
    if not np.isfinite(xyz[:, :2]).all() or np.isinf(xyz[:, 2]).any():
        raise InvalidGeometry("A coordinate is not a finite number.")
    heights = np.where(xyz[:, 2] == UNKNOWN_HEIGHT, np.nan, xyz[:, 2])
    known = ~np.isnan(heights)
    written = np.column_stack([xyz[:, :2], np.where(known, heights, float(UNKNOWN_HEIGHT))])
    xy_bytes, height_bytes = np.ascontiguousarray(xyz[:, :2]).tobytes(), heights.tobytes()
    known_before = np.concatenate([[0], np.cumsum(known)])
    geometries: list[bytes | None] = []
    heights_m: list[bytes | None] = []
    written_texts: list[str] = []
    start = 0
    for shape in held:
        if shape is None:
            geometries.append(None)
            heights_m.append(None)
            written_texts.append("")
            continue
        end = start + len(shape.vertices) // 3
        geometries.append(wkb(shape.kind, shape.parts, xy_bytes[16 * start : 16 * end]))
        has_heights = known_before[end] > known_before[start]
        heights_m.append(height_bytes[8 * start : 8 * end] if has_heights else None)
        written_texts.append(gml_geometry(shape.kind, shape.parts, written[start:end]) if texts else "")
        start = end
    return geometries, heights_m, written_texts


_PROMOTED = {
    "type": "type",
    "driftsstatus": "status",
    "fareklasse": "hazard",
    "noejagtighedsklasse": "accuracy_class",
    "noejagtighedsklasseVertikal": "vertical_accuracy_class",
    "indtegningsmetode": "drawing_method",
    "niveau": "level",
    "etableringstidspunkt": "established",
    "udvendigDiameter": "diameter_mm",
    "vejledendeDybde": "depth_mm",
    "spaendingsniveau": "voltage_kv",
}
"""The scalar columns that repeat attributes."""


def _promote(entry: FeatureClass, properties: Mapping[str, Any], values: dict[str, Any]) -> None:
    """Put attributes into their scalar columns; what is void leaves them empty."""
    for name in properties.keys() & _PROMOTED.keys():
        column, value = _PROMOTED[name], properties[name]
        if isinstance(value, str):
            values[column] = value
        elif isinstance(value, dict) and "value" in value:
            if column == "established":
                before = "<" if value.get("indeterminate") == "before" else ""
                values[column] = f"{before}{value['value']}"
            else:
                values[column] = float(value["value"])
    if entry.kind == "trace":
        values["supply"] = _supply_of_trace(properties)


def _supply_of_trace(properties: Mapping[str, Any]) -> str:
    first = (properties.get("forsyningsart") or [None])[0]
    return catalogue().supplies.get(first, "other") if isinstance(first, str) else "unknown"


class _ElementWriter:
    """Writes the attributes of one feature as XML; what is not of its type raises ``InvalidInput``."""

    def __init__(self, prefix: str, gml_id: str) -> None:
        self._prefix = prefix
        self._gml_id = gml_id

    def write(self, attribute: Attribute, value: Any) -> str:
        """Return the element of one value of `attribute`."""
        name = attribute.qname
        try:
            if isinstance(value, dict) and value.get("nil"):
                return self._nil(attribute, value)
            return _WRITERS[attribute.type](self, name, value)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(
                f"The value of '{attribute.name}' is not a {attribute.type}.",
                details={"where": f"{self._gml_id}/{attribute.name}", "found": repr(value)[:200]},
            ) from error

    def _nil(self, attribute: Attribute, value: Mapping[str, Any]) -> str:
        reason = f' nilReason="{escape(str(value["reason"]))}"' if "reason" in value else ""
        uom = f' uom="{escape(attribute.uom)}"' if attribute.type == "measure" else ""
        return f'<{attribute.qname} xsi:nil="true"{reason}{uom}/>'

    def text(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(name)
        return f"<{name}>{escape(value)}</{name}>"

    def boolean(self, name: str, value: Any) -> str:
        if not isinstance(value, bool):
            raise TypeError(name)
        return f"<{name}>{'true' if value else 'false'}</{name}>"

    def number(self, name: str, value: Any) -> str:
        return f"<{name}>{_number(value)}</{name}>"

    def measure(self, name: str, value: Any) -> str:
        return f'<{name} uom="{escape(value["uom"])}">{_number(value["value"])}</{name}>'

    def instant(self, name: str, value: Any) -> str:
        if isinstance(value, str):
            return self.text(name, value)
        position = escape(value["indeterminate"])
        return f'<{name} indeterminatePosition="{position}">{escape(value["value"])}</{name}>'

    def height(self, name: str, value: Any) -> str:
        height = value["height_m"]
        number = str(UNKNOWN_HEIGHT) if height is None else _number(height)
        return f'<{name} srsName="{HEIGHT_SRS_NAME}">{number}</{name}>'

    def media(self, name: str, value: Any) -> str:
        return f'<{name} type="{escape(value["type"])}">{escape(value["value"])}</{name}>'

    def reference(self, name: str, value: Any) -> str:
        href = value["href"]
        if href.startswith("#"):
            href = f"#{self._prefix}{href[1:].removeprefix(self._prefix)}"
        return f'<{name} xlink:href="{escape(href)}"/>'

    def contact(self, name: str, value: Any) -> str:
        if "href" in value:
            return self.reference(name, value)
        own_id = value.get("gml_id") or contact_id(self._gml_id)
        if not is_gml_id(own_id):
            raise ValueError(own_id)
        fields = "".join(
            f"<ler:{field}>{escape(value[field])}</ler:{field}>"
            for field in ("navn", "telefonnummer", "mailadresse")
            if value.get(field)
        )
        start = f'<{name}><ler:Kontaktprofil gml:id="{self._prefix}{own_id}">'
        return f"{start}{fields}</ler:Kontaktprofil></{name}>"


HEIGHT_SRS_NAME = "http://www.opengis.net/def/crs/EPSG/0/5799"
"""DVR90, the reference of single heights (koter)."""


def contact_id(gml_id: str) -> str:
    """Return the ``gml:id`` that the contact of a feature gets when it has none of its own."""
    return f"{gml_id}.kontakt"


def _number(value: Any) -> str:
    """Write a finite number in its shortest form."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(value)
    return repr(value).removesuffix(".0")


_WRITERS: dict[str, Callable[[_ElementWriter, str, Any], str]] = {
    "text": _ElementWriter.text,
    "uri": _ElementWriter.text,
    "code": _ElementWriter.text,
    "date": _ElementWriter.text,
    "datetime": _ElementWriter.text,
    "boolean": _ElementWriter.boolean,
    "integer": _ElementWriter.number,
    "decimal": _ElementWriter.number,
    "measure": _ElementWriter.measure,
    "instant": _ElementWriter.instant,
    "height": _ElementWriter.height,
    "media": _ElementWriter.media,
    "reference": _ElementWriter.reference,
    "contact": _ElementWriter.contact,
}
