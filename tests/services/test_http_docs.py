"""The page of the HTTP interface, and the examples it offers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from deployment import Deployment
from parts import chromium
from playwright.sync_api import Page, expect, sync_playwright

from geoinfra.utilities.enquiry import EnquiryRequest
from services.web import STATIC_DIR

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def openapi(demo_server: str) -> dict[str, Any]:
    """The OpenAPI document of the running demo."""
    document: dict[str, Any] = httpx.get(f"{demo_server}/api/openapi.json").raise_for_status().json()
    return document


@pytest.fixture(params=["planned", "emergency", "planning"])
def example(request: pytest.FixtureRequest, openapi: dict[str, Any]) -> dict[str, Any]:
    """The example of filing an enquiry of each kind."""
    body = openapi["paths"]["/api/enquiries"]["post"]["requestBody"]["content"]["application/json"]
    document: dict[str, Any] = body["examples"][request.param]["value"]
    assert document["kind"] == request.param
    return document


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for member in value.values():
            yield from _references(member)
    elif isinstance(value, list):
        for member in value:
            yield from _references(member)


def test_every_reference_of_the_description_resolves(openapi: dict[str, Any]) -> None:
    for reference in set(_references(openapi)):
        start, *names = reference.split("/")
        assert start == "#", reference
        found = openapi
        for name in names:
            assert name in found, reference
            found = found[name]


def test_the_example_keeps_every_rule_of_an_enquiry(example: dict[str, Any]) -> None:
    request = EnquiryRequest.from_document(example)
    assert request.area_m2 == 80 * 27


def test_the_example_is_filed_as_it_is(deployment: Deployment, example: dict[str, Any]) -> None:
    token = {"Authorization": f"Bearer {deployment.tokens['excavator']}"}
    answer = httpx.post(f"{deployment.url}/api/enquiries", json=example, headers=token, timeout=30)
    assert answer.status_code == 201, answer.text
    assert answer.json()["period"] == example["period"]
    assert answer.json()["kind"] == example["kind"]


def test_the_documents_page_runs_no_inline_script(demo_server: str) -> None:
    answer = httpx.get(f"{demo_server}/api/docs")
    policy = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert answer.status_code == 200
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["object-src"] == policy["base-uri"] == "'none'"


@pytest.fixture
def docs(demo_server: str) -> Iterator[Page]:
    """The page in Chromium; no script fails, no rule of its policy is broken, no request goes elsewhere."""
    program = chromium(STATIC_DIR / "vendor" / "swagger-ui")
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(locale="en-GB")
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', "
            "(e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}`))"
        )
        page.on("console", lambda m: m.type in ("error", "warning") and faults.append(m.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda r: r.url.startswith((demo_server, "data:")) or faults.append(r.url))
        page.goto(f"{demo_server}/api/docs")
        yield page
        browser.close()
    assert faults == []


@pytest.mark.browser
def test_the_page_lists_every_operation(docs: Page, openapi: dict[str, Any]) -> None:
    operations = sum(len(methods) for methods in openapi["paths"].values())
    expect(docs.locator(".opblock")).to_have_count(operations)
    expect(docs.locator(".errors-wrapper")).to_have_count(0)


@pytest.mark.browser
def test_a_token_given_on_the_page_files_the_example(docs: Page, deployment: Deployment) -> None:
    docs.click(".btn.authorize")
    docs.fill(".auth-container input", deployment.tokens["excavator"])
    docs.click(".auth-btn-wrapper .authorize")
    docs.click(".auth-btn-wrapper .btn-done")
    operation = docs.locator(".opblock-post", has=docs.locator('[data-path="/api/enquiries"]'))
    operation.locator(".opblock-summary-control").click()
    with docs.expect_response(f"{deployment.url}/api/enquiries") as filed:
        operation.locator(".btn.execute").click()
    assert filed.value.status == 201
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("201")
