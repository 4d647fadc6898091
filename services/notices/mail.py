"""Notices by mail: plain text over SMTP, one connection a message."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from geoinfra.flows.notices import Message, Undelivered
from services.settings import Settings

__all__ = ["Mailer"]

_TIMEOUT_S = 20.0
_POLICY = SMTP.clone(raise_on_defect=True)


class Mailer:
    """Sends a notice as a mail.

    Repetitions carry the same ``Message-ID``, by which mail programs know them.

    Parameters
    ----------
    settings
        Where the mail server is, and who sends.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._domain = settings.smtp_from.rpartition("@")[2].rstrip(">")

    def __call__(self, message: Message) -> None:
        """Hand the message to the mail server, or raise :class:`Undelivered`."""
        mail = self._mail(message)
        try:
            server = self._connected()
            try:
                server.send_message(mail, self._settings.smtp_sender, [message.channel.target])
            finally:
                _leave(server)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise _answered("The mail server refuses this address", max(codes)) from error
        except smtplib.SMTPDataError as error:
            raise _answered("The mail server refuses the message", error.smtp_code) from error
        except (smtplib.SMTPException, OSError) as error:  # sender or password refused, no connection, TLS
            raise Undelivered("The mail server could not be used.", ours=True) from error

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage(policy=_POLICY)
        mail["From"] = self._settings.smtp_from
        mail["To"] = message.channel.target
        mail["Subject"] = message.letter.subject
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = f"<{message.event_id}.{message.channel.channel_id}@{self._domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # no out-of-office replies, please (RFC 3834)
        mail["Geoinfra-Event"] = f"{message.event} {message.event_id}"
        mail.set_content(message.letter.text, cte="quoted-printable")
        return mail

    def _connected(self) -> smtplib.SMTP:
        told = self._settings
        host, port = told.smtp_host, told.smtp_port
        if told.smtp_tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, port, self._domain, timeout=_TIMEOUT_S, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(host, port, self._domain, timeout=_TIMEOUT_S)
        try:
            if told.smtp_tls == "starttls":
                server.starttls(context=ssl.create_default_context())
            if told.smtp_password is not None:
                server.login(told.smtp_user, told.smtp_password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server


def _leave(server: smtplib.SMTP) -> None:
    """Say goodbye; what the server took stays taken, however it takes the goodbye."""
    with suppress(smtplib.SMTPException, OSError):
        server.quit()
    server.close()


def _answered(text: str, code: int) -> Undelivered:
    return Undelivered(f"{text} ({code}).", final=code >= 500)
