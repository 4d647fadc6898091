"""OGC API Processes 1.0: descriptions, execution, the jobs of one's own, results, and dismissal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pyproj
import pytest
from small_store import as_who, make_store, serving

from geoinfra.flows.handlers import HANDLERS
from geoinfra.storage import Store, open_store
from geoinfra.storage.jobs import JobContext, Worker

pytestmark = pytest.mark.services

CORE = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/core"
EXCEPTIONS = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
RELATIONS = "http://www.opengis.net/def/rel/ogc/1.0"
TRANSFORM = "/processes/transform-coordinates/execution"
INPUTS = {"coordinates": [[600000, 6080000], [500000, 6200000]], "from": "EPSG:25832", "to": "OGC:CRS84"}
ASYNC = {"Prefer": "respond-async"}

STATUS = {
    "type": "object",
    "required": ["jobID", "status", "type"],
    "properties": {
        "processID": {"type": "string"},
        "type": {"const": "process"},
        "jobID": {"type": "string"},
        "status": {"enum": ["accepted", "running", "successful", "failed", "dismissed"]},
        "message": {"type": "string"},
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "created": {"type": "string"},
        "links": {"type": "array", "items": {"required": ["href"]}},
    },
}
DESCRIPTION = {
    "type": "object",
    "required": ["id", "version", "inputs", "outputs", "jobControlOptions", "outputTransmission"],
    "properties": {
        "jobControlOptions": {"items": {"enum": ["sync-execute", "async-execute", "dismiss"]}},
        "outputTransmission": {"items": {"enum": ["value", "reference"]}},
        "inputs": {"additionalProperties": {"required": ["schema"]}},
        "outputs": {"additionalProperties": {"required": ["schema"]}},
    },
}


@contextmanager
def working(store: Store) -> Iterator[None]:
    """Run a worker beside the service."""
    stop = threading.Event()
    thread = threading.Thread(target=Worker(store, HANDLERS, poll_s=0.05).run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def work(store: Store) -> None:
    """Do what waits."""
    worker = Worker(store, HANDLERS)
    while worker.run_one():
        pass


def execute(api: httpx.Client, inputs: Any = INPUTS, path: str = TRANSFORM, **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    return api.post(path, json={"inputs": inputs, **more}, headers=headers)


def accepted(api: httpx.Client, **more: Any) -> str:
    """Begin an asynchronous job; give its path."""
    answer = execute(api, headers=ASYNC, **more)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"].partition("/ogc")[2]


# --- Descriptions


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/core")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/json")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/ogc-process-description")
def test_every_listed_process_is_described(api: httpx.Client) -> None:
    landing = {link["rel"]: link["href"] for link in api.get("/").json()["links"]}
    listed = api.get(landing[f"{RELATIONS}/processes"]).raise_for_status().json()
    assert {"dig-enquiry", "preview-enquiry", "check-utility-delivery", "transform-coordinates"} == {
        one["id"] for one in listed["processes"]
    }
    for one in listed["processes"]:
        (own,) = [link["href"] for link in one["links"] if link["rel"] == "self"]
        told = api.get(own).raise_for_status().json()
        jsonschema.validate(told, DESCRIPTION)
        assert {name: told[name] for name in one} == one
        for described in (*told["inputs"].values(), *told["outputs"].values()):
            jsonschema.Draft202012Validator.check_schema(described["schema"])
        (href,) = [link["href"] for link in one["links"] if link["rel"] == f"{RELATIONS}/execute"]
        assert api.get(href).status_code == 405
    assert len(api.get("/processes", params={"limit": 1}).json()["processes"]) == 1


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/html")
@pytest.mark.parametrize("path", ["/processes", "/processes/dig-enquiry"])
def test_descriptions_are_pages_too(api: httpx.Client, path: str) -> None:
    page = api.get(path, params={"f": "html", "lang": "da"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Graveforespørgsel" in page.text


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/oas30")
def test_every_path_of_processes_is_described(api: httpx.Client) -> None:
    paths = api.get("/openapi").json()["paths"]
    assert "201" in paths["/processes/{processId}/execution"]["post"]["responses"]
    assert {"get", "delete"} <= set(paths["/jobs/{jobId}"])
    assert {"/processes", "/processes/{processId}", "/jobs", "/jobs/{jobId}/results"} <= set(paths)


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/core")
@pytest.mark.parametrize(
    ("method", "path", "exception"),
    [
        ("GET", "/processes/nothing", "no-such-process"),
        ("POST", "/processes/nothing/execution", "no-such-process"),
        ("GET", "/jobs/01ABC", "no-such-job"),
        ("GET", "/jobs/01ABC/results", "no-such-job"),
        ("DELETE", "/jobs/01ABC", "no-such-job"),
    ],
)
def test_what_does_not_exist_has_the_standards_type(
    api: httpx.Client, method: str, path: str, exception: str
) -> None:
    answer = api.request(method, path, json={"inputs": {}} if method == "POST" else None)
    assert answer.status_code == 404
    assert answer.json()["type"] == f"{EXCEPTIONS}/{exception}"


# --- Execution


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/core")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/json")
def test_a_synchronous_answer_holds_the_results(api: httpx.Client, small: tuple[Store, str]) -> None:
    with working(small[0]):
        whole = execute(api, response="document")
        one = execute(api, outputs={"coordinates": {"transmissionMode": "value"}})
    assert (whole.status_code, one.status_code) == (200, 200), whole.text
    assert set(whole.json()) == {"coordinates", "crs"}
    assert one.json() == whole.json()["coordinates"]
    moved = pyproj.Transformer.from_crs(25832, "OGC:CRS84", always_xy=True)
    for given, found in zip(INPUTS["coordinates"], one.json(), strict=True):  # type: ignore[arg-type]  # a list of JSON
        assert found == pytest.approx(moved.transform(*given))


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/core")
def test_an_asynchronous_job_is_accepted_done_and_read(api: httpx.Client, small: tuple[Store, str]) -> None:
    answer = execute(api, headers=ASYNC)
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "respond-async"
    jsonschema.validate(answer.json(), STATUS)
    assert answer.json()["status"] == "accepted"
    path = answer.headers["location"]
    early = api.get(f"{path}/results")
    assert (early.status_code, early.json()["type"]) == (404, f"{EXCEPTIONS}/result-not-ready")
    work(small[0])
    status = api.get(path).json()
    jsonschema.validate(status, STATUS)
    assert (status["status"], status["progress"]) == ("successful", 100)
    assert status["created"] <= status["started"] <= status["finished"]
    (href,) = [link["href"] for link in status["links"] if link["rel"] == f"{RELATIONS}/results"]
    assert set(api.get(href).json()) == {"coordinates", "crs"}


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/core")
def test_how_results_are_wanted_is_kept_with_the_job(api: httpx.Client, small: tuple[Store, str]) -> None:
    wanted = {"coordinates": {}}
    raw, document = accepted(api, outputs=wanted), accepted(api, outputs=wanted, response="document")
    work(small[0])
    value = api.get(f"{raw}/results").json()
    assert isinstance(value, list)
    assert api.get(f"{document}/results").json() == {"coordinates": value}


def test_a_failed_job_tells_why(api: httpx.Client, small: tuple[Store, str]) -> None:
    path = accepted(api, inputs={**INPUTS, "coordinates": [[9e8, 9e8]]})
    work(small[0])
    assert api.get(path).json()["status"] == "failed"
    answer = api.get(f"{path}/results")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid-input"
    with working(small[0]):
        assert execute(api, {**INPUTS, "coordinates": [[9e8, 9e8]]}).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {}, [], "text", {"inputs": []}, {"inputs": {}}, {"inputs": {**INPUTS, "more": 1}},
        {"inputs": {**INPUTS, "coordinates": [[1, "2"]]}}, {"inputs": {**INPUTS, "coordinates": [[1]]}},
        {"inputs": {**INPUTS, "coordinates": [[True, 1]]}}, {"inputs": {**INPUTS, "from": "EPSG:1"}},
        {"inputs": {**INPUTS, "to": 5}}, {"inputs": INPUTS, "response": "soon"},
        {"inputs": INPUTS, "outputs": {"nothing": {}}}, {"inputs": INPUTS, "outputs": []},
        {"inputs": INPUTS, "outputs": {"crs": {"transmissionMode": "reference"}}},
        {"inputs": INPUTS, "subscriber": {"successUri": "http://127.0.0.1/"}},
    ],
)  # fmt: skip
def test_a_request_without_meaning_begins_no_job(
    api: httpx.Client, small: tuple[Store, str], body: Any
) -> None:
    answer = api.post(TRANSFORM, json=body)
    assert answer.status_code == 400, answer.text
    assert not Worker(small[0], HANDLERS).run_one()


def test_too_many_positions_are_refused(api: httpx.Client) -> None:
    assert execute(api, {**INPUTS, "coordinates": [[1, 1]] * 10_001}).status_code == 413


def test_visitors_may_not_fill_the_queue(api: httpx.Client, small: tuple[Store, str]) -> None:
    answers = [execute(api, headers=ASYNC).status_code for _ in range(52)]
    work(small[0])
    assert answers == [201] * 50 + [503] * 2


@pytest.mark.parametrize("process", ["dig-enquiry", "preview-enquiry", "check-utility-delivery"])
def test_other_processes_need_a_token(api: httpx.Client, process: str) -> None:
    inputs = {"area": {}, "delivery": "x", "period": {}, "methods": [], "contact": {}}
    known = api.get(f"/processes/{process}").json()["inputs"]
    sent = {name: value for name, value in inputs.items() if name in known}
    assert execute(api, sent, f"/processes/{process}/execution").status_code == 401


# --- Jobs of one's own


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/job-list")
def test_the_list_of_jobs_holds_ones_own_only(api: httpx.Client) -> None:
    mine, others = as_who("digger"), as_who("other-digger")
    paths = [execute(api, headers={**ASYNC, **mine}).headers["location"] for _ in range(3)]
    theirs = execute(api, headers={**ASYNC, **others}).headers["location"]
    assert api.get("/jobs").status_code == 401
    page = api.get("/jobs", params={"limit": 2}, headers=mine).json()
    assert page["numberMatched"] == 3
    seen = page["jobs"]
    (following,) = [link["href"] for link in page["links"] if link["rel"] == "next"]
    seen += api.get(following, headers=mine).json()["jobs"]
    for status in seen:
        jsonschema.validate(status, STATUS)
    assert [one["jobID"] for one in seen] == [path.rpartition("/")[2] for path in reversed(paths)]
    assert api.get(theirs, headers=mine).status_code == 404
    assert api.get(theirs, headers=as_who("admin")).status_code == 404
    assert api.get(theirs).status_code == 404
    for query, count in (
        ({"processID": "transform-coordinates"}, 3), ({"processID": "dig-enquiry"}, 0),
        ({"status": "accepted"}, 3), ({"status": "successful,failed"}, 0), ({"type": "process"}, 3),
    ):  # fmt: skip
        assert api.get("/jobs", params=query, headers=mine).json()["numberMatched"] == count
    for query in ({"status": "gone"}, {"processID": "nothing"}, {"limit": "0"}, {"colour": "red"}):
        assert api.get("/jobs", params=query, headers=mine).status_code == 400
    for path, who in (*((path, mine) for path in paths), (theirs, others)):
        assert api.delete(path, headers=who).status_code == 200


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/dismiss")
def test_a_job_that_waits_is_dismissed(api: httpx.Client, small: tuple[Store, str]) -> None:
    path = accepted(api)
    answer = api.delete(path)
    assert answer.status_code == 200
    jsonschema.validate(answer.json(), STATUS)
    assert answer.json()["status"] == "dismissed"
    assert not Worker(small[0], HANDLERS).run_one()
    assert api.get(path).json()["status"] == "dismissed"
    assert api.get(f"{path}/results").status_code == 404


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/dismiss")
def test_a_job_that_runs_is_dismissed(api: httpx.Client, small: tuple[Store, str]) -> None:
    begun, told, ended = threading.Event(), threading.Event(), threading.Event()

    def slow(_store: Store, context: JobContext) -> None:
        begun.set()
        told.wait(20)
        try:
            while not ended.wait(0.11):
                context.progress(0.5, "At work.")
        finally:
            ended.set()

    path = accepted(api)
    thread = threading.Thread(target=Worker(small[0], {"transform-coordinates": slow}).run_one)
    thread.start()
    assert begun.wait(20)
    assert api.get(path).json()["status"] == "running"
    assert api.delete(path).json()["status"] == "dismissed"
    told.set()
    thread.join(20)
    assert api.get(path).json()["status"] == "dismissed"
    assert api.delete(path).status_code == 200


def test_a_job_that_has_ended_is_not_dismissed(api: httpx.Client, small: tuple[Store, str]) -> None:
    path = accepted(api)
    work(small[0])
    assert api.delete(path).status_code == 409


def test_results_outlive_the_processes(tmp_path: Path) -> None:
    store = make_store(tmp_path / "data")
    with serving(store) as url, httpx.Client(base_url=f"{url}/ogc") as client:
        path = accepted(client, outputs={"crs": {}}, response="document")
    store.close()
    store = open_store(tmp_path / "data")
    work(store)
    store.close()
    store = open_store(tmp_path / "data")
    try:
        with serving(store) as url, httpx.Client(base_url=f"{url}/ogc") as client:
            assert client.get(path).json()["status"] == "successful"
            assert client.get(f"{path}/results").json() == {"crs": "OGC:CRS84"}
    finally:
        store.close()
