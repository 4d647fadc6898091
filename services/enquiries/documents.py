"""The request documents as the OpenAPI description shows them; the rules are in the library."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, Field

__all__ = ["ContactDocument", "EnquiryDocument", "PeriodDocument", "example"]


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


def example(area: dict[str, Any], start: date, end: date) -> dict[str, Any]:
    """Return a request that can be sent as it is."""
    return {
        "area": area,
        "crs": "EPSG:25832",
        "period": {"from": start.isoformat(), "to": end.isoformat()},
        "methods": ["6"],
        "description": "Ny stikledning",
        "contact": {"name": "Karen Graver", "email": "karen@example.dk", "phone": "+4512345678"},
    }
