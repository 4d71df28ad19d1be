from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.encoders.shapes import BATCHES, RUN_OVERHEAD_TOKENS, bucket, fine_lengths, grid, lengths, pieces


@pytest.mark.parametrize(("n", "expected"), [(1, 8), (8, 8), (9, 16), (64, 64), (65, 128), (128, 128), (129, 192)])
def test_bucket_is_the_next_grid_value_then_multiples_of_the_last(n: int, expected: int) -> None:
    assert bucket(n, (8, 16, 64)) == expected


def test_lengths_end_at_what_the_model_reads() -> None:
    assert lengths(77) == (8, 16, 24, 32, 48, 64, 77)
    assert lengths(128)[-2:] == (96, 128)
    assert lengths(8) == (8,)


def test_beyond_512_tokens_lengths_grow_by_a_third_at_most_up_to_what_the_model_reads() -> None:
    grown = lengths(8192)
    assert grown[-12:] == (512, 640, 768, 1024, 1280, 1536, 2048, 2560, 3072, 4096, 5120, 6144, 8192)[-12:]
    assert lengths(32768)[-3:] == (20480, 24576, 32768)
    assert lengths(700)[-3:] == (512, 640, 700)
    assert all(long <= short * 4 / 3 + 1 for short, long in pairwise(grown) if short >= 512)
    assert bucket(513, grown) == 640


def test_fine_lengths_stay_few() -> None:
    fine = fine_lengths(32768)
    assert (fine[-1], bucket(513, fine), fine_lengths(256)[-1], fine_lengths(512)[-2:]) == (32768, 576, 256, (480, 512))
    assert len(fine) < 100
    assert all(long <= short * 9 / 8 for short, long in pairwise(fine) if short >= 128)


def test_only_lengths_up_to_1024_are_warmed() -> None:
    assert max(length for _, length in grid(32, 16384, lengths(8192))) == 1024
    assert max(length for _, length in grid(32, 16384, lengths(700))) == 700


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


@given(st.integers(1, 64), st.integers(64, 4096), st.integers(8, 600), st.data())
def test_the_grid_has_every_shape_that_a_planner_within_its_limits_asks_for(
    max_batch: int, max_tokens: int, max_length: int, data: st.DataObject
) -> None:
    shapes = set(grid(max_batch, max_tokens, lengths(max_length)))
    length = bucket(data.draw(st.integers(1, max_length)), lengths(max_length))
    rows = data.draw(st.integers(1, min(max_batch, max(1, max_tokens // length))))
    assert {(padded, length) for _, padded in pieces(rows, length)} <= shapes
