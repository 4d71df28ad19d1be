"""What `bench_path` saw, as tables: hops, CPU by process, the model in the service beside the model alone, its runs."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from loadtests.path_probe import CLIENT, HOPS
from loadtests.systems import PARTS

STREAMS: Final = 2  # as deployments.text_encoder loads it
WINDOW_MS: Final = 60
Shape = tuple[int, int, bool]  # rows, length, in the latency profile
Run = tuple[Shape, int, int]  # when it began and ended, in nanoseconds


def by_hop(texts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {hop: statistics.median(one[hop] for one in texts) for hop, *_ in HOPS}


def by_shape(runs: Sequence[tuple[Shape, float]], least: int = 5) -> dict[Shape, tuple[int, float]]:
    """How often each shape ran, and the median; shapes that are rare left out."""
    times: dict[Shape, list[float]] = {}
    for shape, ms in runs:
        times.setdefault(shape, []).append(ms)
    found = {shape: (len(each), statistics.median(each)) for shape, each in times.items() if len(each) >= least}
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def times(runs: Sequence[Run]) -> list[tuple[Shape, float]]:
    return [(shape, (ended - began) / 1e6) for shape, began, ended in runs]


def side_by_side(runs: Sequence[Run]) -> dict[int, float]:
    """The share of the time from the first run's begin to the last one's end in which so many runs are under way."""
    shares: Counter[int] = Counter()
    under_way, since = 0, min(began for _, began, _ in runs)
    steps = sorted([(began, 1) for _, began, _ in runs] + [(ended, -1) for *_, ended in runs])
    for at, step in steps:
        shares[under_way] += at - since
        under_way, since = under_way + step, at
    return {count: ns / sum(shares.values()) for count, ns in sorted(shares.items())}


def said(clients: str) -> str:
    return f"{clients} client{'' if clients == '1' else 's'}"


def hop_table(hops: Mapping[str, Mapping[str, float]]) -> str:
    lines = [f"| hop | where | {' | '.join(f'{said(clients)}, ms' for clients in hops)} |"]
    lines.append("|---" * (2 + len(hops)) + "|")
    for hop, what, where in HOPS:
        lines.append(f"| {what} | {where} | {' | '.join(f'{each[hop]:.3f}' for each in hops.values())} |")
    for where in dict.fromkeys(where for *_, where in HOPS):
        sums = [sum(each[hop] for hop, _, of in HOPS if of == where) for each in hops.values()]
        name = "client and HAProxy" if where == CLIENT else where
        lines.append(f"| **all of it** | {name} | {' | '.join(f'**{ms:.2f}**' for ms in sums)} |")
    return "\n".join(lines)


def cpu_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    parts = (*PARTS, "rest", "model")
    lines = [f"| clients | p50 ms | requests/s | {' | '.join(parts)} | all but the model |"]
    lines.append("|---" * (len(parts) + 4) + "|")
    for clients, seen in found.items():
        spent = seen["cpu_ms"]
        cells = " | ".join(f"{spent[part]:.2f}" for part in parts)
        own = sum(spent.values()) - spent["model"]
        lines.append(f"| {clients} | {seen['p50_ms']:.2f} | {seen['per_s']:.0f} | {cells} | **{own:.2f}** |")
    return "\n".join(lines)


def model_table(
    served: Mapping[str, Sequence[tuple[Shape, float]]], apart: Sequence[Sequence[tuple[Shape, float]]]
) -> str:
    lines = ["| clients | texts x tokens | profile | runs | in the service, ms | alone, ms | ratio |", "|---" * 7 + "|"]
    for (clients, runs), other in zip(served.items(), apart, strict=True):
        by_itself = by_shape(other)
        for shape, (count, ms) in by_shape(runs).items():
            (rows, length, exclusive), (_, own) = shape, by_itself[shape]
            profile = "latency" if exclusive else "throughput"
            lines.append(
                f"| {clients} | {rows} x {length} | {profile} | {count} | {ms:.2f} | {own:.2f} | {ms / own:.2f} |"
            )
    return "\n".join(lines)


def middle(runs: Mapping[str, Sequence[Run]]) -> dict[str, list[tuple[int, float, float]]]:
    """Texts, and begin and end in milliseconds, of the runs in the middle of each, for a picture of WINDOW_MS."""
    found = {}
    for clients, each in runs.items():
        ordered = sorted(each, key=lambda run: run[1])
        zero = ordered[len(ordered) // 2][1]
        found[clients] = [
            (shape[0], (began - zero) / 1e6, (ended - zero) / 1e6)
            for shape, began, ended in ordered
            if ended > zero and began < zero + WINDOW_MS * 1e6
        ]
    return found


def busy_table(runs: Mapping[str, Sequence[Run]]) -> str:
    lines = ["| clients | the model idle | one run | two runs | texts a run |", "|---" * 5 + "|"]
    for clients, each in runs.items():
        shares = side_by_side(each)
        cells = " | ".join(f"{shares.get(count, 0.0):.0%}" for count in range(STREAMS + 1))
        lines.append(f"| {clients} | {cells} | {statistics.mean(rows for (rows, *_), *_ in each):.1f} |")
    return "\n".join(lines)
