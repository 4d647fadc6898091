"""What changed between two packages of one enquiry, or between two files of utility lines.

A package's manifest names the delivery behind each owner's answer, and deliveries never change: only owners
whose delivery is another one are read and compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import shapely
import sqlalchemy as sa

from geoinfra.access import Access
from geoinfra.errors import InvalidInput, NotFound
from geoinfra.flows.enquiries import Enquiry
from geoinfra.flows.enquiry_records import require_in_force
from geoinfra.flows.projects import whole
from geoinfra.storage import Store, schema
from geoinfra.tables import FeatureBatch, FeatureQuery
from geoinfra.utilities.containment import with_container_geometry
from geoinfra.utilities.differences import Differences, Standing, differences
from geoinfra.utilities.formats import format_of
from geoinfra.utilities.formats.document import open_document

__all__ = ["file_differences", "manifest_differences", "package_differences", "package_manifest"]

_COLUMNS = ("feature_class", "kind", "supply", "hazard", "owner_cvr", "properties")


def package_differences(store: Store, access: Access, number: str, first: int, second: int) -> Differences:
    """Return what package `second` of an enquiry has otherwise than package `first`.

    Raises
    ------
    NotFound
        There is no such enquiry or package, or it is not the caller's.
    Conflict
        The enquiry has expired: its lines are given out no more.
    """
    filed = whole(store, access, number)
    if access.organisation is None or filed.organisation != access.organisation:
        raise NotFound("There is no such package.", hint="Check the number, and whose token you use.")
    require_in_force(filed)
    before, after = (package_manifest(store, filed.number, sequence) for sequence in (first, second))
    return manifest_differences(store, filed, before, after)


def package_manifest(store: Store, number: str, sequence: int) -> dict[str, Any]:
    """Return the manifest of a package. The caller has checked the right to know."""
    table = schema.packages
    with store.read() as connection:
        text = connection.scalar(
            sa.select(table.c.manifest).where(table.c.enquiry == number, table.c.sequence == sequence)
        )
    if text is None:
        raise NotFound(f"The enquiry {number} has no package {sequence}.", hint="Packages are 1, 2, 3 ...")
    manifest: dict[str, Any] = json.loads(text)
    return manifest


def manifest_differences(
    store: Store, filed: Enquiry, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Differences:
    """Return what differs between two packages of one enquiry, told from their manifests."""
    old, new = ({owner["cvr"]: owner for owner in manifest["owners"]} for manifest in (before, after))
    standings, same = [], 0
    read: tuple[list[str], list[str]] = ([], [])
    for cvr in sorted({**old, **new}):
        one, other = old.get(cvr, {}), new.get(cvr, {})
        if standing := _standing(cvr, one, other):
            standings.append(standing)
        deliveries = one.get("delivery"), other.get("delivery")
        if deliveries[0] == deliveries[1]:
            same += one.get("features") or 0
            continue
        for delivery_id, wanted in zip(deliveries, read, strict=True):
            if delivery_id:
                wanted.append(delivery_id)
    rows = (_rows(store, filed, wanted) for wanted in read)
    return differences(*rows, unchanged=same, owners=standings)


def _standing(cvr: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Standing | None:
    versions = before.get("version"), after.get("version")
    statuses = before.get("status"), after.get("status")
    if statuses[0] == statuses[1] and versions[0] == versions[1]:
        return None
    name = str(after.get("name") or before.get("name") or cvr)
    return Standing(cvr, name, *statuses, *versions)


def _rows(store: Store, filed: Enquiry, delivery_ids: list[str]) -> Iterator[FeatureBatch]:
    polygon = shapely.to_wkb(filed.request.polygon)
    for delivery_id in delivery_ids:
        yield from store.delivery(delivery_id).read(FeatureQuery(columns=_COLUMNS, polygon=polygon))


def file_differences(before: Path, after: Path, *, owner_cvr: str | None = None) -> Differences:
    """Return what the second file has otherwise than the first; both are read tolerantly.

    Parameters
    ----------
    before, after
        LER answers or packages (GML, zip or a package's folder), or tables that were made of them.
    owner_cvr
        Only this owner, and the owner of what names none.

    Raises
    ------
    UnreadableFile, InvalidInput
        One of them holds no utility lines, or is not safe to read.
    """
    with ExitStack() as stack:
        rows = [with_container_geometry(_file_rows(stack, path, owner_cvr)) for path in (before, after)]
        return differences(*rows)


def _file_rows(stack: ExitStack, source: Path, owner_cvr: str | None) -> Iterator[FeatureBatch]:
    table = None if source.is_dir() else format_of(source)
    if table is not None:
        return table.read(source, owner_cvr=owner_cvr)
    document = open_document(
        source if source.is_dir() else stack.enter_context(source.open("rb")), owner_cvr=owner_cvr
    )
    if document.kind not in ("answer", "package"):
        raise InvalidInput(f"{source.name} is a {document.kind} and holds no utility lines.")
    return document.batches(elements=False)
