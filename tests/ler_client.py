"""A client of LER's system-to-system interface, by its description and the standard library only."""

from __future__ import annotations

import base64
import json
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import Any

ENVELOPE = {
    "StatusCode",
    "RequestId",
    "TransactionId",
    "Transportkvittering",
    "Forretningskvittering",
    "Error",
    "SendTimestamp",
    "Data",
}
ERROR = {
    "ResourceId",
    "UrlParameters",
    "ErrorCode",
    "SystemErrorMessage",
    "PrettyErrorMessage",
    "DocumentationLink",
}


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@dataclass
class LerClient:
    """Calls one host as one account."""

    host: str
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """Send one request as it is written, and return the envelope."""
        headers = dict(self.headers)
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.host + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as response:
            assert response.status == 200
            document: dict[str, Any] = json.load(response)
        assert set(document) == ENVELOPE, document
        assert document["Error"] is None or set(document["Error"]) == ERROR
        assert document["Error"] is None or (
            document["Data"] is None and not document["Forretningskvittering"]
        )
        return document

    def call(
        self, method: str, path: str, document: Any = None, *, request_id: str = "", **parameters: Any
    ) -> dict[str, Any]:
        """Make one call with new ids, unless they are given."""
        given = {"requestId": request_id or str(uuid.uuid4()), "transactionId": str(uuid.uuid4())}
        query = urllib.parse.urlencode({**given, **parameters})
        body = None if document is None else json.dumps(document).encode()
        return self.send(method, f"{path}?{query}", body)

    def done(self, method: str, path: str, document: Any = None, **parameters: Any) -> Any:
        """Make a call that must be done, and return its data."""
        answer = self.call(method, path, document, **parameters)
        assert answer["Error"] is None, answer["Error"]
        return answer["Data"]

    def code(self, method: str, path: str, document: Any = None, **parameters: Any) -> str:
        """Make a call that must be refused, and return the error code."""
        answer = self.call(method, path, document, **parameters)
        assert answer["Error"] is not None, answer
        return str(answer["Error"]["ErrorCode"])
