"""One service with keys, images, traces, a cache in shards, image URLs and CORS; other machines could reach it."""

from collections.abc import Iterator

import pytest

from loadtests.fuzz import direct_ports
from loadtests.running import RunningService, running, write_config
from tests.support.browsing import browser, troubled, visit
from tests.support.locked import PAGE, SHARDS, Locked, write_keys
from tests.support.otlp_collector import collecting
from tests.support.pictures_server import serving_pictures

__all__ = ["browser", "troubled", "visit"]


@pytest.fixture(scope="package")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    folder = tmp_path_factory.mktemp("locked")
    keys = write_keys(folder / "keys")
    with (
        collecting() as collector,
        serving_pictures() as pictures,
        running(
            write_config(
                folder,
                access={"keys_file": str(folder / "keys"), "reload_s": 0.2},
                tracing={"delay_s": 0.2},
                # What is found is found in the shards.
                cache={"deadline_ms": 5000, "shards": SHARDS, "near_max_bytes": 0},
                image_urls=pictures.settings,
            ),
            CORS_ORIGINS=PAGE,
            HOST="0.0.0.0",  # noqa: S104 - who gets in is the point
            LOG_FORMAT="json",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
            OTEL_EXPORTER_OTLP_HEADERS="x-team=search",
        ) as service,
    ):
        [direct] = direct_ports(service)
        yield Locked(service, folder / "keys", keys, direct, collector, pictures)


@pytest.fixture(scope="package")
def service(locked: Locked) -> RunningService:
    return locked.service
