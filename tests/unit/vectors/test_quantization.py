from typing import Any

import numpy as np
import pytest

from app.errors import InvalidRequest
from app.types import OutputType, Vector
from app.vectors.quantization import bound, quantize, stated_range
from app.vectors.similarity import normalize


@pytest.fixture(scope="module")
def rows() -> Vector:
    return normalize(np.random.default_rng(7).normal(size=(64, 384)))


@pytest.mark.parametrize("output", ["float32", "int8", "uint8", "binary", "ubinary"])
def test_quantize_equals_sentence_transformers(rows: Vector, output: OutputType) -> None:
    from sentence_transformers import quantize_embeddings

    limit = bound(384)
    assert np.abs(rows).max() < limit
    ranges = np.full((2, 384), limit, np.float32) * np.array([[-1], [1]], np.float32)
    expected: Any = quantize_embeddings(rows, precision=output, ranges=ranges)
    made = quantize(rows, output)
    assert made.dtype == expected.dtype
    assert np.array_equal(made, expected)
    if output.endswith("int8"):
        wild = 3 * rows
        beyond = np.abs(wild) > limit
        assert beyond.any()
        assert np.array_equal(quantize(wild, output), quantize_embeddings(wild, precision=output, ranges=ranges))


def test_what_is_beyond_the_range_gets_its_end() -> None:
    row = np.array([[1.0, -1.0] + [0.0] * 382], np.float32)
    assert quantize(row, "int8")[0, :3].tolist() == [127, -128, -1]
    assert quantize(row, "uint8")[0, :3].tolist() == [255, 0, 127]


def test_the_stated_range() -> None:
    assert stated_range(384, "int8") == pytest.approx([-0.25515518, 0.25515518])
    assert stated_range(4, "uint8") == [-1, 1]
    assert stated_range(384, "binary") is stated_range(384, "float32") is None


def test_int8_keeps_cosines_within_a_hundredth(rows: Vector) -> None:
    exact = rows @ rows.T
    levels = normalize(quantize(rows, "int8").astype(np.float32) + 0.5)  # a level's middle
    assert np.abs(levels @ levels.T - exact).max() < 0.01


def test_signs_need_full_bytes() -> None:
    with pytest.raises(InvalidRequest, match="multiple of 8 dimensions, not 3") as refused:
        quantize(np.ones((1, 3), np.float32), "binary", "output_dtype")
    assert refused.value.param == "output_dtype"
    assert quantize(np.empty((0, 8), np.float32), "ubinary").shape == (0, 1)
