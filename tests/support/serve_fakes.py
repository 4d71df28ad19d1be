"""A replica of Serve's as `deployments.serve_internals` knows it. The imports of Ray warn, and warnings are errors."""

import asyncio
import warnings
from types import SimpleNamespace
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve._private.common import DeploymentID, RequestMetadata, RequestProtocol


class Metrics:
    """Serve's, as far as the bypass calls them."""

    def __init__(self) -> None:
        self.under_way = self.most = 0
        self.recorded: list[tuple[str, str, str, bool]] = []

    def inc_num_ongoing_requests(self, metadata: RequestMetadata) -> None:
        assert metadata.is_direct_ingress
        assert metadata.is_http_request
        self.under_way += 1
        self.most = max(self.most, self.under_way)

    def dec_num_ongoing_requests(self, metadata: RequestMetadata) -> None:
        self.under_way -= 1

    def record_request_metrics(self, *, route: str, latency_ms: float, is_error: bool) -> None:
        assert (latency_ms > 0, is_error) == (True, False)

    def record_ingress_request_metrics(self, *, latency_ms: float, protocol: object, **tags: Any) -> None:
        assert (tags.pop("app_name"), tags.pop("deployment_name"), protocol) == ("app", "Ingress", RequestProtocol.HTTP)
        self.recorded.append((tags["method"], tags["route"], tags["status_code"], tags["is_error"]))


class Inside:
    """A replica of Serve's, and all that is behind it."""

    def __init__(self, *, most: int = 100, prefix: str = "/", threads: bool = False) -> None:
        self.paths: list[str] = []
        self._semaphore = asyncio.Semaphore(most)
        self._user_callable_wrapper = SimpleNamespace(_run_user_code_in_separate_thread=threads)
        self._metrics_manager = Metrics()
        self._deployment_id = DeploymentID("Ingress", "app")
        self._route_prefix = prefix
        self._quiescing = False

    @property
    def is_full(self) -> bool:
        return self._semaphore.locked()

    @property
    def metrics(self) -> Metrics:
        return self._metrics_manager

    async def answers(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})
