# A thin face on tasks.py: makes .venv from the hashed lock and turns VARIABLE=value into --variable=value.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
INV := .venv/bin/inv

TASKS := deploy flash monitor board verify reproduce release check key report plan devices doctor environments vendor base lock audit bench cache clean help
# What was set on the command line, except what make and the shell use themselves.
GIVEN := $(filter-out MAKEFLAGS PYTHON SHELL V,$(foreach v,$(.VARIABLES),$(if $(filter command line,$(origin $(v))),$(v))))
lower = $(shell printf %s '$1' | tr A-Z_ a-z-)
quote = '$(subst ','\'',$1)'
FLAGS = $(foreach v,$(GIVEN),$(if $($(v)),--$(call lower,$(v))=$(call quote,$($(v)))))
OPTIONS := DEVICE RECIPE WEIGHTS DATA MODEL IMGSZ EPOCHS BATCH SEED GPU FRAMES FIRMWARE NAME ENGINE FORCE VERIFY_CACHE OFFLINE VENDOR UPGRADE TABLE CACHE JSON AGAINST IMAGES KEY RELEASE PORT FIRMWARE_IMAGE VIEW COUNT FAULT
# Without a network pip knows no index, only what `make vendor` has collected.
WHEELS = $(if $(filter vendor,$(MAKECMDGOALS)),,$(if $(VENDOR),--no-index --find-links $(call quote,$(VENDOR)/wheels),$(if $(filter 1,$(OFFLINE)),--no-index)))
# One package has no wheel: it is built with what the lock names, and not with whatever the index offers.
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation
UNKNOWN := $(filter-out $(OPTIONS),$(GIVEN))

.PHONY: $(TASKS) test
$(TASKS): .venv/host
	@$(if $(UNKNOWN),$(INV) unknown --names=$(call quote,$(UNKNOWN)))
	@$(INV) $@ $(FLAGS)

test: .venv/dev
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy
	@$(if $(T),.venv/bin/python -m pytest $(T),.venv/bin/python -m pytest --numprocesses auto tests/unit && .venv/bin/python -m pytest tests --ignore tests/unit)

.venv/host: requirements/host.txt requirements/build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "error: $$($(PYTHON) --version) is too old"; echo " hint: make … PYTHON=python3.11 (3.10 or newer)"; exit 3; }
	@$(PYTHON) -m venv .venv || { echo "error: no venv module"; echo " hint: sudo apt-get install python3-venv"; exit 3; }
	@$(PIP) $(WHEELS) -r requirements/build.txt && $(PIP) $(WHEELS) -r $<
	@touch $@

.venv/dev: requirements/dev.txt .venv/host
	@$(PIP) -r $<
	@touch $@
