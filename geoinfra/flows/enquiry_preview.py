"""What filing an enquiry would mean: its parts, fee, rules and deadlines. Nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import shapely

from geoinfra.access import Access, Role
from geoinfra.errors import InvalidInput
from geoinfra.flows.enquiries import fees_of_year
from geoinfra.flows.enquiry_records import area_json
from geoinfra.storage import Store
from geoinfra.storage.records import timestamp
from geoinfra.utilities import areas, fees
from geoinfra.utilities.enquiry import MEMBERS, EnquiryRequest, area_of
from geoinfra.utilities.fees import Fee
from geoinfra.utilities.filing import Filing, filing_of, may_resend, told, validity
from geoinfra.utilities.legal_clock import DENMARK, Deadline, due

__all__ = ["Preview", "preview_enquiry"]


@dataclass(frozen=True, slots=True)
class Preview:
    """What filing a document now would mean.

    Attributes
    ----------
    request
        The document; what is missing or wrong in it is replaced.
    parts, amounts
        The areas that it would be filed as, and the fee of each.
    refusals
        What must be mended before it can be filed.
    moment
        When filing would be.
    has_period
        Whether the document gives a period.
    """

    request: EnquiryRequest
    parts: Sequence[shapely.Polygon]
    amounts: Sequence[Decimal]
    fee: Fee
    refusals: Sequence[InvalidInput]
    moment: datetime
    has_period: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as ``docs/reference/http.md`` describes it."""
        return {
            "area": area_json(self.request.polygon),
            "area_m2": round(self.request.area_m2, 1),
            "kind": str(self.request.kind),
            "permits_digging": self.request.kind.permits_digging,
            "parts": [
                {
                    "part": number,
                    "area": area_json(part),
                    "area_m2": round(float(part.area), 1),
                    "fee_dkk": str(amount),
                }
                for number, (part, amount) in enumerate(zip(self.parts, self.amounts, strict=True), 1)
            ],
            "fee_dkk": str(self.fee.amount_kr),
            "fee_year_dkk": str(self.fee.year_total_kr),
            "fee_cap_dkk": str(self.fee.period.cap_kr_per_year),
            "fee_text": {"da": self.fee.text_da, "en": self.fee.text},
            "fileable": not self.refusals,
            "rules": [*map(_refusal, self.refusals), *self._told()],
            "clock": self._clock(),
            **self._dates(),
        }

    def _told(self) -> list[dict[str, Any]]:
        return [
            {"level": "told", "path": None, **rule.to_json()} for rule in told(self.request, len(self.parts))
        ]

    def _clock(self) -> dict[str, Any] | None:
        """Return by when owners must have answered, ``None`` where they are not asked."""
        if not self.request.kind.asks_owners:
            return None
        answer, manual, direct = (due(self.moment, deadline) for deadline in Deadline)
        return {
            "due_at": timestamp(answer),
            "manual_due_at": timestamp(manual),
            "direct_due_at": timestamp(direct),
            "da": f"Oprettes den nu, skal ledningsejerne svare senest {_when(answer, 'da')};"
            f" ved manuel behandling senest {_when(manual, 'da')}.",
            "en": f"If it is filed now, owners must answer by {_when(answer, 'en')};"
            f" by {_when(manual, 'en')} what they take out for manual handling.",
        }

    def _dates(self) -> dict[str, Any]:
        if not self.has_period:
            return {"resend_last_day": None, "valid_last_day": None, "validity_days": None}
        filing, today = self._filing(), self.moment.astimezone(DENMARK).date()
        again, last_day = may_resend(filing, self.moment), validity(filing, {}, self.moment).last_day
        days = (last_day - max(today, filing.period_from)).days + 1
        return {
            "resend_last_day": again.last_day.isoformat() if again.allowed else None,
            "valid_last_day": last_day.isoformat(),
            "validity_days": max(days, 0) if self.request.kind.permits_digging else 0,
        }

    def _filing(self) -> Filing:
        return filing_of(self.request, "", self.moment)


def _when(moment: datetime, language: str) -> str:
    local = moment.astimezone(DENMARK)
    return local.strftime("%d.%m.%Y kl. %H.%M" if language == "da" else "%Y-%m-%d %H:%M")


def _refusal(error: InvalidInput) -> dict[str, Any]:
    path = error.details["path"]
    return {
        "level": "refused",
        "path": path,
        "code": error.details.get("rule", "member"),
        "da": error.details["message_da"],
        "en": f"{error.message} {error.hint}".strip(),
    }


def preview_enquiry(store: Store, access: Access, document: Mapping[str, Any]) -> Preview:
    """Return what filing `document` would mean for `access`; only the area must be there.

    Raises
    ------
    NotAllowed
        `access` is not an excavator of an organisation.
    InvalidInput, InvalidGeometry, TooLarge
        The area cannot be used. All else that is missing or wrong is among the refusals.
    """
    access.require(Role.EXCAVATOR)
    organisation, moment = access.require_organisation(), datetime.now(UTC)
    today = moment.astimezone(DENMARK).date()
    polygon = area_of(document)
    request, refusals = _read(document, polygon, today)
    if not any(str(one.details["path"]).startswith("period") for one in refusals):
        refusals += filing_of(request, "", moment).broken_rules()
    parts = areas.split(polygon)
    with store.read() as connection:
        before = fees_of_year(connection, organisation, today.year)
    fee, amounts = fees.preview_parts(
        [part.area for part in parts], today, before, planning=not request.kind.asks_owners
    )
    return Preview(request, parts, amounts, fee, refusals, moment, bool(document.get("period")))


def _read(
    document: Mapping[str, Any], polygon: shapely.Polygon, today: date
) -> tuple[EnquiryRequest, list[InvalidInput]]:
    """Read a document in which members may be missing or wrong; those are replaced and reported."""
    given: dict[str, Any] = dict(document)
    refusals: list[InvalidInput] = []
    for _ in range(2 * len(MEMBERS)):
        try:
            return EnquiryRequest.from_document(given, today=today, polygon=polygon), refusals
        except InvalidInput as error:
            refusals.append(error)
            _replace(given, str(error.details["path"]).partition(".")[0], today)
    raise refusals[-1]


def _replace(given: dict[str, Any], member: str, today: date) -> None:
    """Put in what is missing or wrong what passes, so that the rest can be read."""
    unknown = set(given) - MEMBERS
    for name in unknown or {member} & set(given):
        del given[name]
    stand_ins = _stand_ins(today)
    if member == "methods_other":
        given["methods"] = stand_ins["methods"]
    if member in stand_ins and not unknown:
        given[member] = stand_ins[member]


def _stand_ins(today: date) -> dict[str, Any]:
    return {
        "period": {"from": today.isoformat(), "to": (today + timedelta(days=1)).isoformat()},
        "methods": ["6"],
        "contact": {"name": "-", "phone": "00000000"},
    }
