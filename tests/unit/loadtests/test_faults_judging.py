"""What a fault run notices, without a service: each answer that is not as it must be is caught."""

from typing import Any

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from loadtests.faults.judging import compare, header, judge
from loadtests.faults.oracle import TOLERANCE, Book
from loadtests.http_load import Answer

TEXTS = [f"first second third {number}" for number in range(6)]


def unit_rows(count: int, seed: int = 3) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, 384))
    normalized: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return normalized


KNOWN = Book(TEXTS, unit_rows(6))


def answer(rows: Any, status: int = 200, head: bytes = b"HTTP/1.1 200 OK\r\n\r\n", **more: Any) -> Answer:
    rows = rows.tolist() if isinstance(rows, np.ndarray) else rows
    return Answer(status, orjson.dumps({"embeddings": rows, "cacheHits": 0} | more), 0.1, head)


def test_the_right_rows_in_order_are_good() -> None:
    judged = judge(answer(KNOWN.vectors[[4, 1, 1]], cacheHits=2), [4, 1, 1], KNOWN)
    assert (judged.verdict, judged.hits) == ("good", 2)


def test_a_rounding_is_good_and_twice_the_tolerance_is_wrong() -> None:
    rows = KNOWN.vectors[[0, 1]].copy()
    rows[1, 7] += 0.9 * TOLERANCE
    assert judge(answer(rows), [0, 1], KNOWN).verdict == "good"
    rows[1, 7] += 1.1 * TOLERANCE
    judged = judge(answer(rows), [0, 1], KNOWN)
    assert judged.verdict == "wrong"
    assert "row 1 of 2 is 0.002 off text 1; it is nobody's" in judged.words


@pytest.mark.parametrize(
    ("indices", "words"),
    [
        ([1, 0, 2], "row 0 of 3 is"),  # swapped
        ([0, 0, 2], "it is text 0's"),  # doubled
        ([0, 1, 5], "it is text 5's"),  # another request's
        ([0, 1], "the shape is (2, 384), not (3, 384)"),  # lost
        ([0, 1, 2, 2], "the shape is (4, 384), not (3, 384)"),
    ],
)
def test_rows_that_are_others_are_wrong(indices: list[int], words: str) -> None:
    judged = judge(answer(KNOWN.vectors[indices]), [0, 1, 2], KNOWN)
    assert judged.verdict == "wrong"
    assert words in judged.words


@pytest.mark.parametrize("rows", [[[None] * 384], [["x"]], None, [[float("nan")] * 384]])
def test_what_is_no_matrix_is_wrong(rows: Any) -> None:
    assert judge(answer(rows), [0], KNOWN).verdict == "wrong"


def test_not_a_number_is_wrong_although_it_compares_with_nothing() -> None:
    rows = KNOWN.vectors[[0]].copy()
    assert compare(rows, [0], KNOWN) is None
    rows[0, 0] = np.nan
    assert compare(rows, [0], KNOWN) is not None


@pytest.mark.parametrize("status", [0, 301, 400, 404, 500, 502, 503, 504])
def test_every_other_status_has_failed(status: int) -> None:
    assert judge(answer(KNOWN.vectors[[0]], status), [0], KNOWN).verdict == "failed"


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (b"Retry-After: 3\r\n", "refused"),
        (b"retry-after:1\r\n", "refused"),
        (b"retry-after: soon\r\n", "failed"),
        (b"retry-after: 0\r\n", "failed"),
        (b"", "failed"),
    ],
)
def test_a_refusal_says_when_to_come_back(line: bytes, verdict: str) -> None:
    head = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n" + line + b"\r\n"
    assert judge(Answer(429, b"{}", 0.1, head), [0], KNOWN).verdict == verdict


def test_headers_are_found_by_name() -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Retry-After: 9\r\nRetry-After: 4\r\n\r\n"
    assert header(head, b"retry-after") == b"4"
    assert header(head, b"date") is None


def test_a_book_of_texts_too_much_alike_is_refused() -> None:
    rows = unit_rows(3)
    rows[2] = rows[0]
    rows[2, 0] += 5e-3
    with pytest.raises(ValueError, match="a swap of their vectors would not be seen"):
        Book(TEXTS[:3], rows)
    with pytest.raises(ValueError, match="5 vectors for 6 texts"):
        Book(TEXTS, unit_rows(5))


def test_in_turn_no_text_is_sent_twice_and_all_read_the_same() -> None:
    sent = [text for number in range(400) for text in KNOWN.in_turn(number, 1 + number % 3, 3).texts]
    assert len(set(sent)) == len(sent) == 799
    assert {" ".join(text.split()) for text in sent} == set(TEXTS)
    assert [" ".join(text.split()) for text in KNOWN.in_turn(4, 4, 4).texts] == [TEXTS[i] for i in (4, 5, 0, 1)]
    assert KNOWN.in_turn(4, 4, 4).indices == [4, 5, 0, 1]


def test_drawn_requests_come_back_and_prefer_the_first_texts() -> None:
    drawn = [KNOWN.drawn(number, 4) for number in range(300)]
    assert drawn == [KNOWN.drawn(number, 4) for number in range(300)]
    indices = [index for asked in drawn for index in asked.indices]
    assert indices.count(0) > 3 * indices.count(5) > 0
    assert {len(asked.texts) for asked in drawn} == {1, 2, 3, 4}
    assert all(TEXTS[i] == text for asked in drawn for i, text in zip(asked.indices, asked.texts, strict=True))
