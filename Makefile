# Every target does its own set-up on a fresh machine: a venv, uv in it, the locked dependencies, byte-compiled.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
UV := 0.13.9
# Work is taken over at the end: the slow tests stand together, and would all be left to one process. Three, for two
# cores: much of what is tested is waiting.
TESTS ?= -n 3 --dist worksteal
RANDOM := $(addprefix tests/integration/test_, graphs.py copying.py money.py state_machine.py usage_rollups.py ledger_rows.py)
MUTANTS := .venv-mutants

.PHONY: setup demo web docs test shuffled screenshots test-clients coverage mutants check audit sbom bundle platforms bench soak lock clean

setup: $(READY)

$(READY): requirements.lock requirements-dev.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip --quiet --disable-pip-version-check install uv==$(UV)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode --requirement requirements-dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)

# `make demo LIVE=1`: on the real providers whose keys are in the environment, for at most $$0.05.
demo: $(READY)
	$(BIN)/vel-tutor-mcp demo $(if $(LIVE),--live)

test: $(READY)
	$(BIN)/python -m pytest $(TESTS)

# The whole suite five times, each in another random order, by two processes: for tests that lean on each other, or on luck.
# What failed is run again in the same order by the `-p randomly_seed` that its head names.
shuffled: $(READY)
	for run in 1 2 3 4 5; do \
	  CI=true $(BIN)/python -m pytest -n 2 --dist worksteal -p randomly --randomly-dont-reset-seed -p no:cacheprovider || exit 1; \
	done

# After a change in web/: the dashboard's page, which the package ships, is built anew (web/README.md). Needs Node and npm.
web: web/node_modules/.package-lock.json
	cd web && npx tsc --noEmit && node test.mjs && node build.mjs

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# docs/reference/, out of the code; a test compares what is there with what this would write.
docs: $(READY)
	PYTHONPATH=docs $(BIN)/python -m generate

# Pictures of each view of the dashboard, light and dark, wide and narrow, of a month of 1,000 tasks.
screenshots: $(READY)
	VEL_TEST_SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest tests/acceptance/test_dashboard.py -k each_view -o faulthandler_timeout=0 -p no:cacheprovider

# Clients that people use, on this server, over each transport: docs/clients.md is written anew. Installs a gigabyte once.
test-clients: $(READY)
	VEL_TEST_CLIENTS=1 $(BIN)/python -m pytest tests/clients -o faulthandler_timeout=0 -p no:cacheprovider

# As `make test`, and which lines it runs, in the servers and commands too: half as long again.
coverage: $(READY)
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest $(TESTS) --cov

# How many planted faults the tests find, in what decides on models, money, rights and the trail: at least 75 % in each
# module (docs/quality.md). Some half an hour, in a virtual environment of its own.
mutants:
	$(MAKE) setup VENV=$(MUTANTS)
	$(MUTANTS)/bin/uv pip install --quiet --python $(MUTANTS)/bin/python --require-hashes --requirement requirements-mutants.lock
	nice $(MUTANTS)/bin/python .ci/mutants.py

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/arid .
	$(BIN)/python .ci/dependencies.py audit

# Known vulnerabilities of what is locked; told as skipped where no advisories can be had. `make check` asks too, but with
# CI=true, where a run depends on nothing but what was submitted.
audit: $(READY)
	CI= $(BIN)/python .ci/dependencies.py audit

# At a release: the bill of materials (CycloneDX) of what users install.
sbom: $(READY)
	$(BIN)/python .ci/dependencies.py sbom dist/sbom.cdx.json

# At a release: what desktop clients install with a click (MCPB), packed and checked by the official tool, which npm brings.
bundle: $(READY)
	PYTHONPATH=tests $(BIN)/python .ci/bundle.py dist

