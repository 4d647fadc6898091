"""Who asks: the mandatory argument of every store read and every flow.

The default is denial. An :class:`Access` says who the principal is; the store turns it, together with the
grants in force, into row predicates. There is no ambient access: jobs carry the principal's name and reload
it when they run, so that a revoked token stops a job too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from geoinfra.errors import NotAllowed

__all__ = ["Access", "Role", "Visibility"]


class Role(StrEnum):
    """What a principal may be; each is bound to an organisation, except ``anonymous``."""

    ANONYMOUS = "anonymous"
    EXCAVATOR = "excavator"
    OWNER = "owner"
    PLANNER = "planner"
    AUTHORITY = "authority"
    DEVICE = "device"
    ADMIN = "admin"


class Visibility(StrEnum):
    """Who may see the rows of a collection.

    ``open``: everybody. ``granted``: an owner his own rows, an excavator whole features that touch the
    polygon of a grant in force; nobody else, the administrator included.
    """

    OPEN = "open"
    GRANTED = "granted"


@dataclass(frozen=True, slots=True)
class Access:
    """The principal on whose behalf something is read or done.

    Attributes
    ----------
    principal
        Stable name, ``token:<id>`` or ``anonymous``; written to the audit log.
    organisation
        CVR number (8 digits) of the organisation, or ``None`` for the anonymous visitor.
    roles
        What the principal may be. Empty means that nothing but open data can be seen.
    """

    principal: str
    organisation: str | None = None
    roles: frozenset[Role] = frozenset()

    @classmethod
    def anonymous(cls) -> Access:
        """The visitor without a token: open data only."""
        return cls("anonymous", None, frozenset({Role.ANONYMOUS}))

    def has(self, *roles: Role) -> bool:
        """Whether the principal has at least one of `roles`."""
        return not self.roles.isdisjoint(roles)

    def require(self, *roles: Role) -> None:
        """Raise :class:`~geoinfra.errors.NotAllowed` unless the principal has one of `roles`."""
        if not self.has(*roles):
            wanted = " or ".join(str(role) for role in roles)
            raise NotAllowed(
                f"This needs the role {wanted}.", hint="Use a token of an organisation with that role."
            )

    def require_organisation(self) -> str:
        """Return the CVR number of the principal's organisation, or raise ``NotAllowed``."""
        if self.organisation is None:
            raise NotAllowed("This needs a token that belongs to an organisation.")
        return self.organisation
