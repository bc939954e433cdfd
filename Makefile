# `make demo` and `make test` are all that a newcomer needs. PYTHON chooses the interpreter (3.11 to 3.13).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# uv is several times faster than pip but doesn't read pip's find-links, where some sites keep a CPU build of torch.
FIND_LINKS := $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS))

# Processes that run tests; a file's tests stay in one of them.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast soak lint licences constraints clean ci

help:  ## say what there is
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv with everything in it

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing studio_pipeline into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install -q 'uv>=0.9' 2>/dev/null || true
	@if test -x $(BIN)/uv && UV_FIND_LINKS="$(FIND_LINKS)" UV_HTTP_TIMEOUT=180 $(BIN)/uv pip install -q --python $(BIN)/python -e '.[dev]' -c constraints.txt 2>$(VENV)/uv.log; then :; \
	else $(BIN)/python -m pip install -q -e '.[dev]' -c constraints.txt; fi
	@touch $(STAMP)

demo: setup  ## run the three shipped shots and say where the results are
	@$(BIN)/studio run assets/shots/demo.yaml

test-fast: setup  ## under 5 minutes on 2 cores
	@$(PYTEST) -m "not slow and not soak"

test: setup lint licences  ## all tests but the soak, under 25 minutes on 2 cores
	@$(PYTEST) -m "not soak"

soak: setup  ## full counts; resumable; writes docs/soak.json
	@$(BIN)/python -m tests.soak

lint: setup  ## style, types and the floors of the house
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

licences: setup  ## no GPL or AGPL among what gets installed
	@$(BIN)/python -m tools.licences

constraints:  ## write constraints.txt from what is installed in .venv
	@{ echo "# The set that was tested together; made with: make constraints"; \
	$(BIN)/uv pip freeze --python $(BIN)/python --exclude-editable | sed 's/+cpu//'; } > constraints.txt

ci: test  ## what CI runs

clean:  ## remove the environment and caches, keep the studio's home
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
