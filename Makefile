# wavetank. `make` alone lists the targets. A bare machine needs git, make and Python 3.11 or 3.12; the rest lands in .venv.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test fast check format lint types floors links cover docs bench proof lock wheel clean

BIN := .venv/bin
# A shim can exist and fail, so each candidate is run, not looked up.
USABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	$$p -c '$(USABLE)' >/dev/null 2>&1 && { echo $$p; break; }; done)
# PIP_ARGS: for instance --index-url of a CPU-only torch index, or of a mirror.
PIP_ARGS ?=
# PYTEST_ARGS: for instance -k ledger, or -x.
PYTEST_ARGS ?=

export OMP_NUM_THREADS ?= 1
export MLFLOW_DISABLE_TELEMETRY ?= true
export RAY_USAGE_STATS_ENABLED ?= 0
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO ?= 0

help: ## List these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: .venv/.stamp ## Make .venv with everything in it (the other targets do this by themselves)

.venv/.stamp: requirements.lock pyproject.toml
	@test -f src/wavetank/market/__init__.py || { echo "src/wavetank/* must be symbolic links and this copy has lost them: clone with 'git clone -c core.symlinks=true', on Windows inside WSL." >&2; exit 2; }
	@test -n "$(PYTHON)" || { echo "wavetank needs Python 3.11 or 3.12 and found neither: install one (Debian and Ubuntu: apt install python3.11 python3.11-venv; macOS: brew install python@3.12; anywhere: uv python install 3.12) and put it on PATH, or name it: make PYTHON=/path/to/python3.12 setup" >&2; exit 2; }
	@$(PYTHON) -c '$(USABLE)' 2>/dev/null || { echo "PYTHON=$(PYTHON) does not run as Python 3.11 or 3.12 with its venv module; name one that does: make PYTHON=/path/to/python3.12 setup" >&2; exit 2; }
	@echo "setting up .venv with $(PYTHON): about 3.4 GB, some minutes, once"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check $(PIP_ARGS) -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Make a market, train, walk forward, storm, promote or refuse, trade on paper, write the page
	$(BIN)/wavetank demo

test: setup ## Run every test once
	$(BIN)/pytest $(PYTEST_ARGS)

fast: setup ## Run the tests that take no more than a second or two each
	$(BIN)/pytest -m "not slow" $(PYTEST_ARGS)

check: setup lint types floors links ## All that CI checks: format, lint, types, floors, links, then every test
	$(BIN)/pytest $(PYTEST_ARGS)

format: setup ## Rewrite the sources in the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup ## Check format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup ## Check types: strict mypy over package, tests and benchmarks
	$(BIN)/mypy
	$(BIN)/mypy tests $(if $(wildcard benchmarks/*.py),benchmarks)

floors: setup ## Check that no import climbs, crosses a bar, or takes a heavy library past its file
	$(BIN)/lint-imports

links: ## Check that src/wavetank links every room of the house, and nothing else
	@for file in */__init__.py __init__.py py.typed; do room=$${file%/__init__.py}; \
		test "$$(readlink src/wavetank/$$room)" = "../../$$room" \
			|| { echo "src/wavetank/$$room must be a link to ../../$$room" >&2; exit 2; }; done
	@for link in src/hydra_plugins $(filter-out %/__pycache__,$(wildcard src/wavetank/*)); do test -L $$link -a -e $$link \
		|| { echo "$$link is not a link to a room that exists" >&2; exit 2; }; done

cover: setup ## Coverage of the fast tests, kernels interpreted (compiled ones are invisible to it)
	$(BIN)/coverage erase
	NUMBA_DISABLE_JIT=1 $(BIN)/coverage run -m pytest -m "not slow and not ray" $(PYTEST_ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

docs: setup ## Write the generated pages anew (docs/observation.md)
	$(BIN)/python -m wavetank.scripts.pages

bench: setup ## Measure speeds on a quiet machine and write docs/benchmarks.md
	$(BIN)/python benchmarks/run.py

proof: setup ## Show what does not fit a test run and write docs/proof.md, to be committed
	$(BIN)/python benchmarks/proof.py

lock: ## Write requirements.lock from pyproject.toml (UV_ARGS=--upgrade renews every pin)
	@mkdir -p build && cp requirements.lock build/requirements.raw
	test -x build/uv/bin/uv || { $(PYTHON) -m venv build/uv && build/uv/bin/pip install -q $(PIP_ARGS) uv; }
	UV_NO_CONFIG=1 build/uv/bin/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
		--extra research --extra viz --extra dev --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
		$(UV_ARGS) pyproject.toml --output-file build/requirements.raw
	grep -vE '^(nvidia|cuda|triton)' build/requirements.raw > requirements.lock
	@! grep -nE '://|^ *(-|\#)' requirements.lock || { echo "requirements.lock must name packages only" >&2; exit 2; }

wheel: setup ## Build the wheel into dist/
	rm -rf build/lib build/bdist.* dist
	$(BIN)/pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation -w dist .
	@ls dist

clean: ## Remove caches and build leftovers; .venv and outputs stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* *.egg-info src/*.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
