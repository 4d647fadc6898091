"""Bad input over HTTP: each a clear problem document, and nothing stored."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from deployment import Deployment
from test_crash_safety import request_document

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def excavator(deployment: Deployment) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {deployment.tokens['excavator']}"}
    with httpx.Client(base_url=deployment.url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def owner(deployment: Deployment) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {deployment.tokens['owner']}"}
    with httpx.Client(base_url=deployment.url, headers=headers, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def owner_cvr(owner: httpx.Client) -> str:
    return str(owner.get("/api/config").json()["organisation"]["cvr"])


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Every failure has this one shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "code", "detail", "hint"} <= set(body)
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail"]
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    return body


def enquiries_of(client: httpx.Client) -> int:
    return len(client.get("/api/enquiries", params={"limit": 500}).json()["items"])


RING = request_document()["area"]["coordinates"][0]
WEST, SOUTH = min(e for e, _ in RING), min(n for _, n in RING)
BOW_TIE = [[WEST + x, SOUTH + y] for x, y in ((0, 0), (20, 20), (20, 0), (0, 20), (0, 0))]


@pytest.mark.parametrize(
    ("change", "status", "code", "says"),
    [
        (
            {"area": {"type": "Polygon", "coordinates": [BOW_TIE]}},
            400,
            "invalid-geometry",
            "itself",
        ),
        (
            {"area": {"type": "Polygon", "coordinates": [[[n, e] for e, n in RING]]}},
            400,
            "invalid-geometry",
            "swapped",
        ),
        (
            {"area": {"type": "Polygon", "coordinates": [[[e, n - 300_000] for e, n in RING]]}},
            400,
            "invalid-geometry",
            "outside Denmark",
        ),
        ({"area": {"type": "Polygon", "coordinates": [RING[:1] * 100_000]}}, 413, "too-large", "larger"),
        (
            {
                "area": {
                    "type": "Polygon",
                    "coordinates": [[[e * 1.0, n] for e, n in RING[:-1]] * 4000 + RING[:1]],
                }
            },
            400,
            "invalid-geometry",
            "vertices",
        ),
        ({"area": None}, 400, "invalid-geometry", "Polygon"),
        ({"crs": "EPSG:2154"}, 400, "invalid-input", "CRS"),
        ({"methods": ["0"]}, 400, "invalid-input", "methods"),
        ({"buffer": 3}, 400, "invalid-input", "buffer"),
    ],
)
def test_a_bad_enquiry_is_refused_and_not_stored(
    excavator: httpx.Client, change: dict[str, Any], status: int, code: str, says: str
) -> None:
    before = enquiries_of(excavator)
    answer = excavator.post("/api/enquiries", json={**request_document(), **change})
    if code == "too-large" and answer.status_code == 400:
        code, status = "invalid-geometry", 400  # the bound on vertices was met before that on bytes
        says = "vertices"
    assert says in is_problem(answer, status, code)["detail"]
    assert enquiries_of(excavator) == before


@pytest.mark.parametrize(
    "body",
    [
        b'{"area": {"type": "Polygon", "coordinates": [[[NaN, 1], [2, 3], [4, 5], [NaN, 1]]]}}',
        b'{"area": Infinity}',
        b"[]",
        b'"text"',
        b"",
        b"\xff\xfe\x00",
        b'{"area": ' + b"[" * 5000,
    ],
)
def test_what_is_no_json_object_is_refused(excavator: httpx.Client, body: bytes) -> None:
    is_problem(excavator.post("/api/enquiries", content=body), 400, "invalid-input")


def test_the_official_bow_tie_request_is_refused_with_the_crossing(reference: Path) -> None:
    from geoinfra.errors import InvalidGeometry
    from geoinfra.utilities.formats import package

    path = reference / "ler/samples/graveforesp_request_example.gml"
    with path.open("rb") as source, pytest.raises(InvalidGeometry, match="itself"):
        package.read_request(source)


def zip_of(**members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?><ler:Graveforespoergselssvar '
    b'xmlns:ler="http://data.gov.dk/schemas/LER/2/gml" xmlns:gml="http://www.opengis.net/gml/3.2" '
    b'xmlns:xlink="http://www.w3.org/1999/xlink" gml:id="svar" schemaVersion="2.2.0">'
    b"<ler:id>0c5ba6a5-0b42-4a58-9c7e-6a1f6d3a2b10</ler:id>"
    b"<ler:type>ledningsoplysninger udleveret</ler:type>"
)
LINE = (
    b'<ler:ledningMember><ler:Vandledning gml:id="v.1"><ler:driftsstatus>i drift</ler:driftsstatus>'
    b"%s<ler:etableringstidspunkt>2001</ler:etableringstidspunkt><ler:fareklasse>ikke farlig</ler:fareklasse>"
    b"<ler:noejagtighedsklasse>&lt;= 0.25 m</ler:noejagtighedsklasse><ler:geometri>"
    b'<gml:LineString gml:id="%s" srsName="http://www.opengis.net/def/crs/EPSG/0/7416" srsDimension="3">'
    b"<gml:posList>%s</gml:posList></gml:LineString></ler:geometri>%s"
    b"<ler:tvaersnitsform>cirkul\xc3\xa6r</ler:tvaersnitsform></ler:Vandledning></ler:ledningMember>"
)
GOOD = b"650000 6080000 -99 650010 6080000 -99"
TAIL = b"</ler:Graveforespoergselssvar>"


def answer_with(*lines: bytes) -> bytes:
    return HEAD + b"".join(lines) + TAIL


ENTITY = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><x>&c;</x>'
)
EXTERNAL = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (ENTITY, {400, 422}),
        (EXTERNAL, {400, 422}),
        (b"\x00\x01\x02" * 1000, {400, 422}),
        (b"", {400, 422}),
        (b"<html><body>hello</body></html>", {400, 422}),
        (HEAD, {400, 422}),
        (zip_of(**{"../../evil.gml": answer_with()}), {400, 422}),
        (zip_of(**{"a.gml": b"<x>" + b" " * 300_000_000 + b"</x>"}), {400, 413, 422}),
        (zip_of(**{"readme.txt": b"no gml here"}), {400, 422}),
        (answer_with(LINE % (b"", b"g.1", b"nan 6080000 -99 650010 6080000 -99", b"")), {422}),
        (answer_with(LINE % (b"", b"v.1", GOOD, b"")), {422}),
    ],
    ids=[
        "entities",
        "external",
        "nonsense",
        "empty",
        "html",
        "cut",
        "traversal",
        "bomb",
        "no-gml",
        "nan",
        "duplicate-id",
    ],
)
def test_a_bad_delivery_is_refused_and_the_published_version_stays(
    owner: httpx.Client, owner_cvr: str, body: bytes, statuses: set[int]
) -> None:
    def lines() -> int:
        counted = owner.get(
            "/ogc/collections/utility-lines/items", params={"resulttype": "hits", "f": "json"}
        )
        return int(counted.json()["numberMatched"])

    before = lines()
    answer = owner.post("/api/deliveries", params={"owner": owner_cvr}, content=body)
    assert answer.status_code in statuses, answer.text
    problem = is_problem(answer, answer.status_code, answer.json()["code"])
    assert "root:" not in json.dumps(problem)
    assert lines() == before > 0


def test_a_dangling_reference_is_named_with_its_feature(owner: httpx.Client, owner_cvr: str) -> None:
    bad = LINE % (b"", b"g.1", GOOD, b'<ler:indeholdtLedning xlink:href="#nobody"/>')
    answer = owner.post("/api/deliveries", params={"owner": owner_cvr}, content=answer_with(bad))
    report = is_problem(answer, 422, "data-refused")["report"]
    assert report["errors"] >= 1
    assert any(f.get("feature_id") == "v.1" and "nobody" in json.dumps(f) for f in report["findings"])


def test_two_hundred_megabytes_of_nonsense_are_refused(owner: httpx.Client, owner_cvr: str) -> None:
    chunk = b"<nonsense " * 100_000

    def stream() -> Iterator[bytes]:
        for _ in range(200):
            yield chunk

    answer = owner.post("/api/deliveries", params={"owner": owner_cvr}, content=stream())
    assert answer.status_code in (400, 413, 422)
    is_problem(answer, answer.status_code, answer.json()["code"])


def test_an_owner_delivers_for_himself_only(owner: httpx.Client) -> None:
    is_problem(
        owner.post("/api/deliveries", params={"owner": "10000009"}, content=answer_with()), 403, "not-allowed"
    )


@pytest.mark.parametrize("path", ["/api/nothing", "/api/enquiries/9999-999999", "/download/abc.def"])
def test_what_is_not_there_is_a_problem_document(excavator: httpx.Client, path: str) -> None:
    is_problem(excavator.get(path), 404, "not-found")
