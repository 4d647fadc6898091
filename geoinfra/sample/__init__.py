"""The sample town Havnsby: fictitious, but laid out and equipped as a Danish coastal town is."""

from geoinfra.sample.town import TownSummary, generate_town

__all__ = ["TownSummary", "generate_town"]
