"""Old enquiries are forgotten by rule: first whom they name and what was handed out, at last the enquiry.

Three years after its dig period an enquiry loses the filer's contact and own words, its packages, and what
owners sent for it alone; ten years after it, or at once where it was never to be shown, area and answers go
too (``standards/utilities/law/denmark.json``, *retention*). Its number, days, size and fee stay, and so does
the audit log. Each night one job looks for what is due and asks for the job of the next night before it
begins. Each enquiry is one transaction; what a crash interrupts is done again the next time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import shapely
import sqlalchemy as sa

from geoinfra.flows.enquiry_records import AREA_ANSWERS, PACKAGES, load_enquiry, request_row
from geoinfra.flows.nightly import FORGET_ENQUIRIES, NIGHT_WATCH, wait_for_night
from geoinfra.flows.package_jobs import lock_enquiry
from geoinfra.storage import Store, schema
from geoinfra.storage.jobs import JobContext
from geoinfra.storage.records import Transaction, now
from geoinfra.utilities.enquiry import EnquiryContact, EnquiryRequest
from geoinfra.utilities.filing import ANONYMOUS, anonymised, filing_of, retention
from geoinfra.utilities.legal_clock import DENMARK, law

__all__ = ["Forgotten", "forget_enquiries", "forget_old_enquiries"]

_AT_ONCE = 200
_LEAP_DAYS = 4
_NOBODY = json.dumps(EnquiryContact(ANONYMOUS).to_json())
_NOWHERE = shapely.to_wkb(shapely.Polygon())


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was forgotten: numbers of enquiries without persons now, and of those erased."""

    anonymised: tuple[str, ...]
    erased: tuple[str, ...]

    def to_json(self) -> dict[str, list[str]]:
        """Return it JSON-ready."""
        return {"anonymised": [*self.anonymised], "erased": [*self.erased]}


def forget_enquiries(store: Store, context: JobContext) -> dict[str, int]:
    """Forget what is due tonight; return how much it was."""
    wait_for_night(store, FORGET_ENQUIRIES)
    done = forget_old_enquiries(store, progress=lambda number: context.progress(0.0, number))
    return {"anonymised": len(done.anonymised), "erased": len(done.erased)}


def forget_old_enquiries(
    store: Store,
    *,
    today: date | None = None,
    dry_run: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Forgotten:
    """Forget all enquiries that are due.

    Parameters
    ----------
    today
        Danish day that decides; now when not given.
    dry_run
        Say what is due and change nothing.
    progress
        Called with each number before it is done.
    """
    day = today or datetime.now(DENMARK).date()
    nameless: list[str] = []
    erased: list[str] = []
    for number in _candidates(store, day):
        with store.read() as connection:
            filed = load_enquiry(connection, number)
        rule = retention(filing_of(filed.request, number, datetime.fromisoformat(filed.filed_at)))
        gone = rule.erased_on(day)
        if not gone and (not rule.anonymous_on(day) or filed.request.contact.name == ANONYMOUS):
            continue
        (erased if gone else nameless).append(number)
        if not dry_run:
            if progress:
                progress(number)
            _forget(store, number, filed.request, erase=gone)
    if (nameless or erased) and not dry_run:
        store.sweep()
    return Forgotten(tuple(nameless), tuple(erased))


def _candidates(store: Store, day: date) -> Iterator[str]:
    """Give the numbers of enquiries that may be due, oldest first; few that are not are among them."""
    table, rules = schema.enquiries.c, law()["retention"]
    named, shown = (
        (day - timedelta(days=365 * int(rules[name]) - _LEAP_DAYS)).isoformat()
        for name in ("personal_years", "public_display_years")
    )
    due = sa.or_(table.period_to < shown, sa.and_(table.period_to < named, table.contact != _NOBODY))
    last = ""
    while True:
        with store.read() as connection:
            found = connection.scalars(
                sa.select(table.number)
                .where(due, table.erased_at.is_(None), table.number > last)
                .order_by(table.number)
                .limit(_AT_ONCE)
            ).all()
        yield from found
        if len(found) < _AT_ONCE:
            return
        last = found[-1]


def _forget(store: Store, number: str, request: EnquiryRequest, *, erase: bool) -> None:
    """Take out of one enquiry what may not be kept: files first, so that no file is without its record."""
    made = schema.packages
    with store.read() as connection:
        blobs = connection.scalars(sa.select(made.c.blob).where(made.c.enquiry == number)).all()
    for blob in blobs:
        store.blobs.delete(blob)
    for folder in (PACKAGES, AREA_ANSWERS):
        store.blobs.delete_folder(f"{folder}/{number.lower()}")
    values = {**request_row(anonymised(request)), "request_key": None}
    if erase:
        values |= {"polygon": _NOWHERE, "area_m2": request.area_m2, "erased_at": now()}
    with store.begin() as tx:
        lock_enquiry(tx, number)
        ours = schema.enquiries.c.number == number
        tx.execute(sa.update(schema.enquiries).where(ours).values(**values))
        tx.execute(sa.update(made).where(made.c.enquiry == number).values(manifest="{}"))
        tx.execute(sa.delete(schema.grants).where(schema.grants.c.enquiry == number))
        _forget_answers(tx, number, erase=erase)
        store.audit.record(tx, "enquiry.erased" if erase else "enquiry.anonymised", NIGHT_WATCH, number, {})
        tx.commit()


def _forget_answers(tx: Transaction, number: str, *, erase: bool) -> None:
    """Remove what owners sent for this enquiry alone, and whom they named; when erasing, all answers."""
    tables = (schema.answers, schema.answer_versions)
    sent: set[Any] = set()
    for table in tables:
        ours = table.c.enquiry == number
        sent |= set(tx.connection.scalars(sa.select(table.c.delivery_id).where(ours)))
        if erase:
            tx.execute(sa.delete(table).where(ours))
        else:
            tx.execute(sa.update(table).where(ours).values(delivery_id=None, header="{}"))
    once = schema.deliveries.c.published.is_(sa.false())
    ids = sorted(one for one in sent if one)
    tx.execute(sa.delete(schema.deliveries).where(schema.deliveries.c.delivery_id.in_(ids), once))
