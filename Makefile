# Every command that a person or CI runs. `make help` lists them.
# Only python3 (3.11 or newer), make and git are presumed; everything else comes from packages into .uv/, .venv/ and ui/node_modules/.

PYTHON ?= python3
BIN := .venv/bin
# Of pytest; more than the processors of a small machine, because tests wait for much.
WORKERS ?= 3
RUFF_PATHS := contracts sdk services gateway deploy tests examples benchmarks conftest.py

.DEFAULT_GOAL := help
.PHONY: help env up down status logs test faults soak check api bench bench-peers ui format
.SILENT:

help: ## what there is
	grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

env: ## the Python environment, exactly as uv.lock says
	$(PYTHON) deploy/bootstrap.py

up: env ui ## start everything, Ctrl-C stops it (ARGUS_PORT=8000 ARGUS_HOME=.argus DETACH=1 DEMO=0)
	exec $(BIN)/argus-local up

down: env ## stop the stack of ARGUS_HOME
	exec $(BIN)/argus-local down

status: env ## what runs
	exec $(BIN)/argus-local status

logs: env ## the last lines of every log (argus-local logs -f NAME follows one)
	exec $(BIN)/argus-local logs

ui: env ## build the UI into ui/dist (skipped when nothing has changed)
	$(BIN)/python -m argus_local.ui build

test: env ui ## all tests against real servers, browser included (PYTEST="-k word" chooses)
	$(BIN)/python -m argus_local.browser > /dev/null || true  # fetched before the workers start; the tests say what is missing
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not rare" $(PYTEST); tested=$$?; $(BIN)/python -m argus_local.ui test && exit $$tested

faults: env ui ## the tests with rare faults, which CI runs too (PYTEST="-k word" chooses)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m rare $(PYTEST)

soak: env ui ## the long forms of the fault and harm tests: minutes each, hours in all (PYTEST="-k word" chooses)
	ARGUS_FAULTS=full $(BIN)/pytest -s tests/faults tests/harm $(PYTEST)

check: env ## format, lint, types, import walls, frozen contracts, the page's types, UI
	$(BIN)/ruff format --check $(wildcard $(RUFF_PATHS))
	$(BIN)/ruff check $(wildcard $(RUFF_PATHS))
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m argus_contracts.freeze --check
	$(BIN)/argus-gateway openapi | cmp -s - ui/src/api/openapi.json || { echo "ui/src/api is not what the routes say: make api" >&2; exit 1; }
	$(BIN)/python -m argus_local.ui check

api: env ## the page's types, from the gateway's routes and their answers
	$(BIN)/argus-gateway openapi > ui/src/api/openapi.json
	$(BIN)/python -m argus_local.ui api

bench: env ## figures beside their goals, into benchmarks/RESULTS.md (BENCH="sdk_call runs_list" chooses)
	exec $(BIN)/python -m benchmarks $(BENCH)

bench-peers: env ## the same work through Argus, MLflow and trackio (fetched into .peers/): ratios, into RESULTS.md
	exec $(BIN)/python -m benchmarks peers

format: env ## put the code into shape
	$(BIN)/ruff check --fix-only --quiet $(wildcard $(RUFF_PATHS))
	$(BIN)/ruff format $(wildcard $(RUFF_PATHS))
