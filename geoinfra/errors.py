"""The errors of geoinfra, and the findings of its checks.

An *error* stops one operation and tells the caller what to do. A *finding* describes one fault in data;
findings are collected in a :class:`Report` and are never raised one by one.

::

    GeoinfraError
    ├── InvalidInput            the caller sent something that cannot be used
    │   ├── InvalidGeometry     a polygon or line breaks a stated rule
    │   ├── InvalidFilter       a query expression or parameter cannot be understood
    │   ├── FormatNotOffered    it exists, in none of the formats that the caller takes
    │   └── UnreadableFile      the bytes are not what they claim to be, or exceed a bound
    ├── DataRefused             data was read but its report holds errors; carries the report
    ├── NotFound                it does not exist, or the caller may not know that it does
    ├── NotAllowed              the caller is known, and may not do this
    ├── NotAuthenticated        no valid token or session
    ├── Conflict                the state of the thing does not admit the step
    ├── Expired                 a link, token or enquiry was valid once
    ├── TooLarge                a bound on size or work would be passed
    │   └── AddressTooLong      an address would pass its bound
    ├── TooManyRequests         too often, or too many at a time
    ├── Overloaded              more work than can be done at a time, or in time
    ├── MissingResource         a PROJ grid, program or optional package is absent; names it and the remedy
    ├── StorageFull             the disk or the database can take no more
    └── StorageUnavailable      the store cannot be reached
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

__all__ = [
    "AddressTooLong",
    "Conflict",
    "DataRefused",
    "Expired",
    "Finding",
    "FormatNotOffered",
    "GeoinfraError",
    "InvalidFilter",
    "InvalidGeometry",
    "InvalidInput",
    "MissingResource",
    "NotAllowed",
    "NotAuthenticated",
    "NotFound",
    "Overloaded",
    "Report",
    "Severity",
    "StorageFull",
    "StorageUnavailable",
    "TooLarge",
    "TooManyRequests",
    "UnreadableFile",
    "all_errors",
]


class GeoinfraError(Exception):
    """Base of every error that geoinfra raises on purpose.

    Parameters
    ----------
    message
        One sentence for the person who caused it. Never holds secrets or other people's data.
    hint
        What to do about it.
    details
        Values a program may use, JSON-ready (``where``, ``expected``, ``found`` ...).
    """

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "The operation failed"

    def __init__(self, message: str, *, hint: str = "", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = dict(details or {})


class InvalidInput(GeoinfraError):
    """The caller sent something that cannot be used."""

    code = "invalid-input"
    title = "The input cannot be used"


class InvalidGeometry(InvalidInput):
    """A geometry breaks a stated rule (self-intersection, outside Denmark, too many vertices, NaN)."""

    code = "invalid-geometry"
    title = "The geometry cannot be used"


class InvalidFilter(InvalidInput):
    """A query expression or parameter cannot be understood."""

    code = "invalid-filter"
    title = "The filter cannot be understood"


class FormatNotOffered(InvalidInput):
    """The thing exists, in none of the formats that the caller takes."""

    code = "format-not-offered"
    title = "No such format"


class UnreadableFile(InvalidInput):
    """A file is not what it claims to be, or passes a safety bound."""

    code = "unreadable-file"
    title = "The file cannot be read"


class Conflict(GeoinfraError):
    """The state of the thing does not admit the step."""

    code = "conflict"
    title = "The step does not fit the present state"


class Expired(GeoinfraError):
    """A link, token or enquiry was valid once and is no longer."""

    code = "expired"
    title = "No longer valid"


class NotFound(GeoinfraError):
    """It does not exist, or the caller may not know that it does."""

    code = "not-found"
    title = "Not found"


class NotAllowed(GeoinfraError):
    """The caller is known and may not do this."""

    code = "not-allowed"
    title = "Not allowed"


class NotAuthenticated(GeoinfraError):
    """No valid token or session was presented."""

    code = "not-authenticated"
    title = "Authentication is needed"


class TooLarge(GeoinfraError):
    """A bound on size or work would be passed."""

    code = "too-large"
    title = "Too large"


class AddressTooLong(TooLarge):
    """An address with its parameters is longer than is read."""

    code = "address-too-long"
    title = "The address is too long"


class TooManyRequests(GeoinfraError):
    """The caller asks too often, or has too many things open at a time."""

    code = "too-many-requests"
    title = "Too many requests"


class Overloaded(GeoinfraError):
    """More is asked for than can be done at a time, or it was not done in time; ask again later."""

    code = "overloaded"
    title = "Too busy"


class MissingResource(GeoinfraError):
    """A grid, program or optional package is absent; the message names it, the hint how to get it."""

    code = "missing-resource"
    title = "Something that this needs is missing"


class StorageFull(GeoinfraError):
    """The disk or database can take no more; nothing was half-written."""

    code = "storage-full"
    title = "No space left"


class StorageUnavailable(GeoinfraError):
    """The store cannot be reached."""

    code = "storage-unavailable"
    title = "The store cannot be reached"


class Severity(StrEnum):
    """How much a finding weighs: only ``error`` refuses data."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault in data, and where it is.

    Attributes
    ----------
    code
        Stable identifier of the rule, for instance ``LER-XLINK-TARGET``.
    severity
        ``error`` refuses the data, ``warning`` and ``info`` do not.
    message
        English text. ``message_da`` is the Danish text where there is one.
    feature_id
        ``gml:id`` or row number of the feature concerned, else ``None``.
    line
        Line in the source file, counted from 1, else ``None``.
    path
        Element path or column name, for instance ``Elledning/spaendingsniveau``.
    expected, found
        What the rule wants, and what stood there (shortened to 200 characters by the maker).
    rule
        Name of the rule in the standard that the data breaks, where it has one.
    hint, hint_da
        What to do about it.
    position
        Where the feature lies: easting and northing in metres, EPSG:25832.
    """

    code: str
    severity: Severity
    message: str
    message_da: str = ""
    feature_id: str | None = None
    line: int | None = None
    path: str = ""
    expected: str = ""
    found: str = ""
    rule: str = ""
    hint: str = ""
    hint_da: str = ""
    position: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON-ready dict without empty members."""
        members = {name: getattr(self, name) for name in self.__dataclass_fields__}
        members["severity"] = str(self.severity)
        return {name: value for name, value in members.items() if value not in (None, "")}


