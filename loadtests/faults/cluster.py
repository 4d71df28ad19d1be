"""`python -m loadtests.faults.cluster CONFIG`: a Ray cluster of several nodes on this machine, until SIGINT.

As an operator does: a node whose raylet died is cleared away and another is added; a head only with `--redis`, where
the next one finds what the last one knew. A killed Redis is away for a while, then it reads its file. What runs on the
cluster is deployed by `serve deploy`, from CONFIG and whenever somebody deploys another. Everything ends with this
process.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import psutil

from app.local import haproxy
from app.local.serve_environment import LocalPorts, environment, haproxy_binary
from app.system import ports, processes
from loadtests.kept_port import kept_port

POLL_S = 0.2
CPUS = 2
OBJECT_STORE_BYTES = 100 * 2**20
HEAD_NICENESS = 10
REDIS_START_S = 20.0
# Longer than it takes three Redis with Sentinels to name another primary.
REDIS_AWAY_S = 15.0
# Before the head's variables, which name its script: a worker's would start that one.
BINARY = haproxy_binary()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--workers", type=int, required=True, help="nodes beside the head")
    parser.add_argument("--front", action="store_true", help="the head serves too: what asks for the resource `front`")
    parser.add_argument("--redis", action="store_true", help="the head's memory is a Redis of its own, and outlives it")
    parser.add_argument("--door", type=int, default=None, help="port of the first worker's HTTP proxy; default: any")
    parser.add_argument("--dashboard", type=int, required=True, help="port that `serve deploy` speaks to")
    asked = parser.parse_args()
    processes.adopt_orphans()
    stop = threading.Event()
    nodes: Nodes | None = None
    redis: Redis | None = None
    try:
        # Short names: HAProxy's sockets are below it, and their paths may have 97 letters.
        with (
            kept_port() as redis_port,  # also while Redis is away
            tempfile.TemporaryDirectory(prefix="embed-", ignore_cleanup_errors=True) as folder,
        ):
            # Read when Ray is imported, and handed down to all that the head starts.
            head_ports = LocalPorts.choose()
            port = int(os.environ["PORT"])
            os.environ |= _variables(Path(folder, "0"), head_ports, head_ports, port)
            if asked.redis:
                redis = Redis(Path(folder), redis_port)
                os.environ |= redis.variables()
            nodes = Nodes(Path(folder), head_ports, asked.workers, asked.dashboard, asked.front, asked.door, redis)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
            deploy(asked.config, asked.dashboard)
            while not stop.wait(POLL_S):
                nodes.mend()
    finally:
        processes.end_descendants(10.0)
        if redis is not None:
            redis.end()
        if nodes is not None:
            nodes.forget()


def deploy(config: Path, dashboard: int) -> None:
    """`serve deploy`, as a user types it.

    Raises:
        subprocess.CalledProcessError: It was refused.
    """
    argv = [str(Path(sys.executable).parent / "serve"), "deploy", str(config), "-a", f"http://127.0.0.1:{dashboard}"]
    subprocess.run(argv, check=True, env=os.environ | {"RAY_AUTH_MODE": "token"})


class Redis:
    """One that lives as long as this process, and keeps what it is told in a file. Raises SystemExit without one."""

    def __init__(self, folder: Path, port: int, clock: Callable[[], float] = time.monotonic) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            sys.exit("redis-server is needed: apt-get install redis-server")
        self._port = port
        on_disk = ["--save", "", "--appendonly", "yes", "--dir", str(folder)]
        # A title of its own would be written over the environment, by which the killer knows its victims.
        here = ["--bind", "127.0.0.1", "--port", str(self._port), "--set-proc-title", "no"]
        self._argv = [binary, *here, *on_disk]
        self._log = Path(folder, "redis.log")
        self._clock = clock
        self._died_at = 0.0
        self._start()
        give_up = time.monotonic() + REDIS_START_S
        while not self.answers():
            if time.monotonic() > give_up:
                sys.exit(f"redis-server does not answer: {self._log.read_text()[-500:]}")
            time.sleep(POLL_S)

    def variables(self) -> dict[str, str]:
        """By which Ray's head keeps what it knows there (GCS fault tolerance: docs.ray.io, "Fault tolerance: GCS").

        Workers wait for a head as long as KubeRay has them wait.
        """
        return {
            "RAY_REDIS_ADDRESS": f"127.0.0.1:{self._port}",
            "RAY_external_storage_namespace": "faults",
            "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
        }

    def answers(self) -> bool:
        """Not while it reads its file."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        return False

    def mend(self) -> None:
        """Started anew when it has been away for long enough."""
        if self._process.poll() is None:
            return
        self._died_at = self._died_at or self._clock()
        if self._clock() - self._died_at >= REDIS_AWAY_S:
            self._died_at = 0.0
            self._start()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(self._argv, stdout=log)


