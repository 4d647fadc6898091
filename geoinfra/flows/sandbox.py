"""Test environments: a store that holds nothing real, says so for ever, and can begin anew.

The mark is a row of the records. It can be set while the store is empty and by nothing be taken away; every
package and every number of the store carries it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict
from geoinfra.flows.enquiry_records import AREA_ANSWERS, PACKAGES
from geoinfra.flows.nightly import NIGHTLY
from geoinfra.storage import Store, outbox, schema
from geoinfra.storage.records import Transaction
from geoinfra.utilities.sandbox import NUMBER_PREFIX

__all__ = [
    "declare_sandbox",
    "has_kept_state",
    "is_sandbox",
    "keep_state",
    "number_prefix",
    "require_sandbox",
    "reset",
]

_MARK: Final = "sandbox"
_KEPT: Final = "sandbox.state"
_OPERATOR: Final = Access("system:sandbox", None, frozenset({Role.ADMIN}))
_SETTLED: Final = (
    *(schema.organisations, schema.tokens, schema.interest_areas),
    *(schema.deliveries, schema.current_deliveries, schema.collections),
)
"""What is kept and restored, each after what it refers to. Everything else begins empty."""

_LASTING: Final = frozenset({"audit", "secrets", "signing_keys", "counters", "outbox"})
"""What a reset does not empty as a whole."""


def is_sandbox(connection: sa.Connection) -> bool:
    """Whether the store is a test environment."""
    table = schema.counters
    return connection.scalar(sa.select(table.c.value).where(table.c.name == _MARK)) is not None


def number_prefix(connection: sa.Connection) -> str:
    """Return how the numbers of enquiries begin: ``TEST-`` in a test environment, else nothing."""
    return NUMBER_PREFIX if is_sandbox(connection) else ""


def require_sandbox(store: Store) -> None:
    """Raise :class:`~geoinfra.errors.Conflict` unless the store is a test environment."""
    with store.read() as connection:
        if is_sandbox(connection):
            return
    raise Conflict(
        "This store is not a test environment.",
        hint="Make one in a folder of its own: geoinfra sandbox create DIR.",
    )


def declare_sandbox(store: Store) -> None:
    """Make an empty store a test environment, for ever; one that is stays so.

    Raises
    ------
    Conflict
        The store holds organisations, deliveries or enquiries, which may be real.
    """
    with store.begin() as tx:
        _keep_others_out(store, tx, [schema.organisations, schema.deliveries, schema.enquiries])
        if is_sandbox(tx.connection):
            return
        for table in (schema.organisations, schema.deliveries, schema.enquiries):
            if tx.connection.scalar(sa.select(sa.literal(1)).select_from(table).limit(1)):
                raise Conflict(
                    f"The store holds {table.name} and cannot become a test environment.",
                    hint="Make one in a folder of its own: geoinfra sandbox create DIR.",
                )
        tx.execute(sa.insert(schema.counters).values(name=_MARK, value=1))
        store.audit.record(tx, "sandbox.declared", _OPERATOR, "store")
        tx.commit()


def _keep_others_out(store: Store, tx: Transaction, tables: Iterable[sa.Table]) -> None:
    """Let nobody else write these tables meanwhile; SQLite's transaction is alone anyway."""
    if not store.records.is_sqlite:
        names = ", ".join(table.name for table in tables)
        tx.execute(sa.text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))


def has_kept_state(store: Store) -> bool:
    """Whether there is a state that :func:`reset` can restore."""
    with store.read() as connection:
        return _kept(connection) is not None


def _kept(connection: sa.Connection) -> bytes | None:
    table = schema.secrets
    return connection.scalar(sa.select(table.c.value).where(table.c.name == _KEPT))


def keep_state(store: Store) -> None:
    """Keep the present owners, areas, tokens, published deliveries and layers as the initial state.

    Raises
    ------
    Conflict
        The store is no test environment.
    """
    require_sandbox(store)
    with store.begin() as tx:
        state = {table.name: _rows(tx.connection, table) for table in _SETTLED}
        current = {row["delivery_id"] for row in state["current_deliveries"]}
        state["deliveries"] = [row for row in state["deliveries"] if row["delivery_id"] in current]
        tx.execute(sa.delete(schema.secrets).where(schema.secrets.c.name == _KEPT))
        tx.execute(
            sa.insert(schema.secrets).values(name=_KEPT, value=json.dumps(state, default=_as_text).encode())
        )
        store.audit.record(tx, "sandbox.kept", _OPERATOR, "store")
        tx.commit()


def _rows(connection: sa.Connection, table: sa.Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in connection.execute(sa.select(table))]


def _as_text(value: Any) -> str:
    return base64.b64encode(value).decode()  # the only values that JSON lacks are bytes


def reset(store: Store) -> dict[str, int]:
    """Restore the initial state, beside running processes too; return how many rows each table lost.

    Enquiries, answers, packages, damages, channels and everything else that came since are gone, and numbers
    begin anew. Signing keys, the audit log and the jobs of the night stay, and so does the mark. Numbers of
    events go on, and who reads the feed of events from before is told of the gap.

    Raises
    ------
    Conflict
        The store is no test environment, or no initial state was kept.
    """
    require_sandbox(store)
    with store.begin() as tx:
        kept = _kept(tx.connection)
        if kept is None:
            raise Conflict(
                "No initial state was kept.",
                hint="geoinfra sandbox keep makes the present state the initial.",
            )
        state = json.loads(kept)
        lost = _empty(store, tx)
        for table in _SETTLED:
            rows = [_row(table, row) for row in state[table.name]]
            if rows:
                tx.execute(sa.insert(table), rows)
            lost[table.name] -= len(rows)
        store.audit.record(tx, "sandbox.reset", _OPERATOR, "store")
        tx.commit()
    for folder in (PACKAGES, AREA_ANSWERS):
        store.blobs.delete_folder(folder)
    store.sweep()
    return {name: count for name, count in lost.items() if count > 0}


def _empty(store: Store, tx: Transaction) -> dict[str, int]:
    """Remove every row but those that last; what refers to others goes first."""
    lost = {}
    doomed = [table for table in reversed(schema.metadata.sorted_tables) if table.name not in _LASTING]
    _keep_others_out(store, tx, doomed)
    for table in doomed:
        rows = sa.delete(table)
        if table is schema.jobs:
            rows = rows.where(table.c.kind.not_in(NIGHTLY))
        lost[table.name] = tx.execute(rows).rowcount
    tx.execute(sa.delete(schema.counters).where(schema.counters.c.name.like("enquiry:%")))
    outbox.forget_all(tx, _MARK)
    return lost


def _row(table: sa.Table, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: base64.b64decode(value)
        if isinstance(table.c[name].type, sa.LargeBinary) and value is not None
        else value
        for name, value in row.items()
    }
