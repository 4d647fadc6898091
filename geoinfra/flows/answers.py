"""Owners answer enquiries: a first answer, corrections of it, and what they have published since.

An answer is a LER answer document for this dig area only, checked with the schema and the business rules. Its
rows, the state, the grant, the version, the event and the job of the next package are one transaction. An
answer may be corrected while its enquiry is in force; what was given before stays readable as a version.
Enquiries in force keep what was answered: a delivery published later reaches them only when somebody asks for
it (:func:`refresh_answers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import shapely
import sqlalchemy as sa

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, InvalidInput, NotFound, Report
from geoinfra.flows import attachments
from geoinfra.flows.answer_versions import AnswerVersion, add_version, keep_unversioned, load_versions
from geoinfra.flows.deliveries import header_document, refusing, report_counts
from geoinfra.flows.enquiries import (
    Answer,
    Enquiry,
    answer_row,
    enqueue_package,
    enquiry,
    grant_row,
    hosted_answer,
    published_versions,
)
from geoinfra.flows.package_jobs import lock_enquiry
from geoinfra.flows.reminders import due_of, wait_for_next
from geoinfra.storage import Store, deliveries, outbox, schema
from geoinfra.storage.organisations import InterestHit, usable_principal
from geoinfra.storage.records import Transaction, now
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.check import explained
from geoinfra.utilities.check.rules import BusinessRules
from geoinfra.utilities.enquiry import AnswerStatus, EnquiryState
from geoinfra.utilities.formats import ler
from geoinfra.utilities.model import UTILITY_FEATURES

__all__ = [
    "Stored",
    "acknowledge",
    "answer_versions",
    "correct_answer",
    "hand_over",
    "refresh_answers",
    "require_kept",
    "store_answer",
    "take_answer",
    "take_correction",
]

NEWER_DELIVERY = "The owner's newer delivery."
_OPEN = tuple(str(status) for status in AnswerStatus if not status.final or status is AnswerStatus.DIRECT)
_FROM_ANSWER = ("status", "delivery_id", "features", "valid_to", "header", "answered_at")
_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer that was accepted.

    Attributes
    ----------
    enquiry
        As the owner may see it, with the answer.
    report
        Warnings and remarks of the check; it holds no error.
    """

    enquiry: Enquiry
    report: Report


@dataclass(frozen=True, slots=True)
class _Incoming:
    """An answer before it is recorded; `record_rows` registers its delivery in the transaction."""

    answer: Answer
    counts: Mapping[str, Any] = field(default_factory=dict)
    record_rows: Callable[[Transaction], None] = lambda _tx: None


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


# --- Answering


def store_answer(store: Store, access: Access, number: str, source: Path | BinaryIO) -> Enquiry:
    """Check and store an owner's own answer; see :func:`take_answer`, which also gives the report."""
    return take_answer(store, access, number, source).enquiry


def take_answer(store: Store, access: Access, number: str, source: Path | BinaryIO) -> Stored:
    """Check and store an owner's own answer to one enquiry; a new package follows.

    The rows are kept for this enquiry only and do not become the owner's published version. A case that was
    taken out for manual handling, or would be handed over directly, may be answered too.

    Raises
    ------
    NotAllowed
        `access` is not an owner.
    NotFound
        The enquiry does not exist or does not concern this owner.
    Conflict
        It is answered already, or has expired; or the case is taken out after it was handed over.
    UnreadableFile, DataRefused
        The answer cannot be used. Nothing was stored.
    """
    asked, earlier = _own(store, access, number)
    if str(earlier.status) not in _OPEN:
        raise _answered(number)
    _require_in_force(asked)
    incoming, report = _take_in(store, access, asked, earlier, source)
    with store.begin() as tx:
        lock_enquiry(tx, number)
        _record(tx, access, asked, incoming, schema.answers.c.status.in_(_OPEN))
        tx.commit()
    return Stored(enquiry(store, access, number), report)


def correct_answer(
    store: Store, access: Access, number: str, source: Path | BinaryIO, reason: str
) -> Enquiry:
    """Replace an owner's answer while the enquiry is in force; see :func:`take_correction`."""
    return take_correction(store, access, number, source, reason).enquiry


