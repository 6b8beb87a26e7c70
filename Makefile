# Each target works alone on a fresh clone with Python 3.11 or newer, git and make.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: sweep test check audit docs clean

# The whole way from corpora to students, on the sample that comes with the package.
sweep: .venv/installed
	$(BIN)/bistil-ray sweep --langs sw,yo,ha

# Two processes, each with whole files: half of the tests' time is waiting for processes of Ray to start.
test: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/mypy

# Dependencies with known holes; this asks pypi.org.
audit: .venv/installed-dev
	@$(BIN)/python .ci/audit.py

# The references of commands and settings, as the program says them now.
docs: .venv/installed
	$(BIN)/python -m docs.reference

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Stamps: packages are installed again only after pyproject.toml or constraints.txt changed.
.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo 'installing into .venv: a few minutes the first time'
	$(PIP_INSTALL) -e .
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo 'installing into .venv: a few minutes the first time'
	$(PIP_INSTALL) -e '.[dev]'
	touch $@ .venv/installed

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; name one with PYTHON=...")'
	$(PYTHON) -m venv .venv
