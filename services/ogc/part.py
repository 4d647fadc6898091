"""What an OGC API consists of that stands beside the engine, under the same landing page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from geoinfra.storage.collections import Collection
from services.ogc.asked import Asked

__all__ = ["Part", "Serve"]

type Answer = Callable[[Asked], Response]
type Endpoint = Callable[[Request], Awaitable[Response]]

_READERS = 4
_WAITING = 32


class Part(Protocol):
    """One OGC API: its routes, and what the common documents say of it."""

    @property
    def conformance(self) -> Sequence[str]:
        """URIs of the classes that tests prove."""
        ...

    def routes(self, serve: Serve) -> list[Route]:
        """Return the routes, relative to the service's address."""
        ...

    def landing_links(self, url: str) -> list[dict[str, str]]:
        """Return the links of the landing page; `url` is the service's address."""
        ...

    def collection_links(self, url: str, collection: Collection) -> list[dict[str, str]]:
        """Return the links of a collection; none where this API does not serve it."""
        ...

    def openapi_paths(self) -> Mapping[str, Any]:
        """Return the paths for the OpenAPI document."""
        ...


class Serve:
    """Makes endpoints of plain functions, each kind on its own threads.

    Parameters
    ----------
    asked
        Reads a request: who asks, in which view.
    """

    def __init__(self, asked: Callable[[Request], Asked]) -> None:
        self._asked = asked
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ogc")
        self._drawing = CapacityLimiter(1)
        self._reading = CapacityLimiter(_READERS)
        self._waiting = CapacityLimiter(_WAITING)

    def computed(self, answer: Answer) -> Endpoint:
        """Serve by the one thread of work that holds the interpreter lock: documents, features."""

        async def endpoint(request: Request) -> Response:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, lambda: answer(self._asked(request)))

        return endpoint

    def drawn(self, answer: Answer) -> Endpoint:
        """Serve what may draw for seconds, one at a time."""
        return self._limited(answer, self._drawing)

    def read(self, answer: Answer) -> Endpoint:
        """Serve what mostly reads files or waits for libraries that let the lock go: rasters, cubes."""
        return self._limited(answer, self._reading)

    def waiting(self, answer: Answer) -> Endpoint:
        """Serve what has a body, asks the records, or waits for a job."""

        async def endpoint(request: Request) -> Response:
            body = await request.body()
            return await to_thread.run_sync(
                lambda: answer(replace(self._asked(request), body=body)), limiter=self._waiting
            )

        return endpoint

    def _limited(self, answer: Answer, limiter: CapacityLimiter) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return await to_thread.run_sync(lambda: answer(self._asked(request)), limiter=limiter)

        return endpoint
