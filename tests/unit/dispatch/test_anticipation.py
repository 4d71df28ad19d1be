"""Who is held for those who were just answered, and for how long."""

from collections.abc import Callable

import pytest

from app.dispatch.anticipation import LEAST_S, PATIENCE, Anticipation
from tests.support.aio import Clock

CALL_S = 0.8
PATIENCE_S = PATIENCE * CALL_S


class Timers:
    """Those that were set, with their seconds; `ring` is the last one's end."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.ring: Callable[[], None] = lambda: None

    def __call__(self, seconds: float, callback: Callable[[], None]) -> None:
        self.seconds.append(seconds)
        self.ring = callback


def test_nobody_is_held_before_a_call_was_answered() -> None:
    assert not Anticipation(lambda: None, Clock()).holds(1, 1000.0, 2)


@pytest.mark.parametrize(
    ("crowd", "calls", "enough"), [(8, 2, 4), (7, 2, 4), (3, 2, 2), (2, 2, 1), (1, 2, 1), (12, 4, 3)]
)
def test_an_even_part_of_those_who_were_there_goes_together(crowd: int, calls: int, enough: int) -> None:
    clock, timers = Clock(), Timers()
    anticipation = Anticipation(lambda: None, clock, timers)
    anticipation.answered(crowd, CALL_S)
    held = [anticipation.holds(waiting, clock.now, calls) for waiting in range(1, crowd + 1)]
    assert held == [True] * (enough - 1) + [False] * (crowd - enough + 1)


def test_it_ends_when_nobody_has_come_for_a_part_of_the_last_calls_time() -> None:
    """Counted from the answer, then from the newest; one timer at a time."""
    clock, timers, released = Clock(), Timers(), list[float]()
    anticipation = Anticipation(lambda: released.append(clock.now), clock, timers)
    anticipation.answered(8, CALL_S)
    # He came long before the answer: whoever got that may come still.
    assert anticipation.holds(1, clock.now - 10 * CALL_S, 2)
    assert timers.seconds == [pytest.approx(PATIENCE_S)]
    clock.now += 0.75 * PATIENCE_S
    newest = clock.now
    assert anticipation.holds(2, newest, 2)
    assert len(timers.seconds) == 1
    clock.now += 0.25 * PATIENCE_S
    timers.ring()
    assert released == [clock.now]
    assert anticipation.holds(2, newest, 2)
    assert timers.seconds[1:] == [pytest.approx(0.75 * PATIENCE_S)]
    clock.now = newest + PATIENCE_S
    assert not anticipation.holds(2, newest, 2)


def test_a_timer_is_no_finer_than_the_loops_own() -> None:
    """A loop that counts in milliseconds would call back at once, again and again."""
    clock, timers = Clock(), Timers()
    anticipation = Anticipation(lambda: None, clock, timers)
    anticipation.answered(8, 0.2 * LEAST_S / PATIENCE)
    assert anticipation.holds(1, clock.now, 2)
    assert timers.seconds == [LEAST_S]
