"""Every answer that an owner gave to an enquiry, numbered 1, 2, 3 ...; the newest is the one that counts.

A version is written in the transaction of its answer and never changed: the first answer, that a case was
taken out for manual handling and the answer after it, and each correction with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from geoinfra.storage import schema
from geoinfra.storage.records import Transaction
from geoinfra.utilities.enquiry import AnswerStatus

__all__ = ["AnswerVersion", "add_version", "keep_unversioned", "load_versions", "write_first_versions"]

_KEPT = ("status", "delivery_id", "features", "valid_to", "header")


@dataclass(frozen=True, slots=True)
class AnswerVersion:
    """One answer as it was given.

    Attributes
    ----------
    at
        When, UTC text.
    reason
        Why it was corrected; empty for what is no correction.
    report
        Counts of its check: features, errors, warnings and findings of each code; empty for a hosted owner,
        whose delivery was checked when it came.
    """

    owner_cvr: str
    version: int
    status: AnswerStatus
    delivery_id: str | None
    features: int | None
    valid_to: date | None
    at: str
    principal: str
    reason: str
    report: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the version as the HTTP interface shows it; the delivery and who sent it are not told."""
        return {
            "cvr": self.owner_cvr,
            "version": self.version,
            "status": str(self.status),
            "status_da": self.status.danish,
            "features": self.features,
            "valid_to": self.valid_to.isoformat() if self.valid_to else None,
            "at": self.at,
            "reason": self.reason,
            "report": dict(self.report),
        }


def write_first_versions(tx: Transaction, number: str, principal: str) -> None:
    """Write version 1 of every answer of an enquiry that was answered when it was filed."""
    _copy_answers(tx, principal, schema.answers.c.enquiry == number)


def add_version(
    tx: Transaction, number: str, owner_cvr: str, principal: str, reason: str, report: Mapping[str, Any]
) -> int:
    """Write the next version from the answer's row, which holds it already, and return its number.

    ``answers.version`` is set to it. The caller holds the enquiry's lock.
    """
    table, answers = schema.answer_versions, schema.answers
    ours = table.c.enquiry == number, table.c.owner_cvr == owner_cvr
    known = tx.connection.scalar(sa.select(sa.func.max(table.c.version)).where(*ours)) or 0
    row_is = answers.c.enquiry == number, answers.c.owner_cvr == owner_cvr
    row = tx.connection.execute(sa.select(answers).where(*row_is)).one()
    values = {name: row._mapping[name] for name in _KEPT}
    tx.execute(
        sa.insert(table).values(
            enquiry=number,
            owner_cvr=owner_cvr,
            version=known + 1,
            **values,
            at=row.answered_at,
            principal=principal,
            reason=reason,
            report=json.dumps(report),
        )
    )
    tx.execute(sa.update(answers).where(*row_is).values(version=known + 1))
    return known + 1


def keep_unversioned(tx: Transaction, number: str, owner_cvr: str) -> None:
    """Write an answer that was stored before versions were kept as version 1, unless it is there."""
    answers, table = schema.answers.c, schema.answer_versions
    ours = table.c.enquiry == number, table.c.owner_cvr == owner_cvr
    if tx.connection.scalar(sa.select(table.c.version).where(*ours).limit(1)) is None:
        _copy_answers(tx, "system:upgrade", answers.enquiry == number, answers.owner_cvr == owner_cvr)


def _copy_answers(tx: Transaction, principal: str, *conditions: sa.ColumnElement[bool]) -> None:
    answers, table = schema.answers.c, schema.answer_versions
    kept = [answers[name] for name in _KEPT]
    rows = sa.select(
        answers.enquiry,
        answers.owner_cvr,
        sa.literal(1),
        *kept,
        answers.answered_at,
        sa.literal(principal),
        sa.literal(""),
        sa.literal("{}"),
    ).where(answers.answered_at.is_not(None), *conditions)
    names = ["enquiry", "owner_cvr", "version", *_KEPT, "at", "principal", "reason", "report"]
    tx.execute(sa.insert(table).from_select(names, rows))


def load_versions(connection: sa.Connection, number: str, owner_cvr: str | None) -> list[AnswerVersion]:
    """Return the versions of all owners' answers to an enquiry, or of one owner's; oldest first."""
    table = schema.answer_versions
    query = sa.select(table).where(table.c.enquiry == number).order_by(table.c.owner_cvr, table.c.version)
    if owner_cvr is not None:
        query = query.where(table.c.owner_cvr == owner_cvr)
    return [
        AnswerVersion(
            row.owner_cvr,
            row.version,
            AnswerStatus(row.status),
            row.delivery_id,
            row.features,
            date.fromisoformat(row.valid_to) if row.valid_to else None,
            row.at,
            row.principal,
            row.reason,
            json.loads(row.report),
        )
        for row in connection.execute(query)
    ]
