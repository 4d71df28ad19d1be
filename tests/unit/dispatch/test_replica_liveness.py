"""`app.dispatch.replica_liveness`: who is there, and who gets on."""

from app.dispatch.replica_liveness import SEEN_S, SILENT_S, ReplicaLiveness
from tests.support.aio import Clock

DEADLINE = 30.0


def replicas_of(clock: Clock) -> ReplicaLiveness:
    return ReplicaLiveness(2 * DEADLINE, clock)


def work(replicas: ReplicaLiveness, clock: Clock, *names: str, seconds: float = 20.0) -> None:
    """These run a batch each second."""
    for batch in range(int(seconds)):
        clock.now += 1
        for name in names:
            replicas.heard(name, int(clock.now) + batch)


def test_who_is_heard_is_there_for_a_while() -> None:
    clock = Clock()
    replicas = replicas_of(clock)
    assert (len(replicas), replicas.any_alive(), replicas.all_progress()) == (0, False, False)
    replicas.heard("a", 0)
    replicas.answered("b")
    assert (len(replicas), replicas.any_alive()) == (2, True)
    clock.now += SILENT_S
    assert (len(replicas), replicas.any_alive()) == (2, False)
    clock.now += SEEN_S - SILENT_S
    replicas.heard("a", 0)
    assert (len(replicas), replicas.any_alive()) == (2, True)
    clock.now += 1
    assert len(replicas) == 1


def test_running_batches_is_getting_on() -> None:
    clock = Clock()
    replicas = replicas_of(clock)
    work(replicas, clock, "a", "b")
    assert replicas.all_progress()


def test_answering_is_getting_on() -> None:
    clock = Clock()
    replicas = replicas_of(clock)
    replicas.answered("a")
    clock.now += SILENT_S
    assert not replicas.all_progress()
    replicas.answered("a")
    assert replicas.all_progress()


def test_being_there_without_running_anything_is_not() -> None:
    clock = Clock()
    replicas = replicas_of(clock)
    replicas.heard("hangs", 7)
    for _ in range(20):
        clock.now += 1
        replicas.heard("hangs", 7)
        replicas.answered("b")
    assert (len(replicas), replicas.any_alive()) == (2, True)
    assert not replicas.all_progress()


def test_one_that_froze_is_missed_for_as_long_as_a_call_may_last() -> None:
    clock = Clock()
    replicas = replicas_of(clock)
    work(replicas, clock, "a", "b")
    work(replicas, clock, "a", seconds=DEADLINE)
    assert len(replicas) == 1
    assert not replicas.all_progress()
    work(replicas, clock, "a", seconds=DEADLINE + 1)
    assert replicas.all_progress()
