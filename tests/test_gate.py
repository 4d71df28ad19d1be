import asyncio
import logging
from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from app.batching import BatchQueue, Slice
from app.errors import DeadlineExceeded, InternalError, InvalidItem, ServiceError
from app.gate import Gate, Work
from app.types import Vector
from tests.aio import Clock, run, turns


class Model:
    """Answers [number, 0.5] for an input; while `busy` it waits for `finish`. `faults` says what goes wrong."""

    def __init__(self, *, busy: bool = True, faults: dict[int, BaseException] | None = None) -> None:
        self.busy = busy
        self.faults = faults or {}
        self.started: list[list[int]] = []
        self._held: list[asyncio.Future[None]] = []

    async def run(self, part: Slice) -> Vector:
        assert isinstance(part.job, Work)
        numbers = [cast(int, part.job.inputs[index]) for index in part.indices]
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


def gate_of(model: Model, clock: Clock | None = None, max_items: int = 16, max_tokens: int = 10_000) -> Gate:
    return Gate(BatchQueue(max_items, max_tokens, lambda length: length), model.run, clock or Clock())


def work_of(inputs: Sequence[int], lengths: Sequence[int] | None = None, deadline: float = float("inf")) -> Work:
    return Work(lengths=lengths or [8] * len(inputs), deadline=deadline, inputs=inputs, dimensions=2)


async def submit(gate: Gate, work: Work) -> "asyncio.Task[None]":
    task = asyncio.get_running_loop().create_task(gate.submit(work))
    await turns()
    return task


def test_batches_grow_while_the_model_is_busy() -> None:
    async def main() -> None:
        model = Model()
        gate = gate_of(model)
        works = [work_of([i]) for i in range(10)]
        tasks = [await submit(gate, work) for work in works]
        assert model.started == [[0]]
        await model.finish()
        assert (tasks[0].done(), model.items) == (True, 10)
        await model.finish()
        await asyncio.gather(*tasks)
        assert [work.rows.tolist() for work in works] == [[[i, 0.5]] for i in range(10)]
        assert (gate.batches_run, gate.items_run) == (2, 10)

    run(main())


def test_only_a_full_batch_and_only_one_waits_in_reserve() -> None:
    async def main() -> None:
        model = Model()
        gate = gate_of(model, max_items=4)
        tasks = [await submit(gate, work_of([i])) for i in range(4)]
        assert model.started == [[0]]  # three wait: no full batch
        tasks.append(await submit(gate, work_of([4])))
        assert model.items == 5
        tasks += [await submit(gate, work_of([i])) for i in range(5, 14)]
        assert (model.items, len(gate.queue)) == (5, 9)
        await model.finish(1)  # the reserve runs now, and another full one follows
        assert (model.items, len(gate.queue)) == (9, 5)
        for _ in range(3):
            await model.finish()
        await asyncio.gather(*tasks)
        assert (gate.items_run, gate.batches_run) == (14, 5)

    run(main())


def test_rows_land_in_the_callers_order() -> None:
    async def main() -> None:
        model = Model(busy=False)
        gate = gate_of(model, max_items=3, max_tokens=900)
        first = work_of(list(range(20)), [(i * 7919) % 300 + 1 for i in range(20)])
        second = work_of([30, 31, 32], [300, 1, 20])
        await asyncio.gather(gate.submit(first), gate.submit(second))
        assert first.rows[:, 0].tolist() == list(range(20))
        assert second.rows[:, 0].tolist() == [30, 31, 32]
        assert (first.errors, second.errors) == ({}, {})
        assert (model.items, len(model.started) > 6) == (23, True)

    run(main())


def test_work_without_items_returns_at_once() -> None:
    async def main() -> None:
        model = Model()
        await gate_of(model).submit(work_of([]))
        assert model.started == []

    run(main())


