# make demo and make test do all the set-up by themselves; see README.md.
#   PYTHON=python3.12           which Python makes .venv (asked for only when .venv is made)
#   MMKINESIS_PYTHON=/path/to/python   use that environment as it is; nothing is installed
PYTHON ?= python3
VENV_PYTHON = $(if $(MMKINESIS_PYTHON),$(MMKINESIS_PYTHON),.venv/bin/python)

export MMKINESIS_PYTHON

.PHONY: help setup demo test test-slow lint format clean clean-env

help:
	@echo 'make setup      make .venv with everything pinned, or bring it up to date'
	@echo 'make demo       train and test a small forecaster on generated motion, draw the result'
	@echo 'make test       lint, format check and all tests but the slow ones'
	@echo 'make test-slow  the slow tests'
	@echo 'make format     let ruff repair and format the code'
	@echo 'make clean      remove caches;  make clean-env: remove .venv too'

setup:
	$(PYTHON) tools/setup_env.py

demo: setup
	$(VENV_PYTHON) tools/quick_demo.py

test: lint
	$(VENV_PYTHON) -m pytest -m 'not slow' -n 2 --dist loadgroup

test-slow: setup
	$(VENV_PYTHON) -m pytest -m slow

lint: setup
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .

format: setup
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .

clean:
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis setup.log
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

clean-env: clean
	rm -rf .venv .venv.old .venv.lock mmkinesis.egg-info
