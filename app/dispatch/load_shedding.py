"""Which requests are refused before anything is spent on them: pure.

While a model's queue is full, a request may still be answered from the cache, or join others that wait for the same
text, so it is looked at. To look at one costs more than to refuse it, and a flood of them would take the CPU from
those that are being answered. So only some are looked at; the others hear at once what they would hear anyway.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from app.errors import Overloaded
from app.words import Kind

# So many a second are looked at while the queue is full, and so many at once.
LOOKS_PER_S: Final = 20.0
LOOKS_AT_ONCE: Final = 20.0


@dataclass(slots=True, eq=False)
class LoadShedder:
    """One per ingress replica. `refusal`: what a request that needs a model of this kind would hear now; None while one
    takes more. `needs`: by method and path, the kind of model that all of a route's requests need."""

    refusal: Callable[[Kind], Overloaded | None]
    needs: Mapping[tuple[str, str], Kind]
    clock: Callable[[], float] = time.monotonic
    _looks: float = field(init=False, default=LOOKS_AT_ONCE)
    _at: float = field(init=False, default=0.0)

    def shed(self, method: str, path: str) -> Overloaded | None:
        """The answer of a request that is not looked at; None for one that is."""
        kind = self.needs.get((method, path))
        if kind is None or (refusal := self.refusal(kind)) is None:
            return None
        now = self.clock()
        self._looks = min(LOOKS_AT_ONCE, self._looks + LOOKS_PER_S * (now - self._at))
        self._at = now
        if self._looks < 1:
            return refusal
        self._looks -= 1
        return None
