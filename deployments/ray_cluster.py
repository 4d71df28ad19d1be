"""Ray's start on this machine, tried again where Ray gives up on itself."""

import logging

import ray

from app.system.processes import descendants, end_descendants

logger = logging.getLogger(__name__)

ATTEMPTS = 3  # Ray gives a node 30 s to start, which a busy machine may not have


def start_ray(object_store_bytes: int, logging_level: str) -> None:
    """A Ray of this process's own, without a dashboard. What Ray raises the last time is raised."""
    spared = {process.pid for process in descendants()}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=object_store_bytes,
                log_to_driver=False,
                logging_level=logging_level,
            )
        except Exception as error:  # Ray says that a node did not start as a plain Exception
            ray.shutdown()
            end_descendants(spared=spared)
            if attempt == ATTEMPTS:
                raise
            logger.info("Ray did not start (%s); trying again", error)
        else:
            return
