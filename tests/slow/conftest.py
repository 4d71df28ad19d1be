"""What is long and no contract's only guard: other people's clients, examples, whole fuzzing, a dashboard."""

from collections.abc import Iterator

import pytest

from loadtests import autogroup


@pytest.fixture(scope="package", autouse=True)
def own_share() -> Iterator[None]:
    """A service that starts or works must not take this process's CPU, and with it the time its clients have."""
    with autogroup.off():
        yield
