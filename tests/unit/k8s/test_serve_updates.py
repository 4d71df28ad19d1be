"""What Serve does with a changed config, asked of its own functions: the table of k8s/README.md."""

from copy import deepcopy

from tests.unit.k8s.manifests import serve_config
from tests.unit.k8s.serve import code_version, override


def test_serve_replaces_a_whole_autoscaling_block_and_restarts_nothing_for_it() -> None:
    """Ray's own functions: what an entry in `deployments` leaves out is Serve's default, not the builder's."""
    before = {"min_replicas": 1, "max_replicas": 4, "target_ongoing_requests": 64.0, "downscale_delay_s": 120.0}
    after, restarts = override(before, {"autoscaling_config": {"min_replicas": 2, "max_replicas": 8}})
    assert (after["min_replicas"], after["max_replicas"]) == (2, 8)
    assert (after["target_ongoing_requests"], after["downscale_delay_s"]) == (2.0, 600.0)
    assert not restarts
    told: dict[str, float] = {"max_ongoing_requests": 9, "graceful_shutdown_timeout_s": 9, "health_check_period_s": 9}
    for name, value in ({"max_surge_percent": 25, "max_queued_requests": 9} | told).items():
        assert not override(before, {name: value})[1], name
    assert override(before, {"max_replicas_per_node": 1})[1]
    assert override(before, {"ray_actor_options": {"num_cpus": 2}})[1]


def test_only_args_are_code() -> None:
    [application] = serve_config("cpu")["applications"]
    scaled, moved = deepcopy(application), deepcopy(application)
    scaled["deployments"][0]["autoscaling_config"]["max_replicas"] = 9
    moved["args"]["text_models"][0]["autoscaling"]["max_replicas"] = 9
    assert code_version(scaled) == code_version(application)
    assert code_version(moved) != code_version(application)
    # Serve hashes one null for each entry that has such a block, so the first one of a deployment restarts everything.
    fewer, none = deepcopy(application), deepcopy(application)
    del fewer["deployments"][0]
    del none["deployments"][0]["autoscaling_config"]
    assert code_version(fewer) == code_version(none) != code_version(application)