def take_correction(
    store: Store, access: Access, number: str, source: Path | BinaryIO, reason: str
) -> Stored:
    """Check and store an answer in the place of the one given; a new package follows, the filer is told.

    What was given before stays as a version. An answer that was given may become any other, but not a case
    that is taken out for manual handling: that would open it again, and stop its clock as if in time.

    Parameters
    ----------
    reason
        Why, in a few words; the filer reads it.

    Raises
    ------
    NotAllowed
        `access` is not an owner.
    NotFound
        The enquiry does not exist or does not concern this owner.
    Conflict
        It is not answered yet, has expired, or was corrected by somebody else meanwhile; or the correction
        takes the case out for manual handling.
    InvalidInput
        There is no reason, or one that cannot be shown.
    UnreadableFile, DataRefused
        The answer cannot be used. Nothing was changed.
    """
    asked, earlier = _own(store, access, number)
    reason = _checked_reason(reason)
    _require_in_force(asked)
    if str(earlier.status) in _OPEN:
        raise Conflict(
            f"The enquiry {number} is not answered yet.", hint="Answer it; there is nothing to correct."
        )
    incoming, report = _take_in(store, access, asked, earlier, source)
    with store.begin() as tx:
        lock_enquiry(tx, number)
        unchanged = schema.answers.c.version == earlier.version
        version = _record(tx, access, asked, incoming, unchanged, reason=reason)
        store.audit.record(tx, "answer.corrected", access, number, {"version": version, "reason": reason})
        tx.commit()
    return Stored(enquiry(store, access, number), report)


def _own(store: Store, access: Access, number: str) -> tuple[Enquiry, Answer]:
    """Return an enquiry that concerns the owner who asks, with his answer."""
    access.require(Role.OWNER)
    owner = access.require_organisation()
    asked = enquiry(store, access, number)
    own = next((answer for answer in asked.answers if answer.owner_cvr == owner), None)
    if own is None:  # he may see it, as its filer or as administrator
        raise NotFound("This enquiry does not concern you.", hint="Only owners who are asked answer.")
    return asked, own


def _require_in_force(asked: Enquiry) -> None:
    if asked.state is EnquiryState.EXPIRED:
        raise _expired(asked.number)


def _checked_reason(reason: str) -> str:
    reason = reason.strip()
    if not 0 < len(reason) <= _LONGEST_REASON or not reason.isprintable():
        raise InvalidInput(
            "A correction needs a reason.",
            hint=f"Say in one line, at most {_LONGEST_REASON} characters, what was wrong.",
            details={"path": "reason"},
        )
    return reason


def _answered(number: str) -> Conflict:
    return Conflict(
        f"The enquiry {number} is answered already.",
        hint="Nothing was changed. Send a correction, with its reason, if the answer was wrong.",
        details={"message_da": f"Forespørgslen {number} er allerede besvaret; intet er ændret."},
    )


def require_kept(earlier: Answer, number: str, response_type: str) -> None:
    """Raise when an answer of this LER type would open a case again that its owner has answered.

    Raises
    ------
    Conflict
        It is answered, and would be taken out for manual handling.
    """
    if _opens_again(earlier, AnswerStatus.of_response(response_type, 0)):
        raise _opening_again(number)


def _opens_again(earlier: Answer, status: AnswerStatus) -> bool:
    return earlier.is_answered and status is AnswerStatus.MANUAL


def _opening_again(number: str) -> Conflict:
    return Conflict(
        f"The enquiry {number} is answered; it cannot be taken out for manual handling any more.",
        hint="Nothing was changed. Send the answer that holds as a correction.",
        details={
            "message_da": f"Forespørgslen {number} er besvaret og kan ikke længere udtages til manuel"
            " behandling; intet er ændret. Ret svaret til det, der gælder."
        },
    )


def _expired(number: str) -> Conflict:
    return Conflict(
        f"The enquiry {number} has expired.",
        hint="The excavator must file it again.",
        details={"message_da": f"Forespørgslen {number} er udløbet; den skal oprettes igen."},
    )


def _take_in(
    store: Store, access: Access, asked: Enquiry, earlier: Answer, source: Path | BinaryIO
) -> tuple[_Incoming, Report]:
    """Read, check and stage an answer; nobody sees it yet."""
    owner = earlier.owner_cvr
    read = ler.read_answer(source, owner_cvr=owner, rules=BusinessRules)
    require_kept(earlier, asked.number, str(read.header.response_type))
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
        now(),
        header_document(read.header),
    )
    counts = report_counts(read.report)
    details = {"header": answer.header, "enquiry": asked.number, "report": counts, **kept}

    def record_rows(tx: Transaction) -> None:
        deliveries.attach(tx, staged, access, answer.valid_to, details)

    return _Incoming(answer, counts, record_rows), explained(read.report)


