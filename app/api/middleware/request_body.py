"""Handles bodies that are not read, or that stall.

An early error response is sent at once, and then the body is drained: a client that sends its whole body before reading
would otherwise see a reset connection instead of the status. Stalled bodies time out: HAProxy leaves a request open
whose chunks it has rejected.
"""

import asyncio
from typing import Final

from starlette.types import Message, Receive, Scope

from app.errors import InvalidRequest

MAX_BYTES: Final = 64 * 2**20
MAX_SECONDS: Final = 5.0
MAX_SILENCE_S = 20.0


class Body:
    """Wraps a request's `receive` and tracks whether the body was read to its end."""

    __slots__ = ("_has_none", "_receive", "is_read")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._has_none = self.is_read = not _has_body(scope)

    async def receive(self) -> Message:
        """Raises InvalidRequest if the body stalls."""
        if self._has_none:
            # Synthesized, because `Disconnect` may already have received this message.
            self._has_none = False
            return {"type": "http.request", "body": b"", "more_body": False}
        if self.is_read:
            return await self._receive()
        try:
            async with asyncio.timeout(MAX_SILENCE_S):
                return await self._next()
        except TimeoutError:
            message = f"No more of the body arrived within {MAX_SILENCE_S:g} s. Send it without pauses."
            raise InvalidRequest(message) from None

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.is_read = True
        return message

    async def drain(self, max_bytes: int = MAX_BYTES, max_seconds: float = MAX_SECONDS) -> None:
        """Receive and discard the rest of the body, within both limits."""
        received = 0
        try:
            async with asyncio.timeout(max_seconds):
                while not self.is_read and received <= max_bytes:
                    received += len((await self._next()).get("body", b""))
        except TimeoutError:
            pass


def _has_body(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 ") != b""):
            return True
    return False
