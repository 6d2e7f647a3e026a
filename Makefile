# Two commands for a newcomer: `make demo` and `make test`. `make` alone lists the rest.
#
# A fresh Debian needs python3 (3.11 to 3.13) with venv, git and make. Everything else comes from the package registry that
# pip and uv are configured for, into .venvs/; all state lies in $PRODSYS_HOME (default .prodsys/).

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
UV_VERSION := 0.13.9

export PRODSYS_HOME ?= $(CURDIR)/.prodsys
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
# Institutes have certificate authorities of their own: where the system has a store, uv trusts what pip trusts.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS ?= true
endif

MAIN := .venvs/main
RUCIO := .venvs/rucio
UV := .venvs/uv/bin/uv
BIN := $(MAIN)/bin
PRODSYS := bin/prodsys
PYTEST := $(BIN)/python -m pytest
SLOWEST := --durations=30 --durations-min=5
STACKLESS := $(wildcard tests/unit tests/airflow tests/dags tests/contract)
LOGS := .venvs/log

# The first interpreter that is new enough, not too new, and can make environments.
GOOD_PYTHON := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
FIND_PYTHON = for name in $$PYTHON python3.11 python3.12 python3.13 python3; do \
	"$$name" -c '$(GOOD_PYTHON)' 2>/dev/null && { echo "$$name"; exit 0; }; done; \
	echo "no Python 3.11 to 3.13 with venv was found on PATH: apt-get install python3 python3-venv, or set PYTHON=" >&2; exit 1

# $(call part,NAME,COMMAND): runs COMMAND, says how long it took; when it fails says why, and where its log is.
define part
	@mkdir -p $(LOGS); echo "$(1) ..."; began=$$(date +%s); \
	( set -e; $(2) ) > $(LOGS)/$(1).log 2>&1; code=$$?; took=$$(($$(date +%s) - began)); \
	if [ $$code = 0 ]; then echo "$(1): done ($$took s)"; exit 0; fi; \
	echo "$(1): FAILED after $$took s:"; tail -n 12 $(LOGS)/$(1).log | sed 's/^/    /'; \
	echo "    log: $(CURDIR)/$(LOGS)/$(1).log"; exit 1
endef

.PHONY: help setup dev demo up down clean status check test test-stackless test-system contract bench chaos-submit docs lock

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

setup:  ## Make the environments (a second time: nothing to do)
	@$(MAKE) -s -j2 $(MAIN)/.installed $(RUCIO)/.installed

dev:
	@$(MAKE) -s -j2 $(MAIN)/.installed-dev $(RUCIO)/.installed

demo: up  ## Start everything and run seven small productions to their certificates
	@$(PRODSYS) demo

up: setup  ## Start the sandbox: PostgreSQL, IAM, Rucio, PanDA, Airflow
	@$(PRODSYS) stack up

down:  ## Stop it
	@if [ -x $(BIN)/prodsys ]; then $(PRODSYS) stack down; fi

status:  ## What is up, where, since when, with how much memory
	@$(PRODSYS) stack status

clean:  ## Stop it and remove its state ($PRODSYS_HOME); environments and caches stay
	@if [ -x $(BIN)/prodsys ]; then $(PRODSYS) stack clean; fi
	@rm -rf .pytest_cache .mypy_cache .ruff_cache

test: dev  ## Run all tests, those without the stack first
	@$(MAKE) test-stackless test-system

test-stackless: dev
	$(PYTEST) $(SLOWEST) -n $(or $(WORKERS),2) $(STACKLESS)

