"""An enquiry that concerns several owners, and LER answers to it made by hand."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import shapely
import sqlalchemy as sa
from test_flow_enquiry import access_with, document

from geoinfra.access import Access, Role
from geoinfra.flows.enquiries import Enquiry, file_enquiry
from geoinfra.storage import Store, organisations, schema
from geoinfra.storage.organisations import InterestArea
from geoinfra.storage.outbox import Event
from geoinfra.storage.records import timestamp
from geoinfra.utilities.formats import ler
from geoinfra.utilities.model import AnswerHeader, Contact, FeatureRows, ResponseType

E, N = 600_000.0, 6_080_000.0
AREA = shapely.box(E, N, E + 100, N + 100)
SINCE = datetime(2000, 1, 1, tzinfo=UTC)
DIGGER = "10000009"
OWNERS = ("10000017", "10000025", "10000033", "10000068")
CABLE = {
    "driftsstatus": "i drift",
    "etableringstidspunkt": "2004-03-15",
    "fareklasse": "farlig",
    "noejagtighedsklasse": "<= 1.00 m",
    "noejagtighedsklasseVertikal": "<= 1.00 m",
    "type": "stikkabel",
}


def owner(cvr: str) -> Access:
    """The access of an owner."""
    return Access(f"test:{cvr}", cvr, frozenset({Role.OWNER}))


def svar(
    cvr: str,
    cables: Sequence[str] = ("el.1", "el.2"),
    *,
    kind: ResponseType = ResponseType.DELIVERED,
    changes: dict[str, Any] | None = None,
    **header: Any,
) -> io.BytesIO:
    """An owner's answer with these cables in the dig area, ten metres apart."""
    rows = FeatureRows(cvr)
    for position, name in enumerate(cables):
        north = N + 10 * position + 1
        line = shapely.LineString([(E + 1, north), (E + 20, north + 1)])
        rows.add("Elledning", name, {**CABLE, **(changes or {})}, line)
    said = {
        "valid_to": date(2099, 1, 1),
        "contact": Contact("Vagten", "70101010", "vagt@example.dk"),
        **header,
    }
    head = AnswerHeader("3f2b8c1e-5a40-4d7e-9c55-0b1d2e3f4a5b", kind, **said)
    file = io.BytesIO()
    ler.write_answer(file, head, [rows.batch()] if cables else [])
    file.seek(0)
    return file


def empty(cvr: str, kind: ResponseType, **header: Any) -> io.BytesIO:
    """An owner's answer without lines."""
    return svar(cvr, (), kind=kind, **header)


def register(store: Store, *cvrs: str, area: shapely.Polygon = AREA, first: int = 1) -> None:
    """Record owners whose interest area is around the dig area."""
    with store.begin() as tx:
        for number, cvr in enumerate(cvrs, start=first):
            contact = {"email": f"{cvr}@example.dk", "phone": "70101010"}
            organisations.add_organisation(tx, cvr, f"Ejer {cvr}", contact)
            made = InterestArea(number, ("electricity",), area.buffer(50), SINCE)
            organisations.set_interest_areas(tx, cvr, [made])
        tx.commit()


def digger(store: Store) -> Access:
    """The access of the excavator."""
    return access_with(store, DIGGER, Role.EXCAVATOR)


def filed_by(store: Store, access: Access, **changes: Any) -> Enquiry:
    """File an enquiry of one format, so that packages are quick."""
    return file_enquiry(store, access, document(AREA, formats=["gml"], **changes))


def move_filing(store: Store, number: str, filed_at: datetime) -> None:
    """Let an enquiry have been filed at another moment: its clock starts there."""
    from geoinfra.flows import reminders

    table, answers = schema.enquiries, schema.answers
    with store.begin() as tx:
        ours = table.c.number == number
        tx.execute(sa.update(table).where(ours).values(filed_at=timestamp(filed_at)))
        tx.execute(sa.update(answers).where(answers.c.enquiry == number).values(nudges=0))
        tx.execute(sa.delete(schema.jobs).where(schema.jobs.c.kind == reminders.REMIND))
        reminders.start_clock(tx, number)
        tx.commit()


def expire(store: Store, number: str) -> None:
    """Let an enquiry have expired."""
    past, table = timestamp(datetime.now(UTC) - timedelta(minutes=1)), schema.enquiries
    with store.begin() as tx:
        tx.execute(sa.update(table).where(table.c.number == number).values(valid_to=past))
        tx.execute(sa.update(schema.grants).where(schema.grants.c.enquiry == number).values(valid_to=past))
        tx.commit()


def events(store: Store, name: str, number: str) -> list[Event]:
    """Return the events of a name about an enquiry, oldest first."""
    from geoinfra.storage.outbox import events_after

    with store.read() as connection:
        found = events_after(connection, 0, 2**31 - 1, 10_000)
    return [one for one in found if one.event == name and one.subject == number]


def sequences(store: Store, number: str) -> list[int]:
    """Return the sequence numbers of the packages that were made."""
    table = schema.packages
    with store.read() as connection:
        query = sa.select(table.c.sequence).where(table.c.enquiry == number).order_by(table.c.sequence)
        return list(connection.scalars(query))
