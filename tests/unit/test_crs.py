"""The coordinate reference systems that are served, against PROJ's own database."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest

from geoinfra import crs
from geoinfra.errors import InvalidInput

NAMES = ["OGC:CRS84", *(f"EPSG:{code}" for code in (25832, 25833, 4258, 4326, 3857, 4093, 4094, 4095, 4096))]
# a point well inside each zone: Esbjerg, Aarhus, København, Rønne
PLACES = {"EPSG:4093": (8.45, 55.47), "EPSG:4094": (10.2, 56.15), "EPSG:4095": (12.57, 55.68),
          "EPSG:4096": (14.7, 55.1)}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_crs_is_known_by_its_address_and_goes_back_to_it(name: str) -> None:
    assert crs.parse_crs(crs.uri(name)) == name
    assert crs.parse_crs(f"[{crs.uri(name)}]") == name


@pytest.mark.parametrize("name", NAMES)
def test_axis_order_is_the_one_of_the_authority(name: str) -> None:
    own = pyproj.Transformer.from_crs("OGC:CRS84", name).transform(10.2, 56.15)
    x_first = pyproj.Transformer.from_crs("OGC:CRS84", name, always_xy=True).transform(10.2, 56.15)
    assert own == (x_first[::-1] if crs.north_first(name) else x_first)
    assert crs.is_metric(name) is not pyproj.CRS(name).is_geographic


@pytest.mark.parametrize("name", NAMES)
def test_coordinates_come_back_to_a_tenth_of_a_millimetre(name: str) -> None:
    x, y = np.array([480_000.0, 720_000.0, 860_000.0]), np.array([6_150_000.0, 6_180_000.0, 6_110_000.0])
    there = crs.transform_xy(x, y, "EPSG:25832", name)
    assert np.allclose(crs.transform_xy(*there, name, "EPSG:25832"), [x, y], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", list(PLACES))
def test_the_zones_of_dktm_hold_their_part_of_denmark_with_scale_near_one(name: str) -> None:
    longitude, latitude = PLACES[name]
    zone = pyproj.CRS(name)
    west, south, east, north = zone.area_of_use.bounds
    assert west <= longitude <= east
    assert south <= latitude <= north
    factors = pyproj.Proj(zone).get_factors(longitude, latitude)
    assert abs(factors.meridional_scale - 1) < 50e-6
    east_m, north_m = crs.transform_xy(np.array([longitude]), np.array([latitude]), "OGC:CRS84", name)
    assert 0 < east_m[0] < 1_000_000
    assert 0 < north_m[0] < 1_600_000


@pytest.mark.parametrize("text", ["EPSG:2000", "http://www.opengis.net/def/crs/EPSG/0/7416x", "4093 --", "ø"])
def test_other_crss_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        crs.parse_crs(text)
