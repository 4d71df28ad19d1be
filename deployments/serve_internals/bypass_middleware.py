"""The door: where a request of the ingress's HTTP server meets our application, before Serve's own part.

Serve's part is nearly half of what a cache hit would cost this process. What it does of use here is done by the
accounting (how many are under way, for drains and autoscaling) and by the application itself (ids, deadlines,
clients that leave).

Runs in Serve's own HTTP servers; only an ingress replica has somebody at the door. What is Serve's (`/-/healthz`), and
what it would have wait, goes on to it.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar, Final

from app.dispatch.load_shedding import LoadShedder
from app.telemetry.metrics import CLIENT_LEFT, OTHER
from deployments.serve_internals.accounting import ledger_beneath

Application = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]

SERVES_OWN: Final = "/-/"


class BypassMiddleware:
    """Serve makes one for each server, by its class alone; `keeper` and `answers` are the process's."""

    keeper: ClassVar[LoadShedder | None] = None
    answers: ClassVar[Application | None] = None

    def __init__(self, app: Application) -> None:
        self.app = app
        self._accounting = ledger_beneath(app)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        answers, keeper, accounting = BypassMiddleware.answers, BypassMiddleware.keeper, self._accounting
        if answers is None or scope["type"] != "http" or scope["path"].startswith(SERVES_OWN) or scope.get("root_path"):
            await self.app(scope, receive, send)
            return
        refusal = keeper.shed(scope["method"], scope["path"]) if keeper is not None else None
        if refusal is None and (accounting is None or accounting.is_full):
            await self.app(scope, receive, send)
            return
        state = scope["state"] = {**scope.get("state", {}), "at_door": True, "shed": refusal}
        if accounting is None:
            await answers(scope, receive, send)
            return
        if refusal is None:
            await accounting.enter()
        began = accounting.began()
        try:
            await answers(scope, receive, send)
        finally:
            if refusal is None:
                accounting.leave()
            accounting.ended(began, scope["method"], state.get("route", OTHER), state.get("status", CLIENT_LEFT))
