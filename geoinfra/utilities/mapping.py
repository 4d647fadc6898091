"""Mapping files: which table and column of a source becomes which LER class and attribute.

A mapping file (:mod:`geoinfra.utilities.mapping_file`) says who answers and how, and names layers: a source
(files or a PostGIS table), a LER class, and for each attribute a constant or a column with what is done to
its values. Rows that do not fit become findings that name file, layer, row and column; they are never guessed
and never left out silently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.errors import Finding, GeoinfraError, Report, Severity, UnreadableFile
from geoinfra.tables import BATCH_ROWS, FeatureBatch
from geoinfra.utilities.catalogue import Attribute, FeatureClass
from geoinfra.utilities.model import Contact, FeatureRows, ResponseType, is_gml_id
from geoinfra.utilities.sources import Source, SourceRows, bounds_of, open_files, open_table
from geoinfra.utilities.values import Scale, Unfit, as_number, as_text, converted

__all__ = [
    "AnswerSettings",
    "AttributeRule",
    "Heights",
    "Layer",
    "MappingFile",
    "Selection",
    "open_sources",
    "rows_from_layer",
]

DsnOf = Callable[[str], str | None]
"""Gives the address of a database by the name that the mapping calls it."""

UNSTATED: Final = object()
"""Stands where a mapping says nothing; ``None`` says that an attribute is left out."""

_HEIGHTS_M: Final = (-100.0, 250.0)
_UNKNOWN_HEIGHT: Final = -99.0


@dataclass(frozen=True, slots=True)
class AttributeRule:
    """Where one LER attribute of a layer comes from.

    Attributes
    ----------
    constant
        LER value of every row, when `column` is empty.
    column
        Column that the value is read from.
    values
        Text of a source value -> LER value; ``None`` when values are converted by type.
    otherwise
        LER value of what `values` does not list; an error when :data:`UNSTATED`.
    default
        LER value of rows without a value; ``None`` leaves the attribute out.
    unknown
        Source values that mean "no value", as texts.
    scale, date_format, before
        See :func:`~geoinfra.utilities.values.converted`.
    separator
        Cuts a text into the values of a repeated attribute.
    target
        Layer whose ids a reference names.
    """

    attribute: Attribute
    constant: Any = None
    column: str = ""
    values: Mapping[str, Any] | None = None
    otherwise: Any = None
    default: Any = None
    unknown: frozenset[str] = frozenset()
    scale: Scale | None = None
    date_format: str = ""
    before: bool = False
    separator: str = ""
    target: str = ""

    def value_of(self, raw: Any, id_of: Callable[[str, Any], str]) -> Any:
        """Return the LER value of a row whose column holds `raw`; ``None`` leaves the attribute out.

        Raises
        ------
        Unfit
            The value cannot be used.
        """
        if not self.column:
            return self.constant
        if self.separator and isinstance(raw, str):
            parts = [self._one(part.strip(), id_of) for part in raw.split(self.separator)]
            kept = [part for part in parts if part is not None]
            return kept or self.default
        return self._one(raw, id_of)

    def _one(self, raw: Any, id_of: Callable[[str, Any], str]) -> Any:
        if raw is None or as_text(raw) == "" or as_text(raw) in self.unknown:
            return self.default
        if self.target:
            return {"href": f"#{id_of(self.target, raw)}"}
        if self.values is None:
            return converted(
                self.attribute, raw, scale=self.scale, date_format=self.date_format, before=self.before
            )
        listed = self.values.get(as_text(raw), UNSTATED)
        listed = self.otherwise if listed is UNSTATED else listed
        if listed is UNSTATED:
            raise Unfit(f"one of the values that the mapping lists: {'; '.join(self.values)}", raw)
        return listed


@dataclass(frozen=True, slots=True)
class Heights:
    """Where the heights of a layer come from; they are DVR90 metres.

    Attributes
    ----------
    column
        Column with one height a row; empty for the Z of the vertices.
    at
        What was measured: ``top``, ``centre`` or ``bottom``. LER wants the top, reckoned with the outer
        diameter or height.
    unknown
        Numbers that mean "not known"; -99 always does.
    """

    scale: Scale
    column: str = ""
    at: str = "top"
    unknown: frozenset[float] = frozenset()


@dataclass(frozen=True, slots=True)
class Layer:
    """One source and what its rows become.

    Attributes
    ----------
    name
        Unique in the mapping file; begins the ids of its features.
    path, layer
        File or folder, and the layer inside.
    database, table, geometry
        Name that gives the address of the database, table, and geometry column, for PostGIS.
    where
        Column -> texts of the values admitted; an empty text admits no value.
    id_column
        Column with the id of the row; empty for a hash of its content.
    rows_at_least
        Fewer rows in the whole source are an error: an empty export must not say "no lines here".
    """

    name: str
    entry: FeatureClass
    rules: tuple[AttributeRule, ...]
    path: Path | None = None
    layer: str = ""
    database: str = ""
    table: str = ""
    geometry: str = ""
    crs: str = ""
    encoding: str = ""
    where: Mapping[str, frozenset[str]] = field(default_factory=dict)
    id_column: str = ""
    heights: Heights | None = None
    rows_at_least: int = 1

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the source that are read."""
        named = [self.id_column, self.heights.column if self.heights else "", *self.where]
        return tuple(dict.fromkeys(filter(None, [*named, *(rule.column for rule in self.rules)])))

    def gml_id(self, value: Any) -> str:
        """Return the id of the row whose id column holds `value`; what an id cannot hold is spelled out."""
        text = as_text(value)
        whole = f"{self.name}.{text}"
        if is_gml_id(whole):
            return whole
        spelled = "".join(c if is_gml_id(f"x{c}") else f"_x{ord(c):x}_" for c in text)
        return f"{self.name}.{spelled}"


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """What an answer says beside its lines.

    Attributes
    ----------
    delivered
        Response type when there are lines.
    valid_days
        How long the information may be used; ``None`` says nothing about it.
    manual_minutes_left
        An enquiry that cannot be answered is taken out for manual handling when so many minutes are left of
        the owner's time; ``None`` never does it.
    """

    contact: Contact | None = None
    delivered: ResponseType = ResponseType.DELIVERED
    valid_days: int | None = None
    supplementary_info: str | None = None
    manual_minutes_left: int | None = None


