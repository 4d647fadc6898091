"""The rules of a dig enquiry: what is refused, with which error, and what the error says."""

from __future__ import annotations

import io
import json
import math
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import shapely

from geoinfra import crs
from geoinfra.errors import InvalidGeometry, InvalidInput, TooLarge
from geoinfra.flows.enquiry_records import ler_request
from geoinfra.utilities.enquiry import (
    AnswerStatus,
    EmergencyGround,
    EnquiryKind,
    EnquiryRequest,
    EnquiryState,
    Filer,
    state_of,
)
from geoinfra.utilities.formats.request import write_request
from geoinfra.utilities.ler_api.requests import dig_request

TODAY = date(2026, 11, 24)
SQUARE = [[650000, 6080000], [650040, 6080000], [650040, 6080050], [650000, 6080050], [650000, 6080000]]


def document(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "area": {"type": "Polygon", "coordinates": [SQUARE]},
        "crs": "EPSG:25832",
        "period": {"from": "2026-12-01", "to": "2026-12-20"},
        "methods": ["6"],
        "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
    }
    return {**base, **changes}


def area(*ring: tuple[float, float]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[list(p) for p in ring]]}


def test_a_good_request_becomes_a_value_in_storage_crs() -> None:
    request = EnquiryRequest.from_document(document(), today=TODAY)
    assert request.area_m2 == 2000.0
    assert request.formats == ("gml", "gpkg", "geojson", "html")


def test_degrees_give_the_same_polygon_as_metres() -> None:
    square = shapely.Polygon(SQUARE)
    degrees = json.loads(shapely.to_geojson(crs.transform_geometry(square, "EPSG:25832", "OGC:CRS84")))
    request = EnquiryRequest.from_document(document(area=degrees, crs="CRS84"), today=TODAY)
    assert shapely.hausdorff_distance(request.polygon, square) < 1e-6


BOW_TIE = area((650000, 6080000), (650040, 6080050), (650040, 6080000), (650000, 6080050), (650000, 6080000))
SWAPPED = area(*[(n, e) for e, n in SQUARE])
GERMANY = area(*[(e, n - 200_000) for e, n in SQUARE])
NAN = area((650000, math.nan), *[(e, n) for e, n in SQUARE[1:4]], (650000, math.nan))
MANY = area(
    *[(650000 + 40 * math.cos(i / 8000), 6080000 + 40 * math.sin(i / 8000)) for i in range(50265)],
    *[(650040.0, 6080000.0)],
)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (BOW_TIE, "crosses or touches itself at E 650020"),
        (SWAPPED, "northing stands before easting"),
        (GERMANY, "outside Denmark"),
        (NAN, "NaN"),
        (MANY, "vertices"),
        (area((650000, 6080000), (650040, 6080000), (650000, 6080000)), "four positions"),
        (area((650000, 6080000), (650040, 6080000), (650020, 6080000), (650000, 6080000)), "itself|no area"),
        ({"type": "MultiPolygon", "coordinates": []}, "a GeoJSON Polygon"),
        ({"type": "Polygon", "coordinates": []}, "no ring"),
        ({"type": "Polygon", "coordinates": "x"}, "no ring"),
        ({"type": "Polygon", "coordinates": [[[True, False]] * 4]}, "positions"),
        ({"type": "Polygon", "coordinates": [["650000 6080000"] * 5]}, "positions"),
        (None, "a GeoJSON Polygon"),
    ],
)
def test_a_bad_area_is_refused_with_a_reason(bad: Any, says: str) -> None:
    with pytest.raises(InvalidGeometry, match=says) as caught:
        EnquiryRequest.from_document(document(area=bad), today=TODAY)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("drawn", "danish"),
    [
        (BOW_TIE, "krydser eller rører sig selv ved E 650020"),
        (GERMANY, "uden for Danmark"),
        ([area(*SQUARE), BOW_TIE], "Polygon 2 af 2: .*krydser"),
        (
            area((650000, 6080000), (650000.1, 6080000), (650000.1, 6080000.1), (650000, 6080000)),
            "intet areal",
        ),
        (
            area(*[(e * 1.0 + 20_000 * (e > 650000), n + 20_000 * (n > 6080000)) for e, n in SQUARE]),
            "for stort",
        ),
        ([area(*SQUARE), area(*[(e + 500, n) for e, n in SQUARE])], "2 stykker, ikke ét"),
    ],
)
def test_what_is_wrong_with_a_drawn_area_is_told_in_danish_too(drawn: Any, danish: str) -> None:
    with pytest.raises((InvalidGeometry, TooLarge)) as caught:
        EnquiryRequest.from_document(document(area=drawn), today=TODAY)
    assert caught.value.details["path"] == "area"
    assert re.search(danish, caught.value.details["message_da"])


