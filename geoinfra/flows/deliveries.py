"""Take in data: an owner's LER delivery, or a file that becomes an open layer.

Both go the same way: the file is read as a stream, checked, staged whole, and then one records transaction
makes it the published version. A file with an error in it changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy as sa

from geoinfra.access import Access, Role, Visibility
from geoinfra.errors import DataRefused, NotAllowed, NotFound, Report
from geoinfra.flows import attachments
from geoinfra.flows.layers import read_layer
from geoinfra.storage import Store, collections, deliveries, schema
from geoinfra.storage.records import Transaction
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.check import explained
from geoinfra.utilities.check.rules import BusinessRules
from geoinfra.utilities.containment import with_container_geometry
from geoinfra.utilities.formats import ler
from geoinfra.utilities.model import UTILITY_FEATURES, AnswerHeader

__all__ = [
    "Delivered",
    "DeliveryRecord",
    "DeliveryState",
    "deliver",
    "discard_reviewed",
    "header_document",
    "list_deliveries",
    "publish_dataset",
    "publish_file",
    "publish_reviewed",
    "refusing",
    "report_counts",
]

Progress = Callable[[int], None]

_REVIEW = "review"
_WAITS = schema.deliveries.c.details.like(f'%"{_REVIEW}": true%')


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery that was published, or that waits for its owner's review.

    Attributes
    ----------
    features
        Rows stored.
    report
        Warnings and remarks; it holds no error, or the delivery would have been refused.
    published
        Whether enquiries are answered from it.
    """

    delivery_id: str
    source: str
    features: int
    report: Report
    published: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the outcome, JSON-ready."""
        return {
            "delivery_id": self.delivery_id,
            "source": self.source,
            "features": self.features,
            "published": self.published,
            "report": self.report.to_json(),
        }


def deliver(
    store: Store,
    access: Access,
    source: Path | BinaryIO,
    owner_cvr: str,
    *,
    review: bool = False,
    progress: Progress | None = None,
) -> Delivered:
    """Check and publish an owner's LER delivery: a ``Graveforespoergselssvar`` (GML or zip) or a package.

    Expired validity and pointing-out types are noted in the report and do not refuse the delivery.

    Parameters
    ----------
    review
        Do not publish it: it waits until the owner publishes or discards it
        (:func:`publish_reviewed`, :func:`discard_reviewed`).

    Raises
    ------
    NotAllowed
        `access` is not the owner `owner_cvr`.
    NotFound
        The owner is not registered.
    UnreadableFile
        The file is no LER document, or passes a safety bound.
    DataRefused
        The report holds errors. Nothing was stored.
    """
    _require_own(access, owner_cvr)
    _require_owner(store, owner_cvr)
    answer = ler.read_answer(source, owner_cvr=owner_cvr, rules=BusinessRules)
    named = attachments.Named()
    staged = store.stage(UTILITY_FEATURES, owner_cvr, refusing(answer, named), progress=progress)
    kept = attachments.keep(store, staged.delivery_id, answer, named)
    header, record = answer.header, deliveries.attach if review else deliveries.publish
    with store.begin() as tx:
        record(
            tx,
            staged,
            access,
            valid_to=header.valid_to,
            details={
                "header": header_document(header),
                "report": report_counts(answer.report),
                **({_REVIEW: True} if review else {}),
                **kept,
            },
        )
        tx.commit()
    return Delivered(staged.delivery_id, owner_cvr, staged.rows, explained(answer.report), not review)


def _require_own(access: Access, owner_cvr: str) -> None:
    access.require(Role.OWNER)
    if access.require_organisation() != owner_cvr:
        raise NotAllowed("An owner delivers his own lines only.", hint=f"Use a token of {owner_cvr}.")


# --- Deliveries on record


class DeliveryState(StrEnum):
    """Where a delivery of an owner's lines stands."""

    REVIEW = "review"
    CURRENT = "current"
    EARLIER = "earlier"


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery of an owner's lines as it is on record.

    Attributes
    ----------
    report
        Counts of its check, see :func:`report_counts`; empty for one made before they were kept.
    """

    delivery_id: str
    source: str
    state: DeliveryState
    features: int
    created_at: str
    valid_to: str | None
    response_type: str
    report: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the record, JSON-ready."""
        return {**asdict(self), "state": str(self.state), "report": dict(self.report)}


