"""Search the addresses of the open layer ``addresses``."""

from __future__ import annotations

from typing import Any

import shapely

from geoinfra import crs
from geoinfra.access import Access
from geoinfra.storage import Store
from geoinfra.tables import FeatureQuery

__all__ = ["search_addresses"]


def search_addresses(store: Store, access: Access, text: str, *, limit: int = 8) -> list[dict[str, Any]]:
    """Return the addresses that contain every word of `text`; those that start with it come first.

    Parameters
    ----------
    text
        What a person typed: ``nørregade 12``. Case does not matter.

    Returns
    -------
    ``{"text", "lon", "lat"}`` each, CRS84 degrees, at most `limit`.
    """
    words = [word for word in text.replace(",", " ").split() if word]
    if not words:
        return []
    view = store.view(access, "addresses")
    if not view.sources:  # none are loaded
        return []
    query = FeatureQuery(filter=_containing(words), columns=("text",), limit=500)
    found: list[tuple[str, bytes]] = []
    for batch in view.read(query):
        rows = zip(batch.columns["text"], batch.geometry, strict=True)
        found += [(label, wkb) for label, wkb in rows if label and wkb]
    start = " ".join(words).lower()
    found.sort(key=lambda row: (not row[0].lower().startswith(start), len(row[0]), row[0]))
    points = shapely.from_wkb([wkb for _, wkb in found[:limit]])
    lon, lat = crs.transform_xy(shapely.get_x(points), shapely.get_y(points), "EPSG:25832", "OGC:CRS84")
    return [
        {"text": label, "lon": round(float(x), 7), "lat": round(float(y), 7)}
        for (label, _), x, y in zip(found[:limit], lon, lat, strict=True)
    ]


def _containing(words: list[str]) -> dict[str, Any]:
    tests = [
        {
            "op": "like",
            "args": [
                {"op": "casei", "args": [{"property": "text"}]},
                {"op": "casei", "args": [f"%{_literal(word)}%"]},
            ],
        }
        for word in words
    ]
    return tests[0] if len(tests) == 1 else {"op": "and", "args": tests}


def _literal(word: str) -> str:
    """Take the pattern characters out of a word, so that it only matches itself."""
    return "".join(letter for letter in word if letter not in "%_\\")
