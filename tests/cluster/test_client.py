"""The Python client and its commands against the live service."""

import asyncio
import io
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from app.client import (
    AsyncEmbeddingClient,
    Chunking,
    EmbeddingClient,
    Images,
    Texts,
    TruncationWarning,
    average_embeddings,
)
from app.errors import InvalidImage, InvalidItem, InvalidRequest, ModelNotFound, NotFound, PayloadTooLarge
from app.types import Vector
from loadtests.pictures import file_of, fresh_seed, picture
from loadtests.running import ROOT, RunningService, clean_environment, folder
from tests.support.caching import both_write, stored
from tests.support.oracle import Oracle

MODEL = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def asked(service: RunningService) -> Iterator[EmbeddingClient]:
    with EmbeddingClient(service.url) as client:
        yield client


def fresh(count: int) -> list[str]:
    mark = uuid.uuid4().hex[:8]
    return [f"{mark} {i} " + "word " * (i % 8) for i in range(count)]


def assert_same(rows: Vector, others: Vector) -> None:
    """Vectors of the same texts. An ingress replica that has not heard yet of an entry asks the model again, beside
    other neighbours, and bf16 shows that."""
    np.testing.assert_allclose(rows, others, rtol=0, atol=2e-3)


def test_texts_are_as_the_model_makes_them(asked: EmbeddingClient, oracle: Oracle) -> None:
    texts = [*fresh(5), "hello " * 1000]
    found = asked.run(Texts(texts))
    assert (found.vectors.shape, found.vectors.dtype) == ((6, 384), np.dtype(np.float32))
    assert np.vecdot(found.vectors, oracle(texts)).min() >= 0.9999
    assert (found.model, found.dimensions, found.truncated, found.note) == (MODEL, 384, (5,), None)
    assert found.space.startswith(f"{MODEL}@")
    assert found.tokens > 256
    with pytest.warns(TruncationWarning, match=f"^1 of 6 texts, the first at index 5, are longer than {MODEL} reads"):
        again = asked.embed_texts(texts, model="all-MiniLM-L6-v2")
    assert_same(again, found.vectors)


def test_more_than_a_request_may_hold(service: RunningService, oracle: Oracle) -> None:
    texts = fresh(2500)
    told: list[int] = []
    # Its own chunks are above the service's limit: they are halved when it says so.
    with EmbeddingClient(service.url, chunking=Chunking(texts=5000)) as client:
        rows = client.run(Texts(texts), told.append).vectors
    sample = list(range(0, 2500, 101))
    assert (rows.shape, told) == ((2500, 384), [2500])
    assert np.vecdot(rows[sample], oracle([texts[i] for i in sample])).min() >= 0.9999
    with EmbeddingClient(service.url) as client:
        assert_same(client.embed_texts(texts), rows)


def test_forms(asked: EmbeddingClient) -> None:
    texts = fresh(3)
    rows = asked.embed_texts(texts)
    for output, dtype, width in [("int8", np.int8, 384), ("uint8", np.uint8, 384), ("ubinary", np.uint8, 48)]:
        found = asked.run(Texts(texts, output_type=output))  # type: ignore[arg-type]
        assert (found.vectors.dtype, found.vectors.shape) == (np.dtype(dtype), (3, width))
        assert (found.range is None) == (output == "ubinary")
    clear = np.abs(rows) > 2e-3
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(np.unpackbits(found.vectors, axis=1)[clear], (rows > 0)[clear])


def test_images_from_paths_bytes_and_memory(asked: EmbeddingClient, tmp_path: Path) -> None:
    pictures = [picture(fresh_seed()) for _ in range(40)]
    files = [file_of(one) for one in pictures]
    (tmp_path / "one.png").write_bytes(files[1])
    found = asked.run(Images([files[0], tmp_path / "one.png", *pictures[2:]]))
    assert (found.vectors.shape, found.model) == ((40, 64), "shapes-clip")
    assert found.note is not None
    alone = np.stack([asked.embed_images([one])[0] for one in files[:4]])
    np.testing.assert_allclose(found.vectors[:4], alone, atol=1e-5)


