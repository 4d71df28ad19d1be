"""A Serve replica's name, log, traces and metrics, and what Serve says of all replicas."""

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from logging.handlers import MemoryHandler

from ray import serve

from app.config.args import TracingArgs
from app.telemetry import tracing
from app.telemetry.cluster_metrics import MetricsClient
from app.telemetry.metrics import COMPLETE, REPLICAS
from app.telemetry.registry import Snapshot
from deployments.metrics import Reporter

OUR_LOGGERS = ("app", "deployments")
STATUS_S = 1.0
# Serve's status has every replica of the cluster in it: a page that reads often should not ask for it each time.
KEEP_STATUS_S = 2.0
START_STATUS_S = 0.25


_Status = dict[str, tuple[int, str]]  # by deployment: its running replicas, and what Serve says of it


def replica_name() -> str:
    """This replica's unique name, as in Serve's own log and status."""
    return str(serve.get_replica_context().replica_id.unique_id)


def join_serve_log() -> None:
    """Write this replica's log lines to Serve's own log, with its fields and in the encoding of `logging_config`."""
    serve_log = logging.getLogger("ray.serve")
    for handler in serve_log.handlers:
        if isinstance(handler, MemoryHandler):
            # Serve keeps up to 1,000 lines back; a warning should not wait for them.
            handler.flushLevel = logging.WARNING
    for name in OUR_LOGGERS:
        log = logging.getLogger(name)
        log.handlers = serve_log.handlers
        log.propagate = False
        log.setLevel(serve_log.level)


def reporter(traces: TracingArgs = tracing.OFF) -> Reporter:
    """This replica's, whose log and traces begin too; to be made on its event loop."""
    join_serve_log()
    begin_traces(traces)
    context = serve.get_replica_context()
    return Reporter(context.app_name, context.deployment, replica_name())


def begin_traces(args: TracingArgs) -> None:
    """Send this replica's spans where the settings say."""
    if args.endpoint is None:
        return
    # Imported here: with nowhere to send traces to, OpenTelemetry is not loaded.
    from app.telemetry import otlp

    otlp.start(args, serve.get_replica_context().deployment, replica_name())


class ClusterMetrics:
    """What a scrape is answered with."""

    def __init__(self, client: MetricsClient, reserved: Mapping[str, str]) -> None:
        self._client = client
        self._reserved = reserved  # by one replica of each deployment, in words
        self._application = serve.get_replica_context().app_name
        self._thread = ThreadPoolExecutor(1, "status")
        self._asking: asyncio.Future[_Status] | None = None
        self._asked_at = -KEEP_STATUS_S

    async def read(self) -> Snapshot:
        reading, status = await asyncio.gather(self._client.read(), self._status())
        snapshot = reading.snapshot
        snapshot.sums[REPLICAS.name] = {(name,): [float(running)] for name, (running, _) in status.items()}
        snapshot.peaks[COMPLETE.name] = {(): [float(reading.complete)]}
        return snapshot

    async def waiting(self) -> list[str]:
        """What has no replica yet; asked until everything had one."""
        if self._reserved:
            status = await self._status(START_STATUS_S)
            if status and all(running for running, _ in status.values()):
                self._reserved = {}
        return [
            f"{name} has no replica yet; one reserves {self._reserved.get(name, 'nothing')}. {message}".strip()
            for name, (running, message) in (status.items() if self._reserved else ())
            if not running
        ]

    async def _status(self, keep_s: float = KEEP_STATUS_S) -> _Status:
        """By deployment, as Serve's controller said last; none when it does not answer."""
        asking, now = self._asking, time.monotonic()
        # One question at a time: a controller that hangs must not take all threads with it.
        if asking is None or (asking.done() and now - self._asked_at >= keep_s):
            asking = self._asking = asyncio.get_running_loop().run_in_executor(self._thread, _status, self._application)
            self._asked_at = now
        await asyncio.wait({asking}, timeout=STATUS_S)
        return asking.result() if asking.done() and asking.exception() is None else {}


def _status(application: str) -> _Status:
    return {
        name: (sum(n for state, n in deployment.replica_states.items() if state == "RUNNING"), deployment.message)
        for name, deployment in serve.status().applications[application].deployments.items()
    }
