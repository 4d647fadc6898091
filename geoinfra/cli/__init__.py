"""The commands on files and an explicit store: ``geoinfra <subject> <verb>``."""

from geoinfra.cli import damages, enquiries, exchange, owners, plan, verify  # registers their commands
from geoinfra.cli.commands import StoreAddress, app, run

__all__ = ["StoreAddress", "app", "damages", "enquiries", "exchange", "owners", "plan", "run", "verify"]
