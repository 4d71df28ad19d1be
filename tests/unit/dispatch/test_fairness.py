"""Coalescers, batch queues and schedulers together, on a simulated clock."""

import asyncio
import random

import pytest

from tests.support.simulation import BATCH_S, NETWORK_S, STREAMS, TOKEN_S, Cluster

Latencies = list[float | None]
CAPACITY = STREAMS / TOKEN_S  # tokens a second of one replica


async def idle_s() -> float:
    """What a short text takes where nothing else is."""
    cluster, latencies = Cluster(), Latencies()
    cluster.clients(1, 1, 8, latencies)
    await cluster.timeline.run()
    return latencies[0] or 0.0


@pytest.mark.parametrize(
    ("piles", "ingresses", "replicas", "texts", "length"),
    [
        (1, 1, 1, 2000, 256),
        (4, 1, 1, 500, 256),
        (16, 1, 1, 100, 256),
        (16, 3, 2, 100, 200),
        (6, 2, 4, 300, 100),
        (4, 3, 1, 600, 24),
        (3, 1, 1, 40, 500),
    ],
)
async def test_a_short_text_waits_for_no_pile(
    piles: int, ingresses: int, replicas: int, texts: int, length: int
) -> None:
    bound = 3 * await idle_s() + BATCH_S
    cluster, rest, singles = Cluster(ingresses, replicas), Latencies(), Latencies()
    for pile in range(piles):
        cluster.begin(0.0, [length] * texts, rest, pile % ingresses)
    cluster.timeline.at(0.1, lambda: cluster.clients(1, 25, 8, singles, pause_s=0.01))
    await cluster.timeline.run()
    assert len(singles) == 25
    assert max(seconds or bound + 1 for seconds in singles) <= bound
    assert cluster.idle_s <= 3 * NETWORK_S
    # The piles lose next to nothing by it.
    spent = piles * texts * length / CAPACITY / replicas
    assert max(seconds or 0.0 for seconds in rest) <= 1.35 * spent + 1.0


async def test_a_short_text_waits_for_two_of_many_requests_that_are_not_large_themselves() -> None:
    """One that is under way, and one whose turn it is."""
    cluster, rest, singles = Cluster(), Latencies(), Latencies()
    for _ in range(60):
        cluster.begin(0.0, [24] * 30, rest)
    cluster.timeline.at(0.1, lambda: cluster.clients(1, 100, 8, singles, pause_s=0.01))
    await cluster.timeline.run()
    assert max(seconds or 1e9 for seconds in singles) <= 3 * await idle_s() + 2 * 30 * 24 * TOKEN_S


@pytest.mark.parametrize("clients", [1, 8, 32, 128])
async def test_clients_in_a_loop_keep_the_model_busy_with_large_batches(clients: int) -> None:
    cluster, latencies = Cluster(), Latencies()
    requests = 20
    cluster.timeline.at(0.0, lambda: cluster.clients(clients, requests, 24, latencies))
    await cluster.timeline.run()
    assert len(latencies) == clients * requests
    assert cluster.idle_s <= 3 * NETWORK_S
    runs = [items for _, items in cluster.encoders[0].batches]
    # Half of them are computed on while the other half is on the wire.
    assert sum(runs) / len(runs) >= min(clients / 4, 20) if clients > 8 else clients / 8
    slowest = max(seconds or 0.0 for seconds in latencies)
    assert slowest <= 6 * (clients * 24 / CAPACITY + 4 * NETWORK_S + 0.005)


