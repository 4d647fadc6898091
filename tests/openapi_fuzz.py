"""The OpenAPI description tried by schemathesis: generated requests to every operation it names."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)

PLACES: Mapping[str, Sequence[str]] = {
    "collectionId": (
        *("buildings", "streets", "terrain-dtm", "weather", "sea-level", "utility-lines", "catalogue"),
        "no-such-thing",
    ),
    "recordId": ("dataset.buildings", "x"),
    "featureId": ("b.1", "s.1", "10000001.el.1", "x"),
    "style": ("geoinfra", "dlf", "x"),
    "styleId": ("geoinfra", "dlf", "x"),
    "tileMatrixSetId": ("WebMercatorQuad", "WorldCRS84Quad", "x"),
    "tileMatrix": ("0", "14", "x", "99"),
    "processId": ("dig-enquiry", "x"),
}
"""What names in paths may be, in the small store with the sample's grids."""


def description(url: str, names: Mapping[str, Sequence[str]], headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the service's own description, in which path parameters may have the values `names`.

    Without them almost every generated address would name nothing.
    """
    document: dict[str, Any] = httpx.get(f"{url}/openapi", headers=dict(headers), timeout=60).json()
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                if parameter.get("in") == "path" and parameter["name"] in names:
                    parameter["schema"] = {"type": "string", "enum": list(names[parameter["name"]])}
    return document


def fuzz(
    document: Mapping[str, Any],
    folder: Path,
    *,
    examples: int,
    seconds: int | None = None,
    headers: Mapping[str, str],
    seed: int = 20261124,
) -> subprocess.CompletedProcess[str]:
    """Run schemathesis; its exit code is 1 where an answer breaks a check.

    Parameters
    ----------
    examples
        Requests an operation.
    seconds
        How long to go on; once through where it is not given.
    """
    path = folder / "openapi.json"
    path.write_text(json.dumps(document), "utf-8")
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        str(path),
        "--url",
        document["servers"][0]["url"],
    ]
    command += ["--checks", ",".join(CHECKS), "--seed", str(seed), "--no-shrink", "--continue-on-failure"]
    command += ["--phases", "fuzzing" if seconds is None else "coverage,fuzzing"]
    command += ["-n", str(examples), "--warnings", "off", "--no-color", "--suppress-health-check", "all"]
    command += ["--generation-database", "none", "--request-timeout", "120"]
    command += ["--max-time", str(seconds)] if seconds else []
    for name, value in headers.items():
        command += ["-H", f"{name}:{value}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=4000)
