"""LER's system-to-system interface: existing clients work, every code is caused, and attacks are refused."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import shapely
import sqlalchemy as sa
import uvicorn
from damage_example import DAMAGE
from ler_client import ENVELOPE, LerClient, encoded
from lxml import etree
from test_flow_enquiry import work_off

from geoinfra.access import Role
from geoinfra.flows.ler_exchange import Exchange, begin_exchange
from geoinfra.standards import standards_path
from geoinfra.storage import Store, open_store, organisations, schema
from geoinfra.storage.organisations import InterestArea
from geoinfra.utilities.formats import ler
from geoinfra.utilities.formats.request import read_request
from geoinfra.utilities.ler_api import PARALLEL_CALLS, Refusal, error_codes, ler_id, number_of
from geoinfra.utilities.model import AnswerHeader, FeatureRows, ResponseType
from services.app import create_app
from services.ler.identity import cvr_of_subject
from services.settings import Settings

pytestmark = pytest.mark.services

OWNER, OTHER_OWNER, DIGGER, OTHER_DIGGER, ROLELESS = (
    "10000068",
    "10000076",
    "10000009",
    "10000041",
    "10000025",
)
EAST, NORTH = 721900.0, 6178800.0
AREA = shapely.box(EAST - 500, NORTH - 500, EAST + 1000, NORTH + 1000)
RIGHT_HALF = shapely.box(EAST + 50, NORTH - 500, EAST + 1000, NORTH + 1000)
SINCE = datetime(2000, 1, 1, tzinfo=UTC)
TODAY = date.today()  # noqa: DTZ011  # a day without zone


def stocked(store: Store) -> dict[str, str]:
    """Record two owners and two excavators; return their tokens by name."""
    roles = {
        "owner": (OWNER, Role.OWNER),
        "other-owner": (OTHER_OWNER, Role.OWNER),
        "digger": (DIGGER, Role.EXCAVATOR),
        "other-digger": (OTHER_DIGGER, Role.EXCAVATOR),
        "planner": (ROLELESS, Role.PLANNER),
    }
    tokens = {}
    with store.begin() as tx:
        for name, (cvr, role) in roles.items():
            organisations.add_organisation(tx, cvr, f"Firma {name}")
            tokens[name] = organisations.create_token(tx, cvr, [role], name, timedelta(hours=2))[1]
        organisations.set_interest_areas(tx, OWNER, [InterestArea(29, ("electricity",), AREA, SINCE)])
        organisations.set_interest_areas(
            tx,
            OTHER_OWNER,
            [
                InterestArea(33, ("water",), RIGHT_HALF, SINCE),
                InterestArea(34, ("sewer",), RIGHT_HALF, SINCE),
            ],
        )
        tx.commit()
    return tokens


@contextmanager
def serving(store: Store, **changes: Any) -> Iterator[tuple[str, Any]]:
    """Run the whole application on a free port; gives its address and the application."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        settings = Settings(data_dir=store.data_dir, public_url=url, **changes)
        app = create_app(settings, store)
        config = uvicorn.Config(app, log_level="error", lifespan="off", proxy_headers=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield url, app
        finally:
            server.should_exit = True
            thread.join()


class World:
    """A served store with clients by name."""

    def __init__(self, store: Store, url: str, app: Any, tokens: dict[str, str]) -> None:
        self.store, self.url, self.app, self.tokens = store, url, app, tokens

    def __getitem__(self, name: str) -> LerClient:
        return LerClient(self.url, self.tokens[name])

    def filed(self, gml: bytes | None = None) -> int:
        """File an enquiry that concerns one owner, have its first package made, and return its id."""
        body = {"Gmlbase64data": encoded(gml or request_gml())}
        data = self["digger"].done("POST", "/api/v1/graveforespoergsel", body)
        work_off(self.store)
        return int(data["GraveforespoergselsNr"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    store = open_store(tmp_path_factory.mktemp("ler"))
    tokens = stocked(store)
    with serving(store, ler_proxies="127.0.0.1", ler_subject_header="X-Subject") as (url, app):
        yield World(store, url, app, tokens)
    store.close()


SQUARE = "{0},{1} {2},{1} {2},{3} {0},{3} {0},{1}"


def square(east: float = EAST, north: float = NORTH, side: float = 40) -> str:
    return SQUARE.format(east, north, east + side, north + side)


def polygon_xml(coordinates: str) -> str:
    return (
        '<gml:Polygon srsName="EPSG:25832"><gml:outerBoundaryIs><gml:LinearRing><gml:coordinates>'
        f"{coordinates}</gml:coordinates></gml:LinearRing></gml:outerBoundaryIs></gml:Polygon>"
    )


def request_gml(*, geometry: str | None = None, more: str = "", **fields: str | None) -> bytes:
    """Write a request as LER takes it; a field that is None is left out."""
    values: dict[str, str | None] = {
        "fid": "1",
        "eget_ordrenummer": "123456",
        "ordrenummer_ikke_angivet": "false",
        "graveart_id": "6",
        "graveperiode_fra": (TODAY + timedelta(days=1)).isoformat(),
        "graveperiode_til": (TODAY + timedelta(days=20)).isoformat(),
        "bemaerkning": "Ny stikledning",
        "formaal_id": "99",
        "formaal_andet": "",
        "forsyningsart_id": "1,5",
        "papirformat_id": "1",
        "digitalformat_id": "2,3",
        "kontaktperson": "privat@privat.dk",
        **fields,
    }
    inner = "".join(
        f"<lergml:{name}>{text}</lergml:{name}>" for name, text in values.items() if text is not None
    )
    shape = polygon_xml(square()) if geometry is None else geometry
    held = f"<lergml:polygonProperty>{shape}</lergml:polygonProperty>" if shape != "absent" else ""
    return document_of(f"<lergml:Graveforesp>{inner}{held}</lergml:Graveforesp>", more)


def document_of(*members: str) -> bytes:
    inner = "".join(f"<gml:featureMember>{one}</gml:featureMember>" for one in members if one)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><lergml:featureCollection '
        f'xmlns:lergml="http://www.ler.dk/ler" xmlns:gml="http://www.opengis.net/gml">{inner}'
        "</lergml:featureCollection>"
    ).encode()


def second(coordinates: str) -> str:
    return (
        "<lergml:Graveforesp><lergml:polygonProperty>"
        f"{polygon_xml(coordinates)}</lergml:polygonProperty></lergml:Graveforesp>"
    )


def area_gml(*, geometry: str | None = None, **fields: str | None) -> bytes:
    values: dict[str, str | None] = {
        "fid": "1",
        "bemaerkning": "Vores net",
        "forsyningsart_id": "5",
        "ler20signed": "true",
        **fields,
    }
    inner = "".join(
        f"<lergml:{name}>{text}</lergml:{name}>" for name, text in values.items() if text is not None
    )
    shape = polygon_xml(square(side=900)) if geometry is None else geometry
    held = f"<lergml:polygonProperty>{shape}</lergml:polygonProperty>" if shape != "absent" else ""
    return document_of(f"<lergml:Indberetning>{inner}{held}</lergml:Indberetning>")


LINE = {
    "driftsstatus": "i drift",
    "etableringstidspunkt": "2004",
    "fareklasse": "farlig",
    "indtegningsmetode": "nøjagtigt",
    "registreringFra": "2020-01-01T10:00:00",
    "noejagtighedsklasse": "<= 0.25 m",
    "noejagtighedsklasseVertikal": {"nil": True},
    "spaendingsniveau": {"value": 10, "uom": "kV"},
    "type": "forsyningskabel",
}


def svar(
    owner: str = OWNER,
    *,
    kind: ResponseType = ResponseType.DELIVERED,
    ids: tuple[str, ...] = ("el.1",),
    east: float = EAST,
    **changes: Any,
) -> bytes:
    """Write an owner's answer in its zip."""
    rows = FeatureRows(owner_cvr=owner)
    for number, name in enumerate(ids):
        shape = shapely.LineString([(east + number % 9, NORTH), (east + number % 9 + 30, NORTH + 30)])
        rows.add("Elledning", name, {**LINE, **changes}, geometry=shape)
    info = "Sikret anlæg" if kind is ResponseType.WITHHELD else None
    header = AnswerHeader(str(uuid.uuid4()), kind, TODAY + timedelta(days=60), supplementary_info=info)
    target, packed = io.BytesIO(), io.BytesIO()
    ler.write_answer(target, header, [rows.batch()] if ids else [])
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("svar.gml", target.getvalue())
    return packed.getvalue()


def answered(client: LerClient, number: int, area: int, content: bytes, **more: Any) -> dict[str, Any]:
    path = f"/api/v3/graveforespoergselSvar/{number}"
    return client.call("POST", path, {"base64data": encoded(content)}, indberetningsNr=area, **more)


# --- The whole life


def test_the_whole_life_of_an_enquiry_by_a_client_that_knows_only_the_description(store: Store) -> None:
    tokens = stocked(store)
    with serving(store) as (url, _):
        digger, owner = LerClient(url, tokens["digger"]), LerClient(url, tokens["owner"])
        filed = digger.done("POST", "/api/v1/graveforespoergsel", {"Gmlbase64data": encoded(request_gml())})
        number = filed["Id"]
        work_off(store)
        status = digger.done("GET", f"/api/v1/ledningspakkeStatus/{number}")
        assert status["Status"] == "Afventer ledningsejer"
        assert status["ManglendeLedningsejere"] == [{"Cvr": OWNER, "Navn": "Firma owner"}]

        asked = owner.done("GET", "/api/v4/anmodning")
        assert asked["RykkerList"] == []
        (one,) = asked["AnmodningList"]
        assert one["LedningsejerCvr"] == OWNER
        assert one["Graveforespoergsel"]["GraveforespoergselsNr"] == number
        assert one["Graveforespoergsel"]["EgetOrdrenummer"] == "123456"
        area = one["Interesseomraade"]["IndberetningsNr"]
        assert area == 29
        request = read_request(io.BytesIO(base64.b64decode(one["Graveforespoergsel"]["GeografiskData"])))
        assert shapely.equals(
            shapely.from_wkb(request.polygon), shapely.box(EAST, NORTH, EAST + 40, NORTH + 40)
        )
        assert (request.own_number, request.supplies) == ("123456", ("1", "5"))
        common = [shapely.from_wkt(text) for text in one["FaellesGeometri"]]
        assert shapely.union_all(common).area == pytest.approx(1600)
        assert owner.done("GET", f"/api/v4/Anmodning/{number}/", indberetningsNr=area) == one
        assert owner.done("POST", f"/api/v4/anmodningModtaget/{number}", indberetningsNr=area) is None
        assert owner.done("GET", "/api/v4/anmodning")["AnmodningList"] == []

        reply = answered(owner, number, area, svar())
        assert reply["Data"]["AntalObjekter"] == 1
        assert reply["Forretningskvittering"]
        work_off(store)
        (listed,) = digger.done("GET", "/api/v1/ledningspakkeStatus/")["LedningspakkeStatusList"]
        assert (listed["GraveforespoergselsNr"], listed["Status"]) == (number, "Komplet")
        package = digger.done("GET", f"/api/v1/ledningspakke/{number}")
        assert package["contenttype"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(package["base64data"]))) as archive:
            assert {"consolidated.gml", "LedningsejerStatusListe.xml"} <= set(archive.namelist())
            assert archive.read("consolidated.gml").count(b"<ler:Elledning ") == 1
        assert digger.done("POST", f"/api/v1/ledningspakkeModtaget/{number}") is None
        assert digger.done("GET", "/api/v1/ledningspakkeStatus")["LedningspakkeStatusList"] == []
        assert digger.code("POST", f"/api/v1/ledningspakkeModtaget/{number}") == "26-500"

        late = answered(owner, number, area, svar(ids=("el.1", "el.2")), isOpdatering="true")
        assert late["Data"]["AntalObjekter"] == 2
        work_off(store)
        (listed,) = digger.done("GET", "/api/v1/ledningspakkeStatus")["LedningspakkeStatusList"]
        assert listed["Kvitteret"] is None, "a package with a corrected answer is told again"


def test_an_owner_with_two_interest_areas_answers_each_and_nothing_of_either_is_lost(world: World) -> None:
    owner, place = world["other-owner"], EAST + 200
    number = world.filed(request_gml(geometry=polygon_xml(square(place))))
    mine = [
        one
        for one in owner.done("GET", "/api/v4/anmodning")["AnmodningList"]
        if one["Graveforespoergsel"]["GraveforespoergselsNr"] == number
    ]
    assert [one["Interesseomraade"]["IndberetningsNr"] for one in mine] == [33, 34]
    owner.done("POST", f"/api/v4/anmodningModtaget/{number}", indberetningsNr=33)
    only = owner.done("GET", "/api/v4/anmodning", interesseomraadenumre="33,34")["AnmodningList"]
    assert [one["Interesseomraade"]["IndberetningsNr"] for one in only] == [34]
    assert owner.done("GET", "/api/v4/anmodning", interesseomraadenumre="33")["AnmodningList"] == []

    first = answered(owner, number, 33, svar(OTHER_OWNER, ids=("v.1", "shared"), east=place))
    assert first["Data"]["Status"] == "Ikke leveret"
    again = answered(owner, number, 33, svar(OTHER_OWNER, ids=("v.1",), east=place))
    assert again["Error"]["ErrorCode"] == "13-310"
    clash = answered(owner, number, 34, svar(OTHER_OWNER, ids=("shared",), east=place))
    assert clash["Error"]["ErrorCode"] == "13-300"
    assert "LER-PARTS-APART" in clash["Error"]["PrettyErrorMessage"]
    both = answered(owner, number, 34, svar(OTHER_OWNER, ids=("s.1", "s.2", "s.3"), east=place))
    assert both["Error"] is None, both
    assert both["Data"]["AntalObjekter"] == 5
    work_off(world.store)
    package = world["digger"].done("GET", f"/api/v1/ledningspakke/{number}")["base64data"]
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(package))) as archive:
        found = set(re.findall(rb'gml:id="c10000076\.([a-z.0-9]+)"', archive.read("consolidated.gml")))
    assert {b"v.1", b"shared", b"s.1", b"s.2", b"s.3"} <= found
    back = answered(
        owner, number, 34, svar(OTHER_OWNER, kind=ResponseType.MANUAL, ids=()), isOpdatering="true"
    )
    assert back["Error"]["ErrorCode"] == "13-300"
    less = answered(
        owner, number, 34, svar(OTHER_OWNER, kind=ResponseType.WITHHELD, ids=()), isOpdatering="true"
    )
    assert less["Data"]["AntalObjekter"] == 2


