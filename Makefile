# Everything a reader or a developer does. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.robustlib-installed
# The first Python that is new enough.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
# A process for each core, and a core for each process; the tests of a file stay together, in conftest.py's order.
PYTEST = OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
PAPER ?= madry2018
PROFILE ?= smoke
PORT ?= 8000
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome || true)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export UV_HTTP_TIMEOUT ?= 180
# Modules are compiled once, not in every process.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup book test test-slow reproduce publish pdf bench lint serve clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{ printf "  make %-11s %s\n", $$1, $$2 }'
	echo
	echo "  PAPER=$(PAPER) PROFILE=$(PROFILE) (smoke, quick, level or full) for reproduce; VENV=$(VENV); PYTHON=$(PYTHON)"

setup: $(STAMP) ## the environment alone, in .venv

# Repeated calls cost nothing until the lock or the package's metadata change.
$(STAMP): requirements.lock pyproject.toml
	@if [ ! -x $(PY) ]; then
	  if [ -z "$(PYTHON)" ]; then
	    echo "Python 3.11 or newer is needed, and none of python3, python3.13, python3.12, python3.11 is. Install one, or name it: make PYTHON=/path/to/python3" >&2
	    exit 1
	  fi
	  echo "making $(VENV) with $$($(PYTHON) --version)"
	  $(PYTHON) -m venv $(VENV) || {
	    rm -rf $(VENV)
	    echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv" >&2
	    exit 1
	  }
	fi
	echo "installing from requirements.lock (once; the largest part is torch)"
	uv=$(VENV)/bin/uv
	if [ ! -x $$uv ]; then
	  if $(PY) -m pip --version >/dev/null 2>&1 && $(PY) -m pip install -q uv >/dev/null 2>&1; then :; else uv=$$(command -v uv || true); fi
	fi
	# pip honours a user's own settings for indexes and proxies, which uv does not read. Compiled once here, torch and the
	# rest start in half the time in every process, where PYTHONDONTWRITEBYTECODE is set too.
	if [ -n "$$uv" ] && $$uv pip install -q --compile-bytecode --python $(PY) -r requirements.lock; then
	  $$uv pip install -q --python $(PY) --no-deps --no-build-isolation -e .
	else
	  echo "uv did not manage; trying pip"
	  $(PY) -m pip install -q -r requirements.lock
	  $(PY) -m pip install -q --no-deps --no-build-isolation -e .
	fi
	touch $(STAMP)

book: $(STAMP) ## the book, from the committed records, to _build/html/index.html
	@$(PY) -u -m robustlib.book.site build

test: $(STAMP) ## units, properties, a smoke run of every paper, the notebooks, the pages (minutes)
	@$(PYTEST) -m "not slow" --nbval tests $(wildcard notebooks)

test-slow: $(STAMP) ## the long proofs: real data, released weights, networks of others
	@$(PYTEST) -m slow tests

reproduce: $(STAMP) ## one paper from nothing: PAPER=madry2018 PROFILE=smoke|quick|level|full
	@$(PY) -u -m robustlib reproduce $(PAPER) --profile $(PROFILE) --out _build/reproduce

publish: $(STAMP) ## execute the notebooks and rewrite the committed .ipynb
	@$(PY) -u -m robustlib.report.notebooks publish

pdf: $(STAMP) ## the book as one file, _build/book.pdf (needs Chromium)
	@if [ -z "$(CHROMIUM)" ]; then
	  echo "make pdf prints with Chromium, which is not on the path. On Debian: apt-get install chromium; or name it: make pdf CHROMIUM=/path/to/it" >&2
	  exit 1
	fi
	$(PY) -u -m robustlib.book.site build --builder singlehtml
	profile=$$(mktemp -d)
	trap 'rm -rf "$$profile"' EXIT
	$(CHROMIUM) --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
	  --disable-component-update --disable-sync --user-data-dir="$$profile" --no-pdf-header-footer \
	  --virtual-time-budget=20000 --print-to-pdf=_build/book.pdf "file://$$PWD/_build/singlehtml/index.html" 2>/dev/null
	test -s _build/book.pdf
	echo _build/book.pdf

bench: $(STAMP) ## side by side with other libraries, in an environment of its own
	@if [ ! -f benchmarks/attacks.py ]; then echo "there is no benchmarks/attacks.py in this copy" >&2; exit 1; fi
	$(MAKE) VENV=.venv-bench setup
	.venv-bench/bin/python -m pip install -q -r benchmarks/requirements.txt
	.venv-bench/bin/python -u -m benchmarks.attacks --out benchmarks
	.venv-bench/bin/python -u -m benchmarks.training --out benchmarks
	.venv-bench/bin/python -u -m benchmarks.trials --out benchmarks
	.venv-bench/bin/python -u -m benchmarks.certify --out benchmarks
	.venv-bench/bin/python -u -m benchmarks.independent --out book

lint: $(STAMP) ## style and types
	@$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check -q benchmarks conftest.py robustlib tests
	$(VENV)/bin/mypy

serve: $(STAMP) ## the built book on http://127.0.0.1:8000 (PORT=)
	@test -f _build/html/index.html || $(MAKE) book
	$(PY) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

clean: ## remove what was built; records, weights and the environment stay
	@rm -rf _build
