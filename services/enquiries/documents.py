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
    """A dig enquiry to file."""

    area: dict[str, Any] = Field(description="One GeoJSON Polygon, at most 250,000 m2")
    crs: str = Field("CRS84", description="CRS of the area: CRS84 or EPSG:25832 among others")
    period: PeriodDocument
    methods: list[str] = Field(description="LER graveart numbers; 6 is an excavator (gravemaskine)")
    methods_other: str = ""
    description: str = ""
    contact: ContactDocument
    formats: list[Literal["gml", "gpkg", "geojson", "html", "dxf"]] | None = None


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
    openapi["paths"]["/api/enquiries"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": _REFERENCE.format(model=EnquiryDocument.__name__)},
                "example": _example(today),
            }
        },
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


def _example(today: date) -> dict[str, Any]:
    start, end = today + timedelta(days=1), today + timedelta(days=15)
    return {
        "area": _EXAMPLE_AREA,
        "crs": "EPSG:25832",
        "period": {"from": start.isoformat(), "to": end.isoformat()},
        "methods": ["6"],
        "description": "Ny stikledning",
        "contact": {"name": "Karen Graver", "email": "karen@example.dk", "phone": "+4512345678"},
    }
