"""Who is looked at while a model's queue is full."""

import pytest

from app.api.routes import NEEDS, ROUTES
from app.dispatch.load_shedding import LOOKS_AT_ONCE, LOOKS_PER_S, LoadShedder
from app.errors import Overloaded
from app.words import Kind
from tests.support.aio import Clock

FULL = Overloaded("small-model has 5.0 s of work waiting.", retry_after=5)


class Queues:
    def __init__(self, *full: Kind) -> None:
        self.full = full

    def __call__(self, kind: Kind) -> Overloaded | None:
        return FULL if kind in self.full else None


def looked_at(shedder: LoadShedder, requests: int, path: str = "/embed/text") -> int:
    return sum(shedder.shed("POST", path) is None for _ in range(requests))


def test_all_are_looked_at_while_there_is_room() -> None:
    assert looked_at(LoadShedder(Queues("image"), NEEDS, Clock()), 1000) == 1000


def test_of_a_flood_so_many_a_second_are_looked_at_and_the_rest_hear_why_not() -> None:
    clock = Clock()
    shedder = LoadShedder(Queues("text"), NEEDS, clock)
    assert looked_at(shedder, 1000) == LOOKS_AT_ONCE
    assert shedder.shed("POST", "/v1/embeddings") is FULL
    clock.now += 0.5
    assert looked_at(shedder, 1000) == LOOKS_PER_S / 2
    clock.now += 3600
    assert looked_at(shedder, 1000) == LOOKS_AT_ONCE


def test_once_there_is_room_all_are_looked_at_again() -> None:
    queues = Queues("text")
    shedder = LoadShedder(queues, NEEDS, Clock())
    assert looked_at(shedder, 1000) == LOOKS_AT_ONCE
    queues.full = ()
    assert looked_at(shedder, 1000) == 1000


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/embed/text"),
        ("POST", "/search"),
        ("POST", "/embed/batch"),
        ("POST", "/cache/clear"),
        ("GET", "/health"),
    ],
)
def test_what_may_need_no_model_is_always_looked_at(method: str, path: str) -> None:
    shedder = LoadShedder(Queues("text", "image"), NEEDS, Clock())
    assert [shedder.shed(method, path) for _ in range(1000)] == [None] * 1000


@pytest.mark.parametrize(
    ("full", "shed"),
    [
        ("image", {"/embed/image", "/vectorize"}),
        (
            "text",
            {
                *("/embed/text", "/embed/chunks", "/v1/contextualizedembeddings", "/v1/embeddings", "/embeddings"),
                *("/embed", "/", "/api/embed", "/api/embeddings", "/vectors"),
            },
        ),
        ("rerank", {"/rerank", "/elastic/rerank", "/v1/rerank", "/v2/rerank", "/v1/ranking", "/score"}),
        ("sparse", {"/embed_sparse"}),
        ("token", {"/embed_all"}),
    ],
)
def test_each_route_asks_for_its_own_kind_of_model(full: Kind, shed: set[str]) -> None:
    posts = {route.path for route in ROUTES if route.method == "POST"}
    assert {path for path in posts if looked_at(LoadShedder(Queues(full), NEEDS, Clock()), 30, path) < 30} == shed


def test_the_page_is_looked_at_though_its_path_is_an_alias_of_embed() -> None:
    shedder = LoadShedder(Queues("text"), NEEDS, Clock())
    assert looked_at(shedder, 1000, "/") == LOOKS_AT_ONCE
    assert shedder.shed("GET", "/") is None
