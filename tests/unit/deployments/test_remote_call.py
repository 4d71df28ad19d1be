"""`deployments.remote_call` over handles that fail as Ray's do. The imports of Ray warn, and warnings are errors
here."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.config.args import RetryArgs
from app.dispatch.adaptive_timeout import AdaptiveTimeout
from app.dispatch.retry import ReplicaLost, RetryBudget
from app.errors import DeadlineExceeded, InternalError, InvalidItem, Overloaded, Unavailable
from app.rpc.errors import UNKNOWN

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import grpc
    from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError
    from ray.serve.exceptions import BackPressureError

    from deployments import remote_call
    from deployments.remote_call import again, alone, once

HANGS = "hangs"
BROKEN = grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata())
DEATHS = [ActorDiedError(), ActorUnavailableError("gone", b"0" * 16), BROKEN]


async def _outcome(step: Any) -> Any:
    if step == HANGS:
        await asyncio.Event().wait()
    if isinstance(step, Exception):
        raise step
    return step


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_call, "PAUSE_S", 0.0)


class Method:
    """Each call ends as the next of `ends` says."""

    def __init__(self, *ends: Any) -> None:
        self.ends = list(ends)
        self.calls: list[tuple[Any, ...]] = []

    async def remote(self, *args: Any) -> Any:
        self.calls.append(args)
        return await _outcome(self.ends.pop(0))


class Stream:
    """What a generator's handle gives: the steps one after the other."""

    def __init__(self, *steps: Any) -> None:
        self.steps = steps
        self.cancelled = False

    def remote(self, item: Any) -> "Stream":
        return self

    async def __aiter__(self) -> AsyncIterator[Any]:
        for step in self.steps:
            yield await _outcome(step)

    def cancel(self) -> None:
        self.cancelled = True


async def raised(coroutine: Any) -> Exception:
    with pytest.raises(Exception) as failure:  # noqa: PT011 - looked at by the caller
        await coroutine
    return failure.value


async def test_an_answer_is_an_answer() -> None:
    method = Method(7)
    assert await once(method, "m", AdaptiveTimeout(5.0), "a", "b") == 7
    assert method.calls == [("a", "b")]


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: type(death).__name__)
async def test_a_replica_that_dies_is_lost_and_not_silent(death: Exception) -> None:
    lost = await raised(once(Method(death), "m", AdaptiveTimeout(5.0)))
    assert isinstance(lost, ReplicaLost)
    assert (lost.silent, lost.begun) == (False, False)


async def test_a_replica_that_does_not_answer_is_silent() -> None:
    lost = await raised(once(Method(HANGS), "m", AdaptiveTimeout(0.01)))
    assert isinstance(lost, ReplicaLost)
    assert lost.silent
    assert lost.after_s >= 0.01


async def test_the_deployments_own_errors_pass() -> None:
    own = InvalidItem("no good", "texts.1")
    told = RayTaskError("encode", "a traceback", own).as_instanceof_cause()
    assert await raised(once(Method(told), "m", AdaptiveTimeout(5.0))) is own
    # What nobody meant to raise is the same error as over an RPC connection.
    other = RayTaskError("encode", "a traceback", ValueError("odd")).as_instanceof_cause()
    unexpected = await raised(once(Method(other), "m", AdaptiveTimeout(5.0)))
    assert (type(unexpected), str(unexpected)) == (InternalError, UNKNOWN)
    full = await raised(
        once(Method(BackPressureError(num_queued_requests=1, max_queued_requests=1)), "m", AdaptiveTimeout(5.0))
    )
    assert isinstance(full, Overloaded)


async def test_the_outcome_of_an_item_alone() -> None:
    stream = Stream(None, "outcome")
    assert await alone(stream, "m", 5.0, "item") == "outcome"
    assert stream.cancelled


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: type(death).__name__)
async def test_who_is_to_blame_is_who_had_begun(death: Exception) -> None:
    for steps, begun in (((death,), False), ((None, death), True)):
        lost = await raised(alone(Stream(*steps), "m", 5.0, "item"))
        assert isinstance(lost, ReplicaLost)
        assert (lost.begun, lost.silent) == (begun, False)


@pytest.mark.parametrize("steps", [(HANGS,), (None, HANGS)])
async def test_silence_is_told_with_whether_the_replica_had_begun(steps: tuple[Any, ...]) -> None:
    stream = Stream(*steps)
    lost = await raised(alone(stream, "m", 0.01, "item"))
    assert isinstance(lost, ReplicaLost)
    assert (lost.begun, lost.silent, stream.cancelled) == (len(steps) > 1, True, True)


def again_once(method: Method, deadline_s: float = 5.0, burst: int = 100) -> Any:
    return again(method, "m", deadline_s, RetryBudget(RetryArgs(burst=burst, per_s=0)), "a")


async def test_a_lost_call_is_made_once_more_and_not_on_a_third_replica() -> None:
    method = Method(DEATHS[0], "second")
    assert await again_once(method) == "second"
    assert method.calls == [("a",)] * 2
    method = Method(*DEATHS)
    assert isinstance(await raised(again_once(method)), Unavailable)
    assert len(method.calls) == 2
    method = Method(HANGS, HANGS, "third")
    assert isinstance(await raised(again_once(method, 0.05)), DeadlineExceeded)
    assert len(method.calls) == 2


async def test_without_a_budget_no_call_is_made_again() -> None:
    method = Method(DEATHS[0], "second")
    refused = await raised(again_once(method, burst=0))
    assert (type(refused), getattr(refused, "retry_after", 0), len(method.calls)) == (Unavailable, 1, 1)


async def test_the_deployments_own_errors_are_not_tried_again() -> None:
    own = InvalidItem("no good")
    method = Method(RayTaskError("rank", "a traceback", own).as_instanceof_cause(), 1)
    assert await raised(again_once(method)) is own
    assert len(method.calls) == 1
