"""What changed between two packages of an enquiry."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from geoinfra.access import Role
from geoinfra.flows.differences import package_differences
from services.enquiries.routes import AccessOf, PrivateJson, StoreOf

__all__ = ["router"]

router = APIRouter()


@router.get(
    "/api/enquiries/{number}/differences",
    tags=["Dig enquiries"],
    summary="Compare two packages of an enquiry",
)
def get_differences(
    number: str,
    store: StoreOf,
    access: AccessOf,
    first: Annotated[int, Query(alias="from", ge=1, le=1_000_000, description="Number of a package")],
    second: Annotated[int, Query(alias="to", ge=1, le=1_000_000, description="Number of a later one")],
    geometry: Annotated[bool, Query(description="Whether to tell the geometries too, as GeoJSON")] = False,
) -> Response:
    """Return which lines were added, removed and changed, how far they moved, and whose answer changed.

    For whoever filed the enquiry, while it is in force.
    """
    access.require(Role.EXCAVATOR)
    found = package_differences(store, access, number, first, second)
    store.audit.append("package.compared", access, number, {"from": first, "to": second})
    return PrivateJson({"number": number, "from": first, "to": second, **found.to_json(geometry=geometry)})
