"""What is left of a service that has ended: nothing."""

from app.system import ports
from loadtests.running import RunningService, wait_for


def leaves_nothing(service: RunningService, was_listening: set[int]) -> None:
    """No process, and nobody on any port."""
    wait_for(lambda: not service.processes(), 10, lambda: f"the end of {service.processes()}")
    assert service.port in was_listening

    def held() -> list[str]:
        return [f"{port} by {holder}" for port in was_listening if (holder := ports.holder(port)) is not None]

    # A process that is just ending can't be looked at any more, and has its ports still.
    wait_for(lambda: not held(), 10, lambda: f"the end of listening: {held()}")
