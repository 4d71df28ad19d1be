"""Many small calls become few large ones: a remote call costs more than a small model's work.

While as many calls are under way as their receivers can use, further items gather; each finished call takes
all that has gathered (up to a cap) with it. A lone item leaves at once; beside a call it may be held for those who were
just answered. Knows neither Ray nor encoders.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Generic, TypeVar

from app.dispatch.admission import CALL_UNITS, AdmissionControl
from app.dispatch.anticipation import Anticipation, call_later
from app.dispatch.request_queue import Pending, Request, RequestQueue
from app.errors import Overloaded

T = TypeVar("T")
R = TypeVar("R")

# Of many texts at once the receiver makes batches of like length, and pads less.
DEEP = 4
DEEP_AFTER_S = 0.5
# Requests that differ by less than this part of a micro-batch go in the order in which they came.
STEPS = 4
# The slices that are under way take the receivers about so long, and two micro-batches each at least.
SLICES_S = 0.2
# A call that costs so much more than what is not its items' wins nothing by being larger.
ENOUGH_UNITS = 4 * CALL_UNITS


@dataclass(slots=True, eq=False)
class _Call(Generic[T, R]):
    batch: list[Pending[T, R]]
    large: bool

    @property
    def units(self) -> int:
        return sum(entry.units for entry in self.batch)


@dataclass(slots=True, eq=False)
class Coalescer(Generic[T, R]):
    """Gathers items into calls of `send`.

    A request of more than one micro-batch is large. It leaves in slices, the costliest items first, so that what shares
    a slice is alike. Small requests have calls of their own, and the receiver runs them first: so a single text waits
    for no pile, only for the micro-batches that run.

    A call is made for many requests, in a context of its own: Serve cancels what was begun in a request's context when
    that request's client leaves.

    Args:
        send: Takes items, the seconds until the deadline of the last, and whether they are a large request's; returns
            one result each, in order. If it raises, every item of the call gets the exception, unless `retry` takes
            them.
        width: How many calls of small requests may be under way now, and how many slices (at least 1).
        max_items: Most items of one call.
        full: Items of a micro-batch. Fewer than this are not divided between calls: another call costs more than it
            wins. Nor do more than this of several requests share a call, for each of them would wait for the whole of
            it; several times as many do where they have waited so long that this makes no difference.
        full_units: What a micro-batch costs at most.
        max_width: So many may be under way if each beyond `width` is full. Serve scales a deployment by the
            calls that it has; items that wait here are none, so with `width` alone it would never see a queue.
        retry: Told why a call failed and what of it is still wanted; whether it sees to that from now on.
        later: Calls back after so many seconds on the clock of `admission`.
    """

    send: Callable[[list[T], float, bool], Awaitable[Sequence[R]]]
    width: Callable[[], int]
    admission: AdmissionControl[T]
    max_items: int = 512
    full: int = 32
    full_units: int = 2**62
    max_width: Callable[[], int] = lambda: 1
    retry: "Callable[[Exception, list[Pending[T, R]]], bool]" = lambda error, lost: False
    later: Callable[[float, Callable[[], None]], object] = call_later
    _small: RequestQueue[T, R] = field(init=False)
    _large: RequestQueue[T, R] = field(init=False)
    _numbers: "count[int]" = field(init=False, default_factory=count)
    _calls: dict["asyncio.Task[None]", _Call[T, R]] = field(init=False, default_factory=dict)
    _anticipation: Anticipation = field(init=False)

    def __post_init__(self) -> None:
        step = max(1, self.full_units // STEPS)
        self._small, self._large = RequestQueue(step), RequestQueue(step)
        self._anticipation = Anticipation(self._pump, self.admission.clock, self.later)

    def submit(self, items: Sequence[T]) -> list["asyncio.Future[R]"]:
        """One future an item. A cancelled future's item is left out if its call has not begun. Raises Overloaded if
        what waits before these leaves no time for them."""
        costs = [self.admission.cost([item]) for item in items]
        units = sum(costs)
        is_large = len(items) > self.full or units > self.full_units
        if (refusal := self.refusal(is_large, units, len(items))) is not None:
            raise refusal
        now = self.admission.clock()
        ends = now + self.admission.deadline_s
        future = asyncio.get_running_loop().create_future
        pending: list[Pending[T, R]] = [
            Pending(item, future(), ends, cost) for item, cost in zip(items, costs, strict=True)
        ]
        if pending:
            ordered = sorted(pending, key=lambda entry: -entry.units) if is_large else pending
            (self._large if is_large else self._small).push(Request(next(self._numbers), now, deque(ordered)))
        self.admission.waiting += units
        self._pump()
        return [entry.result for entry in pending]

    def refusal(self, is_large: bool = False, units: int = 0, items: int = 1) -> Overloaded | None:
        """What `submit` would raise; by default for whatever costs next to nothing."""
        if not self.admission.is_late(units):  # each request asks three times, and nearly always this is the answer
            return None
        waited_s = max(self._waited_s(large) for large in {False, is_large})
        return self.admission.refusal(units, waited_s, lambda: self._ahead(is_large, units), items)

    def _ahead(self, is_large: bool, units: int) -> int:
        """Units that are done before a request that costs so many."""
        under_way = sum(call.units for call in self._calls.values() if is_large or not call.large)
        return under_way + self._small.ahead(units) + (self._large.ahead(units) if is_large else 0)

    def _waited_s(self, large: bool) -> float:
        """How long the oldest of these has waited. Calls beyond the width wait at the receiver."""
        queued = (self._large if large else self._small).oldest()
        calls = (call for call in self._calls.values() if call.large == large)
        beyond = next(islice(calls, max(1, self.width()), None), None)
        since = [queued.since] if queued is not None else []
        if beyond is not None:
            since.append(beyond.batch[0].ends - self.admission.deadline_s)
        return self.admission.clock() - min(since) if since else 0.0

    def __len__(self) -> int:
        return self._small.items + self._large.items

    def trim(self) -> None:
        """Futures were cancelled: forget their items, and end calls that have no others."""
        for task, call in self._calls.items():
            if all(entry.result.done() for entry in call.batch):
                task.cancel()
        for queue in (self._small, self._large):
            self.admission.waiting -= queue.trim()

    def _pump(self) -> None:
        width = max(1, self.width())
        for queue in (self._small, self._large):
            while queue.items and (free := self._free(queue, width)):
                taken = self._slice(width, free) if queue is self._large else self._together(width)
                batch = [entry for entry in taken if not entry.result.done()]
                self.admission.waiting -= sum(entry.units for entry in taken if entry.result.done())
                if batch:
                    call = _Call(batch, queue is self._large)
                    task = asyncio.get_running_loop().create_task(self._run(call), context=Context())
                    self._calls[task] = call
                    task.add_done_callback(self._finished)

    def _free(self, queue: RequestQueue[T, R], width: int) -> int:
        """Calls that may begin now."""
        calls = sum(call.large == (queue is self._large) for call in self._calls.values())
        if queue is self._small and 2 * calls >= width and self._is_held(width):
            return 0
        return max(width - calls, min(self.max_width() - calls, queue.items // self.full), 0)

    def _is_held(self, width: int) -> bool:
        """Each receiver has a call, and the next wins by being larger."""
        newest = self._small.newest()
        if newest is None or self._small.ahead(float("inf")) >= ENOUGH_UNITS:
            return False
        return self._anticipation.holds(self._small.items, newest.since, width)

    def _small_under_way(self) -> int:
        return sum(len(call.batch) for call in self._calls.values() if not call.large)

    def _together(self, width: int) -> list[Pending[T, R]]:
        """Small requests for one call; more of them where so many wait, and for so long, that others lack nothing."""
        is_deep = len(self._small) >= DEEP * self.full * width and self._waited_s(False) > DEEP_AFTER_S
        most, units = ((DEEP if is_deep else 1) * full for full in (self.full, self.full_units))
        # Half of a few clients' texts are computed on while the other half is on the wire.
        share = min(most, -(-(self._small.items + self._small_under_way()) // width))
        taken: list[Pending[T, R]] = []
        while (request := self._small.next()) is not None and len(taken) < share and units > 0:
            if 2 * len(taken) >= most and len(taken) + len(request.items) > most:
                break
            units -= request.units
            taken += self._small.take()
        return taken

    def _slice(self, width: int, free: int) -> list[Pending[T, R]]:
        """Of one large request; spread over the calls that are free instead of all in the first."""
        share = -(-self._large.items // free)
        units = max(2 * self.full_units, self.admission.rate * SLICES_S / width)
        return self._large.take(min(self.max_items, max(share, self.full)), units)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        # Here, since a call that is cancelled before its first step never comes to an end of its own.
        self.admission.waiting -= self._calls.pop(task).units
        self._pump()

    async def _run(self, call: _Call[T, R]) -> None:
        batch = call.batch
        began = self.admission.clock()
        try:
            seconds = max(entry.ends for entry in batch) - began
            results = await self.send([entry.item for entry in batch], seconds, call.large)
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for {len(batch)} items")
            self.admission.ran(call.units, began)
            if not call.large:
                crowd = self._small.items + self._small_under_way()
                self._anticipation.answered(crowd, self.admission.clock() - began)
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
