"""How long a remote call is waited for: a while, and longer as long as there is reason to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class AdaptiveTimeout:
    """`seconds` to wait in any case, and then up to `most_s` while `worth_it`, which is asked each second."""

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
