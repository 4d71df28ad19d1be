"""`python -m loadtests.fuzz`: a service of its own under nearly right requests, damaged images and broken HTTP.

Through HAProxy and straight to the replicas. Fails when an answer is 500 or one that is not documented, when a request
gets no answer or another's, when fewer were sent than asked for, when any process of the service dies, or when memory
does not come back.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from app.config.settings import MODELS
from loadtests import fuzz_hypothesis, fuzz_images, fuzz_requests, fuzz_wire, workloads
from loadtests.fuzz_run import Report, run_requests, run_wire
from loadtests.fuzz_table import Row, table
from loadtests.fuzz_watch import MB, deaths, growth, lives, memory
from loadtests.measuring import drive
from loadtests.running import RunningService, running, wait_for, write_config
from loadtests.schema_fuzz import running as schemathesis

MOST_GROWTH = 100 * MB
DEFAULTS = {"requests": 100_000, "hypothesis": 5_000, "schemathesis": 5_000, "images": 5_000, "wire": 4_000}
# Of schemathesis's cases for one random request of each operation and mode.
EXAMPLES = 10
WARM_UP = {"requests": 1_000, "hypothesis": 100, "schemathesis": 0, "images": 64, "wire": 200}


def fill_cache(port: int) -> None:
    """What the cache holds when full is no growth of memory: more texts than it has places for."""
    drive(port, "/embed/text", [workloads.body(texts=workloads.short(1_000)) for _ in range(12)], 1)


def direct_ports(service: RunningService) -> list[int]:
    """Where the ingress replicas themselves listen for HTTP."""
    listening = {
        connection.laddr.port
        for process in service.named("ray::ServeReplica:embedding-service:Ingress")
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    return sorted(filter(_speaks, listening))


def _speaks(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False
    except Exception:  # noqa: BLE001 - gRPC answers with what is no HTTP/1.1
        return False


def document_of(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json") as answer:
        document: dict[str, Any] = json.load(answer)
    return document


def fuzz(through: str, port: int, counts: dict[str, int], seed: int, clients: int = 8) -> list[Row]:
    """One address under everything, as many of each kind as `counts` says."""
    address = ("127.0.0.1", port)
    document = document_of(port)
    rows = []
    for what, count in counts.items():
        if count == 0:
            continue
        match what:
            case "requests":
                made = fuzz_requests.requests(document, count, seed)
                report = asyncio.run(run_requests(address, document, made, clients))
            case "hypothesis":
                made = fuzz_hypothesis.requests(document, count, seed)
                report = asyncio.run(run_requests(address, document, made, clients))
            case "images":
                report = asyncio.run(run_requests(address, document, fuzz_images.requests(count, seed), 2))
            case "wire":
                report = asyncio.run(run_wire(address, fuzz_wire.broken(count, seed), 64))
            case "schemathesis":
                report = _schemathesis(port, count, seed)
            case _:
                raise ValueError(f"there is no source of {what}")
        rows.append(Row(through, what, count, report))
        print(f"{through}, {what}: {report}", *(fault[:500] for fault in rows[-1].faults[:3]), sep="\n  ", flush=True)
    return rows


def _schemathesis(port: int, count: int, seed: int) -> Report:
    started = time.perf_counter()
    outcome = schemathesis.run(f"http://127.0.0.1:{port}", max(5, count // EXAMPLES), seed=seed)
    report = Report(sent=outcome.cases, seconds=time.perf_counter() - started)
    if not outcome.passed:
        # A line may hold a megabyte of images.
        report.fault("\n".join(line[:300] for line in outcome.report.splitlines())[-4000:])
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for what, count in DEFAULTS.items():
        parser.add_argument(f"--{what}", type=int, default=count, help=f"at least so many, default {count:,}")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--port", type=int, default=None, help="of the service that is started")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the service ends too
    print(f"seed {asked.seed}", flush=True)
    rows: list[Row] = []
    # Of kinds that no default is of (RERANK_MODEL and others), unless the routes shall say that there is none.
    models = {field: [{"id": os.environ[name]}] for field, name in MODELS.values() if name in os.environ}
    with (
        tempfile.TemporaryDirectory() as folder,
        running(write_config(Path(folder), **models), port=asked.port) as service,
    ):
        [direct] = direct_ports(service)
        ports = {"HAProxy": service.port, "replica": direct}
        for name, port in ports.items():  # what is made once: caches, decoding processes, kernels
            fuzz(name, port, WARM_UP, asked.seed - 1)
        fill_cache(service.port)
        before, used = lives(service), memory(service)
        share = {what: -(-getattr(asked, what) // len(ports)) for what in DEFAULTS}
        for name, port in ports.items():
            rows += fuzz(name, port, share, asked.seed + port % 97)
            print(f"{name}: done", flush=True)
        faults = [fault for row in rows for fault in row.faults] + deaths(before, lives(service))
        try:
            wait_for(lambda: sum(memory(service).values()) - sum(used.values()) < MOST_GROWTH, 60)
        except AssertionError:
            faults.append("memory did not come back")
        remembered, survived = memory(service), len(before) - len(deaths(before, lives(service)))
    for fault in faults[:40]:
        print(fault[:4000])
    print(table(rows))
    had, has = (sum(held.values()) / MB for held in (used, remembered))
    print(f"memory     {had:.0f} MB before, {has:.0f} MB after; at most {MOST_GROWTH / MB:.0f} MB more")
    for more, name in growth(used, remembered)[:5]:
        print(f"           {more / MB:+.0f} MB  {name}")
    print(f"processes  {len(before)} before, {survived} of them after")
    print(f"seed       {asked.seed}")
    print(f"FAILED: {len(faults)} faults" if faults else "passed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
