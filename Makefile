# Each of these sets everything up on a fresh machine: a virtual environment with the tested versions.
#   make run ARGS="dataset=iris optimizer=adam"
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

run: .venv/.ready
	@$(BIN)/python -m exp $(ARGS)

# A file of tests in one process; tests/conftest.py says which begin first, and how many at a time.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
test: .venv/.ready
	$(PYTEST)

# More of the same: what takes long, of promises that the others keep watch over too.
slow: .venv/.ready
	$(PYTEST) -m slow

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

check: lint test slow

# The documentation: open docs/site/index.html.
docs: .venv/.ready
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet -f docs/mkdocs.yml
	@echo docs/site/index.html

# What the notebooks in docs/ print and draw. The second of the two joins lines that were printed one by one.
notebooks: .venv/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt nbconvert
	$(BIN)/jupyter nbconvert --to notebook --inplace --execute --ExecutePreprocessor.record_timing=False docs/notebooks/*.ipynb
	$(BIN)/jupyter nbconvert --to notebook --inplace --coalesce-streams docs/notebooks/*.ipynb

# Against Lightning, skorch, Keras and JAX: half an hour. ARGS="cancer --rounds 1" is one workload, once.
bench: .venv/.bench
	$(BIN)/python benchmarks/bench.py $(ARGS)

.venv/.bench: .venv/.ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	@touch $@

.venv/.ready: pyproject.toml constraints.txt
	@echo "setting up .venv (once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

.PHONY: run test slow lint check docs notebooks bench
