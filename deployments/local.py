"""Ray and Serve on this machine, in the process that the launcher watches over (`app.local.launcher`)."""

import logging
import os
import signal
import threading

import ray
from ray import serve
from ray.serve import Application
from ray.serve.schema import LoggingConfig, ServeStatus

from app.config.settings import AppArgs, LaunchSettings
from app.local.resources import shortage
from app.system.processes import die_with_parent
from app.telemetry.start_steps import STARTED, tell
from deployments.ray_cluster import start_ray
from deployments.serve_internals.node_resources import node_resources

NAME = "embedding-service"
OBJECT_STORE_BYTES = 512 * 2**20
POLL_S = 0.25


def lacks(args: AppArgs) -> str | None:
    """What this machine has too little of, in a line; None if the service fits."""
    return shortage(args, node_resources(OBJECT_STORE_BYTES))


def run(application: Application, settings: LaunchSettings) -> None:
    """Serve until SIGTERM or SIGINT. Serve's flags are in the environment already."""
    die_with_parent()
    stop = threading.Event()
    tell("Ray: starting")
    start_ray(OBJECT_STORE_BYTES, "warning")
    tell("Ray runs; Serve: starting")
    # After Ray's start, which sets a handler of its own.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop(stop))
    # The launcher tells the user what there is to know.
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    quiet = LoggingConfig(enable_access_log=False, encoding=settings.log_format.upper())
    serve.start(http_options={"host": settings.host, "port": settings.port}, logging_config=quiet)
    tell("Serve runs; replicas: starting")
    _deploy(application, quiet, stop)
    tell(STARTED)
    stop.wait()
    serve.shutdown()
    ray.shutdown()


def _stop(stop: threading.Event) -> None:
    """Ray reports the actors that it is told to end as failures: whatever it says from now on goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    stop.set()


def _deploy(application: Application, logging_config: LoggingConfig, stop: threading.Event) -> None:
    """Raises RuntimeError if a replica can't start. One that dies while others still start is no such reason: Serve
    calls that a failed deployment, and starts another all the same."""
    try:
        serve.run(application, name=NAME, logging_config=logging_config)
    except RuntimeError:
        while not (_runs(serve.status()) or stop.wait(POLL_S)):
            pass


def _runs(status: ServeStatus) -> bool:
    """Raises RuntimeError, as `_deploy`."""
    found = status.applications.get(NAME)
    if found is None:
        raise RuntimeError("Serve does not know the service any more.")
    for name, deployment in found.deployments.items():
        # Whatever else failed does not heal by itself: waiting would leave a service that never comes.
        if deployment.status.value == "DEPLOY_FAILED" and deployment.status_trigger.value != "HEALTH_CHECK_FAILED":
            raise RuntimeError(f"{name} can't start: {deployment.message}")
    return bool(found.status.value == "RUNNING")
