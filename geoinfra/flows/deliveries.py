"""Take in data: an owner's LER delivery, or a file that becomes an open layer.

Both go the same way: the file is read as a stream, checked, staged whole, and then one records transaction
makes it the published version. A file with an error in it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
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
    "deliver",
    "header_document",
    "publish_dataset",
    "publish_file",
    "refusing",
    "report_counts",
]

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery that was published.

    Attributes
    ----------
    features
        Rows stored.
    report
        Warnings and remarks; it holds no error, or the delivery would have been refused.
    """

    delivery_id: str
    source: str
    features: int
    report: Report

    def to_json(self) -> dict[str, Any]:
        """Return the outcome, JSON-ready."""
        return {
            "delivery_id": self.delivery_id,
            "source": self.source,
            "features": self.features,
            "report": self.report.to_json(),
        }


def deliver(
    store: Store,
    access: Access,
    source: Path | BinaryIO,
    owner_cvr: str,
    *,
    progress: Progress | None = None,
) -> Delivered:
    """Check and publish an owner's LER delivery: a ``Graveforespoergselssvar`` (GML or zip) or a package.

    Expired validity and pointing-out types are noted in the report and do not refuse the delivery.

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
    access.require(Role.OWNER)
    if access.require_organisation() != owner_cvr:
        raise NotAllowed("An owner delivers his own lines only.", hint=f"Use a token of {owner_cvr}.")
    _require_owner(store, owner_cvr)
    answer = ler.read_answer(source, owner_cvr=owner_cvr, rules=BusinessRules)
    named = attachments.Named()
    staged = store.stage(UTILITY_FEATURES, owner_cvr, refusing(answer, named), progress=progress)
    kept = attachments.keep(store, staged.delivery_id, answer, named)
    header = answer.header
    with store.begin() as tx:
        deliveries.publish(
            tx,
            staged,
            access,
            valid_to=header.valid_to,
            details={"header": header_document(header), "report": report_counts(answer.report), **kept},
        )
        tx.commit()
    return Delivered(staged.delivery_id, owner_cvr, staged.rows, answer.report)


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
