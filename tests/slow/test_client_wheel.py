"""The client's wheel, alone in an empty virtual environment, against the real service."""

import json
import shutil
import subprocess
import sys
from email import message_from_bytes
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from loadtests.pictures import file_of, fresh_seed, picture
from loadtests.running import ROOT, RunningService
from tests.support.oracle import Oracle

TEXTS = ["Hello world", "A puppy plays in the garden.", "The stock market fell."]
TALK = """
import asyncio, json, sys
from pathlib import Path

import embeddings_client as client

url, picture, texts = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
said = {"file": client.__file__, "modules": sorted(sys.modules)}
with client.EmbeddingClient(url) as service:
    said["sync"] = service.embed_texts(texts).tolist()
    said["generator"] = service.embed_texts(text for text in texts).tolist()
    said["image"] = service.embed_images([picture]).shape
    said["search"] = service.search("a small dog", texts, top_k=1)
    said["batch"] = [result.error and result.error.param for result in service.embed_batch([texts[0], "", picture])]
    try:
        service.embed_texts(texts, model="no-such")
    except client.ServiceError as error:
        said["error"] = [type(error).__name__, error.status, error.code, error.param, bool(error.request_id)]

async def main():
    async def stream():
        for text in texts:
            yield text

    async with client.AsyncEmbeddingClient(url) as service:
        said["async"] = (await service.embed_texts(texts)).tolist()
        said["stream"] = (await service.embed_texts(stream())).tolist()

asyncio.run(main())
print(json.dumps(said))
"""


def run(*command: str | Path) -> str:
    """What it prints; from no folder of ours, and (`-I`) with no path of ours."""
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # A copy: building leaves files beside the sources.
    source = shutil.copytree(ROOT / "clients/python", folder / "source", ignore=shutil.ignore_patterns("*.egg-info"))
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with nothing but the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("alone")
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-I", "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel)
    return python


def test_the_wheel_has_code_types_and_licence_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [archive.read(name) for name in names if name.endswith(".dist-info/METADATA")]
    code = {Path(name).name for name in names if name.startswith("embeddings_client/")}
    assert code == {path.name for path in (ROOT / "clients/python/src/embeddings_client").glob("*.*")}
    assert "py.typed" in code
    others = [name for name in names if not name.startswith(("embeddings_client/", "embeddings_client-"))]
    assert others == []
    assert any(name.endswith("licenses/LICENSE") for name in names)
    fields = message_from_bytes(metadata)
    assert sorted(fields.get_all("Requires-Dist") or []) == ["httpx", "numpy>=2", "orjson", "tqdm"]
    assert "from embeddings_client import EmbeddingClient" in str(fields.get_payload())


def test_nothing_heavy_is_installed(alone: Path) -> None:
    listed = json.loads(run(alone, "-I", "-m", "pip", "list", "--format", "json"))
    names = {entry["name"].lower() for entry in listed} - {"pip", "setuptools"}
    httpx_needs = {"anyio", "certifi", "h11", "httpcore", "idna", "sniffio", "typing_extensions"}
    assert names - httpx_needs == {"embeddings-client", "httpx", "numpy", "orjson", "tqdm"}


def test_it_talks_to_the_service(alone: Path, service: RunningService, oracle: Oracle, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(file_of(picture(fresh_seed())))
    said: dict[str, Any] = json.loads(run(alone, "-I", "-c", TALK, service.url, tmp_path / "a.png", *TEXTS))
    assert Path(said["file"]).is_relative_to(alone.parents[1])
    heavy = {"torch", "ray", "starlette", "pydantic", "app"}
    assert heavy & {name.partition(".")[0] for name in said["modules"]} == set()
    expected = oracle(TEXTS)
    for way in ("sync", "generator", "async", "stream"):
        rows = np.array(said[way])
        assert rows.shape == (3, 384)
        assert np.vecdot(rows, expected).min() >= 0.9999
    assert said["image"] == [1, 64]
    assert [index for index, _ in said["search"]] == [1]
    assert said["batch"] == [None, "items.1.text", None]
    assert said["error"] == ["ModelNotFound", 404, "model_not_found", "model", True]
