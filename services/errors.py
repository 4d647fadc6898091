"""The one place where an error becomes an HTTP answer: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import logging
import secrets
from html import escape
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from geoinfra import errors

__all__ = ["STATUS", "install", "problem", "problem_of", "status_of"]

log = logging.getLogger("geoinfra.http")

STATUS: dict[type[errors.GeoinfraError], int] = {
    errors.GeoinfraError: 500,
    errors.InvalidInput: 400,
    errors.InvalidGeometry: 400,
    errors.InvalidFilter: 400,
    errors.FormatNotOffered: 406,
    errors.UnreadableFile: 400,
    errors.DataRefused: 422,
    errors.NotFound: 404,
    errors.NotAllowed: 403,
    errors.NotAuthenticated: 401,
    errors.Conflict: 409,
    errors.Expired: 410,
    errors.TooLarge: 413,
    errors.AddressTooLong: 414,
    errors.TooManyRequests: 429,
    errors.Overloaded: 503,
    errors.MissingResource: 503,
    errors.StorageFull: 507,
    errors.StorageUnavailable: 503,
}
_TITLES = {400: "The request cannot be understood", 404: "Not found", 405: "Method not allowed"}


def problem(status: int, code: str, title: str, detail: str, hint: str = "", **details: Any) -> Response:
    """Make a problem document. `details` are further members."""
    body = {
        **details,
        "type": f"/docs/errors#{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "hint": hint,
    }
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="geoinfra"'
    return Response(orjson.dumps(body), status, headers, "application/problem+json")


def status_of(error: errors.GeoinfraError) -> int:
    """Return the status of the nearest class in the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem_of(error: errors.GeoinfraError) -> Response:
    """Make the problem document of one of our errors."""
    return problem(status_of(error), error.code, error.title, error.message, error.hint, **error.details)


def errors_page() -> str:
    """Return the page that the ``type`` of every problem document points to."""
    rows = [
        f'<section id="{error.code}"><h2>{error.code} <small>{STATUS[error]}</small></h2>'
        f"<p><b>{escape(error.title)}.</b> {escape(_first_sentence(error))}</p></section>"
        for error in errors.all_errors()
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Errors of geoinfra</title>'
        "<style>body{font:16px/1.5 system-ui;max-width:44rem;margin:2rem auto;padding:0 1rem}"
        "small{color:#667}section:target{background:#fff3c4}</style>"
        "<h1>Errors of geoinfra</h1><p>Every failure is answered as application/problem+json (RFC 9457).</p>"
        + "".join(rows)
        + "</html>"
    )


def _first_sentence(error: type[errors.GeoinfraError]) -> str:
    return (error.__doc__ or "").strip().splitlines()[0]


def install(app: FastAPI) -> None:
    """Answer every failure of `app` with a problem document; an unexpected one with a reference only."""

    async def ours(_request: Request, error: Exception) -> Response:
        assert isinstance(error, errors.GeoinfraError)  # noqa: S101  # registered for this class only
        if status_of(error) >= 500:
            log.error("%s: %s", error.code, error.message, exc_info=error)
        return problem_of(error)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this class only
        faults = [
            {"path": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()
        ]
        detail = f"'{faults[0]['path']}': {faults[0]['message']}." if faults else "The request is wrong."
        return problem(
            400,
            "invalid-input",
            errors.InvalidInput.title,
            detail,
            "See /api/docs for what is expected.",
            faults=faults[:20],
        )

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class only
        code = {404: "not-found", 405: "invalid-input"}.get(error.status_code, "error")
        title = _TITLES.get(error.status_code, "The request failed")
        answer = problem(
            error.status_code, code, title, f"{request.method} {request.url.path} is not served here."
        )
        answer.headers.update(error.headers or {})
        return answer

    async def unexpected(request: Request, error: Exception) -> Response:
        reference = secrets.token_hex(6)
        log.error("reference %s: %s %s", reference, request.method, request.url.path, exc_info=error)
        return problem(
            500,
            "error",
            errors.GeoinfraError.title,
            "Something went wrong on the server.",
            f"Give the operator the reference {reference}.",
            reference=reference,
        )

    app.add_exception_handler(errors.GeoinfraError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unexpected)

    async def page(_request: Request) -> Response:
        return HTMLResponse(errors_page(), headers={"Cache-Control": "public, max-age=3600"})

    app.add_route("/docs/errors", page, methods=["GET", "HEAD"], include_in_schema=False)
