"""A draft of a mapping file from what a source offers: guesses by names, and marks for a person to fill in.

``UDFYLD`` stands wherever a person must decide; the draft is not a valid mapping before all are gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import shapely

from geoinfra.errors import UnreadableFile
from geoinfra.utilities.catalogue import Attribute, FeatureClass, catalogue
from geoinfra.utilities.sources import Source, layer_names, open_files, open_table, vector_files
from geoinfra.utilities.values import FILL_IN, NIL, as_text

__all__ = ["draft_of_files", "draft_of_table"]

_MOST_VALUES = 12
_MOST_LAYERS = 50
_CLASSES = (
    (r"spild|kloak|regn|afl(ø|oe|o)b|dr(æ|ae)n|sewer|waste|storm", "Afloebsledning", "Afloebskomponent"),
    (r"vand|water|hydrant|stophane", "Vandledning", "Vandkomponent"),
    (r"fjernv|varme|heat|thermal|k(ø|oe)l", "TermiskLedning", "TermiskKomponent"),
    (r"gas", "Gasledning", "Gaskomponent"),
    (r"tele|fiber|fibre|coax|antenne", "Telekommunikationsledning", "Telekommunikationskomponent"),
    (r"\bel\b|el_|_el|kabel|cable|power|lys|light", "Elledning", "Elkomponent"),
    (r"f(ø|oe)ringsr|tomr(ø|oe)r|duct|conduit", "Foeringsroer", ""),
    (r"olie|oil", "Olieledning", "Oliekomponent"),
    (r"ventil|valve|tapsted|brandhane", "", "Vandkomponent"),
)
_COLUMNS = {
    "driftsstatus": r"status|drift|tilstand|state",
    "etableringstidspunkt": r"anlagt|anl(æ|ae)g|etabl|nedlagt|built|install|year"
    r"|(^|_)(aar|år|dato|date)(_|$)",
    "type": r"^(type|art|kind)$",
    "udvendigDiameter": r"dim|diam|(^|_)(dn|od|ø)(_|$)",
    "udvendigMateriale": r"mat",
    "materiale": r"mat",
    "vejledendeDybde": r"dyb|depth|d(æ|ae)kning|cover",
    "noejagtighedsklasse": r"n(ø|oe)j|accur|usikker|precis|pr(æ|ae)cis",
    "spaendingsniveau": r"sp(æ|ae)nd|volt|kv",
    "tryk": r"tryk|press|(^|_)bar(_|$)",
    "indtegningsmetode": r"indtegn|opm(å|aa)l|survey",
    "udvendigFarve": r"farve|colour|color",
}
_ALWAYS = ("noejagtighedsklasse", "noejagtighedsklasseVertikal")
_CONSTANTS = {"tvaersnitsform": "cirkulær", "niveau": "under terræn"}
_OFFERED = (
    "niveau",
    "udvendigDiameter",
    "udvendigMateriale",
    "materiale",
    "vejledendeDybde",
    "indtegningsmetode",
)
_IDS = r"^(.*_)?(uuid|guid|global_?id|id|nr|nummer|objectid|gml_id)$"

_HEAD = """\
# Afbildning fra egne data til LER 2.2.0 / mapping of own data to LER 2.2.0
# {mark} står, hvor et menneske skal tage stilling / {mark} stands where a person must decide.

[owner]
cvr = "{mark}"                    # 8 cifre / digits

