"""Packages through their signed links: whole, in parts, by HEAD, behind a proxy."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from geoinfra.access import Access
from geoinfra.storage import open_store
from services.app import create_app
from services.settings import Settings

pytestmark = pytest.mark.services

CONTENT = b"PK\x03\x04" + bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, str]]:
    folder: Path = tmp_path_factory.mktemp("data")
    store = open_store(folder)
    store.blobs.put("packages/one.zip", io.BytesIO(CONTENT))
    app = create_app(
        Settings(data_dir=folder, proxies="10.0.0.0/8", requests_per_s=0.01, requests_burst=40), store
    )
    href, _ = app.state.security.sign_link("packages/one.zip", "Pakke.zip", Access("token:x"))
    with TestClient(app, client=("203.0.113.1", 1)) as client:
        yield client, href
    store.close()


def test_a_download_can_be_resumed(world: tuple[TestClient, str]) -> None:
    client, href = world
    whole = client.get(href, headers={"Accept-Encoding": "gzip, br, zstd"})
    assert (whole.status_code, whole.content) == (200, CONTENT)
    assert "content-encoding" not in whole.headers
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["cache-control"] == "private, no-store"
    tag = whole.headers["etag"]
    part = client.get(href, headers={"Range": "bytes=1000-", "If-Range": tag})
    assert (part.status_code, part.content) == (206, CONTENT[1000:])
    several = client.get(href, headers={"Range": "bytes=0-3, 100-103"})
    assert several.status_code == 206
    assert CONTENT[100:104] in several.content
    assert client.get(href, headers={"Range": "bytes=999999999-"}).status_code == 416
    stale = client.get(href, headers={"Range": "bytes=1000-", "If-Range": '"older"'})
    assert (stale.status_code, stale.content) == (200, CONTENT)
    head = client.head(href)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(CONTENT)


def test_clients_behind_a_proxy_have_each_their_own_share(world: tuple[TestClient, str]) -> None:
    client, _ = world
    app = client.app
    with TestClient(app, client=("10.1.2.3", 1)) as proxy:
        asked = [
            proxy.get("/docs/errors", headers={"X-Forwarded-For": f"198.51.100.{n % 2}"}).status_code
            for n in range(60)
        ]
        assert asked == [200] * 60
    spoofed = [
        client.get("/docs/errors", headers={"X-Forwarded-For": f"198.51.100.{n}"}).status_code
        for n in range(60)
    ]
    assert spoofed[-10:] == [429] * 10


def test_pages_of_other_origins_get_no_private_answers(world: tuple[TestClient, str]) -> None:
    app = world[0].app
    with TestClient(app, client=("203.0.113.9", 1)) as client:
        for path in ("/api/config", "/api/enquiries", "/"):
            answer = client.get(path, headers={"Origin": "https://evil.example"})
            assert "access-control-allow-origin" not in answer.headers
        assert (
            client.get("/ogc", headers={"Origin": "https://x.example"}).headers["access-control-allow-origin"]
            == "*"
        )
