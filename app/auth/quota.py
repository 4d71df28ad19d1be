"""Quotas: how many requests and tokens a tenant may use per minute. Pure; no keys, no HTTP.

A fixed window starts with a tenant's first request, so that the remaining quota and its reset time are plain numbers
that clients can plan with. Tokens are charged after they are counted, so usage may exceed the limit; the debt ends
with the window. (The `limits` package was tried: no clock to inject, no debt, and a thread per request in memory.)
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

WINDOW_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left of one quota. `reset_s`: seconds until the window ends."""

    unit: str
    limit: int
    remaining: int
    reset_s: float


@dataclass(slots=True)
class _Window:
    ends: float
    used: Counter[str] = field(default_factory=Counter)


class Quotas:
    """One per ingress replica. A replica sees only its share of the requests, so each one counts `replicas` times."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self.replicas = 1

    def take(self, tenant: str, limits: dict[str, int]) -> Remaining | None:
        """Charge one request, or return the exhausted quota. `limits`: by unit (requests, tokens); 0: no limit."""
        window = self._window(tenant)
        for unit, limit in limits.items():
            # With a small limit and many replicas, each replica still admits one request.
            cost = min(self.replicas, limit) if unit == "requests" else 1
            if limit and window.used[unit] + cost > limit:
                return self._left(window, unit, limit)
        window.used["requests"] += self.replicas
        return None

    def charge(self, tenant: str, unit: str, amount: int) -> None:
        """Charge an amount that is only known after the request."""
        self._window(tenant).used[unit] += amount * self.replicas

    def left(self, tenant: str, limits: dict[str, int]) -> list[Remaining]:
        """The remaining quota of each unit that has a limit."""
        window = self._window(tenant)
        return [self._left(window, unit, limit) for unit, limit in limits.items() if limit]

    def _left(self, window: _Window, unit: str, limit: int) -> Remaining:
        remaining = max(0, limit - window.used[unit])
        return Remaining(unit, limit, remaining, max(0.0, window.ends - self._clock()))

    def _window(self, tenant: str) -> _Window:
        now = self._clock()
        window = self._windows.get(tenant)
        if window is None or now >= window.ends:
            window = self._windows[tenant] = _Window(now + WINDOW_S)
        return window


def seconds(left: Remaining) -> int:
    """Whole seconds to wait, at least one."""
    return max(1, math.ceil(left.reset_s))
