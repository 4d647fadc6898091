"""What marks everything of a test environment: its numbers, and the words on its packages."""

from __future__ import annotations

from typing import Final

__all__ = ["NUMBER_PREFIX", "SANDBOX_MARKS", "bare_number", "marked_name", "sandbox_mark"]

NUMBER_PREFIX: Final = "TEST-"
"""How the numbers of a test environment begin."""

SANDBOX_MARKS: Final = {"da": "TEST - må ikke bruges til gravning", "en": "TEST - not for digging"}
"""What stands on everything that leaves a test environment, by language."""


def sandbox_mark(text: str = "", most: int | None = None) -> str:
    """Return a text after both marks, cut to `most` characters; the marks themselves are never cut away."""
    mark = f"{SANDBOX_MARKS['da']} / {SANDBOX_MARKS['en']}"
    whole = f"{mark}: {text}" if text else mark
    return whole if most is None else whole[: max(most, len(mark))]


def marked_name(name: str) -> str:
    """Return the name of an owner with the Danish mark behind it."""
    return f"{name} ({SANDBOX_MARKS['da']})"


def bare_number(number: str) -> str:
    """Return an enquiry's number without the mark of a test environment; LER's documents take 12 letters."""
    return number.removeprefix(NUMBER_PREFIX)
