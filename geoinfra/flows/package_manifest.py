"""What a package says of itself: its manifest, and what its page tells beside the lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from geoinfra.flows.enquiries import Answer, Enquiry
from geoinfra.flows.sandbox import is_sandbox
from geoinfra.presentation.offline_html import PageFacts
from geoinfra.storage import Store, schema
from geoinfra.storage.records import timestamp
from geoinfra.utilities.contacts import reachable
from geoinfra.utilities.dangers import Danger
from geoinfra.utilities.differences import Differences
from geoinfra.utilities.enquiry import AnswerStatus
from geoinfra.utilities.model import Contact
from geoinfra.utilities.precautions import Precaution
from geoinfra.utilities.sandbox import SANDBOX_MARKS

__all__ = ["Known", "contact_of", "known", "manifest_of", "page_facts"]

_FORMAT = "geoinfra utility-line package 1"
_FEATURES_TOLD = 20  # of one precaution; the count is of all


@dataclass(frozen=True, slots=True)
class Known:
    """What the records know of an enquiry beside the enquiry itself.

    Attributes
    ----------
    kind
        ``planned``, ``emergency`` or ``planning``.
    contacts
        For each owner his contacts by purpose, as he has told for the interest areas concerned.
    sandbox
        Whether nothing of it is real.
    """

    kind: str
    depth_m: float | None
    contacts: Mapping[str, Mapping[str, Contact]] = field(default_factory=dict)
    sandbox: bool = False


def known(store: Store, filed: Enquiry) -> Known:
    """Read what a package needs to know of an enquiry and the owners concerned."""
    areas, found = schema.interest_areas.c, dict[str, dict[str, Contact]]()
    numbers = [number for answer in filed.answers for number in answer.interest_areas]
    query = sa.select(areas.owner_cvr, areas.contacts).where(areas.number.in_(numbers))
    with store.read() as connection:
        for cvr, text in connection.execute(query.order_by(areas.number)):
            told = {purpose: _contact(one) for purpose, one in sorted(json.loads(text).items())}
            own = found.setdefault(cvr, {})
            own |= {purpose: one for purpose, one in told.items() if one and purpose not in own}
        sandbox = is_sandbox(connection)
    return Known(str(filed.request.kind), filed.request.depth_m, found, sandbox)


def _contact(document: Any) -> Contact | None:
    told = reachable(document)
    return Contact(**told) if told else None


def contact_of(answer: Answer) -> Contact | None:
    """Return whom to ask about an owner's lines: as his answer says, else as the register does."""
    return Contact(**answer.contact) if answer.contact else None


def page_facts(
    filed: Enquiry,
    facts: Known,
    sequence: int,
    precautions: Sequence[Precaution],
    changes: Differences | None,
) -> PageFacts:
    """Return what the offline page tells beside the lines."""
    answers = filed.answers
    return PageFacts(
        sequence=sequence,
        valid_to=filed.valid_to,
        planning=facts.kind == "planning",
        emergency=facts.kind == "emergency",
        sandbox=facts.sandbox,
        due={a.owner_cvr: datetime.fromisoformat(a.due_at) for a in answers if a.due_at},
        answered={a.owner_cvr: datetime.fromisoformat(a.answered_at) for a in answers if a.answered_at},
        precautions=tuple(precautions),
        changes=changes,
    )


