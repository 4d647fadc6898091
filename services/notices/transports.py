"""The transports of a deployment, made from its settings."""

from __future__ import annotations

from collections.abc import Mapping

from geoinfra.flows.notices import NoticeSender, Transport
from services.notices.mail import Mailer
from services.notices.webhook import Webhooks
from services.settings import Settings

__all__ = ["make_sender"]


def make_sender(settings: Settings) -> NoticeSender:
    """Make the handler of the jobs that send notices."""
    transports: Mapping[str, Transport] = {"webhook": Webhooks(settings.channel_rules)}
    if settings.smtp_host:
        transports = {**transports, "mail": Mailer(settings)}
    return NoticeSender(transports, settings.base_url)
