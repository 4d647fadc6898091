"""LER exchange: reading and checking against a bare XML parse, DXF against bare ezdxf, conversions.

Takes the official answer of 636 features, written anew as LER 2.2.0 and repeated to 20,000 features with ids
of its own. Prints medians of five interleaved runs: wall and CPU seconds, and ratios of CPU time. Targets:
scan at most 5 parses, with LER's business rules at most 15; DXF at most 1.5 times ezdxf's own bare write of
the same entities; each conversion of 20,000 features below 5 s. `GEOINFRA_BENCH_FEATURES` sets another count.
"""

from __future__ import annotations

import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from ezdxf.document import Drawing
from ezdxf.filemanagement import new, read
from lxml import etree

from geoinfra.tables import FeatureBatch
from geoinfra.utilities.check.rules import BusinessRules
from geoinfra.utilities.formats import dxf, geojson, geopackage, ler
from geoinfra.utilities.model import AnswerHeader, ResponseType

ROOT = Path(__file__).resolve().parents[2]
OWNER = "10000009"
RUNS = 5
DXF_SHARE = 5
"""The drawing is compared on this part of the features; ezdxf takes long."""


def sample() -> list[FeatureBatch]:
    """Return the official answer's features."""
    reference = Path(os.environ.get("GEOINFRA_REFERENCE_DIR", ROOT.parent / "shared" / "reference"))
    path = reference / "ler" / "samples" / "svarudtagettil.gml"
    return list(ler.read_answer(path, owner_cvr=OWNER).batches())


def repeated(batches: list[FeatureBatch], features: int) -> Iterator[FeatureBatch]:
    """Give the features again and again, each time with ids of their own, until there are enough."""
    given = copy = 0
    while given < features:
        copy += 1
        for batch in batches:
            taken = batch.take(range(min(len(batch), features - given)))
            own = [f"{one}.{copy}" for one in taken.columns["gml_id"]]
            columns = {name: values for name, values in taken.columns.items() if name != "gml"}
            columns["gml_id"] = own
            ids = [f"{OWNER}.{one}" for one in own]
            yield FeatureBatch(taken.schema, ids, taken.geometry, columns, taken.heights_m, OWNER)
            given += len(taken)


def write_large_answer(path: Path, batches: list[FeatureBatch], features: int) -> None:
    answer_id = str(UUID("6f9619ff-8b86-4d01-b42d-00cf4fc964ff"))
    header = AnswerHeader(answer_id, ResponseType.DELIVERED, date(2030, 1, 1))
    ler.write_answer(path, header, repeated(batches, features))


class Seconds(NamedTuple):
    """Medians of a job."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.3f} s, CPU {self.cpu:.3f} s"


def medians(jobs: dict[str, Callable[[], Any]]) -> dict[str, Seconds]:
    """Run the jobs in turn, five times, and return the median seconds of each."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(RUNS):
        for name, job in jobs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            job()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: Seconds(*map(statistics.median, zip(*runs, strict=True))) for name, runs in times.items()}


def measure_reading(path: Path, features: int) -> None:
    text = path.read_bytes()
    found = medians(
        {
            "etree.parse": lambda: etree.parse(io.BytesIO(text)),
            "scan": lambda: ler.read_answer(path, owner_cvr=OWNER).scan(),
            "scan with rules": lambda: ler.read_answer(path, owner_cvr=OWNER, rules=BusinessRules).scan(),
            "rows": lambda: sum(len(batch) for batch in ler.read_answer(path, owner_cvr=OWNER).batches()),
        }
    )
    print(f"{features:,} features, {len(text) / 1e6:.1f} MB")
    for name, target in (("etree.parse", ""), ("scan", "5"), ("scan with rules", "15"), ("rows", "")):
        aim = f" (target {target})" if target else ""
        print(f"{name}: {found[name]}, {found[name].cpu / found['etree.parse'].cpu:.1f} x parse{aim}")


def measure_drawing(batches: list[FeatureBatch], features: int) -> None:
    """Compare the drawing with ezdxf's own writing of the same entities from ready values."""
    held = list(repeated(batches, features))
    written = io.BytesIO()
    dxf.write_dxf(written, held)
    document = read(io.StringIO(written.getvalue().decode()))
    entities = [(e.dxftype(), *_ready(e)) for e in document.modelspace()]
    layers = [
        (layer.dxf.name, layer.dxf.color)
        for layer in document.layers
        if layer.dxf.name not in ("0", "Defpoints")
    ]
    del document
    found = medians(
        {
            "ours": lambda: dxf.write_dxf(io.BytesIO(), held),
            "bare": lambda: bare_ezdxf(layers, entities).write(io.StringIO()),
        }
    )
    ratio = found["ours"].cpu / found["bare"].cpu
    print(f"{features:,} features as {len(entities):,} entities, DXF: {found['ours']}")
    print(f"bare ezdxf: {found['bare']}; DXF takes {ratio:.2f} x (target 1.5)")


def _ready(entity: Any) -> tuple[Any, dict[str, Any], list[tuple[int, str]]]:
    """Return vertices, attributes and extended data of an entity as plain values."""
    attributes = {"layer": entity.dxf.layer}
    if entity.dxftype() == "POINT":
        vertices = list(entity.dxf.location)
    else:
        vertices = [point[:2] for point in entity.get_points()]
        if entity.dxf.hasattr("const_width"):
            attributes["const_width"] = entity.dxf.const_width
    return vertices, attributes, [(tag.code, tag.value) for tag in entity.get_xdata("GEOINFRA")]


def bare_ezdxf(layers: list[tuple[str, int]], entities: list[Any]) -> Drawing:
    document = new("R2010", units=6)
    document.appids.add("GEOINFRA")
    for name, colour in layers:
        document.layers.add(name, color=colour)
    space = document.modelspace()
    for kind, vertices, attributes, extended in entities:
        made: Any
        if kind == "POINT":
            made = space.add_point(vertices, dxfattribs=attributes)
        else:
            made = space.add_lwpolyline(vertices, format="xy", dxfattribs=attributes)
        made.set_xdata("GEOINFRA", extended)
    return document


def measure_conversions(path: Path, folder: Path, features: int) -> None:
    def converted(write: Callable[[Path, Iterator[FeatureBatch]], int], suffix: str) -> Callable[[], int]:
        return lambda: write(
            folder / f"out.{suffix}", ler.read_answer(path, owner_cvr=OWNER).batches(elements=False)
        )

    found = medians(
        {
            "GeoPackage": converted(geopackage.write_geopackage, "gpkg"),
            "GeoJSON": converted(geojson.write_geojson, "geojson"),
            "DXF": converted(dxf.write_dxf, "dxf"),
        }
    )
    for name, seconds in found.items():
        print(f"{features:,} features, GML to {name}: {seconds} (target 5)")


def main() -> None:
    features = int(os.environ.get("GEOINFRA_BENCH_FEATURES", "20000"))
    batches = sample()
    with tempfile.TemporaryDirectory(prefix="geoinfra-bench-") as text:
        folder = Path(text)
        path = folder / "answer.gml"
        write_large_answer(path, batches, features)
        measure_reading(path, features)
        measure_conversions(path, folder, features)
    measure_drawing(batches, features // DXF_SHARE)


if __name__ == "__main__":
    main()
