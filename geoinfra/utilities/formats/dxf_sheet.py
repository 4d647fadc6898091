"""The parts of a DXF that stand around its entities: header, layers, line types. Made with ezdxf.

Names, colours, line types and weights are data: the style set ``standards/presentation/geoinfra/1.0.0``.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import orjson

from geoinfra.errors import MissingResource
from geoinfra.standards import standards_path
from geoinfra.utilities.formats.dxf_entities import APPLICATION, TEXT_STYLE

__all__ = ["Sheet", "drawing_rules", "subject_of"]

MAX_LAYERS: Final = 4000
OVERFLOW_LAYER: Final = "GEOINFRA-ANDRE"

_NORDIC = str.maketrans({"æ": "ae", "ø": "oe", "å": "aa", "Æ": "AE", "Ø": "OE", "Å": "AA"})
_NOT_LAYER = re.compile("[^A-Za-z0-9.]+")
_SUBJECT_LENGTH = 40
_DESCRIPTION_LENGTH = 120


@lru_cache(maxsize=1)
def drawing_rules() -> Mapping[str, Any]:
    """Return the rules of the drawing by the values of LER; read once a process."""
    folder = standards_path("presentation", "geoinfra", "1.0.0")
    files = {name: orjson.loads((folder / f"{name}.json").read_bytes()) for name in _FILES}
    rules: dict[str, Any] = files["dxf"]
    types = {_asked(row, "supply", "unknown"): row for row in files["types"]["types"]}
    rules["supplies"] = {supply: row["layer"] for supply, row in types.items()}
    rules["colours"] = {supply: int(row["colour"][1:], 16) for supply, row in types.items()}
    rules["names"] = {supply: f"{row['da']} / {row['en']}" for supply, row in types.items()}
    dimensions = files["dimensions"]["dimensions"]
    linetypes = rules["linetypes"]
    rules["statuses"] = {
        _asked(row, "status", ""): {
            "suffix": rules["suffixes"][row["key"]],
            "linetype": linetypes[row["key"]]["name"] if row["key"] in linetypes else "Continuous",
            "text": f"{row['da'].lower()} / {row['en'].lower()}",
        }
        for row in dimensions["status"]["classes"]
    }
    rules["weights_mm"] = {
        _asked(row, "hazard", ""): rules["weights_mm"][row["key"]]
        for row in dimensions["hazard"]["classes"]
        if row["key"] in rules["weights_mm"]
    }
    rules["linetypes"] = {line["name"]: line for line in linetypes.values()}
    return rules


_FILES: Final = ("dxf", "types", "dimensions")


def _asked(row: Mapping[str, Any], attribute: str, otherwise: str) -> str:
    """Return the value that a class asks of an attribute."""
    return otherwise if row.get("otherwise") else str(row["when"][attribute])


def subject_of(text: str) -> str:
    """Return a LER type as a part of a layer's name: ASCII letters, digits, points and hyphens."""
    plain = unicodedata.normalize("NFKD", text.removeprefix("other: ").translate(_NORDIC))
    return _NOT_LAYER.sub("-", plain.encode("ascii", "ignore").decode())[:_SUBJECT_LENGTH].strip("-.")


