"""Pictures of results.json, for the documentation. Run: `make bench-plots`."""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

from loadtests.capacity import Costs, Demand, plan
from loadtests.path_probe import CLIENT, ENCODER, HOPS, INGRESS, MODEL
from loadtests.path_tables import WINDOW_MS

OURS, OTHER, LIMIT = "#2563eb", "#94a3b8", "#0f766e"
KNOWN = {
    "ours": (OURS, "this service"),
    "raw": (LIMIT, "raw model in process"),
    "raw (best)": ("#99f6e4", "the fastest way known in process"),
}


def peers_rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """All of one run; a run with peers by address has no pictures, which `--only JPEG` measures apart."""
    rows: list[dict[str, Any]] = results["peers"]["rows"]
    measured = {row["work"] for row in rows}
    return rows + [row for row in results.get("peers JPEG", {"rows": []})["rows"] if row["work"] not in measured]


def peers(results: dict[str, Any], folder: Path) -> None:
    """Two panels: what a request takes and how many there are, ours against the peer and the raw model."""
    rows = peers_rows(results)
    systems = list(dict.fromkeys(name for row in rows for name in row["runs"]))
    colours = dict(zip([name for name in systems if name not in KNOWN], [OTHER, "#cbd5e1"], strict=False))
    colours |= {name: colour for name, (colour, _) in KNOWN.items()}
    figure, panels = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    high = 0.84 / len(systems)
    for panel, more in zip(panels, (False, True), strict=True):
        chosen = [row for row in rows if row["more_is_better"] == more]
        for at, row in enumerate(reversed(chosen)):
            for k, name in enumerate(name for name in systems if name in row["runs"]):
                values = sorted(run[row["figure"]] for run in row["runs"][name] if row["figure"] in run)
                if values:
                    place = at + high * ((len(systems) - 1) / 2 - k)
                    panel.barh(place, values[len(values) // 2], 0.9 * high, color=colours[name])
        panel.set_yticks(range(len(chosen)), [row["work"].rpartition(", ")[0] for row in reversed(chosen)], fontsize=8)
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_title("requests/s (more is better)" if more else "milliseconds (less is better)", fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
    handles = [Rectangle((0, 0), 1, 1, color=colours[name]) for name in systems]
    names = [KNOWN[name][1] if name in KNOWN else name for name in systems]
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=9)
    figure.savefig(folder / "bench-peers.png", dpi=110)


def cache(results: dict[str, Any], folder: Path) -> None:
    """Requests/s by share of hits."""
    middle = results["cache"]["median"]
    shares = [float(key.split()[-1]) for key in middle if key.startswith("requests/s")]
    figure, panel = plt.subplots(figsize=(5.2, 3.2), layout="constrained")
    panel.plot([100 * share for share in shares], [middle[f"requests/s {share}"] for share in shares], "o-", color=OURS)
    panel.set(xlabel="answered from the cache, %", ylabel="requests/s, 32 clients", ylim=(0, None))
    panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "bench-cache.png", dpi=110)


def scaling(results: dict[str, Any], folder: Path) -> None:
    """Throughput against replicas, with the line it would be at best."""
    rows, limit = results["scaling"]["rows"], results["scaling"]["limit_per_replica"]
    replicas = [row["replicas"] for row in rows]
    figure, panel = plt.subplots(figsize=(5.2, 3.2), layout="constrained")
    panel.plot(replicas, [limit * n for n in replicas], "--", color=OTHER, label="linear")
    panel.plot(replicas, [row["per_s"] for row in rows], "o-", color=OURS, label="measured (stand-in model)")
    panel.set(xlabel="encoder replicas", ylabel="texts/s", xticks=replicas, ylim=(0, None))
    panel.legend(frameon=False)
    panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "bench-scaling.png", dpi=110)


