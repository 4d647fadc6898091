"""Owners and their interest areas: read from files, proposed, reviewed and made live.

An owner is asked by his live areas within their dates. He proposes areas, and changes of live ones, as drafts
and submits them; another person of the organisation or the administrator reviews them. What is live counts
until a change of it is accepted. Areas may overlap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import shapely
import sqlalchemy as sa

from geoinfra import crs
from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, InvalidInput, NotAllowed, NotFound, TooLarge, UnreadableFile
from geoinfra.storage import Store, interest_areas, organisations, outbox, schema
from geoinfra.storage.interest_areas import AreaProposal, AreaRecord
from geoinfra.storage.organisations import AreaState, InterestArea, get_organisation
from geoinfra.storage.records import Transaction, now, timestamp
from geoinfra.tables import FeatureQuery
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.formats.interest_area import InterestAreaNotice, read_interest_area
from geoinfra.utilities.legal_clock import DENMARK
from geoinfra.utilities.model import UTILITY_FEATURES

__all__ = [
    "CONTACT_PURPOSES",
    "SUPPLY_TYPES",
    "AreaStep",
    "Coverage",
    "area_collection",
    "area_from_notice",
    "checked_contact",
    "clear_dispensation",
    "coverage",
    "list_areas",
    "propose_areas",
    "read_interest_areas",
    "set_dispensation",
    "step_area",
    "submit_area",
    "submit_notice",
]

CONTACT_PURPOSES = ("answers", "technical", "damage", "pointing-out")
"""What the contacts of an interest area are for."""

SUPPLY_TYPES = (
    "district-heating",
    "duct",
    "electricity",
    "gas",
    "oil",
    "other",
    "sewer",
    "telecom",
    "water",
)
"""What an interest area may be about."""

_SUPPLY_OF_LER = {
    "1": "telecom",
    "2": "telecom",
    "3": "water",
    "4": "district-heating",
    "5": "electricity",
    "6": "oil",
    "7": "gas",
    "8": "sewer",
    "9": "sewer",
    "10": "duct",
    "99": "other",
}
_SINCE = datetime(2000, 1, 1, tzinfo=UTC)
_YEARS = range(1901, 9000)
_MOST_AT_ONCE = 500
_MARGIN_M = 1.0
_SAME_PLACE_M = 0.005
_MOST_EXAMPLES = 10
_CONTACT_TEXTS = {"name": 100, "email": 254, "phone": 16}


class AreaStep(StrEnum):
    """What may be done with an interest area."""

    SUBMIT = "submit"
    ACCEPT = "accept"
    REJECT = "reject"
    RETIRE = "retire"


# --- Proposing


def list_areas(store: Store, access: Access, owner_cvr: str) -> list[AreaRecord]:
    """Return all interest areas of an owner, for himself or the administrator.

    Raises
    ------
    NotAllowed
        They are another owner's.
    NotFound
        The owner is not registered.
    """
    _require_own(access, owner_cvr)
    with store.read() as connection:
        _require_registered(connection, owner_cvr)
        return interest_areas.areas_of(connection, owner_cvr)


def _require_registered(connection: sa.Connection, owner_cvr: str) -> None:
    if get_organisation(connection, owner_cvr) is None:
        raise NotFound(f"No owner is registered under CVR {owner_cvr[:8]}.")


def propose_areas(
    store: Store, access: Access, owner_cvr: str, document: Any, *, submit: bool = False
) -> list[AreaRecord]:
    """Propose interest areas of an owner, all or none, and return them.

    Parameters
    ----------
    document
        GeoJSON FeatureCollection as in ``docs/reference/http.md``: a feature without ``number`` is a new
        area, one with it changes that area; one that is live just so stays as it is.
    submit
        Send them to review at once; else they are drafts.

    Raises
    ------
    NotAllowed
        The areas are another owner's.
    NotFound
        The owner is not registered, or an area does not exist.
    InvalidInput, InvalidGeometry
        The document breaks a rule; the message names the feature.
    Conflict
        An area is retired.
    """
    _require_own(access, owner_cvr)
    asked = list(_documents(document))
    return _propose(store, access, owner_cvr, asked, submit)


def submit_notice(
    store: Store, access: Access, owner_cvr: str, source: Path | BinaryIO, number: int | None = None
) -> AreaRecord:
    """Propose an interest area as LER takes it (``lergml:Indberetning``) and send it to review.

    Parameters
    ----------
    number
        Of the area to change; a new one without.

    Raises
    ------
    UnreadableFile, DataRefused
        It is no such document, or LER would refuse it.
    NotAllowed, NotFound, Conflict
        As in :func:`propose_areas`.
    """
    _require_own(access, owner_cvr)
    return submit_area(store, access, owner_cvr, *area_from_notice(read_interest_area(source)), number)


def submit_area(
    store: Store,
    access: Access,
    owner_cvr: str,
    area: InterestArea,
    contacts: Mapping[str, Any],
    number: int | None = None,
) -> AreaRecord:
    """Propose one interest area and send it to review.

    Parameters
    ----------
    area
        Its own number is not looked at.
    number
        Of the area to change; a new one without.

    Raises
    ------
    NotAllowed, NotFound, InvalidInput, InvalidGeometry, Conflict
        As in :func:`propose_areas`.
    """
    _require_own(access, owner_cvr)
    (made,) = _propose(store, access, owner_cvr, [(number, area, contacts)], True)
    return made


def area_from_notice(notice: InterestAreaNotice) -> tuple[InterestArea, dict[str, Any]]:
    """Return the area, not yet numbered, and the contacts that a notice to LER tells of."""
    supplies = tuple(sorted({_SUPPLY_OF_LER[one] for one in notice.supplies}))
    mail = notice.contact_person or notice.contact_address
    contacts = {"answers": {"name": "", "email": mail, "phone": ""}} if mail else {}
    polygon: Any = shapely.from_wkb(notice.polygon)
    return InterestArea(0, supplies, polygon, datetime.now(UTC)), contacts


def _propose(
    store: Store,
    access: Access,
    owner_cvr: str,
    asked: Sequence[tuple[int | None, InterestArea, Mapping[str, Any]]],
    submit: bool,
) -> list[AreaRecord]:
    with store.begin() as tx:
        _require_registered(tx.connection, owner_cvr)
        numbers: list[int] = []
        for wanted, area, contacts in asked:
            number = interest_areas.next_area_number(tx) if wanted is None else wanted
            if number in numbers:
                raise InvalidInput(f"The interest area {number} comes twice.")
            numbers.append(number)
            if wanted is not None:
                record = _own_area(tx, owner_cvr, wanted)
                area = _changed(record, area)
                if _is_live_so(record, area, contacts):
                    continue
            proposal = AreaProposal(area._replace(number=number), contacts, access.principal, submit)
            interest_areas.propose_area(tx, owner_cvr, proposal)
            if submit:
                _tell(tx, owner_cvr, number, "review")
        store.audit.record(tx, "area.proposed", access, owner_cvr, {"numbers": numbers, "submitted": submit})
        tx.commit()
    with store.read() as connection:
        known = {one.area.number: one for one in interest_areas.areas_of(connection, owner_cvr)}
    return [known[number] for number in numbers]


def _changed(record: AreaRecord, area: InterestArea) -> InterestArea:
    """Return what an area shall be like; a live one begins no later than it did, so that no gap opens."""
    number = record.area.number
    if record.state is AreaState.RETIRED:
        raise Conflict(f"The interest area {number} is retired.", hint="Propose a new one.")
    if record.state is not AreaState.LIVE:
        return area
    if area.valid_from > datetime.now(UTC):
        raise InvalidInput(
            f"The live interest area {number} cannot begin in the future.",
            hint="Propose a new area that begins then, and an end for this one.",
        )
    return area._replace(valid_from=min(area.valid_from, record.area.valid_from))


def _is_live_so(record: AreaRecord, area: InterestArea, contacts: Mapping[str, Any]) -> bool:
    """Whether nothing is proposed and the live area is like that already, to the precision of documents."""
    live = record.area
    if record.state is not AreaState.LIVE or record.proposal is not None or record.contacts != contacts:
        return False
    if (set(live.supply_types), _dates(live)) != (set(area.supply_types), _dates(area)):
        return False
    if not area.polygon.is_valid:
        return False
    wide = [shapely.buffer(one, _SAME_PLACE_M, join_style="mitre") for one in (live.polygon, area.polygon)]
    return bool(wide[0].covers(area.polygon) and wide[1].covers(live.polygon))


def _dates(area: InterestArea) -> tuple[str, str | None]:
    return timestamp(area.valid_from), timestamp(area.valid_to) if area.valid_to else None


def _own_area(tx: Transaction, owner_cvr: str, number: int) -> AreaRecord:
    record = interest_areas.get_area(tx.connection, number, lock=True)
    if record is None or record.owner_cvr != owner_cvr:
        raise NotFound(f"You have no interest area {number}.", hint="List your areas to see their numbers.")
    return record


def _require_own(access: Access, owner_cvr: str) -> None:
    access.require(Role.OWNER, Role.ADMIN)
    if not access.has(Role.ADMIN) and access.require_organisation() != owner_cvr:
        raise NotAllowed("An owner sees and changes his own interest areas only.")


# --- Steps


def step_area(
    store: Store,
    access: Access,
    owner_cvr: str,
    number: int,
    step: AreaStep,
    *,
    revision: str | None = None,
) -> AreaRecord | None:
    """Take an interest area one step on in its life, and return it; ``None`` when it is no more.

    A draft is submitted; another person than who proposed it, or the administrator, accepts it; each of them
    rejects it, and so does who takes it back; a live area is retired. What was rejected is forgotten, and the
    live area under it stays.

    Parameters
    ----------
    revision
        Of the proposal that the caller has read; refuses the step when something else is proposed meanwhile.

    Raises
    ------
    NotAllowed
        The area is another owner's, or the reviewer proposed it himself.
    NotFound
        There is no such area of this owner.
    Conflict
        The area is not in a state for this step, or its proposal is not of this revision.
    """
    _require_own(access, owner_cvr)
    with store.begin() as tx:
        record = _own_area(tx, owner_cvr, number)
        if revision is not None and (record.proposal is None or record.proposal.revision != revision):
            raise _not_so(record, "something else is proposed meanwhile")
        _STEPS[step](tx, access, record)
        if step is not AreaStep.REJECT or (record.proposal and record.proposal.submitted):
            _tell(tx, owner_cvr, number, _OUTCOMES[step])
        store.audit.record(tx, f"area.{step}", access, owner_cvr, {"number": number})
        tx.commit()
    with store.read() as connection:
        return interest_areas.get_area(connection, number)


def _tell(tx: Transaction, owner_cvr: str, number: int, state: str) -> None:
    """Tell what became of an area; of one that waits for its review also the administrator hears."""
    outbox.emit(tx, "area.changed", owner_cvr, {"owner_cvr": owner_cvr, "area": number, "state": state})


def _submit(tx: Transaction, _access: Access, record: AreaRecord) -> None:
    proposal = _proposed(record, submitted=False)
    sent = AreaProposal(proposal.area, proposal.contacts, proposal.proposed_by, True)
    interest_areas.propose_area(tx, record.owner_cvr, sent)


def _accept(tx: Transaction, access: Access, record: AreaRecord) -> None:
    proposal = _proposed(record, submitted=True)
    if proposal.proposed_by == access.principal and not access.has(Role.ADMIN):
        raise NotAllowed(
            "Who proposed an interest area does not review it.",
            hint="Let a colleague with a token of his own accept it, or the administrator.",
        )
    interest_areas.accept_proposal(tx, record, access.principal)


def _reject(tx: Transaction, _access: Access, record: AreaRecord) -> None:
    if record.proposal is None:
        raise _not_so(record, "nothing is proposed")
    interest_areas.drop_proposal(tx, record)


def _retire(tx: Transaction, _access: Access, record: AreaRecord) -> None:
    if record.state is not AreaState.LIVE:
        raise _not_so(record, "it is not live")
    interest_areas.retire_area(tx, record)


def _proposed(record: AreaRecord, *, submitted: bool) -> AreaProposal:
    proposal = record.proposal
    if proposal is None or proposal.submitted is not submitted:
        raise _not_so(record, "it waits for no review" if submitted else "there is no draft of it")
    return proposal


def _not_so(record: AreaRecord, why: str) -> Conflict:
    return Conflict(
        f"The interest area {record.area.number} cannot take this step: {why}.",
        details={"state": str(record.state)},
    )


_STEPS = {
    AreaStep.SUBMIT: _submit,
    AreaStep.ACCEPT: _accept,
    AreaStep.REJECT: _reject,
    AreaStep.RETIRE: _retire,
}
_OUTCOMES = {
    AreaStep.SUBMIT: "review",
    AreaStep.ACCEPT: "live",
    AreaStep.REJECT: "rejected",
    AreaStep.RETIRE: "retired",
}


# --- Whether the areas reach


@dataclass(frozen=True, slots=True)
class Coverage:
    """How an owner's published lines lie in his interest areas.

    Attributes
    ----------
    features
        Features with a place.
    outside
        Those that no area covers: a dig there would not be asked about.
    close
        Those covered, and less than a metre from the edge somewhere.
    examples
        Identifiers of some of the two, those outside first.
    """

    features: int
    outside: int
    close: int
    examples: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the outcome with its warnings, JSON-ready."""
        warnings = []
        if self.outside:
            warnings.append(f"{self.outside} of {self.features} features lie outside the interest areas.")
        if self.close:
            warnings.append(
                f"{self.close} of {self.features} features lie less than {_MARGIN_M:.0f} m from the edge."
            )
        return {
            "features": self.features,
            "outside": self.outside,
            "close": self.close,
            "examples": list(self.examples),
            "warnings": warnings,
        }


