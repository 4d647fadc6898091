"""OGC API Coverages: which cells a request means, and the coverage in CoverageJSON or GeoTIFF."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import QueryParams

from geoinfra import crs
from geoinfra.errors import InvalidInput
from geoinfra.storage.grids import Frame, Parameter, require_cells
from services.ogc import covjson, gridded
from services.ogc.gridded import Shown

__all__ = [
    "CONFORMANCE",
    "FORMATS",
    "KNOWN",
    "Wanted",
    "as_covjson",
    "as_geotiff",
    "domain_set",
    "openapi_paths",
    "range_type",
    "schema",
    "wanted",
]

_CLASSES: Final = "http://www.opengis.net/spec/ogcapi-coverages-1/1.0/conf"
CONFORMANCE: Final = tuple(
    f"{_CLASSES}/{name}"
    for name in (
        "core",
        "oas30",
        "geodata-coverage",
        "coverage-subset",
        "coverage-rangesubset",
        "coverage-bbox",
        "coverage-datetime",
        "coverage-scaling",
        "subsetting",
        "fieldselection",
        "scaling",
        "crs",
        "geotiff",
    )
)

GEOTIFF: Final = "image/tiff; application=geotiff"
FORMATS: Final[Mapping[str, str]] = {
    "json": covjson.MEDIA_TYPE,
    "covjson": covjson.MEDIA_TYPE,
    "coveragejson": covjson.MEDIA_TYPE,
    "geotiff": GEOTIFF,
    "tiff": GEOTIFF,
}
KNOWN: Final = frozenset(
    {
        "f", "lang", "bbox", "bbox-crs", "subset", "subset-crs", "properties", "range-subset", "datetime",
        "crs", "scale-factor", "scale-axes", "scale-size", "scaleFactor", "scaleAxes", "scaleSize",
    }
)  # fmt: skip

MOST_JSON_VALUES: Final = 2_000_000
MOST_TIFF_VALUES: Final = 16_000_000

_AXIS = re.compile(r"([A-Za-z]{1,12})\(([^()]{1,120})\)")
_DEGREES: Final = {"lon": "x", "long": "x", "lat": "y"}
_METRES: Final = {"e": "x", "n": "y", "x": "x", "y": "y"}
_LARGEST_SIDE = 65_536


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request for a coverage means.

    Attributes
    ----------
    moments
        ``None`` for grids of no particular time.
    """

    frame: Frame
    parameters: tuple[Parameter, ...]
    times: slice
    moments: NDArray[np.datetime64] | None


# --- Requests


def wanted(query: QueryParams, found: Shown) -> Wanted | None:
    """Return which cells, parameters and times are wanted; ``None`` when nothing of the coverage is.

    Raises
    ------
    InvalidInput
        A parameter has no meaning, or two exclude each other.
    """
    own: Frame = found.reader.frame
    subset = _subset(query.get("subset"))
    interval = query.get("datetime")
    if "time" in subset:
        if interval is not None:
            raise InvalidInput("'datetime' and 'subset=time(…)' exclude each other.")
        interval = _time_text(subset.pop("time"))
    times = gridded.chosen_times(interval, found)
    chosen = gridded.chosen_parameters(query, ("properties", "range-subset"), found.reader)
    sizes = _sizes(query)
    bounds, source = _bounds(query, subset, own)
    target = _target(query, sizes, own)
    frame = _frame(own, bounds, source, target, query, sizes)
    if frame is None or times is None:
        return None
    moments = found.reader.times
    return Wanted(frame, chosen, times, None if moments is None else moments[times])


def _subset(text: str | None) -> dict[str, tuple[str, str | None]]:
    """Read ``subset=E(1:2),time("2026-01-01")``: low and high by lower-case name of the axis."""
    if text is None:
        return {}
    found: dict[str, tuple[str, str | None]] = {}
    rest = text.replace('"', "")
    for part in _split(rest):
        match = _AXIS.fullmatch(part.strip())
        if match is None:
            raise _bad_subset(text)
        name = match[1].lower()
        low, high = _low_high(match[2], is_time=name == "time")
        if name in found:
            raise InvalidInput(f"The axis '{match[1]}' is given twice.")
        found[name] = low, high
    return found


def _split(text: str) -> list[str]:
    """Split at the commas outside brackets."""
    return re.split(r",(?![^()]*\))", text)


