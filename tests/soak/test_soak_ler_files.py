"""Files of the exchange for hours and by the half gigabyte: no crash, no hang, flat memory."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import shapely

from geoinfra.tables import FeatureBatch
from geoinfra.utilities.formats import ler, package
from geoinfra.utilities.model import AnswerHeader, FeatureRows, ResponseType

pytestmark = pytest.mark.soak

FUZZ_S = float(os.environ.get("GEOINFRA_FUZZ_S", "3600"))
LARGE_MB = int(os.environ.get("GEOINFRA_LARGE_MB", "500"))
MOST_MB = 250
UNIT_TESTS = Path(__file__).resolve().parent.parent / "unit"
EAST, NORTH = 700_000.0, 6_170_000.0

_FUZZ = """
import resource, sys, time
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/.."]
import warnings; warnings.simplefilter("error")
from test_ler_fuzz import mutants, tried
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
end = time.monotonic() + float(sys.argv[3])
for position, (kind, content) in enumerate(mutants(int(sys.argv[2]))):
    if time.monotonic() > end:
        break
    try:
        tried(content, *(("geojson", "html", "gpkg", "dxf") if position % 4 == 0 else ()))
    except BaseException:
        print(f"seed {sys.argv[2]}, mutant {position}, {kind}", file=sys.stderr)
        raise
print(position, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.timeout(FUZZ_S + 600)
def test_broken_documents_for_an_hour() -> None:
    """New broken documents each time; the seed is told when one of them does harm."""
    seed = random.SystemRandom().randrange(1 << 30)
    run = subprocess.run(
        [sys.executable, "-c", _FUZZ, str(UNIT_TESTS), str(seed), str(FUZZ_S)],
        capture_output=True,
        text=True,
        timeout=FUZZ_S + 300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    mutants, resident_mb = map(int, run.stdout.split())
    assert mutants > FUZZ_S
    assert resident_mb < 700


def cables(cvr: str, first: int, count: int) -> FeatureBatch:
    """Cables of 20 vertices, one a metre apart."""
    made = FeatureRows(cvr)
    properties = {
        "driftsstatus": "i drift",
        "etableringstidspunkt": "2004-03-15",
        "fareklasse": "farlig",
        "noejagtighedsklasse": "<= 0.50 m",
        "vejledendeDybde": {"value": 700, "uom": "mm"},
        "udvendigDiameter": {"value": 32, "uom": "mm"},
        "type": "stikkabel",
    }
    for row in range(first, first + count):
        east, north = EAST + row % 1000, NORTH + row // 1000
        line = shapely.LineString([(east + 0.5 * n, north + (n % 3) / 10) for n in range(20)])
        made.add("Elledning", f"el.{row}", properties, line)
    return made.batch()


def many(cvr: str, size_bytes: int) -> Iterator[FeatureBatch]:
    """Yield batches whose elements together take about this many bytes; each has ids of its own."""
    batch = cables(cvr, 0, 2000)
    elements = batch.columns["gml"]
    written = block = 0
    while written < size_bytes:
        mark = b".b%d.el." % block
        batch.columns["gml"] = [element.replace(b".el.", mark) for element in elements]
        written += sum(map(len, batch.columns["gml"])) + 2000 * 30
        block += 1
        yield batch


@pytest.fixture(scope="module")
def large_answer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "svar.gml"
    header = AnswerHeader("3f2b8c1e-5a40-4d7e-9c55-0b1d2e3f4a5b", ResponseType.DELIVERED)
    ler.write_answer(path, header, many("11111111", LARGE_MB << 20))
    return path


@pytest.fixture(scope="module")
def large_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "consolidated.gml"
    area = shapely.to_wkb(shapely.box(EAST - 10, NORTH - 10, EAST + 2000, NORTH + 2000))
    info = package.EnquiryInfo("17", area, date(2026, 1, 1), date(2030, 1, 1), ("6",))
    numbers = [f"{10_000_000 + n}" for n in range(10)]
    owners = [package.PackageOwner(cvr, f"Net {cvr}", folder_name=cvr) for cvr in numbers]
    batches = (batch for cvr in numbers for batch in many(cvr, (LARGE_MB << 20) // 10))
    package.write_consolidated(path, info, owners, batches)
    return path


_READ = """
import json, resource, sys, time
from pathlib import Path
from geoinfra.utilities.check import check_file
from geoinfra.utilities.formats.document import open_document
path, how = Path(sys.argv[1]), sys.argv[2]
started = time.process_time()
if how == "check":
    report = check_file(path, strict=False)
    features = report.features
else:
    document = open_document(path)
    features = sum(map(len, document.batches()))
print(json.dumps({
    "features": features,
    "cpu_s": round(time.process_time() - started, 1),
    "resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
}))
"""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", ["rows", "check"])
@pytest.mark.parametrize("name", ["large_answer", "large_package"])
def test_half_a_gigabyte_is_read_in_flat_memory(name: str, how: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(name)
    size_mb = path.stat().st_size >> 20
    assert size_mb >= LARGE_MB - 5
    run = subprocess.run(
        [sys.executable, "-c", _READ, str(path), how], capture_output=True, text=True, timeout=1700
    )
    assert run.returncode == 0, run.stderr[-3000:]
    figures = json.loads(run.stdout)
    print(f"{name}, {how}: {size_mb} MB, {figures}")
    assert figures["features"] > LARGE_MB * 200
    assert figures["resident_mb"] < MOST_MB
