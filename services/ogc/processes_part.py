"""OGC API Processes 1.0: descriptions, execution, and the jobs of one's own, over the jobs of the store."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
from pygeoapi.api import APIRequest
from pygeoapi.util import render_j2_template
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from geoinfra.access import Access
from geoinfra.errors import (
    Conflict,
    DataRefused,
    GeoinfraError,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    all_errors,
)
from geoinfra.flows.enquiries import enquiry
from geoinfra.flows.enquiry_records import require_in_force
from geoinfra.flows.package_jobs import BUILD_PACKAGE
from geoinfra.flows.process_jobs import forget_input, kept_request
from geoinfra.storage import Store, jobs
from geoinfra.storage.collections import Collection
from services.errors import problem_of
from services.ogc import parameters
from services.ogc.asked import PRIVATE, Asked, is_fresh, public, require_once
from services.ogc.part import Serve
from services.ogc.processes import PROCESSES, Process, process_of_kind

__all__ = ["CONFORMANCE_PROCESSES", "ProcessesPart"]

CONFORMANCE_PROCESSES: Final = tuple(
    f"http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/{name}"
    for name in ("core", "ogc-process-description", "json", "html", "oas30", "job-list", "dismiss")
)

_EXCEPTIONS: Final = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
_RELATIONS: Final = "http://www.opengis.net/def/rel/ogc/1.0"
_SYNC_WAIT_S: Final = 30.0
_FIRST_POLL_S, _LONGEST_POLL_S = 0.01, 0.25
_STATES: Final = {
    "queued": "accepted",
    "running": "running",
    "done": "successful",
    "failed": "failed",
    "cancelled": "dismissed",
}
_MOST_JOBS: Final = 10_000
_DEFAULT_LIMIT: Final = 10
_LIST: Final = {"f", "lang", "limit", "offset", "type", "processID", "status"}


class ProcessesPart:
    """OGC API Processes 1.0 part 1 over the flows; callbacks are not offered."""

    conformance = CONFORMANCE_PROCESSES

    def routes(self, serve: Serve) -> list[Route]:
        """Return the routes, relative to the service's address."""
        get, do = serve.computed, serve.waiting
        return [
            Route("/processes", get(_processes)),
            Route("/processes/{process}", get(_process)),
            Route("/processes/{process}/execution", do(_execute), methods=["POST"]),
            Route("/jobs", do(_jobs)),
            Route("/jobs/{job}", do(_job)),
            Route("/jobs/{job}", do(_dismiss), methods=["DELETE"]),
            Route("/jobs/{job}/results", do(_results)),
            Route("/jobs/{job}/results/package", do(_package)),
        ]

    def landing_links(self, url: str) -> list[dict[str, str]]:
        """Return the links to the processes and to one's own jobs."""
        return [
            _link(f"{_RELATIONS}/processes", f"{url}/processes?f=json", "Processes"),
            _link(f"{_RELATIONS}/job-list", f"{url}/jobs?f=json", "Jobs of your own"),
        ]

    def collection_links(self, url: str, collection: Collection) -> list[dict[str, str]]:  # noqa: ARG002  # of none
        """Return none: no process is about one collection."""
        return []

    def openapi_paths(self) -> Mapping[str, Any]:
        """Return the paths for the OpenAPI document."""
        return _openapi_paths()


def _link(rel: str, href: str, title: str, media_type: str = "application/json") -> dict[str, str]:
    return {"rel": rel, "type": media_type, "title": title, "href": href}


# --- Descriptions


def _summary(process: Process, url: str, language: str) -> dict[str, Any]:
    told = process.description
    about = f"{url}/processes/{process.id}"
    return {
        "id": process.id,
        "version": told["version"],
        "title": told["title"][language],
        "description": told["description"][language],
        "keywords": list(told["keywords"]),
        "jobControlOptions": [*told["jobControlOptions"], "dismiss"],
        "outputTransmission": list(told["outputTransmission"]),
        "links": [
            _link("self", f"{about}?f=json", "Description of the process"),
            _link("alternate", f"{about}?f=html", "Description as HTML", "text/html"),
            _link(f"{_RELATIONS}/execute", f"{about}/execution?f=json", "Execution"),
            _link(f"{_RELATIONS}/job-list", f"{url}/jobs?processID={process.id}", "Jobs of your own"),
        ],
    }