class Sheet:
    """A drawing without entities, to which layers are added as they are needed.

    Parameters
    ----------
    owners
        CVR number -> name, for the descriptions of the layers.

    Raises
    ------
    MissingResource
        ezdxf is not installed.
    """

    def __init__(self, owners: Mapping[str, str]) -> None:
        try:
            from ezdxf.filemanagement import new
        except ImportError as error:
            raise MissingResource(
                "Writing DXF needs the package ezdxf.",
                hint="Install the extra: pip install 'geoinfra[exchange]'",
            ) from error
        self._owners = owners
        self._document = new("R2010", units=6)
        self._layers: dict[str, str] = {}
        self._without_geometry: Any = None
        self._set_up()

    def _set_up(self) -> None:
        document, rules = self._document, drawing_rules()
        document.appids.add(APPLICATION)
        header = document.header
        header["$MEASUREMENT"] = 1
        header["$LUNITS"], header["$LUPREC"] = 2, 4
        header["$PDMODE"], header["$PDSIZE"] = 35, 0.4  # points as a circle with a cross, 0.4 m
        header["$LWDISPLAY"] = 1
        for name, text in _STATEMENTS.items():
            header.custom_vars.append(name, text)
        for name, linetype in rules["linetypes"].items():
            document.linetypes.add(name, linetype["pattern_m"], description=linetype["text"])
        document.styles.add(TEXT_STYLE, font="arial.ttf")

    @property
    def space(self) -> str:
        """Handle of the model space."""
        return str(self._document.modelspace().block_record_handle)

    def layer(self, name: str, *, owner: str, colour: int, linetype: str, text: str, band: bool) -> str:
        """Return the name of a layer, which is made when it is new.

        Names that differ in case only are one layer. Beyond 4,000 layers, all that is new shares one.
        """
        key = name.casefold()
        found = self._layers.get(key)
        if found is not None:
            return found
        if len(self._layers) >= MAX_LAYERS:
            return self._overflow()
        self._layers[key] = name
        made = self._document.layers.add(
            name, color=_nearest_index(colour), true_color=colour, linetype=linetype
        )
        if band:
            made.transparency = drawing_rules()["band_transparency"]
        made.description = _one_line(f"{self._owners.get(owner, owner)}: {text}")
        return name

    def _overflow(self) -> str:
        key = OVERFLOW_LAYER.casefold()
        if key not in self._layers:
            self._layers[key] = OVERFLOW_LAYER
            self._document.layers.add(
                OVERFLOW_LAYER
            ).description = "Lag over grænsen / layers beyond the limit"
        return OVERFLOW_LAYER

    def add_record(self, key: str, handle: str) -> str:
        """Enter a record in the dictionary of features without geometry, and return its owner's handle."""
        if self._without_geometry is None:
            self._without_geometry = self._document.rootdict.add_new_dict(APPLICATION)
        self._without_geometry.add(key, handle)
        return str(self._without_geometry.dxf.handle)

    def finish(
        self, next_handle: int, extent: tuple[float, float, float, float] | None
    ) -> tuple[bytes, bytes, bytes]:
        """Return the text before the entities, that between entities and further objects, and the end."""
        document = self._document
        if extent is not None:
            west, south, east, north = extent
            layout = document.modelspace()
            layout.dxf.extmin, layout.dxf.extmax = (west, south, 0), (east, north, 0)
            height = min(max(north - south, east - west, 10.0) * 1.1, 1e8)
            document.set_modelspace_vport(height, ((west + east) / 2, (south + north) / 2))
        stream = io.StringIO()
        document.entitydb.handles.reset(f"{next_handle:X}")
        document.write(stream)
        before, entities, after = stream.getvalue().partition("  2\nENTITIES\n")
        between, end, last = after.rpartition("  0\nENDSEC\n  0\nEOF\n")
        return (before + entities).encode(), between.encode(), (end + last).encode()


_STATEMENTS: Final = {
    "CRS": "EPSG:25832 ETRS89 / UTM zone 32N, metres",
    "HEIGHTS": "DVR90 (EPSG:5799), metres, top of the line; layers ending in 2D have none",
    "ATTRIBUTES": "LER attributes are extended data of the application GEOINFRA",
    "PRODUCER": "geoinfra",
}


def _one_line(text: str) -> str:
    """Keep a text for a layer's description: one line, without what DXF reads as a code."""
    kept = "".join(c for c in text if unicodedata.category(c)[0] != "C" and c not in "\\^%")
    return kept[:_DESCRIPTION_LENGTH]


@lru_cache(maxsize=256)
def _nearest_index(colour: int) -> int:
    """Return the AutoCAD colour index (1 to 255) nearest to an sRGB colour."""
    from ezdxf.colors import aci2rgb

    wanted = (colour >> 16 & 255, colour >> 8 & 255, colour & 255)
    return min(
        range(1, 256), key=lambda i: sum((a - b) ** 2 for a, b in zip(aci2rgb(i), wanted, strict=True))
    )
