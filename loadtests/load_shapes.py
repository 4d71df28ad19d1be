"""How many users there are at which second of a load test. Pure; locust asks once a second."""

from collections.abc import Callable
from typing import Final

# Share of the most users, at a share of the test's length.
Shape = Callable[[float], float]

STEPS = 5
# Climbing takes this share of a steady run, and of a soak one.
RAMP = 0.1
SPIKE = (0.4, 0.6)
CALM = 0.1


def steady(at: float) -> float:
    """Up to all users in the first tenth, then all of them."""
    return min(1.0, at / RAMP)


def step(at: float) -> float:
    """Five steps of equal length, up to all users."""
    return min(STEPS, int(at * STEPS) + 1) / STEPS


def spike(at: float) -> float:
    """A tenth of the users; all of them at once in the middle fifth."""
    return 1.0 if SPIKE[0] <= at < SPIKE[1] else CALM


def soak(at: float) -> float:
    """Half of the users, for as long as is asked: for leaks, not for limits."""
    return 0.5 * steady(at)


SHAPES: Final[dict[str, Shape]] = {"steady": steady, "step": step, "spike": spike, "soak": soak}


def users_at(shape: str, seconds: float, length_s: float, most: int) -> int | None:
    """Users now, at least one; None when the test is over."""
    if seconds >= length_s:
        return None
    return max(1, round(most * SHAPES[shape](seconds / length_s)))
