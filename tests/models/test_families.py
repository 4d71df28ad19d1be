"""Families of text models, as tiny twins: each backend against sentence-transformers, short, padded and long."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config.args import ModelArgs
from app.encoders.backends import export, openvino_models
from app.encoders.text import TextModel, load_text_model
from app.types import Vector
from tests.support.families import FAMILIES, WORDS, write

# The whole list runs in tests/slow.
EIGHT = ["XLM-R", "DeBERTa-v2/v3", "ModernBERT", "Longformer", "BigBird", "T5", "Qwen3", "Gemma 3"]
MOST = 128


@pytest.fixture(autouse=True)
def _convert_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_models, "convert", export.write)


def texts() -> list[str]:
    rng = np.random.default_rng(3)
    return [" ".join(rng.choice(WORDS, count)) for count in (1, 3, 6, 20, 62, 100, 126, 500)]


def load(folder: Path, backend: str, cache: Path, precision: str = "f32") -> TextModel:
    args = ModelArgs(id=str(folder), backend=backend, device="cpu", precision=precision, cache_dir=str(cache))
    return load_text_model(args, threads=2, offline=True)


def encode(model: TextModel, rows: list[str]) -> Vector:
    return model.run([text.ids for text in model.tokenize(rows)])


def expected(folder: Path, rows: list[str]) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", local_files_only=True).encode(rows, show_progress_bar=False)


def least_cosine(rows: Vector, right: Vector) -> float:
    return float((np.vecdot(rows, right) / np.linalg.norm(rows, axis=1) / np.linalg.norm(right, axis=1)).min())


@pytest.mark.parametrize("name", EIGHT)
def test_a_family_is_served_as_sentence_transformers_does(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    folder = write(family, tmp_path / "model", MOST)
    right = expected(folder, texts())
    assert least_cosine(right[:1], right[1:2]) < 0.99, "they are not all alike"
    for backend in ("auto", "torch"):
        model = load(folder, backend, tmp_path / "cache")
        assert model.info.backend == ("openvino" if family.openvino and backend == "auto" else "torch")
        for rows in (encode(model, texts()), np.concatenate([encode(model, [text]) for text in texts()])):
            assert least_cosine(rows, right) > 0.9999
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), np.linalg.norm(right, axis=1), rtol=5e-3)