def capacity(results: dict[str, Any], folder: Path) -> None:
    """Replicas that a rate needs, by the model; and what the model foretold of a run, with what came."""
    costs, check = Costs(**results["capacity"]["costs"]), results["capacity"]["check"]
    figure, (needed, told) = plt.subplots(1, 2, figsize=(9.6, 3.6), layout="constrained")
    rates = [10 ** (k / 8) for k in range(8, 49)]
    for near, colour in ((0.0, OTHER), (0.8, OURS), (0.95, LIMIT)):
        plans = [plan(Demand(rate, 21, near=near), costs) for rate in rates]
        needed.plot(rates, [one.encoders for one in plans], color=colour, label=f"encoders, {near:.0%} near hits")
        needed.plot(rates, [one.ingresses for one in plans], "--", color=colour, label=f"ingresses, {near:.0%}")
    needed.set(xscale="log", yscale="log", xlabel="requests/s of one text, 21 tokens", ylabel="replicas")
    needed.legend(frameon=False, fontsize=7)
    replicas = [row["replicas"] for row in check]
    told.plot(replicas, [row["foretold"] for row in check], "--", color=OTHER, label="foretold")
    told.plot(replicas, [row["per_s"] for row in check], "o-", color=OURS, label="measured (stand-in model)")
    told.set(xlabel="encoder replicas", ylabel="texts/s", xticks=replicas, ylim=(0, None))
    told.legend(frameon=False, fontsize=8)
    for panel in (needed, told):
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "capacity.png", dpi=110)


def path(results: dict[str, Any], folder: Path) -> None:
    """A miss as a waterfall: medians by hop, one after the other, at each number of clients."""
    colours = {CLIENT: "#cbd5e1", INGRESS: OURS, ENCODER: "#f59e0b", MODEL: LIMIT}
    by_clients = results["path"]["hops"]
    figure, (panels, below) = plt.subplots(
        2, len(by_clients), figsize=(12, 6.6), layout="constrained", sharey="row", height_ratios=(5, 1)
    )
    for panel, (clients, hops) in zip(panels, by_clients.items(), strict=True):
        began = 0.0
        for at, (hop, _, where) in enumerate(HOPS):
            panel.barh(at, hops[hop], 0.8, left=began, color=colours[where])
            began += hops[hop]
            panel.text(began, at, f" {hops[hop]:.2f}", va="center", fontsize=7)
        panel.set_yticks(range(len(HOPS)), [what for _, what, _ in HOPS], fontsize=8)
        panel.set(xlabel="milliseconds since the client sent it, medians", xlim=(0, 1.12 * began))
        panel.set_title(f"{clients} client{'' if clients == '1' else 's'}: {began:.1f} ms", fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    for panel, runs in zip(below, results["path"]["runs"].values(), strict=True):
        free = [0.0, 0.0]  # each row's last end
        for texts, began, ended in runs:
            row = next((at for at, end in enumerate(free) if end <= began), len(free) - 1)
            free[row] = ended
            panel.barh(row, ended - began, 0.8, left=began, color=LIMIT, alpha=0.6, edgecolor="white")
            panel.text((max(began, 0) + min(ended, WINDOW_MS)) / 2, row, texts, ha="center", va="center", fontsize=7)
        panel.set(xlabel="the model's runs, and their texts: milliseconds", xlim=(0, WINDOW_MS))
        panel.set_yticks([])
        panel.spines[["top", "right"]].set_visible(False)
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
    figure.legend(handles, list(colours), loc="outside lower center", ncols=4, fontsize=9)
    figure.savefig(folder / "bench-path.png", dpi=110)


PLOTS = {"capacity": capacity, "path": path, "peers": peers, "cache": cache, "scaling": scaling}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("loadtests/results.json"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    args = parser.parse_args()
    results = json.loads(args.results.read_text())
    args.out.mkdir(exist_ok=True)
    for name, plot in PLOTS.items():
        if name in results:
            plot(results, args.out)


if __name__ == "__main__":
    main()
