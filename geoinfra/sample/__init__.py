"""The sample town Havnsby: fictitious, but laid out and equipped as a Danish coastal town is."""

from geoinfra.sample.owners import OWNERS, Owner, owners_of
from geoinfra.sample.town import SEED, TownSummary, enquiry_area, generate_town

__all__ = ["OWNERS", "SEED", "Owner", "TownSummary", "enquiry_area", "generate_town", "owners_of"]
