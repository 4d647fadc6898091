"""Tiles of rasters as PNG: heights as colours for terrain in map clients, or values as grey.

A tile has the values at the middles of its cells; where the tile matrix's cells are those of the raster
(terrain at 0.8 m in the grid of the Danish map services) it has the raster's own cells.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geoinfra.errors import InvalidInput
from geoinfra.storage.grids import Frame
from services.ogc.gridded import Shown
from services.ogc.tile_matrix import TILE_PX, TileMatrixSet

__all__ = ["ENCODINGS", "draw_tile", "write_png"]

type Pixels = NDArray[np.uint8]

_LEVEL: Final = 1
_COLOURS: Final = {1: 0, 3: 2, 4: 6}  # PNG's colour types by number of channels


def _terrain_rgb(heights_m: NDArray[np.float64]) -> Pixels:
    """Mapbox: height = -10000 + (R * 65536 + G * 256 + B) * 0.1."""
    return _three_bytes(np.clip(np.round((heights_m + 10_000.0) * 10.0), 0, 0xFFFFFF).astype(np.uint32))


def _terrarium(heights_m: NDArray[np.float64]) -> Pixels:
    """Terrarium: height = R * 256 + G + B / 256 - 32768."""
    return _three_bytes(np.clip(np.round((heights_m + 32_768.0) * 256.0), 0, 0xFFFFFF).astype(np.uint32))


def _three_bytes(numbers: NDArray[np.uint32]) -> Pixels:
    """Return the lower three bytes of each number, highest first."""
    spread = np.ascontiguousarray(numbers.astype(">u4")).view(np.uint8)
    return np.asarray(spread.reshape(*numbers.shape, 4)[..., 1:])


ENCODINGS: Final[Mapping[str, Callable[[NDArray[np.float64]], Pixels] | None]] = {
    "terrain-rgb": _terrain_rgb,
    "terrarium": _terrarium,
    "grey": None,
}
"""Names of the encodings of heights; grey needs a range."""


def draw_tile(
    found: Shown,
    matrix: TileMatrixSet,
    level: int,
    row: int,
    column: int,
    encoding: str,
    limits: tuple[float, float] = (0.0, 255.0),
) -> bytes | None:
    """Return a tile of the raster's first parameter as PNG; ``None`` where it has no value at all.

    Gaps are transparent.

    Parameters
    ----------
    limits
        The values that become black and white, for ``grey``.

    Raises
    ------
    InvalidInput
        The encoding is not known.
    """
    if encoding not in ENCODINGS:
        raise InvalidInput(
            f"The encoding '{encoding[:40]}' is not offered.", hint=f"One of {', '.join(ENCODINGS)}."
        )
    frame = Frame(matrix.crs_name, *matrix.bounds(level, row, column), TILE_PX, TILE_PX)
    values = found.reader.read(frame, [found.reader.parameters[0].id])[0, 0, 0]
    gaps = np.isnan(values)
    if gaps.all():
        return None
    has_gaps = bool(gaps.any())
    if has_gaps:
        values[gaps] = 0.0
    encode = ENCODINGS[encoding]
    if encode is None:
        low, high = limits
        grey = np.clip(np.round((values - low) / (high - low) * 255), 0, 255).astype(np.uint8)
        pixels: Any = np.repeat(grey[..., None], 3, axis=2) if has_gaps else grey[..., None]
    else:
        pixels = encode(values)
    if has_gaps:
        pixels = np.concatenate([pixels, np.where(gaps, 0, 255).astype(np.uint8)[..., None]], axis=2)
    return write_png(pixels)


def write_png(pixels: Pixels) -> bytes:
    """Write ``(row, column, channel)`` bytes as PNG: one, three or four channels."""
    height, width, channels = pixels.shape
    lines = np.empty((height, 1 + width * channels), dtype=np.uint8)
    lines[:, 0] = 1  # each byte less the one of the pixel to its left
    differences = lines[:, 1:].reshape(height, width, channels)
    differences[:, 0] = pixels[:, 0]
    np.subtract(pixels[:, 1:], pixels[:, :-1], out=differences[:, 1:])
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    body = zlib.compress(lines, _LEVEL)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
