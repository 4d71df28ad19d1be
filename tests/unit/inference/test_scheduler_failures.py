"""`app.inference.scheduler` when the model fails: whom it costs, and that nobody hangs."""

import asyncio
import logging

import numpy as np
import pytest

from app.errors import InternalError, InvalidItem, ServiceError
from app.inference.batch_queue import BatchQueue, Slice
from app.inference.scheduler import Scheduler
from app.types import Vector
from tests.support.aio import Clock
from tests.support.scheduling import Model, scheduler_of, submit, work_of


async def test_a_failing_item_costs_only_its_own_caller(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "app.inference.scheduler"):
        model = Model(
            busy=False,
            faults={
                7: ValueError("no kernel in /opt/lib/secret/kernels.xml\nat line 7"),
                9: InvalidItem("too odd", "texts.1"),
            },
        )
        scheduler = scheduler_of(model)
        blocker, works = work_of([0]), [work_of([1]), work_of([6, 7, 8]), work_of([5, 9]), work_of([9])]
        await asyncio.gather(*(scheduler.submit(work) for work in (blocker, *works)))
        assert [work.rows[:, 0].tolist() for work in works] == [[1], [6, 0, 8], [5, 0], [0]]
        assert [sorted(work.errors) for work in works] == [[], [1], [1], [0]]
        error = works[1].errors[1]
        assert type(error) is InternalError
        assert error.message == "The model failed on this item (ValueError: no kernel in kernels.xml)."
        assert works[2].errors[1] is model.faults[9]
        # Each item of a failed slice again, but a single one whose fault is known already.
        assert model.started == [[0], [1], [6, 7, 8], [5, 9], [9], [6], [7], [8], [5], [9]]
    [record] = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "no kernel in /opt/lib/secret/kernels.xml\nat line 7"


async def test_who_succeeded_does_not_wait_for_who_failed() -> None:
    model = Model(faults={1: ValueError("no")})
    scheduler = scheduler_of(model)
    tasks = [await submit(scheduler, work_of(inputs)) for inputs in ([0], [1], [2])]
    await model.finish()
    await model.finish()
    assert model.started == [[0], [1], [2], [1]]
    assert [task.done() for task in tasks] == [True, False, True]
    await model.finish()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("shape", [(1, 2), (3, 1), (2, 2), (3, 2, 1)])
async def test_rows_of_the_wrong_shape_are_an_error_and_no_hang(shape: tuple[int, ...]) -> None:
    async def misshapen(part: Slice, slot: int = 0, *, exclusive: bool = False) -> Vector:
        return np.ones(shape if len(part.indices) == 3 else (2, 2), np.float32)

    scheduler = Scheduler(BatchQueue(16, 1000, lambda length: length), misshapen, clock=Clock())
    work = work_of([1, 2, 3])
    await scheduler.submit(work)
    assert sorted(work.errors) == [0, 1, 2]
    assert work.errors[0].message == "The model failed on this item (wrong shape)."
    assert not work.rows.any()


@pytest.mark.parametrize("fault", [RuntimeError("device lost"), asyncio.CancelledError(), InternalError("gone")])
async def test_a_failure_inside_the_run_never_hangs_later_callers(fault: BaseException) -> None:
    model = Model(busy=False, faults={13: fault})
    scheduler = scheduler_of(model)
    failed, later = work_of([13, 14]), work_of([15])
    await scheduler.submit(failed)
    await scheduler.submit(later)
    assert list(failed.errors) == [0]
    assert isinstance(failed.errors[0], InternalError)
    assert (failed.rows[:, 0].tolist(), later.rows[:, 0].tolist()) == ([0, 14], [15])


async def test_a_caller_gone_while_its_batch_runs_harms_nobody() -> None:
    model = Model(faults={1: ValueError("no")})
    scheduler = scheduler_of(model)
    gone = await submit(scheduler, work_of([1, 2]))
    stays = await submit(scheduler, work_of([3]))
    gone.cancel()
    await model.finish()
    await model.finish()
    await stays
    assert model.started == [[1, 2], [3]]  # nobody waits for its items to be tried one by one


async def test_errors_are_values_and_submit_does_not_raise_them() -> None:
    fault: ServiceError = InvalidItem("no")
    work = work_of([1])
    await scheduler_of(Model(busy=False, faults={1: fault})).submit(work)
    assert work.errors == {0: fault}
