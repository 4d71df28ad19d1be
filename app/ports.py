"""TCP ports of this machine: free ones, and who holds a taken one. Nothing is served here."""

import socket
from contextlib import ExitStack

import psutil


def is_free(port: int, host: str) -> bool:
    """Whether `host:port` can be bound now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        # Several HAProxy processes may bind one port with SO_REUSEPORT; listening tells whether one does.
        try:
            probe.listen(1)
        except OSError:
            return False
    return True


def free(count: int) -> list[int]:
    """`count` different ports that were free a moment ago, from the kernel's own range."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("", 0))
        return [sock.getsockname()[1] for sock in sockets]


def free_range(length: int, first: int = 20_000, last: int = 32_000) -> int:
    """The start of `length` adjacent free ports below the kernel's range, so that nobody is given them."""
    for start in range(first, last - length, length):
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