class Nodes:
    """The head and its workers, which have the resource `back`. With no workers the head serves all by itself."""

    def __init__(
        self,
        folder: Path,
        head: LocalPorts,
        workers: int,
        dashboard: int,
        front: bool,
        door: int | None,
        redis: Redis | None,
    ) -> None:
        from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
        from ray.cluster_utils import Cluster

        # As `ray.init` does where it starts Ray itself.
        ensure_token_if_auth_enabled(None, create_token_if_missing=True)

        self._folder = folder
        self._redis = redis
        self._head = head
        self._made = 0
        self._workers = workers
        [gcs] = ports.free(1)
        self._head_args = {
            "num_cpus": CPUS if front or not workers else 0,
            "resources": {"front": 100} if front else {},
            "include_dashboard": True,
            "dashboard_port": dashboard,
            "object_store_memory": OBJECT_STORE_BYTES,
            # Where the workers look for the next head, as for the same Service on Kubernetes.
            "gcs_server_port": gcs,
        }
        with _behind() if redis else nullcontext():
            self._cluster: Any = Cluster(initialize_head=True, shutdown_at_exit=False, head_node_args=self._head_args)
        for number in range(workers):
            self._add(door if number == 0 else None)

    def mend(self) -> None:
        """Another node for each whose raylet is gone."""
        for node in list(self._cluster.worker_nodes):
            if "raylet" not in _alive(node):
                self._cluster.remove_node(node, allow_graceful=False)
        for _ in range(self._workers - len(self._cluster.worker_nodes)):
            try:
                self._add()
            except Exception as error:  # noqa: BLE001 - what Ray raises of a node that died while it started
                print(f"a node did not start, the next look adds another: {error}", flush=True)
        if self._redis is not None:
            self._redis.mend()
            self._mend_head(self._redis)

    def _mend_head(self, redis: Redis) -> None:
        """As KubeRay does: a head of which one part ended goes as a whole, and the next one begins when it can."""
        head = self._cluster.head_node
        if head is not None and not {"raylet", "gcs_server"} <= _alive(head):
            head.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
            self._cluster.head_node = None
        # On Kubernetes one that finds no Redis ends, and is made anew until it does.
        if self._cluster.head_node is None and redis.answers():
            before = set(psutil.Process().children())
            try:
                with _behind():
                    self._cluster.add_node(wait=False, **self._head_args)
            except Exception as error:  # noqa: BLE001 - as of a worker
                print(f"a head did not start, the next look adds another: {error}", flush=True)
                for part in set(psutil.Process().children()) - before:
                    part.kill()

    def forget(self) -> None:
        """Else whoever starts a Ray on this machine next would look for this one."""
        from ray._common.utils import get_ray_address_file

        file = Path(get_ray_address_file(None))
        if file.exists() and file.read_text().strip() == self._cluster.address:
            file.unlink()

    def _add(self, door: int | None = None) -> None:
        self._made += 1
        own = LocalPorts.choose()
        port = door or ports.free(1)[0]
        folder = Path(self._folder, str(self._made))
        variables = _variables(folder, own, self._head, port)
        self._cluster.add_node(
            wait=False,
            num_cpus=CPUS,
            resources={"back": 100},
            object_store_memory=OBJECT_STORE_BYTES,
            env_vars=variables | {"RAY_SERVE_WORKER_PROXY_HTTP_PORT": str(port)},
        )


@contextmanager
def _behind() -> Iterator[None]:
    """What starts here has the CPUs that are left: elsewhere a head starts on a machine of its own, and here its dozen
    of processes would take them from those that answer. Without the right to come back this process stays there too.
    """
    own = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, own + HEAD_NICENESS)
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, own)


def _alive(node: Any) -> set[str]:
    """Kinds of its processes that run."""
    return {kind for kind, _ in node.live_processes()}


def _variables(folder: Path, own: LocalPorts, head: LocalPorts, port: int) -> dict[str, str]:
    """Of one node. The replicas' ports are the head's to give: it has one range for all nodes."""
    folder.mkdir()
    script = haproxy.write(folder, BINARY, "127.0.0.1", port) if BINARY else None
    shared = LocalPorts(own.haproxy_stats, own.haproxy_metrics, own.fallback_http, own.fallback_grpc, head.replicas)
    return environment(shared, folder, script)


if __name__ == "__main__":
    main()
