"""An organisation chooses how it hears of events: add, list, test and remove channels, renew a secret."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit

import sqlalchemy as sa

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, InvalidInput, MissingResource, NotFound, TooLarge, TooManyRequests
from geoinfra.flows.concerns import CHOOSABLE, DEFAULT_EVENTS
from geoinfra.storage import Store, outbox, schema
from geoinfra.storage import channels as stored
from geoinfra.storage.channels import Channel, Notice
from geoinfra.storage.organisations import get_organisation, lock_organisation
from geoinfra.storage.records import Transaction, timestamp

__all__ = [
    "MOST_CHANNELS",
    "ChannelRules",
    "ChannelState",
    "add_channel",
    "check_mail_address",
    "check_webhook_url",
    "is_allowed_address",
    "list_channels",
    "remove_channel",
    "renew_secret",
    "send_test",
]

MOST_CHANNELS = 20
"""How many channels an organisation may have."""

_MANAGERS = (Role.EXCAVATOR, Role.OWNER, Role.ADMIN)
_BETWEEN_TESTS = timedelta(seconds=30)
_MEMBERS = frozenset({"kind", "target", "events"})
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}")
_URL_LETTERS = re.compile(r"[!-~]{1,2000}")  # printable ASCII without the space
_HOST_NAME = re.compile(
    r"(?!.{254})(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a last label of digits is an IPv4 address in some spelling
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_CLOUD_METADATA = ipaddress.IPv6Address("fd00:ec2::254")


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """What an installation allows.

    Attributes
    ----------
    mail
        Whether it can send mail.
    local_webhooks
        Whether webhooks may lead into the installation's own network, and ``http`` to its own machine.
    """

    mail: bool = True
    local_webhooks: bool = False


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel, and how its newest notice fared."""

    channel: Channel
    newest: Notice | None

    def to_json(self) -> dict[str, Any]:
        """Return what its organisation may know; the secret is not among it."""
        one, last = self.channel, self.newest
        return {
            "id": one.channel_id,
            "organisation": one.organisation,
            "kind": one.kind,
            "target": one.target,
            "events": list(one.events),
            "created_at": one.created_at,
            "disabled_at": one.disabled_at,
            "last_notice": last
            and {
                "event": last.event_id,
                "state": last.state,
                "attempts": last.attempts,
                "next_at": last.next_at if last.state == "waiting" else None,
                "sent_at": last.sent_at,
                "error": last.error,
            },
        }


def add_channel(
    store: Store,
    access: Access,
    document: Mapping[str, Any],
    rules: ChannelRules,
    *,
    organisation: str | None = None,
) -> tuple[ChannelState, str]:
    """Add a channel; it hears of what happens from now on.

    Parameters
    ----------
    document
        ``kind``, ``target`` and, unless the usual ones are wanted, ``events``.
    organisation
        CVR number, where the administrator acts for another organisation.

    Returns
    -------
    tuple
        The channel, and the secret of a webhook, which is not shown again.

    Raises
    ------
    NotAllowed
        `access` is no excavator, owner or administrator of an organisation.
    InvalidInput, MissingResource, TooLarge, Conflict
        The document cannot be used, or the organisation has it or too many already.
    """
    cvr = _organisation(access, organisation)
    kind, target, events = _checked(document, rules)
    with store.begin() as tx:
        if get_organisation(tx.connection, cvr) is None:
            raise NotFound(f"There is no organisation {cvr[:20]}.", hint="Record the organisation first.")
        lock_organisation(tx, cvr)
        _check_room(stored.list_channels(tx.connection, cvr), kind, target)
        channel, secret = stored.add_channel(tx, cvr, kind, target, events)
        tx.commit()
    store.audit.append("channel.added", access, channel.channel_id, {"organisation": cvr, "kind": kind})
    return ChannelState(channel, None), secret