def _described(process: Process, url: str, language: str) -> dict[str, Any]:
    told = process.description
    document = {**_summary(process, url, language), "inputs": told["inputs"], "outputs": told["outputs"]}
    return {**document, "example": told["example"]} if "example" in told else document


def _processes(asked: Asked) -> Response:
    parameters.require_known(asked.query, parameters.COMMON | {"limit"})
    limit = _number(asked, "limit", len(PROCESSES), 1)
    own = f"{asked.url}/processes"
    listed = [_summary(process, asked.url, asked.language) for process in PROCESSES.values()][:limit]
    links = [
        _link("self", f"{own}?f=json", "Processes"),
        _link("alternate", f"{own}?f=html", "Processes as HTML", "text/html"),
    ]
    return _document(asked, {"processes": listed, "links": links}, "processes/index.html")


def _process(asked: Asked) -> Response:
    parameters.require_known(asked.query, parameters.COMMON)

    def answer() -> Response:
        told = _described(_named(asked), asked.url, asked.language)
        return _document(asked, told, "processes/process.html")

    return _typed(answer)


def _document(asked: Asked, document: dict[str, Any], template: str) -> Response:
    headers = public(asked)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    if not asked.as_html:
        return Response(orjson.dumps(document), headers={**headers, "Content-Type": "application/json"})
    config = asked.view.config
    locale = APIRequest(asked.request, asked.view.locales).locale
    page = render_j2_template(config, config["server"]["templates"], template, document, locale)
    return Response(page, headers={**headers, "Content-Type": "text/html; charset=utf-8"})


def _named(asked: Asked) -> Process:
    process = PROCESSES.get(asked.request.path_params["process"])
    if process is None:
        raise _missing("no-such-process", "There is no such process.")
    return process


def _missing(name: str, message: str) -> NotFound:
    return NotFound(
        message,
        hint="See the lists of processes and of your jobs.",
        details={"exception": f"{_EXCEPTIONS}/{name}"},
    )


def _typed(answer: Callable[[], Response]) -> Response:
    """Give a missing process, job or result the problem type that the standard prescribes."""
    try:
        return answer()
    except NotFound as error:
        if "exception" not in error.details:
            raise
        document = orjson.loads(problem_of(error).body)
        document["type"] = document.pop("exception")
        kept = {"Cache-Control": "no-store"}
        return Response(orjson.dumps(document), 404, kept, "application/problem+json")


# --- Execution


def _execute(asked: Asked) -> Response:
    parameters.require_known(asked.query, parameters.COMMON)
    return _typed(lambda: _executed(asked))


def _executed(asked: Asked) -> Response:
    process = _named(asked)
    request = _request(asked, process)
    process.check_inputs(request["inputs"])
    _require_known_to(process, asked.access)
    job_id = process.start(asked.store, asked.access, request["inputs"])
    _remember(asked.store, job_id, request)
    if _prefers_async(asked):
        return _accepted(asked, process, job_id)
    job = _ended(asked.store, asked.access, job_id)
    if not job.ended:
        return _accepted(asked, process, job_id)
    return _answer(asked, process, job, request)


def _require_known_to(process: Process, access: Access) -> None:
    if access.organisation is None and not process.is_open:
        raise NotAuthenticated(
            f"The process '{process.id}' needs a token.", hint="Authorization: Bearer <token>"
        )


def _request(asked: Asked, process: Process) -> dict[str, Any]:
    """Return what the body asks for, with the outputs that are wanted.

    Raises
    ------
    InvalidInput
        The body is no execute request; the message says why.
    """
    kind = asked.request.headers.get("content-type", "").split(";")[0].strip()
    if kind != "application/json":
        raise InvalidInput("The body must be JSON.", hint="Content-Type: application/json")
    try:
        body = orjson.loads(asked.body)
    except orjson.JSONDecodeError:
        raise InvalidInput("The body is not JSON.", hint='Send {"inputs": {...}}.') from None
    if not isinstance(body, dict) or not isinstance(body.get("inputs"), dict):
        raise InvalidInput("The body holds no inputs.", hint='Send {"inputs": {...}}.')
    if "subscriber" in body:
        raise InvalidInput("Callbacks are not offered.", hint="Ask for the job until it has ended.")
    response = body.get("response", "raw")
    if response not in ("raw", "document"):
        raise InvalidInput("'response' is raw or document.")
    outputs = _wanted(process, body.get("outputs"))
    return {"inputs": body["inputs"], "response": response, "outputs": outputs}


