"""Where a millisecond goes: one miss with a stamp at each hop, at 1 and at 8 clients. Run: `make bench-path`.

Two services, one after the other. The first is as shipped: latency as the client sees it, and the CPU time of each
process for a request, without what it costs to be idle. The second has `path_probe` in its processes: medians by hop.
Then the model alone, in this order of shapes and with the threads that it had in the service.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from app.config.args import ModelArgs
from app.encoders.text import load_text_model
from app.inference.model_threads import BEHIND, ModelThreads
from loadtests import autogroup, path_probe, workloads
from loadtests.http_load import Connection
from loadtests.measuring import drive, load, one_by_one
from loadtests.path_probe import FLUSH, FOLDER, HOOK, HOPS, Stamps
from loadtests.path_tables import (
    STREAMS,
    Run,
    Shape,
    busy_table,
    by_hop,
    cpu_table,
    hop_table,
    middle,
    model_table,
    said,
    times,
)
from loadtests.systems import PARTS, ROOT, System, cpu_by_part, machine, this_service, thread_cpu_s, write_results

TEXT_MODEL: Final = "sentence-transformers/all-MiniLM-L6-v2"
CLIENTS: Final = (1, 8)
IDLE_S: Final = 10.0
SENT: Final = "client sent"


def warm(system: System) -> None:
    for clients, count in ((1, 60), (8, 400), (16, 400)):
        drive(system.port, system.text_path, [system.texts([text]) for text in workloads.mid(count)], clients)


def model_cpu_s(process: int) -> float:
    """CPU seconds so far of the text encoder's threads that run its model: those behind its main thread (sched(7))."""
    spent = 0.0
    for child in psutil.Process(process).children(recursive=True):
        with suppress(psutil.Error, OSError):
            if not any(":TextEncoder" in word for word in child.cmdline()):
                continue
            first = os.getpriority(os.PRIO_PROCESS, child.pid)
            for thread, seconds in thread_cpu_s(child.pid).items():
                with suppress(OSError):
                    if os.getpriority(os.PRIO_PROCESS, thread) >= first + BEHIND:
                        spent += seconds
    return spent


def cpu(system: System) -> dict[str, float]:
    """CPU seconds so far, by part; `model` is taken out of `encoder`."""
    spent = dict.fromkeys((*PARTS, "rest"), 0.0) | cpu_by_part(system.process)
    spent["model"] = model_cpu_s(system.process)
    spent["encoder"] -= spent["model"]
    return spent


def shipped(requests: int) -> dict[str, Any]:
    """By clients: p50 as the client sees it, requests/s, and CPU milliseconds a request, by part."""
    found: dict[str, dict[str, Any]] = {}
    with this_service() as system:
        warm(system)
        for clients in CLIENTS:
            bodies = [system.texts([text]) for text in workloads.mid(requests)]
            before = cpu(system)
            run = drive(system.port, system.text_path, bodies, clients)
            spent = {part: after - before[part] for part, after in cpu(system).items()}
            found[str(clients)] = {"p50_ms": run.ms(50), "per_s": run.per_s, "wall_s": run.wall_s, "cpu_ms": spent}
        # After them: Ray is still busy with its start a while after it is ready.
        before = cpu(system)
        time.sleep(IDLE_S)
        idle = {part: (after - before[part]) / IDLE_S for part, after in cpu(system).items()}
    for seen in found.values():
        wall_s, spent = seen.pop("wall_s"), seen["cpu_ms"]
        seen["cpu_ms"] = {part: (spent[part] - idle[part] * wall_s) / requests * 1e3 for part in spent}
    return found


def probed(requests: int) -> tuple[dict[str, list[dict[str, float]]], dict[str, list[Run]]]:
    """By clients: milliseconds of each hop of each text, and the model's runs."""
    hops, runs = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        variables = {FOLDER: folder, "PYTHONPATH": str(ROOT), **HOOK}
        with this_service(variables=variables) as system:
            warm(system)
            collected(system, Path(folder))
            for clients in CLIENTS:
                sent = asyncio.run(stamped(system, workloads.mid(requests), clients))
                stamps, runs[str(clients)] = collected(system, Path(folder))
                whole = [stamps[text] | own for text, own in sent.items() if text in stamps]
                hops[str(clients)] = [durations(one) for one in complete(whole)]
    return hops, runs


