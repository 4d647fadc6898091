#!/usr/bin/env bash
# Runs all tests in two lanes side by side, one core each:
#   library   unit, property and documentation tests, the checks, then storage, access, OGC APIs and drawings;
#             kept in logs, printed at the end
#   services  HTTP, PostGIS, browser and GIS clients, as soon as the system packages are there; printed as it goes
# Ends with the library lane's pytest summary. The exit code is 0 only when both lanes passed.
set -uo pipefail
cd "$(dirname "$0")/.."
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 GDAL_NUM_THREADS=1

pytest_lane() {
    local name=$1
    shift
    .venv/bin/python -m pytest -m "not soak" -o cache_dir=".pytest_cache/$name" "$@"
}
# What needs the system packages, or weighs much; run in the library lane once they are there.
late_tests=(tests/services/storage tests/services/conformance tests/services/test_ogc_*.py
    tests/services/test_attacks_ogc.py tests/services/test_access_attacks.py tests/services/test_access_every_route.py
    tests/unit/test_presentation_emitters.py tests/unit/test_dxf.py tests/unit/test_ler_package.py)
library_lane() {
    local tests=0 checks=0 late=0
    pytest_lane library tests/unit tests/properties tests/docs "${late_tests[@]/#/--ignore=}" >"$logs/library" 2>&1 || tests=$?
    tools/check.sh >"$logs/check" 2>&1 || checks=$?
    until [ -e "$logs/packages-ended" ]; do sleep 1; done
    pytest_lane late "${late_tests[@]}" >"$logs/late" 2>&1 || late=$?
    return $((tests + checks + late > 0 ? 1 : 0))
}
install_packages() {
    local status=0
    tools/system_packages.sh >"$logs/packages" 2>&1 || status=$?
    touch "$logs/packages-ended"
    return "$status"
}

install_packages </dev/null &
packages=$!
library_lane </dev/null &
library=$!

echo "== services lane (waiting for system packages)"
packages_status=0
wait "$packages" || packages_status=$?
if [ "$packages_status" = 0 ]; then tail -n 1 "$logs/packages"; else cat "$logs/packages"; fi
services_status=0
pytest_lane services tests/services "${late_tests[@]/#/--ignore=}" </dev/null || services_status=$?

library_status=0
wait "$library" || library_status=$?
if [ "$packages_status" != 0 ]; then echo "== System packages could not be installed, see above."; fi
if [ "$services_status" != 0 ]; then echo "== The services lane failed with code $services_status, see above."; fi
echo "== checks"
cat "$logs/check"
echo "== storage, access, OGC APIs and drawings"
cat "$logs/late"
echo "== library lane"
cat "$logs/library"
exit $((library_status > services_status ? library_status : services_status))
