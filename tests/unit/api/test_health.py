"""When `/health` is 200, what it calls that, and what `/readyz` and `/livez` say at the same time."""

from dataclasses import replace
from typing import Literal

import pytest

from app.cache.shared import CacheStats
from app.service.encoder import ModelState
from app.telemetry.registry import Snapshot
from tests.support.calling import FIGURES, Service
from tests.support.service_fakes import FakeEncoder, info_of

ModelStatus = Literal["loading", "ready", "unavailable"]
TEXT, SECOND, IMAGE = "makers/text", "makers/second", "makers/pictures"


def with_states(text: ModelStatus, second: ModelStatus, image: ModelStatus) -> Service:
    service = Service(FakeEncoder(TEXT), FakeEncoder(SECOND), FakeEncoder(IMAGE, ("image",)))
    for id_, status in ((TEXT, text), (SECOND, second), (IMAGE, image)):
        encoder = service.embeddings.encoders[id_]
        reason = "no weights" if status == "unavailable" else None
        info = info_of(id_, kinds=encoder.kinds) if status == "ready" else None
        vars(encoder)["state"] = ModelState(id_, status, info, reason)
    return service


@pytest.mark.parametrize(
    ("text", "second", "image", "code", "status"),
    [
        ("ready", "ready", "ready", 200, "healthy"),
        ("loading", "loading", "loading", 503, "starting"),
        # Every model must have left `loading`, of whatever kind.
        ("ready", "loading", "ready", 503, "starting"),
        ("ready", "ready", "loading", 503, "starting"),
        ("unavailable", "ready", "ready", 200, "degraded"),
        ("ready", "ready", "unavailable", 200, "degraded"),
        # Without any text model there is no service.
        ("unavailable", "unavailable", "ready", 503, "starting"),
    ],
)
def test_health_and_readiness_by_the_states_of_models(
    text: ModelStatus, second: ModelStatus, image: ModelStatus, code: int, status: str
) -> None:
    service = with_states(text, second, image)
    answer = service.get("/health")
    told = answer.json()
    assert (answer.status_code, told["status"]) == (code, status)
    assert [model["status"] for model in told["details"]] == [text, second, image]
    assert [reason for reason in told["reasons"] if "no weights" in reason] == [
        f"{model['id']}: no weights" for model in told["details"] if model["status"] == "unavailable"
    ]
    assert service.get("/readyz").status_code == code
    assert service.get("/livez").status_code == 200


def test_without_the_cache_it_is_degraded_and_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    service = with_states("ready", "ready", "ready")

    async def away() -> CacheStats:
        return replace(FIGURES, available=False)

    monkeypatch.setattr(service.control, "stats", away)
    answer = service.get("/health")
    told = answer.json()
    assert (answer.status_code, told["status"], told["cache"]["available"]) == (200, "degraded", False)
    assert [reason.partition(" can't")[0] for reason in told["reasons"]] == ["The shared cache"]
    assert service.get("/readyz").status_code == 200


@pytest.mark.parametrize("slow", ["cache", "cluster"])
def test_what_health_says_is_of_one_moment(slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = with_states("unavailable", "ready", "ready")

    def becomes_ready() -> None:
        vars(service.embeddings.encoders[TEXT])["state"] = ModelState(TEXT, "ready", info_of(TEXT))

    async def stats() -> CacheStats:
        becomes_ready()
        return FIGURES

    class Slow(Waiting):
        async def waiting(self) -> list[str]:
            becomes_ready()
            return []

    if slow == "cache":
        monkeypatch.setattr(service.control, "stats", stats)
    else:
        service.backend.metrics = Slow()
    told = service.get("/health").json()
    assert (told["status"], told["reasons"]) == ("healthy", [])
    assert [model["status"] for model in told["details"]] == ["ready"] * 3


def test_a_note_of_a_stand_in_is_a_reason() -> None:
    service = with_states("ready", "ready", "ready")
    encoder = service.embeddings.encoders[IMAGE]
    vars(encoder)["state"] = ModelState(IMAGE, "ready", info_of(IMAGE, kinds=("image",), note="another one serves"))
    told = service.get("/health").json()
    assert (told["status"], told["reasons"]) == ("degraded", ["another one serves"])


class Waiting:
    """The cluster's metrics, of a service whose Similarity has no room."""

    async def read(self) -> Snapshot:
        return Snapshot()

    async def waiting(self) -> list[str]:
        return ["Similarity has no replica yet; one reserves 0.4 CPU."]


def test_a_replica_that_waits_for_room_is_named_while_the_ingress_lives() -> None:
    service = with_states("ready", "ready", "ready")
    service.backend.metrics = Waiting()
    answer = service.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "starting")
    assert answer.json()["reasons"] == ["Similarity has no replica yet; one reserves 0.4 CPU."]
    assert service.get("/livez").status_code == 200
