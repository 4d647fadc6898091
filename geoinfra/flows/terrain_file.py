"""Terrain heights from one GeoTIFF: a :data:`~geoinfra.utilities.heights.TerrainSampler`."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.errors import RasterioError
from rasterio.windows import Window

from geoinfra.crs import STORAGE_EPSG
from geoinfra.errors import InvalidInput, UnreadableFile

__all__ = ["GeoTiffTerrain"]

_TILE_PIXELS = 1024
"""Side of the windows that are read: 8 MB of heights at most are held."""
_DVR90_EPSG = 5799


class GeoTiffTerrain:
    """Heights of a terrain model in one GeoTIFF, bilinear between the centres of its pixels.

    Places outside the raster, and those beside a pixel without data, have no height (NaN). Only the windows
    that hold asked places are read, one at a time.

    Parameters
    ----------
    path
        A north-up raster in EPSG:25832, heights in DVR90 metres in its first band.

    Raises
    ------
    UnreadableFile
        It is no raster.
    InvalidInput
        It is rotated, or lies in another reference system.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._dataset = rasterio.open(path, driver="GTiff")
        except RasterioError as error:
            raise UnreadableFile(
                f"'{path.name}' cannot be read as a GeoTIFF.", hint="Give a terrain model as a GeoTIFF file."
            ) from error
        try:
            _require_storage_crs(self._dataset)
        except InvalidInput:
            self.close()
            raise
        band = self._dataset
        self._nodata = band.nodata
        self._scale, self._offset = band.scales[0], band.offsets[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._dataset.close()

    def __call__(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the heights at (n, 2) eastings and northings, NaN where there are none."""
        heights = np.full(len(xy), np.nan)
        grid, inside = self._pixels(np.asarray(xy, dtype=np.float64))
        if not len(inside):
            return heights
        tiles = grid // _TILE_PIXELS
        order = np.lexsort(tiles.T)
        cuts = np.flatnonzero(np.any(np.diff(tiles[order], axis=0) != 0, axis=1)) + 1
        for members in np.split(order, cuts):
            heights[inside[members]] = self._sample(grid[members])
        return heights

    def _pixels(self, xy: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return column and row, counted from the centre of the first pixel, of the places that are inside.

        The outer half pixel takes the value of its pixel.
        """
        band = self._dataset
        grid = (xy - [band.transform.c, band.transform.f]) / [band.transform.a, band.transform.e]
        size = np.array([band.width, band.height])
        inside = np.flatnonzero(np.all((grid >= 0) & (grid <= size), axis=1))
        return np.clip(grid[inside] - 0.5, 0, size - 1), inside

    def _sample(self, grid: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return heights at places of one tile; one window is read."""
        size = np.array([self._dataset.width, self._dataset.height])
        low = np.floor(grid).astype(np.int64)
        high = np.minimum(low + 1, size - 1)
        origin, end = low.min(axis=0), high.max(axis=0) + 1
        values = self._read(origin, end)
        share = grid - low
        heights = np.zeros(len(grid))
        for columns, weight_x in ((low, 1 - share[:, 0]), (high, share[:, 0])):
            for rows, weight_y in ((low, 1 - share[:, 1]), (high, share[:, 1])):
                weight = weight_x * weight_y
                pixel = values[rows[:, 1] - origin[1], columns[:, 0] - origin[0]]
                heights += np.where(weight > 0, weight * pixel, 0.0)
        return heights

    def _read(self, origin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
        """Read a window as heights, NaN where a pixel has none."""
        width, height = (end - origin).tolist()
        window = Window(int(origin[0]), int(origin[1]), width, height)
        try:
            masked = self._dataset.read(1, window=window, masked=True)
        except RasterioError as error:
            raise UnreadableFile(f"'{Path(self._dataset.name).name}' is damaged.") from error
        values = masked.astype(np.float64).filled(np.nan) * self._scale + self._offset
        values[~np.isfinite(values)] = np.nan
        return np.asarray(values, dtype=np.float64)


def _require_storage_crs(dataset: Any) -> None:
    """Refuse a raster that is not north-up in EPSG:25832, or whose vertical system is not DVR90."""
    transform = dataset.transform
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise InvalidInput("The terrain model is rotated or mirrored.", hint="Warp it to a north-up raster.")
    wanted = f"EPSG:{STORAGE_EPSG}, heights in DVR90"
    found = "none" if dataset.crs is None else dataset.crs.to_wkt()
    try:
        systems = [] if dataset.crs is None else _split(CRS.from_wkt(found))
    except CRSError:
        systems = []
    codes = [system.to_epsg(min_confidence=25) for system in systems]
    if codes not in ([STORAGE_EPSG], [STORAGE_EPSG, _DVR90_EPSG]):
        name = systems[0].name if systems else "none"
        raise InvalidInput(
            f"The terrain model must be in {wanted}.",
            hint=f"Warp it: gdalwarp -t_srs EPSG:{STORAGE_EPSG} IN.tif OUT.tif",
            details={"expected": wanted, "found": name[:200]},
        )


def _split(system: CRS) -> list[CRS]:
    """Return the horizontal system, and the vertical one of a compound."""
    return list(system.sub_crs_list) if system.is_compound else [system]
