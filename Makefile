# Two commands do everything: `make serve` and `make test`. Both install what they need, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help serve dev test check format test-cache test-similarity bench-similarity clean \
	example-text example-search example-clustering example-recommendation example-images train-shapes-clip

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

# A stamp per set of packages: the step is skipped while the files it comes from are older.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.serve: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing the service (the first time takes some minutes) ..."
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.serve pyproject.toml constraints.txt
	@echo "Installing what the tests need ..."
	@$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@

serve: $(VENV)/.serve ## Start the service on PORT (default 3000); Ctrl-C stops it
	@exec $(BIN)/python -m app

dev: $(VENV)/.serve ## The same, restarted when a source file changes
	@exec $(BIN)/python -m app dev

test: $(VENV)/.dev ## Run the whole test suite
	@exec $(BIN)/python -m pytest

check: $(VENV)/.dev ## Format, lint, types, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev ## Write the format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

test-cache: $(VENV)/.dev ## Only the cache's tests
	@exec $(BIN)/python -m pytest tests/test_cache*.py tests/test_shared_cache*.py

test-similarity: $(VENV)/.dev ## Only the similarity tests
	@exec $(BIN)/python -m pytest tests/test_similarity*.py

bench-similarity: $(VENV)/.dev ## Milliseconds to rank 10,000 vectors
	@exec $(BIN)/python -m loadtests.bench_similarity

example-text: $(VENV)/.dev ## Examples, against the service on localhost:3000 (or URL=...): compare texts
	@exec $(BIN)/python -m examples.text $(URL)

example-search: $(VENV)/.dev ## ... find passages by meaning
	@exec $(BIN)/python -m examples.search $(URL)

example-clustering: $(VENV)/.dev ## ... group texts by topic
	@exec $(BIN)/python -m examples.clustering $(URL)

example-recommendation: $(VENV)/.dev ## ... recommend from what was liked
	@exec $(BIN)/python -m examples.recommendation $(URL)

example-images: $(VENV)/.dev ## ... find images with words
	@exec $(BIN)/python -m examples.image_search $(URL)

train-shapes-clip: $(VENV)/.dev ## Train shapes-clip anew, into app/assets/shapes-clip
	@exec $(BIN)/python -m examples.train_shapes_clip

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