def test_the_same_request_id_gives_the_stored_response_and_nothing_is_done_twice(world: World) -> None:
    digger, body = world["digger"], {"Gmlbase64data": encoded(request_gml())}
    first_id, second_id = str(uuid.uuid4()), str(uuid.uuid4())
    path = "/api/v1/graveforespoergsel"
    first = digger.call("POST", path, body, request_id=first_id)
    assert digger.call("POST", path, body, request_id=first_id) == first
    other = {"Gmlbase64data": encoded(request_gml(bemaerkning="Noget andet"))}
    refused = digger.call("POST", path, other, request_id=first_id)
    assert refused["Error"]["ErrorCode"] == "00-300"
    assert "requestId" in refused["Error"]["PrettyErrorMessage"]
    wrong = {"Gmlbase64data": encoded(request_gml(bemaerkning=None))}
    fault = digger.call("POST", path, wrong, request_id=second_id)
    assert fault["Error"]["ErrorCode"] == "19-470"
    assert digger.call("POST", path, wrong, request_id=second_id) == fault
    stranger = world["other-digger"].call("POST", path, body, request_id=first_id)
    assert stranger["Data"] != first["Data"]
    assert stranger["Error"] is None
    listed = digger.call("GET", "/api/v1/ledningspakkeStatus", request_id=str(uuid.uuid4()).upper())
    assert listed["RequestId"] == listed["RequestId"].lower()


