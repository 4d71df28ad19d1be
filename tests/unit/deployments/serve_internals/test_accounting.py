"""What Serve is told of what is answered past it. The imports of Ray warn, and warnings are errors here."""

import warnings
from types import SimpleNamespace

import pytest

from tests.support.serve_fakes import Inside

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray._private import worker

    from deployments.serve_internals.accounting import ReplicaAccounting, own_accounting, own_replica


def test_a_process_knows_the_replica_that_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_replica() is None
    inside = Inside()
    monkeypatch.setattr(worker.global_worker, "actors", {1: object(), 2: SimpleNamespace(_replica_impl=inside)})
    assert own_replica() is inside
    assert isinstance(own_accounting(), ReplicaAccounting)
    monkeypatch.delattr(worker.global_worker, "actors")
    assert own_replica() is None


async def test_places_are_those_of_the_replica() -> None:
    accounting = ReplicaAccounting(inside := Inside(most=1))
    await accounting.enter()
    assert (accounting.is_full, inside.is_full) == (True, True)
    accounting.leave()
    assert (accounting.is_full, inside.is_full) == (False, False)


def test_a_replica_that_drains_says_so() -> None:
    accounting = ReplicaAccounting(inside := Inside())
    assert not accounting.is_draining
    vars(inside).update(_quiescing=True)
    assert accounting.is_draining


def test_calls_and_requests_are_under_way_until_they_end() -> None:
    accounting = ReplicaAccounting(inside := Inside())
    accounting.called(accounting.began(), error=False)
    began = accounting.began()
    assert inside.metrics.under_way == 1
    accounting.ended(began, "GET", "/health", 503)
    assert (inside.metrics.under_way, inside.metrics.most) == (0, 1)
    assert inside.metrics.recorded == [("GET", "/health", "503", True)]
