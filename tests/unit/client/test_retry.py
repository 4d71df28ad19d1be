"""Pure: when and after how long, with a clock that is set and no chance."""

import email.utils

import httpx
import pytest

from app.client import Retry, TimedOut, Unreachable, UnreadableAnswer
from app.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    ModelUnavailable,
    Overloaded,
    RequestRejected,
    ServiceError,
    Unauthorized,
    Unavailable,
)
from embeddings_client.failures import retry_after_s
from embeddings_client.retry import Attempts


def attempts(policy: Retry, chance: float = 1.0) -> Attempts:
    return Attempts(policy, 100.0, lambda: chance)


def test_pauses_double_up_to_the_longest() -> None:
    tries = attempts(Retry(attempts=7, first_s=0.5, most_s=5.0))
    assert [tries.pause_s(Unavailable("x"), 100.0) for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_jitter_is_at_most_half_of_a_pause() -> None:
    for chance, pauses in [(0.0, [0.25, 0.5, 1.0]), (0.5, [0.375, 0.75, 1.5])]:
        tries = attempts(Retry(first_s=0.5), chance)
        assert [tries.pause_s(Unavailable("x"), 100.0) for _ in range(3)] == pauses


def test_retry_after_is_a_least_pause() -> None:
    tries = attempts(Retry(first_s=0.5), chance=0.0)
    assert tries.pause_s(Overloaded("x", retry_after=3), 100.0) == 3
    assert tries.pause_s(Overloaded("x", retry_after=0.1), 100.0) == 0.5
    spread = attempts(Retry(first_s=0.5), chance=1.0)
    assert spread.pause_s(Overloaded("x", retry_after=30), 100.0) == pytest.approx(33)


@pytest.mark.parametrize("error", [Overloaded("x"), ModelUnavailable("x"), DeadlineExceeded("x"), Unreachable("x")])
def test_transient_errors_are_retried(error: ServiceError) -> None:
    tries = attempts(Retry(attempts=3))
    tries.pause_s(error, 100.0)
    tries.pause_s(error, 101.0)
    with pytest.raises(type(error)) as raised:
        tries.pause_s(error, 102.0)
    assert raised.value is error


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("x"),
        Unauthorized("x", retry_after=1),
        InternalError("x"),
        RequestRejected("x", retry_after=1),
        TimedOut("x"),
        UnreadableAnswer("x"),
    ],
)
def test_permanent_errors_are_not_retried(error: ServiceError) -> None:
    with pytest.raises(type(error)):
        attempts(Retry()).pause_s(error, 100.0)


def test_one_attempt_means_one() -> None:
    with pytest.raises(Unavailable):
        attempts(Retry(attempts=1)).pause_s(Unavailable("x"), 100.0)


def test_no_pause_goes_past_the_deadline() -> None:
    tries = attempts(Retry(deadline_s=10))
    assert tries.left_s(103.0) == 7
    assert tries.left_s(200.0) == pytest.approx(0.001)
    tries.pause_s(Unavailable("x"), 109.0)
    with pytest.raises(Unavailable):
        tries.pause_s(Unavailable("x"), 109.0)
    # Waiting for it would be in vain: told at once.
    with pytest.raises(Overloaded):
        attempts(Retry(deadline_s=10), chance=0).pause_s(Overloaded("x", retry_after=10), 100.0)


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"first_s": -1}, {"most_s": -1}, {"deadline_s": 0}])
def test_invalid_retry_policies(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Retry(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("nan", None),
        ("Sun, 22 Nov 2026 20:00:07 GMT", 7.0),
        ("Sun, 22 Nov 2026 19:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    headers = httpx.Headers({"retry-after": value, "date": "Sun, 22 Nov 2026 20:00:00 GMT"})
    assert retry_after_s(headers) == seconds


def test_retry_after_without_the_senders_clock_goes_by_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embeddings_client.failures.time.time", lambda: 1_000_000.0)
    assert retry_after_s(httpx.Headers({"retry-after": email.utils.formatdate(1_000_009, usegmt=True)})) == 9
