"""Rasters give the values of their files; oracles are rasterio, rio-tiler and analytic surfaces."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine, from_origin

from geoinfra import crs
from geoinfra.errors import InvalidInput, NotAllowed, TooLarge, UnreadableFile
from geoinfra.sample.grids import write_dtm
from geoinfra.sample.terrain import height_m
from geoinfra.storage.grids import Frame, Parameter
from geoinfra.storage.rasters import Raster, remote_address, write_raster

HEIGHT = Parameter("height", {"da": "Højde", "en": "Height"}, "m", "DVR90", decimals=2)
EAST, NORTH = 650_000.0, 6_084_000.0
STORAGE = "EPSG:25832"
HALF_CENTIMETRE = 0.0050001  # what rounding to centimetres moves a height by


def write(path: Path, values: NDArray[Any], **more: Any) -> Path:
    height, width = values.shape[-2:]
    profile = {
        "driver": "GTiff",
        "width": width,
        "height": height,
        "count": 1 if values.ndim == 2 else len(values),
        "dtype": values.dtype,
        "crs": STORAGE,
        "transform": from_origin(EAST, NORTH + height, 1, 1),
    } | more
    scale = profile.pop("scale", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile) as tile:
            tile.write(values, None if values.ndim == 3 else 1)
            if scale:
                tile.scales = (scale,)
    return path


def raster_of(folder: Path, *sources: Path, parameters: tuple[Parameter, ...] = (HEIGHT,)) -> Raster:
    folder.mkdir()
    return Raster(folder, write_raster(folder, sources, parameters))


@pytest.fixture(scope="module")
def terrain(tmp_path_factory: pytest.TempPathFactory) -> Raster:
    """Four files that meet at 651000 E, 6085000 N."""
    folder = tmp_path_factory.mktemp("terrain")
    tiles = write_dtm(folder / "in", (EAST + 700, NORTH + 700, EAST + 1300, NORTH + 1300))
    assert len(tiles) == 4
    return raster_of(folder / "out", *tiles)


def test_cells_are_read_as_they_lie_in_the_file(terrain: Raster) -> None:
    name = terrain._tiles[0].name
    with rasterio.open(name) as tile:
        assert tile.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        west, south, east, north = tile.bounds
        expected = tile.read(1, masked=True).astype(float).filled(np.nan) * 0.01
        frame = Frame(STORAGE, west, south, east, north, tile.width, tile.height)
    np.testing.assert_allclose(terrain.read(frame, ["height"])[0, 0, 0], expected, atol=1e-9)


@pytest.mark.parametrize("factor", [1, 2, 4, 8, 16])
def test_files_are_joined_without_a_seam_at_every_scale(terrain: Raster, factor: int) -> None:
    cells, cell = 32, 0.8 * factor
    west = terrain.frame.west + cell * round((EAST + 1000 - terrain.frame.west) / cell - cells / 2)
    north = terrain.frame.north - cell * round((terrain.frame.north - NORTH - 1000) / cell - cells / 2)
    frame = Frame(STORAGE, west, north - cells * cell, west + cells * cell, north, cells, cells)
    values = terrain.read(frame, ["height"])[0, 0, 0]
    fine = Frame(STORAGE, frame.west, frame.south, frame.east, frame.north, cells * factor, cells * factor)
    x, y = np.meshgrid(fine.xs(), fine.ys())
    means = height_m(x, y).reshape(cells, factor, cells, factor).mean(axis=(1, 3))
    rounding = (
        HALF_CENTIMETRE * (1 + np.log2(factor)) + 0.001
    )  # each overview is rounded to centimetres again
    assert np.abs(values - means).max() < rounding


@pytest.mark.parametrize("zoom", [14, 18])
def test_mercator_tiles_equal_those_of_rio_tiler(terrain: Raster, zoom: int) -> None:
    import morecantile
    from rio_tiler.io import Reader

    grid = morecantile.tms.get("WebMercatorQuad")
    x, y = crs.transform_xy(np.array([EAST + 850.0]), np.array([NORTH + 850.0]), STORAGE, "OGC:CRS84")
    tile = grid.tile(float(x[0]), float(y[0]), zoom)
    box = grid.xy_bounds(tile)
    frame = Frame("EPSG:3857", box.left, box.bottom, box.right, box.top, 256, 256)
    ours = terrain.read(frame, ["height"])[0, 0, 0]
    name = next(t.name for t in terrain._tiles if (t.column, t.row) == (0, t.row) and t.row)
    with Reader(name) as reader:
        image = reader.tile(
            tile.x, tile.y, tile.z, tilesize=256, reproject_method="bilinear", resampling_method="bilinear"
        )
    theirs = image.array.astype(float).filled(np.nan)[0] * 0.01
    both = np.isfinite(ours) & np.isfinite(theirs)
    # GDAL's transformer is approximate (an eighth of a cell), and slopes here reach 0.2.
    assert np.abs(ours - theirs)[both].max() < 0.02 + 0.02 * grid.matrix(zoom).cellSize
    assert both.sum() > 100


@pytest.mark.parametrize("target", ["EPSG:3857", "OGC:CRS84", "EPSG:25833", "EPSG:4258"])
def test_values_in_other_systems_are_those_of_the_surface(terrain: Raster, target: str) -> None:
    x, y = crs.transform_xy(
        np.array([EAST + 990, EAST + 1050]), np.array([NORTH + 990, NORTH + 1050]), STORAGE, target
    )
    frame = Frame(target, *sorted(x)[:1], *sorted(y)[:1], max(x), max(y), 90, 90)
    values = terrain.read(frame, ["height"])[0, 0, 0]
    columns, rows = np.meshgrid(frame.xs(), frame.ys())
    e, n = crs.transform_xy(columns, rows, target, STORAGE)
    assert np.abs(values - height_m(e, n)).max() < HALF_CENTIMETRE + 0.002


def test_a_plane_is_interpolated_exactly(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:40, 0:50]
    plane = (10 + 0.25 * columns - 0.5 * rows).astype(np.float32)
    raster = raster_of(tmp_path / "out", write(tmp_path / "plane.tif", plane))
    rng = np.random.default_rng(7)
    x, y = rng.uniform(EAST + 0.5, EAST + 49.5, 200), rng.uniform(NORTH + 0.5, NORTH + 39.5, 200)
    expected = 10 + 0.25 * (x - EAST - 0.5) - 0.5 * (NORTH + 40 - y - 0.5)
    np.testing.assert_allclose(raster.sample(x, y, ["height"])[0, 0, 0], expected, atol=1e-9)


def test_gaps_stay_where_they_are(tmp_path: Path) -> None:
    values = np.full((20, 20), 5.0, dtype=np.float32)
    values[4:8, 4:8] = -9999
    raster = raster_of(tmp_path / "out", write(tmp_path / "gaps.tif", values, nodata=-9999))
    x, y = np.meshgrid(EAST + np.arange(-2, 22, 0.25) + 0.1, NORTH + np.arange(-2, 22, 0.25) + 0.1)
    found = raster.sample(x.ravel(), y.ravel(), ["height"])[0, 0, 0].reshape(x.shape)
    column, row = x - EAST, NORTH + 20 - y
    outside = (column < 0) | (column > 20) | (row < 0) | (row > 20)
    gap = (column >= 4) & (column < 8) & (row > 4) & (row < 8)
    np.testing.assert_array_equal(np.isnan(found), outside | gap)
    np.testing.assert_allclose(found[~np.isnan(found)], 5.0, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_bands_keep_their_order_and_type(tmp_path: Path, dtype: str) -> None:
    values = np.arange(2 * 300 * 300).reshape(2, 300, 300).__mod__(200).astype(dtype)
    two = (Parameter("a", {}, "1"), Parameter("b", {}, "1"))
    raster = raster_of(tmp_path / "out", write(tmp_path / "two.tif", values), parameters=two)
    assert raster.data_type == dtype
    found = raster.read(raster.frame, ["b", "a"])[:, 0, 0]
    np.testing.assert_array_equal(found, values[::-1])


def test_codes_are_not_interpolated(tmp_path: Path) -> None:
    codes = np.array([[1, 9], [9, 1]], dtype=np.uint8)
    code = Parameter("code", {}, "", interpolated=False)
    raster = raster_of(tmp_path / "out", write(tmp_path / "codes.tif", codes), parameters=(code,))
    x, y = np.meshgrid(np.linspace(EAST, EAST + 2, 21), np.linspace(NORTH, NORTH + 2, 21))
    assert set(raster.sample(x.ravel(), y.ravel(), ["code"]).ravel().tolist()) == {1.0, 9.0}


def test_many_threads_read_the_same_values(terrain: Raster) -> None:
    frames = [
        Frame(STORAGE, EAST + 700 + 8 * n, NORTH + 900, EAST + 900 + 8 * n, NORTH + 1100, 100, 100)
        for n in range(12)
    ]
    alone = [terrain.read(frame, ["height"]) for frame in frames]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda frame: terrain.read(frame, ["height"]), frames * 4))
    for number, values in enumerate(together):
        np.testing.assert_array_equal(values, alone[number % 12])


def test_a_read_is_bounded(terrain: Raster) -> None:
    frame = terrain.frame
    with pytest.raises(TooLarge, match="at most"):
        terrain.read(
            Frame(STORAGE, frame.west, frame.south, frame.east, frame.north, 20_000, 20_000), ["height"]
        )


PLAIN = np.ones((8, 8), dtype=np.float32)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no crs": ({"crs": None}, "no coordinate reference system"),
    "geographic": ({"crs": "EPSG:4258", "transform": from_origin(9, 55, 0.1, 0.1)}, "geographic"),
    "another zone": ({"crs": "EPSG:25833"}, "must be EPSG:25832"),
    "other heights": ({"crs": "EPSG:25832+3855"}, "must be in DVR90"),
    "rotated": ({"transform": Affine(1, 0.2, EAST, 0, -1, NORTH)}, "rotated"),
    "not square": ({"transform": from_origin(EAST, NORTH, 1, 2)}, "not square"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=list(REFUSED))
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    source = write(tmp_path / "in.tif", PLAIN, **change)
    with pytest.raises(InvalidInput, match=message):
        raster_of(tmp_path / "out", source)


def _truncated(path: Path) -> None:
    rng = np.random.default_rng(3)
    write(path, rng.normal(size=(600, 600)).astype(np.float32), compress="deflate", tiled=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _disguised(path: Path) -> None:
    path.write_text('<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>')


@pytest.mark.parametrize("spoil", [_truncated, _disguised, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_refused(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(tmp_path / "in.tif")
    with pytest.raises(UnreadableFile, match="GeoTIFF"):
        raster_of(tmp_path / "out", tmp_path / "in.tif")


def test_heights_need_a_datum(tmp_path: Path) -> None:
    source = write(tmp_path / "in.tif", PLAIN)
    with pytest.raises(InvalidInput, match="datum"):
        raster_of(tmp_path / "a", source, parameters=(Parameter("height", {}, "m"),))
    told = raster_of(tmp_path / "b", source, parameters=(Parameter("depth", {}, "m", "none"),))
    assert told.parameters[0].datum == ""
    compound = write(tmp_path / "compound.tif", PLAIN, crs="EPSG:7416")
    known = raster_of(tmp_path / "c", compound, parameters=(Parameter("height", {}, "m"),))
    assert known.parameters[0].datum == "DVR90"


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (from_origin(EAST + 4, NORTH + 8, 1, 1), "overlap"),
        (from_origin(EAST + 8.5, NORTH + 8, 1, 1), "do not lie on the grid"),
        (from_origin(EAST + 8, NORTH + 8, 2, 2), "do not lie on the grid"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(
    tmp_path: Path, transform: Affine, message: str
) -> None:
    first = write(tmp_path / "a.tif", PLAIN)
    second = write(tmp_path / "b.tif", PLAIN, transform=transform)
    with pytest.raises(InvalidInput, match=message):
        raster_of(tmp_path / "out", first, second)


def test_each_band_must_be_described(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="2 bands"):
        raster_of(tmp_path / "out", write(tmp_path / "in.tif", np.ones((2, 4, 4), dtype=np.uint8)))


def test_addresses_are_read_where_they_are_allowed() -> None:
    allowed = ("s3://open-data/",)
    assert remote_address("s3://open-data/a.tif", allowed) == "/vsis3/open-data/a.tif"
    for address in ("s3://other/a.tif", "file:///etc/passwd", "s3://open-data/../x.tif", "/vsizip//a.zip"):
        with pytest.raises(NotAllowed):
            remote_address(address, (*allowed, "", "file:///", "/"))