def _wanted(process: Process, outputs: Any) -> dict[str, str]:
    """Return the outputs that are wanted and how each is sent; all of them by value when none is named."""
    if outputs is None:
        return {name: "value" for name in process.outputs if name != "package"}
    if not isinstance(outputs, dict):
        raise InvalidInput("'outputs' is an object of names.", hint=f"Outputs: {', '.join(process.outputs)}.")
    wanted = {}
    for name, told in outputs.items():
        if name not in process.outputs:
            raise InvalidInput(
                f"The process has no output '{str(name)[:60]}'.",
                hint=f"Outputs: {', '.join(process.outputs)}.",
            )
        default = "reference" if name == "package" else "value"
        how = told.get("transmissionMode", default) if isinstance(told, dict) else None
        if how != default:
            raise InvalidInput(f"The output '{name}' is given by {default} only.")
        wanted[name] = how
    return wanted


def _prefers_async(asked: Asked) -> bool:
    preferences = ",".join(asked.request.headers.getlist("prefer")).lower()
    return "respond-async" in (part.split(";")[0].strip() for part in preferences.split(","))


def _remember(store: Store, job_id: str, request: Mapping[str, Any]) -> None:
    """Keep how the results are wanted, for when they are fetched, perhaps after a restart."""
    kept = {"response": request["response"], "outputs": request["outputs"]}
    store.blobs.put(kept_request(job_id), orjson.dumps(kept))


def _remembered(store: Store, process: Process, job_id: str) -> dict[str, Any]:
    name = kept_request(job_id)
    if not store.blobs.exists(name):
        return {"response": "raw", "outputs": _wanted(process, None)}
    kept: dict[str, Any] = orjson.loads(store.blobs.path(name).read_bytes())
    return kept


def _accepted(asked: Asked, process: Process, job_id: str) -> Response:
    job = jobs.get(asked.store, asked.access, job_id)
    headers = {**PRIVATE, "Location": f"{asked.url}/jobs/{job_id}", "Content-Type": "application/json"}
    if _prefers_async(asked):
        headers["Preference-Applied"] = "respond-async"
    return Response(orjson.dumps(_status(asked, process, job)), 201, headers)


def _ended(store: Store, access: Access, job_id: str) -> jobs.Job:
    """Return the job once it has ended, or as it stands after half a minute."""
    deadline, pause_s = time.monotonic() + _SYNC_WAIT_S, _FIRST_POLL_S
    while True:
        job = jobs.get(store, access, job_id)
        if job.ended or time.monotonic() > deadline:
            return job
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LONGEST_POLL_S)


def _answer(asked: Asked, process: Process, job: jobs.Job, request: Mapping[str, Any]) -> Response:
    """Answer the results of a job that has ended.

    Raises
    ------
    GeoinfraError
        Why the job failed.
    """
    if job.state == "failed":
        raise _failure(job)
    if job.state == "cancelled":
        raise _missing("no-such-job", "The job was dismissed.")
    values = process.results(asked.store, asked.access, job)
    chosen = {name: _value(asked, values[name], how) for name, how in request["outputs"].items()}
    if request["response"] == "raw" and len(chosen) == 1:
        ((name, value),) = chosen.items()
        if request["outputs"][name] == "reference":
            reference = f'<{value["href"]}>; rel="{name}"; type="{value["type"]}"'
            return Response(status_code=204, headers={**PRIVATE, "Link": reference})
        return _json(value)
    return _json(chosen)


def _value(asked: Asked, value: Any, how: str) -> Any:
    if how != "reference":
        return value
    if value is None:
        raise _missing("result-not-ready", "The package is not made yet.")
    return {**value, "href": f"{asked.url}{value['href']}"}


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), headers={**PRIVATE, "Content-Type": "application/json"})


def _failure(job: jobs.Job) -> GeoinfraError:
    """Return the error that a job failed with."""
    told = job.result or {}
    found = next((one for one in all_errors() if one.code == told.get("code")), GeoinfraError)
    if issubclass(found, DataRefused):  # its report is not kept with the job
        found = InvalidInput
    return found(str(told.get("detail", job.message)), hint=str(told.get("hint", "")))


# --- Jobs


