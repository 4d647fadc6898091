"""Lines that lie in a trace or another line and have no geometry of their own.

LER lets such a line omit its geometry. A dig area would never touch it, and a package would leave it out:
a cable in a duct would be unknown to the excavator. So it is stored with the geometry of what contains it,
marked ``container`` in the column ``geometry_source``; its LER element stays as it was delivered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from geoinfra.tables import FeatureBatch

__all__ = ["with_container_geometry"]

_MARK = '"indeholdtLedning"'
type _Place = tuple[bytes | None, bytes | None]
type _Key = tuple[str, str]  # owner, gml:id


def with_container_geometry(batches: Iterable[FeatureBatch]) -> Iterator[FeatureBatch]:
    """Pass batches on; contained lines without geometry come last, with their container's geometry.

    Containers are followed through several levels. A line without geometry that nothing contains stays
    without, in its place at the end.

    Parameters
    ----------
    batches
        Rows of ``utility-features`` of one or many owners; references stay within an owner.
    """
    places: dict[_Key, _Place] = {}
    content: dict[_Key, list[_Key]] = {}
    held: list[FeatureBatch] = []
    for batch in batches:
        _note_containers(batch, places, content)
        bare = [i for i, kind in enumerate(batch.columns["kind"]) if _is_bare_line(batch, i, kind)]
        if not bare:
            yield batch
            continue
        held.append(batch.take(bare))
        rest = sorted(set(range(len(batch))) - set(bare))
        if rest:
            yield batch.take(rest)
    _spread(places, content)
    for batch in held:
        yield _placed(batch, places)


def _is_bare_line(batch: FeatureBatch, row: int, kind: str) -> bool:
    return batch.geometry[row] is None and kind == "line"


def _note_containers(
    batch: FeatureBatch, places: dict[_Key, _Place], content: dict[_Key, list[_Key]]
) -> None:
    """Remember the geometry of each container, and what it contains."""
    for row, text in enumerate(batch.columns["properties"]):
        if _MARK not in text:
            continue
        references = orjson.loads(text).get("indeholdtLedning") or []
        cvr = batch.columns["owner_cvr"][row]
        targets = [(cvr, r["href"][1:]) for r in references if isinstance(r, dict) and r.get("href")]
        own = (cvr, batch.columns["gml_id"][row])
        content[own] = targets
        if batch.geometry[row] is not None:
            heights = batch.heights_m[row] if batch.heights_m is not None else None
            places[own] = (batch.geometry[row], heights)


def _spread(places: dict[_Key, _Place], content: dict[_Key, list[_Key]]) -> None:
    """Hand each container's geometry down to what it contains, level by level; the first container wins."""
    waiting = list(places)
    for own in waiting:
        for target in content.get(own, ()):
            if target not in places:
                places[target] = places[own]
                waiting.append(target)


def _placed(batch: FeatureBatch, places: dict[_Key, _Place]) -> FeatureBatch:
    for row, own in enumerate(zip(batch.columns["owner_cvr"], batch.columns["gml_id"], strict=True)):
        wkb, heights = places.get(own, (None, None))
        if wkb is None:
            continue
        batch.geometry[row] = wkb
        batch.columns["geometry_source"][row] = "container"
        if batch.heights_m is not None:
            batch.heights_m[row] = heights
    return batch
