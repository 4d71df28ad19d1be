import asyncio

import pytest

from app.errors import DeadlineExceeded
from tests.support.aio import Clock, turns
from tests.support.scheduling import Model, scheduler_of, submit, work_of


async def test_batches_grow_while_the_model_is_busy() -> None:
    model = Model()
    scheduler = scheduler_of(model)
    works = [work_of([i]) for i in range(10)]
    tasks = [await submit(scheduler, work) for work in works]
    assert model.started == [[0]]
    await model.finish()
    assert (tasks[0].done(), model.items) == (True, 10)
    await model.finish()
    await asyncio.gather(*tasks)
    assert [work.rows.tolist() for work in works] == [[[i, 0.5]] for i in range(10)]
    assert (scheduler.batches_run, scheduler.items_run) == (2, 10)


async def test_only_a_full_batch_and_only_one_waits_in_reserve() -> None:
    model = Model()
    scheduler = scheduler_of(model, max_items=4)
    tasks = [await submit(scheduler, work_of([i])) for i in range(4)]
    assert model.started == [[0]]  # three wait: no full batch
    tasks.append(await submit(scheduler, work_of([4])))
    assert model.items == 5
    tasks += [await submit(scheduler, work_of([i])) for i in range(5, 14)]
    assert (model.items, len(scheduler.queue)) == (5, 9)
    await model.finish(1)  # the reserve runs now, and another full one follows
    assert (model.items, len(scheduler.queue)) == (9, 5)
    for _ in range(3):
        await model.finish()
    await asyncio.gather(*tasks)
    assert (scheduler.items_run, scheduler.batches_run) == (14, 5)


async def test_rows_land_in_the_callers_order() -> None:
    model = Model(busy=False)
    scheduler = scheduler_of(model, max_items=3, max_tokens=900)
    first = work_of(list(range(20)), [(i * 7919) % 300 + 1 for i in range(20)])
    second = work_of([30, 31, 32], [300, 1, 20])
    await asyncio.gather(scheduler.submit(first), scheduler.submit(second))
    assert first.rows[:, 0].tolist() == list(range(20))
    assert second.rows[:, 0].tolist() == [30, 31, 32]
    assert (first.errors, second.errors) == ({}, {})
    assert (model.items, len(model.started) > 6) == (23, True)


async def test_work_without_items_returns_at_once() -> None:
    model = Model()
    await scheduler_of(model).submit(work_of([]))
    assert model.started == []


async def test_cancellation_frees_the_queue() -> None:
    model = Model()
    scheduler = scheduler_of(model, max_items=4)
    running = await submit(scheduler, work_of([0]))
    cancelled = await submit(scheduler, work_of([1, 2, 3]))
    assert len(scheduler.queue) == 3
    cancelled.cancel()
    await turns()
    assert (cancelled.cancelled(), len(scheduler.queue), scheduler.queue.waiting_tokens) == (True, 0, 0)
    # What was cancelled does not make a full batch either.
    later = await submit(scheduler, work_of([4]))
    assert model.started == [[0]]
    await model.finish()
    await model.finish()
    await asyncio.gather(running, later)
    assert model.started == [[0], [4]]


async def test_late_work_gets_deadline_exceeded() -> None:
    clock, model = Clock(), Model()
    scheduler = scheduler_of(model, clock)
    running = await submit(scheduler, work_of([0]))
    late = await submit(scheduler, work_of([1, 2], deadline=clock.now + 5))
    in_time = await submit(scheduler, work_of([3], deadline=clock.now + 6))
    clock.now += 5
    await model.finish()
    with pytest.raises(DeadlineExceeded):
        await late
    await model.finish()
    await asyncio.gather(running, in_time)
    assert model.started == [[0], [3]]


async def test_work_that_comes_late_is_refused_at_once() -> None:
    clock, model = Clock(), Model()
    with pytest.raises(DeadlineExceeded):
        await scheduler_of(model, clock).submit(work_of([1], deadline=clock.now))
    assert model.started == []


async def test_work_late_in_the_middle_is_refused_and_later_callers_are_served() -> None:
    clock, model = Clock(), Model()
    scheduler = scheduler_of(model, clock, max_items=2)
    half = await submit(scheduler, work_of([1, 2, 3, 4, 5], deadline=clock.now + 1))
    assert model.items == 4  # one batch and one in reserve
    clock.now += 1
    await model.finish()
    with pytest.raises(DeadlineExceeded):
        await half
    later = await submit(scheduler, work_of([6]))
    await model.finish()
    await later
    assert model.started == [[1, 2], [3, 4], [6]]


async def test_times_are_told_and_only_a_lone_batch_teaches_the_cost() -> None:
    clock, model = Clock(), Model()
    scheduler = scheduler_of(model, clock, max_items=2)
    works = [work_of([0]), work_of([1, 2])]
    tasks = [await submit(scheduler, work) for work in works]
    before = scheduler.queue.seconds_per_token
    clock.now += 1
    await model.finish(1)
    clock.now += 1
    await model.finish()
    await asyncio.gather(*tasks)
    assert scheduler.queue.seconds_per_token == before
    assert [(w.queued_at, w.started_at, w.inference_s, w.batches) for w in works] == [
        (1000, 1000, 1, 1),
        (1000, 1000, 2, 1),
    ]
    alone = await submit(scheduler, work_of([3]))
    clock.now += 4
    await model.finish()
    await alone
    assert scheduler.queue.seconds_per_token == pytest.approx(before + 0.1 * (4 / (8 + 32) - before))
