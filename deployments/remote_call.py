"""Calls of other deployments: each has its own deadline, and what Ray says of a failure becomes ours."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError

from app.dispatch.adaptive_timeout import AdaptiveTimeout
from app.dispatch.retry import ReplicaLost, RetryBudget
from app.errors import DeadlineExceeded, InternalError, Overloaded, ServiceError, Unavailable
from app.rpc.errors import UNKNOWN

logger = logging.getLogger(__name__)

# A replica that can't be reached any more answers nothing at all: another one gets what it leaves of the time.
ATTEMPT_SHARE = 0.5
PAUSE_S = 0.2  # until Serve knows of a replica that died

# A replica that dies ends its calls in one of these, depending on where they were.
LOSSES = (RayActorError, grpc.aio.AioRpcError)


async def once(method: Any, name: str, limit: AdaptiveTimeout, *args: Any) -> Any:
    """Call a deployment. Raises ReplicaLost if the replica died with the call in it, or did not answer in time; else
    the deployment's own ServiceError, or what its failure means to a client."""
    began = time.monotonic()
    try:
        async with _in_our_words(name), limit.limit():
            return await method.remote(*args)
    except LOSSES:
        logger.warning("a replica of %s died with a call in it", name)
        raise ReplicaLost(time.monotonic() - began) from None
    except TimeoutError:
        seconds = time.monotonic() - began
        logger.warning("a replica of %s did not answer within %.3g s", name, seconds)
        raise ReplicaLost(seconds, silent=True) from None


async def alone(method: Any, name: str, timeout_s: float, item: Any) -> Any:
    """Have a replica work on one item and nothing else that was lost: a stream of None, once it has begun, and the
    outcome. Raises ReplicaLost, which says whether the replica had begun; else as `once`."""
    begun, outcome = False, None
    stream = method.remote(item)
    try:
        async with _in_our_words(name), asyncio.timeout(timeout_s):
            async for message in stream:
                begun, outcome = True, message
    except LOSSES:
        logger.warning("a replica of %s died with a lost item in it (begun: %s)", name, begun)
        raise ReplicaLost(begun=begun) from None
    except TimeoutError:
        logger.warning("a replica of %s did not answer within %.3g s", name, timeout_s)
        raise ReplicaLost(timeout_s, begun=begun, silent=True) from None
    finally:
        stream.cancel()
    return outcome


async def again(
    method: Any, name: str, deadline_s: float, budget: RetryBudget, *args: Any, share: float = ATTEMPT_SHARE
) -> Any:
    """Call a deployment, and where that was lost once more, within deadline and budget: all is idempotent. `share`: of
    the deadline for the first call, if no answer comes; all of it for what may take as long, such as a document."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + deadline_s
    budget.earn(1)
    try:
        return await once(method, name, AdaptiveTimeout(share * deadline_s), *args)
    except ReplicaLost:
        if not budget.spend():
            words = f"{name} lost its replica, and too much is being tried again already."
            raise Unavailable(words, retry_after=1) from None
    await asyncio.sleep(PAUSE_S)
    try:
        return await once(method, name, AdaptiveTimeout(max(0.0, ends - loop.time())), *args)
    except ReplicaLost as loss:
        if loss.silent:
            raise DeadlineExceeded(f"{name} did not answer within {deadline_s:g} s.") from None
        raise Unavailable(f"{name} lost two replicas with this request in them.", retry_after=1) from None


@asynccontextmanager
async def _in_our_words(name: str) -> AsyncIterator[None]:
    """What a deployment raised, and Serve's refusal to queue more, as ours; the rest as over RPC (`app.rpc.errors`)."""
    try:
        yield
    except RayTaskError as error:
        if isinstance(error, LOSSES):
            raise
        if isinstance(error.cause, ServiceError):
            raise error.cause from None
        logger.exception("%s failed", name)
        raise InternalError(UNKNOWN) from None
    except BackPressureError:
        raise Overloaded(f"{name} has more requests than it can queue.", retry_after=1) from None
