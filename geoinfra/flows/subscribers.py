"""Who is told of what happened: the dispatcher's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from geoinfra.access import Access
from geoinfra.flows.concerns import CHOOSABLE
from geoinfra.flows.notices import make_notices
from geoinfra.storage import Store
from geoinfra.storage.outbox import Event, Subscriber

__all__ = ["SUBSCRIBERS"]


def note_in_audit(store: Store, event: Event) -> None:
    """Write what the system did by itself into the audit log, with the event's number.

    Told twice, it writes twice; the number shows that it is the same event.
    """
    details = {"event_id": event.event_id, **event.payload}
    store.audit.append(f"event.{event.event}", Access("system:dispatcher"), event.subject, details)


_NOTED = frozenset({"package.ready", "delivery.published", "channel.disabled"})

SUBSCRIBERS: Mapping[str, Sequence[Subscriber]] = {
    event: (note_in_audit, make_notices) if event in _NOTED else (make_notices,)
    for event in sorted(CHOOSABLE | {"channel.tested"})
}
