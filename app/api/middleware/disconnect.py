"""A client that leaves before its answer: the work for it ends. Serve sees to that for what goes through it."""

import asyncio
from types import TracebackType
from typing import Final, Self

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from app.api.middleware.request_body import Body

# Watching costs a task; most answers are out by then.
LOOKS_AFTER_S: Final = 0.05


class Disconnect:
    """Ends what the current task does within it, by ClientDisconnect, once the client has gone."""

    __slots__ = ("_body", "_left", "_receive", "_task", "_timer", "_watch")

    def __init__(self, body: Body, receive: Receive) -> None:
        self._body = body
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None
        self._left = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - nothing is awaited outside of one
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(LOOKS_AFTER_S, self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if self._left and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise ClientDisconnect from None

    def _look(self) -> None:
        """While the body comes in, the application itself would see the client leave."""
        loop = asyncio.get_running_loop()
        if self._body.is_read:
            self._watch = loop.create_task(self._wait())
        else:
            self._timer = loop.call_later(LOOKS_AFTER_S, self._look)

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._task.cancel()
