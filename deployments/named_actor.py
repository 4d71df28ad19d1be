"""One detached actor for the whole cluster, whoever asks first. What it does is its class's."""

from typing import Any, Final

import ray

HEAD: Final = "node:__internal_head__"
NODE_ID: Final = "ray.io/node-id"


def shared_actor(cls: type[Any], name: str, namespace: str, max_concurrency: int, *args: Any, place: int = 0) -> Any:
    """The actor of this name, made with `args` where there is none. It outlives redeploys and is restarted, empty.

    Args:
        place: Actors with different numbers begin on different nodes, as far as there are any.
    """
    return (
        ray.remote(cls)
        .options(
            name=name,
            namespace=namespace,
            get_if_exists=True,
            lifetime="detached",
            max_restarts=-1,
            max_task_retries=0,
            num_cpus=0,
            max_concurrency=max_concurrency,
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
