"""What a test needs of the machine: where CI has it, or could have it, the test may not be skipped."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

NET_ADMIN, SYS_ADMIN = 12, 21  # capabilities(7)


def missing(words: str, *, possible: bool = True) -> NoReturn:
    """Skip, or fail under CI. `possible`: whether this machine could have it."""
    if possible and os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


def may_make_networks(status: Path = Path("/proc/self/status")) -> bool:
    """Whether this process has the capabilities for it: root has, but in a container that took them."""
    if not status.exists():
        return False
    [effective] = [int(line.split()[1], 16) for line in status.read_text().splitlines() if line.startswith("CapEff")]
    return all(effective >> number & 1 for number in (NET_ADMIN, SYS_ADMIN))
