"""The two shared actors on a real Ray: prints what two applications, other settings and a stopped GCS do to them.

Run as a program: Ray's own state must not stay in the tests' process.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psutil
import ray
from ray.util import list_named_actors

from app.cache.client import CacheClient
from app.cache.lru import LruTtlCache
from app.config.args import CacheArgs
from app.telemetry.cluster_metrics import MetricsClient
from app.telemetry.metrics import REQUESTS
from app.telemetry.registry import Registry
from deployments.cache import CacheTransport
from deployments.metrics import KIND, MetricsActor
from deployments.named_actor import NamedActor, actor_name

WAIT_S = 120.0
LEASE_S = 0.5
K = [bytes([number]) * 16 for number in range(5)]
LABELS = ("/embed/text", "POST", "200")


async def until(condition: Callable[[], Any], what: str) -> None:
    give_up = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError(what)
        await asyncio.sleep(0.05)


@asynccontextmanager
async def polling(application: str, near_bytes: int = 0, **args: Any) -> AsyncIterator[CacheClient]:
    """The cache as one ingress replica sees it."""
    settings = CacheArgs(**({"max_size": 3, "lease_s": LEASE_S} | args))
    near = LruTtlCache(settings.max_size, near_bytes, settings.ttl_ms)
    client = CacheClient(CacheTransport(application, settings), near, 5.0, settings.lease_s)
    task = asyncio.create_task(client.run())
    await until(lambda: client.reachable, f"the cache of {application}")
    yield client
    task.cancel()


def caches(application: str) -> list[str]:
    names = [actor["name"] for actor in list_named_actors(all_namespaces=True)]
    return [name for name in names if name.startswith(f"{application}:cache")]


async def found(client: CacheClient, keys: Sequence[bytes] = K) -> list[int]:
    values = (await client.get_many(keys)).values
    return [index for index, value in enumerate(values) if value is not None]


async def applications() -> dict[str, Any]:
    told: dict[str, Any] = {}
    async with polling("a") as a, polling("b") as b:
        await a.warm([(K[0], b"v")])
        told["entries"] = [await found(a), await found(b)]
        await b.warm([(K[1], b"v")])
        told["cleared"] = [await b.clear(), await found(a)]
    clients = []
    for application, count in (("a", 3), ("b", 4)):
        registry = Registry()
        registry.count(REQUESTS, *LABELS, by=count)
        actor = NamedActor(MetricsActor, actor_name(application, KIND))
        clients.append(MetricsClient(actor.call, registry, deadline_s=10))
        await clients[-1].close()
    told["metrics"] = [(await one.read()).snapshot.totals[REQUESTS.name][LABELS][0] for one in clients]
    return told


async def settings() -> dict[str, Any]:
    """A redeploy: the replica with the new settings comes, the one with the old ones goes."""
    told: dict[str, Any] = {}
    async with polling("c") as old:
        await old.warm([(key, b"v") for key in K])
        told["of three"] = await found(old)
        async with polling("c", max_size=5, ttl_ms=50, lease_s=2 * LEASE_S) as new:
            await new.warm([(key, b"v") for key in K])
            told["sizes"] = [(await one.stats()).max_size for one in (old, new)]
            told["actors"] = len(caches("c"))
            await asyncio.sleep(0.1)
            told["after its life"] = await found(new)
            told["cleared"] = [await new.clear(), await found(old)]
    async with polling("c", max_size=5, ttl_ms=50, lease_s=2 * LEASE_S):
        await until(lambda: len(caches("c")) == 1, "the end of the old actor")
    # Nobody polls for more than twice the lease, and no other one is there: it stays.
    await asyncio.sleep(5 * LEASE_S)
    told["left"] = len(caches("c"))
    return told


async def stopped_gcs() -> dict[str, Any]:
    """While GCS does not answer one client looks for its actor, in vain, and another has near hits. An event loop that
    waited for the look-up would outlast the lease."""
    [gcs] = [each for each in psutil.Process().children(recursive=True) if each.name() == "gcs_server"]
    async with polling("d", near_bytes=10**6, lease_s=10) as client:
        await client.warm([(K[0], b"v")])
        looking = CacheClient(CacheTransport("e", CacheArgs()), LruTtlCache(1, 1, 0))
        gcs.send_signal(signal.SIGSTOP)
        try:
            task = asyncio.create_task(looking.run())
            for _ in range(300):
                await found(client, K[:1])
                await asyncio.sleep(0.01)
            told = {"near_hits": client.counts.near_hits, "looking": not looking.reachable}
        finally:
            gcs.send_signal(signal.SIGCONT)
        await until(lambda: looking.reachable, "the actor that was looked for")
        task.cancel()
    return told


def main() -> None:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    told = {}
    for part in (applications, settings, stopped_gcs):
        began = time.monotonic()
        told[part.__name__] = asyncio.run(part())
        sys.stderr.write(f"{time.monotonic() - began:.1f} s: {part.__name__} {told[part.__name__]}\n")
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    ray.shutdown()


if __name__ == "__main__":
    main()