@pytest.mark.parametrize(("clients", "least"), [(4, 1.9), (8, 3.8), (16, 5.0)])
async def test_clients_who_come_back_one_by_one_are_computed_in_halves(clients: int, least: float) -> None:
    """HTTP has half a millisecond for each, one after the other, before and after."""
    cluster, latencies, free_at = Cluster(), Latencies(), [0.0]

    async def through_http() -> None:
        now = cluster.timeline.clock.now
        free_at[0] = max(free_at[0], now) + 0.0005
        await cluster.timeline.pause(free_at[0] - now)

    async def client() -> None:
        for _ in range(40):
            await through_http()
            latencies.append(await cluster.ask([24]))
            await through_http()

    tasks = [asyncio.ensure_future(client()) for _ in range(clients)]
    await cluster.timeline.run()
    await asyncio.gather(*tasks)
    runs = [items for _, items in cluster.encoders[0].batches]
    assert sum(runs) / len(runs) >= least


@pytest.mark.parametrize("rate", [100, 200])
async def test_who_asks_of_his_own_accord_waits_for_nobody_for_long(rate: int) -> None:
    """Poisson arrivals, up to half of what single texts can be: nobody who was answered comes back."""
    rng, cluster, latencies, begin_s = random.Random(1), Cluster(), Latencies(), 0.0
    for _ in range(2000):
        begin_s += rng.expovariate(rate)
        cluster.begin(begin_s, [24], latencies)
    await cluster.timeline.run()
    # Without any holding: 1.18 and 1.46 times.
    middle = sorted(seconds or 1e9 for seconds in latencies)[len(latencies) // 2]
    assert middle <= {100: 1.2, 200: 1.6}[rate] * 0.0067


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_comes_nothing_is_idle_and_nothing_starves(seed: int) -> None:
    """Poisson arrivals of single texts, bursts, requests of a few and piles, at nine tenths of what the model does."""
    rng = random.Random(seed)
    ingresses, replicas = rng.choice([(1, 1), (2, 1), (2, 2)])
    cluster = Cluster(ingresses, replicas, queue_s=1e9)
    by_size: dict[int, Latencies] = {}
    begin_s, tokens = 0.0, 0
    while begin_s < 4.0:
        begin_s += rng.expovariate(60 * replicas)
        texts = rng.choices([1, 5, 30, 300], [100, 10, 6, 1])[0]
        for _ in range(rng.choice([1, 1, 1, 8])):
            lengths = [rng.choice([8, 24, 24, 100, 256]) for _ in range(texts)]
            cluster.begin(begin_s, lengths, by_size.setdefault(texts, []), rng.randrange(ingresses))
            tokens += sum(lengths)
        begin_s = max(begin_s, tokens / (0.9 * CAPACITY * replicas))
    await cluster.timeline.run()
    assert cluster.idle_s <= 4 * NETWORK_S
    assert sorted(by_size[1], key=lambda seconds: seconds or 0.0)[len(by_size[1]) // 2] <= 4 * BATCH_S  # type: ignore[operator]
    for latencies in by_size.values():
        assert max(seconds or 1e9 for seconds in latencies) <= cluster.timeline.clock.now


async def test_a_pile_has_its_share_beside_more_singles_than_the_model_can_do() -> None:
    cluster, pile, singles = Cluster(queue_s=1e9), Latencies(), Latencies()
    cluster.begin(0.1, [64] * 600, pile)
    cluster.timeline.at(0.0, lambda: cluster.clients(128, 60, 64, singles))
    await cluster.timeline.run()
    # A quarter of the model is its own: four times as long as alone, and not when all singles are done.
    assert (pile[0] or 1e9) <= 4.5 * (600 * 64 / CAPACITY) + 8 * BATCH_S < cluster.timeline.clock.now


async def test_no_small_request_is_refused_for_somebody_elses_pile() -> None:
    cluster, piles, singles = Cluster(queue_s=4.0, deadline_s=30.0), Latencies(), Latencies()
    for number in range(16):
        cluster.begin(0.5 * number, [256] * 500, piles)  # 6.4 s each
    for number in range(100):
        cluster.begin(1.0 + 0.2 * number, [24] * (number % 3 + 1), singles)
    await cluster.timeline.run()
    assert singles.count(None) == 0
    assert 0 < piles.count(None) < 16
    done = [seconds for seconds in piles if seconds is not None]
    assert max(done) <= 30.0
