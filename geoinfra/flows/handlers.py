"""Which flow runs which kind of job: the worker's table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from geoinfra.flows.packages import build_package
from geoinfra.storage import Store
from geoinfra.storage.jobs import JobContext

__all__ = ["HANDLERS"]

HANDLERS: Mapping[str, Callable[[Store, JobContext], Mapping[str, Any] | None]] = {
    "build-package": build_package,
}