# --- Recording


def _record(
    tx: Transaction,
    access: Access,
    asked: Enquiry,
    incoming: _Incoming,
    condition: sa.ColumnElement[bool],
    *,
    reason: str = "",
) -> int:
    """Write one answer in the place of the one before, all or nothing, and return its version.

    The caller holds the enquiry's lock. Nothing is written, and ``Conflict`` raised, unless the answer still
    is as `condition` says and the enquiry in force.
    """
    answer, number = incoming.answer, asked.number
    _require_still_in_force(tx, number)
    keep_unversioned(tx, number, answer.owner_cvr)
    incoming.record_rows(tx)
    if answer.status is AnswerStatus.MANUAL:  # one who handed over meanwhile has answered
        table = schema.answers.c
        still_open = sa.or_(table.answered_at.is_(None), table.status == str(AnswerStatus.MANUAL))
        condition = sa.and_(condition, still_open)
    if tx.execute(_replacing(asked, answer, condition)).rowcount != 1:
        raise _answered(number)
    version = add_version(tx, number, answer.owner_cvr, access.principal, reason, incoming.counts)
    _move_grant(tx, asked, answer)
    event = "answer.corrected" if reason else "answer.stored"
    told = {"owner_cvr": answer.owner_cvr, "status": str(answer.status), "version": version}
    outbox.emit(tx, event, number, told)
    wait_for_next(tx, number)
    enqueue_package(tx, number, _filer(tx, asked))
    return version


def _require_still_in_force(tx: Transaction, number: str) -> None:
    table = schema.enquiries.c
    if (tx.connection.scalar(sa.select(table.valid_to).where(table.number == number)) or "") <= now():
        raise _expired(number)


def _replacing(asked: Enquiry, answer: Answer, condition: sa.ColumnElement[bool]) -> sa.Update:
    """Make the statement that puts an answer in the place of the one before."""
    table, row = schema.answers, answer_row(asked.number, answer)
    values = {name: row[name] for name in _FROM_ANSWER}
    if answer.status is AnswerStatus.MANUAL:  # another deadline, whose moments begin anew
        due_at = due_of(answer.status, datetime.fromisoformat(asked.filed_at))
        already = table.c.status == str(AnswerStatus.MANUAL)
        values["taken_at"] = sa.case((already, table.c.taken_at), else_=answer.answered_at)
        values["nudges"] = sa.case((already, table.c.nudges), else_=0)
        values["due_at"] = sa.case((table.c.due_at.is_not(None), due_at))
    ours = table.c.enquiry == asked.number, table.c.owner_cvr == answer.owner_cvr
    return sa.update(table).where(*ours, condition).values(values)


def _move_grant(tx: Transaction, asked: Enquiry, answer: Answer) -> None:
    """Let the filer read what the answer gives, and nothing that it replaces."""
    table = schema.grants
    ours = table.c.enquiry == asked.number, table.c.source == answer.owner_cvr
    tx.execute(sa.delete(table).where(*ours))
    if answer.delivery_id:
        polygon, moment = shapely.to_wkb(asked.request.polygon), datetime.now(UTC)
        row = grant_row(asked.number, asked.organisation, answer, polygon, moment, asked.valid_to)
        tx.execute(sa.insert(table).values(row))


def _filer(tx: Transaction, asked: Enquiry) -> Access:
    """Return on whose behalf the package is made: the filer, or a colleague when his token has ended."""
    table = schema.enquiries.c
    filer = str(tx.connection.scalar(sa.select(table.principal).where(table.number == asked.number)))
    principal = usable_principal(tx.connection, filer, asked.organisation, Role.EXCAVATOR)
    return Access(principal, asked.organisation)


# --- What was published since