# At a release, of what is not run here (docs/platforms.md): types as each Python and system has them, and a wheel for it
# of every locked package. macOS is Apple's silicon.
platforms: $(READY)
	for version in 3.11 3.12 3.13 3.14; do \
	  for system in linux aarch64-unknown-linux-gnu macos windows; do \
	    $(BIN)/uv pip install --quiet --dry-run --no-deps --only-binary :all: --target $(VENV)/none \
	      --python-version $$version --python-platform $$system --requirement requirements.lock || exit 1; \
	  done; \
	  for system in linux darwin win32; do \
	    $(BIN)/mypy --python-version $$version --platform $$system --cache-dir .mypy_cache/$$system \
	      src tools resources migrations || exit 1; \
	  done; \
	done

# Everything against its baseline, as one table: docs/measured.md is written anew. Three quarters of an hour, on a machine
# with nothing else to do.
bench: $(READY)
	$(BIN)/python benchmarks/run.py --page docs/measured.md

# The long loops: 10,000 guesses of passwords, 2,000 random schedules of the ledger, 10,000 audit entries by eight
# processes, 200 writes by two servers and a person into one tasks.json, floods of 10,000 requests, generated requests
# to every route of REST as each role, then 1,000 calls to two servers of which one is killed, 100 kills among tasks
# and 100 in runs, on each database, and 42 in a run of a Task Master project, 100,000 stored tasks, and today's
# version beside an older one, in one to two hours; the random graphs, rows and orders of events of the integration
# tests, ten times as many; the conversations over each transport on each database; the planted faults.
soak: $(READY)
	VEL_TEST_GUESSES=10000 $(BIN)/python -m pytest tests/integration/shared/test_access.py --timeout 1200 -o faulthandler_timeout=0 -p no:cacheprovider
	VEL_TEST_SCHEDULES=2000 $(BIN)/python -m pytest tests/integration/test_ledger_properties.py --timeout 7200 -o faulthandler_timeout=0 -p no:cacheprovider
	VEL_TEST_APPENDS=10000 $(BIN)/python -m pytest tests/integration/test_audit_verify.py -k at_once --timeout 600 -o faulthandler_timeout=0 -p no:cacheprovider
	VEL_TEST_WRITES=200 $(BIN)/python -m pytest tests/acceptance/test_task_master.py -k two_servers --timeout 1200 -o faulthandler_timeout=0 -p no:cacheprovider
	VEL_TEST_FLOOD=10000 $(BIN)/python -m pytest tests/acceptance/test_floods.py --timeout 600 -o faulthandler_timeout=0 -p no:cacheprovider
	VEL_TEST_EXAMPLES=50 $(BIN)/python -m pytest tests/acceptance/test_openapi.py --timeout 3600 -o faulthandler_timeout=0 -p no:cacheprovider
	VEL_TEST_STORED=100000 $(BIN)/python -m pytest tests/integration/test_many_stored_tasks.py -o faulthandler_timeout=0 -p no:cacheprovider
	VEL_TEST_OLDER=1 $(BIN)/python -m pytest tests/acceptance/test_rolling_upgrade.py -o faulthandler_timeout=0 -p no:cacheprovider
	VEL_TEST_KILLS=100 $(BIN)/python -m pytest -m kills --timeout 3000 -o faulthandler_timeout=0 -p no:cacheprovider
	VEL_TEST_TIMES=10 $(BIN)/python -m pytest $(RANDOM) --timeout 1200 -o faulthandler_timeout=0 -p no:cacheprovider
	VEL_TEST_EVERYWHERE=1 $(BIN)/python -m pytest $(TESTS) tests/acceptance -p no:cacheprovider
	$(MAKE) mutants

# After a change of the dependencies in pyproject.toml. Hashes of all platforms, and no registry's address.
lock: $(READY)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --extra otel --constraints requirements.lock --output-file requirements-otel.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --extra otel --group dev --output-file requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --group pyproject.toml:audit --output-file requirements-audit.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --group pyproject.toml:mutants --constraint requirements-dev.lock --output-file requirements-mutants.lock
	for name in python-sdk-v1 fastmcp; do $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 tests/clients/$$name.in --output-file tests/clients/$$name.txt || exit 1; done

clean:
	rm -rf $(VENV) .venv-audit $(MUTANTS) mutants dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