def _low_high(text: str, *, is_time: bool) -> tuple[str, str | None]:
    if not is_time:
        low, colon, high = text.partition(":")
        return low, (high if colon else None)
    match = re.fullmatch(r"(\*|\d{4}-\d\d-\d\d[^*]*?)(?::(\*|\d{4}-\d\d-\d\d.*))?", text)
    if match is None:
        raise _bad_subset(text)
    return match[1], match[2]


def _bad_subset(text: str) -> InvalidInput:
    return InvalidInput(
        f"The subset '{text[:80]}' cannot be understood.",
        hint='For instance subset=E(650000:651000),N(6084000:6085000) or subset=time("2026-01-01").',
    )


def _time_text(ends: tuple[str, str | None]) -> str:
    low, high = (None if end is None else end.replace("*", "..") for end in ends)
    return f"{low}" if high is None else f"{low}/{high}"


def _bounds(
    query: QueryParams, subset: Mapping[str, tuple[str, str | None]], own: Frame
) -> tuple[tuple[float, float, float, float] | None, str]:
    """Return the asked area and its CRS."""
    if "bbox-crs" in query and "bbox" not in query:
        raise InvalidInput("'bbox-crs' is given without 'bbox'.")
    if "subset-crs" in query and not subset:
        raise InvalidInput("'subset-crs' is given without a 'subset' of place.")
    if "bbox" in query:
        if subset:
            raise InvalidInput("'bbox' and 'subset' of a place exclude each other.")
        bounds, source, heights = gridded.asked_bounds(query["bbox"], query.get("bbox-crs"))
        if heights is not None:
            raise InvalidInput("The coverage has no heights.", hint="Give a bbox of four numbers.")
        return bounds, source
    if not subset:
        return None, own.crs
    names = {name: _DEGREES.get(name) or _METRES.get(name) for name in subset}
    unknown = [name for name, axis in names.items() if axis is None]
    if unknown:
        raise InvalidInput(
            f"The coverage has no axis '{unknown[0]}'.", hint=f"Its axes are {', '.join(_labels(own))}."
        )
    in_degrees = {name in _DEGREES for name in names}
    if len(in_degrees) > 1 or len(set(names.values())) < len(names):
        raise InvalidInput("The subset mixes axes of two systems.", hint="Use E and N, or Lon and Lat.")
    default = "CRS84" if in_degrees == {True} else own.crs
    source = crs.parse_crs(query.get("subset-crs"), default=default)
    if in_degrees == {True} and crs.is_metric(source):
        raise InvalidInput("Lon and Lat are no axes of the subset's CRS.", hint="Use E and N.")
    whole = own.bounds_in(source)
    ends = {axis: subset[name] for name, axis in names.items()}
    west, east = _ends(ends.get("x"), whole[0], whole[2])
    south, north = _ends(ends.get("y"), whole[1], whole[3])
    return (west, south, east, north), source


def _ends(ends: tuple[str, str | None] | None, low: float, high: float) -> tuple[float, float]:
    if ends is None:
        return low, high
    try:
        first = low if ends[0] == "*" else float(ends[0])
        last = (
            high
            if ends[1] == "*"
            else float(ends[1])
            if ends[1] is not None
            else math.nextafter(first, math.inf)
        )
    except ValueError:
        raise InvalidInput(
            "The subset holds something that is no number.", hint="subset=E(LOW:HIGH)"
        ) from None
    if not (math.isfinite(first) and math.isfinite(last)) or first >= last:
        raise InvalidInput(
            "The subset is empty, or its ends are the wrong way about.", hint="subset=E(LOW:HIGH)"
        )
    return first, last


def _labels(own: Frame) -> tuple[str, str]:
    return ("E", "N") if crs.is_metric(own.crs) else ("Lon", "Lat")