def _status(asked: Asked, process: Process, job: jobs.Job) -> dict[str, Any]:
    own = f"{asked.url}/jobs/{job.job_id}"
    status = "dismissed" if job.cancel_requested and not job.ended else _STATES[job.state]
    links = [_link("self", own, "This job"), _link("up", f"{asked.url}/jobs", "Jobs of your own")]
    if status in ("successful", "failed"):
        links.append(_link(f"{_RELATIONS}/results", f"{own}/results", "Results"))
    told = {
        "type": "process",
        "jobID": job.job_id,
        "processID": process.id,
        "status": status,
        "message": job.message,
        "progress": round(100 * job.progress),
        "created": job.created_at,
        "started": job.started_at,
        "finished": job.finished_at,
        "updated": job.finished_at or job.started_at or job.created_at,
    }
    return {**{name: value for name, value in told.items() if value is not None}, "links": links}


def _own(asked: Asked) -> tuple[Process, jobs.Job]:
    """Return the job of the path, if the one who asks began it."""
    try:
        job = jobs.get(asked.store, asked.access, asked.request.path_params["job"])
    except NotFound:
        raise _missing("no-such-job", "There is no such job.") from None
    process = process_of_kind(job.kind)
    if process is None or job.principal != asked.access.principal:
        raise _missing("no-such-job", "There is no such job.")
    return process, job


def _job(asked: Asked) -> Response:
    _require_json(asked, {"f", "lang"})
    return _typed(lambda: _json(_status(asked, *_own(asked))))


def _require_json(asked: Asked, known: set[str]) -> None:
    require_once(asked.query, known)
    if asked.query.get("f", "json") != "json":
        raise InvalidInput("Jobs have no other form than JSON.", hint="Use f=json.")


def _jobs(asked: Asked) -> Response:
    _require_json(asked, _LIST)
    if asked.access.organisation is None:
        raise NotAuthenticated("A list of jobs needs a token.", hint="Authorization: Bearer <token>")
    limit, offset = _number(asked, "limit", _DEFAULT_LIMIT, 1), _number(asked, "offset", 0, 0)
    limit = min(limit, 1_000)
    found = _chosen(asked)
    page = found[offset : offset + limit]
    document = {
        "jobs": [_status(asked, process, job) for process, job in page],
        "numberMatched": len(found),
        "numberReturned": len(page),
        "links": _page_links(asked, limit, offset, len(found)),
    }
    return _json(document)


def _chosen(asked: Asked) -> list[tuple[Process, jobs.Job]]:
    """Return the jobs of one's own, newest first, that the parameters ask for."""
    wanted = _words(asked, "processID", PROCESSES)
    statuses = _words(asked, "status", _STATES.values())
    types = _words(asked, "type", ("process",))
    if types is not None and "process" not in types:
        return []
    found: list[tuple[Process, jobs.Job]] = []
    for process in PROCESSES.values():
        if wanted is None or process.id in wanted:
            listed = jobs.list_jobs(asked.store, asked.access, kind=process.kind, limit=_MOST_JOBS)
            found += [(process, job) for job in listed if job.principal == asked.access.principal]
    if statuses is not None:
        found = [(p, job) for p, job in found if _status(asked, p, job)["status"] in statuses]
    return sorted(found, key=lambda pair: pair[1].job_id, reverse=True)


def _words(asked: Asked, name: str, known: Any) -> set[str] | None:
    if name not in asked.query:
        return None
    words = set(asked.query[name].split(","))
    if not words <= set(known):
        raise InvalidInput(f"'{name}' is one of {', '.join(known)}.")
    return words


def _number(asked: Asked, name: str, default: int, least: int) -> int:
    text = asked.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < least:
        raise InvalidInput(f"'{name}' is no whole number of at least {least}.")
    return int(text)


def _page_links(asked: Asked, limit: int, offset: int, matched: int) -> list[dict[str, str]]:
    own = f"{asked.url}/jobs"
    kept = {name: value for name, value in asked.query.items() if name != "offset"}

    def page(rel: str, place: int, title: str) -> dict[str, str]:
        text = urllib.parse.urlencode({**kept, "offset": str(place)}, safe=",")
        return _link(rel, f"{own}?{text}", title)

    links = [page("self", offset, "This page")]
    if offset + limit < matched:
        links.append(page("next", offset + limit, "Next page"))
    if offset:
        links.append(page("prev", max(offset - limit, 0), "Page before"))
    return links


def _dismiss(asked: Asked) -> Response:
    """Stop a job that waits or runs; its standing tells so at once."""
    _require_json(asked, {"f", "lang"})
    return _typed(lambda: _dismissed(asked))


