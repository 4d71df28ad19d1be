"""Engines beside each other on one event loop and the same threads, as those of a CLIP model are.

The imports of Ray warn, and warnings are errors here.
"""

import asyncio
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.cache.entry import split, unpack, unpack_each
from app.errors import NotFinite, UnknownToken
from app.inference.batch_queue import BatchQueue
from app.inference.model_threads import ModelThreads
from app.telemetry.registry import Registry
from app.types import ModelInfo, Rows, Vector
from tests.support.aio import in_time

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from deployments.engine import Engine

INFO = ModelInfo("two", "f" * 32, 2, 8, ("text", "image"), "fake", "f32")


class FakeModel:
    """Makes (number, item) of an item, the number negative in an exclusive run, and keeps what it was given."""

    def __init__(self, number: int, profiles: tuple[bool, ...] = (False,)) -> None:
        self.number = number
        self.profiles = profiles
        self.runs: list[list[int]] = []
        self.exclusive: list[list[int]] = []

    def run(self, items: Sequence[int], /, *, exclusive: bool = False) -> Vector:
        (self.exclusive if exclusive else self.runs).append([*items])
        return np.array([[-self.number if exclusive else self.number, item] for item in items], np.float32)


async def rows(engine: Engine, items: Sequence[int]) -> list[list[float]]:
    """What a call brings; no item of it may fail."""
    count = len(items)
    deadline = asyncio.get_running_loop().time() + 10
    reply = await engine.encode(
        items, [1] * count, deadline, tokens=[0] * count, truncated=[False] * count, prepare_ms=5.0
    )
    assert reply.errors == {}
    assert reply.prepare_ms + reply.queue_ms > 5
    size = len(reply.packed) // count
    made: list[list[float]] = unpack([reply.packed[i * size : (i + 1) * size] for i in range(count)])[0].tolist()
    return made


@pytest.fixture(autouse=True)
def no_replica_around(monkeypatch: pytest.MonkeyPatch) -> None:
    # It only compares two settings of the replica, and there is none here.
    check = "_BatchQueue._warn_if_max_batch_size_exceeds_max_ongoing_requests"
    monkeypatch.setattr(f"ray.serve.batching.{check}", lambda self: None)


def engine_of(model: FakeModel, threads: ModelThreads | None = None, info: ModelInfo = INFO) -> Engine:
    queue = BatchQueue(4, 4, int)
    return Engine(info, model, queue, threads or ModelThreads(), "r1", Registry(), "tokenize", nullcontext)


class RaggedModel(FakeModel):
    """Makes as many fours as an item says; of 9, what is no number."""

    def run(self, items: Sequence[int], /, *, exclusive: bool = False) -> Rows:
        out = np.full(len(items), b"", object)
        for place, item in enumerate(items):
            out[place] = np.full(item, np.nan if item == 9 else 4, np.float32).tobytes()
        return out


async def test_rows_that_differ_in_size_come_in_order_and_not_finite_ones_are_refused() -> None:
    engine = engine_of(RaggedModel(1), info=replace(INFO, kinds=("sparse",)))
    items, deadline = [2, 0, 9, 1, 3], asyncio.get_running_loop().time() + 10
    counts = {"tokens": [*range(5)], "truncated": [False] * 5}
    reply = await engine.encode(items, [1] * 5, deadline, prepare_ms=0.0, **counts)  # type: ignore[arg-type]
    assert {index: type(error) for index, error in reply.errors.items()} == {2: NotFinite}
    entries = split(reply.packed, 5, reply.sizes)
    made, tokens, _ = unpack_each(entries)
    assert [np.frombuffer(row, np.float32).tolist() for row in made] == [[4, 4], [], [], [4], [4, 4, 4]]
    assert tokens.tolist() == [*range(5)]


