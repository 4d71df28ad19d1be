"""Authentication: checks key, scope and quota by a request's headers, before its body is read.

`with_auth` wraps every handler of the route table. A route can't be created without a scope, so no route is open by
mistake.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.api.route import Route
from app.auth.api_keys import ApiKey
from app.auth.key_file import KeyFile
from app.auth.quota import WINDOW_S, Quotas, Remaining, seconds
from app.cache.shared import CacheStats
from app.config.args import AccessArgs
from app.errors import Forbidden, Overloaded, TooManyRequests, Unauthorized
from app.service.request_context import RequestContext, use
from app.words import KeyScope

COUNT_PERIOD_S: Final = 2.0
SMALL_BODY: Final = 2**16


@dataclass(slots=True, eq=False)
class Authenticator:
    """One per ingress replica."""

    keys: KeyFile
    args: AccessArgs
    quotas: Quotas = field(default_factory=lambda: Quotas(time.monotonic))

    def admit(self, request: Request, scope: KeyScope) -> ApiKey:
        """The request's key. Raises Unauthorized or Forbidden."""
        secret = _secret(request)
        if secret is None and request.headers.get("authorization", "").strip():
            raise Unauthorized(
                "The `Authorization` header lacks `Bearer` before the key: send `Authorization: Bearer KEY`."
            )
        return self.keys.ring.admit(secret, scope, self.keys.clock())

    def limits(self, key: ApiKey) -> dict[str, int]:
        own = {"requests": key.requests, "tokens": key.tokens}
        common = {"requests": self.args.requests_per_minute, "tokens": self.args.tokens_per_minute}
        return {unit: common[unit] if limit is None else limit for unit, limit in own.items()}

    async def count_replicas(self, stats: Callable[[], Awaitable[CacheStats]]) -> None:
        """Update the quotas' number of replicas until cancelled: each ingress replica is a client of the cache."""
        while True:
            cache_stats = await stats()
            if cache_stats.available:
                self.quotas.replicas = max(1, cache_stats.clients)
            await asyncio.sleep(COUNT_PERIOD_S)


def with_auth(route: Route) -> Callable[[Request], Awaitable[Response]]:
    """The route's handler with authentication."""

    async def authenticated(request: Request) -> Response:
        backend = request.app.state.backend
        authenticator: Authenticator | None = backend.authenticator
        if authenticator is None or route.scope == "open":
            _reject_cross_site(request)
            await _raise_if_shed(request)
            return await route.handler(request, backend)
        key = authenticator.admit(request, route.scope)
        await _raise_if_shed(request)
        limits = authenticator.limits(key)
        context = RequestContext("" if authenticator.args.share_cache else key.tenant, counted=True)
        try:
            _charge_request(authenticator, key, limits)
            with use(context):
                return await route.handler(request, backend)
        finally:
            authenticator.quotas.charge(key.tenant, "tokens", context.tokens)
            request.state.quota_headers = quota_headers(authenticator.quotas.left(key.tenant, limits))

    return authenticated


def may_read(request: Request) -> bool:
    """Whether the caller may see details: it has the `read` scope, or no keys are required."""
    authenticator: Authenticator | None = request.app.state.backend.authenticator
    with suppress(Unauthorized, Forbidden):
        if authenticator is not None:
            authenticator.admit(request, "read")
        return True
    return False


def _charge_request(authenticator: Authenticator, key: ApiKey, limits: dict[str, int]) -> None:
    exhausted = authenticator.quotas.take(key.tenant, limits)
    if exhausted is not None:
        wait = seconds(exhausted)
        message = f"The quota of {exhausted.limit:,} {exhausted.unit} per minute is used up; it resets in {wait} s."
        raise TooManyRequests(message, retry_after=wait)


def quota_headers(quotas: list[Remaining]) -> list[tuple[bytes, bytes]]:
    """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), and OpenAI's `x-ratelimit-*`."""
    if not quotas:
        return []
    policy = ", ".join(f'"{quota.unit}";q={quota.limit};w={WINDOW_S:g}' for quota in quotas)
    state = ", ".join(f'"{quota.unit}";r={quota.remaining};t={seconds(quota)}' for quota in quotas)
    headers = {"ratelimit-policy": policy, "ratelimit": state}
    for quota in quotas:
        headers[f"x-ratelimit-limit-{quota.unit}"] = str(quota.limit)
        headers[f"x-ratelimit-remaining-{quota.unit}"] = str(quota.remaining)
        headers[f"x-ratelimit-reset-{quota.unit}"] = f"{quota.reset_s:.3f}s"
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _secret(request: Request) -> bytes | None:
    """The key in a request's headers. Raises Unauthorized for several: a gateway might have checked another."""
    found: set[bytes] = set()
    for name, value in request.scope["headers"]:
        if name == b"x-api-key":
            found.add(value.strip())
        elif name == b"authorization":
            scheme, _, rest = value.strip().partition(b" ")
            # Other schemes are for gateways.
            if scheme.lower() == b"bearer":
                found.add(rest.strip())
    found.discard(b"")
    if len(found) > 1:
        raise Unauthorized("The request contains several API keys. Send one.")
    return found.pop() if found else None


async def _raise_if_shed(request: Request) -> None:
    """Raises the error with which `app.dispatch.load_shedding` rejects this request, if it does."""
    refusal: Overloaded | None = request.scope["state"].get("shed")
    if refusal is None:
        return
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) <= SMALL_BODY:
        # The body has already arrived. Left unread, it would close the connection.
        async for _ in request.stream():
            pass
    raise refusal


def _reject_cross_site(request: Request) -> None:
    """Protects services without keys against cross-site requests: browsers send simple requests to other origins
    without a preflight, so any web page could clear the cache. They mark them, however (Fetch Metadata, W3C)."""
    if request.method not in ("GET", "HEAD") and request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        allowed = request.app.state.backend.args.cors_origins
        if request.headers.get("origin") not in allowed and "*" not in allowed:
            raise Forbidden("Pages of other origins may not call this service; allow them with `cors_origins`.")