async def stamped(system: System, texts: Sequence[str], clients: int) -> dict[str, Stamps]:
    """The client's own stamps."""
    todo, seen = iter(texts), dict[str, Stamps]()

    async def client() -> None:
        connection = Connection("127.0.0.1", system.port)
        for text in todo:
            body, sent = system.texts([text]), path_probe.now()
            answer = await connection.post(system.text_path, body)
            seen[text] = {SENT: sent, HOPS[-1][0]: path_probe.now()}
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
        await connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return seen


def collected(system: System, folder: Path) -> tuple[dict[str, Stamps], list[Run]]:
    """What all processes noted since they were asked last."""
    text = f"{FLUSH}{time.perf_counter_ns()}"
    one_by_one(system.port, "POST", system.text_path, [system.texts([text])])
    stamps, runs = dict[str, Stamps](), list[Run]()
    for file in folder.glob("*.json"):
        noted = json.loads(file.read_bytes())
        file.unlink()
        runs += [((rows, length, alone), began, ended) for rows, length, alone, began, ended in noted["runs"]]
        for text, own in noted["texts"].items():
            stamps.setdefault(text, {}).update(own)
    return stamps, runs


def complete(texts: Sequence[Stamps]) -> list[Stamps]:
    """Those that have every stamp; others were tried again, for one. Raises RuntimeError if none has."""
    found = [one for one in texts if all(hop in one for hop, *_ in HOPS)]
    if not found:
        lacking = [hop for hop, *_ in HOPS if not any(hop in one for one in texts)]
        raise RuntimeError(f"of {len(texts)} texts none has a stamp of {', '.join(lacking)}")
    return found


def durations(stamps: Mapping[str, int]) -> dict[str, float]:
    """Milliseconds from each stamp to the next."""
    names = [SENT, *(hop for hop, *_ in HOPS)]
    return {after: (stamps[after] - stamps[before]) / 1e6 for before, after in pairwise(names)}


def alone(orders: Sequence[Sequence[Shape]]) -> list[list[tuple[Shape, float]]]:
    """Runs of the model in this process, in these orders of shapes."""
    from app.encoders.backends import openvino_models

    times: list[float] = []

    def timed(real: Any, *args: Any) -> Any:
        began = time.perf_counter()
        rows = real(*args)
        times.append((time.perf_counter() - began) * 1e3)
        return rows

    def run(shape: Shape) -> float:
        rows, length, exclusive = shape
        model.run(rng.integers(1000, 20_000, (rows, length)).tolist(), exclusive=exclusive)
        return times[-1]

    # On the thread that a replica runs it on.
    thread, rng = ModelThreads().exclusive, np.random.default_rng(0)
    count, args = psutil.cpu_count() or 1, ModelArgs(id=TEXT_MODEL)
    loading = thread.submit(load_text_model, args, threads=count, offline=True, streams=STREAMS, latency_profile=True)
    model = loading.result()
    thread.submit(model.warm, sorted({shape[:2] for order in orders for shape in order})).result()
    path_probe.wrap(openvino_models, "infer", timed)
    return [[*zip(order, thread.submit(lambda o: [*map(run, o)], order).result(), strict=True)] for order in orders]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("loadtests/results.json"))
    args = parser.parse_args()
    with ExitStack() as stack:
        stack.enter_context(autogroup.off())
        seen = shipped(args.requests)
        texts, runs = probed(args.requests)
        process = stack.enter_context(multiprocessing.get_context("spawn").Pool(1))
        apart = process.apply(alone, ([[shape for shape, *_ in each] for each in runs.values()],))
    hops = {clients: by_hop(each) for clients, each in texts.items()}
    for clients, each in texts.items():
        total = statistics.median(sum(one.values()) for one in each)
        print(f"{said(clients)}: {len(each)} texts, p50 {total:.2f} ms with stamps")
    served = {clients: times(each) for clients, each in runs.items()}
    print(f"\n{hop_table(hops)}\n\n{cpu_table(seen)}\n\n{model_table(served, apart)}\n\n{busy_table(runs)}")
    figures = {"machine": machine(), "load_after": load(), "hops": hops, "shipped": seen, "runs": middle(runs)}
    write_results(args.out, "path", figures)


if __name__ == "__main__":
    main()
