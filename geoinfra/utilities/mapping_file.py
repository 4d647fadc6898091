"""Reading a mapping file (TOML): every name, unit and code is checked before a row is read."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from geoinfra.errors import InvalidInput, UnreadableFile
from geoinfra.utilities.catalogue import Attribute, FeatureClass, catalogue
from geoinfra.utilities.mapping import UNSTATED, AnswerSettings, AttributeRule, Heights, Layer, MappingFile
from geoinfra.utilities.model import Contact, ResponseType, require_cvr
from geoinfra.utilities.values import FILL_IN, UNITS, Scale, Unfit, as_text, converted, scale_of

__all__ = ["MAPPED_KINDS", "read_mapping"]

MAPPED_KINDS: Final = frozenset(("line", "trace", "component"))
"""Kinds of LER classes that a table can become."""

_MOST_BYTES = 1_000_000
_MANUAL_MINUTES_LEFT = 30
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_UNMAPPED = frozenset(("geometry", "features", "media", "contact"))
_DELIVERED = {"delivered": ResponseType.DELIVERED, "pointing-out": ResponseType.POINTING_OUT_DELIVERED}
_PLAIN = (str, bool, int, float, date, datetime)


def read_mapping(path: Path) -> MappingFile:
    """Read and check a mapping file.

    Paths in it are taken from the folder that it lies in.

    Raises
    ------
    UnreadableFile
        There is no such file, or it is not TOML; the line is named.
    InvalidInput
        A member is missing, unknown or wrong; the message says where, what was expected and what was found.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read ({error.strerror}).", hint="Check the path.") from error
    if len(content) > _MOST_BYTES:
        raise UnreadableFile(
            f"{path.name} is larger than {_MOST_BYTES:,} bytes.", hint="Is it a mapping file?"
        )
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnreadableFile(f"{path.name} is not a TOML file: {error}.", hint="See the how-to.") from error
    whole = _Table(document, path.name, "")
    open_places = list(_to_fill_in(document, ""))
    if open_places:
        whole.wrong("", f"a decision instead of {FILL_IN} at: {', '.join(open_places)[:600]}", FILL_IN)
    whole.only("owner", "answer", "layer")
    owner = whole.table("owner", required=True)
    owner.only("cvr", "name")
    layers = [_layer(entry, path.parent) for entry in whole.tables("layer")]
    _check_names(whole, layers)
    return MappingFile(path, _cvr(owner), _answer(whole.table("answer")), tuple(layers))


