# Each target sets up what it needs on a fresh machine: a virtual environment with the tested versions.
#   make run ARGS="dataset=iris optimizer=adam"
# With BIN, an existing environment is used and nothing is installed.
#   make gpu BIN=/usr/bin
SHELL := bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
BIN ?= .venv/bin
ARGS ?=

ifeq ($(BIN),.venv/bin)
RUN := .venv/.ready
DEV := .venv/.dev
BENCH := .venv/.bench
else
export PYTHONPATH := $(CURDIR)/src$(if $(PYTHONPATH),:$(PYTHONPATH))
endif
py := $(BIN)/python3

run: $(RUN)
	@$(py) -m exp $(ARGS)

# Tests of one file run in one process; there are as many processes as pytest_xdist_auto_num_workers returns.
PYTEST := $(py) -m pytest -n auto --dist loadfile --no-loadscope-reorder
test: $(DEV)
	$(PYTEST)

# Longer tests of what the default tests check too.
slow: $(DEV)
	$(PYTEST) -m slow

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

check: lint test slow

# The documentation: open docs/site/index.html.
docs: $(DEV)
	@NO_MKDOCS_2_WARNING=1 $(py) -m mkdocs build --quiet -f docs/mkdocs.yml
	@echo docs/site/index.html

# What the notebooks in docs/ print and draw. The second of the two joins lines that were printed one by one.
notebooks: $(DEV)
	@$(call install,what runs notebooks,nbconvert)
	$(BIN)/jupyter nbconvert --to notebook --inplace --execute --ExecutePreprocessor.record_timing=False docs/notebooks/*.ipynb
	$(BIN)/jupyter nbconvert --to notebook --inplace --coalesce-streams docs/notebooks/*.ipynb

# The pictures of the gallery, by the commands of its pages.
gallery: $(DEV)
	PYTHONPATH=docs:tests/docs $(py) docs/making/gallery.py $(ARGS)

# Against Lightning, skorch, Keras and JAX: half an hour. ARGS="cancer --rounds 1" is one workload, once.
bench: $(BENCH)
	$(py) benchmarks/bench.py $(ARGS)

# Where there is a CUDA device, in eight minutes: the tests that need one, a table of the seven workloads, and a sweep.
gpu: $(DEV)
	@$(py) benchmarks/gpu.py --check
	$(py) -m pytest -m gpu -p no:cacheprovider tests/engine tests/config tests/training
	$(py) benchmarks/gpu.py $(ARGS)

# What a run needs, and what a developer needs too. Rebuilt when one of the two files changes.
.venv/.ready: pyproject.toml constraints.txt
	@echo "setting up .venv, once: about 1 GB, half a minute"
	@$(PYTHON) -m venv .venv
	@$(call install,what a run needs,-e .)
	@rm -rf .venv/lib/python*/site-packages/torch/{test,bin/test_*}   # torch's own tests in its CPU build: 130 MB
	@echo "ready: $$(du -sm .venv | cut -f1) MB"
	@touch $@

.venv/.dev: .venv/.ready
	@$(call install,what developers need,-e ".[dev]")
	@touch $@

.venv/.bench: .venv/.dev
	@$(call install,what the benchmarks run against,-e ".[bench]")
	@touch $@

# Without compiling: Python compiles a module at its first import, and most of torch is never imported.
export PYTHONDONTWRITEBYTECODE :=
install = echo "fetching $(1):" && $(py) -m pip install --disable-pip-version-check --no-compile \
	-c constraints.txt $(2) | awk '$(progress)'

# Print the packages that pip downloads, with the sizes of large ones. Errors go to stderr and are not filtered.
define progress
	function say(word) { wide += length(word); if (wide > 110) { printf "\n"; wide = length(word) } printf "%s", word } \
	/^Collecting/ { name = $$2; sub("[<>=!~;[].*", "", name); say("  " name) } \
	/^Processing/ { name = $$2; sub(".*/", "", name); sub("-.*", "", name); say("  " name) } \
	/^ *Downloading .*MB/ { say(" " $$3 " MB)") } \
	/^Installing/ { print "\nunpacking " NF - 3 " packages" } \
	{ fflush() }
endef

.PHONY: run test slow lint check docs notebooks gallery bench gpu