@dataclass(frozen=True, slots=True)
class MappingFile:
    """A checked mapping file: who the owner is, how he answers, and his layers."""

    path: Path
    owner_cvr: str
    answer: AnswerSettings
    layers: tuple[Layer, ...]


def open_sources(layer: Layer, dsn_of: DsnOf | None = None) -> list[Source]:
    """Open what a layer reads: one source, or one for each file of a folder.

    Raises
    ------
    UnreadableFile, InvalidInput, MissingResource
        A source cannot be opened, or lacks a column that the mapping names.
    """
    if layer.path is not None:
        return open_files(layer.path, layer.layer, crs=layer.crs, encoding=layer.encoding)
    dsn = dsn_of(layer.database) if dsn_of else None
    if not dsn:
        raise UnreadableFile(
            f"Layer {layer.name}: the address of the database '{layer.database}' is not set.",
            hint=f"Set the environment variable {layer.database} to postgresql://user:password@host/database.",
        )
    return [open_table(dsn, layer.table, name=layer.database, geometry=layer.geometry, crs=layer.crs)]


@dataclass(slots=True)
class Selection:
    """The features of a mapping file that touch an area.

    Attributes
    ----------
    area
        Polygon in EPSG:25832; ``None`` takes everything.
    report
        Findings; complete when :meth:`batches` was drained. An error means that rows are missing.
    origins
        ``gml:id`` -> file, layer and row it came from.
    """

    mapping: MappingFile
    area: shapely.Geometry | None = None
    dsn_of: DsnOf | None = None
    report: Report = field(default_factory=Report)
    origins: dict[str, str] = field(default_factory=dict)

    def batches(self) -> Iterator[FeatureBatch]:
        """Yield the features, layer by layer."""
        kept = self._ids() if any(r.target for layer in self.mapping.layers for r in layer.rules) else None
        self.origins.clear()
        for layer in self.mapping.layers:
            yield from rows_from_layer(
                layer,
                self.mapping.owner_cvr,
                report=self.report,
                area=self.area,
                dsn_of=self.dsn_of,
                layers={other.name: other for other in self.mapping.layers},
                origins=self.origins,
                kept_ids=kept,
            )

    def _ids(self) -> frozenset[str]:
        """Return the ids of all features that will be written, so that references lead somewhere."""
        layers = tuple(
            replace(layer, rules=tuple(rule for rule in layer.rules if not rule.target))
            for layer in self.mapping.layers
        )
        plain = Selection(replace(self.mapping, layers=layers), self.area, self.dsn_of)
        for _ in plain.batches():
            pass
        return frozenset(plain.origins)


