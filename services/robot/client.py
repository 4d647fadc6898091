"""The robot's side of the HTTP interface: bounded, over TLS, and without following anybody elsewhere."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import orjson
import shapely

from geoinfra.crs import require_denmark, transform_geometry
from geoinfra.errors import InvalidGeometry, InvalidInput, MissingResource
from geoinfra.utilities.enquiry import AnswerStatus
from geoinfra.utilities.legal_clock import answer_due

try:
    import httpx
except ImportError as error:  # the command line imports this module only when the robot runs
    raise MissingResource(
        "The owner's robot needs httpx.", hint="Install the extra: pip install 'geoinfra[services]'."
    ) from error

__all__ = ["MOST_WAITING", "NoAnswer", "OwnerClient", "Refused", "WaitingEnquiry"]

MOST_WAITING: Final = 500
_MOST_BYTES: Final = 64 * 1024 * 1024
_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}")
_LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))
_TRIES = 4
_FIRST_WAIT_S = 0.5
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)


class NoAnswer(Exception):
    """The server could not be reached, or did not answer as it should; try again later."""


class Refused(Exception):
    """The server answered that it will not take the request.

    Attributes
    ----------
    status
        HTTP status.
    """

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        text = str(problem.get("detail") or problem.get("title") or "no reason was given")
        super().__init__(f"{status}: {text[:500]}")
        self.status = status


@dataclass(frozen=True, slots=True)
class WaitingEnquiry:
    """An enquiry that this owner must answer.

    Attributes
    ----------
    area_document
        Dig area as GeoJSON in CRS84.
    """

    number: str
    filed_at: datetime
    area_document: dict[str, Any]

    @property
    def due_at(self) -> datetime:
        """When the owner's two hours end."""
        return answer_due(self.filed_at)

    def area(self) -> shapely.Geometry:
        """Return the dig area in EPSG:25832.

        Raises
        ------
        InvalidGeometry
            It is no polygon in Denmark.
        """
        try:
            read = shapely.from_geojson(orjson.dumps(self.area_document))
        except (shapely.errors.GEOSException, TypeError) as error:
            raise InvalidGeometry("The dig area is no GeoJSON polygon.") from error
        area = transform_geometry(read, "OGC:CRS84", "EPSG:25832")
        if not isinstance(area, shapely.Polygon) or area.is_empty:
            raise InvalidGeometry("The dig area is no GeoJSON polygon.")
        require_denmark(area)
        return shapely.make_valid(area)  # rounded to a millimetre, two of its sides may touch


