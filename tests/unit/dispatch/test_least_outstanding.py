"""Who gets the next call: values, with a clock in hand."""

from collections import Counter

from app.dispatch.least_outstanding import PROMISE_S, LeastOutstanding
from tests.support.aio import Clock

NAMES = ["a", "b", "c"]


def test_the_one_with_the_fewest_calls() -> None:
    calls = LeastOutstanding[str]()
    for name in ("a", "a", "b", "c", "c"):
        calls.left(name)
    assert calls.fewest(NAMES) == "b"
    calls.left("b")
    calls.ended("c")
    calls.ended("c")
    assert calls.fewest(NAMES) == "c"


def test_calls_that_are_chosen_at_once_are_spread() -> None:
    calls = LeastOutstanding[str]()
    chosen = [calls.fewest(NAMES) for _ in range(6)]
    assert Counter(chosen) == {"a": 2, "b": 2, "c": 2}
    # Having left they count as before, and no more.
    for name in chosen:
        calls.left(name)
    assert Counter(calls.fewest(NAMES) for _ in range(3)) == {"a": 1, "b": 1, "c": 1}


def test_equals_are_chosen_by_lot() -> None:
    assert len({LeastOutstanding[str]().fewest(NAMES) for _ in range(100)}) == 3


def test_a_promise_that_is_not_kept_is_forgotten() -> None:
    clock = Clock()
    calls = LeastOutstanding[str](clock)
    calls.left("a")
    assert calls.fewest(["a", "b"]) == "b"
    assert {calls.fewest(["a", "b"]) for _ in range(2)} == {"a", "b"}
    clock.now += PROMISE_S
    assert calls.fewest(["a", "b"]) == "b"


def test_more_ends_than_calls_do_no_harm() -> None:
    calls = LeastOutstanding[str]()
    calls.left("a")
    calls.ended("a")
    calls.ended("a")
    assert {calls.fewest(["a", "b"]) for _ in range(2)} == {"a", "b"}