def coverage(store: Store, access: Access, owner_cvr: str, *, proposed: bool = True) -> Coverage:
    """Tell which of an owner's published features his interest areas do not cover with a metre to spare.

    Parameters
    ----------
    proposed
        Judge the areas as they will be once everything proposed is accepted; else those that are live.

    Raises
    ------
    NotAllowed, NotFound
        As in :func:`list_areas`.
    """
    areas = [_judged(record, proposed) for record in list_areas(store, access, owner_cvr)]
    whole = shapely.union_all([area.polygon for area in areas if area is not None])
    inner = shapely.buffer(whole, -_MARGIN_M)
    shapely.prepare([whole, inner])
    delivery = _current_delivery(store, owner_cvr)
    total = outside = close = 0
    beyond: list[str] = []
    near: list[str] = []
    for ids, shapes in _places(store, delivery):
        covered, spared = shapely.covers(whole, shapes), shapely.covers(inner, shapes)
        total, outside = total + len(shapes), outside + int((~covered).sum())
        close += int((covered & ~spared).sum())
        beyond += ids[~covered][: _MOST_EXAMPLES - len(beyond)].tolist()
        near += ids[covered & ~spared][: _MOST_EXAMPLES - len(near)].tolist()
    return Coverage(total, outside, close, tuple([*beyond, *near][:_MOST_EXAMPLES]))


