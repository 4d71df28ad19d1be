"""The CPUs that this process may use: those it is bound to, and no more than its control group has time for."""

import math
import os
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cpus(cgroup: Path = CGROUP) -> int:
    """At least 1. A container's limit counts, of both versions of control groups."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        with suppress(OSError, ValueError, ZeroDivisionError):  # no limit is "max", or -1
            quota, period = map(int, " ".join((cgroup / name).read_text() for name in names).split())
            cpus = min(cpus, math.ceil(quota / period)) if quota > 0 else cpus
    return max(1, cpus)