@pytest.mark.parametrize("call", ["ledningspakke", "ledningspakkeKortviser"])
def test_a_request_id_opens_no_package_that_is_archived_or_of_before_a_correction(
    world: World, call: str
) -> None:
    number, request_id = world.filed(), str(uuid.uuid4())
    answered(world["owner"], number, 29, svar(ids=("el.vrangt",)))
    work_off(world.store)
    digger, path = world["digger"], f"/api/v1/{call}/{number}"

    def lines() -> bytes:
        content = digger.call("GET", path, request_id=request_id)["Data"]["base64data"]
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(content))) as archive:
            return archive.read("consolidated.gml")

    assert b"el.vrangt" in lines()
    assert b"el.vrangt" in lines()
    assert answered(world["owner"], number, 29, svar(ids=("el.ret",)), isOpdatering="true")["Error"] is None
    work_off(world.store)
    assert b"el.ret" in lines()
    assert b"el.vrangt" not in lines()
    with world.store.begin() as tx:
        ours = schema.enquiries.c.number == number_of(str(number))
        tx.execute(sa.update(schema.enquiries).where(ours).values(valid_to="2020-01-01T00:00:00.000Z"))
        tx.commit()
    assert digger.code("GET", path, request_id=request_id) == "16-410"


def test_what_a_reading_call_gave_is_not_kept(world: World) -> None:
    """A list of requests names the filer's people; a response that lies about may outlive its enquiry."""
    world.filed()
    request_id, table = str(uuid.uuid4()), schema.exchanges.c
    assert world["owner"].call("GET", "/api/v4/anmodning", request_id=request_id)["Data"]["AnmodningList"]
    with world.store.read() as connection:
        kept = str(connection.scalar(sa.select(table.response).where(table.request_id == request_id)))
    assert json.loads(kept) == {"again": True}


def test_a_large_response_to_a_reading_call_is_read_again_and_not_kept(world: World) -> None:
    number, request_id = world.filed(), str(uuid.uuid4())
    answered(world["owner"], number, 29, svar(ids=tuple(f"el.{uuid.uuid4()}" for _ in range(2500))))
    work_off(world.store)
    path = f"/api/v1/ledningspakke/{number}"
    first = world["digger"].call("GET", path, request_id=request_id)
    assert len(first["Data"]["base64data"]) > 64 * 1024
    assert world["digger"].call("GET", path, request_id=request_id)["Data"] == first["Data"]
    with world.store.read() as connection:
        table = schema.exchanges.c
        kept = connection.scalar(sa.select(table.response).where(table.request_id == request_id))
    assert json.loads(kept) == {"again": True}


def test_every_request_of_the_published_collection_is_answered_in_the_envelope(
    world: World, reference: Path
) -> None:
    folder = reference / "ler/api"
    collection = json.loads((folder / "ler_servicegateway.postman_collection.json").read_text("utf-8"))
    environment = json.loads((folder / "extest.postman_environment.json").read_text("utf-8"))
    hosts = {entry["key"]: world.url for entry in environment["values"]}
    names = []
    for item in collection["item"]:
        request, url = item["request"], item["request"]["url"]
        raw = url["raw"] if isinstance(url, dict) else url
        raw = re.sub(r"\{\{\$guid\}\}", lambda _: str(uuid.uuid4()), raw)
        raw = re.sub(r"\{\{(\w+)\}\}", lambda found: hosts[found[1]], raw)
        body = request.get("body", {}).get("raw")
        sent = None if request["method"] == "GET" else (body or "").encode()
        answers = [
            world[who].send(request["method"], raw.removeprefix(world.url), sent)
            for who in ("owner", "digger")
        ]
        assert {code for one in answers if one["Error"] for code in [one["Error"]["ErrorCode"]]} <= set(
            error_codes()
        )
        assert not any(one["StatusCode"] >= 500 for one in answers), item["name"]
        names.append(item["name"])
    assert len(names) == 15


def test_the_published_example_is_refused_for_its_crossing_edges(world: World, reference: Path) -> None:
    gml = (reference / "ler/samples/graveforesp_request_example.gml").read_bytes()
    path, body = "/api/v1/graveforespoergsel", {"Gmlbase64data": encoded(gml)}
    assert world["digger"].code("POST", path, body) == "19-370"
    mended = re.sub(rb"<gml:coordinates>[^<]*", f"<gml:coordinates>{square()}".encode(), gml)
    assert world["digger"].code("POST", path, {"Gmlbase64data": encoded(mended)}) == "19-350"
    for name, day in (("fra", TODAY), ("til", TODAY + timedelta(days=9))):
        tag = f"lergml:graveperiode_{name}>".encode()
        mended = re.sub(tag + rb"[0-9-]+<", tag + day.isoformat().encode() + b"<", mended)
    assert world["digger"].done("POST", path, {"Gmlbase64data": encoded(mended)})["Id"] > 2026000000


