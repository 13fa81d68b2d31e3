# `make reproduce`  execute every notebook; tables, figures and pages are under data/runs/reports
# `make test`       lint, types, unit tests and notebook tests
# `make lab`        open JupyterLab
# `make quick`      the fast tests only
# Each prepares .venv first, if need be. It takes Python 3.11 or newer: make PYTHON=python3.12 ...

PYTHON ?= python3
BIN := .venv/bin

.PHONY: reproduce test quick lab clean

reproduce: .venv/complete
	$(BIN)/reprostats run

test: .venv/complete
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest

quick: .venv/complete
	$(BIN)/pytest -m "not slow"

lab: .venv/complete
	$(BIN)/jupyter lab --notebook-dir=notebooks

.venv/complete: pyproject.toml constraints.txt tools/environment.py
	$(PYTHON) tools/environment.py

clean:
	rm -rf .venv data/runs
