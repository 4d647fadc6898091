"""The robot answers what waits for a small owner from his own files and tables, once, and never wrongly."""

from __future__ import annotations

import http.server
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
import shapely
from deployment import ROOT, Deployment
from ler_schema import faults, ler_schema
from lxml import etree
from waterworks import AREA, GEOMETRY, OWNER, PIPES, pipes, write_geopackage

from geoinfra.access import Role
from geoinfra.errors import InvalidInput
from geoinfra.storage import open_store, organisations
from geoinfra.storage.organisations import InterestArea
from services.robot.client import OwnerClient
from services.robot.commands import AlarmCommand
from services.robot.loop import Outcome, Robot
from services.robot.status import Status

pytestmark = pytest.mark.services

EXCAVATOR = "10000041"
LER = "{http://data.gov.dk/schemas/LER/2/gml}"
GML = "{http://www.opengis.net/gml/3.2}"


@pytest.fixture(scope="module")
def running(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment of this module's own, whose server may be killed."""
    folder = tmp_path_factory.mktemp("robot") / "data"
    shutil.copytree(demo_data, folder)
    deployment = Deployment(folder)
    deployment.start("serve")
    deployment.start("worker")
    try:
        deployment.wait_ready()
        yield deployment
    finally:
        deployment.stop()


@pytest.fixture(scope="module")
def tokens(running: Deployment) -> dict[str, str]:
    """Tokens of the waterworks and of an excavator; the waterworks has delivered nothing."""
    since = datetime(2000, 1, 1, tzinfo=UTC)
    area = shapely.buffer(AREA, 500)
    store = open_store(running.data_dir)
    with store.begin() as tx:
        organisations.add_organisation(tx, OWNER, "Lille Vandværk")
        organisations.add_organisation(tx, EXCAVATOR, "Graver")
        organisations.set_interest_areas(tx, OWNER, [InterestArea(900_001, ("water",), area, since)])
        made = {
            name: organisations.create_token(tx, cvr, {role}, "test", timedelta(hours=1))[1]
            for name, cvr, role in (
                ("owner", OWNER, Role.OWNER),
                ("excavator", EXCAVATOR, Role.EXCAVATOR),
            )
        }
        tx.commit()
    store.close()
    return made


@pytest.fixture
def excavator(running: Deployment, tokens: Mapping[str, str]) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {tokens['excavator']}"}
    with httpx.Client(base_url=running.url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture
def owner(running: Deployment, tokens: Mapping[str, str]) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {tokens['owner']}"}
    with httpx.Client(base_url=running.url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def geopackage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_geopackage(tmp_path_factory.mktemp("waterworks"))


@pytest.fixture
def folder(tmp_path: Path, geopackage: Path) -> Path:
    """The waterworks' own folder: its GeoPackage and its mapping file."""
    shutil.copy(geopackage, tmp_path)
    (tmp_path / "m.toml").write_text(sample(), "utf-8")
    return tmp_path


def sample(*, valves: bool = True) -> str:
    text = (ROOT / "sample_data/owner-robot/vandvaerk.toml").read_text("utf-8").replace("12345674", OWNER)
    return text if valves else text.partition('[[layer]]\nname = "ventil"')[0]


def filed(excavator: httpx.Client, area: shapely.Polygon = AREA) -> str:
    today = datetime.now(UTC).date()
    document = {
        "area": json.loads(shapely.to_geojson(area)),
        "crs": "EPSG:25832",
        "period": {"from": today.isoformat(), "to": (today + timedelta(days=10)).isoformat()},
        "methods": ["6"],
        "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
        "formats": ["gml"],
    }
    answer = excavator.post("/api/enquiries", json=document)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["number"])


def own_answer(client: httpx.Client, number: str) -> dict[str, Any]:
    document = client.get(f"/api/enquiries/{number}").json()
    [own] = [o for o in document["owners"] if o["cvr"] == OWNER]
    return dict(own)


def packaged(excavator: httpx.Client, number: str) -> dict[str, etree._Element]:
    """Return gml:id -> element of what the newest package holds of the waterworks."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        link = excavator.post(f"/api/enquiries/{number}/package-link").json()
        if link.get("sequence", 0) >= 2:
            break
        time.sleep(0.05)
    content = excavator.get(link["href"]).content
    root = etree.fromstring(zipfile.ZipFile(io.BytesIO(content)).read("consolidated.gml"))
    features = [member[0] for member in root if len(member)]
    return {
        f.get(f"{GML}id").removeprefix(f"c{OWNER}."): f
        for f in features
        if f.findtext("ledningsejer") == OWNER and f.findtext("objectType")
    }


def texts(element: etree._Element) -> dict[str, str]:
    return {child.tag.removeprefix(LER): child.text or "" for child in element if len(child) == 0}


class Robots:
    """Makes robots in this process, and remembers the alarms they raised."""

    def __init__(self, running: Deployment, tokens: Mapping[str, str], folder: Path) -> None:
        self.running, self.tokens, self.folder = running, tokens, folder
        self.alarms: list[tuple[str, str]] = []
        self.opened: list[OwnerClient] = []

    def __call__(
        self, *, url: str = "", token: str = "owner", databases: Mapping[str, str] | None = None
    ) -> Robot:
        stop = threading.Event()
        client = OwnerClient(url or self.running.url, self.tokens.get(token, token), stop)
        self.opened.append(client)
        status = Status(self.folder / "status.json", client.server, OWNER, "en", 60)
        addresses = dict(databases or {})
        return Robot(
            self.folder / "m.toml",
            client,
            status,
            addresses.get,
            lambda about, text: self.alarms.append((about, text)),
            stop,
        )

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "status.json").read_text("utf-8"))
        return document


@pytest.fixture
def robots(running: Deployment, tokens: Mapping[str, str], folder: Path) -> Iterator[Robots]:
    maker = Robots(running, tokens, folder)
    yield maker
    for client in maker.opened:
        client.__exit__(None, None, None)


def command(folder: Path, url: str, token: str, *options: str) -> subprocess.Popen[str]:
    """Start the robot's command as a process of its own."""
    words = ["owner-robot", "run", str(folder / "m.toml"), "--server", url, *options]
    return subprocess.Popen(
        [sys.executable, "-c", "from services.cli import main; main()", *words],
        env={**os.environ, "GEOINFRA_ROBOT_TOKEN": token},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


# --- answers


def test_lines_of_a_geopackage_reach_the_package(
    running: Deployment, tokens: Mapping[str, str], folder: Path, excavator: httpx.Client
) -> None:
    number = filed(excavator)
    process = command(
        folder, running.url, tokens["owner"], "--once", "--status-file", str(folder / "status.json")
    )
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert f"{number} answered: ledningsoplysninger udleveret, 3 features" in log
    assert tokens["owner"] not in log
    features = packaged(excavator, number)
    assert set(features) == {"ledning.1", "ledning.2", "ventil.7"}
    assert texts(features["ledning.1"]) == {
        "driftsstatus": "i drift",
        "etableringstidspunkt": "1974",
        "fareklasse": "ikke farlig",
        "indtegningsmetode": "skematisk",
        "noejagtighedsklasse": "<= 1.00 m",
        "noejagtighedsklasseVertikal": "<= 1.00 m",
        "vejledendeDybde": "1200",
        "niveau": "under terræn",
        "udvendigDiameter": "110",
        "udvendigMateriale": "PVC",
        "tvaersnitsform": "cirkulær",
    } | {
        name: texts(features["ledning.1"])[name] for name in ("objectType", "ledningsejer", "indberetningsNr")
    }
    expected = [float(n) for p in GEOMETRY[1].coords for n in p]
    assert [float(n) for n in features["ledning.2"].findtext(f".//{GML}posList", "").split()] == expected
    status = json.loads((folder / "status.json").read_text("utf-8"))
    assert [a["number"] for a in status["answered"]] == [number]
    assert (status["ok"], status["waiting"]) == (True, [])
    page = (folder / "status.html").read_text("utf-8")
    assert number in page
    assert "Alt er i orden" in page


def test_lines_of_a_postgis_table_reach_the_package(
    robots: Robots, excavator: httpx.Client, postgres_url: str
) -> None:
    load_table(postgres_url, 25833)
    text = sample(valves=False).replace(
        'source = "vandvaerk.gpkg"               # a file, or a folder of files\nlayer = "ledninger"',
        'database = "VAND_DSN"\ntable = "net.Ledninger"',
    )
    (robots.folder / "m.toml").write_text(text, "utf-8")
    number = filed(excavator)
    robot = robots(databases={"VAND_DSN": postgres_url})
    assert robot.poll() == Outcome.DONE, robots.alarms
    features = packaged(excavator, number)
    assert set(features) == {"ledning.1", "ledning.2"}
    assert texts(features["ledning.2"])["udvendigDiameter"] == "63"
    found = shapely.LineString(
        [[float(n) for n in p] for p in chunks(features["ledning.2"].findtext(f".//{GML}posList", ""))]
    )
    assert shapely.hausdorff_distance(found, GEOMETRY[1]) < 0.001
    assert [z for _, _, z in found.coords] == [3.25, 3.5]


def chunks(positions: str) -> list[list[str]]:
    numbers = positions.split()
    return [numbers[i : i + 3] for i in range(0, len(numbers), 3)]


def load_table(url: str, srid: int) -> None:
    """Make the pipes a table whose names need quoting."""
    frame = pipes().to_crs(srid)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS net")
        connection.execute(
            'CREATE TABLE net."Ledninger" (ledning_id int PRIMARY KEY, ejer text, status text, anlagt text,'
            " opmaalt text, usikkerhed_m numeric, dim_mm int, materiale text, dybde_m float8,"
            f" geom geometry(LineStringZ, {srid}))"
        )
        for row, shape in zip(PIPES, frame.geometry, strict=True):
            marks = ", ".join(["%s"] * len(row))
            connection.execute(
                f'INSERT INTO net."Ledninger" VALUES ({marks}, ST_SetSRID(ST_GeomFromWKB(%s), {srid}))',
                [*row.values(), shapely.to_wkb(shape)],
            )


def test_a_database_that_is_down_names_no_secret(robots: Robots, excavator: httpx.Client) -> None:
    text = sample(valves=False).replace('source = "vandvaerk.gpkg"', 'database = "VAND_DSN"\ntable = "t"')
    (robots.folder / "m.toml").write_text(text.replace('layer = "ledninger"\n', ""), "utf-8")
    number = filed(excavator)
    robot = robots(databases={"VAND_DSN": "postgresql://u:hemmelig@127.0.0.1:9/d"})
    assert robot.poll() == Outcome.NOT_ANSWERED
    assert "VAND_DSN, table t cannot be read" in dict(robots.alarms)[number]
    assert "hemmelig" not in repr(robots.alarms) + json.dumps(robots.status())
    mend(robots, excavator, number)


def mend(robots: Robots, excavator: httpx.Client, number: str) -> None:
    """Put the good mapping back; the robot answers at its next poll."""
    (robots.folder / "m.toml").write_text(sample(), "utf-8")
    assert robots().poll() == Outcome.DONE
    assert own_answer(excavator, number)["status"] == "delivered"


def test_a_folder_of_files_in_another_crs_is_one_layer(robots: Robots, excavator: httpx.Client) -> None:
    folder = robots.folder / "net"
    folder.mkdir()
    for number, part in enumerate((pipes().iloc[:1], pipes().iloc[1:])):
        part.to_crs(4326).to_file(folder / f"{number}.geojson", engine="pyogrio")
    text = sample(valves=False).replace("vandvaerk.gpkg", "net").replace('layer = "ledninger"\n', "")
    (robots.folder / "m.toml").write_text(text, "utf-8")
    number = filed(excavator)
    assert robots().poll() == Outcome.DONE, robots.alarms
    assert set(packaged(excavator, number)) == {"ledning.1", "ledning.2"}


def test_an_area_without_lines_is_answered_so(robots: Robots, excavator: httpx.Client) -> None:
    number = filed(excavator, shapely.transform(AREA, lambda xy: xy + np.array([0, 150])))
    assert robots().poll() == Outcome.DONE, robots.alarms
    assert own_answer(excavator, number)["status"] == "no-lines"


def test_what_is_sent_is_valid_by_the_official_schema(
    robots: Robots, excavator: httpx.Client, owner: httpx.Client, reference: Path, tmp_path: Path
) -> None:
    number = filed(excavator)
    robot = robots()
    sent: list[bytes] = []
    send = robot.client.send

    def keep(to: str, answer: Path) -> None:
        sent.append(answer.read_bytes())
        send(to, answer)

    robot.client.send = keep  # type: ignore[method-assign]  # listens in
    assert robot.poll() == Outcome.DONE
    assert [faults(ler_schema(reference, tmp_path / "xsd"), document) for document in sent] == [[]]
    assert own_answer(owner, number)["status"] == "delivered"


# --- what must not be sent


def test_nothing_is_sent_when_the_rules_find_an_error(robots: Robots, excavator: httpx.Client) -> None:
    """A pipe of 2024 whose diameter nobody knows breaks a rule of LER that the schema does not know."""
    frame = pipes()
    frame.loc[1, ["dim_mm", "status"]] = [0, "i brug"]
    frame.to_file(robots.folder / "vandvaerk.gpkg", layer="ledninger", driver="GPKG", engine="pyogrio")
    number = filed(excavator)
    robot = robots()
    assert robot.poll() == Outcome.NOT_ANSWERED
    assert own_answer(excavator, number)["status"] == "waiting"
    about, text = robots.alarms[0]
    assert about == number
    assert "vandvaerk.gpkg, layer ledninger, row 2" in text
    assert robot.poll() == Outcome.NOT_ANSWERED
    assert len(robots.alarms) == 1  # the same alarm is raised once
    [waiting] = robots.status()["waiting"]
    assert waiting["seconds_left"] > 0
    assert any(f.get("rule", "").startswith("UdvendigDiameter") for f in waiting["findings"])
    write_geopackage(robots.folder)
    assert robot.poll() == Outcome.DONE
    assert robots.status()["alarms"] == []
    assert own_answer(excavator, number)["status"] == "delivered"


def test_a_wrong_mapping_is_an_alarm_that_says_where(robots: Robots, excavator: httpx.Client) -> None:
    (robots.folder / "m.toml").write_text(sample().replace('"Vandledning"', '"Vandror"'), "utf-8")
    number = filed(excavator)
    robot = robots()
    assert robot.poll() == Outcome.NOT_ANSWERED
    assert robots.alarms[0][0] == "mapping"
    assert "m.toml, layer ledning.class: expected a LER class" in robots.alarms[0][1]
    assert number in [w["number"] for w in robots.status()["waiting"]]
    mend(robots, excavator, number)


def test_manual_handling_is_sent_only_when_the_mapping_says_so_and_is_followed_by_the_answer(
    robots: Robots, excavator: httpx.Client
) -> None:
    good = sample()
    bad = good.replace('"i brug" = "i drift", ', "")
    manual = bad.replace('on_error = "alarm"', 'on_error = "manual"\nmanual_minutes_left = 10080')
    (robots.folder / "m.toml").write_text(manual, "utf-8")
    number = filed(excavator)
    assert robots().poll() == Outcome.NOT_ANSWERED
    assert own_answer(excavator, number)["status"] == "manual"
    assert robots.alarms[0][0] == number
    assert robots.status()["waiting"][0]["state"] == "manual"
    assert robots().poll() == Outcome.NOT_ANSWERED  # after a restart it is still known
    (robots.folder / "m.toml").write_text(good, "utf-8")
    assert robots().poll() == Outcome.DONE
    assert own_answer(excavator, number)["status"] == "delivered"


def test_text_of_the_data_cannot_become_markup_or_lines_of_the_log(
    robots: Robots, excavator: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    frame = pipes()
    frame.loc[0, "status"] = "<script>alert(1)</script>\n2026 INFO forged"
    frame.to_file(robots.folder / "vandvaerk.gpkg", layer="ledninger", driver="GPKG", engine="pyogrio")
    number = filed(excavator)
    assert robots().poll() == Outcome.NOT_ANSWERED
    page = (robots.folder / "status.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not any("\n" in record.getMessage() for record in caplog.records)
    write_geopackage(robots.folder)
    mend(robots, excavator, number)


# --- broken connections, crashes


class Proxy:
    """Passes requests on, and holds the sending of answers before or after it reaches the server."""

    def __init__(self, upstream: str, hold: str) -> None:
        self.reached, self.release = threading.Event(), threading.Event()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.forward(b"")

            def do_POST(self) -> None:
                body = b""
                while size := int(self.rfile.readline().strip() or b"0", 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                if hold == "before":
                    proxy.reached.set()
                    proxy.release.wait(60)
                    return
                self.forward(body, hold=True)

            def forward(self, body: bytes, *, hold: bool = False) -> None:
                headers = {"Authorization": self.headers["Authorization"]}
                answer = httpx.request(
                    self.command, upstream + self.path, content=body, headers=headers, timeout=60
                )
                if hold:
                    proxy.reached.set()
                    proxy.release.wait(60)
                    return
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.mark.parametrize("hold", ["before", "after"])
def test_a_robot_that_is_killed_while_it_sends_gives_one_answer(
    running: Deployment,
    tokens: Mapping[str, str],
    robots: Robots,
    excavator: httpx.Client,
    hold: str,
) -> None:
    number = filed(excavator)
    proxy = Proxy(running.url, hold)
    process = command(robots.folder, proxy.url, tokens["owner"], "--once")
    try:
        assert proxy.reached.wait(60)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finally:
        proxy.close()
    stored = own_answer(excavator, number)
    assert (stored["status"] == "delivered") is (hold == "after")
    assert robots().poll() == Outcome.DONE
    answered = own_answer(excavator, number)
    assert answered["status"] == "delivered"
    assert answered["answered_at"] == stored["answered_at"] or hold == "before"


def test_an_enquiry_that_somebody_answered_meanwhile_counts_as_answered(
    robots: Robots, excavator: httpx.Client
) -> None:
    number = filed(excavator)
    late, early = robots(), robots()
    enquiries = late.client.waiting()
    assert early.poll() == Outcome.DONE
    late.client.waiting = lambda: enquiries  # type: ignore[method-assign]  # listens in
    assert late.poll() == Outcome.DONE
    assert number not in late.status.troubles


def test_the_robot_outlives_its_server(running: Deployment, robots: Robots, excavator: httpx.Client) -> None:
    number = filed(excavator)
    robot = robots()
    running.kill("serve")
    try:
        for polls in range(1, 4):
            assert robot.poll(tolerated=3) == Outcome.NO_SERVER
            assert [about for about, _ in robots.alarms] == (["server"] if polls == 3 else [])
    finally:
        running.start("serve")
        running.wait_ready()
    assert robot.poll(tolerated=3) == Outcome.DONE
    assert robots.status()["alarms"] == []
    assert own_answer(excavator, number)["status"] == "delivered"


def test_the_running_robot_ends_on_sigterm(
    running: Deployment, tokens: Mapping[str, str], folder: Path, excavator: httpx.Client
) -> None:
    number = filed(excavator)
    options = ("--interval", "1", "--status-file", str(folder / "status.json"))
    process = command(folder, running.url, tokens["owner"], *options)
    deadline = time.monotonic() + 60
    while own_answer(excavator, number)["status"] != "delivered" and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.1)
    process.terminate()
    log, _ = process.communicate(timeout=30)
    assert process.returncode == 0, log
    assert json.loads((folder / "status.json").read_text("utf-8"))["running"] is False


# --- who may, and where a secret goes


def test_a_token_of_another_organisation_answers_nothing(robots: Robots) -> None:
    assert robots(token="excavator").poll() == Outcome.NO_SERVER
    assert f"not {OWNER}" in dict(robots.alarms)["server"]


def test_a_token_that_is_not_valid_is_an_alarm(robots: Robots) -> None:
    assert robots(token="gi_" + "x" * 43).poll() == Outcome.NO_SERVER
    assert "401" in dict(robots.alarms)["server"]


@pytest.mark.parametrize(
    "address",
    ["http://ler.example", "ftp://ler.example", "https://u:p@ler.example", "ler.example", "https://h/?a=b"],
)
def test_a_token_is_sent_over_tls_only(address: str) -> None:
    with pytest.raises(InvalidInput):
        OwnerClient(address, "gi_" + "x" * 43)


def test_the_alarm_command_gets_the_text_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOINFRA_ROBOT_TOKEN", "gi_hemmelig")
    monkeypatch.setenv("VAND_DSN", "postgresql://u:hemmelig@h/d")
    script = tmp_path / "alarm.sh"
    script.write_text(f"cat > {tmp_path}/text; env > {tmp_path}/env\n")
    alarm = AlarmCommand(f"sh {script}")
    alarm("2026-000001", "1 error; $(touch hacked)")
    alarm.wait()
    assert (tmp_path / "text").read_text() == "2026-000001\n1 error; $(touch hacked)\n"
    assert "hemmelig" not in (tmp_path / "env").read_text()


# --- the list


def test_an_owner_lists_what_he_must_still_answer_with_its_area(
    robots: Robots, excavator: httpx.Client, owner: httpx.Client
) -> None:
    numbers = [filed(excavator), filed(excavator)]
    items = owner.get("/api/enquiries", params={"status": "waiting"}).json()["items"]
    assert [item["number"] for item in items] == numbers  # the oldest first
    assert [o["cvr"] for o in items[0]["owners"]] == [OWNER]
    assert robots().client.waiting()[0].area().symmetric_difference(AREA).area < 0.5
    assert robots().poll() == Outcome.DONE
    assert owner.get("/api/enquiries", params={"status": "waiting"}).json()["items"] == []
    assert owner.get("/api/enquiries", params={"status": "nonsense"}).status_code in (400, 422)
