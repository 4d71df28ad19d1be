"""`app.dispatch.retry_budget`: how much may be tried again."""

import pytest

from app.config.args import RetryArgs
from app.dispatch.retry_budget import RetryBudget
from tests.support.aio import Clock


def budget_of(clock: Clock, **args: float) -> RetryBudget:
    return RetryBudget(RetryArgs.model_validate(args), clock)


def spent(budget: RetryBudget) -> int:
    """How many it lets through."""
    count = 0
    while budget.spend():
        count += 1
    return count


def test_the_bucket_is_full_at_first_and_then_empty() -> None:
    budget = budget_of(Clock(), burst=5)
    assert (spent(budget), spent(budget)) == (5, 0)


def test_first_attempts_earn_their_share() -> None:
    budget = budget_of(Clock(), burst=100, share=0.2, per_s=0)
    assert spent(budget) == 100
    for _ in range(3):
        budget.earn(25)
    assert spent(budget) == 15
    budget.earn(4)
    assert spent(budget) == 0  # four fifths of an item are none


def test_time_earns_the_floor() -> None:
    clock = Clock()
    budget = budget_of(clock, burst=100, share=0, per_s=10)
    assert spent(budget) == 100
    clock.now += 2.5
    assert spent(budget) == 25


@pytest.mark.parametrize("earned", ["time", "items"])
def test_no_more_is_saved_than_the_bucket_holds(earned: str) -> None:
    clock = Clock()
    budget = budget_of(clock, burst=10, share=1, per_s=10)
    if earned == "time":
        clock.now += 3600
    else:
        budget.earn(3600)
    assert spent(budget) == 10


def test_a_bucket_of_nothing_lets_nothing_through() -> None:
    clock = Clock()
    budget = budget_of(clock, burst=0)
    clock.now += 3600
    budget.earn(10_000)
    assert not budget.spend()
