"""A method of a deployment, called past the tasks of Serve's router where that has nothing to wait for.

The router's own rule chooses the replica (`deployments.serve_internals.router`), and its counts are kept, which Serve
scales by. Where
a replica must be asked first or has no line, a call goes Serve's way, and so it does where Serve is not as expected:
what is read here is not of its public interface. Only such calls are in the handle's counter and in the router's
histograms of waiting.
"""

import asyncio
from typing import Any, Final

from ray.exceptions import ActorUnavailableError
from ray.serve._private.constants import RAY_SERVE_COLLECT_AUTOSCALING_METRICS_ON_HANDLE
from ray.serve.handle import DeploymentHandle

from deployments.serve_internals.rpc_replica import RpcReplica

# What is asked of a router of Serve's; one without these has changed.
_OF_ROUTER: Final = ("_metrics_manager", "_process_finished_request", "request_router")
_OF_METRICS: Final = ("inc_num_total_requests", "inc_num_running_requests_for_replica")
# And of what chooses within it, which is ours (`at_once`) by inheritance.
_OF_CHOOSER: Final = ("at_once", "on_send_request", "decrement_queue_len_cache")


class ShortWay:
    """In place of a handle's method: `await way.remote(...)`.

    Args:
        name: The method's.
    """

    def __init__(self, handle: DeploymentHandle, name: str, **options: Any) -> None:
        self._method = handle.options(method_name=name, **options)
        self._name = name
        self._serve: Any = None

    async def remote(self, *args: Any) -> Any:
        """Raises what the method raised, or as Ray does where the replica is lost."""
        replica = self._replica()
        if replica is None:
            return await self._method.remote(*args)
        return await self._call(replica, args)

    def _replica(self) -> RpcReplica | None:
        if self._serve is None:
            self._serve = _router_behind(self._method)
        chooser = getattr(self._serve, "request_router", None)
        # Not by its class, of which Serve makes another in each process.
        known = all(hasattr(chooser, name) for name in _OF_CHOOSER)
        return chooser.at_once(self._name) if chooser is not None and known else None

    async def _call(self, replica: RpcReplica, args: tuple[Any, ...]) -> Any:
        id_, actor_id, serve = replica.replica_id, replica.actor_id, self._serve
        router = serve.request_router
        result = replica.call(self._name, args)
        router.on_send_request(id_)
        serve._metrics_manager.inc_num_total_requests("")  # noqa: SLF001
        if RAY_SERVE_COLLECT_AUTOSCALING_METRICS_ON_HANDLE:
            serve._metrics_manager.inc_num_running_requests_for_replica(id_)  # noqa: SLF001
        lost: ActorUnavailableError | None = None
        try:
            return await result.get_async()
        except ActorUnavailableError as error:
            lost = error
            raise
        finally:
            router.decrement_queue_len_cache(id_)
            serve._process_finished_request(id_, "", actor_id, lost)  # noqa: SLF001
            lost = None  # it holds this frame, and what the call carried


def _router_behind(method: Any) -> Any:
    """Of a handle that works on this loop; None where there is none such."""
    router = getattr(method, "_router", None)
    if router is None or getattr(router, "event_loop", None) is not asyncio.get_running_loop():
        return None
    inner = getattr(router, "_asyncio_router", None)
    metrics = getattr(inner, "_metrics_manager", None)
    # `request_router` is a property that makes the router: it is looked for in the class.
    known = all(hasattr(type(inner), name) or name in getattr(inner, "__dict__", ()) for name in _OF_ROUTER)
    return inner if known and all(hasattr(metrics, name) for name in _OF_METRICS) else None
