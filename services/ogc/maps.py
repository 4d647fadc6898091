"""Maps: which collections, which part of the ground, how large; and the image.

OGC API Maps, its tiles, WMS and WMTS all draw by :func:`image`. Rows come through the view of the principal;
an image of granted rows is never kept.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import cos, isfinite, radians
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geoinfra import crs
from geoinfra.access import Visibility
from geoinfra.errors import InvalidInput, NotFound, TooLarge
from geoinfra.presentation.map_ground import columns_read
from geoinfra.presentation.map_image import ImageFrame, MapLayer, Style, draw_map, is_drawn_at
from geoinfra.presentation.svg_ink import as_jpeg, as_png
from geoinfra.storage.collections import Collection, Kind
from geoinfra.storage.deliveries import DatasetView
from geoinfra.storage.grids import Frame, Grid
from geoinfra.tables import FeatureQuery
from services.ogc.asked import PRIVATE, Asked, public
from services.ogc.styles import StyleEntry, style_entry, styles_apply
from services.tiles.content import LEAST_ZOOM, TileCache, is_drawn

__all__ = [
    "DEFAULT_STYLE",
    "FORMATS",
    "MOST_PX",
    "MapSource",
    "background_of",
    "caching_of",
    "default_frame",
    "drawable",
    "frame_of",
    "image",
    "kept_image",
    "map_sources",
    "numbers_of",
    "size_of",
    "sources_of",
]

FORMATS: Final = {"png": "image/png", "jpeg": "image/jpeg"}
DEFAULT_STYLE: Final = "geoinfra"
MOST_PX: Final = 4096
"""Width or height of an image."""

_MOST_AREA_PX: Final = 8_388_608
_MOST_ROWS: Final = 40_000
_DEFAULT_PX: Final = 1024
_LEAST_M: Final = 0.01  # side of a map
_CACHE_BYTES: Final = 64_000_000
_STORAGE: Final = f"EPSG:{crs.STORAGE_EPSG}"
_ORDER: Final = ("landuse", "stream", "parcels", "streets", "road-sections", "buildings", "addresses")

type Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class MapSource:
    """A collection to be drawn: features through a view, or a grid.

    Attributes
    ----------
    version
        Changes with the content.
    """

    collection: Collection
    version: str
    view: DatasetView | None = None
    grid: Grid | None = None
    grid_bounds: Bounds | None = None

    def extent(self) -> Bounds | None:
        """Return the bounds in EPSG:25832 metres of what may be known to be there."""
        if self.collection.visibility is Visibility.GRANTED:
            return crs.DENMARK_UTM32
        return self.grid_bounds if self.view is None else self.view.extent()


def drawable(collection: Collection) -> bool:
    """Whether maps show a collection."""
    return collection.kind is Kind.FEATURES or collection.kind in PICTURES


def map_sources(asked: Asked) -> list[MapSource]:
    """Return every collection of the principal's view that maps show, lowest first."""
    found = [c for c in asked.view.collections.values() if drawable(c)]
    found.sort(key=lambda c: (c.kind is Kind.FEATURES, _ORDER.index(c.id) if c.id in _ORDER else len(_ORDER)))
    return [source for collection in found for source in sources_of(asked, collection)]


def sources_of(asked: Asked, collection: Collection) -> list[MapSource]:
    """Return what is drawn of a collection; nothing where a grid has no content yet.

    Raises
    ------
    NotFound
        Maps do not show it.
    """
    if not drawable(collection):
        raise NotFound("The collection has no maps.", hint="See its links.")
    if collection.kind is Kind.FEATURES:
        view = asked.present.view(asked.access, collection)
        return [MapSource(collection, view.version, view)]
    return [
        MapSource(
            collection,
            grid.grid_id,
            grid=grid,
            grid_bounds=asked.present.opened(grid).frame.bounds_in(_STORAGE),
        )
        for grid in asked.present.grids(collection)
    ]


def caching_of(asked: Asked, sources: Sequence[MapSource]) -> dict[str, str]:
    """Return the caching headers of a map of these; granted rows are never kept."""
    if _is_granted(sources):
        return dict(PRIVATE)
    return public(asked, *(f"{source.collection}:{source.version}" for source in sources))


def _is_granted(sources: Sequence[MapSource]) -> bool:
    return any(source.collection.visibility is Visibility.GRANTED for source in sources)


# --- What is asked for


def numbers_of(text: str, what: str = "bbox") -> tuple[float, float, float, float]:
    """Return the four numbers of a box as they are written.

    Raises
    ------
    InvalidInput
        They are not four finite numbers.
    """
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) == 6:
        found = [found[0], found[1], found[3], found[4]]
    if len(found) != 4 or not all(map(isfinite, found)):
        raise InvalidInput(f"The {what} is not four finite numbers.", hint=f"{what}=west,south,east,north")
    return found[0], found[1], found[2], found[3]