def list_deliveries(store: Store, access: Access, *, limit: int = 50) -> list[DeliveryRecord]:
    """Return an owner's own deliveries, newest first; answers to single enquiries are not among them.

    Raises
    ------
    NotAllowed
        `access` is not an owner.
    """
    access.require(Role.OWNER)
    owner, table = access.require_organisation(), schema.deliveries
    query = sa.select(table).where(table.c.dataset == UTILITY_FEATURES.name, table.c.source == owner)
    shown = query.where(sa.or_(table.c.published, _WAITS)).order_by(table.c.delivery_id.desc())
    with store.read() as connection:
        newest = _current_of(connection, owner)
        return [_delivery_record(row, newest) for row in connection.execute(shown.limit(limit))]


def _current_of(connection: sa.Connection, owner_cvr: str) -> str | None:
    pointer = schema.current_deliveries.c
    query = sa.select(pointer.delivery_id).where(
        pointer.dataset == UTILITY_FEATURES.name, pointer.source == owner_cvr
    )
    return connection.scalar(query)


def _delivery_record(row: sa.Row[Any], current: str | None) -> DeliveryRecord:
    details = json.loads(row.details)
    state = DeliveryState.CURRENT if row.delivery_id == current else DeliveryState.EARLIER
    return DeliveryRecord(
        row.delivery_id,
        row.source,
        state if row.published else DeliveryState.REVIEW,
        row.rows,
        row.created_at,
        row.valid_to,
        details["header"]["response_type"],
        details.get("report", {}),
    )


def publish_reviewed(store: Store, access: Access, delivery_id: str) -> DeliveryRecord:
    """Publish a delivery that waited for its owner's review.

    Raises
    ------
    NotAllowed
        `access` is not an owner.
    NotFound
        No delivery of his with this identifier waits.
    Conflict
        A newer delivery was published meanwhile.
    """
    with store.begin() as tx:
        _require_waiting(tx, access, delivery_id)
        deliveries.publish_attached(tx, delivery_id)
        store.audit.record(tx, "delivery.published", access, delivery_id, {"reviewed": True})
        tx.commit()
    with store.read() as connection:
        query = sa.select(schema.deliveries).where(schema.deliveries.c.delivery_id == delivery_id)
        newest = _current_of(connection, access.require_organisation())
        return _delivery_record(connection.execute(query).one(), newest)


def discard_reviewed(store: Store, access: Access, delivery_id: str) -> None:
    """Forget a delivery that waited for its owner's review.

    Raises
    ------
    NotAllowed, NotFound
        As in :func:`publish_reviewed`.
    """
    with store.begin() as tx:
        _require_waiting(tx, access, delivery_id)
        deliveries.discard_attached(tx, delivery_id)
        store.audit.record(tx, "delivery.discarded", access, delivery_id, {})
        tx.commit()


def _require_waiting(tx: Transaction, access: Access, delivery_id: str) -> None:
    """Raise unless the delivery is the caller's own and waits; an answer to one enquiry does not."""
    access.require(Role.OWNER)
    table = schema.deliveries
    own = table.c.source == access.require_organisation(), table.c.dataset == UTILITY_FEATURES.name
    waiting = table.c.delivery_id == delivery_id, table.c.published.is_(False), *own
    details = None
    if delivery_id.isalnum():
        details = tx.connection.scalar(sa.select(table.c.details).where(*waiting).with_for_update())
    if details is None or json.loads(details).get(_REVIEW) is not True:
        raise NotFound("No such delivery of yours waits for a review.")


