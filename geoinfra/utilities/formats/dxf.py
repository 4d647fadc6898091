"""DXF (R2010) for CAD and machine control: layers by owner, supply, status and trust in height.

Metres in EPSG:25832, heights in DVR90 of the top of a line. Nothing of LER is lost: every attribute is in
the extended data of its entity (:mod:`~geoinfra.utilities.formats.dxf_attributes`), or in an extension record
where it is more than extended data may hold. ``docs/reference/dxf.md`` describes layers and line types.

ezdxf makes the header, tables and objects of the document. The entities are written as text batch by batch,
and wait in a spool until all layers are known: memory does not grow with the number of drawn features.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

import numpy as np
import orjson

from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.formats.dxf_attributes import attribute_strings, fact
from geoinfra.utilities.formats.dxf_entities import EntityWriter, Look, extended_data
from geoinfra.utilities.formats.dxf_sheet import Sheet, drawing_rules, subject_of
from geoinfra.utilities.formats.ler_write import opened_for_writing
from geoinfra.utilities.heights import HeightSource, TerrainSampler, VertexHeights, vertex_heights

__all__ = ["write_dxf"]

_SPOOL_BYTES: Final = 16 * 1024 * 1024
_EXTENDED_BYTES: Final = 12_000
"""Most extended data of an entity (AutoCAD takes 16 kB); more goes to an extension record."""
_FULL_ENTITIES: Final = 16
"""Entities of one feature that carry all its attributes; further ones name the feature only."""
_MAX_WIDTH_M: Final = 50.0
_LAYER_CACHE: Final = 20_000


def write_dxf(
    target: Path | BinaryIO,
    batches: Iterable[FeatureBatch],
    *,
    terrain: TerrainSampler | None = None,
    defaults: bool = False,
    interpolate_gap_m: float = 0.0,
    owners: Mapping[str, str] | None = None,
) -> int:
    """Write utility features as a DXF drawing.

    Parameters
    ----------
    target
        Path, or a binary file open for writing.
    batches
        Rows of ``utility-features``, of one or many owners.
    terrain, defaults, interpolate_gap_m
        Heights beside the registered ones; see :func:`~geoinfra.utilities.heights.vertex_heights`.
    owners
        CVR number -> name, for the descriptions of the layers and the attributes.

    Returns
    -------
    int
        Number of features written; those without geometry are kept as records of the document.

    Raises
    ------
    MissingResource
        ezdxf is not installed.
    InvalidGeometry
        A coordinate is not finite.
    InvalidInput
        Defaults are asked for without a terrain.
    """
    sheet = Sheet(owners or {})
    count = 0
    with _spool() as entities, _spool() as objects:
        drawing = _Drawing(sheet, owners or {}, entities, objects)
        for batch in batches:
            drawing.add(
                batch,
                vertex_heights(
                    batch, terrain=terrain, defaults=defaults, interpolate_gap_m=interpolate_gap_m
                ),
            )
            count += len(batch)
        before, between, end = sheet.finish(drawing.writer.next_handle, drawing.writer.extent)
        with opened_for_writing(target) as file:
            file.write(before)
            _pour(entities, file)
            file.write(between)
            _pour(objects, file)
            file.write(end)
    return count


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(_SPOOL_BYTES)


def _pour(spool: IO[bytes], file: BinaryIO) -> None:
    spool.seek(0)
    shutil.copyfileobj(spool, file, 1024 * 1024)


type _Span = tuple[int, int, int]
"""First vertex, end and dimension of a run."""


@dataclass(slots=True)
class _Feature:
    """One row while it is drawn; `facts` begins with the three strings that name it."""

    feature_class: str
    kind: str
    owner: str
    supply: str | None
    type: str | None
    status: str | None
    weight: str
    text: str
    properties: dict[str, Any]
    facts: list[str]
    entities: int = 0
    extended: str = ""


class _Drawing:
    """Decides what is drawn of each feature, and on which layer."""

    def __init__(
        self, sheet: Sheet, owners: Mapping[str, str], entities: IO[bytes], objects: IO[bytes]
    ) -> None:
        self.writer = EntityWriter(sheet.space, entities, objects)
        self._sheet = sheet
        self._names = {cvr: fact("owner_name", name) for cvr, name in owners.items()}
        self._sources: list[int] = []
        self._layers: dict[tuple[str | None, ...], str] = {}

    def add(self, batch: FeatureBatch, heights: VertexHeights) -> None:
        """Draw the rows of a batch."""
        self.writer.take(heights.xy, heights.heights_m)
        self._sources = heights.sources.tolist()
        starts = heights.run_starts.tolist()
        spans = list(zip(starts[:-1], starts[1:], heights.run_dimensions.tolist(), strict=True))
        cuts = np.searchsorted(heights.run_rows, np.arange(len(batch) + 1)).tolist()
        for row, feature in enumerate(_features(batch)):
            own = spans[cuts[row] : cuts[row + 1]]
            self._say(feature, own)
            if not own:
                self._keep(feature)
            elif feature.kind in _FLAT:
                self._draw_flat(feature, own)
            else:
                self._draw(feature, own)
        self.writer.flush()

    # what the entities of a feature say

    def _say(self, feature: _Feature, spans: Sequence[_Span]) -> None:
        """Add the name of the owner and the provenance of the heights to the facts."""
        name = self._names.get(feature.owner)
        if name:
            feature.facts.append(name)
        if not spans:
            return
        start, end = spans[0][0], spans[-1][1]
        kinds = set(self._sources[start:end])
        feature.facts.append(_SOURCE_FACTS.get(frozenset(kinds)) or _source_fact(kinds))
        if len(kinds) > 1 or (feature.kind in _FLAT and kinds != {0}):
            feature.facts.append("heights_m=" + " ".join(self._spell(i) for i in range(start, end)))

    def _spell(self, vertex: int) -> str:
        """Return a height with the first letter of its source behind it, ``-`` where it is unknown."""
        source = self._sources[vertex]
        return self.writer.z[vertex] + _LABELS[source][0] if source else "-"

    def _keep(self, feature: _Feature) -> None:
        """Keep a feature without geometry as a record of the document."""
        handle = self.writer.handle()
        owner = self._sheet.add_record(f"FEATURE-{handle:X}", f"{handle:X}")
        self.writer.record(handle, owner, _all_strings(feature))

    def _look(self, feature: _Feature, form: str, weight: str = "") -> Look:
        """Return layer and extended data of the next entity that stands for the feature itself."""
        feature.entities += 1
        layer = self._layer(feature, form)
        if feature.entities == 1:
            strings = _all_strings(feature)
            feature.extended = extended_data(strings)
            if len(feature.extended.encode()) > _EXTENDED_BYTES:
                feature.extended = extended_data([*feature.facts[:3], "attributes=first entity"])
                first = extended_data([*feature.facts[:3], "attributes=extension record"])
                return Look(layer, first, self.writer.extension(strings), weight)
        elif feature.entities == _FULL_ENTITIES + 1:
            feature.extended = extended_data([*feature.facts[:3], "attributes=first entity"])
        return Look(layer, feature.extended, "", weight)

    def _side(self, feature: _Feature, form: str, *notes: str) -> Look:
        """Return layer and extended data of an entity beside that of the feature."""
        return Look(self._layer(feature, form), extended_data([*feature.facts[:3], *notes]))

    def _layer(self, feature: _Feature, form: str) -> str:
        key = (feature.owner, feature.feature_class, feature.supply, feature.type, feature.status, form)
        found = self._layers.get(key)
        if found is None:
            if len(self._layers) >= _LAYER_CACHE:
                self._layers.clear()
            make = self._flat_layer if feature.kind in _FLAT else self._supply_layer
            found = self._layers[key] = make(feature, form)
        return found

    def _supply_layer(self, feature: _Feature, form: str) -> str:
        rules = drawing_rules()
        supply = feature.supply if feature.supply in rules["supplies"] else "unknown"
        status = rules["statuses"].get(feature.status or "", rules["statuses"][""])
        subject = _subject(feature)
        return self._sheet.layer(
            f"{subject_of(feature.owner)}_{rules['supplies'][supply]}-{subject}{status['suffix']}_{form}",
            owner=feature.owner,
            colour=rules["colours"][supply],
            linetype="Continuous" if form == "BREDDE" else status["linetype"],
            text="; ".join(
                (rules["names"][supply], feature.type or subject, status["text"], rules["forms"][form])
            ),
            band=form == "BREDDE",
        )

    def _flat_layer(self, feature: _Feature, _form: str) -> str:
        return self._sheet.layer(
            f"{subject_of(feature.owner)}_{_FLAT[feature.kind]}",
            owner=feature.owner,
            colour=int(drawing_rules()["annotation_colour"][1:], 16),
            linetype="Continuous",
            text=_FLAT_TEXTS[feature.kind],
            band=False,
        )

    # what is drawn

    def _draw(self, feature: _Feature, spans: Sequence[_Span]) -> None:
        width_m = _width_m(feature.properties)
        for start, end, dimension in spans:
            if dimension == 0:
                self.writer.point(start, self._look(feature, _FORMS[self._sources[start]]))
            elif dimension == 1:
                self._line(feature, start, end)
                if width_m:
                    look = self._side(feature, "BREDDE", "role=width", f"width_mm={width_m * 1000:.10g}")
                    self.writer.flat(start, end, look, width_m=width_m)
            else:
                self._stretch(feature, start, end - 1, min(self._sources[start:end]), closed=True)

    def _line(self, feature: _Feature, start: int, end: int) -> None:
        """Draw a line: in space where its heights are known, flat where they are not."""
        sources = self._sources[start:end]
        if min(sources) or not max(sources):
            self._stretch(feature, start, end, min(sources))
            return
        for first, last in _stretches(sources):
            lowest = min(sources[first:last]) if sources[first] and sources[first + 1] else 0
            self._stretch(feature, start + first, start + last, lowest)

    def _stretch(self, feature: _Feature, start: int, end: int, lowest: int, *, closed: bool = False) -> None:
        look = self._look(feature, _FORMS[lowest], feature.weight)
        if lowest:
            self.writer.spatial(start, end, look, closed=closed)
        else:
            self.writer.flat(start, end, look, closed=closed)

    def _draw_flat(self, feature: _Feature, spans: Sequence[_Span]) -> None:
        """Draw an annotation or a dimension."""
        rules, writer = drawing_rules(), self.writer
        for start, end, dimension in spans:
            look = self._look(feature, "2D")
            if dimension == 0:
                text = str(feature.properties.get("text", ""))
                writer.text(start, text, rules["text_height_m"], look)
                continue
            writer.flat(start, end, look)
            heads = 2 if feature.kind == "dimension" else _ARROWS.get(feature.type or "", 0)
            if heads:
                writer.arrow(end - 2, end - 1, rules["arrow_m"], self._side(feature, "2D", "role=arrow"))
            if heads == 2:
                writer.arrow(start + 1, start, rules["arrow_m"], self._side(feature, "2D", "role=arrow"))
            if feature.kind == "dimension":
                side = self._side(feature, "2D", "role=dimension text")
                text = _dimension_text(feature.properties)
                writer.text_beside(start, end, text, rules["text_height_m"], side)


_FLAT: Final = {"annotation": "ANNOTATION", "dimension": "MAAL"}
_FLAT_TEXTS: Final = {
    "annotation": "annotationer / annotations",
    "dimension": "målsætninger / dimensions",
}
_ARROWS: Final = {"one directional arrow": 1, "two directional arrow": 2}
_FORMS: Final[dict[int, str]] = {
    HeightSource.NONE: "2D",
    HeightSource.DEFAULT: "3D-STANDARD",
    HeightSource.GUIDING: "3D-BEREGNET",
    HeightSource.INTERPOLATED: "3D-BEREGNET",
    HeightSource.CONTAINER: "3D-BEREGNET",
    HeightSource.REGISTERED: "3D",
}
_LABELS: Final = {int(source): source.label for source in HeightSource}
_WITHOUT_TYPE: Final = {"line": "ledning", "component": "komponent"}
_WIDTHS: Final = ("udvendigDiameter", "udvendigBredde", "bredde")


def _source_fact(kinds: Iterable[int]) -> str:
    return "height_source=" + ",".join(_LABELS[kind] for kind in sorted(kinds, reverse=True))


_SOURCE_FACTS: Final = {frozenset((kind,)): _source_fact((kind,)) for kind in _LABELS}


def _features(batch: FeatureBatch) -> Iterator[_Feature]:
    """Give the rows of a batch."""
    weights = {
        hazard: f"370\n{round(weight * 100)}\n" for hazard, weight in drawing_rules()["weights_mm"].items()
    }
    columns = batch.columns
    names = ("gml_id", "feature_class", "kind", "owner_cvr", "supply", "type", "status", "hazard")
    rows = zip(
        *(columns[name] for name in names), columns["geometry_source"], columns["properties"], strict=True
    )
    for gml_id, feature_class, kind, owner, supply, type_, status, hazard, source, properties in rows:
        facts = [
            fact("gml_id", gml_id),
            _known_fact("feature_class", feature_class),
            _known_fact("owner_cvr", owner),
        ]
        if source != "own":
            facts.append(fact("geometry_source", source or "none"))
        yield _Feature(
            feature_class,
            kind,
            owner,
            supply,
            type_,
            status,
            weights.get(hazard, ""),
            properties,
            orjson.loads(properties),
            facts,
        )


@lru_cache(maxsize=1024)
def _known_fact(name: str, text: str) -> str:
    return fact(name, text)


def _all_strings(feature: _Feature) -> list[str]:
    entry = catalogue().feature_class(feature.feature_class)
    return feature.facts + attribute_strings(entry, feature.text, feature.properties)


def _subject(feature: _Feature) -> str:
    """Return what a layer is called after: the LER type, or the kind of thing where it has none."""
    if feature.kind == "trace":
        return "trace"
    if feature.kind == "information":
        return "bilag"
    subject = (subject_of(feature.type) or "andet") if feature.type else _WITHOUT_TYPE[feature.kind]
    return f"komp-{subject}" if feature.kind == "component" and feature.type else subject


def _width_m(properties: Mapping[str, Any]) -> float:
    """Return the outer diameter or width of a line, or the width of a trace; 0 where none is known."""
    for name in _WIDTHS:
        measure = properties.get(name)
        if isinstance(measure, dict) and measure.get("uom") == "mm":
            width_m = float(measure["value"]) / 1000
            return width_m if 0 < width_m <= _MAX_WIDTH_M else 0.0
    return 0.0


def _stretches(sources: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut a mixed line where segments with both heights known meet others; neighbours share a vertex."""
    known = [bool(a and b) for a, b in pairwise(sources)]
    start = 0
    for i in range(1, len(known) + 1):
        if i == len(known) or known[i] != known[start]:
            yield start, i + 1
            start = i


def _dimension_text(properties: Mapping[str, Any]) -> str:
    measure = properties.get("dimensionalValue")
    if not isinstance(measure, dict) or "value" not in measure:
        return "?"
    return f"{measure['value']:.10g} {measure.get('uom', '')}".strip()
