"""Calls past the tasks of Serve's router, over a router of this test's own. The imports of Ray warn."""

import asyncio
import inspect
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.aio import run, turns

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.exceptions import ActorUnavailableError
    from ray.serve._private.router import AsyncioRouter, CurrentLoopRouter, RouterMetricsManager
    from ray.serve.handle import DeploymentHandle

    from deployments.serve_internals import direct_call
    from deployments.serve_internals.direct_call import ShortWay
    from deployments.serve_internals.router import LeastOutstandingRouter

ACTOR = b"a" * 16


class Result:
    """What a call on a line gives."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def get_async(self) -> str:
        return await self.outcome


class Replica:
    replica_id, actor_id = "r1", ACTOR

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.result = Result()

    def call(self, method: str, args: tuple[Any, ...]) -> Result:
        self.calls.append((method, args))
        return self.result


class Serves:
    """Serve's router, which writes down what it is told; it knows `replica`, if any, to be ready at once."""

    def __init__(self, replica: Replica | None) -> None:
        self.told: list[Any] = []
        self._metrics_manager = SimpleNamespace(
            inc_num_total_requests=lambda route: self.told.append(("total", route)),
            inc_num_running_requests_for_replica=lambda id_: self.told.append(("running", id_)),
        )
        self.request_router = SimpleNamespace(
            at_once=lambda method: replica,
            on_send_request=lambda id_: self.told.append(("sent", id_)),
            decrement_queue_len_cache=lambda id_: self.told.append(("one less", id_)),
        )

    def _process_finished_request(self, id_: str, request: str, actor_id: bytes, error: Exception | None) -> None:
        assert actor_id == ACTOR
        self.told.append(("finished", id_, type(error)))


class Handle:
    """A deployment's, which answers by itself where it is called."""

    def __init__(self, serves: Any, loop: Any = None) -> None:
        self.options_given: dict[str, Any] = {}
        self._router = SimpleNamespace(event_loop=loop or asyncio.get_running_loop(), _asyncio_router=serves)

    def options(self, **given: Any) -> "Handle":
        self.options_given = given
        return self

    async def remote(self, *args: Any) -> str:
        return f"Serve's way: {args}"


SENT = [("sent", "r1"), ("total", ""), ("running", "r1")]


def ended(error: type[Exception | None]) -> list[Any]:
    return [("one less", "r1"), ("finished", "r1", error)]


def test_a_call_of_a_ready_replica_and_serves_counts_of_it() -> None:
    async def main() -> None:
        handle = Handle(serves := Serves(replica := Replica()))
        way = ShortWay(handle, "encode_texts", request_serialization="pickle")
        assert handle.options_given == {"method_name": "encode_texts", "request_serialization": "pickle"}
        call = asyncio.ensure_future(way.remote(["a"], 3.0))
        await turns()
        assert (replica.calls, serves.told) == ([("encode_texts", (["a"], 3.0))], SENT)
        replica.result.outcome.set_result("a row")
        assert await call == "a row"
        assert serves.told == SENT + ended(type(None))

    run(main())


def test_serve_is_told_of_a_lost_replica() -> None:
    async def main() -> None:
        serves = Serves(replica := Replica())
        call = asyncio.ensure_future(ShortWay(Handle(serves), "encode_texts").remote("a"))
        await turns()
        replica.result.outcome.set_exception(ActorUnavailableError("gone", ACTOR))
        with pytest.raises(ActorUnavailableError):
            await call
        assert serves.told == SENT + ended(ActorUnavailableError)

    run(main())


@pytest.mark.parametrize("failure", ["cancelled", "raised"])
def test_a_call_that_fails_or_is_given_up_is_under_way_no_longer(failure: str) -> None:
    async def main() -> None:
        serves = Serves(replica := Replica())
        call = asyncio.ensure_future(ShortWay(Handle(serves), "encode_texts").remote("a"))
        await turns()
        if failure == "cancelled":
            call.cancel()
        else:
            replica.result.outcome.set_exception(ValueError("of the method"))
        with pytest.raises((ValueError, asyncio.CancelledError)):
            await call
        assert replica.result.outcome.done()
        assert serves.told == SENT + ended(type(None))

    run(main())


def without(name: str) -> Serves:
    serves = Serves(Replica())
    del serves.request_router.__dict__[name]
    return serves


@pytest.mark.parametrize(
    "case", ["none is ready", "at_once", "decrement_queue_len_cache", "another Serve", "another loop", "no router"]
)
def test_serves_way_otherwise(case: str) -> None:
    async def main() -> None:
        handle = Handle(Serves(None if case == "none is ready" else Replica()))
        if case in direct_call._OF_CHOOSER:  # noqa: SLF001
            handle = Handle(without(case))
        elif case == "another Serve":
            del handle._router._asyncio_router._metrics_manager.inc_num_total_requests  # noqa: SLF001
        elif case == "another loop":
            handle = Handle(Serves(Replica()), loop=object())
        elif case == "no router":
            del handle._router  # noqa: SLF001
        assert await ShortWay(handle, "encode_texts").remote("a") == "Serve's way: ('a',)"

    run(main())


def test_calls_are_counted_for_autoscaling_where_serve_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_call, "RAY_SERVE_COLLECT_AUTOSCALING_METRICS_ON_HANDLE", False)

    async def main() -> None:
        serves = Serves(replica := Replica())
        replica.result.outcome.set_result("a row")
        await ShortWay(Handle(serves), "encode_texts").remote("a")
        assert ("running", "r1") not in serves.told

    run(main())


def test_serves_own_classes_are_as_expected() -> None:
    assert "_router" in inspect.signature(DeploymentHandle).parameters

    async def main() -> None:
        inner: Any = object.__new__(AsyncioRouter)
        inner._metrics_manager = object.__new__(RouterMetricsManager)  # noqa: SLF001
        outer: Any = object.__new__(CurrentLoopRouter)
        outer._asyncio_loop, outer._asyncio_router = asyncio.get_running_loop(), inner  # noqa: SLF001
        assert direct_call._router_behind(SimpleNamespace(_router=outer)) is inner  # noqa: SLF001
        assert all(hasattr(LeastOutstandingRouter, name) for name in direct_call._OF_CHOOSER)  # noqa: SLF001

    run(main())
