"""A stranger's single texts beside somebody else's piles. Run: `make bench-fairness`.

A pile is a client that sends one large request after the other. Beside 0, 1, 4 and 16 of them, another client sends one
short text again and again. Also Infinity, where `make bench-peers` has installed it, and any server by address:
`PEERS="tei=http://127.0.0.1:8080"`.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests import autogroup, workloads
from loadtests.http_load import Answer, Connection
from loadtests.measuring import load, one_by_one, percentile_ms
from loadtests.peer import ENVIRONMENT, prepared
from loadtests.systems import System, infinity, machine, peers, this_service, write_results

TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# What a refused client waits, unless it is told how long.
PAUSE_S = 1.0
# From the piles' begin to the first single.
HEAD_START_S = 0.5
# Between two singles.
THINK_S = 0.05


@dataclass(slots=True)
class Seen:
    """What the client of single texts saw, and how many large requests were answered."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    piles_done: int = 0
    piles_refused: int = 0

    def figures(self) -> dict[str, float | int | None]:
        def ms(percentile: float) -> float | None:
            return round(percentile_ms(self.seconds, percentile), 1) if self.seconds else None

        return {
            "p50": ms(50), "p99": ms(99), "max": ms(100), "answered": len(self.seconds), "refused": self.refused,
            "piles_done": self.piles_done, "piles_refused": self.piles_refused,
        }  # fmt: skip


async def beside(
    server: System,
    piles: int,
    *,
    texts: int,
    words: int,
    seconds: float,
    head_start_s: float = HEAD_START_S,
    think_s: float = THINK_S,
    least: int = 1,
) -> Seen:
    """Singles for so many seconds, and `least` in any case, while `piles` clients send large requests."""
    seen, number = Seen(), iter(range(10**9))
    over = time.perf_counter() + head_start_s + seconds

    async def large() -> None:
        connection = Connection(server.host, server.port)
        try:
            while True:
                body = server.texts(workloads.words(texts, words, seed=time.time_ns() + next(number)))
                answer = await connection.post(server.text_path, body)
                if answer.status == 200:
                    seen.piles_done += 1
                else:
                    seen.piles_refused += 1
                    await asyncio.sleep(_retry_after_s(answer))
        finally:
            connection.abort()

    async def singles() -> None:
        connection = Connection(server.host, server.port)
        await asyncio.sleep(head_start_s)
        while time.perf_counter() < over or len(seen.seconds) + seen.refused < least:
            answer = await connection.post(server.text_path, server.texts(workloads.short(1)))
            if answer.status == 200:
                seen.seconds.append(answer.seconds)
            else:
                seen.refused += 1
            await asyncio.sleep(think_s)
        await connection.close()

    tasks = [asyncio.create_task(large()) for _ in range(piles)]
    try:
        await singles()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return seen


def _retry_after_s(answer: Answer) -> float:
    lines = [line.partition(b":") for line in answer.head.split(b"\r\n")]
    told = [value for name, _, value in lines if name.lower() == b"retry-after"]
    return float(told[0]) if told else PAUSE_S


@contextmanager
def servers(given: str, with_infinity: bool) -> Iterator[list[System]]:
    with ExitStack() as stack:
        stack.enter_context(autogroup.off())
        ours = stack.enter_context(this_service())
        found = [ours]
        if with_infinity and ENVIRONMENT.exists():
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            peer = prepared(Path(folder), TEXT_MODEL)
            found.append(stack.enter_context(infinity(peer.python, peer.text_model, None, "optimum")))
        yield [*found, *peers(given, TEXT_MODEL)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--piles", type=int, nargs="+", default=[0, 1, 4, 16])
    parser.add_argument("--texts", type=int, default=500, help="of a large request")
    parser.add_argument("--words", type=int, default=200, help="of each of its texts")
    parser.add_argument("--seconds", type=float, default=15.0, help="of singles beside each number of piles")
    parser.add_argument("--no-peer", action="store_true", help="without Infinity")
    parser.add_argument("--out", type=Path, default=Path("loadtests/results.json"))
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with servers(os.environ.get("PEERS", ""), not args.no_peer) as found:
        for server in found:
            for _ in range(2):  # kernels of all shapes
                for bodies in (
                    [server.texts(workloads.short(1))] * 5,
                    [server.texts(workloads.words(64, args.words, 1))],
                ):
                    if server.host == "127.0.0.1":
                        one_by_one(server.port, "POST", server.text_path, bodies)
        # One after the other, and none while it works on for clients that have left: most servers do.
        for server in found:
            for piles in args.piles:
                seen = asyncio.run(beside(server, piles, texts=args.texts, words=args.words, seconds=args.seconds))
                rows.append({"piles": piles, "system": server.name, **seen.figures()})
                print(rows[-1], file=sys.stderr, flush=True)
                asyncio.run(beside(server, 0, texts=0, words=0, seconds=0))
    print(table(rows))
    write_results(args.out, "fairness", {"machine": machine(), "load_after": load(), "rows": rows})


def table(rows: Sequence[dict[str, Any]]) -> str:
    rows = sorted(rows, key=lambda row: int(row["piles"]))
    lines = ["| piles | system | p50 ms | p99 ms | answered | refused | piles answered |", "|---" * 7 + "|"]
    names = ("piles", "system", "p50", "p99", "answered", "refused", "piles_done")
    return "\n".join([*lines, *("| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows)])


if __name__ == "__main__":
    main()
