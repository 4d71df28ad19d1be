"""Calls on a named actor, its name and its node. The imports of Ray warn, and warnings are errors here."""

import asyncio
import threading
import warnings
from typing import Any

import pytest

from tests.support.aio import in_time, turns, until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.exceptions import RayActorError

    from deployments import named_actor
    from deployments.named_actor import HEAD, NAMESPACE, NODE_ID, NamedActor, _where, actor_name, other_settings


def node(id_: str, resource: str = "CPU", *, alive: bool = True) -> dict[str, Any]:
    return {"NodeID": id_, "Alive": alive, "Resources": {resource: 1.0}}


def head(id_: str = "h") -> dict[str, Any]:
    return node(id_, HEAD)


def chosen(nodes: list[dict[str, Any]], place: int = 0) -> tuple[str, str]:
    """(where it may go when its node is gone, its node)."""
    options = _where(nodes, place)
    [elsewhere] = options["fallback_strategy"]
    return elsewhere["label_selector"][NODE_ID], options["label_selector"][NODE_ID]


def test_a_lone_node_takes_it() -> None:
    assert _where([head()], 0) == {}
    assert _where([head(), node("w", alive=False)], 0) == {}


def test_not_the_head_and_rather_without_a_gpu() -> None:
    nodes = [head(), node("g", "GPU"), node("w")]
    assert chosen(nodes) == ("!in(h)", "w")
    assert chosen(nodes[:2]) == ("!in(h)", "g")


def test_several_are_spread() -> None:
    nodes = [head(), node("b"), node("a"), node("g", "GPU")]
    assert [chosen(nodes, place)[1] for place in range(3)] == ["a", "b", "a"]


class FakeActor:
    """A handle; `dead` is what its calls raise. Answers with what it was called with."""

    def __init__(self) -> None:
        self.dead: Exception | None = None

    def __getattr__(self, method: str) -> Any:
        async def remote(*args: Any) -> Any:
            if self.dead is not None:
                raise self.dead
            return (method, *args)

        return type("Method", (), {"remote": staticmethod(remote)})


class Gcs:
    """Creates actors, in the thread that asks; while `blocked` it does not answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.actors: list[FakeActor] = []
        self.answers = threading.Event()
        self.answers.set()

    def create(self, cls: type[Any], name: str, args: tuple[Any, ...], place: int) -> FakeActor:
        self.asked.append((cls, name, args, place))
        assert self.answers.wait(10)  # before the test itself would be given up
        self.actors.append(FakeActor())
        return self.actors[-1]


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Gcs:
    gcs = Gcs()
    monkeypatch.setattr(named_actor, "_create", gcs.create)
    return gcs


async def test_the_first_call_creates_the_actor_and_all_are_made_on_it(gcs: Gcs) -> None:
    actor = NamedActor(object, "name", 1, 2, place=3)
    assert gcs.asked == []
    assert await asyncio.gather(*(actor.call("add", n) for n in range(3))) == [("add", n) for n in range(3)]
    assert await actor.call("clear") == ("clear",)
    assert gcs.asked == [(object, "name", (1, 2), 3)]


async def test_a_lost_actor_is_looked_up_again_and_other_errors_are_its_own(gcs: Gcs) -> None:
    actor = NamedActor(object, "name")
    await actor.call("m")
    errors: tuple[tuple[Exception, int], ...] = ((ValueError(), 1), (RayActorError(), 2))
    for error, looked_up in errors:
        gcs.actors[-1].dead = error
        with pytest.raises(type(error)):
            await actor.call("m")
        gcs.actors[-1].dead = None
        assert await actor.call("m") == ("m",)
        assert len(gcs.asked) == looked_up


async def test_a_look_up_that_blocks_leaves_the_loop_free_and_has_an_end(gcs: Gcs) -> None:
    gcs.answers.clear()
    calling = asyncio.create_task(NamedActor(object, "first").call("m"))
    await until(lambda: len(gcs.asked) == 1)  # it is in `create` now, and this loop still runs
    with pytest.raises(TimeoutError):
        await in_time(NamedActor(object, "second", deadline_s=0.01).call("m"))
    assert not calling.done()
    gcs.answers.set()
    assert await calling == ("m",)
    assert await NamedActor(object, "third").call("m") == ("m",)
    assert [name for _, name, *_ in gcs.asked] == ["first", "third"]


async def test_who_leaves_does_not_cancel_the_look_up_of_the_others(gcs: Gcs) -> None:
    actor = NamedActor(object, "name")
    gcs.answers.clear()
    first, second = (asyncio.create_task(actor.call("m")) for _ in range(2))
    await until(lambda: len(gcs.asked) == 1)
    first.cancel()
    await turns()
    gcs.answers.set()
    assert await second == ("m",)
    assert (first.cancelled(), len(gcs.asked)) == (True, 1)


def test_actors_of_other_settings_are_those_of_the_same_application_and_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = actor_name("a", "cache", (10, 20))
    theirs = [actor_name("a", "cache", (10, 21)), actor_name("a", "cache", (10, 22), shard=1)]
    strange = [
        actor_name("a", "cache", (10, 20), shard=1),
        actor_name("a", "metrics", (10, 21)),
        actor_name("b", "cache", (10, 21)),
        actor_name("a:cache", "cache", (10, 21)),
        "a",
    ]
    named = [{"name": name, "namespace": NAMESPACE} for name in (mine, *theirs, *strange)]
    named.append({"name": actor_name("a", "cache", (9,)), "namespace": "another"})

    def listed(all_namespaces: bool) -> list[dict[str, str]]:
        return named if all_namespaces else []

    monkeypatch.setattr(named_actor, "list_named_actors", listed)
    assert other_settings(mine) == theirs
    assert len({mine, *theirs, *strange}) == 8
