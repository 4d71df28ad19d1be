"""A port that nobody else is given, for a program that starts on it: one that is chosen and let go may be taken."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_port() -> Iterator[int]:
    """Bound on every address, and nobody listens: connections are refused until a program does.

    With SO_REUSEADDR, as servers have it, one may still listen there. The kernel gives nobody else this port, and it
    is not among those of `app.system.ports.free`.
    """
    both = socket.has_dualstack_ipv6()
    with socket.socket(socket.AF_INET6 if both else socket.AF_INET) as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if both:
            kept.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        kept.bind(("", 0))
        yield int(kept.getsockname()[1])
