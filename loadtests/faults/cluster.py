"""`python -m loadtests.faults.cluster CONFIG`: a Ray cluster of several nodes on this machine, until SIGINT.

As an operator does: a worker node whose raylet died is cleared away and another is added. What runs on the cluster is
deployed by `serve deploy`, from CONFIG and whenever somebody deploys another. Everything ends with this process.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from app import haproxy_wrapper, ports, process_tree
from app.serve_flags import LocalPorts, environment, haproxy_binary

POLL_S = 0.2
CPUS = 2
OBJECT_STORE_BYTES = 100 * 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--workers", type=int, required=True, help="nodes beside the head")
    parser.add_argument("--front", action="store_true", help="the head serves too: what asks for the resource `front`")
    parser.add_argument("--dashboard", type=int, required=True, help="port that `serve deploy` speaks to")
    asked = parser.parse_args()
    process_tree.adopt_orphans()
    stop = threading.Event()
    try:
        # Short names: HAProxy's sockets are below it, and their paths may have 97 letters.
        with tempfile.TemporaryDirectory(prefix="embed-", ignore_cleanup_errors=True) as folder:
            # Read when Ray is imported, and handed down to all that the head starts.
            head_ports = LocalPorts.choose()
            os.environ |= _variables(Path(folder, "0"), head_ports, head_ports, int(os.environ["PORT"]))
            nodes = Nodes(Path(folder), head_ports, asked.workers, asked.dashboard, asked.front)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
            deploy(asked.config, asked.dashboard)
            while not stop.wait(POLL_S):
                nodes.mend()
    finally:
        process_tree.end_descendants(10.0)


def deploy(config: Path, dashboard: int) -> None:
    """`serve deploy`, as a user types it.

    Raises:
        subprocess.CalledProcessError: It was refused.
    """
    argv = [str(Path(sys.executable).parent / "serve"), "deploy", str(config), "-a", f"http://127.0.0.1:{dashboard}"]
    subprocess.run(argv, check=True, env=os.environ | {"RAY_AUTH_MODE": "token"})


class Nodes:
    """The head and its workers, which have the resource `back`. With no workers the head serves all by itself."""

    def __init__(self, folder: Path, head: LocalPorts, workers: int, dashboard: int, front: bool) -> None:
        from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
        from ray.cluster_utils import Cluster

        # As `ray.init` does where it starts Ray itself.
        ensure_token_if_auth_enabled(None, create_token_if_missing=True)

        self._folder = folder
        self._head = head
        self._made = 0
        self._cluster: Any = Cluster(
            initialize_head=True,
            shutdown_at_exit=False,
            head_node_args={
                "num_cpus": CPUS if front or not workers else 0,
                "resources": {"front": 100} if front else {},
                "include_dashboard": True,
                "dashboard_port": dashboard,
                "object_store_memory": OBJECT_STORE_BYTES,
            },
        )
        for _ in range(workers):
            self._add()

    def mend(self) -> None:
        """Another node for each whose raylet is gone."""
        for node in list(self._cluster.worker_nodes):
            if not node.live_processes() or not any(kind == "raylet" for kind, _ in node.live_processes()):
                self._cluster.remove_node(node, allow_graceful=False)
                self._add()

    def _add(self) -> None:
        self._made += 1
        own = LocalPorts.choose()
        [port] = ports.free(1)
        variables = _variables(Path(self._folder, str(self._made)), own, self._head, port)
        self._cluster.add_node(
            wait=False,
            num_cpus=CPUS,
            resources={"back": 100},
            object_store_memory=OBJECT_STORE_BYTES,
            env_vars=variables | {"RAY_SERVE_WORKER_PROXY_HTTP_PORT": str(port)},
        )


def _variables(folder: Path, own: LocalPorts, head: LocalPorts, port: int) -> dict[str, str]:
    """Of one node. The replicas' ports are the head's to give: it has one range for all nodes."""
    folder.mkdir()
    binary = haproxy_binary()
    script = haproxy_wrapper.write(folder, binary, "127.0.0.1", port) if binary else None
    shared = LocalPorts(own.haproxy_stats, own.haproxy_metrics, own.fallback_http, own.fallback_grpc, head.replicas)
    return environment(shared, folder, script)


if __name__ == "__main__":
    main()
