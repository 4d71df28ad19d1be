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
from app.dispatch.retry import ReplicaLost
from app.errors import DeadlineExceeded, Overloaded, ServiceError, Unavailable

logger = logging.getLogger(__name__)

ATTEMPTS = 3
# A replica that nobody can reach any more answers nothing at all: the others get what it leaves of the time.
ATTEMPT_SHARE = 0.5

# A replica that dies ends its calls in one of these, depending on where they were.
LOSSES = (RayActorError, grpc.aio.AioRpcError)


async def once(method: Any, name: str, patience: AdaptiveTimeout, *args: Any) -> Any:
    """Call a deployment.

    Raises:
        ReplicaLost: The replica died with the call in it, or did not answer in time.
        ServiceError: The deployment's own, or what its failure means to a client.
    """
    began = time.monotonic()
    try:
        async with _in_our_words(name), patience.limit():
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
    outcome.

    Raises:
        ReplicaLost: It says whether the replica had begun.
        ServiceError: As `once`.
    """
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
        raise ReplicaLost(timeout_s, silent=True) from None
    finally:
        stream.cancel()
    return outcome


async def again(method: Any, name: str, deadline_s: float, *args: Any) -> Any:
    """Call a deployment; a call that was lost is made again, within the deadline. All we do is idempotent.

    Raises:
        ServiceError: The deployment's own, or what its failure means to a client.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + deadline_s
    for _ in range(ATTEMPTS):
        try:
            return await once(method, name, AdaptiveTimeout(max(0.0, ATTEMPT_SHARE * (ends - loop.time()))), *args)
        except ReplicaLost:
            continue
    if loop.time() >= ends - deadline_s * ATTEMPT_SHARE**ATTEMPTS:
        raise DeadlineExceeded(f"{name} did not answer within {deadline_s:g} s.")
    raise Unavailable(f"{name} lost its replica {ATTEMPTS} times with this request in it.", retry_after=1)


@asynccontextmanager
async def _in_our_words(name: str) -> AsyncIterator[None]:
    """What a deployment itself raised, and Serve's refusal to queue more, as ours."""
    try:
        yield
    except RayTaskError as error:
        raise (error.cause if isinstance(error.cause, ServiceError) else error) from None
    except BackPressureError:
        raise Overloaded(f"{name} has more requests than it can queue.", retry_after=1) from None
