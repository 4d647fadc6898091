"""Work that a client asks for by itself and that changes nothing: a job does it, its answer is the result."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import numpy as np
import sqlalchemy as sa

from geoinfra import crs
from geoinfra.access import Access
from geoinfra.errors import InvalidInput, NotAuthenticated, NotFound, Overloaded, TooLarge
from geoinfra.flows.enquiry_preview import preview_enquiry
from geoinfra.storage import Store, jobs, schema
from geoinfra.storage.jobs import JobContext
from geoinfra.storage.records import new_id
from geoinfra.utilities.check import check_file
from geoinfra.utilities.formats.intake import Limits

__all__ = [
    "CHECK_DELIVERY",
    "MOST_POSITIONS",
    "PREVIEW_ENQUIRY",
    "TRANSFORM",
    "check_delivery",
    "forget_files",
    "forget_input",
    "kept_request",
    "preview",
    "request_check",
    "request_preview",
    "request_transform",
    "transform",
]

PREVIEW_ENQUIRY: Final = "preview-enquiry"
CHECK_DELIVERY: Final = "check-delivery"
TRANSFORM: Final = "transform-coordinates"
MOST_POSITIONS: Final = 10_000
_MOST_ANONYMOUS: Final = 50
_INPUTS: Final = "process-inputs"
_REQUESTS: Final = "process-requests"
_FORGOTTEN_AFTER_S: Final = 86_400
_CHECKED: Final = Limits(max_bytes=256 * 1024**2, max_zip_bytes=64 * 1024**2)


def request_preview(store: Store, access: Access, document: Mapping[str, Any]) -> str:
    """Ask for what filing a document would mean; give the job.

    Raises
    ------
    NotAllowed, InvalidInput, InvalidGeometry, TooLarge
        As :func:`~geoinfra.flows.enquiry_preview.preview_enquiry`.
    """
    preview_enquiry(store, access, document)  # refused at once, not by a job that fails
    return _enqueued(store, access, PREVIEW_ENQUIRY, {"document": dict(document)})


def preview(store: Store, context: JobContext) -> Mapping[str, Any]:
    """Do the job of :func:`request_preview`."""
    return {"preview": preview_enquiry(store, context.access, context.payload["document"]).to_json()}


def request_check(store: Store, access: Access, content: bytes, *, strict: bool) -> str:
    """Ask for a check of a LER document; give the job. Any role may ask.

    Raises
    ------
    NotAuthenticated
        Nobody asks.
    """
    if access.organisation is None:
        raise NotAuthenticated("Checking a delivery needs a token.", hint="Any role will do.")
    name = f"{_INPUTS}/{new_id().lower()}"
    store.blobs.put(name, content)
    try:
        return _enqueued(store, access, CHECK_DELIVERY, {"blob": name, "strict": strict})
    except BaseException:
        forget_input(store, {"blob": name})
        raise


def check_delivery(store: Store, context: JobContext) -> Mapping[str, Any]:
    """Do the job of :func:`request_check`; the document is gone afterwards.

    Raises
    ------
    NotFound
        The document is no longer there.
    """
    name = context.payload["blob"]
    if not store.blobs.exists(name):
        raise NotFound("The document is no longer kept.", hint="Ask for the check again.")
    context.progress(0.1, "Checking the delivery.")
    report = check_file(store.blobs.path(name), strict=context.payload["strict"], limits=_CHECKED)
    result = {"report": report.to_json()}
    with store.begin() as tx:
        context.finish(tx, result)
        tx.commit()
    forget_input(store, context.payload)
    return result


def forget_input(store: Store, payload: Mapping[str, Any]) -> None:
    """Remove the document that waits for its check, if there is one."""
    if "blob" in payload:
        with suppress(NotFound):
            store.blobs.delete(payload["blob"])


def kept_request(job_id: str) -> str:
    """Return the name of the file in which a face keeps how the results of a job are wanted."""
    return f"{_REQUESTS}/{job_id.lower()}.json"


def forget_files(store: Store) -> int:
    """Remove documents that no job waits for and requests whose job is gone, a day old; return how many.

    Their own jobs remove them; what a crash or a failed job left goes here.
    """
    table, before_s = schema.jobs.c, time.time() - _FORGOTTEN_AFTER_S
    with store.read() as connection:
        ids = {job_id.lower() for job_id in connection.scalars(sa.select(table.job_id))}
        waiting = table.kind == CHECK_DELIVERY, table.state.in_(("queued", "running"))
        needed = {
            json.loads(text)["blob"] for text in connection.scalars(sa.select(table.payload).where(*waiting))
        }
    needed |= {f"{_REQUESTS}/{job_id}.json" for job_id in ids}
    doomed = [
        name
        for folder in (_INPUTS, _REQUESTS)
        for name in store.blobs.names(folder)
        if name not in needed and store.blobs.path(name).stat().st_mtime < before_s
    ]
    for name in doomed:
        store.blobs.delete(name)
    return len(doomed)


def request_transform(store: Store, access: Access, positions: Any, source: Any, target: Any) -> str:
    """Ask for positions in another CRS; give the job. Everybody may ask.

    Raises
    ------
    InvalidInput
        Something is no position, or a CRS is not known.
    TooLarge
        There are more than :data:`MOST_POSITIONS`.
    Overloaded
        Too many visitors wait already.
    """
    if not isinstance(source, str) or not isinstance(target, str):
        raise InvalidInput("'from' and 'to' are names of CRSs.", hint="EPSG:25832, EPSG:4326, OGC:CRS84 …")
    payload = {"positions": _positions(positions), "from": crs.parse_crs(source), "to": crs.parse_crs(target)}
    if access == Access.anonymous():
        _require_room(store, access)
    return _enqueued(store, access, TRANSFORM, payload)


def _positions(values: Any) -> list[list[float]]:
    if not isinstance(values, list) or not values:
        raise InvalidInput("'coordinates' is a list of pairs of numbers.", hint="[[9.5, 55.2], …]")
    if len(values) > MOST_POSITIONS:
        raise TooLarge(f"There are {len(values)} positions.", hint=f"At most {MOST_POSITIONS} at once.")
    for place, pair in enumerate(values):
        if not isinstance(pair, list) or len(pair) != 2 or not all(_is_ordinate(number) for number in pair):
            raise InvalidInput(f"Position {place} is no pair of numbers.", hint="[easting, northing]")
    return [[float(number) for number in pair] for pair in values]


def _is_ordinate(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def transform(_store: Store, context: JobContext) -> Mapping[str, Any]:
    """Do the job of :func:`request_transform`. East or longitude stands first, whatever the CRS's own order.

    Raises
    ------
    InvalidInput
        A position lies outside what the CRSs can express.
    """
    positions = np.asarray(context.payload["positions"], dtype=np.float64)
    source, target = context.payload["from"], context.payload["to"]
    moved = np.column_stack(crs.transform_xy(positions[:, 0], positions[:, 1], source, target))
    lost = np.flatnonzero(~np.isfinite(moved).all(axis=1))
    if lost.size:
        raise InvalidInput(f"Position {lost[0]} lies outside what the CRS can express.")
    return {"coordinates": [[float(x), float(y)] for x, y in moved], "crs": target}


def _require_room(store: Store, access: Access) -> None:
    waiting = sa.select(sa.func.count()).where(
        schema.jobs.c.principal == access.principal, schema.jobs.c.state.in_(("queued", "running"))
    )
    with store.read() as connection:
        if (connection.scalar(waiting) or 0) >= _MOST_ANONYMOUS:
            raise Overloaded("Too many visitors wait for their results.", hint="Try again in a minute.")


def _enqueued(store: Store, access: Access, kind: str, payload: Mapping[str, Any]) -> str:
    with store.begin() as tx:
        job_id = jobs.enqueue(tx, kind, payload, access)
        tx.commit()
    return job_id
