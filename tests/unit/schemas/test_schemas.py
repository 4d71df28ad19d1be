from typing import Any

import pytest
from pydantic import ValidationError

from app.schemas.batch import BatchRequest
from app.schemas.openai import OpenAiEmbeddingRequest
from app.schemas.similarity import SimilarityOptions
from app.schemas.wire import Wire


def test_a_whole_number_may_have_a_fraction_of_zero() -> None:
    assert SimilarityOptions.model_validate({"topK": 5.0}).top_k == 5
    assert type(SimilarityOptions.model_validate({"topK": 5.0}).top_k) is int
    assert BatchRequest.model_validate_json('{"items": [{}], "batchSize": 2048.0}').batch_size == 2048
    asked = OpenAiEmbeddingRequest.model_validate_json('{"input": "a", "model": "m", "dimensions": 64.0}')
    assert asked.dimensions == 64


@pytest.mark.parametrize("wrong", [5.5, True, "5", 0, 0.0, -1, [5], 1e400])
def test_what_is_no_count_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        SimilarityOptions.model_validate({"topK": wrong})


class Measured(Wire):
    value: float


@pytest.mark.parametrize("none", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_are_finite(none: str) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Measured.model_validate_json(f'{{"value": {none}}}')
