"""The door: what is refused here never enters Serve, whose part of a request costs more than all of ours.

Runs in Serve's own HTTP servers; only an ingress replica has somebody at the door.

A request that is shed goes through the same application as any other, so that it is counted, logged, named and
answered as they are, and told first if its key is no good.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar

from app.shedding import Shedder

Application = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


class Door:
    """Serve makes one for each server, by its class alone; `keeper` and `answers` are the process's."""

    keeper: ClassVar[Shedder | None] = None
    answers: ClassVar[Application | None] = None

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        keeper, answers = Door.keeper, Door.answers
        refusal = None
        if keeper is not None and scope["type"] == "http":
            refusal = keeper.shed(scope["method"], scope["path"])
        if refusal is None or answers is None:
            await self.app(scope, receive, send)
            return
        scope["state"] = {**scope.get("state", {}), "shed": refusal}
        await answers(scope, receive, send)
