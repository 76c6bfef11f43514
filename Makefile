# `make` alone lists the targets.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CODE := ml_assets ml_assets_tests benchmarks checks docs
UV := $(BIN)/uv
READY := $(VENV)/.ready
export ML_ASSETS_HOME ?= $(CURDIR)/.ml_assets
# Two threads on shared cores make the same fit up to eight times slower.
export OMP_NUM_THREADS ?= 1
export DAGSTER_HOME ?= $(ML_ASSETS_HOME)/dagster
# Or the first process that imports a module compiles it.
export UV_COMPILE_BYTECODE ?= 1
# With it, each of the many processes of the tests would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test test-slow lint format bench docs pictures lock image clean
.PHONY: ci packages tools audit-online data-quality chart test-processes test-containers
.PHONY: cluster test-cluster publish-build publish-sign publish-verify publish-tag
.PHONY: publish-chart publish-list

help: ## List the targets
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  %-15s %s\n", $$1, $$2}'

setup: $(READY) ## Make the virtual environment from the lock file

$(READY): requirements.lock pyproject.toml setup.cfg
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv==0.13.9
	$(UV) pip sync --quiet --python $(BIN)/python requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $(READY)

demo: $(READY) ## Run the whole loop on bundled data and end with live predictions
	@$(BIN)/ml-assets demo

dev: $(READY) ## Dagster UI on :3000, model server on :8080, metrics on :8000
	@$(BIN)/ml-assets dev

ci: ## What .github/workflows/ci.yml runs, less what needs GitHub or a cluster
	# Each of the four keeps one core busy.
	$(MAKE) lint docs data-quality chart --jobs=2 --output-sync=target
	$(MAKE) test
	$(MAKE) test-slow

lint: $(READY) ## Form, types, secrets, known faults, import contracts, workflows
	$(BIN)/black --check --quiet $(CODE)
	$(BIN)/isort --check --quiet $(CODE)
	$(BIN)/flake8 $(CODE)
	$(BIN)/mypy
	@mkdir -p reports
	$(BIN)/bandit --quiet --recursive ml_assets --configfile pyproject.toml \
		--exit-zero --format json --output reports/bandit.json
	$(BIN)/bandit --quiet --recursive ml_assets --configfile pyproject.toml
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile ml_assets_tests/kits/standins/Dockerfile
	$(BIN)/shellcheck .ci/run .ci/packages $$(git ls-files --cached --others --exclude-standard '*.sh')
	$(BIN)/yamllint --strict $$(git ls-files --cached --others --exclude-standard '*.yml' '*.yaml')
	# Not in the format SARIF: with that, it ends well whatever it found.
	$(BIN)/zizmor --offline --no-progress --pedantic --strict-collection .github
	$(BIN)/python -m checks.secrets
	$(BIN)/python -m checks.audit

audit-online: $(READY) ## Safety's database of faults over the lock file; needs a network
	$(BIN)/python -m checks.vulnerabilities

data-quality: $(READY) ## The production checks on bundled data; reports/data-quality.json
	$(BIN)/python -m checks.quality

# Telling which lines ran takes half of the time again.
MEASURED = --cov --cov-report=term --cov-report=xml:reports/coverage.xml \
	--cov-report=html:reports/coverage

# The tests of a file share what its fixtures made.
BY_FILE = --dist loadfile --no-loadscope-reorder

# `make chart` runs those of the chart.
test: $(READY) ## Run the quick tests; COVERAGE=1 also tells which lines ran
	$(BIN)/python -m pytest -n 2 $(BY_FILE) -rs --durations=10 --junitxml=reports/junit.xml \
		$(addprefix --ignore=,$(CHART_TESTS)) $(if $(COVERAGE),$(MEASURED))

# Those of them that watch real processes have deadlines, which a loaded machine can
# break: what failed is run once more, alone. They wait for a quarter of their time, so
# that three keep two cores busy.
SLOW = $(BIN)/python -m pytest -n 3 $(BY_FILE) -rs -m slow \
	--junitxml=reports/junit-$@.xml $(CHOSEN)
AGAIN = $(BIN)/python -m pytest -rs -m slow --junitxml=reports/junit-$@-again.xml \
	--last-failed --last-failed-no-failures none $(CHOSEN)
CONTAINER_TESTS := $(addprefix ml_assets_tests/integration/test_,image.py init_image.py compose.py docker_target.py)
CHART_TESTS := $(wildcard ml_assets_tests/unit/helm/test_*.py)
# They have more dependencies than the project, so they stand apart.
VERSION_IN = $(shell sed -n 's/^VERSION = "\(.*\)"/\1/p' $(1))
TOOLS = checkov==$(call VERSION_IN,ml_assets_tests/unit/helm/test_chart_checkov.py) \
	safety==$(call VERSION_IN,checks/vulnerabilities.py)

