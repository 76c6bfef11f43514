# `make` alone lists the targets.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
READY := $(VENV)/.ready
export ML_ASSETS_HOME ?= $(CURDIR)/.ml_assets
# Two threads on shared cores make the same fit up to eight times slower.
export OMP_NUM_THREADS ?= 1
export DAGSTER_HOME ?= $(ML_ASSETS_HOME)/dagster

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test test-slow lint format bench pictures lock image clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  %-10s %s\n", $$1, $$2}'

setup: $(READY) ## Make the virtual environment from the lock file

$(READY): requirements.lock pyproject.toml setup.cfg
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv==0.13.9
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $(READY)

demo: $(READY) ## Run the whole loop on bundled data and end with live predictions
	@$(BIN)/ml-assets demo

dev: $(READY) ## Dagster UI on :3000, model server on :8080, metrics on :8000
	@$(BIN)/ml-assets dev

test: $(READY) ## Run the quick tests with coverage
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term --cov-report=xml --junitxml=reports/junit.xml

test-slow: $(READY) ## Run the slow tests: whole processes, a browser, crash tests
	# They watch real processes against deadlines, which a loaded machine can break: what
	# failed is run once more.
	$(BIN)/python -m pytest -m slow || \
		$(BIN)/python -m pytest -m slow --last-failed --last-failed-no-failures none

lint: $(READY) ## Black, isort, Flake8, MyPy, Bandit and the import contracts
	$(BIN)/black --check --quiet ml_assets ml_assets_tests benchmarks docs
	$(BIN)/isort --check --quiet ml_assets ml_assets_tests benchmarks docs
	$(BIN)/flake8 ml_assets ml_assets_tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive ml_assets --configfile pyproject.toml
	$(BIN)/lint-imports

format: $(READY) ## Format the code
	$(BIN)/isort --quiet ml_assets ml_assets_tests benchmarks docs
	$(BIN)/black --quiet ml_assets ml_assets_tests benchmarks docs

bench: $(READY) ## Run the benchmarks (see benchmarks/RESULTS.md)
	$(BIN)/python -m benchmarks

pictures: $(READY) ## Draw the dashboards for the docs (needs prometheus and faketime)
	$(BIN)/python -m docs.pictures

lock: ## Resolve the dependencies again
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev --extra s3 --extra ray --no-header --output-file requirements.lock pyproject.toml
	PATH="$(abspath $(BIN)):$$PATH" sh docker/compile.sh

image: ## Build the three images, and print their sizes
	for target in base production observability; do \
		docker build --target $$target --tag ml-assets:$$target \
			$${PYTHON_IMAGE:+--build-arg PYTHON_IMAGE="$$PYTHON_IMAGE"} \
			--build-arg REVISION="$$(git rev-parse HEAD)" . || exit 1; \
	done
	docker images --format '{{.Tag}} {{.Size}}' ml-assets

clean: ## Remove everything that was made here
	rm -rf $(VENV) .ml_assets reports build *.egg-info .coverage* coverage.xml .mypy_cache .pytest_cache .hypothesis .import_linter_cache
