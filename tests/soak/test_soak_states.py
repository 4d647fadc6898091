"""The life of enquiries against its model, long: many lives of many steps, drawn anew each time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from deployment import ROOT

pytestmark = [pytest.mark.soak, pytest.mark.timeout(4 * 3600)]


def test_many_long_lives_go_as_the_model_says() -> None:
    wanted = {"GEOINFRA_STATES_EXAMPLES": "300", "GEOINFRA_STATES_STEPS": "60"}
    command = [sys.executable, "-m", "pytest", "-q", "-o", "timeout=14000", "-k", "model"]
    done = subprocess.run(
        [*command, "tests/services/test_enquiry_states.py"],
        cwd=ROOT,
        env={**wanted, **os.environ},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
