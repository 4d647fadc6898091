"""What the layers of the town share: numbering, histories, and features with their usual attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from geoinfra.sample.features import Array, Draft, History, Properties, draw_history, line_properties
from geoinfra.sample.site import Site
from geoinfra.sample.streams import stream
from geoinfra.sample.streets import Section, Street

__all__ = ["YEARS", "Layer", "stops_every"]

YEARS = {"centre": (1925, 1996), "terrace": (1962, 2018), "villa": (1950, 2019), "harbour": (1938, 2005),
          "industry": (1968, 2016), "none": (1990, 2020)}  # fmt: skip


class Layer:
    """Numbers the features of one layer and draws their histories."""

    def __init__(self, site: Site, name: str, tag: str) -> None:
        self.site = site
        self.rng = stream(site.seed, site.prefix, name)
        self._tag = f"{site.prefix}{tag}"
        self._count = 0

    def next_id(self) -> str:
        """Return the next ``gml:id`` of the layer."""
        self._count += 1
        return f"{self._tag}.{self._count}"

    def street(self, section: Section) -> Street:
        """Return the street of a section."""
        return self.site.network.streets[section.street]

    def history(self, zone: str) -> History:
        """Draw a history fitting to a zone of the town."""
        return draw_history(self.rng, *YEARS[zone])

    def line(
        self,
        feature_class: str,
        course: Array,
        history: History,
        hazard: str,
        depth_m: float,
        diameter_mm: float,
        **extra: Any,
    ) -> Draft:
        """Return a line whose top lies `depth_m` below ground."""
        properties = line_properties(history, hazard, depth_m, diameter_mm, self.rng, **extra)
        if feature_class not in ("Elledning", "Telekommunikationsledning"):
            properties["tvaersnitsform"] = "cirkulær"
            if float(self.rng.random()) < 0.5 and history.heights == "known":
                del properties["vejledendeDybde"]
        heights = history.heights
        if feature_class in ("Elledning", "Telekommunikationsledning") and history.recent:
            heights = "none" if float(self.rng.random()) < 0.35 else "known"
        return Draft(
            feature_class, self.next_id(), properties, shapely.LineString(course), depth_m, None, heights
        )

    def component(
        self, feature_class: str, place: Array, history: History, depth_m: float, /, **extra: Any
    ) -> Draft:
        """Return a component at a point, or over an area when `place` is a ring."""
        geometry = shapely.Point(place) if place.ndim == 1 else shapely.Polygon(place)
        properties: Properties = {
            "driftsstatus": history.status,
            "etableringstidspunkt": history.established,
            "noejagtighedsklasse": history.accuracy,
            "noejagtighedsklasseVertikal": history.vertical,
            **extra,
        }
        heights = "none" if history.heights == "partly" else history.heights
        return Draft(feature_class, self.next_id(), properties, geometry, depth_m, None, heights)


def stops_every(length_m: float, spacing_m: float) -> Array:
    """Return the cuts that make pieces of about `spacing_m`."""
    count = max(1, round(length_m / spacing_m))
    return np.linspace(0.0, length_m, count + 1)[1:-1]