# --- The codes


def test_the_codes_are_those_of_the_published_list(reference: Path) -> None:
    published = json.loads((reference / "ler/api/errorcodes.json").read_text("utf-8"))
    assert set(error_codes()) == {entry["StatusCode"] for entry in published}
    words = {entry["ErrorMessage"] for entry in published}
    copied = {one.da for one in error_codes().values() if one.da in words and len(one.da) > 40}
    assert copied == set()


def test_the_codes_can_be_read_by_everybody(world: World) -> None:
    nobody = LerClient(world.url)
    listed = nobody.send("GET", "/api/errorcodes")["Data"]
    assert {one["StatusCode"] for one in listed} == set(error_codes())
    assert nobody.send("GET", "/api/v1/ErrorCodes/19-370")["Data"]["StatusCode"] == "19-370"
    assert nobody.send("GET", "/api/errorcodes/99-999")["Error"]["ErrorCode"] == "00-300"
    assert nobody.send("GET", "/api/BasicTest")["StatusCode"] == 200
    assert nobody.send("GET", "/api/SecureTest")["Error"]["ErrorCode"] == "00-300"
    assert world["owner"].send("GET", "/api/secureTest")["StatusCode"] == 200


BOW_TIE = f"{EAST},{NORTH} {EAST + 40},{NORTH + 40} {EAST + 40},{NORTH} {EAST},{NORTH + 40} {EAST},{NORTH}"
MULTI = f"<gml:MultiPolygon><gml:polygonMember>{polygon_xml(square())}</gml:polygonMember></gml:MultiPolygon>"
POINT = "<gml:Point><gml:coordinates>1,1</gml:coordinates></gml:Point>"
CROSSING = polygon_xml(BOW_TIE)
WIDE = square(side=400)

REQUESTS: list[tuple[str, bytes]] = [
    ("19-300", b"no xml"),
    ("19-300", document_of()),
    ("19-300", request_gml(graveart_id="77")),
    ("19-300", request_gml(graveart_id="99")),
    ("19-310", request_gml(bemaerkning="x" * 101)),
    ("19-320", request_gml(graveperiode_fra="24-12-2026")),
    ("19-330", request_gml(graveperiode_til="2026-02-30")),
    ("19-340", request_gml(graveperiode_fra="2020-01-01")),
    ("19-350", request_gml(graveperiode_fra="2020-01-01", graveperiode_til="2020-02-01")),
    ("19-360", request_gml(graveperiode_til=TODAY.isoformat())),
    ("19-370", request_gml(geometry=CROSSING)),
    ("19-370", request_gml(geometry=polygon_xml(square(side=900)))),
    ("19-375", request_gml(geometry=POINT)),
    ("19-380", request_gml(geometry="absent")),
    ("19-380", request_gml(geometry="")),
    ("19-385", request_gml(geometry=polygon_xml("1,2 a,b 3,4 1,2"))),
    ("19-385", request_gml(geometry=polygon_xml("1,2 3,4 5,6 1,2"))),
    ("19-385", request_gml(geometry=polygon_xml(square().replace(f"{EAST}", "NaN")))),
    ("19-390", request_gml(more=second(square(EAST + 100)))),
    ("19-391", request_gml(geometry=polygon_xml(WIDE), more=second(square(EAST + 300, side=400)))),
    ("19-392", request_gml(more=second(square(EAST + 40, NORTH + 40)))),
    ("19-393", request_gml(more="".join(second(square()) for _ in range(500)))),
    ("19-395", request_gml(geometry=MULTI)),
    ("19-400", request_gml(forsyningsart_id=None)),
    ("19-410", request_gml(forsyningsart_id="77")),
    ("19-410", request_gml(forsyningsart_id="99")),
    ("19-420", request_gml(formaal_id=None)),
    ("19-430", request_gml(formaal_id="gas")),
    ("19-440", request_gml(formaal_id="1,2")),
    ("19-465", request_gml(papirformat_id="1,2")),
    ("19-470", request_gml(bemaerkning=None)),
    ("19-480", request_gml(bemaerkning=" ")),
    ("19-490", request_gml(kontaktperson=None)),
    ("19-500", request_gml(kontaktperson="")),
    ("19-510", request_gml(kontaktperson="Karen")),
    ("19-520", request_gml(kontaktperson=None, kontaktadresse="Vej 1")),
    ("19-530", request_gml(ordrenummer_ikke_angivet=None)),
    ("19-540", request_gml(ordrenummer_ikke_angivet="true")),
    ("19-550", request_gml(eget_ordrenummer=None)),
    ("19-560", request_gml(eget_ordrenummer="1234567890123")),
    ("00-391", request_gml(kontaktadresse="a@b.dk")),
    ("00-400", request_gml(kontaktperson=f"{'a' * 50}@b.dk")),
    ("00-410", request_gml(kontaktperson=None, kontaktadresse=f"{'a' * 50}@b.dk")),
]
LINE_SHAPE = "<gml:LineString><gml:coordinates>1,1 2,2</gml:coordinates></gml:LineString>"
AREAS: list[tuple[str, bytes, dict[str, Any]]] = [
    ("27-300", b"<a/>", {}),
    ("27-310", area_gml(ler20signed="false"), {}),
    ("27-320", area_gml(kontaktadresse="Vej 1"), {}),
    ("27-321", area_gml(kontaktperson=""), {}),
    ("27-330", area_gml(kontaktperson="Karen"), {}),
    ("27-340", area_gml(bemaerkning=None), {}),
    ("27-350", area_gml(bemaerkning="x" * 4001), {}),
    ("27-360", area_gml(geometry=CROSSING), {}),
    ("27-370", area_gml(geometry=LINE_SHAPE), {}),
    ("27-380", area_gml(forsyningsart_id="77"), {}),
    ("27-381", area_gml(forsyningsart_andet="Damp"), {}),
    ("27-382", area_gml(forsyningsart_id=None), {}),
    ("27-383", area_gml(forsyningsart_id="99"), {}),
    ("27-384", area_gml(forsyningsart_id="99", forsyningsart_andet="x" * 51), {}),
    ("27-390", area_gml(kontaktperson="a@b.dk", kontaktadresse="a@b.dk"), {}),
    ("27-400", area_gml(), {"indberetningsNr": 999}),
    ("27-410", area_gml(), {"indberetningsNr": 33}),
    ("27-430", area_gml(ler20signed=None), {}),
    ("27-431", area_gml(ler2signed="true"), {}),
    ("27-432", area_gml(ler20signed="maybe"), {}),
    ("27-440", area_gml(geometry="absent"), {}),
    ("27-441", area_gml(geometry=""), {}),
]
OTHERWISE = {
    *("00-200", "00-210", "00-220", "00-240", "00-260", "00-261", "00-300", "00-310", "00-530", "00-540"),
    *("13-300", "13-310", "16-400", "16-410", "18-300", "24-400", "26-500", "27-420"),
}
"""Codes that the tests below, and those above, cause."""


