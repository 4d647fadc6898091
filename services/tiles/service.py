"""MapLibre's own address of vector tiles: who may see what, what may be cached, and where."""

from __future__ import annotations

from collections.abc import Callable

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from geoinfra.access import Access, Visibility
from geoinfra.errors import NotFound
from geoinfra.storage import Store
from geoinfra.storage.collections import Collection
from geoinfra.storage.deliveries import DatasetView
from services.catalogue import PresentCatalogue, may_know_granted
from services.tiles.content import MEDIA_TYPE, MOST_FEATURES, Square, make_tile, open_tile
from services.tiles.mvt import tile_bounds

__all__ = ["MOST_FEATURES", "TileService"]

_DEEPEST_ZOOM = 22
_READERS = 4


class TileService:
    """Vector tiles over one store.

    Parameters
    ----------
    access_of
        Tells who sent a request; raises ``NotAuthenticated`` for a bad token.
    """

    def __init__(self, store: Store, *, access_of: Callable[[Request], Access]) -> None:
        self._store = store
        self._catalogue = PresentCatalogue(store)
        self._access_of = access_of
        self._reading = CapacityLimiter(_READERS)

    def route(self) -> BaseRoute:
        """Return the route of all tiles."""

        async def endpoint(request: Request) -> Response:
            return await to_thread.run_sync(self._answer, request, limiter=self._reading)

        return Route("/tiles/{collection}/{z:int}/{x:int}/{y:int}.mvt", endpoint)

    def _answer(self, request: Request) -> Response:
        access = self._access_of(request)
        z, x, y = (int(request.path_params[name]) for name in "zxy")
        if z > _DEEPEST_ZOOM or x >= 2**z or y >= 2**z:
            raise NotFound("There is no such tile.", hint=f"z is 0 to {_DEEPEST_ZOOM}, x and y below 2^z.")
        present = self._catalogue.now()
        collection = present.collections.get(request.path_params["collection"])
        if collection is None or not _may_know(access, collection):
            raise NotFound("There is no such collection.", hint="See /api/config.")
        view = present.view(access, collection)
        square = Square("EPSG:3857", tile_bounds(z, x, y), z)
        if collection.visibility is Visibility.OPEN:
            return self._open(request, collection, view, square)
        content = make_tile(collection, view, square)
        tile = f"{z}/{x}/{y}"
        self._store.audit.append("tile.read", access, collection.id, {"tile": tile})
        return _response(content, {"Cache-Control": "private, no-store"})

    def _open(self, request: Request, collection: Collection, view: DatasetView, square: Square) -> Response:
        tag = f'"{view.version}"'
        age_s = 3600 if request.query_params.get("v") == view.version else 60
        headers = {"Cache-Control": f"public, max-age={age_s}", "ETag": tag}
        if tag in (part.strip() for part in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        return _response(open_tile(collection, view, square), headers)


def _may_know(access: Access, collection: Collection) -> bool:
    return collection.visibility is Visibility.OPEN or may_know_granted(access)


def _response(content: bytes, headers: dict[str, str]) -> Response:
    if not content:
        return Response(status_code=204, headers=headers)
    return Response(content, headers=headers, media_type=MEDIA_TYPE)
