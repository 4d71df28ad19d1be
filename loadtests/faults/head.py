"""R3: the head dies with all that ran on it, and an encoder in the same moment.

What Ray's head knew is in Redis. Until the next head has read it nothing heals, and the data path goes on without:
the encoder that is left answers. That the other one comes back shows that the next head has taken over.
"""

from contextlib import suppress

import psutil

from loadtests.faults import nodes
from loadtests.faults.killer import slay
from loadtests.faults.oracle import book
from loadtests.faults.processes import Processes, title
from loadtests.faults.row import Row
from loadtests.faults.service import ENCODER

NAME = "head SIGKILL (its memory in Redis), and an encoder with it"
MOST_RECOVERY_S = 10.0
CONTROLLER = "ray::ServeController"


def scenario(scale: float) -> Row:
    known = book(512, 12)
    with nodes.cluster(redis=True) as found:
        processes = found.processes
        kills = max(1, round(nodes.KILLS * scale))

        def is_whole() -> bool:
            return bool(head_raylets(processes) and processes.titled(CONTROLLER)) and found.is_whole()

        def victims() -> list[psutil.Process]:
            return head_raylets(processes) if is_whole() and found.is_met() else []

        def strike(raylet: psutil.Process) -> bool:
            """All at once, as a machine goes: what Ray runs there, and what ran on it."""
            encoder = processes.serving(ENCODER)[0]
            others = [*raylet.children(recursive=True), *processes.named("gcs_server")]
            for process in (raylet, encoder, *others):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            return all(slay(process) or not process.is_running() for process in (raylet, encoder, *others))

        return nodes.run(
            NAME, found, known, kills, victims, is_whole, MOST_RECOVERY_S, strike=strike, seconds_a_kill=40.0
        )


def head_raylets(processes: Processes) -> list[psutil.Process]:
    """One, or none while there is no head."""
    return [raylet for raylet in processes.named("raylet") if "--head" in title(raylet)]
