"""The commands on files and an explicit store: ``geoinfra <subject> <verb>``."""

from geoinfra.cli import damages, enquiries, exchange, owners, plan, styles, verify  # registers commands
from geoinfra.cli.commands import StoreAddress, app, run

__all__ = [
    "StoreAddress",
    "app",
    "damages",
    "enquiries",
    "exchange",
    "owners",
    "plan",
    "run",
    "styles",
    "verify",
]
