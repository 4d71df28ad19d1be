import errno
import socket
from typing import Any

import numpy as np

from app.errors import InvalidImage
from app.images.decode_worker import Request, send_request, serve
from app.images.preprocessing import Preprocessing
from loadtests.pictures import limits

REQUEST = Request(Preprocessing(8, None, (8, 8), 3, np.zeros((3, 256), np.float32)), limits(), "images.0")


class Full:
    """A socket that has no room for what is sent."""

    def __init__(self, source: socket.socket) -> None:
        self.source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def sendall(self, data: bytes) -> None:
        raise OSError(errno.ENOBUFS, "No buffer space available")


def test_a_worker_whose_answer_is_lost_ends_so_that_nobody_waits_for_it() -> None:
    asked: list[bytes] = []

    def decode(data: bytes, *_: Any) -> Any:
        asked.append(data)
        raise InvalidImage("is none", "images.0")

    ours, theirs = socket.socketpair()
    with ours, theirs:
        send_request(ours, REQUEST, b"first")
        send_request(ours, REQUEST, b"second")
        ours.shutdown(socket.SHUT_WR)
        serve(Full(theirs), decode)  # type: ignore[arg-type]
    assert asked == [b"first"]
