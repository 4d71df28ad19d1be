"""How many calls each receiver has from here, and who gets the next one. Knows nothing of what is called."""

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

# A call that was promised to somebody and has not left by then never will.
PROMISE_S = 1.0


@dataclass(slots=True, eq=False)
class LeastOutstanding(Generic[T]):
    clock: Callable[[], float] = time.monotonic
    _sent: Counter[T] = field(default_factory=Counter)
    _promised: deque[tuple[float, T]] = field(default_factory=deque)

    def fewest(self, receivers: Sequence[T]) -> T:
        """The one with the fewest calls, one of them by lot where they are several. It is promised a call: who
        chooses next, before that has left, sees it.
        """
        now = self.clock()
        while self._promised and self._promised[0][0] <= now - PROMISE_S:
            self._promised.popleft()
        counts = Counter({receiver: self._sent[receiver] for receiver in receivers})
        counts.update(receiver for _, receiver in self._promised if receiver in counts)
        least = min(counts[receiver] for receiver in receivers)
        chosen = random.choice([receiver for receiver in receivers if counts[receiver] == least])  # noqa: S311 - no secret
        self._promised.append((now, chosen))
        return chosen

    def left(self, receiver: T) -> None:
        """A call to it has left."""
        self._sent[receiver] += 1
        promise = next((entry for entry in self._promised if entry[1] == receiver), None)
        if promise is not None:
            self._promised.remove(promise)

    def ended(self, receiver: T) -> None:
        """A call to it has ended, however."""
        self._sent[receiver] -= 1
        if self._sent[receiver] <= 0:
            del self._sent[receiver]
