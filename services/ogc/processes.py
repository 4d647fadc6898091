"""The processes that are offered: what each takes and gives, the job that it starts, how its result is told.

A new process is one :class:`Process` and one line of :data:`PROCESSES`; its work is a flow, and its job one
handler of the worker. Nothing runs in threads of the web process, and no address that clients name is called.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from geoinfra.access import Access
from geoinfra.errors import InvalidInput, NotAuthenticated
from geoinfra.flows import process_jobs
from geoinfra.flows.enquiries import enquiry, file_enquiry
from geoinfra.flows.package_jobs import BUILD_PACKAGE
from geoinfra.storage import Store, jobs
from geoinfra.utilities.enquiry import PACKAGE_FORMATS

__all__ = ["PROCESSES", "Process", "process_of_kind"]

_TEXT = {"type": "string"}

type _Start = Callable[[Store, Access, Mapping[str, Any]], str]
type _Results = Callable[[Store, Access, jobs.Job], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Process:
    """One process.

    Attributes
    ----------
    description
        As OGC API Processes describes it, with titles in ``da`` and ``en``, without links.
    kind
        Kind of the job that does it.
    start
        Checks the inputs and gives the job.
    results
        Gives the values of the outputs of a job that has ended well, by name.
    is_open
        Whether visitors without a token may run it.
    """

    description: Mapping[str, Any]
    kind: str
    start: _Start
    results: _Results
    is_open: bool = False

    @property
    def id(self) -> str:
        """The name in addresses."""
        return str(self.description["id"])

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the outputs, the one that is given when none is asked for first."""
        return tuple(self.description["outputs"])

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Raise unless every input is known and the required ones are there.

        Raises
        ------
        InvalidInput
            Names the input.
        """
        known: Mapping[str, Any] = self.description["inputs"]
        for name in inputs:
            if name not in known:
                raise InvalidInput(
                    f"The process has no input '{str(name)[:60]}'.", hint=f"Inputs: {', '.join(known)}."
                )
        for name, told in known.items():
            if told["minOccurs"] and name not in inputs:
                raise InvalidInput(f"The input '{name}' is missing.", hint=told["description"])


def _input(title: str, schema: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    return {
        "title": title,
        "description": title,
        "schema": dict(schema),
        "minOccurs": int(required),
        "maxOccurs": 1,
    }


def _plain(value: Any) -> Any:
    """Return the value of an input that is given as ``{"value": …}``, else the input itself."""
    return value["value"] if isinstance(value, Mapping) and "value" in value else value


def _results(name: str) -> _Results:
    """Give the job's own result as the one output."""
    return lambda _store, _access, job: {name: (job.result or {}).get(name)}


# --- dig-enquiry


_DIG_ENQUIRY: Final[Mapping[str, Any]] = {
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
    "outputTransmission": ["value", "reference"],
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
        },
        "package": {
            "title": "The package",
            "description": "The newest package of the enquiry, by reference only",
            "schema": {"type": "string", "format": "binary", "contentMediaType": "application/zip"},
        },
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


def _file(store: Store, access: Access, inputs: Mapping[str, Any]) -> str:
    if access.organisation is None:
        raise NotAuthenticated(
            "A dig enquiry needs a token.", hint="Authorization: Bearer <token> of an excavator."
        )
    filed = file_enquiry(store, access, {name: _plain(value) for name, value in inputs.items()})
    for job in jobs.list_jobs(store, access, kind=BUILD_PACKAGE, limit=100):
        if job.payload["number"] == filed.number:
            return job.job_id
    raise RuntimeError(f"enquiry {filed.number} was filed without a job")


def _filed(store: Store, access: Access, job: jobs.Job) -> dict[str, Any]:
    """Return the enquiry's JSON, with the way to its package once that is made."""
    filed = enquiry(store, access, job.payload["number"])
    document = filed.to_json()
    package = None
    if filed.package is not None:
        href = f"/api/enquiries/{filed.number}/package-link"
        document["links"].append({"rel": "package-link", "href": href, "method": "POST"})
        package = {"href": f"/jobs/{job.job_id}/results/package", "type": "application/zip"}
    return {"enquiry": document, "package": package}


# --- preview-enquiry

_PREVIEW: Final[Mapping[str, Any]] = {
    **_DIG_ENQUIRY,
    "id": process_jobs.PREVIEW_ENQUIRY,
    "title": {"en": "Preview of a dig enquiry", "da": "Forhåndsvisning af en graveforespørgsel"},
    "description": {
        "en": "Tells what filing an enquiry would mean: its parts, fee, rules and deadlines. Stores no "
        "enquiry. Needs the token of an excavator.",
        "da": "Fortæller, hvad en forespørgsel vil betyde: dele, gebyr, regler og frister. "
        "Opretter ingen forespørgsel.",
    },
    "outputTransmission": ["value"],
    "inputs": {
        name: {**told, "minOccurs": int(name == "area")} for name, told in _DIG_ENQUIRY["inputs"].items()
    },
    "outputs": {
        "preview": {
            "title": "The preview",
            "description": "As POST /api/enquiries/preview gives it",
            "schema": {"type": "object", "contentMediaType": "application/json"},
        }
    },
}


