"""Several shared caches as one: each key has its shard, each shard its own client, epoch and lease.

A shard that is slow or dead costs its own keys only. With a single shard nothing here is used.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from app.cache.client import CacheClient, CacheLookup
from app.cache.shared import CacheStats

T = TypeVar("T")
# Between the shards' epochs in what callers hold as one.
_BETWEEN = "|"
_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def shard_of(key: bytes, shards: int) -> int:
    """0 .. shards - 1, by rendezvous hashing (Thaler and Ravishankar, 1998): each shard draws a number for the key, and
    the highest wins. One shard more takes its share evenly from all others; no other key moves. `key`: a digest, so
    its first 8 bytes are as good as random."""
    if shards == 1:
        return 0
    drawn = int.from_bytes(key[:8], "little")
    return max(range(shards), key=lambda shard: _mix(drawn ^ ((shard + 1) * _GOLDEN & _MASK)))


def parts(keys: Sequence[bytes], shards: int) -> dict[int, list[int]]:
    """The indices of the keys of each shard that has any, in order."""
    found: dict[int, list[int]] = {}
    for index, key in enumerate(keys):
        found.setdefault(shard_of(key, shards), []).append(index)
    return found


def _mix(x: int) -> int:
    """splitmix64's finaliser: every bit of the input moves about half of the output's."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)


@dataclass(frozen=True, slots=True)
class CacheShards:
    """`CacheClient`'s interface over several; `run` of each must be running."""

    shards: Sequence[CacheClient]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for shard in self.shards:
                tasks.create_task(shard.run())

    @property
    def reachable(self) -> bool:
        return all(shard.reachable for shard in self.shards)

    async def get_many(self, keys: Sequence[bytes], lacking: Callable[[list[int]], None] | None = None) -> CacheLookup:
        """Takes as long as the slowest shard that is asked, which has a deadline. `lacking` is told shard by shard."""
        asked = parts(keys, len(self.shards))
        epochs = [""] * len(self.shards)
        values: list[bytes | None] = [None] * len(keys)

        def lookup(number: int, indices: list[int]) -> Coroutine[Any, Any, CacheLookup]:
            told = lacking and (lambda of_shard: lacking([indices[i] for i in of_shard]))
            return self.shards[number].get_many([keys[i] for i in indices], told)

        for number, found in (await _gather({part[0]: lookup(*part) for part in asked.items()})).items():
            epochs[number] = found.epoch or ""
            for index, value in zip(asked[number], found.values, strict=True):
                values[index] = value
        return CacheLookup(_BETWEEN.join(epochs), values)

    def put_many(self, epoch: str | None, entries: Sequence[tuple[bytes, bytes]]) -> None:
        epochs = (epoch or "").split(_BETWEEN)
        for number, indices in parts([key for key, _ in entries], len(self.shards)).items():
            if epochs[number : number + 1] not in ([], [""]):
                self.shards[number].put_many(epochs[number], [entries[i] for i in indices])

    async def warm(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Raises CacheUnavailable when a shard was not reached; others may have stored theirs."""
        asked = parts([key for key, _ in entries], len(self.shards))
        await _gather(
            {number: self.shards[number].warm([entries[i] for i in indices]) for number, indices in asked.items()}
        )

    async def clear(self) -> int:
        """Raises CacheUnavailable when a shard was not reached; others may be cleared."""
        return sum((await _gather({number: shard.clear() for number, shard in enumerate(self.shards)})).values())

    async def stats(self) -> CacheStats:
        """The cluster's figures; `available` when every shard is."""
        each = (await _gather({number: shard.stats() for number, shard in enumerate(self.shards)})).values()
        added = {field.name: sum(getattr(one, field.name) for one in each) for field in fields(CacheStats)}
        # Every client asks every shard.
        added["clients"] = max(one.clients for one in each)
        return CacheStats(**added | {"available": all(one.available for one in each)})


async def _gather(calls: "dict[int, Coroutine[Any, Any, T]]") -> dict[int, T]:
    """Results by number; all calls have ended when the first failure is raised."""
    if len(calls) == 1:  # most requests have one text, and a task costs more than a near hit
        [(number, call)] = calls.items()
        return {number: await call}
    tasks = [asyncio.ensure_future(call) for call in calls.values()]
    await asyncio.wait(tasks)
    for task in tasks:
        task.cancelled() or task.exception()  # all are seen: asyncio would tell of the others' in the log
    return {number: task.result() for number, task in zip(calls, tasks, strict=True)}
