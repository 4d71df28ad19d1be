"""The capacity model of docs/scaling.md: what a load needs, and what gives way first. Pure arithmetic.

Every part of the service is a server of some CPU time per request; what it can do is its share of one CPU, `USE`,
divided by that time. An ingress replica, a cache actor and a stand-in's model each run on one event loop or thread, so
one CPU is all that one of them can have. A model's own limit is measured, in tokens a second.
"""

import math
from dataclasses import dataclass

# Above this share of a part's limit its queue grows fast: at 0.7, work waits 2.3 times as long as it takes (M/M/1).
USE = 0.7


@dataclass(frozen=True, slots=True)
class Costs:
    """Measured by `loadtests.bench_capacity`.

    Args:
        hit_s: CPU seconds of an ingress for a text that its near cache has.
        shared_s: The same for one that the shared cache has.
        miss_s: The same for one that a model has to read, with its part of a coalesced call.
        lookup_s: CPU seconds of a cache actor for a text that it is asked for.
        proxy_s: CPU seconds of HAProxy for a request.
        tokens_per_s: What one encoder replica reads, in full batches.
        answer_bytes: Of one text's answer, on the wire.
        ask_bytes: Of one text's request.
    """

    hit_s: float
    shared_s: float
    miss_s: float
    lookup_s: float
    proxy_s: float
    tokens_per_s: float
    answer_bytes: float
    ask_bytes: float


@dataclass(frozen=True, slots=True)
class Demand:
    """Requests of one text each. `near` and `shared`: shares answered by these tiers; the rest reads a model."""

    per_s: float
    tokens: float
    near: float = 0.0
    shared: float = 0.0

    @property
    def missed(self) -> float:
        return max(0.0, 1.0 - self.near - self.shared)


@dataclass(frozen=True, slots=True)
class Plan:
    """Replicas of each part, at least one, and what the network carries in both directions together."""

    encoders: int
    ingresses: int
    shards: int
    proxies: int
    megabits_per_s: float


def ingress_s(demand: Demand, costs: Costs) -> float:
    """CPU seconds of an ingress for a request, in the mean."""
    return demand.near * costs.hit_s + demand.shared * costs.shared_s + demand.missed * costs.miss_s


def lookup_s(demand: Demand, costs: Costs) -> float:
    """CPU seconds of the cache's actors for a request, in the mean: what no near cache has is asked for."""
    return (1.0 - demand.near) * costs.lookup_s


def plan(demand: Demand, costs: Costs, use: float = USE) -> Plan:
    """What serves `demand` with every part at most `use` busy."""
    return Plan(
        encoders=_enough(demand.per_s * demand.missed * demand.tokens / costs.tokens_per_s, use),
        ingresses=_enough(demand.per_s * ingress_s(demand, costs), use),
        shards=_enough(demand.per_s * lookup_s(demand, costs), use),
        proxies=_enough(demand.per_s * costs.proxy_s, use),
        megabits_per_s=demand.per_s * (costs.answer_bytes + costs.ask_bytes) * 8 / 1e6,
    )


def limits(demand: Demand, costs: Costs, link_bits_per_s: float = 1e10) -> dict[str, float]:
    """Requests/s of this kind that one of each part can do, fully busy; `link`: a node's network."""
    busy = {
        "encoder": demand.missed * demand.tokens / costs.tokens_per_s,
        "ingress": ingress_s(demand, costs),
        "cache actor": lookup_s(demand, costs),
        "HAProxy": costs.proxy_s,
        "link": costs.answer_bytes * 8 / link_bits_per_s,
    }
    return {part: 1.0 / seconds if seconds else math.inf for part, seconds in busy.items()}


def expected(limit_per_replica: float, replicas: int, cpu_s: float, cpus: float) -> float:
    """Requests/s of a stand-in whose models sleep, where all other parts share `cpus` and take `cpu_s` a request."""
    return min(limit_per_replica * replicas, cpus / cpu_s)


def _enough(busy: float, use: float) -> int:
    return max(1, math.ceil(busy / use - 1e-9))
