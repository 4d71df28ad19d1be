import numpy as np
import pytest

from app.vectors.ragged import pack_sparse, unpack_sparse

ROW = np.array([0, 2.5, 0, -3, 1, 2.5], np.float32)


@pytest.mark.parametrize(
    ("most", "kept"),
    [
        (0, {1: 2.5, 3: -3, 4: 1, 5: 2.5}),
        (9, {1: 2.5, 3: -3, 4: 1, 5: 2.5}),
        (3, {1: 2.5, 3: -3, 5: 2.5}),
        (2, {1: 2.5, 3: -3}),
        (1, {3: -3}),
    ],
)
def test_what_is_not_zero_comes_back_in_order(most: int, kept: dict[int, float]) -> None:
    indices, values = unpack_sparse(pack_sparse(ROW, most))
    assert (indices.tolist(), values.tolist()) == ([*kept], [*kept.values()])
    assert [indices.dtype.name, values.dtype.name] == ["uint32", "float32"]


def test_a_row_of_zeros_is_nothing() -> None:
    assert pack_sparse(np.zeros(9, np.float32)) == b""
    assert [part.tolist() for part in unpack_sparse(b"")] == [[], []]