def _judged(record: AreaRecord, proposed: bool) -> InterestArea | None:
    moment, area = datetime.now(UTC), record.area
    if proposed and record.proposal is not None:
        return record.proposal.area
    live = record.state is AreaState.LIVE and area.valid_from <= moment
    return area if live and (area.valid_to is None or area.valid_to > moment) else None


def _current_delivery(store: Store, owner_cvr: str) -> str | None:
    pointer = schema.current_deliveries.c
    query = sa.select(pointer.delivery_id).where(
        pointer.dataset == UTILITY_FEATURES.name, pointer.source == owner_cvr
    )
    with store.read() as connection:
        return connection.scalar(query)


def _places(store: Store, delivery_id: str | None) -> Iterator[tuple[Any, Any]]:
    """Read identifiers and shapes of what has a place."""
    if delivery_id is None:
        return
    for batch in store.delivery(delivery_id).read(FeatureQuery(columns=())):
        present = np.array([wkb is not None for wkb in batch.geometry])
        shapes = shapely.from_wkb(np.array(batch.geometry, dtype=object)[present])
        yield np.array(batch.feature_ids, dtype=object)[present], shapes


# --- Documents


def area_collection(records: Sequence[AreaRecord], target_crs: str = "OGC:CRS84") -> dict[str, Any]:
    """Return interest areas as a GeoJSON FeatureCollection; what is proposed stands beside what is live.

    Parameters
    ----------
    target_crs
        Name from :func:`geoinfra.crs.parse_crs`.
    """
    features = []
    for record in records:
        shown = _feature(record.area, record.contacts, target_crs)
        shown["properties"] |= {
            "cvr": record.owner_cvr,
            "state": str(record.state),
            "reviewed_at": record.reviewed_at,
            "proposal": None,
        }
        if record.proposal is not None:
            proposal = record.proposal
            state = AreaState.REVIEW if proposal.submitted else AreaState.DRAFT
            change = _feature(proposal.area, proposal.contacts, target_crs)
            shown["properties"]["proposal"] = {
                **change["properties"],
                "state": str(state),
                "revision": proposal.revision,
                "geometry": change["geometry"],
            }
        features.append(shown)
    if target_crs == "OGC:CRS84":
        return {"type": "FeatureCollection", "features": features}
    named = {"type": "name", "properties": {"name": target_crs}}
    return {"type": "FeatureCollection", "crs": named, "features": features}


