"""Decides whether to retry and after which pause. The clients supply the clock and the sleep.

All requests of this client are idempotent, so all of them may be retried.
"""

from collections.abc import Callable
from dataclasses import dataclass

from embeddings_client.errors import DeadlineExceeded, RequestRejected, ServiceError, TooManyRequests, Unavailable
from embeddings_client.failures import TimedOut

# 429, 502, 503, 504 and broken connections. A request that used up the client's timeout would do so again. One that
# asks for more than can be done in time is divided.
_TRANSIENT = (TooManyRequests, Unavailable, DeadlineExceeded)
_PERMANENT = (RequestRejected, TimedOut)
# Clients that got the same Retry-After must not return at the same time.
_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Retry:
    """The retry policy: exponential backoff with jitter.

    Args:
        attempts: Maximum number of attempts, including the first; 1: no retries.
        first_s: Seconds of the first pause; each following pause is twice as long.
        most_s: Maximum seconds of a pause; `Retry-After` may demand a longer one.
        deadline_s: Seconds for all attempts and pauses of one request.
    """

    attempts: int = 6
    first_s: float = 0.5
    most_s: float = 8.0
    deadline_s: float = 120.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_s < 0 or self.most_s < 0 or self.deadline_s <= 0:
            raise ValueError("attempts must be 1 or more, pauses 0 or more, and the deadline above 0")


class Attempts:
    """The attempts of one request. Times are seconds on the caller's clock; `random` returns 0 to 1."""

    def __init__(self, policy: Retry, now: float, random: Callable[[], float]) -> None:
        self._policy = policy
        self._ends = now + policy.deadline_s
        self._random = random
        self._failures = 0

    def left_s(self, now: float) -> float:
        """Seconds that remain; never 0, which httpx might take for no limit."""
        return max(0.001, self._ends - now)

    def pause_s(self, error: ServiceError, now: float) -> float:
        """Seconds to wait before the next attempt.

        Raises:
            ServiceError: The given error, if a retry would not help or no attempt or no time is left.
        """
        policy = self._policy
        backoff: float = min(policy.most_s, policy.first_s * 2**self._failures)
        pause = backoff * (1 + self._random()) / 2
        if error.retry_after is not None:
            pause = max(pause, error.retry_after * (1 + _JITTER * self._random()))
        self._failures += 1
        transient = isinstance(error, _TRANSIENT) and not isinstance(error, _PERMANENT) and error.max_items is None
        if not transient or self._failures >= policy.attempts or now + pause >= self._ends:
            raise error
        return pause
