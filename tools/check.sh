#!/usr/bin/env bash
# Style, types, import rules, documentation and browser code. Runs all of them and names those that failed.
set -uo pipefail
cd "$(dirname "$0")/.."
export NO_MKDOCS_2_WARNING=true  # material's notice about a MkDocs that constraints.txt does not admit
failed=()
step() {
    local name=$1
    shift
    echo "-- $name"
    "$@" || failed+=("$name")
}
python_files=(geoinfra services tests tools)
step "ruff check" .venv/bin/ruff check --output-format concise "${python_files[@]}"
step "ruff format" .venv/bin/ruff format --check --output-format concise "${python_files[@]}"
step "mypy" .venv/bin/mypy
step "lint-imports" .venv/bin/lint-imports --no-logo
step "mkdocs" .venv/bin/mkdocs build --strict --site-dir site
step "tsc" services/web/node_modules/.bin/tsc --project services/web

if [ ${#failed[@]} -gt 0 ]; then
    echo "Failed: ${failed[*]}"
    exit 1
fi
echo "All checks passed."
