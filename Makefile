# `make run` and `make test` need Python >= 3.11, make and the package registries; everything else they set up.
PYTHON ?= python3
BIN := .venv/bin
# Each core gets one half of the tests in order, so files keep their servers, and takes over what the other has left.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n auto --dist worksteal

.DEFAULT_GOAL := help

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## */\t/' | expand -t 12

setup: .venv/.ready  ## Make .venv with the pinned packages and the `deputy` command

.venv/.ready: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15) and \
		"Deputy needs Python 3.11 to 3.14; name one: make PYTHON=python3.12 …")'
	@echo "Setting up, in three steps. It takes about a minute, once."
	@echo "1/3 a Python environment in .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python .ci/install.py "2/3 packages" --require-hashes -r requirements-dev.txt
	@$(BIN)/python .ci/install.py "3/3 the command deputy" --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q -j 0 -x tests/.*test_ app containers deputy interfaces tests
	@touch $@

run: setup  ## Serve the shipped config.yaml: SQLite, the Google sandbox, the offline demo model
	@$(BIN)/deputy serve

demo: setup  ## Two people at once on every channel, each answered from their own mailbox
	$(BIN)/deputy demo

demo-agno: setup  ## The same, with mail read by agno's own GmailTools
	$(BIN)/deputy demo --agno

test: setup  ## Run the tests that need no process of their own, on every core
	$(PYTEST) -m "not system and not soak"

test-system: setup .venv-mockpost/.ready  ## Run the tests of processes, kills, outages and browsers
	$(PYTEST) -m "system and not soak"

.venv-mockpost/.ready: requirements-mockpost.txt
	@$(PYTHON) -m venv .venv-mockpost
	@.venv-mockpost/bin/python .ci/install.py "mockpost, which tests send to" --require-hashes -r requirements-mockpost.txt
	@touch $@

screenshots: setup  ## Take the pictures of the docs again, in a real Chromium
	DEPUTY_SCREENSHOTS=1 $(BIN)/pytest -n 0 tests/browser/test_playground.py

coverage: setup  ## Measure which branches the tests of `make test` reach
	$(BIN)/coverage erase
	PYTHONDONTWRITEBYTECODE= $(BIN)/coverage run -m pytest -n auto --dist worksteal -m "not system and not soak"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

soak: setup  ## Run the long tests
	$(BIN)/pytest -m soak

lint: setup  ## Check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup  ## Check types
	$(BIN)/mypy

check: lint types test test-system site  ## Lint, types and all tests but the long ones

format: setup  ## Format the code and fix what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup  ## Write the pages that are made from the code again
	$(BIN)/deputy config reference > docs/configuration.md
	$(BIN)/typer app.cli utils docs --name deputy --title Commands --output docs/commands.md
	sed -i '/^<!-- deputy graph -->$$/q' docs/architecture.md
	(echo '```mermaid'; $(BIN)/deputy graph; echo '```') >> docs/architecture.md
	$(BIN)/python -m tests.wording > docs/wording.md

agno-table: setup  ## Try every toolkit of agno's, and write docs/agno-toolkits.md again
	$(BIN)/uv pip install --quiet --target build/agno-packages --group pyproject.toml:agno-table
	$(BIN)/python -m tests.agno_table > docs/agno-toolkits.md

site: .venv-docs/.ready  ## Build the documentation as a site in build/site, without any other host
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@echo "Open build/site/index.html"

.venv-docs/.ready: requirements-docs.txt
	@$(PYTHON) -m venv .venv-docs
	@.venv-docs/bin/python .ci/install.py "the site's packages" --require-hashes -r requirements-docs.txt
	@touch $@

bench: .venv-bench/.ready  ## Run the benchmarks against their peers; writes benchmarks/results.json
	.venv-bench/bin/python -m benchmarks

# The peers have an environment of their own. Its list is complete, and pip cannot see that pydantic[email] is in it.
.venv-bench/.ready: requirements-bench.txt pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-bench.txt
	.venv-bench/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock: setup  ## Resolve the requirements files again from pyproject.toml
	@for files in "requirements:pyproject.toml" "requirements-dev:pyproject.toml --extra dev --extra mcp" \
			"requirements-bench:pyproject.toml --extra dev --extra mcp --extra bench" "requirements-docs:--group pyproject.toml:docs" \
			"requirements-mockpost:--group pyproject.toml:mockpost"; do \
		$(BIN)/uv pip compile $${files#*:} --universal --generate-hashes --no-emit-index-url \
			--no-annotate --no-header --quiet --output-file $${files%%:*}.txt; \
	done

.PHONY: help setup run demo demo-agno test test-system screenshots coverage soak lint types check format docs agno-table site bench lock
