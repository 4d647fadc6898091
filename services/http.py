"""What every HTTP answer has in common: forwarding, origins, limits, methods, compression.

Six layers of plain ASGI around the application, outermost first: :class:`Forwarding` tells who asks when a
proxy stands before us, :class:`Origins` lets web pages of others read, :class:`Limits` keeps one client from
taking everything, :class:`Methods` answers HEAD and OPTIONS, :class:`Compression` packs what gets smaller,
:class:`Pages` guards browsers.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, Protocol, Self

import brotli
import zstandard
from anyio import to_thread
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from geoinfra.errors import AddressTooLong, GeoinfraError, NotAllowed, Overloaded, TooManyRequests
from services.errors import problem_of
from services.settings import Settings

__all__ = ["HttpRules", "client_of", "install", "weighted"]

type Network = IPv4Network | IPv6Network

_CLIENT: Final = "geoinfra.client"
_LIVE: Final = "/health/live"


@dataclass(frozen=True, slots=True)
class HttpRules:
    """Bounds and trusted parties; the defaults are those of the settings.

    Attributes
    ----------
    proxies
        Whose forwarding headers count.
    forwarded
        Whether the proxies write ``Forwarded`` (RFC 7239) instead of the ``X-Forwarded-`` headers.
    origins
        Origins of web pages that may do everything with a token; all others may read open data.
    address_bytes
        Longest path with its query.
    requests_per_s, burst
        Of one client; ``0`` sets no bound.
    at_once, at_once_per_client
        Requests under way.
    answer_s
        Until an answer must have begun, counted from the end of the request.
    """

    proxies: tuple[Network, ...] = ()
    forwarded: bool = False
    origins: frozenset[str] = frozenset()
    address_bytes: int = 16_384
    requests_per_s: float = 300.0
    burst: int = 1_500
    at_once: int = 256
    at_once_per_client: int = 64
    answer_s: float = 120.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the rules of a deployment."""
        return cls(
            proxies=settings.proxy_networks,
            forwarded=settings.proxy_headers == "forwarded",
            origins=settings.origins,
            address_bytes=settings.max_address_bytes,
            requests_per_s=settings.requests_per_s,
            burst=settings.requests_burst,
            at_once=settings.requests_at_once,
            at_once_per_client=settings.requests_at_once_per_client,
            answer_s=settings.answer_within_s,
        )


def install(app: FastAPI, rules: HttpRules) -> None:
    """Put the layers around `app`; what was added before lies within them."""
    app.add_middleware(Pages)
    app.add_middleware(Compression)
    app.add_middleware(Methods, routes=app.router.routes)
    app.add_middleware(Limits, rules=rules)
    app.add_middleware(Origins, listed=rules.origins)
    app.add_middleware(Forwarding, proxies=rules.proxies, forwarded=rules.forwarded)


def client_of(scope: Scope) -> str:
    """Return the address of the client, as a trusted proxy tells it or else as the connection does."""
    told: str | None = scope.get(_CLIENT)
    if told is not None:
        return told
    peer = scope.get("client")
    return peer[0] if peer else ""


async def _refuse(error: GeoinfraError, scope: Scope, receive: Receive, send: Send, **headers: str) -> None:
    response = problem_of(error)
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    await response(scope, receive, send)


# --- Who asks

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")
_PAIR = re.compile(r'\s*([A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^";,\s]*)\s*')


@lru_cache(maxsize=4096)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