def test_what_kind_of_work_it_is_becomes_values() -> None:
    told = {
        "kind": "emergency",
        "filer": "private",
        "grounds": ["danger-to-life", "waste"],
        "reason": "Brud på vandledning",
        "begun": True,
        "purpose": "3",
        "supplies": ["5", "3"],
        "depth_m": 1.2,
        "own_number": "A-17",
        "surroundings_m": 25,
    }
    request = EnquiryRequest.from_document(document(**told), today=TODAY)
    assert request.kind is EnquiryKind.EMERGENCY
    assert request.filer is Filer.PRIVATE
    assert request.grounds == (EmergencyGround.WASTE, EmergencyGround.DANGER_TO_LIFE)
    assert (request.supplies, request.depth_m, request.surroundings_m) == (("3", "5"), 1.2, 25.0)


@pytest.mark.parametrize(("told", "written"), [([], ("99",)), (["5", "3"], ("3", "5")), (["99"], ("99",))])
def test_the_copy_in_a_package_is_a_request_that_ler_takes(told: list[str], written: tuple[str, ...]) -> None:
    asked = EnquiryRequest.from_document(document(supplies=told, purpose="3"), today=TODAY)
    target = io.BytesIO()
    write_request(target, ler_request(asked, asked.description, "2026-000017"))
    taken = dig_request(target.getvalue(), TODAY)
    assert (taken.supplies, taken.purpose, taken.own_number) == (written, "3", "2026-000017")


def test_latitude_before_longitude_is_named() -> None:
    swapped = area((54.9, 11.1), (54.9, 11.101), (54.901, 11.101), (54.9, 11.1))
    with pytest.raises(InvalidGeometry, match="latitude stands before longitude"):
        EnquiryRequest.from_document(document(area=swapped, crs="CRS84"), today=TODAY)


def test_an_area_above_the_limit_of_one_enquiry_may_be_filed_in_parts() -> None:
    wide = area((650000, 6080000), (650501, 6080000), (650501, 6080500), (650000, 6080500), (650000, 6080000))
    assert EnquiryRequest.from_document(document(area=wide), today=TODAY).area_m2 == 250_500.0


def test_an_area_above_all_parts_is_too_large() -> None:
    wide = area((640000, 6080000), (650000, 6080000), (650000, 6086000), (640000, 6086000), (640000, 6080000))
    with pytest.raises(TooLarge, match="60,000,000 m2") as caught:
        EnquiryRequest.from_document(document(area=wide), today=TODAY)
    assert caught.value.details["max_area_m2"] == 50_000_000.0


BESIDE = [[e + 40, n] for e, n in SQUARE]
APART = [[e + 60, n] for e, n in SQUARE]


@pytest.mark.parametrize(
    "several",
    [
        {"type": "MultiPolygon", "coordinates": [[SQUARE], [BESIDE]]},
        [area(*SQUARE), area(*BESIDE)],
        {
            "type": "FeatureCollection",
            "features": [
                {"type": "Feature", "properties": {}, "geometry": area(*r)} for r in (SQUARE, BESIDE)
            ],
        },
        {"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": [[BESIDE], [SQUARE]]}},
    ],
    ids=["multipolygon", "list", "collection", "feature"],
)
def test_several_areas_that_meet_become_one(several: Any) -> None:
    request = EnquiryRequest.from_document(document(area=several), today=TODAY)
    assert shapely.equals(request.polygon, shapely.box(650000, 6080000, 650080, 6080050))


def test_areas_apart_are_refused_with_the_gap() -> None:
    apart = {"type": "MultiPolygon", "coordinates": [[SQUARE], [APART]]}
    with pytest.raises(InvalidGeometry, match=r"2 pieces.*20\.00 m apart") as caught:
        EnquiryRequest.from_document(document(area=apart), today=TODAY)
    assert caught.value.details["gaps"][0]["distance_m"] == 20.0


