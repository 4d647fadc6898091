"""Where the agreements (``standards/``) lie: in the repository, or inside the installed wheel."""

from __future__ import annotations

from pathlib import Path

from geoinfra.errors import MissingResource

__all__ = ["standards_path"]

_PLACES = (
    Path(__file__).resolve().parent / "_standards",  # the wheel carries them here
    Path(__file__).resolve().parent.parent / "standards",  # the repository
)


def standards_path(*parts: str) -> Path:
    """Return the path of a file or folder below ``standards/``.

    Raises
    ------
    MissingResource
        Nothing of that name exists; the installation is incomplete.
    """
    for place in _PLACES:
        path = place.joinpath(*parts)
        if path.exists():
            return path
    raise MissingResource(
        f"standards/{'/'.join(parts)} is not part of this installation.",
        hint="Install geoinfra again, or run it from a complete checkout.",
    )
