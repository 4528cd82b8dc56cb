# Everything that people do every day. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
RESULTS ?= results
SITE ?= site

.DEFAULT_GOAL := help
.PHONY: help install leaderboard board test wheel-test lint format bench bench-compare clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

install: $(INSTALLED) ## make .venv and install whybench with what was tested

# torch first and by its pin, as a plain `torch` would bring gigabytes of CUDA libraries on some systems
$(INSTALLED): pyproject.toml setup.py constraints.txt
	@echo "Installing whybench into $(VENV); the first time takes some minutes."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test,lint]"
	touch $@

# one thread: the built-in models are so small that threads spend their time waiting for one another
leaderboard: $(INSTALLED) ## score the default methods on 50 examples of each built-in task, print the table and the page's path
	$(BIN)/whybench run --threads 1 --limit 50 --results $(RESULTS)

# nothing is scored: docs/publishing.md says how the rows were made
board: $(INSTALLED) ## render the committed results and submissions as a site, print the table and the page's path
	$(BIN)/whybench leaderboard --results leaderboard/results/board --submissions leaderboard/results --site $(SITE)

test: $(INSTALLED) ## run the tests
	$(BIN)/python -m pytest

wheel-test: $(INSTALLED) ## build the wheel, check what is in it, and run the tests against it
	$(BIN)/python scripts/check_wheel.py

lint: $(INSTALLED) ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED) ## put the code into ruff's format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(INSTALLED) ## time the hot paths with pytest-benchmark
	$(BIN)/python -m pytest whybench/tests/test_benchmarks.py whybench/tests/test_solver_benchmarks.py \
		--benchmark-enable --benchmark-only --benchmark-columns=median,iqr,rounds -rPs

# time is compared on one machine, in turns: `make bench-compare BASE=main`
BASE ?= main
bench-compare: $(INSTALLED) ## time the hot paths of a revision (BASE=main) and of the working tree, in turns
	$(BIN)/python scripts/bench_compare.py $(BASE)

clean: ## remove what was built; results stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
