import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.encoders.backends import proof
from app.encoders.backends.contract import EncoderType, Graph
from app.types import Vector

ROWS = np.eye(3, 4, dtype=np.float32)


def graph(folder: Path, max_tokens: int, encoder: EncoderType = "text", **config: object) -> Graph:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"vocab_size": 50, "pad_token_id": 1} | config))
    return Graph(str(folder), str(folder), "0", encoder, 4, max_tokens=max_tokens, image_size=(8, 8))


def compared(precision: str, *made: tuple[Vector, int]) -> dict[str, Any]:
    """Rows that a model made of texts of these lengths, against `ROWS`."""
    outputs = iter(rows for rows, _ in made)
    inputs = [(np.zeros((3, length), np.int32),) for _, length in made]
    return proof.compare(precision, lambda _: next(outputs), inputs, [ROWS] * len(made))


@pytest.mark.parametrize(
    ("made", "wrong", "cosine"),
    [
        (ROWS, False, 1.0),
        (ROWS * np.float32(1.004), False, 1.0),
        (ROWS * np.float32(1.006), True, 1.0),
        (ROWS + np.float32(0.01), True, 0.99985),
        (np.where(ROWS == 1, np.nan, ROWS), True, -1.0),
        (np.zeros_like(ROWS), True, -1.0),
        (-ROWS, True, -1.0),
    ],
)
def test_rows_must_agree_in_direction_and_length_and_be_finite(
    made: Vector,
    wrong: bool,
    cosine: float,
) -> None:
    found = compared("f32", (made.astype(np.float32), 64))
    assert (found["wrong"] is not None) is wrong
    assert wrong is False or found["wrong"].endswith(" at 64 tokens")
    assert found["cosine"] == pytest.approx(cosine, abs=1e-5)


def test_one_wrong_length_is_not_forgotten_and_is_named_once() -> None:
    found = compared("bf16", (ROWS, 8), (-ROWS, 32), (-ROWS, 32), (ROWS, 64), (-ROWS, 128))
    assert found["wrong"] == "cosine -1.0000 instead of 0.999, norms off by 0.0% at 32, 128 tokens"


def test_wrong_pictures_have_no_length() -> None:
    found = proof.compare("bf16", lambda _: -ROWS, [(np.zeros((3, 3, 8, 8), np.float32),)], [ROWS])
    assert found["wrong"] == "cosine -1.0000 instead of 0.999, norms off by 0.0%"


@pytest.mark.parametrize(("most", "longest"), [(8192, 1024), (256, 256), (100, 64), (8, 8)])
def test_lengths_end_at_what_the_model_reads(most: int, longest: int, tmp_path: Path) -> None:
    inputs = list(proof.cases(graph(tmp_path, most)))
    assert max(ids.shape[1] for ids, _ in inputs) == longest
    assert {len(ids) for ids, _ in inputs} == {1, 2, 3} - ({2} if longest <= 256 else set())
    for ids, mask in inputs:
        assert mask[0].all(), "one row fills the shape"
        assert (mask.sum(axis=1) >= 1).all()
        assert ((ids == 1) == (mask == 0)).all(), "padding, and nothing else, is the padding token"
        assert ids.max() < 50


def test_texts_of_clip_end_with_its_end_token(tmp_path: Path) -> None:
    for said, end in ((2, 49), (47, 47)):
        for ids, mask in proof.cases(graph(tmp_path, 77, "clip_text", text_config={"eos_token_id": said})):
            assert (ids[np.arange(len(ids)), mask.sum(axis=1) - 1] == end).all()


def test_pictures_are_one_and_several(tmp_path: Path) -> None:
    assert [pixels.shape for (pixels,) in proof.cases(graph(tmp_path, 0, "clip_image"))] == [(1, 3, 8, 8), (3, 3, 8, 8)]


@pytest.mark.parametrize(
    ("precision", "made", "wrong"),
    [
        ("f32", [[8.001], [0.001]], False),
        ("f32", [[8.1], [0.0]], True),  # a large score by its size
        ("f32", [[8.0], [0.05]], True),  # a small one by its angle
        ("f32", [[-8.0], [0.0]], True),
        ("bf16", [[8.1], [0.02]], False),
        ("bf16", [[8.5], [0.0]], True),
        ("bf16", [[8.0], [0.1]], True),
        ("f32", [[np.nan], [0.0]], True),
    ],
)
def test_scores_are_compared_by_size_and_difference(precision: str, made: list[list[float]], wrong: bool) -> None:
    inputs, right = [(np.zeros((2, 64), np.int32),)], np.array([[8], [0]], np.float32)
    found = proof.compare(precision, lambda _: np.array(made, np.float32), inputs, [right], scores=True)
    assert (found["wrong"] is not None) is wrong


def test_pairs_are_among_the_cases(tmp_path: Path) -> None:
    masks = [mask for _, mask in proof.cases(graph(tmp_path / "pairs", 64, "rerank"))]
    assert [mask.shape for mask in masks] == [(n, length) for length in (1, 8, 32, 64) for n in (1, 3)]
    assert masks[2].tolist() == [[1] * 4 + [2] * 4]
