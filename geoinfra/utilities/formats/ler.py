"""LER answers: one owner's utility features with their header, in and out."""

from geoinfra.utilities.formats.ler_write import write_answer

__all__ = ["write_answer"]
