"""Pictures of a load test, from the CSV files that it wrote: over time, and over users."""

import csv
import statistics
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

COLOURS = {50: "#0f766e", 95: "#2563eb", 99: "#b91c1c"}
GREY = "#94a3b8"


@dataclass(frozen=True, slots=True)
class Second:
    """What locust said of all requests in one second; percentiles are of the last ten."""

    time: float
    users: int
    per_s: float
    failures_per_s: float
    ms: dict[int, float]


def read_history(file: Path) -> list[Second]:
    seconds = []
    with file.open() as rows:
        for row in csv.DictReader(rows):
            if row["Name"] == "Aggregated" and row["50%"] != "N/A":
                ms = {p: float(row[f"{p}%"]) for p in COLOURS}
                per_s, failures = float(row["Requests/s"]), float(row["Failures/s"])
                seconds.append(Second(float(row["Timestamp"]), int(row["User Count"]), per_s, failures, ms))
    return seconds


def read_replicas(file: Path) -> dict[str, list[tuple[float, int]]]:
    series: dict[str, list[tuple[float, int]]] = defaultdict(list)
    with file.open() as rows:
        for row in csv.DictReader(rows):
            series[row["deployment"]].append((float(row["time"]), int(row["replicas"])))
    return dict(series)


def by_users(seconds: list[Second]) -> list[Second]:
    """The median second of each number of users."""
    groups: dict[int, list[Second]] = defaultdict(list)
    for second in seconds:
        groups[second.users].append(second)
    return [
        Second(
            0.0,
            users,
            statistics.median(s.per_s for s in group),
            statistics.median(s.failures_per_s for s in group),
            {p: statistics.median(s.ms[p] for s in group) for p in COLOURS},
        )
        for users, group in sorted(groups.items())
        if users
    ]


def draw(folder: Path) -> None:
    """latency.png and replicas.png beside the CSV files."""
    seconds = read_history(folder / "load_stats_history.csv")
    replicas = read_replicas(folder / "replicas.csv")
    if not seconds:
        return
    figure, (latency, rate) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    levels = by_users(seconds)
    for percentile, colour in COLOURS.items():
        latency.plot([s.users for s in levels], [s.ms[percentile] for s in levels], "o-", color=colour, ms=3)
        latency.annotate(f" p{percentile}", (levels[-1].users, levels[-1].ms[percentile]), color=colour, fontsize=8)
    rate.plot([s.users for s in levels], [s.per_s for s in levels], "o-", color=COLOURS[95], ms=3)
    latency.set(xlabel="users", ylabel="ms", yscale="log")
    rate.set(xlabel="users", ylabel="requests/s", ylim=(0, None))
    _save(figure, folder / "latency.png")

    begun = seconds[0].time
    figure, (users, counts) = plt.subplots(2, 1, figsize=(8, 4.6), layout="constrained", sharex=True)
    users.plot([s.time - begun for s in seconds], [s.users for s in seconds], color=GREY, label="users")
    users.plot([s.time - begun for s in seconds], [s.per_s for s in seconds], color=COLOURS[95], label="requests/s")
    users.legend(frameon=False, fontsize=8)
    for name, points in sorted(replicas.items()):
        counts.step([at - begun for at, _ in points], [n for _, n in points], where="post", label=name)
    counts.set(xlabel="s", ylabel="replicas", ylim=(0, None))
    counts.legend(frameon=False, fontsize=8)
    _save(figure, folder / "replicas.png")


def _save(figure: Figure, file: Path) -> None:
    for panel in figure.axes:
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)
    plt.close(figure)
