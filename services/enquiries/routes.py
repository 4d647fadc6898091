"""Routes of the domain: they call flows and answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import orjson
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, HTMLResponse, Response

from geoinfra.access import Access, Role
from geoinfra.errors import InvalidInput, NotAuthenticated, NotFound, Report, TooLarge
from geoinfra.flows.addresses import search_addresses
from geoinfra.flows.answers import store_answer
from geoinfra.flows.enquiries import (
    Enquiry,
    PackageState,
    enquiry,
    file_enquiry,
    list_cursor,
    resend_enquiry,
)
from geoinfra.flows.enquiry_preview import preview_enquiry
from geoinfra.flows.enquiry_records import require_in_force
from geoinfra.flows.projects import list_projects, project, whole
from geoinfra.flows.reminders import overdue_answers
from geoinfra.presentation.check_report import page_policy, report_html
from geoinfra.storage import Store
from geoinfra.storage.organisations import list_organisations
from geoinfra.utilities.check import check_file
from geoinfra.utilities.check.advice import advice
from geoinfra.utilities.enquiry import AnswerStatus
from geoinfra.utilities.formats.intake import Limits
from services.enquiries.waiting import PackageWaits
from services.security import Security
from services.settings import Settings

__all__ = ["router"]

router = APIRouter()
_CHECKED = Limits(max_bytes=1024**3, max_zip_bytes=2 * 1024**3)  # a thread is held while one is read
_PREVIEWS = CapacityLimiter(2)
_CHECKS = CapacityLimiter(2)  # further checks wait, so that other requests have threads left


ANSWER_BODY: dict[str, Any] = {
    "requestBody": {"content": {"application/gml+xml": {}, "application/zip": {}}},
}
"""What an upload of utility lines may be, for the description of a route."""


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


def _security(request: Request) -> Security:
    security: Security = request.app.state.security
    return security


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _access(request: Request) -> Access:
    return _security(request).access_of(request)


def _waits(request: Request) -> PackageWaits:
    waits: PackageWaits = request.app.state.waits
    return waits


StoreOf = Annotated[Store, Depends(_store)]
WaitsOf = Annotated[PackageWaits, Depends(_waits)]
SecurityOf = Annotated[Security, Depends(_security)]
SettingsOf = Annotated[Settings, Depends(_settings)]
AccessOf = Annotated[Access, Depends(_access)]


class PrivateJson(Response):
    """JSON that no cache may keep."""

    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200, headers: dict[str, str] | None = None) -> None:
        kept = {"Cache-Control": "private, no-store", **(headers or {})}
        super().__init__(orjson.dumps(content), status_code, kept)


async def _document(request: Request) -> dict[str, Any]:
    """Return the JSON object of the body; NaN and duplicates of other syntaxes are not JSON."""
    try:
        document = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise InvalidInput(
            f"The body is not JSON: line {error.lineno}, column {error.colno}.",
            hint="NaN and Infinity are not JSON numbers; check quotes and commas.",
        ) from None
    if not isinstance(document, dict):
        raise InvalidInput("The body must be one JSON object.", hint="See /api/docs.")
    return document


@router.post("/api/enquiries", status_code=201, tags=["Dig enquiries"], summary="File a dig enquiry")
async def post_enquiry(
    request: Request,
    store: StoreOf,
    access: AccessOf,
    idempotency_key: Annotated[str | None, Header(max_length=100)] = None,
) -> Response:
    """File a dig enquiry. Hosted owners answer at once; the package follows within seconds.

    Send an `Idempotency-Key` to be able to repeat the call safely after a broken connection. An area above
    250,000 m2 is filed in parts that share a package: the answer is the whole project.
    """
    access.require(Role.EXCAVATOR)
    document = await _document(request)
    filed = await run_in_threadpool(_file, store, access, document, idempotency_key)
    return _filed(filed)


def _filed(filed: Enquiry) -> Response:
    return PrivateJson(filed.to_json(), 201, {"Location": f"/api/enquiries/{filed.number}"})


def _file(store: Store, access: Access, document: dict[str, Any], key: str | None) -> Enquiry:
    return whole(store, access, file_enquiry(store, access, document, key=key).number)


@router.post("/api/enquiries/preview", tags=["Dig enquiries"], summary="See what filing would mean")
async def post_preview(request: Request, store: StoreOf, access: AccessOf) -> Response:
    """Tell parts, fee, rules and deadlines of an enquiry; the document is that of filing, of which the area
    suffices. Nothing is stored."""
    access.require(Role.EXCAVATOR)
    document = await _document(request)
    preview = await to_thread.run_sync(preview_enquiry, store, access, document, limiter=_PREVIEWS)
    return PrivateJson(preview.to_json())


@router.post(
    "/api/enquiries/{number}/resend", status_code=201, tags=["Dig enquiries"], summary="Send an enquiry again"
)
def post_resend(
    number: str,
    store: StoreOf,
    access: AccessOf,
    idempotency_key: Annotated[str | None, Header(max_length=100)] = None,
) -> Response:
    """File the same dig again under a new number, free: owners tell what they have now.

    Of a project all parts are sent again. `resend.allowed` of the enquiry tells whether it may be.
    """
    return _filed(whole(store, access, resend_enquiry(store, access, number, key=idempotency_key).number))


@router.get("/api/enquiries", tags=["Dig enquiries"], summary="List the enquiries you may see")
def get_enquiries(
    store: StoreOf,
    access: AccessOf,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    status: Annotated[AnswerStatus | None, Query(description="Only those with an answer so.")] = None,
    cursor: Annotated[str | None, Query(max_length=60, description="`next` of the page before.")] = None,
) -> Response:
    """Newest first: an excavator sees his own, an owner those that concern him, an administrator all.

    With `status=waiting` an owner gets the enquiries that he must still answer, the oldest first. A project
    is one for him who filed it; an owner sees the parts that concern him. Of a project, the `features` of an
    owner of several parts are null here, and counted when it is read alone. `next` is the `cursor` of the
    next page, null on the last one.
    """
    access.require(Role.EXCAVATOR, Role.OWNER, Role.ADMIN)
    found = list_projects(store, access, limit=limit + 1, status=status, after=cursor)
    page = found[:limit]
    following = list_cursor(page[-1]) if len(found) > limit else None
    return PrivateJson({"items": [item.to_json() for item in page], "next": following})


@router.get("/api/late-answers", tags=["Dig enquiries"], summary="List the answers that are overdue")
def get_late_answers(
    store: StoreOf, access: AccessOf, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> Response:
    """Longest overdue first, with telephone and mail of the owner: an excavator sees who is late with his
    enquiries, an owner what he is late with, an administrator all."""
    late = overdue_answers(store, access, limit=limit)
    return PrivateJson({"items": [answer.to_json() for answer in late]})


@router.get("/api/enquiries/{number}", tags=["Dig enquiries"], summary="Read one enquiry")
async def get_enquiry(
    number: str,
    store: StoreOf,
    access: AccessOf,
    waits: WaitsOf,
    wait_s: Annotated[float, Query(ge=0, le=30)] = 0,
    whole: Annotated[bool, Query(description="For its filer: the project, not the part.")] = True,
) -> Response:
    """With `wait_s` the answer waits that many seconds at most until the package is ready or has failed.

    Who filed a large area in parts gets the whole project under the number of any part; with `whole=false`
    that part alone. An owner always gets the part, with his own answer.
    """
    access.require(Role.EXCAVATOR, Role.OWNER, Role.ADMIN)
    read = project if whole else enquiry
    found = await run_in_threadpool(read, store, access, number)
    if wait_s and found.package_state is PackageState.BUILDING:
        await waits.ended(number, wait_s)
        found = await run_in_threadpool(read, store, access, number)
    return PrivateJson(found.to_json())


@router.post("/api/enquiries/{number}/package-link", tags=["Dig enquiries"], summary="Get a download link")
def post_package_link(number: str, store: StoreOf, access: AccessOf, security: SecurityOf) -> Response:
    """Return a signed link to the newest package; it works without a token until it expires."""
    access.require(Role.EXCAVATOR)
    found = enquiry(store, access, number)
    if found.organisation != access.organisation or found.package is None:
        raise NotFound("There is no package yet.", hint="Ask again with wait_s until package.ready is true.")
    require_in_force(found)
    name = f"Ledningspakke_{found.project.number if found.project else number}.zip"
    href, link = security.sign_link(found.package.blob, name, access)
    store.audit.append("package.linked", access, number, {"sequence": found.package.sequence})
    return PrivateJson({"href": href, "name": name, "expires_at": link.expires, **found.package.to_json()})


@router.get("/download/{signed}", tags=["Dig enquiries"], summary="Download by a signed link")
def get_download(signed: str, store: StoreOf, security: SecurityOf) -> Response:
    """Answer the file behind a signed link; `Range` requests are understood."""
    link = security.open_link(signed)
    if not store.blobs.exists(link.blob):
        raise NotFound("The package is no longer kept.", hint="File the enquiry again.")
    store.audit.append("package.downloaded", Access(link.principal), link.blob, {})
    headers = {"Cache-Control": "private, no-store"}
    return FileResponse(store.blobs.path(link.blob), 200, headers, "application/zip", filename=link.name)


@asynccontextmanager
async def _upload(request: Request, settings: Settings) -> AsyncIterator[Path]:
    """Receive the body into a file that is gone afterwards."""
    uploads = Path(settings.data_dir) / "uploads"
    uploads.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=uploads) as folder:
        path = Path(folder) / "delivery"
        await _receive(request, path, settings.max_upload_bytes)
        yield path


async def _receive(request: Request, path: Path, most_bytes: int) -> None:
    received = 0
    with path.open("wb") as target:
        async for chunk in request.stream():
            received += len(chunk)
            if received > most_bytes:
                raise TooLarge(
                    f"The delivery is larger than {most_bytes:,} bytes.",
                    hint="Zip it, or let the operator load it: geoinfra utilities deliver.",
                )
            target.write(chunk)


@router.post(
    "/api/enquiries/{number}/answers",
    status_code=201,
    tags=["Owners"],
    summary="Answer one enquiry",
    openapi_extra=ANSWER_BODY,
)
async def post_answer(
    request: Request, number: str, store: StoreOf, access: AccessOf, settings: SettingsOf
) -> Response:
    """Check and store a LER answer (GML, or a zip with it) of an owner who has not answered yet."""
    access.require(Role.OWNER)
    async with _upload(request, settings) as path:
        answered = await run_in_threadpool(store_answer, store, access, number, path)
    await run_in_threadpool(store.audit.append, "answer.stored", access, number, {})
    return PrivateJson(answered.to_json(), 201)


@router.post(
    "/api/utilities/check",
    tags=["Owners"],
    summary="Check a delivery",
)
async def post_check(
    request: Request,
    access: AccessOf,
    settings: SettingsOf,
    language: Annotated[Literal["da", "en"], Query(description="Language of the page.")] = "da",
    strict: Annotated[bool, Query(description="Refuse whatever the official schema refuses.")] = True,
    name: Annotated[str, Query(max_length=200, description="What the page is called.")] = "",
) -> Response:
    """Tell what is wrong with a LER answer or package (GML or zip). Nothing of it is stored.

    Any role may ask. A file with faults, even one that is no LER document at all, is answered with 200
    and its findings: as JSON, or with `Accept: text/html` as a page to read.
    """
    if access.organisation is None:
        raise NotAuthenticated("Checking a delivery needs a token.", hint="Any role will do.")
    async with _upload(request, settings) as path:
        report = await to_thread.run_sync(
            lambda: check_file(path, strict=strict, limits=_CHECKED), limiter=_CHECKS
        )
    if not _wants_page(request):
        return PrivateJson({**report.to_json(), "kinds": _kinds(report)})
    page = report_html(report, language, name or ("Levering" if language == "da" else "Delivery"))
    headers = {
        "Cache-Control": "private, no-store",
        "Content-Security-Policy": f"{page_policy()}; frame-ancestors 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(page, headers=headers)


def _kinds(report: Report) -> dict[str, dict[str, str | int]]:
    """Return what each kind of finding in the report is called, and how many there are."""
    counts: Counter[str] = Counter()
    for (_, code), count in report.counts.items():
        counts[code] += count
    known = {code: advice(code) for code in counts}
    return {
        code: {"title": one.title, "title_da": one.title_da, "count": counts[code]}
        for code, one in known.items()
        if one
    }


def _wants_page(request: Request) -> bool:
    """Whether the client names HTML before JSON."""
    accept = request.headers.get("accept", "").lower()
    html, json = accept.find("text/html"), accept.find("application/json")
    return html >= 0 and (json < 0 or html < json)


@router.get("/api/owners", tags=["Owners"], summary="List the registered owners")
def get_owners(store: StoreOf, access: AccessOf) -> Response:
    """Return number and name of each registered utility owner."""
    access.require(Role.EXCAVATOR, Role.OWNER, Role.ADMIN)
    with store.read() as connection:
        owners = list_organisations(connection, owners_only=True)
    return PrivateJson({"items": [{"cvr": owner.cvr, "name": owner.name} for owner in owners]})


@router.get("/api/addresses", tags=["Map"], summary="Search addresses")
def get_addresses(
    store: StoreOf,
    access: AccessOf,
    q: Annotated[str, Query(min_length=1, max_length=100)],
    limit: Annotated[int, Query(ge=1, le=50)] = 8,
) -> Response:
    """Find addresses whose text starts with, or else contains, what was typed."""
    return PrivateJson({"items": search_addresses(store, access, q, limit=limit)})
