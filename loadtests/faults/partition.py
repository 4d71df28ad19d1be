"""An encoder's node is cut off from the ingresses: all its processes stop (SIGSTOP): nobody answers, nothing closes.

Network namespaces need rights that a test should not ask for. To its peers a stopped process is the same as one
behind a broken cable: connections stay open, and what is sent is never answered.
"""

import threading
import time
from contextlib import suppress

import psutil

from loadtests.faults import nodes
from loadtests.faults.killer import DYING_S
from loadtests.faults.oracle import book
from loadtests.faults.raylet import worker_raylets
from loadtests.faults.row import Row

NAME = "worker node stopped (SIGSTOP)"
CUTS = 3
# Until then it is to be found dead; afterwards the operator clears it away.
CUT_S = 60.0
# Until Ray finds the node dead, calls to it cost half of their deadline each, and then succeed elsewhere.
MOST_RECOVERY_S = 90.0


def scenario(scale: float) -> Row:
    known = book(512, 12)
    with nodes.cluster(apart=True) as found:
        cuts = max(1, round(CUTS * scale))

        def victims() -> list[psutil.Process]:
            return worker_raylets(found.processes) if found.is_whole() else []

        return nodes.run(
            NAME, found, known, cuts, victims, found.is_whole, MOST_RECOVERY_S, strike=cut_off, seconds_a_kill=90.0
        )


def cut_off(raylet: psutil.Process) -> bool:
    """Whether the node has stopped. It is killed when its time is over, so that another can take its place."""
    node = [raylet, *raylet.children(recursive=True)]
    for process in node:
        with suppress(psutil.Error):
            process.suspend()
    give_up = time.monotonic() + DYING_S
    while raylet.status() != psutil.STATUS_STOPPED:
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    end = threading.Timer(CUT_S, _clear, [node])
    end.daemon = True
    end.start()
    return True


def _clear(node: list[psutil.Process]) -> None:
    for process in node:
        with suppress(psutil.Error):
            process.kill()
