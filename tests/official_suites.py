"""OGC's executable test suites against a served town: a table of what passed, an error for what did not.

The suites are programs in Java (``ets-ogcapi-*-aio.jar``); they are taken from the folder that
``GEOINFRA_ETS_DIR`` names. Faults of a suite itself stand, each with its reason, in
``conformance_faults.json``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from deployment import Deployment
from lxml import etree

from geoinfra.sample import generate_town
from geoinfra.sample.loading import load_grids, load_town
from geoinfra.storage import open_store
from services.demo import ensure_tokens

FAULTS = Path(__file__).with_name("conformance_faults.json")
GROUND = (650_000.0, 6_084_000.0, 651_000.0, 6_085_000.0)


@dataclass(frozen=True)
class Verdict:
    """What a suite says of one of its tests; `status` is PASS, FAIL or SKIP."""

    test: str
    status: str
    message: str


def verdicts(results: Path) -> list[Verdict]:
    """Read ``testng-results.xml``; methods that only prepare are left out."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    found = []
    for suite_class in etree.parse(results, parser).iter("class"):
        for method in suite_class.iter("test-method"):
            if method.get("is-config") == "true":
                continue
            name = f"{suite_class.get('name', '').rsplit('.', 1)[-1]}.{method.get('name')}"
            message = method.findtext(".//exception/message") or ""
            found.append(Verdict(name, method.get("status", ""), " ".join(message.split())))
    return found


def unexpected(found: Iterable[Verdict], known: Mapping[str, str]) -> list[Verdict]:
    """Return the failures that are no known faults of the suite."""
    return [one for one in found if one.status == "FAIL" and one.test not in known]


def run_suite(jar: Path, url: str, folder: Path) -> list[Verdict]:
    """Run one suite against the landing page `url`."""
    properties = {"iut": url, "noofcollections": "-1", "ics": "core,json,geojson,covjson"}
    entries = "".join(f'<entry key="{name}">{escape(value)}</entry>' for name, value in properties.items())
    asked = folder / "test-run-props.xml"
    doctype = '<!DOCTYPE properties SYSTEM "http://java.sun.com/dtd/properties.dtd">'
    asked.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>{doctype}<properties>{entries}</properties>', "utf-8"
    )
    subprocess.run(["java", "-jar", jar, "-o", folder, asked], check=True, timeout=3600)
    (results,) = folder.rglob("testng-results.xml")
    return verdicts(results)


def main() -> int:
    """Serve a tiny town, run each suite that is there; the exit code is 1 for failures, 2 without suites."""
    jars = sorted(Path(os.environ.get("GEOINFRA_ETS_DIR", "ets")).glob("ets-ogcapi-*-aio.jar"))
    if not jars:
        print("No official suite was run: GEOINFRA_ETS_DIR names no folder with ets-ogcapi-*-aio.jar.")
        return 2
    known = json.loads(FAULTS.read_text("utf-8"))
    failed: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="geoinfra-suites-") as name:
        folder = Path(name)
        generate_town(folder / "town", "tiny")
        store = open_store(folder / "data")
        load_town(store, folder / "town")
        load_grids(store, GROUND)
        ensure_tokens(store, folder / "data" / "demo-tokens.json")
        store.close()
        running = Deployment(folder / "data")
        running.start("serve")
        running.start("worker")
        try:
            running.wait_ready()
            for jar in jars:
                output = folder / jar.stem
                output.mkdir()
                found = run_suite(jar, f"{running.url}/ogc", output)
                wrong = unexpected(found, known.get(jar.stem.split("-")[2], {}))
                counted = Counter(one.status for one in found)
                print(f"{jar.stem:40} {dict(counted)}, {len(wrong)} of them unexpected")
                for one in wrong:
                    print(f"    {one.test}: {one.message[:300]}")
                failed += wrong
        finally:
            running.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