def test_a_failing_item_costs_only_its_own_caller(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        model = Model(busy=False, faults={7: ValueError("secret"), 9: InvalidItem("too odd", "texts.1")})
        gate = gate_of(model)
        blocker, works = work_of([0]), [work_of([1]), work_of([6, 7, 8]), work_of([5, 9]), work_of([9])]
        await asyncio.gather(*(gate.submit(work) for work in (blocker, *works)))
        assert [work.rows[:, 0].tolist() for work in works] == [[1], [6, 0, 8], [5, 0], [0]]
        assert [sorted(work.errors) for work in works] == [[], [1], [1], [0]]
        error = works[1].errors[1]
        assert type(error) is InternalError
        assert error.message == "The model failed on this item (ValueError)."
        assert works[2].errors[1] is model.faults[9]
        # Each item of a failed slice again, but a single one whose fault is known already.
        assert model.started == [[0], [1], [6, 7, 8], [5, 9], [9], [6], [7], [8], [5], [9]]

    with caplog.at_level(logging.ERROR, "app.gate"):
        run(main())
    [record] = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "secret"


def test_who_succeeded_does_not_wait_for_who_failed() -> None:
    async def main() -> None:
        model = Model(faults={1: ValueError("no")})
        gate = gate_of(model)
        tasks = [await submit(gate, work_of(inputs)) for inputs in ([0], [1], [2])]
        await model.finish()
        await model.finish()
        assert model.started == [[0], [1], [2], [1]]
        assert [task.done() for task in tasks] == [True, False, True]
        await model.finish()
        await asyncio.gather(*tasks)

    run(main())


@pytest.mark.parametrize("shape", [(1, 2), (3, 1), (2, 2), (3, 2, 1)])
def test_rows_of_the_wrong_shape_are_an_error_and_no_hang(shape: tuple[int, ...]) -> None:
    async def main() -> None:
        async def misshapen(part: Slice) -> Vector:
            return np.ones(shape if len(part.indices) == 3 else (2, 2), np.float32)

        gate = Gate(BatchQueue(16, 1000, lambda length: length), misshapen, Clock())
        work = work_of([1, 2, 3])
        await gate.submit(work)
        assert sorted(work.errors) == [0, 1, 2]
        assert work.errors[0].message == "The model failed on this item (wrong shape)."
        assert not work.rows.any()

    run(main())


@pytest.mark.parametrize("fault", [RuntimeError("device lost"), asyncio.CancelledError(), InternalError("gone")])
def test_a_failure_inside_the_run_never_hangs_later_callers(fault: BaseException) -> None:
    async def main() -> None:
        model = Model(busy=False, faults={13: fault})
        gate = gate_of(model)
        failed, later = work_of([13, 14]), work_of([15])
        await gate.submit(failed)
        await gate.submit(later)
        assert list(failed.errors) == [0]
        assert isinstance(failed.errors[0], InternalError)
        assert (failed.rows[:, 0].tolist(), later.rows[:, 0].tolist()) == ([0, 14], [15])

    run(main())


def test_cancellation_frees_the_queue() -> None:
    async def main() -> None:
        model = Model()
        gate = gate_of(model, max_items=4)
        running = await submit(gate, work_of([0]))
        cancelled = await submit(gate, work_of([1, 2, 3]))
        assert len(gate.queue) == 3
        cancelled.cancel()
        await turns()
        assert (cancelled.cancelled(), len(gate.queue), gate.queue.waiting_tokens) == (True, 0, 0)
        # What was cancelled does not make a full batch either.
        later = await submit(gate, work_of([4]))
        assert model.started == [[0]]
        await model.finish()
        await model.finish()
        await asyncio.gather(running, later)
        assert model.started == [[0], [4]]

    run(main())


def test_a_caller_gone_while_its_batch_runs_harms_nobody() -> None:
    async def main() -> None:
        model = Model(faults={1: ValueError("no")})
        gate = gate_of(model)
        gone = await submit(gate, work_of([1, 2]))
        stays = await submit(gate, work_of([3]))
        gone.cancel()
        await model.finish()
        await model.finish()
        await stays
        assert model.started == [[1, 2], [3]]  # nobody waits for its items to be tried one by one

    run(main())


def test_late_work_gets_deadline_exceeded() -> None:
    async def main() -> None:
        clock, model = Clock(), Model()
        gate = gate_of(model, clock)
        running = await submit(gate, work_of([0]))
        late = await submit(gate, work_of([1, 2], deadline=clock.now + 5))
        in_time = await submit(gate, work_of([3], deadline=clock.now + 6))
        clock.now += 5
        await model.finish()
        with pytest.raises(DeadlineExceeded):
            await late
        await model.finish()
        await asyncio.gather(running, in_time)
        assert model.started == [[0], [3]]

    run(main())


def test_work_that_comes_late_is_refused_at_once() -> None:
    async def main() -> None:
        clock, model = Clock(), Model()
        with pytest.raises(DeadlineExceeded):
            await gate_of(model, clock).submit(work_of([1], deadline=clock.now))
        assert model.started == []

    run(main())


def test_work_late_in_the_middle_is_refused_and_later_callers_are_served() -> None:
    async def main() -> None:
        clock, model = Clock(), Model()
        gate = gate_of(model, clock, max_items=2)
        half = await submit(gate, work_of([1, 2, 3, 4, 5], deadline=clock.now + 1))
        assert model.items == 4  # one batch and one in reserve
        clock.now += 1
        await model.finish()
        with pytest.raises(DeadlineExceeded):
            await half
        later = await submit(gate, work_of([6]))
        await model.finish()
        await later
        assert model.started == [[1, 2], [3, 4], [6]]

    run(main())


def test_times_are_told_and_only_a_lone_batch_teaches_the_cost() -> None:
    async def main() -> None:
        clock, model = Clock(), Model()
        gate = gate_of(model, clock, max_items=2)
        works = [work_of([0]), work_of([1, 2])]
        tasks = [await submit(gate, work) for work in works]
        before = gate.queue.seconds_per_token
        clock.now += 1
        await model.finish(1)
        clock.now += 1
        await model.finish()
        await asyncio.gather(*tasks)
        assert gate.queue.seconds_per_token == before
        assert [(w.queued_at, w.started_at, w.inference_s, w.batches) for w in works] == [
            (1000, 1000, 1, 1),
            (1000, 1000, 2, 1),
        ]
        alone = await submit(gate, work_of([3]))
        clock.now += 4
        await model.finish()
        await alone
        assert gate.queue.seconds_per_token == pytest.approx(before + 0.1 * (4 / (8 + 32) - before))

    run(main())


def test_errors_are_values_and_submit_does_not_raise_them() -> None:
    async def main() -> None:
        fault: ServiceError = InvalidItem("no")
        work = work_of([1])
        await gate_of(Model(busy=False, faults={1: fault})).submit(work)
        assert work.errors == {0: fault}

    run(main())
