"""`python -m app inspect`, and what `pull` says at its end."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models

from app import __main__ as command
from app.encoders.weights import Weights

SPARSE = "sentence_transformers.sparse_encoder.models"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A table of token vectors in sentence-transformers' layout."""
    folder = tmp_path / "static"
    folder.mkdir()
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer.enable_truncation(99)
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file({"embedding.weight": np.ones((2, 8), np.float32)}, folder / "model.safetensors")
    kinds = [("", "StaticEmbedding"), ("1_Normalize", "Normalize")]
    listed = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds]
    (folder / "modules.json").write_text(json.dumps(listed))
    settings = {"prompts": {"query": "so: "}, "default_prompt_name": "query", "similarity_fn_name": "dot"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings | {"truncate_dim": 4}))
    return folder


def lines(directory: Path) -> list[str]:
    return [
        f"{directory} is at {directory}",
        "kind        texts (a table of token vectors)",
        "pooling     mean, then Normalize, then Truncate 4",
        "dimensions  4",
        "tokens      at most 99",
        "prompts     query: 'so: '",
        "similarity  dot",
        "default     'so: '",
        "weights     F32, 0.0 million numbers, 0.0 MB in 1 file",
        "backend     static",
        "complete    yes",
    ]


def test_what_a_model_is(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["inspect", str(directory)]) == 0
    assert capsys.readouterr().out.splitlines() == lines(directory)


def test_what_can_not_be_served_says_why(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert command.main(["inspect", str(directory)]) == 2
    assert capsys.readouterr().err == (
        "The model's tokenizer.json is a Git LFS pointer, not the file; run git lfs pull.\n"
    )
    (directory / "config_sentence_transformers.json").write_text('{"model_type": "SparseEncoder"}')
    assert command.main(["inspect", str(directory)]) == 2
    assert "no sparse encoder that is served (StaticEmbedding, Normalize)" in capsys.readouterr().err
    shutil.rmtree(directory)
    assert command.main(["inspect", str(directory)]) == 2
    assert "python -m app pull" in capsys.readouterr().err


def test_a_sparse_encoder_is_described_too(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "modules.json").write_text(json.dumps([{"path": "", "type": f"{SPARSE}.SparseStaticEmbedding"}]))
    save_file({"weight": np.ones(2, np.float32)}, directory / "model.safetensors")
    settings = {"prompts": {"query": "so: "}, "model_type": "SparseEncoder", "max_active_dims": 1}
    (directory / "config_sentence_transformers.json").write_text(json.dumps(settings))
    assert command.main(["inspect", str(directory)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "kind        sparse vectors of texts (a table of weights): configure it in sparse_models",
        "dimensions  2, at most 1 of a text",
        "tokens      at most 65,536",
        "prompts     query: 'so: '",
        "weights     F32, 0.0 million numbers, 0.0 MB in 1 file",
        "backend     static",
        "complete    yes",
    ]


def test_pull_ends_with_it(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.encoders.weights.pull", lambda *_: Weights(str(directory), directory, None, "0", "hub"))
    assert command.main(["pull", str(directory)]) == 0
    assert capsys.readouterr().out.splitlines() == lines(directory)
