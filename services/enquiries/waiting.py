"""Clients that wait for a package: one question to the records at a time, however many wait."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from starlette.concurrency import run_in_threadpool

from geoinfra.errors import StorageUnavailable
from geoinfra.flows.package_jobs import waiting_for_package
from geoinfra.storage import Store

__all__ = ["PackageWaits"]

_SHORTEST_PAUSE_S = 0.015
_LONGEST_PAUSE_S = 0.25
_GROWTH = 1.2


class PackageWaits:
    """The waiting clients of one web process.

    The pause between two questions grows while nothing comes, so that a long queue is not made longer by
    those who wait in it; somebody new makes it short again.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._asking: asyncio.Task[None] | None = None
        self._pause_s = _SHORTEST_PAUSE_S

    async def ended(self, number: str, wait_s: float) -> None:
        """Return when an enquiry has its first package or will not get one, or when `wait_s` have passed."""
        ready = asyncio.Event()
        self._waiting[number].add(ready)
        self._pause_s = _SHORTEST_PAUSE_S
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        try:
            async with asyncio.timeout(wait_s):
                await ready.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting[number].discard(ready)
            if not self._waiting[number]:
                del self._waiting[number]

    async def _ask(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(self._pause_s * _GROWTH, _LONGEST_PAUSE_S)
            numbers = set(self._waiting)
            try:
                still = await run_in_threadpool(waiting_for_package, self._store, numbers)
            except StorageUnavailable:
                continue  # whoever waits meets it himself when his time is over
            for number in numbers - still:
                for ready in self._waiting.get(number, ()):
                    ready.set()
