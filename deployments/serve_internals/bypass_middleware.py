"""Where a request of the ingress's HTTP server meets our application, before Serve's own part, which is nearly half of
what a cache hit would cost. The middleware runs in Serve's own HTTP servers; it does nothing where no ingress has
registered its application, and leaves Serve's own routes (`/-/healthz`), and what Serve would have wait, to Serve. What
it skips of Serve, and what stands for that here, is in SECURITY.md, "What the bypass skips"."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar, Final

from app.api.route import plain_path
from app.dispatch.load_shedding import LoadShedder
from app.telemetry.metrics import CLIENT_LEFT, OTHER
from deployments.serve_internals.accounting import ReplicaAccounting

Application = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]

SERVES_OWN: Final = "/-/"


class BypassMiddleware:
    """Serve makes one for each server, by its class alone; what it answers with is the process's."""

    application: ClassVar[Application | None] = None
    accounting: ClassVar[ReplicaAccounting]
    shedder: ClassVar[LoadShedder]
    servers: ClassVar[int] = 0

    def __init__(self, app: Application) -> None:
        self.app = app
        BypassMiddleware.servers += 1

    @classmethod
    def register(cls, application: Application, accounting: ReplicaAccounting, shedder: LoadShedder) -> None:
        """From now on this process's requests are answered by `application`."""
        cls.application, cls.accounting, cls.shedder = application, accounting, shedder

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        application = BypassMiddleware.application
        if application is None or scope["type"] != "http" or _is_serves(scope):
            await self.app(scope, receive, send)
            return
        accounting = BypassMiddleware.accounting
        refusal = BypassMiddleware.shedder.shed(scope["method"], plain_path(scope["path"]))
        if refusal is None and accounting.is_full:
            await self.app(scope, receive, send)
            return
        state = scope["state"] = {**scope.get("state", {}), "bypass": True, "shed": refusal}
        if refusal is None:
            await accounting.enter()
        began = accounting.began()
        try:
            await application(scope, receive, send)
        finally:
            if refusal is None:
                accounting.leave()
            accounting.ended(began, scope["method"], state.get("route", OTHER), state.get("status", CLIENT_LEFT))


def _is_serves(scope: MutableMapping[str, Any]) -> bool:
    """A route that Serve answers itself, or a path that it has to take a part off."""
    return bool(scope["path"].startswith(SERVES_OWN) or scope.get("root_path"))
