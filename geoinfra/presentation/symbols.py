"""Point symbols: one drawing for every component type, from ``standards/presentation/symbols/<version>/``.

``symbols.json`` says which feature classes and types a symbol stands for; its drawing is ``<id>.svg``: only
circles, rectangles, lines, polygons and paths of straight lines and arcs of circles, painted with the ink
(``currentColor``) or the paper (white). Nothing else passes, so every renderer can draw it.
``standards/presentation/symbols/README.md`` tells how symbols are drawn.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from lxml import etree
from numpy.typing import NDArray

from geoinfra.errors import InvalidInput, MissingResource, NotFound
from geoinfra.standards import standards_path

__all__ = [
    "INK",
    "NOMINAL_MM",
    "PAPER",
    "Drawing",
    "Outline",
    "Picture",
    "Sprite",
    "StandsFor",
    "SymbolSet",
    "load_symbols",
    "make_sprite",
    "rasterise",
    "sprite_sheet",
    "symbol_for",
]

INK: Final = "currentColor"
"""Paint that takes the colour of the supply."""

PAPER: Final = "#ffffff"
"""Paint of the halo and of what lies between the ink."""

NOMINAL_MM: Final = 3.0
"""Size on paper for which the symbols are drawn."""

_BOX: Final = 24.0
_VERSION: Final = "1.0.0"
_ID = re.compile(r"[a-z][a-z0-9-]{0,39}")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_NUMBER = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,3})?")
_MAX_FILE_BYTES: Final = 16 * 1024
_MAX_INDEX_BYTES: Final = 1024 * 1024
_SVG = "{http://www.w3.org/2000/svg}"
_OPEN: Final = '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24">'
_ROOT: Final = {"width": "24", "height": "24", "viewBox": "0 0 24 24"}
_GEOMETRY: Final = {
    "circle": ("cx", "cy", "r"),
    "rect": ("x", "y", "width", "height", "rx"),
    "line": ("x1", "y1", "x2", "y2"),
    "polygon": ("points",),
    "path": ("d",),
}
_PAINT: Final = ("fill", "stroke", "stroke-width", "stroke-linecap", "stroke-linejoin")
_TOLERANCE: Final = 0.02  # of an arc from its chords, in units of the box

type Points = NDArray[np.float64]
"""Vertices, shape (n, 2)."""


@dataclass(frozen=True, slots=True)
class Outline:
    """One thing to draw, flattened: millimetres from the anchor, y upwards.

    Attributes
    ----------
    closed
        Whether the last vertex joins the first.
    width_mm
        Of the stroke, with round caps and joins; 0 where the inside is filled.
    ink
        Painted in the colour of the supply, else white.
    halo
        Belongs to the white edge around the symbol, which a drawing on white can leave out.
    """

    points_mm: Points
    closed: bool
    width_mm: float
    ink: bool
    halo: bool

    @property
    def filled(self) -> bool:
        """Whether the inside is painted."""
        return self.width_mm == 0


@dataclass(frozen=True, slots=True)
class StandsFor:
    """Features for which a symbol stands.

    Attributes
    ----------
    types
        Values of ``type``; empty for every feature of the class that has no symbol of its own.
    attribute, values
        A further attribute that decides, and its values; empty where none does.
    """

    feature_class: str
    types: tuple[str, ...] = ()
    attribute: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Subpath:
    points: Points  # of the box, y downwards
    closed: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    subpaths: tuple[_Subpath, ...]
    fill: str
    stroke: str
    width: float

    @property
    def ink(self) -> bool:
        return INK in (self.fill, self.stroke)


@dataclass(frozen=True, eq=False)
class Drawing:
    """One symbol.

    Attributes
    ----------
    family
        Which part of the grammar it follows: ``well``, ``cabinet``, ``building`` ...
    anchor
        Point of the 24 x 24 box that lies on the feature, y downwards.
    turned
        Whether it follows the direction of the line; symbols of components never do.
    words
        Words of free text, in small letters, for which it stands.
    markup
        The elements of the SVG, painted with ``currentColor``.
    """

    id: str
    da: str
    en: str
    family: str
    anchor: tuple[float, float]
    turned: bool
    stands_for: tuple[StandsFor, ...]
    words: tuple[str, ...]
    markup: str
    shapes: tuple[_Shape, ...]

    def elements(self, colour: str = INK) -> str:
        """Return the elements of the SVG, to be put into another, painted with a colour like ``#1d6cd0``."""
        return self.markup if colour == INK else self.markup.replace(INK, _checked(colour))

    def svg(self, colour: str = INK) -> str:
        """Return the symbol as an SVG document of its own."""
        return _document(self.elements(colour))

    def parametric_svg(self, colour: str = "#000000") -> str:
        """Return an SVG whose ink is ``param(fill)``, which QGIS and GeoServer set; others draw `colour`."""
        return _document(self.markup.replace(INK, f"param(fill) {_checked(colour)}"))

    def outlines(self, size_mm: float = NOMINAL_MM) -> tuple[Outline, ...]:
        """Return what is drawn, bottom to top, for a symbol whose box is `size_mm` wide."""
        if not 0 < size_mm <= 1000:
            raise InvalidInput("A symbol is larger than 0 and at most 1000 mm.")
        scale = size_mm / _BOX
        first_ink = next(place for place, shape in enumerate(self.shapes) if shape.ink)
        found = []
        for place, shape in enumerate(self.shapes):
            for subpath in shape.subpaths:
                points = (subpath.points - self.anchor) * (scale, -scale)
                for paint, width in ((shape.fill, 0.0), (shape.stroke, shape.width * scale)):
                    if paint != "none":
                        closed = subpath.closed or width == 0
                        found.append(Outline(points, closed, width, paint == INK, place < first_ink))
        return tuple(found)


