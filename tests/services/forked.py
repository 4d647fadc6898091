"""Processes that tests start and kill, forked from one that has imported already what they need."""

from __future__ import annotations

import multiprocessing

__all__ = ["PROCESSES"]

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["geoinfra.storage.jobs", "geoinfra.storage.migrate", "alembic.autogenerate", "psycopg_pool", "pytest"]
)
