"""The operator's keys that sign packages: made when first needed, changed by the operator, told to everybody.

The private half is read for signing and by nothing else; no function returns it in a form that is shown.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from geoinfra.storage import Store, schema
from geoinfra.storage.records import Transaction, now
from geoinfra.utilities.signatures import PublicKey, SigningKey

__all__ = ["ensure_key", "public_keys", "rotate_key", "signing_key"]


def ensure_key(store: Store) -> PublicKey:
    """Return the key that signs now; the first call makes it."""
    return signing_key(store).public


def signing_key(store: Store) -> SigningKey:
    """Return the key that signs now, with its private half; the first call makes it."""
    with store.read() as connection:
        secret = connection.scalar(_current())
    if secret is not None:
        return SigningKey(bytes(secret))
    with store.begin() as tx:
        _lock(store, tx)
        secret = tx.connection.scalar(_current())
        if secret is None:
            secret = _add(tx)
            tx.commit()
    return SigningKey(bytes(secret))


def rotate_key(store: Store) -> PublicKey:
    """Make a new key that signs from now on, retire the one before, and return the new one's public half.

    What the retired key has signed can still be verified.
    """
    table = schema.signing_keys
    with store.begin() as tx:
        _lock(store, tx)
        tx.execute(sa.update(table).where(table.c.retired_at.is_(None)).values(retired_at=now()))
        secret = _add(tx)
        tx.commit()
    return SigningKey(secret).public


def public_keys(store: Store) -> tuple[PublicKey, ...]:
    """Return every public key, the one that signs now first, then the newest of the retired."""
    table = schema.signing_keys
    order = (table.c.retired_at.isnot(None), table.c.created_at.desc(), table.c.key_id)
    wanted = sa.select(table.c.public_key, table.c.created_at, table.c.retired_at).order_by(*order)
    with store.read() as connection:
        return tuple(
            PublicKey(bytes(row.public_key), row.created_at, row.retired_at)
            for row in connection.execute(wanted)
        )


def _current() -> sa.Select[Any]:
    table = schema.signing_keys
    return sa.select(table.c.private_key).where(table.c.retired_at.is_(None)).limit(1)


def _lock(store: Store, tx: Transaction) -> None:
    """Let one process at a time change the keys; SQLite's write transaction is alone anyway."""
    if not store.records.is_sqlite:
        tx.execute(sa.text("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"))


def _add(tx: Transaction) -> bytes:
    key, secret = SigningKey.generate()
    tx.execute(
        sa.insert(schema.signing_keys).values(
            key_id=key.key_id, public_key=key.public.raw, private_key=secret, created_at=now()
        )
    )
    return secret
