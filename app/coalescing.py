"""Many small calls become few large ones: a remote call costs more than a small model's work.

While as many calls are under way as their receivers can use, further items gather; each finished call takes
all that has gathered (up to a cap) with it. A lone item leaves at once. Knows neither Ray nor encoders.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T, R]):
    item: T
    result: "asyncio.Future[R]"


@dataclass(slots=True, eq=False)
class Coalescer(Generic[T, R]):
    """Gathers items into calls of `send`.

    Args:
        send: Takes items, returns one result each, in order. If it raises, every item of the call gets the
            exception.
        width: How many calls may be under way now (at least 1).
        max_items: Most items of one call.
        min_share: Fewer items than this are not divided between calls: another call costs more than it wins.
    """

    send: Callable[[list[T]], Awaitable[Sequence[R]]]
    width: Callable[[], int]
    max_items: int = 512
    min_share: int = 64
    _queue: deque[_Waiting[T, R]] = field(default_factory=deque)
    _calls: set["asyncio.Task[None]"] = field(default_factory=set)

    def submit(self, items: Sequence[T]) -> list["asyncio.Future[R]"]:
        """One future an item. A cancelled future's item is left out if its call has not begun."""
        loop = asyncio.get_running_loop()
        waiting: list[_Waiting[T, R]] = [_Waiting(item, loop.create_future()) for item in items]
        self._queue.extend(waiting)
        self._pump()
        return [entry.result for entry in waiting]

    def __len__(self) -> int:
        return len(self._queue)

    def _pump(self) -> None:
        width = max(1, self.width())
        while self._queue and len(self._calls) < width:
            # Spread a large pile over the calls that are free instead of giving it all to the first.
            share = -(-len(self._queue) // (width - len(self._calls)))
            batch = self._take(min(self.max_items, max(share, self.min_share)))
            if not batch:
                return
            call = asyncio.get_running_loop().create_task(self._call(batch))
            self._calls.add(call)
            call.add_done_callback(self._finished)

    def _finished(self, call: "asyncio.Task[None]") -> None:
        self._calls.discard(call)
        self._pump()

    def _take(self, most: int) -> list[_Waiting[T, R]]:
        batch: list[_Waiting[T, R]] = []
        while self._queue and len(batch) < most:
            entry = self._queue.popleft()
            if not entry.result.done():
                batch.append(entry)
        return batch

    async def _call(self, batch: list[_Waiting[T, R]]) -> None:
        try:
            results = await self.send([entry.item for entry in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for {len(batch)} items")
        except asyncio.CancelledError:
            for entry in batch:
                entry.result.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - handed on to the callers
            for entry in batch:
                if not entry.result.done():
                    entry.result.set_exception(error)
            return
        for entry, result in zip(batch, results, strict=True):
            if not entry.result.done():
                entry.result.set_result(result)
