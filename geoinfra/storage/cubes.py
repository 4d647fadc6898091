"""Cubes: Zarr groups with values in time, on cells or at stations.

What comes in is any Zarr folder that follows the CF conventions; what is kept is one shape of it: variables
``(time[, level], y, x)`` north up, or ``(station, time)``, in chunks that are long in time, so that a series
is one read. Times are seconds since 1970 in UTC. NetCDF is not read: its library does not bear threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geoinfra import crs
from geoinfra.errors import InvalidInput, MissingResource, UnreadableFile
from geoinfra.storage.grids import Frame, Parameter, require_cells

__all__ = ["Cube", "Station", "Stations", "open_cube", "write_cube"]

_ALL: Final = slice(None)
_CALENDARS: Final = ("standard", "gregorian", "proleptic_gregorian")
_CHUNK_VALUES = 512 * 1024
_LONGEST_CHUNK = 16_384
_EVEN = 1e-4
"""Share of a step by which steps of an axis may differ."""

_X_NAMES = ("projection_x_coordinate", "longitude")
_Y_NAMES = ("projection_y_coordinate", "latitude")
_UCUM: Final = {
    "K": "K",
    "degC": "Cel",
    "degree_Celsius": "Cel",
    "degrees_Celsius": "Cel",
    "celsius": "Cel",
    "%": "%",
    "1": "1",
    "m s-1": "m/s",
    "m/s": "m/s",
    "m.s-1": "m/s",
    "degree": "deg",
    "degrees": "deg",
    "kg m-2": "kg/m2",
    "W m-2": "W/m2",
}
"""UCUM symbols of the units of CF that are written otherwise."""


# --- Reading


class Cube:
    """Cells with values in time; see :class:`~geoinfra.storage.grids.Gridded`.

    Parameters
    ----------
    folder
        Where the Zarr group is.
    description
        What :func:`write_cube` returned.
    """

    def __init__(self, folder: Path, description: Mapping[str, Any]) -> None:
        self.parameters = tuple(Parameter(**document) for document in description["parameters"])
        self.frame = Frame(description["crs"], *description["bounds"], *description["size"])
        self._arrays = _arrays(folder, self.parameters)
        self.times: NDArray[np.datetime64] | None = _times(folder)
        levels = description["levels"]
        self.levels: NDArray[np.float64] | None = None if levels is None else np.array(levels)
        self.level_unit: str = description.get("level_unit", "")

    data_type = "float32"
    is_plain = True

    def read(
        self, frame: Frame, names: Sequence[str], times: slice = _ALL, levels: slice = _ALL
    ) -> NDArray[np.float64]:
        """Return values in the cells of `frame`, ``(parameter, time, level, row, column)``; gaps are NaN.

        A cell gets the value of the cell in which its middle lies.

        Raises
        ------
        TooLarge
            More values would have to be read than one read may.
        """
        moments, layers = self._lengths(times, levels)
        require_cells(frame.width * frame.height * moments * layers * len(names))
        x, y = frame.middles_in(self.frame.crs, min(self.frame.dx, self.frame.dy) / 20)
        columns, rows = self._cells(x, y)
        out = np.full((len(names), moments, layers, frame.height, frame.width), np.nan)
        inside = self._inside(columns, rows)
        if not inside.any():
            return out
        low = int(rows[inside].min()), int(columns[inside].min())
        high = int(rows[inside].max()) + 1, int(columns[inside].max()) + 1
        require_cells((high[0] - low[0]) * (high[1] - low[1]) * moments * layers)
        for number, name in enumerate(names):
            block = self._block(name, times, levels, slice(low[0], high[0]), slice(low[1], high[1]))
            out[number][..., inside] = block[..., rows[inside] - low[0], columns[inside] - low[1]]
        return out

    def sample(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        names: Sequence[str],
        times: slice = _ALL,
        levels: slice = _ALL,
    ) -> NDArray[np.float64]:
        """Return values of the cells in which places lie, ``(parameter, time, level, place)``."""
        moments, layers = self._lengths(times, levels)
        require_cells(len(x) * moments * layers * len(names))
        columns, rows = self._cells(x, y)
        inside = self._inside(columns, rows)
        out = np.full((len(names), moments, layers, len(x)), np.nan)
        cells, which = np.unique(
            np.column_stack([rows[inside], columns[inside]]), axis=0, return_inverse=True
        )
        for number, name in enumerate(names):
            found = np.empty((moments, layers, len(cells)))
            for place, (row, column) in enumerate(cells.tolist()):
                block = self._block(name, times, levels, slice(row, row + 1), slice(column, column + 1))
                found[..., place] = block[..., 0, 0]
            out[number][..., inside] = found[..., which.ravel()]
        return out

    def middles(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return the middles of the cells in which places lie, and which places lie in one."""
        columns, rows = self._cells(x, y)
        frame = self.frame
        middle_x = frame.west + (columns + 0.5) * frame.dx
        middle_y = frame.north - (rows + 0.5) * frame.dy
        return np.asarray(middle_x), np.asarray(middle_y), self._inside(columns, rows)

    def _cells(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return column and row of places; an outer edge belongs to its cell, -1 stands for outside."""
        frame = self.frame
        columns = _numbered((x - frame.west) / frame.dx, frame.width)
        rows = _numbered((frame.north - y) / frame.dy, frame.height)
        return columns, rows

    def _inside(self, columns: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray((columns >= 0) & (rows >= 0))

    def _lengths(self, times: slice, levels: slice) -> tuple[int, int]:
        moments = 1 if self.times is None else len(self.times[times])
        return moments, 1 if self.levels is None else len(self.levels[levels])

    def _block(
        self, name: str, times: slice, levels: slice, rows: slice, columns: slice
    ) -> NDArray[np.float64]:
        """Return ``(time, level, row, column)``."""
        array, scale, offset = self._arrays[name]
        if self.levels is None:
            values = _decoded(array[times, rows, columns], scale, offset)[:, None]
        else:
            values = _decoded(array[times, levels, rows, columns], scale, offset)
        return values


@dataclass(frozen=True, slots=True)
class Station:
    """A place with series.

    Attributes
    ----------
    x, y
        In the CRS of its stations.
    """

    id: str
    name: str
    x: float
    y: float


class Stations:
    """Places with values in time.

    Parameters
    ----------
    folder
        Where the Zarr group is.
    description
        What :func:`write_cube` returned.
    """

    def __init__(self, folder: Path, description: Mapping[str, Any]) -> None:
        self.parameters = tuple(Parameter(**document) for document in description["parameters"])
        self.crs: str = description["crs"]
        self.stations = tuple(Station(**document) for document in description["stations"])
        self.times = _times(folder)
        self._arrays = _arrays(folder, self.parameters)

    def series(self, number: int, names: Sequence[str], times: slice = _ALL) -> NDArray[np.float64]:
        """Return the series of a station, by its number, ``(parameter, time)``; gaps are NaN.

        Raises
        ------
        TooLarge
            More values would have to be read than one read may.
        """
        require_cells(len(self.times[times]) * len(names))
        return np.stack(
            [
                _decoded(array[number, times], scale, offset)
                for array, scale, offset in (self._arrays[name] for name in names)
            ]
        )


def open_cube(folder: Path, description: Mapping[str, Any]) -> Cube | Stations:
    """Open the folder of a cube.

    Raises
    ------
    MissingResource
        Zarr is not installed.
    """
    return Stations(folder, description) if "stations" in description else Cube(folder, description)


def _numbered(places: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    known = np.isfinite(places) & (places >= 0) & (places <= count)
    numbers = np.minimum(np.where(known, places, 0.0).astype(np.int64), count - 1)
    return np.where(known, numbers, -1)


def _arrays(folder: Path, parameters: Sequence[Parameter]) -> dict[str, tuple[Any, float, float]]:
    group = _zarr().open_group(folder, mode="r")
    found = {}
    for parameter in parameters:
        array = group[parameter.id]
        facts = array.attrs.asdict()
        found[parameter.id] = (array, facts.get("scale_factor", 1.0), facts.get("add_offset", 0.0))
    return found


def _times(folder: Path) -> NDArray[np.datetime64]:
    seconds = _zarr().open_group(folder, mode="r")["time"][:]
    return np.asarray(seconds).astype("datetime64[s]")


def _decoded(values: Any, scale: float, offset: float) -> NDArray[np.float64]:
    decoded = np.asarray(values, dtype=np.float64)
    if scale != 1.0 or offset != 0.0:
        decoded = decoded * scale + offset
    return decoded


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise MissingResource(
            "The package 'zarr' is not installed; cubes need it.", hint="pip install 'geoinfra[cubes]'"
        ) from error
    return zarr


# --- Writing


def write_cube(
    folder: Path,
    source: Path,
    *,
    titles: Mapping[str, Mapping[str, str]] | None = None,
    datum: str = "",
    origin: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Fill the folder of a grid from a Zarr folder that follows CF, and return its description.

    Parameters
    ----------
    titles
        Texts in ``da`` and ``en`` by name of the variable; ``long_name`` otherwise.
    datum
        Vertical datum of values in metres; the attribute ``vertical_datum`` of a variable comes first.
    origin
        JSON-ready: ``source``.

    Raises
    ------
    UnreadableFile
        It is no Zarr folder, or is damaged.
    InvalidInput
        Something that CF asks for is missing: axes, units, a calendar that names real days, even steps, a CRS
        that geoinfra knows.
    MissingResource
        xarray or Zarr is not installed.
    """
    dataset = _opened(source)
    try:
        time = _dimension(dataset, "time", ("T",), ("time",))
        moments = _moments(dataset[time])
        station = _station_dimension(dataset, time)
        if station is None:
            written = _write_cells(folder, dataset, time, moments)
        else:
            written = _write_stations(folder, dataset, time, moments, station)
        names, description = written
        described = [_parameter(dataset[name], (titles or {}).get(name), datum) for name in names]
    except (OSError, RuntimeError) as error:  # what Zarr's decoders raise for damaged chunks
        raise UnreadableFile(f"The Zarr folder '{source.name}' is damaged.") from error
    finally:
        dataset.close()
    return {
        **description,
        "parameters": [parameter.to_json() for parameter in described],
        "files": [{"title": source.name}],
        "origin": dict(origin or {}),
    }


def _opened(source: Path) -> Any:
    try:
        import xarray
    except ImportError as error:
        raise MissingResource(
            "The package 'xarray' is not installed; cubes need it.", hint="pip install 'geoinfra[cubes]'"
        ) from error
    _zarr()
    try:
        return xarray.open_zarr(source, decode_times=False, chunks=None, consolidated=False)
    except Exception as error:  # whatever the readers of its many forms raise
        raise UnreadableFile(
            f"'{source.name}' is no Zarr folder that can be read.",
            hint="Write one with xarray: dataset.to_zarr(folder).",
        ) from error


def _dimension(dataset: Any, what: str, axes: Sequence[str], names: Sequence[str]) -> str:
    """Return the coordinate that CF's attributes, or else its name, say is the axis."""
    found = _find_dimension(dataset, axes, names)
    if found is None:
        raise InvalidInput(
            f"The cube has no axis of {what}.",
            hint=f"Give its coordinate the attribute 'axis' or 'standard_name' ({', '.join(names)}).",
        )
    return found


def _find_dimension(dataset: Any, axes: Sequence[str], names: Sequence[str]) -> str | None:
    candidates = [str(name) for name in dataset.coords if dataset[name].dims == (name,)]
    facts = {name: dataset[name].attrs for name in candidates}
    for found in (
        [name for name in candidates if facts[name].get("axis") in axes],
        [name for name in candidates if facts[name].get("standard_name") in names],
        [name for name in candidates if name in names],
    ):
        if found:
            return found[0]
    return None


def _moments(coordinate: Any) -> NDArray[np.int64]:
    """Return the moments in seconds since 1970 UTC."""
    from xarray.coding.times import decode_cf_datetime

    units = str(coordinate.attrs.get("units", ""))
    calendar = str(coordinate.attrs.get("calendar", "standard")).lower()
    if " since " not in units:
        raise InvalidInput(
            "The time axis has no units.", hint="For instance 'hours since 2025-01-01T00:00:00Z'."
        )
    if calendar not in _CALENDARS:
        raise InvalidInput(
            f"The calendar '{calendar[:40]}' has days that the real one lacks, or lacks some of them.",
            hint="Convert it first: dataset.convert_calendar('standard', align_on='year').",
            details={"expected": list(_CALENDARS), "found": calendar[:40]},
        )
    try:
        decoded = decode_cf_datetime(coordinate.values, units, calendar, use_cftime=False)
    except (ValueError, OverflowError, KeyError) as error:
        raise InvalidInput(f"The times cannot be read: '{units[:80]}'.") from error
    seconds = np.asarray(decoded).astype("datetime64[s]").astype(np.int64)
    if len(seconds) == 0 or np.isnat(np.asarray(decoded)).any() or np.any(np.diff(seconds) <= 0):
        raise InvalidInput("The times are not ascending, or one is missing.", hint="Sort them, each once.")
    return seconds


def _station_dimension(dataset: Any, time: str) -> str | None:
    """Return the dimension of the stations of discrete series, ``None`` for cells."""
    for variable in dataset.data_vars.values():
        if len(variable.dims) == 2 and time in variable.dims:
            other = str(next(name for name in variable.dims if name != time))
            if _find_coordinate(dataset, other, _X_NAMES) is not None:
                return other
    return None


def _find_coordinate(dataset: Any, dimension: str, names: Sequence[str]) -> str | None:
    for name in (*dataset.coords, *dataset.data_vars):
        variable = dataset[name]
        if (
            variable.dims == (dimension,)
            and name != dimension
            and variable.attrs.get("standard_name") in names
        ):
            return str(name)
    return None


def _write_stations(
    folder: Path, dataset: Any, time: str, moments: NDArray[np.int64], station: str
) -> tuple[list[str], dict[str, Any]]:
    x, y = (_find_coordinate(dataset, station, names) for names in (_X_NAMES, _Y_NAMES))
    if x is None or y is None:
        raise InvalidInput(
            "The stations have no places.", hint="Give each longitude and latitude, or x and y."
        )
    ids = _texts(dataset, station, "timeseries_id") or [str(n) for n in range(1, dataset.sizes[station] + 1)]
    names = _texts(dataset, station, "", "platform_name") or ids
    if len(set(ids)) != len(ids):
        raise InvalidInput("Two stations have the same id.")
    system = _system(dataset, dataset[x].attrs["standard_name"])
    places = np.column_stack([dataset[x].values, dataset[y].values]).astype(np.float64)
    if not np.isfinite(places).all():
        raise InvalidInput("A station has no place.")
    variables = sorted(
        str(name) for name, variable in dataset.data_vars.items() if set(variable.dims) == {station, time}
    )
    group = _new_group(folder, moments)
    length = min(len(moments), _LONGEST_CHUNK)
    for name in variables:
        array = _new_array(group, dataset[name], ("station", "time"), (len(ids), len(moments)), (1, length))
        values = dataset[name].transpose(station, time)
        for number in range(len(ids)):
            array[number] = _as_numbers(values[number], name)
    stations = [
        {"id": ids[n], "name": names[n], "x": places[n, 0].item(), "y": places[n, 1].item()}
        for n in range(len(ids))
    ]
    return variables, {"crs": system, "stations": stations}


def _texts(dataset: Any, dimension: str, role: str, standard_name: str = "") -> list[str]:
    for name in (*dataset.coords, *dataset.data_vars):
        variable = dataset[name]
        attrs = variable.attrs
        wanted = (role and attrs.get("cf_role") == role) or (
            standard_name and attrs.get("standard_name") == standard_name
        )
        if variable.dims == (dimension,) and wanted:
            return [str(value) for value in variable.values.tolist()]
    return []


def _write_cells(
    folder: Path, dataset: Any, time: str, moments: NDArray[np.int64]
) -> tuple[list[str], dict[str, Any]]:
    x = _dimension(dataset, "eastings or longitudes", ("X",), (*_X_NAMES, "x", "lon"))
    y = _dimension(dataset, "northings or latitudes", ("Y",), (*_Y_NAMES, "y", "lat"))
    z = _find_dimension(dataset, ("Z",), ("height", "altitude", "depth", "air_pressure", "level"))
    system = _system(dataset, str(dataset[x].attrs.get("standard_name", x)))
    west, east = _edges(dataset[x], x)
    south, north = _edges(dataset[y], y)
    order = (time, z, y, x) if z else (time, y, x)
    variables = sorted(
        str(name) for name, variable in dataset.data_vars.items() if set(variable.dims) == set(order)
    )
    if not variables:
        raise InvalidInput(f"No variable of the cube has the axes {', '.join(order)}.")
    width, height = dataset.sizes[x], dataset.sizes[y]
    group = _new_group(folder, moments)
    for name in variables:
        values = dataset[name].transpose(*order)
        _copy_cells(group, values, z, (_ascends(dataset[x]), _ascends(dataset[y])))
    levels = [float(level) for level in dataset[z].values] if z else None
    return variables, {
        "crs": system,
        "bounds": [west, south, east, north],
        "size": [width, height],
        "levels": levels,
        "level_unit": str(dataset[z].attrs.get("units", "")) if z else "",
    }


def _copy_cells(group: Any, values: Any, z: str | None, ascending: tuple[bool, bool]) -> None:
    """Copy a variable block by block, west to east and north to south."""
    shape = values.shape
    length = min(shape[0], _LONGEST_CHUNK)
    side = max(1, math.isqrt(_CHUNK_VALUES // length))
    side = min(side, max(shape[-2:]))
    chunk = (length, 1, side, side) if z else (length, side, side)
    dimensions = ("time", "level", "y", "x") if z else ("time", "y", "x")
    array = _new_array(group, values, dimensions, shape, chunk)
    turn_x, turn_y = (
        slice(None, None, 1 if ascending[0] else -1),
        slice(None, None, -1 if ascending[1] else 1),
    )
    turned = values[..., turn_y, turn_x]
    for rows in _steps(shape[-2], side):
        for columns in _steps(shape[-1], side):
            for moments in _steps(shape[0], length):
                part = turned[moments, ..., rows, columns]
                array[moments, ..., rows, columns] = _as_numbers(part, str(values.name))


def _steps(count: int, step: int) -> Iterator[slice]:
    return (slice(first, min(first + step, count)) for first in range(0, count, step))


def _as_numbers(part: Any, name: str) -> NDArray[np.float32]:
    values = part.values
    if values.dtype.kind not in "iuf":
        raise InvalidInput(f"The variable '{name}' holds no numbers.")
    numbers = values.astype(np.float32)
    numbers[~np.isfinite(numbers)] = np.nan
    return np.asarray(numbers)


def _ascends(coordinate: Any) -> bool:
    return bool(coordinate.values[-1] >= coordinate.values[0])


def _edges(coordinate: Any, name: str) -> tuple[float, float]:
    """Return the outer edges of an axis of even steps."""
    middles = np.sort(coordinate.values.astype(np.float64))
    if len(middles) < 2 or not np.isfinite(middles).all():
        raise InvalidInput(f"The axis '{name}' has fewer than two places, or one that is no number.")
    steps = np.diff(middles)
    step = (middles[-1] - middles[0]) / (len(middles) - 1)
    if step <= 0 or np.abs(steps - step).max() > _EVEN * step:
        raise InvalidInput(f"The steps of the axis '{name}' are not even.", hint="Regrid it first.")
    return float(middles[0] - step / 2), float(middles[-1] + step / 2)


def _system(dataset: Any, kind: str) -> str:
    """Return the CRS of the places: that of the grid mapping, else CRS84 for longitudes and latitudes."""
    for variable in (*dataset.data_vars.values(), *dataset.coords.values()):
        text = variable.attrs.get("crs_wkt") or variable.attrs.get("spatial_ref")
        if isinstance(text, str) and text:
            return _known_system(text)
    if kind in ("longitude", "lon"):
        return "OGC:CRS84"
    raise InvalidInput(
        "The cube has no coordinate reference system.",
        hint="Add a grid mapping variable with the attribute 'crs_wkt'.",
    )


def _known_system(text: str) -> str:
    import pyproj

    try:
        code = pyproj.CRS.from_user_input(text).to_epsg(min_confidence=25)
    except pyproj.exceptions.CRSError:
        code = None
    if code == 4326:
        return "OGC:CRS84"  # longitude first, as the axes of a cube are named
    if code is None:
        raise InvalidInput("The coordinate reference system of the cube cannot be understood.")
    return crs.parse_crs(f"EPSG:{code}")


def _new_group(folder: Path, moments: NDArray[np.int64]) -> Any:
    group = _zarr().create_group(folder, zarr_format=3, attributes={"Conventions": "CF-1.11"}, overwrite=True)
    time = group.create_array(
        "time", shape=moments.shape, dtype="int64", chunks=moments.shape, dimension_names=("time",)
    )
    time[:] = moments
    time.attrs.update(
        {
            "standard_name": "time",
            "axis": "T",
            "units": "seconds since 1970-01-01T00:00:00Z",
            "calendar": "proleptic_gregorian",
        }
    )
    return group


def _new_array(
    group: Any, values: Any, dimensions: Sequence[str], shape: Sequence[int], chunk: Sequence[int]
) -> Any:
    array = group.create_array(
        str(values.name),
        shape=tuple(shape),
        chunks=tuple(min(a, b) for a, b in zip(chunk, shape, strict=True)),
        dtype="float32",
        fill_value=float("nan"),
        dimension_names=tuple(dimensions),
    )
    kept = ("standard_name", "long_name", "units", "cell_methods", "flag_values", "flag_meanings")
    array.attrs.update({name: _plain(values.attrs[name]) for name in kept if name in values.attrs})
    return array


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _parameter(variable: Any, title: Mapping[str, str] | None, datum: str) -> Parameter:
    attrs = variable.attrs
    units = str(attrs.get("units", ""))
    if not units:
        raise InvalidInput(
            f"The variable '{variable.name}' has no units.", hint="Write '1' for pure numbers."
        )
    unit = _UCUM.get(units, units)
    own = str(attrs.get("vertical_datum", datum if unit == "m" else ""))
    standard_name = str(attrs.get("standard_name", ""))
    if unit == "m" and not own and "surface_height" in standard_name:
        raise InvalidInput(
            f"The vertical datum of '{variable.name}' is not given.",
            hint="Add the attribute 'vertical_datum', for instance DVR90.",
        )
    text = str(attrs.get("long_name") or standard_name or variable.name)
    return Parameter(
        id=str(variable.name),
        title=title or {"da": text, "en": text},
        unit=unit,
        datum=own,
        standard_name=standard_name,
        observed_property=_definition(standard_name),
        cell_methods=str(attrs.get("cell_methods", "")),
        decimals=int(attrs.get("decimals", 3)),
        interpolated=unit != "deg" and "flag_values" not in attrs,
    )


def _definition(standard_name: str) -> str:
    """Return the address of a CF standard name."""
    return f"https://vocab.nerc.ac.uk/standard_name/{standard_name}/" if standard_name else ""
