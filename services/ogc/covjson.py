"""CoverageJSON (OGC 21-069r2): coverages made of arrays; NumPy values reach the writer as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from geoinfra import crs
from geoinfra.storage.grids import Parameter

__all__ = [
    "MEDIA_TYPE",
    "axis",
    "collection",
    "composite",
    "coverage",
    "encode",
    "parameters",
    "referencing",
    "regular",
    "times",
]

MEDIA_TYPE: Final = "application/prs.coverage+json"

_UCUM: Final = "http://www.opengis.net/def/uom/UCUM/"
_VERTICAL: Final = {"DVR90": "http://www.opengis.net/def/crs/EPSG/0/5799"}
_DECIMALS_DEGREES = 8
_DECIMALS_METRES = 3


def parameters(chosen: Sequence[Parameter]) -> dict[str, Any]:
    """Return the parameters with unit and definition, by id."""
    return {parameter.id: _parameter(parameter) for parameter in chosen}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    title = dict(parameter.title) or {"en": parameter.id}
    described = f"{title.get('en', parameter.id)} ({parameter.datum})" if parameter.datum else None
    document: dict[str, Any] = {
        "type": "Parameter",
        "description": {"en": described or title.get("en", parameter.id)},
        "observedProperty": {
            **({"id": parameter.observed_property} if parameter.observed_property else {}),
            "label": title,
        },
    }
    if parameter.unit:
        document["unit"] = {"symbol": {"value": parameter.unit, "type": _UCUM}}
    return document


def referencing(name: str, *, vertical: str | None = None, temporal: bool = False) -> list[dict[str, Any]]:
    """Return the reference systems of a domain.

    Parameters
    ----------
    name
        Of the CRS of x and y.
    vertical
        Unit of levels or name of a datum; ``None`` for a domain without z.
    """
    kind = "ProjectedCRS" if crs.is_metric(name) else "GeographicCRS"
    order = ["y", "x"] if crs.north_first(name) else ["x", "y"]
    systems: list[dict[str, Any]] = [{"coordinates": order, "system": {"type": kind, "id": crs.uri(name)}}]
    if vertical is not None:
        known = _VERTICAL.get(vertical)
        system: dict[str, Any] = {"type": "VerticalCRS"}
        systems.append({"coordinates": ["z"], "system": system | ({"id": known} if known else {})})
    if temporal:
        calendar = {"type": "TemporalRS", "calendar": "Gregorian"}
        systems.append({"coordinates": ["t"], "system": calendar})
    return systems


def times(moments: NDArray[np.datetime64]) -> list[str]:
    """Return moments in UTC as ISO 8601 texts."""
    texts: list[str] = np.datetime_as_string(moments, unit="s", timezone="UTC").tolist()
    return texts


def axis(values: Sequence[Any] | NDArray[Any]) -> dict[str, Any]:
    """Return an axis of single values."""
    return {"values": values}


def regular(first: float, last: float, count: int, name: str) -> dict[str, Any]:
    """Return an axis of `count` even steps in the CRS `name`."""
    decimals = 4 if crs.is_metric(name) else 10
    if count == 1:
        return {"values": [round((first + last) / 2, decimals)]}
    return {"start": round(first, decimals), "stop": round(last, decimals), "num": count}


def composite(coordinates: Sequence[str], values: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return the axis of a path or of scattered places."""
    return {"dataType": "tuple", "coordinates": list(coordinates), "values": values}


def place(value: float, name: str) -> float:
    """Round a coordinate to about a millimetre."""
    return round(float(value), _DECIMALS_METRES if crs.is_metric(name) else _DECIMALS_DEGREES)


def coverage(
    kind: str,
    axes: Mapping[str, Any],
    systems: Sequence[Mapping[str, Any]],
    chosen: Sequence[Parameter],
    values: NDArray[np.float64],
    axis_names: Sequence[str],
    *,
    described: bool = True,
    **more: Any,
) -> dict[str, Any]:
    """Return one coverage.

    Parameters
    ----------
    values
        ``(parameter, *axes)``; gaps are NaN and become null.
    axis_names
        One for each dimension of a parameter's values.
    described
        Whether it carries its parameters and systems; in a collection of coverages these stand once.
    """
    document: dict[str, Any] = {
        "type": "Coverage",
        **more,
        "domain": {"type": "Domain", "domainType": kind, "axes": dict(axes)},
    }
    if described:
        document["domain"]["referencing"] = list(systems)
        document["parameters"] = parameters(chosen)
    document["ranges"] = {
        parameter.id: {
            "type": "NdArray",
            "dataType": "float",
            "axisNames": list(axis_names),
            "shape": list(values.shape[1:]),
            "values": np.round(values[number].ravel(), parameter.decimals),
        }
        for number, parameter in enumerate(chosen)
    }
    return document


def collection(
    kind: str,
    coverages: Sequence[Mapping[str, Any]],
    systems: Sequence[Mapping[str, Any]],
    chosen: Sequence[Parameter],
) -> dict[str, Any]:
    """Return several coverages of one kind that share parameters and systems."""
    return {
        "type": "CoverageCollection",
        "domainType": kind,
        "parameters": parameters(chosen),
        "referencing": list(systems),
        "coverages": list(coverages),
    }


def encode(document: Mapping[str, Any]) -> bytes:
    """Write a coverage; NaN becomes null."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
