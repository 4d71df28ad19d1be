"""The clients of other APIs from PyPI, in the versions of the guide's table, do what it says of them."""

from pathlib import Path

import httpx
import pytest

from tests.support.foreign_clients import SCRIPTS, recorded, table


@pytest.mark.parametrize("package", SCRIPTS)
def test_a_client_gets_the_service_s_own_vectors_and_is_in_the_table(
    package: str, client: httpx.Client, tmp_path: Path
) -> None:
    stated = table()[package]
    assert recorded(package, client, tmp_path, stated.version) == stated


def test_the_table_has_these_clients_and_no_others() -> None:
    assert [*table()] == [*SCRIPTS]
