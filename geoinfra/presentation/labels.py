"""The text of a label: segments of ``labels.json`` filled with the attributes of a feature."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from geoinfra.presentation.style_set import StyleSet

__all__ = ["label_attributes", "label_text"]

_MAX_LENGTH: Final = 120
_OTHER: Final = "other: "


def label_attributes(style_set: StyleSet, template: str) -> tuple[str, ...]:
    """Return the attributes that a label shows."""
    return tuple(segment["attribute"] for segment in style_set.labels[template]["segments"])


def label_text(
    style_set: StyleSet, template: str, attributes: Mapping[str, Any], language: str = "da"
) -> str:
    """Return the text of a label on one line, empty when all its attributes are absent.

    Parameters
    ----------
    template
        Key of ``labels.json``.
    attributes
        As :mod:`geoinfra.presentation.attributes` lists them.
    language
        ``da`` or ``en``.
    """
    entry = style_set.labels[template]
    texts = (
        _segment(segment, attributes.get(segment["attribute"]), language) for segment in entry["segments"]
    )
    return str(entry["separator"]).join(text for text in texts if text)[:_MAX_LENGTH]


def _segment(segment: Mapping[str, Any], value: Any, language: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not isfinite(value):
            return ""
        number = f"{value * segment.get('times', 1):.{segment.get('decimals', 2)}f}"
        text = number.rstrip("0").rstrip(".") if "." in number else number
        text = text.replace(".", ",") if language == "da" else text
    elif isinstance(value, str):
        text = "".join(c if c.isprintable() else " " for c in value.removeprefix(_OTHER)).strip()
    else:
        return ""
    return f"{_said(segment, 'before', language)}{text}{_said(segment, 'after', language)}" if text else ""


def _said(segment: Mapping[str, Any], name: str, language: str) -> str:
    given = segment.get(name, "")
    return str(given.get(language, given.get("en", ""))) if isinstance(given, Mapping) else str(given)
