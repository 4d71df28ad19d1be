"""What tests of a coalescer share: calls that wait to be answered."""

import asyncio
from collections.abc import Sequence

from app.dispatch.admission import AdmissionControl
from app.dispatch.coalescer import Coalescer
from tests.support.aio import Clock, turns

LARGE = 10.0**9


class Line:
    """Holds every call until `answer`; an item's result is its double."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.seconds: list[float] = []
        self.large: list[bool] = []
        self._open: list[asyncio.Future[Sequence[int]]] = []

    async def send(self, items: list[int], seconds: float, large: bool) -> Sequence[int]:
        self.calls.append(items)
        self.large.append(large)
        self.seconds.append(seconds)
        self._open.append(asyncio.get_running_loop().create_future())
        return await self._open[-1]

    async def answer(self, call: int, results: Sequence[int] | BaseException | None = None) -> None:
        if isinstance(results, BaseException):
            self._open[call].set_exception(results)
        else:
            self._open[call].set_result([2 * i for i in self.calls[call]] if results is None else results)
        await turns()


def admission(clock: Clock | None = None) -> AdmissionControl[int]:
    """An item is a unit; nothing is refused. Where no time passes, nobody is held for others."""
    return AdmissionControl("model", len, queue_s=LARGE, deadline_s=LARGE, clock=clock or Clock(0.0))


async def submit(coalescer: Coalescer[int, int], items: Sequence[int]) -> list["asyncio.Future[int]"]:
    futures = coalescer.submit(items)
    await turns()
    return futures
