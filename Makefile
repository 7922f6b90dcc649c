PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test bench clean

demo: .venv/ready
	$(BIN)/glasshouse run demo --out runs/demo

test: .venv/ready-dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/pytest

# What several benchmarks use, or one of them in parts.
PARTS = $(patsubst %,benchmarks/%.py,timing pictures networks passes infidelity_samples quantus_side quantus_pairs quantus_defects)

bench: .venv/ready-bench
	for file in $(filter-out $(PARTS),$(wildcard benchmarks/*.py)); do $(BIN)/python $$file || exit 1; done

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("glasshouse needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/ready: .venv/bin/python pyproject.toml
	@echo "Setting up .venv; PyTorch and torchvision take some minutes the first time."
	$(PIP) --editable .
	touch $@

.venv/ready-dev: .venv/ready
	$(PIP) --editable '.[dev]'
	touch $@

.venv/ready-bench: .venv/ready
	$(PIP) --editable '.[dev,bench]'
	touch $@

clean:
	rm -rf .venv runs