def list_channels(
    store: Store, access: Access, *, organisation: str | None = None, everybody: bool = False
) -> list[ChannelState]:
    """Return the channels of one's organisation; the administrator may name another, or ask for all."""
    cvr = None if everybody and access.has(Role.ADMIN) else _organisation(access, organisation)
    with store.read() as connection:
        found = stored.list_channels(connection, cvr)
        newest = stored.newest_notices(connection, [channel.channel_id for channel in found])
    return [ChannelState(channel, newest.get(channel.channel_id)) for channel in found]


def remove_channel(store: Store, access: Access, channel_id: str) -> None:
    """Forget a channel with its secret; what still waits for it is not sent.

    Raises
    ------
    NotFound
        There is no such channel, or it is somebody else's.
    """
    with store.begin() as tx:
        channel = _own(tx.connection, access, channel_id)
        stored.remove_channel(tx, channel_id)
        tx.commit()
    store.audit.append("channel.removed", access, channel_id, {"organisation": channel.organisation})


def renew_secret(store: Store, access: Access, channel_id: str) -> str:
    """Make a new secret for a webhook; for 24 hours the one before signs beside it.

    Raises
    ------
    NotFound
        There is no such channel, or it is somebody else's.
    Conflict
        A mail address has no secret.
    """
    with store.begin() as tx:
        if _own(tx.connection, access, channel_id).kind != "webhook":
            raise Conflict("This channel has no secret.", hint="Only webhooks are signed.")
        secret = stored.rotate_secret(tx, channel_id)
        tx.commit()
    store.audit.append("channel.secret-renewed", access, channel_id, {})
    return secret


def send_test(store: Store, access: Access, channel_id: str) -> None:
    """Send a notice that says that the channel works; the list tells what came of it.

    Raises
    ------
    NotFound
        There is no such channel, or it is somebody else's.
    Conflict
        It is disabled.
    TooManyRequests
        It was tested less than half a minute ago.
    """
    with store.begin() as tx:
        channel = _own(tx.connection, access, channel_id)
        if channel.disabled_at:
            raise Conflict("The channel is disabled.", hint="Remove it and add it again.")
        _check_pause(tx, channel_id)
        outbox.emit(tx, "channel.tested", channel_id, {"organisation": channel.organisation})
        tx.commit()


def _organisation(access: Access, other: str | None) -> str:
    access.require(*_MANAGERS)
    if other is not None and access.has(Role.ADMIN):
        return other
    return access.require_organisation()


def _own(connection: sa.Connection, access: Access, channel_id: str) -> Channel:
    access.require(*_MANAGERS)
    ours = access.has(Role.ADMIN) and access.organisation is None  # the operator, by command
    own = None if ours else access.require_organisation()
    return stored.get_channel(connection, channel_id, own)


def _check_room(present: Sequence[Channel], kind: str, target: str) -> None:
    if any((one.kind, one.target) == (kind, target) for one in present):
        raise Conflict("The organisation has this channel already.", hint="Remove it to change its events.")
    if len(present) >= MOST_CHANNELS:
        raise TooLarge(f"An organisation has at most {MOST_CHANNELS} channels.", hint="Remove one first.")


def _check_pause(tx: Transaction, channel_id: str) -> None:
    table = schema.outbox
    since = timestamp(datetime.now(UTC) - _BETWEEN_TESTS)
    recent = sa.select(table.c.event_id).where(
        table.c.event == "channel.tested", table.c.subject == channel_id, table.c.created_at > since
    )
    if tx.connection.scalar(recent.limit(1)) is not None:
        raise TooManyRequests("The channel was tested a moment ago.", hint="Wait half a minute.")


# ------------------------------------------------------------------------------ what may be a channel


def _checked(document: Mapping[str, Any], rules: ChannelRules) -> tuple[str, str, list[str]]:
    for name in sorted(document.keys() - _MEMBERS):
        raise InvalidInput(f"A channel has no '{name[:40]}'.", hint=f"It has {', '.join(sorted(_MEMBERS))}.")
    kind, target = document.get("kind"), document.get("target")
    if kind not in stored.KINDS or not isinstance(target, str):
        raise InvalidInput(
            "A channel needs a kind and a target.",
            hint='{"kind": "mail", "target": "vagt@example.dk"} or {"kind": "webhook", "target": "https://…"}.',
        )
    if kind == "mail":
        if not rules.mail:
            raise MissingResource(
                "This installation sends no mail.", hint="The operator sets GEOINFRA_SMTP_HOST."
            )
        check_mail_address(target)
    else:
        check_webhook_url(target, rules)
    return str(kind), target, _checked_events(document.get("events", sorted(DEFAULT_EVENTS)))


