"""Where a replica's accounting is found. The imports of Ray warn, and warnings are errors here."""

import asyncio
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray._private import worker

    from deployments.serve_internals.accounting import ReplicaAccounting, own_ledger


def test_a_process_that_is_no_replica_as_we_know_them_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_ledger() is None
    changed = SimpleNamespace(_replica_impl=SimpleNamespace(_metrics_manager=object()))
    monkeypatch.setattr(worker.global_worker, "actors", {1: object(), 2: changed})
    assert own_ledger() is None


def test_a_replica_knows_its_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    recorded: list[dict[str, Any]] = []
    metrics = SimpleNamespace(
        inc_num_ongoing_requests=lambda _: counted.append(1),
        dec_num_ongoing_requests=lambda _: counted.append(-1),
        record_request_metrics=lambda **tags: recorded.append(tags),
        record_ingress_request_metrics=None,
    )
    replica = SimpleNamespace(
        _metrics_manager=metrics,
        _deployment_id=None,
        _semaphore=asyncio.Semaphore(0),
        _quiescing=True,
        _user_callable_wrapper=SimpleNamespace(_run_user_code_in_separate_thread=False),
    )
    monkeypatch.setattr(worker.global_worker, "actors", {1: SimpleNamespace(_replica_impl=replica)})
    accounting = own_ledger()
    assert isinstance(accounting, ReplicaAccounting)
    assert accounting.is_full
    assert accounting.is_draining
    accounting.called(accounting.began(), error=True)
    assert (counted, [(one["route"], one["is_error"]) for one in recorded]) == ([1, -1], [("", True)])
