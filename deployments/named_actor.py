"""One detached actor for a whole application, and a process's calls on it. What the actor does is its class's."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import blake2b
from typing import Any, Final, TypeVar

import ray
from ray.exceptions import RayActorError
from ray.util import list_named_actors

T = TypeVar("T")
HEAD: Final = "node:__internal_head__"
NODE_ID: Final = "ray.io/node-id"
NAMESPACE: Final = "embedding-service"
MAX_CONCURRENCY: Final = 1000  # every client keeps a call parked
GCS_S: Final = 5.0

# Ray's control store (GCS) is asked by blocking calls, which take up to a minute when it does not answer.
_gcs_thread = ThreadPoolExecutor(1, "gcs")


async def ask_gcs(call: Callable[[], T], deadline_s: float = GCS_S) -> T:
    """Run a blocking call beside the event loop. After a TimeoutError it goes on, and later ones wait for it."""
    async with asyncio.timeout(deadline_s):
        return await asyncio.get_running_loop().run_in_executor(_gcs_thread, call)


def actor_name(application: str, kind: str, settings: object = (), shard: int = 0) -> str:
    """A detached actor keeps the arguments of its first start, so other settings need another name."""
    digest = blake2b(repr(settings).encode(), digest_size=6).hexdigest()
    return f"{application}:{kind}:{digest}:{shard}"


def other_settings(name: str) -> list[str]:
    """Living actors of the same application and kind whose settings are not those of `name`. Blocks."""
    *kind, digest, _ = name.rsplit(":", 3)
    named = [actor["name"] for actor in list_named_actors(all_namespaces=True) if actor["namespace"] == NAMESPACE]
    parts = {other: other.rsplit(":", 3) for other in named}
    return [other for other, part in parts.items() if part[:2] == kind and part[2] != digest]


class NamedActor:
    """Calls on the actor of this name, which the first to call creates, and which outlives redeploys. A handle survives
    a restart of the actor, empty, but not its re-creation, so the actor is looked up again after a failure. `place`:
    actors with different numbers begin on different nodes, as far as there are any."""

    def __init__(self, cls: type[Any], name: str, *args: Any, place: int = 0, deadline_s: float = GCS_S) -> None:
        self.name = name
        self._create = partial(_create, cls, name, args, place)
        self._deadline_s = deadline_s
        self._handle: Any = None
        self._resolving: asyncio.Task[Any] | None = None

    async def call(self, method: str, *args: Any) -> Any:
        """Any exception but the method's own means that the actor was not reached; the next call looks it up again."""
        handle = self._handle if self._handle is not None else await self._resolve()
        try:
            return await getattr(handle, method).remote(*args)
        except RayActorError:
            if self._handle is handle:
                self._handle = None
            raise

    async def _resolve(self) -> Any:
        if self._resolving is None:
            # Many requests may wait for one look-up. In a context of its own no request's cancellation reaches it.
            self._resolving = asyncio.get_running_loop().create_task(self._look_up(), context=contextvars.Context())
        return await asyncio.shield(self._resolving)

    async def _look_up(self) -> Any:
        try:
            self._handle = await ask_gcs(self._create, self._deadline_s)
        finally:
            self._resolving = None
        return self._handle


def _create(cls: type[Any], name: str, args: tuple[Any, ...], place: int) -> Any:
    """The actor of this name, made with `args` where there is none. Blocks."""
    return (
        ray.remote(cls)
        .options(
            name=name,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            max_restarts=-1,
            max_task_retries=0,
            num_cpus=0,
            max_concurrency=MAX_CONCURRENCY,
            # Ray's head would remember the last 100,000 calls, for a listing that nobody asks for.
            enable_task_events=False,
            **_where(ray.nodes(), place),
        )
        .remote(*args)
    )


def _where(nodes: list[dict[str, Any]], place: int) -> dict[str, Any]:
    """Never the head, which ends with everything else and has enough to do, where there are other nodes; of these
    one without a GPU, where there is one. When that node is gone, any other one but the head."""
    alive = [node for node in nodes if node["Alive"]]
    heads = [str(node["NodeID"]) for node in alive if HEAD in node["Resources"]]
    workers = sorted((node for node in alive if HEAD not in node["Resources"]), key=lambda node: str(node["NodeID"]))
    if not workers or not heads:
        return {}
    plain = [node for node in workers if not node["Resources"].get("GPU")] or workers
    elsewhere = {"label_selector": {NODE_ID: f"!in({','.join(heads)})"}}
    return {"label_selector": {NODE_ID: plain[place % len(plain)]["NodeID"]}, "fallback_strategy": [elsewhere]}
