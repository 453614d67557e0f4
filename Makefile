# `make help` lists the targets. Each does its own set-up; the two that matter first: `make run`, `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
JOBS   ?= 3
STAMP  := $(VENV)/.installed
LOWEST := $(VENV)-lowest
INSTALL := -m pip install --quiet --disable-pip-version-check --no-deps

.DEFAULT_GOAL := help
.PHONY: help run test fuzz lowest fastapi-suite check docs coverage format e2e image bench bench-before soak bench-tuner bench-live bench-fleet bench-budget pictures render lock clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Paceline needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo 'Setting up $(VENV), once: a minute or two.'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -r requirements.lock
	$(BIN)/python $(INSTALL) --editable .
	@touch $@

$(LOWEST)/.installed: requirements.lowest.lock pyproject.toml
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python $(INSTALL) -r requirements.lowest.lock
	$(LOWEST)/bin/python $(INSTALL) --editable .
	$(LOWEST)/bin/python -m pip check
	@touch $@

run: $(STAMP) ## the whole platform on this machine, mis-tuned, tuning itself (ARGS="--for 90s")
	$(BIN)/paceline up --demo $(ARGS)

# More processes than cores: most tests wait for processes, sockets and pods.
test: $(STAMP) ## every test this machine can run; the cluster suites too with KUBECONFIG or KUBEBUILDER_ASSETS (JOBS=0: one by one)
	$(BIN)/python -m pytest -n $(JOBS) --no-loadscope-reorder $(ARGS)

fuzz: $(STAMP) ## the property tests and fuzzers with 100,000 examples each; hours (ARGS="-k cache_key")
	PACELINE_FUZZ=1 $(BIN)/python -m pytest -m fuzz --timeout=0 $(ARGS)

lowest: $(LOWEST)/.installed ## the pool adapters, and a FastAPI application, at the lowest versions of requirements.lowest.lock
	$(LOWEST)/bin/python -m pytest tests/unit/paceline/resources tests/integration/resources tests/integration/apps/test_apps.py \
		--ignore=tests/integration/resources/test_processes.py -k "not gunicorn and not framework" $(ARGS)

fastapi-suite: ## FastAPI's own test suite with compiled routes, fetched from the registry; five minutes
	PYTHON=$(PYTHON) VENV=$(VENV) scripts/fastapi-suite

check: $(STAMP) ## format, lint, types, layers, chart, rendered files, Tiltfile, documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/render --check
	$(BIN)/python scripts/reference --check
	scripts/tiltfile
	$(BIN)/python scripts/site && $(BIN)/zensical build --strict

docs: $(STAMP) ## the documentation as a site, in build/site; a broken link or anchor fails
	$(BIN)/python scripts/site
	$(BIN)/zensical build --strict

coverage: $(STAMP) ## the tuning core, branch by branch, under its own unit tests
	$(BIN)/coverage run --data-file=$(VENV)/.coverage --branch --source=operator/paceline_operator/core -m pytest -q tests/unit/paceline_operator/core
	$(BIN)/coverage report --data-file=$(VENV)/.coverage --show-missing --skip-covered --fail-under=100

format: $(STAMP) ## rewrite what the formatter and the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

e2e: $(STAMP) ## the cluster suites alone, against KUBECONFIG
	$(BIN)/python -m pytest tests/cluster tests/e2e $(ARGS)

image: ## both images, into the cluster (IMAGE_BUILD, IMAGE_LOAD)
	scripts/image service operator

bench: $(STAMP) ## serving benchmarks (ONLY=name, JSON=1)
	$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json)

bench-before: $(STAMP) ## what a change costs a request: this checkout against the one in BEFORE=FOLDER, which has a .venv
	$(BIN)/python -m tests.benchmarks.before $(BEFORE)

soak: $(STAMP) ## ten minutes of load and retuning: memory, lost requests, connections (SECONDS=n)
	$(BIN)/python -m tests.benchmarks.soak $(if $(JSON),--json)

bench-tuner: $(STAMP) ## the tuner beside the exhaustive grid and simpler ways, on every scenario (ONLY=prefix, JSON=1, BUDGET=no)
	$(BIN)/python -m tests.benchmarks.tuner $(if $(ONLY),--only $(ONLY)) $(if $(filter no,$(BUDGET)),--without-budget) $(if $(JSON),--json) $(ARGS)

bench-live: $(STAMP) ## real pods tuned from bad starts, beside the best of a grid; nine minutes on a quiet machine (ONLY=tuning or ranks, JSON=1)
	$(BIN)/python -m tests.benchmarks.live $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json)

bench-fleet: $(STAMP) ## what the operator costs: a pass over 1,000 pods, whole fleets on a real API server, the simulator beside SimPy (ONLY=name, JSON=1)
	PYTHONPATH=tests/support $(BIN)/python -m tests.benchmarks.fleet $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json)

bench-budget: $(STAMP) ## one PostgreSQL of 40 in the cluster of KUBECONFIG: fixed pools, then a ConnectionBudget; eight minutes
	PYTHONPATH=tests/support $(BIN)/python -m tests.benchmarks.budget

pictures: $(STAMP) ## docs/plots: the demonstration's screen and runs of the simulator, as the README and docs/tuning.md show them
	$(BIN)/paceline up --demo --for 60s --picture docs/plots/demo.svg
	for name in mixed-step cpu-step fault-database-slow cost-diurnal; do \
		$(BIN)/paceline-operator simulate tests/simulation/scenarios/$$name.yaml --plot docs/plots/$$name.svg || exit 1; \
	done

render: $(STAMP) ## CRD -> chart, chart -> k8s/manifests, code -> docs/reference.md
	$(BIN)/python scripts/render
	$(BIN)/python scripts/reference

lock: $(STAMP) ## requirements.lock from pyproject.toml: versions only, no address
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --system-certs --no-annotate --no-header --no-emit-index-url --universal --python-version 3.11 \
		--all-extras --upgrade pyproject.toml -o requirements.lock

clean: ## what make created
	rm -rf $(VENV) $(LOWEST) $(VENV)-fastapi-suite .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
