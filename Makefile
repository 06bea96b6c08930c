# Every target sets up what it needs in .venv; nothing is installed globally.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
BIN := .venv/bin
export MLFLOW_DISABLE_TELEMETRY := true
export OMP_NUM_THREADS ?= 2


DATA ?=
PORT ?= 8080
# The demo has a registry of its own: it must not touch the champions of a service that runs.
DEMO_MODELS := sqlite:///var/demo/models/mlflow.db
.PHONY: help setup demo serve sandbox bench test test-all lint clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: .venv/installed ## Create .venv and install, nothing global

.venv/installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v in ((3, 11), (3, 12)) else f"Python 3.11 or 3.12 is needed, this is {v[0]}.{v[1]}; run: make setup PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --progress-bar off torch==2.13.0
	$(BIN)/pip install --quiet --progress-bar off --constraint constraints.txt --editable '.[test]'
	@touch $@

demo: setup ## Train, load the city, decide one of each kind over HTTP, verify, replay (DATA=folder: real invoices)
ifeq ($(DATA),)
	rm -rf var/demo
	$(BIN)/python -m ml city --out var/demo/feeds
	MLFLOW_TRACKING_URI=$(DEMO_MODELS) $(BIN)/python -m ml train-city
	DECISION_HOME=var/demo/home MLFLOW_TRACKING_URI=$(DEMO_MODELS) $(BIN)/decision-service rules activate rules
	DECISION_HOME=var/demo/home $(BIN)/decision-service feeds load var/demo/feeds
	DECISION_HOME=var/demo/home MLFLOW_TRACKING_URI=$(DEMO_MODELS) $(BIN)/decision-service demo var/demo/feeds/showcase.json
else
	rm -rf var/real
	$(BIN)/python -m ml cumcm prepare --data $(DATA) --out var/real
	DECISION_HOME=var/real/home $(BIN)/decision-service feeds load var/real/feeds
	@set -e; for fold in var/real/fold-*; do \
	  DECISION_HOME=var/real/home $(BIN)/decision-service decide $$fold/applications.jsonl --rules $$fold/rules \
	    --model-alias $$(basename $$fold) --now 2020-03-01T09:00:00+08:00 --json > $$fold/decisions.jsonl; done
	$(BIN)/python -m ml cumcm report --data $(DATA) --out var/real \
	  $$(printf -- '--decisions %s ' var/real/fold-*/decisions.jsonl)
	DECISION_HOME=var/real/home $(BIN)/decision-service audit verify
	DECISION_HOME=var/real/home $(BIN)/decision-service replay --all
endif

serve: setup ## Serve the API; an empty store gets the synthetic city and a sandbox key first
	@if $(BIN)/decision-service serve --check-empty; then set -e; \
	  $(BIN)/python -m ml city --out var/feeds; $(BIN)/python -m ml train-city --if-none; \
	  $(BIN)/decision-service rules activate rules; $(BIN)/decision-service feeds load var/feeds; fi
	@$(MAKE) --no-print-directory sandbox
	DECISION_WEBHOOK_LOCAL=$${DECISION_WEBHOOK_LOCAL:-yes} $(BIN)/decision-service serve --port $(PORT) --sandbox

sandbox: setup ## Renew the sandbox's enterprises, whose records grow old, where they are on record
	@if $(BIN)/decision-service sandbox list --check-loaded; then set -e; \
	  $(BIN)/python -m ml city --enterprises 0 --out var/sandbox; $(BIN)/decision-service feeds load var/sandbox; fi

lint: setup ## Style, types and import contracts
	$(BIN)/flake8 decision_service decision_service_client ml tests bench notebooks
	$(BIN)/isort --check-only --quiet decision_service decision_service_client ml tests bench notebooks
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup lint ## The tests that run on each commit (ten minutes on two cores, and two for setting up)
	$(BIN)/decision-service rules check rules
	$(BIN)/decision-service rules test rules --strict
	$(BIN)/decision-service rules lint rules
	$(BIN)/decision-service rules prove rules
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

test-all: setup lint ## The tests and the slow proofs at full size, on Spark too
	$(BIN)/pip install --quiet --progress-bar off --constraint constraints.txt --editable '.[spark]'
	$(BIN)/python -m pytest -n 2

bench: setup ## Speed beside ZEN and MLflow; a backtest of a whole city
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m bench

clean: ## Remove state, models and the environment
	rm -rf .venv var mlruns/mlflow.db mlruns/artifacts build *.egg-info
