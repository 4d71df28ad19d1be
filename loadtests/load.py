"""A load test from nothing to pictures: starts a service, runs locust headless, watches the replicas, draws.

Run: `make load SHAPE=step USERS=40 LENGTH=60`; `--host` takes a service that runs already. Ends with 1 when a
threshold was not kept, as locust does. Writes report.html, locust's CSV files, replicas.csv and the pictures.
"""

import argparse
import csv
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loadtests import load_plots
from loadtests.load_shapes import SHAPES
from loadtests.systems import ROOT, this_service

WATCH_S = 1.0
REPLICAS = re.compile(r'^embedding_replicas\{deployment="([^"]+)"\} (\S+)$', re.MULTILINE)
# Seen to hold on two cores with room to spare; a service of another size has other limits.
THRESHOLDS = {"--allow-failed": 0.0, "--allow-p50-ms": 1000.0, "--allow-p99-ms": 2000.0, "--least-per-s": 1.0}


@contextmanager
def replicas_written(host: str, file: Path) -> Iterator[None]:
    """Meanwhile, each deployment's replicas go into `file` once a second, as the service's /metrics tells."""
    over = threading.Event()

    def watch() -> None:
        with file.open("w", newline="") as out:
            rows = csv.writer(out)
            rows.writerow(["time", "deployment", "replicas"])
            while not over.wait(WATCH_S):
                for name, count in _replicas(host):
                    rows.writerow([round(time.time(), 1), name, int(float(count))])
                out.flush()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _replicas(host: str) -> list[tuple[str, str]]:
    key = os.environ.get("EMBEDDING_API_KEY")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"{host}/metrics", headers=headers)  # noqa: S310 - the service under test
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            found: list[tuple[str, str]] = REPLICAS.findall(answer.read().decode())
            return found
    except OSError:
        return []  # a page that is late under load leaves a gap


def locust(host: str, out: Path, options: Sequence[str], classes: Sequence[str]) -> int:
    """Its exit code."""
    argv = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--host", host, "--headless"]
    argv += ["--only-summary", "--html", str(out / "report.html"), "--csv", str(out / "load"), "--csv-full-history"]
    return subprocess.run([*argv, *options, *classes], cwd=ROOT, check=False).returncode


def scaled(replicas: int) -> dict[str, Any]:
    """A service that can be seen to scale within a minute."""
    quick = {"min_replicas": 1, "max_replicas": replicas, "upscale_delay_s": 3.0, "downscale_delay_s": 15.0}
    model = {"id": "sentence-transformers/all-MiniLM-L6-v2", "autoscaling": quick, "num_cpus": 0.3}
    return {"text_models": [model]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", help="of a service that runs; default: one is started")
    parser.add_argument("--shape", choices=list(SHAPES), default="step")
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--length", type=float, default=60.0, help="seconds")
    parser.add_argument("--replicas", type=int, default=2, help="at most, of the text model of the service started")
    parser.add_argument("--out", type=Path, default=Path("results/load"))
    for option, value in THRESHOLDS.items():
        parser.add_argument(option, type=float, default=value, help=f"default: {value:g}")
    parser.add_argument("classes", nargs="*", help="SearchUser, IndexUser, ImageUser; default: all")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    out = args.out.resolve()
    options = ["--shape", args.shape, "--most-users", str(args.users), "--length", str(args.length)]
    for option in THRESHOLDS:
        options += [option, str(getattr(args, option.strip("-").replace("-", "_")))]

    def run(host: str) -> int:
        with replicas_written(host, out / "replicas.csv"):
            return locust(host, out, options, args.classes)

    if args.host:
        code = run(args.host.rstrip("/"))
    else:
        with this_service("shapes-clip", **scaled(args.replicas)) as system:
            code = run(f"http://127.0.0.1:{system.port}")
    load_plots.draw(out)
    print(f"{out}: report.html, load_stats.csv, latency.png, replicas.png", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
