# make demo: install, train three heads on two tasks, write their report with videos.
# make test: lint, types and tests, as in the CI (10 minutes). With -j 2, types are checked while the tests run.
# make test-all: also the slow tests, and those of `suite` and `clusters` (half an hour).
# make suite: tests of all 28 tasks of the dm_control suite, compared with dm_control itself; MuJoCo Warp on every task.
# make clusters: sweeps on a Ray cluster of two nodes, one of which is killed, and on a Slurm cluster of one node (if
#   slurm-wlm is installed), and runs in up to four processes.
# make faults: damaged files, killed processes, full disks; docs/reliability.md has the numbers.
# make fuzz: 20,000 random command lines, configs, sweeps and Python dicts, some of which are executed.
# make docs: the documentation: site/index.html. Its search needs a server: .venv/bin/mkdocs serve.
# make pages: the reports of the committed experiments, from their rows (about a minute of CPU time).
PYTHON ?= python3
BIN := .venv/bin
# some machines do not let Python keep compiled modules: then each of the hundreds of processes of the tests compiles them
export PYTHONDONTWRITEBYTECODE :=
# modules are compiled when they are first imported: that takes less time than compiling all of them
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile --constraint constraints.txt

SWEEPS := $(filter $(wildcard experiments/*.yaml),$(patsubst %.jsonl,%.yaml,$(wildcard experiments/*.jsonl)))

.PHONY: clusters demo pages docs test test-all all-tests suite faults fuzz lint types tests clean

.venv/created: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "pgcontrol needs Python 3.11 or newer; choose one with: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/created
	$(INSTALL) --editable .
	@touch $@

.venv/installed-dev: .venv/created
	$(INSTALL) --editable ".[dev,peers]"
	@touch .venv/installed $@

demo: .venv/installed
	@mkdir -p runs/demo && cp experiments/quick.yaml runs/demo/quick.yaml
	$(BIN)/pgcontrol compare runs/demo/quick.yaml --runs runs/demo

pages: .venv/installed
	$(BIN)/pgcontrol report $(SWEEPS)

.venv/installed-docs: .venv/installed
	$(INSTALL) --editable ".[docs]"
	@touch $@

docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

test: lint types tests

test-all: lint types all-tests

all-tests: .venv/installed-dev
	$(BIN)/python -m pytest -n 2

suite: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 -m suite tests/envs

clusters: .venv/installed-dev
	$(BIN)/python -m pytest -m slow tests/sweep/test_ray.py tests/sweep/test_slurm.py tests/training/test_ranks.py tests/bench/test_ranks.py

faults: .venv/installed-dev
	PGCONTROL_FAULTS=55 $(BIN)/python -m pytest tests/faults

fuzz: .venv/installed-dev
	PGCONTROL_FUZZ=20000 $(BIN)/python -m pytest tests/faults/test_fuzz.py tests/faults/test_fuzz_bodies.py

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-dev
	$(BIN)/pyright

tests: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 -m 'not slow and not suite'

clean:
	rm -rf .venv .pytest_cache .ruff_cache
