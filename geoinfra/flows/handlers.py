"""Which flow runs which kind of job: the worker's table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from geoinfra.flows.enquiry_retention import forget_enquiries
from geoinfra.flows.nightly import FORGET_ENQUIRIES
from geoinfra.flows.package_jobs import BUILD_PACKAGE
from geoinfra.flows.packages import build_package
from geoinfra.flows.process_jobs import (
    CHECK_DELIVERY,
    PREVIEW_ENQUIRY,
    TRANSFORM,
    check_delivery,
    preview,
    transform,
)
from geoinfra.flows.reminders import REMIND, remind
from geoinfra.storage import Store
from geoinfra.storage.jobs import JobContext

__all__ = ["HANDLERS"]

HANDLERS: Mapping[str, Callable[[Store, JobContext], Mapping[str, Any] | None]] = {
    BUILD_PACKAGE: build_package,
    CHECK_DELIVERY: check_delivery,
    FORGET_ENQUIRIES: forget_enquiries,
    PREVIEW_ENQUIRY: preview,
    REMIND: remind,
    TRANSFORM: transform,
}
