"""When to try again, and after how long. No clock and no sleep of its own: the shells have them.

What this client asks changes nothing at the service, so all of it may be asked again.
"""

from collections.abc import Callable
from dataclasses import dataclass

from app.client.failures import TimedOut
from app.errors import DeadlineExceeded, RequestRejected, ServiceError, TooManyRequests, Unavailable

# 429, 502, 503, 504 and broken connections. What took the client's whole patience would take it again.
_PASSING = (TooManyRequests, Unavailable, DeadlineExceeded)
_LASTING = (RequestRejected, TimedOut)
# Clients that were all told the same time must not come back together.
_SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long one request is tried.

    Args:
        attempts: At most so many, the first included; 1: never again.
        first_s: Seconds of the first pause; each later one is twice as long.
        most_s: Seconds of the longest pause; `Retry-After` may ask for longer.
        deadline_s: Seconds for all attempts and pauses of one request together.
    """

    attempts: int = 6
    first_s: float = 0.5
    most_s: float = 8.0
    deadline_s: float = 120.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_s < 0 or self.most_s < 0 or self.deadline_s <= 0:
            raise ValueError("attempts must be 1 or more, pauses 0 or more, and the deadline above 0")


class Attempts:
    """Those of one request. Times are on the caller's clock, seconds; `random` is from 0 to 1."""

    def __init__(self, policy: Retry, now: float, random: Callable[[], float]) -> None:
        self._policy = policy
        self._ends = now + policy.deadline_s
        self._random = random
        self._failures = 0

    def left_s(self, now: float) -> float:
        """Seconds that remain; never 0, which would mean no limit to some."""
        return max(0.001, self._ends - now)

    def pause_s(self, error: ServiceError, now: float) -> float:
        """Seconds to wait before the next attempt.

        Raises:
            ServiceError: The error given: another attempt would not help, or there is none left, or no time.
        """
        policy = self._policy
        backoff: float = min(policy.most_s, policy.first_s * 2**self._failures)
        pause = backoff * (1 + self._random()) / 2
        if error.retry_after is not None:
            pause = max(pause, error.retry_after * (1 + _SPREAD * self._random()))
        self._failures += 1
        passing = isinstance(error, _PASSING) and not isinstance(error, _LASTING)
        if not passing or self._failures >= policy.attempts or now + pause >= self._ends:
            raise error
        return pause
