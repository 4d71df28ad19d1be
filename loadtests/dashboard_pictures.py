"""docs/dashboard.png: what each panel of the Grafana dashboard would show of a load test, drawn with matplotlib.

Run: `make dashboard-pictures`. The queries are the dashboard's own, answered by a real Prometheus (Debian's package
`prometheus`) that scrapes a real service under locust's users. Grafana is not involved: its layout and colours differ.
"""

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from loadtests import prometheus
from loadtests.load import locust
from loadtests.prometheus import Panel, Prometheus
from loadtests.systems import this_service

COLUMNS = 4
LINES = 8  # a legend of more would hide its panel
UNITS = {"bytes": (2**20, "MiB"), "s": (1e-3, "ms"), "percentunit": (0.01, "%"), "reqps": (1, "1/s"), "ops": (1, "1/s")}


def series_of(server: Prometheus, panel: Panel, began: float, ended: float) -> dict[str, list[tuple[float, float]]]:
    """Points by legend, seconds since `began`."""
    found: dict[str, list[tuple[float, float]]] = {}
    for expression, legend in panel.queries:
        for series in server.over(expression, began, ended):
            name = legend
            for label, value in series["metric"].items():
                name = name.replace("{{" + label + "}}", value.rsplit("/", 1)[-1] if label == "model" else value)
            points = [(float(at) - began, float(value)) for at, value in series["values"]]
            found[name] = [(at, value) for at, value in points if not math.isnan(value)]
    return found


def draw(server: Prometheus, began: float, ended: float, file: Path) -> list[str]:
    """The picture; returns the titles of panels without a number."""
    panels, empty = prometheus.panels(), []
    rows = -(-len(panels) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(4.4 * COLUMNS, 2.5 * rows), layout="constrained")
    for axis, panel in zip(axes.flat, panels, strict=False):
        scale, unit = UNITS.get(panel.unit, (1, ""))
        series = series_of(server, panel, began, ended)
        if not any(series.values()):
            empty.append(panel.title)
        for name, points in list(series.items())[:LINES]:
            axis.plot([at for at, _ in points], [value / scale for _, value in points], lw=1.2, label=name)
        axis.set_title(f"{panel.title}{f', {unit}' if unit else ''}", fontsize=9, loc="left")
        axis.tick_params(labelsize=7)
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=6, frameon=False, loc="upper left")
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, dpi=80)
    return empty


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", default="30")
    parser.add_argument("--length", type=float, default=60.0, help="seconds")
    parser.add_argument("--out", type=Path, default=Path("docs/dashboard.png"))
    args = parser.parse_args()
    two = {"autoscaling": {"min_replicas": 2, "max_replicas": 2}, "num_cpus": 0.2, "max_ongoing_requests": 2048}
    with (
        tempfile.TemporaryDirectory() as folder,
        this_service("shapes-clip", ingress=two) as system,
        prometheus.scraping(f"127.0.0.1:{system.port}") as server,
    ):
        began = time.time()
        options = ["--shape", "step", "--most-users", args.users, "--length", str(args.length)]
        locust(f"http://127.0.0.1:{system.port}", Path(folder), options, [])
        empty = draw(server, began + 10, time.time(), args.out)
    print(f"{args.out}: {len(prometheus.panels())} panels, empty: {', '.join(empty) or 'none'}")
    sys.exit(bool(empty))


if __name__ == "__main__":
    main()