class Forwarding:
    """Takes client, scheme and host from the headers of trusted proxies; those of all others are ignored.

    Redirects to another address of the same host are made relative, so that they hold behind any proxy.
    """

    def __init__(self, app: ASGIApp, *, proxies: Sequence[Network], forwarded: bool) -> None:
        self.app = app
        self._proxies = tuple(proxies)
        self._forwarded = forwarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        peer = scope.get("client")
        if peer and self._proxies and self._is_trusted(peer[0]):
            scope = self._told(scope, Headers(scope=scope))
        host = Headers(scope=scope).get("host", "")
        own = tuple(f"{scheme}://{host}/" for scheme in ("http", "https"))

        async def relative(message: Message) -> None:
            if message["type"] == "http.response.start" and 300 <= message["status"] < 400:
                headers = MutableHeaders(scope=message)
                location = headers.get("location", "")
                if location.startswith(own):
                    headers["location"] = "/" + location.split("/", 3)[3]
            await send(message)

        await self.app(scope, receive, relative)

    def _is_trusted(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._proxies)

    def _told(self, scope: Scope, headers: Headers) -> Scope:
        hops = _forwarded(headers) if self._forwarded else _x_forwarded(headers)
        hop = self._client_hop(hops)
        if hop is None:
            return scope
        told = {**scope, _CLIENT: hop["for"]}
        if hop.get("proto") in ("http", "https"):
            told["scheme"] = hop["proto"]
        if _HOST.fullmatch(hop.get("host", "")):
            kept = [(name, value) for name, value in scope["headers"] if name != b"host"]
            told["headers"] = [*kept, (b"host", hop["host"].encode())]
        return told

    def _client_hop(self, hops: Sequence[Mapping[str, str]]) -> Mapping[str, str] | None:
        """Return the nearest hop that no trusted proxy made; ``None`` where the chain cannot be read."""
        for hop in reversed(hops):
            if _address(hop.get("for", "")) is None:
                return None
            if not self._is_trusted(hop["for"]):
                return hop
        return hops[0] if hops else None


def _x_forwarded(headers: Headers) -> list[dict[str, str]]:
    chain = [part.strip() for part in ",".join(headers.getlist("x-forwarded-for")).split(",")]
    last = {
        name: ",".join(headers.getlist(f"x-forwarded-{name}")).rsplit(",", 1)[-1].strip()
        for name in ("proto", "host")
    }
    return [{"for": _bare(address), **last} for address in chain if address]


def _forwarded(headers: Headers) -> list[dict[str, str]]:
    hops = []
    for element in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', ",".join(headers.getlist("forwarded"))):
        pairs = {name.lower(): value.strip('"') for name, value in _PAIR.findall(element)}
        hops.append({**pairs, "for": _bare(pairs.get("for", ""))})
    return hops