def _to_fill_in(value: Any, place: str) -> Iterator[str]:
    """Yield the places where a draft waits for a person."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _to_fill_in(inner, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value, 1):
            yield from _to_fill_in(inner, f"{place} {number}")
    elif value == FILL_IN:
        yield place


def _cvr(owner: _Table) -> str:
    try:
        return require_cvr(owner.text("cvr", required=True))
    except InvalidInput:
        owner.wrong("cvr", "the 8 digits of a CVR number, in quotes", owner.get("cvr"))


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the file, and where it stands."""

    members: Mapping[str, Any]
    file: str
    place: str

    def wrong(self, key: str, expected: str, found: Any) -> NoReturn:
        """Raise the error that names file, place, what is expected and what was found."""
        where = ".".join(filter(None, (self.place, key)))
        shown = "nothing" if found is None else repr(found)[:200]
        raise InvalidInput(
            f"{', '.join(filter(None, (self.file, where)))}: expected {expected}, found {shown}.",
            hint="Mend the mapping file; `geoinfra owner-robot init` shows what a source offers.",
            details={"where": where, "expected": expected[:500], "found": shown},
        )

    def only(self, *known: str) -> None:
        """Raise when there is a member that is not among `known`."""
        for key in self.members:
            if key not in known:
                self.wrong("", f"one of the members {', '.join(known)}", key)

    def get(self, key: str) -> Any:
        """Return a member as it stands."""
        return self.members.get(key)

    def text(self, key: str, *, required: bool = False) -> str:
        """Return a text, empty when it is absent."""
        value = self.members.get(key)
        if value is None and not required:
            return ""
        if not isinstance(value, str) or (required and not value.strip()):
            self.wrong(key, "a text", value)
        return value.strip()

    def flag(self, key: str) -> bool:
        """Return true or false, false when it is absent."""
        value = self.members.get(key, False)
        if not isinstance(value, bool):
            self.wrong(key, "true or false", value)
        return value

    def whole_number(self, key: str, least: int, most: int) -> int | None:
        """Return a whole number within bounds, or ``None`` when it is absent."""
        value = self.members.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.wrong(key, f"a whole number from {least} to {most}", value)
        return value

    def choice(self, key: str, known: Sequence[str]) -> str:
        """Return one of the texts known, the first when it is absent."""
        value = self.members.get(key, known[0])
        if value not in known:
            self.wrong(key, f"one of {', '.join(known)}", value)
        return str(value)

    def plain_list(self, key: str) -> list[Any]:
        """Return a list of plain values; one value alone is a list of one."""
        value = self.members.get(key, [])
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(one, _PLAIN) for one in several):
            self.wrong(key, "a value or a list of values", value)
        return several

    def table(self, key: str, *, required: bool = False) -> _Table:
        """Return a table inside, empty when it is absent."""
        value = self.members.get(key)
        if (value is None and required) or not isinstance(value if value is not None else {}, dict):
            self.wrong(key, f"a table [{key}]", value)
        return _Table(value or {}, self.file, ".".join(filter(None, (self.place, key))))

    def tables(self, key: str) -> list[_Table]:
        """Return the tables of a list, at least one."""
        value = self.members.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
            self.wrong(key, f"at least one table [[{key}]]", value)
        return [
            _Table(one, self.file, f"{key} {one.get('name', number)}") for number, one in enumerate(value, 1)
        ]


def _answer(table: _Table) -> AnswerSettings:
    table.only("contact", "type", "valid_days", "supplementary_info", "on_error", "manual_minutes_left")
    minutes = table.whole_number("manual_minutes_left", 1, 10_080)
    is_manual = table.choice("on_error", ("alarm", "manual")) == "manual"
    if minutes is not None and not is_manual:
        table.wrong("manual_minutes_left", "on_error = 'manual' beside it", minutes)
    return AnswerSettings(
        contact=_contact(table.table("contact")) if table.get("contact") is not None else None,
        delivered=_DELIVERED[table.choice("type", tuple(_DELIVERED))],
        valid_days=table.whole_number("valid_days", 1, 3650),
        supplementary_info=table.text("supplementary_info") or None,
        manual_minutes_left=(minutes or _MANUAL_MINUTES_LEFT) if is_manual else None,
    )


def _contact(table: _Table) -> Contact:
    table.only("name", "phone", "email")
    for key, most in (("name", 100), ("phone", 15), ("email", 254)):
        if len(table.text(key)) > most:
            table.wrong(key, f"a text of at most {most} characters", table.get(key))
    if not table.text("phone") and not table.text("email"):
        table.wrong("phone", "a phone number or an email", None)
    return Contact(table.text("name", required=True), table.text("phone"), table.text("email"))


# --- layers

_LAYER = (
    "name",
    "class",
    "source",
    "layer",
    "database",
    "table",
    "geometry",
    "crs",
    "encoding",
    "where",
    "id",
    "heights",
    "contact",
    "rows_at_least",
    "attributes",
)