def frame_of(box: Bounds, box_crs: str, crs_name: str, width: int | None, height: int | None) -> ImageFrame:
    """Return the frame of a box, x before y, in another CRS; a side not given follows from the other.

    Raises
    ------
    InvalidInput
        The box has no area, or cannot be shown in that CRS.
    TooLarge
        The image would be too large.
    """
    west, south, east, north = box
    if east - west < _least(box_crs) or north - south < _least(box_crs):
        raise InvalidInput("The bbox has no area.", hint="bbox=west,south,east,north")
    if box_crs != crs_name:
        west, south, east, north = crs.transformer(box_crs, crs_name).transform_bounds(*box)
    across, up = east - west, north - south
    if not isfinite(across + up) or min(across, up) < _least(crs_name):
        raise InvalidInput("The bbox cannot be shown in this CRS.", hint="Choose a box around Denmark.")
    if not crs.is_metric(crs_name):
        across *= max(cos(radians(min(max((south + north) / 2, -89), 89))), 0.01)
    if width is None and height is None:
        largest = max(across, up)
        width, height = (
            max(1, round(_DEFAULT_PX * across / largest)),
            max(1, round(_DEFAULT_PX * up / largest)),
        )
    elif width is None:
        width = max(1, round((height or 1) * across / up))
    elif height is None:
        height = max(1, round(width * up / across))
    if max(width, height or 1) > MOST_PX or width * (height or 1) > _MOST_AREA_PX:
        raise TooLarge(
            "The image is too large.",
            hint=f"At most {MOST_PX} pixels a side and {_MOST_AREA_PX:,} together.",
            details={"width": width, "height": height},
        )
    return ImageFrame(crs_name, (west, south, east, north), width, height or 1)


def _least(crs_name: str) -> float:
    return _LEAST_M if crs.is_metric(crs_name) else _LEAST_M / 1e5


def default_frame(
    sources: Sequence[MapSource], crs_name: str, width: int | None, height: int | None
) -> ImageFrame:
    """Return the frame of all that is shown; of Denmark where nothing is."""
    known = [extent for source in sources if (extent := source.extent()) is not None]
    if not known:
        return frame_of(crs.DENMARK_UTM32, _STORAGE, crs_name, width, height)
    west, south, east, north = (
        reduce(side) for reduce, side in zip((min, min, max, max), zip(*known, strict=True), strict=True)
    )
    margin = max(10.0, 0.01 * max(east - west, north - south))
    box = (west - margin, south - margin, east + margin, north + margin)
    return frame_of(box, _STORAGE, crs_name, width, height)


def size_of(text: str | None, name: str) -> int | None:
    """Return a width or height in pixels.

    Raises
    ------
    InvalidInput
        It is no whole number from 1.
    """
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise InvalidInput(f"'{name}' is no whole number from 1.", details={"parameter": name})
    return int(text)


def background_of(colour: str | None, transparent: bool) -> str | None:
    """Return the background as ``#rrggbb``, ``None`` for a transparent one.

    Raises
    ------
    InvalidInput
        The colour is neither ``0xRRGGBB`` nor a name of CSS.
    """
    from PIL import ImageColor

    if colour is None:
        return None if transparent else "#ffffff"
    text = colour.strip().lower()
    named = ImageColor.colormap.get(text)
    digits = (str(named) if named is not None else text).removeprefix("#").removeprefix("0x")
    if len(digits) != 6 or set(digits) - set("0123456789abcdef"):
        raise InvalidInput(
            f"'{colour[:40]}' is no colour.", hint="bgcolor=0xRRGGBB or a name of CSS, such as white"
        )
    return None if transparent else f"#{digits}"


# --- The image

_drawing = threading.Lock()
"""One map is drawn at a time; images that are kept do not wait for it."""

_kept = TileCache(_CACHE_BYTES)


def kept_image(
    asked: Asked,
    sources: Sequence[MapSource],
    frame: ImageFrame,
    style: str,
    background: str | None,
    form: str,
) -> bytes:
    """Return the image of a tile; that of open collections is kept between requests."""
    if _is_granted(sources):
        return image(asked, sources, frame, style, background, form)
    versions = tuple((s.collection.id, repr(s.collection.rule), s.version) for s in sources)
    key = (versions, frame.crs_name, frame.bounds, frame.width_px, style, background, form, asked.language)
    content = _kept.get(key)
    if content is None:
        content = image(asked, sources, frame, style, background, form)
        _kept.put(key, content)
    return content


