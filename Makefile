# `make reproduce`  execute every notebook; tables, figures and pages are under data/runs/reports
# `make test`       lint, types, unit tests, doctests and notebook tests: under 10 minutes on 2 cores
# `make test-all`   the same and the long simulations and kills that `make test` leaves out
# `make quick`      the fast tests only
# `make lab`        open JupyterLab
# Each prepares .venv first, if need be. It takes Python 3.11 or newer: make PYTHON=python3.12 ...
# Tests run in 2 processes; on a larger machine: make PROCESSES=8 test

PYTHON ?= python3
PROCESSES ?= 2
BIN := .venv/bin

# `--dist loadgroup` keeps tests of one xdist_group, which share a costly set-up, in one process;
# the order is that of tests/conftest.py.
PYTEST := $(BIN)/pytest --numprocesses $(PROCESSES) --dist loadgroup --no-loadscope-reorder \
	--durations 10 -q

# Run a stage, $(2), and say how long it took, whether it passes or not.
timed = @start=$$(date +%s); $(2); status=$$?; echo "[$(1): $$(($$(date +%s) - start)) s]"; exit $$status

.PHONY: reproduce test test-all lint types quick lab clean

reproduce: .venv/complete
	$(BIN)/reprostats run

test: lint types
	$(call timed,tests,$(PYTEST) -m "not long")

test-all: lint types
	$(call timed,all tests,$(PYTEST))

lint: .venv/complete
	$(call timed,lint,$(BIN)/ruff check && $(BIN)/ruff format --check)

types: .venv/complete
	$(call timed,types,$(BIN)/mypy)

quick: .venv/complete
	$(BIN)/pytest -m "not slow and not long"

lab: .venv/complete
	$(BIN)/jupyter lab --notebook-dir=notebooks

.venv/complete: pyproject.toml constraints.txt tools/environment.py
	$(PYTHON) tools/environment.py

clean:
	rm -rf .venv data/runs
