"""Every setting of a deployment: typed, bounded, read from ``GEOINFRA_*`` variables."""

from __future__ import annotations

import os
import re
import socket
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal, Self

import pyproj
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from geoinfra.errors import Conflict, InvalidInput
from geoinfra.flows.channels import ChannelRules, check_mail_address
from geoinfra.flows.technical_retention import LEAST_DAYS
from geoinfra.storage.metadata import Contact, Metadata

__all__ = ["Settings"]

_ORIGIN = re.compile(r"https?://[a-z0-9.-]{1,253}(?::\d{1,5})?")
_PLACEHOLDER = "CHANGE-ME"  # as in docker/geoinfra.env.example


class Settings(BaseSettings):
    """The settings tree. Defaults suit one machine with the embedded store."""

    model_config = SettingsConfigDict(env_prefix="GEOINFRA_", extra="ignore", frozen=True)

    data_dir: Path = Field(Path(".geoinfra"), description="Folder of the records, deliveries and packages.")
    database_url: SecretStr | None = Field(
        None, description="postgresql://user:password@host/database; absent for the embedded store."
    )
    host: str = Field("127.0.0.1", description="Address to listen on; the demo always listens on loopback.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    public_url: str = Field(
        "", description="Address that clients use, without a slash at its end; http://host:port when empty."
    )
    operator_name: str = Field(
        "geoinfra", min_length=1, max_length=200, description="Who runs the service, as catalogues tell it."
    )
    operator_mail: str = Field("", max_length=254, description="Mail address for questions about the data.")
    operator_url: str = Field("", max_length=500, description="Web page of who runs the service.")
    proxies: str = Field(
        "", description="Addresses or networks of reverse proxies whose word about clients counts."
    )
    proxy_headers: Literal["x-forwarded", "forwarded"] = Field(
        "x-forwarded", description="Which headers those proxies write; the others are ignored."
    )
    cors_origins: str = Field(
        "", description="Origins of web pages that may use tokens; all others may read open data."
    )
    requests_per_s: float = Field(
        300, ge=0, le=1_000_000, description="Requests a second of one client; 0 sets no bound."
    )
    requests_burst: int = Field(
        1_500, ge=1, le=1_000_000, description="Requests that a client may send at once after a rest."
    )
    requests_at_once: int = Field(256, ge=1, le=100_000, description="Requests under way of all clients.")
    requests_at_once_per_client: int = Field(
        64, ge=1, le=100_000, description="Requests under way of one client."
    )
    answer_within_s: float = Field(
        120, ge=1, le=3600, description="Until an answer must have begun, in seconds."
    )
    head_within_s: float = Field(
        10, ge=0.1, le=300, description="Until the head of a request must be there, in seconds."
    )
    stall_s: float = Field(
        30, ge=0.1, le=600, description="How long a client may send no body or take no answer, in seconds."
    )
    connections: int = Field(2_000, ge=10, le=1_000_000, description="Connections of all clients.")
    connections_per_client: int = Field(
        500, ge=1, le=1_000_000, description="Connections of one address that is no proxy."
    )
    max_address_bytes: int = Field(16_384, ge=1_000, le=65_536, description="Longest path with its query.")
    demo: bool = Field(
        False, description="Offers 'act as' one of the demo roles; set by the demo command alone."
    )
    sandbox: bool = Field(
        False, description="Makes an empty store a test environment, for ever, and refuses any other store."
    )
    max_upload_bytes: int = Field(
        250_000_000, ge=1_000, le=10_000_000_000, description="Largest request body for deliveries."
    )
    max_body_bytes: int = Field(
        2_000_000, ge=1_000, le=100_000_000, description="Largest body of every other request."
    )
    link_valid_s: int = Field(
        3600, ge=60, le=604_800, description="How long a signed download link is valid, in seconds."
    )
    grid_dirs: str = Field(
        "", description="Folders with PROJ grids, separated by the system's path separator."
    )
    smtp_host: str = Field("", description="Mail server; without one no mail is sent.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the connection to the mail server is protected."
    )
    smtp_user: str = Field("", max_length=200, description="User at the mail server.")
    smtp_password: SecretStr | None = Field(None, description="Password at the mail server.")
    smtp_from: str = Field("", max_length=300, description="Who mails come from.")
    allow_local_webhooks: bool = Field(
        False, description="Whether webhooks may lead into the installation's own network."
    )
    ler_proxies: str = Field(
        "", description="Addresses or networks of proxies whose word about client certificates counts."
    )
    ler_subject_header: str = Field(
        "",
        pattern="^[A-Za-z0-9-]{0,60}$",
        description="Header in which such a proxy passes the subject of a client certificate it has checked.",
    )
    keep_technical_days: int = Field(
        90, ge=LEAST_DAYS, le=3650, description="How long told events, sent notices and ended jobs are kept."
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="How much the server logs."
    )

    @model_validator(mode="after")
    def _demo_is_local(self) -> Self:
        if self.demo and self.host not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("the demo lets everybody act as any role; it listens on loopback only")
        return self

    @model_validator(mode="after")
    def _operator_can_be_told(self) -> Self:
        try:
            Metadata.from_json({"contacts": [self._operator_members()]}, "GEOINFRA_OPERATOR")
        except InvalidInput as error:
            raise ValueError(error.message) from None
        return self

    @model_validator(mode="after")
    def _secrets_are_real(self) -> Self:
        if _PLACEHOLDER in (self.database() or ""):
            raise ValueError(f"GEOINFRA_DATABASE_URL still holds {_PLACEHOLDER}; set a password of your own")
        return self

    @model_validator(mode="after")
    def _mail_is_whole(self) -> Self:
        if not self.smtp_host:
            return self
        try:
            check_mail_address(self.smtp_sender)
        except InvalidInput:
            raise ValueError("GEOINFRA_SMTP_FROM must hold a mail address when mail is sent") from None
        if (self.smtp_password is None) != (not self.smtp_user):
            raise ValueError("GEOINFRA_SMTP_USER and GEOINFRA_SMTP_PASSWORD are set together")
        if self.smtp_password is not None and self.smtp_tls == "none":
            raise ValueError("a password does not travel without TLS; set GEOINFRA_SMTP_TLS")
        return self

    @model_validator(mode="after")
    def _certificates_are_vouched_for(self) -> Self:
        if bool(self.ler_proxies.strip()) != bool(self.ler_subject_header):
            raise ValueError("GEOINFRA_LER_PROXIES and GEOINFRA_LER_SUBJECT_HEADER are set together")
        try:
            networks = self.ler_networks
        except ValueError as error:
            raise ValueError(f"GEOINFRA_LER_PROXIES: {error}") from None
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("GEOINFRA_LER_PROXIES must not trust everybody")
        return self

    @model_validator(mode="after")
    def _proxies_are_named(self) -> Self:
        try:
            networks = self.proxy_networks
        except ValueError as error:
            raise ValueError(f"GEOINFRA_PROXIES: {error}") from None
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("GEOINFRA_PROXIES must not trust everybody")
        return self

    @model_validator(mode="after")
    def _origins_are_origins(self) -> Self:
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"GEOINFRA_CORS_ORIGINS: '{origin[:80]}' is no origin; write https://host")
        return self

    def _operator_members(self) -> dict[str, str]:
        told = {"name": self.operator_name, "email": self.operator_mail, "url": self.operator_url}
        return {"role": "publisher", **{name: value for name, value in told.items() if value}}

    @property
    def operator(self) -> Contact:
        """Who runs the service, as catalogues tell it."""
        return Contact(**self._operator_members())

    @property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of :attr:`proxies`."""
        return tuple(ip_network(one.strip()) for one in self.proxies.split(",") if one.strip())

    @property
    def origins(self) -> frozenset[str]:
        """The origins of :attr:`cors_origins`."""
        return frozenset(one.strip() for one in self.cors_origins.split(",") if one.strip())

    @property
    def ler_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of :attr:`ler_proxies`."""
        return tuple(ip_network(one.strip()) for one in self.ler_proxies.split(",") if one.strip())

    @property
    def smtp_sender(self) -> str:
        """The bare address that mails come from."""
        return parseaddr(self.smtp_from)[1]

    @property
    def channel_rules(self) -> ChannelRules:
        """What a channel for notices may be."""
        return ChannelRules(mail=bool(self.smtp_host), local_webhooks=self.allow_local_webhooks)

    @property
    def base_url(self) -> str:
        """The public address, without a slash at its end."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"

    def database(self) -> str | None:
        """The database address with its password, or ``None`` for the embedded store."""
        return self.database_url.get_secret_value() if self.database_url else None

    def use_grids(self) -> None:
        """Tell PROJ where its grids lie, before any transformer is made."""
        for folder in filter(None, self.grid_dirs.split(os.pathsep)):
            pyproj.datadir.append_data_dir(str(Path(folder).resolve()))

    def require_free_port(self) -> None:
        """Raise a helpful :class:`~geoinfra.errors.Conflict` when the port cannot be listened on."""
        with socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise Conflict(
                    f"Port {self.port} on {self.host} is in use or not allowed ({error.strerror}).",
                    hint="Stop what listens there, or choose another: "
                    f"GEOINFRA_PORT={self.port + 1} make demo",
                ) from error
