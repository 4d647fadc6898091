"""A large dig area is filed as several enquiries; here they are one again: a project.

Each part has its own number, its own answers and its own deadline. Who filed them sees them together, and
gets one package that holds each line once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial

import shapely

from geoinfra.access import Access, Role
from geoinfra.errors import NotFound
from geoinfra.flows.enquiries import Answer, Enquiry, Project, enquiry, list_enquiries
from geoinfra.flows.enquiry_records import load_enquiries
from geoinfra.storage import Store
from geoinfra.tables import FeatureQuery
from geoinfra.utilities.areas import joined
from geoinfra.utilities.enquiry import AnswerStatus

__all__ = ["list_projects", "project", "together", "whole"]


def project(store: Store, access: Access, number: str) -> Enquiry:
    """Return an enquiry as `access` may see it: who filed it in parts gets them together, an owner his part.

    Raises
    ------
    NotFound
        It does not exist, or `access` may not see it.
    """
    found = enquiry(store, access, number)
    return found if found.project is None else whole(store, access, number)


def list_projects(
    store: Store,
    access: Access,
    *,
    limit: int = 100,
    status: AnswerStatus | None = None,
    after: str | None = None,
) -> list[Enquiry]:
    """Return the enquiries that `access` may see, newest first; a project is one for him who filed it.

    It asks the records the same few questions for any number of enquiries and owners. What an owner's lines
    in several parts come to is not counted here: his ``features`` are ``None``.

    Parameters
    ----------
    status, after
        As for :func:`~geoinfra.flows.enquiries.list_enquiries`; of a project any part counts.
    """
    found = list_enquiries(store, access, limit=limit, status=status, projects=True, after=after)
    return together(store, found)


def together(store: Store, found: Sequence[Enquiry]) -> list[Enquiry]:
    """Return enquiries of which each first part of a project stands for all its parts, without counting.

    The caller has checked the right to see the projects as one.
    """
    numbers = [number for one in found if one.project for number in one.project.numbers]
    if not numbers:
        return list(found)
    with store.read() as connection:
        parts = {part.number: part for part in load_enquiries(connection, numbers)}
    return [
        one if one.project is None else _whole([parts[number] for number in one.project.numbers], _uncounted)
        for one in found
    ]


def whole(store: Store, access: Access, number: str) -> Enquiry:
    """Return all parts of the project that an enquiry belongs to as one enquiry, for him who filed it.

    An enquiry that stands alone is its own whole. The number is that of the first part. Of an owner who has
    something to tell to several parts there is one answer: its state is the one furthest from done, its
    information ends with the earliest, and a line in two parts counts once.

    Raises
    ------
    NotFound
        There is no such enquiry of the caller's.
    """
    first = enquiry(store, access, number)
    if first.organisation != access.organisation and not access.has(Role.ADMIN):
        raise NotFound("There is no such enquiry.", hint="Check the number, and whose token you use.")
    if first.project is None:
        return first
    with store.read() as connection:
        parts = load_enquiries(connection, first.project.numbers)
    return _whole(parts, partial(_features, store))


type _Counting = Callable[[Sequence[Answer], Sequence[str], shapely.Polygon], int | None]


def _whole(parts: Sequence[Enquiry], counting: _Counting) -> Enquiry:
    first, polygon = parts[0], joined([part.request.polygon for part in parts])
    return replace(
        first,
        request=replace(first.request, polygon=polygon),
        answers=_merged(parts, polygon, counting),
        fee_dkk=sum((part.fee_dkk or Decimal(0) for part in parts), Decimal(0)),
        project=Project(first.number, 0, tuple(part.number for part in parts)),
        parts=tuple(parts),
    )


def _merged(parts: Sequence[Enquiry], polygon: shapely.Polygon, counting: _Counting) -> tuple[Answer, ...]:
    by_owner: dict[str, list[Answer]] = defaultdict(list)
    for part in parts:
        for answer in part.answers:
            by_owner[answer.owner_cvr].append(answer)
    return tuple(
        given[0] if len(given) == 1 else _one_answer(given, polygon, counting)
        for _, given in sorted(by_owner.items())
    )


def _one_answer(given: Sequence[Answer], polygon: shapely.Polygon, counting: _Counting) -> Answer:
    """Return what an owner's answers to several parts come to."""
    worst = max(given, key=lambda answer: (answer.status.weight, answer.is_open))
    ends = [answer.valid_to for answer in given if answer.valid_to]
    answered = [answer.answered_at for answer in given if answer.answered_at]
    deliveries = sorted({answer.delivery_id for answer in given if answer.delivery_id})
    return replace(
        worst,
        interest_areas=tuple(sorted({number for answer in given for number in answer.interest_areas})),
        delivery_id=deliveries[-1] if deliveries else None,
        features=counting(given, deliveries, polygon),
        valid_to=min(ends) if ends else None,
        answered_at=max(answered) if answered and not worst.is_open else worst.answered_at,
        version=sum(answer.version for answer in given) - len(given) + 1,
        supplies=tuple(sorted({supply for answer in given for supply in answer.supplies})),
    )


def _features(
    store: Store, given: Sequence[Answer], deliveries: Sequence[str], polygon: shapely.Polygon
) -> int | None:
    """Count an owner's lines: exactly from one delivery; from several, what crosses a cut counts twice."""
    if len(deliveries) == 1:
        return store.delivery(deliveries[0]).count(FeatureQuery(polygon=shapely.to_wkb(polygon)))
    counts = [answer.features for answer in given if answer.features is not None]
    return sum(counts) if counts else None


def _uncounted(_given: Sequence[Answer], _deliveries: Sequence[str], _polygon: shapely.Polygon) -> None:
    return None
