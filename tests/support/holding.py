"""Processes that stand still for a while: what is sent meanwhile waits, however fast or slow this machine is."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

from loadtests.running import RunningService, wait_for
from tests.support.scaled import gauge


@contextmanager
def held(processes: Sequence[psutil.Process]) -> Iterator[None]:
    """For seconds at most: Serve replaces what is silent for half a minute."""
    assert processes, "there is nobody to hold"
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def all_wait(service: RunningService, requests: int, headers: dict[str, str] | None = None) -> None:
    """Until so many requests are at the ingresses. The scrape is one itself."""
    name = "embedding_requests_in_progress"
    wait_for(lambda: gauge(service, name, headers=headers) > requests, what=f"{requests} requests in progress")
