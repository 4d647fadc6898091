"""How notices travel: mail by SMTP, webhooks by HTTPS; and the commands on channels."""

from services.notices.transports import make_sender

__all__ = ["make_sender"]
