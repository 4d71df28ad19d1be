"""Single-flight: a miss that is being encoded is joined by later requests for it, not encoded again.

What was encoded is stored, whether or not a request still waits for it. A miss without waiters is cancelled.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from app.errors import ModelUnavailable, Overloaded, ServiceError
from app.service.encoder import Encoded, Encoder, Stages
from app.types import Modality

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class InFlight:
    """A miss that is being encoded; `waiters`: how many places of requests wait for it."""

    key: bytes
    future: "asyncio.Future[Encoded]"
    source: "asyncio.Future[Encoded] | None" = None
    waiters: int = 0


class SingleFlight:
    """Those of one ingress replica. `store`: takes an epoch and what was encoded, by key."""

    def __init__(self, store: Callable[[str | None, Sequence[tuple[bytes, bytes]]], None]) -> None:
        self._store = store
        self._under_way: dict[bytes, InFlight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._under_way)

    def __contains__(self, key: bytes) -> bool:
        """Whether it is being encoded."""
        return key in self._under_way

    def join(
        self, encoder: Encoder, kind: Modality, misses: Sequence[tuple[bytes, Any]], epoch: str | None
    ) -> list[InFlight]:
        """One flight per miss; a miss that is already under way is joined. Raises the encoder's Overloaded."""
        loop = asyncio.get_running_loop()
        flights: list[InFlight] = []
        fresh: list[InFlight] = []
        contents: list[Any] = []
        for key, content in misses:
            flight = self._under_way.get(key)
            if flight is None:
                flight = self._under_way[key] = InFlight(key, loop.create_future())
                fresh.append(flight)
                contents.append(content)
            flight.waiters += 1
            flights.append(flight)
        if fresh:
            try:
                sources = encoder.encode_texts(contents) if kind == "text" else encoder.encode_images(contents)
                for flight, source in zip(fresh, sources, strict=True):
                    flight.source = source
            except Overloaded:
                # None can have joined yet.
                for flight in fresh:
                    del self._under_way[flight.key]
                self.leave([flight for flight in flights if flight.key in self._under_way], encoder)
                raise
            except Exception as error:  # noqa: BLE001 - it is the outcome of each
                self._resolve(fresh, [error] * len(fresh), epoch)
            else:
                task = loop.create_task(self._follow(fresh, sources, epoch), context=Context())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return flights

    def leave(self, flights: Sequence[InFlight], encoder: Encoder) -> None:
        """A request waits no longer. What has no other waiters is cancelled."""
        given_up = False
        for flight in flights:
            flight.waiters -= 1
            if flight.waiters == 0 and not flight.future.done():
                self._under_way.pop(flight.key)
                flight.future.cancel()
                if flight.source is not None:
                    flight.source.cancel()
                given_up = True
        if given_up:
            encoder.trim()

    async def _follow(
        self, flights: Sequence[InFlight], sources: "Sequence[asyncio.Future[Encoded]]", epoch: str | None
    ) -> None:
        results: Sequence[Encoded | BaseException]
        try:
            results = await asyncio.gather(*sources, return_exceptions=True)
        except BaseException as error:  # noqa: BLE001 - a future that is never resolved would hang its item for good
            results = [error] * len(flights)
        self._resolve(flights, results, epoch)

    def _resolve(
        self, flights: Sequence[InFlight], results: Sequence[Encoded | BaseException], epoch: str | None
    ) -> None:
        entries: list[tuple[bytes, bytes]] = []
        logged: BaseException | None = None
        for flight, result in zip(flights, results, strict=True):
            if isinstance(result, Encoded) and isinstance(result.entry, bytes):
                entries.append((flight.key, result.entry))
            if flight.future.done():
                continue  # given up, and maybe begun anew
            if isinstance(result, BaseException):
                if isinstance(result, ServiceError):
                    result = Encoded(result, Stages())
                else:
                    if result is not logged:  # one failure may be the outcome of many items
                        logger.error("the encoder failed", exc_info=result)
                        logged = result
                    result = Encoded(ModelUnavailable("The model could not be reached."), Stages())
            del self._under_way[flight.key]
            flight.future.set_result(result)
        self._store(epoch, entries)