def _sizes(query: QueryParams) -> dict[str, tuple[str, str, str]]:
    """Return what scales: by axis the kind (``size`` or ``factor``), the number and the name as written."""
    found: dict[str, tuple[str, str, str]] = {}
    kinds = {"scale-size": "size", "scaleSize": "size", "scale-axes": "factor", "scaleAxes": "factor"}
    given = [name for name in (*kinds, "scale-factor", "scaleFactor") if name in query]
    if len(given) > 1:
        raise InvalidInput(f"{' and '.join(given)} exclude each other.")
    for name in given:
        if name in kinds:
            for part in _split(query[name]):
                match = _AXIS.fullmatch(part.strip())
                axis = (
                    None if match is None else _DEGREES.get(match[1].lower()) or _METRES.get(match[1].lower())
                )
                if match is None or axis is None or axis in found:
                    raise InvalidInput(
                        f"'{name}' cannot be understood.", hint=f"For instance {name}=E(256),N(256)."
                    )
                found[axis] = kinds[name], match[2], match[1].lower()
    return found


def _target(query: QueryParams, sizes: Mapping[str, tuple[str, str, str]], own: Frame) -> str:
    """Return the CRS of the answer: the one asked for, or that of the scaled axes, or the grid's own."""
    degrees = {name in _DEGREES for _, _, name in sizes.values()}
    if len(degrees) > 1:
        raise InvalidInput("The scale mixes axes of two systems.", hint="Use E and N, or Lon and Lat.")
    if "crs" in query:
        target = crs.parse_crs(query["crs"])
        if degrees == {True} and crs.is_metric(target):
            raise InvalidInput("Lon and Lat are no axes of the answer's CRS.", hint="Use E and N.")
        return target
    return "OGC:CRS84" if degrees == {True} and crs.is_metric(own.crs) else own.crs


def _frame(
    own: Frame,
    bounds: tuple[float, float, float, float] | None,
    source: str,
    target: str,
    query: QueryParams,
    sizes: Mapping[str, tuple[str, str, str]],
) -> Frame | None:
    natural = gridded.frame_over(own, bounds, source, target)
    factor = query.get("scale-factor") or query.get("scaleFactor")
    if natural is None or (not sizes and factor is None):
        return natural
    if factor is not None:
        scales = {axis: _number(factor, "scale-factor") for axis in "xy"}
        return _scaled(natural, scales)
    if any(kind == "factor" for kind, _, _ in sizes.values()):
        return _scaled(natural, {axis: _number(text, "scale-axes") for axis, (_, text, _) in sizes.items()})
    west, south, east, north = (
        own.bounds_in(target) if bounds is None else _moved(bounds, source, target)
    )  # exactly what is asked for, gaps included: the size is meant for it
    width = _count(sizes["x"][1]) if "x" in sizes else natural.width
    height = _count(sizes["y"][1]) if "y" in sizes else natural.height
    return Frame(target, west, south, east, north, width, height)


def _moved(
    bounds: tuple[float, float, float, float], source: str, target: str
) -> tuple[float, float, float, float]:
    return Frame(source, *bounds, 1, 1).bounds_in(target)


def _scaled(frame: Frame, scales: Mapping[str, float]) -> Frame:
    width = max(1, round(frame.width / scales.get("x", 1.0)))
    height = max(1, round(frame.height / scales.get("y", 1.0)))
    require_cells(float(width) * height, MOST_TIFF_VALUES)
    return Frame(frame.crs, frame.west, frame.south, frame.east, frame.north, width, height)


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1e-3 <= value <= 1e6:
        raise InvalidInput(
            f"'{name}' is no number from 0.001 to 1000000.",
            hint="2 makes half as many cells along an axis.",
        )
    return value


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _LARGEST_SIDE:
        raise InvalidInput(f"'scale-size' is a whole number from 1 to {_LARGEST_SIDE}.")
    return int(text)


# --- Answers


def _read(found: Shown, asked: Wanted, most: int) -> NDArray[np.float64]:
    """Return ``(parameter, time, row, column)``, of the lowest layer."""
    frame, count = asked.frame, 1 if asked.moments is None else len(asked.moments)
    require_cells(float(frame.width) * frame.height * count * len(asked.parameters), most)
    names = [parameter.id for parameter in asked.parameters]
    values: NDArray[np.float64] = found.reader.read(frame, names, asked.times, slice(0, 1))
    return values[:, :, 0]


