"""`RemoteEncoder` over a handle of this test's own. The imports of Ray warn, and warnings are errors here."""

import asyncio
import inspect
import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.cache.entry import pack
from app.config.args import Autoscaling, Limits, ModelArgs, RetryArgs
from app.dispatch.retry import RetryBudget
from tests.support.aio import Clock, turns, until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.exceptions import ActorDiedError
    from ray.serve._private import router
    from ray.serve._private.config import DeploymentConfig
    from ray.serve.handle import DeploymentHandle

    from deployments import remote_encoder
    from deployments.messages import EncodeReply
    from deployments.remote_encoder import RemoteEncoder
    from deployments.serve_internals.running_config import most_replicas

LOST, HANGS = "lost", "hangs"


def reply(count: int) -> EncodeReply:
    packed = pack(np.ones((count, 2), np.float32), [1] * count, [False] * count)
    return EncodeReply(packed, {}, "f", "r1", 0.0, 0.0, 100.0, 1)


class Handle:
    """Its calls end as `ends` says, then well; `seconds` pass by the clock meanwhile."""

    def __init__(self, clock: Clock, *ends: str, seconds: float = 0.0) -> None:
        self.clock = clock
        self.ends = [*ends]
        self.seconds = seconds
        self.calls: list[tuple[list[str], float]] = []
        self.alone: list[str] = []
        self.kinds: list[tuple[bool, ...]] = []
        self._router: Any = None

    def options(self, method_name: str, stream: bool = False, **_: Any) -> "Handle | Alone":
        return Alone(self) if stream else self

    async def remote(self, items: list[str], timeout_s: float, origins: Any, *kind: bool) -> EncodeReply:
        self.calls.append((list(items), timeout_s))
        self.kinds.append(kind)
        self.clock.now += self.seconds
        end = self.ends.pop(0) if self.ends else "well"
        if end == HANGS:
            await asyncio.Event().wait()
        if end == LOST:
            raise ActorDiedError
        return reply(len(items))


def router_of(max_replicas: int, fixed: bool = False) -> Any:
    """As Serve's, of a deployment that has, or may have, so many replicas."""
    scaling = None if fixed else SimpleNamespace(max_replicas=max_replicas)
    config = SimpleNamespace(num_replicas=max_replicas if fixed else 1, autoscaling_config=scaling)
    return SimpleNamespace(_asyncio_router=SimpleNamespace(_metrics_manager=SimpleNamespace(_deployment_config=config)))


