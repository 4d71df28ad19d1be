import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.encoders.shapes import BATCHES, RUN_OVERHEAD_TOKENS, bucket, grid, lengths, pieces


@pytest.mark.parametrize(("n", "expected"), [(1, 8), (8, 8), (9, 16), (64, 64), (65, 128), (128, 128), (129, 192)])
def test_bucket_is_the_next_grid_value_then_multiples_of_the_last(n: int, expected: int) -> None:
    assert bucket(n, (8, 16, 64)) == expected


def test_lengths_end_at_what_the_model_reads() -> None:
    assert lengths(77) == (8, 16, 24, 32, 48, 64, 77)
    assert lengths(128)[-2:] == (96, 128)
    assert lengths(8) == (8,)


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
    shapes = set(grid(max_batch, max_tokens, max_length))
    length = bucket(data.draw(st.integers(1, max_length)), lengths(max_length))
    rows = data.draw(st.integers(1, min(max_batch, max(1, max_tokens // length))))
    assert {(padded, length) for _, padded in pieces(rows, length)} <= shapes
