"""Whom to call: the contacts that owners register by purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["reachable", "reached_by"]

_ABOUT_ANSWERS = ("answers", "technical")


def reached_by(
    areas: Sequence[Mapping[str, Any]], organisation: Mapping[str, Any]
) -> Mapping[str, str] | None:
    """Return whom to ask about an owner's answer, ``None`` where nobody can be reached.

    Parameters
    ----------
    areas
        Contacts by purpose of each interest area concerned. Those for answers come before technical ones, and
        both before all other purposes; of one purpose the first area counts.
    organisation
        The owner's contact where no area has one.
    """
    others = sorted({purpose for contacts in areas for purpose in contacts} - {*_ABOUT_ANSWERS})
    for purpose in (*_ABOUT_ANSWERS, *others):
        for contacts in areas:
            if found := reachable(contacts.get(purpose)):
                return found
    return reachable(organisation)


def reachable(contact: Any) -> dict[str, str] | None:
    """Return a contact with ``name``, ``email`` and ``phone``; ``None`` without one of the last two."""
    if not isinstance(contact, Mapping):
        return None
    texts = {name: str(contact.get(name) or "") for name in ("name", "email", "phone")}
    return texts if texts["email"] or texts["phone"] else None
