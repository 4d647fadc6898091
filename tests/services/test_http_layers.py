"""The layers around every answer: compression, methods, origins, forwarding, limits."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import brotli
import httpx
import pytest
import zstandard
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

import services.errors
import services.http
from services.connections import ConnectionRules
from services.http import HttpRules, client_of
from services.settings import Settings

pytestmark = pytest.mark.services

TEXT = ("<b>Ledning</b> æøå " * 500).encode()
BYTES = bytes(range(256)) * 40
UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda packed: zstandard.ZstdDecompressor().decompressobj().decompress(packed),
}


@dataclass
class World:
    """An application with the layers around it, and what its handlers did."""

    rules: HttpRules
    file: Path
    pieces: int = 0
    ended: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    app: FastAPI = field(default_factory=FastAPI)

    def __post_init__(self) -> None:
        self.file.write_bytes(BYTES)
        services.errors.install(self.app)
        services.http.install(self.app, self.rules)
        for path, answer in {
            "/text": lambda: Response(
                TEXT, headers={"ETag": 'W/"t"', "Vary": "Accept"}, media_type="text/html"
            ),
            "/small": lambda: Response(b"a" * 999, media_type="text/html"),
            "/zip": lambda: Response(TEXT, media_type="application/zip"),
            "/untouchable": lambda: Response(
                TEXT, headers={"Cache-Control": "no-transform"}, media_type="text/css"
            ),
            "/file": lambda: FileResponse(self.file, media_type="text/csv", filename="pakke.csv"),
            "/stream": lambda: StreamingResponse(self.streamed(), media_type="text/csv"),
            "/events": lambda: StreamingResponse(self.events(), media_type="text/event-stream"),
            "/blocked": self.blocked,
            "/health/live": lambda: Response(b"live"),
        }.items():
            self.app.add_api_route(path, answer, response_model=None)
        self.app.add_api_route("/tagged", self.tagged, response_model=None)
        self.app.add_api_route("/who", self.who, response_model=None)
        self.app.add_api_route("/ogc/who", self.who, response_model=None)
        self.app.add_api_route("/moved", self.moved, response_model=None)
        self.app.add_api_route("/echo", self.echo, methods=["POST"], response_model=None)
        self.app.add_api_route("/echo", self.echo, methods=["PUT"], response_model=None)

    async def tagged(self, request: Request) -> Response:
        held = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
        if '"s"' in held:
            return Response(status_code=304, headers={"ETag": '"s"'})
        return Response(TEXT, headers={"ETag": '"s"'}, media_type="application/geo+json")

    async def who(self, request: Request) -> Response:
        peer = request.client.host if request.client else ""
        return JSONResponse({"client": client_of(request.scope), "peer": peer, "url": str(request.url)})

    async def moved(self, request: Request) -> Response:
        return RedirectResponse(str(request.url_for("who")))

    async def echo(self, request: Request) -> Response:
        return Response(await request.body(), media_type="text/plain")

    def blocked(self) -> Response:
        self.gate.wait(20)
        return Response(b"late")

    def streamed(self) -> Iterator[bytes]:
        for _ in range(10):
            self.pieces += 1
            yield TEXT

    async def events(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: 1\n\n" * 300
                await asyncio.sleep(0.01)
        finally:
            self.ended = True

    def client(self, address: str = "203.0.113.7") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(address, 5000))
        return httpx.AsyncClient(transport=transport, base_url="http://server")

    def ask(
        self, path: str, method: str = "GET", *, client: str = "203.0.113.7", **headers: str
    ) -> httpx.Response:
        """Ask once; the body comes as it was sent."""

        async def asked() -> httpx.Response:
            async with self.client(client) as http:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                async with http.stream(
                    method, path, headers={"accept-encoding": "identity", **named}
                ) as answer:
                    raw = b"".join([piece async for piece in answer.aiter_raw()])
                return httpx.Response(answer.status_code, headers=_unpacked(answer.headers), content=raw)

        return asyncio.run(asked())


def _unpacked(headers: httpx.Headers) -> list[tuple[str, str]]:
    """Headers under which httpx leaves the body alone."""
    return [
        ("packed" if name == "content-encoding" else name, value) for name, value in headers.multi_items()
    ]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(HttpRules(), tmp_path / "file")


def world_with(tmp_path: Path, **rules: Any) -> World:
    return World(HttpRules(**rules), tmp_path / "file")


# --- Compression


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, br;q=0.5, zstd;q=0", "gzip"),
        ("gzip;q=0.5, br;q=0.8", "br"),
        ("*", "zstd"),
        ("*;q=0.1, zstd;q=0", "br"),
        ("GZIP", "gzip"),
        ("deflate", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=0.4, identity;q=0.9", None),
        ("gzip;q=nan", None),
        ("gzip;q=2", None),
        ("", None),
        (",;=,q=1", None),
    ],
)
@pytest.mark.parametrize("path", ["/text", "/stream"])
def test_a_body_is_packed_as_the_client_accepts(
    world: World, path: str, accepted: str, chosen: str | None
) -> None:
    answer = world.ask(path, accept_encoding=accepted)
    assert answer.headers.get("packed") == chosen
    assert "Accept-Encoding" in answer.headers["vary"]
    unpacked = UNPACK[chosen](answer.content) if chosen else answer.content
    assert unpacked == (TEXT if path == "/text" else TEXT * 10)
    if path == "/text":
        assert int(answer.headers["content-length"]) == len(answer.content)
    if chosen:
        assert len(answer.content) < len(unpacked) / 4


@pytest.mark.parametrize("path", ["/small", "/zip", "/untouchable", "/health/live"])
def test_what_gains_nothing_is_not_packed(world: World, path: str) -> None:
    assert "packed" not in world.ask(path, accept_encoding="gzip, br, zstd").headers


def test_a_packed_answer_has_a_weak_tag_that_still_answers_304(world: World) -> None:
    assert world.ask("/tagged").headers["etag"] == '"s"'
    packed = world.ask("/tagged", accept_encoding="br")
    assert packed.headers["etag"] == 'W/"s"'
    again = world.ask("/tagged", accept_encoding="br", if_none_match=packed.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert world.ask("/text", accept_encoding="br").headers["etag"] == 'W/"t"'
    assert world.ask("/tagged", if_none_match='W/"x"').status_code == 200


def test_parts_of_files_are_served_and_never_packed(world: World) -> None:
    whole = world.ask("/file", accept_encoding="gzip")
    assert UNPACK["gzip"](whole.content) == BYTES
    assert "accept-ranges" not in whole.headers
    plain = world.ask("/file")
    assert plain.headers["accept-ranges"] == "bytes"
    part = world.ask("/file", range="bytes=100-199", accept_encoding="gzip")
    assert (part.status_code, part.content) == (206, BYTES[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(BYTES)}"
    assert "packed" not in part.headers
    end = world.ask("/file", range="bytes=-10")
    assert (end.status_code, end.content) == (206, BYTES[-10:])
    beyond = world.ask("/file", range=f"bytes={len(BYTES)}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(BYTES)}")
    held = world.ask("/file", range="bytes=0-9", if_range=plain.headers["etag"])
    assert (held.status_code, held.content) == (206, BYTES[:10])
    changed = world.ask("/file", range="bytes=0-9", if_range='"other"')
    assert (changed.status_code, changed.content) == (200, BYTES)


def test_events_are_neither_packed_nor_held_back(world: World) -> None:
    started = asyncio.run(_first_messages(world, "/events", {"accept-encoding": "gzip"}, count=2))
    headers = dict(started[0]["headers"])
    assert b"content-encoding" not in headers
    assert started[1]["body"].startswith(b"data: 1")
    assert world.ended


async def _first_messages(
    world: World, path: str, headers: dict[str, str], count: int, method: str = "GET"
) -> list[dict[str, Any]]:
    """Ask, and hang up after some messages."""
    sent: list[dict[str, Any]] = []
    enough, asked = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not asked.is_set():
            asked.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if len(sent) >= count:
            enough.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"server"), *((n.encode(), v.encode()) for n, v in headers.items())],
        "client": ("203.0.113.7", 1),
        "server": ("server", 80),
    }
    await asyncio.wait_for(world.app(scope, receive, send), 10)  # type: ignore[arg-type]  # plain ASGI
    return sent


# --- Pages


def test_browsers_believe_media_types_and_run_no_strange_scripts(world: World) -> None:
    page = world.ask("/text")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    data = world.ask("/tagged")
    assert data.headers["x-content-type-options"] == "nosniff"
    assert "content-security-policy" not in data.headers


# --- Methods


@pytest.mark.parametrize("path", ["/text", "/tagged", "/zip", "/file", "/who", "/nowhere", "/echo"])
@pytest.mark.parametrize("accepted", ["identity", "gzip"])
def test_head_has_the_headers_of_get_and_no_body(world: World, path: str, accepted: str) -> None:
    get = world.ask(path, accept_encoding=accepted)
    head = world.ask(path, "HEAD", accept_encoding=accepted)
    assert head.status_code == get.status_code
    assert head.content == b""
    for answer in (head, get):
        answer.headers.pop("date", None)
    assert head.headers == get.headers


def test_head_of_a_stream_ends_the_work(world: World) -> None:
    sent = asyncio.run(_first_messages(world, "/events", {}, 10_000, "HEAD"))
    assert [message.get("body", b"") for message in sent] == [b"", b""]
    assert world.ended
    asyncio.run(_first_messages(world, "/stream", {}, 10_000, "HEAD"))
    assert world.pieces < 10


def test_options_lists_the_methods_of_the_address(world: World) -> None:
    answer = world.ask("/text", "OPTIONS")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert world.ask("/echo", "OPTIONS").headers["allow"] == "OPTIONS, POST, PUT"
    assert world.ask("/nowhere", "OPTIONS").status_code == 404


def test_a_method_that_is_not_served_names_those_that_are(world: World) -> None:
    answer = world.ask("/text", "DELETE")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.headers["content-type"] == "application/problem+json"


# --- Pages of other origins

OURS, STRANGE = "https://map.example.org", "https://evil.example"


def _preflight(world: World, path: str, origin: str, method: str, headers: str = "") -> httpx.Response:
    return world.ask(
        path,
        "OPTIONS",
        origin=origin,
        access_control_request_method=method,
        access_control_request_headers=headers,
    )


def test_every_page_reads_open_paths_and_nobody_by_cookie(tmp_path: Path) -> None:
    world = world_with(tmp_path, origins=frozenset({OURS}))
    for origin in (OURS, STRANGE):
        answer = world.ask("/ogc/who", origin=origin)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert {"Link", "Content-Crs", "ETag", "Location"} <= set(
            answer.headers["access-control-expose-headers"].split(", ")
        )
        assert "access-control-allow-credentials" not in answer.headers
    assert _preflight(world, "/ogc/who", STRANGE, "GET", "if-none-match").status_code == 204


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/ogc/who", "POST", ""),
        ("/ogc/who", "DELETE", ""),
        ("/ogc/who", "GET", "authorization"),
        ("/who", "GET", ""),
        ("/who", "GET", "x-csrf-token"),
    ],
)
def test_strange_pages_neither_write_nor_send_tokens(
    tmp_path: Path, path: str, method: str, headers: str
) -> None:
    world = world_with(tmp_path, origins=frozenset({OURS}))
    refused = _preflight(world, path, STRANGE, method, headers)
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers
    if headers != "x-csrf-token":
        allowed = _preflight(world, path, OURS, method, headers)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, OURS)


def test_other_paths_answer_listed_origins_only(tmp_path: Path) -> None:
    world = world_with(tmp_path, origins=frozenset({OURS}))
    answer = world.ask("/who", origin=OURS)
    assert answer.headers["access-control-allow-origin"] == OURS
    assert "Origin" in answer.headers["vary"].split(", ")
    for origin in (STRANGE, "null", OURS + ".evil.example"):
        refused = world.ask("/who", origin=origin)
        assert "access-control-allow-origin" not in refused.headers
        assert "Origin" in refused.headers["vary"].split(", ")


@pytest.mark.parametrize("origins", ["*", "map.example.org", "https://a.example/", "https://", "file:///"])
def test_a_setting_of_origins_must_name_origins(origins: str) -> None:
    with pytest.raises(ValidationError, match="CORS_ORIGINS"):
        Settings(cors_origins=origins)


# --- Forwarding

SPOOFED = {
    "x_forwarded_for": "198.51.100.1",
    "x_forwarded_proto": "https",
    "x_forwarded_host": "evil.example",
    "forwarded": "for=198.51.100.2;proto=https;host=evil.example",
    "x_real_ip": "198.51.100.3",
}


def test_forwarding_headers_of_strangers_are_ignored(tmp_path: Path) -> None:
    for world in (world_with(tmp_path), world_with(tmp_path, proxies=(ip_network("10.0.0.0/8"),))):
        told = world.ask("/who", **SPOOFED).json()
        assert told == {"client": "203.0.113.7", "peer": "203.0.113.7", "url": "http://server/who"}


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("1.2.3.4, 198.51.100.1", "198.51.100.1"),  # what the client wrote himself stands before
        ("1.2.3.4, 198.51.100.1, 10.1.1.1", "198.51.100.1"),
        ("10.9.9.9", "10.9.9.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("198.51.100.1:4711", "198.51.100.1"),
        ("unknown", "10.0.0.1"),
        ("198.51.100.1, <script>", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_a_trusted_proxy_tells_the_client(tmp_path: Path, chain: str, client: str) -> None:
    world = world_with(tmp_path, proxies=(ip_network("10.0.0.0/8"),))
    told = world.ask("/who", client="10.0.0.1", x_forwarded_for=chain).json()
    assert (told["client"], told["peer"]) == (client, "10.0.0.1")


def test_a_trusted_proxy_tells_scheme_and_host(tmp_path: Path) -> None:
    world = world_with(tmp_path, proxies=(ip_network("10.0.0.0/8"),))
    told = world.ask("/who", client="10.0.0.1", **SPOOFED).json()
    assert told["url"] == "https://evil.example/who"  # it must replace what clients write
    for host in ("a b", "evil.example/x", "evil.example\\@x", "a:b:c"):
        told = world.ask(
            "/who", client="10.0.0.1", x_forwarded_for="198.51.100.1", x_forwarded_host=host
        ).json()
        assert told["url"] == "http://server/who"


@pytest.mark.parametrize(
    ("header", "client", "url"),
    [
        ("for=198.51.100.1;proto=https;host=geodata.example", "198.51.100.1", "https://geodata.example/who"),
        ('For="[2001:db8::1]:443"; Proto=http', "2001:db8::1", "http://server/who"),
        ("for=1.2.3.4, for=198.51.100.1;proto=https", "198.51.100.1", "https://server/who"),
        ("for=_hidden", "10.0.0.1", "http://server/who"),
        ('for="1.2.3.4, for=5.6.7.8', "5.6.7.8", "http://server/who"),
        ('for="1.2.3.4, for="[2001:db8::1]"', "10.0.0.1", "http://server/who"),
    ],
)
def test_the_other_kind_of_header_is_ignored(tmp_path: Path, header: str, client: str, url: str) -> None:
    world = world_with(tmp_path, proxies=(ip_network("10.0.0.0/8"),), forwarded=True)
    told = world.ask("/who", client="10.0.0.1", forwarded=header, x_forwarded_for="9.9.9.9").json()
    assert (told["client"], told["url"]) == (client, url)


def test_redirects_stay_on_the_host_that_was_asked(world: World) -> None:
    answer = world.ask("/moved", host="geodata.example:8080")
    assert (answer.status_code, answer.headers["location"]) == (307, "/who")


@pytest.mark.parametrize("proxies", ["0.0.0.0/0", "::/0", "10.0.0.1/8", "proxy"])
def test_a_setting_of_proxies_must_name_them(proxies: str) -> None:
    with pytest.raises(ValidationError, match="GEOINFRA_PROXIES"):
        Settings(proxies=proxies)


# --- Limits


def test_a_client_above_his_rate_waits_and_others_do_not(tmp_path: Path) -> None:
    world = world_with(tmp_path, requests_per_s=0.5, burst=3)
    assert [world.ask("/who").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = world.ask("/who")
    assert refused.headers["retry-after"] == "2"
    assert refused.json()["code"] == "too-many-requests"
    assert world.ask("/who", client="203.0.113.8").status_code == 200
    assert world.ask("/health/live").status_code == 200


def test_the_bucket_fills_again() -> None:
    now_s = 0.0
    limits = services.http.Limits(_nothing, rules=HttpRules(requests_per_s=2, burst=4), clock=lambda: now_s)
    answered = [asyncio.run(_status(limits)) for _ in range(5)]
    assert answered == [200, 200, 200, 200, 429]
    now_s = 1.0
    assert [asyncio.run(_status(limits)) for _ in range(3)] == [200, 200, 429]
    now_s = 1e6
    assert [asyncio.run(_status(limits)) for _ in range(5)] == [200, 200, 200, 200, 429]


def test_a_network_of_ipv6_addresses_is_one_client(tmp_path: Path) -> None:
    world = world_with(tmp_path, requests_per_s=0.1, burst=1)
    assert world.ask("/who", client="2001:db8:1:2::1").status_code == 200
    assert world.ask("/who", client="2001:db8:1:2:ffff::9").status_code == 429
    assert world.ask("/who", client="2001:db8:1:3::1").status_code == 200


def test_clients_that_rest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services.http, "_MOST_CLIENTS", 50)
    now_s = 0.0
    limits = services.http.Limits(_nothing, rules=HttpRules(requests_per_s=1, burst=1), clock=lambda: now_s)
    for number in range(500):
        now_s = number * 0.1
        assert asyncio.run(_status(limits, f"10.0.{number // 250}.{number % 250}")) == 200
    assert len(limits._clients) <= 60


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    await Response(b"")(scope, receive, send)


async def _status(app: Any, client: str = "203.0.113.7") -> int:
    transport = httpx.ASGITransport(app, client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        return (await http.get("/")).status_code


def test_too_much_at_once_is_shed_and_recovers(tmp_path: Path) -> None:
    world = world_with(tmp_path, at_once=3, at_once_per_client=2)

    async def scene() -> list[int]:
        async with world.client() as one, world.client("203.0.113.8") as two:
            running = [asyncio.create_task(one.get("/blocked")) for _ in range(2)]
            await asyncio.sleep(0.1)
            mine = await one.get("/who")
            running.append(asyncio.create_task(two.get("/blocked")))
            await asyncio.sleep(0.1)
            over_all = await two.get("/who")
            waiting = await two.get("/who?wait_s=5")
            assert over_all.headers["retry-after"] == mine.headers["retry-after"] == "1"
            world.gate.set()
            done = [answer.status_code for answer in await asyncio.gather(*running)]
            after = await one.get("/who")
        return [mine.status_code, over_all.status_code, waiting.status_code, *done, after.status_code]

    assert asyncio.run(scene()) == [429, 503, 503, 200, 200, 200, 200]


def test_an_answer_that_takes_too_long_is_503_and_keeps_its_place(tmp_path: Path) -> None:
    world = world_with(tmp_path, answer_s=0.2, at_once_per_client=1)

    async def scene() -> list[int]:
        async with world.client() as http:
            slow = asyncio.create_task(http.get("/blocked"))
            await asyncio.sleep(0.4)
            beside = await http.get("/who")
            world.gate.set()
            late = await slow
            assert late.headers["retry-after"] == "30"
            assert late.json()["code"] == "overloaded"
            after = await http.get("/who")
        return [late.status_code, beside.status_code, after.status_code]

    assert asyncio.run(scene()) == [503, 429, 200]


def test_a_body_that_arrives_slowly_has_its_own_time(tmp_path: Path) -> None:
    world = world_with(tmp_path, answer_s=0.2)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(5):
            await asyncio.sleep(0.1)
            yield b"x"

    async def scene() -> httpx.Response:
        async with world.client() as http:
            return await http.post("/echo", content=body())

    answer = asyncio.run(scene())
    assert (answer.status_code, answer.content) == (200, b"xxxxx")


def test_addresses_have_a_bound(tmp_path: Path) -> None:
    world = world_with(tmp_path, address_bytes=2_000)
    assert world.ask("/who?x=" + "a" * 1_900).status_code == 200
    refused = world.ask("/who?x=" + "a" * 2_000)
    assert (refused.status_code, refused.json()["code"]) == (414, "address-too-long")


def test_the_defaults_of_rules_are_those_of_the_settings() -> None:
    assert HttpRules.of(Settings()) == HttpRules()
    assert ConnectionRules.of(Settings()) == ConnectionRules()