@dataclass(frozen=True, eq=False)
class SymbolSet:
    """All symbols of a version.

    Attributes
    ----------
    unknown
        Id of the symbol for what nothing else stands for.
    by_type, by_value, by_class, by_word
        Class and type, these with a further value, class alone, and word of free text -> id.
    attributes
        Class and type -> the further attribute that decides.
    """

    version: str
    unknown: str
    drawings: Mapping[str, Drawing]
    by_type: Mapping[tuple[str, str], str]
    by_value: Mapping[tuple[str, str, str], str]
    by_class: Mapping[str, str]
    by_word: Mapping[str, str]
    attributes: Mapping[tuple[str, str], str]

    def drawing(self, symbol: str) -> Drawing:
        """Return a symbol by its id."""
        found = self.drawings.get(symbol)
        if found is None:
            raise NotFound(f"There is no symbol '{symbol[:60]}'.")
        return found

    def symbol_for(self, feature_class: str, type_: str | None, value: str | None = None) -> str:
        """Return the id of the symbol of a component.

        Parameters
        ----------
        type_
            A value of the class's code list, free text, ``other: word`` or nothing.
        value
            Of the attribute that `attributes` names for class and type: ``tapstedstype`` of a ``tapsted``.
        """
        if feature_class not in self.by_class:
            return self.unknown
        if type_ is None:
            return self.by_class[feature_class]
        exact = self.by_value.get((feature_class, type_, value or "")) or self.by_type.get(
            (feature_class, type_)
        )
        word = type_.removeprefix("other: ").strip().casefold()
        return exact or self.by_word.get(word) or self.by_class[feature_class]


@lru_cache(maxsize=8)
def load_symbols(version: str = _VERSION, root: Path | None = None) -> SymbolSet:
    """Load the symbols of a version; `root` stands for ``standards/presentation/symbols``.

    Raises
    ------
    NotFound
        There is no such version.
    InvalidInput
        A file does not follow the rules.
    """
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4}){2}", version):
        raise NotFound(f"There are no symbols {version[:20]}.")
    folder = (root or standards_path("presentation", "symbols")) / version
    if not (folder / "symbols.json").is_file():
        raise NotFound(f"There are no symbols {version}.")
    return _symbol_set(folder)


