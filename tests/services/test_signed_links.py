"""A link that one web process signs is good at every other, also when they started at the same moment."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
import sqlalchemy as sa
from test_flow_answers_at_once import at_once

from geoinfra.access import Access
from geoinfra.errors import NotFound
from geoinfra.storage import Store, schema
from services import security
from services.security import Security
from services.settings import Settings

pytestmark = pytest.mark.services
PROCESSES = 4


def test_web_processes_that_start_first_at_one_moment_take_one_key(
    make_store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has seen that there is no key before any of them writes one."""
    stores = [make_store() for _ in range(PROCESSES)]
    settings = Settings(data_dir=stores[0].data_dir)
    all_here = threading.Barrier(PROCESSES)

    def made_at_once(size: int) -> bytes:
        with suppress(threading.BrokenBarrierError):
            all_here.wait(5)
        return secrets.token_bytes(size)

    class Secrets:
        token_bytes = staticmethod(made_at_once)

    started: list[Security] = []
    with monkeypatch.context() as patched:
        patched.setattr(security, "secrets", Secrets)
        raised = at_once(*(lambda s=store: started.append(Security(s, settings)) for store in stores))
    assert raised == [None] * PROCESSES
    path, link = started[0].sign_link("packages/a.zip", "a.zip", Access("test"))
    signed = path.removeprefix("/download/")
    assert all(one.open_link(signed) == link for one in [*started, Security(make_store(), settings)])
    with stores[0].read() as connection:
        (key,) = connection.scalars(sa.select(schema.secrets.c.value)).all()
    assert len(key) == 32
    with pytest.raises(NotFound):
        started[0].open_link(signed[:-2])
