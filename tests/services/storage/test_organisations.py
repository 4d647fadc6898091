"""Organisations, tokens and interest areas: who may come in, and who owns utilities where."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import shapely
import sqlalchemy as sa
from shapely import MultiPolygon, Polygon

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, InvalidGeometry, InvalidInput, NotAllowed, NotAuthenticated, NotFound
from geoinfra.storage import Store
from geoinfra.storage.organisations import (
    InterestArea,
    InterestHit,
    access_of,
    add_organisation,
    authenticate,
    check_cvr,
    create_token,
    get_organisation,
    list_organisations,
    list_tokens,
    owners_in,
    revoke_token,
    set_interest_areas,
)
from geoinfra.storage.schema import interest_areas, tokens

# Real numbers of large Danish companies and the state, taken as examples of the check digit.
REAL_CVR = ["25313763", "61056416", "22756214", "24256790", "37284114"]
CVR, OTHER_CVR = REAL_CVR[:2]
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=1000)


def square(east: float, north: float, side_m: float = 100.0) -> Polygon:
    return shapely.box(east, north, east + side_m, north + side_m)


def add(store: Store, *cvrs: str) -> None:
    with store.begin() as tx:
        for cvr in cvrs:
            add_organisation(tx, cvr, f"Organisation {cvr}", {"email": "lager@example.dk"})
        tx.commit()


def token(store: Store, *roles: Role, expires_in: timedelta = timedelta(days=1)) -> tuple[str, str]:
    with store.begin() as tx:
        made = create_token(tx, CVR, roles, "test", expires_in)
        tx.commit()
    return made


def areas(store: Store, cvr: str, *made: InterestArea) -> None:
    with store.begin() as tx:
        set_interest_areas(tx, cvr, made)
        tx.commit()


def hits(store: Store, polygon: Polygon | MultiPolygon, at: datetime = NOW) -> list[InterestHit]:
    with store.read() as connection:
        return owners_in(connection, polygon, at)


@pytest.mark.parametrize("cvr", REAL_CVR)
def test_real_cvr_numbers_are_valid(cvr: str) -> None:
    assert check_cvr(cvr) == cvr


@pytest.mark.parametrize(
    "cvr",
    [
        "",
        "2531376",
        "253137631",
        "25313764",
        "52313763",
        "2531376x",
        "00000000",
        "２５３１３７６３",
        "25313763\n",
    ],
)
def test_other_numbers_are_not(cvr: str) -> None:
    with pytest.raises(InvalidInput):
        check_cvr(cvr)


def test_every_change_of_one_digit_is_found() -> None:
    for place in range(8):
        for digit in set("0123456789") - {CVR[place]}:
            with pytest.raises(InvalidInput):
                check_cvr(CVR[:place] + digit + CVR[place + 1 :])


def test_an_organisation_is_kept_and_recorded_once(store: Store) -> None:
    add(store, CVR)
    with store.read() as connection:
        found = get_organisation(connection, CVR)
        assert found is not None
        assert (found.cvr, found.name, found.contact) == (
            CVR,
            f"Organisation {CVR}",
            {"email": "lager@example.dk"},
        )
        assert [o.cvr for o in list_organisations(connection)] == [CVR]
        assert get_organisation(connection, "\0") is None
    with pytest.raises(Conflict):
        add(store, CVR)


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\0b", "a\x1b[2Jb"])
def test_a_name_that_cannot_be_shown_is_refused(store: Store, name: str) -> None:
    with store.begin() as tx, pytest.raises(InvalidInput):
        add_organisation(tx, CVR, name)


def test_a_token_gives_the_access_of_its_organisation_and_roles(store: Store) -> None:
    add(store, CVR)
    token_id, secret = token(store, Role.OWNER, Role.EXCAVATOR)
    expected = Access(f"token:{token_id}", CVR, frozenset({Role.OWNER, Role.EXCAVATOR}))
    with store.read() as connection:
        assert authenticate(connection, secret) == expected
        assert access_of(connection, expected.principal) == expected


def test_only_a_digest_of_the_secret_is_stored(store: Store) -> None:
    add(store, CVR)
    _, secret = token(store, Role.OWNER)
    assert secret.startswith("gi_")
    assert len(secret) >= 3 + 32
    with store.read() as connection:
        row = connection.execute(sa.select(tokens)).one()
    assert secret.removeprefix("gi_") not in str(row)


def test_unknown_expired_and_revoked_tokens_are_refused_alike(store: Store) -> None:
    add(store, CVR)
    expired_id, expired = token(store, Role.OWNER)
    revoked_id, revoked = token(store, Role.OWNER)
    with store.begin() as tx:
        past = {"expires_at": "2020-01-01T00:00:00.000Z"}
        tx.execute(sa.update(tokens).where(tokens.c.token_id == expired_id).values(past))
        revoke_token(tx, revoked_id)
        tx.commit()
    said = set()
    for secret in (
        expired,
        revoked,
        "gi_" + "a" * 43,
        "",
        "gi_",
        expired.lower(),
        "\0",
        "gi_" + "a" * 10**6,
        "é",
    ):
        with store.read() as connection, pytest.raises(NotAuthenticated) as told:
            authenticate(connection, secret)
        said.add((told.value.message, told.value.hint))
    assert len(said) == 1
    for principal in (f"token:{expired_id}", f"token:{revoked_id}", "token:none", "somebody", ""):
        with store.read() as connection, pytest.raises(NotAllowed):
            access_of(connection, principal)


def test_the_visitor_and_geoinfra_itself_have_no_more_than_their_names(store: Store) -> None:
    with store.read() as connection:
        assert access_of(connection, "anonymous") == Access.anonymous()
        assert access_of(connection, "system:sweep") == Access("system:sweep")


def test_a_token_needs_a_role_an_organisation_and_an_end(store: Store) -> None:
    add(store, CVR)
    for roles, validity in [
        ([], timedelta(days=1)),
        ([Role.ANONYMOUS], timedelta(days=1)),
        ([Role.OWNER], timedelta(0)),
        ([Role.OWNER], timedelta(days=99999)),
    ]:
        with store.begin() as tx, pytest.raises(InvalidInput):
            create_token(tx, CVR, roles, "", validity)
    with store.begin() as tx, pytest.raises(NotFound):
        create_token(tx, OTHER_CVR, [Role.OWNER], "", timedelta(days=1))
    with store.begin() as tx, pytest.raises(NotFound):
        revoke_token(tx, "none")


def test_tokens_are_listed_with_their_state(store: Store) -> None:
    add(store, CVR)
    token_id, _ = token(store, Role.OWNER)
    with store.begin() as tx:
        revoke_token(tx, token_id)
        tx.commit()
    with store.read() as connection:
        (listed,) = list_tokens(connection)
        assert list_tokens(connection, OTHER_CVR) == []
    assert (listed.token_id, listed.organisation, listed.roles, listed.label) == (
        token_id,
        CVR,
        frozenset({Role.OWNER}),
        "test",
    )
    assert listed.revoked_at is not None


def test_owners_are_found_where_their_areas_are(store: Store) -> None:
    add(store, CVR, OTHER_CVR)
    areas(
        store,
        CVR,
        InterestArea(3, ["electricity"], square(500_000, 6_200_000), LONG_AGO),
        InterestArea(1, ["gas"], square(500_050, 6_200_050), LONG_AGO),
        InterestArea(2, ["gas"], square(600_000, 6_200_000), LONG_AGO),
    )
    areas(store, OTHER_CVR, InterestArea(9, ["water"], square(500_090, 6_200_090), LONG_AGO))
    assert hits(store, square(500_060, 6_200_060, 5)) == [InterestHit(CVR, f"Organisation {CVR}", (1, 3))]
    assert [h.numbers for h in hits(store, square(500_000, 6_200_000, 95))] == [(1, 3), (9,)]
    assert hits(store, square(700_000, 6_200_000)) == []
    with store.read() as connection:
        assert len(list_organisations(connection, owners_only=True)) == 2


def test_a_touch_counts_and_overlapping_bounds_do_not(store: Store) -> None:
    add(store, CVR)
    triangle = Polygon([(500_000, 6_200_000), (500_100, 6_200_000), (500_000, 6_200_100)])
    areas(store, CVR, InterestArea(1, [], triangle, LONG_AGO))
    assert hits(store, square(500_090, 6_200_090, 5)) == []
    assert len(hits(store, square(500_050, 6_200_050, 5))) == 1  # its corner lies on the hypotenuse


def test_an_area_is_in_force_from_its_first_to_before_its_last_moment(store: Store) -> None:
    add(store, CVR)
    place = square(500_000, 6_200_000)
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    areas(store, CVR, InterestArea(1, [], place, begin, end))
    for at, found in [
        (begin - timedelta(seconds=1), 0),
        (begin, 1),
        (end - timedelta(seconds=1), 1),
        (end, 0),
    ]:
        assert len(hits(store, place, at)) == found


def test_setting_areas_replaces_those_of_the_owner_only(store: Store) -> None:
    add(store, CVR, OTHER_CVR)
    place = square(500_000, 6_200_000)
    areas(store, CVR, InterestArea(1, [], place, LONG_AGO))
    areas(store, OTHER_CVR, InterestArea(2, [], place, LONG_AGO))
    areas(store, CVR, InterestArea(3, [], place, LONG_AGO))
    assert sorted(h.numbers for h in hits(store, place)) == [(2,), (3,)]
    areas(store, CVR)
    assert [h.numbers for h in hits(store, place)] == [(2,)]


def test_a_number_belongs_to_one_area(store: Store) -> None:
    add(store, CVR, OTHER_CVR)
    area = InterestArea(1, [], square(500_000, 6_200_000), LONG_AGO)
    areas(store, CVR, area)
    with pytest.raises(Conflict):
        areas(store, OTHER_CVR, area)
    with pytest.raises(Conflict):
        areas(store, CVR, area, area)
    with pytest.raises(NotFound):
        areas(store, REAL_CVR[2], area)


@pytest.mark.parametrize(
    "polygon",
    [
        Polygon(),
        shapely.Point(500_000, 6_200_000),
        Polygon([(0, 0), (1, 0), (0, 1)]),
        Polygon([(6_200_000, 500_000), (6_200_100, 500_000), (6_200_000, 500_100)]),
        Polygon([(500_000, 6_200_000), (500_100, 6_200_100), (500_100, 6_200_000), (500_000, 6_200_100)]),
    ],
    ids=["empty", "point", "abroad", "swapped axes", "crossing itself"],
)
def test_a_polygon_that_cannot_be_an_area_is_refused(store: Store, polygon: Any) -> None:
    add(store, CVR)
    with pytest.raises(InvalidGeometry):
        areas(store, CVR, InterestArea(1, [], polygon, LONG_AGO))


def test_periods_must_be_aware_and_forward(store: Store) -> None:
    add(store, CVR)
    place = square(500_000, 6_200_000)
    for begin, end in [(NOW, NOW - timedelta(days=1)), (NOW.replace(tzinfo=None), None)]:
        with pytest.raises(InvalidInput):
            areas(store, CVR, InterestArea(1, [], place, begin, end))
    with pytest.raises(InvalidInput):
        hits(store, place, NOW.replace(tzinfo=None))


def test_many_areas_give_what_a_plain_search_gives(store: Store) -> None:
    add(store, CVR)
    chance = random.Random(7)
    made = []
    for number in range(1, 400):
        place = shapely.Point(chance.uniform(500_000, 520_000), chance.uniform(6_200_000, 6_220_000))
        made.append(InterestArea(number, [], place.buffer(chance.uniform(50, 3000), quad_segs=2), LONG_AGO))
    areas(store, CVR, *made)
    polygons = np.array([area.polygon for area in made])
    for _ in range(20):
        probe = shapely.Point(chance.uniform(500_000, 520_000), chance.uniform(6_200_000, 6_220_000)).buffer(
            200
        )
        expected = tuple((np.flatnonzero(shapely.intersects(probe, polygons)) + 1).tolist())
        assert hits(store, probe) == ([InterestHit(CVR, f"Organisation {CVR}", expected)] if expected else [])


def test_areas_are_stored_as_plain_polygons(store: Store) -> None:
    add(store, CVR)
    with_heights = shapely.force_3d(square(500_000, 6_200_000), 12.0)
    areas(store, CVR, InterestArea(1, ["gas"], with_heights, LONG_AGO))
    with store.read() as connection:
        row = connection.execute(sa.select(interest_areas)).one()
    assert shapely.from_wkb(row.polygon).equals(square(500_000, 6_200_000))
    assert not shapely.from_wkb(row.polygon).has_z
    assert row.supply_types == '["gas"]'
