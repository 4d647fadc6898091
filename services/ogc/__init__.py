"""The OGC APIs: pygeoapi behind an adapter of our own."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from starlette.requests import Request

from geoinfra.access import Access
from geoinfra.storage import Store
from geoinfra.storage.metadata import Contact
from services.ogc.adapter import OgcService
from services.ogc.asked import NO_OPERATOR

__all__ = ["mount"]


def mount(
    app: FastAPI,
    store: Store,
    *,
    public_url: str,
    access_of: Callable[[Request], Access],
    operator: Contact = NO_OPERATOR,
) -> None:
    """Serve the OGC APIs under ``/ogc``.

    Parameters
    ----------
    public_url
        Address of the application as clients reach it, without a slash at its end; links begin with it.
    access_of
        Tells who sent a request; raises ``NotAuthenticated`` for a bad token.
    operator
        Who runs the service, as catalogues tell it.
    """
    service = OgcService(store, public_url=public_url, access_of=access_of, operator=operator)
    app.router.routes.append(service.landing())
    app.router.routes.append(service.route())
