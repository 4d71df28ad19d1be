"""Quotas: how much a tenant may ask for in a minute. Pure; knows neither keys nor HTTP.

Fixed windows, which begin with a tenant's first request: what is left and when it is whole again are plain numbers
that clients can plan with. Tokens are charged once they are known, so a window may end below zero, and the debt ends
with it. (The `limits` package was tried: no clock to inject, no debt, and a thread per request in memory.)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

WINDOW_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of one quota. `reset_s`: seconds until it is whole again."""

    unit: str
    limit: int
    remaining: int
    reset_s: float


@dataclass(slots=True)
class _Window:
    ends: float
    used: dict[str, int] = field(default_factory=dict)


class Quotas:
    """One per ingress replica, which sees its share of the requests: each counts for all replicas.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self.replicas = 1

    def take(self, tenant: str, limits: dict[str, int]) -> Left | None:
        """Take one request out of the quotas; the exhausted one if that can't be.

        Args:
            limits: By unit, "requests" among them or not; 0 is no limit.
        """
        window = self._window(tenant)
        for unit, limit in limits.items():
            # With few requests a minute and many replicas each may still have one.
            price = min(self.replicas, limit) if unit == "requests" else 1
            if limit and window.used.get(unit, 0) + price > limit:
                return self._left(window, unit, limit)
        window.used["requests"] = window.used.get("requests", 0) + self.replicas
        return None

    def charge(self, tenant: str, unit: str, amount: int) -> None:
        """Take what is known only afterwards."""
        window = self._window(tenant)
        window.used[unit] = window.used.get(unit, 0) + amount * self.replicas

    def left(self, tenant: str, limits: dict[str, int]) -> list[Left]:
        """Of each unit that has a limit."""
        window = self._window(tenant)
        return [self._left(window, unit, limit) for unit, limit in limits.items() if limit]

    def _left(self, window: _Window, unit: str, limit: int) -> Left:
        remaining = max(0, limit - window.used.get(unit, 0))
        return Left(unit, limit, remaining, max(0.0, window.ends - self._clock()))

    def _window(self, tenant: str) -> _Window:
        now = self._clock()
        window = self._windows.get(tenant)
        if window is None or now >= window.ends:
            window = self._windows[tenant] = _Window(now + WINDOW_S)
        return window


def seconds(left: Left) -> int:
    """Whole seconds to wait, at least one."""
    return max(1, math.ceil(left.reset_s))