def as_covjson(found: Shown, asked: Wanted) -> bytes:
    """Return the coverage in CoverageJSON.

    Raises
    ------
    TooLarge
        It would have more values than are given at once.
    """
    values = _read(found, asked, MOST_JSON_VALUES)
    frame = asked.frame
    xs, ys = frame.xs(), frame.ys()
    axes: dict[str, Any] = {
        "x": covjson.regular(float(xs[0]), float(xs[-1]), frame.width, frame.crs),
        "y": covjson.regular(float(ys[0]), float(ys[-1]), frame.height, frame.crs),
    }
    names = ["y", "x"]
    if asked.moments is None:
        values = values[:, 0]
    else:
        axes["t"] = covjson.axis(covjson.times(asked.moments))
        names.insert(0, "t")
    systems = covjson.referencing(frame.crs, temporal=asked.moments is not None)
    return covjson.encode(covjson.coverage("Grid", axes, systems, asked.parameters, values, names))


def as_geotiff(found: Shown, asked: Wanted) -> bytes:
    """Return the coverage as a GeoTIFF: a band for each parameter, or for each time of one parameter.

    Values are in the unit of their parameter, as float32 (float64 where the raster is), gaps NaN. Whole
    numbers without scale and gaps stay as they are.

    Raises
    ------
    InvalidInput
        Several parameters of several times are asked for.
    TooLarge
        It would have more values than are given at once.
    """
    import rasterio
    from rasterio.io import MemoryFile
    from rasterio.transform import from_bounds

    if asked.moments is not None and len(asked.moments) > 1 and len(asked.parameters) > 1:
        raise InvalidInput(
            "A GeoTIFF holds several parameters or several times, not both.",
            hint="Choose one by 'datetime' or 'properties'.",
        )
    values = _read(found, asked, MOST_TIFF_VALUES)
    frame = asked.frame
    bands, data_type, nodata = _packed(values.reshape(-1, frame.height, frame.width), found)
    profile = {
        "driver": "GTiff",
        "width": frame.width,
        "height": frame.height,
        "count": len(bands),
        "dtype": data_type,
        "crs": "EPSG:4326" if frame.crs == "OGC:CRS84" else frame.crs,
        "transform": from_bounds(frame.west, frame.south, frame.east, frame.north, frame.width, frame.height),
        "nodata": nodata,
    }
    with rasterio.Env(), MemoryFile() as memory:
        with memory.open(**profile) as target:
            target.write(bands)
            for number, (title, unit) in enumerate(_band_titles(asked), start=1):
                target.set_band_description(number, title)
                if unit:
                    target.set_band_unit(number, unit)
        return bytes(memory.read())


def _packed(values: NDArray[np.float64], found: Shown) -> tuple[NDArray[Any], str, float | None]:
    kept = found.reader.data_type
    if np.dtype(kept).kind in "iu" and found.reader.is_plain and np.isfinite(values).all():
        return np.round(values).astype(kept), kept, None
    wide = "float64" if kept in ("float64", "int32", "uint32", "int64", "uint64") else "float32"
    return values.astype(wide), wide, math.nan


def _band_titles(asked: Wanted) -> list[tuple[str, str]]:
    if asked.moments is None or len(asked.moments) == 1:
        return [(parameter.id, parameter.unit) for parameter in asked.parameters]
    return [
        (f"{parameter.id} {moment}", parameter.unit)
        for parameter in asked.parameters
        for moment in covjson.times(asked.moments)
    ]


# --- Documents


def domain_set(found: Shown, target: str) -> dict[str, Any]:
    """Return the axes and cells as CIS 1.1 writes them in JSON, in the grid's own CRS or another one."""
    frame = gridded.frame_over(found.reader.frame, None, found.crs, target)
    if frame is None:
        raise InvalidInput(f"The coverage lies outside the use of {target}.")
    labels, unit = _labels(frame), "metre" if crs.is_metric(frame.crs) else "degree"
    axes: list[dict[str, Any]] = [
        {
            "type": "RegularAxis",
            "axisLabel": label,
            "lowerBound": low,
            "upperBound": high,
            "uomLabel": unit,
            "resolution": step,
        }
        for label, low, high, step in (
            (labels[0], frame.west, frame.east, frame.dx),
            (labels[1], frame.south, frame.north, frame.dy),
        )
    ]
    counts = [(labels[0], frame.width), (labels[1], frame.height)]
    if found.reader.times is not None:
        coordinates = covjson.times(found.reader.times)
        axes.append(
            {"type": "IrregularAxis", "axisLabel": "time", "uomLabel": "s", "coordinate": coordinates}
        )
        counts.append(("time", len(coordinates)))
    return {
        "type": "DomainSet",
        "generalGrid": {
            "type": "GeneralGridCoverage",
            "srsName": crs.uri(frame.crs),
            "axisLabels": [axis["axisLabel"] for axis in axes],
            "axis": axes,
            "gridLimits": {
                "type": "GridLimits",
                "srsName": f"http://www.opengis.net/def/crs/OGC/0/Index{len(counts)}D",
                "axisLabels": [label for label, _ in counts],
                "axis": [
                    {"type": "IndexAxis", "axisLabel": label, "lowerBound": 0, "upperBound": count - 1}
                    for label, count in counts
                ],
            },
        },
    }


