# Two commands do everything: `make serve` and `make test`. Both install what they need, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := sh install.sh $(BIN)/python
# Without Material's notice of its successor.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs

.DEFAULT_GOAL := help
.PHONY: help serve dev test test-fast test-slow test-models test-bypass test-random check client-types format docs test-cache test-similarity test-corpus fuzz clean \
	bench load bench-batch bench-cache bench-peers bench-rerank bench-fairness bench-scaling bench-capacity bench-shards bench-bypass bench-idle bench-footprint bench-path bench-models bench-plots dashboard-pictures bench-similarity \
	bench-corpus bench-corpus-workers bench-corpus-search example-corpus \
	example-text example-search example-clustering example-recommendation example-images \
	example-pictures schemathesis train-shapes-clip test-page screenshots \
	negative-controls faults faults-nodes soak

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

# A stamp per set of packages: the step is skipped while the files it comes from are older.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..."; exit 1; }
	@case "$$(uname -s)" in Linux|Darwin) ;; *) echo "Linux or macOS is needed; on Windows, WSL."; exit 1;; esac
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.serve: $(VENV)/.created pyproject.toml clients/python/pyproject.toml constraints.txt install.sh
	@echo "Installing the service into $(VENV): about 2 GB of disk, or 6 GB with CUDA; it runs in 2 GB of memory ..."
	@$(INSTALL) --editable ./clients/python --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.serve pyproject.toml constraints.txt
	@echo "Installing what the tests need ..."
	@$(INSTALL) --editable ./clients/python --editable '.[dev]'
	@touch $@

serve: $(VENV)/.serve ## Start the service on PORT (default 3000); Ctrl-C stops it
	@exec $(BIN)/python -m app

dev: $(VENV)/.serve ## The same, restarted when a source file changes
	@exec $(BIN)/python -m app dev

test-fast: $(VENV)/.dev ## Only pure logic and the API in process: no Ray, no real model
	@exec $(BIN)/python -m pytest tests/unit tests/negative_controls -n 2 --dist loadscope

test: test-fast ## The test suite: what is quick first, then what loads models or starts Ray
	@cache=$$(mktemp -d) && trap 'rm -rf "$$cache"' EXIT && export TEST_CACHE="$$cache" && \
	$(BIN)/python -m pytest tests/models -n 2 --dist loadfile --durations 10 && \
	$(BIN)/python -m pytest tests/cluster --durations 25

test-slow: $(VENV)/.dev ## What is long: other people's clients, examples, fuzzing, dashboards, a tenth of the controls
	@$(BIN)/python -m pytest tests/slow
	@exec $(BIN)/python -m tests.negative_controls --tenth "$$(git rev-parse HEAD 2>/dev/null)"

test-models: $(VENV)/.dev ## Every family of models on every backend, as docs/models.md says, and published weights
	@exec $(BIN)/python -m pytest tests/models tests/slow/test_families.py tests/slow/test_real_weights.py tests/slow/test_int8.py

check: $(VENV)/.dev ## Format, lint, types, import rules, documentation
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@site=$$(mktemp -d) && trap 'rm -rf "$$site"' EXIT && $(MKDOCS) build --quiet --strict --site-dir "$$site"

docs: $(VENV)/.dev ## Write the generated parts of the documentation, and show it on http://127.0.0.1:8000
	@$(BIN)/python -m docs.generate
	@$(MKDOCS) serve

client-types: $(VENV)/.dev ## Write the TypeScript client's types from the OpenAPI document (needs Node.js and npm)
	@exec $(BIN)/python -m docs.typescript

format: $(VENV)/.dev ## Write the format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

test-bypass: $(VENV)/.dev ## The cluster's tests as shipped, with nothing past Serve, and under plain `serve run`
	@for way in shipped off plain; do echo "== $$way"; TEST_WAY=$$way $(BIN)/python -m pytest tests/cluster || exit 1; done

test-random: $(VENV)/.dev ## The properties of test-fast with other examples each time: for a nightly run
	@TEST_HYPOTHESIS=random $(BIN)/python -m pytest tests/unit -n 2 --dist loadscope

