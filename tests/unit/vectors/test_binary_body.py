from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.config.args import Limits
from app.errors import InvalidRequest
from app.schemas.similarity import MatrixOptions
from app.vectors.binary_body import matrix, parse_shape, rank_matrix

ROWS = np.array([[1, 0], [0, 1], [3, 4]], np.float32)


def file_of(array: Any, **options: Any) -> bytes:
    file = BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), **options)
    return file.getvalue()


def received(body: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(body, np.uint8)


def complaint(body: bytes, shape: tuple[int, int] | None, **limits: int) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequest) as refused:
        matrix(received(body), shape, Limits(**limits))
    return refused.value.message, refused.value.param


def test_plain_bytes_are_not_copied() -> None:
    body = received(ROWS.tobytes())
    rows = matrix(body, (3, 2), Limits())
    assert (rows.tolist(), rows.dtype.name) == (ROWS.tolist(), "float32")
    assert np.shares_memory(rows, body)


def test_a_numpy_file_is_not_copied_either() -> None:
    body = received(file_of(ROWS))
    rows = matrix(body, None, Limits())
    assert rows.tolist() == ROWS.tolist()
    assert np.shares_memory(rows, body)


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("array", [ROWS, ROWS.astype("<f8"), ROWS.astype(">f4"), np.asfortranarray(ROWS)])
def test_every_layout_of_a_numpy_file(array: Any, version: tuple[int, int]) -> None:
    rows = matrix(received(file_of(array, version=version)), None, Limits())
    assert (rows.tolist(), rows.dtype, rows.flags.c_contiguous) == (ROWS.tolist(), np.dtype(np.float32), True)


@pytest.mark.parametrize(
    ("body", "shape", "words"),
    [
        (ROWS.tobytes()[:-1], (3, 2), "The body has 23 bytes, but 3 × 2 float32 numbers have 24."),
        (ROWS.tobytes() + b"x", (3, 2), "The body has 25 bytes"),
        (b"", (3, 2), "The body has 0 bytes"),
        (b"", (0, 2), "0 × 2 has no query"),
        (b"", (1, 0), "1 × 0 has no query"),
        (ROWS.tobytes(), (10**12, 10**12), "the limit is 4,000,000"),
    ],
)
def test_shape_and_length_must_agree(body: bytes, shape: tuple[int, int], words: str) -> None:
    message, param = complaint(body, shape)
    assert words in message
    assert param == "x-embedding-shape"


def test_candidates_are_limited_and_the_query_does_not_count() -> None:
    assert len(matrix(received(ROWS.tobytes()), (3, 2), Limits(vector_elements=4))) == 3
    assert (
        "The candidates have 2 × 2 numbers; the limit is 3" in complaint(ROWS.tobytes(), (3, 2), vector_elements=3)[0]
    )
    assert "The candidates have 2 × 2 numbers; the limit is 3" in complaint(file_of(ROWS), None, vector_elements=3)[0]


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin-1")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not a NumPy file"),
        (b"\x93NUMPY", "not a NumPy file"),
        (b"PK\x03\x04" + b"x" * 100, "not a NumPy file"),
        (file_of(ROWS)[:40], "not a NumPy file"),
        (file_of(ROWS)[:-1], "but its header says 152"),
        (file_of(ROWS) + b"\n", "The NumPy file has 153 bytes"),
        (file_of(ROWS, version=(3, 0)), "format 3.0 is not supported"),
        (file_of(ROWS.astype(np.int32)), "holds int32; send float32 or float64"),
        (file_of(ROWS.astype(np.float16)), "holds float16"),
        (file_of(ROWS.astype(np.complex64)), "holds complex64"),
        (file_of(ROWS.astype(object), allow_pickle=True), "holds object"),
        (file_of(ROWS[0]), "has 1 dimensions"),
        (file_of(ROWS[None]), "has 3 dimensions"),
        (file_of(np.float32(1)), "has 0 dimensions"),
        (file_of(ROWS[:0]), "0 × 2 has no query"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -3)}"), "-2 × -3 has no query"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (True, 2)}"), "its header says 78"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999, 2)}"), "limit is 4,000,000"),
        (header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 2)}"), "send float32"),
        (header("(" * 5000), "not a NumPy file"),
        (header("(" * 3000), "not a NumPy file"),
        (header("'''"), "not a NumPy file"),
        (header("1L"), "not a NumPy file"),
        (header("{'descr': '<f4'}"), "not a NumPy file"),
        (header("__import__('os')"), "not a NumPy file"),
    ],
)
def test_what_is_no_float_matrix_is_refused_in_words(body: bytes, words: str) -> None:
    message, param = complaint(body, None)
    assert words in message
    assert (param, message[-1]) == (None, ".")


def test_a_damaged_file_is_refused_or_read_never_a_crash() -> None:
    body, random = file_of(ROWS), np.random.default_rng(0)
    refused = 0
    for _ in range(2000):
        damaged = bytearray(body)
        for place in random.integers(0, 128, random.integers(1, 4)):
            damaged[place] = random.integers(0, 256)
        try:
            matrix(received(bytes(damaged)), None, Limits())
        except InvalidRequest:
            refused += 1
    assert 1000 < refused < 2000


@pytest.mark.parametrize(
    ("row", "number", "param"), [(0, np.nan, "query"), (2, np.nan, "candidates.1"), (1, np.inf, "candidates.0")]
)
@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_numbers_must_be_finite(row: int, number: float, param: str, metric: Any) -> None:
    rows = ROWS.copy()
    rows[row, 1] = number
    with pytest.raises(InvalidRequest) as refused:
        rank_matrix(received(rows.tobytes()), (3, 2), MatrixOptions(metric=metric), Limits())
    assert refused.value.param == param


def test_float64_beyond_float32_is_not_finite() -> None:
    rows = ROWS.astype(np.float64)
    rows[2, 0] = 1e39
    with pytest.raises(InvalidRequest, match="not finite in float32"):
        rank_matrix(received(file_of(rows)), None, MatrixOptions(), Limits())


@pytest.mark.parametrize(("header", "shape"), [("3,2", (3, 2)), (" 10001 , 384 ", (10001, 384)), ("0,0", (0, 0))])
def test_the_shape_header(header: str, shape: tuple[int, int]) -> None:
    assert parse_shape(header) == shape


@pytest.mark.parametrize("header", ["", "3", "3,2,1", "a,b", "-3,2", "3.0,2", "(3, 2)", "1" * 13 + ",1", "٣,٢"])
def test_a_wrong_shape_header(header: str) -> None:
    with pytest.raises(InvalidRequest, match="must be two whole numbers") as refused:
        parse_shape(header)
    assert refused.value.param == "x-embedding-shape"
