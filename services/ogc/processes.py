"""OGC API Processes: ``dig-enquiry`` files a dig enquiry; its job is the one that makes the package.

The manager is a view over :mod:`geoinfra.storage.jobs`: it keeps no jobs of its own, runs nothing in threads
of the web process, and calls no addresses that clients name.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any

from pygeoapi.process.base import BaseProcessor, JobNotFoundError
from pygeoapi.process.manager.base import BaseManager
from pygeoapi.util import JobStatus, RequestedProcessExecutionMode

from geoinfra.access import Access
from geoinfra.errors import NotAuthenticated, NotFound
from geoinfra.flows.enquiries import Enquiry, enquiry, file_enquiry
from geoinfra.storage import Store, jobs
from geoinfra.utilities.enquiry import PACKAGE_FORMATS
from services.ogc.call import Caller

__all__ = ["PROCESSES", "DigEnquiry", "JobManager"]

_JOB_KIND = "build-package"
_SYNC_WAIT_S = 30.0
_POLL_S = 0.05
_STATUS = {
    "queued": JobStatus.accepted,
    "running": JobStatus.running,
    "done": JobStatus.successful,
    "failed": JobStatus.failed,
    "cancelled": JobStatus.dismissed,
}
_TEXT = {"type": "string"}


def _input(title: str, schema: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    return {
        "title": title,
        "description": title,
        "schema": dict(schema),
        "minOccurs": int(required),
        "maxOccurs": 1,
    }


class DigEnquiry(BaseProcessor):  # type: ignore[misc]  # pygeoapi carries no types
    """Describes the process; filing itself is :func:`geoinfra.flows.enquiries.file_enquiry`."""

    METADATA: Mapping[str, Any] = {
        "version": "1.0.0",
        "id": "dig-enquiry",
        "title": {"en": "Dig enquiry", "da": "Graveforespørgsel"},
        "description": {
            "en": "Files a dig enquiry for an area and gives the enquiry with every owner's answer. "
            "Needs the token of an excavator.",
            "da": "Opretter en graveforespørgsel og giver den med hver ledningsejers svar.",
        },
        "keywords": ["utilities", "excavation"],
        "jobControlOptions": ["sync-execute", "async-execute"],
        "outputTransmission": ["value"],
        "links": [],
        "inputs": {
            "area": _input(
                "Dig area: one GeoJSON Polygon",
                {"allOf": [{"format": "geojson-geometry"}, {"type": "object"}]},
                required=True,
            ),
            "crs": _input("CRS of the area", {**_TEXT, "default": "CRS84"}, required=False),
            "period": _input(
                "First and last day of the dig",
                {
                    "type": "object",
                    "required": ["from", "to"],
                    "properties": {"from": {**_TEXT, "format": "date"}, "to": {**_TEXT, "format": "date"}},
                },
                required=True,
            ),
            "methods": _input("LER graveart numbers", {"type": "array", "items": _TEXT}, required=True),
            "methods_other": _input("Another method, in words", _TEXT, required=False),
            "description": _input("What the dig is for", _TEXT, required=False),
            "contact": _input(
                "Who answers for the dig",
                {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": _TEXT, "email": _TEXT, "phone": _TEXT},
                },
                required=True,
            ),
            "formats": _input(
                "Formats of the package",
                {"type": "array", "items": {**_TEXT, "enum": list(PACKAGE_FORMATS)}},
                required=False,
            ),
        },
        "outputs": {
            "enquiry": {
                "title": "The enquiry",
                "description": "The enquiry as GET /api/enquiries/{number} gives it",
                "schema": {"type": "object", "contentMediaType": "application/json"},
            }
        },
        "example": {
            "inputs": {
                "area": {
                    "type": "Polygon",
                    "coordinates": [
                        [[11.87, 54.77], [11.871, 54.77], [11.871, 54.771], [11.87, 54.771], [11.87, 54.77]]
                    ],
                },
                "period": {"from": "2026-12-01", "to": "2026-12-20"},
                "methods": ["6"],
                "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
            }
        },
    }

    def __init__(self, processor_def: Mapping[str, Any]) -> None:
        super().__init__(processor_def, copy.deepcopy(dict(self.METADATA)))


PROCESSES: Mapping[str, type[BaseProcessor]] = {"dig-enquiry": DigEnquiry}


class JobManager(BaseManager):  # type: ignore[misc]  # pygeoapi carries no types
    """The jobs of one principal, as pygeoapi's process functions want to see them."""

    def __init__(self, manager_def: Mapping[str, Any]) -> None:
        super().__init__(manager_def)
        self.is_async = True
        self._callerer: Caller | None = None

    def bind(self, caller: Caller) -> JobManager:
        """Return a manager for one request."""
        bound = copy.copy(self)
        bound._caller = caller
        return bound

    def execute_process(
        self,
        process_id: str,  # noqa: ARG002  # pygeoapi has checked that it exists
        data_dict: Mapping[str, Any],
        execution_mode: RequestedProcessExecutionMode | None = None,
        **_not_offered: Any,
    ) -> tuple[str, str, Any, JobStatus, dict[str, str]]:
        """File the enquiry; wait for its package unless the client asked not to.

        Raises
        ------
        NotAuthenticated, NotAllowed, InvalidInput, InvalidGeometry, TooLarge
            As :func:`~geoinfra.flows.enquiries.file_enquiry`; nothing was filed.
        """
        store, access = self._known()
        filed = file_enquiry(store, access, data_dict)
        job = _job_of(store, access, filed.number)
        if execution_mode == RequestedProcessExecutionMode.respond_async:
            preference = {"Preference-Applied": RequestedProcessExecutionMode.respond_async.value}
            return job.job_id, "application/json", None, JobStatus.accepted, preference
        answered = _when_ready(store, access, filed, job.job_id)
        return job.job_id, "application/json", _document(answered), JobStatus.successful, {}

    def get_jobs(
        self, status: JobStatus | None = None, limit: int | None = None, offset: int | None = None
    ) -> dict[str, Any]:
        """Return the principal's own jobs, newest first."""
        store, access = self._known()
        own = [
            job
            for job in jobs.list_jobs(store, access, kind=_JOB_KIND, limit=10_000)
            if job.principal == access.principal and status in (None, _STATUS[job.state])
        ]
        begin = offset or 0
        page = own[begin : None if limit is None else begin + limit]
        return {"jobs": [_described(job) for job in page], "numberMatched": len(own)}

    def get_job(self, job_id: str) -> dict[str, Any]:
        """Return one of the principal's own jobs.

        Raises
        ------
        JobNotFoundError
            There is no such job, or it is somebody else's.
        """
        return _described(self._own(job_id))

    def get_job_result(self, job_id: str) -> tuple[str, Any]:
        """Return the enquiry whose package the job made."""
        store, access = self._known()
        return "application/json", _document(enquiry(store, access, self._own(job_id).payload["number"]))

    def _own(self, job_id: str) -> jobs.Job:
        store, access = self._known()
        try:
            job = jobs.get(store, access, job_id)
        except NotFound:
            raise JobNotFoundError from None
        if job.principal != access.principal or job.kind != _JOB_KIND:
            raise JobNotFoundError
        return job

    def _known(self) -> tuple[Store, Access]:
        if self._caller is None:
            raise RuntimeError("a manager without a caller has no access and runs nothing")
        if self._caller.access.organisation is None:
            raise NotAuthenticated(
                "Processes and jobs need a token.", hint="Authorization: Bearer <token> of an excavator."
            )
        return self._caller.store, self._caller.access


