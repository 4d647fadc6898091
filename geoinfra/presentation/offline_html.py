"""The offline page of a package: one HTML file for the phone on site, which needs no network.

What keeps people safe (verdict, hazards, who is missing, owners) is plain HTML, so that it reads even where
a viewer runs no script. The map is a canvas; its rows stand in the page as base64 of deflated JSON, which no
attribute of a feature can leave. The page's policy admits its own script and style by hash and nothing else.

The bytes depend on the arguments alone. What depends on the day (validity that ran out) is marked on reading.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from geoinfra.errors import InvalidGeometry
from geoinfra.presentation.offline_drawing import drawing_of
from geoinfra.presentation.offline_sections import (
    ENGLISH_STATUS,
    PageFacts,
    both,
    changes_section,
    distances,
    duties_section,
    moment,
    not_for_digging,
    precautions_section,
)
from geoinfra.presentation.style_set import ClassRow, load_style_set
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.dangers import DANGEROUS, VERY_DANGEROUS, Danger, dangers
from geoinfra.utilities.enquiry import DIG_METHODS, AnswerStatus
from geoinfra.utilities.model import UTILITY_FEATURES

if TYPE_CHECKING:
    from geoinfra.utilities.formats.package import EnquiryInfo, PackageOwner

__all__ = ["PageFacts", "write_offline_html"]

NOT_DANGEROUS = "ikke farlig"
_COORDINATE_LIMIT_M = 1e7
_SAFETY_TEXTS_OPEN = 6  # more than these are folded away
_COLUMNS = tuple(column for column in UTILITY_FEATURES.public_columns if column.name != "properties")
_PHONE = re.compile(r"[+0-9][0-9 ().-]{4,24}")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}")

_DUTY = {
    AnswerStatus.WAITING: (
        "Har ikke svaret. Grav ikke, før svaret foreligger. Kontakt ejeren.",
        "Has not answered. Do not dig before the answer is here. Contact the owner.",
    ),
    AnswerStatus.MANUAL: (
        "Behandler sagen manuelt. Grav ikke, før svaret foreligger.",
        "Handles the enquiry manually. Do not dig before the answer is here.",
    ),
    AnswerStatus.WITHHELD: (
        "Har ledninger, men udleverer ikke oplysninger. Grav ikke, før du har aftalt det med ejeren.",
        "Has lines but gives out no information. Do not dig before you have agreed it with the owner.",
    ),
    AnswerStatus.POINTING_OUT: (
        "Skal påvise ledningerne på stedet. Grav ikke, før påvisningen er sket.",
        "Must point out the lines on site. Do not dig before that is done.",
    ),
    AnswerStatus.POINTING_OUT_DELIVERED: (
        "Ledningerne er på kortet, men skal også påvises på stedet. Grav ikke, før påvisningen er sket.",
        "The lines are on the map but must also be pointed out on site. Do not dig before that is done.",
    ),
    AnswerStatus.DIRECT: (
        "Sender selv oplysningerne med mail. Grav ikke, før du har fået dem.",
        "Sends the information to you by mail. Do not dig before you have it.",
    ),
}
_STATUS_OF_DANISH = {status.danish: status for status in AnswerStatus}
_ENGLISH_METHOD = {
    "1": "Chain trencher",
    "2": "Pipe jacking",
    "3": "Boring with a pile drill",
    "4": "Relining",
    "5": "Pipe bursting",
    "6": "Excavator",
    "7": "Directional drilling",
    "8": "Plough",
    "9": "Driving",
    "10": "Blasting",
    "99": "Other",
}


def write_offline_html(
    target: BinaryIO,
    enquiry: EnquiryInfo,
    owners: Sequence[PackageOwner],
    batches: Sequence[FeatureBatch],
    facts: PageFacts | None = None,
) -> None:
    """Write the page of one package as UTF-8.

    Parameters
    ----------
    target
        Takes the bytes; is not closed.
    enquiry
        The enquiry.
    owners
        Every owner with an interest in the dig area, in the order to show.
    batches
        Rows of ``utility-features``, geometry as 2D WKB in EPSG:25832.
    facts
        What else the page tells.

    Raises
    ------
    InvalidGeometry
        A coordinate is not finite, or lies more than 10,000 km from the origin.
    """
    rows, facts = _Rows.of(batches), facts or PageFacts()
    payload = _packed(_payload(enquiry, owners, rows, batches))  # refuses what is no place
    found = dangers(shapely.from_wkb(enquiry.polygon), batches)
    script = _part("offline_map.js") + _part("offline_page.js")
    style = _part("offline_page.css") + _type_style()
    heading = f"<span>{both('Graveforespørgsel', 'Dig enquiry')}</span> {escape(enquiry.number)}"
    page = _template().substitute(
        policy=_policy(script, style),
        title=escape(f"Graveforespørgsel {enquiry.number}"),
        heading=heading,
        style=style,
        summary=_summary(enquiry, owners, rows, found, facts),
        data=payload,
        script=script,
    )
    target.write(page.encode())


# ------------------------------------------------------------------ what is drawn


@dataclass(slots=True)
class _Rows:
    """All rows of a package as columns; ``properties`` parsed."""

    columns: dict[str, list[Any]]
    properties: list[dict[str, Any]] = field(default_factory=list)
    geometry: list[bytes | None] = field(default_factory=list)

    @classmethod
    def of(cls, batches: Iterable[FeatureBatch]) -> _Rows:
        rows = cls({column.name: [] for column in _COLUMNS})
        for batch in batches:
            for name, values in rows.columns.items():
                values.extend(batch.columns[name])
            rows.properties.extend(orjson.loads(text) if text else {} for text in batch.columns["properties"])
            rows.geometry.extend(batch.geometry)
        return rows


def _payload(
    enquiry: EnquiryInfo, owners: Sequence[PackageOwner], rows: _Rows, batches: Sequence[FeatureBatch]
) -> dict[str, Any]:
    """Return what the page's script reads; coordinates are centimetres, each less the one before it."""
    contacts = {owner.cvr: _contact_of(owner) for owner in owners}
    for cvr in sorted(set(rows.columns["owner_cvr"]) - set(contacts)):
        contacts[cvr] = {"cvr": cvr, "name": cvr}
    dig, _ = _paths([enquiry.polygon])
    lines, feature = _paths(rows.geometry)
    return {
        "number": enquiry.number,
        "drawing": drawing_of(load_style_set(), batches),
        "owners": list(contacts.values()),
        "titles": {column.name: [column.title_da, column.title] for column in _COLUMNS},
        "columns": {name: _column(values) for name, values in rows.columns.items()},
        "properties": _property_columns(rows.properties),
        "dig": dig,
        "lines": {**lines, "feature": feature},
    }


