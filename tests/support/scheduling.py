"""A scheduler and a model behind it that runs when a test tells it to."""

import asyncio
from collections.abc import Sequence
from typing import cast

import numpy as np

from app.inference.batch_queue import BatchQueue, Slice
from app.inference.scheduler import EncodeJob, Scheduler
from app.types import Vector
from tests.support.aio import Clock, turns


class Model:
    """Answers [number, 0.5] for an input; while `busy` it waits for `finish`. `faults` says what goes wrong.

    `exclusive` has the items of exclusive runs, `slots` the slot of each other slice.
    """

    def __init__(self, *, busy: bool = True, faults: dict[int, BaseException] | None = None) -> None:
        self.busy = busy
        self.faults = faults or {}
        self.started: list[list[int]] = []
        self.exclusive: list[list[int]] = []
        self.slots: list[int] = []
        self._held: list[asyncio.Future[None]] = []

    async def run(self, part: Slice, slot: int = 0, *, exclusive: bool = False) -> Vector:
        assert isinstance(part.job, EncodeJob)
        numbers = [cast(int, part.job.inputs[index]) for index in part.indices]
        if exclusive:
            self.exclusive.append(numbers)
        else:
            self.slots.append(slot)
        self.started.append(numbers)
        if self.busy:
            held = asyncio.get_running_loop().create_future()
            self._held.append(held)
            await held
        for number in numbers:
            if number in self.faults:
                raise self.faults[number]
        return np.array([[number, 0.5] for number in numbers], np.float32)

    async def finish(self, slices: int = 1000) -> None:
        held, self._held = self._held[:slices], self._held[slices:]
        for future in held:
            future.set_result(None)
        await turns()

    @property
    def items(self) -> int:
        return sum(map(len, self.started))


def scheduler_of(
    model: Model, clock: Clock | None = None, max_items: int = 16, max_tokens: int = 10_000, streams: int = 1
) -> Scheduler:
    queue = BatchQueue(max_items, max_tokens, lambda length: length)
    return Scheduler(queue, model.run, streams, clock or Clock())


def work_of(inputs: Sequence[int], lengths: Sequence[int] | None = None, deadline: float = float("inf")) -> EncodeJob:
    return EncodeJob(lengths=lengths or [8] * len(inputs), deadline=deadline, inputs=inputs, dimensions=2)


async def submit(scheduler: Scheduler, work: EncodeJob) -> "asyncio.Task[None]":
    task = asyncio.get_running_loop().create_task(scheduler.submit(work))
    await turns()
    return task
