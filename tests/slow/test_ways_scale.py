"""One step of autoscaling without the bypass of Serve, and under plain `serve run`. With it: tests/cluster/faults."""

from pathlib import Path

import pytest

from loadtests.running import running, wait_for, write_config
from tests.support.scaled import ENCODER, TEXT, clients, gauge


@pytest.mark.parametrize("way", ["off", "plain"])
def test_one_step_of_autoscaling(way: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, text_models=[TEXT], image_models=[], ingress={"num_cpus": 0.1})
    with running(config, way=way) as service:
        wait_for(lambda: gauge(service, "embedding_replicas", ENCODER) == 1, what="one encoder in the metrics")
        with clients(service, 16) as statuses:
            wait_for(lambda: gauge(service, "embedding_replicas", ENCODER) == 2, what="a second encoder")
        assert set(statuses) == {200}, statuses