def test_mixed_items(asked: EmbeddingClient) -> None:
    text, shape = fresh(1)[0], picture(fresh_seed())
    results = asked.embed_batch([text, shape, "", {"text": text, "model": "shapes-clip"}, b"no image"])
    assert [result.model for result in results] == [MODEL, "shapes-clip", None, "shapes-clip", None]
    assert [(type(result.error), result.error.param) for result in results if result.error] == [
        (InvalidItem, "items.2.text"),
        (InvalidImage, "items.4"),
    ]
    assert_same(results[0].unwrap(), asked.embed_texts([text])[0])
    assert results[1].unwrap().shape == results[3].unwrap().shape == (64,)


def test_search_and_similarity(asked: EmbeddingClient, client: httpx.Client) -> None:
    texts = ["A puppy plays in the garden.", "The stock market fell.", *fresh(1500)]
    # What is embedded anew, beside other neighbours, may be a little nearer or farther.
    both_write(client)
    with stored(client, 1500):
        found = asked.search("a small dog", texts, top_k=3)
    assert found[0].index == 0
    rows = asked.embed_texts(["a small dog", *texts])
    assert [hit.index for hit in asked.similarity(rows[0], rows[1:], top_k=3)] == [hit.index for hit in found]
    np.testing.assert_allclose(
        [hit.score for hit in asked.similarity(rows[0], rows[1:], top_k=3)], [hit.score for hit in found], atol=1e-5
    )
    here = asked.find_similar(rows[0], rows[1:], top_k=3)
    assert [hit.index for hit in here] == [hit.index for hit in found]
    assert [hit.score for hit in here] == pytest.approx([hit.score for hit in found], abs=1e-5)
    near = asked.similarity(rows[0], rows, metric="euclidean", threshold=0.5)
    assert near[0] == (0, 0.0)
    taste = average_embeddings(rows[:2])
    assert {hit.index for hit in asked.similarity(taste, rows, top_k=2)} == {0, 1}
    picture_found = asked.search(Image.new("RGB", (64, 64), "red"), ["a red square", Image.new("RGB", (64, 64), "red")])
    assert picture_found[0].index == 1


def test_errors_are_typed_and_found_in_the_log(asked: EmbeddingClient, service: RunningService) -> None:
    with pytest.raises(ModelNotFound) as missing:
        asked.embed_texts(["a"], model="no-such")
    assert (missing.value.status, missing.value.code, missing.value.param) == (404, "model_not_found", "model")
    assert missing.value.request_id
    with pytest.raises(InvalidRequest) as empty:
        asked.embed_texts([*fresh(700), ""])
    assert (empty.value.param, "`texts.700`" in str(empty.value)) == ("texts.700", True)
    with pytest.raises(PayloadTooLarge) as long:
        asked.embed_texts([*fresh(300), "é" * 40_000])
    assert long.value.param == "texts.300"
    with pytest.raises(InvalidImage) as broken:
        asked.embed_images([Image.new("L", (9, 9))] * 20 + [b"no image"])
    assert broken.value.param == "images.20"
    with EmbeddingClient(f"{service.url}/elsewhere") as lost, pytest.raises(NotFound):
        lost.embed_texts(["a"])


async def test_async_is_the_same(service: RunningService, asked: EmbeddingClient) -> None:
    texts = fresh(600)
    async with AsyncEmbeddingClient(service.url) as client:
        several = await asyncio.gather(*(client.embed_texts(texts[i : i + 200]) for i in (0, 200, 400)))
        with pytest.raises(ModelNotFound):
            await client.embed_texts(["a"], model="no-such")
        found = await client.search("a small dog", ["The stock market fell.", "A puppy plays."], top_k=1)
        shape = await client.embed_images([Image.new("RGB", (32, 32), "blue")])
        batch = await client.embed_batch([texts[0]])
        near = await client.similarity(several[0][0], several[0], top_k=1)
    rows = np.concatenate(several)
    assert_same(rows, asked.embed_texts(texts))
    assert ([hit.index for hit in found], shape.shape, near[0].index) == ([1], (1, 64), 0)
    [vector] = [result.vector for result in batch]
    assert vector is not None
    assert_same(vector, rows[0])


