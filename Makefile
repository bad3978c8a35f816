# Everything from a bare machine with python3 (3.11 or newer), git and make:
#   make demo     the whole story on a lab of this machine
#   make test     checks and tests
# Both do all the set-up that is missing; PYTHON=... names the Python to use.

VENV := .venv
BIN := $(VENV)/bin
SYNCED := $(VENV)/.synced

export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help setup toolchain lint test test-fast test-long test-libvirt demo bench test-packages clean

help:
	@echo 'make demo       set-up, a lab, one plan and one apply over machines and Kubernetes'
	@echo 'make test       lint and all tests (builds the external programs where they cannot be downloaded)'
	@echo 'make test-fast  the tests that need no lab'
	@echo 'make test-long  the tests that take minutes each, left out of make test'
	@echo 'make test-libvirt the tests on a real libvirtd with emulated guests (as root on Debian it installs what they need)'
	@echo 'make lint       ruff, mypy, import contracts'
	@echo 'make setup      .venv with the locked dependencies'
	@echo 'make toolchain  the external programs (pulumi, etcd, kube-apiserver, ...)'
	@echo 'make bench      benchmarks'
	@echo 'make clean      remove .venv and caches of this folder (installed programs stay in the user cache)'

setup: $(SYNCED)

$(SYNCED): pyproject.toml uv.lock scripts/setup.py
	@python=$$(PYTHON='$(PYTHON)' sh scripts/find_python.sh) && "$$python" scripts/setup.py

toolchain: setup
	@$(BIN)/orchestrator toolchain install

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-fast: setup
	$(BIN)/pytest -m 'not lab'

# One run, so that one closing line counts everything; the fast tests come first (tests/conftest.py). Two at a time,
# a file's tests one after the other: they share labs.
test: lint toolchain test-packages
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-long: toolchain test-packages
	$(BIN)/pytest --long -m long

# Guests are emulated and boot for a minute or more; their image is made once, in some minutes, and kept in the cache.
test-libvirt: setup
	@sh scripts/test_packages.sh libvirt
	$(BIN)/pytest --libvirt -m libvirt --timeout 3600

test-packages:
	@sh scripts/test_packages.sh

demo: toolchain
	@PATH="$(CURDIR)/$(BIN):$$PATH" examples/webshop/demo.sh

bench: toolchain
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .bootstrap .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