class Alone:
    """A method that streams."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def remote(self, item: str) -> "Alone":
        self._handle.alone.append(item)
        return self

    async def __aiter__(self) -> AsyncIterator[EncodeReply | None]:
        yield None
        yield reply(1)

    def cancel(self) -> None:
        pass


def encoder_of(handle: Any, batch_size: int = 1, max_replicas: int = 1, **limits: float) -> RemoteEncoder:
    args = Limits.model_validate(limits)
    model = ModelArgs(id="m", batch_size=batch_size, autoscaling=Autoscaling(max_replicas=max_replicas))
    encoder = RemoteEncoder(model, ("text",), handle, args, RetryBudget(RetryArgs()))
    encoder._texts.admission.clock = handle.clock  # noqa: SLF001 - its clocks are no arguments of the encoder
    for retrier in encoder._retriers:  # noqa: SLF001
        retrier.clock = handle.clock
    return encoder


async def test_an_encoder_is_told_the_time_that_is_left() -> None:
    handle = Handle(Clock(), seconds=7)
    encoder = encoder_of(handle, deadline_s=30)
    futures = [encoder.encode_texts([text])[0] for text in ("a", "b", "c")]
    await asyncio.gather(*futures)
    assert handle.calls == [(["a"], 30.0), (["b"], 23.0), (["c"], 16.0)]


async def test_an_encoder_is_told_what_is_of_a_large_request() -> None:
    handle = Handle(Clock())
    encoder = encoder_of(handle, batch_size=2)
    # A hundred tokens each make a micro-batch of 1,024 of ten of them.
    long = ["x" * 400] * 12
    for texts in (["a"], [*"ab"], [*"abc"], long[:2], long[:1]):
        await asyncio.gather(*encoder.encode_texts(texts))
    assert list(zip(map(len, [items for items, _ in handle.calls]), handle.kinds, strict=True)) == [
        (1, ()), (2, ()), (2, (True,)), (1, (True,)), (2, ()), (1, ()),
    ]  # fmt: skip
    handle.calls.clear()
    encoder = encoder_of(handle, batch_size=32)
    await asyncio.gather(*encoder.encode_texts(long))
    assert [handle.kinds[-1], len(handle.calls[0][0])] == [(True,), 12]


async def test_what_died_with_its_replica_goes_alone() -> None:
    handle = Handle(Clock(), LOST)
    encoder = encoder_of(handle, batch_size=4)
    assert len(await asyncio.gather(*encoder.encode_texts(["a", "b", "c"]))) == 3
    assert ([items for items, _ in handle.calls], handle.alone) == ([["a", "b", "c"]], ["a", "b", "c"])
    assert encoder.retried == 3


async def test_what_was_not_answered_goes_in_micro_batches() -> None:
    handle = Handle(Clock(), HANGS)
    encoder = encoder_of(handle, batch_size=2, deadline_s=0.06)
    encoder._replicas.answered("r1")  # noqa: SLF001 - a replica is there, and one that waits for another is not tried
    assert len(await asyncio.gather(*encoder.encode_texts([*"abcde"]))) == 5
    assert [items for items, _ in handle.calls] == [[*"abc"], [*"de"], [*"ab"], ["c"]]
    assert handle.alone == []
    assert encoder.retried == 3


async def test_where_replicas_may_be_added_calls_for_them_are_made_so_that_serve_sees_a_queue() -> None:
    # By the arguments, until Serve says what runs: `deployments` may have more, or fewer, than they say.
    for max_replicas, running, calls in ((1, None, 2), (3, None, 6), (1, 4, 8), (3, 2, 4)):
        handle = Handle(Clock(), *[HANGS] * 10)
        handle._router = running and router_of(running)  # noqa: SLF001
        encoder = encoder_of(handle, batch_size=4, max_replicas=max_replicas)
        futures = [encoder.encode_texts([str(i)])[0] for i in range(100)]
        await turns()
        assert len(handle.calls) == calls
        for future in futures:
            future.cancel()
        encoder.trim()
        await turns()


def test_serve_says_how_many_replicas_there_may_be() -> None:
    handle = Handle(Clock())
    assert most_replicas(handle) is None
    for fixed in (False, True):
        handle._router = router_of(5, fixed)  # noqa: SLF001
        assert most_replicas(handle) == 5
    handle._router._asyncio_router._metrics_manager._deployment_config = None  # noqa: SLF001 - it has not said so yet
    assert most_replicas(handle) is None


def test_this_ray_keeps_it_there() -> None:
    places = {
        DeploymentHandle: "_router: ",
        router.CurrentLoopRouter: "_asyncio_router = ",
        router.SingletonThreadRouter: "_asyncio_router = ",
        router.AsyncioRouter: "_metrics_manager = RouterMetricsManager(",
        router.RouterMetricsManager: "_deployment_config = deployment_config",
    }
    for cls, place in places.items():
        owner = getattr(cls, "__mro__", (cls, cls))
        assert any(f"self.{place}" in inspect.getsource(each) for each in owner if each is not object), place
    assert {"num_replicas", "autoscaling_config"} <= DeploymentConfig.model_fields.keys()


async def test_a_model_that_does_not_answer_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(remote_encoder, "LOADING_PERIOD_S", 0)

    with caplog.at_level(logging.INFO):
        handle = Handle(Clock())
        asked = 0

        async def remote() -> None:
            nonlocal asked
            asked += 1
            raise ActorDiedError

        monkeypatch.setattr(handle, "remote", remote)
        watch = asyncio.create_task(encoder_of(handle).watch())
        await until(lambda: asked > 3)
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
    assert [record.message.split(":")[0] for record in caplog.records] == ["no replica of m says how it is"]
