# Every verb installs what it needs first (once) and then does it. `make help` lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
BOOT = $(PYTHON) launcher/bootstrap.py
ARGS ?=

.PHONY: help run test lint format services stop reset bench demo shell pins
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run:  ## install, start everything on PORT (8000), walk the demo unless DEMO=0; S3=1 keeps files in S3
	@$(BOOT) run

demo:  ## walk the demo against the portal that runs already (BASE_URL to choose another)
	@$(BOOT) demo $(ARGS)

test:  ## all tests; ARGS="tests/core -k name" narrows
	@$(BOOT) test $(ARGS)

lint:  ## every check that CI makes, without the tests
	@$(BOOT) lint

format:  ## format Python, mend what can be mended, check the templates
	@$(BOOT) format

services:  ## only the servers (PostgreSQL, Valkey; S3=1 adds S3), in the background
	@$(BOOT) services start $(if $(filter 1,$(S3)),--s3)

stop:  ## end the servers that `make services` started
	@$(BOOT) services stop

reset:  ## forget everything under var/ (asks first; FORCE=1 does not)
	@$(BOOT) reset $(if $(filter 1,$(FORCE)),--yes)

bench:  ## the benchmarks of tests/benchmarks
	@$(BOOT) bench $(ARGS)

shell:  ## Django's shell
	@$(BOOT) shell

pins:  ## write requirements/*.txt from what is installed
	@$(BOOT) pins $(ARGS)
