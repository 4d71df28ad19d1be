"""How long a remote call is waited for: a while, and longer as long as there is reason to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

# How often is looked whether there still is reason to wait.
STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class AdaptiveTimeout:
    """
    Args:
        seconds: To wait in any case.
        most_s: And never longer than this; not beyond `seconds` without it.
        worth_it: Whether to wait on, asked when `seconds` are over and from then on each second.
    """

    seconds: float
    most_s: float = 0.0
    worth_it: Callable[[], bool] = lambda: False

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Raises TimeoutError in the block when the time is over."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        timer: asyncio.TimerHandle

        def over() -> None:
            nonlocal timer
            now = loop.time()
            if now < began + self.most_s and self.worth_it():
                timer = loop.call_at(min(now + STEP_S, began + self.most_s), over)
            else:
                timeout.reschedule(now)

        async with asyncio.timeout(None) as timeout:
            timer = loop.call_later(self.seconds, over)
            try:
                yield
            finally:
                timer.cancel()
