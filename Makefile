# The menu. `make` prints it.
.DEFAULT_GOAL := menu
.PHONY: menu setup softhsm promtool protos lock format check test system fuzz bench docs demo clean
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := 0.13.9
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/shualian
WHEELS := $(CACHE)/wheels
TOOLS := $(CACHE)/tools
export PATH := $(PATH):$(TOOLS)
# Images often say so; but tests and demo start hundreds of processes, and compiling anew costs each of them two seconds.
unexport PYTHONDONTWRITEBYTECODE
DOMAIN := --cov=device_registry --cov=face_pipeline --cov=server/settlement --cov=server/credentials

menu: ## print this menu
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/\1|\2/' | \
		while IFS='|' read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

setup: $(VENV)/.models ## make .venv, install everything, fetch and verify the models

# What the caches hold is used first, so that a second set-up needs no network.
$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(WHEELS)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-index --find-links $(WHEELS) uv==$(UV) 2>/dev/null || { \
		$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --dest $(WHEELS) uv==$(UV) && \
		$(BIN)/pip install --quiet --disable-pip-version-check --no-index --find-links $(WHEELS) uv==$(UV); }

$(VENV)/.installed: $(BIN)/uv requirements.lock pyproject.toml
	@$(BIN)/uv pip sync --quiet --offline --python $(BIN)/python --require-hashes requirements.lock 2>/dev/null || \
		$(BIN)/uv pip sync --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --offline --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.models: $(VENV)/.installed face_pipeline/models.toml
	$(BIN)/shualian models install
	@touch $@

# The tests that need them are skipped without, and say so.
softhsm: ## install SoftHSM2 when it is missing (needs root or sudo)
	@.ci/softhsm

promtool: ## fetch promtool when it is missing, for the tests of the alert rules
	@.ci/promtool $(TOOLS)

protos: $(VENV)/.installed ## write the stubs again from the .proto files
	$(BIN)/python protos/generate.py

lock: $(VENV)/.installed ## resolve the dependencies anew
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --no-header --group dev pyproject.toml --output-file requirements.lock

format: $(VENV)/.installed ## format and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# In CI this runs beside the tests, and what lasts gives way to them.
check: $(VENV)/.installed ## lint, types, import arrows, contract, printed docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	nice $(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --check
	$(BIN)/python protos/generate.py --lint
	$(BIN)/shualian docs check

# Three for two cores: tests of processes and sockets wait as often as they work.
test: setup ## every test, with the coverage bound of the domain packages
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(DOMAIN) --cov-branch --cov-fail-under=90

system: setup ## the system tests alone: real processes, real sockets
	$(BIN)/pytest -n 2 --dist loadfile tests/system

FUZZ := $(CACHE)/fuzz
SECONDS := 600

fuzz: setup ## fuzz what terminals send, ten minutes each (make fuzz SECONDS=60)
	@mkdir -p $(FUZZ) && $(BIN)/python -m tests.fuzz.seeds $(FUZZ)
	$(BIN)/python -m tests.fuzz.decoding $(FUZZ)/decoding -max_total_time=$(SECONDS) -rss_limit_mb=3000
	$(BIN)/python -m tests.fuzz.conversation $(FUZZ)/conversation -max_total_time=$(SECONDS) -rss_limit_mb=3000

bench: setup ## measure each promise beside its yardstick
	$(BIN)/shualian bench

docs: $(VENV)/.installed ## print the docs that come from code
	$(BIN)/shualian docs write

demo: setup ## the main job, told as a story, on real faces
	@$(BIN)/shualian demo

clean: ## remove the environment and what tools left behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* dist
