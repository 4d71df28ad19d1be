"""Cancels a request's work if its client disconnects. Serve does this itself for requests that pass through it."""

import asyncio
from types import TracebackType
from typing import Final, Self

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from app.api.middleware.request_body import Body

# Watching costs a task, and most responses are sent before this time.
WATCH_AFTER_S: Final = 0.05


class Disconnect:
    """Raises ClientDisconnect in the current task, inside the `with` block, when the client disconnects."""

    __slots__ = ("_body", "_disconnected", "_receive", "_task", "_timer", "_watch")

    def __init__(self, body: Body, receive: Receive) -> None:
        self._body = body
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None
        self._disconnected = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - nothing is awaited outside of one
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._start_watching)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if self._disconnected and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise ClientDisconnect from None

    def _start_watching(self) -> None:
        """While the body is being received, the application itself notices a disconnect."""
        loop = asyncio.get_running_loop()
        if self._body.is_read:
            self._watch = loop.create_task(self._wait())
        else:
            self._timer = loop.call_later(WATCH_AFTER_S, self._start_watching)

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._disconnected = True
        self._task.cancel()
