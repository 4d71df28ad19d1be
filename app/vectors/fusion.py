"""Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): one ranking of several, by their ranks alone."""

from collections.abc import Sequence

K = 60
Fused = tuple[int, float, dict[str, int]]
"""An item's index, its score, and its rank, from 1, in each ranking that has it."""


def fuse(**rankings: Sequence[int]) -> list[Fused]:
    """Best first, ties by index. `rankings`: indices, best first. An item's score is the sum of 1 / (60 + rank)."""
    ranks: dict[int, dict[str, int]] = {}
    for name, indices in rankings.items():
        for rank, index in enumerate(indices, 1):
            ranks.setdefault(index, {})[name] = rank
    scored = [(index, sum(1 / (K + rank) for rank in own.values()), own) for index, own in ranks.items()]
    return sorted(scored, key=lambda item: (-item[1], item[0]))
