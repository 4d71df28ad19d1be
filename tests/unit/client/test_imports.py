"""What the client offers, and what it costs to import."""

import subprocess
import sys

import app.client

NAMES = [
    "AsyncEmbeddingClient",
    "Batch",
    "Chunking",
    "EmbeddingClient",
    "Embeddings",
    "Found",
    "Images",
    "ItemResult",
    "Ranked",
    "Retry",
    "Search",
    "Similarity",
    "Texts",
    "TimedOut",
    "Unreachable",
    "UnreadableAnswer",
    "average_embeddings",
    "find_similar",
]
METHODS = {
    "average_embeddings", "base_url", "close", "embed_batch", "embed_images", "embed_texts", "find_similar", "run",
    "search", "similarity",
}  # fmt: skip
OURS = {"app", "app.client", "app.errors", "app.schemas", "app.vectors", "app.vectors.similarity", "app.types"}
HEAVY = {"ray", "torch", "starlette", "transformers", "openvino", "pyarrow", "pandas", "PIL", "scipy", "fastapi"}


def test_public_names() -> None:
    assert sorted(app.client.__all__) == NAMES
    for client in (app.client.EmbeddingClient("http://here"), app.client.AsyncEmbeddingClient("http://here")):
        assert {name for name in dir(client) if not name.startswith("_")} == METHODS


def test_importing_it_loads_neither_the_service_nor_its_libraries() -> None:
    script = "import sys, app.client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    modules = done.stdout.split()
    loaded = {name.partition(".")[0] for name in modules}
    assert loaded & HEAVY == set()
    ours = {
        name if name.startswith("app.vectors") else ".".join(name.split(".")[:2])
        for name in modules
        if name.partition(".")[0] == "app"
    }
    assert ours <= OURS