def range_type(found: Shown) -> dict[str, Any]:
    """Return the parameters as SWE Common writes them in JSON."""
    return {
        "type": "DataRecord",
        "field": [
            {
                "type": "Quantity",
                "id": parameter.id,
                "name": parameter.id,
                "label": parameter.title.get("en") or parameter.id,
                "definition": "ogcType:float32",
                **({"observedProperty": parameter.observed_property} if parameter.observed_property else {}),
                **(
                    {"uom": {"type": "UnitReference", "code": parameter.unit, "id": f"UCUM:{parameter.unit}"}}
                    if parameter.unit
                    else {}
                ),
            }
            for parameter in found.reader.parameters
        ],
    }


def schema(found: Shown, url: str, language: str) -> dict[str, Any]:
    """Return the parameters as a JSON Schema, as OGC API Common Part 3 has it."""
    collection = found.collection
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{url}/collections/{collection.id}/schema",
        "type": "object",
        "title": collection.title[language],
        "properties": {
            parameter.id: {
                "type": "number",
                "title": parameter.title.get(language) or parameter.id,
                "x-ogc-propertySeq": number,
                **({"x-ogc-unit": parameter.unit, "x-ogc-unitLang": "UCUM"} if parameter.unit else {}),
                **({"x-ogc-definition": parameter.observed_property} if parameter.observed_property else {}),
            }
            for number, parameter in enumerate(found.reader.parameters, start=1)
        },
    }


def openapi_paths() -> dict[str, Any]:
    """Return the paths for the OpenAPI document."""
    collection = {"name": "collectionId", "in": "path", "required": True, "schema": {"type": "string"}}

    def parameter(name: str, text: str, kind: str = "string") -> dict[str, Any]:
        return {"name": name, "in": "query", "description": text, "schema": {"type": kind}}

    asked = [
        parameter("f", "json (CoverageJSON) or geotiff"),
        parameter("lang", "en or da"),
        parameter("bbox", "West, south, east, north"),
        parameter("bbox-crs", "CRS of the bbox; CRS84 where absent"),
        parameter(
            "subset", "Axes with low and high: E(650000:651000),N(6084000:6085000), Lon(…), Lat(…), time(…)"
        ),
        parameter("subset-crs", "CRS of the subset; that of its axes where absent"),
        parameter("properties", "Parameters, with commas between"),
        parameter("range-subset", "The same as properties"),
        parameter("datetime", "An instant, a date or an interval"),
        parameter("crs", "CRS of the answer; that of the data where absent"),
        parameter("scale-factor", "2 makes half as many cells along each axis", "number"),
        parameter("scale-axes", "The same by axis: E(2),N(4)"),
        parameter("scale-size", "Number of cells by axis: E(256),N(256)"),
    ]
    answers = {
        "200": {"description": "The coverage"},
        "204": {"description": "Nothing of it lies where or when was asked"},
        "400": {"description": "A parameter has no meaning"},
        "404": {"description": "There is no such coverage"},
        "413": {"description": "More values than are given at once"},
    }

    def operation(summary: str, name: str, given: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "get": {
                "summary": summary,
                "operationId": name,
                "tags": ["Coverages"],
                "parameters": [collection, *given],
                "responses": answers,
            }
        }

    here = "/collections/{collectionId}/coverage"
    return {
        here: operation("A coverage, or a part of it", "getCoverage", asked),
        f"{here}/domainset": operation(
            "Its axes and cells", "getCoverageDomainSet", [*asked[:2], parameter("crs", "Of the axes")]
        ),
        f"{here}/rangetype": operation("Its parameters", "getCoverageRangeType", asked[:2]),
    }
