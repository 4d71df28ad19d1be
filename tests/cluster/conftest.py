"""Tests of the real service, on a real Ray."""

from collections.abc import Iterator

import pytest

from loadtests import autogroup
from loadtests.running import chosen_way

# Tests of what only the launcher, HAProxy or Serve's flags do.
NOT_PLAIN = {"test_client_headers.py", "test_fuzz.py", "test_lifecycle.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if chosen_way() == "plain":
        for item in items:
            if item.path.name in NOT_PLAIN or "locked" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason="plain `serve run` has no launcher and no flags"))


@pytest.fixture(scope="package", autouse=True)
def own_share() -> Iterator[None]:
    """A service that starts or works must not take this process's CPU, and with it the time its clients have."""
    with autogroup.off():
        yield
