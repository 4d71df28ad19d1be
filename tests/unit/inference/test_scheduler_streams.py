"""`app.inference.scheduler` before a model that runs several batches at once, or one item exclusively."""

import asyncio

import pytest

from tests.support.aio import Clock, turns
from tests.support.scheduling import Model, scheduler_of, submit, work_of


@pytest.mark.parametrize("streams", [1, 2, 3])
async def test_a_single_item_runs_exclusively_and_what_comes_meanwhile_waits(streams: int) -> None:
    model = Model()
    scheduler = scheduler_of(model, streams=streams)
    tasks = [await submit(scheduler, work_of([i])) for i in range(3)]
    assert (model.started, model.exclusive, len(scheduler.queue)) == ([[0]], [[0]], 2)
    await model.finish()
    assert (model.exclusive, model.items) == ([[0]], 3)
    await model.finish()
    await asyncio.gather(*tasks)


async def test_nothing_begins_beside_an_exclusive_run_a_full_batch_neither() -> None:
    model = Model()
    scheduler = scheduler_of(model, max_items=2, streams=2)
    tasks = [await submit(scheduler, work_of([0])), await submit(scheduler, work_of([1, 2, 3, 4]))]
    assert (model.started, len(scheduler.queue)) == ([[0]], 4)
    await model.finish()
    assert (model.started, model.slots) == ([[0], [1, 2], [3, 4]], [0, 1])
    await model.finish()
    await asyncio.gather(*tasks)


async def test_batches_beside_each_other_take_their_time_once() -> None:
    clock, model = Clock(), Model()
    scheduler = scheduler_of(model, clock, max_items=2, streams=2)
    work = work_of([0, 1, 2, 3, 4])
    task = await submit(scheduler, work)
    clock.now += 2
    await model.finish(1)  # the last item begins while the second batch runs
    clock.now += 1
    await model.finish()
    await task
    assert (work.inference_s, work.batches) == (3, 3)


async def test_where_others_come_meanwhile_nothing_runs_exclusively_until_it_is_quiet_again() -> None:
    model = Model()
    scheduler = scheduler_of(model, streams=2)
    first, second = await submit(scheduler, work_of([1])), await submit(scheduler, work_of([2]))
    await model.finish()  # the second runs now
    third = await submit(scheduler, work_of([3]))
    assert (model.started, model.exclusive, model.slots) == ([[1], [2], [3]], [[1]], [0, 1])
    await model.finish()
    await asyncio.gather(first, second, third)
    fourth = await submit(scheduler, work_of([4]))  # the third had come while another ran
    assert model.exclusive == [[1]]
    await model.finish()
    await fourth
    fifth = await submit(scheduler, work_of([5]))
    assert model.exclusive == [[1], [5]]
    await model.finish()
    await fifth


async def test_several_items_are_shared_by_the_streams() -> None:
    model = Model()
    scheduler = scheduler_of(model, streams=2)
    nine = await submit(scheduler, work_of(list(range(9))))
    assert (model.started, model.slots, model.exclusive) == ([[0, 1, 2, 3], [4, 5, 6, 7, 8]], [0, 1], [])
    await model.finish()
    await nine
    assert scheduler.batches_run == 2


async def test_a_stream_takes_what_waits_when_it_is_free_and_one_full_batch_is_in_reserve() -> None:
    model = Model()
    scheduler = scheduler_of(model, max_items=4, streams=2)
    tasks = [await submit(scheduler, work_of(list(range(8)))), await submit(scheduler, work_of([8, 9, 10]))]
    assert (model.slots, len(scheduler.queue)) == ([0, 1], 3)
    tasks.append(await submit(scheduler, work_of([11, 12])))
    assert (model.slots, len(scheduler.queue)) == ([0, 1, 2, 2], 1)
    await model.finish(1)
    assert (model.slots, len(scheduler.queue)) == ([0, 1, 2, 2], 1)  # the reserve has the free stream
    await model.finish(1)
    assert (model.slots, len(scheduler.queue)) == ([0, 1, 2, 2, 0], 0)
    await model.finish()
    await asyncio.gather(*tasks)
    assert (scheduler.items_run, scheduler.batches_run) == (13, 4)


async def test_batches_beside_each_other_cost_their_share_of_the_time() -> None:
    clock, model = Clock(), Model()
    scheduler = scheduler_of(model, clock, streams=2)
    before = scheduler.queue.seconds_per_token
    four = await submit(scheduler, work_of([0, 1, 2, 3]))
    clock.now += 3
    await model.finish(1)
    after = before + 0.1 * (3 / 2 / (2 * 8 + 32) - before)
    assert scheduler.queue.seconds_per_token == pytest.approx(after)
    clock.now += 1
    await model.finish(1)
    await four
    assert scheduler.queue.seconds_per_token == pytest.approx(after + 0.1 * (4 / 2 / (2 * 8 + 32) - after))


async def test_items_of_a_failed_batch_run_exclusively() -> None:
    model = Model(busy=False, faults={1: ValueError("no")})
    work = work_of([0, 1, 2])
    await scheduler_of(model, streams=2).submit(work)
    assert (model.started, model.exclusive) == ([[0], [1, 2], [1], [2]], [[1], [2]])
    assert (list(work.errors), work.rows[:, 0].tolist()) == ([1], [0, 0, 2])


async def test_suspects_run_one_by_one_past_the_queue() -> None:
    clock, model = Clock(), Model(faults={2: ValueError("no")})
    scheduler = scheduler_of(model, clock)
    waits = await submit(scheduler, work_of([0]))
    suspects = work_of([1, 2, 3])
    task = asyncio.get_running_loop().create_task(scheduler.submit(suspects, exclusive=True))
    await turns()
    for _ in range(3):
        clock.now += 2
        await model.finish()
    await asyncio.gather(waits, task)
    assert (model.started, model.exclusive) == ([[0], [1], [2], [3]], [[0], [1], [2], [3]])
    assert (suspects.rows[:, 0].tolist(), list(suspects.errors)) == ([1, 0, 3], [1])
    assert (suspects.batches, suspects.started_at, suspects.inference_s) == (3, suspects.queued_at, 6)
