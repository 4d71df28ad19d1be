"""One service with keys, images and traces; other machines could reach it."""

from collections.abc import Iterator

import pytest

from loadtests.fuzz import direct_ports
from loadtests.running import RunningService, running, write_config
from tests.support.browsing import browser, troubled, visit
from tests.support.locked import Locked, write_keys
from tests.support.otlp_collector import collecting

__all__ = ["browser", "troubled", "visit"]


@pytest.fixture(scope="package")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    folder = tmp_path_factory.mktemp("locked")
    keys = write_keys(folder / "keys")
    config = write_config(
        folder,
        access={"keys_file": str(folder / "keys"), "reload_s": 0.2},
        tracing={"delay_s": 0.2},
        cache={"deadline_ms": 5000},
    )
    with (
        collecting() as collector,
        running(
            config,
            HOST="0.0.0.0",  # noqa: S104 - who gets in is the point
            LOG_FORMAT="json",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
            OTEL_EXPORTER_OTLP_HEADERS="x-team=search",
        ) as service,
    ):
        [direct] = direct_ports(service)
        yield Locked(service, folder / "keys", keys, direct, collector)


@pytest.fixture(scope="package")
def service(locked: Locked) -> RunningService:
    return locked.service