def symbol_for(feature_class: str, type_: str | None, value: str | None = None) -> str:
    """Return the id of the symbol of a component from the newest symbols (:meth:`SymbolSet.symbol_for`)."""
    return load_symbols().symbol_for(feature_class, type_, value)


# ------------------------------------------------------------------ pictures


@dataclass(frozen=True, slots=True)
class Sprite:
    """A sprite sheet as MapLibre reads it: ``sprite.png`` and ``sprite.json``, or with ``@2x``."""

    png: bytes
    index: Mapping[str, Mapping[str, int]]


def rasterise(svg: str, width_px: int, height_px: int) -> bytes:
    """Return a PNG of an SVG, transparent where nothing is drawn."""
    try:
        import resvg_py
    except ImportError as error:
        raise MissingResource(
            "Pictures of symbols need resvg.",
            hint="Install the extra: pip install 'geoinfra[exchange]'.",
        ) from error
    return bytes(
        resvg_py.svg_to_bytes(svg_string=svg, width=width_px, height=height_px, skip_system_fonts=True)
    )


def make_sprite(
    images: Mapping[str, tuple[str, str]],
    *,
    pixel_ratio: int = 1,
    size_px: int = 24,
    symbols: SymbolSet | None = None,
) -> Sprite:
    """Draw many symbols on one sheet; equal input gives equal bytes.

    Parameters
    ----------
    images
        Name in the sprite -> id of the symbol and colour.
    pixel_ratio
        Picture pixels for each pixel of the map.
    size_px
        Size of a symbol on the map.
    """
    chosen = symbols or load_symbols()
    pictures = {
        name: Picture("0 0 24 24", chosen.drawing(symbol).elements(_BLACK), colour)
        for name, (symbol, colour) in images.items()
    }
    return sprite_sheet(pictures, pixel_ratio=pixel_ratio, size_px=size_px)