def _bare(address: str) -> str:
    """Return an address without brackets and port."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


# --- Pages of other origins

_OPEN_PATHS = ("/ogc", "/tiles/", "/api/openapi.json", "/.well-known/")
_EXPOSED = (
    "Link, Content-Crs, Content-Disposition, Content-Language, ETag, Location, Retry-After, "
    "Preference-Applied, Accept-Ranges, Content-Range"
)
_READING = frozenset({"GET", "HEAD"})
_WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_PLAIN_HEADERS = frozenset(
    {
        "accept",
        "accept-language",
        "cache-control",
        "content-language",
        "content-type",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "pragma",
        "range",
    }
)
_TRUSTED_HEADERS = frozenset(
    {"authorization", "idempotency-key", "if-match", "if-unmodified-since", "last-event-id", "prefer"}
)


class Origins:
    """Cross-origin rules: every page may read the open paths, listed origins may do all, nobody by cookie.

    No answer allows credentials, so that a browser keeps cookies out; tokens are sent by listed origins only.
    """

    def __init__(self, app: ASGIApp, *, listed: frozenset[str]) -> None:
        self.app = app
        self._listed = listed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if scope["method"] == "OPTIONS" and origin and "access-control-request-method" in headers:
            await self._preflight(scope, receive, send, headers)
            return
        allowed = self._allowed(scope["path"], origin)
        varies = bool(self._listed) and allowed != "*"
        if allowed is None and not varies:
            await self.app(scope, receive, send)
            return

        async def shared(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                if allowed is not None:
                    answer["access-control-allow-origin"] = allowed
                    answer["access-control-expose-headers"] = _EXPOSED
                if varies:
                    answer.add_vary_header("Origin")
            await send(message)

        await self.app(scope, receive, shared)

    def _allowed(self, path: str, origin: str | None) -> str | None:
        if path.startswith(_OPEN_PATHS):
            return "*"
        return origin if origin in self._listed else None

    async def _preflight(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        origin = headers["origin"]
        is_listed = origin in self._listed
        methods = _READING | _WRITING if is_listed else _READING
        names = _PLAIN_HEADERS | _TRUSTED_HEADERS if is_listed else _PLAIN_HEADERS
        asked = {
            name.strip().lower() for name in headers.get("access-control-request-headers", "").split(",")
        }
        is_open = self._allowed(scope["path"], origin) is not None
        if not is_open or headers["access-control-request-method"] not in methods or asked - names - {""}:
            await _refuse(
                NotAllowed(
                    "Pages of this origin may not ask that.",
                    hint="Without a token they may read the open paths; the operator lists who may do more.",
                ),
                scope,
                receive,
                send,
                vary="Origin",
            )
            return
        answer = {
            "Access-Control-Allow-Origin": origin if is_listed else "*",
            "Access-Control-Allow-Methods": ", ".join(sorted(methods)),
            "Access-Control-Allow-Headers": ", ".join(sorted(names)),
            "Access-Control-Max-Age": "3600",
            "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        }
        await Response(status_code=204, headers=answer)(scope, receive, send)


# --- Limits

_WAITS = re.compile(rb"(?:^|&)wait_s=")
_MOST_CLIENTS = 20_000


@dataclass(slots=True)
class _Client:
    """A client's share: what is left in his bucket, and how much is under way."""

    tokens: float
    seen_s: float
    under_way: int = 0


