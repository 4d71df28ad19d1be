"""An open loop: requests leave when they are due, whether or not the earlier ones have come back."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loadtests.faults.judging import Judged, Verdict

# A request is late if it left so much after it was due.
LATE_S = 0.25
# More than this under way, and the driver would measure itself.
MOST_UNDER_WAY = 4000
LAST_ANSWER_S = 60.0

Ask = Callable[[int], Awaitable[Judged]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request. Times are monotonic seconds; the latency counts from when it was due, not from when it left."""

    due: float
    sent: float
    done: float
    verdict: Verdict
    status: int
    words: str = ""
    hits: int = 0

    @property
    def latency_s(self) -> float:
        return self.done - self.due

    @property
    def is_late(self) -> bool:
        return self.sent - self.due > LATE_S


class Driver:
    """One run.

    Args:
        ask: Sends the request of this number and judges the answer.
        rate: Requests a second.
    """

    def __init__(self, ask: Ask, rate: float) -> None:
        self.outcomes: list[Outcome] = []
        self.sent = 0
        self._ask = ask
        self._rate = rate
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, more: Callable[[int], bool]) -> None:
        """Send while `more(requests sent)`, then wait for the last answers."""
        begun = time.monotonic()
        while more(self.sent):
            due = begun + self.sent / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(self._under_way) < MOST_UNDER_WAY:
                task = asyncio.create_task(self._one(self.sent, due))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
            else:
                now = time.monotonic()
                self.outcomes.append(Outcome(due, now, now, "failed", 0, "not sent: too many are under way"))
            self.sent += 1
        if self._under_way:
            _, hung = await asyncio.wait(self._under_way, timeout=LAST_ANSWER_S)
            for task in hung:
                task.cancel()
            await asyncio.gather(*hung, return_exceptions=True)

    async def _one(self, number: int, due: float) -> None:
        sent = time.monotonic()
        judged = Judged("failed", 0, "never answered")
        try:
            judged = await self._ask(number)
        except OSError as error:
            judged = Judged("failed", 0, f"lost: {error!r}")
        finally:
            done = time.monotonic()
            self.outcomes.append(Outcome(due, sent, done, judged.verdict, judged.status, judged.words, judged.hits))
