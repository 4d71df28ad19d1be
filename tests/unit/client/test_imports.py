"""What the client offers, under both of its names, and what it costs to import."""

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import app.client
import app.errors
import app.types
import app.vectors.similarity
import embeddings_client.errors

ROOT = Path(__file__).parents[3]
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
    "ServiceError",
    "Similarity",
    "Texts",
    "TimedOut",
    "TruncationWarning",
    "Unreachable",
    "UnreadableAnswer",
    "average_embeddings",
    "find_similar",
]
METHODS = {
    "average_embeddings", "base_url", "close", "embed_batch", "embed_images", "embed_texts", "find_similar", "run",
    "search", "similarity",
}  # fmt: skip
# What it had before it became a distribution.
MODULES = [
    "async_client", "base", "batch", "chunks", "embeddings", "failures", "items", "operation", "progress", "ranking",
    "retry", "sync_client", "vectors",
]  # fmt: skip
HEAVY = {
    "ray", "torch", "starlette", "pydantic", "app", "deployments", "transformers", "openvino", "pyarrow", "pandas",
    "PIL", "scipy", "fastapi", "IPython", "matplotlib",
}  # fmt: skip


def test_public_names() -> None:
    assert sorted(embeddings_client.__all__) == NAMES
    for client in (embeddings_client.EmbeddingClient("http://a"), embeddings_client.AsyncEmbeddingClient("http://a")):
        assert {name for name in dir(client) if not name.startswith("_")} == METHODS


def test_the_name_of_before_has_the_same_objects() -> None:
    assert app.client.__all__ == embeddings_client.__all__
    for name in NAMES:
        assert getattr(app.client, name) is getattr(embeddings_client, name)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_there_under_both_names_once(module: str) -> None:
    assert import_module(f"app.client.{module}") is import_module(f"embeddings_client.{module}")


def test_a_module_of_the_name_of_before_can_be_the_first_import() -> None:
    script = "from app.client.retry import Retry; import app.client.items as i; import embeddings_client as e; "
    script += "assert Retry is e.Retry and i is e.items"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


def test_errors_and_types_of_the_service_are_the_clients() -> None:
    theirs = {name: kind for name, kind in vars(embeddings_client.errors).items() if isinstance(kind, type)}
    assert len(theirs) == 24
    for name, kind in theirs.items():
        assert getattr(app.errors, name) is kind
    for name in ("InputType", "OutputType", "SimilarityMetric", "Vector"):
        assert getattr(app.types, name) is getattr(embeddings_client.types, name)
    for name in ("Ranking", "normalize", "rank"):
        assert getattr(app.vectors.similarity, name) is getattr(embeddings_client.similarity, name)


def test_using_it_loads_neither_the_service_nor_its_libraries() -> None:
    loaded = loaded_by("import embeddings_client; embeddings_client.EmbeddingClient")
    assert loaded & HEAVY == set()
    assert {"httpx", "numpy", "orjson", "tqdm"} <= loaded


def test_what_the_service_has_of_it_loads_no_http_client() -> None:
    for process in ("app.__main__", "deployments.cache, deployments.metrics"):
        loaded = loaded_by(f"import app.system.lean_ray, {process}")
        assert "embeddings_client" in loaded
        assert loaded & {"httpx", "numpy", "tokenizers"} == set(), process


def test_a_name_that_it_does_not_have() -> None:
    assert set(dir(embeddings_client)) == set(NAMES)
    with pytest.raises(AttributeError, match="module 'embeddings_client' has no attribute 'Client'"):
        _ = embeddings_client.Client  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'Client' from 'embeddings_client'"):
        from embeddings_client import Client  # type: ignore[attr-defined]  # noqa: F401


def loaded_by(script: str) -> set[str]:
    """The packages that a process has which has run it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{script}; import sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True, timeout=60, cwd=ROOT,
    )  # fmt: skip
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_it_needs_four_packages_and_the_licence_goes_along() -> None:
    folder = ROOT / "clients/python"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert sorted(project["dependencies"]) == ["httpx", "numpy>=2", "orjson", "tqdm"]
    service = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "embeddings-client" in service["dependencies"]
    assert (project["version"], project["requires-python"]) == (service["version"], service["requires-python"])
    assert (folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