def _layer(table: _Table, folder: Path) -> Layer:
    table.only(*_LAYER)
    name = table.text("name", required=True)
    if not _NAME.fullmatch(name):
        table.wrong("name", "a letter, then letters, digits, _ or -, at most 40", name)
    entry = _feature_class(table)
    source, database = table.text("source"), table.text("database")
    if bool(source) == bool(database):
        table.wrong("source", "either 'source' (a file or folder) or 'database' with 'table'", source or None)
    if database and not _VARIABLE.fullmatch(database):
        table.wrong("database", "the name of an environment variable that holds the address", "another text")
    for key in ("layer", "encoding") if database else ("table", "geometry"):
        if table.text(key):
            table.wrong(key, f"no '{key}' beside '{'database' if database else 'source'}'", table.get(key))
    return Layer(
        name=name,
        entry=entry,
        rules=_rules(table, entry),
        path=folder / source if source else None,
        layer=table.text("layer"),
        database=database,
        table=table.text("table", required=bool(database)),
        geometry=table.text("geometry"),
        crs=table.text("crs"),
        encoding=table.text("encoding"),
        where=_where(table.table("where")),
        id_column=_id_column(table),
        heights=_heights(table.table("heights")) if table.get("heights") is not None else None,
        rows_at_least=_least_rows(table),
    )


def _least_rows(table: _Table) -> int:
    least = table.whole_number("rows_at_least", 0, 1_000_000_000)
    return 1 if least is None else least


def _feature_class(table: _Table) -> FeatureClass:
    name = table.text("class", required=True)
    known = {c.name: c for c in catalogue().feature_classes if c.kind in MAPPED_KINDS}
    if name not in known:
        table.wrong("class", f"a LER class: {', '.join(sorted(known))}", name)
    return known[name]


def _where(table: _Table) -> dict[str, frozenset[str]]:
    return {column: frozenset(as_text(v) for v in table.plain_list(column)) for column in table.members}


def _id_column(table: _Table) -> str:
    value = table.get("id")
    if value == "hash":
        return ""
    if not isinstance(value, dict):
        table.wrong("id", "{ column = '…' }, or 'hash' when no column has a lasting id", value)
    inner = table.table("id")
    inner.only("column")
    return inner.text("column", required=True)


def _heights(table: _Table) -> Heights:
    table.only("from", "column", "unit", "reference", "at", "unknown")
    if table.get("reference") != "DVR90":
        table.wrong("reference", "'DVR90' (transform other heights first)", table.get("reference"))
    if table.choice("from", ("z", "column")) == "column":
        column = table.text("column", required=True)
    elif table.get("column") is not None:
        table.wrong("column", "no column beside from = 'z'", table.get("column"))
    else:
        column = ""
    unit = table.choice("unit", tuple(UNITS["m"])) if table.get("unit") is not None else None
    if unit is None:
        table.wrong("unit", f"one of {', '.join(UNITS['m'])}", None)
    unknown = table.plain_list("unknown")
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in unknown):
        table.wrong("unknown", "a list of numbers", unknown)
    at = table.choice("at", ("top", "centre", "bottom"))
    return Heights(Scale(UNITS["m"][unit]), column, at, frozenset(float(one) for one in unknown))


def _check_names(whole: _Table, layers: Sequence[Layer]) -> None:
    """Names are used once, and references lead to a layer whose rows have ids."""
    by_name = {layer.name: layer for layer in layers}
    if len(by_name) < len(layers):
        whole.wrong("layer", "a name of its own for each layer", ", ".join(layer.name for layer in layers))
    for layer in layers:
        for rule in layer.rules:
            if rule.target and (rule.target not in by_name or not by_name[rule.target].id_column):
                place = _Table({}, whole.file, f"layer {layer.name}.attributes.{rule.attribute.name}")
                place.wrong("layer", "the name of a layer whose id is a column", rule.target)


# --- attributes


def _rules(table: _Table, entry: FeatureClass) -> tuple[AttributeRule, ...]:
    given = table.table("attributes")
    rules = [_rule(given, key, entry) for key in given.members]
    missing = [
        name
        for name in entry.required
        if name not in given.members and entry.attributes[name].type not in _UNMAPPED
    ]
    if missing:
        given.wrong("", f"the attributes that a {entry.name} needs, also {', '.join(missing)}", None)
    if table.get("contact") is not None:
        rules.append(_contact_rule(table, entry))
    return tuple(rules)


