"""Presentation rules: resolving 100,000 features, and each emitter against its library's bare write.

The target of the resolver is 0.2 s. Style documents are compared with orjson's and lxml's serialisation of
the document that was emitted, the GeoPackage with one without styles. DXF and PDF are those of
`ler_exchange` and `plan`. Times are processor time, medians of interleaved runs.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import shapely
from lxml import etree

from geoinfra.presentation.emit import TARGETS, emit
from geoinfra.presentation.qml import default_layer_style
from geoinfra.presentation.resolve import resolve_batch
from geoinfra.presentation.style_set import load_style_set, style_sets
from geoinfra.tables import BATCH_ROWS, FeatureBatch
from geoinfra.utilities.formats.geopackage import write_geopackage
from geoinfra.utilities.model import FeatureRows

RUNS = 5
FEATURES = 100_000
SCALE = 500
CLASSES = (
    "Elledning",
    "Gasledning",
    "TermiskLedning",
    "Vandledning",
    "Afloebsledning",
    "Telekommunikationsledning",
    "Olieledning",
    "Foeringsroer",
    "AndenLedning",
)


def town(count: int) -> FeatureBatch:
    """Lines of every supply whose properties are as long and as varied as those of owners."""
    rows = FeatureRows("12345678", elements=False)
    for number in range(count):
        turn, name = number // len(CLASSES), CLASSES[number % len(CLASSES)]
        properties: dict[str, Any] = {
            "driftsstatus": ("i drift", "under etablering", "permanent ude af drift")[turn % 3],
            "ejerskabsforhold": "ejet af udleverende ledningsejer",
            "etableringstidspunkt": f"{1960 + turn % 60}-05-01",
            "fareklasse": ("ikke farlig", "farlig")[turn % 2],
            "indtegningsmetode": "nøjagtigt",
            "noejagtighedsklasse": ("<= 0.25 m", "<= 1.00 m", "> 2.00 m")[turn % 3],
            "registreringFra": f"2009-01-02T23:{turn % 60:02}:00",
            "niveau": "under terræn",
            "indeholderLedninger": number % 97 == 0,
            "liggerILedning": turn % 43 == 0,
            "udvendigDiameter": {"value": (110, 160, 200, 315)[turn % 4], "uom": "mm"},
            "udvendigMateriale": "plast",
        }
        if turn % 3 == 0:
            properties["vejledendeDybde"] = {"value": 900, "uom": "mm"}
        if name == "Afloebsledning":
            properties["ledningstransporttype"] = "gravitation"
        heights = np.array([3.0, 2.0 + turn % 2]) if turn % 2 else None
        course = shapely.LineString([(500_000 + number, 6_200_000), (500_000 + number, 6_200_050)])
        rows.add(name, f"a{number}", properties, course, heights)
    return rows.batch()


def medians(jobs: dict[str, Callable[[], Any]], runs: int = RUNS) -> dict[str, float]:
    """Processor seconds of each job; the jobs run in turn, once before it counts."""
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(runs + 1):
        for name, job in jobs.items():
            start = time.process_time()
            job()
            if turn:
                taken[name].append(time.process_time() - start)
    return {name: statistics.median(times) for name, times in taken.items()}


def measure_resolver(batch: FeatureBatch) -> None:
    """Print the time in one batch and in batches as the store gives them."""
    style_set = load_style_set("geoinfra")
    parts = [batch.take(range(at, min(at + BATCH_ROWS, FEATURES))) for at in range(0, FEATURES, BATCH_ROWS)]
    found = medians(
        {
            "in one batch": lambda: resolve_batch(style_set, batch, SCALE),
            f"in batches of {BATCH_ROWS:,}": lambda: [resolve_batch(style_set, p, SCALE) for p in parts],
        }
    )
    for name, seconds in found.items():
        print(f"{FEATURES:,} features resolved {name}: {seconds:.3f} s (target 0.2 s)")


def measure_documents(name: str) -> None:
    """Print the time of each style document against that of serialising the same document."""
    load_style_set(name)
    for target in TARGETS:
        document = emit(load_style_set(name), target)
        bare: Callable[[], Any]
        if target == "maplibre":
            held = json.loads(document)
            bare = lambda held=held: orjson.dumps(held)  # noqa: E731  # one of several writers
        else:
            tree = etree.fromstring(document, etree.XMLParser(huge_tree=True))
            # one of several writers
            bare = lambda tree=tree: etree.tostring(tree, pretty_print=True)  # noqa: E731  # one of several writers
        found = medians({"ours": lambda t=target: emit(load_style_set(name), t), "bare": bare}, 2)
        print(
            f"{name} {target}: {len(document) / 1e3:,.0f} kB, {found['ours']:.3f} s; "
            f"bare serialisation {found['bare']:.3f} s"
        )


def measure_geopackage(batch: FeatureBatch) -> None:
    """Print the time of a GeoPackage with styles against one without."""
    held = [batch.take(range(at, at + BATCH_ROWS)) for at in range(0, 20_000, BATCH_ROWS)]
    with tempfile.TemporaryDirectory() as folder:
        count = iter(range(1000))

        def write(**options: Any) -> Callable[[], Any]:
            return lambda: write_geopackage(Path(folder) / f"{next(count)}.gpkg", held, **options)

        found = medians({"with": write(styles=default_layer_style), "without": write()}, 3)
    ratio = found["with"] / found["without"]
    print(f"GeoPackage of 20,000 features with styles: {found['with']:.2f} s; {ratio:.2f} x (target 1.5)")


def main() -> None:
    """Print times, sizes and ratios."""
    batch = town(FEATURES)
    measure_resolver(batch)
    measure_geopackage(batch)
    for name in style_sets():
        measure_documents(name)


if __name__ == "__main__":
    main()
