# Outrig: make setup | check | test | demo. See CONTRIBUTING.md.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
KUBECTLS := 1.27.1 1.30.0 1.33.9 1.37.1
KUBECTL_NEWEST := 1.37.1
READY := .venv/.ready
unexport PYTHONDONTWRITEBYTECODE # where it is set, every worker would compile all tests anew

.PHONY: setup check test demo kubectls zero-drop lock format sizes clean

setup: $(READY)

$(READY): requirements/all.txt pyproject.toml scripts/setup
	@scripts/setup "$(PYTHON)" "$(KUBECTL_NEWEST)" $(KUBECTLS)
	@touch $@

check: setup  ## layers, types, lint, fast tests: under 90 seconds
	@$(BIN)/ruff format --check --quiet outrig tests demo bench examples scripts
	@$(BIN)/ruff check --quiet outrig tests demo bench examples scripts
	@($(BIN)/lint-imports --no-cache && $(BIN)/mypy) > .venv/layers-and-types.log 2>&1 & judged=$$!; \
	$(BIN)/pytest -q -n 2 -m "not slow" tests/unit tests/contract tests/property tests/attacks tests/golden; tested=$$?; \
	wait $$judged || { cat .venv/layers-and-types.log; exit 1; }; \
	tail -n 1 .venv/layers-and-types.log; exit $$tested

test: setup  ## everything, with the real Envoy, kubectl and aws
	@$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder -rs --durations 5 tests

demo: setup  ## the guide and the whole of Bookinfo, played on an ECS of this machine
	@$(BIN)/python -m demo

kubectls: setup  ## the pages of docs/kubectl, typed into every kubectl on the PATH as well
	@EVERY_KUBECTL=1 $(BIN)/pytest -q -n 2 tests/e2e/kubectl/test_transcripts.py

zero-drop: setup  ## every kind of change under load; writes docs/zero-drop.md
	@$(BIN)/python -m bench.zero_drop

lock:  ## renew requirements/*.txt: exact versions and hashes, no addresses
	@scripts/lock "$(PYTHON)" $(KUBECTLS)

format: setup
	@$(BIN)/ruff format outrig tests demo bench examples
	@$(BIN)/ruff check --fix outrig tests demo bench examples

sizes: setup  ## the longest functions and files
	@$(BIN)/python scripts/sizes.py

clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .hypothesis outrig.egg-info
