"""What is done with a body that is not read, or does not come.

An early refusal answers at once, and then takes in what is under way: a client that sends its whole body before it
reads would otherwise see a reset connection and not the status. A body that stalls is not waited for: HAProxy leaves
one open whose chunks it has refused.
"""

import asyncio
from typing import Final

from starlette.types import Message, Receive, Scope

from app.errors import InvalidRequest

MOST_BYTES: Final = 64 * 2**20
MOST_SECONDS: Final = 5.0
MOST_SILENCE_S = 20.0


class Body:
    """Stands before a request's `receive` and knows whether the end has been read."""

    __slots__ = ("_has_none", "_receive", "is_read")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._has_none = self.is_read = not _has_body(scope)

    async def receive(self) -> Message:
        """Raises InvalidRequest if nothing more of the body comes."""
        if self._has_none:
            # Not asked for: whoever watches for the client's leaving may have taken it.
            self._has_none = False
            return {"type": "http.request", "body": b"", "more_body": False}
        if self.is_read:
            return await self._receive()
        try:
            async with asyncio.timeout(MOST_SILENCE_S):
                return await self._next()
        except TimeoutError:
            words = f"No more of the body came for {MOST_SILENCE_S:g} s. Send it without pauses."
            raise InvalidRequest(words) from None

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.is_read = True
        return message

    async def drain(self, most_bytes: int = MOST_BYTES, most_seconds: float = MOST_SECONDS) -> None:
        """Take in the rest and forget it, within both limits."""
        taken = 0
        try:
            async with asyncio.timeout(most_seconds):
                while not self.is_read and taken <= most_bytes:
                    taken += len((await self._next()).get("body", b""))
        except TimeoutError:
            pass


def _has_body(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 ") != b""):
            return True
    return False
