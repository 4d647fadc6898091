"""Enquiries in every state, in a test environment that a browser can look at."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import uvicorn
from answer_world import CABLE, move_filing, owner
from test_flow_enquiry import document

from geoinfra import crs, sample
from geoinfra.access import Access
from geoinfra.flows.answers import correct_answer, store_answer
from geoinfra.flows.enquiries import Enquiry, enquiry, file_enquiry
from geoinfra.flows.handlers import HANDLERS
from geoinfra.flows.projects import whole
from geoinfra.flows.sandbox import declare_sandbox
from geoinfra.sample.loading import load_town
from geoinfra.storage import Store, open_store, organisations
from geoinfra.storage.jobs import Worker
from geoinfra.storage.organisations import InterestArea
from geoinfra.utilities.formats import ler
from geoinfra.utilities.model import AnswerHeader, Contact, FeatureRows, ResponseType
from services.app import create_app
from services.demo import ensure_tokens
from services.security import DEMO_TOKENS
from services.settings import Settings

SILENT, BESIDE = "10000041", "10000068"
SILENT_PHONE, SILENT_MAIL = "+45 70 10 20 30", "vagt@tavs.example"
HOSTILE = '<img src=x onerror="window.broken=1">'
type Cable = tuple[shapely.LineString, dict[str, Any]]
_SINCE = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """A test environment that runs, and the numbers of its enquiries.

    Attributes
    ----------
    centre
        Longitude and latitude of the middle of the dig areas.
    answered
        An enquiry with three packages: one owner came later, and corrected his answer.
    late
        One owner has not answered in time.
    project
        Filed in parts.
    """

    url: str
    centre: tuple[float, ...]
    answered: str
    late: str
    project: str
    differences: dict[str, int]


def svar(cables: dict[str, Cable]) -> io.BytesIO:
    """The silent owner's answer."""
    rows = FeatureRows(SILENT)
    for name, (line, properties) in cables.items():
        rows.add("Elledning", name, {**CABLE, **properties}, line)
    contact = Contact("Vagten", SILENT_PHONE, SILENT_MAIL)
    header = AnswerHeader(
        "3f2b8c1e-5a40-4d7e-9c55-0b1d2e3f4a5b",
        ResponseType.DELIVERED,
        valid_to=date(2099, 1, 1),
        contact=contact,
        supplementary_info=HOSTILE,
    )
    file = io.BytesIO()
    ler.write_answer(file, header, [rows.batch()])
    file.seek(0)
    return file


def _cables(area: shapely.Polygon) -> dict[str, shapely.LineString]:
    """Five lines across the area, side by side."""
    x, y = area.centroid.x, area.centroid.y
    return {
        f"el.{number}": shapely.LineString(
            [(x - 24, y - 4 + 2 * number), (x, y - 3 + 2 * number), (x + 24, y - 4 + 2 * number)]
        )
        for number in range(1, 6)
    }


def _owners(store: Store, area: shapely.Polygon) -> None:
    contact = {"name": "Vagten", "phone": SILENT_PHONE, "email": SILENT_MAIL}
    west, south, east, north = area.bounds
    beside = shapely.box(west, south + 60, east, north + 60)
    with store.begin() as tx:
        organisations.add_organisation(tx, SILENT, "Det Tavse Net", contact)
        organisations.add_organisation(tx, BESIDE, f"Naboens Net {HOSTILE}", contact)
        organisations.set_interest_areas(tx, SILENT, [InterestArea(901, ("el",), area.buffer(30), _SINCE)])
        organisations.set_interest_areas(tx, BESIDE, [InterestArea(902, ("vand",), beside, _SINCE)])
        tx.commit()


def _three_packages(store: Store, access: Access, area: shapely.Polygon) -> tuple[Enquiry, dict[str, int]]:
    filed = file_enquiry(store, access, document(area, formats=["gml"], description="Ny stikledning"))
    _await_package(store, access, filed.number, 1)
    cables: dict[str, Cable] = {name: (line, {}) for name, line in _cables(area).items() if name != "el.5"}
    store_answer(store, owner(SILENT), filed.number, svar(cables))
    _await_package(store, access, filed.number, 2)
    corrected = dict(cables)
    del corrected["el.1"]
    corrected["el.2"] = (shapely.transform(cables["el.2"][0], lambda c: np.add(c, (0, 1.5))), {})
    corrected["el.3"] = (cables["el.3"][0], {"type": "forsyningskabel", "fareklasse": "meget farlig"})
    corrected["el.5"] = (_cables(area)["el.5"], {})
    correct_answer(store, owner(SILENT), filed.number, svar(corrected), "Forkert udtræk")
    _await_package(store, access, filed.number, 3)
    return filed, {"added": 1, "removed": 1, "changed": 2}


def _await_package(store: Store, access: Access, number: str, sequence: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        package = enquiry(store, access, number).package
        if package is not None and package.sequence == sequence:
            return
        time.sleep(0.05)
    raise AssertionError(f"package {sequence} of {number} was not made")


@contextmanager
def working(store: Store) -> Iterator[None]:
    """Run a worker beside."""
    stop = threading.Event()
    thread = threading.Thread(target=Worker(store, HANDLERS).run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def working_hours_ago() -> datetime:
    """A moment on a working day, some days ago, whose deadlines have passed."""
    moment = datetime.now(UTC).replace(hour=9, minute=12, second=0, microsecond=0) - timedelta(days=7)
    return moment - timedelta(days=max(0, moment.weekday() - 4))


@contextmanager
def running(folder: Path, town: Path) -> Iterator[World]:
    """Make a test environment of a town, and serve it with a worker."""
    store = open_store(folder)
    try:
        access = _environment(store, town)
        with working(store):
            area = sample.enquiry_area("tiny")
            lon_lat = crs.transform_geometry(area.centroid, "EPSG:25832", "OGC:CRS84")
            centre = (float(shapely.get_x(lon_lat)), float(shapely.get_y(lon_lat)))
            answered, differences = _three_packages(store, access, area)
            late = file_enquiry(store, access, document(area, formats=["gml"], surroundings_m=100))
            move_filing(store, late.number, working_hours_ago())
            large = area.centroid.buffer(320, cap_style="square")
            first = file_enquiry(store, access, document(large, formats=["gml"]))
            project = whole(store, access, first.number).number
            with serving(store) as url:
                yield World(
                    url,
                    centre,
                    answered.number,
                    late.number,
                    project,
                    differences,
                )
    finally:
        store.close()


def _environment(store: Store, town: Path) -> Access:
    """Load a town and two owners who do not answer by themselves; return the access of the excavator."""
    declare_sandbox(store)
    load_town(store, town)
    ensure_tokens(store, store.data_dir / DEMO_TOKENS)
    _owners(store, sample.enquiry_area("tiny"))
    tokens = json.loads((store.data_dir / DEMO_TOKENS).read_text("utf-8"))
    with store.read() as connection:
        return organisations.authenticate(connection, tokens["excavator"])


@contextmanager
def serving(store: Store) -> Iterator[str]:
    """Run the application over a store on a free port of the loopback address; yield its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        app = create_app(Settings(data_dir=store.data_dir, demo=True), store)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
