"""The route of LER's interface: ``/api/v<N>/<call>[/<id>]``, in whatever case clients write it."""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import orjson
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from geoinfra.access import Access
from geoinfra.errors import InvalidInput, NotAllowed, NotFound, StorageUnavailable, TooLarge
from geoinfra.flows.ler_exchange import Exchange, begin_exchange, end_exchange, forget_exchange
from geoinfra.storage import Store
from geoinfra.utilities.ler_api import PARALLEL_CALLS, Refusal, require_guid
from services.ler.body import MOST_ANSWER_BYTES, Body
from services.ler.calls import CALLS, Task, Wanted
from services.ler.envelope import Call, accepted, answer, refused
from services.ler.identity import acting_for, caller
from services.settings import Settings

__all__ = ["LerInterface", "mount"]

_log = logging.getLogger("geoinfra.ler")
_NAMES = "|".join(sorted(CALLS, key=len, reverse=True))
_PATH = re.compile(rf"/api(?:/v(?P<version>[0-9]{{1,3}}))?/(?P<name>{_NAMES})(?:/(?P<id>.*?))?/?", re.I)
_UNVERSIONED = frozenset(("basictest", "securetest", "errorcodes"))
_IDS = ("requestid", "transactionid")
_NOT_KEPT = frozenset(("00-100", "00-110", "00-530", "00-540"))
_AGAIN: Final = {"again": True}  # kept in the place of what a reading call gave
_UNEXPECTED: Final = {"graveforespoergselsvar": "13-100", "interesseomraade": "27-999"}
_FED_BYTES: Final = 1 << 18
_ANSWER_BODY_BYTES: Final = MOST_ANSWER_BYTES * 4 // 3 + 64 * 1024


def mount(app: FastAPI, store: Store, settings: Settings) -> None:
    """Add the interface to an application; its other paths are not touched."""
    interface = LerInterface(store, settings)
    app.state.ler = interface
    app.router.routes.append(_Route(interface))


class _Route(BaseRoute):
    """Takes the paths of the interface, whatever their method."""

    def __init__(self, interface: LerInterface) -> None:
        self._interface = interface

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or not self._interface.path(scope["path"]):
            return Match.NONE, {}
        return Match.FULL, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._interface.respond(Request(scope, receive))
        await response(scope, receive, send)


