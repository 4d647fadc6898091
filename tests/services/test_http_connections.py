"""Clients that send or take nothing lose their connection; the others are answered meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse

from services.connections import ConnectionRules, bounded_protocol

pytestmark = pytest.mark.services

SLOW_SOCKETS = 200
FAST = ConnectionRules(head_s=1.0, stall_s=1.0, per_client=300)


def _app() -> FastAPI:
    app = FastAPI()

    async def hello() -> Response:
        return Response(b"hello")

    async def echo(request: Request) -> Response:
        return Response(await request.body())

    async def endless() -> Response:
        return StreamingResponse((b"x" * 65_536 for _ in range(10_000)), media_type="application/zip")

    app.add_api_route("/hello", hello, response_model=None)
    app.add_api_route("/echo", echo, methods=["POST"], response_model=None)
    app.add_api_route("/endless", endless, response_model=None)
    return app


@contextmanager
def served(rules: ConnectionRules) -> Iterator[int]:
    """Run a server; gives its port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(512)
        config = uvicorn.Config(
            _app(), log_level="critical", lifespan="off", http=bounded_protocol(rules), ws="none"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served(FAST) as made:
        yield made


def _rest(connection: socket.socket) -> bytes:
    """What comes until the server closes; a reset counts as closing."""
    received = b""
    try:
        while piece := connection.recv(65_536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def _answers(port: int) -> float:
    """Ask once; return the seconds that it took."""
    begun_s = time.monotonic()
    assert httpx.get(f"http://127.0.0.1:{port}/hello", timeout=5).content == b"hello"
    return time.monotonic() - begun_s


def test_200_slow_clients_do_not_keep_others_waiting_and_are_closed(port: int) -> None:
    with ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            for _ in range(SLOW_SOCKETS)
        ]
        for number, connection in enumerate(slow):
            if number % 4:  # every fourth says nothing at all
                connection.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert _answers(port) < 1.5
        until_s = time.monotonic() + 0.6
        while time.monotonic() < until_s:
            for number, connection in enumerate(slow):
                if number % 4:
                    connection.sendall(b"a")
            time.sleep(0.2)
        assert _answers(port) < 1.5
        told = [_rest(connection) for connection in slow]
    assert [text.startswith(b"HTTP/1.1 408 ") for text in told] == [n % 4 != 0 for n in range(SLOW_SOCKETS)]
    assert _answers(port) < 1.5


def test_a_second_request_on_a_connection_has_the_same_bound(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        while not connection.recv(65_536).endswith(b"hello"):
            continue
        connection.sendall(b"GET /hel")
        assert _rest(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("trickle", [b"", b"x"])
def test_a_body_that_does_not_come_is_not_waited_for(port: int, trickle: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nab")
        for _ in range(3):
            time.sleep(0.2)
            if trickle:
                connection.sendall(trickle)
        assert _rest(connection).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_comes_at_a_sane_pace_is_read(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3000\r\n\r\n"
        )
        for _ in range(6):
            connection.sendall(b"y" * 500)
            time.sleep(0.25)
        assert _rest(connection).endswith(b"y" * 3000)


def test_a_client_that_takes_no_answer_is_closed(port: int) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(2.5)
        assert len(_rest(connection)) < 20_000_000  # of 655 million bytes


def test_one_address_holds_a_bounded_number_of_connections_and_a_proxy_any() -> None:
    for proxies, answered in (((), 3), ((ip_network("127.0.0.0/8"),), 6)):
        with served(ConnectionRules(per_client=3, proxies=proxies)) as port, ExitStack() as stack:
            held = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
                for _ in range(6)
            ]
            texts = []
            for connection in held:
                try:
                    connection.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
                    texts.append(connection.recv(65_536))
                except (ConnectionResetError, BrokenPipeError):
                    texts.append(b"")
            assert sum(text.startswith(b"HTTP/1.1 200") for text in texts) == answered


def test_each_request_of_a_connection_that_stays_has_its_own_time(port: int) -> None:
    """Small bodies, each a moment after its head, for longer than one body may take."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for number in range(20):
            connection.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
            time.sleep(0.15)
            connection.sendall(b"ab")
            answer = b""
            while not answer.endswith(b"\r\n\r\nab"):
                answer += (piece := connection.recv(65_536))
                assert piece, (number, answer)
            assert answer.startswith(b"HTTP/1.1 200"), (number, answer)