def manifest_of(
    filed: Enquiry,
    facts: Known,
    sequence: int,
    features: Mapping[str, int],
    precautions: Sequence[Precaution],
    dangers: Sequence[Danger],
    changes: Differences | None,
    attachments: Mapping[str, Mapping[str, str]],
    members: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return what the package holds, for whom, and what is missing from it; nothing follows the clock.

    Parameters
    ----------
    features
        How many of each owner are in the package.
    attachments
        For each owner the names of attached files in the package, and what he calls them.
    """
    missing = [answer for answer in filed.answers if not answer.status.final]
    moments = [answer.answered_at for answer in filed.answers if answer.answered_at]
    return {
        "format": _FORMAT,
        "number": filed.number,
        "sequence": sequence,
        "kind": facts.kind,
        "sandbox": facts.sandbox,
        **({"not_for_digging": SANDBOX_MARKS} if facts.sandbox else {}),
        "filed_at": filed.filed_at,
        "as_of": max([filed.filed_at, *moments]),
        "valid_to": timestamp(filed.valid_to),
        "area_m2": round(filed.request.area_m2, 1),
        "original": filed.original or None,
        "parts": [{"number": part.number, "area_m2": round(part.request.area_m2, 1)} for part in filed.parts],
        "features": sum(features.values()),
        "complete": not missing,
        "missing": [answer.owner_cvr for answer in missing],
        "completeness": _completeness(filed, missing),
        "owners": [
            _owner(answer, facts, features.get(answer.owner_cvr, 0), attachments.get(answer.owner_cvr, {}))
            for answer in filed.answers
        ],
        "surroundings": {
            "distance_m": filed.request.surroundings_m,
            "owners": [_beside(answer) for answer in filed.beside],
        },
        "dangers": [danger.to_json() for danger in dangers],
        "precautions": [one.to_json(most_features=_FEATURES_TOLD) for one in precautions],
        "changes": None if changes is None else {"since": sequence - 1, **changes.to_json()["counts"]},
        "files": list(members),
    }


def _completeness(filed: Enquiry, missing: Sequence[Answer]) -> dict[str, Any]:
    """State who has answered what and when, and who is missing until when."""
    asked, gone = len(filed.answers), len(missing)
    danish = f"Pakken er komplet: alle {asked} ledningsejere har svaret."
    english = f"The package is complete: all {asked} owners have answered."
    if not filed.request.kind.asks_owners:
        danish = f"Til planlægning: {asked} ledningsejere har interesse i området. De er ikke spurgt."
        english = f"For planning: {asked} owners have an interest in the area. They were not asked."
    elif missing:
        danish = f"Pakken er ikke komplet: {gone} af {asked} ledningsejere har ikke svaret endnu."
        english = f"The package is not complete: {gone} of {asked} owners have not answered yet."
    direct = [answer for answer in filed.answers if answer.status is AnswerStatus.DIRECT]
    if direct:
        names = ", ".join(answer.owner_name for answer in direct)
        if not missing:
            told = asked - len(direct)
            danish = f"Pakken er komplet for {told} af {asked} ledningsejere."
            english = f"The package is complete for {told} of {asked} owners."
        danish += f" Disse ledningsejere sender selv deres oplysninger uden om pakken: {names}."
        english += f" These owners send their information themselves, outside the package: {names}."
    return {
        "asked": asked,
        "answered": asked - gone - len(direct),
        "statement": {"da": danish, "en": english},
        "missing": [
            {
                "cvr": answer.owner_cvr,
                "name": answer.owner_name,
                "status": str(answer.status),
                "due_at": answer.due_at,
                "expected_at": answer.header.get("expected_at"),
                "contact": _contact_json(contact_of(answer)),
            }
            for answer in missing
        ],
        "sent_directly": [
            {
                "cvr": answer.owner_cvr,
                "name": answer.owner_name,
                "due_at": answer.due_at,
                "da": "Sender selv sine oplysninger",
                "en": "Sends his information himself",
                "contact": _contact_json(contact_of(answer)),
            }
            for answer in direct
        ],
    }


def _beside(answer: Answer) -> dict[str, Any]:
    """Name an owner in the surroundings, who was not asked."""
    return {
        "cvr": answer.owner_cvr,
        "name": answer.owner_name,
        "supplies": list(answer.supplies),
        "contact": _contact_json(contact_of(answer)),
    }


def _contact_json(contact: Contact | None) -> dict[str, str] | None:
    if contact is None:
        return None
    return {"name": contact.name, "phone": contact.phone, "email": contact.email}


def _owner(answer: Answer, facts: Known, features: int, attached: Mapping[str, str]) -> dict[str, Any]:
    contacts = facts.contacts.get(answer.owner_cvr, {})
    return {
        "cvr": answer.owner_cvr,
        "name": answer.owner_name,
        "interest_areas": list(answer.interest_areas),
        "status": str(answer.status),
        "status_da": answer.status.danish,
        "final": answer.status.final,
        "features": features,
        "answered_at": answer.answered_at,
        "due_at": answer.due_at,
        "version": answer.version,
        "valid_to": answer.valid_to.isoformat() if answer.valid_to else None,
        "supplementary_info": answer.header.get("supplementary_info"),
        "contact": _contact_json(contact_of(answer)),
        "contacts": {purpose: _contact_json(one) for purpose, one in contacts.items()},
        "delivery": answer.delivery_id,
        "attachments": [{"name": name, "path": path} for name, path in attached.items()],
    }
