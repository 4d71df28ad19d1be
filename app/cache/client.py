"""An ingress replica's side of the cache: the near cache, its lease, and the calls to the shared one.

The cache can only make things faster: a shared cache that is slow, dead or full is a miss, never an error, and
after a failure it is left alone until the poll that runs in the background has reached it again. How calls
travel is the transport's business.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from app.cache.lru import LruTtlCache
from app.cache.shared import IDLE_PARK_S, CacheStats, Counts, PollRequest, PollResponse
from app.cache.write_behind import WriteBehind
from app.errors import CacheUnavailable

logger = logging.getLogger(__name__)

RETRY_S = 0.25
MAX_TOUCHED = 4096
SLOW_LOOKUPS_IN_A_ROW = 3


class Transport(Protocol):
    """Calls on the shared cache; any exception means "not reached"."""

    async def lookup(self, keys: Sequence[bytes]) -> tuple[str, list[tuple[bytes, float | None] | None]]: ...
    async def put(self, client: str, epoch: str, entries: Sequence[tuple[bytes, bytes]]) -> bool: ...
    async def poll(self, request: PollRequest) -> PollResponse: ...
    async def clear(self) -> int: ...
    async def stats(self) -> CacheStats: ...


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """A look-up's answer: one value or None per key, and the epoch that what is put later must name."""

    epoch: str | None
    values: list[bytes | None]


