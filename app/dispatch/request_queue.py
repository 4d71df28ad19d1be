"""Which request's items leave next: pure and clock-free.

The smallest request goes first, which costs a large one little and spares a small one much. Whenever the oldest was
passed over often enough, it is its turn: so a share of the model is its own, whatever comes, and none starves.
"""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Every so many times it is the oldest's turn.
TURN = 4


@dataclass(slots=True, eq=False)
class Pending(Generic[T, R]):
    """`ends`: its deadline, on the clock of whoever works on it. `units`: what it costs."""

    item: T
    result: "asyncio.Future[R]"
    ends: float
    units: int = 0

    def resolve(self, outcome: R | Exception) -> None:
        """Leaves a future alone that is done, as one that was cancelled is."""
        if self.result.done():
            return
        if isinstance(outcome, Exception):
            self.result.set_exception(outcome)
        else:
            self.result.set_result(outcome)


@dataclass(slots=True, eq=False)
class Request(Generic[T, R]):
    """What still waits of one request: `units` of them, in steps of its queue `size`."""

    number: int
    since: float
    items: deque[Pending[T, R]]
    units: int = 0
    size: int = 0


@dataclass(slots=True, eq=False)
class RequestQueue(Generic[T, R]):
    """Requests, by what is left of them. Those that differ by less than `step` units keep the order they came in."""

    step: int
    items: int = 0
    _requests: dict[int, Request[T, R]] = field(default_factory=dict)  # in the order in which they came
    _order: list[tuple[int, int]] = field(default_factory=list)  # sizes and numbers; what is no longer true is skipped
    _units: Counter[int] = field(default_factory=Counter)  # by size
    _passed: int = 0

    def __len__(self) -> int:
        return len(self._requests)

    def push(self, request: Request[T, R]) -> None:
        self._requests[request.number] = request
        self.items += len(request.items)
        self._place(request, sum(entry.units for entry in request.items))

    def oldest(self) -> Request[T, R] | None:
        return next(iter(self._requests.values()), None)

    def newest(self) -> Request[T, R] | None:
        return next(reversed(self._requests.values()), None)

    def ahead(self, units: float) -> int:
        """Units that go before a request of so many, but for the turns of the oldest."""
        return sum(waiting for size, waiting in self._units.items() if size * self.step <= units)

    def next(self) -> Request[T, R] | None:
        """Whose items are taken next."""
        if self._passed >= TURN - 1 or not self._requests:
            return self.oldest()
        while (found := self._requests.get(self._order[0][1])) is None or found.size != self._order[0][0]:
            heappop(self._order)
        return found

    def take(self, most: float = float("inf"), units: float = float("inf")) -> list[Pending[T, R]]:
        """Items of the next request: at most so many of so many units, or one."""
        request, taken = self.next(), list[Pending[T, R]]()
        if request is None:
            return taken
        self._passed = 0 if request is self.oldest() else self._passed + 1
        items, left = request.items, request.units
        while items and len(taken) < most and (not taken or items[0].units <= units):
            taken.append(items.popleft())
            units -= taken[-1].units
            left -= taken[-1].units
        self.items -= len(taken)
        self._place(request, left)
        return taken

    def trim(self) -> int:
        """Forget what nobody waits for; its units are returned."""
        before = sum(self._units.values())
        for request in [*self._requests.values()]:
            if any(entry.result.done() for entry in request.items):
                wanted = deque(entry for entry in request.items if not entry.result.done())
                self.items -= len(request.items) - len(wanted)
                request.items = wanted
                self._place(request, sum(entry.units for entry in wanted))
        return before - sum(self._units.values())

    def _place(self, request: Request[T, R], units: int) -> None:
        """Where it belongs with so many units left."""
        self._units[request.size] -= request.units
        if not self._units[request.size]:
            del self._units[request.size]
        request.units, request.size = units, units // self.step
        self._units[request.size] += units
        if request.items:
            heappush(self._order, (request.size, request.number))
        else:
            del self._requests[request.number]
