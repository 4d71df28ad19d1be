"""When the shared cache has what was embedded, and every ingress knows it: each writes after it has answered."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from loadtests.running import wait_for


def changes(client: httpx.Client) -> int:
    """Entries that have come so far, the ones that had to go again among them."""
    figures = client.get("/cache/stats").json()
    return int(figures["size"] + figures["evictions"])


@contextmanager
def stored(client: httpx.Client, entries: int) -> Iterator[None]:
    """Ends when the shared cache has so many more."""
    before = changes(client)
    yield
    wait_for(lambda: changes(client) >= before + entries, what=f"{entries} more entries in the shared cache")


def both_write(client: httpx.Client) -> None:
    """Until each of two ingresses has had a hit of what the other one wrote: from then on, until the cache is cleared,
    neither takes itself for the only one that writes, and asks the shared cache for what it lacks."""

    def ask(text: str) -> tuple[str, bool]:
        answer = client.post("/embed/text", json={"texts": [text]})
        return answer.headers["x-served-by"], bool(answer.json()["cached"])

    heard: set[str] = set()

    def heard_by_both() -> bool:
        text = uuid.uuid4().hex
        with stored(client, 1):
            writer, _ = ask(text)
        others = (ask(text) for _ in range(20))
        replica, cached = next((each for each in others if each[0] != writer), (writer, False))
        if cached:
            heard.add(replica)
        return len(heard) == 2

    wait_for(heard_by_both, what="a hit of each ingress on what the other one wrote")
