"""LER attributes as the short strings that DXF can carry, and back without loss.

A feature becomes strings ``NAME=VALUE``:

=========================  ==================================================================
``driftsstatus=i drift``   a text, code, date, boolean or number
``udvendigDiameter_mm=110``  a measure in the unit that LER fixes for it (mm, kV, bar, C)
``dimensionalValue.value=3.5``, ``dimensionalValue.uom=m``  a measure in another unit
``bundkote_m=12.3``        a kote, DVR90 metres; nothing behind ``=`` where it is unknown
``fareklasse.nil=unknown``  a void, with its reason if it has one
``forsyningsart[1]=el``    the first of a repeated attribute
``startkomponent.href=#k.1``  a member of a reference, contact, file format or time position
=========================  ==================================================================

What DXF cannot carry in a text (control characters, ``%``, ``\\``, ``^``, blanks at the ends) is
percent-encoded as UTF-8, so ``urllib.parse.unquote`` gives the text back. A string longer than 250 bytes goes
on in strings that begin with ``+``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

import orjson

from geoinfra.errors import InvalidInput
from geoinfra.utilities.catalogue import Attribute, FeatureClass, catalogue

__all__ = ["DxfFeature", "attribute_strings", "decode_attributes", "encoded", "fact", "pieces"]

STRING_BYTES: Final = 250
"""Longest string: DXF takes 255 bytes in extended data."""

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f%^\\\\\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]+|^ +| +$")
_UNITS = {"mm": "mm", "kV": "kV", "bar": "bar", "Cel": "C"}
_KEY = re.compile(r"([A-Za-z]+)(?:\[([0-9]{1,9})\])?(?:\.([a-z_]+))?(?:_([A-Za-z]+))?")
_JSON_TYPES = frozenset(("boolean", "integer", "decimal"))
_BLANK = 0x20

FACTS: Final = (
    "gml_id",
    "feature_class",
    "owner_cvr",
    "owner_name",
    "geometry_source",
    "height_source",
    "heights_m",
    "part",
    "role",
    "width_mm",
    "attributes",
)
"""Names of the strings that are no LER attribute."""


@dataclass(frozen=True, slots=True)
class DxfFeature:
    """What the strings of an entity say: LER attributes as in ``utilities/model.py``, and the other facts."""

    facts: Mapping[str, str]
    properties: Mapping[str, Any]


def _quoted(match: re.Match[str]) -> str:
    return quote(match[0], safe="", errors="replace")


def encoded(text: str) -> str:
    """Percent-encode what DXF cannot carry in a text."""
    return _UNSAFE.sub(_quoted, text)


def fact(name: str, text: str) -> str:
    """Return the string of a fact that is no LER attribute."""
    return f"{name}={encoded(text)}"


def pieces(text: str) -> Iterator[str]:
    """Cut an encoded string where it is too long; what follows begins with ``+``."""
    raw = text.encode()
    start, room = 0, STRING_BYTES
    while len(raw) - start > room:
        end = start + room
        while raw[end] & 0xC0 == 0x80:  # not inside a character
            end -= 1
        if raw[end - 1] == _BLANK:  # programs may drop blanks at the end of a line
            end = start + max(len(raw[start:end].rstrip()), 1)
        yield ("+" if start else "") + raw[start:end].decode()
        start, room = end, STRING_BYTES - 1
    yield ("+" if start else "") + raw[start:].decode()


def attribute_strings(entry: FeatureClass, text: str, properties: Mapping[str, Any]) -> list[str]:
    """Return the encoded strings of a feature's LER attributes; they are not cut yet.

    Parameters
    ----------
    entry
        Class of the feature.
    text, properties
        Its attributes as JSON text, and decoded; the text tells at once whether anything must be encoded.
    """
    encode = encoded if _may_be_unsafe(text) else _as_it_is
    strings: list[str] = []
    for name, value in properties.items():
        if type(value) is str:
            strings.append(f"{name}={encode(value)}")
        elif type(value) is list:
            for number, one in enumerate(value, 1):
                _append(strings, f"{name}[{number}]", one, entry.attributes[name], encode)
        else:
            _append(strings, name, value, entry.attributes[name], encode)
    return strings


def _may_be_unsafe(text: str) -> bool:
    """Whether a value in JSON text may have to be encoded; a backslash begins each escape."""
    return (
        "\\" in text or "%" in text or "^" in text or '" ' in text or ' "' in text or not text.isprintable()
    )


def _as_it_is(text: str) -> str:
    return text


def _append(
    strings: list[str], key: str, value: Any, attribute: Attribute, encode: Callable[[str], str]
) -> None:
    """Add the strings of one value."""
    if type(value) is str:
        strings.append(f"{key}={encode(value)}")
        return
    if type(value) is not dict:
        strings.append(f"{key}={_json(value)}")
        return
    unit = _UNITS.get(attribute.uom)
    if unit and value.get("uom") == attribute.uom and "value" in value and len(value) == 2:
        strings.append(f"{key}_{unit}={_json(value['value'])}")
    elif "height_m" in value:
        height = value["height_m"]
        strings.append(f"{key}_m={'' if height is None else _json(height)}")
    elif value.get("nil"):
        strings.append(f"{key}.nil={encode(value.get('reason', ''))}")
    else:
        for member, one in value.items():
            strings.append(f"{key}.{member}={encode(one) if type(one) is str else _json(one)}")


def _json(value: Any) -> str:
    return repr(value) if type(value) is int else orjson.dumps(value).decode()


def decode_attributes(strings: Iterable[str]) -> DxfFeature:
    """Read the strings of one entity (the values of its group codes 1000, or 1 in an extension record).

    Raises
    ------
    InvalidInput
        A string is not of the kind that geoinfra writes.
    """
    facts: dict[str, str] = {}
    values: dict[str, dict[int, dict[str, str]]] = {}
    for text in _joined(strings):
        key, equals, value = text.partition("=")
        if equals and key in FACTS:
            facts[key] = unquote(value)
            continue
        match = _KEY.fullmatch(key)
        if not equals or match is None:
            raise InvalidInput(f"'{text[:80]}' is no attribute written by geoinfra.")
        name, index, member, unit = match.groups()
        suffix = f"_{unit}" if unit else f".{member}" if member else ""
        values.setdefault(name, {}).setdefault(int(index or 0), {})[suffix] = value
    entry = catalogue().feature_class(facts.get("feature_class", ""))
    return DxfFeature(facts, {name: _value(entry, name, found) for name, found in values.items()})


def _joined(strings: Iterable[str]) -> Iterator[str]:
    """Put cut strings together."""
    held: list[str] = []
    for text in strings:
        if text.startswith("+") and held:
            held.append(text[1:])
            continue
        if held:
            yield "".join(held)
        held = [text]
    if held:
        yield "".join(held)


def _value(entry: FeatureClass, name: str, found: Mapping[int, Mapping[str, str]]) -> Any:
    attribute = entry.attributes.get(name)
    if attribute is None:
        raise InvalidInput(f"{entry.name} has no attribute '{name}'.")
    try:
        values = [_one(attribute, members) for _, members in sorted(found.items())]
    except (ValueError, KeyError) as error:
        raise InvalidInput(f"The value of '{name}' cannot be read.") from error
    return values if attribute.repeated else values[0]


def _one(attribute: Attribute, members: Mapping[str, str]) -> Any:
    """Return one value from its strings, by suffix."""
    if "" in members:
        text = unquote(members[""])
        return orjson.loads(text) if attribute.type in _JSON_TYPES else text
    if ".nil" in members:
        reason = unquote(members[".nil"])
        return {"nil": True, "reason": reason} if reason else {"nil": True}
    if attribute.type == "height":
        return {"height_m": orjson.loads(members["_m"] or "null")}
    unit = f"_{_UNITS.get(attribute.uom)}"
    if unit in members:
        return {"value": orjson.loads(members[unit]), "uom": attribute.uom}
    value = {suffix[1:]: unquote(text) for suffix, text in members.items()}
    if attribute.type == "measure":
        return {"value": orjson.loads(value["value"]), "uom": value["uom"]}
    return value
