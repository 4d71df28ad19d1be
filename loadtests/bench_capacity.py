"""What a request costs each part of the service, and whether the model of `loadtests.capacity` foretells a run.

Run: `make bench-capacity`. Costs are CPU time of each process over many requests: of near hits, shared hits and
misses with the stand-in model (which costs no CPU), and of full batches with the real one. Then the stand-in runs
with 1 to 8 replicas, and what it did stands beside what the model foretold.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from loadtests import stand_in, workloads
from loadtests.bench_scaling import LIMIT, scaling
from loadtests.capacity import Costs, Demand, expected, limits
from loadtests.measuring import Run, drive, load, one_by_one
from loadtests.systems import PARTS, System, cpu_by_part, machine, stand_in_service, this_service, write_results

MID_TOKENS = 21


def cost(system: System, bodies: Sequence[bytes], clients: int) -> tuple[dict[str, float], Run]:
    """CPU seconds a request, by part."""
    before = cpu_by_part(system.process)
    run = drive(system.port, system.text_path, bodies, clients)
    after = cpu_by_part(system.process)
    return {part: (after[part] - before[part]) / len(bodies) for part in [*PARTS, "rest"]}, run


def with_stand_in(requests: int) -> dict[str, dict[str, float]]:
    costs = {}
    with stand_in_service(8) as system:
        clients = 24 * stand_in.BATCH
        bodies = [system.texts([text]) for text in workloads.mid(2 * requests)]
        cost(system, bodies[:requests], clients)
        costs["miss"], _ = cost(system, bodies[requests:], clients)
        known = bodies[:200]
        drive(system.port, system.text_path, known, 32)
        costs["near hit"], _ = cost(system, known * (requests // 50), 64)
    with stand_in_service(1, 1, "--no-near") as system:
        known = [system.texts([text]) for text in workloads.mid(200)]
        drive(system.port, system.text_path, known, 64)
        drive(system.port, system.text_path, known, 64)
        costs["shared hit"], _ = cost(system, known * (requests // 100), 64)
    return costs


def tokens_per_s(batches: int) -> float:
    """Of the real model, in requests of 64 texts, enough of them at once."""
    with this_service() as system:
        for _ in range(2):
            bodies = [system.texts(workloads.mid(64)) for _ in range(batches)]
            run = drive(system.port, system.text_path, bodies, 4)
    return run.per_s * 64 * MID_TOKENS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=Path("loadtests/results.json"))
    args = parser.parse_args()
    by_part = with_stand_in(args.requests)
    with stand_in_service(1) as system:
        body = system.texts(workloads.mid(1))
        [answer] = one_by_one(system.port, "POST", system.text_path, [body])
    costs = Costs(
        hit_s=by_part["near hit"]["ingress"],
        shared_s=by_part["shared hit"]["ingress"],
        miss_s=by_part["miss"]["ingress"],
        lookup_s=by_part["shared hit"]["cache"],
        proxy_s=by_part["near hit"]["haproxy"],
        tokens_per_s=tokens_per_s(60),
        answer_bytes=len(answer.body) + 300,
        ask_bytes=len(body) + 150,
    )
    _print_costs(by_part, costs)
    rows = scaling(1)
    foretold = _foretell(by_part["miss"], rows)
    figures = {
        "machine": machine(),
        "load_after": load(),
        "by_part": by_part,
        "costs": asdict(costs),
        "check": foretold,
    }
    write_results(args.out, "capacity", figures)


def _print_costs(by_part: dict[str, dict[str, float]], costs: Costs) -> None:
    print("| CPU µs a request of one text | " + " | ".join([*PARTS, "rest"]) + " |")
    print("|---|" + "---|" * (len(PARTS) + 1))
    for kind, spent in by_part.items():
        print(f"| {kind} | " + " | ".join(f"{spent[part] * 1e6:.0f}" for part in [*PARTS, "rest"]) + " |")
    print(f"\nreal model: {costs.tokens_per_s:,.0f} tokens/s; answer {costs.answer_bytes:.0f} B\n")
    kinds: dict[str, Callable[[], Demand]] = {
        "all misses": lambda: Demand(1, MID_TOKENS),
        "80 % near hits": lambda: Demand(1, MID_TOKENS, near=0.8),
        "95 % near hits": lambda: Demand(1, MID_TOKENS, near=0.95),
    }
    parts = list(limits(Demand(1, MID_TOKENS), costs))
    print("| one of each can do, requests/s | " + " | ".join(parts) + " |\n|---|" + "---|" * len(parts))
    for name, demand in kinds.items():
        found = limits(demand(), costs)
        print(f"| {name} | " + " | ".join(f"{found[part]:,.0f}" for part in parts) + " |")


def _foretell(miss: dict[str, float], rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """The stand-in's runs beside what the costs of a miss foretell for them."""
    cpu_s, checked = sum(miss.values()), []
    print("\n| encoder replicas (stand-in) | texts/s | foretold | measured / foretold |\n|---|---|---|---|")
    for row in rows:
        # The client shares the machine.
        cpus = (os.cpu_count() or 1) - row["client_cpu"]
        told = expected(LIMIT, int(row["replicas"]), cpu_s, cpus)
        checked.append({"replicas": row["replicas"], "per_s": row["per_s"], "foretold": told})
        print(f"| {row['replicas']:.0f} | {row['per_s']:.0f} | {told:.0f} | {row['per_s'] / told:.2f} |")
    sys.stdout.flush()
    return checked


if __name__ == "__main__":
    main()
