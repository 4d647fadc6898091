#!/usr/bin/env bash
# Installs geoinfra with the extras named in $1 (comma separated) into .venv, at the versions of constraints.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=$1

if [ ! -w "${HOME:-/nonexistent}" ]; then  # caches go here then
    export UV_CACHE_DIR="${UV_CACHE_DIR:-$PWD/.tools/cache}" PIP_NO_CACHE_DIR=1
fi

if ! .tools/bin/uv --version >/dev/null 2>&1; then
    python=$(tools/find_python.sh)
    echo "Using $("$python" --version) at $python"
    "$python" -m venv --clear .tools
    .tools/bin/python -m pip install --quiet --disable-pip-version-check uv
fi
if ! .venv/bin/python -c '' 2>/dev/null; then
    .tools/bin/uv venv --quiet --clear --no-python-downloads --python "$(tools/find_python.sh)" .venv
fi
.tools/bin/uv pip install --quiet --no-python-downloads --python .venv/bin/python -c constraints.txt -e ".[$extras]"
touch .venv/.ready-demo
if [[ ",$extras," == *,dev,* ]]; then touch .venv/.ready-dev; fi
