# Every target sets up what it needs in .venv; nothing is installed globally.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
BIN := .venv/bin
export MLFLOW_DISABLE_TELEMETRY := true
export OMP_NUM_THREADS ?= 2


.PHONY: help setup test test-all lint clean

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

lint: setup ## Style and import contracts
	$(BIN)/flake8 decision_service ml tests bench
	$(BIN)/isort --check-only --quiet decision_service ml tests bench
	$(BIN)/lint-imports

test: setup ## The tests that run on each commit (under ten minutes on two cores)
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: setup ## The tests and the slow proofs at full size
	$(BIN)/python -m pytest -n 2

clean: ## Remove state, models and the environment
	rm -rf .venv var mlruns/mlflow.db mlruns/artifacts build *.egg-info
