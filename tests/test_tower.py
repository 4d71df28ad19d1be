"""Towers beside each other on one event loop and one device, as those of a CLIP model are.

The imports of Ray warn, and warnings are errors here.
"""

import asyncio
import gc
import warnings
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import pytest

from app.batching import BatchQueue
from app.device import Device
from app.entries import unpack
from app.recorder import Recorder
from app.types import ModelInfo, Vector
from tests.aio import run

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from deployments.tower import Tower

INFO = ModelInfo("two", "f" * 32, 2, 8, ("text", "image"), "fake", "f32")


class Graph:
    """Makes (number, item) of an item, and keeps what it was given."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.given: list[int] = []

    def __call__(self, items: Sequence[int]) -> Vector:
        self.given += items
        return np.array([[self.number, item] for item in items], np.float32)


async def rows(tower: Tower, items: Sequence[int]) -> list[list[float]]:
    """What a call brings; no item of it may fail."""
    count = len(items)
    deadline = asyncio.get_running_loop().time() + 10
    reply = await tower.encode(
        items, [1] * count, deadline, tokens=[0] * count, truncated=[False] * count, prepare_ms=5.0
    )
    assert reply.errors == {}
    assert reply.took_ms > reply.prepare_ms + reply.queue_ms > 5
    size = len(reply.packed) // count
    made: list[list[float]] = unpack([reply.packed[i * size : (i + 1) * size] for i in range(count)])[0].tolist()
    return made


def test_no_tower_runs_what_came_to_another_in_the_same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    # It only compares two settings of the replica, and there is none here.
    check = "_BatchQueue._warn_if_max_batch_size_exceeds_max_ongoing_requests"
    monkeypatch.setattr(f"ray.serve.batching.{check}", lambda self: None)
    # Collected when its loop is gone, a queue would begin one of its own, and leave it.
    monkeypatch.setattr("ray.serve.batching._BatchQueue.__del__", lambda self: None)

    async def main() -> None:
        device, texts, images = Device(), Graph(1), Graph(2)
        towers = [
            Tower(INFO, graph, BatchQueue(4, 4, int), device, "r1", Recorder(), "tokenize", nullcontext)
            for graph in (texts, images)
        ]
        for turn in range(10):
            of_text, of_image = await asyncio.gather(rows(towers[0], [turn]), rows(towers[1], [10, 20, 30]))
            assert (of_text, of_image) == ([[1, turn]], [[2, 10], [2, 20], [2, 30]])
        assert (texts.given, images.given) == ([*range(10)], [10, 20, 30] * 10)

    run(main())
    gc.collect()
