"""Who calls: a bearer token, or a client certificate that a trusted proxy vouches for. Nobody else."""

from __future__ import annotations

import re
from ipaddress import ip_address

from cryptography import x509
from cryptography.x509.oid import NameOID
from starlette.requests import Request

from geoinfra.access import Access, Role
from geoinfra.errors import InvalidInput, NotAllowed, NotAuthenticated, NotFound
from geoinfra.storage import Store
from geoinfra.storage.organisations import authenticate, certificate_access, check_cvr
from geoinfra.utilities.ler_api import Refusal
from services.settings import Settings

__all__ = ["acting_for", "caller", "cvr_of_subject"]

_LONGEST_SUBJECT = 2000
_ORGANISATION_IDENTIFIER = x509.ObjectIdentifier("2.5.4.97")
_SPELLINGS = {
    "serialNumber": NameOID.SERIAL_NUMBER,
    "organizationIdentifier": _ORGANISATION_IDENTIFIER,
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "GN": NameOID.GIVEN_NAME,
    "SN": NameOID.SURNAME,
    "title": NameOID.TITLE,
}
_ATTRIBUTES = {
    spelled: oid
    for name, oid in _SPELLINGS.items()
    for spelled in (name, name.lower(), name.upper(), name[0].upper() + name[1:])
}
_CVR = {
    NameOID.SERIAL_NUMBER: re.compile(r"CVR:([0-9]{8})(?:-[A-Z]{3}:[0-9A-Za-z-]{1,40})?"),
    _ORGANISATION_IDENTIFIER: re.compile(r"NTRDK-([0-9]{8})"),
}


def caller(request: Request, store: Store, settings: Settings) -> Access:
    """Return who calls.

    Raises
    ------
    Refusal
        ``00-300``: nobody says who; ``00-200``: the token is not valid; ``00-220``, ``00-240``, ``00-260``,
        ``00-261``: the certificate is nobody's here.
    """
    header = request.headers.get("authorization")
    if header is not None:
        return _of_token(header, store)
    subject = _vouched_subject(request, settings)
    if subject is None:
        raise Refusal(
            "00-300",
            (
                "Kaldet siger ikke, hvem det kommer fra: send et klientcertifikat eller et token.",
                "The call does not say whom it is from: send a client certificate or a token.",
            ),
        )
    return _of_certificate(cvr_of_subject(subject), store)


def _of_token(header: str, store: Store) -> Access:
    scheme, _, secret = header.partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise NotAuthenticated("Only bearer tokens are understood.")
        with store.read() as connection:
            access = authenticate(connection, secret.strip())
    except NotAuthenticated as error:
        raise Refusal("00-200", ("", error.message)) from error
    if not access.has(Role.EXCAVATOR, Role.OWNER):
        raise Refusal("00-240")
    return access


def _vouched_subject(request: Request, settings: Settings) -> str | None:
    """Return the certificate's subject when a trusted proxy names exactly one."""
    if not settings.ler_subject_header or request.client is None:
        return None
    given = request.headers.getlist(settings.ler_subject_header)
    try:
        peer = ip_address(request.client.host)
    except ValueError:
        return None
    trusted = any(peer in network for network in settings.ler_networks)
    return given[0] if trusted and len(given) == 1 and given[0].strip() else None


def cvr_of_subject(subject: str) -> str:
    """Return the CVR number in a certificate's subject (RFC 4514), of OCES2 or OCES3.

    Raises
    ------
    Refusal
        ``00-300``: it is no subject; ``00-260``: it names no CVR number; ``00-261``: one that is not valid,
        or several.
    """
    try:
        if len(subject) > _LONGEST_SUBJECT:
            raise ValueError("The subject is too long.")
        name = x509.Name.from_rfc4514_string(subject, _ATTRIBUTES)
    except ValueError as error:
        raise Refusal(
            "00-300", ("Certifikatets subject kan ikke læses.", "The certificate's subject cannot be read.")
        ) from error
    found = {
        match[1]
        for attribute in name
        if (pattern := _CVR.get(attribute.oid)) and (match := pattern.fullmatch(str(attribute.value)))
    }
    if not found:
        raise Refusal("00-260")
    if len(found) > 1:
        raise Refusal("00-261")
    return _valid(found.pop())


def _valid(cvr: str) -> str:
    try:
        return check_cvr(cvr)
    except InvalidInput as error:
        raise Refusal("00-261") from error


def _of_certificate(cvr: str, store: Store) -> Access:
    try:
        with store.read() as connection:
            return certificate_access(connection, cvr)
    except NotFound as error:
        raise Refusal("00-220") from error
    except NotAllowed as error:
        raise Refusal("00-240") from error


def acting_for(access: Access, customer: str | None) -> Access:
    """Return on whose behalf a call is made; an account acts for itself alone.

    Raises
    ------
    Refusal
        ``00-260``, ``00-261``: no valid CVR number; ``00-210``: another organisation's.
    """
    if customer is None:
        return access
    if not customer.strip():
        raise Refusal("00-260")
    if _valid(customer.strip()) != access.organisation:
        raise Refusal("00-210")
    return access
