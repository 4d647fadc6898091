# Thin on purpose: each target is one or two commands, the logic is in tools/.
SHELL := /bin/bash
VENV  := .venv
WEB   := services/web
# PROJ grids for heights; the folder is used where it exists, and a setting of the caller wins.
GRIDS := $(realpath ../shared/reference/geodesy)
ifneq ($(GRIDS),)
export GEOINFRA_GRID_DIRS ?= $(GRIDS)
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench conformance soak clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready-dev $(WEB)/node_modules/.ready  ## everything a developer needs (Python, uv, packages, web files)

demo: $(VENV)/.ready-demo $(WEB)/node_modules/.ready  ## a town with utility owners at http://127.0.0.1:8000 (GEOINFRA_PORT, GEOINFRA_DATA_DIR)
	@GEOINFRA_PORT="$${GEOINFRA_PORT:-8000}" GEOINFRA_DATA_DIR="$${GEOINFRA_DATA_DIR:-.geoinfra}" $(VENV)/bin/geoinfra demo

test: setup  ## all tests: system packages, then two lanes side by side (about 17 minutes)
	@tools/test.sh

check: setup  ## style, types, import rules, documentation, browser code
	@tools/check.sh

bench: $(VENV)/.ready-bench  ## measure against named peers
	@$(VENV)/bin/python tests/benchmarks/run.py

conformance: setup  ## the abstract tests of every claimed class, and OGC's suites where GEOINFRA_ETS_DIR has them
	@tools/conformance.sh

soak: setup conformance  ## the long tests
	@$(VENV)/bin/python -m pytest -m soak tests/soak

clean:  ## remove what setup, tests and builds made; the demo's data stays
	rm -rf $(VENV) .tools $(WEB)/node_modules $(WEB)/static/vendor site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.ready-demo: pyproject.toml constraints.txt
	@tools/install.sh services

$(VENV)/.ready-dev: pyproject.toml constraints.txt
	@tools/install.sh services,postgres,exchange,dev

$(VENV)/.ready-bench: $(VENV)/.ready-dev
	@tools/install.sh services,postgres,exchange,dev,bench
	@touch $@

$(WEB)/node_modules/.ready: $(wildcard $(WEB)/package.json $(WEB)/package-lock.json $(WEB)/vendor.mjs)
	@tools/install_web.sh $(WEB)
