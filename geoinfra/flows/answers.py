"""An owner answers one enquiry by himself: a LER answer for this dig area only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import shapely
import sqlalchemy as sa

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict
from geoinfra.flows import attachments
from geoinfra.flows.deliveries import header_document, refusing
from geoinfra.flows.enquiries import Answer, Enquiry, answer_row, enqueue_package, enquiry, grant_row
from geoinfra.storage import Store, deliveries, outbox, schema
from geoinfra.storage.deliveries import StagedDelivery
from geoinfra.storage.records import Transaction, timestamp
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.check.rules import BusinessRules
from geoinfra.utilities.enquiry import AnswerStatus, EnquiryState
from geoinfra.utilities.formats import ler
from geoinfra.utilities.model import UTILITY_FEATURES

__all__ = ["store_answer"]

_OPEN = tuple(str(status) for status in AnswerStatus if not status.final)


class _Touching:
    """Counts the features that touch the dig area while batches pass by."""

    def __init__(self, polygon: shapely.Polygon) -> None:
        self.features = 0
        self._polygon = polygon
        shapely.prepare(polygon)

    def watch(self, batches: Iterator[FeatureBatch]) -> Iterator[FeatureBatch]:
        for batch in batches:
            shapes = shapely.from_wkb([wkb for wkb in batch.geometry if wkb is not None])
            self.features += int(shapely.intersects(self._polygon, shapes).sum())
            yield batch


def store_answer(store: Store, access: Access, number: str, source: Path | BinaryIO) -> Enquiry:
    """Check and store an owner's own answer to one enquiry; a new package follows.

    The rows are kept for this enquiry only and do not become the owner's published version.

    Raises
    ------
    NotAllowed
        `access` is not an owner.
    NotFound
        The enquiry does not exist or does not concern this owner.
    Conflict
        It is answered already, or has expired.
    UnreadableFile, DataRefused
        The answer cannot be used. Nothing was stored.
    """
    access.require(Role.OWNER)
    owner = access.require_organisation()
    asked = enquiry(store, access, number)
    earlier = next(answer for answer in asked.answers if answer.owner_cvr == owner)
    if earlier.status.final:
        raise _answered(number)
    if asked.state is EnquiryState.EXPIRED:
        raise Conflict(f"The enquiry {number} has expired.", hint="The excavator must file it again.")
    read = ler.read_answer(source, owner_cvr=owner, rules=BusinessRules)
    counted, named = _Touching(asked.request.polygon), attachments.Named()
    staged = store.stage(UTILITY_FEATURES, owner, counted.watch(refusing(read, named)))
    kept = attachments.keep(store, staged.delivery_id, read, named)
    status = AnswerStatus.of_response(str(read.header.response_type), counted.features)
    answer = Answer(
        owner,
        earlier.owner_name,
        earlier.interest_areas,
        status,
        staged.delivery_id if status.carries_data else None,
        counted.features,
        read.header.valid_to,
        timestamp(datetime.now(UTC)),
        header_document(read.header),
    )
    with store.begin() as tx:
        _record(tx, access, asked, answer, staged, kept)
        tx.commit()
    return enquiry(store, access, number)


def _answered(number: str) -> Conflict:
    return Conflict(
        f"The enquiry {number} is answered already.", hint="An answer is stored once; nothing was changed."
    )


def _record(
    tx: Transaction,
    access: Access,
    asked: Enquiry,
    answer: Answer,
    staged: StagedDelivery,
    kept: dict[str, Any],
) -> None:
    """Write the answer, its rows, the grant, the event and the job of the next package, all or nothing."""
    table, number = schema.answers, asked.number
    deliveries.attach(
        tx, staged, access, answer.valid_to, {"header": answer.header, "enquiry": number, **kept}
    )
    row = answer_row(number, answer)
    changed = tx.execute(
        sa.update(table)
        .where(table.c.enquiry == number, table.c.owner_cvr == answer.owner_cvr, table.c.status.in_(_OPEN))
        .values({name: row[name] for name in row if name not in ("enquiry", "owner_cvr")})
    )
    if changed.rowcount != 1:
        raise _answered(number)
    if answer.delivery_id:
        polygon, now = shapely.to_wkb(asked.request.polygon), datetime.now(UTC)
        grant = grant_row(number, asked.organisation, answer, polygon, now, asked.valid_to)
        tx.execute(sa.insert(schema.grants).values(grant))
    outbox.emit(tx, "answer.stored", number, {"owner_cvr": answer.owner_cvr, "status": str(answer.status)})
    filer = tx.connection.scalar(
        sa.select(schema.enquiries.c.principal).where(schema.enquiries.c.number == number)
    )
    enqueue_package(tx, number, Access(str(filer), asked.organisation))
