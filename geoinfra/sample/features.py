"""Drafts of utility features: geometry, LER attributes, and how the heights come about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.sample.terrain import height_m

__all__ = ["NIL", "Array", "Draft", "History", "draw_history", "line_properties", "mm", "with_heights"]

Array = NDArray[np.float64]
Properties = dict[str, Any]

NIL: Properties = {"nil": True}
_CLASSES = ("<= 0.25 m", "<= 0.50 m", "<= 1.00 m", "<= 2.00 m", "> 2.00 m")


def mm(value: float) -> Properties:
    """Return a LER measure in whole millimetres."""
    return {"value": round(float(value)), "uom": "mm"}


@dataclass(slots=True)
class Draft:
    """One feature before its heights are known.

    Attributes
    ----------
    depth_m
        Depth of the top below ground, for all vertices.
    top_m
        Height of the top at each vertex (DVR90), instead of a depth.
    heights
        ``known``, ``none``, or ``partly`` (some vertices only).
    """

    feature_class: str
    gml_id: str
    properties: Properties
    geometry: shapely.Geometry | None = None
    depth_m: float = 0.0
    top_m: Array | None = None
    heights: str = "known"
    heights_m: Array | None = field(default=None)


@dataclass(frozen=True, slots=True)
class History:
    """When a feature was laid, and how well that is known.

    Attributes
    ----------
    recent
        Laid after 1 July 2023, when the law asks for complete and precise data.
    planned
        Under establishment.
    """

    established: str | Properties
    status: str | Properties
    recent: bool
    planned: bool
    accuracy: str | Properties
    vertical: str | Properties
    heights: str


def draw_history(rng: np.random.Generator, first_year: int, last_year: int) -> History:
    """Draw the history of a line that was probably laid between two years."""
    fate, age, quality, precision, day = (float(value) for value in rng.random(5))
    if fate < 0.012:
        month = 1 + int(day * 12)
        return History(
            f"2027-{month:02d}", "under etablering", True, True, "<= 1.00 m", "<= 1.00 m",
            "known" if quality < 0.5 else "none",
        )  # fmt: skip
    if fate < 0.09:
        year, month = (2024, 2025, 2026)[int(age * 3)], 1 + int(day * 9)
        vertical = "<= 0.25 m" if precision < 0.7 else "<= 0.50 m"
        return History(
            f"{year}-{month:02d}-{1 + int(day * 28):02d}",
            "i drift",
            True,
            False,
            "<= 0.25 m",
            vertical,
            "known",
        )
    year = min(2022, first_year + int(age * (last_year - first_year + 1)))
    established: str | Properties = f"{year}-{1 + int(day * 12):02d}-{1 + int(precision * 28):02d}"
    if year < 1985 or quality < 0.15:
        established = {"value": str(year), "indeterminate": "before"}
    elif quality < 0.4:
        established = f"{year}"
    status: str | Properties = "permanent ude af drift" if 0.09 <= fate < 0.115 else "i drift"
    if fate > 0.994:
        status = NIL
    step = min(4, int(precision * precision * 4.2) + (year < 1980))
    accuracy: str | Properties = NIL if quality > 0.96 else _CLASSES[step]
    height_class: str | Properties = NIL if quality > 0.9 else _CLASSES[min(4, step + 1)]
    unknown = 0.55 if year < 1980 else 0.3
    heights = "none" if quality < unknown else "partly" if quality > 0.95 else "known"
    return History(established, status, False, False, accuracy, height_class, heights)


def line_properties(
    history: History,
    hazard: str,
    depth_m: float,
    diameter_mm: float | None,
    rng: np.random.Generator,
    **extra: Any,
) -> Properties:
    """Return the attributes that every line with geometry has, and `extra`.

    An old line may leave out its diameter (nil); a recent one tells all that the law wants.
    """
    vague, drawn, orphan = (float(value) for value in rng.random(3))
    properties: Properties = {
        "driftsstatus": history.status,
        "etableringstidspunkt": history.established,
        "fareklasse": hazard,
        "noejagtighedsklasse": history.accuracy,
        "noejagtighedsklasseVertikal": history.vertical,
        "niveau": "under terræn",
        "vejledendeDybde": mm(depth_m * 1000.0),
        **extra,
    }
    if diameter_mm is not None:
        unknown = vague < 0.05 and not history.recent
        properties["udvendigDiameter"] = NIL if unknown else mm(diameter_mm)
    if vague > 0.98 and not history.recent and hazard == "ikke farlig":
        properties["fareklasse"] = NIL
    if history.recent or drawn < 0.3:
        properties["indtegningsmetode"] = "nøjagtigt"
    elif drawn > 0.985:
        properties["indtegningsmetode"] = "skematisk" if drawn > 0.993 else "forskudt"
    if orphan < 0.004 and not history.recent:
        properties["ejerskabsforhold"] = "uden ejer"
    return properties


def with_heights(drafts: Iterable[Draft], rng: np.random.Generator) -> list[Draft]:
    """Put heights on drafts: ground minus depth, or the given tops; NaN where they are not known."""
    held = list(drafts)
    spatial = [draft for draft in held if draft.geometry is not None]
    geometries = np.array([draft.geometry for draft in spatial], dtype=object)
    coordinates, owner = shapely.get_coordinates(geometries, return_index=True)
    ground = height_m(coordinates[:, 0], coordinates[:, 1])
    ends = np.searchsorted(owner, np.arange(len(spatial)), side="right")
    start = 0
    for draft, end in zip(spatial, ends, strict=True):
        if draft.heights == "none":
            heights = np.full(end - start, np.nan)
        elif draft.top_m is not None:
            heights = draft.top_m.copy()
        else:
            heights = ground[start:end] - draft.depth_m
        if draft.heights == "partly":
            heights[rng.random(len(heights)) < 0.4] = np.nan
        draft.heights_m = heights
        start = int(end)
    return held
