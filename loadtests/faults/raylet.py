"""R3: a worker node dies: its raylet is killed, and all that ran on it goes with it."""

import psutil

from loadtests.faults import nodes
from loadtests.faults.oracle import book
from loadtests.faults.processes import Processes, title
from loadtests.faults.row import Row
from loadtests.faults.service import ENCODER

NAME = "worker raylet SIGKILL"
MOST_RECOVERY_S = 30.0


def scenario(scale: float) -> Row:
    known = book(512, 12)
    with nodes.cluster() as found:
        kills = max(1, round(nodes.KILLS * scale))

        def victims() -> list[psutil.Process]:  # one at a time: the other node carries on
            return worker_raylets(found.processes) if found.is_whole() else []

        return nodes.run(NAME, found, known, kills, victims, found.is_whole, MOST_RECOVERY_S, seconds_a_kill=30.0)


def worker_raylets(processes: Processes) -> list[psutil.Process]:
    """Those of nodes other than the head, that an encoder serves on: one that only starts is not the cluster's yet."""
    homes = {nodes.home(encoder) for encoder in processes.serving(ENCODER)}
    return [raylet for raylet in processes.named(nodes.RAYLET) if "--head" not in title(raylet) and raylet.pid in homes]
