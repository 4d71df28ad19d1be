"""A TCP address that outlives whoever listens there: it is kept here, and lent to programs as an open descriptor.

While none of its borrowers lives, the kernel keeps what connects, and the next one answers it: nobody is turned away.
Until the first of them listens, and once it is no longer kept nor borrowed, connections are refused.

As a program (`python kept_socket.py FILE PROGRAM ...`) this borrows the socket and becomes PROGRAM, which finds it as
descriptor `DESCRIPTOR`. It runs without site-packages, so the standard library is all there is.
"""

import os
import socket
import sys
import threading
from types import TracebackType
from typing import Self

# Above 0 to 2, and below those that shells use for themselves.
DESCRIPTOR = 9
BACKLOG = 16
BORROW_S = 5.0


class KeptSocket:
    """Bound until it is closed; borrowed through `file`, a Unix socket (SCM_RIGHTS, unix(7)).

    Raises:
        OSError: The address can't be bound.
    """

    def __init__(self, host: str, port: int, file: str) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._kept = socket.socket(family, kind, protocol)
        self._lender = socket.socket(socket.AF_UNIX)
        try:
            # A service that has just ended has left connections behind that the kernel closes in a minute.
            self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._kept.bind(address)
            self._lender.bind(file)
            self._lender.listen(BACKLOG)
        except OSError:
            self._kept.close()
            self._lender.close()
            raise
        self._thread = threading.Thread(target=self._lend, name="kept socket", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nobody can borrow it any more; it is gone with the last who did. To call it again does nothing."""
        if self._thread.is_alive():
            self._lender.shutdown(socket.SHUT_RDWR)  # ends `accept`, which closing does not
            self._thread.join()
        self._lender.close()
        self._kept.close()

    def _lend(self) -> None:
        while True:
            try:
                borrower, _ = self._lender.accept()
            except OSError:
                return
            with borrower:
                try:
                    socket.send_fds(borrower, [b"."], [self._kept.fileno()])
                except OSError:
                    continue  # it has gone meanwhile


def borrow(file: str) -> None:
    """Put the socket that is kept behind `file` in place of this process's descriptor `DESCRIPTOR`.

    Raises:
        OSError: It is not kept any more.
    """
    with socket.socket(socket.AF_UNIX) as lender:
        lender.settimeout(BORROW_S)
        lender.connect(file)
        _, descriptors, _, _ = socket.recv_fds(lender, 1, 1)
    if not descriptors:
        raise ConnectionError(f"nobody lends a socket at {file}")
    os.dup2(descriptors[0], DESCRIPTOR)


if __name__ == "__main__":
    try:
        borrow(sys.argv[1])
    except OSError as error:
        sys.exit(f"The service's address is not to be had: {error}")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - what the caller named