def test_every_code_that_a_client_can_cause_is_caused_here() -> None:
    caused = {code for code, _ in REQUESTS} | {code for code, _, _ in AREAS} | OTHERWISE
    document = json.loads(standards_path("ler-api", "errorcodes.json").read_bytes())
    wanted = {row["code"] for row in document["codes"] if row["cause"] == "client" and "-" in row["code"]}
    assert caused == wanted


@pytest.mark.parametrize(("code", "gml"), REQUESTS, ids=[f"{i}:{c}" for i, (c, _) in enumerate(REQUESTS)])
def test_a_faulty_request_has_its_code(world: World, code: str, gml: bytes) -> None:
    body = {"Gmlbase64data": encoded(gml)}
    answer = world["digger"].call("POST", "/api/v1/graveforespoergsel", body)
    assert answer["Error"], answer
    assert answer["Error"]["ErrorCode"] == code, answer["Error"]
    assert answer["Error"]["PrettyErrorMessage"].startswith(error_codes()[code].da)


@pytest.mark.parametrize(("code", "gml", "more"), AREAS, ids=[code for code, _, _ in AREAS])
def test_a_faulty_interest_area_has_its_code(
    world: World, code: str, gml: bytes, more: dict[str, Any]
) -> None:
    body = {"Gmlbase64data": encoded(gml)}
    assert world["owner"].code("POST", "/api/v1/interesseomraade", body, **more) == code


def test_an_interest_area_waits_for_review_and_can_be_changed(world: World) -> None:
    owner, body = world["owner"], {"Gmlbase64data": encoded(area_gml())}
    number = owner.done("POST", "/api/v1/interesseomraade/", body)["IndberetningsNr"]
    assert owner.code("POST", "/api/v1/interesseomraade", body, indberetningsNr=number) == "27-420"
    changed = {"Gmlbase64data": encoded(area_gml(forsyningsart_id="5,7", kontaktperson="a@b.dk"))}
    owner.done("POST", "/api/v1/interesseomraade", changed, indberetningsNr=number)
    with world.store.read() as connection:
        table = schema.interest_areas
        row = connection.execute(sa.select(table).where(table.c.number == number)).one()
    assert (row.owner_cvr, row.state) == (OWNER, "review")
    assert json.loads(row.supply_types) == ["electricity", "gas"]


def test_a_live_interest_area_stays_live_while_its_change_waits(world: World) -> None:
    owner, body = world["owner"], {"Gmlbase64data": encoded(area_gml(forsyningsart_id="5,8"))}
    path, table = "/api/v1/interesseomraade", schema.interest_areas
    number = owner.done("POST", path, body, indberetningsNr=29)["IndberetningsNr"]
    assert number == 29  # the owner's number of his area does not change
    with world.store.read() as connection:
        live = connection.execute(sa.select(table).where(table.c.number == 29)).one()
    assert live.state == "live"
    assert shapely.equals(shapely.from_wkb(live.polygon), AREA)
    assert json.loads(live.proposal)["supply_types"] == ["electricity", "sewer"]
    assert owner.code("POST", path, body, indberetningsNr=29) == "27-420"


@pytest.mark.parametrize(
    "changes",
    [
        {"xKoordinat": "1,5"},
        {"xKoordinat": "nan"},
        {"yKoordinat": "1"},
        {"projektion": "EPSG:4326"},
        {"skadevolderType": "3"},
        {"skadevolderCvr": "123", "skadevolderType": "0"},
        {"skadesDato": "2019-09-12"},
        {"skadesDato": "31-12-2099"},
        {"skadesDatoUkendt": "måske"},
        {"forsyningsart": "77"},
        {"forsyningsart": "99"},
        {"bemaerkning": "x" * 4001},
        {"omfangFunktionsevne": "mange"},
        {"aarsag": "a"},
        {"ukendt": "x"},
        {"aarsag": {"a": 1}},
    ],
    ids=str,
)
def test_a_faulty_damage_report_is_refused(world: World, changes: dict[str, Any]) -> None:
    assert world["owner"].code("POST", "/api/v1/graveskade", {**DAMAGE, **changes}) == "18-300"


def test_a_damage_is_stored(world: World) -> None:
    data = world["owner"].done("POST", "/api/v1/Graveskade/", DAMAGE)
    with world.store.read() as connection:
        table = schema.damages
        row = connection.execute(sa.select(table).where(table.c.damage_id == data["GraveskadeId"])).one()
    assert (row.organisation, row.year) == (OWNER, 2019)


def test_an_answer_that_breaks_a_rule_names_it_and_may_be_sent_again(world: World) -> None:
    owner, number = world["owner"], world.filed()
    late = answered(owner, number, 29, svar(), isOpdatering="true")
    assert late["Error"]["ErrorCode"] == "13-310"
    assert "UtilityPackageErroneouslyMarkedAsUpdate" in late["Error"]["PrettyErrorMessage"]
    bad = answered(
        owner, number, 29, svar(noejagtighedsklasse={"nil": True}, etableringstidspunkt="2025-01-01")
    )
    assert bad["Error"]["ErrorCode"] == "13-300"
    told = bad["Error"]["PrettyErrorMessage"]
    assert "LedningNoejagtighedsklasseVoidRestriktionRule: " in told
    assert "gml:id el.1" in told
    assert answered(owner, number, 29, b"nothing")["Error"]["ErrorCode"] == "13-300"
    assert answered(owner, number, 29, svar())["Error"] is None
    twice = answered(owner, number, 29, svar())
    assert twice["Error"]["ErrorCode"] == "13-310"
    assert "UtilityPackageAlreadyDelivered" in twice["Error"]["PrettyErrorMessage"]
    assert answered(owner, number, 29, svar(), isOpdatering="true")["Error"] is None


def test_a_case_taken_out_is_no_longer_listed_and_may_be_answered(world: World) -> None:
    owner, number = world["owner"], world.filed()
    manual = answered(owner, number, 29, svar(kind=ResponseType.MANUAL, ids=()))
    assert manual["Data"]["Status"] == "Udtaget til manuel behandling"
    listed = owner.done("GET", "/api/v4/anmodning")["AnmodningList"]
    assert number not in [one["Graveforespoergsel"]["GraveforespoergselsNr"] for one in listed]
    assert answered(owner, number, 29, svar())["Data"]["AntalObjekter"] == 1
    back = answered(owner, number, 29, svar(kind=ResponseType.MANUAL, ids=()), isOpdatering="true")
    assert back["Error"]["ErrorCode"] == "13-300"
    assert "kan ikke længere udtages til manuel behandling" in back["Error"]["PrettyErrorMessage"]


