"""Autoscaling on a real Ray: up under load, down after it, and no request fails meanwhile.

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
# The load is a few seconds of work, whatever this machine can do; the service holds many times that.
QUEUE_S, SHARE = 12.0, 1 / 3
MEASURED_S, FULL = 3.0, 32
# Of one request: many requests would be more work for a busy machine than for the model, which sleeps.
TEXTS = 8


class Load:
    """Clients that ask, each one text after the other, and what they were answered."""

    def __init__(self, port: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.failures: Counter[str] = Counter()
        self._port = port

    def capacity(self) -> float:
        """Texts a second of one replica: one client asks, with a full batch each time."""
        before = self.statuses[200]
        with self.of(1, FULL):
            threading.Event().wait(MEASURED_S)
            answered = self.statuses[200] - before
        return FULL * answered / MEASURED_S

    @contextmanager
    def of(self, clients: int, texts: int = 1) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._ask(clients, texts, over)))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(60)

    async def _ask(self, clients: int, texts: int, over: threading.Event) -> None:
        async def client() -> None:
            connection = Connection("127.0.0.1", self._port)
            while not over.is_set():
                try:
                    answer = await connection.post("/embed/text", workloads.body(texts=workloads.short(texts)))
                    self.statuses[answer.status] += 1
                    if answer.status != 200:
                        self.failures[f"{answer.status}: {answer.body.decode(errors='replace')[:300]}"] += 1
                except (OSError, asyncio.IncompleteReadError) as error:
                    self.failures[repr(error)] += 1
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


def test_up_under_load_in_one_step_and_down_after_it_without_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "status.jsonl"
    flags = ("--most", str(MOST), "--most-ingresses", str(MOST_INGRESSES), "--watch", str(file))
    with stand_in_service(1, 1, *flags, "--delay-s", "3", "--queue-s", str(10 * QUEUE_S)) as system:
        load = Load(system.port)
        wait_for(lambda: running(file, ENCODER) == running(file, "Ingress") == 1, what="one replica of each")
        clients = round(SHARE * QUEUE_S * load.capacity() / TEXTS)
        # One client asks from the beginning to the end.
        with load.of(1):
            with load.of(clients, TEXTS):
                wait_for(lambda: running(file, ENCODER) == MOST, what=lambda: f"all encoders: {said(file, ENCODER)}")
                wait_for(lambda: running(file, "Ingress") == MOST_INGRESSES, what="all ingress replicas")
            wait_for(lambda: running(file, ENCODER) == 1, what="one encoder replica")
            wait_for(lambda: running(file, "Ingress") == 1, what="one ingress replica")
        assert not load.failures, f"{load.failures.most_common(5)} beside {load.statuses}, {clients} clients"
        assert load.statuses[200] > clients
    for deployment, most in ((ENCODER, MOST), ("Ingress", MOST_INGRESSES)):
        scaled = [line for line in said(file, deployment) if line["trigger"] == "AUTOSCALING"]
        decided = [line["status"] for line in scaled]
        assert "UPSCALING" in decided
        assert "DOWNSCALING" in decided[decided.index("UPSCALING") :]
        assert scaled[0]["message"] == f"Upscaling from 1 to {most} replicas."
        assert max(line["running"] for line in said(file, deployment)) == most
