#!/usr/bin/env bash
# Conformance to the OGC standards: the abstract tests of every class that /ogc/conformance names, then OGC's
# executable suites as far as GEOINFRA_ETS_DIR has them (ets-ogcapi-*-aio.jar; Java 17). Without suites the exit
# code is that of the abstract tests, and a line says that no suite was run.
set -uo pipefail
cd "$(dirname "$0")/.."
status=0
.venv/bin/python -m pytest -q tests/services/conformance || status=$?
suites=0
PYTHONPATH=tests .venv/bin/python tests/official_suites.py || suites=$?
if [ "$suites" = 2 ]; then suites=0; fi
exit $((status > suites ? status : suites))
