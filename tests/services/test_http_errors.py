"""Every error of the tree has a status, a place on the errors page, and one shape on the wire."""

from __future__ import annotations

import httpx
import pytest
from deployment import Deployment

from geoinfra.errors import GeoinfraError, Report, all_errors
from services.errors import STATUS, errors_page, problem_of

pytestmark = pytest.mark.services


def instance_of(error: type[GeoinfraError]) -> GeoinfraError:
    if error.code == "data-refused":
        return error("no", Report())  # type: ignore[arg-type]  # DataRefused takes a report
    return error("no", hint="do this")


@pytest.mark.parametrize("error", list(all_errors()), ids=lambda error: str(error.code))
def test_each_error_becomes_a_problem_document(error: type[GeoinfraError]) -> None:
    answer = problem_of(instance_of(error))
    assert answer.status_code == STATUS[error]
    assert answer.media_type == "application/problem+json"
    assert f'id="{error.code}"' in errors_page()


def test_codes_are_unique() -> None:
    codes = [error.code for error in all_errors()]
    assert len(codes) == len(set(codes))


def test_the_type_of_a_problem_leads_to_its_explanation(deployment: Deployment) -> None:
    with httpx.Client(base_url=deployment.url) as client:
        problem = client.get("/api/nothing").json()
        page = client.get(problem["type"])
    assert page.status_code == 200
    assert f'id="{problem["code"]}"' in page.text


def test_the_openapi_description_names_the_main_job(deployment: Deployment) -> None:
    with httpx.Client(base_url=deployment.url) as client:
        document = client.get("/api/openapi.json").json()
    assert "/api/enquiries" in document["paths"]
    body = document["paths"]["/api/enquiries"]["post"]["requestBody"]["content"]["application/json"]
    name = body["schema"]["$ref"].removeprefix("#/components/schemas/")
    required = document["components"]["schemas"][name]["required"]
    assert {"area", "period", "methods", "contact"} <= set(required)
