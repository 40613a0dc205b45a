SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

HOST ?= 127.0.0.1
PORT ?= 8000
export HOST PORT
export PYTHONUNBUFFERED := 1
export PATH := $(CURDIR)/.venv/bin:$(PATH)

PYTHON := .venv/bin/python
ASSET_SOURCES := $(wildcard package.json package-lock.json .npmrc .ci/build-assets) $(shell find web/assets -type f 2>/dev/null)

.PHONY: help
help: ## what can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# --- installing -------------------------------------------------------------------------------------------------------

.PHONY: setup
setup: .venv/.installed web/static/dist/stamp ## install everything: .venv, locked packages, assets

.venv/.installed: requirements.lock .ci/installer.lock .ci/node.lock .ci/install
	@.ci/install
	@touch $@

web/static/dist/stamp: .venv/.installed $(ASSET_SOURCES)
	@$(PYTHON) .ci/build-assets
	@touch $@

# --- the demo ---------------------------------------------------------------------------------------------------------

.PHONY: run clean-demo
run: export COMPANION_ENVIRONMENT = demo
run: export COMPANION_DATABASE_URL ?= sqlite:///var/demo/companion.sqlite3
run: setup ## the demo on http://127.0.0.1:8000 (HOST and PORT honoured)
	@mkdir -p var/demo
	@$(PYTHON) -m companion migrate
	@exec $(PYTHON) -m web --demo

clean-demo: ## forget the demo's invented ward
	rm -rf var/demo

# --- testing ----------------------------------------------------------------------------------------------------------

.PHONY: test fast dates explore chaos words
test: setup ## everything: lint, types, contracts, every test on SQLite and PostgreSQL, real browsers
	@.ci/system-packages test
	@.ci/check

# No page, no program, no provider: what a developer runs after every change.
FAST := tests/rules tests/use_cases tests/stories tests/architecture/test_house.py tests/architecture/test_schema.py \
	tests/delivery/test_wording.py tests/delivery/test_words.py
fast: setup ## the rules, the use-cases, the stories and the words, on SQLite, in less than a minute
	@$(PYTHON) -m pytest --numprocesses 2 --dist loadfile -m "not browser and not postgres and not long" $(FAST)

dates: setup ## all but the browsers, on SQLite, at five other dates and in other zones, by a faked clock of the system
	@.ci/system-packages dates
	@.ci/dates

# Sets come in the same order every time.
test fast dates: export PYTHONHASHSEED := 0

explore: setup ## random tests with fresh seeds, long (SEED=n again, EXAMPLES=n each, TESTS=path); what is found comes as lines to paste into a test
	@nice $(PYTHON) -m tests.explore $(TESTS)

chaos: setup ## 10,000 messages while everything is killed 200 times, on SQLite and PostgreSQL; the table, and exit 1 if anything is wrong
	@$(PYTHON) -m tests.rig

.PHONY: bench
bench: setup ## messages and pages a second and more, as ratios (PART=speed,peers,wait,codes,crash,claims,push,ten,pages,lighthouse): BENCHMARKS.md
	@.ci/system-packages bench
	@$(PYTHON) -m bench install
	@$(PYTHON) -m bench measure $(if $(PART),--only $(PART)) $(if $(LETTERS),--letters $(LETTERS)) $(if $(PEOPLE),--people $(PEOPLE)) \
		$(if $(PROCESSES),--processes $(PROCESSES)) --write

words: .venv/.installed ## bring the catalogues up to date with what the pages say
	@$(PYTHON) .ci/catalogues update
