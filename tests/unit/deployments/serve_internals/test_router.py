"""What Serve's router is offered. The imports of Ray warn, and warnings are errors."""

import asyncio
import warnings
from typing import Any

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


class Router(LeastOutstandingRouter):
    """Without Serve behind it. `queued`: what Serve believes of each replica; None: nothing."""

    def __init__(self, queued: dict[str, int | None]) -> None:
        self._replicas: Any = {name: Replica() for name in queued}
        self.queued = Queued(queued)
        self.initialize_state()

    def apply_locality_routing(self, pending_request: Any = None) -> set[Any]:
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


def test_whoever_is_called_is_called_this_way_and_the_ingress_is_not() -> None:
    chosen = called_options(Placement())["request_router_config"].request_router_class
    assert chosen == f"{LeastOutstandingRouter.__module__}.{LeastOutstandingRouter.__name__}"
    assert "request_router_config" not in options(Placement())
