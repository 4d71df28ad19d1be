"""R3: the Redis that keeps the head's memory is killed, and an encoder in the same moment.

Ray's GCS ends when its Redis does not answer, and the head with it. Redis comes back with its file after a while, then
a head can begin anew. Until that has read what the last one knew nothing heals, and the data path goes on without: the
encoder that is left answers. That the other one comes back shows that the next head has taken over.
"""

import time

import psutil

from loadtests.faults import nodes
from loadtests.faults.head import CONTROLLER, head_raylets
from loadtests.faults.killer import slay
from loadtests.faults.oracle import book
from loadtests.faults.processes import is_alive
from loadtests.faults.row import Row
from loadtests.faults.service import ENCODER

NAME = "Redis SIGKILL (away for 15 s, its file kept), and an encoder with it"
# Each takes a minute.
KILLS = 10
MOST_RECOVERY_S = 10.0
GCS_ENDS_S = 60.0
REDIS, GCS = "redis-server", "gcs_server"


def scenario(scale: float) -> Row:
    known = book(512, 12)
    ended: list[float] = []
    with nodes.cluster(redis=True) as found:
        processes = found.processes
        kills = max(1, round(KILLS * scale))

        def is_whole() -> bool:
            here = all(processes.named(name) for name in (REDIS, GCS)) and processes.titled(CONTROLLER)
            return bool(here and head_raylets(processes)) and found.is_whole()

        def victims() -> list[psutil.Process]:
            return processes.named(REDIS) if is_whole() and found.is_met() else []

        def strike(redis: psutil.Process) -> bool:
            """Both at once. It is done when GCS has noticed: until then all else looks as before."""
            [gcs], encoder, at = processes.named(GCS), processes.serving(ENCODER)[0], time.monotonic()
            if not (slay(redis) and slay(encoder)):
                return False
            while is_alive(gcs):
                if time.monotonic() - at > GCS_ENDS_S:
                    raise AssertionError(f"GCS lives {GCS_ENDS_S:g} s after its Redis ended")
                time.sleep(0.05)
            ended.append(time.monotonic() - at)
            return True

        row = nodes.run(
            NAME, found, known, kills, victims, is_whole, MOST_RECOVERY_S, strike=strike, seconds_a_kill=90.0
        )
    if ended:
        row.notes.append(f"GCS ended {min(ended):.1f} to {max(ended):.1f} s after its Redis")
    return row
