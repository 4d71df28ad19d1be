"""The cache seen through the API, with two ingress replicas."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from loadtests.running import RunningService, wait_for
from tests.support.caching import both_write, stored
from tests.support.holding import held


def ask(client: httpx.Client, texts: list[str]) -> tuple[dict[str, Any], str]:
    answer = client.post("/embed/text", json={"texts": texts})
    assert answer.status_code == 200, answer.text
    return answer.json(), answer.headers["x-served-by"]


def stats(client: httpx.Client) -> dict[str, Any]:
    figures: dict[str, Any] = client.get("/cache/stats").json()
    return figures


def first_answer_of_another(client: httpx.Client, texts: list[str], replica: str) -> dict[str, Any]:
    """The same texts, until a replica answers that is not `replica`."""

    def other() -> dict[str, Any] | None:
        body, by = ask(client, texts)
        return body if by != replica else None

    body: dict[str, Any] = wait_for(other, what="an answer of the other ingress replica")
    return body


def test_a_miss_on_one_replica_is_a_hit_on_the_other(client: httpx.Client) -> None:
    both_write(client)
    text = uuid.uuid4().hex
    with stored(client, 1):
        fresh, replica = ask(client, [text])
    assert fresh["cached"] is False
    other = first_answer_of_another(client, [text], replica)
    assert other["cached"] is True
    assert other["embeddings"] == fresh["embeddings"]


def test_clear_reaches_every_replica(client: httpx.Client) -> None:
    both_write(client)
    texts = [uuid.uuid4().hex for _ in range(40)]
    with stored(client, len(texts)):
        _, replica = ask(client, texts)
    assert first_answer_of_another(client, texts, replica)["cached"] is True
    size = stats(client)["size"]
    assert size >= len(texts)
    assert client.post("/cache/clear").json() == {"cleared": size}
    assert stats(client)["size"] == 0
    # Both near caches held every text; each text is asked for once, so a hit could only be a copy left over.
    answers = [ask(client, [text]) for text in texts]
    assert [body["cached"] for body, _ in answers] == [False] * len(texts)
    assert len({by for _, by in answers}) == 2


def test_clear_is_not_undone_by_misses_in_flight(service: RunningService, client: httpx.Client) -> None:
    texts = [uuid.uuid4().hex for _ in range(20)]
    before = stats(client)["misses"]
    with ThreadPoolExecutor(1) as thread:
        with held(service.named("TextEncoder")):
            missing = thread.submit(ask, client, texts)
            wait_for(lambda: stats(client)["misses"] >= before + len(texts), what="the look-up of the misses")
            client.post("/cache/clear").raise_for_status()
            assert not missing.done()
        assert missing.result()[0]["cacheHits"] == 0
    # Each of both writes what it holds back before it tells.
    assert [stats(client)["size"] for _ in range(8)] == [0] * 8
    assert ask(client, texts[:1])[0]["cached"] is False


def test_stats_count_hits_and_misses_of_all_replicas(client: httpx.Client) -> None:
    both_write(client)
    # A replica that is slow to tell its counts is not waited for.
    before = wait_for(lambda: (now := stats(client)) == stats(client) and now, what="no new counts")
    texts = [uuid.uuid4().hex for _ in range(3)]
    with stored(client, len(texts)):
        ask(client, texts)
    for _ in range(10):
        assert ask(client, texts)[0]["cacheHits"] == 3
    after = wait_for(lambda: (now := stats(client))["hits"] >= before["hits"] + 30 and now, what="the count of hits")
    assert after["misses"] - before["misses"] == 3
    assert after["hits"] - before["hits"] == 30
    assert after["size"] - before["size"] == 3
    assert after["bytes"] - before["bytes"] >= 3 * 384 * 4
    assert after["maxSize"] == 10_000
    assert after["clients"] == 2
    assert after["available"] is True
    assert after["hitRate"] == round(after["hits"] / (after["hits"] + after["misses"]), 4)


def test_clear_takes_no_fields(client: httpx.Client) -> None:
    answer = client.post("/cache/clear", json={"model": "x"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