def refresh_answers(store: Store, access: Access, number: str) -> Enquiry:
    """Answer an enquiry in force anew from what its owners have published since; a new package follows.

    An owner refreshes his own answer, also one that he gave by himself. The filer refreshes the answers that
    came from published versions, and those that are still waited for. Where nothing newer is published, or
    an answer that was given would be taken out for manual handling by it, that answer stays.

    Raises
    ------
    NotAllowed
        `access` is neither an owner nor an excavator.
    NotFound
        The enquiry does not exist or does not concern the caller.
    Conflict
        It has expired, or somebody changed an answer meanwhile; or an owner would take out his own case that
        is answered.
    """
    access.require(Role.OWNER, Role.EXCAVATOR)
    asked = enquiry(store, access, number)
    _require_in_force(asked)
    newer = _newer(store, access, asked)
    if not newer:
        return asked
    with store.begin() as tx:
        lock_enquiry(tx, number)
        for earlier, answer in newer:
            reason = "" if str(earlier.status) in _OPEN else NEWER_DELIVERY
            unchanged = sa.and_(
                schema.answers.c.version == earlier.version, schema.answers.c.status == str(earlier.status)
            )
            _record(tx, access, asked, _Incoming(answer), unchanged, reason=reason)
        owners = [answer.owner_cvr for _, answer in newer]
        store.audit.record(tx, "answers.refreshed", access, number, {"owners": owners})
        tx.commit()
    return enquiry(store, access, number)


def _newer(store: Store, access: Access, asked: Enquiry) -> list[tuple[Answer, Answer]]:
    """Return the answers that `access` may refresh, each with the one that takes its place."""
    is_filer = access.has(Role.EXCAVATOR) and access.organisation == asked.organisation
    with store.read() as connection:
        published, moment = published_versions(connection), datetime.now(UTC)
    found = []
    for earlier in asked.answers:
        version = published.get(earlier.owner_cvr)
        own = access.has(Role.OWNER) and access.organisation == earlier.owner_cvr
        hosted = earlier.header.get("hosted")
        theirs = is_filer and (hosted is not None or str(earlier.status) in _OPEN)
        if version is None or hosted == version.delivery_id or not (own or theirs):
            continue
        hit = InterestHit(earlier.owner_cvr, earlier.owner_name, earlier.interest_areas)
        answer = hosted_answer(store, hit, version, asked.request.polygon, moment)
        if not _opens_again(earlier, answer.status):
            found.append((earlier, answer))
        elif not is_filer:
            raise _opening_again(asked.number)
    return found


# --- Beside the answer


def acknowledge(store: Store, access: Access, number: str) -> Enquiry:
    """Note that an owner's system has fetched an enquiry; the first time counts.

    Raises
    ------
    NotAllowed, NotFound
        As in :func:`take_answer`.
    """
    _, own = _own(store, access, number)
    table = schema.answers
    ours = table.c.enquiry == number, table.c.owner_cvr == own.owner_cvr
    with store.begin() as tx:
        tx.execute(
            sa.update(table).where(*ours, table.c.acknowledged_at.is_(None)).values(acknowledged_at=now())
        )
        tx.commit()
    return enquiry(store, access, number)


def hand_over(store: Store, access: Access, number: str) -> Enquiry:
    """Note that an owner with a dispensation has sent what he has to the excavator; his clock stops.

    Raises
    ------
    NotAllowed, NotFound
        As in :func:`take_answer`.
    Conflict
        He does not hand over this one directly, or has said so already.
    """
    asked, own = _own(store, access, number)
    table, direct = schema.answers, str(AnswerStatus.DIRECT)
    ours = table.c.enquiry == number, table.c.owner_cvr == own.owner_cvr
    with store.begin() as tx:
        lock_enquiry(tx, number)
        waiting = table.c.status == direct, table.c.answered_at.is_(None)
        if tx.execute(sa.update(table).where(*ours, *waiting).values(answered_at=now())).rowcount != 1:
            raise Conflict(
                f"The enquiry {number} does not wait for a direct hand-over.", hint="Nothing was changed."
            )
        version = add_version(tx, number, own.owner_cvr, access.principal, "", {})
        told = {"owner_cvr": own.owner_cvr, "status": direct, "version": version}
        outbox.emit(tx, "answer.stored", number, told)
        store.audit.record(tx, "answer.handed-over", access, asked.number, {})
        tx.commit()
    return enquiry(store, access, number)


def answer_versions(store: Store, access: Access, number: str) -> list[AnswerVersion]:
    """Return all answers given to an enquiry, oldest first for each owner; an owner sees his own.

    Raises
    ------
    NotFound
        It does not exist, or `access` may not see it.
    """
    seen = enquiry(store, access, number)
    shown = {answer.owner_cvr for answer in seen.answers}
    with store.read() as connection:
        return [one for one in load_versions(connection, number, None) if one.owner_cvr in shown]
