"""What a model has been given and has not answered, how long that takes, and what is refused because of it.

The rate is measured where it counts, from what comes back, so it knows of other replicas' load, of busy neighbours
and of lost replicas without being told. Costs are in units of the caller's choice; only their ratios matter.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from app.errors import Overloaded
from app.types import TextInput, TokenIds

T = TypeVar("T")

# What a call costs beside its items: without it a lone item would make the model look slower than it is.
CALL_UNITS = 400
# What a text costs beside its characters, and what a token is of them.
ITEM_UNITS, TOKEN_CHARACTERS = 16, 4
# Models cut what is longer.
MOST_CHARACTERS = 2048
IMAGE_UNITS = 4000
# Before anything came back.
UNKNOWN_RATE = 100_000.0
# Of the longest queue: nothing is refused before somebody has waited for so long.
WAITED_SHARE = 0.25
# No call takes so long to get to a replica that is there.
NOBODY_S = 1.0
# The rate is an average over so many busy seconds.
MEMORY_S = 5.0


@dataclass(slots=True, eq=False)
class AdmissionControl(Generic[T]):
    """Of one model, in one ingress replica.

    Args:
        name: The model's, for messages.
        cost: Units of items.
        queue_s: A request that finds more seconds of work before it is refused.
        deadline_s: So is one that could not be done by then.
        clock: Seconds.
    """

    name: str
    cost: Callable[[Sequence[T]], int]
    queue_s: float
    deadline_s: float
    clock: Callable[[], float] = time.monotonic
    waiting: int = 0
    _work: float = 0.0
    _busy: float = 0.0
    _answered_at: float = field(default=-math.inf)
    _taken: dict[object, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Units a second, while there is work."""
        return self._work / self._busy if self._busy > 0 else UNKNOWN_RATE

    @property
    def seconds(self) -> float:
        """Until what waits now is answered."""
        return self.waiting / self.rate

    def check(self, items: Sequence[T], waited_s: float) -> None:
        """Raises Overloaded if these can't be answered in time.

        Args:
            waited_s: How long the oldest has waited. An estimate alone refuses nothing: while nobody has waited for
                long, it may be of a model that had little to do, and a burst is not refused for that.
        """
        if waited_s < WAITED_SHARE * self.queue_s:
            return
        wait = self.seconds
        if wait > self.queue_s or wait + self.cost(items) / self.rate > self.deadline_s:
            raise self._refusal(wait)

    def refusal(self, waited_s: float) -> Overloaded | None:
        """What `check` would raise for whatever costs next to nothing."""
        wait = self.seconds
        return self._refusal(wait) if wait > self.queue_s and waited_s >= WAITED_SHARE * self.queue_s else None

    def _refusal(self, wait: float) -> Overloaded:
        return Overloaded(f"{self.name} has {wait:.1f} s of work waiting.", retry_after=math.ceil(wait))

    @contextmanager
    def track(self, items: Sequence[T]) -> Iterator[None]:
        """For work that waits elsewhere: refuse it, or keep account of it until the end of the block.

        Raises:
            Overloaded: As `check`.
        """
        now, ticket, units = self.clock(), object(), self.cost(items)
        self.check(items, now - next(iter(self._taken.values()), now))
        self._taken[ticket] = now
        self.waiting += units
        try:
            yield
            self.ran(units, now)
        finally:
            del self._taken[ticket]
            self.waiting -= units

    def ran(self, units: int, began: float) -> None:
        """A call of so many units, among those that wait, that began then has been answered now."""
        now = self.clock()
        # Calls overlap; what counts is the time since the one before it was answered.
        seconds = max(now - max(began, self._answered_at), 1e-6)
        self._answered_at = now
        units += CALL_UNITS
        # With nothing else to do, a model is as quick as one call, which may be far below what it can.
        if self.waiting > units - CALL_UNITS or units / seconds > self.rate:
            keep = math.exp(-seconds / MEMORY_S)
            self._work = self._work * keep + units
            self._busy = self._busy * keep + seconds

    def ignore_outage(self, sent: float, begun: float) -> None:
        """A call that was sent then was worked on from `begun` on. If that is long after, there was nobody who could
        work before, as while all replicas are lost: such a time says nothing of the rate.
        """
        if begun - sent > NOBODY_S:
            self._answered_at = max(self._answered_at, begun)

    def patience_s(self) -> float:
        """How long a call made now may take before its replica counts as lost: one that can't be reached delays, and
        leaves time for another."""
        return min(self.deadline_s, self.deadline_s / 3 + 2 * self.seconds)


def text_units(texts: Sequence[TextInput]) -> int:
    """Characters of texts, as far as models read them."""
    units = ITEM_UNITS * len(texts)
    for text in texts:
        if isinstance(text, str):
            units += min(len(text), MOST_CHARACTERS)
        elif isinstance(text, TokenIds):
            units += min(len(text.ids) * TOKEN_CHARACTERS, MOST_CHARACTERS)
        else:
            units += min(len(text.text), MOST_CHARACTERS)
    return units


def image_units(images: Sequence[object]) -> int:
    """All images cost the same: a model reads all in one size."""
    return IMAGE_UNITS * len(images)