test-cache: $(VENV)/.dev ## Only the cache's tests
	@exec $(BIN)/python -m pytest tests/unit/cache

test-similarity: $(VENV)/.dev ## Only the similarity tests
	@exec $(BIN)/python -m pytest tests/unit/vectors

bench: $(VENV)/.dev ## Core latencies, batch efficiency, cache impact; writes loadtests/results.json
	@exec $(BIN)/python -m loadtests.bench

bench-batch: $(VENV)/.dev ## Only batch efficiency, beside the raw model
	@exec $(BIN)/python -m loadtests.bench batch

bench-cache: $(VENV)/.dev ## Only cache impact
	@exec $(BIN)/python -m loadtests.bench cache

bench-peers: $(VENV)/.dev ## This service, the raw model, Infinity (installed once) and PEERS="tei=http://127.0.0.1:8080" side by side
	@exec $(BIN)/python -m loadtests.bench_peers

bench-rerank: $(VENV)/.dev ## Rerankers: this service, CrossEncoder.predict and Infinity (after bench-peers) on the same models
	@exec $(BIN)/python -m loadtests.bench_rerank

bench-fairness: $(VENV)/.dev ## A stranger's single texts beside 0, 1, 4 and 16 piles (PEERS="tei=http://127.0.0.1:8080")
	@exec $(BIN)/python -m loadtests.bench_fairness

bench-scaling: $(VENV)/.dev ## 1, 2, 4, 8 encoder replicas with a stand-in model that sleeps
	@exec $(BIN)/python -m loadtests.bench_scaling

bench-capacity: $(VENV)/.dev ## What a request costs each part, and whether docs/scaling.md's model foretells a run
	@exec $(BIN)/python -m loadtests.bench_capacity

bench-bypass: $(VENV)/.dev ## What each part of the bypass of Serve earns, in pairs of services (TURNS=5 SCALE=1)
	@exec $(BIN)/python -m loadtests.bench_bypass --turns $${TURNS:-5} --scale $${SCALE:-1}

bench-idle: $(VENV)/.dev ## CPU seconds of a service that nobody asks for anything, by process, beside an empty one
	@exec $(BIN)/python -m loadtests.bench_idle --turns $${TURNS:-3}

bench-footprint: $(VENV)/.dev ## Memory by process, seconds to ready by step, disk of the packages
	@exec $(BIN)/python -m loadtests.bench_footprint

bench-path: $(VENV)/.dev ## Where a millisecond goes: one miss with a stamp at each hop, CPU by process
	@exec $(BIN)/python -m loadtests.bench_path

bench-models: $(VENV)/.dev ## Text models in process: seconds to ready, memory, speed (MODELS="..." PRECISION="f32 bf16 int8")
	@exec $(BIN)/python -m loadtests.bench_models --precision $${PRECISION:-auto} -- $${MODELS:-all-MiniLM-L6-v2}

bench-shards: $(VENV)/.dev ## The shared cache over 1, 2 and 4 shards
	@exec $(BIN)/python -m loadtests.bench_shards

dashboard-pictures: $(VENV)/.dev ## What the Grafana dashboard shows of a load test, into docs/ (needs Prometheus)
	@exec $(BIN)/python -m loadtests.dashboard_pictures

bench-plots: $(VENV)/.dev ## Pictures of results.json, into docs/
	@exec $(BIN)/python -m loadtests.plots

load: $(VENV)/.dev ## Locust against a service of its own: SHAPE=steady|step|spike|soak USERS=40 LENGTH=60 (CLASSES="SearchUser ...")
	@exec $(BIN)/python -m loadtests.load --shape $(or $(SHAPE),step) --users $(or $(USERS),40) --length $(or $(LENGTH),60) $(CLASSES)

test-page: $(VENV)/.dev ## Only the page's tests, in headless Chromium
	@exec $(BIN)/python -m pytest tests/cluster/page tests/slow/page tests/cluster/locked/test_key_page.py tests/unit/api/test_page.py

