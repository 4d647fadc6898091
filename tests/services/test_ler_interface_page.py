"""The request on the page of LER's interface is sent as it stands there, and answered as it says."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from test_flow_enquiry import work_off
from test_ler_interface import World, serving, stocked

from geoinfra.storage import open_store
from geoinfra.utilities.formats.request import read_request

pytestmark = pytest.mark.services

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "ler-interface.md"
SECTION = PAGE.read_text("utf-8").partition("## A request and its answer")[2].partition("\n## ")[0]
DATES = ("2026-12-01", "2026-12-20")
WRITTEN_ID = "2026000017"
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T[0-9:.]+Z")


def blocks(language: str) -> list[str]:
    """The blocks of the section in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    store = open_store(tmp_path_factory.mktemp("ler"))
    tokens = stocked(store)
    with serving(store) as (url, app):
        yield World(store, url, app, tokens)
    store.close()


def run(world: World, folder: Path, commands: str) -> str:
    """Run a block of the page after the function that the first one defines."""
    guid = blocks("console")[0].partition("\n")[0]
    done = subprocess.run(
        ["bash", "-euc", f"{guid}\n{commands}"],
        cwd=folder,
        env={**os.environ, "GEOINFRA": world.url, "TOKEN": world.tokens["digger"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def without_chance(document: dict[str, Any], number: int) -> Any:
    """Return an envelope without ids and moments; the enquiry has the number of the page."""
    text = MOMENT.sub("moment", json.dumps({**document, "RequestId": "", "TransactionId": ""}))
    return json.loads(text.replace(str(number), WRITTEN_ID))


def test_the_documented_request_gives_the_documented_answers(world: World, tmp_path: Path) -> None:
    gml, (send, ask, fetch) = blocks("xml")[0], blocks("console")
    days = [(date.today() + timedelta(days=ahead)).isoformat() for ahead in (1, 20)]  # noqa: DTZ011  # days
    for written, day in zip(DATES, days, strict=True):
        assert gml.count(written) == 1
        gml = gml.replace(written, day)
    (tmp_path / "request.gml").write_text(gml, "utf-8")
    filed_as_told, status_as_told = (json.loads(block) for block in blocks("json"))

    filed = json.loads(run(world, tmp_path, send))
    number = filed["Data"]["Id"]
    assert without_chance(filed, number) == without_chance(filed_as_told, number)

    work_off(world.store)
    status = json.loads(run(world, tmp_path, ask.replace(WRITTEN_ID, str(number))))
    status_as_told["Data"]["GyldigTil"] = days[1]
    assert without_chance(status, number) == without_chance(status_as_told, number)

    run(world, tmp_path, fetch.replace(WRITTEN_ID, str(number)))
    with zipfile.ZipFile(tmp_path / "package.zip") as package:
        assert "consolidated.gml" in package.namelist()
    asked = world["owner"].done("GET", f"/api/v4/anmodning/{number}", indberetningsNr=29)[
        "Graveforespoergsel"
    ]
    sent = read_request(io.BytesIO(base64.b64decode(asked["GeografiskData"])))
    assert (sent.own_number, sent.methods, sent.supplies) == ("2026-117", ("6",), ("3", "5"))
