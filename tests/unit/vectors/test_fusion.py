"""Rankings become one by their ranks alone."""

import pytest

from app.vectors.fusion import fuse


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    found = fuse(dense=[3, 1, 2], sparse=[1, 4])
    assert [(index, ranks) for index, _, ranks in found] == [
        (1, {"dense": 2, "sparse": 1}),
        (3, {"dense": 1}),
        (4, {"sparse": 2}),
        (2, {"dense": 3}),
    ]
    assert [score for _, score, _ in found] == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63])


def test_ties_go_by_index_and_nothing_is_nothing() -> None:
    assert [index for index, *_ in fuse(a=[5, 2], b=[2, 5])] == [2, 5]
    assert [index for index, *_ in fuse(a=[9], b=[4], c=[7])] == [4, 7, 9]
    assert fuse(a=[], b=[]) == fuse() == []


def test_an_item_of_all_rankings_goes_before_the_best_of_one() -> None:
    assert fuse(a=[0, *range(10, 40), 1], b=[*range(50, 80), 1])[0][0] == 1
