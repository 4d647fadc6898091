"""Vector tiles of the catalogue's collections: ``/tiles/{collection}/{z}/{x}/{y}.mvt``."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from starlette.requests import Request

from geoinfra.access import Access
from geoinfra.storage import Store
from services.tiles.service import TileService

__all__ = ["mount"]


def mount(app: FastAPI, store: Store, *, access_of: Callable[[Request], Access]) -> None:
    """Serve vector tiles (WebMercatorQuad, y from the north) under ``/tiles``.

    Parameters
    ----------
    access_of
        Tells who sent a request; raises ``NotAuthenticated`` for a bad token.
    """
    app.router.routes.append(TileService(store, access_of=access_of).route())