async def test_no_engine_runs_what_came_to_another_in_the_same_moment() -> None:
    threads, texts, images = ModelThreads(), FakeModel(1), FakeModel(2)
    engines = [engine_of(model, threads) for model in (texts, images)]
    for turn in range(10):
        both = asyncio.gather(rows(engines[0], [turn, 0]), rows(engines[1], [10, 20, 30]))
        of_text, of_image = await in_time(both)
        assert (of_text, of_image) == ([[1, turn], [1, 0]], [[2, 10], [2, 20], [2, 30]])
    assert (texts.runs, images.runs) == ([[turn, 0] for turn in range(10)], [[10, 20, 30]] * 10)


async def test_batches_that_leave_in_the_same_moment_stay_apart() -> None:
    threads, model = ModelThreads(), FakeModel(1)
    threads.widen(2)
    assert await rows(engine_of(model, threads), [1, 2, 3, 4]) == [[1, 1], [1, 2], [1, 3], [1, 4]]
    assert sorted(model.runs) == [[1, 2], [3, 4]]


async def test_one_item_by_itself_runs_exclusively() -> None:
    model = FakeModel(1)
    engine = engine_of(model)
    assert await rows(engine, [7]) == [[-1, 7]]
    assert await rows(engine, [8, 9]) == [[1, 8], [1, 9]]
    assert (model.runs, model.exclusive) == ([[8, 9]], [[7]])


class FaultyModel(FakeModel):
    """Makes no number of the item 13, and has no vector for the item 14."""

    def run(self, items: Sequence[int], /, *, exclusive: bool = False) -> Vector:
        made = super().run(items, exclusive=exclusive)
        if 14 in items:
            raise UnknownToken("No vector.")
        made[[item == 13 for item in items], 1] = np.nan
        return made


@pytest.mark.parametrize("items", [[13], [1, 13, 2, 14], [14, 13], [1, 2, 3, 4, 5, 13, 6, 14]])
async def test_an_item_without_a_finite_vector_or_any_fails_alone_and_by_its_own_code(items: list[int]) -> None:
    engine = engine_of(FaultyModel(1))
    deadline = asyncio.get_running_loop().time() + 10
    count = len(items)
    reply = await engine.encode(
        items, [1] * count, deadline, tokens=[0] * count, truncated=[False] * count, prepare_ms=0.0
    )
    codes = {13: "not_finite", 14: "unknown_token"}
    assert {i: error.code for i, error in reply.errors.items()} == {
        i: codes[item] for i, item in enumerate(items) if item in codes
    }
    size = len(reply.packed) // count
    made = unpack([reply.packed[i * size : (i + 1) * size] for i in range(count)])[0]
    assert [abs(row[1]) for row, item in zip(made, items, strict=True) if item < 13] == [i for i in items if i < 13]


@pytest.mark.parametrize(("profiles", "exclusive"), [((False,), []), ((False, True), [[7]])])
async def test_each_profile_is_probed_once(profiles: tuple[bool, ...], exclusive: list[list[int]]) -> None:
    model = FakeModel(1, profiles)
    engine_of(model).probe([7])
    assert (model.runs, model.exclusive) == ([[7]], exclusive)


async def test_serves_metric_of_batch_sizes_counts_the_items_that_the_model_ran(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, list[float]] = {}

    class Histogram:
        def __init__(self, name: str, **_: Any) -> None:
            self.values = seen.setdefault(name, [])

        def observe(self, value: float, tags: dict[str, str]) -> None:
            self.values.append(value)

    monkeypatch.setattr("ray.serve.batching.Histogram", Histogram)
    model = FakeModel(1)
    engine = engine_of(model)
    await asyncio.gather(rows(engine, [0]), rows(engine, [1]), rows(engine, [2, 3, 4]), rows(engine, [5, 6]))
    assert (model.runs, model.exclusive) == ([[1, 2, 3, 4], [5, 6]], [[0]])
    # The exclusive run is not a batch of `@serve.batch`.
    assert seen["serve_actual_batch_size"] == [4, 2]
    assert seen["serve_batch_utilization_percent"] == [100, 50]
