"""Many small calls become few large ones: a remote call costs more than a small model's work.

While as many calls are under way as their receivers can use, further items gather; each finished call takes
all that has gathered (up to a cap) with it. A lone item leaves at once. Knows neither Ray nor encoders.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count, islice
from typing import Generic, TypeVar

from app.dispatch.admission import AdmissionControl
from app.dispatch.pending import Pending
from app.errors import Overloaded

T = TypeVar("T")
R = TypeVar("R")

# Of many texts at once the receiver makes batches of like length, and pads less.
DEEP = 4
DEEP_AFTER_S = 0.5


@dataclass(slots=True, order=True)
class _Request(Generic[T, R]):
    """What still waits of one `submit`. `place`: its order in the queue; `units`: the cost of an item, on average."""

    place: float
    number: int
    since: float = field(compare=False)
    units: float = field(compare=False)
    items: deque[Pending[T, R]] = field(compare=False)


@dataclass(slots=True, eq=False)
class Coalescer(Generic[T, R]):
    """Gathers items into calls of `send`.

    The queue is fair: a request of more than one full call is overtaken by smaller ones, but by no more work than it is
    itself. So a single text does not wait for two requests of thousands, and those do not starve.

    A call is made for many requests, in a context of its own: Serve cancels what was begun in a request's context when
    that request's client leaves.

    Args:
        send: Takes items and the seconds until the deadline of the last; returns one result each, in order. If it
            raises, every item of the call gets the exception, unless `retry` takes them.
        width: How many calls may be under way now (at least 1).
        admission: Keeps account of what waits, and refuses.
        max_items: Most items of one call.
        full: Fewer items than this are not divided between calls: another call costs more than it wins. Nor do more
            than this of several requests share a call, for each of them would wait for the whole of it; several times
            as many do where they have waited so long that this makes no difference.
        max_width: So many calls may be under way if each beyond `width` is full. Serve scales a deployment by the
            calls that it has; items that wait here are none, so with `width` alone it would never see a queue.
        retry: Told why a call failed and what of it is still wanted; whether it sees to that from now on.
    """

    send: Callable[[list[T], float], Awaitable[Sequence[R]]]
    width: Callable[[], int]
    admission: AdmissionControl[T]
    max_items: int = 512
    full: int = 32
    max_width: int = 1
    retry: "Callable[[Exception, list[Pending[T, R]]], bool]" = lambda error, lost: False
    _requests: dict[int, _Request[T, R]] = field(init=False, default_factory=dict)  # in the order in which they came
    _order: list[_Request[T, R]] = field(init=False, default_factory=list)  # a heap
    _items: int = field(init=False, default=0)
    _sent: float = field(init=False, default=0.0)  # units
    _numbers: "count[int]" = field(init=False, default_factory=count)
    _calls: dict["asyncio.Task[None]", list[Pending[T, R]]] = field(init=False, default_factory=dict)
    _ahead_of_small: tuple[tuple[float, int], float] = field(init=False, default=((-1, -1), 0.0))

    def submit(self, items: Sequence[T]) -> list["asyncio.Future[R]"]:
        """One future an item. A cancelled future's item is left out if its call has not begun.

        Raises:
            Overloaded: What waits before these leaves no time for them.
        """
        units = self.admission.cost(items)
        place = self._sent + (units if len(items) > self.full else 0)
        if (waited_s := self._waited_s()) is not None:
            self.admission.check(units, waited_s, lambda: self._ahead(place))
        now = self.admission.clock()
        loop = asyncio.get_running_loop()
        ends = now + self.admission.deadline_s
        pending: list[Pending[T, R]] = [Pending(item, loop.create_future(), ends) for item in items]
        if pending:
            number = next(self._numbers)
            request = _Request(place, number, now, units / len(pending), deque(pending))
            self._requests[number] = request
            heappush(self._order, request)
            self._items += len(pending)
        self.admission.waiting += units
        self._pump()
        return [entry.result for entry in pending]

    def refusal(self) -> Overloaded | None:
        """What `submit` would raise for whatever costs next to nothing."""
        waited_s = self._waited_s()
        return None if waited_s is None else self.admission.refusal(0, waited_s, self._ahead_of_next)

    def _ahead(self, place: float) -> float:
        """Units that are done before a request with this place."""
        queued = before = 0.0
        for request in self._order:
            units = request.units * len(request.items)
            queued += units
            if request.place <= place:
                before += units
        return self.admission.waiting - queued + before

    def _ahead_of_next(self) -> float:
        """Of a small request that comes now. Asked for each request that comes while much waits: counted once for
        each change of the queue."""
        key = (self._sent, len(self._order))
        if self._ahead_of_small[0] != key:
            self._ahead_of_small = (key, self._ahead(self._sent))
        return self._ahead_of_small[1]

    def _is_deep(self, width: int) -> bool:
        """Whether as much waits, and for so long, that large calls leave none of the others without."""
        waited_s = self._waited_s() or 0.0
        return self._items >= DEEP * self.full * width and waited_s > DEEP_AFTER_S

    def _waited_s(self) -> float | None:
        """How long the oldest has waited; None where nothing waits. Calls beyond the width wait at the receiver."""
        queued = next(iter(self._requests.values()), None)
        beyond = next(islice(self._calls.values(), max(1, self.width()), None), None)
        since = [queued.since] if queued is not None else []
        if beyond is not None:
            since.append(beyond[0].ends - self.admission.deadline_s)
        return self.admission.clock() - min(since) if since else None

    def __len__(self) -> int:
        return self._items

    def trim(self) -> None:
        """Futures were cancelled: forget their items, and end calls that have no others."""
        for call, batch in self._calls.items():
            if all(entry.result.done() for entry in batch):
                call.cancel()
        for request in [*self._requests.values()]:
            if any(entry.result.done() for entry in request.items):
                wanted = deque(entry for entry in request.items if not entry.result.done())
                gone = [entry.item for entry in request.items if entry.result.done()]
                self.admission.waiting -= self.admission.cost(gone)
                self._items -= len(gone)
                request.items = wanted
                if not wanted:
                    del self._requests[request.number]
        if len(self._requests) < len(self._order):
            self._order = [request for request in self._order if request.items]
            heapify(self._order)

    @property
    def calls(self) -> int:
        """Under way."""
        return len(self._calls)

    def _pump(self) -> None:
        width = max(1, self.width())
        while self._items and (free := self._free(width)):
            # Spread a large pile over the calls that are free instead of giving it all to the first.
            share = -(-self._items // free)
            shared = self.full * (DEEP if self._is_deep(width) else 1)
            batch = self._take(min(self.max_items, max(share, self.full)), shared)
            if not batch:
                return
            call = asyncio.get_running_loop().create_task(self._call(batch), context=Context())
            self._calls[call] = batch
            call.add_done_callback(self._finished)

    def _free(self, width: int) -> int:
        """Calls that may begin now."""
        return max(width - len(self._calls), min(self.max_width - len(self._calls), self._items // self.full), 0)

    def _finished(self, call: "asyncio.Task[None]") -> None:
        # Here, since a call that is cancelled before its first step never comes to an end of its own.
        self.admission.waiting -= self.admission.cost([entry.item for entry in self._calls.pop(call)])
        self._pump()

    def _take(self, most: int, full: int) -> list[Pending[T, R]]:
        batch: list[Pending[T, R]] = []
        last: _Request[T, R] | None = None
        while self._order and len(batch) < most:
            request = self._order[0]
            if len(batch) >= full and request is not last:
                break
            last = request
            entry = request.items.popleft()
            self._items -= 1
            self._sent += request.units
            if entry.result.done():
                self.admission.waiting -= self.admission.cost([entry.item])
            else:
                batch.append(entry)
            if not request.items:
                heappop(self._order)
                del self._requests[request.number]
        return batch

    async def _call(self, batch: list[Pending[T, R]]) -> None:
        items = [entry.item for entry in batch]
        admission, began, units = self.admission, self.admission.clock(), self.admission.cost(items)
        try:
            results = await self.send(items, max(entry.ends for entry in batch) - began)
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for {len(batch)} items")
            admission.ran(units, began)
        except asyncio.CancelledError:
            for entry in batch:
                entry.result.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - handed on to the callers
            wanted = [entry for entry in batch if not entry.result.done()]
            if not self.retry(error, wanted):
                for entry in wanted:
                    entry.resolve(error)
            return
        for entry, result in zip(batch, results, strict=True):
            entry.resolve(result)
