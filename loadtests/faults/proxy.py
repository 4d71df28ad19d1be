"""R3: the proxy that clients speak to is killed."""

import itertools
import urllib.request

import psutil

from loadtests.faults import nodes
from loadtests.faults.oracle import book
from loadtests.faults.row import Row

NAME = "HAProxy SIGKILL"
# Serve replaces it after three health checks; the last retry of a client comes a pause later.
MOST_RECOVERY_S = 20.0
# It is the only one that these clients know. The next kill comes after the last retry, or a request meets two of them.
KILLS, EVERY_S = 10, 30.0


def scenario(scale: float) -> Row:
    known = book(512, 12)
    with nodes.cluster() as found:
        port = found.service.port

        def victims() -> list[psutil.Process]:
            """All that take connections at the clients' port."""
            if not is_whole():
                return []
            proxies = found.processes.named("haproxy")
            followed = {pid for each in proxies for pid in predecessors_of(each)}
            return [each for each in proxies if listens(each, port) and each.pid not in followed]

        def is_whole() -> bool:
            return answers(port) and found.is_whole()

        kills = max(1, round(KILLS * scale))
        return nodes.run(NAME, found, known, kills, victims, is_whole, MOST_RECOVERY_S, every_s=EVERY_S, is_away=True)


def answers(port: int) -> bool:
    """Whether requests come through to the service: a fresh proxy listens before it has heard of any replica."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5):
            return True
    except OSError:
        return False


def predecessors_of(proxy: psutil.Process) -> list[int]:
    """Processes that it was started to take over from: they hold the port, and only finish what they have."""
    words = proxy.cmdline()
    old = words[words.index("-sf") + 1 :] if "-sf" in words else []
    return [int(word) for word in itertools.takewhile(str.isdigit, old)]


def listens(process: psutil.Process, port: int) -> bool:
    connections = process.net_connections("tcp")
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections)