def image(
    asked: Asked,
    sources: Sequence[MapSource],
    frame: ImageFrame,
    style: str,
    background: str | None,
    form: str,
) -> bytes:
    """Draw a map.

    Raises
    ------
    NotFound
        There is no such style.
    TooLarge
        Too many features lie in the frame.
    """
    entry = style_entry(style)
    with _drawing:
        layers = [layer for source in sources for layer in _layers(asked, source, frame, entry)]
        svg = draw_map(frame, layers, Style(entry.style_set, entry.theme, asked.language), background)
        png = as_png(svg)
        return png if form == "png" else as_jpeg(png, background or "#ffffff")


def _layers(asked: Asked, source: MapSource, frame: ImageFrame, entry: StyleEntry) -> list[MapLayer]:
    collection, view = source.collection, source.view
    if source.grid is not None:
        picture = PICTURES[collection.kind](asked, source.grid, frame)
        return [MapLayer(collection.id, picture=picture)] if picture else []
    if view is None or round(frame.zoom) < LEAST_ZOOM.get(collection.dataset, 0):
        return []
    utilities = styles_apply(collection) and is_drawn(view)
    if utilities and not is_drawn_at(entry.style_set, frame.pixel_m * 1000 / entry.style_set.pixel_mm):
        return []
    held = [column.name for column in view.schema.public_columns]
    query = FeatureQuery(
        bbox=frame.storage_bounds,
        equal=collection.rule,
        columns=None if utilities else columns_read(collection.id, held),
        limit=_MOST_ROWS + 1,
    )
    batches = list(view.read(query))
    if sum(map(len, batches)) > _MOST_ROWS:
        raise TooLarge(
            f"More than {_MOST_ROWS:,} features of '{collection.id}' lie in this map.",
            hint="Ask for a smaller area.",
        )
    return [MapLayer(collection.id, batches, utilities)]


# --- Grids

_HYPSOMETRIC: Final = np.array(
    [
        [-10, 150, 190, 205],
        [0, 178, 206, 178],
        [15, 205, 222, 184],
        [40, 232, 226, 188],
        [80, 224, 202, 160],
        [130, 204, 172, 134],
        [200, 178, 144, 116],
    ],
    dtype=float,
)
"""Metres DVR90, red, green, blue."""

_SUN: Final = np.array([-0.5, 0.5, 0.7071])  # from north-west, 45 degrees high: east, north, up
_EXAGGERATION: Final = 2.0


def _terrain(asked: Asked, grid: Grid, frame: ImageFrame) -> bytes:
    """Return a picture of heights: tinted by height, shaded from the north-west; nothing where none are."""
    reader = asked.present.opened(grid)
    west, south, east, north = frame.bounds
    dx, dy = (east - west) / frame.width_px, (north - south) / frame.height_px
    wider = Frame(
        frame.crs_name, west - dx, south - dy, east + dx, north + dy, frame.width_px + 2, frame.height_px + 2
    )
    heights_m = reader.read(wider, [reader.parameters[0].id])[0, 0, 0]
    return _shaded(heights_m, frame.pixel_m)


def _shaded(heights_m: NDArray[np.float64], pixel_m: float) -> bytes:
    """Return the PNG of heights that have one cell more on each side than the picture."""
    from PIL import Image

    inner = heights_m[1:-1, 1:-1]
    known = np.isfinite(inner)
    if not known.any():
        return b""
    with np.errstate(invalid="ignore"):
        east = (heights_m[1:-1, 2:] - heights_m[1:-1, :-2]) / (2 * pixel_m) * _EXAGGERATION
        north = (heights_m[:-2, 1:-1] - heights_m[2:, 1:-1]) / (2 * pixel_m) * _EXAGGERATION
        lit = (_SUN[2] - east * _SUN[0] - north * _SUN[1]) / np.sqrt(1 + east**2 + north**2)
    shade = np.clip(np.nan_to_num(lit, nan=float(_SUN[2])) / _SUN[2], 0.35, 1.15)
    steps = _HYPSOMETRIC[:, 0]
    tint = np.stack([np.interp(np.nan_to_num(inner), steps, _HYPSOMETRIC[:, 1 + n]) for n in range(3)], -1)
    pixels = np.zeros((*inner.shape, 4), np.uint8)
    pixels[..., :3] = np.clip(tint * shade[..., None], 0, 255)
    pixels[..., 3] = np.where(known, 255, 0)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG", compress_level=1)
    return written.getvalue()


type Picture = Callable[[Asked, Grid, ImageFrame], bytes]

PICTURES: Final[Mapping[Any, Picture]] = {Kind.RASTER: _terrain}
"""Kind of collection -> what draws its grids: a PNG of the size of the frame, empty where nothing is."""
