"""The map client and the page of the HTTP interface: static files, and the function that serves them.

The pages are plain ES modules without a build step. Third-party JavaScript is fetched by npm at set-up and
copied to ``static/vendor`` by ``vendor.mjs``; nothing is loaded from elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

__all__ = ["STATIC_DIR", "content_security_policy", "mount_web"]

STATIC_DIR = Path(__file__).parent / "static"

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}

_IMPORT_MAP = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)

_MISSING_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>geoinfra: the map page is not set up</title>
<h1>The map page is not set up</h1>
<p>Its JavaScript libraries are missing. Run <code>make setup</code>, then reload this page.</p>
<p lang="da">Kortsidens JavaScript-biblioteker mangler. Kør <code>make setup</code>, og genindlæs siden.</p>
</html>
"""


class _WebFiles(StaticFiles):
    """Static files with exact media types; revalidated by ETag, third-party files kept for an hour."""

    def file_response(self, full_path: Any, *args: Any, **kwargs: Any) -> Response:
        """Return the file with its media type and cache rule."""
        response = super().file_response(full_path, *args, **kwargs)
        path = Path(full_path)
        media_type = _MEDIA_TYPES.get(path.suffix)
        if media_type is not None:
            response.headers["content-type"] = media_type
        third_party = path.is_relative_to(STATIC_DIR / "vendor")
        response.headers["cache-control"] = "public, max-age=3600" if third_party else "no-cache"
        response.headers["x-content-type-options"] = "nosniff"
        return response


def content_security_policy(page: str) -> str:
    """Return the Content-Security-Policy for ``page``: this server only, and the page's own import map.

    Parameters
    ----------
    page
        The HTML text. The inline import map in it is allowed by its SHA-256; any other inline script is not.
    """
    hashes = [
        f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _IMPORT_MAP.findall(page)
    ]
    rules = {
        "default-src": "'self'",
        "script-src": " ".join(["'self'", *hashes]),
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def mount_web(app: FastAPI) -> None:
    """Serve the map page at ``/``, the HTTP interface's at ``/api/docs`` and their files under ``/static``.

    When the third-party files are missing, both answer 503 with a page that says how to get them.
    """
    _add_page(app, "/", "index.html")
    _add_page(app, "/api/docs", "api-docs.html")
    app.mount("/static", _WebFiles(directory=STATIC_DIR), name="static")


def _add_page(app: FastAPI, path: str, name: str) -> None:
    page = (STATIC_DIR / name).read_text(encoding="utf-8")
    headers = {
        "Content-Security-Policy": content_security_policy(page),
        "Cache-Control": "no-cache",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Permissions-Policy": "geolocation=(self), camera=(), microphone=()",
    }
    marker = STATIC_DIR / "vendor" / "VENDOR.json"

    async def answer(_request: Request) -> Response:
        if not marker.is_file():
            return HTMLResponse(_MISSING_PAGE, status_code=503, headers={"Cache-Control": "no-store"})
        return HTMLResponse(page, headers=headers)

    app.add_route(path, answer, methods=["GET", "HEAD"], include_in_schema=False)
