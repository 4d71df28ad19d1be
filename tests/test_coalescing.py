import asyncio
from collections.abc import Sequence

import pytest

from app.coalescing import Coalescer
from tests.aio import run, turns


class Line:
    """Holds every call until `answer`; an item's result is its double."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self._open: list[asyncio.Future[Sequence[int]]] = []

    async def send(self, items: list[int]) -> Sequence[int]:
        self.calls.append(items)
        self._open.append(asyncio.get_running_loop().create_future())
        return await self._open[-1]

    async def answer(self, call: int, results: Sequence[int] | BaseException | None = None) -> None:
        if isinstance(results, BaseException):
            self._open[call].set_exception(results)
        else:
            self._open[call].set_result([2 * i for i in self.calls[call]] if results is None else results)
        await turns()


async def submit(coalescer: Coalescer[int, int], items: Sequence[int]) -> list["asyncio.Future[int]"]:
    futures = coalescer.submit(items)
    await turns()
    return futures


def test_a_lone_item_leaves_at_once_and_what_comes_meanwhile_goes_together() -> None:
    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 1)
        futures = [*await submit(coalescer, [0]), *await submit(coalescer, [1, 2]), *await submit(coalescer, [3])]
        assert (line.calls, len(coalescer)) == ([[0]], 3)
        await line.answer(0)
        assert (line.calls, len(coalescer)) == ([[0], [1, 2, 3]], 0)
        await line.answer(1)
        assert await asyncio.gather(*futures) == [0, 2, 4, 6]

    run(main())


def test_as_many_calls_as_the_receivers_can_use() -> None:
    async def main() -> None:
        line, width = Line(), 2
        coalescer = Coalescer(line.send, lambda: width)
        for i in range(4):
            await submit(coalescer, [i])
        assert line.calls == [[0], [1]]
        width = 3  # another replica has come
        await submit(coalescer, [4])
        assert line.calls == [[0], [1], [2, 3, 4]]
        width = 0  # none is known: one call is still tried
        await submit(coalescer, [5])
        for call in (0, 1):
            await line.answer(call)
        assert len(line.calls) == 3
        await line.answer(2)
        assert line.calls[3:] == [[5]]
        await line.answer(3)

    run(main())


def test_a_pile_is_spread_over_the_free_calls_but_not_too_thin() -> None:
    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 4)
        await submit(coalescer, range(400))
        assert [len(call) for call in line.calls] == [100, 100, 100, 100]
        line = Line()
        coalescer = Coalescer(line.send, lambda: 4)
        await submit(coalescer, range(coalescer.min_share + 1))
        assert [len(call) for call in line.calls] == [coalescer.min_share, 1]

    run(main())


def test_a_call_has_at_most_max_items_in_order() -> None:
    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 1, max_items=100)
        futures = await submit(coalescer, range(250))
        for call in range(3):
            await line.answer(call)
        assert [len(call) for call in line.calls] == [100, 100, 50]
        assert await asyncio.gather(*futures) == [2 * i for i in range(250)]

    run(main())


def test_a_failed_call_fails_its_own_items_only() -> None:
    async def main() -> None:
        line, failure = Line(), ConnectionError("gone")
        coalescer = Coalescer(line.send, lambda: 1)
        first, second = await submit(coalescer, [1]), await submit(coalescer, [2])
        await line.answer(0, failure)
        await line.answer(1)
        assert await asyncio.gather(*first, *second, return_exceptions=True) == [failure, 4]

    run(main())


@pytest.mark.parametrize("results", [[], [1], [1, 2, 3]])
def test_a_wrong_number_of_results_is_a_failure_and_no_mix_up(results: list[int]) -> None:
    async def main() -> None:
        line = Line()
        futures = await submit(Coalescer(line.send, lambda: 1), [1, 2])
        await line.answer(0, results)
        for future in futures:
            with pytest.raises(RuntimeError, match=f"{len(results)} results for 2 items"):
                await future

    run(main())


def test_a_cancelled_item_is_left_out() -> None:
    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 1)
        await submit(coalescer, [0])
        gone, _ = await submit(coalescer, [1, 2])
        gone.cancel()
        await line.answer(0)
        assert line.calls == [[0], [2]]
        alone = await submit(coalescer, [3])
        alone[0].cancel()
        await line.answer(1)
        assert (len(line.calls), len(coalescer)) == (2, 0)
        [last] = await submit(coalescer, [4])
        await line.answer(2)
        assert await last == 8

    run(main())


@pytest.mark.parametrize("failure", [None, ConnectionError("gone")])
def test_an_item_cancelled_on_its_way_takes_nothing_from_the_others(failure: Exception | None) -> None:
    async def main() -> None:
        line = Line()
        gone, stays = await submit(Coalescer(line.send, lambda: 1), [1, 2])
        gone.cancel()
        await line.answer(0, failure)
        assert gone.cancelled()
        [outcome] = await asyncio.gather(stays, return_exceptions=True)
        assert outcome == (failure or 4)

    run(main())


def test_a_cancelled_call_cancels_its_items_and_hangs_nobody() -> None:
    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 1)
        first, second = await submit(coalescer, [1, 2]), await submit(coalescer, [3])
        await line.answer(0, asyncio.CancelledError())
        assert [future.cancelled() for future in first] == [True, True]
        await line.answer(1)
        assert await asyncio.gather(*second) == [6]

    run(main())
