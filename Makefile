# `make run` and `make test` need Python >= 3.11, make and the package registries; everything else they set up.
PYTHON ?= python3
BIN := .venv/bin
# A file's tests share servers, so they stay together; in the order of the folders, which begins with the slow ones.
TESTS := pytest -m "not soak" -n auto --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## */\t/' | expand -t 12

setup: .venv/.ready  ## Make .venv with the pinned packages and the `deputy` command

.venv/.ready: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15) and \
		"Deputy needs Python 3.11 to 3.14; name one: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: setup  ## Serve the shipped config.yaml: SQLite, the Google sandbox, the offline demo model
	$(BIN)/deputy serve

demo: setup  ## Two people at once through Slack and HTTP, each answered from their own mailbox
	$(BIN)/deputy demo

test: setup  ## Run the tests, on every core
	$(BIN)/$(TESTS)

soak: setup  ## Run the long tests
	$(BIN)/pytest -m soak

check: setup  ## Format, lint, types and tests: what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/$(TESTS)

format: setup  ## Format the code and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup  ## Write the pages that are made from the code again
	$(BIN)/deputy config reference > docs/configuration.md
	$(BIN)/typer app.cli utils docs --name deputy --title Commands --output docs/commands.md
	sed -i '/^<!-- deputy graph -->$$/q' docs/architecture.md
	(echo '```mermaid'; $(BIN)/deputy graph; echo '```') >> docs/architecture.md

bench: .venv-bench/.ready  ## Run the benchmarks against their peers; writes benchmarks/results.json
	.venv-bench/bin/python -m benchmarks

# The peers have an environment of their own. Its list is complete, and pip cannot see that pydantic[email] is in it.
.venv-bench/.ready: requirements-bench.txt pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-bench.txt
	.venv-bench/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock: setup  ## Resolve the requirements files again from pyproject.toml
	@for files in "requirements:" "requirements-dev:--extra dev" "requirements-bench:--extra dev --extra bench"; do \
		$(BIN)/uv pip compile pyproject.toml $${files#*:} --universal --generate-hashes --no-emit-index-url \
			--no-annotate --no-header --quiet --output-file $${files%%:*}.txt; \
	done

.PHONY: help setup run demo test soak check format docs bench lock
