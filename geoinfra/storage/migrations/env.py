"""Alembic's entry: runs the revisions on the connection of :func:`geoinfra.storage.migrate.migrate`."""

from __future__ import annotations

from alembic import context

from geoinfra.storage.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
