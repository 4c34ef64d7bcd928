# Everything a developer and CI do. Needs python3 (3.11 to 3.13) and, without Docker, Java 17 and Maven; brings the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

UV_VERSION := 0.13.9
UV := $(shell command -v uv 2>/dev/null || echo .tools/uv/bin/uv)
VENV := .venv/bin
WORKERS ?= 2
export UV_PYTHON_DOWNLOADS ?= never

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: .venv/.synced ## Start everything here, with Kafka and MongoDB; Ctrl-C stops it
	@exec $(VENV)/python -m libs.common.cli up

.PHONY: test
test: check ## Prove everything: lint, types, then every test on a real Kafka (what CI runs)
	$(VENV)/pytest -n $(WORKERS) --dist loadgroup

.PHONY: check
check: lint types ## Lint and types

.PHONY: lint
lint: .venv/.synced ## Lint, and see that the code is formatted
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .

.PHONY: format
format: .venv/.synced ## Format the code and fix what the linter can fix
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

.PHONY: types
types: .venv/.synced ## Check the types (strict)
	$(VENV)/mypy

.PHONY: unit
unit: .venv/.synced ## The tests that start no server: one to three minutes
	$(VENV)/pytest tests/unit tests/test_architecture.py -n $(WORKERS)

.PHONY: integration
integration: .venv/.synced ## The tests on a real Kafka and a MongoDB-compatible server
	$(VENV)/pytest tests/contract tests/integration -n $(WORKERS) --dist loadgroup

.PHONY: e2e
e2e: .venv/.synced ## The tests that start the real processes
	$(VENV)/pytest tests/e2e

.PHONY: bench
bench: .venv/.synced ## Measure: see docs/benchmarks.md for what the figures mean
	$(VENV)/python -m tests.bench

.PHONY: readme
readme: .venv/.synced ## Bring the generated parts of the README up to date
	$(VENV)/python -m deploy.documents

.PHONY: stack-rust
stack-rust: ## Optional: build the faster database server, 5 to 10 minutes (needs cargo)
	cargo install secantus-mdb --version 0.5.3-beta.193 --locked --ignore-rust-version --root .stack/secantusdb-rust

.PHONY: clean-data
clean-data: .venv/.synced ## Forget what Kafka and MongoDB have stored
	@$(VENV)/python -m deploy.local forget

.PHONY: clean
clean: ## Remove what the tools made: environment, caches, logs; not the stack and its data
	rm -rf .venv .run .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

# The environment, exactly as locked. Remade when the lock changes. Compiled at once (8 s): where Python may write no
# bytecode, every process that starts would compile it again for itself (3 s each).
.venv/.synced: pyproject.toml uv.lock | $(UV)
	@$(UV) python find '>=3.11,<3.14' >/dev/null 2>&1 || { \
	  echo "No Python 3.11, 3.12 or 3.13 was found here: uv fetches one of its own."; \
	  export UV_PYTHON_DOWNLOADS=automatic; \
	}; \
	echo "Making the Python environment: up to a minute, once."; \
	$(UV) sync --frozen --quiet --compile-bytecode
	@touch $@

.tools/uv/bin/uv:
	@command -v python3 >/dev/null || { echo "python3 was not found: install Python 3.11, 3.12 or 3.13." >&2; exit 1; }
	@python3 -m venv .tools/uv || { echo "python3 cannot make environments: install its venv module (Debian: \`apt install python3-venv\`)." >&2; exit 1; }
	@.tools/uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
