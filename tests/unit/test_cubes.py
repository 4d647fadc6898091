"""Cubes keep the values of the Zarr folders they come from; the oracle is xarray on the source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from geoinfra.errors import InvalidInput, TooLarge, UnreadableFile
from geoinfra.sample.grids import write_sea_level, write_weather
from geoinfra.storage.cubes import Cube, Stations, open_cube, write_cube
from geoinfra.storage.grids import Frame

X0, Y0 = 645_000.0, 6_079_000.0


def cube_of(folder: Path, source: Path, **facts: Any) -> Any:
    folder.mkdir()
    return open_cube(folder, write_cube(folder, source, **facts))


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cube, xarray.Dataset]:
    folder = tmp_path_factory.mktemp("weather")
    source = write_weather(folder / "in.zarr")
    return cube_of(folder / "out", source), xarray.open_zarr(source, chunks=None, consolidated=False)


@pytest.fixture(scope="module")
def levels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stations, xarray.Dataset]:
    folder = tmp_path_factory.mktemp("levels")
    source = write_sea_level(folder / "in.zarr")
    return cube_of(folder / "out", source), xarray.open_zarr(source, chunks=None, consolidated=False)


def small(**change: Any) -> xarray.Dataset:
    """Six hours on 3 x 4 cells in degrees, rows south to north."""
    values = np.arange(72, dtype=np.float64).reshape(6, 3, 4)
    made = xarray.Dataset(
        {"t": (("time", "lat", "lon"), values, {"units": "K", "standard_name": "air_temperature"})},
        coords={
            "time": ("time", np.arange(6), {"units": "hours since 2025-12-31T22:00:00+01:00"}),
            "lat": ("lat", [54.0, 54.5, 55.0], {"standard_name": "latitude"}),
            "lon": ("lon", [9.0, 9.5, 10.0, 10.5], {"standard_name": "longitude"}),
        },
    )
    return made.assign_coords(change) if change else made


def stored(folder: Path, dataset: xarray.Dataset) -> Path:
    dataset.to_zarr(folder, zarr_format=2, consolidated=False)
    return folder


def test_a_series_is_that_of_the_cell(weather: tuple[Cube, xarray.Dataset]) -> None:
    cube, source = weather
    found = cube.sample(np.array([650_700.0, X0 + 1]), np.array([6_084_200.0, Y0 + 1]), ["mean_temp"])
    for number, (x, y) in enumerate([(650_500, 6_084_500), (X0 + 500, Y0 + 500)]):
        expected = source["mean_temp"].sel(x=x, y=y).values
        np.testing.assert_array_equal(found[0, :, 0, number].astype(np.float32), expected)
    np.testing.assert_array_equal(cube.times, source["time"].values.astype("datetime64[s]"))


def test_cells_of_a_moment_lie_north_up(weather: tuple[Cube, xarray.Dataset]) -> None:
    cube, source = weather
    found = cube.read(cube.frame, ["mean_wind_dir", "acc_precip"], slice(100, 103))
    for number, name in enumerate(["mean_wind_dir", "acc_precip"]):
        expected = source[name].values[100:103, ::-1]
        np.testing.assert_array_equal(found[number, :, 0].astype(np.float32), expected)


def test_outside_there_is_nothing(weather: tuple[Cube, xarray.Dataset]) -> None:
    cube, _ = weather
    x, y = np.array([X0 - 0.01, X0 + 12_000.01, X0, np.inf]), np.full(4, Y0 + 10)
    assert np.isnan(cube.sample(x, y, ["mean_temp"])).all(axis=(0, 1, 2)).tolist() == [
        True,
        True,
        False,
        True,
    ]
    frame = Frame("EPSG:25832", X0 - 2000, Y0, X0 + 1000, Y0 + 1000, 3, 1)
    values = cube.read(frame, ["mean_temp"], slice(0, 1))
    assert np.isnan(values).ravel().tolist() == [True, True, False]


def test_series_of_stations_keep_their_gaps(levels: tuple[Stations, xarray.Dataset]) -> None:
    cube, source = levels
    assert [s.name for s in cube.stations] == ["Havnsby Havn", "Sandvig Bro", "Klintehoved"]
    assert [p.datum for p in cube.parameters] == ["DVR90", ""]
    for number in range(3):
        expected = source["sealev_dvr"].isel(station=number, time=slice(990, 1040)).values
        found = cube.series(number, ["sealev_dvr"], slice(990, 1040))[0]
        np.testing.assert_array_equal(found.astype(np.float32), expected)
    assert np.isnan(cube.series(1, ["sealev_dvr"])).sum() == 36


@pytest.mark.parametrize("form", [2, 3])
@pytest.mark.parametrize("turned", [False, True])
def test_axes_in_any_order_and_either_form_of_zarr(tmp_path: Path, form: int, turned: bool) -> None:
    source = small().transpose("lon", "time", "lat") if turned else small()
    source = source.isel(lat=slice(None, None, -1)) if turned else source
    source.to_zarr(tmp_path / "in.zarr", zarr_format=form, consolidated=False)  # type: ignore[call-overload]  # 2 or 3
    cube = cube_of(tmp_path / "out", tmp_path / "in.zarr")
    assert cube.frame == Frame("OGC:CRS84", 8.75, 53.75, 10.75, 55.25, 4, 3)
    assert str(cube.times[0]) == "2025-12-31T21:00:00"
    assert cube.read(cube.frame, ["t"], slice(0, 1)).ravel().tolist() == [
        8,
        9,
        10,
        11,
        4,
        5,
        6,
        7,
        0,
        1,
        2,
        3,
    ]
    assert cube.parameters[0].unit == "K"


def test_layers_are_kept(tmp_path: Path) -> None:
    values = np.arange(16, dtype=np.float32).reshape(2, 2, 2, 2)
    source = xarray.Dataset(
        {"wind": (("time", "height", "lat", "lon"), values, {"units": "m s-1"})},
        coords={
            "time": ("time", [0, 1], {"units": "days since 2025-01-01"}),
            "height": ("height", [10.0, 100.0], {"axis": "Z", "units": "m"}),
            "lat": ("lat", [55.0, 54.0]),
            "lon": ("lon", [9.0, 10.0]),
        },
    )
    cube = cube_of(tmp_path / "out", stored(tmp_path / "in.zarr", source))
    assert cube.levels.tolist() == [10.0, 100.0]
    assert cube.sample(np.array([10.0]), np.array([54.0]), ["wind"])[0, :, :, 0].tolist() == [
        [3, 7],
        [11, 15],
    ]


def test_packed_values_are_unpacked(tmp_path: Path) -> None:
    source = small()
    source["t"].encoding = {"dtype": "int16", "scale_factor": 0.5, "add_offset": 3.0, "_FillValue": -1}
    source["t"][0, 0, 0] = np.nan
    cube = cube_of(tmp_path / "out", stored(tmp_path / "in.zarr", source))
    values = cube.read(cube.frame, ["t"], slice(0, 1))[0, 0, 0]
    assert np.isnan(values[2, 0])
    assert values[2, 1:].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("calendar", ["360_day", "365_day", "noleap", "366_day"])
def test_a_calendar_of_other_days_is_refused(tmp_path: Path, calendar: str) -> None:
    time = ("time", np.arange(6), {"units": "days since 2025-01-01", "calendar": calendar})
    with pytest.raises(InvalidInput, match=f"'{calendar}'.*days") as refused:
        cube_of(tmp_path / "out", stored(tmp_path / "in.zarr", small(time=time)))
    assert "convert_calendar" in refused.value.hint


REFUSED = {
    "no time units": ({"time": ("time", np.arange(6))}, "no units"),
    "odd time units": (
        {"time": ("time", np.arange(6), {"units": "moons since 2025-01-01"})},
        "cannot be read",
    ),
    "falling time": ({"time": ("time", np.arange(6)[::-1], {"units": "days since 2025-01-01"})}, "ascending"),
    "uneven axis": ({"lon": ("lon", [9.0, 9.5, 10.0, 11.0], {"standard_name": "longitude"})}, "not even"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=list(REFUSED))
def test_what_does_not_follow_cf_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        cube_of(tmp_path / "out", stored(tmp_path / "in.zarr", small(**change)))


def test_metres_without_a_crs_and_values_without_units_are_refused(tmp_path: Path) -> None:
    bare = small()
    del bare["t"].attrs["units"]
    with pytest.raises(InvalidInput, match="'t' has no units"):
        cube_of(tmp_path / "a", stored(tmp_path / "a.zarr", bare))
    metres = small().rename({"lat": "y", "lon": "x"})
    for name, standard in (("x", "projection_x_coordinate"), ("y", "projection_y_coordinate")):
        metres[name].attrs["standard_name"] = standard
    with pytest.raises(InvalidInput, match="no coordinate reference system"):
        cube_of(tmp_path / "b", stored(tmp_path / "b.zarr", metres))


def test_what_is_no_zarr_folder_or_damaged_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableFile, match="no Zarr folder"):
        cube_of(tmp_path / "a", tmp_path / "empty")
    source = stored(tmp_path / "in.zarr", small())
    next(path for path in (source / "t").iterdir() if path.name[0].isdigit()).write_bytes(b"spoilt")
    with pytest.raises(UnreadableFile, match="damaged"):
        cube_of(tmp_path / "b", source)


def test_a_read_is_bounded(weather: tuple[Cube, xarray.Dataset]) -> None:
    cube, _ = weather
    frame = Frame("EPSG:25832", X0, Y0, X0 + 12_000, Y0 + 12_000, 500, 500)
    with pytest.raises(TooLarge, match="at most"):
        cube.read(frame, ["mean_temp"])