def refusing(answer: ler.Answer, named: attachments.Named) -> Iterator[FeatureBatch]:
    """Pass the batches on; end with an error, which undoes the staging, when the report holds errors."""
    yield from with_container_geometry(named.watch(answer.batches()))
    if not answer.report.ok:
        raise DataRefused(
            f"The delivery holds {answer.report.errors} error(s); nothing was stored.",
            explained(answer.report),
            hint="Mend what the report names and deliver again.",
        )


def _require_owner(store: Store, cvr: str) -> None:
    with store.read() as connection:
        known = connection.scalar(
            sa.select(schema.organisations.c.cvr).where(schema.organisations.c.cvr == cvr)
        )
    if known is None:
        raise NotFound(
            f"No owner is registered under CVR {cvr}.", hint="Register it: geoinfra owner add CVR NAME."
        )


def header_document(header: AnswerHeader) -> dict[str, Any]:
    """Return what is kept of an answer's header beside its rows."""
    return {
        "answer_id": header.answer_id,
        "response_type": str(header.response_type),
        "supplementary_info": header.supplementary_info,
        "expected_at": header.expected_at.isoformat() if header.expected_at else None,
        "model_version": header.model_version,
        "contact": asdict(header.contact) if header.contact else None,
    }


def report_counts(report: Report) -> dict[str, Any]:
    """Return what is kept of a check: how many features, errors and warnings, and findings of each code."""
    counts: dict[str, int] = {}
    for (_, code), count in report.counts.items():
        counts[code] = counts.get(code, 0) + count
    return {
        "features": report.features,
        "errors": report.errors,
        "warnings": report.warnings,
        "counts": dict(sorted(counts.items())),
    }


def publish_file(
    store: Store,
    access: Access,
    path: Path,
    entry: dict[str, Any],
    *,
    layer: str | None = None,
    progress: Progress | None = None,
) -> Delivered:
    """Publish a vector file as an open collection; any format that GDAL reads.

    Parameters
    ----------
    entry
        The collection's catalogue entry; ``id`` at least. ``dataset`` defaults to the id.
    layer
        Name of the layer in a file of several.

    Raises
    ------
    NotAllowed
        `access` is not an administrator.
    UnreadableFile
        GDAL cannot read the file, it has no geometry, or no CRS.
    InvalidInput
        The entry is not a valid collection.
    """
    document = {"dataset": entry.get("id"), "visibility": str(Visibility.OPEN), **entry}
    collection = collections.Collection.from_json(document)

    def add_entry(tx: Transaction) -> None:
        collections.add_collection(tx, document)

    return publish_dataset(
        store, access, path, collection.dataset, layer=layer, progress=progress, together=add_entry
    )


def publish_dataset(
    store: Store,
    access: Access,
    path: Path,
    dataset: str,
    *,
    layer: str | None = None,
    progress: Progress | None = None,
    together: Callable[[Transaction], None] | None = None,
) -> Delivered:
    """Publish a vector file as the present content of an open dataset whose collection exists.

    Parameters
    ----------
    together
        Further changes that belong into the same transaction.

    Raises
    ------
    NotAllowed, UnreadableFile
        As in :func:`publish_file`.
    """
    access.require(Role.ADMIN)
    described, batches = read_layer(path, layer=layer, dataset=dataset)
    report = Report()
    staged = store.stage(described, "operator", _counted(batches, report), progress=progress)
    with store.begin() as tx:
        deliveries.publish(tx, staged, access, details={"file": path.name})
        if together:
            together(tx)
        tx.commit()
    return Delivered(staged.delivery_id, "operator", staged.rows, report)


def _counted(batches: Iterator[FeatureBatch], report: Report) -> Iterator[FeatureBatch]:
    for batch in batches:
        report.features += len(batch)
        yield batch
