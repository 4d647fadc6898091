"""Checking what an owner would deliver, before he delivers it: one report with everything that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from geoinfra.errors import DataRefused, InvalidInput, Report, Severity
from geoinfra.utilities.check.advice import advised
from geoinfra.utilities.check.rules import BusinessRules, named
from geoinfra.utilities.check.unreadable import unreadable
from geoinfra.utilities.formats.document import open_document
from geoinfra.utilities.formats.intake import Limits
from geoinfra.utilities.model import require_cvr

__all__ = ["check_file", "explained"]

_WEIGHT = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


def check_file(
    source: Path | BinaryIO,
    *,
    owner_cvr: str | None = None,
    strict: bool = True,
    limits: Limits | None = None,
) -> Report:
    """Read a LER document and check it against the schema and the business rules; nothing is stored.

    Parameters
    ----------
    source
        Path or binary file: any document of the LER exchange, as GML or in a zip.
    owner_cvr
        Owner whose answer it is; of a package only his part is checked.
    strict
        Change nothing, and take what the official schema refuses as an error.
    limits
        Bounds on what is read.

    Returns
    -------
    Report
        Worst findings first, then by line; those about the whole document stand before those of a line.
        A file that cannot be read, or not to its end, has the finding ``LER-UNREADABLE``.

    Raises
    ------
    InvalidInput
        `owner_cvr` is no CVR number.
    NotFound
        A package holds nothing of this owner.
    """
    if owner_cvr is not None:
        require_cvr(owner_cvr)
    report = Report()
    try:
        document = open_document(
            source, owner_cvr=owner_cvr, limits=limits, strict=strict, rules=BusinessRules
        )
        report = document.report
        report = document.scan()
    except DataRefused as refused:
        report = refused.report
    except InvalidInput as error:
        report.add(unreadable(error))
    return explained(report)


def explained(report: Report) -> Report:
    """Return the report with LER's name of the rule and a hint at each finding, worst first."""
    found = sorted(report.findings, key=lambda one: (_WEIGHT[one.severity], one.line or 0))
    kept = [advised(named(one)) for one in found]
    return Report(report.features, kept, report.errors, report.warnings, report.limit, report.counts)