[answer]
valid_days = 30                   # svaret gælder så længe / how long the answer is valid
on_error = "alarm"                # eller/or "manual": udtag til manuel behandling, når fristen nærmer sig
contact = {{ name = "{mark}", phone = "{mark}", email = "{mark}" }}
"""


def draft_of_files(path: Path) -> str:
    """Return a draft for every layer of a file, or for a folder of files of one kind.

    Raises
    ------
    UnreadableFile, InvalidInput
        The source cannot be read.
    """
    files = vector_files(path)
    names = layer_names(files[0])
    if not names or len(names) > _MOST_LAYERS:
        raise UnreadableFile(
            f"{path.name} holds {len(names)} layers with geometry; 1 to {_MOST_LAYERS} are drafted."
        )
    drafts = []
    for name in names:
        source = open_files(files[0], name)[0]
        lines = [f"source = {_quoted(str(path.resolve()))}"]
        if len(names) > 1 or len(files) == 1:
            lines.append(f"layer = {_quoted(name)}")
        drafts.append(_layer(source, f"{files[0].stem} {name}", name, lines))
    return _HEAD.format(mark=FILL_IN) + "".join(drafts)


def draft_of_table(dsn: str, table: str, database: str) -> str:
    """Return a draft for a PostGIS table; `database` is the name that gives its address.

    Raises
    ------
    UnreadableFile, InvalidInput, MissingResource
        The table cannot be read.
    """
    source = open_table(dsn, table, name=database)
    lines = [f"database = {_quoted(database)}", f"table = {_quoted(table)}"]
    return _HEAD.format(mark=FILL_IN) + _layer(source, table, table.rpartition(".")[2], lines)


def _layer(source: Source, words: str, name: str, place: list[str]) -> str:
    """Return the ``[[layer]]`` of a source."""
    page = next(iter(source.rows(source.columns, None)), None)
    shapes = [] if page is None else [g for g in page.geometry if g is not None]
    entry = _class_of(words.lower(), shapes)
    own_name = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:30]
    own_name = own_name if own_name[:1].isalpha() else f"lag_{own_name}"
    id_column = next((c for c in source.columns if re.match(_IDS, c, re.IGNORECASE)), "")
    lines = [
        "",
        "[[layer]]",
        f"name = {_quoted(own_name)}    # begynder hvert id, ændres aldrig / begins every id, never changes",
        f"class = {_quoted(entry.name if entry else FILL_IN)}",
        *place,
        f"id = {{ column = {_quoted(id_column)} }}" if id_column else 'id = "hash"',
        f"# koordinater / coordinates: {_quoted(source.crs.name)}",
        f"# kolonner / columns: {', '.join(map(_quoted, source.columns))}",
        *_height_lines(shapes),
        "",
        "[layer.attributes]",
    ]
    columns = {} if page is None else page.columns
    if entry is None:
        lines.append(f'# vælg class, og kør init igen / choose class: {FILL_IN} = "{FILL_IN}"')
    else:
        lines += _attribute_lines(entry, source.columns, columns)
    return "\n".join(lines) + "\n"


def _class_of(words: str, shapes: Sequence[shapely.Geometry]) -> FeatureClass | None:
    """Guess the class by the words of file and layer, and by the kind of geometry."""
    lines = sum("LineString" in type(shape).__name__ for shape in shapes)
    is_line = 2 * lines >= len(shapes)
    for pattern, line, component in _CLASSES:
        name = line if is_line else component
        if name and re.search(pattern, words):
            return catalogue().feature_class(name)
    return None


def _height_lines(shapes: Sequence[shapely.Geometry]) -> list[str]:
    z = shapely.get_coordinates(np.array(shapes, dtype=object), include_z=True)[:, 2]
    if np.isnan(z).all():
        return []
    return [
        "",
        "# punkterne har Z; slet, hvis det ikke er koter / the vertices have Z; delete if no heights",
        "[layer.heights]",
        'from = "z"',
        f'unit = "{FILL_IN}"        # m, cm, mm',
        f'reference = "{FILL_IN}"   # DVR90',
        f'at = "{FILL_IN}"          # top, centre, bottom (overkant, midte, bund)',
        "unknown = [0]            # tal, der betyder ukendt / numbers that mean unknown",
    ]


def _attribute_lines(
    entry: FeatureClass, names: Sequence[str], columns: dict[str, list[object]]
) -> Iterable[str]:
    wanted = [n for n in (*entry.required, *_ALWAYS, *_OFFERED) if n in entry.attributes]
    wanted += [n for n in _COLUMNS if n in entry.attributes and n not in wanted]
    for name in dict.fromkeys(wanted):
        attribute = entry.attributes[name]
        if attribute.type in ("geometry", "contact", "reference"):
            continue
        column = _column_of(name, names)
        if column:
            yield _column_line(attribute, column, columns.get(column, []))
        elif name in _CONSTANTS:
            yield f"{name} = {_quoted(_CONSTANTS[name])}"
        elif attribute.min or name in _ALWAYS:
            yield f'{name} = "{FILL_IN}"    # {_choices(attribute)}'


def _column_of(attribute: str, names: Sequence[str]) -> str:
    pattern = _COLUMNS.get(attribute.removesuffix("Vertikal"), "")
    if not pattern:
        return ""
    return next((name for name in names if re.search(pattern, name, re.IGNORECASE)), "")


def _column_line(attribute: Attribute, column: str, values: Sequence[object]) -> str:
    parts = [f"column = {_quoted(column)}"]
    found = sorted({as_text(v) for v in values if v is not None and as_text(v)})
    numeric = all(re.fullmatch(r"-?[0-9]+([.,][0-9]+)?", text) for text in found)
    if attribute.type in ("measure", "height") or (attribute.name.startswith("noej") and found and numeric):
        parts.append(f'unit = "{FILL_IN}"')
    elif attribute.enumeration is not None and len(found) <= _MOST_VALUES:
        listed = (f"{_quoted(text)} = {_quoted(_same(attribute, text))}" for text in found)
        parts.append(f"values = {{ {', '.join(listed)} }}")
    elif attribute.type == "instant" and not all(re.match(r"[0-9]{4}(-|$)", text) for text in found):
        parts.append(f'format = "{FILL_IN}"')
    if any(value is None or not as_text(value) for value in values) or not found:
        parts.append(f'default = "{NIL if attribute.nillable else FILL_IN if attribute.min else "omit"}"')
    return f"{attribute.name} = {{ {', '.join(parts)} }}    # {_choices(attribute)}"


def _same(attribute: Attribute, text: str) -> str:
    """Return the code that is the same word, or the mark."""
    codes = attribute.enumeration.values if attribute.enumeration else ()
    return next((code for code in codes if code.casefold() == text.casefold()), FILL_IN)


def _choices(attribute: Attribute) -> str:
    if attribute.enumeration is not None:
        listed = "; ".join(sorted(attribute.enumeration.values))
        more = "; other: ord" if attribute.enumeration.open else ""
        return f"{listed}{more}" + ("; nil" if attribute.nillable else "")
    if attribute.type == "instant":
        return 'åååå, åååå-mm, åååå-mm-dd; "<2023" er før 2023 / is before 2023'
    return f"{attribute.type} {attribute.uom}".strip() + ("; nil" if attribute.nillable else "")


def _quoted(text: str) -> str:
    """Return a TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