def _column(values: Sequence[Any]) -> dict[str, Any]:
    """Return a column with every value once (``values`` and ``index``), or as it is (``list``)."""
    own: Sequence[Hashable] = values
    if set(map(type, values)) - {str, type(None)}:  # 1, 1.0 and True are not one value
        own = list(map(orjson.dumps, values))
    places = {value: place for place, value in enumerate(dict.fromkeys(own))}
    if len(places) > len(values) / 2 + 1:
        return {"list": values}
    index = list(map(places.__getitem__, own)) if len(places) > 1 else []
    distinct = [orjson.Fragment(one) if isinstance(one, bytes) else one for one in places]
    return {"values": distinct, "index": index}


def _property_columns(properties: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the properties as columns: for each set of names a table of the rows that have just these."""
    names: dict[tuple[str, ...], int] = {}
    table = [names.setdefault(tuple(one), len(names)) for one in properties]
    rows: list[list[Mapping[str, Any]]] = [[] for _ in names]
    for number, one in zip(table, properties, strict=True):
        rows[number].append(one)
    tables = [
        {"names": own, "columns": [_column([one[name] for one in some]) for name in own]}
        for own, some in zip(names, rows, strict=True)
    ]
    return {"table": table, "tables": tables}


def _contact_of(owner: PackageOwner) -> dict[str, Any]:
    contact = owner.contact
    known = {"cvr": owner.cvr, "name": owner.name}
    if contact is None:
        return known
    return {**known, "phone": contact.phone, "dial": _dialled(contact.phone), "email": _mail(contact.email)}


def _paths(wkb: Sequence[bytes | None]) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Take geometries apart into paths, and say of which geometry each path is.

    A path is a point (kind 0), a line (1) or a ring (2).
    """
    with np.errstate(invalid="ignore"):  # what is no number is refused below
        geometries = shapely.from_wkb(np.asarray(wkb, dtype=object))
    parts, owner = shapely.get_parts(geometries, return_index=True)
    while (shapely.get_type_id(parts) > shapely.GeometryType.POLYGON).any():
        parts, of = shapely.get_parts(parts, return_index=True)
        owner = owner[of]
    solid = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    rings, of = shapely.get_rings(parts[solid], return_index=True)
    simple = np.concatenate([parts[~solid], rings])
    kind = np.where(shapely.get_type_id(simple) == shapely.GeometryType.POINT, 0, 1)
    kind[len(simple) - len(rings) :] = 2
    owner = np.concatenate([owner[~solid], owner[solid][of]]).astype(np.int64)
    order = np.argsort(owner, kind="stable")
    order = order[~shapely.is_empty(simple[order])]
    xy, path = shapely.get_coordinates(simple[order], return_index=True)
    if not (np.abs(xy) < _COORDINATE_LIMIT_M).all():  # not a number is not less either
        raise InvalidGeometry("A coordinate is no finite number of metres in EPSG:25832.")
    steps = np.diff(np.rint(xy * 100).astype(np.int64), axis=0, prepend=np.zeros((1, 2), dtype=np.int64))
    paths = {
        "kind": kind[order],
        "vertices": np.bincount(path, minlength=len(order)),
        "x": np.ascontiguousarray(steps[:, 0]),
        "y": np.ascontiguousarray(steps[:, 1]),
    }
    return paths, owner[order]


def _packed(payload: Mapping[str, Any]) -> str:
    plain = orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY)
    return base64.b64encode(zlib.compress(plain, 3)).decode()


