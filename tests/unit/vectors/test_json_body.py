import json
from typing import Any, NamedTuple

import numpy as np
import pytest

from app.config.args import Limits
from app.errors import InvalidRequest
from app.schemas.similarity import SpacedOptions
from app.types import Vector
from app.vectors.json_body import parse


class Query(NamedTuple):
    query: Vector
    candidates: Vector
    options: SpacedOptions


def asked(limits: Limits | None = None, **fields: Any) -> Query:
    body: dict[str, Any] = {"query": [1, 0], "candidates": [[1, 2], [3, 4]]}
    body |= fields
    return Query(*parse(json.dumps(body).encode(), limits or Limits()))


def complaint(**fields: Any) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequest) as refused:
        asked(**fields)
    assert refused.value.status == 400
    return refused.value.message, refused.value.param


def test_numbers_become_float32_arrays() -> None:
    request = asked(query=[1, 0.1], candidates=[[1, 2], [3.5, -4e30], [0, 2**63]])
    assert {request.query.dtype, request.candidates.dtype} == {np.dtype(np.float32)}
    assert request.query.tolist() == [1, np.float32(0.1)]
    assert request.candidates.tolist() == [[1, 2], [3.5, np.float32(-4e30)], [0, 2.0**63]]
    assert request.candidates.flags.c_contiguous


def test_options_and_their_defaults() -> None:
    options = asked().options
    assert (options.top_k, options.threshold, options.metric) == (None, None, "cosine")
    options = asked(topK=5, threshold=-1, metric="euclidean").options
    assert (options.top_k, options.threshold, options.metric) == (5, -1.0, "euclidean")


def test_no_candidates_are_fine() -> None:
    request = asked(query=[1, 2, 3], candidates=[])
    assert (request.candidates.shape, request.candidates.dtype.name) == ((0, 3), "float32")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is empty; send a JSON object."),
        (b"{", "The body is not valid JSON: "),
        (b'{"query": [NaN], "candidates": []}', "The body is not valid JSON: "),
        (b"\xff", "The body is not valid JSON: "),
        (b"[" * 100_000, "The body is not valid JSON: "),
        (b"[]", "The body must be a JSON object with `query` and `candidates`."),
        (b"5", "The body must be a JSON object with `query` and `candidates`."),
    ],
)
def test_json_vectors_must_be_in_an_object(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(body, Limits())
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize(
    ("query", "message", "param"),
    [
        (None, "`query` is missing: send a vector as a list of numbers.", "query"),
        ([], "`query` must be a list of at least one number.", "query"),
        ("x", "`query` must be a list of at least one number.", "query"),
        ({"0": 1}, "`query` must be a list of at least one number.", "query"),
        ([[1, 2]], "`query` must be a list of numbers.", "query"),
        ([1, [2]], "`query` must be a list of numbers.", "query"),
        ([1, "2"], "`query` must be a list of numbers.", "query"),
        ([1, None], "`query` must be a list of numbers.", "query"),
        ([1, True], "`query` must be a list of numbers.", "query"),
        ([True, False], "`query` must be a list of numbers.", "query"),
        ([1, 1e39], "`query.1` does not fit a 32-bit float.", "query.1"),
        ([-(2**70) * 2**70, 0], "`query.0` does not fit a 32-bit float.", "query.0"),
    ],
)
def test_a_wrong_query_of_a_similarity_request(query: Any, message: str, param: str) -> None:
    assert complaint(query=query) == (message, param)


@pytest.mark.parametrize(
    ("candidates", "message", "param"),
    [
        (None, "`candidates` is missing: send a list of vectors.", "candidates"),
        ("x", "`candidates` must be a list of vectors, each a list of numbers.", "candidates"),
        ([1, 2], "`candidates.0` must be a list of numbers.", "candidates.0"),
        ([[1, 2], 5], "`candidates.1` must be a list of numbers.", "candidates.1"),
        ([[1, 2], "xy"], "`candidates.1` must be a list of numbers.", "candidates.1"),
        ([[1, 2], [1, "2"]], "`candidates.1` must be a list of numbers.", "candidates.1"),
        ([[1, 2], [1, None]], "`candidates.1` must be a list of numbers.", "candidates.1"),
        ([[1, 2], [1, True]], "`candidates.1` must be a list of numbers.", "candidates.1"),
        ([[1, 2], [[1, 2]]], "`candidates.1` must be a list of numbers.", "candidates.1"),
        ([[[1, 2]]], "`candidates.0` must be a list of numbers.", "candidates.0"),
        ([[1, 2], [1]], "`candidates.1` has 1 numbers, but `query` has 2: they must be equal.", "candidates.1"),
        ([[1], [2]], "`candidates.0` has 1 numbers, but `query` has 2: they must be equal.", "candidates.0"),
        ([[]], "`candidates.0` has 0 numbers, but `query` has 2: they must be equal.", "candidates.0"),
        ([[1, 2], [1, 1e39]], "`candidates.1.1` does not fit a 32-bit float.", "candidates.1.1"),
        ([[1, 2], [1, 1e39], [1]], "`candidates.1.1` does not fit a 32-bit float.", "candidates.1.1"),
    ],
)
def test_wrong_candidates(candidates: Any, message: str, param: str) -> None:
    assert complaint(candidates=candidates) == (message, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"topK": 0}, "topK"),
        ({"topK": 1.5}, "topK"),
        ({"topK": True}, "topK"),
        ({"threshold": "1"}, "threshold"),
        ({"metric": "manhattan"}, "metric"),
    ],
)
def test_wrong_options_of_a_similarity_request(fields: dict[str, Any], param: str) -> None:
    assert complaint(**fields)[1] == param


def test_an_unknown_field_is_told_all_known_ones() -> None:
    assert complaint(top_n=5) == (
        (
            "`top_n` is not a field of this request. Known fields: "
            "candidateSpace, candidates, metric, query, querySpace, threshold, topK. Did you mean `topK`?"
        ),
        "top_n",
    )


def test_the_word_true_elsewhere_is_no_harm() -> None:
    body = b'{"query": [1, 2], "candidates": [[1, 2], [3, 4]], "metric": "cosine", "true": 1}'
    with pytest.raises(InvalidRequest, match="`true` is not a field"):
        parse(body, Limits())
    slow = asked(candidates=[[1, 2], [3, 4]], threshold=None)
    assert slow.candidates.tolist() == [[1, 2], [3, 4]]


def test_too_many_numbers_are_refused_before_they_are_looked_at() -> None:
    limits = Limits(vector_elements=6)
    assert asked(limits, candidates=[[1, 2]] * 3).candidates.shape == (3, 2)
    with pytest.raises(InvalidRequest) as refused:
        asked(limits, candidates=["nonsense"] * 4)
    assert refused.value.message == "`candidates` has 4 × 2 numbers; the limit is 6."
    assert refused.value.param == "candidates"