screenshots: $(VENV)/.dev ## Take the pictures of the page in docs/ anew (needs Chromium)
	@exec $(BIN)/python -m tests.cluster.page.screenshots

fuzz: $(VENV)/.dev ## 100,000 nearly right requests, hypothesis, schemathesis, 5,000 damaged images, broken HTTP
	@exec $(BIN)/python -m loadtests.fuzz

negative-controls: $(VENV)/.dev ## Each guard off, one by one, in a copy: a test must fail
	@exec $(BIN)/python -m tests.negative_controls

faults: $(VENV)/.dev ## Kill encoders and the cache, overload, redeploy, all under load; writes docs/faults.md; half an hour
	@exec $(BIN)/python -m loadtests.faults --scale $${SCALE:-1} --folder $${FOLDER:-docs}

faults-nodes: $(VENV)/.dev ## The same for proxy, ingress, worker nodes, a partition, the head and its Redis (needs redis-server), on three nodes
	@exec $(BIN)/python -m loadtests.faults proxy ingress raylet partition head redis --scale $${SCALE:-1} --folder $${FOLDER:-docs}

soak: $(VENV)/.dev ## An hour at half load: memory and latency must stay flat; writes docs/soak.png
	@exec $(BIN)/python -m loadtests.faults soak --scale $${SCALE:-1} --folder $${FOLDER:-docs}

bench-similarity: $(VENV)/.dev ## Milliseconds to rank 10,000 vectors
	@exec $(BIN)/python -m loadtests.bench_similarity

test-corpus: $(VENV)/.dev ## Only the tests of bulk embedding
	@exec $(BIN)/python -m pytest tests/unit/corpus tests/models/test_corpus_vectors.py tests/cluster/test_corpus.py tests/slow/test_corpus.py

bench-corpus: $(VENV)/.dev ## Bulk: rows/s, memory at 10,000 and 200,000 rows (ROWS="..."), against the model alone
	@exec $(BIN)/python -m loadtests.bench_corpus $(ROWS)

bench-corpus-workers: $(VENV)/.dev ## Bulk: 1, 2 and 4 workers, with a stand-in encoder that sleeps
	@exec $(BIN)/python -m loadtests.bench_corpus_workers

bench-corpus-search: $(VENV)/.dev ## Milliseconds to search 1,000,000 written vectors (1.5 GB of scratch space)
	@exec $(BIN)/python -m loadtests.bench_corpus_search

example-corpus: $(VENV)/.serve ## Embed a page of Alice in bulk, search it, load it into FAISS; needs no service
	@$(BIN)/python -c "import faiss" 2>/dev/null || $(INSTALL) faiss-cpu
	@$(BIN)/python -m examples.corpus
	@exec $(BIN)/python -m examples.corpus_faiss

example-text: $(VENV)/.serve ## Examples, against the service at PORT, EMBEDDING_URL or URL: compare texts
	@exec $(BIN)/python -m examples.text $(URL)

example-search: $(VENV)/.serve ## ... find passages by meaning
	@exec $(BIN)/python -m examples.search $(URL)

example-clustering: $(VENV)/.serve ## ... group texts by topic
	@$(BIN)/python -c "import sklearn" 2>/dev/null || $(INSTALL) scikit-learn
	@exec $(BIN)/python -m examples.clustering $(URL)

example-recommendation: $(VENV)/.serve ## ... recommend from what was liked
	@exec $(BIN)/python -m examples.recommendation $(URL)

example-images: $(VENV)/.serve ## ... find images with words
	@exec $(BIN)/python -m examples.image_search $(URL)

example-pictures: $(VENV)/.dev ## ... pictures of groups of texts and of images found, into docs
	@exec $(BIN)/python -m examples.pictures

schemathesis: $(VENV)/.dev ## 5,000 and more requests made of the OpenAPI document, to localhost:3000 (or URL=...)
	@exec $(BIN)/python -m loadtests.schema_fuzz.running $(URL)

train-shapes-clip: $(VENV)/.dev ## Train shapes-clip anew, into app/assets/shapes-clip
	@exec $(BIN)/python -m examples.train_shapes_clip

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
