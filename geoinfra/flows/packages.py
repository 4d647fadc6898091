"""Make the utility-line package of an enquiry, from stored answers alone, through the filer's own access."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import sqlalchemy as sa

from geoinfra.errors import NotFound
from geoinfra.flows import attachments, package_files, signing
from geoinfra.flows.differences import manifest_differences, package_manifest
from geoinfra.flows.enquiries import Answer, Enquiry
from geoinfra.flows.enquiry_records import PACKAGES, UTILITY_DATASET, ler_request
from geoinfra.flows.package_jobs import has_its_turn
from geoinfra.flows.package_manifest import Known, contact_of, known, manifest_of, page_facts
from geoinfra.flows.plans import stored_background
from geoinfra.flows.projects import whole
from geoinfra.storage import Store, outbox, schema
from geoinfra.storage.blobs import Blob
from geoinfra.storage.jobs import JobContext, LeaseLost, NotYet
from geoinfra.storage.organisations import area_polygons
from geoinfra.storage.records import Transaction, new_id, now
from geoinfra.tables import FeatureBatch, FeatureQuery
from geoinfra.utilities.dangers import dangers
from geoinfra.utilities.differences import Differences
from geoinfra.utilities.formats import package, request
from geoinfra.utilities.model import UTILITY_FEATURES
from geoinfra.utilities.precautions import evaluate
from geoinfra.utilities.sandbox import bare_number, marked_name, sandbox_mark
from geoinfra.utilities.signatures import SigningKey

__all__ = ["build_package"]

_ALL_COLUMNS = (*(column.name for column in UTILITY_FEATURES.public_columns), "gml")


def build_package(store: Store, context: JobContext) -> Mapping[str, Any] | None:
    """Write the package of ``payload["number"]`` and record it together with the job's end.

    The rows come through the grants of the enquiry: what no owner answered cannot be in it. Of a project it
    is one package, in which a line that crosses from part to part is once. Each attempt has a file of its
    own, of which the record names one: a worker that has lost its job to another changes nothing. Packages
    of one enquiry follow each other.
    """
    number, sequence = context.payload["number"], context.payload["sequence"]
    with store.read() as connection:
        if not has_its_turn(connection, number, sequence):
            raise NotYet
    filed, rows = _answers_and_rows(store, context, number)
    key = signing.signing_key(store)
    name = f"{_folder(number)}/{sequence}-{new_id()}.zip"
    with store.blobs.writing(name) as path:
        manifest = _write_zip(store, path, filed, sequence, rows, key, context.progress)
    try:
        _record(store, context, store.blobs.stat(name), manifest, key)
    except LeaseLost:
        store.blobs.delete(name)
        raise
    return None


def _folder(number: str) -> str:
    return f"{PACKAGES}/{number.lower()}"


def _record(
    store: Store, context: JobContext, blob: Blob, manifest: Mapping[str, Any], key: SigningKey
) -> None:
    """Record a package together with the end of its job."""
    number, sequence = context.payload["number"], context.payload["sequence"]
    told = {"number": number, "sequence": sequence}
    with store.begin() as tx:
        context.finish(tx, {**told, "features": manifest["features"], **_described(blob)})
        tx.execute(
            sa.insert(schema.packages).values(
                enquiry=number,
                sequence=sequence,
                blob=blob.name,
                sha256=blob.sha256,
                size_bytes=blob.size_bytes,
                features=manifest["features"],
                manifest=json.dumps(manifest, ensure_ascii=False),
                created_at=now(),
                complete=manifest["complete"],
                key_id=key.key_id,
            )
        )
        outbox.emit(tx, "package.ready", number, told)
        _sweep(store, tx, number)
        tx.commit()


def _sweep(store: Store, tx: Transaction, number: str) -> None:
    """Remove the files of attempts that were cut off: nobody but the caller makes one now."""
    made = schema.packages.c
    recorded = set(tx.connection.scalars(sa.select(made.blob).where(made.enquiry == number)))
    for name in store.blobs.names(_folder(number)):
        if name not in recorded:
            store.blobs.delete(name)


def _described(blob: Blob) -> dict[str, Any]:
    return {"sha256": blob.sha256, "size_bytes": blob.size_bytes}


def _answers_and_rows(
    store: Store, context: JobContext, number: str
) -> tuple[Enquiry, dict[str, list[FeatureBatch]]]:
    """Return an enquiry with what its answers give; read again when an answer changed meanwhile."""
    filed = whole(store, context.access, number)
    while True:
        rows = _rows_by_owner(store, context, filed)
        before, filed = filed, whole(store, context.access, number)
        if _given(before) == _given(filed):
            return filed, rows
        context.progress(0.0, "an answer has changed")  # ends here when somebody else took the job over


def _given(filed: Enquiry) -> list[tuple[str, int, str, str | None]]:
    return [(one.owner_cvr, one.version, one.status, one.delivery_id) for one in filed.stored_answers]


def _rows_by_owner(store: Store, context: JobContext, filed: Enquiry) -> dict[str, list[FeatureBatch]]:
    view = store.view(context.access, UTILITY_DATASET, enquiry=filed.numbers)
    rows: dict[str, list[FeatureBatch]] = defaultdict(list)
    if not view.sources:  # nobody has answered with data
        return rows
    for batch in view.read(FeatureQuery(columns=_ALL_COLUMNS)):
        rows[batch.source].append(batch)
    for owner, batches in attachments.linked(store, filed, rows).items():
        rows[owner] += batches
    return dict(sorted(rows.items()))


def _numbers(
    store: Store, filed: Enquiry, batches: Sequence[FeatureBatch]
) -> list[Sequence[str] | None] | None:
    """Return the interest area of each row where its owner has several: the smallest number it touches."""
    several = {a.owner_cvr: sorted(a.interest_areas) for a in filed.answers if len(a.interest_areas) > 1}
    if not several:
        return None
    with store.read() as connection:
        areas = area_polygons(connection, [number for numbers in several.values() for number in numbers])
    return [
        _touched(batch, several[batch.source], areas) if batch.source in several else None
        for batch in batches
    ]


def _touched(batch: FeatureBatch, numbers: Sequence[int], areas: Mapping[int, shapely.Geometry]) -> list[str]:
    shapes = shapely.from_wkb(np.array(batch.geometry, dtype=object))
    chosen = np.full(len(batch), numbers[0])
    for number in reversed(numbers):
        if number in areas:
            chosen[shapely.intersects(areas[number], shapes)] = number
    return [str(number) for number in chosen.tolist()]


def _write_zip(
    store: Store,
    path: Path,
    filed: Enquiry,
    sequence: int,
    rows: Mapping[str, Sequence[FeatureBatch]],
    key: SigningKey,
    progress: Callable[[float, str], None],
) -> dict[str, Any]:
    facts = known(store, filed)
    kept = attachments.in_package(store, filed, rows)
    folders = {owner: attachments.folder_of(owner) for owner in kept}
    batches = [batch for owned in rows.values() for batch in owned]
    asked = filed.request
    precautions = evaluate(asked.methods, facts.depth_m, asked.polygon, batches)
    changes = _changes(store, filed, sequence)
    contents = package_files.Contents(
        _enquiry_info(filed, facts.sandbox),
        [_package_owner(answer, facts, folders.get(answer.owner_cvr, "")) for answer in filed.answers],
        batches,
        _numbers(store, filed, batches),
        _dig_request(filed, facts.sandbox),
        [file for owned in kept.values() for file in owned],
        page_facts(filed, facts, sequence, precautions, changes),
        cache(partial(stored_background, store, asked.polygon)),
    )
    features = {owner: sum(map(len, owned)) for owner, owned in rows.items()}
    attached = {owner: {file.name: file.path for file in owned} for owner, owned in kept.items()}
    found = dangers(asked.polygon, batches)
    return package_files.write_package(
        path,
        contents,
        asked.formats,
        lambda members: manifest_of(
            filed, facts, sequence, features, precautions, found, changes, attached, members
        ),
        progress,
        key=key,
        texts=lambda: {} if changes is None else {"changes.json": _changes_text(filed, sequence, changes)},
    )


def _changes(store: Store, filed: Enquiry, sequence: int) -> Differences | None:
    """Return what is otherwise than in the package before, ``None`` where there is none."""
    try:
        before = package_manifest(store, filed.number, sequence - 1)
    except NotFound:  # the first, or the one before could not be made
        return None
    present = [
        {
            "cvr": answer.owner_cvr,
            "name": answer.owner_name,
            "status": str(answer.status),
            "version": answer.version,
            "features": answer.features,
            "delivery": answer.delivery_id,
        }
        for answer in filed.answers
    ]
    return manifest_differences(store, filed, before, {"owners": present})


def _changes_text(filed: Enquiry, sequence: int, changes: Differences) -> str:
    document = {"number": filed.number, "from": sequence - 1, "to": sequence, **changes.to_json()}
    return json.dumps(document, ensure_ascii=False, indent=1)


def _enquiry_info(filed: Enquiry, sandbox: bool) -> package.EnquiryInfo:
    asked = filed.request
    return package.EnquiryInfo(
        number=filed.number,
        polygon=shapely.to_wkb(asked.polygon),
        period_from=asked.period_from,
        period_to=asked.period_to,
        methods=asked.methods,
        methods_other=asked.methods_other,
        description=_description(asked.description, sandbox),
        created_at=datetime.fromisoformat(filed.filed_at),
    )


def _description(text: str, sandbox: bool, most: int | None = None) -> str:
    return sandbox_mark(text, most) if sandbox else text[:most]


def _dig_request(filed: Enquiry, sandbox: bool) -> request.DigRequest:
    asked = filed.request
    return ler_request(asked, _description(asked.description, sandbox, 100), bare_number(filed.number))


def _package_owner(answer: Answer, facts: Known, folder: str) -> package.PackageOwner:
    expected = answer.header.get("expected_at")
    return package.PackageOwner(
        cvr=answer.owner_cvr,
        name=marked_name(answer.owner_name) if facts.sandbox else answer.owner_name,
        indberetnings_no=tuple(map(str, answer.interest_areas)),
        status=answer.status.danish,
        valid_to=answer.valid_to,
        supplementary_info=answer.header.get("supplementary_info"),
        expected_at=datetime.fromisoformat(expected) if expected else None,
        contact=contact_of(answer),
        folder_name=folder,
    )