class Limits:
    """Refuses what is too long, too often or too much at once, and answers what takes too long.

    A network of 2^64 IPv6 addresses is one client. What only waits (``wait_s``, streams of events) counts for
    its client and not for all.
    """

    def __init__(
        self, app: ASGIApp, *, rules: HttpRules, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.app = app
        self._rules = rules
        self._clock = clock
        self._clients: dict[str, _Client] = {}
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == _LIVE:
            await self.app(scope, receive, send)
            return
        rules = self._rules
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > rules.address_bytes:
            too_long = AddressTooLong(
                f"The address is longer than {rules.address_bytes:,} bytes.",
                hint="Simplify the filter's polygon, or use bbox.",
            )
            await _refuse(too_long, scope, receive, send)
            return
        client = self._client(_share_of(client_of(scope)))
        refused = self._refusal(client)
        if refused is not None:
            error, wait_s = refused
            await _refuse(error, scope, receive, send, retry_after=str(wait_s))
            return
        await self._within(scope, receive, send, client)

    def _client(self, name: str) -> _Client:
        """Return the client, with what has flowed into his bucket meanwhile."""
        now_s = self._clock()
        client = self._clients.get(name)
        if client is None:
            if len(self._clients) >= _MOST_CLIENTS:
                self._forget(now_s)
            client = self._clients[name] = _Client(self._rules.burst, now_s)
        gained = (now_s - client.seen_s) * self._rules.requests_per_s
        client.tokens, client.seen_s = min(self._rules.burst, client.tokens + gained), now_s
        return client

    def _forget(self, now_s: float) -> None:
        """Forget clients whose bucket has filled again."""
        full_s = self._rules.burst / max(self._rules.requests_per_s, 1e-9)
        self._clients = {
            name: client
            for name, client in self._clients.items()
            if client.under_way or now_s - client.seen_s < full_s
        }

    def _refusal(self, client: _Client) -> tuple[GeoinfraError, int] | None:
        rules = self._rules
        if client.under_way >= rules.at_once_per_client:
            message = f"More than {rules.at_once_per_client} of your requests are under way."
            return TooManyRequests(message, hint="Wait for their answers."), 1
        if self._under_way >= rules.at_once:
            return Overloaded("More requests are under way than are served at once.", hint="Ask again."), 1
        if not rules.requests_per_s:
            return None
        if client.tokens < 1:
            wait_s = math.ceil((1 - client.tokens) / rules.requests_per_s)
            message = f"You ask more than {rules.requests_per_s:g} times a second."
            return TooManyRequests(message, hint="Ask for more at once, or less often."), wait_s
        client.tokens -= 1
        return None

    async def _within(self, scope: Scope, receive: Receive, send: Send, client: _Client) -> None:
        counts = _WAITS.search(scope["query_string"]) is None
        client.under_way += 1
        self._under_way += counts
        answer = _TimedAnswer(scope, receive, send, self._rules.answer_s)

        async def watched(message: Message) -> None:
            nonlocal counts
            if counts and message["type"] == "http.response.start" and _is_stream_of_events(message):
                counts = False
                self._under_way -= 1
            await answer.send(message)

        try:
            await self.app(scope, answer.receive, watched)
        finally:
            answer.end()
            client.under_way -= 1
            self._under_way -= counts


class _TimedAnswer:
    """Answers 503 when no answer has begun in time; what comes later is dropped.

    Work in a thread cannot be stopped: it goes on to its end, and keeps its place among the requests.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, after_s: float) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._after_s = after_s
        self._timer: asyncio.TimerHandle | None = None
        self._refusing: asyncio.Task[None] | None = None
        self._begun = False
        headers = Headers(scope=scope)
        if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
            self._start()

    async def receive(self) -> Message:
        """Receive the request; the time runs from its end."""
        message = await self._receive()
        if not (self._begun or self._timer or self._refusing or message.get("more_body", False)):
            self._start()
        return message

    async def send(self, message: Message) -> None:
        """Send the answer, unless it comes too late."""
        if self._refusing is not None:
            return
        if not self._begun:
            self._begun = True
            self.end()
        await self._send(message)

    def end(self) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()

    def _start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._after_s, self._expire)

    def _expire(self) -> None:
        if not self._begun and self._refusing is None:
            error = Overloaded("The answer took too long.", hint="Ask for less at once, or again later.")
            told = _refuse(error, self._scope, self._receive, self._send, retry_after="30")
            self._refusing = asyncio.get_running_loop().create_task(told)


def _is_stream_of_events(message: Message) -> bool:
    return Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")


def _share_of(client: str) -> str:
    """Return what counts as one client: an IPv4 address, or the first half of an IPv6 address."""
    address = _address(client)
    if isinstance(address, IPv6Address):
        return str(int(address) >> 64)
    return client


# --- Pages

_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)


class Pages:
    """Tells browsers to believe media types, and to run scripts of this server's files only.

    A page that brings its own Content-Security-Policy keeps it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("x-content-type-options", "nosniff")
                if headers.get("content-type", "").startswith(("text/html", "image/svg+xml")):
                    headers.setdefault("content-security-policy", _POLICY)
            await send(message)

        await self.app(scope, receive, guarded)


# --- Methods


class Methods:
    """Answers HEAD wherever GET is served, and OPTIONS with the methods of the address."""

    def __init__(self, app: ASGIApp, *, routes: Iterable[BaseRoute]) -> None:
        self.app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["type"] == "http" else ""
        if method == "HEAD":
            await _Head(receive, send).run(self.app, scope)
        elif method == "OPTIONS":
            await self._options(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _options(self, scope: Scope, receive: Receive, send: Send) -> None:
        offered = set(_methods_of(self._routes, scope))
        if not offered or "OPTIONS" in offered:
            await self.app(scope, receive, send)
            return
        if "GET" in offered:
            offered.add("HEAD")
        allow = {"Allow": ", ".join(sorted(offered | {"OPTIONS"}))}
        await Response(status_code=204, headers=allow)(scope, receive, send)


def _methods_of(routes: Iterable[BaseRoute], scope: Scope) -> Iterator[str]:
    """Yield the methods that the routes offer at the address of a request."""
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.NONE:
            continue
        inner = getattr(route, "routes", None)
        if inner:
            yield from _methods_of(inner, {**scope, **child})
        else:
            yield from getattr(route, "methods", None) or ("GET",)


class _Head:
    """Runs GET, sends its headers, and ends the work when they are out."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._done = asyncio.Event()

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        await app({**scope, "method": "GET"}, self._received, self._sent)

    async def _received(self) -> Message:
        """Give the request; once the headers are out the client counts as gone, which ends streams."""
        received = asyncio.ensure_future(self._receive())
        done = asyncio.ensure_future(self._done.wait())
        try:
            await asyncio.wait([received, done], return_when=asyncio.FIRST_COMPLETED)
            return {"type": "http.disconnect"} if self._done.is_set() else received.result()
        finally:
            received.cancel()
            done.cancel()

    async def _sent(self, message: Message) -> None:
        if self._done.is_set():
            return
        await self._send(message)
        if message["type"] == "http.response.start":
            self._done.set()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


# --- Compression

_LEAST_BYTES = 1_000
_IN_THREAD_BYTES = 200_000
_PACKED_TYPES = frozenset(
    {
        "application/json",
        "application/javascript",
        "application/xml",
        "application/wasm",
        "application/flatgeobuf",
        "application/geopackage+sqlite3",
        "application/vnd.apache.arrow.stream",
        "application/vnd.mapbox-vector-tile",
        "application/vnd.oai.openapi+json",
        "image/svg+xml",
        "image/vnd.dxf",
    }
)
_ENCODINGS = ("zstd", "br", "gzip")
"""In the order that we prefer."""


class _Packer(Protocol):
    """Packs a body piece by piece."""

    def pack(self, piece: bytes) -> bytes:
        """Return what is ready after this piece."""
        ...

    def finish(self) -> bytes:
        """Return the rest."""
        ...


class _Zstd:
    def __init__(self) -> None:
        self._packer = zstandard.ZstdCompressor(level=3).compressobj()

    def pack(self, piece: bytes) -> bytes:
        return self._packer.compress(piece)

    def finish(self) -> bytes:
        return self._packer.flush()


class _Brotli:
    def __init__(self) -> None:
        self._packer = brotli.Compressor(quality=4)

    def pack(self, piece: bytes) -> bytes:
        return bytes(self._packer.process(piece))

    def finish(self) -> bytes:
        return bytes(self._packer.finish())


class _Gzip:
    def __init__(self) -> None:
        self._packer = zlib.compressobj(5, zlib.DEFLATED, 31)

    def pack(self, piece: bytes) -> bytes:
        return self._packer.compress(piece)

    def finish(self) -> bytes:
        return self._packer.flush()


_PACKERS: Mapping[str, Callable[[], _Packer]] = {"zstd": _Zstd, "br": _Brotli, "gzip": _Gzip}


class Compression:
    """Packs bodies as the client accepts: zstd, brotli or gzip.

    Small bodies, parts of files, streams of events and what is packed already stay as they are. A packed
    answer is another representation, so its entity tag becomes weak; conditions that come back with the weak
    tag are also put to the application with the strong one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        encoding = None if "range" in headers else _chosen_encoding(headers.get("accept-encoding", ""))
        if "if-none-match" in headers or "if-match" in headers:
            scope = {**scope, "headers": [_with_strong_tags(*header) for header in scope["headers"]]}
        await self.app(scope, receive, _Packing(send, encoding).send)


def _chosen_encoding(accepted: str) -> str | None:
    """Return the best of our encodings for an ``Accept-Encoding``; ``None`` leaves the body as it is."""
    wanted = dict(weighted(accepted))
    rest = wanted.get("*", 0.0)
    ranked = [(wanted.get(name, rest), -place, name) for place, name in enumerate(_ENCODINGS)]
    best = max(ranked)
    return best[2] if best[0] > 0 and best[0] >= wanted.get("identity", 0.0) else None


def weighted(header: str) -> Iterator[tuple[str, float]]:
    """Yield the lower-case values of a header with their weights; parameters other than ``q`` are dropped."""
    for part in header.split(","):
        value, *parameters = (piece.strip() for piece in part.lower().split(";"))
        if value:
            yield value, _quality(parameters)


def _quality(parameters: Iterable[str]) -> float:
    """Return the weight among the parameters of a value: 0 to 1, and 0 where it is no such number."""
    for parameter in parameters:
        if parameter.startswith("q="):
            text = parameter[2:]
            return float(text) if re.fullmatch(r"0(\.\d{0,3})?|1(\.0{0,3})?", text) else 0.0
    return 1.0


def _with_strong_tags(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    if name not in (b"if-none-match", b"if-match") or b"W/" not in value:
        return name, value
    tags = [tag.strip() for tag in value.split(b",")]
    return name, b", ".join([*tags, *(tag[2:] for tag in tags if tag.startswith(b"W/"))])


class _Packing:
    """Sends one answer, packed where that is worth it."""

    def __init__(self, send: Send, encoding: str | None) -> None:
        self._send = send
        self._encoding = encoding
        self._start: Message | None = None
        self._packer: _Packer | None = None

    async def send(self, message: Message) -> None:
        """Send a message of the application; the start waits for the first piece of the body."""
        if message["type"] == "http.response.start":
            if _may_be_packed(message):
                MutableHeaders(scope=message).add_vary_header("Accept-Encoding")
                if self._encoding is not None:
                    self._start = message
                    return
            await self._send(message)
        elif self._start is not None and message["type"] == "http.response.body":
            start, self._start = self._start, None
            await self._first(start, message)
        elif self._packer is not None and message["type"] == "http.response.body":
            await self._send({**message, "body": await self._packed(self._packer, message)})
        else:
            await self._send(message)

    async def _first(self, start: Message, message: Message) -> None:
        is_whole = not message.get("more_body", False)
        if is_whole and len(message.get("body", b"")) < _LEAST_BYTES:
            await self._send(start)
            await self._send(message)
            return
        assert self._encoding is not None  # noqa: S101  # the start waits only when one was chosen
        self._packer = _PACKERS[self._encoding]()
        body = await self._packed(self._packer, message)
        headers = MutableHeaders(scope=start)
        headers["content-encoding"] = self._encoding
        for name in ("content-length", "accept-ranges"):
            if name in headers:
                del headers[name]
        if is_whole:
            headers["content-length"] = str(len(body))
        tag = headers.get("etag")
        if tag is not None and not tag.startswith("W/"):
            headers["etag"] = f"W/{tag}"
        await self._send(start)
        await self._send({**message, "body": body})

    async def _packed(self, packer: _Packer, message: Message) -> bytes:
        piece, is_last = message.get("body", b""), not message.get("more_body", False)

        def pack() -> bytes:
            return packer.pack(piece) + (packer.finish() if is_last else b"")

        return await to_thread.run_sync(pack) if len(piece) > _IN_THREAD_BYTES else pack()


def _may_be_packed(start: Message) -> bool:
    if start["status"] in (204, 206, 304) or start["status"] < 200:
        return False
    headers = Headers(raw=start["headers"])
    if "content-encoding" in headers or "content-range" in headers:
        return False
    if "no-transform" in headers.get("cache-control", ""):
        return False
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("text/"):
        return kind != "text/event-stream"
    return kind in _PACKED_TYPES or kind.endswith(("+json", "+xml"))
