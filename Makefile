# Everything a fresh clone needs is set up by these targets: Python 3.11 and nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready
# The end-to-end tests wait more than they work, so there are more workers than cores; 0 is without workers.
WORKERS ?= 4
# Leases of real nodes are seconds, which others on the same processors would use up.
ALONE  := tests/cluster/test_nodes.py
MINUTES ?= 10
ONLY   ?= whatever
# What CI simulates. A seed of five days takes some 15 s of one core that has nothing else to do.
SEEDS  ?= 1..10
DAYS   ?= 5
# What looks after the packages has a place of its own, so that it is no part of what is tested or installed.
TOOLS  := .venv-tools
COMPILE = $(TOOLS)/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host $(UPGRADE)

.PHONY: demo test check docs reference bench fuzz simulate sbom audit lock wheel deb man clean

$(READY): pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "presencebridge: making the environment in $(VENV) and fetching what is locked; once, and it takes a while"
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --requirement requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## both emulators, the bridge and its page, playing an office day
	$(BIN)/presencebridge demo

test: check  ## what CI runs
	PYTHONASYNCIODEBUG=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore $(ALONE)
	$(BIN)/python -m pytest $(ALONE)

check: $(READY)  ## lint, types, import law
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## the site of docs/, into build/site; a broken link fails
	$(BIN)/python -m sphinx -q -W --keep-going -j 2 -d build/doctrees docs build/site
	@echo "build/site/index.html"

reference: $(READY)  ## the parts of docs/ that are made from the code
	$(BIN)/python docs/generate.py

bench: $(READY)  ## every figure of docs/performance.md beside its goal; QUICK=--quick to see only that it works
	$(BIN)/python benchmarks/bench.py $(QUICK)

fuzz: $(READY)  ## each parser of outside bytes for MINUTES (or those that match ONLY)
	HYPOTHESIS_RANDOM=1 FUZZ_SECONDS=$$(( $(MINUTES) * 60 )) $(BIN)/python -m pytest -s -n 2 tests/fuzz -k "whatever and ($(ONLY))"

simulate: $(READY)  ## the whole service in virtual time, by seeds; 1 if something was wrong
	$(BIN)/presencebridge simulate --seeds $(SEEDS) --days $(DAYS)

sbom: $(TOOLS)/ready  ## what an installation consists of, as CycloneDX
	$(TOOLS)/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --output-file sbom.json

audit: $(TOOLS)/ready  ## known holes in what we install
	$(TOOLS)/bin/python .ci/audit.py $(TOOLS)/bin/pip-audit requirements.lock requirements-dev.lock

lock: $(TOOLS)/ready  ## the locks anew, from pyproject.toml; what is locked stays as it is, unless UPGRADE=--upgrade
	$(COMPILE) --output-file requirements.lock pyproject.toml
	echo hatchling | $(COMPILE) --output-file requirements-build.lock -
	printf '%s\n' pip-audit cyclonedx-bom pip-tools | $(COMPILE) --output-file requirements-tools.lock -
	$(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

$(TOOLS)/ready: requirements-tools.lock
	@echo "presencebridge: making the environment of the tools in $(TOOLS); once, and it takes a while"
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --requirement requirements-tools.lock
	@touch $@

wheel: $(READY)  ## dist/presencebridge-*.whl
	@mkdir -p dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

deb:  ## the Debian package for the distribution that it is built on; VERSION=1.2.3 for another version
	packaging/debian/build $(VERSION)

man: $(READY)  ## dist/presencebridge.1, from the same source as --help
	@mkdir -p dist
	$(BIN)/python packaging/man.py > dist/presencebridge.1

clean:
	rm -rf $(VENV) $(TOOLS) build dist sbom.json .pytest_cache .mypy_cache .ruff_cache .hypothesis
