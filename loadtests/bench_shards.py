"""The shared cache over 1, 2 and 4 shards: balance, hit rate, cost of a look-up, and what the loss of one costs.

Run: `make bench-shards`. Real actors and the ingress's own client, with the near cache off so that every look-up goes
to a shard; keys are drawn by Zipf's law from twice as many as the cache keeps.
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import ray

from app.cache.client import CacheClient
from app.cache.lru import LruTtlCache
from app.cache.sharded import CacheShards
from app.config.args import CacheArgs
from deployments.cache import CacheTransport
from deployments.named_actor import NAMESPACE
from loadtests.measuring import load
from loadtests.systems import machine, write_results

SHARDS = (1, 2, 4)
KEEPS = 5000
KEYS = [blake2b(str(number).encode(), digest_size=16).digest() for number in range(2 * KEEPS)]
VALUE = bytes(384 * 4 + 8)
A_REQUEST = 16


async def measured(shards: int, draws: int) -> dict[str, Any]:
    args = CacheArgs(max_size=KEEPS, shards=shards, near_max_bytes=0, deadline_ms=1000)
    transports = [CacheTransport("bench", args, shard) for shard in range(shards)]
    clients = [
        CacheClient(transport, LruTtlCache(1, 1, 0), deadline_s=1.0, lease_s=args.lease_s) for transport in transports
    ]
    cache = CacheShards(clients)
    polling = asyncio.create_task(cache.run())
    await _until(cache, reachable=True)
    await _pass(cache, draws, seed=1)
    hits, seconds = await _pass(cache, draws, seed=2)
    sizes = [(await client.stats()).size for client in clients]
    one = [await _lookup_s(cache, KEYS[i : i + 1]) for i in range(300)]
    many = [await _lookup_s(cache, KEYS[i : i + 64]) for i in range(300)]
    # A shard dies, and comes back empty: how many of the hits are gone with it.
    ray.kill(ray.get_actor(transports[-1].actor.name, NAMESPACE), no_restart=False)
    await _until(cache, reachable=False)
    await _until(cache, reachable=True)
    lost = await _hits(cache, random.Random(3).choices(KEYS, _weights(), k=4000))
    polling.cancel()
    with suppress(asyncio.CancelledError, BaseExceptionGroup):
        await polling
    return {
        "shards": shards,
        "hit_rate": hits,
        "keys_per_s": draws / seconds,
        "entries": sizes,
        "largest_over_mean": max(sizes) / statistics.mean(sizes),
        "ms_1_key": statistics.median(one) * 1e3,
        "ms_64_keys": statistics.median(many) * 1e3,
        "hit_rate_after_loss": lost,
    }


def _weights() -> list[float]:
    return [1 / (k + 1) for k in range(len(KEYS))]


async def _pass(cache: CacheShards, draws: int, seed: int) -> tuple[float, float]:
    """(share of hits, seconds); what is missed is stored."""
    started = time.perf_counter()
    rate = await _hits(cache, random.Random(seed).choices(KEYS, _weights(), k=draws), store=True)
    return rate, time.perf_counter() - started


async def _hits(cache: CacheShards, keys: Sequence[bytes], *, store: bool = False) -> float:
    hits = 0
    for i in range(0, len(keys), A_REQUEST):
        part = keys[i : i + A_REQUEST]
        found = await cache.get_many(part)
        missed = [key for key, value in zip(part, found.values, strict=True) if value is None]
        hits += len(part) - len(missed)
        if store:
            cache.put_many(found.epoch, [(key, VALUE) for key in missed])
    return hits / len(keys)


async def _lookup_s(cache: CacheShards, keys: Sequence[bytes]) -> float:
    started = time.perf_counter()
    await cache.get_many(keys)
    return time.perf_counter() - started


async def _until(cache: CacheShards, *, reachable: bool) -> None:
    async with asyncio.timeout(30):
        while cache.reachable != reachable:  # noqa: ASYNC110 - the client tells nobody
            await asyncio.sleep(0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=40_000)
    parser.add_argument("--out", type=Path, default=Path("loadtests/results.json"))
    args = parser.parse_args()
    rows = []
    for shards in SHARDS:
        ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="error")
        rows.append(asyncio.run(measured(shards, args.draws)))
        ray.shutdown()
        print(rows[-1], file=sys.stderr, flush=True)
    print("| shards | hit rate | largest shard / mean | 1 key, ms | 64 keys, ms | hit rate after one shard's loss |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['shards']} | {row['hit_rate']:.3f} | {row['largest_over_mean']:.3f} | {row['ms_1_key']:.2f} "
            f"| {row['ms_64_keys']:.2f} | {row['hit_rate_after_loss']:.3f} |"
        )
    write_results(args.out, "shards", {"machine": machine(), "load_after": load(), "rows": rows})


if __name__ == "__main__":
    main()
