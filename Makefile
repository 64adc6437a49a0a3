# Every target builds .venv from constraints.txt when it is missing: Python >= 3.11 is all it takes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= toy
DEMO ?= demo

.PHONY: demo test test-slow check bench docs clean

demo: $(VENV)/ready
	$(BIN)/kedge demo --data $(DATA) --out $(DEMO)

test: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest tests/test_imports.py

bench: $(VENV)/ready
	$(BIN)/python benchmarks/assign_speed.py
	$(BIN)/python benchmarks/anchor_design.py

$(VENV)/ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache demo
