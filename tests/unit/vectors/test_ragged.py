import numpy as np
import pytest

from app.vectors.ragged import max_sims, pack_sparse, unpack_sparse

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


def test_max_sim_is_the_sum_of_each_query_tokens_best_cosine() -> None:
    query = np.array([[2, 0], [0, 3]], np.float32)
    texts = [np.array(rows, np.float32) for rows in ([[5, 0]], [[0, 1], [1, 1]], [[-1, 0], [0, -2]], [[0, 0]])]
    packed = [text.tobytes() for text in texts]
    root = 1 / np.sqrt(2)
    wanted = [1 + 0, root + 1, 0, 0]
    np.testing.assert_allclose(max_sims([query.tobytes()], packed, 2), wanted, atol=1e-6)
    one_by_one = [query[:1].tobytes(), query[1:].tobytes()]
    np.testing.assert_allclose(max_sims(one_by_one, packed[:2], 2), [1, 1], atol=1e-6)
    np.testing.assert_allclose(max_sims([query.tobytes()], [b""], 2), [-2])
    assert max_sims([query.tobytes()], [], 2).tolist() == []
