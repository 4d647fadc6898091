"""LER's interface carries large files without holding them: the same bytes as ever, in little memory."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import os
import tracemalloc
import urllib.parse
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_flow_enquiry import work_off
from test_ler_interface import World, answered, serving, stocked, svar

from geoinfra.errors import TooLarge
from geoinfra.storage import open_store
from geoinfra.utilities.ler_api import Refusal, number_of
from services.ler.body import MOST_ANSWER_BYTES, Body

pytestmark = pytest.mark.services
LARGE_BYTES = 12_000_001
LITTLE_BYTES = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    store = open_store(tmp_path_factory.mktemp("ler"))
    tokens = stocked(store)
    with serving(store) as (url, app):
        yield World(store, url, app, tokens)
    store.close()


@contextmanager
def in_little_memory() -> Iterator[None]:
    """Hold the service and its client, who are one process here, to less than the file has."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < LITTLE_BYTES


@contextmanager
def opened(
    world: World, who: str, method: str, path: str, body: Any = None, **more: Any
) -> Iterator[http.client.HTTPResponse]:
    """Make a call whose response is read piece by piece."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(world.url).netloc, timeout=120)
    ids = {"requestId": str(uuid.uuid4()), "transactionId": str(uuid.uuid4())}
    headers = {"Authorization": f"Bearer {world.tokens[who]}"}
    length, content = body or (0, None)
    if content is not None:
        headers["Content-Length"] = str(length)
    with closing(connection):
        connection.request(method, f"{path}?{urllib.parse.urlencode({**ids, **more})}", content, headers)
        yield connection.getresponse()


def enlarged(world: World, number: int) -> bytes:
    """Let the package of an enquiry have a large member beside what it has; return all of it."""
    package = world["digger"].done("GET", f"/api/v1/ledningspakke/{number}")
    whole = io.BytesIO(base64.b64decode(package["base64data"]))
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr("Graveforespoergsel_stor.xml", os.urandom(LARGE_BYTES))
    folder = f"packages/{number_of(str(number))}"
    (name,) = world.store.blobs.names(folder)
    world.store.blobs.put(name, whole.getvalue())
    return whole.getvalue()


def test_a_large_package_is_sent_in_little_memory_and_with_the_same_bytes(world: World) -> None:
    number = world.filed()
    content = enlarged(world, number)
    path = f"/api/v1/ledningspakke/{number}"
    with in_little_memory(), opened(world, "digger", "GET", path) as response:
        sent, length = hashlib.sha256(), 0
        head = response.read(600)
        sent.update(head)
        while piece := response.read(1 << 16):
            sent.update(piece)
            length += len(piece)
    data = {
        "base64data": base64.b64encode(content).decode(),
        "contenttype": "application/zip",
        "fileName": f"Ledningspakke_{number}.zip",
    }
    envelope = json.loads(head.partition(b'"Data":')[0] + b'"Data":null}')
    whole = orjson.dumps({**envelope, "Data": data})
    assert int(response.headers["Content-Length"]) == len(whole) == length + 600
    assert sent.hexdigest() == hashlib.sha256(whole).hexdigest()


def test_a_large_package_is_read_again_for_the_same_request(world: World) -> None:
    number, request_id = world.filed(), str(uuid.uuid4())
    content, path = enlarged(world, number), f"/api/v1/ledningspakke/{number}"
    for _ in range(2):
        data = world["digger"].call("GET", path, request_id=request_id)["Data"]
        assert base64.b64decode(data["base64data"]) == content


def test_what_viewers_get_is_made_in_little_memory_and_with_the_same_bytes(world: World) -> None:
    number = world.filed()
    content = enlarged(world, number)
    expected = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as whole, zipfile.ZipFile(expected, "w", 8) as viewed:
        for member in whole.infolist():
            if member.filename.startswith(("consolidated", "Ledningsejer", "Graveforespoergsel")):
                viewed.writestr(member, whole.read(member))
    path = f"/api/v1/ledningspakkeKortviser/{number}"
    with in_little_memory(), opened(world, "digger", "GET", path) as response:
        while response.read(1 << 16):
            pass
    again = world["digger"].done("GET", f"/api/v1/ledningspakkeKortviser/{number}")
    assert base64.b64decode(again["base64data"]) == expected.getvalue()
    assert [*world.store.uploads.iterdir()] == []


def test_a_large_answer_is_received_in_little_memory(world: World) -> None:
    """It has an attachment that nothing names; slashes are escaped in half of it, as some write them."""
    assert answered(world["owner"], world.filed(), 29, svar())["Error"] is None  # what is loaded once
    number, packed = world.filed(), io.BytesIO(svar())
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("tegning.pdf", os.urandom(LARGE_BYTES))
    text = base64.b64encode(packed.getvalue())
    middle = len(text) // 2
    body = (
        b'{"isOpdatering": false, "base64data": "'
        + text[:middle].replace(b"/", rb"\/")
        + text[middle:]
        + b'"}'
    )
    pieces = [body[at : at + 65_536] for at in range(0, len(body), 65_536)]
    length = len(body)
    del body, text, packed
    call = world, "owner", "POST", f"/api/v3/graveforespoergselSvar/{number}", (length, iter(pieces))
    with in_little_memory(), opened(*call, indberetningsNr=29) as response:
        answer = json.loads(response.read())
    assert answer["Error"] is None, answer
    assert answer["Data"]["AntalObjekter"] == 1
    assert [*world.store.uploads.iterdir()] == []
    work_off(world.store)


def test_an_answer_above_the_bound_is_refused_and_leaves_nothing(world: World) -> None:
    number = world.filed()
    large = answered(world["owner"], number, 29, bytes(MOST_ANSWER_BYTES + 1))
    assert large["Error"]["ErrorCode"] == "00-300"
    assert "for stort" in large["Error"]["PrettyErrorMessage"]
    assert [*world.store.uploads.iterdir()] == []


# --- The body by itself


def fed(body: bytes, folder: Path, sizes: list[int] | None = None) -> Body:
    """Receive a body in pieces of these sizes."""
    received = Body(b"call", folder)
    at = 0
    for size in [*(sizes or []), len(body)]:
        received.feed(body[at : at + size])
        at += size
    return received


@given(data=st.data(), size=st.integers(0, 90_000), spaced=st.booleans(), escaped=st.booleans())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_body_in_pieces_means_what_it_means_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, size: int, spaced: bool, escaped: bool
) -> None:
    content = os.urandom(size + 1)
    text = base64.encodebytes(content).decode() if spaced else base64.b64encode(content).decode()
    document = {"isOpdatering": True, 'æ"\\': ["\u20ac", '"', {"x": "\\"}], "Base64Data": text, "n": None}
    whole = json.dumps(document, ensure_ascii=data.draw(st.booleans())).encode()
    whole = whole.replace(b"/", rb"\/") if escaped else whole
    sizes = data.draw(st.lists(st.integers(1, 70_000), max_size=8))
    with fed(whole, tmp_path_factory.getbasetemp(), sizes) as body:
        file, found = body.data("base64data")
        assert file.read() == content
        assert body.digest == hashlib.sha256(b"call\0" + whole).hexdigest()
        assert {**found, "base64data": text} == {key.lower(): value for key, value in document.items()}


LONG = "QUJD" * 20_000


@pytest.mark.parametrize(
    "text",
    [
        LONG + "Q",
        LONG + "QUI=QUJD",
        LONG + "=QUI",
        LONG[:70_000] + "====" + LONG,
        LONG + "QU_D",
        "-" + LONG,
        LONG + "æøå",
        LONG + "\\ud800",
        "QUJ",
        "",
        " ",
    ],
    ids=range(11),
)
def test_what_is_no_base64_is_refused(tmp_path: Path, text: str) -> None:
    with fed(f'{{"base64data": "{text}"}}'.encode(), tmp_path) as body, pytest.raises(Refusal) as refused:
        body.data("base64data")
    assert "base64" in str(refused.value.details)


@pytest.mark.parametrize(
    "text",
    [
        f'{{"base64data": "{LONG}',
        f'{{"base64data": "{LONG}"',
        f'["{LONG}"]',
        f'{{"base64data": "{LONG}\n"}}',
        f'{{"base64data": "{LONG}\\q"}}',
        f'{{"base64data": "{LONG}\\u12"}}',
        f'{{"base64data": "{LONG}\\',
        f'{{"base64data": "{LONG}"}} x',
        "",
        "\x00",
        "NaN",
    ],
    ids=range(11),
)
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    with fed(text.encode(), tmp_path, [3, 70_000]) as body, pytest.raises(Refusal) as refused:
        body.data("base64data")
    assert "JSON" in str(refused.value.details)


def test_much_beside_the_content_is_refused(tmp_path: Path) -> None:
    with fed(b'{"a":[' + b"1," * 1_500_000 + b"1]}", tmp_path) as body, pytest.raises(TooLarge):
        body.data("base64data")


def test_nobody_names_the_place_of_a_long_text(tmp_path: Path) -> None:
    """A text that looks like the name that stands for a long one is a text."""
    with fed(b'{"a": "' + LONG.encode() + b'", "base64data": "' + b"0" * 32 + b'"}', tmp_path) as body:
        file, _ = body.data("base64data")
        assert file.read() == base64.b64decode("0" * 32)
