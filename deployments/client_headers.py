"""What clients may not tell Serve; runs in Serve's own HTTP servers, named by an environment flag
(`app.local.serve_environment`). Serve lets any client lift the request timeout, switch off cancellation, choose a
replica, and give the request an id, which it writes on the answer as it came. Where one of these is no UTF-8, Serve's
answer is a bare 500. Imports next to nothing, and nothing private of Ray's: every proxy loads it, whatever
`serve_bypass` says."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from starlette.middleware import Middleware

from app.telemetry.request_log import VALID_ID
from deployments.serve_internals.bypass_middleware import BypassMiddleware

# Serve takes `-` and `_` in most of them for the same.
FOR_LOAD_BALANCERS: Final = frozenset(
    {b"x_request_timeout_seconds", b"x_request_disconnect_disabled", b"x_session_id", b"serve_multiplexed_model_id"}
)
OF_ROUTERS: Final = b"x_serve_router_"
REQUEST_ID: Final = b"x-request-id"

Application = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]
Header = tuple[bytes, bytes]


class WithoutClientHeaders:
    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        given: list[Header] = scope.get("headers", [])
        kept = _kept(given)
        if len(kept) < len(given):
            scope["headers"] = kept
        await self.app(scope, receive, send)


def _kept(headers: list[Header]) -> list[Header]:
    """Without what is not for clients to say, and with one decent request id at most: Serve makes one for the rest."""
    kept: list[Header] = []
    named = False
    for name, value in headers:
        if name == REQUEST_ID:
            if named or not VALID_ID.fullmatch(value):
                continue
            named = True
        elif name[:2] in (b"x-", b"x_", b"se"):
            plain = name.replace(b"-", b"_")
            if plain in FOR_LOAD_BALANCERS or plain.startswith(OF_ROUTERS):
                continue
        kept.append((name, value))
    return kept


def middlewares() -> list[Middleware]:
    """What `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` calls."""
    # Serve puts the last of them first in a request's way.
    return [Middleware(BypassMiddleware), Middleware(WithoutClientHeaders)]
