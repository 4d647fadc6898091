"""Routes of owners: interest areas and their review, deliveries that may wait, corrections of answers."""

from __future__ import annotations

import io
from typing import Annotated, Any, Literal

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from geoinfra.access import Access, Role
from geoinfra.errors import InvalidInput
from geoinfra.flows import answers, deliveries, owners
from geoinfra.flows.owners import CONTACT_PURPOSES, SUPPLY_TYPES, AreaStep, area_collection
from geoinfra.storage import Store
from geoinfra.storage.interest_areas import AreaRecord
from services.enquiries.routes import (
    ANSWER_BODY,
    AccessOf,
    PrivateJson,
    SettingsOf,
    StoreOf,
    _document,
    _upload,
)

__all__ = ["router"]

router = APIRouter()
_READS = CapacityLimiter(2)  # a coverage reads all of an owner's lines

Cvr = Annotated[str, InPath(pattern="^[0-9]{8}$", description="CVR number of the owner")]
AreaNumber = Annotated[int, InPath(gt=0, lt=2**31, description="Number of the area (indberetningsNr)")]
DeliveryId = Annotated[str, InPath(pattern="^[0-9a-z]{26}$")]
CrsOf = Annotated[Literal["CRS84", "EPSG:25832"], Query(description="CRS of the answer")]

_MOMENT = {
    "type": ["string", "null"],
    "description": "A Danish day (yyyy-mm-dd), or a moment with its time zone",
}
_CONTACT = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("name", "email", "phone")},
}
_PROPERTIES = {
    "number": {"type": ["integer", "null"], "description": "Of the area to change; none for a new one"},
    "supply_types": {"type": "array", "minItems": 1, "items": {"enum": list(SUPPLY_TYPES)}},
    "valid_from": _MOMENT,
    "valid_to": _MOMENT,
    "contacts": {"type": "object", "properties": dict.fromkeys(CONTACT_PURPOSES, _CONTACT)},
}
_RING = [[650700, 6084400], [650900, 6084400], [650900, 6084500], [650700, 6084500], [650700, 6084400]]
_EXAMPLE = {
    "type": "FeatureCollection",
    "crs": {"type": "name", "properties": {"name": "EPSG:25832"}},
    "features": [
        {
            "type": "Feature",
            "properties": {
                "supply_types": ["water"],
                "valid_from": "2026-12-01",
                "contacts": {"answers": {"name": "Vagten", "email": "vagt@example.dk", "phone": "70101010"}},
            },
            "geometry": {
                "type": "Polygon",
                "coordinates": [_RING],
            },
        }
    ],
}
_AREAS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/geo+json": {
                "schema": {
                    "type": "object",
                    "required": ["type", "features"],
                    "properties": {
                        "type": {"const": "FeatureCollection"},
                        "features": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "properties": {
                                    "properties": {"type": "object", "properties": _PROPERTIES},
                                    "geometry": {"type": "object"},
                                },
                            },
                        },
                    },
                },
                "example": _EXAMPLE,
            },
            "application/gml+xml": {"schema": {"type": "string"}},
        },
    }
}


# --- Interest areas


def _areas(records: list[AreaRecord], crs: str = "CRS84", status_code: int = 200) -> Response:
    name = "OGC:CRS84" if crs == "CRS84" else crs
    headers = {"Content-Type": "application/geo+json"}
    return PrivateJson(area_collection(records, name), status_code, headers)


@router.get("/api/owners/{cvr}/areas", tags=["Owners"], summary="List an owner's interest areas")
def get_areas(cvr: Cvr, store: StoreOf, access: AccessOf, crs: CrsOf = "CRS84") -> Response:
    """All areas of the owner as GeoJSON, for himself and the administrator: what counts, and beside it as
    `proposal` what waits for its review."""
    return _areas(owners.list_areas(store, access, cvr), crs)


@router.post(
    "/api/owners/{cvr}/areas",
    status_code=201,
    tags=["Owners"],
    summary="Propose interest areas",
    openapi_extra=_AREAS,
)
async def post_areas(
    request: Request,
    cvr: Cvr,
    store: StoreOf,
    access: AccessOf,
    submit: Annotated[bool, Query(description="Send them to review at once; else they are drafts.")] = False,
    number: Annotated[
        int | None, Query(gt=0, lt=2**31, description="With a document of LER: the area to change.")
    ] = None,
    crs: CrsOf = "CRS84",
) -> Response:
    """Propose new areas, and changes of areas by their `number`; all or none are taken.

    Nothing counts before another person of the organisation, or the administrator, has accepted it; what is
    live counts until then. A document of LER (`lergml:Indberetning`, `Content-Type: application/gml+xml`) is
    one area, and goes to review at once.
    """
    access.require(Role.OWNER, Role.ADMIN)
    if _is_gml(request):
        source = io.BytesIO(await request.body())
        made = await run_in_threadpool(owners.submit_notice, store, access, cvr, source, number)
        return _areas([made], crs, 201)
    document = await _document(request)
    if number is not None:
        raise InvalidInput("'number' stands in the properties of each feature.")
    proposed = await run_in_threadpool(owners.propose_areas, store, access, cvr, document, submit=submit)
    return _areas(proposed, crs, 201)