@dataclass(slots=True)
class Report:
    """The findings of one check over ``features`` features.

    At most ``limit`` findings are kept with their text, and at most a fifth of them of one kind, so that a
    fault of every feature does not hide the others. All are counted, ``counts`` says how many of each kind.
    """

    features: int = 0
    findings: list[Finding] = field(default_factory=list)
    errors: int = 0
    warnings: int = 0
    limit: int = 1000
    counts: dict[tuple[Severity, str], int] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Count the finding, and keep it while there is room for it."""
        if not self.findings:
            self.counts.clear()  # a reader that starts anew empties the list
        kind = (finding.severity, finding.code)
        count = self.counts[kind] = self.counts.get(kind, 0) + 1
        if finding.severity is Severity.ERROR:
            self.errors += 1
        elif finding.severity is Severity.WARNING:
            self.warnings += 1
        if len(self.findings) < self.limit and count <= max(self.limit // 5, 1):
            self.findings.append(finding)

    def extend(self, findings: Iterable[Finding]) -> None:
        """Add each finding."""
        for finding in findings:
            self.add(finding)

    @property
    def ok(self) -> bool:
        """Whether nothing refuses the data."""
        return self.errors == 0

    def to_json(self) -> dict[str, Any]:
        """Return ``{features, errors, warnings, findings[]}``, JSON-ready."""
        return {
            "features": self.features,
            "errors": self.errors,
            "warnings": self.warnings,
            "findings": [finding.to_json() for finding in self.findings],
        }


class DataRefused(GeoinfraError):
    """Data was read, and its report holds errors; nothing was stored.

    Attributes
    ----------
    report
        Every finding, also in ``details["report"]``.
    """

    code = "data-refused"
    title = "The data was refused"

    def __init__(self, message: str, report: Report, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, details={"report": report.to_json()})
        self.report = report


def all_errors() -> Iterator[type[GeoinfraError]]:
    """Yield every error class of the tree, base first."""
    waiting: list[type[GeoinfraError]] = [GeoinfraError]
    while waiting:
        error = waiting.pop(0)
        yield error
        waiting.extend(error.__subclasses__())