# ------------------------------------------------------------------ what is read


def _summary(
    enquiry: EnquiryInfo,
    owners: Sequence[PackageOwner],
    rows: _Rows,
    found: Sequence[Danger],
    facts: PageFacts,
) -> str:
    waits = [owner for owner in owners if _status(owner) in _DUTY]
    names = {owner.cvr: owner.name for owner in owners}
    return "\n".join(
        [
            not_for_digging(facts),
            _verdict(owners, waits, rows, facts),
            _danger(owners, rows, found),
            _missing(waits, facts),
            changes_section(facts.changes, facts.sequence, names),
            precautions_section(facts.precautions or (), names),
            _owner_table(owners, rows, facts),
            duties_section(facts),
            _facts(enquiry, facts),
        ]
    )


def _status(owner: PackageOwner) -> AnswerStatus:
    """Return the status of an owner; a wording that the list does not have counts as no answer."""
    return _STATUS_OF_DANISH.get(owner.status, AnswerStatus.WAITING)


def _verdict(
    owners: Sequence[PackageOwner], waits: Sequence[PackageOwner], rows: _Rows, facts: PageFacts
) -> str:
    """Say in one sentence whether digging may start."""
    silent = sum(not _status(owner).final for owner in owners)
    if waits:
        kind, count = "stop", len(waits)
        text = both(
            f"Grav ikke endnu: {count} {'ledningsejer mangler' if count == 1 else 'ledningsejere mangler'}.",
            f"Do not dig yet: {count} {'owner is' if count == 1 else 'owners are'} outstanding.",
        )
        rule = both(
            "Grav ikke, før alle ledningsejere har svaret, og påvisning er sket, hvor ejeren kræver det.",
            "Do not dig before all owners have answered and pointed out their lines where they demand it.",
        )
    else:
        kind = "care" if _hazards(rows)["lines", VERY_DANGEROUS] else "ready"
        text = both("Alle ledningsejere har svaret.", "All owners have answered.")
        rule = both(
            "Grav kun inden for graveområdet. Find ledningerne med håndkraft, før maskinen kommer tæt på.",
            "Dig inside the dig area only. Find the lines by hand before the machine comes close.",
        )
    if facts.planning:
        text = both("Grav ikke: ledningsejerne er ikke spurgt.", "Do not dig: the owners were not asked.")
        rule = both(
            "Forespørgslen er til planlægning. Opret en graveforespørgsel, før du graver.",
            "The enquiry is for planning. File a dig enquiry before you dig.",
        )
    if facts.planning or facts.sandbox:
        kind = "stop"
    told = _completeness(len(owners), silent, facts)
    expired = '<p id="expired" hidden></p>'
    return (
        f'<section class="verdict {kind}" role="alert"><h2>{text}</h2><p>{rule}</p>{told}{expired}</section>'
    )


