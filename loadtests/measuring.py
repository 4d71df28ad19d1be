"""Driving a system and reading the clock: one client or many, raw bytes over keep-alive connections."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.http_load import Answer, Connection, closed_loop


@dataclass(frozen=True, slots=True)
class Run:
    """What the clients saw of one run: seconds an answer, wall time, and the client's own share of a CPU."""

    seconds: list[float]
    wall_s: float
    client_cpu: float

    @property
    def per_s(self) -> float:
        return len(self.seconds) / self.wall_s

    @property
    def mean_ms(self) -> float:
        return sum(self.seconds) / len(self.seconds) * 1e3

    def ms(self, percentile: float) -> float:
        return percentile_ms(self.seconds, percentile)


def percentile_ms(seconds: Sequence[float], percentile: float) -> float:
    """By nearest rank."""
    ordered = sorted(seconds)
    rank = max(0, -(-int(percentile * len(ordered)) // 100) - 1)
    return ordered[rank] * 1e3


def drive(
    port: int, path: str, bodies: Sequence[bytes], clients: int, *, pause_s: float = 0.0, host: str = "127.0.0.1"
) -> Run:
    """Send every body, `clients` at a time; `pause_s` as in `closed_loop`.

    Raises:
        RuntimeError: An answer was not 200: a benchmark of errors is none.
    """
    cpu, started = time.process_time(), time.perf_counter()
    answers = asyncio.run(closed_loop(host, port, path, bodies, clients, pause_s))
    wall = time.perf_counter() - started
    wrong = next((answer for answer in answers if answer.status != 200), None)
    if wrong is not None:
        raise RuntimeError(f"{path} answered {wrong.status}: {wrong.body[:300]!r}")
    return Run([answer.seconds for answer in answers], wall, (time.process_time() - cpu) / wall)


def get(port: int, path: str) -> Answer:
    return one_by_one(port, "GET", path, [b""])[0]


def one_by_one(
    port: int,
    method: str,
    path: str,
    bodies: Sequence[bytes],
    content_type: str = "application/json",
    headers: str = "",
) -> list[Answer]:
    """One client, one connection."""

    async def ask() -> list[Answer]:
        connection = Connection("127.0.0.1", port)
        try:
            return [await connection.send(method, path, body, content_type, headers) for body in bodies]
        finally:
            await connection.close()

    return asyncio.run(ask())


def load() -> float:
    """Of the machine over the last minute: what else ran beside the benchmark."""
    return round(os.getloadavg()[0], 2)
