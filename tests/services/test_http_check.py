"""Checking a delivery over HTTP: what comes back, who may ask, and what no body can do."""

from __future__ import annotations

import http.client
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from deployment import Deployment

pytestmark = pytest.mark.services

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ler:Graveforespoergselssvar xmlns:ler="http://data.gov.dk/schemas/LER/2/gml" '
    'xmlns:gml="http://www.opengis.net/gml/3.2" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'gml:id="svar.1" schemaVersion="2.2.0">\n'
)
REFUSAL = (
    f"{HEAD}<ler:id>5f0c3c52-8f1e-4c6f-9a55-3a4f6c1b7d20</ler:id>\n"
    "<ler:type>ledningsoplysninger udleveres ikke</ler:type>\n"
    "{more}</ler:Graveforespoergselssvar>\n"
)
CLEAN = REFUSAL.format(more="<ler:typeSupplerendeInfo>Hemmeligt</ler:typeSupplerendeInfo>\n").encode()
FAULTY = REFUSAL.format(more="").encode()


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {deployment.tokens['owner']}"}
    with httpx.Client(base_url=deployment.url, headers=headers, timeout=60) as opened:
        yield opened


def check(client: httpx.Client, body: bytes, **query: Any) -> dict[str, Any]:
    answer = client.post("/api/utilities/check", content=body, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "private, no-store"
    report: dict[str, Any] = answer.json()
    assert set(report) == {"features", "errors", "warnings", "findings", "kinds"}
    assert {one["code"] for one in report["findings"]} == set(report["kinds"])
    assert sum(kind["count"] for kind in report["kinds"].values()) >= len(report["findings"])
    assert report["errors"] == sum(one["severity"] == "error" for one in report["findings"])
    return report


def zipped(**members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return target.getvalue()


def test_a_clean_answer_has_no_findings(client: httpx.Client) -> None:
    assert check(client, CLEAN) == {"features": 0, "errors": 0, "warnings": 0, "findings": [], "kinds": {}}


def test_a_fault_is_told_with_rule_path_and_what_to_do_in_both_languages(client: httpx.Client) -> None:
    (finding,) = check(client, FAULTY)["findings"]
    assert finding["severity"] == "error"
    assert finding["path"] == "Graveforespoergselssvar/typeSupplerendeInfo"
    assert all(finding[name] for name in ("code", "message", "message_da", "hint", "hint_da"))


def test_a_zip_is_checked_as_its_document(client: httpx.Client) -> None:
    assert check(client, zipped(svar_gml=FAULTY)) == check(client, FAULTY)


def test_the_example_of_the_description_gives_what_the_description_says(client: httpx.Client) -> None:
    operation = client.get("/api/openapi.json").json()["paths"]["/api/utilities/check"]["post"]
    example = operation["requestBody"]["content"]["application/gml+xml"]["example"]
    assert [one["code"] for one in check(client, example.encode())["findings"]] == ["LER-SUPPLEMENTARY-INFO"]


def test_the_official_answer_is_checked_feature_by_feature(client: httpx.Client, reference: Path) -> None:
    (official,) = reference.glob("ler/**/svarudtagettil.gml")
    report = check(client, official.read_bytes(), strict=False)
    assert report["features"] == 636
    assert report["errors"] == 0
    retired = [one for one in report["findings"] if one["found"] == "vejbelysningsarmatur"]
    assert len(retired) == 22
    lines = official.read_text("utf-8").splitlines()
    for finding in retired:
        assert "vejbelysningsarmatur" in lines[finding["line"] - 1]
        easting, northing = finding["position"]
        assert 721_848 <= easting <= 722_320
        assert 6_178_744 <= northing <= 6_179_112


@pytest.mark.parametrize(
    ("language", "says"),
    [("da", ("Afvist", "1 fejl", "Gør sådan")), ("en", ("Refused", "1 error", "What to do"))],
)
def test_the_page_is_in_the_language_asked_for(
    client: httpx.Client, language: str, says: tuple[str, ...]
) -> None:
    answer = client.post(
        "/api/utilities/check",
        content=FAULTY,
        params={"language": language, "name": "plan <1>.gml"},
        headers={"Accept": "text/html"},
    )
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert f'<html lang="{language}">' in answer.text
    assert "plan &lt;1&gt;.gml" in answer.text
    assert [text for text in says if text not in answer.text] == []


def test_the_page_may_load_and_run_nothing(client: httpx.Client) -> None:
    hostile = FAULTY.replace(
        b"</ler:type>", b"</ler:type><ler:type>&lt;script&gt;x()&lt;/script&gt;</ler:type>"
    )
    answer = client.post("/api/utilities/check", content=hostile, headers={"Accept": "text/html"})
    policy = dict(rule.partition(" ")[::2] for rule in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert "sandbox" in policy
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "<script" not in answer.text


@pytest.mark.parametrize("role", ["excavator", "owner", "admin"])
def test_every_role_may_check(deployment: Deployment, role: str) -> None:
    headers = {"Authorization": f"Bearer {deployment.tokens[role]}"}
    answer = httpx.post(f"{deployment.url}/api/utilities/check", content=CLEAN, headers=headers, timeout=60)
    assert answer.status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_nobody_may_check_without_a_token(deployment: Deployment, headers: dict[str, str]) -> None:
    answer = httpx.post(f"{deployment.url}/api/utilities/check", content=CLEAN, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == "not-authenticated"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff\xfe",
        b"not xml",
        b"<a>",
        b'{"type": "FeatureCollection", "features": []}',
        b"PK\x03\x04 cut off",
        zipped(),
        zipped(readme_txt=b"no document"),
        zipped(svar_gml=b"<a/>" + b" " * 50_000_000),
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + FAULTY[39:].replace(b"ikke", b"&a;"),
        FAULTY[:-20],
        FAULTY.replace(b"<ler:id>", b"<ler:id>" + b"<ler:x>" * 5000),
        FAULTY.replace(b"5f0c3c52", b"\x1b[31m"),
    ],
    ids=[
        "empty", "bytes", "text", "open tag", "JSON", "cut zip", "empty zip", "zip without document",
        "zip bomb", "entity", "cut off", "deep", "control characters",
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_read_is_a_finding_not_a_failure(client: httpx.Client, body: bytes) -> None:
    report = check(client, body)
    first = report["findings"][0]
    assert (first["code"], first["severity"]) == ("LER-UNREADABLE", "error")
    assert first["message_da"]
    assert first["hint_da"]
    assert "passwd" not in str(report)
    assert "root:" not in str(report)


def test_a_name_that_leaves_the_zip_writes_nothing(client: httpx.Client, tmp_path: Path) -> None:
    body = zipped(____tmp__pwned_gml=FAULTY)
    assert check(client, body)["findings"][0]["code"] == "LER-UNREADABLE"


@pytest.mark.parametrize("query", ["language=fr", "strict=perhaps", f"name={'x' * 201}"])
def test_a_wrong_parameter_is_explained(client: httpx.Client, query: str) -> None:
    answer = client.post(f"/api/utilities/check?{query}", content=CLEAN)
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["detail"]


def test_a_body_above_the_bound_is_refused_before_it_is_read(deployment: Deployment) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", deployment.port, timeout=30)
    connection.putrequest("POST", "/api/utilities/check")
    connection.putheader("Authorization", f"Bearer {deployment.tokens['owner']}")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["code"] == "too-large"
    connection.close()


def test_nothing_is_left_behind(client: httpx.Client, deployment: Deployment) -> None:
    before = {path for path in deployment.data_dir.rglob("*") if path.is_file()}
    check(client, FAULTY)
    check(client, b"not xml")
    after = {path for path in deployment.data_dir.rglob("*") if path.is_file()}
    assert {path for path in after - before if path.suffix not in (".log", ".sock")} == set()
    assert list((deployment.data_dir / "uploads").iterdir()) == []
