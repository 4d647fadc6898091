"""Turn a file of utility lines into another format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from geoinfra.errors import InvalidInput, Report
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.formats import geojson, geopackage, ler

__all__ = ["Converted", "convert"]

Progress = Callable[[float, str], None]
_WRITERS = {"gpkg": geopackage.write_geopackage, "geojson": geojson.write_geojson}


@dataclass(frozen=True, slots=True)
class Converted:
    """A file that was written.

    Attributes
    ----------
    features
        Features in it.
    report
        What was found in the source, and what did not survive.
    """

    features: int
    report: Report


def convert(
    source: Path,
    target: Path,
    *,
    to: str | None = None,
    owner_cvr: str | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Write the features of `source` to `target`."""
    write = _WRITERS.get(to or target.suffix[1:])
    if write is None:
        raise InvalidInput(f"There is no format for '{target.name[:80]}'.")
    answer = ler.read_answer(source, owner_cvr=owner_cvr or "00000000")
    return Converted(write(target, _counted(answer.batches(), progress)), answer.report)


def _counted(batches: Iterator[FeatureBatch], progress: Progress | None) -> Iterator[FeatureBatch]:
    count = 0
    for batch in batches:
        yield batch
        count += len(batch)
        if progress:
            progress(0.5, f"{count:,} features")
