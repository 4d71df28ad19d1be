"""Serve's counts of the requests and calls that are answered past it, by which it drains, scales and draws its charts.
What is called of them is not public: it stands in `CALLS` too, and is checked before the first call (`probe`)."""

import time
from typing import Any, Final

# What is called at a replica of Serve's, and with which arguments.
CALLS: Final[tuple[tuple[str, int, tuple[str, ...]], ...]] = (
    ("_semaphore.locked", 0, ()),
    ("_semaphore.acquire", 0, ()),
    ("_semaphore.release", 0, ()),
    ("_metrics_manager.inc_num_ongoing_requests", 1, ()),
    ("_metrics_manager.dec_num_ongoing_requests", 1, ()),
    ("_metrics_manager.record_request_metrics", 0, ("route", "latency_ms", "is_error")),
    (
        "_metrics_manager.record_ingress_request_metrics",
        0,
        (*("protocol", "method", "route", "app_name", "deployment_name"), *("latency_ms", "is_error", "status_code")),
    ),
)


class ReplicaAccounting:
    """One per replica."""

    def __init__(self, replica: Any) -> None:
        from ray.serve._private.common import RequestMetadata, RequestProtocol

        self._replica = replica
        self._semaphore = replica._semaphore
        self._metrics = replica._metrics_manager
        self._names = replica._deployment_id
        self._http = RequestProtocol.HTTP
        # Nothing of one request is read from it, but that it came by HTTP and through no proxy of Serve's.
        http = {"_request_protocol": self._http, "is_direct_ingress": True}
        self._kind = RequestMetadata(request_id="", internal_request_id="", **http)

    @property
    def is_full(self) -> bool:
        """Whether Serve would have the next one wait."""
        return bool(self._semaphore.locked())

    @property
    def is_draining(self) -> bool:
        """Whether Serve would have the router send the next one to another replica, since this one ends."""
        return bool(self._replica._quiescing)

    async def enter(self) -> None:
        """Take a place among those that may be under way; does not wait unless they are full."""
        await self._semaphore.acquire()

    def leave(self) -> None:
        self._semaphore.release()

    def began(self) -> float:
        """Returns the time, for `called` or `ended`."""
        self._metrics.inc_num_ongoing_requests(self._kind)
        return time.perf_counter()

    def called(self, began: float, error: bool) -> None:
        """A call by another deployment has ended."""
        self._metrics.dec_num_ongoing_requests(self._kind)
        ms = (time.perf_counter() - began) * 1e3
        self._metrics.record_request_metrics(route="", latency_ms=ms, is_error=error)

    def ended(self, began: float, method: str, route: str, status: int) -> None:
        """A request has ended; `status` 499 is a client that left."""
        ms = (time.perf_counter() - began) * 1e3
        self._metrics.dec_num_ongoing_requests(self._kind)
        self._metrics.record_request_metrics(route=route, latency_ms=ms, is_error=False)
        self._metrics.record_ingress_request_metrics(
            protocol=self._http,
            method=method,
            route=route,
            app_name=self._names.app_name,
            deployment_name=self._names.name,
            latency_ms=ms,
            is_error=status >= 400,
            status_code=str(status),
        )


def own_replica() -> Any:
    """Serve's object of the replica that this process is; None elsewhere."""
    from ray._private import worker

    actors = getattr(worker.global_worker, "actors", {}).values()
    return next((actor._replica_impl for actor in actors if hasattr(actor, "_replica_impl")), None)


def own_accounting() -> ReplicaAccounting:
    """Of the replica that this process is; `probe` says whether there is one."""
    return ReplicaAccounting(own_replica())