def rows_from_layer(
    layer: Layer,
    owner_cvr: str,
    *,
    report: Report,
    area: shapely.Geometry | None = None,
    dsn_of: DsnOf | None = None,
    layers: Mapping[str, Layer] | None = None,
    origins: dict[str, str] | None = None,
    kept_ids: frozenset[str] | None = None,
) -> Iterator[FeatureBatch]:
    """Yield the rows of a layer that touch `area` as features; memory stays constant.

    Parameters
    ----------
    report
        Where findings go; a row with an error is not among the features.
    area
        In EPSG:25832; ``None`` takes every row.
    dsn_of
        Gives the addresses of databases.
    layers
        All layers of the mapping by name, for references between them.
    origins
        Receives ``gml:id`` -> file, layer and row.
    kept_ids
        Ids that references may name; ``None`` takes all.

    Raises
    ------
    UnreadableFile, InvalidInput, MissingResource
        A source cannot be read.
    """
    known = {layer.name: layer} | dict(layers or {})
    maker = _RowMaker(layer, known, owner_cvr, report, {} if origins is None else origins, kept_ids)
    if area is not None:
        shapely.prepare(area)
    for source in open_sources(layer, dsn_of):
        maker.source = source
        maker.note_accuracy()
        for rows in source.rows(layer.columns, None if area is None else bounds_of(area)):
            for index in _chosen(layer, rows, area):
                maker.add(rows, index)
                if len(maker.rows) >= BATCH_ROWS:
                    yield maker.rows.batch()
    if len(maker.rows):
        yield maker.rows.batch()


def _chosen(layer: Layer, rows: SourceRows, area: shapely.Geometry | None) -> list[int]:
    """Return the rows that pass the filter and touch the area; those without geometry when all are taken."""
    touching = np.ones(len(rows.names), bool) if area is None else shapely.intersects(area, rows.geometry)
    for column, admitted in layer.where.items():
        passes = [("" if v is None else as_text(v)) in admitted for v in rows.columns[column]]
        touching = touching & np.array(passes, bool)
    return [int(index) for index in np.flatnonzero(touching)]


