"""Entries on their way to the shared cache, in the background: a call costs more than what it carries."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

MAX_PENDING_BYTES = 64 * 2**20


@dataclass(slots=True, eq=False)
class WriteBehind:
    """Sends the first entries at once, and together those that come meanwhile and soon after.

    Args:
        put: Stores entries that were looked up in an epoch; raises nothing.
        gather_s: After a call, further entries wait so long for each other.
        sole_gather_s: The same while nobody can miss them: until `hurry` is set.
    """

    put: Callable[[str, Sequence[tuple[bytes, bytes]]], Awaitable[None]]
    gather_s: float = 0.02
    sole_gather_s: float = 0.5
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    _pending: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    _pending_bytes: int = 0
    _running: "asyncio.Task[None] | None" = None
    _flushing: "asyncio.Task[None] | None" = None

    def add(self, epoch: str, key: bytes, value: bytes) -> None:
        """Not sent when too much waits already."""
        if self._pending_bytes >= MAX_PENDING_BYTES:
            return
        self._pending.append((epoch, key, value))
        self._pending_bytes += len(value)
        if self._running is None:
            self._running = _detached(self._run())

    async def flush(self) -> None:
        """Send what waits; returns once that call has begun, so that one that begins later finds it stored."""
        if self._pending:
            self._flushing = _detached(self._send())
            await asyncio.sleep(0)

    async def _run(self) -> None:
        try:
            while self._pending:
                await self._send()
                await asyncio.sleep(self.gather_s)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.sole_gather_s - self.gather_s):
                        await self.hurry.wait()
        finally:
            self._running = None

    async def _send(self) -> None:
        if not self._pending:
            return
        batch, self._pending, self._pending_bytes = self._pending, [], 0
        epoch = batch[-1][0]
        await self.put(epoch, [(key, value) for written, key, value in batch if written == epoch])


def _detached(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """Entries of many requests go together. Ray Serve cancels by context, so their call has one of its own: what
    cancels one of the requests must not end it."""
    return asyncio.get_running_loop().create_task(work, context=contextvars.Context())
