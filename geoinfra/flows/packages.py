"""Make the utility-line package of an enquiry, from stored answers alone, through the filer's own access."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import sqlalchemy as sa

from geoinfra.flows import attachments, package_files
from geoinfra.flows.enquiries import UTILITY_DATASET, Answer, Enquiry, enquiry
from geoinfra.storage import Store, outbox, schema
from geoinfra.storage.blobs import Blob
from geoinfra.storage.jobs import JobContext
from geoinfra.storage.organisations import area_polygons
from geoinfra.storage.records import now
from geoinfra.tables import FeatureBatch, FeatureQuery
from geoinfra.utilities.formats import package, request
from geoinfra.utilities.model import UTILITY_FEATURES, Contact

__all__ = ["build_package"]

_GML_COLUMNS = ("gml_id", "feature_class", "owner_cvr", "gml")
_ALL_COLUMNS = (*(column.name for column in UTILITY_FEATURES.public_columns), "gml")


def build_package(store: Store, context: JobContext) -> Mapping[str, Any] | None:
    """Write the package of ``payload["number"]`` and record it together with the job's end.

    The rows come through the grants of the enquiry: what no owner answered cannot be in it. Running it again
    after a crash writes the same blob name anew; the record appears once.
    """
    number, sequence = context.payload["number"], context.payload["sequence"]
    filed = enquiry(store, context.access, number)
    rows = _rows_by_owner(store, context, filed)
    name = f"packages/{number}/{sequence}.zip"
    with store.blobs.writing(name) as path:
        manifest = _write_zip(store, path, filed, rows, context.progress)
    blob = store.blobs.stat(name)
    features = sum(len(batch) for batches in rows.values() for batch in batches)
    with store.begin() as tx:
        tx.execute(
            sa.insert(schema.packages).values(
                enquiry=number,
                sequence=sequence,
                blob=blob.name,
                sha256=blob.sha256,
                size_bytes=blob.size_bytes,
                features=features,
                manifest=json.dumps(manifest, ensure_ascii=False),
                created_at=now(),
            )
        )
        outbox.emit(tx, "package.ready", number, {"number": number, "sequence": sequence})
        result = {"number": number, "sequence": sequence, "features": features, **_described(blob)}
        context.finish(tx, result)
        tx.commit()
    return None


def _described(blob: Blob) -> dict[str, Any]:
    return {"sha256": blob.sha256, "size_bytes": blob.size_bytes}


def _rows_by_owner(store: Store, context: JobContext, filed: Enquiry) -> dict[str, list[FeatureBatch]]:
    """Read the rows; GML alone is joined from ready fragments, and needs no geometry and few columns."""
    view = store.view(context.access, UTILITY_DATASET, enquiry=filed.number)
    rows: dict[str, list[FeatureBatch]] = defaultdict(list)
    if not view.sources:  # nobody has answered with data
        return rows
    for query in _queries(filed, view.sources):
        for batch in view.read(query):
            rows[batch.source].append(batch)
    for owner, batches in attachments.linked(store, filed, rows).items():
        rows[owner] += batches
    return dict(sorted(rows.items()))


def _queries(filed: Enquiry, sources: Sequence[str]) -> list[FeatureQuery]:
    """Return what is read; geometry also of owners with several interest areas, to tell which it lies in."""
    if filed.request.formats != ("gml",):
        return [FeatureQuery(columns=_ALL_COLUMNS)]
    several = {answer.owner_cvr for answer in filed.answers if len(answer.interest_areas) > 1}
    if not several & set(sources):
        return [FeatureQuery(columns=_GML_COLUMNS, geometry=False)]
    parted = [(sorted(set(sources) - several), False), (sorted(several & set(sources)), True)]
    return [
        FeatureQuery(columns=_GML_COLUMNS, geometry=geometry, equal={"owner_cvr": owners})
        for owners, geometry in parted
        if owners
    ]


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
    rows: Mapping[str, Sequence[FeatureBatch]],
    progress: Callable[[float, str], None],
) -> dict[str, Any]:
    kept = attachments.in_package(store, filed, rows)
    folders = {owner: attachments.folder_of(owner) for owner in kept}
    batches = [batch for owned in rows.values() for batch in owned]
    contents = package_files.Contents(
        _enquiry_info(filed),
        [_package_owner(answer, folders.get(answer.owner_cvr, "")) for answer in filed.answers],
        batches,
        _numbers(store, filed, batches),
        _dig_request(filed),
        [file for owned in kept.values() for file in owned],
    )
    return package_files.write_package(
        path,
        contents,
        filed.request.formats,
        lambda members: _manifest(filed, rows, members),
        progress,
    )


def _manifest(
    filed: Enquiry, rows: Mapping[str, Sequence[FeatureBatch]], members: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what the package holds, for whom, and what is missing from it."""
    document = filed.to_json()
    return {
        "format": "geoinfra utility-line package 1",
        "number": filed.number,
        "filed_at": filed.filed_at,
        "valid_to": document["valid_to"],
        "area_m2": document["area_m2"],
        "features": sum(len(batch) for batches in rows.values() for batch in batches),
        "complete": all(answer.status.final for answer in filed.answers),
        "missing": [a.owner_cvr for a in filed.answers if not a.status.final],
        "owners": document["owners"],
        "files": list(members),
    }


def _enquiry_info(filed: Enquiry) -> package.EnquiryInfo:
    asked = filed.request
    return package.EnquiryInfo(
        number=filed.number,
        polygon=shapely.to_wkb(asked.polygon),
        period_from=asked.period_from,
        period_to=asked.period_to,
        methods=asked.methods,
        methods_other=asked.methods_other,
        description=asked.description,
        created_at=datetime.fromisoformat(filed.filed_at),
    )


def _dig_request(filed: Enquiry) -> request.DigRequest:
    asked = filed.request
    return request.DigRequest(
        polygon=shapely.to_wkb(asked.polygon),
        period_from=asked.period_from,
        period_to=asked.period_to,
        methods=asked.methods,
        description=asked.description[:100] or "-",
        methods_other=asked.methods_other[:50],
        own_number=filed.number,
        contact_email=asked.contact.email[:50],
    )


def _package_owner(answer: Answer, folder: str) -> package.PackageOwner:
    contact = answer.header.get("contact")
    expected = answer.header.get("expected_at")
    return package.PackageOwner(
        cvr=answer.owner_cvr,
        name=answer.owner_name,
        indberetnings_no=tuple(map(str, answer.interest_areas)),
        status=answer.status.danish,
        valid_to=answer.valid_to,
        supplementary_info=answer.header.get("supplementary_info"),
        expected_at=datetime.fromisoformat(expected) if expected else None,
        contact=Contact(**contact) if contact else None,
        folder_name=folder,
    )