class _RowMaker:
    """Makes features of the rows of one layer."""

    source: Source

    def __init__(
        self,
        layer: Layer,
        layers: Mapping[str, Layer],
        owner_cvr: str,
        report: Report,
        origins: dict[str, str],
        kept_ids: frozenset[str] | None,
    ) -> None:
        self.rows = FeatureRows(owner_cvr)
        self._layer, self._layers, self._report = layer, layers, report
        self._origins, self._kept = origins, kept_ids
        self._row = ""
        self._id: str | None = None
        self._position: tuple[float, float] | None = None
        self._faulty = False

    # -- findings

    def _tell(
        self,
        code: str,
        severity: Severity,
        text: str,
        da: str,
        column: str = "",
        expected: str = "",
        found: str = "",
        hint: str = "",
        hint_da: str = "",
    ) -> None:
        self._faulty = self._faulty or severity is Severity.ERROR
        where = f"{self.source.name}, row {self._row}" + (f", column {column}" if column else "")
        where_da = where.replace(", layer ", ", lag ").replace(", table ", ", tabel ")
        where_da = where_da.replace(", row ", ", række ").replace(", column ", ", kolonne ")
        self._report.add(
            Finding(
                code,
                severity,
                f"{where}: {text}",
                f"{where_da}: {da}",
                feature_id=self._id,
                path=f"{self._layer.name}/{column}" if column else self._layer.name,
                position=self._position,
                expected=expected[:200],
                found=found[:200],
                hint=hint,
                hint_da=hint_da,
            )
        )

    def note_accuracy(self) -> None:
        """Warn when moving the coordinates costs more than a metre."""
        crs = self.source.crs
        if crs.accuracy_m is not None:
            self._row, self._id, self._position = "*", None, None
            self._tell(
                "MAP-CRS-ACCURACY",
                Severity.WARNING,
                f"moving coordinates from {crs.name} costs {crs.accuracy_m:g} m.",
                f"omregning af koordinater fra {crs.name} koster {crs.accuracy_m:g} m.",
            )

    # -- one row

    def add(self, rows: SourceRows, index: int) -> None:
        """Add the features of one row, or findings that say why not."""
        geometry = rows.geometry[index]
        values = {name: column[index] for name, column in rows.columns.items()}
        self._row, self._id, self._position, self._faulty = rows.names[index], None, None, False
        self._report.features += 1
        if not self._has_place(geometry):
            return
        self._id = self._identifier(values, geometry)
        if self._id is None:
            return
        properties = self._properties(values)
        parts = self._parts(geometry)
        for number, part in enumerate(parts, 1):
            heights = self._heights(part, values, properties)
            if not self._faulty:
                self._write(
                    self._id if len(parts) == 1 else f"{self._id}.{number}", properties, part, heights
                )

    def _write(
        self, gml_id: str, properties: Mapping[str, Any], part: shapely.Geometry, heights: NDArray[np.float64]
    ) -> None:
        origin = f"{self.source.name}, row {self._row}"
        if gml_id in self._origins:
            self._tell(
                "MAP-DUPLICATE-ID",
                Severity.ERROR,
                f"the id is used already by {self._origins[gml_id]}.",
                f"id'et bruges allerede af {self._origins[gml_id]}.",
                self._layer.id_column,
                expected="an id of its own",
                found=gml_id,
            )
            return
        try:
            self.rows.add(self._layer.entry.name, gml_id, properties, shapely.force_2d(part), heights)
        except GeoinfraError as error:
            self._tell(
                "MAP-GEOMETRY",
                Severity.ERROR,
                error.message,
                f"geometrien kan ikke bruges som {self._layer.entry.name}.",
                expected=self._layer.entry.geometry.geometry if self._layer.entry.geometry else "",
                found=type(part).__name__,
            )
            return
        self._origins[gml_id] = origin

    def _has_place(self, geometry: shapely.Geometry | None) -> bool:
        if geometry is None or shapely.is_empty(geometry):
            self._tell(
                "MAP-NO-GEOMETRY",
                Severity.ERROR,
                "the row has no geometry; no dig area will ever meet it.",
                "rækken har ingen geometri; intet graveområde vil nogensinde ramme den.",
                expected="a geometry",
                found="none",
            )
            return False
        east, north = (float(n) for n in shapely.get_coordinates(geometry)[0])
        if not np.isfinite(shapely.get_coordinates(geometry)).all():
            self._tell(
                "MAP-GEOMETRY",
                Severity.ERROR,
                "a coordinate is no number where EPSG:25832 is defined.",
                "en koordinat er ikke et tal, hvor EPSG:25832 er defineret.",
                expected="finite coordinates",
                found=f"{east} {north}",
            )
            return False
        self._position = (round(east, 2), round(north, 2))
        return True

    def _identifier(self, values: Mapping[str, Any], geometry: shapely.Geometry) -> str | None:
        """Return the row's id; ``None`` with a finding when there is none, or the row stands there twice."""
        column = self._layer.id_column
        if column:
            if values[column] is None or not as_text(values[column]):
                self._tell(
                    "MAP-VALUE",
                    Severity.ERROR,
                    "the row has no id.",
                    "rækken har intet id.",
                    column,
                    expected="an id",
                    found="no value",
                )
                return None
            return self._layer.gml_id(values[column])
        content = (
            shapely.to_wkb(shapely.force_2d(geometry), byte_order=1) + repr(sorted(values.items())).encode()
        )
        gml_id = f"{self._layer.name}.{hashlib.sha256(content).hexdigest()[:24]}"
        if gml_id in self._origins or f"{gml_id}.1" in self._origins:
            self._tell(
                "MAP-DUPLICATE-ROW",
                Severity.WARNING,
                f"the row equals {self._origins.get(gml_id, 'another')} and was taken once.",
                "rækken er lig en anden og er taget med én gang.",
            )
            return None
        return gml_id

    def _properties(self, values: Mapping[str, Any]) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        for rule in self._layer.rules:
            raw = values[rule.column] if rule.column else None
            try:
                value = rule.value_of(raw, lambda name, one: self._layers[name].gml_id(one))
            except Unfit as unfit:
                self._unfit(rule, unfit)
                continue
            value = self._led_somewhere(rule, value) if rule.target else value
            if value is not None:
                properties[rule.attribute.name] = value
            elif rule.attribute.min:
                self._unfit(rule, Unfit(f"a value (a {self._layer.entry.name} needs it)", "no value"))
        return properties

    def _unfit(self, rule: AttributeRule, unfit: Unfit) -> None:
        name = rule.attribute.name
        self._tell(
            "MAP-VALUE",
            Severity.ERROR,
            f"the value cannot become {name}: expected {unfit.expected}, found {unfit.found}.",
            f"værdien kan ikke blive til {name}: forventet {unfit.expected}, fundet {unfit.found}.",
            rule.column,
            expected=unfit.expected,
            found=unfit.found,
            hint="Mend the row, or list the value in the mapping (values, unknown, default).",
            hint_da="Ret rækken, eller skriv værdien i afbildningen (values, unknown, default).",
        )

    def _led_somewhere(self, rule: AttributeRule, value: Any) -> Any:
        """Leave out references to what is not among the features."""
        if value is None or self._kept is None:
            return value
        several = value if isinstance(value, list) else [value]
        kept = [one for one in several if one.get("nil") or one["href"][1:] in self._kept]
        if len(kept) < len(several):
            self._tell(
                "MAP-REFERENCE",
                Severity.INFO,
                f"{rule.attribute.name} names what is not in the answer; it was left out.",
                f"{rule.attribute.name} peger på noget, der ikke er i svaret; det er udeladt.",
                rule.column,
                found=str(next(o["href"] for o in several if o not in kept)),
            )
        if not kept:
            return None
        return kept if rule.attribute.repeated else kept[0]

    def _parts(self, geometry: shapely.Geometry) -> list[shapely.Geometry]:
        """Return the geometry as the class takes it: a line of several parts becomes several features."""
        wanted = self._layer.entry.geometry
        if wanted is None or wanted.geometry != "Curve" or not isinstance(geometry, shapely.MultiLineString):
            return [geometry]
        parts = list(shapely.get_parts(geometry))
        if len(parts) > 1:
            self._tell(
                "MAP-SPLIT",
                Severity.INFO,
                f"the line of {len(parts)} parts became as many features.",
                f"linjen i {len(parts)} dele er blevet til lige så mange objekter.",
            )
        return parts

    # -- heights

    def _heights(
        self, part: shapely.Geometry, values: Mapping[str, Any], properties: Mapping[str, Any]
    ) -> NDArray[np.float64]:
        """Return the heights of the top, NaN where they are not known."""
        rule = self._layer.heights
        z = shapely.get_coordinates(part, include_z=True)[:, 2].copy()
        if rule is None:
            return np.full(len(z), np.nan)
        if rule.column:
            z[:] = self._height_of(rule.column, values)
        for number in (*rule.unknown, _UNKNOWN_HEIGHT):
            z[z == number] = np.nan
        z[~np.isfinite(z)] = np.nan
        z = z * rule.scale.factor + self._above(rule, properties)
        known = z[~np.isnan(z)]
        if known.size and (known.min() < _HEIGHTS_M[0] or known.max() > _HEIGHTS_M[1]):
            worst = known[np.abs(known).argmax()]
            self._tell(
                "MAP-HEIGHT",
                Severity.ERROR,
                "a height cannot be one of Denmark in DVR90 metres.",
                "en kote kan ikke være en dansk kote i DVR90-meter.",
                rule.column,
                expected=f"{_HEIGHTS_M[0]:g} to {_HEIGHTS_M[1]:g} m",
                found=f"{worst:g} m",
            )
        elif known.size and not known.any() and rule.at == "top":
            self._tell(
                "MAP-HEIGHT",
                Severity.WARNING,
                "all heights are 0; add 0 to 'unknown' if that means that they are not known.",
                "alle koter er 0; skriv 0 i 'unknown', hvis det betyder, at de ikke kendes.",
                rule.column,
            )
        return z

    def _height_of(self, column: str, values: Mapping[str, Any]) -> float:
        raw = values[column]
        if raw is None or as_text(raw) == "":
            return np.nan
        try:
            return as_number(raw)
        except Unfit as unfit:
            self._tell(
                "MAP-HEIGHT",
                Severity.ERROR,
                f"the height is not a number: found {unfit.found}.",
                f"koten er ikke et tal: fundet {unfit.found}.",
                column,
                expected=unfit.expected,
                found=unfit.found,
            )
            return np.nan

    def _above(self, rule: Heights, properties: Mapping[str, Any]) -> float:
        """Return how far the top lies above what was measured, in metres; NaN when that is not known."""
        if rule.at == "top":
            return 0.0
        share = 0.5 if rule.at == "centre" else 1.0
        for name in ("udvendigDiameter", "udvendigHoejde"):
            measure = properties.get(name)
            if isinstance(measure, dict) and isfinite(measure.get("value", np.nan)):
                return share * float(measure["value"]) / 1000.0
        self._tell(
            "MAP-HEIGHT",
            Severity.WARNING,
            f"the height of the top is not known: the {rule.at} was measured, and the diameter is not known.",
            f"overkantens kote kendes ikke: {rule.at} er målt, og diameteren kendes ikke.",
            rule.column,
        )
        return np.nan
