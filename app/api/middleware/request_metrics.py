"""Counts and logs every request. Routes are labelled by template, so that clients' paths can't create series."""

import re
import time
from collections.abc import Sequence

from starlette.routing import compile_path
from starlette.types import Scope

from app.api.route import Route
from app.errors import DeadlineExceeded
from app.telemetry.metrics import IN_PROGRESS, METHODS, OTHER, REJECTED, REQUEST_SECONDS, REQUESTS, TIMEOUTS
from app.telemetry.registry import Registry
from app.telemetry.request_log import LogRecord, RequestLog


class RequestMetrics:
    """One per ingress replica."""

    def __init__(self, registry: Registry, routes: Sequence[Route], log: RequestLog | None = None) -> None:
        self._registry = registry
        self._log = log or RequestLog("off")
        self._in_progress = 0
        # Of routes that share a path, the first: their templates and dialects are the same.
        self._known = {route.path: route for route in reversed(routes) if not route.parameters}
        self._patterns: list[tuple[re.Pattern[str], Route]] = [
            (compile_path(route.path)[0], route) for route in routes if route.parameters
        ]
        registry.collectors.append(self._collect)

    def began(self) -> None:
        self._in_progress += 1

    def ended(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        """Record a finished request. The scope's state may hold the error code, the result's counts and the times."""
        self._in_progress -= 1
        method = scope["method"] if scope["method"] in METHODS else OTHER
        state = scope["state"]
        code: str | None = state.get("error_code")
        registry = self._registry
        registry.count(REQUESTS, route, method, str(status))
        registry.observe(REQUEST_SECONDS, seconds, route)
        if code is not None:
            registry.count(REJECTED, code)
            if code == DeadlineExceeded.code:
                registry.count(TIMEOUTS, route)

        # That nothing serves yet is what a poll asks for: no failure.
        polled = status == 503 and (known := self.fixed(route)) is not None and not known.is_traced
        if self._log.wants(0 if polled else status):
            counts = state["counts"]() if "counts" in state else {}
            stages = state.get("stages", {})
            total_ms = seconds * 1e3
            self._log.add(
                LogRecord(time.time(), state["request_id"], method, route, status, total_ms, code, counts, stages)
            )

    def fixed(self, path: str) -> Route | None:
        """The route of this path, if its path has no parameters."""
        return self._known.get(path)

    def route(self, path: str) -> Route | None:
        return self.fixed(path) or next((route for pattern, route in self._patterns if pattern.match(path)), None)

    def _collect(self) -> None:
        self._registry.set(IN_PROGRESS, self._in_progress)