def _dismissed(asked: Asked) -> Response:
    process, job = _own(asked)
    if job.state in ("done", "failed"):
        raise Conflict("The job has ended already.", hint="Results of ended jobs are kept for a while.")
    with asked.store.begin() as tx:
        job = jobs.cancel(tx, asked.access, job.job_id)
        tx.commit()
    if job.state == "cancelled":
        forget_input(asked.store, job.payload)
    return _json(_status(asked, process, job))


def _results(asked: Asked) -> Response:
    _require_json(asked, {"f", "lang"})

    def answer() -> Response:
        process, job = _own(asked)
        if not job.ended:
            raise _missing("result-not-ready", "The result is not ready.")
        return _answer(asked, process, job, _remembered(asked.store, process, job.job_id))

    return _typed(answer)


def _package(asked: Asked) -> Response:
    require_once(asked.query, set())
    return _typed(lambda: _package_file(asked))


def _package_file(asked: Asked) -> Response:
    process, job = _own(asked)
    if process.kind != BUILD_PACKAGE:
        raise _missing("no-such-job", "The job makes no package.")
    filed = enquiry(asked.store, asked.access, job.payload["number"])
    if filed.package is None or not asked.store.blobs.exists(filed.package.blob):
        raise _missing("result-not-ready", "The package is not made yet, or no longer kept.")
    require_in_force(filed)
    asked.store.audit.append("package.downloaded", asked.access, filed.package.blob, {"job": job.job_id})
    name = f"Ledningspakke_{filed.number}.zip"
    path = asked.store.blobs.path(filed.package.blob)
    return FileResponse(path, 200, dict(PRIVATE), "application/zip", filename=name)


# --- OpenAPI


def _openapi_paths() -> dict[str, Any]:
    form = _parameter("f", "query", {"type": "string", "enum": ["json", "html"]})
    language = _parameter("lang", "query", {"type": "string", "enum": ["da", "en"]})
    limit = _parameter("limit", "query", {"type": "integer", "minimum": 1})
    offset = _parameter("offset", "query", {"type": "integer", "minimum": 0})
    name, job = (_parameter(one, "path", {"type": "string"}) for one in ("processId", "jobId"))
    statuses = {"type": "string", "enum": list(_STATES.values())}
    chosen = [
        _parameter("type", "query", {"type": "string", "enum": ["process"]}),
        _parameter("processID", "query", {"type": "string", "enum": list(PROCESSES)}),
        _parameter("status", "query", statuses),
    ]
    return {
        "/processes": {"get": _operation("Processes", [form, language, limit], html=True)},
        "/processes/{processId}": {"get": _operation("A process", [name, form, language], html=True)},
        "/processes/{processId}/execution": {"post": _execution(name)},
        "/jobs": {"get": _operation("Jobs of your own", [*chosen, limit, offset])},
        "/jobs/{jobId}": {
            "get": _operation("A job", [job]),
            "delete": _operation("Dismiss a job", [job]),
        },
        "/jobs/{jobId}/results": {"get": _operation("Results of a job", [job])},
        "/jobs/{jobId}/results/package": {
            "get": _operation("The package of a dig enquiry", [job], "application/zip")
        },
    }


def _parameter(name: str, place: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": dict(schema)}


def _operation(
    summary: str,
    asked: Sequence[Mapping[str, Any]],
    media_type: str = "application/json",
    *,
    html: bool = False,
) -> dict[str, Any]:
    forms: dict[str, Any] = {media_type: {}} | ({"text/html": {}} if html else {})
    answers: dict[str, Any] = {"200": {"description": summary, "content": forms}}
    for status, text in {"400": "A parameter has no meaning", "404": "There is no such resource"}.items():
        answers[status] = {"description": text, "content": {"application/problem+json": {}}}
    return {
        "tags": ["processes"],
        "summary": summary,
        "operationId": f"processes.{summary.lower().replace(' ', '-')}",
        "parameters": list(asked),
        "responses": answers,
    }


def _execution(name: Mapping[str, Any]) -> dict[str, Any]:
    prefer = _parameter("Prefer", "header", {"type": "string", "enum": ["respond-async"]})
    told = _operation("Execute a process", [name, prefer])
    told["responses"]["201"] = {
        "description": "The job was accepted",
        "headers": {"Location": {"schema": {"type": "string"}}},
        "content": {"application/json": {}},
    }
    schema = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "inputs": {"type": "object"},
            "outputs": {"type": "object"},
            "response": {"type": "string", "enum": ["raw", "document"]},
        },
    }
    return {**told, "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
