"""The utility networks of a town, one function a layer, laid as Danish practice lays them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import shapely

from geoinfra.sample.features import NIL, Array, Draft, History, Properties, draw_history, line_properties, mm
from geoinfra.sample.layer import YEARS, Layer, stops_every
from geoinfra.sample.sewers import sewer
from geoinfra.sample.site import SLOTS, Site, cut, lengths_along
from geoinfra.sample.streets import Section, Street

__all__ = ["LAYERS"]

_THREE_PHASE = {"value": 0.4, "uom": "kV"}


def _kv(value: float) -> Properties:
    return {"value": value, "uom": "kV"}


def _square(street: Street, measure: float, offset_m: float, half_along: float, half_across: float) -> Array:
    """Return the corners of a small box beside a street."""
    along = street.direction(measure)
    across = np.array([-along[1], along[0]])
    middle = street.at(measure, offset_m)[0]
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.array([middle + along * half_along * a + across * half_across * b for a, b in signs])


def _junction_points(site: Site, slot: str, sections: list[Section]) -> Iterator[tuple[Array, Street]]:
    """Yield the hub of every junction that these sections touch, with its leading street."""
    touched = sorted({j for s in sections for j in (s.from_junction, s.to_junction)})
    for junction in touched:
        street, _ = site.network.junctions[junction].arms[0]
        yield site.hub(junction, slot), site.network.streets[street]


# ------------------------------------------------------------------------------------------- electricity


def low_voltage(site: Site) -> Iterator[Draft]:
    """0.4 kV cables from cabinet to cabinet in the left footway, and the cables to the houses."""
    layer = Layer(site, "low-voltage", "el")
    for section in site.mains:
        zone = layer.street(section).zone
        course = site.course(section, "low-voltage")
        history = layer.history(zone)
        stops = stops_every(lengths_along(course)[-1], 62.0)
        for piece in cut(course, stops):
            depth = float(layer.rng.uniform(0.45, 0.7))
            yield layer.line(
                "Elledning", piece, history, "farlig", depth, 42, type="forsyningskabel",
                spaendingsniveau=_THREE_PHASE, antalKabler=1, kabeltype="PEX-M-AL 4x150",
            )  # fmt: skip
            yield layer.component(
                "Elkomponent", piece[0], history, 0.0, type="kabelskab", spaendingsniveau=_THREE_PHASE,
                niveau="delvist under terræn",
            )  # fmt: skip
    for way in site.services("low-voltage", -0.8):
        history = draw_history(layer.rng, max(1955, way.building.year - 2), 2021)
        yield layer.line(
            "Elledning", way.course, history, "farlig", float(layer.rng.uniform(0.35, 0.55)), 25,
            type="stikkabel", spaendingsniveau=_THREE_PHASE,
        )  # fmt: skip


def medium_voltage(site: Site) -> Iterator[Draft]:
    """10 kV ring along the larger streets, with substations where it passes a junction."""
    layer = Layer(site, "medium-voltage", "hv")
    for section in site.mains:
        street = layer.street(section)
        if street.road_class.rank < 2 and section.index % 7:
            continue
        history = layer.history(street.zone)
        course = site.course(section, "medium-voltage")
        for piece in cut(course, stops_every(lengths_along(course)[-1], 140.0)):
            yield layer.line(
                "Elledning", piece, history, "meget farlig", float(layer.rng.uniform(0.7, 0.95)), 74,
                type="forsyningskabel", spaendingsniveau=_kv(10), kabeltype="APB 3x95",
                afdaekning="dækbånd" if float(layer.rng.random()) < 0.6 else "dæksten",
                sikkerhedshensyn="10 kV: kontakt elnetselskabet før gravning nærmere end 1 m.",
            )  # fmt: skip
            if float(layer.rng.random()) < 0.25:
                yield layer.component(
                    "Elkomponent", piece[-1], history, 0.8, type="muffe", spaendingsniveau=_kv(10)
                )
        if section.index % 5 == 0:
            middle = (section.from_m + section.to_m) / 2.0
            side = SLOTS["medium-voltage"].offset_m(street.road_class)
            yield layer.component(
                "Elkomponent", _square(street, middle, side, 1.1, 0.45), history, -1.6, type="station",
                spaendingsniveau=_kv(10), niveau="over terræn", fareklasse="meget farlig",
            )  # fmt: skip


def lighting(site: Site) -> Iterator[Draft]:
    """Street lamps every 30 m or so and the cable between them, also along paths."""
    layer = Layer(site, "lighting", "lys")
    for section in site.network.sections:
        zone = layer.street(section).zone
        course = site.course(section, "lighting")
        history = layer.history(zone)
        spacing = 26.0 if zone == "centre" else 34.0
        for piece in cut(course, stops_every(lengths_along(course)[-1], spacing)):
            yield layer.line(
                "Elledning", piece, history, "farlig", float(layer.rng.uniform(0.35, 0.5)), 22,
                type="vejbelysningskabel", spaendingsniveau=_THREE_PHASE,
            )  # fmt: skip
            yield layer.component(
                "Elkomponent", piece[0], history, 0.0, type="belysningsarmatur", niveau="over terræn"
            )
        if section.index % 6 == 0:
            yield layer.component(
                "Elkomponent", course[len(course) // 2], history, 0.0, type="tændskab/gadelys",
                niveau="delvist under terræn",
            )  # fmt: skip


def transmission(site: Site) -> Iterator[Draft]:
    """60 kV: a trace that holds three phase cables without geometry of their own."""
    layer = Layer(site, "transmission", "tr")
    for route in _routes(site, "60kv"):
        history = draw_history(layer.rng, 1986, 2022)
        for piece in cut(route, stops_every(lengths_along(route)[-1], 180.0)):
            yield from _phases(layer, piece, history)
        yield layer.component(
            "Elkomponent", route[-1], history, -3.0, type="station", spaendingsniveau=_kv(60),
            niveau="over terræn", fareklasse="meget farlig",
        )  # fmt: skip


def _phases(layer: Layer, piece: Array, history: History) -> Iterator[Draft]:
    cables = []
    for phase in ("L1", "L2", "L3"):
        properties: Properties = {
            "driftsstatus": history.status,
            "etableringstidspunkt": history.established,
            "fareklasse": "meget farlig",
            "udvendigDiameter": mm(92),
            "vejledendeDybde": mm(1150),
            "type": "forsyningskabel",
            "spaendingsniveau": _kv(60),
            "kabeltype": f"PEX 1x800 {phase}",
        }
        cables.append(Draft("Elledning", layer.next_id(), properties))
    yield from cables
    trace = line_properties(
        history, "meget farlig", 1.15, None, layer.rng, bredde=mm(700), forsyningsart=["el"],
        indeholdtLedning=[{"href": f"#{cable.gml_id}"} for cable in cables],
        sikkerhedshensyn="60 kV: der må ikke graves nærmere end 2 m uden tilsyn.",
    )  # fmt: skip
    trace.pop("niveau")
    geometry = shapely.MultiLineString([piece])
    yield Draft("Ledningstrace", layer.next_id(), trace, geometry, 1.15, None, history.heights)


def _routes(site: Site, kind: str) -> Iterator[Array]:
    """Yield the routes of a kind, with a vertex at least every 15 m so that they follow the ground."""
    verge = site.plan.routes_along.get(kind)
    for section in site.mains:
        if site.network.streets[section.street].name == verge:
            yield site.course(section, kind)
    for route in site.plan.routes.get(kind, ()):
        yield shapely.get_coordinates(shapely.segmentize(route, 15.0))


# ------------------------------------------------------------------------------------------- water


def water(site: Site) -> Iterator[Draft]:
    """Mains at frost-free depth with valves and hydrants, and a service with stop tap for each house."""
    layer = Layer(site, "water", "vand")
    for section in site.mains:
        street = layer.street(section)
        history = layer.history(street.zone)
        diameter = {3: 225, 2: 160}.get(street.road_class.rank, 110)
        depth = float(layer.rng.uniform(1.22, 1.42))
        course = site.course(section, "water")
        material = "PE" if history.recent or float(layer.rng.random()) < 0.5 else "støbejern"
        for piece in cut(course, stops_every(lengths_along(course)[-1], 110.0)):
            yield layer.line(
                "Vandledning", piece, history, "ikke farlig", depth, diameter, udvendigMateriale=material
            )
            if float(layer.rng.random()) < 0.4:
                yield layer.component(
                    "Vandkomponent", piece[-1], history, 0.1, type="tapsted", tapstedstype="brandhane",
                    niveau="delvist under terræn",
                )  # fmt: skip
    for point, street in _junction_points(site, "water", site.mains):
        yield layer.component("Vandkomponent", point, layer.history(street.zone), 1.1, type="ventil")
    for way in site.services("water", 0.25):
        history = draw_history(layer.rng, max(1940, way.building.year - 2), 2021)
        yield layer.line(
            "Vandledning", way.course, history, "ikke farlig", float(layer.rng.uniform(1.2, 1.4)), 40,
            udvendigMateriale="PE",
        )  # fmt: skip
        tap = _along(way.course, 0.55)
        yield layer.component("Vandkomponent", tap, history, 1.0, type="ventil")


def _along(course: Array, share: float) -> Array:
    """Return the point at a share of a straight course."""
    return np.asarray(course[0] + (course[-1] - course[0]) * share)


# ------------------------------------------------------------------------------------------- heat and gas


def heating(site: Site) -> Iterator[Draft]:
    """District heating in pairs: supply and return mains, valves, and pairs to the houses."""
    layer = Layer(site, "heating", "fjv")
    sections = [s for s in site.mains if s.index in site.heated]
    for section in sections:
        street = layer.street(section)
        history = layer.history(street.zone)
        diameter = {3: 315, 2: 225}.get(street.road_class.rank, 140)
        yield from _heat_pair(layer, section, history, diameter)
    for point, street in _junction_points(site, "heating-supply", sections):
        yield layer.component("TermiskKomponent", point, layer.history(street.zone), 0.7, type="ventil")
    for slot, shift, celsius in (("heating-supply", 0.62, 75), ("heating-return", 0.74, 40)):
        for way in site.services(slot, shift, site.heated):
            history = draw_history(layer.rng, max(1970, way.building.year), 2021)
            yield layer.line(
                "TermiskLedning", way.course, history, "farlig", 0.65, 77, type="stikledning",
                indhold="varmt vand", konstruktion="præisoleret", temperatur={"value": celsius, "uom": "Cel"},
            )  # fmt: skip


def _heat_pair(layer: Layer, section: Section, history: History, diameter_mm: float) -> Iterator[Draft]:
    depth = float(layer.rng.uniform(0.65, 0.9))
    for slot, celsius in (("heating-supply", 75), ("heating-return", 40)):
        course = layer.site.course(section, slot)
        for piece in cut(course, stops_every(lengths_along(course)[-1], 96.0)):
            yield layer.line(
                "TermiskLedning", piece, history, "farlig", depth, diameter_mm, type="distributionsledning",
                indhold="varmt vand", konstruktion="præisoleret", temperatur={"value": celsius, "uom": "Cel"},
                tryk={"value": 6, "uom": "bar"},
            )  # fmt: skip


def gas(site: Site) -> Iterator[Draft]:
    """Gas where there is no district heating: distribution in the right footway, services at 0.9 m."""
    layer = Layer(site, "gas", "gas")
    sections = [s for s in site.mains if s.index in site.gassed]
    for section in sections:
        street = layer.street(section)
        history = draw_history(layer.rng, 1984, 2012)
        course = site.course(section, "gas")
        depth = float(layer.rng.uniform(0.85, 1.0))
        for piece in cut(course, stops_every(lengths_along(course)[-1], 100.0)):
            yield layer.line(
                "Gasledning", piece, history, "farlig", depth, 160 if street.road_class.rank > 1 else 90,
                type="distributionsledning", tryk={"value": 4, "uom": "bar"}, medietype="naturgas",
                udvendigMateriale="PE", udvendigFarve=["gul"],
            )  # fmt: skip
    for point, _ in _junction_points(site, "gas", sections):
        yield layer.component("Gaskomponent", point, draw_history(layer.rng, 1984, 2012), 0.8, type="ventil")
    for way in site.services("gas", 0.5, site.gassed):
        history = draw_history(layer.rng, max(1984, way.building.year), 2014)
        yield layer.line(
            "Gasledning", way.course, history, "farlig", 0.9, 32, type="stikledning",
            tryk={"value": 4, "uom": "bar"}, medietype="naturgas", udvendigFarve=["gul"],
        )  # fmt: skip
        yield layer.component("Gaskomponent", way.course[0], history, 0.85, type="anboring")


def gas_transmission(site: Site) -> Iterator[Draft]:
    """One high-pressure line round the town with markers and a regulator station."""
    layer = Layer(site, "gas-transmission", "gtr")
    for route in _routes(site, "gas-transmission"):
        history = draw_history(layer.rng, 1983, 1998)
        for piece in cut(route, stops_every(lengths_along(route)[-1], 250.0)):
            yield layer.line(
                "Gasledning", piece, history, "meget farlig", 1.2, 324, type="transmissionsledning",
                tryk={"value": 50, "uom": "bar"}, medietype="naturgas", udvendigMateriale="stål",
                sikkerhedshensyn="Højtryksgas: gravning inden for 5 m kun med tilsyn.",
            )  # fmt: skip
            yield layer.component(
                "Gaskomponent", piece[0], history, -1.2, type="afmærkningsstander", niveau="over terræn"
            )
        yield layer.component(
            "Gaskomponent", route[-1], history, 0.0, type="MR-station", niveau="over terræn",
            fareklasse="meget farlig",
        )  # fmt: skip


def oil(site: Site) -> Iterator[Draft]:
    """The oil line along the shore to the harbour."""
    layer = Layer(site, "oil", "olie")
    for route in _routes(site, "oil"):
        history = draw_history(layer.rng, 1966, 1979)
        for piece in cut(route, stops_every(lengths_along(route)[-1], 200.0)):
            yield layer.line(
                "Olieledning", piece, history, "meget farlig", 1.1, 219, type="produktledning",
                tryk={"value": 10, "uom": "bar"}, udvendigMateriale="stål",
            )  # fmt: skip
            yield layer.component("Oliekomponent", piece[-1], history, 0.9, type="ventil")


# ------------------------------------------------------------------------------------------- telecom


def fibre(site: Site) -> Iterator[Draft]:
    """Ducts that hold fibre cables without geometry, wells at junctions, cabinets, cables to the houses."""
    layer = Layer(site, "fibre", "fib")
    for section in site.mains:
        history = draw_history(layer.rng, 2006, 2022)
        course = site.course(section, "fibre")
        for piece in cut(course, stops_every(lengths_along(course)[-1], 120.0)):
            yield from _duct(layer, piece, history)
        if section.index % 4 == 0:
            yield layer.component(
                "Telekommunikationskomponent", course[len(course) // 2], history, 0.0, type="skab",
                niveau="delvist under terræn",
            )  # fmt: skip
    for point, _ in _junction_points(site, "fibre", site.mains):
        history = draw_history(layer.rng, 2006, 2022)
        yield layer.component("Telekommunikationskomponent", point, history, 0.1, type="brønd")
    for way in site.services("fibre", -0.5, leave_out=8):
        history = draw_history(layer.rng, max(2006, way.building.year), 2022)
        yield layer.line(
            "Telekommunikationsledning", way.course, history, "ikke farlig",
            float(layer.rng.uniform(0.3, 0.45)), 10, type="fiberkabel",
        )  # fmt: skip


def _duct(layer: Layer, piece: Array, history: History) -> Iterator[Draft]:
    depth = float(layer.rng.uniform(0.35, 0.5))
    cable = Draft(
        "Telekommunikationsledning",
        layer.next_id(),
        {
            "driftsstatus": history.status,
            "etableringstidspunkt": history.established,
            "fareklasse": "ikke farlig",
            "udvendigDiameter": mm(14),
            "vejledendeDybde": mm(depth * 1000),
            "liggerILedning": True,
            "type": "fiberkabel",
        },
    )
    yield cable
    holds: Any = [{"href": f"#{cable.gml_id}"}]
    yield layer.line(
        "Foeringsroer", piece, history, "ikke farlig", depth, 40, forsyningsart=["telekommunikation"],
        indeholderLedninger=True, indeholdtLedning=holds, udvendigFarve=["orange"],
    )  # fmt: skip


def copper(site: Site) -> Iterator[Draft]:
    """The older copper and coax network in the right footway."""
    layer = Layer(site, "copper", "kob")
    for section in site.mains:
        if section.index not in site.copper:
            continue
        zone = layer.street(section).zone
        history = draw_history(layer.rng, max(1948, YEARS[zone][0]), 2001)
        course = site.course(section, "copper")
        for piece in cut(course, stops_every(lengths_along(course)[-1], 90.0)):
            depth = float(layer.rng.uniform(0.3, 0.5))
            yield layer.line(
                "Telekommunikationsledning", piece, history, "ikke farlig", depth, 28, type="kobberkabel"
            )
            yield layer.component("Telekommunikationskomponent", piece[0], history, 0.0, type="fordelerboks")
    for kind, shift, leave_out in (("kobberkabel", -0.3, 5), ("coaxkabel", -0.15, 3)):
        ways = site.services("copper", shift, site.copper, leave_out)
        for way in ways:
            history = draw_history(layer.rng, max(1952, min(1998, way.building.year)), 2006)
            depth = float(layer.rng.uniform(0.3, 0.45))
            yield layer.line(
                "Telekommunikationsledning", way.course, history, "ikke farlig", depth, 12, type=kind
            )


# ------------------------------------------------------------------------------------------- the rest


def other(site: Site) -> Iterator[Draft]:
    """Traffic-signal cables at large junctions, and old lines of which nobody knows the supply."""
    layer = Layer(site, "other", "div")
    for section in site.mains:
        street = layer.street(section)
        course = site.course(section, "lighting")
        if street.road_class.rank == 3 and section.length_m > 40.0:
            history = draw_history(layer.rng, 1978, 2020)
            signal = cut(course, np.array([35.0]))[0]
            yield layer.line(
                "AndenLedning", signal, history, "farlig", 0.6, 30, forsyningsart="other: trafiksignal",
                type="signalkabel",
            )  # fmt: skip
            yield layer.component(
                "AndenKomponent",
                signal[-1],
                history,
                0.0,
                forsyningsart="other: trafiksignal",
                type="signalskab",
            )
        if section.index % 17 == 3:
            yield _found_line(layer, street.between(section.from_m + 9.0, section.to_m - 9.0, -0.2))


def _found_line(layer: Layer, course: Array) -> Draft:
    history = History({"value": "1965", "indeterminate": "before"}, NIL, False, False, NIL, NIL, "none")
    properties = line_properties(
        history,
        "farlig",
        0.6,
        60,
        layer.rng,
        ejerskabsforhold="uden ejer",
        supplerendeInfo="Fundet ved gravning.",
    )
    properties.update(fareklasse=NIL, vejledendeDybde=NIL)
    return Draft(
        "LedningUkendtForsyningsart",
        layer.next_id(),
        properties,
        shapely.LineString(course),
        0.6,
        None,
        "none",
    )


LAYERS: dict[str, Callable[[Site], Iterator[Draft]]] = {
    "low-voltage": low_voltage,
    "medium-voltage": medium_voltage,
    "lighting": lighting,
    "transmission": transmission,
    "water": water,
    "sewer": sewer,
    "heating": heating,
    "gas": gas,
    "gas-transmission": gas_transmission,
    "oil": oil,
    "fibre": fibre,
    "copper": copper,
    "other": other,
}
"""Layer -> the function that lays it."""
