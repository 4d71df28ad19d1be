"""What an ingress replica is told of replicas that don't run yet. The imports of Ray warn, and warnings are errors."""

import warnings
from types import SimpleNamespace
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from deployments import telemetry

SCHEDULED = "has 1 replicas that have taken more than 30s to be scheduled."


def deployment(running: int, message: str = "") -> Any:
    return SimpleNamespace(replica_states={"RUNNING": running, "STARTING": 1}, message=message)


async def test_what_has_no_replica_is_named_with_what_it_reserves_until_all_had_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Afterwards nobody is asked: a replica that dies later is no start."""
    deployments = {"Ingress": deployment(1), "Clip": deployment(0, SCHEDULED), "Similarity": deployment(0)}
    asked: list[None] = []

    def status() -> Any:
        asked.append(None)
        return SimpleNamespace(applications={"app": SimpleNamespace(deployments=dict(deployments))})

    context = SimpleNamespace(app_name="app")
    monkeypatch.setattr(telemetry, "serve", SimpleNamespace(get_replica_context=lambda: context, status=status))
    monkeypatch.setattr(telemetry, "START_STATUS_S", 0.0)
    metrics = telemetry.ClusterMetrics(SimpleNamespace(), {"Clip": "0.3 CPU, 1 GPU", "Similarity": "0.4 CPU"})  # type: ignore[arg-type]
    assert await metrics.waiting() == [
        f"Clip has no replica yet; one reserves 0.3 CPU, 1 GPU. {SCHEDULED}",
        "Similarity has no replica yet; one reserves 0.4 CPU.",
    ]
    deployments |= {"Clip": deployment(1), "Similarity": deployment(2)}
    assert await metrics.waiting() == []
    deployments["Clip"] = deployment(0)
    assert (await metrics.waiting(), len(asked)) == ([], 2)


async def test_a_controller_that_does_not_answer_makes_nobody_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def status() -> Any:
        raise RuntimeError("no controller")

    context = SimpleNamespace(app_name="app")
    monkeypatch.setattr(telemetry, "serve", SimpleNamespace(get_replica_context=lambda: context, status=status))
    metrics = telemetry.ClusterMetrics(SimpleNamespace(), {"Clip": "0.3 CPU"})  # type: ignore[arg-type]
    assert await metrics.waiting() == []