def _job_of(store: Store, access: Access, number: str) -> jobs.Job:
    """Return the job that makes the package of an enquiry that was just filed."""
    for job in jobs.list_jobs(store, access, kind=_JOB_KIND, limit=100):
        if job.payload["number"] == number:
            return job
    raise RuntimeError(f"enquiry {number} was filed without a job")


def _when_ready(store: Store, access: Access, filed: Enquiry, job_id: str) -> Enquiry:
    """Return the enquiry once its job has ended, or as it stands after half a minute."""
    deadline = time.monotonic() + _SYNC_WAIT_S
    while time.monotonic() < deadline:
        if jobs.get(store, access, job_id).ended:
            break
        time.sleep(_POLL_S)
    return enquiry(store, access, filed.number)


def _document(filed: Enquiry) -> dict[str, Any]:
    """Return the enquiry's JSON, with the way to its package once that is made."""
    document = filed.to_json()
    if filed.package is not None:
        href = f"/api/enquiries/{filed.number}/package-link"
        document["links"].append({"rel": "package-link", "href": href, "method": "POST"})
    return document


def _described(job: jobs.Job) -> dict[str, Any]:
    return {
        "identifier": job.job_id,
        "process_id": "dig-enquiry",
        "status": _STATUS[job.state].value,
        "message": job.message,
        "progress": round(100 * job.progress),
        "created": job.created_at,
        "started": job.started_at or job.created_at,
        "finished": job.finished_at,
        "updated": job.finished_at or job.started_at or job.created_at,
        "mimetype": "application/json",
    }
