"""The request documents as the OpenAPI description shows them; the rules are in the library."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

__all__ = ["ContactDocument", "EnquiryDocument", "PeriodDocument", "describe"]

_REFERENCE = "#/components/schemas/{model}"
_EXAMPLE_AREA = {  # on the main street of the sample town, EPSG:25832 metres
    "type": "Polygon",
    "coordinates": [
        [[650720, 6084455], [650800, 6084455], [650800, 6084482], [650720, 6084482], [650720, 6084455]]
    ],
}


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
    formats: list[Literal["gml", "gpkg", "geojson", "html"]] | None = None


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
    components.setdefault("schemas", {}).update({**schema.pop("$defs"), EnquiryDocument.__name__: schema})
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    openapi["security"] = [{}, {"token": []}]
    openapi["paths"]["/api/enquiries"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": _REFERENCE.format(model=EnquiryDocument.__name__)},
                "example": _example(today),
            }
        },
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