def _contact_rule(table: _Table, entry: FeatureClass) -> AttributeRule:
    contact = _contact(table.table("contact"))
    fields = {"navn": contact.name, "telefonnummer": contact.phone, "mailadresse": contact.email}
    attribute = entry.attributes["kontaktprofilTilTekniskeSpoergsmaal"]
    return AttributeRule(attribute, constant={name: text for name, text in fields.items() if text})


_RULE = (
    "column",
    "values",
    "otherwise",
    "default",
    "unknown",
    "unit",
    "format",
    "before",
    "separator",
    "layer",
)


def _rule(given: _Table, key: str, entry: FeatureClass) -> AttributeRule:
    attribute = entry.attributes.get(key)
    if attribute is None or attribute.type in _UNMAPPED:
        known = [name for name, a in entry.attributes.items() if a.type not in _UNMAPPED]
        given.wrong(key, f"an attribute of {entry.name}: {', '.join(known)}", key)
    value = given.get(key)
    if not isinstance(value, dict):
        return AttributeRule(attribute, constant=_constant(given, key, attribute))
    table = given.table(key)
    table.only(*_RULE)
    return _column_rule(table, attribute)


def _constant(given: _Table, key: str, attribute: Attribute) -> Any:
    several = given.plain_list(key)
    if attribute.type == "reference":
        given.wrong(key, "{ column = '…', layer = '…' }", given.get(key))
    if len(several) != 1 and not attribute.repeated:
        given.wrong(key, "one value", given.get(key))
    try:
        values = [converted(attribute, one) for one in several]
    except Unfit as unfit:
        given.wrong(key, unfit.expected, given.get(key))
    kept = [one for one in values if one is not None]
    if not kept:
        return None
    return kept if attribute.repeated else kept[0]


def _column_rule(table: _Table, attribute: Attribute) -> AttributeRule:
    values = table.table("values") if table.get("values") is not None else None
    is_reference = attribute.type == "reference"
    if is_reference != bool(table.text("layer")):
        table.wrong(
            "layer", "the name of the layer whose ids the column holds" if is_reference else "no layer", None
        )
    for key, types in (("format", ("instant", "date", "datetime")), ("before", ("instant",))):
        if table.get(key) is not None and attribute.type not in types:
            table.wrong(key, f"no {key} for a {attribute.type}", table.get(key))
    if table.get("separator") is not None and not attribute.repeated:
        table.wrong("separator", f"no separator: {attribute.name} has one value", table.get("separator"))
    if values is None and table.get("otherwise") is not None:
        table.wrong("otherwise", "a table of 'values' beside it", table.get("otherwise"))
    return AttributeRule(
        attribute,
        column=table.text("column", required=True),
        values={k: _listed(values, k, attribute) for k in values.members} if values else None,
        otherwise=UNSTATED if table.get("otherwise") is None else _listed(table, "otherwise", attribute),
        default=None if table.get("default") is None else _listed(table, "default", attribute),
        unknown=frozenset(as_text(one) for one in table.plain_list("unknown")),
        scale=_scale(table, attribute, listed=values is not None),
        date_format=table.text("format"),
        before=table.flag("before"),
        separator=str(table.get("separator") or ""),
        target=table.text("layer"),
    )


def _scale(table: _Table, attribute: Attribute, *, listed: bool) -> Scale | None:
    """Return the scale; a table of values holds numbers in LER's unit and takes no unit."""
    unit = table.text("unit")
    if listed:
        if unit:
            table.wrong("unit", "no unit: the table of values holds numbers in LER's unit", unit)
        return None
    try:
        return scale_of(attribute, unit)
    except Unfit as unfit:
        table.wrong("unit", unfit.expected, unit or None)


def _listed(table: _Table, key: str, attribute: Attribute) -> Any:
    """Return a LER value that the mapping writes; numbers are in LER's unit."""
    value = table.get(key)
    if not isinstance(value, _PLAIN):
        table.wrong(key, "a value", value)
    try:
        return converted(attribute, value)
    except Unfit as unfit:
        table.wrong(key, unfit.expected, value)
