# run: the first-look study, from nothing to findings.   test: everything CI checks.
# Both set up a virtual environment once; a second call sets nothing up again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STORE ?= store
STUDY ?= first-look

.PHONY: run test bench bench-plan docs ui deploy clean

run: $(VENV)/.ready
	$(BIN)/kpe run $(STUDY) --store $(STORE)

test: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder

bench: $(VENV)/.ready-bench
	$(BIN)/python -m pytest tests/benchmarks/test_accuracy.py tests/benchmarks/test_speed.py tests/benchmarks/test_trajectories.py tests/benchmarks/test_sql.py -s --durations=0

# Predictions of `kpe plan` against real runs of one and two workers, some minutes: on a machine that does nothing else.
bench-plan: $(VENV)/.ready-bench
	$(BIN)/python -m pytest tests/benchmarks/test_plan.py -s

docs: $(VENV)/.ready
	$(BIN)/kpe docs sql

# To the server that PREFECT_API_URL names; `make ui` serves one and says where. May be repeated.
deploy: $(VENV)/.ready
	$(BIN)/kpe deploy

ui: $(VENV)/.ready
	$(BIN)/kpe ui --store $(STORE)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed (make PYTHON=python3.11 …)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.ready-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.ready

$(VENV)/.ready-bench: $(VENV)/.ready-dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache *.egg-info
