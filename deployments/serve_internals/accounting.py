"""What Serve's replica keeps of requests and calls that are answered past it: how many are under way, what became of
them.

Serve drains, scales and draws its charts by these. They are not part of its public interface: where they are not as
expected, there is no accounting, and everything goes through Serve.
"""

import time
from typing import Any, Final

from ray._private import worker
from ray.serve._private.common import RequestMetadata, RequestProtocol

# What is asked of both; a Ray without one of these has changed.
_OF_REPLICA: Final = ("_metrics_manager", "_deployment_id", "_semaphore", "_user_callable_wrapper")
_OF_METRICS: Final = (
    "inc_num_ongoing_requests",
    "dec_num_ongoing_requests",
    "record_request_metrics",
    "record_ingress_request_metrics",
)


class ReplicaAccounting:
    """One per replica."""

    def __init__(self, replica: Any) -> None:
        self._replica = replica
        self._metrics = replica._metrics_manager  # noqa: SLF001 - see above
        self._names = replica._deployment_id  # noqa: SLF001
        # Nothing of one request is read from it, but that it came by HTTP and through no proxy of Serve's.
        self._kind = RequestMetadata(
            request_id="", internal_request_id="", _request_protocol=RequestProtocol.HTTP, is_direct_ingress=True
        )

    @property
    def is_full(self) -> bool:
        """Whether Serve would have the next one wait."""
        return bool(self._replica._semaphore.locked())  # noqa: SLF001

    @property
    def is_draining(self) -> bool:
        """Whether Serve would have the router send the next one to another replica, since this one ends."""
        return bool(getattr(self._replica, "_quiescing", False))

    async def enter(self) -> None:
        """Take a place among those that may be under way; does not wait unless they are full."""
        await self._replica._semaphore.acquire()  # noqa: SLF001

    def leave(self) -> None:
        self._replica._semaphore.release()  # noqa: SLF001

    def began(self) -> float:
        """Returns the time, for `ended`."""
        self._metrics.inc_num_ongoing_requests(self._kind)
        return time.perf_counter()

    def called(self, began: float, error: bool) -> None:
        """A call by another deployment has ended."""
        self._metrics.dec_num_ongoing_requests(self._kind)
        ms = (time.perf_counter() - began) * 1e3
        self._metrics.record_request_metrics(route="", latency_ms=ms, is_error=error)

    def ended(self, began: float, method: str, route: str, status: int) -> None:
        """`status` 499 is a client that left."""
        ms = (time.perf_counter() - began) * 1e3
        self._metrics.dec_num_ongoing_requests(self._kind)
        self._metrics.record_request_metrics(route=route, latency_ms=ms, is_error=False)
        self._metrics.record_ingress_request_metrics(
            protocol=RequestProtocol.HTTP,
            method=method,
            route=route,
            app_name=self._names.app_name,
            deployment_name=self._names.name,
            latency_ms=ms,
            is_error=status >= 400,
            status_code=str(status),
        )


def ledger_beneath(app: Any) -> ReplicaAccounting | None:
    """Of the replica whose HTTP server `app` is, beneath Serve's own middlewares; None if there is none such."""
    while (inner := getattr(app, "_app", None) or getattr(app, "app", None)) is not None:
        app = inner
    replica = getattr(app, "__self__", None)
    # Elsewhere than at the root, Serve's part rewrites the path.
    return _ledger_of(replica) if getattr(replica, "_route_prefix", None) == "/" else None


def own_ledger() -> ReplicaAccounting | None:
    """Of the replica that this process is."""
    actors = getattr(worker.global_worker, "actors", {}).values()
    replicas = [actor._replica_impl for actor in actors if hasattr(actor, "_replica_impl")]  # noqa: SLF001
    return _ledger_of(replicas[0]) if replicas else None


def _ledger_of(replica: Any) -> ReplicaAccounting | None:
    metrics = getattr(replica, "_metrics_manager", None)
    wrapper = getattr(replica, "_user_callable_wrapper", None)
    if getattr(wrapper, "_run_user_code_in_separate_thread", True):
        # Ours belongs on another loop then than what would answer here.
        return None
    if all(hasattr(replica, name) for name in _OF_REPLICA) and all(hasattr(metrics, name) for name in _OF_METRICS):
        return ReplicaAccounting(replica)
    return None
