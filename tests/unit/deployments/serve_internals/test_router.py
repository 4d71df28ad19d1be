"""What Serve's router is offered. The imports of Ray warn, and warnings are errors."""

import asyncio
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.aio import until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve.request_router import RequestRouter

    from app.config.args import Placement
    from app.main import called_options, options
    from deployments.serve_internals.router import LeastOutstandingRouter

FULL = 4


class Replica:
    max_ongoing_requests = FULL
    is_silent = False


class Queued(dict[str, int | None]):
    def invalidate_key(self, name: str) -> None:
        self[name] = None


class Context:
    """Serve's: which kinds of replicas were tried for a request."""

    tried = False


class Router(LeastOutstandingRouter):
    """Without Serve behind it. `queued`: what Serve believes of each replica; None: nothing."""

    def __init__(self, queued: dict[str, int | None]) -> None:
        self._replicas: Any = {name: Replica() for name in queued}
        self.queued = Queued(queued)
        self.initialize_state()

    def apply_locality_routing(self, pending_request: Any = None) -> set[Any]:
        if pending_request is not None:
            pending_request.routing_context.tried = True
        return set(self.queued)

    @property
    def replica_queue_len_cache(self) -> Any:
        return self.queued

    def offered(self) -> list[list[str]]:
        names = {id(replica): name for name, replica in self._replicas.items()}
        ranks = asyncio.run(self.choose_replicas([]))
        return [[names[id(replica)] for replica in rank] for rank in ranks]


def test_the_replica_with_the_fewest_calls_whatever_serve_counts(monkeypatch: Any) -> None:
    monkeypatch.setattr(RequestRouter, "on_send_request", lambda *_: None)
    monkeypatch.setattr(RequestRouter, "on_request_completed", lambda *_: None)
    router = Router({"a": 0, "b": 3, "c": 0})
    for name in ("a", "b", "c", "a"):
        router.on_send_request(name)
    router.on_request_completed("b", "request")
    assert router.offered() == [["b"]]


def test_who_did_not_answer_is_asked_before_it_gets_another_call(monkeypatch: Any) -> None:
    monkeypatch.setattr(RequestRouter, "on_request_completed", lambda *_: None)
    router = Router({"hangs": 0, "works": 3})
    router.on_request_completed("hangs", "answered")
    assert router.queued["hangs"] == 0
    router._replicas["hangs"].is_silent = True  # noqa: SLF001
    router.on_request_completed("hangs", "given up")
    assert router.offered() == [["works", "hangs"]]
    router.on_request_completed("gone", "of a replica that Serve dropped")


def test_who_serve_does_not_know_of_or_is_full_is_asked_beside_it() -> None:
    [[first, *others]] = Router({"well": 1, "unknown": None, "full": FULL}).offered()
    assert (first, sorted(others)) == ("well", ["full", "unknown"])
    [asked] = Router({"unknown": None, "full": FULL}).offered()
    assert sorted(asked) == ["full", "unknown"]
    assert Router({}).offered() == []


@pytest.mark.parametrize(
    ("queued", "waiting", "is_retry", "at_once"),
    [
        ({"a": 1, "b": 0}, {}, False, True),
        ({"a": 1, "b": 0}, {"another": "request"}, False, False),
        ({"a": 1, "b": 0}, {}, True, False),
        ({"a": 1, "b": FULL}, {}, False, False),
        ({"a": 1, "b": None}, {}, False, False),
        ({}, {}, False, False),
    ],
)
async def test_a_request_is_given_a_replica_at_once_where_nobody_waits_and_all_are_well(
    queued: dict[str, int | None], waiting: dict[str, str], is_retry: bool, at_once: bool, monkeypatch: Any
) -> None:
    asked: list[Any] = []

    async def serves_way(_: Any, request: Any, *, is_retry: bool) -> str:
        asked.append((request.routing_context.tried, is_retry))
        return "Serve's"

    monkeypatch.setattr(RequestRouter, "_choose_replica_for_request", serves_way)
    router = Router(queued)
    router._pending_requests_by_id = waiting  # noqa: SLF001
    router.calls.left("a")
    request = SimpleNamespace(routing_context=Context())
    chosen: Any = await router._choose_replica_for_request(request, is_retry=is_retry)  # noqa: SLF001
    assert chosen == (router._replicas["b"] if at_once else "Serve's")  # noqa: SLF001
    assert asked == ([] if at_once else [(False, is_retry)])


def test_whoever_is_called_is_called_this_way_and_the_ingress_is_not() -> None:
    chosen = called_options(Placement())["request_router_config"].request_router_class
    assert chosen == f"{LeastOutstandingRouter.__module__}.{LeastOutstandingRouter.__name__}"
    assert "request_router_config" not in options(Placement())


class Meeting(LeastOutstandingRouter):
    """Meets replicas beside the loop, while `open` is set. `fails`: so often first. `dead`: Ray knows no such actor."""

    def __init__(self) -> None:
        self._replicas: Any = {}
        self.open = threading.Event()
        self.fails = 0
        self.dead: set[str] = set()
        self.met_on: set[threading.Thread] = set()
        self.initialize_state()

    @property
    def _event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def create_replica_wrapper(self, replica_info: Any) -> Any:
        self.met_on.add(threading.current_thread())
        assert self.open.wait(5), "nobody let it in"
        if self.fails:
            self.fails -= 1
            raise TimeoutError("the control store is away")
        if replica_info.replica_id in self.dead:
            raise ValueError("no such actor")
        return SimpleNamespace(replica_id=replica_info.replica_id, update_replica_info=lambda info: None)

    def told(self, *names: str) -> None:
        self._update_running_replicas([SimpleNamespace(replica_id=name) for name in names])

    @property
    def known(self) -> list[str]:
        return list(self._replicas)


@pytest.fixture
def _keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(router: Any, replicas: list[Any]) -> None:
        router._replicas = {replica.replica_id: replica for replica in replicas}  # noqa: SLF001

    monkeypatch.setattr(RequestRouter, "update_replicas", keep)


@contextmanager
def closed(router: Meeting) -> Iterator[None]:
    """What it meets now waits."""
    router.open.clear()
    try:
        yield
    finally:
        router.open.set()


@pytest.mark.usefixtures("_keeps_them")
async def test_a_new_replica_is_met_beside_the_loop_and_one_that_left_goes_at_once() -> None:
    router = Meeting()
    router.open.set()
    router.told("a", "b")
    await until(lambda: router.known == ["a", "b"])
    with closed(router):
        router.told("b", "c")
        assert router.known == ["b"]
        router.told("b", "c", "d")
        router.told("b", "d")
        await asyncio.sleep(0)
        assert router.known == ["b"]
    await until(lambda: router.known == ["b", "d"])
    assert router._meeting is not None  # noqa: SLF001
    await router._meeting  # noqa: SLF001
    assert router.known == ["b", "d"]
    assert threading.main_thread() not in router.met_on


@pytest.mark.usefixtures("_keeps_them")
async def test_a_replica_that_has_died_is_passed_over_and_a_control_store_that_is_away_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"{LeastOutstandingRouter.__module__}.RETRY_S", 0)
    router = Meeting()
    router.open.set()
    router.fails, router.dead = 2, {"gone"}
    router.told("gone", "here")
    await until(lambda: router.known == ["here"])
    assert router.fails == 0
    assert router._meeting is not None  # noqa: SLF001
    await router._meeting  # noqa: SLF001
    router.told("gone", "here", "next")
    await until(lambda: router.known == ["here", "next"])