class OwnerClient:
    """Talks to one server as one owner.

    Parameters
    ----------
    server
        Base address; ``https`` unless it is this machine.
    token
        Secret of a token with the role ``owner``; it is in no message.
    stop
        Ends waiting between tries.

    Raises
    ------
    InvalidInput
        The address is not one that a secret may be sent to.
    """

    def __init__(self, server: str, token: str, stop: Event | None = None) -> None:
        self.server = _checked_address(server)
        self._stop = stop or Event()
        if not re.fullmatch(r"[\x21-\x7e]{8,200}", token):
            raise InvalidInput("The token holds characters that no token has.", hint="Copy it again.")
        self._http = httpx.Client(
            base_url=self.server,
            headers={"Authorization": f"Bearer {token}", "User-Agent": "geoinfra-owner-robot"},
            timeout=_TIMEOUT,
            follow_redirects=False,
            verify=ssl.create_default_context(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def organisation(self) -> str:
        """Return the CVR number that the token belongs to; empty when it is nobody's."""
        found = self._json("GET", "/api/config").get("organisation")
        return str(found.get("cvr", "")) if isinstance(found, dict) else ""

    def waiting(self) -> list[WaitingEnquiry]:
        """Return the enquiries that must be answered, the oldest first, at most :data:`MOST_WAITING`.

        Raises
        ------
        NoAnswer
            No answer came after several tries, or it is not what the interface promises.
        Refused
            The token is not valid or not an owner's.
        """
        document = self._json("GET", f"/api/enquiries?status={AnswerStatus.WAITING}&limit={MOST_WAITING}")
        items = document.get("items")
        if not isinstance(items, list):
            raise _unexpected("a list of enquiries")
        return [_waiting(item) for item in items]

    def enquiry(self, number: str) -> WaitingEnquiry:
        """Return one enquiry."""
        return _waiting(self._json("GET", f"/api/enquiries/{_checked_number(number)}"))

    def own_status(self, number: str, owner_cvr: str) -> AnswerStatus | None:
        """Return the state of this owner's answer to an enquiry; ``None`` when he is not asked."""
        owners = self._json("GET", f"/api/enquiries/{_checked_number(number)}").get("owners")
        if not isinstance(owners, list):
            raise _unexpected("the owners asked")
        own = [o for o in owners if isinstance(o, dict) and o.get("cvr") == owner_cvr]
        try:
            return AnswerStatus(str(own[0]["status"])) if own else None
        except (KeyError, ValueError):
            raise _unexpected("the state of an answer") from None

    def send(self, number: str, answer: Path) -> None:
        """Send the answer to an enquiry; sent again when no answer came, which the server counts once.

        Raises
        ------
        NoAnswer
            No answer came after several tries.
        Refused
            The server did not take it; ``409`` when it has an answer already.
        """
        self._json("POST", f"/api/enquiries/{_checked_number(number)}/answers", answer)

    def _json(self, method: str, path: str, body: Path | None = None) -> dict[str, Any]:
        status, content = self._with_retries(method, path, body)
        try:
            document = orjson.loads(content)
        except orjson.JSONDecodeError:
            document = None
        if not 200 <= status < 300:
            if status >= 500:
                raise NoAnswer(f"The server failed with status {status}.")
            raise Refused(status, document if isinstance(document, dict) else {})
        if not isinstance(document, dict):
            raise _unexpected("a JSON object")
        return document

    def _with_retries(self, method: str, path: str, body: Path | None) -> tuple[int, bytes]:
        wait_s = _FIRST_WAIT_S
        for number in range(1, _TRIES + 1):
            try:
                return self._once(method, path, body)
            except httpx.TransportError as error:
                if number == _TRIES or self._stop.wait(wait_s):
                    raise NoAnswer(f"{self.server} did not answer ({type(error).__name__}).") from None
            wait_s *= 2
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: Path | None) -> tuple[int, bytes]:
        headers = {} if body is None else {"Content-Type": "application/gml+xml; version=3.2"}
        content = None if body is None else _chunks(body)
        with self._http.stream(method, path, headers=headers, content=content) as answer:
            pieces, size, deadline = [], 0, time.monotonic() + 300
            for piece in answer.iter_bytes():
                size += len(piece)
                if size > _MOST_BYTES or time.monotonic() > deadline:
                    raise _unexpected(f"an answer of at most {_MOST_BYTES:,} bytes within 5 minutes")
                pieces.append(piece)
            return answer.status_code, b"".join(pieces)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(65536):
            yield piece


def _unexpected(wanted: str) -> NoAnswer:
    return NoAnswer(f"The server did not answer with {wanted}; is it a geoinfra server?")


def _checked_address(server: str) -> str:
    parts = urlsplit(server)
    if parts.username or parts.password or parts.query or parts.fragment or not parts.hostname:
        raise InvalidInput("The address of the server must be like https://host or https://host/path.")
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return server.rstrip("/")
    raise InvalidInput(
        "The token would be sent in the clear.", hint="Use https; http is taken for this machine only."
    )


def _checked_number(number: str) -> str:
    if not _NUMBER.fullmatch(number):
        raise _unexpected("numbers of enquiries")
    return number


def _waiting(item: Any) -> WaitingEnquiry:
    if not isinstance(item, dict):
        raise _unexpected("enquiries as objects")
    try:
        filed_at = datetime.fromisoformat(str(item["filed_at"]))
        number, area = _checked_number(str(item["number"])), item["area"]
    except (KeyError, ValueError):
        raise _unexpected("an enquiry with its number, time and area") from None
    if filed_at.tzinfo is None or not isinstance(area, dict):
        raise _unexpected("times with their zone, and areas as objects")
    return WaitingEnquiry(number, filed_at, area)
