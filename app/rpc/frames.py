"""Frames over TCP: what both ends of an RPC connection have in common.

A frame is a fixed header, a head (JSON, or the handshake's own bytes) and a body (raw bytes). Whatever arrives, the
worst that comes of it is a closed connection.
"""

import asyncio
import hmac
import socket
import struct
from contextlib import suppress
from typing import Final, cast

PROTOCOL: Final = 1
# Lengths of head and body, number of the call, kind.
HEADER: Final = struct.Struct("<IIQB")
HELLO, CHALLENGE, PROOF, WELCOME, CALL, ANSWER, ERROR, REFUSED, CANCEL, PING, PONG = range(11)
MAX_BYTES: Final = 256 * 2**20
# Before the peer has proved that it knows the secret.
MAX_HANDSHAKE_BYTES: Final = 64

# Magic, protocol number, the client's nonce.
HELLO_HEAD: Final = struct.Struct("<4sH16s")
MAGIC: Final = b"ERPC"
NONCE_BYTES: Final = 16
SECRET_BYTES: Final = 32
CLIENT, SERVER = b"client", b"server"

# The kernel finds a peer that is gone without a word.
_DEAD_S: Final = 10
# Seconds of silence until the first probe, between two, and how many; milliseconds for unacknowledged data. Linux's.
_KEEPALIVE: Final = [
    (getattr(socket, name), value)
    for name, value in (
        ("TCP_KEEPIDLE", _DEAD_S // 2),
        ("TCP_KEEPINTVL", 2),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", _DEAD_S * 1000),
    )
    if hasattr(socket, name)
]


class ConnectionLost(ConnectionError):
    """The connection ended with the call on it, or was never there."""


class CallRefused(ConnectionError):
    """The other end did not begin the call: it is full, or ends."""


def proof(secret: bytes, role: bytes, client_nonce: bytes, server_nonce: bytes) -> bytes:
    """What an end shows of the secret. A proof of one role or connection is worth nothing in another."""
    return hmac.digest(secret, b"%s %d " % (role, PROTOCOL) + client_nonce + server_nonce, "sha256")


class Frames(asyncio.Protocol):
    """Cuts what arrives into frames, for `frame_received`."""

    def __init__(self, max_bytes: int) -> None:
        self.transport: asyncio.Transport
        self.is_open = False
        self.max_bytes = max_bytes
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self.is_open = True
        if (link := transport.get_extra_info("socket")) is not None:
            with suppress(OSError):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                with suppress(OSError):
                    link.setsockopt(socket.IPPROTO_TCP, option, value)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False

    def data_received(self, data: bytes) -> None:
        buffer, at = self._buffer, 0
        buffer += data
        while self.is_open and len(buffer) - at >= HEADER.size:
            head_size, body_size, number, kind = HEADER.unpack_from(buffer, at)
            if head_size + body_size > self.max_bytes:
                self.abort()
                break
            middle = at + HEADER.size + head_size
            end = middle + body_size
            if len(buffer) < end:
                break
            with memoryview(buffer) as view:
                head, body = bytes(view[at + HEADER.size : middle]), bytes(view[middle:end])
            at = end
            self.frame_received(kind, number, head, body)
        del buffer[:at]

    def frame_received(self, kind: int, number: int, head: bytes, body: bytes) -> None:
        raise NotImplementedError

    def write(self, kind: int, number: int, head: bytes = b"", body: bytes = b"") -> None:
        """Does nothing where the connection has ended."""
        if self.is_open:
            self.transport.write(b"".join((HEADER.pack(len(head), len(body), number, kind), head, body)))

    def abort(self) -> None:
        self.is_open = False
        self.transport.abort()
