"""What a model has been given and has not answered, how long that takes, and what is refused because of it.

The rate is measured where it counts, from what comes back, so it knows of other replicas' load, of busy neighbours
and of lost replicas without being told. Costs are in units of the caller's choice; only their ratios matter.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from app.errors import Overloaded
from app.types import Pair, TextInput, TokenIds

T = TypeVar("T")

# What a call costs beside its items: without it a lone item would make the model look slower than it is.
CALL_UNITS = 400
# What a text costs beside its characters, and what a token is of them.
ITEM_UNITS, TOKEN_CHARACTERS = 16, 4
# Models cut what is longer.
MOST_CHARACTERS = 2048
IMAGE_UNITS = 4000
# Before two calls were answered.
UNKNOWN_RATE = 100_000.0
# Of the longest queue: nothing is refused before a request has waited for so long.
WAITED_SHARE = 0.25
# The rate is that of so many busy seconds, and of two calls at least.
RECENT_S, MOST_CALLS = 2.0, 64


@dataclass(slots=True, eq=False)
class AdmissionControl(Generic[T]):
    """Of one model, in one ingress replica. A request is refused that finds more than `queue_s` of work before it, or
    could not be done within `deadline_s`. `cost`: units of items."""

    name: str
    cost: Callable[[Sequence[T]], int]
    queue_s: float
    deadline_s: float
    clock: Callable[[], float] = time.monotonic
    waiting: int = 0
    # Units a second, while there is work.
    rate: float = field(init=False, default=UNKNOWN_RATE)
    _answered_at: float = field(init=False, default=-math.inf)
    _calls: deque[tuple[int, float]] = field(init=False, default_factory=lambda: deque(maxlen=MOST_CALLS))
    _tracked: dict[object, float] = field(init=False, default_factory=dict)

    def refusal(
        self, units: float, waited_s: float, ahead: Callable[[], float] | None = None, items: int = 1
    ) -> Overloaded | None:
        """Of a request that costs so many units and can't be answered in time. If fewer than its `items` could be, it
        says how many.

        Args:
            waited_s: How long the oldest has waited. An estimate alone refuses nothing: while no request has waited
                for long, it may be of a model that had little to do, and a burst is not refused for that.
            ahead: Units of what waits that are done before this request; by default all.
        """
        if waited_s < WAITED_SHARE * self.queue_s or not self.is_late(units):
            return None
        before = self.waiting if ahead is None else ahead()
        if not self._is_late(before, units):
            return None
        wait_s = before / self.rate
        refusal = Overloaded(f"{self.name} has {wait_s:.1f} s of work waiting.", retry_after=max(1, math.ceil(wait_s)))
        fits = int(items * (self.deadline_s - wait_s) * self.rate / units) if wait_s <= self.queue_s else 0
        if fits > 0:
            refusal.message += f" It can do about {fits:,} of these {items:,} items within {self.deadline_s:g} s."
            refusal.max_items = fits
        return refusal

    def is_late(self, units: float) -> bool:
        """Whether a request of so many units that came after all that waits could not be answered in time."""
        return self._is_late(self.waiting, units)

    def _is_late(self, ahead: float, units: float) -> bool:
        wait_s = ahead / self.rate
        return wait_s > self.queue_s or wait_s + units / self.rate > self.deadline_s

    @contextmanager
    def track(self, items: Sequence[T]) -> Iterator[None]:
        """For work that waits elsewhere: refuse it (Overloaded), or keep account of it until the block's end."""
        now, ticket, units = self.clock(), object(), self.cost(items)
        if (refusal := self.refusal(units, now - next(iter(self._tracked.values()), now))) is not None:
            raise refusal
        self._tracked[ticket] = now
        self.waiting += units
        try:
            yield
            self.ran(units, now)
        finally:
            del self._tracked[ticket]
            self.waiting -= units

    def ran(self, units: int, began: float) -> None:
        """A call of so many units, among those that wait, that began then has been answered now."""
        now = self.clock()
        is_busy = self.waiting > units
        # Calls overlap; what counts is the time since the one before it was answered.
        seconds = max(now - (max(began, self._answered_at) if is_busy else began), 1e-6)
        self._answered_at = now
        units += CALL_UNITS
        # With nothing else to do, a model is as quick as one call, which may be far below what it can.
        if is_busy or units / seconds > self.rate:
            self._calls.append((units, seconds))
            self._measure()

    def _measure(self) -> None:
        """Without the slowest of the last calls: a single one says more of the machine's moment than of the model, or
        of a time without replicas, which is the first call's that is answered after it."""
        while len(self._calls) > 2 and _without_slowest([*self._calls][1:])[1] >= RECENT_S:
            self._calls.popleft()
        if len(self._calls) > 1:
            units, seconds = _without_slowest([*self._calls])
            self.rate = units / seconds

    def call_timeout_s(self) -> float:
        """How long a call made now may take before its replica counts as lost: one that can't be reached delays, and
        leaves time for another."""
        return min(self.deadline_s, self.deadline_s / 3 + 2 * self.waiting / self.rate)


def _without_slowest(calls: Sequence[tuple[int, float]]) -> tuple[int, float]:
    """Units and seconds of all but one."""
    slowest = min(calls, key=lambda call: call[0] / call[1])
    return sum(units for units, _ in calls) - slowest[0], sum(seconds for _, seconds in calls) - slowest[1]


def text_units(texts: Sequence[TextInput]) -> int:
    """Characters of texts, as far as models read them."""
    units = ITEM_UNITS * len(texts)
    for text in texts:
        if isinstance(text, str):
            units += min(len(text), MOST_CHARACTERS)
        elif isinstance(text, TokenIds):
            units += min(len(text.ids) * TOKEN_CHARACTERS, MOST_CHARACTERS)
        else:
            size = len(text.text) + (len(text.query) if isinstance(text, Pair) else 0)
            units += min(size, MOST_CHARACTERS)
    return units


def in_full(documents: Sequence[str]) -> list[str]:
    """Documents that models read whole, in parts that cost what they are."""
    return [text[at : at + MOST_CHARACTERS] for text in documents for at in range(0, len(text), MOST_CHARACTERS)]


def image_units(images: Sequence[object]) -> int:
    """All images cost the same: a model reads all in one size."""
    return IMAGE_UNITS * len(images)