test-system: dev
	$(if $(wildcard tests/system/test_*.py tests/system/*/test_*.py),$(PYTEST) $(SLOWEST) tests/system,@echo "there are no system tests")

CHECKS := check-lint check-format check-types check-yaml check-specs check-layers
.PHONY: $(CHECKS)
check: dev  ## ruff, formatting, mypy, yamllint, the specs, the layers; all of them, also when one fails
	@$(MAKE) -k $(CHECKS)

check-lint:
	$(BIN)/ruff check .
check-format:
	$(BIN)/ruff format --check .
check-types:
	$(BIN)/mypy
check-yaml:
	$(BIN)/yamllint --strict -d '{extends: default, rules: {line-length: {max: 160}, document-start: disable, comments: {min-spaces-from-content: 1}}}' \
		include $(wildcard *.yaml)
check-specs:
	$(PRODSYS) spec lint
check-layers:
	$(PYTEST) -q tests/unit/test_layering.py

# Variables given to make reach the tests by the environment; nothing echoes the tokens. See tests/contract/panda/README.md.
contract: dev  ## The PanDA contract: recordings and sandbox, or a server: PANDA_URL= PANDA_VO= PANDA_TOKEN= [PANDA_TOKEN_NOROLE=]
	@$(PYTEST) --tb=short tests/contract/panda

bench: dev  ## Run the benchmarks
	@for file in bench/*.py; do if [ -e "$$file" ]; then echo "$$file"; $(BIN)/python "$$file" || exit 1; fi; done

chaos-submit: dev  ## Kill submissions 200 times, count in PanDA's tables what came of it: KILLS= SEED= (10 minutes)
	@PYTHONPATH=plugins:. $(BIN)/python -m tests.chaos --kills $(or $(KILLS),200) $(if $(SEED),--seed $(SEED)) --out $(PRODSYS_HOME)/chaos

docs: dev  ## Generate what is generated: the JSON Schemas of all files people write, the description of the REST API
	@$(PRODSYS) spec schema
	@$(PRODSYS) sandbox scenario schema --write
	@$(BIN)/python -m prodsys.web.api.schema
	@PYTHONPATH=plugins:. $(BIN)/python -m sandbox.stack.permissions_page

lock: .venvs/uv/.installed-$(UV_VERSION)  ## Compile the lock files anew from the *.in files
	$(UV) pip compile requirements.in $(LOCK_OPTIONS) -o requirements.txt
	$(UV) pip compile requirements-dev.in $(LOCK_OPTIONS) -o requirements-dev.txt
	$(UV) pip compile sandbox/rucio/requirements.in $(LOCK_OPTIONS) -o sandbox/rucio/requirements.txt
LOCK_OPTIONS := -q --upgrade --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-emit-find-links

# The files that say that an environment is as its lock file wants it.
INSTALL := pip install --require-hashes --compile-bytecode

.venvs/uv/.installed-$(UV_VERSION):
	$(call part,uv,python=$$($(FIND_PYTHON)); rm -rf .venvs/uv; "$$python" -m venv .venvs/uv; \
		.venvs/uv/bin/python -m pip install --disable-pip-version-check uv==$(UV_VERSION); touch $@)

$(MAIN)/.installed: requirements.txt pyproject.toml .venvs/uv/.installed-$(UV_VERSION)
	$(call part,environment-main,python=$$($(FIND_PYTHON)); \
		[ -x $(BIN)/python ] || $(UV) venv --python "$$(command -v $$python)" $(MAIN); \
		$(UV) $(INSTALL) --python $(BIN)/python -r requirements.txt; \
		$(UV) pip install --python $(BIN)/python --no-deps -e .; touch $@)

$(MAIN)/.installed-dev: requirements-dev.txt $(MAIN)/.installed
	$(call part,environment-dev,$(UV) $(INSTALL) --python $(BIN)/python -r requirements-dev.txt; touch $@)

$(RUCIO)/.installed: sandbox/rucio/requirements.txt .venvs/uv/.installed-$(UV_VERSION)
	$(call part,environment-rucio,python=$$($(FIND_PYTHON)); \
		[ -x $(RUCIO)/bin/python ] || $(UV) venv --python "$$(command -v $$python)" $(RUCIO); \
		$(UV) $(INSTALL) --python $(RUCIO)/bin/python -r sandbox/rucio/requirements.txt; touch $@)
