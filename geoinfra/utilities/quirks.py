"""How owners write LER otherwise than the standard means, and what tolerant reading makes of it.

The table is ``standards/utilities/quirks.json``. Everything applied is reported as ``LER-QUIRK-<id>``
with what stood there and what it became.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from geoinfra.errors import Severity
from geoinfra.standards import standards_path
from geoinfra.utilities.catalogue import Enumeration, FeatureClass, catalogue
from geoinfra.utilities.shapes import Shape

__all__ = ["Applied", "FeatureQuirks", "Quirk", "mended_code", "quirks"]

_BLANKS = re.compile(r"\s+")
_OTHER = re.compile(r"(?:other|andet|anden)\s*:\s*(.+)", re.IGNORECASE | re.DOTALL)
_SIGNS = str.maketrans({"≤": "<=", "⩽": "<="})


@dataclass(frozen=True, slots=True)
class Quirk:
    """One row of the table.

    Attributes
    ----------
    since
        Version of the table that brought it.
    entry
        The row as it stands there.
    """

    id: str
    since: str
    reason: str
    reason_da: str
    entry: Mapping[str, Any]

    @property
    def code(self) -> str:
        """The code of its finding."""
        return f"LER-QUIRK-{self.id}"


@dataclass(frozen=True, slots=True)
class Applied:
    """A quirk that was met at a feature: attribute, what stood there and what it became."""

    quirk: Quirk
    attribute: str
    found: str
    expected: str
    severity: Severity = Severity.WARNING


@lru_cache(maxsize=1)
def quirks() -> Mapping[str, Quirk]:
    """Return the table by id; read once a process."""
    document = orjson.loads(standards_path("utilities", "quirks.json").read_bytes())
    rows = [*document["codes"], *document["features"]]
    return {
        row["id"]: Quirk(row["id"], row["since"], row["reason"]["en"], row["reason"]["da"], row)
        for row in rows
    }


# -- codes


def mended_code(enumeration: Enumeration, text: str) -> tuple[str, Quirk] | None:
    """Return the value of a code list that `text` means, and the quirk by which; ``None`` when none does."""
    known = quirks()
    plain = _BLANKS.sub(" ", text).strip()
    if enumeration.admits(plain) and plain != text:
        return plain, known["CODE-SPACES"]
    folded = plain.casefold()
    for quirk_id, spelling in (
        ("CODE-CASE", str.casefold),
        ("CODE-SPACES", _without_blanks),
        ("CODE-DECIMAL", _with_points),
        ("CODE-LETTERS", _without_danish_letters),
    ):
        quirk = known[quirk_id]
        if enumeration.name not in quirk.entry.get("lists", (enumeration.name,)):
            continue
        value = _spelled(enumeration, spelling).get(spelling(plain))
        if value is not None:
            return value, quirk
    alias = known["CODE-ALIAS"].entry["match"].get(enumeration.name, {}).get(folded)
    if alias is not None and enumeration.admits(alias):
        return alias, known["CODE-ALIAS"]
    other = _OTHER.fullmatch(plain)
    value = enumeration.as_other(other.group(1)) if other else None
    return None if value is None else (value, known["CODE-OTHER"])


def _without_blanks(text: str) -> str:
    return _BLANKS.sub("", text).casefold()


def _with_points(text: str) -> str:
    return _without_blanks(text.translate(_SIGNS).replace("=<", "<=").replace(",", "."))


def _without_danish_letters(text: str) -> str:
    return text.casefold().replace("æ", "ae").replace("ø", "oe").replace("å", "aa")


@lru_cache(maxsize=256)
def _spelled(enumeration: Enumeration, spelling: Any) -> Mapping[str, str]:
    """Return the values of a list by a spelling, those that no other shares."""
    found: dict[str, list[str]] = {}
    for value in enumeration.values:
        found.setdefault(spelling(value), []).append(value)
    return {spelled: values[0] for spelled, values in found.items() if len(values) == 1}


# -- features


class FeatureQuirks:
    """Applies the quirks of features to one owner's document."""

    def __init__(self) -> None:
        table = quirks()
        self._duct = table["DUCT-AS-COMPONENT"]
        self._transmission = table["TRANSMISSION-AS-TRACE"]
        self._width = table["TRACE-WIDTH"]
        self._traces = self._of_that_width = 0
        self.classes = frozenset(str(q.entry["class"]) for q in table.values() if "class" in q.entry)
        """The classes that have quirks."""

    def feature(
        self, entry: FeatureClass, properties: Mapping[str, Any], shape: Shape | None
    ) -> tuple[FeatureClass, Mapping[str, Any], tuple[Applied, ...]]:
        """Return class and attributes as they are meant, and what was applied."""
        if entry.name == self._duct.entry["class"]:
            return self._as_duct(entry, properties, shape)
        if entry.name == self._transmission.entry["class"]:
            return entry, properties, tuple(self._about_trace(properties))
        return entry, properties, ()

    def _as_duct(
        self, entry: FeatureClass, properties: Mapping[str, Any], shape: Shape | None
    ) -> tuple[FeatureClass, Mapping[str, Any], tuple[Applied, ...]]:
        row = self._duct.entry
        code = properties.get(row["attribute"])
        if not isinstance(code, str) or code.casefold() not in row["match"]["codes"]:
            return entry, properties, ()
        if shape is None or not shape.kind.endswith("LineString") or len(shape.parts) != 1:
            return entry, properties, ()
        duct = catalogue().classes[row["becomes"]["class"]]
        made: dict[str, Any] = dict(row["becomes"]["values"])
        lost: list[str] = []
        for name, value in properties.items():
            meant = row["becomes"]["renamed"].get(name, name)
            if name == row["attribute"]:
                continue
            if meant in duct.attributes:
                made[meant] = value
            else:
                lost.append(name)
        for name in duct.required:
            attribute = duct.attributes[name]
            if name not in made and attribute.type != "geometry":
                if not attribute.nillable:
                    return entry, properties, ()
                made[name] = {"nil": True}
        expected = duct.name + (f" without {', '.join(lost)}" if lost else "")
        applied = Applied(self._duct, row["attribute"], f"{entry.name} {code}", expected)
        return duct, made, (applied,)

    def _about_trace(self, properties: Mapping[str, Any]) -> Iterator[Applied]:
        width = properties.get(self._width.entry["attribute"])
        self._traces += 1
        self._of_that_width += width == self._width.entry["match"]["every"]
        row = self._transmission.entry
        supplies = properties.get(row["attribute"]) or [None]
        match = row["match"]
        if supplies[0] != match["first"] or any(properties.get(n) != v for n, v in match["values"].items()):
            return
        if any(_is_known(properties.get(name)) for name in match["without"]):
            return
        found = ", ".join(f"{name} {value}" for name, value in match["values"].items())
        yield Applied(self._transmission, row["attribute"], f"{match['first']}, {found}", "Elledning")

    def finish(self) -> tuple[Applied, ...]:
        """Return what the whole document shows."""
        match = self._width.entry["match"]
        if self._traces < match["at_least"] or self._of_that_width < self._traces:
            return ()
        width = f"{match['every']['value']} {match['every']['uom']}"
        found = f"{self._traces} x {width}"
        return (Applied(self._width, self._width.entry["attribute"], found, "", Severity.INFO),)


def _is_known(values: Any) -> bool:
    """Whether a repeated attribute holds more than nil."""
    return any(not (isinstance(value, dict) and value.get("nil")) for value in values or ())