def test_what_is_overdue_is_in_the_list_of_reminders_although_it_was_acknowledged(world: World) -> None:
    owner, number = world["owner"], world.filed()
    owner.done("POST", f"/api/v4/anmodningModtaget/{number}", indberetningsNr=29)
    with world.store.begin() as tx:
        table = schema.answers
        tx.execute(
            sa.update(table)
            .where(table.c.enquiry == number_of(str(number)))
            .values(due_at="2020-01-01T00:00:00.000Z")
        )
        tx.commit()
    lists = owner.done("GET", "/api/v4/anmodning", interesseomraadenumre="29")
    assert number in [one["Graveforespoergsel"]["GraveforespoergselsNr"] for one in lists["RykkerList"]]
    assert number not in [
        one["Graveforespoergsel"]["GraveforespoergselsNr"] for one in lists["AnmodningList"]
    ]


def test_packages_and_receipts_have_their_codes(world: World) -> None:
    digger, body = world["digger"], {"Gmlbase64data": encoded(request_gml())}
    number = digger.done("POST", "/api/v1/graveforespoergsel", body)["Id"]
    assert digger.done("GET", f"/api/v1/ledningspakkeStatus/{number}")["Status"] == "Under udarbejdelse"
    assert digger.code("GET", f"/api/v1/ledningspakke/{number}") == "16-400"
    assert digger.code("POST", f"/api/v1/ledningspakkeModtaget/{number}") == "16-400"
    work_off(world.store)
    viewed = digger.done("GET", f"/api/v1/ledningspakkeKortviser/{number}")
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(viewed["base64data"]))) as archive:
        assert len(archive.namelist()) == 3
        etree.fromstring(archive.read("consolidated.gml"))
    receipt = digger.done("GET", f"/api/v1/GraveforespoergselKvittering/{number}")
    assert receipt["contenttype"] == "application/pdf"
    assert base64.b64decode(receipt["base64data"]).startswith(b"%PDF-1.")
    assert digger.code("GET", "/api/v1/graveforespoergselKvittering/2026999999") == "24-400"
    assert digger.code("GET", "/api/v1/ledningspakkeStatus/4102") == "16-400"
    with world.store.begin() as tx:
        table = schema.enquiries
        ours = table.c.number == number_of(str(number))
        tx.execute(sa.update(table).where(ours).values(valid_to="2020-01-01T00:00:00.000Z"))
        tx.commit()
    assert digger.done("GET", f"/api/v1/ledningspakkeStatus/{number}")["Status"] == "Arkiveret"
    assert digger.code("GET", f"/api/v1/ledningspakke/{number}") == "16-410"
    refused = answered(world["owner"], number, 29, svar())["Error"]
    assert refused["ErrorCode"] == "13-300"
    assert "udløbet" in refused["PrettyErrorMessage"]
    assert "expired" not in refused["PrettyErrorMessage"]


def test_a_call_at_work_and_too_many_at_once_have_their_codes(world: World) -> None:
    digger, request_id = world["digger"], str(uuid.uuid4())
    path = "/api/v1/ledningspakkeStatus"
    digger.call("GET", path, request_id=request_id)
    table = schema.exchanges
    with world.store.begin() as tx:
        ours = table.c.request_id == request_id
        tx.execute(sa.update(table).where(ours).values(response=None))
        tx.commit()
    assert digger.code("GET", path, request_id=request_id) == "00-530"
    with world.store.begin() as tx:
        tx.execute(sa.update(table).where(ours).values(created_at=ago(minutes=20)))
        tx.commit()
    assert digger.call("GET", path, request_id=request_id)["Error"] is None, "a lost call is made anew"
    holders = [world.app.state.ler.one_more(DIGGER) for _ in range(PARALLEL_CALLS)]
    for holder in holders:
        holder.__enter__()
    assert digger.code("GET", path) == "00-540"
    assert world["other-digger"].call("GET", path)["Error"] is None
    for holder in holders:
        holder.__exit__(None, None, None)
    assert digger.call("GET", path)["Error"] is None


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_of_calls_that_begin_at_the_same_moment_one_is_done(store: Store) -> None:
    stocked(store)
    exchange = Exchange(DIGGER, str(uuid.uuid4()), "GET ledningspakkeStatus/", "0" * 64)
    begun: list[Any] = []
    ready = threading.Barrier(6)

    def begin() -> None:
        ready.wait()
        try:
            begun.append(begin_exchange(store, exchange))
        except Refusal as refused:
            begun.append(refused.code)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, begun)) == ["00-530"] * 5 + ["None"]


def test_calls_by_many_threads_with_one_request_id_are_done_once(world: World) -> None:
    request_id, body = str(uuid.uuid4()), {"Gmlbase64data": encoded(request_gml())}
    answers: list[dict[str, Any]] = []

    def call() -> None:
        answers.append(
            world["digger"].call("POST", "/api/v1/graveforespoergsel", body, request_id=request_id)
        )

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = {one["Data"]["Id"] for one in answers if one["Error"] is None}
    assert len(numbers) == 1
    assert {one["Error"]["ErrorCode"] for one in answers if one["Error"]} <= {"00-530"}


# --- Who calls


def subject(cvr: str) -> str:
    return f"CN=Firma\\, serialNumber\\=CVR:{OTHER_DIGGER},serialNumber=CVR:{cvr}-FID:12345678,O=Firma,C=DK"


def test_a_certificate_that_a_trusted_proxy_vouches_for_is_an_account(world: World) -> None:
    known = LerClient(world.url, headers={"X-Subject": subject(DIGGER)})
    body = {"Gmlbase64data": encoded(request_gml())}
    number = known.done("POST", "/api/v1/graveforespoergsel", body)["Id"]
    work_off(world.store)
    assert (
        world["digger"].done("GET", f"/api/v1/ledningspakkeStatus/{number}")["Status"]
        == "Afventer ledningsejer"
    )
    assert known.code("GET", "/api/v4/anmodning") == "00-200", "the roles are those of the tokens"
    third = {"X-Subject": f"CN=Firma,organizationIdentifier=NTRDK-{OWNER}"}
    assert LerClient(world.url, headers=third).done("GET", "/api/v4/anmodning")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (subject("10000084"), "00-220"),
        (subject(ROLELESS), "00-240"),
        ("CN=Firma,O=Firma", "00-260"),
        (subject("10000001"), "00-261"),
        (f"2.5.4.97=NTRDK-{OWNER},serialNumber=CVR:{DIGGER}-FID:1", "00-261"),
        ("not a subject", "00-300"),
        (f"/CN=x/serialNumber=CVR:{OWNER}", "00-300"),
        (f"serialNumber=CVR:{OWNER}+serialNumber=CVR:{DIGGER}", "00-261"),
        (f"serialNumber=CVR:{OWNER},{','.join(['OU=x'] * 500)},serialNumber=CVR:{DIGGER}", "00-300"),
        (f"serialNumber=CVR:{OWNER},CN=", "00-300"),
        (f"serialNumber=CVR:{OWNER}\\,serialNumber=CVR:{DIGGER}", "00-260"),
        ("serialNumber=#0c0c4356523a3130303030303638", "00-260"),
    ],
)
def test_other_certificates_are_refused(world: World, text: str, code: str) -> None:
    client = LerClient(world.url, headers={"X-Subject": text})
    assert client.code("GET", "/api/v4/anmodning") == code


