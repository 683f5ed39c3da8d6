# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs; a second run is quick.
# DEVICE=gpu does the same in .venv-gpu, with ONNX Runtime for CUDA; DEVICE=peers in .venv-peers, with other engines.
PYTHON ?= python3
DEVICE ?= cpu
DATA   ?=
HAPT   ?=
PYTHONS ?= python3.12 python3.13
DEMO   ?= edgeconv-demo
WORKERS ?= 2

LOCK   := requirements/$(DEVICE).lock
# The two builds of ONNX Runtime overwrite one another, so each has an environment of its own.
VENV   := $(if $(filter cpu,$(DEVICE)),.venv,.venv-$(DEVICE))
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# With DATA="…/UCI HAR Dataset.zip" the real data, otherwise the generated set.
data_option = $(if $(DATA),--data "$(DATA)")

.PHONY: help setup demo test test-versions stress mutations bench-peers lint format lock reproduce clean
.DEFAULT_GOAL := help

help:  ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 15

$(READY): $(LOCK) pyproject.toml edgeconv/__init__.py
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("edgeconv needs Python 3.11 or newer, and $(PYTHON) is %d.%d; make PYTHON=… names another" % sys.version_info[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(READY)  ## Make .venv with everything pinned (DEVICE=gpu: .venv-gpu, for CUDA).

demo: $(READY)  ## Train, export, verify and stream; DATA="…/UCI HAR Dataset.zip" for real data.
	$(BIN)/edgeconv demo --out "$(DEMO)" $(data_option)

test: $(READY)  ## Run all tests, two at a time; those on real data need EDGECONV_DATA or ../shared/data.
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

test-versions: $(READY)  ## Run the tests with the lowest versions allowed, and with the newest on other Pythons (slow).
	PATH="$(abspath $(BIN)):$$PATH" tools/test_versions.sh "$(PYTHON)" lowest-direct
	for python in $(PYTHONS); do PATH="$(abspath $(BIN)):$$PATH" tools/test_versions.sh $$python highest || exit 1; done

stress: $(READY)  ## Random Keras networks in every form, and all of tf2onnx's layer cases (slow).
	$(BIN)/python tools/stress_forms.py --networks 400
	EDGECONV_ALL_CASES=1 $(BIN)/python -m pytest -q tests/export/test_converter_cases.py

mutations: $(READY)  ## Damage the files of the committed model in every way and see what notices (DATA=…; slow).
	$(BIN)/python tools/mutations.py $(data_option)

bench-peers:  ## Measure edgeconv against other engines and write docs/benchmarks.md (OPTIONS="--quick" to try out).
	$(MAKE) setup DEVICE=peers
	.venv-peers/bin/python tools/bench_peers.py $(OPTIONS)

lint: $(READY)  ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## Rewrite the code in the project's style.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY)  ## Write the lock files anew, with the newest versions that pyproject.toml allows.
	PATH="$(abspath $(BIN)):$$PATH" tools/lock.sh

reproduce: $(READY)  ## Repeat the protocol on the real data (DATA=…, HAPT=…, or downloaded) and rebuild models/.
	BIN=$(BIN) tools/reproduce.sh "$(DATA)" "$(HAPT)"

clean:  ## Remove what the other targets made; .venv stays.
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis "$(DEMO)"
