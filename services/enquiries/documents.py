"""The request documents as the OpenAPI description shows them; the rules are in the library."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

__all__ = [
    "ContactDocument",
    "EnquiryDocument",
    "FindingDocument",
    "KindDocument",
    "PeriodDocument",
    "ReportDocument",
    "describe",
]

_REFERENCE = "#/components/schemas/{model}"
_EXAMPLE_AREA = {  # on the main street of the sample town, EPSG:25832 metres
    "type": "Polygon",
    "coordinates": [
        [[650720, 6084455], [650800, 6084455], [650800, 6084482], [650720, 6084482], [650720, 6084455]]
    ],
}

_AREA_ALONE = {"area": {"summary": "The area alone", "value": {"area": _EXAMPLE_AREA, "crs": "EPSG:25832"}}}
_EXAMPLE_ANSWER = """<?xml version="1.0" encoding="UTF-8"?>
<ler:Graveforespoergselssvar xmlns:ler="http://data.gov.dk/schemas/LER/2/gml"
    xmlns:gml="http://www.opengis.net/gml/3.2" xmlns:xlink="http://www.w3.org/1999/xlink"
    gml:id="svar.1" schemaVersion="2.2.0">
  <ler:id>5f0c3c52-8f1e-4c6f-9a55-3a4f6c1b7d20</ler:id>
  <ler:type>ledningsoplysninger udleveres ikke</ler:type>
</ler:Graveforespoergselssvar>
"""  # a refusal without its reason: one error


class PeriodDocument(BaseModel):
    """First and last day of the dig."""

    from_: date = Field(alias="from")
    to: date


class ContactDocument(BaseModel):
    """Who answers for the dig; a mail address or a telephone number is needed."""

    name: str
    email: str = ""
    phone: str = ""


class EnquiryDocument(BaseModel):
    """A dig enquiry to file; to preview one, `area` suffices."""

    area: dict[str, Any] | list[dict[str, Any]] = Field(
        description="A GeoJSON Polygon, or several (MultiPolygon, list) that make one; at most 50 km2. Above"
        " 250,000 m2 it is filed in parts"
    )
    crs: str = Field("CRS84", description="CRS of the area: CRS84 or EPSG:25832 among others")
    kind: Literal["planned", "emergency", "planning"] = Field(
        "planned",
        description="`emergency`: urgent repair; `planning`: never for digging, owners are not asked",
    )
    filer: Literal["professional", "private"] = "professional"
    period: PeriodDocument
    methods: list[str] = Field(description="LER graveart numbers; 6 is an excavator (gravemaskine)")
    methods_other: str = Field("", description="What method 99 is")
    description: str = ""
    contact: ContactDocument
    formats: list[Literal["gml", "gpkg", "geojson", "html", "dxf", "pdf", "pdf-owners"]] | None = None
    grounds: list[Literal["getting-worse", "waste", "danger-to-life", "environment"]] = Field(
        default=[], description="Of an emergency: why it cannot wait"
    )
    reason: str = Field("", description="Of an emergency: what broke, in the filer's words")
    begun: bool = Field(default=False, description="Of an emergency: digging has begun or taken place")
    purpose: str = Field("99", description="LER formaal number")
    supplies: list[str] = Field(default=[], description="LER forsyningsart numbers of what will be laid")
    depth_m: float | None = Field(None, gt=0, le=200, description="How deep will be dug")
    own_number: str = Field("", description="The filer's own number of the work")
    surroundings_m: float = Field(
        0, ge=0, le=1000, description="Owners up to this far beside the area are named, not asked"
    )


class FindingDocument(BaseModel):
    """One fault in a delivery; members without content are left out."""

    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    message_da: str = ""
    feature_id: str = ""
    line: int | None = Field(None, ge=1, description="Line in the document")
    path: str = ""
    expected: str = ""
    found: str = ""
    rule: str = Field("", description="LER's own name of the rule")
    hint: str = ""
    hint_da: str = ""
    position: tuple[float, float] | None = Field(None, description="Easting, northing; EPSG:25832")


class KindDocument(BaseModel):
    """What a kind of finding is called, and how many there are."""

    title: str
    title_da: str
    count: int


class ReportDocument(BaseModel):
    """What a check found; `errors` refuse the delivery."""

    features: int
    errors: int
    warnings: int
    findings: list[FindingDocument]
    kinds: dict[str, KindDocument] = Field(description="By the code of the findings")


def describe(openapi: dict[str, Any], today: date) -> None:
    """Add to `openapi` how to sign in and how to file an enquiry, with an example that can be sent as it is.

    Parameters
    ----------
    openapi
        The OpenAPI document with ``POST /api/enquiries`` in it; changed in place.
    today
        The example's dig begins the day after.
    """
    schema = EnquiryDocument.model_json_schema(by_alias=True, ref_template=_REFERENCE)
    components = openapi.setdefault("components", {})
    report = ReportDocument.model_json_schema(ref_template=_REFERENCE)
    components.setdefault("schemas", {}).update(
        {
            **schema.pop("$defs"),
            **report.pop("$defs"),
            EnquiryDocument.__name__: schema,
            ReportDocument.__name__: report,
        }
    )
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    openapi["security"] = [{}, {"token": []}]
    _describe_check(openapi["paths"]["/api/utilities/check"]["post"])
    examples = _examples(today)
    reference = {"$ref": _REFERENCE.format(model=EnquiryDocument.__name__)}
    for path, shown in (("/api/enquiries", examples), ("/api/enquiries/preview", examples | _AREA_ALONE)):
        content = {"schema": reference, "examples": shown}
        openapi["paths"][path]["post"]["requestBody"] = {
            "required": True,
            "content": {"application/json": content},
        }


def _describe_check(operation: dict[str, Any]) -> None:
    """Say what may be sent to be checked and what comes back."""
    operation["requestBody"] = {
        "required": True,
        "content": {
            "application/gml+xml": {"schema": {"type": "string"}, "example": _EXAMPLE_ANSWER},
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
        },
    }
    operation["responses"]["200"]["content"] = {
        "application/json": {"schema": {"$ref": _REFERENCE.format(model=ReportDocument.__name__)}},
        "text/html": {"schema": {"type": "string"}},
    }


def _examples(today: date) -> dict[str, Any]:
    """Return a filing of each kind that can be sent as it is."""
    start, end = today + timedelta(days=1), today + timedelta(days=15)
    planned = {
        "area": _EXAMPLE_AREA,
        "crs": "EPSG:25832",
        "kind": "planned",
        "period": {"from": start.isoformat(), "to": end.isoformat()},
        "methods": ["6"],
        "description": "Ny stikledning",
        "contact": {"name": "Karen Graver", "email": "karen@example.dk", "phone": "+4512345678"},
        "depth_m": 1.2,
        "own_number": "2026-117",
        "surroundings_m": 25,
    }
    emergency = {
        **planned,
        "kind": "emergency",
        "period": {"from": today.isoformat(), "to": end.isoformat()},
        "grounds": ["getting-worse", "waste"],
        "reason": "Sprunget vandledning",
        "begun": True,
    }
    planning = {**planned, "kind": "planning", "description": "Ny cykelsti"}
    return {
        "planned": {"summary": "A planned dig", "value": planned},
        "emergency": {"summary": "Urgent repair that has begun", "value": emergency},
        "planning": {"summary": "For planning: not for digging", "value": planning},
    }
