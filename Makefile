PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet

.PHONY: setup demo test lint audit bench bench-sync faults flood faults-sync fuzz fuzz-sql fuzz-input generate lock clean

setup: $(READY)

# Everything is pinned by hash in requirements.lock; the project itself is installed editable.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

demo: setup
	$(BIN)/python -m libs.cli.demo $(if $(KEEP),--keep) $(if $(DATA),--data)

test: setup
	$(BIN)/python -m pytest $(ARGS)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd protos && ../$(BIN)/buf lint
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive libs services protos
	$(BIN)/python protos/generate.py --check

# Known vulnerabilities of what is pinned. Where their database is out of reach it says so and fails.
audit: setup
	$(BIN)/python -m tests.audit

bench: setup
	$(BIN)/python -m tests.bench $(ARGS)

# A sync of SIZE members (10k, 100k, 1m) and of a tenth of them.
bench-sync: setup
	$(BIN)/python -m tests.bench.sync $(ARGS)

# The fault tests at length: kills, errors and full disks at every step of what is written, TIMES times each, then
# INDEX_KILLS kills while segments are made (CI has 6). Prints a table: all but the times is to be 0.
faults: setup
	$(BIN)/python -m tests.faults.matrix --times $(or $(TIMES),20)
	INDEX_KILLS=$(or $(INDEX_KILLS),60) $(BIN)/python -m pytest tests/faults $(ARGS)

# Schedules of faults around the sync service (kill -9, a destination that fails, clocks that jump): N of them,
# from SEED on (CI has 6).
faults-sync: setup
	$(BIN)/python -m tests.faults.sync_schedules $(or $(N),200) $(if $(SEED),--seed $(SEED))

# Floods a real server in every way of tests/faults/attacks.py, SECONDS each, while an honest client works; prints what
# came of it. Each attack's time runs from its first try. CI has a second of all at once.
flood: setup
	$(BIN)/python -m tests.faults.flood $(or $(SECONDS),10)

# Random rules against the naive evaluator: N of them, from SEED on.
fuzz: setup
	$(BIN)/python -m tests.fuzz $(or $(N),10000) $(if $(SEED),--seed $(SEED))

# Hostile input: N executions over all targets of tests/fuzz/targets, guided by coverage.
fuzz-input: setup
	$(BIN)/python -m tests.fuzz.inputs $(or $(N),100000) $(TARGETS) $(if $(FOLDER),--folder $(FOLDER))

# Random rules against DuckDB's SQL, in so many random worlds of each of two kinds.
fuzz-sql: setup
	HYPOTHESIS_PROFILE=default SQL_SCENES=$(or $(SCENES),1000) $(BIN)/python -m pytest tests/property/test_rules_against_sql.py $(ARGS)

generate: setup
	$(BIN)/python protos/generate.py

# Everything for development, and what the image needs to run.
lock: setup
	$(BIN)/uv pip compile $(LOCK) --all-extras --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK) --extra files --extra facebook --output-file requirements-run.lock pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis bench-results