def _completeness(asked: int, silent: int, facts: PageFacts) -> str:
    """Say which package this is and how many have answered."""
    if not facts.sequence:
        return ""
    number, answered = facts.sequence, asked - silent
    return (
        "<p><b>"
        + both(
            f"Pakke {number} er {'ikke ' if silent else ''}komplet: {answered} af {asked} har svaret.",
            f"Package {number} is {'not ' if silent else ''}complete: {answered} of {asked} have answered.",
        )
        + "</b></p>"
    )


def _hazards(rows: _Rows) -> Counter[tuple[str, str]]:
    """Count features by ``lines`` (also traces) or ``components``, and hazard class (empty: not stated)."""
    groups = {"line": "lines", "trace": "lines", "component": "components"}
    pairs = zip(rows.columns["kind"], rows.columns["hazard"], strict=True)
    return Counter((groups[kind], hazard or "") for kind, hazard in pairs if kind in groups)


_HAZARD_TILES = (
    (VERY_DANGEROUS, "very", "Meget farlig", "Very dangerous"),
    (DANGEROUS, "dangerous", "Farlig", "Dangerous"),
    ("", "unstated", "Fareklasse ikke oplyst", "Hazard not stated"),
    (NOT_DANGEROUS, "harmless", "Ikke farlig", "Not dangerous"),
)


def _danger(owners: Sequence[PackageOwner], rows: _Rows, found: Sequence[Danger]) -> str:
    count, tiles = _hazards(rows), []
    for hazard, name, danish, english in _HAZARD_TILES:
        lines, components = count["lines", hazard], count["components", hazard]
        words = both(
            f"{lines} {'ledning' if lines == 1 else 'ledninger'}, {components} "
            f"{'komponent' if components == 1 else 'komponenter'}",
            f"{lines} {'line' if lines == 1 else 'lines'}, {components} "
            f"{'component' if components == 1 else 'components'}",
        )
        empty = "" if lines or components else " empty"
        tiles.append(
            f'<li class="{name}{empty}"><b>{lines + components}</b><span>{both(danish, english)}</span>'
            f"<small>{words}</small></li>"
        )
    return (
        f'<section id="danger"><h2>{both("Fare", "Danger")}</h2><ul class="tiles">{"".join(tiles)}</ul>'
        f"{_dangerous_owners(owners, found)}{_safety_texts(owners, rows)}</section>"
    )


def _dangerous_owners(owners: Sequence[PackageOwner], found: Sequence[Danger]) -> str:
    """List whose dangerous features there are, by supply, how near they come and whom to call."""
    known = {owner.cvr: owner for owner in owners}
    items = []
    for danger in found:
        supply = _type_of(danger.supply)
        kind = "very" if danger.hazard == VERY_DANGEROUS else "dangerous"
        plural = "" if danger.count == 1 else "e"
        words = both(f"{danger.hazard}{plural}", _hazard_english(danger.hazard))
        owner = known.get(danger.owner_cvr)
        name = owner.name if owner else danger.owner_cvr
        contact = _contact(owner) if owner else ""
        items.append(
            f'<li><i class="swatch type-{supply.key}"></i><span><b>{escape(name)}</b> '
            f"{both(supply.da, supply.en)}<small>{distances(danger)}</small>{contact}</span>"
            f'<em class="{kind}">{danger.count} {words}</em></li>'
        )
    return f'<ul class="rows">{"".join(items)}</ul>' if items else ""


def _hazard_english(hazard: str) -> str:
    """Return the English of a LER hazard class that is dangerous."""
    return "very dangerous" if hazard == VERY_DANGEROUS else "dangerous"


