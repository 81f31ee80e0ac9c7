# run: the first-look study, from nothing to findings.   test: everything CI checks.
# Both set up a virtual environment once; a second call sets nothing up again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STORE ?= store
STUDY ?= first-look
FLIPS ?= 300

.PHONY: run test bench bench-flows fuzz fuzz-guided corrupt faults soak audit docs ui deploy clean

run: $(VENV)/.ready
	$(BIN)/kpe run $(STUDY) --store $(STORE)

test: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder

bench: $(VENV)/.ready-bench
	$(BIN)/python -m pytest tests/benchmarks/test_accuracy.py tests/benchmarks/test_speed.py tests/benchmarks/test_trajectories.py tests/benchmarks/test_sql.py -s --durations=0

bench-flows: $(VENV)/.ready-bench   # an hour, on a machine that does nothing else
	$(BIN)/python -m pytest tests/benchmarks/test_orchestration.py tests/benchmarks/test_plan.py tests/benchmarks/test_first_look_on_s3.py -s

# Hostile inputs, SECONDS for each target; `make fuzz SEED=7` tries others. The table comes last.
SECONDS ?= 60
SEED ?= 0
fuzz: $(VENV)/.ready-dev
	KPE_FUZZ_SECONDS=$(SECONDS) KPE_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest tests/fuzz -s

# The same targets led by which code their inputs reach (Atheris), one after the other; GUIDED_FOLDER keeps what led on.
GUIDED ?= study set formulas profiles names arguments sql arrays trees pickles checkpoints folders store
GUIDED_SECONDS ?= 900
GUIDED_FOLDER ?= fuzzed
fuzz-guided: $(VENV)/.ready-fuzz
	failed=0; for target in $(GUIDED); do \
	  $(BIN)/python tests/fuzz/guided.py $$target --seconds $(GUIDED_SECONDS) --corpus $(GUIDED_FOLDER) || failed=1; \
	done; exit $$failed

# Are there known vulnerabilities in what constraints.txt pins? Asks osv.dev, which takes a network; without an answer it fails.
audit: $(VENV)/audit/.ready
	@$(VENV)/audit/bin/python -c "import requests; requests.post('https://api.osv.dev/v1/query', json={}, timeout=20)" 2> /dev/null \
	  || { echo "nothing was audited: the vulnerability database at https://api.osv.dev does not answer from here"; exit 3; }
	$(VENV)/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --vulnerability-service osv

# Hundreds of single flipped bits, each found, repaired and held against what queries answer; prints a table.
corrupt: $(VENV)/.ready-dev
	KPE_FLIPS=$(FLIPS) $(BIN)/python -m pytest tests/benchmarks/test_corruption.py -s --durations=0

# A small study under one fault at a time, against the same left in peace; goes on where it was. FAULTS_FOLDER keeps it.
TRIALS ?= 210
FAULTS_FOLDER ?= faults
faults: $(VENV)/.ready-dev
	$(BIN)/python tests/faults/run.py --stages --folder $(FAULTS_FOLDER)/stages --trials $(TRIALS)
	$(BIN)/python tests/faults/run.py --folder $(FAULTS_FOLDER)/whole --trials $$(( ($(TRIALS) + 14) / 15 ))

# Small studies back to back: memory, file handles, threads and files of the driver must not grow.
MINUTES ?= 30
soak: $(VENV)/.ready-dev
	$(BIN)/python tests/faults/soak.py --minutes $(MINUTES)

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

$(VENV)/.ready-fuzz: $(VENV)/.ready-dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,fuzz]'
	@touch $@

# In an environment of its own: what it needs is nothing the project does.
$(VENV)/audit/.ready: constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet --constraint constraints.txt pip-audit
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache *.egg-info
