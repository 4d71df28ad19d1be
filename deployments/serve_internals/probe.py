"""Which parts of the bypass this process can use: decided once, by Ray's version and by the signature of each private
call that a part makes, as by name alone every request would fail where a keyword has changed. What can't be used, or is
not wanted (`serve_bypass`), goes Serve's own way."""

import inspect
import logging
from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from typing import Any, Final
from weakref import WeakSet

import ray

from app.config.args import BYPASS_PARTS, BypassPart, ServeBypass
from app.config.settings import ray_uses_tls
from deployments.serve_internals.accounting import CALLS, own_replica
from deployments.serve_internals.bypass_middleware import BypassMiddleware

logger = logging.getLogger(__name__)

KNOWN_RAY: Final = ("2.60.",)  # the releases in whose source the private calls were read

# Replicas that this process's routers call, for `in_use`. Here, since Serve copies the router's module by value.
rpc_replicas: "WeakSet[Any]" = WeakSet()


class Unusable(Exception):
    """Says why."""


def decide(setting: ServeBypass, parts: Iterable[BypassPart] = BYPASS_PARTS) -> frozenset[BypassPart]:
    """Those of `parts` that this replica uses; logs why not the others. RuntimeError if a required one is not."""
    wanted = {part for part in parts if setting in ("auto", "require") or part in setting}
    unwanted = f"serve_bypass is {setting if isinstance(setting, str) else ', '.join(setting)}"
    reasons = {part: why_not(part) if part in wanted else unwanted for part in parts}
    lacking = [f"{part}: {reason}" for part, reason in reasons.items() if reason is not None]
    if setting == "require" and lacking:
        raise RuntimeError(f"serve_bypass: require, but this can't be used: {'; '.join(lacking)}")
    used = frozenset(part for part, reason in reasons.items() if reason is None)
    level = logging.INFO if wanted == used else logging.WARNING
    named, others = ", ".join(sorted(used)) or "none", "; ".join(lacking) or "none"
    logger.log(level, "Serve bypass: in use: %s; not: %s", named, others)
    return used


def in_use(part: BypassPart) -> bool:
    """Whether this ingress replica's requests, or calls, really go past Serve now."""
    if part == "middleware":
        return BypassMiddleware.application is not None and BypassMiddleware.servers > 0
    return any(replica.is_connected for replica in rpc_replicas)


@cache
def why_not(part: BypassPart) -> str | None:
    """Why this process can't use the part; None if it can."""
    try:
        if not ray.__version__.startswith(KNOWN_RAY):
            raise Unusable(f"Ray {ray.__version__} is not among the known releases ({', '.join(KNOWN_RAY)}x)")
        _CHECKS[part]()
        check_replica(own_replica())
    except Exception as error:  # noqa: BLE001 - a Ray that has changed may fail in any way
        return str(error) or type(error).__name__
    return None


def check_replica(replica: Any) -> None:
    """Raises if Serve's counts of this replica can't be kept."""
    from ray.serve._private.common import RequestMetadata, RequestProtocol

    if replica is None:
        raise Unusable("this process is no replica of Serve's")
    if attrgetter("_user_callable_wrapper._run_user_code_in_separate_thread")(replica):
        raise Unusable("Serve runs the replica's code in a thread of its own (RAY_SERVE_THROUGHPUT_OPTIMIZED is off)")
    attrgetter("_deployment_id.app_name", "_deployment_id.name", "_quiescing")(replica)
    for path, positional, keywords in CALLS:
        check_call(attrgetter(path)(replica), *range(positional), **dict.fromkeys(keywords))
    http = {"_request_protocol": RequestProtocol.HTTP, "is_direct_ingress": True}
    check_call(RequestMetadata, request_id="", internal_request_id="", **http)


def check_call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Raises if `function` does not take these arguments."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        raise Unusable(f"{getattr(function, '__qualname__', function)} has another signature: {error}") from None


def check_implemented(cls: type[Any]) -> None:
    """Raises if Ray's base class of `cls` asks for more than `cls` has."""
    if lacking := sorted(getattr(cls, "__abstractmethods__", ())):
        raise Unusable(f"{cls.__name__} lacks what its base class asks for: {', '.join(lacking)}")


def _check_rpc() -> None:
    from ray.serve._private.common import ReplicaQueueLengthInfo, RequestMetadata
    from ray.serve.request_router import RunningReplica

    from deployments.serve_internals.rpc_replica import RpcReplica, RpcResult

    if ray_uses_tls():
        raise Unusable("RAY_USE_TLS is set, and RPC connections have no TLS")
    attrgetter("call_method", "is_streaming", "_on_separate_loop")(RequestMetadata("", ""))
    check_call(RunningReplica, None)
    check_call(RunningReplica.try_send_request, None, None, True)
    check_call(ReplicaQueueLengthInfo, accepted=True, num_ongoing_requests=0)
    check_implemented(RpcReplica)
    check_implemented(RpcResult)


def _check_middleware() -> None:
    from ray.serve._private import constants

    if not constants.RAY_SERVE_ENABLE_DIRECT_INGRESS:
        raise Unusable("the ingress replicas have no HTTP servers of their own (RAY_SERVE_ENABLE_HA_PROXY is off)")
    if not constants.RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH:
        raise Unusable("Serve's servers load no middleware (RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH is not set)")
    if (prefix := own_replica()._route_prefix) != "/":
        raise Unusable(f"the application is served at {prefix}, and Serve has to take that off the path")


_CHECKS: Final[dict[BypassPart, Callable[[], None]]] = {"rpc": _check_rpc, "middleware": _check_middleware}
