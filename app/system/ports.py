"""TCP ports of this machine: free ones, and who holds a taken one. Nothing is served here."""

import random
import socket
from itertools import islice

import psutil


def is_free(port: int, host: str) -> bool:
    """Whether `host:port` can be bound now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            # Several HAProxy processes may bind one port with SO_REUSEPORT; listening tells whether one does.
            probe.listen(1)
        except OSError:
            return False
    return True


def free(count: int, first: int = 29_000, last: int = 32_000) -> list[int]:
    """`count` different ports that were free a moment ago, below the kernel's range.

    The kernel gives ports of its own range to anybody who asks for none by number, such as each of Ray's gRPC servers:
    one of those may be taken again before the caller binds it.

    Raises:
        OSError: There are fewer.
    """
    # In any order, so that two processes which choose at the same time are unlikely to choose the same.
    ports = random.SystemRandom().sample(range(first, last), last - first)
    found = [*islice((port for port in ports if is_free(port, "0.0.0.0")), count)]  # noqa: S104 - a probe
    if len(found) < count:
        raise OSError(f"no {count} free ports between {first} and {last}")
    return found


def free_range(length: int, first: int = 20_000, last: int = 29_000) -> int:
    """The start of `length` adjacent free ports below the kernel's range, in any order, as for `free`."""
    starts = range(first, last - length, length)
    for start in random.SystemRandom().sample(starts, len(starts)):
        if all(is_free(port, "0.0.0.0") for port in range(start, start + length)):  # noqa: S104 - a probe
            return start
    raise OSError(f"no {length} adjacent free ports between {first} and {last}")


def holder(port: int) -> str | None:
    """Name and pid of the process that listens on `port`, where the system tells."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
            try:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.Error:  # gone meanwhile, or not ours to look at
                return f"pid {connection.pid}"
    return None
