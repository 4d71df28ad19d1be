"""The service that the faults are put into: as shipped, but with two encoder replicas and without images."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loadtests.faults.oracle import MODEL
from loadtests.faults.processes import Processes
from loadtests.running import RunningService, running, write_config

ENCODER = "TextEncoder-all-MiniLM-L6-v2"
ENCODERS = 2
BEHIND = ("nice", "-n", "5")


@contextmanager
def faulty(
    command: tuple[str, ...] = (), variables: dict[str, str] | None = None, **args: Any
) -> Iterator[RunningService]:
    """Started and healthy; `args` over those of serve_config.yaml. The second encoder may come later.

    It stands behind those who send and count, which are on other machines elsewhere and here on the same few cores.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = write_config(Path(folder), **({"text_models": [encoders()], "image_models": []} | args))
        argv = (*BEHIND, *(command or (sys.executable, "-m", "app", "--config")), str(config))
        with running(config, argv, None, **(variables or {})) as service:
            yield service


def encoders(replicas: int = ENCODERS) -> dict[str, Any]:
    """An entry of `text_models`."""
    return {"id": MODEL, "autoscaling": {"min_replicas": replicas, "max_replicas": replicas}}


def processes_of(service: RunningService) -> Processes:
    return Processes(service.marker)
