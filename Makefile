# `make app` and `make test` need nothing but Python >= 3.11 and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: app ask test quick lint store bench docs clean

app: store
	$(BIN)/vitime-cache app

ask: $(VENV)/.installed
	$(BIN)/vitime-cache ask --signal full

store: $(VENV)/.installed
	$(BIN)/vitime-cache build

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist worksteal

quick: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.capture
	$(BIN)/python -m benchmarks.ablation
	$(BIN)/python -m benchmarks.store --signals 1000
	$(BIN)/python -m benchmarks.dtypes
	$(BIN)/python -m benchmarks.app_latency
	$(BIN)/python -m benchmarks.app_drawing
	$(BIN)/python -m benchmarks.evidence --only known
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.weights_report

docs: $(VENV)/.installed-docs
	$(BIN)/mkdocs build --strict

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@

$(VENV)/.installed-docs: docs/requirements.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -r docs/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache .hypothesis
