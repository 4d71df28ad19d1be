"""The cache seen through the API, with two ingress replicas."""

import threading
import uuid
from typing import Any

import httpx

from loadtests.running import wait_for


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
    text = uuid.uuid4().hex
    fresh, replica = ask(client, [text])
    assert fresh["cached"] is False
    stats(client)
    other = first_answer_of_another(client, [text], replica)
    assert other["cached"] is True
    assert other["embeddings"] == fresh["embeddings"]


def test_clear_reaches_every_replica(client: httpx.Client) -> None:
    texts = [uuid.uuid4().hex for _ in range(40)]
    _, replica = ask(client, texts)
    stats(client)
    assert first_answer_of_another(client, texts, replica)["cached"] is True
    size = stats(client)["size"]
    assert size >= len(texts)
    assert client.post("/cache/clear").json() == {"cleared": size}
    assert stats(client)["size"] == 0
    # Both near caches held every text; each text is asked for once, so a hit could only be a copy left over.
    answers = [ask(client, [text]) for text in texts]
    assert [body["cached"] for body, _ in answers] == [False] * len(texts)
    assert len({by for _, by in answers}) == 2


def test_clear_is_not_undone_by_misses_in_flight(client: httpx.Client) -> None:
    mark = uuid.uuid4().hex
    texts = [f"{mark} {i} " + "word " * 100 for i in range(200)]
    before = stats(client)["misses"]
    done = threading.Event()

    def miss() -> None:
        ask(client, texts)
        done.set()

    thread = threading.Thread(target=miss)
    thread.start()
    wait_for(lambda: stats(client)["misses"] >= before + len(texts), what="the look-up of the misses")
    assert not done.is_set()
    client.post("/cache/clear").raise_for_status()
    assert not done.is_set(), "the misses ended before the clear did: the test showed nothing"
    thread.join()
    assert stats(client)["size"] == 0
    assert ask(client, texts[:1])[0]["cached"] is False


def test_stats_count_hits_and_misses_of_all_replicas(client: httpx.Client) -> None:
    before = stats(client)
    texts = [uuid.uuid4().hex for _ in range(3)]
    ask(client, texts)
    stats(client)
    for _ in range(10):
        assert ask(client, texts)[0]["cacheHits"] == 3
    after = stats(client)
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
