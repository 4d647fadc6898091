"""Plans on paper: of a package or answer that somebody holds, and the ground under the plan of the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
import shapely

from geoinfra.access import Access
from geoinfra.errors import GeoinfraError, InvalidInput, Report
from geoinfra.flows.layers import read_layer
from geoinfra.flows.package_files import MANIFEST
from geoinfra.presentation.offline_sections import PageFacts
from geoinfra.presentation.plan import PlanOptions, PlanWritten, write_plan
from geoinfra.presentation.plan_background import BACKGROUND_LAYERS, Background
from geoinfra.storage import Store
from geoinfra.tables import FeatureBatch, FeatureQuery
from geoinfra.utilities.containment import with_container_geometry
from geoinfra.utilities.formats.document import Document, open_document
from geoinfra.utilities.formats.ler_write import opened_for_writing
from geoinfra.utilities.model import require_cvr
from geoinfra.utilities.sandbox import NUMBER_PREFIX

__all__ = ["background_of_files", "plan_of_file", "stored_background"]

_AROUND_M: Final = 600.0
_MOST_MANIFEST_BYTES: Final = 32 * 1024 * 1024


def stored_background(store: Store, area: shapely.Geometry) -> Background:
    """Return the open layers of the store around a dig area; layers that it does not have are left out."""
    min_e, min_n, max_e, max_n = shapely.bounds(area).tolist()
    around = (min_e - _AROUND_M, min_n - _AROUND_M, max_e + _AROUND_M, max_n + _AROUND_M)
    layers: dict[str, list[FeatureBatch]] = {}
    for name in BACKGROUND_LAYERS:
        view = store.view(Access.anonymous(), name)
        if view.sources:
            layers[name] = list(view.read(FeatureQuery(bbox=around)))
    return Background.of(layers)


def background_of_files(paths: Sequence[Path]) -> Background:
    """Read layers from files that are named after them: ``streets.gpkg``, ``buildings.geojson`` ...

    Raises
    ------
    InvalidInput
        The name of a file is that of no layer.
    UnreadableFile
        GDAL cannot read it.
    """
    layers = {}
    for path in paths:
        if path.stem not in BACKGROUND_LAYERS:
            raise InvalidInput(
                f"{path.name} names no layer of a plan's ground.",
                hint=f"Name the file after its layer: {', '.join(BACKGROUND_LAYERS)}.",
            )
        _, batches = read_layer(path, dataset=path.stem)
        layers[path.stem] = list(batches)
    return Background.of(layers)


def plan_of_file(
    source: Path,
    target: Path,
    options: PlanOptions,
    *,
    background: Sequence[Path] = (),
    progress: Callable[[float, str], None] = lambda _fraction, _text: None,
) -> tuple[PlanWritten, Report]:
    """Write the plan of a package or a LER answer; `target` appears whole or not at all.

    Returns
    -------
    PlanWritten, Report
        What was written, and what was found in the source.

    Raises
    ------
    UnreadableFile
        The source is no document of LER.
    InvalidInput
        It holds nothing that can be drawn, or not at this scale.
    """
    if options.owner_cvr is not None:
        require_cvr(options.owner_cvr)
    opened = open_document(source)
    progress(0.0, "reading")
    batches = list(with_container_geometry(opened.batches(elements=False)))
    progress(0.5, "drawing")
    ground = background_of_files(background)
    with opened_for_writing(target) as file:
        written = write_plan(file, opened.enquiry, opened.owners, batches, _facts(opened), options, ground)
    return written, opened.report


def _facts(opened: Document) -> PageFacts:
    """Return what the manifest of a package tells; nothing of it is trusted more than to be shown."""
    told = _manifest(opened)
    number = opened.enquiry.number if opened.enquiry else ""
    sequence = told.get("sequence")
    answered = {
        str(owner.get("cvr")): moment
        for owner in _mappings(told.get("owners"))
        if (moment := _moment(owner.get("answered_at"))) is not None
    }
    return PageFacts(
        sequence=sequence if isinstance(sequence, int) and 0 < sequence < 1_000_000 else 0,
        valid_to=_moment(told.get("valid_to")),
        planning=told.get("kind") == "planning",
        sandbox=told.get("sandbox") is True or number.startswith(NUMBER_PREFIX),
        answered=answered,
    )


def _manifest(opened: Document) -> Mapping[str, Any]:
    names = [name for name in opened.attachments if name.rpartition("/")[2] == MANIFEST]
    if not names:
        return {}
    try:
        content = opened.attachment(min(names, key=len))
        told = orjson.loads(content) if len(content) <= _MOST_MANIFEST_BYTES else {}
    except (GeoinfraError, orjson.JSONDecodeError):
        return {}  # a broken manifest is told by `geoinfra verify`; the plan shows what the documents say
    return told if isinstance(told, dict) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None
