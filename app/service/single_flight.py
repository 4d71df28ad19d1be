"""Single-flight: a miss that is being encoded is joined by later requests for it, not encoded again.

What was encoded is stored at once, whether or not a request still waits for it. A miss without waiters is cancelled.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.errors import ModelUnavailable, Overloaded, ServiceError
from app.service.encoder import Encoded, Encoder, Stages
from app.words import Kind

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
        # What was encoded in this turn of the event loop.
        self._encoded: list[tuple[InFlight, asyncio.Future[Encoded], str | None]] = []

    def __len__(self) -> int:
        return len(self._under_way)

    def __contains__(self, key: bytes) -> bool:
        """Whether it is being encoded."""
        return key in self._under_way

    def join(
        self, encoder: Encoder, kind: Kind, misses: Sequence[tuple[bytes, Any]], epoch: str | None
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
                sources = encoder.encode_images(contents) if kind == "image" else encoder.encode_texts(contents)
                for flight, source in zip(fresh, sources, strict=True):
                    flight.source = source
                    source.add_done_callback(partial(self._gather, flight, epoch), context=Context())
            except Overloaded:
                # None can have joined yet.
                for flight in fresh:
                    del self._under_way[flight.key]
                self.leave([flight for flight in flights if flight.key in self._under_way], encoder)
                raise
            except Exception as error:  # noqa: BLE001 - it is the outcome of each
                self._resolve(fresh, [error] * len(fresh), epoch)
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

    def _gather(self, flight: InFlight, epoch: str | None, source: "asyncio.Future[Encoded]") -> None:
        """An encoder call ends the futures of all its items at once: they are stored together."""
        if not self._encoded:
            source.get_loop().call_soon(self._resolve_encoded)
        self._encoded.append((flight, source, epoch))

    def _resolve_encoded(self) -> None:
        encoded, self._encoded = self._encoded, []
        for epoch in dict.fromkeys(epoch for _, _, epoch in encoded):
            ended = [(flight, source) for flight, source, of in encoded if of == epoch]
            self._resolve([flight for flight, _ in ended], [_outcome(source) for _, source in ended], epoch)

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
                if not isinstance(result, ServiceError):
                    if result is not logged:  # one failure may be the outcome of many items
                        logger.error("the encoder failed", exc_info=result)
                        logged = result
                    result = ModelUnavailable("The model could not be reached.")
                result = Encoded(result, Stages())
            del self._under_way[flight.key]
            flight.future.set_result(result)
        self._store(epoch, entries)


def _outcome(source: "asyncio.Future[Encoded]") -> Encoded | BaseException:
    if source.cancelled():
        return asyncio.CancelledError()
    return source.exception() or source.result()
