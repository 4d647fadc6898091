"""Connections with bounds: what uvicorn leaves to a proxy, for deployments that have none.

uvicorn closes a connection that is idle *between* requests. A client that never ends its request, or never
takes its answer, would hold its connection for ever; here it is closed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final, Self

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.settings import Settings

__all__ = ["ConnectionRules", "bounded_protocol"]

LEAST_BYTES_PER_S: Final = 500
"""A body that comes slower than this, over a whole stall time, is not waited for."""

_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ConnectionRules:
    """Bounds of connections; the defaults are those of the settings.

    Attributes
    ----------
    head_s
        Until the head of a request must be complete, counted from its first byte or from connecting.
    stall_s
        How long a client may send no body, or take no answer.
    per_client
        Connections from one address; more are closed at once.
    proxies
        Addresses without that bound.
    """

    head_s: float = 10.0
    stall_s: float = 30.0
    per_client: int = 500
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the rules of a deployment."""
        return cls(
            settings.head_within_s,
            settings.stall_s,
            settings.connections_per_client,
            settings.proxy_networks,
        )


def bounded_protocol(rules: ConnectionRules) -> Any:
    """Return what uvicorn's ``http`` takes: makes the protocol of each connection under `rules`."""
    return partial(BoundedProtocol, rules=rules, held=Counter())


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a time for each step that a client must take."""

    def __init__(
        self,
        config: Any,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        rules: ConnectionRules,
        held: Counter[str],
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._rules = rules
        self._held = held
        self._peer: str | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """Take a connection, unless its address holds too many."""
        super().connection_made(transport)
        if self.client is not None and not self._is_proxy(self.client[0]):
            self._peer = self.client[0]
            self._held[self._peer] += 1
            if self._held[self._peer] > self._rules.per_client:
                transport.abort()
                return
        self._head_timer = self.loop.call_later(self._rules.head_s, self._no_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        for timer in (self._head_timer, self._body_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        if self._peer is not None:
            self._held[self._peer] -= 1
            if not self._held[self._peer]:
                del self._held[self._peer]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and see which step the client must take next."""
        self._body_bytes += len(data)
        super().data_received(data)
        state = self.conn.their_state
        if state is h11.IDLE and self.timeout_keep_alive_task is None:
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(self._rules.head_s, self._no_head)
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if state is not h11.SEND_BODY:
            self._forget_body()
        elif self._body_timer is None:
            self._watch_body()

    def pause_writing(self) -> None:
        """The client takes no more for now."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self._rules.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has taken what waited."""
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _is_proxy(self, address: str) -> bool:
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        return any(peer in network for network in self._rules.proxies)

    def _no_head(self) -> None:
        self._head_timer = None
        if self.conn.their_state is h11.IDLE:
            self._close(told=bool(self.conn.trailing_data[0]))

    def _watch_body(self) -> None:
        self._body_bytes = 0
        self._body_timer = self.loop.call_later(self._rules.stall_s, self._check_body)

    def _forget_body(self) -> None:
        """The body has come; the next one on this connection has a time of its own."""
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _check_body(self) -> None:
        self._body_timer = None
        if self.conn.their_state is not h11.SEND_BODY:
            return
        is_slow = self._body_bytes < LEAST_BYTES_PER_S * self._rules.stall_s
        if is_slow and not self.flow.read_paused:
            self._close(told=self.conn.our_state is h11.SEND_RESPONSE)
        else:
            self._watch_body()

    def _close(self, *, told: bool) -> None:
        if told and not self.transport.is_closing():
            self.transport.write(_TIMED_OUT)
        self.transport.close()
