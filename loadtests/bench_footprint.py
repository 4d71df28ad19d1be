"""What a service takes that is started and not asked for anything. Run: `make bench-footprint`.

Memory of each process as PSS: what it shares with others is divided among them. Seconds to ready, by the steps that
`make serve` shows, of a second start: the first has made whatever is kept. The disk of the packages. Its CPU time is
`make bench-idle`'s.
"""

import argparse
import contextlib
import re
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import psutil

from app.config.settings import converted_models
from loadtests.measuring import load
from loadtests.systems import System, machine, this_service, write_results

STEP: Final = re.compile(r" *(\d+\.\d) s  (.+)")
READY: Final = re.compile(r"Ready after (\d+\.\d) s")
SETTLE_S: Final = 5.0
LARGE: Final = 60e6
Steps = list[tuple[float, str]]
# What a process's command line has in it, and what it is; the first that fits.
PROCESSES: Final = (
    (":Ingress", "ingress"),
    (":TextEncoder", "text encoder"),
    (":Clip", "image encoder"),
    (":Similarity", "similarity"),
    ("CacheActor", "cache actor"),
    ("MetricsActor", "metrics actor"),
    ("ServeController", "Ray: Serve's controller"),
    ("HAProxyManager", "Ray: HAProxy's manager"),
    ("ProxyActor", "Ray: Serve's proxy"),
    ("app.images", "image decoders"),
    ("ray::Dashboard", "Ray: dashboard and agents"),
    ("ray::RuntimeEnv", "Ray: dashboard and agents"),
    ("ray::", "Ray: idle workers"),
    ("default_worker", "Ray: idle workers"),
    ("haproxy", "HAProxy"),
    ("gcs_server", "Ray: GCS"),
    ("raylet", "Ray: raylet"),
    ("dashboard", "Ray: dashboard and agents"),
    ("runtime_env", "Ray: dashboard and agents"),
    ("monitor", "Ray: monitors"),
    ("serve-here", "Serve's start (our launcher's child)"),
    ("-m app", "launcher"),
)


def part(words: str) -> str:
    return next((name for word, name in PROCESSES if word in words), "others")


def memory(system: System) -> dict[str, float]:
    """MB (PSS), by part, the largest first."""
    found: dict[str, float] = {}
    root = psutil.Process(system.process)
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            # Not more of them: a raylet's name all that it starts.
            name = part(" ".join([*(word.rsplit("/", 1)[-1] for word in words[:3]), *words[-1:]]))
            found[name] = found.get(name, 0.0) + process.memory_full_info().pss / 1e6
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def steps(lines: Iterable[str]) -> Steps:
    """When each step began, and last when the service was ready."""
    found: Steps = []
    for line in lines:
        if step := STEP.fullmatch(line):
            found.append((float(step[1]), step[2]))
        elif ready := READY.match(line):
            found.append((float(ready[1]), "ready"))
    return found


def packages(folder: Path) -> dict[str, float]:
    """Bytes of the packages in a folder, by their directories; a file that has two names counts once."""
    sizes: dict[str, float] = {}
    seen: set[tuple[int, int]] = set()
    for file in folder.rglob("*"):
        if file.is_symlink() or not file.is_file():
            continue
        about = file.stat()
        if (about.st_dev, about.st_ino) not in seen:
            seen.add((about.st_dev, about.st_ino))
            name = file.relative_to(folder).parts[0].removesuffix(".libs")
            sizes[name] = sizes.get(name, 0) + about.st_size
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def memory_table(found: Mapping[str, float]) -> str:
    rays = sum(mb for name, mb in found.items() if name.startswith("Ray:"))
    lines = ["| process | MB |", "|---|---|", *(f"| {name} | {mb:.0f} |" for name, mb in found.items())]
    total = sum(found.values())
    return "\n".join([*lines, f"| **together** | **{total:.0f}**, of which Ray's own {rays:.0f} |"])


def steps_table(found: Steps) -> str:
    lines = ["| from, s | takes, s | step |", "|---|---|---|"]
    lines += [f"| {began:.1f} | {ended - began:.1f} | {step} |" for (began, step), (ended, _) in pairwise(found)]
    return "\n".join([*lines, f"| {found[-1][0]:.1f} | | ready |"])


def disk_table(sizes: Mapping[str, float], models: float) -> str:
    large = {name: size for name, size in sizes.items() if size >= LARGE}
    rest = sum(sizes.values()) - sum(large.values())
    lines = ["| on disk | MB |", "|---|---|", *(f"| {name} | {size / 1e6:.0f} |" for name, size in large.items())]
    lines += [f"| all other packages | {rest / 1e6:.0f} |", f"| converted models | {models / 1e6:.0f} |"]
    return "\n".join([*lines, f"| **together** | **{(sum(sizes.values()) + models) / 1e6:.0f}** |"])


def started() -> tuple[Steps, dict[str, float]]:
    with tempfile.NamedTemporaryFile("r") as said, this_service("shapes-clip", log=Path(said.name)) as service:
        time.sleep(SETTLE_S)
        return steps(said.read().splitlines()), memory(service)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("loadtests/results.json"))
    args = parser.parse_args(arguments)
    started()
    warm, mb = started()
    sizes = packages(Path(sysconfig.get_paths()["purelib"]))
    models = sum(packages(converted_models()).values())
    print(f"{machine()}, load {load()}\n\n{steps_table(warm)}\n\n{memory_table(mb)}\n\n{disk_table(sizes, models)}")
    figures = {"machine": machine(), "steps": warm, "memory_mb": mb, "packages": sizes, "converted_models": models}
    write_results(args.out, "footprint", figures)


if __name__ == "__main__":
    main()