def raw_code(url: str, *headers: tuple[str, str]) -> str:
    """Make one call with headers as they are given, also one twice, and return the error code."""
    ids = {"requestId": str(uuid.uuid4()), "transactionId": str(uuid.uuid4())}
    answer = httpx.get(f"{url}/api/v4/anmodning", params=ids, headers=list(headers), timeout=60).json()
    return answer["Error"]["ErrorCode"] if answer["Error"] else ""


def test_a_client_adds_nothing_to_what_the_proxy_says(world: World) -> None:
    """A second header, the same in other letters, one of the usual names, or a token that is not good."""
    good = ("X-Subject", subject(OWNER))
    assert raw_code(world.url, good) == ""
    for other in (("X-Subject", subject(OTHER_OWNER)), ("x-subject", subject(OWNER))):
        assert raw_code(world.url, good, other) == "00-300"
        assert raw_code(world.url, other, good) == "00-300"
    for name in (
        "X_Subject",
        "X-Subject-DN",
        "X-SSL-Client-S-DN",
        "X-Client-Cert",
        "X-Forwarded-Client-Cert",
    ):
        assert raw_code(world.url, (name, subject(OWNER))) == "00-300"
    assert raw_code(world.url, ("X-Subject", "")) == "00-300"
    assert raw_code(world.url, good, ("Authorization", "Bearer gi_" + "a" * 43)) == "00-200"
    assert raw_code(world.url, good, ("Authorization", "")) == "00-200"
    assert raw_code(world.url, good, ("Authorization", f"Bearer {world.tokens['digger']}")) == "00-200"


def test_a_certificate_of_another_organisation_opens_nothing_of_this_one(world: World) -> None:
    number = world.filed()
    stranger = LerClient(world.url, headers={"X-Subject": subject(OTHER_DIGGER)})
    other = LerClient(world.url, headers={"X-Subject": subject(OTHER_OWNER)})
    for call in ("ledningspakke", "ledningspakkeKortviser", "ledningspakkeStatus"):
        assert stranger.code("GET", f"/api/v1/{call}/{number}") == "16-400"
    assert stranger.code("GET", f"/api/v1/graveforespoergselKvittering/{number}") == "24-400"
    assert stranger.code("POST", f"/api/v1/ledningspakkeModtaget/{number}") == "16-400"
    assert other.code("GET", f"/api/v4/anmodning/{number}", indberetningsNr=29) == "00-200"
    assert other.code("POST", f"/api/v4/anmodningModtaget/{number}", indberetningsNr=29) == "00-200"
    assert answered(other, number, 29, svar(OTHER_OWNER))["Error"]["ErrorCode"] == "00-200"
    assert other.code("POST", "/api/v1/graveskade", {**DAMAGE, "lerNummer": str(number)}) == "18-300"
    assert other.code("POST", "/api/v1/graveskade", {**DAMAGE, "lerNummer": "2026999999"}) == "18-300"
    area = {"Gmlbase64data": encoded(area_gml())}
    assert other.code("POST", "/api/v1/interesseomraade", area, indberetningsNr=29) == "27-410"
    assert stranger.code("GET", "/api/v1/ledningspakkeStatus", tjenesteaftagerCvr=DIGGER) == "00-210"


def test_a_certificate_ends_with_the_tokens_of_its_organisation(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    stocked(store)
    with serving(store, ler_proxies="127.0.0.1", ler_subject_header="X-Subject") as (url, _):
        for column, cvr in (("expires_at", OWNER), ("revoked_at", OTHER_OWNER)):
            assert raw_code(url, ("X-Subject", subject(cvr))) == ""
            with store.begin() as tx:
                ours = schema.tokens.c.organisation == cvr
                tx.execute(sa.update(schema.tokens).where(ours).values({column: ago(minutes=1)}))
                tx.commit()
            assert raw_code(url, ("X-Subject", subject(cvr))) == "00-240"
    store.close()


def test_a_subject_counts_from_trusted_proxies_only(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    stocked(store)
    header = {"X-Subject": subject(OWNER), "X-Forwarded-For": "192.0.2.7"}
    with serving(store) as (url, _):
        assert LerClient(url, headers=header).code("GET", "/api/v4/anmodning") == "00-300"
    with serving(store, ler_proxies="192.0.2.0/24", ler_subject_header="X-Subject") as (url, _):
        assert LerClient(url, headers=header).code("GET", "/api/v4/anmodning") == "00-300"
    store.close()


def test_proxies_are_named_with_the_header_and_not_everybody_is_one() -> None:
    for wrong in (
        {"ler_proxies": "10.0.0.1"},
        {"ler_subject_header": "X-Subject"},
        {"ler_proxies": "0.0.0.0/0", "ler_subject_header": "X-Subject"},
        {"ler_proxies": "proxy", "ler_subject_header": "X-Subject"},
    ):
        with pytest.raises(ValueError, match="GEOINFRA_LER_PROXIES"):
            Settings(**wrong)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    "text",
    [
        f'CN=Robot\\, nr \\"1\\",O=\\C3\\86r\\C3\\B8\\ ,organizationIdentifier=NTRDK-{OWNER},C=DK',
        f"serialNumber=CVR:{OWNER}-FID:1234567+CN=Firma - Robot,O=Firma // CVR:10000009,C=DK",
    ],
)
def test_a_subject_as_openssl_writes_it_is_read(text: str) -> None:
    assert cvr_of_subject(text) == OWNER


@pytest.mark.parametrize(
    "text",
    [
        f"serialNumber=CVR:{OWNER}0-FID:1",
        f"serialNumber=xCVR:{OWNER}",
        f"CN=CVR:{OWNER}",
        f"OU=NTRDK-{OWNER}",
    ],
)
def test_a_cvr_number_elsewhere_in_the_subject_does_not_count(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        cvr_of_subject(text)
    assert refused.value.code == "00-260"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"tjenesteaftagerCvr": ""}, "00-260"),
        ({"tjenesteaftagerCvr": "123"}, "00-261"),
        ({"tjenesteaftagerCvr": OTHER_DIGGER}, "00-210"),
        ({"isSamfoeringsforespoergsel": "true"}, "00-310"),
        ({"isSamfoeringsforespoergsel": "maybe"}, "00-300"),
        ({"requestId": "1"}, "00-300"),
        ({"requestId": "' OR 1=1 --"}, "00-300"),
        ({"transactionId": ""}, "00-300"),
    ],
    ids=str,
)
def test_parameters_are_checked(world: World, parameters: dict[str, str], code: str) -> None:
    assert world["digger"].code("GET", "/api/v1/ledningspakkeStatus", **parameters) == code