_BLACK: Final = "#000000"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a sprite.

    Attributes
    ----------
    box
        The ``viewBox``.
    elements
        SVG elements in black, which stands for the colour, and white.
    colour
        What black becomes.
    """

    box: str
    elements: str
    colour: str


def sprite_sheet(pictures: Mapping[str, Picture], *, pixel_ratio: int = 1, size_px: int = 24) -> Sprite:
    """Put pictures on one sheet by name; equal input gives equal bytes.

    A drawing is made once and then coloured, which is much faster than drawing it in each colour.

    Parameters
    ----------
    pixel_ratio, size_px
        As for :func:`make_sprite`.

    Raises
    ------
    MissingResource
        resvg or Pillow is not installed.
    """
    if not pictures or len(pictures) > 4096:
        raise InvalidInput("A sprite holds 1 to 4096 images.")
    if not (1 <= pixel_ratio <= 4 and 8 <= size_px <= 128):
        raise InvalidInput("A sprite has 1 to 4 pixels for each pixel, and images of 8 to 128 pixels.")
    side_px, columns = size_px * pixel_ratio, math.ceil(math.sqrt(len(pictures)))
    drawn = _drawn(sorted({(one.box, one.elements) for one in pictures.values()}), side_px)
    sheet = np.zeros((math.ceil(len(pictures) / columns) * side_px, columns * side_px, 4), np.uint8)
    index = {}
    for place, name in enumerate(sorted(pictures)):
        x, y = place % columns * side_px, place // columns * side_px
        index[name] = {"x": x, "y": y, "width": side_px, "height": side_px, "pixelRatio": pixel_ratio}
        picture = pictures[name]
        cell = drawn[picture.box, picture.elements]
        sheet[y : y + side_px, x : x + side_px] = _coloured(cell, picture.colour)
    return Sprite(_png(sheet), index)


def _drawn(drawings: Sequence[tuple[str, str]], side_px: int) -> dict[tuple[str, str], NDArray[np.uint8]]:
    """Return the pixels of each drawing, a few at a time: while resvg draws, no other thread runs."""
    found: dict[tuple[str, str], NDArray[np.uint8]] = {}
    for start in range(0, len(drawings), _DRAWN_AT_ONCE):
        part = drawings[start : start + _DRAWN_AT_ONCE]
        cells = "".join(
            f'<svg x="{place * side_px}" width="{side_px}" height="{side_px}" viewBox="{box}">'
            f"{elements}</svg>"
            for place, (box, elements) in enumerate(part)
        )
        width_px = side_px * len(part)
        strip = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width_px}" height="{side_px}"'
            f' viewBox="0 0 {width_px} {side_px}">{cells}</svg>'
        )
        pixels = _pixels(rasterise(strip, width_px, side_px))
        found |= {one: pixels[:, at * side_px : (at + 1) * side_px] for at, one in enumerate(part)}
    return found


_DRAWN_AT_ONCE: Final = 16


def _coloured(pixels: NDArray[np.uint8], colour: str) -> NDArray[np.uint8]:
    """Turn black into a colour: a pixel is its share of white, the rest of it ink."""
    _checked(colour)
    ink = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)], np.float32)
    white = pixels[..., :1].astype(np.float32) / 255
    cell = pixels.copy()
    cell[..., :3] = np.rint(white * 255 + (1 - white) * ink)
    cell[pixels[..., 3] == 0] = 0
    return cell


def _pillow() -> Any:
    try:
        import PIL.Image
    except ImportError as error:
        raise MissingResource(
            "Sprites need Pillow.", hint="Install the extra: pip install 'geoinfra[exchange]'."
        ) from error
    return PIL.Image


def _pixels(png: bytes) -> NDArray[np.uint8]:
    with _pillow().open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGBA"), np.uint8)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    target = io.BytesIO()
    _pillow().fromarray(pixels).save(target, "PNG", compress_level=6)
    return target.getvalue()


def _document(elements: str) -> str:
    return f"{_OPEN}{elements}</svg>\n"


def _checked(colour: str) -> str:
    if not _COLOUR.fullmatch(colour):
        raise InvalidInput(f"A colour is written like #1d6cd0, not '{colour[:20]}'.")
    return colour


# ------------------------------------------------------------------ reading


def _symbol_set(folder: Path) -> SymbolSet:
    index = folder / "symbols.json"
    _require(index.stat().st_size <= _MAX_INDEX_BYTES, "symbols.json", "is too large")
    try:
        document = orjson.loads(index.read_bytes())
        drawings = {entry["id"]: _drawing(entry, folder) for entry in document["symbols"]}
        unknown = document["unknown"]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            "symbols.json does not follow the rules.",
            details={"found": f"{type(error).__name__}: {error}"[:200]},
        ) from error
    _require(len(drawings) == len(document["symbols"]), "symbols.json", "has an id twice")
    _require(unknown in drawings, "symbols.json", "names no symbol for the unknown")
    return SymbolSet(document["version"], unknown, drawings, *_tables(drawings.values()))


def _tables(drawings: Any) -> tuple[dict[Any, str], ...]:
    """Return by_type, by_value, by_class, by_word and attributes."""
    by_type: dict[Any, str] = {}
    by_value: dict[Any, str] = {}
    by_class: dict[Any, str] = {}
    by_word: dict[Any, str] = {}
    attributes: dict[Any, str] = {}
    for drawing in drawings:
        for word in drawing.words:
            _add(by_word, word, drawing.id)
        for entry in drawing.stands_for:
            if not entry.types:
                _add(by_class, entry.feature_class, drawing.id)
            for type_ in entry.types:
                key = (entry.feature_class, type_)
                if not entry.values:
                    _add(by_type, key, drawing.id)
                    continue
                _require(
                    attributes.setdefault(key, entry.attribute) == entry.attribute,
                    str(key),
                    "has two attributes",
                )
                for value in entry.values:
                    _add(by_value, (*key, value), drawing.id)
    return by_type, by_value, by_class, by_word, attributes


def _add(table: dict[Any, str], key: Any, symbol: str) -> None:
    _require(key not in table, "symbols.json", f"gives two symbols for {key}")
    table[key] = symbol


def _drawing(entry: Mapping[str, Any], folder: Path) -> Drawing:
    symbol = entry["id"]
    _require(isinstance(symbol, str) and _ID.fullmatch(symbol) is not None, str(symbol)[:60], "is no id")
    x, y = (float(number) for number in entry["anchor"])
    _require(0 <= x <= _BOX and 0 <= y <= _BOX, symbol, "has its anchor outside the box")
    stands_for = tuple(
        StandsFor(
            row["class"], tuple(row.get("types", ())), row.get("attribute", ""), tuple(row.get("values", ()))
        )
        for row in entry.get("stands_for", ())
    )
    elements = tuple(_elements(folder / f"{symbol}.svg"))
    shapes = tuple(shape for _, shape in elements)
    _require(any(shape.ink for shape in shapes), symbol, "has no ink")
    _require(not shapes[0].ink, symbol, "has no halo")
    return Drawing(
        id=symbol,
        da=entry["da"],
        en=entry["en"],
        family=entry["family"],
        anchor=(x, y),
        turned=bool(entry.get("turned", False)),
        stands_for=stands_for,
        words=tuple(word.casefold() for word in entry.get("words", ())),
        markup="".join(markup for markup, _ in elements),
        shapes=shapes,
    )


def _require(holds: bool, what: str, why: str) -> None:
    if not holds:
        raise InvalidInput(f"The symbol file {what} {why}.")


def _elements(path: Path) -> Iterator[tuple[str, _Shape]]:
    """Give the elements of a drawing, as markup and as shapes; refuse what no renderer is asked to draw."""
    if not path.is_file():
        raise MissingResource(f"The symbol file {path.name} is missing.", hint="Install geoinfra again.")
    _require(path.stat().st_size <= _MAX_FILE_BYTES, path.name, "is too large")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(path.read_bytes(), parser)
    except etree.XMLSyntaxError as error:
        raise InvalidInput(f"The symbol file {path.name} is not XML.") from error
    _require(root.tag == f"{_SVG}svg" and dict(root.attrib) == _ROOT, path.name, "has another root")
    _require(root.getroottree().docinfo.internalDTD is None, path.name, "has a document type")
    for element in root:
        tag = str(element.tag).removeprefix(_SVG)
        _require(
            tag in _GEOMETRY and len(element) == 0, path.name, f"has an element that may not be: {tag[:40]}"
        )
        attributes = {str(name): str(value) for name, value in element.attrib.items()}
        _require(
            not set(attributes) - {*_GEOMETRY[tag], *_PAINT},
            path.name,
            f"has an attribute that {tag} may not have",
        )
        try:
            shape = _shape(tag, attributes)
        except (KeyError, ValueError, IndexError) as error:
            raise InvalidInput(
                f"The symbol file {path.name} has a {tag} that cannot be drawn: {error}."
            ) from error
        yield f"<{tag} {' '.join(f'{name}="{value}"' for name, value in attributes.items())}/>", shape


def _shape(tag: str, attributes: Mapping[str, str]) -> _Shape:
    fill, stroke = attributes["fill"], attributes["stroke"]
    if not {fill, stroke} <= {INK, PAPER, "none"} or fill == stroke == "none":
        raise ValueError("a paint is currentColor, #ffffff or none")
    width = 0.0
    if stroke != "none":
        width = _number(attributes["stroke-width"])
        if attributes["stroke-linecap"] != "round" or attributes["stroke-linejoin"] != "round":
            raise ValueError("strokes have round caps and joins")
        if width <= 0:
            raise ValueError("a stroke has a width")
    subpaths = tuple(_SUBPATHS[tag](attributes))
    if fill != "none" and len(subpaths) != 1:
        raise ValueError("a filled path has one ring")
    if any(len(s.points) < 2 or s.points.min() < 0 or s.points.max() > _BOX for s in subpaths):
        raise ValueError("the drawing lies inside its box")
    return _Shape(subpaths, fill, stroke, width)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"'{text[:20]}' is no plain number")
    return float(text)


def _circle(attributes: Mapping[str, str]) -> Iterator[_Subpath]:
    x, y, radius = (_number(attributes[name]) for name in ("cx", "cy", "r"))
    yield _Subpath(_turn(x, y, radius, 0.0, 2 * math.pi)[:-1], closed=True)


def _rect(attributes: Mapping[str, str]) -> Iterator[_Subpath]:
    x, y, width, height = (_number(attributes[name]) for name in ("x", "y", "width", "height"))
    radius = min(_number(attributes.get("rx", "0")), width / 2, height / 2)
    corners = (
        (x + width - radius, y + radius, -0.5),
        (x + width - radius, y + height - radius, 0.0),
        (x + radius, y + height - radius, 0.5),
        (x + radius, y + radius, 1.0),
    )
    rounded = [_turn(cx, cy, radius, start * math.pi, (start + 0.5) * math.pi) for cx, cy, start in corners]
    yield _ring(np.concatenate(rounded))


def _line(attributes: Mapping[str, str]) -> Iterator[_Subpath]:
    yield _Subpath(
        np.array([_number(attributes[n]) for n in ("x1", "y1", "x2", "y2")]).reshape(2, 2), closed=False
    )


def _polygon(attributes: Mapping[str, str]) -> Iterator[_Subpath]:
    pairs = [[_number(number) for number in pair.split(",")] for pair in attributes["points"].split(" ")]
    yield _Subpath(np.array(pairs).reshape(-1, 2), closed=True)


def _path(attributes: Mapping[str, str]) -> Iterator[_Subpath]:
    """Read a path of absolute commands M, L, A (of a circle) and Z, with single spaces between all."""
    words = iter(attributes["d"].split(" "))
    points: list[Points] = []
    for command in words:
        if command == "M":
            if points:
                yield _Subpath(np.concatenate(points), closed=False)
            points = [np.array([[_number(next(words)), _number(next(words))]])]
        elif command == "L" and points:
            points.append(np.array([[_number(next(words)), _number(next(words))]]))
        elif command == "A" and points:
            points.append(_arc(points[-1][-1], [_number(next(words)) for _ in range(7)]))
        elif command == "Z" and points:
            yield _ring(np.concatenate(points))
            points = []
        else:
            raise ValueError(f"'{command[:10]}' is no command of a path here")
    if points:
        yield _Subpath(np.concatenate(points), closed=False)


def _ring(points: Points) -> _Subpath:
    """Return a ring without the vertices that lie on the one before."""
    apart = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1) > 1e-6
    return _Subpath(points[apart], closed=True)


_SUBPATHS: Final[Mapping[str, Callable[[Mapping[str, str]], Iterator[_Subpath]]]] = {
    "circle": _circle,
    "rect": _rect,
    "line": _line,
    "polygon": _polygon,
    "path": _path,
}


def _arc(start: Points, given: list[float]) -> Points:
    """Return the vertices of an arc after its start (SVG 1.1, appendix F.6.5, for a circle)."""
    radius, same, turned, large, sweep, x, y = given
    half = (start - np.array([x, y])) / 2
    reach = float(np.hypot(*half))
    if radius != same or turned != 0 or not {large, sweep} <= {0.0, 1.0} or reach == 0 or radius <= 0:
        raise ValueError("an arc is a part of a circle")
    radius = max(radius, reach)
    away = math.sqrt(max(0.0, radius**2 / reach**2 - 1)) * (1 if large != sweep else -1)
    centre = (start + np.array([x, y])) / 2 + away * np.array([half[1], -half[0]])
    first, last = (math.atan2(*(point - centre)[::-1]) for point in (start, np.array([x, y])))
    if sweep and last < first:
        last += 2 * math.pi
    if not sweep and last > first:
        last -= 2 * math.pi
    return _turn(float(centre[0]), float(centre[1]), radius, first, last)[1:]


def _turn(x: float, y: float, radius: float, first: float, last: float) -> Points:
    """Return vertices on a circle, both ends among them, no chord further from it than the tolerance."""
    if radius <= 0:
        return np.array([[x, y]])
    step = 2 * math.acos(max(0.0, 1 - _TOLERANCE / radius))
    angles = np.linspace(first, last, math.ceil(abs(last - first) / step) + 1)
    return np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)])