def _safety_texts(owners: Sequence[PackageOwner], rows: _Rows) -> str:
    """Show every distinct *sikkerhedshensyn* once, with its owners."""
    names = {owner.cvr: owner.name for owner in owners}
    texts: dict[str, Counter[str]] = {}
    for properties, cvr in zip(rows.properties, rows.columns["owner_cvr"], strict=True):
        text = properties.get("sikkerhedshensyn")
        if isinstance(text, str) and text.strip():
            texts.setdefault(text.strip(), Counter())[names.get(cvr, cvr)] += 1
    if not texts:
        return ""
    ranked = sorted(texts.items(), key=lambda item: (-item[1].total(), item[0]))
    items = [
        f"<li>{escape(text)} <small>{escape(', '.join(sorted(who)))} · {who.total()}</small></li>"
        for text, who in ranked
    ]
    title = both("Ejernes sikkerhedshensyn", "Safety notes of the owners")
    shown = f'<h3>{title}</h3><ul class="notes">{"".join(items[:_SAFETY_TEXTS_OPEN])}</ul>'
    more = items[_SAFETY_TEXTS_OPEN:]
    if not more:
        return shown
    label = both(f"{len(more)} flere", f"{len(more)} more")
    return f'{shown}<details><summary>{label}</summary><ul class="notes">{"".join(more)}</ul></details>'


def _missing(waits: Sequence[PackageOwner], facts: PageFacts) -> str:
    if not waits:
        return ""
    items = []
    for owner in waits:
        expected = ""
        if owner.expected_at:
            danish, english = moment(owner.expected_at)
            expected = f"<p>{both(f'Svar ventes {danish}.', f'Answer expected {english}.')}</p>"
        note = (
            f"<blockquote>{escape(owner.supplementary_info)}</blockquote>" if owner.supplementary_info else ""
        )
        items.append(
            f"<li><h3>{escape(owner.name)}</h3>{_chip(owner)}<p>{both(*_DUTY[_status(owner)])}</p>"
            f"{_due(owner, facts)}{expected}{note}{_contact(owner)}</li>"
        )
    title = both("Det mangler du", "What is missing")
    return f'<section id="missing"><h2>{title}</h2><ul class="cards">{"".join(items)}</ul></section>'


def _due(owner: PackageOwner, facts: PageFacts) -> str:
    """Say until when an owner must answer; the page's script marks what has passed."""
    due = facts.due.get(owner.cvr)
    status = _status(owner)
    if due is None or (status.final and status is not AnswerStatus.DIRECT):
        return ""
    danish, english = moment(due)
    return (
        f'<p class="due" data-due="{due:%Y-%m-%dT%H:%M:%SZ}">'
        f"{both(f'Frist efter loven: {danish}', f'Due by law: {english} (Danish time)')}</p>"
    )


_CHIP = {
    AnswerStatus.DELIVERED: "good",
    AnswerStatus.NO_LINES: "good",
    AnswerStatus.POINTING_OUT_DELIVERED: "care",
    AnswerStatus.MANUAL: "care",
}


def _chip(owner: PackageOwner) -> str:
    status = _status(owner)
    words = both(owner.status, ENGLISH_STATUS[status])
    return f'<span class="chip {_CHIP.get(status, "stop")}">{words}</span>'


def _contact(owner: PackageOwner) -> str:
    """Return name, telephone and mail; only a well-formed number or address becomes a link."""
    contact = owner.contact
    if contact is None:
        return f'<p class="contact">{both("Ingen kontakt oplyst", "No contact stated")}</p>'
    phone, mail = _dialled(contact.phone), _mail(contact.email)
    shown = [escape(contact.name)]
    shown.append(f'<a href="tel:{phone}">{escape(contact.phone)}</a>' if phone else escape(contact.phone))
    shown.append(f'<a href="mailto:{mail}">{mail}</a>' if mail else escape(contact.email))
    return f'<p class="contact">{" ".join(part for part in shown if part)}</p>'


def _dialled(phone: str) -> str:
    """Return a telephone number as it is dialled, or nothing when it is none."""
    return re.sub(r"[^+0-9]", "", phone) if _PHONE.fullmatch(phone.strip()) else ""


def _mail(address: str) -> str:
    return address.strip() if _EMAIL.fullmatch(address.strip()) else ""


_OWNER_HEADS = (
    ("Ledningsejer", "Owner"),
    ("Svar", "Answer"),
    ("Objekter", "Features"),
    ("Meget farlig", "Very dangerous"),
    ("Farlig", "Dangerous"),
    ("Gyldig til", "Valid to"),
)


def _owner_cell(owner: PackageOwner) -> str:
    return f"<td><b>{escape(owner.name)}</b><small>CVR {escape(owner.cvr)}</small>{_contact(owner)}</td>"


def _number_cell(heading: tuple[str, str], number: int, kind: str) -> str:
    label = f'<span class="label">{both(*heading)}</span>'
    return f'<td class="number {kind if number else "none"}">{label}{number}</td>'