def _checked_events(events: Any) -> list[str]:
    if not isinstance(events, list) or not events or len(events) > len(CHOOSABLE):
        raise InvalidInput("'events' is a list of names of events.", hint=_event_names())
    for event in events:
        if not isinstance(event, str) or event not in CHOOSABLE:
            raise InvalidInput(f"'{str(event)[:40]}' is no event to choose.", hint=_event_names())
    return events


def _event_names() -> str:
    return f"Events are: {', '.join(sorted(CHOOSABLE))}."


def check_mail_address(text: str) -> str:
    """Return `text` when mail can be sent to it.

    Raises
    ------
    InvalidInput
        It is no plain address; a display name or a line break cannot slip into a header.
    """
    if len(text) > 254 or not _MAIL.fullmatch(text):
        raise InvalidInput("That is not a mail address.", hint="Write it as name@example.dk.")
    return text


def check_webhook_url(url: str, rules: ChannelRules) -> SplitResult:
    """Return the parts of `url` when it may be a webhook's.

    Where it leads is judged again by address, at each sending: see :func:`is_allowed_address`.

    Raises
    ------
    InvalidInput
        It is not ``https``, carries a name and password or a fragment, or its host is a forbidden address, an
        address in an odd spelling, or a name that is known to one machine or network alone.
    """
    try:
        parts = urlsplit(url) if _URL_LETTERS.fullmatch(url) else None
        port = parts.port if parts else None
    except ValueError:
        parts, port = None, None
    if parts is None or not parts.hostname or port == 0 or "\\" in url:
        raise InvalidInput("That is not a URL.", hint="Write it as https://example.dk/path, in ASCII.")
    schemes = ("https", "http") if rules.local_webhooks else ("https",)
    if parts.scheme not in schemes:
        raise InvalidInput("A webhook is reached by https.", details={"found": parts.scheme[:20]})
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise InvalidInput("A webhook's URL has no user, password or fragment.")
    if not _is_allowed_host(parts.hostname, rules, parts.scheme):
        raise InvalidInput("A webhook does not lead to this address.", hint="Use a public address.")
    return parts


def _is_allowed_host(host: str, rules: ChannelRules, scheme: str) -> bool:
    """Whether a host may be named; to which addresses a name leads is another question."""
    if _is_address(host):
        return is_allowed_address(host, rules, scheme=scheme)
    name = host.removesuffix(".")
    last = name.rpartition(".")[2]
    if not _HOST_NAME.fullmatch(name) or _NUMBER.fullmatch(last):
        return False
    return rules.local_webhooks or ("." in name and last != "localhost")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_allowed_address(address: str, rules: ChannelRules, *, scheme: str = "https") -> bool:
    """Whether a webhook may be sent to an IP address.

    Public unicast addresses only; an IPv4 address inside an IPv6 one counts as itself. With
    ``rules.local_webhooks`` also private and loopback ones, never link-local ones; ``http`` to loopback only.
    """
    ip = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    if scheme != "https":
        return rules.local_webhooks and ip.is_loopback
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved or ip == _CLOUD_METADATA:
        return rules.local_webhooks and ip.is_loopback  # ::1 lies in a reserved block
    if ip.is_loopback or (ip.is_private and not ip.is_global):
        return rules.local_webhooks
    return ip.is_global and (ip.version == 4 or ip in _GLOBAL_V6)


def _unwrapped(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address that an IPv6 address carries, else the address itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    teredo = ip.teredo
    return ip.ipv4_mapped or ip.sixtofour or (teredo[1] if teredo else None) or ip
