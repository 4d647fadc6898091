"""Notices by webhook: JSON by POST, signed as Standard Webhooks describes, to public addresses only.

The receiver's name is resolved once, every address is judged, and the connection goes to a judged address:
a name that changes its address between the two leads nowhere. Redirects are not followed, the answer's body
is not read, and no attempt takes longer than its bound. The environment's proxies are not used.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from urllib.parse import SplitResult

import orjson

import geoinfra
from geoinfra.errors import InvalidInput
from geoinfra.flows.channels import ChannelRules, check_webhook_url, is_allowed_address
from geoinfra.flows.notices import Message, Undelivered

__all__ = ["Webhooks", "signature"]

_CONNECT_S = 5.0
_WHOLE_S = 15.0
_LATER = frozenset({408, 425, 429})
_UNREACHABLE = "The receiver could not be reached."
_NOWHERE = "The receiver's name has no address that webhooks are allowed to reach."


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return one signature: ``v1,`` and the Base64 of HMAC-SHA256 over ``id.timestamp.body``."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"


class Webhooks:
    """Sends a notice to a webhook.

    Parameters
    ----------
    rules
        Which addresses are allowed.
    tls
        How certificates are checked; the system's authorities by default.
    whole_s
        Bound of one attempt once it is connected, in seconds.
    """

    def __init__(
        self, rules: ChannelRules, *, tls: ssl.SSLContext | None = None, whole_s: float = _WHOLE_S
    ) -> None:
        self._rules = rules
        self._tls = tls or ssl.create_default_context()
        self._whole_s = whole_s

    def __call__(self, message: Message) -> None:
        """Post the message, or raise :class:`Undelivered`."""
        try:
            url = check_webhook_url(message.channel.target, self._rules)
        except InvalidInput as error:  # the settings have changed since it was added
            raise Undelivered(error.message, final=True) from error
        status = self._post(url, message)
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise Undelivered(f"The receiver redirects ({status}), which is not followed.", final=True)
        final = 400 <= status < 500 and status not in _LATER
        raise Undelivered(f"The receiver answered {status}.", final=final)

    def _post(self, url: SplitResult, message: Message) -> int:
        body = orjson.dumps(message.document)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        try:
            with self._connected(url) as (connection, cut):
                connection.request("POST", path, body, _headers(message, body))
                status = connection.getresponse().status
                if cut.is_set():  # headers that were cut off look like an end of headers
                    raise TimeoutError
                return status
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Undelivered(_UNREACHABLE) from error

    @contextmanager
    def _connected(self, url: SplitResult) -> Iterator[tuple[http.client.HTTPConnection, threading.Event]]:
        """Connect to a judged address; when the time is over, the socket is shut and the event set."""
        host, port = str(url.hostname), url.port or (443 if url.scheme == "https" else 80)
        connection = http.client.HTTPConnection(host, port)
        connection.sock = self._open(self._addresses(host, port, url.scheme))
        cut = threading.Event()
        bound = threading.Timer(self._whole_s, _shut, (connection, cut))
        bound.daemon = True
        bound.start()
        try:
            if url.scheme == "https":
                secured = self._tls.wrap_socket(
                    connection.sock, server_hostname=host, do_handshake_on_connect=False
                )
                connection.sock = secured
                secured.do_handshake()
            yield connection, cut
        finally:
            bound.cancel()
            connection.close()

    def _addresses(self, host: str, port: int, scheme: str) -> Sequence[tuple[int, tuple[str, int]]]:
        """Resolve a name; one forbidden address among its addresses forbids it.

        A name that leads to a forbidden address fares like one that does not exist: nobody learns by a
        webhook which names the installation's own network has.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Undelivered(_NOWHERE) from error
        for _family, _type, _protocol, _name, address in found:
            if not is_allowed_address(str(address[0]), self._rules, scheme=scheme):
                raise Undelivered(_NOWHERE)
        return [(int(family), (str(address[0]), port)) for family, _, _, _, address in found]

    def _open(self, addresses: Sequence[tuple[int, tuple[str, int]]]) -> socket.socket:
        deadline = time.monotonic() + 2 * _CONNECT_S
        for family, address in addresses:
            if time.monotonic() > deadline:
                break
            raw = socket.socket(family, socket.SOCK_STREAM)
            raw.settimeout(_CONNECT_S)
            try:
                raw.connect(address)
            except OSError:
                raw.close()
                continue
            raw.settimeout(self._whole_s)
            return raw
        raise Undelivered(_UNREACHABLE)


def _shut(connection: http.client.HTTPConnection, cut: threading.Event) -> None:
    """End a connection under whoever waits for it."""
    cut.set()
    if connection.sock is not None:
        with suppress(OSError):
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)  # below TLS: no farewell to wait for


def _headers(message: Message, body: bytes) -> dict[str, str]:
    message_id, moment = str(message.event_id), int(time.time())
    signatures = " ".join(signature(key, message_id, moment, body) for key in message.keys)
    return {
        "Content-Type": "application/json",
        "User-Agent": f"geoinfra/{geoinfra.__version__}",
        "Webhook-Id": message_id,
        "Webhook-Timestamp": str(moment),
        "Webhook-Signature": signatures,
        "Connection": "close",
    }
