"""Autoscaling on a real Ray: up under load, down after it, and nobody's request fails meanwhile.

The model only sleeps (`loadtests.stand_in`), so that three replicas fit a machine with two cores; everything else is
the product's own. What Serve decides is read from its own status.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loadtests import workloads
from loadtests.http_load import Connection
from loadtests.running import wait_for
from loadtests.systems import stand_in_service

# Named as in `loadtests.stand_in`, which needs Ray: imported by the service that it runs in, not here.
ENCODER = "TextEncoder-stand-in"
MOST, MOST_INGRESSES = 3, 2
# More than three replicas are busy with, and two ingresses.
CLIENTS = 200


class Load:
    """Clients that ask, each one text after the other, and what they were answered."""

    def __init__(self, port: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.failures: list[str] = []
        self._port = port

    @contextmanager
    def of(self, clients: int) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._ask(clients, over)))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(60)

    async def _ask(self, clients: int, over: threading.Event) -> None:
        async def client() -> None:
            connection = Connection("127.0.0.1", self._port)
            while not over.is_set():
                try:
                    answer = await connection.post("/embed/text", workloads.body(texts=workloads.short(1)))
                    self.statuses[answer.status] += 1
                    if answer.status != 200:
                        self.failures.append(answer.body.decode(errors="replace")[:300])
                except (OSError, asyncio.IncompleteReadError) as error:
                    self.failures.append(repr(error))
                    connection.abort()
                    connection = Connection("127.0.0.1", self._port)
            await connection.close()

        await asyncio.gather(*(client() for _ in range(clients)))


def said(file: Path, deployment: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]
    return [line for line in lines if line["deployment"] == deployment]


def running(file: Path, deployment: str) -> int:
    lines = said(file, deployment)
    return int(lines[-1]["running"]) if lines else 0


def test_up_under_load_and_down_after_it_without_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "status.jsonl"
    flags = ("--most", str(MOST), "--most-ingresses", str(MOST_INGRESSES), "--delay-s", "1", "--watch", str(file))
    with stand_in_service(1, 1, *flags) as system:
        load = Load(system.port)
        wait_for(lambda: running(file, ENCODER) == running(file, "Ingress") == 1, what="one replica of each")
        # One client asks from the beginning to the end.
        with load.of(1):
            with load.of(CLIENTS):
                wait_for(lambda: running(file, ENCODER) == MOST, 120, "all encoder replicas")
                wait_for(lambda: running(file, "Ingress") == MOST_INGRESSES, 120, "all ingress replicas")
            wait_for(lambda: running(file, ENCODER) == 1, 120, "one encoder replica")
            wait_for(lambda: running(file, "Ingress") == 1, 120, "one ingress replica")
        assert load.failures == []
        assert set(load.statuses) == {200}
        assert load.statuses[200] > CLIENTS
    for deployment, most in ((ENCODER, MOST), ("Ingress", MOST_INGRESSES)):
        decided = [line["status"] for line in said(file, deployment) if line["trigger"] == "AUTOSCALING"]
        assert "UPSCALING" in decided
        assert "DOWNSCALING" in decided[decided.index("UPSCALING") :]
        assert max(line["running"] for line in said(file, deployment)) == most
