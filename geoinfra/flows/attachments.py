"""Attachments of utility features: kept when a delivery or an answer is taken in, and put into packages.

A feature refers (``bilag``) to an ``Informationsressource``, which names a file of the owner's zip (``sti``).
Each named file is a blob; the delivery's record says which. A package holds the information resources that
its features refer to, and their files in the owner's folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import PurePosixPath
from typing import Any
from unicodedata import normalize
from xml.sax.saxutils import unescape

import orjson
import sqlalchemy as sa

from geoinfra.flows.enquiries import Enquiry
from geoinfra.flows.package_files import Attachment
from geoinfra.storage import Store, schema
from geoinfra.tables import FeatureBatch, FeatureQuery
from geoinfra.utilities.formats.intake import is_safe_name
from geoinfra.utilities.formats.ler import Answer

__all__ = ["Named", "folder_of", "in_package", "keep", "linked"]

_RESOURCE = "Informationsressource"
_REFERENCE = re.compile(rb'<ler:bilag xlink:href="#c[0-9]{8}\.([^"<>&]{1,200})"/>')
_PATH = re.compile(rb"<ler:sti>([^<>]{1,1000})</ler:sti>")
_AT_ONCE = 500


class Named:
    """Notes the files that features name while batches pass by."""

    def __init__(self) -> None:
        self.paths: dict[str, None] = {}

    def watch(self, batches: Iterator[FeatureBatch]) -> Iterator[FeatureBatch]:
        """Pass the batches on."""
        for batch in batches:
            for row, name in enumerate(batch.columns["feature_class"]):
                if name == _RESOURCE:
                    path = orjson.loads(batch.columns["properties"][row]).get("sti")
                    if isinstance(path, str):
                        self.paths[path] = None
            yield batch


def keep(store: Store, delivery_id: str, answer: Answer, named: Named) -> dict[str, Any]:
    """Store the files that came with an answer and are named in it; return what the delivery's record says.

    The record has no such member where the answer holds no information resource.

    Raises
    ------
    UnreadableFile
        One is larger than the bound, or damaged.
    """
    kept: dict[str, Any] = {}
    for position, path in enumerate(named.paths):
        name = _member(answer, path)
        if name is None or not is_safe_name(path):
            continue
        blob = store.blobs.put(f"attachments/{delivery_id.lower()}/{position}", answer.attachment(name))
        kept[path] = {"blob": blob.name, "sha256": blob.sha256, "size_bytes": blob.size_bytes}
    return {"attachments": kept} if named.paths else {}


def _member(answer: Answer, path: str) -> str | None:
    """Return the file called `path`; in a package it lies in the owner's folder."""
    if path in answer.attachments:
        return path
    return next((name for name in answer.attachments if name.endswith(f"/{path}")), None)


def folder_of(owner_cvr: str) -> str:
    """Return the folder of an owner's attachments in a package."""
    return owner_cvr


def linked(
    store: Store, filed: Enquiry, rows: Mapping[str, Sequence[FeatureBatch]]
) -> dict[str, list[FeatureBatch]]:
    """Return the information resources that the rows refer to and that are not among them.

    They mostly have no place of their own, so that no dig area touches them. Whoever sees the feature may see
    what it refers to: they are read from the delivery of the same answer.
    """
    found: dict[str, list[FeatureBatch]] = {}
    records = _records(store, [delivery for _, delivery in _deliveries(filed)])
    for owner, delivery in _deliveries(filed):
        owned = [*rows.get(owner, ()), *found.get(owner, ())]
        if delivery not in records or not owned:
            continue
        wanted = _referred(owned)
        if not wanted:
            continue
        view = store.delivery(delivery)
        columns, geometry = tuple(owned[0].columns), any(owned[0].geometry)
        ids = [f"{owner}.{name}" for name in wanted]
        batches: list[FeatureBatch] = []
        for start in range(0, len(ids), _AT_ONCE):
            query = FeatureQuery(
                columns=columns,
                geometry=geometry,
                equal={"feature_id": ids[start : start + _AT_ONCE], "feature_class": [_RESOURCE]},
            )
            batches += view.read(query)
        for batch in batches:
            batch.source = owner
        found.setdefault(owner, []).extend(batches)
    return found


def _deliveries(filed: Enquiry) -> list[tuple[str, str]]:
    """Return owner and delivery of every answer, the newest delivery first: it counts where two differ."""
    pairs = {(one.owner_cvr, one.delivery_id) for one in filed.stored_answers if one.delivery_id}
    return sorted(pairs, key=lambda pair: pair[1], reverse=True)


def _referred(batches: Sequence[FeatureBatch]) -> list[str]:
    """Return the ids that features refer to as ``bilag`` and that are not among the rows."""
    wanted: dict[str, None] = {}
    held: set[str] = set()
    for batch in batches:
        for element in batch.columns["gml"]:
            if b"<ler:bilag " in element:
                wanted.update(dict.fromkeys(one.decode() for one in _REFERENCE.findall(element)))
    if wanted:
        for batch in batches:
            held.update(batch.columns["gml_id"])
    return [name for name in wanted if name not in held]


def in_package(
    store: Store, filed: Enquiry, rows: Mapping[str, Sequence[FeatureBatch]]
) -> dict[str, list[Attachment]]:
    """Return, for each owner, the files that his features in the package name."""
    named = {owner: paths for owner, owned in rows.items() if (paths := _paths(owned))}
    if not named:
        return {}
    pairs = [(owner, delivery) for owner, delivery in _deliveries(filed) if owner in named]
    records = _records(store, [delivery for _, delivery in pairs])
    found: dict[str, list[Attachment]] = {}
    for owner, paths in named.items():
        kept: dict[str, Any] = {}
        for _, delivery in reversed([pair for pair in pairs if pair[0] == owner]):
            kept |= records.get(delivery, {})
        names = _names(folder_of(owner), [path for path in paths if path in kept])
        files = [Attachment(name, _opener(store, kept[path]["blob"]), path) for path, name in names.items()]
        if files:
            found[owner] = files
    return found


def _names(folder: str, paths: Sequence[str]) -> dict[str, str]:
    """Return path -> name in the package; names stay apart also where case or accents make no difference."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for path in paths:
        name, place = f"{folder}/{path}", PurePosixPath(path)
        for number in count(2):
            seen = normalize("NFKC", name).casefold()
            if seen not in taken:
                break
            name = f"{folder}/{place.with_name(f'{place.stem}~{number}{place.suffix}')}"
        taken.add(seen)
        names[path] = name
    return names


def _opener(store: Store, blob: str) -> Callable[[], Any]:
    return partial(store.blobs.open, blob)


def _paths(batches: Sequence[FeatureBatch]) -> list[str]:
    paths: dict[str, None] = {}
    for batch in batches:
        for row, name in enumerate(batch.columns["feature_class"]):
            if name == _RESOURCE:
                match = _PATH.search(batch.columns["gml"][row])
                if match:
                    paths[unescape(match[1].decode())] = None
    return list(paths)


def _records(store: Store, delivery_ids: Sequence[str]) -> dict[str, Any]:
    """Return what the records of deliveries say of attachments, of those that hold information resources."""
    table = schema.deliveries
    with store.read() as connection:
        rows = connection.execute(
            sa.select(table.c.delivery_id, table.c.details).where(table.c.delivery_id.in_(delivery_ids))
        )
        details = {row.delivery_id: json.loads(row.details) for row in rows}
    return {name: known["attachments"] for name, known in details.items() if "attachments" in known}