def _is_gml(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind.endswith("xml")


@router.get("/api/owners/{cvr}/areas/coverage", tags=["Owners"], summary="Find lines outside one's areas")
async def get_coverage(
    cvr: Cvr,
    store: StoreOf,
    access: AccessOf,
    proposed: Annotated[bool, Query(description="As everything proposed will be; else as it is.")] = True,
) -> Response:
    """Tell which of the owner's published lines lie outside his interest areas, or nearer than a metre to
    their edge: a dig there would not be asked about."""
    found = await to_thread.run_sync(
        lambda: owners.coverage(store, access, cvr, proposed=proposed), limiter=_READS
    )
    return PrivateJson(found.to_json())


@router.post(
    "/api/owners/{cvr}/areas/{area}/{step}", tags=["Owners"], summary="Submit, review or retire an area"
)
def post_step(
    cvr: Cvr,
    area: AreaNumber,
    step: AreaStep,
    store: StoreOf,
    access: AccessOf,
    revision: Annotated[
        str | None,
        Query(
            pattern="^[0-9a-f]{16}$", description="Of the proposal as read; 409 when it is another by now."
        ),
    ] = None,
    crs: CrsOf = "CRS84",
) -> Response:
    """`submit` a draft to review; `accept` or `reject` what is proposed; `retire` what is live.

    Who proposed it does not accept it, unless as administrator. The answer holds the area as it stands; it is
    empty when a rejected area never was live.
    """
    left = owners.step_area(store, access, cvr, area, step, revision=revision)
    return _areas([] if left is None else [left], crs)


# --- Deliveries


@router.post(
    "/api/deliveries",
    status_code=201,
    tags=["Owners"],
    summary="Deliver all of an owner's lines",
    openapi_extra=ANSWER_BODY,
)
async def post_delivery(
    request: Request,
    store: StoreOf,
    access: AccessOf,
    settings: SettingsOf,
    owner: Annotated[str, Query(pattern="^[0-9]{8}$")],
    review: Annotated[bool, Query(description="Do not publish it: it waits for you to do so.")] = False,
) -> Response:
    """Check and publish a LER answer (GML, or a zip with it) as the owner's whole present content.

    With `review=true` enquiries are answered from the delivery before until this one is published.
    """
    access.require(Role.OWNER)
    async with _upload(request, settings) as path:
        done = await run_in_threadpool(_deliver, store, access, path, owner, review)
    return PrivateJson(done.to_json(), 201)


def _deliver(store: Store, access: Access, path: Any, owner: str, review: bool) -> deliveries.Delivered:
    done = deliveries.deliver(store, access, path, owner, review=review)
    action = "delivery.published" if done.published else "delivery.staged"
    store.audit.append(action, access, done.delivery_id, {"features": done.features})
    return done


@router.get("/api/deliveries", tags=["Owners"], summary="List your deliveries")
def get_deliveries(
    store: StoreOf, access: AccessOf, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> Response:
    """Your organisation's deliveries, newest first: `review` waits, `current` is what enquiries are answered
    from, `earlier` was."""
    found = deliveries.list_deliveries(store, access, limit=limit)
    return PrivateJson({"items": [one.to_json() for one in found]})


@router.post("/api/deliveries/{delivery_id}/publish", tags=["Owners"], summary="Publish a waiting delivery")
def post_publish(delivery_id: DeliveryId, store: StoreOf, access: AccessOf) -> Response:
    """Answer enquiries from a delivery that waited; `409` when a newer one is published already."""
    return PrivateJson(deliveries.publish_reviewed(store, access, delivery_id).to_json())


@router.delete(
    "/api/deliveries/{delivery_id}", status_code=204, tags=["Owners"], summary="Discard a waiting delivery"
)
def delete_delivery(delivery_id: DeliveryId, store: StoreOf, access: AccessOf) -> Response:
    """Forget a delivery that waited; what was published stays."""
    deliveries.discard_reviewed(store, access, delivery_id)
    return Response(status_code=204)


# --- After an answer


@router.put(
    "/api/enquiries/{number}/answers",
    tags=["Owners"],
    summary="Correct your answer",
    openapi_extra=ANSWER_BODY,
)
async def put_answer(
    request: Request,
    number: str,
    store: StoreOf,
    access: AccessOf,
    settings: SettingsOf,
    reason: Annotated[
        str, Query(max_length=500, description="What was wrong, in one line; the filer reads it.")
    ],
) -> Response:
    """Put a LER answer (GML, or a zip with it) in the place of yours, while the enquiry is in force.

    Who filed the enquiry is told, and gets a new package that shows what changed.
    """
    access.require(Role.OWNER)
    async with _upload(request, settings) as path:
        done = await run_in_threadpool(answers.correct_answer, store, access, number, path, reason)
    return PrivateJson(done.to_json())


@router.get("/api/enquiries/{number}/answers", tags=["Owners"], summary="List all answers that were given")
def get_answers(number: str, store: StoreOf, access: AccessOf) -> Response:
    """Each owner's answers with their corrections and reasons, the oldest first; an owner sees his own."""
    access.require(Role.EXCAVATOR, Role.OWNER, Role.ADMIN)
    found = answers.answer_versions(store, access, number)
    return PrivateJson({"items": [one.to_json() for one in found]})


@router.post("/api/enquiries/{number}/refresh", tags=["Owners"], summary="Answer anew from what is published")
def post_refresh(number: str, store: StoreOf, access: AccessOf) -> Response:
    """Answer an enquiry in force from what owners have published since: an owner his own answer, who filed it
    those that came from published lines or are waited for. Where nothing is newer, nothing happens."""
    return PrivateJson(answers.refresh_answers(store, access, number).to_json())


@router.post("/api/enquiries/{number}/hand-over", tags=["Owners"], summary="Say that you handed over")
def post_hand_over(number: str, store: StoreOf, access: AccessOf) -> Response:
    """For an owner with a dispensation: what you have is sent to the excavator, and your clock stops."""
    return PrivateJson(answers.hand_over(store, access, number).to_json())
