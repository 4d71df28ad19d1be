from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.encoders.shapes import BATCHES, RUN_OVERHEAD_TOKENS, bucket, lengths, lengths_alone, pieces, warmed


@pytest.mark.parametrize(("n", "expected"), [(1, 8), (8, 8), (9, 16), (64, 64), (65, 128), (128, 128), (129, 192)])
def test_bucket_is_the_next_grid_value_then_multiples_of_the_last(n: int, expected: int) -> None:
    assert bucket(n, (8, 16, 64)) == expected


def test_lengths_end_at_what_the_model_reads() -> None:
    assert lengths(77) == (4, 6, 8, 10, 12, 14, *range(16, 64, 4), 64, 72, 77)
    assert lengths(128)[-2:] == (120, 128)
    assert lengths(512)[-2:] == (480, 512)
    assert lengths(8) == (4, 6, 8)
    assert lengths(3) == (3,)


def test_no_text_is_padded_by_much_and_lengths_stay_few() -> None:
    grown = lengths(32768)
    assert all(long - short <= max(4, short / 8) for short, long in pairwise(grown))
    assert (grown[-1], bucket(513, grown), len(grown)) == (32768, 576, 91)


def test_one_text_alone_has_few_lengths_where_there_are_graphs_for_them() -> None:
    assert lengths_alone(256)[:6] == (8, 16, 24, 32, 36, 40)
    assert lengths_alone(256)[4:] == tuple(length for length in lengths(256) if length > 32)
    assert (lengths_alone(20), lengths_alone(16)) == ((8, 16, 20), (8, 16))
    assert lengths_alone(6) == (4, 6)


def test_a_text_alone_and_the_largest_run_are_warmed() -> None:
    alone = [(1, 8), (1, 16), (1, 24), (1, 32)]
    assert warmed(32, 1024, lengths(256)) == [*alone, (4, 256)]
    assert warmed(32, 1024, lengths(8192)) == [*alone, (1, 1024)]
    assert warmed(32, 16384, lengths(700)) == [*alone, (16, 700)]
    assert warmed(32, 1024, lengths(20)) == [(1, 8), (1, 16), (1, 20), (32, 20)]
    # One of its size at least, and no more rows than a batch may have.
    assert warmed(32, 100, lengths(256)) == [*alone, (1, 256)]
    assert warmed(3, 1024, lengths(256)) == [*alone, (2, 256)]
    # Of a model that fills each text up to one length.
    assert warmed(32, 1024, (77,)) == [(1, 77), (8, 77)]
    assert warmed(32, 1024, (2048,)) == [(1, 2048)]


def test_pieces_pad_where_that_is_cheaper_than_another_run() -> None:
    assert pieces(3, 8) == ((3, 4),)
    assert pieces(3, 256) == ((2, 2), (1, 1))
    assert pieces(17, 64) == ((16, 16), (1, 1))
    assert pieces(0, 64) == ()
    assert pieces(70, 128)[:2] == ((32, 32), (32, 32))


@given(st.integers(1, 300), st.integers(1, 512))
def test_pieces_cover_the_rows_in_grid_sizes_at_no_more_than_one_padded_run(n: int, length: int) -> None:
    plan = pieces(n, length)
    assert sum(rows for rows, _ in plan) == n
    assert all(1 <= rows <= padded and padded in BATCHES for rows, padded in plan)
    if n <= BATCHES[-1]:
        cost = sum(padded * length + RUN_OVERHEAD_TOKENS for _, padded in plan)
        assert cost <= bucket(n, BATCHES) * length + RUN_OVERHEAD_TOKENS
