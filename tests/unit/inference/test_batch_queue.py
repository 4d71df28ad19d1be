import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from app.inference.batch_queue import BatchQueue, Job, Slice


def eights(length: int) -> int:
    return -(-length // 8) * 8


def queue_of(max_items: int = 32, max_tokens: int = 2048) -> BatchQueue:
    return BatchQueue(max_items, max_tokens, eights)


def lengths_of(slices: Sequence[Slice]) -> list[int]:
    return sorted(part.job.lengths[index] for part in slices for index in part.indices)


def test_an_empty_queue_has_nothing_to_run() -> None:
    queue = queue_of()
    assert queue.pop(0) == []
    assert (len(queue), queue.waiting_tokens, queue.full()) == (0, 0, False)


def test_a_batch_holds_at_most_max_items() -> None:
    queue = queue_of(max_items=32, max_tokens=10_000)
    queue.push(Job([5] * 70))
    assert [len(lengths_of(queue.pop(0))) for _ in range(4)] == [32, 32, 6, 0]


def test_a_batch_holds_at_most_max_tokens_padding_included() -> None:
    queue = queue_of(max_tokens=256)
    queue.push(Job([57] * 10))  # 64 each when padded
    assert [len(lengths_of(queue.pop(0))) for _ in range(3)] == [4, 4, 2]


def test_one_item_alone_may_exceed_the_tokens() -> None:
    queue = queue_of(max_tokens=256)
    queue.push(Job([500, 500]))
    assert [lengths_of(queue.pop(0)) for _ in range(3)] == [[500], [500], []]


@pytest.mark.parametrize(
    ("waiting", "free", "taken"),
    [
        (100, 2, [32, 32, 18, 18]),  # whole batches while there are enough for all, then even parts
        (64, 2, [32, 32]),
        (50, 2, [25, 25]),
        (50, 1, [25, 25]),  # the other stream takes the rest, when it is free
        (20, 2, [10, 10]),
        (20, 1, [20]),
        (3, 2, [1, 2]),
        (1, 2, [1]),
        (50, 0, [32, 18]),  # in reserve: whoever is free first runs it
    ],
)
def test_streams_share_what_is_left_for_the_last_of_them(waiting: int, free: int, taken: list[int]) -> None:
    queue = queue_of()
    queue.push(Job([8] * waiting))
    sizes = []
    while part := queue.pop(0, max(0, free), 2):
        sizes.append(len(lengths_of(part)))
        free = max(min(free, 1), free - 1)
    assert sizes == taken


def test_parts_for_streams_are_counted_in_tokens_too() -> None:
    queue = queue_of(max_tokens=256)
    queue.push(Job([64] * 6))  # four of them would be a batch
    assert [len(lengths_of(queue.pop(0, free, 2))) for free in (2, 1, 1)] == [3, 3, 0]


def test_indices_name_places_in_the_job() -> None:
    queue = queue_of()
    job = Job([30, 2, 9])
    queue.push(job)
    assert [(part.job, sorted(part.indices)) for part in queue.pop(0)] == [(job, [0, 1, 2])]


def test_short_and_long_do_not_share_a_batch() -> None:
    queue = queue_of()
    for _ in range(10):
        queue.push(Job([8]))
        queue.push(Job([256]))
    assert [lengths_of(queue.pop(20)) for _ in range(3)] == [[8] * 10, [256] * 8, [256] * 2]


def test_neighbours_in_length_share_a_batch() -> None:
    queue = queue_of()
    queue.push(Job([24]))
    queue.push(Job([32] * 4))
    assert lengths_of(queue.pop(2)) == [24, 32, 32, 32, 32]


def test_shorter_ones_are_left_where_padding_them_wastes_more_than_it_wins() -> None:
    queue = queue_of()
    queue.push(Job([32] * 4))
    queue.push(Job([8] * 2))
    assert [lengths_of(queue.pop(2)) for _ in range(2)] == [[32] * 4, [8] * 2]


def test_the_oldest_item_runs_whatever_its_length() -> None:
    queue = queue_of(max_items=4)
    queue.push(Job([512]))
    for _ in range(20):
        queue.push(Job([8] * 4))
    assert 512 in lengths_of(queue.pop(30))


def test_after_the_oldest_the_longest_go_first() -> None:
    queue = BatchQueue(8, 10_000, lambda length: length)
    queue.push(Job([60]))
    queue.push(Job([64] * 5))
    queue.push(Job([60]))
    queue.push(Job([59] * 2))
    assert lengths_of(queue.pop(4)) == [59, 60, 60, 64, 64, 64, 64, 64]


def test_a_single_that_comes_behind_2000_runs_next_and_alone() -> None:
    queue = queue_of()
    large, single = Job([8] * 2000, large=True), Job([40])
    queue.push(large)
    assert [part.job for part in queue.pop(0)] == [large]
    queue.push(single)
    # Beside texts of a large request it would take as long as they do.
    assert [(part.job, part.indices) for part in queue.pop(0)] == [(single, [0])]
    assert len(lengths_of(queue.pop(0))) == 32
    assert len(queue) == 2000 - 64


def test_a_quarter_of_the_model_is_for_large_requests_whatever_comes() -> None:
    queue = queue_of(max_items=4, max_tokens=32)
    queue.push(Job([8] * 8, large=True))
    led = []
    for _ in range(9):
        queue.push(Job([8] * 4))
        led.append(queue.pop(0)[0].job.large)
    assert led == [False, False, False, True, False, False, False, True, False]
    # Without large ones nothing is saved up for them.
    for _ in range(5):
        queue.push(Job([8] * 4))
        queue.pop(0)
    queue.push(Job([8] * 4, large=True))
    assert not queue.pop(0)[0].job.large


def test_large_requests_take_turns_by_call() -> None:
    queue = queue_of(max_items=4)
    jobs = [Job([8] * 6, large=True), Job([8] * 2, large=True)]
    for job in jobs:
        queue.push(job)
    assert [[(part.job, len(part.indices)) for part in queue.pop(0)] for _ in range(2)] == [
        [(jobs[0], 4)],
        [(jobs[0], 2), (jobs[1], 2)],
    ]


@pytest.mark.parametrize(("seconds_per_token", "full"), [(1e-5, True), (1e-3, False)])
def test_a_long_batch_of_a_large_request_is_not_handed_to_a_busy_model(seconds_per_token: float, full: bool) -> None:
    queue = queue_of(max_items=4, max_tokens=100)
    queue.seconds_per_token = seconds_per_token
    queue.push(Job([8] * 4, large=True))
    assert queue.full() is full
    queue.push(Job([8]))
    assert not queue.full()  # the next batch is the small one's
    queue.push(Job([8] * 3))
    assert queue.full()


def test_what_waits_longest_is_not_overtaken_for_ever() -> None:
    queue = queue_of(max_items=4)
    old = Job([512] * 3)
    queue.push(old)
    runs = 0
    while old.waiting:
        queue.push(Job([8] * 4))
        queue.pop(runs * 0.01)
        runs += 1
    assert runs <= 8  # the last of the three has its place at 41 ms


def test_full_means_a_whole_batch_waits() -> None:
    queue = queue_of(max_items=4, max_tokens=256)
    queue.push(Job([8] * 3))
    assert not queue.full()
    queue.push(Job([8]))
    assert queue.full()
    queue.pop(0)
    queue.push(Job([121] * 2))
    assert (queue.full(), queue.waiting_tokens) == (True, 256)


def test_dropped_jobs_neither_run_nor_count() -> None:
    queue = queue_of(max_items=4)
    dropped, kept = Job([8] * 6), Job([8])
    queue.push(dropped)
    queue.pop(0)
    assert dropped.waiting == 2
    queue.push(kept)
    queue.push(Job([8] * 3))
    queue.drop(dropped)
    queue.drop(dropped)
    assert (len(queue), queue.waiting_tokens, queue.full()) == (4, 32, True)
    queue.drop(kept)
    assert (len(queue), queue.waiting_tokens, queue.full()) == (3, 24, False)
    assert lengths_of(queue.pop(3)) == [8, 8, 8]
    assert (queue.pop(3), len(queue), queue.late) == ([], 0, [])


def test_late_jobs_are_told_once_and_do_not_run() -> None:
    queue = queue_of()
    late = Job([8, 100, 300], deadline=5)
    queue.push(late)
    queue.push(Job([8], deadline=5.001))
    assert lengths_of(queue.pop(5)) == [8]
    assert (queue.late, len(queue), queue.waiting_tokens, queue.pop(6)) == ([late], 0, 0, [])


def test_a_late_job_behind_a_live_one_does_not_run_either() -> None:
    queue = queue_of()
    alive, late = Job([8]), Job([8], deadline=5)
    queue.push(alive)
    queue.push(late)
    assert [part.job for part in queue.pop(5)] == [alive]
    assert (queue.late, len(queue)) == ([late], 0)


def test_a_dropped_job_is_not_called_late() -> None:
    queue = queue_of()
    job = Job([8], deadline=5)
    queue.push(job)
    queue.drop(job)
    assert (queue.pop(6), queue.late) == ([], [])


def test_the_cost_of_a_token_is_learnt_from_runs() -> None:
    queue = queue_of()
    for _ in range(200):
        queue.observe(padded_tokens=968, seconds=2.0)  # and 32 tokens' worth for the start
    assert queue.seconds_per_token == pytest.approx(0.002)


def test_jobs_of_a_batch_or_less_run_one_after_the_other() -> None:
    queue = queue_of(max_items=4, max_tokens=512)
    jobs = [Job([8] * 4), Job([8] * 3), Job([8])]
    for job in jobs:
        queue.push(job)
    first, second = queue.pop(3.0), queue.pop(3.0)
    assert [(part.job, len(part.indices)) for part in first] == [(jobs[0], 4)]
    assert [(part.job, len(part.indices)) for part in second] == [(jobs[1], 3), (jobs[2], 1)]


@dataclass
class Waiting:
    job: Job
    index: int
    padded: int
    ticket: int


@pytest.mark.parametrize("seed", range(8))
def test_under_stress_counts_are_exact_and_every_item_has_one_fate(seed: int) -> None:
    rng = random.Random(seed)
    queue = queue_of(max_items=8, max_tokens=512)
    waiting: dict[tuple[int, int], Waiting] = {}
    jobs: list[Job] = []
    late: list[Job] = []
    pushed, ran, tickets, passed, now = 0, 0, 0, 0, 0.0

    def forget(job: Job) -> int:
        lost = [key for key in waiting if key[0] == id(job)]
        for key in lost:
            del waiting[key]
        return len(lost)

    lost = 0
    for _ in range(1000):
        now += rng.random() * 0.01
        chance = rng.random()
        if chance < 0.4:
            lengths = [rng.randint(1, 600) for _ in range(rng.choice([1, 1, 1, 2, 5, 40]))]
            large = len(lengths) > 2 and rng.random() < 0.9
            job = Job(lengths, now + rng.choice([0.05, 1.0, float("inf")]), large)
            jobs.append(job)
            queue.push(job)
            pushed += len(lengths)
            for index in sorted(range(len(lengths)), key=lengths.__getitem__):
                waiting[id(job), index] = Waiting(job, index, eights(lengths[index]), tickets)
                tickets += 1
        elif chance < 0.45 and jobs:
            job = rng.choice(jobs)
            queue.drop(job)
            lost += forget(job)
        else:
            batch = [(part.job, index) for part in queue.pop(now) for index in part.indices]
            told, queue.late = queue.late, []
            for job in told:
                assert job.deadline <= now
                lost += forget(job)
            late += told
            if batch:
                alive = [entry for entry in waiting.values() if entry.job.deadline > now]
                # Of its kind: small ones go first, but for the turns of the large.
                large = batch[0][0].large
                assert {job.large for job, _ in batch} == {large}
                oldest = min((entry for entry in alive if entry.job.large == large), key=lambda entry: entry.ticket)
                if large and any(not entry.job.large for entry in alive):
                    assert passed > 0
                passed = 0 if large or not any(entry.job.large for entry in alive) else passed + len(batch)
                assert (oldest.job, oldest.index) in batch
                gone = [waiting.pop((id(job), index)) for job, index in batch]  # KeyError: it ran twice or was lost
                assert all(entry.job.deadline > now for entry in gone)
                assert len(gone) <= 8
                assert len(gone) == 1 or len(gone) * max(entry.padded for entry in gone) <= 512
                ran += len(gone)
        assert len(queue) == len(waiting)
        assert queue.waiting_tokens == sum(entry.padded for entry in waiting.values())
    while batch_left := queue.pop(now):
        ran += sum(len(part.indices) for part in batch_left)
    for job in queue.late:
        lost += forget(job)
    assert pushed == ran + lost
    assert len(late) == len({id(job) for job in late})
    assert (len(queue), queue.waiting_tokens) == (0, 0)
