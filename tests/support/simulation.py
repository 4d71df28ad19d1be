"""Ingress replicas and encoder replicas as they are, on a clock of the simulation's own: only the model and the network
between them are made up. Nothing waits for real time.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count

import numpy as np

from app.dispatch.admission import AdmissionControl
from app.dispatch.coalescer import Coalescer
from app.dispatch.least_outstanding import LeastOutstanding
from app.errors import Overloaded
from app.inference.batch_queue import BatchQueue, Slice
from app.inference.scheduler import EncodeJob, Scheduler
from app.types import Vector
from tests.support.aio import Clock, turns

# As a MiniLM on two cores: seconds a token of one of two streams, and of a run's start; from ingress to encoder.
TOKEN_S, START_S, NETWORK_S = 1e-4, 3.5e-3, 1e-3
STREAMS, BATCH_ITEMS, BATCH_TOKENS = 2, 32, 1024
# The longest run of a micro-batch.
BATCH_S = BATCH_TOKENS * TOKEN_S + START_S
CHARACTERS = 4


class Timeline:
    """Events by time."""

    def __init__(self) -> None:
        self.clock = Clock(0.0)
        self.checks: list[Callable[[float, float], None]] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, time: float, event: Callable[[], None]) -> None:
        heappush(self._events, (time, next(self._numbers), event))

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        self.at(self.clock.now + seconds, event)

    async def pause(self, seconds: float) -> None:
        over = asyncio.get_running_loop().create_future()
        self.after(seconds, lambda: None if over.done() else over.set_result(None))
        await over

    async def run(self) -> None:
        """Until nothing happens any more."""
        await turns(8)
        while self._events:
            before = self.clock.now
            time, _, event = heappop(self._events)
            for check in self.checks:
                check(before, time)
            self.clock.now = time
            event()
            while self._events and self._events[0][0] == time:
                heappop(self._events)[2]()
            await turns(8)


class Replica:
    """An encoder: its queue, its scheduler, and a model that takes time only."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        queue = BatchQueue(BATCH_ITEMS, BATCH_TOKENS, lambda tokens: -(-tokens // 8) * 8)
        self.scheduler = Scheduler(queue, self._run, STREAMS, timeline.clock)
        self.running = 0
        self.batches: list[tuple[float, int]] = []
        self._waiting: deque[tuple[list[Slice], asyncio.Future[None]]] = deque()
        self._open: dict[int, tuple[list[Slice], asyncio.Future[None]]] = {}

    async def _run(self, part: Slice, slot: int = 0, *, exclusive: bool = False) -> Vector:
        loop = asyncio.get_running_loop()
        if slot not in self._open:
            self._open[slot] = ([], loop.create_future())
            loop.call_soon(self._begin, slot, exclusive)
        slices, done = self._open[slot]
        slices.append(part)
        await asyncio.shield(done)
        return np.ones((len(part.indices), 1), np.float32)

    def _begin(self, slot: int, exclusive: bool) -> None:
        batch = self._open.pop(slot)
        if self.running >= STREAMS:
            self._waiting.append(batch)
            return
        slices, done = batch
        lengths = [part.job.lengths[index] for part in slices for index in part.indices]
        self.batches.append((self.timeline.clock.now, len(lengths)))
        width = STREAMS if exclusive else 1
        self.running += width
        seconds = len(lengths) * -(-max(lengths) // 8) * 8 * TOKEN_S / width + START_S
        self.timeline.after(seconds, partial(self._end, done, width))

    def _end(self, done: "asyncio.Future[None]", width: int) -> None:
        self.running -= width
        done.set_result(None)
        if self._waiting:
            self._open[-1] = self._waiting.popleft()
            self._begin(-1, False)

    async def encode(self, lengths: Sequence[int], large: bool) -> list[int]:
        job = EncodeJob(lengths=lengths, large=large, inputs=lengths, dimensions=1)
        await self.scheduler.submit(job)
        return [*lengths]


@dataclass
class Cluster:
    """Requests are lists of texts' lengths in tokens."""

    ingresses: int = 1
    replicas: int = 1
    queue_s: float = 4.0
    deadline_s: float = 1e9
    timeline: Timeline = field(default_factory=Timeline)
    refused: int = 0
    # Seconds in which a replica had nothing to run while something waited at an ingress or at itself, in one piece.
    idle_s: float = 0.0
    _idle: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.encoders = [Replica(self.timeline) for _ in range(self.replicas)]
        self.coalescers = [self._coalescer() for _ in range(self.ingresses)]
        self.timeline.checks.append(self._watch)

    def _coalescer(self) -> Coalescer[int, int]:
        admission: AdmissionControl[int] = AdmissionControl(
            "m", lambda items: CHARACTERS * sum(items), self.queue_s, self.deadline_s, self.timeline.clock
        )
        choice: LeastOutstanding[int] = LeastOutstanding(self.timeline.clock)

        async def send(items: list[int], seconds: float, large: bool) -> Sequence[int]:
            number = choice.fewest(range(self.replicas))
            choice.left(number)
            await self.timeline.pause(NETWORK_S)
            result = await self.encoders[number].encode(items, large)
            await self.timeline.pause(NETWORK_S)
            choice.ended(number)
            return result

        width = 2 * self.replicas
        units = CHARACTERS * BATCH_TOKENS
        return Coalescer(send, lambda: width, admission, 512, BATCH_ITEMS, units, later=self.timeline.after)

    def _watch(self, begin: float, end: float) -> None:
        for number, encoder in enumerate(self.encoders):
            waits = len(encoder.scheduler.queue) or any(len(coalescer) for coalescer in self.coalescers)
            if waits and not encoder.running:
                self._idle[number] = self._idle.get(number, 0.0) + end - begin
                self.idle_s = max(self.idle_s, self._idle[number])
            else:
                self._idle[number] = 0.0

    async def ask(self, lengths: Sequence[int], ingress: int = 0) -> float | None:
        """Seconds until all is there; None if it was refused."""
        began = self.timeline.clock.now
        try:
            futures = self.coalescers[ingress].submit(lengths)
        except Overloaded:
            self.refused += 1
            return None
        await asyncio.gather(*futures)
        return self.timeline.clock.now - began

    def begin(self, time: float, lengths: Sequence[int], latencies: list[float | None], ingress: int = 0) -> None:
        """Ask at that time."""

        def begin() -> None:
            task = asyncio.get_running_loop().create_task(self.ask(lengths, ingress))
            tasks.add(task)
            task.add_done_callback(lambda done: latencies.append(done.result()))
            task.add_done_callback(tasks.discard)

        tasks: set[asyncio.Task[float | None]] = set()
        self._tasks.append(tasks)
        self.timeline.at(time, begin)

    _tasks: list[object] = field(default_factory=list)

    def clients(
        self, clients: int, requests: int, length: int, latencies: list[float | None], pause_s: float = 0.0
    ) -> None:
        """Each asks one after the other, beginning now."""

        async def work() -> None:
            for _ in range(requests):
                latencies.append(await self.ask([length]))
                if pause_s:
                    await self.timeline.pause(pause_s)

        self._tasks += [asyncio.get_running_loop().create_task(work()) for _ in range(clients)]