def _preview(store: Store, access: Access, inputs: Mapping[str, Any]) -> str:
    if access.organisation is None:
        raise NotAuthenticated(
            "A preview needs a token.", hint="Authorization: Bearer <token> of an excavator."
        )
    return process_jobs.request_preview(store, access, {k: _plain(v) for k, v in inputs.items()})


# --- check-utility-delivery

_CHECK: Final[Mapping[str, Any]] = {
    "version": "1.0.0",
    "id": "check-utility-delivery",
    "title": {"en": "Check of a utility delivery", "da": "Kontrol af en ledningslevering"},
    "description": {
        "en": "Checks a LER document against its schema and the business rules. Nothing of it is stored. "
        "Needs a token of any role.",
        "da": "Kontrollerer et LER-dokument mod skema og forretningsregler. Intet af det lagres.",
    },
    "keywords": ["utilities", "LER", "validation"],
    "jobControlOptions": ["sync-execute", "async-execute"],
    "outputTransmission": ["value"],
    "inputs": {
        "delivery": _input(
            "The document: GML as text, or GML or zip in base64",
            {
                "oneOf": [
                    {**_TEXT, "contentMediaType": "application/gml+xml"},
                    {**_TEXT, "contentEncoding": "base64", "contentMediaType": "application/zip"},
                ]
            },
            required=True,
        ),
        "strict": _input(
            "Refuse whatever the official schema refuses",
            {"type": "boolean", "default": True},
            required=False,
        ),
    },
    "outputs": {
        "report": {
            "title": "The report",
            "description": "Counts and findings",
            "schema": {"type": "object", "contentMediaType": "application/json"},
        }
    },
}


def _check(store: Store, access: Access, inputs: Mapping[str, Any]) -> str:
    strict = _plain(inputs.get("strict", True))
    if not isinstance(strict, bool):
        raise InvalidInput("'strict' is true or false.")
    return process_jobs.request_check(store, access, _content(inputs["delivery"]), strict=strict)


def _content(value: Any) -> bytes:
    """Return the bytes of an input that is a text, or a text in base64.

    Raises
    ------
    InvalidInput
        It is neither.
    """
    text = _plain(value)
    if not isinstance(text, str) or not text:
        raise InvalidInput("'delivery' is a text.", hint='"<gml…>" or {"value": "…", "encoding": "base64"}')
    told = value if isinstance(value, Mapping) else {}
    if "base64" in (told.get("encoding"), told.get("contentEncoding")):
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            raise InvalidInput(
                "'delivery' is no base64.", hint="Check for cut off or changed text."
            ) from None
    return text.encode()


# --- transform-coordinates

_TRANSFORM: Final[Mapping[str, Any]] = {
    "version": "1.0.0",
    "id": process_jobs.TRANSFORM,
    "title": {"en": "Transformation of coordinates", "da": "Omregning af koordinater"},
    "description": {
        "en": "Gives positions in another coordinate reference system; east or longitude stands first.",
        "da": "Giver positioner i et andet koordinatsystem; øst eller længde står først.",
    },
    "keywords": ["coordinates", "CRS"],
    "jobControlOptions": ["sync-execute", "async-execute"],
    "outputTransmission": ["value"],
    "inputs": {
        "coordinates": _input(
            f"Positions, at most {process_jobs.MOST_POSITIONS}",
            {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
            required=True,
        ),
        "from": _input("CRS of the positions", _TEXT, required=True),
        "to": _input("CRS that is wanted", _TEXT, required=True),
    },
    "outputs": {
        "coordinates": {
            "title": "The positions",
            "description": "In the same order",
            "schema": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        },
        "crs": {"title": "Their CRS", "description": "Name of the CRS", "schema": _TEXT},
    },
    "example": {"inputs": {"coordinates": [[600000, 6080000]], "from": "EPSG:25832", "to": "OGC:CRS84"}},
}


def _transform(store: Store, access: Access, inputs: Mapping[str, Any]) -> str:
    values = [_plain(inputs[name]) for name in ("coordinates", "from", "to")]
    return process_jobs.request_transform(store, access, *values)


def _transformed(_store: Store, _access: Access, job: jobs.Job) -> dict[str, Any]:
    return dict(job.result or {})


# --- The registry

PROCESSES: Final[Mapping[str, Process]] = {
    process.id: process
    for process in (
        Process(_DIG_ENQUIRY, BUILD_PACKAGE, _file, _filed),
        Process(_PREVIEW, process_jobs.PREVIEW_ENQUIRY, _preview, _results("preview")),
        Process(_CHECK, process_jobs.CHECK_DELIVERY, _check, _results("report")),
        Process(_TRANSFORM, process_jobs.TRANSFORM, _transform, _transformed, is_open=True),
    )
}


def process_of_kind(kind: str) -> Process | None:
    """Return the process whose jobs are of a kind."""
    return next((process for process in PROCESSES.values() if process.kind == kind), None)
