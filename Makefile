# Every target but live and clean builds .venv from constraints.txt when it is missing: Python >= 3.11 is all it takes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
SITE := -c 'import site; print(site.getsitepackages()[0])'
DATA ?= toy
DEMO ?= demo

.PHONY: demo test test-slow ray kill parity check bench fuzz live docs clean

demo: $(VENV)/ready
	$(BIN)/kedge demo --data $(DATA) --out $(DEMO)

test: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

# a Ray cluster of two local workers, of which one is killed; a training on it takes minutes
ray: $(VENV)/ready
	$(BIN)/python -m pytest -m "slow or not slow" tests/shards tests/train/test_on_ray.py

# a run killed at 50 random moments ends as one that was never killed: minutes
kill: $(VENV)/ready
	$(BIN)/python -m pytest -m slow tests/train/test_kill.py

# beside other libraries' own code; KEDGE_DETECTRON2 names a checkout of Detectron2, if there is one
parity: $(PEERS)/ready
	$(PEERS)/bin/python -m pytest tests/parity

check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest tests/test_imports.py

bench: $(VENV)/ready
	$(BIN)/python benchmarks/assign_speed.py
	$(BIN)/python benchmarks/anchor_design.py

# damaged data sets of every form: about 20 minutes, 60 at most (INPUTS=, MINUTES=)
INPUTS ?= 100000
MINUTES ?= 60
fuzz: $(VENV)/ready
	PYTHONPATH=tests $(BIN)/python -m fuzz --inputs $(INPUTS) --minutes $(MINUTES) \
		--out results/fuzz_readers.json

# the page of kedge live, from web/ into the package: needs Node 20; a test says when it is due
live:
	cd web && npm ci --ignore-scripts && npm run build

# the site, in site/: trains a small detector for its pictures when runs/docs is missing, runs the notebooks; minutes
docs: $(VENV)/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

$(VENV)/ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# sees the packages of .venv, and has the other libraries for itself
$(PEERS)/ready: $(VENV)/ready constraints-peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(BIN)/python $(SITE) > "$$($(PEERS)/bin/python $(SITE))/kedge.pth"
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		-r constraints-peers.txt
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) .pytest_cache .ruff_cache demo
