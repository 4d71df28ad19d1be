"""Many small calls become few large ones: a remote call costs more than a small model's work.

While as many calls are under way as their receivers can use, further items gather; each finished call takes
all that has gathered (up to a cap) with it. A lone item leaves at once. Knows neither Ray nor encoders.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from app.dispatch.admission import AdmissionControl
from app.errors import Overloaded

T = TypeVar("T")
R = TypeVar("R")

# Of many texts at once the receiver makes batches of like length, and pads less.
DEEP = 4
DEEP_AFTER_S = 0.5


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T, R]):
    item: T
    result: "asyncio.Future[R]"
    since: float
    request: int


@dataclass(slots=True, eq=False)
class Coalescer(Generic[T, R]):
    """Gathers items into calls of `send`.

    Args:
        send: Takes items, returns one result each, in order. If it raises, every item of the call gets the
            exception, unless `retry` takes them.
        width: How many calls may be under way now (at least 1).
        max_items: Most items of one call.
        full: Fewer items than this are not divided between calls: another call costs more than it wins. Nor do more
            than this of several requests share a call, for each of them would wait for the whole of it; several times
            as many do where they have waited so long that this makes no difference.
        admission: Keeps account of what waits, and refuses.
        retry: Told why a call failed and what of it is still wanted; whether it sees to that from now on.
    """

    send: Callable[[list[T]], Awaitable[Sequence[R]]]
    width: Callable[[], int]
    admission: AdmissionControl[T]
    max_items: int = 512
    full: int = 32
    retry: "Callable[[Exception, list[tuple[T, asyncio.Future[R]]]], bool]" = lambda error, lost: False
    _queue: deque[_Waiting[T, R]] = field(init=False, default_factory=deque)
    _requests: "count[int]" = field(init=False, default_factory=count)
    _calls: dict["asyncio.Task[None]", list[_Waiting[T, R]]] = field(init=False, default_factory=dict)

    def submit(self, items: Sequence[T]) -> list["asyncio.Future[R]"]:
        """One future an item. A cancelled future's item is left out if its call has not begun.

        Raises:
            Overloaded: What waits already leaves no time for these.
        """
        if self._queue:
            self.admission.check(items, self._waited_s())
        now = self.admission.clock()
        loop = asyncio.get_running_loop()
        request = next(self._requests)
        waiting: list[_Waiting[T, R]] = [_Waiting(item, loop.create_future(), now, request) for item in items]
        self._queue.extend(waiting)
        self.admission.waiting += self.admission.cost(items)
        self._pump()
        return [entry.result for entry in waiting]

    def refusal(self) -> Overloaded | None:
        """What `submit` would raise for whatever costs next to nothing."""
        return self.admission.refusal(self._waited_s()) if self._queue else None

    def _is_deep(self, width: int) -> bool:
        """Whether as much waits, and for so long, that large calls leave none of the others without."""
        return len(self._queue) >= DEEP * self.full * width and self._waited_s() > DEEP_AFTER_S

    def _waited_s(self) -> float:
        return self.admission.clock() - self._queue[0].since

    def __len__(self) -> int:
        return len(self._queue)

    def trim(self) -> None:
        """Futures were cancelled: forget items that nobody waits for, and end calls that have no others."""
        for call, batch in self._calls.items():
            if all(entry.result.done() for entry in batch):
                call.cancel()
        if any(entry.result.done() for entry in self._queue):
            self._queue = deque(self._take(len(self._queue), len(self._queue)))

    @property
    def calls(self) -> int:
        """Under way."""
        return len(self._calls)

    def _pump(self) -> None:
        width = max(1, self.width())
        while self._queue and len(self._calls) < width:
            # Spread a large pile over the calls that are free instead of giving it all to the first.
            share = -(-len(self._queue) // (width - len(self._calls)))
            shared = self.full * (DEEP if self._is_deep(width) else 1)
            batch = self._take(min(self.max_items, max(share, self.full)), shared)
            if not batch:
                return
            call = asyncio.get_running_loop().create_task(self._call(batch))
            self._calls[call] = batch
            call.add_done_callback(self._finished)

    def _finished(self, call: "asyncio.Task[None]") -> None:
        del self._calls[call]
        self._pump()

    def _take(self, most: int, full: int) -> list[_Waiting[T, R]]:
        batch: list[_Waiting[T, R]] = []
        while self._queue and len(batch) < most:
            if len(batch) >= full and self._queue[0].request != batch[-1].request:
                break
            entry = self._queue.popleft()
            if entry.result.done():
                self.admission.waiting -= self.admission.cost([entry.item])
            else:
                batch.append(entry)
        return batch

    async def _call(self, batch: list[_Waiting[T, R]]) -> None:
        items = [entry.item for entry in batch]
        admission, began, units = self.admission, self.admission.clock(), self.admission.cost(items)
        try:
            results = await self.send(items)
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for {len(batch)} items")
            admission.ran(units, began)
        except asyncio.CancelledError:
            for entry in batch:
                entry.result.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - handed on to the callers
            wanted = [(entry.item, entry.result) for entry in batch if not entry.result.done()]
            if not self.retry(error, wanted):
                for _, unanswered in wanted:
                    unanswered.set_exception(error)
            return
        finally:
            admission.waiting -= units
        for entry, result in zip(batch, results, strict=True):
            if not entry.result.done():
                entry.result.set_result(result)
