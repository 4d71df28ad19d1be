import asyncio
import random
from collections import deque
from collections.abc import Sequence

import pytest

from app.dispatch.request_queue import TURN, Pending, Request, RequestQueue

Queue = RequestQueue[int, int]


def request_of(number: int, units: Sequence[int]) -> Request[int, int]:
    loop = asyncio.get_running_loop()
    return Request(number, 0.0, deque(Pending(number, loop.create_future(), 0.0, unit) for unit in units))


def queue_of(*requests: Sequence[int], step: int = 10) -> Queue:
    queue = Queue(step)
    for number, units in enumerate(requests):
        queue.push(request_of(number, units))
    return queue


def taken(queue: Queue, most: float = float("inf"), units: float = float("inf")) -> list[int]:
    return [entry.item for entry in queue.take(most, units)]


async def test_the_smallest_goes_first_and_those_of_a_size_in_the_order_in_which_they_came() -> None:
    queue = queue_of([5], [90], [31], [9, 9], [12], [3])
    assert [taken(queue) for _ in range(7)] == [[0], [5], [3, 3], [4], [1], [2], []]
    assert (len(queue), queue.items) == (0, 0)


async def test_the_oldest_that_was_passed_over_often_enough_has_its_turn() -> None:
    queue = queue_of([100, 100, 100], *[[1]] * 8)
    assert [taken(queue, 1)[0] for _ in range(11)] == [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 0]


async def test_what_is_left_of_a_request_counts_and_not_what_it_was() -> None:
    queue = queue_of([30] * 3, [30] * 4)
    assert taken(queue, 2) == [0, 0]
    queue.push(request_of(2, [40]))
    assert [taken(queue) for _ in range(3)] == [[0], [2], [1] * 4]


async def test_slices_are_bounded_in_items_and_units_and_never_empty() -> None:
    queue = queue_of([50, 20, 20, 20, 5])
    assert [taken(queue, 2, 40) for _ in range(4)] == [[0], [0, 0], [0, 0], []]


async def test_units_that_go_before_a_request() -> None:
    queue = queue_of([5], [25], [70, 30], [9])
    assert [queue.ahead(units) for units in (0, 20, 99, 100)] == [14, 39, 39, 139]
    queue.take()
    taken(queue)
    assert [queue.ahead(units) for units in (0, 20, 100)] == [0, 25, 125]


async def test_what_nobody_waits_for_is_forgotten() -> None:
    queue = queue_of([5, 5], [25, 25], [1])
    for request in queue._requests.values():  # noqa: SLF001 - its futures are the callers'
        request.items[0].result.cancel()
    assert (queue.trim(), queue.items, len(queue), queue.ahead(100)) == (5 + 25 + 1, 2, 2, 30)
    assert [taken(queue), taken(queue), taken(queue)] == [[0], [1], []]


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_comes_counts_are_exact_and_none_waits_for_more_than_its_turns(seed: int) -> None:
    rng = random.Random(seed)
    queue, number, open_ = Queue(10), 0, dict[int, list[int]]()
    since_turn = 0
    for _ in range(2000):
        if rng.random() < 0.5:
            units = [rng.randint(1, 30) for _ in range(rng.choice([1, 1, 2, 20]))]
            queue.push(request_of(number, units))
            open_[number] = units
            number += 1
            continue
        oldest = queue.oldest()
        part = queue.take(rng.choice([1, 5, 100]), rng.choice([1, 40, 1000]))
        if oldest is None:
            assert part == []
            continue
        assert oldest.number == min(open_)
        [served] = {entry.item for entry in part}
        since_turn = 0 if served == oldest.number else since_turn + 1
        assert since_turn < TURN
        assert [entry.units for entry in part] == open_[served][: len(part)]
        open_[served] = open_[served][len(part) :]
        if not open_[served]:
            del open_[served]
        assert queue.items == sum(map(len, open_.values()))
        assert queue.ahead(float("inf")) == sum(map(sum, open_.values()))