@pytest.mark.parametrize(
    ("several", "says"),
    [
        ([area(*SQUARE), BOW_TIE], "Polygon 2 of 2: .*crosses"),
        ([area(*SQUARE)] * 501, "more than 500"),
        ([MANY, area(*SQUARE)], "vertices"),
        ([[[[area(*SQUARE)]]]] * 2, None),
        ([[[[[[area(*SQUARE)]]]]]], "a GeoJSON Polygon"),
        ([], "a GeoJSON Polygon"),
        ([area(*SQUARE), None], "a GeoJSON Polygon"),
    ],
)
def test_every_one_of_several_areas_is_checked(several: Any, says: str | None) -> None:
    if says is None:
        assert EnquiryRequest.from_document(document(area=several), today=TODAY).area_m2 == 2000.0
        return
    with pytest.raises(InvalidGeometry, match=says):
        EnquiryRequest.from_document(document(area=several), today=TODAY)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"period": {"from": "2026-12-20", "to": "2026-12-01"}}, "period"),
        ({"period": {"from": "2026-11-01", "to": "2026-11-23"}}, "period.to"),
        ({"period": {"from": "2026-12-01", "to": "2028-12-01"}}, "period"),
        ({"period": {"from": "01-12-2026", "to": "2026-12-01"}}, "period.from"),
        ({"period": None}, "period"),
        ({"methods": []}, "methods"),
        ({"methods": ["12"]}, "methods"),
        ({"methods": ["99"]}, "methods_other"),
        ({"methods_other": "skovl"}, "methods_other"),
        ({"contact": {"name": "", "email": "a@b.dk"}}, "contact.name"),
        ({"contact": {"name": "Karen"}}, "contact.email"),
        ({"contact": {"name": "Karen", "email": "karen"}}, "contact.email"),
        ({"contact": {"name": "Karen", "phone": "call me"}}, "contact.phone"),
        ({"description": "x" * 1001}, "description"),
        ({"description": "a\x00b"}, "description"),
        ({"formats": ["dwg"]}, "formats"),
        ({"kind": "urgent"}, "kind"),
        ({"kind": ["planned"]}, "kind"),
        ({"filer": "robot"}, "filer"),
        ({"grounds": "waste"}, "grounds"),
        ({"grounds": ["hurry"]}, "grounds"),
        ({"begun": 1}, "begun"),
        ({"reason": "x" * 1001}, "reason"),
        ({"purpose": "laying"}, "purpose"),
        ({"supplies": ["11"]}, "supplies"),
        ({"depth_m": 0}, "depth_m"),
        ({"depth_m": "1.2"}, "depth_m"),
        ({"depth_m": math.nan}, "depth_m"),
        ({"depth_m": True}, "depth_m"),
        ({"surroundings_m": -1}, "surroundings_m"),
        ({"surroundings_m": 1001}, "surroundings_m"),
        ({"own_number": "x" * 51}, "own_number"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_bad_member_is_named(change: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        EnquiryRequest.from_document(document(**change), today=TODAY)
    assert caught.value.details["path"] == path
    assert caught.value.hint


@pytest.mark.parametrize(
    ("response", "features", "status", "data"),
    [
        ("ledningsoplysninger udleveret", 3, AnswerStatus.DELIVERED, True),
        ("ledningsoplysninger udleveret", 0, AnswerStatus.NO_LINES, False),
        ("ingen ledninger i graveområde", 0, AnswerStatus.NO_LINES, False),
        ("ledningsoplysninger udleveres ikke", 0, AnswerStatus.WITHHELD, False),
        ("udtaget til manuel behandling", 0, AnswerStatus.MANUAL, False),
        ("udtaget til påvisning - ledningsoplysninger udleveres ikke", 0, AnswerStatus.POINTING_OUT, False),
        (
            "udtaget til påvisning - ledningsoplysninger udleveret",
            2,
            AnswerStatus.POINTING_OUT_DELIVERED,
            True,
        ),
    ],
)
def test_each_response_type_has_its_own_state(
    response: str, features: int, status: AnswerStatus, data: bool
) -> None:
    assert AnswerStatus.of_response(response, features) is status
    assert status.carries_data is data


@pytest.mark.parametrize(
    ("settled", "packaged", "days", "state"),
    [
        (True, False, 5, EnquiryState.ANSWERED),
        (True, True, 5, EnquiryState.COMPLETE),
        (False, False, 5, EnquiryState.FILED),
        (False, True, 5, EnquiryState.PARTIAL),
        (True, True, -1, EnquiryState.EXPIRED),
        (False, False, -1, EnquiryState.EXPIRED),
    ],
)
def test_the_state_follows_from_answers_package_and_clock(
    settled: bool, packaged: bool, days: int, state: EnquiryState
) -> None:
    valid_to = datetime.now(UTC) + timedelta(days=days)
    assert state_of(settled=settled, packaged=packaged, valid_to=valid_to) is state
