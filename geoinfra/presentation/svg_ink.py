"""Ink on an image: the strokes, fills and texts of a drawing as SVG, and the SVG as PNG or JPEG.

It takes what :class:`~geoinfra.presentation.plan_ink.Ink` takes for paper, so that one drawing serves both.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from html import escape
from importlib.resources import files
from typing import Any, Final

import numpy as np

from geoinfra.errors import MissingResource
from geoinfra.presentation.plan_ink import Path, width_mm
from geoinfra.presentation.plan_sheets import Frame

__all__ = ["SvgInk", "as_jpeg", "as_png"]

_FAMILY: Final = "Source Sans Pro"
_JPEG_QUALITY: Final = 85


class SvgInk:
    """Draws one image in millimetres from its lower left corner.

    Parameters
    ----------
    width_px, height_px
        Size of the image.
    pixel_mm
        Side of a pixel.
    """

    def __init__(self, width_px: int, height_px: int, pixel_mm: float) -> None:
        self._size = width_px, height_px
        self._mm = width_px * pixel_mm, height_px * pixel_mm
        self._drawn: list[str] = []
        self._stamps: dict[Any, str] = {}
        self._clips = 0

    def svg(self) -> str:
        """Return the document."""
        (width_px, height_px), (width, height) = self._size, self._mm
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="{width_px}" height="{height_px}" viewBox="0 0 {width:.4f} {height:.4f}" '
            f'preserveAspectRatio="none"><g transform="matrix(1 0 0 -1 0 {height:.4f})" fill="none" '
            f'stroke-linejoin="round">{"".join(self._drawn)}</g></svg>'
        )

    def background(self, colour: str) -> None:
        """Fill the whole image."""
        width, height = self._mm
        self._drawn.append(f'<path d="M0 0H{width:.4f}V{height:.4f}H0Z" fill="{colour}"/>')

    def picture(self, png: bytes) -> None:
        """Lay a picture over the whole image."""
        width, height = self._mm
        data = base64.b64encode(png).decode()
        self._drawn.append(
            f'<image transform="matrix(1 0 0 -1 0 {height:.4f})" width="{width:.4f}" height="{height:.4f}" '
            f'preserveAspectRatio="none" image-rendering="optimizeSpeed" '
            f'xlink:href="data:image/png;base64,{data}"/>'
        )

    @contextmanager
    def clipped(self, frame: Frame) -> Iterator[None]:
        """Draw inside a frame only."""
        self._clips += 1
        name = f"c{self._clips}"
        box = f"M{frame.left:g} {frame.bottom:g}H{frame.right:g}V{frame.top:g}H{frame.left:g}Z"
        self._drawn.append(f'<clipPath id="{name}"><path d="{box}"/></clipPath><g clip-path="url(#{name})">')
        try:
            yield
        finally:
            self._drawn.append("</g>")

    def stroke(
        self,
        paths: Sequence[Path],
        colour: str,
        width_mm: float,
        *,
        dash_mm: Sequence[float] = (),
        opacity: float = 1.0,
        cap: str = "butt",
        closed: bool = False,
        together: bool = False,
    ) -> None:
        """Draw lines of one kind; `together` as one figure, which is nowhere darker where they cross."""
        if not paths:
            return
        pen = f'stroke="{colour}" stroke-width="{width_mm:g}"'
        if dash_mm:
            pen += f' stroke-dasharray="{" ".join(f"{length:g}" for length in dash_mm)}"'
        if cap == "round":
            pen += ' stroke-linecap="round"'
        if opacity < 1:
            pen += f' stroke-opacity="{opacity:g}"'
        if together or opacity >= 1:
            self._drawn.append(f'<path d="{"".join(_data(path, closed) for path in paths)}" {pen}/>')
        else:
            self._drawn += [f'<path d="{_data(path, closed)}" {pen}/>' for path in paths]

    def fill(
        self, paths: Sequence[Path], colour: str, *, opacity: float = 1.0, even_odd: bool = True
    ) -> None:
        """Fill rings as one figure: a ring in a ring is a hole, unless `even_odd` is false."""
        if not paths:
            return
        brush = f'fill="{colour}"'
        if even_odd:
            brush += ' fill-rule="evenodd"'
        if opacity < 1:
            brush += f' fill-opacity="{opacity:g}"'
        self._drawn.append(f'<path d="{"".join(_data(path, True) for path in paths)}" {brush}/>')

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size_mm: float,
        *,
        bold: bool = False,
        colour: str = "#1a1a1a",
        opacity: float = 1.0,
        anchor: str = "left",
        turn_deg: float = 0.0,
        halo_mm: float = 0.0,
    ) -> None:
        """Write one line of printable text; `y` is its base line, `anchor` left, middle or right."""
        shift = {"left": 0.0, "middle": 0.5, "right": 1.0}[anchor] * width_mm(text, size_mm, bold=bold)
        angle = np.radians(turn_deg)
        x, y = x - shift * float(np.cos(angle)), y - shift * float(np.sin(angle))
        halo = f' stroke="#ffffff" stroke-width="{2 * halo_mm:g}" paint-order="stroke"' if halo_mm > 0 else ""
        self._drawn.append(
            f'<text transform="translate({x:.3f} {y:.3f}) rotate({turn_deg:.2f}) scale(1 -1)" '
            f'font-family="{_FAMILY}" font-size="{size_mm:g}" font-weight="{600 if bold else 400}" '
            f'fill="{colour}" opacity="{opacity:g}"{halo}>{escape(text)}</text>'
        )

    def stamp(self, key: Any, draw: Any, spots: Sequence[tuple[float, float]]) -> None:
        """Draw the same thing at many places; `draw` draws it once, around (0, 0)."""
        name = self._stamps.get(key)
        if name is None:
            name = self._stamps[key] = f"s{len(self._stamps)}"
            kept, self._drawn = self._drawn, []
            draw(self)
            once = "".join(self._drawn)
            self._drawn = [*kept, f'<defs><g id="{name}">{once}</g></defs>']
        self._drawn += [f'<use xlink:href="#{name}" x="{x:g}" y="{y:g}"/>' for x, y in spots]


def _data(path: Path, closed: bool) -> str:
    spots = np.round(path, 2).tolist()
    return f"M{'L'.join(f'{x:g} {y:g}' for x, y in spots)}{'Z' if closed else ''}"


def as_png(svg: str) -> bytes:
    """Return the PNG of a drawing in its own size, transparent where nothing is drawn.

    Raises
    ------
    MissingResource
        resvg or the font is not installed.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise MissingResource(
            "Images of maps need resvg.", hint="Install the extra: pip install 'geoinfra[services]'."
        ) from error
    made = resvg_py.svg_to_bytes(
        svg_string=svg,
        skip_system_fonts=True,
        font_files=_fonts() if "<text" in svg else None,
        font_family=_FAMILY,
    )
    return bytes(made)


def as_jpeg(png: bytes, background: str) -> bytes:
    """Return a PNG as JPEG, over a colour where it is transparent."""
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    ground = Image.new("RGBA", picture.size, background)
    ground.alpha_composite(picture)
    written = io.BytesIO()
    ground.convert("RGB").save(written, "JPEG", quality=_JPEG_QUALITY)
    return written.getvalue()


@lru_cache(maxsize=1)
def _fonts() -> list[str]:
    try:
        folder = files("font_source_sans_pro") / "files"
    except ImportError as error:
        raise MissingResource(
            "Names on maps need the font Source Sans Pro.",
            hint="Install the extra: pip install 'geoinfra[services]'.",
        ) from error
    return [str(folder / f"SourceSansPro-{cut}.ttf") for cut in ("Regular", "Semibold")]