def _feature(area: InterestArea, contacts: Mapping[str, Any], target_crs: str) -> dict[str, Any]:
    polygon = crs.transform_geometry(area.polygon, "EPSG:25832", target_crs)
    grid = 0.001 if target_crs == "EPSG:25832" else 1e-8
    return {
        "type": "Feature",
        "geometry": json.loads(shapely.to_geojson(shapely.set_precision(polygon, grid))),
        "properties": {
            "number": area.number,
            "supply_types": list(area.supply_types),
            "valid_from": timestamp(area.valid_from),
            "valid_to": timestamp(area.valid_to) if area.valid_to else None,
            "contacts": dict(contacts),
        },
    }


def _documents(document: Any) -> Iterator[tuple[int | None, InterestArea, dict[str, Any]]]:
    features = document.get("features") if isinstance(document, Mapping) else None
    if not isinstance(features, list) or not features or document.get("type") != "FeatureCollection":
        raise InvalidInput(
            "Give a GeoJSON FeatureCollection with interest areas.", hint="See docs/reference/http.md."
        )
    if len(features) > _MOST_AT_ONCE:
        raise TooLarge(f"At most {_MOST_AT_ONCE} interest areas are taken at once.")
    name = document.get("crs")
    if isinstance(name, Mapping) and isinstance(name.get("properties"), Mapping):
        name = name["properties"].get("name")
    if name is not None and not isinstance(name, str):
        raise InvalidInput("'crs' names the CRS, for instance EPSG:25832.", details={"path": "crs"})
    source_crs = crs.parse_crs(name)
    for position, feature in enumerate(features):
        yield _document(feature, f"features[{position}]", source_crs)


