"""TCP ports of this machine: free ones, and who holds a taken one. Nothing is served here."""

import errno
import random
import socket
from contextlib import suppress
from itertools import islice

import psutil


def addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses of `host` that are this machine's: `localhost` may be two. Empty where none is."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    named = dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found)
    return [(family, address) for family, address in named if _refusal(family, address, 0) is None]


def refusal(port: int, host: str) -> OSError | None:
    """Why `host:port` can't be bound now; None if it can."""
    known = addresses(host)
    refusals = (_refusal(family, address, port) for family, address in known)
    return next(filter(None, refusals), None) if known else OSError(errno.EADDRNOTAVAIL, f"{host} is not here")


def is_free(port: int, host: str) -> bool:
    """Whether `host:port` can be bound now."""
    return refusal(port, host) is None


def _refusal(family: socket.AddressFamily, address: str, port: int) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
            probe.bind((address, port))
            # Several HAProxy processes may bind one port with SO_REUSEPORT; listening tells whether one does.
            probe.listen(1)
    except OSError as error:
        return error
    return None


def free(count: int, first: int = 29_000, last: int = 32_000) -> list[int]:
    """`count` different ports that were free a moment ago, below the range of which the kernel gives ports to anybody
    who asks for none by number, as Ray's gRPC servers do. Raises OSError if there are fewer."""
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


def free_above(port: int, host: str) -> int:
    """The next free port."""
    return next((other for other in range(port + 1, 65536) if is_free(other, host)), None) or free(1)[0]


def holder(port: int) -> psutil.Process | None:
    """The process that listens on `port`, where the system tells."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return psutil.Process(connection.pid)
    return None
