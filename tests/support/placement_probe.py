"""A Ray of four nodes on one machine, two of which say that they have a GPU: prints where each actor went.

Run as a program: Ray's own state must not stay in the tests' process.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import ray
from ray import serve
from ray._private.state import actors
from ray.cluster_utils import Cluster

from loadtests import stand_in

PLACES = ("head", "plain", "gpu-a", "gpu-b")
WAIT_S = 120.0


def until(condition: Callable[[], Any], what: str) -> Any:
    give_up = time.monotonic() + WAIT_S
    while time.monotonic() < give_up:
        if value := condition():
            return value
        time.sleep(0.1)
    raise TimeoutError(f"{what}: {[a for a in actors().values() if a['ActorClassName'] == 'CacheActor']}")


def where(names: dict[str, str]) -> dict[str, list[str]]:
    """Nodes of each kind of actor that lives, by the actor's class, sorted."""
    found: dict[str, list[str]] = {}
    for actor in actors().values():
        if actor["State"] == "ALIVE":
            kind = actor["Name"].split("#")[-2] if "#" in actor["Name"] else actor["ActorClassName"]
            found.setdefault(kind, []).append(names[actor["Address"]["NodeID"]])
    return {kind: sorted(nodes) for kind, nodes in found.items()}


def moved(now: dict[str, list[str]]) -> dict[str, list[str]] | None:
    """Where everything is once the cache has left the node that is gone."""
    return now if now.get("CacheActor", ["plain"]) != ["plain"] else None


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
    nodes = {"head": cluster.head_node, "plain": cluster.add_node(num_cpus=2, resources={"cpu_node": 10})}
    nodes |= {name: cluster.add_node(num_cpus=2, num_gpus=1) for name in PLACES[2:]}
    ray.init(address=cluster.address, logging_level="error", log_to_driver=False)
    names = {node.node_id: name for name, node in nodes.items()}
    serve.start(proxy_location="Disabled")
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    serve.run(stand_in.build(4, 2, gpus=0.5, beside={"cpu_node": 1}), route_prefix=None)
    told = {"begun": until(lambda: where(names).get("CacheActor") and where(names), "the cache")}
    cluster.remove_node(nodes["plain"], allow_graceful=False)
    told["after"] = until(lambda: moved(where(names)), "the cache on another node")

    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    serve.shutdown()
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
