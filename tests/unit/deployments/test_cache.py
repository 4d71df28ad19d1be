"""The ingress's way to the cache's actors. The imports of Ray warn, and warnings are errors here."""

import warnings
from typing import Any

import pytest

from app.config.args import CacheArgs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.exceptions import RayActorError

    from deployments import cache
    from deployments.cache import CacheTransport
    from deployments.named_actor import GCS_S


def name_of(application: str = "a", shard: int = 0, **args: Any) -> str:
    return CacheTransport(application, CacheArgs(**args), shard).actor.name


@pytest.mark.parametrize("change", [{"max_size": 9}, {"max_bytes": 9}, {"ttl_ms": 9}, {"lease_s": 9.0}, {"shards": 2}])
def test_what_the_actor_is_started_with_changes_its_name(change: dict[str, Any]) -> None:
    assert name_of(**change) != name_of()


def test_what_is_the_ingress_s_own_does_not() -> None:
    assert name_of(near_max_bytes=9, deadline_ms=9.0) == name_of()
    # As many entries a shard: each keeps its own.
    assert name_of(max_size=20_000, max_bytes=2**29, shards=2) == name_of()


def test_applications_and_shards_have_names_of_their_own() -> None:
    assert len({name_of(application, shard) for application in "ab" for shard in range(2)}) == 4


class Actor:
    """Drops `entries`, or has exited."""

    def __init__(self, entries: int | None) -> None:
        self.entries = entries
        self.clear = self

    async def remote(self) -> int:
        if self.entries is None:
            raise RayActorError
        return self.entries


@pytest.mark.parametrize(("shard", "dropped"), [(0, 111), (1, 1)])
async def test_clear_reaches_actors_of_older_settings_once(
    shard: int, dropped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    older: dict[str, Actor | None] = {"a": Actor(10), "exited": Actor(None), "gone": None, "b": Actor(100)}

    def get_actor(name: str, namespace: str) -> Actor:
        if (found := older[name]) is None:
            raise ValueError(name)
        return found

    async def call(method: str) -> int:
        assert method == "clear"
        return 1

    monkeypatch.setattr(cache, "other_settings", lambda _: list(older))
    monkeypatch.setattr("ray.get_actor", get_actor)
    transport = CacheTransport("a", CacheArgs(shards=2), shard)
    monkeypatch.setattr(transport.actor, "call", call)
    assert await transport.clear() == dropped


async def test_clear_empties_its_own_actor_while_ray_does_not_say_which_others_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cleared: list[str] = []

    async def call(method: str) -> int:
        cleared.append(method)
        return 1

    async def no_answer(find: Any, deadline_s: float) -> Any:
        assert deadline_s < GCS_S
        raise TimeoutError

    monkeypatch.setattr(cache, "ask_gcs", no_answer)
    transport = CacheTransport("a", CacheArgs())
    monkeypatch.setattr(transport.actor, "call", call)
    with pytest.raises(TimeoutError):
        await transport.clear()
    assert cleared == ["clear"]
