# Two commands do everything from nothing: `make retrain` and `make test`. Each target is safe to repeat.

.DEFAULT_GOAL := help
.PHONY: help setup retrain test bench claims lint ui clean
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
TEST_PROCESSES := 2
STAMP := $(VENV)/.installed
STORES := .facetmill/.made

# What a user gives reaches the shell as one word each, whatever it holds.
quote = '$(subst ','\'',$(1))'

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do \
	  printf '  make %-9s %s\n' "$$name" "$$what"; done

setup: $(STAMP) $(STORES) ## make .venv, install what is pinned in constraints.txt (again only when that changed), make the stores

# A stamp, written last: an install that was interrupted is done again.
$(STAMP): pyproject.toml constraints.txt
	@python=; for name in python3 python3.11 python3.12 python3.13 python; do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "Facetmill needs Python 3.11 or newer; none was found. Debian 12 and later: apt-get install python3 python3-venv" >&2; \
	  exit 1; fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "$$python has no venv or pip module. Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; fi; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then "$$python" -m venv --clear $(VENV); fi
	@echo "Installing Facetmill into $(VENV) (about 2.9 GB; some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev,team,ocr]'
# Compiled here, in all cores: where PYTHONDONTWRITEBYTECODE is set, as in many containers, every process would otherwise
# compile all that it imports. Some packages hold templates that are no Python; they are passed over.
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib src >/dev/null 2>&1 || true
	@touch $@

# An empty database takes Prefect ten seconds; made here, no retraining waits for it.
$(STORES): | $(STAMP)
	@$(BIN)/facetmill init >/dev/null
	@touch $@

retrain: $(STAMP) $(STORES) ## dataset, gate, sweep, training, judgement, promotion; CATALOGUE=name, DATA=format:path, MODEL=key
	$(BIN)/facetmill retrain \
	  $(if $(value CATALOGUE),--catalogue $(call quote,$(value CATALOGUE))) \
	  $(if $(value DATA),--data $(call quote,$(value DATA))) \
	  $(if $(value MODEL),--model $(call quote,$(value MODEL)))

test: $(STAMP) ## run the tests in TEST_PROCESSES=2 processes; PYTEST_ARGS='-k gates' to choose
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadscope --no-loadscope-reorder $(PYTEST_ARGS)

bench: $(STAMP) ## our speed against named peers, as ratios
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python tests/bench/run.py

claims: $(STAMP) $(STORES) ## do the papers' claims hold on simulated products? a table of effects with intervals, in minutes
	$(BIN)/facetmill study claims --workers 2

lint: $(STAMP) ## style, types and layers: ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

ui: $(STAMP) $(STORES) ## start the MLflow and Prefect servers, or find them running, and say where they are
	$(BIN)/facetmill up

# Runs, models and the ledger of promotions cannot be made again; datasets can. So only datasets are removed, and of
# data/ only the folders that are DVC workspaces: a file somebody laid there stays. While somebody is at work, `down`
# refuses, and nothing is removed.
clean: ## remove built datasets and caches; runs, models and the ledger stay. ALL=1 removes .venv too
	@if [ -x $(BIN)/facetmill ]; then $(BIN)/facetmill down >/dev/null; fi
	@for folder in data/*/; do if [ -d "$$folder.dvc" ]; then rm -rf "$$folder"; fi; done
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/bench/results .facetmill/dvc-cache .facetmill/features \
	  .facetmill/ocr .facetmill/regions .facetmill/looks.db
	find src tests flows -name __pycache__ -type d -prune -exec rm -rf {} +
	$(if $(filter 1,$(ALL)),rm -rf $(VENV))
	@echo "Removed: built datasets and caches. 'facetmill dataset build' makes them again; a candidate can be promoted"
	@echo "only while its dataset is there."
	@echo "Kept: mlruns/ (runs and models), .facetmill/ (ledger of promotions, studies, server state)."
