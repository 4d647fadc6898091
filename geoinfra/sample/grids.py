"""What is measured around Havnsby, all invented: a terrain model, a weather cube, series of sea level."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

from geoinfra.sample.streams import stream
from geoinfra.sample.terrain import ORIGIN_E, ORIGIN_N, height_m

__all__ = ["CELL_M", "NODATA_CM", "SEED", "write_dtm", "write_sea_level", "write_weather"]

CELL_M: Final = 0.8
"""A level of the grid of the Danish map services, so that tiles there need no resampling."""
NODATA_CM: Final = -32768
SEED: Final = 20261124

_TILE_M = 1000.0
_WEATHER_CELL_M = 1000.0
_WEATHER_CELLS = 12
_FIRST_DAY = "2026-01-01T00:00:00Z"
_HOURS = 31 * 24
_TEN_MINUTES = 31 * 144
_STATIONS: Final = (
    ("90001", "Havnsby Havn", ORIGIN_E + 700.0, ORIGIN_N + 150.0),
    ("90002", "Sandvig Bro", ORIGIN_E + 6200.0, ORIGIN_N + 400.0),
    ("90003", "Klintehoved", ORIGIN_E - 5400.0, ORIGIN_N - 900.0),
)

type Bounds = tuple[float, float, float, float]


def write_dtm(folder: Path, bounds: Bounds) -> list[Path]:
    """Write the terrain as GeoTIFFs of at most 1 km: Int16 centimetres over DVR90 (scale 0.01), EPSG:25832.

    Parameters
    ----------
    bounds
        Area in EPSG:25832 metres, multiples of 20 m; named as the Danish height model names its tiles.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for north_km in range(int(bounds[1] // _TILE_M), int(np.ceil(bounds[3] / _TILE_M))):
        for east_km in range(int(bounds[0] // _TILE_M), int(np.ceil(bounds[2] / _TILE_M))):
            west, south = max(east_km * _TILE_M, bounds[0]), max(north_km * _TILE_M, bounds[1])
            east, north = min((east_km + 1) * _TILE_M, bounds[2]), min((north_km + 1) * _TILE_M, bounds[3])
            path = folder / f"DTM_1km_{north_km}_{east_km}.tif"
            _write_tile(path, west, south, east, north)
            written.append(path)
    return written


def _write_tile(path: Path, west: float, south: float, east: float, north: float) -> None:
    width, height = round((east - west) / CELL_M), round((north - south) / CELL_M)
    e = west + (np.arange(width) + 0.5) * CELL_M
    n = north - (np.arange(height) + 0.5) * CELL_M
    centimetres = np.round(height_m(e[None, :], n[:, None]) * 100).astype(np.int16)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=1,
        dtype="int16",
        crs="EPSG:25832",
        transform=from_origin(west, north, CELL_M, CELL_M),
        nodata=NODATA_CM,
        tiled=True,
    ) as tile:
        tile.scales = (0.01,)
        tile.write(centimetres, 1)


def write_weather(folder: Path) -> Path:
    """Write a Zarr folder: a month of hours on 12 x 12 cells of 1 km, parameters named as DMI names them."""
    import xarray

    middles = np.arange(_WEATHER_CELLS, dtype=np.float64) * _WEATHER_CELL_M + _WEATHER_CELL_M / 2
    x = np.asarray(ORIGIN_E - 5000.0 + middles)
    y = np.asarray(ORIGIN_N - 5000.0 + middles)
    values = _weather(x, y)
    dataset = xarray.Dataset(
        {name: (("time", "y", "x"), values[name], attrs) for name, attrs in _WEATHER.items()},
        coords={
            "time": ("time", np.arange(_HOURS), _time_attrs("hours")),
            "x": ("x", x, {"standard_name": "projection_x_coordinate", "axis": "X", "units": "m"}),
            "y": ("y", y, {"standard_name": "projection_y_coordinate", "axis": "Y", "units": "m"}),
            "crs": ((), 0, {"crs_wkt": "EPSG:25832"}),
        },
        attrs={"Conventions": "CF-1.11", "title": "Weather at Havnsby (invented)"},
    )
    return _written(dataset, folder)


def write_sea_level(folder: Path) -> Path:
    """Write a Zarr folder: one month of levels and temperatures every ten minutes at three stations."""
    import xarray

    ids, names, x, y = zip(*_STATIONS, strict=True)
    places = {"standard_name": "projection_x_coordinate", "units": "m"}
    dataset = xarray.Dataset(
        {
            "sealev_dvr": (
                ("station", "time"),
                _sea_level(),
                {
                    "standard_name": "sea_surface_height_above_geopotential_datum",
                    "long_name": "Sea level over DVR90",
                    "units": "m",
                    "vertical_datum": "DVR90",
                    "cell_methods": "time: point",
                    "decimals": 2,
                },
            ),
            "tw": (
                ("station", "time"),
                _sea_temperature(),
                {
                    "standard_name": "sea_water_temperature",
                    "long_name": "Water temperature",
                    "units": "degC",
                    "cell_methods": "time: point",
                    "decimals": 1,
                },
            ),
        },
        coords={
            "time": ("time", np.arange(_TEN_MINUTES) * 10, _time_attrs("minutes")),
            "station_id": ("station", np.array(ids), {"cf_role": "timeseries_id"}),
            "station_name": ("station", np.array(names), {"standard_name": "platform_name"}),
            "easting": ("station", np.array(x), places),
            "northing": (
                "station",
                np.array(y),
                {**places, "standard_name": "projection_y_coordinate"},
            ),
            "crs": ((), 0, {"crs_wkt": "EPSG:25832"}),
        },
        attrs={
            "Conventions": "CF-1.11",
            "featureType": "timeSeries",
            "title": "Sea level at Havnsby (invented)",
        },
    )
    return _written(dataset, folder)


def _written(dataset: Any, folder: Path) -> Path:
    dataset.to_zarr(folder, mode="w", zarr_format=2, consolidated=False)
    return folder


def _time_attrs(unit: str) -> dict[str, str]:
    return {
        "standard_name": "time",
        "axis": "T",
        "units": f"{unit} since {_FIRST_DAY}",
        "calendar": "standard",
    }


_WEATHER: Final[Mapping[str, dict[str, Any]]] = {
    "mean_temp": {
        "standard_name": "air_temperature",
        "long_name": "Mean temperature of the hour",
        "units": "degC",
        "cell_methods": "time: mean",
        "decimals": 1,
    },
    "acc_precip": {
        "standard_name": "precipitation_amount",
        "long_name": "Precipitation of the hour",
        "units": "kg m-2",
        "cell_methods": "time: sum",
        "decimals": 1,
    },
    "mean_wind_speed": {
        "standard_name": "wind_speed",
        "long_name": "Mean wind speed of the hour",
        "units": "m s-1",
        "cell_methods": "time: mean",
        "decimals": 1,
    },
    "mean_wind_dir": {
        "standard_name": "wind_from_direction",
        "long_name": "Mean wind direction of the hour",
        "units": "degree",
        "cell_methods": "time: mean",
        "decimals": 0,
    },
    "mean_relative_hum": {
        "standard_name": "relative_humidity",
        "long_name": "Mean relative humidity of the hour",
        "units": "%",
        "cell_methods": "time: mean",
        "decimals": 0,
    },
}


def _weather(x: NDArray[np.float64], y: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
    """Return each parameter over ``(time, y, x)``; y runs south to north."""
    hour = np.arange(_HOURS)[:, None, None]
    east, north = (x - x[0])[None, None, :] / 1000, (y - y[0])[None, :, None] / 1000
    day = 2 * np.pi * hour / 24
    front = np.sin(2 * np.pi * (hour / 109 + east / 90 + north / 140))
    height = np.maximum(height_m(x[None, :], y[:, None]), 0.0)[None]
    temperature = 2.0 + 4.5 * front - 1.8 * np.cos(day - 0.9) - 0.0065 * height
    rain = np.maximum(np.sin(2 * np.pi * (hour / 37 + east / 30 - north / 50)) - 0.72, 0.0) * 9.0
    wind = 6.0 + 4.0 * np.abs(front) + 1.2 * np.cos(day)
    direction = (250.0 + 80.0 * front + 4.0 * east) % 360.0
    humidity = np.clip(78.0 + 14.0 * np.cos(day) + 20.0 * (rain > 0), 0.0, 100.0) + 0.0 * east * north
    fields = {
        "mean_temp": temperature,
        "acc_precip": rain,
        "mean_wind_speed": wind,
        "mean_wind_dir": direction,
        "mean_relative_hum": humidity,
    }
    shape = (_HOURS, len(y), len(x))
    return {name: np.broadcast_to(v, shape).astype(np.float32).round(1) for name, v in fields.items()}


def _sea_level() -> NDArray[np.float32]:
    """Return levels over ``(station, time)``: a tide, weather, and a surge in the middle of the month."""
    hour = np.arange(_TEN_MINUTES)[None, :] / 6
    late = np.array([0.0, 0.4, -0.6])[:, None]
    level = 0.12 * np.sin(2 * np.pi * (hour - late) / 12.42)
    level = level + 0.25 * np.sin(2 * np.pi * (hour - late) / 113)
    level = level + 1.35 * np.exp(-(((hour - 330 - late) / 9) ** 2))
    rng = stream(SEED, "sea-level")
    level = (level + rng.normal(0.0, 0.01, level.shape)).round(2).astype(np.float32)
    level[1, 1000:1036] = np.nan  # six hours in which the gauge was silent
    return np.asarray(level)


def _sea_temperature() -> NDArray[np.float32]:
    hour = np.arange(_TEN_MINUTES)[None, :] / 6
    drift = np.array([3.4, 3.1, 3.8])[:, None]
    return np.asarray((drift - hour / 600 + 0.2 * np.sin(2 * np.pi * hour / 24)).round(1), dtype=np.float32)
