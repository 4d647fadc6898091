"""The commands on files and an explicit store: ``geoinfra <subject> <verb>``."""

from geoinfra.cli import damages, exchange, verify  # registers their commands
from geoinfra.cli.commands import StoreAddress, app, run

__all__ = ["StoreAddress", "app", "damages", "exchange", "run", "verify"]
