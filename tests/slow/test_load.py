"""Locust's users against the real service, for a few seconds: every class works, the exit code tells the verdict."""

import csv
import subprocess
import sys
from pathlib import Path

from loadtests.running import ROOT, RunningService, clean_environment


def load(service: RunningService, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "loadtests.load", "--host", service.url, "--out", str(out), "--shape", "spike"]
    argv += ["--users", "6", "--length", "15", "--allow-p50-ms", "60000", "--allow-p99-ms", "60000", *options]
    return subprocess.run(argv, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=600)


def requests(out: Path) -> dict[str, tuple[int, int]]:
    """(requests, failures) by name."""
    with (out / "load_stats.csv").open() as rows:
        return {r["Name"]: (int(r["Request Count"]), int(r["Failure Count"])) for r in csv.DictReader(rows)}


def test_texts_and_batches(service: RunningService, tmp_path: Path) -> None:
    done = load(service, tmp_path, "SearchUser", "IndexUser")
    assert done.returncode == 0, done.stdout + done.stderr
    counts = requests(tmp_path)
    assert set(counts) == {"search", "index", "Aggregated"}
    assert all(asked > 0 and failed == 0 for asked, failed in counts.values()), counts
    assert "report.html" in done.stderr
    for name in ("report.html", "load_stats_history.csv", "latency.png", "replicas.png"):
        assert (tmp_path / name).stat().st_size > 1000, name
    assert ",Ingress,2\n" in (tmp_path / "replicas.csv").read_text().replace("\r\n", "\n")


def test_images_and_a_threshold_that_is_not_kept(service: RunningService, tmp_path: Path) -> None:
    done = load(service, tmp_path, "--least-per-s", "1e6", "ImageUser")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "at least 1e+06 are asked for" in done.stdout
    asked, failed = requests(tmp_path)["images"]
    assert asked > 0
    assert failed == 0
