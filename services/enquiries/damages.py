"""Routes of dig damages: owners report them, alone or as a table; everybody reads protected counts."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from geoinfra.access import Access, Role
from geoinfra.flows import damages
from geoinfra.storage import Store
from geoinfra.utilities.damage_statistics import write_statistics
from geoinfra.utilities.damages import MEMBERS, damage_law, duty_year, last_day, write_damages
from services.enquiries.routes import AccessOf, PrivateJson, StoreOf, _document

__all__ = ["router"]

router = APIRouter()

Format = Annotated[Literal["json", "csv"], Query(alias="format", description="json or csv")]
Year = Annotated[int | None, Query(ge=2000, le=2100, description="Year of the damages")]


_SUPPLIES = {one["number"]: one["en"] for one in damage_law()["supplies"]}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["xKoordinat", "yKoordinat", "skadevolderType", "forsyningsart"],
    "properties": {
        "xKoordinat": {"type": "number", "description": "Easting in metres, EPSG:25832"},
        "yKoordinat": {"type": "number", "description": "Northing in metres, EPSG:25832"},
        "projektion": {"const": "EPSG:25832"},
        "skadevolderType": {"enum": [0, 1, 2], "description": "0 company, 1 private person, 2 unknown"},
        "skadevolderCvr": {"type": "string", "description": "CVR number of the company"},
        "skadesDato": {"type": "string", "description": "dd-mm-yyyy, or ISO"},
        "skadesDatoUkendt": {"type": "boolean", "description": "Whether the day is not known"},
        "year": {"type": "integer", "description": "Year, where the day is not known"},
        "forsyningsart": {
            "enum": list(_SUPPLIES),
            "description": ", ".join(f"{number} {name}" for number, name in _SUPPLIES.items()),
        },
        "forsyningsartAnden": {"type": "string", "description": "What 99 stands for"},
        "lerNummer": {"type": "string", "description": "Number of the dig enquiry"},
        "omfangFunktionsevne": {"type": "number", "minimum": 0},
        "omfangNaermiljoe": {"type": "number", "minimum": 0},
        "omfangOmkostningUdbedring": {"type": "number", "minimum": 0, "description": "Repair, DKK"},
        "omfangOmkostningAdministration": {
            "type": "number",
            "minimum": 0,
            "description": "Administration, DKK",
        },
        "aarsag": {"type": "array", "items": {"type": "integer"}, "description": "LER's causes"},
        "bemaerkning": {"type": "string"},
    },
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": _SCHEMA,
                "example": {
                    "xKoordinat": 575220.92,
                    "yKoordinat": 6224761.47,
                    "skadevolderType": 2,
                    "skadesDato": "12-09-2025",
                    "forsyningsart": "3",
                    "aarsag": [1],
                },
            },
            "text/csv": {
                "schema": {"type": "string"},
                "example": f"{';'.join(MEMBERS[:9])}\n575220,92;6224761,47;;2;;12-09-2025;;;3\n",
            },
        },
    }
}


@router.post(
    "/api/damages", status_code=201, tags=["Dig damages"], summary="Report dig damages", openapi_extra=_BODY
)
async def post_damage(request: Request, store: StoreOf, access: AccessOf) -> Response:
    """Report one damage (JSON), or a table of them (`Content-Type: text/csv`) with a report for each row.

    The same damage again is answered with 200 and the id it has. Rows without a fault are stored and the
    others are not: mend those and send the table again.
    """
    access.require(Role.OWNER)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/csv":
        content = await request.body()
        return await run_in_threadpool(_import, store, access, content)
    document = await _document(request)
    return await run_in_threadpool(_report, store, access, document)


def _report(store: Store, access: Access, document: dict[str, Any]) -> Response:
    done = damages.report_damage(store, access, document)
    if not done.known:
        store.audit.append("damage.reported", access, done.damage_id, {})
    return PrivateJson({**done.to_json(), "known": done.known}, 200 if done.known else 201)


def _import(store: Store, access: Access, content: bytes) -> Response:
    rows = damages.import_damages(store, access, content)
    counts = Counter(row.state for row in rows)
    told = {state: counts[state] for state in ("stored", "known", "refused")}
    store.audit.append("damage.imported", access, "damages", told)
    return PrivateJson({**told, "rows": [row.to_json() for row in rows]}, 200)


@router.get("/api/damages", tags=["Dig damages"], summary="List dig damages")
def get_damages(
    store: StoreOf,
    access: AccessOf,
    year: Year = None,
    form: Format = "json",
    limit: Annotated[int, Query(ge=1, le=damages.MOST_LISTED)] = 1000,
) -> Response:
    """An owner reads his own, the authority all; the newest report first. `due`: what to report."""
    found = damages.list_damages(store, access, year=year, limit=limit)
    store.audit.append("damage.listed", access, str(year or "all"), {"rows": len(found)})
    documents = [one.to_json() for one in found]
    if form == "csv":
        return _csv(write_damages(documents), "graveskader.csv")
    return PrivateJson({"items": documents, "due": _due()})


def _due() -> dict[str, Any]:
    year, rule = duty_year(damages.today_in_denmark()), damage_law()["deadline"]
    return {"year": year, "last_day": last_day(year).isoformat(), "da": rule["da"], "en": rule["en"]}


@router.get("/api/damages/statistics", tags=["Dig damages"], summary="Count dig damages")
def get_statistics(
    store: StoreOf,
    access: AccessOf,
    year: Year = None,
    form: Format = "json",
    own: Annotated[bool, Query(description="Count your own damages only; for owners.")] = False,
) -> Response:
    """Counts by supply, cause and digging method in each year. Without a token, or as any role but authority:
    no group is smaller than five, and a year is told of once its time of reporting is over.
    """
    found = damages.statistics(store, access, year=year, own=own)
    if form == "csv":
        return _csv(write_statistics(found), "graveskader-statistik.csv")
    return PrivateJson({"items": [one.to_json() for one in found]})


def _csv(text: str, name: str) -> Response:
    headers = {
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(text, headers=headers, media_type="text/csv; charset=utf-8")