def _document(feature: Any, path: str, source_crs: str) -> tuple[int | None, InterestArea, dict[str, Any]]:
    properties = feature.get("properties") if isinstance(feature, Mapping) else None
    if not isinstance(properties, Mapping):
        raise _wrong(path, "is no feature with properties.")
    number = properties.get("number")
    if number is not None and (type(number) is not int or not 0 < number < 2**31):
        raise _wrong(f"{path}.number", "is the number of an area, or is left out for a new one.")
    supplies = properties.get("supply_types")
    if not isinstance(supplies, list) or not supplies or not all(one in SUPPLY_TYPES for one in supplies):
        raise _wrong(f"{path}.supply_types", f"is a list of: {', '.join(SUPPLY_TYPES)}.")
    valid_from = _moment(properties.get("valid_from"), f"{path}.valid_from", last=False)
    valid_to = _moment(properties.get("valid_to"), f"{path}.valid_to", last=True)
    area = InterestArea(
        0,
        tuple(dict.fromkeys(supplies)),
        _polygon(feature.get("geometry"), path, source_crs),
        valid_from or datetime.fromisoformat(now()),
        valid_to,
    )
    return number, area, _contacts(properties.get("contacts"), path)


def _wrong(path: str, rule: str) -> InvalidInput:
    return InvalidInput(f"'{path}' {rule}", details={"path": path})


