"""Who may call a route: key, scope and quota, decided by a request's head before its body is touched.

`guarded` stands around every handler of the route table, and a route can't be made without a scope: what nobody
thought of is closed. Which keys there are is `app.auth.key_file`'s.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.api.middleware.rate_limit_headers import quota_headers
from app.api.route import Handler, Route
from app.auth.api_keys import ApiKey
from app.auth.key_file import KeyFile
from app.auth.quota import Quotas, seconds
from app.cache.shared import CacheStats
from app.config.args import AccessArgs
from app.errors import Forbidden, Overloaded, TooManyRequests, Unauthorized
from app.service.request_context import RequestContext, use
from app.types import KeyScope

COUNT_PERIOD_S: Final = 2.0
SMALL_BODY: Final = 2**16


@dataclass(slots=True, eq=False)
class Authenticator:
    """One ingress replica's."""

    book: KeyFile
    args: AccessArgs
    quotas: Quotas = field(default_factory=lambda: Quotas(time.monotonic))

    def admit(self, request: Request, scope: KeyScope) -> ApiKey:
        """Raises Unauthorized, Forbidden."""
        return self.book.ring.admit(_secret(request), scope, self.book.clock())

    def may(self, request: Request, scope: KeyScope) -> bool:
        try:
            self.admit(request, scope)
        except (Unauthorized, Forbidden):
            return False
        return True

    def limits(self, key: ApiKey) -> dict[str, int]:
        own = {"requests": key.requests, "tokens": key.tokens}
        common = {"requests": self.args.requests_per_minute, "tokens": self.args.tokens_per_minute}
        return {unit: common[unit] if limit is None else limit for unit, limit in own.items()}

    def caller(self, key: ApiKey) -> RequestContext:
        return RequestContext("" if self.args.share_cache else key.tenant, counted=True)

    async def count_replicas(self, stats: Callable[[], Awaitable[CacheStats]]) -> None:
        """Keep the quotas' divisor true, until cancelled: every ingress replica is a client of the shared cache."""
        while True:
            figures = await stats()
            if figures.available:
                self.quotas.replicas = max(1, figures.clients)
            await asyncio.sleep(COUNT_PERIOD_S)


def guarded(route: Route) -> Handler:
    """The route's handler, for those who may call it."""

    async def for_those_who_may(request: Request) -> Response:
        authenticator: Authenticator | None = request.app.state.backend.authenticator
        if authenticator is None or route.scope == "open":
            _refuse_foreign_pages(request)
            await _refuse_shed(request)
            return await route.handler(request)
        key = authenticator.admit(request, route.scope)
        await _refuse_shed(request)
        limits, caller = authenticator.limits(key), authenticator.caller(key)
        try:
            _take(authenticator, key, limits)
            with use(caller):
                return await route.handler(request)
        finally:
            authenticator.quotas.charge(key.tenant, "tokens", caller.tokens)
            request.state.quota_headers = quota_headers(authenticator.quotas.left(key.tenant, limits))

    return for_those_who_may


def is_trusted(request: Request) -> bool:
    """Whether the caller may hear what is not for anybody: it may `read`, or nobody is asked for a key."""
    authenticator: Authenticator | None = request.app.state.backend.authenticator
    return authenticator is None or authenticator.may(request, "read")


def _take(authenticator: Authenticator, key: ApiKey, limits: dict[str, int]) -> None:
    exhausted = authenticator.quotas.take(key.tenant, limits)
    if exhausted is not None:
        wait = seconds(exhausted)
        words = f"The quota of {exhausted.limit:,} {exhausted.unit} a minute is used up; it is whole again in {wait} s."
        raise TooManyRequests(words, retry_after=wait)


def _secret(request: Request) -> bytes | None:
    """The key that a request brings.

    Raises:
        Unauthorized: It brings several, and somebody on the way may have looked at another than we would.
    """
    found: set[bytes] = set()
    for name, value in request.scope["headers"]:
        if name == b"x-api-key":
            found.add(value.strip())
        elif name == b"authorization":
            scheme, _, rest = value.strip().partition(b" ")
            # Another scheme is a gateway's business.
            if scheme.lower() == b"bearer":
                found.add(rest.strip())
    found.discard(b"")
    if len(found) > 1:
        raise Unauthorized("The request brings several API keys. Send one.")
    return found.pop() if found else None


async def _refuse_shed(request: Request) -> None:
    """Raises what the door (`app.dispatch.load_shedding`) has decided of this request."""
    refusal: Overloaded | None = request.scope["state"].get("shed")
    if refusal is None:
        return
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) <= SMALL_BODY:
        # It is here by now. Remaining unread it would cost the connection, and the next request a new one.
        async for _ in request.stream():
            pass
    raise refusal


def _refuse_foreign_pages(request: Request) -> None:
    """Where no key is asked for, any page that somebody on this machine looks at could empty the cache: browsers
    send simple requests to other origins without asking. They say so, though (Fetch Metadata, W3C)."""
    if request.method not in ("GET", "HEAD") and request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        allowed = request.app.state.backend.args.cors_origins
        if request.headers.get("origin") not in allowed and "*" not in allowed:
            raise Forbidden("Pages of other origins may not call this service; `cors_origins` lets them.")
