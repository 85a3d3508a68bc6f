# What there is to do in a checkout.  `make` alone says it.
#
# Everything is installed into .venv, which is made with $(PYTHON), and again when setup.cfg or
# pyproject.toml have changed.

PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# An environment knows its own path.  One that was made here and then moved or copied with the
# checkout is of no use.
$(shell test ! -e $(VENV)/made-in || test "$$(cat $(VENV)/made-in)" = "$$(pwd -P)" || rm -rf $(VENV))

.PHONY: help demo check bench soak peers conformance doc coverage clean
.DELETE_ON_ERROR:
.SUFFIXES:

help:
	@echo 'make demo         two peers agree on keys, and every message is explained'
	@echo 'make check        all tests, types and rules; takes a few minutes'
	@echo 'make peers        fetch the other daemons that the tests talk to (Debian)'
	@echo 'make soak         a long run over networks that lose, repeat and reorder'
	@echo 'make bench        how fast it is, as JSON'
	@echo 'make conformance  run what proves the RFCs and write doc/reference/conformance.rst'
	@echo 'make coverage     which lines the tests run'
	@echo 'make doc          the documentation, into build/doc'
	@echo 'make clean        remove what these made, but not what make peers fetched'

demo: $(VENV)/installed
	@$(BIN)/isakmpctl demo

# What fails fast comes first.  Without the other daemons the tests that talk to them are skipped,
# and counted as such; who may fetch them, root on Debian, need not ask for it.
check: $(VENV)/installed-dev
	@test "$$(id -u)" -ne 0 || ! command -v apt-get >/dev/null || sh tests/interop/peers.sh || \
		echo 'Going on without the daemons that could not be fetched.' >&2
	$(BIN)/ruff check
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tests.conformance --check
	$(BIN)/mypy
	$(BIN)/python -m tests

bench: $(VENV)/installed-dev
	@$(BIN)/python -m tests.bench

soak: $(VENV)/installed-dev
	$(BIN)/python -m tests.properties.soak

peers:
	@sh tests/interop/peers.sh

conformance: $(VENV)/installed-dev
	$(BIN)/python -W error -m tests.conformance

coverage: $(VENV)/installed-dev
	$(BIN)/coverage run -m twisted.trial tests
	$(BIN)/coverage report

doc: $(VENV)/installed-dev
	$(BIN)/sphinx-build -W --keep-going -q -b html -d build/doctrees doc build/doc
	$(BIN)/pydoctor --quiet
	@echo 'build/doc/index.html'

clean:
	rm -rf $(VENV) build/doc build/doctrees build/lib build/bdist.* dist isakmp.egg-info
	rm -rf .mypy_cache .ruff_cache .import_linter_cache .hypothesis _trial_temp* .coverage

# Directories of packages without a stamp of their own are not rebuilt: an editable install reads
# the checkout.
$(VENV)/installed: setup.cfg pyproject.toml | $(BIN)/python
	@echo 'Installing isakmp and what it needs into $(VENV) ...'
	@$(INSTALL) -e .
	@touch $@

$(VENV)/installed-dev: setup.cfg pyproject.toml | $(BIN)/python
	@echo 'Installing isakmp and what its tests need into $(VENV) ...'
	@$(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/installed

# Debian's python3 has neither venv nor ensurepip, and dies of that with half a .venv made.
NEEDS := Debian: apt install git make python3-venv
OLD := isakmp needs Python 3.11 or later, and $(PYTHON) is %d.%d; name another: make PYTHON=python3.12

$(BIN)/python:
	@$(PYTHON) -c '' 2>/dev/null || { echo '$(NEEDS)' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit("$(OLD)" % v if v < (3, 11) else 0)'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo '$(NEEDS)' >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@pwd -P > $(VENV)/made-in
