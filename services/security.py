"""Who is asking, and which links are good: tokens, demo sessions, signed download links."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from starlette.requests import Request

from geoinfra.access import Access, Role
from geoinfra.errors import Expired, NotAllowed, NotAuthenticated, NotFound
from geoinfra.storage import Store, schema
from geoinfra.storage.organisations import authenticate
from services.settings import Settings

__all__ = ["CSRF_COOKIE", "DEMO_TOKENS", "SESSION_COOKIE", "Link", "Security"]

SESSION_COOKIE = "geoinfra_session"
CSRF_COOKIE = "geoinfra_csrf"
DEMO_TOKENS = "demo-tokens.json"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Link:
    """A signed download: a blob, the file name it gets, and whom the link was made for."""

    blob: str
    name: str
    principal: str
    expires_at: int

    @property
    def expires(self) -> str:
        """The end of validity as ISO 8601 text in UTC."""
        return datetime.fromtimestamp(self.expires_at, UTC).isoformat().replace("+00:00", "Z")


class Security:
    """Authentication and signatures of one deployment."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self._key = _signing_key(store)
        self._demo: Mapping[str, str] = _demo_tokens(settings) if settings.demo else {}

    def access_of(self, request: Request) -> Access:
        """Return who sent `request`: a bearer token, a demo session, or the anonymous visitor.

        Raises
        ------
        NotAuthenticated
            A token was sent and is not valid; never falls back to anonymous.
        NotAllowed
            A demo session writes without its CSRF header.
        """
        header = request.headers.get("authorization")
        if header is not None:
            scheme, _, secret = header.partition(" ")
            if scheme.lower() != "bearer" or not secret:
                raise NotAuthenticated(
                    "Only bearer tokens are understood.", hint="Authorization: Bearer <token>"
                )
            return self._authenticate(secret.strip())
        role = self.demo_role(request)
        if role is None:
            return Access.anonymous()
        if request.method not in _SAFE:
            self._require_csrf(request)
        return self._authenticate(self._demo[role])

    def _authenticate(self, secret: str) -> Access:
        with self.store.read() as connection:
            return authenticate(connection, secret)

    def _require_csrf(self, request: Request) -> None:
        expected = self._csrf(request.cookies[SESSION_COOKIE])
        given = request.headers.get("x-csrf-token", "")
        if not hmac.compare_digest(expected.encode(), given.encode()):
            raise NotAllowed(
                "The CSRF header is missing or wrong.",
                hint=f"Send X-CSRF-Token with the value of the cookie {CSRF_COOKIE}.",
            )

    def demo_roles(self) -> list[str]:
        """The roles that a visitor of the demo may act as; empty outside the demo."""
        return list(self._demo)

    def demo_role(self, request: Request) -> str | None:
        """The role of the demo session in `request`, if its signature holds."""
        cookie = request.cookies.get(SESSION_COOKIE)
        if not cookie or not self._demo:
            return None
        body, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(self._sign("session", body).encode(), signature.encode()):
            return None
        role = body.partition("~")[0]
        return role if role in self._demo else None

    def demo_session(self, role: str) -> tuple[str, str]:
        """Make the session cookie and its CSRF value for a demo role.

        Raises
        ------
        NotFound
            This is no demo, or it has no such role.
        """
        if role not in self._demo:
            known = ", ".join(self._demo) or "none: this is not the demo"
            raise NotFound("There is no such demo role.", hint=f"Roles: {known}.")
        body = f"{role}~{secrets.token_urlsafe(12)}"
        cookie = f"{body}.{self._sign('session', body)}"
        return cookie, self._csrf(cookie)

    def _csrf(self, cookie: str) -> str:
        return self._sign("csrf", cookie)

    def sign_link(self, blob: str, name: str, access: Access) -> tuple[str, Link]:
        """Return a path below ``/download/`` that opens `blob` until the link expires."""
        link = Link(blob, name, access.principal, int(time.time()) + self.settings.link_valid_s)
        body = json.dumps([link.blob, link.name, link.principal, link.expires_at]).encode()
        text = base64.urlsafe_b64encode(body).rstrip(b"=").decode()
        return f"/download/{text}.{self._sign('link', text)}", link

    def open_link(self, signed: str) -> Link:
        """Return what a signed link means.

        Raises
        ------
        NotFound
            The signature does not hold.
        Expired
            The link was good once.
        """
        text, _, signature = signed.rpartition(".")
        if not hmac.compare_digest(self._sign("link", text).encode(), signature.encode()):
            raise NotFound("There is no such download.", hint="Ask for a new link.")
        padded = text + "=" * (-len(text) % 4)
        link = Link(*json.loads(base64.urlsafe_b64decode(padded)))
        if link.expires_at < time.time():
            raise Expired("The download link has expired.", hint="Ask for a new link.")
        return link

    def _sign(self, purpose: str, text: str) -> str:
        digest = hmac.new(self._key, f"{purpose}\0{text}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _signing_key(store: Store) -> bytes:
    """Return the installation's key, made once and kept in the records; of two makers the first counts."""
    table = schema.secrets
    wanted = sa.select(table.c.value).where(table.c.name == "signing-key")
    with store.read() as connection:
        key = connection.scalar(wanted)
    if key is not None:
        return bytes(key)
    dialect = sqlite if store.records.is_sqlite else postgresql
    made = dialect.insert(table).values(name="signing-key", value=secrets.token_bytes(32))
    with store.begin() as tx:
        tx.execute(made.on_conflict_do_nothing())
        key = tx.connection.execute(wanted).scalar_one()
        tx.commit()
    return bytes(key)


def _demo_tokens(settings: Settings) -> dict[str, str]:
    path = Path(settings.data_dir) / DEMO_TOKENS
    tokens: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return {role: token for role, token in tokens.items() if role in set(Role)}
