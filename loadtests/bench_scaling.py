"""Throughput against encoder replicas, with a stand-in model that sleeps; and what the ingress itself can do.

Run: `make bench-scaling`. The stand-in takes 0.4 s for a micro-batch of up to 32 texts, so a replica can do 80
texts/s and eight fit a machine with two cores: what is measured is the road, not a model.
"""

import argparse
import statistics
import sys
from pathlib import Path

from loadtests import stand_in, workloads
from loadtests.measuring import Run, drive, load
from loadtests.systems import machine, stand_in_service, write_results

REPLICAS = (1, 2, 4, 8)
# Of requests of each client: the start, a lone text in a batch, is a small part of that.
ROUNDS = 12
LIMIT = stand_in.BATCH / stand_in.SECONDS


def scaling(turns: int) -> list[dict[str, float]]:
    rows = []
    for replicas in REPLICAS:
        with stand_in_service(replicas) as system:
            clients = 3 * stand_in.BATCH * replicas
            runs: list[Run] = []
            for _ in range(turns + 1):  # the first warms connections
                bodies = [system.texts([text]) for text in workloads.short(clients * ROUNDS)]
                runs.append(drive(system.port, system.text_path, bodies, clients))
        rate = statistics.median(run.per_s for run in runs[1:])
        rows.append(
            {
                "replicas": replicas,
                "per_s": rate,
                "of_linear": rate / (LIMIT * replicas),
                "client_cpu": statistics.median(run.client_cpu for run in runs[1:]),
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def ingress_ceiling(turns: int, clients: int = 64, requests: int = 8000) -> list[dict[str, float]]:
    """Requests/s of answers from the near cache: all that the ingress does by itself."""
    rows = []
    for ingresses in (1, 2):
        with stand_in_service(1, ingresses) as system:
            known = [system.texts([text]) for text in workloads.short(200)]
            drive(system.port, system.text_path, known * 4, clients)
            bodies = known * (requests // len(known))
            runs = [drive(system.port, system.text_path, bodies, clients) for _ in range(turns)]
        rows.append(
            {
                "ingresses": ingresses,
                "per_s": statistics.median(run.per_s for run in runs),
                "p99_ms": statistics.median(run.ms(99) for run in runs),
                "client_cpu": statistics.median(run.client_cpu for run in runs),
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("loadtests/results.json"))
    args = parser.parse_args()
    rows = scaling(args.repeats)
    ceiling = ingress_ceiling(args.repeats)
    print("| encoder replicas (stand-in) | texts/s | of linear | client's CPU |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['replicas']:.0f} | {row['per_s']:.0f} | {row['of_linear']:.2f} | {row['client_cpu']:.0%} |")
    print("\n| ingress replicas (cache hits) | requests/s | p99 ms | client's CPU |\n|---|---|---|---|")
    for row in ceiling:
        print(f"| {row['ingresses']:.0f} | {row['per_s']:.0f} | {row['p99_ms']:.1f} | {row['client_cpu']:.0%} |")
    figures = {"machine": machine(), "load_after": load(), "limit_per_replica": LIMIT, "rows": rows, "ingress": ceiling}
    write_results(args.out, "scaling", figures)


if __name__ == "__main__":
    main()