@dataclass(slots=True, eq=False)
class CacheClient:
    """Near cache and shared cache as one. Runs on one event loop; `run` must be running.

    Args:
        near: This replica's copies. Its max_entries is no less than the shared cache's.
        deadline_s: A look-up that takes longer counts as a miss.
        patience_s: Longest a poll may take beyond its parking.
    """

    transport: Transport
    near: LruTtlCache
    deadline_s: float = 0.05
    lease_s: float = 2.0
    patience_s: float = 3.0
    clock: Callable[[], float] = time.monotonic
    client: str = field(default_factory=lambda: uuid.uuid4().hex)
    counts: Counts = field(default_factory=Counts)
    shared_lookups: int = 0
    shared_failures: int = 0
    write_behind: WriteBehind = field(init=False)
    _epoch: str | None = None
    reachable: bool = False
    _leased_until: float = 0.0
    _sole_writer: bool = False
    _slow: int = 0
    _squeezed_out: int = 0  # by the near cache until this epoch began
    _touched: dict[bytes, None] = field(default_factory=dict)
    _used: bool = True  # since the last poll
    _lapsed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.write_behind = WriteBehind(self._put)

    async def run(self) -> None:
        """Hold the lease until cancelled."""
        while True:
            started = self.clock()
            idle, self._used = self.reachable and not self._used, False
            self._lapsed.clear()
            request = PollRequest(self.client, self._epoch, replace(self.counts), list(self._touched), idle)
            self._touched.clear()
            try:
                # Not `wait_for`: on Python 3.11 it may swallow the cancellation that ends this loop.
                async with asyncio.timeout(self.patience_s + IDLE_PARK_S * idle):
                    response = await (self._poll_while_idle(request) if idle else self.transport.poll(request))
                if response is None:
                    continue
            except Exception as error:  # noqa: BLE001 - whatever went wrong, the cache is out of reach
                self._lost(error)
                await asyncio.sleep(RETRY_S)
                continue
            self._enter(response.epoch)
            self._sole_writer = response.sole_writer
            if response.sole_client:
                self.write_behind.hurry.clear()
            else:
                self.write_behind.hurry.set()
            self._leased_until = started + self.lease_s
            self._slow = 0
            self.reachable = True

    async def _poll_while_idle(self, request: PollRequest) -> PollResponse | None:
        """None as soon as the lease is missed: the next poll renews it."""
        poll, lapsed = asyncio.ensure_future(self.transport.poll(request)), asyncio.ensure_future(self._lapsed.wait())
        try:
            await asyncio.wait({poll, lapsed}, return_when=asyncio.FIRST_COMPLETED)
            return await poll if poll.done() else None
        finally:
            poll.cancel()
            lapsed.cancel()

    async def get_many(self, keys: Sequence[bytes], lacking: Callable[[list[int]], None] | None = None) -> CacheLookup:
        """Values by key, from the near cache first. Never takes longer than the deadline. `lacking` is told which keys
        the near cache lacks, before the shared one is asked; what it raises is raised."""
        self._used = True
        values, epoch = self._near(keys), self._epoch
        missing = [i for i, value in enumerate(values) if value is None]
        if missing and lacking:
            lacking(missing)
        asked = missing if self.reachable and self._shared_may_have_more() else []
        if asked:
            found = await self._ask([keys[i] for i in asked])
            self.shared_lookups += len(asked)
            if found is None:
                self.shared_failures += 1
            else:
                epoch, shared = found
                for i, entry in zip(asked, shared, strict=True):
                    if entry is not None:
                        values[i] = entry[0]
                        if epoch == self._epoch:
                            self.near.put(keys[i], *entry)
        misses = values.count(None)
        self.counts.near_hits += len(keys) - len(missing)
        self.counts.hits += len(keys) - misses
        self.counts.misses += misses
        return CacheLookup(epoch, values)

    def put_many(self, epoch: str | None, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep fresh vectors here and, in the background, in the shared cache. `epoch`: of their look-up."""
        if epoch is None or epoch != self._epoch:
            return
        for key, value in entries:
            self.near.put(key, value)
            if self.near.get(key) is None:
                self.write_behind.hurry.set()  # nobody has it until the shared cache does
            if self.reachable:
                self.write_behind.add(epoch, key, value)

    async def warm(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Store entries that nobody looked up, and return when the shared cache has them. Raises CacheUnavailable if it
        was not reached, or cleared meanwhile."""
        epoch, taken = self._epoch, False
        try:
            if epoch is not None:
                taken = await asyncio.wait_for(self.transport.put(self.client, epoch, entries), self.patience_s)
        except Exception as error:
            raise CacheUnavailable("The shared cache can't be reached. Try again.", retry_after=1) from error
        if not taken:
            raise CacheUnavailable("The shared cache has just begun anew. Try again.", retry_after=1)
        if epoch == self._epoch:
            for key, value in entries:
                self.near.put(key, value)

    async def clear(self) -> int:
        """Clear the whole cluster's cache. Raises CacheUnavailable if it was not reached; nothing may be cleared."""
        try:
            return await asyncio.wait_for(self.transport.clear(), self.lease_s + self.patience_s)
        except Exception as error:
            message = "The shared cache can't be reached; it may not be cleared. Try again."
            raise CacheUnavailable(message, retry_after=1) from error

    async def stats(self) -> CacheStats:
        """The cluster's figures; this replica's own, with `available` False, when the cache is out of reach."""
        if self.reachable:
            await self.write_behind.flush()
        try:
            return await asyncio.wait_for(self.transport.stats(), self.patience_s)
        except Exception:  # noqa: BLE001 - statistics never fail a request
            return CacheStats.of(self.near, self.counts, clients=1, available=False)

    def _near(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if self.clock() >= self._leased_until:
            self._lapsed.set()
            return [None] * len(keys)
        values = [self.near.get(key) for key in keys]
        if len(self._touched) < MAX_TOUCHED:
            self._touched.update((key, None) for key, value in zip(keys, values, strict=True) if value is not None)
        return values

    def _shared_may_have_more(self) -> bool:
        """Whether the shared cache can hold a key that the near one lacks. While only this replica has written, that
        takes a near cache that had too few bytes: one entry too many here is one too many there."""
        near_has_all = self._sole_writer and self.near.squeezed_out == self._squeezed_out
        return not near_has_all or self.clock() >= self._leased_until

    async def _ask(self, keys: list[bytes]) -> tuple[str, list[tuple[bytes, float | None] | None]] | None:
        try:
            epoch, shared = await asyncio.wait_for(self.transport.lookup(keys), self.deadline_s)
        except TimeoutError as error:
            self._slow += 1
            if self._slow >= SLOW_LOOKUPS_IN_A_ROW:
                self._lost(error)
            return None
        except Exception as error:  # noqa: BLE001 - a cache that fails is a miss
            self._lost(error)
            return None
        self._slow = 0
        # Only polls, which come one after the other, change the epoch: this answer may be older than theirs.
        return epoch, shared

    def _lost(self, error: Exception) -> None:
        """Open the breaker; the next answered poll closes it."""
        if self.reachable:
            self.reachable = False
            name = type(error).__name__
            logger.warning("shared cache out of reach (%s); every look-up is a miss until it is back", name)

    def _enter(self, epoch: str) -> None:
        if epoch != self._epoch:
            self.near.clear()
            self._squeezed_out = self.near.squeezed_out
            self._epoch = epoch
            self._sole_writer = False

    async def _put(self, epoch: str, entries: Sequence[tuple[bytes, bytes]]) -> None:
        try:
            async with asyncio.timeout(self.patience_s):
                await self.transport.put(self.client, epoch, entries)
        except Exception as error:  # noqa: BLE001 - an entry that isn't stored is a miss later
            self._lost(error)
