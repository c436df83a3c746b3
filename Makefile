# Targets for people are documented in README.md and CONTRIBUTING.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AZURITE := tests/servers/azurite
LOCK := .lock-venv
PIP_COMPILE := $(LOCK)/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.PHONY: serve test check bench soak lock catalogues reference clean

$(VENV): $(VENV)/.runtime
$(VENV)/.runtime: requirements/runtime.txt requirements/build.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is too old: Matou needs Python 3.11 or newer; give another with PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/packages python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch $@

# exec: signals reach Matou itself, not a shell in between.
serve: $(VENV)
	@exec $(BIN)/matou serve

# Azurite, which the tests of the azure driver start.
$(AZURITE)/node_modules/.installed: $(AZURITE)/package-lock.json
	@command -v npm >/dev/null || .ci/packages tests
	npm ci --prefix $(AZURITE) --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

# A file of tests stays on one worker, so that the servers it starts serve all of it. The files come in the order of their
# names, with the many short ones of tests/unit last, so that both workers end at about the same time.
test: $(VENV)/.dev $(AZURITE)/node_modules/.installed
	.ci/packages tests
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

soak: $(VENV)/.dev
	MATOU_SOAK_ROUNDS=$${MATOU_SOAK_ROUNDS:-200} $(BIN)/pytest --timeout 0 -s tests/soak $(ARGS)

# Raise versions with: make lock ARGS=--upgrade
lock:
	$(PYTHON) -m venv $(LOCK)
	$(LOCK)/bin/pip install --quiet --disable-pip-version-check pip-tools
	$(PIP_COMPILE) $(ARGS) --output-file requirements/runtime.txt pyproject.toml
	$(PIP_COMPILE) $(ARGS) --extra dev --constraint requirements/runtime.txt --output-file requirements/dev.txt pyproject.toml
	$(PIP_COMPILE) $(ARGS) --build-deps-for editable --only-build-deps --constraint requirements/runtime.txt \
		--output-file requirements/build.txt pyproject.toml

# The compiled catalogues of the translations: of the command line, and of the portal's pages.
catalogues: $(VENV)/.dev
	$(BIN)/python -m tests.unit.cli.catalogues
	DJANGO_SETTINGS_MODULE=matou.portal.settings $(BIN)/python -m tests.unit.portal.web.catalogues

# The pages of docs that are made from the code, and the schema of a new index, from its migrations.
SCHEMA := src/matou/registry/index/schema.sql
reference: $(VENV)/.dev
	LC_ALL=C $(BIN)/python -m matou.cli.reference > docs/reference/commands.md
	$(BIN)/python -m matou.config.reference > docs/configuration.md
	$(BIN)/python -m matou.registry.http.reference docs/reference
	$(BIN)/python -m matou.registry.index.revisions > $(SCHEMA).new && mv $(SCHEMA).new $(SCHEMA)
	$(BIN)/python -m matou.portal.api.reference > docs/rest-api.md

clean:
	rm -rf $(VENV) $(LOCK) $(AZURITE)/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
