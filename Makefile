# The two commands: `make demo` and `make test`. Everything else is for people who work on the project.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
UV := uv pip compile pyproject.toml --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes \
	--no-emit-package torch --no-header
# Compiling every file of every package takes half as long as the rest; what is imported is compiled then, once, if Python may
# write what it compiled. Where the surroundings forbid that, every process would compile for a quarter of a minute.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
export DO_NOT_TRACK = 1
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo ui test test-slow lint lock clean help

help: ## Show what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(READY) ## Set up if needed, then bring the whole lineage up to date on the embedded default
	@$(BIN)/python -m ddd_llm.automation.refresh

ui: $(READY) ## Dagster, MLflow and the report pages on loopback
	@$(BIN)/python -m ddd_llm.platform.serve

# One thread: tests start many small processes, where more only fight.
test: $(READY_DEV) ## The test suite (10 to 20 minutes on two cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

test-slow: $(READY_DEV) ## The long matrices on top
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow --timeout 3600

lint: $(READY_DEV) ## Style, types and layering
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# Torch comes after the lock and outside its hashes: indexes name different builds of it (CPU, CUDA).
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --no-deps --require-hashes -r requirements.lock
	$(INSTALL) torch==2.13.0
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# What tests and lint need on top: the same versions, and more packages.
$(READY_DEV): $(READY) requirements-dev.lock
	$(INSTALL) --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

lock: ## Resolve both lock files anew (needs uv)
	$(UV) --upgrade -o requirements.lock
	$(UV) --extra dev --extra semantic -c requirements.lock -o requirements-dev.lock

clean: ## Remove the environment and everything the program wrote
	rm -rf $(VENV) .ddd_llm
