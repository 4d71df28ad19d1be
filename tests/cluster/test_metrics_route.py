"""`GET /metrics` over two ingress replicas: exact counts of the whole cluster from each of them."""

import os
import shutil
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import httpx
import pytest

from loadtests.running import RunningService, chosen_way, wait_for
from tests.support import web
from tests.support.caching import both_write, stored
from tests.support.samples import Samples, of, scrape

MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def counts(samples: Samples) -> dict[str, dict[tuple[str, ...], float]]:
    """What these tests cause, and nothing that happens by itself."""
    requests = of(samples, "embedding_requests_total")
    return {
        "requests": {key: n for key, n in requests.items() if key[1] in ("/embed/text", "/similarity", "other")},
        "durations": {
            key: n
            for key, n in of(samples, "embedding_request_duration_seconds_count").items()
            if key[0] in ("/embed/text", "/similarity", "other")
        },
        "items": of(samples, "embedding_items_total"),
        "tokens": of(samples, "embedding_tokens_total"),
        "batched": of(samples, "embedding_batch_size_sum"),
        "lookups": of(samples, "embedding_cache_lookups_total"),
        "rejected": of(samples, "embedding_requests_rejected_total"),
    }


def grown(
    before: dict[str, dict[tuple[str, ...], float]], after: dict[str, dict[tuple[str, ...], float]]
) -> dict[str, dict[tuple[str, ...], float]]:
    return {
        name: {key: n - before[name].get(key, 0) for key, n in series.items() if n != before[name].get(key, 0)}
        for name, series in after.items()
    }


def test_known_requests_are_counted_exactly_and_alike_from_both_replicas(
    service: RunningService, client: httpx.Client
) -> None:
    both_write(client)
    before = counts(scrape(service)[1])
    mark = uuid.uuid4().hex
    sent = 12
    for i in range(sent):
        texts = [f"{mark} {i}", "the same " + mark]
        # What another replica asks for within its first milliseconds would be one more miss.
        with stored(client, 2) if i == 0 else nullcontext():
            assert web.post(f"{service.url}/embed/text", json={"texts": texts}, timeout=300).status_code == 200
    for _ in range(3):
        assert web.post(f"{service.url}/embed/text", json={"texts": []}, timeout=300).status_code == 400
    for path in ("/nothing", "/nothing/else"):
        assert web.get(service.url + path, timeout=300).status_code == 404

    seen: dict[str, dict[str, dict[tuple[str, ...], float]]] = {}

    def both() -> bool:
        # At once: one by one, HAProxy may give them all to the replica with fewer connections.
        with ThreadPoolExecutor(8) as pool:
            for replica, samples in pool.map(scrape, [service] * 8):
                seen[replica] = grown(before, counts(samples))
        return len(seen) == 2

    wait_for(both, what="a scrape from each replica")
    first, second = seen.values()
    assert first == second
    assert first["requests"] == {
        ("POST", "/embed/text", "200"): sent,
        ("POST", "/embed/text", "400"): 3,
        ("GET", "other", "404"): 2,
    }
    assert first["durations"] == {("/embed/text",): sent + 3, ("other",): 2}
    assert first["rejected"] == {("invalid_request",): 3, ("not_found",): 2}
    assert first["items"] == {("text", MODEL): 2 * sent}
    lookups = first["lookups"]
    assert lookups["hit", "near"] + lookups["miss", "near"] == 2 * sent
    hits = lookups["hit", "near"] + lookups.get(("hit", "shared"), 0)
    # The text that is always the same is new to each replica at most once.
    assert hits in (sent - 2, sent - 1)
    assert first["batched"] == {(MODEL,): 2 * sent - hits}


def test_the_clusters_state_is_told(service: RunningService) -> None:
    _, samples = scrape(service)
    replicas = {name: count for (name,), count in of(samples, "embedding_replicas").items()}
    assert replicas["Ingress"] == 2
    assert replicas["TextEncoder-all-MiniLM-L6-v2"] == 1
    assert of(samples, "embedding_model_ready")[MODEL,] == 1
    assert of(samples, "embedding_model_state")[MODEL, "ready"] == 1
    memory = of(samples, "embedding_process_resident_memory_bytes")
    assert sorted(deployment.split("-")[0] for deployment, _ in memory) == [
        "CacheActor", "Clip", "Ingress", "Ingress", "Similarity", "TextEncoder",
    ]  # fmt: skip
    assert all(2**20 < size < 2**34 for size in memory.values())
    assert set(of(samples, "embedding_cache_entries")) == {("near",), ("shared",)}


@pytest.mark.skipif(chosen_way() != "shipped", reason="it is not the shipped way")
def test_as_shipped_both_parts_of_the_bypass_are_in_use(service: RunningService) -> None:
    def in_use() -> bool:
        # RPC connections are made when there is something to call for.
        web.post(f"{service.url}/embed/text", json={"texts": [uuid.uuid4().hex]}, timeout=300)
        return of(scrape(service)[1], "embedding_serve_bypass") == {("middleware",): 1, ("rpc",): 1}

    wait_for(in_use, what="both parts")


@pytest.mark.skipif(
    shutil.which("promtool") is None and os.environ.get("CI") != "true",
    reason="promtool is not installed (Debian's package `prometheus` has it)",
)
def test_promtool_finds_nothing_to_say(service: RunningService) -> None:
    web.post(f"{service.url}/embed/text", json={"texts": ["a"]}, timeout=300)
    page = web.get(f"{service.url}/metrics", timeout=300).text
    check = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, timeout=60)
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


def test_a_lost_actor_is_replaced_and_counts_anew(service: RunningService) -> None:
    def total() -> float:
        return sum(of(scrape(service)[1], "embedding_items_total").values())

    def lost_and_found() -> bool:
        return len(of(scrape(service)[1], "embedding_process_resident_memory_bytes")) == 6

    texts = [uuid.uuid4().hex for _ in range(100)]
    web.post(f"{service.url}/embed/text", json={"texts": texts}, timeout=300)
    before = total()
    total()  # the report with these has been answered now
    [actor] = service.named("ray::MetricsActor")
    actor.kill()
    wait_for(lambda: not actor.is_running() or actor.status() == "zombie", what="the end of the actor")
    assert web.get(f"{service.url}/metrics", timeout=300).status_code == 200  # whatever it can say
    wait_for(lost_and_found, what="the whole cluster again")
    reset = total()
    assert reset <= before - len(texts)
    web.post(f"{service.url}/embed/text", json={"texts": ["a", "b", "c"]}, timeout=300)
    assert total() == reset + 3
