"""The one place that wires: settings in, application out."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import anyio.to_thread
import numpy as np
import orjson
import sqlalchemy as sa
from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import geoinfra
import services.enquiries
import services.errors
import services.http
import services.ler
import services.ogc
import services.tiles
import services.web
from geoinfra import crs
from geoinfra.access import Access, Visibility
from geoinfra.errors import GeoinfraError, InvalidInput, TooLarge
from geoinfra.flows.sandbox import declare_sandbox, is_sandbox
from geoinfra.flows.signing import ensure_key
from geoinfra.storage import Store, open_store
from geoinfra.storage.collections import Collection, Kind
from geoinfra.storage.deliveries import DatasetView
from geoinfra.storage.organisations import get_organisation
from geoinfra.utilities.dig_area import MAX_AREA_M2
from geoinfra.utilities.legal_clock import DENMARK
from services.catalogue import Present, PresentCatalogue, may_know_granted
from services.security import CSRF_COOKIE, SESSION_COOKIE, Security
from services.settings import Settings

__all__ = ["create_app"]

_UPLOADS = re.compile(r"/api/(?:[vV]\d+/.*|deliveries|enquiries/[^/]+/answers|utilities/check)")
_OWN_ENVELOPE = re.compile(r"/api/[vV]\d+/")  # LER's interface tells of faults in its own words
_THREADS = 6  # handlers share one interpreter lock; more threads only take turns
_LEAST_FREE_BYTES = 50_000_000


def create_app(settings: Settings, store: Store | None = None) -> FastAPI:
    """Make the application with all its faces.

    Parameters
    ----------
    store
        An open store; opened from `settings`, and closed at the end, when not given.
    """
    settings.use_grids()
    opened = store or open_store(settings.data_dir, settings.database())
    if store is None:
        opened.sweep()
    if settings.sandbox:
        declare_sandbox(opened)
    security = Security(opened, settings)
    ensure_key(opened)
    feed = services.enquiries.EventFeed(opened, settings.base_url)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        yield
        feed.close()
        if store is None:
            opened.close()

    app = FastAPI(
        title="geoinfra",
        version=geoinfra.__version__,
        summary="Buried utilities, joint digs, terrain, water, climate and precise positions.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
    )
    app.state.store, app.state.security, app.state.settings = opened, security, settings
    app.state.feed, app.state.waits = feed, services.enquiries.PackageWaits(opened)
    services.errors.install(app)
    app.add_middleware(BodyLimit, most_bytes=settings.max_body_bytes, upload_bytes=settings.max_upload_bytes)
    app.add_middleware(TextOnly)
    services.http.install(app, services.http.HttpRules.of(settings))
    app.include_router(services.enquiries.router)
    app.include_router(services.enquiries.channels_router)
    app.include_router(services.enquiries.damages_router)
    app.include_router(services.enquiries.differences_router)
    app.include_router(services.enquiries.keys_router)
    app.include_router(services.enquiries.owners_router)
    _add_health(app)
    _add_config(app, PresentCatalogue(opened))
    if settings.demo:
        _add_demo(app)
    services.ler.mount(app, opened, settings)
    services.tiles.mount(app, opened, access_of=security.access_of)
    services.ogc.mount(
        app,
        opened,
        public_url=settings.base_url,
        access_of=security.access_of,
        operator=settings.operator,
    )
    services.web.mount_web(app)
    _describe(app)
    return app


class BodyLimit:
    """Refuses request bodies above a bound, by their stated and by their real length."""

    def __init__(self, app: ASGIApp, *, most_bytes: int, upload_bytes: int) -> None:
        self.app = app
        self.most_bytes = most_bytes
        self.upload_bytes = upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = self.upload_bytes if _UPLOADS.fullmatch(scope["path"]) else self.most_bytes
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > most:
            answer = services.errors.problem_of(_too_large(most))
            await answer(scope, receive, send)
            return
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise _too_large(most)
            return message

        await self.app(scope, bounded, send)


class TextOnly:
    """Refuses an address with a NUL, which no text of the records can hold."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _has_nul(scope) and not _OWN_ENVELOPE.match(scope["path"]):
            answer = services.errors.problem_of(InvalidInput("The address holds a NUL.", hint="Remove %00."))
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _has_nul(scope: Scope) -> bool:
    return "\0" in scope["path"] or b"%00" in scope["query_string"]


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The body is larger than {most:,} bytes.", hint="Send less at once.")


