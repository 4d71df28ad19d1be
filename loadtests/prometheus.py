"""A Prometheus on this machine that scrapes one service, and what it answers. Debian's package `prometheus` has it."""

import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from loadtests.kept_port import kept_port

DASHBOARD = Path(__file__).resolve().parent.parent / "k8s/components/monitoring/dashboard.json"
SCRAPE_S = 1
START_S = 60.0
# What Grafana puts in its place: enough scrapes for a rate.
RATE_INTERVAL = f"{8 * SCRAPE_S}s"


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    unit: str
    # (query, legend) of each line or group of lines.
    queries: tuple[tuple[str, str], ...]


def installed() -> bool:
    return shutil.which("prometheus") is not None


def panels() -> list[Panel]:
    """The dashboard's, with the variables of its queries filled in."""
    dashboard = json.loads(DASHBOARD.read_text())
    return [
        Panel(
            panel["title"],
            panel["fieldConfig"]["defaults"]["unit"],
            tuple(
                (target["expr"].replace("$__rate_interval", RATE_INTERVAL), target["legendFormat"])
                for target in panel["targets"]
            ),
        )
        for panel in dashboard["panels"]
        if panel["type"] != "row"
    ]


@dataclass(frozen=True, slots=True)
class Prometheus:
    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Its series with their values now."""
        found: list[dict[str, Any]] = self._ask("query", query=expression)["result"]
        return found

    def over(self, expression: str, began: float, ended: float) -> list[dict[str, Any]]:
        """Its series with their values every second."""
        asked = {"query": expression, "start": f"{began}", "end": f"{ended}", "step": f"{SCRAPE_S}"}
        found: list[dict[str, Any]] = self._ask("query_range", **asked)["result"]
        return found

    def scrapes(self) -> int:
        """How many of the service there have been that went well."""
        return sum(int(float(series["value"][1])) for series in self.query("sum_over_time(up[1h])"))

    def _ask(self, route: str, **fields: str) -> dict[str, Any]:
        url = f"{self.url}/api/v1/{route}?{urllib.parse.urlencode(fields)}"
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - loopback
            body: dict[str, Any] = json.load(answer)
        return dict(body["data"])


@contextlib.contextmanager
def scraping(target: str) -> Iterator[Prometheus]:
    """`target`: host:port of a service."""
    job = {
        "job_name": "embeddings",
        "scrape_interval": f"{SCRAPE_S}s",
        "scrape_timeout": f"{SCRAPE_S}s",
        "static_configs": [{"targets": [target]}],
    }
    with kept_port() as port, tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "prometheus.yml")
        file.write_text(yaml.safe_dump({"scrape_configs": [job]}))
        argv = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder}/data"]
        argv += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait(process, f"http://127.0.0.1:{port}/-/ready")
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise RuntimeError(f"prometheus ended with {process.returncode}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
            return
        time.sleep(0.1)
    raise TimeoutError(url)
