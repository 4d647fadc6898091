"""The one shape of every response: LER's envelope, with HTTP status 200 also for errors."""

from __future__ import annotations

import base64
import io
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from geoinfra.utilities.ler_api import Refusal, error_codes

__all__ = ["Call", "FileData", "accepted", "answer", "refused"]

_STATUS = {
    "00-100": 500,
    "00-110": 503,
    "00-200": 403,
    "00-210": 403,
    "00-220": 401,
    "00-240": 403,
    "00-530": 408,
    "00-540": 429,
    "13-100": 500,
    "16-400": 404,
    "16-410": 410,
    "24-400": 404,
    "26-500": 409,
    "27-400": 404,
    "27-410": 403,
    "27-999": 500,
}
_LONGEST = 200
_AT_ONCE_BYTES: Final = 3 << 18  # without a rest in base64


@dataclass(slots=True)
class Call:
    """One call as far as it is understood.

    Attributes
    ----------
    resource
        What stands for the id in the path.
    parameters
        Query parameters by their names in small letters.
    request_id, transaction_id
        Empty until they are known to be GUIDs.
    """

    method: str
    name: str
    resource: str
    parameters: Mapping[str, str]
    address: str
    request_id: str = ""
    transaction_id: str = ""
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class FileData:
    """``Data`` that holds a file as base64; the file is read when the response is sent, and closed then."""

    def __init__(self, file: BinaryIO, kind: str, name: str) -> None:
        self.file, self.kind, self.name = file, kind, name
        size_bytes = file.seek(0, io.SEEK_END)
        file.seek(0)
        self.encoded_bytes = (size_bytes + 2) // 3 * 4

    def to_json(self, text: str) -> dict[str, str]:
        """Return the data with this text for its content."""
        return {"base64data": text, "contenttype": self.kind, "fileName": self.name}


def accepted(call: Call, data: Any) -> dict[str, Any]:
    """Return the response to a call that was done."""
    return {
        **_head(call, 200),
        "Transportkvittering": _received(call),
        "Forretningskvittering": "Data er kontrolleret og godkendt.",
        "Error": None,
        **_tail(data),
    }


def refused(call: Call, refusal: Refusal) -> dict[str, Any]:
    """Return the response to a call that was refused: Danish text for people, English for programs."""
    known = error_codes()[refusal.code]
    danish = [known.da, *(da for da, _ in refusal.details if da)]
    english = [known.en, *(en for _, en in refusal.details if en)]
    untold = refusal.code != "00-200"  # its own sentence says as much
    only_english = [en for da, en in refusal.details if en and not da and untold]
    error = {
        "ResourceId": call.resource[:_LONGEST] or None,
        "UrlParameters": {name: text[:_LONGEST] for name, text in list(call.parameters.items())[:20]},
        "ErrorCode": refusal.code,
        "SystemErrorMessage": "\n".join(english),
        "PrettyErrorMessage": "\n".join([*danish, *only_english]),
        "DocumentationLink": f"{call.address}/api/errorcodes/{refusal.code}",
    }
    return {
        **_head(call, _STATUS.get(refusal.code, 400)),
        "Transportkvittering": _received(call),
        "Forretningskvittering": None,
        "Error": error,
        **_tail(None),
    }


def _head(call: Call, status: int) -> dict[str, Any]:
    return {
        "StatusCode": status,
        "RequestId": call.request_id or None,
        "TransactionId": call.transaction_id or None,
    }


def _received(call: Call) -> str:
    return f"Modtaget {call.received_at.isoformat(timespec='milliseconds').replace('+00:00', 'Z')}."


def _tail(data: Any) -> dict[str, Any]:
    sent = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"SendTimestamp": sent, "Data": data}


def answer(document: Mapping[str, Any]) -> Response:
    """Make the HTTP response of an envelope; a file is read and encoded while it is sent."""
    headers = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
    data = document["Data"]
    if not isinstance(data, FileData):
        return Response(orjson.dumps(document), 200, headers, "application/json")
    place = secrets.token_hex(16)
    head, tail = orjson.dumps({**document, "Data": data.to_json(place)}).split(place.encode())
    headers["Content-Length"] = str(len(head) + data.encoded_bytes + len(tail))
    return StreamingResponse(_sent(head, data, tail), 200, headers, "application/json")


async def _sent(head: bytes, data: FileData, tail: bytes) -> AsyncIterator[bytes]:
    with data.file:
        yield head
        while text := await run_in_threadpool(_next_text, data.file):
            yield text
        yield tail


def _next_text(file: BinaryIO) -> bytes:
    return base64.b64encode(file.read(_AT_ONCE_BYTES))