def _polygon(geometry: Any, path: str, source_crs: str) -> Any:
    try:
        shape = shapely.from_geojson(json.dumps(geometry, allow_nan=False))
    except (shapely.errors.GEOSException, ValueError, TypeError):
        shape = None
    if not isinstance(shape, shapely.Polygon | shapely.MultiPolygon) or shape.is_empty:
        raise _wrong(f"{path}.geometry", "is no GeoJSON Polygon or MultiPolygon.")
    moved = crs.transform_geometry(shapely.force_2d(shape), source_crs, "EPSG:25832")
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise _wrong(f"{path}.geometry", "lies outside the area of its CRS.")
    return moved


def _moment(value: Any, path: str, *, last: bool) -> datetime | None:
    """Read a Danish day, counted to its end when it is the last, or a moment with its time zone."""
    if value is None:
        return None
    try:
        if isinstance(value, str) and len(value) == 10:
            day = date.fromisoformat(value) + timedelta(days=int(last))
            moment = _day_begins(day)
        else:
            moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None and moment.year in _YEARS:
            return moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        pass
    raise _wrong(path, "is a date as yyyy-mm-dd, or a moment with its time zone.")


def _contacts(value: Any, path: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not set(value) <= set(CONTACT_PURPOSES):
        raise _wrong(f"{path}.contacts", f"has the members: {', '.join(CONTACT_PURPOSES)}.")
    return {purpose: checked_contact(value[purpose], f"{path}.contacts.{purpose}") for purpose in value}


def checked_contact(value: Any, path: str) -> dict[str, str]:
    """Return name, mail address and telephone as they are kept; refuse, naming `path`, what is none."""
    known = isinstance(value, Mapping) and set(value) <= set(_CONTACT_TEXTS)
    texts = {name: value.get(name) or "" for name in _CONTACT_TEXTS} if known else {}
    for name, text in texts.items():
        if not isinstance(text, str) or len(text) > _CONTACT_TEXTS[name] or not text.isprintable():
            raise _wrong(
                f"{path}.{name}", f"is a text in one line of at most {_CONTACT_TEXTS[name]} letters."
            )
    if not texts or not (texts["email"] or texts["phone"]):
        raise _wrong(path, "needs a mail address or a telephone number: name, email, phone.")
    if texts["email"] and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", texts["email"]):
        raise _wrong(f"{path}.email", "is no mail address.")
    if texts["phone"] and not re.fullmatch(r"\+?[0-9 ]{8,15}", texts["phone"]):
        raise _wrong(f"{path}.phone", "has 8 to 15 digits, with + before a country code.")
    return texts


# --- Owners who hand over directly


def set_dispensation(
    store: Store, access: Access, cvr: str, first_day: date | None = None, last_day: date | None = None
) -> tuple[date, date | None]:
    """Let an owner hand over what he has to the excavator directly, and return first and last day.

    Parameters
    ----------
    first_day, last_day
        In Denmark; without the first it begins today, without the last it has no end.

    Raises
    ------
    NotAllowed
        `access` is not the administrator.
    NotFound
        The organisation is not recorded.
    InvalidInput
        It ends before it begins.
    """
    access.require(Role.ADMIN)
    begin = first_day or datetime.now(DENMARK).date()
    if any(day.year not in _YEARS for day in (begin, last_day) if day):
        raise InvalidInput("The days of a dispensation lie in the years 1901 to 8999.")
    with store.begin() as tx:
        end = _day_begins(last_day + timedelta(days=1)) if last_day else None
        organisations.set_dispensation(tx, cvr, _day_begins(begin), end)
        told = {"from": begin.isoformat(), "to": last_day.isoformat() if last_day else None}
        store.audit.record(tx, "dispensation.set", access, cvr, told)
        tx.commit()
    return begin, last_day


def clear_dispensation(store: Store, access: Access, cvr: str) -> None:
    """Take an owner's dispensation away; enquiries filed before are not changed.

    Raises
    ------
    NotAllowed, NotFound
        As in :func:`set_dispensation`.
    """
    access.require(Role.ADMIN)
    with store.begin() as tx:
        organisations.set_dispensation(tx, cvr, None)
        store.audit.record(tx, "dispensation.cleared", access, cvr)
        tx.commit()


def _day_begins(day: date) -> datetime:
    return datetime.combine(day, time(0), DENMARK).astimezone(UTC)


# --- Files of areas that are live at once


def read_interest_areas(path: Path, cvr: str) -> list[InterestArea]:
    """Read one owner's interest areas from a GeoJSON file with coordinates in EPSG:25832.

    Each feature is a Polygon or MultiPolygon with the members ``cvr``, ``indberetningsNr`` (a number unique
    among all owners) and ``supply_types`` (a list of :data:`SUPPLY_TYPES`, or of LER's *forsyningsart*);
    features of other owners are passed over.

    Raises
    ------
    UnreadableFile
        It is not such a file; the message names the feature.
    """
    try:
        features = json.loads(path.read_text("utf-8"))["features"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableFile(
            f"{path.name} is not a GeoJSON FeatureCollection.", hint="Give one with interest areas."
        ) from error
    return [_area(path, i, f) for i, f in enumerate(features) if str(_member(f, "cvr")) == cvr]


def _member(feature: object, name: str) -> Any:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    return properties.get(name) if isinstance(properties, dict) else None


def _area(path: Path, position: int, feature: dict[str, object]) -> InterestArea:
    number, supply_types = _member(feature, "indberetningsNr"), _member(feature, "supply_types")
    try:
        polygon = shapely.from_geojson(json.dumps(feature["geometry"]))
    except (KeyError, shapely.errors.GEOSException):
        polygon = None
    if not str(number).isdigit() or not isinstance(polygon, shapely.Polygon | shapely.MultiPolygon):
        raise UnreadableFile(
            f"{path.name}: feature {position} is no interest area.",
            hint="It needs indberetningsNr (a number), supply_types (a list) and a polygon in EPSG:25832.",
        )
    named = catalogue().supplies
    told = supply_types if isinstance(supply_types, list) else []
    supplies = tuple(dict.fromkeys(named.get(one, one) for one in map(str, told)))
    if not supplies or not all(one in SUPPLY_TYPES for one in supplies):
        raise UnreadableFile(
            f"{path.name}: supply_types of feature {position} are not known.",
            hint=f"It is a list of: {', '.join(SUPPLY_TYPES)}; or of LER's names: {', '.join(named)}.",
        )
    return InterestArea(int(str(number)), supplies, polygon, _SINCE)