test-slow: CHOSEN = $(addprefix --ignore=,$(CHART_TESTS))
test-slow: tools ## Run the slow tests but those of the chart
	$(SLOW) || $(AGAIN)

test-processes: CHOSEN = $(addprefix --ignore=,$(CHART_TESTS) $(CONTAINER_TESTS))
test-processes: tools ## Slow tests: many trainings, whole processes, a browser
	$(SLOW) || $(AGAIN)

test-containers: CHOSEN = $(CONTAINER_TESTS)
test-containers: $(READY) ## Slow tests: the images, Docker Compose, the target docker
	$(SLOW) || $(AGAIN)

tools: $(READY) ## Fetch Checkov and Safety, where that is possible
	@for tool in $(TOOLS); do \
		$(BIN)/uvx --quiet --from $$tool python -c "" || \
			echo "$$tool cannot be had, so what needs it is skipped"; \
	done

# The official chart whose values are ours, of the version that they name.
DAGSTER_VERSION := $(shell sed -n '1s/.*version \([0-9.]*\):$$/\1/p' helm/dagster/values.yaml)
chart: export DAGSTER_CHART = build/dagster-$(DAGSTER_VERSION).tgz

chart: tools ## Lint and render the charts, hold them against schemas, policies and programs
	@mkdir -p build
	@test -f $(DAGSTER_CHART) || curl --fail --silent --location --max-time 60 \
		--output $(DAGSTER_CHART) https://dagster-io.github.io/helm/dagster-$(DAGSTER_VERSION).tgz || \
		echo "the official Dagster chart cannot be had, so it is not rendered itself"
	$(BIN)/python -m pytest -rs -m 'slow or not slow' $(CHART_TESTS)

packages: ## Install from Debian or Ubuntu what the slow tests drive
	.ci/packages

format: $(READY) ## Format the code
	$(BIN)/isort --quiet $(CODE)
	$(BIN)/black --quiet $(CODE)

bench: $(READY) ## Run the benchmarks (see benchmarks/RESULTS.md)
	$(BIN)/python -m benchmarks

docs: $(READY) ## Build the site of the documentation into build/docs/site, with strict links
	$(BIN)/python -m docs.site build/docs
	# In an environment of its own, which uv keeps.
	cd build/docs && NO_MKDOCS_2_WARNING=1 $(abspath $(UV)) run --quiet --isolated --no-project \
		--with-requirements ../../docs/requirements.txt mkdocs build --quiet --strict

pictures: $(READY) ## Draw the dashboards for the docs (needs prometheus and faketime)
	$(BIN)/python -m docs.pictures

# The platform is all of them.
EXTRAS = dev serve kubernetes docker postgres delivery s3 ray

lock: ## Resolve the dependencies again
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes $(addprefix --extra ,$(EXTRAS)) --no-header --output-file requirements.lock pyproject.toml
	PATH="$(abspath $(BIN)):$$PATH" sh docker/compile.sh

# DOCKER names another client, PYTHON_IMAGE another base.
DOCKER ?= docker

image: ## Build the three images, and print their sizes
	for target in base production observability; do \
		$(DOCKER) build --target $$target --tag ml-assets:$$target \
			$${PYTHON_IMAGE:+--build-arg PYTHON_IMAGE="$$PYTHON_IMAGE"} \
			--build-arg REVISION="$$(git rev-parse HEAD)" . || exit 1; \
	done
	$(DOCKER) images --format '{{.Tag}} {{.Size}}' ml-assets

CLUSTER := ml-assets-e2e
KUBECONFIG_E2E := $(CURDIR)/build/kubeconfig

cluster: ## A cluster of kind with the images of `make image`
	mkdir -p build
	kind get clusters | grep -qx $(CLUSTER) || \
		kind create cluster --name $(CLUSTER) --kubeconfig $(KUBECONFIG_E2E) --wait 180s
	kind load docker-image --name $(CLUSTER) ml-assets:base ml-assets:production

test-cluster: $(READY) ## The whole platform on the cluster of `make cluster`
	KUBECONFIG=$(KUBECONFIG_E2E) ML_ASSETS_E2E_NODE=$(CLUSTER)-control-plane \
	ML_ASSETS_E2E_IMAGE=ml-assets:base ML_ASSETS_E2E_SERVER_IMAGE=ml-assets:production \
		$(BIN)/python -m pytest -rs -m e2e ml_assets_tests/e2e --junitxml=reports/junit-e2e.xml

# docker/publish.sh says what each does, and which variables it reads.
publish-build publish-sign publish-verify publish-tag publish-chart publish-list:
	@docker/publish.sh $(@:publish-%=%)

clean: ## Remove everything that was made here
	rm -rf $(VENV) .ml_assets reports build *.egg-info .coverage* .mypy_cache .pytest_cache .hypothesis .import_linter_cache
