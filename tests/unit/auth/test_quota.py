from app.auth.quota import Quotas, Remaining, seconds
from tests.support.aio import Clock

LIMITS = {"requests": 3, "tokens": 10}


def test_requests_run_out_and_come_back_with_the_window() -> None:
    clock = Clock()
    quotas = Quotas(clock)
    assert [quotas.take("a", LIMITS) for _ in range(3)] == [None] * 3
    clock.now += 20.5
    assert quotas.take("a", LIMITS) == Remaining("requests", 3, 0, 39.5)
    assert quotas.take("b", LIMITS) is None  # another tenant's are its own
    clock.now += 39.5
    assert quotas.take("a", LIMITS) is None
    assert quotas.left("a", LIMITS) == [Remaining("requests", 3, 2, 60.0), Remaining("tokens", 10, 10, 60.0)]


def test_tokens_are_charged_afterwards_and_may_be_overdrawn_within_the_window() -> None:
    clock = Clock()
    quotas = Quotas(clock)
    quotas.charge("a", "tokens", 9)
    assert quotas.take("a", LIMITS) is None
    quotas.charge("a", "tokens", 500)
    assert quotas.take("a", LIMITS) == Remaining("tokens", 10, 0, 60.0)
    assert quotas.left("a", LIMITS)[0].remaining == 2  # what was refused costs nothing
    clock.now += 60
    assert quotas.take("a", LIMITS) is None


def test_each_replica_has_its_share() -> None:
    quotas = Quotas(Clock())
    quotas.replicas = 4
    limits = {"requests": 10, "tokens": 100}
    assert [quotas.take("a", limits) is None for _ in range(4)] == [True, True, False, False]
    quotas.charge("a", "tokens", 25)
    assert [left.remaining for left in quotas.left("a", limits)] == [2, 0]
    # Fewer requests a minute than replicas: each still has one.
    assert [quotas.take("b", {"requests": 2}) is None for _ in range(2)] == [True, False]


def test_zero_is_no_limit() -> None:
    quotas = Quotas(Clock())
    quotas.charge("a", "tokens", 10**9)
    assert all(quotas.take("a", {"requests": 0, "tokens": 0}) is None for _ in range(1000))
    assert quotas.left("a", {"requests": 0, "tokens": 0}) == []


def test_whole_seconds_to_wait() -> None:
    assert [seconds(Remaining("requests", 1, 0, reset)) for reset in (0.0, 0.2, 59.001)] == [1, 1, 60]