def test_an_account_may_name_itself_and_ids_come_in_any_case(world: World) -> None:
    ids = f"REQUESTID={uuid.uuid4()}&transactionid={uuid.uuid4()}&TjenesteAftagerCvr={DIGGER}"
    answer = world["digger"].send("GET", f"/API/V12/LEDNINGSPAKKESTATUS/?{ids}")
    assert answer["Error"] is None
    missing = world["digger"].send("GET", "/api/v1/ledningspakkeStatus")
    assert missing["Error"]["ErrorCode"] == "00-300"
    assert missing["RequestId"] is None
    twice = world["digger"].send("GET", f"/api/v1/ledningspakkeStatus?{ids}&requestId={uuid.uuid4()}")
    assert twice["Error"]["ErrorCode"] == "00-300"


def test_our_own_paths_are_not_touched(world: World) -> None:
    for path in ("/api/enquiries", "/api/owners", "/api/v1/enquiries", "/api/anmodning"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(world.url + path, timeout=20)
        with refused.value:
            assert refused.value.headers["content-type"] == "application/problem+json"


# --- Attacks


def test_foreign_numbers_and_wrong_roles_are_refused_without_a_hint(world: World) -> None:
    number = world.filed()
    stranger, other = world["other-digger"], world["other-owner"]
    for call in ("ledningspakke", "ledningspakkeKortviser", "ledningspakkeStatus"):
        assert stranger.code("GET", f"/api/v1/{call}/{number}") == "16-400"
    assert stranger.code("POST", f"/api/v1/ledningspakkeModtaget/{number}") == "16-400"
    assert stranger.code("GET", f"/api/v1/graveforespoergselKvittering/{number}") == "24-400"
    assert number not in [
        one["GraveforespoergselsNr"]
        for one in stranger.done("GET", "/api/v1/ledningspakkeStatus")["LedningspakkeStatusList"]
    ]
    foreign = other.call("GET", f"/api/v4/anmodning/{number}", indberetningsNr=29)
    absent = other.call("GET", "/api/v4/anmodning/2026999999", indberetningsNr=29)
    assert foreign["Error"]["ErrorCode"] == absent["Error"]["ErrorCode"] == "00-200"
    assert foreign["Error"]["SystemErrorMessage"] == absent["Error"]["SystemErrorMessage"]
    assert world["owner"].code("GET", f"/api/v4/anmodning/{number}", indberetningsNr=33) == "00-200"
    assert other.code("POST", f"/api/v4/anmodningModtaget/{number}", indberetningsNr=29) == "00-200"
    assert answered(other, number, 29, svar())["Error"]["ErrorCode"] == "00-200"
    for client, method, path in (
        (world["digger"], "GET", "/api/v4/anmodning"),
        (world["digger"], "POST", "/api/v1/graveskade"),
        (world["digger"], "POST", "/api/v1/interesseomraade"),
        (world["owner"], "POST", "/api/v1/graveforespoergsel"),
        (world["owner"], "GET", "/api/v1/ledningspakkeStatus"),
        (world["owner"], "GET", f"/api/v1/ledningspakke/{number}"),
    ):
        gml = {"Gmlbase64data": encoded(request_gml())}
        assert client.code(method, path, gml if method == "POST" else None) == "00-200"
    assert world["planner"].code("GET", "/api/v4/anmodning") == "00-240"
    for token in ("gi_" + "a" * 43, "' OR 1=1", "x"):
        assert LerClient(world.url, token).code("GET", "/api/v4/anmodning") == "00-200"


@pytest.mark.parametrize(
    "name",
    [
        "1%27%20OR%20%271%27=%271",
        "2026-000001%00",
        "..%2F..%2Fetc",
        "%F0%9F%92%A3",
        "-1",
        "9" * 400,
        "２０２６０００００１",
    ],
)
def test_an_id_that_is_none_is_refused(world: World, name: str) -> None:
    quoted = urllib.request.quote(name, safe="%")
    assert world["digger"].code("GET", f"/api/v1/ledningspakkeStatus/{quoted}") in ("16-400", "00-300")


def zip_bomb() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("svar.gml", b"<a>" + b" " * 300_000_000)
    return target.getvalue()


ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY y "&x;&x;">]>'
    b'<lergml:featureCollection xmlns:lergml="http://www.ler.dk/ler">&y;</lergml:featureCollection>'
)


def test_hostile_content_is_refused_and_tells_nothing(world: World) -> None:
    number = world.filed()
    owner, digger = world["owner"], world["digger"]
    began = time.process_time()
    for content in (zip_bomb(), ENTITIES, b"PK\x03\x04broken", b"", b"\x00" * 1000):
        answer = answered(owner, number, 29, content)
        assert answer["Error"]["ErrorCode"] in ("13-300", "00-300")
        assert "root:" not in json.dumps(answer)
        body = {"Gmlbase64data": encoded(content)}
        assert digger.code("POST", "/api/v1/graveforespoergsel", body) in ("19-300", "00-300")
        assert owner.code("POST", "/api/v1/interesseomraade", body) in ("27-300", "00-300")
    assert time.process_time() - began < 20
    for wrong in ({"base64data": "###"}, {"base64data": 1}, {"base64data": "YQ"}, {}, [], "x", None):
        answer = owner.send(
            "POST",
            f"/api/v3/graveforespoergselSvar/{number}?indberetningsNr=29"
            f"&requestId={uuid.uuid4()}&transactionId={uuid.uuid4()}",
            json.dumps(wrong).encode(),
        )
        assert answer["Error"]["ErrorCode"] == "00-300"
    huge = {"Gmlbase64data": "A" * 3_000_000}
    assert digger.code("POST", "/api/v1/graveforespoergsel", huge) == "00-300"
    large = {"base64data": "A" * (45 * 1024 * 1024)}
    path = f"/api/v3/graveforespoergselSvar/{number}"
    assert owner.code("POST", path, large, indberetningsNr=29) == "00-300"


@pytest.mark.parametrize("area", ["", "0", "-29", "29;DROP", "99999999999", "２９", "1e1"])
def test_a_wrong_area_number_is_refused(world: World, area: str) -> None:
    assert world["owner"].code("GET", "/api/v4/anmodning/2026000001", indberetningsNr=area) == "00-300"
    assert world["owner"].code("GET", "/api/v4/anmodning", interesseomraadenumre=area) == "00-300"


def test_a_fault_of_ours_tells_nothing_and_is_not_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id, path = str(uuid.uuid4()), "/api/v1/ledningspakkeStatus"

    def broken(*_: object) -> None:
        raise RuntimeError("secret-of-the-server")

    with monkeypatch.context() as patched:
        patched.setattr("geoinfra.flows.ler_exchange.package_rows", broken)
        answer = world["digger"].call("GET", path, request_id=request_id)
    assert (answer["Error"]["ErrorCode"], answer["StatusCode"]) == ("00-100", 500)
    assert "secret" not in json.dumps(answer)
    assert world["digger"].call("GET", path, request_id=request_id)["Error"] is None


def test_numbers_and_ids_are_two_ways_to_write_the_same() -> None:
    assert ler_id("2026-000017") == 2026000017 < 2**31
    assert number_of("2026000017") == number_of("2026-000017") == "2026-000017"
    assert set(ENVELOPE) >= {"Data", "Error"}