def _describe(app: FastAPI) -> None:
    """Complete the OpenAPI document each time it is read, because its example's dates follow the clock."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        services.enquiries.describe(document, datetime.now(DENMARK).date())
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _add_health(app: FastAPI) -> None:
    def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "live"}

    def ready(request: Request) -> Response:
        """The records answer and the disk has room."""
        store: Store = request.app.state.store
        try:
            with store.read() as connection:
                connection.execute(sa.text("SELECT 1"))
        except GeoinfraError as error:
            return services.errors.problem(503, error.code, error.title, error.message, error.hint)
        if shutil.disk_usage(store.data_dir).free < _LEAST_FREE_BYTES:
            return services.errors.problem(
                503, "storage-full", "Not ready", "The data folder's disk is almost full.", "Free some space."
            )
        return Response(b'{"status":"ready"}', media_type="application/json")

    app.add_api_route("/health/live", live, tags=["Health"])
    app.add_api_route("/health/ready", ready, tags=["Health"], response_model=None)


def _add_config(app: FastAPI, present: PresentCatalogue) -> None:
    def config(request: Request) -> Response:
        """What the map page needs to know; depends on who asks."""
        store: Store = request.app.state.store
        security: Security = request.app.state.security
        access = security.access_of(request)
        with store.read() as connection:
            sandbox = is_sandbox(connection)
        document = {
            "demo": request.app.state.settings.demo,
            "sandbox": sandbox,
            "roles": security.demo_roles(),
            "role": security.demo_role(request),
            "organisation": _organisation(store, access),
            "max_area_m2": MAX_AREA_M2,
            **_extent(store),
            "collections": _layers(present.now(), access),
        }
        return Response(
            orjson.dumps(document), headers={"Cache-Control": "no-store"}, media_type="application/json"
        )

    app.add_api_route("/api/config", config, tags=["Map"], response_model=None)


def _layers(present: Present, access: Access) -> list[dict[str, Any]]:
    """Describe the collections that `access` may know of."""
    return [
        _layer(collection, present.view(access, collection))
        for collection in present.collections.values()
        if collection.kind is Kind.FEATURES
        and (collection.visibility is Visibility.OPEN or may_know_granted(access))
    ]


def _organisation(store: Store, access: Access) -> dict[str, Any] | None:
    if access.organisation is None:
        return None
    with store.read() as connection:
        found = get_organisation(connection, access.organisation)
    return {"cvr": found.cvr, "name": found.name} if found else None


def _extent(store: Store) -> dict[str, Any]:
    """The bounds of the streets, or of Denmark where none are loaded; CRS84 degrees."""
    anybody = Access.anonymous()
    extent = store.view(anybody, "streets").extent() or crs.DENMARK_UTM32
    x, y = crs.transform_xy(
        np.array([extent[0], extent[2]]), np.array([extent[1], extent[3]]), "EPSG:25832", "OGC:CRS84"
    )
    bounds = [round(float(v), 6) for v in (x[0], y[0], x[1], y[1])]
    return {"bounds": bounds, "centre": [(bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2]}


def _layer(collection: Collection, view: DatasetView) -> dict[str, Any]:
    return {
        "id": collection.id,
        "title": dict(collection.title),
        "visibility": str(collection.visibility),
        "geometry": view.schema.geometry,
        "style": collection.style,
        "attribution": collection.attribution,
        "tiles": f"/tiles/{collection.id}/{{z}}/{{x}}/{{y}}.mvt?v={view.version}",
    }


def _add_demo(app: FastAPI) -> None:
    async def act_as(request: Request) -> Response:
        """Act as one of the demo roles, or as nobody with role null. Demo only."""
        security: Security = request.app.state.security
        origin = request.headers.get("origin")
        if origin is not None and origin.split("://")[-1] != request.headers.get("host"):
            raise InvalidInput("The demo's session is set from its own page only.")
        try:
            document = orjson.loads(await request.body())
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict) or "role" not in document:
            raise InvalidInput('Send {"role": "excavator"} or {"role": null}.')
        answer = Response(status_code=204)
        if document["role"] is None:
            answer.delete_cookie(SESSION_COOKIE)
            answer.delete_cookie(CSRF_COOKIE)
            return answer
        cookie, csrf = security.demo_session(str(document["role"]))
        answer.set_cookie(SESSION_COOKIE, cookie, httponly=True, samesite="strict")
        answer.set_cookie(CSRF_COOKIE, csrf, samesite="strict")
        return answer

    app.add_api_route(
        "/demo/act-as", act_as, methods=["POST"], tags=["Demo"], response_model=None, status_code=204
    )
