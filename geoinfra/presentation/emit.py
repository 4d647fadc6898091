"""All drawings of a style set by name: ``emit(style_set, target)``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from geoinfra.errors import InvalidInput
from geoinfra.presentation import legend, maplibre, qml, sld
from geoinfra.presentation.style_set import StyleSet

__all__ = ["TARGETS", "Emitter", "emit", "legend_document"]


class Emitter(Protocol):
    """Makes one kind of drawing rules."""

    def __call__(self, style_set: StyleSet, *, language: str = "da", theme: str | None = None) -> bytes:
        """Return the document; equal arguments give equal bytes."""
        ...  # pragma: no cover  # a protocol has no body


TARGETS: Final[Mapping[str, Emitter]] = {"maplibre": maplibre.emit, "sld": sld.emit, "qml": qml.emit}
"""Name -> emitter."""

_LEGENDS: Final[Mapping[str, Callable[..., str | bytes]]] = {
    "svg": legend.legend_svg,
    "png": legend.legend_png,
    "html": legend.legend_html,
}


def emit(style_set: StyleSet, target: str, *, language: str = "da", theme: str | None = None) -> bytes:
    """Return the drawing rules of a style set for a target.

    Raises
    ------
    InvalidInput
        The target, language or theme is not known.
    """
    if target not in TARGETS:
        raise InvalidInput(f"There is no target '{target[:40]}'.", hint=f"Use {', '.join(TARGETS)}.")
    if language not in ("da", "en"):
        raise InvalidInput(f"There are no texts in '{language[:20]}'.", hint="Use da or en.")
    return TARGETS[target](style_set, language=language, theme=style_set.theme(theme))


def legend_document(
    style_set: StyleSet, form: str, *, language: str = "da", theme: str | None = None
) -> bytes:
    """Return the legend of a style set as ``svg``, ``png`` or ``html``."""
    if form not in _LEGENDS:
        raise InvalidInput(f"There is no legend as '{form[:20]}'.", hint=f"Use {', '.join(_LEGENDS)}.")
    made = _LEGENDS[form](style_set, language=language, theme=style_set.theme(theme))
    return made if isinstance(made, bytes) else made.encode()
