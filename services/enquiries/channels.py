"""Routes of notices: an organisation's channels, and events as they happen (Server-Sent Events)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from geoinfra.access import Role
from geoinfra.flows import channels
from geoinfra.flows.concerns import DEFAULT_EVENTS
from services.enquiries.feed import EventFeed, cursor_of
from services.enquiries.routes import AccessOf, PrivateJson, SecurityOf, SettingsOf, StoreOf, _document

__all__ = ["router"]

router = APIRouter()


class ChannelDocument(BaseModel):
    """A channel to add."""

    kind: str = Field(description="mail or webhook")
    target: str = Field(description="Mail address, or URL (https)")
    events: list[str] = Field(sorted(DEFAULT_EVENTS), description="Names of events")


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": ChannelDocument.model_json_schema(),
                "example": {
                    "kind": "webhook",
                    "target": "https://example.dk/hook",
                    "events": ["package.ready"],
                },
            }
        },
    }
}


@router.get("/api/channels", tags=["Notices"], summary="List your organisation's channels")
def get_channels(store: StoreOf, access: AccessOf) -> Response:
    """Return the channels, without their secrets, and how the newest notice of each fared."""
    found = channels.list_channels(store, access)
    return PrivateJson({"items": [one.to_json() for one in found]})


@router.post("/api/channels", status_code=201, tags=["Notices"], summary="Add a channel", openapi_extra=_BODY)
async def post_channel(request: Request, store: StoreOf, access: AccessOf, settings: SettingsOf) -> Response:
    """Tell your organisation of events by mail or by a signed webhook. The `secret` is not shown again."""
    access.require(Role.EXCAVATOR, Role.OWNER, Role.ADMIN)
    document = await _document(request)
    added, secret = await run_in_threadpool(
        channels.add_channel, store, access, document, settings.channel_rules
    )
    shown = {"secret": secret} if secret else {}
    location = {"Location": f"/api/channels/{added.channel.channel_id}"}
    return PrivateJson({**added.to_json(), **shown}, 201, location)


@router.delete("/api/channels/{channel_id}", status_code=204, tags=["Notices"], summary="Remove a channel")
def delete_channel(channel_id: str, store: StoreOf, access: AccessOf) -> Response:
    """Forget a channel with its secret; what still waits for it is not sent."""
    channels.remove_channel(store, access, channel_id)
    return Response(status_code=204)


@router.post("/api/channels/{channel_id}/test", status_code=202, tags=["Notices"], summary="Test a channel")
def post_test(channel_id: str, store: StoreOf, access: AccessOf) -> Response:
    """Send a notice that says that the channel works; the list of channels tells what came of it."""
    channels.send_test(store, access, channel_id)
    return PrivateJson({"state": "waiting"}, 202)


@router.post("/api/channels/{channel_id}/secret", tags=["Notices"], summary="Renew a webhook's secret")
def post_secret(channel_id: str, store: StoreOf, access: AccessOf) -> Response:
    """Return a new secret, shown this once. For 24 hours the one before signs beside it."""
    return PrivateJson({"secret": channels.renew_secret(store, access, channel_id)})


@router.get(
    "/api/events",
    tags=["Notices"],
    summary="Watch events as they happen",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def get_events(
    request: Request,
    access: AccessOf,
    security: SecurityOf,
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
    after: Annotated[int | None, Query(ge=0, description="As Last-Event-ID, for a first call.")] = None,
) -> Response:
    """Server-Sent Events of what concerns your organisation: enquiries, answers, packages.

    A client that comes back with `Last-Event-ID` gets what it missed. Without it the stream begins now.
    """
    access.require(Role.EXCAVATOR, Role.OWNER, Role.ADMIN)
    access.require_organisation()
    feed: EventFeed = request.app.state.feed
    cursor = cursor_of(last_event_id, after)
    stream = await feed.open(access, cursor, lambda: security.access_of(request))
    headers = {"Cache-Control": "private, no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, headers=headers, media_type="text/event-stream")