class LerInterface:
    """Answers the calls of one deployment."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self._turn = threading.Lock()
        self._at_work: Counter[str] = Counter()

    @staticmethod
    def path(path: str) -> re.Match[str] | None:
        """Return the parts of a path of the interface; ``None`` for any other."""
        found = _PATH.fullmatch(path)
        if found and (found["version"] is not None or found["name"].lower() in _UNVERSIONED):
            return found
        return None

    async def respond(self, request: Request) -> Response:
        """Answer one call: always LER's envelope, whatever went wrong."""
        call = self._call(request)
        try:
            return await self._done(request, call)
        except ClientDisconnect:
            raise
        except Exception as error:
            return answer(refused(call, _refusal(error, call)))

    def _call(self, request: Request) -> Call:
        found = self.path(request.url.path)
        assert found is not None  # noqa: S101  # the route matched
        parameters = {name.lower(): text for name, text in request.query_params.multi_items()}
        return Call(
            request.method,
            found["name"].lower(),
            found["id"] or "",
            parameters,
            self.settings.base_url,
        )

    async def _done(self, request: Request, call: Call) -> Response:
        task = CALLS[call.name]
        do = task.with_id if call.resource else task.without_id
        if request.method != task.method:
            raise _wrong(f"Brug {task.method}.", f"Use {task.method}.")
        if do is None:
            raise _wrong("Stien mangler et id, eller har et for meget.", "The path needs an id, or none.")
        if task.open_to_all:
            nobody = Access.anonymous()
            return answer(accepted(call, do(Wanted(self.store, nobody, call, Body()))))
        access = await run_in_threadpool(caller, request, self.store, self.settings)
        if task.named:
            return answer(accepted(call, do(Wanted(self.store, access, call, Body()))))
        _require_once(request)
        call.request_id = require_guid("requestId", call.parameters.get("requestid"))
        call.transaction_id = require_guid("transactionId", call.parameters.get("transactionid"))
        access = acting_for(access, call.parameters.get("tjenesteaftagercvr"))
        body = Body(_written(call), self.store.uploads if task.large else None)
        with self.one_more(access.require_organisation()), body:
            await self._receive(request, task, body)
            wanted = Wanted(self.store, access, call, body)
            return answer(await run_in_threadpool(self._once, task, wanted))

    async def _receive(self, request: Request, task: Task, body: Body) -> None:
        """Receive the body; only an owner's answer may be large."""
        most, received = self.settings.max_body_bytes, 0
        if task.large:
            most = max(_ANSWER_BODY_BYTES, most)
        waiting = bytearray()
        async for chunk in request.stream():
            received += len(chunk)
            if received > most:
                raise TooLarge(f"The body is larger than {most:,} bytes.")
            waiting += chunk
            if len(waiting) >= _FED_BYTES:
                await run_in_threadpool(body.feed, bytes(waiting))
                waiting.clear()
        body.feed(bytes(waiting))

    @contextmanager
    def one_more(self, organisation: str) -> Iterator[None]:
        """Count a call of an account while it is at work."""
        with self._turn:
            if self._at_work[organisation] >= PARALLEL_CALLS:
                raise Refusal("00-540")
            self._at_work[organisation] += 1
        try:
            yield
        finally:
            with self._turn:
                self._at_work[organisation] -= 1
                if not self._at_work[organisation]:
                    del self._at_work[organisation]

    def _once(self, task: Task, wanted: Wanted) -> Mapping[str, Any]:
        """Do a call, or answer as when it was done before.

        What a reading call gave is not kept: asked again, it is for who may read it then.
        """
        call = wanted.call
        exchange = _exchange(wanted)
        earlier = begin_exchange(self.store, exchange)
        if earlier is not None and earlier != _AGAIN:
            return earlier
        do = task.with_id if call.resource else task.without_id
        assert do is not None  # noqa: S101  # checked before
        response: Mapping[str, Any]
        try:
            _refuse_shared_ducts(wanted)
            response = accepted(call, do(wanted))
        except Exception as error:
            refusal = _refusal(error, call)
            response = refused(call, refusal)
            if refusal.code in _NOT_KEPT or refusal.code in _UNEXPECTED.values():
                forget_exchange(self.store, exchange)
                return response
        end_exchange(self.store, exchange, _AGAIN if call.method == "GET" else response)
        return response


def _exchange(wanted: Wanted) -> Exchange:
    call = wanted.call
    name = f"{call.method} {call.name}/{call.resource}"
    return Exchange(wanted.access.require_organisation(), call.request_id, name, wanted.body.digest)


def _written(call: Call) -> bytes:
    """Return what a call is beside its body and ids."""
    rest = sorted((name, text) for name, text in call.parameters.items() if name not in _IDS)
    return orjson.dumps([call.method, call.name, call.resource, rest])


def _refuse_shared_ducts(wanted: Wanted) -> None:
    if wanted.flag("isSamfoeringsforespoergsel"):
        raise Refusal("00-310")


def _require_once(request: Request) -> None:
    names = [name.lower() for name, _ in request.query_params.multi_items()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _wrong(f"{twice[0][:60]} er angivet flere gange.", f"{twice[0][:60]} is given more than once.")


def _wrong(da: str, en: str) -> Refusal:
    return Refusal("00-300", (da, en))


def _refusal(error: Exception, call: Call) -> Refusal:
    """Return LER's code for whatever went wrong; of a fault of ours nothing is told."""
    match error:
        case Refusal():
            return error
        case NotAllowed() | NotFound():
            return Refusal("00-200", ("", error.message))
        case InvalidInput() | TooLarge():
            danish = str(error.details.get("message_da", ""))
            return Refusal("00-300", (danish, f"{error.message} {error.hint}".strip()))
        case StorageUnavailable():
            return Refusal("00-110")
    _log.error("call %s %s", call.name, call.request_id, exc_info=error)
    return Refusal(_UNEXPECTED.get(call.name, "00-100"))
