"""The cluster-wide cache's own logic: epochs, leases, counts. `deployments.cache` puts it into an actor.

Each client (an ingress replica with a near cache) keeps one `poll` parked here. A poll reports the client's
counts and the keys that its near cache served; its answer renews the client's lease and names the epoch.
`clear` starts a new epoch, wakes every poll, and returns once each client has come back with the new epoch or
its lease has run out, so after `clear` nobody serves an old copy. Entries of an old epoch are refused: a miss
that was in flight cannot resurrect what was cleared. A restarted cache has a new epoch, never an old one.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from app.cache.lru import LruTtlCache

PARK_S = 0.5
# Of an idle client, whose lease ends meanwhile: it asks here again before it trusts its copies.
IDLE_PARK_S = 30.0
KEEP_COUNTS_S = 3600.0


@dataclass(slots=True)
class Counts:
    """Look-ups of one client since it started; a hit in the near cache is a hit."""

    hits: int = 0
    near_hits: int = 0
    misses: int = 0

    def add(self, other: "Counts") -> None:
        self.hits += other.hits
        self.near_hits += other.near_hits
        self.misses += other.misses


@dataclass(frozen=True, slots=True)
class PollRequest:
    """What a poll brings. `counts` are totals, so a lost or repeated poll does no harm."""

    client: str
    epoch: str | None
    counts: Counts
    touched: Sequence[bytes] = ()
    idle: bool = False  # nothing was looked up since the last poll


@dataclass(frozen=True, slots=True)
class PollResponse:
    epoch: str
    sole_writer: bool  # no other client has written in this epoch
    sole_client: bool  # no other client has a lease


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Cluster-wide figures; `bytes` are keys, values and bookkeeping."""

    size: int
    max_size: int
    bytes: int
    max_bytes: int
    hits: int
    near_hits: int
    misses: int
    evictions: int
    expirations: int
    clients: int
    available: bool = True

    @classmethod
    def of(cls, store: LruTtlCache, counts: Counts, clients: int, available: bool = True) -> Self:
        return cls(
            len(store), store.max_entries, store.bytes, store.max_bytes, counts.hits, counts.near_hits, counts.misses,
            store.evictions, store.expirations, clients, available,
        )  # fmt: skip

    @property
    def hit_rate(self) -> float:
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


@dataclass(slots=True)
class _Client:
    seen: float
    epoch: str | None
    counts: Counts
    round: int
    answered: PollResponse | None
    idle: bool


@dataclass(slots=True, eq=False)
class SharedCache:
    """One per cluster (or shard). Runs on one event loop. `lease_s`: how long a client may serve near copies after the
    start of its last answered poll."""

    store: LruTtlCache
    lease_s: float = 2.0
    clock: Callable[[], float] = time.monotonic
    _incarnation: str = field(default_factory=lambda: uuid.uuid4().hex)
    _generation: int = 0
    _round: int = 0
    _clients: dict[str, _Client] = field(default_factory=dict)
    _expired: Counts = field(default_factory=Counts)
    _writers: set[str] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _polled: asyncio.Event = field(default_factory=asyncio.Event)
    _polled_at: float = field(init=False)
    _parked: int = 0

    def __post_init__(self) -> None:
        self._polled_at = self.clock()

    @property
    def idle_s(self) -> float:
        """Since the last poll ended; 0 while one is parked."""
        return 0.0 if self._parked else self.clock() - self._polled_at

    @property
    def epoch(self) -> str:
        return f"{self._incarnation}.{self._generation}"

    def lookup(self, keys: Sequence[bytes]) -> tuple[str, list[tuple[bytes, float | None] | None]]:
        """The epoch, and for each key its value with the seconds it has left (None: no end), or None."""
        return self.epoch, [self.store.get_with_ttl(key) for key in keys]

    def put(self, client: str, epoch: str, entries: Sequence[tuple[bytes, bytes]]) -> bool:
        """Store entries that were looked up in `epoch`; False when it has passed."""
        if epoch != self.epoch:
            return False
        if client not in self._writers:
            self._writers.add(client)
            self._call_in()  # the sole writer until now must hear of it at once
        for key, value in entries:
            self.store.put(key, value)
        return True

    async def poll(self, request: PollRequest) -> PollResponse:
        """Park until the answer changes, at most `PARK_S`, or `IDLE_PARK_S` for an idle client."""
        known = self._clients.get(request.client)
        answered = known.answered if known is not None else None
        if known is None or not self._is_live(known):
            self._call_in()  # the sole client until now must hear of it at once
        self._polled_at = self.clock()
        client = _Client(self._polled_at, request.epoch, request.counts, self._round, answered, request.idle)
        self._clients[request.client] = client
        self.store.touch(request.touched)
        self._polled.set()
        self._polled = asyncio.Event()
        # What has changed while no poll was parked counts, too.
        lapses = known is not None and known.idle and self.clock() - known.seen > self.lease_s / 2
        if request.epoch == self.epoch and answered == self._response(request.client) and (request.idle or not lapses):
            self._parked += 1
            try:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), IDLE_PARK_S if request.idle else PARK_S)
            finally:
                self._parked -= 1
                self._polled_at = self.clock()
        client.answered = self._response(request.client)
        return client.answered

    def _response(self, client: str) -> PollResponse:
        return PollResponse(self.epoch, sole_writer=self._writers <= {client}, sole_client=len(self._live()) == 1)

    async def clear(self) -> int:
        """Drop every entry; returns how many there were, once no client can serve an old copy."""
        dropped = self.store.clear()
        self._generation += 1
        self._writers.clear()
        self._call_in()
        # The epoch of now, not of then: another `clear` may have begun meanwhile.
        await self._until(lambda c: c.epoch == self.epoch, self.lease_s)
        return dropped

    async def stats(self, patience_s: float = 0.1) -> CacheStats:
        """Figures of the whole cluster, with every live client's counts up to this call where it answers."""
        self._call_in()
        target = self._round
        await self._until(lambda c: c.round >= target, patience_s)
        total = Counts()
        for counts in (self._expired, *(client.counts for client in self._clients.values())):
            total.add(counts)
        return CacheStats.of(self.store, total, clients=len(self._live()))

    def _call_in(self) -> None:
        """Let every parked poll return."""
        self._round += 1
        self._wake.set()
        self._wake = asyncio.Event()

    def _live(self) -> list[_Client]:
        now = self.clock()
        for name, client in list(self._clients.items()):
            if now - client.seen > KEEP_COUNTS_S:
                self._expired.add(self._clients.pop(name).counts)
        return [client for client in self._clients.values() if self._is_live(client)]

    def _is_live(self, client: _Client) -> bool:
        return self.clock() - client.seen <= self.lease_s + (IDLE_PARK_S if client.idle else 0.0)

    async def _until(self, settled: Callable[[_Client], bool], patience_s: float) -> None:
        """Wait until every client on a lease is settled, at most `patience_s`."""
        give_up = self.clock() + patience_s
        while any(not settled(client) for client in self._live()):
            left = give_up - self.clock()
            if left <= 0:
                return
            try:
                await asyncio.wait_for(self._polled.wait(), left)
            except TimeoutError:
                return