def command(service: RunningService, *argv: object, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "app", "--config", str(ROOT / "serve_config.yaml"), *map(str, argv)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=600,
        cwd=folder("work"),
        env=clean_environment(EMBEDDING_URL=service.url),
    )


@pytest.mark.parametrize("name", ["v.npy", "v.parquet", "v.jsonl"])
def test_embed_writes_what_the_service_says(
    name: str, service: RunningService, asked: EmbeddingClient, tmp_path: Path
) -> None:
    texts = fresh(700)
    (tmp_path / "in.txt").write_text("\n".join(texts))
    done = command(service, "embed", tmp_path / "in.txt", "--out", tmp_path / name)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 700
    match name:
        case "v.npy":
            rows = np.load(tmp_path / name)
        case "v.parquet":
            table = pq.read_table(tmp_path / name)
            assert table["text"].to_pylist() == texts
            rows = np.stack(table["embedding"].to_numpy())
        case _:
            rows = np.array([json.loads(line)["embedding"] for line in (tmp_path / name).read_text().splitlines()])
    assert_same(rows.astype(np.float32), asked.embed_texts(texts))


def test_embed_a_folder_of_images(service: RunningService, asked: EmbeddingClient, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    files = [file_of(picture(fresh_seed())) for _ in range(5)]
    for i, data in enumerate(files):
        (tmp_path / "pictures" / f"{i}.png").write_bytes(data)
    done = command(service, "embed", tmp_path / "pictures", "--out", tmp_path / "v.npy")
    assert done.returncode == 0, done.stderr
    assert "shapes-clip" in done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), asked.embed_images(files), atol=1e-5)


def test_search_in_stdin(service: RunningService) -> None:
    stdin = "The stock market fell.\nA puppy plays in the garden.\nBread needs flour.\n"
    done = command(service, "search", "a small dog", "-", "--top-k", "1", stdin=stdin)
    assert done.returncode == 0, done.stderr
    score, line = done.stdout.strip().split("  ", 1)
    assert line == "A puppy plays in the garden."
    assert 0.4 < float(score) < 0.7
    told = json.loads(command(service, "search", "a small dog", "-", "--top-k", "1", "--json", stdin=stdin).stdout)
    assert (told["line"], told["text"]) == (2, line)


def test_failures_in_words(service: RunningService, tmp_path: Path) -> None:
    done = command(service, "embed", "-", "--out", tmp_path / "v.npy", "--model", "no-such", stdin="one\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No text model named 'no-such'" in done.stderr
    assert "Traceback" not in done.stderr
    done = command(service, "embed", "-", "--out", tmp_path / "v.npy", stdin="one\n" + "é" * 40_000)
    assert (done.returncode, done.stdout) == (1, "")
    assert "standard input, line 2: `texts.1` has 80,000 bytes" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_documents_lines_run(service: RunningService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ROOT / "docs/reference/python-client.md"
    code = page.read_text().split("```python\n", 1)[1].split("```", 1)[0]
    for name in ("circle.png", "star.png"):
        (tmp_path / name).write_bytes(file_of(picture(fresh_seed())))
    monkeypatch.chdir(tmp_path)
    heard = io.StringIO()
    monkeypatch.setattr(sys, "stdout", heard)
    assert "http://127.0.0.1:3000" in code
    exec(compile(code.replace("http://127.0.0.1:3000", service.url), page.name, "exec"), {})  # noqa: S102 - our own
    assert heard.getvalue().splitlines() == [
        "(2, 384) float32",
        "(2, 64)",
        "A puppy plays in the garden.",
        "items.1.text: `items.1.text` must not be empty.",
        "404 model_not_found",
    ]