def _valid_cell(owner: PackageOwner) -> str:
    valid = owner.valid_to.isoformat() if owner.valid_to else ""
    label = f'<span class="label">{both(*_OWNER_HEADS[5])}</span>'
    return f'<td class="valid" data-valid-to="{valid}">{label}{valid or "–"}</td>'


def _owner_table(owners: Sequence[PackageOwner], rows: _Rows, facts: PageFacts) -> str:
    total = Counter(rows.columns["owner_cvr"])
    risk = Counter(zip(rows.columns["owner_cvr"], rows.columns["hazard"], strict=True))
    head = "".join(f'<th scope="col">{both(*names)}</th>' for names in _OWNER_HEADS)
    body = []
    for owner in owners:
        numbers = (total[owner.cvr], risk[owner.cvr, VERY_DANGEROUS], risk[owner.cvr, DANGEROUS])
        counts = (
            _number_cell(heading, number, kind)
            for heading, number, kind in zip(
                _OWNER_HEADS[2:5], numbers, ("", "very", "dangerous"), strict=True
            )
        )
        body.append(
            f"<tr>{_owner_cell(owner)}<td>{_chip(owner)}{_when(owner, facts)}</td>"
            f"{''.join(counts)}{_valid_cell(owner)}</tr>"
        )
    title = both(f"Ledningsejere ({len(owners)})", f"Owners ({len(owners)})")
    return (
        f'<section id="owners"><h2>{title}</h2><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></section>"
    )


def _when(owner: PackageOwner, facts: PageFacts) -> str:
    """Say when an owner answered."""
    at = facts.answered.get(owner.cvr)
    return f"<small>{both(*moment(at))}</small>" if at else ""


def _facts(enquiry: EnquiryInfo, facts: PageFacts) -> str:
    danish = [DIG_METHODS.get(number, number) for number in enquiry.methods]
    english = [_ENGLISH_METHOD.get(number, number) for number in enquiry.methods]
    if enquiry.methods_other:
        danish.append(enquiry.methods_other)
        english.append(enquiry.methods_other)
    period_to = enquiry.period_to.isoformat()
    area_m2 = f"{shapely.area(shapely.from_wkb(enquiry.polygon)):.0f}"
    listed = [
        (("Nummer", "Number"), escape(enquiry.number)),
        (
            ("Periode", "Period"),
            f'<span data-period-to="{period_to}">{enquiry.period_from} – {period_to}</span>',
        ),
        (("Graveareal", "Dig area"), f"{area_m2} m²"),
        (("Gravemetode", "Dig method"), both(", ".join(danish), ", ".join(english))),
        (("Beskrivelse", "Description"), escape(enquiry.description)),
        (("Oprettet", "Created"), both(*moment(enquiry.created_at)) if enquiry.created_at else ""),
        (("Må bruges til", "May be used until"), _until(facts)),
        (("Pakke", "Package"), str(facts.sequence) if facts.sequence else ""),
        (("Koordinater", "Coordinates"), "ETRS89 / UTM 32N (EPSG:25832)"),
    ]
    items = "".join(f"<dt>{both(*name)}</dt><dd>{value}</dd>" for name, value in listed if value)
    title = both("Forespørgslen", "The enquiry")
    return f'<section id="enquiry"><h2>{title}</h2><dl>{items}</dl></section>'


def _until(facts: PageFacts) -> str:
    if facts.valid_to is None:
        return ""
    return f'<span data-until="{facts.valid_to:%Y-%m-%dT%H:%M:%SZ}">{both(*moment(facts.valid_to))}</span>'


# ------------------------------------------------------------------ parts of the page


def _type_of(supply: str | None) -> ClassRow:
    """Return the utility type of a supply, as the table sorts it."""
    types = load_style_set().dimensions["type"]
    return types.row(types.classify({"supply": supply}))


def _type_style() -> str:
    types = load_style_set().dimensions["type"]
    return "".join(f".type-{row.key}{{background:{row.fields['colour']}}}\n" for row in types.classes)


@lru_cache
def _part(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _template() -> Template:
    return Template(_part("offline_page.html"))


def _policy(script: str, style: str) -> str:
    """Return a policy that admits this script and this style, and no address at all."""

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; script-src {source(script)}; style-src {source(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
