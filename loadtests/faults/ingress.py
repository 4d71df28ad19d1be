"""R3: an ingress replica is killed, with the requests that it had taken."""

import psutil

from loadtests.faults import nodes
from loadtests.faults.oracle import book
from loadtests.faults.row import Row

NAME = "ingress replica SIGKILL"
MOST_RECOVERY_S = 10.0


def scenario(scale: float) -> Row:
    known = book(512, 12)
    with nodes.cluster() as found:
        kills = max(1, round(nodes.KILLS * scale))

        def victims() -> list[psutil.Process]:  # only while the other one serves
            return found.processes.serving("Ingress") if found.is_whole() else []

        return nodes.run(NAME, found, known, kills, victims, found.is_whole, MOST_RECOVERY_S)
