"""What is left of a service that has ended: nothing."""

import time

import psutil

from app.system import ports
from loadtests.running import RunningService, wait_for


def leaves_nothing(service: RunningService, was_listening: set[int]) -> None:
    """No process, and nobody on any port."""
    ended = time.time()
    wait_for(lambda: not service.processes(), what=lambda: f"the end of {service.processes()}")
    assert service.port in was_listening

    def held() -> list[str]:
        """By processes that were there before: a port that is free again may be anybody's."""
        holders = {port: holder for port in was_listening if (holder := ports.holder(port)) is not None}
        return [f"{port} by {holder}" for port, holder in holders.items() if is_older(holder, ended)]

    # A process that is just ending can't be looked at any more, and has its ports still.
    wait_for(lambda: not held(), what=lambda: f"the end of listening: {held()}")


def is_older(process: psutil.Process, moment: float) -> bool:
    try:
        return process.create_time() < moment
    except psutil.Error:
        return False
